//! Which token was issued to which request, where the server is told to write that down.

use std::collections::BTreeSet;

use flagbearer_server::clock::Clock;
use flagbearer_server::store::Store;
use flagbearer_tests::{Api, BEGINNING, Client, Engine, TestServer, claims_of, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const EMAIL: &str = "alice@example.com";

async fn start(engine: Engine) -> TestServer {
    TestServer::start_with(engine, |config| config.record_issuance = true).await
}

fn token_id(tokens: &Value) -> String {
    claims_of(&tokens["access_token"])["jti"].as_str().expect("an id").to_owned()
}

async fn by_token_id(admin: &Api, token_id: &str) -> Value {
    admin.post("/v1/explain", json!({ "jti": token_id })).await.ok()
}

/// Checks that a token is found by its `jti`, and that what is told of it is what it says itself.
async fn check(admin: &Api, tokens: &Value) {
    let claims = claims_of(&tokens["access_token"]);
    let whole = admin.post("/v1/explain", json!({ "token": tokens["access_token"] })).await.ok();
    let found = by_token_id(admin, &token_id(tokens)).await;
    for member in
        ["revision", "issued_at", "environment", "user", "organization", "application", "session_id", "token_id", "stale"]
    {
        assert_eq!(found["token"][member], whole["token"][member], "{member}");
    }
    assert_eq!(found["token"]["revision"], claims["flags_rev"]);
    for (key, flag) in whole["flags"].as_object().expect("flags") {
        assert_eq!((&found["flags"][key]["then"], &found["flags"][key]["causes"]), (&flag["then"], &flag["causes"]));
    }
}

async fn recorded(server: &TestServer) -> usize {
    server.database.texts("SELECT token_id FROM issuances").await.len()
}

on_both_engines! {
    async fn every_way_to_a_token_is_recorded_with_what_the_token_says(engine: Engine) {
        let server = start(engine).await;
        let admin = server.admin();
        admin.flag("f", "integer", json!(0)).await;
        admin.account("alice", EMAIL, &["org_a"]).await;
        let public = Client::public(&admin, "staging").await;
        let machine = Client::register(&admin, "production", json!({})).await;
        let workos = Client::register(&admin, "production", json!({ "profile": "workos" })).await;

        let mut all = vec![admin.session(&public.id, "alice", Some("org_a")).await];
        all.push(admin.session(&workos.id, "alice", None).await);
        let code = public.code(EMAIL).await;
        all.push(public.redeem(&code).await.ok());
        admin.post("/v1/organizations", json!({ "id": "org_b" })).await.ok();
        admin.put("/v1/organizations/org_b/members/alice", json!({})).await.ok();
        all.push(machine.machine(&[]).await.ok());
        all.push(machine.machine(&[("organization_id", "org_b")]).await.ok());
        server.clock.advance(5);
        // Another ruleset, so that what a refresh has read has to be read again.
        admin.patch("/v1/flags/f", json!({ "default_value": 1 })).await.ok();
        all.push(public.refresh(&all[0]).await.ok());
        // A retry within the grace is another token of the same session.
        all.push(public.refresh(&all[0]).await.ok());
        let switch = [
            ("grant_type", "refresh_token"), ("client_id", public.id.as_str()), ("organization_id", "org_b"),
            ("refresh_token", all[5]["refresh_token"].as_str().expect("a token")),
        ];
        all.push(admin.token("/env/staging", &switch).await.ok());
        admin.put("/v1/flags/f/users/alice", json!({ "value": 2 })).await.ok();
        all.push(public.refresh(&all[7]).await.ok());

        assert_eq!(recorded(&server).await, all.len());
        assert_eq!(all.iter().map(token_id).collect::<BTreeSet<_>>().len(), all.len(), "no two have one id");
        for tokens in &all {
            check(&admin, tokens).await;
        }
        assert_eq!(by_token_id(&admin, &token_id(&all[3])).await["token"]["user"], Value::Null);
        assert_eq!(by_token_id(&admin, &token_id(&all[7])).await["token"]["organization"], "org_b");
        let flag = &by_token_id(&admin, &token_id(&all[0])).await["flags"]["f"];
        assert_eq!((&flag["then"]["value"], &flag["now"]["value"]), (&json!(0), &json!(2)));
    }

    async fn a_token_is_found_by_the_request_that_it_answered(engine: Engine) {
        let server = start(engine).await;
        let admin = server.admin();
        let client = Client::public(&admin, "production").await;
        let body = json!({ "application": client.id, "user": "alice" });
        let answer = admin.send(admin.request(Method::POST, "/v1/sessions").json(&body)).await;
        let request_id = answer.header("x-request-id").to_owned();
        let tokens = answer.ok();
        let found = admin.post("/v1/explain", json!({ "request_id": request_id })).await.ok();
        assert_eq!(found["token"]["token_id"], json!(token_id(&tokens)));
        let refreshed = client.refresh(&tokens).await;
        let request_id = refreshed.header("x-request-id").to_owned();
        let found = admin.post("/v1/explain", json!({ "request_id": request_id, "expected": { "user": "ben" } })).await.ok();
        assert_eq!(found["token"]["token_id"], json!(token_id(&refreshed.ok())));
        assert_eq!(found["mismatches"][0]["what"], "user");
    }

    async fn refreshes_that_share_a_commit_are_each_recorded_and_refused_ones_are_not(engine: Engine) {
        let server = start(engine).await;
        let admin = server.admin();
        let client = Client::public(&admin, "production").await;
        let mut started = Vec::new();
        for number in 0..20 {
            started.push(admin.session(&client.id, &format!("user_{number}"), None).await);
        }
        let refresh = |tokens: &Value| {
            let (client, tokens) = (client.clone(), tokens.clone());
            tokio::spawn(async move { client.refresh(&tokens).await })
        };
        let mut running: Vec<_> = started.iter().map(refresh).collect();
        // The same token several times: one moves the session, the others are retries.
        running.extend([0, 0, 0].map(|_| refresh(&started[0])));
        let mut issued = Vec::new();
        for one in running {
            issued.push(one.await.expect("it ends").ok());
        }
        assert_eq!(recorded(&server).await, 20 + 23);
        let mut ids: Vec<String> = issued.iter().map(token_id).collect();
        for id in &ids {
            assert_eq!(by_token_id(&admin, id).await["token"]["token_id"], json!(id));
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 23);
        server.clock.advance(60);
        client.refresh(&started[1]).await.denied(400, "invalid_grant");
        assert_eq!(recorded(&server).await, 43, "nothing was issued");
    }

    async fn a_repeated_request_is_one_token(engine: Engine) {
        let server = start(engine).await;
        let admin = server.admin();
        let client = Client::public(&admin, "production").await;
        let tokens = admin.session(&client.id, "alice", None).await;
        let form = [("grant_type", "refresh_token"), ("client_id", client.id.as_str()), ("refresh_token", tokens["refresh_token"].as_str().expect("it"))];
        let mut answers = Vec::new();
        for _ in 0..2 {
            let request = reqwest::Client::new().post(format!("{}/oauth2/token", server.url));
            let request = request.header("idempotency-key", "once").form(&form);
            answers.push(token_id(&admin.send(request).await.ok()));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(recorded(&server).await, 2);
        assert_eq!(by_token_id(&admin, &answers[0]).await["token"]["user"], "alice");
    }

    async fn what_is_unknown_another_environments_or_pruned_is_not_found(engine: Engine) {
        let server = start(engine).await;
        let admin = server.admin();
        let client = Client::public(&admin, "production").await;
        let tokens = admin.session(&client.id, "alice", None).await;
        let id = token_id(&tokens);
        for body in [json!({ "jti": "nope" }), json!({ "request_id": "nope" })] {
            admin.post("/v1/explain", body).await.refused(404, "ISSUANCE_NOT_FOUND");
        }
        let bound = server.api(&admin.key("viewer", Some("staging")).await);
        bound.post("/v1/explain", json!({ "jti": id })).await.refused(404, "ISSUANCE_NOT_FOUND");
        let store = Store::open(&server.database.url, server.clock.clone()).await.expect("it opens");
        let week = 7 * 86_400;
        server.clock.advance(week - 1);
        store.sweep().await.expect("it is swept");
        by_token_id(&admin, &id).await;
        server.clock.advance(1);
        assert_eq!(server.clock.now(), BEGINNING.plus_seconds(week));
        store.sweep().await.expect("it is swept");
        admin.post("/v1/explain", json!({ "jti": id })).await.refused(404, "ISSUANCE_NOT_FOUND");
        // Not told to record, it says so instead.
        let other = server.replica().await;
        other.admin().post("/v1/explain", json!({ "jti": id })).await.refused(422, "ISSUANCE_NOT_RECORDED");
        other.admin().session(&client.id, "ben", None).await;
        assert_eq!(recorded(&server).await, 0);
    }
}
