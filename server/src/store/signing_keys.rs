//! Signing keys: the private half sealed, the public half as JWK.
//!
//! A key's row says all of its life in advance, in times: no job has to run for it to begin or to end.

use std::sync::Arc;

use flagbearer::timestamp::Timestamp;
use flagbearer::token::Algorithm;
use serde_json::{Value, json};

use super::engine::{Connection, Row, params};
use super::{Edit, Entity, Store, Write};
use crate::error::{Error, Result};

/// How far a key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// It signs.
    Signing,
    /// Readers may fetch it; it does not sign yet.
    Published,
    /// It signs no more; what it signed is good.
    Retired,
    /// It may be known to strangers: nothing that it signed is good.
    Withdrawn,
}

impl KeyState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Published => "published",
            Self::Retired => "retired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// A signing key as stored.
#[derive(Debug, Clone)]
pub struct StoredSigningKey {
    pub kid: String,
    pub environment: String,
    pub algorithm: Algorithm,
    /// PKCS#8, sealed with the installation's key.
    pub sealed: Vec<u8>,
    /// The public half, as JSON.
    pub jwk: String,
    pub created_at: Timestamp,
    pub signs_from: Timestamp,
    /// When it signs no more, which may be to come; `None` while there is no newer one.
    pub retired_at: Option<Timestamp>,
    /// When it leaves the published keys; `None` as long as it is not known when it retires.
    pub published_until: Option<Timestamp>,
    pub withdrawn: bool,
}

impl StoredSigningKey {
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.withdrawn {
            KeyState::Withdrawn
        } else if self.retired_at.is_some_and(|retired_at| retired_at <= now) {
            KeyState::Retired
        } else if now < self.signs_from {
            KeyState::Published
        } else {
            KeyState::Signing
        }
    }

    /// Whether readers are to find its public half.
    pub fn is_published(&self, now: Timestamp) -> bool {
        !self.withdrawn && self.published_until.is_none_or(|until| now < until)
    }

    /// The document as it stands in the change log.
    pub fn document(&self) -> Value {
        json!({
            "kid": self.kid,
            "environment": self.environment,
            "algorithm": self.algorithm.as_str(),
            "created_at": self.created_at,
            "signs_from": self.signs_from,
            "retired_at": self.retired_at,
            "published_until": self.published_until,
            "withdrawn": self.withdrawn,
        })
    }
}

/// All keys that an environment ever had, as of one revision of them.
#[derive(Debug)]
pub struct SigningKeys {
    /// The last change to them.
    pub revision: i64,
    /// The newest first.
    pub keys: Vec<StoredSigningKey>,
}

impl SigningKeys {
    /// The key that signs: the newest that has begun. A replica whose clock is a moment behind may find none that has;
    /// then the first that will.
    pub fn signing(&self, algorithm: Algorithm, now: Timestamp) -> Option<&StoredSigningKey> {
        let of_algorithm = || self.keys.iter().filter(|key| key.algorithm == algorithm);
        let in_state = |state| move |key: &&StoredSigningKey| key.state(now) == state;
        of_algorithm().find(in_state(KeyState::Signing)).or_else(|| of_algorithm().rfind(in_state(KeyState::Published)))
    }
}

macro_rules! columns {
    () => {
        "SELECT kid, environment, algorithm, sealed, jwk, created_at, signs_from, retired_at, published_until, withdrawn \
         FROM signing_keys "
    };
}

impl TryFrom<&Row> for StoredSigningKey {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            kid: row.text(0)?,
            environment: row.text(1)?,
            algorithm: stored_algorithm(&row.text(2)?)?,
            sealed: row.bytes(3)?,
            jwk: row.text(4)?,
            created_at: row.time(5)?,
            signs_from: row.time(6)?,
            retired_at: row.maybe_time(7)?,
            published_until: row.maybe_time(8)?,
            withdrawn: row.boolean(9)?,
        })
    }
}

fn stored_algorithm(name: &str) -> Result<Algorithm> {
    Algorithm::parse(name).ok_or_else(|| Error::internal(format!("stored algorithm `{name}` is unknown")))
}

impl Connection {
    /// The keys of an environment, the newest first.
    pub async fn signing_keys(&mut self, environment: &str) -> Result<Vec<StoredSigningKey>> {
        let sql = concat!(columns!(), "WHERE environment = $1 ORDER BY signs_from DESC, created_at DESC, algorithm, kid");
        self.rows(sql, params![environment]).await?.iter().map(StoredSigningKey::try_from).collect()
    }

    /// The environment that a key signs for, and its public half as JSON; retired ones too.
    pub async fn public_key(&mut self, kid: &str) -> Result<Option<(String, String)>> {
        let row = self.row("SELECT environment, jwk FROM signing_keys WHERE kid = $1", params![kid]).await?;
        row.map(|row| Ok((row.text(0)?, row.text(1)?))).transpose()
    }
}

impl Store {
    /// The keys of an environment as they are now: read again only where they have changed.
    pub async fn signing_keys(&self, environment: &str) -> Result<Arc<SigningKeys>> {
        let mut connection = self.read().await?;
        let row = connection.row("SELECT keys_revision FROM environments WHERE name = $1", params![environment]).await?;
        let row = row.ok_or_else(|| Error::not_found("environment", environment))?;
        self.signing_keys_at(&mut connection, environment, row.integer(0)?).await
    }

    /// Of which environments and algorithms no newer key has come since a time.
    pub async fn signing_keys_since(&self, time: Timestamp) -> Result<Vec<(String, Algorithm)>> {
        let sql = "SELECT environment, algorithm FROM signing_keys WHERE retired_at IS NULL AND signs_from <= $1 \
                   ORDER BY environment, algorithm";
        let rows = self.read().await?.rows(sql, params![time]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, stored_algorithm(&row.text(1)?)?))).collect()
    }
}

impl Write {
    pub async fn insert_signing_key(&mut self, key: &StoredSigningKey) -> Result<()> {
        let sql = "INSERT INTO signing_keys (kid, environment, algorithm, sealed, jwk, created_at, signs_from, \
                   retired_at, published_until, withdrawn) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let parameters = params![
            key.kid.as_str(),
            key.environment.as_str(),
            key.algorithm.as_str(),
            key.sealed.clone(),
            key.jwk.as_str(),
            key.created_at,
            key.signs_from,
            key.retired_at,
            key.published_until,
            key.withdrawn,
        ];
        self.execute(sql, parameters).await?;
        self.note_signing_key(None, key).await
    }

    /// Writes when a key ends.
    pub async fn update_signing_key(&mut self, before: &StoredSigningKey, after: &StoredSigningKey) -> Result<()> {
        let sql = "UPDATE signing_keys SET retired_at = $2, published_until = $3, withdrawn = $4 WHERE kid = $1";
        let parameters = params![after.kid.as_str(), after.retired_at, after.published_until, after.withdrawn];
        self.execute(sql, parameters).await?;
        self.note_signing_key(Some(before), after).await
    }

    /// Logs it, and moves the number by which replicas know that the keys they remember are not the ones any more.
    async fn note_signing_key(&mut self, before: Option<&StoredSigningKey>, after: &StoredSigningKey) -> Result<()> {
        let before = before.map(StoredSigningKey::document);
        let edit = Edit::new(Entity::SigningKey, &after.kid, before, Some(after.document()));
        self.record(edit.environment(&after.environment));
        let sql = "UPDATE environments SET keys_revision = $2 WHERE name = $1";
        self.execute(sql, params![after.environment.as_str(), self.revision]).await?;
        Ok(())
    }
}
