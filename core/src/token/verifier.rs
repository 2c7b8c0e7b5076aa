//! From a token to its flags. All decisions are taken in `prepare`, without cryptography; what they were is only told once
//! the signature has been checked, so that nobody acts on the claims of a forged token.

use std::sync::Arc;

use super::compact::Compact;
use super::payload::{Lifetime, Payload};
use super::policy::{DEFAULT_LEEWAY_SECONDS, MAX_LEEWAY_SECONDS, Policy};
use super::{Algorithm, KeySet, Profile, PublicKey};
use crate::error::{Error, ErrorCode, Result};
use crate::flag_set::FlagSet;
use crate::timestamp::Timestamp;

/// What a verifier is given, as every language's options have it.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifierOptions<'a> {
    /// Equal to the tokens' `iss`, byte for byte.
    pub issuer: &'a str,
    /// For profile `flagbearer`: what the tokens' `aud` must contain.
    pub audience: Option<&'a str>,
    /// For profiles `kinde` and `workos`: the application whose tokens are accepted.
    pub client_id: Option<&'a str>,
    /// `flagbearer` when absent.
    pub profile: Option<&'a str>,
    /// Seconds, from 0 to 60; 5 when absent.
    pub leeway: Option<f64>,
}

/// Accepts the tokens of one issuer, in one profile, for one recipient.
#[derive(Debug, Clone)]
pub struct Verifier {
    policy: Policy,
}

impl Verifier {
    /// Errors: `ConfigurationInvalid`. There is no verifier without a recipient.
    pub fn new(options: &VerifierOptions<'_>) -> Result<Self> {
        let invalid = |message: String| Error::new(ErrorCode::ConfigurationInvalid, message);
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let profile = match options.profile {
            None => Profile::Flagbearer,
            Some(name) => Profile::parse(name)
                .ok_or_else(|| invalid(format!("`{name}` is not a profile; choose `flagbearer`, `kinde` or `workos`")))?,
        };
        let recipient = match profile {
            Profile::Flagbearer if options.client_id.is_some() => {
                return Err(invalid(
                    "a client id needs the profile `kinde` or `workos`; profile `flagbearer` takes an audience".into(),
                ));
            }
            Profile::Flagbearer => given(options.audience).ok_or_else(|| invalid("an audience is required".into()))?,
            Profile::Kinde | Profile::WorkOs if options.audience.is_some() => {
                return Err(invalid(format!("profile `{}` takes a client id, not an audience", profile.as_str())));
            }
            Profile::Kinde | Profile::WorkOs => {
                given(options.client_id).ok_or_else(|| invalid("a client id is required".into()))?
            }
        };
        let leeway = options.leeway.unwrap_or(DEFAULT_LEEWAY_SECONDS);
        if !(0.0..=MAX_LEEWAY_SECONDS).contains(&leeway) {
            return Err(invalid(format!("the leeway is between 0 and {} seconds", MAX_LEEWAY_SECONDS as i64)));
        }
        let issuer = given(Some(options.issuer)).ok_or_else(|| invalid("an issuer is required".into()))?;
        Ok(Self {
            policy: Policy { issuer, profile, recipient, leeway_milliseconds: leeway * 1000.0, grace_milliseconds: 0.0 },
        })
    }

    pub fn issuer(&self) -> &str {
        &self.policy.issuer
    }

    pub fn profile(&self) -> Profile {
        self.policy.profile
    }

    /// Parses the token and decides everything but its signature.
    ///
    /// Errors: `TokenMalformed`, `AlgorithmUnsupported`. What else is wrong with it is told by [`Awaiting::release`].
    pub fn prepare<'t>(&self, token: &'t str, now: Timestamp) -> Result<Prepared<'t>> {
        let Compact { header, signing_input, payload, signature } = Compact::parse(token)?;
        // Parsed before the algorithm is looked at: a malformed token is malformed whatever it claims to be signed with.
        let claims = Payload::parse(&payload)?;
        let algorithm = header.algorithm.filter(|algorithm| self.policy.profile.accepts(*algorithm)).ok_or_else(|| {
            Error::new(ErrorCode::AlgorithmUnsupported, "the token's `alg` is not one that this profile accepts")
        })?;
        let lifetime = claims.lifetime();
        let outcome = self.policy.check(header.token_type.as_deref(), &claims, now);
        let outcome = outcome.and_then(|()| claims.into_flags()).map(|flags| flags.with_claims(payload));
        let signed = Signed { algorithm, key_id: header.key_id, input: signing_input, signature };
        Ok(Prepared { signed, lifetime, outcome })
    }

    /// Whether a token that was verified before is still, or already, in its time.
    pub(crate) fn in_time(&self, lifetime: Lifetime, now: Timestamp) -> bool {
        self.policy.check_time(lifetime, now).is_ok()
    }

    /// The flags of a token, or the first of its faults in the order of precedence.
    ///
    /// Errors: `TokenMalformed` `AlgorithmUnsupported` `KeyUnknown` `SignatureInvalid` `TypeInvalid` `ClaimMissing`
    /// `IssuerMismatch` `AudienceMismatch` `TokenExpired` `TokenNotYetValid` `FlagsMalformed`.
    #[cfg(feature = "crypto")]
    pub fn verify(&self, token: &str, keys: &KeySet, now: Timestamp) -> Result<FlagSet> {
        let prepared = self.prepare(token, now)?;
        prepared.signed.check(keys)?;
        prepared.outcome
    }

    /// The same for a token that may have expired so many seconds ago.
    #[cfg(feature = "crypto")]
    pub(crate) fn verify_late(&self, token: &str, keys: &KeySet, seconds: i64, now: Timestamp) -> Result<FlagSet> {
        let mut late = self.clone();
        late.policy.grace_milliseconds = seconds as f64 * 1000.0;
        late.verify(token, keys, now)
    }
}

/// Says that a token was verified: until when that holds, and with which keys.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub(crate) lifetime: Lifetime,
    pub(crate) keys: Arc<KeySet>,
}

/// The half of a token that its signature is checked with.
#[derive(Debug)]
pub(crate) struct Signed<'t> {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
    pub input: &'t [u8],
    pub signature: Vec<u8>,
}

impl Signed<'_> {
    /// The key that must have signed the token.
    pub fn key<'k>(&self, keys: &'k KeySet) -> Result<&'k PublicKey> {
        let key = self.key_id.as_deref().and_then(|key_id| keys.get(key_id));
        let key = key.ok_or_else(|| Error::new(ErrorCode::KeyUnknown, "the token's `kid` is none of the issuer's keys"))?;
        if key.algorithm() != self.algorithm {
            return Err(Error::new(
                ErrorCode::AlgorithmUnsupported,
                format!("the token's key is for `{}` alone", key.algorithm()),
            ));
        }
        Ok(key)
    }

    #[cfg(feature = "crypto")]
    pub fn check(&self, keys: &KeySet) -> Result<()> {
        self.key(keys)?.verify(self.input, &self.signature)
    }
}

/// A token that awaits the check of its signature.
#[derive(Debug)]
#[must_use]
pub struct Prepared<'t> {
    signed: Signed<'t>,
    lifetime: Lifetime,
    outcome: Result<FlagSet>,
}

impl Prepared<'_> {
    pub fn algorithm(&self) -> Algorithm {
        self.signed.algorithm
    }

    /// `kid`, at most 128 bytes. A key into the issuer's set and nothing else.
    pub fn key_id(&self) -> Option<&str> {
        self.signed.key_id.as_deref()
    }

    /// What the signature is over.
    pub fn signing_input(&self) -> &[u8] {
        self.signed.input
    }

    pub fn signature(&self) -> &[u8] {
        &self.signed.signature
    }

    /// The issuer's key that must have signed the token.
    ///
    /// Errors: `KeyUnknown`, also without `kid`; `AlgorithmUnsupported` when that key is for another algorithm.
    pub fn key<'k>(&self, keys: &'k KeySet) -> Result<&'k PublicKey> {
        self.signed.key(keys)
    }

    /// Checks the signature. Answers the flags, and a receipt for [`Memory::keep`](crate::reader::Memory::keep).
    ///
    /// Errors: those of [`Verifier::verify`].
    #[cfg(feature = "crypto")]
    pub fn verify(self, keys: Arc<KeySet>) -> Result<(FlagSet, Receipt)> {
        self.signed.check(&keys)?;
        self.awaiting(keys).release(true)
    }

    /// What was decided, without the token, for a host that checks [`Prepared::signature`] by itself and takes its time over it.
    /// `keys` are those among which [`Prepared::key`] was found.
    pub fn awaiting(self, keys: Arc<KeySet>) -> Awaiting {
        Awaiting { receipt: Receipt { lifetime: self.lifetime, keys }, outcome: self.outcome }
    }
}

/// What becomes of a token once its signature has been checked.
#[derive(Debug)]
#[must_use]
pub struct Awaiting {
    receipt: Receipt,
    outcome: Result<FlagSet>,
}

impl Awaiting {
    /// The outcome, for a caller who says whether the token's signature is that of its key: nothing of a forged token is told.
    ///
    /// Errors: those of [`Verifier::verify`].
    pub fn release(self, signature_valid: bool) -> Result<(FlagSet, Receipt)> {
        if !signature_valid {
            return Err(forged());
        }
        self.outcome.map(|flags| (flags, self.receipt))
    }
}

/// Says of a signature that it is not that of its key.
pub(crate) fn forged() -> Error {
    Error::new(ErrorCode::SignatureInvalid, "the token's signature is not that of its key")
}
