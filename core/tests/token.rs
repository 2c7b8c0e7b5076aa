//! Tokens from key to flag set, as the server and a reader use them.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer::claim::Dialect;
use flagbearer::error::ErrorCode;
use flagbearer::flag::{FlagKey, FlagType, FlagValue};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{
    AccessToken, Algorithm, Asked, KeySet, Profile, SigningKey, TYPE_ACCESS_TOKEN, Verifier, VerifierOptions,
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn flags() -> Vec<(FlagKey, FlagValue)> {
    let flag =
        |key: &str, text: &str, flag_type| (FlagKey::parse(key).unwrap(), FlagValue::from_text(text, flag_type).unwrap());
    vec![
        flag("ai_token_limit", "5000", FlagType::Integer),
        flag("model_config", r#"{"model":"gpt-4o","temperature":0.2}"#, FlagType::Json),
        flag("new_ai_model", "true", FlagType::Boolean),
        flag("prompt_variant", "\"concise \\\"é\\\"\"", FlagType::String),
    ]
}

fn claims(feature_flags: &str) -> String {
    let mut claims = String::new();
    AccessToken {
        issuer: "https://flags.example.com",
        subject: "user_1",
        audience: Some("api"),
        client_id: "app_1",
        issued_at: NOW,
        expires_at: NOW.plus_seconds(300),
        token_id: "t1",
        session: Some("s1"),
        authenticated_at: Some(NOW),
        organization: Some("org_1"),
        organization_name: None,
        scope: None,
        roles: &["admin".to_owned()],
        permissions: &[],
        flags_revision: 41,
        feature_flags,
        asked: Asked::default(),
    }
    .write(Profile::Flagbearer, &mut claims);
    claims
}

fn verifier() -> Verifier {
    let options = VerifierOptions { issuer: "https://flags.example.com", audience: Some("api"), ..Default::default() };
    Verifier::new(&options).unwrap()
}

#[test]
fn a_flag_goes_through_a_token_of_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let key = SigningKey::from_pkcs8(algorithm, &key.to_pkcs8().unwrap()).unwrap();
        let set = [key.public_key().unwrap()].into_iter().collect::<KeySet>().to_json();
        let set = KeySet::parse(set.as_bytes()).unwrap();
        assert_eq!(set.get(key.key_id()).unwrap().algorithm(), algorithm);

        let flags = flags();
        let mut claim = String::new();
        Dialect::Typed.encode(flags.iter().map(|(key, value)| (key, value)), &mut claim);
        let token = key.signer(TYPE_ACCESS_TOKEN).unwrap().sign(&claims(&claim)).unwrap();
        let read = verifier().verify(&token, &set, NOW).unwrap();
        assert!(read.get_boolean_flag("new_ai_model", false));
        assert_eq!(read.get_integer_flag("ai_token_limit", 1000), 5000);
        assert_eq!(read.get_string_flag("prompt_variant", "control"), "concise \"é\"");
        assert_eq!(read.organization(), Some("org_1"));
        assert_eq!(read.flags_revision(), Some(41));
        assert!(read.get_all_flags().eq(flags.iter().map(|(key, value)| (key.as_str().into(), value.clone()))));

        let late = verifier().verify(&token, &set, NOW.plus_seconds(305)).unwrap_err();
        assert_eq!(late.code, ErrorCode::TokenExpired);
        let other = SigningKey::generate(algorithm).unwrap();
        let forged = other.signer(TYPE_ACCESS_TOKEN).unwrap().sign(&claims(&claim)).unwrap();
        assert_eq!(verifier().verify(&forged, &set, NOW).unwrap_err().code, ErrorCode::KeyUnknown);
    }
}

#[test]
fn an_ecdsa_signature_never_uses_a_number_twice_and_eddsa_needs_none() {
    let es256 = SigningKey::generate(Algorithm::Es256).unwrap().signer(TYPE_ACCESS_TOKEN).unwrap();
    // Whoever has two signatures with one number can compute the key: the first half of each is what it leaves to see.
    let halves: HashSet<Vec<u8>> = (0..1000)
        .map(|_| {
            let token = es256.sign("{}").unwrap();
            let signature = URL_SAFE_NO_PAD.decode(token.rsplit_once('.').unwrap().1).unwrap();
            assert_eq!(signature.len(), 64);
            signature[..32].to_vec()
        })
        .collect();
    assert_eq!(halves.len(), 1000);
    let eddsa = SigningKey::generate(Algorithm::EdDsa).unwrap().signer(TYPE_ACCESS_TOKEN).unwrap();
    assert_eq!(eddsa.sign("{}").unwrap(), eddsa.sign("{}").unwrap());
}
