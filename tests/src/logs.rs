//! Everything that servers log while tests run, at its most talkative, kept for the search that ends `tests/run`: nothing
//! in it may be a secret.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Once;

use tracing_subscriber::EnvFilter;

/// The folder that `tests/run` searches; not set where a single test is run by hand.
const FOLDER: &str = "FLAGBEARER_TEST_LOGS";

fn file(kind: &str) -> Option<File> {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    let path = folder.join(format!("{}-{kind}.log", std::process::id()));
    Some(OpenOptions::new().create(true).append(true).open(path).expect("the folder of logs can be written"))
}

/// Keeps what servers inside this process log.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Some(file) = file("inside") {
            let filter = EnvFilter::new("flagbearer_server=trace,info");
            tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::sync::Mutex::new(file)).init();
        }
    });
}

/// Keeps a line that a server's own process logged.
pub fn keep_line(line: &str) {
    if let Some(mut file) = file("processes") {
        writeln!(file, "{line}").expect("the log can be written");
    }
}
