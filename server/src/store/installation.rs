//! The installation's one row, and its first start: what an empty database is given, under one lock.

use super::Store;
use super::engine::{Connection, Engine, params};
use crate::clock::SystemClock;
use crate::error::{Error, Result};

/// What ties the data to its key and its refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Enters every refresh token.
    pub epoch: i64,
    /// The check of the key that the data is sealed with.
    pub key_check: String,
}

/// Replicas that start together on an empty database: one of them founds, the others wait and find it founded.
const LOCK: i64 = 0x666c_6167_6265_6172;

impl Store {
    /// The installation, or `None` where the database is empty.
    pub async fn installation(&self) -> Result<Option<Installation>> {
        read(&mut self.engine.read().await?).await
    }

    /// Opens a transaction that founds: no other can be founding meanwhile. `None` where somebody has.
    pub async fn founding(&self) -> Result<Option<Founding>> {
        let mut connection = self.engine.write().await?;
        if let Engine::Postgres { .. } = self.engine {
            connection.rows("SELECT pg_advisory_xact_lock($1)", params![LOCK]).await?;
        }
        Ok(match read(&mut connection).await? {
            Some(_) => None,
            None => Some(Founding { connection }),
        })
    }

    /// How far the database's clock is ahead of this machine's, in milliseconds; 0 on SQLite, which has none of its own.
    pub async fn clock_offset(&self) -> Result<i64> {
        let Engine::Postgres { .. } = self.engine else { return Ok(0) };
        let mut connection = self.engine.read().await?;
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
        let row = connection.row(sql, &[]).await?.ok_or_else(|| Error::internal("the database told no time"))?;
        Ok(row.integer(0)? - SystemClock::machine_milliseconds())
    }
}

async fn read(connection: &mut Connection) -> Result<Option<Installation>> {
    let row = connection.row("SELECT epoch, key_check FROM installation WHERE id = 1", &[]).await?;
    row.map(|row| Ok(Installation { epoch: row.integer(0)?, key_check: row.text(1)? })).transpose()
}

/// The first transaction of an installation.
#[derive(Debug)]
pub struct Founding {
    connection: Connection,
}

impl Founding {
    /// Gives the counter its row and turns into an ordinary write, of revision 1.
    pub async fn found(mut self, store: &Store, epoch: i64, key_check: &str) -> Result<super::Write> {
        let now = store.now();
        let sql = "INSERT INTO installation (id, revision, changed_at, epoch, key_check) VALUES (1, 1, $1, $2, $3)";
        self.connection.execute(sql, params![now, epoch, key_check]).await?;
        Ok(super::Write::opened(self.connection, now, 1, store.changes.clone()))
    }
}
