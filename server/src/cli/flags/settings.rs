//! What one environment holds for one flag: shown, replaced, targeted.

use clap::Args;
use serde_json::{Map, Value, json};

use super::flag_type;
use crate::cli::client::{Client, Page, Request, Write};
use crate::cli::failure::Failure;
use crate::cli::show::{text, value as value_column};
use crate::cli::{rules, value};

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Change {
    /// Switch it on: rules and values count.
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Switch it off: everybody gets the off value.
    #[arg(long)]
    off: bool,
    /// The value of this environment, for everybody whom no rule reaches.
    #[arg(long, allow_hyphen_values = true, conflicts_with = "no_value")]
    value: Option<String>,
    /// Take the environment's value away.
    #[arg(long)]
    no_value: bool,
    /// All the rules, in order: JSON, @FILE, or @- for standard input.
    #[arg(long, value_name = "JSON", value_parser = value::document)]
    rules: Option<Value>,
    /// The whole setting, replaced: JSON, @FILE, or @- for standard input.
    #[arg(long, value_name = "JSON", value_parser = value::document,
          conflicts_with_all = ["on", "off", "value", "no_value", "rules"])]
    setting: Option<Value>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Audience {
    /// Nobody.
    #[arg(long, conflicts_with_all = ["all", "user", "organization", "segment"])]
    none: bool,
    /// Everybody.
    #[arg(long, conflicts_with_all = ["user", "organization", "segment"])]
    all: bool,
    /// This user; may be repeated.
    #[arg(long, value_name = "ID")]
    user: Vec<String>,
    /// Everybody in this organization; may be repeated.
    #[arg(long, value_name = "ID")]
    organization: Vec<String>,
    /// Everybody in this segment; may be repeated.
    #[arg(long, value_name = "KEY")]
    segment: Vec<String>,
    /// This user in addition to those who get it already.
    #[arg(long, value_name = "ID", conflicts_with_all = EDITS)]
    add_user: Option<String>,
    /// This organization in addition to those that get it already.
    #[arg(long, value_name = "ID", conflicts_with_all = EDITS)]
    add_organization: Option<String>,
    /// Not this user any more.
    #[arg(long, value_name = "ID", conflicts_with_all = EDITS)]
    remove_user: Option<String>,
    /// Not this organization any more.
    #[arg(long, value_name = "ID", conflicts_with_all = EDITS)]
    remove_organization: Option<String>,
}

/// Whoever adds or removes one does not write the whole list.
const EDITS: [&str; 6] = ["none", "all", "user", "organization", "segment", "value"];

impl Audience {
    /// The one user or organization to be added (`true`) or removed.
    fn edit(&self) -> Option<(bool, &'static str, &str)> {
        [
            (true, "users", &self.add_user),
            (true, "organizations", &self.add_organization),
            (false, "users", &self.remove_user),
            (false, "organizations", &self.remove_organization),
        ]
        .into_iter()
        .find_map(|(add, kind, id)| id.as_deref().map(|id| (add, kind, id)))
    }

    fn body(&self) -> Value {
        match (self.none, self.all) {
            (true, _) => json!({ "audience": "none" }),
            (_, true) => json!({ "audience": "all" }),
            _ => json!({
                "audience": "some", "users": self.user, "organizations": self.organization, "segments": self.segment,
            }),
        }
    }
}

/// What an environment says of every flag.
pub async fn list(client: &Client, environment: &str, page: &Page) -> Result<(), Failure> {
    let request = Request::get(["environments", environment, "flags"]).page(page);
    let columns = [
        text("FLAG", "/flag"),
        text("TYPE", "/type"),
        text("ON", "/enabled"),
        value_column("VALUE", "/value"),
        text("RULES", "/rules"),
    ];
    let in_words = |row: &mut Value| row["rules"] = rules::rules(row).into();
    client.list_with(request, &columns, in_words).await
}

/// The API replaces settings whole: reads one, changes it, and writes it back unless somebody else did meanwhile.
pub async fn set(client: &Client, key: &str, environment: &str, change: &Change, write: &Write) -> Result<(), Failure> {
    let path = ["flags", key, "environments", environment];
    let done = format!("Changed `{key}` in {environment}");
    if let Some(setting) = &change.setting {
        return client.change(Request::put(path).body(setting).write(write), &done).await;
    }
    let before = client.send(Request::get(path)).await?;
    let mut setting = Map::new();
    for name in ["enabled", "value", "rules"] {
        setting.insert(name.to_owned(), before[name].clone());
    }
    if change.on || change.off {
        setting.insert("enabled".to_owned(), change.on.into());
    }
    if let Some(given) = &change.value {
        let flag_type = before["type"].as_str().unwrap_or_default();
        setting.insert("value".to_owned(), value::parse(given, flag_type)?);
    }
    if change.no_value {
        setting.insert("value".to_owned(), Value::Null);
    }
    if let Some(rules) = &change.rules {
        setting.insert("rules".to_owned(), rules.clone());
    }
    let done = format!("{done}: {}", rules::setting(&Value::Object(setting.clone())));
    let request = Request::put(path).body(setting).write(write).unless_changed(&before["revision"]);
    client.change(request, &done).await
}

pub async fn target(
    client: &Client,
    key: &str,
    environment: &str,
    audience: &Audience,
    given: Option<&str>,
    write: &Write,
) -> Result<(), Failure> {
    let path = ["flags", key, "environments", environment, "targeting"];
    if let Some((add, kind, id)) = audience.edit() {
        let (request, done) = if add {
            (Request::put(path), format!("Added {id} to those who get `{key}` in {environment}"))
        } else {
            (Request::delete(path), format!("Took {id} from those who get `{key}` in {environment}"))
        };
        return client.change(request.below([kind, id]).write(write), &done).await;
    }
    let mut body = audience.body();
    let mut what = String::new();
    if let Some(given) = given {
        body["value"] = value::parse(given, &flag_type(client, key).await?)?;
        what = format!(" ({})", body["value"]);
    }
    let done = format!("`{key}`{what} is now for {} in {environment}", rules::audience(&body));
    client.change(Request::put(path).body(body).write(write), &done).await
}
