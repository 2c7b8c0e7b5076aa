//! A user who is signed in: the client's last token response, and what a backend reads out of its access token.

use flagbearer::flag_set::FlagSet;
use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::{Api, Issuer};

/// A session as its client holds it.
#[derive(Debug, Clone)]
pub struct SignedIn {
    api: Api,
    /// Empty for the default environment, else `/env/<name>`.
    issuer: String,
    application: String,
    /// The last token response.
    pub tokens: Value,
}

impl SignedIn {
    /// Starts a session; `api` has to be an administrator's or an application's.
    pub async fn start(api: &Api, application: &str, user: &str, organization: Option<&str>) -> Self {
        let tokens = api.session(application, user, organization).await;
        let known = api.get(&format!("/v1/applications/{application}")).await.ok();
        let environment = known["environment"].as_str().expect("an environment");
        let issuer = if environment == "production" { String::new() } else { format!("/env/{environment}") };
        Self { api: api.clone(), issuer, application: application.to_owned(), tokens }
    }

    /// Refreshes, and answers the flags as they stand beside the new token.
    pub async fn refresh(&mut self) -> &Value {
        self.tokens = self.api.refreshed(&self.issuer, &self.application, &self.tokens).await;
        &self.tokens["feature_flags"]
    }

    /// Refreshes, and answers one flag's value; `null` where the token does not carry it.
    pub async fn refreshed_flag(&mut self, key: &str) -> Value {
        self.refresh().await[key]["v"].clone()
    }

    /// The flags of the access token, as a backend reads them: checked by the core with the keys that the issuer publishes.
    pub async fn verified(&self, now: Timestamp) -> FlagSet {
        let issuer = Issuer::discover(&self.api, &self.issuer, &self.application).await;
        let token = self.tokens["access_token"].as_str().expect("an access token");
        issuer.verify(token, now).expect("a valid token")
    }

    /// The text of the `feature_flags` claim, byte by byte: it is the last member of the claims.
    pub async fn claim_text(&self, now: Timestamp) -> String {
        let flags = self.verified(now).await;
        let (_, claim) = flags.claims().split_once("\"feature_flags\":").expect("the claim");
        claim.strip_suffix('}').expect("the end of the claims").to_owned()
    }
}

impl Api {
    /// Creates a flag, and answers its document.
    pub async fn flag(&self, key: &str, flag_type: &str, default_value: Value) -> Value {
        self.post("/v1/flags", json!({ "key": key, "type": flag_type, "default_value": default_value })).await.ok()
    }

    /// What the issuer would serve now, with its reason: `(value, reason)`.
    pub async fn evaluated(&self, environment: &str, user: &str, organization: &str, flag: &str) -> (Value, String) {
        let mut path = format!("/v1/evaluate?environment={environment}");
        for (name, id) in [("user", user), ("organization", organization)] {
            if !id.is_empty() {
                path.push_str(&format!("&{name}={id}"));
            }
        }
        let found = self.get(&path).await.ok()["flags"][flag].clone();
        (found["value"].clone(), found["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// The value alone of [`Api::evaluated`].
    pub async fn value(&self, environment: &str, user: &str, organization: &str, flag: &str) -> Value {
        self.evaluated(environment, user, organization, flag).await.0
    }

    /// The number of the last change that touched an environment: its tokens' `flags_rev`.
    pub async fn revision(&self, environment: &str) -> i64 {
        let found = self.get(&format!("/v1/environments/{environment}")).await.ok();
        found["current_revision"].as_i64().expect("a revision")
    }

    /// Creates an API key, and answers the key itself.
    pub async fn key(&self, role: &str, environment: Option<&str>) -> String {
        let body = json!({ "name": role, "role": role, "environment": environment });
        self.post("/v1/api-keys", body).await.ok()["key"].as_str().expect("a key").to_owned()
    }
}
