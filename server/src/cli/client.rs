//! One call of the API: method, path, query, document. Every command is such a call and a way to show its answer.

use std::time::Duration;

use clap::Args;
use reqwest::redirect::Policy;
use reqwest::{Method, Url};
use serde::Serialize;
use serde_json::Value;

use super::failure::Failure;
use crate::secret::Secret;

/// Where a server listens that was told nothing.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which server, and with what key.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct Connection {
    /// The server's address.
    #[arg(long, env = "FLAGBEARER_SERVER", default_value = DEFAULT_SERVER, value_name = "URL", global = true)]
    pub server: String,

    /// Your API key. Better set the variable: other users of this machine can see command lines.
    #[arg(long, env = "FLAGBEARER_API_KEY", hide_env_values = true, value_name = "KEY", global = true)]
    pub api_key: Option<Secret>,

    /// Print the server's answer as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Which part of a list.
#[derive(Debug, Clone, Args)]
pub struct Page {
    /// How many at once, 1 to 200.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<String>,

    /// Go on where a former list said.
    #[arg(long)]
    cursor: Option<String>,
}

/// What every change takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every change")]
pub struct Write {
    /// Why you do this; kept in the change log.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,

    /// Do it in spite of a warning: what to put here, the warning says.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    confirm: Vec<String>,

    /// Only if nobody changed it since this revision.
    #[arg(long, value_name = "REVISION")]
    if_match: Option<i64>,

    /// Make every older token stale by it: readers that follow the watermark ask for a refresh at once.
    #[arg(long)]
    urgent: bool,

    /// Change nothing; say who would be served what instead, and by when their tokens would have turned over.
    #[arg(long)]
    preview: bool,
}

#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    write: Write,
}

impl Request {
    fn new<const N: usize>(method: Method, path: [&str; N]) -> Self {
        let path = std::iter::once("v1").chain(path).map(str::to_owned).collect();
        Self { method, path, query: Vec::new(), body: None, write: Write::default() }
    }

    pub fn get<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn put<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::PUT, path)
    }

    pub fn patch<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub fn delete<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// A longer path.
    pub fn below<const N: usize>(mut self, path: [&str; N]) -> Self {
        self.path.extend(path.map(str::to_owned));
        self
    }

    /// A parameter, where there is one.
    pub fn query(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    pub fn page(self, page: &Page) -> Self {
        self.query("limit", page.limit.as_deref()).query("cursor", page.cursor.as_deref())
    }

    pub fn body(mut self, body: impl Serialize) -> Self {
        self.body = serde_json::to_value(body).ok();
        self
    }

    pub fn write(mut self, write: &Write) -> Self {
        self.write = write.clone();
        self
    }

    /// Why, for the change log.
    pub fn comment(mut self, comment: &str) -> Self {
        self.write.comment = Some(comment.to_owned());
        self
    }

    /// Whether nothing is to be changed.
    pub fn is_preview(&self) -> bool {
        self.write.preview
    }

    /// Only if it is still at this revision, unless the caller named another.
    pub fn unless_changed(mut self, revision: &Value) -> Self {
        self.write.if_match = self.write.if_match.or(revision.as_i64());
        self
    }
}

/// A server that can be asked.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: Secret,
    pub json: bool,
}

fn unreachable(server: &Url, error: &reqwest::Error) -> Failure {
    let server = server.as_str().trim_end_matches('/');
    let detail = if error.is_timeout() {
        format!("the server at {server} did not answer in time; look at its log")
    } else if error.is_connect() {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        format!(
            "no server answers at {server} ({cause}); start one with `flagbearer serve`, or name another with --server or \
             FLAGBEARER_SERVER"
        )
    } else {
        format!("the connection to {server} broke off; try again")
    };
    Failure::new("SERVER_UNREACHABLE", detail)
}

impl Client {
    pub fn new(connection: &Connection) -> Result<Self, Failure> {
        let server = connection.server.trim_end_matches('/');
        let base = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| {
            let detail = format!("`{server}` is not a server's address; it looks like http://127.0.0.1:8080");
            Failure::new("SERVER_INVALID", detail)
        })?;
        let key = connection.api_key.clone().filter(|key| !key.expose().is_empty()).ok_or_else(|| {
            let detail = "no API key: set FLAGBEARER_API_KEY. The first key was printed when the server was started for the \
                          first time; others come from `flagbearer api-keys create`";
            Failure::new("API_KEY_MISSING", detail)
        })?;
        Ok(Self { http: http()?, base, key, json: connection.json })
    }

    pub fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends a request; answers its document, `null` where there is none.
    pub async fn send(&self, request: Request) -> Result<Value, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&request.path);
        }
        let mut query = request.query;
        if !request.write.confirm.is_empty() {
            query.push(("confirm", request.write.confirm.join(",")));
        }
        for (said, name) in [(request.write.urgent, "urgent"), (request.write.preview, "preview")] {
            if said {
                query.push((name, "true".to_owned()));
            }
        }
        let mut builder = self.http.request(request.method, url).bearer_auth(self.key.expose());
        if !query.is_empty() {
            builder = builder.query(&query);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        if let Some(comment) = &request.write.comment {
            builder = builder.header("x-change-comment", comment.as_bytes());
        }
        if let Some(revision) = request.write.if_match {
            builder = builder.header("if-match", format!("\"{revision}\""));
        }
        let response = builder.send().await.map_err(|error| {
            if error.is_builder() {
                let detail = "the API key or the comment holds characters that cannot be sent";
                return Failure::new("ARGUMENT_INVALID", detail);
            }
            unreachable(&self.base, &error)
        })?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| unreachable(&self.base, &error))?;
        let document = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
        if status.is_success() && (bytes.is_empty() || !document.is_null()) {
            return Ok(document);
        }
        if document["code"].is_string() {
            return Err(Failure::of_problem(document, self.json));
        }
        let detail = format!("{} answered {status}, but not as a Flagbearer server does; is --server right?", self.server());
        Err(Failure::new("SERVER_UNKNOWN", detail))
    }

    /// The same for what need not be there.
    pub async fn find(&self, request: Request) -> Result<Option<Value>, Failure> {
        match self.send(request).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Redirects are not followed: a key and a change belong to the server that was named.
pub fn http() -> Result<reqwest::Client, Failure> {
    let client = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build();
    client.map_err(|error| Failure::new("INTERNAL", format!("no HTTP client could be made: {error}")))
}
