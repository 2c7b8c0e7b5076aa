//! Sessions: seals, cookies, and what an issuer is asked for tokens with.

use flagbearer::cookie;
use flagbearer::reader::{MAX_BODY_BYTES, TOKEN_TIMEOUT_SECONDS, TokenGrant, TokenRequest, Unverified, received};
use flagbearer::sealed_session::{Passwords, RANDOM_BYTES, SessionTokens, seal, unseal};
use napi_derive::napi;

use super::{NativeReader, Refusal, instant, refuse};

#[napi(object)]
pub struct NativePassword {
    pub id: u32,
    pub password: String,
}

/// The cookie passwords of an application.
#[napi]
pub struct NativePasswords {
    passwords: Passwords,
}

#[napi]
impl NativePasswords {
    #[napi(constructor)]
    pub fn new(passwords: Vec<NativePassword>) -> Result<Self, Refusal> {
        let entries = passwords.iter().map(|one| (one.id, one.password.as_str()));
        Ok(Self { passwords: Passwords::new(entries).map_err(refuse)? })
    }

    /// Takes as many random bytes as `sealRandomBytes` says.
    #[napi]
    pub fn seal(&self, text: String, random: &[u8]) -> Result<String, Refusal> {
        let mut bytes = [0; RANDOM_BYTES];
        bytes.copy_from_slice(random);
        seal(&text, &self.passwords, &bytes).map_err(refuse)
    }

    #[napi]
    pub fn unseal(&self, sealed: String, now: f64) -> Result<String, Refusal> {
        unseal(&sealed, &self.passwords, instant(now)).map_err(refuse)
    }
}

#[napi]
pub fn seal_random_bytes() -> u32 {
    RANDOM_BYTES as u32
}

#[napi(object)]
pub struct NativeTokens {
    pub access_token: String,
    pub refresh_token: String,
}

/// The tokens in an application's session, given as JSON.
#[napi]
pub fn session_tokens(session: String) -> Result<NativeTokens, Refusal> {
    let SessionTokens { access_token, refresh_token } = SessionTokens::parse(&session).map_err(refuse)?;
    Ok(NativeTokens { access_token, refresh_token })
}

#[napi(object)]
pub struct NativeCookie {
    pub name: String,
    pub value: String,
}

/// The size of one cookie.
#[napi]
pub fn measure_cookie(name: String, value: String) -> Result<u32, Refusal> {
    cookie::measure(&name, &value).map(|bytes| bytes as u32).map_err(refuse)
}

/// A value in as many cookies as it takes.
#[napi]
pub fn split_cookie(name: String, value: String) -> Vec<NativeCookie> {
    cookie::split(&name, &value).map(|(name, value)| NativeCookie { name, value: value.to_owned() }).collect()
}

/// The size of all cookies of a site.
#[napi]
pub fn measure_cookies(cookies: Vec<NativeCookie>) -> Result<u32, Refusal> {
    let pairs = cookies.iter().map(|cookie| (cookie.name.as_str(), cookie.value.as_str()));
    cookie::measure_all(pairs).map(|bytes| bytes as u32).map_err(refuse)
}

/// What an access token of the application's own says of itself.
#[napi(object)]
pub struct NativeUnverified {
    pub client_id: Option<String>,
    pub organization: Option<String>,
    /// In milliseconds since 1970.
    pub refresh_at: f64,
    /// As JSON.
    pub claims: String,
}

#[napi]
pub fn unverified(token: String) -> Result<NativeUnverified, Refusal> {
    let Unverified { client_id, organization, refresh_at, claims } = Unverified::parse(&token).map_err(refuse)?;
    Ok(NativeUnverified { client_id, organization, refresh_at, claims })
}

/// A POST to be made.
#[napi(object)]
pub struct NativeTokenRequest {
    pub url: String,
    pub content_type: String,
    pub body: String,
    pub timeout_milliseconds: u32,
    pub max_bytes: u32,
}

impl From<TokenRequest> for NativeTokenRequest {
    fn from(request: TokenRequest) -> Self {
        Self {
            url: request.url,
            content_type: request.content_type.to_owned(),
            body: request.body,
            timeout_milliseconds: TOKEN_TIMEOUT_SECONDS * 1000,
            max_bytes: MAX_BODY_BYTES as u32,
        }
    }
}

/// What came of it: tokens, or a code with its message and how long to wait before asking again.
#[napi(object)]
pub struct NativeTokenAnswer {
    pub access_token: Option<String>,
    pub refresh_token: Option<String>,
    pub id_token: Option<String>,
    pub code: Option<String>,
    pub message: Option<String>,
    pub retry_seconds: Option<u32>,
}

/// What an answer means; without a status, what it means that there is none.
#[napi]
pub fn token_answer(status: Option<u32>, retry_after: Option<String>, body: Option<&[u8]>) -> NativeTokenAnswer {
    let nothing = NativeTokenAnswer {
        access_token: None,
        refresh_token: None,
        id_token: None,
        code: None,
        message: None,
        retry_seconds: None,
    };
    match received(status.map(|status| status as u16), retry_after.as_deref(), body.unwrap_or_default()) {
        Ok(tokens) => NativeTokenAnswer {
            access_token: Some(tokens.access_token),
            refresh_token: Some(tokens.refresh_token),
            id_token: tokens.id_token,
            ..nothing
        },
        Err(none) => NativeTokenAnswer {
            code: Some(none.error.code.to_string()),
            message: Some(none.error.message),
            retry_seconds: Some(none.retry_seconds),
            ..nothing
        },
    }
}

/// A code, as it came back from the sign-in page.
#[napi(object)]
pub struct NativeCode {
    pub code: String,
    pub code_verifier: String,
    pub redirect_uri: String,
}

#[napi]
impl NativeReader {
    #[napi]
    pub fn refresh_request(
        &self,
        client_id: String,
        client_secret: Option<String>,
        refresh_token: String,
        organization: Option<String>,
    ) -> NativeTokenRequest {
        let grant = TokenGrant::RefreshToken { refresh_token: &refresh_token, organization: organization.as_deref() };
        self.reader.client(&client_id, client_secret.as_deref()).request(&grant).into()
    }

    #[napi]
    pub fn code_request(&self, client_id: String, client_secret: Option<String>, code: NativeCode) -> NativeTokenRequest {
        let NativeCode { code, code_verifier, redirect_uri } = &code;
        let grant = TokenGrant::Code { code, code_verifier, redirect_uri };
        self.reader.client(&client_id, client_secret.as_deref()).request(&grant).into()
    }

    #[napi]
    pub fn revocation_request(
        &self,
        client_id: String,
        client_secret: Option<String>,
        refresh_token: String,
    ) -> NativeTokenRequest {
        self.reader.client(&client_id, client_secret.as_deref()).revocation(&refresh_token).into()
    }

    /// The claims of an ID token as JSON, or nothing when keys must be fetched first.
    #[napi]
    pub fn verify_id_token(
        &self,
        token: String,
        client_id: String,
        nonce: String,
        now: f64,
    ) -> Result<Option<String>, Refusal> {
        let claims = self.reader.verify_id_token(&token, &client_id, &nonce, instant(now)).map_err(refuse)?;
        Ok(claims.map(|claims| serde_json::Value::Object(claims.all).to_string()))
    }
}
