//! What Kinde's SDKs ask with a user's own token.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use flagbearer::evaluation::Evaluation;
use serde_json::{Value, json};

use super::super::error::TokenRefused;
use super::super::oauth::shown;
use super::super::place::Place;
use super::super::{App, cors};
use crate::error::Result;

/// The calls of an issuer.
pub fn routes(app: &App, issuer: &str) -> Router<App> {
    cors::open(
        app,
        [
            (format!("{issuer}/oauth2/v2/user_profile"), get(user_profile)),
            (format!("{issuer}/account_api/v1/feature_flags"), get(feature_flags)),
        ],
    )
}

/// What userinfo tells, with the id once more under the name that Kinde gives it.
async fn user_profile(State(app): State<App>, place: Result<Place>, headers: HeaderMap) -> Result<Response, TokenRefused> {
    let mut told = shown(&app, place, &headers).await?.user_info()?;
    told["id"] = told["sub"].clone();
    Ok(Json(told).into_response())
}

/// The flags as a refresh would carry them now. Kinde's SDKs look for a flag by its `name` in one place and by its `key` in
/// another, so both are the key.
async fn feature_flags(State(app): State<App>, place: Result<Place>, headers: HeaderMap) -> Result<Response, TokenRefused> {
    let shown = shown(&app, place, &headers).await?;
    let evaluations = shown.snapshot.carried(&shown.application, shown.now);
    let entry = |found: &Evaluation<'_>| {
        let flag = found.flag;
        let (id, value) = (&*flag.id, found.value.to_json());
        json!({ "id": id, "name": flag.key, "key": flag.key, "type": flag.flag_type, "value": value })
    };
    let flags: Vec<Value> = evaluations.iter().map(entry).collect();
    let body = json!({
        "data": { "feature_flags": flags },
        "metadata": { "has_more": false, "next_page_starting_after": "" },
    });
    Ok(Json(body).into_response())
}
