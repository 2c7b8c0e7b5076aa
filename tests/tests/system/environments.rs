//! `/v1/environments`, and the issuer that each one is.

use flagbearer_server::clock::Clock;
use flagbearer_tests::{Issuer, SignedIn, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

on_both_engines! {
    async fn production_and_staging_are_there_from_the_beginning(engine: Engine) {
        let server = TestServer::start(engine).await;
        let list = server.admin().get("/v1/environments").await.ok();
        let found: Vec<_> = list["data"].as_array().expect("data").iter()
            .map(|one| (one["name"].clone(), one["default"].clone(), one["issuer"].clone())).collect();
        assert_eq!(found, [
            (json!("production"), json!(true), json!(server.url)),
            (json!("staging"), json!(false), json!(format!("{}/env/staging", server.url))),
        ]);
    }

    async fn a_new_environment_has_every_flag_and_keys_of_its_own(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(true)).await;
        let created = admin.post("/v1/environments", json!({ "name": "preview" })).await;
        assert_eq!(created.status, 201);
        assert_eq!(created.ok()["protected"], false);
        let application = admin.application("preview").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", None).await;
        assert_eq!(alice.refreshed_flag("f").await, true);
        alice.verified(server.clock.now()).await;
        let preview = Issuer::discover(&admin, "/env/preview", &application).await;
        let production = Issuer::discover(&admin, "", &application).await;
        let token = alice.tokens["access_token"].as_str().expect("a token");
        let error = preview.verify_with(token, &production.keys, server.clock.now()).expect_err("another's keys");
        assert_eq!(error.code.as_str(), "KEY_UNKNOWN");
        admin.post("/v1/environments", json!({ "name": "preview" })).await.refused(409, "ENVIRONMENT_EXISTS");
        for name in ["", "Preview", "1st", "a_b", "a.b", "-a", &"x".repeat(64)] {
            let problem = admin.post("/v1/environments", json!({ "name": name })).await.refused(422, "KEY_INVALID");
            assert_eq!(problem["errors"][0]["pointer"], "/name", "{name}");
        }
    }

    async fn a_name_is_kept_and_protection_is_not(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let tag = admin.get("/v1/environments/staging").await.header("etag").to_owned();
        admin.patch("/v1/environments/staging", json!({ "name": "stage" })).await.refused(422, "IMMUTABLE");
        let patched = admin.patch("/v1/environments/staging", json!({ "name": "staging", "protected": true })).await.ok();
        assert_eq!((&patched["protected"], &patched["current_revision"]), (&json!(true), &patched["revision"]));
        let stale = admin.request(Method::PATCH, "/v1/environments/staging").header("if-match", tag).json(&json!({}));
        admin.send(stale).await.refused(412, "REVISION_MISMATCH");
        admin.flag("f", "boolean", json!(true)).await;
        let read = admin.get("/v1/environments/staging").await;
        assert_eq!(read.header("etag"), format!("\"{}\"", patched["revision"]), "a flag is no part of the document");
        assert_ne!(read.ok()["current_revision"], patched["revision"]);
    }

    async fn whether_strangers_may_sign_up_is_said_by_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for environment in admin.get("/v1/environments").await.ok()["data"].as_array().expect("data") {
            assert_eq!((&environment["sign_up"], &environment["host"]), (&json!(false), &Value::Null));
        }
        let created = admin.post("/v1/environments", json!({ "name": "open", "sign_up": true })).await.ok();
        assert_eq!(created["sign_up"], true);
        let closed = admin.patch("/v1/environments/open", json!({ "sign_up": false })).await.ok();
        assert_eq!((&closed["sign_up"], &closed["protected"]), (&json!(false), &json!(false)));
        assert_eq!(admin.get("/v1/environments/open").await.ok()["sign_up"], false);
        let log = admin.get("/v1/changes?limit=1").await.ok();
        let edit = &log["data"][0]["edits"][0];
        assert_eq!((&edit["before"]["sign_up"], &edit["after"]["sign_up"]), (&json!(true), &json!(false)));
        admin.patch("/v1/environments/open", json!({ "sign_up": "yes" })).await.refused(400, "MEMBER_MISTYPED");
    }

    async fn a_host_is_given_once_and_is_one_environments(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let body = json!({ "name": "eu", "host": "login.eu.example.com:8443" });
        assert_eq!(admin.post("/v1/environments", body).await.ok()["host"], "login.eu.example.com:8443");
        let taken = json!({ "name": "eu2", "host": "login.eu.example.com:8443" });
        admin.post("/v1/environments", taken).await.refused(409, "HOST_IN_USE");
        let public = server.url.strip_prefix("http://").expect("a URL");
        admin.post("/v1/environments", json!({ "name": "eu2", "host": public })).await.refused(409, "HOST_IN_USE");
        admin.post("/v1/environments", json!({ "name": "eu2", "host": "login.eu.example.com" })).await.ok();
        for host in [json!("login.example.com"), Value::Null] {
            let problem = admin.patch("/v1/environments/eu", json!({ "host": host })).await.refused(422, "IMMUTABLE");
            assert_eq!(problem["errors"][0]["pointer"], "/host");
        }
        admin.patch("/v1/environments/eu", json!({ "host": "login.eu.example.com:8443", "protected": true })).await.ok();
        let long = "x".repeat(64);
        for host in [
            "", "Login.example.com", "https://login.example.com", "login.example.com/", "login..example.com", ".example.com",
            "-login.example.com", "login.example.com:", "login.example.com:0", "login.example.com:443", "login.example.com:65536",
            "login.example.com:+80", "a@login.example.com", "login example.com", "bücher.example", "[::1]", &long,
        ] {
            let problem = admin.post("/v1/environments", json!({ "name": "more", "host": host })).await.refused(422, "VALUE_INVALID");
            assert_eq!(problem["errors"][0]["pointer"], "/host", "{host}");
        }
    }

    async fn an_environment_is_deleted_empty_and_by_name(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        admin.post("/v1/environments", json!({ "name": "preview" })).await.ok();
        let setting = "/v1/flags/f/environments/preview";
        admin.put(setting, json!({ "enabled": true, "value": true })).await.ok();
        let value = "/v1/flags/f/organizations/o?environment=preview";
        admin.put(value, json!({ "value": true })).await.ok();
        let key = server.api(&admin.key("viewer", Some("preview")).await);
        admin.get("/env/preview/.well-known/openid-configuration").await.ok();
        let application = admin.application("preview").await;
        let problem = admin.delete("/v1/environments/preview?confirm=preview").await.refused(409, "ENVIRONMENT_IN_USE");
        assert_eq!(problem["listing"][0]["client_id"], application);
        admin.delete(&format!("/v1/applications/{application}")).await.ok();
        admin.delete("/v1/environments/preview").await.refused(409, "CONFIRMATION_REQUIRED");
        admin.delete("/v1/environments/production?confirm=production").await.refused(409, "ENVIRONMENT_IN_USE");
        assert_eq!(admin.delete("/v1/environments/preview?confirm=preview").await.status, 200);
        admin.get("/env/preview/.well-known/jwks.json").await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.get("/env/preview/.well-known/openid-configuration").await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.get(setting).await.refused(404, "ENVIRONMENT_NOT_FOUND");
        key.get("/v1/flags").await.refused(401, "UNAUTHENTICATED");

        // Its tokens name its issuer's URL: another environment must not come to stand there.
        let again = admin.post("/v1/environments", json!({ "name": "preview" })).await;
        again.refused(409, "ENVIRONMENT_NAME_USED");
        let log = admin.get("/v1/changes?limit=1").await.ok();
        let lost = log["data"][0]["edits"].as_array().expect("edits");
        let lost: Vec<_> = lost.iter().map(|edit| (edit["entity"].as_str(), edit["after"].is_null())).collect();
        assert_eq!(lost, [(Some("setting"), true), (Some("override"), true), (Some("environment"), true)]);
    }

    async fn an_issuer_describes_itself_where_both_standards_look(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (path, other) in [
            ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"),
            ("/env/staging/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/env/staging"),
        ] {
            let answer = admin.get(path).await;
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            let metadata = answer.ok();
            assert_eq!(admin.get(other).await.ok(), metadata);
            let issuer = metadata["issuer"].as_str().expect("an issuer");
            assert_eq!(metadata["token_endpoint"], format!("{issuer}/oauth2/token"));
        }
        let keys = admin.get("/.well-known/jwks.json").await;
        assert_eq!(keys.header("content-type"), "application/json");
        let keys = keys.ok();
        let mut algorithms: Vec<_> = keys["keys"].as_array().expect("keys").iter().map(|key| key["alg"].clone()).collect();
        algorithms.sort_by_key(Value::to_string);
        assert_eq!(algorithms, ["ES256", "EdDSA", "RS256"]);
        assert!(keys["keys"].as_array().expect("keys").iter().all(|key| key.get("d").is_none()), "public halves alone");
        let health = admin.get("/healthz").await.ok();
        assert_eq!(health["status"], "alive");
        admin.get("/readyz").await.ok();
    }
}
