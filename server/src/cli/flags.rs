//! `flagbearer flags`.

mod overrides;
mod page;
mod settings;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use self::overrides::{Told, Whose};
use self::settings::{Audience, Change};
use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::{body, list};
use super::show::{Column, differences, print, text, value as value_column};
use super::{Run, value};

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

const COLUMNS: [Column; 6] = [
    text("KEY", "/key"),
    text("TYPE", "/type"),
    value_column("DEFAULT", "/default_value"),
    text("KIND", "/kind"),
    text("TAGS", "/tags"),
    text("DESCRIPTION", "/description"),
];

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { environment: Some(environment), page, .. } => settings::list(client, &environment, &page).await,
            Self::List { query, tag, kind, archived, stale, stale_after, page, .. } => {
                let request = Request::get(["flags"])
                    .query("query", query.as_deref())
                    .query("tag", tag.as_deref())
                    .query("kind", kind.as_deref())
                    .query("archived", archived.then_some("true"))
                    .query("stale", stale.then_some("true"))
                    .query("stale_after", stale_after.as_deref())
                    .page(&page);
                if stale { client.list_as(request, page::outlived).await } else { client.list(request, &COLUMNS).await }
            }
            Self::Show { key, environment: Some(environment) } => {
                client.show(Request::get(["flags", &key, "environments", &environment])).await
            }
            Self::Show { key, .. } if client.json => client.show(Request::get(["flags", &key])).await,
            Self::Show { key, .. } => page::show(client, &key).await,
            Self::Create { key, flag_type, values, fields, write } => {
                let mut body = body(&fields, &[])?;
                (body["key"], body["type"]) = (key.as_str().into(), flag_type.as_str().into());
                values.put(&flag_type, &mut body)?;
                let done = format!("Created the flag `{key}`: everybody gets {}", body["default_value"]);
                let created = client.changed(Request::post(["flags"]).body(body).write(&write), &done).await?;
                if !client.json {
                    print(&page::advice(&created));
                }
                Ok(())
            }
            Self::Edit { key, values, fields, unset, write } => {
                let mut body = body(&fields, &unset)?;
                if values.given() {
                    values.put(&flag_type(client, &key).await?, &mut body)?;
                }
                client.edit(["flags", &key], body, &write, &format!("the flag `{key}`")).await
            }
            Self::Set { key, environment, change, write } => {
                settings::set(client, &key, &environment, &change, &write).await
            }
            Self::Target { key, environment, audience, value, write } => {
                settings::target(client, &key, &environment, &audience, value.as_deref(), &write).await
            }
            Self::Override { key, value, whose, note, expires_at, write, .. } => {
                let told = Told { value, note, expires_at };
                overrides::set(client, &key, &whose, told, &write).await
            }
            Self::Overrides { key, environment, level, remove, page, write } => {
                let request = if remove {
                    Request::delete(["flags", &key, "overrides"])
                } else {
                    Request::get(["flags", &key, "overrides"]).page(&page)
                };
                let request = request.query("environment", environment.as_deref()).query("level", level.as_deref());
                if !remove {
                    return client.list(request, &overrides::COLUMNS).await;
                }
                client.change(request.write(&write), &format!("Removed the overrides of `{key}`")).await
            }
            Self::Kill { key, environment, write } => {
                let request = Request::post(["flags", &key, "environments", &environment, "kill"]).write(&write);
                client.change(request, &format!("Killed `{key}` in {environment}")).await
            }
            Self::Revive { key, environment, write } => {
                let request = Request::delete(["flags", &key, "environments", &environment, "kill"]).write(&write);
                client.change(request, &format!("Revived `{key}` in {environment}")).await
            }
            Self::Promote { key, from, to, write } => {
                let path = ["flags", &key, "environments", &from, "promote"];
                let request = Request::post(path).body(json!({ "to": to })).write(&write);
                let answer = client.changed(request, &format!("Promoted `{key}` from {from} to {to}")).await?;
                // What only waits for approval has none yet.
                if !client.json && answer["differences"].is_array() {
                    print(&differences(&answer["differences"]));
                }
                Ok(())
            }
            Self::Archive { key, write } => {
                let request = Request::post(["flags", &key, "archive"]).write(&write);
                client.change(request, &format!("Archived `{key}`: tokens do not carry it any more")).await
            }
            Self::Restore { key, write } => {
                let request = Request::post(["flags", &key, "restore"]).write(&write);
                client.change(request, &format!("Restored `{key}`")).await
            }
            Self::Delete { key, write } => client.remove(["flags", &key], &write, &format!("the flag `{key}`")).await,
        }
    }
}

/// The type decides how the values of a flag are read.
async fn flag_type(client: &Client, key: &str) -> Result<String, Failure> {
    let flag = client.send(Request::get(["flags", key])).await?;
    Ok(flag["type"].as_str().unwrap_or_default().to_owned())
}
