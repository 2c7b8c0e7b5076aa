//! Who is there to be served: living sessions, users and organizations page by page, and the facts about each page's subjects.
//! Every statement is bounded by its page, however many there are. The database packs what it finds into one text each time:
//! handing over row after row costs several times what reading the text does.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flagbearer::attributes::Attributes;
use flagbearer::flag::{Flag, FlagValue};
use flagbearer::place::{Part, Place};
use flagbearer::setting::Override;
use flagbearer::subject::SubjectKind;
use flagbearer::timestamp::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::engine::{Connection, Parameter, Sql, params};
use super::flags::{stored, to_value};
use crate::error::{Error, Result};

/// How many are read at once. The attributes of so many fit into one text (1 GB in either engine) at their very largest.
const PAGE: i64 = 4_000;

/// A living session, as far as its next token depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LivingSession<'p> {
    #[serde(borrow)]
    pub id: Cow<'p, str>,
    #[serde(borrow)]
    pub environment: Cow<'p, str>,
    /// The application's client id.
    #[serde(borrow)]
    pub application: Cow<'p, str>,
    #[serde(borrow)]
    pub user: Cow<'p, str>,
    #[serde(borrow)]
    pub organization: Option<Cow<'p, str>>,
    #[serde(deserialize_with = "time")]
    pub created_at: Timestamp,
    /// When it was last refreshed.
    #[serde(deserialize_with = "maybe_time")]
    pub rotated_at: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    pub absolute_expires_at: Timestamp,
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    i64::deserialize(deserializer).map(Timestamp::from_milliseconds)
}

fn maybe_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(Timestamp::from_milliseconds))
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

/// Rows as a JSON list of lists.
#[derive(Debug, Default)]
struct Packed(String);

impl Packed {
    fn rows<'p, R: Deserialize<'p>>(&'p self) -> Result<Vec<R>> {
        serde_json::from_str(&self.0).map_err(Error::internal)
    }
}

/// Ids of users or of organizations, as the database takes and gives them.
#[derive(Debug)]
pub struct Ids(Packed);

impl Ids {
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        Self(Packed(Value::from_iter(texts).to_string()))
    }

    pub fn read(&self) -> Result<Vec<Cow<'_, str>>> {
        Ok(self.0.rows::<Id<'_>>()?.into_iter().map(|Id(id)| id).collect())
    }

    fn as_str(&self) -> &str {
        &self.0.0
    }
}

/// Without this a text is copied, although it could be borrowed.
#[derive(Deserialize)]
struct Id<'p>(#[serde(borrow)] Cow<'p, str>);

/// A page of living sessions, by user and id.
#[derive(Debug)]
pub struct SessionPage {
    sessions: Packed,
    /// Whose they are, as often as they occur.
    pub users: Ids,
    /// The same; without any organization it is `null`, which is nobody's id.
    pub organizations: Ids,
    /// Where the next page begins; `None` where this was the last.
    pub next: Option<SessionCursor>,
}

/// The last session of a page: its user and its id.
#[derive(Debug, Clone, Default)]
pub struct SessionCursor(String, String);

/// Users or organizations next to each other in the order of their ids.
#[derive(Debug)]
pub struct Span {
    /// Begins with the first id after this one.
    pub after: String,
    /// The last id.
    pub to: String,
}

/// Whose facts are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// Theirs alone.
    Of(&'a Ids),
    /// Everybody's in between: much faster where most of them are wanted.
    In(&'a Span),
}

impl SessionPage {
    pub fn read(&self) -> Result<Vec<LivingSession<'_>>> {
        self.sessions.rows()
    }
}

/// A page of users or of organizations.
#[derive(Debug)]
pub struct SubjectPage {
    pub ids: Ids,
    /// The last of them.
    pub last: String,
}

/// Attributes of some users or organizations.
#[derive(Debug, Default)]
pub struct PackedAttributes(Option<Packed>);

#[derive(Deserialize)]
struct AttributesRow<'p>(#[serde(borrow)] Cow<'p, str>, #[serde(borrow)] Cow<'p, str>);

impl PackedAttributes {
    /// Those with these names, by whose they are.
    pub fn read(&self, names: &BTreeSet<&str>) -> Result<HashMap<Cow<'_, str>, Attributes>> {
        let Some(packed) = &self.0 else { return Ok(HashMap::new()) };
        let rows = packed.rows::<AttributesRow<'_>>()?.into_iter();
        let read = rows.map(|AttributesRow(id, text)| {
            Ok((id, Attributes::read_some(&text, |name| names.contains(name)).map_err(Error::internal)?))
        });
        read.collect()
    }
}

/// Overrides of some flags that some users or organizations have.
#[derive(Debug, Default)]
pub struct PackedOverrides(Option<Packed>);

#[derive(Deserialize)]
struct OverrideRow<'p>(
    #[serde(borrow)] Cow<'p, str>,
    #[serde(borrow)] Cow<'p, str>,
    #[serde(borrow)] Cow<'p, str>,
    Option<i64>,
);

/// Overrides with their flags' ids, by whose they are.
pub type OverridesOf<'p> = HashMap<Cow<'p, str>, Vec<(Arc<str>, Override)>>;

impl PackedOverrides {
    /// Those of `flags`, and of no others.
    pub fn read(&self, flags: &BTreeMap<Arc<str>, Flag>) -> Result<OverridesOf<'_>> {
        let mut found = OverridesOf::new();
        let Some(packed) = &self.0 else { return Ok(found) };
        for OverrideRow(subject, flag, value, expires_at) in packed.rows()? {
            let Some(flag) = flags.get(&*flag) else { continue };
            let value = FlagValue::from_text(&value, flag.flag_type).map_err(Error::internal)?;
            let held = Override { value, note: None, expires_at: expires_at.map(Timestamp::from_milliseconds) };
            found.entry(subject).or_default().push((flag.id.clone(), held));
        }
        Ok(found)
    }
}

fn names(names: &BTreeSet<String>) -> String {
    Ids::of(names.iter().map(String::as_str)).0.0
}

/// A statement in both spellings.
macro_rules! either {
    ($statement:ident $(, $which:tt)*) => {
        Sql::either($statement!(sqlite $(, $which)*), $statement!(postgres $(, $which)*))
    };
}

/// Is one of a JSON list of texts.
macro_rules! among {
    (sqlite, $parameter:literal) => {
        concat!(" IN (SELECT value FROM json_each(", $parameter, "))")
    };
    // Not `IN`, of which PostgreSQL makes a join: it would sort all sessions for each page.
    (postgres, $parameter:literal) => {
        concat!(" = ANY (ARRAY(SELECT json_array_elements_text(CAST(", $parameter, " AS JSON))))")
    };
}

/// One value, or several columns, of all rows as a JSON list.
macro_rules! packed {
    (sqlite, $column:literal) => {
        concat!("json_group_array(", $column, ")")
    };
    (postgres, $column:literal) => {
        concat!("CAST(json_agg(", $column, ") AS TEXT)")
    };
    (sqlite, $($column:literal),+) => {
        concat!("json_group_array(json_array(", packed!(@ $($column),+), "))")
    };
    (postgres, $($column:literal),+) => {
        concat!("CAST(json_agg(json_build_array(", packed!(@ $($column),+), ")) AS TEXT)")
    };
    (@ $first:literal $(, $column:literal)*) => {
        concat!($first $(, ", ", $column)*)
    };
}

/// A page of sessions, of those that `$from` says.
macro_rules! page_of_sessions {
    ($engine:ident, $from:expr) => {
        concat!(
            "WITH page AS (SELECT s.id, s.environment, s.application, s.user_id, s.organization, s.created_at, s.rotated_at, \
             s.absolute_expires_at FROM sessions s ",
            $from,
            " AND (s.user_id, s.id) > ($1, $2) AND s.revoked_at IS NULL AND s.expires_at > $3 \
             ORDER BY s.user_id, s.id LIMIT $4) SELECT ",
            packed!(
                $engine,
                "id",
                "environment",
                "application",
                "user_id",
                "organization",
                "created_at",
                "rotated_at",
                "absolute_expires_at"
            ),
            ", ",
            packed!($engine, "user_id"),
            ", ",
            packed!($engine, "organization"),
            ", count(*), max(user_id), max(CASE WHEN user_id = (SELECT max(user_id) FROM page) THEN id END) FROM page"
        )
    };
}

macro_rules! of_environments {
    ($engine:ident) => {
        page_of_sessions!(
            $engine,
            concat!("WHERE s.environment", among!($engine, "$5"), " AND s.user_id > $6 AND s.user_id <= $7")
        )
    };
}

macro_rules! of_subjects {
    ($engine:ident) => {
        page_of_sessions!(
            $engine,
            concat!(
                "JOIN (SELECT id FROM sessions WHERE user_id",
                among!($engine, "$6"),
                " UNION SELECT id FROM sessions WHERE organization",
                among!($engine, "$7"),
                " UNION SELECT id FROM sessions WHERE application",
                among!($engine, "$8"),
                ") named ON named.id = s.id WHERE NOT s.environment",
                among!($engine, "$5")
            )
        )
    };
}

macro_rules! ids {
    ($engine:ident, $table:literal) => {
        concat!(
            "SELECT ",
            packed!($engine, "id"),
            ", max(id) FROM (SELECT id FROM ",
            $table,
            " WHERE id > $1 ORDER BY id LIMIT $2) page"
        )
    };
}

macro_rules! attributes {
    ($engine:ident, $table:literal, of) => {
        concat!(attributes!($engine, $table), among!($engine, "$1"))
    };
    ($engine:ident, $table:literal, in) => {
        concat!(attributes!($engine, $table), " > $1 AND id <= $2")
    };
    ($engine:ident, $table:literal) => {
        concat!("SELECT ", packed!($engine, "id", "attributes"), " FROM ", $table, " WHERE attributes <> '{}' AND id")
    };
}

macro_rules! some_override {
    ($engine:ident) => {
        concat!("SELECT 1 FROM overrides WHERE level = $2 AND environment = $3 AND flag", among!($engine, "$1"), " LIMIT 1")
    };
}

macro_rules! overrides {
    ($engine:ident, of) => {
        concat!(overrides!($engine), among!($engine, "$4"))
    };
    ($engine:ident, in) => {
        concat!(overrides!($engine), " > $4 AND subject <= $5")
    };
    ($engine:ident) => {
        concat!(
            "SELECT ",
            packed!($engine, "subject", "flag", "value", "expires_at"),
            " FROM overrides WHERE level = $1 AND environment = $2 AND flag",
            among!($engine, "$3"),
            " AND subject"
        )
    };
}

impl Connection {
    /// A page of the living sessions that the users of a span have in the environments that are reached as a whole. `None`
    /// where there are no more.
    pub async fn sessions_of_environments(
        &mut self,
        reached: &Reached,
        now: Timestamp,
        span: &Span,
        cursor: &SessionCursor,
    ) -> Result<Option<SessionPage>> {
        let SessionCursor(user, session) = cursor;
        let environments = names(&reached.environments);
        let parameters =
            params![user.as_str(), session.as_str(), now, PAGE, environments, span.after.as_str(), span.to.as_str()];
        self.session_page(either!(of_environments), parameters).await
    }

    /// The same of the subjects that are named, in all other environments.
    pub async fn sessions_of_subjects(
        &mut self,
        reached: &Reached,
        now: Timestamp,
        cursor: &SessionCursor,
    ) -> Result<Option<SessionPage>> {
        let SessionCursor(user, session) = cursor;
        let [environments, users, organizations, applications] =
            [&reached.environments, &reached.users, &reached.organizations, &reached.applications].map(names);
        let parameters =
            params![user.as_str(), session.as_str(), now, PAGE, environments, users, organizations, applications];
        self.session_page(either!(of_subjects), parameters).await
    }

    async fn session_page(&mut self, sql: Sql, parameters: &[Parameter]) -> Result<Option<SessionPage>> {
        let Some(row) = self.row(sql, parameters).await? else { return Ok(None) };
        let Some(user) = row.maybe_text(4)? else { return Ok(None) };
        let sessions = Packed(row.text(0)?);
        let (users, organizations) = (Ids(Packed(row.text(1)?)), Ids(Packed(row.text(2)?)));
        let next = if row.integer(3)? < PAGE { None } else { Some(SessionCursor(user, row.text(5)?)) };
        Ok(Some(SessionPage { sessions, users, organizations, next }))
    }

    /// A page of the ids of all users or organizations: those after `cursor`, in order. `None` is the end.
    pub async fn subject_ids(&mut self, kind: SubjectKind, cursor: &str) -> Result<Option<SubjectPage>> {
        let sql = match kind {
            SubjectKind::User => either!(ids, "users"),
            SubjectKind::Organization => either!(ids, "organizations"),
        };
        let Some(row) = self.row(sql, params![cursor, PAGE]).await? else { return Ok(None) };
        let Some(last) = row.maybe_text(1)? else { return Ok(None) };
        Ok(Some(SubjectPage { ids: Ids(Packed(row.text(0)?)), last }))
    }

    /// The attributes of those of the subjects that have some.
    pub async fn attributes_of(&mut self, kind: SubjectKind, whose: Whose<'_>) -> Result<PackedAttributes> {
        let found = match whose {
            Whose::Of(ids) => {
                let sql = match kind {
                    SubjectKind::User => either!(attributes, "users", of),
                    SubjectKind::Organization => either!(attributes, "organizations", of),
                };
                self.packed(sql, params![ids.as_str()]).await
            }
            Whose::In(span) => {
                let sql = match kind {
                    SubjectKind::User => either!(attributes, "users", in),
                    SubjectKind::Organization => either!(attributes, "organizations", in),
                };
                self.packed(sql, params![span.after.as_str(), span.to.as_str()]).await
            }
        };
        found.map(PackedAttributes)
    }

    /// Whether any of these flags has overrides at a level; `environment` is '' for users'.
    pub async fn any_overrides(
        &mut self,
        flags: &BTreeMap<Arc<str>, Flag>,
        level: SubjectKind,
        environment: &str,
    ) -> Result<bool> {
        let parameters = params![Ids::of(flags.keys().map(|id| &**id)).as_str(), level.as_str(), environment];
        Ok(self.row(either!(some_override), parameters).await?.is_some())
    }

    /// The overrides that some subjects have of these flags; `environment` is '' for users'.
    pub async fn overrides_among(
        &mut self,
        flags: &BTreeMap<Arc<str>, Flag>,
        level: SubjectKind,
        environment: &str,
        whose: Whose<'_>,
    ) -> Result<PackedOverrides> {
        let flags = Ids::of(flags.keys().map(|id| &**id));
        let found = match whose {
            Whose::Of(ids) => {
                let parameters = params![level.as_str(), environment, flags.as_str(), ids.as_str()];
                self.packed(either!(overrides, of), parameters).await
            }
            Whose::In(span) => {
                let parameters = params![level.as_str(), environment, flags.as_str(), span.after.as_str(), span.to.as_str()];
                self.packed(either!(overrides, in), parameters).await
            }
        };
        found.map(PackedOverrides)
    }

    /// `None` where PostgreSQL has no row to pack.
    async fn packed(&mut self, sql: Sql, parameters: &[Parameter]) -> Result<Option<Packed>> {
        let Some(row) = self.row(sql, parameters).await? else { return Ok(None) };
        Ok(row.maybe_text(0)?.map(Packed))
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
