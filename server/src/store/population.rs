//! Who is there to be served: living sessions, users and organizations page by page, and the facts about each page's subjects.
//! Every statement is bounded by its page, however many there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flagbearer::attributes::Attributes;
use flagbearer::flag::{Flag, FlagValue};
use flagbearer::place::{Part, Place};
use flagbearer::setting::Override;
use flagbearer::subject::SubjectKind;
use flagbearer::timestamp::Timestamp;
use serde_json::Value;

use super::directory::attributes;
use super::engine::{Connection, Row, Sql, params};
use super::flags::{stored, to_value};
use crate::error::{Error, Result};

/// How many are read at once.
const PAGE: i64 = 10_000;

/// A living session, as far as its next token depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivingSession {
    pub id: String,
    pub environment: String,
    /// The application's client id.
    pub application: String,
    pub user: String,
    pub organization: Option<String>,
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub rotated_at: Option<Timestamp>,
    pub absolute_expires_at: Timestamp,
}

/// Which living sessions are looked at: those of whole environments, and those of single subjects in all the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    pub environments: BTreeSet<String>,
    pub users: BTreeSet<String>,
    pub organizations: BTreeSet<String>,
    pub applications: BTreeSet<String>,
}

impl Reached {
    /// Whether sessions are looked at for their own sake, wherever they are.
    pub fn names_somebody(&self) -> bool {
        !(self.users.is_empty() && self.organizations.is_empty() && self.applications.is_empty())
    }
}

macro_rules! columns {
    () => {
        "SELECT s.id, s.environment, s.application, s.user_id, s.organization, s.created_at, s.rotated_at, \
         s.absolute_expires_at FROM sessions s "
    };
}

/// A JSON list of texts as rows, in either engine.
macro_rules! sqlite_list {
    ($parameter:literal) => {
        concat!("(SELECT value FROM json_each(", $parameter, "))")
    };
}
macro_rules! postgres_list {
    ($parameter:literal) => {
        concat!("(SELECT value FROM json_array_elements_text(CAST(", $parameter, " AS JSON)))")
    };
}

macro_rules! of_environments {
    ($list:expr) => {
        concat!(
            columns!(),
            "WHERE s.id > $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND s.environment IN ",
            $list,
            " ORDER BY s.id LIMIT $3"
        )
    };
}

macro_rules! of_subjects {
    ($users:expr, $organizations:expr, $applications:expr, $elsewhere:expr) => {
        concat!(
            columns!(),
            "JOIN (SELECT id FROM sessions WHERE user_id IN ",
            $users,
            " UNION SELECT id FROM sessions WHERE organization IN ",
            $organizations,
            " UNION SELECT id FROM sessions WHERE application IN ",
            $applications,
            ") named ON named.id = s.id WHERE s.id > $1 AND s.revoked_at IS NULL AND s.expires_at > $2 \
             AND s.environment NOT IN ",
            $elsewhere,
            " ORDER BY s.id LIMIT $3"
        )
    };
}

const OF_ENVIRONMENTS: Sql = Sql::either(of_environments!(sqlite_list!("$4")), of_environments!(postgres_list!("$4")));

const OF_SUBJECTS: Sql = Sql::either(
    of_subjects!(sqlite_list!("$5"), sqlite_list!("$6"), sqlite_list!("$7"), sqlite_list!("$4")),
    of_subjects!(postgres_list!("$5"), postgres_list!("$6"), postgres_list!("$7"), postgres_list!("$4")),
);

fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    Value::from_iter(texts).to_string()
}

impl TryFrom<&Row> for LivingSession {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text(0)?,
            environment: row.text(1)?,
            application: row.text(2)?,
            user: row.text(3)?,
            organization: row.maybe_text(4)?,
            created_at: row.time(5)?,
            rotated_at: row.maybe_time(6)?,
            absolute_expires_at: row.time(7)?,
        })
    }
}

impl Connection {
    /// A page of the living sessions of the environments that are reached as a whole: those after `cursor`, by id. An empty
    /// page is the end.
    pub async fn sessions_of_environments(
        &mut self,
        reached: &Reached,
        now: Timestamp,
        cursor: &str,
    ) -> Result<Vec<LivingSession>> {
        let environments = list(reached.environments.iter().map(String::as_str));
        let rows = self.rows(OF_ENVIRONMENTS, params![cursor, now, PAGE, environments]).await?;
        rows.iter().map(LivingSession::try_from).collect()
    }

    /// The same of the subjects that are named, in all other environments.
    pub async fn sessions_of_subjects(
        &mut self,
        reached: &Reached,
        now: Timestamp,
        cursor: &str,
    ) -> Result<Vec<LivingSession>> {
        let [environments, users, organizations, applications] =
            [&reached.environments, &reached.users, &reached.organizations, &reached.applications]
                .map(|names| list(names.iter().map(String::as_str)));
        let parameters = params![cursor, now, PAGE, environments, users, organizations, applications];
        self.rows(OF_SUBJECTS, parameters).await?.iter().map(LivingSession::try_from).collect()
    }

    /// A page of the ids of all users or organizations: those after `cursor`, in order. An empty page is the end.
    pub async fn subject_ids(&mut self, kind: SubjectKind, cursor: &str) -> Result<Vec<String>> {
        let sql = match kind {
            SubjectKind::User => "SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2",
            SubjectKind::Organization => "SELECT id FROM organizations WHERE id > $1 ORDER BY id LIMIT $2",
        };
        self.rows(sql, params![cursor, PAGE]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// The attributes of those of the subjects that have some.
    pub async fn attributes_of(&mut self, kind: SubjectKind, ids: &BTreeSet<&str>) -> Result<HashMap<String, Attributes>> {
        let sql = match kind {
            SubjectKind::User => Sql::either(
                concat!("SELECT id, attributes FROM users WHERE attributes <> '{}' AND id IN ", sqlite_list!("$1")),
                concat!("SELECT id, attributes FROM users WHERE attributes <> '{}' AND id IN ", postgres_list!("$1")),
            ),
            SubjectKind::Organization => Sql::either(
                concat!("SELECT id, attributes FROM organizations WHERE attributes <> '{}' AND id IN ", sqlite_list!("$1")),
                concat!(
                    "SELECT id, attributes FROM organizations WHERE attributes <> '{}' AND id IN ",
                    postgres_list!("$1")
                ),
            ),
        };
        let rows = self.rows(sql, params![list(ids.iter().copied())]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, attributes(&row.text(1)?)?))).collect()
    }

    /// Whether any of these flags has overrides at a level; `environment` is '' for users'.
    pub async fn any_overrides(
        &mut self,
        flags: &BTreeMap<Arc<str>, Flag>,
        level: SubjectKind,
        environment: &str,
    ) -> Result<bool> {
        let sql = Sql::either(
            concat!(
                "SELECT 1 FROM overrides WHERE level = $2 AND environment = $3 AND flag IN ",
                sqlite_list!("$1"),
                " LIMIT 1"
            ),
            concat!(
                "SELECT 1 FROM overrides WHERE level = $2 AND environment = $3 AND flag IN ",
                postgres_list!("$1"),
                " LIMIT 1"
            ),
        );
        let parameters = params![list(flags.keys().map(|id| &**id)), level.as_str(), environment];
        Ok(self.row(sql, parameters).await?.is_some())
    }

    /// The overrides that some subjects have of these flags; `environment` is '' for users'.
    pub async fn overrides_among(
        &mut self,
        flags: &BTreeMap<Arc<str>, Flag>,
        level: SubjectKind,
        environment: &str,
        subjects: &BTreeSet<&str>,
    ) -> Result<HashMap<String, Vec<(Arc<str>, Override)>>> {
        let sql = Sql::either(
            concat!(
                "SELECT subject, flag, value, expires_at FROM overrides WHERE level = $1 AND environment = $2 AND flag IN ",
                sqlite_list!("$3"),
                " AND subject IN ",
                sqlite_list!("$4")
            ),
            concat!(
                "SELECT subject, flag, value, expires_at FROM overrides WHERE level = $1 AND environment = $2 AND flag IN ",
                postgres_list!("$3"),
                " AND subject IN ",
                postgres_list!("$4")
            ),
        );
        let (ids, subjects) = (list(flags.keys().map(|id| &**id)), list(subjects.iter().copied()));
        let mut found: HashMap<String, Vec<(Arc<str>, Override)>> = HashMap::new();
        for row in self.rows(sql, params![level.as_str(), environment, ids, subjects]).await? {
            let Some(flag) = flags.get(row.text(1)?.as_str()) else { continue };
            let value = FlagValue::from_text(&row.text(2)?, flag.flag_type).map_err(Error::internal)?;
            let held = Override { value, note: None, expires_at: row.maybe_time(3)? };
            found.entry(row.text(0)?).or_default().push((flag.id.clone(), held));
        }
        Ok(found)
    }

    /// An environment as a place without a user or an organization: its flags, archived ones too, their settings and all
    /// segments. Only the flags with these ids, where some are named.
    pub async fn environment_place(&mut self, environment: &str, only: Option<&BTreeSet<&str>>) -> Result<Place> {
        let sql = "SELECT f.id, f.document, f.archived_at, s.document FROM flags f \
                   LEFT JOIN settings s ON s.flag = f.id AND s.environment = $1";
        let mut place = Place::new(None, None);
        let mut put = |part, id: &str, document: &Value| place.put(part, id, Some(document)).map_err(Error::internal);
        for row in self.rows(sql, params![environment]).await? {
            let id = row.text(0)?;
            if only.is_some_and(|only| !only.contains(id.as_str())) {
                continue;
            }
            let mut document = stored(&row.text(1)?)?;
            document["archived_at"] = to_value(&row.maybe_time(2)?)?;
            put(Part::Flag, &id, &document)?;
            if let Some(setting) = row.maybe_text(3)? {
                put(Part::Setting, &id, &stored(&setting)?)?;
            }
        }
        for row in self.rows("SELECT key, document FROM segments", &[]).await? {
            put(Part::Segment, &row.text(0)?, &stored(&row.text(1)?)?)?;
        }
        Ok(place)
    }
}
