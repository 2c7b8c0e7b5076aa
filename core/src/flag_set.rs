//! The flags of one token, and what every language reads them with. A read never fails: it answers the flag's value, or the
//! caller's default and, where asked for details, why. Nothing is converted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use crate::claim::{Carried, Claim, write_string};
use crate::document;
use crate::error::{ErrorCode, Result};
use crate::flag::{CanonicalJson, FlagType, FlagValue};
use crate::token::{LatestWatermark, Payload};

/// A verified token's flags. Immutable: a refreshed token is another set. Where its reader follows the watermark, what the
/// newest one overrules is overruled at each read, however long the set has been held.
#[derive(Debug, Clone)]
pub struct FlagSet {
    flags: Flags,
    claims: String,
    watermark: Option<Arc<LatestWatermark>>,
    /// The token's time has passed.
    outlived: bool,
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
        FlagSet { flags: self, claims, watermark: None, outlived: false }
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
    /// From the token, which is too old: it is to be refreshed.
    Stale,
    /// The off value: the flag was killed after the token was made.
    Disabled,
    /// The caller's default; the code says why.
    Error,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "CACHED",
            Self::Stale => "STALE",
            Self::Disabled => "DISABLED",
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

    /// The same set, read under a watermark.
    pub fn under(self, watermark: Arc<LatestWatermark>) -> Self {
        Self { watermark: Some(watermark), ..self }
    }

    /// The same set, of a token whose time has passed.
    #[cfg(feature = "crypto")]
    pub(crate) fn outlived(self) -> Self {
        Self { outlived: true, ..self }
    }

    /// The off value of a flag that was killed after the token was made.
    fn killed(&self, key: &str) -> Option<FlagValue> {
        self.watermark.as_ref()?.get()?.killed(key, self.flags.flags_revision).cloned()
    }

    /// Whether the token is too old, and to be refreshed. Without a watermark nobody knows of any that is, but of those that
    /// were [restored](crate::reader::Reader::restore) after their time.
    pub fn is_stale(&self) -> bool {
        let latest = self.watermark.as_ref().and_then(|watermark| watermark.get());
        self.outlived || latest.is_some_and(|latest| latest.outdates(self.flags.flags_revision))
    }

    /// The flag if it is there and boolean, otherwise the default.
    pub fn get_boolean_flag(&self, key: &str, default_value: bool) -> bool {
        match (self.killed(key), self.flags.claim.get(key)) {
            (Some(FlagValue::Boolean(value)), _) | (None, Some(Carried::Boolean(value))) => value,
            _ => default_value,
        }
    }

    /// The flag if it is there and a string, otherwise the default.
    pub fn get_string_flag<'a>(&'a self, key: &str, default_value: &'a str) -> Cow<'a, str> {
        match (self.killed(key), self.flags.claim.get(key)) {
            (Some(FlagValue::String(text)), _) => Cow::Owned(text.as_ref().to_owned()),
            (None, Some(Carried::String(text))) => text,
            _ => Cow::Borrowed(default_value),
        }
    }

    /// The flag if it is there and an integer, which is within ±(2^53 − 1), otherwise the default.
    pub fn get_integer_flag(&self, key: &str, default_value: i64) -> i64 {
        match (self.killed(key), self.flags.claim.get(key)) {
            (Some(FlagValue::Integer(integer)), _) | (None, Some(Carried::Integer(integer))) => integer,
            _ => default_value,
        }
    }

    /// The flag if it is there with that type, otherwise the default, and why.
    pub fn get_flag(&self, key: &str, default_value: FlagValue, flag_type: FlagType) -> FlagDetails {
        let found = match self.killed(key) {
            Some(value) => Ok((value, Reason::Disabled)),
            None => match self.flags.claim.get(key) {
                None => Err(ErrorCode::FlagNotFound),
                Some(Carried::Unreadable(code)) => Err(code),
                Some(carried) if carried.flag_type() != Some(flag_type) => Err(ErrorCode::TypeMismatch),
                Some(carried) => value(&carried).map(|value| (value, Reason::Cached)).ok_or(ErrorCode::ParseError),
            },
        };
        let (value, reason, error_code) = match found {
            Ok((value, _)) if value.flag_type() != flag_type => (None, Reason::Error, Some(ErrorCode::TypeMismatch)),
            Ok((value, Reason::Cached)) if self.is_stale() => (Some(value), Reason::Stale, None),
            Ok((value, reason)) => (Some(value), reason, None),
            Err(code) => (None, Reason::Error, Some(code)),
        };
        FlagDetails {
            code: key.to_owned(),
            flag_type,
            is_default: value.is_none(),
            value: value.unwrap_or_else(|| default_value.clone()),
            default_value,
            reason,
            error_code,
        }
    }

    /// Every flag that can be read, sorted by key.
    pub fn get_all_flags(&self) -> impl Iterator<Item = (Cow<'_, str>, FlagValue)> {
        let carried = self.flags.claim.iter().filter_map(|(key, carried)| Some((key.into(), value(&carried)?)));
        let mut flags: BTreeMap<Cow<'_, str>, FlagValue> = carried.collect();
        if let Some(latest) = self.watermark.as_ref().and_then(|watermark| watermark.get()) {
            let killed = latest.all_killed(self.flags.flags_revision);
            flags.extend(killed.map(|(key, value)| (Cow::Owned(key.to_owned()), value.clone())));
        }
        flags.into_iter()
    }

    /// The keys of the flags that differ from those of an older set: added, taken away, or with another value or type, as the
    /// tokens carry them. Sorted. JSON values are compared as values, not as text.
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

    /// The flags of one type, or those that cannot be read, as the token carries them: for a binding that keeps tables of its own.
    pub fn carried(&self, flag_type: Option<FlagType>) -> impl Iterator<Item = (&str, Carried<'_>)> {
        self.flags.claim.of_type(flag_type)
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
    /// A key stands in one table only. What a watermark overrules comes apart: see
    /// [`Watermark::tables`](crate::token::Watermark::tables).
    pub fn tables(&self) -> String {
        let mut out = String::with_capacity(2 * self.claims.len() + 64);
        for table in [Some(FlagType::Boolean), Some(FlagType::String), Some(FlagType::Integer), Some(FlagType::Json), None] {
            let mut separator = '[';
            for (key, carried) in self.carried(table) {
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
            let value = document::parse(text.as_bytes()).ok()?;
            Some(FlagValue::Json(CanonicalJson::of(&value)))
        }
        Carried::Unreadable(_) => None,
    }
}
