//! Conditions over attributes. A test over a missing attribute, or one of another kind, is false; `not` negates whatever
//! it gets. Nothing is converted and case counts, so that an answer can be read off the document.

mod operator;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::attributes::{self, Attributes};
use crate::document::{Node, list};
use crate::error::{ErrorCode, Result};
use crate::subject::SubjectKind;

pub use operator::{Comparator, MAX_PATTERN_BYTES, Operator, Pattern, Scalar};

/// How deeply `all`, `any` and `not` nest; one test alone is 1.
pub const MAX_CONDITION_DEPTH: usize = 16;
/// The most items of one `all`, `any` or `in`.
pub const MAX_CONDITION_ITEMS: usize = 256;
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

    /// The names of the attributes of this subject that are looked at, as often as they occur.
    pub(crate) fn names(&self, kind: SubjectKind) -> Vec<&str> {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().flat_map(|one| one.names(kind)).collect(),
            Self::Not(condition) => condition.names(kind),
            Self::Test(test) => Vec::from_iter((test.subject == kind).then_some(test.attribute.as_str())),
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
