//! JSON as RFC 8785 writes it, so that equal values have equal text. The crate that does it goes through serde, which the edge's
//! module has no room for; its numbers, which are the hard part, are the same.

use std::fmt::Write;

use serde_json::{Number, Value};

use crate::claim::write_string;
use crate::flag::MAX_INTEGER;

/// A value's text.
pub(crate) fn text(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (place, (name, member)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write(member, out);
            }
            out.push('}');
        }
    }
}

/// A number as ECMAScript prints it (§6.1.6.1.20).
fn write_number(number: &Number, out: &mut String) {
    match number.as_i64().filter(|integer| integer.unsigned_abs() <= MAX_INTEGER as u64) {
        // Writing to a String cannot fail.
        Some(integer) => drop(write!(out, "{integer}")),
        None => out.push_str(ryu_js::Buffer::new().format(number.as_f64().unwrap_or_default())),
    }
}
