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
use crate::issuer::{CodeGrant, Grant, MachineGrant, Refused, Tokens};
use crate::secret::Secret;
use crate::store::{Client, Memo, Origin, Surface};

/// How long a token response is remembered for a retry with the same `Idempotency-Key`, in seconds.
const REMEMBERED: i64 = 300;

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
    let asked = Asked { app, environment: &environment, client_id, client_secret, form, place: parts.uri.path() };
    let once = once(&parts.headers, &asked, &bytes)?;
    match asked.form.get("grant_type").map(String::as_str) {
        Some("authorization_code") => asked.redeem(once.as_ref()).await,
        Some("refresh_token") => asked.refresh(once.as_ref()).await,
        Some("client_credentials") => asked.machine().await,
        Some(_) => Err(Denied::grant_type("the grants are: authorization_code, refresh_token, client_credentials")),
        None => Err(Denied::request("`grant_type` is required")),
    }
}

/// A token request, taken apart.
struct Asked<'a> {
    app: &'a App,
    environment: &'a str,
    client_id: String,
    client_secret: Option<Secret>,
    form: HashMap<String, String>,
    place: &'a str,
}

impl Asked<'_> {
    fn optional(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }

    fn required(&self, name: &str) -> Result<&str, Denied> {
        self.optional(name).ok_or_else(|| Denied::request(format!("`{name}` is required")))
    }

    /// RFC 6749 §4.1.3.
    async fn redeem(&self, once: Option<&Once>) -> Result<Response, Denied> {
        let app = self.app;
        let (secret, surface) = (self.client_secret.as_ref(), Surface::OAuth);
        let application = app.issuer.client(self.environment, &self.client_id, secret, surface).await?;
        let grant = CodeGrant {
            surface,
            code: self.required("code")?,
            redirect_uri: self.optional("redirect_uri"),
            code_verifier: self.optional("code_verifier"),
            origin: Origin::default(),
        };
        if let Some(answer) = self.recalled(once).await? {
            return Ok(answer);
        }
        let Some(once) = once else { return answered(app.issuer.redeem(&application, &grant, None).await?) };
        let remember = |tokens: &Tokens| self.memo(once, tokens);
        match app.issuer.redeem(&application, &grant, Some((&once.scope, &remember))).await? {
            None => self.recalled(Some(once)).await?.ok_or_else(|| Error::unavailable().into()),
            issued => answered(issued),
        }
    }

    /// RFC 6749 §6.
    async fn refresh(&self, once: Option<&Once>) -> Result<Response, Denied> {
        let app = self.app;
        let refresh_token = self.required("refresh_token")?;
        let grant = Grant {
            environment: self.environment,
            client_id: &self.client_id,
            client: Client::Secret(self.client_secret.as_ref().map(Secret::hash)),
            surface: Surface::OAuth,
            refresh_token,
            organization: self.optional("organization_id"),
        };
        let Some(once) = once else { return answered(app.issuer.refresh(&grant, None).await?) };
        if !app.issuer.is_genuine(refresh_token) {
            return Err(Refused::Grant.into());
        }
        if let Some(answer) = self.recalled(Some(once)).await? {
            return Ok(answer);
        }
        let remember = |tokens: &Tokens| self.memo(once, tokens);
        match app.issuer.refresh(&grant, Some(&remember)).await? {
            None => self.recalled(Some(once)).await?.ok_or_else(|| Error::unavailable().into()),
            issued => answered(issued),
        }
    }

    /// RFC 6749 §4.4. Kinde's clients name the organization by its code.
    async fn machine(&self) -> Result<Response, Denied> {
        let secret = self.client_secret.as_ref();
        let application = self.app.issuer.client(self.environment, &self.client_id, secret, Surface::OAuth).await?;
        let organization = self.optional("organization_id").or(self.optional("org_code"));
        let grant = MachineGrant { audience: self.optional("audience"), scope: self.optional("scope"), organization };
        answered(Some(self.app.issuer.machine(&application, &grant).await?))
    }

    /// What the same request was answered before.
    async fn recalled(&self, once: Option<&Once>) -> Result<Option<Response>, Denied> {
        let Some(once) = once else { return Ok(None) };
        Ok(self.app.control.recall(once).await?.map(|answer| Json(answer.body).into_response()))
    }

    fn memo(&self, once: &Once, tokens: &Tokens) -> Result<Memo> {
        let answer = Answer { success: Success::Done, body: tokens.answer(), revision: None };
        self.app.control.memo(once, &answer, REMEMBERED)
    }
}

/// The token response; without an `Idempotency-Key` there always is one.
fn answered(tokens: Option<Tokens>) -> Result<Response, Denied> {
    let tokens = tokens.ok_or_else(|| Error::internal("nothing was issued"))?;
    Ok(Json(tokens.answer()).into_response())
}

/// What makes a retry recognisable. The secret is part of it, so that only who knows it is answered from memory.
fn once(headers: &HeaderMap, asked: &Asked<'_>, body: &[u8]) -> Result<Option<Once>, Denied> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| Denied::request("`Idempotency-Key` has 1 to 255 visible ASCII characters"))?;
    let secret = asked.client_secret.as_ref().map(Secret::hash).unwrap_or_default();
    let scope = format!("{}\n{secret}\n{}\n{key}", asked.client_id, asked.place);
    Ok(Some(asked.app.control.once(&scope, body)))
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
    let jwks = app.issuer.keys.jwks(&environment).await?;
    Ok(public(([(header::CONTENT_TYPE, "application/json")], jwks).into_response(), 300))
}

/// Says what works, and nothing else.
pub async fn metadata(State(app): State<App>, Place(environment): Place) -> Result<Response> {
    let issuer = app.issuer.url(&environment);
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth2/auth"),
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "userinfo_endpoint": format!("{issuer}/oauth2/userinfo"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": ["none", "login", "create", "select_account", "consent"],
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
    });
    Ok(public(Json(document).into_response(), 300))
}
