//! Which flags have outlived their use, and why. Facts in, findings out.
//!
//! A finding that says what everybody gets is sound: it is made only where nothing that is set, now or later by its
//! schedule, gives any context another value. Segments and rollouts are taken to reach some and not others, so a flag may
//! be stale and not found, but is never called stale while it still decides something.

use serde::Serialize;

use crate::audience::{Audience, Targets};
use crate::effect::StandingOverride;
use crate::flag::{Flag, FlagKind, FlagValue};
use crate::rollout::Percentage;
use crate::setting::{Override, Rule, Serve, Setting};
use crate::subject::{SubjectId, SubjectKind};
use crate::timestamp::Timestamp;

const DAY: i64 = 24 * 60 * 60;

/// So many overrides are named in the words of a finding.
const NAMED: usize = 3;

/// Why a flag is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Staleness {
    /// Everybody gets the same in every environment. Flags of kind `permanent` may, and where it is the answer of a
    /// release, [`Staleness::PermanentAnswer`] says so instead.
    SameEverywhere,
    /// The day after which it should be gone is over.
    PastRemoveAfter,
    /// A boolean release flag that is `true` for everybody in every environment: the release is over.
    PermanentAnswer,
    /// Overrides that give their subjects what they get without them, or that have expired.
    InertOverrides,
}

/// One reason to remove a flag, or something of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: Staleness,
    /// For people.
    pub detail: String,
    pub since: Timestamp,
}

/// What one environment holds for a flag.
#[derive(Debug)]
pub struct InEnvironment<'a> {
    pub name: &'a str,
    pub setting: &'a Setting,
    /// The organizations' overrides there.
    pub overrides: Vec<StandingOverride<'a>>,
}

/// Everything that decides a flag's values.
#[derive(Debug)]
pub struct Facts<'a> {
    pub flag: &'a Flag,
    pub environments: Vec<InEnvironment<'a>>,
    /// The users' overrides, which hold in every environment.
    pub overrides: Vec<StandingOverride<'a>>,
    /// The last edit of the flag, its settings, its overrides, or the segments that its rules name.
    pub touched_at: Timestamp,
}

impl Facts<'_> {
    /// What is stale about the flag. Everything but the day that it names itself needs to have been so for `days`.
    pub fn findings(&self, days: i64, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        let since = self.settled_at(now);
        if now >= since.plus_seconds(days.saturating_mul(DAY)) {
            let standing = [self.one_answer(now), self.inert_overrides(now)];
            findings.extend(standing.into_iter().flatten().map(|(code, detail)| Finding { code, detail, since }));
        }
        findings.extend(self.past_remove_after(now));
        findings
    }

    /// Since when nobody's value has changed: the last edit, or what a schedule or an expiry did by itself since.
    fn settled_at(&self, now: Timestamp) -> Timestamp {
        let rules = self.environments.iter().flat_map(|one| &one.setting.rules);
        let scheduled = rules.filter_map(|rule| rule.schedule.as_ref()).flat_map(|schedule| schedule.instants());
        let expiries = self.all_overrides().filter_map(|(_, standing)| standing.row.expires_at);
        scheduled.chain(expiries).filter(|instant| *instant <= now).fold(self.touched_at, Timestamp::max)
    }

    fn one_answer(&self, now: Timestamp) -> Option<(Staleness, String)> {
        let mut values = self.environments.iter().flat_map(|one| self.values_in(one, now));
        let answer = values.next()?;
        if values.any(|value| value != answer) {
            return None;
        }
        match (self.flag.kind, answer) {
            (FlagKind::Permanent, _) => None,
            (FlagKind::Release, FlagValue::Boolean(true)) => Some((
                Staleness::PermanentAnswer,
                "the release is over: everybody gets `true` in every environment; keep the code behind the flag, and remove \
                 the flag"
                    .to_owned(),
            )),
            _ => Some((
                Staleness::SameEverywhere,
                "everybody gets the same value in every environment, and nothing that is set gives anybody another; write \
                 the value into the code and remove the flag, or make its kind `permanent`"
                    .to_owned(),
            )),
        }
    }

    /// Every value that somebody may get in an environment, now or later.
    fn values_in<'f>(&'f self, place: &'f InEnvironment<'_>, now: Timestamp) -> Vec<&'f FlagValue> {
        if !place.setting.enabled {
            return vec![self.flag.off_value()];
        }
        let mut values = below_overrides(self.flag, place.setting, None, now);
        values.extend(held(self.overrides.iter().chain(&place.overrides), now));
        values
    }

    /// An override is judged as if the flag were switched on everywhere: while it is off it only waits.
    fn inert_overrides(&self, now: Timestamp) -> Option<(Staleness, String)> {
        let inert = |place: Option<&InEnvironment<'_>>, one: &StandingOverride<'_>| match place {
            _ if !one.row.holds(now) => true,
            Some(place) => self.is_inert_in(place, one, now),
            None => self.environments.iter().all(|place| self.is_inert_in(place, one, now)),
        };
        let inert: Vec<_> = self.all_overrides().filter(|(place, one)| inert(*place, one)).collect();
        if inert.is_empty() {
            return None;
        }
        let named = inert.iter().take(NAMED).map(|(place, one)| match place {
            Some(place) => format!("{} `{}` in `{}`", one.level, one.subject, place.name),
            None => format!("{} `{}`", one.level, one.subject),
        });
        let more = if inert.len() > NAMED { ", …" } else { "" };
        let detail = format!(
            "{} of {} overrides give nobody another value than without them, or have expired ({}{more}); remove them",
            inert.len(),
            self.all_overrides().count(),
            named.collect::<Vec<_>>().join(", "),
        );
        Some((Staleness::InertOverrides, detail))
    }

    fn is_inert_in(&self, place: &InEnvironment<'_>, one: &StandingOverride<'_>, now: Timestamp) -> bool {
        let without = below_overrides(self.flag, place.setting, Some((one.level, one.subject)), now);
        // Without their own, users get what an organization that they act in has.
        let organizations = if one.level == SubjectKind::User { place.overrides.as_slice() } else { &[] };
        without.into_iter().chain(held(organizations, now)).all(|value| *value == one.row.value)
    }

    /// Every override with its environment; users' have none.
    fn all_overrides(&self) -> impl Iterator<Item = (Option<&InEnvironment<'_>>, &StandingOverride<'_>)> {
        let of_organizations =
            self.environments.iter().flat_map(|place| place.overrides.iter().map(move |one| (Some(place), one)));
        self.overrides.iter().map(|one| (None, one)).chain(of_organizations)
    }

    fn past_remove_after(&self, now: Timestamp) -> Option<Finding> {
        let day = self.flag.remove_after.as_deref()?;
        let begun: Timestamp = format!("{day}T00:00:00Z").parse().ok()?;
        let since = begun.plus_seconds(DAY);
        let detail = format!("it was to be gone after {day}; remove it, or give it another day");
        (since <= now).then_some(Finding { code: Staleness::PastRemoveAfter, detail, since })
    }
}

/// The values of the overrides that hold, now or until they expire.
fn held<'a, 'o: 'a>(
    overrides: impl IntoIterator<Item = &'a StandingOverride<'o>>,
    now: Timestamp,
) -> impl Iterator<Item = &'a FlagValue> {
    overrides.into_iter().map(|standing| standing.row).filter(move |row: &&Override| row.holds(now)).map(|row| &row.value)
}

/// Every value that rules, environment and default may give: to anybody, or to the contexts that one subject is in.
fn below_overrides<'a>(
    flag: &'a Flag,
    setting: &'a Setting,
    subject: Option<(SubjectKind, &str)>,
    now: Timestamp,
) -> Vec<&'a FlagValue> {
    let mut values = Vec::new();
    for rule in &setting.rules {
        let reach = reach(rule, subject, now);
        if reach != Reach::Nobody {
            values.extend(rule.serve.values());
        }
        if reach == Reach::All {
            return values;
        }
    }
    values.push(setting.value.as_ref().unwrap_or(&flag.default_value));
    values
}

/// Which of the contexts in question a rule serves, from now on; the least of several restrictions counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Nobody,
    Some,
    All,
}

fn reach(rule: &Rule, subject: Option<(SubjectKind, &str)>, now: Timestamp) -> Reach {
    let kind = subject.map(|(kind, _)| kind);
    let audience = match (&rule.audience, subject) {
        (Audience::None, _) => Reach::Nobody,
        (Audience::All, _) => Reach::All,
        (Audience::Some(targets), None) => some_if(*targets != Targets::default()),
        (Audience::Some(targets), Some((kind, id))) => {
            let (own, others) = match kind {
                SubjectKind::User => (&targets.users, &targets.organizations),
                SubjectKind::Organization => (&targets.organizations, &targets.users),
            };
            let listed = own.binary_search_by(|listed: &SubjectId| listed.as_str().cmp(id)).is_ok();
            if listed { Reach::All } else { some_if(!others.is_empty() || !targets.segments.is_empty()) }
        }
    };
    let schedule = match &rule.schedule {
        Some(schedule) if schedule.until.is_some_and(|until| until <= now) => Reach::Nobody,
        Some(schedule) if schedule.until.is_some() || !schedule.is_open(now) => Reach::Some,
        _ => Reach::All,
    };
    let rollout = rule.rollout.as_ref().map_or(Reach::All, |rollout| {
        let ahead = rule.schedule.iter().flat_map(|schedule| &schedule.steps).filter(|step| step.at > now);
        let mut percentages = rule.percentage(now).into_iter().chain(ahead.map(|step| step.percentage));
        if percentages.clone().all(|percentage| percentage == Percentage::NONE) {
            Reach::Nobody
        } else if kind == Some(rollout.by) && percentages.all(|percentage| percentage == Percentage::ALL) {
            Reach::All
        } else {
            Reach::Some
        }
    });
    // A split passes by contexts that lack the subject it is by.
    let serve = match &rule.serve {
        Serve::Split(split) if kind != Some(split.by) => Reach::Some,
        Serve::Split(_) | Serve::Value(_) => Reach::All,
    };
    audience.min(schedule).min(rollout).min(serve)
}

fn some_if(some: bool) -> Reach {
    if some { Reach::Some } else { Reach::Nobody }
}
