//! Changes that wait for a second administrator, and what became of them. Each is decided once: every decision is one
//! conditional update, and that of an approval is part of the change itself.

use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::changes::authorship;
use super::engine::{Connection, Row, params};
use super::flags::stored;
use super::{Edit, Entity, Write};
use crate::error::{Error, Result};

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingState {
    Pending,
    Applied,
    Rejected,
    Withdrawn,
}

impl PendingState {
    pub const ALL: [PendingState; 4] = [Self::Pending, Self::Applied, Self::Rejected, Self::Withdrawn];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A change that waits, or waited.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingChange {
    pub id: String,
    pub state: PendingState,
    /// The id of the key that proposed it.
    pub author: String,
    /// The one environment that it is about; `None`: several, or all.
    pub environment: Option<String>,
    /// Who proposed what and why, and what it touches.
    pub document: Value,
    /// The last change when it was proposed.
    pub base_revision: i64,
    pub created_at: Timestamp,
    /// Who decided, when, and why.
    pub decision: Option<Value>,
    /// The change that it became.
    pub revision: Option<i64>,
}

/// Which pending changes are wanted. Everything set must hold.
#[derive(Debug, Clone, Default)]
pub struct PendingFilter {
    pub state: Option<PendingState>,
    /// About this environment, or about more than one.
    pub environment: Option<String>,
    /// About this environment alone.
    pub only: Option<String>,
    pub author: Option<String>,
}

/// An edit's place, by which later ones of the same document are found.
pub fn touch(edit: &Edit) -> Value {
    json!({
        "entity": edit.entity.as_str(), "id": edit.id, "environment": edit.environment, "organization": edit.organization,
        "user": edit.user,
    })
}

impl PendingChange {
    /// What is known of it, but for what was said about it.
    pub fn answer(&self) -> Value {
        let mut answer = self.document.clone();
        answer["id"] = self.id.as_str().into();
        answer["state"] = self.state.as_str().into();
        answer["base_revision"] = self.base_revision.into();
        answer["created_at"] = json!(self.created_at);
        answer["decision"] = json!(self.decision);
        answer["revision"] = self.revision.into();
        answer
    }
}

macro_rules! columns {
    () => {
        "SELECT id, state, author, environment, document, base_revision, created_at, decision, revision \
         FROM pending_changes "
    };
}

impl TryFrom<&Row> for PendingChange {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        let state = row.text(1)?;
        Ok(Self {
            id: row.text(0)?,
            state: PendingState::parse(&state)
                .ok_or_else(|| Error::internal(format!("stored state `{state}` is unknown")))?,
            author: row.text(2)?,
            environment: row.maybe_text(3)?,
            document: stored(&row.text(4)?)?,
            base_revision: row.integer(5)?,
            created_at: row.time(6)?,
            decision: row.maybe_text(7)?.map(|text| stored(&text)).transpose()?,
            revision: row.maybe_integer(8)?,
        })
    }
}

impl Connection {
    pub async fn pending_change(&mut self, id: &str) -> Result<PendingChange> {
        let row = self.row(concat!(columns!(), "WHERE id = $1"), params![id]).await?;
        row.as_ref().map(PendingChange::try_from).transpose()?.ok_or_else(|| Error::not_found("pending change", id))
    }

    /// The newest first, those before the one that `cursor` names.
    pub async fn pending_changes(&mut self, filter: &PendingFilter, cursor: &str, limit: i64) -> Result<Vec<PendingChange>> {
        let sql = concat!(
            columns!(),
            "WHERE (CAST($1 AS TEXT) IS NULL OR state = $1) \
             AND (CAST($2 AS TEXT) IS NULL OR environment IS NULL OR environment = $2) \
             AND (CAST($3 AS TEXT) IS NULL OR environment = $3) AND (CAST($4 AS TEXT) IS NULL OR author = $4) \
             AND ($5 = '' OR number < (SELECT number FROM pending_changes WHERE id = $5)) ORDER BY number DESC LIMIT $6"
        );
        let parameters = params![
            filter.state.map(PendingState::as_str),
            filter.environment.as_deref(),
            filter.only.as_deref(),
            filter.author.as_deref(),
            cursor,
            limit,
        ];
        self.rows(sql, parameters).await?.iter().map(PendingChange::try_from).collect()
    }

    pub async fn insert_pending_change(&mut self, pending: &PendingChange) -> Result<()> {
        let sql = "INSERT INTO pending_changes (id, state, author, environment, document, base_revision, created_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let parameters = params![
            pending.id.as_str(),
            pending.state.as_str(),
            pending.author.as_str(),
            pending.environment.as_deref(),
            pending.document.to_string(),
            pending.base_revision,
            pending.created_at,
        ];
        self.execute(sql, parameters).await.map(drop)
    }

    /// Decides what still waits; `false` where it is decided already. Whoever else decides meanwhile waits for the end of this
    /// transaction.
    pub async fn decide(&mut self, id: &str, state: PendingState, decision: &Value, revision: Option<i64>) -> Result<bool> {
        let sql = "UPDATE pending_changes SET state = $2, decision = $3, revision = $4 WHERE id = $1 AND state = 'pending'";
        let decided = self.execute(sql, params![id, state.as_str(), decision.to_string(), revision]).await?;
        Ok(decided == 1)
    }

    /// Adds what somebody says about it.
    pub async fn comment_on_pending_change(&mut self, id: &str, comment: &Value) -> Result<()> {
        // Whoever else says something meanwhile waits: the comments are counted.
        self.execute("UPDATE pending_changes SET state = state WHERE id = $1", params![id]).await?;
        let sql = "INSERT INTO pending_comments (pending_change, number, document) \
                   SELECT $1, count(*) + 1, $2 FROM pending_comments WHERE pending_change = $1";
        self.execute(sql, params![id, comment.to_string()]).await.map(drop)
    }

    /// What was said about it, in order.
    pub async fn pending_comments(&mut self, id: &str) -> Result<Vec<Value>> {
        let sql = "SELECT document FROM pending_comments WHERE pending_change = $1 ORDER BY number";
        let rows = self.rows(sql, params![id]).await?;
        rows.iter().map(|row| stored(&row.text(0)?)).collect()
    }

    /// The changes since it was proposed to the documents that it touches: who, when, and which.
    pub async fn later_changes(&mut self, pending: &PendingChange) -> Result<Vec<Value>> {
        let sql = "SELECT DISTINCT c.revision, c.at, c.actor_type, c.actor_id, c.actor_name, c.request_id, c.comment, c.approval \
                   FROM edits e JOIN changes c ON c.revision = e.revision WHERE e.revision > $1 AND e.entity = $2 AND e.id = $3 \
                   AND coalesce(e.environment, '') = $4 AND coalesce(e.organization, '') = $5 AND coalesce(e.user_id, '') = $6 \
                   ORDER BY c.revision";
        let mut later: Vec<Value> = Vec::new();
        for touched in pending.document["touches"].as_array().into_iter().flatten() {
            let text = |name: &str| touched[name].as_str().unwrap_or_default();
            let parameters = params![
                pending.base_revision,
                text("entity"),
                text("id"),
                text("environment"),
                text("organization"),
                text("user"),
            ];
            for row in self.rows(sql, parameters).await? {
                let revision = row.integer(0)?;
                let known = later.iter().position(|change| change["revision"] == revision);
                let at = match known {
                    Some(at) => at,
                    None => {
                        let mut change = authorship(&row)?;
                        change["touches"] = json!([]);
                        later.push(change);
                        later.len() - 1
                    }
                };
                if let Some(touches) = later[at]["touches"].as_array_mut() {
                    touches.push(touched.clone());
                }
            }
        }
        later.sort_by_key(|change| change["revision"].as_i64());
        Ok(later)
    }
}

impl Write {
    /// The environments whose approval these edits need: those that asked for it before this write, which cannot let itself
    /// off. What comes by itself with the end of a user or an organization, or with an erasure, needs none, and neither does what
    /// the directory says.
    pub async fn awaiting_approval(&mut self) -> Result<Vec<String>> {
        let gone = |edit: &Edit| {
            self.noted().iter().any(|other| {
                other.after.is_none()
                    && (other.entity == Entity::User && edit.user.as_ref() == Some(&other.id)
                        || other.entity == Entity::Organization && edit.organization.as_ref() == Some(&other.id))
            })
        };
        let decisive: Vec<Edit> = self
            .noted()
            .iter()
            .filter(|edit| edit.is_decided_by_administrators() && !gone(edit) && !self.only_forgets(edit))
            .cloned()
            .collect();
        if decisive.is_empty() {
            return Ok(Vec::new());
        }
        let asked_before = |name: &str, now: bool| {
            let own = decisive.iter().find(|edit| edit.entity == Entity::Environment && edit.id == name);
            own.map_or(now, |edit| edit.before.as_ref().is_some_and(|before| before["approvals"] == true))
        };
        let mut names: Vec<(String, bool)> =
            self.environments().await?.into_iter().map(|found| (found.name, found.approvals)).collect();
        let deleted = decisive.iter().filter(|edit| edit.entity == Entity::Environment && edit.after.is_none());
        names.extend(deleted.map(|edit| (edit.id.clone(), false)));
        let asking = names.into_iter().filter(|(name, now)| asked_before(name, *now)).map(|(name, _)| name);
        let touched = |name: &String| {
            decisive.iter().any(|edit| edit.environment.as_ref().is_none_or(|environment| environment == name))
        };
        Ok(asking.filter(touched).collect())
    }
}
