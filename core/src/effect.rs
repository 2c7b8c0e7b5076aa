//! How a change alters who is served what, decided over every context there could be, never over today's subjects: an
//! answer stays true for whoever comes tomorrow. `effect/space.rs` argues why looking at finitely many contexts is enough.

mod audiences;
mod holdout;
mod opening;
mod served;
mod space;

use std::ops::ControlFlow;

use serde::Serialize;

use crate::attributes::Attributes;
use crate::flag::{Flag, FlagValue};
use crate::segment::Segment;
use crate::setting::{Override, Setting};
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

pub use holdout::{Holdout, HoldoutLevel, StandingOverride};
use served::Served;
use space::Space;

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
    pub fn effect(&self, now: Timestamp) -> Effect {
        if self.is_idle() {
            return Effect::Unchanged;
        }
        let mut space = Space::new(self);
        let mut verdict = Verdict::default();
        let instants = self.instants(now);
        if space.too_long(instants.len()) {
            return Effect::Mixed;
        }
        for instant in instants {
            space.stand_at(instant, false);
            let seen_all = space.explore(&mut |space| {
                if let Some((before, after)) = space.difference(|before, after| verdict.with(before, after) != verdict)? {
                    verdict = verdict.with(before, after);
                }
                Ok(if verdict.effect() == Effect::Mixed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            });
            if !seen_all {
                return Effect::Mixed;
            }
        }
        verdict.effect()
    }

    /// What keeps newly covered contexts from their new value, with those of the `candidates` that do; `candidates` are
    /// overrides that stand while the change is made. Empty for a narrowing.
    ///
    /// A context is newly covered when a level after the change has a value for it that none had before. What the change
    /// leaves disabled or not open yet counts as covered, and is then held out by just that.
    pub fn holdouts<'c>(&self, now: Timestamp, candidates: impl IntoIterator<Item = StandingOverride<'c>>) -> Vec<Holdout> {
        if self.is_idle() || self.effect(now) == Effect::Narrowed {
            return Vec::new();
        }
        holdout::find(self, now, candidates)
    }

    /// Whether what is edited is looked at by nothing. One user's attributes are judged against every flag there is, so
    /// most answers must come without a look at the lists.
    fn is_idle(&self) -> bool {
        let Edit::Attributes { kind, before, after, .. } = self.edit else {
            return false;
        };
        let mut keys = self.before.setting.segments();
        !keys.any(|key| {
            let segment = self.before.segments.iter().find(|segment| segment.key == *key);
            let condition = segment.and_then(|segment| segment.condition.as_ref());
            condition.is_some_and(|condition| condition.mentions_edited(kind, before, after))
        })
    }

    /// Now, and every later instant at which one of the sides changes by itself. In between nothing does.
    fn instants(&self, now: Timestamp) -> Vec<Timestamp> {
        let settings = [self.before.setting, self.after.setting];
        let schedules = settings.into_iter().flat_map(|setting| &setting.rules).filter_map(|rule| rule.schedule.as_ref());
        let mut instants: Vec<Timestamp> = schedules.flat_map(|schedule| schedule.instants()).collect();
        if let Edit::Override { before, after, .. } = self.edit {
            instants.extend([before, after].into_iter().flatten().filter_map(|row| row.expires_at));
        }
        instants.retain(|instant| *instant > now);
        instants.push(now);
        instants.sort();
        instants.dedup();
        instants
    }
}

/// What was seen so far.
#[derive(Clone, Copy, PartialEq, Default)]
struct Verdict {
    changed: bool,
    not_widened: bool,
    not_narrowed: bool,
}

impl Verdict {
    /// The verdict once it is known that somebody goes from one value to another.
    fn with(mut self, before: Served<'_>, after: Served<'_>) -> Self {
        self.changed = true;
        match (before.value, after.value) {
            (Some(FlagValue::Boolean(_)), Some(FlagValue::Boolean(gained))) => {
                self.not_narrowed |= gained;
                self.not_widened |= !gained;
            }
            _ => {
                // A value that goes away altogether, with its flag, widens nothing.
                self.not_widened |= before.by_rule || after.value.is_none();
                self.not_narrowed |= after.by_rule;
            }
        }
        self
    }

    fn effect(&self) -> Effect {
        match (self.changed, self.not_widened, self.not_narrowed) {
            (false, _, _) => Effect::Unchanged,
            (true, false, _) => Effect::Widened,
            (true, true, false) => Effect::Narrowed,
            (true, true, true) => Effect::Mixed,
        }
    }
}
