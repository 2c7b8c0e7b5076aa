//! Reading a claim, in one pass and into one piece of memory: it happens with every request that is verified.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, ErrorCode, Result};
use crate::flag::{FlagType, MAX_INTEGER};
use crate::members::{DUPLICATE, Names, Text, Walk, is_duplicate};

/// The flags of a claim, sorted by key, each key once.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// All keys, strings and JSON values, one behind the other: an allocation for each would cost more than reading it.
    texts: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: Range<usize>,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Boolean(bool),
    String(Range<usize>),
    Integer(i64),
    Json(Range<usize>),
    Unreadable(ErrorCode),
}

impl Value {
    fn flag_type(&self) -> Option<FlagType> {
        match self {
            Self::Boolean(_) => Some(FlagType::Boolean),
            Self::String(_) => Some(FlagType::String),
            Self::Integer(_) => Some(FlagType::Integer),
            Self::Json(_) => Some(FlagType::Json),
            Self::Unreadable(_) => None,
        }
    }
}

/// A value as a claim carries it, or why it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried<'c> {
    Boolean(bool),
    String(Cow<'c, str>),
    /// Within ±(2^53 − 1), however it was written.
    Integer(i64),
    /// JSON text without duplicate members, as it stands in the claim.
    Json(&'c str),
    /// `ParseError`: the entry is not `{"t","v"}` with a known letter. `TypeMismatch`: its value is not of that letter's type.
    Unreadable(ErrorCode),
}

impl Carried<'_> {
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

pub(crate) fn malformed() -> Error {
    Error::new(ErrorCode::FlagsMalformed, "`feature_flags` is neither an object of flags nor an array of keys")
}

impl Claim {
    /// Reads a claim's value of either dialect, told apart by their brackets. A bad entry spoils itself alone.
    ///
    /// Errors: `FlagsMalformed` when it is neither an object nor an array of strings, `TokenMalformed` when it is not JSON
    /// or says something twice.
    pub fn decode(text: &str) -> Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        match ReadClaim.deserialize(&mut deserializer).and_then(|claim| deserializer.end().map(|()| claim)) {
            Ok(claim) => claim.ok_or_else(malformed),
            Err(error) => Err(Error::new(ErrorCode::TokenMalformed, format!("the claim cannot be read: {error}"))),
        }
    }

    pub fn get(&self, key: &str) -> Option<Carried<'_>> {
        let at = self.entries.binary_search_by(|entry| self.text(&entry.key).cmp(key)).ok()?;
        self.entries.get(at).map(|entry| self.carried(entry))
    }

    /// Keys may be any strings: a claim of another issuer may use some that ours does not allow.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Carried<'_>)> {
        self.entries.iter().map(|entry| (self.text(&entry.key), self.carried(entry)))
    }

    /// The flags of one type, or those that cannot be read.
    pub fn of_type(&self, flag_type: Option<FlagType>) -> impl Iterator<Item = (&str, Carried<'_>)> {
        let entries = self.entries.iter().filter(move |entry| entry.value.flag_type() == flag_type);
        entries.map(|entry| (self.text(&entry.key), self.carried(entry)))
    }

    fn text(&self, range: &Range<usize>) -> &str {
        self.texts.get(range.clone()).unwrap_or_default()
    }

    fn carried(&self, entry: &Entry) -> Carried<'_> {
        match &entry.value {
            Value::Boolean(value) => Carried::Boolean(*value),
            Value::String(range) => Carried::String(Cow::Borrowed(self.text(range))),
            Value::Integer(integer) => Carried::Integer(*integer),
            Value::Json(range) => Carried::Json(self.text(range)),
            Value::Unreadable(code) => Carried::Unreadable(*code),
        }
    }

    fn keep(&mut self, text: &str) -> Range<usize> {
        let start = self.texts.len();
        self.texts.push_str(text);
        start..self.texts.len()
    }

    fn push(&mut self, key: &str, carried: Carried<'_>) {
        let key = self.keep(key);
        let value = match carried {
            Carried::Boolean(value) => Value::Boolean(value),
            Carried::String(text) => Value::String(self.keep(&text)),
            Carried::Integer(integer) => Value::Integer(integer),
            Carried::Json(text) => Value::Json(self.keep(text)),
            Carried::Unreadable(code) => Value::Unreadable(code),
        };
        self.entries.push(Entry { key, value });
    }

    /// Sorts, which is next to nothing for a claim of ours, and tells whether a key stands twice.
    fn sort(&mut self) -> bool {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by(|a, b| self.text(&a.key).cmp(self.text(&b.key)));
        let twice = entries.windows(2).any(|pair| self.text(&pair[0].key) == self.text(&pair[1].key));
        self.entries = entries;
        twice
    }
}

/// Reads the claim in place, within a token's claims. `None` is a claim of no known dialect.
pub(crate) struct ReadClaim;

impl<'de> DeserializeSeed<'de> for ReadClaim {
    type Value = Option<Claim>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadClaim {
    type Value = Option<Claim>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flags")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut claim = Claim { texts: String::with_capacity(1024), entries: Vec::with_capacity(32) };
        while let Some(Text(key)) = access.next_key()? {
            let entry = access.next_value::<&RawValue>()?.get();
            claim.push(&key, canonical(entry).map_or_else(|| any(entry), Ok)?);
        }
        if claim.sort() {
            return Err(serde::de::Error::custom(DUPLICATE));
        }
        Ok(Some(claim))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut claim = Some(Claim::default());
        while let Some(raw) = access.next_element::<&RawValue>()? {
            match (read_string(raw.get()), &mut claim) {
                (Some(key), Some(claim)) => claim.push(&key, Carried::Boolean(true)),
                _ => {
                    Walk::over(raw.get()).map_err(serde::de::Error::custom)?;
                    claim = None;
                }
            }
        }
        Ok(claim.map(|mut claim| {
            // A key that stands twice in a list says the same thing twice.
            if claim.sort() {
                let Claim { texts, entries } = &mut claim;
                entries.dedup_by(|a, b| texts.get(a.key.clone()) == texts.get(b.key.clone()));
            }
            claim
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
/// Reads an entry in our own spelling by comparing its bytes, which takes a third of the time of parsing it and covers
/// nearly all entries that are ever read. `None` for any other spelling, be it good or bad.
fn canonical(entry: &str) -> Option<Carried<'_>> {
    let (letter, rest) = entry.strip_prefix("{\"t\":\"")?.split_at_checked(1)?;
    let value = rest.strip_prefix("\",\"v\":")?.strip_suffix('}')?;
    match (letter, value) {
        ("b", "true") => Some(Carried::Boolean(true)),
        ("b", "false") => Some(Carried::Boolean(false)),
        ("i", digits) => {
            let integer = digits.parse::<i64>().ok()?;
            (integer.unsigned_abs() <= MAX_INTEGER as u64).then_some(Carried::Integer(integer))
        }
        ("s", quoted) => {
            let text = quoted.strip_prefix('"')?.strip_suffix('"')?;
            (!text.bytes().any(|byte| matches!(byte, b'"' | b'\\'))).then(|| Carried::String(text.into()))
        }
        _ => None,
    }
}

/// Reads any entry. It is JSON by its grammar already.
fn any<E: serde::de::Error>(entry: &str) -> Result<Carried<'_>, E> {
    match EntryValue.deserialize(&mut serde_json::Deserializer::from_str(entry)) {
        Err(error) if is_duplicate(&error) => Err(E::custom(error)),
        read => Ok(read.unwrap_or(NOT_AN_ENTRY)),
    }
}

/// Reads `{"t":…,"v":…}`; whatever else stands there is unreadable, but must still be JSON without duplicates.
struct EntryValue;

impl<'de> DeserializeSeed<'de> for EntryValue {
    type Value = Carried<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Carried<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

const NOT_AN_ENTRY: Carried<'static> = Carried::Unreadable(ErrorCode::ParseError);

impl<'de> Visitor<'de> for EntryValue {
    type Value = Carried<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flag")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Carried<'de>, A::Error> {
        let (mut letter, mut value) = (None, None);
        let mut others = Names::default();
        while let Some(Text(name)) = access.next_key()? {
            let member = match name.as_ref() {
                "t" => &mut letter,
                "v" => &mut value,
                _ => {
                    access.next_value_seed(Walk)?;
                    others.push(name);
                    continue;
                }
            };
            if member.replace(access.next_value::<&RawValue>()?.get()).is_some() {
                return Err(serde::de::Error::custom(DUPLICATE));
            }
        }
        others.finish()?;
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
                Ok(()) => Carried::Json(value),
                Err(error) if is_duplicate(&error) => return Err(serde::de::Error::custom(error)),
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

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Carried<'de>, A::Error> {
        Walk.visit_seq(access)?;
        Ok(NOT_AN_ENTRY)
    }

    fn visit_unit<E>(self) -> Result<Carried<'de>, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Carried<'de>, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Carried<'de>, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Carried<'de>, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Carried<'de>, E> {
        Ok(NOT_AN_ENTRY)
    }

    fn visit_str<E>(self, _: &str) -> Result<Carried<'de>, E> {
        Ok(NOT_AN_ENTRY)
    }
}

/// A value that is not of its letter's type; duplicates inside it still spoil the whole claim.
fn mismatch<E: serde::de::Error>(value: &str) -> Result<Carried<'static>, E> {
    match Walk::over(value) {
        Err(error) if is_duplicate(&error) => Err(E::custom(error)),
        _ => Ok(Carried::Unreadable(ErrorCode::TypeMismatch)),
    }
}

fn read_string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<Text<'_>>(json).ok().map(|Text(text)| text)
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
