//! What a context is served on each side: evaluation again, over classes of contexts instead of one.

use std::ops::Range;

use super::audiences::NOBODY;
use super::space::{Facts, Question, Side, Source, Space, class, override_value, rollout_bucket, split_bucket};
use crate::audience::Audience;
use crate::flag::{FlagType, FlagValue};
use crate::rollout::Percentage;
use crate::setting::{Rule, Serve};
use crate::subject::SubjectKind;

/// What a context is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served<'a> {
    /// `None` where a flag that is not boolean is absent.
    pub value: Option<&'a FlagValue>,
    pub by_rule: bool,
}

impl<'a> Space<'a> {
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
    pub fn first_match(&self, side: &Side<'a>, places: Range<usize>) -> Result<Option<Served<'a>>, Question> {
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
    pub fn written(&self, side: &Side<'a>, kind: SubjectKind) -> Option<&'a FlagValue> {
        match side.overrides[kind as usize] {
            Source::Written(row) => row.filter(|row| row.holds(self.instant)).map(|row| &row.value),
            Source::Dropped | Source::Standing => None,
        }
    }

    fn overridden(&self, side: &Side<'a>, kind: SubjectKind) -> Result<Option<&'a FlagValue>, Question> {
        match side.overrides[kind as usize] {
            Source::Dropped => Ok(None),
            Source::Written(_) => Ok(self.written(side, kind)),
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
