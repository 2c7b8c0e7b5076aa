//! No claim is larger than its worst case, and the worst case is no larger than it has to be.

mod fixture;

use fixture::Fixture;
use flagbearer::claim::{Dialect, Weighed, WorstCase};
use flagbearer::evaluation::{Context, Overrides};
use flagbearer::flag::{Flag, FlagValue};
use flagbearer::projection::Projection;
use flagbearer::ruleset::Ruleset;
use flagbearer::setting::Setting;
use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_seconds(0);

fn flag(key: &str, flag_type: &str, default_value: Value, more: Value) -> Flag {
    let mut document = json!({ "key": key, "type": flag_type, "default_value": default_value });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Flag::create(&document, key, "salt").unwrap()
}

fn text(text: &str) -> FlagValue {
    FlagValue::String(text.into())
}

/// The claim that a flag gives alone.
fn claim(dialect: Dialect, flag: &Flag, value: &FlagValue) -> String {
    let mut claim = String::new();
    dialect.encode([(&flag.key, value)], &mut claim);
    claim
}

fn worst(dialect: Dialect, weighed: &Weighed) -> usize {
    WorstCase::of(dialect, &Projection::All, [weighed]).bytes
}

#[test]
fn every_level_is_weighed_and_the_largest_value_counts() {
    let flag = flag("f", "string", json!("d"), json!({}));
    let rule = |serve: Value| json!({ "enabled": false, "rules": [{ "audience": { "type": "none" }, "serve": serve }] });
    let long = "long \u{fc} \" \\ \u{1}";
    let split = json!({ "split": { "by": "user", "variants": [
        { "name": "a", "value": "s", "weight": 1 }, { "name": "b", "value": long, "weight": 1 },
    ] } });
    let never = json!({ "split": { "by": "user", "variants": [
        { "name": "a", "value": "s", "weight": 1 }, { "name": "b", "value": long, "weight": 0 },
    ] } });
    let largest = claim(Dialect::Typed, &flag, &text(long)).len();
    let least = claim(Dialect::Typed, &flag, &text("d")).len();
    let weigh = |setting: Value, overrides: &[FlagValue]| {
        let setting = Setting::parse(&setting, &flag).unwrap();
        worst(Dialect::Typed, &Weighed::new(flag.clone(), &setting, overrides))
    };
    assert_eq!(weigh(json!({ "enabled": true }), &[]), least);
    assert_eq!(weigh(json!({ "enabled": false, "value": long }), &[]), largest);
    assert_eq!(weigh(rule(json!({ "value": long })), &[]), largest);
    assert_eq!(weigh(rule(split), &[]), largest);
    assert_eq!(weigh(rule(never), &[]), least, "a variant without weight is never served");
    assert_eq!(weigh(json!({ "enabled": true }), &[text("s"), text(long), text("")]), largest);
    let with_off = self::flag("f", "string", json!("d"), json!({ "off_value": long }));
    assert_eq!(worst(Dialect::Typed, &Weighed::new(with_off, &Setting::default(), [])), largest);
}

#[test]
fn in_the_dialect_of_keys_a_flag_weighs_what_its_key_does_where_it_can_be_true_at_all() {
    let off = flag("feature", "boolean", json!(false), json!({}));
    let [no, yes] = [FlagValue::Boolean(false), FlagValue::Boolean(true)];
    let alone = claim(Dialect::Keys, &off, &yes).len();
    assert_eq!(worst(Dialect::Keys, &Weighed::new(off.clone(), &Setting::default(), [&no])), "[]".len());
    assert_eq!(worst(Dialect::Keys, &Weighed::new(off.clone(), &Setting::default(), [&no, &yes])), alone);
    assert_eq!(
        worst(Dialect::Typed, &Weighed::new(off.clone(), &Setting::default(), [&yes])),
        claim(Dialect::Typed, &off, &no).len()
    );
    let string = flag("feature", "string", json!("true"), json!({}));
    assert_eq!(worst(Dialect::Keys, &Weighed::new(string, &Setting::default(), [])), "[]".len());
}

#[test]
fn only_carried_flags_are_weighed_and_the_largest_stands_first() {
    let weigh = |key: &str, value: &str| {
        Weighed::new(flag(key, "string", json!(value), json!({ "tags": [key] })), &Setting::default(), [])
    };
    let flags = [weigh("a", "1"), weigh("b", "333"), weigh("c", "22"), weigh("d", "1")];
    let all = WorstCase::of(Dialect::Typed, &Projection::All, &flags);
    assert_eq!(all.parts.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b", "c", "a", "d"]);
    let two = WorstCase::of(Dialect::Typed, &Projection::Tags(vec!["b".into(), "d".into()]), &flags);
    assert_eq!(two.bytes, r#"{"b":{"t":"s","v":"333"},"d":{"t":"s","v":"1"}}"#.len());
    assert_eq!(WorstCase::of(Dialect::Typed, &Projection::Flags(Vec::new()), &flags).bytes, "{}".len());
}

#[test]
fn a_state_outgrows_another_where_a_value_or_the_tags_may_make_some_claim_larger() {
    let weigh = |value: &str, tags: Value| {
        Weighed::new(flag("f", "string", json!(value), json!({ "tags": tags })), &Setting::default(), [])
    };
    assert!(weigh("22", json!([])).outgrows(&weigh("1", json!([]))));
    assert!(!weigh("1", json!([])).outgrows(&weigh("22", json!([]))));
    assert!(!weigh("1", json!([])).outgrows(&weigh("2", json!([]))));
    assert!(weigh("1", json!(["web"])).outgrows(&weigh("1", json!([]))));
    let boolean =
        |default_value: bool| Weighed::new(flag("f", "boolean", json!(default_value), json!({})), &Setting::default(), []);
    assert!(boolean(true).outgrows(&boolean(false)), "it may be true now");
    assert!(!boolean(false).outgrows(&boolean(true)));
}

#[test]
fn no_claim_of_the_fixture_is_larger_than_its_worst_case() {
    let fixture = Fixture::load(1);
    let values = |id: &str| -> Vec<FlagValue> {
        let Overrides { user, organization } = &fixture.overrides;
        user.iter().chain(organization).filter(|(flag, _)| **flag == *id).map(|(_, row)| row.value.clone()).collect()
    };
    let weighed: Vec<Weighed> =
        fixture.ruleset.flags().map(|(flag, setting)| Weighed::new(flag.clone(), setting, &values(&flag.id))).collect();
    let contexts = [fixture.context(), Context { user: None, ..fixture.context() }, Context::default()];
    for dialect in [Dialect::Typed, Dialect::Keys] {
        let worst = WorstCase::of(dialect, &Projection::All, &weighed);
        for context in &contexts {
            for overrides in [&fixture.overrides, &Overrides::default()] {
                let (mut evaluations, mut claim) = (Vec::new(), String::new());
                fixture.ruleset.evaluate_all(overrides, context, fixture.now, &mut evaluations);
                dialect.encode(evaluations.iter().map(|one| (&one.flag.key, one.value)), &mut claim);
                assert!(claim.len() <= worst.bytes, "{} of {}", claim.len(), worst.bytes);
            }
        }
    }
    let alone = Ruleset::compile(1, vec![(flag("f", "boolean", json!(true), json!({})), Setting::default())], Vec::new());
    let (overrides, mut evaluations, mut claim) = (Overrides::default(), Vec::new(), String::new());
    alone.evaluate_all(&overrides, &Context::default(), NOW, &mut evaluations);
    Dialect::Keys.encode(evaluations.iter().map(|one| (&one.flag.key, one.value)), &mut claim);
    let (flag, setting) = alone.flags().next().unwrap();
    assert_eq!(worst(Dialect::Keys, &Weighed::new(flag.clone(), setting, [])), claim.len(), "and here it is as large");
}
