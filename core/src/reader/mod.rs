//! Reading tokens over time: what every language's reader must decide alike, with the network left out. A host asks `poll`
//! what to get, gets it, and hands what came to `receive`; it brings an HTTP GET and a clock, and decides nothing.

mod key_cache;
mod keyring;
mod memory;

use std::sync::Arc;

pub use key_cache::{
    COOL_DOWN_SECONDS, FETCH_TIMEOUT_SECONDS, Fetch, KeySource, MAX_BODY_BYTES, MAX_STALE_SECONDS, Poll, REFRESH_SECONDS,
    Response, STALE_SECONDS,
};
pub use keyring::Keyring;
pub use memory::{MEMORY_TOKENS, Memory};

use crate::error::Result;
use crate::flag_set::FlagSet;
use crate::timestamp::Timestamp;
use crate::token::{KeySet, Prepared, Verifier};

/// A verifier that keeps its issuer's keys. May be shared between threads; no lock is held while a signature is checked.
#[derive(Debug)]
pub struct Reader {
    verifier: Verifier,
    keyring: Keyring,
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
        let keyring = Keyring::new(verifier.issuer(), source)?;
        Ok(Self { verifier, keyring })
    }

    /// The flags of a token. Whoever sends garbage causes no fetch, and whoever names unknown keys at most one in 30 s.
    ///
    /// Errors: those of [`Verifier::verify`], and `KeysUnavailable` while there are no keys and none can be fetched.
    #[cfg(feature = "crypto")]
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verdict> {
        let Some((prepared, keys)) = self.prepare(token, now)? else { return Ok(Verdict::KeysNeeded) };
        prepared.key(&keys)?.verify(prepared.signing_input(), prepared.signature())?;
        prepared.release().map(Verdict::Verified)
    }

    /// The same without the signature, for a host that checks it by itself: the prepared token, and the keys among which
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
