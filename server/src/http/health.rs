//! Is it alive, and is it ready.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::json;

use super::App;
use crate::error::Result;

/// The process answers.
pub async fn live() -> impl IntoResponse {
    Json(json!({ "status": "alive", "version": env!("CARGO_PKG_VERSION") }))
}

/// The database answers, and this is where each environment stands.
pub async fn ready(State(app): State<App>) -> Result<impl IntoResponse> {
    let environments = app.store.read().await?.environments().await?;
    let revisions: serde_json::Map<_, _> =
        environments.into_iter().map(|environment| (environment.name, environment.revision.into())).collect();
    Ok(Json(json!({ "status": "ready", "version": env!("CARGO_PKG_VERSION"), "revisions": revisions })))
}
