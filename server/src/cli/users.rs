//! `flagbearer users`.

use std::io::{IsTerminal, stdin};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::body;
use super::show::{print, text, words};
use super::{Run, value};
use crate::secret::Secret;

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
        /// Take something away: email, name, picture, password or attributes.
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        unset: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Set the password that a user signs in by: asked for, or the first line of standard input. Sessions end.
    SetPassword {
        /// The user's id.
        id: String,
        #[command(flatten)]
        write: Write,
    },
    /// Make a link by which a user sets a new password: good once, for an hour.
    ResetLink {
        /// The user's id.
        id: String,
        /// At this environment's page; the default one's where none is named.
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Delete a user, with its memberships, overrides and sessions.
    Delete {
        /// The user's id.
        id: String,
        /// Erase it for good: from the change log, lists, sessions and recorded tokens too, also where it was deleted before.
        #[arg(long)]
        erase: bool,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args, Serialize)]
pub struct Fields {
    /// The address; it is in no token and not in the change log.
    #[arg(long)]
    email: Option<String>,
    /// Whether the address is known to be the user's own.
    #[arg(long, value_name = "true|false")]
    email_verified: Option<bool>,
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// The URL of a picture.
    #[arg(long, value_name = "URL")]
    picture: Option<String>,
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
                client.change(request, &format!("Created the user {id}")).await
            }
            Self::Edit { id, fields, unset, write } => {
                client.edit(["users", &id], body(&fields, &unset)?, &write, &format!("the user {id}")).await
            }
            Self::SetPassword { id, write } => {
                let password = password()?;
                let request = Request::patch(["users", &id]).body(json!({ "password": password.expose() })).write(&write);
                client
                    .change(request, &format!("Set the password of the user {id}; sessions and browsers are signed out"))
                    .await
            }
            Self::ResetLink { id, environment, write } => {
                let body = body(json!({ "environment": environment }), &[])?;
                let request = Request::post(["users", &id, "password-reset"]).body(body).write(&write);
                let answer = client.changed(request, &format!("Made a link for the user {id}")).await?;
                if !client.json {
                    print(&format!("  {}\n", words(&answer["url"])));
                    print(&format!(
                        "It is good once, until {}. Whoever has it can sign in as the user.\n",
                        words(&answer["expires_at"])
                    ));
                }
                Ok(())
            }
            Self::Delete { id, erase, write } => {
                let request = Request::delete(["users", &id]).query("erase", erase.then_some("true")).write(&write);
                let done = if erase { "Erased" } else { "Deleted" };
                client.change(request, &format!("{done} the user {id}")).await
            }
        }
    }
}

/// A new password: typed twice without being shown, or the first line of standard input. Never an argument: others see those.
fn password() -> Result<Secret, Failure> {
    let unreadable = |error| Failure::new("PASSWORD_MISSING", format!("no password could be read: {error}"));
    if !stdin().is_terminal() {
        let mut line = String::new();
        stdin().read_line(&mut line).map_err(unreadable)?;
        let line = Zeroizing::new(line);
        return Ok(Secret::new(line.trim_end_matches(['\r', '\n'])));
    }
    let ask = |prompt| rpassword::prompt_password(prompt).map(Secret::new).map_err(unreadable);
    let password = ask("New password: ")?;
    if ask("Again: ")?.expose() != password.expose() {
        return Err(Failure::new("ARGUMENT_INVALID", "the two are not the same; nothing was changed"));
    }
    Ok(password)
}
