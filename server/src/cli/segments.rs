//! `flagbearer segments`.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::body;
use super::show::text;
use super::{Run, value};

const HELP: &str = "\
A condition looks at attributes, such as this one for every organization whose `plan` is `enterprise`:
  flagbearer segments create enterprise --condition '{\"organization\": \"plan\", \"equals\": \"enterprise\"}'
It may also be a combination: {\"all\": [...]}, {\"any\": [...]}, {\"not\": {...}}.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List segments.
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Show a segment.
    Show {
        /// The segment's key.
        key: String,
    },
    /// Create a segment.
    #[command(after_help = HELP)]
    Create {
        /// The segment's key.
        key: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        write: Write,
    },
    /// Change a segment. Lists and the condition are replaced; `add` and `remove` change one member.
    #[command(after_help = HELP)]
    Edit {
        /// The segment's key.
        key: String,
        #[command(flatten)]
        fields: Fields,
        /// Take something away: condition.
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        unset: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// List one more user or organization.
    Add {
        /// The segment's key.
        key: String,
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        write: Write,
    },
    /// Take one user or organization off the list; the condition may still hold for it.
    Remove {
        /// The segment's key.
        key: String,
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        write: Write,
    },
    /// Delete a segment that no rule refers to.
    Delete {
        /// The segment's key.
        key: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args, Serialize)]
pub struct Fields {
    /// A name for people. [default: the key]
    #[arg(long)]
    name: Option<String>,
    /// A user that belongs to it; may be repeated.
    #[arg(long = "user", value_name = "ID")]
    users: Option<Vec<String>>,
    /// An organization that belongs to it; may be repeated.
    #[arg(long = "organization", value_name = "ID")]
    organizations: Option<Vec<String>>,
    /// Whoever fulfils this belongs to it, too: JSON, @FILE, or @- for standard input.
    #[arg(long, value_name = "JSON", value_parser = value::document)]
    condition: Option<Value>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct One {
    /// The user.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// The organization.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
}

impl One {
    fn path(&self) -> [&str; 2] {
        match &self.user {
            Some(user) => ["users", user],
            None => ["organizations", self.organization.as_deref().unwrap_or_default()],
        }
    }
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { page } => {
                let columns = [
                    text("KEY", "/key"),
                    text("NAME", "/name"),
                    text("USERS", "/users"),
                    text("ORGANIZATIONS", "/organizations"),
                    text("CONDITION", "/condition"),
                ];
                client.list(Request::get(["segments"]).page(&page), &columns).await
            }
            Self::Show { key } => client.show(Request::get(["segments", &key])).await,
            Self::Create { key, fields, write } => {
                let mut body = body(&fields, &[])?;
                body["key"] = key.as_str().into();
                let request = Request::post(["segments"]).body(body).write(&write);
                client.change(request, &format!("Created the segment `{key}`")).await
            }
            Self::Edit { key, fields, unset, write } => {
                client.edit(["segments", &key], body(&fields, &unset)?, &write, &format!("the segment `{key}`")).await
            }
            Self::Add { key, one, write } => {
                let request = Request::put(["segments", &key]).below(one.path()).write(&write);
                client.change(request, &format!("Added {} to the segment `{key}`", one.path()[1])).await
            }
            Self::Remove { key, one, write } => {
                let request = Request::delete(["segments", &key]).below(one.path()).write(&write);
                client.change(request, &format!("Took {} off the segment `{key}`", one.path()[1])).await
            }
            Self::Delete { key, write } => client.remove(["segments", &key], &write, &format!("the segment `{key}`")).await,
        }
    }
}
