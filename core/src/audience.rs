//! Whom a rule is for. Audiences are ordered: none ⊑ some(S) ⊑ some(S ∪ T) ⊑ all. They name subjects and never exclude any,
//! so a larger audience never loses anybody.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::document::{Members, Node};
use crate::error::{ErrorCode, Result};
use crate::segment::SegmentKey;
use crate::subject::SubjectId;

/// Nobody, the named, or everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    None,
    Some(Targets),
    All,
}

/// The named: the union of three sets, each sorted and each member once. May be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Targets {
    pub users: Vec<SubjectId>,
    pub organizations: Vec<SubjectId>,
    pub segments: Vec<SegmentKey>,
}

impl Audience {
    /// Reads `{type, users, organizations, segments}`.
    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        let mut members = node.members()?;
        let audience = Self::take(&mut members, "type")?;
        members.finish()?;
        Ok(audience)
    }

    /// Takes the audience's members out of a document; `kind` is the member that says `none`, `some` or `all`.
    pub(crate) fn take(members: &mut Members<'_>, kind: &'static str) -> Result<Self> {
        let kind = members.required(kind)?;
        let lists = ["users", "organizations", "segments"].map(|name| members.optional(name));
        let named = match kind.string()? {
            "some" => return Targets::parse(lists).map(Self::Some),
            "none" => Self::None,
            "all" => Self::All,
            other => {
                return Err(kind.error(
                    ErrorCode::AudienceInvalid,
                    format!("`{other}` is not an audience; choose from `none`, `some` and `all`"),
                ));
            }
        };
        match lists.into_iter().flatten().next() {
            None => Ok(named),
            // Kept aside it would come back to life with the next edit.
            Some(list) => Err(list.error(ErrorCode::AudienceInvalid, "a list belongs to the audience `some` alone")),
        }
    }

    /// The segments that are named.
    pub fn segments(&self) -> &[SegmentKey] {
        match self {
            Self::Some(targets) => &targets.segments,
            Self::None | Self::All => &[],
        }
    }
}

impl Targets {
    fn parse([users, organizations, segments]: [Option<Node<'_>>; 3]) -> Result<Self> {
        let mut targets = Self::default();
        if let Some(node) = users {
            targets.users = SubjectId::parse_set(&node)?;
        }
        if let Some(node) = organizations {
            targets.organizations = SubjectId::parse_set(&node)?;
        }
        if let Some(node) = segments {
            for item in node.items()? {
                targets.segments.push(SegmentKey::parse(item.string()?).map_err(|error| error.under(&item.pointer))?);
            }
            targets.segments.sort();
            targets.segments.dedup();
        }
        Ok(targets)
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::None => map.serialize_entry("type", "none")?,
            Self::All => map.serialize_entry("type", "all")?,
            Self::Some(targets) => {
                map.serialize_entry("type", "some")?;
                map.serialize_entry("users", &targets.users)?;
                map.serialize_entry("organizations", &targets.organizations)?;
                map.serialize_entry("segments", &targets.segments)?;
            }
        }
        map.end()
    }
}
