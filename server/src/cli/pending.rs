//! `flagbearer pending`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Run;
use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::show::text;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what waits for a second administrator; or what has been decided, with --state.
    List {
        /// pending, applied, rejected, or withdrawn.
        #[arg(long, default_value = "pending")]
        state: String,
        /// Only what is about this environment.
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
        /// Only what this key proposed.
        #[arg(long, value_name = "KEY ID")]
        author: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show a pending change: what is to be written, and what was said and changed since.
    Show {
        /// Its id, `pc_…`.
        id: String,
        /// Also what would come of it now.
        #[arg(long)]
        preview: bool,
    },
    /// Make a change that somebody else proposed.
    Approve {
        /// Its id, `pc_…`.
        id: String,
        #[command(flatten)]
        write: Write,
    },
    /// Decide that a change is not made.
    Reject {
        /// Its id, `pc_…`.
        id: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Say something about a change.
    Comment {
        /// Its id, `pc_…`.
        id: String,
        /// What to say.
        text: String,
    },
    /// Take your own proposal back.
    Withdraw {
        /// Its id, `pc_…`.
        id: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { state, environment, author, page } => {
                let columns = [
                    text("ID", "/id"),
                    text("AUTHOR", "/author/name"),
                    text("PROPOSED", "/created_at"),
                    text("EFFECT", "/effect"),
                    text("ENVIRONMENTS", "/environments"),
                    text("WRITES", "/first"),
                    text("COMMENT", "/comment"),
                ];
                let first = |row: &mut Value| {
                    let writes = row["writes"].as_array().map(Vec::as_slice).unwrap_or_default();
                    let said = writes.first().map(|write| format!("{} {}", word(&write["method"]), word(&write["path"])));
                    let more = if writes.len() > 1 { format!(" and {} more", writes.len() - 1) } else { String::new() };
                    row["first"] = said.map(|said| said + &more).into();
                };
                let request = Request::get(["pending-changes"]).query("state", Some(state.as_str()));
                let request = request.query("environment", environment.as_deref()).query("author", author.as_deref());
                client.list_with(request.page(&page), &columns, first).await
            }
            Self::Show { id, preview } => {
                let request = Request::get(["pending-changes", &id]);
                client.show(request.query("preview", preview.then_some("true"))).await
            }
            Self::Approve { id, write } => {
                let request = Request::post(["pending-changes", &id, "approve"]).write(&write);
                client.change(request, &format!("Approved {id}, and made the change")).await
            }
            Self::Reject { id, comment } => decide(client, &id, "reject", comment, "Rejected").await,
            Self::Comment { id, text } => {
                let request = Request::post(["pending-changes", &id, "comments"]).body(json!({ "text": text }));
                client.show(request).await
            }
            Self::Withdraw { id, comment } => decide(client, &id, "withdraw", comment, "Withdrew").await,
        }
    }
}

async fn decide(client: &Client, id: &str, how: &str, comment: Option<String>, done: &str) -> Result<(), Failure> {
    let mut request = Request::post(["pending-changes", id, how]);
    if let Some(comment) = &comment {
        request = request.comment(comment);
    }
    client.change(request, &format!("{done} {id}")).await
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
