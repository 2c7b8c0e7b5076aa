//! The audiences in sight, reduced to what tells contexts apart: which lists name a subject, which conditions hold.

use std::collections::{BTreeMap, BTreeSet};

use super::{Edit, State};
use crate::audience::Audience;
use crate::condition::Condition;
use crate::segment::{Segment, SegmentKey};
use crate::setting::Rule;
use crate::subject::{SubjectId, SubjectKind};

/// The class of contexts without the subject.
pub(super) const NOBODY: u32 = 0;
/// The class of subjects that no list names.
const UNNAMED: u32 = 1;

/// A rule with its segments at hand.
pub(super) struct Targeted<'a> {
    /// 0 before the change, 1 after it.
    pub side: usize,
    pub rule: &'a Rule,
    segments: Vec<&'a Segment>,
}

impl<'a> Targeted<'a> {
    /// The rules of both sides. Everywhere here a rule goes by its place in this list.
    pub fn all(states: &[State<'a>; 2]) -> Vec<Self> {
        let mut all = Vec::new();
        for (side, state) in states.iter().enumerate() {
            let by_key: BTreeMap<&SegmentKey, &Segment> =
                state.segments.iter().map(|segment| (&segment.key, segment)).collect();
            all.extend(state.setting.rules.iter().map(|rule| {
                let segments = rule.audience.segments().iter().filter_map(|key| by_key.get(key).copied());
                Self { side, rule, segments: segments.collect() }
            }));
        }
        all
    }

    /// Whoever the rule names, itself or in the lists of its segments.
    pub fn listed(&self, kind: SubjectKind) -> impl Iterator<Item = &'a SubjectId> {
        let own: &[SubjectId] = match (&self.rule.audience, kind) {
            (Audience::Some(targets), SubjectKind::User) => &targets.users,
            (Audience::Some(targets), SubjectKind::Organization) => &targets.organizations,
            _ => &[],
        };
        own.iter().chain(self.segments.iter().flat_map(move |segment| match kind {
            SubjectKind::User => &segment.users,
            SubjectKind::Organization => &segment.organizations,
        }))
    }
}

/// Subjects of one kind by the rules that name them: those that the same rules name are one class.
pub(super) struct Classes<'a> {
    named_by: BTreeMap<&'a str, Vec<usize>>,
    /// In the order of the class numbers, from `UNNAMED` on.
    signatures: Vec<Vec<usize>>,
}

impl<'a> Classes<'a> {
    pub fn of(rules: &[Targeted<'a>], kind: SubjectKind) -> Self {
        let mut named_by: BTreeMap<&'a str, Vec<usize>> = BTreeMap::new();
        for (place, rule) in rules.iter().enumerate() {
            for id in rule.listed(kind) {
                let signature = named_by.entry(id.as_str()).or_default();
                if signature.last() != Some(&place) {
                    signature.push(place);
                }
            }
        }
        let distinct: BTreeSet<&Vec<usize>> = named_by.values().collect();
        let signatures = std::iter::once(Vec::new()).chain(distinct.into_iter().cloned()).collect();
        Self { named_by, signatures }
    }

    /// How many classes there are, numbered from `NOBODY` on.
    pub fn count(&self) -> u32 {
        UNNAMED + self.signatures.len() as u32
    }

    pub fn of_subject(&self, subject: &str) -> u32 {
        // The empty signature comes first, so the signatures are sorted.
        let place = self.named_by.get(subject).and_then(|signature| self.signatures.binary_search(signature).ok());
        UNNAMED + place.unwrap_or(0) as u32
    }

    /// Whether the rule names the subjects of this class.
    pub fn named(&self, class: u32, rule: usize) -> bool {
        let signature = class.checked_sub(UNNAMED).and_then(|place| self.signatures.get(place as usize));
        signature.is_some_and(|rules| rules.binary_search(&rule).is_ok())
    }
}

/// The conditions in sight, each taken to be true or false independently of the others. Those that occur in the same rules
/// cannot be told apart and are one group.
pub(super) struct Groups {
    /// By the rules in which they occur.
    groups: BTreeMap<Vec<usize>, usize>,
    /// Rules with a condition that is known to hold for everybody who is looked at.
    always: BTreeSet<usize>,
}

impl Groups {
    pub fn of(edit: &Edit<'_>, rules: &[Targeted<'_>]) -> Self {
        let mut always = BTreeSet::new();
        // Each different condition, and the rules in which it occurs. One that reads an edited attribute, and depends on
        // more, is a different one after the edit: it stands for one side only.
        let mut conditions: Vec<(&Condition, Option<usize>)> = Vec::new();
        let mut occurrences: Vec<Vec<usize>> = Vec::new();
        // A segment that many rules name is compared once.
        let mut places: BTreeMap<(usize, &SegmentKey), usize> = BTreeMap::new();
        for (place, rule) in rules.iter().enumerate() {
            for segment in &rule.segments {
                let Some(condition) = &segment.condition else { continue };
                let only = match edit.truth(condition, rule.side) {
                    Truth::Known(holds) => {
                        if holds {
                            always.insert(place);
                        }
                        continue;
                    }
                    Truth::Edited => Some(rule.side),
                    Truth::Open => None,
                };
                let number = *places.entry((rule.side, &segment.key)).or_insert_with(|| {
                    conditions.iter().position(|known| *known == (condition, only)).unwrap_or_else(|| {
                        conditions.push((condition, only));
                        occurrences.push(Vec::new());
                        conditions.len() - 1
                    })
                });
                if let Some(occurrence) = occurrences.get_mut(number)
                    && occurrence.last() != Some(&place)
                {
                    occurrence.push(place);
                }
            }
        }
        let distinct: BTreeSet<Vec<usize>> = occurrences.into_iter().collect();
        Self { groups: distinct.into_iter().zip(0..).collect(), always }
    }

    /// How many groups there are, numbered from 0.
    pub fn count(&self) -> usize {
        self.groups.len()
    }

    /// Whether the rule is known to hold everybody who is looked at.
    pub fn always(&self, rule: usize) -> bool {
        self.always.contains(&rule)
    }

    /// The groups of which one is enough for the rule.
    pub fn of_rule(&self, rule: usize) -> impl Iterator<Item = usize> {
        self.groups.iter().filter(move |(rules, _)| rules.binary_search(&rule).is_ok()).map(|(_, group)| *group)
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
        match condition.mentions_edited(*kind, before, after) {
            true => Truth::Edited,
            false => Truth::Open,
        }
    }
}
