//! When a rule holds, and how its rollout grows. Judged from `now` at every evaluation, so no job has to run.

use serde::Serialize;

use crate::document::Node;
use crate::error::{ErrorCode, Result};
use crate::rollout::Percentage;
use crate::timestamp::Timestamp;

/// The most steps that one schedule has.
pub const MAX_STEPS: usize = 100;

/// The window and the steps of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Schedule {
    /// The first instant at which the rule holds.
    pub from: Option<Timestamp>,
    /// The first instant at which it holds no more.
    pub until: Option<Timestamp>,
    /// In ascending time; before the first, the rollout's own percentage holds.
    pub steps: Vec<Step>,
}

/// From `at` on, the rollout reaches `percentage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub at: Timestamp,
    pub percentage: Percentage,
}

impl Schedule {
    /// `None` where nothing is scheduled.
    pub(crate) fn parse(node: &Node<'_>, has_rollout: bool) -> Result<Option<Self>> {
        let mut members = node.members()?;
        let from = members.optional("from").map(|node| node.timestamp()).transpose()?;
        let until = members.optional("until");
        let steps_node = members.optional("steps");
        let mut schedule = Self { from, until: None, steps: Vec::new() };
        if let Some(node) = until {
            let until = node.timestamp()?;
            if from.is_some_and(|from| from >= until) {
                return Err(node.error(ErrorCode::ScheduleInvalid, "`until` must be later than `from`"));
            }
            schedule.until = Some(until);
        }
        if let Some(node) = steps_node {
            schedule.steps = steps(&node, has_rollout)?;
        }
        members.finish()?;
        Ok(Some(schedule).filter(|schedule| *schedule != Self::default()))
    }

    /// Whether the rule holds at this instant.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    /// The step that holds at this instant.
    pub fn step(&self, now: Timestamp) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.at <= now)
    }

    /// Every instant at which something changes.
    pub(crate) fn instants(&self) -> impl Iterator<Item = Timestamp> {
        self.from.into_iter().chain(self.until).chain(self.steps.iter().map(|step| step.at))
    }
}

fn steps(node: &Node<'_>, has_rollout: bool) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for item in node.items()? {
        let mut members = item.members()?;
        let at_node = members.required("at")?;
        let at = at_node.timestamp()?;
        let percentage = Percentage::parse(&members.required("percentage")?)?;
        members.finish()?;
        if steps.last().is_some_and(|last| last.at >= at) {
            return Err(at_node.error(ErrorCode::ScheduleInvalid, "steps stand in ascending time"));
        }
        steps.push(Step { at, percentage });
    }
    if !steps.is_empty() && !has_rollout {
        return Err(node.error(ErrorCode::ScheduleInvalid, "steps need a `rollout` whose percentage they change"));
    }
    if steps.len() > MAX_STEPS {
        return Err(node.error(ErrorCode::ScheduleInvalid, format!("a schedule has at most {MAX_STEPS} steps")));
    }
    Ok(steps)
}
