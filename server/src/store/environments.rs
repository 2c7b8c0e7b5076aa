//! Environments.

use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::engine::{Connection, Row, params};
use super::flags::stored;
use super::{Edit, Entity, Write};
use crate::error::{Error, Result};

/// An environment: its own settings, keys, applications and sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    pub name: String,
    /// The default environment: its issuer is the public URL itself.
    pub standard: bool,
    /// Only administrators may change it.
    pub protected: bool,
    /// What changes who is served what here waits for a second administrator.
    pub approvals: bool,
    /// Whoever comes to its sign-in page may make an account.
    pub sign_up: bool,
    /// Its issuer is `https://<host>`. Never changes: tokens and readers know it by that URL.
    pub host: Option<String>,
    /// The last change that touches it: `flags_rev` of its tokens.
    pub revision: i64,
    /// The last change to what its ruleset holds.
    pub ruleset_revision: i64,
    /// The last change to this document.
    pub document_revision: i64,
    pub created_at: Timestamp,
    /// Older tokens are to be refreshed.
    pub min_revision: i64,
}

macro_rules! columns {
    () => {
        "SELECT name, standard, protected, sign_up, host, revision, ruleset_revision, document_revision, created_at, \
         min_revision, approvals FROM environments "
    };
}

impl TryFrom<&Row> for Environment {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            name: row.text(0)?,
            standard: row.boolean(1)?,
            protected: row.boolean(2)?,
            sign_up: row.boolean(3)?,
            host: row.maybe_text(4)?,
            revision: row.integer(5)?,
            ruleset_revision: row.integer(6)?,
            document_revision: row.integer(7)?,
            created_at: row.time(8)?,
            min_revision: row.integer(9)?,
            approvals: row.boolean(10)?,
        })
    }
}

impl Environment {
    /// An environment that is to be, closed to strangers, at a path of the public URL.
    pub fn new(name: impl Into<String>, now: Timestamp) -> Self {
        Self {
            name: name.into(),
            standard: false,
            protected: false,
            approvals: false,
            sign_up: false,
            host: None,
            revision: 0,
            ruleset_revision: 0,
            document_revision: 0,
            created_at: now,
            min_revision: 0,
        }
    }

    /// The document as it stands in the change log.
    pub fn document(&self) -> Value {
        json!({
            "name": self.name, "default": self.standard, "protected": self.protected, "approvals": self.approvals,
            "sign_up": self.sign_up, "host": self.host,
        })
    }
}

impl Connection {
    /// All environments, the default one first.
    pub async fn environments(&mut self) -> Result<Vec<Environment>> {
        let rows = self.rows(concat!(columns!(), "ORDER BY standard DESC, name"), &[]).await?;
        rows.iter().map(Environment::try_from).collect()
    }

    pub async fn environment(&mut self, name: &str) -> Result<Environment> {
        let row = self.row(concat!(columns!(), "WHERE name = $1"), params![name]).await?;
        row.as_ref().map(Environment::try_from).transpose()?.ok_or_else(|| Error::not_found("environment", name))
    }
}

impl Connection {
    /// The environment that a host is bound to.
    pub async fn environment_of_host(&mut self, host: &str) -> Result<Option<String>> {
        let row = self.row("SELECT name FROM environments WHERE host = $1", params![host]).await?;
        row.map(|row| row.text(0)).transpose()
    }
}

impl Write {
    pub async fn insert_environment(&mut self, environment: &mut Environment) -> Result<()> {
        let revision = self.revision;
        environment.revision = revision;
        environment.ruleset_revision = revision;
        environment.document_revision = revision;
        let sql = "INSERT INTO environments \
                   (name, standard, protected, sign_up, host, revision, ruleset_revision, document_revision, created_at, approvals) \
                   VALUES ($1, $2, $3, $4, $5, $6, $6, $6, $7, $8)";
        let parameters = params![
            environment.name.as_str(),
            environment.standard,
            environment.protected,
            environment.sign_up,
            environment.host.as_deref(),
            revision,
            environment.created_at,
            environment.approvals,
        ];
        self.execute(sql, parameters).await?;
        let edit = Edit::new(Entity::Environment, &environment.name, None, Some(environment.document()));
        self.record(edit.environment(&environment.name));
        Ok(())
    }

    pub async fn update_environment(&mut self, before: &Environment, after: &mut Environment) -> Result<()> {
        after.document_revision = self.revision;
        let sql = "UPDATE environments SET protected = $2, sign_up = $3, document_revision = $4, approvals = $5 \
                   WHERE name = $1";
        let parameters = params![after.name.as_str(), after.protected, after.sign_up, self.revision, after.approvals];
        self.execute(sql, parameters).await?;
        let edit = Edit::new(Entity::Environment, &before.name, Some(before.document()), Some(after.document()));
        self.record(edit.environment(&before.name));
        Ok(())
    }

    /// Whether an environment of this name was ever there. Its name stays taken: tokens and readers know it by its URL.
    pub async fn environment_was(&mut self, name: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM edits WHERE entity = 'environment' AND id = $1 LIMIT 1";
        Ok(!self.rows(sql, params![name]).await?.is_empty())
    }

    /// Removes an environment with all that it alone holds: settings and organization overrides, each noted in the log,
    /// signing keys, API keys and identity providers.
    pub async fn delete_environment(&mut self, environment: &Environment) -> Result<()> {
        let name = environment.name.as_str();
        let sql = "DELETE FROM settings WHERE environment = $1 RETURNING flag, document";
        for row in self.rows(sql, params![name]).await? {
            let flag = row.text(0)?;
            let edit = Edit::new(Entity::Setting, &flag, Some(stored(&row.text(1)?)?), None);
            self.record(edit.environment(name).flag(&flag));
        }
        self.drop_overrides_of_environment(name).await?;
        for sql in [
            "DELETE FROM signing_keys WHERE environment = $1",
            "DELETE FROM api_keys WHERE environment = $1",
            "DELETE FROM identity_providers WHERE environment = $1",
            "DELETE FROM password_resets WHERE environment = $1",
            "DELETE FROM environments WHERE name = $1",
        ] {
            self.execute(sql, params![name]).await?;
        }
        self.record(Edit::new(Entity::Environment, name, Some(environment.document()), None).environment(name));
        Ok(())
    }
}
