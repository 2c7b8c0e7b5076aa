//! `tests/vectors/effects.json` and `audiences.json`.

use flagbearer::document::parse;
use flagbearer::door::effect_json;
use serde_json::{Value, json};

#[test]
fn every_change_has_the_effect_and_the_holdouts_that_the_vectors_say() {
    let vectors = parse(include_bytes!("../../tests/vectors/effects.json")).unwrap();
    let mut wrong = Vec::new();
    for case in vectors["cases"].as_array().unwrap() {
        let mut answer = effect_json(&case["document"]).unwrap_or_else(|error| panic!("{}: {error:?}", case["name"]));
        for holdout in answer["holdouts"].as_array_mut().unwrap() {
            let why = holdout.as_object_mut().unwrap().remove("why").unwrap();
            assert!(why.as_str().is_some_and(|why| !why.is_empty()), "{}", case["name"]);
        }
        if answer != case["expected"] {
            wrong.push(format!("{}: {answer}, expected {}", case["name"], case["expected"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn audiences_are_ordered_as_the_vectors_say() {
    let vectors = parse(include_bytes!("../../tests/vectors/audiences.json")).unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let side = |audience: &Value| {
            json!({
                "flag": { "id": "1", "salt": "1", "key": "f", "type": "boolean", "default_value": false },
                "setting": { "enabled": true, "rules": [{ "audience": audience, "serve": { "value": true } }] },
                "segments": vectors["segments"],
            })
        };
        let document = json!({
            "before": side(&case["before"]), "after": side(&case["after"]), "now": "2026-06-01T00:00:00Z",
        });
        assert_eq!(effect_json(&document).unwrap()["effect"], case["effect"], "{case}");
    }
}
