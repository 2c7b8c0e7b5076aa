//! A browser without a screen: keeps cookies, follows redirects, fills in the forms that it is shown and posts them as they
//! stand. It knows nothing of the server but its pages.

use std::collections::BTreeMap;

use reqwest::header::{HOST, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, RequestBuilder, Url};

/// A browser with its cookies. A clone is another profile that begins with the same.
#[derive(Debug, Clone)]
pub struct Browser {
    client: Client,
    /// By host: ports do not tell cookies apart.
    pub cookies: BTreeMap<(String, String), String>,
    /// Where requests by https end up, whatever their host.
    behind_tls: Option<Url>,
}

/// Where a browser has come to.
#[derive(Debug, Clone)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// Whether this is somewhere else than on the server: then nothing was loaded.
    pub left: bool,
    /// The headers of the redirects that led here, in their order.
    pub redirects: Vec<HeaderMap>,
}

/// A form as it stands in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub action: String,
    /// The fields that hold something already, hidden ones among them, as (name, value).
    pub fields: Vec<(String, String)>,
    /// The buttons that say something, as (name, value).
    pub buttons: Vec<(String, String)>,
}

impl Default for Browser {
    fn default() -> Self {
        let client = Client::builder().redirect(Policy::none()).build().expect("an HTTP client");
        Self { client, cookies: BTreeMap::new(), behind_tls: None }
    }
}

impl Browser {
    pub fn new() -> Self {
        Self::default()
    }

    /// A browser in a world where every https address leads to this server, through a proxy that ends TLS.
    pub fn behind_tls(server: &str) -> Self {
        Self { behind_tls: Some(server.parse().expect("an address")), ..Self::default() }
    }

    /// Goes to an address, and on wherever it leads on the same server.
    pub async fn visit(&mut self, address: &str) -> Page {
        let url: Url = address.parse().expect("an address");
        self.follow(url.clone(), self.client.get(url)).await
    }

    /// Fills in the page's form and posts it. `answers` are what the user enters, or the button that is pressed.
    pub async fn submit(&mut self, page: &Page, answers: &[(&str, &str)]) -> Page {
        let form = page.form();
        let mut fields = form.fields.clone();
        for (name, value) in answers {
            fields.retain(|(found, _)| found != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(page.url.join(&form.action).expect("an action"), &fields).await
    }

    /// Posts fields as a form of a page of the same server does.
    pub async fn post(&mut self, url: Url, fields: &[(&str, &str)]) -> Page {
        let request = self.client.post(url.clone()).header("origin", "null").header("sec-fetch-site", "same-origin");
        self.follow(url, request.form(fields)).await
    }

    /// Opens an address that asks to sign in, and does, up to the next question or the application.
    pub async fn sign_in(&mut self, address: &str, email: &str, password: &str) -> Page {
        let page = self.visit(address).await;
        self.submit(&page, &[("email", email), ("password", password)]).await
    }

    /// Sends one request with this browser's cookies, whatever it is, and follows where it leads.
    pub async fn follow(&mut self, mut url: Url, mut request: RequestBuilder) -> Page {
        let server = url.origin();
        let mut redirects = Vec::new();
        for _ in 0..10 {
            let host = url.host_str().unwrap_or_default().to_owned();
            let mine = self.cookies.iter().filter(|((at, _), _)| *at == host);
            let cookies: Vec<String> = mine.map(|((_, name), value)| format!("{name}={value}")).collect();
            if !cookies.is_empty() {
                request = request.header("cookie", cookies.join("; "));
            }
            let sent = self.through_proxy(request.build().expect("a request"));
            let response = self.client.execute(sent).await.expect("the server answers");
            self.keep(&host, response.headers());
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let Some(location) = headers.get(LOCATION) else {
                let text = response.text().await.expect("a page");
                return Page { url, status, headers, text, left: false, redirects };
            };
            // Any other redirect would have the browser post a password again (RFC 9700 §4.12).
            assert_eq!(status, 303, "{url} redirects to {location:?}");
            redirects.push(headers.clone());
            url = url.join(location.to_str().expect("an address")).expect("an address");
            if url.origin() != server {
                return Page { url, status, headers, text: String::new(), left: true, redirects };
            }
            request = self.client.get(url.clone());
        }
        panic!("{url} redirects for ever");
    }

    fn through_proxy(&self, mut request: Request) -> Request {
        let Some(server) = self.behind_tls.as_ref().filter(|_| request.url().scheme() == "https") else { return request };
        let asked = request.url().clone();
        let host = asked.authority().parse().expect("a host");
        request.headers_mut().insert(HOST, host);
        let mut url = server.clone();
        url.set_path(asked.path());
        url.set_query(asked.query());
        *request.url_mut() = url;
        request
    }

    fn keep(&mut self, host: &str, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let mut parts = line.to_str().expect("a cookie").split(';').map(str::trim);
            let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
            let key = (host.to_owned(), name.to_owned());
            if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
    }
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What the application was told, where the browser has been sent back to it.
    #[track_caller]
    pub fn told(&self) -> BTreeMap<String, String> {
        assert!(self.left, "the browser is still at {}: {} {}", self.url, self.status, self.words());
        self.left_no_trace();
        self.url.query_pairs().into_owned().collect()
    }

    /// Checks that nobody on the way keeps where the server has sent the browser: codes and whole requests stand in there.
    #[track_caller]
    pub fn left_no_trace(&self) {
        for headers in &self.redirects {
            for (name, value) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
                assert_eq!(headers.get(name).map(|found| found.as_bytes()), Some(value.as_bytes()), "{name}: {headers:?}");
            }
        }
    }

    /// The one form of the page.
    #[track_caller]
    pub fn form(&self) -> Form {
        let (_, rest) = self.text.split_once("<form").unwrap_or_else(|| {
            panic!("there is no form at {}: {} {}", self.url, self.status, self.words());
        });
        let (form, _) = rest.split_once("</form>").expect("the form's end");
        let mut tags = form.split('<');
        let action = attribute(tags.next().unwrap_or_default(), "action").unwrap_or_default();
        let (mut fields, mut buttons) = (Vec::new(), Vec::new());
        for tag in tags {
            let Some(name) = attribute(tag, "name") else { continue };
            let value = attribute(tag, "value").unwrap_or_default();
            if tag.starts_with("input") {
                fields.push((name, value));
            } else if tag.starts_with("button") {
                buttons.push((name, value));
            }
        }
        Form { action, fields, buttons }
    }

    /// Where the link with these words leads.
    #[track_caller]
    pub fn link(&self, words: &str) -> String {
        let before = self.text.split(&format!(">{words}</a>")).next().filter(|before| before.len() < self.text.len());
        let before = before.unwrap_or_else(|| panic!("there is no link `{words}` at {}: {}", self.url, self.words()));
        let tag = before.rsplit("<a").next().unwrap_or_default();
        let address = attribute(tag, "href").expect("an address");
        self.url.join(&address).expect("an address").into()
    }

    /// What a reader sees.
    pub fn words(&self) -> String {
        let body = self.text.split_once("<body").map_or(self.text.as_str(), |(_, body)| body);
        let shown: Vec<&str> = body.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
        unescaped(&shown.join(" ")).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// An attribute of the tag that begins a text.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?;
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next().map(unescaped)
}

/// Text with its character references (`&#38;`, `&amp;`) replaced.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let reference = part.split_once(';').and_then(|(name, rest)| Some((referenced(name)?, rest)));
        match reference {
            Some((character, rest)) => {
                plain.push(character);
                plain.push_str(rest);
            }
            None => {
                plain.push('&');
                plain.push_str(part);
            }
        }
    }
    plain
}

fn referenced(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        _ => char::from_u32(name.strip_prefix('#')?.parse().ok()?),
    }
}
