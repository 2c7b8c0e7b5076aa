//! Reading tokens over time: what every language's reader must decide alike, with the network left out. A host asks `poll`
//! what to get, gets it, and hands what came to `receive`; it brings an HTTP GET and a clock, and decides nothing.

mod key_cache;
mod memory;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use key_cache::{
    COOL_DOWN_SECONDS, FETCH_TIMEOUT_SECONDS, Fetch, KeySource, MAX_BODY_BYTES, MAX_STALE_SECONDS, Poll, REFRESH_SECONDS,
    Response, STALE_SECONDS,
};
use key_cache::{KeyCache, Keys};
pub use memory::{MEMORY_TOKENS, Memory};

use crate::error::{Error, ErrorCode, Result};
use crate::flag_set::FlagSet;
use crate::timestamp::Timestamp;
use crate::token::{KeySet, Prepared, Verifier};

/// A verifier that keeps its issuer's keys. May be shared between threads; no lock is held while a signature is checked.
#[derive(Debug)]
pub struct Reader {
    verifier: Verifier,
    cache: Mutex<KeyCache>,
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
        let cache = Mutex::new(KeyCache::new(verifier.issuer(), source)?);
        Ok(Self { verifier, cache })
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
        let keys = match self.cache().keys(now) {
            Keys::Held(keys) => keys,
            Keys::Needed => return Ok(None),
            Keys::Unavailable => {
                return Err(Error::new(
                    ErrorCode::KeysUnavailable,
                    "the issuer's keys could not be fetched; they are tried again shortly",
                ));
            }
        };
        match prepared.key(&keys) {
            Err(error) if error.code == ErrorCode::KeyUnknown && prepared.key_id().is_some() => {
                if self.cache().miss(now) {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
            Ok(_) => Ok(Some((prepared, keys))),
        }
    }

    /// What a host kept of this very token, as long as [`Reader::verify`] would accept it again without any fetch.
    pub fn recall<T: Clone>(&self, memory: &Memory<T>, token: &str, now: Timestamp) -> Option<T> {
        let Keys::Held(keys) = self.cache().keys(now) else { return None };
        memory.find(token, &keys, |lifetime| self.verifier.in_time(lifetime, now))
    }

    /// What to do now. To be asked whenever [`Verdict::KeysNeeded`] was answered, and at the time that [`Poll::Idle`] names.
    pub fn poll(&self, now: Timestamp) -> Poll {
        self.cache().poll(now)
    }

    /// Takes what came of a fetch. A bad answer changes nothing but the time of the next attempt.
    pub fn receive(&self, fetch: u64, response: Response<'_>, now: Timestamp) {
        self.cache().receive(fetch, response, now);
    }

    /// The keys held at present, however old.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.cache().held()
    }

    fn cache(&self) -> MutexGuard<'_, KeyCache> {
        // Nothing in the cache can be half done: each of its steps ends before it could fail.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
