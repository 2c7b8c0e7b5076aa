//! Sessions. No secret is stored: refresh tokens are derived from id and generation.

use flagbearer::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::applications::Application;
use super::engine::{Connection, Row, Sql, params};
use super::flags::stored;
use super::history::Standpoint;
use super::snapshot::Snapshot;
use super::{Beside, PasswordMark, Store};
use crate::error::{Error, Kind, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: String,
    pub environment: String,
    /// The application's client id.
    pub application: String,
    pub user: String,
    pub organization: Option<String>,
    /// How often it was refreshed: the generation of its valid refresh token.
    pub generation: i64,
    /// When the generation before this one was first used.
    pub rotated_at: Option<Timestamp>,
    /// When the user signed in; refreshing does not change it.
    pub auth_time: Timestamp,
    /// How the user signed in.
    pub method: Method,
    /// What was granted, where anything was asked for.
    pub scope: Option<String>,
    /// Where it was begun from, as far as that was told.
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    /// The idle deadline, never past the absolute one.
    pub expires_at: Timestamp,
    pub absolute_expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// How a user signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A trusted backend said who it is.
    Backend,
    /// Email and password.
    Password,
    /// An upstream OpenID provider.
    Upstream,
    /// Token exchange.
    Exchange,
}

impl Method {
    const ALL: [Self; 4] = [Self::Backend, Self::Password, Self::Upstream, Self::Exchange];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Password => "password",
            Self::Upstream => "upstream",
            Self::Exchange => "exchange",
        }
    }

    pub fn from_stored(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|method| method.as_str() == text);
        found.ok_or_else(|| Error::internal(format!("the stored way of signing in `{text}` is unknown")))
    }
}

impl Session {
    pub fn lives(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    pub fn answer(&self) -> Value {
        json!({
            "session_id": self.id,
            "environment": self.environment,
            "application": self.application,
            "user": self.user,
            "organization": self.organization,
            "generation": self.generation,
            "last_refreshed_at": self.rotated_at,
            "auth_time": self.auth_time,
            "method": self.method.as_str(),
            "scope": self.scope,
            "ip_address": self.ip_address,
            "user_agent": self.user_agent,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "absolute_expires_at": self.absolute_expires_at,
            "revoked_at": self.revoked_at,
        })
    }
}

macro_rules! columns {
    () => {
        "SELECT id, environment, application, user_id, organization, generation, rotated_at, auth_time, expires_at, \
         absolute_expires_at, revoked_at, method, scope, ip_address, user_agent, created_at FROM sessions "
    };
}

/// How many columns a session has.
pub(super) const COLUMNS: usize = 16;

impl TryFrom<&Row> for Session {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Self::read(row, 0)
    }
}

impl Session {
    /// Reads the columns that begin at one, in the order of `columns!`.
    pub(super) fn read(row: &Row, first: usize) -> Result<Self> {
        Ok(Self {
            id: row.text(first)?,
            environment: row.text(first + 1)?,
            application: row.text(first + 2)?,
            user: row.text(first + 3)?,
            organization: row.maybe_text(first + 4)?,
            generation: row.integer(first + 5)?,
            rotated_at: row.maybe_time(first + 6)?,
            auth_time: row.time(first + 7)?,
            expires_at: row.time(first + 8)?,
            absolute_expires_at: row.time(first + 9)?,
            revoked_at: row.maybe_time(first + 10)?,
            method: Method::from_stored(&row.text(first + 11)?)?,
            scope: row.maybe_text(first + 12)?,
            ip_address: row.maybe_text(first + 13)?,
            user_agent: row.maybe_text(first + 14)?,
            created_at: row.time(first + 15)?,
        })
    }
}

/// Which living sessions are meant. Everything set must hold.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    pub environment: Option<String>,
    pub user: Option<String>,
    pub organization: Option<String>,
    pub application: Option<String>,
}

impl SessionFilter {
    fn parameters(&self, now: Timestamp) -> Vec<super::engine::Parameter> {
        vec![
            now.into(),
            self.environment.clone().into(),
            self.user.clone().into(),
            self.organization.clone().into(),
            self.application.clone().into(),
        ]
    }
}

macro_rules! filtered {
    () => {
        "WHERE revoked_at IS NULL AND expires_at > $1 AND (CAST($2 AS TEXT) IS NULL OR environment = $2) \
         AND (CAST($3 AS TEXT) IS NULL OR user_id = $3) AND (CAST($4 AS TEXT) IS NULL OR organization = $4) \
         AND (CAST($5 AS TEXT) IS NULL OR application = $5) "
    };
}

/// A session that is to begin.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    pub application: &'a Application,
    pub user: &'a str,
    pub organization: Option<&'a str>,
    /// Refuse a user, an organization or a membership that is not known, instead of creating it bare.
    pub strict: bool,
    pub now: Timestamp,
    /// When the user signed in; before now where a browser was signed in already.
    pub auth_time: Timestamp,
    pub method: Method,
    /// Where the user has just signed in by a password: the one that it has to be still.
    pub password: Option<&'a PasswordMark>,
    pub scope: Option<&'a str>,
    /// The id of the signed-in browser that it begins in.
    pub browser: Option<&'a str>,
    pub origin: Origin<'a>,
}

/// A session that begins, and all that its first token needs, of one snapshot.
#[derive(Debug, Clone)]
pub struct Beginning {
    pub application: Application,
    pub session: Session,
    pub snapshot: Snapshot,
}

impl<'a> Start<'a> {
    /// The session of a user whom somebody else has just told us of.
    pub fn told(
        application: &'a Application,
        user: &'a str,
        organization: Option<&'a str>,
        method: Method,
        strict: bool,
        now: Timestamp,
    ) -> Self {
        let (password, scope, browser, origin) = (None, None, None, Origin::default());
        Self { application, user, organization, strict, now, auth_time: now, method, password, scope, browser, origin }
    }
}

/// Where a session begins, as far as that is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    pub ip_address: Option<&'a str>,
    pub user_agent: Option<&'a str>,
}

/// How long an ended session is kept, in seconds: a week, for whoever asks what became of it.
const KEPT: i64 = 7 * 86_400;

/// How often a transaction that lost a race is run again.
pub(super) const ATTEMPTS: usize = 5;

impl Store {
    /// Starts a session under this id. `mint` makes the answer from what the same transaction reads, and says what is written
    /// beside it; `None` where the same was answered already.
    pub async fn start_session<T>(
        &self,
        id: &str,
        start: &Start<'_>,
        mint: impl Fn(&Beginning) -> Result<(T, Beside)>,
    ) -> Result<Option<T>> {
        for _ in 0..ATTEMPTS {
            match self.try_start(id, start, &mint).await {
                Err(error) if error.code == Error::RACED => {}
                outcome => return outcome,
            }
        }
        Err(Error::unavailable())
    }

    async fn try_start<T>(
        &self,
        id: &str,
        start: &Start<'_>,
        mint: impl Fn(&Beginning) -> Result<(T, Beside)>,
    ) -> Result<Option<T>> {
        let mut connection = self.engine.write_snapshot().await?;
        let beginning = self.begin_session(&mut connection, id, start).await?;
        let (answer, beside) = mint(&beginning)?;
        if !connection.write_beside(beside, start.now).await? {
            return Ok(None);
        }
        connection.commit().await?;
        Ok(Some(answer))
    }

    /// Starts a session in a transaction that the caller commits.
    pub(super) async fn begin_session(&self, connection: &mut Connection, id: &str, start: &Start<'_>) -> Result<Beginning> {
        if start.strict {
            known(connection, start.user, start.organization).await?;
        } else {
            connection.ensure_member(start.user, start.organization, start.now).await?;
        }
        connection.hold_member(start.user, start.organization).await?;
        if let Some(password) = start.password
            && !connection.holds_password(start.user, password).await?
        {
            return Err(Error::not_found("password", start.user));
        }
        let sql = Sql::either(
            "SELECT document FROM applications WHERE client_id = $1",
            "SELECT document FROM applications WHERE client_id = $1 FOR KEY SHARE",
        );
        // It may be another since the caller read it, or gone: a token is of one snapshot, its application too.
        let client_id = start.application.client_id.as_str();
        let row = connection.row(sql, params![client_id]).await?;
        let document = row.ok_or_else(|| Error::not_found("application", client_id))?.text(0)?;
        let application = Application::from_stored(stored(&document)?)?;
        let session = Start { application: &application, ..*start }.session(id);
        let sql = "INSERT INTO sessions (id, environment, application, user_id, organization, generation, auth_time, \
                   expires_at, absolute_expires_at, method, scope, browser, ip_address, user_agent, created_at) \
                   VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
        let parameters = params![
            session.id.as_str(),
            session.environment.as_str(),
            session.application.as_str(),
            session.user.as_str(),
            session.organization.as_deref(),
            session.auth_time,
            session.expires_at,
            session.absolute_expires_at,
            session.method.as_str(),
            session.scope.as_deref(),
            start.browser,
            session.ip_address.as_deref(),
            session.user_agent.as_deref(),
            session.created_at,
        ];
        connection.execute(sql, parameters).await?;
        let standpoint = Standpoint {
            environment: &session.environment,
            user: Some(&session.user),
            organization: session.organization.as_deref(),
        };
        let snapshot = self.snapshot_in(connection, standpoint).await?;
        Ok(Beginning { application, session, snapshot })
    }

    pub async fn session(&self, id: &str) -> Result<Session> {
        self.read().await?.find_session(id).await?.ok_or_else(|| Error::not_found("session", id))
    }

    /// Living sessions in order of id, those after `cursor`.
    pub async fn sessions(&self, filter: &SessionFilter, cursor: &str, limit: i64) -> Result<Vec<Session>> {
        let mut parameters = filter.parameters(self.now());
        parameters.extend([cursor.into(), limit.into()]);
        let sql = concat!(columns!(), filtered!(), "AND id > $6 ORDER BY id LIMIT $7");
        self.read().await?.rows(sql, &parameters).await?.iter().map(Session::try_from).collect()
    }

    /// Ends a session. `false` where it had ended or is not there.
    pub async fn revoke_session(&self, id: &str, now: Timestamp) -> Result<bool> {
        let mut connection = self.engine.write().await?;
        let ended = connection.end_session(id, now).await?;
        connection.commit().await?;
        Ok(ended)
    }

    /// Removes sessions, codes and recorded tokens that ended a while ago, and what else is past its time: remembered answers,
    /// links, counted guesses, browsers, what webhooks were told.
    pub async fn sweep(&self) -> Result<u64> {
        let now = self.now();
        let mut connection = self.engine.write().await?;
        let sql = "DELETE FROM sessions WHERE expires_at <= $1 OR revoked_at <= $1";
        let removed = connection.execute(sql, params![now.plus_seconds(-KEPT)]).await?;
        for sql in [
            "DELETE FROM idempotency WHERE expires_at <= $1",
            "DELETE FROM password_resets WHERE expires_at <= $1",
            "DELETE FROM attempts WHERE expires_at <= $1",
            "DELETE FROM browsers WHERE expires_at <= $1",
            "DELETE FROM sign_ins WHERE expires_at <= $1",
        ] {
            connection.execute(sql, params![now]).await?;
        }
        connection.sweep_codes(now).await?;
        connection.sweep_issuances(now).await?;
        connection.sweep_deliveries(now).await?;
        connection.commit().await?;
        Ok(removed)
    }

    /// Ends all living sessions that the filter names, and answers how many those were. Where they are all that a user
    /// has, the user's browsers are signed out too.
    pub async fn revoke_sessions(&self, filter: &SessionFilter) -> Result<u64> {
        let mut connection = self.engine.write().await?;
        if let SessionFilter { environment, user: Some(user), organization: None, application: None } = filter {
            connection.end_browsers_of(user, environment.as_deref()).await?;
        }
        let sql = concat!("UPDATE sessions SET revoked_at = $1 ", filtered!());
        let ended = connection.execute(sql, &filter.parameters(self.now())).await?;
        connection.commit().await?;
        Ok(ended)
    }
}

impl Connection {
    /// Ends the user's living sessions, and those of the browsers that would begin others without a password.
    pub(super) async fn end_sessions_of(&mut self, user: &str, now: Timestamp) -> Result<()> {
        self.end_browsers_of(user, None).await?;
        let sql = "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
        self.execute(sql, params![user, now]).await?;
        Ok(())
    }

    /// Signs a user's browsers out: in one environment, or in all. Done before sessions are ended: whoever begins one in a
    /// browser holds the browser until it is there, so that no session slips through between the two.
    pub(super) async fn end_browsers_of(&mut self, user: &str, environment: Option<&str>) -> Result<()> {
        let sql = "DELETE FROM browsers WHERE user_id = $1 AND (CAST($2 AS TEXT) IS NULL OR environment = $2)";
        self.execute(sql, params![user, environment]).await?;
        Ok(())
    }

    /// Ends a session. `false` where it had ended or is not there.
    pub(super) async fn end_session(&mut self, id: &str, now: Timestamp) -> Result<bool> {
        let sql = "UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        Ok(self.execute(sql, params![id, now]).await? == 1)
    }

    /// A session, ended ones too.
    pub async fn find_session(&mut self, id: &str) -> Result<Option<Session>> {
        let row = self.row(concat!(columns!(), "WHERE id = $1"), params![id]).await?;
        row.as_ref().map(Session::try_from).transpose()
    }
}

impl Start<'_> {
    fn session(&self, id: &str) -> Session {
        let application = self.application;
        let absolute_expires_at = self.now.plus_seconds(application.absolute_ttl);
        Session {
            id: id.to_owned(),
            environment: application.environment.clone(),
            application: application.client_id.clone(),
            user: self.user.to_owned(),
            organization: self.organization.map(str::to_owned),
            generation: 1,
            rotated_at: None,
            auth_time: self.auth_time,
            method: self.method,
            scope: self.scope.map(str::to_owned),
            ip_address: self.origin.ip_address.map(str::to_owned),
            user_agent: self.origin.user_agent.map(str::to_owned),
            created_at: self.now,
            expires_at: self.now.plus_seconds(application.idle_ttl).min(absolute_expires_at),
            absolute_expires_at,
            revoked_at: None,
        }
    }
}

async fn known(connection: &mut Connection, user: &str, organization: Option<&str>) -> Result<()> {
    connection.user(user).await?;
    if let Some(organization) = organization {
        connection.organization(organization).await?;
        if connection.find_membership(organization, user).await?.is_none() {
            let detail = format!("user `{user}` is not a member of organization `{organization}`");
            return Err(Error::new(Kind::Forbidden, "NOT_A_MEMBER", detail));
        }
    }
    Ok(())
}
