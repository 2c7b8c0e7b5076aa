//! Members of documents, as options.

use serde::Serialize;
use serde_json::Value;

use super::failure::Failure;

/// A list in one word, separated by commas; the empty word is the empty list.
pub fn list(text: &str) -> Result<Value, std::convert::Infallible> {
    Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect())
}

/// A document of these options, without those that were not given; `unset` names members that are to be taken away.
pub fn body(fields: impl Serialize, unset: &[String]) -> Result<Value, Failure> {
    let mut body = serde_json::to_value(fields).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, member| !member.is_null());
        for name in unset {
            if members.insert(name.replace('-', "_"), Value::Null).is_some() {
                return Err(Failure::new("ARGUMENT_INVALID", format!("`{name}` is set and unset at once")));
            }
        }
    }
    Ok(body)
}
