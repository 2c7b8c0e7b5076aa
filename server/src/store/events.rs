//! What webhooks are told of: what a change did to each flag, read off its edits.

use std::collections::BTreeSet;

use super::{Edit, Entity};

/// The kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    FlagCreated,
    /// The flag's own document: its name, its default value, archived, restored …
    FlagUpdated,
    /// Who gets which value: a setting, an override, a kill.
    FlagRuleUpdated,
    FlagDeleted,
    /// Nothing happened: somebody wants to see whether events arrive.
    WebhookTest,
}

impl Event {
    /// Those that a webhook can ask for.
    pub const OF_FLAGS: [Event; 4] = [Self::FlagCreated, Self::FlagUpdated, Self::FlagRuleUpdated, Self::FlagDeleted];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::FlagCreated => "flag.created",
            Self::FlagUpdated => "flag.updated",
            Self::FlagRuleUpdated => "flag.rule_updated",
            Self::FlagDeleted => "flag.deleted",
            Self::WebhookTest => "webhook.test",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::OF_FLAGS.into_iter().chain([Self::WebhookTest]).find(|event| event.as_str() == name)
    }

    /// Whether an edit of this entity is part of such an event.
    pub(super) fn is_about(self, entity: Entity) -> bool {
        match self {
            Self::FlagCreated | Self::FlagUpdated | Self::FlagDeleted => entity == Entity::Flag,
            Self::FlagRuleUpdated => OF_RULES.contains(&entity),
            Self::WebhookTest => false,
        }
    }
}

/// What decides who gets which value of a flag.
const OF_RULES: [Entity; 3] = [Entity::Setting, Entity::Override, Entity::Kill];

/// An event of one flag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Happened {
    /// The flag's id.
    pub flag: String,
    pub event: Event,
    /// `None`: in all of them.
    pub environment: Option<String>,
}

impl Happened {
    /// What these edits, which are one change, mean for each flag. That a flag came or went says all about its rules.
    pub fn by(edits: &[Edit]) -> BTreeSet<Self> {
        let mut happened: BTreeSet<Self> = edits.iter().filter_map(Self::by_edit).collect();
        let come_and_gone: BTreeSet<String> = happened
            .iter()
            .filter(|one| matches!(one.event, Event::FlagCreated | Event::FlagDeleted))
            .map(|one| one.flag.clone())
            .collect();
        happened.retain(|one| one.event != Event::FlagRuleUpdated || !come_and_gone.contains(&one.flag));
        happened
    }

    fn by_edit(edit: &Edit) -> Option<Self> {
        let flag = edit.flag.clone()?;
        let event = match (edit.entity, &edit.before, &edit.after) {
            (Entity::Flag, None, _) => Event::FlagCreated,
            (Entity::Flag, _, None) => Event::FlagDeleted,
            (Entity::Flag, ..) => Event::FlagUpdated,
            (entity, ..) if OF_RULES.contains(&entity) => Event::FlagRuleUpdated,
            _ => return None,
        };
        Some(Self { flag, event, environment: edit.environment.clone() })
    }
}
