//! The refresh path under load: our server, and beside it in the same run the smallest handler that does the same work.
//!
//! `cargo run --release --workspace --bin flagbearer-load` (with `--database-url postgres://…` for PostgreSQL). Prints
//! throughput, latency, CPU per 10 000 refreshes, resident memory, the ratio of CPU, and how fast the sign-in page is. A
//! benchmark, never a test.
//! With `recording` behind it: what `--record-issuance` costs. With `followers`: what thousands of followers of the watermark
//! cost, and how fast a kill reaches them. With `preview`: how long it takes to say what a change would do to very many living
//! sessions.

mod baseline;
mod data;
mod drive;
mod followers;
mod measure;
mod preview;
mod recording;

use std::path::Path;
use std::time::Instant;

use clap::{Parser, Subcommand};

use measure::Subject;

#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,

    /// `sqlite` for a file in a temporary folder, or the URL of an empty PostgreSQL database.
    #[arg(long, default_value = "sqlite")]
    database_url: String,

    /// Clients that refresh one session each, one refresh after the other.
    #[arg(long, default_value_t = 64)]
    clients: usize,

    /// Refreshes in each measured round.
    #[arg(long, default_value_t = 20_000)]
    refreshes: usize,

    /// Users stored, each with attributes, a membership and an override.
    #[arg(long, default_value_t = 100_000)]
    users: usize,

    /// Rounds of each subject, alternating; the medians are compared.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open streams of the watermark, and kills.
    Followers {
        #[arg(long, default_value_t = 10_000)]
        followers: usize,
        /// How many kills and revivals are measured.
        #[arg(long, default_value_t = 3)]
        kills: usize,
    },
    /// Previews over many living sessions, each by a server that has just started.
    Preview {
        #[arg(long, default_value_t = 100_000)]
        sessions: usize,
    },
    /// Refreshes with the issued tokens recorded, and without.
    Recording,
    /// (Used by the program itself.) Runs the minimal handler.
    Baseline {
        #[arg(long)]
        listen: std::net::SocketAddr,
        #[arg(long)]
        database_url: String,
    },
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    if let Some(Command::Baseline { listen, database_url }) = options.command {
        baseline::run(listen, &database_url).await;
        return;
    }
    let folder = std::env::temp_dir().join(format!("flagbearer-load-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let url = match options.database_url.as_str() {
        "sqlite" => format!("sqlite:{}", folder.join("load.db").display()),
        url => url.to_owned(),
    };

    match options.command {
        Some(Command::Followers { followers, kills }) => followers::run(&url, &folder, followers, kills).await,
        Some(Command::Preview { sessions }) => preview::run(&url, &folder, sessions).await,
        Some(Command::Recording) => recording::run(&url, &folder, &options).await,
        _ => refreshes(&url, &folder, &options).await,
    }
    // The folder is temporary: what stays of it is the system's to clean.
    let _ = std::fs::remove_dir_all(&folder);
}

async fn refreshes(url: &str, folder: &Path, options: &Options) {
    let mut server = Subject::server(url, folder).await;
    let started = Instant::now();
    let [ours_sessions, theirs_sessions] = data::seed(&server.url, url, options.users, options.clients).await;
    println!(
        "stored: 30 flags, {0} users with attributes, memberships and overrides, {1} sessions ({2:.0} s)",
        options.users,
        options.clients * 2,
        started.elapsed().as_secs_f64()
    );
    let mut baseline = Subject::baseline(url).await;
    println!(
        "{} clients, {} refreshes a round, {} rounds each, alternating",
        options.clients, options.refreshes, options.rounds
    );
    println!();
    println!("{}", measure::HEADER);
    // One round each to warm caches, connections and statements.
    drive::round(&server, &ours_sessions, options.refreshes / 10).await;
    drive::round(&baseline, &theirs_sessions, options.refreshes / 10).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        for (subject, sessions, kept) in [(&server, &ours_sessions, &mut ours), (&baseline, &theirs_sessions, &mut theirs)] {
            let figures = drive::round(subject, sessions, options.refreshes).await;
            println!("{figures}");
            kept.push(figures);
        }
    }
    println!();
    let (ours_cpu, theirs_cpu) = (measure::median(&ours, |f| f.cpu), measure::median(&theirs, |f| f.cpu));
    let (ours_rate, theirs_rate) = (measure::median(&ours, |f| f.rate), measure::median(&theirs, |f| f.rate));
    println!("CPU, ours / minimal handler:        {:.2}  (goal: at most 1.25)", ours_cpu / theirs_cpu);
    println!("throughput, ours / minimal handler: {:.2}", ours_rate / theirs_rate);

    let half = drive::paced(&server, &ours_sessions, ours_rate / 2.0, options.refreshes / 2).await;
    println!("at half load ({:.0}/s): p50 {:.1} ms, p99 {:.1} ms  (goal: p99 under 50)", half.rate, half.p50, half.p99);
    let pages = drive::pages(&server, data::sign_in_page(&server.url).await, options.clients, options.refreshes / 2).await;
    println!("sign-in pages: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms", pages.rate, pages.p50, pages.p99);
    server.stop().await;
    baseline.stop().await;
    measure::cold_start(url, folder).await;
}
