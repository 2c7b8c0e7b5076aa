//! Node's door to the core. It converts and never decides; `index.js` adds the HTTP GET and the classes that users see,
//! `watermark.js` what following needs of the network, and `session.js` what sessions need of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use flagbearer::error::{Error, ErrorCode, ErrorKind};
use flagbearer::flag_set::FlagSet;
use flagbearer::reader::{
    Came, FETCH_TIMEOUT_SECONDS, Follower, FollowerStep, KeySource, MAX_BODY_BYTES, Memory, Poll, Reader, Response,
};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Verifier, VerifierOptions};
use napi::Either;
use napi_derive::napi;

use token::Token;

pub mod session;
pub mod testing;
mod token;

/// An error whose `code` in JavaScript is the core's.
type Refusal = napi::Error<&'static str>;

fn refuse(error: Error) -> Refusal {
    napi::Error::new(error.code.as_str(), error.message)
}

fn instant(milliseconds: f64) -> Timestamp {
    Timestamp::from_milliseconds(milliseconds as i64)
}

#[napi(object)]
pub struct NativeOptions {
    pub issuer: String,
    pub audience: Option<String>,
    pub client_id: Option<String>,
    pub profile: Option<String>,
    pub leeway: Option<f64>,
    pub jwks_uri: Option<String>,
    pub discovery: Option<bool>,
    /// A random number, where the watermark is to be followed.
    pub follow_seed: Option<f64>,
}

/// What to do next: with `url`, get it; otherwise come back at `until`, in milliseconds since 1970.
#[napi(object)]
pub struct NativeStep {
    pub id: Option<f64>,
    pub url: Option<String>,
    pub timeout_milliseconds: u32,
    pub max_bytes: u32,
    /// Whether a fetch is under way already.
    pub pending: bool,
    pub until: Option<f64>,
}

/// What to do next for the watermark: with `url`, get it, as a stream where `stream` is set; with `until`, come back then; with
/// neither, fetch keys first.
#[napi(object)]
pub struct NativeWatermarkStep {
    pub id: Option<f64>,
    pub url: Option<String>,
    pub stream: bool,
    pub etag: Option<String>,
    /// For a whole answer; a stream lasts.
    pub timeout_milliseconds: u32,
    pub max_bytes: u32,
    pub until: Option<f64>,
}

/// What a follower has found, as flag sets read it.
pub(crate) fn overruled(follower: Option<&Follower>, revision: Option<f64>) -> Option<String> {
    let latest = follower?.latest().get()?;
    Some(latest.tables(revision.map(|revision| revision as i64)))
}

pub(crate) fn state(follower: Option<&Follower>, revision: Option<f64>, now: f64) -> Option<&'static str> {
    Some(follower?.state_of(revision.map(|revision| revision as i64), instant(now)).as_str())
}

/// A verified token.
#[napi(object)]
pub struct NativeVerified {
    /// All that JavaScript keeps of the flag set, as one string.
    pub tables: String,
    /// What [`NativeReader::verify`] answers to this token from now on.
    pub number: f64,
    /// The numbers that it answers no more, if there are any.
    pub forgotten: Option<Vec<f64>>,
}

/// Stands in the core's memory for a flag set, which JavaScript keeps by its number: a reference from here would keep a reader
/// from being collected, since its flag sets know it. No number is given twice, so that none can stand for somebody else's.
struct Remembered {
    number: f64,
    forgotten: Rc<RefCell<Vec<f64>>>,
}

impl Drop for Remembered {
    fn drop(&mut self) {
        self.forgotten.borrow_mut().push(self.number);
    }
}

#[napi]
pub struct NativeReader {
    reader: Reader,
    memory: Memory<Rc<Remembered>>,
    verified: Cell<f64>,
    forgotten: Rc<RefCell<Vec<f64>>>,
}

#[napi]
impl NativeReader {
    #[napi(constructor)]
    pub fn new(options: NativeOptions) -> Result<Self, Refusal> {
        let verifier = Verifier::new(&VerifierOptions {
            issuer: &options.issuer,
            audience: options.audience.as_deref(),
            client_id: options.client_id.as_deref(),
            profile: options.profile.as_deref(),
            leeway: options.leeway,
        });
        let source = KeySource::of(options.jwks_uri, options.discovery == Some(true));
        let reader = verifier.and_then(|verifier| Reader::new(verifier, source)).map_err(refuse)?;
        Ok(Self {
            reader: match options.follow_seed {
                Some(seed) => reader.following(seed.to_bits()),
                None => reader,
            },
            memory: Memory::default(),
            verified: Cell::new(0.0),
            forgotten: Rc::default(),
        })
    }

    /// The flag set of a token; of one that was verified before and would be again, its number; nothing when keys must be fetched
    /// first.
    #[napi(ts_args_type = "token: string, now: number")]
    pub fn verify(&self, token: Token, now: f64) -> Result<Option<Either<f64, NativeVerified>>, Refusal> {
        let token = token.0.as_str();
        if let Some(remembered) = self.reader.recall(&self.memory, token, instant(now)) {
            return Ok(Some(Either::A(remembered.number)));
        }
        let Some((prepared, keys)) = self.reader.prepare(token, instant(now)).map_err(refuse)? else { return Ok(None) };
        let (flags, receipt) = prepared.verify(keys).map_err(refuse)?;
        let number = self.verified.get();
        self.verified.set(number + 1.0);
        self.memory.keep(token, receipt, Rc::new(Remembered { number, forgotten: self.forgotten.clone() }));
        let forgotten = Some(self.forgotten.take()).filter(|forgotten| !forgotten.is_empty());
        Ok(Some(Either::B(NativeVerified { tables: flags.tables(), number, forgotten })))
    }

    #[napi]
    pub fn poll(&self, now: f64) -> NativeStep {
        let step = NativeStep {
            id: None,
            url: None,
            timeout_milliseconds: FETCH_TIMEOUT_SECONDS * 1000,
            max_bytes: MAX_BODY_BYTES as u32,
            pending: false,
            until: None,
        };
        match self.reader.poll(instant(now)) {
            Poll::Fetch(fetch) => NativeStep { id: Some(fetch.id as f64), url: Some(fetch.url), ..step },
            Poll::Pending => NativeStep { pending: true, ..step },
            Poll::Idle { until } => NativeStep { until: Some(until.milliseconds() as f64), ..step },
        }
    }

    /// Takes the body of an answer, or nothing for a fetch that failed.
    #[napi]
    pub fn receive(&self, id: f64, body: Option<&[u8]>, now: f64) {
        let response = body.map_or(Response::Failed, Response::Body);
        self.reader.receive(id as u64, response, instant(now));
    }

    #[napi]
    pub fn poll_watermark(&self, now: f64) -> NativeWatermarkStep {
        let step = NativeWatermarkStep {
            id: None,
            url: None,
            stream: false,
            etag: None,
            timeout_milliseconds: FETCH_TIMEOUT_SECONDS * 1000,
            max_bytes: MAX_BODY_BYTES as u32,
            until: None,
        };
        let Some(follower) = self.reader.follower() else { return step };
        match follower.poll(instant(now)) {
            FollowerStep::Get { id, url, etag } => NativeWatermarkStep { id: Some(id as f64), url: Some(url), etag, ..step },
            FollowerStep::Stream { id, url } => {
                NativeWatermarkStep { id: Some(id as f64), url: Some(url), stream: true, ..step }
            }
            FollowerStep::Wait { until } => NativeWatermarkStep { until: Some(until.milliseconds() as f64), ..step },
            FollowerStep::KeysNeeded => step,
        }
    }

    /// Takes the whole body of an answer, and its ETag.
    #[napi]
    pub fn watermark_body(&self, id: f64, body: &[u8], etag: Option<String>, now: f64) {
        self.came(id, Came::Body { body, etag: etag.as_deref() }, now);
    }

    /// Takes the next bytes of a stream.
    #[napi]
    pub fn watermark_bytes(&self, id: f64, bytes: &[u8], now: f64) {
        self.came(id, Came::Bytes(bytes), now);
    }

    #[napi]
    pub fn watermark_unmodified(&self, id: f64, now: f64) {
        self.came(id, Came::NotModified, now);
    }

    /// Takes that a step came to nothing, or a stream to its end.
    #[napi]
    pub fn watermark_failed(&self, id: f64, now: f64) {
        self.came(id, Came::Failed, now);
    }

    fn came(&self, id: f64, came: Came<'_>, now: f64) {
        if let Some(follower) = self.reader.follower() {
            follower.receive(id as u64, came, instant(now));
        }
    }

    /// What the watermark overrules of a token of this revision, as one string.
    #[napi]
    pub fn overruled(&self, revision: Option<f64>) -> Option<String> {
        overruled(self.reader.follower(), revision)
    }

    /// The reader's state beside a token of this revision.
    #[napi]
    pub fn state_of(&self, revision: Option<f64>, now: f64) -> Option<&'static str> {
        state(self.reader.follower(), revision, now)
    }

    /// The reader's own state.
    #[napi]
    pub fn state(&self, now: f64) -> Option<&'static str> {
        self.reader.follower().map(|follower| follower.state(instant(now)).as_str())
    }
}

/// The keys whose flags differ between two sets, each given as its claims.
#[napi]
pub fn changed_from(newer: String, older: String) -> Result<Vec<String>, Refusal> {
    let set = |claims: &str| FlagSet::of_claims(claims).map_err(refuse);
    let (newer, older) = (set(&newer)?, set(&older)?);
    Ok(newer.changed_from(&older).into_iter().map(str::to_owned).collect())
}

/// Every code that a reader answers.
#[napi]
pub fn error_codes() -> Vec<&'static str> {
    let read = |code: &&ErrorCode| matches!(code.kind(), ErrorKind::Token | ErrorKind::Session | ErrorKind::Read);
    ErrorCode::ALL.iter().filter(read).map(|code| code.as_str()).collect()
}
