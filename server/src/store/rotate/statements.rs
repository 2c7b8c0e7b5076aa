//! The statements that rotate, and their rows. On PostgreSQL moving and reading are one statement; SQLite changes no rows
//! inside a query, and needs none: its transaction is alone.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Client, Rotation, Surface};
use crate::error::{Error, Result};
use crate::store::applications::Application;
use crate::store::engine::Row;
use crate::store::flags::stored;
use crate::store::sessions::{COLUMNS, Session};
use crate::store::snapshot::{Facts, joins, postgres_facts, sqlite_facts};

/// `$1` of the statements below.
pub fn inputs(rotations: &[Rotation]) -> String {
    let inputs = rotations.iter().enumerate().map(|(number, rotation)| input(rotation, number)).collect();
    Value::Array(inputs).to_string()
}

fn input(rotation: &Rotation, number: usize) -> Value {
    json!({
        "n": number, "s": rotation.session, "g": rotation.generation, "c": rotation.client_id,
        "h": rotation.client.secret_hash(), "e": rotation.environment, "o": rotation.organization, "t": rotation.now,
        "v": i64::from(rotation.client == Client::Verified), "w": i64::from(rotation.surface == Surface::WorkOs),
        "j": rotation.mark.as_ref().map(|mark| &mark.token_id), "q": rotation.mark.as_ref().map(|mark| &mark.request_id),
    })
}

/// The conditions under which a session moves on. The same facts are judged again by the issuer, to say why one did not.
///
/// `$members` holds the memberships that a switch of organization is judged by.
macro_rules! moves {
    ($members:literal) => {
        concat!(
            " s.id = i.s AND s.generation = i.g AND s.application = i.c AND s.environment = i.e AND s.revoked_at IS NULL \
         AND s.expires_at > i.t AND a.client_id = i.c AND (i.v = 1 OR a.secret_hash IS NOT DISTINCT FROM i.h) \
         AND (a.profile = 'workos') = (i.w = 1) \
         AND (i.o IS NULL OR EXISTS (SELECT 1 FROM ",
            $members,
            " k WHERE k.organization = i.o AND k.user_id = s.user_id)) "
        )
    };
}

macro_rules! sqlite_input {
    () => {
        "(SELECT value ->> '$.n' AS n, value ->> '$.s' AS s, value ->> '$.g' AS g, value ->> '$.c' AS c, \
         value ->> '$.h' AS h, value ->> '$.e' AS e, value ->> '$.o' AS o, value ->> '$.t' AS t, value ->> '$.v' AS v, \
         value ->> '$.w' AS w FROM json_each($1))"
    };
}

macro_rules! session_columns {
    () => {
        "place.n, place.id, place.environment, place.application, place.user_id, place.session_organization, \
         place.generation, place.rotated_at, place.auth_time, place.expires_at, place.absolute_expires_at, \
         place.revoked_at, place.method, place.scope, place.ip_address, place.user_agent, place.created_at, \
         place.organization, place.moved, a.document, a.secret_hash, "
    };
}

pub const SQLITE_MOVE: &str = concat!(
    "UPDATE sessions AS s SET generation = s.generation + 1, rotated_at = i.t, \
     expires_at = min(s.absolute_expires_at, i.t + a.idle_ttl), organization = coalesce(i.o, s.organization) FROM ",
    sqlite_input!(),
    " i, applications a WHERE",
    moves!("memberships"),
    "RETURNING id"
);

/// `moved` is not known to this statement on SQLite: the caller has it from the one before.
pub const SQLITE_READ: &str = concat!(
    "SELECT ",
    session_columns!(),
    sqlite_facts!("a.profile = 'kinde'"),
    " FROM (SELECT i.n, i.c, s.id, s.environment, s.application, s.user_id, s.organization AS session_organization, \
     s.generation, s.rotated_at, s.auth_time, s.expires_at, s.absolute_expires_at, s.revoked_at, \
     s.method, s.scope, s.ip_address, s.user_agent, s.created_at, coalesce(i.o, s.organization) AS organization, \
     0 AS moved FROM ",
    sqlite_input!(),
    " i LEFT JOIN sessions s ON s.id = i.s) place LEFT JOIN applications a ON a.client_id = place.c",
    joins!()
);

macro_rules! postgres_input {
    () => {
        "i AS (SELECT n, s COLLATE \"C\" AS s, g, c COLLATE \"C\" AS c, h COLLATE \"C\" AS h, e COLLATE \"C\" AS e, \
         o COLLATE \"C\" AS o, t, v, w, j, q FROM json_to_recordset(CAST($1 AS JSON)) \
         AS x(n BIGINT, s TEXT, g BIGINT, c TEXT, h TEXT, e TEXT, o TEXT, t BIGINT, v BIGINT, w BIGINT, j TEXT, q TEXT))"
    };
}

macro_rules! postgres_read {
    ($moved:literal, $with:literal) => {
        concat!(
            "SELECT ",
            session_columns!(),
            postgres_facts!("a.profile = 'kinde'"),
            " FROM (SELECT i.n, i.c, s.id, s.environment, s.application, s.user_id, s.organization AS session_organization, \
             s.generation, s.rotated_at, s.auth_time, s.expires_at, s.absolute_expires_at, s.revoked_at, \
             s.method, s.scope, s.ip_address, s.user_agent, s.created_at, coalesce(i.o, s.organization) AS organization, ",
            $moved,
            " AS moved FROM i LEFT JOIN sessions s ON s.id = i.s ",
            $with,
            ") place LEFT JOIN applications a ON a.client_id = place.c",
            joins!()
        )
    };
}

macro_rules! member {
    () => {
        ", member AS (SELECT k.organization, k.user_id FROM i JOIN sessions s ON s.id = i.s \
         JOIN memberships k ON k.organization = i.o AND k.user_id = s.user_id FOR KEY SHARE OF k)"
    };
}

macro_rules! postgres_move {
    ($first:expr, $members:literal, $condition:literal, $recorded:expr) => {
        concat!(
            "WITH ",
            postgres_input!(),
            $first,
            ", locked AS (SELECT s.id FROM sessions s JOIN i ON s.id = i.s ",
            $condition,
            " ORDER BY s.id FOR UPDATE OF s), \
             moved AS (UPDATE sessions AS s SET generation = s.generation + 1, rotated_at = i.t, \
             expires_at = least(s.absolute_expires_at, i.t + a.idle_ttl), organization = coalesce(i.o, s.organization) \
             FROM locked l, i, applications a WHERE l.id = s.id AND",
            moves!($members),
            "RETURNING s.id, s.application, s.environment, s.organization) ",
            $recorded,
            postgres_read!("CAST(moved.id IS NOT NULL AS INT)::BIGINT", "LEFT JOIN moved ON moved.id = s.id")
        )
    };
}

/// Records the tokens of the sessions that move, in the very statement that moves them.
macro_rules! recorded {
    () => {
        ", recorded AS (INSERT INTO issuances \
         (token_id, request_id, session, application, environment, organization, issued_at, revision) \
         SELECT i.j, i.q, m.id, m.application, m.environment, m.organization, i.t, e.revision FROM moved m \
         JOIN i ON i.s = m.id JOIN environments e ON e.name = m.environment WHERE i.j IS NOT NULL) "
    };
}

/// Rows are locked in order of id, so that two batches cannot wait for each other. All of it reads the snapshot from
/// before the update; under READ COMMITTED the loser of a race updates nothing instead of failing.
const MOVE: &str = postgres_move!("", "memberships", "", "");
const MOVE_RECORDING: &str = postgres_move!("", "memberships", "", recorded!());

/// The same where some switch their organization. A membership that is just being removed would still be in the snapshot,
/// and its removal would not see the session that moves there: so it is held, and before any session is.
const SWITCH: &str = postgres_move!(member!(), "member", "WHERE (SELECT count(*) FROM member) >= 0", "");
const SWITCH_RECORDING: &str = postgres_move!(member!(), "member", "WHERE (SELECT count(*) FROM member) >= 0", recorded!());

/// Which of them a batch takes.
pub fn postgres_move(rotations: &[Rotation]) -> &'static str {
    let switches = rotations.iter().any(|rotation| rotation.organization.is_some());
    let records = rotations.iter().any(|rotation| rotation.mark.is_some());
    match (switches, records) {
        (false, false) => MOVE,
        (false, true) => MOVE_RECORDING,
        (true, false) => SWITCH,
        (true, true) => SWITCH_RECORDING,
    }
}

pub const POSTGRES_READ: &str = concat!("WITH ", postgres_input!(), " ", postgres_read!("CAST(0 AS BIGINT)", ""));

/// A row, before its ruleset is found.
pub struct Raw {
    pub application: Option<(Arc<Application>, Option<String>)>,
    pub session: Option<Session>,
    pub moved: bool,
    pub facts: Option<Facts>,
}

pub fn ordered(rows: &[Row], count: usize, moved: &HashSet<String>) -> Result<Vec<Raw>> {
    let mut ordered: Vec<Option<Raw>> = (0..count).map(|_| None).collect();
    for row in rows {
        let place = usize::try_from(row.integer(0)?).ok().and_then(|number| ordered.get_mut(number));
        if let Some(place) = place {
            *place = Some(raw(row, moved)?);
        }
    }
    ordered.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| Error::internal("a rotation was not answered"))
}

fn raw(row: &Row, moved: &HashSet<String>) -> Result<Raw> {
    // The request's number, the session, and then these.
    const ORGANIZATION: usize = 1 + COLUMNS;
    const MOVED: usize = ORGANIZATION + 1;
    const APPLICATION: usize = MOVED + 1;
    const FACTS: usize = APPLICATION + 2;
    let application = match row.maybe_text(APPLICATION)? {
        Some(document) => Some((Arc::new(Application::from_stored(stored(&document)?)?), row.maybe_text(APPLICATION + 1)?)),
        None => None,
    };
    let Some(id) = row.maybe_text(1)? else {
        return Ok(Raw { application, session: None, moved: false, facts: None });
    };
    let moved = row.boolean(MOVED)? || moved.contains(&id);
    let session = Session::read(row, 1)?;
    let organization = row.maybe_text(ORGANIZATION)?;
    let facts = Facts::read(row, FACTS, Some(session.environment.clone()), Some(session.user.clone()), organization)?;
    Ok(Raw { application, session: Some(session), moved, facts })
}
