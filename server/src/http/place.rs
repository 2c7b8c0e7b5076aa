//! Which environment's issuer a request is for: by the `Host` that it names, and by the environment in its path.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::HOST;
use axum::http::request::Parts;

use super::App;
use crate::error::{Error, Result};

/// The environment, held and ready to issue for.
#[derive(Debug, Clone)]
pub struct Place(pub String);

impl FromRequestParts<App> for Place {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        let path = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| Error::malformed("PATH_INVALID", "the path is not percent-encoded UTF-8"))?;
        let in_path = path.iter().find(|(name, _)| *name == "environment").map(|(_, value)| value.to_owned());
        let environment = app.issuer.places.find(host.as_deref(), in_path.as_deref()).await?;
        app.issuer.hold(&environment).await?;
        Ok(Self(environment))
    }
}
