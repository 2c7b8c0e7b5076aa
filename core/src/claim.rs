//! The two dialects of the `feature_flags` claim.

/// Appends a JSON string, quotes and escapes included.
pub fn write_string(_text: &str, _out: &mut String) {}
