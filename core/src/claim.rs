//! The two dialects of the `feature_flags` claim. Writing is the hot path of every refresh, so it appends to one string
//! and builds no tree; reading is the hot path of every verification, so it is one pass over the text.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, ErrorCode, Result};
use crate::flag::{FlagKey, FlagType, FlagValue, MAX_INTEGER};
use crate::members::{Names, Text, Walk};

/// How a claim tells its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `{"key":{"t":"b","v":true}}`, sorted by key: every flag, with its type.
    Typed,
    /// `["key"]`, sorted: the keys of the boolean flags that are true. Nothing else can be said in it.
    Keys,
}

impl Dialect {
    /// `typed` or `keys`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "typed" => Some(Self::Typed),
            "keys" => Some(Self::Keys),
            _ => None,
        }
    }

    /// Appends the claim's value. `flags` come sorted by key and without repetition; the same flags give the same bytes.
    pub fn encode<'f>(self, flags: impl IntoIterator<Item = (&'f FlagKey, &'f FlagValue)>, out: &mut String) {
        let (open, close) = match self {
            Self::Typed => ('{', '}'),
            Self::Keys => ('[', ']'),
        };
        out.push(open);
        let empty = out.len();
        for (key, value) in flags {
            if self == Self::Keys && *value != FlagValue::Boolean(true) {
                continue;
            }
            if out.len() > empty {
                out.push(',');
            }
            // The grammar of keys leaves nothing to escape.
            out.push('"');
            out.push_str(key.as_str());
            out.push('"');
            if self == Self::Typed {
                out.push_str(match value {
                    FlagValue::Boolean(_) => r#":{"t":"b","v":"#,
                    FlagValue::String(_) => r#":{"t":"s","v":"#,
                    FlagValue::Integer(_) => r#":{"t":"i","v":"#,
                    FlagValue::Json(_) => r#":{"t":"j","v":"#,
                });
                value.write_json(out);
                out.push('}');
            }
        }
        out.push(close);
    }

    /// The bytes that one flag takes in the claim, one separator included.
    pub fn entry_size(self, key: &FlagKey, value: &FlagValue) -> usize {
        let quoted = key.as_str().len() + 2;
        match (self, value) {
            (Self::Keys, FlagValue::Boolean(true)) => quoted + 1,
            (Self::Keys, _) => 0,
            (Self::Typed, value) => quoted + r#":{"t":"b","v":},"#.len() + value_size(value),
        }
    }

    /// The bytes of the whole claim, from the sum of its entries' sizes: the last separator's byte is the closing bracket's.
    pub fn size(self, entries: usize) -> usize {
        1 + entries.max(1)
    }
}

fn value_size(value: &FlagValue) -> usize {
    match value {
        FlagValue::Boolean(true) => 4,
        FlagValue::Boolean(false) => 5,
        FlagValue::String(text) => 2 + text.bytes().map(|byte| escape(byte).map_or(1, Escape::len)).sum::<usize>(),
        FlagValue::Integer(integer) => {
            let digits = integer.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
            digits + usize::from(*integer < 0)
        }
        FlagValue::Json(json) => json.as_str().len(),
    }
}

/// Appends a JSON string, quotes and escapes included, in the one form of RFC 8785 §3.2.2.2.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some((at, escape)) = rest.bytes().enumerate().find_map(|(at, byte)| Some((at, escape(byte)?))) {
        out.push_str(&rest[..at]);
        match escape {
            Escape::Short(short) => out.extend(['\\', short]),
            Escape::Unicode(byte) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

enum Escape {
    Short(char),
    Unicode(u8),
}

impl Escape {
    fn len(self) -> usize {
        match self {
            Self::Short(_) => 2,
            Self::Unicode(_) => 6,
        }
    }
}

fn escape(byte: u8) -> Option<Escape> {
    match byte {
        b'"' => Some(Escape::Short('"')),
        b'\\' => Some(Escape::Short('\\')),
        0x20.. => None,
        0x08 => Some(Escape::Short('b')),
        b'\t' => Some(Escape::Short('t')),
        b'\n' => Some(Escape::Short('n')),
        0x0c => Some(Escape::Short('f')),
        b'\r' => Some(Escape::Short('r')),
        _ => Some(Escape::Unicode(byte)),
    }
}

/// One flag as a claim carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As written; a claim of another issuer may use keys that ours does not allow.
    pub key: Box<str>,
    pub value: Carried,
}

/// A value as a claim carries it, or why it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    Boolean(bool),
    String(Box<str>),
    /// Within ±(2^53 − 1), however it was written.
    Integer(i64),
    /// JSON text without duplicate members, as it stands in the claim.
    Json(Box<str>),
    /// `ParseError`: the entry is not `{"t","v"}` with a known letter. `TypeMismatch`: its value is not of that letter's type.
    Unreadable(ErrorCode),
}

impl Carried {
    pub fn flag_type(&self) -> Option<FlagType> {
        match self {
            Self::Boolean(_) => Some(FlagType::Boolean),
            Self::String(_) => Some(FlagType::String),
            Self::Integer(_) => Some(FlagType::Integer),
            Self::Json(_) => Some(FlagType::Json),
            Self::Unreadable(_) => None,
        }
    }
}

/// Reads a claim's value of either dialect, told apart by their brackets; sorted by key. A bad entry spoils itself alone.
///
/// Errors: `FlagsMalformed` when it is neither an object nor an array of strings, `TokenMalformed` when it is not JSON or
/// says something twice.
pub fn decode(text: &str) -> Result<Vec<Entry>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let flags = Flags.deserialize(&mut deserializer).and_then(|flags| deserializer.end().map(|()| flags));
    match flags {
        Ok(Some(entries)) => Ok(entries),
        Ok(None) => Err(malformed()),
        Err(error) => Err(Error::new(ErrorCode::TokenMalformed, format!("the claim cannot be read: {error}"))),
    }
}

pub(crate) fn malformed() -> Error {
    Error::new(ErrorCode::FlagsMalformed, "`feature_flags` is neither an object of flags nor an array of keys")
}

/// Reads the claim in place, within a token's claims. `None` is a claim of no known dialect.
pub(crate) struct Flags;

impl<'de> DeserializeSeed<'de> for Flags {
    type Value = Option<Vec<Entry>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flags {
    type Value = Option<Vec<Entry>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flags")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(32);
        let mut names = Names::default();
        while let Some(Text(key)) = access.next_key()? {
            let value = access.next_value_seed(EntryValue)?;
            entries.push(Entry { key: key.as_ref().into(), value });
            names.push(key);
        }
        names.finish()?;
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Some(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = Some(Vec::new());
        while let Some(raw) = access.next_element::<&RawValue>()? {
            match (read_string(raw.get()), &mut entries) {
                (Some(key), Some(entries)) => entries.push(Entry { key, value: Carried::Boolean(true) }),
                _ => {
                    Walk::over(raw.get()).map_err(serde::de::Error::custom)?;
                    entries = None;
                }
            }
        }
        Ok(entries.map(|mut entries| {
            // A key that stands twice in a list says the same thing twice.
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            entries.dedup_by(|a, b| a.key == b.key);
            entries
        }))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Reads `{"t":…,"v":…}`; whatever else stands there is unreadable, but must still be JSON without duplicates.
struct EntryValue;

impl<'de> DeserializeSeed<'de> for EntryValue {
    type Value = Carried;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Carried, D::Error> {
        deserializer.deserialize_any(self)
    }
}

const NOT_AN_ENTRY: Carried = Carried::Unreadable(ErrorCode::ParseError);

impl<'de> Visitor<'de> for EntryValue {
    type Value = Carried;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flag")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Carried, A::Error> {
        let (mut letter, mut value) = (None, None);
        let mut names = Names::default();
        while let Some(Text(name)) = access.next_key()? {
            match name.as_ref() {
                "t" => letter = Some(access.next_value::<&RawValue>()?.get()),
                "v" => value = Some(access.next_value::<&RawValue>()?.get()),
                _ => access.next_value_seed(Walk)?,
            }
            names.push(name);
        }
        names.finish()?;
        let carried = match (letter, value) {
            (Some(r#""b""#), Some(value)) => match value {
                "true" => Carried::Boolean(true),
                "false" => Carried::Boolean(false),
                _ => mismatch(value)?,
            },
            (Some(r#""i""#), Some(value)) => match read_integer(value) {
                Some(integer) => Carried::Integer(integer),
                None => mismatch(value)?,
            },
            (Some(r#""s""#), Some(value)) => match read_string(value) {
                Some(text) => Carried::String(text),
                // It looks like a string, but has a half of a surrogate pair in it.
                None if value.starts_with('"') => NOT_AN_ENTRY,
                None => mismatch(value)?,
            },
            (Some(r#""j""#), Some("null")) => Carried::Unreadable(ErrorCode::TypeMismatch),
            (Some(r#""j""#), Some(value)) => match Walk::over(value) {
                Ok(()) => Carried::Json(value.into()),
                Err(error) if crate::members::is_duplicate(&error) => return Err(serde::de::Error::custom(error)),
                // JSON by its grammar, but no language could hold it, such as `1e400`.
                Err(_) => NOT_AN_ENTRY,
            },
            (letter, value) => {
                for text in [letter, value].into_iter().flatten() {
                    mismatch::<A::Error>(text)?;
                }
                NOT_AN_ENTRY
            }
        };
        Ok(carried)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Carried, A::Error> {
        Walk.visit_seq(access)?;
        Ok(NOT_AN_ENTRY)
    }

    fn visit_unit<E>(self) -> Result<Carried, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Carried, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Carried, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Carried, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Carried, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_str<E>(self, _: &str) -> Result<Carried, E> {
        Ok(NOT_AN_ENTRY)
    }
}

/// A value that is not of its letter's type; duplicates inside it still spoil the whole claim.
fn mismatch<E: serde::de::Error>(value: &str) -> Result<Carried, E> {
    match Walk::over(value) {
        Err(error) if crate::members::is_duplicate(&error) => Err(E::custom(error)),
        _ => Ok(Carried::Unreadable(ErrorCode::TypeMismatch)),
    }
}

fn read_string(json: &str) -> Option<Box<str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(inner.into());
    }
    let Text(text) = serde_json::from_str(json).ok()?;
    Some(match text {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => text.into(),
    })
}

/// A JSON number that is whole and within ±(2^53 − 1), however it is written (`1.0`, `1e2`, `-0`), judged on its decimal
/// digits: through a double, `1.00000000000000000001` would pass for whole.
pub(crate) fn read_integer(json: &str) -> Option<i64> {
    let (negative, magnitude) = match json.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, json),
    };
    if !magnitude.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
        // An exponent too long for an i64 belongs to zero, to a fraction or to something out of range.
        Some((mantissa, exponent)) => (
            mantissa,
            exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 }),
        ),
        None => (magnitude, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.bytes().chain(fraction.bytes());
    // The power of ten of the last digit written.
    let mut scale = exponent - fraction.len() as i64;
    let mut value: i64 = 0;
    let mut zeros = 0;
    for digit in digits {
        if digit == b'0' {
            zeros += 1;
            continue;
        }
        value = append(value, zeros, digit)?;
        zeros = 0;
    }
    scale += zeros;
    if value == 0 {
        return Some(0);
    }
    // Trailing zeros are in the scale now, so a negative one leaves a fraction.
    for _ in 0..u32::try_from(scale).ok()?.min(17) {
        value = value.checked_mul(10).filter(|value| *value <= MAX_INTEGER)?;
    }
    Some(if negative { -value } else { value })
}

/// `value` with so many zeros and then one digit written behind it, if that is still in range.
fn append(value: i64, zeros: i64, digit: u8) -> Option<i64> {
    let power = 10_i64.checked_pow(u32::try_from(zeros).ok()? + 1).or(if value == 0 { Some(1) } else { None })?;
    value.checked_mul(power)?.checked_add(i64::from(digit - b'0')).filter(|value| *value <= MAX_INTEGER)
}
