//! Answers remembered for retries (`Idempotency-Key`), written with the write that they answer.

use flagbearer::timestamp::Timestamp;

use super::Store;
use super::engine::{Connection, params};
use crate::error::Result;

/// An answer that was given before.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// SHA-256 of the request's body: another body under the same key is a mistake of the caller's.
    pub body_hash: String,
    pub sealed: Vec<u8>,
}

impl Store {
    pub async fn recall(&self, scope: &str) -> Result<Option<Remembered>> {
        self.engine.read().await?.recall(scope, self.now()).await
    }
}

impl Connection {
    pub(super) async fn recall(&mut self, scope: &str, now: Timestamp) -> Result<Option<Remembered>> {
        let sql = "SELECT body_hash, answer FROM idempotency WHERE scope = $1 AND expires_at > $2";
        let row = self.row(sql, params![scope, now]).await?;
        row.map(|row| Ok(Remembered { body_hash: row.text(0)?, sealed: row.bytes(1)? })).transpose()
    }
}

/// An answer to be remembered.
#[derive(Debug, Clone)]
pub struct Memo {
    /// SHA-256 of credential, method, path and key.
    pub scope: String,
    pub body_hash: String,
    pub sealed: Vec<u8>,
    /// For so long.
    pub seconds: i64,
}

impl Connection {
    /// Remembers an answer. `false` where one is remembered already: this write must then not happen.
    pub async fn remember(&mut self, memo: &Memo, now: Timestamp) -> Result<bool> {
        self.execute("DELETE FROM idempotency WHERE expires_at <= $1", params![now]).await?;
        let sql = "INSERT INTO idempotency (scope, body_hash, answer, expires_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (scope) DO NOTHING";
        let expires_at = now.plus_seconds(memo.seconds);
        let parameters = params![memo.scope.as_str(), memo.body_hash.as_str(), memo.sealed.clone(), expires_at];
        Ok(self.execute(sql, parameters).await? == 1)
    }
}
