//! The keys (RFC 7517) and the metadata (RFC 8414, OpenID Connect Discovery) of each issuer.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flagbearer::token::Algorithm;
use serde_json::json;

use super::super::App;
use super::super::place::Place;
use super::token::GrantType;
use crate::error::Result;

/// How long caches on the way may keep the public keys, in seconds. It adds to what readers keep them for, and both have to
/// pass before a new key signs; and after an emergency it is what withdrawn keys live on for.
const JWKS_FRESH: u32 = 60;

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

/// How clients that keep a secret show it.
const CONFIDENTIAL_CLIENT: [&str; 2] = ["client_secret_basic", "client_secret_post"];
/// The same, and those that keep none.
const ANY_CLIENT: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];

/// Says what works, and nothing else.
pub async fn metadata(State(app): State<App>, Place(environment): Place) -> Result<Response> {
    let issuer = app.issuer.url(&environment);
    let at = |path: &str| format!("{issuer}{path}");
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/oauth2/auth"),
        "token_endpoint": at("/oauth2/token"),
        "userinfo_endpoint": at("/oauth2/userinfo"),
        "end_session_endpoint": at("/logout"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "introspection_endpoint": at("/oauth2/introspect"),
        "watermark_endpoint": app.issuer.places.watermark_endpoint(&environment),
        "jwks_uri": at("/.well-known/jwks.json"),
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": [
            "iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "nonce", "sid", "email", "email_verified", "name",
            "given_name", "family_name", "picture", "updated_at",
        ],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "prompt_values_supported": ["none", "login", "create", "select_account", "consent"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "claims_parameter_supported": false,
        "grant_types_supported": GrantType::ALL.map(GrantType::as_str),
        "token_endpoint_auth_methods_supported": ANY_CLIENT,
        "revocation_endpoint_auth_methods_supported": ANY_CLIENT,
        "introspection_endpoint_auth_methods_supported": CONFIDENTIAL_CLIENT,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::as_str),
    });
    Ok(public(Json(document).into_response(), 300))
}
