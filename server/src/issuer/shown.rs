//! Tokens that come back to their issuer. Access tokens are shown as `Authorization: Bearer` at endpoints of its own: a
//! backend has to believe one until it expires; here it is also asked whether its session still lives. ID tokens are hints.

use flagbearer::timestamp::Timestamp;
use flagbearer::token::{ForeignToken, Issued, KeySet, Presented, Profile};
use serde_json::{Map, Value, json};

use super::{Issuer, has_scope, person, told_of_person};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::store::{Application, Connection, Session, Snapshot, Standpoint, Surface};

/// A user's token that is good, and everything that is known at its place now.
#[derive(Debug, Clone)]
pub struct ShownByUser {
    pub application: Application,
    pub session: Session,
    pub snapshot: Snapshot,
    pub now: Timestamp,
}

/// An application's own token that is good.
#[derive(Debug, Clone)]
pub struct ShownByMachine {
    pub application: Application,
    pub issued: Issued,
}

/// Why a token is refused that is shown where only a good one counts.
const TOKEN_INVALID: &str = "TOKEN_INVALID";

/// What a token that is not good is told. Which of the reasons it was, is nobody's business but the log's.
fn refused(reason: &str) -> Error {
    tracing::debug!(reason, "a token was shown that is not good");
    let detail = "the access token is not valid here, has expired, or its session has ended; refresh it or sign in again";
    Error::new(Kind::Unauthenticated, TOKEN_INVALID, detail)
}

/// An access token that is good at this moment.
#[derive(Debug)]
pub(super) struct Good {
    pub issued: Issued,
    pub application: Application,
    /// None of a machine's.
    pub session: Option<Session>,
    pub now: Timestamp,
    /// The snapshot in which all of this was found.
    connection: Connection,
}

/// Of what an ID token is a hint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hint {
    pub client_id: String,
    pub session: String,
}

impl Issuer {
    /// What an ID token of a held environment is a hint of, however old it is and even if its key signs no more. `None` where
    /// it is no such token: a hint that is not good is none.
    pub(super) async fn hinted(&self, environment: &str, token: &str) -> Result<Option<Hint>> {
        let Ok(token) = ForeignToken::parse(token) else { return Ok(None) };
        let keys = self.store.signing_keys(environment).await?;
        // With a key that was withdrawn, anybody may have signed it.
        let key = keys.keys.iter().find(|key| token.key_id() == Some(key.kid.as_str()) && !key.withdrawn);
        let Some(key) = key else { return Ok(None) };
        let keys = KeySet::parse(format!("{{\"keys\":[{}]}}", key.jwk).as_bytes()).map_err(Error::internal)?;
        let Ok(said) = token.verify_hint(&self.url(environment), &keys) else { return Ok(None) };
        // An access token, which the vendors' profiles type alike.
        if said.all.contains_key("flags_rev") {
            return Ok(None);
        }
        let session = said.all.get("sid").and_then(Value::as_str).map(str::to_owned);
        let client_id = said.audience.into_iter().next();
        Ok(client_id.zip(session).map(|(client_id, session)| Hint { client_id, session }))
    }

    /// The user whose token this is, in a held environment.
    ///
    /// Errors: `TOKEN_INVALID`.
    pub async fn shown_by_user(&self, environment: &str, token: &Secret) -> Result<ShownByUser> {
        let Good { application, session, now, mut connection, .. } = self.good(environment, token).await?;
        let session = session.ok_or_else(|| refused("it is no user's"))?;
        let organization = session.organization.as_deref();
        let standpoint = Standpoint { environment, user: Some(&session.user), organization };
        let snapshot = self.store.snapshot_in(&mut connection, standpoint).await?;
        Ok(ShownByUser { application, session, snapshot, now })
    }

    /// The application whose own token this is, in a held environment.
    ///
    /// Errors: `TOKEN_INVALID`.
    pub async fn shown_by_machine(&self, environment: &str, token: &Secret, audience: &str) -> Result<ShownByMachine> {
        let Good { issued, application, session, .. } = self.good(environment, token).await?;
        if session.is_some() {
            return Err(refused("it is a user's"));
        }
        if !issued.audience.iter().any(|entry| entry == audience) {
            return Err(refused("it is for another audience"));
        }
        Ok(ShownByMachine { application, issued })
    }

    /// An access token as asked about: `None` where it is not good.
    pub(super) async fn good_or_none(&self, environment: &str, token: &Secret) -> Result<Option<Good>> {
        match self.good(environment, token).await {
            Ok(good) => Ok(Some(good)),
            Err(error) if error.code == TOKEN_INVALID => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a token says, once it is sure that it was issued here, has not expired, and that neither its application nor its
    /// session has come to an end.
    async fn good(&self, environment: &str, token: &Secret) -> Result<Good> {
        let now = self.store.now();
        let presented = Presented::parse(token.expose()).map_err(|error| refused(error.code.as_str()))?;
        let keys = self.keys.jwks(environment).await?;
        let keys = KeySet::parse(keys.as_bytes()).map_err(Error::internal)?;
        let issued = presented.verify(&keys).map_err(|error| refused(error.code.as_str()))?;
        if issued.issuer != self.url(environment) {
            return Err(refused("it is another issuer's"));
        }
        if issued.expires_at <= now {
            return Err(refused("it has expired"));
        }
        let mut connection = self.store.read().await?;
        let application = connection.client(&issued.client_id).await?.map(|(application, _)| application);
        let application = application.ok_or_else(|| refused("its application is gone"))?;
        if application.environment != environment || !Surface::OAuth.serves(application.profile) {
            return Err(refused("its application is not served here"));
        }
        let session = match &issued.session {
            Some(id) => {
                let session = connection.find_session(id).await?.filter(|session| {
                    session.lives(now) && session.application == issued.client_id && session.user == issued.subject
                });
                Some(session.ok_or_else(|| refused("its session has ended"))?)
            }
            None if issued.is_machine() => None,
            None => return Err(refused("it is neither a session's nor a machine's")),
        };
        Ok(Good { issued, application, session, now, connection })
    }
}

impl ShownByUser {
    /// What is told of the user (OpenID Connect Core §5.3.2): what the scope names.
    ///
    /// Errors: `SCOPE_INSUFFICIENT`.
    pub fn user_info(&self) -> Result<Value> {
        let scope = self.session.scope.as_deref();
        if self.application.profile == Profile::Flagbearer && !has_scope(scope, "openid") {
            let detail = "this token was not issued for the scope `openid`; ask for it when signing in";
            return Err(Error::new(Kind::Forbidden, "SCOPE_INSUFFICIENT", detail));
        }
        let known = &self.snapshot.facts.person;
        let person = person(known, told_of_person(self.application.profile, scope));
        let (given_name, family_name) = person.names();
        let members = [
            ("sub", json!(self.session.user)),
            ("email", json!(person.email)),
            ("email_verified", json!(person.email_verified)),
            ("name", json!(person.name)),
            ("given_name", json!(given_name)),
            ("family_name", json!(family_name)),
            ("picture", json!(person.picture)),
            ("updated_at", json!(person.name.and(known.updated_at).map(Timestamp::seconds))),
        ];
        let told = members.into_iter().filter(|(_, value)| !value.is_null());
        Ok(told.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into())
    }
}
