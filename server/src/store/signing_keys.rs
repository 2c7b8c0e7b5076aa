//! Signing keys: the private half sealed, the public half as JWK.

use flagbearer::timestamp::Timestamp;
use flagbearer::token::Algorithm;

use super::engine::{Connection, Row, params};
use super::{Store, Write};
use crate::error::{Error, Result};

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
    pub retired_at: Option<Timestamp>,
}

impl TryFrom<&Row> for StoredSigningKey {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        let algorithm = row.text(2)?;
        Ok(Self {
            kid: row.text(0)?,
            environment: row.text(1)?,
            algorithm: Algorithm::parse(&algorithm)
                .ok_or_else(|| Error::internal(format!("stored algorithm `{algorithm}` is unknown")))?,
            sealed: row.bytes(3)?,
            jwk: row.text(4)?,
            created_at: row.time(5)?,
            retired_at: row.maybe_time(6)?,
        })
    }
}

impl Connection {
    /// The keys of an environment, the newest first.
    pub async fn signing_keys(&mut self, environment: &str) -> Result<Vec<StoredSigningKey>> {
        let sql = "SELECT kid, environment, algorithm, sealed, jwk, created_at, retired_at FROM signing_keys \
                   WHERE environment = $1 ORDER BY created_at DESC, kid";
        self.rows(sql, params![environment]).await?.iter().map(StoredSigningKey::try_from).collect()
    }
}

impl Connection {
    /// The environment that a key signs for, and its public half as JSON; retired ones too.
    pub async fn public_key(&mut self, kid: &str) -> Result<Option<(String, String)>> {
        let row = self.row("SELECT environment, jwk FROM signing_keys WHERE kid = $1", params![kid]).await?;
        row.map(|row| Ok((row.text(0)?, row.text(1)?))).transpose()
    }
}

impl Store {
    /// The keys of an environment; none where there is no such environment.
    pub async fn signing_keys(&self, environment: &str) -> Result<Vec<StoredSigningKey>> {
        self.read().await?.signing_keys(environment).await
    }
}

impl Write {
    pub async fn insert_signing_key(&mut self, key: &StoredSigningKey) -> Result<()> {
        let sql = "INSERT INTO signing_keys (kid, environment, algorithm, sealed, jwk, created_at, retired_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let parameters = params![
            key.kid.as_str(),
            key.environment.as_str(),
            key.algorithm.as_str(),
            key.sealed.clone(),
            key.jwk.as_str(),
            key.created_at,
            key.retired_at,
        ];
        self.execute(sql, parameters).await?;
        Ok(())
    }
}
