//! Authorization codes: stored as hashes, used once, and kept a while after that, so that a second use is noticed.

use flagbearer::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::engine::{Connection, Sql, params};
use super::sessions::{ATTEMPTS, Beginning};
use super::{Application, Beside, Method, Origin, Start, Store};
use crate::error::{Error, Result};

/// What a code stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    pub redirect_uri: String,
    pub challenge: Option<String>,
    pub scope: Option<String>,
    pub nonce: Option<String>,
    pub user: String,
    pub organization: Option<String>,
    /// The browser that the user signed in with.
    pub browser: String,
    pub method: Method,
    pub auth_time: Timestamp,
    /// Where that browser was.
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
}

/// What a redemption asks of the database.
#[derive(Debug, Clone, Copy)]
pub struct Redemption<'a> {
    /// SHA-256 of the code.
    pub hash: &'a str,
    pub application: &'a Application,
    /// The id of the session that begins.
    pub session: &'a str,
    /// What the client tells of where it begins, instead of what its user's browser told.
    pub origin: Origin<'a>,
    /// What the answer is remembered under, where the request may be repeated.
    pub once: Option<&'a str>,
    pub now: Timestamp,
}

/// What has become of a code.
#[derive(Debug, Clone)]
pub enum Redeemed<T> {
    /// Used now, for the first time.
    Good(T),
    /// This very request was answered before.
    Answered,
    /// Used before: the session that this began has ended.
    Reused { session: String },
    /// Not there, past its time, or another client's; or it did not fit, and is spent.
    Bad,
}

/// How long a used code is remembered past its time, in seconds: a day, in which a second use is noticed.
const KEPT: i64 = 86_400;

impl Connection {
    /// Removes codes whose second use nobody waits for any more.
    pub(super) async fn sweep_codes(&mut self, now: Timestamp) -> Result<()> {
        self.execute("DELETE FROM codes WHERE expires_at <= $1", params![now.plus_seconds(-KEPT)]).await?;
        Ok(())
    }
}

impl Code {
    /// The session that its redemption begins.
    fn start<'a>(&'a self, redemption: &Redemption<'a>) -> Start<'a> {
        let Redemption { application, origin, now, .. } = *redemption;
        Start {
            application,
            user: &self.user,
            organization: self.organization.as_deref(),
            strict: true,
            now,
            auth_time: self.auth_time,
            method: self.method,
            // A change of it signs the browser out, and that is looked at.
            password: None,
            scope: self.scope.as_deref(),
            browser: Some(&self.browser),
            origin: Origin {
                ip_address: origin.ip_address.or(self.ip_address.as_deref()),
                user_agent: origin.user_agent.or(self.user_agent.as_deref()),
            },
        }
    }
}

impl Store {
    /// Keeps a code that an application may redeem until then.
    pub async fn insert_code(&self, hash: &str, client_id: &str, code: &Code, expires_at: Timestamp) -> Result<()> {
        let document = serde_json::to_string(code).map_err(Error::internal)?;
        let mut connection = self.engine.write().await?;
        let sql = "INSERT INTO codes (hash, application, document, expires_at) VALUES ($1, $2, $3, $4)";
        connection.execute(sql, params![hash, client_id, document, expires_at]).await?;
        connection.commit().await
    }

    /// Uses a code and starts its session, in one transaction. `proven` says whether the client proves what the code asks
    /// for; `mint` makes the answer, as in [`Store::start_session`].
    pub async fn redeem_code<T>(
        &self,
        redemption: &Redemption<'_>,
        proven: impl Fn(&Code) -> bool,
        mint: impl Fn(&Code, &Beginning) -> Result<(T, Beside)>,
    ) -> Result<Redeemed<T>> {
        // However many redeem one code at once: two things happen to it, its use and the end of the session that this began, and
        // who loses does so to one of them.
        for _ in 0..ATTEMPTS {
            match self.try_redeem(redemption, &proven, &mint).await {
                Err(error) if error.code == Error::RACED => {}
                outcome => return outcome,
            }
        }
        Err(Error::unavailable())
    }

    async fn try_redeem<T>(
        &self,
        redemption: &Redemption<'_>,
        proven: impl Fn(&Code) -> bool,
        mint: impl Fn(&Code, &Beginning) -> Result<(T, Beside)>,
    ) -> Result<Redeemed<T>> {
        let Redemption { hash, application, once, now, .. } = *redemption;
        let mut connection = self.engine.write_snapshot().await?;
        let sql = Sql::either(
            "SELECT document, expires_at, session FROM codes WHERE hash = $1 AND application = $2",
            "SELECT document, expires_at, session FROM codes WHERE hash = $1 AND application = $2 FOR UPDATE",
        );
        let Some(row) = connection.row(sql, params![hash, application.client_id.as_str()]).await? else {
            return Ok(Redeemed::Bad);
        };
        if let Some(session) = row.maybe_text(2)? {
            // A repeated request may have waited for the first one here.
            if let Some(once) = once
                && connection.recall(once, now).await?.is_some()
            {
                return Ok(Redeemed::Answered);
            }
            connection.end_session(&session, now).await?;
            connection.commit().await?;
            return Ok(Redeemed::Reused { session });
        }
        if row.time(1)? <= now {
            return Ok(Redeemed::Bad);
        }
        let code: Code = serde_json::from_str(&row.text(0)?).map_err(Error::internal)?;
        // Whoever signed out, was signed out, or has left the browser to another user, is not signed in by a code from before.
        // The user is held first, as by whoever signs all the user's browsers out.
        connection.hold_user(&code.user).await?;
        let sql = Sql::either(
            "SELECT 1 FROM browsers WHERE id = $1 AND user_id = $2",
            "SELECT 1 FROM browsers WHERE id = $1 AND user_id = $2 FOR KEY SHARE",
        );
        let signed_in = connection.row(sql, params![code.browser.as_str(), code.user.as_str()]).await?.is_some();
        if !signed_in || !proven(&code) {
            connection.execute("DELETE FROM codes WHERE hash = $1", params![hash]).await?;
            connection.commit().await?;
            return Ok(Redeemed::Bad);
        }
        let beginning = self.begin_session(&mut connection, redemption.session, &code.start(redemption)).await?;
        let sql = "UPDATE codes SET session = $2 WHERE hash = $1";
        connection.execute(sql, params![hash, beginning.session.id.as_str()]).await?;
        let (answer, beside) = mint(&code, &beginning)?;
        if !connection.write_beside(beside, now).await? {
            return Ok(Redeemed::Answered);
        }
        connection.commit().await?;
        Ok(Redeemed::Good(answer))
    }
}
