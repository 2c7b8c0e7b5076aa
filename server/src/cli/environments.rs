//! `flagbearer environments`.

use clap::Subcommand;
use serde_json::json;

use super::Run;
use super::client::{Client, Request, Write};
use super::failure::Failure;
use super::show::text;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List environments.
    List,
    /// Show an environment, with the issuer that its tokens name.
    Show {
        /// Its name.
        name: String,
    },
    /// Create an environment. Every flag is in it at once, switched on, with its default value.
    Create {
        /// Small letters, digits and `-`; cannot be changed later.
        name: String,
        /// Only administrators may change flags there.
        #[arg(long)]
        protected: bool,
        #[command(flatten)]
        write: Write,
    },
    /// Say whether only administrators may change flags there.
    Edit {
        /// Its name.
        name: String,
        /// Whether they alone may.
        #[arg(long, action = clap::ArgAction::Set, value_name = "true|false")]
        protected: bool,
        #[command(flatten)]
        write: Write,
    },
    /// List the flags that WorkOS's runtime clients are not told of, because names alone do not say who gets them.
    LeftOut {
        /// The environment's name.
        name: String,
    },
    /// Delete an environment that no application is in: repeat its name as --confirm NAME.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        write: Write,
    },
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List => {
                let columns = [
                    text("NAME", "/name"),
                    text("DEFAULT", "/default"),
                    text("PROTECTED", "/protected"),
                    text("REVISION", "/current_revision"),
                    text("ISSUER", "/issuer"),
                ];
                client.list(Request::get(["environments"]), &columns).await
            }
            Self::Show { name } => client.show(Request::get(["environments", &name])).await,
            Self::LeftOut { name } => {
                let columns = [text("FLAG", "/flag"), text("PAYLOAD", "/payload_version"), text("REASON", "/reason")];
                client.list(Request::get(["environments", &name, "left-out-flags"]), &columns).await
            }
            Self::Create { name, protected, write } => {
                let body = json!({ "name": name, "protected": protected });
                let request = Request::post(["environments"]).body(body).write(&write);
                client.change(request, &format!("Created the environment `{name}`")).await.map(drop)
            }
            Self::Edit { name, protected, write } => {
                let request = Request::patch(["environments", &name]).body(json!({ "protected": protected })).write(&write);
                let done = if protected { "is protected now" } else { "is not protected any more" };
                client.change(request, &format!("The environment `{name}` {done}")).await.map(drop)
            }
            Self::Delete { name, write } => {
                let request = Request::delete(["environments", &name]).write(&write);
                client.change(request, &format!("Deleted the environment `{name}`")).await.map(drop)
            }
        }
    }
}
