//! What a receiver of webhooks does with what it is sent, by the specification's own package (`tests/webhooks`).

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::Asked;

/// What a message says, if it is genuine by this secret and not older than five minutes.
pub async fn verified(secret: &str, asked: &Asked) -> Option<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("webhooks");
    assert!(folder.join("node_modules").exists(), "run the tests by `tests/run`, which installs what tests/webhooks needs");
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: Value = names.iter().map(|name| ((*name).to_owned(), Value::from(asked.header(name)))).collect();
    let message = json!({ "secret": secret, "headers": headers, "body": asked.body });
    let mut child = Command::new("node")
        .arg("verify.js")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node starts");
    let mut stdin = child.stdin.take().expect("standard input");
    stdin.write_all(message.to_string().as_bytes()).await.expect("it reads");
    drop(stdin);
    let ended = child.wait_with_output().await.expect("it ends");
    if ended.status.success() {
        return Some(serde_json::from_slice(&ended.stdout).expect("JSON"));
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("WebhookVerificationError"), "{said}");
    None
}
