//! Tokens and flag sets for the unit tests of whoever reads them.

#[cfg(feature = "crypto")]
mod issuer;

use serde_json::Value;

use crate::claim::Dialect;
use crate::document::{Node, escape};
use crate::error::{ErrorCode, Result};
use crate::flag::{FlagKey, FlagType, FlagValue};
use crate::flag_set::FlagSet;

#[cfg(feature = "crypto")]
pub use issuer::TestIssuer;

/// A flag set without a token: `flags` has a value for each key, whose type is the value's own.
///
/// Errors: those of keys and values, with the pointer to the member at fault.
pub fn flag_set(flags: &Value) -> Result<FlagSet> {
    let mut claim = String::new();
    Dialect::Typed.encode(typed(&Node::root(flags))?.iter().map(|(key, value)| (key, value)), &mut claim);
    FlagSet::of_claim(&claim)
}

/// Flags, each of the type that its value has, by key as objects are.
fn typed(node: &Node<'_>) -> Result<Vec<(FlagKey, FlagValue)>> {
    let Value::Object(flags) = node.value else {
        return Err(node.error(ErrorCode::TypeMismatch, "flags are an object with a value for each key"));
    };
    let mut typed = Vec::with_capacity(flags.len());
    for (key, value) in flags {
        let node = Node { value, pointer: format!("{}/{}", node.pointer, escape(key)) };
        let flag_type = match value {
            Value::Bool(_) => FlagType::Boolean,
            Value::String(_) => FlagType::String,
            Value::Number(number) if number.is_i64() || number.is_u64() => FlagType::Integer,
            _ => FlagType::Json,
        };
        let key = FlagKey::parse(key).map_err(|error| error.under(&node.pointer))?;
        typed.push((key, FlagValue::parse(&node, flag_type)?));
    }
    Ok(typed)
}
