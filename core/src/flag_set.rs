//! The flags of one token, and what every language reads them with. A read never fails: it answers the flag's value, or the
//! caller's default and, where asked for details, why. Nothing is converted.

use std::borrow::Cow;
use std::fmt::Write;

use crate::claim::{Carried, Claim, write_string};
use crate::error::{ErrorCode, Result};
use crate::flag::{CanonicalJson, FlagType, FlagValue};
use crate::token::Payload;

/// A verified token's flags. Immutable: a refreshed token is another set.
#[derive(Debug, Clone)]
pub struct FlagSet {
    flags: Flags,
    claims: String,
}

/// All of a flag set but the claims' text, which is still being read from while this is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    pub claim: Claim,
    pub organization: Option<String>,
    pub flags_revision: Option<i64>,
}

impl Flags {
    pub fn with_claims(self, claims: String) -> FlagSet {
        FlagSet { flags: self, claims }
    }
}

/// Two sets are equal when they were signed over the same text.
impl PartialEq for FlagSet {
    fn eq(&self, other: &Self) -> bool {
        self.claims == other.claims
    }
}

/// Where an answer comes from, in OpenFeature's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// From the token.
    Cached,
    /// The caller's default; the code says why.
    Error,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "CACHED",
            Self::Error => "ERROR",
        }
    }
}

/// An answer with its circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagDetails {
    /// The flag's key, as asked for.
    pub code: String,
    /// The type asked for.
    pub flag_type: FlagType,
    pub value: FlagValue,
    pub default_value: FlagValue,
    pub is_default: bool,
    pub reason: Reason,
    /// `FlagNotFound`, `TypeMismatch` or `ParseError`, with reason `Error` only.
    pub error_code: Option<ErrorCode>,
}

impl FlagSet {
    /// The set that a token with this `feature_flags` claim would carry, for tests and for answers that come beside a
    /// token: there is no signature, so whoever calls this vouches for the text.
    ///
    /// Errors: `FlagsMalformed`, `TokenMalformed`.
    pub fn of_claim(feature_flags: &str) -> Result<Self> {
        let flags = Flags { claim: Claim::decode(feature_flags)?, ..Flags::default() };
        Ok(flags.with_claims(format!(r#"{{"feature_flags":{feature_flags}}}"#)))
    }

    /// The set that a token with these claims carries. As with [`FlagSet::of_claim`] nothing is checked but their form: it is
    /// for texts that [`FlagSet::claims`] gave out before.
    ///
    /// Errors: `FlagsMalformed`, `TokenMalformed`.
    pub fn of_claims(claims: &str) -> Result<Self> {
        Ok(Payload::parse(claims)?.into_flags()?.with_claims(claims.to_owned()))
    }

    /// The flag if it is there and boolean, otherwise the default.
    pub fn get_boolean_flag(&self, key: &str, default_value: bool) -> bool {
        match self.flags.claim.get(key) {
            Some(Carried::Boolean(value)) => value,
            _ => default_value,
        }
    }

    /// The flag if it is there and a string, otherwise the default.
    pub fn get_string_flag<'a>(&'a self, key: &str, default_value: &'a str) -> &'a str {
        match self.flags.claim.get(key) {
            // A claim lends the texts that it keeps.
            Some(Carried::String(Cow::Borrowed(text))) => text,
            _ => default_value,
        }
    }

    /// The flag if it is there and an integer, which is within ±(2^53 − 1), otherwise the default.
    pub fn get_integer_flag(&self, key: &str, default_value: i64) -> i64 {
        match self.flags.claim.get(key) {
            Some(Carried::Integer(integer)) => integer,
            _ => default_value,
        }
    }

    /// The flag if it is there with that type, otherwise the default, and why.
    pub fn get_flag(&self, key: &str, default_value: FlagValue, flag_type: FlagType) -> FlagDetails {
        let (value, error_code) = match self.flags.claim.get(key) {
            None => (None, Some(ErrorCode::FlagNotFound)),
            Some(Carried::Unreadable(code)) => (None, Some(code)),
            Some(carried) if carried.flag_type() != Some(flag_type) => (None, Some(ErrorCode::TypeMismatch)),
            Some(carried) => match value(&carried) {
                Some(value) => (Some(value), None),
                None => (None, Some(ErrorCode::ParseError)),
            },
        };
        FlagDetails {
            code: key.to_owned(),
            flag_type,
            is_default: value.is_none(),
            value: value.unwrap_or_else(|| default_value.clone()),
            default_value,
            reason: if error_code.is_none() { Reason::Cached } else { Reason::Error },
            error_code,
        }
    }

    /// Every flag that can be read, sorted by key.
    pub fn get_all_flags(&self) -> impl Iterator<Item = (&str, FlagValue)> {
        self.flags.claim.iter().filter_map(|(key, carried)| Some((key, value(&carried)?)))
    }

    /// The keys of the flags that differ from those of an older set: added, taken away, or with another value or type.
    /// Sorted. JSON values are compared as values, not as text.
    pub fn changed_from<'a>(&'a self, older: &'a FlagSet) -> Vec<&'a str> {
        let same = |before: &Carried<'_>, after: &Carried<'_>| match (before, after) {
            (Carried::Json(_), Carried::Json(_)) => before == after || value(before) == value(after),
            _ => before == after,
        };
        let (older, newer) = (&older.flags.claim, &self.flags.claim);
        let new = newer.iter().filter(|(key, after)| older.get(key).is_none_or(|before| !same(&before, after)));
        let gone = older.iter().filter(|(key, _)| newer.get(key).is_none());
        let mut changed: Vec<&str> = new.chain(gone).map(|(key, _)| key).collect();
        changed.sort_unstable();
        changed
    }

    /// Everything that a binding keeps on its own side, so that a read there is one look-up and no call, as one text,
    /// because each value that crosses a border by itself costs a call. Seven JSON texts with U+001E between them, which no JSON
    /// text can hold (RFC 7464 uses it for that reason), so that each can be unpacked when it is first asked for:
    ///
    /// 1. to 4. the boolean, string, integer and JSON flags, each an array in which key and value alternate;
    /// 5. the keys that cannot be read, alternating with their codes;
    /// 6. `[organization, flags_revision]`, `null` where absent;
    /// 7. the claims.
    ///
    /// A key stands in one table only.
    pub fn tables(&self) -> String {
        let mut out = String::with_capacity(2 * self.claims.len() + 64);
        for table in [Some(FlagType::Boolean), Some(FlagType::String), Some(FlagType::Integer), Some(FlagType::Json), None] {
            let mut separator = '[';
            for (key, carried) in self.flags.claim.of_type(table) {
                out.push(separator);
                separator = ',';
                write_string(key, &mut out);
                out.push(',');
                write_carried(&carried, &mut out);
            }
            out.push_str(if separator == '[' { "[]\u{1e}" } else { "]\u{1e}" });
        }
        out.push('[');
        match &self.flags.organization {
            Some(organization) => write_string(organization, &mut out),
            None => out.push_str("null"),
        }
        match self.flags.flags_revision {
            // Writing to a String cannot fail.
            Some(revision) => drop(write!(out, ",{revision}]\u{1e}")),
            None => out.push_str(",null]\u{1e}"),
        }
        out.push_str(&self.claims);
        out
    }

    /// `org_id`, or `org_code` in the kinde profile.
    pub fn organization(&self) -> Option<&str> {
        self.flags.organization.as_deref()
    }

    /// `flags_rev`: the revision that was evaluated.
    pub fn flags_revision(&self) -> Option<i64> {
        self.flags.flags_revision
    }

    /// All the claims, as the JSON text that was signed.
    pub fn claims(&self) -> &str {
        &self.claims
    }
}

fn write_carried(carried: &Carried<'_>, out: &mut String) {
    match carried {
        Carried::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Carried::String(text) => write_string(text, out),
        // Writing to a String cannot fail.
        Carried::Integer(integer) => drop(write!(out, "{integer}")),
        Carried::Json(text) => out.push_str(text),
        Carried::Unreadable(code) => write_string(code.as_str(), out),
    }
}

fn value(carried: &Carried<'_>) -> Option<FlagValue> {
    match carried {
        Carried::Boolean(value) => Some(FlagValue::Boolean(*value)),
        Carried::String(text) => Some(FlagValue::String(text.as_ref().into())),
        Carried::Integer(integer) => Some(FlagValue::Integer(*integer)),
        Carried::Json(text) => {
            let value = serde_json::from_str(text).ok()?;
            CanonicalJson::of(&value).ok().map(FlagValue::Json)
        }
        Carried::Unreadable(_) => None,
    }
}
