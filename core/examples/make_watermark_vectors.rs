//! Writes `tests/vectors/watermarks.json` again: `cargo run --example make_watermark_vectors`.
//! The keys are those of `tokens.json`. What is expected is written here by hand, never taken from the reader.

#![allow(clippy::disallowed_methods, reason = "it reads and writes files; the crate itself has none")]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flagbearer::token::{Algorithm, Signer, SigningKey};
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors");
const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://flags.example.com";
const TYPE: &str = "flagbearer-watermark+jwt";

fn main() {
    let tokens = std::fs::read_to_string(format!("{FOLDER}/tokens.json")).unwrap();
    let tokens: Value = serde_json::from_str(&tokens).unwrap();
    let key = |name: &str, algorithm| {
        let pkcs8 = STANDARD.decode(tokens["private_keys"][name].as_str().unwrap()).unwrap();
        SigningKey::from_pkcs8(algorithm, &pkcs8).unwrap()
    };
    let ours = key("EdDSA", Algorithm::EdDsa);
    let cases = Cases {
        signer: ours.signer(TYPE).unwrap(),
        es256: key("ES256", Algorithm::Es256).signer(TYPE).unwrap(),
        stranger: key("stranger", Algorithm::EdDsa).signer(TYPE).unwrap(),
        access_token: ours.signer("at+jwt").unwrap(),
        id_token: ours.signer("JWT").unwrap(),
    };
    let list = [cases.reads(), cases.accepted(), cases.refused(), cases.orders(), cases.states()].concat();
    let document = json!({
        "issuer": ISSUER,
        "jwks": tokens["jwks"],
        "cases": list,
    });
    std::fs::write(format!("{FOLDER}/watermarks.json"), serde_json::to_string_pretty(&document).unwrap() + "\n").unwrap();
}

struct Cases {
    signer: Signer,
    es256: Signer,
    stranger: Signer,
    access_token: Signer,
    id_token: Signer,
}

/// The claims of a watermark of a revision, signed at a time, with these kills as `(key, type, value, revision)`.
fn claims(revision: i64, issued_at: i64, kills: &[(&str, &str, Value, i64)]) -> Value {
    let kills: Vec<Value> = kills
        .iter()
        .map(|(key, kind, value, revision)| json!({ "key": key, "type": kind, "value": value, "revision": revision }))
        .collect();
    json!({
        "iss": ISSUER, "iat": issued_at, "exp": issued_at + 300, "revision": revision, "min_revision": 0, "kills": kills,
    })
}

/// The same with one claim replaced, or taken away.
fn with(mut claims: Value, name: &str, value: Option<Value>) -> Value {
    match value {
        Some(value) => claims[name] = value,
        None => drop(claims.as_object_mut().unwrap().remove(name)),
    }
    claims
}

fn read(key: &str, kind: &str, default: Value, value: Value, reason: &str) -> Value {
    json!({ "key": key, "type": kind, "default": default, "value": value, "reason": reason })
}

fn failed(key: &str, kind: &str, default: Value, error: &str) -> Value {
    json!({ "key": key, "type": kind, "default": default, "value": default, "reason": "ERROR", "error": error })
}

impl Cases {
    fn told(&self, at: i64, claims: &Value) -> Value {
        json!({ "at": at, "watermark": self.signer.sign(&claims.to_string()).unwrap() })
    }

    fn reads(&self) -> Vec<Value> {
        let typed = json!({
            "on": { "t": "b", "v": true }, "limit": { "t": "i", "v": 5000 }, "variant": { "t": "s", "v": "concise" },
            "config": { "t": "j", "v": { "model": "gpt-4o" } }, "odd": { "t": "x", "v": 1 },
        });
        let all = json!({ "on": true, "limit": 5000, "variant": "concise", "config": { "model": "gpt-4o" } });
        let kills = [
            ("config", "json", json!("none"), 50),
            ("limit", "integer", json!(-7), 50),
            ("odd", "boolean", json!(true), 50),
            ("on", "boolean", json!(false), 50),
            ("unheard", "string", json!("x\u{1e}\"ü"), 50),
            ("variant", "string", json!("control"), 50),
        ];
        let none = claims(60, NOW, &[]);
        let killed = claims(60, NOW, &kills);
        let minimum = |claims: &Value| with(claims.clone(), "min_revision", Some(json!(45)));
        let untouched = json!([
            read("on", "boolean", json!(false), json!(true), "CACHED"),
            read("config", "json", json!({}), json!({ "model": "gpt-4o" }), "CACHED"),
            failed("unheard", "string", json!("mine"), "FLAG_NOT_FOUND"),
            failed("odd", "boolean", json!(false), "PARSE_ERROR"),
        ]);
        let overruled = json!([
            read("on", "boolean", json!(true), json!(false), "DISABLED"),
            read("limit", "integer", json!(1), json!(-7), "DISABLED"),
            read("variant", "string", json!("x"), json!("control"), "DISABLED"),
            read("config", "json", json!({}), json!("none"), "DISABLED"),
            read("unheard", "string", json!("mine"), json!("x\u{1e}\"ü"), "DISABLED"),
            read("odd", "boolean", json!(false), json!(true), "DISABLED"),
            failed("on", "string", json!("mine"), "TYPE_MISMATCH"),
            failed("config", "string", json!("mine"), "TYPE_MISMATCH"),
            failed("nothing", "boolean", json!(true), "FLAG_NOT_FOUND"),
        ]);
        let all_overruled = json!({
            "on": false, "limit": -7, "variant": "control", "config": "none", "unheard": "x\u{1e}\"ü", "odd": true,
        });
        let token = |flags: &Value, revision: Value| match revision {
            Value::Null => json!({ "feature_flags": flags }),
            revision => json!({ "feature_flags": flags, "flags_rev": revision }),
        };
        let case = |name: &str, claims: &Value, token: Value, stale: bool, reads: &Value, all: &Value| json!({ "name": name, "watermarks": [self.told(NOW, claims)], "token": token, "stale": stale, "reads": reads, "all": all });
        let keys = json!(["on", "other"]);
        let of_keys = [("on", "boolean", json!(false), 50), ("was_off", "boolean", json!(true), 50)];
        let stale = json!([
            read("on", "boolean", json!(false), json!(true), "STALE"),
            failed("on", "string", json!("mine"), "TYPE_MISMATCH"),
            failed("nothing", "boolean", json!(true), "FLAG_NOT_FOUND"),
        ]);
        let stale_and_killed = json!([
            read("on", "boolean", json!(true), json!(false), "DISABLED"),
            read("other", "boolean", json!(false), json!(true), "STALE"),
            read("was_off", "boolean", json!(false), json!(true), "DISABLED"),
        ]);
        let every_key = json!({ "on": false, "other": true, "was_off": true });
        vec![
            case("nothing is killed", &none, token(&typed, json!(41)), false, &untouched, &all),
            case("a token older than the kills", &killed, token(&typed, json!(49)), false, &overruled, &all_overruled),
            case("a token of the kills' revision", &killed, token(&typed, json!(50)), false, &untouched, &all),
            case("a token younger than the kills", &killed, token(&typed, json!(59)), false, &untouched, &all),
            case(
                "a token without a revision is older",
                &killed,
                token(&typed, Value::Null),
                false,
                &overruled,
                &all_overruled,
            ),
            case("a token below the minimum", &minimum(&none), token(&typed, json!(44)), true, &stale, &all),
            case("a token of the minimum", &minimum(&none), token(&typed, json!(45)), false, &untouched, &all),
            case(
                "a token without a revision is below any minimum",
                &minimum(&none),
                token(&typed, Value::Null),
                true,
                &stale,
                &all,
            ),
            case(
                "an array of keys, killed and below the minimum",
                &minimum(&claims(60, NOW, &of_keys)),
                token(&keys, json!(44)),
                true,
                &stale_and_killed,
                &every_key,
            ),
        ]
    }

    fn accepted(&self) -> Vec<Value> {
        let usual = claims(60, NOW, &[("f", "boolean", json!(false), 50)]);
        let unknown_type = with(
            usual.clone(),
            "kills",
            Some(
                json!([{ "key": "f", "type": "boolean", "value": false, "revision": 50, "by": "x" }, { "type": "decimal" }]),
            ),
        );
        let token = json!({ "feature_flags": { "f": { "t": "b", "v": true } }, "flags_rev": 41 });
        let reads = json!([read("f", "boolean", json!(true), json!(false), "DISABLED")]);
        let case = |name: &str, told: Value| json!({ "name": name, "watermarks": [told], "token": token, "reads": reads });
        let es256 = json!({ "at": NOW, "watermark": self.es256.sign(&usual.to_string()).unwrap() });
        vec![
            case("a claim and a type of later versions", self.told(NOW, &with(unknown_type, "later", Some(json!([1]))))),
            case("signed with ES256", es256),
            case("a clock that is a minute behind", self.told(NOW - 60, &usual)),
            case("in the last second of its time, and a minute", self.told(NOW + 359, &usual)),
        ]
    }

    fn refused(&self) -> Vec<Value> {
        let kills = [("f", "boolean", json!(false), 50)];
        let usual = claims(60, NOW, &kills);
        let without = |name: &str| with(usual.clone(), name, None);
        let replaced = |name: &str, value: Value| with(usual.clone(), name, Some(value));
        let entry = |entry: Value| with(usual.clone(), "kills", Some(json!([entry])));
        let sign = |signer: &Signer, text: &str| signer.sign(text).unwrap();
        let good = sign(&self.signer, &usual.to_string());
        let tampered = {
            let (head, signature) = good.rsplit_once('.').unwrap();
            let flipped = if signature.starts_with('A') { "B" } else { "A" };
            format!("{head}.{flipped}{}", &signature[1..])
        };
        let kid = self.signer.key().key_id();
        // Another header over the same claims, and no signature that fits.
        let under = |header: Value, signature: &str| {
            let header = URL_SAFE_NO_PAD.encode(header.to_string());
            let claims = good.split('.').nth(1).unwrap();
            format!("{header}.{claims}.{signature}")
        };
        let signature = good.rsplit_once('.').unwrap().1;
        let twice = usual.to_string().replacen("\"min_revision\":0", "\"min_revision\":0,\"min_revision\":0", 1);
        assert_ne!(twice, usual.to_string());
        let ours = |claims: &Value| sign(&self.signer, &claims.to_string());
        [
            ("no document", String::new(), "TOKEN_MALFORMED"),
            ("no JWT", "x.y".to_owned(), "TOKEN_MALFORMED"),
            ("`alg` none", under(json!({ "alg": "none", "typ": TYPE }), ""), "ALGORITHM_UNSUPPORTED"),
            ("`alg` HS256", under(json!({ "alg": "HS256", "typ": TYPE, "kid": kid }), signature), "ALGORITHM_UNSUPPORTED"),
            (
                "`alg` that its key is not for",
                under(json!({ "alg": "ES256", "typ": TYPE, "kid": kid }), signature),
                "ALGORITHM_UNSUPPORTED",
            ),
            (
                "a header member that must be understood",
                under(json!({ "alg": "EdDSA", "typ": TYPE, "kid": kid, "crit": ["exp"], "exp": 1 }), signature),
                "TOKEN_MALFORMED",
            ),
            ("no signature", under(json!({ "alg": "EdDSA", "typ": TYPE, "kid": kid }), ""), "SIGNATURE_INVALID"),
            ("a key that the issuer never published", sign(&self.stranger, &usual.to_string()), "KEY_UNKNOWN"),
            ("another signature", tampered, "SIGNATURE_INVALID"),
            ("an access token", sign(&self.access_token, &usual.to_string()), "TYPE_INVALID"),
            ("an ID token", sign(&self.id_token, &usual.to_string()), "TYPE_INVALID"),
            ("another issuer", ours(&replaced("iss", json!("https://evil.example.com"))), "ISSUER_MISMATCH"),
            ("another environment's", ours(&replaced("iss", json!(format!("{ISSUER}/env/staging")))), "ISSUER_MISMATCH"),
            ("expired a minute ago", ours(&replaced("exp", json!(NOW - 60))), "TOKEN_EXPIRED"),
            ("of a time to come", ours(&replaced("iat", json!(NOW + 61))), "TOKEN_NOT_YET_VALID"),
            ("no `iss`", ours(&without("iss")), "CLAIM_MISSING"),
            ("no `iat`", ours(&without("iat")), "CLAIM_MISSING"),
            ("no `exp`", ours(&without("exp")), "CLAIM_MISSING"),
            ("no `revision`", ours(&without("revision")), "CLAIM_MISSING"),
            ("no `min_revision`", ours(&without("min_revision")), "CLAIM_MISSING"),
            ("no `kills`", ours(&without("kills")), "CLAIM_MISSING"),
            (
                "a kill without a revision",
                ours(&entry(json!({ "key": "f", "type": "boolean", "value": false }))),
                "CLAIM_MISSING",
            ),
            ("a revision below zero", ours(&replaced("revision", json!(-1))), "TOKEN_MALFORMED"),
            ("a revision in words", ours(&replaced("min_revision", json!("45"))), "TOKEN_MALFORMED"),
            ("a time in words", ours(&replaced("exp", json!("soon"))), "TOKEN_MALFORMED"),
            ("a time beyond the year 9999", ours(&replaced("exp", json!(253_402_300_800_i64))), "TOKEN_MALFORMED"),
            ("kills that are no list", ours(&replaced("kills", json!({}))), "TOKEN_MALFORMED"),
            (
                "a value of another type",
                ours(&entry(json!({ "key": "f", "type": "boolean", "value": 0, "revision": 50 }))),
                "TOKEN_MALFORMED",
            ),
            (
                "a key that is none",
                ours(&entry(json!({ "key": "1st", "type": "boolean", "value": false, "revision": 50 }))),
                "TOKEN_MALFORMED",
            ),
            ("a claim that stands twice", sign(&self.signer, &twice), "TOKEN_MALFORMED"),
        ]
        .into_iter()
        .map(|(name, watermark, error)| {
            json!({
                "name": name,
                "watermarks": [{ "at": NOW, "watermark": watermark, "error": error }],
                "token": { "feature_flags": { "f": { "t": "b", "v": true } }, "flags_rev": 41 },
                "reads": [read("f", "boolean", json!(false), json!(true), "CACHED")],
                "state": { "at": NOW, "is": "disconnected" },
            })
        })
        .collect()
    }

    /// Which of two is kept.
    fn orders(&self) -> Vec<Value> {
        let killed = |revision, at| claims(revision, at, &[("f", "boolean", json!(false), 50)]);
        let revived = |revision, at| claims(revision, at, &[]);
        let token = json!({ "feature_flags": { "f": { "t": "b", "v": true } }, "flags_rev": 41 });
        let case = |name: &str, first: (i64, Value), second: (i64, Value), kept_first: bool, killed: bool| {
            let [first, mut second] = [first, second].map(|(at, claims)| self.told(at, &claims));
            if kept_first {
                second["error"] = "WATERMARK_OLDER".into();
            }
            let read = match killed {
                true => read("f", "boolean", json!(true), json!(false), "DISABLED"),
                false => read("f", "boolean", json!(false), json!(true), "CACHED"),
            };
            json!({ "name": name, "watermarks": [first, second], "token": token, "reads": [read] })
        };
        vec![
            case("a newer revision", (NOW, killed(60, NOW)), (NOW, revived(61, NOW)), false, false),
            case(
                "a newer revision that was signed before",
                (NOW, revived(59, NOW)),
                (NOW, killed(60, NOW - 60)),
                false,
                true,
            ),
            case("an older revision, replayed", (NOW, killed(60, NOW)), (NOW + 5, revived(59, NOW)), true, true),
            case("an older revision, signed later", (NOW, killed(60, NOW - 60)), (NOW + 5, revived(59, NOW)), true, true),
            case("the same again", (NOW, killed(60, NOW)), (NOW + 5, killed(60, NOW)), false, true),
            case("the same revision, signed before", (NOW, killed(60, NOW)), (NOW + 5, killed(60, NOW - 60)), true, true),
            case("the same revision, signed anew", (NOW, killed(60, NOW - 60)), (NOW + 5, killed(60, NOW)), false, true),
            case(
                "an older revision, signed before the one held had expired",
                (NOW, killed(60, NOW)),
                (NOW + 301, revived(59, NOW + 300)),
                true,
                true,
            ),
            case(
                "a restored server begins again, once the one held has expired",
                (NOW, killed(60, NOW)),
                (NOW + 301, revived(59, NOW + 301)),
                false,
                false,
            ),
        ]
    }

    fn states(&self) -> Vec<Value> {
        let usual = claims(60, NOW, &[]);
        let minimum = with(usual.clone(), "min_revision", Some(json!(45)));
        let case = |name: &str, watermarks: Value, revision: i64, at: i64, is: &str| {
            json!({
                "name": name, "watermarks": watermarks,
                "token": { "feature_flags": {}, "flags_rev": revision }, "reads": [], "state": { "at": at, "is": is },
            })
        };
        vec![
            case("nothing was heard yet", json!([]), 60, NOW, "disconnected"),
            case("heard just now", json!([self.told(NOW, &usual)]), 60, NOW, "fresh"),
            case("heard 29 seconds ago", json!([self.told(NOW, &usual)]), 60, NOW + 29, "fresh"),
            case("heard 30 seconds ago", json!([self.told(NOW, &usual)]), 60, NOW + 30, "disconnected"),
            case("below the minimum", json!([self.told(NOW, &minimum)]), 44, NOW, "stale"),
            case("below the minimum, as was heard an hour ago", json!([self.told(NOW, &minimum)]), 44, NOW + 3600, "stale"),
            case("at the minimum", json!([self.told(NOW, &minimum)]), 45, NOW, "fresh"),
            case(
                "heard just now, but about to expire",
                json!([self.told(NOW + 350, &usual)]),
                60,
                NOW + 360,
                "disconnected",
            ),
        ]
    }
}
