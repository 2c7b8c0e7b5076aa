//! `/v1/identity-providers`: documents, secrets, and who may see them.

use flagbearer_tests::{Api, Engine, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const SECRET: &str = "planted-upstream-secret-0123456789";

fn document() -> Value {
    json!({
        "environment": "staging", "name": "Acme", "issuer": "https://login.example.com/", "client_id": "our-client",
        "client_secret": SECRET,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut document = document();
    document[name] = value;
    document
}

async fn created(admin: &Api) -> (String, Value) {
    let created = admin.post("/v1/identity-providers", document()).await.ok();
    (format!("/v1/identity-providers/{}", created["id"].as_str().expect("an id")), created)
}

on_both_engines! {
    async fn a_provider_is_created_read_changed_and_deleted(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let before = admin.revision("staging").await;
        let (path, created) = created(&admin).await;
        assert!(created["id"].as_str().expect("an id").starts_with("idp_"));
        let expected = json!({
            "id": created["id"], "environment": "staging", "name": "Acme", "issuer": "https://login.example.com/",
            "client_id": "our-client", "has_client_secret": true, "scopes": ["openid", "email", "profile"],
            "jwks_uri": null, "audience": null, "sign_in": true, "exchange": false, "create_users": false,
            "claims": { "user": null, "organization": null, "email": null, "name": null },
            "callback_url": format!("{}/env/staging/sign-in/callback", server.url), "revision": created["revision"],
        });
        assert_eq!(created, expected);
        let read = admin.get(&path).await;
        assert_eq!(read.header("etag"), format!("\"{}\"", created["revision"]));
        assert_eq!(read.ok(), expected);

        let change = json!({ "exchange": true, "audience": "api", "claims": { "user": "sub", "organization": "/app/org" } });
        let changed = admin.patch(&path, change).await.ok();
        assert_eq!((&changed["exchange"], &changed["audience"]), (&json!(true), &json!("api")));
        assert_eq!(changed["claims"], json!({ "user": "sub", "organization": "/app/org", "email": null, "name": null }));
        assert_eq!(changed["has_client_secret"], true);
        assert_eq!(admin.patch(&path, json!({ "client_secret": null, "claims": null })).await.ok()["has_client_secret"], false);
        let stale = admin.request(Method::PATCH, &path).header("if-match", "\"1\"").json(&json!({ "name": "B" }));
        admin.send(stale).await.refused(412, "REVISION_MISMATCH");
        assert_eq!(admin.delete(&path).await.status, 204);
        admin.get(&path).await.refused(404, "IDENTITY_PROVIDER_NOT_FOUND");
        assert_eq!(admin.revision("staging").await, before, "no token changes with a provider");
    }

    async fn its_secret_is_shown_logged_and_stored_nowhere(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let (path, created) = created(&admin).await;
        admin.patch(&path, json!({ "client_secret": format!("{SECRET}-2") })).await.ok();
        for path in [path.as_str(), "/v1/identity-providers", "/v1/changes?environment=staging", "/v1/changes?limit=200"] {
            let answer = admin.get(path).await;
            assert!(!answer.text.contains(SECRET), "{path}");
            answer.ok();
        }
        let change = admin.get(&format!("/v1/changes/{}", created["revision"])).await.ok();
        assert_eq!(change["edits"][0]["entity"], "identity_provider");
        assert_eq!(change["edits"][0]["after"]["issuer"], "https://login.example.com/");
        assert_eq!(change["environments"], json!(["staging"]));
        let stored = match engine {
            Engine::Sqlite => "SELECT document || hex(sealed_secret) FROM identity_providers",
            Engine::Postgres => "SELECT document || encode(sealed_secret, 'hex') FROM identity_providers",
        };
        let stored = server.database.texts(stored).await.concat();
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!stored.contains(SECRET) && !stored.to_lowercase().contains(&hex), "{stored}");
    }

    async fn what_cannot_work_is_refused_with_its_place(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (document, status, code, place) in [
            (with("issuer", json!("login.example.com")), 422, "VALUE_INVALID", "/issuer"),
            (with("issuer", json!("http://login.example.com")), 422, "VALUE_INVALID", "/issuer"),
            (with("issuer", json!("https://169.254.169.254/")), 422, "VALUE_INVALID", "/issuer"),
            (with("issuer", json!("https://[::1]/")), 422, "VALUE_INVALID", "/issuer"),
            (with("issuer", json!("file:///etc/passwd")), 422, "VALUE_INVALID", "/issuer"),
            (with("issuer", json!("https://login.example.com/?a=b")), 422, "VALUE_INVALID", "/issuer"),
            (with("issuer", json!("https://login.example.com/#a")), 422, "VALUE_INVALID", "/issuer"),
            (with("issuer", json!(format!("https://{}.example.com", "a".repeat(3000)))), 422, "TEXT_INVALID", "/issuer"),
            (with("issuer", json!(7)), 400, "MEMBER_MISTYPED", "/issuer"),
            (with("jwks_uri", json!("https://10.0.0.1/keys")), 422, "VALUE_INVALID", "/jwks_uri"),
            (with("client_id", json!(null)), 422, "VALUE_INVALID", "/client_id"),
            (with("client_id", json!("")), 422, "TEXT_INVALID", "/client_id"),
            (with("scopes", json!(["email"])), 422, "VALUE_INVALID", "/scopes"),
            (with("scopes", json!(["openid", "a b"])), 422, "VALUE_INVALID", "/scopes/1"),
            (with("scopes", json!("openid")), 400, "MEMBER_MISTYPED", "/scopes"),
            (with("sign_in", json!("yes")), 400, "MEMBER_MISTYPED", "/sign_in"),
            (with("claims", json!({ "user": "email" })), 422, "VALUE_INVALID", "/claims/user"),
            (with("claims", json!({ "user": "/preferred_username" })), 422, "VALUE_INVALID", "/claims/user"),
            (with("claims", json!({ "mail": "email" })), 400, "MEMBER_UNKNOWN", "/claims/mail"),
            (with("client_secret", json!(7)), 400, "MEMBER_MISTYPED", "/client_secret"),
            (with("secret", json!("x")), 400, "MEMBER_UNKNOWN", "/secret"),
            (json!({ "environment": "staging", "name": "A", "issuer": "https://a.example", "sign_in": false, "exchange": true }),
             422, "VALUE_INVALID", "/audience"),
            (json!({ "environment": "staging", "name": "A" }), 400, "MEMBER_MISSING", "/issuer"),
        ] {
            let problem = admin.post("/v1/identity-providers", document.clone()).await.refused(status, code);
            assert_eq!(problem["errors"][0]["pointer"], place, "{document}");
        }
        admin.post("/v1/identity-providers", with("environment", json!("nowhere"))).await.refused(404, "ENVIRONMENT_NOT_FOUND");
        let (path, created) = created(&admin).await;
        let problem = admin.post("/v1/identity-providers", document()).await.refused(409, "IDENTITY_PROVIDER_EXISTS");
        assert!(problem["detail"].as_str().expect("detail").contains(created["id"].as_str().expect("an id")));
        admin.post("/v1/identity-providers", with("environment", json!("production"))).await.ok();
        let other = admin.post("/v1/identity-providers", with("issuer", json!("https://other.example.com"))).await.ok();
        let other = format!("/v1/identity-providers/{}", other["id"].as_str().expect("an id"));
        admin.patch(&other, json!({ "issuer": "https://login.example.com/" })).await.refused(409, "IDENTITY_PROVIDER_EXISTS");
        admin.patch(&path, json!({ "environment": "production" })).await.refused(422, "IMMUTABLE");
        admin.patch(&path, json!({ "issuer": "https://192.168.1.1" })).await.refused(422, "VALUE_INVALID");
        admin.patch(&path, json!({ "issuer": "https://login.example.com/", "name": "Still itself" })).await.ok();
    }

    async fn a_key_sees_the_providers_of_its_environment_and_changes_none(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let (path, _) = created(&admin).await;
        let production = admin.post("/v1/identity-providers", with("environment", json!("production"))).await.ok();
        let bound = server.api(&admin.key("administrator", Some("staging")).await);
        let seen = bound.get("/v1/identity-providers").await.ok();
        let seen: Vec<&Value> = seen["data"].as_array().expect("data").iter().map(|one| &one["environment"]).collect();
        assert_eq!(seen, ["staging"]);
        bound.get(&path).await.ok();
        let elsewhere = format!("/v1/identity-providers/{}", production["id"].as_str().expect("an id"));
        bound.get(&elsewhere).await.refused(403, "FORBIDDEN");
        bound.get("/v1/identity-providers?environment=production").await.refused(403, "FORBIDDEN");
        bound.patch(&path, json!({ "name": "mine" })).await.refused(403, "FORBIDDEN");
        for role in ["viewer", "application", "editor"] {
            let key = server.api(&admin.key(role, None).await);
            key.get(&path).await.ok();
            key.post("/v1/identity-providers", document()).await.refused(403, "FORBIDDEN");
            key.patch(&path, json!({ "name": "mine" })).await.refused(403, "FORBIDDEN");
            key.delete(&path).await.refused(403, "FORBIDDEN");
        }
    }

    async fn providers_are_listed_in_pages_and_go_with_their_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/environments", json!({ "name": "trial" })).await.ok();
        for number in 0..3 {
            let mut document = with("issuer", json!(format!("https://login{number}.example.com")));
            document["environment"] = json!("trial");
            admin.post("/v1/identity-providers", document).await.ok();
        }
        let first = admin.get("/v1/identity-providers?environment=trial&limit=2").await.ok();
        let cursor = first["next_cursor"].as_str().expect("a cursor");
        let second = admin.get(&format!("/v1/identity-providers?environment=trial&limit=2&cursor={cursor}")).await.ok();
        assert_eq!((first["data"].as_array().map(Vec::len), second["data"].as_array().map(Vec::len)), (Some(2), Some(1)));
        admin.get("/v1/identity-providers?environment=nowhere").await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.delete("/v1/environments/trial?confirm=trial").await.ok();
        assert_eq!(admin.get("/v1/identity-providers").await.ok()["data"], json!([]));
    }

    async fn an_address_that_the_operator_allows_is_taken(engine: Engine) {
        let server = TestServer::start_with(engine, |config| {
            config.outbound_allow = vec!["10.0.0.0/8".parse().expect("a range"), "login.internal".parse().expect("a name")];
        })
        .await;
        let admin = server.admin();
        for issuer in ["http://login.internal", "http://10.1.2.3:8080", "https://10.1.2.4"] {
            admin.post("/v1/identity-providers", with("issuer", json!(issuer))).await.ok();
        }
        admin.post("/v1/identity-providers", with("issuer", json!("http://other.internal"))).await.refused(422, "VALUE_INVALID");
    }
}
