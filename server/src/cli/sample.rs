//! `flagbearer sample`: something to play with. It goes through the API like everybody, makes what is missing and leaves
//! what is there, so that it may be run again at any time.

use serde_json::{Value, json};

use super::client::{Client, DEFAULT_SERVER, Request};
use super::failure::Failure;
use super::show::{aligned, print, print_json};

const ALICE: &str = "kp_abc123";
const BOB: &str = "kp_bob456";
const OURS: &str = "org_xyz789";
const HOBBY: &str = "org_hobby";

/// Flags: key, type, default value, kind, name, description.
fn flags() -> Vec<(&'static str, &'static str, Value, &'static str, &'static str, &'static str)> {
    let config = json!({ "temperature": 0.7, "max_tokens": 500 });
    let whole_config = json!({
        "model": "gpt-4o", "temperature": 0.7, "max_tokens": 500, "system_prompt": "You are a helpful AI assistant.",
    });
    vec![
        (
            "new_ai_model",
            "boolean",
            json!(false),
            "release",
            "New AI Model",
            "Tried out in staging before anybody else gets it",
        ),
        ("secondn_ai_model", "boolean", json!(false), "release", "Second AI Model", "A pilot customer gets it first"),
        (
            "third_ai_model",
            "boolean",
            json!(false),
            "release",
            "Third AI Model",
            "One beta user gets it, wherever she works",
        ),
        ("prompt_variant", "string", json!("control"), "experiment", "Prompt Variant", "Which prompt is tried"),
        (
            "ai_prompt_strategy",
            "string",
            json!("standard"),
            "experiment",
            "AI Prompt Strategy",
            "standard, chain_of_thought or few_shot",
        ),
        (
            "ai_token_limit",
            "integer",
            json!(1000),
            "permanent",
            "AI Token Limit",
            "Tokens per session; each plan's organizations have an override",
        ),
        (
            "ai_token_limit_by_plan",
            "integer",
            json!(1000),
            "permanent",
            "AI Token Limit by Plan",
            "The same limits by rules that look at the organization's plan",
        ),
        ("model_config", "json", config, "operational", "Model Configuration", "Settings that change together"),
        ("ai_model_config", "json", whole_config, "operational", "AI Model Configuration", "Settings that change together"),
        (
            "snippet-synthesis",
            "boolean",
            json!(false),
            "release",
            "Snippet Synthesis",
            "One organization has it; widen it and watch nobody lose it",
        ),
    ]
}

/// These two may have other values in an environment or an organization, but not for one user.
const NOT_FOR_USERS: [&str; 2] = ["ai_prompt_strategy", "ai_model_config"];

/// Organizations: id, name, plan.
const ORGANIZATIONS: [(&str, &str, &str); 5] = [
    (OURS, "Example Inc.", "pro"),
    (HOBBY, "Hobby Club", "free"),
    ("org_bigcorp", "Big Corp", "enterprise"),
    ("org_internal", "Our own company", "internal"),
    ("org_pilot", "Pilot Partners", "pro"),
];

/// Users: id, email, name, organization, permission.
const USERS: [(&str, &str, &str, &str, &str); 5] = [
    (ALICE, "alice@example.com", "Alice", OURS, "reports:view"),
    (BOB, "bob@example.com", "Bob", HOBBY, "reports:view"),
    ("kp_carol789", "carol@example.com", "Carol", "org_bigcorp", "reports:view"),
    ("kp_dave012", "dave@example.com", "Dave", "org_internal", "reports:edit"),
    ("kp_erin345", "erin@example.com", "Erin, beta user", "org_pilot", "reports:view"),
];

/// What a plan allows; the other plans have the default.
const LIMITS: [(&str, i64); 3] = [("free", 500), ("enterprise", 5000), ("internal", 10_000)];

const ENVIRONMENTS: [&str; 2] = ["production", "staging"];
const APPLICATION: &str = "Sample web app";

struct Sample<'a> {
    client: &'a Client,
    /// What this run made.
    made: Vec<String>,
}

pub async fn run(client: &Client) -> Result<(), Failure> {
    let mut sample = Sample { client, made: Vec::new() };
    sample.directory().await?;
    sample.flags().await?;
    sample.rules().await?;
    let mut applications = Vec::new();
    for environment in ENVIRONMENTS {
        applications.push((environment, sample.application(environment).await?));
    }
    if client.json {
        let applications: serde_json::Map<_, _> =
            applications.into_iter().map(|(environment, id)| (environment.to_owned(), id.into())).collect();
        print_json(&json!({ "created": sample.made, "applications": applications }));
        return Ok(());
    }
    print(&match sample.made.len() {
        0 => "The sample was there already: nothing was changed.\n".to_owned(),
        count => format!("Loaded the sample ({count} things were missing):\n  {}\n", sample.made.join("\n  ")),
    });
    print(&next(client, &applications));
    Ok(())
}

impl Sample<'_> {
    /// Makes what is missing.
    async fn ensure(&mut self, what: String, look: Request, make: Request) -> Result<(), Failure> {
        if self.client.find(look).await?.is_none() {
            self.make(what, make).await?;
        }
        Ok(())
    }

    async fn make(&mut self, what: String, make: Request) -> Result<Value, Failure> {
        let answer = self.client.send(make.comment("flagbearer sample")).await?;
        self.made.push(what);
        Ok(answer)
    }

    async fn directory(&mut self) -> Result<(), Failure> {
        for (id, name, plan) in ORGANIZATIONS {
            let body = json!({ "id": id, "name": name, "attributes": { "plan": plan } });
            let make = Request::post(["organizations"]).body(body);
            self.ensure(format!("organization {id} ({name}, plan {plan})"), Request::get(["organizations", id]), make)
                .await?;
        }
        for (id, email, name, organization, permission) in USERS {
            let make = Request::post(["users"]).body(json!({ "id": id, "email": email, "name": name }));
            self.ensure(format!("user {id} ({email})"), Request::get(["users", id]), make).await?;
            let path = ["organizations", organization, "members", id];
            let make = Request::put(path).body(json!({ "permissions": [permission] }));
            self.ensure(format!("member {id} of {organization}"), Request::get(path), make).await?;
        }
        for (plan, _) in LIMITS {
            let condition = json!({ "organization": "plan", "equals": plan });
            let make = Request::post(["segments"]).body(json!({ "key": plan, "condition": condition }));
            self.ensure(format!("segment {plan} (by the attribute `plan`)"), Request::get(["segments", plan]), make).await?;
        }
        Ok(())
    }

    async fn flags(&mut self) -> Result<(), Failure> {
        for (key, flag_type, default, kind, name, description) in flags() {
            let mut body = json!({
                "key": key, "type": flag_type, "default_value": default, "kind": kind, "name": name,
                "description": description, "tags": ["sample"],
            });
            if NOT_FOR_USERS.contains(&key) {
                body["overrides"] = json!(["environment", "organization"]);
            }
            let make = Request::post(["flags"]).body(body);
            self.ensure(format!("flag {key} ({flag_type}, {default})"), Request::get(["flags", key]), make).await?;
        }
        Ok(())
    }

    async fn rules(&mut self) -> Result<(), Failure> {
        self.setting("new_ai_model", "staging", "true in staging", json!({ "enabled": true, "value": true })).await?;
        let ours = json!({ "audience": { "type": "some", "organizations": [OURS] }, "serve": { "value": true } });
        let what = format!("true for {OURS} in production");
        self.setting("snippet-synthesis", "production", &what, json!({ "enabled": true, "rules": [ours] })).await?;
        let by_plan = LIMITS.map(|(plan, limit)| {
            json!({
                "description": format!("plan {plan}"),
                "audience": { "type": "some", "segments": [plan] }, "serve": { "value": limit },
            })
        });
        let setting = json!({ "enabled": true, "rules": by_plan });
        self.setting("ai_token_limit_by_plan", "production", "a rule for each plan in production", setting).await?;
        for (organization, _, plan) in ORGANIZATIONS {
            if let Some((_, limit)) = LIMITS.into_iter().find(|(limited, _)| *limited == plan) {
                let body = json!({ "value": limit, "note": format!("plan {plan}") });
                self.organization_override("ai_token_limit", organization, body).await?;
            }
        }
        let body = json!({ "value": true, "note": "pilot customer" });
        self.organization_override("secondn_ai_model", "org_pilot", body).await?;
        let user = "kp_erin345";
        let make = Request::put(["flags", "third_ai_model", "users", user]);
        let body = json!({ "value": true, "note": "beta user" });
        self.override_value("third_ai_model", "user", user, make, body).await
    }

    /// Writes a setting where nobody has written one.
    async fn setting(&mut self, key: &str, environment: &str, what: &str, setting: Value) -> Result<(), Failure> {
        let path = ["flags", key, "environments", environment];
        let found = self.client.send(Request::get(path)).await?;
        let untouched = found["value"].is_null() && found["rules"].as_array().is_none_or(Vec::is_empty);
        if untouched && found["enabled"] == true {
            let make = Request::put(path).body(setting).unless_changed(&found["revision"]);
            self.make(format!("setting {key}: {what}"), make).await?;
        }
        Ok(())
    }

    async fn organization_override(&mut self, key: &str, organization: &str, body: Value) -> Result<(), Failure> {
        let make = Request::put(["flags", key, "organizations", organization]).query("environment", Some("production"));
        self.override_value(key, "organization", organization, make, body).await
    }

    async fn override_value(
        &mut self,
        key: &str,
        level: &str,
        subject: &str,
        make: Request,
        body: Value,
    ) -> Result<(), Failure> {
        let environment = (level == "organization").then_some("production");
        let look = Request::get(["flags", key, "overrides"]).query("level", Some(level)).query("environment", environment);
        let found = self.client.send(look.query("limit", Some("200"))).await?;
        if !found["data"].as_array().into_iter().flatten().any(|found| found[level] == subject) {
            let what =
                format!("override {key}: {} for {subject} ({})", body["value"], body["note"].as_str().unwrap_or_default());
            self.make(what, make.body(body)).await?;
        }
        Ok(())
    }

    /// The client id of the sample's application in an environment.
    async fn application(&mut self, environment: &str) -> Result<String, Failure> {
        let look = Request::get(["applications"]).query("environment", Some(environment)).query("limit", Some("200"));
        let found = self.client.send(look).await?;
        let known = found["data"].as_array().into_iter().flatten().find(|found| found["name"] == APPLICATION).cloned();
        let application = match known {
            Some(application) => application,
            None => {
                let body = json!({ "name": APPLICATION, "environment": environment, "public": true });
                let make = Request::post(["applications"]).body(body);
                self.make(format!("application {APPLICATION} in {environment} (public)"), make).await?
            }
        };
        Ok(application["client_id"].as_str().unwrap_or_default().to_owned())
    }
}

/// This program, as its user called it.
pub fn program() -> String {
    std::env::args().next().filter(|name| !name.contains([' ', '\''])).unwrap_or_else(|| "flagbearer".to_owned())
}

/// What to try: commands that can be pasted as they are.
fn next(client: &Client, applications: &[(&str, String)]) -> String {
    let program = program();
    let mut out = String::from("\nApplications to sign in to (their client ids; public, so they have no secret):\n");
    let lines: Vec<Vec<String>> =
        applications.iter().map(|(environment, id)| vec![format!("  {environment}"), id.clone()]).collect();
    out.push_str(&aligned(&lines));
    out.push_str("\nTry next:\n");
    let unset = |name| std::env::var_os(name).is_none();
    if unset("FLAGBEARER_SERVER") && client.server() != DEFAULT_SERVER {
        out.push_str(&format!("  export FLAGBEARER_SERVER={}\n", client.server()));
    }
    if unset("FLAGBEARER_API_KEY") {
        out.push_str("  export FLAGBEARER_API_KEY=…   # the key that you have just used\n");
    }
    let web = applications.first().map(|(_, id)| id.as_str()).unwrap_or_default();
    for (why, commands) in [
        ("what Alice gets, and why", vec![format!("evaluate -e production --user {ALICE} --organization {OURS}")]),
        (
            "sign her in, and look into her token",
            vec![format!(
                "sessions create --application {web} --user {ALICE} --organization {OURS} --json | {program} token inspect -"
            )],
        ),
        (
            "give her organization the new model; the next token has it",
            vec![format!("flags target new_ai_model -e production --organization {OURS}")],
        ),
        (
            "give it to everybody, except to one customer that asked to wait",
            vec![
                format!("flags override new_ai_model false -e production --organization {HOBBY} --note 'asked to wait'"),
                "flags target new_ai_model -e production --all".to_owned(),
                format!("evaluate -e production --user {BOB} --organization {HOBBY} --flag new_ai_model"),
            ],
        ),
        ("who did all this", vec!["changes list --flag new_ai_model".to_owned()]),
    ] {
        out.push_str(&format!("\n  # {why}\n"));
        commands.iter().for_each(|command| out.push_str(&format!("  {program} {command}\n")));
    }
    out
}
