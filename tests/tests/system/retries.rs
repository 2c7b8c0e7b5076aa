//! `Idempotency-Key`, `X-Request-Id` and `X-Change-Comment`: what holds for every call.

use flagbearer_tests::{Answer, Api, TestServer, on_both_engines};
use reqwest::{Client, Method};
use serde_json::{Value, json};

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    api.send(api.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

async fn changes(admin: &Api) -> usize {
    admin.get("/v1/changes?limit=200").await.ok()["data"].as_array().expect("changes").len()
}

on_both_engines! {
    async fn a_retry_is_answered_byte_for_byte_and_done_once(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("archived", "boolean", json!(true)).await;
        let application = admin.application("production").await;
        for (path, body) in [
            ("/v1/flags", json!({ "key": "f", "type": "json", "default_value": { "b": 1.5, "a": "ü" } })),
            ("/v1/flags/archived/archive", json!({})),
            ("/v1/segments", json!({ "key": "s" })),
            ("/v1/organizations", json!({ "id": "org_a" })),
            ("/v1/users", json!({ "id": "alice", "email": "alice@example.com" })),
            ("/v1/environments", json!({ "name": "preview" })),
            ("/v1/applications", json!({ "name": "app", "environment": "production" })),
            ("/v1/api-keys", json!({ "name": "ci", "role": "viewer" })),
            ("/v1/sessions", json!({ "application": application, "user": "bob" })),
        ] {
            let first = post(&admin, path, "once", &body).await;
            let before = changes(&admin).await;
            server.clock.advance(60);
            let again = post(&admin, path, "once", &body).await;
            assert_eq!((again.status, &again.text), (first.status, &first.text), "{path}");
            assert_eq!(again.header("etag"), first.header("etag"), "{path}");
            assert_ne!(again.header("x-request-id"), first.header("x-request-id"), "it is another request");
            assert_eq!(changes(&admin).await, before, "{path}");
            first.ok();
        }
        let secret = post(&admin, "/v1/applications", "once", &json!({ "name": "app", "environment": "production" })).await.ok();
        assert_eq!(secret["client_secret"].as_str().map(str::len), Some(50), "the secret is in the remembered answer too");
        let listed = admin.get("/v1/sessions?user=bob").await.ok();
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    }

    async fn a_key_is_for_one_body_one_path_and_one_caller(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let body = json!({ "id": "one" });
        post(&admin, "/v1/organizations", "k", &body).await.ok();
        post(&admin, "/v1/organizations", "k", &json!({ "id": "two" })).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
        admin.get("/v1/organizations/two").await.refused(404, "ORGANIZATION_NOT_FOUND");
        post(&admin, "/v1/users", "k", &body).await.ok();
        let other = server.api(&admin.key("administrator", None).await);
        post(&other, "/v1/organizations", "k", &body).await.refused(409, "ORGANIZATION_EXISTS");
        let long = "x".repeat(256);
        post(&admin, "/v1/organizations", &long, &body).await.refused(400, "HEADER_INVALID");
    }

    async fn a_refusal_is_not_remembered(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let body = json!({ "application": "app_later", "user": "alice" });
        post(&admin, "/v1/sessions", "k", &body).await.refused(404, "APPLICATION_NOT_FOUND");
        let segment = json!({ "key": "s" });
        admin.post("/v1/segments", segment.clone()).await.ok();
        post(&admin, "/v1/segments", "k", &segment).await.refused(409, "SEGMENT_EXISTS");
        admin.delete("/v1/segments/s").await.ok();
        assert_eq!(post(&admin, "/v1/segments", "k", &segment).await.status, 201);
    }

    async fn an_answer_is_remembered_for_a_day(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let body = json!({ "id": "alice" });
        let first = post(&admin, "/v1/users", "k", &body).await;
        server.clock.advance(24 * 3600 - 1);
        assert_eq!(post(&admin, "/v1/users", "k", &body).await.text, first.text);
        server.clock.advance(1);
        post(&admin, "/v1/users", "k", &body).await.refused(409, "USER_EXISTS");
    }

    async fn the_same_request_at_once_happens_once(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let body = json!({ "application": application, "user": "alice" });
        let attempts: Vec<_> = (0..16).map(|_| {
            let (admin, body) = (admin.clone(), body.clone());
            tokio::spawn(async move { post(&admin, "/v1/sessions", "k", &body).await })
        }).collect();
        let mut answers = Vec::new();
        for attempt in attempts {
            let answer = attempt.await.expect("an answer");
            if answer.status == 201 {
                answers.push(answer.text);
            } else {
                answer.refused(409, "REQUEST_RUNNING");
            }
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(post(&admin, "/v1/sessions", "k", &body).await.text, answers[0]);
        assert_eq!(admin.get("/v1/sessions?user=alice").await.ok()["data"].as_array().map(Vec::len), Some(1));
    }

    async fn a_refresh_is_remembered_for_five_minutes(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let body = json!({ "name": "app", "environment": "production", "public": true, "grace": 0 });
        let application = admin.post("/v1/applications", body).await.ok()["client_id"].as_str().expect("an id").to_owned();
        let tokens = admin.session(&application, "alice", None).await;
        let client = Client::new();
        let send = async |token: &Value| {
            let form = [("grant_type", "refresh_token"), ("client_id", &application), ("refresh_token", token.as_str().expect("a token"))];
            admin.send(client.post(format!("{}/oauth2/token", server.url)).header("idempotency-key", "k").form(&form)).await
        };
        let first = send(&tokens["refresh_token"]).await;
        server.clock.advance(299);
        let again = send(&tokens["refresh_token"]).await;
        assert_eq!((again.status, &again.text), (200, &first.text), "though a grace of 0 forgives nothing");
        assert_eq!(again.header("cache-control"), "no-store");
        let next = first.ok()["refresh_token"].clone();
        send(&next).await.denied(422, "invalid_request");
        server.clock.advance(1);
        send(&tokens["refresh_token"]).await.denied(400, "invalid_grant");
        admin.refresh("", &application, next.as_str().expect("a token")).await.denied(400, "invalid_grant");
    }

    async fn every_answer_says_which_request_it_was(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let with = |path: &str, id: &str| admin.request(Method::GET, path).header("x-request-id", id);
        for path in ["/v1/flags", "/nowhere", "/healthz", "/.well-known/jwks.json", "/v1/flags/nope"] {
            assert_eq!(admin.send(with(path, "my-request_1.0")).await.header("x-request-id"), "my-request_1.0", "{path}");
            let (one, other) = (admin.get(path).await, admin.get(path).await);
            assert_eq!(one.header("x-request-id").len(), 22, "{path}");
            assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
        }
        for unfit in ["a b", "<script>", &"x".repeat(129)] {
            assert_eq!(admin.send(with("/v1/flags", unfit)).await.header("x-request-id").len(), 22, "{unfit}");
        }
        let refresh = admin.refresh("", "app_x", "garbage").await;
        assert_eq!(refresh.header("x-request-id").len(), 22);
    }

    async fn the_log_has_the_requests_id_and_its_comment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let create = |key: &str, comment: &[u8]| {
            let value = reqwest::header::HeaderValue::from_bytes(comment).expect("a header");
            admin.request(Method::POST, "/v1/segments").header("x-request-id", "req-7").header("x-change-comment", value)
                .json(&json!({ "key": key }))
        };
        let written = admin.send(create("s", "für Zoë: größer 🚀".as_bytes())).await.ok();
        let change = admin.get(&format!("/v1/changes/{}", written["revision"])).await.ok();
        assert_eq!((&change["request_id"], &change["comment"]), (&json!("req-7"), &json!("für Zoë: größer 🚀")));
        let silent = admin.flag("f", "boolean", json!(true)).await;
        assert_eq!(admin.get(&format!("/v1/changes/{}", silent["revision"])).await.ok()["comment"], Value::Null);
        admin.send(create("t", b"\xff\xfe")).await.refused(400, "HEADER_INVALID");
        admin.send(create("t", "x".repeat(1025).as_bytes())).await.refused(400, "HEADER_INVALID");
        admin.get("/v1/segments/t").await.refused(404, "SEGMENT_NOT_FOUND");
    }
}
