//! What a schedule lets in later, by itself.

use crate::rollout::Percentage;
use crate::setting::Rule;
use crate::timestamp::Timestamp;

/// What is to come of a rule's schedule.
pub(super) struct Opening {
    /// When it first lets somebody more in.
    pub at: Timestamp,
    /// How far its rollout will have reached at most; `None` without a rollout.
    pub percentage: Option<Percentage>,
}

impl Rule {
    /// `None` where nobody more will be let in than now.
    pub(super) fn opening(&self, now: Timestamp) -> Option<Opening> {
        let schedule = self.schedule.as_ref()?;
        let everybody = |percentage: Option<Percentage>| percentage.unwrap_or(Percentage::ALL);
        let reached = if schedule.is_open(now) { everybody(self.percentage(now)) } else { Percentage::NONE };
        let instants = schedule.from.into_iter().chain(schedule.steps.iter().map(|step| step.at));
        let more = instants
            .filter(|at| *at > now && schedule.is_open(*at))
            .map(|at| (at, self.percentage(at)))
            .filter(|(_, percentage)| everybody(*percentage) > reached);
        let more: Vec<_> = more.collect();
        let at = more.iter().map(|(at, _)| *at).min()?;
        Some(Opening { at, percentage: more.into_iter().filter_map(|(_, percentage)| percentage).max() })
    }
}
