//! The walk through the levels of one flag. Who writes along is a type parameter, so that without anybody the words and
//! the levels below the winner are compiled away.

use super::why::{Member, Share, Why};
use super::{Context, Evaluation, Explanation, Level, Reason, Subject, TraceStep};
use crate::flag::{Flag, FlagValue};
use crate::rollout::{Rollout, Variant};
use crate::ruleset::{CompiledFlag, Listed, Members, Ruleset};
use crate::setting::{Override, Rule, Serve};
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

/// One context at one instant, with what was found out about it so far.
pub(super) struct Asking<'r, 'c> {
    ruleset: &'r Ruleset,
    user: Option<Known<'c>>,
    organization: Option<Known<'c>>,
    /// Whether the context is in each segment, once somebody asked.
    segments: Vec<Option<bool>>,
    now: Timestamp,
}

#[derive(Clone, Copy)]
struct Known<'c> {
    subject: Subject<'c>,
    /// `None` where no list names it.
    number: Option<u32>,
}

/// Who writes along.
pub(super) trait Tracer<'r> {
    /// Whether levels below the winner are looked at as well.
    const TRACING: bool;
    fn step(&mut self, step: impl FnOnce() -> TraceStep<'r>);
}

pub(super) struct Untraced;

impl<'r> Tracer<'r> for Untraced {
    const TRACING: bool = false;
    fn step(&mut self, _: impl FnOnce() -> TraceStep<'r>) {}
}

impl<'r> Tracer<'r> for Vec<TraceStep<'r>> {
    const TRACING: bool = true;
    fn step(&mut self, step: impl FnOnce() -> TraceStep<'r>) {
        self.push(step());
    }
}

/// What a level would serve.
struct Candidate<'r> {
    level: Level,
    reason: Reason,
    rule: Option<usize>,
    value: Option<&'r FlagValue>,
    variant: Option<&'r str>,
}

impl<'r> Candidate<'r> {
    fn new(level: Level, reason: Reason, value: Option<&'r FlagValue>) -> Self {
        Self { level, reason, rule: None, value, variant: None }
    }
}

/// The levels of one flag, standing one after the other: the first that holds wins.
struct Contest<'r, 't, T> {
    flag: &'r Flag,
    winner: Option<(Level, Evaluation<'r>)>,
    tracer: &'t mut T,
}

impl<'r, T: Tracer<'r>> Contest<'r, '_, T> {
    /// `Ok` with why the level holds, `Err` with why it does not. Answers the evaluation once nobody needs to hear more.
    #[inline]
    fn stand(&mut self, candidate: Candidate<'r>, holds: Result<Why<'r, '_>, Why<'r, '_>>) -> Option<Evaluation<'r>> {
        let Candidate { level, reason, rule, value, variant } = candidate;
        let before = self.winner.as_ref().map(|(level, _)| *level);
        let won = holds.is_ok() && before.is_none();
        if let (true, Some(value)) = (won, value) {
            self.winner = Some((level, Evaluation { flag: self.flag, value, reason, rule, variant }));
        }
        self.tracer.step(|| {
            let why = match (holds, before) {
                (Ok(why), Some(before)) => format!("{why}, but the level `{before}` decided before"),
                (Ok(why) | Err(why), _) => why.to_string(),
            };
            TraceStep { level, rule, value, variant, won, why }
        });
        if T::TRACING { None } else { self.winner.map(|(_, evaluation)| evaluation) }
    }
}

impl<'r, 'c> Asking<'r, 'c> {
    pub fn new(ruleset: &'r Ruleset, context: &Context<'c>, now: Timestamp) -> Self {
        let known = |kind, subject: Option<Subject<'c>>| {
            subject.map(|subject| Known { subject, number: ruleset.subject_number(kind, subject.id) })
        };
        Self {
            ruleset,
            user: known(SubjectKind::User, context.user),
            organization: known(SubjectKind::Organization, context.organization),
            segments: vec![None; ruleset.segments.len()],
            now,
        }
    }

    pub fn explain(
        &mut self,
        compiled: &'r CompiledFlag,
        [user, organization]: [Option<&'r Override>; 2],
    ) -> Explanation<'r> {
        let mut trace = Vec::with_capacity(5 + compiled.members.len());
        let evaluation = self.decide(compiled, user, organization, &mut trace);
        Explanation { evaluation, trace }
    }

    pub fn decide<T: Tracer<'r>>(
        &mut self,
        compiled: &'r CompiledFlag,
        user: Option<&'r Override>,
        organization: Option<&'r Override>,
        tracer: &mut T,
    ) -> Evaluation<'r> {
        let CompiledFlag { flag, setting, members, .. } = compiled;
        let mut contest = Contest { flag, winner: None, tracer };

        let off = Candidate::new(Level::Disabled, Reason::Disabled, Some(flag.off_value()));
        let disabled = if setting.enabled { Err(Why::Enabled) } else { Ok(Why::Disabled) };
        if let Some(decided) = contest.stand(off, disabled) {
            return decided;
        }
        for (level, reason, kind, row) in [
            (Level::User, Reason::UserOverride, SubjectKind::User, user),
            (Level::Organization, Reason::OrganizationOverride, SubjectKind::Organization, organization),
        ] {
            let candidate = Candidate::new(level, reason, row.map(|row| &row.value));
            if let Some(decided) = contest.stand(candidate, self.overridden(kind, row)) {
                return decided;
            }
        }
        for (place, (rule, members)) in setting.rules.iter().zip(members).enumerate() {
            let mut holds = self.matches(compiled, rule, members);
            let mut candidate = Candidate::new(Level::Rule, Reason::TargetingMatch, None);
            candidate.rule = Some(place);
            if T::TRACING || holds.is_ok() {
                match self.serve(compiled, &rule.serve) {
                    Ok((value, None)) => candidate.value = Some(value),
                    Ok((value, Some(variant))) => {
                        candidate.reason = Reason::Split;
                        candidate.value = Some(value);
                        candidate.variant = Some(&variant.name);
                    }
                    Err(why) => holds = holds.and(Err(why)),
                }
            }
            if let Some(decided) = contest.stand(candidate, holds) {
                return decided;
            }
        }
        let environment = Candidate::new(Level::Environment, Reason::Environment, setting.value.as_ref());
        let set = if setting.value.is_some() { Ok(Why::Set) } else { Err(Why::NotSet) };
        if let Some(decided) = contest.stand(environment, set) {
            return decided;
        }
        let value = &flag.default_value;
        contest.stand(Candidate::new(Level::Default, Reason::Default, Some(value)), Ok(Why::Default));
        let fallback = Evaluation { flag, value, reason: Reason::Default, rule: None, variant: None };
        contest.winner.map_or(fallback, |(_, evaluation)| evaluation)
    }

    fn known(&self, kind: SubjectKind) -> Result<Known<'c>, Why<'r, 'c>> {
        match kind {
            SubjectKind::User => self.user,
            SubjectKind::Organization => self.organization,
        }
        .ok_or(Why::NoSubject(kind))
    }

    fn overridden(&self, kind: SubjectKind, row: Option<&'r Override>) -> Result<Why<'r, 'c>, Why<'r, 'c>> {
        let id = self.known(kind)?.subject.id;
        let row = row.ok_or(Why::NoOverride(id))?;
        match row.expires_at {
            Some(expired) if !row.holds(self.now) => Err(Why::Expired(id, expired)),
            _ => Ok(Why::Overridden(id, row.note.as_deref())),
        }
    }

    /// Whether the rule's schedule is open, its audience holds the context and its rollout includes it.
    fn matches(
        &mut self,
        compiled: &CompiledFlag,
        rule: &'r Rule,
        members: &'r Members,
    ) -> Result<Why<'r, 'c>, Why<'r, 'c>> {
        if let Some(schedule) = &rule.schedule {
            match (schedule.from, schedule.until) {
                (Some(from), _) if self.now < from => return Err(Why::Opens(from)),
                (_, Some(until)) if self.now >= until => return Err(Why::Closed(until)),
                _ => {}
            }
        }
        let member = self.member(members)?;
        let share = match (&rule.rollout, rule.percentage(self.now)) {
            (Some(Rollout { by, .. }), Some(percentage)) => {
                let bucket = compiled.rollout.bucket(self.known(*by)?.subject.id);
                let share = Share { by: *by, bucket, percentage };
                if bucket >= percentage.thousandths() {
                    return Err(Why::NotReached(share));
                }
                Some(share)
            }
            _ => None,
        };
        Ok(Why::Matches(member, share))
    }

    fn member(&mut self, members: &'r Members) -> Result<Member<'r, 'c>, Why<'r, 'c>> {
        let (listed, segments) = match members {
            Members::None => return Err(Why::ForNobody),
            Members::All => return Ok(Member::Everybody),
            Members::Some { listed, segments } => (listed, segments),
        };
        if let Some((kind, id)) = self.listed(listed) {
            return Ok(Member::Listed(kind, id));
        }
        match segments.iter().find(|place| self.in_segment(**place as usize)) {
            Some(place) => {
                Ok(Member::Segment(self.ruleset.segments.get(*place as usize).map_or("", |one| one.key.as_str())))
            }
            None => Err(Why::NotInAudience),
        }
    }

    fn listed(&self, listed: &Listed) -> Option<(SubjectKind, &'c str)> {
        [(SubjectKind::User, self.user), (SubjectKind::Organization, self.organization)].into_iter().find_map(
            |(kind, known)| {
                let known = known.filter(|known| listed.contains(kind, known.number))?;
                Some((kind, known.subject.id))
            },
        )
    }

    fn in_segment(&mut self, place: usize) -> bool {
        let (Some(segment), Some(answer)) = (self.ruleset.segments.get(place), self.segments.get(place)) else {
            return false;
        };
        if let Some(answer) = answer {
            return *answer;
        }
        let attributes = |known: Option<Known<'c>>| known.map(|known| known.subject.attributes);
        let answer = self.listed(&segment.members).is_some()
            || segment
                .condition
                .as_ref()
                .is_some_and(|condition| condition.holds(attributes(self.user), attributes(self.organization)));
        if let Some(slot) = self.segments.get_mut(place) {
            *slot = Some(answer);
        }
        answer
    }

    fn serve(&self, compiled: &CompiledFlag, serve: &'r Serve) -> Result<(&'r FlagValue, Option<&'r Variant>), Why<'r, 'c>> {
        match serve {
            Serve::Value(value) => Ok((value, None)),
            Serve::Split(split) => {
                let bucket = compiled.split.bucket(self.known(split.by)?.subject.id);
                // A parsed split has a variant for every bucket.
                split.variant(bucket).map(|variant| (&variant.value, Some(variant))).ok_or(Why::ForNobody)
            }
        }
    }
}
