//! A server that is killed loses nothing that it acknowledged, and leaves nothing half done.
//!
//! 32 clients write and note what was answered; the server is killed in the middle of it and started again on the same
//! database. What each of them then finds must be its last acknowledged state, or the one that it had just asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flagbearer_tests::{Api, Database, Engine, Process, free_port, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const CLIENTS: usize = 32;
const ROUNDS: usize = 20;
/// How many answers are waited for, in all, before the server is killed; a little more in each round.
const ANSWERS: usize = 60;

/// What a client does, over and over; each has a flag of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Setting,
    Default,
    UserOverride,
    OrganizationOverride,
    Membership,
    Refresher,
    Starter,
    Revoker,
}

const KINDS: [Kind; 8] = [
    Kind::Setting,
    Kind::Default,
    Kind::UserOverride,
    Kind::OrganizationOverride,
    Kind::Membership,
    Kind::Refresher,
    Kind::Starter,
    Kind::Revoker,
];

/// A client with its journal.
struct Client {
    number: usize,
    kind: Kind,
    application: String,
    /// The number that was last acknowledged, and the one that was last asked for.
    acknowledged: i64,
    asked: i64,
    /// Acknowledged changes: the revision and the number.
    changes: Vec<(i64, i64)>,
    /// The last token response of a refresher.
    tokens: Value,
    /// Acknowledged sessions, which live.
    started: Vec<Value>,
    /// Sessions whose end was acknowledged.
    ended: Vec<Value>,
    /// The id of its flag: what the log knows it by.
    flag: String,
    http: reqwest::Client,
}

impl Client {
    fn new(number: usize, application: &str) -> Self {
        Self {
            number,
            kind: KINDS[number % KINDS.len()],
            application: application.to_owned(),
            acknowledged: 0,
            asked: 0,
            changes: Vec::new(),
            tokens: Value::Null,
            started: Vec::new(),
            ended: Vec::new(),
            flag: String::new(),
            http: reqwest::Client::new(),
        }
    }

    /// The flag, user and organization that nobody else writes.
    fn own(&self) -> String {
        format!("own_{}", self.number)
    }

    /// Works until the server is gone.
    async fn work(mut self, api: Api, answers: Arc<AtomicUsize>) -> Self {
        while self.step(&api).await.is_some() {
            answers.fetch_add(1, Ordering::SeqCst);
        }
        self
    }

    /// One write; `None` where no complete answer came.
    async fn step(&mut self, api: &Api) -> Option<()> {
        match self.kind {
            Kind::Refresher => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("client_id", self.application.as_str()),
                    ("refresh_token", self.tokens["refresh_token"].as_str().expect("a refresh token")),
                ];
                self.tokens = ask(api, self.http.post(format!("{}/oauth2/token", api.url)).form(&form)).await?;
            }
            Kind::Starter => {
                let started = ask(api, self.session(api)).await?;
                self.started.push(started);
            }
            Kind::Revoker => {
                let started = ask(api, self.session(api)).await?;
                let path = format!("/v1/sessions/{}", started["session_id"].as_str().expect("an id"));
                ask(api, api.request(Method::DELETE, &path)).await?;
                self.ended.push(started);
            }
            _ => {
                self.asked += 1;
                let (method, path, body) = self.write();
                let answer = ask(api, api.request(method, &path).json(&body)).await?;
                self.acknowledged = self.asked;
                self.changes.push((answer["revision"].as_i64().expect("a revision"), self.asked));
            }
        }
        Some(())
    }

    fn session(&self, api: &Api) -> reqwest::RequestBuilder {
        let body = json!({ "application": self.application, "user": self.own(), "organization": "everybody" });
        api.request(Method::POST, "/v1/sessions").json(&body)
    }

    fn write(&self) -> (Method, String, Value) {
        let (own, number) = (self.own(), self.asked);
        match self.kind {
            Kind::Setting => {
                (Method::PUT, self.place(), json!({ "enabled": true, "value": number, "rules": [rule(number)] }))
            }
            Kind::Default => (Method::PATCH, self.place(), json!({ "default_value": number })),
            Kind::Membership => (Method::PUT, self.place(), json!({ "permissions": [number.to_string()], "roles": [own] })),
            _ => (Method::PUT, self.place(), json!({ "value": number, "note": number.to_string() })),
        }
    }

    fn place(&self) -> String {
        let own = self.own();
        match self.kind {
            Kind::Setting => format!("/v1/flags/{own}/environments/production"),
            Kind::UserOverride => format!("/v1/flags/{own}/users/{own}"),
            Kind::OrganizationOverride => format!("/v1/flags/{own}/organizations/{own}?environment=production"),
            Kind::Membership => format!("/v1/organizations/everybody/members/{own}"),
            _ => format!("/v1/flags/{own}"),
        }
    }

    /// The number that the server holds, each part of the document agreeing with the others.
    async fn held(&self, api: &Api) -> i64 {
        match self.kind {
            Kind::Setting => {
                let setting = api.get(&self.place()).await.ok();
                if setting["value"].is_null() { 0 } else { number_in("setting", &setting) }
            }
            Kind::Default => number_in("flag", &api.get(&self.place()).await.ok()),
            Kind::Membership => number_in("membership", &api.get(&self.place()).await.ok()),
            _ => {
                let overrides = api.get(&format!("/v1/flags/{}/overrides", self.own())).await.ok();
                overrides["data"].as_array().expect("overrides").first().map_or(0, |found| number_in("override", found))
            }
        }
    }

    /// Compares what is there with the journal, and takes what is there as acknowledged.
    async fn check(&mut self, api: &Api, log: &BTreeMap<i64, Value>) {
        match self.kind {
            Kind::Refresher => {
                // Its last answer may have been lost: then this is a retry with the old token.
                self.tokens = api.refreshed("", &self.application, &self.tokens).await;
            }
            Kind::Starter => {
                for started in self.started.drain(..) {
                    api.refreshed("", &self.application, &started).await;
                }
            }
            Kind::Revoker => {
                for ended in self.ended.drain(..) {
                    let token = ended["refresh_token"].as_str().expect("a refresh token");
                    api.refresh("", &self.application, token).await.denied(400, "invalid_grant");
                }
            }
            _ => {
                let held = self.held(api).await;
                assert!(
                    held == self.acknowledged || held == self.asked,
                    "{:?} {}: {held} is there, {} was acknowledged and {} asked for",
                    self.kind,
                    self.number,
                    self.acknowledged,
                    self.asked
                );
                for (revision, number) in self.changes.drain(..) {
                    let change = log.get(&revision).unwrap_or_else(|| panic!("change {revision} was acknowledged"));
                    let edit = &change["edits"][0];
                    let entity = edit["entity"].as_str().expect("an entity");
                    assert_eq!(number_in(entity, &edit["after"]), number, "{change}");
                }
                self.acknowledged = held;
                self.asked = held;
            }
        }
    }
}

/// A rule that says the same number twice more, so that half a document would be seen.
fn rule(number: i64) -> Value {
    json!({ "description": number.to_string(), "audience": { "type": "all" }, "serve": { "value": number } })
}

/// The number that a document was written with.
#[track_caller]
fn number_in(entity: &str, document: &Value) -> i64 {
    let parse = |text: &Value| text.as_str().and_then(|text| text.parse::<i64>().ok());
    let number = match entity {
        "flag" => document["default_value"].as_i64(),
        "setting" => {
            let rule = &document["rules"][0];
            assert_eq!(rule["serve"]["value"], document["value"], "{document}");
            assert_eq!(parse(&rule["description"]), document["value"].as_i64(), "{document}");
            document["value"].as_i64()
        }
        "override" => {
            assert_eq!(parse(&document["note"]), document["value"].as_i64(), "{document}");
            document["value"].as_i64()
        }
        // A membership that a session made is bare.
        "membership" => Some(parse(&document["permissions"][0]).unwrap_or(0)),
        _ => None,
    };
    number.unwrap_or_else(|| panic!("no number in the {entity} {document}"))
}

/// Sends a request that the server accepts if it lives; `None` where it does not.
async fn ask(api: &Api, request: reqwest::RequestBuilder) -> Option<Value> {
    let answer = api.try_send(request).await.ok()?;
    Some(answer.ok())
}

/// The changes after a revision, each complete.
async fn changes_after(api: &Api, revision: i64) -> BTreeMap<i64, Value> {
    let mut log = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("/v1/changes?limit=200{cursor}")).await.ok();
        for change in page["data"].as_array().expect("changes") {
            let number = change["revision"].as_i64().expect("a revision");
            if number <= revision {
                return log;
            }
            assert!(change["edits"].as_array().is_some_and(|edits| !edits.is_empty()), "a change without edits: {change}");
            log.insert(number, change.clone());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return log,
        }
    }
}

async fn furnish(api: &Api) -> Vec<Client> {
    let application = api.application("production").await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::new(number, &application);
        let own = client.own();
        let flag = api.post("/v1/flags", json!({ "key": own, "type": "integer", "default_value": 0 })).await.ok();
        client.flag = flag["id"].as_str().expect("an id").to_owned();
        client.tokens = api.session(&application, &own, Some("everybody")).await;
        clients.push(client);
    }
    clients
}

async fn current_revision(api: &Api) -> i64 {
    api.get("/v1/environments/production").await.ok()["current_revision"].as_i64().expect("a revision")
}

on_both_engines! {
    async fn nothing_acknowledged_is_lost_when_the_server_is_killed(engine: Engine) {
        let database = Database::create(engine).await;
        let port = free_port();
        let mut server = Process::start(&database, port).await;
        let mut clients = furnish(&server.admin()).await;
        let mut total = 0;
        for round in 1..=ROUNDS {
            let before = current_revision(&server.admin()).await;
            let answers = Arc::new(AtomicUsize::new(0));
            let mut working = JoinSet::new();
            for client in clients.drain(..) {
                working.spawn(client.work(server.admin(), answers.clone()));
            }
            // Killed in the middle of the work, not at rest: the clients stop only because of it.
            while answers.load(Ordering::SeqCst) < ANSWERS + 7 * round {
                tokio::task::yield_now().await;
            }
            server.kill().await;
            clients = working.join_all().await;
            total += answers.load(Ordering::SeqCst);

            server = Process::start(&database, port).await;
            let api = server.admin();
            if engine == Engine::Sqlite {
                assert_eq!(database.texts("PRAGMA integrity_check").await, ["ok"]);
            }
            let log = changes_after(&api, before).await;
            assert!(log.keys().copied().eq(before + 1..=before + log.len() as i64), "revisions are missing");
            for client in &mut clients {
                client.check(&api, &log).await;
                if let Some((_, last)) = log.iter().rev().find(|(_, change)| is_about(change, client)) {
                    let edit = &last["edits"][0];
                    let logged = number_in(edit["entity"].as_str().expect("an entity"), &edit["after"]);
                    assert_eq!(logged, client.acknowledged, "the log and the document of {} differ", client.own());
                }
            }
            if round % 5 == 0 {
                println!("{engine:?}: killed {round} times, {total} answers so far, revision {}", current_revision(&api).await);
            }
        }
        assert!(server.terminate().await);
    }
}

/// Whether a change is one of this client's.
fn is_about(change: &Value, client: &Client) -> bool {
    let edit = &change["edits"][0];
    match client.kind {
        Kind::Membership => edit["entity"] == "membership" && edit["user"] == client.own(),
        Kind::Refresher | Kind::Starter | Kind::Revoker => false,
        _ => edit["flag"] == client.flag.as_str(),
    }
}
