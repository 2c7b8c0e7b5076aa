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
use std::ops::{ControlFlow, Range};

use super::audiences::{Classes, Groups, NOBODY, Targeted};
use super::{Change, Edit, State};
use crate::audience::Audience;
use crate::flag::{Flag, FlagType, FlagValue};
use crate::rollout::{BUCKETS, Percentage, Split};
use crate::setting::{Override, Rule, Serve};
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

/// How many places of the decision tree are visited before giving up. Settings with at most one rule never give up.
const MAX_VISITS: usize = 1 << 18;
/// How many groups of conditions are too many.
const MAX_GROUPS: usize = 256;

/// A question, by its number.
pub(super) type Question = usize;

/// Which class of subjects.
pub(super) fn class(kind: SubjectKind) -> Question {
    kind as usize
}

/// Which of the standing override values; 0 is none.
fn override_value(kind: SubjectKind) -> Question {
    2 + kind as usize
}

fn rollout_bucket(kind: SubjectKind) -> Question {
    4 + kind as usize
}

fn split_bucket(kind: SubjectKind) -> Question {
    6 + kind as usize
}

/// Whether a group of conditions holds.
fn condition(group: usize) -> Question {
    8 + group
}

/// What a context is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served<'a> {
    /// `None` where a flag that is not boolean is absent.
    pub value: Option<&'a FlagValue>,
    pub by_rule: bool,
}

/// One side of the change.
pub(super) struct Side<'a> {
    pub flag: Option<&'a Flag>,
    pub state: State<'a>,
    pub rules: Vec<Facts<'a>>,
    overrides: [Source<'a>; 2],
}

/// Where a level's override comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Dropped,
    /// Written by this very change, for the one subject that is looked at.
    Written(Option<&'a Override>),
    /// Standing, with any of the values given.
    Standing,
}

/// A rule, and how its audience asks.
pub(super) struct Facts<'a> {
    pub rule: &'a Rule,
    number: usize,
    /// Whether it names any user, any organization.
    names: [bool; 2],
    /// One of its segments is known to hold everybody that is looked at.
    always: bool,
    conditions: Vec<Question>,
}

pub(super) struct Space<'a> {
    pub sides: [Side<'a>; 2],
    standing: [&'a [FlagValue]; 2],
    classes: [Classes<'a>; 2],
    /// Where the rules of the sides differ: from this place on, until these.
    differing: (usize, [usize; 2]),
    pub instant: Timestamp,
    /// The possible answers to each question.
    answers: Vec<Vec<u32>>,
    chosen: Vec<Option<u32>>,
    visits_left: usize,
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
            (true, _) => usize::MAX,
            // Exploring goes as deep as there are questions; two to the power of these would be too many anyway.
            (false, MAX_GROUPS..) => 0,
            (false, _) => MAX_VISITS,
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
        let Some(left) = self.visits_left.checked_sub(1) else {
            return false;
        };
        self.visits_left = left;
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

    /// The answer to a question; `Err` to have it asked.
    pub fn ask(&self, question: Question) -> Result<u32, Question> {
        self.chosen[question].ok_or(question)
    }

    /// The class of a subject.
    pub fn class_of(&self, kind: SubjectKind, subject: &str) -> u32 {
        self.classes[kind as usize].of_subject(subject)
    }

    /// What the context is served before and after, where the two differ and the caller cares to `learn` it.
    ///
    /// Rules that stand at the beginning or at the end of both sides alike are asked last, or not at all: whoever matches
    /// none of the others, or gets the same from them, is served the same on both sides whatever these say.
    pub fn difference(
        &self,
        learn: impl Fn(Served<'a>, Served<'a>) -> bool,
    ) -> Result<Option<(Served<'a>, Served<'a>)>, Question> {
        let differing =
            |before: Served<'a>, after: Served<'a>| Some((before, after)).filter(|_| before.value != after.value);
        let [before, after] = &self.sides;
        match (self.above_rules(before)?, self.above_rules(after)?) {
            (Some(before), Some(after)) => return Ok(differing(before, after)),
            (Some(served), None) => return Ok(differing(served, self.served_from(after, 0)?)),
            (None, Some(served)) => return Ok(differing(self.served_from(before, 0)?, served)),
            (None, None) => {}
        }
        let (first, [until_before, until_after]) = self.differing;
        let own_before = self.first_match(before, first..until_before)?;
        let own_after = self.first_match(after, first..until_after)?;
        let below = self.below_rules(before).value == self.below_rules(after).value;
        let (served_before, served_after) = match (own_before, own_after) {
            (None, None) if below => return Ok(None),
            (Some(before), Some(after)) => (before, after),
            (Some(served), None) => (served, self.served_from(after, until_after)?),
            (None, Some(served)) => (self.served_from(before, until_before)?, served),
            (None, None) => (self.served_from(before, until_before)?, self.served_from(after, until_after)?),
        };
        if differing(served_before, served_after).is_none() || !learn(served_before, served_after) {
            return Ok(None);
        }
        match self.first_match(before, 0..first)? {
            Some(_) => Ok(None),
            None => Ok(Some((served_before, served_after))),
        }
    }

    /// What the levels above the rules serve, where they decide.
    fn above_rules(&self, side: &Side<'a>) -> Result<Option<Served<'a>>, Question> {
        let plainly = |value| Served { value, by_rule: false };
        let Some(flag) = side.flag else {
            return Ok(Some(plainly(self.absent())));
        };
        if !side.state.setting.enabled {
            return Ok(Some(plainly(Some(flag.off_value()))));
        }
        for kind in SubjectKind::BOTH {
            if let Some(value) = self.overridden(side, kind)? {
                return Ok(Some(plainly(Some(value))));
            }
        }
        Ok(None)
    }

    /// What the first of these rules that matches serves.
    fn first_match(&self, side: &Side<'a>, places: Range<usize>) -> Result<Option<Served<'a>>, Question> {
        for facts in side.rules.get(places).unwrap_or_default() {
            if self.reaches_now(facts)?
                && let Some(value) = self.serves(facts.rule)?
            {
                return Ok(Some(Served { value: Some(value), by_rule: true }));
            }
        }
        Ok(None)
    }

    /// What the levels below the rules serve.
    fn below_rules(&self, side: &Side<'a>) -> Served<'a> {
        let value = side.state.setting.value.as_ref().or(side.flag.map(|flag| &flag.default_value));
        Served { value, by_rule: false }
    }

    fn served_from(&self, side: &Side<'a>, place: usize) -> Result<Served<'a>, Question> {
        let served = self.first_match(side, place..side.rules.len())?;
        Ok(served.unwrap_or_else(|| self.below_rules(side)))
    }

    /// What an absent flag is read as: a boolean is `false`, others are nothing.
    pub fn absent(&self) -> Option<&'a FlagValue> {
        let flag = self.sides.iter().find_map(|side| side.flag)?;
        (flag.flag_type == FlagType::Boolean).then_some(&FlagValue::Boolean(false))
    }

    /// The override that this change writes, while it holds.
    pub fn written(&self, side: usize, kind: SubjectKind) -> Option<&'a FlagValue> {
        self.written_on(&self.sides[side], kind)
    }

    fn written_on(&self, side: &Side<'a>, kind: SubjectKind) -> Option<&'a FlagValue> {
        match side.overrides[kind as usize] {
            Source::Written(row) => row.filter(|row| row.holds(self.instant)).map(|row| &row.value),
            Source::Dropped | Source::Standing => None,
        }
    }

    fn overridden(&self, side: &Side<'a>, kind: SubjectKind) -> Result<Option<&'a FlagValue>, Question> {
        match side.overrides[kind as usize] {
            Source::Dropped => Ok(None),
            Source::Written(_) => Ok(self.written_on(side, kind)),
            Source::Standing => {
                let standing: &'a [FlagValue] = self.standing[kind as usize];
                if standing.is_empty() {
                    return Ok(None);
                }
                let Some(place) = self.ask(override_value(kind))?.checked_sub(1) else {
                    return Ok(None);
                };
                Ok(if self.ask(class(kind))? == NOBODY { None } else { standing.get(place as usize) })
            }
        }
    }

    /// Whether the rule is open, its audience holds the context and its rollout includes it.
    pub fn reaches_now(&self, facts: &Facts<'_>) -> Result<bool, Question> {
        let open = facts.rule.schedule.as_ref().is_none_or(|schedule| schedule.is_open(self.instant));
        Ok(open && self.reaches(facts, facts.rule.percentage(self.instant))?)
    }

    /// Whether the rule's audience holds the context and its rollout, at this percentage, includes it.
    pub fn reaches(&self, facts: &Facts<'_>, percentage: Option<Percentage>) -> Result<bool, Question> {
        if !self.in_audience(facts)? {
            return Ok(false);
        }
        match (&facts.rule.rollout, percentage) {
            (Some(rollout), Some(percentage)) => {
                Ok(self.ask(class(rollout.by))? != NOBODY
                    && self.ask(rollout_bucket(rollout.by))? < percentage.thousandths())
            }
            _ => Ok(true),
        }
    }

    fn in_audience(&self, facts: &Facts<'_>) -> Result<bool, Question> {
        match &facts.rule.audience {
            Audience::None => return Ok(false),
            Audience::All => return Ok(true),
            Audience::Some(_) if facts.always => return Ok(true),
            Audience::Some(_) => {}
        }
        for kind in SubjectKind::BOTH {
            if facts.names[kind as usize] && self.classes[kind as usize].named(self.ask(class(kind))?, facts.number) {
                return Ok(true);
            }
        }
        for question in &facts.conditions {
            if self.ask(*question)? == 1 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a rule that reaches the context serves it; `None` where its split needs a subject that is lacking.
    pub fn serves(&self, rule: &'a Rule) -> Result<Option<&'a FlagValue>, Question> {
        match &rule.serve {
            Serve::Value(value) => Ok(Some(value)),
            Serve::Split(split) if self.ask(class(split.by))? == NOBODY => Ok(None),
            Serve::Split(split) => {
                let bucket = self.ask(split_bucket(split.by))?;
                Ok(split.variant(bucket).map(|variant| &variant.value))
            }
        }
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
    fn subject(&self, kind: SubjectKind) -> Option<&'a str> {
        match self.edit {
            Edit::Override { level, subject, .. } if level == kind => Some(subject),
            Edit::Attributes { kind: edited, subject, .. } if edited == kind => Some(subject),
            _ => None,
        }
    }
}
