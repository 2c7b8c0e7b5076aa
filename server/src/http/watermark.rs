//! An environment's watermark: public, as a document or as a stream of them (HTML §9.2).

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::App;
use crate::error::Result;
use crate::issuer::{Following, News, SignedWatermark};

const STREAM: &str = "text/event-stream";

/// Any page may read it. What caches keep they ask about each time, or a kill would be late.
const PUBLIC: [(HeaderName, HeaderValue); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (header::CACHE_CONTROL, HeaderValue::from_static("public, no-cache")),
];

pub async fn watermark(State(app): State<App>, Path(environment): Path<String>, headers: HeaderMap) -> Result<Response> {
    if wants_stream(&headers) {
        return Ok(stream_of(app.issuer.follow_watermark(&environment).await?));
    }
    let watermark = app.issuer.watermark(&environment).await?;
    let document = (
        PUBLIC,
        [(header::ETAG, watermark.etag.clone()), (header::VARY, "accept".to_owned())],
        [(header::ACCESS_CONTROL_EXPOSE_HEADERS, "etag"), (header::CONTENT_TYPE, "application/jwt")],
    );
    if is_known(&headers, &watermark) {
        return Ok((StatusCode::NOT_MODIFIED, document).into_response());
    }
    Ok((document, watermark.text.clone()).into_response())
}

/// Browsers ask before they send `If-None-Match` elsewhere.
pub async fn preflight() -> Response {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "if-none-match"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, PUBLIC, allowed).into_response()
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut media = accepted.flat_map(|text| text.split(',')).map(|range| range.split(';').next().unwrap_or_default());
    media.any(|media| media.trim().eq_ignore_ascii_case(STREAM))
}

/// RFC 9110 §13.1.2.
fn is_known(headers: &HeaderMap, watermark: &SignedWatermark) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|text| text.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == watermark.etag)
}

fn stream_of(following: Following) -> Response {
    let events = stream::unfold(following, |mut following| async move {
        let event = match following.next().await? {
            News::Watermark(watermark) => Bytes::from(format!("data: {}\n\n", watermark.text)),
            News::None => Bytes::from_static(b":\n\n"),
        };
        Some((Ok::<_, Infallible>(event), following))
    });
    // nginx would keep events until it has a buffer full of them.
    let headers = [(header::CONTENT_TYPE, STREAM), (HeaderName::from_static("x-accel-buffering"), "no")];
    (PUBLIC, headers, Body::from_stream(events)).into_response()
}
