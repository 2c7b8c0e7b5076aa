//! `flagbearer serve`.

use std::io::IsTerminal;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::client::DEFAULT_SERVER;
use super::sample::program;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::server::Server;

pub async fn run(config: &Config) -> Result<()> {
    log();
    let server = Server::open(config).await?;
    // Before anybody is told that it listens: from then on a stop is an orderly one.
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    println!("Flagbearer {} listens on http://{}", env!("CARGO_PKG_VERSION"), server.address);
    println!("  issuer  {}", server.public_url);
    if let Some(key) = &server.first_key {
        println!();
        println!("This is a new installation. Your administrator key is shown this once: keep it. In another terminal,");
        println!("this makes it known to the command line, and loads something to play with:");
        println!();
        println!("  export FLAGBEARER_API_KEY={}", key.expose());
        let url = format!("http://{}", server.address);
        if url != DEFAULT_SERVER {
            println!("  export FLAGBEARER_SERVER={url}");
        }
        println!("  {} sample", program());
    }
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing what was begun");
    };
    server.run(stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Logs go to standard error: as text to a terminal, as JSON lines to anything else. `FLAGBEARER_LOG` filters them.
fn log() {
    let filter = EnvFilter::try_from_env("FLAGBEARER_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        logs.init();
    } else {
        logs.json().flatten_event(true).with_span_list(false).init();
    }
}
