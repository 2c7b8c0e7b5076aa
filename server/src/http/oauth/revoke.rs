//! The end of a token (RFC 7009), and with it of its session.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::super::App;
use super::super::address::ClientAddress;
use super::super::error::Denied;
use super::super::place::Place;
use super::request::{Asked, told};
use crate::error::Result;
use crate::secret::Secret;

pub async fn revoke(State(app): State<App>, place: Result<Place>, from: ClientAddress, request: Request) -> Response {
    told(&app, from, answer(&app, place, request).await).await
}

/// Whatever `token_type_hint` says: what a token is can be seen from the token.
async fn answer(app: &App, place: Result<Place>, request: Request) -> Result<Response, Denied> {
    let asked = Asked::read(app, place, request).await?;
    let application = asked.client().await?;
    app.issuer.revoke(&application, &Secret::new(asked.required("token")?)).await?;
    Ok(StatusCode::OK.into_response())
}
