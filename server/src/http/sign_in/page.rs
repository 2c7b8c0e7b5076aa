//! The pages: what they say, how they are dressed for an application, and the headers that keep them what they are. They
//! run no script, load nothing, and may be framed by nobody.

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::error::{retry_after, status};
use super::super::request_id;
use super::visit::Visit;
use crate::error::{Error, Kind};
use crate::issuer::{Choice, Lapsed};
use crate::store::{Application, Surface};

/// The one stylesheet, in each page: a page is one answer.
const STYLE: &str = include_str!("../../../templates/page.css");

/// The button's colour where an application has none of its own.
const ACCENT: &str = "#2456d6";

/// What is common to all pages.
pub struct Frame {
    /// Whose page it is: what the user wants to get into.
    name: String,
    /// The path of the issuer, which all links begin with.
    base: String,
    style: String,
    /// Where the page's form may lead in the end.
    form_action: String,
}

impl Frame {
    /// The frame of a page that leads on to an application.
    pub fn of(visit: &Visit, application: &Application, redirect_uri: &str) -> Self {
        let branding = &application.branding;
        Self {
            name: branding.name.clone().unwrap_or_else(|| application.name.clone()),
            form_action: form_action(redirect_uri),
            ..Self::plain(visit, branding.colour.as_deref())
        }
    }

    /// The frame of a page that no application is known for.
    pub fn plain(visit: &Visit, colour: Option<&str>) -> Self {
        let accent = colour.unwrap_or(ACCENT);
        Self {
            name: String::new(),
            base: visit.base().to_owned(),
            style: format!("{STYLE}:root{{--accent:{accent};--on-accent:{}}}", readable_on(accent)),
            form_action: "'self'".to_owned(),
        }
    }
}

/// Where a form may lead: here, and then on to the application. Browsers hold every redirect that follows a posted form
/// against this list, the application's own further ones too, whose hosts nobody here knows: so it names schemes.
fn form_action(redirect_uri: &str) -> String {
    match redirect_uri.split_once(':') {
        Some(("https", _)) | None => "'self' https:".to_owned(),
        Some((scheme, _)) => format!("'self' https: {scheme}:"),
    }
}

/// White or black, whichever is easier to read on a colour `#rrggbb`: one of them always has a contrast above 4.5
/// (WCAG 2.2, 1.4.3).
fn readable_on(colour: &str) -> &'static str {
    let channel = |from: usize| {
        let value = colour.get(from..from + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or_default();
        let value = f64::from(value) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
    let (white, black) = (1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05);
    if white >= black { "#fff" } else { "#000" }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignIn<'a> {
    pub frame: Frame,
    pub request: &'a str,
    pub email: &'a str,
    pub problem: Option<&'a str>,
    /// The providers that users may sign in with instead. Links, not buttons: the policy for forms would have to know every
    /// host that a provider leads over.
    pub upstream: &'a [Choice],
    /// Whether a new account may be made.
    pub sign_up: bool,
}

#[derive(Template)]
#[template(path = "sign_up.html")]
pub struct SignUp<'a> {
    pub frame: Frame,
    pub request: &'a str,
    pub name: &'a str,
    pub email: &'a str,
    pub problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "organization.html")]
pub struct ChooseOrganization<'a> {
    pub frame: Frame,
    pub request: &'a str,
    /// As (id, name).
    pub organizations: &'a [(String, String)],
}

#[derive(Template)]
#[template(path = "reset_password.html")]
pub struct ResetPassword<'a> {
    pub frame: Frame,
    pub token: &'a str,
    pub problem: Option<&'a str>,
}

/// Something to be read, and perhaps one way on.
#[derive(Template)]
#[template(path = "notice.html")]
pub struct Notice<'a> {
    pub frame: Frame,
    pub title: &'a str,
    pub text: &'a str,
    /// As (address, words).
    pub link: Option<(&'a str, &'a str)>,
    /// What finds this in the log.
    pub reference: Option<&'a str>,
}

/// A page that is shown because all is well.
pub fn shown(page: &(impl Template + Framed)) -> Response {
    respond(StatusCode::OK, page)
}

/// A page that says what is wrong, to be corrected or not.
pub fn refused(kind: Kind, page: &(impl Template + Framed)) -> Response {
    let mut response = respond(status(kind), page);
    if let Some(seconds) = retry_after(kind) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A page for a failure that leads no further.
pub fn failed(visit: &Visit, error: &Error) -> Response {
    let (title, text) = match error.kind {
        Kind::Internal | Kind::Configuration => {
            ("Something went wrong", "This is our fault, not yours. Try again in a while.".to_owned())
        }
        Kind::Unavailable => ("Busy", "There is too much to do just now. Load the page again in a moment.".to_owned()),
        _ => ("You cannot sign in with this link", sentence(&error.detail)),
    };
    let reference = format!("{} {}", error.code, request_id::current());
    let frame = Frame::plain(visit, None);
    let notice = Notice { frame, title, text: &text, link: None, reference: Some(&reference) };
    refused(error.kind, &notice)
}

/// A page for a request that the user may begin again.
pub fn lapsed(visit: &Visit, lapsed: &Lapsed) -> Response {
    let path = match lapsed.surface {
        Surface::OAuth => format!("{}/oauth2/auth", visit.base()),
        Surface::WorkOs => "/user_management/authorize".to_owned(),
    };
    let again = format!("{path}?{}", lapsed.query);
    let frame = Frame::of(visit, &lapsed.authorization.application, &lapsed.authorization.redirect_uri);
    let (title, text) = match visit.page() {
        Some(_) => {
            let text = format!("It can no longer sign you in to {}. Nothing is lost: start again.", frame.name);
            ("This page was open too long", text)
        }
        // To begin again helps, but only a browser that takes it.
        None => {
            let text =
                "This browser did not send the cookie that belongs to this page. Allow cookies here, and start again.";
            ("Signing in needs a cookie", text.to_owned())
        }
    };
    refused(Kind::Malformed, &Notice { frame, title, text: &text, link: Some((&again, "Start again")), reference: None })
}

/// Messages are lower case, without a full stop, and quote in backticks; a page has sentences.
pub fn sentence(message: &str) -> String {
    let mut sentence = String::with_capacity(message.len() + 8);
    let mut open = false;
    for (position, character) in message.chars().enumerate() {
        match character {
            '`' => {
                open = !open;
                sentence.push(if open { '“' } else { '”' });
            }
            _ if position == 0 => sentence.extend(character.to_uppercase()),
            _ => sentence.push(character),
        }
    }
    sentence.push('.');
    sentence
}

/// A page that stands in a frame.
pub trait Framed {
    fn frame(&self) -> &Frame;
}

macro_rules! framed {
    ($($page:ident)*) => {
        $(impl Framed for $page<'_> {
            fn frame(&self) -> &Frame {
                &self.frame
            }
        })*
    };
}

framed!(SignIn SignUp ChooseOrganization ResetPassword Notice);

fn respond(status: StatusCode, page: &(impl Template + Framed)) -> Response {
    let mut response = match page.render() {
        Ok(text) => Response::new(Body::from(text)),
        Err(error) => return axum::response::IntoResponse::into_response(Error::internal(error)),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    guard(headers, page.frame());
    response
}

/// What keeps a page from being framed, told of elsewhere, or made to do anything but post its form.
fn guard(headers: &mut HeaderMap, frame: &Frame) {
    let style = STANDARD.encode(digest(&SHA256, frame.style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action {}; frame-ancestors 'none'; base-uri 'none'",
        frame.form_action
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [(header::REFERRER_POLICY, "no-referrer"), (header::X_FRAME_OPTIONS, "DENY")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
