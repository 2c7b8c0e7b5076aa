//! A flag and its values. Parsed once at the door: a `FlagKey`, a `FlagValue` or a `Flag` that exists is allowed, so that
//! whatever is stored can be evaluated and put into a token.

pub(crate) mod canonical;
mod value;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::document::{Members, Node, list};
use crate::error::{Error, ErrorCode, Result};
use crate::subject::SubjectKind;

pub use value::{CanonicalJson, FlagType, FlagValue, MAX_INTEGER, MAX_JSON_DEPTH, MAX_VALUE_BYTES};

/// `^[A-Za-z][A-Za-z0-9._-]{0,127}$`, kept as written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagKey(Arc<str>);

impl FlagKey {
    pub fn parse(key: &str) -> Result<Self> {
        let legal = key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.len() <= 128
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if legal {
            return Ok(Self(key.into()));
        }
        Err(Error::new(
            ErrorCode::KeyInvalid,
            "a key starts with a letter, goes on with letters, digits, `.`, `_` or `-`, and has at most 128 characters",
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// So that a map by key is asked with plain text.
impl Borrow<str> for FlagKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FlagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FlagKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The levels at which a flag may be given a value other than its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowedOverrides {
    pub environment: bool,
    pub organization: bool,
    pub user: bool,
}

impl AllowedOverrides {
    pub const ALL: Self = Self { environment: true, organization: true, user: true };

    fn parse(node: &Node<'_>) -> Result<Self> {
        let mut allowed = Self { environment: false, organization: false, user: false };
        for item in node.items()? {
            match item.string()? {
                "environment" => allowed.environment = true,
                "organization" => allowed.organization = true,
                "user" => allowed.user = true,
                other => {
                    return Err(item.error(
                        ErrorCode::OverrideNotAllowed,
                        format!("`{other}` is not a level; choose from {}", list(&["environment", "organization", "user"])),
                    ));
                }
            }
        }
        Ok(allowed)
    }

    /// Whether a user or an organization may have a value of its own.
    pub fn allows(self, kind: SubjectKind) -> bool {
        match kind {
            SubjectKind::User => self.user,
            SubjectKind::Organization => self.organization,
        }
    }

    pub fn names(self) -> Vec<&'static str> {
        [("environment", self.environment), ("organization", self.organization), ("user", self.user)]
            .into_iter()
            .filter_map(|(name, allowed)| allowed.then_some(name))
            .collect()
    }
}

impl Serialize for AllowedOverrides {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

/// What a flag is for; tells how long it should live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FlagKind {
    Release,
    Experiment,
    Operational,
    Permanent,
}

impl FlagKind {
    fn parse(node: &Node<'_>) -> Result<Self> {
        match node.string()? {
            "release" => Ok(Self::Release),
            "experiment" => Ok(Self::Experiment),
            "operational" => Ok(Self::Operational),
            "permanent" => Ok(Self::Permanent),
            other => Err(node.error(
                ErrorCode::ValueInvalid,
                format!(
                    "`{other}` is not a kind; choose from {}",
                    list(&["release", "experiment", "operational", "permanent"])
                ),
            )),
        }
    }
}

/// A flag as it is in all environments. Its identity is `id`: a key may be used again after deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flag {
    pub id: Arc<str>,
    pub key: FlagKey,
    #[serde(rename = "type")]
    pub flag_type: FlagType,
    pub name: String,
    pub description: String,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub kind: FlagKind,
    /// A day, `YYYY-MM-DD`, after which the flag should be gone.
    pub remove_after: Option<String>,
    pub default_value: FlagValue,
    /// As set; see [`Flag::off_value`] for the one that holds.
    pub off_value: Option<FlagValue>,
    pub overrides: AllowedOverrides,
    /// Goes into every bucket, fixed when the flag is created.
    pub salt: Arc<str>,
}

impl Flag {
    /// What everybody gets where the flag is disabled: as set, else `false` for a boolean, else the default value.
    pub fn off_value(&self) -> &FlagValue {
        const FALSE: FlagValue = FlagValue::Boolean(false);
        match (&self.off_value, self.flag_type) {
            (Some(value), _) => value,
            (None, FlagType::Boolean) => &FALSE,
            (None, _) => &self.default_value,
        }
    }

    /// Reads the document that creates a flag. `id` and `salt` are the caller's, who has the random numbers.
    pub fn create(document: &Value, id: &str, salt: &str) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let key = key(&members.required("key")?)?;
        let flag_type = flag_type(&members.required("type")?)?;
        let default_value = FlagValue::parse(&members.required("default_value")?, flag_type)?;
        let mut flag = Self {
            id: id.into(),
            name: key.as_str().to_owned(),
            key,
            flag_type,
            description: String::new(),
            owner: None,
            tags: Vec::new(),
            kind: FlagKind::Release,
            remove_after: None,
            default_value,
            off_value: None,
            overrides: AllowedOverrides::ALL,
            salt: salt.into(),
        };
        flag.edit(&mut members)?;
        members.finish()?;
        Ok(flag)
    }

    /// The flag with a patch applied: each member given is replaced whole; key and type cannot change.
    pub fn patched(&self, document: &Value) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let mut flag = self.clone();
        if let Some(node) = members.present("key")
            && node.string()? != self.key.as_str()
        {
            return Err(node.error(ErrorCode::Immutable, "the key of a flag cannot change; create another flag"));
        }
        if let Some(node) = members.present("type")
            && node.string()? != self.flag_type.as_str()
        {
            return Err(node.error(ErrorCode::Immutable, "the type of a flag cannot change; create another flag"));
        }
        if let Some(node) = members.present("default_value") {
            flag.default_value = FlagValue::parse(&node, self.flag_type)?;
        }
        flag.edit(&mut members)?;
        members.finish()?;
        Ok(flag)
    }

    /// Reads a flag that was stored as its own JSON.
    pub fn from_stored(document: &Value) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let id = members.required("id")?.string()?;
        let salt = members.required("salt")?.string()?;
        let stored = document.as_object().map(|object| {
            let mut object = object.clone();
            object.remove("id");
            object.remove("salt");
            Value::Object(object)
        });
        Self::create(&stored.unwrap_or_default(), id, salt)
    }

    fn edit(&mut self, members: &mut Members<'_>) -> Result<()> {
        if let Some(node) = members.present("name") {
            self.name = if node.is_null() { self.key.to_string() } else { node.text(256)? };
        }
        if let Some(node) = members.present("description") {
            self.description = if node.is_null() { String::new() } else { node.text(8 * 1024)? };
        }
        if let Some(node) = members.present("owner") {
            self.owner = if node.is_null() { None } else { Some(node.text(256)?) };
        }
        if let Some(node) = members.present("tags") {
            self.tags = if node.is_null() { Vec::new() } else { tags(&node)? };
        }
        if let Some(node) = members.present("kind") {
            self.kind = if node.is_null() { FlagKind::Release } else { FlagKind::parse(&node)? };
        }
        if let Some(node) = members.present("remove_after") {
            self.remove_after = if node.is_null() { None } else { Some(day(&node)?) };
        }
        if let Some(node) = members.present("off_value") {
            self.off_value = if node.is_null() { None } else { Some(FlagValue::parse(&node, self.flag_type)?) };
        }
        if let Some(node) = members.present("overrides") {
            self.overrides = if node.is_null() { AllowedOverrides::ALL } else { AllowedOverrides::parse(&node)? };
        }
        Ok(())
    }
}

fn key(node: &Node<'_>) -> Result<FlagKey> {
    FlagKey::parse(node.string()?).map_err(|error| error.under(&node.pointer))
}

fn flag_type(node: &Node<'_>) -> Result<FlagType> {
    let name = node.string()?;
    FlagType::parse(name).ok_or_else(|| {
        let names = FlagType::ALL.map(FlagType::as_str);
        node.error(ErrorCode::ValueInvalid, format!("`{name}` is not a type; choose from {}", list(&names)))
    })
}

fn tags(node: &Node<'_>) -> Result<Vec<String>> {
    let mut tags = node.items()?.iter().map(|item| item.text(64)).collect::<Result<Vec<_>>>()?;
    if tags.len() > 64 {
        return Err(node.error(ErrorCode::TextInvalid, "a flag has at most 64 tags"));
    }
    tags.sort();
    tags.dedup();
    Ok(tags)
}

fn day(node: &Node<'_>) -> Result<String> {
    let text = node.string()?;
    let parsed = time::Date::parse(text, &time::format_description::well_known::Iso8601::DATE);
    // ISO 8601 also knows weeks, ordinal days and dates without hyphens; only the calendar form is taken.
    let calendar = text.len() == 10 && !text.contains('W');
    parsed
        .ok()
        .filter(|_| calendar)
        .map(|_| text.to_owned())
        .ok_or_else(|| node.error(ErrorCode::TimeInvalid, format!("`{text}` is not a day; write it like `2027-01-31`")))
}
