//! Node's door to the core. It converts and never decides; `index.js` adds the HTTP GET and the classes that users see.

use flagbearer::error::{Error, ErrorCode, ErrorKind};
use flagbearer::flag_set::FlagSet;
use flagbearer::reader::{FETCH_TIMEOUT_SECONDS, KeySource, MAX_BODY_BYTES, Poll, Reader, Response, Verdict};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Verifier, VerifierOptions};
use napi_derive::napi;

pub mod testing;

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

#[napi]
pub struct NativeReader {
    reader: Reader,
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
        let source = match (options.jwks_uri, options.discovery) {
            (Some(url), _) => KeySource::Url(url),
            (None, Some(true)) => KeySource::Discovery,
            (None, _) => KeySource::WellKnown,
        };
        let reader = verifier.and_then(|verifier| Reader::new(verifier, source)).map_err(refuse)?;
        Ok(Self { reader })
    }

    /// All that JavaScript keeps of the flag set, as one string, or nothing when keys must be fetched first.
    #[napi]
    pub fn verify(&self, token: String, now: f64) -> Result<Option<String>, Refusal> {
        match self.reader.verify(&token, instant(now)) {
            Ok(Verdict::Verified(flags)) => Ok(Some(flags.tables())),
            Ok(Verdict::KeysNeeded) => Ok(None),
            Err(error) => Err(refuse(error)),
        }
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
    let read = |code: &&ErrorCode| matches!(code.kind(), ErrorKind::Token | ErrorKind::Read);
    ErrorCode::ALL.iter().filter(read).map(|code| code.as_str()).collect()
}
