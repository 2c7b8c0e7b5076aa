//! `tests/vectors/evaluation.json` and `rollouts.json`, run through the door that every binding has.

use flagbearer::document::parse;
use flagbearer::door::{buckets_json, evaluate_json};
use flagbearer::flag::{FlagType, FlagValue};
use flagbearer::rollout::{Split, Variant};
use flagbearer::subject::SubjectKind;
use serde_json::{Value, json};

fn list<'v>(document: &'v Value, name: &str) -> &'v [Value] {
    document[name].as_array().unwrap()
}

/// The answer as the vectors write it: without the words, and without the trace where none is expected.
fn comparable(answer: &Value, expected: &Value) -> Value {
    let mut answer = answer.clone();
    for (key, evaluation) in answer.as_object_mut().unwrap() {
        for step in evaluation["trace"].as_array_mut().unwrap() {
            assert!(step["why"].as_str().is_some_and(|why| !why.is_empty()), "{step}");
            step.as_object_mut().unwrap().remove("why");
        }
        if expected[key].get("trace").is_none() {
            evaluation.as_object_mut().unwrap().remove("trace");
        }
    }
    answer
}

#[test]
fn every_case_of_evaluation_is_answered_as_the_vectors_say() {
    let vectors = parse(include_bytes!("../../tests/vectors/evaluation.json")).unwrap();
    for case in list(&vectors, "cases") {
        let answer = evaluate_json(&case["document"]).unwrap_or_else(|error| panic!("{}: {error:?}", case["name"]));
        assert_eq!(comparable(&answer, &case["expected"]), case["expected"], "{}", case["name"]);
    }
}

#[test]
fn every_document_that_is_not_allowed_is_refused_with_its_code_and_place() {
    let vectors = parse(include_bytes!("../../tests/vectors/evaluation.json")).unwrap();
    for case in list(&vectors, "refused") {
        let Err(error) = evaluate_json(&case["document"]) else { panic!("{} was not refused", case["name"]) };
        let found = json!({ "code": error.code.as_str(), "pointer": error.pointer });
        assert_eq!(found, case["error"], "{}: {}", case["name"], error.message);
        assert!(!error.message.is_empty() && !error.message.ends_with('.'), "{}", error.message);
    }
}

#[test]
fn every_bucket_is_where_another_implementation_of_the_hash_puts_it() {
    let vectors = parse(include_bytes!("../../tests/vectors/rollouts.json")).unwrap();
    for one in list(&vectors, "buckets") {
        let answer = buckets_json(&json!({ "salt": one["salt"], "subject": one["subject"] })).unwrap();
        assert_eq!(answer, json!({ "rollout": one["rollout"], "split": one["split"] }), "{one}");
    }
}

fn split(weights: &[Value]) -> Split {
    let variants = weights.iter().enumerate().map(|(place, weight)| Variant {
        name: place.to_string(),
        value: FlagValue::Integer(place as i64),
        weight: weight.as_u64().unwrap() as u32,
    });
    Split { by: SubjectKind::User, variants: variants.collect() }
}

#[test]
fn every_bucket_of_a_split_gets_the_variant_that_the_vectors_say() {
    let vectors = parse(include_bytes!("../../tests/vectors/rollouts.json")).unwrap();
    for case in list(&vectors, "splits") {
        let split = split(list(case, "weights"));
        for pair in list(case, "variants") {
            let variant = split.variant(pair[0].as_u64().unwrap() as u32).unwrap();
            assert_eq!(variant.name, pair[1].to_string(), "bucket {} of {}", pair[0], case["weights"]);
        }
    }
}

#[test]
fn a_twenty_percent_rollout_halved_by_a_split_has_both_variants() {
    let vectors = parse(include_bytes!("../../tests/vectors/rollouts.json")).unwrap();
    let case = &vectors["twenty_percent_halved"];
    let weights = list(case, "weights");
    let document = |user: &Value| {
        json!({
            "flags": [{
                "flag": { "id": "1", "salt": case["salt"], "key": "f", "type": FlagType::String, "default_value": "out" },
                "setting": { "enabled": true, "rules": [{
                    "audience": { "type": "all" },
                    "rollout": { "by": "user", "percentage": case["percentage"] },
                    "serve": { "split": { "by": "user", "variants": [
                        { "name": "a", "value": "a", "weight": weights[0] },
                        { "name": "b", "value": "b", "weight": weights[1] },
                    ] } },
                }] },
            }],
            "context": { "user": { "id": user } },
            "now": "2026-06-01T00:00:00Z",
        })
    };
    let served = |user: &Value| evaluate_json(&document(user)).unwrap()["f"]["value"].clone();
    for one in list(case, "inside") {
        assert_eq!(served(&one["user"]), one["variant"], "{one}");
    }
    for user in list(case, "outside") {
        assert_eq!(served(user), "out", "{user}");
    }
    for variant in ["a", "b"] {
        assert!(list(case, "inside").iter().any(|one| one["variant"] == variant));
    }
}
