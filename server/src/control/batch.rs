//! Several writes as one change: each call that is a part hands the open write on instead of ending it, and the batch ends it
//! once, with one revision, one outcome and one confirmation.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::effects::Outcome;
use super::{Answer, Call, Control};
use crate::error::{Error, Kind, Result};
use crate::store::Write;

/// What the parts of a batch pass on from one to the next.
#[derive(Debug, Clone, Default)]
pub struct Batch(Arc<Mutex<Passed>>);

#[derive(Debug, Default)]
struct Passed {
    stage: Stage,
    outcome: Outcome,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Begun,
    Open(Box<Write>),
    /// With a part; still so where that part was refused, and its write with it.
    Away,
}

impl Batch {
    /// The write as the parts before left it; `None` for the first, which opens it.
    pub(super) fn take(&self) -> Result<Option<Write>> {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut passed.stage, Stage::Away) {
            Stage::Begun => Ok(None),
            Stage::Open(write) => Ok(Some(*write)),
            Stage::Away => Err(Error::internal("a batch went on after one of its writes was refused")),
        }
    }

    pub(super) fn hand_back(&self, write: Write, outcome: Outcome) {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passed.outcome.merge(outcome);
        passed.stage = Stage::Open(Box::new(write));
    }

    pub(super) fn end(&self) -> Result<(Write, Outcome)> {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut passed.stage, Stage::Away) {
            Stage::Open(write) => Ok((*write, mem::take(&mut passed.outcome))),
            _ => Err(Error::new(Kind::Refused, "BATCH_EMPTY", "a batch has at least one write")),
        }
    }
}

impl Control {
    /// Makes one change of what the parts have written. `answers` are theirs, in order.
    pub async fn end_batch(&self, call: &Call, batch: Batch, answers: Vec<Value>) -> Result<Answer> {
        let (write, outcome) = batch.end()?;
        self.conclude(write, call, outcome, Answer::done(json!({ "answers": answers }))).await
    }
}
