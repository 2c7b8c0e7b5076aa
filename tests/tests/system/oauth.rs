//! What the endpoints that clients call have in common: how a client shows who it is, and how a request is read.

use flagbearer_tests::{Client, TestServer, on_both_engines};
use reqwest::RequestBuilder;
use serde_json::json;

const ENDPOINTS: [&str; 3] = ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"];

/// Percent-encodes every byte, as a client may (RFC 6749 §2.3.1).
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

on_both_engines! {
    async fn credentials_in_the_header_are_form_encoded(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({})).await;
        let secret = client.secret.clone().expect("a secret");
        let http = reqwest::Client::new();
        let post = |path: &str| http.post(format!("{}{path}", server.url));
        let form = [("grant_type", "client_credentials"), ("token", "x")];
        for path in ENDPOINTS {
            for (id, secret) in [(client.id.clone(), secret.clone()), (encoded(&client.id), encoded(&secret))] {
                admin.send(post(path).form(&form).basic_auth(id, Some(secret))).await.granted();
            }
            let refused: [RequestBuilder; 6] = [
                post(path).basic_auth(&client.id, Some("%zz")),
                post(path).basic_auth(&client.id, Some("%ff")),
                post(path).basic_auth(format!("{}+", client.id), Some(&secret)),
                post(path).basic_auth(&client.id, None::<&str>),
                post(path).header("authorization", "Basic !!!"),
                post(path).header("authorization", "Digest username=\"x\""),
            ];
            for request in refused {
                let answer = admin.send(request.form(&form)).await;
                assert_eq!(answer.header("www-authenticate"), "Basic realm=\"flagbearer\"");
                answer.denied(401, "invalid_client");
            }
        }
    }

    async fn every_endpoint_reads_a_request_alike(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({ "audience": "https://api.example.com" })).await;
        let workos = Client::register(&admin, "production", json!({ "profile": "workos" })).await;
        let staging = Client::register(&admin, "staging", json!({})).await;
        let http = reqwest::Client::new();
        for path in ENDPOINTS {
            let form = [("grant_type", "client_credentials"), ("token", "x"), ("unknown", "is ignored"), ("scope", "")];
            client.post(path, &form).await.granted();
            client.post(path, &[&form[..], &[("unknown", "twice")]].concat()).await.denied(400, "invalid_request");
            client.post(path, &[&form[..], &[("client_id", &client.id)]].concat()).await.denied(400, "invalid_request");
            client.post(path, &[]).await.denied(400, "invalid_request");
            // The one thing that Kinde's SDK says twice.
            let audience = ("audience", "https://api.example.com");
            client.post(path, &[&form[..], &[audience, audience]].concat()).await.granted();

            workos.post(path, &form).await.denied(400, "invalid_client");
            let elsewhere = Client { issuer: "/env/staging".to_owned(), ..client.clone() };
            elsewhere.post(path, &form).await.denied(401, "invalid_client");
            let nowhere = Client { issuer: "/env/nope".to_owned(), ..client.clone() };
            nowhere.post(path, &form).await.denied(404, "invalid_request");
            staging.post(path, &form).await.granted();

            let post = || http.post(format!("{}{path}", server.url));
            let both = post().form(&[("client_secret", "x"), ("token", "x"), ("grant_type", "client_credentials")]);
            admin.send(both.basic_auth(&client.id, client.secret.as_deref())).await.denied(400, "invalid_request");
            let document = json!({ "grant_type": "client_credentials", "client_id": client.id, "client_secret": client.secret });
            admin.send(post().json(&document)).await.denied(400, "invalid_request");
            admin.send(post().form(&[("token", "x".repeat(70_000))])).await.denied(413, "invalid_request");
            assert_eq!(admin.send(http.get(format!("{}{path}", server.url))).await.status, 405);
        }
    }

    async fn nothing_that_holds_a_secret_is_compressed(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({})).await;
        let form = [("grant_type", "client_credentials")];
        let request = reqwest::Client::new().post(format!("{}/oauth2/token", server.url)).form(&form);
        let request = request.basic_auth(&client.id, client.secret.as_deref()).header("accept-encoding", "gzip, deflate, br, zstd");
        // Its length would tell what of it an attacker has guessed.
        let answer = admin.send(request).await;
        assert_eq!(answer.header("content-encoding"), "");
        answer.granted();
    }

    async fn a_machine_that_repeats_a_request_gets_its_answer_again(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({})).await;
        let other = Client::register(&admin, "production", json!({})).await;
        let http = reqwest::Client::new();
        let ask = async |client: &Client, organization: &str| {
            let form = [("grant_type", "client_credentials"), ("unknown", organization)];
            let request = http.post(format!("{}/oauth2/token", server.url)).header("idempotency-key", "k-1").form(&form);
            admin.send(request.basic_auth(&client.id, client.secret.as_deref())).await
        };
        let first = ask(&client, "a").await.ok();
        assert_eq!(ask(&client, "a").await.ok(), first);
        ask(&client, "b").await.denied(422, "invalid_request");
        assert_ne!(ask(&other, "a").await.ok()["access_token"], first["access_token"]);
        let thief = Client { secret: Some("x".repeat(50)), ..client.clone() };
        ask(&thief, "a").await.denied(401, "invalid_client");
        server.clock.advance(300);
        assert_ne!(ask(&client, "a").await.ok()["access_token"], first["access_token"]);
    }
}
