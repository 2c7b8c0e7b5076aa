//! An application as its own code sees it: where it sends browsers, and how it redeems what they come back with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde_json::{Value, json};

use crate::{Answer, Api, Browser, Page};

/// What every client of the tests proves itself by (RFC 7636, appendix B).
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Its SHA-256.
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Where applications of the tests want browsers back.
pub const REDIRECT_URI: &str = "https://app.example.com/callback";

/// The password of the tests' accounts.
pub const PASSWORD: &str = "planted-password-of-a-user";

/// A registered application.
#[derive(Debug, Clone)]
pub struct Client {
    pub api: Api,
    /// Empty for the default environment, else `/env/<name>`.
    pub issuer: String,
    /// The path that it sends browsers to.
    pub authorize: String,
    pub id: String,
    pub secret: Option<String>,
}

impl Client {
    /// Registers a public application of an environment.
    pub async fn public(api: &Api, environment: &str) -> Self {
        Self::register(api, environment, json!({ "public": true })).await
    }

    /// Registers an application; `document` has what is special of it.
    pub async fn register(api: &Api, environment: &str, document: Value) -> Self {
        let mut whole = json!({ "name": "Scribe", "environment": environment, "redirect_uris": [REDIRECT_URI] });
        let members = document.as_object().expect("an object").clone();
        whole.as_object_mut().expect("an object").extend(members);
        let created = api.post("/v1/applications", whole).await.ok();
        let text = |name: &str| created[name].as_str().map(str::to_owned);
        let issuer = if environment == "production" { String::new() } else { format!("/env/{environment}") };
        let authorize = match created["profile"].as_str() {
            Some("workos") => "/user_management/authorize".to_owned(),
            _ => format!("{issuer}/oauth2/auth"),
        };
        let id = text("client_id").expect("a client id");
        Self { api: api.clone(), issuer, authorize, id, secret: text("client_secret") }
    }

    /// The parameters of its authorization requests.
    pub fn request(&self) -> Vec<(&str, &str)> {
        vec![
            ("client_id", &self.id),
            ("redirect_uri", REDIRECT_URI),
            ("response_type", "code"),
            ("state", "s1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]
    }

    /// Where it sends a browser to sign in; `more` replaces parameters of the same name, or takes them out where empty.
    pub fn authorization_url(&self, more: &[(&str, &str)]) -> String {
        let mut parameters = self.request();
        for (name, value) in more {
            parameters.retain(|(found, _)| found != name);
            if !value.is_empty() {
                parameters.push((name, value));
            }
        }
        self.url(&parameters)
    }

    /// The same from exactly these parameters.
    pub fn url(&self, parameters: &[(&str, &str)]) -> String {
        let address = format!("{}{}", self.api.url, self.authorize);
        Url::parse_with_params(&address, parameters).expect("an address").into()
    }

    /// Lets a browser sign in, up to the next question or the application.
    pub async fn sign_in(&self, browser: &mut Browser, email: &str) -> Page {
        browser.sign_in(&self.authorization_url(&[]), email, PASSWORD).await
    }

    /// A code for somebody in a new browser.
    pub async fn code(&self, email: &str) -> String {
        let page = self.sign_in(&mut Browser::new(), email).await;
        page.told().remove("code").unwrap_or_else(|| panic!("no code came back: {}", page.url))
    }

    /// The form that redeems a code.
    pub fn redemption<'a>(&'a self, code: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", &self.id),
            ("code", code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ];
        form.extend(self.secret.as_deref().map(|secret| ("client_secret", secret)));
        form
    }

    /// Redeems a code, as it is right.
    pub async fn redeem(&self, code: &str) -> Answer {
        self.token(&self.redemption(code)).await
    }

    /// Redeems a code with parameters replaced, or taken out where empty.
    pub async fn redeem_with(&self, code: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = self.redemption(code);
        for (name, value) in more {
            form.retain(|(found, _)| found != name);
            if !value.is_empty() {
                form.push((name, value));
            }
        }
        self.token(&form).await
    }

    /// Posts to its issuer's token endpoint; an application of WorkOS's has another ([`Client::authenticate`]).
    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.api.token(&self.issuer, form).await
    }

    /// Posts to any endpoint of its issuer, and shows who it is.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        form.push(("client_id", &self.id));
        form.extend(self.secret.as_deref().map(|secret| ("client_secret", secret)));
        self.api.form(&format!("{}{path}", self.issuer), &form).await
    }

    /// Posts members to WorkOS's token endpoint, and shows who it is where they do not.
    pub async fn authenticate(&self, mut members: Value) -> Answer {
        let known = [("client_id", Some(&self.id)), ("client_secret", self.secret.as_ref())];
        for (name, value) in known.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            members.as_object_mut().expect("an object").entry(name).or_insert_with(|| json!(value));
        }
        self.api.json("/user_management/authenticate", &members).await
    }

    /// A token of its own (client credentials).
    pub async fn machine(&self, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(more);
        self.post("/oauth2/token", &form).await
    }

    /// Refreshes a token response.
    pub async fn refresh(&self, tokens: &Value) -> Answer {
        let token = tokens["refresh_token"].as_str().expect("a refresh token");
        let mut form = vec![("grant_type", "refresh_token"), ("client_id", &self.id), ("refresh_token", token)];
        form.extend(self.secret.as_deref().map(|secret| ("client_secret", secret)));
        self.token(&form).await
    }
}

/// The claims of a JWT, unverified.
#[track_caller]
pub fn claims_of(token: &Value) -> Value {
    let token = token.as_str().expect("a token");
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("claims")
}

impl Api {
    /// Creates a user who signs in by email and [`PASSWORD`], as a member of these organizations, which are created too.
    pub async fn account(&self, user: &str, email: &str, organizations: &[&str]) {
        self.post("/v1/users", json!({ "id": user, "email": email, "password": PASSWORD })).await.ok();
        for organization in organizations {
            if self.get(&format!("/v1/organizations/{organization}")).await.status == 404 {
                let body = json!({ "id": organization, "name": format!("The {organization}") });
                self.post("/v1/organizations", body).await.ok();
            }
            self.put(&format!("/v1/organizations/{organization}/members/{user}"), json!({})).await.ok();
        }
    }
}
