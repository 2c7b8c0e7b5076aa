//! The flags of one token, and what every language reads them with. A read never fails: it answers the flag's value, or the
//! caller's default and, where asked for details, why. Nothing is converted.

use std::fmt::Write;

use crate::claim::{Carried, Entry, decode, write_string};
use crate::error::{ErrorCode, Result};
use crate::flag::{CanonicalJson, FlagType, FlagValue};
use crate::token::Payload;

/// A verified token's flags. Immutable: a refreshed token is another set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagSet {
    /// Sorted by key, each key once.
    entries: Vec<Entry>,
    organization: Option<Box<str>>,
    flags_revision: Option<i64>,
    claims: String,
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
        Ok(Self::assemble(decode(feature_flags)?, None, None, format!(r#"{{"feature_flags":{feature_flags}}}"#)))
    }

    /// The set that a token with these claims carries. As with [`FlagSet::of_claim`] nothing is checked but their form: it is
    /// for texts that [`FlagSet::claims`] gave out before.
    ///
    /// Errors: `FlagsMalformed`, `TokenMalformed`.
    pub fn of_claims(claims: &str) -> Result<Self> {
        Payload::parse(claims)?.into_flags(claims)
    }

    pub(crate) fn assemble(
        entries: Vec<Entry>,
        organization: Option<Box<str>>,
        flags_revision: Option<i64>,
        claims: String,
    ) -> Self {
        Self { entries, organization, flags_revision, claims }
    }

    /// The flag if it is there and boolean, otherwise the default.
    pub fn get_boolean_flag(&self, key: &str, default_value: bool) -> bool {
        match self.find(key) {
            Some(Carried::Boolean(value)) => *value,
            _ => default_value,
        }
    }

    /// The flag if it is there and a string, otherwise the default.
    pub fn get_string_flag<'a>(&'a self, key: &str, default_value: &'a str) -> &'a str {
        match self.find(key) {
            Some(Carried::String(text)) => text,
            _ => default_value,
        }
    }

    /// The flag if it is there and an integer, which is within ±(2^53 − 1), otherwise the default.
    pub fn get_integer_flag(&self, key: &str, default_value: i64) -> i64 {
        match self.find(key) {
            Some(Carried::Integer(integer)) => *integer,
            _ => default_value,
        }
    }

    /// The flag if it is there with that type, otherwise the default, and why.
    pub fn get_flag(&self, key: &str, default_value: FlagValue, flag_type: FlagType) -> FlagDetails {
        let (value, error_code) = match self.find(key) {
            None => (None, Some(ErrorCode::FlagNotFound)),
            Some(Carried::Unreadable(code)) => (None, Some(*code)),
            Some(carried) if carried.flag_type() != Some(flag_type) => (None, Some(ErrorCode::TypeMismatch)),
            Some(carried) => match value(carried) {
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
        self.entries.iter().filter_map(|entry| Some((entry.key.as_ref(), value(&entry.value)?)))
    }

    /// The keys of the flags that differ from those of an older set: added, taken away, or with another value or type.
    /// Sorted. JSON values are compared as values, not as text.
    pub fn changed_from<'a>(&'a self, older: &'a FlagSet) -> Vec<&'a str> {
        let same = |before: &Carried, after: &Carried| match (before, after) {
            (Carried::Json(_), Carried::Json(_)) => before == after || value(before) == value(after),
            _ => before == after,
        };
        let unlike = |set: &FlagSet, entry: &Entry| set.find(&entry.key).is_none_or(|other| !same(other, &entry.value));
        let new = self.entries.iter().filter(|entry| unlike(older, entry));
        let gone = older.entries.iter().filter(|entry| self.find(&entry.key).is_none());
        let mut changed: Vec<&str> = new.chain(gone).map(|entry| entry.key.as_ref()).collect();
        changed.sort_unstable();
        changed
    }

    /// The tables that a binding keeps on its own side, so that a read there is one look-up and no call: a JSON object of
    /// arrays in which key and value alternate.
    ///
    /// `{"boolean":[key,value,…],"string":[…],"integer":[…],"json":[…],"unreadable":[key,code,…],"organization":…,
    /// "flags_revision":…}`, the last two `null` when absent. A key stands in one table only; a table without keys is empty.
    pub fn tables(&self) -> String {
        let mut out = String::with_capacity(self.claims.len() + 128);
        let mut separator = '{';
        for table in [Some(FlagType::Boolean), Some(FlagType::String), Some(FlagType::Integer), Some(FlagType::Json), None] {
            out.push(separator);
            separator = ',';
            write_string(table.map_or("unreadable", FlagType::as_str), &mut out);
            out.push_str(":[");
            let empty = out.len();
            for entry in self.entries.iter().filter(|entry| entry.value.flag_type() == table) {
                if out.len() > empty {
                    out.push(',');
                }
                write_string(&entry.key, &mut out);
                out.push(',');
                write_carried(&entry.value, &mut out);
            }
            out.push(']');
        }
        out.push_str(",\"organization\":");
        match &self.organization {
            Some(organization) => write_string(organization, &mut out),
            None => out.push_str("null"),
        }
        out.push_str(",\"flags_revision\":");
        match self.flags_revision {
            // Writing to a String cannot fail.
            Some(revision) => drop(write!(out, "{revision}")),
            None => out.push_str("null"),
        }
        out.push('}');
        out
    }

    /// `org_id`, or `org_code` in the kinde profile.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// `flags_rev`: the revision that was evaluated.
    pub fn flags_revision(&self) -> Option<i64> {
        self.flags_revision
    }

    /// All the claims, as the JSON text that was signed.
    pub fn claims(&self) -> &str {
        &self.claims
    }

    fn find(&self, key: &str) -> Option<&Carried> {
        let at = self.entries.binary_search_by(|entry| entry.key.as_ref().cmp(key)).ok()?;
        self.entries.get(at).map(|entry| &entry.value)
    }
}

fn write_carried(carried: &Carried, out: &mut String) {
    match carried {
        Carried::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Carried::String(text) => write_string(text, out),
        // Writing to a String cannot fail.
        Carried::Integer(integer) => drop(write!(out, "{integer}")),
        Carried::Json(text) => out.push_str(text),
        Carried::Unreadable(code) => write_string(code.as_str(), out),
    }
}

fn value(carried: &Carried) -> Option<FlagValue> {
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
