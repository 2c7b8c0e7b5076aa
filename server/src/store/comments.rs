//! What was said of a change after it was made. Comments are only ever added.

use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::engine::{Connection, Row, Sql, params};
use super::{Author, Store};
use crate::error::Result;

impl Store {
    /// A transaction that takes no revision: for what no evaluation depends on, and no document.
    pub async fn aside(&self) -> Result<Connection> {
        self.engine.write().await
    }
}

/// The most comments on one change.
pub const MAX_COMMENTS: i64 = 1000;

fn answer(at: Timestamp, actor: [&str; 3], text: &str) -> Value {
    let [kind, id, name] = actor;
    json!({ "at": at, "actor": { "type": kind, "id": id, "name": name }, "text": text })
}

impl Connection {
    /// The comments on a change, the oldest first.
    pub async fn comments(&mut self, revision: i64) -> Result<Vec<Value>> {
        let sql = "SELECT at, actor_type, actor_id, actor_name, text FROM comments WHERE revision = $1 ORDER BY position";
        let read = |row: &Row| Ok(answer(row.time(0)?, [&row.text(1)?, &row.text(2)?, &row.text(3)?], &row.text(4)?));
        self.rows(sql, params![revision]).await?.iter().map(read).collect()
    }

    /// Adds a comment after those that there are, and answers it; `None` where there are [`MAX_COMMENTS`].
    pub async fn add_comment(
        &mut self,
        revision: i64,
        author: &Author,
        text: &str,
        now: Timestamp,
    ) -> Result<Option<Value>> {
        // Two who comment at once take their places one after the other; SQLite has one writer anyway.
        let lock = Sql::either(
            "SELECT revision FROM changes WHERE revision = $1",
            "SELECT revision FROM changes WHERE revision = $1 FOR NO KEY UPDATE",
        );
        self.rows(lock, params![revision]).await?;
        let row = self.row("SELECT count(*) FROM comments WHERE revision = $1", params![revision]).await?;
        let position = row.map(|row| row.integer(0)).transpose()?.unwrap_or_default();
        if position >= MAX_COMMENTS {
            return Ok(None);
        }
        let sql = "INSERT INTO comments (revision, position, at, actor_type, actor_id, actor_name, text) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let Author { actor_type, id, name, .. } = author;
        self.execute(sql, params![revision, position, now, *actor_type, id.as_str(), name.as_str(), text]).await?;
        Ok(Some(answer(now, [actor_type, id, name], text)))
    }
}
