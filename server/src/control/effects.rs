//! What a write does to whom: gathers the two sides of a change and asks the core.

mod several;

use std::collections::{BTreeMap, BTreeSet};

use flagbearer::attributes::Attributes;
use flagbearer::effect::{Change, Effect, Holdout, OverrideValues, StandingOverride, State};
use flagbearer::flag::{Flag, FlagKey, FlagValue};
use flagbearer::segment::Segment;
use flagbearer::setting::{Override, Setting};
use flagbearer::subject::SubjectKind;
use serde_json::{Value, json};

use super::Call;
use crate::error::{Error, Result};
use crate::store::{Application, Connection, Level, StoredApplication, StoredFlag, StoredOverride, Write};

pub use several::Before;

/// So many standing overrides of a flag, per level, are looked at for holdouts.
const CANDIDATES: i64 = 10_000;

/// So many holdouts are answered; an answer that leaves some out says so.
const HOLDOUTS: usize = 100;

/// What a caller confirms who means to narrow what a protected environment serves.
const NARROWING: &str = "narrowing";

/// How a write changed who is served what, and who is held out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By environment and flag.
    effects: BTreeMap<(String, FlagKey), Effect>,
    holdouts: Vec<Holdout>,
    /// There are, or may be, more holdouts than these.
    truncated: bool,
    /// A kill waits for nobody.
    pub is_kill: bool,
}

impl Outcome {
    /// Adds another flag's or another environment's outcome.
    pub fn merge(&mut self, other: Outcome) {
        for (place, effect) in other.effects {
            let standing = self.effects.entry(place).or_default();
            *standing = standing.merge(effect);
        }
        self.truncated |= other.truncated;
        for holdout in other.holdouts {
            if self.holdouts.contains(&holdout) {
                continue;
            }
            if self.holdouts.len() == HOLDOUTS {
                self.truncated = true;
                break;
            }
            self.holdouts.push(holdout);
        }
        if self.effect() == Effect::Narrowed {
            self.holdouts.clear();
            self.truncated = false;
        }
    }

    fn effect(&self) -> Effect {
        self.effects.values().copied().collect()
    }

    /// Of a kill, which waits for nobody's confirmation.
    pub fn of_kill(self) -> Self {
        Self { is_kill: true, ..self }
    }

    /// Refuses what takes something away in an environment that is protected, until the caller says that it is meant.
    pub fn hold_back(&self, call: &Call, protected: &BTreeSet<String>) -> Result<()> {
        if self.is_kill || call.confirmed(NARROWING) {
            return Ok(());
        }
        let takes = |effect: &Effect| matches!(effect, Effect::Narrowed | Effect::Mixed);
        let held = self.effects.iter().filter(|((environment, _), effect)| takes(effect) && protected.contains(environment));
        let listing: Vec<Value> = held
            .map(|((environment, flag), effect)| json!({ "flag": flag, "environment": environment, "effect": effect }))
            .collect();
        if listing.is_empty() {
            return Ok(());
        }
        // Whoever has confirmed something else already has to say both.
        let said = call.confirm.iter().map(String::as_str).chain([NARROWING]).collect::<Vec<_>>().join(",");
        let detail = format!("this takes away what protected environments serve now ({} in all)", listing.len());
        Err(Error::unconfirmed(&said, detail).listing(listing))
    }

    /// The document that answers a write, with the outcome in it.
    pub fn answer(&self, revision: i64, mut document: Value) -> Result<Value> {
        if !document.is_object() {
            document = json!({});
        }
        document["revision"] = revision.into();
        self.put(&mut document)?;
        Ok(document)
    }

    /// Puts the outcome into a document.
    pub fn put(&self, document: &mut Value) -> Result<()> {
        document["effect"] = crate::store::to_value(&self.effect())?;
        document["holdouts"] = crate::store::to_value(&self.holdouts)?;
        if self.truncated {
            document["holdouts_truncated"] = true.into();
        }
        Ok(())
    }
}

/// The overrides of one flag that bear on one environment.
struct Standing {
    environment: String,
    flag: FlagKey,
    user_values: Vec<FlagValue>,
    organization_values: Vec<FlagValue>,
    candidates: Vec<StoredOverride>,
}

impl Standing {
    /// The values alone: for a change to overrides themselves, which others of the same level cannot hold out of.
    async fn values(connection: &mut Connection, flag: &Flag, environment: &str) -> Result<Self> {
        let user_values = connection.override_values(flag, "user", "").await?;
        let organization_values = connection.override_values(flag, "organization", environment).await?;
        let (environment, flag) = (environment.to_owned(), flag.key.clone());
        Ok(Self { environment, flag, user_values, organization_values, candidates: Vec::new() })
    }

    async fn read(connection: &mut Connection, flag: &Flag, environment: &str) -> Result<Self> {
        let mut standing = Self::values(connection, flag, environment).await?;
        if !standing.user_values.is_empty() {
            standing.candidates = connection.holdout_candidates(flag, "user", "", CANDIDATES).await?;
        }
        if !standing.organization_values.is_empty() {
            let found = connection.holdout_candidates(flag, "organization", environment, CANDIDATES).await?;
            standing.candidates.extend(found);
        }
        Ok(standing)
    }

    fn outcome(&self, change: Change<'_>, write: &Write) -> Outcome {
        let values = OverrideValues { user: &self.user_values, organization: &self.organization_values };
        let change = change.with_overrides(values);
        let candidates = self.candidates.iter().map(|stored| StandingOverride {
            level: kind(&stored.level),
            subject: &stored.subject,
            row: &stored.document,
        });
        // Long settings take a while to judge; others are to be answered meanwhile.
        let judge = || (change.effect(write.now), change.holdouts(write.now, candidates));
        let (effect, mut holdouts) = tokio::task::block_in_place(judge);
        let unseen = self.candidates.len() as i64 >= CANDIDATES && effect != Effect::Narrowed;
        let truncated = unseen || holdouts.len() > HOLDOUTS;
        holdouts.truncate(HOLDOUTS);
        let effects = BTreeMap::from([((self.environment.clone(), self.flag.clone()), effect)]);
        Outcome { effects, holdouts, truncated, is_kill: false }
    }
}

fn kind(level: &str) -> SubjectKind {
    if level == "user" { SubjectKind::User } else { SubjectKind::Organization }
}

/// Another setting of a flag in one environment.
pub async fn of_setting(
    write: &mut Write,
    stored: &StoredFlag,
    environment: &str,
    before: &Setting,
    after: &Setting,
    segments: &[Segment],
) -> Result<Outcome> {
    let standing = Standing::read(write, &stored.flag, environment).await?;
    let state = |setting| State { flag: stored.living(), setting, segments };
    Ok(standing.outcome(Change::between(state(before), state(after)), write))
}

/// Another flag document, or a flag that comes or goes, in every environment. Levels that are no longer allowed lose their
/// overrides, and their settings' values and rules.
pub async fn of_flag(write: &mut Write, before: Option<&StoredFlag>, after: Option<&StoredFlag>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let Some(either) = before.or(after) else { return Ok(outcome) };
    let segments = write.all_segments().await?;
    for environment in write.environments().await? {
        let setting = match before {
            Some(stored) => write.setting(stored, &environment.name).await?.setting,
            None => Setting::default(),
        };
        let bare = Setting { enabled: setting.enabled, ..Setting::default() };
        let allowed = after.map(|after| after.flag.overrides);
        let setting_after = if allowed.is_some_and(|allowed| !allowed.environment) { &bare } else { &setting };
        let standing = Standing::read(write, &either.flag, &environment.name).await?;
        let flags = [before, after].map(|flag| flag.and_then(StoredFlag::living));
        for [was, is] in passages(write, &environment.name, flags).await? {
            let [before, after] = flags;
            let mut change = Change::between(
                State { flag: before.filter(|_| was), setting: &setting, segments: &segments },
                State { flag: after.filter(|_| is), setting: setting_after, segments: &segments },
            );
            if allowed.is_some_and(|allowed| !allowed.user) {
                change = change.dropping(SubjectKind::User);
            }
            if allowed.is_some_and(|allowed| !allowed.organization) {
                change = change.dropping(SubjectKind::Organization);
            }
            outcome.merge(standing.outcome(change, write));
        }
    }
    Ok(outcome)
}

/// An application whose tokens come to carry other flags. To whoever reads them, a flag that they leave is as good as archived.
pub async fn of_projection(write: &mut Write, before: &Application, after: &Application) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let segments = write.all_segments().await?;
    for (flag, setting) in write.living_settings(&before.environment).await? {
        let carried = [before.carries(&flag), after.carries(&flag)];
        if carried[0] != carried[1] {
            let standing = Standing::read(write, &flag, &before.environment).await?;
            let [was, is] =
                carried.map(|carried| State { flag: carried.then_some(&flag), setting: &setting, segments: &segments });
            outcome.merge(standing.outcome(Change::between(was, is), write));
        }
    }
    Ok(outcome)
}

/// The ways in which tokens may carry a flag, each on which of the two sides they do: on both, and as the applications of an
/// environment come to carry it, or no longer do, because its tags are others.
async fn passages(write: &mut Write, environment: &str, flags: [Option<&Flag>; 2]) -> Result<BTreeSet<[bool; 2]>> {
    let mut passages = BTreeSet::from([[true, true]]);
    if let [Some(before), Some(after)] = flags
        && before.tags != after.tags
    {
        let applications = write.applications(Some(environment), "", i64::MAX).await?;
        let carried = |found: StoredApplication| [before, after].map(|flag| found.application.carries(flag));
        passages.extend(applications.into_iter().map(carried).filter(|[was, is]| was != is));
    }
    Ok(passages)
}

/// An override set, changed or removed: an organization's in its environment, a user's in all of them.
pub async fn of_override(
    write: &mut Write,
    stored: &StoredFlag,
    level: Level<'_>,
    before: Option<&Override>,
    after: Option<&Override>,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let (kind, only) = match level {
        Level::User(_) => (SubjectKind::User, None),
        Level::Organization { environment, .. } => (SubjectKind::Organization, Some(environment)),
    };
    let segments = write.all_segments().await?;
    for environment in write.environments().await? {
        if only.is_some_and(|only| only != environment.name) {
            continue;
        }
        let setting = write.setting(stored, &environment.name).await?.setting;
        let mut standing = Standing::values(write, &stored.flag, &environment.name).await?;
        if let Level::Organization { organization, .. } = level {
            // Whoever is no member cannot be held out of what the organization gets.
            standing.candidates = write.overrides_of_members(&stored.flag, organization, CANDIDATES).await?;
        }
        let state = State { flag: stored.living(), setting: &setting, segments: &segments };
        outcome.merge(standing.outcome(Change::of_override(state, kind, level.subject(), before, after), write));
    }
    Ok(outcome)
}

/// Overrides of a flag removed together, of one environment or level where said.
pub async fn of_dropped(write: &mut Write, stored: &StoredFlag, only: Option<&str>, level: Option<&str>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let segments = write.all_segments().await?;
    for environment in write.environments().await? {
        if only.is_some_and(|only| !only.is_empty() && only != environment.name) {
            continue;
        }
        let setting = write.setting(stored, &environment.name).await?.setting;
        let standing = Standing::read(write, &stored.flag, &environment.name).await?;
        let state = State { flag: stored.living(), setting: &setting, segments: &segments };
        let mut change = Change::between(state, state);
        if level.is_none_or(|level| level == "user") && only.is_none() {
            change = change.dropping(SubjectKind::User);
        }
        if level.is_none_or(|level| level == "organization") {
            change = change.dropping(SubjectKind::Organization);
        }
        outcome.merge(standing.outcome(change, write));
    }
    Ok(outcome)
}

/// A segment that comes, changes or goes, for every flag whose rules name it.
pub async fn of_segment(write: &mut Write, key: &str, after: Option<&Segment>) -> Result<Outcome> {
    let segments = write.all_segments().await?;
    let mut segments_after: Vec<Segment> = segments.iter().filter(|segment| segment.key.as_str() != key).cloned().collect();
    segments_after.extend(after.cloned());
    let mut outcome = Outcome::default();
    for found in concerned(write, |_, setting| setting.segments().any(|named| named.as_str() == key)).await? {
        let state = |segments| State { flag: Some(&found.flag), setting: &found.setting, segments };
        outcome.merge(found.standing.outcome(Change::between(state(&segments), state(&segments_after)), write));
    }
    Ok(outcome)
}

/// The attributes of one user or organization, replaced.
pub async fn of_attributes(
    write: &mut Write,
    kind: SubjectKind,
    subject: &str,
    before: &Attributes,
    after: &Attributes,
) -> Result<Outcome> {
    if before == after {
        return Ok(Outcome::default());
    }
    let segments = write.all_segments().await?;
    let mut outcome = Outcome::default();
    for found in concerned(write, |_, setting| setting.segments().next().is_some()).await? {
        let state = State { flag: Some(&found.flag), setting: &found.setting, segments: &segments };
        outcome.merge(found.standing.outcome(Change::of_attributes(state, kind, subject, before, after), write));
    }
    Ok(outcome)
}

/// Every override of one user or organization, lost with it.
pub async fn of_lost_overrides(write: &mut Write, kind: SubjectKind, subject: &str) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for (key, environment) in write.overridden(kind.as_str(), subject).await? {
        let stored = write.flag(&key).await?;
        let level = match kind {
            SubjectKind::User => Level::User(subject),
            SubjectKind::Organization => Level::Organization { organization: subject, environment: &environment },
        };
        let before = write.override_at(&stored.flag, level).await?.map(|before| before.document);
        outcome.merge(of_override(write, &stored, level, before.as_ref(), None).await?);
    }
    Ok(outcome)
}

/// A living flag in an environment that a change reaches.
struct Concerned {
    flag: Flag,
    setting: Setting,
    standing: Standing,
}

async fn concerned(write: &mut Write, reached: impl Fn(&Flag, &Setting) -> bool) -> Result<Vec<Concerned>> {
    let mut found = Vec::new();
    for environment in write.environments().await? {
        for (flag, setting) in write.living_settings(&environment.name).await? {
            if reached(&flag, &setting) {
                let standing = Standing::read(write, &flag, &environment.name).await?;
                found.push(Concerned { flag, setting, standing });
            }
        }
    }
    Ok(found)
}
