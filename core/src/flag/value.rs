//! The four types and their values. Nothing is converted and nothing rounded: a value that exists is one that every language
//! reads as it was written.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::canonical;
use crate::document::Node;
use crate::error::{ErrorCode, Result};

/// The largest integer that every language reads exactly: 2^53 − 1.
pub const MAX_INTEGER: i64 = 9_007_199_254_740_991;
/// The largest string or JSON value, in bytes of UTF-8 (JSON: of its canonical text).
pub const MAX_VALUE_BYTES: usize = 8 * 1024;
/// How deeply a JSON value nests, counted from the value: `[]` is 1.
pub const MAX_JSON_DEPTH: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FlagType {
    Boolean,
    String,
    Integer,
    Json,
}

impl FlagType {
    pub const ALL: [FlagType; 4] = [Self::Boolean, Self::String, Self::Integer, Self::Json];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Json => "json",
        }
    }

    /// The letter of the typed claim: `b`, `s`, `i`, `j`.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Boolean => "b",
            Self::String => "s",
            Self::Integer => "i",
            Self::Json => "j",
        }
    }

    /// Reads a full name only, as documents have it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag_type| flag_type.as_str() == name)
    }

    /// Reads a letter or a full name, as callers of `getFlag` have it.
    pub fn parse_lenient(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag_type| flag_type.as_str() == name || flag_type.letter() == name)
    }
}

impl fmt::Display for FlagType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value of one of the four types.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FlagValue {
    Boolean(bool),
    String(Arc<str>),
    Integer(i64),
    Json(CanonicalJson),
}

/// A JSON value as RFC 8785 canonical text: equal values have equal text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CanonicalJson(Arc<str>);

impl CanonicalJson {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Any JSON value as canonical text.
    pub fn of(value: &Value) -> Self {
        Self(canonical::text(value).into())
    }
}

impl FlagValue {
    /// Reads the value of a flag of this type. Nothing is converted: `1.0` is no integer, `"true"` no boolean.
    pub fn parse(node: &Node<'_>, flag_type: FlagType) -> Result<Self> {
        let mistyped = || {
            let found = match node.value {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                Value::String(_) => "a string",
                Value::Array(_) => "an array",
                Value::Object(_) => "an object",
            };
            node.error(ErrorCode::TypeMismatch, format!("the flag is of type `{flag_type}`, but this value is {found}"))
        };
        match (flag_type, node.value) {
            (FlagType::Boolean, Value::Bool(value)) => Ok(Self::Boolean(*value)),
            (FlagType::String, Value::String(text)) => {
                no_nul(node, text)?;
                small(node, text.len())?;
                Ok(Self::String(text.as_str().into()))
            }
            (FlagType::Integer, Value::Number(number)) => match number.as_i64() {
                Some(integer) if integer.unsigned_abs() <= MAX_INTEGER as u64 => Ok(Self::Integer(integer)),
                _ => Err(node.error(
                    ErrorCode::ValueOutOfRange,
                    format!(
                        "`{}` is not a whole number from -{MAX_INTEGER} to {MAX_INTEGER}, written in plain digits",
                        canonical::text(node.value)
                    ),
                )),
            },
            (FlagType::Json, Value::Null) => Err(node.error(ErrorCode::ValueInvalid, "a JSON flag cannot be `null` itself")),
            (FlagType::Json, value) => {
                json_allowed(node, value, MAX_JSON_DEPTH)?;
                let canonical = CanonicalJson::of(value);
                small(node, canonical.as_str().len())?;
                Ok(Self::Json(canonical))
            }
            _ => Err(mistyped()),
        }
    }

    /// Reads a stored value back: its JSON text and the flag's type.
    pub fn from_text(text: &str, flag_type: FlagType) -> Result<Self> {
        let value = crate::document::parse(text.as_bytes())?;
        Self::parse(&Node::root(&value), flag_type)
    }

    pub fn flag_type(&self) -> FlagType {
        match self {
            Self::Boolean(_) => FlagType::Boolean,
            Self::String(_) => FlagType::String,
            Self::Integer(_) => FlagType::Integer,
            Self::Json(_) => FlagType::Json,
        }
    }

    /// The value as a JSON tree.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Boolean(value) => Value::Bool(*value),
            Self::String(text) => Value::String(text.to_string()),
            Self::Integer(integer) => Value::from(*integer),
            // Canonical text was made from a tree, so it parses; were it not so, `null` is what no JSON flag can be.
            Self::Json(json) => serde_json::from_str(json.as_str()).unwrap_or(Value::Null),
        }
    }

    /// Appends the value as JSON text: the bytes that stand in the claim.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Boolean(true) => out.push_str("true"),
            Self::Boolean(false) => out.push_str("false"),
            Self::String(text) => crate::claim::write_string(text, out),
            Self::Integer(integer) => {
                use fmt::Write;
                // Writing to a String cannot fail.
                let _ = write!(out, "{integer}");
            }
            Self::Json(json) => out.push_str(json.as_str()),
        }
    }
}

impl Serialize for FlagValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::String(text) => serializer.serialize_str(text),
            Self::Integer(integer) => serializer.serialize_i64(*integer),
            Self::Json(_) => self.to_json().serialize(serializer),
        }
    }
}

fn no_nul(node: &Node<'_>, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(node.error(ErrorCode::ValueInvalid, "the character NUL (U+0000) is not allowed in a value"));
    }
    Ok(())
}

fn small(node: &Node<'_>, bytes: usize) -> Result<()> {
    if bytes > MAX_VALUE_BYTES {
        return Err(node.error(
            ErrorCode::ValueTooLarge,
            format!("the value has {bytes} bytes; at most {MAX_VALUE_BYTES} are allowed, as it travels in every token"),
        ));
    }
    Ok(())
}

fn json_allowed(node: &Node<'_>, value: &Value, depth_left: usize) -> Result<()> {
    let deeper = || {
        depth_left.checked_sub(1).ok_or_else(|| {
            node.error(ErrorCode::DocumentTooDeep, format!("a JSON value nests at most {MAX_JSON_DEPTH} levels deep"))
        })
    };
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::String(text) => no_nul(node, text),
        // Judged by how canonical text writes it: a double beyond 2^53 − 1 that prints as plain digits would be read
        // back as an integer out of range, one that prints with an exponent stays a double.
        Value::Number(number) => {
            let in_range = match number.as_i64() {
                Some(integer) => integer.unsigned_abs() <= MAX_INTEGER as u64,
                None => number.as_f64().is_some_and(|double| double.abs() <= MAX_INTEGER as f64 || double.abs() >= 1e21),
            };
            if in_range {
                return Ok(());
            }
            Err(node.error(
                ErrorCode::ValueOutOfRange,
                format!(
                    "`{}` is a whole number beyond ±{MAX_INTEGER}, which some languages would round",
                    canonical::text(value)
                ),
            ))
        }
        Value::Array(items) => {
            let depth_left = deeper()?;
            items.iter().try_for_each(|item| json_allowed(node, item, depth_left))
        }
        Value::Object(members) => {
            let depth_left = deeper()?;
            members.iter().try_for_each(|(name, member)| {
                no_nul(node, name)?;
                json_allowed(node, member, depth_left)
            })
        }
    }
}
