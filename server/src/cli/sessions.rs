//! `flagbearer sessions`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Run;
use super::client::{Client, Page, Request};
use super::failure::Failure;
use super::fields::body;
use super::show::{json, print, print_json, text, words};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List living sessions.
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        page: Page,
    },
    /// Show a session.
    Show {
        /// The session's id, `ses_…`.
        id: String,
    },
    /// Start a session for a user and get its first tokens, as a trusted backend does after a sign-in.
    Create {
        /// The client id of the application that the tokens are for.
        #[arg(long, value_name = "CLIENT_ID")]
        application: String,
        /// Created where unknown.
        #[arg(long, value_name = "ID")]
        user: String,
        /// Created where unknown; the user becomes a member.
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
        /// Create nothing: user, organization and membership have to be there.
        #[arg(long)]
        strict: bool,
    },
    /// End one session, or all that the options name.
    Delete {
        /// The session's id, `ses_…`.
        #[arg(required_unless_present_any = ["user", "organization", "application"],
              conflicts_with_all = ["user", "organization", "application", "environment"])]
        id: Option<String>,
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, Args)]
pub struct Filter {
    /// Of this user.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// In this organization.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// Of the application with this client id.
    #[arg(long, value_name = "CLIENT_ID")]
    application: Option<String>,
    /// In this environment.
    #[arg(long, short, value_name = "NAME")]
    environment: Option<String>,
}

impl Filter {
    fn put(&self, request: Request) -> Request {
        request
            .query("user", self.user.as_deref())
            .query("organization", self.organization.as_deref())
            .query("application", self.application.as_deref())
            .query("environment", self.environment.as_deref())
    }
}

impl Run for Command {
    async fn run(self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { filter, page } => {
                let columns = [
                    text("SESSION", "/session_id"),
                    text("USER", "/user"),
                    text("ORGANIZATION", "/organization"),
                    text("APPLICATION", "/application"),
                    text("LAST REFRESHED", "/last_refreshed_at"),
                    text("EXPIRES", "/expires_at"),
                ];
                client.list(filter.put(Request::get(["sessions"]).page(&page)), &columns).await
            }
            Self::Show { id } => client.show(Request::get(["sessions", &id])).await,
            Self::Create { application, user, organization, strict } => {
                let fields = json!({
                    "application": application, "user": user, "organization": organization,
                    "strict": strict.then_some(true),
                });
                let request = Request::post(["sessions"]).body(body(fields, &[])?);
                let answer = client.changed(request, &format!("Started a session for {user}")).await?;
                if !client.json {
                    print(&format!("  session        {}\n", words(&answer["session_id"])));
                    print(&format!("  feature_flags  {}\n", json(&answer["feature_flags"])));
                    print(&format!("  access token   {}\n", words(&answer["access_token"])));
                    print(&format!("  refresh token  {}\n", words(&answer["refresh_token"])));
                    print(&format!("The access token is good for {} seconds.\n", answer["expires_in"]));
                }
                Ok(())
            }
            Self::Delete { id: Some(id), .. } => {
                client.change(Request::delete(["sessions", &id]), &format!("Ended the session {id}")).await
            }
            Self::Delete { id: None, filter } => {
                let answer = client.send(filter.put(Request::delete(["sessions"]))).await?;
                if client.json {
                    print_json(&answer);
                } else {
                    print(&format!("Sessions ended: {}\n", answer["ended"]));
                }
                Ok(())
            }
        }
    }
}
