//! Reading tokens over time: what every language's reader must decide alike, with the network left out. A host asks `poll`
//! what to get, gets it, and hands what came to `receive`; it brings an HTTP GET and a clock, and decides nothing.

mod discovery;
#[cfg(feature = "crypto")]
mod events;
mod key_cache;
mod keyring;
mod memory;
#[cfg(feature = "crypto")]
mod offline;
mod token_request;
#[cfg(feature = "crypto")]
mod watermark;

use std::sync::Arc;

pub use key_cache::{
    COOL_DOWN_SECONDS, FETCH_TIMEOUT_SECONDS, Fetch, KeySource, MAX_BODY_BYTES, MAX_STALE_SECONDS, Poll, REFRESH_SECONDS,
    Response, STALE_SECONDS,
};
pub use keyring::Keyring;
pub use memory::{MEMORY_TOKENS, Memory};
#[cfg(feature = "crypto")]
pub use offline::{OfflinePolicy, Restored};
pub use token_request::{
    Client, MAX_RETRY_SECONDS, NoTokens, REFRESH_BEFORE_SECONDS, RETRY_SECONDS, ReceivedTokens, TOKEN_TIMEOUT_SECONDS,
    TokenGrant, TokenRequest, Unverified, received,
};
#[cfg(feature = "crypto")]
pub use watermark::{Came, DISCONNECTED_SECONDS, Follower, FollowerStep, POLL_SECONDS, ReaderState, SILENCE_SECONDS};

use crate::error::Result;
#[cfg(feature = "crypto")]
use crate::error::{Error, ErrorCode};
use crate::flag_set::FlagSet;
use crate::timestamp::Timestamp;
#[cfg(feature = "crypto")]
use crate::token::{Expected, ForeignClaims, ForeignToken};
use crate::token::{KeySet, Prepared, Verifier};

/// Whether so much time has passed. A clock that was set back must not stop anything, so the past lies infinitely far back.
fn passed(since: Timestamp, seconds: i64, now: Timestamp) -> bool {
    now < since || now >= since.plus_seconds(seconds)
}

/// A verifier that keeps its issuer's keys. May be shared between threads; no lock is held while a token's signature is
/// checked.
#[derive(Debug)]
pub struct Reader {
    verifier: Verifier,
    keyring: Arc<Keyring>,
    #[cfg(feature = "crypto")]
    follower: Option<Follower>,
}

/// What became of a token that has no fault so far.
#[derive(Debug)]
pub enum Verdict {
    Verified(FlagSet),
    /// Keys must come first: follow [`Reader::poll`] until its fetch has been received, then verify again.
    KeysNeeded,
}

impl Reader {
    /// Errors: `ConfigurationInvalid`, when the source is no `http` or `https` URL.
    pub fn new(verifier: Verifier, source: KeySource) -> Result<Self> {
        let keyring = Arc::new(Keyring::new(verifier.issuer(), source)?);
        Ok(Self {
            verifier,
            keyring,
            #[cfg(feature = "crypto")]
            follower: None,
        })
    }

    /// The same reader, following its issuer's watermark: see [`Reader::follower`]. `seed` is a random number, so that not
    /// all readers of a server that was away come back in the same instant.
    #[cfg(feature = "crypto")]
    pub fn following(mut self, seed: u64) -> Self {
        self.follower = Some(Follower::new(self.verifier.issuer(), self.keyring.clone(), seed));
        self
    }

    /// What follows the watermark, where this reader does.
    #[cfg(feature = "crypto")]
    pub fn follower(&self) -> Option<&Follower> {
        self.follower.as_ref()
    }

    /// The flags of a token. Whoever sends garbage causes no fetch, and whoever names unknown keys at most one in 30 s; while there
    /// are no keys at all, every key is unknown, and attempts are spaced by 1, 2, 4, 8, 16 and then 30 s.
    ///
    /// Errors: those of [`Verifier::verify`], and `KeysUnavailable` while there are no keys and none can be fetched.
    #[cfg(feature = "crypto")]
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verdict> {
        let Some((prepared, keys)) = self.prepare(token, now)? else { return Ok(Verdict::KeysNeeded) };
        let (flags, _) = prepared.verify(keys)?;
        Ok(Verdict::Verified(self.under_watermark(flags)))
    }

    /// The same for a host with a memory: what it kept of this very token, or what it makes of its flags now, which is kept.
    /// `None` stands for [`Verdict::KeysNeeded`].
    ///
    /// Errors: those of [`Reader::verify`].
    #[cfg(feature = "crypto")]
    pub fn verify_once<T: Clone>(
        &self,
        memory: &Memory<T>,
        token: &str,
        now: Timestamp,
        make: impl FnOnce(FlagSet) -> T,
    ) -> Result<Option<T>> {
        if let Some(kept) = self.recall(memory, token, now) {
            return Ok(Some(kept));
        }
        let Some((prepared, keys)) = self.prepare(token, now)? else { return Ok(None) };
        let (flags, receipt) = prepared.verify(keys)?;
        let made = make(self.under_watermark(flags));
        memory.keep(token, receipt, made.clone());
        Ok(Some(made))
    }

    /// A flag set, read under the watermark where this reader follows one.
    #[cfg(feature = "crypto")]
    pub fn under_watermark(&self, flags: FlagSet) -> FlagSet {
        match &self.follower {
            Some(follower) => flags.under(follower.latest()),
            None => flags,
        }
    }

    /// The user's claims in an ID token that came with the answer to a request of this application's, once it is signed by the
    /// issuer, for this application, and an answer to this very request: it has its `nonce`. `None` stands for
    /// [`Verdict::KeysNeeded`].
    ///
    /// Errors: those of [`ForeignToken::verify`], and `ClaimMissing` without the nonce; `KeysUnavailable`.
    #[cfg(feature = "crypto")]
    pub fn verify_id_token(
        &self,
        token: &str,
        client_id: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Option<ForeignClaims>> {
        let parsed = ForeignToken::parse(token)?;
        let Some(keys) = self.keyring.find(parsed.key_id(), |keys| parsed.key(keys).map(drop), now)? else {
            return Ok(None);
        };
        let expected = Expected { issuer: self.verifier.issuer(), audience: client_id, access_token: false };
        let claims = parsed.verify(&expected, &keys, now)?;
        if claims.nonce.as_deref() != Some(nonce) {
            return Err(Error::new(ErrorCode::ClaimMissing, "the ID token does not have the `nonce` that was sent"));
        }
        Ok(Some(claims))
    }

    /// The application that asks this issuer for tokens.
    pub fn client<'a>(&'a self, client_id: &'a str, client_secret: Option<&'a str>) -> Client<'a> {
        Client { issuer: self.verifier.issuer(), profile: self.verifier.profile(), client_id, client_secret }
    }

    /// [`Reader::verify`] without the signature, for a host that checks it by itself: the prepared token, and the keys among which
    /// [`Prepared::key`] finds its own. `None` stands for [`Verdict::KeysNeeded`].
    pub fn prepare<'t>(&self, token: &'t str, now: Timestamp) -> Result<Option<(Prepared<'t>, Arc<KeySet>)>> {
        let prepared = self.verifier.prepare(token, now)?;
        let keys = self.keyring.find(prepared.key_id(), |keys| prepared.key(keys).map(drop), now)?;
        Ok(keys.map(|keys| (prepared, keys)))
    }

    /// What a host kept of this very token, as long as [`Reader::verify`] would accept it again without any fetch.
    pub fn recall<T: Clone>(&self, memory: &Memory<T>, token: &str, now: Timestamp) -> Option<T> {
        let keys = self.keyring.fresh(now)?;
        memory.find(token, &keys, |lifetime| self.verifier.in_time(lifetime, now))
    }

    /// What to do now. To be asked whenever [`Verdict::KeysNeeded`] was answered, and at the time that [`Poll::Idle`] names.
    pub fn poll(&self, now: Timestamp) -> Poll {
        self.keyring.poll(now)
    }

    /// Takes what came of a fetch. A bad answer changes nothing but the time of the next attempt.
    pub fn receive(&self, fetch: u64, response: Response<'_>, now: Timestamp) {
        self.keyring.receive(fetch, response, now);
    }

    /// The keys held at present, however old.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.keyring.held()
    }
}
