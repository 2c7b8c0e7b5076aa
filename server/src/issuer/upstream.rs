//! Signing in with an account that somebody has elsewhere (OpenID Connect Core §3.1): authorization code with PKCE, nonce and
//! the provider's own issuer in its answer. Who it is, is decided by issuer and `sub` alone.

mod person;
mod trusted;

use flagbearer::token::{Expected, ForeignToken};

pub(super) use self::person::Person;
use self::trusted::Authentication;
pub(super) use self::trusted::TrustedIssuers;
use super::Issuer;
use crate::error::{Error, Kind};
use crate::secret::{Secret, pkce_challenge, random_alphanumeric};
use crate::store::{IdentityProvider, StoredIdentityProvider, User};

/// How many providers are looked at together.
const PAGE: i64 = 200;

/// A provider as it is offered to users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub id: String,
    pub name: String,
}

/// A sign-in that goes on at a provider.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Where the browser is sent.
    pub url: String,
    /// What comes back with the browser, and has to be what was kept in it.
    pub state: String,
    /// What the ID token has to repeat.
    pub nonce: String,
    /// What only who began may know (RFC 7636).
    pub verifier: String,
}

/// What a browser brought back from a provider, and what was kept of how it went there. Its `state` was compared by whoever
/// kept it.
#[derive(Debug, Clone, Copy)]
pub struct Returned<'a> {
    pub environment: &'a str,
    pub provider: &'a str,
    pub code: &'a str,
    /// `iss` of the authorization response (RFC 9207).
    pub issuer: Option<&'a str>,
    pub nonce: &'a str,
    pub verifier: &'a str,
}

/// Why nobody was signed in. What it says is for administrators and the log; users are told less.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamRefused {
    #[error("users do not sign in with this identity provider here")]
    Unknown,
    /// The provider could not be asked, or answered what is not to be trusted.
    #[error("the identity provider `{provider}`: {reason}")]
    Provider { provider: String, reason: String },
    /// Whoever it is has no account here, and the provider makes none.
    #[error("this account is not known here; ask an administrator for one")]
    NoAccount,
    #[error(transparent)]
    Failed(#[from] Error),
}

impl UpstreamRefused {
    fn provider(provider: &IdentityProvider, reason: impl std::fmt::Display) -> Self {
        let (id, reason) = (&provider.id, reason.to_string());
        tracing::warn!(provider = id, reason, "a sign-in with an identity provider failed");
        Self::Provider { provider: id.clone(), reason }
    }
}

fn sealed_for(id: &str) -> String {
    format!("client secret of {id}")
}

impl Issuer {
    /// Where providers send users of a held environment back to.
    pub fn upstream_callback(&self, environment: &str) -> String {
        format!("{}/sign-in/callback", self.url(environment))
    }

    /// Seals our client secret at a provider.
    pub fn seal_upstream_secret(&self, id: &str, secret: &Secret) -> Result<Vec<u8>, Error> {
        self.key.seal(&sealed_for(id), secret.expose().as_bytes())
    }

    fn open_upstream_secret(&self, stored: &StoredIdentityProvider) -> Result<Option<Secret>, Error> {
        let Some(sealed) = &stored.sealed_secret else { return Ok(None) };
        let plain = self.key.open(&sealed_for(&stored.provider.id), sealed)?;
        Ok(Some(Secret::new(std::str::from_utf8(&plain).map_err(Error::internal)?)))
    }

    /// The providers that users may sign in with, by name.
    pub async fn upstream_choices(&self, environment: &str) -> Result<Vec<Choice>, Error> {
        let mut connection = self.store.read().await?;
        let (mut choices, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = connection.identity_providers(Some(environment), &cursor, PAGE).await?;
            let more = page.len() as i64 == PAGE;
            for StoredIdentityProvider { provider: IdentityProvider { id, name, sign_in, .. }, .. } in page {
                cursor.clone_from(&id);
                if sign_in {
                    choices.push(Choice { id, name });
                }
            }
            if !more {
                break;
            }
        }
        choices.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(choices)
    }

    /// Begins a sign-in: what the browser is sent to, and what has to be kept until it is back.
    pub async fn begin_upstream(&self, environment: &str, provider: &str) -> Result<Begun, UpstreamRefused> {
        let StoredIdentityProvider { provider, .. } = self.upstream_provider(environment, provider).await?;
        let metadata = self.trusted.find(&provider).metadata().await;
        let metadata = metadata.map_err(|reason| UpstreamRefused::provider(&provider, reason))?;
        let (state, nonce, verifier) = (random_alphanumeric(43)?, random_alphanumeric(43)?, random_alphanumeric(64)?);
        let mut url = metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", provider.client_id.as_deref().unwrap_or_default())
            .append_pair("redirect_uri", &self.upstream_callback(environment))
            .append_pair("scope", &provider.scopes.join(" "))
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &pkce_challenge(&verifier))
            .append_pair("code_challenge_method", "S256");
        Ok(Begun { url: url.into(), state, nonce, verifier })
    }

    /// Ends a sign-in: the user that the provider sends, created where its document lets it.
    pub async fn finish_upstream(&self, returned: &Returned<'_>) -> Result<User, UpstreamRefused> {
        let now = self.store.now();
        let stored = self.upstream_provider(returned.environment, returned.provider).await?;
        let provider = &stored.provider;
        let failed = |reason: String| UpstreamRefused::provider(provider, reason);
        let id_token = self.redeem_upstream(&stored, returned).await?;
        let client_id = provider.client_id.as_deref().unwrap_or_default();
        let expected = Expected { issuer: &provider.issuer, audience: client_id, access_token: false };
        let trusted = self.trusted.find(provider);
        let said = match ForeignToken::parse(&id_token) {
            Ok(token) => trusted.verify(token, &expected, now).await,
            Err(error) => Err(error),
        };
        let said = said.map_err(|error| failed(format!("its ID token is refused: {error} ({})", error.code)))?;
        if said.nonce.as_deref() != Some(returned.nonce) {
            return Err(failed("its ID token is of another sign-in: the nonce is not the one that was sent".to_owned()));
        }
        let several = said.audience.len() > 1;
        if said.authorized_party.as_deref().map_or(several, |party| party != client_id) {
            return Err(failed("its ID token was issued to another client (`azp`)".to_owned()));
        }
        let person = Person::read(provider, &said).map_err(failed)?;
        let mut user = self.welcome(provider, &person).await?.ok_or(UpstreamRefused::NoAccount)?;
        self.store.note_sign_in(&mut user).await?;
        Ok(user)
    }

    /// The user that a provider's claims mean, created where its document lets it.
    pub(super) async fn welcome(&self, provider: &IdentityProvider, person: &Person) -> Result<Option<User>, Error> {
        let newcomer = if provider.create_users { Some(format!("usr_{}", random_alphanumeric(22)?)) } else { None };
        self.store.arrive(&person.arrival(provider), newcomer.as_deref()).await
    }

    async fn upstream_provider(&self, environment: &str, id: &str) -> Result<StoredIdentityProvider, UpstreamRefused> {
        self.places.hold(environment).await?;
        match self.store.read().await?.identity_provider(id).await {
            Ok(stored) if stored.provider.environment == environment && stored.provider.sign_in => Ok(stored),
            Ok(_) => Err(UpstreamRefused::Unknown),
            // An id that cannot even be asked for, too.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Refused) => Err(UpstreamRefused::Unknown),
            Err(error) => Err(error.into()),
        }
    }

    /// Exchanges the code for an ID token, not verified yet.
    async fn redeem_upstream(
        &self,
        stored: &StoredIdentityProvider,
        returned: &Returned<'_>,
    ) -> Result<String, UpstreamRefused> {
        let provider = &stored.provider;
        let failed = |reason: String| UpstreamRefused::provider(provider, reason);
        let metadata = self.trusted.find(provider).metadata().await.map_err(failed)?;
        // An answer that another provider gave would be redeemed here with our secret (RFC 9207 §2.4).
        match returned.issuer {
            Some(issuer) if issuer != provider.issuer => {
                return Err(failed("its answer names another issuer".to_owned()));
            }
            None if metadata.sends_issuer => {
                return Err(failed("its answer names no issuer, though it says it does".to_owned()));
            }
            _ => {}
        }
        let callback = self.upstream_callback(returned.environment);
        let client_id = provider.client_id.as_deref().unwrap_or_default();
        let secret = self.open_upstream_secret(stored)?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", returned.code),
            ("redirect_uri", &callback),
            ("code_verifier", returned.verifier),
        ];
        let basic = match (&secret, metadata.authentication) {
            (Some(secret), Authentication::Basic) => Some((client_id, secret)),
            (Some(secret), Authentication::Post) => {
                form.extend([("client_id", client_id), ("client_secret", secret.expose())]);
                None
            }
            (None, _) => {
                form.push(("client_id", client_id));
                None
            }
        };
        let answer = self.trusted.outbound.post_form(metadata.token_endpoint.as_str(), basic, &form).await;
        let answer = answer.map_err(|refused| failed(refused.to_string()))?;
        let document = flagbearer::document::parse(&answer.body).unwrap_or_default();
        match (answer.status, document["id_token"].as_str()) {
            (200, Some(id_token)) => Ok(id_token.to_owned()),
            (200, None) => {
                Err(failed("its token endpoint answered without an ID token; is `openid` among the scopes?".to_owned()))
            }
            (status, _) => {
                // The code of RFC 6749 §5.2 and nothing else: descriptions may say anything.
                let error = document["error"].as_str().filter(|error| is_error_code(error)).unwrap_or("no OAuth error");
                Err(failed(format!("its token endpoint answered with the status {status}: {error}")))
            }
        }
    }
}

fn is_error_code(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
