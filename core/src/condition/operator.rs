//! The comparisons of a condition.

use std::cmp::Ordering;

use regex::Regex;
use semver::Version;
use serde::{Serialize, Serializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::items;
use crate::attributes::{self, AttributeValue};
use crate::document::Node;
use crate::error::{ErrorCode, Result};
use crate::timestamp::Timestamp;

/// The longest regular expression, in bytes.
pub const MAX_PATTERN_BYTES: usize = 256;
/// What a regular expression may take when compiled: repeated repetitions are refused, not paid for.
const MAX_PATTERN_SIZE: usize = 1 << 20;

/// The comparison and what it compares with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    Equals(Scalar),
    In(Vec<Scalar>),
    /// A part of a string, or an item of a list.
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Matches(Pattern),
    Less(f64),
    LessOrEqual(f64),
    Greater(f64),
    GreaterOrEqual(f64),
    Semver(Comparator),
    Before(Timestamp),
    After(Timestamp),
    Exists(bool),
}

/// What `equals` and `in` compare with.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    String(String),
    Number(f64),
    Boolean(bool),
}

/// A regular expression that runs in linear time and finds its match anywhere in the text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// One SemVer comparator, such as `>=2.1.0`; versions compare by precedence (SemVer 2.0.0 §11), build metadata aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparator {
    relation: Relation,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    /// Longer signs first, so that `>=` is not read as `>`.
    const SIGNS: [(&'static str, Self); 5] = [
        (">=", Self::GreaterOrEqual),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        ("<", Self::Less),
        ("=", Self::Equal),
    ];

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Operator {
    pub(super) const NAMES: [&'static str; 14] = [
        "equals",
        "in",
        "contains",
        "starts_with",
        "ends_with",
        "matches",
        "less",
        "less_or_equal",
        "greater",
        "greater_or_equal",
        "semver",
        "before",
        "after",
        "exists",
    ];

    pub(super) fn parse(name: &str, operand: &Node<'_>) -> Result<Self> {
        Ok(match name {
            "equals" => Self::Equals(Scalar::parse(operand)?),
            "in" => Self::In(items(operand)?.iter().map(Scalar::parse).collect::<Result<_>>()?),
            "contains" => Self::Contains(operand.string()?.to_owned()),
            "starts_with" => Self::StartsWith(operand.string()?.to_owned()),
            "ends_with" => Self::EndsWith(operand.string()?.to_owned()),
            "matches" => Self::Matches(Pattern::parse(operand)?),
            "less" => Self::Less(number(operand)?),
            "less_or_equal" => Self::LessOrEqual(number(operand)?),
            "greater" => Self::Greater(number(operand)?),
            "greater_or_equal" => Self::GreaterOrEqual(number(operand)?),
            "semver" => Self::Semver(Comparator::parse(operand)?),
            "before" => Self::Before(operand.timestamp()?),
            "after" => Self::After(operand.timestamp()?),
            // `NAMES` holds no other.
            _ => Self::Exists(operand.boolean()?),
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Equals(_) => "equals",
            Self::In(_) => "in",
            Self::Contains(_) => "contains",
            Self::StartsWith(_) => "starts_with",
            Self::EndsWith(_) => "ends_with",
            Self::Matches(_) => "matches",
            Self::Less(_) => "less",
            Self::LessOrEqual(_) => "less_or_equal",
            Self::Greater(_) => "greater",
            Self::GreaterOrEqual(_) => "greater_or_equal",
            Self::Semver(_) => "semver",
            Self::Before(_) => "before",
            Self::After(_) => "after",
            Self::Exists(_) => "exists",
        }
    }

    pub(super) fn holds(&self, attribute: Option<&AttributeValue>) -> bool {
        use AttributeValue::{Number, String, Strings};
        match (self, attribute) {
            (Self::Exists(expected), attribute) => attribute.is_some() == *expected,
            (_, None) => false,
            (Self::Equals(scalar), Some(value)) => scalar.equals(value),
            (Self::In(scalars), Some(value)) => scalars.iter().any(|scalar| scalar.equals(value)),
            (Self::Contains(part), Some(String(text))) => text.contains(part.as_str()),
            (Self::Contains(item), Some(Strings(items))) => items.contains(item),
            (Self::StartsWith(part), Some(String(text))) => text.starts_with(part.as_str()),
            (Self::EndsWith(part), Some(String(text))) => text.ends_with(part.as_str()),
            (Self::Matches(pattern), Some(String(text))) => pattern.0.is_match(text),
            (Self::Less(bound), Some(Number(number))) => number < bound,
            (Self::LessOrEqual(bound), Some(Number(number))) => number <= bound,
            (Self::Greater(bound), Some(Number(number))) => number > bound,
            (Self::GreaterOrEqual(bound), Some(Number(number))) => number >= bound,
            (Self::Semver(comparator), Some(String(text))) => comparator.holds(text),
            (Self::Before(bound), Some(String(text))) => compare_instants(text, *bound).is_some_and(Ordering::is_lt),
            (Self::After(bound), Some(String(text))) => compare_instants(text, *bound).is_some_and(Ordering::is_gt),
            _ => false,
        }
    }
}

fn number(node: &Node<'_>) -> Result<f64> {
    match node.value {
        Value::Number(number) => {
            attributes::number(number).map_err(|message| node.error(ErrorCode::ConditionInvalid, message))
        }
        _ => node.number(),
    }
}

/// Attributes may be finer than the milliseconds that our own documents have, so they are compared in nanoseconds.
fn compare_instants(text: &str, bound: Timestamp) -> Option<Ordering> {
    let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(instant.unix_timestamp_nanos().cmp(&(i128::from(bound.milliseconds()) * 1_000_000)))
}

impl Scalar {
    fn parse(node: &Node<'_>) -> Result<Self> {
        match node.value {
            Value::String(text) => Ok(Self::String(text.clone())),
            Value::Bool(value) => Ok(Self::Boolean(*value)),
            Value::Number(_) => number(node).map(Self::Number),
            _ => Err(node.error(ErrorCode::MemberMistyped, "compare with a string, a number or a boolean")),
        }
    }

    fn equals(&self, value: &AttributeValue) -> bool {
        match (self, value) {
            (Self::String(one), AttributeValue::String(other)) => one == other,
            (Self::Number(one), AttributeValue::Number(other)) => one == other,
            (Self::Boolean(one), AttributeValue::Boolean(other)) => one == other,
            _ => false,
        }
    }
}

impl Pattern {
    fn parse(node: &Node<'_>) -> Result<Self> {
        let source = node.string()?;
        if source.len() > MAX_PATTERN_BYTES {
            return Err(node
                .error(ErrorCode::ConditionInvalid, format!("a regular expression has at most {MAX_PATTERN_BYTES} bytes")));
        }
        regex::RegexBuilder::new(source).size_limit(MAX_PATTERN_SIZE).build().map(Self).map_err(|error| {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "repeats too much",
                _ => "cannot be read; look-around and back-references are not supported",
            };
            node.error(ErrorCode::ConditionInvalid, format!("the regular expression `{source}` {reason}"))
        })
    }
}

impl Comparator {
    fn parse(node: &Node<'_>) -> Result<Self> {
        let text = node.string()?;
        let (relation, version) = Relation::SIGNS
            .into_iter()
            .find_map(|(sign, relation)| Some((relation, text.strip_prefix(sign)?)))
            .unwrap_or((Relation::Equal, text));
        Version::parse(version.trim_start_matches(' ')).map(|version| Self { relation, version }).map_err(|_| {
            node.error(
                ErrorCode::ConditionInvalid,
                format!("`{text}` is not one comparator and a version, such as `>=2.1.0`"),
            )
        })
    }

    fn holds(&self, text: &str) -> bool {
        Version::parse(text).is_ok_and(|version| self.relation.holds(version.cmp_precedence(&self.version)))
    }
}

impl Serialize for Comparator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sign = Relation::SIGNS.iter().find(|(_, relation)| *relation == self.relation).map_or("", |(sign, _)| sign);
        serializer.collect_str(&format_args!("{sign}{}", self.version))
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::String(text) => serializer.serialize_str(text),
            Self::Number(number) => attributes::serialize_number(*number, serializer),
            Self::Boolean(value) => serializer.serialize_bool(*value),
        }
    }
}

impl Serialize for Operator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Equals(scalar) => scalar.serialize(serializer),
            Self::In(scalars) => scalars.serialize(serializer),
            Self::Contains(text) | Self::StartsWith(text) | Self::EndsWith(text) => serializer.serialize_str(text),
            Self::Matches(pattern) => serializer.serialize_str(pattern.0.as_str()),
            Self::Less(number) | Self::LessOrEqual(number) | Self::Greater(number) | Self::GreaterOrEqual(number) => {
                attributes::serialize_number(*number, serializer)
            }
            Self::Semver(comparator) => comparator.serialize(serializer),
            Self::Before(instant) | Self::After(instant) => instant.serialize(serializer),
            Self::Exists(expected) => serializer.serialize_bool(*expected),
        }
    }
}
