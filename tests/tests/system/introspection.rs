//! RFC 7662: whether a token is good this very moment, told to those whose business it is.

use flagbearer_tests::{Client, TestServer, claims_of, on_both_engines};
use serde_json::{Value, json};

const PATH: &str = "/oauth2/introspect";

fn text<'v>(tokens: &'v Value, name: &str) -> &'v str {
    tokens[name].as_str().expect(name)
}

async fn told(client: &Client, token: &str) -> Value {
    client.post(PATH, &[("token", token)]).await.ok()
}

on_both_engines! {
    async fn an_access_token_is_told_to_its_client_its_audience_and_keys_of_its_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let audience = json!({ "audience": "https://api.example.com" });
        let client = Client::register(&admin, "staging", audience.clone()).await;
        let server_of_the_audience = Client::register(&admin, "staging", audience).await;
        let tokens = admin.session(&client.id, "alice", Some("org_a")).await;
        let token = text(&tokens, "access_token");
        let claims = claims_of(&tokens["access_token"]);
        let expected = json!({
            "active": true, "token_type": "Bearer", "iss": format!("{}/env/staging", server.url), "sub": "alice",
            "aud": ["https://api.example.com"], "client_id": client.id, "iat": claims["iat"], "exp": claims["exp"],
            "jti": claims["jti"], "sid": tokens["session_id"], "org_id": "org_a", "flags_rev": tokens["flags_rev"],
        });
        assert_eq!(told(&client, token).await, expected);
        assert_eq!(told(&server_of_the_audience, token).await, expected);
        for key in [
            admin.key("application", Some("staging")).await,
            admin.key("editor", None).await,
            admin.key("administrator", Some("staging")).await,
        ] {
            let request = reqwest::Client::new().post(format!("{}/env/staging{PATH}", server.url)).bearer_auth(key);
            assert_eq!(admin.send(request.form(&[("token", token)])).await.ok(), expected);
        }
        let machine = client.machine(&[]).await.ok();
        let found = told(&client, text(&machine, "access_token")).await;
        assert_eq!((&found["active"], &found["sub"], &found["sid"]), (&json!(true), &json!(client.id), &Value::Null));
    }

    async fn whatever_is_not_good_or_not_the_askers_business_is_inactive_and_no_more(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({ "profile": "kinde" })).await;
        let other = Client::register(&admin, "production", json!({})).await;
        let staging = Client::register(&admin, "staging", json!({})).await;
        let workos = Client::register(&admin, "production", json!({ "profile": "workos" })).await;
        let tokens = admin.session(&client.id, "alice", None).await;
        let token = text(&tokens, "access_token");
        let of_workos = admin.session(&workos.id, "alice", None).await;
        let elsewhere = admin.session(&staging.id, "alice", None).await;
        assert_eq!(told(&client, token).await["active"], true);
        let inactive = async |client: &Client, token: &str, why: &str| {
            assert_eq!(client.post(PATH, &[("token", token)]).await.text, r#"{"active":false}"#, "{why}");
        };
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        let (head, _) = signed.split_once('.').expect("a header");
        for (token, why) in [
            ("garbage", "garbage"),
            (&*format!("{signed}.{}", "A".repeat(signature.len())), "another signature"),
            (&*format!("{head}.e30.{signature}"), "other claims"),
            (text(&tokens, "id_token"), "an ID token"),
            (text(&of_workos, "access_token"), "another surface's"),
            (text(&of_workos, "refresh_token"), "another surface's refresh token"),
            (text(&elsewhere, "access_token"), "another environment's"),
            (client.secret.as_deref().expect("a secret"), "a client's secret"),
            (flagbearer_tests::ADMIN_KEY, "an API key"),
        ] {
            inactive(&client, token, why).await;
        }
        inactive(&other, token, "another client's").await;
        inactive(&other, text(&tokens, "refresh_token"), "another client's refresh token").await;
        inactive(&staging, token, "at another environment").await;

        let path = format!("/v1/sessions/{}", text(&tokens, "session_id"));
        assert_eq!(admin.delete(&path).await.status, 204);
        inactive(&client, token, "its session has ended").await;
        inactive(&client, text(&tokens, "refresh_token"), "its session has ended").await;
        let tokens = admin.session(&client.id, "alice", None).await;
        let machine = client.machine(&[]).await.ok();
        server.clock.advance(299);
        assert_eq!(told(&client, text(&tokens, "access_token")).await["active"], true);
        server.clock.advance(1);
        inactive(&client, text(&tokens, "access_token"), "expired").await;
        inactive(&client, text(&machine, "access_token"), "expired").await;
        let machine = client.machine(&[]).await.ok();
        let key = admin.key("application", Some("production")).await;
        admin.delete(&format!("/v1/applications/{}", client.id)).await.ok();
        let ask = |token: &str| reqwest::Client::new().post(format!("{}{PATH}", server.url)).bearer_auth(&key).form(&[("token", token)]);
        for token in [text(&machine, "access_token"), text(&tokens, "refresh_token")] {
            assert_eq!(admin.send(ask(token)).await.text, r#"{"active":false}"#, "its application is gone");
        }
    }

    async fn a_refresh_token_is_active_for_as_long_as_it_would_be_accepted(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({ "grace": 10, "idle_ttl": 1000 })).await;
        let first = admin.session(&client.id, "alice", Some("org_a")).await;
        let expected = json!({
            "active": true, "iss": server.url, "sub": "alice", "client_id": client.id, "exp": 1_800_001_000,
            "sid": first["session_id"], "org_id": "org_a",
        });
        for _ in 0..3 {
            assert_eq!(told(&client, text(&first, "refresh_token")).await, expected, "asking does not use it up");
        }
        let second = client.refresh(&first).await.ok();
        server.clock.advance(9);
        assert_eq!(told(&client, text(&first, "refresh_token")).await["active"], true, "within the grace");
        server.clock.advance(1);
        assert_eq!(told(&client, text(&first, "refresh_token")).await, json!({ "active": false }), "used up");
        assert_eq!(told(&client, text(&second, "refresh_token")).await["active"], true, "and nothing has ended by asking");
        server.clock.advance(990);
        assert_eq!(told(&client, text(&second, "refresh_token")).await, json!({ "active": false }), "idle for too long");
    }

    async fn who_keeps_no_secret_is_told_nothing(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let public = Client::public(&admin, "production").await;
        let tokens = admin.session(&public.id, "alice", None).await;
        let token = text(&tokens, "access_token");
        public.post(PATH, &[("token", token)]).await.denied(401, "invalid_client");
        admin.form(PATH, &[("token", token)]).await.denied(400, "invalid_request");
        for key in [
            admin.key("viewer", None).await,
            admin.key("application", Some("staging")).await,
            "no key".to_owned(),
            token.to_owned(),
        ] {
            let request = reqwest::Client::new().post(format!("{}{PATH}", server.url)).bearer_auth(key);
            admin.send(request.form(&[("token", token)])).await.denied(401, "invalid_client");
        }
    }
}
