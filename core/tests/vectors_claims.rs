//! `tests/vectors/claims.json`: the claim of flags, written and read, in both dialects.

mod vectors;

use std::borrow::Cow;
use std::collections::BTreeMap;

use flagbearer::claim::Dialect;
use flagbearer::document::Node;
use flagbearer::error::ErrorCode;
use flagbearer::flag::{FlagKey, FlagType, FlagValue};
use flagbearer::flag_set::FlagSet;
use proptest::prelude::*;
use serde_json::{Value, json};

fn flags(list: &Value) -> Vec<(FlagKey, FlagValue)> {
    let flag = |flag: &Value| {
        let flag_type = FlagType::parse(flag["type"].as_str().unwrap()).unwrap();
        let value = FlagValue::parse(&Node::root(&flag["value"]), flag_type).unwrap();
        (FlagKey::parse(flag["key"].as_str().unwrap()).unwrap(), value)
    };
    list.as_array().unwrap().iter().map(flag).collect()
}

fn encode(dialect: Dialect, flags: &[(FlagKey, FlagValue)]) -> String {
    let mut claim = String::new();
    dialect.encode(flags.iter().map(|(key, value)| (key, value)), &mut claim);
    claim
}

fn size(dialect: Dialect, flags: &[(FlagKey, FlagValue)]) -> usize {
    dialect.size(flags.iter().map(|(key, value)| dialect.entry_size(key, value)).sum())
}

#[test]
fn every_claim_is_written_to_the_byte_and_its_size_is_known_beforehand() {
    for (name, case) in vectors::cases(&vectors::read("claims.json")["encode"]) {
        let dialect = Dialect::parse(case["dialect"].as_str().unwrap()).unwrap();
        let flags = flags(&case["flags"]);
        assert_eq!(encode(dialect, &flags), case["claim"].as_str().unwrap(), "{name}");
        assert_eq!(size(dialect, &flags) as u64, case["size"].as_u64().unwrap(), "{name}");
    }
}

#[test]
fn every_claim_is_read_or_refused_with_its_code() {
    for (name, case) in vectors::cases(&vectors::read("claims.json")["decode"]) {
        let expected = &case["expect"];
        let set = match FlagSet::of_claim(case["claim"].as_str().unwrap()) {
            Ok(set) => set,
            Err(error) => {
                assert_eq!(Some(error.code.as_str()), expected["error"].as_str(), "{name}: {error}");
                continue;
            }
        };
        assert_eq!(expected["error"], Value::Null, "{name} was accepted");
        let flags: Vec<(String, Value)> = set
            .get_all_flags()
            .map(|(key, value)| (key.into_owned(), json!({"type": value.flag_type().as_str(), "value": value.to_json()})))
            .collect();
        let listed: Vec<(String, Value)> =
            expected["flags"].as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(flags, listed, "{name}");
        for (key, code) in expected["unreadable"].as_object().into_iter().flatten() {
            let details = set.get_flag(key, FlagValue::Boolean(false), FlagType::Boolean);
            assert_eq!(details.error_code.map(ErrorCode::as_str), code.as_str(), "{name}, `{key}`");
        }
    }
}

fn value() -> impl Strategy<Value = FlagValue> {
    let json = prop_oneof![Just("[]"), Just("{\"a\":[1,null]}"), Just("1.5"), Just("\"\\u0001\"")];
    prop_oneof![
        any::<bool>().prop_map(FlagValue::Boolean),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(FlagValue::Integer),
        (-1000_i64..1000).prop_map(FlagValue::Integer),
        any::<String>().prop_map(|text| FlagValue::String(text.replace('\0', " ").into())),
        json.prop_map(|text| FlagValue::from_text(text, FlagType::Json).unwrap()),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_its_size_is_known(
        flags in prop::collection::btree_map("[A-Za-z][A-Za-z0-9._-]{0,12}", value(), 0..12)
    ) {
        let flags: Vec<(FlagKey, FlagValue)> =
            flags.into_iter().map(|(key, value)| (FlagKey::parse(&key).unwrap(), value)).collect();
        let typed = encode(Dialect::Typed, &flags);
        prop_assert_eq!(typed.len(), size(Dialect::Typed, &flags));
        prop_assert!(serde_json::from_str::<Value>(&typed).is_ok());
        let set = FlagSet::of_claim(&typed).unwrap();
        prop_assert!(set.get_all_flags().eq(flags.iter().map(|(key, value)| (key.as_str().into(), value.clone()))));

        let keys = encode(Dialect::Keys, &flags);
        prop_assert_eq!(keys.len(), size(Dialect::Keys, &flags));
        let on: BTreeMap<Cow<'_, str>, FlagValue> =
            flags.iter().filter(|(_, value)| *value == FlagValue::Boolean(true)).map(|(key, value)| (key.as_str().into(), value.clone())).collect();
        prop_assert!(FlagSet::of_claim(&keys).unwrap().get_all_flags().eq(on));
    }

    #[test]
    fn an_entry_is_json_where_another_library_says_so(
        letter in "[bisjx]",
        value in prop_oneof![
            "-?[0-9]{1,4}", "-{0,2}0{0,2}[0-9]{0,17}", "true|false|tru|null|truefalse", "\"[a\\\\\u{1}é\"n]{0,4}\"", "[0-9eE.+-]{1,5}", "[\\[\\]{}\",:0]{0,4}",
        ],
        end in prop_oneof![8 => Just("}"), 1 => Just(" }"), 1 => Just(""), 1 => Just("}}"), 1 => Just(",\"v\":1}")],
    ) {
        let claim = format!("{{\"flag\":{{\"t\":\"{letter}\",\"v\":{value}{end}}}");
        let read = FlagSet::of_claim(&claim);
        match serde_json::from_str::<Value>(&claim) {
            Err(_) => prop_assert!(read.is_err(), "{claim}"),
            // What stands there twice, another library does not mind.
            Ok(_) if end.starts_with(',') => prop_assert!(read.is_err(), "{claim}"),
            Ok(other) => {
                let (set, value) = (read.unwrap(), &other["flag"]["v"]);
                let plain = match letter.as_str() {
                    "b" => value.as_bool().map(FlagValue::Boolean),
                    "i" => value.as_i64().map(FlagValue::Integer),
                    "s" => value.as_str().map(|text| FlagValue::String(text.into())),
                    _ => None,
                };
                if let Some(plain) = plain {
                    prop_assert_eq!(set.get_all_flags().next().map(|(_, value)| value), Some(plain), "{}", claim);
                }
            }
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,64}", entry in "\\{\"[tv]\":[0-9a-z\"\\[\\]{}.+-]{0,12}[,}]\"[tv]\":[0-9eE.+-]{0,30}\\}") {
        let _ = FlagSet::of_claim(&text);
        let _ = FlagSet::of_claim(&format!("{{\"flag\":{entry}}}"));
        let _ = FlagSet::of_claim(&format!("{{\"flag\":{{\"t\":\"i\",\"v\":{text}}}}}"));
    }
}
