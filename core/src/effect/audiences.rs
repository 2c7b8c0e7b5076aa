//! The audiences in sight, reduced to what tells contexts apart: which lists name a subject, which conditions hold.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Edit, State};
use crate::audience::Audience;
use crate::condition::Condition;
use crate::segment::Segment;
use crate::setting::Rule;
use crate::subject::{SubjectId, SubjectKind};

/// The class of contexts without the subject.
pub(super) const NOBODY: u32 = 0;
/// The class of subjects that no list names.
const UNNAMED: u32 = 1;

/// Subjects of one kind by the lists that name them: those in the same lists are one class.
pub(super) struct Classes<'a> {
    lists_of: BTreeMap<&'a str, Vec<u32>>,
    /// In the order of the class numbers, from `UNNAMED` on.
    signatures: Vec<Vec<u32>>,
}

impl<'a> Classes<'a> {
    pub fn of(states: &[State<'a>; 2], kind: SubjectKind) -> Self {
        let mut lists_of: BTreeMap<&'a str, Vec<u32>> = BTreeMap::new();
        let rules = states.iter().flat_map(|state| state.setting.rules.iter().map(move |rule| (state, rule)));
        for (list, (state, rule)) in (0..).zip(rules) {
            for id in listed(rule, state.segments, kind) {
                let lists = lists_of.entry(id.as_str()).or_default();
                if lists.last() != Some(&list) {
                    lists.push(list);
                }
            }
        }
        let distinct: BTreeSet<&Vec<u32>> = lists_of.values().collect();
        let signatures = std::iter::once(Vec::new()).chain(distinct.into_iter().cloned()).collect();
        Self { lists_of, signatures }
    }

    pub fn count(&self) -> u32 {
        UNNAMED + self.signatures.len() as u32
    }

    pub fn of_subject(&self, subject: &str) -> u32 {
        // The empty signature sorts first, so the signatures are sorted.
        let place = self.lists_of.get(subject).and_then(|lists| self.signatures.binary_search(lists).ok());
        UNNAMED + place.unwrap_or(0) as u32
    }

    pub fn holds(&self, class: u32, list: u32) -> bool {
        let signature = class.checked_sub(UNNAMED).and_then(|place| self.signatures.get(place as usize));
        signature.is_some_and(|lists| lists.binary_search(&list).is_ok())
    }
}

fn named_segments<'a>(rule: &'a Rule, segments: &'a [Segment]) -> impl Iterator<Item = &'a Segment> {
    rule.audience.segments().iter().filter_map(|key| segments.iter().find(|segment| segment.key == *key))
}

/// Whoever the rule names, itself or in the lists of its segments.
pub(super) fn listed<'a>(rule: &'a Rule, segments: &'a [Segment], kind: SubjectKind) -> impl Iterator<Item = &'a SubjectId> {
    let own = match (&rule.audience, kind) {
        (Audience::Some(targets), SubjectKind::User) => targets.users.as_slice(),
        (Audience::Some(targets), SubjectKind::Organization) => targets.organizations.as_slice(),
        _ => &[],
    };
    own.iter().chain(named_segments(rule, segments).flat_map(move |segment| match kind {
        SubjectKind::User => &segment.users,
        SubjectKind::Organization => &segment.organizations,
    }))
}

/// The rules, by side and place, in which something occurs.
type Rules = Vec<(usize, usize)>;

/// The conditions in sight, each taken to be true or false independently of the others. Those that occur in the same rules
/// cannot be told apart and are one question.
pub(super) struct Groups {
    by_occurrence: BTreeMap<Rules, usize>,
    /// Rules with a condition that is known to hold for everybody who is looked at.
    always: BTreeSet<(usize, usize)>,
}

impl Groups {
    pub fn of<'a>(change: &Change<'a>, states: &[State<'a>; 2]) -> Self {
        let mut always = BTreeSet::new();
        // A condition that reads an edited attribute, and depends on more, is a different one after the edit.
        let mut occurrences: Vec<(&Condition, Option<usize>, Rules)> = Vec::new();
        for (side, state) in states.iter().enumerate() {
            for (place, rule) in state.setting.rules.iter().enumerate() {
                for condition in named_segments(rule, state.segments).filter_map(|segment| segment.condition.as_ref()) {
                    let only = match change.edit.truth(condition, side) {
                        Truth::Known(holds) => {
                            if holds {
                                always.insert((side, place));
                            }
                            continue;
                        }
                        Truth::Edited => Some(side),
                        Truth::Open => None,
                    };
                    let known = occurrences.iter_mut().find(|(one, tag, _)| *tag == only && *one == condition);
                    match known {
                        Some((_, _, rules)) if rules.last() == Some(&(side, place)) => {}
                        Some((_, _, rules)) => rules.push((side, place)),
                        None => occurrences.push((condition, only, vec![(side, place)])),
                    }
                }
            }
        }
        let distinct: BTreeSet<Rules> = occurrences.into_iter().map(|(_, _, rules)| rules).collect();
        Self { by_occurrence: distinct.into_iter().zip(0..).collect(), always }
    }

    /// How many groups there are, numbered from 0.
    pub fn count(&self) -> usize {
        self.by_occurrence.len()
    }

    pub fn is_always(&self, side: usize, place: usize) -> bool {
        self.always.contains(&(side, place))
    }

    pub fn of_rule(&self, side: usize, place: usize) -> impl Iterator<Item = usize> {
        self.by_occurrence.iter().filter(move |(rules, _)| rules.contains(&(side, place))).map(|(_, group)| *group)
    }
}

enum Truth {
    Known(bool),
    /// Depends on the attributes that the change edits, and on others.
    Edited,
    Open,
}

impl Edit<'_> {
    fn truth(&self, condition: &Condition, side: usize) -> Truth {
        let Edit::Attributes { kind, before, after, .. } = self else {
            return Truth::Open;
        };
        if let Some(holds) = condition.known(*kind, if side == 0 { before } else { after }) {
            return Truth::Known(holds);
        }
        let mut names = before.iter().chain(after.iter()).map(|(name, _)| name);
        match names.any(|name| before.get(name) != after.get(name) && condition.mentions(*kind, name)) {
            true => Truth::Edited,
            false => Truth::Open,
        }
    }
}
