//! The token endpoint refuses in the words of RFC 6749 §5.2, and tells nobody which part of a refresh token was wrong.

use flagbearer_tests::{Api, SignedIn, TestServer, on_both_engines};
use reqwest::Client;
use serde_json::{Value, json};

fn refresh_token(tokens: &Value) -> String {
    tokens["refresh_token"].as_str().expect("a refresh token").to_owned()
}

/// Creates an application that keeps a secret, and answers its client id and the secret.
async fn confidential(admin: &Api) -> (String, String) {
    let created = admin.post("/v1/applications", json!({ "name": "backend", "environment": "production" })).await.ok();
    let text = |name: &str| created[name].as_str().expect(name).to_owned();
    (text("client_id"), text("client_secret"))
}

on_both_engines! {
    async fn every_refresh_token_that_is_not_valid_is_answered_alike(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let limits = json!({ "name": "app", "environment": "production", "public": true, "idle_ttl": 600, "grace": 0 });
        let created = admin.post("/v1/applications", limits).await.ok();
        let application = created["client_id"].as_str().expect("a client id");
        let other = admin.application("production").await;
        let staging = admin.application("staging").await;

        let reused = admin.session(application, "alice", None).await;
        admin.refreshed("", application, &reused).await;
        let ended = admin.session(application, "alice", None).await;
        let session = ended["session_id"].as_str().expect("a session");
        assert_eq!(admin.delete(&format!("/v1/sessions/{session}")).await.status, 204);
        let expired = admin.session(application, "alice", None).await;
        server.clock.advance(601);
        let foreign = admin.session(&other, "alice", None).await;
        let elsewhere = admin.session(&staging, "alice", None).await;
        let genuine = refresh_token(&admin.session(application, "alice", None).await);
        let tampered = format!("{}A", &genuine[..genuine.len() - 1]);
        let tampered = if tampered == genuine { format!("{}B", &genuine[..genuine.len() - 1]) } else { tampered };
        let forward = genuine.replacen(".1.", ".2.", 1);
        let (signed, tag) = genuine.rsplit_once('.').expect("a tag");
        assert_eq!(tag.len(), 43, "256 bits");

        let mut bodies = Vec::new();
        for token in [
            "garbage".to_owned(),
            "fbr_1.ses_1.1.AAAA".to_owned(),
            "x".repeat(10_000),
            "ü.ü.ü".to_owned(),
            tampered,
            forward,
            // A tag is never compared for as long as the shorter one lasts.
            format!("{signed}."),
            format!("{signed}.{}", &tag[..22]),
            format!("{signed}.{tag}AAAA"),
            signed.to_owned(),
            refresh_token(&reused),
            refresh_token(&ended),
            refresh_token(&expired),
            refresh_token(&foreign),
            refresh_token(&elsewhere),
        ] {
            let answer = admin.refresh("", application, &token).await;
            bodies.push(answer.text.clone());
            answer.denied(400, "invalid_grant");
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        admin.refresh("", application, &genuine).await.ok();
        admin.refreshed("", &other, &foreign).await;
        admin.refreshed("/env/staging", &staging, &elsewhere).await;
    }

    async fn a_client_that_is_not_the_one_is_invalid(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let (client_id, secret) = confidential(&admin).await;
        let public = admin.application("production").await;
        let tokens = admin.session(&client_id, "alice", None).await;
        let token = refresh_token(&tokens);
        let url = format!("{}/oauth2/token", server.url);
        let client = Client::new();
        let form = |id: &str, secret: Option<&str>| {
            let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", id)];
            form.extend(secret.map(|secret| ("client_secret", secret)));
            client.post(&url).form(&form)
        };
        let mut bodies = Vec::new();
        let wrong = "x".repeat(50);
        for request in [
            form(&client_id, None),
            form(&client_id, Some(&wrong)),
            form("app_nobody", Some(&secret)),
            form("app_nobody\0", Some(&secret)),
            form(&public, Some(&secret)),
            client.post(&url).form(&[("grant_type", "refresh_token"), ("refresh_token", &token)]).basic_auth(&client_id, Some(&wrong)),
        ] {
            let answer = admin.send(request).await;
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"flagbearer\"");
            bodies.push(answer.text.clone());
            answer.denied(401, "invalid_client");
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        // Garbage is refused before the client is looked up: it never reaches the database.
        let garbage = [("grant_type", "refresh_token"), ("refresh_token", "garbage")];
        admin.send(client.post(&url).form(&garbage).basic_auth(&client_id, Some(&wrong))).await.denied(400, "invalid_grant");
        let elsewhere = format!("{}/env/staging/oauth2/token", server.url);
        let basic = [("grant_type", "refresh_token"), ("refresh_token", &token)];
        admin.send(client.post(elsewhere).form(&basic).basic_auth(&client_id, Some(&secret))).await.denied(401, "invalid_client");

        let header = client.post(&url).form(&basic).basic_auth(&client_id, Some(&secret));
        let next = refresh_token(&admin.send(header).await.ok());
        let form = [("grant_type", "refresh_token"), ("refresh_token", &next), ("client_id", &client_id), ("client_secret", &secret)];
        admin.send(client.post(&url).form(&form)).await.ok();
    }

    async fn a_request_of_another_shape_is_invalid_and_uses_nothing_up(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", Some("org_a")).await;
        let token = refresh_token(&alice.tokens);
        let url = format!("{}/oauth2/token", server.url);
        let client = Client::new();
        let id = ("client_id", application.as_str());
        let grant = ("grant_type", "refresh_token");
        let token = ("refresh_token", token.as_str());
        for (form, error) in [
            (vec![id, token], "invalid_request"),
            (vec![grant, token], "invalid_request"),
            (vec![grant, id], "invalid_request"),
            (vec![grant, id, ("refresh_token", "")], "invalid_request"),
            (vec![grant, id, token, token], "invalid_request"),
            (vec![grant, grant, id, token], "invalid_request"),
            (vec![("grant_type", "password"), id, token], "unsupported_grant_type"),
            (vec![("grant_type", "client_credentials"), id], "unauthorized_client"),
        ] {
            admin.send(client.post(&url).form(&form)).await.denied(400, error);
        }
        let both = client.post(&url).form(&[grant, id, token, ("client_secret", "x")]).basic_auth(&application, Some("x"));
        admin.send(both).await.denied(400, "invalid_request");
        let two = client.post(&url).form(&[grant, id, token]).basic_auth("app_other", Some("x"));
        admin.send(two).await.denied(400, "invalid_request");
        let document = json!({ "grant_type": "refresh_token", "client_id": application, "refresh_token": token.1 });
        admin.send(client.post(&url).json(&document)).await.denied(400, "invalid_request");
        let untyped = format!("grant_type=refresh_token&client_id={application}&refresh_token={}", token.1);
        admin.send(client.post(&url).body(untyped)).await.denied(400, "invalid_request");
        let large = client.post(&url).form(&[grant, id, ("refresh_token", &"x".repeat(70_000))]);
        admin.send(large).await.denied(413, "invalid_request");
        let nowhere = client.post(format!("{}/env/nope/oauth2/token", server.url)).form(&[grant, id, token]);
        admin.send(nowhere).await.denied(404, "invalid_request");
        let query = client.post(format!("{url}?grant_type=refresh_token")).form(&[id, token]);
        admin.send(query).await.denied(400, "invalid_request");
        alice.refresh().await;
    }

    async fn an_organization_is_switched_by_members_alone(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "string", json!("default")).await;
        let path = "/v1/flags/f/organizations/org_b?environment=production";
        admin.put(path, json!({ "value": "b" })).await.ok();
        admin.post("/v1/organizations", json!({ "id": "org_b" })).await.ok();
        let application = admin.application("production").await;
        let tokens = admin.session(&application, "alice", Some("org_a")).await;
        let client = Client::new();
        let url = format!("{}/oauth2/token", server.url);
        let switch = async |token: &str, organization: &str| {
            let form = [("grant_type", "refresh_token"), ("client_id", &application), ("refresh_token", token),
                ("organization_id", organization)];
            admin.send(client.post(&url).form(&form)).await
        };
        let token = refresh_token(&tokens);
        for organization in ["org_b", "org_nowhere", "org_\0"] {
            switch(&token, organization).await.denied(403, "access_denied");
        }
        admin.put("/v1/organizations/org_b/members/alice", json!({})).await.ok();
        let switched = switch(&token, "org_b").await.ok();
        assert_eq!(switched["feature_flags"]["f"]["v"], "b");
        let stays = admin.refreshed("", &application, &switched).await;
        assert_eq!(stays["feature_flags"]["f"]["v"], "b", "the session goes on in the organization it went to");
    }
}
