//! Rotation: a refresh token is used, once, and everything that its new access token needs is read in the same statement.
//!
//! Refreshes that wait for the database together go to it together: on SQLite one commit serves all of them, on PostgreSQL
//! one round trip. A batch is closed before its snapshot is taken, so that no request is answered from a snapshot older
//! than itself.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::applications::Application;
use super::engine::{Connection, Engine, Row, Sql, params};
use super::flags::stored;
use super::sessions::{ATTEMPTS, Session};
use super::snapshot::{FACTS, Facts, Snapshot, joins, postgres_facts, sqlite_facts};
use super::{Memo, Store};
use crate::error::{Error, Result};

/// What a refresh asks of the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rotation {
    pub session: String,
    /// The generation of the token that was sent.
    pub generation: i64,
    pub client_id: String,
    /// SHA-256 of the client secret that was sent.
    pub secret_hash: Option<String>,
    /// The environment at whose endpoint it was sent.
    pub environment: String,
    /// The organization to go on in; the session's own where none is named.
    pub organization: Option<String>,
    /// The request's time, in milliseconds.
    pub now: i64,
}

/// What the database said.
#[derive(Debug, Clone)]
pub struct Rotated {
    /// The application that the client id names, and the hash of its secret.
    pub application: Option<(Arc<Application>, Option<String>)>,
    /// The session as it stands, before this rotation where it is not this one's doing.
    pub session: Option<Session>,
    /// Whether this very request moved the session on.
    pub moved: bool,
    /// Where the token will be for; none where the session is not there.
    pub snapshot: Option<Snapshot>,
}

/// `$1` of the statements below.
fn inputs(rotations: &[Rotation]) -> String {
    let inputs = rotations.iter().enumerate().map(|(number, rotation)| input(rotation, number)).collect();
    Value::Array(inputs).to_string()
}

fn input(rotation: &Rotation, number: usize) -> Value {
    json!({
        "n": number, "s": rotation.session, "g": rotation.generation, "c": rotation.client_id,
        "h": rotation.secret_hash, "e": rotation.environment, "o": rotation.organization, "t": rotation.now,
    })
}

/// The conditions under which a session moves on. The same facts are judged again by the issuer, to say why one did not.
///
/// `$members` holds the memberships that a switch of organization is judged by.
macro_rules! moves {
    ($members:literal) => {
        concat!(
            " s.id = i.s AND s.generation = i.g AND s.application = i.c AND s.environment = i.e AND s.revoked_at IS NULL \
         AND s.expires_at > i.t AND a.client_id = i.c AND a.secret_hash IS NOT DISTINCT FROM i.h \
         AND (i.o IS NULL OR EXISTS (SELECT 1 FROM ",
            $members,
            " k WHERE k.organization = i.o AND k.user_id = s.user_id)) "
        )
    };
}

macro_rules! sqlite_input {
    () => {
        "(SELECT value ->> '$.n' AS n, value ->> '$.s' AS s, value ->> '$.g' AS g, value ->> '$.c' AS c, \
         value ->> '$.h' AS h, value ->> '$.e' AS e, value ->> '$.o' AS o, value ->> '$.t' AS t FROM json_each($1))"
    };
}

macro_rules! session_columns {
    () => {
        "place.n, place.id, place.environment, place.application, place.user_id, place.session_organization, \
         place.generation, place.rotated_at, place.auth_time, place.expires_at, place.absolute_expires_at, \
         place.revoked_at, place.organization, place.moved, a.document, a.secret_hash, "
    };
}

const SQLITE_MOVE: &str = concat!(
    "UPDATE sessions AS s SET generation = s.generation + 1, rotated_at = i.t, \
     expires_at = min(s.absolute_expires_at, i.t + a.idle_ttl), organization = coalesce(i.o, s.organization) FROM ",
    sqlite_input!(),
    " i, applications a WHERE",
    moves!("memberships"),
    "RETURNING id"
);

/// `moved` is not known to this statement on SQLite: the caller has it from the one before.
const SQLITE_READ: &str = concat!(
    "SELECT ",
    session_columns!(),
    sqlite_facts!(),
    " FROM (SELECT i.n, i.c, s.id, s.environment, s.application, s.user_id, s.organization AS session_organization, \
     s.generation, s.rotated_at, s.auth_time, s.expires_at, s.absolute_expires_at, s.revoked_at, \
     coalesce(i.o, s.organization) AS organization, 0 AS moved FROM ",
    sqlite_input!(),
    " i LEFT JOIN sessions s ON s.id = i.s) place LEFT JOIN applications a ON a.client_id = place.c",
    joins!()
);

macro_rules! postgres_input {
    () => {
        "i AS (SELECT n, s COLLATE \"C\" AS s, g, c COLLATE \"C\" AS c, h COLLATE \"C\" AS h, e COLLATE \"C\" AS e, \
         o COLLATE \"C\" AS o, t FROM json_to_recordset(CAST($1 AS JSON)) \
         AS x(n BIGINT, s TEXT, g BIGINT, c TEXT, h TEXT, e TEXT, o TEXT, t BIGINT))"
    };
}

macro_rules! postgres_read {
    ($moved:literal, $with:literal) => {
        concat!(
            "SELECT ",
            session_columns!(),
            postgres_facts!(),
            " FROM (SELECT i.n, i.c, s.id, s.environment, s.application, s.user_id, s.organization AS session_organization, \
             s.generation, s.rotated_at, s.auth_time, s.expires_at, s.absolute_expires_at, s.revoked_at, \
             coalesce(i.o, s.organization) AS organization, ",
            $moved,
            " AS moved FROM i LEFT JOIN sessions s ON s.id = i.s ",
            $with,
            ") place LEFT JOIN applications a ON a.client_id = place.c",
            joins!()
        )
    };
}

macro_rules! postgres_move {
    ($first:literal, $members:literal, $condition:literal) => {
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
            "RETURNING s.id) ",
            postgres_read!("CAST(moved.id IS NOT NULL AS INT)::BIGINT", "LEFT JOIN moved ON moved.id = s.id")
        )
    };
}

/// Rows are locked in order of id, so that two batches cannot wait for each other. All of it reads the snapshot from
/// before the update; under READ COMMITTED the loser of a race updates nothing instead of failing.
const POSTGRES_MOVE: &str = postgres_move!("", "memberships", "");

/// The same where some switch their organization. A membership that is just being removed would still be in the snapshot,
/// and its removal would not see the session that moves there: so it is held, and before any session is.
const POSTGRES_SWITCH: &str = postgres_move!(
    ", member AS (SELECT k.organization, k.user_id FROM i JOIN sessions s ON s.id = i.s \
     JOIN memberships k ON k.organization = i.o AND k.user_id = s.user_id FOR KEY SHARE OF k)",
    "member",
    "WHERE (SELECT count(*) FROM member) >= 0"
);

/// Which of the two a batch takes.
fn postgres_move(rotations: &[Rotation]) -> &'static str {
    let switches = rotations.iter().any(|rotation| rotation.organization.is_some());
    if switches { POSTGRES_SWITCH } else { POSTGRES_MOVE }
}

const POSTGRES_READ: &str = concat!("WITH ", postgres_input!(), " ", postgres_read!("CAST(0 AS BIGINT)", ""));

/// A refresh that waits for its batch.
#[derive(Debug)]
struct Waiting {
    rotation: Rotation,
    reply: oneshot::Sender<Result<Rotated>>,
}

/// The queue in front of the database.
#[derive(Debug)]
pub(super) struct Batches(mpsc::Sender<Waiting>);

/// The largest batch; more would make the first wait for the last.
const BATCH: usize = 256;
/// How many may wait before newcomers are told to come back.
const QUEUE: usize = 8192;

impl Batches {
    /// Starts the task that forms batches. It ends when the store is dropped.
    pub fn start(inner: Arc<super::Inner>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Waiting>(QUEUE);
        let lanes = match inner.engine {
            Engine::Sqlite { .. } => 1,
            Engine::Postgres { .. } => 4,
        };
        let lanes = Arc::new(Semaphore::new(lanes));
        tokio::spawn(async move {
            let mut held: Option<Waiting> = None;
            loop {
                // The lane first: what arrives while all are busy joins the next batch.
                let Ok(lane) = lanes.clone().acquire_owned().await else { return };
                let first = match held.take() {
                    Some(waiting) => waiting,
                    None => match receiver.recv().await {
                        Some(waiting) => waiting,
                        None => return,
                    },
                };
                let mut batch = Batch::default();
                held = batch.admit(first);
                while held.is_none() && batch.members.len() < BATCH {
                    let Ok(waiting) = receiver.try_recv() else { break };
                    held = batch.admit(waiting);
                }
                let inner = inner.clone();
                tokio::spawn(async move {
                    batch.run(&inner).await;
                    drop(lane);
                });
            }
        });
        Self(sender)
    }

    async fn rotate(&self, rotation: Rotation) -> Result<Rotated> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Waiting { rotation, reply }).map_err(|_| Error::unavailable())?;
        answer.await.map_err(|_| Error::unavailable())?
    }
}

/// Requests that go to the database together. The same request several times is one member with several waiting; another
/// request for the same session has to wait for the next batch, as one statement updates a row once.
#[derive(Debug, Default)]
struct Batch {
    members: BTreeMap<Rotation, Vec<oneshot::Sender<Result<Rotated>>>>,
    sessions: HashSet<String>,
}

impl Batch {
    /// Takes a request in, or hands it back where the batch holds another one for its session.
    fn admit(&mut self, waiting: Waiting) -> Option<Waiting> {
        if let Some(replies) = self.members.get_mut(&waiting.rotation) {
            replies.push(waiting.reply);
            return None;
        }
        if !self.sessions.insert(waiting.rotation.session.clone()) {
            return Some(waiting);
        }
        self.members.insert(waiting.rotation, vec![waiting.reply]);
        None
    }

    async fn run(self, store: &super::Inner) {
        let (rotations, replies): (Vec<_>, Vec<_>) = self.members.into_iter().unzip();
        match store.rotate_all(&rotations).await {
            Ok(outcomes) => {
                for ((mut outcome, replies), rotation) in outcomes.into_iter().zip(replies).zip(&rotations) {
                    for reply in replies {
                        let _ = reply.send(outcome.clone());
                        // Only the first of equal requests moved the session; to the others it is a retry, judged as one.
                        if let Ok(outcome) = &mut outcome {
                            outcome.retry(rotation);
                        }
                    }
                }
            }
            Err(error) => {
                for reply in replies.into_iter().flatten() {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

impl Store {
    /// Uses a refresh token. Looks again where another request moved the session in the same instant.
    pub async fn rotate(&self, rotation: Rotation) -> Result<Rotated> {
        for _ in 0..ATTEMPTS {
            let rotated = self.batches.rotate(rotation.clone()).await?;
            if !rotated.raced(&rotation) {
                return Ok(rotated);
            }
        }
        Err(Error::unavailable())
    }
}

impl Store {
    /// Uses a refresh token whose answer is to be remembered: `mint` makes the answer inside the transaction that rotates.
    /// `None` where the same was answered already.
    pub async fn rotate_remembering<T>(
        &self,
        rotation: &Rotation,
        mint: impl Fn(&Rotated) -> Result<(T, Option<Memo>)>,
    ) -> Result<Option<T>> {
        let rotations = std::slice::from_ref(rotation);
        for _ in 0..ATTEMPTS {
            let mut connection = self.engine.write_snapshot().await?;
            let rotated = match self.rotate_in(&mut connection, rotations).await {
                Err(error) if error.code == Error::RACED => continue,
                outcomes => outcomes?.pop().ok_or_else(|| Error::internal("a rotation was not answered"))??,
            };
            let (answer, memo) = mint(&rotated)?;
            if let Some(memo) = memo
                && !connection.remember(&memo, Timestamp::from_milliseconds(rotation.now)).await?
            {
                return Ok(None);
            }
            match connection.commit().await {
                Err(error) if error.code == Error::RACED => continue,
                committed => committed?,
            }
            return Ok(Some(answer));
        }
        Err(Error::unavailable())
    }
}

impl Rotated {
    /// Turns this into what the same request finds right after.
    fn retry(&mut self, rotation: &Rotation) {
        if let (true, Some(session)) = (std::mem::take(&mut self.moved), &mut self.session) {
            session.generation = rotation.generation + 1;
            session.rotated_at = Some(Timestamp::from_milliseconds(rotation.now));
        }
    }

    /// On PostgreSQL the loser of a race sees the session as it was before the winner: it has to look again.
    fn raced(&self, rotation: &Rotation) -> bool {
        let unmoved = |session: &Session| {
            session.generation == rotation.generation
                && session.revoked_at.is_none()
                && session.expires_at.milliseconds() > rotation.now
                && session.application == rotation.client_id
                && session.environment == rotation.environment
        };
        let client = self.application.as_ref().is_some_and(|(_, hash)| *hash == rotation.secret_hash);
        let admitted = rotation.organization.is_none()
            || self.snapshot.as_ref().is_some_and(|snapshot| snapshot.facts.membership.is_some());
        !self.moved && client && admitted && self.session.as_ref().is_some_and(unmoved)
    }
}

impl super::Inner {
    /// Runs a batch; answers in the order of the requests. One bad request never fails the others.
    async fn rotate_all(&self, rotations: &[Rotation]) -> Result<Vec<Result<Rotated>>> {
        match &self.engine {
            Engine::Sqlite { .. } => {
                let mut connection = self.engine.write().await?;
                let outcomes = self.rotate_in(&mut connection, rotations).await?;
                connection.commit().await?;
                Ok(outcomes)
            }
            Engine::Postgres { .. } => {
                let inputs = inputs(rotations);
                let rows = self.engine.statement(postgres_move(rotations), params![inputs.as_str()]).await?;
                let mut raw = ordered(&rows, rotations.len(), &HashSet::new())?;
                let stale = |found: &Raw| found.facts.as_ref().is_some_and(|facts| self.rulesets.matching(facts).is_none());
                if !raw.iter().any(stale) {
                    return Ok(raw.into_iter().map(|found| self.rotated_with(found, None)).collect());
                }
                // A ruleset has changed. The one that matches would have to come from the statement's own snapshot, which
                // is gone: so all that is evaluated is read again, with the ruleset, from a new one.
                let mut connection = self.engine.read().await?;
                let rows = connection.rows(POSTGRES_READ, params![inputs.as_str()]).await?;
                for (found, fresh) in raw.iter_mut().zip(ordered(&rows, rotations.len(), &HashSet::new())?) {
                    found.facts = fresh.facts;
                }
                self.with_rulesets(&mut connection, raw).await
            }
        }
    }

    /// Rotates inside a transaction that the caller commits.
    async fn rotate_in(&self, connection: &mut Connection, rotations: &[Rotation]) -> Result<Vec<Result<Rotated>>> {
        let (inputs, count) = (inputs(rotations), rotations.len());
        let raw = match connection {
            Connection::Sqlite(_) => {
                let rows = connection.rows(Sql::either(SQLITE_MOVE, ""), params![inputs.as_str()]).await?;
                let moved: HashSet<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?;
                let rows = connection.rows(Sql::either(SQLITE_READ, ""), params![inputs.as_str()]).await?;
                ordered(&rows, count, &moved)?
            }
            Connection::Postgres(_) => {
                let rows = connection.rows(Sql::either("", postgres_move(rotations)), params![inputs.as_str()]).await?;
                ordered(&rows, count, &HashSet::new())?
            }
        };
        self.with_rulesets(connection, raw).await
    }

    async fn with_rulesets(&self, connection: &mut Connection, raw: Vec<Raw>) -> Result<Vec<Result<Rotated>>> {
        let mut outcomes = Vec::with_capacity(raw.len());
        for found in raw {
            let ruleset = match &found.facts {
                Some(facts) => Some(self.ruleset(connection, facts).await?),
                None => None,
            };
            outcomes.push(self.rotated_with(found, ruleset));
        }
        Ok(outcomes)
    }

    fn rotated_with(&self, found: Raw, ruleset: Option<Arc<flagbearer::ruleset::Ruleset>>) -> Result<Rotated> {
        let snapshot = match found.facts {
            Some(facts) => {
                let ruleset = ruleset.or_else(|| self.rulesets.matching(&facts)).ok_or_else(Error::unavailable)?;
                Some(Snapshot::new(facts, ruleset)?)
            }
            None => None,
        };
        Ok(Rotated { application: found.application, session: found.session, moved: found.moved, snapshot })
    }
}

/// A row, before its ruleset is found.
struct Raw {
    application: Option<(Arc<Application>, Option<String>)>,
    session: Option<Session>,
    moved: bool,
    facts: Option<Facts>,
}

fn ordered(rows: &[Row], count: usize, moved: &HashSet<String>) -> Result<Vec<Raw>> {
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
    const FIRST: usize = 16;
    const { assert!(FACTS == 7) };
    let application = match row.maybe_text(14)? {
        Some(document) => Some((Arc::new(Application::from_stored(stored(&document)?)?), row.maybe_text(15)?)),
        None => None,
    };
    let Some(id) = row.maybe_text(1)? else {
        return Ok(Raw { application, session: None, moved: false, facts: None });
    };
    let moved = row.boolean(13)? || moved.contains(&id);
    let session = Session {
        id,
        environment: row.text(2)?,
        application: row.text(3)?,
        user: row.text(4)?,
        organization: row.maybe_text(5)?,
        generation: row.integer(6)?,
        rotated_at: row.maybe_time(7)?,
        auth_time: row.time(8)?,
        expires_at: row.time(9)?,
        absolute_expires_at: row.time(10)?,
        revoked_at: row.maybe_time(11)?,
    };
    let organization = row.maybe_text(12)?;
    let facts = Facts::read(row, FIRST, Some(session.environment.clone()), Some(session.user.clone()), organization)?;
    Ok(Raw { application, session: Some(session), moved, facts })
}
