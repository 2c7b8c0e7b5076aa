//! Why a flag is not what it was: walks a place from one moment to a later one, change by change, and notes at each step
//! what altered the flag's value or the level that decided it: a change, or the mere passing of time.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::Result;
use crate::evaluation::{Evaluation, Level, Reason};
use crate::flag::FlagValue;
use crate::place::{Part, Place};
use crate::timestamp::Timestamp;

/// A change, as far as it concerns a place.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceChange {
    pub revision: i64,
    pub at: Timestamp,
    /// Part, id, and the document after the change.
    pub edits: Vec<(Part, String, Option<Value>)>,
}

/// What altered a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The change of this revision.
    Change { revision: i64 },
    /// A rule opened or closed, or its rollout took a step.
    Schedule { at: Option<Timestamp> },
    /// The override that had decided expired.
    OverrideExpired { level: Level, at: Timestamp },
}

/// A flag's value, the level that decided, and what of it may run out.
type Served = (FlagValue, Reason, Option<usize>);

/// The causes of each flag named in `keys`, in the order in which they took effect. `changes` are those after the place's
/// revision, in order; at the end `place` is as they leave it.
///
/// Errors: those of documents that are not the log's.
pub fn causes(
    place: &mut Place,
    from: Timestamp,
    changes: &[PlaceChange],
    until: Timestamp,
    keys: &[&str],
) -> Result<BTreeMap<String, Vec<Cause>>> {
    let mut walk = Walk { place, keys, now: from, served: BTreeMap::new(), causes: BTreeMap::new() };
    walk.served = walk.look();
    for change in changes {
        walk.wait(change.at);
        walk.take(change)?;
    }
    walk.wait(until);
    Ok(walk.causes)
}

struct Walk<'w> {
    place: &'w mut Place,
    keys: &'w [&'w str],
    now: Timestamp,
    served: BTreeMap<String, Served>,
    causes: BTreeMap<String, Vec<Cause>>,
}

impl Walk<'_> {
    fn look(&self) -> BTreeMap<String, Served> {
        let (ruleset, overrides) = self.place.compile(0, |key| self.keys.contains(&key.as_str()));
        let mut evaluations: Vec<Evaluation<'_>> = Vec::new();
        ruleset.evaluate_all(&overrides, &self.place.context(), self.now, &mut evaluations);
        let served = |found: &Evaluation<'_>| (found.value.clone(), found.reason, found.rule);
        evaluations.iter().map(|found| (found.flag.key.to_string(), served(found))).collect()
    }

    /// Looks again, and notes a cause for every flag that is served otherwise.
    fn note(&mut self, cause: impl Fn(&Place, &str, Option<&Served>) -> Cause) {
        let before = std::mem::take(&mut self.served);
        let after = self.look();
        for key in self.keys.iter().filter(|key| before.get(**key) != after.get(**key)) {
            let cause = cause(self.place, key, before.get(*key));
            self.causes.entry((*key).to_owned()).or_default().push(cause);
        }
        self.served = after;
    }

    /// A change may bear an earlier time than the token: one that was committed while the token was being made.
    fn wait(&mut self, until: Timestamp) {
        let from = self.now;
        if until <= from {
            return;
        }
        self.now = until;
        self.note(|place, key, before| {
            let expired = before.and_then(|(_, reason, _)| place.expiry(key, reason.level()));
            match (expired, before) {
                (Some(at), Some((_, reason, _))) => Cause::OverrideExpired { level: reason.level(), at },
                _ => Cause::Schedule { at: place.last_step(key, from, until) },
            }
        });
    }

    fn take(&mut self, change: &PlaceChange) -> Result<()> {
        for (part, id, document) in &change.edits {
            self.place.put(*part, id, document.as_ref())?;
        }
        self.note(|_, _, _| Cause::Change { revision: change.revision });
        Ok(())
    }
}
