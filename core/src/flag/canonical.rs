//! JSON as RFC 8785 writes it, so that equal values have equal text. Written here rather than taken from a crate: what readers in
//! the browser's and the edge's sizes can bear has no room for one more way of printing numbers.

use std::fmt::Write;

use serde_json::{Number, Value};

use crate::claim::write_string;
use crate::flag::MAX_INTEGER;

/// Appends a value.
pub(super) fn write(value: &Value, out: &mut String) {
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

/// A number as ECMAScript prints it (§6.1.6.1.20). The digits are those that serde_json finds, which are the fewest that there are
/// and the nearest of those; what differs is where the point goes.
fn write_number(number: &Number, out: &mut String) {
    if let Some(integer) = number.as_i64().filter(|integer| integer.unsigned_abs() <= MAX_INTEGER as u64) {
        // Writing to a String cannot fail.
        let _ = write!(out, "{integer}");
        return;
    }
    let double = number.as_f64().unwrap_or_default();
    if double < 0.0 {
        out.push('-');
    }
    let printed = Number::from_f64(double.abs()).map(|number| number.to_string()).unwrap_or_default();
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((&printed, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let digits = digits.trim_matches('0');
    if digits.is_empty() {
        out.push('0');
        return;
    }
    // How many digits stand before the point; below zero, how many zeros behind it before the first digit.
    let point = whole.len() as i32 - zeros as i32 + exponent.trim_start_matches('+').parse::<i32>().unwrap_or_default();
    let count = digits.len() as i32;
    let zeros = |count: i32| "0".repeat(count.max(0) as usize);
    match point {
        _ if count <= point && point <= 21 => out.extend([digits, &zeros(point - count)]),
        1..=21 => {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend([whole, ".", fraction]);
        }
        -5..=0 => out.extend(["0.", &zeros(-point), digits]),
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let _ = write!(out, "{first}{dot}{rest}e{:+}", point - 1);
        }
    }
}
