//! What keeps newly covered contexts from their new value.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;

use super::Change;
use super::space::{Facts, Question, Side, Space};
use crate::flag::FlagValue;
use crate::setting::{Override, Rule, Serve};
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

/// An override that stands while a change is made, as a candidate for a holdout.
#[derive(Debug, Clone, Copy)]
pub struct StandingOverride<'a> {
    pub level: SubjectKind,
    pub subject: &'a str,
    pub row: &'a Override,
}

/// What keeps a newly covered context from its new value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holdout {
    pub level: HoldoutLevel,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The place of the rule that comes first, or whose schedule is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// What is served instead; `None` where that depends on the context.
    pub value: Option<FlagValue>,
    /// The override's note, or the rule's description.
    pub note: Option<String>,
    /// When the override expires by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the schedule first lets somebody more in by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    /// For people; the wording may change.
    pub why: String,
}

/// What holds out, in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldoutLevel {
    Disabled,
    User,
    Organization,
    /// An earlier rule with another value.
    Rule,
    /// The rule is not open yet, or its rollout reaches further only later.
    Schedule,
    /// The environment's value, before a default value that changed.
    Environment,
}

/// A level after the change that may have something new.
#[derive(Clone, Copy, PartialEq)]
enum Offer {
    Written(SubjectKind),
    Rule(usize),
    Environment,
    Default,
}

/// What an offer holds for one context.
struct Covered<'a> {
    value: &'a FlagValue,
    /// Its schedule lets the context in only later.
    waits: bool,
}

const BEFORE: usize = 0;
const AFTER: usize = 1;

pub(super) fn find<'c>(
    change: &Change<'_>,
    now: Timestamp,
    candidates: impl IntoIterator<Item = StandingOverride<'c>>,
) -> Vec<Holdout> {
    let mut search = Search { space: Space::new(change), visits_left: MAX_VISITS };
    search.space.stand_at(now, true);
    let offers: Vec<Offer> = search.offers().into_iter().filter(|offer| search.any(*offer, |_, _| Ok(true))).collect();
    let mut holdouts = search.levels(&offers);
    // Subjects of one class are held out alike from one value by another.
    let mut known: BTreeMap<(SubjectKind, u32), Vec<(&FlagValue, bool)>> = BTreeMap::new();
    for candidate in candidates {
        let StandingOverride { level, subject, row } = candidate;
        let about_another = change.subject(level).is_some_and(|edited| edited != subject);
        if !row.holds(now) || change.dropped[level as usize] || about_another {
            continue;
        }
        let class = search.space.class_of(level, subject);
        let judged = known.entry((level, class)).or_default();
        let holds_out = match judged.iter().find(|(value, _)| **value == row.value) {
            Some((_, holds_out)) => *holds_out,
            None => {
                let holds_out = search.holds_out(&offers, level, class, &row.value);
                judged.push((&row.value, holds_out));
                holds_out
            }
        };
        if holds_out {
            holdouts.push(overridden(candidate));
        }
    }
    holdouts.sort_by_key(|holdout| holdout.level);
    holdouts
}

fn overridden(candidate: StandingOverride<'_>) -> Holdout {
    let StandingOverride { level, subject, row } = candidate;
    let named = |kind| (level == kind).then(|| subject.to_owned());
    let level = match level {
        SubjectKind::User => HoldoutLevel::User,
        SubjectKind::Organization => HoldoutLevel::Organization,
    };
    let mut holdout = Holdout::new(level, Some(row.value.clone()), format!("`{subject}` has an override"));
    holdout.user = named(SubjectKind::User);
    holdout.organization = named(SubjectKind::Organization);
    holdout.note = row.note.clone();
    holdout.expires_at = row.expires_at;
    holdout
}

/// How many places of the decision tree are visited for all holdouts together, and for one question about them. Beyond
/// that a holdout may be left out; settings with at most one rule never get there.
const MAX_VISITS: usize = 1 << 20;
const MAX_VISITS_EACH: usize = 1 << 14;

/// Looks for one context at a time that shows what is asked.
struct Search<'a> {
    space: Space<'a>,
    visits_left: usize,
}

impl<'a> Search<'a> {
    /// What may have something new. A rule that stands on both sides alike has not, unless the flag came to life.
    fn offers(&self) -> Vec<Offer> {
        let [before, after] = &self.space.sides;
        let alive = |side: &Side<'_>| side.flag.is_some() && side.state.setting.enabled;
        let rules = if alive(before) == alive(after) && before.flag.is_some() {
            let (first, [_, until]) = self.space.differing;
            first..until
        } else {
            0..after.rules.len()
        };
        let written = SubjectKind::BOTH.map(Offer::Written);
        written.into_iter().chain(rules.map(Offer::Rule)).chain([Offer::Environment, Offer::Default]).collect()
    }

    /// Whether the offer newly covers any context of which this is true.
    fn any(&mut self, offer: Offer, is_it: impl Fn(&Space<'a>, &Covered<'a>) -> Result<bool, Question>) -> bool {
        let allowed = self.visits_left.min(MAX_VISITS_EACH);
        self.space.allow(allowed);
        let mut found = false;
        self.space.explore(&mut |space| {
            // What is asked first is decided last: the narrow questions, so that the broad ones find their first answer.
            if let Some(covered) = space.covered(offer)? {
                found = is_it(space, &covered)? && !space.offered_before(&covered)?;
            }
            Ok(if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        self.visits_left -= allowed.saturating_sub(self.space.visits_left());
        found
    }

    /// The holdouts that are no overrides.
    fn levels(&mut self, offers: &[Offer]) -> Vec<Holdout> {
        let mut holdouts = Vec::new();
        let Some(flag) = self.space.sides[AFTER].flag else {
            return holdouts;
        };
        let setting = self.space.sides[AFTER].state.setting;
        let off = flag.off_value();
        if !setting.enabled && offers.iter().any(|offer| self.any(*offer, |_, covered| Ok(covered.value != off))) {
            let why = "the flag is disabled in this environment".to_owned();
            holdouts.push(Holdout::new(HoldoutLevel::Disabled, Some(off.clone()), why));
        }
        for (place, rule) in setting.rules.iter().enumerate() {
            let later = |offer: &&Offer| match offer {
                Offer::Written(_) => false,
                Offer::Rule(offered) => place < *offered,
                Offer::Environment | Offer::Default => true,
            };
            if offers
                .iter()
                .filter(later)
                .any(|offer| self.any(*offer, |space, covered| space.comes_first(place, covered.value)))
            {
                let why = format!("the rule {place} comes first");
                holdouts.push(Holdout::of_rule(HoldoutLevel::Rule, place, rule, why));
            }
        }
        for offer in offers {
            if let Offer::Rule(place) = *offer
                && let Some((rule, opening)) =
                    setting.rules.get(place).and_then(|rule| Some((rule, rule.opening(self.space.instant)?)))
                && self.any(*offer, |_, covered| Ok(covered.waits))
            {
                let why = format!("the schedule of the rule {place} reaches further only from {} on", opening.at);
                let mut holdout = Holdout::of_rule(HoldoutLevel::Schedule, place, rule, why);
                holdout.value = None;
                holdout.opens_at = Some(opening.at);
                holdouts.push(holdout);
            }
        }
        if let Some(value) = &setting.value
            && offers.contains(&Offer::Default)
            && self.any(Offer::Default, |space, covered| Ok(covered.value != value && space.reaches_environment()?))
        {
            let why = "this environment sets a value".to_owned();
            holdouts.push(Holdout::new(HoldoutLevel::Environment, Some(value.clone()), why));
        }
        holdouts
    }

    /// Whether an override of this value keeps anybody of this class from something new.
    fn holds_out(&mut self, offers: &[Offer], level: SubjectKind, class: u32, value: &FlagValue) -> bool {
        let all = self.space.only(level, class);
        let below = |offer: &&Offer| match offer {
            Offer::Written(written) => level < *written,
            Offer::Rule(_) | Offer::Environment | Offer::Default => true,
        };
        let held_out = offers.iter().filter(below).any(|offer| self.any(*offer, |_, covered| Ok(covered.value != value)));
        self.space.restore(level, all);
        held_out
    }
}

impl<'a> Space<'a> {
    /// Whether this rule, and none before it, serves the context another value.
    fn comes_first(&self, place: usize, value: &FlagValue) -> Result<bool, Question> {
        let after = &self.sides[AFTER];
        let served = self.first_match(after, place..place + 1)?;
        Ok(served.is_some_and(|served| served.value != Some(value)) && self.first_match(after, 0..place)?.is_none())
    }

    fn reaches_environment(&self) -> Result<bool, Question> {
        let after = &self.sides[AFTER];
        Ok(self.first_match(after, 0..after.rules.len())?.is_none())
    }

    /// What the offer holds for the context. For a boolean, covering means `true`.
    fn covered(&self, offer: Offer) -> Result<Option<Covered<'a>>, Question> {
        let covered = self.held(offer)?;
        Ok(covered.filter(|covered| *covered.value != FlagValue::Boolean(false)))
    }

    fn held(&self, offer: Offer) -> Result<Option<Covered<'a>>, Question> {
        let after = &self.sides[AFTER];
        let Some(flag) = after.flag else {
            return Ok(None);
        };
        let live = |value| Covered { value, waits: false };
        match offer {
            Offer::Written(kind) => Ok(self.written(after, kind).map(live)),
            Offer::Rule(place) => self.covered_by(&after.rules[place]),
            Offer::Environment => Ok(after.state.setting.value.as_ref().map(live)),
            Offer::Default => Ok(Some(live(&flag.default_value))),
        }
    }

    /// What a rule serves the context, now or once its schedule lets it in.
    fn covered_by(&self, facts: &Facts<'a>) -> Result<Option<Covered<'a>>, Question> {
        let waits = !self.reaches_now(facts)?;
        if waits {
            match facts.rule.opening(self.instant) {
                Some(opening) if self.reaches(facts, opening.percentage)? => {}
                _ => return Ok(None),
            }
        }
        Ok(self.serves(facts.rule)?.map(|value| Covered { value, waits }))
    }

    /// Whether some level before the change had this value for the context: there and then, or also behind a closed
    /// schedule or a disabled flag.
    fn offered_before(&self, covered: &Covered<'a>) -> Result<bool, Question> {
        let Covered { value, waits } = *covered;
        let live = self.sides[AFTER].state.setting.enabled && !waits;
        let before = &self.sides[BEFORE];
        let Some(flag) = before.flag else {
            return Ok(self.absent() == Some(value));
        };
        if !before.state.setting.enabled {
            if flag.off_value() == value {
                return Ok(true);
            }
            if live {
                return Ok(false);
            }
        }
        if SubjectKind::BOTH.into_iter().any(|kind| self.written(before, kind) == Some(value)) {
            return Ok(true);
        }
        if before.state.setting.value.as_ref() == Some(value) || flag.default_value == *value {
            return Ok(true);
        }
        for facts in &before.rules {
            if !facts.rule.serve.values().any(|one| one == value) {
                continue;
            }
            let covered = self.covered_by(facts)?;
            if covered.is_some_and(|covered| covered.value == value && !(live && covered.waits)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Holdout {
    fn new(level: HoldoutLevel, value: Option<FlagValue>, why: String) -> Self {
        Self { level, user: None, organization: None, rule: None, value, note: None, expires_at: None, opens_at: None, why }
    }

    fn of_rule(level: HoldoutLevel, place: usize, rule: &Rule, why: String) -> Self {
        let value = match &rule.serve {
            Serve::Value(value) => Some(value.clone()),
            Serve::Split(_) => None,
        };
        let note = Some(rule.description.clone()).filter(|description| !description.is_empty());
        Self { rule: Some(place), note, ..Self::new(level, value, why) }
    }
}
