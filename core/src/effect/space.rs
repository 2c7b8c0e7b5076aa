//! Every context there could be, in finitely many classes.
//!
//! Evaluation asks a context only these questions: which of the lists in sight name its user, which its organization;
//! which segment conditions hold; in which bucket its user and its organization fall, for rollouts and for splits; and
//! whether an override stands for it. Contexts that answer all of them alike are served alike, before and after, so one of
//! each kind stands for all. The answers are finitely many: a list is in or out, and a bucket only matters by which
//! percentages it is below. Between two breakpoints of the schedules nothing changes, so each breakpoint stands for the
//! time after it.
//!
//! Some combinations of answers belong to no context: conditions are taken to be independent of each other, and ids of
//! their buckets. Looking at too many contexts can hide that nobody loses, but never that somebody does.
//!
//! The questions are asked in the order in which evaluation needs them, and a question that nobody asks is not split on:
//! [`Space::explore`] walks a decision tree instead of the whole product.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::audiences::{Classes, Groups, Targeted};
use super::{Change, Edit, State};
use crate::flag::{Flag, FlagValue};
use crate::rollout::{BUCKETS, Split};
use crate::setting::{Override, Rule, Serve};
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

/// How much is done before giving up, counted in rules looked at: an administrator waits for the answer, and others for
/// the administrator. Settings with at most one rule never give up.
const MAX_WORK: usize = 1 << 21;
/// The same for getting ready to look, which each instant costs once more.
const MAX_READYING: usize = 1 << 16;
/// How many groups of conditions are too many.
const MAX_GROUPS: usize = 256;

/// A question, by its number.
pub(super) type Question = usize;

/// Which class of subjects.
pub(super) fn class(kind: SubjectKind) -> Question {
    kind as usize
}

/// Which of the standing override values; 0 is none.
pub(super) fn override_value(kind: SubjectKind) -> Question {
    2 + kind as usize
}

pub(super) fn rollout_bucket(kind: SubjectKind) -> Question {
    4 + kind as usize
}

pub(super) fn split_bucket(kind: SubjectKind) -> Question {
    6 + kind as usize
}

/// Whether a group of conditions holds.
fn condition(group: usize) -> Question {
    8 + group
}

/// One side of the change.
pub(super) struct Side<'a> {
    pub flag: Option<&'a Flag>,
    pub state: State<'a>,
    pub rules: Vec<Facts<'a>>,
    pub overrides: [Source<'a>; 2],
}

/// Where a level's override comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Dropped,
    /// Written by this very change, for the one subject that is looked at.
    Written(Option<&'a Override>),
    /// Standing, with any of the values given.
    Standing,
}

/// A rule, and how its audience asks.
pub(super) struct Facts<'a> {
    pub rule: &'a Rule,
    pub number: usize,
    /// Whether it names any user, any organization.
    pub names: [bool; 2],
    /// One of its segments is known to hold everybody that is looked at.
    pub always: bool,
    pub conditions: Vec<Question>,
}

pub(super) struct Space<'a> {
    pub sides: [Side<'a>; 2],
    pub standing: [&'a [FlagValue]; 2],
    pub classes: [Classes<'a>; 2],
    /// Where the rules of the sides differ: from this place on, until these.
    pub differing: (usize, [usize; 2]),
    pub instant: Timestamp,
    /// The possible answers to each question.
    answers: Vec<Vec<u32>>,
    chosen: Vec<Option<u32>>,
    /// `None` where no end is set.
    visits_left: Option<usize>,
}

impl<'a> Space<'a> {
    pub fn new(change: &Change<'a>) -> Self {
        let states = [change.before, change.after];
        let targeted = Targeted::all(&states);
        let classes = SubjectKind::BOTH.map(|kind| Classes::of(&targeted, kind));
        let groups = Groups::of(&change.edit, &targeted);
        let side = |side: usize, state: State<'a>| Side {
            flag: state.flag,
            state,
            rules: targeted
                .iter()
                .enumerate()
                .filter(|(_, rule)| rule.side == side)
                .map(|(number, rule)| Facts {
                    rule: rule.rule,
                    number,
                    names: SubjectKind::BOTH.map(|kind| rule.listed(kind).next().is_some()),
                    always: groups.always(number),
                    conditions: groups.of_rule(number).map(condition).collect(),
                })
                .collect(),
            overrides: SubjectKind::BOTH.map(|kind| change.source(kind, side)),
        };
        let sides = [side(0, change.before), side(1, change.after)];
        let [before, after] = sides.each_ref().map(|side| side.rules.as_slice());
        let alike = |(one, other): &(&Facts<'a>, &Facts<'a>)| one.is_like(other, &targeted);
        let first = before.iter().zip(after).take_while(alike).count();
        let [rest_before, rest_after] = [before, after].map(|rules| rules.get(first..).unwrap_or_default());
        let last = rest_before.iter().rev().zip(rest_after.iter().rev()).take_while(alike).count();
        let differing = (first, [before.len() - last, after.len() - last]);
        let mut answers = vec![Vec::new(); condition(groups.count())];
        answers.iter_mut().skip(condition(0)).for_each(|truth| truth.extend([0, 1]));
        let standing = [change.standing.user, change.standing.organization];
        for kind in SubjectKind::BOTH {
            let classes = &classes[kind as usize];
            answers[class(kind)] = match change.subject(kind) {
                Some(subject) => vec![classes.of_subject(subject)],
                None => (0..classes.count()).collect(),
            };
            answers[override_value(kind)] = (0..=standing[kind as usize].len() as u32).collect();
        }
        let simple = states.iter().all(|state| state.setting.rules.len() <= 1);
        let visits_left = match (simple, groups.count()) {
            (true, _) => None,
            // Exploring goes as deep as there are questions; two to the power of these would be too many anyway.
            (false, MAX_GROUPS..) => Some(0),
            (false, _) => Some(MAX_WORK / states.iter().map(|state| state.setting.rules.len()).sum::<usize>().max(1)),
        };
        let chosen = vec![None; answers.len()];
        Self { sides, standing, classes, differing, instant: Timestamp::from_seconds(0), answers, chosen, visits_left }
    }

    /// Moves to an instant: buckets are told apart by the percentages that hold there, and, looking ahead, by those that
    /// they will reach later.
    pub fn stand_at(&mut self, instant: Timestamp, looking_ahead: bool) {
        self.instant = instant;
        for kind in SubjectKind::BOTH {
            let mut rollouts = BTreeSet::from([0]);
            let mut splits = BTreeSet::from([0]);
            for Facts { rule, .. } in self.sides.iter().flat_map(|side| &side.rules) {
                if rule.rollout.as_ref().is_some_and(|rollout| rollout.by == kind) {
                    let later = rule.opening(instant).filter(|_| looking_ahead).and_then(|opening| opening.percentage);
                    let percentages = rule.percentage(instant).into_iter().chain(later);
                    rollouts.extend(percentages.map(|percentage| percentage.thousandths()));
                }
                if let Serve::Split(split) = &rule.serve
                    && split.by == kind
                {
                    splits.extend(boundaries(split));
                }
            }
            // Nobody's bucket is as high as this.
            rollouts.remove(&BUCKETS);
            splits.remove(&BUCKETS);
            self.answers[rollout_bucket(kind)] = rollouts.into_iter().collect();
            self.answers[split_bucket(kind)] = splits.into_iter().collect();
        }
    }

    /// Shows `visit` one context of every class. It answers `Err` with the question that it needs answered first. `false`
    /// where it broke off, or where there were too many.
    pub fn explore(&mut self, visit: &mut impl FnMut(&Self) -> Result<ControlFlow<()>, Question>) -> bool {
        match &mut self.visits_left {
            None => {}
            Some(0) => return false,
            Some(left) => *left -= 1,
        }
        let question = match visit(self) {
            Ok(flow) => return flow.is_continue(),
            Err(question) => question,
        };
        let answers = std::mem::take(&mut self.answers[question]);
        let seen_all = answers.iter().all(|answer| {
            self.chosen[question] = Some(*answer);
            self.explore(visit)
        });
        self.chosen[question] = None;
        self.answers[question] = answers;
        seen_all
    }

    /// Whether there are more instants than can be looked at.
    pub fn too_long(&self, instants: usize) -> bool {
        let rules: usize = self.sides.iter().map(|side| side.rules.len()).sum();
        self.visits_left.is_some() && instants * rules > MAX_READYING
    }

    /// Sets how many places may be visited from now on, where an end is set at all.
    pub fn allow(&mut self, visits: usize) {
        let too_many = self.answers.len() >= condition(MAX_GROUPS);
        self.visits_left = self.visits_left.map(|_| if too_many { 0 } else { visits });
    }

    /// How many places may still be visited.
    pub fn visits_left(&self) -> usize {
        self.visits_left.unwrap_or(usize::MAX)
    }

    /// Looks only at subjects of this class; answers what was looked at, to be restored.
    pub fn only(&mut self, kind: SubjectKind, number: u32) -> Vec<u32> {
        std::mem::replace(&mut self.answers[class(kind)], vec![number])
    }

    pub fn restore(&mut self, kind: SubjectKind, classes: Vec<u32>) {
        self.answers[class(kind)] = classes;
    }

    /// The answer to a question; `Err` to have it asked.
    pub fn ask(&self, question: Question) -> Result<u32, Question> {
        self.chosen[question].ok_or(question)
    }

    /// The class of a subject.
    pub fn class_of(&self, kind: SubjectKind, subject: &str) -> u32 {
        self.classes[kind as usize].of_subject(subject)
    }
}

impl Facts<'_> {
    /// Whether this rule and that of the other side match the same contexts and serve them the same.
    fn is_like(&self, other: &Self, targeted: &[Targeted<'_>]) -> bool {
        let listed = |facts: &Self, kind| targeted.get(facts.number).into_iter().flat_map(move |rule| rule.listed(kind));
        self.rule == other.rule
            && (self.always, &self.conditions) == (other.always, &other.conditions)
            && SubjectKind::BOTH.into_iter().all(|kind| listed(self, kind).eq(listed(other, kind)))
    }
}

/// The first bucket of each variant but the first: the least with bucket × total ≥ cumulative × 100 000.
fn boundaries(split: &Split) -> impl Iterator<Item = u32> {
    let total = split.total().max(1);
    let mut cumulative = 0;
    split.variants.iter().map(move |variant| {
        cumulative += u64::from(variant.weight);
        (cumulative * u64::from(BUCKETS)).div_ceil(total) as u32
    })
}

impl<'a> Change<'a> {
    fn source(&self, kind: SubjectKind, side: usize) -> Source<'a> {
        match self.edit {
            Edit::Override { level, before, after, .. } if level == kind => {
                Source::Written(if side == 0 { before } else { after })
            }
            _ if side == 1 && self.dropped[kind as usize] => Source::Dropped,
            _ => Source::Standing,
        }
    }

    /// The one subject of this kind that the change is about.
    pub(super) fn subject(&self, kind: SubjectKind) -> Option<&'a str> {
        match self.edit {
            Edit::Override { level, subject, .. } if level == kind => Some(subject),
            Edit::Attributes { kind: edited, subject, .. } if edited == kind => Some(subject),
            _ => None,
        }
    }
}
