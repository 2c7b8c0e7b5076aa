//! A reader without its network: both languages ask what to get, get it, and hand over what came.

use std::collections::HashMap;
use std::sync::Arc;

use flagbearer::flag_set::FlagSet;
use flagbearer::reader::{
    Came, FETCH_TIMEOUT_SECONDS, FollowerStep, KeySource, MAX_BODY_BYTES, Memory, OfflinePolicy, Poll, Reader, Response,
};
use flagbearer::token::{Verifier, VerifierOptions};

use super::flag_set::{NativeFlagSet, NativeState, NativeValue};
use super::{Result, instant};

#[derive(Debug, uniffi::Record)]
pub struct NativeOptions {
    pub issuer: String,
    #[uniffi(default)]
    pub audience: Option<String>,
    #[uniffi(default)]
    pub client_id: Option<String>,
    #[uniffi(default)]
    pub profile: Option<String>,
    /// Seconds.
    #[uniffi(default)]
    pub leeway: Option<f64>,
    #[uniffi(default)]
    pub jwks_uri: Option<String>,
    #[uniffi(default)]
    pub discovery: bool,
    /// A random number, where the watermark is to be followed.
    #[uniffi(default)]
    pub follow_seed: Option<u64>,
}

/// What to do for the keys.
#[derive(Debug, uniffi::Enum)]
pub enum NativeKeyStep {
    Fetch { id: u64, url: String },
    Pending,
    Idle { until: i64 },
}

/// What to do for the watermark.
#[derive(Debug, uniffi::Enum)]
pub enum NativeWatermarkStep {
    Get { id: u64, url: String, etag: Option<String> },
    Stream { id: u64, url: String },
    Wait { until: i64 },
    KeysNeeded,
}

/// What came of a step for the watermark.
#[derive(Debug, uniffi::Enum)]
pub enum NativeCame {
    Body { body: Vec<u8>, etag: Option<String> },
    NotModified,
    Bytes { bytes: Vec<u8> },
    Failed,
}

/// How a token is read whose time may have passed while nobody could refresh it.
#[derive(Debug, uniffi::Enum)]
pub enum NativeOffline {
    Fresh,
    StaleAllowed { seconds: i64 },
    ExpiredDefaults,
}

/// A flag set and what every flag in it reads.
#[derive(Debug, uniffi::Record)]
pub struct NativeVerified {
    pub set: Arc<NativeFlagSet>,
    pub flags: HashMap<String, NativeValue>,
}

/// What was kept, and is read again.
#[derive(Debug, uniffi::Record)]
pub struct NativeRestored {
    pub token: String,
    pub flags: Arc<NativeFlagSet>,
}

/// The bounds that the core sets to a GET.
#[derive(Debug, uniffi::Record)]
pub struct NativeLimits {
    pub timeout_milliseconds: u32,
    pub max_body_bytes: u32,
}

#[uniffi::export]
pub fn limits() -> NativeLimits {
    NativeLimits { timeout_milliseconds: FETCH_TIMEOUT_SECONDS * 1000, max_body_bytes: MAX_BODY_BYTES as u32 }
}

#[derive(Debug, uniffi::Object)]
pub struct NativeReader {
    reader: Arc<Reader>,
    memory: Memory<Arc<NativeFlagSet>>,
}

impl NativeReader {
    fn hold(&self, flags: FlagSet) -> Arc<NativeFlagSet> {
        NativeFlagSet::of(flags, Some(self.reader.clone()))
    }
}

#[uniffi::export]
impl NativeReader {
    #[uniffi::constructor]
    pub fn new(options: NativeOptions) -> Result<Arc<Self>> {
        let verifier = Verifier::new(&VerifierOptions {
            issuer: &options.issuer,
            audience: options.audience.as_deref(),
            client_id: options.client_id.as_deref(),
            profile: options.profile.as_deref(),
            leeway: options.leeway,
        })?;
        let reader = Reader::new(verifier, KeySource::of(options.jwks_uri, options.discovery))?;
        let reader = match options.follow_seed {
            Some(seed) => reader.following(seed),
            None => reader,
        };
        Ok(Arc::new(Self { reader: Arc::new(reader), memory: Memory::default() }))
    }

    /// The flag set, or nothing when keys must be fetched first.
    pub fn verify(&self, token: String, now: i64) -> Result<Option<Arc<NativeFlagSet>>> {
        let now = instant(now);
        Ok(self.reader.verify_once(&self.memory, &token, now, |flags| self.hold(flags))?)
    }

    /// The same with what every flag reads, in one call: each costs Kotlin microseconds.
    pub fn verify_and_read(&self, token: String, now: i64) -> Result<Option<NativeVerified>> {
        Ok(self.verify(token, now)?.map(|set| NativeVerified { flags: set.get_all_flags(), set }))
    }

    pub fn poll(&self, now: i64) -> NativeKeyStep {
        match self.reader.poll(instant(now)) {
            Poll::Fetch(fetch) => NativeKeyStep::Fetch { id: fetch.id, url: fetch.url },
            Poll::Pending => NativeKeyStep::Pending,
            Poll::Idle { until } => NativeKeyStep::Idle { until: until.milliseconds() },
        }
    }

    /// Takes the body of an answer with status 200, or nothing for a fetch that failed.
    pub fn receive(&self, id: u64, body: Option<Vec<u8>>, now: i64) {
        self.reader.receive(id, body.as_deref().map_or(Response::Failed, Response::Body), instant(now));
    }

    /// Nothing where no watermark is followed.
    pub fn poll_watermark(&self, now: i64) -> Option<NativeWatermarkStep> {
        Some(match self.reader.follower()?.poll(instant(now)) {
            FollowerStep::Get { id, url, etag } => NativeWatermarkStep::Get { id, url, etag },
            FollowerStep::Stream { id, url } => NativeWatermarkStep::Stream { id, url },
            FollowerStep::Wait { until } => NativeWatermarkStep::Wait { until: until.milliseconds() },
            FollowerStep::KeysNeeded => NativeWatermarkStep::KeysNeeded,
        })
    }

    pub fn receive_watermark(&self, id: u64, came: NativeCame, now: i64) {
        let Some(follower) = self.reader.follower() else { return };
        let came = match &came {
            NativeCame::Body { body, etag } => Came::Body { body, etag: etag.as_deref() },
            NativeCame::NotModified => Came::NotModified,
            NativeCame::Bytes { bytes } => Came::Bytes(bytes),
            NativeCame::Failed => Came::Failed,
        };
        follower.receive(id, came, instant(now));
    }

    /// Nothing where no watermark is followed.
    pub fn state(&self, now: i64) -> Option<NativeState> {
        Some(self.reader.follower()?.state(instant(now)).into())
    }

    /// A token and what it takes to read it again without a network, as one text; nothing when keys must be fetched first.
    pub fn keep(&self, token: String, now: i64) -> Result<Option<String>> {
        Ok(self.reader.keep(&token, instant(now))?)
    }

    pub fn restore(&self, kept: String, offline: NativeOffline, now: i64) -> Result<NativeRestored> {
        let policy = match offline {
            NativeOffline::Fresh => OfflinePolicy::Fresh,
            NativeOffline::StaleAllowed { seconds } => OfflinePolicy::StaleAllowed { seconds },
            NativeOffline::ExpiredDefaults => OfflinePolicy::ExpiredDefaults,
        };
        let restored = self.reader.restore(&kept, policy, instant(now))?;
        Ok(NativeRestored { token: restored.token, flags: self.hold(restored.flags) })
    }
}
