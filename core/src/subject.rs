//! Users and organizations as evaluation sees them: two kinds of subject, each known by an id that somebody else gave out.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::document::Node;
use crate::error::{Error, ErrorCode, Result};

/// The longest id of a user or an organization, in bytes.
pub const MAX_SUBJECT_ID_BYTES: usize = 255;

/// The id of a user or an organization: 1–255 bytes of UTF-8 without control characters, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId(Arc<str>);

impl SubjectId {
    /// Refuses what is empty, too long or holds control characters (`ID_INVALID`).
    pub fn parse(id: &str) -> Result<Self> {
        if id.is_empty() || id.len() > MAX_SUBJECT_ID_BYTES || id.chars().any(char::is_control) {
            return Err(Error::new(
                ErrorCode::IdInvalid,
                format!("an id has 1 to {MAX_SUBJECT_ID_BYTES} bytes and no control characters"),
            ));
        }
        Ok(Self(id.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// A list of ids as a set: sorted, each once, so that equal sets are equal documents.
    pub(crate) fn parse_set(node: &Node<'_>) -> Result<Vec<Self>> {
        let mut ids = Vec::new();
        for item in node.items()? {
            ids.push(Self::parse(item.string()?).map_err(|error| error.under(&item.pointer))?);
        }
        ids.sort();
        ids.dedup();
        Ok(ids)
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for SubjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The two kinds of subject: whose id a rollout hashes, whose attribute a condition reads, whose override it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    User,
    Organization,
}

impl SubjectKind {
    pub const BOTH: [Self; 2] = [Self::User, Self::Organization];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Organization => "organization",
        }
    }

    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        match node.string()? {
            "user" => Ok(Self::User),
            "organization" => Ok(Self::Organization),
            other => Err(node.error(
                ErrorCode::ValueInvalid,
                format!("`{other}` is not a kind of subject; choose from `user` and `organization`"),
            )),
        }
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
