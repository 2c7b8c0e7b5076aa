//! Values of one user's or one organization's own.

use clap::Args;
use serde_json::json;

use super::flag_type;
use crate::cli::client::{Client, Request, Write};
use crate::cli::failure::Failure;
use crate::cli::fields::body;
use crate::cli::show::{Column, text, value as value_column};
use crate::cli::value;

pub const COLUMNS: [Column; 7] = [
    text("LEVEL", "/level"),
    text("USER", "/user"),
    text("ORGANIZATION", "/organization"),
    text("ENVIRONMENT", "/environment"),
    value_column("VALUE", "/value"),
    text("NOTE", "/note"),
    text("EXPIRES", "/expires_at"),
];

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

/// What an override says; nothing takes it away.
pub struct Told {
    pub value: Option<String>,
    pub note: Option<String>,
    pub expires_at: Option<String>,
}

pub async fn set(client: &Client, key: &str, whose: &Whose, told: Told, write: &Write) -> Result<(), Failure> {
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
    client.change(request.query("environment", whose.environment.as_deref()).write(write), &done).await
}
