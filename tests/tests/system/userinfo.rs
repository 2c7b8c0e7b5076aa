//! OpenID Connect Core §5.3: who a token is about, as far as its scope goes.

use flagbearer_tests::{Browser, Client, PASSWORD, TestServer, on_both_engines};
use serde_json::{Value, json};

const EMAIL: &str = "alice@example.com";
const PATH: &str = "/oauth2/userinfo";

/// The tokens of Alice, who has signed in at the page.
async fn signed_in(client: &Client, scope: &str) -> Value {
    let url = client.authorization_url(&[("scope", scope)]);
    let page = Browser::new().sign_in(&url, EMAIL, PASSWORD).await;
    client.redeem(&page.told()["code"]).await.ok()
}

on_both_engines! {
    async fn the_scope_says_what_is_told_of_the_user(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let person = json!({ "name": "Alice van der Berg", "picture": "https://example.com/a.png" });
        admin.patch("/v1/users/alice", person).await.ok();
        let client = Client::public(&admin, "staging").await;
        for (scope, expected) in [
            ("openid", json!({ "sub": "alice" })),
            ("openid email", json!({ "sub": "alice", "email": EMAIL, "email_verified": false })),
            ("profile openid", json!({
                "sub": "alice", "name": "Alice van der Berg", "given_name": "Alice van der", "family_name": "Berg",
                "picture": "https://example.com/a.png", "updated_at": 1_800_000_000,
            })),
        ] {
            let tokens = signed_in(&client, scope).await;
            let api = server.api(tokens["access_token"].as_str().expect("a token"));
            let answer = api.get(&format!("/env/staging{PATH}")).await;
            assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
            assert_eq!(answer.ok(), expected, "{scope}");
            let posted = api.request(reqwest::Method::POST, &format!("/env/staging{PATH}"));
            assert_eq!(api.send(posted).await.ok(), expected);
        }
    }

    async fn a_token_without_the_scope_or_at_another_issuer_is_refused_as_rfc_6750_has_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "staging").await;
        for scope in ["", "email profile"] {
            let tokens = signed_in(&client, scope).await;
            let answer = server.api(tokens["access_token"].as_str().expect("a token")).get(&format!("/env/staging{PATH}")).await;
            assert_eq!(answer.header("www-authenticate"), "Bearer error=\"insufficient_scope\"");
            answer.denied(403, "insufficient_scope");
        }
        let tokens = signed_in(&client, "openid").await;
        let api = server.api(tokens["access_token"].as_str().expect("a token"));
        let answer = api.get(PATH).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        answer.denied(401, "invalid_token");
        server.clock.advance(300);
        let expired = api.get(&format!("/env/staging{PATH}")).await;
        assert_eq!(expired.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        expired.denied(401, "invalid_token");
        let tokens = client.refresh(&tokens).await.ok();
        let api = server.api(tokens["access_token"].as_str().expect("a token"));
        api.get(&format!("/env/staging{PATH}")).await.ok();
        client.post("/oauth2/revoke", &[("token", tokens["refresh_token"].as_str().expect("a token"))]).await.granted();
        api.get(&format!("/env/staging{PATH}")).await.denied(401, "invalid_token");
        // A token in the address would stand in logs and histories: it is not looked for.
        let token = tokens["access_token"].as_str().expect("a token");
        let answer = reqwest::get(format!("{}/env/staging{PATH}?access_token={token}", server.url)).await.expect("an answer");
        assert_eq!((answer.status().as_u16(), &answer.headers()["www-authenticate"]), (401, &"Bearer".parse().expect("a header")));
    }
}
