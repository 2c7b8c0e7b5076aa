//! A browser that visits the pages of an environment: where they are, and the two cookies that it may bring.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::super::App;
use super::super::address::ClientAddress;
use super::super::place::Place;
use super::page;
use crate::error::{Error, Kind, Result};
use crate::issuer::Visitor;
use crate::secret::{Secret, random_alphanumeric};
use crate::store::{Browser, Origin};

/// How long a browser keeps the cookie of who is signed in, in seconds; the server decides how long it counts.
const KEPT: i64 = 30 * 86_400;

/// How much of what a browser calls itself is kept, in characters.
pub const MAX_USER_AGENT: usize = 512;

/// A browser's request for a page.
#[derive(Debug)]
pub struct Visit {
    pub environment: String,
    /// The issuer's URL, and where its path begins.
    issuer: String,
    path: usize,
    /// Ties the pages of one browser together, signed in or not.
    page: Option<Secret>,
    /// Stands for who is signed in.
    browser: Option<Secret>,
    /// The page's cookie where it was made just now.
    fresh: bool,
    same_site: bool,
    pub address: IpAddr,
    ip_address: String,
    user_agent: Option<String>,
}

impl Visit {
    /// The same browser at the pages of an environment.
    pub fn at(app: &App, environment: &str, headers: &HeaderMap, address: IpAddr) -> Self {
        let issuer = app.issuer.url(environment);
        let authority = issuer.find("://").map_or(0, |at| at + 3);
        let path = issuer[authority..].find('/').map_or(issuer.len(), |at| authority + at);
        let user_agent = headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let mut visit = Self {
            environment: environment.to_owned(),
            issuer,
            path,
            page: None,
            browser: None,
            fresh: false,
            same_site: false,
            address,
            ip_address: address.to_string(),
            user_agent: user_agent.map(|text| text.chars().take(MAX_USER_AGENT).collect()),
        };
        visit.page = cookie(headers, &visit.page_cookie());
        visit.browser = cookie(headers, &visit.browser_cookie());
        visit.same_site = visit.is_ours(headers);
        visit
    }

    /// The path below which the environment's pages are; empty at a host's root.
    pub fn base(&self) -> &str {
        &self.issuer[self.path..]
    }

    /// The host of the pages, with its scheme.
    pub fn origin(&self) -> &str {
        &self.issuer[..self.path]
    }

    /// Whether the pages are reached by TLS alone.
    fn secure(&self) -> bool {
        self.issuer.starts_with("https://")
    }

    /// Who comes, where somebody is signed in as that browser.
    pub fn visitor<'a>(&'a self, browser: Option<&'a Browser>) -> Visitor<'a> {
        Visitor { browser, origin: Origin { ip_address: Some(&self.ip_address), user_agent: self.user_agent.as_deref() } }
    }

    /// The cookie of whoever is signed in.
    pub fn browser(&self) -> Option<&Secret> {
        self.browser.as_ref()
    }

    /// The cookie that ties pages to this browser.
    pub fn page(&self) -> Option<&Secret> {
        self.page.as_ref()
    }

    /// The same, made where there is none yet.
    pub fn ensure_page(&mut self) -> Result<Secret> {
        if let Some(page) = &self.page {
            return Ok(page.clone());
        }
        let page = Secret::new(random_alphanumeric(32)?);
        (self.page, self.fresh) = (Some(page.clone()), true);
        Ok(page)
    }

    /// Refuses a form that another site's page has posted. What it holds was sealed for this browser, so that no other site
    /// could have known it: this is the second lock on the same door.
    pub fn posted_here(&self) -> Result<()> {
        if self.same_site {
            return Ok(());
        }
        Err(Error::new(Kind::Forbidden, "FORM_FOREIGN", "this form was sent by a page of another site"))
    }

    /// Browsers say where a form was posted from: by `Sec-Fetch-Site` where the connection is trustworthy, else by `Origin`,
    /// which is `null` from pages that send no referrer, as ours.
    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        match (text("sec-fetch-site"), text("origin")) {
            (Some(site), _) => site == "same-origin",
            (None, None | Some("null")) => true,
            (None, Some(origin)) => origin == self.origin(),
        }
    }

    /// Sets the page's cookie where it is new.
    pub fn keep_page(&self, response: &mut Response) {
        if let (true, Some(page)) = (self.fresh, &self.page) {
            self.set_cookie(response, &self.page_cookie(), page.expose(), None);
        }
    }

    /// Sets the cookie of a browser that has just signed in.
    pub fn keep_browser(&self, response: &mut Response, browser: &Secret) {
        self.set_cookie(response, &self.browser_cookie(), browser.expose(), Some(KEPT));
    }

    /// Takes the cookie of a browser that has signed out.
    pub fn drop_browser(&self, response: &mut Response) {
        self.set_cookie(response, &self.browser_cookie(), "", Some(0));
    }

    fn set_cookie(&self, response: &mut Response, name: &str, value: &str, seconds: Option<i64>) {
        let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
        if self.secure() {
            text.push_str("; Secure");
        }
        if let Some(seconds) = seconds {
            text.push_str(&format!("; Max-Age={seconds}"));
        }
        if let Ok(text) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::SET_COOKIE, text);
        }
    }

    fn page_cookie(&self) -> String {
        self.cookie("page")
    }

    fn browser_cookie(&self) -> String {
        self.cookie("browser")
    }

    /// One name per environment: all of them may have one host. The prefix keeps other hosts from planting a cookie.
    fn cookie(&self, what: &str) -> String {
        let prefix = if self.secure() { "__Host-" } else { "" };
        format!("{prefix}flagbearer-{what}-{}", self.environment)
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let ClientAddress(address) = ClientAddress::of(&parts.headers, &parts.extensions, app);
        match Place::from_request_parts(parts, app).await {
            Ok(Place(environment)) => Ok(Self::at(app, &environment, &parts.headers, address)),
            Err(error) => {
                let visit = Self::at(app, app.issuer.places.standard(), &parts.headers, address);
                Err(page::failed(&visit, &error))
            }
        }
    }
}

/// A cookie's value, where it can be one of ours.
fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(found, _)| *found == name)?.1;
    let legal = (32..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    legal.then(|| Secret::new(value))
}
