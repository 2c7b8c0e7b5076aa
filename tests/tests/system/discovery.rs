//! What the metadata lists works, and what it does not list does not.

use flagbearer_tests::{Answer, Api, Browser, Client, PASSWORD, TestServer, claims_of, on_both_engines};
use serde_json::{Value, json};

const EMAIL: &str = "alice@example.com";

fn listed<'m>(metadata: &'m Value, name: &str) -> Vec<&'m str> {
    metadata[name].as_array().expect(name).iter().map(|entry| entry.as_str().expect("text")).collect()
}

fn path<'u>(server: &TestServer, url: &'u str) -> &'u str {
    url.strip_prefix(&server.url).unwrap_or_else(|| panic!("`{url}` is elsewhere"))
}

/// Posts to a token endpoint in one of the ways that a client may show who it is.
async fn shown(admin: &Api, url: &str, client: &Client, method: &str, form: &[(&str, &str)]) -> Answer {
    let mut form = form.to_vec();
    let secret = client.secret.as_deref();
    let request = reqwest::Client::new().post(url);
    let request = match method {
        "client_secret_basic" => request.basic_auth(&client.id, secret),
        "client_secret_post" => {
            form.extend([("client_id", client.id.as_str()), ("client_secret", secret.expect("a secret"))]);
            request
        }
        "none" => {
            form.push(("client_id", &client.id));
            request
        }
        unknown => panic!("`{unknown}` is no way that this test knows"),
    };
    admin.send(request.form(&form)).await
}

on_both_engines! {
    async fn both_documents_of_an_issuer_are_the_same_and_name_it_to_the_letter(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (below, before, issuer) in [
            ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", server.url.clone()),
            (
                "/env/staging/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/env/staging",
                format!("{}/env/staging", server.url),
            ),
        ] {
            let (one, other) = (admin.get(below).await, admin.get(before).await);
            assert_eq!(one.header("access-control-allow-origin"), "*");
            assert_eq!(one.header("cache-control"), "public, max-age=300");
            assert_eq!(one.text, other.text);
            let metadata = one.ok();
            assert_eq!(metadata["issuer"], issuer);
            assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
            assert_eq!(metadata["response_types_supported"], json!(["code"]));
            assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
        }
        for nowhere in [
            "/env/staging/.well-known/oauth-authorization-server",
            "/env/nope/.well-known/openid-configuration",
            "/env/production/.well-known/openid-configuration",
        ] {
            assert_eq!(admin.get(nowhere).await.status, 404, "{nowhere}");
        }
    }

    async fn every_endpoint_that_is_listed_answers(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for issuer in ["", "/env/staging"] {
            let metadata = admin.get(&format!("{issuer}/.well-known/openid-configuration")).await.ok();
            let endpoints = metadata.as_object().expect("an object").iter();
            let endpoints: Vec<_> = endpoints.filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri").collect();
            assert_eq!(endpoints.len(), 8);
            for (name, url) in endpoints {
                let url = url.as_str().expect("a URL");
                // The watermarks of all environments are beside one another, and not the issuers'.
                assert!(path(&server, url).starts_with(issuer) || name == "watermark_endpoint");
                let (method, status) = match name.as_str() {
                    "jwks_uri" | "end_session_endpoint" | "watermark_endpoint" => (reqwest::Method::GET, 200),
                    "authorization_endpoint" => (reqwest::Method::GET, 400),
                    "userinfo_endpoint" => (reqwest::Method::GET, 401),
                    _ => (reqwest::Method::POST, 400),
                };
                let answer = admin.send(reqwest::Client::new().request(method, url)).await;
                assert_eq!(answer.status, status, "{name}: {}", answer.text);
            }
        }
    }

    async fn every_way_to_show_who_a_client_is_works_where_it_is_listed(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "staging", json!({})).await;
        let public = Client::public(&admin, "staging").await;
        let metadata = admin.get("/env/staging/.well-known/openid-configuration").await.ok();
        for endpoint in ["token", "revocation", "introspection"] {
            let methods = listed(&metadata, &format!("{endpoint}_endpoint_auth_methods_supported"));
            let url = metadata[format!("{endpoint}_endpoint")].as_str().expect("a URL");
            for method in ["client_secret_basic", "client_secret_post", "none"] {
                let client = if method == "none" { &public } else { &client };
                let tokens = admin.session(&client.id, "alice", None).await;
                let token = tokens["refresh_token"].as_str().expect("a token");
                let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("token", token)];
                let answer = shown(&admin, url, client, method, &form).await;
                assert_eq!(answer.status == 200, methods.contains(&method), "{endpoint} {method}: {}", answer.text);
            }
        }
    }

    async fn every_grant_and_prompt_and_claim_that_is_listed_is_known_and_no_other(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &["org_a"]).await;
        let person = json!({ "name": "Alice Berg", "picture": "https://example.com/a.png" });
        admin.patch("/v1/users/alice", person).await.ok();
        let client = Client::register(&admin, "staging", json!({})).await;
        let metadata = admin.get("/env/staging/.well-known/openid-configuration").await.ok();
        let grants = listed(&metadata, "grant_types_supported");
        for grant in [
            "authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange",
            "password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:jwt-bearer",
        ] {
            let answer = client.post("/oauth2/token", &[("grant_type", grant)]).await;
            assert_eq!(answer.body["error"] != "unsupported_grant_type", grants.contains(&grant), "{grant}");
        }

        let scope = listed(&metadata, "scopes_supported").join(" ");
        let page = Browser::new().sign_in(&client.authorization_url(&[("scope", &scope), ("nonce", "n-1")]), EMAIL, PASSWORD).await;
        assert_eq!(page.told()["iss"], metadata["issuer"].as_str().expect("an issuer"));
        let tokens = client.redeem(&page.told()["code"]).await.ok();
        let api = server.api(tokens["access_token"].as_str().expect("a token"));
        let (identity, told) = (claims_of(&tokens["id_token"]), api.get("/env/staging/oauth2/userinfo").await.ok());
        for claim in listed(&metadata, "claims_supported") {
            assert!(identity.get(claim).or(told.get(claim)).is_some(), "{claim}");
        }

        for (prompt, known) in listed(&metadata, "prompt_values_supported").into_iter().map(|prompt| (prompt, true)).chain([("maybe", false)]) {
            let page = Browser::new().visit(&client.authorization_url(&[("prompt", prompt)])).await;
            let refused = page.left && page.told().get("error").is_some_and(|error| error == "invalid_request");
            assert_eq!(!refused, known, "{prompt}: {}", page.url);
        }
        for (name, value) in [("response_type", "token"), ("response_mode", "fragment"), ("code_challenge_method", "plain")] {
            let page = Browser::new().visit(&client.authorization_url(&[(name, value)])).await;
            assert!(page.left && page.told().contains_key("error"), "{name}: {}", page.url);
        }
    }

    async fn id_tokens_are_signed_with_each_listed_algorithm(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let metadata = admin.get("/.well-known/openid-configuration").await.ok();
        let algorithms = listed(&metadata, "id_token_signing_alg_values_supported");
        assert!(algorithms.contains(&"RS256"), "OpenID Connect Discovery §3");
        for algorithm in algorithms {
            let client = Client::register(&admin, "production", json!({ "algorithm": algorithm, "public": true })).await;
            let page = Browser::new().sign_in(&client.authorization_url(&[("scope", "openid")]), EMAIL, PASSWORD).await;
            let tokens = client.redeem(&page.told()["code"]).await.ok();
            let token = tokens["id_token"].as_str().expect("an ID token");
            let keys = admin.get("/.well-known/jwks.json").await;
            let keys = flagbearer::token::KeySet::parse(keys.text.as_bytes()).expect("a key set");
            let expected = flagbearer::token::Expected { issuer: &server.url, audience: &client.id, access_token: false };
            let token = flagbearer::token::ForeignToken::parse(token).expect("a token");
            assert_eq!(token.key(&keys).expect("its key").algorithm().as_str(), algorithm);
            token.verify(&expected, &keys, flagbearer_tests::BEGINNING).expect("a valid ID token");
        }
    }
}
