//! Evaluating from Rust: many flags at once, one at a time, and with a trace are the same answer.

mod fixture;

use std::sync::Arc;

use fixture::Fixture;
use flagbearer::evaluation::{Context, Evaluation, Overrides, Reason};
use flagbearer::flag::{Flag, FlagValue};
use flagbearer::projection::Projection;
use flagbearer::ruleset::Ruleset;
use flagbearer::setting::{Override, Setting};
use flagbearer::timestamp::Timestamp;
use serde_json::json;

const NOW: Timestamp = Timestamp::from_seconds(0);

fn flag(key: &str, id: &str) -> Flag {
    Flag::create(&json!({ "key": key, "type": "boolean", "default_value": false }), id, "salt").unwrap()
}

fn on() -> Override {
    Override { value: FlagValue::Boolean(true), note: None, expires_at: None }
}

#[test]
fn all_flags_at_once_are_each_flag_alone_are_each_flag_explained() {
    let fixture = Fixture::load(3);
    let Fixture { ruleset, overrides, now, .. } = &fixture;
    for context in [fixture.context(), Context { user: None, ..fixture.context() }, Context::default()] {
        let mut all = Vec::new();
        ruleset.evaluate_all(overrides, &context, *now, &mut all);
        let explained = ruleset.explain_all(overrides, &context, *now);
        assert_eq!(all.len(), 90);
        for (one, explained) in all.iter().zip(&explained) {
            let key = one.flag.key.as_str();
            assert_eq!(ruleset.evaluate(key, overrides, &context, *now), Some(*one));
            assert_eq!(ruleset.explain(key, overrides, &context, *now).as_ref(), Some(explained));
            assert_eq!(explained.evaluation, *one);
            let won: Vec<_> = explained.trace.iter().filter(|step| step.won).collect();
            assert_eq!(won.len(), 1, "{key}");
            assert_eq!((won[0].value, won[0].rule, won[0].variant), (Some(one.value), one.rule, one.variant));
        }
        assert!(all.windows(2).all(|pair| pair[0].flag.key < pair[1].flag.key));
    }
}

#[test]
fn a_projection_leaves_flags_out_and_alters_none_of_the_others() {
    let fixture = Fixture::load(2);
    let Fixture { ruleset, overrides, now, .. } = &fixture;
    let context = fixture.context();
    let (mut all, mut carried) = (Vec::new(), Vec::new());
    ruleset.evaluate_all(overrides, &context, *now, &mut all);
    let overridden = |one: &&Evaluation<'_>| matches!(one.reason, Reason::UserOverride | Reason::OrganizationOverride);
    assert_eq!(all.iter().filter(overridden).count(), 4, "the fixture has overrides, which are found by place");
    for step in 1..7 {
        let kept: Vec<_> = all.iter().skip(step).step_by(step).copied().collect();
        let projection = Projection::Flags(kept.iter().map(|one| one.flag.key.clone()).collect());
        ruleset.evaluate_carried(&projection, overrides, &context, *now, &mut carried);
        assert_eq!(carried, kept);
    }
}

#[test]
fn the_fixture_has_the_thirty_flags_that_it_promises() {
    let fixture = Fixture::load(1);
    let mut all = Vec::new();
    fixture.ruleset.evaluate_all(&fixture.overrides, &fixture.context(), fixture.now, &mut all);
    let count = |reason| all.iter().filter(|one| one.reason == reason).count();
    let rules = |wanted: fn(&flagbearer::setting::Rule) -> bool| {
        fixture.ruleset.flags().filter(|(_, setting)| setting.rules.iter().any(wanted)).count()
    };
    assert_eq!(all.len(), 30);
    assert_eq!((count(Reason::UserOverride), count(Reason::OrganizationOverride), count(Reason::Split)), (1, 1, 2));
    assert_eq!(rules(|rule| rule.rollout.is_some()), 4);
    assert_eq!(rules(|rule| !rule.audience.segments().is_empty()), 6);
    assert_eq!(fixture.ruleset.flags().filter(|(_, setting)| setting.rules.is_empty()).count(), 12);
}

#[test]
fn overrides_are_found_by_the_flags_id_and_unknown_ones_are_ignored() {
    let flags = vec![(flag("b", "2"), Setting::default()), (flag("a", "1"), Setting::default())];
    let ruleset = Ruleset::compile(7, flags, Vec::new());
    assert_eq!(ruleset.revision(), 7);
    let fixture = Fixture::load(1);
    let context = fixture.context();
    let row = |id: &str| (Arc::from(id), on());
    let overrides = Overrides { user: vec![row("b"), row("gone"), row("2")], organization: vec![row("1"), row("1")] };
    let mut all = Vec::new();
    ruleset.evaluate_all(&overrides, &context, NOW, &mut all);
    assert_eq!(all.iter().map(|one| one.flag.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(all.iter().map(|one| one.reason).collect::<Vec<_>>(), [Reason::OrganizationOverride, Reason::UserOverride]);
}

#[test]
fn a_flag_that_is_not_there_is_not_evaluated() {
    let ruleset = Ruleset::compile(1, vec![(flag("a", "1"), Setting::default())], Vec::new());
    assert!(ruleset.evaluate("b", &Overrides::default(), &Context::default(), NOW).is_none());
    assert!(ruleset.explain("b", &Overrides::default(), &Context::default(), NOW).is_none());
    assert!(
        Ruleset::compile(1, Vec::new(), Vec::new()).explain_all(&Overrides::default(), &Context::default(), NOW).is_empty()
    );
}

#[test]
fn a_segment_that_is_not_given_holds_nobody() {
    let audience = json!({ "type": "some", "segments": ["gone"] });
    let setting = json!({ "enabled": true, "rules": [{ "audience": audience, "serve": { "value": true } }] });
    let setting = Setting::parse(&setting, &flag("a", "1")).unwrap();
    assert!(setting.check_segments(|key| key.as_str() == "gone").is_ok());
    assert_eq!(setting.check_segments(|_| false).unwrap_err().pointer, "/rules/0/audience/segments");
    let ruleset = Ruleset::compile(1, vec![(flag("a", "1"), setting)], Vec::new());
    let overrides = Overrides::default();
    let evaluation = ruleset.evaluate("a", &overrides, &Context::default(), NOW).unwrap();
    assert_eq!(evaluation.reason, Reason::Default);
}
