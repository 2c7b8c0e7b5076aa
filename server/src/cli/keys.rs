//! `flagbearer keys`.

use clap::Subcommand;
use serde_json::json;

use super::Run;
use super::client::{Client, Request, Write};
use super::failure::Failure;
use super::fields::body;
use super::show::{Column, print, table, text};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the keys that sign tokens, those that are to sign, and those that did.
    List {
        /// Only this environment's.
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
    },
    /// Let new keys follow on an environment's. They are published now and sign in a quarter of an hour; no token is
    /// refused meanwhile.
    Rotate {
        /// Whose keys.
        #[arg(long, short, value_name = "NAME")]
        environment: String,
        /// EdDSA, ES256 or RS256; all three where not said.
        #[arg(long, value_name = "NAME")]
        algorithm: Option<String>,
        /// Strangers may know the keys: new ones sign at once, and every token that was signed before is refused as soon
        /// as its reader fetches the keys again, mostly within five minutes. Signed-in users stay signed in.
        #[arg(long)]
        emergency: bool,
        #[command(flatten)]
        write: Write,
    },
}

const COLUMNS: [Column; 6] = [
    text("KEY", "/kid"),
    text("ENVIRONMENT", "/environment"),
    text("ALGORITHM", "/algorithm"),
    text("STATE", "/state"),
    text("SIGNS FROM", "/signs_from"),
    text("PUBLISHED UNTIL", "/published_until"),
];

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { environment } => {
                client.list(Request::get(["signing-keys"]).query("environment", environment.as_deref()), &COLUMNS).await
            }
            Self::Rotate { environment, algorithm, emergency, write } => {
                let document = json!({ "environment": environment, "algorithm": algorithm, "emergency": emergency });
                let request = Request::post(["signing-keys"]).below(["rotate"]).body(body(document, &[])?).write(&write);
                let answer = client.changed(request, &format!("Rotated keys of the environment `{environment}`")).await?;
                if !client.json {
                    print(&table(answer["keys"].as_array().map(Vec::as_slice).unwrap_or_default(), &COLUMNS));
                }
                Ok(())
            }
        }
    }
}
