//! How a change reads: the places where a document differs.

use flagbearer::difference::differences;
use serde_json::{Value, json};

fn found(before: &Value, after: &Value) -> Value {
    serde_json::to_value(differences(Some(before), Some(after))).expect("JSON")
}

fn rule(value: bool, users: &[&str]) -> Value {
    json!({ "audience": { "type": "some", "users": users }, "serve": { "value": value } })
}

#[test]
fn equal_documents_have_no_differences() {
    let document = json!({ "enabled": true, "rules": [rule(true, &["a"])], "value": null });
    assert_eq!(found(&document, &document), json!([]));
    assert_eq!(differences(None, None), []);
}

#[test]
fn a_member_that_changed_came_or_went_is_named_by_its_place() {
    let before = json!({ "enabled": true, "value": { "a/b": 1, "gone": null, "same": [1] } });
    let after = json!({ "enabled": false, "value": { "a/b": 2, "new": null, "same": [1] } });
    assert_eq!(
        found(&before, &after),
        json!([
            { "pointer": "/enabled", "before": true, "after": false },
            { "pointer": "/value/a~1b", "before": 1, "after": 2 },
            { "pointer": "/value/new", "after": null },
            { "pointer": "/value/gone", "before": null },
        ])
    );
}

#[test]
fn a_document_that_comes_or_goes_is_told_by_its_members() {
    let document = json!({ "key": "big", "users": ["u"], "condition": null });
    let come = serde_json::to_value(differences(None, Some(&document))).expect("JSON");
    assert_eq!(come, json!([{ "pointer": "/key", "after": "big" }, { "pointer": "/users", "after": ["u"] }]));
    let gone = serde_json::to_value(differences(Some(&document), None)).expect("JSON");
    assert_eq!(gone, json!([{ "pointer": "/key", "before": "big" }, { "pointer": "/users", "before": ["u"] }]));
}

#[test]
fn lists_of_texts_are_sets() {
    assert_eq!(
        found(&json!({ "users": ["a", "b", "d"] }), &json!({ "users": ["a", "c", "d", "e"] })),
        json!([
            { "pointer": "/users/1", "before": "b" },
            { "pointer": "/users/1", "after": "c" },
            { "pointer": "/users/3", "after": "e" },
        ])
    );
    assert_eq!(found(&json!([]), &json!(["x"])), json!([{ "pointer": "/0", "after": "x" }]));
    assert_eq!(
        found(&json!(["a", "b"]), &json!(["b", "a"])),
        json!([{ "pointer": "", "before": ["a", "b"], "after": ["b", "a"] }]),
        "a JSON value may say something by its order"
    );
}

#[test]
fn one_rule_put_before_the_others_is_one_difference() {
    let (one, two, three) = (rule(true, &["1"]), rule(true, &["2"]), rule(true, &["3"]));
    let rules = |list: &[&Value]| json!({ "rules": list });
    assert_eq!(
        found(&rules(&[&one, &two]), &rules(&[&three, &one, &two])),
        json!([{ "pointer": "/rules/0", "after": three }])
    );
    assert_eq!(
        found(&rules(&[&one, &two, &three]), &rules(&[&one, &three])),
        json!([{ "pointer": "/rules/1", "before": two }])
    );
    assert_eq!(
        found(&rules(&[&one, &two]), &rules(&[&two, &one])),
        json!([{ "pointer": "/rules/0", "before": one }, { "pointer": "/rules/1", "after": one }])
    );
}

#[test]
fn a_rule_that_was_edited_is_told_by_its_members() {
    let before = json!({ "rules": [rule(true, &["1"]), rule(true, &["2"]), rule(true, &["9"])] });
    let after = json!({ "rules": [rule(true, &["1"]), rule(false, &["2", "3"]), rule(true, &["9"]), rule(true, &["8"])] });
    assert_eq!(
        found(&before, &after),
        json!([
            { "pointer": "/rules/1/audience/users/1", "after": "3" },
            { "pointer": "/rules/1/serve/value", "before": true, "after": false },
            { "pointer": "/rules/3", "after": rule(true, &["8"]) },
        ])
    );
}

#[test]
fn very_long_lists_are_compared_place_by_place() {
    let before: Vec<i64> = (0..1000).collect();
    let mut after = before.clone();
    after[500] = -1;
    after.push(1000);
    assert_eq!(
        found(&json!(before), &json!(after)),
        json!([{ "pointer": "/500", "before": 500, "after": -1 }, { "pointer": "/1000", "after": 1000 }])
    );
}
