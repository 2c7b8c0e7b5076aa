//! `tests/vectors/tokens.json`: which tokens are accepted, and the code of each that is not.

mod vectors;

use flagbearer::flag_set::FlagSet;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{KeySet, Verifier, VerifierOptions};
use serde_json::Value;

fn verifier(settings: &Value) -> Verifier {
    let text = |name: &str| settings[name].as_str();
    let options = VerifierOptions {
        issuer: text("issuer").unwrap(),
        audience: text("audience"),
        client_id: text("client_id"),
        profile: text("profile"),
        leeway: settings["leeway"].as_f64(),
    };
    Verifier::new(&options).unwrap()
}

#[test]
fn every_token_is_accepted_with_its_claims_or_refused_with_its_code() {
    let document = vectors::read("tokens.json");
    let keys = KeySet::parse(document["jwks"].to_string().as_bytes()).unwrap();
    let now = Timestamp::from_seconds(document["now"].as_i64().unwrap());
    for (name, case) in vectors::cases(&document["cases"]) {
        let verifier = verifier(&document["verifiers"][case["verifier"].as_str().unwrap()]);
        let expected = &case["expect"];
        match verifier.verify(case["token"].as_str().unwrap(), &keys, now) {
            Err(error) => assert_eq!(Some(error.code.as_str()), expected["error"].as_str(), "{name}: {error}"),
            Ok(flags) => {
                assert_eq!(expected["error"], Value::Null, "{name} was accepted");
                assert_carries(name, &flags, &expected["claims"]);
            }
        }
    }
}

fn assert_carries(name: &str, flags: &FlagSet, claims: &Value) {
    assert_eq!(&serde_json::from_str::<Value>(flags.claims()).unwrap(), claims, "{name}");
    let organization = claims["org_id"].as_str().or(claims["org_code"].as_str());
    assert_eq!(flags.organization(), organization, "{name}");
    assert_eq!(flags.flags_revision(), claims["flags_rev"].as_i64(), "{name}");
    let read: Vec<(String, Value)> = flags.get_all_flags().map(|(key, value)| (key.into_owned(), value.to_json())).collect();
    let mut carried: Vec<(String, Value)> = match &claims["feature_flags"] {
        Value::Object(entries) => entries.iter().map(|(key, entry)| (key.clone(), entry["v"].clone())).collect(),
        Value::Array(keys) => keys.iter().map(|key| (key.as_str().unwrap().to_owned(), Value::Bool(true))).collect(),
        _ => Vec::new(),
    };
    carried.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(read, carried, "{name}");
}

#[test]
fn a_token_of_more_than_64_kib_is_malformed_whatever_is_in_it() {
    let document = vectors::read("tokens.json");
    let keys = KeySet::parse(document["jwks"].to_string().as_bytes()).unwrap();
    let verifier = verifier(&document["verifiers"]["flagbearer"]);
    let token = "a".repeat(64 * 1024 + 1);
    let error = verifier.verify(&token, &keys, Timestamp::from_seconds(0)).unwrap_err();
    assert_eq!(error.code.as_str(), "TOKEN_MALFORMED");
    assert_eq!(error.message, "the token has more than 64 KiB");
}

#[test]
fn a_verifier_without_a_recipient_or_with_settings_that_contradict_each_other_cannot_be_made() {
    let usual = VerifierOptions { issuer: "https://flags.example.com", audience: Some("api"), ..Default::default() };
    let vendor = VerifierOptions { audience: None, client_id: Some("app_1"), profile: Some("kinde"), ..usual };
    assert!(Verifier::new(&usual).is_ok() && Verifier::new(&vendor).is_ok());
    for options in [
        VerifierOptions { issuer: "", ..usual },
        VerifierOptions { audience: None, ..usual },
        VerifierOptions { audience: Some(""), ..usual },
        VerifierOptions { client_id: Some("app_1"), ..usual },
        VerifierOptions { profile: Some("auth0"), ..usual },
        VerifierOptions { profile: Some(""), ..usual },
        VerifierOptions { leeway: Some(-1.0), ..usual },
        VerifierOptions { leeway: Some(60.5), ..usual },
        VerifierOptions { leeway: Some(f64::NAN), ..usual },
        VerifierOptions { client_id: None, ..vendor },
        VerifierOptions { audience: Some("api"), ..vendor },
        VerifierOptions { profile: None, ..vendor },
    ] {
        assert_eq!(Verifier::new(&options).unwrap_err().code.as_str(), "CONFIGURATION_INVALID", "{options:?}");
    }
}
