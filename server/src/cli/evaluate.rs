//! `flagbearer evaluate`.

use clap::Args;
use serde_json::Value;

use super::client::{Client, Connection, Request};
use super::failure::Failure;
use super::show::{aligned, cut, json, print, print_json, words};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Where.
    #[arg(long, short, value_name = "NAME")]
    environment: String,
    /// Who. Without a user it is what a machine gets.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// In which organization.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// Only this flag, with every level that was asked and why it did or did not decide.
    #[arg(long, value_name = "KEY")]
    flag: Option<String>,
    #[command(flatten)]
    pub connection: Connection,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.connection)?;
    let request = Request::get(["evaluate"])
        .query("environment", Some(&arguments.environment))
        .query("user", arguments.user.as_deref())
        .query("organization", arguments.organization.as_deref());
    let mut answer = client.send(request).await?;
    if let Some(key) = &arguments.flag {
        let flags = answer["flags"].as_object_mut();
        let Some(found) = flags.and_then(|flags| flags.remove(key)) else {
            let detail = format!("there is no flag `{key}` in {}; it may be archived", arguments.environment);
            return Err(Failure::new("FLAG_NOT_FOUND", detail));
        };
        if client.json {
            print_json(&found)
        } else {
            print(&one(key, &found))
        }
        return Ok(());
    }
    if client.json {
        print_json(&answer);
        return Ok(());
    }
    let mut lines = vec![["FLAG", "VALUE", "REASON", "WHY"].map(str::to_owned).to_vec()];
    for (key, found) in answer["flags"].as_object().into_iter().flatten() {
        let trace = found["trace"].as_array();
        let won = trace.into_iter().flatten().find(|step| step["won"] == true).unwrap_or(&Value::Null);
        lines.push(vec![
            words(&key.as_str().into()),
            cut(json(&found["value"])),
            words(&found["reason"]),
            words(&won["why"]),
        ]);
    }
    print(&if lines.len() == 1 { "There are no flags yet.\n".to_owned() } else { aligned(&lines) });
    Ok(())
}

fn one(key: &str, found: &Value) -> String {
    let mut lines = Vec::new();
    for step in found["trace"].as_array().into_iter().flatten() {
        let rule = step["rule"].as_i64().map(|rule| format!(" {rule}")).unwrap_or_default();
        let won = if step["won"] == true { "→" } else { " " };
        lines.push(vec![format!("{won} {}{rule}", words(&step["level"])), json(&step["value"]), words(&step["why"])]);
    }
    format!("{key} is {} ({})\n{}", json(&found["value"]), words(&found["reason"]), aligned(&lines))
}
