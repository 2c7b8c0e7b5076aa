//! The test issuer: what it mints, a reader reads as it would the server's.

use flagbearer::error::ErrorCode;
use flagbearer::reader::{KeySource, Poll, Reader, Response, Verdict};
use flagbearer::testing::TestIssuer;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Verifier, VerifierOptions};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ISSUER: &str = "https://flags.example.com";

fn read(profile: Option<&str>, facts: &Value) -> Result<flagbearer::flag_set::FlagSet, ErrorCode> {
    let issuer = TestIssuer::new(ISSUER, "app", profile).expect("an issuer");
    let ours = profile.is_none();
    let options = VerifierOptions {
        issuer: ISSUER,
        audience: ours.then_some("app"),
        client_id: (!ours).then_some("app"),
        profile,
        ..VerifierOptions::default()
    };
    let reader = Reader::new(Verifier::new(&options).expect("a verifier"), KeySource::WellKnown).expect("a reader");
    let Poll::Fetch(fetch) = reader.poll(NOW) else { panic!("no keys are asked for") };
    reader.receive(fetch.id, Response::Body(issuer.jwks().expect("keys").as_bytes()), NOW);
    let token = issuer.token(facts, NOW).map_err(|error| error.code)?;
    match reader.verify(&token, NOW).map_err(|error| error.code)? {
        Verdict::Verified(flags) => Ok(flags),
        Verdict::KeysNeeded => panic!("the keys are not the token's"),
    }
}

#[test]
fn its_tokens_carry_flags_of_every_type_in_our_profile_and_in_kindes() {
    let flags = json!({ "on": true, "variant": "b", "limit": 5000, "config": { "model": "large" } });
    let facts = json!({ "flags": flags, "organization": "org_1", "flags_revision": 42 });
    for profile in [None, Some("kinde")] {
        let read = read(profile, &facts).expect("a good token");
        assert!(read.get_boolean_flag("on", false));
        assert_eq!(read.get_string_flag("variant", ""), "b");
        assert_eq!(read.get_integer_flag("limit", 0), 5000);
        assert_eq!(read.get_all_flags().count(), 4);
        assert_eq!((read.organization(), read.flags_revision()), (Some("org_1"), Some(42)));
    }
}

#[test]
fn its_tokens_name_the_flags_that_are_on_in_the_profile_of_workos() {
    let read = read(Some("workos"), &json!({ "flags": { "on": true, "off": false } })).expect("a good token");
    assert!(read.get_boolean_flag("on", false) && !read.get_boolean_flag("off", false));
}

#[test]
fn a_token_may_have_expired() {
    assert_eq!(read(None, &json!({ "expires_in": -60 })).err(), Some(ErrorCode::TokenExpired));
}

#[test]
fn what_no_token_of_the_server_could_carry_is_refused() {
    for (facts, code) in [
        (json!({ "flags": { "1st": true } }), ErrorCode::KeyInvalid),
        (json!({ "flags": { "nothing": null } }), ErrorCode::ValueInvalid),
        (json!({ "flags": { "big": 1_u64 << 53 } }), ErrorCode::ValueOutOfRange),
        (json!({ "flags": [] }), ErrorCode::TypeMismatch),
        (json!({ "usr": "ann" }), ErrorCode::MemberUnknown),
    ] {
        assert_eq!(read(None, &facts).err(), Some(code), "{facts}");
    }
    assert_eq!(
        TestIssuer::new(ISSUER, "app", Some("other")).err().map(|error| error.code),
        Some(ErrorCode::ConfigurationInvalid)
    );
}
