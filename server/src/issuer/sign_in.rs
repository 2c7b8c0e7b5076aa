//! Signing in: from an authorization request to the code that answers it.
//!
//! A request that waits for its user is not stored: it travels sealed in the pages, bound to the browser that asked, and is
//! read and judged anew at each step, as if it had just arrived. So nobody fills a table by asking for pages, any number of
//! tabs can sign in side by side, and an application that was changed meanwhile is seen as it is now. A form that holds such
//! a request can have come from our page alone: it is what keeps other sites from posting our forms.

use flagbearer::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::authorization::{Authorization, Lapsed, Parameters, Stop, client_id, quoted, read, redirect_uri};
use super::{Begun, Issuer, SignInRefused};
use crate::error::{Error, Kind, Result};
use crate::secret::{Secret, hash, random_alphanumeric};
use crate::store::{Browser, Method, Origin, PasswordMark, Surface};

/// How long a page waits for its user, in seconds.
const WAITING: i64 = 3600;

/// How long a browser stays signed in, in seconds.
const SIGNED_IN: i64 = 30 * 86_400;

/// What sealed requests are bound to.
const WAITING_REQUEST: &str = "authorization request";
/// What sealed sign-ins at a provider are bound to.
const UPSTREAM_SIGN_IN: &str = "upstream sign-in";

/// A request as it travels in a page.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    environment: String,
    work_os: bool,
    query: String,
    asked_at: i64,
    /// SHA-256 of the cookie of the browser that asked.
    browser: String,
}

/// A sign-in that is at an upstream provider: the page's request, and what proves the provider's answer to be to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Away {
    pub request: String,
    pub provider: String,
    pub nonce: String,
    pub verifier: String,
}

/// Who comes with a request.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// Where somebody is signed in already.
    pub browser: Option<&'a Browser>,
    pub origin: Origin<'a>,
}

/// What comes next for a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    SignIn,
    SignUp,
    /// The user has several, as (id, name).
    ChooseOrganization(Vec<(String, String)>),
    /// Back to the application, at this address.
    Leave(String),
}

impl Issuer {
    /// Reads an authorization request. `environment` is the one at whose endpoint it arrived; where the endpoint is
    /// common to all, the client tells.
    pub async fn authorization(
        &self,
        environment: Option<&str>,
        surface: Surface,
        query: &str,
        asked_at: Timestamp,
    ) -> Result<Authorization, Stop> {
        let parameters = Parameters::read(query);
        let client_id = client_id(&parameters)?;
        let unknown = || {
            let named = quoted(&client_id).unwrap_or_else(|| "that it names".to_owned());
            let detail = format!("no application with the client id {named} signs in here");
            Error::new(Kind::Malformed, "CLIENT_UNKNOWN", detail)
        };
        let application = self.store.read().await?.client(&client_id).await?.ok_or_else(unknown)?.0;
        if environment.is_some_and(|environment| environment != application.environment)
            || !surface.serves(application.profile)
        {
            return Err(unknown().into());
        }
        let redirect_uri = redirect_uri(&parameters, &application)?;
        self.hold(&application.environment).await?;
        let issuer = self.url(&application.environment);
        read(&parameters, application, redirect_uri, &issuer, asked_at)
    }

    /// Seals a request into what a page carries on. `browser` is the cookie of the browser that asked.
    pub fn wait(&self, authorization: &Authorization, surface: Surface, query: &str, browser: &Secret) -> Result<String> {
        let waiting = Waiting {
            environment: authorization.application.environment.clone(),
            work_os: surface == Surface::WorkOs,
            query: query.to_owned(),
            asked_at: authorization.asked_at.seconds(),
            browser: browser.hash(),
        };
        let plain = serde_json::to_vec(&waiting).map_err(Error::internal)?;
        self.key.seal_text(WAITING_REQUEST, &plain)
    }

    /// Opens what a page of an environment carried, for the browser that holds a cookie.
    pub async fn open(&self, environment: &str, request: &str, browser: Option<&Secret>) -> Result<Authorization, Stop> {
        let foreign = || {
            let detail =
                "this page does not know what you wanted to sign in to; go back to the application and sign in there";
            Error::malformed("REQUEST_INVALID", detail)
        };
        let plain = self.key.open_text(WAITING_REQUEST, request).ok_or_else(foreign)?;
        let waiting: Waiting = serde_json::from_slice(&plain).map_err(Error::internal)?;
        if waiting.environment != environment {
            return Err(foreign().into());
        }
        let asked_at = Timestamp::from_seconds(waiting.asked_at);
        let surface = if waiting.work_os { Surface::WorkOs } else { Surface::OAuth };
        let authorization = self.authorization(Some(environment), surface, &waiting.query, asked_at).await?;
        let in_time = self.store.now() < asked_at.plus_seconds(WAITING);
        if in_time && browser.is_some_and(|browser| browser.hash() == waiting.browser) {
            return Ok(authorization);
        }
        Err(Stop::Lapsed(Box::new(Lapsed { authorization, surface, query: waiting.query })))
    }

    /// Who is signed in in the browser that holds a cookie.
    pub async fn signed_in(&self, environment: &str, cookie: Option<&Secret>) -> Result<Option<Browser>> {
        match cookie {
            Some(cookie) => self.store.browser(environment, &cookie.hash(), self.store.now()).await,
            None => Ok(None),
        }
    }

    /// Signs a browser in as a user, under a new cookie. `former` is the one it had; `password` the one that the user has just
    /// shown, if it was one.
    ///
    /// Errors: `SignInRefused::Wrong` where the password is another by now.
    pub async fn sign_in_browser(
        &self,
        environment: &str,
        user: &str,
        method: Method,
        password: Option<&PasswordMark>,
        former: Option<&Secret>,
    ) -> Result<(Browser, Secret), SignInRefused> {
        let now = self.store.now();
        let cookie = Secret::new(random_alphanumeric(43)?);
        let browser = Browser {
            id: format!("brw_{}", random_alphanumeric(22)?),
            environment: environment.to_owned(),
            user: user.to_owned(),
            method,
            auth_time: now,
            expires_at: now.plus_seconds(SIGNED_IN),
        };
        let former = former.map(Secret::hash);
        let browser = self.store.sign_in_browser(&browser, password, &cookie.hash(), former.as_deref()).await?;
        Ok((browser.ok_or(SignInRefused::Wrong)?, cookie))
    }

    /// What a request needs next of a browser: a user, an organization, or nothing more. `chosen` is the organization that
    /// the user chose.
    pub async fn next(&self, authorization: &Authorization, visitor: &Visitor<'_>, chosen: Option<&str>) -> Result<Step> {
        let browser = visitor.browser.filter(|browser| browser.auth_time >= authorization.signed_in_since);
        let Some(browser) = browser else {
            if authorization.silent {
                return Ok(self.refuse(authorization, "login_required", "nobody is signed in in this browser"));
            }
            return Ok(if authorization.sign_up { Step::SignUp } else { Step::SignIn });
        };
        let mut connection = self.store.read().await?;
        if let Some(organization) = chosen.or(authorization.organization.as_deref()) {
            if connection.find_membership(organization, &browser.user).await?.is_none() {
                let detail = "the user is not a member of that organization";
                return Ok(self.refuse(authorization, "access_denied", detail));
            }
            drop(connection);
            return self.enter(authorization, browser, Some(organization), visitor.origin).await;
        }
        let mut organizations = connection.organizations_of(&browser.user).await?;
        drop(connection);
        if organizations.len() < 2 {
            let only = organizations.pop().map(|(id, _)| id);
            return self.enter(authorization, browser, only.as_deref(), visitor.origin).await;
        }
        if authorization.silent {
            return Ok(self.refuse(authorization, "interaction_required", "the user has several organizations; name one"));
        }
        Ok(Step::ChooseOrganization(organizations))
    }

    /// Answers a request with a code for the user of a browser.
    async fn enter(
        &self,
        authorization: &Authorization,
        browser: &Browser,
        organization: Option<&str>,
        origin: Origin<'_>,
    ) -> Result<Step> {
        let code = self.issue_code(authorization, browser, organization, origin).await?;
        let issuer = self.url(&authorization.application.environment);
        Ok(Step::Leave(authorization.success(&issuer, code.expose())))
    }

    /// Answers a request with a refusal.
    fn refuse(&self, authorization: &Authorization, error: &str, description: &str) -> Step {
        let issuer = self.url(&authorization.application.environment);
        Step::Leave(authorization.refusal(&issuer, error, description))
    }

    /// Keeps a page's request while its browser is at an upstream provider, under the state that it will come back with.
    pub async fn send_away(&self, request: &str, browser: &Secret, provider: &str, begun: &Begun) -> Result<()> {
        let away = Away {
            request: request.to_owned(),
            provider: provider.to_owned(),
            nonce: begun.nonce.clone(),
            verifier: begun.verifier.clone(),
        };
        let sealed = self.key.seal(UPSTREAM_SIGN_IN, &serde_json::to_vec(&away).map_err(Error::internal)?)?;
        let expires_at = self.store.now().plus_seconds(WAITING);
        self.store.keep_sign_in(&away_under(&begun.state, browser), sealed, expires_at).await
    }

    /// What was kept for a browser that comes back with a state, once.
    pub async fn take_back(&self, state: &str, browser: &Secret) -> Result<Option<Away>> {
        let sealed = self.store.take_sign_in(&away_under(state, browser), self.store.now()).await?;
        let Some(sealed) = sealed else { return Ok(None) };
        serde_json::from_slice(&self.key.open(UPSTREAM_SIGN_IN, &sealed)?).map(Some).map_err(Error::internal)
    }
}

/// Found again by the browser that left alone, with the state that the provider was given.
fn away_under(state: &str, browser: &Secret) -> String {
    hash(format!("{state}\n{}", browser.expose()).as_bytes())
}
