//! A real OpenID provider (`tests/oidc`), in a process of its own.

use std::path::Path;
use std::process::Stdio;

use reqwest::Url;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Browser;

/// A running provider; killed when dropped.
#[derive(Debug)]
pub struct OpenIdProvider {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: String,
    /// Where it sends users back to.
    callback: String,
    authentication: &'static str,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl OpenIdProvider {
    /// A provider with one client, which shows its secret by `authentication` and whose users go back to `callback`.
    pub async fn start(callback: &str, authentication: &'static str) -> Self {
        Self::listening(callback, authentication, 0).await
    }

    /// The same issuer after its keys were exchanged: the former ones are gone, and so is all that it knew.
    pub async fn restart(mut self) -> Self {
        self.child.kill().await.expect("it ends");
        let port = self.issuer.parse::<Url>().expect("an address").port().expect("a port");
        Self::listening(&self.callback, self.authentication, port).await
    }

    async fn listening(callback: &str, authentication: &'static str, port: u16) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc");
        assert!(folder.join("node_modules").exists(), "run the tests by `tests/run`, which installs what tests/oidc needs");
        let mut child = Command::new("node")
            .args(["provider.js", callback, authentication, &port.to_string()])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let input = child.stdin.take().expect("standard input");
        let mut output = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let line = output.next_line().await.expect("it speaks").expect("a line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let text = |name: &str| said[name].as_str().expect("text").to_owned();
        let (issuer, client_id, client_secret) = (text("issuer"), text("client_id"), text("client_secret"));
        Self { issuer, client_id, client_secret, callback: callback.to_owned(), authentication, child, input, output }
    }

    /// Gives it a fault by its name in `provider.js`, or `none`; it has it when this is done.
    pub async fn misbehave(&mut self, fault: &str) {
        self.input.write_all(format!("{fault}\n").as_bytes()).await.expect("it listens");
        let said = self.output.next_line().await.expect("it speaks");
        assert_eq!(said.as_deref(), Some(fault), "it has no such fault");
    }

    /// Takes a browser from where it was sent to through the provider's own forms, as a user called `login` answers them, up
    /// to the address that it is sent back to.
    pub async fn sign_in(&self, browser: &mut Browser, address: &str, login: &str) -> String {
        let mut page = browser.visit(address).await;
        // Its name, and that it agrees.
        for _ in 0..2 {
            if !page.left {
                page = browser.submit(&page, &[("login", login), ("password", "any")]).await;
            }
        }
        assert!(page.left && page.url.as_str().starts_with(&self.callback), "{}: {}", page.url, page.words());
        page.url.into()
    }
}
