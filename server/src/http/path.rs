//! Paths are percent-encoded UTF-8; others are refused as problems before a handler takes them apart.

use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::Error;

pub async fn layer(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    if RawPathParams::from_request_parts(&mut parts, &()).await.is_err() {
        return Error::malformed("PATH_INVALID", "the path is not percent-encoded UTF-8").into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}
