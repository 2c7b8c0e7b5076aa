//! What administrators do. Documents become core types, a write decides its effect, and ends as one change.

mod api_keys;
mod applications;
mod approvals;
mod batch;
mod boolean_flags;
mod budget;
mod call;
mod changes;
mod directory;
mod effects;
mod environments;
mod erasure;
mod evaluation;
mod explain;
mod flags;
mod identity_providers;
mod lifecycle;
mod overrides;
mod password_resets;
mod preview;
mod revert;
mod roster;
mod segments;
mod sender;
mod sessions;
mod settings;
mod signing_keys;
mod webhooks;

use std::net::IpAddr;
use std::sync::Arc;

pub use api_keys::mint as mint_api_key;
pub use approvals::Begun;
pub use batch::Batch;
pub use boolean_flags::BooleanFlag;
pub use call::{Actor, Answer, Call, IfMatch, Once, Request, Success};
pub use overrides::Whose;
pub use roster::{Group, Roster, Unlisted};

use self::effects::Outcome;
use crate::error::{Error, Kind, Result};
use crate::issuer::Issuer;
use crate::secret::{InstallationKey, Secret, hash};
use crate::store::{ApiKey, Connection, Memo, Store, Write};
use crate::turns::{Turn, Turns};

/// How long an answer is remembered for a retry, in seconds.
const REMEMBERED: i64 = 24 * 3600;

/// The most previews that are made at once: each keeps a thread, and one of the few connections that an embedded database has
/// for reading.
const MAX_PREVIEWS: usize = 2;

/// What sealed answers are bound to.
const ANSWER: &str = "idempotency";

/// The administrators' side of the server.
#[derive(Debug, Clone)]
pub struct Control {
    store: Arc<Store>,
    key: Arc<InstallationKey>,
    issuer: Arc<Issuer>,
    previews: Turns,
}

impl Control {
    pub fn new(store: Arc<Store>, key: Arc<InstallationKey>, issuer: Arc<Issuer>) -> Self {
        Self { store, key, issuer, previews: Turns::new(MAX_PREVIEWS, "too many previews are being made at once") }
    }

    /// Waits until a call may begin that asks for a preview; any other may at once. It ends its turn by dropping it.
    pub async fn turn(&self, call: &Call) -> Result<Option<Turn>> {
        if call.preview { self.previews.take().await.map(Some) } else { Ok(None) }
    }

    /// Whose key it is. A wrong one is counted by the address that it came from.
    pub async fn authenticate(&self, key: &Secret, address: IpAddr) -> Result<ApiKey> {
        if let Some(found) = self.store.read().await?.api_key_by_hash(&key.hash()).await? {
            return Ok(found);
        }
        self.issuer.count_wrong_secret(address).await?;
        let detail = "this API key is not known; it may have been deleted";
        Err(Error::new(Kind::Unauthenticated, Error::UNAUTHENTICATED, detail))
    }

    /// What makes a retry of this request recognisable. `scope` names the caller, the place and the key.
    pub fn once(&self, scope: &str, body: &[u8]) -> Once {
        Once { scope: hash(scope.as_bytes()), body_hash: self.key.body_tag(body) }
    }

    /// What the same request was answered before.
    pub async fn recall(&self, once: &Once) -> Result<Option<Answer>> {
        let Some(remembered) = self.store.recall(&once.scope).await? else { return Ok(None) };
        if remembered.body_hash != once.body_hash {
            let detail = "this `Idempotency-Key` was used for another body; use a new key for a new request";
            return Err(Error::new(Kind::Refused, "IDEMPOTENCY_KEY_REUSED", detail));
        }
        Answer::from_bytes(&self.key.open(ANSWER, &remembered.sealed)?).map(Some)
    }

    /// An answer as it is remembered: sealed, since it may hold a secret that is shown once.
    pub fn memo(&self, once: &Once, answer: &Answer, seconds: i64) -> Result<Memo> {
        let sealed = self.key.seal(ANSWER, &answer.to_bytes())?;
        Ok(Memo { scope: once.scope.clone(), body_hash: once.body_hash.clone(), sealed, seconds })
    }

    /// Opens the write of a call: its own, or that of the batch which it is a part of.
    async fn open(&self, call: &Call) -> Result<Write> {
        match call.batch.as_ref().map(Batch::take).transpose()?.flatten() {
            Some(write) => Ok(write),
            None => self.store.write().await,
        }
    }

    /// Ends a write that may alter who is served what. Its outcome is in the answer, and reaches a caller in no other way, so
    /// that nothing narrows a protected environment unsaid.
    async fn conclude(&self, mut write: Write, call: &Call, outcome: Outcome, mut answer: Answer) -> Result<Answer> {
        answer.body = outcome.answer(write.revision, answer.body)?;
        if let Some(batch) = &call.batch {
            batch.hand_back(write, outcome);
            return Ok(answer);
        }
        if call.preview {
            return self.preview(write, &outcome).await;
        }
        let protected = write.environments().await?.into_iter().filter(|found| found.protected).map(|found| found.name);
        outcome.hold_back(call, &protected.collect())?;
        budget::hold_back(&mut write, call).await?;
        if call.approved.is_none() && !outcome.is_kill {
            let environments = write.awaiting_approval().await?;
            if !environments.is_empty() {
                return self.propose(write, call, &answer, environments).await;
            }
        }
        self.commit(write, call, answer).await
    }

    /// Ends a write that no evaluation depends on.
    async fn finish(&self, write: Write, call: &Call, answer: Answer) -> Result<Answer> {
        if let Some(batch) = &call.batch {
            batch.hand_back(write, Outcome::default());
            return Ok(answer);
        }
        call.no_preview()?;
        self.commit(write, call, answer).await
    }

    /// Ends what is no change: it, and the answer to be remembered, become durable together.
    async fn settle(&self, mut aside: Connection, call: &Call, answer: Answer) -> Result<Answer> {
        if let Some(once) = &call.once {
            let memo = self.memo(once, &answer, REMEMBERED)?;
            if !aside.remember(&memo, self.store.now()).await? {
                drop(aside);
                return self.recall(once).await?.ok_or_else(Error::unavailable);
            }
        }
        aside.commit().await?;
        Ok(answer)
    }

    /// The change, and the answer to be remembered, become durable together.
    async fn commit(&self, mut write: Write, call: &Call, answer: Answer) -> Result<Answer> {
        if let Some(once) = &call.once {
            let memo = self.memo(once, &answer, REMEMBERED)?;
            let now = write.now;
            if !write.remember(&memo, now).await? {
                drop(write);
                return self.recall(once).await?.ok_or_else(Error::unavailable);
            }
        }
        if call.urgent {
            write.make_urgent();
        }
        write.commit(&call.author()).await?;
        Ok(answer)
    }
}
