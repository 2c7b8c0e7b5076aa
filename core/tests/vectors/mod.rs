//! The shared vectors, as `tests/vectors/README.md` describes them.

use serde_json::Value;

#[allow(clippy::disallowed_methods, reason = "the vectors are files; the crate itself reads none")]
pub fn read(name: &str) -> Value {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The members of an array, each with its name for messages. Never none: a runner without cases proves nothing.
pub fn cases(list: &Value) -> Vec<(&str, &Value)> {
    let list = list.as_array().unwrap();
    assert!(!list.is_empty());
    list.iter().map(|case| (case["name"].as_str().unwrap_or("unnamed"), case)).collect()
}
