//! Evaluation: which value a flag has for one user, in one organization, in one environment, at one instant, and why.
//! Pure and total. Explaining is the same walk with somebody writing along.

mod asking;
mod why;

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::attributes::Attributes;
use crate::flag::{Flag, FlagValue};
use crate::projection::Projection;
use crate::ruleset::{CompiledFlag, Ruleset};
use crate::setting::Override;
use crate::timestamp::Timestamp;
use asking::{Asking, Untraced};

/// Who is asking. Without a user it is a machine's context; without an organization, a user outside of any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    pub user: Option<Subject<'a>>,
    pub organization: Option<Subject<'a>>,
}

/// A user or an organization, and what is known about it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub id: &'a str,
    pub attributes: &'a Attributes,
}

/// The overrides of the context's user and of its organization in this environment, by flag id. Those of flags that the
/// ruleset does not have are ignored; of two for one flag the first counts.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub user: Vec<(Arc<str>, Override)>,
    pub organization: Vec<(Arc<str>, Override)>,
}

/// Which level decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    Disabled,
    UserOverride,
    OrganizationOverride,
    TargetingMatch,
    /// A rule matched, and its split chose the value.
    Split,
    Environment,
    Default,
}

impl Reason {
    /// The level whose reason it is.
    pub fn level(self) -> Level {
        match self {
            Self::Disabled => Level::Disabled,
            Self::UserOverride => Level::User,
            Self::OrganizationOverride => Level::Organization,
            Self::TargetingMatch | Self::Split => Level::Rule,
            Self::Environment => Level::Environment,
            Self::Default => Level::Default,
        }
    }
}

/// What a flag is for this context, and which level decided it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation<'a> {
    pub flag: &'a Flag,
    pub value: &'a FlagValue,
    pub reason: Reason,
    /// The place of the rule that decided, counted from 0.
    pub rule: Option<usize>,
    /// The name of the variant that the rule's split chose.
    pub variant: Option<&'a str>,
}

/// An evaluation with every level's part in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation<'a> {
    #[serde(flatten)]
    pub evaluation: Evaluation<'a>,
    pub trace: Vec<TraceStep<'a>>,
}

/// A place where a value may come from, in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Disabled,
    User,
    Organization,
    Rule,
    Environment,
    Default,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::User => "user",
            Self::Organization => "organization",
            Self::Rule => "rule",
            Self::Environment => "environment",
            Self::Default => "default",
        })
    }
}

/// One level's part in an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceStep<'a> {
    pub level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// What this level would serve this context, where it has something.
    pub value: Option<&'a FlagValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<&'a str>,
    pub won: bool,
    /// For people; the wording may change.
    pub why: String,
}

impl Serialize for Evaluation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 3 + usize::from(self.rule.is_some()) + usize::from(self.variant.is_some());
        let mut object = serializer.serialize_struct("Evaluation", fields)?;
        object.serialize_field("type", &self.flag.flag_type)?;
        object.serialize_field("value", self.value)?;
        object.serialize_field("reason", &self.reason)?;
        if let Some(rule) = self.rule {
            object.serialize_field("rule", &rule)?;
        }
        if let Some(variant) = self.variant {
            object.serialize_field("variant", variant)?;
        }
        object.end()
    }
}

impl Ruleset {
    /// Evaluates one flag; `None` where the environment has no flag of this key.
    pub fn evaluate<'a>(
        &'a self,
        key: &str,
        overrides: &'a Overrides,
        context: &Context<'_>,
        now: Timestamp,
    ) -> Option<Evaluation<'a>> {
        let compiled = self.flag(key)?;
        let [user, organization] = overrides.of(compiled);
        Some(Asking::new(self, context, now).decide(compiled, user, organization, &mut Untraced))
    }

    /// Evaluates every flag, in the order of their keys, into `out`, whose former contents go. Nothing is allocated per
    /// flag beyond the room in `out`.
    pub fn evaluate_all<'a>(
        &'a self,
        overrides: &'a Overrides,
        context: &Context<'_>,
        now: Timestamp,
        out: &mut Vec<Evaluation<'a>>,
    ) {
        self.evaluate_carried(&Projection::All, overrides, context, now, out);
    }

    /// The same for the flags that the projection carries, and for no others.
    pub fn evaluate_carried<'a>(
        &'a self,
        projection: &Projection,
        overrides: &'a Overrides,
        context: &Context<'_>,
        now: Timestamp,
        out: &mut Vec<Evaluation<'a>>,
    ) {
        let mut asking = Asking::new(self, context, now);
        let mut user = Placed::new(self, &overrides.user);
        let mut organization = Placed::new(self, &overrides.organization);
        out.clear();
        out.reserve(self.flags.len());
        for (number, compiled) in (0..).zip(&self.flags) {
            let (user, organization) = (user.take(number), organization.take(number));
            if projection.carries(&compiled.flag) {
                out.push(asking.decide(compiled, user, organization, &mut Untraced));
            }
        }
    }

    /// Evaluates one flag and says what became of every level.
    pub fn explain<'a>(
        &'a self,
        key: &str,
        overrides: &'a Overrides,
        context: &Context<'_>,
        now: Timestamp,
    ) -> Option<Explanation<'a>> {
        let compiled = self.flag(key)?;
        Some(Asking::new(self, context, now).explain(compiled, overrides.of(compiled)))
    }

    /// Evaluates every flag, in the order of their keys, and says what became of every level.
    pub fn explain_all<'a>(
        &'a self,
        overrides: &'a Overrides,
        context: &Context<'_>,
        now: Timestamp,
    ) -> Vec<Explanation<'a>> {
        let mut asking = Asking::new(self, context, now);
        self.flags.iter().map(|compiled| asking.explain(compiled, overrides.of(compiled))).collect()
    }
}

impl Overrides {
    /// The user's and the organization's for this flag.
    fn of(&self, compiled: &CompiledFlag) -> [Option<&Override>; 2] {
        [&self.user, &self.organization].map(|rows| rows.iter().find(|(id, _)| *id == compiled.flag.id).map(|(_, row)| row))
    }
}

/// One level's overrides in the order of the ruleset's flags, to be walked along with them.
struct Placed<'a> {
    rows: Vec<(u32, &'a Override)>,
    next: usize,
}

impl<'a> Placed<'a> {
    fn new(ruleset: &Ruleset, rows: &'a [(Arc<str>, Override)]) -> Self {
        let mut placed = Vec::with_capacity(rows.len());
        placed.extend(rows.iter().filter_map(|(id, row)| Some((ruleset.flag_number(id)?, row))));
        placed.sort_by_key(|(number, _)| *number);
        placed.dedup_by_key(|(number, _)| *number);
        Self { rows: placed, next: 0 }
    }

    fn take(&mut self, number: u32) -> Option<&'a Override> {
        let (_, row) = self.rows.get(self.next).filter(|(next, _)| *next == number)?;
        self.next += 1;
        Some(row)
    }
}
