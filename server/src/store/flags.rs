//! Flags and their settings.

use flagbearer::flag::Flag;
use flagbearer::setting::Setting;
use flagbearer::timestamp::Timestamp;
use serde_json::Value;

use super::engine::{Connection, Parameter, Row, params};
use super::{Edit, Entity, Write};
use crate::error::{Error, Result};

/// A flag that lives or is archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFlag {
    pub flag: Flag,
    pub revision: i64,
    pub created_revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub archived_at: Option<Timestamp>,
}

impl StoredFlag {
    /// The flag, unless it is archived: then it is absent from rulesets and tokens.
    pub fn living(&self) -> Option<&Flag> {
        self.archived_at.is_none().then_some(&self.flag)
    }

    /// The document as it stands in the change log.
    pub fn document(&self) -> Result<Value> {
        let mut document = to_value(&self.flag)?;
        document["archived_at"] = to_value(&self.archived_at)?;
        Ok(document)
    }

    /// What a document of the change log says: the flag, and since when it was archived.
    pub fn parse_document(document: &Value) -> Result<(Flag, Option<Timestamp>)> {
        let mut document = document.clone();
        let archived_at = document.as_object_mut().and_then(|members| members.remove("archived_at")).unwrap_or_default();
        let archived_at = archived_at.as_str().map(str::parse).transpose().map_err(Error::internal)?;
        Ok((Flag::from_stored(&document).map_err(Error::internal)?, archived_at))
    }
}

/// A setting as stored, or the standard one where none is.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSetting {
    pub setting: Setting,
    pub revision: i64,
    /// Whether the watermark holds the off value against older tokens.
    pub killed: bool,
}

/// Which flags are wanted.
#[derive(Debug, Clone, Default)]
pub struct FlagFilter {
    /// Part of the key or the name, without regard to the case of ASCII letters: that is what both engines know.
    pub query: Option<String>,
    pub tag: Option<String>,
    pub kind: Option<String>,
    pub archived: bool,
}

macro_rules! columns {
    () => {
        "SELECT document, revision, created_revision, created_at, updated_at, archived_at FROM flags "
    };
}

impl StoredFlag {
    /// Reads the columns above, which begin at a place in the row.
    pub(super) fn read(row: &Row, first: usize) -> Result<Self> {
        Ok(Self {
            flag: Flag::from_stored(&stored(&row.text(first)?)?).map_err(Error::internal)?,
            revision: row.integer(first + 1)?,
            created_revision: row.integer(first + 2)?,
            created_at: row.time(first + 3)?,
            updated_at: row.time(first + 4)?,
            archived_at: row.maybe_time(first + 5)?,
        })
    }
}

impl TryFrom<&Row> for StoredFlag {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Self::read(row, 0)
    }
}

impl Connection {
    pub async fn flag(&mut self, key: &str) -> Result<StoredFlag> {
        self.find_flag(key).await?.ok_or_else(|| Error::not_found("flag", key))
    }

    pub async fn find_flag(&mut self, key: &str) -> Result<Option<StoredFlag>> {
        let row = self.row(concat!(columns!(), "WHERE key = $1"), params![key]).await?;
        row.as_ref().map(StoredFlag::try_from).transpose()
    }

    pub async fn find_flag_by_id(&mut self, id: &str) -> Result<Option<StoredFlag>> {
        let row = self.row(concat!(columns!(), "WHERE id = $1"), params![id]).await?;
        row.as_ref().map(StoredFlag::try_from).transpose()
    }

    /// In order of key, those after `cursor`.
    pub async fn flags(&mut self, filter: &FlagFilter, cursor: &str, limit: i64) -> Result<Vec<StoredFlag>> {
        let sql = super::engine::Sql::either(
            concat!(
                columns!(),
                "WHERE key > $1 AND (archived_at IS NOT NULL) = ($2 = 1) \
                 AND ($3 IS NULL OR instr(lower(key), $3) > 0 OR instr(lower(json_extract(document, '$.name')), $3) > 0) \
                 AND ($4 IS NULL OR EXISTS (SELECT 1 FROM json_each(document, '$.tags') WHERE value = $4)) \
                 AND ($5 IS NULL OR json_extract(document, '$.kind') = $5) ORDER BY key LIMIT $6"
            ),
            concat!(
                columns!(),
                "WHERE key > $1 AND (archived_at IS NOT NULL) = ($2 = 1) \
                 AND (CAST($3 AS TEXT) IS NULL OR strpos(lower(key), $3) > 0 \
                      OR strpos(lower((document::jsonb ->> 'name') COLLATE \"C\"), $3) > 0) \
                 AND (CAST($4 AS TEXT) IS NULL OR document::jsonb -> 'tags' ? $4) \
                 AND (CAST($5 AS TEXT) IS NULL OR document::jsonb ->> 'kind' = $5) ORDER BY key LIMIT $6"
            ),
        );
        let parameters: [Parameter; 6] = [
            cursor.into(),
            filter.archived.into(),
            filter.query.as_deref().map(str::to_ascii_lowercase).into(),
            filter.tag.clone().into(),
            filter.kind.clone().into(),
            limit.into(),
        ];
        self.rows(sql, &parameters).await?.iter().map(StoredFlag::try_from).collect()
    }

    /// Whether the key of another flag begins like this.
    pub async fn is_prefix_shared(&mut self, flag: &Flag, prefix: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM flags WHERE substr(key, 1, length($1)) = $1 AND id <> $2 LIMIT 1";
        Ok(self.row(sql, params![prefix, &*flag.id]).await?.is_some())
    }

    /// Every living flag with its setting in one environment: what a ruleset is compiled from.
    pub async fn living_settings(&mut self, environment: &str) -> Result<Vec<(Flag, Setting)>> {
        let sql = "SELECT f.document, s.document FROM flags f \
                   LEFT JOIN settings s ON s.flag = f.id AND s.environment = $1 WHERE f.archived_at IS NULL";
        let mut settings = Vec::new();
        for row in self.rows(sql, params![environment]).await? {
            let flag = Flag::from_stored(&stored(&row.text(0)?)?).map_err(Error::internal)?;
            let setting = parse_setting(row.maybe_text(1)?, &flag)?;
            settings.push((flag, setting));
        }
        Ok(settings)
    }

    pub async fn setting(&mut self, stored: &StoredFlag, environment: &str) -> Result<StoredSetting> {
        let sql = "SELECT s.document, s.revision, k.revision FROM settings s \
                   LEFT JOIN kills k ON k.flag = s.flag AND k.environment = s.environment \
                   WHERE s.flag = $1 AND s.environment = $2";
        let row = self.row(sql, params![&*stored.flag.id, environment]).await?;
        let Some(row) = row else {
            return Ok(StoredSetting { setting: Setting::default(), revision: stored.created_revision, killed: false });
        };
        let setting = parse_setting(Some(row.text(0)?), &stored.flag)?;
        Ok(StoredSetting { setting, revision: row.integer(1)?, killed: row.maybe_integer(2)?.is_some() })
    }

    /// The settings of all flags, archived ones too, that are stored for an environment: the flag's key and the setting.
    pub async fn stored_settings(&mut self, environment: &str) -> Result<Vec<(String, Setting)>> {
        let sql = "SELECT f.document, s.document FROM settings s JOIN flags f ON f.id = s.flag WHERE s.environment = $1";
        let mut settings = Vec::new();
        for row in self.rows(sql, params![environment]).await? {
            let flag = Flag::from_stored(&stored(&row.text(0)?)?).map_err(Error::internal)?;
            let setting = parse_setting(Some(row.text(1)?), &flag)?;
            settings.push((flag.key.to_string(), setting));
        }
        Ok(settings)
    }

    /// Every flag's setting in an environment, in order of key: those after `cursor`.
    pub async fn settings(
        &mut self,
        environment: &str,
        cursor: &str,
        limit: i64,
    ) -> Result<Vec<(StoredFlag, StoredSetting)>> {
        let sql = "SELECT f.document, f.revision, f.created_revision, f.created_at, f.updated_at, f.archived_at, \
                   s.document, s.revision, k.revision FROM flags f \
                   LEFT JOIN settings s ON s.flag = f.id AND s.environment = $1 \
                   LEFT JOIN kills k ON k.flag = f.id AND k.environment = $1 \
                   WHERE f.key > $2 AND f.archived_at IS NULL ORDER BY f.key LIMIT $3";
        let mut settings = Vec::new();
        for row in self.rows(sql, params![environment, cursor, limit]).await? {
            let flag = StoredFlag::try_from(&row)?;
            let setting = parse_setting(row.maybe_text(6)?, &flag.flag)?;
            let revision = row.maybe_integer(7)?.unwrap_or(flag.created_revision);
            let killed = row.maybe_integer(8)?.is_some();
            settings.push((flag, StoredSetting { setting, revision, killed }));
        }
        Ok(settings)
    }
}

impl Write {
    /// Stores a flag that is new, or that was deleted and is there again.
    pub async fn insert_flag(&mut self, flag: Flag, archived_at: Option<Timestamp>) -> Result<StoredFlag> {
        let (revision, now) = (self.revision, self.now);
        let stored =
            StoredFlag { flag, revision, created_revision: revision, created_at: now, updated_at: now, archived_at };
        let document = to_value(&stored.flag)?.to_string();
        let sql = "INSERT INTO flags (id, key, document, revision, created_revision, created_at, updated_at, archived_at) \
                   VALUES ($1, $2, $3, $4, $4, $5, $5, $6)";
        let parameters = params![&*stored.flag.id, stored.flag.key.as_str(), document, revision, now, archived_at];
        self.execute(sql, parameters).await?;
        self.record(Edit::new(Entity::Flag, &*stored.flag.id, None, Some(stored.document()?)).flag(&stored.flag.id));
        Ok(stored)
    }

    /// Stores what changed of a flag: its document, or whether it is archived.
    pub async fn update_flag(&mut self, before: &StoredFlag, after: &mut StoredFlag) -> Result<()> {
        after.revision = self.revision;
        after.updated_at = self.now;
        let document = to_value(&after.flag)?.to_string();
        let sql = "UPDATE flags SET document = $2, revision = $3, updated_at = $4, archived_at = $5 WHERE id = $1";
        self.execute(sql, params![&*after.flag.id, document, after.revision, after.updated_at, after.archived_at]).await?;
        let edit = Edit::new(Entity::Flag, &*before.flag.id, Some(before.document()?), Some(after.document()?));
        self.record(edit.flag(&before.flag.id));
        match after.archived_at {
            Some(_) => self.unkill(&after.flag, None).await,
            None => self.renew_kills(&before.flag, &after.flag).await,
        }
    }

    /// Deletes a flag with its settings and overrides, each noted in the log.
    pub async fn delete_flag(&mut self, stored: &StoredFlag) -> Result<()> {
        let id = &*stored.flag.id;
        self.drop_overrides(&stored.flag, None, None).await?;
        self.unkill(&stored.flag, None).await?;
        for environment in self.environments().await? {
            let found = self.setting(stored, &environment.name).await?;
            if found.revision != stored.created_revision || found.setting != Setting::default() {
                self.record(setting_edit(&stored.flag, &environment.name, Some(&found.setting), None)?);
            }
        }
        self.execute("DELETE FROM flags WHERE id = $1", params![id]).await?;
        self.record(Edit::new(Entity::Flag, id, Some(stored.document()?), None).flag(id));
        Ok(())
    }

    /// Replaces a setting whole. One that is enabled is not killed any more.
    pub async fn put_setting(&mut self, flag: &Flag, environment: &str, before: &Setting, after: &Setting) -> Result<()> {
        let sql = "INSERT INTO settings (flag, environment, document, revision) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (flag, environment) DO UPDATE SET document = excluded.document, revision = excluded.revision";
        self.execute(sql, params![&*flag.id, environment, to_value(after)?.to_string(), self.revision]).await?;
        self.record(setting_edit(flag, environment, Some(before), Some(after))?);
        if after.enabled {
            self.unkill(flag, Some(environment)).await?;
        }
        Ok(())
    }
}

fn setting_edit(flag: &Flag, environment: &str, before: Option<&Setting>, after: Option<&Setting>) -> Result<Edit> {
    let before = before.map(to_value).transpose()?;
    let after = after.map(to_value).transpose()?;
    Ok(Edit::new(Entity::Setting, &*flag.id, before, after).environment(environment).flag(&flag.id))
}

pub(super) fn parse_setting(text: Option<String>, flag: &Flag) -> Result<Setting> {
    match text {
        None => Ok(Setting::default()),
        Some(text) => Setting::parse(&stored(&text)?, flag).map_err(Error::internal),
    }
}

/// A document that we stored ourselves.
pub(super) fn stored(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(Error::internal)
}

pub(crate) fn to_value(document: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(document).map_err(Error::internal)
}
