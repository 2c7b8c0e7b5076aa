//! `tests/vectors/getters.json`: what each getter answers for each way of carrying a flag.

mod vectors;

use flagbearer::error::ErrorCode;
use flagbearer::flag::{CanonicalJson, FlagType, FlagValue};
use flagbearer::flag_set::{FlagSet, Reason};
use flagbearer::testing;
use serde_json::{Map, Value, json};

fn flag_value(value: &Value, flag_type: FlagType) -> FlagValue {
    match flag_type {
        FlagType::Boolean => FlagValue::Boolean(value.as_bool().unwrap()),
        FlagType::String => FlagValue::String(value.as_str().unwrap().into()),
        FlagType::Integer => FlagValue::Integer(value.as_i64().unwrap()),
        FlagType::Json => FlagValue::Json(CanonicalJson::of(value)),
    }
}

#[test]
fn every_getter_answers_the_value_or_the_default_and_why() {
    let document = vectors::read("getters.json");
    for (name, case) in vectors::cases(&document["cases"]) {
        let set = FlagSet::of_claim(case["claim"].as_str().unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let key = case["key"].as_str().unwrap();
        for defaults in document["defaults"].as_array().unwrap() {
            for flag_type in FlagType::ALL {
                let expected = &case["expect"][flag_type.as_str()];
                let default = flag_value(&defaults[flag_type.as_str()], flag_type);
                let value = match expected.get("value") {
                    Some(value) => flag_value(value, flag_type),
                    None => default.clone(),
                };
                let details = set.get_flag(key, default.clone(), flag_type);
                assert_eq!(details.value, value, "{name} as {flag_type}");
                assert_eq!(details.error_code.map(ErrorCode::as_str), expected["error"].as_str(), "{name} as {flag_type}");
                assert_eq!(details.is_default, expected["error"].is_string(), "{name} as {flag_type}");
                assert_eq!(details.reason == Reason::Error, details.is_default, "{name} as {flag_type}");
                assert_eq!((details.code.as_str(), details.flag_type), (key, flag_type), "{name}");
                assert_eq!(details.default_value, default, "{name}");
                assert_eq!(get(&set, key, &default), value, "{name} as {flag_type}");
            }
        }
    }
}

/// The typed getter.
fn get(set: &FlagSet, key: &str, default: &FlagValue) -> FlagValue {
    match default {
        FlagValue::Boolean(default) => FlagValue::Boolean(set.get_boolean_flag(key, *default)),
        FlagValue::String(default) => FlagValue::String(set.get_string_flag(key, default).as_ref().into()),
        FlagValue::Integer(default) => FlagValue::Integer(set.get_integer_flag(key, *default)),
        FlagValue::Json(_) => set.get_flag(key, default.clone(), FlagType::Json).value,
    }
}

#[test]
fn a_set_of_values_has_their_types_or_is_refused_with_the_place_of_the_fault() {
    for (name, case) in vectors::cases(&vectors::read("flag_sets.json")["cases"]) {
        let found = testing::flag_set(&case["flags"]).map(|set| {
            let flags = set.get_all_flags().map(|(key, value)| {
                let flag = json!({ "type": value.flag_type().as_str(), "value": value.to_json() });
                (key.into_owned(), flag)
            });
            flags.collect::<Map<String, Value>>()
        });
        match found {
            Ok(flags) => assert_eq!(Some(&Value::Object(flags)), case.get("expect"), "{name}"),
            Err(error) => {
                assert_eq!(json!({ "code": error.code.as_str(), "pointer": error.pointer }), case["error"], "{name}")
            }
        }
    }
}

#[test]
fn two_sets_differ_in_the_keys_that_are_listed() {
    for (name, case) in vectors::cases(&vectors::read("getters.json")["changes"]) {
        let set = |which: &str| FlagSet::of_claim(case[which].as_str().unwrap()).unwrap();
        let (older, newer) = (set("older"), set("newer"));
        let expected: Vec<&str> = case["changed"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        assert_eq!(newer.changed_from(&older), expected, "{name}");
        assert_eq!(older.changed_from(&newer), expected, "{name}, backwards");
    }
}

#[test]
fn the_tables_say_what_the_getters_say() {
    for (name, case) in vectors::cases(&vectors::read("getters.json")["cases"]) {
        let set = FlagSet::of_claim(case["claim"].as_str().unwrap()).unwrap();
        let tables = set.tables();
        let (tables, claims) = tables.rsplit_once('\u{1e}').unwrap();
        assert_eq!(claims, set.claims(), "{name}");
        let tables: Vec<Value> = tables.split('\u{1e}').map(|table| serde_json::from_str(table).unwrap()).collect();
        assert_eq!(tables.len(), 6, "{name}");
        let find = |table: usize| {
            let pairs = tables[table].as_array().unwrap().chunks(2);
            pairs.into_iter().find(|pair| pair[0] == case["key"]).map(|pair| pair[1].clone())
        };
        for (table, flag_type) in FlagType::ALL.into_iter().enumerate() {
            let expected = &case["expect"][flag_type.as_str()];
            match (find(table), expected.get("value")) {
                (Some(found), Some(value)) => {
                    assert_eq!(flag_value(&found, flag_type), flag_value(value, flag_type), "{name} as {flag_type}");
                }
                (found, value) => assert_eq!((found.as_ref(), value), (None, None), "{name} as {flag_type}"),
            }
        }
        let unreadable =
            case["expect"]["boolean"]["error"].as_str().filter(|code| find(4).is_some() || *code == "PARSE_ERROR");
        assert_eq!(find(4).as_ref().and_then(Value::as_str), unreadable, "{name}");
    }
}
