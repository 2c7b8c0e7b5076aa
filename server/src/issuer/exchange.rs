//! Token exchange (RFC 8693): a token of an issuer that an administrator trusts becomes a session here. The token says who it
//! is, once, as an ID token does at sign-in; from then on the session is the application's like any other, and its idle and
//! absolute lifetimes are the bound: nothing that is issued outlives them.

use flagbearer::error::ErrorCode;
use flagbearer::subject::SubjectId;
use flagbearer::token::{Expected, ForeignToken};

use super::tokens::granted;
use super::upstream::Person;
use super::{Issuer, Refused, Remember, Tokens};
use crate::error::{Error, Kind};
use crate::secret::Secret;
use crate::store::{Method, Start, StoredIdentityProvider, Surface};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// An exchange as it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The environment at whose endpoint it arrived.
    pub environment: &'a str,
    pub client_id: &'a str,
    pub client_secret: Option<&'a Secret>,
    pub subject_token: &'a str,
    pub subject_token_type: &'a str,
    pub requested_token_type: Option<&'a str>,
    /// Acting for somebody else is not offered.
    pub actor_token: Option<&'a str>,
    /// What the tokens are to be for (`audience`, `resource`).
    pub targets: &'a [String],
    pub scope: Option<&'a str>,
}

/// Why nothing was issued.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeRefused {
    /// The request, or the token in it, cannot be accepted (RFC 8693 §2.2.2).
    #[error("{0}")]
    Request(String),
    /// Tokens for that are not issued to this client.
    #[error("tokens for `{0}` are not issued to this application: leave `audience` and `resource` out, or name its own")]
    Target(String),
    /// A public client, whose every user could exchange what fell into their hands.
    #[error("tokens are exchanged by applications that keep a secret alone")]
    Public,
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl From<Error> for ExchangeRefused {
    fn from(error: Error) -> Self {
        Self::Refused(error.into())
    }
}

impl Exchange<'_> {
    /// `grant_type`.
    pub const GRANT: &'static str = "urn:ietf:params:oauth:grant-type:token-exchange";
    /// What `issued_token_type` answers.
    pub const ISSUED: &'static str = ACCESS_TOKEN;

    /// Refuses what this server does not do, before anything is looked up.
    fn check(&self) -> Result<(), ExchangeRefused> {
        let refused = |detail: String| Err(ExchangeRefused::Request(detail));
        if self.actor_token.is_some() {
            return refused("`actor_token`: acting for somebody else is not offered".to_owned());
        }
        if self.requested_token_type.is_some_and(|requested| requested != ACCESS_TOKEN) {
            return refused(format!("`requested_token_type`: nothing but `{ACCESS_TOKEN}` is issued"));
        }
        if ![ACCESS_TOKEN, ID_TOKEN, JWT].contains(&self.subject_token_type) {
            return refused(format!("`subject_token_type`: choose `{ID_TOKEN}`, `{ACCESS_TOKEN}` or `{JWT}`"));
        }
        Ok(())
    }
}

impl Issuer {
    /// Starts a session for whom the subject token is about.
    ///
    /// `Ok(None)` where the same was answered already, under the `Idempotency-Key` that `remember` is for.
    pub async fn exchange(
        &self,
        exchange: &Exchange<'_>,
        remember: Option<&Remember<'_>>,
    ) -> Result<Option<Tokens>, ExchangeRefused> {
        let now = self.store.now();
        let client = self.client(exchange.environment, exchange.client_id, exchange.client_secret, Surface::OAuth);
        let application = client.await?;
        if application.public {
            return Err(ExchangeRefused::Public);
        }
        exchange.check()?;
        let own = [Some(application.client_id.as_str()), application.audience.as_deref()];
        if let Some(foreign) = exchange.targets.iter().find(|target| !own.contains(&Some(target))) {
            return Err(ExchangeRefused::Target(foreign.clone()));
        }
        let unacceptable = |error: flagbearer::error::Error| match error.code {
            ErrorCode::KeysUnavailable => Error::new(Kind::Unavailable, "UNAVAILABLE", error.message).into(),
            code => ExchangeRefused::Request(format!("`subject_token`: {error} ({code})")),
        };
        let token = ForeignToken::parse(exchange.subject_token).map_err(unacceptable)?;
        let StoredIdentityProvider { provider, .. } = self.exchanging(exchange.environment, &token).await?;
        // An access token is for whom its issuer calls an audience, and a client id is none.
        let access_token = provider.audience.is_some() && exchange.subject_token_type != ID_TOKEN;
        if exchange.subject_token_type == ACCESS_TOKEN && !access_token {
            let detail = "`subject_token`: access tokens of this issuer are not exchanged, for its identity provider has no `audience`";
            return Err(ExchangeRefused::Request(detail.to_owned()));
        }
        let audience = provider.audience.as_deref().or(provider.client_id.as_deref()).unwrap_or_default();
        let expected = Expected { issuer: &provider.issuer, audience, access_token };
        let said = self.trusted.find(&provider).verify(token, &expected, now).await.map_err(unacceptable)?;
        let person = Person::read(&provider, &said)
            .map_err(|reason| ExchangeRefused::Request(format!("`subject_token`: {reason}")))?;
        let user = self.welcome(&provider, &person).await?.ok_or_else(|| {
            ExchangeRefused::Request(
                "`subject_token`: the user is not known here, and its identity provider creates none".to_owned(),
            )
        })?;
        let scope = exchange.scope.and_then(granted);
        let organization = person.organization.as_ref().map(SubjectId::as_str);
        let start = Start {
            auth_time: said.auth_time.unwrap_or(said.issued_at).min(now),
            scope: scope.as_deref(),
            ..Start::told(&application, &user.id, organization, Method::Exchange, true, now)
        };
        match self.start(&start, remember).await {
            Ok(tokens) => Ok(tokens),
            Err(error) if matches!(error.kind, Kind::Forbidden | Kind::NotFound) => Err(Refused::NotAMember.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// The identity provider whose tokens these are, where they are exchanged.
    async fn exchanging(
        &self,
        environment: &str,
        token: &ForeignToken<'_>,
    ) -> Result<StoredIdentityProvider, ExchangeRefused> {
        // An issuer that cannot be asked for is none of ours.
        let issuer = token.claimed_issuer().filter(|issuer| !issuer.contains('\0'));
        let found = match issuer {
            Some(issuer) => self.store.read().await?.find_identity_provider(environment, issuer).await?,
            None => None,
        };
        found.filter(|stored| stored.provider.exchange).ok_or_else(|| {
            ExchangeRefused::Request("`subject_token`: tokens of its issuer are not exchanged here".to_owned())
        })
    }
}
