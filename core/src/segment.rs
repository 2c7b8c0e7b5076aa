//! A segment: an audience with a name, shared by the flags of all environments.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::condition::Condition;
use crate::document::{Members, Node};
use crate::error::{ErrorCode, Result};
use crate::flag::FlagKey;
use crate::subject::{SubjectId, SubjectKind};

/// The name by which settings refer to a segment; the same grammar as a flag's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SegmentKey(FlagKey);

impl SegmentKey {
    /// `KEY_INVALID` where [`FlagKey::parse`] says so.
    pub fn parse(key: &str) -> Result<Self> {
        FlagKey::parse(key).map(Self)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Listed users, listed organizations, and whoever fulfils the condition: the union.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Segment {
    pub key: SegmentKey,
    /// For people; the key unless given.
    pub name: String,
    /// Sorted, each once.
    pub users: Vec<SubjectId>,
    /// Sorted, each once.
    pub organizations: Vec<SubjectId>,
    pub condition: Option<Condition>,
}

impl Segment {
    /// Reads the document that creates a segment; only `key` is required.
    pub fn parse(document: &Value) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let node = members.required("key")?;
        let key = SegmentKey::parse(node.string()?).map_err(|error| error.under(&node.pointer))?;
        let name = key.to_string();
        let mut segment = Self { key, name, users: Vec::new(), organizations: Vec::new(), condition: None };
        segment.edit(&mut members)?;
        members.finish()?;
        Ok(segment)
    }

    /// The segment with a patch applied: each member given is replaced whole, the key cannot change (`IMMUTABLE`).
    pub fn patched(&self, document: &Value) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let mut segment = self.clone();
        if let Some(node) = members.present("key")
            && node.string()? != self.key.as_str()
        {
            return Err(node.error(ErrorCode::Immutable, "the key of a segment cannot change; create another segment"));
        }
        segment.edit(&mut members)?;
        members.finish()?;
        Ok(segment)
    }

    /// The segment with this subject listed.
    pub fn with(&self, kind: SubjectKind, id: SubjectId) -> Self {
        let mut segment = self.clone();
        let list = segment.list(kind);
        if let Err(place) = list.binary_search(&id) {
            list.insert(place, id);
        }
        segment
    }

    /// The segment with this subject listed no more; its condition may still hold it.
    pub fn without(&self, kind: SubjectKind, id: &SubjectId) -> Self {
        let mut segment = self.clone();
        segment.list(kind).retain(|listed| listed != id);
        segment
    }

    fn list(&mut self, kind: SubjectKind) -> &mut Vec<SubjectId> {
        match kind {
            SubjectKind::User => &mut self.users,
            SubjectKind::Organization => &mut self.organizations,
        }
    }

    fn edit(&mut self, members: &mut Members<'_>) -> Result<()> {
        if let Some(node) = members.present("name") {
            self.name = if node.is_null() { self.key.to_string() } else { node.text(256)? };
        }
        for kind in SubjectKind::BOTH {
            let name = match kind {
                SubjectKind::User => "users",
                SubjectKind::Organization => "organizations",
            };
            if let Some(node) = members.present(name) {
                *self.list(kind) = if node.is_null() { Vec::new() } else { SubjectId::parse_set(&node)? };
            }
        }
        if let Some(node) = members.present("condition") {
            self.condition = if node.is_null() { None } else { Some(Condition::parse(&node)?) };
        }
        Ok(())
    }
}
