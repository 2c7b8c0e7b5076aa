//! What keeps newly covered contexts from their new value.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde::Serialize;

use super::Change;
use super::space::{Facts, Question, Space, class};
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
#[derive(Clone, Copy)]
enum Offer {
    Written(SubjectKind),
    Rule(usize),
    Environment,
    Default,
}

/// What an offer holds for one context.
struct Covered<'a> {
    value: &'a FlagValue,
    /// When its schedule lets the context in; `None` where it does already.
    opens_at: Option<Timestamp>,
}

const BEFORE: usize = 0;
const AFTER: usize = 1;

pub(super) fn find<'c>(
    change: &Change<'_>,
    now: Timestamp,
    candidates: impl IntoIterator<Item = StandingOverride<'c>>,
) -> Vec<Holdout> {
    let mut found = Found::default();
    let mut space = Space::new(change);
    space.stand_at(now, true);
    let offers = [Offer::Written(SubjectKind::User), Offer::Written(SubjectKind::Organization)]
        .into_iter()
        .chain((0..space.sides[AFTER].rules.len()).map(Offer::Rule))
        .chain([Offer::Environment, Offer::Default]);
    for offer in offers {
        // Breaking off for size leaves out a holdout, in settings for which the effect is `mixed` anyway.
        space.explore(&mut |space| space.look(offer, &mut found).map(|()| ControlFlow::Continue(())));
    }
    let mut holdouts = found.holdouts(&space);
    for candidate in candidates {
        let StandingOverride { level, subject, row } = candidate;
        let class = space.class_of(level, subject);
        let newly = found.newly.get(&(level, class)).into_iter().flatten();
        if row.holds(now) && !change.dropped[level as usize] && newly.clone().any(|new| **new != row.value) {
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

/// What was found so far.
#[derive(Default)]
struct Found<'a> {
    disabled: bool,
    /// Rules that come before an offer.
    rules: BTreeSet<usize>,
    /// Rules that open later, and when first.
    schedules: BTreeMap<usize, Timestamp>,
    environment: bool,
    /// The new values of each class of subjects.
    newly: BTreeMap<(SubjectKind, u32), Vec<&'a FlagValue>>,
}

impl<'a> Space<'a> {
    /// Looks at one context: is it newly covered by this offer, and what comes before it.
    fn look(&self, offer: Offer, found: &mut Found<'a>) -> Result<(), Question> {
        let Some(covered) = self.covered(offer)? else {
            return Ok(());
        };
        let value = covered.value;
        // For a boolean, covering means `true`.
        if *value == FlagValue::Boolean(false) {
            return Ok(());
        }
        let after = &self.sides[AFTER];
        let live = after.state.setting.enabled && covered.opens_at.is_none();
        if self.offered_before(value, live)? {
            return Ok(());
        }
        let overridable: &[SubjectKind] = match offer {
            Offer::Written(SubjectKind::User) => &[],
            Offer::Written(SubjectKind::Organization) => &[SubjectKind::User],
            Offer::Rule(_) | Offer::Environment | Offer::Default => &SubjectKind::BOTH,
        };
        for kind in overridable {
            self.ask(class(*kind))?;
        }
        let earlier = self.earlier(offer)?;
        // Everything has been asked: from here on, only noting.
        for kind in overridable {
            let newly = found.newly.entry((*kind, self.ask(class(*kind))?)).or_default();
            if !newly.contains(&value) {
                newly.push(value);
            }
        }
        if !after.state.setting.enabled && after.flag.is_some_and(|flag| flag.off_value() != value) {
            found.disabled = true;
        }
        match earlier {
            Some((Offer::Rule(place), other)) if other != value => {
                found.rules.insert(place);
            }
            Some((Offer::Environment, other)) if other != value => found.environment = true,
            _ => {}
        }
        if let (Offer::Rule(place), Some(opens_at)) = (offer, covered.opens_at) {
            let first = found.schedules.entry(place).or_insert(opens_at);
            *first = opens_at.min(*first);
        }
        Ok(())
    }

    fn covered(&self, offer: Offer) -> Result<Option<Covered<'a>>, Question> {
        let after = &self.sides[AFTER];
        let Some(flag) = after.flag else {
            return Ok(None);
        };
        let live = |value| Covered { value, opens_at: None };
        match offer {
            Offer::Written(kind) => Ok(self.written(after, kind).map(live)),
            Offer::Rule(place) => self.covered_by(&after.rules[place]),
            Offer::Environment => Ok(after.state.setting.value.as_ref().map(live)),
            Offer::Default => Ok(Some(live(&flag.default_value))),
        }
    }

    /// What a rule serves the context, now or once its schedule lets it in.
    fn covered_by(&self, facts: &Facts<'a>) -> Result<Option<Covered<'a>>, Question> {
        let opens_at = if self.reaches_now(facts)? {
            None
        } else {
            match facts.rule.opening(self.instant) {
                Some(opening) if self.reaches(facts, opening.percentage)? => Some(opening.at),
                _ => return Ok(None),
            }
        };
        Ok(self.serves(facts.rule)?.map(|value| Covered { value, opens_at }))
    }

    /// Whether some level before the change had this value for the context: there and then, or also behind a closed
    /// schedule or a disabled flag.
    fn offered_before(&self, value: &FlagValue, live: bool) -> Result<bool, Question> {
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
            if covered.is_some_and(|covered| covered.value == value && !(live && covered.opens_at.is_some())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first level below the overrides that already decides before this offer.
    fn earlier(&self, offer: Offer) -> Result<Option<(Offer, &'a FlagValue)>, Question> {
        let after = &self.sides[AFTER];
        let rules = match offer {
            Offer::Written(_) => 0,
            Offer::Rule(place) => place,
            Offer::Environment | Offer::Default => after.rules.len(),
        };
        for (place, facts) in after.rules.iter().enumerate().take(rules) {
            let covered = self.covered_by(facts)?;
            if let Some(Covered { value, opens_at: None }) = covered {
                return Ok(Some((Offer::Rule(place), value)));
            }
        }
        let environment = after.state.setting.value.as_ref().filter(|_| matches!(offer, Offer::Default));
        Ok(environment.map(|value| (Offer::Environment, value)))
    }
}

impl Found<'_> {
    fn holdouts(&self, space: &Space<'_>) -> Vec<Holdout> {
        let after = &space.sides[AFTER];
        let mut holdouts = Vec::new();
        if self.disabled {
            let off = after.flag.map(|flag| flag.off_value().clone());
            holdouts.push(Holdout::new(HoldoutLevel::Disabled, off, "the flag is disabled in this environment".to_owned()));
        }
        for place in &self.rules {
            let why = format!("the rule {place} comes first");
            holdouts.push(Holdout::of_rule(HoldoutLevel::Rule, *place, after.rules[*place].rule, why));
        }
        for (place, opens_at) in &self.schedules {
            let why = format!("the schedule of the rule {place} reaches further only from {opens_at} on");
            let mut holdout = Holdout::of_rule(HoldoutLevel::Schedule, *place, after.rules[*place].rule, why);
            holdout.value = None;
            holdout.opens_at = Some(*opens_at);
            holdouts.push(holdout);
        }
        if self.environment {
            let why = "this environment sets a value".to_owned();
            holdouts.push(Holdout::new(HoldoutLevel::Environment, after.state.setting.value.clone(), why));
        }
        holdouts
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
