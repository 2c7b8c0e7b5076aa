//! Values on the command line: JSON, except that the value of a string flag is the word itself.

use std::io::Read as _;

use flagbearer::document;
use serde_json::Value;

use super::failure::Failure;

/// What the help says about values.
pub const HELP: &str = "Values are JSON: true, 1000, '{\"temperature\": 0.7}'. The value of a string flag is taken as it \
                        stands: control. (Only if it starts with a quotation mark it is read as JSON, too.)";

/// A flag's value, read by the flag's type.
pub fn parse(text: &str, flag_type: &str) -> Result<Value, Failure> {
    if flag_type == "string" && !text.starts_with('"') {
        return Ok(Value::String(text.to_owned()));
    }
    document::parse(text.as_bytes()).map_err(|error| {
        let rule = match flag_type {
            "boolean" => "it is `true` or `false`",
            "integer" => "it is a whole number such as `1000`",
            _ => error.message.as_str(),
        };
        let detail = format!("`{text}` cannot be the value of a flag of type `{flag_type}`: {rule}");
        Failure::new(error.code.as_str(), detail)
    })
}

/// A document: JSON, `@file`, or `@-` for standard input. For clap, which says in which argument it was wrong.
pub fn document(text: &str) -> Result<Value, String> {
    let read = match text.strip_prefix('@') {
        None => Ok(text.as_bytes().to_vec()),
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
        Some(path) => std::fs::read(path),
    };
    let bytes = read.map_err(|error| format!("the file cannot be read: {error}"))?;
    document::parse(&bytes).map_err(|error| error.message)
}
