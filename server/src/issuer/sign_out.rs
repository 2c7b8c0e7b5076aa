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
    /// An ID token of the application, which tells both session and client.
    pub id_token_hint: Option<&'a str>,
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
        let hint = match out.id_token_hint {
            Some(token) => self.hinted(out.environment, token).await?,
            None => None,
        };
        // Of another client than the one that asks, it was not sent by whom it was given to.
        let hint = hint.filter(|hint| out.client_id.is_none_or(|client_id| client_id == hint.client_id));
        let session = out.session.or(hint.as_ref().map(|hint| hint.session.as_str()));
        let client_id = out.client_id.or(hint.as_ref().map(|hint| hint.client_id.as_str()));
        let hash = out.browser.map(Secret::hash);
        if hash.is_some() || session.is_some() {
            self.store.sign_out(out.environment, hash.as_deref(), session, self.store.now()).await?;
        }
        let Some(to) = out.to else { return Ok(None) };
        if !self.may_leave_to(out.environment, client_id, to).await? {
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
