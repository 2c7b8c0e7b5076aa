//! `flagbearer users`.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::{body, not_empty};
use super::show::text;
use super::{Run, value};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List users.
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Show a user.
    Show {
        /// The user's id.
        id: String,
    },
    /// Create a user. A session that names an unknown one creates it, too.
    Create {
        /// The id that your own systems know it by.
        id: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        write: Write,
    },
    /// Change a user.
    Edit {
        /// The user's id.
        id: String,
        #[command(flatten)]
        fields: Fields,
        /// Take something away: email, name or attributes.
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        unset: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Delete a user, with its memberships, overrides and sessions.
    Delete {
        /// The user's id.
        id: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args, Serialize)]
pub struct Fields {
    /// The address; it is in no token and not in the change log.
    #[arg(long)]
    email: Option<String>,
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// What conditions of segments may ask for, all of them: JSON such as '{"plan": "pro"}', @FILE, or @- for standard input.
    #[arg(long, value_name = "JSON", value_parser = value::document)]
    attributes: Option<Value>,
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let columns =
                    [text("ID", "/id"), text("EMAIL", "/email"), text("NAME", "/name"), text("ATTRIBUTES", "/attributes")];
                client.list(Request::get(["users"]).page(&page), &columns).await
            }
            Self::Show { id } => client.show(Request::get(["users", &id])).await,
            Self::Create { id, fields, write } => {
                let mut body = body(&fields, &[])?;
                body["id"] = id.as_str().into();
                let request = Request::post(["users"]).body(body).write(&write);
                client.change(request, &format!("Created the user {id}")).await.map(drop)
            }
            Self::Edit { id, fields, unset, write } => {
                let body = body(&fields, &unset)?;
                not_empty(&body)?;
                let request = Request::patch(["users", &id]).body(body).write(&write);
                client.change(request, &format!("Changed the user {id}")).await.map(drop)
            }
            Self::Delete { id, write } => {
                let request = Request::delete(["users", &id]).write(&write);
                client.change(request, &format!("Deleted the user {id}")).await.map(drop)
            }
        }
    }
}
