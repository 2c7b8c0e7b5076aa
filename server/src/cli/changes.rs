//! `flagbearer changes`.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde_json::Value;

use super::Run;
use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::show::{aligned, differences, plain, print, text, words};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List changes, the newest first.
    List {
        /// Only of this flag.
        #[arg(long, value_name = "KEY")]
        flag: Option<String>,
        /// Only what touched this environment.
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
        /// Only about this organization.
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
        /// Only about this user.
        #[arg(long, value_name = "ID")]
        user: Option<String>,
        /// Only by the API key with this id.
        #[arg(long, value_name = "ID")]
        actor: Option<String>,
        /// Only at or after this time, such as 2027-01-31T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only before this time.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show a change: what it changed in every document, and what was said of it.
    Show {
        /// Its number, as `list` shows it.
        revision: String,
    },
    /// Take a change back: what it touched is written again as it was before.
    Revert {
        /// Its number, as `list` shows it.
        revision: String,
        #[command(flatten)]
        write: Write,
    },
    /// Say something of a change that was made.
    Comment {
        /// Its number, as `list` shows it.
        revision: String,
        /// What there is to say.
        text: String,
    },
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { flag, environment, organization, user, actor, since, until, page } => {
                let request = Request::get(["changes"])
                    .query("flag", flag.as_deref())
                    .query("environment", environment.as_deref())
                    .query("organization", organization.as_deref())
                    .query("user", user.as_deref())
                    .query("actor", actor.as_deref())
                    .query("since", since.as_deref())
                    .query("until", until.as_deref())
                    .page(&page);
                let columns = [
                    text("REVISION", "/revision"),
                    text("AT", "/at"),
                    text("BY", "/actor/name"),
                    text("WHAT", "/what"),
                    text("COMMENT", "/comment"),
                ];
                let keys = if client.json { Keys::default() } else { Keys::read(client).await? };
                client.list_with(request, &columns, |change| change["what"] = keys.what(change).into()).await
            }
            Self::Show { revision } if client.json => client.show(Request::get(["changes", &revision])).await,
            Self::Show { revision } => {
                let change = client.send(Request::get(["changes", &revision])).await?;
                print(&told(&change, &Keys::read(client).await?));
                Ok(())
            }
            Self::Revert { revision, write } => {
                let request = Request::post(["changes", &revision, "revert"]).write(&write);
                client.change(request, &format!("Took change {revision} back")).await
            }
            Self::Comment { revision, text } => {
                let request = Request::post(["changes", &revision, "comments"]).body(serde_json::json!({ "text": text }));
                client.change(request, &format!("Commented on change {revision}")).await
            }
        }
    }
}

/// A change in words.
fn told(change: &Value, keys: &Keys) -> String {
    let mut head = vec![
        ["comment", &words(&change["comment"])].map(str::to_owned).to_vec(),
        ["request id", &words(&change["request_id"])].map(str::to_owned).to_vec(),
    ];
    for (name, member) in [("reverts", "reverts"), ("reverted by", "reverted_by")] {
        if change[member] != serde_json::json!([]) {
            head.push(vec![name.to_owned(), words(&change[member])]);
        }
    }
    let by = words(&change["actor"]["name"]);
    let mut said = format!("Revision {}, {}, by {by}\n", change["revision"], words(&change["at"]));
    said.push_str(&indented(&aligned(&head)));
    for edit in change["edits"].as_array().into_iter().flatten() {
        said.push_str(&format!("\n{}\n{}", keys.edit(edit), indented(&differences(&edit["differences"]))));
    }
    for comment in change["comments"].as_array().into_iter().flatten() {
        let by = words(&comment["actor"]["name"]);
        said.push_str(&format!("\n{}, {by}\n", words(&comment["at"])));
        let lines = comment["text"].as_str().unwrap_or_default().lines();
        said.push_str(&lines.map(|line| format!("  {}\n", plain(line))).collect::<String>());
    }
    said
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}

/// Flags stand in the log by their ids, which outlive their keys. People know the keys.
#[derive(Debug, Default)]
struct Keys(BTreeMap<String, String>);

impl Keys {
    async fn read(client: &Client) -> Result<Self, Failure> {
        let mut keys = BTreeMap::new();
        for archived in ["false", "true"] {
            let mut cursor = None;
            loop {
                let request = Request::get(["flags"]).query("archived", Some(archived)).query("limit", Some("200"));
                let flags = client.send(request.query("cursor", cursor.as_deref())).await?;
                for flag in flags["data"].as_array().into_iter().flatten() {
                    keys.insert(words(&flag["id"]), words(&flag["key"]));
                }
                cursor = flags["next_cursor"].as_str().map(str::to_owned);
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(Self(keys))
    }

    fn what(&self, change: &Value) -> String {
        let edits = change["edits"].as_array().into_iter().flatten();
        edits.map(|edit| self.edit(edit)).collect::<Vec<_>>().join("; ")
    }

    fn edit(&self, edit: &Value) -> String {
        let verb = match (edit["before"].is_null(), edit["after"].is_null()) {
            (true, _) => "added",
            (_, true) => "removed",
            _ => "changed",
        };
        let mut said = format!("{verb} {}", words(&edit["entity"]));
        let named = |document: &Value| document["key"].as_str().map(str::to_owned);
        match edit["flag"].as_str() {
            Some(flag) => {
                let key = self.0.get(flag).cloned().or_else(|| named(&edit["before"])).or_else(|| named(&edit["after"]));
                said.push_str(&format!(" {}", words(&key.unwrap_or_else(|| flag.to_owned()).into())));
            }
            None if edit["user"].is_null() && edit["organization"].is_null() => {
                said.push_str(&format!(" {}", words(&edit["id"])));
            }
            None => {}
        }
        for (word, member) in [("user", "user"), ("organization", "organization"), ("in", "environment")] {
            if let Some(name) = edit[member].as_str() {
                let word = if edit["entity"] == word { "" } else { word };
                let space = if word.is_empty() { "" } else { " " };
                said.push_str(&format!("{space}{word} {}", words(&name.into())));
            }
        }
        said
    }
}
