//! The token endpoint (RFC 6749), the keys (RFC 7517) and the metadata (RFC 8414, OpenID Connect Discovery) of each issuer.

use std::collections::HashMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Form, FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::App;
use super::address::ClientAddress;
use super::call::too_large;
use super::error::{Denied, uncached};
use super::place::Place;
use crate::control::{Answer, Once, Success};
use crate::error::{Error, Result};
use crate::issuer::{Grant, Refused, Tokens};
use crate::secret::Secret;
use crate::store::{Client, Surface};

/// How long a token response is remembered for a retry with the same `Idempotency-Key`, in seconds.
pub const REMEMBERED: i64 = 300;

/// How long caches on the way may keep the public keys, in seconds. It adds to what readers keep them for, and both have to
/// pass before a new key signs; and after an emergency it is what withdrawn keys live on for.
const JWKS_FRESH: u32 = 60;

pub async fn token(State(app): State<App>, place: Result<Place>, from: ClientAddress, request: Request) -> Response {
    match answer(&app, place, request).await {
        Ok(response) => uncached(response),
        Err(denied) if denied.is_of_client() => match app.issuer.count_wrong_secret(from.0).await {
            Ok(()) => denied.into_response(),
            Err(error) => Denied::from(error).into_response(),
        },
        Err(denied) => denied.into_response(),
    }
}

async fn answer(app: &App, place: Result<Place>, request: Request) -> Result<Response, Denied> {
    let Place(environment) = place?;
    let (parts, body) = request.into_parts();
    let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await.map_err(too_large)?;
    let form = form(&parts.headers, bytes.clone()).await?;
    let (client_id, client_secret) = client(&parts.headers, &form)?;
    match form.get("grant_type").map(String::as_str) {
        Some("refresh_token") => {}
        Some(_) => {
            return Err(Denied::grant_type("the grants are: refresh_token"));
        }
        None => return Err(Denied::request("`grant_type` is required")),
    }
    let refresh_token = form.get("refresh_token").ok_or_else(|| Denied::request("`refresh_token` is required"))?;
    let grant = Grant {
        environment: &environment,
        client_id: &client_id,
        client: Client::Secret(client_secret.as_ref().map(Secret::hash)),
        surface: Surface::OAuth,
        refresh_token,
        organization: form.get("organization_id").map(String::as_str),
    };
    let once = once(app, &parts.headers, &client_id, grant.client.secret_hash(), parts.uri.path(), &bytes)?;
    let Some(once) = once else {
        let tokens = app.issuer.refresh(&grant, None).await?.ok_or_else(|| Error::internal("nothing was issued"))?;
        return Ok(Json(tokens.answer()).into_response());
    };
    if !app.issuer.is_genuine(refresh_token) {
        return Err(Refused::Grant.into());
    }
    if let Some(answer) = app.control.recall(&once).await? {
        return Ok(Json(answer.body).into_response());
    }
    let remember = |tokens: &Tokens| {
        let answer = Answer { success: Success::Done, body: tokens.answer(), revision: None };
        app.control.memo(&once, &answer, REMEMBERED)
    };
    match app.issuer.refresh(&grant, Some(&remember)).await? {
        Some(tokens) => Ok(Json(tokens.answer()).into_response()),
        None => {
            let answer = app.control.recall(&once).await?.ok_or_else(Error::unavailable)?;
            Ok(Json(answer.body).into_response())
        }
    }
}

/// What makes a retry recognisable. The secret is part of it, so that only who knows it is answered from memory.
pub fn once(
    app: &App,
    headers: &HeaderMap,
    client_id: &str,
    secret_hash: Option<&str>,
    path: &str,
    body: &[u8],
) -> Result<Option<Once>, Denied> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| Denied::request("`Idempotency-Key` has 1 to 255 visible ASCII characters"))?;
    let secret = secret_hash.unwrap_or_default();
    let scope = format!("{client_id}\n{secret}\n{path}\n{key}");
    Ok(Some(app.control.once(&scope, body)))
}

/// The form's members, each once (RFC 6749 §3.2); an empty one is as if left out.
async fn form(headers: &HeaderMap, bytes: Bytes) -> Result<HashMap<String, String>, Denied> {
    let refused = || Denied::request("send the body as `application/x-www-form-urlencoded`");
    let mut request = Request::builder().method("POST");
    if let Some(media) = headers.get(header::CONTENT_TYPE) {
        request = request.header(header::CONTENT_TYPE, media);
    }
    let request = request.body(bytes.into()).map_err(|_| refused())?;
    let Form(pairs) = Form::<Vec<(String, String)>>::from_request(request, &()).await.map_err(|_| refused())?;
    let mut form = HashMap::new();
    for (name, value) in pairs {
        if form.contains_key(&name) {
            return Err(Denied::request(format!("`{name}` stands twice")));
        }
        form.insert(name, value);
    }
    form.retain(|_, value| !value.is_empty());
    Ok(form)
}

/// The client's id and secret: as HTTP Basic or in the form, not both (RFC 6749 §2.3).
fn client(headers: &HeaderMap, form: &HashMap<String, String>) -> Result<(String, Option<Secret>), Denied> {
    let in_form = form.get("client_secret").map(|secret| Secret::new(secret.as_str()));
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        let client_id = form.get("client_id").ok_or_else(|| Denied::request("`client_id` is required"))?;
        return Ok((client_id.clone(), in_form));
    };
    if in_form.is_some() {
        return Err(Denied::request("the client's secret comes in the header or in the form, not in both"));
    }
    let decoded = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, text)| STANDARD.decode(text.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let (client_id, secret) =
        decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(|| Denied::from(Refused::Client))?;
    if form.get("client_id").is_some_and(|named| named != client_id) {
        return Err(Denied::request("`client_id` is not the one in the header"));
    }
    Ok((client_id.to_owned(), Some(Secret::new(secret))))
}

/// Public documents may be read by any page.
fn public(mut response: Response, seconds: u32) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={seconds}")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    response
}

pub async fn jwks(State(app): State<App>, Place(environment): Place) -> Result<Response> {
    public_keys(&app, &environment).await
}

/// An environment's public keys, wherever they are asked for.
pub async fn public_keys(app: &App, environment: &str) -> Result<Response> {
    let jwks = app.issuer.keys.jwks(environment).await?;
    Ok(public(([(header::CONTENT_TYPE, "application/json")], jwks).into_response(), JWKS_FRESH))
}

/// Says what works, and nothing else.
pub async fn metadata(State(app): State<App>, Place(environment): Place) -> Result<Response> {
    let issuer = app.issuer.url(&environment);
    let document = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "watermark_endpoint": app.issuer.places.watermark_endpoint(&environment),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "grant_types_supported": ["refresh_token"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
    });
    Ok(public(Json(document).into_response(), 300))
}
