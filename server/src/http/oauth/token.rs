//! The token endpoint (RFC 6749 §3.2): one grant in, tokens out.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::super::App;
use super::super::address::ClientAddress;
use super::super::error::{Denied, without_json};
use super::super::place::Place;
use super::request::{Asked, Credentials, told};
use crate::control::{Answer, Once};
use crate::error::{Error, Result};
use crate::issuer::{CodeGrant, Exchange, Grant, MachineGrant, Refused, Remember, Tokens};
use crate::secret::Secret;
use crate::store::{Client, Origin, Surface};

/// How long a token response is remembered for a retry with the same `Idempotency-Key`, in seconds.
pub const REMEMBERED: i64 = 300;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What Kinde's packages name themselves by.
const KINDE_SDK: &str = "kinde-sdk";

/// What tokens are given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
    TokenExchange,
}

impl GrantType {
    pub const ALL: [Self; 4] = [Self::AuthorizationCode, Self::RefreshToken, Self::ClientCredentials, Self::TokenExchange];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::TokenExchange => Exchange::GRANT,
        }
    }

    fn parse(name: &str) -> Result<Self, Denied> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join("`, `");
            Denied::grant_type(format!("the grants are `{names}`"))
        })
    }

    /// The token response.
    fn answer(self, tokens: &Tokens) -> Value {
        let mut answer = tokens.answer();
        if self == Self::TokenExchange {
            // RFC 8693 §2.2.1.
            answer["issued_token_type"] = Exchange::ISSUED.into();
        }
        answer
    }
}

pub async fn token(State(app): State<App>, place: Result<Place>, from: ClientAddress, request: Request) -> Response {
    let of_kinde = request.headers().contains_key(KINDE_SDK);
    let answer = told(&app, from, answer(&app, place, request).await).await;
    // To Kinde's package for servers any JSON is an answer: an `error` in it ends the user's session, and so do tokens that are
    // not in it. At what it cannot read it throws, and the session stays.
    if of_kinde { without_json(answer) } else { answer }
}

async fn answer(app: &App, place: Result<Place>, request: Request) -> Result<Response, Denied> {
    let asked = Asked::read(app, place, request).await?;
    let grant_type = GrantType::parse(asked.required("grant_type")?)?;
    // Garbage is refused before anything is looked for: it never reaches the database.
    if grant_type == GrantType::RefreshToken && !app.issuer.is_genuine(asked.required("refresh_token")?) {
        return Err(Refused::Grant.into());
    }
    let once = asked.once()?;
    if let Some(answer) = asked.recalled(once.as_ref()).await? {
        return Ok(answer);
    }
    let remember = once.as_ref().map(|once| {
        move |tokens: &Tokens| {
            let answer = Answer::done(grant_type.answer(tokens));
            app.control.memo(once, &answer, REMEMBERED)
        }
    });
    let remember = remember.as_ref().map(|remember| remember as &Remember<'_>);
    let issued = match grant_type {
        GrantType::AuthorizationCode => asked.redeem(once.as_ref().map(|once| once.scope.as_str()).zip(remember)).await?,
        GrantType::RefreshToken => asked.refresh(remember).await?,
        GrantType::ClientCredentials => asked.machine(remember).await?,
        GrantType::TokenExchange => asked.exchange(remember).await?,
    };
    match issued {
        Some(tokens) => Ok(Json(grant_type.answer(&tokens)).into_response()),
        // The same was answered meanwhile.
        None => asked.recalled(once.as_ref()).await?.ok_or_else(|| Error::unavailable().into()),
    }
}

impl Asked<'_> {
    /// RFC 6749 §4.1.3. `remember` comes with what a repeated request is recognised by.
    async fn redeem(&self, remember: Option<(&str, &Remember<'_>)>) -> Result<Option<Tokens>, Denied> {
        let application = self.client().await?;
        let grant = CodeGrant {
            surface: Surface::OAuth,
            code: self.required("code")?,
            redirect_uri: self.optional("redirect_uri"),
            code_verifier: self.optional("code_verifier"),
            origin: Origin::default(),
        };
        Ok(self.app.issuer.redeem(&application, &grant, remember).await?)
    }

    /// RFC 6749 §6.
    async fn refresh(&self, remember: Option<&Remember<'_>>) -> Result<Option<Tokens>, Denied> {
        let credentials = self.credentials()?;
        let grant = Grant {
            environment: &self.environment,
            client_id: &credentials.client_id,
            client: Client::Secret(credentials.secret.as_ref().map(Secret::hash)),
            surface: Surface::OAuth,
            refresh_token: self.required("refresh_token")?,
            organization: self.optional("organization_id"),
        };
        Ok(self.app.issuer.refresh(&grant, remember).await?)
    }

    /// RFC 6749 §4.4.
    async fn machine(&self, remember: Option<&Remember<'_>>) -> Result<Option<Tokens>, Denied> {
        let application = self.client().await?;
        let grant = MachineGrant {
            targets: self.targets(),
            scope: self.optional("scope"),
            organization: self.optional("organization_id").or_else(|| self.optional("org_code")),
        };
        Ok(self.app.issuer.machine(&application, &grant, remember).await?)
    }

    /// RFC 8693.
    async fn exchange(&self, remember: Option<&Remember<'_>>) -> Result<Option<Tokens>, Denied> {
        let credentials = self.credentials()?;
        let exchange = Exchange {
            environment: &self.environment,
            client_id: &credentials.client_id,
            client_secret: credentials.secret.as_ref(),
            subject_token: self.required("subject_token")?,
            subject_token_type: self.required("subject_token_type")?,
            requested_token_type: self.optional("requested_token_type"),
            actor_token: self.optional("actor_token").or(self.optional("actor_token_type")),
            targets: self.targets(),
            scope: self.optional("scope"),
        };
        Ok(self.app.issuer.exchange(&exchange, remember).await?)
    }

    fn once(&self) -> Result<Option<Once>, Denied> {
        let headers = &self.parts.headers;
        if !headers.contains_key(IDEMPOTENCY_KEY) {
            return Ok(None);
        }
        let Credentials { client_id, secret } = self.credentials()?;
        let secret_hash = secret.as_ref().map(Secret::hash);
        once(self.app, headers, &client_id, secret_hash.as_deref(), self.parts.uri.path(), &self.body)
    }

    /// What the same request was answered before.
    async fn recalled(&self, once: Option<&Once>) -> Result<Option<Response>, Denied> {
        let Some(once) = once else { return Ok(None) };
        Ok(self.app.control.recall(once).await?.map(|answer| Json(answer.body).into_response()))
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
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| Denied::request("`Idempotency-Key` has 1 to 255 visible ASCII characters"))?;
    let secret = secret_hash.unwrap_or_default();
    let scope = format!("{client_id}\n{secret}\n{path}\n{key}");
    Ok(Some(app.control.once(&scope, body)))
}
