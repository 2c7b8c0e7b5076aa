//! The HTTP API as a caller sees it: send, and look at status, headers and document.

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// A server's address and a key.
#[derive(Debug, Clone)]
pub struct Api {
    pub url: String,
    key: String,
    client: Client,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// `null` where the body is empty or not JSON.
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The document of an answer that has to be a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "expected a success, got {}: {}", self.status, self.text);
        self.body
    }

    /// Checks that it is a success of an endpoint that clients call, which nobody keeps.
    #[track_caller]
    pub fn granted(self) {
        assert_eq!(self.header("cache-control"), "no-store");
        self.ok();
    }

    /// Checks that it is a problem of this status and code, as RFC 9457 shapes it, and hands its document on.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!((&self.body["status"], &self.body["type"]), (&json!(status), &json!("about:blank")));
        assert_eq!(self.body["instance"], self.header("x-request-id"));
        for words in ["title", "detail"] {
            assert!(self.body[words].as_str().is_some_and(|text| !text.is_empty()), "no {words}: {}", self.text);
        }
        self.body
    }

    /// Checks that it is a refusal of the token endpoint (RFC 6749 §5.2).
    #[track_caller]
    pub fn denied(self, status: u16, error: &str) -> Value {
        assert_eq!((self.status, self.body["error"].as_str()), (status, Some(error)), "{}", self.text);
        assert_eq!((self.header("content-type"), self.header("cache-control")), ("application/json", "no-store"));
        assert!(self.body["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{}", self.text);
        assert_eq!(self.status == 401, !self.header("www-authenticate").is_empty() && error != "insufficient_scope");
        self.body
    }
}

/// Whether what is at a path is everybody's: no other answer may be kept on its way.
fn is_public(path: &str) -> bool {
    ["/.well-known/", "/sso/jwks/", "/v1/watermark/"].iter().any(|public| path.contains(public))
}

impl Api {
    pub fn new(url: &str, key: &str) -> Self {
        let client = Client::builder().pool_max_idle_per_host(128).build().expect("an HTTP client");
        Self { url: url.to_owned(), key: key.to_owned(), client }
    }

    /// A request to be added to: headers, another body.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }

    /// As [`Api::send`], for servers that may be gone.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let kept = headers.get("cache-control").is_none_or(|rule| rule != "no-store");
        assert!(!kept || is_public(response.url().path()), "{} may be kept: {status} {headers:?}", response.url().path());
        assert_eq!(headers.get("x-content-type-options").map(|rule| rule.as_bytes()), Some("nosniff".as_bytes()));
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { status, headers, body, text })
    }

    /// Sends a request as it was built, other than with the key.
    pub async fn execute(&self, request: reqwest::Request) -> Answer {
        self.send(RequestBuilder::from_parts(self.client.clone(), request)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Creates a public application, and answers its client id.
    pub async fn application(&self, environment: &str) -> String {
        let body = json!({ "name": "app", "environment": environment, "public": true });
        let created = self.post("/v1/applications", body).await.ok();
        created["client_id"].as_str().expect("a client id").to_owned()
    }

    /// Starts a session, and answers the token response.
    pub async fn session(&self, application: &str, user: &str, organization: Option<&str>) -> Value {
        let body = json!({ "application": application, "user": user, "organization": organization });
        self.post("/v1/sessions", body).await.ok()
    }

    /// Uses a refresh token at an issuer: the server's root, or `/env/<name>`.
    pub async fn refresh(&self, issuer: &str, application: &str, token: &str) -> Answer {
        self.token(issuer, &[("grant_type", "refresh_token"), ("client_id", application), ("refresh_token", token)]).await
    }

    /// Posts a form to an issuer's token endpoint.
    pub async fn token(&self, issuer: &str, form: &[(&str, &str)]) -> Answer {
        self.form(&format!("{issuer}/oauth2/token"), form).await
    }

    /// Posts JSON, and no key with it.
    pub async fn json(&self, path: &str, body: &Value) -> Answer {
        self.send(self.client.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// Posts a form, and no key with it.
    pub async fn form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(self.client.post(format!("{}{path}", self.url)).form(form)).await
    }

    /// Refreshes a token response that has to succeed.
    pub async fn refreshed(&self, issuer: &str, application: &str, tokens: &Value) -> Value {
        let token = tokens["refresh_token"].as_str().expect("a refresh token");
        self.refresh(issuer, application, token).await.ok()
    }
}
