//! `flagbearer api-keys`.

use clap::Subcommand;
use serde_json::json;

use super::Run;
use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::body;
use super::show::{print, text, words};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List API keys; the keys themselves are never shown again.
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Show who a key belongs to, and what it may do.
    Show {
        /// The key's id, as `list` shows it.
        id: String,
    },
    /// Create an API key, shown this once.
    Create {
        /// A name for people, such as who uses it.
        name: String,
        /// viewer (reads), application (starts sessions and evaluates), editor (changes flags), or administrator.
        #[arg(long)]
        role: String,
        /// Good for this environment alone.
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Rename an API key.
    Edit {
        /// The key's id, as `list` shows it.
        id: String,
        /// The new name.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        write: Write,
    },
    /// Delete an API key; from now on it is refused.
    Delete {
        /// The key's id, as `list` shows it.
        id: String,
        #[command(flatten)]
        write: Write,
    },
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let columns = [
                    text("ID", "/id"),
                    text("NAME", "/name"),
                    text("ROLE", "/role"),
                    text("ENVIRONMENT", "/environment"),
                    text("CREATED", "/created_at"),
                ];
                client.list(Request::get(["api-keys"]).page(&page), &columns).await
            }
            Self::Show { id } => client.show(Request::get(["api-keys", &id])).await,
            Self::Create { name, role, environment, write } => {
                let body = body(json!({ "name": name, "role": role, "environment": environment }), &[])?;
                let request = Request::post(["api-keys"]).body(body).write(&write);
                let answer = client.changed(request, &format!("Created the API key {name}, shown this once")).await?;
                if !client.json {
                    print(&format!("  {}\n", words(&answer["key"])));
                }
                Ok(())
            }
            Self::Edit { id, name, write } => {
                let request = Request::patch(["api-keys", &id]).body(json!({ "name": name })).write(&write);
                client.change(request, &format!("Renamed the API key {id}")).await
            }
            Self::Delete { id, write } => client.remove(["api-keys", &id], &write, &format!("the API key {id}")).await,
        }
    }
}
