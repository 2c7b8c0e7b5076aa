//! The server as its users run it: the binary, in a process that can be killed.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::server::ADMIN_KEY;
use crate::{Api, Database};

/// How long a server may take to come up before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running binary; killed when dropped.
#[derive(Debug)]
pub struct Process {
    pub url: String,
    child: Child,
    output: Arc<Mutex<String>>,
}

/// The binary that `cargo build --workspace` made, beside the test's own.
pub fn binary() -> PathBuf {
    let mut path = std::env::current_exe().expect("the test's own path");
    path.pop();
    path.pop();
    path.push("flagbearer");
    assert!(path.exists(), "there is no {}: run the tests by `tests/run`, which builds it", path.display());
    path
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn command(database: &Database, port: u16) -> Command {
    let mut command = Command::new(binary());
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--database-url", &database.url])
        .arg("--key-file")
        .arg(database.key_file())
        .env("FLAGBEARER_ADMIN_KEY", ADMIN_KEY)
        .env("FLAGBEARER_LOG", "trace,hyper=info,sqlx=info,h2=info,reqwest=info")
        .current_dir(database.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Process {
    /// Starts the binary on a database and waits until it listens.
    pub async fn start(database: &Database, port: u16) -> Self {
        Self::start_with(database, port, |_| {}).await
    }

    /// The same, with other arguments or variables.
    pub async fn start_with(database: &Database, port: u16, adapt: impl FnOnce(&mut Command)) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        let mut command = command(database, port);
        adapt(&mut command);
        let mut child = command.spawn().expect("the binary starts");
        let output = Arc::new(Mutex::new(String::new()));
        let (listening, mut listens) = watch::channel(false);
        let stdout = child.stdout.take().expect("standard output");
        let stderr = child.stderr.take().expect("standard error");
        tokio::spawn(collect(stdout, output.clone(), Some(listening)));
        tokio::spawn(collect(stderr, output.clone(), None));
        let up = tokio::time::timeout(PATIENCE, listens.wait_for(|up| *up)).await;
        assert!(matches!(up, Ok(Ok(_))), "the server did not come up:\n{}", output.lock().expect("output"));
        Self { url, child, output }
    }

    /// Runs a start that has to fail, and answers what it printed.
    pub async fn refused(database: &Database, adapt: impl FnOnce(&mut Command)) -> String {
        let mut command = command(database, free_port());
        adapt(&mut command);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("the start fails");
        let ended = ended.expect("the binary runs");
        assert!(!ended.status.success(), "the server started");
        String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned()
    }

    pub fn admin(&self) -> Api {
        Api::new(&self.url, ADMIN_KEY)
    }

    /// Kills it as a power cut would (SIGKILL), and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// Asks it to stop (SIGTERM), waits until it has, and answers whether it ended well.
    pub async fn terminate(&mut self) -> bool {
        let id = self.child.id().expect("a running process");
        let sent = Command::new("kill").args(["-TERM", &id.to_string()]).status().await.expect("kill runs");
        assert!(sent.success());
        self.child.wait().await.expect("the process ends").success()
    }

    /// Everything it printed, on both outputs, once that is in it: what follows the first line may come later.
    pub async fn output_with(&self, text: &str) -> String {
        let found = async {
            loop {
                let output = self.output();
                if output.contains(text) {
                    return output;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no `{text}` in:\n{}", self.output()))
    }

    /// Everything it printed, on both outputs.
    pub fn output(&self) -> String {
        self.output.lock().expect("output").clone()
    }
}

async fn collect(stream: impl AsyncRead + Unpin, output: Arc<Mutex<String>>, listening: Option<watch::Sender<bool>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(listening) = &listening
            && line.contains(" listens on ")
        {
            let _ = listening.send(true);
        }
        // Standard output is for the person who starts it, and shows the first key; the log is standard error.
        if listening.is_none() {
            crate::logs::keep_line(&line);
        }
        let mut output = output.lock().expect("output");
        output.push_str(&line);
        output.push('\n');
    }
}
