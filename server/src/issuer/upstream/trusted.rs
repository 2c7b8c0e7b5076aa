//! The issuers that are trusted: their keys and their metadata over time, fetched once for all who wait, kept while they are
//! away. The core decides when keys are fetched; here it is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flagbearer::document::{self, Node};
use flagbearer::error::{Error, ErrorCode};
use flagbearer::reader::{Fetch, KeySource, Keyring, Poll, Response};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Expected, ForeignClaims, ForeignToken, KeySet};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::outbound::Outbound;
use crate::store::{IdentityProvider, Store};

/// How long somebody waits for keys: metadata and keys, five seconds each, and a little.
const PATIENCE: Duration = Duration::from_secs(11);

/// Metadata as old as this is fetched again before it is used, in seconds.
const STALE: i64 = 600;
/// Metadata as old as this is not used any more, in seconds.
const MAX_STALE: i64 = 24 * 3600;
/// How long after a failure nothing is tried again, in seconds: everybody would wait for the same time-out.
const PAUSE: i64 = 5;

/// An issuer, and where an administrator says that its keys are.
type Place = (String, Option<String>);

/// Every issuer that was asked about. There are as many as administrators name.
#[derive(Debug)]
pub struct TrustedIssuers {
    pub outbound: Outbound,
    store: Arc<Store>,
    known: Mutex<HashMap<Place, Arc<Trusted>>>,
}

impl TrustedIssuers {
    pub fn new(outbound: Outbound, store: Arc<Store>) -> Self {
        Self { outbound, store, known: Mutex::default() }
    }

    /// The issuer of a provider, with what is remembered of it.
    pub fn find(&self, provider: &IdentityProvider) -> Arc<Trusted> {
        let place = (provider.issuer.clone(), provider.jwks_uri.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(place).or_insert_with(|| Arc::new(Trusted::new(provider, &self.outbound, &self.store))).clone()
    }
}

/// An issuer that is trusted.
#[derive(Debug)]
pub struct Trusted {
    issuer: String,
    outbound: Outbound,
    store: Arc<Store>,
    /// `None` for an issuer that keys cannot be fetched for at all, which no document has that was let in.
    keyring: Option<Keyring>,
    /// Keys, or the news that there are none, have come.
    arrived: Notify,
    metadata: tokio::sync::Mutex<Remembered>,
}

/// What a provider says of itself (OpenID Connect Discovery §3), as far as signing in needs it.
#[derive(Debug)]
pub struct Metadata {
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub authentication: Authentication,
    /// Whether its authorization responses name it (RFC 9207).
    pub sends_issuer: bool,
}

/// How a client shows its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    Basic,
    Post,
}

#[derive(Debug, Default)]
struct Remembered {
    held: Option<(Arc<Metadata>, Timestamp)>,
    failed: Option<(String, Timestamp)>,
}

fn unavailable() -> Error {
    Error::new(ErrorCode::KeysUnavailable, "the issuer's keys could not be fetched; they are tried again shortly")
}

impl Trusted {
    fn new(provider: &IdentityProvider, outbound: &Outbound, store: &Arc<Store>) -> Self {
        let source = provider.jwks_uri.clone().map_or(KeySource::Discovery, KeySource::Url);
        Self {
            issuer: provider.issuer.clone(),
            outbound: outbound.clone(),
            store: store.clone(),
            keyring: Keyring::new(&provider.issuer, source).ok(),
            arrived: Notify::new(),
            metadata: tokio::sync::Mutex::default(),
        }
    }

    /// Verifies a token of this issuer's. Errors: those of [`ForeignToken::verify`], and `KeysUnavailable`.
    pub async fn verify(
        self: &Arc<Self>,
        token: ForeignToken<'_>,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<ForeignClaims, Error> {
        let keys = self.keys_for(&token).await?;
        token.verify(expected, &keys, now)
    }

    async fn keys_for(self: &Arc<Self>, token: &ForeignToken<'_>) -> Result<Arc<KeySet>, Error> {
        let keyring = self.keyring.as_ref().ok_or_else(unavailable)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Listening begins before looking: what comes in between is not missed.
            let mut arrived = std::pin::pin!(self.arrived.notified());
            arrived.as_mut().enable();
            // Not the request's own time, which may be older than a fetch that another one began.
            let now = self.store.now();
            let found = keyring.keys_for(token, now)?;
            let under_way = self.advance(keyring, now);
            if let Some(keys) = found {
                return Ok(keys);
            }
            if !under_way && !arrived.as_mut().enable() {
                return Err(unavailable());
            }
            timeout_at(deadline, arrived).await.map_err(|_| unavailable())?;
        }
    }

    /// Begins the fetch that is due, if one is: aside, so that whoever gives up waiting does not take it along. Answers whether
    /// one is under way.
    fn advance(self: &Arc<Self>, keyring: &Keyring, now: Timestamp) -> bool {
        match keyring.poll(now) {
            Poll::Fetch(fetch) => {
                tokio::spawn(self.clone().fetch(fetch));
                true
            }
            Poll::Pending => true,
            Poll::Idle { .. } => false,
        }
    }

    async fn fetch(self: Arc<Self>, mut fetch: Fetch) {
        let Some(keyring) = &self.keyring else { return };
        loop {
            let fetched = self.outbound.get(&fetch.url).await;
            let response = fetched.as_ref().map_or(Response::Failed, |body| Response::Body(body));
            let now = self.store.now();
            if !keyring.receive(fetch.id, response, now) {
                let reason =
                    fetched.err().map_or("the answer is not what was asked for".to_owned(), |refused| refused.to_string());
                tracing::warn!(issuer = self.issuer, url = fetch.url, reason, "an issuer's keys could not be fetched");
            }
            // Metadata leads on to the keys.
            match keyring.poll(now) {
                Poll::Fetch(next) => fetch = next,
                Poll::Pending | Poll::Idle { .. } => break,
            }
        }
        self.arrived.notify_waiters();
    }

    /// The provider's metadata. The error says why there is none.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, String> {
        // Held while fetching: whoever else needs it waits here for the same fetch.
        let mut remembered = self.metadata.lock().await;
        let now = self.store.now();
        let young = |since: &Timestamp, seconds: i64| now < since.plus_seconds(seconds);
        let paused = remembered.failed.as_ref().is_some_and(|(_, since)| young(since, PAUSE));
        match &remembered.held {
            Some((metadata, since)) if young(since, STALE) || paused && young(since, MAX_STALE) => {
                return Ok(metadata.clone());
            }
            _ => {}
        }
        if let (true, Some((reason, _))) = (paused, &remembered.failed) {
            return Err(reason.clone());
        }
        match self.fetch_metadata().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *remembered = Remembered { held: Some((metadata.clone(), now)), failed: None };
                Ok(metadata)
            }
            Err(reason) => {
                remembered.failed = Some((reason.clone(), self.store.now()));
                let held = remembered.held.as_ref().filter(|(_, since)| young(since, MAX_STALE));
                held.map(|(metadata, _)| metadata.clone()).ok_or(reason)
            }
        }
    }

    async fn fetch_metadata(&self) -> Result<Metadata, String> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let body = self.outbound.get(&url).await.map_err(|refused| refused.to_string())?;
        let parsed = document::parse(&body).map_err(|error| format!("its metadata cannot be read: {error}"))?;
        self.read_metadata(&parsed).map_err(|reason| format!("its metadata is refused: {reason}"))
    }

    fn read_metadata(&self, metadata: &serde_json::Value) -> Result<Metadata, String> {
        let said = |error: Error| error.to_string();
        let mut members = Node::root(metadata).members().map_err(said)?;
        // OpenID Connect Discovery §4.3: what claims to be another is not believed.
        if members.required("issuer").and_then(|node| node.string()).map_err(said)? != self.issuer {
            return Err(format!("it is of another issuer than `{}`", self.issuer));
        }
        let mut endpoint = |name: &'static str| -> Result<Url, String> {
            let url = members.required(name).and_then(|node| node.string()).map_err(said)?;
            let url = self.outbound.check(url).map_err(|refused| format!("`{name}`: {refused}"))?;
            if url.fragment().is_some() { Err(format!("`{name}` has a fragment")) } else { Ok(url) }
        };
        let (authorization_endpoint, token_endpoint) = (endpoint("authorization_endpoint")?, endpoint("token_endpoint")?);
        // Basic where nothing is said (§3).
        let authentication = match members.optional("token_endpoint_auth_methods_supported") {
            None => Authentication::Basic,
            Some(node) => {
                let methods = node.items().map_err(said)?;
                let offers = |name: &str| methods.iter().any(|method| method.value == name);
                if offers("client_secret_post") && !offers("client_secret_basic") {
                    Authentication::Post
                } else {
                    Authentication::Basic
                }
            }
        };
        let sends_issuer = members.optional("authorization_response_iss_parameter_supported");
        let sends_issuer = sends_issuer.map(|node| node.boolean()).transpose().map_err(said)?.unwrap_or(false);
        Ok(Metadata { authorization_endpoint, token_endpoint, authentication, sends_issuer })
    }
}
