//! Tokens that were issued, where that is recorded: which request got which, and what it was made from. Each is written in the
//! transaction that moves or begins its session, where there is one.

use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::engine::{Connection, Row, Sql, params};
use super::{Memo, Store};
use crate::error::Result;

/// An access token that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuance {
    /// `jti`.
    pub token_id: String,
    pub request_id: String,
    /// None of a machine's.
    pub session: Option<String>,
    /// The application's client id.
    pub application: String,
    pub environment: String,
    pub organization: Option<String>,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `flags_rev`.
    pub revision: i64,
}

/// What is written with an answer, in its transaction.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    pub memo: Option<Memo>,
    pub issuance: Option<Issuance>,
}

/// How long a token stays recorded, in seconds.
const KEPT: i64 = 7 * 86_400;

/// `$1` the tokens as a JSON array.
const RECORD: Sql = Sql::either(
    "INSERT INTO issuances (token_id, request_id, session, application, environment, organization, issued_at, revision) \
     SELECT value ->> '$.j', value ->> '$.q', value ->> '$.s', value ->> '$.c', value ->> '$.e', value ->> '$.o', \
     value ->> '$.t', value ->> '$.r' FROM json_each($1)",
    "INSERT INTO issuances (token_id, request_id, session, application, environment, organization, issued_at, revision) \
     SELECT j, q, s, c, e, o, t, r FROM json_to_recordset(CAST($1 AS JSON)) \
     AS x(j TEXT, q TEXT, s TEXT, c TEXT, e TEXT, o TEXT, t BIGINT, r BIGINT)",
);

/// `$1` as above.
pub(super) const CORRECT: &str = "UPDATE issuances AS i SET revision = x.r, organization = x.o \
     FROM json_to_recordset(CAST($1 AS JSON)) AS x(j TEXT, r BIGINT, o TEXT) WHERE i.token_id = x.j COLLATE \"C\"";

macro_rules! columns {
    () => {
        "SELECT token_id, request_id, session, application, environment, organization, issued_at, revision FROM issuances "
    };
}

impl Issuance {
    fn input(&self) -> Value {
        json!({
            "j": self.token_id, "q": self.request_id, "s": self.session, "c": self.application, "e": self.environment,
            "o": self.organization, "t": self.issued_at.milliseconds(), "r": self.revision,
        })
    }

    /// What the statements take.
    pub(super) fn inputs(issuances: &[Self]) -> String {
        Value::Array(issuances.iter().map(Self::input).collect()).to_string()
    }
}

impl TryFrom<&Row> for Issuance {
    type Error = crate::error::Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            token_id: row.text(0)?,
            request_id: row.text(1)?,
            session: row.maybe_text(2)?,
            application: row.text(3)?,
            environment: row.text(4)?,
            organization: row.maybe_text(5)?,
            issued_at: row.time(6)?,
            revision: row.integer(7)?,
        })
    }
}

impl Connection {
    pub(super) async fn record_issuances(&mut self, issuances: &[Issuance]) -> Result<()> {
        if !issuances.is_empty() {
            self.execute(RECORD, params![Issuance::inputs(issuances)]).await?;
        }
        Ok(())
    }

    /// Writes what goes with an answer. `false` where an answer is remembered already: this one must then not be given.
    pub(super) async fn write_beside(&mut self, beside: Beside, now: Timestamp) -> Result<bool> {
        if let Some(memo) = beside.memo
            && !self.remember(&memo, now).await?
        {
            return Ok(false);
        }
        self.record_issuances(beside.issuance.as_slice()).await?;
        Ok(true)
    }

    /// A recorded token, by its `jti`.
    pub async fn issuance(&mut self, token_id: &str) -> Result<Option<Issuance>> {
        let row = self.row(concat!(columns!(), "WHERE token_id = $1"), params![token_id]).await?;
        row.as_ref().map(Issuance::try_from).transpose()
    }

    /// The token that a request was answered with; the last one where clients gave several requests one id.
    pub async fn issuance_of_request(&mut self, request_id: &str) -> Result<Option<Issuance>> {
        let sql = concat!(columns!(), "WHERE request_id = $1 ORDER BY issued_at DESC, token_id LIMIT 1");
        let row = self.row(sql, params![request_id]).await?;
        row.as_ref().map(Issuance::try_from).transpose()
    }

    /// Forgets the tokens that were issued long ago.
    pub(super) async fn sweep_issuances(&mut self, now: Timestamp) -> Result<()> {
        self.execute("DELETE FROM issuances WHERE issued_at <= $1", params![now.plus_seconds(-KEPT)]).await?;
        Ok(())
    }
}

impl Store {
    /// Writes what goes with an answer that nothing else is written for. `false` where one is remembered already: that one
    /// counts.
    pub async fn write_beside(&self, beside: Beside, now: Timestamp) -> Result<bool> {
        if beside.memo.is_none() && beside.issuance.is_none() {
            return Ok(true);
        }
        let mut connection = self.engine.write().await?;
        let first = connection.write_beside(beside, now).await?;
        connection.commit().await?;
        Ok(first)
    }
}
