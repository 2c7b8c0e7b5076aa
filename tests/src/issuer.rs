//! An issuer as a backend sees it: its keys, and a verifier of its tokens.

use flagbearer::error::Error;
use flagbearer::flag_set::FlagSet;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{KeySet, Verifier, VerifierOptions, Watermark};
use serde_json::Value;

use crate::Api;

/// One issuer's tokens for one application.
#[derive(Debug)]
pub struct Issuer {
    verifier: Verifier,
    pub keys: KeySet,
}

impl Issuer {
    /// What the metadata below `path` says: the server's root (``), or `/env/<name>`.
    pub async fn discover(api: &Api, path: &str, audience: &str) -> Self {
        let metadata = api.get(&format!("{path}/.well-known/openid-configuration")).await.ok();
        let issuer = metadata["issuer"].as_str().expect("an issuer");
        let keys = api.get(&format!("{path}/.well-known/jwks.json")).await;
        let keys = KeySet::parse(keys.text.as_bytes()).expect("a key set");
        let options = VerifierOptions { issuer, audience: Some(audience), ..VerifierOptions::default() };
        Self { verifier: Verifier::new(&options).expect("a verifier"), keys }
    }

    pub fn verify(&self, token: &str, now: Timestamp) -> Result<FlagSet, Error> {
        self.verifier.verify(token, &self.keys, now)
    }

    /// The same with keys of another's.
    pub fn verify_with(&self, token: &str, keys: &KeySet, now: Timestamp) -> Result<FlagSet, Error> {
        self.verifier.verify(token, keys, now)
    }

    /// A watermark as a reader takes it.
    pub fn watermark(&self, text: &str, now: Timestamp) -> Result<Watermark, Error> {
        Watermark::prepare(text, self.verifier.issuer(), now)?.verify(&self.keys)
    }

    /// The claims of a token response's access token, which has to be valid.
    #[track_caller]
    pub fn claims(&self, tokens: &Value, now: Timestamp) -> Value {
        let token = tokens["access_token"].as_str().expect("an access token");
        let flags = self.verify(token, now).expect("a valid token");
        serde_json::from_str(flags.claims()).expect("claims")
    }
}
