//! Reading where there is no network yet: what an app keeps of a token between its starts, and how far it is believed
//! after its time, while nobody can refresh it. The keys are kept beside the token, so that what was kept is verified like
//! any other token; whoever can write where it is kept can write both, as on a device of his own he can do anyway.

use serde_json::{Value, json};

use super::Reader;
use crate::document::{self, Node};
use crate::error::{ErrorCode, Result};
use crate::flag_set::FlagSet;
use crate::timestamp::Timestamp;
use crate::token::KeySet;

/// How far a kept token is believed after its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflinePolicy {
    /// Not at all: it is refused as it would have been elsewhere.
    Fresh,
    /// For so many seconds more. Its flags are read with reason `STALE`.
    StaleAllowed { seconds: i64 },
    /// Not at all, but it is no error either: there are no flags, so that every read answers its default.
    ExpiredDefaults,
}

/// What was kept, and is read again.
#[derive(Debug)]
pub struct Restored {
    /// The token itself, for requests.
    pub token: String,
    pub flags: FlagSet,
}

impl Reader {
    /// A token that is good now, and what it takes to read it again, as one text for [`Reader::restore`]. `None` stands for
    /// [`Verdict::KeysNeeded`](super::Verdict::KeysNeeded).
    ///
    /// Errors: those of [`Reader::verify`].
    pub fn keep(&self, token: &str, now: Timestamp) -> Result<Option<String>> {
        let Some((prepared, keys)) = self.prepare(token, now)? else { return Ok(None) };
        let key = prepared.key(&keys)?.jwk();
        prepared.verify(keys.clone())?;
        Ok(Some(format!(r#"{{"keys":{{"keys":[{key}]}},"token":{}}}"#, json!(token))))
    }

    /// The flags of a token that was kept, without any fetch.
    ///
    /// Errors: those of [`Verifier::verify`](crate::token::Verifier::verify), `TokenExpired` depending on the policy;
    /// `TokenMalformed` for a text that is none of [`Reader::keep`].
    pub fn restore(&self, kept: &str, policy: OfflinePolicy, now: Timestamp) -> Result<Restored> {
        let (token, keys) = read(kept).map_err(|mut error| {
            error.code = ErrorCode::TokenMalformed;
            error.message.insert_str(0, "what was kept of the token cannot be read; sign in again: ");
            error
        })?;
        let flags = match self.verifier.verify(&token, &keys, now) {
            Err(error) if error.code == ErrorCode::TokenExpired => match policy {
                OfflinePolicy::Fresh => return Err(error),
                OfflinePolicy::StaleAllowed { seconds } => {
                    self.verifier.verify_late(&token, &keys, seconds, now)?.outlived()
                }
                OfflinePolicy::ExpiredDefaults => FlagSet::of_claims("{}")?,
            },
            outcome => outcome?,
        };
        Ok(Restored { token, flags: self.under_watermark(flags) })
    }
}

fn read(kept: &str) -> Result<(String, KeySet)> {
    let document: Value = document::parse(kept.as_bytes())?;
    let mut members = Node::root(&document).members()?;
    let token = members.required("token")?.string()?.to_owned();
    let keys = KeySet::parse(members.required("keys")?.value.to_string().as_bytes())?;
    members.finish()?;
    Ok((token, keys))
}
