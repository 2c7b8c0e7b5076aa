//! Who somebody is elsewhere: an issuer and its `sub`. Never an address, verified or not: whoever may name an address at one
//! provider must not become the user that another one knows by it.

use super::engine::{Connection, params};
use super::{Store, User};
use crate::error::{Error, Result};

/// Somebody whom a provider sends.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    /// The user's id here, where the provider is the one who says it.
    pub user: Option<&'a str>,
    /// The organization that the provider says they belong to.
    pub organization: Option<&'a str>,
    /// An address that the provider has verified.
    pub email: Option<&'a str>,
    pub name: Option<&'a str>,
}

/// How often an arrival is looked at again when somebody else created the same in this instant.
const ATTEMPTS: usize = 3;

impl Store {
    /// The user that somebody is here. `newcomer` is the id for one who is not known, and lets users, organizations and
    /// memberships be created; without it, `None` is answered for whoever is not known.
    ///
    /// What is created is bare for every evaluation, and so no change.
    pub async fn arrive(&self, arrival: &Arrival<'_>, newcomer: Option<&str>) -> Result<Option<User>> {
        let mut connection = self.read().await?;
        let known = connection.arrived(arrival).await?;
        let Some(newcomer) = newcomer else { return Ok(known) };
        if let Some(user) = known {
            let member = match arrival.organization {
                Some(organization) => connection.find_membership(organization, &user.id).await?.is_some(),
                None => true,
            };
            if member {
                return Ok(Some(user));
            }
        }
        drop(connection);
        for _ in 0..ATTEMPTS {
            if let Some(user) = self.welcome(arrival, newcomer).await? {
                return Ok(Some(user));
            }
        }
        Err(Error::unavailable())
    }

    /// Creates what is missing; `None` where another request created the same identity meanwhile.
    async fn welcome(&self, arrival: &Arrival<'_>, newcomer: &str) -> Result<Option<User>> {
        let now = self.now();
        let mut connection = self.engine.write().await?;
        let known = connection.arrived(arrival).await?;
        let id = known.as_ref().map_or(arrival.user.unwrap_or(newcomer), |user| &user.id).to_owned();
        if known.is_none() {
            // An address that somebody signs in with is theirs: nobody else shall look like them in a token.
            let taken = match arrival.email {
                Some(email) => connection.password(email).await?.is_some(),
                None => false,
            };
            let email = arrival.email.filter(|_| !taken);
            let sql = "INSERT INTO users (id, email, email_verified, name, attributes, revision, created_at, updated_at) \
                       SELECT $1, CAST($2 AS TEXT), $3, CAST($4 AS TEXT), '{}', revision, $5, $5 FROM installation \
                       WHERE true ON CONFLICT DO NOTHING";
            connection.execute(sql, params![id.as_str(), email, email.is_some(), arrival.name, now]).await?;
            if arrival.user.is_none() {
                let sql = "INSERT INTO identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4) \
                           ON CONFLICT DO NOTHING";
                let parameters = params![arrival.issuer, arrival.subject, id.as_str(), now];
                if connection.execute(sql, parameters).await? == 0 {
                    return Ok(None);
                }
            }
        }
        connection.ensure_member(&id, arrival.organization, now).await?;
        let user = connection.user(&id).await?;
        connection.commit().await?;
        Ok(Some(user))
    }
}

impl Store {
    /// Notes that a user was at a sign-in page.
    pub async fn note_sign_in(&self, user: &mut User) -> Result<()> {
        let now = self.now();
        let mut connection = self.engine.write().await?;
        connection.execute("UPDATE users SET last_sign_in_at = $2 WHERE id = $1", params![user.id.as_str(), now]).await?;
        connection.commit().await?;
        user.last_sign_in_at = Some(now);
        Ok(())
    }
}

impl Connection {
    async fn arrived(&mut self, arrival: &Arrival<'_>) -> Result<Option<User>> {
        if let Some(user) = arrival.user {
            return self.find_user(user).await;
        }
        let sql = "SELECT user_id FROM identities WHERE issuer = $1 AND subject = $2";
        match self.row(sql, params![arrival.issuer, arrival.subject]).await? {
            Some(row) => self.find_user(&row.text(0)?).await,
            None => Ok(None),
        }
    }
}
