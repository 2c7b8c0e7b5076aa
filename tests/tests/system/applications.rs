//! `/v1/applications`.

use flagbearer::token::{Verifier, VerifierOptions};
use flagbearer_server::clock::Clock;
use flagbearer_tests::{Issuer, SignedIn, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

on_both_engines! {
    async fn an_application_is_created_with_a_secret_that_is_shown_once(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let answer = admin.post("/v1/applications", json!({ "name": "backend", "environment": "staging" })).await;
        assert_eq!(answer.status, 201);
        let created = answer.ok();
        let secret = created["client_secret"].as_str().expect("a secret");
        assert!(secret.len() == 50 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let client_id = created["client_id"].as_str().expect("a client id");
        let read = admin.get(&format!("/v1/applications/{client_id}")).await;
        assert_eq!(read.header("etag"), format!("\"{}\"", created["revision"]));
        assert_eq!(read.ok(), json!({
            "client_id": client_id, "name": "backend", "environment": "staging", "profile": "flagbearer", "public": false,
            "audience": null, "algorithm": "EdDSA", "access_token_ttl": 300, "idle_ttl": 2_592_000,
            "absolute_ttl": 31_536_000, "grace": 30, "redirect_uris": [], "logout_uris": [], "allowed_origins": [],
            "claims": [], "permissions": [], "projection": "all", "claim_budget": 4000, "branding": { "name": null, "colour": null }, "worst_case": 2, "largest_flags": [],
            "issued_over_budget": 0, "revision": created["revision"],
        }));
        assert!(!admin.get("/v1/applications").await.text.contains(secret));
        assert!(!admin.get("/v1/changes?limit=200").await.text.contains(secret));
        let public = json!({ "name": "browser", "environment": "staging", "public": true });
        assert!(admin.post("/v1/applications", public).await.ok().get("client_secret").is_none());
    }

    async fn a_patch_decides_how_the_next_tokens_look(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let path = format!("/v1/applications/{application}");
        let mut alice = SignedIn::start(&admin, &application, "alice", None).await;
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let patched = admin.patch(&path, json!({ "algorithm": algorithm, "access_token_ttl": 60 })).await.ok();
            assert_eq!(patched["effect"], "unchanged");
            alice.refresh().await;
            assert_eq!((&alice.tokens["expires_in"], &alice.tokens["flags_rev"]), (&json!(60), &patched["revision"]));
            let token = alice.tokens["access_token"].as_str().expect("a token").to_owned();
            alice.verified(server.clock.now()).await;
            let options = VerifierOptions { issuer: &server.url, audience: Some(&application), ..Default::default() };
            let prepared = Verifier::new(&options).expect("a verifier").prepare(&token, server.clock.now());
            assert_eq!(prepared.expect("a token").algorithm().as_str(), algorithm);
        }
        admin.patch(&path, json!({ "audience": "https://api.example.com" })).await.ok();
        alice.refresh().await;
        let issuer = Issuer::discover(&admin, "", "https://api.example.com").await;
        let claims = issuer.claims(&alice.tokens, server.clock.now());
        assert_eq!((&claims["aud"], &claims["client_id"]), (&json!("https://api.example.com"), &json!(application)));
        let nothing = json!({ "audience": null, "algorithm": null, "access_token_ttl": null, "idle_ttl": null, "grace": null });
        let reset = admin.patch(&path, nothing).await.ok();
        assert_eq!((&reset["audience"], &reset["access_token_ttl"]), (&Value::Null, &json!(300)));
        alice.refresh().await;
        assert_eq!(alice.tokens["expires_in"], 300);
        alice.verified(server.clock.now()).await;
    }

    async fn what_an_application_cannot_be_is_refused_at_its_place(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let path = format!("/v1/applications/{application}");
        for (edit, status, code, place) in [
            (json!({ "environment": "staging" }), 422, "IMMUTABLE", "/environment"),
            (json!({ "public": false }), 422, "IMMUTABLE", "/public"),
            (json!({ "algorithm": "none" }), 422, "VALUE_INVALID", "/algorithm"),
            (json!({ "algorithm": "HS256" }), 422, "VALUE_INVALID", "/algorithm"),
            (json!({ "grace": 61 }), 422, "VALUE_OUT_OF_RANGE", "/grace"),
            (json!({ "access_token_ttl": 59 }), 422, "VALUE_OUT_OF_RANGE", "/access_token_ttl"),
            (json!({ "access_token_ttl": 60.5 }), 422, "VALUE_OUT_OF_RANGE", "/access_token_ttl"),
            (json!({ "idle_ttl": 600, "absolute_ttl": 300 }), 422, "VALUE_OUT_OF_RANGE", "/idle_ttl"),
            (json!({ "client_id": "mine" }), 400, "MEMBER_UNKNOWN", "/client_id"),
        ] {
            let problem = admin.patch(&path, edit).await.refused(status, code);
            assert_eq!(problem["errors"][0]["pointer"], place);
        }
        // No client chooses what it is called: another's id, or a user's.
        for member in ["client_id", "client_secret"] {
            let mut document = json!({ "name": "app", "environment": "production" });
            document[member] = "alice".into();
            let problem = admin.post("/v1/applications", document).await.refused(400, "MEMBER_UNKNOWN");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{member}"));
        }
        let stale = admin.request(Method::PATCH, &path).header("if-match", "\"1\"").json(&json!({}));
        admin.send(stale).await.refused(412, "REVISION_MISMATCH");
    }

    async fn applications_are_listed_and_their_sessions_end_with_them(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let (production, staging) = (admin.application("production").await, admin.application("staging").await);
        let ids = |list: &Value| list["data"].as_array().expect("data").iter().map(|one| one["client_id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&admin.get("/v1/applications?environment=staging").await.ok()), [staging.as_str()]);
        let first = admin.get("/v1/applications?limit=1").await.ok();
        let cursor = first["next_cursor"].as_str().expect("a cursor");
        let second = admin.get(&format!("/v1/applications?limit=1&cursor={cursor}")).await.ok();
        let mut both = [ids(&first), ids(&second)].concat();
        both.sort_by_key(Value::to_string);
        let mut expected = [json!(production), json!(staging)];
        expected.sort_by_key(Value::to_string);
        assert_eq!(both, expected);

        let tokens = admin.session(&production, "alice", None).await;
        let mut other = SignedIn::start(&admin, &staging, "alice", None).await;
        assert_eq!(admin.delete(&format!("/v1/applications/{production}")).await.status, 200);
        let token = tokens["refresh_token"].as_str().expect("a token");
        admin.refresh("", &production, token).await.denied(401, "invalid_client");
        admin.get(&format!("/v1/sessions/{}", tokens["session_id"].as_str().expect("an id"))).await.refused(404, "SESSION_NOT_FOUND");
        other.refresh().await;
    }
}
