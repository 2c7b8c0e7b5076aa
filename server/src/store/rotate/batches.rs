//! The queue in front of the database: refreshes that wait for it together go to it together.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Rotated, Rotation};
use crate::error::{Error, Result};
use crate::store::Inner;
use crate::store::engine::Engine;

/// A refresh that waits for its batch.
#[derive(Debug)]
struct Waiting {
    rotation: Rotation,
    reply: oneshot::Sender<Result<Rotated>>,
}

/// The queue in front of the database.
#[derive(Debug)]
pub struct Batches(mpsc::Sender<Waiting>);

/// The largest batch; more would make the first wait for the last.
const BATCH: usize = 256;
/// How many may wait before newcomers are told to come back.
const QUEUE: usize = 8192;

impl Batches {
    /// Starts the task that forms batches. It ends when the store is dropped.
    pub fn start(inner: Arc<Inner>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Waiting>(QUEUE);
        let lanes = match inner.engine {
            Engine::Sqlite { .. } => 1,
            Engine::Postgres { .. } => 4,
        };
        let lanes = Arc::new(Semaphore::new(lanes));
        tokio::spawn(async move {
            let mut held: Option<Waiting> = None;
            loop {
                // The lane first: what arrives while all are busy joins the next batch.
                let Ok(lane) = lanes.clone().acquire_owned().await else { return };
                let first = match held.take() {
                    Some(waiting) => waiting,
                    None => match receiver.recv().await {
                        Some(waiting) => waiting,
                        None => return,
                    },
                };
                let mut batch = Batch::default();
                held = batch.admit(first);
                while held.is_none() && batch.members.len() < BATCH {
                    let Ok(waiting) = receiver.try_recv() else { break };
                    held = batch.admit(waiting);
                }
                let inner = inner.clone();
                tokio::spawn(async move {
                    batch.run(&inner).await;
                    drop(lane);
                });
            }
        });
        Self(sender)
    }

    /// Waits for the next batch, and for what it finds.
    pub async fn rotate(&self, rotation: Rotation) -> Result<Rotated> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Waiting { rotation, reply }).map_err(|_| Error::unavailable())?;
        answer.await.map_err(|_| Error::unavailable())?
    }
}

/// Requests that go to the database together. The same request several times is one member with several waiting; another
/// request for the same session has to wait for the next batch, as one statement updates a row once.
#[derive(Debug, Default)]
struct Batch {
    members: BTreeMap<Rotation, Vec<oneshot::Sender<Result<Rotated>>>>,
    sessions: HashSet<String>,
}

impl Batch {
    /// Takes a request in, or hands it back where the batch holds another one for its session.
    fn admit(&mut self, waiting: Waiting) -> Option<Waiting> {
        if let Some(replies) = self.members.get_mut(&waiting.rotation) {
            replies.push(waiting.reply);
            return None;
        }
        if !self.sessions.insert(waiting.rotation.session.clone()) {
            return Some(waiting);
        }
        self.members.insert(waiting.rotation, vec![waiting.reply]);
        None
    }

    async fn run(self, store: &Inner) {
        let (rotations, replies): (Vec<_>, Vec<_>) = self.members.into_iter().unzip();
        match store.rotate_all(&rotations).await {
            Ok(outcomes) => {
                for ((mut outcome, replies), rotation) in outcomes.into_iter().zip(replies).zip(&rotations) {
                    for reply in replies {
                        let _ = reply.send(outcome.clone());
                        // Only the first of equal requests moved the session; to the others it is a retry, judged as one.
                        if let Ok(outcome) = &mut outcome {
                            outcome.retry(rotation);
                        }
                    }
                }
            }
            Err(error) => {
                for reply in replies.into_iter().flatten() {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}
