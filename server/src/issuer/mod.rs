//! Issuing: sessions become tokens. No HTTP and no SQL here.

mod keys;
mod refresh;
mod refresh_token;
mod upstream;

use std::sync::Arc;

use flagbearer::claim::Dialect;
use flagbearer::evaluation::Evaluation;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{AccessToken, MAX_TOKEN_BYTES};
use serde_json::{Value, json};

pub use keys::{Keys, create as create_keys};
pub use refresh::{Grant, Refused};
use upstream::TrustedIssuers;
pub use upstream::{Begun, Choice, Returned, UpstreamRefused};

use crate::error::Result;
use crate::outbound::Outbound;
use crate::secret::InstallationKey;
use crate::store::{Application, Session, Snapshot, Store};

/// The issuing side of the server.
#[derive(Debug)]
pub struct Issuer {
    store: Arc<Store>,
    key: Arc<InstallationKey>,
    pub keys: Keys,
    trusted: TrustedIssuers,
    /// Enters every refresh token.
    epoch: i64,
    public_url: String,
    /// The environment whose issuer is the public URL itself.
    standard: String,
}

/// What a client gets.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    /// Seconds.
    pub expires_in: i64,
    /// The claim, as JSON text.
    pub feature_flags: String,
    pub flags_revision: i64,
    pub session: String,
}

impl Tokens {
    /// The token response (RFC 6749 §5.1), with the flags beside the token: a client need not look into it.
    pub fn answer(&self) -> Value {
        json!({
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            // The claim is JSON that this process has just written.
            "feature_flags": serde_json::from_str::<Value>(&self.feature_flags).unwrap_or_default(),
            "flags_rev": self.flags_revision,
            "session_id": self.session,
        })
    }
}

impl Issuer {
    pub fn new(
        store: Arc<Store>,
        key: Arc<InstallationKey>,
        outbound: Outbound,
        epoch: i64,
        public_url: &str,
        standard: &str,
    ) -> Self {
        let keys = Keys::new(store.clone(), key.clone());
        let trusted = TrustedIssuers::new(outbound, store.clone());
        Self { store, key, keys, trusted, epoch, public_url: public_url.to_owned(), standard: standard.to_owned() }
    }

    /// What fetches from others.
    pub fn outbound(&self) -> &Outbound {
        &self.trusted.outbound
    }

    /// Whether a refresh token was made here; what has become of its session the database alone knows.
    pub fn is_genuine(&self, refresh_token: &str) -> bool {
        refresh_token::parse(&self.key, self.epoch, refresh_token).is_some()
    }

    /// The environment that the public URL itself stands for.
    pub fn standard_environment(&self) -> &str {
        &self.standard
    }

    /// `iss` of an environment's tokens, and where its metadata is found.
    pub fn url(&self, environment: &str) -> String {
        if environment == self.standard {
            return self.public_url.clone();
        }
        format!("{}/env/{environment}", self.public_url)
    }

    /// Evaluates and signs. `generation` is that of the refresh token to go with it.
    ///
    /// The signing key has to be held already ([`Keys::hold`]): this runs inside transactions, and must not wait.
    pub fn issue(
        &self,
        application: &Application,
        session: &Session,
        generation: i64,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Tokens> {
        let facts = &snapshot.facts;
        let mut evaluations: Vec<Evaluation<'_>> = Vec::new();
        snapshot.ruleset.evaluate_all(&snapshot.overrides, &snapshot.context(), now, &mut evaluations);
        let mut feature_flags = String::new();
        Dialect::Typed.encode(evaluations.iter().map(|found| (&found.flag.key, found.value)), &mut feature_flags);
        let expires_at = now.plus_seconds(application.access_token_ttl).min(session.absolute_expires_at);
        let membership = facts.membership.clone().unwrap_or_default();
        let token_id = keys::token_id()?;
        let mut claims = String::new();
        AccessToken {
            issuer: &self.url(&session.environment),
            subject: &session.user,
            audience: application.audience(),
            client_id: &application.client_id,
            issued_at: now,
            expires_at,
            token_id: &token_id,
            session: Some(&session.id),
            authenticated_at: Some(session.auth_time),
            organization: facts.organization.as_deref(),
            scope: None,
            roles: &membership.roles,
            permissions: &membership.permissions,
            flags_revision: facts.revision,
            feature_flags: &feature_flags,
        }
        .write_flagbearer(&mut claims);
        let access_token = self.keys.signer(&session.environment, application.algorithm)?.sign(&claims)?;
        if access_token.len() > MAX_TOKEN_BYTES {
            let bytes = access_token.len();
            tracing::warn!(
                bytes,
                client_id = application.client_id,
                "a token is larger than readers accept: its flags are too large"
            );
        }
        Ok(Tokens {
            access_token,
            refresh_token: refresh_token::mint(&self.key, self.epoch, &session.id, generation),
            expires_in: expires_at.seconds() - now.seconds(),
            feature_flags,
            flags_revision: facts.revision,
            session: session.id.clone(),
        })
    }
}
