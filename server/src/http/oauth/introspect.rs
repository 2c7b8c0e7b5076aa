//! Whether a token is good this very moment (RFC 7662): for servers that cannot wait until it expires.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse, Response};

use super::super::App;
use super::super::address::ClientAddress;
use super::super::call::bearer;
use super::super::error::Denied;
use super::super::place::Place;
use super::request::{Asked, told};
use crate::error::{Kind, Result};
use crate::issuer::{Asker, Refused};
use crate::secret::Secret;
use crate::store::Application;

pub async fn introspect(State(app): State<App>, place: Result<Place>, from: ClientAddress, request: Request) -> Response {
    told(&app, from, answer(&app, place, from, request).await).await
}

/// Who asks has to keep a secret: an application that does, or an API key. Others would be told whether a token that they
/// have found is worth anything.
async fn answer(app: &App, place: Result<Place>, from: ClientAddress, request: Request) -> Result<Response, Denied> {
    let asked = Asked::read(app, place, request).await?;
    let application;
    let asker = if shows_key(&asked.parts.headers) {
        if !holds_key(&asked, from).await? {
            // A wrong one has been counted already.
            return Ok(Denied::from(Refused::Client).into_response());
        }
        Asker::Environment
    } else {
        application = confidential(&asked).await?;
        Asker::Client(&application)
    };
    let token = Secret::new(asked.required("token")?);
    Ok(Json(app.issuer.introspect(&asked.environment, asker, &token).await?).into_response())
}

fn shows_key(headers: &HeaderMap) -> bool {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split_once(' ').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
}

async fn holds_key(asked: &Asked<'_>, from: ClientAddress) -> Result<bool, Denied> {
    match asked.app.control.authenticate(&bearer(&asked.parts.headers)?, from.0).await {
        Ok(key) => Ok(key.serves(&asked.environment)),
        Err(error) if error.kind == Kind::Unauthenticated => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn confidential(asked: &Asked<'_>) -> Result<Application, Denied> {
    let application = asked.client().await?;
    if application.public { Err(Refused::Client.into()) } else { Ok(application) }
}
