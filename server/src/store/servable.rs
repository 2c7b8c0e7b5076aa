//! Everything that a flag could serve in an environment, as far as it matters for the size of claims: of overrides, however many
//! there are, only the longest and the shortest of each level, which an index finds.

use flagbearer::claim::Weighed;
use flagbearer::flag::{Flag, FlagValue};
use flagbearer::setting::Setting;
use serde_json::json;

use super::Level;
use super::engine::{Connection, Row, Sql, params};
use super::flags::{StoredFlag, parse_setting};
use crate::error::{Error, Result};

/// A flag in an environment.
#[derive(Debug, Clone)]
pub struct Servable {
    pub stored: StoredFlag,
    pub setting: Setting,
    /// The longest and the shortest override, users' and then organizations': for of the two boolean values the shorter may
    /// count.
    pub overrides: [Vec<FlagValue>; 2],
}

impl Servable {
    pub fn weigh(self) -> Weighed {
        Weighed::new(self.stored.flag, &self.setting, self.overrides.iter().flatten())
    }
}

macro_rules! extreme {
    ($at:literal, $order:literal) => {
        concat!(
            "(SELECT v.value FROM overrides v WHERE v.flag = f.id AND ",
            $at,
            " ORDER BY octet_length(v.value) ",
            $order,
            " LIMIT 1)"
        )
    };
}

macro_rules! servable {
    ($condition:literal) => {
        concat!(
            "SELECT f.document, f.revision, f.created_revision, f.created_at, f.updated_at, f.archived_at, s.document, ",
            extreme!("v.level = 'user' AND v.environment = ''", "DESC"),
            ", ",
            extreme!("v.level = 'user' AND v.environment = ''", "ASC"),
            ", ",
            extreme!("v.level = 'organization' AND v.environment = $1", "DESC"),
            ", ",
            extreme!("v.level = 'organization' AND v.environment = $1", "ASC"),
            " FROM flags f LEFT JOIN settings s ON s.flag = f.id AND s.environment = $1 WHERE ",
            $condition
        )
    };
}

/// `$2` the ids of the flags as a JSON array.
const THESE: Sql = Sql::either(
    servable!("f.id IN (SELECT value FROM json_each($2))"),
    servable!("f.id = ANY (ARRAY(SELECT value COLLATE \"C\" FROM json_array_elements_text(CAST($2 AS JSON))))"),
);

/// `$2` how many. The length is the index's last column, so that the rest of the flag's overrides are not read.
macro_rules! extremes {
    ($order:literal) => {
        concat!(
            "SELECT subject, value FROM overrides WHERE flag = $1 AND level = $2 AND environment = $3 \
             ORDER BY octet_length(value) ",
            $order,
            " LIMIT $4"
        )
    };
}

impl Connection {
    /// Every living flag, weighed for an environment's claims.
    pub async fn weighed(&mut self, environment: &str) -> Result<Vec<Weighed>> {
        let rows = self.rows(servable!("f.archived_at IS NULL"), params![environment]).await?;
        rows.iter().map(|row| Servable::read(row).map(Servable::weigh)).collect()
    }

    /// The flags with these ids, archived ones too.
    pub async fn servable(&mut self, environment: &str, ids: &[&str]) -> Result<Vec<Servable>> {
        let rows = self.rows(THESE, params![environment, json!(ids).to_string()]).await?;
        rows.iter().map(Servable::read).collect()
    }

    /// So many of the longest overrides of a flag at a level, and so many of the shortest, each with its subject. Whose the
    /// level is does not matter, but in which environment.
    pub async fn extreme_overrides(&mut self, flag: &Flag, at: Level<'_>, count: usize) -> Result<Vec<(String, FlagValue)>> {
        let mut found = Vec::new();
        for sql in [extremes!("DESC"), extremes!("ASC")] {
            for row in self.rows(sql, params![&*flag.id, at.name(), at.environment(), count as i64]).await? {
                found.push((row.text(0)?, value(&row.text(1)?, flag)?));
            }
        }
        Ok(found)
    }
}

impl Servable {
    fn read(row: &Row) -> Result<Self> {
        let stored = StoredFlag::read(row, 0)?;
        let setting = parse_setting(row.maybe_text(6)?, &stored.flag)?;
        let pair = |first: usize| -> Result<Vec<FlagValue>> {
            let texts = [row.maybe_text(first)?, row.maybe_text(first + 1)?];
            texts.iter().flatten().map(|text| value(text, &stored.flag)).collect()
        };
        let overrides = [pair(7)?, pair(9)?];
        Ok(Self { setting, overrides, stored })
    }
}

fn value(text: &str, flag: &Flag) -> Result<FlagValue> {
    FlagValue::from_text(text, flag.flag_type).map_err(Error::internal)
}
