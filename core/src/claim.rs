//! The two dialects of the `feature_flags` claim. Writing is the hot path of every refresh, so it appends to one string
//! and builds no tree; reading is the hot path of every verification, so it is one pass over the text.

mod budget;
mod reading;

use std::fmt::Write;

pub use budget::{Weighed, WorstCase};
pub use reading::{Carried, Claim};
pub(crate) use reading::{malformed, read_claim, read_integer};

use crate::flag::{FlagKey, FlagValue};

/// How a claim tells its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `{"key":{"t":"b","v":true}}`, sorted by key: every flag, with its type.
    Typed,
    /// `["key"]`, sorted: the keys of the boolean flags that are true. Nothing else can be said in it.
    Keys,
}

impl Dialect {
    /// `typed` or `keys`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "typed" => Some(Self::Typed),
            "keys" => Some(Self::Keys),
            _ => None,
        }
    }

    /// Appends the claim's value. `flags` come sorted by key and without repetition; the same flags give the same bytes.
    pub fn encode<'f>(self, flags: impl IntoIterator<Item = (&'f FlagKey, &'f FlagValue)>, out: &mut String) {
        let (open, close) = match self {
            Self::Typed => ('{', '}'),
            Self::Keys => ('[', ']'),
        };
        out.push(open);
        let empty = out.len();
        for (key, value) in flags {
            if self == Self::Keys && *value != FlagValue::Boolean(true) {
                continue;
            }
            if out.len() > empty {
                out.push(',');
            }
            // The grammar of keys leaves nothing to escape.
            out.push('"');
            out.push_str(key.as_str());
            out.push('"');
            if self == Self::Typed {
                out.push_str(match value {
                    FlagValue::Boolean(_) => r#":{"t":"b","v":"#,
                    FlagValue::String(_) => r#":{"t":"s","v":"#,
                    FlagValue::Integer(_) => r#":{"t":"i","v":"#,
                    FlagValue::Json(_) => r#":{"t":"j","v":"#,
                });
                value.write_json(out);
                out.push('}');
            }
        }
        out.push(close);
    }

    /// The bytes that one flag takes in the claim, one separator included.
    pub fn entry_size(self, key: &FlagKey, value: &FlagValue) -> usize {
        let quoted = key.as_str().len() + 2;
        match (self, value) {
            (Self::Keys, FlagValue::Boolean(true)) => quoted + 1,
            (Self::Keys, _) => 0,
            (Self::Typed, value) => quoted + r#":{"t":"b","v":},"#.len() + value_size(value),
        }
    }

    /// The bytes of the whole claim, from the sum of its entries' sizes: the last separator's byte is the closing bracket's.
    pub fn size(self, entries: usize) -> usize {
        1 + entries.max(1)
    }
}

fn value_size(value: &FlagValue) -> usize {
    match value {
        FlagValue::Boolean(true) => 4,
        FlagValue::Boolean(false) => 5,
        FlagValue::String(text) => 2 + text.bytes().map(|byte| escape(byte).map_or(1, Escape::len)).sum::<usize>(),
        FlagValue::Integer(integer) => {
            let digits = integer.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
            digits + usize::from(*integer < 0)
        }
        FlagValue::Json(json) => json.as_str().len(),
    }
}

/// Appends a JSON string, quotes and escapes included, in the one form of RFC 8785 §3.2.2.2.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some((at, escape)) = rest.bytes().enumerate().find_map(|(at, byte)| Some((at, escape(byte)?))) {
        out.push_str(&rest[..at]);
        match escape {
            Escape::Short(short) => out.extend(['\\', short]),
            Escape::Unicode(byte) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

enum Escape {
    Short(char),
    Unicode(u8),
}

impl Escape {
    fn len(self) -> usize {
        match self {
            Self::Short(_) => 2,
            Self::Unicode(_) => 6,
        }
    }
}

fn escape(byte: u8) -> Option<Escape> {
    match byte {
        b'"' => Some(Escape::Short('"')),
        b'\\' => Some(Escape::Short('\\')),
        0x20.. => None,
        0x08 => Some(Escape::Short('b')),
        b'\t' => Some(Escape::Short('t')),
        b'\n' => Some(Escape::Short('n')),
        0x0c => Some(Escape::Short('f')),
        b'\r' => Some(Escape::Short('r')),
        _ => Some(Escape::Unicode(byte)),
    }
}
