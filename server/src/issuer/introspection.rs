//! What a token is good for at this moment (RFC 7662). Who asks is told of its own tokens and of those for its audience; all
//! others are to it as if they were not.

use flagbearer::token::Issued;
use serde_json::{Value, json};

use super::refresh::accepts;
use super::refresh_token::RefreshToken;
use super::{Issuer, refresh_token};
use crate::error::Result;
use crate::secret::Secret;
use crate::store::{Application, Surface};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// An application that has shown its secret.
    Client(&'a Application),
    /// Whoever holds an API key of the environment.
    Environment,
}

impl Asker<'_> {
    fn may_see(self, client_id: &str, audience: &[String]) -> bool {
        let Self::Client(application) = self else { return true };
        let own = application.audience.as_ref().unwrap_or(&application.client_id);
        application.client_id == client_id || audience.contains(own)
    }
}

impl Issuer {
    /// What there is to tell of a token; exactly `{"active":false}` of one that is not good here, or not the asker's business.
    pub async fn introspect(&self, environment: &str, asker: Asker<'_>, token: &Secret) -> Result<Value> {
        let told = match refresh_token::parse(&self.key, self.epoch, token.expose()) {
            Some(token) => self.told_of_refresh_token(environment, asker, &token).await?,
            None => {
                let good = self.good_or_none(environment, token).await?.map(|good| good.issued);
                good.filter(|issued| asker.may_see(&issued.client_id, &issued.audience)).map(|issued| told(&issued))
            }
        };
        Ok(told.unwrap_or_else(|| json!({ "active": false })))
    }

    /// Whether a refresh would succeed with it. It is looked at, and not used.
    async fn told_of_refresh_token(
        &self,
        environment: &str,
        asker: Asker<'_>,
        token: &RefreshToken<'_>,
    ) -> Result<Option<Value>> {
        let mut connection = self.store.read().await?;
        let Some(session) = connection.find_session(token.session).await? else { return Ok(None) };
        let Some((application, _)) = connection.client(&session.application).await? else { return Ok(None) };
        let good = session.environment == environment
            && Surface::OAuth.serves(application.profile)
            && accepts(&application, &session, token.generation, self.store.now())
            // Nobody but its own client can use it.
            && asker.may_see(&session.application, &[]);
        Ok(good.then(|| {
            without_nulls(json!({
                "active": true,
                "iss": self.url(environment),
                "sub": session.user,
                "client_id": session.application,
                "scope": session.scope,
                "exp": session.expires_at.seconds(),
                "sid": session.id,
                "org_id": session.organization,
            }))
        }))
    }
}

fn told(issued: &Issued) -> Value {
    let scope = Some(issued.scope.join(" ")).filter(|scope| !scope.is_empty());
    without_nulls(json!({
        "active": true,
        "token_type": "Bearer",
        "iss": issued.issuer,
        "sub": issued.subject,
        "aud": issued.audience,
        "client_id": issued.client_id,
        "scope": scope,
        "iat": issued.issued_at.seconds(),
        "exp": issued.expires_at.seconds(),
        "jti": issued.token_id,
        "sid": issued.session,
        "org_id": issued.organization,
        "flags_rev": issued.flags_revision,
    }))
}

/// What is not known is left out.
fn without_nulls(mut document: Value) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    document
}
