//! The command line: `serve`, and commands that talk to a running server.

mod api_keys;
mod applications;
mod batch;
mod changes;
mod client;
mod codegen;
mod environments;
mod evaluate;
mod explain;
mod failure;
mod fields;
mod flags;
mod identity_providers;
mod keys;
mod members;
mod organizations;
mod pending;
mod preview;
mod rules;
mod sample;
mod segments;
mod serve;
mod sessions;
mod show;
mod token;
mod users;
mod value;
mod webhooks;

use clap::{Args, Parser, Subcommand};

use self::client::{Client, Connection};
pub use self::failure::Failure;
use crate::config::Config;

/// Typed feature flags that ride in the access token.
#[derive(Debug, Parser)]
#[command(
    name = "flagbearer",
    version,
    about,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command the server is run. Every other command talks to a running server: it finds it by --server \
                  or FLAGBEARER_SERVER, and shows who you are by --api-key or FLAGBEARER_API_KEY."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten, next_help_heading = "Options of the server")]
    config: Config,
}

/// A command of a resource, and how to reach the server.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
struct Talk<C: Subcommand> {
    #[command(flatten)]
    connection: Connection,

    #[command(subcommand)]
    command: C,
}

/// What a command does with a server.
trait Run {
    async fn run(self, client: &Client) -> Result<(), Failure>;
}

impl<C: Subcommand + Run> Talk<C> {
    async fn run(self) -> Result<(), Failure> {
        self.command.run(&Client::new(&self.connection)?).await
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server. This is also what happens without a command.
    Serve(Config),
    /// Load flags, organizations, users and applications to play with.
    Sample(Connection),
    /// Flags: what there is to switch, and who gets which value.
    #[command(after_help = flags::HELP)]
    Flags(Talk<flags::Command>),
    /// Segments: named groups of users and organizations that rules refer to.
    Segments(Talk<segments::Command>),
    /// Environments, such as production and staging.
    Environments(Talk<environments::Command>),
    /// Organizations: your customers.
    Organizations(Talk<organizations::Command>),
    /// Users: the people who sign in.
    Users(Talk<users::Command>),
    /// Members: which user belongs to which organization, with what roles and permissions.
    Members(Talk<members::Command>),
    /// Applications: the apps and backends that tokens are issued for.
    Applications(Talk<applications::Command>),
    /// API keys: who may talk to this server.
    ApiKeys(Talk<api_keys::Command>),
    /// Identity providers: where users sign in with an account that they have elsewhere, and whose tokens are exchanged.
    IdentityProviders(Talk<identity_providers::Command>),
    /// Webhooks: who is told when flags come, change or go.
    Webhooks(Talk<webhooks::Command>),
    /// Signing keys: what tokens are signed with, and their rotation.
    Keys(Talk<keys::Command>),
    /// Sessions: signed-in users, each with an access token that is refreshed.
    Sessions(Talk<sessions::Command>),
    /// The change log: who changed what, when, and why.
    Changes(Talk<changes::Command>),
    /// Make several changes as one: all of them, or none.
    Batch(batch::Arguments),
    /// Pending changes: what waits for a second administrator.
    Pending(Talk<pending::Command>),
    /// What a user gets in an organization, and why: now, or as of any moment.
    Evaluate(evaluate::Arguments),
    /// What an access token said and why, what it would say now, and who or what changed it.
    Explain(explain::Arguments),
    /// Write code that reads your flags: one file with a typed, documented accessor for each.
    #[command(after_help = codegen::HELP)]
    Codegen(codegen::Arguments),
    /// Look into access tokens.
    Token {
        #[command(subcommand)]
        command: token::Command,
    },
}

/// Runs what the command line asks for.
pub async fn run() -> Result<(), Failure> {
    let cli = Cli::parse();
    let done = match cli.command {
        None => Ok(serve::run(&cli.config).await?),
        Some(command) => command.run().await,
    };
    if let Err(failure) = &done {
        failure.print_json();
    }
    done
}

impl Command {
    async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(config) => Ok(serve::run(&config).await?),
            Self::Sample(connection) => sample::run(&Client::new(&connection)?).await,
            Self::Flags(talk) => talk.run().await,
            Self::Segments(talk) => talk.run().await,
            Self::Environments(talk) => talk.run().await,
            Self::Organizations(talk) => talk.run().await,
            Self::Users(talk) => talk.run().await,
            Self::Members(talk) => talk.run().await,
            Self::Applications(talk) => talk.run().await,
            Self::ApiKeys(talk) => talk.run().await,
            Self::IdentityProviders(talk) => talk.run().await,
            Self::Webhooks(talk) => talk.run().await,
            Self::Keys(talk) => talk.run().await,
            Self::Sessions(talk) => talk.run().await,
            Self::Changes(talk) => talk.run().await,
            Self::Batch(arguments) => batch::run(arguments).await,
            Self::Pending(talk) => talk.run().await,
            Self::Evaluate(arguments) => evaluate::run(arguments).await,
            Self::Explain(arguments) => explain::run(arguments).await,
            Self::Codegen(arguments) => codegen::run(arguments).await,
            Self::Token { command } => token::run(command).await,
        }
    }
}
