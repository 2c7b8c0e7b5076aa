//! An issuer's keys over time. Refreshed behind the scenes every five minutes, waited for after ten, kept for a day when the
//! server is down; one fetch at a time; an unknown `kid` brings forward at most one fetch in thirty seconds. Seen from
//! outside there is no state in which a bad answer takes a good key away.
//!
//! What is due has pauses of its own, whatever tokens come: without any keys, and for a refresh, attempts that fail are followed
//! by 1, 2, 4, 8, 16 and then 30 seconds, so that a server which starts later than its readers is found at once, and one that is
//! down is asked no more than eight times in the first hundred seconds.

use std::sync::Arc;

use super::{discovery, passed};
use crate::error::{Error, ErrorCode, Result};
use crate::timestamp::Timestamp;
use crate::token::KeySet;

/// Keys as old as this are fetched again while they go on being used.
pub const REFRESH_SECONDS: i64 = 5 * 60;
/// Keys as old as this are fetched again before they are used, unless that has just failed.
pub const STALE_SECONDS: i64 = 10 * 60;
/// Keys as old as this are not used any more: a key withdrawn a day ago must not be good for ever behind a broken network.
pub const MAX_STALE_SECONDS: i64 = 24 * 60 * 60;
/// Between two fetches for the sake of unknown keys; also the longest pause after failures, and the life of a lost fetch.
pub const COOL_DOWN_SECONDS: i64 = 30;
/// How long a host waits for an answer.
pub const FETCH_TIMEOUT_SECONDS: u32 = 5;
/// The longest answer that is read, in bytes; a host stops reading there.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

// What a fetch came to. Whoever is told may be anybody, so that no address is in it.
const NO_ANSWER: &str = "no answer with status 200 came within 5 s and 1 MiB, redirects not followed";
const NO_DISCOVERY: &str = "what came is no discovery document of this issuer's";
const NO_KEYS: &str = "what came is no set of keys (JWKS) with one that can be used";

/// Where an issuer's keys are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `<issuer>/.well-known/jwks.json`.
    WellKnown,
    /// This URL.
    Url(String),
    /// The `jwks_uri` of `<issuer>/.well-known/openid-configuration`, whose `issuer` must be ours.
    Discovery,
}

impl KeySource {
    /// What the settings of a reader ask for: a URL of its own, else discovery where that is wanted.
    pub fn of(url: Option<String>, discovery: bool) -> Self {
        match (url, discovery) {
            (Some(url), _) => Self::Url(url),
            (None, true) => Self::Discovery,
            (None, false) => Self::WellKnown,
        }
    }
}

/// What a host is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// Get it, hand what comes to `receive`, and ask again.
    Fetch(Fetch),
    /// A fetch is under way; wait for it.
    Pending,
    /// Nothing before that time.
    Idle { until: Timestamp },
}

/// A GET to be made without credentials, without following redirects, within [`FETCH_TIMEOUT_SECONDS`] and
/// [`MAX_BODY_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Tells this fetch from others when its answer comes.
    pub id: u64,
    pub url: String,
}

/// What came of a fetch.
#[derive(Debug, Clone, Copy)]
pub enum Response<'a> {
    /// The body of an answer with status 200.
    Body(&'a [u8]),
    /// Anything else: another status, a time-out, no network, a body that is too long.
    Failed,
}

/// What there is to verify with.
pub(super) enum Keys {
    Held(Arc<KeySet>),
    /// A fetch is under way, or due and allowed.
    Needed,
    /// None are held and the next attempt is not due yet. What became of the last one.
    Unavailable(&'static str),
}

#[derive(Debug)]
pub(super) struct KeyCache {
    issuer: String,
    start: Step,
    /// What the next fetch, or the one under way, is for.
    step: Step,
    held: Option<(Arc<KeySet>, Timestamp)>,
    under_way: Option<(u64, Timestamp)>,
    fetches: u64,
    /// How many attempts in a row failed, and when the last one did.
    failures: u32,
    failed_at: Option<Timestamp>,
    failure: &'static str,
    /// Whether somebody waits for a key that is not held, and when there was last a fetch for that.
    missed: bool,
    missed_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Discover { url: String },
    Keys { url: String },
}

impl KeyCache {
    pub fn new(issuer: &str, source: KeySource) -> Result<Self> {
        let base = issuer.trim_end_matches('/');
        let start = match source {
            KeySource::WellKnown => Step::Keys { url: format!("{base}/.well-known/jwks.json") },
            KeySource::Url(url) => Step::Keys { url },
            KeySource::Discovery => Step::Discover { url: discovery::url(issuer) },
        };
        let (Step::Keys { url } | Step::Discover { url }) = &start;
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(Error::new(
                ErrorCode::ConfigurationInvalid,
                format!("`{url}` is not a URL that keys can be fetched from; the issuer starts with `https://`"),
            ));
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            step: start.clone(),
            start,
            held: None,
            under_way: None,
            fetches: 0,
            failures: 0,
            failed_at: None,
            failure: NO_ANSWER,
            missed: false,
            missed_at: None,
        })
    }

    pub fn held(&self) -> Option<Arc<KeySet>> {
        self.held.as_ref().map(|(keys, _)| keys.clone())
    }

    pub fn keys(&self, now: Timestamp) -> Keys {
        let fetching = self.fetching(now);
        match &self.held {
            Some((keys, fetched_at)) if now < fetched_at.plus_seconds(STALE_SECONDS) => Keys::Held(keys.clone()),
            // A fetch that follows a failure is not waited for: the server is probably still down.
            Some((keys, fetched_at)) if self.failures > 0 && now < fetched_at.plus_seconds(MAX_STALE_SECONDS) => {
                Keys::Held(keys.clone())
            }
            _ if fetching || self.may_try(now) => Keys::Needed,
            _ => Keys::Unavailable(self.failure),
        }
    }

    /// A token named a key that is not held. Answers whether waiting may bring it.
    pub fn miss(&mut self, now: Timestamp) -> bool {
        if self.fetching(now) || self.missed {
            return true;
        }
        if self.missed_at.is_some_and(|missed_at| !passed(missed_at, COOL_DOWN_SECONDS, now)) || !self.may_try(now) {
            return false;
        }
        self.missed = true;
        true
    }

    pub fn poll(&mut self, now: Timestamp) -> Poll {
        if self.fetching(now) {
            return Poll::Pending;
        }
        let pause_ends = self.failed_at.map(|failed_at| failed_at.plus_seconds(self.pause()));
        let refresh_due = self.held.as_ref().map(|(_, fetched_at)| fetched_at.plus_seconds(REFRESH_SECONDS));
        let due = self.missed
            || self.step != self.start
            || self.held.as_ref().is_none_or(|(_, fetched_at)| passed(*fetched_at, REFRESH_SECONDS, now));
        if !due || !self.may_try(now) {
            let until = if due { pause_ends } else { refresh_due };
            return Poll::Idle { until: until.unwrap_or(now) };
        }
        if self.under_way.take().is_some() {
            // The answer was lost: begin anew.
            self.step = self.start.clone();
        }
        if self.missed {
            self.missed_at = Some(now);
        }
        self.fetches += 1;
        self.under_way = Some((self.fetches, now));
        let (Step::Keys { url } | Step::Discover { url }) = &self.step;
        Poll::Fetch(Fetch { id: self.fetches, url: url.clone() })
    }

    /// Answers whether it was what had been asked for, or came too late to matter.
    pub fn receive(&mut self, fetch: u64, response: Response<'_>, now: Timestamp) -> bool {
        // An answer that was given up comes too late: a newer one may have come already.
        if self.under_way.take_if(|(id, _)| *id == fetch).is_none() {
            return true;
        }
        let step = std::mem::replace(&mut self.step, self.start.clone());
        let usable = match response {
            Response::Body(body) if body.len() <= MAX_BODY_BYTES => Ok(body),
            _ => Err(NO_ANSWER),
        };
        let next = usable.and_then(|body| match step {
            Step::Discover { url } => {
                let found = discovery::endpoint(&self.issuer, &url, body, "jwks_uri").map_err(|_| NO_DISCOVERY)?;
                self.step = Step::Keys { url: found };
                Ok(())
            }
            Step::Keys { .. } => {
                let keys = KeySet::parse(body).ok().filter(|keys| !keys.is_empty()).ok_or(NO_KEYS)?;
                self.held = Some((Arc::new(keys), now));
                self.missed = false;
                self.failures = 0;
                self.failed_at = None;
                Ok(())
            }
        });
        if let Err(failure) = next {
            self.missed = false;
            self.failures = self.failures.saturating_add(1);
            self.failed_at = Some(now);
            self.failure = failure;
        }
        next.is_ok()
    }

    fn fetching(&self, now: Timestamp) -> bool {
        self.under_way.is_some_and(|(_, since)| !passed(since, COOL_DOWN_SECONDS, now))
    }

    /// Attempts after failures are spaced by 1, 2, 4 … 30 seconds.
    fn may_try(&self, now: Timestamp) -> bool {
        self.failed_at.is_none_or(|failed_at| passed(failed_at, self.pause(), now))
    }

    fn pause(&self) -> i64 {
        COOL_DOWN_SECONDS.min(1 << self.failures.saturating_sub(1).min(5))
    }
}
