//! Counted attempts, shared by all replicas. An attempt is counted before it is judged: a hundred guesses at once are a
//! hundred, not as many as pass before the first has failed.

use flagbearer::timestamp::Timestamp;

use super::Store;
use super::engine::{Connection, params};
use crate::error::{Error, Result};
use crate::secret::hash;

/// How long attempts are counted together, and how long a full count refuses further ones, in seconds.
const WINDOW: i64 = 15 * 60;

/// What is counted together, and how much of it is let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Hashed: it may be somebody's address.
    subject: String,
    allowed: i64,
}

impl Limit {
    /// At most so many in a window, of what is named so.
    pub fn new(subject: &str, allowed: i64) -> Self {
        Self { subject: hash(subject.as_bytes()), allowed }
    }
}

impl Store {
    /// Counts an attempt that stands for itself. Refused ([`Error::too_many_attempts`]) where there were too many.
    pub async fn count_attempt(&self, limit: &Limit) -> Result<()> {
        let mut connection = self.engine.write().await?;
        connection.count_attempt(limit, self.now()).await?;
        connection.commit().await
    }

    /// Counts an attempt to sign in at an account, from an address. Answers when the address's window began.
    pub async fn begin_sign_in(&self, address: &Limit, account: &Limit) -> Result<Timestamp> {
        let now = self.now();
        let mut connection = self.engine.write().await?;
        let began = connection.count_attempt(address, now).await?;
        let counted = connection.count_attempt(account, now).await;
        // Kept either way: hammering at a locked account is an attempt of its address.
        connection.commit().await?;
        counted.map(|_| began)
    }

    /// Begins an account's count anew. Its password is another by now: what was tried at the former one is worth nothing.
    pub async fn forget_attempts(&self, account: &Limit) -> Result<()> {
        let mut connection = self.engine.write().await?;
        connection.forget_attempts(account).await?;
        connection.commit().await
    }
}

impl Connection {
    /// Counts an attempt and answers when its window began. One over the limit writes nothing: a flood is not stored, and
    /// does not prolong its own end.
    async fn count_attempt(&mut self, limit: &Limit, now: Timestamp) -> Result<Timestamp> {
        let sql = "INSERT INTO attempts (subject, failures, first_at, expires_at) VALUES ($1, 1, $2, $3) \
                   ON CONFLICT (subject) DO UPDATE SET \
                   failures = CASE WHEN attempts.expires_at <= $2 THEN 1 ELSE attempts.failures + 1 END, \
                   first_at = CASE WHEN attempts.expires_at <= $2 THEN $2 ELSE attempts.first_at END, \
                   expires_at = CASE WHEN attempts.expires_at <= $2 OR attempts.failures + 1 >= $4 THEN $3 \
                                     ELSE attempts.expires_at END \
                   WHERE attempts.failures < $4 OR attempts.expires_at <= $2 RETURNING first_at";
        let subject = limit.subject.as_str();
        let parameters = params![subject, now, now.plus_seconds(WINDOW), limit.allowed];
        if let Some(row) = self.row(sql, parameters).await? {
            return row.time(0);
        }
        let row = self.row("SELECT expires_at FROM attempts WHERE subject = $1", params![subject]).await?;
        let row = row.ok_or_else(|| Error::internal("a full count is gone"))?;
        Err(Error::too_many_attempts((row.time(0)?.seconds() - now.seconds()).max(1)))
    }

    /// An attempt to sign in succeeded: the account's count begins anew, and the address's is as if this had not been,
    /// unless its window is over.
    pub(super) async fn forgive_sign_in(&mut self, address: &Limit, began: Timestamp, account: &Limit) -> Result<()> {
        let sql = "UPDATE attempts SET failures = failures - 1 WHERE subject = $1 AND first_at = $2 AND failures > 0";
        self.execute(sql, params![address.subject.as_str(), began]).await?;
        self.forget_attempts(account).await
    }

    async fn forget_attempts(&mut self, account: &Limit) -> Result<()> {
        self.execute("DELETE FROM attempts WHERE subject = $1", params![account.subject.as_str()]).await?;
        Ok(())
    }
}
