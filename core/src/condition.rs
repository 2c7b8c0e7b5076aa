//! Conditions over attributes. A test over a missing attribute, or one of another kind, is false; `not` negates whatever
//! it gets. Nothing is converted and case counts, so that an answer can be read off the document.

use std::cmp::Ordering;

use regex::Regex;
use semver::Version;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::attributes::{self, AttributeValue, Attributes};
use crate::document::{Node, list};
use crate::error::{ErrorCode, Result};
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

/// How deeply `all`, `any` and `not` nest; one test alone is 1.
pub const MAX_CONDITION_DEPTH: usize = 16;
/// The most items of one `all`, `any` or `in`.
pub const MAX_CONDITION_ITEMS: usize = 256;
/// The longest regular expression, in bytes.
pub const MAX_PATTERN_BYTES: usize = 256;
/// What a regular expression may take when compiled: repeated repetitions are refused, not paid for.
const MAX_PATTERN_SIZE: usize = 1 << 20;

/// A condition of a segment.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Test(Test),
}

/// One attribute of one subject, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    pub subject: SubjectKind,
    pub attribute: String,
    pub operator: Operator,
}

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

impl Condition {
    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        Self::parse_within(node, MAX_CONDITION_DEPTH)
    }

    fn parse_within(node: &Node<'_>, depth: usize) -> Result<Self> {
        let Some(deeper) = depth.checked_sub(1) else {
            return Err(node
                .error(ErrorCode::ConditionInvalid, format!("conditions nest at most {MAX_CONDITION_DEPTH} levels deep")));
        };
        let mut members = node.members()?;
        let groups: Vec<(&str, Node<'_>)> =
            ["all", "any", "not"].into_iter().filter_map(|name| Some((name, members.present(name)?))).collect();
        let subjects: Vec<(SubjectKind, Node<'_>)> =
            SubjectKind::BOTH.into_iter().filter_map(|kind| Some((kind, members.present(kind.as_str())?))).collect();
        let operators: Vec<(&str, Node<'_>)> =
            Operator::NAMES.into_iter().filter_map(|name| Some((name, members.present(name)?))).collect();
        members.finish()?;
        match (groups.as_slice(), subjects.as_slice(), operators.as_slice()) {
            ([("not", inner)], [], []) => Ok(Self::Not(Box::new(Self::parse_within(inner, deeper)?))),
            ([(name, inner)], [], []) => {
                let conditions =
                    items(inner)?.iter().map(|item| Self::parse_within(item, deeper)).collect::<Result<Vec<_>>>()?;
                Ok(if *name == "all" { Self::All(conditions) } else { Self::Any(conditions) })
            }
            ([], [(subject, attribute)], [(name, operand)]) => {
                let name_of_attribute = attribute.string()?;
                attributes::check_name(name_of_attribute).map_err(|error| error.under(&attribute.pointer))?;
                let operator = Operator::parse(name, operand)?;
                Ok(Self::Test(Test { subject: *subject, attribute: name_of_attribute.to_owned(), operator }))
            }
            _ => Err(node.error(
                ErrorCode::ConditionInvalid,
                format!(
                    "a condition is `all`, `any` or `not` alone, or an attribute of `user` or `organization` with one of {}",
                    list(&Operator::NAMES)
                ),
            )),
        }
    }

    /// Whether the condition holds for these attributes; `None` where the context lacks the subject.
    pub fn holds(&self, user: Option<&Attributes>, organization: Option<&Attributes>) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|one| one.holds(user, organization)),
            Self::Any(conditions) => conditions.iter().any(|one| one.holds(user, organization)),
            Self::Not(condition) => !condition.holds(user, organization),
            Self::Test(test) => {
                let attributes = match test.subject {
                    SubjectKind::User => user,
                    SubjectKind::Organization => organization,
                };
                test.operator.holds(attributes.and_then(|attributes| attributes.get(&test.attribute)))
            }
        }
    }

    /// What follows when only one subject's attributes are known; `None` where it depends on the other's.
    pub(crate) fn known(&self, kind: SubjectKind, attributes: &Attributes) -> Option<bool> {
        // `deciding` settles the group at once; otherwise every item must be known.
        let group = |conditions: &[Self], deciding: bool| {
            let known: Vec<Option<bool>> = conditions.iter().map(|one| one.known(kind, attributes)).collect();
            if known.contains(&Some(deciding)) {
                return Some(deciding);
            }
            (!known.contains(&None)).then_some(!deciding)
        };
        match self {
            Self::All(conditions) => group(conditions, false),
            Self::Any(conditions) => group(conditions, true),
            Self::Not(condition) => condition.known(kind, attributes).map(|holds| !holds),
            Self::Test(test) if test.subject == kind => Some(test.operator.holds(attributes.get(&test.attribute))),
            Self::Test(_) => None,
        }
    }

    /// Whether an attribute is looked at that differs between the two.
    pub(crate) fn mentions_edited(&self, kind: SubjectKind, before: &Attributes, after: &Attributes) -> bool {
        let mut names = before.iter().chain(after.iter()).map(|(name, _)| name);
        names.any(|name| before.get(name) != after.get(name) && self.mentions(kind, name))
    }

    /// Whether an attribute of this subject is looked at.
    pub fn mentions(&self, kind: SubjectKind, attribute: &str) -> bool {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().any(|one| one.mentions(kind, attribute)),
            Self::Not(condition) => condition.mentions(kind, attribute),
            Self::Test(test) => test.subject == kind && test.attribute == attribute,
        }
    }
}

fn items<'v>(node: &Node<'v>) -> Result<Vec<Node<'v>>> {
    let items = node.items()?;
    // An empty `all` would hold for everybody, by accident.
    if items.is_empty() || items.len() > MAX_CONDITION_ITEMS {
        return Err(node.error(ErrorCode::ConditionInvalid, format!("1 to {MAX_CONDITION_ITEMS} items belong here")));
    }
    Ok(items)
}

impl Operator {
    const NAMES: [&'static str; 14] = [
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

    fn parse(name: &str, operand: &Node<'_>) -> Result<Self> {
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

    fn name(&self) -> &'static str {
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

    fn holds(&self, attribute: Option<&AttributeValue>) -> bool {
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

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::All(conditions) => map.serialize_entry("all", conditions)?,
            Self::Any(conditions) => map.serialize_entry("any", conditions)?,
            Self::Not(condition) => map.serialize_entry("not", condition)?,
            Self::Test(test) => {
                map.serialize_entry(test.subject.as_str(), &test.attribute)?;
                map.serialize_entry(test.operator.name(), &test.operator)?;
            }
        }
        map.end()
    }
}
