//! `/v1/api-keys`, and what a key may do: its role, its environment, and protection.

use flagbearer_tests::{Answer, Api, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

/// What a key is tried on. The document is empty where there is none.
struct Deed {
    name: &'static str,
    method: Method,
    path: String,
    body: Value,
}

/// One deed of each kind, each of which an administrator may do again and again.
fn deeds(production: &str, staging: &str) -> Vec<Deed> {
    let deed = |name, method, path: &str, body| Deed { name, method, path: path.to_owned(), body };
    let setting = json!({ "enabled": true });
    let session = |application: &str| json!({ "application": application, "user": "alice" });
    vec![
        deed("read a flag", Method::GET, "/v1/flags/f", json!({})),
        deed("read production", Method::GET, "/v1/flags/f/environments/production", json!({})),
        deed("read staging", Method::GET, "/v1/flags/f/environments/staging", json!({})),
        deed("evaluate production", Method::GET, "/v1/evaluate?environment=production&user=alice", json!({})),
        deed("evaluate staging", Method::GET, "/v1/evaluate?environment=staging&user=alice", json!({})),
        deed("log of staging", Method::GET, "/v1/changes?environment=staging", json!({})),
        deed("flag", Method::PATCH, "/v1/flags/f", json!({ "name": "F" })),
        deed("segment", Method::PATCH, "/v1/segments/s", json!({ "name": "S" })),
        deed("user override", Method::PUT, "/v1/flags/f/users/alice", json!({ "value": true })),
        deed("set production", Method::PUT, "/v1/flags/f/environments/production", setting.clone()),
        deed("set staging", Method::PUT, "/v1/flags/f/environments/staging", setting),
        deed(
            "override in production",
            Method::PUT,
            "/v1/flags/f/organizations/o?environment=production",
            json!({ "value": true }),
        ),
        deed(
            "override in staging",
            Method::PUT,
            "/v1/flags/f/organizations/o?environment=staging",
            json!({ "value": true }),
        ),
        deed("drop overrides", Method::DELETE, "/v1/flags/f/overrides", json!({})),
        deed("session in production", Method::POST, "/v1/sessions", session(production)),
        deed("session in staging", Method::POST, "/v1/sessions", session(staging)),
        deed("end sessions", Method::DELETE, "/v1/sessions?user=nobody&environment=production", json!({})),
        deed("user", Method::PATCH, "/v1/users/alice", json!({ "name": "A" })),
        deed("membership", Method::PUT, "/v1/organizations/o/members/alice", json!({})),
        deed("environment", Method::PATCH, "/v1/environments/staging", json!({})),
        deed("application", Method::PATCH, &format!("/v1/applications/{staging}"), json!({ "name": "app" })),
        deed("list keys", Method::GET, "/v1/api-keys", json!({})),
        deed("create a key", Method::POST, "/v1/api-keys", json!({ "name": "more", "role": "administrator" })),
    ]
}

async fn tried(api: &Api, deed: &Deed) -> Answer {
    api.send(api.request(deed.method.clone(), &deed.path).json(&deed.body)).await
}

/// Which deeds a key may do, by name; every other has to be refused with 403.
async fn may(api: &Api, deeds: &[Deed]) -> Vec<&'static str> {
    let mut allowed = Vec::new();
    for deed in deeds {
        let answer = tried(api, deed).await;
        if answer.status < 300 {
            allowed.push(deed.name);
        } else {
            answer.refused(403, "FORBIDDEN");
        }
    }
    allowed
}

/// A server with one of everything, and the client ids of its applications in production and staging.
async fn prepared(engine: flagbearer_tests::Engine) -> (TestServer, Api, Vec<Deed>) {
    let server = TestServer::start(engine).await;
    let admin = server.admin();
    admin.flag("f", "boolean", json!(false)).await;
    admin.post("/v1/segments", json!({ "key": "s" })).await.ok();
    admin.post("/v1/users", json!({ "id": "alice" })).await.ok();
    admin.post("/v1/organizations", json!({ "id": "o" })).await.ok();
    let (production, staging) = (admin.application("production").await, admin.application("staging").await);
    let deeds = deeds(&production, &staging);
    (server, admin, deeds)
}

const READING: [&str; 6] =
    ["read a flag", "read production", "read staging", "evaluate production", "evaluate staging", "log of staging"];
const EDITING: [&str; 8] = [
    "flag",
    "segment",
    "user override",
    "set production",
    "set staging",
    "override in production",
    "override in staging",
    "drop overrides",
];
const SERVING: [&str; 3] = ["session in production", "session in staging", "end sessions"];

on_both_engines! {
    async fn no_cache_keeps_what_is_answered(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.post("/v1/applications", json!({ "name": "web", "environment": "production" })).await;
        let client_id = application.body["client_id"].clone();
        let key = json!({ "name": "backend", "environment": "production", "role": "application" });
        for answer in [
            application,
            admin.post("/v1/api-keys", key).await,
            admin.post("/v1/users", json!({ "id": "alice", "email": "alice@example.com" })).await,
            admin.post("/v1/users/alice/password-reset", json!({})).await,
            admin.post("/v1/sessions", json!({ "application": client_id, "user": "alice" })).await,
            admin.get("/v1/users").await,
        ] {
            assert!((200..300).contains(&answer.status), "{}", answer.text);
            assert_eq!(answer.header("cache-control"), "no-store", "{}", answer.text);
        }
        assert_eq!(admin.get("/v1/users/nobody").await.header("cache-control"), "no-store");
    }

    async fn each_role_may_do_its_own(engine: Engine) {
        let (server, admin, deeds) = prepared(engine).await;
        let all: Vec<&str> = deeds.iter().map(|deed| deed.name).collect();
        for (role, expected) in [
            ("viewer", READING.to_vec()),
            ("application", [READING.as_slice(), &SERVING].concat()),
            ("editor", [READING.as_slice(), &EDITING].concat()),
            ("administrator", all),
        ] {
            let key = server.api(&admin.key(role, None).await);
            assert_eq!(may(&key, &deeds).await, expected, "{role}");
        }
    }

    async fn a_key_of_one_environment_stays_in_it(engine: Engine) {
        let (server, admin, deeds) = prepared(engine).await;
        let reading = ["read a flag", "read staging", "evaluate staging", "log of staging"];
        let editing = ["set staging", "override in staging"];
        let serving = ["session in staging"];
        for (role, expected) in [
            ("viewer", reading.to_vec()),
            ("application", [reading.as_slice(), &serving].concat()),
            ("editor", [reading.as_slice(), &editing].concat()),
            ("administrator", [reading.as_slice(), &editing, &serving].concat()),
        ] {
            let key = server.api(&admin.key(role, Some("staging")).await);
            assert_eq!(may(&key, &deeds).await, expected, "{role}");
        }
    }

    async fn a_protected_environment_is_changed_by_administrators_alone(engine: Engine) {
        let (server, admin, deeds) = prepared(engine).await;
        admin.patch("/v1/environments/production", json!({ "protected": true })).await.ok();
        let editor = server.api(&admin.key("editor", None).await);
        let allowed = [READING.as_slice(), &["set staging", "override in staging"]].concat();
        assert_eq!(may(&editor, &deeds).await, allowed, "what environments share reaches the protected one");
        let staging = server.api(&admin.key("editor", Some("staging")).await);
        staging.put("/v1/flags/f/environments/staging", json!({ "enabled": true })).await.ok();
        let production = server.api(&admin.key("editor", Some("production")).await);
        production.put("/v1/flags/f/environments/production", json!({ "enabled": true })).await.refused(403, "FORBIDDEN");
        for environment in [None, Some("production")] {
            let administrator = server.api(&admin.key("administrator", environment).await);
            administrator.put("/v1/flags/f/environments/production", json!({ "enabled": true })).await.ok();
        }
    }

    async fn a_bound_key_sees_its_own_environment_in_lists(engine: Engine) {
        let (server, admin, _) = prepared(engine).await;
        for environment in ["production", "staging"] {
            let path = format!("/v1/flags/f/organizations/o?environment={environment}");
            admin.put(&path, json!({ "value": true })).await.ok();
        }
        let only_production = admin.get("/v1/changes?limit=200").await.ok()["data"].as_array().expect("changes").iter()
            .find(|change| change["environments"] == json!(["production"])).expect("a change")["revision"].clone();
        let bound = server.api(&admin.key("viewer", Some("staging")).await);
        let seen = async |path: &str, member: &str| -> Vec<Value> {
            let list = bound.get(path).await.ok();
            list["data"].as_array().expect("data").iter().map(|one| one[member].clone()).collect()
        };
        assert_eq!(seen("/v1/flags/f/overrides", "environment").await, ["staging"]);
        assert_eq!(seen("/v1/applications", "environment").await, ["staging"]);
        assert!(!seen("/v1/changes?limit=200", "revision").await.contains(&only_production));
        bound.get(&format!("/v1/changes/{only_production}")).await.refused(404, "CHANGE_NOT_FOUND");
        bound.get("/v1/flags/f/overrides?environment=production").await.refused(403, "FORBIDDEN");
    }

    async fn a_key_is_shown_once_renamed_and_deleted(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let answer = admin.post("/v1/api-keys", json!({ "name": "ci", "role": "viewer", "environment": "staging" })).await;
        assert_eq!(answer.status, 201);
        let created = answer.ok();
        let (id, key) = (created["id"].as_str().expect("an id"), created["key"].as_str().expect("a key"));
        assert!(key.starts_with(&format!("fb_staging_{id}_")), "{key}");
        let path = format!("/v1/api-keys/{id}");
        let read = admin.get(&path).await.ok();
        assert_eq!((&read["name"], &read["role"], &read["environment"]), (&json!("ci"), &json!("viewer"), &json!("staging")));
        assert!(read.get("key").is_none() && !admin.get("/v1/api-keys").await.text.contains(key));
        assert!(!admin.get("/v1/changes?limit=200").await.text.contains(key));

        let renamed = admin.patch(&path, json!({ "name": "pipeline" })).await.ok();
        assert_eq!(renamed["name"], "pipeline");
        admin.patch(&path, json!({ "role": "administrator" })).await.refused(400, "MEMBER_UNKNOWN");
        let stale = admin.request(Method::DELETE, &path).header("if-match", "\"1\"");
        admin.send(stale).await.refused(412, "REVISION_MISMATCH");
        let holder = server.api(key);
        holder.get("/v1/flags").await.ok();
        assert_eq!(admin.delete(&path).await.status, 204);
        holder.get("/v1/flags").await.refused(401, "UNAUTHENTICATED");
        admin.get(&path).await.refused(404, "API_KEY_NOT_FOUND");
        let problem = admin.post("/v1/api-keys", json!({ "name": "x", "role": "god" })).await.refused(422, "VALUE_INVALID");
        assert_eq!(problem["errors"][0]["pointer"], "/role");
    }

    async fn the_last_administrator_key_stays(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.key("administrator", Some("staging")).await;
        admin.delete("/v1/api-keys/configured").await.refused(409, "LAST_ADMINISTRATOR");
        let other = server.api(&admin.key("administrator", None).await);
        assert_eq!(admin.delete("/v1/api-keys/configured").await.status, 204);
        admin.get("/v1/flags").await.refused(401, "UNAUTHENTICATED");
        other.get("/v1/flags").await.ok();
    }
}
