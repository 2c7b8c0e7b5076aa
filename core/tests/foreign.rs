//! Tokens of other issuers: what is accepted, and what each other fault is called.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer::error::{Error, ErrorCode};
use flagbearer::reader::{KeySource, Keyring, Poll, Reader, Response};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Algorithm, Expected, ForeignClaims, ForeignToken, KeySet, SigningKey, Verifier, VerifierOptions};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const EXPECTED: Expected<'_> =
    Expected { issuer: "https://login.example.com/", audience: "our-client", access_token: false };

fn claims() -> Value {
    json!({
        "iss": "https://login.example.com/", "sub": "00u1", "aud": "our-client", "nonce": "n",
        "iat": 1_800_000_000, "exp": 1_800_000_300, "org": "acme", "flags_rev": "of no meaning here",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("claims").remove(name);
    claims
}

struct Provider {
    key: SigningKey,
    keys: KeySet,
}

impl Provider {
    fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::generate(algorithm).expect("a key");
        let keys = [key.public_key().expect("a public key")].into_iter().collect();
        Self { key, keys }
    }

    fn sign(&self, token_type: &str, claims: &str) -> String {
        self.key.signer(token_type).expect("a signer").sign(claims).expect("a token")
    }

    fn judge(&self, claims: &Value) -> Result<ForeignClaims, Error> {
        verify(&self.sign("JWT", &claims.to_string()), &self.keys, &EXPECTED)
    }
}

fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<ForeignClaims, Error> {
    ForeignToken::parse(token)?.verify(expected, keys, NOW)
}

#[track_caller]
fn refused(outcome: Result<ForeignClaims, Error>, code: ErrorCode) {
    assert_eq!(outcome.map_err(|error| error.code), Err(code));
}

/// A token with this header and no signature that fits.
fn forged(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([7; 64]))
}

#[test]
fn a_good_token_says_what_it_says() {
    for algorithm in Algorithm::ALL {
        let provider = Provider::new(algorithm);
        let said = provider.judge(&with("aud", json!(["another", "our-client"]))).expect("a good token");
        assert_eq!((said.subject.as_str(), said.nonce.as_deref()), ("00u1", Some("n")));
        assert_eq!(said.audience, ["another", "our-client"]);
        assert_eq!(said.issued_at, NOW);
        assert_eq!(said.all["org"], "acme");
    }
}

#[test]
fn every_fault_has_its_code() {
    use ErrorCode::*;
    let provider = Provider::new(Algorithm::Es256);
    for (claims, code) in [
        (without("iss"), ClaimMissing),
        (without("sub"), ClaimMissing),
        (without("aud"), ClaimMissing),
        (without("exp"), ClaimMissing),
        (without("iat"), ClaimMissing),
        (with("sub", json!("")), ClaimMissing),
        (with("sub", json!(7)), TokenMalformed),
        (with("sub", json!("a\u{0}")), TokenMalformed),
        (with("sub", json!("a".repeat(256))), TokenMalformed),
        (with("nonce", json!(null)), TokenMalformed),
        (with("azp", json!(["our-client"])), TokenMalformed),
        (with("aud", json!({ "our-client": true })), TokenMalformed),
        (with("aud", json!(["our-client", 7])), TokenMalformed),
        (with("exp", json!("1800000300")), TokenMalformed),
        (with("exp", json!(null)), TokenMalformed),
        (with("exp", json!(-1)), TokenMalformed),
        (with("exp", json!(1e17)), TokenMalformed),
        (with("nbf", json!(false)), TokenMalformed),
        (with("iss", json!("https://login.example.com")), IssuerMismatch),
        (with("iss", json!("https://LOGIN.example.com/")), IssuerMismatch),
        (with("aud", json!("our-client2")), AudienceMismatch),
        (with("aud", json!([])), AudienceMismatch),
        (with("exp", json!(1_799_999_995)), TokenExpired),
        (with("exp", json!(1_799_999_994.9)), TokenExpired),
        (with("nbf", json!(1_800_000_006)), TokenNotYetValid),
        (with("iat", json!(1_800_000_006)), TokenNotYetValid),
        (with("events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} })), TypeInvalid),
    ] {
        let outcome = provider.judge(&claims);
        assert_eq!(outcome.map_err(|error| error.code), Err(code), "{claims}");
    }
    for inside in [with("exp", json!(1_799_999_996)), with("iat", json!(1_800_000_005)), with("nbf", json!(1_800_000_005.0))]
    {
        provider.judge(&inside).expect("inside the leeway");
    }
}

#[test]
fn access_tokens_are_accepted_where_they_are_expected() {
    let provider = Provider::new(Algorithm::EdDsa);
    let either = Expected { access_token: true, ..EXPECTED };
    for (token_type, id_token, access_token) in [
        ("JWT", true, true),
        ("jwt", true, true),
        ("application/jwt", true, true),
        ("at+jwt", false, true),
        ("application/AT+JWT", false, true),
        ("logout+jwt", false, false),
        ("secevent+jwt", false, false),
        ("flagbearer-watermark+jwt", false, false),
        ("", false, false),
    ] {
        let token = provider.sign(token_type, &claims().to_string());
        assert_eq!(verify(&token, &provider.keys, &EXPECTED).is_ok(), id_token, "{token_type}");
        assert_eq!(verify(&token, &provider.keys, &either).is_ok(), access_token, "{token_type}");
    }
}

#[test]
fn no_token_chooses_how_it_is_verified() {
    let (provider, other) = (Provider::new(Algorithm::Rs256), Provider::new(Algorithm::Rs256));
    let kid = provider.key.key_id();
    for (header, code) in [
        (json!({ "alg": "none", "kid": kid }), ErrorCode::AlgorithmUnsupported),
        (json!({ "alg": "nOnE", "kid": kid }), ErrorCode::AlgorithmUnsupported),
        (json!({ "alg": "HS256", "kid": kid }), ErrorCode::AlgorithmUnsupported),
        (json!({ "alg": "PS256", "kid": kid }), ErrorCode::AlgorithmUnsupported),
        (json!({ "alg": "ES256", "kid": kid }), ErrorCode::AlgorithmUnsupported),
        (json!({ "alg": "RS256", "kid": kid }), ErrorCode::SignatureInvalid),
        (json!({ "alg": "RS256" }), ErrorCode::KeyUnknown),
        (json!({ "alg": "RS256", "kid": "a", "jku": "https://thief.example/jwks" }), ErrorCode::KeyUnknown),
        (json!({ "alg": "RS256", "kid": kid, "crit": ["exp"] }), ErrorCode::TokenMalformed),
    ] {
        refused(verify(&forged(&header, &claims()), &provider.keys, &EXPECTED), code);
    }
    refused(verify(&other.sign("JWT", &claims().to_string()), &provider.keys, &EXPECTED), ErrorCode::KeyUnknown);
    let twice = provider.sign("JWT", r#"{"iss":"https://login.example.com/","sub":"a","sub":"b"}"#);
    refused(verify(&twice, &provider.keys, &EXPECTED), ErrorCode::TokenMalformed);
    refused(verify(&provider.sign("JWT", "[]"), &provider.keys, &EXPECTED), ErrorCode::TokenMalformed);
    refused(verify("not a token", &provider.keys, &EXPECTED), ErrorCode::TokenMalformed);
}

#[test]
fn the_claimed_issuer_is_told_before_anything_is_checked() {
    let token = forged(&json!({ "alg": "RS256", "kid": "k" }), &claims());
    assert_eq!(ForeignToken::parse(&token).expect("a token").claimed_issuer(), Some("https://login.example.com/"));
    let token = forged(&json!({ "alg": "RS256", "kid": "k" }), &with("iss", json!(7)));
    assert_eq!(ForeignToken::parse(&token).expect("a token").claimed_issuer(), None);
}

#[test]
fn a_keyring_fetches_for_an_unknown_key_once_in_thirty_seconds() {
    let (old, new) = (Provider::new(Algorithm::Es256), Provider::new(Algorithm::Es256));
    let source = KeySource::Url("https://login.example.com/keys".to_owned());
    let keyring = Keyring::new("https://login.example.com/", source).expect("a keyring");
    let (old_token, new_token) = (old.sign("JWT", &claims().to_string()), new.sign("JWT", &claims().to_string()));
    let (old_token, new_token) =
        (ForeignToken::parse(&old_token).expect("a token"), ForeignToken::parse(&new_token).expect("a token"));
    let fetched = |keys: &KeySet, now: Timestamp| {
        let Poll::Fetch(fetch) = keyring.poll(now) else { panic!("nothing is to be fetched") };
        assert_eq!(fetch.url, "https://login.example.com/keys");
        keyring.receive(fetch.id, Response::Body(keys.to_json().as_bytes()), now);
    };
    assert!(keyring.keys_for(&old_token, NOW).expect("not yet").is_none());
    fetched(&old.keys, NOW);
    assert!(keyring.keys_for(&old_token, NOW).expect("keys").is_some());
    assert!(keyring.keys_for(&new_token, NOW).expect("not yet").is_none());
    fetched(&old.keys, NOW);
    assert_eq!(keyring.keys_for(&new_token, NOW).map_err(|error| error.code).err(), Some(ErrorCode::KeyUnknown));
    assert!(matches!(keyring.poll(NOW.plus_seconds(29)), Poll::Idle { .. }));
    let later = NOW.plus_seconds(30);
    assert!(keyring.keys_for(&new_token, later).expect("not yet").is_none());
    fetched(&new.keys, later);
    assert!(keyring.keys_for(&new_token, later).expect("keys").is_some());
}

/// A reader of the applications of this issuer, which has the keys of `provider`.
fn reader(provider: &Provider) -> Reader {
    let options = VerifierOptions { issuer: EXPECTED.issuer, audience: Some("api"), ..Default::default() };
    let reader = Reader::new(Verifier::new(&options).expect("a verifier"), KeySource::WellKnown).expect("a reader");
    let Poll::Fetch(fetch) = reader.poll(NOW) else { panic!("nothing is to be fetched") };
    reader.receive(fetch.id, Response::Body(provider.keys.to_json().as_bytes()), NOW);
    reader
}

#[test]
fn the_id_token_of_a_sign_in_is_believed_with_its_nonce_and_for_its_application_alone() {
    use ErrorCode::*;
    let provider = Provider::new(Algorithm::EdDsa);
    let reader = reader(&provider);
    let sign = |token_type: &str, claims: &Value| provider.sign(token_type, &claims.to_string());
    let verify = |token: &str, nonce: &str| {
        let claims = reader.verify_id_token(token, "our-client", nonce, NOW)?;
        Ok::<_, Error>(claims.expect("the keys are there"))
    };
    let good = sign("JWT", &claims());
    assert_eq!(verify(&good, "n").expect("a good token").subject.as_str(), "00u1");
    for nonce in ["", "N", "n ", "nn"] {
        refused(verify(&good, nonce), ClaimMissing);
    }
    for (token, code) in [
        (sign("JWT", &without("nonce")), ClaimMissing),
        (sign("JWT", &with("aud", json!("another-client"))), AudienceMismatch),
        // What the access tokens of its applications are for.
        (sign("JWT", &with("aud", json!("api"))), AudienceMismatch),
        (sign("JWT", &with("iss", json!("https://login.example.org/"))), IssuerMismatch),
        (sign("JWT", &with("exp", json!(1_799_999_995))), TokenExpired),
        (sign("JWT", &with("iat", json!(1_800_000_006))), TokenNotYetValid),
        (sign("at+jwt", &claims()), TypeInvalid),
        (forged(&json!({ "alg": "EdDSA", "kid": provider.key.key_id() }), &claims()), SignatureInvalid),
        (forged(&json!({ "alg": "none" }), &claims()), AlgorithmUnsupported),
        ("not a token".to_owned(), TokenMalformed),
    ] {
        refused(verify(&token, "n"), code);
    }
}

#[test]
fn an_id_token_of_an_unknown_key_has_keys_fetched_and_is_refused_with_those_that_come() {
    let (provider, other) = (Provider::new(Algorithm::EdDsa), Provider::new(Algorithm::EdDsa));
    let reader = reader(&provider);
    let token = other.sign("JWT", &claims().to_string());
    let verify = || reader.verify_id_token(&token, "our-client", "n", NOW);
    assert_eq!(verify().expect("not yet"), None);
    let Poll::Fetch(fetch) = reader.poll(NOW) else { panic!("nothing is to be fetched") };
    reader.receive(fetch.id, Response::Body(provider.keys.to_json().as_bytes()), NOW);
    assert_eq!(verify().map_err(|error| error.code), Err(ErrorCode::KeyUnknown));
}
