//! `flagbearer members`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Run;
use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::{body, list};
use super::show::text;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the members of an organization.
    List {
        /// The organization's id.
        organization: String,
        #[command(flatten)]
        page: Page,
    },
    /// Show a user's roles and permissions in an organization.
    Show {
        /// The organization's id.
        organization: String,
        /// The user's id.
        user: String,
    },
    /// Make a user a member, or replace the member's roles and permissions.
    #[command(visible_alias = "edit")]
    Create {
        /// The organization's id.
        organization: String,
        /// The user's id.
        user: String,
        /// Roles, separated by commas.
        #[arg(long, value_parser = list)]
        roles: Option<Value>,
        /// Permissions, separated by commas.
        #[arg(long, value_parser = list)]
        permissions: Option<Value>,
        #[command(flatten)]
        write: Write,
    },
    /// Remove a member; its sessions in this organization end.
    Delete {
        /// The organization's id.
        organization: String,
        /// The user's id.
        user: String,
        #[command(flatten)]
        write: Write,
    },
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { organization, page } => {
                let columns = [text("USER", "/user"), text("ROLES", "/roles"), text("PERMISSIONS", "/permissions")];
                client.list(Request::get(["organizations", &organization, "members"]).page(&page), &columns).await
            }
            Self::Show { organization, user } => {
                client.show(Request::get(["organizations", &organization, "members", &user])).await
            }
            Self::Create { organization, user, roles, permissions, write } => {
                let body = body(json!({ "roles": roles, "permissions": permissions }), &[])?;
                let request = Request::put(["organizations", &organization, "members", &user]).body(body).write(&write);
                client.change(request, &format!("{user} is a member of {organization}")).await
            }
            Self::Delete { organization, user, write } => {
                let request = Request::delete(["organizations", &organization, "members", &user]).write(&write);
                client.change(request, &format!("{user} is not a member of {organization} any more")).await
            }
        }
    }
}
