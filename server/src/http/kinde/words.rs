//! Flags in Kinde's words: its names of the types and levels, and values that are always text.

use flagbearer::document::Node;
use flagbearer::error::ErrorCode;
use flagbearer::flag::{FlagKey, FlagType, FlagValue};
use serde_json::{Map, Value, json};

use crate::error::Result;

/// Our document of a flag, from Kinde's.
pub fn flag_document(document: &Value) -> Result<Value> {
    let mut members = Node::root(document).members()?;
    let key = members.required("key")?.string()?;
    let name = members.optional("name").map(|node| node.text(256)).transpose()?;
    let description = members.optional("description");
    let kind = members.required("type")?;
    let flag_type = flag_type(kind.string()?)
        .ok_or_else(|| kind.error(ErrorCode::ValueInvalid, "the type of a flag is `bool`, `str`, `int` or `json`"))?;
    let level = members.optional("allow_override_level");
    let default_value = members.optional("default_value");
    members.finish()?;
    let mut ours = json!({ "key": key, "type": flag_type.as_str() });
    if let Some(name) = name {
        ours["name"] = name.into();
    }
    if let Some(node) = description {
        ours["description"] = node.string()?.into();
    }
    if let Some(node) = default_value {
        ours["default_value"] = from_text(node.value.clone(), flag_type)?;
    }
    if let Some(node) = level {
        ours["overrides"] = match node.string()? {
            "env" => json!(["environment"]),
            "org" => json!(["environment", "organization"]),
            "usr" => json!(["environment", "organization", "user"]),
            _ => {
                let detail = "the lowest level that may override is `env`, `org` or `usr`";
                return Err(node.error(ErrorCode::ValueInvalid, detail).into());
            }
        };
    }
    Ok(ours)
}

/// Kinde's names of the types; it has none for JSON in this API, though its flags have the type.
fn kinde_name(flag_type: FlagType) -> &'static str {
    match flag_type {
        FlagType::Boolean => "bool",
        FlagType::String => "str",
        FlagType::Integer => "int",
        FlagType::Json => "json",
    }
}

fn flag_type(name: &str) -> Option<FlagType> {
    FlagType::ALL.into_iter().find(|flag_type| kinde_name(*flag_type) == name)
}

/// Kinde writes every value as text; what is no text is taken as it is. Whether it suits the flag, the flag itself checks.
pub fn from_text(value: Value, flag_type: FlagType) -> Result<Value> {
    let Value::String(text) = value else { return Ok(value) };
    match (flag_type, flagbearer::document::parse(text.as_bytes())) {
        (FlagType::String, _) => Ok(Value::String(text)),
        (_, Ok(value)) => Ok(value),
        (FlagType::Json, Err(error)) => Err(error.into()),
        // Refused as a text where a boolean or an integer is expected.
        (_, Err(_)) => Ok(Value::String(text)),
    }
}

/// A value as Kinde writes it.
fn to_text(value: &FlagValue) -> String {
    match value {
        FlagValue::String(text) => text.to_string(),
        other => {
            let mut text = String::new();
            other.write_json(&mut text);
            text
        }
    }
}

/// Flags with their values, as Kinde lists them.
pub fn listed(values: Vec<(FlagKey, FlagValue)>) -> Value {
    let entry = |(key, value): (FlagKey, FlagValue)| {
        let kind = kinde_name(value.flag_type());
        (key.to_string(), json!({ "type": kind, "value": to_text(&value) }))
    };
    let flags: Map<String, Value> = values.into_iter().map(entry).collect();
    json!({ "code": "OK", "message": "Success", "feature_flags": flags, "next_token": null })
}
