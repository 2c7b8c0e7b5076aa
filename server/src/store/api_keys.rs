//! API keys: looked up by their hash, never stored.

use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::engine::{Connection, Row, params};
use super::{Edit, Entity, Write};
use crate::error::{Error, Result};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads everything.
    Viewer,
    /// Evaluates, and starts and ends sessions: what a backend needs.
    Application,
    /// Changes flags, settings and overrides in unprotected environments.
    Editor,
    /// Everything.
    Administrator,
}

impl Role {
    pub const ALL: [Role; 4] = [Self::Viewer, Self::Application, Self::Editor, Self::Administrator];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Application => "application",
            Self::Editor => "editor",
            Self::Administrator => "administrator",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: String,
    pub name: String,
    pub role: Role,
    /// The one environment that it is bound to; `None` where it is not bound.
    pub environment: Option<String>,
    pub created_at: Timestamp,
    pub revision: i64,
}

impl ApiKey {
    /// Whether it may do for an environment's applications what they may do themselves.
    pub fn serves(&self, environment: &str) -> bool {
        self.role != Role::Viewer && self.environment.as_ref().is_none_or(|bound| bound == environment)
    }

    /// What is known of a key without knowing it.
    pub fn document(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "role": self.role.as_str(), "environment": self.environment })
    }
}

macro_rules! columns {
    () => {
        "SELECT id, name, role, environment, created_at, revision FROM api_keys "
    };
}

impl TryFrom<&Row> for ApiKey {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        let role = row.text(2)?;
        Ok(Self {
            id: row.text(0)?,
            name: row.text(1)?,
            role: Role::parse(&role).ok_or_else(|| Error::internal(format!("stored role `{role}` is unknown")))?,
            environment: row.maybe_text(3)?,
            created_at: row.time(4)?,
            revision: row.integer(5)?,
        })
    }
}

impl Connection {
    pub async fn api_key_by_hash(&mut self, hash: &str) -> Result<Option<ApiKey>> {
        let row = self.row(concat!(columns!(), "WHERE hash = $1"), params![hash]).await?;
        row.as_ref().map(ApiKey::try_from).transpose()
    }

    pub async fn api_key(&mut self, id: &str) -> Result<Option<ApiKey>> {
        let row = self.row(concat!(columns!(), "WHERE id = $1"), params![id]).await?;
        row.as_ref().map(ApiKey::try_from).transpose()
    }

    /// How many keys may administer the installation.
    pub async fn administrators(&mut self) -> Result<i64> {
        let sql = "SELECT count(*) FROM api_keys WHERE role = 'administrator' AND environment IS NULL";
        self.row(sql, &[]).await?.ok_or_else(|| Error::internal("keys could not be counted"))?.integer(0)
    }

    /// In order of id, those after `cursor`.
    pub async fn api_keys(&mut self, cursor: &str, limit: i64) -> Result<Vec<ApiKey>> {
        let rows = self.rows(concat!(columns!(), "WHERE id > $1 ORDER BY id LIMIT $2"), params![cursor, limit]).await?;
        rows.iter().map(ApiKey::try_from).collect()
    }
}

impl Write {
    /// Stores a key under the hash of its secret, in place of one with the same id.
    pub async fn put_api_key(&mut self, key: &ApiKey, hash: &str) -> Result<()> {
        let sql = "INSERT INTO api_keys (id, hash, name, role, environment, created_at, revision) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) \
                   ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, name = excluded.name, role = excluded.role";
        let parameters = params![
            key.id.as_str(),
            hash,
            key.name.as_str(),
            key.role.as_str(),
            key.environment.as_deref(),
            key.created_at,
            key.revision,
        ];
        self.execute(sql, parameters).await?;
        self.record(edit(None, Some(key), key));
        Ok(())
    }

    pub async fn rename_api_key(&mut self, before: &ApiKey, after: &ApiKey) -> Result<()> {
        let sql = "UPDATE api_keys SET name = $2, revision = $3 WHERE id = $1";
        self.execute(sql, params![after.id.as_str(), after.name.as_str(), after.revision]).await?;
        self.record(edit(Some(before), Some(after), after));
        Ok(())
    }

    pub async fn delete_api_key(&mut self, key: &ApiKey) -> Result<()> {
        self.execute("DELETE FROM api_keys WHERE id = $1", params![key.id.as_str()]).await?;
        self.record(edit(Some(key), None, key));
        Ok(())
    }
}

fn edit(before: Option<&ApiKey>, after: Option<&ApiKey>, place: &ApiKey) -> Edit {
    let edit = Edit::new(Entity::ApiKey, &place.id, before.map(ApiKey::document), after.map(ApiKey::document));
    match &place.environment {
        Some(environment) => edit.environment(environment),
        None => edit,
    }
}
