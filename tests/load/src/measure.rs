//! Processes under load, and what they cost.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use tokio::process::{Child, Command};

pub const ADMIN_KEY: &str = "load-administrator-key-0123456789abcdef";

/// A server process that is driven and measured.
pub struct Subject {
    pub name: &'static str,
    pub url: String,
    child: Child,
}

/// What one round cost.
pub struct Figures {
    pub name: &'static str,
    /// Refreshes, or pages, a second.
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// CPU seconds of the server for 10 000 of them.
    pub cpu: f64,
    /// MiB resident.
    pub resident: f64,
}

/// What stands above lines of figures.
pub const HEADER: &str = "            refresh/s    p50 ms    p99 ms CPU s / 10 000   RSS MiB";

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<10} {:>10.0} {:>9.1} {:>9.1} {:>14.2} {:>9.0}",
            self.name, self.rate, self.p50, self.p99, self.cpu, self.resident
        )
    }
}

pub fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

fn server_binary() -> PathBuf {
    let path = std::env::current_exe().expect("our own path").with_file_name("flagbearer");
    assert!(path.exists(), "build the server first: cargo build --release --workspace");
    path
}

impl Subject {
    pub async fn server(database_url: &str, folder: &Path) -> Self {
        Self::serve("flagbearer", database_url, folder, &[]).await
    }

    /// The same with what it issues written down.
    pub async fn recording(database_url: &str, folder: &Path) -> Self {
        Self::serve("recording", database_url, folder, &["--record-issuance"]).await
    }

    async fn serve(name: &'static str, database_url: &str, folder: &Path, more: &[&str]) -> Self {
        let address = free_address();
        let child = Command::new(server_binary())
            .args(["serve", "--listen", &address, "--database-url", database_url])
            .arg("--key-file")
            .arg(folder.join("load.key"))
            .args(more)
            .env("FLAGBEARER_ADMIN_KEY", ADMIN_KEY)
            .env("FLAGBEARER_LOG", "warn")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        Self::up(name, address, child).await
    }

    pub async fn baseline(database_url: &str) -> Self {
        let address = free_address();
        let child = Command::new(std::env::current_exe().expect("our own path"))
            .args(["baseline", "--listen", &address, "--database-url", database_url])
            .kill_on_drop(true)
            .spawn()
            .expect("the minimal handler starts");
        Self::up("minimal", address, child).await
    }

    async fn up(name: &'static str, address: String, child: Child) -> Self {
        let url = format!("http://{address}");
        while reqwest::get(format!("{url}/healthz")).await.is_err() {
            tokio::task::yield_now().await;
        }
        Self { name, url, child }
    }

    pub async fn stop(&mut self) {
        self.child.kill().await.expect("the process ends");
    }

    /// CPU seconds used so far, in user and system mode (proc(5), fields 14 and 15 of `stat`).
    pub fn cpu(&self) -> f64 {
        let id = self.child.id().expect("a running process");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("proc is mounted");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("ticks")).sum();
        ticks / 100.0
    }

    pub fn resident(&self) -> f64 {
        let id = self.child.id().expect("a running process");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("proc is mounted");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|number| number.parse::<f64>().ok()).expect("kB") / 1024.0
    }
}

/// From the start of the process to its first answer, with the data that the run has left.
pub async fn cold_start(database_url: &str, folder: &Path) {
    let started = Instant::now();
    let mut server = Subject::server(database_url, folder).await;
    println!("cold start to the first answer: {:.0} ms  (goal: under 1 000)", started.elapsed().as_secs_f64() * 1e3);
    server.stop().await;
}
