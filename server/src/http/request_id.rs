//! Every answer says which request it was (`X-Request-Id`); the log and the change log say it too. The caller may choose
//! the id, so that its own log agrees with ours.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

pub use crate::request_id::current;
use crate::request_id::scope;
use crate::secret::random_alphanumeric;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id, and a span of the log that carries it.
pub async fn layer(request: Request, next: Next) -> Response {
    let id = chosen(&request).unwrap_or_else(|| random_alphanumeric(22).unwrap_or_default());
    // The route, not the path: what stands in a path may be an address, or a secret that was pasted in the wrong place.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let span = tracing::info_span!("request", id = %id, method = %request.method(), route);
    let header = HeaderValue::from_str(&id);
    let answer = async move {
        let response = next.run(request).await;
        tracing::info!(status = response.status().as_u16(), "answered");
        response
    };
    let mut response = scope(id, answer.instrument(span)).await;
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

/// The caller's id, where it is one that can stand in a log: up to 128 letters, digits and `-_.`.
fn chosen(request: &Request) -> Option<String> {
    let text = request.headers().get(HEADER)?.to_str().ok()?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=128).contains(&text.len()).then_some(text).filter(|text| text.bytes().all(legal)).map(str::to_owned)
}
