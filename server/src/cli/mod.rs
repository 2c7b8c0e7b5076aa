//! The command line: `serve`, and commands that talk to a running server.

mod serve;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::error::Result;

/// Typed feature flags that ride in the access token.
#[derive(Debug, Parser)]
#[command(name = "flagbearer", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server. This is also what happens without a command.
    Serve(Config),
}

/// Runs what the command line asks for.
pub async fn run() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        None => serve::run(&cli.config).await,
        Some(Command::Serve(config)) => serve::run(&config).await,
    }
}
