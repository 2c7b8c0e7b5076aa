//! Users whom an application signs in by itself, without a page: their session begins in the only organization they have, or
//! in none, or waits until the application has let them choose one.

use flagbearer::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Issuer, Refused, Remember, Tokens};
use crate::error::{Error, Kind, Result};
use crate::store::{Application, Method, Origin, PasswordMark, Start};

/// How long a choice is waited for, in seconds.
const WAITING: i64 = 600;

/// What sealed choices are bound to.
const PENDING: &str = "pending authentication";

/// A user who has shown who it is, and still has to say where to go on.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    client_id: String,
    user: String,
    /// When and how the user signed in.
    auth_time: i64,
    method: String,
    password: Option<PasswordMark>,
}

/// A user who has just signed in at an application.
#[derive(Debug, Clone, Copy)]
pub struct Entrant<'a> {
    pub user: &'a str,
    pub organization: Option<&'a str>,
    pub method: Method,
    /// The one that was shown, where it was a password: the user is let in only as long as it is the user's.
    pub password: Option<&'a PasswordMark>,
    pub auth_time: Timestamp,
    pub origin: Origin<'a>,
}

impl Issuer {
    /// Begins the session of a user in an organization of theirs, or in none.
    ///
    /// `Ok(None)` where the same was answered already.
    pub async fn let_in(
        &self,
        application: &Application,
        entrant: &Entrant<'_>,
        remember: Option<&Remember<'_>>,
    ) -> Result<Option<Tokens>, Refused> {
        let Entrant { user, organization, method, password, auth_time, origin } = *entrant;
        let told = Start::told(application, user, organization, method, true, self.store.now());
        match self.start(&Start { password, auth_time, origin, ..told }, remember).await {
            Ok(tokens) => Ok(tokens),
            // Whether there is such an organization is no stranger's business.
            Err(error) if error.kind == Kind::Forbidden || error.code == "ORGANIZATION_NOT_FOUND" => {
                Err(Refused::NotAMember)
            }
            // The user is not there any more, or the password is another.
            Err(error) if error.kind == Kind::NotFound => Err(Refused::Grant),
            Err(error) => Err(error.into()),
        }
    }

    /// What a user who has several organizations is let in by once one is chosen.
    pub fn await_choice(&self, application: &Application, entrant: &Entrant<'_>) -> Result<String> {
        let pending = Pending {
            client_id: application.client_id.clone(),
            user: entrant.user.to_owned(),
            auth_time: entrant.auth_time.seconds(),
            method: entrant.method.as_str().to_owned(),
            password: entrant.password.cloned(),
        };
        self.key.seal_text(PENDING, &serde_json::to_vec(&pending).map_err(Error::internal)?)
    }

    /// Begins the session of a user whose choice was waited for, where it came in time and to the application that asked.
    ///
    /// `Ok(None)` where the same was answered already.
    pub async fn choose(
        &self,
        application: &Application,
        pending: &str,
        organization: &str,
        origin: Origin<'_>,
        remember: Option<&Remember<'_>>,
    ) -> Result<Option<Tokens>, Refused> {
        let plain = self.key.open_text(PENDING, pending).ok_or(Refused::Grant)?;
        let pending: Pending = serde_json::from_slice(&plain).map_err(Error::internal)?;
        let auth_time = Timestamp::from_seconds(pending.auth_time);
        if pending.client_id != application.client_id || self.store.now() >= auth_time.plus_seconds(WAITING) {
            return Err(Refused::Grant);
        }
        let method = Method::from_stored(&pending.method)?;
        let (organization, password) = (Some(organization), pending.password.as_ref());
        let entrant = Entrant { user: &pending.user, organization, method, password, auth_time, origin };
        self.let_in(application, &entrant, remember).await
    }
}
