//! `flagbearer applications`.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::Run;
use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::{body, list};
use super::show::{print, text, words};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List applications.
    List {
        /// Only those of this environment.
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show an application.
    Show {
        /// Its client id.
        client_id: String,
    },
    /// Create an application. Its secret, if it has one, is shown this once.
    Create {
        /// A name for people.
        name: String,
        /// Where its users are; cannot be changed later.
        #[arg(long, short, value_name = "NAME")]
        environment: String,
        /// It runs in a browser or on a phone, and so can keep no secret.
        #[arg(long)]
        public: bool,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        write: Write,
    },
    /// Change an application.
    Edit {
        /// Its client id.
        client_id: String,
        /// A name for people.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        fields: Fields,
        /// Take something away: audience, branding, redirect_uris, logout_uris, allowed_origins, claims, permissions,
        /// projection, claim_budget.
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        unset: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Delete an application; its sessions end.
    Delete {
        /// Its client id.
        client_id: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args, Serialize)]
pub struct Fields {
    /// What its tokens look like: flagbearer, or kinde or workos for an application that uses that vendor's SDK.
    /// [default: flagbearer]
    #[arg(long)]
    profile: Option<String>,
    /// Where users may be sent back to after signing in, to the letter; several separated by commas.
    #[arg(long, value_name = "URIS", value_parser = list)]
    redirect_uris: Option<Value>,
    /// Where users may be sent to after signing out, to the letter; several separated by commas.
    #[arg(long, value_name = "URIS", value_parser = list)]
    logout_uris: Option<Value>,
    /// The origins whose pages may ask for tokens in the browser, separated by commas.
    #[arg(long, value_name = "ORIGINS", value_parser = list)]
    allowed_origins: Option<Value>,
    /// What its access tokens say beyond what all do: email, name, user:<attribute>, organization:<attribute>, separated by
    /// commas.
    #[arg(long, value_name = "CLAIMS", value_parser = list)]
    claims: Option<Value>,
    /// What its machine tokens permit, separated by commas.
    #[arg(long, value_name = "PERMISSIONS", value_parser = list)]
    permissions: Option<Value>,
    /// Which flags its tokens carry: all, tags=a,b (those with one of these tags) or flags=a,b. [default: all]
    #[arg(long, value_name = "WHICH", value_parser = projection)]
    projection: Option<Value>,
    /// How large `feature_flags` may become: a change that could make it larger asks to be confirmed. [default: 1400 for
    /// workos, 4000 otherwise]
    #[arg(long, value_name = "BYTES")]
    claim_budget: Option<i64>,
    #[command(flatten)]
    #[serde(skip_serializing_if = "Branding::is_empty")]
    branding: Branding,
    /// Whom its tokens are for: the `aud` that backends insist on. [default: the client id]
    #[arg(long)]
    audience: Option<String>,
    /// How its tokens are signed: EdDSA, ES256 or RS256. [default: EdDSA; RS256 for kinde and workos]
    #[arg(long)]
    algorithm: Option<String>,
    /// How long an access token lives. A change of a flag reaches everybody within this time. [default: 300]
    #[arg(long, value_name = "SECONDS")]
    access_token_ttl: Option<i64>,
    /// After how long without a refresh a session ends. [default: 30 days]
    #[arg(long, value_name = "SECONDS")]
    idle_ttl: Option<i64>,
    /// After how long a session ends in any case. [default: 365 days]
    #[arg(long, value_name = "SECONDS")]
    absolute_ttl: Option<i64>,
    /// For how long a used refresh token may be sent again by a client that missed the answer. [default: 30]
    #[arg(long, value_name = "SECONDS")]
    grace: Option<i64>,
}

/// `all`, `tags=a,b` or `flags=a,b`, as the API writes it. A list without an entry carries nothing.
fn projection(text: &str) -> Result<Value, String> {
    match text.split_once('=') {
        None if text == "all" => Ok(text.into()),
        Some((by @ ("tags" | "flags"), names)) => {
            let Ok(names) = list(names);
            Ok(json!({ by: names }))
        }
        _ => Err(format!("`{text}` is not a projection; write all, tags=a,b or flags=a,b")),
    }
}

#[derive(Debug, Args, Serialize)]
pub struct Branding {
    /// What the sign-in page calls it. [default: its name]
    #[arg(id = "brand_name", long = "brand-name", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The colour of the sign-in page's button, like #1a7f5a.
    #[arg(id = "brand_colour", long = "brand-colour", value_name = "COLOUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    colour: Option<String>,
}

impl Branding {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.colour.is_none()
    }
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { environment, page } => {
                let columns = [
                    text("CLIENT ID", "/client_id"),
                    text("NAME", "/name"),
                    text("ENVIRONMENT", "/environment"),
                    text("PROFILE", "/profile"),
                    text("PUBLIC", "/public"),
                    text("AUDIENCE", "/audience"),
                ];
                let request = Request::get(["applications"]).query("environment", environment.as_deref());
                client.list(request.page(&page), &columns).await
            }
            Self::Show { client_id } => client.show(Request::get(["applications", &client_id])).await,
            Self::Create { name, environment, public, fields, write } => {
                let mut body = body(&fields, &[])?;
                (body["name"], body["environment"]) = (name.as_str().into(), environment.as_str().into());
                body["public"] = public.into();
                let request = Request::post(["applications"]).body(body).write(&write);
                let answer = client.changed(request, &format!("Created the application {name} in {environment}")).await?;
                if !client.json && answer["client_id"].is_string() {
                    print(&format!("  client id      {}\n", words(&answer["client_id"])));
                    if answer["client_secret"].is_string() {
                        print(&format!("  client secret  {}  (shown this once)\n", words(&answer["client_secret"])));
                    }
                }
                Ok(())
            }
            Self::Edit { client_id, name, fields, unset, write } => {
                let mut body = body(&fields, &unset)?;
                if let Some(name) = name {
                    body["name"] = name.into();
                }
                client.edit(["applications", &client_id], body, &write, &format!("the application {client_id}")).await
            }
            Self::Delete { client_id, write } => {
                client.remove(["applications", &client_id], &write, &format!("the application {client_id}")).await
            }
        }
    }
}
