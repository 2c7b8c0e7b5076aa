//! What Kinde's SDKs and scripts call, beside the OAuth endpoints: below each issuer, so that the base URL tells the
//! environment.

mod management;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};

use super::{App, SMALL, path};

/// The routes of every issuer.
pub fn routes(app: &App) -> Router<App> {
    ["", "/env/{environment}"].into_iter().fold(Router::new(), |router, issuer| {
        router.merge(
            management::routes(&format!("{issuer}/api/v1"))
                .route_layer(from_fn_with_state(app.clone(), management::layer))
                .route_layer(from_fn(path::layer))
                .layer(DefaultBodyLimit::max(SMALL)),
        )
    })
}
