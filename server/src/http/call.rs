//! The door of the admin API: who calls, with what document, and whether the same was asked before.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::Value;

use super::address::ClientAddress;
use super::{App, request_id};
use crate::control::{self, Actor, Answer, Call, IfMatch, Success};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// How an authenticated call reaches its handler.
pub type Caller = Extension<Call>;

/// Keys of `Idempotency-Key` that are being answered right now.
pub type Running = Arc<Mutex<HashSet<String>>>;

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match self.success {
            Success::Done => Json(self.body).into_response(),
            Success::Created => (StatusCode::CREATED, Json(self.body)).into_response(),
            Success::Accepted => (StatusCode::ACCEPTED, Json(self.body)).into_response(),
            Success::Gone => StatusCode::NO_CONTENT.into_response(),
        };
        if let Some(tag) = self.revision.and_then(|revision| HeaderValue::from_str(&format!("\"{revision}\"")).ok()) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// Turns a request into a [`Call`], and answers a retry with what was answered before.
pub async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    answer(app, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(app: App, request: Request, next: Next) -> Result<Response> {
    let ClientAddress(address) = ClientAddress::of(request.headers(), request.extensions(), &app);
    let actor = app.control.authenticate(&bearer(request.headers())?, address).await?;
    let (mut call, parts, bytes) = read(actor.into(), request).await?;
    call.once = match parts.headers.get("idempotency-key") {
        Some(value) if parts.method == Method::POST => {
            let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len())).ok_or_else(|| {
                Error::malformed("HEADER_INVALID", "`Idempotency-Key` has 1 to 255 visible ASCII characters")
            })?;
            let scope = format!("{}\n{}\n{}\n{text}", call.actor.id, parts.method, parts.uri);
            Some(app.control.once(&scope, &bytes))
        }
        _ => None,
    };
    let once = call.once.clone();
    let _turn = app.control.turn(&call).await?;
    let mut request = Request::from_parts(parts, axum::body::Body::empty());
    request.extensions_mut().insert(call);
    let Some(once) = once else { return Ok(next.run(request).await) };

    let _running = Guard::enter(&app.running, &once.scope)?;
    if let Some(answer) = app.control.recall(&once).await? {
        return Ok(answer.into_response());
    }
    let response = next.run(request).await;
    // Another replica may have answered the same meanwhile, and so have made this attempt fail.
    if response.status().is_client_error()
        && let Some(answer) = app.control.recall(&once).await?
    {
        return Ok(answer.into_response());
    }
    Ok(response)
}

/// Takes a request apart into what its caller asks for; a retry is not looked for.
pub async fn read(actor: Actor, request: Request) -> Result<(Call, Parts, Bytes)> {
    let (parts, body) = request.into_parts();
    let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await.map_err(too_large)?;
    let call = Call {
        comment: comment(&parts.headers)?,
        if_match: parts
            .headers
            .get(header::IF_MATCH)
            .map(|value| if_match(value.to_str().unwrap_or_default()))
            .transpose()?,
        ..plain(actor, &parts.method, &parts.uri, document(&parts.headers, &bytes)?)?
    };
    Ok((call, parts, bytes))
}

/// What a method, an address and a document ask for by themselves.
pub fn plain(actor: Actor, method: &Method, uri: &Uri, body: Value) -> Result<Call> {
    let mut query = query(uri.query())?;
    let confirm = query.remove("confirm").map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default();
    // A read refuses them like any parameter that it does not have.
    let mut said = |name| if method == Method::GET { Ok(false) } else { choice(&mut query, name) };
    let (urgent, preview) = (said("urgent")?, said("preview")?);
    let path = uri.path_and_query().map_or_else(|| uri.path(), |path| path.as_str()).to_owned();
    let call = Call {
        actor,
        request_id: request_id::current(),
        request: control::Request { method: method.to_string(), path },
        comment: None,
        if_match: None,
        once: None,
        confirm,
        urgent,
        preview,
        batch: None,
        approved: None,
        query,
        body,
    };
    if method == Method::DELETE {
        call.no_body()?;
    }
    Ok(call)
}

/// The key or token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Result<Secret> {
    let refused = || {
        let detail = "send a key or a token as `Authorization: Bearer …`";
        Error::new(Kind::Unauthenticated, Error::UNAUTHENTICATED, detail)
    };
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
    let (scheme, key) = text.split_once(' ').ok_or_else(refused)?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(key.trim())).ok_or_else(refused)
}

fn query(text: Option<&str>) -> Result<BTreeMap<String, String>> {
    let pairs: Vec<(String, String)> = serde_urlencoded(text.unwrap_or_default())?;
    let mut query = BTreeMap::new();
    for (name, value) in pairs {
        if query.contains_key(&name) {
            return Err(Error::malformed("PARAMETER_REPEATED", format!("the parameter `{name}` stands twice")));
        }
        query.insert(name, value);
    }
    Ok(query)
}

/// Whether a parameter that any change takes was said to be `true`.
fn choice(query: &mut BTreeMap<String, String>, name: &str) -> Result<bool> {
    match query.remove(name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let detail = format!("`{name}` is `true` or `false`, not `{other}`");
            Err(Error::malformed("PARAMETER_INVALID", detail))
        }
    }
}

fn serde_urlencoded(text: &str) -> Result<Vec<(String, String)>> {
    let uri = format!("/?{text}").parse().map_err(|_| Error::malformed("PARAMETER_INVALID", "the query cannot be read"))?;
    axum::extract::Query::try_from_uri(&uri)
        .map(|query| query.0)
        .map_err(|_| Error::malformed("PARAMETER_INVALID", "the query cannot be read"))
}

pub fn too_large(rejection: BytesRejection) -> Error {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Error::new(Kind::TooLarge, "BODY_TOO_LARGE", "the body is larger than this call takes");
    }
    Error::malformed("BODY_UNREADABLE", "the body ended early or could not be read")
}

/// Whether the body is said to be of this media type, whatever its parameters are.
pub fn sent_as(headers: &HeaderMap, media_type: &str) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

fn document(headers: &HeaderMap, bytes: &[u8]) -> Result<Value> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if !sent_as(headers, "application/json") {
        let detail = "send the body as `Content-Type: application/json`";
        return Err(Error::new(Kind::MediaTypeUnknown, "MEDIA_TYPE_UNKNOWN", detail));
    }
    Ok(flagbearer::document::parse(bytes)?)
}

fn comment(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get("x-change-comment") else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes())
        .ok()
        .filter(|text| is_comment(text))
        .ok_or_else(|| Error::malformed("HEADER_INVALID", "`X-Change-Comment` is a line of UTF-8 of at most 1024 bytes"))?;
    Ok(Some(text.to_owned()))
}

/// Whether it is a line that may stand beside a change.
pub fn is_comment(text: &str) -> bool {
    text.len() <= 1024 && !text.chars().any(char::is_control)
}

pub fn if_match(text: &str) -> Result<IfMatch> {
    if text == "*" {
        return Ok(IfMatch::Any);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    number
        .map(IfMatch::Revision)
        .ok_or_else(|| Error::malformed("HEADER_INVALID", "`If-Match` is an `ETag` as it was answered, like `\"42\"`"))
}

/// Holds an idempotency key for as long as its request is being answered.
struct Guard {
    running: Running,
    scope: String,
}

impl Guard {
    fn enter(running: &Running, scope: &str) -> Result<Self> {
        let fresh = running.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.to_owned());
        if !fresh {
            return Err(Error::conflict(
                "REQUEST_RUNNING",
                "the same request is still being answered; try again in a moment",
            ));
        }
        Ok(Self { running: running.clone(), scope: scope.to_owned() })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.scope);
    }
}
