//! Doors for the shared vectors, and for applications that try their rules without a server. Documents cross as JSON text.

use std::sync::Arc;

use flagbearer::document;
use flagbearer::door;
use flagbearer::error::{ErrorCode, ErrorKind};
use flagbearer::flag_set::FlagSet;
use flagbearer::reader::Reader;
use flagbearer::testing::TestIssuer;
use flagbearer::token::KeySet;

use super::flag_set::NativeFlagSet;
use super::{Result, instant};

fn answer<A: ToString>(
    document: &str,
    door: impl FnOnce(&serde_json::Value) -> flagbearer::error::Result<A>,
) -> Result<String> {
    Ok(document::parse(document.as_bytes()).and_then(|document| door(&document))?.to_string())
}

#[uniffi::export]
pub fn evaluate_json(document: String) -> Result<String> {
    answer(&document, door::evaluate_json)
}

#[uniffi::export]
pub fn buckets_json(document: String) -> Result<String> {
    answer(&document, door::buckets_json)
}

#[uniffi::export]
pub fn effect_json(document: String) -> Result<String> {
    answer(&document, door::effect_json)
}

/// The claim in a dialect, of flags given as a JSON array of `key`, `type` and `value`.
#[uniffi::export]
pub fn encode_claim(dialect: String, flags: String) -> Result<String> {
    answer(&flags, |flags| door::claim_text(&dialect, flags))
}

/// The ids of the usable keys of a JWK set.
#[uniffi::export]
pub fn usable_keys(jwks: String) -> Result<Vec<String>> {
    Ok(KeySet::parse(jwks.as_bytes())?.iter().map(|key| key.key_id().to_owned()).collect())
}

/// Whether a signature is that of the only key of a JWK set.
#[uniffi::export]
pub fn signature_valid(jwks: String, input: Vec<u8>, signature: Vec<u8>) -> Result<bool> {
    let set = KeySet::parse(jwks.as_bytes())?;
    Ok(set.iter().next().is_some_and(|key| key.verify(&input, &signature).is_ok()))
}

/// Every code that a reader answers.
#[uniffi::export]
pub fn error_codes() -> Vec<String> {
    let read = |code: &&ErrorCode| matches!(code.kind(), ErrorKind::Token | ErrorKind::Read);
    ErrorCode::ALL.iter().filter(read).map(|code| code.as_str().to_owned()).collect()
}

/// A reader that was told watermarks by a test instead of a server.
#[derive(Debug, uniffi::Object)]
pub struct NativeFollowed {
    reader: Arc<Reader>,
    outcomes: Vec<Option<String>>,
}

#[uniffi::export]
impl NativeFollowed {
    /// Of an issuer, its keys, and the watermarks that it is told.
    #[uniffi::constructor]
    pub fn new(document: String) -> Result<Arc<Self>> {
        let (reader, outcomes) = document::parse(document.as_bytes()).and_then(|document| door::follow(&document))?;
        let outcomes = outcomes.into_iter().map(|code| code.map(|code| code.as_str().to_owned())).collect();
        Ok(Arc::new(Self { reader: Arc::new(reader), outcomes }))
    }

    /// The code that each watermark was refused with; nothing where it was not.
    pub fn outcomes(&self) -> Vec<Option<String>> {
        self.outcomes.clone()
    }

    /// The flag set of a token's claims, read under what was believed.
    pub fn flag_set(&self, claims: String) -> Result<Arc<NativeFlagSet>> {
        let flags = FlagSet::of_claims(&claims)?;
        Ok(NativeFlagSet::of(self.reader.under_watermark(flags), Some(self.reader.clone())))
    }
}

/// An issuer without a server, for unit tests.
#[derive(Debug, uniffi::Object)]
pub struct NativeTestIssuer {
    issuer: TestIssuer,
}

#[uniffi::export]
impl NativeTestIssuer {
    #[uniffi::constructor]
    pub fn new(issuer: String, client_id: String, profile: Option<String>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { issuer: TestIssuer::new(&issuer, &client_id, profile.as_deref())? }))
    }

    pub fn jwks(&self) -> Result<String> {
        Ok(self.issuer.jwks()?)
    }

    /// Of facts `{flags, user, organization, flags_revision, expires_in}`, as JSON text.
    pub fn token(&self, facts: String, now: i64) -> Result<String> {
        Ok(document::parse(facts.as_bytes()).and_then(|facts| self.issuer.token(&facts, instant(now)))?)
    }
}
