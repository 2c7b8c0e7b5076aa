//! Strict reading of JSON documents. Text becomes a tree without duplicate members or endless nesting; the tree is then
//! read member by member, so that every refusal names its place and nothing unknown is let through.
//! Derived deserializers were rejected: they lose the pointer and cannot tell a wrong shape from a value not allowed.

use jiter::Peek;
use serde_json::{Map, Number, Value};

use crate::error::{Error, ErrorCode, Result};
use crate::flag::canonical;
use crate::json::{Fault, Json, Read, double};
use crate::timestamp::Timestamp;

/// How deeply a request document may nest before it is refused unread. Flag values have their own, smaller bound.
pub const MAX_DOCUMENT_DEPTH: usize = 64;

/// Parses JSON text (RFC 8259). Refuses invalid UTF-8, duplicate member names at any depth (RFC 8259 §4 leaves them open,
/// readers then disagree), and nesting beyond [`MAX_DOCUMENT_DEPTH`].
pub fn parse(bytes: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(bytes).map_err(|_| refusal(Fault::Malformed("it is not UTF-8".to_owned())))?;
    let mut json = Json::new(text, MAX_DOCUMENT_DEPTH);
    tree(&mut json).and_then(|tree| json.finish().map(|()| tree)).map_err(refusal)
}

pub(crate) fn refusal(fault: Fault) -> Error {
    let code = match fault {
        Fault::Duplicate(_) => ErrorCode::MemberDuplicate,
        Fault::Deep => ErrorCode::DocumentTooDeep,
        Fault::Malformed(_) => ErrorCode::DocumentMalformed,
    };
    Error::new(code, format!("the document cannot be read: {fault}"))
}

/// The value that is next, as a tree.
pub(crate) fn tree(json: &mut Json<'_>) -> Read<Value> {
    Ok(match json.peek()? {
        Peek::Object => {
            let mut members = Map::new();
            json.members(|json, name| {
                members.insert(name.clone().into_owned(), tree(json)?);
                Ok(())
            })?;
            Value::Object(members)
        }
        Peek::Array => {
            let mut items = Vec::new();
            json.items(|json| {
                items.push(tree(json)?);
                Ok(())
            })?;
            Value::Array(items)
        }
        Peek::String => Value::String(json.string()?.into_owned()),
        _ => match json.skip()? {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            digits => Value::Number(number(digits).ok_or_else(|| json.unexpected("a number that a double holds"))?),
        },
    })
}

/// A number as serde_json has them: whole where it is written so and fits. There is no `-0` among the whole ones.
fn number(digits: &str) -> Option<Number> {
    let whole = digits.parse::<i64>().ok().filter(|whole| *whole != 0 || digits == "0").map(Number::from);
    let whole = whole.or_else(|| digits.parse::<u64>().ok().map(Number::from));
    whole.or_else(|| Number::from_f64(double(digits)?))
}

/// A place in a document: a value and the pointer that leads to it.
#[derive(Debug, Clone)]
pub struct Node<'v> {
    pub value: &'v Value,
    pub pointer: String,
}

impl<'v> Node<'v> {
    pub fn root(value: &'v Value) -> Self {
        Self { value, pointer: String::new() }
    }

    pub fn error(&self, code: ErrorCode, message: impl Into<String>) -> Error {
        Error::at(code, self.pointer.clone(), message)
    }

    fn mistyped(&self, expected: &str) -> Error {
        let name = self.pointer.rsplit('/').next().unwrap_or_default();
        let subject = if name.is_empty() { "the document".to_owned() } else { format!("`{name}`") };
        self.error(ErrorCode::MemberMistyped, format!("{subject} must be {expected}"))
    }

    pub fn is_null(&self) -> bool {
        self.value.is_null()
    }

    pub fn members(&self) -> Result<Members<'v>> {
        match self.value {
            Value::Object(object) => Ok(Members { object, pointer: self.pointer.clone(), known: Vec::new() }),
            _ => Err(self.mistyped("an object")),
        }
    }

    pub fn items(&self) -> Result<Vec<Node<'v>>> {
        match self.value {
            Value::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, value)| Node { value, pointer: format!("{}/{index}", self.pointer) })
                .collect()),
            _ => Err(self.mistyped("an array")),
        }
    }

    pub fn string(&self) -> Result<&'v str> {
        self.value.as_str().ok_or_else(|| self.mistyped("a string"))
    }

    pub fn boolean(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.mistyped("`true` or `false`"))
    }

    /// A whole number written as plain digits.
    pub fn integer(&self) -> Result<i64> {
        match self.value {
            Value::Number(number) => number.as_i64().ok_or_else(|| {
                let number = canonical::text(self.value);
                self.error(ErrorCode::ValueOutOfRange, format!("`{number}` is not a whole number in range"))
            }),
            _ => Err(self.mistyped("a whole number")),
        }
    }

    pub fn number(&self) -> Result<f64> {
        self.value.as_f64().ok_or_else(|| self.mistyped("a number"))
    }

    /// An RFC 3339 instant.
    pub fn timestamp(&self) -> Result<Timestamp> {
        self.string()?.parse().map_err(|error: Error| error.under(&self.pointer))
    }

    /// A line of text for people: at most `max` bytes of UTF-8, without control characters other than line breaks and tabs.
    pub fn text(&self, max: usize) -> Result<String> {
        let text = self.string()?;
        if text.len() > max {
            return Err(
                self.error(ErrorCode::TextInvalid, format!("the text has {} bytes; at most {max} are kept", text.len()))
            );
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(self.error(ErrorCode::TextInvalid, "control characters are not allowed here"));
        }
        Ok(text.to_owned())
    }
}

/// The members of an object, each to be taken once; what is left at the end is unknown and refused.
#[derive(Debug)]
pub struct Members<'v> {
    object: &'v Map<String, Value>,
    pointer: String,
    known: Vec<&'static str>,
}

impl<'v> Members<'v> {
    /// The member if it stands there, be it `null`.
    pub fn present(&mut self, name: &'static str) -> Option<Node<'v>> {
        self.known.push(name);
        self.object.get(name).map(|value| Node { value, pointer: format!("{}/{name}", self.pointer) })
    }

    /// The member, where `null` is the same as leaving it out.
    pub fn optional(&mut self, name: &'static str) -> Option<Node<'v>> {
        self.present(name).filter(|node| !node.is_null())
    }

    pub fn required(&mut self, name: &'static str) -> Result<Node<'v>> {
        self.present(name).ok_or_else(|| {
            Error::at(ErrorCode::MemberMissing, format!("{}/{name}", self.pointer), format!("`{name}` is required"))
        })
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<()> {
        match self.object.keys().find(|name| !self.known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Error::at(
                ErrorCode::MemberUnknown,
                format!("{}/{}", self.pointer, escape(name)),
                format!("`{name}` is not a member of this document; it has {}", list(&self.known)),
            )),
        }
    }
}

/// One reference token of a JSON pointer (RFC 6901 §3).
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Names for a message: "`a`, `b` and `c`".
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
