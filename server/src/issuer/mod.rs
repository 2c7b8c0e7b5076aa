//! Issuing: sessions become tokens. No HTTP and no SQL here.

mod keys;
mod refresh;
mod refresh_token;
mod rotation;

use std::sync::Arc;

use flagbearer::claim::Dialect;
use flagbearer::evaluation::Evaluation;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{AccessToken, MAX_TOKEN_BYTES, TYPE_ACCESS_TOKEN};
use serde_json::{Value, json};

pub use keys::Keys;
pub use refresh::{Grant, Refused};
pub use rotation::{Manner, create as create_keys, make as make_keys, rotate as rotate_keys};

use crate::error::Result;
use crate::secret::InstallationKey;
use crate::store::{Application, Session, Snapshot, Store};

/// The issuing side of the server.
#[derive(Debug)]
pub struct Issuer {
    store: Arc<Store>,
    key: Arc<InstallationKey>,
    pub keys: Keys,
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
    pub fn new(store: Arc<Store>, key: Arc<InstallationKey>, epoch: i64, public_url: &str, standard: &str) -> Self {
        let keys = Keys::new(store.clone(), key.clone());
        Self { store, key, keys, epoch, public_url: public_url.to_owned(), standard: standard.to_owned() }
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

    /// Evaluates and signs, with the rules and the keys of the snapshot. `generation` is that of the refresh token to go with
    /// it. This runs inside transactions, and must not wait.
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
        let access_token =
            self.keys.signer(&snapshot.signing_keys, application.algorithm, TYPE_ACCESS_TOKEN, now)?.sign(&claims)?;
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
