//! Several writes in one request. Each goes through the admin API's own route table, as if it had come by itself.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Method, Request, Uri};
use axum::response::IntoResponse;
use axum::routing::Router;
use flagbearer::document::Node;
use serde_json::Value;
use tower::ServiceExt;

use super::call::{Caller, if_match, is_comment, plain};
use super::{App, LARGE, large, nothing_here, small, unknown_method};
use crate::control::{Answer, Batch, Call};
use crate::error::{Error, Kind, Result};

/// How many writes one batch takes.
const WRITES: usize = 1000;

/// One write of a batch: a method, a path with its query, a document, and what has to be there.
#[derive(Debug, Clone)]
pub struct Part {
    method: Method,
    uri: Uri,
    if_match: Option<String>,
    body: Value,
}

impl Part {
    pub fn parse(node: &Node<'_>) -> Result<Self> {
        let mut members = node.members()?;
        let method = members.required("method")?;
        let path = members.required("path")?;
        let body = members.present("body").map_or(Value::Null, |node| node.value.clone());
        let if_match = members.optional("if_match").map(|node| node.string().map(str::to_owned)).transpose()?;
        members.finish()?;
        let refused = |node: &Node<'_>, detail: &str| -> Error {
            node.error(flagbearer::error::ErrorCode::ValueInvalid, detail).into()
        };
        let known = ["POST", "PUT", "PATCH", "DELETE"].contains(&method.string()?);
        let parsed = Method::from_bytes(method.string()?.as_bytes()).ok().filter(|_| known);
        let method = parsed.ok_or_else(|| refused(&method, "the method of a write is POST, PUT, PATCH or DELETE"))?;
        let uri = path.string()?.parse().ok().filter(|uri: &Uri| uri.path().starts_with("/v1/") && uri.host().is_none());
        let uri = uri.ok_or_else(|| refused(&path, "the path of a write begins with `/v1/`, and is percent-encoded"))?;
        Ok(Self { method, uri, if_match, body })
    }
}

/// `{comment, writes: [{method, path, body, if_match}]}`: all of them, or nothing.
pub async fn batch(State(app): State<App>, caller: Caller) -> Result<Answer> {
    let axum::Extension(mut call) = caller;
    call.only(&[])?;
    let mut members = Node::root(&call.body).members()?;
    let comment = members.optional("comment").map(|node| node.string().map(str::to_owned)).transpose()?;
    let writes = members.required("writes")?;
    members.finish()?;
    if comment.as_deref().is_some_and(|comment| !is_comment(comment)) {
        return Err(Error::malformed("COMMENT_INVALID", "`comment` is a line of at most 1024 bytes"));
    }
    let writes = writes.items()?;
    if !(1..=WRITES).contains(&writes.len()) {
        return Err(Error::new(Kind::Refused, "BATCH_SIZE", format!("a batch has 1 to {WRITES} writes")));
    }
    let parts = writes.iter().map(Part::parse).collect::<Result<Vec<_>>>()?;
    call.comment = comment.or(call.comment);
    let batch = Batch::default();
    let answers = perform(&app, &call, &batch, parts).await?;
    app.control.end_batch(&call, batch, answers).await
}

/// Does the parts in order, into the batch; the first that is refused ends it. Answers what each would have answered.
pub async fn perform(app: &App, call: &Call, batch: &Batch, parts: Vec<Part>) -> Result<Vec<Value>> {
    let routes = routes(app);
    let mut answers = Vec::with_capacity(parts.len());
    for (position, part) in parts.into_iter().enumerate() {
        let answer = write(&routes, call, batch, part).await;
        answers.push(answer.map_err(|error| error.of_write(position))?);
    }
    Ok(answers)
}

/// Everything that a batch can be made of.
fn routes(app: &App) -> Router {
    small().merge(large()).fallback(nothing_here).method_not_allowed_fallback(unknown_method).with_state(app.clone())
}

async fn write(routes: &Router, whole: &Call, batch: &Batch, part: Part) -> Result<Value> {
    let mut call = plain(whole.actor.clone(), &part.method, &part.uri, part.body)?;
    if call.urgent || call.preview {
        return Err(Error::malformed("PARAMETER_UNKNOWN", "`urgent` and `preview` are said of the whole batch"));
    }
    call.if_match = part.if_match.as_deref().map(if_match).transpose()?;
    call.confirm.extend(whole.confirm.iter().cloned());
    call.preview = whole.preview;
    call.batch = Some(batch.clone());
    let mut request = Request::builder().method(part.method).uri(part.uri).body(Body::empty()).map_err(Error::internal)?;
    request.extensions_mut().insert(call);
    let mut response = routes.clone().oneshot(request).await.into_response();
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        return Err(error);
    }
    let bytes = to_bytes(response.into_body(), LARGE).await.map_err(Error::internal)?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(Error::internal)
}
