//! `flagbearer organizations`.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::body;
use super::show::text;
use super::{Run, value};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List organizations.
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Show an organization.
    Show {
        /// The organization's id.
        id: String,
    },
    /// Create an organization. A session that names an unknown one creates it, too.
    Create {
        /// The id that your own systems know it by.
        id: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        write: Write,
    },
    /// Change an organization.
    Edit {
        /// The organization's id.
        id: String,
        #[command(flatten)]
        fields: Fields,
        /// Take something away: name (back to the id) or attributes.
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        unset: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Delete an organization, with its memberships, overrides and sessions.
    Delete {
        /// The organization's id.
        id: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args, Serialize)]
pub struct Fields {
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
                let columns = [text("ID", "/id"), text("NAME", "/name"), text("ATTRIBUTES", "/attributes")];
                client.list(Request::get(["organizations"]).page(&page), &columns).await
            }
            Self::Show { id } => client.show(Request::get(["organizations", &id])).await,
            Self::Create { id, fields, write } => {
                let mut body = body(&fields, &[])?;
                body["id"] = id.as_str().into();
                let request = Request::post(["organizations"]).body(body).write(&write);
                client.change(request, &format!("Created the organization {id}")).await
            }
            Self::Edit { id, fields, unset, write } => {
                client.edit(["organizations", &id], body(&fields, &unset)?, &write, &format!("the organization {id}")).await
            }
            Self::Delete { id, write } => {
                client.remove(["organizations", &id], &write, &format!("the organization {id}")).await
            }
        }
    }
}
