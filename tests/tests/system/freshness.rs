//! The promise: a token whose request started after a change was acknowledged reflects that change, on every replica.
//!
//! Writers and refreshers run side by side. Every write is noted with its revision, so that afterwards it is known what
//! held at each revision; every token must then say exactly what held at its own `flags_rev`, and no less than what had
//! been acknowledged when it was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use flagbearer_tests::{Api, BEGINNING, Engine, Issuer, TestServer, on_both_engines};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const REFRESHERS: usize = 32;
const WRITERS: usize = 4;
const USERS: [&str; 4] = ["ada", "ben", "cid", "dot"];
const ORGANIZATIONS: [&str; 2] = ["org_one", "org_two"];
const ENVIRONMENTS: [&str; 2] = ["production", "staging"];
/// What a flag serves where nothing more specific is set.
const BARE: i64 = -1;
/// The tag of the flags that tokens carry.
const CARRIED: &str = "carried";

/// Something that a write decides and a token shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    Default,
    /// Whether a flag has the tag that tokens carry flags for.
    Tagged,
    Setting {
        environment: &'static str,
    },
    UserOverride {
        user: &'static str,
    },
    OrganizationOverride {
        organization: &'static str,
        environment: &'static str,
    },
    UserOnPlan {
        user: &'static str,
    },
    OrganizationOnPlan {
        organization: &'static str,
    },
    /// Listed in the segment that two flags share.
    Paired {
        organization: &'static str,
    },
    Permissions {
        organization: &'static str,
        user: &'static str,
    },
}

impl Fact {
    fn all() -> Vec<Self> {
        let mut all = vec![Self::Default, Self::Tagged];
        all.extend(ENVIRONMENTS.map(|environment| Self::Setting { environment }));
        all.extend(USERS.map(|user| Self::UserOverride { user }));
        all.extend(USERS.map(|user| Self::UserOnPlan { user }));
        for organization in ORGANIZATIONS {
            all.extend(ENVIRONMENTS.map(|environment| Self::OrganizationOverride { organization, environment }));
            all.push(Self::OrganizationOnPlan { organization });
            all.push(Self::Paired { organization });
            all.extend(USERS.map(|user| Self::Permissions { organization, user }));
        }
        all
    }

    /// The one environment that it concerns, where it is one.
    fn environment(self) -> Option<&'static str> {
        match self {
            Self::Setting { environment } | Self::OrganizationOverride { environment, .. } => Some(environment),
            _ => None,
        }
    }

    /// Writes the `number`th state of this fact, and answers the revision and what tokens have to say from then on.
    async fn write(self, api: &Api, number: i64) -> (i64, Value) {
        let on = number % 2 == 0;
        let plan = json!({ "attributes": { "plan": if on { "enterprise" } else { "free" } } });
        let (answer, value) = match self {
            Self::Default => (api.patch("/v1/flags/by_default", json!({ "default_value": number })).await, json!(number)),
            Self::Tagged => {
                let tags = if on { json!([CARRIED]) } else { json!([]) };
                let carried = if on { json!(BARE) } else { Value::Null };
                (api.patch("/v1/flags/by_tag", json!({ "tags": tags })).await, carried)
            }
            Self::Setting { environment } => {
                let path = format!("/v1/flags/by_setting/environments/{environment}");
                (api.put(&path, json!({ "enabled": true, "value": number })).await, json!(number))
            }
            Self::UserOverride { user } => at_override(api, &format!("/v1/flags/by_user/users/{user}"), number).await,
            Self::OrganizationOverride { organization, environment } => {
                let path = format!("/v1/flags/by_organization/organizations/{organization}?environment={environment}");
                at_override(api, &path, number).await
            }
            Self::UserOnPlan { user } => (api.patch(&format!("/v1/users/{user}"), plan).await, json!(on)),
            Self::OrganizationOnPlan { organization } => {
                (api.patch(&format!("/v1/organizations/{organization}"), plan).await, json!(on))
            }
            Self::Paired { organization } => {
                let path = format!("/v1/segments/pair/organizations/{organization}");
                let answer = if on { api.put(&path, Value::Null).await } else { api.delete(&path).await };
                (answer, json!(on))
            }
            Self::Permissions { organization, user } => {
                let permissions = json!([format!("permission:{number}")]);
                let path = format!("/v1/organizations/{organization}/members/{user}");
                (api.put(&path, json!({ "permissions": permissions })).await, permissions)
            }
        };
        (answer.ok()["revision"].as_i64().expect("a revision"), value)
    }
}

/// Every fourth time the override goes.
async fn at_override(api: &Api, path: &str, number: i64) -> (flagbearer_tests::Answer, Value) {
    if number % 4 == 3 {
        let answer = api.delete(path).await;
        // Another writer may have removed it already: then set it.
        if answer.status == 200 {
            return (answer, json!(BARE));
        }
    }
    (api.put(path, json!({ "value": number })).await, json!(number))
}

/// A written fact: which, at what revision, and what it says.
type Entry = (Fact, i64, Value);

/// A token, and what had been acknowledged when it was asked for.
struct Shown {
    environment: &'static str,
    user: &'static str,
    organization: &'static str,
    acknowledged: i64,
    claims: Value,
}

/// The largest acknowledged revision of each environment.
#[derive(Default)]
struct Acknowledged([AtomicI64; 2]);

impl Acknowledged {
    fn note(&self, environment: Option<&str>, revision: i64) {
        for (name, highest) in ENVIRONMENTS.iter().zip(&self.0) {
            if environment.is_none_or(|environment| environment == *name) {
                highest.fetch_max(revision, Ordering::SeqCst);
            }
        }
    }

    fn of(&self, environment: &str) -> i64 {
        let place = ENVIRONMENTS.iter().position(|name| *name == environment).expect("a known environment");
        self.0[place].load(Ordering::SeqCst)
    }
}

async fn furnish(api: &Api) {
    for key in ["by_default", "by_tag", "by_setting", "by_user", "by_organization"] {
        api.post("/v1/flags", json!({ "key": key, "type": "integer", "default_value": BARE, "tags": [CARRIED] })).await.ok();
    }
    let on_plan = |subject: &str| json!({ subject: "plan", "equals": "enterprise" });
    for (key, condition) in [("users", on_plan("user")), ("organizations", on_plan("organization"))] {
        api.post("/v1/segments", json!({ "key": key, "name": key, "condition": condition })).await.ok();
    }
    api.post("/v1/segments", json!({ "key": "pair", "name": "pair" })).await.ok();
    let flags = [("user_on_plan", "users"), ("organization_on_plan", "organizations"), ("one", "pair"), ("two", "pair")];
    for (key, segment) in flags {
        api.post("/v1/flags", json!({ "key": key, "type": "boolean", "default_value": false, "tags": [CARRIED] }))
            .await
            .ok();
        for environment in ENVIRONMENTS {
            let targeting = json!({ "audience": "some", "segments": [segment] });
            api.put(&format!("/v1/flags/{key}/environments/{environment}/targeting"), targeting).await.ok();
        }
    }
    for id in ORGANIZATIONS {
        api.post("/v1/organizations", json!({ "id": id })).await.ok();
    }
    for id in USERS {
        api.post("/v1/users", json!({ "id": id })).await.ok();
    }
}

fn issuer_path(environment: &str) -> String {
    if environment == "production" { String::new() } else { format!("/env/{environment}") }
}

/// How often the writers go through all facts; refreshers go on as long as they do.
fn rounds(engine: Engine) -> i64 {
    match engine {
        Engine::Sqlite => 24,
        Engine::Postgres => 4,
    }
}

/// Runs writers against one replica and refreshers against another, which may be the same.
async fn play(writes_at: &TestServer, refreshes_at: &TestServer) {
    let (writer, refresher) = (writes_at.admin(), refreshes_at.admin());
    furnish(&writer).await;
    let rounds = rounds(writes_at.database.engine());
    let acknowledged = Arc::new(Acknowledged::default());
    let mut entries: Vec<Entry> = Vec::new();
    for fact in Fact::all() {
        let (revision, value) = fact.write(&writer, 1).await;
        acknowledged.note(fact.environment(), revision);
        entries.push((fact, revision, value));
    }
    let mut applications = BTreeMap::new();
    let mut issuers = BTreeMap::new();
    for environment in ENVIRONMENTS {
        let application = writer.application(environment).await;
        let projection = json!({ "projection": { "tags": [CARRIED] } });
        writer.patch(&format!("/v1/applications/{application}"), projection).await.ok();
        let issuer = Issuer::discover(&refresher, &issuer_path(environment), &application).await;
        issuers.insert(environment, Arc::new(issuer));
        applications.insert(environment, application);
    }

    let running = Arc::new(AtomicUsize::new(WRITERS));
    let mut refreshers = JoinSet::new();
    for number in 0..REFRESHERS {
        let environment = ENVIRONMENTS[usize::from(number % 4 == 3)];
        let (user, organization) = (USERS[number / 2 % 4], ORGANIZATIONS[number % 2]);
        let (application, issuer) = (applications[environment].clone(), issuers[environment].clone());
        let (api, acknowledged, running) = (refresher.clone(), acknowledged.clone(), running.clone());
        refreshers.spawn(async move {
            let mut shown = Vec::new();
            let mut tokens = api.session(&application, user, Some(organization)).await;
            let mut last = false;
            while !last {
                // Once more after the last write, which that token has to show.
                last = running.load(Ordering::SeqCst) == 0;
                let acknowledged = acknowledged.of(environment);
                tokens = api.refreshed(&issuer_path(environment), &application, &tokens).await;
                let claims = issuer.claims(&tokens, BEGINNING);
                assert_eq!(claims["feature_flags"], tokens["feature_flags"]);
                shown.push(Shown { environment, user, organization, acknowledged, claims });
            }
            shown
        });
    }
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (api, acknowledged, running) = (writer.clone(), acknowledged.clone(), running.clone());
        writers.spawn(async move {
            let mut written = Vec::new();
            let all = Fact::all();
            for round in 2..2 + rounds {
                for fact in all.iter().skip(number).step_by(WRITERS) {
                    let (revision, value) = fact.write(&api, round).await;
                    acknowledged.note(fact.environment(), revision);
                    written.push((*fact, revision, value));
                }
            }
            running.fetch_sub(1, Ordering::SeqCst);
            written
        });
    }
    // Each refresher's own tokens stay in order: a session's revisions never decrease.
    let mut shown = Vec::new();
    while let Some(of_one) = refreshers.join_next().await {
        let of_one = of_one.expect("the refresher ends");
        let revisions: Vec<i64> = of_one.iter().map(|shown| shown.claims["flags_rev"].as_i64().expect("it")).collect();
        assert!(revisions.is_sorted(), "flags_rev went back: {revisions:?}");
        shown.extend(of_one);
    }
    while let Some(written) = writers.join_next().await {
        entries.extend(written.expect("the writer ends"));
    }
    let mut distinct: Vec<_> = shown.iter().map(|shown| shown.claims["flags_rev"].as_i64()).collect();
    distinct.sort();
    distinct.dedup();
    println!("{} tokens at {} revisions, {} writes", shown.len(), distinct.len(), entries.len());
    check(&shown, entries);

    // At rest, a token and `evaluate` say the same.
    for environment in ENVIRONMENTS {
        let (path, application) = (issuer_path(environment), &applications[environment]);
        let started = refresher.session(application, "ada", Some("org_one")).await;
        let tokens = refresher.refreshed(&path, application, &started).await;
        let place = format!("/v1/evaluate?environment={environment}&user=ada&organization=org_one");
        let evaluated = writer.get(&place).await.ok();
        assert_eq!(tokens["flags_rev"], evaluated["revision"]);
        let evaluated = evaluated["flags"].as_object().expect("flags");
        assert_eq!(evaluated.len(), 9);
        for (key, flag) in evaluated.iter().filter(|(key, _)| *key != "by_tag") {
            assert_eq!(tokens["feature_flags"][key]["v"], flag["value"], "{key}");
        }
    }
}

/// Compares every token with what held at its revision.
fn check(shown: &[Shown], entries: Vec<Entry>) {
    let mut history: BTreeMap<Fact, BTreeMap<i64, Value>> = BTreeMap::new();
    for (fact, revision, value) in entries {
        let before = history.entry(fact).or_default().insert(revision, value);
        assert_eq!(before, None, "two changes have the revision {revision}");
    }
    for Shown { environment, user, organization, acknowledged, claims } in shown {
        let (environment, user, organization) = (*environment, *user, *organization);
        let revision = claims["flags_rev"].as_i64().expect("a revision");
        assert!(revision >= *acknowledged, "{acknowledged} was acknowledged before, but the token has {revision}");
        let held = |fact: Fact| {
            let before = history[&fact].range(..=revision).next_back();
            before.map(|(_, value)| value.clone()).expect("every fact was written before the first session")
        };
        let flag = |key: &str| claims["feature_flags"][key]["v"].clone();
        let permissions = held(Fact::Permissions { organization, user });
        for (key, expected) in [
            ("by_default", held(Fact::Default)),
            ("by_tag", held(Fact::Tagged)),
            ("by_setting", held(Fact::Setting { environment })),
            ("by_user", held(Fact::UserOverride { user })),
            ("by_organization", held(Fact::OrganizationOverride { organization, environment })),
            ("user_on_plan", held(Fact::UserOnPlan { user })),
            ("organization_on_plan", held(Fact::OrganizationOnPlan { organization })),
            ("one", held(Fact::Paired { organization })),
            ("two", held(Fact::Paired { organization })),
        ] {
            assert_eq!(flag(key), expected, "`{key}` at revision {revision}");
        }
        assert_eq!(claims["permissions"], permissions, "at revision {revision}");
    }
}

on_both_engines! {
    async fn every_token_reflects_what_was_acknowledged_before_it_was_asked_for(engine: Engine) {
        let server = TestServer::start(engine).await;
        play(&server, &server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_one_replica_is_in_the_next_token_of_another() {
    let one = TestServer::start(Engine::Postgres).await;
    let other = TestServer::on(one.database.clone(), one.clock.clone()).await;
    play(&one, &other).await;
}

on_both_engines! {
    async fn two_flags_of_one_segment_turn_together(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        furnish(&admin).await;
        let application = admin.application("production").await;
        let turning = {
            let admin = admin.clone();
            tokio::spawn(async move {
                for number in 0..60 {
                    Fact::Paired { organization: "org_one" }.write(&admin, number).await;
                }
            })
        };
        let mut refreshers = JoinSet::new();
        for _ in 0..8 {
            let (admin, application) = (admin.clone(), application.clone());
            refreshers.spawn(async move {
                let mut tokens = admin.session(&application, "ada", Some("org_one")).await;
                let mut seen = [false; 2];
                for _ in 0..30 {
                    tokens = admin.refreshed("", &application, &tokens).await;
                    let flags = &tokens["feature_flags"];
                    assert_eq!(flags["one"], flags["two"], "one without the other: {flags}");
                    seen[usize::from(flags["one"]["v"] == true)] = true;
                }
                seen
            });
        }
        let mut seen = [false; 2];
        while let Some(of_one) = refreshers.join_next().await {
            let of_one = of_one.expect("the refresher ends");
            seen = [seen[0] || of_one[0], seen[1] || of_one[1]];
        }
        turning.await.expect("the writer ends");
        assert_eq!(seen, [true, true], "both states were met");
    }
}
