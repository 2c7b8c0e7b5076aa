//! What the server fetches from others: one client, bounded in time, size and reach. Addresses come from administrators, and
//! names from whoever runs their DNS: each is judged at the moment of connecting, and the connection goes to the very address
//! that was judged, so that a name cannot be public when asked and private when used.

mod allow;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use allow::Allow;
pub use allow::Allowed;
use reqwest::RequestBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::form_urlencoded::byte_serialize;
use url::{Host, Url};

use crate::error::{Error, Result};
use crate::secret::Secret;

/// How long a whole exchange may take, from the look-up of the name to the last byte.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Why nothing was fetched. The words are for administrators, and say which rule it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("`{0}` is not an http or https URL without a user name")]
    Url(String),
    #[error("`http` is not safe for `{0}`: use `https`, or allow the host with --outbound-allow")]
    NotHttps(String),
    #[error("`{host}` is at {address}, {rule}: if that is meant, allow it with --outbound-allow")]
    NotPublic { host: String, address: IpAddr, rule: &'static str },
    #[error("the name `{0}` has no address")]
    NoAddress(String),
    #[error("`{0}` did not answer within {seconds} seconds", seconds = PATIENCE.as_secs())]
    Late(String),
    #[error("`{0}` could not be reached: {1}")]
    Unreachable(String, String),
    #[error("`{0}` answered with more than {MAX_BODY_BYTES} bytes")]
    TooLarge(String),
    #[error("`{0}` answered with the status {1}; redirects are not followed")]
    Status(String, u16),
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: reqwest::Client,
    allow: Arc<Allow>,
}

impl Outbound {
    /// `allow` names what may be reached although it is not public, and without TLS.
    pub fn new(allow: &[Allowed]) -> Result<Self> {
        let allow = Arc::new(Allow::new(allow));
        let client = reqwest::Client::builder()
            .dns_resolver(Resolver(allow.clone()))
            .redirect(Policy::none())
            // A proxy would do the connecting, and so undo the judging.
            .no_proxy()
            .referer(false)
            .timeout(PATIENCE)
            .user_agent(concat!("flagbearer/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, allow })
    }

    /// Refuses a URL that would never be fetched, before it is stored. What its name resolves to is judged later, each time.
    pub fn check(&self, url: &str) -> Result<Url, Refused> {
        let invalid = || Refused::Url(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| invalid())?;
        let host = parsed.host_str().ok_or_else(invalid)?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(invalid());
        }
        // The client connects to an address without asking the resolver.
        let literal = match parsed.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if let Some(address) = literal {
            self.allow.address(host, address)?;
        }
        if parsed.scheme() == "http" && !self.allow.plain(host, literal) {
            return Err(Refused::NotHttps(host.to_owned()));
        }
        Ok(parsed)
    }

    /// Gets a document: the body of an answer with status 200.
    pub async fn get(&self, url: &str) -> Result<Vec<u8>, Refused> {
        let url = self.check(url)?;
        let answer = self.send(&url, self.client.get(url.clone()).header("accept", "application/json")).await?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(Refused::Status(host(&url), status)),
        }
    }

    /// Posts a form, and answers whatever comes. `client` are the id and secret for HTTP Basic (RFC 6749 §2.3.1).
    pub async fn post_form(
        &self,
        url: &str,
        client: Option<(&str, &Secret)>,
        form: &[(&str, &str)],
    ) -> Result<Answer, Refused> {
        let url = self.check(url)?;
        let mut request = self.client.post(url.clone()).header("accept", "application/json").form(form);
        if let Some((id, secret)) = client {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encoded(id), Some(encoded(secret.expose())));
        }
        self.send(&url, request).await
    }

    /// Posts JSON, and answers with what status it was taken. What is said with it is not read: nobody here has a use for it.
    pub async fn post_json(&self, url: &str, headers: &[(&'static str, String)], body: String) -> Result<u16, Refused> {
        let url = self.check(url)?;
        let mut request = self.client.post(url.clone()).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.map_err(|error| refusal(&error, &url))?;
        Ok(response.status().as_u16())
    }

    async fn send(&self, url: &Url, request: RequestBuilder) -> Result<Answer, Refused> {
        let failed = |error: reqwest::Error| refusal(&error, url);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        // A length that was announced need not be waited for; one that was not, or was a lie, is counted.
        let announced = response.content_length().unwrap_or_default();
        let mut too_large = announced > MAX_BODY_BYTES as u64;
        while !too_large && let Some(chunk) = response.chunk().await.map_err(failed)? {
            too_large = body.len() + chunk.len() > MAX_BODY_BYTES;
            if !too_large {
                body.extend_from_slice(&chunk);
            }
        }
        if too_large { Err(Refused::TooLarge(host(url))) } else { Ok(Answer { status, body }) }
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// The refusal inside a failure where it was ours, or what the network says. URLs may hold secrets and are left out.
fn refusal(error: &reqwest::Error, url: &Url) -> Refused {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        if let Some(refused) = deeper.downcast_ref::<Refused>() {
            return refused.clone();
        }
        cause = deeper;
    }
    if error.is_timeout() {
        return Refused::Late(host(url));
    }
    Refused::Unreachable(host(url), cause.to_string())
}

/// Resolves names, and hands out addresses that were judged alone: those are then connected to.
#[derive(Debug)]
struct Resolver(Arc<Allow>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = self.0.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await.map(Iterator::collect::<Vec<SocketAddr>>);
            let addresses = found.unwrap_or_default();
            if addresses.is_empty() {
                return Err(Refused::NoAddress(host.to_owned()).into());
            }
            // One bad address refuses them all: nobody has a public and a private one by accident.
            for address in &addresses {
                allow.address(host, address.ip())?;
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}
