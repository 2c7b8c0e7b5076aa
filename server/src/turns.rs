//! Costly work, a few at a time, so that however much of it is asked for leaves cores, memory and connections to the rest.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Kind, Result};

/// How long somebody waits for a turn before being told to try again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A turn, given back when it is dropped.
pub type Turn = OwnedSemaphorePermit;

/// Those who may work at once; the others wait.
#[derive(Debug, Clone)]
pub struct Turns {
    free: Arc<Semaphore>,
    busy: &'static str,
}

impl Turns {
    /// One for every two cores, at least one, and at most so many. `busy` says what is too much when nobody's turn ends.
    pub fn new(most: usize, busy: &'static str) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { free: Arc::new(Semaphore::new((cores / 2).clamp(1, most))), busy }
    }

    /// Waits for a turn, in the order of asking. `UNAVAILABLE` where none comes in ten seconds.
    pub async fn take(&self) -> Result<Turn> {
        match tokio::time::timeout(PATIENCE, self.free.clone().acquire_owned()).await {
            Ok(turn) => turn.map_err(Error::internal),
            Err(_) => Err(Error::new(Kind::Unavailable, "UNAVAILABLE", format!("{}; try again in a moment", self.busy))),
        }
    }
}
