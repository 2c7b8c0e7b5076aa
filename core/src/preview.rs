//! What a change would do to contexts that are known, one by one. [`crate::effect`] speaks of everybody there could be and
//! of every later instant; this speaks of somebody, now.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::attributes::Attributes;
use crate::evaluation::{Context, Evaluation, Overrides};
use crate::flag::Flag;
use crate::place::Place;
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

/// What one context has of one flag, before and after. `None` where there is no such flag.
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

    /// Whether attributes of this kind of subject have a part in it.
    pub fn looks_at(&self, kind: SubjectKind) -> bool {
        self.sides().iter().any(|side| side.looks_at(kind))
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

    fn sides(&self) -> [&Ruleset; 2] {
        [&self.after, &self.before]
    }

    /// What a context has of each flag before and after, in the order of their keys; into `out`, whose former contents go.
    pub fn pairs<'p>(
        &'p self,
        before: (&'p Overrides, &Context<'_>),
        after: (&'p Overrides, &Context<'_>),
        now: Timestamp,
        out: &mut Vec<Pair<'p>>,
    ) {
        let side = |ruleset: &'p Ruleset, (overrides, context): (&'p Overrides, &Context<'_>)| {
            let mut evaluations = Vec::new();
            ruleset.evaluate_all(overrides, context, now, &mut evaluations);
            evaluations.into_iter().peekable()
        };
        let (mut before, mut after) = (side(&self.before, before), side(&self.after, after));
        out.clear();
        loop {
            // A key that is deleted and used again is one to whoever reads tokens, though it is two flags.
            let pair = match (before.peek(), after.peek()) {
                (None, None) => return,
                (Some(one), Some(two)) if one.flag.key == two.flag.key => (before.next(), after.next()),
                (Some(one), Some(two)) if one.flag.key > two.flag.key => (None, after.next()),
                (None, Some(_)) => (None, after.next()),
                (Some(_), _) => (before.next(), None),
            };
            out.push(pair);
        }
    }
}
