//! Sends what webhooks are to be told. Every replica runs one; a webhook's lease decides which of them sends to it, one message
//! after the other, so that a target that hangs keeps nobody waiting but itself.

use std::time::Duration;

use flagbearer::timestamp::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Control;
use crate::error::Result;
use crate::message_key::MessageKey;
use crate::secret::random_fraction;
use crate::store::{Attempt, Delivery, DeliveryState, Due, Event, Lease, StoredWebhook};

/// How often it is looked for what is due again, and for what replicas that are gone have left behind. What this process
/// itself changes is sent at once.
const LOOK_OUT: Duration = Duration::from_secs(1);

/// How long after the first failure the second attempt comes, in seconds; from then on three times as long after each.
const FIRST_PAUSE: i64 = 5;
/// The longest time between two attempts, in seconds.
const LONGEST_PAUSE: i64 = 6 * 3600;
/// For how long it is tried at all, in seconds: a target may be away over a weekend.
const PATIENCE: i64 = 72 * 3600;

impl Control {
    /// Sends what is due, for as long as it is not told to stop; then finishes what it has begun.
    pub async fn send_webhooks(self, mut stopping: watch::Receiver<bool>) {
        let mut changes = self.store.changes();
        let mut sending = JoinSet::new();
        loop {
            match self.store.lease_webhooks().await {
                Ok(leases) => {
                    for lease in leases {
                        sending.spawn(self.clone().send_under(lease, stopping.clone()));
                    }
                }
                Err(error) => tracing::warn!(%error, "what webhooks are to be told cannot be looked for; trying again"),
            }
            while sending.try_join_next().is_some() {}
            tokio::select! {
                _ = timeout(LOOK_OUT, changes.changed()) => {}
                // Also where nobody is left to say it.
                _ = stopping.wait_for(|stopping| *stopping) => break,
            }
        }
        sending.join_all().await;
    }

    /// Sends to one webhook until nothing is due any more.
    async fn send_under(self, lease: Lease, stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            match self.send_next(&lease).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "a webhook could not be told; trying again");
                    break;
                }
            }
        }
        if let Err(error) = self.store.release(&lease).await {
            tracing::warn!(%error, "a webhook's lease could not be given back; it ends by itself");
        }
    }

    /// Sends the next delivery, and writes down what came of it. `false`: there is none, or it is not ours to send.
    async fn send_next(&self, lease: &Lease) -> Result<bool> {
        let Some(Due { delivery, webhook, body }) = self.store.next_due(lease).await? else { return Ok(false) };
        let now = self.store.now();
        let headers = self.headers(&delivery, &webhook, &body, now)?;
        let (status, error) = match self.issuer.outbound().post_json(&webhook.webhook.url, &headers, body).await {
            Ok(status @ 200..300) => (Some(status), None),
            Ok(status @ 300..400) => {
                (Some(status), Some("the target answered a redirect, which is not followed".to_owned()))
            }
            Ok(status) => (Some(status), Some("the target did not answer with a success (2xx)".to_owned())),
            Err(refused) => (None, Some(refused.to_string())),
        };
        let state = match error {
            None => DeliveryState::Delivered,
            Some(_) => after_failure(&delivery, now, random_fraction()?),
        };
        self.store.record_attempt(&delivery, &Attempt { at: now, status, error }, state).await?;
        Ok(true)
    }

    /// The headers of Standard Webhooks; a signature by each secret that is good now.
    fn headers(
        &self,
        delivery: &Delivery,
        webhook: &StoredWebhook,
        body: &str,
        now: Timestamp,
    ) -> Result<[(&'static str, String); 3]> {
        let former = webhook.secrets.former.as_ref().filter(|(_, until)| now < *until).map(|(sealed, _)| sealed);
        let mut signatures = Vec::new();
        for sealed in [Some(&webhook.secrets.sealed), former].into_iter().flatten() {
            signatures.push(MessageKey::open(&self.key, &webhook.webhook.id, sealed)?.sign(&delivery.id, now, body));
        }
        Ok([
            ("webhook-id", delivery.id.clone()),
            ("webhook-timestamp", now.seconds().to_string()),
            ("webhook-signature", signatures.join(" ")),
        ])
    }
}

/// How a delivery stands that has failed once more. `chance`, from 0 to 1, spreads what failed together.
fn after_failure(delivery: &Delivery, now: Timestamp, chance: f64) -> DeliveryState {
    let exponent = u32::try_from(delivery.failures).unwrap_or(u32::MAX);
    let pause = FIRST_PAUSE.saturating_mul(3_i64.saturating_pow(exponent)).min(LONGEST_PAUSE);
    let next_attempt_at = now.plus_seconds((pause as f64 * (0.75 + chance / 2.0)).round() as i64);
    let over = next_attempt_at > delivery.begun_at.plus_seconds(PATIENCE);
    if over || delivery.event == Event::WebhookTest {
        return DeliveryState::GivenUp;
    }
    DeliveryState::Pending { next_attempt_at }
}
