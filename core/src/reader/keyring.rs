//! One issuer's keys, shared between threads: which of them a token needs, and when to fetch them. What has to be decided
//! over time the cache decides; no lock is held while a signature is checked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key_cache::{KeyCache, KeySource, Keys, Poll, Response};
use crate::error::{Error, ErrorCode, Result};
use crate::timestamp::Timestamp;
#[cfg(feature = "crypto")]
use crate::token::ForeignToken;
use crate::token::KeySet;

/// The keys of an issuer over time. A [`Reader`](super::Reader) has its own; this one is for tokens that are not ours.
#[derive(Debug)]
pub struct Keyring {
    cache: Mutex<KeyCache>,
}

impl Keyring {
    /// Errors: `ConfigurationInvalid`, when the source is no `http` or `https` URL.
    pub fn new(issuer: &str, source: KeySource) -> Result<Self> {
        Ok(Self { cache: Mutex::new(KeyCache::new(issuer, source)?) })
    }

    /// The keys to verify a token with. `None` where keys must come first: follow [`Keyring::poll`] until its fetch has been
    /// received, then ask again. Whoever names unknown keys causes at most one fetch in 30 s.
    ///
    /// Errors: `KeyUnknown`, `AlgorithmUnsupported`, and `KeysUnavailable` while there are none and none can be fetched.
    #[cfg(feature = "crypto")]
    pub fn keys_for(&self, token: &ForeignToken<'_>, now: Timestamp) -> Result<Option<Arc<KeySet>>> {
        self.find(token.key_id(), |keys| token.key(keys).map(drop), now)
    }

    /// The same for any token, by what it answers to a set of keys.
    pub(super) fn find(
        &self,
        key_id: Option<&str>,
        ask: impl FnOnce(&KeySet) -> Result<()>,
        now: Timestamp,
    ) -> Result<Option<Arc<KeySet>>> {
        let keys = match self.cache().keys(now) {
            Keys::Held(keys) => keys,
            Keys::Needed => return Ok(None),
            Keys::Unavailable(why) => {
                return Err(Error::new(
                    ErrorCode::KeysUnavailable,
                    format!("the issuer's keys could not be fetched: {why}; they are tried again shortly"),
                ));
            }
        };
        match ask(&keys) {
            Err(error) if error.code == ErrorCode::KeyUnknown && key_id.is_some() => {
                if self.cache().miss(now) {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
            Ok(()) => Ok(Some(keys)),
        }
    }

    /// What to do now: whenever keys must come first, and at the time that [`Poll::Idle`] names.
    pub fn poll(&self, now: Timestamp) -> Poll {
        self.cache().poll(now)
    }

    /// Takes what came of a fetch. A bad answer changes nothing but the time of the next attempt, and is answered by `false`.
    pub fn receive(&self, fetch: u64, response: Response<'_>, now: Timestamp) -> bool {
        self.cache().receive(fetch, response, now)
    }

    /// The keys that may be used without any fetch.
    pub(super) fn fresh(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        match self.cache().keys(now) {
            Keys::Held(keys) => Some(keys),
            Keys::Needed | Keys::Unavailable(_) => None,
        }
    }

    /// The keys held at present, however old.
    pub(super) fn held(&self) -> Option<Arc<KeySet>> {
        self.cache().held()
    }

    fn cache(&self) -> MutexGuard<'_, KeyCache> {
        // Nothing in the cache can be half done: each of its steps ends before it could fail.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
