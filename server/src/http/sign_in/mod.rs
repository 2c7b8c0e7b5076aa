//! Signing in as people see it: the authorization endpoint that brings them, the pages, and the way out.

mod forms;
mod logout;
mod page;
mod visit;

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

pub use forms::{
    callback, organization, organization_posted, reset_password, reset_password_posted, sign_in, sign_in_posted, sign_up,
    sign_up_posted, upstream,
};
pub use logout::{logout, logout_posted, logout_workos};
use page::{failed, lapsed};
pub use visit::{MAX_USER_AGENT, Visit};

use super::App;
use super::call::{sent_as, too_large};
use crate::error::{Error, Kind, Result};
use crate::issuer::{Step, Stop};
use crate::secret::Secret;
use crate::store::Surface;

/// What a handler comes to: an answer, or what stopped it.
type Outcome = Result<Response, Stop>;

/// Answers, and shows what stopped it: as a page, or by sending the browser back to the application.
fn concluded(visit: &Visit, outcome: Outcome) -> Response {
    let mut response = match outcome {
        Ok(response) => response,
        Err(Stop::Page(error)) => failed(visit, &error),
        Err(Stop::Leave(address)) => leave(&address),
        Err(Stop::Lapsed(request)) => lapsed(visit, &request),
    };
    visit.keep_page(&mut response);
    response
}

/// Sends the browser on by GET, whatever it came by: a password never travels on (RFC 9700 §4.12).
fn leave(address: &str) -> Response {
    match HeaderValue::from_bytes(address.as_bytes()) {
        Ok(location) => {
            let headers = [(header::LOCATION, location), (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(error) => Error::internal(error).into_response(),
    }
}

/// The authorization endpoint of an issuer.
pub async fn authorize(State(app): State<App>, mut visit: Visit, RawQuery(query): RawQuery) -> Response {
    let outcome = begin(&app, &mut visit, Surface::OAuth, &query.unwrap_or_default()).await;
    concluded(&visit, outcome)
}

/// The same by POST (OpenID Connect Core §3.1.2.1). It goes on as a GET: to a form that another site's page has posted the
/// browser gives no cookies, and nobody would be signed in.
pub async fn authorize_posted(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let address = body.map_err(too_large).and_then(|body| {
        let query = String::from_utf8(body.into()).ok().filter(|query| query.bytes().all(|byte| byte.is_ascii_graphic()));
        let query = query.ok_or_else(|| Error::malformed("FORM_INVALID", "the form is not percent-encoded"))?;
        Ok(format!("{}/oauth2/auth?{query}", visit.base()))
    });
    concluded(&visit, address.map(|address| leave(&address)).map_err(Stop::from))
}

/// WorkOS's authorization endpoint, which is common to all environments: the client tells which one is meant.
pub async fn authorize_workos(
    State(app): State<App>,
    here: Visit,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let authorization = app.issuer.authorization(None, Surface::WorkOs, &query, app.store.now()).await;
    let environment = match authorization {
        Ok(authorization) => authorization.application.environment,
        Err(stop) => return concluded(&here, Err(stop)),
    };
    let mut there = Visit::at(&app, &environment, &headers, here.address);
    if there.origin() != here.origin() {
        // Cookies are one host's: its pages have to be asked for there.
        return leave(&format!("{}/user_management/authorize?{query}", there.origin()));
    }
    let outcome = begin(&app, &mut there, Surface::WorkOs, &query).await;
    concluded(&there, outcome)
}

/// Takes an authorization request as far as it goes without a page.
async fn begin(app: &App, visit: &mut Visit, surface: Surface, query: &str) -> Outcome {
    let authorization = app.issuer.authorization(Some(&visit.environment), surface, query, app.store.now()).await?;
    let browser = match authorization.again {
        true => None,
        false => app.issuer.signed_in(&visit.environment, visit.browser()).await?,
    };
    let step = app.issuer.next(&authorization, &visit.visitor(browser.as_ref()), None).await?;
    let request = app.issuer.wait(&authorization, surface, query, &visit.ensure_page()?)?;
    Ok(go(visit, &request, &step))
}

/// Sends the browser to where the next step is.
fn go(visit: &Visit, request: &str, step: &Step) -> Response {
    let page = match step {
        Step::Leave(address) => return leave(address),
        Step::SignIn => "sign-in",
        Step::SignUp => "sign-up",
        Step::ChooseOrganization(_) => "sign-in/organization",
    };
    leave(&format!("{}/{page}?request={request}", visit.base()))
}

/// What a page's address or form holds, each member once.
struct Fields(HashMap<String, String>);

impl Fields {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut fields = HashMap::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Error::malformed("FORM_INVALID", "a field of this form stands twice"));
            }
        }
        Ok(Self(fields))
    }

    fn posted(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Self> {
        let body = body.map_err(too_large)?;
        if !sent_as(headers, "application/x-www-form-urlencoded") {
            let detail = "a form is sent as `application/x-www-form-urlencoded`";
            return Err(Error::new(Kind::MediaTypeUnknown, "MEDIA_TYPE_UNKNOWN", detail));
        }
        Self::read(&body)
    }

    fn queried(query: Option<&str>) -> Result<Self> {
        Self::read(query.unwrap_or_default().as_bytes())
    }

    /// A single field that was kept.
    fn one(name: &str, value: String) -> Self {
        Self(HashMap::from([(name.to_owned(), value)]))
    }

    /// A field; empty where it is not there.
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    fn some(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn secret(&self, name: &str) -> Secret {
        Secret::new(self.text(name))
    }
}
