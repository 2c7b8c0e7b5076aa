//! Asking an issuer for tokens, and what its answer means. A host brings the POST; what is sent, whether a session has ended
//! or its issuer is merely away, and how long to leave it alone is the same in every language.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::document::{self, Node};
use crate::error::{Error, ErrorCode, Result};
use crate::token::{Compact, Payload, Profile};

/// How long an issuer that is not to be reached is left alone, in seconds, unless it says itself.
pub const RETRY_SECONDS: u32 = 5;
/// The longest, whatever it says.
pub const MAX_RETRY_SECONDS: u32 = 60;
/// How long a host waits for an answer, in seconds: longer than for keys, since a request that is given up may have used the
/// refresh token.
pub const TOKEN_TIMEOUT_SECONDS: u32 = 10;
/// An access token is refreshed when so many seconds are left of it, or a quarter of its life where that is less.
pub const REFRESH_BEFORE_SECONDS: f64 = 60.0;

/// The application that asks, at its issuer.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    pub issuer: &'a str,
    pub profile: Profile,
    pub client_id: &'a str,
    /// None for an application that keeps no secret.
    pub client_secret: Option<&'a str>,
}

/// What tokens are asked for with.
#[derive(Debug, Clone, Copy)]
pub enum TokenGrant<'a> {
    RefreshToken {
        refresh_token: &'a str,
        /// The organization to go on in; the session's own when there is none.
        organization: Option<&'a str>,
    },
    Code {
        code: &'a str,
        code_verifier: &'a str,
        redirect_uri: &'a str,
    },
}

/// A POST to be made without following redirects, within [`TOKEN_TIMEOUT_SECONDS`] and
/// [`MAX_BODY_BYTES`](super::MAX_BODY_BYTES).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    pub url: String,
    pub content_type: &'static str,
    pub body: String,
}

impl Client<'_> {
    /// The request for tokens, as the application's profile has it.
    pub fn request(&self, grant: &TokenGrant<'_>) -> TokenRequest {
        let members = match *grant {
            TokenGrant::RefreshToken { refresh_token, organization } => vec![
                ("grant_type", Some("refresh_token")),
                ("refresh_token", Some(refresh_token)),
                ("organization_id", organization),
            ],
            TokenGrant::Code { code, code_verifier, redirect_uri } => vec![
                ("grant_type", Some("authorization_code")),
                ("code", Some(code)),
                ("code_verifier", Some(code_verifier)),
                ("redirect_uri", Some(redirect_uri)),
            ],
        };
        match self.profile {
            Profile::Flagbearer | Profile::Kinde => self.form("/oauth2/token", &members),
            Profile::WorkOs => self.json(&members),
        }
    }

    /// The request that ends a session, by its refresh token (RFC 7009).
    pub fn revocation(&self, refresh_token: &str) -> TokenRequest {
        self.form("/oauth2/revoke", &[("token", Some(refresh_token)), ("token_type_hint", Some("refresh_token"))])
    }

    fn credentials(&self) -> [(&'static str, Option<&str>); 2] {
        [("client_id", Some(self.client_id)), ("client_secret", self.client_secret)]
    }

    fn form(&self, path: &str, members: &[(&str, Option<&str>)]) -> TokenRequest {
        let mut body = String::new();
        for (name, value) in members.iter().copied().chain(self.credentials()) {
            let Some(value) = value else { continue };
            let separator = if body.is_empty() { "" } else { "&" };
            body.extend([separator, name, "="]);
            body.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        TokenRequest { url: format!("{}{path}", self.issuer), content_type: "application/x-www-form-urlencoded", body }
    }

    /// WorkOS's endpoint: JSON, and common to all environments of a host.
    fn json(&self, members: &[(&str, Option<&str>)]) -> TokenRequest {
        let authority = self.issuer.find("://").map_or(0, |at| at + "://".len());
        let host = self.issuer[authority..].find('/').map_or(self.issuer, |path| &self.issuer[..authority + path]);
        let mut document = Map::new();
        for (name, value) in members.iter().copied().chain(self.credentials()) {
            if let Some(value) = value {
                document.insert(name.to_owned(), json!(value));
            }
        }
        TokenRequest {
            url: format!("{host}/user_management/authenticate"),
            content_type: "application/json",
            body: Value::Object(document).to_string(),
        }
    }
}

/// What a POST for tokens came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedTokens {
    pub access_token: String,
    pub refresh_token: String,
    /// Who signed in, where that was asked for.
    pub id_token: Option<String>,
}

/// Why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoTokens {
    pub error: Error,
    /// How long to go on with what there is before asking again, in seconds.
    pub retry_seconds: u32,
}

/// The tokens of an answer, or what its absence means. `status` is none where nothing came at all.
///
/// Errors: `GrantRefused`, the only one that ends a session; `ClientRefused` when the application's settings are at fault;
/// `IssuerUnavailable` for everything that may be better in a while.
pub fn received(status: Option<u16>, retry_after: Option<&str>, body: &[u8]) -> Result<ReceivedTokens, NoTokens> {
    let asked = retry_after.and_then(|text| text.trim().parse().ok()).unwrap_or(RETRY_SECONDS);
    let none = |code, message: String| NoTokens {
        error: Error::new(code, message),
        retry_seconds: asked.clamp(1, MAX_RETRY_SECONDS),
    };
    let document = document::parse(body).ok();
    let told = document.as_ref().map(Node::root).and_then(|root| root.members().ok());
    let (Some(status), Some(mut members)) = (status, told) else {
        let what = status.map_or("does not answer".to_owned(), |status| format!("answers {status} without saying why"));
        return Err(none(ErrorCode::IssuerUnavailable, format!("the issuer {what}; the last token stays in use")));
    };
    let mut text = |name| members.optional(name).and_then(|node| node.string().ok().map(str::to_owned));
    if status == 200 {
        return match (text("access_token"), text("refresh_token")) {
            (Some(access_token), Some(refresh_token)) => {
                Ok(ReceivedTokens { access_token, refresh_token, id_token: text("id_token") })
            }
            _ => Err(none(
                ErrorCode::IssuerUnavailable,
                "the issuer's answer has no tokens; the last one stays in use".into(),
            )),
        };
    }
    let (error, description) = (text("error"), text("error_description").unwrap_or_default());
    match error.as_deref() {
        Some("invalid_grant") if status < 500 => {
            Err(none(ErrorCode::GrantRefused, format!("the issuer refuses the grant: {description}")))
        }
        Some(error) if (400..500).contains(&status) && ![408, 429].contains(&status) => {
            Err(none(ErrorCode::ClientRefused, format!("the issuer refuses the application with `{error}`: {description}")))
        }
        _ => Err(none(ErrorCode::IssuerUnavailable, format!("the issuer answers {status}; the last token stays in use"))),
    }
}

/// What an application's own access token says of itself. Not verified: for tokens that come out of a seal.
#[derive(Debug, Clone, PartialEq)]
pub struct Unverified {
    /// The application that it was issued to.
    pub client_id: Option<String>,
    pub organization: Option<String>,
    /// From when on it is to be refreshed, in milliseconds since 1970; at once where it does not say how long it lives.
    pub refresh_at: f64,
    /// The claims as JSON.
    pub claims: String,
}

impl Unverified {
    /// Errors: `TokenMalformed`.
    pub fn parse(token: &str) -> Result<Self> {
        let claims = Compact::parse(token)?.payload;
        let payload = Payload::parse(&claims)?;
        let client_id = payload.client_id.as_ref().or(payload.authorized_party.as_ref()).map(|id| id.clone().into_owned());
        let organization = payload.organization.as_ref().map(|id| id.clone().into_owned());
        let refresh_at = match (payload.issued_at, payload.expires_at) {
            (Some(issued_at), Some(expires_at)) => {
                expires_at - (REFRESH_BEFORE_SECONDS * 1000.0).min((expires_at - issued_at) / 4.0)
            }
            _ => 0.0,
        };
        drop(payload);
        Ok(Self { client_id, organization, refresh_at, claims })
    }
}
