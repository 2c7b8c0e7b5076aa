//! Browsers that are signed in. What a browser holds is a cookie; here is its hash, and who it stands for.

use flagbearer::timestamp::Timestamp;

use super::engine::{Row, params};
use super::{Method, PasswordMark, Store};
use crate::error::{Error, Result};

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// Stays while the cookie changes: sessions name it.
    pub id: String,
    pub environment: String,
    pub user: String,
    pub method: Method,
    pub auth_time: Timestamp,
    pub expires_at: Timestamp,
}

impl TryFrom<&Row> for Browser {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text(0)?,
            environment: row.text(1)?,
            user: row.text(2)?,
            method: Method::from_stored(&row.text(3)?)?,
            auth_time: row.time(4)?,
            expires_at: row.time(5)?,
        })
    }
}

impl Store {
    /// The browser that holds a cookie, as long as it is signed in at that environment.
    pub async fn browser(&self, environment: &str, hash: &str, now: Timestamp) -> Result<Option<Browser>> {
        let sql = "SELECT id, environment, user_id, method, auth_time, expires_at FROM browsers \
                   WHERE hash = $1 AND environment = $2 AND expires_at > $3";
        let row = self.read().await?.row(sql, params![hash, environment, now]).await?;
        row.as_ref().map(Browser::try_from).transpose()
    }

    /// Signs a browser in under a new cookie; the former one is worth nothing from here on. A browser that was signed in
    /// already keeps its id, whoever it now stands for: what began in it ends with it. `None` where the user does not sign in
    /// by this password any more.
    pub async fn sign_in_browser(
        &self,
        browser: &Browser,
        password: Option<&PasswordMark>,
        hash: &str,
        former: Option<&str>,
    ) -> Result<Option<Browser>> {
        let mut connection = self.engine.write().await?;
        // A change of the user's password ends either this browser, or the one that it was before.
        connection.hold_user(&browser.user).await?;
        if let Some(password) = password
            && !connection.holds_password(&browser.user, password).await?
        {
            return Ok(None);
        }
        let sql = "INSERT INTO browsers (id, hash, environment, user_id, method, auth_time, expires_at) \
                   VALUES (COALESCE((SELECT id FROM browsers WHERE hash = $8 AND environment = $3), $1), \
                           $2, $3, $4, $5, $6, $7) \
                   ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, user_id = excluded.user_id, \
                   method = excluded.method, auth_time = excluded.auth_time, expires_at = excluded.expires_at \
                   RETURNING id, environment, user_id, method, auth_time, expires_at";
        let parameters = params![
            browser.id.as_str(),
            hash,
            browser.environment.as_str(),
            browser.user.as_str(),
            browser.method.as_str(),
            browser.auth_time,
            browser.expires_at,
            former,
        ];
        let row = connection.row(sql, parameters).await?;
        let signed_in = row.as_ref().ok_or_else(|| Error::internal("a browser was not signed in"))?.try_into()?;
        connection.commit().await?;
        Ok(Some(signed_in))
    }

    /// Signs a browser out, by its cookie or by a session that began in it, and ends all sessions that began in it.
    /// The session itself ends also where no browser is known.
    pub async fn sign_out(
        &self,
        environment: &str,
        hash: Option<&str>,
        session: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let mut connection = self.engine.write().await?;
        let sql = "DELETE FROM browsers WHERE environment = $1 \
                   AND (hash = $2 OR id = (SELECT browser FROM sessions WHERE id = $3 AND environment = $1)) RETURNING id";
        for row in connection.rows(sql, params![environment, hash, session]).await? {
            let sql = "UPDATE sessions SET revoked_at = $2 WHERE browser = $1 AND revoked_at IS NULL";
            connection.execute(sql, params![row.text(0)?, now]).await?;
        }
        let sql = "UPDATE sessions SET revoked_at = $3 WHERE id = $1 AND environment = $2 AND revoked_at IS NULL";
        connection.execute(sql, params![session, environment, now]).await?;
        connection.commit().await
    }
}
