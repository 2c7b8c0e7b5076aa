//! The documents of the evaluation half: what is written is what is read, and the shortcuts edit them as promised.

use flagbearer::attributes::Attributes;
use flagbearer::document::{Node, parse};
use flagbearer::error::ErrorCode;
use flagbearer::flag::Flag;
use flagbearer::segment::{Segment, SegmentKey};
use flagbearer::setting::{Override, Setting, Targeting};
use flagbearer::subject::{SubjectId, SubjectKind};
use proptest::prelude::*;
use serde_json::{Value, json};

fn flag(flag_type: &str, default_value: Value) -> Flag {
    Flag::create(&json!({ "key": "f", "type": flag_type, "default_value": default_value }), "id", "salt").unwrap()
}

fn boolean() -> Flag {
    flag("boolean", json!(false))
}

fn setting(document: Value) -> Setting {
    Setting::parse(&document, &boolean()).unwrap()
}

fn written(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

fn id(text: &str) -> SubjectId {
    SubjectId::parse(text).unwrap()
}

#[test]
fn a_setting_is_written_with_every_member_and_read_back_the_same() {
    let document = json!({
        "enabled": true,
        "value": null,
        "rules": [
            {
                "description": "ten percent of enterprise",
                "audience": { "type": "some", "users": ["ada"], "organizations": [], "segments": ["enterprise"] },
                "rollout": { "by": "organization", "percentage": 10 },
                "serve": { "value": true },
                "schedule": {
                    "from": "2027-01-04T00:00:00Z",
                    "until": null,
                    "steps": [{ "at": "2027-01-11T00:00:00Z", "percentage": 33.333 }],
                },
            },
            {
                "description": "",
                "audience": { "type": "all" },
                "rollout": null,
                "serve": { "split": { "by": "user", "variants": [
                    { "name": "a", "value": true, "weight": 1 },
                    { "name": "b", "value": false, "weight": 3 },
                ] } },
                "schedule": null,
            },
        ],
    });
    let read = setting(document.clone());
    assert_eq!(written(&read), document);
    assert_eq!(read.segments().map(SegmentKey::as_str).collect::<Vec<_>>(), ["enterprise"]);
    assert_eq!(read.values().map(written).collect::<Vec<_>>(), [json!(true), json!(true), json!(false)]);
}

#[test]
fn a_new_flags_setting_is_enabled_without_value_and_rules() {
    let document = json!({ "enabled": true, "value": null, "rules": [] });
    assert_eq!(written(&Setting::default()), document);
    assert_eq!(setting(json!({ "enabled": true })), Setting::default());
    assert_eq!(setting(json!({ "enabled": true, "value": null, "rules": null })), Setting::default());
}

#[test]
fn lists_are_sets() {
    let audience = json!({ "type": "some", "users": ["b", "a", "b"], "segments": ["t", "s", "t"] });
    let read = setting(json!({ "enabled": true, "rules": [{ "audience": audience, "serve": { "value": true } }] }));
    let expected = json!({ "type": "some", "users": ["a", "b"], "organizations": [], "segments": ["s", "t"] });
    assert_eq!(written(&read)["rules"][0]["audience"], expected);
}

#[test]
fn where_the_environment_may_not_override_a_flag_is_still_switched_on_and_off() {
    let mut flag = boolean();
    flag.overrides.environment = false;
    let off = Setting::parse(&json!({ "enabled": false, "rules": [] }), &flag).unwrap();
    assert!(!off.enabled);
    let refused = Targeting::parse(&json!({ "audience": "all" }), &flag).unwrap_err();
    assert_eq!(refused.code, ErrorCode::OverrideNotAllowed);
    let refused = off.with_target(&flag, SubjectKind::User, id("ada")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::OverrideNotAllowed);
}

#[test]
fn targeting_makes_the_one_rule_and_leaves_the_rest_alone() {
    let before = setting(json!({ "enabled": false, "value": true }));
    let document = json!({ "audience": "some", "users": ["ada"], "organizations": ["acme"] });
    let after = Targeting::parse(&document, &boolean()).unwrap().apply(&before, false).unwrap();
    assert!(!after.enabled);
    assert_eq!(written(&after)["value"], json!(true));
    let audience = json!({ "type": "some", "users": ["ada"], "organizations": ["acme"], "segments": [] });
    let rule = json!({
        "description": "", "audience": audience, "rollout": null, "serve": { "value": true }, "schedule": null,
    });
    assert_eq!(written(&after)["rules"], json!([rule]));
    let all = Targeting::parse(&json!({ "audience": "all" }), &boolean()).unwrap().apply(&after, false).unwrap();
    assert_eq!(written(&all)["rules"][0]["audience"], json!({ "type": "all" }));
}

#[test]
fn targeting_does_not_drop_rules_that_it_cannot_express_unless_told_to() {
    let plain = json!({ "audience": { "type": "all" }, "serve": { "value": true } });
    let with = |name: &str, member: Value| {
        let mut rule = plain.clone();
        rule[name] = member;
        rule
    };
    let variants = json!([{ "name": "a", "value": true, "weight": 1 }]);
    let complex = [
        vec![plain.clone(), plain.clone()],
        vec![with("rollout", json!({ "by": "user", "percentage": 1 }))],
        vec![with("serve", json!({ "split": { "by": "user", "variants": variants } }))],
        vec![with("schedule", json!({ "from": "2027-01-04T00:00:00Z" }))],
    ];
    for rules in complex {
        let before = setting(json!({ "enabled": true, "rules": rules }));
        let targeting = Targeting::parse(&json!({ "audience": "none" }), &boolean()).unwrap();
        assert_eq!(targeting.clone().apply(&before, false).unwrap_err().code, ErrorCode::SettingHasRules);
        assert_eq!(targeting.apply(&before, true).unwrap().rules.len(), 1);
        let one_more = before.with_target(&boolean(), SubjectKind::User, id("ada"));
        assert_eq!(one_more.unwrap_err().code, ErrorCode::SettingHasRules);
        let one_less = before.without_target(SubjectKind::User, &id("ada"));
        assert_eq!(one_less.unwrap_err().code, ErrorCode::SettingHasRules);
    }
}

#[test]
fn targeting_of_other_types_says_what_the_targets_get() {
    let flag = flag("integer", json!(1));
    let refused = Targeting::parse(&json!({ "audience": "all" }), &flag).unwrap_err();
    assert_eq!((refused.code, refused.pointer.as_str()), (ErrorCode::MemberMissing, "/value"));
    assert!(Targeting::parse(&json!({ "audience": "all", "value": 2 }), &flag).is_ok());
    let refused = Targeting::parse(&json!({ "audience": "all", "value": true }), &flag).unwrap_err();
    assert_eq!((refused.code, refused.pointer.as_str()), (ErrorCode::TypeMismatch, "/value"));
    let refused = Targeting::parse(&json!({ "audience": "all", "users": [], "value": 2 }), &flag).unwrap_err();
    assert_eq!((refused.code, refused.pointer.as_str()), (ErrorCode::AudienceInvalid, "/users"));
    let refused = Setting::default().with_target(&flag, SubjectKind::User, id("ada")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::ValueInvalid);
}

#[test]
fn members_come_into_the_one_rule_and_go() {
    let flag = boolean();
    let one = Setting::default().with_target(&flag, SubjectKind::User, id("ada")).unwrap();
    let two = one.with_target(&flag, SubjectKind::Organization, id("acme")).unwrap();
    assert_eq!(two, two.with_target(&flag, SubjectKind::User, id("ada")).unwrap());
    assert_eq!(one, two.without_target(SubjectKind::Organization, &id("acme")).unwrap());
    assert_eq!(one, one.without_target(SubjectKind::Organization, &id("ada")).unwrap());
    let nobody = one.without_target(SubjectKind::User, &id("ada")).unwrap();
    let audience = json!({ "type": "some", "users": [], "organizations": [], "segments": [] });
    assert_eq!(written(&nobody)["rules"][0]["audience"], audience);
    assert_eq!(Setting::default(), Setting::default().without_target(SubjectKind::User, &id("ada")).unwrap());
    let all = Targeting::parse(&json!({ "audience": "all" }), &flag).unwrap().apply(&one, false).unwrap();
    assert_eq!(all, all.with_target(&flag, SubjectKind::User, id("bob")).unwrap());
    let refused = all.without_target(SubjectKind::User, &id("ada")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::AudienceInvalid);
}

#[test]
fn a_segment_is_written_as_it_is_read_and_patched_member_by_member() {
    let document = json!({
        "key": "enterprise",
        "name": "Enterprise",
        "users": [],
        "organizations": ["org_xyz789"],
        "condition": { "all": [
            { "organization": "plan", "equals": "enterprise" },
            { "not": { "user": "email", "ends_with": "@example.com" } },
            { "any": [
                { "user": "n", "in": [1, "a", true, 2.5] },
                { "user": "n", "less": 1 }, { "user": "n", "less_or_equal": -1.5 },
                { "user": "n", "greater": 0 }, { "user": "n", "greater_or_equal": 9007199254740991_i64 },
                { "user": "t", "contains": "a" }, { "user": "t", "starts_with": "" }, { "user": "t", "matches": "^a+$" },
                { "user": "v", "semver": ">=2.1.0-rc.1" }, { "user": "v", "semver": "=1.0.0" },
                { "user": "d", "before": "2027-01-04T00:00:00Z" }, { "user": "d", "after": "2027-01-04T00:00:00.5Z" },
                { "organization": "x", "exists": false },
            ] },
        ] },
    });
    let segment = Segment::parse(&document).unwrap();
    assert_eq!(written(&segment), document);
    let patched = segment.patched(&json!({ "organizations": ["b", "a"], "condition": null })).unwrap();
    let expected = json!({
        "key": "enterprise", "name": "Enterprise", "users": [], "organizations": ["a", "b"], "condition": null,
    });
    assert_eq!(written(&patched), expected);
    assert_eq!(segment.patched(&json!({ "key": "enterprise" })).unwrap(), segment);
    assert_eq!(segment.patched(&json!({ "key": "other" })).unwrap_err().code, ErrorCode::Immutable);
    assert_eq!(written(&Segment::parse(&json!({ "key": "s" })).unwrap())["name"], "s");
}

#[test]
fn members_come_into_a_segment_and_go() {
    let segment = Segment::parse(&json!({ "key": "s", "users": ["b"] })).unwrap();
    let larger = segment.with(SubjectKind::User, id("a")).with(SubjectKind::Organization, id("o"));
    assert_eq!(larger, larger.with(SubjectKind::User, id("b")));
    assert_eq!(written(&larger)["users"], json!(["a", "b"]));
    let smaller = larger.without(SubjectKind::User, &id("a")).without(SubjectKind::Organization, &id("o"));
    assert_eq!(smaller, segment);
}

#[test]
fn an_override_is_written_as_it_is_read() {
    let document = json!({ "value": true, "note": "asked to wait", "expires_at": "2027-01-04T00:00:00Z" });
    let row = Override::parse(&document, &boolean(), SubjectKind::User).unwrap();
    assert_eq!(written(&row), document);
    let bare = Override::parse(&json!({ "value": false }), &boolean(), SubjectKind::Organization).unwrap();
    assert_eq!(written(&bare), json!({ "value": false, "note": null, "expires_at": null }));
}

#[test]
fn attributes_are_written_as_they_are_read_sorted_by_name() {
    let text = r#"{"seats":50,"plan":"pro","ratio":0.1,"zero":-0.0,"whole":3.0,"beta":true,"groups":["b","a","b"]}"#;
    let document = parse(text.as_bytes()).unwrap();
    let attributes = Attributes::parse(&Node::root(&document)).unwrap();
    let expected = r#"{"beta":true,"groups":["b","a","b"],"plan":"pro","ratio":0.1,"seats":50,"whole":3,"zero":0}"#;
    assert_eq!(serde_json::to_string(&attributes).unwrap(), expected);
}

#[test]
fn every_percentage_of_three_decimals_is_kept() {
    for thousandths in 0..=100_000_u32 {
        let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
        let rollout = parse(format!(r#"{{"by":"user","percentage":{text}}}"#).as_bytes()).unwrap();
        let rule = json!({ "audience": { "type": "all" }, "serve": { "value": true }, "rollout": rollout });
        let read = setting(json!({ "enabled": true, "rules": [rule] }));
        let percentage = read.rules[0].rollout.as_ref().unwrap().percentage;
        assert_eq!(percentage.thousandths(), thousandths);
        let again = setting(parse(serde_json::to_string(&read).unwrap().as_bytes()).unwrap());
        assert_eq!(again, read);
    }
}

#[test]
fn some_attributes_are_read_as_all_of_them_are() {
    let text = r#"{"se\"ats":12.5,"plan":"pa\u00efd","groups":["a","b"],"trial":true,"none":[]}"#;
    let all = Attributes::parse(&Node::root(&parse(text.as_bytes()).unwrap())).unwrap();
    assert_eq!(Attributes::read_some(text, |_| true).unwrap(), all);

    let some = Attributes::read_some(text, |name| name != "plan" && name != "none").unwrap();
    let names: Vec<&str> = some.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["groups", "se\"ats", "trial"]);
    assert!(some.iter().all(|(name, value)| all.get(name) == Some(value)));
    assert!(Attributes::read_some("{}", |_| true).unwrap().is_empty());
}

#[test]
fn what_is_wanted_of_attributes_is_refused_where_it_is_none() {
    let code = |text| Attributes::read_some(text, |name| name == "wanted").unwrap_err().code;
    assert_eq!(code(r#"{"wanted":{"nested":1}}"#), ErrorCode::AttributeInvalid);
    for text in [r#"{"wanted":"#, "[]", r#""wanted""#, r#"{"wanted":1} more"#] {
        assert_eq!(code(text), ErrorCode::DocumentMalformed, "{text}");
    }
}

/// Pieces that texts, good and bad, are put together of.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"b\"",
    "\"\"",
    "\"a",
    "\"",
    "\\",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\n",
    "\"\\n\"",
    "\"\\u0041\"",
    "\"é\u{1F600}\"",
    "\u{1}",
    "0",
    "-0",
    "01",
    "1",
    "-",
    "1.5",
    "1.",
    ".5",
    "1e3",
    "1E-7",
    "1e400",
    "e",
    "NaN",
    "9007199254740993",
    "18446744073709551616",
    "true",
    "false",
    "null",
    "nul",
    " \n",
];

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<u64>().prop_map(|bits| json!(f64::from_bits(bits))),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_another_library_writes_is_read_as_it_was(value in any_value()) {
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(parse(text.as_bytes()).unwrap(), value.clone(), "{}", text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30_000))]

    #[test]
    fn what_another_library_refuses_is_refused_and_nothing_else_but_what_is_said_twice(
        pieces in prop::collection::vec(prop::sample::select(PIECES.as_slice()), 1..9),
        enclosed in any::<bool>(),
    ) {
        let mut text = pieces.concat();
        if enclosed {
            text = format!("[{}]", pieces.join(","));
        }
        match (parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs, "{}", text),
            (Err(error), Ok(_)) => prop_assert_eq!(error.code, ErrorCode::MemberDuplicate, "{}", text),
            (ours, Err(_)) => prop_assert!(ours.is_err(), "{text}"),
        }
    }
}
