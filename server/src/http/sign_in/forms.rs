//! The pages that ask something, and what they are answered.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::page::{ChooseOrganization, Frame, Notice, ResetPassword, SignIn, SignUp, refused, sentence, shown};
use super::{App, Fields, Outcome, Visit, concluded, go, leave};
use crate::error::{Error, Kind, Result};
use crate::http::request_id;
use crate::issuer::{Authorization, ResetRefused, Returned, SignInRefused, SignUpRefused, Step, Stop, UpstreamRefused};
use crate::store::{Method, PasswordMark};

type Body = Result<Bytes, BytesRejection>;

/// What the user is told about a form, to be corrected.
struct Problem {
    kind: Kind,
    text: String,
}

/// Tells a refusal that concerns the user from a failure, which stops the handler.
macro_rules! problem {
    ($Refused:ident, $refusal:expr) => {{
        let text = sentence(&$refusal.to_string());
        match $refusal {
            $Refused::Failed(Error { kind: kind @ Kind::TooMany { .. }, .. }) => Problem { kind, text },
            $Refused::Failed(error) => return Err(Stop::from(error)),
            _ => Problem { kind: Kind::Refused, text },
        }
    }};
}

/// A page that carries an authorization request on.
struct Page<'a> {
    app: &'a App,
    visit: &'a Visit,
    request: &'a str,
    authorization: Authorization,
}

impl<'a> Page<'a> {
    /// The page at an address.
    async fn asked(app: &'a App, visit: &'a Visit, fields: &'a Fields) -> Result<Self, Stop> {
        let request = fields.text("request");
        let authorization = app.issuer.open(&visit.environment, request, visit.page()).await?;
        Ok(Self { app, visit, request, authorization })
    }

    /// The page whose form was posted.
    async fn answered(app: &'a App, visit: &'a Visit, fields: &'a Fields) -> Result<Self, Stop> {
        visit.posted_here()?;
        Self::asked(app, visit, fields).await
    }

    fn frame(&self) -> Frame {
        Frame::of(self.visit, &self.authorization.application, &self.authorization.redirect_uri)
    }

    async fn sign_up_allowed(&self) -> Result<bool> {
        Ok(self.app.store.read().await?.environment(&self.visit.environment).await?.sign_up)
    }

    /// Shows the sign-in page; with a problem where something entered was refused.
    async fn sign_in(&self, email: &str, problem: Option<&Problem>) -> Result<Response> {
        let upstream = self.app.issuer.upstream_choices(&self.visit.environment).await?;
        let page = SignIn {
            frame: self.frame(),
            request: self.request,
            email,
            problem: problem.map(|problem| problem.text.as_str()),
            upstream: &upstream,
            sign_up: self.sign_up_allowed().await?,
        };
        Ok(match problem {
            None => shown(&page),
            Some(problem) => refused(problem.kind, &page),
        })
    }

    /// Shows the sign-in page again to a user whom a provider did not bring in. What went wrong there is for the log.
    async fn without_provider(&self, refusal: UpstreamRefused) -> Outcome {
        let text = match refusal {
            UpstreamRefused::Failed(error) => return Err(error.into()),
            UpstreamRefused::Provider { .. } => {
                "That sign-in is not available just now. Try again, or sign in another way.".to_owned()
            }
            UpstreamRefused::Unknown | UpstreamRefused::NoAccount => sentence(&refusal.to_string()),
        };
        Ok(self.sign_in("", Some(&Problem { kind: Kind::Refused, text })).await?)
    }

    fn sign_up(&self, name: &'a str, email: &'a str, problem: Option<&'a str>) -> SignUp<'a> {
        SignUp { frame: self.frame(), request: self.request, name, email, problem }
    }

    /// Goes on with a user who has just been found out: under a new cookie, so that one planted before is worth nothing.
    /// `password` is the one that was shown, where it was one.
    async fn enter(&self, user: &str, method: Method, password: Option<&PasswordMark>) -> Outcome {
        let issuer = &self.app.issuer;
        let (environment, former) = (&self.visit.environment, self.visit.browser());
        let (browser, cookie) = match issuer.sign_in_browser(environment, user, method, password, former).await {
            Ok(signed_in) => signed_in,
            Err(refusal) => {
                let problem = problem!(SignInRefused, refusal);
                return Ok(self.sign_in("", Some(&problem)).await?);
            }
        };
        let step = issuer.next(&self.authorization, &self.visit.visitor(Some(&browser)), None).await?;
        let mut response = go(self.visit, self.request, &step);
        self.visit.keep_browser(&mut response, &cookie);
        Ok(response)
    }
}

/// `GET /sign-in`
pub async fn sign_in(State(app): State<App>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    let outcome = async {
        let fields = Fields::queried(query.as_deref())?;
        let page = Page::asked(&app, &visit, &fields).await?;
        let email = page.authorization.login_hint.clone().unwrap_or_default();
        Ok(page.sign_in(&email, None).await?)
    };
    concluded(&visit, outcome.await)
}

/// `POST /sign-in`
pub async fn sign_in_posted(State(app): State<App>, visit: Visit, headers: HeaderMap, body: Body) -> Response {
    let outcome = async {
        let fields = Fields::posted(&headers, body)?;
        let page = Page::answered(&app, &visit, &fields).await?;
        let email = fields.text("email");
        match app.issuer.sign_in_by_password(email, &fields.secret("password"), visit.address).await {
            Ok(by) => page.enter(&by.user.id, Method::Password, Some(&by.password)).await,
            Err(refusal) => {
                let problem = problem!(SignInRefused, refusal);
                Ok(page.sign_in(email, Some(&problem)).await?)
            }
        }
    };
    concluded(&visit, outcome.await)
}

/// `GET /sign-in/upstream`: on to a provider.
pub async fn upstream(State(app): State<App>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    let outcome = async {
        let fields = Fields::queried(query.as_deref())?;
        let page = Page::asked(&app, &visit, &fields).await?;
        let provider = fields.text("provider");
        let begun = match app.issuer.begin_upstream(&visit.environment, provider).await {
            Ok(begun) => begun,
            Err(refusal) => return page.without_provider(refusal).await,
        };
        // Pages are opened only for a browser that has the cookie.
        let browser = visit.page().ok_or_else(|| Error::internal("a page was opened for no browser"))?;
        app.issuer.send_away(page.request, browser, provider, &begun).await?;
        Ok(leave(&begun.url))
    };
    concluded(&visit, outcome.await)
}

/// `GET /sign-in/callback`: back from a provider.
pub async fn callback(State(app): State<App>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    let outcome = async {
        let answer = Fields::queried(query.as_deref())?;
        let away = match visit.page() {
            Some(browser) => app.issuer.take_back(answer.text("state"), browser).await?,
            None => None,
        };
        let away = away.ok_or_else(|| {
            let detail =
                "this sign-in did not begin in this browser, or is over; go back to the application and sign in there";
            Error::malformed("STATE_UNKNOWN", detail)
        })?;
        let fields = Fields::one("request", away.request);
        let page = Page::asked(&app, &visit, &fields).await?;
        let Some(code) = answer.some("code") else {
            let text = "The sign-in did not come to an end there. Try again, or sign in another way.".to_owned();
            return Ok(page.sign_in("", Some(&Problem { kind: Kind::Refused, text })).await?);
        };
        let returned = Returned {
            environment: &visit.environment,
            provider: &away.provider,
            code,
            issuer: answer.some("iss"),
            nonce: &away.nonce,
            verifier: &away.verifier,
        };
        match app.issuer.finish_upstream(&returned).await {
            Ok(user) => page.enter(&user.id, Method::Upstream, None).await,
            Err(refusal) => page.without_provider(refusal).await,
        }
    };
    concluded(&visit, outcome.await)
}

/// `GET /sign-up`
pub async fn sign_up(State(app): State<App>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    let outcome = async {
        let fields = Fields::queried(query.as_deref())?;
        let page = Page::asked(&app, &visit, &fields).await?;
        let email = page.authorization.login_hint.clone().unwrap_or_default();
        // An application may ask for a new account where there are none to be had.
        if !page.sign_up_allowed().await? {
            return Ok(page.sign_in(&email, None).await?);
        }
        Ok(shown(&page.sign_up("", &email, None)))
    };
    concluded(&visit, outcome.await)
}

/// `POST /sign-up`
pub async fn sign_up_posted(State(app): State<App>, visit: Visit, headers: HeaderMap, body: Body) -> Response {
    let outcome = async {
        let fields = Fields::posted(&headers, body)?;
        let page = Page::answered(&app, &visit, &fields).await?;
        let (name, email, password) = (fields.text("name"), fields.text("email"), fields.secret("password"));
        let request_id = request_id::current();
        let made = app.issuer.sign_up(&visit.environment, email, Some(name), &password, visit.address, &request_id);
        match made.await {
            Ok(by) => page.enter(&by.user.id, Method::Password, Some(&by.password)).await,
            Err(refusal) => {
                let problem = problem!(SignUpRefused, refusal);
                Ok(refused(problem.kind, &page.sign_up(name, email, Some(&problem.text))))
            }
        }
    };
    concluded(&visit, outcome.await)
}

/// `GET /sign-in/organization`
pub async fn organization(State(app): State<App>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    let outcome = async {
        let fields = Fields::queried(query.as_deref())?;
        let page = Page::asked(&app, &visit, &fields).await?;
        let browser = app.issuer.signed_in(&visit.environment, visit.browser()).await?;
        match app.issuer.next(&page.authorization, &visit.visitor(browser.as_ref()), None).await? {
            Step::ChooseOrganization(organizations) => {
                let (frame, request) = (page.frame(), page.request);
                Ok(shown(&ChooseOrganization { frame, request, organizations: &organizations }))
            }
            step => Ok(go(&visit, page.request, &step)),
        }
    };
    concluded(&visit, outcome.await)
}

/// `POST /sign-in/organization`
pub async fn organization_posted(State(app): State<App>, visit: Visit, headers: HeaderMap, body: Body) -> Response {
    let outcome = async {
        let fields = Fields::posted(&headers, body)?;
        let page = Page::answered(&app, &visit, &fields).await?;
        let browser = app.issuer.signed_in(&visit.environment, visit.browser()).await?;
        let step =
            app.issuer.next(&page.authorization, &visit.visitor(browser.as_ref()), fields.some("organization")).await?;
        Ok(go(&visit, page.request, &step))
    };
    concluded(&visit, outcome.await)
}

/// `GET /reset-password`: where an administrator's link leads.
pub async fn reset_password(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let outcome = async {
        let fields = Fields::queried(query.as_deref())?;
        let frame = Frame::plain(&visit, None);
        Ok(shown(&ResetPassword { frame, token: fields.text("token"), problem: None }))
    };
    concluded(&visit, outcome.await)
}

/// `POST /reset-password`. The token is proof enough that the form is ours: nobody else knows it.
pub async fn reset_password_posted(State(app): State<App>, visit: Visit, headers: HeaderMap, body: Body) -> Response {
    let outcome = async {
        visit.posted_here()?;
        let fields = Fields::posted(&headers, body)?;
        let (token, password) = (fields.secret("token"), fields.secret("password"));
        let request_id = request_id::current();
        let frame = Frame::plain(&visit, None);
        match app.issuer.reset_password(&visit.environment, &token, &password, visit.address, &request_id).await {
            Ok(_) => {
                let text = "Go back to the application and sign in with it. You are signed out everywhere else.";
                Ok(shown(&Notice { frame, title: "Your password is set", text, link: None, reference: None }))
            }
            Err(refusal) => {
                let problem = problem!(ResetRefused, refusal);
                let page = ResetPassword { frame, token: fields.text("token"), problem: Some(&problem.text) };
                Ok(refused(problem.kind, &page))
            }
        }
    };
    concluded(&visit, outcome.await)
}
