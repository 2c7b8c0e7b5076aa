//! The authorization endpoints, each issuer's `GET /oauth2/auth` and WorkOS's `GET /user_management/authorize`: what an
//! application may ask for, and how it is refused.

use flagbearer_tests::{
    Api, Browser, Client, PASSWORD, Page, REDIRECT_URI, TestServer, VERIFIER, claims_of, on_both_engines,
};
use reqwest::Url;
use serde_json::{Value, json};

use super::sign_in::is_a_page;

/// A public application of `staging` for each of the two endpoints, registered alike.
async fn at_each_endpoint(admin: &Api, mut document: Value) -> [Client; 2] {
    document["public"] = true.into();
    let ours = Client::register(admin, "staging", document.clone()).await;
    document["profile"] = "workos".into();
    [ours, Client::register(admin, "staging", document).await]
}

/// Checks that the browser was sent back with an error of this code.
#[track_caller]
fn refused(client: &Client, admin: &Api, page: &Page, error: &str) {
    let told = page.told();
    assert_eq!(told.get("error").map(String::as_str), Some(error), "{}", page.url);
    assert!(page.url.as_str().starts_with(REDIRECT_URI), "{}", page.url);
    assert!(told.get("error_description").is_some_and(|text| !text.is_empty()), "{}", page.url);
    assert_eq!(told["iss"], format!("{}{}", admin.url, client.issuer));
    assert!(!told.contains_key("code"));
}

on_both_engines! {
    async fn who_cannot_be_told_is_shown_a_page_and_sent_nowhere(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let [ours, workos] = at_each_endpoint(&admin, json!({})).await;
        let kinde = Client::register(&admin, "staging", json!({ "profile": "kinde" })).await;
        let elsewhere = Client::public(&admin, "production").await;
        // Each profile has its own endpoint, and each issuer's endpoint its own environment.
        for (client, foreign) in [(&ours, [&elsewhere.id, &workos.id]), (&workos, [&ours.id, &kinde.id])] {
            for (name, value) in [
                ("client_id", ""), ("client_id", "unknown"), ("client_id", foreign[0]), ("client_id", foreign[1]),
                ("client_id", "nul\0"), ("redirect_uri", ""), ("redirect_uri", "https://evil.example.com/callback"),
                ("redirect_uri", "https://app.example.com/callback/"), ("redirect_uri", "https://app.example.com/callback?x=1"),
                ("redirect_uri", "https://APP.example.com/callback"), ("redirect_uri", "http://app.example.com/callback"),
                ("redirect_uri", "https://app.example.com:443/callback"), ("redirect_uri", "https://app.example.com/callback#x"),
                ("redirect_uri", "https://app.example.com/other/../callback"), ("redirect_uri", "//app.example.com/callback"),
            ] {
                let page = Browser::new().visit(&client.authorization_url(&[(name, value)])).await;
                assert!(!page.left, "{name}={value} leads to {}", page.url);
                assert_eq!(page.url.path(), client.authorize, "{name}={value} leads to another page");
                is_a_page(&page, 400);
                assert_eq!(page.header("location"), "");
            }
            for name in ["client_id", "redirect_uri"] {
                let page = Browser::new().visit(&client.authorization_url(&[(name, "Your account is locked, call us")])).await;
                is_a_page(&page, 400);
                assert!(!page.words().contains("locked"), "whoever makes a link does not speak on our page: {}", page.words());
            }
            for twice in ["client_id", "redirect_uri"] {
                let url = client.authorization_url(&[]);
                let again = client.request().into_iter().find(|(name, _)| *name == twice).expect("a parameter");
                let url = Url::parse_with_params(&url, [again]).expect("an address");
                let page = Browser::new().visit(url.as_str()).await;
                assert_eq!((page.status, page.left), (400, false), "{twice}: {}", page.words());
            }
        }
        let page = Browser::new().visit(&format!("{}/env/nowhere/oauth2/auth?client_id=x", server.url)).await;
        assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    }

    async fn every_other_fault_is_told_to_the_application(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for client in &at_each_endpoint(&admin, json!({})).await {
            for (more, error) in [
                (&[("response_type", "")][..], "invalid_request"),
                (&[("response_type", "token")], "unsupported_response_type"),
                (&[("response_type", "code id_token")], "unsupported_response_type"),
                (&[("response_mode", "fragment")], "invalid_request"),
                (&[("code_challenge", ""), ("code_challenge_method", "")], "invalid_request"),
                (&[("code_challenge", "")], "invalid_request"),
                (&[("code_challenge_method", "")], "invalid_request"),
                (&[("code_challenge_method", "plain")], "invalid_request"),
                (&[("code_challenge_method", "s256")], "invalid_request"),
                (&[("code_challenge", "short")], "invalid_request"),
                (&[("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=")], "invalid_request"),
                (&[("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")], "invalid_request"),
                (&[("prompt", "none login")], "invalid_request"),
                (&[("prompt", "guess")], "invalid_request"),
                (&[("max_age", "-1")], "invalid_request"),
                (&[("max_age", "soon")], "invalid_request"),
                (&[("scope", "openid \"all\"")], "invalid_scope"),
                (&[("request", "eyJ")], "request_not_supported"),
                (&[("request_uri", "https://app.example.com/request")], "request_uri_not_supported"),
                (&[("organization_id", "org_a"), ("org_code", "org_b")], "invalid_request"),
                (&[("nonce", "line\nbreak")], "invalid_request"),
                (&[("prompt", "none")], "login_required"),
            ] {
                let page = Browser::new().visit(&client.authorization_url(more)).await;
                refused(client, &admin, &page, error);
                assert_eq!(page.told()["state"], "s1", "{more:?}");
            }
            for twice in ["response_type", "scope", "state", "code_challenge", "code_challenge_method", "prompt", "nonce", "org_code"] {
                let url = client.authorization_url(&[(twice, "code")]);
                let url = Url::parse_with_params(&url, [(twice, "code")]).expect("an address");
                let page = Browser::new().visit(url.as_str()).await;
                refused(client, &admin, &page, "invalid_request");
                assert_eq!(page.told().contains_key("state"), twice != "state", "{}", page.url);
            }
            let long = "x".repeat(9000);
            refused(client, &admin, &Browser::new().visit(&client.authorization_url(&[("nonce", &long)])).await, "invalid_request");
        }
    }

    async fn what_vendors_send_beside_is_ignored(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::public(&admin, "production").await;
        let url = client.authorization_url(&[
            ("is_create_org", "false"), ("lang", "en"), ("supports_reauth", "true"), ("scope", "openid profile email offline"),
        ]);
        let url = format!("{url}&audience=&audience=a&audience=b&provider_scopes=x&provider_scopes=y&connection_id=&&=&z");
        let page = Browser::new().visit(&url).await;
        assert_eq!((page.status, page.url.path()), (200, "/sign-in"), "{}", page.words());
    }

    async fn state_comes_back_byte_by_byte(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", "alice@example.com", &[]).await;
        let client = Client::public(&admin, "production").await;
        let url = client.authorization_url(&[("state", "")]);
        for state in ["Fe26.2*1*ab~c-_.!()~2", "a%2Fb%3D%3D%26+c", "%E2%9C%93", "x==", "%ff%FE", "%7B%22a%22%3A1%7D"] {
            let page = Browser::new().sign_in(&format!("{url}&state={state}"), "alice@example.com", PASSWORD).await;
            assert!(page.left, "{}", page.words());
            let query = page.url.query().expect("a query");
            assert!(query.split('&').any(|pair| pair == format!("state={state}")), "{state} came back as {query}");
            let refusal = Browser::new().visit(&format!("{url}&state={state}&prompt=none")).await;
            assert!(refusal.url.as_str().ends_with(&format!("&state={state}")), "{}", refusal.url);
        }
        let page = Browser::new().sign_in(&url, "alice@example.com", PASSWORD).await;
        assert!(!page.told().contains_key("state"));
        assert_eq!(page.told()["iss"], server.url);
    }

    async fn redirect_uris_match_by_the_letter_but_for_loopback_ports(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let uris = json!([
            "http://127.0.0.1/callback", "http://[::1]:1234/callback", "http://localhost:3000/callback",
            "com.example.app:/callback", "https://app.example.com/?tenant=a",
        ]);
        let client = Client::register(&admin, "production", json!({ "public": true, "redirect_uris": uris })).await;
        for (uri, known) in [
            ("http://127.0.0.1/callback", true), ("http://127.0.0.1:50123/callback", true), ("http://[::1]:9/callback", true),
            ("http://[::1]/callback", true), ("http://localhost:3000/callback", true), ("com.example.app:/callback", true),
            ("https://app.example.com/?tenant=a", true),
            ("http://localhost:3001/callback", false), ("http://127.0.0.1:50123/other", false), ("http://127.0.0.2/callback", false),
            ("http://127.0.0.1:/callback", false), ("http://127.0.0.1:99999/callback", false), ("http://127.0.0.1:+1/callback", false),
            ("http://127.0.0.1@evil.example.com/callback", false), ("http://127.0.0.1.evil.example.com/callback", false),
            ("http://127.0.0.1:80@evil.example.com/callback", false), ("https://127.0.0.1/callback", false),
            ("com.example.app:/other", false), ("https://app.example.com:444/?tenant=a", false),
        ] {
            let url = client.authorization_url(&[("redirect_uri", uri), ("prompt", "none")]);
            let page = Browser::new().visit(&url).await;
            assert_eq!(page.left, known, "{uri}: {}", page.words());
            if known {
                assert!(page.url.as_str().starts_with(Url::parse(uri).expect("an address").as_str()), "{}", page.url);
                assert_eq!(page.told()["error"], "login_required", "an answer joins the query that is there");
            }
        }
    }

    async fn a_confidential_application_may_do_without_pkce(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for profile in ["flagbearer", "kinde", "workos"] {
            let client = Client::register(&admin, "production", json!({ "profile": profile })).await;
            let without = [("code_challenge", ""), ("code_challenge_method", "")];
            let page = Browser::new().visit(&client.authorization_url(&without)).await;
            assert_eq!((page.status, page.url.path()), (200, "/sign-in"), "{profile}");
            let page = Browser::new().visit(&client.authorization_url(&[("code_challenge_method", "plain")])).await;
            refused(&client, &admin, &page, "invalid_request");
        }
    }

    async fn workos_hints_are_followed_to_an_organization_and_to_a_page(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", "alice@example.com", &["org_a", "org_b"]).await;
        admin.account("bob", "bob@example.com", &["org_c"]).await;
        let client = Client::register(&admin, "staging", json!({ "profile": "workos" })).await;
        let mut browser = Browser::new();
        let sign_in = client.authorization_url(&[("organization_id", "org_c"), ("provider", "authkit")]);
        let page = browser.sign_in(&sign_in, "alice@example.com", PASSWORD).await;
        refused(&client, &admin, &page, "access_denied");
        let page = browser.visit(&client.authorization_url(&[])).await;
        assert_eq!((page.status, page.url.path()), (200, "/env/staging/sign-in/organization"), "{}", page.words());
        assert_eq!(admin.get("/v1/sessions").await.ok()["data"], json!([]), "nothing was issued");
        for organization in ["org_a", "org_b"] {
            let page = browser.visit(&client.authorization_url(&[("organization_id", organization)])).await;
            let redemption = json!({
                "grant_type": "authorization_code", "code": page.told()["code"], "code_verifier": VERIFIER,
            });
            let tokens = client.authenticate(redemption).await.ok();
            assert_eq!(tokens["organization_id"], organization);
            assert_eq!(claims_of(&tokens["access_token"])["org_id"], organization);
        }
        admin.patch("/v1/environments/staging", json!({ "sign_up": true })).await.ok();
        for (hint, path) in [("sign-up", "/env/staging/sign-up"), ("sign-in", "/env/staging/sign-in")] {
            let page = Browser::new().visit(&client.authorization_url(&[("screen_hint", hint)])).await;
            is_a_page(&page, 200);
            assert_eq!(page.url.path(), path);
        }
    }

    async fn a_request_may_come_as_a_form(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::public(&admin, "staging").await;
        let url = format!("{}/env/staging/oauth2/auth", server.url).parse().expect("an address");
        let page = Browser::new().post(url, &client.request()).await;
        assert_eq!((page.status, page.url.path()), (200, "/env/staging/sign-in"), "{}", page.words());
    }

    async fn an_application_is_seen_as_it_is_when_the_user_answers(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", "alice@example.com", &[]).await;
        let client = Client::public(&admin, "production").await;
        let mut browser = Browser::new();
        let page = browser.visit(&client.authorization_url(&[])).await;
        let path = format!("/v1/applications/{}", client.id);
        admin.patch(&path, json!({ "redirect_uris": ["https://elsewhere.example.com/"] })).await.ok();
        let page = browser.submit(&page, &[("email", "alice@example.com"), ("password", PASSWORD)]).await;
        assert_eq!((page.status, page.left), (400, false), "the address was withdrawn: {}", page.words());
    }
}
