//! Webhooks: addresses that are told what happens to flags.

use flagbearer::document::{Members, Node, list};
use flagbearer::error::ErrorCode;
use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::engine::{Connection, Row, params};
use super::flags::stored;
use super::{Edit, Entity, Event, Write};
use crate::error::{Error, Kind, Result};

/// A webhook's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: String,
    /// Where events are posted to. No secret: it is in the change log.
    pub url: String,
    /// What it is told of; in order, each once.
    pub events: Vec<Event>,
    /// The one environment that it is told of, beside what concerns all; `None`: every one.
    pub environment: Option<String>,
    pub description: String,
    /// Whether it is told anything now.
    pub enabled: bool,
}

/// What a webhook's messages are signed with, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    pub sealed: Vec<u8>,
    /// The one before, and until when it signs too.
    pub former: Option<(Vec<u8>, Timestamp)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWebhook {
    pub webhook: Webhook,
    pub secrets: Secrets,
    /// Since when nothing has arrived; `None` where what was sent last did.
    pub failing_since: Option<Timestamp>,
    pub revision: i64,
}

const MAX_URL_BYTES: usize = 2048;

/// The most webhooks that there are at once: each of them costs every change a little.
const MOST: i64 = 100;

impl Webhook {
    /// Reads the document that creates a webhook: told of everything, unless it says otherwise.
    pub fn create(document: &Value, id: &str) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let mut webhook = Self {
            id: id.to_owned(),
            url: members.required("url")?.text(MAX_URL_BYTES)?,
            events: Event::OF_FLAGS.to_vec(),
            environment: None,
            description: String::new(),
            enabled: true,
        };
        webhook.edit(&mut members)?;
        members.finish()?;
        Ok(webhook)
    }

    /// The webhook with a patch applied.
    pub fn patched(&self, document: &Value) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let mut webhook = self.clone();
        if let Some(node) = members.present("url") {
            webhook.url = node.text(MAX_URL_BYTES)?;
        }
        webhook.edit(&mut members)?;
        members.finish()?;
        Ok(webhook)
    }

    fn edit(&mut self, members: &mut Members<'_>) -> Result<()> {
        if let Some(node) = members.present("events") {
            self.events = if node.is_null() { Event::OF_FLAGS.to_vec() } else { events(&node)? };
        }
        if let Some(node) = members.present("environment") {
            self.environment = if node.is_null() { None } else { Some(node.string()?.to_owned()) };
        }
        if let Some(node) = members.present("description") {
            self.description = if node.is_null() { String::new() } else { node.text(1024)? };
        }
        if let Some(node) = members.present("enabled") {
            self.enabled = node.is_null() || node.boolean()?;
        }
        Ok(())
    }

    /// The document, as it is answered, stored and logged.
    pub fn document(&self) -> Value {
        json!({
            "id": self.id,
            "url": self.url,
            "events": self.events.iter().map(|event| event.as_str()).collect::<Vec<_>>(),
            "environment": self.environment,
            "description": self.description,
            "enabled": self.enabled,
        })
    }

    /// Reads a document that was stored.
    pub(super) fn from_stored(mut document: Value) -> Result<Self> {
        let id = match document.as_object_mut().and_then(|members| members.remove("id")) {
            Some(Value::String(id)) => id,
            _ => return Err(Error::internal("a stored webhook has no id")),
        };
        Self::create(&document, &id).map_err(Error::internal)
    }
}

fn events(node: &Node<'_>) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for item in node.items()? {
        let name = item.string()?;
        let event = Event::parse(name).filter(|event| Event::OF_FLAGS.contains(event)).ok_or_else(|| {
            let names = Event::OF_FLAGS.map(Event::as_str);
            item.error(ErrorCode::ValueInvalid, format!("`{name}` is not an event; choose from {}", list(&names)))
        })?;
        events.push(event);
    }
    events.sort_unstable();
    events.dedup();
    if events.is_empty() {
        let detail = "name at least one event, or leave `events` out for all; `enabled` switches a webhook off";
        return Err(node.error(ErrorCode::ValueInvalid, detail).into());
    }
    Ok(events)
}

macro_rules! columns {
    () => {
        "SELECT document, sealed_secret, sealed_former_secret, former_secret_until, failing_since, revision FROM webhooks "
    };
}

impl TryFrom<&Row> for StoredWebhook {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            webhook: Webhook::from_stored(stored(&row.text(0)?)?)?,
            secrets: Secrets { sealed: row.bytes(1)?, former: row.maybe_bytes(2)?.zip(row.maybe_time(3)?) },
            failing_since: row.maybe_time(4)?,
            revision: row.integer(5)?,
        })
    }
}

impl Connection {
    pub async fn webhook(&mut self, id: &str) -> Result<StoredWebhook> {
        let row = self.row(concat!(columns!(), "WHERE id = $1"), params![id]).await?;
        let found = row.as_ref().map(StoredWebhook::try_from).transpose()?;
        found.ok_or_else(|| Error::not_found("webhook", id))
    }

    /// In order of id, those after `cursor`; of one environment where said.
    pub async fn webhooks(&mut self, environment: Option<&str>, cursor: &str, limit: i64) -> Result<Vec<StoredWebhook>> {
        let sql =
            concat!(columns!(), "WHERE id > $1 AND (CAST($2 AS TEXT) IS NULL OR environment = $2) ORDER BY id LIMIT $3");
        let rows = self.rows(sql, params![cursor, environment, limit]).await?;
        rows.iter().map(StoredWebhook::try_from).collect()
    }
}

impl Write {
    pub async fn insert_webhook(&mut self, webhook: &Webhook, secrets: &Secrets) -> Result<()> {
        let count = self.row("SELECT count(*) FROM webhooks", &[]).await?;
        if count.map(|row| row.integer(0)).transpose()?.unwrap_or_default() >= MOST {
            let detail =
                format!("there are {MOST} webhooks already, and no more are kept; delete one, or let one pass events on");
            return Err(Error::new(Kind::Refused, "TOO_MANY_WEBHOOKS", detail));
        }
        let sql = "INSERT INTO webhooks (id, document, environment, enabled, sealed_secret, revision) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let parameters = params![
            webhook.id.as_str(),
            webhook.document().to_string(),
            webhook.environment.as_deref(),
            webhook.enabled,
            secrets.sealed.clone(),
            self.revision,
        ];
        self.execute(sql, parameters).await?;
        self.record(edit(None, Some(webhook), webhook));
        Ok(())
    }

    pub async fn update_webhook(&mut self, before: &Webhook, after: &Webhook) -> Result<()> {
        let sql = "UPDATE webhooks SET document = $2, environment = $3, enabled = $4, revision = $5 WHERE id = $1";
        let (document, environment) = (after.document().to_string(), after.environment.as_deref());
        self.execute(sql, params![after.id.as_str(), document, environment, after.enabled, self.revision]).await?;
        self.record(edit(Some(before), Some(after), after));
        Ok(())
    }

    /// Sets what a webhook's messages are signed with. The log says that it was done, and not what they are.
    pub async fn set_webhook_secrets(&mut self, webhook: &Webhook, secrets: &Secrets) -> Result<()> {
        let sql = "UPDATE webhooks SET sealed_secret = $2, sealed_former_secret = $3, former_secret_until = $4, \
                   revision = $5 WHERE id = $1";
        let (former, until) = secrets.former.clone().unzip();
        let parameters = params![webhook.id.as_str(), secrets.sealed.clone(), former, until, self.revision];
        self.execute(sql, parameters).await?;
        self.record(edit(Some(webhook), Some(webhook), webhook));
        Ok(())
    }

    /// Removes a webhook, with whatever it has not been told yet.
    pub async fn delete_webhook(&mut self, webhook: &Webhook) -> Result<()> {
        self.execute("DELETE FROM webhooks WHERE id = $1", params![webhook.id.as_str()]).await?;
        self.record(edit(Some(webhook), None, webhook));
        Ok(())
    }
}

fn edit(before: Option<&Webhook>, after: Option<&Webhook>, place: &Webhook) -> Edit {
    let edit = Edit::new(Entity::Webhook, &place.id, before.map(Webhook::document), after.map(Webhook::document));
    match &place.environment {
        Some(environment) => edit.environment(environment),
        None => edit,
    }
}
