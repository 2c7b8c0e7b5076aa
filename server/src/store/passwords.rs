//! Who signs in by a password, and the links by which a new one is set.

use flagbearer::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::directory::User;
use super::engine::{Connection, Sql, params};
use super::{Limit, Store, Write};
use crate::email;
use crate::error::{Error, Kind, Result};
use crate::secret;

/// Tells a password from every other that its user had or will have: SHA-256 of its hash, by which nobody finds it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordMark(String);

/// The password that an address signs in by.
#[derive(Clone)]
pub struct StoredPassword {
    pub user: String,
    /// Argon2id, as PHC text.
    pub hash: String,
}

impl std::fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredPassword({})", self.user)
    }
}

impl StoredPassword {
    pub fn mark(&self) -> PasswordMark {
        PasswordMark(secret::hash(self.hash.as_bytes()))
    }
}

impl Store {
    /// Notes that an attempt to sign in was a good one: the account's count begins anew. `None` where the password is
    /// another by now, or its user gone: then nobody signs in.
    pub async fn finish_sign_in(
        &self,
        password: &StoredPassword,
        address: &Limit,
        began: Timestamp,
        account: &Limit,
    ) -> Result<Option<User>> {
        let mut connection = self.engine.write().await?;
        connection.forgive_sign_in(address, began, account).await?;
        if !connection.note_password_sign_in(password, self.now()).await? {
            return Ok(None);
        }
        let user = connection.user(&password.user).await?;
        connection.commit().await?;
        Ok(Some(user))
    }
}

impl Connection {
    /// The password of whoever signs in by this address.
    pub async fn password(&mut self, address: &str) -> Result<Option<StoredPassword>> {
        let sql = "SELECT user_id, hash FROM passwords WHERE email_key = $1";
        let row = self.row(sql, params![email::key(address)]).await?;
        row.map(|row| Ok(StoredPassword { user: row.text(0)?, hash: row.text(1)? })).transpose()
    }

    /// Notes a sign-in by this password; `false` where the password is another by now.
    pub async fn note_password_sign_in(&mut self, password: &StoredPassword, now: Timestamp) -> Result<bool> {
        let user = password.user.as_str();
        // The user's row first: a change of the password holds it, and what it waited for is seen by the next statement alone.
        self.execute("UPDATE users SET last_sign_in_at = $2 WHERE id = $1", params![user, now]).await?;
        let sql = "SELECT 1 FROM passwords WHERE user_id = $1 AND hash = $2";
        Ok(self.row(sql, params![user, password.hash.as_str()]).await?.is_some())
    }

    /// Whether a user still signs in by the password with this mark. The caller holds the user: a change of the password waits
    /// for that, and then ends what the caller has begun.
    pub(super) async fn holds_password(&mut self, user: &str, mark: &PasswordMark) -> Result<bool> {
        let sql = Sql::either(
            "SELECT hash FROM passwords WHERE user_id = $1",
            // In a snapshot from before a change this fails, where a plain look would still find the former one.
            "SELECT hash FROM passwords WHERE user_id = $1 FOR SHARE",
        );
        let Some(row) = self.row(sql, params![user]).await? else { return Ok(false) };
        Ok(StoredPassword { user: user.to_owned(), hash: row.text(0)? }.mark() == *mark)
    }

    /// Whose password the link with this hash would set, at this environment's page.
    pub async fn password_reset(&mut self, hash: &str, environment: &str, now: Timestamp) -> Result<Option<String>> {
        let sql = "SELECT user_id FROM password_resets WHERE hash = $1 AND environment = $2 AND expires_at > $3";
        let row = self.row(sql, params![hash, environment, now]).await?;
        row.map(|row| row.text(0)).transpose()
    }
}

impl Write {
    /// Sets the password that the user's address signs in by. Whoever knew a former one is out: sessions end, browsers are
    /// signed out, and links to set a password are void.
    pub async fn put_password(&mut self, user: &User, hash: &str) -> Result<()> {
        let address = user.email.as_deref().ok_or_else(|| {
            let detail = format!("user `{}` has no e-mail address to sign in by; set `email` first", user.id);
            Error::new(Kind::Refused, "EMAIL_REQUIRED", detail)
        })?;
        self.free_address(&user.id, address).await?;
        self.shut_out(&user.id).await?;
        let now = self.now;
        let sql = "INSERT INTO passwords (user_id, email_key, hash, updated_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, updated_at = excluded.updated_at";
        self.execute(sql, params![user.id.as_str(), email::key(address), hash, now]).await?;
        Ok(())
    }

    /// Takes a user's password away; what it began ends as when it is changed.
    pub async fn delete_password(&mut self, user: &str) -> Result<()> {
        self.shut_out(user).await?;
        self.execute("DELETE FROM passwords WHERE user_id = $1", params![user]).await?;
        Ok(())
    }

    /// Keeps the address that a user signs in by with the user's document.
    pub(super) async fn move_password(&mut self, user: &User) -> Result<()> {
        let sql = "SELECT email_key FROM passwords WHERE user_id = $1";
        let Some(row) = self.row(sql, params![user.id.as_str()]).await? else { return Ok(()) };
        let address = user.email.as_deref().ok_or_else(|| {
            let detail = format!(
                "user `{}` signs in by this address; take the password away with it (`\"password\": null`), or give another address",
                user.id
            );
            Error::conflict("EMAIL_REQUIRED", detail)
        })?;
        let key = email::key(address);
        if row.text(0)? != key {
            self.free_address(&user.id, address).await?;
            self.execute("UPDATE passwords SET email_key = $2 WHERE user_id = $1", params![user.id.as_str(), key]).await?;
        }
        Ok(())
    }

    /// Refuses an address that another account signs in by. Writes are one after the other: it stays free.
    async fn free_address(&mut self, user: &str, address: &str) -> Result<()> {
        match self.password(address).await? {
            Some(other) if other.user != user => {
                Err(Error::conflict(Error::EMAIL_IN_USE, "another account signs in by this e-mail address"))
            }
            _ => Ok(()),
        }
    }

    /// Ends what a user's former password began.
    async fn shut_out(&mut self, user: &str) -> Result<()> {
        // A session that is just being started holds the user's row, and is there to be ended once this is had.
        let sql = Sql::either("SELECT 1 FROM users WHERE id = $1", "SELECT 1 FROM users WHERE id = $1 FOR UPDATE");
        self.rows(sql, params![user]).await?;
        let now = self.now;
        self.end_sessions_of(user, now).await?;
        self.execute("DELETE FROM password_resets WHERE user_id = $1", params![user]).await?;
        Ok(())
    }

    /// Keeps a link to set a password, by the SHA-256 of what it holds.
    pub async fn insert_password_reset(
        &mut self,
        hash: &str,
        user: &str,
        environment: &str,
        expires_at: Timestamp,
    ) -> Result<()> {
        let sql = "INSERT INTO password_resets (hash, user_id, environment, expires_at) VALUES ($1, $2, $3, $4)";
        self.execute(sql, params![hash, user, environment, expires_at]).await?;
        Ok(())
    }
}
