//! The end of a session at its client's wish (RFC 7009).

use super::{Issuer, Refused, refresh_token};
use crate::secret::Secret;
use crate::store::Application;

impl Issuer {
    /// Ends the session of a token that this application holds, be it a refresh token, used up or not, or an access token
    /// that still lives. What is none of its tokens is left alone without a word (RFC 7009 §2.2).
    ///
    /// Errors: `Refused::Irrevocable` for its own machine token, which has no session to end: to say that it were revoked
    /// would be a lie.
    pub async fn revoke(&self, application: &Application, token: &Secret) -> Result<(), Refused> {
        let environment = application.environment.as_str();
        let session = match refresh_token::parse(&self.key, self.epoch, token.expose()) {
            Some(refresh_token) => self.store.read().await?.find_session(refresh_token.session).await?,
            None => match self.good_or_none(environment, token).await? {
                Some(good) if good.application.client_id != application.client_id => None,
                Some(good) if good.session.is_none() => return Err(Refused::Irrevocable),
                good => good.and_then(|good| good.session),
            },
        };
        if let Some(session) = session
            && session.application == application.client_id
            && session.environment == environment
        {
            self.store.revoke_session(&session.id, self.store.now()).await?;
        }
        Ok(())
    }
}
