//! What is known about a user or an organization, for segment conditions to look at: a flat map.

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use crate::document::{MAX_DOCUMENT_DEPTH, Node, escape, refusal, tree};
use crate::error::{Error, ErrorCode, Result};
use crate::flag::MAX_INTEGER;
use crate::json::Json;

/// The most attributes that one user or organization has.
pub const MAX_ATTRIBUTES: usize = 64;
/// The longest attribute name, in bytes.
pub const MAX_ATTRIBUTE_NAME_BYTES: usize = 128;
/// The longest string, alone or in a list, in bytes.
pub const MAX_ATTRIBUTE_STRING_BYTES: usize = 1024;
/// The longest list.
pub const MAX_ATTRIBUTE_LIST: usize = 256;

/// One attribute: a string, a number, a boolean or a list of strings.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    String(String),
    /// Finite; whole numbers stay within ±(2^53−1), so that each is exact.
    Number(f64),
    Boolean(bool),
    /// In the order written.
    Strings(Vec<String>),
}

/// The attributes of one user or organization, sorted by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(Vec<(String, AttributeValue)>);

impl Attributes {
    /// No attributes, for whoever needs a reference to some.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// Reads the flat map. Anything nested, `null`, or beyond the bounds above is `ATTRIBUTE_INVALID`.
    pub fn parse(node: &Node<'_>) -> Result<Self> {
        let Value::Object(object) = node.value else {
            return Err(node.error(ErrorCode::MemberMistyped, "attributes must be an object"));
        };
        if object.len() > MAX_ATTRIBUTES {
            return Err(node.error(ErrorCode::AttributeInvalid, format!("at most {MAX_ATTRIBUTES} attributes are kept")));
        }
        let mut attributes = Vec::with_capacity(object.len());
        for (name, value) in object {
            let member = Node { value, pointer: format!("{}/{}", node.pointer, escape(name)) };
            check_name(name).map_err(|error| error.under(&member.pointer))?;
            attributes.push((name.clone(), AttributeValue::parse(&member)?));
        }
        attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self(attributes))
    }

    /// Reads, out of the JSON text of a flat map that is known to be one, the attributes that are `wanted` by name. The others
    /// are passed over, which is several times as fast.
    ///
    /// Errors: those of [`Attributes::parse`], in what is wanted; `DOCUMENT_MALFORMED` where the text is not JSON.
    pub fn read_some(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let (mut json, mut found) = (Json::new(text, MAX_DOCUMENT_DEPTH), Vec::new());
        let read = json.members(|json, name| {
            if wanted(name) {
                found.push((name.clone().into_owned(), tree(json)?));
            } else {
                json.pass()?;
            }
            Ok(())
        });
        read.and_then(|()| json.finish()).map_err(refusal)?;
        let mut attributes = Vec::with_capacity(found.len());
        for (name, value) in found {
            attributes.push((name, AttributeValue::parse(&Node::root(&value))?));
        }
        attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self(attributes))
    }

    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        let index = self.0.binary_search_by(|(one, _)| one.as_str().cmp(name)).ok()?;
        self.0.get(index).map(|(_, value)| value)
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A name is 1–128 bytes without control characters (`ATTRIBUTE_INVALID`).
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Error::new(
            ErrorCode::AttributeInvalid,
            format!("the name of an attribute has 1 to {MAX_ATTRIBUTE_NAME_BYTES} bytes and no control characters"),
        ));
    }
    Ok(())
}

impl AttributeValue {
    fn parse(node: &Node<'_>) -> Result<Self> {
        let refused = |message: String| node.error(ErrorCode::AttributeInvalid, message);
        match node.value {
            Value::String(text) => string(text).map(Self::String).map_err(refused),
            Value::Number(value) => number(value).map(Self::Number).map_err(refused),
            Value::Bool(value) => Ok(Self::Boolean(*value)),
            Value::Array(items) if items.len() <= MAX_ATTRIBUTE_LIST => {
                let items = node.items()?;
                let strings = items.iter().map(|item| match item.value {
                    Value::String(text) => string(text).map_err(|message| item.error(ErrorCode::AttributeInvalid, message)),
                    _ => Err(item.error(ErrorCode::AttributeInvalid, "a list holds only strings")),
                });
                strings.collect::<Result<_>>().map(Self::Strings)
            }
            Value::Array(_) => Err(refused(format!("a list holds at most {MAX_ATTRIBUTE_LIST} strings"))),
            Value::Null | Value::Object(_) => {
                Err(refused("an attribute is a string, a number, a boolean or a list of strings".to_owned()))
            }
        }
    }
}

fn string(text: &str) -> Result<String, String> {
    if text.len() > MAX_ATTRIBUTE_STRING_BYTES {
        return Err(format!("a string here has at most {MAX_ATTRIBUTE_STRING_BYTES} bytes"));
    }
    if text.contains('\0') {
        return Err("the character NUL (U+0000) is not allowed".to_owned());
    }
    Ok(text.to_owned())
}

/// A number as a double. Whole numbers that doubles cannot tell apart are refused, so that `equals` never lies.
pub(crate) fn number(number: &Number) -> Result<f64, String> {
    let exact = match number.as_i64() {
        Some(integer) => integer.unsigned_abs() <= MAX_INTEGER as u64,
        None => !number.is_u64(),
    };
    match number.as_f64() {
        // Adding zero turns `-0` into `0`: one number, one text.
        Some(double) if exact && double.is_finite() => Ok(double + 0.0),
        _ => Err(format!("`{number}` is a whole number beyond ±{MAX_INTEGER}, which would be rounded")),
    }
}

/// Whole numbers as plain digits, others as the shortest decimal that reads back the same.
pub(crate) fn serialize_number<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() <= MAX_INTEGER as f64 {
        return serializer.serialize_i64(number as i64);
    }
    serializer.serialize_f64(number)
}

impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::String(text) => serializer.serialize_str(text),
            Self::Number(number) => serialize_number(*number, serializer),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Strings(strings) => strings.serialize(serializer),
        }
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
