//! The key cache, driven as a host would drive it: with answers late, lost, wrong and in any order.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer::error::ErrorCode;
use flagbearer::reader::{Fetch, KeySource, MAX_BODY_BYTES, MEMORY_TOKENS, Memory, Poll, Reader, Response, Verdict};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{
    AccessToken, Algorithm, Asked, KeySet, Profile, Signer, SigningKey, TYPE_ACCESS_TOKEN, Verifier, VerifierOptions,
};

const ISSUER: &str = "https://flags.example.com/env/staging";
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn reader(source: KeySource) -> Reader {
    let options = VerifierOptions { issuer: ISSUER, audience: Some("api"), ..Default::default() };
    Reader::new(Verifier::new(&options).unwrap(), source).unwrap()
}

/// An issuer with a key in its set and one that it never published.
struct Issuer {
    published: Signer,
    unknown: Signer,
    set: String,
}

impl Issuer {
    fn new() -> Self {
        let signer = || SigningKey::generate(Algorithm::EdDsa).unwrap().signer(TYPE_ACCESS_TOKEN).unwrap();
        let (published, unknown) = (signer(), signer());
        let set = [published.key().public_key().unwrap()].into_iter().collect::<KeySet>().to_json();
        Self { published, unknown, set }
    }

    fn token(&self, signer: &Signer, now: Timestamp) -> String {
        let mut claims = String::new();
        AccessToken {
            issuer: ISSUER,
            subject: "user_1",
            audience: Some("api"),
            client_id: "app_1",
            issued_at: now,
            expires_at: now.plus_seconds(300),
            token_id: "t1",
            session: None,
            authenticated_at: None,
            organization: None,
            organization_name: None,
            scope: None,
            roles: &[],
            permissions: &[],
            flags_revision: 1,
            feature_flags: "{}",
            asked: Asked::default(),
        }
        .write(Profile::Flagbearer, &mut claims);
        signer.sign(&claims).unwrap()
    }

    /// `None` for keys needed.
    fn verify(&self, reader: &Reader, now: Timestamp) -> Option<Result<(), ErrorCode>> {
        outcome(reader, &self.token(&self.published, now), now)
    }

    fn verify_unknown(&self, reader: &Reader, now: Timestamp) -> Option<Result<(), ErrorCode>> {
        outcome(reader, &self.token(&self.unknown, now), now)
    }
}

fn outcome(reader: &Reader, token: &str, now: Timestamp) -> Option<Result<(), ErrorCode>> {
    match reader.verify(token, now) {
        Ok(Verdict::Verified(_)) => Some(Ok(())),
        Ok(Verdict::KeysNeeded) => None,
        Err(error) => Some(Err(error.code)),
    }
}

fn fetch(reader: &Reader, now: Timestamp) -> Fetch {
    match reader.poll(now) {
        Poll::Fetch(fetch) => fetch,
        other => panic!("expected a fetch, not {other:?}"),
    }
}

fn load(reader: &Reader, issuer: &Issuer, now: Timestamp) {
    let fetch = fetch(reader, now);
    reader.receive(fetch.id, Response::Body(issuer.set.as_bytes()), now);
}

#[test]
fn the_first_token_waits_for_the_keys_and_all_others_wait_for_the_same_fetch() {
    let (issuer, reader) = (Issuer::new(), reader(KeySource::WellKnown));
    assert_eq!(issuer.verify(&reader, START), None);
    let first = fetch(&reader, START);
    assert_eq!(first.url, "https://flags.example.com/env/staging/.well-known/jwks.json");
    assert_eq!(issuer.verify(&reader, START), None);
    assert_eq!(reader.poll(START), Poll::Pending);
    reader.receive(first.id, Response::Body(issuer.set.as_bytes()), START);
    assert_eq!(issuer.verify(&reader, START), Some(Ok(())));
    assert_eq!(reader.poll(START), Poll::Idle { until: START.plus_seconds(300) });
}

#[test]
fn garbage_instead_of_a_token_causes_no_fetch() {
    let reader = reader(KeySource::WellKnown);
    assert_eq!(reader.verify("garbage", START).unwrap_err().code, ErrorCode::TokenMalformed);
}

#[test]
fn ten_thousand_unknown_keys_cause_one_fetch_in_thirty_seconds() {
    let (issuer, reader) = (Issuer::new(), reader(KeySource::WellKnown));
    load(&reader, &issuer, START);
    let mut fetches = 0;
    for second in 0..100 {
        for _ in 0..100 {
            let now = START.plus_seconds(second);
            match issuer.verify_unknown(&reader, now) {
                None => {
                    fetches += 1;
                    load(&reader, &issuer, now);
                    assert_eq!(issuer.verify_unknown(&reader, now), Some(Err(ErrorCode::KeyUnknown)));
                }
                other => assert_eq!(other, Some(Err(ErrorCode::KeyUnknown))),
            }
        }
    }
    assert_eq!(fetches, 4, "at 0, 30, 60 and 90 seconds");
}

#[test]
fn no_token_says_where_its_key_is_fetched() {
    let (issuer, reader) = (Issuer::new(), reader(KeySource::WellKnown));
    let own = fetch(&reader, START);
    reader.receive(own.id, Response::Body(issuer.set.as_bytes()), START);
    let elsewhere = "https://evil.example.com/keys";
    let header = serde_json::json!({
        "alg": "EdDSA", "typ": "at+jwt", "kid": elsewhere, "jku": elsewhere, "x5u": elsewhere, "jwk": { "kid": elsewhere },
    });
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let of_another = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"{elsewhere}"}}"#));
    for (seconds, claims) in [(60, issuer.token(&issuer.unknown, START).split('.').nth(1).unwrap()), (120, &of_another)] {
        let (now, token) = (START.plus_seconds(seconds), format!("{header}.{claims}.AAAA"));
        assert_eq!(outcome(&reader, &token, now), None);
        let asked = fetch(&reader, now);
        assert_eq!(asked.url, own.url);
        reader.receive(asked.id, Response::Body(issuer.set.as_bytes()), now);
        assert_eq!(outcome(&reader, &token, now), Some(Err(ErrorCode::KeyUnknown)));
    }
}

#[test]
fn a_new_key_is_found_by_the_first_token_that_names_it() {
    let (before, after, reader) = (Issuer::new(), Issuer::new(), reader(KeySource::WellKnown));
    load(&reader, &before, START);
    assert_eq!(after.verify(&reader, START), None);
    load(&reader, &after, START);
    assert_eq!(after.verify(&reader, START), Some(Ok(())));
}

#[test]
fn keys_are_refreshed_behind_the_scenes_after_five_minutes_and_waited_for_after_ten() {
    let (issuer, reader) = (Issuer::new(), reader(KeySource::WellKnown));
    load(&reader, &issuer, START);
    let later = START.plus_seconds(300);
    let refresh = fetch(&reader, later);
    assert_eq!(issuer.verify(&reader, later), Some(Ok(())));
    let much_later = START.plus_seconds(600);
    assert_eq!(issuer.verify(&reader, much_later), None);
    // The refresh was lost long ago: another one is made, and its late answer is not taken for the new one's.
    load(&reader, &issuer, much_later);
    reader.receive(refresh.id, Response::Failed, much_later);
    assert_eq!(reader.poll(much_later), Poll::Idle { until: much_later.plus_seconds(300) });
}

#[test]
fn the_last_good_keys_serve_for_a_day_while_the_server_is_down_and_not_longer() {
    let (issuer, reader) = (Issuer::new(), reader(KeySource::WellKnown));
    load(&reader, &issuer, START);
    let too_long = vec![b' '; MAX_BODY_BYTES + 1];
    let bad = [
        Response::Failed,
        Response::Body(b""),
        Response::Body(b"<html>"),
        Response::Body(br#"{"keys":[]}"#),
        Response::Body(br#"{"keys":[],"keys":[]}"#),
        Response::Body(&too_long),
    ];
    let mut now = START.plus_seconds(301);
    for round in 0.. {
        if now >= START.plus_seconds(24 * 3600) {
            break;
        }
        if let Poll::Fetch(fetch) = reader.poll(now) {
            reader.receive(fetch.id, bad[round % bad.len()], now);
        }
        assert_eq!(issuer.verify(&reader, now), Some(Ok(())), "{}", now);
        now = now.plus_seconds(60);
    }
    let next_day = START.plus_seconds(24 * 3600);
    assert_eq!(issuer.verify(&reader, next_day), None);
    let fetch = fetch(&reader, next_day);
    reader.receive(fetch.id, Response::Failed, next_day);
    assert_eq!(issuer.verify(&reader, next_day), Some(Err(ErrorCode::KeysUnavailable)));
    load(&reader, &issuer, next_day.plus_seconds(30));
    assert_eq!(issuer.verify(&reader, next_day.plus_seconds(30)), Some(Ok(())));
}

#[test]
fn a_key_set_is_read_up_to_one_mebibyte() {
    assert_eq!(MAX_BODY_BYTES, 1024 * 1024);
    let issuer = Issuer::new();
    for (bytes, read) in [(MAX_BODY_BYTES, Ok(())), (MAX_BODY_BYTES + 1, Err(ErrorCode::KeysUnavailable))] {
        let reader = reader(KeySource::WellKnown);
        let padded = format!("{}{}", issuer.set, " ".repeat(bytes - issuer.set.len()));
        let fetch = fetch(&reader, START);
        reader.receive(fetch.id, Response::Body(padded.as_bytes()), START);
        assert_eq!(issuer.verify(&reader, START), Some(read), "{bytes} bytes");
    }
}

/// Verifies as a host does while its server is down: whatever is to be fetched fails. Answers how many fetches there were.
fn verify_while_down(reader: &Reader, token: &str, now: Timestamp) -> (Result<(), ErrorCode>, u32) {
    let mut fetches = 0;
    loop {
        if let Some(outcome) = outcome(reader, token, now) {
            return (outcome, fetches);
        }
        let fetch = fetch(reader, now);
        reader.receive(fetch.id, Response::Failed, now);
        fetches += 1;
    }
}

/// A hundred tokens of unknown keys, each of another one, in each of a hundred seconds: the seconds in which they had the server
/// asked. `known` is verified beside them.
fn unknown_keys_while_down(reader: &Reader, issuer: &Issuer, unknown: ErrorCode, known: Result<(), ErrorCode>) -> Vec<i64> {
    let published = issuer.token(&issuer.published, START);
    let unpublished = issuer.token(&issuer.unknown, START);
    let (_, signed) = unpublished.split_once('.').unwrap();
    let mut asked = Vec::new();
    for number in 0..10_000 {
        let (second, now) = (number / 100, START.plus_seconds(number / 100));
        let header = serde_json::json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": format!("unknown {number}") });
        let token = format!("{}.{signed}", URL_SAFE_NO_PAD.encode(header.to_string()));
        let (refusal, fetches) = verify_while_down(reader, &token, now);
        assert_eq!(refusal, Err(unknown));
        asked.extend((0..fetches).map(|_| second));
        assert_eq!(verify_while_down(reader, &published, now), (known, 0), "at {second} s");
    }
    asked
}

#[test]
fn with_the_server_down_unknown_keys_have_it_asked_once_in_thirty_seconds_and_known_ones_go_on() {
    let (issuer, reader) = (Issuer::new(), reader(KeySource::WellKnown));
    load(&reader, &issuer, START);
    let asked = unknown_keys_while_down(&reader, &issuer, ErrorCode::KeyUnknown, Ok(()));
    assert_eq!(asked, [0, 30, 60, 90]);
}

#[test]
fn with_the_server_down_since_the_start_tokens_have_it_asked_after_the_pauses_that_follow_failures_and_not_more_often() {
    let (issuer, reader) = (Issuer::new(), reader(KeySource::WellKnown));
    let none = ErrorCode::KeysUnavailable;
    let asked = unknown_keys_while_down(&reader, &issuer, none, Err(none));
    assert_eq!(asked, [0, 1, 3, 7, 15, 31, 61, 91]);
}

#[test]
fn without_keys_attempts_are_spaced_by_one_two_four_to_thirty_seconds() {
    let (issuer, reader) = (Issuer::new(), reader(KeySource::WellKnown));
    let mut now = START;
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(issuer.verify(&reader, now), None);
        let fetch = fetch(&reader, now);
        reader.receive(fetch.id, Response::Failed, now);
        assert_eq!(issuer.verify(&reader, now), Some(Err(ErrorCode::KeysUnavailable)));
        assert_eq!(reader.poll(now), Poll::Idle { until: now.plus_seconds(pause) });
        now = now.plus_seconds(pause);
    }
}

#[test]
fn why_there_are_no_keys_is_told() {
    let issuer = Issuer::new();
    let long = " ".repeat(MAX_BODY_BYTES + 1);
    for (source, response, why) in [
        (KeySource::WellKnown, Response::Failed, "no answer with status 200"),
        (KeySource::WellKnown, Response::Body(long.as_bytes()), "no answer with status 200"),
        (KeySource::WellKnown, Response::Body(b"<html>"), "no set of keys"),
        (KeySource::WellKnown, Response::Body(br#"{"keys":[]}"#), "no set of keys"),
        (KeySource::Discovery, Response::Body(b"<html>"), "no discovery document"),
    ] {
        let reader = reader(source);
        let fetch = fetch(&reader, START);
        reader.receive(fetch.id, response, START);
        let refused = reader.verify(&issuer.token(&issuer.published, START), START).unwrap_err();
        assert!(refused.code == ErrorCode::KeysUnavailable && refused.message.contains(why), "{}", refused.message);
    }
}

#[test]
fn discovery_leads_to_the_keys_and_only_for_the_issuer_itself() {
    let issuer = Issuer::new();
    let reader = reader(KeySource::Discovery);
    let discovery = fetch(&reader, START);
    assert_eq!(discovery.url, "https://flags.example.com/env/staging/.well-known/openid-configuration");
    for foreign in [
        r#"{"issuer":"https://evil.example.com","jwks_uri":"https://evil.example.com/keys"}"#.to_owned(),
        format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"http://flags.example.com/keys"}}"#),
        format!(r#"{{"issuer":"{ISSUER}"}}"#),
    ] {
        let reader = self::reader(KeySource::Discovery);
        let discovery = fetch(&reader, START);
        reader.receive(discovery.id, Response::Body(foreign.as_bytes()), START);
        assert_eq!(issuer.verify(&reader, START), Some(Err(ErrorCode::KeysUnavailable)));
    }
    let document = format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"https://flags.example.com/keys"}}"#);
    reader.receive(discovery.id, Response::Body(document.as_bytes()), START);
    assert_eq!(issuer.verify(&reader, START), None);
    let keys = fetch(&reader, START);
    assert_eq!(keys.url, "https://flags.example.com/keys");
    reader.receive(keys.id, Response::Body(issuer.set.as_bytes()), START);
    assert_eq!(issuer.verify(&reader, START), Some(Ok(())));
}

#[test]
fn an_issuer_that_is_no_url_needs_a_url_for_its_keys() {
    let options = VerifierOptions { issuer: "flagbearer", audience: Some("api"), ..Default::default() };
    let verifier = Verifier::new(&options).unwrap();
    let refused = Reader::new(verifier.clone(), KeySource::WellKnown).unwrap_err();
    assert_eq!(refused.code, ErrorCode::ConfigurationInvalid);
    assert!(Reader::new(verifier, KeySource::Url("https://flags.example.com/keys".into())).is_ok());
}

/// Verifies a token whole, and keeps `kept` of it.
fn remember(reader: &Reader, memory: &Memory<usize>, token: &str, kept: usize, now: Timestamp) {
    let (prepared, keys) = reader.prepare(token, now).unwrap().unwrap();
    let (_, receipt) = prepared.verify(keys).unwrap();
    memory.keep(token, receipt, kept);
}

#[test]
fn a_token_is_recalled_as_long_as_it_would_be_verified() {
    let (issuer, reader, memory) = (Issuer::new(), reader(KeySource::WellKnown), Memory::default());
    load(&reader, &issuer, START);
    let token = issuer.token(&issuer.published, START);
    assert_eq!(reader.recall(&memory, &token, START), None);
    remember(&reader, &memory, &token, 7, START);
    assert_eq!(reader.recall(&memory, &token, START), Some(7));
    assert_eq!(reader.recall(&memory, &token, START.plus_seconds(304)), Some(7));
    assert_eq!(reader.recall(&memory, &token, START.plus_seconds(305)), None);
    assert_eq!(outcome(&reader, &token, START.plus_seconds(305)), Some(Err(ErrorCode::TokenExpired)));
    assert_eq!(reader.recall(&memory, &token, START), Some(7), "a clock that was set right");
}

#[test]
fn nothing_but_the_very_token_is_recalled() {
    let (issuer, reader, memory) = (Issuer::new(), reader(KeySource::WellKnown), Memory::default());
    load(&reader, &issuer, START);
    let token = issuer.token(&issuer.published, START);
    remember(&reader, &memory, &token, 7, START);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for other in
        [signature, "", ".", signed, &format!(".{signature}"), &format!("x{token}"), &format!("{signed}A.{signature}")]
    {
        assert_eq!(reader.recall(&memory, other, START), None, "{other}");
    }
    assert_eq!(reader.recall(&memory, &token, START), Some(7));
}

#[test]
fn keys_that_were_fetched_anew_have_every_token_verified_anew() {
    let (issuer, reader, memory) = (Issuer::new(), reader(KeySource::WellKnown), Memory::default());
    load(&reader, &issuer, START);
    let later = START.plus_seconds(300);
    let token = issuer.token(&issuer.published, later);
    remember(&reader, &memory, &token, 7, later);
    let withdrawn = Issuer::new();
    load(&reader, &withdrawn, later);
    assert_eq!(reader.recall(&memory, &token, later), None);
    assert_eq!(outcome(&reader, &token, later), None, "its key is unknown now");
    load(&reader, &issuer, later);
    assert_eq!(reader.recall(&memory, &token, later), None);
    remember(&reader, &memory, &token, 8, later);
    assert_eq!(reader.recall(&memory, &token, later), Some(8));
    let stale = later.plus_seconds(600);
    assert_eq!(reader.recall(&memory, &issuer.token(&issuer.published, stale), stale), None);
}

#[test]
fn the_memory_is_bounded_and_forgets_what_is_not_used() {
    let (issuer, reader, memory) = (Issuer::new(), reader(KeySource::WellKnown), Memory::default());
    load(&reader, &issuer, START);
    let token = |index: usize| issuer.token(&issuer.published, Timestamp::from_seconds(START.seconds() + index as i64));
    let tokens: Vec<String> = (0..MEMORY_TOKENS * 2).map(token).collect();
    for (index, token) in tokens.iter().enumerate() {
        remember(&reader, &memory, token, index, START);
        remember(&reader, &memory, token, index, START);
        assert_eq!(reader.recall(&memory, token, START), Some(index));
        assert_eq!(reader.recall(&memory, &tokens[0], START), Some(0), "used all the time, after {index}");
    }
    let known = tokens.iter().filter(|token| reader.recall(&memory, token, START).is_some()).count();
    assert!((MEMORY_TOKENS / 2..=MEMORY_TOKENS).contains(&known), "{known}");
}
