//! `flagbearer flags`.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::{body, list, not_empty};
use super::show::{Column, aligned, differences, document, print, table, text, value as value_column, words};
use super::{Run, rules, value};

pub const HELP: &str = "\
Examples:
  flagbearer flags create new_ai_model --type boolean --default false
  flagbearer flags target new_ai_model -e production --organization org_xyz789
  flagbearer flags target new_ai_model -e production --all
  flagbearer flags override new_ai_model false -e production --organization org_a
  flagbearer flags kill new_ai_model -e production
  flagbearer flags show new_ai_model
  flagbearer flags list --stale

Each change says its effect:
  widened     some get it now, and nobody lost it
  narrowed    some lost it, and nobody got it
  unchanged   everybody gets what they got
  mixed       none of these can be promised
and `held out` names who is covered by the change and yet does not get it.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List flags; with --environment, what that environment says of each.
    List {
        /// Only flags whose key or name contains this.
        #[arg(long, value_name = "TEXT")]
        query: Option<String>,
        /// Only flags with this tag.
        #[arg(long)]
        tag: Option<String>,
        /// Only flags of this kind.
        #[arg(long)]
        kind: Option<String>,
        /// List the archived flags instead.
        #[arg(long)]
        archived: bool,
        /// Only flags that have outlived their use, each with why.
        #[arg(long, conflicts_with = "archived")]
        stale: bool,
        /// For how many days nothing has to have changed. [default: 30]
        #[arg(long, value_name = "DAYS", requires = "stale")]
        stale_after: Option<String>,
        /// List the settings of this environment.
        #[arg(long, short, value_name = "NAME", conflicts_with_all = ["query", "tag", "kind", "archived", "stale"])]
        environment: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show a flag and who gets what; with --environment, what that environment alone says.
    Show {
        /// The flag's key.
        key: String,
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
    },
    /// Create a flag. Everybody gets its default value until you say otherwise.
    #[command(after_help = value::HELP)]
    Create {
        /// The name that code asks for; cannot be changed later.
        key: String,
        /// boolean, string, integer or json; cannot be changed later.
        #[arg(long = "type", value_name = "TYPE")]
        flag_type: String,
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        write: Write,
    },
    /// Change what a flag is called, or the value that everybody gets by default.
    #[command(after_help = value::HELP)]
    Edit {
        /// The flag's key.
        key: String,
        #[command(flatten)]
        values: Values,
        #[command(flatten)]
        fields: Fields,
        /// Take something away again: off-value, description, owner or remove-after.
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        unset: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Switch a flag on or off in an environment, give the environment a value, or write its rules.
    #[command(after_help = value::HELP)]
    Set {
        /// The flag's key.
        key: String,
        /// Where.
        #[arg(long, short, value_name = "NAME")]
        environment: String,
        #[command(flatten)]
        change: Change,
        #[command(flatten)]
        write: Write,
    },
    /// Say who gets a flag in an environment: nobody, some, or everybody.
    #[command(after_help = value::HELP)]
    Target {
        /// The flag's key.
        key: String,
        /// Where.
        #[arg(long, short, value_name = "NAME")]
        environment: String,
        #[command(flatten)]
        audience: Audience,
        /// What they get. A boolean flag needs none: it is `true`.
        #[arg(long, allow_hyphen_values = true)]
        value: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Give one user (everywhere) or one organization (in an environment) a value of its own.
    #[command(after_help = value::HELP)]
    Override {
        /// The flag's key.
        key: String,
        /// The value.
        #[arg(required_unless_present = "remove", allow_hyphen_values = true)]
        value: Option<String>,
        #[command(flatten)]
        whose: Whose,
        /// Take the override away.
        #[arg(long, conflicts_with_all = ["value", "note", "expires_at"])]
        remove: bool,
        /// Why; shown wherever the override holds somebody out.
        #[arg(long)]
        note: Option<String>,
        /// When it stops by itself, such as 2027-01-31T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// List the overrides of a flag, or remove them all at once.
    Overrides {
        /// The flag's key.
        key: String,
        /// Only organizations' overrides in this environment.
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
        /// Only those of a `user` or of an `organization`.
        #[arg(long)]
        level: Option<String>,
        /// Remove them.
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        write: Write,
    },
    /// Switch a flag off at once, also for tokens that are out already: readers that follow the watermark answer its off
    /// value within a second. Editors may, everywhere.
    Kill {
        /// The flag's key.
        key: String,
        /// Where.
        #[arg(long, short, value_name = "NAME")]
        environment: String,
        #[command(flatten)]
        write: Write,
    },
    /// Switch a killed flag on again. Older tokens are believed again.
    Revive {
        /// The flag's key.
        key: String,
        /// Where.
        #[arg(long, short, value_name = "NAME")]
        environment: String,
        #[command(flatten)]
        write: Write,
    },
    /// Copy a flag's setting from one environment to another, and show what that changes there.
    Promote {
        /// The flag's key.
        key: String,
        /// The environment whose setting is copied.
        #[arg(long, value_name = "NAME")]
        from: String,
        /// The environment that gets it.
        #[arg(long, value_name = "NAME")]
        to: String,
        #[command(flatten)]
        write: Write,
    },
    /// Take a flag out of all tokens, and keep everything it has.
    Archive {
        /// The flag's key.
        key: String,
        #[command(flatten)]
        write: Write,
    },
    /// Put an archived flag back.
    Restore {
        /// The flag's key.
        key: String,
        #[command(flatten)]
        write: Write,
    },
    /// Delete a flag in every environment: without its key as --confirm KEY, says what would be lost. Its history remains.
    Delete {
        /// The flag's key.
        key: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args)]
pub struct Values {
    /// What everybody gets where nothing more specific is set.
    #[arg(long = "default", value_name = "VALUE", allow_hyphen_values = true)]
    default_value: Option<String>,

    /// What everybody gets where the flag is switched off. [default: false, or the default value]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    off_value: Option<String>,
}

impl Values {
    fn put(&self, flag_type: &str, body: &mut Value) -> Result<(), Failure> {
        for (name, given) in [("default_value", &self.default_value), ("off_value", &self.off_value)] {
            if let Some(given) = given {
                body[name] = value::parse(given, flag_type)?;
            }
        }
        Ok(())
    }

    fn given(&self) -> bool {
        self.default_value.is_some() || self.off_value.is_some()
    }
}

#[derive(Debug, Args, Serialize)]
pub struct Fields {
    /// A name for people. [default: the key]
    #[arg(long)]
    name: Option<String>,
    /// What it does, and until when.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Who looks after it.
    #[arg(long)]
    owner: Option<String>,
    /// Tags, separated by commas.
    #[arg(long, value_parser = list)]
    tags: Option<Value>,
    /// release, experiment, operational or permanent.
    #[arg(long)]
    kind: Option<String>,
    /// The day by which it should be gone, such as 2027-06-30.
    #[arg(long, value_name = "DATE")]
    remove_after: Option<String>,
    /// Where it may have another value than the default: environment, organization, user, separated by commas.
    /// [default: all three]
    #[arg(long, value_name = "LEVELS", value_parser = list)]
    overrides: Option<Value>,
}

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

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Whose {
    /// For this user, in every organization and every environment.
    #[arg(long, value_name = "ID", conflicts_with_all = ["organization", "environment"])]
    user: Option<String>,
    /// For everybody in this organization, in the environment named by --environment.
    #[arg(long, value_name = "ID", requires = "environment")]
    organization: Option<String>,
    /// Where the organization's value holds.
    #[arg(long, short, value_name = "NAME", requires = "organization")]
    environment: Option<String>,
}

const COLUMNS: [Column; 6] = [
    text("KEY", "/key"),
    text("TYPE", "/type"),
    value_column("DEFAULT", "/default_value"),
    text("KIND", "/kind"),
    text("TAGS", "/tags"),
    text("DESCRIPTION", "/description"),
];

const OVERRIDES: [Column; 7] = [
    text("LEVEL", "/level"),
    text("USER", "/user"),
    text("ORGANIZATION", "/organization"),
    text("ENVIRONMENT", "/environment"),
    value_column("VALUE", "/value"),
    text("NOTE", "/note"),
    text("EXPIRES", "/expires_at"),
];

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { environment: Some(environment), page, .. } => settings(client, &environment, &page).await,
            Self::List { query, tag, kind, archived, stale, stale_after, page, .. } => {
                let request = Request::get(["flags"])
                    .query("query", query.as_deref())
                    .query("tag", tag.as_deref())
                    .query("kind", kind.as_deref())
                    .query("archived", archived.then_some("true"))
                    .query("stale", stale.then_some("true"))
                    .query("stale_after", stale_after.as_deref())
                    .page(&page);
                if stale { client.list_as(request, outlived).await } else { client.list(request, &COLUMNS).await }
            }
            Self::Show { key, environment: Some(environment) } => {
                client.show(Request::get(["flags", &key, "environments", &environment])).await
            }
            Self::Show { key, .. } if client.json => client.show(Request::get(["flags", &key])).await,
            Self::Show { key, .. } => show(client, &key).await,
            Self::Create { key, flag_type, values, fields, write } => {
                let mut body = body(&fields, &[])?;
                (body["key"], body["type"]) = (key.as_str().into(), flag_type.as_str().into());
                values.put(&flag_type, &mut body)?;
                let done = format!("Created the flag `{key}`: everybody gets {}", body["default_value"]);
                let created = client.change(Request::post(["flags"]).body(body).write(&write), &done).await?;
                if !client.json {
                    print(&advice(&created));
                }
                Ok(())
            }
            Self::Edit { key, values, fields, unset, write } => {
                let mut body = body(&fields, &unset)?;
                if values.given() {
                    values.put(&flag_type(client, &key).await?, &mut body)?;
                }
                not_empty(&body)?;
                let done = format!("Changed the flag `{key}`");
                client.change(Request::patch(["flags", &key]).body(body).write(&write), &done).await.map(drop)
            }
            Self::Set { key, environment, change, write } => set(client, &key, &environment, &change, &write).await,
            Self::Target { key, environment, audience, value, write } => {
                target(client, &key, &environment, &audience, value.as_deref(), &write).await
            }
            Self::Override { key, value, whose, note, expires_at, write, .. } => {
                let told = Told { value, note, expires_at };
                override_value(client, &key, &whose, told, &write).await
            }
            Self::Overrides { key, environment, level, remove, page, write } => {
                let request = if remove {
                    Request::delete(["flags", &key, "overrides"])
                } else {
                    Request::get(["flags", &key, "overrides"]).page(&page)
                };
                let request = request.query("environment", environment.as_deref()).query("level", level.as_deref());
                if !remove {
                    return client.list(request, &OVERRIDES).await;
                }
                client.change(request.write(&write), &format!("Removed the overrides of `{key}`")).await.map(drop)
            }
            Self::Kill { key, environment, write } => {
                let request = Request::post(["flags", &key, "environments", &environment, "kill"]).write(&write);
                client.change(request, &format!("Killed `{key}` in {environment}")).await.map(drop)
            }
            Self::Revive { key, environment, write } => {
                let request = Request::delete(["flags", &key, "environments", &environment, "kill"]).write(&write);
                client.change(request, &format!("Revived `{key}` in {environment}")).await.map(drop)
            }
            Self::Promote { key, from, to, write } => {
                let path = ["flags", &key, "environments", &from, "promote"];
                let request = Request::post(path).body(json!({ "to": to })).write(&write);
                let answer = client.change(request, &format!("Promoted `{key}` from {from} to {to}")).await?;
                // What only waits for approval has none yet.
                if !client.json && answer["differences"].is_array() {
                    print(&differences(&answer["differences"]));
                }
                Ok(())
            }
            Self::Archive { key, write } => {
                let request = Request::post(["flags", &key, "archive"]).write(&write);
                client.change(request, &format!("Archived `{key}`: tokens do not carry it any more")).await.map(drop)
            }
            Self::Restore { key, write } => {
                let request = Request::post(["flags", &key, "restore"]).write(&write);
                client.change(request, &format!("Restored `{key}`")).await.map(drop)
            }
            Self::Delete { key, write } => {
                let request = Request::delete(["flags", &key]).write(&write);
                client.change(request, &format!("Deleted the flag `{key}`")).await.map(drop)
            }
        }
    }
}

/// What could be better about a flag, a line for each.
fn advice(flag: &Value) -> String {
    let said = flag["advice"].as_array().into_iter().flatten();
    said.map(|advice| format!("advice: {} ({})\n", words(&advice["detail"]), words(&advice["code"]))).collect()
}

/// Stale flags, each with a line for every reason.
fn outlived(rows: &mut [Value]) -> String {
    let reasons = rows.iter().flat_map(|flag| {
        let findings = flag["stale"].as_array().into_iter().flatten();
        findings
            .map(move |finding| [&flag["key"], &finding["since"], &finding["code"], &finding["detail"]].map(words).to_vec())
    });
    let heading = ["KEY", "SINCE", "REASON", "WHY"].map(str::to_owned).to_vec();
    aligned(&std::iter::once(heading).chain(reasons).collect::<Vec<_>>())
}

/// The type decides how the values of a flag are read.
async fn flag_type(client: &Client, key: &str) -> Result<String, Failure> {
    let flag = client.send(Request::get(["flags", key])).await?;
    Ok(flag["type"].as_str().unwrap_or_default().to_owned())
}

async fn settings(client: &Client, environment: &str, page: &Page) -> Result<(), Failure> {
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

/// A flag, with what each environment says and the overrides that there are.
async fn show(client: &Client, key: &str) -> Result<(), Failure> {
    let mut flag = client.send(Request::get(["flags", key])).await?;
    let advice = advice(&flag);
    if let Some(members) = flag.as_object_mut() {
        members.remove("advice");
    }
    let environments = client.send(Request::get(["environments"])).await?;
    let mut lines = Vec::new();
    for environment in environments["data"].as_array().into_iter().flatten() {
        let name = environment["name"].as_str().unwrap_or_default();
        let setting = client.send(Request::get(["flags", key, "environments", name])).await?;
        lines.push(vec![format!("  {name}"), rules::setting(&setting)]);
    }
    let overrides = client.send(Request::get(["flags", key, "overrides"])).await?;
    print(&document(&flag));
    print(&advice);
    print(&format!("\nWho gets what:\n{}", aligned(&lines)));
    if let Some(rows) = overrides["data"].as_array().filter(|rows| !rows.is_empty()) {
        print(&format!("\nOverrides, which come before that:\n{}", table(rows, &OVERRIDES)));
        if !overrides["next_cursor"].is_null() {
            print(&format!("\nThere may be more: flagbearer flags overrides {key}\n"));
        }
    }
    Ok(())
}

/// The API replaces settings whole: reads one, changes it, and writes it back unless somebody else did meanwhile.
async fn set(client: &Client, key: &str, environment: &str, change: &Change, write: &Write) -> Result<(), Failure> {
    let path = ["flags", key, "environments", environment];
    let done = format!("Changed `{key}` in {environment}");
    if let Some(setting) = &change.setting {
        return client.change(Request::put(path).body(setting).write(write), &done).await.map(drop);
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
    client.change(request, &done).await.map(drop)
}

async fn target(
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
        return client.change(request.below([kind, id]).write(write), &done).await.map(drop);
    }
    let mut body = audience.body();
    let mut what = String::new();
    if let Some(given) = given {
        body["value"] = value::parse(given, &flag_type(client, key).await?)?;
        what = format!(" ({})", body["value"]);
    }
    let done = format!("`{key}`{what} is now for {} in {environment}", rules::audience(&body));
    client.change(Request::put(path).body(body).write(write), &done).await.map(drop)
}

/// What an override says; nothing takes it away.
struct Told {
    value: Option<String>,
    note: Option<String>,
    expires_at: Option<String>,
}

async fn override_value(client: &Client, key: &str, whose: &Whose, told: Told, write: &Write) -> Result<(), Failure> {
    let (kind, id) = match (&whose.user, &whose.organization) {
        (Some(user), _) => ("users", user),
        (_, Some(organization)) => ("organizations", organization),
        (None, None) => return Err(Failure::new("ARGUMENT_MISSING", "name a --user or an --organization")),
    };
    let path = ["flags", key, kind, id.as_str()];
    let one = kind.trim_end_matches('s');
    let place = match &whose.environment {
        Some(environment) => format!("in {environment}"),
        None => "everywhere".to_owned(),
    };
    let (request, done) = match &told.value {
        None => (Request::delete(path), format!("Took away the override of `{key}` for {one} {id} {place}")),
        Some(given) => {
            let value = value::parse(given, &flag_type(client, key).await?)?;
            let done = format!("`{key}` is now {value} for {one} {id} {place}");
            let fields = json!({ "value": value, "note": told.note, "expires_at": told.expires_at });
            (Request::put(path).body(body(fields, &[])?), done)
        }
    };
    client.change(request.query("environment", whose.environment.as_deref()).write(write), &done).await.map(drop)
}
