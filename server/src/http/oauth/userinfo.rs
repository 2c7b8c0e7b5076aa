//! Who a token is about (OpenID Connect Core §5.3).

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::super::App;
use super::super::call::bearer;
use super::super::error::TokenRefused;
use super::super::place::Place;
use crate::error::Result;
use crate::issuer::ShownByUser;

/// The user whose access token a request shows.
pub async fn shown(app: &App, place: Result<Place>, headers: &HeaderMap) -> Result<ShownByUser> {
    let Place(environment) = place?;
    app.issuer.shown_by_user(&environment, &bearer(headers)?).await
}

pub async fn user_info(State(app): State<App>, place: Result<Place>, headers: HeaderMap) -> Result<Response, TokenRefused> {
    Ok(Json(shown(&app, place, &headers).await?.user_info()?).into_response())
}
