//! Following the watermark, driven as a host would drive it: with documents late, lost, replayed and in any order, and
//! clocks that jump.

use flagbearer::error::ErrorCode;
use flagbearer::reader::{
    COOL_DOWN_SECONDS, Came, DISCONNECTED_SECONDS, Follower, FollowerStep, KeySource, POLL_SECONDS, Poll, Reader,
    ReaderState, Response, SILENCE_SECONDS,
};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Algorithm, KeySet, Signer, SigningKey, TYPE_WATERMARK, Verifier, VerifierOptions, Watermark};
use proptest::prelude::*;

const ISSUER: &str = "https://flags.example.com";
const ENDPOINT: &str = "https://flags.example.com/v1/watermark/production";
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct Server {
    signer: Signer,
    keys: String,
}

impl Server {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let keys = [key.public_key().unwrap()].into_iter().collect::<KeySet>().to_json();
        Self { signer: key.signer(TYPE_WATERMARK).unwrap(), keys }
    }

    fn watermark(&self, revision: i64, at: Timestamp) -> String {
        let watermark = Watermark {
            revision,
            min_revision: 0,
            kills: Default::default(),
            issued_at: Timestamp::from_seconds(at.seconds()),
            expires_at: Timestamp::from_seconds(at.seconds() + 300),
        };
        let mut claims = String::new();
        watermark.write(ISSUER, &mut claims);
        self.signer.sign(&claims).unwrap()
    }

    fn event(&self, revision: i64, at: Timestamp) -> String {
        format!("data: {}\n\n", self.watermark(revision, at))
    }

    /// A reader that follows this server, with its keys.
    fn reader(&self) -> Reader {
        let options = VerifierOptions { issuer: ISSUER, audience: Some("api"), ..Default::default() };
        let reader = Reader::new(Verifier::new(&options).unwrap(), KeySource::WellKnown).unwrap().following(1);
        self.give_keys(&reader, START);
        reader
    }

    fn give_keys(&self, reader: &Reader, now: Timestamp) {
        if let Poll::Fetch(fetch) = reader.poll(now) {
            reader.receive(fetch.id, Response::Body(self.keys.as_bytes()), now);
        }
    }
}

fn discovery() -> String {
    format!(r#"{{"issuer":"{ISSUER}","watermark_endpoint":"{ENDPOINT}"}}"#)
}

/// Lets it find its endpoint, and answers the stream that it opens then.
fn open(follower: &Follower, now: Timestamp) -> u64 {
    let FollowerStep::Get { id, url, .. } = follower.poll(now) else { panic!("it does not look for its endpoint") };
    assert_eq!(url, format!("{ISSUER}/.well-known/openid-configuration"));
    follower.receive(id, Came::Body { body: discovery().as_bytes(), etag: None }, now);
    stream(follower, now)
}

#[track_caller]
fn stream(follower: &Follower, now: Timestamp) -> u64 {
    match follower.poll(now) {
        FollowerStep::Stream { id, url } => {
            assert_eq!(url, ENDPOINT);
            id
        }
        other => panic!("expected a stream, not {other:?}"),
    }
}

/// Waits as long as it says; answers what it wants then.
#[track_caller]
fn after_a_pause(follower: &Follower, now: &mut Timestamp) -> FollowerStep {
    let FollowerStep::Wait { until } = follower.poll(*now) else { panic!("there is no pause") };
    assert!(*now < until && until <= now.plus_seconds(31), "{now} {until}");
    *now = until;
    follower.poll(*now)
}

fn revision(follower: &Follower) -> Option<i64> {
    follower.latest().get().map(|held| held.revision)
}

#[test]
fn it_finds_its_endpoint_and_streams() {
    let server = Server::new();
    let reader = server.reader();
    let follower = reader.follower().unwrap();
    assert_eq!(follower.state(START), ReaderState::Disconnected);
    let id = open(follower, START);
    follower.receive(id, Came::Bytes(server.event(5, START).as_bytes()), START);
    assert_eq!((revision(follower), follower.state(START)), (Some(5), ReaderState::Fresh));
    assert_eq!(follower.poll(START), FollowerStep::Wait { until: START.plus_seconds(SILENCE_SECONDS) });
}

#[test]
fn an_event_may_come_in_any_pieces_and_with_any_line_ends() {
    let server = Server::new();
    for (number, shape) in
        ["\u{feff}: hi\r\nevent: x\r\nid: 1\r\ndata: W\r\n\r\n", "data:W\r\rdata", "retry: 1\ndata: W\n\n:\n"]
            .iter()
            .enumerate()
    {
        let text = shape.replace('W', &server.watermark(5, START));
        for size in [1, 2, 3, 7, text.len()] {
            let reader = server.reader();
            let follower = reader.follower().unwrap();
            let id = open(follower, START);
            for piece in text.as_bytes().chunks(size) {
                follower.receive(id, Came::Bytes(piece), START);
            }
            assert_eq!(revision(follower), Some(5), "shape {number} in pieces of {size}");
        }
    }
}

#[test]
fn an_event_without_an_end_is_cut_off() {
    let server = Server::new();
    let reader = server.reader();
    let follower = reader.follower().unwrap();
    let id = open(follower, START);
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..17 {
        follower.receive(id, Came::Bytes(&piece), START);
    }
    let mut now = START;
    assert!(!matches!(after_a_pause(follower, &mut now), FollowerStep::Wait { .. }), "the stream was given up");
}

#[test]
fn signs_of_life_keep_it_fresh_and_silence_does_not() {
    let server = Server::new();
    let reader = server.reader();
    let follower = reader.follower().unwrap();
    let id = open(follower, START);
    follower.receive(id, Came::Bytes(server.event(5, START).as_bytes()), START);
    for seconds in [15, 30, 45] {
        let now = START.plus_seconds(seconds);
        follower.receive(id, Came::Bytes(b":\n\n"), now);
        assert_eq!(follower.state(now), ReaderState::Fresh);
    }
    let silent = START.plus_seconds(45 + SILENCE_SECONDS);
    let mut now = silent;
    assert_eq!(after_a_pause(follower, &mut now), FollowerStep::Stream { id: id + 1, url: ENDPOINT.to_owned() });
    follower.receive(id, Came::Bytes(server.event(6, now).as_bytes()), now);
    assert_eq!(revision(follower), Some(5), "what the former stream says does not count");
    assert_eq!(follower.state(START.plus_seconds(45 + DISCONNECTED_SECONDS)), ReaderState::Disconnected);
}

#[test]
fn a_stream_of_lies_is_as_good_as_a_silent_one() {
    let server = Server::new();
    let reader = server.reader();
    let follower = reader.follower().unwrap();
    let id = open(follower, START);
    follower.receive(id, Came::Bytes(server.event(5, START).as_bytes()), START);
    let replayed = server.event(4, START);
    for seconds in 1..SILENCE_SECONDS {
        let now = START.plus_seconds(seconds);
        follower.receive(id, Came::Bytes(replayed.as_bytes()), now);
        follower.receive(id, Came::Bytes(b":\n\n"), now);
        assert_eq!(follower.refusal().map(|error| error.code), Some(ErrorCode::WatermarkOlder));
        assert_eq!(revision(follower), Some(5));
    }
    let mut now = START.plus_seconds(SILENCE_SECONDS);
    assert!(matches!(after_a_pause(follower, &mut now), FollowerStep::Stream { .. }), "it looks for another");
    assert_eq!(follower.state(START.plus_seconds(DISCONNECTED_SECONDS)), ReaderState::Disconnected);
}

#[test]
fn where_streams_are_swallowed_it_polls_and_tries_streams_again_every_minute() {
    let server = Server::new();
    let reader = server.reader();
    let follower = reader.follower().unwrap();
    let mut now = START;
    // Open, but nothing comes: a buffer on the way.
    let id = open(follower, now);
    now = now.plus_seconds(10);
    let FollowerStep::Get { id: poll, etag, .. } = after_a_pause(follower, &mut now) else { panic!("it does not poll") };
    assert!(poll > id && etag.is_none());
    let body = server.watermark(5, now);
    follower.receive(poll, Came::Body { body: body.as_bytes(), etag: Some("\"a\"") }, now);
    assert_eq!(follower.state(now), ReaderState::Fresh);
    // Polling works, so that it was no server that is away: one more stream, at once, and then only every minute.
    let id = stream(follower, now);
    follower.receive(id, Came::Failed, now);
    let refused_at = now;
    let mut polls = 0;
    loop {
        match after_a_pause(follower, &mut now) {
            FollowerStep::Get { id, etag, .. } => {
                assert_eq!(etag.as_deref(), Some("\"a\""));
                follower.receive(id, Came::NotModified, now);
                assert_eq!(follower.state(now), ReaderState::Fresh);
                polls += 1;
                if now >= refused_at.plus_seconds(60) {
                    break;
                }
            }
            other => panic!("{other:?} after {polls} polls"),
        }
    }
    assert!((60 / POLL_SECONDS..=60 / POLL_SECONDS + 1).contains(&polls), "{polls}");
    let id = stream(follower, now);
    follower.receive(id, Came::Bytes(server.event(6, now).as_bytes()), now);
    assert_eq!(revision(follower), Some(6));
    assert!(matches!(follower.poll(now), FollowerStep::Wait { .. }), "it stays with the stream");
}

#[test]
fn a_server_that_comes_back_is_followed_by_a_stream_at_once() {
    let server = Server::new();
    let reader = server.reader();
    let follower = reader.follower().unwrap();
    let mut now = START;
    let id = open(follower, now);
    follower.receive(id, Came::Bytes(server.event(5, START).as_bytes()), now);
    follower.receive(id, Came::Failed, now);
    let FollowerStep::Wait { until } = follower.poll(now) else { panic!("there is no pause") };
    assert!(until <= now.plus_seconds(1), "the first one is short");
    let mut longest = 0;
    for _ in 0..20 {
        let before = now;
        let (FollowerStep::Get { id, .. } | FollowerStep::Stream { id, .. }) = after_a_pause(follower, &mut now) else {
            panic!("it gave up")
        };
        longest = longest.max(now.milliseconds() - before.milliseconds());
        follower.receive(id, Came::Failed, now);
    }
    assert!((15_000..=30_000).contains(&longest), "{longest} ms between attempts");
    assert_eq!(revision(follower), Some(5), "what was said last goes on to hold");
    let id = match after_a_pause(follower, &mut now) {
        FollowerStep::Get { id, url, .. } => {
            let body = if url == ENDPOINT { server.watermark(6, now) } else { discovery() };
            follower.receive(id, Came::Body { body: body.as_bytes(), etag: None }, now);
            stream(follower, now)
        }
        FollowerStep::Stream { id, .. } => id,
        other => panic!("{other:?}"),
    };
    follower.receive(id, Came::Bytes(server.event(6, now).as_bytes()), now);
    assert_eq!((revision(follower), follower.state(now)), (Some(6), ReaderState::Fresh));
}

#[test]
fn a_new_key_is_fetched_before_the_watermark_is_believed() {
    let (server, rotated) = (Server::new(), Server::new());
    let reader = server.reader();
    let follower = reader.follower().unwrap();
    let id = open(follower, START);
    follower.receive(id, Came::Bytes(rotated.event(5, START).as_bytes()), START);
    assert_eq!((revision(follower), follower.refusal()), (None, None));
    assert_eq!(follower.poll(START), FollowerStep::KeysNeeded);
    assert_eq!(follower.poll(START), FollowerStep::KeysNeeded);
    rotated.give_keys(&reader, START);
    assert!(matches!(follower.poll(START), FollowerStep::Wait { .. }));
    assert_eq!((revision(follower), follower.state(START)), (Some(5), ReaderState::Fresh));
}

#[test]
fn what_was_polled_and_then_refused_is_asked_for_whole_again() {
    let (server, rotated) = (Server::new(), Server::new());
    let reader = server.reader();
    let follower = reader.follower().unwrap();
    let mut now = START;
    open(follower, now);
    now = now.plus_seconds(10);
    let FollowerStep::Get { id, .. } = after_a_pause(follower, &mut now) else { panic!("it does not poll") };
    let held = server.watermark(5, now);
    follower.receive(id, Came::Body { body: held.as_bytes(), etag: Some("\"held\"") }, now);
    let id = stream(follower, now);
    follower.receive(id, Came::Failed, now);
    // An older one, by a key that is not known yet: only once the key is there can it be refused.
    let FollowerStep::Get { id, .. } = after_a_pause(follower, &mut now) else { panic!("it does not poll") };
    let replayed = rotated.watermark(4, now);
    follower.receive(id, Came::Body { body: replayed.as_bytes(), etag: Some("\"replayed\"") }, now);
    now = now.plus_seconds(COOL_DOWN_SECONDS);
    assert_eq!(follower.poll(now), FollowerStep::KeysNeeded);
    rotated.give_keys(&reader, now);
    let step = match follower.poll(now) {
        FollowerStep::Wait { until } => {
            now = until;
            follower.poll(now)
        }
        step => step,
    };
    assert_eq!(follower.refusal().map(|error| error.code), Some(ErrorCode::WatermarkOlder));
    let FollowerStep::Get { etag, .. } = step else { panic!("it does not poll, but: {step:?}") };
    assert_eq!(etag, None, "that nothing is newer than what was refused would say nothing of what is held");
}

#[test]
fn another_issuers_discovery_is_not_followed() {
    let reader = Server::new().reader();
    let follower = reader.follower().unwrap();
    for body in [
        r#"{"issuer":"https://evil.example.com","watermark_endpoint":"https://evil.example.com/w"}"#,
        r#"{"issuer":"https://flags.example.com","watermark_endpoint":"http://flags.example.com/w"}"#,
        r#"{"issuer":"https://flags.example.com"}"#,
        "<html>",
    ] {
        let mut now = START.plus_seconds(3600);
        let step = match follower.poll(now) {
            FollowerStep::Wait { .. } => after_a_pause(follower, &mut now),
            step => step,
        };
        let FollowerStep::Get { id, .. } = step else { panic!("{step:?}") };
        follower.receive(id, Came::Body { body: body.as_bytes(), etag: None }, now);
        assert!(follower.refusal().is_some(), "{body}");
        assert!(matches!(follower.poll(now), FollowerStep::Wait { .. }), "{body}");
    }
}

/// What may happen next.
#[derive(Debug, Clone)]
enum Happening {
    /// Time passes, or the clock is set back.
    Time(i64),
    /// The server makes a change.
    Change,
    /// Something comes for the step under way, or for a former one: a watermark of so many changes ago, signed so long ago.
    Event {
        former: bool,
        ago: usize,
        age: i64,
    },
    Body {
        former: bool,
        ago: usize,
        age: i64,
    },
    NotModified,
    Failed {
        former: bool,
    },
    Garbage,
}

fn happening() -> impl Strategy<Value = Happening> {
    let document = || (any::<bool>(), 0..6_usize, prop_oneof![Just(0_i64), 0..400_i64]);
    prop_oneof![
        4 => (0..40_000_i64).prop_map(Happening::Time),
        1 => (-100_000..400_000_i64).prop_map(Happening::Time),
        3 => Just(Happening::Change),
        6 => document().prop_map(|(former, ago, age)| Happening::Event { former, ago, age }),
        3 => document().prop_map(|(former, ago, age)| Happening::Body { former, ago, age }),
        1 => Just(Happening::NotModified),
        3 => any::<bool>().prop_map(|former| Happening::Failed { former }),
        1 => Just(Happening::Garbage),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn it_never_goes_back_and_always_finds_its_way_to_the_newest(happenings in prop::collection::vec(happening(), 1..60)) {
        let server = Server::new();
        let reader = server.reader();
        let follower = reader.follower().unwrap();
        // The clock of the reader; the server's never steps back.
        let (mut now, mut server_now) = (START, START);
        let mut newest = 1_i64;
        let mut ids = vec![0_u64];
        let mut held: Option<Watermark> = None;
        for happening in happenings {
            server.give_keys(&reader, now);
            match follower.poll(now) {
                FollowerStep::Get { id, url, .. } if url != ENDPOINT => {
                    prop_assert!(id > *ids.last().unwrap());
                    ids.push(id);
                    follower.receive(id, Came::Body { body: discovery().as_bytes(), etag: None }, now);
                }
                FollowerStep::Get { id, .. } | FollowerStep::Stream { id, .. } => {
                    prop_assert!(id > *ids.last().unwrap());
                    ids.push(id);
                }
                FollowerStep::Wait { until } => {
                    prop_assert!(now < until && until <= now.plus_seconds(31), "{} until {}", now, until);
                }
                FollowerStep::KeysNeeded => {}
            }
            let id = |former: bool| if former { ids[ids.len() / 2] } else { *ids.last().unwrap() };
            let document = |ago: usize, age: i64| {
                server.watermark((newest - ago as i64).max(1), Timestamp::from_seconds(server_now.seconds() - age))
            };
            match happening {
                Happening::Time(milliseconds) => {
                    now = Timestamp::from_milliseconds(now.milliseconds() + milliseconds);
                    server_now = server_now.max(now);
                }
                Happening::Change => newest += 1,
                Happening::Event { former, ago, age } => {
                    let event = format!("data: {}\n\n", document(ago, age));
                    follower.receive(id(former), Came::Bytes(event.as_bytes()), now);
                }
                Happening::Body { former, ago, age } => {
                    let body = document(ago, age);
                    follower.receive(id(former), Came::Body { body: body.as_bytes(), etag: Some("\"x\"") }, now);
                }
                Happening::NotModified => follower.receive(id(false), Came::NotModified, now),
                Happening::Failed { former } => follower.receive(id(former), Came::Failed, now),
                Happening::Garbage => follower.receive(id(false), Came::Bytes(b"data: x\n\n"), now),
            }
            let latest = follower.latest().get().map(|latest| (*latest).clone());
            if let (Some(before), Some(after)) = (&held, &latest) {
                let forwards = (after.revision, after.issued_at) >= (before.revision, before.issued_at);
                prop_assert!(forwards || after.issued_at > before.expires_at, "{before:?} {after:?}");
            }
            prop_assert!(held.is_none() || latest.is_some());
            held = latest;
            if follower.state(now) == ReaderState::Fresh {
                let held = held.as_ref();
                prop_assert!(held.is_some_and(|held| now < held.expires_at.plus_seconds(60)), "fresh without a valid one");
            }
        }
        // From here on all is well: within two minutes, whatever came before, it knows the newest.
        now = now.max(server_now);
        let deadline = now.plus_seconds(120);
        newest += 1;
        while revision(follower) != Some(newest) {
            prop_assert!(now <= deadline, "it never came to {newest}: {:?}", follower.refusal());
            server.give_keys(&reader, now);
            match follower.poll(now) {
                FollowerStep::Get { id, url, .. } => {
                    let body = if url == ENDPOINT { server.watermark(newest, now) } else { discovery() };
                    follower.receive(id, Came::Body { body: body.as_bytes(), etag: None }, now);
                }
                FollowerStep::Stream { id, .. } => {
                    follower.receive(id, Came::Bytes(server.event(newest, now).as_bytes()), now);
                }
                FollowerStep::Wait { until } => now = until,
                FollowerStep::KeysNeeded => {}
            }
        }
        prop_assert_eq!(follower.state(now), ReaderState::Fresh);
    }
}
