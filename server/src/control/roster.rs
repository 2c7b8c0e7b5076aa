//! Who gets `true` of a boolean flag in an environment, said by naming users and organizations alone.
//!
//! Runtime clients of WorkOS's SDKs evaluate flags by themselves, and lists of names are all that they know. Whatever
//! depends on more (a percentage, an attribute) cannot be told to them; a flag is then left out whole, because an answer
//! that is right for some is worse than the caller's own default for all.

use std::fmt;

use flagbearer::audience::{Audience, Targets};
use flagbearer::flag::{Flag, FlagValue};
use flagbearer::rollout::Percentage;
use flagbearer::segment::{Segment, SegmentKey};
use flagbearer::setting::{Rule, Serve, Setting};
use flagbearer::subject::{SubjectId, SubjectKind};
use flagbearer::timestamp::Timestamp;

use crate::store::BooleanOverride;

/// One flag at one instant. The first group that names the user or the organization decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    pub enabled: bool,
    /// What everybody gets while it is not enabled.
    pub off_value: bool,
    pub groups: Vec<Group>,
    /// What everybody gets whom no group names.
    pub default_value: bool,
}

/// Some users and organizations who get the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub value: bool,
    pub users: Vec<String>,
    pub organizations: Vec<String>,
}

/// Why names do not say it all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlisted {
    /// A rule reaches a share of somebody.
    Rollout,
    /// A rule serves several values by share.
    Split,
    /// A rule names a segment whose members depend on attributes.
    Condition(SegmentKey),
    /// Somebody is to get `false` where others get `true`, and only who gets `true` can be said.
    Exception,
    /// It is disabled and serves `true` while it is, and a disabled flag can only be `false`.
    TrueWhileDisabled,
}

impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rollout => f.write_str("a rule has a rollout, and percentages cannot be sent"),
            Self::Split => f.write_str("a rule has a split, and shares cannot be sent"),
            Self::Condition(key) => {
                write!(f, "a rule names the segment `{key}`, which has conditions, and attributes cannot be sent")
            }
            Self::Exception => f.write_str("somebody gets `false` where others get `true`, and exceptions cannot be sent"),
            Self::TrueWhileDisabled => {
                f.write_str("it is disabled with the off value `true`, and a disabled flag is always `false` there")
            }
        }
    }
}

/// A level of evaluation, or a part of one.
enum Step {
    Group(Group),
    /// Serves this value (none where it is several) to whom names do not tell.
    Unlisted(Option<bool>, Unlisted),
}

impl Step {
    fn value(&self) -> Option<bool> {
        match self {
            Self::Group(group) => Some(group.value),
            Self::Unlisted(value, _) => *value,
        }
    }
}

fn is_true(value: &FlagValue) -> bool {
    *value == FlagValue::Boolean(true)
}

impl Roster {
    /// Says what a boolean flag serves now; `overrides` are the flag's own.
    pub fn of(
        flag: &Flag,
        setting: &Setting,
        segments: &[Segment],
        overrides: &[BooleanOverride],
        now: Timestamp,
    ) -> Result<Self, Unlisted> {
        let off_value = is_true(flag.off_value());
        if !setting.enabled {
            return Ok(Self { enabled: false, off_value, groups: Vec::new(), default_value: false });
        }
        let mut steps = Vec::new();
        for kind in [SubjectKind::User, SubjectKind::Organization] {
            steps.extend([true, false].map(|value| Step::Group(Group::of_overrides(overrides, kind, value, now))));
        }
        let (rules, default_value) = before_everybody(flag, setting, now);
        for rule in rules {
            match (served_alike(rule, now), &rule.audience) {
                (Err(why), _) => steps.push(why),
                (Ok(value), Audience::Some(targets)) => steps.extend(members(value, targets, segments)),
                (Ok(_), Audience::None | Audience::All) => {}
            }
        }
        steps.retain(|step| !matches!(step, Step::Group(group) if group.is_empty()));
        // Who gets what all the others get as well need not be named.
        while steps.last().is_some_and(|step| step.value() == Some(default_value)) {
            steps.pop();
        }
        let groups = steps.into_iter().map(|step| match step {
            Step::Group(group) => Ok(group),
            Step::Unlisted(_, why) => Err(why),
        });
        Ok(Self { enabled: true, off_value, groups: groups.collect::<Result<_, _>>()?, default_value })
    }

    /// Whether names of those who get `true`, in any order, say it all: then without an exception, and `false` while
    /// disabled.
    pub fn is_union(&self) -> Result<(), Unlisted> {
        match (self.enabled, self.default_value) {
            (false, _) if self.off_value => Err(Unlisted::TrueWhileDisabled),
            (true, true) if !self.groups.is_empty() => Err(Unlisted::Exception),
            (true, false) if self.groups.iter().any(|group| !group.value) => Err(Unlisted::Exception),
            _ => Ok(()),
        }
    }
}

/// What a flag that is enabled serves to everybody whom no rule or override names.
pub fn default_value(flag: &Flag, setting: &Setting, now: Timestamp) -> bool {
    before_everybody(flag, setting, now).1
}

/// The rules up to one that is for everybody, and what everybody gets whom those are not for.
fn before_everybody<'s>(flag: &Flag, setting: &'s Setting, now: Timestamp) -> (Vec<&'s Rule>, bool) {
    let mut before = Vec::new();
    for rule in setting.rules.iter().filter(|rule| may_match(rule, now)) {
        match served_alike(rule, now) {
            Ok(value) if rule.audience == Audience::All => return (before, value),
            _ => before.push(rule),
        }
    }
    (before, is_true(setting.value.as_ref().unwrap_or(&flag.default_value)))
}

/// Whether a rule is for anybody at this instant.
fn may_match(rule: &Rule, now: Timestamp) -> bool {
    let open = rule.schedule.as_ref().is_none_or(|schedule| schedule.is_open(now));
    let reaches = rule.percentage(now).is_none_or(|percentage| percentage != Percentage::NONE);
    open && reaches && rule.audience != Audience::None
}

/// What a rule serves to everybody whom it is for; otherwise the step that it is instead.
fn served_alike(rule: &Rule, now: Timestamp) -> Result<bool, Step> {
    match &rule.serve {
        Serve::Split(_) => Err(Step::Unlisted(None, Unlisted::Split)),
        Serve::Value(value) if rule.percentage(now).is_some() => {
            Err(Step::Unlisted(Some(is_true(value)), Unlisted::Rollout))
        }
        Serve::Value(value) => Ok(is_true(value)),
    }
}

/// Whom a rule's targets name: themselves, and by segments.
fn members(value: bool, targets: &Targets, segments: &[Segment]) -> Vec<Step> {
    let mut steps = vec![Step::Group(Group::new(value, &targets.users, &targets.organizations))];
    for key in &targets.segments {
        let Some(segment) = segments.iter().find(|segment| segment.key == *key) else { continue };
        steps.push(Step::Group(Group::new(value, &segment.users, &segment.organizations)));
        if segment.condition.is_some() {
            steps.push(Step::Unlisted(Some(value), Unlisted::Condition(key.clone())));
        }
    }
    steps
}

impl Group {
    fn new(value: bool, users: &[SubjectId], organizations: &[SubjectId]) -> Self {
        let names = |ids: &[SubjectId]| ids.iter().map(|id| id.as_str().to_owned()).collect();
        Self { value, users: names(users), organizations: names(organizations) }
    }

    fn of_overrides(overrides: &[BooleanOverride], kind: SubjectKind, value: bool, now: Timestamp) -> Self {
        let holding = overrides.iter().filter(|found| found.kind == kind && found.value == value && found.holds(now));
        let names = holding.map(|found| found.subject.clone()).collect();
        match kind {
            SubjectKind::User => Self { value, users: names, organizations: Vec::new() },
            SubjectKind::Organization => Self { value, users: Vec::new(), organizations: names },
        }
    }

    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.organizations.is_empty()
    }
}
