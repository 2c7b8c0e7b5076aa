//! Killed flags, and what an environment's watermark is made of. An entry holds no value: that is the flag's own off value.
//! Entries come and go with the writes of flags and settings themselves, so that no way of writing them can forget it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flagbearer::flag::{Flag, FlagKey};
use flagbearer::token::Kill;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::engine::{Connection, Engine, Row, params};
use super::flags::stored;
use super::{Edit, Entity, Inner, SigningKeys, Store, Write};
use crate::error::{Error, Result};

/// Where an environment has come to, as far as its watermark depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tide {
    /// The last change that touches the environment.
    pub revision: i64,
    /// The last change to its signing keys.
    pub keys_revision: i64,
}

/// Everything that a watermark is made of, from one snapshot.
#[derive(Debug, Clone)]
pub struct WatermarkFacts {
    pub tide: Tide,
    pub min_revision: i64,
    pub kills: BTreeMap<FlagKey, Kill>,
    pub signing_keys: Arc<SigningKeys>,
}

fn tide(row: &Row) -> Result<Tide> {
    Ok(Tide { revision: row.integer(0)?, keys_revision: row.integer(1)? })
}

impl Store {
    /// One cheap row, to be asked often.
    pub async fn tide(&self, environment: &str) -> Result<Tide> {
        let sql = "SELECT revision, keys_revision FROM environments WHERE name = $1";
        let row = self.read().await?.row(sql, params![environment]).await?;
        tide(&row.ok_or_else(|| Error::not_found("environment", environment))?)
    }

    pub async fn watermark_facts(&self, environment: &str) -> Result<WatermarkFacts> {
        let mut connection = self.read().await?;
        let sql = "SELECT revision, keys_revision, min_revision FROM environments WHERE name = $1";
        let row = connection.row(sql, params![environment]).await?;
        let row = row.ok_or_else(|| Error::not_found("environment", environment))?;
        let tide = tide(&row)?;
        Ok(WatermarkFacts {
            tide,
            min_revision: row.integer(2)?,
            kills: connection.kills(environment).await?,
            signing_keys: self.signing_keys_at(&mut connection, environment, tide.keys_revision).await?,
        })
    }
}

impl Inner {
    /// Changes made through this process, as they become visible.
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.changes.subscribe()
    }

    /// Whether others may change the same database, unseen by [`Inner::changes`].
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres { .. })
    }
}

impl Connection {
    async fn kills(&mut self, environment: &str) -> Result<BTreeMap<FlagKey, Kill>> {
        let sql = "SELECT f.document, k.revision FROM kills k JOIN flags f ON f.id = k.flag WHERE k.environment = $1";
        let mut kills = BTreeMap::new();
        for row in self.rows(sql, params![environment]).await? {
            let flag = Flag::from_stored(&stored(&row.text(0)?)?).map_err(Error::internal)?;
            let kill = Kill { value: flag.off_value().clone(), revision: row.integer(1)? };
            kills.insert(flag.key, kill);
        }
        Ok(kills)
    }

    pub async fn is_killed(&mut self, flag: &Flag, environment: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM kills WHERE flag = $1 AND environment = $2";
        Ok(self.row(sql, params![&*flag.id, environment]).await?.is_some())
    }
}

/// An entry as it stands in the change log.
fn document(flag: &Flag) -> Value {
    json!({ "key": flag.key.as_str(), "type": flag.flag_type.as_str(), "value": flag.off_value().to_json() })
}

impl Write {
    /// Holds a flag's off value against every token that was made before this change.
    pub async fn kill(&mut self, flag: &Flag, environment: &str) -> Result<()> {
        let before = self.is_killed(flag, environment).await?.then(|| document(flag));
        let sql = "INSERT INTO kills (flag, environment, revision) VALUES ($1, $2, $3) \
                   ON CONFLICT (flag, environment) DO UPDATE SET revision = excluded.revision";
        self.execute(sql, params![&*flag.id, environment, self.revision]).await?;
        self.record_kill(flag, environment, before, Some(document(flag)));
        Ok(())
    }

    /// Takes a flag's entry away where there is one; in every environment where none is named.
    pub async fn unkill(&mut self, flag: &Flag, environment: Option<&str>) -> Result<()> {
        let sql =
            "DELETE FROM kills WHERE flag = $1 AND (CAST($2 AS TEXT) IS NULL OR environment = $2) RETURNING environment";
        for row in self.rows(sql, params![&*flag.id, environment]).await? {
            self.record_kill(flag, &row.text(0)?, Some(document(flag)), None);
        }
        Ok(())
    }

    /// Another off value: what was made under the former one is older than the entry too.
    pub(super) async fn renew_kills(&mut self, before: &Flag, after: &Flag) -> Result<()> {
        if before.off_value() == after.off_value() {
            return Ok(());
        }
        let sql = "UPDATE kills SET revision = $2 WHERE flag = $1 RETURNING environment";
        let revision = self.revision;
        for row in self.rows(sql, params![&*after.id, revision]).await? {
            self.record_kill(after, &row.text(0)?, Some(document(before)), Some(document(after)));
        }
        Ok(())
    }

    fn record_kill(&mut self, flag: &Flag, environment: &str, before: Option<Value>, after: Option<Value>) {
        self.record(Edit::new(Entity::Kill, &*flag.id, before, after).environment(environment).flag(&flag.id));
    }

    /// Makes every older token of an environment stale.
    pub async fn raise_minimum(&mut self, environment: &str) -> Result<()> {
        let before = self.row("SELECT min_revision FROM environments WHERE name = $1", params![environment]).await?;
        let Some(before) = before else { return Ok(()) };
        let sql = "UPDATE environments SET min_revision = $2 WHERE name = $1";
        self.execute(sql, params![environment, self.revision]).await?;
        let said = |revision: i64| Some(json!({ "min_revision": revision }));
        let edit = Edit::new(Entity::MinRevision, environment, said(before.integer(0)?), said(self.revision));
        self.record(edit.environment(environment));
        Ok(())
    }
}
