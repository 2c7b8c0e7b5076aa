//! Signing keys at work: opened once, held ready, published.
//!
//! Which keys there are comes with every snapshot ([`SigningKeys`]), so that no replica ever signs with one that was
//! withdrawn before the request began; nobody has to be told of a rotation.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Algorithm, Signer, SigningKey, TYPE_ACCESS_TOKEN, TYPE_JWT, TYPE_WATERMARK};

use super::rotation::SIGNING_KEY;
use crate::error::{Error, Kind, Result};
use crate::secret::InstallationKey;
use crate::store::{KeyState, SigningKeys, Store, StoredSigningKey};

/// The values of `typ` that are issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    AccessToken,
    Jwt,
    Watermark,
}

/// `jti`: 128 random bits.
pub fn token_id() -> Result<String> {
    let mut bytes = [0u8; 16];
    rand::fill(&mut bytes).map_err(|_| Error::internal("the system gave no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The keys that this process has signed with.
#[derive(Debug)]
pub struct Keys {
    store: Arc<Store>,
    key: Arc<InstallationKey>,
    /// By `kid`, which is never used for another key.
    opened: RwLock<HashMap<String, Arc<Opened>>>,
}

/// A key, parsed once and ready to sign each type of token.
#[derive(Debug)]
struct Opened {
    environment: String,
    /// `at+jwt`.
    access_token: Signer,
    /// `JWT`: the vendors' access tokens, and ID tokens.
    jwt: Signer,
    /// `flagbearer-watermark+jwt`.
    watermark: Signer,
}

impl Keys {
    pub fn new(store: Arc<Store>, key: Arc<InstallationKey>) -> Self {
        Self { store, key, opened: RwLock::default() }
    }

    /// The signer for one algorithm and type of token, at a time, among the keys that a snapshot came with.
    pub fn signer(&self, keys: &SigningKeys, algorithm: Algorithm, token_type: TokenType, now: Timestamp) -> Result<Signer> {
        let key = keys.signing(algorithm, now).ok_or_else(|| Error::internal(format!("there is no `{algorithm}` key")))?;
        let opened = match self.find(&key.kid) {
            Some(opened) => opened,
            None => self.open(key, keys, now)?,
        };
        Ok(match token_type {
            TokenType::AccessToken => opened.access_token.clone(),
            TokenType::Jwt => opened.jwt.clone(),
            TokenType::Watermark => opened.watermark.clone(),
        })
    }

    fn find(&self, kid: &str) -> Option<Arc<Opened>> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    /// Opens a key, and lets go of those of its environment that sign no more.
    fn open(&self, key: &StoredSigningKey, keys: &SigningKeys, now: Timestamp) -> Result<Arc<Opened>> {
        let pkcs8 = self.key.open(SIGNING_KEY, &key.sealed)?;
        let parsed = SigningKey::from_pkcs8(key.algorithm, &pkcs8)?;
        let opened = Arc::new(Opened {
            environment: key.environment.clone(),
            access_token: parsed.signer(TYPE_ACCESS_TOKEN)?,
            jwt: parsed.signer(TYPE_JWT)?,
            watermark: parsed.signer(TYPE_WATERMARK)?,
        });
        let mut held = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        for key in &keys.keys {
            if matches!(key.state(now), KeyState::Retired | KeyState::Withdrawn) {
                held.remove(&key.kid);
            }
        }
        held.insert(key.kid.clone(), opened.clone());
        Ok(opened)
    }

    /// The environment's public keys (RFC 7517), as JSON: first those that sign, the newest of each kind first.
    pub async fn jwks(&self, environment: &str) -> Result<String> {
        let keys = match self.store.signing_keys(environment).await {
            // Readers go on reading while the database is away.
            Err(error) if error.kind == Kind::Unavailable => self.store.last_signing_keys(environment).ok_or(error)?,
            found => found?,
        };
        let now = self.store.now();
        let mut published: Vec<_> = keys.keys.iter().filter(|key| key.is_published(now)).collect();
        published.sort_by_key(|key| key.state(now));
        let published: Vec<_> = published.iter().map(|key| key.jwk.as_str()).collect();
        Ok(format!("{{\"keys\":[{}]}}", published.join(",")))
    }

    /// Forgets an environment that is gone.
    pub fn forget(&self, environment: &str) {
        self.store.forget(environment);
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        opened.retain(|_, opened| opened.environment != environment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tokens_have_the_same_id() {
        let ids: std::collections::HashSet<String> = (0..1_000_000).filter_map(|_| token_id().ok()).collect();
        assert_eq!(ids.len(), 1_000_000);
        assert!(ids.iter().all(|id| id.len() == 22), "128 bits each");
    }
}
