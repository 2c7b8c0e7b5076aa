//! Followers of the watermark: what thousands of open streams cost a server, and how fast a kill is on all of them.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::data::call;
use crate::measure::Subject;

/// What begins an event.
const DATA: &[u8] = b"data: ";
/// How many connect at the same time: more than a listener's queue holds would be refused.
const AT_ONCE: usize = 100;
/// How long all followers may take to hear of a kill before the run is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets this process, and the server that it starts, have as many connections as the system allows.
fn raise_limit(followers: usize) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("the limit is raised");
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    assert!(allowed > followers as u64 + 100, "only {allowed} files may be open: raise the hard limit (ulimit -Hn)");
}

pub async fn run(database_url: &str, folder: &Path, followers: usize, kills: usize) {
    raise_limit(followers);
    let mut server = Subject::server(database_url, folder).await;
    let client = Client::new();
    let flag = json!({ "key": "new_ai_model", "type": "boolean", "default_value": true });
    call(&client, &server.url, Method::POST, "/v1/flags", &flag).await;
    let alone = server.resident();

    let (heard, mut hears) = unbounded_channel();
    let (cpu, started) = (server.cpu(), Instant::now());
    let mut connecting = JoinSet::new();
    for number in 0..followers {
        if connecting.len() >= AT_ONCE {
            connecting.join_next().await;
        }
        let (address, heard) = (server.url.trim_start_matches("http://").to_owned(), heard.clone());
        connecting.spawn(async move {
            let mut stream = open(&address).await.unwrap_or_else(|error| panic!("follower {number}: {error}"));
            tokio::spawn(async move { while next(&mut stream, &heard).await {} });
        });
    }
    all(&mut hears, followers).await;
    let opened = started.elapsed().as_secs_f64();
    println!(
        "{followers} followers, connected in {opened:.1} s ({:.2} CPU s): {:.0} MiB resident, {:.0} before  (goal: under 200)",
        server.cpu() - cpu,
        server.resident(),
        alone
    );
    println!();
    println!("{:<10} {:>11} {:>12} {:>8} {:>9}", "", "median ms", "maximum ms", "CPU s", "RSS MiB");
    for _ in 0..kills {
        for (name, method) in [("kill", Method::POST), ("revive", Method::DELETE)] {
            let (cpu, began) = (server.cpu(), Instant::now());
            call(&client, &server.url, method, "/v1/flags/new_ai_model/environments/production/kill", &json!({})).await;
            let mut times: Vec<f64> =
                all(&mut hears, followers).await.iter().map(|at| (*at - began).as_secs_f64() * 1e3).collect();
            times.sort_by(f64::total_cmp);
            let (median, maximum) = (times[times.len() / 2], times[times.len() - 1]);
            let (cpu, resident) = (server.cpu() - cpu, server.resident());
            println!("{name:<10} {median:>11.0} {maximum:>12.0} {cpu:>8.2} {resident:>9.0}");
        }
    }
    println!("(goal: at most one CPU second per kill; the followers' own work is in the times, not in the CPU)");
    server.stop().await;
}

struct Stream {
    socket: TcpStream,
    buffer: Vec<u8>,
}

async fn open(address: &str) -> std::io::Result<Stream> {
    let mut socket = TcpStream::connect(address).await?;
    let request = format!("GET /v1/watermark/production HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    Ok(Stream { socket, buffer: Vec::with_capacity(2048) })
}

/// Waits for what comes next, and says when an event began; false at the end.
async fn next(stream: &mut Stream, heard: &UnboundedSender<Instant>) -> bool {
    let Ok(1..) = stream.socket.read_buf(&mut stream.buffer).await else { return false };
    let now = Instant::now();
    let events = stream.buffer.windows(DATA.len()).filter(|window| *window == DATA).count();
    for _ in 0..events {
        let _ = heard.send(now);
    }
    // What may be the beginning of the next one.
    let kept = stream.buffer.len().saturating_sub(DATA.len() - 1);
    stream.buffer.drain(..kept);
    true
}

/// The times at which so many events came, which are all of one change.
async fn all(hears: &mut UnboundedReceiver<Instant>, events: usize) -> Vec<Instant> {
    let mut times = Vec::with_capacity(events);
    while times.len() < events {
        let heard = tokio::time::timeout(PATIENCE, hears.recv()).await;
        let heard = heard.unwrap_or_else(|_| panic!("only {} of {events} heard of it", times.len()));
        times.push(heard.expect("followers are there"));
    }
    times
}
