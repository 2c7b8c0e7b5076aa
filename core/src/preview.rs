//! What a change would do to contexts that are known, one by one. [`crate::effect`] speaks of everybody there could be and
//! of every later instant; this speaks of somebody, now.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::iter::Peekable;
use std::sync::Arc;
use std::vec::IntoIter;

use crate::attributes::Attributes;
use crate::evaluation::{Context, Evaluation, Overrides};
use crate::flag::{Flag, FlagKey};
use crate::place::Place;
use crate::projection::Projection;
use crate::ruleset::Ruleset;
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

/// What a change edits that belongs to single subjects, and to no environment as a whole.
#[derive(Debug, Default)]
pub struct Personal<'a> {
    /// The ids of flags of which overrides are edited.
    pub overridden: BTreeSet<&'a str>,
    /// Attributes before and after, with whose they are.
    pub attributes: Vec<(SubjectKind, &'a Attributes, &'a Attributes)>,
    /// Every flag is in question for somebody: tokens are to carry others than before.
    pub every_flag: bool,
}

/// Both sides of a change in one environment: of the flags that it can touch, and of no others.
#[derive(Debug)]
pub struct Preview {
    before: Ruleset,
    after: Ruleset,
    for_everybody: bool,
}

/// Somebody on one side of a change.
#[derive(Debug)]
pub struct Side<'a> {
    pub context: Context<'a>,
    pub overrides: Overrides,
    /// Which flags the context's tokens carry.
    pub projection: &'a Projection,
}

/// What one context has of one flag, before and after. `None` where it is not carried.
pub type Pair<'p> = (Option<Evaluation<'p>>, Option<Evaluation<'p>>);

impl Preview {
    /// `before` and `after` are the environment without any user or organization.
    pub fn between(before: &Place, after: &Place, personal: &Personal<'_>) -> Self {
        let mut ids: BTreeSet<Arc<str>> = before.altered(after).cloned().collect();
        let for_everybody = !ids.is_empty();
        for place in [before, after] {
            let named = |id: &&Arc<str>| personal.every_flag || personal.overridden.contains(&***id);
            ids.extend(place.flag_ids().filter(named).cloned());
            for (kind, was, is) in &personal.attributes {
                ids.extend(place.looking_at(*kind, was, is).cloned());
            }
        }
        // No revision: nobody keeps these rulesets.
        Self { before: before.compile_flags(0, &ids), after: after.compile_flags(0, &ids), for_everybody }
    }

    /// Whether no flag can be touched.
    pub fn is_empty(&self) -> bool {
        self.sides().iter().all(|side| side.flags().len() == 0)
    }

    /// Whether the change can reach subjects that it does not name.
    pub fn is_for_everybody(&self) -> bool {
        self.for_everybody
    }

    /// The names of the attributes of this kind of subject that have a part in it.
    pub fn attribute_names(&self, kind: SubjectKind) -> BTreeSet<&str> {
        self.sides().into_iter().flat_map(|side| side.attribute_names(kind)).collect()
    }

    /// The users or the organizations whom rules and segments name, each once.
    pub fn listed(&self, kind: SubjectKind) -> BTreeSet<&str> {
        self.sides().into_iter().flat_map(|side| side.listed(kind)).collect()
    }

    /// The flags that can be touched, each once, as they are after the change; before it where they are gone then.
    pub fn flags(&self) -> impl Iterator<Item = &Flag> {
        let gone = self.before.flags().filter(|(flag, _)| self.after.flag_by_id(&flag.id).is_none());
        self.after.flags().chain(gone).map(|(flag, _)| flag)
    }

    /// The flag with this id, if it can be touched.
    pub fn flag(&self, id: &str) -> Option<&Flag> {
        self.sides().into_iter().find_map(|side| side.flag_by_id(id))
    }

    /// The keys of the flags that are `carried` after the change and not before it, and of those that are before it alone.
    pub fn passing(&self, carried: [&dyn Fn(&Flag) -> bool; 2]) -> [Vec<&FlagKey>; 2] {
        let [by_before, by_after] = carried;
        let (before, after) = (keys(&self.before, by_before), keys(&self.after, by_after));
        [after.difference(&before).copied().collect(), before.difference(&after).copied().collect()]
    }

    fn sides(&self) -> [&Ruleset; 2] {
        [&self.after, &self.before]
    }

    /// What a context has of each flag before and after, in the order of their keys.
    pub fn pairs<'p>(&'p self, before: &'p Side<'_>, after: &'p Side<'_>, now: Timestamp) -> Pairs<'p> {
        let carried = |ruleset: &'p Ruleset, side: &'p Side<'_>| {
            let mut evaluations = Vec::new();
            ruleset.evaluate_carried(side.projection, &side.overrides, &side.context, now, &mut evaluations);
            evaluations.into_iter().peekable()
        };
        Pairs { before: carried(&self.before, before), after: carried(&self.after, after) }
    }
}

/// The keys of the flags of one side that are carried.
fn keys<'r>(side: &'r Ruleset, carried: &dyn Fn(&Flag) -> bool) -> BTreeSet<&'r FlagKey> {
    side.flags().map(|(flag, _)| flag).filter(|flag| carried(flag)).map(|flag| &flag.key).collect()
}

/// The pairs of one context.
#[derive(Debug)]
pub struct Pairs<'p> {
    before: Peekable<IntoIter<Evaluation<'p>>>,
    after: Peekable<IntoIter<Evaluation<'p>>>,
}

impl<'p> Iterator for Pairs<'p> {
    type Item = Pair<'p>;

    fn next(&mut self) -> Option<Pair<'p>> {
        let Self { before, after } = self;
        // A key that is deleted and used again is one to whoever reads tokens, though it is two flags.
        let order = match (before.peek(), after.peek()) {
            (None, None) => return None,
            (Some(one), Some(two)) => one.flag.key.cmp(&two.flag.key),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        Some((before.next_if(|_| order.is_le()), after.next_if(|_| order.is_ge())))
    }
}
