//! The API of WorkOS, as far as its published SDKs need it for signing in and for feature flags (`/user_management`, `/sso`,
//! `/organizations`, `/feature-flags`, `/sdk`). At the host's root alone, since those SDKs know no base path: the API key or the
//! client id tells the environment.
//!
//! Nothing is decided here. Requests become the calls that the admin API makes as well, and answers take WorkOS's shapes.

mod authenticate;
mod directory;
mod flags;
mod list;
mod runtime;
mod shape;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

pub use runtime::LeftOut;

use super::error::declined;
use super::{App, SMALL, guarded, path};
use crate::control::Call;
use crate::error::{Error, Kind, Result};

/// Everything that this surface answers.
pub fn routes(app: &App) -> Router<App> {
    guarded(app, keyed(), SMALL)
        .merge(keyless())
        .method_not_allowed_fallback(not_covered)
        .layer(map_response(|response| async { declined(response) }))
}

/// What is asked without an API key, or with one in the body.
fn keyless() -> Router<App> {
    Router::new()
        .route("/user_management/authenticate", post(authenticate::authenticate))
        .route("/sso/jwks/{client_id}", get(authenticate::jwks))
        .route_layer(from_fn(path::layer))
        .layer(DefaultBodyLimit::max(SMALL))
}

/// What is asked with an environment's API key.
fn keyed() -> Router<App> {
    Router::new()
        .route("/user_management/users/{user}", get(directory::user))
        .route("/user_management/users/{user}/feature-flags", get(flags::of_user))
        .route("/user_management/users/{user}/sessions", get(directory::sessions))
        .route("/user_management/sessions/revoke", post(directory::revoke_session))
        .route("/organizations/{organization}", get(directory::organization))
        .route("/organizations/{organization}/feature-flags", get(flags::of_organization))
        .route("/feature-flags", get(flags::list))
        .route("/feature-flags/{slug}", get(flags::one))
        .route("/feature-flags/{slug}/enable", put(flags::enable))
        .route("/feature-flags/{slug}/disable", put(flags::disable))
        .route("/feature-flags/{slug}/targets/{id}", post(flags::add_target).delete(flags::remove_target))
        .route("/sdk/feature-flags", get(runtime::payload))
}

/// Whether a path is one of WorkOS's API, covered or not.
pub fn owns(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    ["user_management", "organizations", "feature-flags", "sdk", "sso"].contains(&first)
}

/// What calls are answered that WorkOS has and this server has not.
pub async fn not_covered() -> Response {
    let detail = "Flagbearer does not have this call of the WorkOS API";
    declined(Error::new(Kind::NotFound, "CALL_NOT_COVERED", detail).into_response())
}

/// The environment that the caller's key is bound to.
fn environment(call: &Call) -> Result<&str> {
    call.actor.environment.as_deref().ok_or_else(|| {
        let detail = "this API key is not bound to an environment, and the WorkOS API names none: create a key with an \
                      `environment`, and use that one here";
        Error::new(Kind::Forbidden, "KEY_NOT_BOUND", detail)
    })
}
