//! The key cache over every order of what can happen to it: good keys stay, fetches stay few, and from wherever it got to it finds
//! its way. Driven as a host drives it, which polls where keys are needed.

use flagbearer::error::ErrorCode;
use flagbearer::reader::{
    COOL_DOWN_SECONDS, KeySource, MAX_STALE_SECONDS, Poll, REFRESH_SECONDS, Reader, Response, STALE_SECONDS,
};
use flagbearer::testing::TestIssuer;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Verifier, VerifierOptions};
use proptest::prelude::*;
use serde_json::json;

const ISSUER: &str = "https://flags.example.com";
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
const YEAR: i64 = 365 * 24 * 60 * 60;

/// What a server answers, and two tokens that no clock of these tests finds too old or too young.
struct Server {
    discovery: String,
    keys: String,
    known: String,
    unknown: String,
}

impl Server {
    fn new() -> Self {
        let [published, other] = [(); 2].map(|()| TestIssuer::new(ISSUER, "api", None).unwrap());
        let lasting = json!({ "expires_in": 20 * YEAR });
        let token = |issuer: &TestIssuer| issuer.token(&lasting, START.plus_seconds(-10 * YEAR)).unwrap();
        Self {
            discovery: json!({ "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/keys") }).to_string(),
            keys: published.jwks().unwrap(),
            known: token(&published),
            unknown: token(&other),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// So many seconds pass, or the clock is set back by as many.
    Time(i64),
    /// A token is verified, of a key that is published or of another one.
    Known,
    Unknown,
    /// A host looks whether there is anything to do.
    Poll,
    /// A fetch is answered, the last one or one of those before.
    Answer {
        ago: usize,
        good: bool,
    },
}

/// A reader, and what there is to be known of it from outside.
struct Trace<'s> {
    server: &'s Server,
    source: KeySource,
    reader: Reader,
    now: Timestamp,
    clock_went_back: bool,
    /// Each with its URL and when it was made.
    fetches: Vec<(u64, String, Timestamp)>,
    /// Whether the last of them has not been answered.
    open: bool,
    keys_came: Option<Timestamp>,
    /// When keys that were not due yet were last fetched again.
    brought_forward: Option<Timestamp>,
}

impl<'s> Trace<'s> {
    fn new(server: &'s Server, source: KeySource) -> Self {
        let options = VerifierOptions { issuer: ISSUER, audience: Some("api"), ..Default::default() };
        let reader = Reader::new(Verifier::new(&options).unwrap(), source.clone()).unwrap();
        let (now, fetches) = (START, Vec::new());
        Self {
            server,
            source,
            reader,
            now,
            fetches,
            clock_went_back: false,
            open: false,
            keys_came: None,
            brought_forward: None,
        }
    }

    /// Whether so much time has passed; for a clock that was set back it always has.
    fn passed(&self, since: Timestamp, seconds: i64) -> bool {
        self.now < since || self.now >= since.plus_seconds(seconds)
    }

    /// Whether there are keys that came less than so long ago, which those of the future did.
    fn has_keys(&self, seconds: i64) -> bool {
        self.keys_came.is_some_and(|came| self.now < came.plus_seconds(seconds))
    }

    /// Answers whether it made any difference.
    fn happen(&mut self, event: Event) -> bool {
        match event {
            Event::Time(seconds) => {
                self.clock_went_back |= seconds < 0;
                self.now = self.now.plus_seconds(seconds);
                true
            }
            Event::Known => {
                self.verify(&self.server.known, true);
                true
            }
            Event::Unknown => {
                self.verify(&self.server.unknown, false);
                true
            }
            Event::Poll => matches!(self.poll(), Poll::Fetch(_)),
            Event::Answer { ago, good } => self.answer(ago, good),
        }
    }

    fn verify(&mut self, token: &str, known: bool) {
        let usable = self.has_keys(MAX_STALE_SECONDS);
        match self.reader.prepare(token, self.now).map(|prepared| prepared.is_some()) {
            Ok(true) => assert!(known && usable, "accepted with keys of {:?}", self.keys_came),
            Ok(false) => {
                assert!(!known || !self.has_keys(STALE_SECONDS), "waits although its key is there");
                let step = self.poll();
                assert!(!matches!(step, Poll::Idle { .. }), "waits for nothing: {step:?}");
            }
            Err(error) if usable => assert!(!known && error.code == ErrorCode::KeyUnknown, "{error}"),
            Err(error) => assert_eq!(error.code, ErrorCode::KeysUnavailable),
        }
    }

    fn poll(&mut self) -> Poll {
        let step = self.reader.poll(self.now);
        let last = self.fetches.last().map(|(_, _, at)| *at);
        let lost = last.is_none_or(|at| self.passed(at, COOL_DOWN_SECONDS));
        match &step {
            Poll::Fetch(fetch) => {
                assert!(!self.open || lost, "two fetches at once");
                let begins = self.source == KeySource::WellKnown || fetch.url.contains("/.well-known/");
                let refresh_due = self.keys_came.is_none_or(|came| self.passed(came, REFRESH_SECONDS));
                // What a clock that was set back has begin anew is nobody's doing.
                if begins && !refresh_due && last.is_none_or(|at| self.now >= at) {
                    let before = self.brought_forward.replace(self.now);
                    let cooled = before.is_none_or(|before| self.passed(before, COOL_DOWN_SECONDS));
                    assert!(cooled, "fetched for unknown keys at {before:?} and at {}", self.now);
                }
                self.fetches.push((fetch.id, fetch.url.clone(), self.now));
                self.open = true;
            }
            Poll::Pending => assert!(self.open && !lost, "waits for no fetch"),
            Poll::Idle { until } => {
                let longest = self.now.plus_seconds(REFRESH_SECONDS);
                assert!(self.now < *until && *until <= longest, "idle until {until} at {}", self.now);
            }
        }
        step
    }

    fn answer(&mut self, ago: usize, good: bool) -> bool {
        let Some(index) = self.fetches.len().checked_sub(ago + 1) else { return false };
        let (id, url, _) = &self.fetches[index];
        let discovers = url.ends_with("openid-configuration");
        let body = match good {
            true if discovers => &self.server.discovery,
            true => &self.server.keys,
            false => "{",
        };
        self.reader.receive(*id, Response::Body(body.as_bytes()), self.now);
        // What was answered, or given up for another one, is not heard of again.
        if ago == 0 && std::mem::take(&mut self.open) && good && !discovers {
            self.keys_came = Some(self.now);
        }
        true
    }

    /// At a server that is well, a host that does as it is told verifies tokens within a minute.
    fn finds_its_way(mut self) {
        let deadline = self.now.plus_seconds(2 * COOL_DOWN_SECONDS);
        while !matches!(self.reader.prepare(&self.server.known, self.now), Ok(Some(_))) {
            assert!(self.now <= deadline, "it found no way");
            match self.poll() {
                Poll::Fetch(_) => drop(self.answer(0, true)),
                Poll::Pending => self.now = self.now.plus_seconds(COOL_DOWN_SECONDS),
                Poll::Idle { until } => self.now = until,
            }
        }
    }

    /// A minute holds at most: the attempts after 0, 1, 2, 4, 8, 16 and 30 s, a refresh, and two for unknown keys.
    fn fetches_are_few(&self) {
        let most = if self.source == KeySource::WellKnown { 9 } else { 2 * 9 };
        for (_, _, start) in self.fetches.iter().filter(|_| !self.clock_went_back) {
            let minute = *start..start.plus_seconds(60);
            let within = self.fetches.iter().filter(|(_, _, at)| minute.contains(at)).count();
            assert!(within <= most, "{within} fetches in a minute");
        }
    }
}

/// Says what happened where it went wrong.
struct Told<'e>(&'e [Event]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {:?}", self.0);
        }
    }
}

/// Goes through `events` and all that can follow within so many more.
fn explore(server: &Server, source: &KeySource, events: &mut Vec<Event>, more: usize) {
    const EVENTS: [Event; 11] = [
        Event::Known,
        Event::Unknown,
        Event::Poll,
        Event::Answer { ago: 0, good: true },
        Event::Answer { ago: 0, good: false },
        Event::Answer { ago: 1, good: true },
        Event::Time(1),
        Event::Time(COOL_DOWN_SECONDS),
        Event::Time(REFRESH_SECONDS),
        Event::Time(MAX_STALE_SECONDS),
        Event::Time(-3600),
    ];
    let told = Told(events);
    let mut trace = Trace::new(server, source.clone());
    let differs = events.iter().fold(true, |_, event| trace.happen(*event));
    trace.finds_its_way();
    drop(told);
    // What made no difference is followed by what follows without it.
    if more == 0 || !differs {
        return;
    }
    for event in EVENTS {
        events.push(event);
        explore(server, source, events, more - 1);
        events.pop();
    }
}

#[test]
fn every_sequence_of_five_events_leaves_good_keys_where_they_are_and_the_server_in_peace() {
    let server = Server::new();
    let came = Event::Answer { ago: 0, good: true };
    for (source, mut held) in [
        (KeySource::WellKnown, vec![Event::Known, came]),
        (KeySource::Discovery, vec![Event::Known, came, Event::Poll, came]),
    ] {
        explore(&server, &source, &mut Vec::new(), 5);
        explore(&server, &source, &mut held, 5);
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..40_i64).prop_map(Event::Time),
        // Clocks are set back, too, and machines sleep.
        1 => (-4000..8000_i64).prop_map(Event::Time),
        3 => Just(Event::Known),
        3 => Just(Event::Unknown),
        4 => Just(Event::Poll),
        4 => (0..3_usize, any::<bool>()).prop_map(|(ago, good)| Event::Answer { ago, good }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_order_good_keys_stay_and_fetches_stay_few(
        events in prop::collection::vec(event(), 1..120),
        source in prop_oneof![Just(KeySource::WellKnown), Just(KeySource::Discovery)],
    ) {
        let server = Server::new();
        let mut trace = Trace::new(&server, source);
        for event in events {
            trace.happen(event);
        }
        trace.fetches_are_few();
        trace.finds_its_way();
    }
}
