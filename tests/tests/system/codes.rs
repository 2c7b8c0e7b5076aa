//! Authorization codes: who may redeem one, once, and what a second use does.

use std::sync::Arc;

use flagbearer_server::clock::Clock;
use flagbearer_server::secret::pkce_challenge;
use flagbearer_tests::{Browser, Client, Issuer, PASSWORD, TestServer, claims_of, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const EMAIL: &str = "alice@example.com";

on_both_engines! {
    async fn a_code_becomes_the_tokens_of_who_signed_in(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "integer", json!(7)).await;
        admin.account("alice", EMAIL, &["org_a"]).await;
        let client = Client::public(&admin, "staging").await;
        let url = client.authorization_url(&[("scope", "openid email billing:admin"), ("nonce", "n-1")]);
        let mut browser = Browser::new();
        let code = browser.sign_in(&url, EMAIL, PASSWORD).await.told()["code"].clone();
        server.clock.advance(59);
        let answer = client.redeem(&code).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let tokens = answer.ok();
        let now = server.clock.now();
        let claims = Issuer::discover(&admin, "/env/staging", &client.id).await.claims(&tokens, now);
        assert_eq!((&claims["sub"], &claims["org_id"], &claims["client_id"]), (&json!("alice"), &json!("org_a"), &json!(client.id)));
        assert_eq!(claims["auth_time"], now.seconds() - 59, "when the password was entered");
        assert_eq!((&claims["scope"], &tokens["scope"]), (&json!("openid email"), &json!("openid email")));
        assert_eq!(tokens["feature_flags"]["f"]["v"], 7);
        let identity = claims_of(&tokens["id_token"]);
        assert_eq!((&identity["nonce"], &identity["aud"], &identity["email"]), (&json!("n-1"), &json!([client.id]), &json!(EMAIL)));
        let session = admin.get(&format!("/v1/sessions/{}", tokens["session_id"].as_str().expect("an id"))).await.ok();
        assert_eq!((&session["method"], &session["user"], &session["ip_address"]), (&json!("password"), &json!("alice"), &json!("127.0.0.1")));
        client.refresh(&tokens).await.ok();
        let (_, bits) = code.split_at(4);
        assert!(code.starts_with("fbc_") && bits.len() == 43);
        assert!(server.database.texts("SELECT hash || document FROM codes").await.iter().all(|row| !row.contains(&code)));
    }

    async fn a_code_lives_for_a_minute(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let code = client.code(EMAIL).await;
        server.clock.advance(60);
        client.redeem(&code).await.denied(400, "invalid_grant");
        assert_eq!(admin.get("/v1/sessions").await.ok()["data"], json!([]));
    }

    async fn a_second_use_fails_and_ends_what_the_first_began(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let code = client.code(EMAIL).await;
        let tokens = client.redeem(&code).await.ok();
        let tokens = client.refresh(&tokens).await.ok();
        // Also long after its minute, and by who cannot prove anything.
        server.clock.advance(3600);
        client.redeem_with(&code, &[("code_verifier", "")]).await.denied(400, "invalid_grant");
        client.refresh(&tokens).await.denied(400, "invalid_grant");
    }

    async fn of_many_redemptions_at_once_one_succeeds_and_its_session_ends(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Arc::new(Client::public(&admin, "production").await);
        let code = Arc::new(client.code(EMAIL).await);
        let mut running = Vec::new();
        for _ in 0..32 {
            let (client, code) = (client.clone(), code.clone());
            running.push(tokio::spawn(async move { client.redeem(&code).await }));
        }
        let mut good = Vec::new();
        for answer in running {
            let answer = answer.await.expect("it runs");
            match answer.status {
                200 => good.push(answer.ok()),
                _ => drop(answer.denied(400, "invalid_grant")),
            }
        }
        assert_eq!(good.len(), 1, "one client gets tokens");
        assert_eq!(server.database.texts("SELECT id FROM sessions").await.len(), 1);
        client.refresh(&good[0]).await.denied(400, "invalid_grant");
    }

    async fn a_repeated_request_gets_the_same_answer_by_its_key(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let code = client.code(EMAIL).await;
        let ask = async |key: &str, code: &str| {
            let request = admin.request(Method::POST, "/oauth2/token").header("idempotency-key", key);
            let mut request = request.form(&client.redemption(code)).build().expect("a request");
            request.headers_mut().remove("authorization");
            let client = reqwest::Client::new();
            let response = client.execute(request).await.expect("the server answers");
            (response.status().as_u16(), response.json::<Value>().await.expect("JSON"))
        };
        let first = ask("k1", &code).await;
        assert_eq!(first.0, 200, "{}", first.1);
        assert_eq!(ask("k1", &code).await, first, "the lost answer, again");
        assert_eq!(ask("k1", "fbc_other").await.0, 422, "another body under the same key");
        client.refresh(&first.1).await.ok();
        assert_eq!(ask("k2", &code).await.1["error"], "invalid_grant", "another request is a second use");
    }

    async fn many_repeated_requests_at_once_all_get_the_same_answer(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Arc::new(Client::public(&admin, "production").await);
        let code = Arc::new(client.code(EMAIL).await);
        let url = format!("{}/oauth2/token", server.url);
        let mut running = Vec::new();
        for _ in 0..8 {
            let (client, code, url) = (client.clone(), code.clone(), url.clone());
            running.push(tokio::spawn(async move {
                let request = reqwest::Client::new().post(url).header("idempotency-key", "same");
                let response = request.form(&client.redemption(&code)).send().await.expect("the server answers");
                (response.status().as_u16(), response.json::<Value>().await.expect("JSON"))
            }));
        }
        let mut answers = Vec::new();
        for answer in running {
            answers.push(answer.await.expect("it runs"));
        }
        assert!(answers.iter().all(|answer| answer.0 == 200 && answer.1 == answers[0].1), "{answers:?}");
        client.refresh(&answers[0].1).await.ok();
    }

    async fn who_proves_nothing_gets_nothing_and_the_code_is_spent(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let other_verifier = "x".repeat(43);
        let long = "x".repeat(129);
        for wrong in [
            ("code_verifier", ""), ("code_verifier", other_verifier.as_str()), ("code_verifier", "short"),
            ("code_verifier", long.as_str()), ("redirect_uri", ""), ("redirect_uri", "https://app.example.com/other"),
        ] {
            let code = client.code(EMAIL).await;
            client.redeem_with(&code, &[wrong]).await.denied(400, "invalid_grant");
            client.redeem(&code).await.denied(400, "invalid_grant");
        }
        client.redeem("fbc_never_made").await.denied(400, "invalid_grant");
        client.redeem_with("x", &[("code", "")]).await.denied(400, "invalid_request");
        assert_eq!(admin.get("/v1/sessions").await.ok()["data"], json!([]));
    }

    async fn a_verifier_is_as_long_and_as_plain_as_the_rfc_has_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let mut browser = Browser::new();
        client.sign_in(&mut browser, EMAIL).await;
        let (shortest, longest) = ("a-._~".repeat(9)[..43].to_owned(), "Z9".repeat(64));
        for (verifier, good) in [
            (shortest.clone(), true), (longest.clone(), true), (shortest[1..].to_owned(), false), (format!("{longest}a"), false),
            (format!("{}+", &shortest[1..]), false), (format!("{} ", &shortest[1..]), false), (format!("{}é", &shortest[2..]), false),
        ] {
            // Each proves what it was asked with: it is for its form alone that one is refused.
            let challenge = pkce_challenge(&verifier);
            let told = browser.visit(&client.authorization_url(&[("code_challenge", &challenge)])).await.told();
            let answer = client.redeem_with(&told["code"], &[("code_verifier", &verifier)]).await;
            assert_eq!(answer.status == 200, good, "{verifier}: {}", answer.text);
        }
    }

    async fn a_verifier_without_a_challenge_is_a_downgrade(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::register(&admin, "production", json!({})).await;
        let url = client.authorization_url(&[("code_challenge", ""), ("code_challenge_method", "")]);
        let mut browser = Browser::new();
        let code = browser.sign_in(&url, EMAIL, PASSWORD).await.told()["code"].clone();
        client.redeem(&code).await.denied(400, "invalid_grant");
        let code = browser.visit(&url).await.told()["code"].clone();
        client.redeem_with(&code, &[("code_verifier", "")]).await.ok();
    }

    async fn a_code_is_its_clients_alone(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::register(&admin, "production", json!({})).await;
        let thief = Client::register(&admin, "production", json!({})).await;
        let elsewhere = Client::register(&admin, "staging", json!({})).await;
        let code = client.code(EMAIL).await;
        thief.redeem(&code).await.denied(400, "invalid_grant");
        elsewhere.redeem(&code).await.denied(400, "invalid_grant");
        client.redeem_with(&code, &[("client_secret", "")]).await.denied(401, "invalid_client");
        client.redeem_with(&code, &[("client_secret", thief.secret.as_deref().expect("a secret"))]).await.denied(401, "invalid_client");
        let tokens = client.redeem(&code).await.ok();
        thief.redeem(&code).await.denied(400, "invalid_grant");
        client.refresh(&tokens).await.ok();
    }

    async fn a_code_is_worth_nothing_once_the_password_is_another(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        admin.account("bob", "bob@example.com", &[]).await;
        let client = Client::public(&admin, "production").await;
        let code = client.code(EMAIL).await;
        admin.patch("/v1/users/alice", json!({ "password": "another-planted-password" })).await.ok();
        client.redeem(&code).await.denied(400, "invalid_grant");
        admin.patch("/v1/users/alice", json!({ "password": PASSWORD })).await.ok();
        let (reset, mut browser) = (client.code(EMAIL).await, Browser::new());
        let link = admin.post("/v1/users/alice/password-reset", json!({ "environment": "production" })).await.ok();
        let page = browser.visit(link["url"].as_str().expect("a link")).await;
        assert_eq!(browser.submit(&page, &[("password", PASSWORD)]).await.status, 200);
        client.redeem(&reset).await.denied(400, "invalid_grant");
        // Also where another user has come to the same browser since, whose password is the same as before.
        let mut browser = Browser::new();
        let code = client.sign_in(&mut browser, EMAIL).await.told()["code"].clone();
        let url = client.authorization_url(&[("prompt", "login")]);
        let bobs = browser.sign_in(&url, "bob@example.com", PASSWORD).await.told()["code"].clone();
        admin.patch("/v1/users/alice", json!({ "password": "one-more-planted-password" })).await.ok();
        client.redeem(&code).await.denied(400, "invalid_grant");
        client.redeem(&bobs).await.ok();
    }

    async fn a_code_is_worth_nothing_once_its_user_is_signed_out_or_gone(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &["org_a"]).await;
        let client = Client::public(&admin, "production").await;
        let mut browser = Browser::new();
        let code = client.sign_in(&mut browser, EMAIL).await.told()["code"].clone();
        browser.visit(&format!("{}/logout", server.url)).await;
        client.redeem(&code).await.denied(400, "invalid_grant");
        let code = client.code(EMAIL).await;
        admin.delete("/v1/organizations/org_a/members/alice").await.ok();
        client.redeem(&code).await.denied(400, "invalid_grant");
        let code = client.code(EMAIL).await;
        admin.delete("/v1/users/alice").await.ok();
        client.redeem(&code).await.denied(400, "invalid_grant");
    }
}
