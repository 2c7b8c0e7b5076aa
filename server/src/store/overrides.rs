//! Overrides: one flag's value for one user everywhere, or for one organization in one environment.

use flagbearer::flag::{Flag, FlagType, FlagValue};
use flagbearer::setting::Override;
use flagbearer::subject::SubjectKind;
use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::engine::{Connection, Row, params};
use super::flags::{StoredFlag, stored, to_value};
use super::{Edit, Entity, Write};
use crate::error::{Error, Result};

/// Where an override stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level<'a> {
    /// In every environment and every organization.
    User(&'a str),
    Organization {
        organization: &'a str,
        environment: &'a str,
    },
}

impl<'a> Level<'a> {
    pub fn name(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Organization { .. } => "organization",
        }
    }

    pub fn subject(self) -> &'a str {
        match self {
            Self::User(user) => user,
            Self::Organization { organization, .. } => organization,
        }
    }

    /// Empty for a user's.
    pub(super) fn environment(self) -> &'a str {
        match self {
            Self::User(_) => "",
            Self::Organization { environment, .. } => environment,
        }
    }

    fn of(level: &str, subject: &'a str, environment: &'a str) -> Self {
        match level {
            "user" => Self::User(subject),
            _ => Self::Organization { organization: subject, environment },
        }
    }
}

/// An override with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOverride {
    pub level: String,
    pub subject: String,
    /// Empty for a user's.
    pub environment: String,
    pub document: Override,
    pub revision: i64,
}

impl StoredOverride {
    pub fn place(&self) -> Level<'_> {
        Level::of(&self.level, &self.subject, &self.environment)
    }

    /// As lists answer it.
    pub fn answer(&self) -> Result<Value> {
        let mut value = to_value(&self.document)?;
        value["level"] = self.level.clone().into();
        value[self.level.as_str()] = self.subject.clone().into();
        if let Level::Organization { environment, .. } = self.place() {
            value["environment"] = environment.into();
        }
        value["revision"] = self.revision.into();
        Ok(value)
    }
}

/// An override of a boolean flag, as far as it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BooleanOverride {
    /// The flag's id.
    pub flag: String,
    pub kind: SubjectKind,
    pub subject: String,
    pub value: bool,
    pub expires_at: Option<Timestamp>,
}

impl BooleanOverride {
    /// Whether it is there at this instant.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

macro_rules! columns {
    () => {
        "SELECT level, subject, environment, value, note, expires_at, revision FROM overrides "
    };
}

fn read(row: &Row, flag: &Flag) -> Result<StoredOverride> {
    let value = FlagValue::from_text(&row.text(3)?, flag.flag_type).map_err(Error::internal)?;
    Ok(StoredOverride {
        level: row.text(0)?,
        subject: row.text(1)?,
        environment: row.text(2)?,
        document: Override { value, note: row.maybe_text(4)?, expires_at: row.maybe_time(5)? },
        revision: row.integer(6)?,
    })
}

impl Connection {
    pub async fn override_at(&mut self, flag: &Flag, level: Level<'_>) -> Result<Option<StoredOverride>> {
        let sql = concat!(columns!(), "WHERE level = $1 AND subject = $2 AND environment = $3 AND flag = $4");
        let parameters = params![level.name(), level.subject(), level.environment(), &*flag.id];
        let row = self.row(sql, parameters).await?;
        row.map(|row| read(&row, flag)).transpose()
    }

    /// The overrides that stand at one place, each with its flag, in order of the flags' keys.
    pub async fn overrides_at(&mut self, level: Level<'_>) -> Result<Vec<(StoredFlag, StoredOverride)>> {
        let sql = "SELECT o.level, o.subject, o.environment, o.value, o.note, o.expires_at, o.revision, \
                   f.document, f.revision, f.created_revision, f.created_at, f.updated_at, f.archived_at \
                   FROM overrides o JOIN flags f ON f.id = o.flag \
                   WHERE o.level = $1 AND o.subject = $2 AND o.environment = $3 ORDER BY f.key";
        let rows = self.rows(sql, params![level.name(), level.subject(), level.environment()]).await?;
        let both = |row: &Row| {
            let flag = StoredFlag::read(row, 7)?;
            let found = read(row, &flag.flag)?;
            Ok((flag, found))
        };
        rows.iter().map(both).collect()
    }

    /// A flag's overrides in order of level, environment and subject: those after the place in `after`.
    pub async fn overrides_of(
        &mut self,
        flag: &Flag,
        environment: Option<&str>,
        level: Option<&str>,
        after: (&str, &str, &str),
        limit: i64,
    ) -> Result<Vec<StoredOverride>> {
        let sql = concat!(
            columns!(),
            "WHERE flag = $1 AND (CAST($2 AS TEXT) IS NULL OR environment = $2) \
             AND (CAST($3 AS TEXT) IS NULL OR level = $3) AND (level, environment, subject) > ($4, $5, $6) \
             ORDER BY level, environment, subject LIMIT $7"
        );
        let parameters = params![&*flag.id, environment, level, after.0, after.1, after.2, limit];
        self.rows(sql, parameters).await?.iter().map(|row| read(row, flag)).collect()
    }

    /// How many overrides a flag has at each level and, for organizations, in each environment.
    pub async fn count_overrides(&mut self, flag: &Flag) -> Result<Vec<(String, String, i64)>> {
        let sql = "SELECT level, environment, count(*) FROM overrides WHERE flag = $1 \
                   GROUP BY level, environment ORDER BY level, environment";
        let rows = self.rows(sql, params![&*flag.id]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.integer(2)?))).collect()
    }

    /// The overrides of a flag at a level that may hold somebody out of a change, in order of subject. Nobody is held out of
    /// a boolean's `true` by an override that says `true`.
    pub async fn holdout_candidates(
        &mut self,
        flag: &Flag,
        level: &str,
        environment: &str,
        limit: i64,
    ) -> Result<Vec<StoredOverride>> {
        let sql = concat!(
            columns!(),
            "WHERE flag = $1 AND level = $2 AND environment = $3 AND ($4 = 0 OR value <> 'true') ORDER BY subject LIMIT $5"
        );
        let boolean = flag.flag_type == FlagType::Boolean;
        let rows = self.rows(sql, params![&*flag.id, level, environment, boolean, limit]).await?;
        rows.iter().map(|row| read(row, flag)).collect()
    }

    /// The overrides that a flag has for members of an organization, in order of user.
    pub async fn overrides_of_members(
        &mut self,
        flag: &Flag,
        organization: &str,
        limit: i64,
    ) -> Result<Vec<StoredOverride>> {
        let sql = concat!(
            columns!(),
            "WHERE flag = $1 AND level = 'user' AND environment = '' AND EXISTS \
             (SELECT 1 FROM memberships m WHERE m.organization = $2 AND m.user_id = overrides.subject) \
             ORDER BY subject LIMIT $3"
        );
        self.rows(sql, params![&*flag.id, organization, limit]).await?.iter().map(|row| read(row, flag)).collect()
    }

    /// The flags (by key) that a user's or an organization's overrides are of, each with its environment.
    pub async fn overridden(&mut self, level: &str, subject: &str) -> Result<Vec<(String, String)>> {
        let sql = "SELECT f.key, o.environment FROM overrides o JOIN flags f ON f.id = o.flag \
                   WHERE o.level = $1 AND o.subject = $2 ORDER BY f.key, o.environment";
        let rows = self.rows(sql, params![level, subject]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// Every override of boolean flags that bears on an environment, users' among them, in order of flag and subject.
    pub async fn boolean_overrides(&mut self, environment: &str) -> Result<Vec<BooleanOverride>> {
        // A JSON flag's override may be `true` as well: whoever asks looks for flags that are boolean.
        let sql = "SELECT flag, level, subject, value, expires_at FROM overrides WHERE value IN ('true', 'false') \
                   AND environment IN ('', $1) ORDER BY flag, level, subject";
        let rows = self.rows(sql, params![environment]).await?;
        let read = |row: &Row| {
            Ok(BooleanOverride {
                flag: row.text(0)?,
                kind: if row.text(1)? == "user" { SubjectKind::User } else { SubjectKind::Organization },
                subject: row.text(2)?,
                value: row.text(3)? == "true",
                expires_at: row.maybe_time(4)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The different values that a flag's overrides hold at a level; `environment` is '' for users'.
    pub async fn override_values(&mut self, flag: &Flag, level: &str, environment: &str) -> Result<Vec<FlagValue>> {
        let sql = "SELECT DISTINCT value FROM overrides WHERE flag = $1 AND level = $2 AND environment = $3";
        let rows = self.rows(sql, params![&*flag.id, level, environment]).await?;
        let read = |row: &Row| FlagValue::from_text(&row.text(0)?, flag.flag_type).map_err(Error::internal);
        rows.iter().map(read).collect()
    }
}

impl Write {
    /// Sets an override, in place of the one that stands there.
    pub async fn put_override(&mut self, flag: &Flag, level: Level<'_>, after: &Override) -> Result<StoredOverride> {
        let before = self.override_at(flag, level).await?;
        let sql = "INSERT INTO overrides (level, subject, environment, flag, value, note, expires_at, revision) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (level, subject, environment, flag) DO UPDATE \
                   SET value = excluded.value, note = excluded.note, expires_at = excluded.expires_at, \
                   revision = excluded.revision";
        let mut value = String::new();
        after.value.write_json(&mut value);
        let parameters = params![
            level.name(),
            level.subject(),
            level.environment(),
            &*flag.id,
            value,
            after.note.as_deref(),
            after.expires_at,
            self.revision,
        ];
        self.execute(sql, parameters).await?;
        self.record(edit(flag, level, before.map(|before| before.document).as_ref(), Some(after))?);
        Ok(StoredOverride {
            level: level.name().to_owned(),
            subject: level.subject().to_owned(),
            environment: level.environment().to_owned(),
            document: after.clone(),
            revision: self.revision,
        })
    }

    pub async fn delete_override(&mut self, flag: &Flag, before: &StoredOverride) -> Result<()> {
        let level = before.place();
        let sql = "DELETE FROM overrides WHERE level = $1 AND subject = $2 AND environment = $3 AND flag = $4";
        self.execute(sql, params![level.name(), level.subject(), level.environment(), &*flag.id]).await?;
        self.record(edit(flag, level, Some(&before.document), None)?);
        Ok(())
    }

    /// Removes a flag's overrides, of one level or environment where said, and answers which there were.
    pub async fn drop_overrides(
        &mut self,
        flag: &Flag,
        environment: Option<&str>,
        level: Option<&str>,
    ) -> Result<Vec<StoredOverride>> {
        let dropped = self.overrides_of(flag, environment, level, ("", "", ""), i64::MAX).await?;
        for stored in &dropped {
            self.delete_override(flag, stored).await?;
        }
        Ok(dropped)
    }
}

impl Write {
    /// Removes every override of a user or an organization that is being deleted.
    pub async fn drop_overrides_of_subject(&mut self, level: &str, subject: &str) -> Result<()> {
        let sql = "DELETE FROM overrides WHERE level = $1 AND subject = $2 \
                   RETURNING level, subject, environment, flag, value, note, expires_at";
        let rows = self.rows(sql, params![level, subject]).await?;
        self.record_dropped(&rows)
    }

    /// Removes every organization's override in an environment that is being deleted.
    pub(super) async fn drop_overrides_of_environment(&mut self, environment: &str) -> Result<()> {
        let sql = "DELETE FROM overrides WHERE level = 'organization' AND environment = $1 \
                   RETURNING level, subject, environment, flag, value, note, expires_at";
        let rows = self.rows(sql, params![environment]).await?;
        self.record_dropped(&rows)
    }

    fn record_dropped(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let (level, subject, environment, flag) = (row.text(0)?, row.text(1)?, row.text(2)?, row.text(3)?);
            let before = json!({
                "value": stored(&row.text(4)?)?, "note": row.maybe_text(5)?, "expires_at": row.maybe_time(6)?,
            });
            let edit = Edit::new(Entity::Override, &flag, Some(before), None).flag(&flag);
            self.record(placed(edit, Level::of(&level, &subject, &environment)));
        }
        Ok(())
    }
}

fn edit(flag: &Flag, level: Level<'_>, before: Option<&Override>, after: Option<&Override>) -> Result<Edit> {
    let before = before.map(to_value).transpose()?;
    let after = after.map(to_value).transpose()?;
    Ok(placed(Edit::new(Entity::Override, &*flag.id, before, after).flag(&flag.id), level))
}

fn placed(edit: Edit, level: Level<'_>) -> Edit {
    match level {
        Level::User(user) => edit.user(user),
        Level::Organization { organization, environment } => edit.organization(organization).environment(environment),
    }
}
