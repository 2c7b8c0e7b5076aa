//! A token that an app keeps between its starts, read again without a network, before and after its time.

mod vectors;

use flagbearer::door;
use flagbearer::error::ErrorCode;
use flagbearer::flag::{FlagKey, FlagType, FlagValue};
use flagbearer::flag_set::{FlagSet, Reason};
use flagbearer::reader::{KeySource, OfflinePolicy, Poll, Reader, Response};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Algorithm, KeySet, Kill, SigningKey, TYPE_WATERMARK, Verifier, VerifierOptions, Watermark};
use serde_json::{Value, json};

const DAY: i64 = 24 * 60 * 60;
const POLICIES: [OfflinePolicy; 3] =
    [OfflinePolicy::Fresh, OfflinePolicy::StaleAllowed { seconds: DAY }, OfflinePolicy::ExpiredDefaults];

const ISSUER: &str = "https://flags.example.com";
const FLAG: &str = "new_ai_model";

/// The first token of the vectors, whose flag is on, as a reader that has its keys keeps it.
struct Kept {
    reader: Reader,
    token: String,
    text: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

fn kept() -> Kept {
    let file = vectors::read("tokens.json");
    let (_, case) = vectors::cases(&file["cases"]).swap_remove(0);
    let settings = &file["verifiers"][case["verifier"].as_str().unwrap()];
    let options = VerifierOptions {
        issuer: settings["issuer"].as_str().unwrap(),
        audience: settings["audience"].as_str(),
        ..Default::default()
    };
    let reader = Reader::new(Verifier::new(&options).unwrap(), KeySource::WellKnown).unwrap();
    let now = Timestamp::from_seconds(file["now"].as_i64().unwrap());
    let token = case["token"].as_str().unwrap().to_owned();
    assert_eq!(reader.keep(&token, now), Ok(None), "keys come first");
    let Poll::Fetch(fetch) = reader.poll(now) else { panic!("keys are not asked for") };
    reader.receive(fetch.id, Response::Body(file["jwks"].to_string().as_bytes()), now);
    let text = reader.keep(&token, now).unwrap().expect("the keys are there");
    let expires_at = Timestamp::from_seconds(case["expect"]["claims"]["exp"].as_i64().unwrap());
    // Another start of the app: nothing is held.
    let reader = Reader::new(Verifier::new(&options).unwrap(), KeySource::WellKnown).unwrap();
    Kept { reader, token, text, issued_at: now, expires_at }
}

fn read(flags: &FlagSet) -> (FlagValue, Reason) {
    let details = flags.get_flag(FLAG, FlagValue::Boolean(false), FlagType::Boolean);
    (details.value, details.reason)
}

#[test]
fn before_its_time_is_over_a_kept_token_is_read_without_a_fetch_under_every_policy() {
    let kept = kept();
    for policy in POLICIES {
        let restored = kept.reader.restore(&kept.text, policy, kept.issued_at).unwrap();
        assert_eq!(restored.token, kept.token);
        assert_eq!(read(&restored.flags), (FlagValue::Boolean(true), Reason::Cached));
        assert!(!restored.flags.is_stale());
    }
}

#[test]
fn after_its_time_a_kept_token_is_refused_or_stale_or_without_flags_as_the_policy_says() {
    let kept = kept();
    let late = kept.expires_at.plus_seconds(DAY - 60);
    let [fresh, stale, defaults] = POLICIES.map(|policy| kept.reader.restore(&kept.text, policy, late));
    assert_eq!(fresh.unwrap_err().code, ErrorCode::TokenExpired);
    let stale = stale.unwrap().flags;
    assert_eq!(read(&stale), (FlagValue::Boolean(true), Reason::Stale));
    assert!(stale.is_stale());
    let defaults = defaults.unwrap().flags;
    assert_eq!(read(&defaults), (FlagValue::Boolean(false), Reason::Error));
    assert_eq!(defaults.get_all_flags().count(), 0);
}

#[test]
fn a_stale_token_is_believed_for_as_long_as_allowed_and_not_longer() {
    let kept = kept();
    let policy = OfflinePolicy::StaleAllowed { seconds: DAY };
    let at = |seconds| kept.reader.restore(&kept.text, policy, kept.expires_at.plus_seconds(seconds)).map(drop);
    // The leeway counts as everywhere.
    assert_eq!(at(DAY + 4), Ok(()));
    assert_eq!(at(DAY + 5).unwrap_err().code, ErrorCode::TokenExpired);
}

#[test]
fn what_was_kept_is_verified_like_any_other_token() {
    let kept = kept();
    let document: Value = serde_json::from_str(&kept.text).unwrap();
    let with = |member: &str, value: Value| {
        let mut document = document.clone();
        document[member] = value;
        document.to_string()
    };
    let forged = format!("{}AAAA", &kept.token[..kept.token.len() - 4]);
    let no_keys = json!({ "keys": [] });
    for (text, code) in [
        (with("token", forged.into()), ErrorCode::SignatureInvalid),
        (with("keys", no_keys), ErrorCode::KeyUnknown),
        (with("token", "a.b.c".into()), ErrorCode::TokenMalformed),
        (with("token", 5.into()), ErrorCode::TokenMalformed),
        (with("keys", Value::Null), ErrorCode::TokenMalformed),
        (with("more", Value::Null), ErrorCode::TokenMalformed),
        (String::new(), ErrorCode::TokenMalformed),
        ("<html>".to_owned(), ErrorCode::TokenMalformed),
    ] {
        for policy in POLICIES {
            let refused = kept.reader.restore(&text, policy, kept.expires_at.plus_seconds(60)).unwrap_err();
            assert_eq!(refused.code, code, "{text}");
        }
    }
}

/// A reader that was told at second `at` that the flag is killed, and that the kept token is too old.
fn told_of_a_kill(at: Timestamp) -> Reader {
    let kill = Kill { value: FlagValue::Boolean(false), revision: 50 };
    let watermark = Watermark {
        revision: 50,
        min_revision: 45,
        kills: [(FlagKey::parse(FLAG).unwrap(), kill)].into_iter().collect(),
        issued_at: at,
        expires_at: at.plus_seconds(300),
    };
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let jwks = [key.public_key().unwrap()].into_iter().collect::<KeySet>().to_json();
    let mut claims = String::new();
    watermark.write(ISSUER, &mut claims);
    let document = json!({
        "issuer": ISSUER,
        "jwks": serde_json::from_str::<Value>(&jwks).unwrap(),
        "watermarks": [{ "at": at.seconds(), "watermark": key.signer(TYPE_WATERMARK).unwrap().sign(&claims).unwrap() }],
    });
    let (reader, outcomes) = door::follow(&document).unwrap();
    assert_eq!(outcomes, [None]);
    reader
}

#[test]
fn a_kill_and_a_minimum_overrule_what_was_kept_under_every_policy() {
    let kept = kept();
    let late = kept.expires_at.plus_seconds(60);
    for (policy, now) in POLICIES.into_iter().zip([kept.issued_at, late, late]) {
        let flags = told_of_a_kill(now).restore(&kept.text, policy, now).unwrap().flags;
        assert_eq!(read(&flags), (FlagValue::Boolean(false), Reason::Disabled), "{policy:?}");
        assert!(flags.is_stale(), "{policy:?}");
    }
}

#[test]
fn a_token_that_is_not_good_is_not_kept() {
    let kept = kept();
    let late = kept.expires_at.plus_seconds(60);
    let Poll::Fetch(fetch) = kept.reader.poll(late) else { panic!("keys are not asked for") };
    let keys = serde_json::from_str::<Value>(&kept.text).unwrap()["keys"].to_string();
    kept.reader.receive(fetch.id, Response::Body(keys.as_bytes()), late);
    let expired = kept.reader.keep(&kept.token, late).unwrap_err();
    assert_eq!(expired.code, ErrorCode::TokenExpired);
    assert!(expired.message.contains("60 s ago by this clock"), "{}", expired.message);
}
