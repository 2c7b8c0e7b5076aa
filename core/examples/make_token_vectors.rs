//! Writes `tests/vectors/tokens.json` again: `cargo run --example make_token_vectors`.
//! The keys are those already in the file (made once, when there is none), so only ECDSA signatures differ from run to run.
//! What is expected of each token is written here by hand, never taken from the verifier.

#![allow(clippy::disallowed_methods, reason = "it writes a file; the crate itself has none")]

use std::collections::BTreeMap;
use std::fs;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flagbearer::token::{Algorithm, KeySet, SigningKey};
use serde_json::{Value, json};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/tokens.json");
const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://flags.example.com";
const FLAGS: &str = r#"{"ai_token_limit":{"t":"i","v":5000},"model_config":{"t":"j","v":{"model":"gpt-4o"}},"new_ai_model":{"t":"b","v":true},"prompt_variant":{"t":"s","v":"concise"}}"#;

fn main() {
    let keys = Keys::load();
    let mut cases = Cases { keys: &keys, list: Vec::new() };
    accepted(&mut cases);
    structure(&mut cases);
    header(&mut cases);
    claim_kinds(&mut cases);
    algorithms(&mut cases);
    keys_and_signatures(&mut cases);
    decisions(&mut cases);
    flags(&mut cases);
    vendors(&mut cases);
    precedence(&mut cases);
    let document = json!({
        "now": NOW,
        "verifiers": {
            "flagbearer": {"issuer": ISSUER, "audience": "api"},
            "strict": {"issuer": ISSUER, "audience": "api", "leeway": 0},
            "patient": {"issuer": ISSUER, "audience": "api", "leeway": 60},
            "kinde": {"issuer": ISSUER, "client_id": "app_1", "profile": "kinde"},
            "workos": {"issuer": ISSUER, "client_id": "app_1", "profile": "workos"},
        },
        "jwks": serde_json::from_str::<Value>(&keys.public().to_json()).unwrap(),
        "private_keys": keys.documents(),
        "cases": cases.list,
    });
    fs::write(PATH, serde_json::to_string_pretty(&document).unwrap() + "\n").unwrap();
}

/// One published key for each algorithm, by its name, and one Ed25519 key that is not published.
struct Keys(BTreeMap<String, SigningKey>);

impl Keys {
    fn load() -> Self {
        let before: Value =
            fs::read_to_string(PATH).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let names = [("EdDSA", "EdDSA"), ("ES256", "ES256"), ("RS256", "RS256"), ("stranger", "EdDSA")];
        let key = |(name, algorithm): (&str, &str)| {
            let algorithm = Algorithm::parse(algorithm).unwrap();
            let key = match before["private_keys"][name].as_str() {
                Some(pkcs8) => SigningKey::from_pkcs8(algorithm, &STANDARD.decode(pkcs8).unwrap()).unwrap(),
                None => SigningKey::generate(algorithm).unwrap(),
            };
            (name.to_owned(), key)
        };
        Self(names.into_iter().map(key).collect())
    }

    fn public(&self) -> KeySet {
        self.0.iter().filter(|(name, _)| *name != "stranger").map(|(_, key)| key.public_key().unwrap()).collect()
    }

    fn documents(&self) -> BTreeMap<&str, String> {
        self.0.iter().map(|(name, key)| (name.as_str(), STANDARD.encode(key.to_pkcs8().unwrap()))).collect()
    }

    fn kid(&self, name: &str) -> &str {
        self.0[name].key_id()
    }

    fn header(&self, name: &str) -> String {
        let algorithm = self.0[name].algorithm();
        format!(r#"{{"typ":"at+jwt","alg":"{algorithm}","kid":"{}"}}"#, self.kid(name))
    }

    fn sign(&self, name: &str, header: &[u8], payload: &[u8]) -> String {
        let input = encode(header) + "." + &encode(payload);
        let signature = self.signature(name, input.as_bytes());
        input + "." + &encode(&signature)
    }

    fn signature(&self, name: &str, message: &[u8]) -> Vec<u8> {
        let key = &self.0[name];
        let pkcs8 = key.to_pkcs8().unwrap();
        match key.algorithm() {
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap().sign(message).as_ref().to_vec(),
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap();
                pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Algorithm::Rs256 => self.rsa(message, &RSA_PKCS1_SHA256),
        }
    }

    fn rsa(&self, message: &[u8], encoding: &'static dyn RsaEncoding) -> Vec<u8> {
        let pair = RsaKeyPair::from_pkcs8(&self.0["RS256"].to_pkcs8().unwrap()).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Cases<'k> {
    keys: &'k Keys,
    list: Vec<Value>,
}

impl Cases<'_> {
    fn refuse(&mut self, name: &str, verifier: &str, code: &str, token: String) {
        self.list.push(json!({"name": name, "verifier": verifier, "token": token, "expect": {"error": code}}));
    }

    /// Accepts the token; its claims and flags are those of the payload.
    fn accept(&mut self, name: &str, verifier: &str, token: String) {
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        self.list.push(json!({"name": name, "verifier": verifier, "token": token, "expect": {"claims": claims}}));
    }

    /// The usual token, its claims changed.
    fn token(&self, changes: &[(&str, &str)]) -> String {
        self.keys.sign("EdDSA", self.keys.header("EdDSA").as_bytes(), claims(changes).as_bytes())
    }

    /// The usual claims under another header, signed by the Ed25519 key all the same.
    fn under(&self, header: &str) -> String {
        self.keys.sign("EdDSA", header.as_bytes(), claims(&[]).as_bytes())
    }

    fn vendor(&self, changes: &[(&str, &str)]) -> String {
        let header = self.keys.header("RS256").replace("at+jwt", "JWT");
        self.keys.sign("RS256", header.as_bytes(), claims(changes).as_bytes())
    }
}

/// The usual claims as JSON text; an empty change takes a claim away.
fn claims(changes: &[(&str, &str)]) -> String {
    let issuer = format!("\"{ISSUER}\"");
    let (iat, exp) = (NOW.to_string(), (NOW + 300).to_string());
    let mut claims = vec![
        ("iss", issuer.as_str()),
        ("sub", "\"user_1\""),
        ("aud", "\"api\""),
        ("client_id", "\"app_1\""),
        ("iat", &iat),
        ("exp", &exp),
        ("jti", "\"token_1\""),
        ("sid", "\"session_1\""),
        ("org_id", "\"org_1\""),
        ("flags_rev", "41"),
        ("feature_flags", FLAGS),
    ];
    for (name, value) in changes {
        match claims.iter_mut().find(|(known, _)| known == name) {
            Some(claim) => claim.1 = value,
            None => claims.push((name, value)),
        }
    }
    let members: Vec<String> =
        claims.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn accepted(cases: &mut Cases<'_>) {
    for algorithm in ["EdDSA", "ES256", "RS256"] {
        let token = cases.keys.sign(algorithm, cases.keys.header(algorithm).as_bytes(), claims(&[]).as_bytes());
        cases.accept(&format!("a token signed with {algorithm}"), "flagbearer", token);
    }
    let usual = cases.keys.header("EdDSA");
    for (name, from, to) in [
        ("Ed25519, the newer name of EdDSA", "\"EdDSA\"", "\"Ed25519\""),
        ("a type in capitals", "at+jwt", "AT+JWT"),
        ("a type with its media type's prefix", "at+jwt", "application/at+jwt"),
        ("a type with its media type's prefix in capitals", "at+jwt", "Application/AT+jwt"),
        (
            "a header that offers another key",
            "{",
            "{\"jku\":\"https://evil.example.com/keys\",\"x5u\":\"https://evil.example.com/\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"},\"x5c\":[\"AAAA\"],",
        ),
        ("a header with a member nobody knows", "{", "{\"extra\":[1,{\"a\":2}],"),
        ("a header with spaces", ",", " ,\n "),
    ] {
        let token = cases.under(&usual.replace(from, to));
        cases.accept(name, "flagbearer", token);
    }
    for (name, changes) in [
        ("an audience among several", vec![("aud", r#"["other","api"]"#)]),
        ("no flags", vec![("feature_flags", "")]),
        ("an empty object of flags", vec![("feature_flags", "{}")]),
        ("an empty array of flags", vec![("feature_flags", "[]")]),
        ("flags as an array of keys", vec![("feature_flags", r#"["new_ai_model","beta"]"#)]),
        ("no organization", vec![("org_id", "")]),
        ("no revision", vec![("flags_rev", "")]),
        ("claims nobody knows", vec![("custom", r#"{"a":[1,null,{"b":"c"}]}"#), ("act", r#"{"sub":"x"}"#)]),
        ("escapes in a name and a value", vec![("sub", r#""us\u0065r_1""#), ("\\u0061zp", "\"x\"")]),
        ("an expiry with a fraction", vec![("exp", "1800000000.5")]),
        ("an expiry with an exponent", vec![("exp", "1.8000003e9")]),
        ("an expiry that has just passed, within the leeway", vec![("exp", "1799999996")]),
        ("a start that is about to come, within the leeway", vec![("nbf", "1800000005")]),
        ("issued a minute from now, as clocks may differ", vec![("iat", "1800000060")]),
        ("a machine's token, without session and organization", vec![("sid", ""), ("org_id", ""), ("sub", "\"app_1\"")]),
    ] {
        let token = cases.token(&changes);
        cases.accept(name, "flagbearer", token);
    }
    let token = cases.token(&[("exp", "1799999941")]);
    cases.accept("an expiry within a leeway of a minute", "patient", token);
    let token = cases.token(&[("exp", "1800000001")]);
    cases.accept("a second to go without leeway", "strict", token);
}

fn structure(cases: &mut Cases<'_>) {
    let token = cases.token(&[]);
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    // A part whose length leaves two or four bits over, with a bit set among them that belongs to nothing.
    let stray = |part: &str| {
        let last = part.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        format!("{}{next}", &part[..part.len() - 1])
    };
    let padded = |text: String| {
        let mut text = text;
        while text.len().is_multiple_of(3) {
            text.push(' ');
        }
        text
    };
    let odd_header = encode(padded(cases.keys.header("EdDSA")).as_bytes());
    let odd_payload = encode(padded(claims(&[])).as_bytes());
    let bytes = |header: &[u8], payload: &[u8]| cases.keys.sign("EdDSA", header, payload);
    let usual = cases.keys.header("EdDSA");
    let bom = |text: &str| ["\u{feff}".as_bytes(), text.as_bytes()].concat();
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let list = vec![
        ("no token", String::new()),
        ("a word", "garbage".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{token}.{signature}")),
        ("five parts, as in an encrypted token", format!("{token}.{payload}.{signature}")),
        ("two dots alone", "..".to_owned()),
        ("an empty header", format!(".{payload}.{signature}")),
        ("an empty payload", format!("{header}..{signature}")),
        (
            "the JSON form of a signature",
            json!({"payload": payload, "protected": header, "signature": signature}).to_string(),
        ),
        (
            "the JSON form of several signatures",
            json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]}).to_string(),
        ),
        ("a space before", format!(" {token}")),
        ("a line break behind", format!("{token}\n")),
        ("the word Bearer before", format!("Bearer {token}")),
        ("a part with padding", format!("{header}.{payload}.{signature}==")),
        ("a part in the other alphabet", format!("{header}.{payload}.+/{}", &signature[2..])),
        ("a part with a space", format!("{header}.{payload}. {}", &signature[1..])),
        ("a stray bit in the header", format!("{}.{payload}.{signature}", stray(&odd_header))),
        ("a stray bit in the payload", format!("{header}.{}.{signature}", stray(&odd_payload))),
        ("a stray bit in the signature", format!("{header}.{payload}.{}", stray(signature))),
        ("a letter that is not ASCII", format!("{header}.{payload}é.{signature}")),
        ("a header that is not JSON", bytes(b"alg", claims(&[]).as_bytes())),
        ("a header that is an array", bytes(b"[]", claims(&[]).as_bytes())),
        ("a header with something behind it", bytes(format!("{usual}x").as_bytes(), claims(&[]).as_bytes())),
        ("a header that is not UTF-8", bytes(b"{\"alg\":\"EdDSA\xff\"}", claims(&[]).as_bytes())),
        ("a header with a byte order mark", bytes(&bom(&usual), claims(&[]).as_bytes())),
        ("a header in UTF-16", bytes(&utf16(&usual), claims(&[]).as_bytes())),
        ("claims that are not JSON", bytes(usual.as_bytes(), b"claims")),
        ("claims that are an array", bytes(usual.as_bytes(), b"[]")),
        ("claims that are null", bytes(usual.as_bytes(), b"null")),
        ("claims with something behind them", bytes(usual.as_bytes(), format!("{}{{}}", claims(&[])).as_bytes())),
        (
            "claims that are not UTF-8",
            bytes(
                usual.as_bytes(),
                claims(&[])
                    .replace("user_1", "user_\u{1}")
                    .replace('\u{1}', "ÿ")
                    .into_bytes()
                    .iter()
                    .map(|b| if *b == 0xc3 { 0xff } else { *b })
                    .collect::<Vec<_>>()
                    .as_slice(),
            ),
        ),
        ("claims with a byte order mark", bytes(usual.as_bytes(), &bom(&claims(&[])))),
        ("claims in UTF-16", bytes(usual.as_bytes(), &utf16(&claims(&[])))),
        (
            "claims that are compressed, as in an encrypted token",
            bytes(usual.replace('{', r#"{"zip":"DEF","#).as_bytes(), &deflated(&claims(&[]))),
        ),
        (
            "claims nested without end",
            bytes(usual.as_bytes(), claims(&[("deep", &("[".repeat(200) + &"]".repeat(200)))]).as_bytes()),
        ),
        ("a claim with half of a surrogate pair", bytes(usual.as_bytes(), claims(&[("sub", r#""\ud800""#)]).as_bytes())),
    ];
    for (name, token) in list {
        cases.refuse(name, "flagbearer", "TOKEN_MALFORMED", token);
    }
}

/// A DEFLATE stream (RFC 1951 §3.2.4) of one block that is stored as it is.
fn deflated(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    [&[1], length.to_le_bytes().as_slice(), &(!length).to_le_bytes(), text.as_bytes()].concat()
}

fn header(cases: &mut Cases<'_>) {
    let usual = cases.keys.header("EdDSA");
    let kid = cases.keys.kid("EdDSA").to_owned();
    for (name, header) in [
        ("no alg", format!(r#"{{"typ":"at+jwt","kid":"{kid}"}}"#)),
        ("an alg that is null", format!(r#"{{"typ":"at+jwt","kid":"{kid}","alg":null}}"#)),
        ("an alg that is an array", format!(r#"{{"typ":"at+jwt","kid":"{kid}","alg":["EdDSA"]}}"#)),
        ("a kid that is a number", r#"{"typ":"at+jwt","alg":"EdDSA","kid":1}"#.to_owned()),
        ("a kid of 129 bytes", format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{}"}}"#, "k".repeat(129))),
        ("a typ that is null", usual.replace("\"at+jwt\"", "null")),
        ("a header member that must be understood", usual.replace('{', r#"{"crit":["exp"],"exp":1,"#)),
        ("a header member that must be understood, though empty", usual.replace('{', r#"{"crit":[],"#)),
        ("a payload that is said not to be encoded", usual.replace('{', r#"{"crit":["b64"],"b64":false,"#)),
        ("a header with two algorithms", usual.replace('{', r#"{"alg":"none","#)),
        ("a header with two kids", usual.replace('{', r#"{"kid":"x","#)),
        ("a header that says something unknown twice", usual.replace('{', r#"{"x":1,"x":1,"#)),
        ("a header that says one name in two spellings", usual.replace('{', r#"{"\u0061lg":"EdDSA","#)),
    ] {
        let token = cases.under(&header);
        cases.refuse(name, "flagbearer", "TOKEN_MALFORMED", token);
    }
    for (name, typ) in [
        ("no type", ""),
        ("the type of an ID token", r#""typ":"JWT","#),
        ("a type with something behind it", r#""typ":"at+jwt;v=1","#),
        ("the type of another document of this issuer", r#""typ":"flagbearer-watermark+jwt","#),
        ("a type with another prefix", r#""typ":"text/at+jwt","#),
        ("an empty type", r#""typ":"","#),
    ] {
        let token = cases.under(&usual.replace(r#""typ":"at+jwt","#, typ));
        cases.refuse(name, "flagbearer", "TYPE_INVALID", token);
    }
}

fn claim_kinds(cases: &mut Cases<'_>) {
    for claim in ["exp", "nbf", "iat"] {
        for value in [
            "\"1800000300\"",
            "null",
            "true",
            "false",
            "[1800000300]",
            "{}",
            "-1",
            "-0.5",
            "9007199254740992",
            "1e400",
            "\"\"",
        ] {
            let token = cases.token(&[(claim, value)]);
            cases.refuse(&format!("{claim} is {value}"), "flagbearer", "TOKEN_MALFORMED", token);
        }
    }
    for claim in ["iss", "sub", "client_id", "jti", "org_id", "azp"] {
        for value in ["1", "null", "[\"x\"]"] {
            let token = cases.token(&[(claim, value)]);
            cases.refuse(&format!("{claim} is {value}"), "flagbearer", "TOKEN_MALFORMED", token);
        }
    }
    for value in ["1", "null", "{}", "[1]", "[\"api\",null]"] {
        let token = cases.token(&[("aud", value)]);
        cases.refuse(&format!("aud is {value}"), "flagbearer", "TOKEN_MALFORMED", token);
    }
    for value in ["\"41\"", "1.5", "-1", "9007199254740992", "null"] {
        let token = cases.token(&[("flags_rev", value)]);
        cases.refuse(&format!("flags_rev is {value}"), "flagbearer", "TOKEN_MALFORMED", token);
    }
    let header = cases.keys.header("EdDSA");
    for (name, from, to) in [
        ("claims that say exp twice", "{", r#"{"exp":9999999999,"#),
        ("claims that say exp twice in two spellings", "{", r#"{"\u0065xp":9999999999,"#),
        ("claims that say something unknown twice", "{", r#"{"x":1,"x":1,"#),
        ("claims with flags twice", "{", r#"{"feature_flags":{},"#),
        ("one flag twice", r#"{"ai"#, r#"{"new_ai_model":{"t":"b","v":false},"ai"#),
        ("one flag with two values", r#""v":true"#, r#""v":false,"v":true"#),
        ("a JSON flag that says something twice", r#"{"model":"gpt-4o"}"#, r#"{"model":"a","model":"b"}"#),
        ("a claim nobody knows that says something twice, deep inside", "{", r#"{"x":[{"a":1,"a":1}],"#),
    ] {
        let payload = claims(&[]).replacen(from, to, 1);
        let token = cases.keys.sign("EdDSA", header.as_bytes(), payload.as_bytes());
        cases.refuse(name, "flagbearer", "TOKEN_MALFORMED", token);
    }
}

fn algorithms(cases: &mut Cases<'_>) {
    let code = "ALGORITHM_UNSUPPORTED";
    let kid = cases.keys.kid("EdDSA").to_owned();
    let named = |alg: &str, kid: &str| encode(format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{kid}"}}"#).as_bytes());
    let payload = encode(claims(&[]).as_bytes());
    for alg in ["none", "None", "NONE", "nOnE"] {
        cases.refuse(
            &format!("alg {alg}, without a signature"),
            "flagbearer",
            code,
            format!("{}.{payload}.", named(alg, &kid)),
        );
    }
    let unsigned = format!("{}.{payload}", named("none", &kid));
    let signature = encode(&cases.keys.signature("EdDSA", unsigned.as_bytes()));
    cases.refuse("alg none, with a signature", "flagbearer", code, format!("{unsigned}.{signature}"));
    for alg in ["", "eddsa", "ed25519", "Ed448", "ES384", "RS512", "HS512", "EdDSA "] {
        let input = format!("{}.{payload}", named(alg, &kid));
        let signature = encode(&cases.keys.signature("EdDSA", input.as_bytes()));
        cases.refuse(&format!("alg `{alg}`"), "flagbearer", code, format!("{input}.{signature}"));
    }
    // The classic: the public key, which everybody has, taken for a shared secret.
    let rsa = RsaKeyPair::from_pkcs8(&cases.keys.0["RS256"].to_pkcs8().unwrap()).unwrap();
    let ed25519 = Ed25519KeyPair::from_pkcs8(&cases.keys.0["EdDSA"].to_pkcs8().unwrap()).unwrap();
    for (name, key, secret) in [
        ("HS256 with the public RSA key", "RS256", rsa.public_key().as_ref()),
        ("HS256 with the public Ed25519 key", "EdDSA", ed25519.public_key().as_ref()),
    ] {
        let input = format!("{}.{payload}", named("HS256", cases.keys.kid(key)));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
        cases.refuse(name, "flagbearer", code, format!("{input}.{}", encode(tag.as_ref())));
    }
    let input = format!("{}.{payload}", named("PS256", cases.keys.kid("RS256")));
    let signature = encode(&cases.keys.rsa(input.as_bytes(), &RSA_PSS_SHA256));
    cases.refuse("PS256 with a key for RS256", "flagbearer", code, format!("{input}.{signature}"));
    for (alg, key) in [("RS256", "EdDSA"), ("ES256", "EdDSA"), ("EdDSA", "ES256"), ("EdDSA", "RS256"), ("RS256", "ES256")] {
        let input = format!("{}.{payload}", named(alg, cases.keys.kid(key)));
        let signature = encode(&cases.keys.signature(key, input.as_bytes()));
        cases.refuse(&format!("alg {alg} with a key for {key}"), "flagbearer", code, format!("{input}.{signature}"));
    }
}

fn keys_and_signatures(cases: &mut Cases<'_>) {
    let kid = cases.keys.kid("EdDSA").to_owned();
    let long = "k".repeat(128);
    let usual = cases.keys.header("EdDSA");
    for (name, header) in [
        ("no kid", usual.replace(&format!(r#","kid":"{kid}""#), "")),
        ("an empty kid", usual.replace(&kid, "")),
        ("an unknown kid", usual.replace(&kid, "unknown")),
        ("a kid of 128 bytes", usual.replace(&kid, &long)),
        ("a kid that is a path", usual.replace(&kid, "../../../../dev/null")),
        ("a kid that is a piece of SQL", usual.replace(&kid, "' OR '1'='1")),
        ("a kid that is an address", usual.replace(&kid, "https://evil.example.com/keys")),
        ("a kid with a NUL", usual.replace(&kid, "a\\u0000b")),
        ("a kid that JavaScript knows", usual.replace(&kid, "__proto__")),
        ("a kid that every object of JavaScript has", usual.replace(&kid, "constructor")),
        ("a kid in capitals", usual.replace(&kid, &kid.to_uppercase())),
    ] {
        let token = cases.under(&header);
        cases.refuse(name, "flagbearer", "KEY_UNKNOWN", token);
    }
    let stranger = cases.keys.sign("stranger", cases.keys.header("stranger").as_bytes(), claims(&[]).as_bytes());
    cases.refuse("another issuer's key", "flagbearer", "KEY_UNKNOWN", stranger);

    let token = cases.token(&[]);
    let parts: Vec<&str> = token.split('.').collect();
    let flipped = |part: &str, at: usize| {
        let mut bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        bytes[at] ^= 1;
        encode(&bytes)
    };
    let es256 = cases.keys.sign("ES256", cases.keys.header("ES256").as_bytes(), claims(&[]).as_bytes());
    let (es256_input, es256_signature) = es256.rsplit_once('.').unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &cases.keys.0["ES256"].to_pkcs8().unwrap()).unwrap();
    let der = pair.sign(&SystemRandom::new(), es256_input.as_bytes()).unwrap();
    let es256_bytes = URL_SAFE_NO_PAD.decode(es256_signature).unwrap();
    let rs256 = cases.keys.sign("RS256", cases.keys.header("RS256").as_bytes(), claims(&[]).as_bytes());
    let (rs256_input, rs256_signature) = rs256.rsplit_once('.').unwrap();
    let rs256_bytes = URL_SAFE_NO_PAD.decode(rs256_signature).unwrap();
    let list = vec![
        ("a changed claim", format!("{}.{}.{}", parts[0], encode(claims(&[("sub", "\"user_2\"")]).as_bytes()), parts[2])),
        ("a changed header", format!("{}.{}.{}", encode(usual.replace("at+jwt", "AT+JWT").as_bytes()), parts[1], parts[2])),
        ("a changed bit at the start of the signature", format!("{}.{}.{}", parts[0], parts[1], flipped(parts[2], 0))),
        ("a changed bit at the end of the signature", format!("{}.{}.{}", parts[0], parts[1], flipped(parts[2], 63))),
        ("an empty signature", format!("{}.{}.", parts[0], parts[1])),
        ("a signature cut short", format!("{}.{}.{}", parts[0], parts[1], &parts[2][..84])),
        ("a signature with a byte too many", format!("{}.{}.{}", parts[0], parts[1], encode(&[0; 65]))),
        ("a signature of zeros", format!("{}.{}.{}", parts[0], parts[1], encode(&[0; 64]))),
        (
            "a signature by another key under a known kid",
            cases.keys.sign("stranger", usual.as_bytes(), claims(&[]).as_bytes()),
        ),
        ("a signature by a key that came with the token", {
            let jwk = cases.keys.0["stranger"].public_key().unwrap().jwk();
            cases.keys.sign("stranger", usual.replace('{', &format!("{{\"jwk\":{jwk},")).as_bytes(), claims(&[]).as_bytes())
        }),
        ("a signature with the order of the curve added", {
            let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
            format!("{}.{}.{}", parts[0], parts[1], encode(&with_order_added(&signature)))
        }),
        ("an ES256 signature in DER", format!("{es256_input}.{}", encode(der.as_ref()))),
        ("an ES256 signature without its last byte", format!("{es256_input}.{}", encode(&es256_bytes[..63]))),
        ("an ES256 signature with a byte behind", format!("{es256_input}.{}", encode(&[&es256_bytes[..], &[0]].concat()))),
        (
            "an ES256 signature whose numbers are a byte too wide",
            format!("{es256_input}.{}", encode(&[&[0], &es256_bytes[..32], &[0], &es256_bytes[32..]].concat())),
        ),
        ("an ES256 signature of zeros", format!("{es256_input}.{}", encode(&[0; 64]))),
        ("a changed ES256 signature", format!("{es256_input}.{}", flipped(es256_signature, 40))),
        ("a changed RS256 signature", format!("{rs256_input}.{}", flipped(rs256_signature, 40))),
        ("an RS256 signature of zeros", format!("{rs256_input}.{}", encode(&[0; 256]))),
        ("an RS256 signature with a zero before", format!("{rs256_input}.{}", encode(&[&[0], &rs256_bytes[..]].concat()))),
        ("an RS256 signature without its last byte", format!("{rs256_input}.{}", encode(&rs256_bytes[..255]))),
    ];
    for (name, token) in list {
        cases.refuse(name, "flagbearer", "SIGNATURE_INVALID", token);
    }
}

/// The same Ed25519 signature in a second spelling, which only a lenient verifier accepts (RFC 8032 §5.1.7).
fn with_order_added(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut second = signature.to_vec();
    let mut carry = 0;
    for (byte, order) in second[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    second
}

fn decisions(cases: &mut Cases<'_>) {
    for claim in ["iss", "sub", "aud", "client_id", "exp", "iat", "jti"] {
        let token = cases.token(&[(claim, "")]);
        cases.refuse(&format!("no {claim}"), "flagbearer", "CLAIM_MISSING", token);
    }
    for (name, code, changes) in [
        ("an empty sub", "CLAIM_MISSING", [("sub", "\"\"")]),
        ("another issuer", "ISSUER_MISMATCH", [("iss", "\"https://evil.example.com\"")]),
        ("an issuer with a slash behind it", "ISSUER_MISMATCH", [("iss", "\"https://flags.example.com/\"")]),
        ("an issuer in capitals", "ISSUER_MISMATCH", [("iss", "\"https://FLAGS.example.com\"")]),
        (
            "another environment of the same server",
            "ISSUER_MISMATCH",
            [("iss", "\"https://flags.example.com/env/staging\"")],
        ),
        ("another audience", "AUDIENCE_MISMATCH", [("aud", "\"other\"")]),
        ("an audience that starts like ours", "AUDIENCE_MISMATCH", [("aud", "\"api2\"")]),
        ("several audiences, none of them ours", "AUDIENCE_MISMATCH", [("aud", "[\"a\",\"ap\"]")]),
        ("no audience in the list", "AUDIENCE_MISMATCH", [("aud", "[]")]),
        ("expired", "TOKEN_EXPIRED", [("exp", "1799999000")]),
        ("expired at the last second of the leeway", "TOKEN_EXPIRED", [("exp", "1799999995")]),
        ("expired half a second after the leeway", "TOKEN_EXPIRED", [("exp", "1799999994.5")]),
        ("expired in 1970", "TOKEN_EXPIRED", [("exp", "0")]),
        ("not yet valid", "TOKEN_NOT_YET_VALID", [("nbf", "1800000100")]),
        ("not yet valid, a second beyond the leeway", "TOKEN_NOT_YET_VALID", [("nbf", "1800000006")]),
        ("issued more than a minute from now", "TOKEN_NOT_YET_VALID", [("iat", "1800000061")]),
    ] {
        let token = cases.token(&changes);
        cases.refuse(name, "flagbearer", code, token);
    }
    let token = cases.token(&[("exp", "1800000000")]);
    cases.refuse("expired this second, without leeway", "strict", "TOKEN_EXPIRED", token);
    let token = cases.token(&[("exp", "1799999940")]);
    cases.refuse("expired a minute ago, with a leeway of a minute", "patient", "TOKEN_EXPIRED", token);
}

fn flags(cases: &mut Cases<'_>) {
    for value in
        ["null", "true", "5", "1.5", "\"beta\"", "[1]", "[\"beta\",2]", "[\"beta\",[\"x\"]]", "[{\"key\":\"beta\"}]"]
    {
        let token = cases.token(&[("feature_flags", value)]);
        cases.refuse(&format!("feature_flags is {value}"), "flagbearer", "FLAGS_MALFORMED", token);
    }
}

fn vendors(cases: &mut Cases<'_>) {
    let kinde = [("client_id", ""), ("org_id", ""), ("aud", "[]"), ("azp", "\"app_1\""), ("org_code", "\"org_1\"")];
    let with = |changes: &[(&'static str, &'static str)]| [kinde.as_slice(), changes].concat();
    let workos = [("aud", ""), ("auth_time", "1799999000"), ("feature_flags", "[\"beta\"]")];
    let token = cases.vendor(&kinde);
    cases.accept("a token of profile kinde", "kinde", token);
    let token = cases.vendor(&with(&[("aud", r#"["https://api.example.com"]"#)]));
    cases.accept("a token of profile kinde with an audience", "kinde", token);
    let token = cases.vendor(&workos);
    cases.accept("a token of profile workos", "workos", token);
    let header = cases.keys.header("RS256").replace(r#""typ":"at+jwt","#, "");
    let token = cases.keys.sign("RS256", header.as_bytes(), claims(&workos).as_bytes());
    cases.accept("a token of profile workos without a type", "workos", token);

    let token = cases.keys.sign("RS256", cases.keys.header("RS256").as_bytes(), claims(&kinde).as_bytes());
    cases.refuse("a token of profile kinde with our type", "kinde", "TYPE_INVALID", token);
    for algorithm in ["EdDSA", "ES256"] {
        let header = cases.keys.header(algorithm).replace("at+jwt", "JWT");
        let token = cases.keys.sign(algorithm, header.as_bytes(), claims(&kinde).as_bytes());
        cases.refuse(&format!("a token of profile kinde signed with {algorithm}"), "kinde", "ALGORITHM_UNSUPPORTED", token);
    }
    for (name, code, changes) in [
        ("another application's token of profile kinde", "AUDIENCE_MISMATCH", [("azp", "\"app_2\"")]),
        ("no azp in profile kinde", "CLAIM_MISSING", [("azp", "")]),
        ("no revision in profile kinde", "CLAIM_MISSING", [("flags_rev", "")]),
        (
            "a token of profile kinde addressed to the client, as ID tokens are",
            "AUDIENCE_MISMATCH",
            [("aud", "[\"app_1\"]")],
        ),
        ("an expired token of profile kinde", "TOKEN_EXPIRED", [("exp", "1799999000")]),
    ] {
        let token = cases.vendor(&with(&changes));
        cases.refuse(name, "kinde", code, token);
    }
    for (name, code, changes) in [
        ("another application's token of profile workos", "AUDIENCE_MISMATCH", [("client_id", "\"app_2\"")]),
        ("no client_id in profile workos", "CLAIM_MISSING", [("client_id", "")]),
        ("no revision in profile workos", "CLAIM_MISSING", [("flags_rev", "")]),
        ("a token of profile workos addressed to the client", "AUDIENCE_MISMATCH", [("aud", "\"app_1\"")]),
    ] {
        let token = cases.vendor(&[workos.as_slice(), &changes].concat());
        cases.refuse(name, "workos", code, token);
    }
    kinds(cases, &kinde, &workos);
}

/// Whatever an issuer signs, shown to the readers of each profile: each accepts the access tokens of its own and nothing else.
fn kinds(cases: &mut Cases<'_>, kinde: &[(&str, &str)], workos: &[(&str, &str)]) {
    let identity = [
        ("client_id", ""),
        ("org_id", ""),
        ("aud", "[\"app_1\"]"),
        ("flags_rev", ""),
        ("feature_flags", ""),
        ("email", "\"a@example.com\""),
    ];
    // OpenID Connect Back-Channel Logout 1.0 §2.4.
    let logout = [&identity[..5], &[("events", r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#)]].concat();
    let watermark = [("sub", ""), ("aud", ""), ("min_revision", "0"), ("revision", "41"), ("kills", "[]")];
    for (name, algorithm, token_type, changes, codes) in [
        (
            "an access token of profile flagbearer",
            "EdDSA",
            "at+jwt",
            &[][..],
            ["", "ALGORITHM_UNSUPPORTED", "ALGORITHM_UNSUPPORTED"],
        ),
        (
            "an access token of profile flagbearer, signed with RS256",
            "RS256",
            "at+jwt",
            &[],
            ["", "TYPE_INVALID", "TYPE_INVALID"],
        ),
        ("an access token of profile kinde", "RS256", "JWT", kinde, ["TYPE_INVALID", "", "CLAIM_MISSING"]),
        ("an access token of profile workos", "RS256", "JWT", workos, ["TYPE_INVALID", "CLAIM_MISSING", ""]),
        ("an ID token", "RS256", "JWT", &identity, ["TYPE_INVALID", "CLAIM_MISSING", "CLAIM_MISSING"]),
        (
            "an ID token signed with EdDSA",
            "EdDSA",
            "JWT",
            &identity,
            ["TYPE_INVALID", "ALGORITHM_UNSUPPORTED", "ALGORITHM_UNSUPPORTED"],
        ),
        ("a logout token", "RS256", "logout+jwt", &logout, ["TYPE_INVALID", "TYPE_INVALID", "TYPE_INVALID"]),
        ("a logout token typed as any JWT", "RS256", "JWT", &logout, ["TYPE_INVALID", "CLAIM_MISSING", "CLAIM_MISSING"]),
        (
            "a watermark",
            "EdDSA",
            "flagbearer-watermark+jwt",
            &watermark,
            ["TYPE_INVALID", "ALGORITHM_UNSUPPORTED", "ALGORITHM_UNSUPPORTED"],
        ),
        (
            "a watermark signed with RS256",
            "RS256",
            "flagbearer-watermark+jwt",
            &watermark,
            ["TYPE_INVALID", "TYPE_INVALID", "TYPE_INVALID"],
        ),
    ] {
        let header = cases.keys.header(algorithm).replace("at+jwt", token_type);
        for (verifier, code) in ["flagbearer", "kinde", "workos"].into_iter().zip(codes) {
            let token = cases.keys.sign(algorithm, header.as_bytes(), claims(changes).as_bytes());
            let name = format!("{name}, for profile {verifier}");
            if code.is_empty() { cases.accept(&name, verifier, token) } else { cases.refuse(&name, verifier, code, token) }
        }
    }
}

/// Each token has all the faults from its own on; the first is the one that is told.
fn precedence(cases: &mut Cases<'_>) {
    let faults: Vec<(&str, &str, &str)> = vec![
        ("CLAIM_MISSING", "jti", ""),
        ("ISSUER_MISMATCH", "iss", "\"https://evil.example.com\""),
        ("AUDIENCE_MISMATCH", "aud", "\"other\""),
        ("TOKEN_EXPIRED", "exp", "1799999000"),
        ("TOKEN_NOT_YET_VALID", "nbf", "1800000100"),
        ("FLAGS_MALFORMED", "feature_flags", "\"beta\""),
    ];
    let from = |at: usize| faults[at..].iter().map(|(_, claim, value)| (*claim, *value)).collect::<Vec<_>>();
    for (at, (code, _, _)) in faults.iter().enumerate() {
        let token = cases.token(&from(at));
        cases.refuse(&format!("{code} and everything after it"), "flagbearer", code, token);
    }
    let all = claims(&from(0));
    let wrong_type = cases.keys.header("EdDSA").replace("at+jwt", "JWT");
    let token = cases.keys.sign("EdDSA", wrong_type.as_bytes(), all.as_bytes());
    cases.refuse("TYPE_INVALID and everything after it", "flagbearer", "TYPE_INVALID", token);
    let token = cases.keys.sign("stranger", wrong_type.as_bytes(), all.as_bytes());
    cases.refuse("SIGNATURE_INVALID and everything after it", "flagbearer", "SIGNATURE_INVALID", token);
    let unknown = wrong_type.replace(cases.keys.kid("EdDSA"), "unknown");
    let token = cases.keys.sign("stranger", unknown.as_bytes(), all.as_bytes());
    cases.refuse("KEY_UNKNOWN and everything after it", "flagbearer", "KEY_UNKNOWN", token);
    let none = unknown.replace("EdDSA", "none");
    let token = cases.keys.sign("stranger", none.as_bytes(), all.as_bytes());
    cases.refuse("ALGORITHM_UNSUPPORTED and everything after it", "flagbearer", "ALGORITHM_UNSUPPORTED", token);
    let token =
        cases.keys.sign("stranger", none.as_bytes(), all.replace("\"exp\":1799999000", "\"exp\":\"soon\"").as_bytes());
    cases.refuse("TOKEN_MALFORMED and everything after it", "flagbearer", "TOKEN_MALFORMED", token);
}
