//! The start of a session, however its user was found out.

use flagbearer::timestamp::Timestamp;

use super::{Issuer, Minting, Remember, Tokens};
use crate::error::Result;
use crate::secret::random_alphanumeric;
use crate::store::{Application, Method, Origin, PasswordMark, Start};

/// A session that is to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewSession<'a> {
    pub user: &'a str,
    pub organization: Option<&'a str>,
    /// Refuse a user, an organization or a membership that is not known, instead of creating it bare.
    pub strict: bool,
    pub now: Timestamp,
    /// When the user signed in.
    pub auth_time: Timestamp,
    pub method: Method,
    /// Where the user has just signed in by a password: the one that it has to be still.
    pub password: Option<&'a PasswordMark>,
    pub scope: Option<&'a str>,
    /// The id of the signed-in browser that it begins in.
    pub browser: Option<&'a str>,
    pub origin: Origin<'a>,
    /// Goes into the first ID token.
    pub nonce: Option<&'a str>,
}

impl<'a> NewSession<'a> {
    /// A session of a user whom somebody else has just told us of.
    pub fn told(user: &'a str, organization: Option<&'a str>, method: Method, strict: bool, now: Timestamp) -> Self {
        let (password, scope, browser, origin, nonce) = (None, None, None, Origin::default(), None);
        Self { user, organization, strict, now, auth_time: now, method, password, scope, browser, origin, nonce }
    }
}

impl Issuer {
    /// Starts a session and mints its first tokens, in one transaction.
    ///
    /// `Ok(None)` where the same was answered already, under the `Idempotency-Key` that `remember` is for.
    pub async fn start(
        &self,
        application: &Application,
        new: &NewSession<'_>,
        remember: Option<&Remember<'_>>,
    ) -> Result<Option<Tokens>> {
        self.hold(&application.environment).await?;
        let NewSession { user, organization, strict, now, auth_time, method, password, scope, browser, origin, nonce } =
            *new;
        let id = format!("ses_{}", random_alphanumeric(22)?);
        let start = Start {
            id: &id,
            application,
            user,
            organization,
            strict,
            now,
            auth_time,
            method,
            password,
            scope,
            browser,
            origin,
        };
        let mint = |session: &_, snapshot: &_| {
            let tokens = self.issue(&Minting { application, session, generation: 1, snapshot, nonce, now })?;
            let memo = remember.map(|remember| remember(&tokens)).transpose()?;
            Ok((tokens, memo))
        };
        self.store.start_session(&start, mint).await
    }
}
