//! Signing out: the browser, and every session that began in it (OpenID Connect RP-Initiated Logout 1.0).

use url::form_urlencoded;

use super::Issuer;
use crate::error::Result;
use crate::secret::Secret;
use crate::store::Application;

/// A request to sign out, as an application sends a browser with it.
#[derive(Debug, Clone, Copy)]
pub struct SignOut<'a> {
    pub environment: &'a str,
    /// The cookie of whoever is signed in.
    pub browser: Option<&'a Secret>,
    /// A session that the application knows; it ends also where the browser is not known.
    pub session: Option<&'a str>,
    pub client_id: Option<&'a str>,
    /// Where to go afterwards.
    pub to: Option<&'a str>,
    /// Goes with it.
    pub state: Option<&'a str>,
}

/// How many applications are looked at together.
const PAGE: i64 = 200;

impl Issuer {
    /// Signs out, and answers where the browser may go then: only to an address that an application of the environment has
    /// among its `logout_uris`, letter by letter.
    pub async fn sign_out(&self, out: &SignOut<'_>) -> Result<Option<String>> {
        let hash = out.browser.map(Secret::hash);
        if hash.is_some() || out.session.is_some() {
            self.store.sign_out(out.environment, hash.as_deref(), out.session, self.store.now()).await?;
        }
        let Some(to) = out.to else { return Ok(None) };
        if !self.may_leave_to(out.environment, out.client_id, to).await? {
            return Ok(None);
        }
        let Some(state) = out.state else { return Ok(Some(to.to_owned())) };
        let separator = if to.contains('?') { '&' } else { '?' };
        let state: String = form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
        Ok(Some(format!("{to}{separator}{state}")))
    }

    /// Kinde's clients do not say who they are: then the address may be any application's of the environment.
    async fn may_leave_to(&self, environment: &str, client_id: Option<&str>, to: &str) -> Result<bool> {
        let allows = |application: &Application| application.logout_uris.iter().any(|uri| uri == to);
        let mut connection = self.store.read().await?;
        if let Some(client_id) = client_id {
            let found = connection.client(client_id).await?;
            return Ok(found.is_some_and(|(application, _)| application.environment == environment && allows(&application)));
        }
        let mut cursor = String::new();
        loop {
            let page = connection.applications(Some(environment), &cursor, PAGE).await?;
            if page.iter().any(|stored| allows(&stored.application)) {
                return Ok(true);
            }
            match page.last() {
                Some(last) if page.len() as i64 == PAGE => cursor.clone_from(&last.application.client_id),
                _ => return Ok(false),
            }
        }
    }
}
