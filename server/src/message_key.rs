//! What webhooks' messages are signed with, as the Standard Webhooks specification writes it: HMAC-SHA-256 over the message's
//! id, the time of the attempt and the body, so that none of them can be exchanged.

use std::fmt;

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flagbearer::timestamp::Timestamp;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::secret::{InstallationKey, Secret};

/// A symmetric key of 32 bytes.
pub struct MessageKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKey(secret)")
    }
}

impl MessageKey {
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        rand::fill(&mut *bytes).map_err(|_| Error::internal("the system gave no random numbers"))?;
        Ok(Self(bytes))
    }

    /// Opens what [`MessageKey::seal`] made for the same webhook.
    pub fn open(key: &InstallationKey, webhook: &str, sealed: &[u8]) -> Result<Self> {
        let plain = key.open(&sealed_for(webhook), sealed)?;
        let bytes = <[u8; 32]>::try_from(plain.as_slice()).map_err(Error::internal)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// The key as it is stored, good for one webhook alone.
    pub fn seal(&self, key: &InstallationKey, webhook: &str) -> Result<Vec<u8>> {
        key.seal(&sealed_for(webhook), &*self.0)
    }

    /// As receivers are given it: `whsec_` and base64.
    pub fn shown(&self) -> Secret {
        Secret::new(format!("whsec_{}", STANDARD.encode(*self.0)))
    }

    /// The signature of one attempt: `v1,` and base64.
    pub fn sign(&self, id: &str, at: Timestamp, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.0);
        let tag = hmac::sign(&key, format!("{id}.{}.{body}", at.seconds()).as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

fn sealed_for(webhook: &str) -> String {
    format!("webhook {webhook}")
}
