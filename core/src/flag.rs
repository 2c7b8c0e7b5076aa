//! A flag and its values. Parsed once at the door: a `FlagKey`, a `FlagValue` or a `Flag` that exists is allowed, so that
//! whatever is stored can be evaluated and put into a token.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::document::{Members, Node, list};
use crate::error::{Error, ErrorCode, Result};

/// The largest integer that every language reads exactly: 2^53 − 1.
pub const MAX_INTEGER: i64 = 9_007_199_254_740_991;
/// The largest string or JSON value, in bytes of UTF-8 (JSON: of its canonical text).
pub const MAX_VALUE_BYTES: usize = 8 * 1024;
/// How deeply a JSON value nests, counted from the value: `[]` is 1.
pub const MAX_JSON_DEPTH: usize = 32;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FlagType {
    Boolean,
    String,
    Integer,
    Json,
}

impl FlagType {
    pub const ALL: [FlagType; 4] = [Self::Boolean, Self::String, Self::Integer, Self::Json];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Json => "json",
        }
    }

    /// The letter of the typed claim: `b`, `s`, `i`, `j`.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Boolean => "b",
            Self::String => "s",
            Self::Integer => "i",
            Self::Json => "j",
        }
    }

    /// Reads a full name only, as documents have it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag_type| flag_type.as_str() == name)
    }

    /// Reads a letter or a full name, as callers of `getFlag` have it.
    pub fn parse_lenient(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag_type| flag_type.as_str() == name || flag_type.letter() == name)
    }
}

impl fmt::Display for FlagType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value of one of the four types.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FlagValue {
    Boolean(bool),
    String(Arc<str>),
    Integer(i64),
    Json(CanonicalJson),
}

/// A JSON value as RFC 8785 canonical text: equal values have equal text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CanonicalJson(Arc<str>);

impl CanonicalJson {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Any JSON value as canonical text. Refuses nothing but what JSON itself cannot hold.
    pub fn of(value: &Value) -> Result<Self> {
        serde_json_canonicalizer::to_string(value)
            .map(|text| Self(text.into()))
            .map_err(|error| Error::new(ErrorCode::ValueInvalid, format!("not a JSON value: {error}")))
    }
}

impl FlagValue {
    /// Reads the value of a flag of this type. Nothing is converted: `1.0` is no integer, `"true"` no boolean.
    pub fn parse(node: &Node<'_>, flag_type: FlagType) -> Result<Self> {
        let mistyped = || {
            let found = match node.value {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                Value::String(_) => "a string",
                Value::Array(_) => "an array",
                Value::Object(_) => "an object",
            };
            node.error(ErrorCode::TypeMismatch, format!("the flag is of type `{flag_type}`, but this value is {found}"))
        };
        match (flag_type, node.value) {
            (FlagType::Boolean, Value::Bool(value)) => Ok(Self::Boolean(*value)),
            (FlagType::String, Value::String(text)) => {
                no_nul(node, text)?;
                small(node, text.len())?;
                Ok(Self::String(text.as_str().into()))
            }
            (FlagType::Integer, Value::Number(number)) => match number.as_i64() {
                Some(integer) if integer.unsigned_abs() <= MAX_INTEGER as u64 => Ok(Self::Integer(integer)),
                _ => Err(node.error(
                    ErrorCode::ValueOutOfRange,
                    format!(
                        "`{number}` is not a whole number from -{MAX_INTEGER} to {MAX_INTEGER}, written in plain digits"
                    ),
                )),
            },
            (FlagType::Json, Value::Null) => Err(node.error(ErrorCode::ValueInvalid, "a JSON flag cannot be `null` itself")),
            (FlagType::Json, value) => {
                json_allowed(node, value, MAX_JSON_DEPTH)?;
                let canonical = CanonicalJson::of(value).map_err(|error| error.under(&node.pointer))?;
                small(node, canonical.as_str().len())?;
                Ok(Self::Json(canonical))
            }
            _ => Err(mistyped()),
        }
    }

    /// Reads a stored value back: its JSON text and the flag's type.
    pub fn from_text(text: &str, flag_type: FlagType) -> Result<Self> {
        let value = crate::document::parse(text.as_bytes())?;
        Self::parse(&Node::root(&value), flag_type)
    }

    pub fn flag_type(&self) -> FlagType {
        match self {
            Self::Boolean(_) => FlagType::Boolean,
            Self::String(_) => FlagType::String,
            Self::Integer(_) => FlagType::Integer,
            Self::Json(_) => FlagType::Json,
        }
    }

    /// The value as a JSON tree.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Boolean(value) => Value::Bool(*value),
            Self::String(text) => Value::String(text.to_string()),
            Self::Integer(integer) => Value::from(*integer),
            // Canonical text was made from a tree, so it parses; were it not so, `null` is what no JSON flag can be.
            Self::Json(json) => serde_json::from_str(json.as_str()).unwrap_or(Value::Null),
        }
    }

    /// Appends the value as JSON text: the bytes that stand in the claim.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Boolean(true) => out.push_str("true"),
            Self::Boolean(false) => out.push_str("false"),
            Self::String(text) => crate::claim::write_string(text, out),
            Self::Integer(integer) => {
                use fmt::Write;
                // Writing to a String cannot fail.
                let _ = write!(out, "{integer}");
            }
            Self::Json(json) => out.push_str(json.as_str()),
        }
    }
}

impl Serialize for FlagValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::String(text) => serializer.serialize_str(text),
            Self::Integer(integer) => serializer.serialize_i64(*integer),
            Self::Json(_) => self.to_json().serialize(serializer),
        }
    }
}

fn no_nul(node: &Node<'_>, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(node.error(ErrorCode::ValueInvalid, "the character NUL (U+0000) is not allowed in a value"));
    }
    Ok(())
}

fn small(node: &Node<'_>, bytes: usize) -> Result<()> {
    if bytes > MAX_VALUE_BYTES {
        return Err(node.error(
            ErrorCode::ValueTooLarge,
            format!("the value has {bytes} bytes; at most {MAX_VALUE_BYTES} are allowed, as it travels in every token"),
        ));
    }
    Ok(())
}

fn json_allowed(node: &Node<'_>, value: &Value, depth_left: usize) -> Result<()> {
    let deeper = || {
        depth_left.checked_sub(1).ok_or_else(|| {
            node.error(ErrorCode::DocumentTooDeep, format!("a JSON value nests at most {MAX_JSON_DEPTH} levels deep"))
        })
    };
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::String(text) => no_nul(node, text),
        // Judged by how canonical text writes it: a double beyond 2^53 − 1 that prints as plain digits would be read
        // back as an integer out of range, one that prints with an exponent stays a double.
        Value::Number(number) => {
            let in_range = match number.as_i64() {
                Some(integer) => integer.unsigned_abs() <= MAX_INTEGER as u64,
                None => number.as_f64().is_some_and(|double| double.abs() <= MAX_INTEGER as f64 || double.abs() >= 1e21),
            };
            if in_range {
                return Ok(());
            }
            Err(node.error(
                ErrorCode::ValueOutOfRange,
                format!("`{number}` is a whole number beyond ±{MAX_INTEGER}, which some languages would round"),
            ))
        }
        Value::Array(items) => {
            let depth_left = deeper()?;
            items.iter().try_for_each(|item| json_allowed(node, item, depth_left))
        }
        Value::Object(members) => {
            let depth_left = deeper()?;
            members.iter().try_for_each(|(name, member)| {
                no_nul(node, name)?;
                json_allowed(node, member, depth_left)
            })
        }
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
