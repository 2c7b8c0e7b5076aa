//! `flagbearer identity-providers`.

use clap::{ArgAction, Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::client::{Client, Page, Request, Write};
use super::failure::Failure;
use super::fields::{body, list};
use super::show::{print, text, words};
use super::{Run, value};
use crate::secret::Secret;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List identity providers.
    List {
        /// Only those of this environment.
        #[arg(long, short, value_name = "NAME")]
        environment: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show an identity provider; its client secret is never shown.
    Show {
        /// Its id, `idp_…`.
        id: String,
    },
    /// Create an identity provider. Users sign in with it at once, unless --sign-in false.
    Create {
        /// As users read it on the button that leads there.
        name: String,
        /// Where it is in effect; cannot be changed later.
        #[arg(long, short, value_name = "NAME")]
        environment: String,
        /// The `iss` of its tokens, just as it is written there: its metadata is found below it.
        #[arg(long, value_name = "URL")]
        issuer: String,
        #[command(flatten)]
        secret: ClientSecret,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        write: Write,
    },
    /// Change an identity provider, from the next sign-in on.
    Edit {
        /// Its id, `idp_…`.
        id: String,
        /// As users read it on the button that leads there.
        #[arg(long)]
        name: Option<String>,
        /// The `iss` of its tokens.
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
        #[command(flatten)]
        secret: ClientSecret,
        #[command(flatten)]
        fields: Fields,
        /// Take something away: client-secret, scopes, jwks-uri, audience, claims …
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        unset: Vec<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Delete an identity provider: nobody comes in by it any more. Sessions that it began go on.
    Delete {
        /// Its id, `idp_…`.
        id: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args)]
pub struct ClientSecret {
    /// Our secret there. Better set the variable: other users of this machine can see command lines.
    #[arg(long, env = "FLAGBEARER_UPSTREAM_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET")]
    client_secret: Option<Secret>,
}

#[derive(Debug, Args, Serialize)]
pub struct Fields {
    /// Who we are there: needed for signing in.
    #[arg(long)]
    client_id: Option<String>,
    /// What is asked for at sign-in. [default: openid,email,profile]
    #[arg(long, value_name = "SCOPES", value_parser = list)]
    scopes: Option<Value>,
    /// Where its keys are. [default: where its metadata says]
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// The `aud` of tokens that are exchanged; access tokens are exchanged with it alone. [default: the client id]
    #[arg(long)]
    audience: Option<String>,
    /// Whether users sign in with it. [default: true]
    #[arg(long, action = ArgAction::Set, value_name = "true|false")]
    sign_in: Option<bool>,
    /// Whether its tokens are exchanged for ours (RFC 8693). [default: false]
    #[arg(long, action = ArgAction::Set, value_name = "true|false")]
    exchange: Option<bool>,
    /// Whether users, organizations and memberships that are not known are created. [default: false]
    #[arg(long, action = ArgAction::Set, value_name = "true|false")]
    create_users: Option<bool>,
    /// Which claims say what, all of them: JSON such as '{"user": "sub", "organization": "/app_metadata/org"}', @FILE or @-.
    /// With `user`, the provider itself says which user of ours somebody is; without, a user is known by issuer and `sub`.
    #[arg(long, value_name = "JSON", value_parser = value::document)]
    claims: Option<Value>,
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { environment, page } => {
                let columns = [
                    text("ID", "/id"),
                    text("NAME", "/name"),
                    text("ENVIRONMENT", "/environment"),
                    text("ISSUER", "/issuer"),
                    text("SIGN-IN", "/sign_in"),
                    text("EXCHANGE", "/exchange"),
                ];
                let request = Request::get(["identity-providers"]).query("environment", environment.as_deref());
                client.list(request.page(&page), &columns).await
            }
            Self::Show { id } => client.show(Request::get(["identity-providers", &id])).await,
            Self::Create { name, environment, issuer, secret, fields, write } => {
                let mut body = body(&fields, &[])?;
                (body["name"], body["environment"]) = (name.as_str().into(), environment.as_str().into());
                body["issuer"] = issuer.into();
                secret.put(&mut body);
                let request = Request::post(["identity-providers"]).body(body).write(&write);
                let done = format!("Created the identity provider {name} in {environment}");
                let answer = client.changed(request, &done).await?;
                if !client.json {
                    print(&format!("  id            {}\n", words(&answer["id"])));
                    print(&format!("  callback URL  {}  (tell it to the provider)\n", words(&answer["callback_url"])));
                }
                Ok(())
            }
            Self::Edit { id, name, issuer, secret, fields, unset, write } => {
                let mut body = body(&fields, &unset)?;
                for (member, value) in [("name", name), ("issuer", issuer)] {
                    if let Some(value) = value {
                        body[member] = value.into();
                    }
                }
                secret.put(&mut body);
                client.edit(["identity-providers", &id], body, &write, &format!("the identity provider {id}")).await
            }
            Self::Delete { id, write } => {
                client.remove(["identity-providers", &id], &write, &format!("the identity provider {id}")).await
            }
        }
    }
}

impl ClientSecret {
    fn put(&self, body: &mut Value) {
        if let Some(secret) = &self.client_secret {
            body["client_secret"] = secret.expose().into();
        }
    }
}
