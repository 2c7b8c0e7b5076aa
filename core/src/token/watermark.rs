//! The watermark: what readers have to know of tokens that are out already. One public document per environment, signed
//! like a token: which flags were killed, and below which revision tokens are too old.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::claims::Writer;
use super::compact::{Compact, malformed};
use super::policy::{MAX_LEEWAY_SECONDS, is_type};
use super::verifier::Signed;
use super::{KeySet, PublicKey, TYPE_WATERMARK};
use crate::claim::write_string;
use crate::document::{self, Members, Node};
use crate::error::{Error, ErrorCode, Result};
use crate::flag::{FlagKey, FlagType, FlagValue};
use crate::timestamp::Timestamp;

/// The longest watermark that is read, in bytes. A killed flag's value may have 8 KiB.
pub const MAX_WATERMARK_BYTES: usize = 1024 * 1024;

/// What holds in one environment as of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// The last change that touches the environment.
    pub revision: i64,
    /// Tokens of an older revision are to be refreshed.
    pub min_revision: i64,
    /// By the flag's key.
    pub kills: BTreeMap<FlagKey, Kill>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A killed flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// The flag's off value.
    pub value: FlagValue,
    /// Tokens of an older revision may still say otherwise.
    pub revision: i64,
}

/// The newest watermark that a reader has, shared with all of its flag sets.
#[derive(Debug, Default)]
pub struct LatestWatermark(RwLock<Option<Arc<Watermark>>>);

impl LatestWatermark {
    /// `None` until the first one has come.
    pub fn get(&self) -> Option<Arc<Watermark>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(feature = "crypto")]
    pub(crate) fn put(&self, watermark: Watermark) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(watermark));
    }
}

/// A token without `flags_rev` is of no known age, and so older than any change.
fn is_older(token: Option<i64>, revision: i64) -> bool {
    token.unwrap_or_default() < revision
}

impl Watermark {
    /// The claims as JSON, the same bytes for the same facts. An entry says its type, since the value alone does not tell
    /// a JSON flag from the others.
    pub fn write(&self, issuer: &str, out: &mut String) {
        let mut claims = Writer::open(out);
        claims.text("iss", issuer);
        claims.number("iat", self.issued_at.seconds());
        claims.number("exp", self.expires_at.seconds());
        claims.number("revision", self.revision);
        claims.number("min_revision", self.min_revision);
        claims.name("kills");
        claims.items(self.kills.iter(), |(key, kill), out| {
            let mut entry = Writer::open(out);
            entry.text("key", key.as_str());
            entry.text("type", kill.value.flag_type().as_str());
            entry.value("value", &kill.value);
            entry.number("revision", kill.revision);
            entry.close();
        });
        claims.close();
    }

    /// Takes a signed watermark apart and decides everything but its signature and its age beside another one. Clocks may
    /// disagree by a minute, whatever leeway tokens are given: that must not cost a kill.
    ///
    /// Errors: `TokenMalformed`, `AlgorithmUnsupported`. What else is wrong with it is told by [`PreparedWatermark::release`].
    pub fn prepare<'t>(text: &'t str, issuer: &str, now: Timestamp) -> Result<PreparedWatermark<'t>> {
        if text.len() > MAX_WATERMARK_BYTES {
            return Err(malformed("the watermark has more than 1 MiB"));
        }
        let Compact { header, signing_input, payload, signature } = Compact::parse_any_size(text)?;
        let claims = document::parse(payload.as_bytes());
        let claims = claims.map_err(|error| malformed(&format!("the watermark's claims cannot be read: {error}")))?;
        let algorithm = header.algorithm.ok_or_else(|| {
            Error::new(ErrorCode::AlgorithmUnsupported, "the watermark's `alg` is not one that watermarks are signed with")
        })?;
        let outcome = match is_type(header.token_type.as_deref(), TYPE_WATERMARK) {
            true => judge(&claims, issuer, now),
            false => Err(Error::new(ErrorCode::TypeInvalid, "the document's `typ` is not that of a watermark")),
        };
        let signed = Signed { algorithm, key_id: header.key_id, input: signing_input, signature };
        Ok(PreparedWatermark { signed, outcome })
    }

    /// The off value of a flag that was killed after a token of this revision was made.
    pub fn killed(&self, key: &str, token: Option<i64>) -> Option<&FlagValue> {
        self.kills.get(key).filter(|kill| is_older(token, kill.revision)).map(|kill| &kill.value)
    }

    /// Every flag that was killed after a token of this revision was made, with its off value; sorted by key.
    pub fn all_killed(&self, token: Option<i64>) -> impl Iterator<Item = (&str, &FlagValue)> {
        let younger = self.kills.iter().filter(move |(_, kill)| is_older(token, kill.revision));
        younger.map(|(key, kill)| (key.as_str(), &kill.value))
    }

    /// Whether a token of this revision is too old, and to be refreshed.
    pub fn outdates(&self, token: Option<i64>) -> bool {
        is_older(token, self.min_revision)
    }

    /// What it overrules of a token of this revision, for a binding that keeps it on its own side, like
    /// [`FlagSet::tables`](crate::flag_set::FlagSet::tables): the killed boolean, string, integer and JSON flags, each an array
    /// in which key and value alternate, and whether the token is too old; five JSON texts with U+001E between them.
    pub fn tables(&self, token: Option<i64>) -> String {
        let mut out = String::new();
        for flag_type in FlagType::ALL {
            out.push('[');
            let of_type = self.all_killed(token).filter(|(_, value)| value.flag_type() == flag_type);
            for (number, (key, value)) in of_type.enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write_string(key, &mut out);
                out.push(',');
                value.write_json(&mut out);
            }
            out.push_str("]\u{1e}");
        }
        out.push_str(if self.outdates(token) { "true" } else { "false" });
        out
    }

    /// Whether this one may follow on the one held. Ordered by revision, then by age; one that was signed after the other
    /// had expired is newer in any case, or a server that was restored from its backup would not be believed again.
    #[cfg(feature = "crypto")]
    pub(crate) fn may_follow(&self, held: &Watermark) -> bool {
        self.issued_at > held.expires_at || (self.revision, self.issued_at) >= (held.revision, held.issued_at)
    }

    /// Whether its time has passed.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at.plus_seconds(MAX_LEEWAY_SECONDS as i64)
    }
}

/// A watermark that awaits the check of its signature.
#[derive(Debug)]
#[must_use]
pub struct PreparedWatermark<'t> {
    signed: Signed<'t>,
    outcome: Result<Watermark>,
}

impl PreparedWatermark<'_> {
    /// `kid`, at most 128 bytes.
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

    /// The issuer's key that must have signed it. Errors: `KeyUnknown`, `AlgorithmUnsupported`.
    pub fn key<'k>(&self, keys: &'k KeySet) -> Result<&'k PublicKey> {
        self.signed.key(keys)
    }

    /// The watermark, once it is signed with one of these keys.
    ///
    /// Errors: `KeyUnknown` `AlgorithmUnsupported` `SignatureInvalid`, and those of [`PreparedWatermark::release`].
    #[cfg(feature = "crypto")]
    pub fn verify(self, keys: &KeySet) -> Result<Watermark> {
        self.signed.check(keys)?;
        self.release()
    }

    /// The watermark, for a caller who has checked its signature with [`PreparedWatermark::key`], and nobody else.
    ///
    /// Errors: `TypeInvalid` `ClaimMissing` `TokenMalformed` `IssuerMismatch` `TokenExpired` `TokenNotYetValid`.
    pub fn release(self) -> Result<Watermark> {
        self.outcome
    }
}

fn judge(claims: &Value, issuer: &str, now: Timestamp) -> Result<Watermark> {
    let mut members = Node::root(claims).members().map_err(unreadable)?;
    let iss = member(&mut members, "iss")?.string().map_err(unreadable)?;
    let watermark = Watermark {
        issued_at: time(&mut members, "iat")?,
        expires_at: time(&mut members, "exp")?,
        revision: revision(&mut members, "revision")?,
        min_revision: revision(&mut members, "min_revision")?,
        kills: kills(&member(&mut members, "kills")?)?,
    };
    if iss != issuer {
        return Err(Error::new(ErrorCode::IssuerMismatch, format!("the watermark is not of the issuer `{issuer}`")));
    }
    if watermark.is_expired(now) {
        return Err(Error::new(ErrorCode::TokenExpired, "the watermark has expired"));
    }
    if now.plus_seconds(MAX_LEEWAY_SECONDS as i64) < watermark.issued_at {
        return Err(Error::new(ErrorCode::TokenNotYetValid, "the watermark is of a time to come; compare the clocks"));
    }
    Ok(watermark)
}

fn unreadable(error: Error) -> Error {
    malformed(&format!("the watermark's claims cannot be read: {error}"))
}

fn member<'v>(members: &mut Members<'v>, name: &'static str) -> Result<Node<'v>> {
    let missing = || Error::new(ErrorCode::ClaimMissing, format!("the watermark has no `{name}`"));
    members.present(name).ok_or_else(missing)
}

fn revision(members: &mut Members<'_>, name: &'static str) -> Result<i64> {
    let node = member(members, name)?;
    let not_one = || malformed(&format!("the watermark's `{name}` is not a revision"));
    node.integer().ok().filter(|revision| *revision >= 0).ok_or_else(not_one)
}

/// Far enough from the ends of time for every sum that is made with it.
const LAST_SECOND: i64 = 253_402_300_799;

fn time(members: &mut Members<'_>, name: &'static str) -> Result<Timestamp> {
    let node = member(members, name)?;
    let not_one = || malformed(&format!("the watermark's `{name}` is not a time in whole seconds since 1970"));
    let seconds = node.integer().ok().filter(|seconds| (0..=LAST_SECOND).contains(seconds)).ok_or_else(not_one)?;
    Ok(Timestamp::from_seconds(seconds))
}

fn kills(node: &Node<'_>) -> Result<BTreeMap<FlagKey, Kill>> {
    let mut kills = BTreeMap::new();
    for entry in node.items().map_err(unreadable)? {
        let mut members = entry.members().map_err(unreadable)?;
        let named = member(&mut members, "type")?;
        // A type of a later version is one that this reader cannot be asked for.
        let Some(flag_type) = FlagType::parse(named.string().map_err(unreadable)?) else { continue };
        let key = member(&mut members, "key")?.string().and_then(FlagKey::parse).map_err(unreadable)?;
        let value = FlagValue::parse(&member(&mut members, "value")?, flag_type).map_err(unreadable)?;
        kills.insert(key, Kill { value, revision: revision(&mut members, "revision")? });
    }
    Ok(kills)
}
