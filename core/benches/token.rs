//! Signing, verifying and reading, beside the bare library doing the same work: `cargo bench --bench token`.
//! Each line has our time, the peer's and the ratio, measured in alternation within one run, for a machine that is shared
//! slows both. divan was not used because it cannot print ratios.
//!
//! With `-- --rs256-limit` it only compares signing with RS256, and fails where ours takes longer than it may.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark needs a clock; the crate itself has none"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer::claim::Dialect;
use flagbearer::flag::{FlagKey, FlagType, FlagValue};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{
    AccessToken, Algorithm, Asked, KeySet, Profile, SigningKey, TYPE_ACCESS_TOKEN, Verifier, VerifierOptions,
};
use serde::Deserialize;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ROUNDS: usize = 200;
/// How much longer than the bare signature a token signed with RS256 may take.
const RS256_LIMIT: f64 = 1.10;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--rs256-limit") {
        return rs256_limit();
    }
    println!("{:44} {:>12} {:>12} {:>7}", "30 flags, 1.2 KB of claims", "ours", "peer", "ratio");
    for algorithm in Algorithm::ALL {
        bench(algorithm);
    }
    claims();
    ExitCode::SUCCESS
}

/// Signs in pairs, ours and the bare library's right after one another and each first as often as the other, and judges by the
/// pair in the middle: what else runs on the machine slows whole pairs, or single ones of many.
fn rs256_limit() -> ExitCode {
    let key = SigningKey::generate(Algorithm::Rs256).unwrap();
    let (raw, claims, signer) = (Raw::of(&key, Algorithm::Rs256), write_claims(), key.signer(TYPE_ACCESS_TOKEN).unwrap());
    let token = signer.sign(&claims).unwrap();
    let message = token.rsplit_once('.').unwrap().0;
    let mut ours = || drop(black_box(signer.sign(&claims).unwrap()));
    let mut bare = || drop(black_box(raw.sign(message.as_bytes())));
    let mut pairs: Vec<[f64; 2]> = (0..5 * ROUNDS)
        .map(|round| {
            if round % 2 == 0 {
                [time(1, &mut ours), time(1, &mut bare)]
            } else {
                let second = time(1, &mut bare);
                [time(1, &mut ours), second]
            }
        })
        .collect();
    pairs.sort_by(|[a, b], [c, d]| (a / b).total_cmp(&(c / d)));
    let [ours, bare] = pairs[pairs.len() / 2];
    let ratio = ours / bare;
    println!(
        "sign RS256: a token {ours:.1} µs, the bare signature {bare:.1} µs, ratio {ratio:.3} of at most {RS256_LIMIT:.2}"
    );
    if ratio > RS256_LIMIT { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn flags() -> Vec<(FlagKey, FlagValue)> {
    let flag = |index: usize| {
        let (text, flag_type) = match index % 10 {
            0..6 => ("true", FlagType::Boolean),
            6 | 7 => ("\"variant-b\"", FlagType::String),
            8 => ("5000", FlagType::Integer),
            _ => (r#"{"max_tokens":4096,"model":"gpt-4o"}"#, FlagType::Json),
        };
        (FlagKey::parse(&format!("feature_number_{index:02}")).unwrap(), FlagValue::from_text(text, flag_type).unwrap())
    };
    (0..30).map(flag).collect()
}

fn write_claims() -> String {
    let (mut feature_flags, mut claims) = (String::new(), String::new());
    let flags = flags();
    Dialect::Typed.encode(flags.iter().map(|(key, value)| (key, value)), &mut feature_flags);
    AccessToken {
        issuer: "https://flags.example.com",
        subject: "user_01J9ZZ2V9P3T",
        audience: Some("api"),
        client_id: "app_01J9ZZ2V9P3T",
        issued_at: NOW,
        expires_at: NOW.plus_seconds(300),
        token_id: "01J9ZZ2V9P3T01J9ZZ2V9P3T",
        session: Some("session_01J9ZZ2V9P3T"),
        authenticated_at: Some(NOW),
        organization: Some("org_01J9ZZ2V9P3T"),
        organization_name: None,
        scope: None,
        roles: &[],
        permissions: &[],
        flags_revision: 41,
        feature_flags: &feature_flags,
        asked: Asked::default(),
    }
    .write(Profile::Flagbearer, &mut claims);
    claims
}

/// Runs both in alternation and prints the lowest tenth of each, in microseconds for one call: what else runs on the machine
/// only ever adds, and does so to both.
fn compare(name: &str, calls: usize, mut ours: impl FnMut(), mut peer: impl FnMut()) {
    let mut measured = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        measured.0.push(time(calls, &mut ours));
        measured.1.push(time(calls, &mut peer));
    }
    let (ours, peer) = (lowest_tenth(measured.0), lowest_tenth(measured.1));
    println!("{name:44} {ours:>9.2} µs {peer:>9.2} µs {:>7.2}", ours / peer);
}

fn time(calls: usize, call: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed().as_secs_f64() * 1e6 / calls as f64
}

fn lowest_tenth(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 10]
}

enum Raw {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Raw {
    fn of(key: &SigningKey, algorithm: Algorithm) -> Self {
        let pkcs8 = key.to_pkcs8().unwrap();
        match algorithm {
            Algorithm::EdDsa => Self::EdDsa(Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap()),
            Algorithm::Es256 => Self::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap()),
            Algorithm::Rs256 => Self::Rs256(RsaKeyPair::from_pkcs8(&pkcs8).unwrap()),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn public(&self) -> ParsedPublicKey {
        match self {
            Self::EdDsa(pair) => ParsedPublicKey::new(&ED25519, pair.public_key()),
            Self::Es256(pair) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key()),
            Self::Rs256(pair) => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key()),
        }
        .unwrap()
    }
}

/// What somebody would write by hand with serde: the claims that matter, and the flags in a map.
#[derive(Deserialize)]
struct Claims {
    #[allow(dead_code, reason = "parsed to be compared with")]
    iss: String,
    #[allow(dead_code, reason = "parsed to be compared with")]
    sub: String,
    #[allow(dead_code, reason = "parsed to be compared with")]
    aud: String,
    exp: i64,
    feature_flags: BTreeMap<String, Flag>,
}

#[derive(Deserialize)]
struct Flag {
    #[allow(dead_code, reason = "parsed to be compared with")]
    t: String,
    v: serde_json::Value,
}

fn bench(algorithm: Algorithm) {
    let key = SigningKey::generate(algorithm).unwrap();
    let raw = Raw::of(&key, algorithm);
    let calls = if algorithm == Algorithm::Rs256 { 5 } else { 50 };
    let claims = write_claims();
    let signer = key.signer(TYPE_ACCESS_TOKEN).unwrap();
    let token = signer.sign(&claims).unwrap();
    let message = token.rsplit_once('.').unwrap().0;
    compare(
        &format!("sign {algorithm}: claims to token / bare signature"),
        calls,
        || drop(black_box(signer.sign(&claims).unwrap())),
        || drop(black_box(raw.sign(message.as_bytes()))),
    );

    let keys: KeySet = [key.public_key().unwrap()].into_iter().collect();
    let options = VerifierOptions { issuer: "https://flags.example.com", audience: Some("api"), ..Default::default() };
    let verifier = Verifier::new(&options).unwrap();
    let public = raw.public();
    compare(
        &format!("verify {algorithm}, parse, read / aws-lc-rs + serde"),
        25,
        || assert!(verifier.verify(black_box(&token), &keys, NOW).unwrap().get_boolean_flag("feature_number_15", false)),
        || {
            let (message, signature) = black_box(&token).rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            public.verify_sig(message.as_bytes(), &signature).unwrap();
            let (header, payload) = message.split_once('.').unwrap();
            let header: BTreeMap<String, String> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
            assert_eq!(header["typ"], "at+jwt");
            let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
            assert!(claims.exp > 0 && claims.feature_flags["feature_number_15"].v == true);
        },
    );
}

fn claims() {
    let flags = flags();
    let mut out = String::with_capacity(4096);
    let values: BTreeMap<&str, serde_json::Value> = flags
        .iter()
        .map(|(key, value)| (key.as_str(), serde_json::json!({"t": value.flag_type().letter(), "v": value.to_json()})))
        .collect();
    compare(
        "encode the claim / serde_json of a ready map",
        200,
        || {
            out.clear();
            Dialect::Typed.encode(flags.iter().map(|(key, value)| (key, value)), &mut out);
            black_box(&out);
        },
        || drop(black_box(serde_json::to_string(&values).unwrap())),
    );
    let options = VerifierOptions { issuer: "https://flags.example.com", audience: Some("api"), ..Default::default() };
    let verifier = Verifier::new(&options).unwrap();
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let token = key.signer(TYPE_ACCESS_TOKEN).unwrap().sign(&write_claims()).unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let keys: Arc<KeySet> = Arc::new([key.public_key().unwrap()].into_iter().collect());
    let prepare = |token: &str| verifier.prepare(token, NOW).unwrap().awaiting(keys.clone()).release(true).unwrap().0;
    compare(
        "prepare: parse and decide / serde_json::Value",
        200,
        || drop(black_box(prepare(black_box(&token)))),
        || drop(black_box(serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap())),
    );
    let set = prepare(&token);
    let map: BTreeMap<String, bool> = set.get_all_flags().map(|(key, _)| (key.into_owned(), true)).collect();
    compare(
        "read a boolean / BTreeMap::get",
        20_000,
        || _ = black_box(set.get_boolean_flag(black_box("feature_number_15"), false)),
        || _ = black_box(map.get(black_box("feature_number_15"))),
    );
    compare(
        "hand over: tables / clone of the claims",
        200,
        || drop(black_box(set.tables())),
        || drop(black_box(set.claims().to_owned())),
    );
}
