//! What webhooks are to be told. A delivery is written in its change's own transaction, so that neither is there without the
//! other; whoever holds the webhook's lease sends it, and what came of it is written beside it.

use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::engine::{Connection, Row, params};
use super::events::Happened;
use super::webhooks::Webhook;
use super::write::Entity;
use super::{Edit, Event, Store, StoredWebhook};
use crate::error::{Error, Result};
use crate::secret::random_alphanumeric;

/// For how long a sender has a webhook to itself, in seconds: longer than one attempt takes, and renewed before each.
const LEASE: i64 = 10;

/// How long what has arrived, or was given up, is kept, in seconds.
const KEPT: i64 = 7 * 86_400;

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Pending { next_attempt_at: Timestamp },
    Delivered,
    GivenUp,
}

impl DeliveryState {
    /// The names, as lists are asked for them.
    pub const NAMES: [&'static str; 3] = ["pending", "delivered", "given_up"];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending { .. } => Self::NAMES[0],
            Self::Delivered => Self::NAMES[1],
            Self::GivenUp => Self::NAMES[2],
        }
    }
}

/// One event for one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// `msg_…`: the same in every attempt, so that the receiver can tell a repetition.
    pub id: String,
    pub webhook: String,
    pub event: Event,
    /// The change; none for a test.
    pub revision: Option<i64>,
    /// The flag's id.
    pub flag: Option<String>,
    pub environment: Option<String>,
    pub state: DeliveryState,
    pub created_at: Timestamp,
    /// When it was first to be sent; or when it was, by hand, to be sent again.
    pub begun_at: Timestamp,
    /// How many attempts since then failed.
    pub failures: i64,
}

/// What came of sending a delivery once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub at: Timestamp,
    /// What the target answered; `None` where it did not.
    pub status: Option<u16>,
    /// Why this was no delivery; `None` where it was.
    pub error: Option<String>,
}

/// The right to send to a webhook, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    webhook: String,
    token: String,
}

/// A delivery that is to be sent now, with all that it says.
#[derive(Debug, Clone)]
pub struct Due {
    pub delivery: Delivery,
    pub webhook: StoredWebhook,
    /// What is sent, as JSON.
    pub body: String,
}

impl Delivery {
    fn new(webhook: &str, event: Event, now: Timestamp) -> Result<Self> {
        Ok(Self {
            id: format!("msg_{}", random_alphanumeric(24)?),
            webhook: webhook.to_owned(),
            event,
            revision: None,
            flag: None,
            environment: None,
            state: DeliveryState::Pending { next_attempt_at: now },
            created_at: now,
            begun_at: now,
            failures: 0,
        })
    }
}

macro_rules! columns {
    () => {
        "SELECT id, webhook, event, revision, flag, environment, state, created_at, begun_at, failures, next_attempt_at \
         FROM deliveries "
    };
}

impl TryFrom<&Row> for Delivery {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        let (event, state) = (row.text(2)?, row.text(6)?);
        Ok(Self {
            id: row.text(0)?,
            webhook: row.text(1)?,
            event: Event::parse(&event).ok_or_else(|| Error::internal(format!("stored event `{event}` is unknown")))?,
            revision: row.maybe_integer(3)?,
            flag: row.maybe_text(4)?,
            environment: row.maybe_text(5)?,
            state: match (state.as_str(), row.maybe_time(10)?) {
                ("pending", Some(next_attempt_at)) => DeliveryState::Pending { next_attempt_at },
                ("delivered", None) => DeliveryState::Delivered,
                ("given_up", None) => DeliveryState::GivenUp,
                _ => return Err(Error::internal(format!("a delivery is stored as `{state}`, which is not consistent"))),
            },
            created_at: row.time(7)?,
            begun_at: row.time(8)?,
            failures: row.integer(9)?,
        })
    }
}

/// Webhooks that nobody is sending to, and that have something to be sent. `$1` is now.
macro_rules! waiting {
    () => {
        "enabled = 1 AND (leased_until IS NULL OR leased_until <= $1) AND EXISTS (SELECT 1 FROM deliveries d \
         WHERE d.webhook = webhooks.id AND d.state = 'pending' AND d.next_attempt_at <= $1)"
    };
}

impl Store {
    /// Takes the lease of every webhook that has something to be sent and that no other sender has.
    pub async fn lease_webhooks(&self) -> Result<Vec<Lease>> {
        let now = self.now();
        // Mostly there is nothing, and looking must not wait for whoever is writing.
        let sql = concat!("SELECT 1 FROM webhooks WHERE ", waiting!(), " LIMIT 1");
        if self.read().await?.row(sql, params![now]).await?.is_none() {
            return Ok(Vec::new());
        }
        let token = random_alphanumeric(22)?;
        let mut connection = self.engine.write().await?;
        let sql = concat!("UPDATE webhooks SET lease = $2, leased_until = $3 WHERE ", waiting!(), " RETURNING id");
        let rows = connection.rows(sql, params![now, token.as_str(), now.plus_seconds(LEASE)]).await?;
        connection.commit().await?;
        rows.iter().map(|row| Ok(Lease { webhook: row.text(0)?, token: token.clone() })).collect()
    }

    /// The next delivery that is to be sent under a lease, which is renewed by asking. `None` where nothing is due, or the
    /// lease has passed to another sender, or the webhook has been switched off or deleted.
    pub async fn next_due(&self, lease: &Lease) -> Result<Option<Due>> {
        let now = self.now();
        let mut connection = self.engine.write().await?;
        let sql = "UPDATE webhooks SET leased_until = $3 WHERE id = $1 AND lease = $2 AND enabled = 1";
        let parameters = params![lease.webhook.as_str(), lease.token.as_str(), now.plus_seconds(LEASE)];
        if connection.execute(sql, parameters).await? == 0 {
            return Ok(None);
        }
        connection.commit().await?;
        let mut connection = self.read().await?;
        let sql = concat!(
            columns!(),
            "WHERE webhook = $1 AND state = 'pending' AND next_attempt_at <= $2 ORDER BY number LIMIT 1"
        );
        let Some(row) = connection.row(sql, params![lease.webhook.as_str(), now]).await? else { return Ok(None) };
        let delivery = Delivery::try_from(&row)?;
        let webhook = connection.webhook(&lease.webhook).await?;
        let body = connection.delivery_body(&delivery).await?.to_string();
        Ok(Some(Due { delivery, webhook, body }))
    }

    /// Gives a lease back, so that nobody has to wait for its end.
    pub async fn release(&self, lease: &Lease) -> Result<()> {
        let mut connection = self.engine.write().await?;
        let sql = "UPDATE webhooks SET lease = NULL, leased_until = NULL WHERE id = $1 AND lease = $2";
        connection.execute(sql, params![lease.webhook.as_str(), lease.token.as_str()]).await?;
        connection.commit().await
    }

    /// Writes down what came of an attempt, and how the delivery stands by it.
    pub async fn record_attempt(&self, delivery: &Delivery, attempt: &Attempt, state: DeliveryState) -> Result<()> {
        let (id, failed) = (delivery.id.as_str(), attempt.error.is_some());
        let mut connection = self.engine.write().await?;
        let next_attempt_at = match state {
            DeliveryState::Pending { next_attempt_at } => Some(next_attempt_at),
            DeliveryState::Delivered | DeliveryState::GivenUp => None,
        };
        let sql = "UPDATE deliveries SET state = $2, next_attempt_at = $3, failures = failures + $4 WHERE id = $1";
        if connection.execute(sql, params![id, state.as_str(), next_attempt_at, failed]).await? == 0 {
            // Deleted meanwhile, with its webhook.
            return Ok(());
        }
        let sql = "INSERT INTO delivery_attempts (delivery, number, at, status, error) \
                   SELECT $1, count(*) + 1, $2, $3, $4 FROM delivery_attempts WHERE delivery = $1";
        let (status, error) = (attempt.status.map(i64::from), attempt.error.as_deref());
        connection.execute(sql, params![id, attempt.at, status, error]).await?;
        let sql = "UPDATE webhooks SET failing_since = CASE WHEN $2 = 1 THEN coalesce(failing_since, $3) END WHERE id = $1";
        connection.execute(sql, params![delivery.webhook.as_str(), failed, attempt.at]).await?;
        connection.commit().await
    }

    /// Has a delivery sent again, from now on and for as long as a new one.
    ///
    /// Errors: `DELIVERY_NOT_FOUND`, also where it is another webhook's.
    pub async fn redeliver(&self, webhook: &str, id: &str) -> Result<()> {
        let mut connection = self.engine.write().await?;
        let sql = "UPDATE deliveries SET state = 'pending', begun_at = $3, next_attempt_at = $3, failures = 0 \
                   WHERE id = $1 AND webhook = $2";
        if connection.execute(sql, params![id, webhook, self.now()]).await? == 0 {
            return Err(Error::not_found("delivery", id));
        }
        connection.commit().await
    }

    /// Puts a test into a webhook's queue.
    pub async fn enqueue_test(&self, webhook: &Webhook) -> Result<Delivery> {
        let delivery = Delivery::new(&webhook.id, Event::WebhookTest, self.now())?;
        let mut connection = self.engine.write().await?;
        connection.insert_delivery(&delivery).await?;
        connection.commit().await?;
        Ok(delivery)
    }
}

impl Connection {
    /// Removes what arrived, or was given up, a while ago.
    pub(super) async fn sweep_deliveries(&mut self, now: Timestamp) -> Result<()> {
        let sql = "DELETE FROM deliveries WHERE state <> 'pending' AND begun_at <= $1";
        self.execute(sql, params![now.plus_seconds(-KEPT)]).await.map(drop)
    }

    /// Notes for every webhook what it is to be told of a change.
    pub(super) async fn enqueue_deliveries(&mut self, revision: i64, now: Timestamp, edits: &[Edit]) -> Result<()> {
        let happened = Happened::by(edits);
        if happened.is_empty() {
            return Ok(());
        }
        for stored in self.webhooks(None, "", i64::MAX).await? {
            let Webhook { id, events, environment, enabled, .. } = &stored.webhook;
            let concerns = |one: &&Happened| {
                events.contains(&one.event)
                    && (environment.is_none() || one.environment.is_none() || one.environment == *environment)
            };
            for one in happened.iter().filter(concerns).filter(|_| *enabled) {
                let delivery = Delivery {
                    revision: Some(revision),
                    flag: Some(one.flag.clone()),
                    environment: one.environment.clone(),
                    ..Delivery::new(id, one.event, now)?
                };
                self.insert_delivery(&delivery).await?;
            }
        }
        Ok(())
    }

    async fn insert_delivery(&mut self, delivery: &Delivery) -> Result<()> {
        let sql = "INSERT INTO deliveries (id, webhook, event, revision, flag, environment, state, created_at, begun_at, \
                   failures, next_attempt_at) VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $7, 0, $7)";
        let parameters = params![
            delivery.id.as_str(),
            delivery.webhook.as_str(),
            delivery.event.as_str(),
            delivery.revision,
            delivery.flag.as_deref(),
            delivery.environment.as_deref(),
            delivery.created_at,
        ];
        self.execute(sql, parameters).await.map(drop)
    }

    /// Errors: `DELIVERY_NOT_FOUND`, also where it is another webhook's.
    pub async fn delivery(&mut self, webhook: &str, id: &str) -> Result<Delivery> {
        let row = self.row(concat!(columns!(), "WHERE id = $1 AND webhook = $2"), params![id, webhook]).await?;
        row.as_ref().map(Delivery::try_from).transpose()?.ok_or_else(|| Error::not_found("delivery", id))
    }

    /// A webhook's deliveries, the newest first; those before the one that `cursor` names, of one state where said.
    pub async fn deliveries(
        &mut self,
        webhook: &str,
        state: Option<&str>,
        cursor: &str,
        limit: i64,
    ) -> Result<Vec<Delivery>> {
        let sql = concat!(
            columns!(),
            "WHERE webhook = $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2) \
             AND ($3 = '' OR number < (SELECT number FROM deliveries WHERE id = $3)) ORDER BY number DESC LIMIT $4"
        );
        let rows = self.rows(sql, params![webhook, state, cursor, limit]).await?;
        rows.iter().map(Delivery::try_from).collect()
    }

    /// A delivery and its attempts, as they are answered.
    pub async fn delivery_document(&mut self, delivery: &Delivery) -> Result<Value> {
        let sql = "SELECT at, status, error FROM delivery_attempts WHERE delivery = $1 ORDER BY number";
        let mut attempts = Vec::new();
        for row in self.rows(sql, params![delivery.id.as_str()]).await? {
            let (status, error) = (row.maybe_integer(1)?, row.maybe_text(2)?);
            attempts.push(json!({ "at": row.time(0)?, "status": status, "error": error }));
        }
        let next_attempt_at = match delivery.state {
            DeliveryState::Pending { next_attempt_at } => Some(next_attempt_at),
            DeliveryState::Delivered | DeliveryState::GivenUp => None,
        };
        Ok(json!({
            "id": delivery.id,
            "webhook": delivery.webhook,
            "event": delivery.event.as_str(),
            "revision": delivery.revision,
            "flag": delivery.flag,
            "environment": delivery.environment,
            "state": delivery.state.as_str(),
            "created_at": delivery.created_at,
            "next_attempt_at": next_attempt_at,
            "attempts": attempts,
        }))
    }

    /// What a webhook is told by a delivery: the change as the log holds it, as far as it is about this event.
    pub async fn delivery_body(&mut self, delivery: &Delivery) -> Result<Value> {
        let (Some(revision), Some(flag)) = (delivery.revision, &delivery.flag) else {
            let data = json!({ "webhook": delivery.webhook });
            return Ok(json!({ "type": delivery.event.as_str(), "timestamp": delivery.created_at, "data": data }));
        };
        let change = self.authorship(revision).await?;
        let mut edits = self.edits(revision).await?;
        edits.retain(|edit| {
            let about = delivery.event.is_about(edit.entity) && edit.flag.as_ref() == Some(flag);
            about && edit.environment == delivery.environment
        });
        // A flag that is gone is shown as it was.
        let document = match self.document_at(Entity::Flag, flag, revision).await? {
            Some(document) => Some(document),
            None => edits.first().and_then(|edit| edit.before.clone()),
        };
        Ok(json!({
            "type": delivery.event.as_str(),
            "timestamp": change["at"],
            "data": {
                "flag": document,
                "environment": delivery.environment,
                "revision": revision,
                "actor": change["actor"],
                "request_id": change["request_id"],
                "comment": change["comment"],
                "approval": change["approval"],
                "edits": edits.iter().map(Edit::answer).collect::<Vec<_>>(),
            },
        }))
    }
}
