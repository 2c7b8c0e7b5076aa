//! Signing keys: one per algorithm and environment, sealed at rest, parsed once and held.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Algorithm, Signer, SigningKey, TYPE_ACCESS_TOKEN, TYPE_JWT};

use crate::error::{Error, Result};
use crate::secret::InstallationKey;
use crate::store::{Store, StoredSigningKey, Write};

/// What sealed keys are bound to.
const SIGNING_KEY: &str = "signing key";

/// `jti`: 128 random bits.
pub fn token_id() -> Result<String> {
    let mut bytes = [0u8; 16];
    rand::fill(&mut bytes).map_err(|_| Error::internal("the system gave no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The keys of the environments that this process has signed for.
#[derive(Debug)]
pub struct Keys {
    store: Arc<Store>,
    key: Arc<InstallationKey>,
    held: RwLock<HashMap<String, Arc<Held>>>,
}

/// One environment's keys.
struct Held {
    signers: HashMap<Algorithm, Signers>,
    /// The public halves, retired ones included while tokens of theirs may live (RFC 7517).
    jwks: String,
}

/// One key, ready to sign each type of token.
struct Signers {
    /// `at+jwt`.
    access_token: Signer,
    /// `JWT`: the vendors' access tokens, and ID tokens.
    jwt: Signer,
}

/// The two values of `typ` that are issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    AccessToken,
    Jwt,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} signers)", self.signers.len())
    }
}

/// Makes an environment's first keys, one per algorithm.
pub async fn create(write: &mut Write, key: &InstallationKey, environment: &str) -> Result<()> {
    let now: Timestamp = write.now;
    let made = tokio::task::spawn_blocking(|| Algorithm::ALL.map(SigningKey::generate));
    for signing_key in made.await.map_err(Error::internal)? {
        let signing_key = signing_key?;
        let jwk = signing_key.public_key()?.jwk();
        let stored = StoredSigningKey {
            kid: signing_key.key_id().to_owned(),
            environment: environment.to_owned(),
            algorithm: signing_key.algorithm(),
            sealed: key.seal(SIGNING_KEY, &signing_key.to_pkcs8()?)?,
            jwk: serde_json::to_string(&jwk).map_err(Error::internal)?,
            created_at: now,
            retired_at: None,
        };
        write.insert_signing_key(&stored).await?;
    }
    Ok(())
}

impl Keys {
    pub fn new(store: Arc<Store>, key: Arc<InstallationKey>) -> Self {
        Self { store, key, held: RwLock::default() }
    }

    /// Makes sure that an environment's keys are held, reading them where they are not.
    pub async fn hold(&self, environment: &str) -> Result<()> {
        if self.find(environment).is_some() {
            return Ok(());
        }
        let stored = self.store.signing_keys(environment).await?;
        if stored.is_empty() {
            return Err(Error::not_found("environment", environment));
        }
        let mut signers = HashMap::new();
        let mut jwks = String::from("{\"keys\":[");
        for (number, stored) in stored.iter().enumerate() {
            if number > 0 {
                jwks.push(',');
            }
            jwks.push_str(&stored.jwk);
            if stored.retired_at.is_none() && !signers.contains_key(&stored.algorithm) {
                let pkcs8 = self.key.open(SIGNING_KEY, &stored.sealed)?;
                let key = SigningKey::from_pkcs8(stored.algorithm, &pkcs8)?;
                let both = Signers { access_token: key.signer(TYPE_ACCESS_TOKEN)?, jwt: key.signer(TYPE_JWT)? };
                signers.insert(stored.algorithm, both);
            }
        }
        jwks.push_str("]}");
        let held = Arc::new(Held { signers, jwks });
        self.held.write().unwrap_or_else(PoisonError::into_inner).insert(environment.to_owned(), held);
        Ok(())
    }

    fn find(&self, environment: &str) -> Option<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).get(environment).cloned()
    }

    /// The signer of one type of tokens for an environment whose keys are held.
    pub fn signer(&self, environment: &str, algorithm: Algorithm, token_type: TokenType) -> Result<Signer> {
        let held = self.find(environment);
        let signers = held.as_ref().and_then(|held| held.signers.get(&algorithm));
        let signer = signers.map(|signers| match token_type {
            TokenType::AccessToken => &signers.access_token,
            TokenType::Jwt => &signers.jwt,
        });
        signer.cloned().ok_or_else(|| Error::internal(format!("no `{algorithm}` key is held for `{environment}`")))
    }

    /// The environment's public keys, as JSON.
    pub async fn jwks(&self, environment: &str) -> Result<String> {
        self.hold(environment).await?;
        let held = self.find(environment).ok_or_else(|| Error::not_found("environment", environment))?;
        Ok(held.jwks.clone())
    }

    /// Forgets an environment that is gone.
    pub fn forget(&self, environment: &str) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(environment);
    }
}
