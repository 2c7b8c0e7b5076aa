//! Sign-ins that are at an upstream provider, until it sends the browser back.

use flagbearer::timestamp::Timestamp;

use super::Store;
use super::engine::params;
use crate::error::Result;

impl Store {
    /// Keeps a sealed sign-in under the hash of what only its own browser can come back with.
    pub async fn keep_sign_in(&self, hash: &str, sealed: Vec<u8>, expires_at: Timestamp) -> Result<()> {
        let mut connection = self.engine.write().await?;
        let sql = "INSERT INTO sign_ins (hash, document, expires_at) VALUES ($1, $2, $3)";
        connection.execute(sql, params![hash, sealed, expires_at]).await?;
        connection.commit().await
    }

    /// Takes a sign-in out, once.
    pub async fn take_sign_in(&self, hash: &str, now: Timestamp) -> Result<Option<Vec<u8>>> {
        let mut connection = self.engine.write().await?;
        let sql = "DELETE FROM sign_ins WHERE hash = $1 AND expires_at > $2 RETURNING document";
        let row = connection.row(sql, params![hash, now]).await?;
        connection.commit().await?;
        row.map(|row| row.bytes(0)).transpose()
    }
}
