//! The promise that a change called `widened` takes nothing from anybody, and its relatives, over generated settings:
//! lists of up to five rules, segments, rollouts, splits, schedules, overrides, disabled flags.
//!
//! A case is a string of bytes, read as choices: cheap to make a hundred thousand of, and proptest still shrinks it.

use std::cell::Cell;
use std::sync::Arc;

use flagbearer::attributes::Attributes;
use flagbearer::audience::{Audience, Targets};
use flagbearer::document::{Node, parse};
use flagbearer::effect::{Change, Effect, HoldoutLevel, OverrideValues, StandingOverride, State};
use flagbearer::evaluation::{Context, Evaluation, Level, Overrides, Reason, Subject, TraceStep};
use flagbearer::flag::{Flag, FlagValue};
use flagbearer::rollout::{Percentage, Rollout, Split, Variant};
use flagbearer::ruleset::Ruleset;
use flagbearer::schedule::{Schedule, Step};
use flagbearer::segment::{Segment, SegmentKey};
use flagbearer::setting::{Override, Rule, Serve, Setting};
use flagbearer::subject::{SubjectId, SubjectKind};
use flagbearer::timestamp::Timestamp;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The instants at which schedules and expiries of this world fall, and at which it is looked at.
const INSTANTS: [i64; 4] = [0, 10, 20, 30];
const USERS: [&str; 3] = ["u0", "u1", "u2"];
const ORGANIZATIONS: [&str; 3] = ["o0", "o1", "o2"];
/// Subjects that nothing names: they differ by their buckets.
const STRANGERS: [&str; 6] = ["x0", "x1", "x2", "x3", "x4", "x5"];
const SEGMENTS: [&str; 3] = ["s0", "s1", "s2"];

/// Choices, one byte each; zeros once they run out, so that shorter is simpler.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % count
    }

    fn maybe(&mut self, one_in: usize) -> bool {
        self.below(one_in) == one_in - 1
    }

    fn of<'x, T>(&mut self, items: &'x [T]) -> &'x T {
        &items[self.below(items.len())]
    }

    fn some_of(&mut self, names: &[&str]) -> Vec<SubjectId> {
        let bits = self.below(1 << names.len());
        let chosen = names.iter().enumerate().filter(|(place, _)| bits & (1 << place) != 0);
        chosen.map(|(_, name)| SubjectId::parse(name).unwrap()).collect()
    }

    fn kind(&mut self) -> SubjectKind {
        SubjectKind::BOTH[self.below(2)]
    }

    fn instant(&mut self) -> Timestamp {
        Timestamp::from_seconds(*self.of(&INSTANTS))
    }

    fn value(&mut self, boolean: bool) -> FlagValue {
        if boolean {
            FlagValue::Boolean(self.below(2) == 0)
        } else {
            FlagValue::String(["a", "b", "c"][self.below(3)].into())
        }
    }

    fn percentage(&mut self) -> Percentage {
        Percentage::from_thousandths([100_000, 0, 20_000, 50_000, 80_000][self.below(5)]).unwrap()
    }

    fn audience(&mut self) -> Audience {
        match self.below(8) {
            0 => Audience::All,
            1 => Audience::None,
            _ => {
                let users = self.some_of(&USERS);
                let organizations = self.some_of(&ORGANIZATIONS);
                let bits = self.below(8);
                let segments = SEGMENTS.iter().enumerate().filter(|(place, _)| bits & (1 << place) != 0);
                let segments = segments.map(|(_, key)| SegmentKey::parse(key).unwrap()).collect();
                Audience::Some(Targets { users, organizations, segments })
            }
        }
    }

    fn serve(&mut self, boolean: bool) -> Serve {
        if !self.maybe(4) {
            return Serve::Value(self.value(boolean));
        }
        let by = self.kind();
        let mut variants: Vec<Variant> = (0..=self.below(3))
            .map(|place| Variant { name: place.to_string(), value: self.value(boolean), weight: self.below(3) as u32 })
            .collect();
        variants[0].weight += 1;
        Serve::Split(Split { by, variants })
    }

    fn schedule(&mut self, has_rollout: bool) -> Option<Schedule> {
        if !self.maybe(4) {
            return None;
        }
        let from = self.maybe(2).then(|| self.instant());
        let until = self.maybe(2).then(|| self.instant());
        let mut steps: Vec<Step> = Vec::new();
        while has_rollout && steps.len() < 2 && self.maybe(2) {
            let step = Step { at: self.instant(), percentage: self.percentage() };
            if steps.last().is_none_or(|last| last.at < step.at) {
                steps.push(step);
            }
        }
        Some(Schedule { from, until, steps })
    }

    fn rule(&mut self, boolean: bool) -> Rule {
        let audience = self.audience();
        let serve = self.serve(boolean);
        let rollout = self.maybe(3).then(|| Rollout { by: self.kind(), percentage: self.percentage() });
        let schedule = self.schedule(rollout.is_some());
        Rule { description: String::new(), audience, rollout, serve, schedule }
    }

    fn setting(&mut self, boolean: bool) -> Setting {
        let rules = 1 + self.below(5);
        let enabled = !self.maybe(8);
        let value = self.maybe(4).then(|| self.value(boolean));
        Setting { enabled, value, rules: (0..rules).map(|_| self.rule(boolean)).collect() }
    }

    fn edited(&mut self, setting: &Setting, boolean: bool) -> Setting {
        let mut setting = setting.clone();
        let place = self.below(setting.rules.len().max(1));
        match (self.below(12), setting.rules.get_mut(place)) {
            (0..=2, Some(rule)) => rule.audience = self.larger(&rule.audience),
            (3, Some(rule)) => rule.audience = self.audience(),
            (4..=5, Some(rule)) => match &mut rule.rollout {
                Some(rollout) => rollout.percentage = self.percentage(),
                None => rule.rollout = Some(Rollout { by: self.kind(), percentage: self.percentage() }),
            },
            (6, Some(rule)) => rule.rollout = None,
            (7, Some(rule)) => rule.schedule = self.schedule(rule.rollout.is_some()),
            (8, Some(rule)) => rule.serve = self.serve(boolean),
            (9, _) => setting.enabled = !setting.enabled,
            (10, _) => setting.value = self.maybe(2).then(|| self.value(boolean)),
            (11, Some(_)) if self.maybe(2) => {
                setting.rules.remove(place);
            }
            (11, Some(_)) if self.maybe(2) => setting.rules.swap(0, place),
            _ => setting.rules.insert(place, self.rule(boolean)),
        }
        // Steps need a rollout.
        for rule in setting.rules.iter_mut().filter(|rule| rule.rollout.is_none()) {
            if let Some(schedule) = &mut rule.schedule {
                schedule.steps.clear();
            }
        }
        setting
    }

    /// An audience that holds at least whom this one holds.
    fn larger(&mut self, audience: &Audience) -> Audience {
        match (audience, self.audience()) {
            (Audience::All, _) | (_, Audience::All) => Audience::All,
            (Audience::None, other) => other,
            (some, Audience::None) => some.clone(),
            (Audience::Some(one), Audience::Some(mut other)) => {
                other.users.extend(one.users.iter().cloned());
                other.organizations.extend(one.organizations.iter().cloned());
                other.segments.extend(one.segments.iter().cloned());
                other.users.sort();
                other.users.dedup();
                other.organizations.sort();
                other.organizations.dedup();
                other.segments.sort();
                other.segments.dedup();
                Audience::Some(other)
            }
        }
    }

    fn segment(&mut self, key: &str) -> Segment {
        const CONDITIONS: [&str; 7] = [
            r#"{"user":"plan","equals":"a"}"#,
            r#"{"user":"plan","exists":true}"#,
            r#"{"organization":"plan","equals":"a"}"#,
            r#"{"not":{"organization":"plan","equals":"b"}}"#,
            r#"{"all":[{"user":"plan","equals":"a"},{"organization":"plan","equals":"a"}]}"#,
            r#"{"any":[{"user":"plan","in":["a","b"]},{"organization":"plan","exists":false}]}"#,
            // Whichever subject is known, what remains depends on the other, and differently for `a` and `b`.
            r#"{"any":[{"all":[{"user":"plan","equals":"a"},{"organization":"plan","equals":"a"}]},
                       {"all":[{"user":"plan","equals":"b"},{"organization":"plan","equals":"b"}]}]}"#,
        ];
        let condition = if self.maybe(3) { "null" } else { CONDITIONS[self.below(CONDITIONS.len())] };
        let text = format!(r#"{{"key":"{key}","condition":{condition}}}"#);
        let mut segment = Segment::parse(&parse(text.as_bytes()).unwrap()).unwrap();
        segment.users = self.some_of(&USERS);
        segment.organizations = self.some_of(&ORGANIZATIONS);
        segment
    }

    fn row(&mut self, boolean: bool) -> Override {
        let value = self.value(boolean);
        Override { value, note: None, expires_at: self.maybe(4).then(|| self.instant()) }
    }

    fn attributes(&mut self) -> Attributes {
        let text = [r#"{}"#, r#"{"plan":"a"}"#, r#"{"plan":"b"}"#, r#"{"size":1}"#][self.below(4)];
        Attributes::parse(&Node::root(&parse(text.as_bytes()).unwrap())).unwrap()
    }
}

fn flag(boolean: bool) -> Flag {
    let text = if boolean {
        r#"{"key":"f","type":"boolean","default_value":false}"#
    } else {
        r#"{"key":"f","type":"string","default_value":"a"}"#
    };
    Flag::create(&parse(text.as_bytes()).unwrap(), "id", "salt").unwrap()
}

/// What one side of the change needs to be evaluated.
struct Side {
    flag: Flag,
    setting: Setting,
    segments: Vec<Segment>,
}

impl Side {
    fn state(&self) -> State<'_> {
        State { flag: Some(&self.flag), setting: &self.setting, segments: &self.segments }
    }

    fn ruleset(&self) -> Ruleset {
        Ruleset::compile(1, vec![(self.flag.clone(), self.setting.clone())], self.segments.clone())
    }
}

/// The edit of one subject.
enum Edit {
    Override { level: SubjectKind, subject: &'static str, rows: [Option<Override>; 2] },
    Attributes { kind: SubjectKind, subject: &'static str, attributes: [Attributes; 2] },
}

struct Case {
    sides: [Side; 2],
    standing: Vec<(SubjectKind, &'static str, Override)>,
    dropped: Option<SubjectKind>,
    edit: Option<Edit>,
}

impl Case {
    fn read(choices: &mut Choices<'_>) -> Self {
        let boolean = choices.below(4) != 3;
        let mut flag = flag(boolean);
        flag.default_value = if choices.maybe(6) { choices.value(boolean) } else { flag.default_value };
        flag.off_value = choices.maybe(6).then(|| choices.value(boolean));
        let what = choices.below(8);
        let setting = choices.setting(boolean);
        let segments: Vec<Segment> = SEGMENTS.iter().map(|key| choices.segment(key)).collect();
        let mut standing = Vec::new();
        for (kind, subjects) in [(SubjectKind::User, USERS), (SubjectKind::Organization, ORGANIZATIONS)] {
            for subject in [subjects[0], STRANGERS[0]] {
                if choices.maybe(3) {
                    standing.push((kind, subject, choices.row(boolean)));
                }
            }
        }
        let mut after = Side { flag: flag.clone(), setting: setting.clone(), segments: segments.clone() };
        let (mut dropped, mut edit) = (None, None);
        let subject = |choices: &mut Choices<'_>, kind| match kind {
            SubjectKind::User => *choices.of(&["u0", "u1", "x0"]),
            SubjectKind::Organization => *choices.of(&["o0", "o1", "x0"]),
        };
        match what {
            0..=2 => after.setting = choices.edited(&setting, boolean),
            3 => {
                after.setting = choices.edited(&setting, boolean);
                after.setting = choices.edited(&after.setting, boolean);
                after.flag.default_value = choices.value(boolean);
                after.flag.off_value = choices.maybe(2).then(|| choices.value(boolean));
            }
            4 => {
                let place = choices.below(3);
                after.segments[place] = choices.segment(SEGMENTS[place]);
            }
            5 => dropped = Some(choices.kind()),
            6 => {
                let level = choices.kind();
                let subject = subject(choices, level);
                let rows = [(); 2].map(|()| choices.maybe(2).then(|| choices.row(boolean)));
                standing.retain(|(kind, one, _)| !(*kind == level && *one == subject));
                edit = Some(Edit::Override { level, subject, rows });
            }
            _ => {
                let kind = choices.kind();
                let subject = subject(choices, kind);
                edit = Some(Edit::Attributes { kind, subject, attributes: [(); 2].map(|()| choices.attributes()) });
            }
        }
        Self { sides: [Side { flag, setting, segments }, after], standing, dropped, edit }
    }

    fn judge<T>(&self, look: impl FnOnce(&Change<'_>) -> T) -> T {
        let [before, after] = &self.sides;
        let change = match &self.edit {
            None => Change::between(before.state(), after.state()),
            Some(Edit::Override { level, subject, rows }) => {
                Change::of_override(before.state(), *level, subject, rows[0].as_ref(), rows[1].as_ref())
            }
            Some(Edit::Attributes { kind, subject, attributes }) => {
                Change::of_attributes(before.state(), *kind, subject, &attributes[0], &attributes[1])
            }
        };
        let [user, organization] = SubjectKind::BOTH.map(|kind| {
            let rows = self.standing.iter().filter(|(one, _, _)| *one == kind);
            rows.map(|(_, _, row)| row.value.clone()).collect::<Vec<_>>()
        });
        let change = change.with_overrides(OverrideValues { user: &user, organization: &organization });
        look(&match self.dropped {
            Some(level) => change.dropping(level),
            None => change,
        })
    }

    /// A context of this world, as each side sees it.
    fn context(&self, choices: &mut Choices<'_>) -> [Seen; 2] {
        let mut pick = |kind, named: [&'static str; 3]| {
            let id = match choices.below(10) {
                0 => None,
                one @ 1..=3 => Some(named[one - 1]),
                other => Some(STRANGERS[other - 4]),
            };
            let attributes = choices.attributes();
            let id = match &self.edit {
                Some(Edit::Override { level, subject, .. }) if *level == kind => Some(*subject),
                Some(Edit::Attributes { kind: edited, subject, .. }) if *edited == kind => Some(*subject),
                _ => id,
            };
            (id, attributes)
        };
        let subjects = [pick(SubjectKind::User, USERS), pick(SubjectKind::Organization, ORGANIZATIONS)];
        [0, 1].map(|side| {
            let attributes = SubjectKind::BOTH.map(|kind| match &self.edit {
                Some(Edit::Attributes { kind: edited, attributes, .. }) if *edited == kind => attributes[side].clone(),
                _ => subjects[kind as usize].1.clone(),
            });
            let rows = SubjectKind::BOTH.map(|kind| {
                let row = match &self.edit {
                    Some(Edit::Override { level, rows, .. }) if *level == kind => rows[side].clone(),
                    _ if side == 1 && self.dropped == Some(kind) => None,
                    _ => {
                        let mut standing = self.standing.iter();
                        let row = standing.find(|(one, id, _)| *one == kind && Some(*id) == subjects[kind as usize].0);
                        row.map(|(_, _, row)| row.clone())
                    }
                };
                row.into_iter().map(|row| (Arc::from("id"), row)).collect::<Vec<_>>()
            });
            let [user, organization] = rows;
            Seen { ids: [subjects[0].0, subjects[1].0], attributes, overrides: Overrides { user, organization } }
        })
    }
}

struct Seen {
    ids: [Option<&'static str>; 2],
    attributes: [Attributes; 2],
    overrides: Overrides,
}

impl Seen {
    fn context(&self) -> Context<'_> {
        let [user, organization] =
            [0, 1].map(|place| self.ids[place].map(|id| Subject { id, attributes: &self.attributes[place] }));
        Context { user, organization }
    }
}

fn by_rule(evaluation: &Evaluation<'_>) -> bool {
    matches!(evaluation.reason, Reason::TargetingMatch | Reason::Split)
}

/// Whether a context may see this under this effect.
fn allowed(effect: Effect, before: &Evaluation<'_>, after: &Evaluation<'_>) -> bool {
    if before.value == after.value {
        return true;
    }
    match (effect, after.value) {
        (Effect::Mixed, _) => true,
        (Effect::Unchanged, _) => false,
        (Effect::Widened, FlagValue::Boolean(gained)) => *gained,
        (Effect::Narrowed, FlagValue::Boolean(gained)) => !*gained,
        (Effect::Widened, _) => !by_rule(before),
        (Effect::Narrowed, _) => !by_rule(after),
    }
}

/// A level that has its value for the context, whether or not it wins.
fn holds(step: &TraceStep<'_>) -> bool {
    step.won || step.why.contains("decided before")
}

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn an_effect_is_never_contradicted_by_anybody_at_any_time() {
    let seen = Cell::new([0_u32; 4]);
    let changed = Cell::new(0_u32);
    let outcome = runner(100_000).run(&vec(any::<u8>(), 96..320), |bytes| {
        let mut choices = Choices(&bytes);
        let case = Case::read(&mut choices);
        let now = Timestamp::from_seconds(0);
        let effect = case.judge(|change| change.effect(now));
        let mut counts = seen.get();
        counts[effect as usize] += 1;
        seen.set(counts);
        if effect == Effect::Mixed {
            return Ok(());
        }
        let rulesets = [case.sides[0].ruleset(), case.sides[1].ruleset()];
        for _ in 0..12 {
            let sides = case.context(&mut choices);
            for instant in INSTANTS.map(Timestamp::from_seconds) {
                let [before, after] = [0, 1].map(|side| {
                    rulesets[side].evaluate("f", &sides[side].overrides, &sides[side].context(), instant).unwrap()
                });
                changed.set(changed.get() + u32::from(before.value != after.value));
                assert!(
                    allowed(effect, &before, &after),
                    "{effect:?}, yet at {instant} from {before:?} to {after:?} for {:?}",
                    sides[0].ids
                );
            }
        }
        Ok(())
    });
    outcome.unwrap();
    let counts = seen.get();
    println!("unchanged, widened, narrowed, mixed: {counts:?}; {} values seen to change", changed.get());
    // A property that never meets its premise proves nothing.
    assert!(counts.iter().all(|count| *count > 5_000), "{counts:?}");
    assert!(changed.get() > 100_000, "{}", changed.get());
}

#[test]
fn whoever_is_newly_covered_but_not_served_is_held_out_by_something_that_is_named() {
    let seen = Cell::new(0_u32);
    let outcome = runner(20_000).run(&vec(any::<u8>(), 96..320), |bytes| {
        let mut choices = Choices(&bytes);
        let mut case = Case::read(&mut choices);
        for rule in case.sides.iter_mut().flat_map(|side| &mut side.setting.rules) {
            // A trace does not look past closed schedules; they have their own vectors.
            rule.schedule = None;
        }
        let [before_on, after_on] = [0, 1].map(|side| case.sides[side].setting.enabled);
        let now = Timestamp::from_seconds(0);
        if case.judge(|change| change.effect(now)) == Effect::Narrowed || (after_on && !before_on) {
            return Ok(());
        }
        let candidates = case.standing.iter().map(|(level, subject, row)| StandingOverride { level: *level, subject, row });
        let holdouts = case.judge(|change| change.holdouts(now, candidates));
        let rulesets = [case.sides[0].ruleset(), case.sides[1].ruleset()];
        let covering = FlagValue::Boolean(true);
        for _ in 0..12 {
            let sides = case.context(&mut choices);
            let [before, after] =
                [0, 1].map(|side| rulesets[side].explain("f", &sides[side].overrides, &sides[side].context(), now).unwrap());
            let below =
                |step: &&TraceStep<'_>| step.level != Level::Disabled && step.value == Some(&covering) && holds(step);
            if before.evaluation.value == &covering
                || after.evaluation.value == &covering
                || before.trace.iter().any(|step| below(&step))
            {
                continue;
            }
            let Some(covered) = after.trace.iter().find(below) else { continue };
            // What stands on both sides was there to be covered before.
            if matches!(covered.level, Level::User | Level::Organization) && case.edit.is_none() {
                continue;
            }
            let winner = after.trace.iter().find(|step| step.won).unwrap();
            let id = |level: Level| sides[1].ids[usize::from(level == Level::Organization)];
            let named = holdouts.iter().any(|holdout| match winner.level {
                Level::Disabled => holdout.level == HoldoutLevel::Disabled,
                Level::User => holdout.level == HoldoutLevel::User && holdout.user.as_deref() == id(Level::User),
                Level::Organization => {
                    holdout.level == HoldoutLevel::Organization && holdout.organization.as_deref() == id(Level::Organization)
                }
                Level::Rule => holdout.level == HoldoutLevel::Rule && holdout.rule == winner.rule,
                Level::Environment => holdout.level == HoldoutLevel::Environment,
                Level::Default => false,
            });
            assert!(named, "held out by {winner:?}, but named are {holdouts:?}");
            seen.set(seen.get() + 1);
        }
        Ok(())
    });
    outcome.unwrap();
    println!("held out: {}", seen.get());
    assert!(seen.get() > 1_000, "{}", seen.get());
}

#[test]
fn every_widening_of_one_rule_is_called_widened() {
    let seen = Cell::new([0_u32; 2]);
    let outcome = runner(20_000).run(&vec(any::<u8>(), 32..160), |bytes| {
        let mut choices = Choices(&bytes);
        let segments: Vec<Segment> = SEGMENTS.iter().map(|key| choices.segment(key)).collect();
        let mut rule = choices.rule(true);
        rule.serve = Serve::Value(FlagValue::Boolean(true));
        let mut wider = rule.clone();
        let now = Timestamp::from_seconds(0);
        // Each step makes the rule larger or leaves it; whether anybody is gained is what the world then says.
        wider.audience = choices.larger(&rule.audience);
        match (&mut wider.rollout, choices.below(3)) {
            (Some(rollout), 0) => rollout.percentage = rollout.percentage.max(choices.percentage()),
            (rollout, 1) => *rollout = None,
            _ => {}
        }
        if let Some(schedule) = &mut wider.schedule {
            match choices.below(4) {
                0 => schedule.from = None,
                1 => schedule.until = None,
                2 => schedule.steps.iter_mut().for_each(|step| step.percentage = step.percentage.max(choices.percentage())),
                _ => {}
            }
            if wider.rollout.is_none() {
                schedule.steps.clear();
            }
        }
        let side = |rule: &Rule| Side {
            flag: flag(true),
            setting: Setting { rules: vec![rule.clone()], ..Setting::default() },
            segments: segments.clone(),
        };
        let sides = [side(&rule), side(&wider)];
        let case = Case { sides, standing: Vec::new(), dropped: None, edit: None };
        let effect = case.judge(|change| change.effect(now));
        assert!(matches!(effect, Effect::Widened | Effect::Unchanged), "{effect:?} from {rule:?} to {wider:?}");
        let rulesets = [case.sides[0].ruleset(), case.sides[1].ruleset()];
        let mut gained = false;
        for _ in 0..16 {
            let sides = case.context(&mut choices);
            gained |= INSTANTS.map(Timestamp::from_seconds).into_iter().any(|instant| {
                let [before, after] = [0, 1].map(|side| {
                    rulesets[side].evaluate("f", &sides[side].overrides, &sides[side].context(), instant).unwrap().value
                });
                before != after
            });
        }
        assert!(!gained || effect == Effect::Widened, "somebody gained from {rule:?} to {wider:?}");
        let mut counts = seen.get();
        counts[usize::from(gained)] += 1;
        seen.set(counts);
        // And back is the mirror.
        let [before, after] = case.sides;
        let case = Case { sides: [after, before], ..case };
        let mirrored = if effect == Effect::Widened { Effect::Narrowed } else { Effect::Unchanged };
        assert_eq!(case.judge(|change| change.effect(now)), mirrored);
        Ok(())
    });
    outcome.unwrap();
    println!("nobody seen to gain, somebody: {:?}", seen.get());
    assert!(seen.get()[1] > 2_000);
}

/// None, some of six, or all: every setting of the small world.
fn small_world() -> Vec<Setting> {
    let names = [USERS, ORGANIZATIONS].concat();
    let some = (0..1_usize << names.len()).map(|bits| {
        let chosen = |from: usize| {
            let places = (from..from + 3).filter(|place| bits & (1 << place) != 0);
            places.map(|place| SubjectId::parse(names[place]).unwrap()).collect::<Vec<_>>()
        };
        Audience::Some(Targets { users: chosen(0), organizations: chosen(3), segments: Vec::new() })
    });
    let audiences = [Audience::None, Audience::All].into_iter().chain(some);
    audiences
        .map(|audience| Setting { rules: vec![Rule::serving(audience, FlagValue::Boolean(true))], ..Setting::default() })
        .collect()
}

/// The edits of the small world: to none, to all, and each subject in or out.
fn edited(setting: &Setting, flag: &Flag, edit: usize) -> Option<Setting> {
    let with_audience =
        |audience| Some(Setting { rules: vec![Rule::serving(audience, FlagValue::Boolean(true))], ..Setting::default() });
    let (kind, names) = match edit {
        0 => return with_audience(Audience::None),
        1 => return with_audience(Audience::All),
        2..8 => (SubjectKind::User, USERS),
        _ => (SubjectKind::Organization, ORGANIZATIONS),
    };
    let place = (edit - 2) % 6;
    let id = SubjectId::parse(names[place % 3]).unwrap();
    // Nobody can be taken out of everybody: then there is no such edit.
    if place < 3 { setting.with_target(flag, kind, id).ok() } else { setting.without_target(kind, &id).ok() }
}

#[test]
fn in_a_small_world_every_sequence_of_four_edits_has_exact_effects_and_no_widening_loses() {
    const EDITS: usize = 14;
    let flag = flag(true);
    let worlds = small_world();
    let nobody = Attributes::default();
    // Who is on: three users, a stranger and a machine, in three organizations, a strange one and none.
    let on: Vec<Vec<bool>> = worlds
        .iter()
        .map(|setting| {
            let ruleset = Ruleset::compile(1, vec![(flag.clone(), setting.clone())], Vec::new());
            let ids = |named: [&'static str; 3]| named.into_iter().chain(["x0"]).map(Some).chain([None]);
            let contexts = ids(USERS).flat_map(|user| ids(ORGANIZATIONS).map(move |organization| (user, organization)));
            contexts
                .map(|(user, organization)| {
                    let subject = |id: Option<&'static str>| id.map(|id| Subject { id, attributes: &nobody });
                    let context = Context { user: subject(user), organization: subject(organization) };
                    let overrides = Overrides::default();
                    let value =
                        ruleset.evaluate("f", &overrides, &context, Timestamp::from_seconds(0)).unwrap().value.clone();
                    value == FlagValue::Boolean(true)
                })
                .collect()
        })
        .collect();
    let place = |setting: &Setting| {
        let found = worlds.iter().position(|one| one == setting);
        found.expect("an edit of the small world stays in it")
    };
    // Every edit from every setting, with what it does to whom, once.
    let mut next = vec![[None; EDITS]; worlds.len()];
    for (from, setting) in worlds.iter().enumerate() {
        for (edit, step) in next[from].iter_mut().enumerate() {
            let Some(after) = edited(setting, &flag, edit) else { continue };
            let to = place(&after);
            let lost = on[from].iter().zip(&on[to]).any(|(before, after)| *before && !after);
            let gained = on[from].iter().zip(&on[to]).any(|(before, after)| !before && *after);
            let exact = match (gained, lost) {
                (false, false) => Effect::Unchanged,
                (true, false) => Effect::Widened,
                (false, true) => Effect::Narrowed,
                (true, true) => Effect::Mixed,
            };
            let states = [setting, &after].map(|setting| State { flag: Some(&flag), setting, segments: &[] });
            let effect = Change::between(states[0], states[1]).effect(Timestamp::from_seconds(0));
            assert_eq!(effect, exact, "from {setting:?} to {after:?}");
            *step = Some((to, effect));
        }
    }
    let mut sequences = 0_u64;
    for start in 0..worlds.len() {
        walk(start, start, Effect::Unchanged, 4, &next, &mut |from, to, effect| {
            sequences += 1;
            let kept = |from: &[bool], to: &[bool]| from.iter().zip(to).all(|(before, after)| !before || *after);
            match effect {
                Effect::Unchanged => assert_eq!(on[from], on[to]),
                Effect::Widened => assert!(kept(&on[from], &on[to])),
                Effect::Narrowed => assert!(kept(&on[to], &on[from])),
                Effect::Mixed => {}
            }
        });
    }
    println!("{sequences} sequences");
    assert!(sequences > 2_000_000);
}

fn walk(
    start: usize,
    at: usize,
    effect: Effect,
    left: usize,
    next: &[[Option<(usize, Effect)>; 14]],
    look: &mut impl FnMut(usize, usize, Effect),
) {
    look(start, at, effect);
    if left > 0 {
        for (to, step) in next[at].iter().flatten() {
            walk(start, *to, effect.merge(*step), left - 1, next, look);
        }
    }
}

#[test]
fn raising_a_percentage_never_drops_anybody() {
    let ids: Vec<String> = (0..2_000).map(|number| format!("subject-{number}")).collect();
    let mut reached = vec![false; ids.len()];
    let nobody = Attributes::default();
    for thousandths in (0..=100_000).step_by(1_250) {
        let percentage = Percentage::from_thousandths(thousandths).unwrap();
        let mut rule = Rule::serving(Audience::All, FlagValue::Boolean(true));
        rule.rollout = Some(Rollout { by: SubjectKind::User, percentage });
        let setting = Setting { rules: vec![rule], ..Setting::default() };
        let ruleset = Ruleset::compile(1, vec![(flag(true), setting)], Vec::new());
        for (id, reached) in ids.iter().zip(&mut reached) {
            let context = Context { user: Some(Subject { id, attributes: &nobody }), organization: None };
            let overrides = Overrides::default();
            let evaluation = ruleset.evaluate("f", &overrides, &context, Timestamp::from_seconds(0)).unwrap();
            let on = *evaluation.value == FlagValue::Boolean(true);
            assert!(on || !*reached, "{id} was dropped at {percentage}");
            *reached = on;
        }
    }
    assert!(reached.iter().all(|reached| *reached));
}

#[test]
fn edits_that_end_in_the_same_setting_are_the_same_in_any_order() {
    let flag = flag(true);
    let id = |text: &str| SubjectId::parse(text).unwrap();
    let start = Setting::default();
    let edits: [(SubjectKind, SubjectId); 4] = [
        (SubjectKind::User, id("u0")),
        (SubjectKind::User, id("u1")),
        (SubjectKind::Organization, id("o0")),
        (SubjectKind::Organization, id("u0")),
    ];
    let run = |order: &[usize]| {
        order.iter().fold(start.clone(), |setting, place| {
            let (kind, id) = edits[*place].clone();
            setting.with_target(&flag, kind, id).unwrap()
        })
    };
    let expected = run(&[0, 1, 2, 3]);
    for first in 0..4 {
        for second in (0..4).filter(|place| *place != first) {
            for third in (0..4).filter(|place| ![first, second].contains(place)) {
                assert_eq!(run(&[first, second, third, 6 - first - second - third]), expected);
            }
        }
    }
}

#[test]
fn the_last_of_a_hundred_different_rules_is_judged_exactly() {
    let mut rules: Vec<Rule> = (0..99)
        .map(|number| {
            let named = |prefix: &str| vec![SubjectId::parse(&format!("{prefix}{number}")).unwrap()];
            let segments = vec![SegmentKey::parse(&format!("s{number}")).unwrap()];
            let audience = Audience::Some(Targets { users: named("u"), organizations: named("o"), segments });
            let mut rule = Rule::serving(audience, FlagValue::Boolean(number % 2 == 0));
            let percentage = Percentage::from_thousandths(1_000 * number).unwrap();
            rule.rollout = Some(Rollout { by: SubjectKind::BOTH[number as usize % 2], percentage });
            rule
        })
        .collect();
    let segments: Vec<Segment> = (0..99)
        .map(|number| {
            let text = format!(r#"{{"key":"s{number}","condition":{{"user":"n","equals":{number}}}}}"#);
            Segment::parse(&parse(text.as_bytes()).unwrap()).unwrap()
        })
        .collect();
    let flag = flag(true);
    let mut setting = |audience| {
        rules.truncate(99);
        rules.push(Rule::serving(audience, FlagValue::Boolean(true)));
        Setting { rules: rules.clone(), ..Setting::default() }
    };
    let (none, all) = (setting(Audience::None), setting(Audience::All));
    let state = |setting| State { flag: Some(&flag), setting, segments: &segments };
    let judge = |before, after| Change::between(state(before), state(after)).effect(Timestamp::from_seconds(0));
    assert_eq!(judge(&none, &all), Effect::Widened);
    assert_eq!(judge(&all, &none), Effect::Narrowed);
    assert_eq!(judge(&all, &all), Effect::Unchanged);
    // Every rule that serves `false`, to at least somebody, keeps them from what is now for everybody.
    let change = Change::between(state(&none), state(&all));
    let holdouts = change.holdouts(Timestamp::from_seconds(0), []);
    let rules: Vec<_> = holdouts.iter().filter_map(|holdout| holdout.rule).collect();
    assert_eq!(rules, (1..99).step_by(2).collect::<Vec<_>>());
}
