//! How many change, and the first of them from what to what.

use std::collections::BTreeMap;

use flagbearer::claim::Dialect;
use flagbearer::flag::{FlagKey, FlagValue};
use serde_json::{Map, Value};

use super::edited::Shown;

/// So many changes are listed of organizations, of users and of sessions.
const FIRST: usize = 100;

/// What changes for one subject or one session.
#[derive(Debug, Clone, Copy)]
pub enum Shift<'a> {
    /// A flag's value; none where tokens have no such flag.
    Flag { key: &'a FlagKey, from: Option<&'a FlagValue>, to: Option<&'a FlagValue> },
    /// Something else that tokens show.
    Claim(Shown<'a>),
    /// There is no next token.
    Ends,
}

impl Shift<'_> {
    /// Whether a claim of this dialect is another for it.
    pub fn is_seen_in(&self, dialect: Dialect) -> bool {
        match (self, dialect) {
            (Self::Flag { from, to, .. }, Dialect::Keys) => is_listed(*from) != is_listed(*to),
            _ => true,
        }
    }

    fn put(&self, document: &mut Map<String, Value>) {
        let value = |value: Option<&FlagValue>| value.map(FlagValue::to_json).unwrap_or_default();
        let (what, name, from, to) = match *self {
            Self::Flag { key, from, to } => ("flag", key.as_str(), value(from), value(to)),
            Self::Claim(Shown { claim, from, to }) => ("claim", claim, from.clone(), to.clone()),
            Self::Ends => {
                document.insert("ends".to_owned(), true.into());
                return;
            }
        };
        for (member, said) in [(what, name.into()), ("from", from), ("to", to)] {
            document.insert(member.to_owned(), said);
        }
    }
}

/// Whether a claim that lists keys has that of a flag with this value.
fn is_listed(value: Option<&FlagValue>) -> bool {
    value == Some(&FlagValue::Boolean(true))
}

/// Those for whom something changes: counted, and the first changes in order of id and environment.
#[derive(Debug, Default)]
pub struct Listing {
    count: u64,
    /// Whose change was counted last: what changes for it in several environments comes together.
    last: Option<String>,
    first: BTreeMap<(String, String, usize), Value>,
    truncated: bool,
}

impl Listing {
    /// Adds what changes for one id in one environment; `whose` begins the document of each change.
    pub fn add(&mut self, id: &str, environment: &str, shifts: &[Shift<'_>], whose: impl Fn() -> Map<String, Value>) {
        if shifts.is_empty() {
            return;
        }
        if self.last.as_deref() != Some(id) {
            self.count += 1;
            self.last = Some(id.to_owned());
        }
        for (place, shift) in shifts.iter().enumerate() {
            if self.first.len() == FIRST {
                self.truncated = true;
                let after =
                    |last: &(String, String, usize)| (last.0.as_str(), last.1.as_str(), last.2) < (id, environment, place);
                if self.first.last_key_value().is_some_and(|(last, _)| after(last)) {
                    return;
                }
                self.first.pop_last();
            }
            let mut document = whose();
            document.insert("environment".to_owned(), environment.into());
            shift.put(&mut document);
            self.first.insert((id.to_owned(), environment.to_owned(), place), document.into());
        }
    }

    /// How many, the first changes, and whether some are left out.
    pub fn finish(self) -> (u64, Vec<Value>, bool) {
        (self.count, self.first.into_values().collect(), self.truncated)
    }
}
