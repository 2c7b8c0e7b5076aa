//! RFC 7009: a client gives up a token, and the session that it is of ends, everywhere and at once.

use flagbearer_tests::{Client, TestServer, on_both_engines};
use serde_json::{Value, json};

fn text<'v>(tokens: &'v Value, name: &str) -> &'v str {
    tokens[name].as_str().expect(name)
}

on_both_engines! {
    async fn giving_up_either_token_ends_the_session_on_every_replica(engine: Engine) {
        let server = TestServer::start(engine).await;
        let replica = TestServer::on(server.database.clone(), server.clock.clone()).await;
        let (admin, there) = (server.admin(), replica.admin());
        for document in [json!({}), json!({ "public": true }), json!({ "profile": "kinde" })] {
            let client = Client::register(&admin, "staging", document).await;
            for (name, hint) in [("refresh_token", "refresh_token"), ("refresh_token", "access_token"), ("access_token", "nonsense")] {
                let tokens = admin.session(&client.id, "alice", None).await;
                let stays = admin.session(&client.id, "alice", None).await;
                let answer = client.post("/oauth2/revoke", &[("token", text(&tokens, name)), ("token_type_hint", hint)]).await;
                assert_eq!((answer.status, answer.text.as_str(), answer.header("cache-control")), (200, "", "no-store"));
                let mut form = vec![("grant_type", "refresh_token"), ("client_id", &client.id), ("refresh_token", text(&tokens, "refresh_token"))];
                form.extend(client.secret.as_deref().map(|secret| ("client_secret", secret)));
                there.token("/env/staging", &form).await.denied(400, "invalid_grant");
                client.refresh(&stays).await.ok();
                // To give up what is given up is no mistake.
                client.post("/oauth2/revoke", &[("token", text(&tokens, name))]).await.granted();
            }
        }
    }

    async fn a_refresh_token_that_was_used_up_still_ends_its_session(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::public(&admin, "production").await;
        let first = admin.session(&client.id, "alice", None).await;
        let second = client.refresh(&first).await.ok();
        server.clock.advance(31);
        client.post("/oauth2/revoke", &[("token", text(&first, "refresh_token"))]).await.granted();
        client.refresh(&second).await.denied(400, "invalid_grant");
    }

    async fn nobody_ends_what_is_not_theirs_or_learns_that_it_is_there(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({})).await;
        let others = [
            Client::register(&admin, "production", json!({})).await,
            Client::register(&admin, "production", json!({ "profile": "kinde" })).await,
            Client::register(&admin, "staging", json!({})).await,
        ];
        let tokens = admin.session(&client.id, "alice", None).await;
        for other in &others {
            for token in [text(&tokens, "refresh_token"), text(&tokens, "access_token"), "garbage", "a.b.c", "fbr_1.ses_x.1.AAAA"] {
                let answer = other.post("/oauth2/revoke", &[("token", token)]).await;
                assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{token}");
            }
        }
        let expired = text(&tokens, "access_token").to_owned();
        server.clock.advance(300);
        client.post("/oauth2/revoke", &[("token", &expired)]).await.granted();
        let stranger = Client { secret: Some("x".repeat(50)), ..client.clone() };
        stranger.post("/oauth2/revoke", &[("token", text(&tokens, "refresh_token"))]).await.denied(401, "invalid_client");
        client.refresh(&tokens).await.ok();
    }

    async fn a_machine_is_told_that_its_token_cannot_be_revoked(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({})).await;
        let other = Client::register(&admin, "production", json!({})).await;
        let tokens = client.machine(&[]).await.ok();
        let token = [("token", text(&tokens, "access_token"))];
        client.post("/oauth2/revoke", &token).await.denied(400, "unsupported_token_type");
        other.post("/oauth2/revoke", &token).await.granted();
        assert_eq!(client.post("/oauth2/introspect", &token).await.ok()["active"], true);
    }
}
