//! Walking a place from one moment to a later one names what altered a flag on the way, and nothing else.

use std::collections::BTreeMap;

use flagbearer::cause::{Cause, PlaceChange, causes};
use flagbearer::evaluation::Level;
use flagbearer::flag::Flag;
use flagbearer::place::{Part, Place};
use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

const SECOND: fn(i64) -> Timestamp = Timestamp::from_seconds;

fn flag(default_value: bool) -> Value {
    let document = json!({ "key": "f", "type": "boolean", "default_value": default_value });
    let mut document = serde_json::to_value(Flag::create(&document, "flag_1", "salt").expect("a flag")).expect("JSON");
    document["archived_at"] = Value::Null;
    document
}

fn place() -> Place {
    let mut place = Place::new(Some("alice"), Some("org_a"));
    place.put(Part::Flag, "flag_1", Some(&flag(false))).expect("a flag");
    place
}

fn change(revision: i64, part: Part, document: Option<Value>) -> PlaceChange {
    PlaceChange { revision, at: SECOND(revision), edits: vec![(part, "flag_1".to_owned(), document)] }
}

fn walk(mut place: Place, changes: &[PlaceChange], until: i64) -> BTreeMap<String, Vec<Cause>> {
    causes(&mut place, SECOND(0), changes, SECOND(until), &["f"]).expect("documents of the log")
}

fn of(causes: Vec<Cause>) -> BTreeMap<String, Vec<Cause>> {
    BTreeMap::from([("f".to_owned(), causes)])
}

fn rule(from: i64, until: i64) -> Value {
    let schedule = json!({ "from": SECOND(from), "until": SECOND(until) });
    let rule = json!({ "audience": { "type": "all" }, "serve": { "value": true }, "schedule": schedule });
    json!({ "enabled": true, "rules": [rule] })
}

#[test]
fn where_nothing_is_served_otherwise_there_is_no_cause() {
    let changes = [change(5, Part::Flag, Some(flag(false))), change(6, Part::Setting, Some(rule(50, 60)))];
    assert_eq!(walk(place(), &changes, 49), BTreeMap::new());
}

#[test]
fn a_change_that_only_plans_is_followed_by_the_schedule_that_acts() {
    let changes = [change(6, Part::Setting, Some(rule(50, 60)))];
    assert_eq!(walk(place(), &changes, 50), of(vec![Cause::Schedule { at: Some(SECOND(50)) }]));
    assert_eq!(walk(place(), &changes, 99), BTreeMap::new(), "opened and closed again");
}

#[test]
fn changes_and_time_stand_in_the_order_in_which_they_acted() {
    let expiring = json!({ "value": true, "note": null, "expires_at": SECOND(20) });
    let changes = [
        change(10, Part::UserOverride, Some(expiring)),
        change(30, Part::Flag, Some(flag(true))),
        change(40, Part::Flag, None),
    ];
    let expected = vec![
        Cause::Change { revision: 10 },
        Cause::OverrideExpired { level: Level::User, at: SECOND(20) },
        Cause::Change { revision: 30 },
        Cause::Change { revision: 40 },
    ];
    assert_eq!(walk(place(), &changes, 100), of(expected));
}

#[test]
fn a_change_with_an_earlier_time_than_the_token_does_not_turn_the_clock_back() {
    let mut place = place();
    place.put(Part::Setting, "flag_1", Some(&rule(90, 95))).expect("a setting");
    let late = PlaceChange { at: SECOND(80), ..change(7, Part::Flag, Some(flag(false))) };
    let found = causes(&mut place, SECOND(92), &[late], SECOND(94), &["f"]).expect("documents of the log");
    assert_eq!(found, BTreeMap::new());
}

fn application(projection: Value) -> Value {
    json!({ "client_id": "app_1", "projection": projection })
}

#[test]
fn a_flag_that_is_no_longer_carried_or_is_again_has_the_change_as_its_cause() {
    let changes = [
        change(3, Part::Application, Some(application(json!({ "flags": ["g"] })))),
        change(4, Part::Application, Some(application(json!({ "flags": ["f", "g"] })))),
    ];
    assert_eq!(walk(place(), &changes[..1], 9), of(vec![Cause::Change { revision: 3 }]));
    let both = vec![Cause::Change { revision: 3 }, Cause::Change { revision: 4 }];
    assert_eq!(walk(place(), &changes, 9), of(both));
}

#[test]
fn a_flag_that_loses_the_tag_it_was_carried_for_has_that_change_as_its_cause() {
    let mut tagged = flag(false);
    tagged["tags"] = json!(["web"]);
    let mut place = place();
    place.put(Part::Flag, "flag_1", Some(&tagged)).expect("a flag");
    place.put(Part::Application, "app_1", Some(&application(json!({ "tags": ["web"] })))).expect("an application");
    assert_eq!(place.projected_out(), Vec::<&flagbearer::flag::FlagKey>::new());
    let changes = [change(3, Part::Flag, Some(flag(false)))];
    assert_eq!(walk(place.clone(), &changes, 9), of(vec![Cause::Change { revision: 3 }]));
    place.put(Part::Flag, "flag_1", Some(&flag(false))).expect("a flag");
    assert_eq!(place.projected_out().iter().map(|key| key.as_str()).collect::<Vec<_>>(), ["f"]);
}

#[test]
fn an_application_from_before_there_were_projections_carries_every_flag() {
    let mut place = place();
    place.put(Part::Application, "app_1", Some(&json!({ "client_id": "app_1" }))).expect("an application");
    assert!(place.projected_out().is_empty());
}
