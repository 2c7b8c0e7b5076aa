//! Tokens and flag sets for the unit tests of applications, and doors for the shared vectors: what no user of a reader calls, but
//! every binding must answer alike.

use flagbearer::document;
use flagbearer::door;
use flagbearer::error::Error;
use flagbearer::flag_set::FlagSet;
use flagbearer::reader::Reader;
use flagbearer::testing;
use flagbearer::token::KeySet;
use napi_derive::napi;
use serde_json::Value;

use super::{Refusal, instant, overruled, refuse, state};

/// The flag set of a `feature_flags` claim, handed over as after a verification.
#[napi]
pub fn flag_set_of_claim(claim: String) -> Result<String, Refusal> {
    FlagSet::of_claim(&claim).map(|flags| flags.tables()).map_err(refuse)
}

/// The claim in a dialect, of flags given as a JSON array of `key`, `type` and `value`.
#[napi]
pub fn encode_claim(dialect: String, flags: String) -> Result<String, Refusal> {
    document::parse(flags.as_bytes()).and_then(|flags| door::claim_text(&dialect, &flags)).map_err(refuse)
}

/// The ids of the usable keys of a JWK set.
#[napi]
pub fn usable_keys(jwks: String) -> Result<Vec<String>, Refusal> {
    let set = KeySet::parse(jwks.as_bytes()).map_err(refuse)?;
    Ok(set.iter().map(|key| key.key_id().to_owned()).collect())
}

/// Whether a signature is that of the only key of a JWK set.
#[napi]
pub fn signature_valid(jwks: String, input: &[u8], signature: &[u8]) -> Result<bool, Refusal> {
    let set = KeySet::parse(jwks.as_bytes()).map_err(refuse)?;
    Ok(set.iter().next().is_some_and(|key| key.verify(input, signature).is_ok()))
}

/// One JSON document in, and what becomes of it. A refusal's message is its pointer, a line break, and the message.
fn of_document<A>(text: &str, work: impl FnOnce(&Value) -> Result<A, Error>) -> Result<A, Refusal> {
    document::parse(text.as_bytes()).and_then(|value| work(&value)).map_err(|mut error| {
        error.message.insert_str(0, &format!("{}\n", error.pointer));
        refuse(error)
    })
}

/// A door of the core's: one JSON document in, one out.
fn through(work: fn(&Value) -> Result<Value, Error>, text: &str) -> Result<String, Refusal> {
    of_document(text, work).map(|answer| answer.to_string())
}

/// The flag set of flags by key, handed over as after a verification.
#[napi]
pub fn flag_set_of(flags: String) -> Result<String, Refusal> {
    of_document(&flags, testing::flag_set).map(|flags| flags.tables())
}

/// An issuer without a server.
#[napi]
pub struct NativeTestIssuer {
    issuer: testing::TestIssuer,
}

#[napi]
impl NativeTestIssuer {
    #[napi(constructor)]
    pub fn new(issuer: String, client_id: String, profile: Option<String>) -> Result<Self, Refusal> {
        let issuer = testing::TestIssuer::new(&issuer, &client_id, profile.as_deref()).map_err(refuse)?;
        Ok(Self { issuer })
    }

    #[napi]
    pub fn jwks(&self) -> Result<String, Refusal> {
        self.issuer.jwks().map_err(refuse)
    }

    /// A token of the facts in a JSON document.
    #[napi]
    pub fn token(&self, facts: String, now: f64) -> Result<String, Refusal> {
        of_document(&facts, |facts| self.issuer.token(facts, instant(now)))
    }
}

/// Flags, overrides, a context and a time: what each flag is, and why.
#[napi]
pub fn evaluate_json(text: String) -> Result<String, Refusal> {
    through(door::evaluate_json, &text)
}

/// A salt and a subject: its buckets.
#[napi]
pub fn buckets_json(text: String) -> Result<String, Refusal> {
    through(door::buckets_json, &text)
}

/// A change: its effect and its holdouts.
#[napi]
pub fn effect_json(text: String) -> Result<String, Refusal> {
    through(door::effect_json, &text)
}

/// A reader that was told watermarks by a test instead of a server.
#[napi]
pub struct NativeFollowed {
    reader: Reader,
    outcomes: Vec<Option<&'static str>>,
}

#[napi]
impl NativeFollowed {
    /// Of an issuer, its keys, and the watermarks that it is told.
    #[napi(constructor)]
    pub fn new(text: String) -> Result<Self, Refusal> {
        let followed = document::parse(text.as_bytes()).and_then(|document| door::follow(&document));
        let (reader, outcomes) = followed.map_err(refuse)?;
        Ok(Self { reader, outcomes: outcomes.into_iter().map(|code| code.map(|code| code.as_str())).collect() })
    }

    /// The code that each watermark was refused with; `null` where it was not.
    #[napi]
    pub fn outcomes(&self) -> Vec<Option<&'static str>> {
        self.outcomes.clone()
    }

    #[napi]
    pub fn overruled(&self, revision: Option<f64>) -> Option<String> {
        overruled(self.reader.follower(), revision)
    }

    #[napi]
    pub fn state_of(&self, revision: Option<f64>, now: f64) -> Option<&'static str> {
        state(self.reader.follower(), revision, now)
    }
}

/// The flag set of a token's claims, handed over as after a verification.
#[napi]
pub fn flag_set_of_claims(claims: String) -> Result<String, Refusal> {
    FlagSet::of_claims(&claims).map(|flags| flags.tables()).map_err(refuse)
}
