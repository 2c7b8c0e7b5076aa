//! What one environment holds for one flag: one document, replaced whole, so that no edit leaves anything behind.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::audience::{Audience, Targets};
use crate::document::Node;
use crate::error::{Error, ErrorCode, Result};
use crate::flag::{Flag, FlagType, FlagValue};
use crate::rollout::{Percentage, Rollout, Split};
use crate::schedule::Schedule;
use crate::segment::SegmentKey;
use crate::subject::{SubjectId, SubjectKind};
use crate::timestamp::Timestamp;

/// The most rules that one setting has.
pub const MAX_RULES: usize = 100;

/// Enabled or not, the environment's value, and its rules in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub enabled: bool,
    pub value: Option<FlagValue>,
    pub rules: Vec<Rule>,
}

/// For whom, which share of them, what, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// For people; may be empty.
    pub description: String,
    pub audience: Audience,
    pub rollout: Option<Rollout>,
    pub serve: Serve,
    pub schedule: Option<Schedule>,
}

/// What a rule serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serve {
    Value(FlagValue),
    Split(Split),
}

impl Default for Setting {
    /// What a new flag has everywhere: enabled, without value and rules.
    fn default() -> Self {
        Self { enabled: true, value: None, rules: Vec::new() }
    }
}

impl Setting {
    /// Reads a setting of this flag. `value` and `rules` may be left out; where the flag does not allow overrides by the
    /// environment they must be (`OVERRIDE_NOT_ALLOWED`). Whether its segments exist is the caller's to say.
    pub fn parse(document: &Value, flag: &Flag) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let enabled = members.required("enabled")?.boolean()?;
        let value = members.optional("value");
        let rules = members.optional("rules");
        members.finish()?;
        let mut setting = Self { enabled, ..Self::default() };
        if let Some(node) = value {
            setting.value = Some(FlagValue::parse(&node, flag.flag_type)?);
            environment_allowed(flag).map_err(|error| error.under(&node.pointer))?;
        }
        if let Some(node) = rules {
            setting.rules =
                node.items()?.iter().map(|item| Rule::parse(item, flag.flag_type)).collect::<Result<Vec<_>>>()?;
            if !setting.rules.is_empty() {
                environment_allowed(flag).map_err(|error| error.under(&node.pointer))?;
            }
            if setting.rules.len() > MAX_RULES {
                return Err(node.error(ErrorCode::LimitExceeded, format!("a setting has at most {MAX_RULES} rules")));
            }
        }
        Ok(setting)
    }

    /// Every segment that a rule names; one named by several rules comes several times.
    pub fn segments(&self) -> impl Iterator<Item = &SegmentKey> {
        self.rules.iter().flat_map(|rule| rule.audience.segments())
    }

    /// Refuses a setting that names a segment that is not `known` (`SEGMENT_UNKNOWN`).
    pub fn check_segments(&self, known: impl Fn(&SegmentKey) -> bool) -> Result<()> {
        for (place, rule) in self.rules.iter().enumerate() {
            if let Some(key) = rule.audience.segments().iter().find(|key| !known(key)) {
                let pointer = format!("/rules/{place}/audience/segments");
                return Err(Error::at(ErrorCode::SegmentUnknown, pointer, format!("there is no segment `{key}`")));
            }
        }
        Ok(())
    }

    /// Every value that the setting itself may serve while enabled: the environment's and the rules'.
    pub fn values(&self) -> impl Iterator<Item = &FlagValue> {
        self.value.iter().chain(self.rules.iter().flat_map(|rule| rule.serve.values()))
    }

    /// The setting with another value of the environment's own, or none (`OVERRIDE_NOT_ALLOWED`).
    pub fn with_value(&self, flag: &Flag, value: Option<FlagValue>) -> Result<Self> {
        if value.is_some() {
            environment_allowed(flag)?;
        }
        Ok(Self { value, ..self.clone() })
    }

    /// The setting with one more member in its one rule. Without a rule, a boolean flag gets the rule that serves `true`;
    /// other types have no value to serve yet (`VALUE_INVALID`). Nothing changes where everybody is targeted already.
    /// `SETTING_HAS_RULES` where there is more than None / Some / All can say.
    pub fn with_target(&self, flag: &Flag, kind: SubjectKind, id: SubjectId) -> Result<Self> {
        environment_allowed(flag)?;
        let mut setting = self.clone();
        if setting.rules.is_empty() {
            setting.rules.push(Rule::serving(Audience::None, served_by_targeting(flag)?));
        }
        let audience = &mut setting.one_rule()?.audience;
        if *audience == Audience::None {
            *audience = Audience::Some(Targets::default());
        }
        if let Audience::Some(targets) = audience {
            let list = targets.list(kind);
            if let Err(place) = list.binary_search(&id) {
                list.insert(place, id);
            }
        }
        Ok(setting)
    }

    /// The setting without this member in its one rule. Nobody can be taken out of everybody (`AUDIENCE_INVALID`).
    pub fn without_target(&self, kind: SubjectKind, id: &SubjectId) -> Result<Self> {
        let mut setting = self.clone();
        if setting.rules.is_empty() {
            return Ok(setting);
        }
        match &mut setting.one_rule()?.audience {
            Audience::None => {}
            Audience::Some(targets) => targets.list(kind).retain(|listed| listed != id),
            Audience::All => {
                return Err(Error::new(
                    ErrorCode::AudienceInvalid,
                    format!("everybody is targeted, so `{id}` cannot be taken out; set the audience to `some`"),
                ));
            }
        }
        Ok(setting)
    }

    /// The one rule, where there is exactly one and None / Some / All says all of it.
    fn one_rule(&mut self) -> Result<&mut Rule> {
        match self.rules.as_mut_slice() {
            [rule] if rule.is_plain() => Ok(rule),
            _ => Err(Error::new(
                ErrorCode::SettingHasRules,
                "this setting has more than one rule, or a rollout, a split or a schedule; edit the whole setting instead",
            )),
        }
    }
}

fn environment_allowed(flag: &Flag) -> Result<()> {
    if flag.overrides.environment {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::OverrideNotAllowed,
        format!("`{}` does not allow a value or rules in an environment", flag.key),
    ))
}

fn served_by_targeting(flag: &Flag) -> Result<FlagValue> {
    match flag.flag_type {
        FlagType::Boolean => Ok(FlagValue::Boolean(true)),
        other => Err(Error::new(
            ErrorCode::ValueInvalid,
            format!("`{}` is of type `{other}`: say which value the targets get", flag.key),
        )),
    }
}

impl Rule {
    /// The plain rule: this value for this audience.
    pub fn serving(audience: Audience, value: FlagValue) -> Self {
        Self { description: String::new(), audience, rollout: None, serve: Serve::Value(value), schedule: None }
    }

    fn parse(node: &Node<'_>, flag_type: FlagType) -> Result<Self> {
        let mut members = node.members()?;
        let description = members.optional("description").map(|node| node.text(1024)).transpose()?.unwrap_or_default();
        let audience = Audience::parse(&members.required("audience")?)?;
        let rollout = members.optional("rollout").map(|node| Rollout::parse(&node)).transpose()?;
        let serve = Serve::parse(&members.required("serve")?, flag_type)?;
        let schedule = members.optional("schedule").map(|node| Schedule::parse(&node, rollout.is_some())).transpose()?;
        members.finish()?;
        Ok(Self { description, audience, rollout, serve, schedule: schedule.flatten() })
    }

    /// How far the rollout reaches at this instant; `None` without a rollout.
    pub fn percentage(&self, now: Timestamp) -> Option<Percentage> {
        let step = self.schedule.as_ref().and_then(|schedule| schedule.step(now));
        self.rollout.as_ref().map(|rollout| step.map_or(rollout.percentage, |step| step.percentage))
    }

    /// Whether None / Some / All says all of it.
    fn is_plain(&self) -> bool {
        self.rollout.is_none() && self.schedule.is_none() && matches!(self.serve, Serve::Value(_))
    }
}

impl Serve {
    fn parse(node: &Node<'_>, flag_type: FlagType) -> Result<Self> {
        let mut members = node.members()?;
        let value = members.present("value");
        let split = members.optional("split");
        members.finish()?;
        match (value, split) {
            (Some(value), None) => FlagValue::parse(&value, flag_type).map(Self::Value),
            (None, Some(split)) => Split::parse(&split, flag_type).map(Self::Split),
            (Some(_), Some(split)) => Err(split.error(ErrorCode::SplitInvalid, "serve either a `value` or a `split`")),
            (None, None) => Err(node.error(ErrorCode::MemberMissing, "say what to serve: a `value` or a `split`")),
        }
    }

    /// Every value that may be served.
    pub fn values(&self) -> impl Iterator<Item = &FlagValue> {
        let (value, variants) = match self {
            Self::Value(value) => (Some(value), [].as_slice()),
            Self::Split(split) => (None, split.variants.as_slice()),
        };
        value.into_iter().chain(variants.iter().filter(|variant| variant.weight > 0).map(|variant| &variant.value))
    }
}

impl Serialize for Serve {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Value(value) => map.serialize_entry("value", value)?,
            Self::Split(split) => map.serialize_entry("split", split)?,
        }
        map.end()
    }
}

/// None / Some / All: the shortcut that makes a setting's rules one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targeting {
    pub audience: Audience,
    pub value: FlagValue,
}

impl Targeting {
    /// Reads `{audience, users, organizations, segments, value}`; `value` may be left out for a boolean flag: `true`.
    pub fn parse(document: &Value, flag: &Flag) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let audience = Audience::take(&mut members, "audience")?;
        let value = match (flag.flag_type, members.optional("value")) {
            (_, Some(node)) => FlagValue::parse(&node, flag.flag_type)?,
            (FlagType::Boolean, None) => FlagValue::Boolean(true),
            (_, None) => FlagValue::parse(&members.required("value")?, flag.flag_type)?,
        };
        members.finish()?;
        environment_allowed(flag)?;
        Ok(Self { audience, value })
    }

    /// The setting with this as its one rule; `enabled`, `value` and the rule's description stay. Refuses to drop more
    /// than None / Some / All can say (`SETTING_HAS_RULES`), unless told to `replace`.
    pub fn apply(self, setting: &Setting, replace: bool) -> Result<Setting> {
        let mut setting = setting.clone();
        let mut rule = Rule::serving(self.audience, self.value);
        if !setting.rules.is_empty() && !replace {
            rule.description = std::mem::take(&mut setting.one_rule()?.description);
        }
        setting.rules = vec![rule];
        Ok(setting)
    }
}

impl Targets {
    fn list(&mut self, kind: SubjectKind) -> &mut Vec<SubjectId> {
        match kind {
            SubjectKind::User => &mut self.users,
            SubjectKind::Organization => &mut self.organizations,
        }
    }
}

/// The value of a flag for one user everywhere, or for one organization in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Override {
    pub value: FlagValue,
    pub note: Option<String>,
    /// From this instant on the override is not there.
    pub expires_at: Option<Timestamp>,
}

impl Override {
    /// Reads `{value, note, expires_at}`; `OVERRIDE_NOT_ALLOWED` where the flag does not allow this level.
    pub fn parse(document: &Value, flag: &Flag, level: SubjectKind) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let value = FlagValue::parse(&members.required("value")?, flag.flag_type)?;
        let note = members.optional("note").map(|node| node.text(1024)).transpose()?;
        let expires_at = members.optional("expires_at").map(|node| node.timestamp()).transpose()?;
        members.finish()?;
        if !flag.overrides.allows(level) {
            return Err(Error::new(
                ErrorCode::OverrideNotAllowed,
                format!("`{}` does not allow a value for one {level}", flag.key),
            ));
        }
        Ok(Self { value, note, expires_at })
    }

    /// Whether the override is there at this instant.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}
