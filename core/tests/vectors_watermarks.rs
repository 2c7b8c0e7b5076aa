//! `tests/vectors/watermarks.json`: which watermarks are believed, and what they overrule.

mod vectors;

use flagbearer::door;
use flagbearer::error::ErrorCode;
use flagbearer::flag::{CanonicalJson, FlagType, FlagValue};
use flagbearer::flag_set::FlagSet;
use flagbearer::timestamp::Timestamp;
use serde_json::{Map, Value, json};

fn flag_value(value: &Value, flag_type: FlagType) -> FlagValue {
    match flag_type {
        FlagType::Boolean => FlagValue::Boolean(value.as_bool().unwrap()),
        FlagType::String => FlagValue::String(value.as_str().unwrap().into()),
        FlagType::Integer => FlagValue::Integer(value.as_i64().unwrap()),
        FlagType::Json => FlagValue::Json(CanonicalJson::of(value)),
    }
}

/// The typed getter's answer.
fn get(set: &FlagSet, key: &str, default: &FlagValue) -> FlagValue {
    match default {
        FlagValue::Boolean(default) => FlagValue::Boolean(set.get_boolean_flag(key, *default)),
        FlagValue::String(default) => FlagValue::String(set.get_string_flag(key, default).as_ref().into()),
        FlagValue::Integer(default) => FlagValue::Integer(set.get_integer_flag(key, *default)),
        FlagValue::Json(_) => set.get_flag(key, default.clone(), FlagType::Json).value,
    }
}

#[test]
fn every_watermark_is_believed_or_refused_and_overrules_what_it_should() {
    let document = vectors::read("watermarks.json");
    for (name, case) in vectors::cases(&document["cases"]) {
        let told = case["watermarks"].as_array().unwrap();
        let watermarks: Vec<Value> =
            told.iter().map(|one| json!({ "at": one["at"], "watermark": one["watermark"] })).collect();
        let door = json!({ "issuer": document["issuer"], "jwks": document["jwks"], "watermarks": watermarks });
        let (reader, outcomes) = door::follow(&door).unwrap();
        let outcomes: Vec<Option<&str>> = outcomes.iter().map(|code| code.map(ErrorCode::as_str)).collect();
        let expected: Vec<Option<&str>> = told.iter().map(|one| one["error"].as_str()).collect();
        assert_eq!(outcomes, expected, "{name}");

        let follower = reader.follower().unwrap();
        let set = FlagSet::of_claims(&case["token"].to_string()).unwrap().under(follower.latest());
        for read in case["reads"].as_array().unwrap() {
            let flag_type = FlagType::parse(read["type"].as_str().unwrap()).unwrap();
            let (default, value) = (flag_value(&read["default"], flag_type), flag_value(&read["value"], flag_type));
            let key = read["key"].as_str().unwrap();
            let details = set.get_flag(key, default.clone(), flag_type);
            assert_eq!(details.value, value, "{name}: {read}");
            assert_eq!(details.reason.as_str(), read["reason"].as_str().unwrap(), "{name}: {read}");
            assert_eq!(details.error_code.map(ErrorCode::as_str), read["error"].as_str(), "{name}: {read}");
            assert_eq!(details.is_default, read["error"].is_string(), "{name}: {read}");
            assert_eq!(get(&set, key, &default), value, "{name}: {read}");
        }
        if let Some(all) = case["all"].as_object() {
            let found: Map<String, Value> =
                set.get_all_flags().map(|(key, value)| (key.into_owned(), value.to_json())).collect();
            assert_eq!(found, *all, "{name}");
        }
        if let Some(stale) = case["stale"].as_bool() {
            assert_eq!(set.is_stale(), stale, "{name}");
        }
        if let Some(at) = case["state"]["at"].as_i64() {
            let state = follower.state_of(set.flags_revision(), Timestamp::from_seconds(at));
            assert_eq!(state.as_str(), case["state"]["is"], "{name}");
        }
    }
}
