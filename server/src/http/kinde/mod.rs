//! What Kinde's SDKs and scripts call, beside the OAuth endpoints: below each issuer, so that the base URL tells the
//! environment.

mod account;
mod management;
mod words;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};

use super::{App, SMALL, path};

/// The routes of every issuer.
pub fn routes(app: &App) -> Router<App> {
    let of_issuer = |issuer: &str| {
        let management = management::routes(&format!("{issuer}/api/v1"));
        let management = management.route_layer(from_fn_with_state(app.clone(), management::layer));
        account::routes(app, issuer).merge(management)
    };
    of_issuer("")
        .merge(of_issuer("/env/{environment}"))
        .route_layer(from_fn(path::layer))
        .layer(DefaultBodyLimit::max(SMALL))
}
