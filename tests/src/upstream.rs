//! Somebody else's issuer, as good or as bad as a test wants it: it answers over HTTP by hand, so that it can also answer as
//! no library would.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flagbearer::token::{Algorithm, KeySet, SigningKey, TYPE_JWT};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::BEGINNING;

/// What a path answers.
#[derive(Debug, Clone)]
pub enum Reply {
    Json(Value),
    /// Status, media type and body.
    Other(u16, &'static str, String),
    Redirect(String),
    /// Ten megabytes of a document that never ends; their number is announced or not.
    Endless {
        announced: bool,
    },
    /// Nothing, for as long as the client waits.
    Silence,
    /// A good beginning, and then nothing.
    Stuck,
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    /// The head as it came.
    pub head: String,
    pub body: String,
}

impl Asked {
    /// A header by its name in lower case; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or_default()
    }
}

/// An issuer that a test runs; gone when dropped.
#[derive(Debug)]
pub struct Upstream {
    pub url: String,
    key: Mutex<SigningKey>,
    inner: Arc<Inner>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Inner {
    replies: Mutex<HashMap<String, Reply>>,
    asked: watch::Sender<Vec<Asked>>,
}

/// How long a test waits for a request before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where its keys are.
const KEYS: &str = "/keys";
/// Where its metadata is.
pub const METADATA: &str = "/.well-known/openid-configuration";

impl Upstream {
    /// An issuer with metadata and one ES256 key.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner::default());
        let answering = inner.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(answering.clone(), stream));
            }
        });
        let key = Mutex::new(SigningKey::generate(Algorithm::Es256).expect("a key"));
        let upstream = Self { url: format!("http://{address}"), key, inner, serving };
        let url = &upstream.url;
        let metadata = json!({
            "issuer": url, "jwks_uri": format!("{url}{KEYS}"),
            "authorization_endpoint": format!("{url}/authorize?tenant=1"), "token_endpoint": format!("{url}/token"),
        });
        upstream.reply(METADATA, Reply::Json(metadata));
        upstream.publish(&[&upstream.key()]);
        upstream
    }

    /// Sets what a path answers from now on.
    pub fn reply(&self, path: &str, reply: Reply) {
        self.inner.replies.lock().expect("replies").insert(path.to_owned(), reply);
    }

    /// Sets what the keys' path answers.
    pub fn reply_keys(&self, reply: Reply) {
        self.reply(KEYS, reply);
    }

    /// Publishes just these keys.
    pub fn publish(&self, keys: &[&SigningKey]) {
        let keys: KeySet = keys.iter().map(|key| key.public_key().expect("a public key")).collect();
        self.reply(KEYS, Reply::Json(serde_json::from_str(&keys.to_json()).expect("a key set")));
    }

    /// Adds a member to its metadata, or replaces one.
    pub fn announce(&self, name: &str, value: Value) {
        let mut replies = self.inner.replies.lock().expect("replies");
        let Some(Reply::Json(metadata)) = replies.get_mut(METADATA) else { panic!("there is no metadata") };
        metadata[name] = value;
    }

    /// What it signs with.
    pub fn key(&self) -> SigningKey {
        self.key.lock().expect("a key").clone()
    }

    /// Signs with a new key from now on, published alone.
    pub fn rotate(&self) {
        *self.key.lock().expect("a key") = SigningKey::generate(Algorithm::Es256).expect("a key");
        self.publish(&[&self.key()]);
    }

    /// A token with these claims; `iss`, `iat` and `exp` are added where they are not there.
    pub fn token(&self, claims: Value) -> String {
        self.typed_token(TYPE_JWT, claims)
    }

    /// The same, of another type.
    pub fn typed_token(&self, token_type: &str, claims: Value) -> String {
        signed(&self.key(), token_type, &self.url, claims)
    }

    /// The claims of [`Upstream::token`], signed with somebody else's key.
    pub fn forged(&self, key: &SigningKey, claims: Value) -> String {
        signed(key, TYPE_JWT, &self.url, claims)
    }

    /// All that was asked of a path.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.inner.asked.borrow().iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// All that was asked of a path, once it is this many times.
    pub async fn asked_times(&self, path: &str, times: usize) -> Vec<Asked> {
        let mut asked = self.inner.asked.subscribe();
        let enough = asked.wait_for(|asked| asked.iter().filter(|asked| asked.path == path).count() >= times);
        if tokio::time::timeout(PATIENCE, enough).await.is_err() {
            panic!("`{path}` was asked {} times, not {times}", self.asked(path).len());
        }
        self.asked(path)
    }

    /// How often its keys were fetched.
    pub fn key_fetches(&self) -> usize {
        self.asked(KEYS).len()
    }
}

fn signed(key: &SigningKey, token_type: &str, issuer: &str, mut claims: Value) -> String {
    let now = BEGINNING.seconds();
    for (name, value) in [("iss", json!(issuer)), ("iat", json!(now)), ("exp", json!(now + 300))] {
        let members = claims.as_object_mut().expect("claims");
        members.entry(name).or_insert(value);
    }
    key.signer(token_type).expect("a signer").sign(&claims.to_string()).expect("a token")
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(inner: Arc<Inner>, mut stream: TcpStream) {
    let Some(asked) = read(&mut stream).await else { return };
    let reply = inner.replies.lock().expect("replies").get(&asked.path).cloned();
    inner.asked.send_modify(|all| all.push(asked));
    let text = |status: u16, extra: &str, body: &str| {
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{extra}\r\n{body}", body.len())
    };
    let head = "HTTP/1.1 200 X\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let answer = match reply {
        None => text(404, "", ""),
        Some(Reply::Json(document)) => text(200, "content-type: application/json\r\n", &document.to_string()),
        Some(Reply::Other(status, media, body)) => text(status, &format!("content-type: {media}\r\n"), &body),
        Some(Reply::Redirect(to)) => text(302, &format!("location: {to}\r\n"), ""),
        Some(Reply::Endless { announced }) => {
            let length = if announced { "content-length: 10485760\r\n" } else { "" };
            let begun = format!("{head}{length}\r\n{{\"keys\":[");
            let _ = stream.write_all(begun.as_bytes()).await;
            let piece = [b' '; 64 * 1024];
            // Whoever has read enough hangs up.
            for _ in 0..160 {
                if stream.write_all(&piece).await.is_err() {
                    return;
                }
            }
            return;
        }
        Some(Reply::Silence) => return hung_up(&mut stream).await,
        Some(Reply::Stuck) => {
            let _ = stream.write_all(format!("{head}content-length: 100\r\n\r\n{{\"keys\":[").as_bytes()).await;
            return hung_up(&mut stream).await;
        }
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Says no more until the client has had enough.
async fn hung_up(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]).await;
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let target = head.split(' ').nth(1)?;
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let asked = Asked { path, head: head.to_owned(), body: body.to_owned() };
        let length = Some(asked.header("content-length")).filter(|length| !length.is_empty()).unwrap_or("0");
        if asked.body.len() >= length.parse::<usize>().ok()? {
            return Some(asked);
        }
    }
}
