//! `tests/vectors/jwks.json`: which entries of a key set are used, and signatures that others have published.

mod vectors;

use aws_lc_rs::digest::{SHA256, digest};
use flagbearer::token::{Algorithm, KeySet, PublicKey, SigningKey};
use serde_json::{Value, json};

#[test]
fn every_set_gives_its_usable_keys_and_no_others() {
    for (name, case) in vectors::cases(&vectors::read("jwks.json")["sets"]) {
        match KeySet::parse(case["jwks"].as_str().unwrap().as_bytes()) {
            Ok(set) => {
                let usable: Vec<Value> = set.iter().map(|key| key.key_id().into()).collect();
                assert_eq!(Value::Array(usable), case["usable"], "{name}");
            }
            Err(error) => assert_eq!(Some(error.code.as_str()), case["error"].as_str(), "{name}: {error}"),
        }
    }
}

#[test]
fn signatures_published_in_rfcs_are_valid_and_nothing_near_them_is() {
    for (name, case) in vectors::cases(&vectors::read("jwks.json")["signatures"]) {
        let set = KeySet::parse(json!({"keys": [case["jwk"]]}).to_string().as_bytes()).unwrap();
        let key: &PublicKey = set.iter().next().unwrap();
        let signature = decode(case["signature"].as_str().unwrap());
        let valid = key.verify(case["input"].as_str().unwrap().as_bytes(), &signature).is_ok();
        assert_eq!(valid, case["valid"].as_bool().unwrap(), "{name}");
    }
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[test]
fn a_published_key_has_public_members_alone_and_the_name_of_its_thumbprint() {
    for (algorithm, members) in [
        (Algorithm::EdDsa, ["alg", "crv", "kid", "kty", "use", "x"].as_slice()),
        (Algorithm::Es256, &["alg", "crv", "kid", "kty", "use", "x", "y"]),
        (Algorithm::Rs256, &["alg", "e", "kid", "kty", "n", "use"]),
    ] {
        let key = SigningKey::generate(algorithm).unwrap();
        let set: KeySet = [key.public_key().unwrap()].into_iter().collect();
        let document: Value = serde_json::from_str(&set.to_json()).unwrap();
        let jwk = document["keys"][0].as_object().unwrap();
        assert_eq!(jwk.keys().map(String::as_str).collect::<Vec<_>>(), members);
        assert_eq!(jwk["use"], "sig");
        assert_eq!(jwk["alg"], algorithm.as_str());
        assert_eq!(jwk["kid"], key.key_id());
        // RFC 7638 §3.2: the members that make the key, sorted, without white space.
        let required: Vec<String> = ["crv", "e", "kty", "n", "x", "y"]
            .into_iter()
            .filter_map(|name| jwk.get(name).map(|value| format!("\"{name}\":{value}")))
            .collect();
        let thumbprint = digest(&SHA256, format!("{{{}}}", required.join(",")).as_bytes());
        assert_eq!(decode(key.key_id()), thumbprint.as_ref());
        assert_eq!(format!("{key:?}"), format!("SigningKey({algorithm} {})", key.key_id()));
    }
}

#[test]
fn the_thumbprint_is_that_of_rfc_8037() {
    // RFC 8037 A.1 as PKCS#8 (RFC 8410 §7), and A.3.
    let seed = decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let prefix = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, &[prefix.as_slice(), &seed].concat()).unwrap();
    assert_eq!(key.key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_private_key_of_another_kind_is_refused() {
    for made in Algorithm::ALL {
        let pkcs8 = SigningKey::generate(made).unwrap().to_pkcs8().unwrap();
        for read in Algorithm::ALL {
            assert_eq!(SigningKey::from_pkcs8(read, &pkcs8).is_ok(), made == read, "{made} read as {read}");
        }
        assert!(SigningKey::from_pkcs8(made, &pkcs8[..pkcs8.len() - 1]).is_err());
    }
}
