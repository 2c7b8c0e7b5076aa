//! `tests/vectors/sealed_sessions.json` and `token_answers.json`: what an application keeps, and what it is told when it asks
//! for more.

mod vectors;

use flagbearer::cookie;
use flagbearer::error::{ErrorCode, Result};
use flagbearer::reader::{Client, TokenGrant, Unverified, received};
use flagbearer::sealed_session::{Passwords, RANDOM_BYTES, SessionTokens, seal, unseal};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::Profile;
use proptest::prelude::*;
use serde_json::{Value, json};

fn passwords(document: &Value) -> Result<Passwords> {
    let entries = document.as_object().unwrap().iter();
    Passwords::new(entries.map(|(id, password)| (id.parse().unwrap(), password.as_str().unwrap())))
}

fn random(text: &str) -> [u8; RANDOM_BYTES] {
    let digits = text.as_bytes().chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
    let bytes: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

#[test]
fn every_seal_is_made_to_the_byte_as_iron_makes_it() {
    for (name, case) in vectors::cases(&vectors::read("sealed_sessions.json")["sealing"]) {
        let text = case["text"].as_str().unwrap();
        let sealed = seal(text, &passwords(&case["passwords"]).unwrap(), &random(case["random"].as_str().unwrap()));
        assert_eq!(sealed.unwrap(), case["sealed"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn every_seal_is_opened_or_refused_with_its_code() {
    let file = vectors::read("sealed_sessions.json");
    let now = Timestamp::from_seconds(file["now"].as_i64().unwrap());
    for (name, case) in vectors::cases(&file["unsealing"]) {
        let opened = unseal(case["sealed"].as_str().unwrap(), &passwords(&case["passwords"]).unwrap(), now);
        assert_eq!(opened.as_ref().ok().map(String::as_str), case["text"].as_str(), "{name}");
        assert_eq!(opened.err().map(|error| error.code.as_str()), case["error"].as_str(), "{name}");
    }
}

#[test]
fn every_password_is_taken_or_refused_with_its_code() {
    for (name, case) in vectors::cases(&vectors::read("sealed_sessions.json")["passwords"]) {
        let taken = passwords(&json!({ "1": case["password"] }));
        assert_eq!(taken.err().map(|error| error.code.as_str()), case["error"].as_str(), "{name}");
    }
    assert_eq!(Passwords::new([]).err().unwrap().code, ErrorCode::ConfigurationInvalid);
}

#[test]
fn every_answer_to_a_request_for_tokens_has_its_meaning() {
    for (name, case) in vectors::cases(&vectors::read("token_answers.json")["cases"]) {
        let status = case["status"].as_u64().map(|status| status as u16);
        match received(status, case["retry_after"].as_str(), case["body"].as_str().unwrap().as_bytes()) {
            Ok(tokens) => {
                let mut found = json!({ "access_token": tokens.access_token, "refresh_token": tokens.refresh_token });
                if let Some(id_token) = tokens.id_token {
                    found["id_token"] = id_token.into();
                }
                assert_eq!(found, case["tokens"], "{name}");
            }
            Err(none) => {
                assert_eq!(Some(none.error.code.as_str()), case["error"].as_str(), "{name}: {}", none.error);
                assert_eq!(Some(u64::from(none.retry_seconds)), case["retry_seconds"].as_u64(), "{name}");
            }
        }
    }
}

#[test]
fn a_seal_with_any_byte_changed_is_refused_alike() {
    let passwords = Passwords::new([(1, "8d1f6b2ac05e4973f7a3d9e0b164c852")]).unwrap();
    let sealed = seal("{\"accessToken\":\"a\"}", &passwords, &[7; RANDOM_BYTES]).unwrap();
    let mut messages = std::collections::BTreeSet::new();
    for at in 0..sealed.len() {
        for other in [b'A', b'*', b'~', sealed.as_bytes()[at] ^ 1] {
            let mut bytes = sealed.clone().into_bytes();
            if bytes[at] == other {
                continue;
            }
            bytes[at] = other;
            let changed = String::from_utf8(bytes).unwrap();
            let error = unseal(&changed, &passwords, Timestamp::from_seconds(0)).expect_err(&changed);
            assert_eq!(error.code, ErrorCode::SealedSessionInvalid);
            messages.insert(error.message);
        }
    }
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[test]
fn a_session_has_both_tokens() {
    let text = r#"{"accessToken":"a","refreshToken":"r","user":{"id":"u"}}"#;
    let tokens = SessionTokens::parse(text).unwrap();
    assert_eq!((tokens.access_token.as_str(), tokens.refresh_token.as_str()), ("a", "r"));
    for bad in ["", "[]", "{}", r#"{"accessToken":"a"}"#, r#"{"accessToken":1,"refreshToken":"r"}"#, "not JSON"] {
        assert_eq!(SessionTokens::parse(bad).unwrap_err().code, ErrorCode::SealedSessionInvalid, "{bad}");
    }
}

#[test]
fn a_request_for_tokens_is_what_the_profile_has_and_nothing_can_add_to_it() {
    let refresh = TokenGrant::RefreshToken { refresh_token: "r&a=b", organization: None };
    let client = |issuer, profile, client_secret| Client { issuer, profile, client_id: "app_1", client_secret };
    let form = client("https://flags.example.com/env/staging", Profile::Flagbearer, Some("s+cret")).request(&refresh);
    assert_eq!(form.url, "https://flags.example.com/env/staging/oauth2/token");
    assert_eq!(form.content_type, "application/x-www-form-urlencoded");
    assert_eq!(form.body, "grant_type=refresh%5Ftoken&refresh_token=r%26a%3Db&client_id=app%5F1&client_secret=s%2Bcret");
    let json = client("https://flags.example.com/env/staging", Profile::WorkOs, None).request(&refresh);
    assert_eq!(json.url, "https://flags.example.com/user_management/authenticate");
    let body: Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(body, json!({ "grant_type": "refresh_token", "refresh_token": "r&a=b", "client_id": "app_1" }));
    let organization = TokenGrant::RefreshToken { refresh_token: "r", organization: Some("org_2") };
    assert!(client("http://x", Profile::Kinde, None).request(&organization).body.contains("&organization_id=org%5F2&"));
    let revocation = client("http://x", Profile::Kinde, None).revocation("r");
    assert_eq!(revocation.url, "http://x/oauth2/revoke");
    assert_eq!(revocation.body, "token=r&token_type_hint=refresh%5Ftoken&client_id=app%5F1");
}

#[test]
fn a_token_is_refreshed_a_minute_before_its_end_or_for_the_last_quarter_of_a_short_life() {
    let token = |claims: Value| {
        use base64::Engine as _;
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"EdDSA"}"#), part(&claims.to_string()), part("x"))
    };
    let at = |claims| Unverified::parse(&token(claims)).unwrap().refresh_at;
    assert_eq!(at(json!({ "iat": 1000, "exp": 1300 })), 1_240_000.0);
    assert_eq!(at(json!({ "iat": 1000, "exp": 1060 })), 1_045_000.0);
    assert_eq!(at(json!({ "exp": 1300 })), 0.0);
    let claims = json!({ "iat": 1000, "exp": 1300, "azp": "app_1", "org_code": "org_1" });
    let unverified = Unverified::parse(&token(claims)).unwrap();
    assert_eq!((unverified.client_id.as_deref(), unverified.organization.as_deref()), (Some("app_1"), Some("org_1")));
    assert_eq!(Unverified::parse("garbage").unwrap_err().code, ErrorCode::TokenMalformed);
}

#[test]
fn a_cookie_that_a_browser_would_drop_is_refused_with_its_size() {
    assert_eq!(cookie::measure("name", &"x".repeat(4092)).unwrap(), 4096);
    let error = cookie::measure("name", &"x".repeat(4093)).unwrap_err();
    assert_eq!(error.code, ErrorCode::CookieTooLarge);
    assert!(error.message.contains("4097 bytes"), "{error}");
    assert_eq!(cookie::measure_all([("a", "1"), ("b", "22")]).unwrap(), "a=1; b=22".len());
    let large = "x".repeat(cookie::MAX_COOKIES_BYTES - "a=1; b=".len());
    assert_eq!(cookie::measure_all([("a", "1"), ("b", large.as_str())]).unwrap(), cookie::MAX_COOKIES_BYTES);
    let error = cookie::measure_all([("a", "11"), ("b", large.as_str())]).unwrap_err();
    assert_eq!(error.code, ErrorCode::CookieTooLarge);
    assert!(error.message.contains("14337 bytes"), "{error}");
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened_again(text in ".{0,300}", random: [u8; 32]) {
        let passwords = Passwords::new([(1, "8d1f6b2ac05e4973f7a3d9e0b164c852")]).unwrap();
        let mut bytes = [0; RANDOM_BYTES];
        bytes[..32].copy_from_slice(&random);
        let sealed = seal(&text, &passwords, &bytes).unwrap();
        prop_assert_eq!(unseal(&sealed, &passwords, Timestamp::from_seconds(0)).unwrap(), text);
    }

    #[test]
    fn chunks_are_cookies_and_join_to_the_whole(value in "[a-zß]{0,5000}") {
        let chunks: Vec<_> = cookie::split("__Host-flagbearer-token", &value).collect();
        for (i, (name, chunk)) in chunks.iter().enumerate() {
            prop_assert_eq!(name, &format!("__Host-flagbearer-token.{i}"));
            prop_assert!(cookie::measure(name, chunk).is_ok());
        }
        prop_assert_eq!(chunks.into_iter().map(|(_, chunk)| chunk).collect::<String>(), value);
    }

    #[test]
    fn no_text_makes_the_opener_panic(text in ".{0,64}", parts in "Fe26\\.2\\*1\\*[0-9a-f]{0,8}\\*[A-Za-z0-9_-]{0,24}\\*[A-Za-z0-9_-]{0,24}\\*[0-9]{0,4}\\*[0-9a-f]{0,8}\\*[A-Za-z0-9_-]{0,44}~?2?") {
        let passwords = Passwords::new([(1, "8d1f6b2ac05e4973f7a3d9e0b164c852")]).unwrap();
        let _ = unseal(&text, &passwords, Timestamp::from_seconds(0));
        prop_assert!(unseal(&parts, &passwords, Timestamp::from_seconds(0)).is_err());
    }
}
