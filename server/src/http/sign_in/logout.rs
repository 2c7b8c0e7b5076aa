//! The way out of an issuer: OpenID Connect's parameters, and Kinde's.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::page::{Frame, Notice, shown};
use super::{App, Fields, Outcome, Visit, concluded, leave};
use crate::issuer::SignOut;

/// `GET /logout`: an application sends the browser here.
pub async fn logout(State(app): State<App>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    let outcome = async { sign_out(&app, &visit, &Fields::queried(query.as_deref())?).await };
    concluded(&visit, outcome.await)
}

/// The same by POST.
pub async fn logout_posted(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let outcome = async { sign_out(&app, &visit, &Fields::posted(&headers, body)?).await };
    concluded(&visit, outcome.await)
}

/// WorkOS's, common to all environments: the session tells whose it is. One that is not there has ended, which is what was
/// asked for.
pub async fn logout_workos(State(app): State<App>, here: Visit, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let outcome = async {
        let fields = Fields::queried(query.as_deref())?;
        let session = app.store.read().await?.find_session(fields.text("session_id")).await?;
        let environment = session.as_ref().map_or(here.environment.as_str(), |session| &session.environment);
        app.issuer.hold(environment).await?;
        let visit = Visit::at(&app, environment, &headers, here.address);
        let out = SignOut {
            environment,
            browser: visit.browser(),
            session: session.as_ref().map(|session| session.id.as_str()),
            client_id: session.as_ref().map(|session| session.application.as_str()),
            id_token_hint: None,
            to: fields.some("return_to"),
            state: None,
        };
        signed_out(&app, &visit, &out).await
    };
    concluded(&here, outcome.await)
}

async fn sign_out(app: &App, visit: &Visit, fields: &Fields) -> Outcome {
    let out = SignOut {
        environment: &visit.environment,
        browser: visit.browser(),
        session: None,
        id_token_hint: fields.some("id_token_hint"),
        client_id: fields.some("client_id"),
        // `redirect` is what Kinde's TypeScript sends, `redirect_uri` its Python.
        to: ["post_logout_redirect_uri", "redirect", "redirect_uri"].iter().find_map(|name| fields.some(name)),
        state: fields.some("state"),
    };
    signed_out(app, visit, &out).await
}

async fn signed_out(app: &App, visit: &Visit, out: &SignOut<'_>) -> Outcome {
    let mut response = match app.issuer.sign_out(out).await? {
        Some(address) => leave(&address),
        None => {
            let frame = Frame::plain(visit, None);
            let text = "You can close this window.";
            shown(&Notice { frame, title: "You are signed out", text, link: None, reference: None })
        }
    };
    visit.drop_browser(&mut response);
    Ok(response)
}
