//! What differs between two versions of a document, place by place: how a person reads a change.
//!
//! Lists of texts are read as sets, since that is what almost all of ours are. Other lists are aligned by what stayed
//! equal, so that one rule put before the others is one difference and not one for each rule that it moved.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::document::escape;

/// Lists are aligned while their lengths multiplied stay below this; longer ones are compared place by place.
const MAX_ALIGNED: usize = 40_000;

/// One place where two versions differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where (RFC 6901). For what went away it is the place in the former version, otherwise that in the later one.
    pub pointer: String,
    /// What stood there before; absent where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there after; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The differences between two versions of a document, in the order of its members. Of a document that comes or goes every
/// member is one, other than those that are `null`.
pub fn differences(before: Option<&Value>, after: Option<&Value>) -> Vec<Difference> {
    let mut comparison = Comparison { found: Vec::new() };
    match (before, after) {
        (Some(before), Some(after)) => comparison.values("", before, after),
        (Some(Value::Object(gone)), None) => comparison.members("", &present(gone), &Map::new()),
        (None, Some(Value::Object(come))) => comparison.members("", &Map::new(), &present(come)),
        (before, after) => comparison.note("", before, after),
    }
    comparison.found
}

fn present(members: &Map<String, Value>) -> Map<String, Value> {
    members.iter().filter(|(_, member)| !member.is_null()).map(|(name, member)| (name.clone(), member.clone())).collect()
}

struct Comparison {
    found: Vec<Difference>,
}

impl Comparison {
    fn note(&mut self, pointer: &str, before: Option<&Value>, after: Option<&Value>) {
        if before.is_some() || after.is_some() {
            self.found.push(Difference { pointer: pointer.to_owned(), before: before.cloned(), after: after.cloned() });
        }
    }

    fn values(&mut self, pointer: &str, before: &Value, after: &Value) {
        match (before, after) {
            _ if before == after => {}
            (Value::Object(before), Value::Object(after)) => self.members(pointer, before, after),
            (Value::Array(before), Value::Array(after)) => match (texts(before), texts(after)) {
                (Some(gone), Some(come)) if gone != come => self.sets(pointer, before, after, &gone, &come),
                // The same texts in another order, or one of them twice.
                (Some(_), Some(_)) => {
                    self.note(pointer, Some(&Value::Array(before.clone())), Some(&Value::Array(after.clone())))
                }
                _ => self.lists(pointer, before, after),
            },
            _ => self.note(pointer, Some(before), Some(after)),
        }
    }

    fn members(&mut self, pointer: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
        for name in after.keys().chain(before.keys().filter(|name| !after.contains_key(*name))) {
            let place = format!("{pointer}/{}", escape(name));
            match (before.get(name), after.get(name)) {
                (Some(before), Some(after)) => self.values(&place, before, after),
                (before, after) => self.note(&place, before, after),
            }
        }
    }

    fn sets(&mut self, pointer: &str, before: &[Value], after: &[Value], gone: &BTreeSet<&str>, come: &BTreeSet<&str>) {
        let absent = |from: &BTreeSet<&str>, item: &Value| item.as_str().is_some_and(|text| !from.contains(text));
        for (place, item) in before.iter().enumerate().filter(|(_, item)| absent(come, item)) {
            self.note(&format!("{pointer}/{place}"), Some(item), None);
        }
        for (place, item) in after.iter().enumerate().filter(|(_, item)| absent(gone, item)) {
            self.note(&format!("{pointer}/{place}"), None, Some(item));
        }
    }

    /// Between two items that stayed equal, the items of both sides are versions of one another in their order; what is
    /// left on one side has gone or come.
    fn lists(&mut self, pointer: &str, before: &[Value], after: &[Value]) {
        let (mut old, mut new) = (0, 0);
        for (next_old, next_new) in kept(before, after).into_iter().chain([(before.len(), after.len())]) {
            while old < next_old || new < next_new {
                let was = before.get(old).filter(|_| old < next_old);
                let is = after.get(new).filter(|_| new < next_new);
                let place = format!("{pointer}/{}", if is.is_some() { new } else { old });
                match (was, is) {
                    (Some(was), Some(is)) => self.values(&place, was, is),
                    (was, is) => self.note(&place, was, is),
                }
                old += usize::from(was.is_some());
                new += usize::from(is.is_some());
            }
            (old, new) = (next_old + 1, next_new + 1);
        }
    }
}

/// The texts of a list that holds nothing else.
fn texts(list: &[Value]) -> Option<BTreeSet<&str>> {
    list.iter().map(Value::as_str).collect()
}

/// The places of the items that both lists have in the same order: the most of them that there can be.
fn kept(before: &[Value], after: &[Value]) -> Vec<(usize, usize)> {
    if before.len() * after.len() > MAX_ALIGNED {
        return (0..before.len().min(after.len())).filter(|&at| before[at] == after[at]).map(|at| (at, at)).collect();
    }
    // `longest[i][j]`: how many items the lists share from `i` and `j` on.
    let mut longest = vec![vec![0_usize; after.len() + 1]; before.len() + 1];
    for (i, was) in before.iter().enumerate().rev() {
        for (j, is) in after.iter().enumerate().rev() {
            longest[i][j] = if was == is { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut kept) = (0, 0, Vec::new());
    while i < before.len() && j < after.len() {
        if before[i] == after[j] {
            kept.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[i + 1][j] >= longest[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    kept
}
