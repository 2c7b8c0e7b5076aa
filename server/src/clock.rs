//! The one source of time. A request asks once and passes the answer on, into evaluation, tokens and SQL alike.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use flagbearer::timestamp::Timestamp;

/// A clock in whole seconds that never steps back.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The machine's clock, corrected by the offset of the database's where several replicas share one.
#[derive(Debug, Default)]
pub struct SystemClock {
    offset_milliseconds: AtomicI64,
    last_seconds: AtomicI64,
}

impl SystemClock {
    /// Sets how far the database's clock is ahead of the machine's.
    pub fn correct(&self, offset_milliseconds: i64) {
        self.offset_milliseconds.store(offset_milliseconds, Ordering::Relaxed);
    }

    pub fn machine_milliseconds() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let seconds = (Self::machine_milliseconds() + self.offset_milliseconds.load(Ordering::Relaxed)).div_euclid(1000);
        let last = self.last_seconds.fetch_max(seconds, Ordering::Relaxed);
        Timestamp::from_seconds(seconds.max(last))
    }
}

/// A clock that tests drive.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.seconds()))
    }

    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}
