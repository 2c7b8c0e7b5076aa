//! Doors for the shared vectors: what no user of a reader calls, but every binding must answer alike.

use flagbearer::document;
use flagbearer::door;
use flagbearer::flag_set::FlagSet;
use flagbearer::token::KeySet;
use napi_derive::napi;

use super::{Refusal, refuse};

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
