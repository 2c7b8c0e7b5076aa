//! The life of signing keys: made, published, signing, retired; or withdrawn at once.
//!
//! A rotation writes the whole course of both keys, in times that are to come. Until the new key signs, every reader has
//! had the time to fetch it; until the former one leaves, every token that it signed has expired.

use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Algorithm, MAX_LEEWAY_SECONDS, SigningKey};

use super::Issuer;
use crate::error::{Error, Result};
use crate::secret::InstallationKey;
use crate::store::{Author, KeyState, MAX_ACCESS_TOKEN_TTL, StoredSigningKey, Write};

/// What sealed keys are bound to.
pub const SIGNING_KEY: &str = "signing key";

/// For how long a key is published before it signs, in seconds: longer than any reader known keeps keys (10 minutes), plus
/// what a cache on the way may add.
const AHEAD: i64 = 15 * 60;

/// For how long a retired key stays published, in seconds: as long as the longest token that any application may ask for
/// lives, plus a reader's largest leeway. The lifetimes that applications really had would mostly allow less, but they can be
/// raised at any moment, and an entry too many in the published keys costs some hundred bytes for a day.
const AFTER: i64 = MAX_ACCESS_TOKEN_TTL + MAX_LEEWAY_SECONDS as i64;

/// How the next key comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Published first; no token is refused at any moment.
    Scheduled,
    /// Signs at once, and all that was signed before is worth nothing: the former keys may be known to strangers.
    Emergency,
}

/// Makes a key for each algorithm. Takes a while, so it is done before a write is opened.
pub async fn make(algorithms: Vec<Algorithm>) -> Result<Vec<SigningKey>> {
    let make = move || algorithms.into_iter().map(SigningKey::generate).collect::<Result<Vec<_>, _>>();
    Ok(tokio::task::spawn_blocking(make).await.map_err(Error::internal)??)
}

/// Gives a new environment its first keys, which sign at once.
pub async fn create(write: &mut Write, key: &InstallationKey, environment: &str, made: &[SigningKey]) -> Result<()> {
    let signs_from = write.now;
    for made in made {
        insert(write, key, environment, made, signs_from).await?;
    }
    Ok(())
}

async fn insert(
    write: &mut Write,
    key: &InstallationKey,
    environment: &str,
    made: &SigningKey,
    signs_from: Timestamp,
) -> Result<StoredSigningKey> {
    let stored = StoredSigningKey {
        kid: made.key_id().to_owned(),
        environment: environment.to_owned(),
        algorithm: made.algorithm(),
        sealed: key.seal(SIGNING_KEY, &made.to_pkcs8()?)?,
        jwk: made.public_key()?.jwk(),
        created_at: write.now,
        signs_from,
        retired_at: None,
        published_until: None,
        withdrawn: false,
    };
    write.insert_signing_key(&stored).await?;
    Ok(stored)
}

/// Lets new keys follow on those of their algorithms. Answers the new ones and all that end because of them.
pub async fn rotate(
    write: &mut Write,
    key: &InstallationKey,
    environment: &str,
    made: &[SigningKey],
    manner: Manner,
) -> Result<Vec<StoredSigningKey>> {
    let now = write.now;
    let former = write.signing_keys(environment).await?;
    let mut altered = Vec::new();
    for made in made {
        let former = former.iter().filter(|key| key.algorithm == made.algorithm() && key.is_published(now));
        let pending = former.clone().find(|key| key.state(now) == KeyState::Published);
        if let (Some(pending), Manner::Scheduled) = (pending, manner) {
            let detail = format!(
                "the next {} key is published already and signs from {}; wait for that, or make it an emergency",
                pending.algorithm, pending.signs_from
            );
            return Err(Error::conflict("ROTATION_PENDING", detail).listing(vec![pending.document()]));
        }
        let signs_from = match manner {
            Manner::Scheduled => now.plus_seconds(AHEAD),
            Manner::Emergency => now,
        };
        altered.push(insert(write, key, environment, made, signs_from).await?);
        for before in former {
            let mut after = before.clone();
            match manner {
                Manner::Emergency => {
                    after.retired_at = Some(before.retired_at.map_or(now, |retired_at| retired_at.min(now)));
                    after.published_until = Some(now);
                    after.withdrawn = true;
                }
                Manner::Scheduled if before.retired_at.is_none() => {
                    after.retired_at = Some(signs_from);
                    after.published_until = Some(signs_from.plus_seconds(AFTER));
                }
                // It retired before, and only waits for its last token to expire.
                Manner::Scheduled => continue,
            }
            write.update_signing_key(before, &after).await?;
            altered.push(after);
        }
    }
    Ok(altered)
}

impl Issuer {
    /// Rotates the keys that have been signing for so many days. Answers how many; what fails is said in the log, and keeps
    /// no other environment's keys from it. Replicas may do so at the same time: the first one rotates, the others find it
    /// done.
    pub async fn rotate_due_keys(&self, days: u32) -> Result<usize> {
        let due = self.store.now().plus_seconds(-seconds(days));
        let mut rotated = 0;
        for (environment, algorithm) in self.store.signing_keys_since(due).await? {
            match self.rotate_due(&environment, algorithm, days).await {
                Ok(true) => rotated += 1,
                Ok(false) => {}
                Err(error) => tracing::warn!(environment, %algorithm, %error, "a signing key could not be rotated"),
            }
        }
        Ok(rotated)
    }

    /// Answers whether there still was one to rotate.
    async fn rotate_due(&self, environment: &str, algorithm: Algorithm, days: u32) -> Result<bool> {
        let made = make(vec![algorithm]).await?;
        let mut write = self.store.write().await?;
        let due = write.now.plus_seconds(-seconds(days));
        let keys = write.signing_keys(environment).await?;
        let mut newest = keys.iter().filter(|key| key.algorithm == algorithm && key.retired_at.is_none());
        if newest.next().is_none_or(|key| key.signs_from > due) {
            return Ok(false);
        }
        rotate(&mut write, &self.key, environment, &made, Manner::Scheduled).await?;
        let comment = format!("the {algorithm} key has been signing for {days} days");
        write.commit(&Author::system("scheduled rotation", comment)).await?;
        Ok(true)
    }
}

fn seconds(days: u32) -> i64 {
    i64::from(days) * 86_400
}
