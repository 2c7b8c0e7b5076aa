//! `flagbearer webhooks`.

use clap::{ArgAction, Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::Run;
use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::{body, list};
use super::show::{print, text, words};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List webhooks, and since when what is failing does.
    List {
        /// Only those of this environment.
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show a webhook; its secret is never shown again.
    Show {
        /// Its id, `wh_…`.
        id: String,
    },
    /// Create a webhook. What its messages are signed with is shown this once.
    Create {
        /// Where events are posted to; no secret, since it is in the change log.
        url: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        write: Write,
    },
    /// Change a webhook.
    Edit {
        /// Its id, `wh_…`.
        id: String,
        /// Where events are posted to, those included that wait already.
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        fields: Fields,
        /// Take something away: events (then all are told), environment, description.
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        unset: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Delete a webhook, with all that it has not been told yet.
    Delete {
        /// Its id, `wh_…`.
        id: String,
        #[command(flatten)]
        write: Write,
    },
    /// Let a new secret follow, shown this once. The former one signs too for a day.
    RotateSecret {
        /// Its id, `wh_…`.
        id: String,
        /// The former secret is known to strangers: it signs no more, from now on.
        #[arg(long)]
        emergency: bool,
        #[command(flatten)]
        write: Write,
    },
    /// Send an event that says nothing; `delivery` shows how it went.
    Test {
        /// Its id, `wh_…`.
        id: String,
    },
    /// List what a webhook was told and is to be told, the newest first.
    Deliveries {
        /// Its id, `wh_…`.
        id: String,
        /// pending, delivered, or given_up.
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show a delivery: its attempts, and what is sent.
    Delivery {
        /// The webhook's id, `wh_…`.
        webhook: String,
        /// The delivery's id, `msg_…`.
        id: String,
    },
    /// Send a delivery again, whether it arrived or not.
    Redeliver {
        /// The webhook's id, `wh_…`.
        webhook: String,
        /// The delivery's id, `msg_…`.
        id: String,
    },
}

#[derive(Debug, Args, Serialize)]
pub struct Fields {
    /// What it is told of: flag.created, flag.updated, flag.rule_updated, flag.deleted. [default: all of them]
    #[arg(long, value_name = "EVENTS", value_parser = list)]
    events: Option<Value>,
    /// Told of this environment alone, and of what concerns all.
    #[arg(long, short, value_name = "NAME")]
    environment: Option<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whether it is told anything. [default: true]
    #[arg(long, action = ArgAction::Set, value_name = "true|false")]
    enabled: Option<bool>,
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { environment, page } => {
                let columns = [
                    text("ID", "/id"),
                    text("URL", "/url"),
                    text("EVENTS", "/events"),
                    text("ENVIRONMENT", "/environment"),
                    text("ENABLED", "/enabled"),
                    text("FAILING SINCE", "/failing_since"),
                ];
                let request = Request::get(["webhooks"]).query("environment", environment.as_deref());
                client.list(request.page(&page), &columns).await
            }
            Self::Show { id } => client.show(Request::get(["webhooks", &id])).await,
            Self::Create { url, fields, write } => {
                let mut body = body(&fields, &[])?;
                body["url"] = url.as_str().into();
                let request = Request::post(["webhooks"]).body(body).write(&write);
                let answer =
                    client.changed(request, &format!("Created a webhook for {url}; its secret is shown this once")).await?;
                show_secret(client, &answer);
                Ok(())
            }
            Self::Edit { id, url, fields, unset, write } => {
                let mut body = body(&fields, &unset)?;
                if let Some(url) = url {
                    body["url"] = url.into();
                }
                client.edit(["webhooks", &id], body, &write, &format!("the webhook {id}")).await
            }
            Self::Delete { id, write } => client.remove(["webhooks", &id], &write, &format!("the webhook {id}")).await,
            Self::RotateSecret { id, emergency, write } => {
                let body = json!({ "emergency": emergency });
                let request = Request::post(["webhooks", &id, "rotate-secret"]).body(body).write(&write);
                let done = format!("Replaced the secret of the webhook {id}; the new one is shown this once");
                let answer = client.changed(request, &done).await?;
                show_secret(client, &answer);
                Ok(())
            }
            Self::Test { id } => client.show(Request::post(["webhooks", &id, "test"])).await,
            Self::Deliveries { id, state, page } => {
                let columns = [
                    text("ID", "/id"),
                    text("EVENT", "/event"),
                    text("REVISION", "/revision"),
                    text("STATE", "/state"),
                    text("CREATED", "/created_at"),
                    text("NEXT ATTEMPT", "/next_attempt_at"),
                    text("LAST STATUS", "/last/status"),
                    text("LAST ERROR", "/last/error"),
                ];
                let request = Request::get(["webhooks", &id, "deliveries"]).query("state", state.as_deref());
                let last = |row: &mut Value| {
                    row["last"] =
                        row["attempts"].as_array().and_then(|attempts| attempts.last()).cloned().unwrap_or_default();
                };
                client.list_with(request.page(&page), &columns, last).await
            }
            Self::Delivery { webhook, id } => client.show(Request::get(["webhooks", &webhook, "deliveries", &id])).await,
            Self::Redeliver { webhook, id } => {
                client.show(Request::post(["webhooks", &webhook, "deliveries", &id, "redeliver"])).await
            }
        }
    }
}

fn show_secret(client: &Client, answer: &Value) {
    if !client.json {
        print(&format!("  id      {}\n  secret  {}\n", words(&answer["id"]), words(&answer["secret"])));
    }
}
