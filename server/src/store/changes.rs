//! Reading the change log.

use std::collections::BTreeSet;

use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::engine::{Connection, Parameter, Row, params};
use super::flags::stored;
use super::{Edit, Entity};
use crate::error::{Error, Result};

/// Which changes are wanted. Everything set must hold.
#[derive(Debug, Clone, Default)]
pub struct ChangeFilter {
    /// A flag's id.
    pub flag: Option<String>,
    pub environment: Option<String>,
    pub organization: Option<String>,
    pub user: Option<String>,
    /// The id of the key that made the change.
    pub actor: Option<String>,
    pub since: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
    /// Only changes before this revision: the list runs backwards.
    pub before: Option<i64>,
}

macro_rules! columns {
    () => {
        "SELECT c.revision, c.at, c.actor_type, c.actor_id, c.actor_name, c.request_id, c.comment, c.approval FROM changes c "
    };
}

/// One statement for every filter: a parameter that is NULL does not restrict.
const FILTER: &str = concat!(
    columns!(),
    "WHERE (CAST($1 AS BIGINT) IS NULL OR c.revision < $1) AND (CAST($2 AS BIGINT) IS NULL OR c.at >= $2) \
       AND (CAST($3 AS BIGINT) IS NULL OR c.at < $3) AND (CAST($4 AS TEXT) IS NULL OR c.actor_id = $4) \
       AND (CAST($5 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM edits e WHERE e.revision = c.revision AND e.flag = $5)) \
       AND (CAST($6 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM edits e WHERE e.revision = c.revision \
            AND (e.environment = $6 OR e.environment IS NULL))) \
       AND (CAST($7 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM edits e WHERE e.revision = c.revision AND e.organization = $7)) \
       AND (CAST($8 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM edits e WHERE e.revision = c.revision AND e.user_id = $8)) \
     ORDER BY c.revision DESC LIMIT $9"
);

impl Connection {
    /// Changes as the API answers them, the newest first.
    pub async fn changes(&mut self, filter: &ChangeFilter, limit: i64) -> Result<Vec<Value>> {
        let parameters: [Parameter; 9] = [
            filter.before.into(),
            filter.since.into(),
            filter.until.into(),
            filter.actor.clone().into(),
            filter.flag.clone().into(),
            filter.environment.clone().into(),
            filter.organization.clone().into(),
            filter.user.clone().into(),
            limit.into(),
        ];
        let rows = self.rows(FILTER, &parameters).await?;
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            changes.push(self.with_edits(row).await?);
        }
        Ok(changes)
    }

    /// When a flag, one of its settings or one of its overrides was last edited.
    pub async fn flag_touched_at(&mut self, id: &str) -> Result<Timestamp> {
        let sql = "SELECT at FROM changes WHERE revision = (SELECT max(revision) FROM edits WHERE flag = $1)";
        let row = self.row(sql, params![id]).await?;
        row.ok_or_else(|| Error::internal("a flag that no change made"))?.time(0)
    }

    /// When a segment was last edited.
    pub async fn segment_touched_at(&mut self, key: &str) -> Result<Timestamp> {
        let sql = "SELECT at FROM changes WHERE revision = \
                   (SELECT max(revision) FROM edits WHERE entity = 'segment' AND id = $1)";
        let row = self.row(sql, params![key]).await?;
        row.ok_or_else(|| Error::internal("a segment that no change made"))?.time(0)
    }

    pub async fn change(&mut self, revision: i64) -> Result<Value> {
        let row = self.row(concat!(columns!(), "WHERE c.revision = $1"), params![revision]).await?;
        let row = row.ok_or_else(|| Error::not_found("change", &revision.to_string()))?;
        self.with_edits(&row).await
    }

    /// Who made a change, when, and what was said about it: a change without its edits.
    pub async fn authorship(&mut self, revision: i64) -> Result<Value> {
        let row = self.row(concat!(columns!(), "WHERE c.revision = $1"), params![revision]).await?;
        authorship(&row.ok_or_else(|| Error::not_found("change", &revision.to_string()))?)
    }

    /// What a change did to each document, in the order in which it did.
    pub async fn edits(&mut self, revision: i64) -> Result<Vec<Edit>> {
        let sql = "SELECT entity, id, environment, flag, organization, user_id, before, after, erased FROM edits \
                   WHERE revision = $1 ORDER BY position";
        let rows = self.rows(sql, params![revision]).await?;
        let document = |text: Option<String>| text.as_deref().map(stored).transpose();
        let read = |row: &Row| {
            Ok(Edit {
                entity: Entity::parse(&row.text(0)?)?,
                id: row.text(1)?,
                environment: row.maybe_text(2)?,
                flag: row.maybe_text(3)?,
                organization: row.maybe_text(4)?,
                user: row.maybe_text(5)?,
                before: document(row.maybe_text(6)?)?,
                after: document(row.maybe_text(7)?)?,
                erased: row.boolean(8)?,
            })
        };
        rows.iter().map(read).collect()
    }

    async fn with_edits(&mut self, row: &Row) -> Result<Value> {
        let revision = row.integer(0)?;
        let edits = self.edits(revision).await?;
        let mut environments: BTreeSet<String> = edits.iter().filter_map(|edit| edit.environment.clone()).collect();
        if edits.iter().any(|edit| edit.environment.is_none()) {
            environments.extend(self.environments().await?.into_iter().map(|environment| environment.name));
        }
        let mut change = authorship(row)?;
        change["environments"] = json!(environments);
        change["reverts"] = json!(self.reverts(revision).await?);
        change["edits"] = edits.iter().map(Edit::answer).collect();
        Ok(change)
    }
}

impl Edit {
    /// As the API answers it.
    pub(super) fn answer(&self) -> Value {
        let mut answer = json!({
            "entity": self.entity.as_str(), "id": Some(&self.id).filter(|_| !self.erased), "environment": self.environment, "flag": self.flag,
            "organization": self.organization, "user": self.user, "before": self.before, "after": self.after,
        });
        if self.erased {
            answer["erased"] = true.into();
        }
        answer
    }
}

pub(super) fn authorship(row: &Row) -> Result<Value> {
    let mut authorship = json!({
        "revision": row.integer(0)?,
        "at": row.time(1)?,
        "actor": { "type": row.text(2)?, "id": row.text(3)?, "name": row.text(4)? },
        "request_id": row.text(5)?,
        "comment": row.maybe_text(6)?,
    });
    if let Some(approval) = row.maybe_text(7)? {
        authorship["approval"] = stored(&approval)?;
    }
    Ok(authorship)
}
