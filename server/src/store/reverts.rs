//! What has to be known before a change is taken back, and which changes were.

use serde_json::Value;

use super::engine::{Connection, params};
use crate::error::Result;

/// So many later changes are listed.
const LISTED: i64 = 100;

/// Later edits of what a change edited. Kills follow their flags and settings. An edit that left its document as it was
/// does not count.
macro_rules! later {
    ($($condition:literal)*) => {
        concat!(
            "SELECT l.revision FROM edits e JOIN edits l ON l.revision > $1 AND ",
            $($condition,)*
            " WHERE e.revision = $1 AND (l.before IS NULL OR l.after IS NULL OR l.before <> l.after)"
        )
    };
}

/// Each branch has its own index. What a change created goes away with everything that was said about it since.
const LATER: &str = concat!(
    "SELECT x.revision FROM (",
    later!(
        "e.entity IN ('flag', 'setting', 'segment', 'organization', 'user', 'environment', 'application') \
         AND l.entity = e.entity AND l.id = e.id AND l.environment IS NOT DISTINCT FROM e.environment"
    ),
    " UNION ",
    later!("e.entity = 'override' AND l.entity = 'override' AND l.user_id = e.user_id AND l.id = e.id"),
    " UNION ",
    later!(
        "e.entity = 'override' AND l.entity = 'override' AND l.organization = e.organization \
         AND l.environment = e.environment AND l.id = e.id"
    ),
    " UNION ",
    later!("e.entity = 'membership' AND l.entity = 'membership' AND l.id = e.id AND l.user_id = e.user_id"),
    " UNION ",
    later!("e.entity = 'flag' AND e.before IS NULL AND l.flag = e.id"),
    " UNION ",
    later!("e.entity = 'organization' AND e.before IS NULL AND l.organization = e.id"),
    " UNION ",
    later!("e.entity = 'user' AND e.before IS NULL AND l.user_id = e.id"),
    ") x ORDER BY x.revision LIMIT $2"
);

impl Connection {
    /// The changes after a revision that touched what it touched: who made them and when, the oldest first.
    pub async fn changes_since(&mut self, revision: i64) -> Result<Vec<Value>> {
        let mut changes = Vec::new();
        for row in self.rows(LATER, params![revision, LISTED]).await? {
            changes.push(self.authorship(row.integer(0)?).await?);
        }
        Ok(changes)
    }

    /// The changes that a change took back.
    pub async fn reverts(&mut self, revision: i64) -> Result<Vec<i64>> {
        let sql = "SELECT reverted FROM reverts WHERE revision = $1 ORDER BY reverted";
        self.rows(sql, params![revision]).await?.iter().map(|row| row.integer(0)).collect()
    }

    /// The changes that took a change back.
    pub async fn reverted_by(&mut self, revision: i64) -> Result<Vec<i64>> {
        let sql = "SELECT revision FROM reverts WHERE reverted = $1 ORDER BY revision";
        self.rows(sql, params![revision]).await?.iter().map(|row| row.integer(0)).collect()
    }
}
