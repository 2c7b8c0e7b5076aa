//! Watermarks: signed when something changed and once a minute, and handed to everybody who follows.
//!
//! Whoever asks for one gets what the database says at that moment. For those who follow there is one look-out per
//! environment, as long as anybody does: it is told of the changes of this process, and looks for those of other replicas.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Algorithm, Watermark};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Issuer;
use super::keys::TokenType;
use crate::error::{Kind, Result};
use crate::secret::hash;
use crate::store::{Tide, WatermarkFacts};

/// How long a watermark is good, in seconds.
const LIFETIME: i64 = 5 * 60;
/// How often it is signed anew, in seconds. It bears the beginning of its minute, so that all replicas sign the same and
/// a reader that changes over from one to another finds none older than what it has.
const SIGNED_EVERY: i64 = 60;
/// How often the database is looked at for what other replicas changed. Together with the pace below a kill is noticed
/// within 250 ms. To be notified instead would be faster by a tenth of a second in the mean, and prove nothing.
const LOOK_OUT: Duration = Duration::from_millis(100);
/// How often the clock is looked at where nobody else changes anything.
const MINUTE_HAND: Duration = Duration::from_secs(1);
/// The least time between two events: so many changes in a row cost the followers, and their server, only ten a second.
const PACE: Duration = Duration::from_millis(100);
/// How often something is said to followers when there is no news, so that they know that there is none.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// The watermarks of this process.
#[derive(Debug)]
pub(super) struct Watermarks {
    /// The last one signed, by environment.
    signed: Mutex<HashMap<String, Arc<SignedWatermark>>>,
    followed: Mutex<HashMap<String, watch::Sender<Published>>>,
    stopping: watch::Sender<bool>,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self { signed: Mutex::default(), followed: Mutex::default(), stopping: watch::Sender::new(false) }
    }
}

/// A signed watermark, in the forms in which it is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedWatermark {
    tide: Tide,
    issued_at: Timestamp,
    pub text: String,
    /// Strong: over the signed document.
    pub etag: String,
}

/// What followers are told.
#[derive(Debug, Clone)]
struct Published {
    watermark: Arc<SignedWatermark>,
    /// Whether the last look at the database went well: only then it may be said that there is no news.
    sure: bool,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Issuer {
    /// The watermark of an environment as of now. The same bytes for a minute, unless something changes.
    ///
    /// Errors: `ENVIRONMENT_NOT_FOUND`.
    pub async fn watermark(&self, environment: &str) -> Result<Arc<SignedWatermark>> {
        let tide = self.store.tide(environment).await?;
        let issued_at = self.minute();
        let known = held(&self.watermarks.signed).get(environment).cloned();
        if let Some(known) = known.filter(|known| known.tide == tide && known.issued_at == issued_at) {
            return Ok(known);
        }
        self.places.hold(environment).await?;
        let facts = self.store.watermark_facts(environment).await?;
        let signed = Arc::new(self.signed_watermark(environment, facts, issued_at)?);
        held(&self.watermarks.signed).insert(environment.to_owned(), signed.clone());
        Ok(signed)
    }

    fn minute(&self) -> Timestamp {
        let now = self.store.now().seconds();
        Timestamp::from_seconds(now - now.rem_euclid(SIGNED_EVERY))
    }

    fn signed_watermark(&self, environment: &str, facts: WatermarkFacts, issued_at: Timestamp) -> Result<SignedWatermark> {
        let WatermarkFacts { tide, min_revision, kills, signing_keys } = facts;
        let expires_at = issued_at.plus_seconds(LIFETIME);
        let watermark = Watermark { revision: tide.revision, min_revision, kills, issued_at, expires_at };
        let mut claims = String::new();
        watermark.write(&self.url(environment), &mut claims);
        let signer = self.keys.signer(&signing_keys, Algorithm::EdDsa, TokenType::Watermark, self.store.now())?;
        let text = signer.sign(&claims)?;
        let etag = format!("\"{}\"", hash(text.as_bytes()));
        Ok(SignedWatermark { tide, issued_at, text, etag })
    }

    /// Follows the watermark of an environment: the present one at once, then each that is new.
    ///
    /// Errors: `ENVIRONMENT_NOT_FOUND`.
    pub async fn follow_watermark(self: &Arc<Self>, environment: &str) -> Result<Following> {
        let watermark = self.watermark(environment).await?;
        let mut followed = held(&self.watermarks.followed);
        let published = followed.entry(environment.to_owned()).or_insert_with(|| {
            let published = watch::Sender::new(Published { watermark: watermark.clone(), sure: true });
            tokio::spawn(look_out(Arc::downgrade(self), environment.to_owned(), published.clone()));
            published
        });
        let mut published = published.subscribe();
        published.mark_changed();
        let stopping = self.watermarks.stopping.subscribe();
        Ok(Following { published, stopping, last: None, heard_at: Instant::now() })
    }

    /// Ends what followers have open: a stop must not wait for what has no end.
    pub fn end_following(&self) {
        self.watermarks.stopping.send_replace(true);
    }

    /// Whether nobody follows any more; then nobody is told any more either.
    fn is_deserted(&self, environment: &str) -> bool {
        // Under the lock, so that nobody begins to follow in between.
        let mut followed = held(&self.watermarks.followed);
        let deserted = followed.get(environment).is_none_or(|published| published.receiver_count() == 0);
        if deserted {
            followed.remove(environment);
        }
        deserted
    }
}

/// Publishes what is new in an environment, until nobody follows it or it is gone.
async fn look_out(issuer: Weak<Issuer>, environment: String, published: watch::Sender<Published>) {
    let Some((mut changes, patience)) = issuer.upgrade().map(|issuer| {
        let patience = if issuer.store.is_shared() { LOOK_OUT } else { MINUTE_HAND };
        (issuer.store.changes(), patience)
    }) else {
        return;
    };
    // What happened before it looked out is looked at first.
    changes.mark_changed();
    loop {
        let told = matches!(timeout(patience, changes.changed()).await, Ok(Ok(())));
        let Some(issuer) = issuer.upgrade() else { return };
        if issuer.is_deserted(&environment) {
            return;
        }
        let last = published.borrow().clone();
        let alone = !issuer.store.is_shared();
        if alone && !told && last.sure && last.watermark.issued_at == issuer.minute() {
            continue;
        }
        match issuer.watermark(&environment).await {
            Ok(watermark) => {
                let news = *watermark != *last.watermark;
                published.send_if_modified(|published| {
                    *published = Published { watermark, sure: true };
                    news
                });
                if news {
                    drop(issuer);
                    sleep(PACE).await;
                }
            }
            Err(error) if error.kind == Kind::NotFound => {
                held(&issuer.watermarks.followed).remove(&environment);
                return;
            }
            Err(error) => {
                if last.sure {
                    tracing::warn!(%error, environment, "the watermark cannot be looked at; its followers are told nothing");
                }
                published.send_if_modified(|published| {
                    published.sure = false;
                    false
                });
            }
        }
    }
}

/// What a follower is told next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Watermark(Arc<SignedWatermark>),
    /// There is none, and the last watermark still holds.
    None,
}

/// One follower. Whatever it is too slow to take is forgotten: only the newest watermark matters.
#[derive(Debug)]
pub struct Following {
    published: watch::Receiver<Published>,
    stopping: watch::Receiver<bool>,
    last: Option<Arc<SignedWatermark>>,
    heard_at: Instant,
}

impl Following {
    /// Waits for what comes next; nothing comes after the end.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            let silence = SIGN_OF_LIFE.saturating_sub(self.heard_at.elapsed());
            tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                changed = timeout(silence, self.published.changed()) => match changed {
                    Ok(Ok(())) => {
                        let watermark = self.published.borrow_and_update().watermark.clone();
                        if self.last.as_ref() != Some(&watermark) {
                            self.heard_at = Instant::now();
                            self.last = Some(watermark.clone());
                            return Some(News::Watermark(watermark));
                        }
                    }
                    Ok(Err(_)) => return None,
                    Err(_) => {
                        self.heard_at = Instant::now();
                        if self.published.borrow().sure {
                            return Some(News::None);
                        }
                    }
                },
            }
        }
    }
}
