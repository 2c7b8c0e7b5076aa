//! Which flags the tokens of an application carry: a flag that is for servers alone never reaches a browser.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::document::Node;
use crate::error::{ErrorCode, Result};
use crate::flag::{Flag, FlagKey};

/// The most tags or flags that one projection names.
pub const MAX_NAMED: usize = 1000;

/// Everything, or only what is named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Projection {
    #[default]
    All,
    /// The flags with at least one of these tags, which are sorted and each there once.
    Tags(Vec<String>),
    /// The flags with these keys, sorted and each there once. There need not be such flags yet.
    Flags(Vec<FlagKey>),
}

impl Projection {
    /// Reads `"all"`, `{"tags": […]}` or `{"flags": […]}`; an empty list carries no flag at all.
    ///
    /// Errors: `VALUE_INVALID` where neither or both are named, `LIMIT_EXCEEDED`, and those of keys and tags.
    pub fn parse(node: &Node<'_>) -> Result<Self> {
        if let Some(name) = node.value.as_str() {
            return match name {
                "all" => Ok(Self::All),
                other => Err(node.error(ErrorCode::ValueInvalid, format!("`{other}` is not a projection; {RULE}"))),
            };
        }
        let mut members = node.members()?;
        let (tags, flags) = (members.present("tags"), members.present("flags"));
        members.finish()?;
        match (tags, flags) {
            (Some(tags), None) => Ok(Self::Tags(set(&tags, |item| item.text(64))?)),
            (None, Some(flags)) => {
                let key = |item: &Node<'_>| FlagKey::parse(item.string()?).map_err(|error| error.under(&item.pointer));
                Ok(Self::Flags(set(&flags, key)?))
            }
            _ => Err(node.error(ErrorCode::ValueInvalid, format!("name either tags or flags; {RULE}"))),
        }
    }

    /// Whether tokens carry this flag.
    pub fn carries(&self, flag: &Flag) -> bool {
        match self {
            Self::All => true,
            Self::Tags(tags) => flag.tags.iter().any(|tag| tags.binary_search(tag).is_ok()),
            Self::Flags(keys) => keys.binary_search(&flag.key).is_ok(),
        }
    }
}

const RULE: &str = r#"a projection is "all", {"tags": […]} or {"flags": […]}"#;

fn set<T: Ord>(node: &Node<'_>, parse: impl Fn(&Node<'_>) -> Result<T>) -> Result<Vec<T>> {
    let mut set = node.items()?.iter().map(parse).collect::<Result<Vec<_>>>()?;
    set.sort();
    set.dedup();
    if set.len() > MAX_NAMED {
        return Err(node.error(ErrorCode::LimitExceeded, format!("a projection names at most {MAX_NAMED}")));
    }
    Ok(set)
}

impl Serialize for Projection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Tags(tags) => one(serializer, "tags", tags),
            Self::Flags(keys) => one(serializer, "flags", keys),
        }
    }
}

fn one<S: Serializer>(serializer: S, name: &str, list: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, list)?;
    map.end()
}
