//! Following the watermark. By server-sent events, for as long as they come; where something on the way swallows them, by
//! asking every few seconds; and again and again where nobody answers. Losing the watermark never breaks reading: what it
//! said last goes on to hold, and the state says that nothing newer is known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::events::Events;
use super::{COOL_DOWN_SECONDS, Keyring, discovery, passed};
use crate::error::{Error, ErrorCode, Result};
use crate::timestamp::Timestamp;
use crate::token::{LatestWatermark, MAX_WATERMARK_BYTES, Watermark};

/// Without a valid watermark for so long, a reader is disconnected.
pub const DISCONNECTED_SECONDS: i64 = 30;
/// A stream that has been silent for so long is dead: the server says something every 15 seconds.
pub const SILENCE_SECONDS: i64 = 25;
/// A stream's first watermark comes at once, or something on the way keeps it.
const FIRST_EVENT_SECONDS: i64 = 10;
/// How often to ask where streams do not come through.
pub const POLL_SECONDS: i64 = 10;
/// How often to try whether they come through again.
const STREAM_AGAIN_SECONDS: i64 = 60;

/// How much a reader knows of what has happened since a token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReaderState {
    /// All of it, up to a second.
    Fresh,
    /// Enough to know that the token is too old: it is to be refreshed.
    Stale,
    /// Nothing newer than what it was told half a minute ago or more.
    Disconnected,
}

impl ReaderState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Disconnected => "disconnected",
        }
    }
}

/// What a host is to do. One thing at a time: whatever else is under way for the follower is to be given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowerStep {
    /// A GET of JSON or a watermark, made like a [`Fetch`](super::Fetch); with the ETag, where there is one, in
    /// `If-None-Match`.
    Get { id: u64, url: String, etag: Option<String> },
    /// A GET that accepts `text/event-stream`, whose body is handed on as it comes, without an end.
    Stream { id: u64, url: String },
    /// What is under way goes on. Ask again at that time, and whenever something came.
    Wait { until: Timestamp },
    /// Keys must come first: follow [`Reader::poll`](super::Reader::poll) until its fetch has been received, then ask again.
    KeysNeeded,
}

/// What came of a step.
#[derive(Debug, Clone, Copy)]
pub enum Came<'a> {
    /// The whole body of an answer with status 200, and its ETag.
    Body { body: &'a [u8], etag: Option<&'a str> },
    /// Status 304.
    NotModified,
    /// The next bytes of a stream that was answered with status 200.
    Bytes(&'a [u8]),
    /// Anything else: another status, a time-out, no network, the end of a stream.
    Failed,
}

/// Follows one issuer's watermark. May be shared between threads.
#[derive(Debug)]
pub struct Follower {
    latest: Arc<LatestWatermark>,
    keyring: Arc<Keyring>,
    issuer: String,
    course: Mutex<Course>,
}

/// How far it has come.
#[derive(Debug)]
struct Course {
    /// `watermark_endpoint`, once it is known.
    endpoint: Option<String>,
    under_way: Option<UnderWay>,
    steps: u64,
    /// Nothing is begun before so many milliseconds after that time.
    pause: Option<(Timestamp, i64)>,
    /// How many attempts in a row failed.
    failures: u32,
    by_polling: bool,
    /// Polling worked, and nothing has failed since.
    reachable: bool,
    /// When a stream last failed although polling worked.
    streams_refused_at: Option<Timestamp>,
    etag: Option<String>,
    /// A watermark that waits for its key, and the step that it came with.
    unverified: Option<(u64, String)>,
    refusal: Option<Error>,
    /// When the server last said what is held, or that it still is.
    contact: Option<Timestamp>,
    random: u64,
}

#[derive(Debug)]
struct UnderWay {
    id: u64,
    what: What,
    /// When it began, or last brought something that was believed: a stream of lies is as good as a silent one.
    heard_at: Timestamp,
}

#[derive(Debug)]
enum What {
    Discovery {
        url: String,
    },
    Poll,
    /// `current`: the last watermark that it brought was good, so that its signs of life say that this one still holds.
    Stream {
        events: Events,
        delivered: bool,
        current: bool,
    },
}

impl Follower {
    pub(super) fn new(issuer: &str, keyring: Arc<Keyring>, seed: u64) -> Self {
        let course = Course {
            endpoint: None,
            under_way: None,
            steps: 0,
            pause: None,
            failures: 0,
            by_polling: false,
            reachable: false,
            streams_refused_at: None,
            etag: None,
            unverified: None,
            refusal: None,
            contact: None,
            random: seed,
        };
        Self { latest: Arc::default(), keyring, issuer: issuer.to_owned(), course: Mutex::new(course) }
    }

    /// What flag sets are read under.
    pub fn latest(&self) -> Arc<LatestWatermark> {
        self.latest.clone()
    }

    /// What this reader knows of the present.
    pub fn state(&self, now: Timestamp) -> ReaderState {
        let current = self.latest.get().is_some_and(|held| !held.is_expired(now));
        let contact = self.course().contact;
        match contact {
            Some(at) if current && !passed(at, DISCONNECTED_SECONDS, now) => ReaderState::Fresh,
            _ => ReaderState::Disconnected,
        }
    }

    /// The same beside a token of this revision. That it is too old remains true, whatever else is not known.
    pub fn state_of(&self, token: Option<i64>, now: Timestamp) -> ReaderState {
        match self.latest.get() {
            Some(held) if held.outdates(token) => ReaderState::Stale,
            _ => self.state(now),
        }
    }

    /// What to do now: at first, whenever something came, and at the time that [`FollowerStep::Wait`] names.
    pub fn poll(&self, now: Timestamp) -> FollowerStep {
        let mut course = self.course();
        if let Some((id, text)) = course.unverified.take() {
            match self.verified(&text, now) {
                Ok(Some(watermark)) => self.take(&mut course, id, watermark, now),
                Ok(None) => {
                    course.unverified = Some((id, text));
                    return FollowerStep::KeysNeeded;
                }
                Err(error) => course.disbelieve(id, error),
            }
        }
        if let Some(under_way) = &course.under_way {
            let patience = under_way.patience();
            if !passed(under_way.heard_at, patience, now) {
                return FollowerStep::Wait { until: under_way.heard_at.plus_seconds(patience) };
            }
            course.fail(now);
        }
        if let Some(until) = course.pause_ends(now) {
            return FollowerStep::Wait { until };
        }
        course.begin(&self.issuer, now)
    }

    /// Takes what came of a step. What came of a former step changes nothing.
    pub fn receive(&self, step: u64, came: Came<'_>, now: Timestamp) {
        let mut course = self.course();
        let Some(mut under_way) = course.under_way.take_if(|under_way| under_way.id == step) else { return };
        match (&mut under_way.what, came) {
            (What::Discovery { url }, Came::Body { body, .. }) => {
                match discovery::endpoint(&self.issuer, url, body, "watermark_endpoint") {
                    Ok(endpoint) => course.endpoint = Some(endpoint),
                    Err(error) => {
                        course.disbelieve(step, error);
                        course.failed(&under_way.what, now);
                    }
                }
            }
            (What::Poll, Came::Body { body, etag }) => {
                match self.believe(&mut course, step, &String::from_utf8_lossy(body), now) {
                    true => course.polled(etag.map(str::to_owned), now),
                    false => course.failed(&under_way.what, now),
                }
            }
            (What::Poll, Came::NotModified) if course.etag.is_some() => {
                course.contact = Some(now);
                let etag = course.etag.take();
                course.polled(etag, now);
            }
            (What::Stream { events, .. }, Came::Bytes(bytes)) => {
                let Ok(found) = events.feed(bytes, MAX_WATERMARK_BYTES) else {
                    course.failed(&under_way.what, now);
                    return;
                };
                course.under_way = Some(under_way);
                for text in &found {
                    self.believe(&mut course, step, text, now);
                }
                course.live(now);
            }
            (what, _) => course.failed(what, now),
        }
    }

    /// Why what came last was not believed; `None` where it was.
    pub fn refusal(&self) -> Option<Error> {
        self.course().refusal.clone()
    }

    /// Answers whether it is believed, or may be once there are keys.
    fn believe(&self, course: &mut Course, step: u64, text: &str, now: Timestamp) -> bool {
        match self.verified(text, now) {
            Ok(Some(watermark)) => {
                self.take(course, step, watermark, now);
                course.refusal.is_none()
            }
            Ok(None) => {
                course.unverified = Some((step, text.to_owned()));
                true
            }
            Err(error) => {
                course.disbelieve(step, error);
                false
            }
        }
    }

    /// The watermark, once keys for it are held.
    fn verified(&self, text: &str, now: Timestamp) -> Result<Option<Watermark>> {
        let prepared = Watermark::prepare(text, &self.issuer, now)?;
        let keys = self.keyring.find(prepared.key_id(), |keys| prepared.key(keys).map(drop), now)?;
        keys.map(|keys| prepared.verify(&keys)).transpose()
    }

    fn take(&self, course: &mut Course, step: u64, watermark: Watermark, now: Timestamp) {
        if self.latest.get().is_some_and(|held| !watermark.may_follow(&held)) {
            let message = format!("the watermark of revision {} is older than the one held", watermark.revision);
            return course.disbelieve(step, Error::new(ErrorCode::WatermarkOlder, message));
        }
        self.latest.put(watermark);
        course.refusal = None;
        course.contact = Some(now);
        course.failures = 0;
        let stream = course.under_way.as_mut().filter(|under_way| under_way.id == step);
        if let Some(UnderWay { what: What::Stream { delivered, current, .. }, heard_at, .. }) = stream {
            (*delivered, *current, *heard_at) = (true, true, now);
            course.streams_refused_at = None;
        }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        // Each step of it ends before it could fail.
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    fn patience(&self) -> i64 {
        match self.what {
            What::Stream { delivered: true, .. } => SILENCE_SECONDS,
            What::Stream { .. } => FIRST_EVENT_SECONDS,
            What::Discovery { .. } | What::Poll => COOL_DOWN_SECONDS,
        }
    }
}

impl Course {
    fn begin(&mut self, issuer: &str, now: Timestamp) -> FollowerStep {
        self.steps += 1;
        let id = self.steps;
        let (what, step) = match &self.endpoint {
            None => {
                let url = discovery::url(issuer);
                (What::Discovery { url: url.clone() }, FollowerStep::Get { id, url, etag: None })
            }
            Some(url) if self.by_polling => {
                (What::Poll, FollowerStep::Get { id, url: url.clone(), etag: self.etag.clone() })
            }
            Some(url) => {
                let stream = What::Stream { events: Events::default(), delivered: false, current: false };
                (stream, FollowerStep::Stream { id, url: url.clone() })
            }
        };
        self.under_way = Some(UnderWay { id, what, heard_at: now });
        step
    }

    /// A good answer to a poll. If no stream was tried since polling works, one is tried at once.
    fn polled(&mut self, etag: Option<String>, now: Timestamp) {
        self.etag = etag;
        self.reachable = true;
        self.failures = 0;
        self.by_polling = self.streams_refused_at.is_some_and(|at| !passed(at, STREAM_AGAIN_SECONDS, now));
        self.pause = self.by_polling.then_some((now, POLL_SECONDS * 1000));
    }

    fn fail(&mut self, now: Timestamp) {
        if let Some(under_way) = self.under_way.take() {
            self.failed(&under_way.what, now);
        }
    }

    /// Decides how to go on after something failed: a stream that never brought anything may be swallowed on the way, which
    /// is told from a server that is away by polling.
    fn failed(&mut self, what: &What, now: Timestamp) {
        match what {
            What::Stream { delivered: false, .. } => {
                if self.reachable {
                    self.streams_refused_at = Some(now);
                }
                self.by_polling = true;
            }
            What::Stream { .. } => self.reachable = false,
            What::Poll => {
                (self.reachable, self.by_polling, self.streams_refused_at, self.etag) = (false, false, None, None);
                // It may have moved.
                self.endpoint = None;
            }
            What::Discovery { .. } => {}
        }
        self.failures = self.failures.saturating_add(1);
        // 1, 2, 4 … 30 seconds, of which a part is left to chance: after the first failure all, since that is when all readers
        // of a server lose it at once.
        let longest = COOL_DOWN_SECONDS.min(1 << (self.failures - 1).min(5)) * 1000;
        let least = if self.failures == 1 { 0 } else { longest / 2 };
        let chance = self.random() % (longest - least).unsigned_abs();
        self.pause = Some((now, least + chance as i64));
    }

    /// Takes whatever a stream says for a sign of life, as long as it is believed.
    fn live(&mut self, now: Timestamp) {
        if let (Some(UnderWay { what: What::Stream { current: true, .. }, heard_at, .. }), None) =
            (&mut self.under_way, &self.unverified)
        {
            (*heard_at, self.contact) = (now, Some(now));
        }
    }

    /// From here on, what a stream says, or that nothing is newer than what was polled, says nothing of the watermark held.
    fn disbelieve(&mut self, step: u64, error: Error) {
        self.refusal = Some(error);
        self.etag = None;
        let stream = self.under_way.as_mut().filter(|under_way| under_way.id == step);
        if let Some(UnderWay { what: What::Stream { current, .. }, .. }) = stream {
            *current = false;
        }
    }

    fn pause_ends(&self, now: Timestamp) -> Option<Timestamp> {
        let (since, milliseconds) = self.pause?;
        let until = Timestamp::from_milliseconds(since.milliseconds() + milliseconds);
        (since <= now && now < until).then_some(until)
    }

    /// SplitMix64: what matters is only that two readers do not get the same.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
