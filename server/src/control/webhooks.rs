//! Webhooks: addresses that are told what happens to flags, and what they are told by.

use flagbearer::document::Node;
use flagbearer::error::ErrorCode;
use serde_json::{Value, json};

use super::{Answer, Call, Control};
use crate::error::{Error, Result};
use crate::message_key::MessageKey;
use crate::secret::random_alphanumeric;
use crate::store::{DeliveryState, Secrets, StoredWebhook, Webhook};

/// For how long the secret before still signs, in seconds: receivers take over the new one meanwhile.
const OVERLAP: i64 = 24 * 3600;

fn answer(stored: &StoredWebhook) -> Value {
    let mut document = stored.webhook.document();
    document["failing_since"] = json!(stored.failing_since);
    document["revision"] = stored.revision.into();
    document
}

impl Control {
    /// Creates a webhook; what its messages are signed with is in this answer and nowhere else.
    pub async fn create_webhook(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let webhook = Webhook::create(&call.body, &format!("wh_{}", random_alphanumeric(22)?))?;
        self.deliverable(&webhook)?;
        let key = MessageKey::generate()?;
        let secrets = Secrets { sealed: key.seal(&self.key, &webhook.id)?, former: None };
        let mut write = self.open(call).await?;
        if let Some(environment) = &webhook.environment {
            write.environment(environment).await?;
        }
        write.insert_webhook(&webhook, &secrets).await?;
        let revision = write.revision;
        let mut body = answer(&StoredWebhook { webhook, secrets, failing_since: None, revision });
        body["secret"] = key.shown().expose().into();
        self.finish(write, call, Answer::created(body, revision)).await
    }

    pub async fn webhooks(&self, call: &Call) -> Result<Answer> {
        call.only(&["environment", "cursor", "limit"])?;
        call.may_administer()?;
        let limit = call.limit()?;
        let mut connection = self.store.read().await?;
        if let Some(environment) = call.parameter("environment") {
            connection.environment(environment).await?;
        }
        let webhooks = connection.webhooks(call.parameter("environment"), call.cursor(), limit).await?;
        let data = webhooks.iter().map(answer).collect();
        Ok(Answer::page(data, limit, |last| last["id"].as_str().unwrap_or_default().to_owned()))
    }

    pub async fn webhook(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let stored = self.store.read().await?.webhook(id).await?;
        Ok(Answer::done(answer(&stored)).at(stored.revision))
    }

    /// Changes a webhook. What it is to be told already is sent to the new address.
    pub async fn patch_webhook(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let mut stored = write.webhook(id).await?;
        call.check_match(stored.revision)?;
        let webhook = stored.webhook.patched(&call.body)?;
        self.deliverable(&webhook)?;
        if let Some(environment) = &webhook.environment {
            write.environment(environment).await?;
        }
        write.update_webhook(&stored.webhook, &webhook).await?;
        (stored.webhook, stored.revision) = (webhook, write.revision);
        let answer = Answer::done(answer(&stored)).at(stored.revision);
        self.finish(write, call, answer).await
    }

    /// Deletes a webhook, with all that it has not been told yet.
    pub async fn delete_webhook(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let stored = write.webhook(id).await?;
        call.check_match(stored.revision)?;
        write.delete_webhook(&stored.webhook).await?;
        self.finish(write, call, Answer::gone()).await
    }

    /// Lets a new secret follow on a webhook's: both sign for a day, or the new one alone in an emergency.
    pub async fn rotate_webhook_secret(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut emergency = false;
        if !call.body.is_null() {
            let mut members = Node::root(&call.body).members()?;
            if let Some(node) = members.optional("emergency") {
                emergency = node.boolean()?;
            }
            members.finish()?;
        }
        let key = MessageKey::generate()?;
        let mut write = self.open(call).await?;
        let mut stored = write.webhook(id).await?;
        call.check_match(stored.revision)?;
        let former = (!emergency).then(|| (stored.secrets.sealed, write.now.plus_seconds(OVERLAP)));
        stored.secrets = Secrets { sealed: key.seal(&self.key, id)?, former };
        stored.revision = write.revision;
        write.set_webhook_secrets(&stored.webhook, &stored.secrets).await?;
        write.remark("the secret of a webhook was replaced");
        let mut body = answer(&stored);
        body["secret"] = key.shown().expose().into();
        body["former_secret_until"] = json!(stored.secrets.former.map(|(_, until)| until));
        self.finish(write, call, Answer::created(body, stored.revision)).await
    }

    /// Sends a webhook an event that says nothing, in a moment and once.
    pub async fn test_webhook(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        call.no_body()?;
        call.no_change()?;
        let webhook = self.store.read().await?.webhook(id).await?.webhook;
        enabled(&webhook)?;
        let delivery = self.store.enqueue_test(&webhook).await?;
        self.delivery_answer(&webhook.id, &delivery.id).await
    }

    /// What a webhook was told and is to be told, the newest first.
    pub async fn deliveries(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&["state", "cursor", "limit"])?;
        call.may_administer()?;
        let limit = call.limit()?;
        let state = call.parameter("state");
        if let Some(state) = state.filter(|state| !DeliveryState::NAMES.contains(state)) {
            let names = flagbearer::document::list(&DeliveryState::NAMES);
            let detail = format!("`{state}` is not a state; choose from {names}");
            return Err(Error::malformed("PARAMETER_INVALID", detail));
        }
        let mut connection = self.store.read().await?;
        connection.webhook(id).await?;
        let mut data = Vec::new();
        for delivery in connection.deliveries(id, state, call.cursor(), limit).await? {
            data.push(connection.delivery_document(&delivery).await?);
        }
        Ok(Answer::page(data, limit, |last| last["id"].as_str().unwrap_or_default().to_owned()))
    }

    /// One delivery, with what is sent.
    pub async fn delivery(&self, call: &Call, webhook: &str, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        self.delivery_answer(webhook, id).await
    }

    /// Has a delivery sent again, arrived or not.
    pub async fn redeliver(&self, call: &Call, webhook: &str, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        call.no_body()?;
        call.no_change()?;
        enabled(&self.store.read().await?.webhook(webhook).await?.webhook)?;
        self.store.redeliver(webhook, id).await?;
        self.delivery_answer(webhook, id).await
    }

    async fn delivery_answer(&self, webhook: &str, id: &str) -> Result<Answer> {
        let mut connection = self.store.read().await?;
        connection.webhook(webhook).await?;
        let delivery = connection.delivery(webhook, id).await?;
        let mut document = connection.delivery_document(&delivery).await?;
        document["body"] = connection.delivery_body(&delivery).await?;
        Ok(Answer::done(document))
    }

    /// Refuses an address that nothing would ever be sent to. Where its name leads is judged each time something is.
    fn deliverable(&self, webhook: &Webhook) -> Result<()> {
        match self.issuer.outbound().check(&webhook.url) {
            Ok(_) => Ok(()),
            Err(refused) => Err(flagbearer::error::Error::at(ErrorCode::ValueInvalid, "/url", refused.to_string()).into()),
        }
    }
}

fn enabled(webhook: &Webhook) -> Result<()> {
    if webhook.enabled {
        return Ok(());
    }
    let detail = format!("the webhook `{}` is switched off, and nothing is sent to it; set `enabled` first", webhook.id);
    Err(Error::conflict("WEBHOOK_DISABLED", detail))
}
