//! What was issued: read out of a token, or gathered from a session and a time.

use flagbearer::document::Members;
use flagbearer::error::{Error as CoreError, ErrorCode};
use flagbearer::mismatch::Whereabouts;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{KeySet, Presented};
use serde_json::{Map, Value, json};

use super::{Call, not_recorded};
use crate::error::{Error, Kind, Result};
use crate::store::{Connection, Standpoint};

/// What a caller asks about.
pub enum Wanted<'b> {
    Token(&'b str),
    Session { id: &'b str, at: Timestamp },
    Recorded(Recorded<'b>),
}

/// By what a recorded token is known.
pub enum Recorded<'b> {
    TokenId(&'b str),
    RequestId(&'b str),
}

/// A token that was issued, or would have been at that time.
#[derive(Debug)]
pub struct Told {
    pub of: Whereabouts,
    pub session: Option<String>,
    token_id: Option<String>,
    /// The revision whose state it was made from.
    pub revision: i64,
    pub issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// The flags' values as the token itself has them.
    pub carried: Option<Map<String, Value>>,
}

impl<'b> Wanted<'b> {
    pub fn parse(members: &mut Members<'b>) -> Result<Self> {
        let [token, session, at] = ["token", "session_id", "at"].map(|name| members.optional(name));
        let recorded = ["jti", "request_id"].map(|name| members.optional(name));
        let more = || "ask about one thing: a `token`, a `jti`, a `request_id`, or a `session_id` and the time `at`";
        match (token, session, at, recorded) {
            (Some(token), None, None, [None, None]) => Ok(Self::Token(token.string()?)),
            (None, Some(session), Some(at), [None, None]) => {
                // The issuer's clock has whole seconds.
                Ok(Self::Session { id: session.string()?, at: Timestamp::from_seconds(at.timestamp()?.seconds()) })
            }
            (None, Some(_), None, [None, None]) => {
                Err(CoreError::at(ErrorCode::MemberMissing, "/at", "a session is asked about at a time: say which").into())
            }
            (None, None, None, [None, None]) => Err(CoreError::at(ErrorCode::MemberMissing, "/token", more()).into()),
            (None, None, None, [Some(jti), None]) => Ok(Self::Recorded(Recorded::TokenId(jti.string()?))),
            (None, None, None, [None, Some(id)]) => Ok(Self::Recorded(Recorded::RequestId(id.string()?))),
            _ => Err(CoreError::new(ErrorCode::ValueInvalid, more()).into()),
        }
    }

    /// `records`: whether it is written down which tokens are issued.
    pub async fn find(self, call: &Call, connection: &mut Connection, records: bool, now: Timestamp) -> Result<Told> {
        match self {
            Self::Token(token) => Told::of_token(call, connection, token).await,
            Self::Session { id, at } => Told::of_session(call, connection, id, at, now).await,
            Self::Recorded(_) if !records => Err(not_recorded()),
            Self::Recorded(recorded) => Told::of_recorded(call, connection, recorded).await,
        }
    }
}

impl Told {
    pub fn standpoint(&self) -> Standpoint<'_> {
        Standpoint {
            environment: &self.of.environment,
            user: self.of.user.as_deref(),
            organization: self.of.organization.as_deref(),
        }
    }

    /// Whose token it is, is told by the key that signed it; so a server whose public URL has changed still explains the
    /// tokens from before. It may have expired, and be for whatever audience.
    async fn of_token(call: &Call, connection: &mut Connection, token: &str) -> Result<Self> {
        let refused = |error: CoreError| Error::from(error.under("/token"));
        let presented = Presented::parse(token).map_err(refused)?;
        let found = match presented.key_id() {
            // No database keeps NUL; such a key is none of ours.
            Some(kid) if !kid.contains('\0') => connection.public_key(kid).await?,
            _ => None,
        };
        let (environment, jwk) = found.unzip();
        let keys = format!("{{\"keys\":[{}]}}", jwk.unwrap_or_default());
        let keys = KeySet::parse(keys.as_bytes()).map_err(Error::internal)?;
        let issued = presented.verify(&keys).map_err(refused)?;
        let environment = environment.ok_or_else(|| Error::internal("a key without an environment"))?;
        call.may_read(&environment)?;
        connection.check_revision(issued.flags_revision).await?;
        let carried = issued.flags.get_all_flags().map(|(key, value)| (key.into_owned(), value.to_json())).collect();
        let machine = issued.is_machine();
        Ok(Self {
            of: Whereabouts {
                environment,
                organization: issued.organization,
                user: Some(issued.subject).filter(|_| !machine),
                application: issued.client_id,
            },
            session: issued.session,
            token_id: Some(issued.token_id),
            revision: issued.flags_revision,
            issued_at: issued.issued_at,
            expires_at: Some(issued.expires_at),
            carried: Some(carried),
        })
    }

    /// What a session's token of that second would have said, had it been issued at its end. In which organization the
    /// session was then is not kept: it is taken to be the one it is in now.
    async fn of_session(call: &Call, connection: &mut Connection, id: &str, at: Timestamp, now: Timestamp) -> Result<Self> {
        let unknown = || Error::not_found("session", id);
        let session = connection.find_session(id).await?.ok_or_else(unknown)?;
        call.may_read(&session.environment).map_err(|_| unknown())?;
        if at < session.auth_time || at > now {
            let detail = format!("the session began at {}; name a time since then that has come", session.auth_time);
            return Err(CoreError::at(ErrorCode::TimeInvalid, "/at", detail).into());
        }
        let revision = connection.revision_at(at).await?;
        Ok(Self {
            of: Whereabouts {
                environment: session.environment,
                organization: session.organization,
                user: Some(session.user),
                application: session.application,
            },
            session: Some(session.id),
            token_id: None,
            revision,
            issued_at: at,
            expires_at: None,
            carried: None,
        })
    }

    async fn of_recorded(call: &Call, connection: &mut Connection, recorded: Recorded<'_>) -> Result<Self> {
        let unknown = || {
            let detail = "no such token is recorded: they are for seven days, and only where the server was told to by then";
            Error::new(Kind::NotFound, "ISSUANCE_NOT_FOUND", detail)
        };
        let found = match recorded {
            Recorded::TokenId(token_id) => connection.issuance(token_id).await?,
            Recorded::RequestId(request_id) => connection.issuance_of_request(request_id).await?,
        };
        let issuance = found.ok_or_else(unknown)?;
        call.may_read(&issuance.environment).map_err(|_| unknown())?;
        let user = match &issuance.session {
            Some(id) => Some(connection.find_session(id).await?.ok_or_else(unknown)?.user),
            None => None,
        };
        Ok(Self {
            of: Whereabouts {
                environment: issuance.environment,
                organization: issuance.organization,
                user,
                application: issuance.application,
            },
            session: issuance.session,
            token_id: Some(issuance.token_id),
            revision: issuance.revision,
            issued_at: issuance.issued_at,
            expires_at: None,
            carried: None,
        })
    }

    /// `revision` is the environment's, as in the token.
    pub fn answer(&self, revision: i64, stale: bool) -> Value {
        json!({
            "revision": revision,
            "issued_at": self.issued_at,
            "expires_at": self.expires_at,
            "environment": self.of.environment,
            "user": self.of.user,
            "organization": self.of.organization,
            "application": self.of.application,
            "session_id": self.session,
            "token_id": self.token_id,
            "stale": stale,
        })
    }
}
