//! `flagbearer environments`.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::Run;
use super::client::{Client, Request, Write};
use super::failure::Failure;
use super::fields::body;
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
        /// What changes who gets what there waits for a second administrator.
        #[arg(long)]
        approvals: bool,
        /// Whoever comes to its sign-in page may make an account.
        #[arg(long)]
        sign_up: bool,
        /// Its issuer is https://HOST, not a path of the public URL; cannot be changed later.
        #[arg(long)]
        host: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Change who may do what there.
    Edit {
        /// Its name.
        name: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        write: Write,
    },
    /// List the flags that WorkOS's runtime clients are not told of, because names alone do not say who gets them.
    LeftOut {
        /// The environment's name.
        name: String,
    },
    /// Make every token of an environment that was issued until now stale: readers that follow the watermark ask for a
    /// refresh.
    MinRevision {
        /// The environment's name.
        name: String,
        #[command(flatten)]
        write: Write,
    },
    /// Delete an environment that no application is in: repeat its name as --confirm NAME.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args, Serialize)]
pub struct Fields {
    /// Whether only administrators may change flags there.
    #[arg(long, value_name = "true|false")]
    protected: Option<bool>,
    /// Whether what changes who gets what there waits for a second administrator; to switch that off needs one, too.
    #[arg(long, value_name = "true|false")]
    approvals: Option<bool>,
    /// Whether whoever comes to its sign-in page may make an account.
    #[arg(long, value_name = "true|false")]
    sign_up: Option<bool>,
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List => {
                let columns = [
                    text("NAME", "/name"),
                    text("DEFAULT", "/default"),
                    text("PROTECTED", "/protected"),
                    text("APPROVALS", "/approvals"),
                    text("SIGN-UP", "/sign_up"),
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
            Self::Create { name, protected, approvals, sign_up, host, write } => {
                let fields = json!({
                    "name": name, "protected": protected, "approvals": approvals, "sign_up": sign_up, "host": host,
                });
                let request = Request::post(["environments"]).body(body(fields, &[])?).write(&write);
                client.change(request, &format!("Created the environment `{name}`")).await
            }
            Self::Edit { name, fields, write } => {
                let body = body(fields, &[])?;
                client.edit(["environments", &name], body, &write, &format!("the environment `{name}`")).await
            }
            Self::MinRevision { name, write } => {
                let request = Request::post(["environments", &name, "min-revision"]).write(&write);
                client.change(request, &format!("Every older token of `{name}` is stale now")).await
            }
            Self::Delete { name, write } => {
                client.remove(["environments", &name], &write, &format!("the environment `{name}`")).await
            }
        }
    }
}
