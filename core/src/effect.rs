//! How a change alters who is served what, decided over every context there could be, never over today's subjects.

use serde::Serialize;

use crate::attributes::Attributes;
use crate::flag::{Flag, FlagValue};
use crate::segment::Segment;
use crate::setting::{Override, Setting};
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

/// How a change alters who is served what, now and at every later instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Everybody is served what they were served before.
    #[default]
    Unchanged,
    /// Boolean: nobody goes from `true` to `false`, and somebody may go from `false` to `true`.
    /// Other types: only contexts that no rule served before change value.
    Widened,
    /// Boolean: nobody goes from `false` to `true`, and somebody may go from `true` to `false`.
    /// Other types: only contexts that no rule serves after change value.
    Narrowed,
    /// Neither, or it cannot be proved.
    Mixed,
}

impl Effect {
    /// The effect of both: `Unchanged` adds nothing, two of a kind stay, two different ones are `Mixed`.
    pub fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unchanged, effect) | (effect, Self::Unchanged) => effect,
            (one, other) if one == other => one,
            _ => Self::Mixed,
        }
    }
}

impl FromIterator<Effect> for Effect {
    /// The effect over several environments or several flags.
    fn from_iter<I: IntoIterator<Item = Effect>>(effects: I) -> Self {
        effects.into_iter().fold(Self::Unchanged, Self::merge)
    }
}

/// A flag in one environment on one side of a change.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// `None` where the flag is absent: not created yet, archived, or deleted.
    pub flag: Option<&'a Flag>,
    pub setting: &'a Setting,
    /// At least those that the setting names.
    pub segments: &'a [Segment],
}

/// The distinct values of the overrides that a flag has at each level (the organizations' in this environment). They stand
/// on both sides of the change; without them a change that lets overrides come through, such as enabling, is misjudged.
#[derive(Debug, Clone, Copy, Default)]
pub struct OverrideValues<'a> {
    pub user: &'a [FlagValue],
    pub organization: &'a [FlagValue],
}

/// An override that stands while the change is made, as a candidate for a holdout.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    /// For people; the wording may change.
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldoutLevel {
    Disabled,
    User,
    Organization,
    /// An earlier rule with another value.
    Rule,
    /// The rule is not open yet, or its rollout reaches further only later.
    Schedule,
    /// The environment's value, before a default that changed.
    Environment,
}

/// One change to one flag in one environment.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    before: State<'a>,
    after: State<'a>,
    standing: OverrideValues<'a>,
    dropped: [bool; 2],
    edit: Edit<'a>,
}

/// What is written about one subject alone.
#[derive(Debug, Clone, Copy)]
enum Edit<'a> {
    None,
    Override { level: SubjectKind, subject: &'a str, before: Option<&'a Override>, after: Option<&'a Override> },
    Attributes { kind: SubjectKind, subject: &'a str, before: &'a Attributes, after: &'a Attributes },
}

impl<'a> Change<'a> {
    /// A change of the setting, of the flag (its values; created, archived, deleted) or of the segments.
    pub fn between(before: State<'a>, after: State<'a>) -> Self {
        Self { before, after, standing: OverrideValues::default(), dropped: [false; 2], edit: Edit::None }
    }

    /// An override of one user, or of one organization, that is set, changed or removed. A user's stands in every
    /// environment: merge the effects.
    pub fn of_override(
        state: State<'a>,
        level: SubjectKind,
        subject: &'a str,
        before: Option<&'a Override>,
        after: Option<&'a Override>,
    ) -> Self {
        Self { edit: Edit::Override { level, subject, before, after }, ..Self::between(state, state) }
    }

    /// The attributes of one user or organization, replaced.
    pub fn of_attributes(
        state: State<'a>,
        kind: SubjectKind,
        subject: &'a str,
        before: &'a Attributes,
        after: &'a Attributes,
    ) -> Self {
        Self { edit: Edit::Attributes { kind, subject, before, after }, ..Self::between(state, state) }
    }

    /// With the values of the overrides that stand before the change.
    pub fn with_overrides(self, standing: OverrideValues<'a>) -> Self {
        Self { standing, ..self }
    }

    /// The change also removes every override of this level.
    pub fn dropping(mut self, level: SubjectKind) -> Self {
        self.dropped[level as usize] = true;
        self
    }

    /// How the change alters who is served what, from `now` on.
    pub fn effect(&self, _now: Timestamp) -> Effect {
        Effect::Mixed
    }

    /// What keeps newly covered contexts from their new value, with those of the `candidates` that do. Empty for a
    /// narrowing.
    pub fn holdouts(&self, _now: Timestamp, _candidates: impl IntoIterator<Item = StandingOverride<'a>>) -> Vec<Holdout> {
        Vec::new()
    }
}
