//! Reading a claim, in one pass and into one piece of memory: it happens with every request that is verified.

use std::borrow::Cow;
use std::ops::Range;

use jiter::Peek;

use crate::error::{Error, ErrorCode, Result};
use crate::flag::{FlagType, MAX_INTEGER};
use crate::json::{Json, Read};
use crate::token::MAX_DEPTH;

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
        let mut json = Json::new(text, MAX_DEPTH);
        match read_claim(&mut json).and_then(|claim| json.finish().map(|()| claim)) {
            Ok(claim) => claim.ok_or_else(malformed),
            Err(fault) => Err(Error::new(ErrorCode::TokenMalformed, format!("the claim cannot be read: {fault}"))),
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

    /// Next to nothing for a claim of ours, which is sorted.
    fn sort(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by(|a, b| self.text(&a.key).cmp(self.text(&b.key)));
        self.entries = entries;
    }
}

/// Reads the claim in place, within a token's claims. `None` is a claim of no known dialect.
pub(crate) fn read_claim(json: &mut Json<'_>) -> Read<Option<Claim>> {
    match json.peek()? {
        Peek::Object => read_typed(json).map(Some),
        Peek::Array => read_keys(json),
        _ => json.skip().map(|_| None),
    }
}

fn read_typed(json: &mut Json<'_>) -> Read<Claim> {
    let mut claim = Claim { texts: String::with_capacity(1024), entries: Vec::with_capacity(32) };
    json.members(|json, key| {
        json.peek()?;
        let carried = match plain(json.rest()) {
            Some((carried, bytes)) => {
                json.advance(bytes);
                carried
            }
            None => read_entry(json.pass()?)?,
        };
        claim.push(key, carried);
        Ok(())
    })?;
    claim.sort();
    Ok(claim)
}

fn read_keys(json: &mut Json<'_>) -> Read<Option<Claim>> {
    let mut claim = Some(Claim::default());
    json.items(|json| {
        match (json.peek()?, &mut claim) {
            (Peek::String, Some(claim)) => claim.push(&json.string()?, Carried::Boolean(true)),
            _ => {
                json.skip()?;
                claim = None;
            }
        }
        Ok(())
    })?;
    Ok(claim.map(|mut claim| {
        claim.sort();
        // A key that stands twice in a list says the same thing twice.
        let Claim { texts, entries } = &mut claim;
        entries.dedup_by(|a, b| texts.get(a.key.clone()) == texts.get(b.key.clone()));
        claim
    }))
}

const NOT_AN_ENTRY: Carried<'static> = Carried::Unreadable(ErrorCode::ParseError);

/// Reads an entry in our own spelling off the beginning of a text, by comparing its bytes, and says how many they are. That takes a
/// third of the time of taking it apart, and nearly all entries that are ever read are written so. `None` for any other
/// spelling, be it good or bad.
fn plain(text: &str) -> Option<(Carried<'_>, usize)> {
    let (letter, value) = text.strip_prefix("{\"t\":\"")?.split_at_checked(1)?;
    let value = value.strip_prefix("\",\"v\":")?;
    let (carried, rest) = match letter {
        "b" => match value.strip_prefix("true") {
            Some(rest) => (Carried::Boolean(true), rest),
            None => (Carried::Boolean(false), value.strip_prefix("false")?),
        },
        "i" => {
            let (digits, rest) =
                value.split_at_checked(value.bytes().position(|byte| !matches!(byte, b'0'..=b'9' | b'-'))?)?;
            let integer = digits.parse::<i64>().ok().filter(|integer| integer.unsigned_abs() <= MAX_INTEGER as u64)?;
            if digits.trim_start_matches('-').starts_with('0') && digits != "0" {
                return None;
            }
            (Carried::Integer(integer), rest)
        }
        "s" => {
            let inside = value.strip_prefix('"')?;
            let (string, rest) =
                inside.split_at_checked(inside.bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?)?;
            (Carried::String(string.into()), rest.strip_prefix('"')?)
        }
        _ => return None,
    };
    Some((carried, text.len() - rest.strip_prefix('}')?.len()))
}

/// Reads `{"t":…,"v":…}`; whatever else stands there is unreadable, but must still be JSON without duplicates.
fn read_entry(entry: &str) -> Read<Carried<'_>> {
    let (mut letter, mut value) = (None, None);
    let mut json = Json::new(entry, MAX_DEPTH);
    if json.peek()? == Peek::Object {
        json.members(|json, name| {
            let text = json.skip()?;
            match name.as_ref() {
                "t" => letter = Some(text),
                "v" => value = Some(text),
                _ => (),
            }
            Ok(())
        })?;
    } else {
        json.skip()?;
    }
    // JSON by its grammar, but no language could hold it.
    let beyond = json.passed_beyond();
    let (Some(letter), Some(value)) = (letter, value) else { return Ok(NOT_AN_ENTRY) };
    let carried = match letter {
        r#""b""# => match value {
            "true" => Some(Carried::Boolean(true)),
            "false" => Some(Carried::Boolean(false)),
            _ => None,
        },
        r#""i""# => read_integer(value).map(Carried::Integer),
        r#""s""# => value.starts_with('"').then(|| Json::new(value, 0).string()).transpose()?.map(Carried::String),
        r#""j""# => (value != "null").then_some(Carried::Json(value)),
        _ => return Ok(NOT_AN_ENTRY),
    };
    Ok(match carried {
        Some(_) if beyond => NOT_AN_ENTRY,
        Some(carried) => carried,
        None => Carried::Unreadable(ErrorCode::TypeMismatch),
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
