//! The sign-in pages, as a user meets them.

use flagbearer_tests::{
    Api, Browser, Client, PASSWORD, Page, REDIRECT_URI, Reply, TestServer, Upstream, claims_of, on_both_engines,
};
use serde_json::{Value, json};

const EMAIL: &str = "alice@example.com";

/// What a page may have: a connection's first ten packets bring it whole (RFC 6928), headers and all.
const MAX_PAGE_BYTES: usize = 12 * 1024;

/// What all pages have in common.
#[track_caller]
pub fn is_a_page(page: &Page, status: u16) {
    page.left_no_trace();
    assert_eq!(page.status, status, "{}: {}", page.url, page.words());
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let policy = page.header("content-security-policy");
    for rule in
        ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "style-src 'sha256-"]
    {
        assert!(policy.contains(rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    for wanted in ["<html lang=\"en\">", "<title>", "name=\"viewport\"", "<main>", "<h1>"] {
        assert!(page.text.contains(wanted), "{wanted} is missing at {}", page.url);
    }
    // One answer is the whole page: nothing runs, nothing more is fetched, and little is sent.
    // (An empty icon keeps browsers from asking for one.)
    let text = page.text.replace("<link rel=\"icon\" href=\"data:,\">", "");
    for more in ["<script", "<link", "<img", "<iframe", "<object", "<embed", " src=", "srcset=", "url(", "@import"] {
        assert!(!text.contains(more), "{more} is in {}", page.url);
    }
    assert!(page.text.len() < MAX_PAGE_BYTES, "{} has {} bytes", page.url, page.text.len());
}

async fn tokens(client: &Client, page: &Page) -> Value {
    client.redeem(&page.told()["code"]).await.ok()
}

async fn sessions(admin: &Api) -> usize {
    admin.get("/v1/sessions").await.ok()["data"].as_array().expect("data").len()
}

on_both_engines! {
    async fn whether_a_page_is_there_can_be_asked_without_opening_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for path in ["/oauth2/auth", "/logout", "/sign-in", "/env/staging/logout", "/user_management/sessions/logout"] {
            let looked = admin.send(admin.request(reqwest::Method::HEAD, path)).await;
            assert_eq!((looked.status, looked.header("set-cookie")), (405, ""), "{path}");
        }
    }

    async fn the_page_is_accessible_and_safe(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let branding = json!({ "name": "Scribe & <Sons>", "colour": "#ffee00" });
        let client = Client::register(&admin, "production", json!({ "public": true, "branding": branding })).await;
        let mut browser = Browser::new();
        let page = browser.visit(&client.authorization_url(&[("login_hint", "\"><b>@example.com")])).await;
        is_a_page(&page, 200);
        assert!(page.words().contains("to continue to Scribe & <Sons>"), "{}", page.words());
        assert!(!page.text.contains("<Sons>") && !page.text.contains("\"><b>"), "what others wrote is text");
        assert!(page.text.contains("--accent:#ffee00;--on-accent:#000"), "black is what can be read on yellow");
        for wanted in [
            "<label for=\"email\">", "id=\"email\"", "autocomplete=\"username\"", "<label for=\"password\">", "type=\"password\"",
            "autocomplete=\"current-password\"",
        ] {
            assert!(page.text.contains(wanted), "{wanted}");
        }
        assert!(!page.text.contains("aria-invalid=\"true\""));
        let wrong = browser.submit(&page, &[("email", EMAIL), ("password", "planted-wrong-password")]).await;
        is_a_page(&wrong, 422);
        for wanted in ["<title>Error: ", "role=\"alert\" id=\"problem\"", "aria-describedby=\"problem\"", "aria-invalid=\"true\""] {
            assert!(wrong.text.contains(wanted), "{wanted}");
        }
        assert!(wrong.text.contains(EMAIL) && !wrong.text.contains("planted-wrong-password"), "the address is kept, the password is not");
        let unknown = browser.submit(&wrong, &[("email", "nobody@example.com"), ("password", "planted-wrong-password")]).await;
        assert_eq!(unknown.words(), wrong.words(), "nobody learns which accounts there are");
        let page = browser.submit(&unknown, &[("email", "ALICE@example.com"), ("password", PASSWORD)]).await;
        assert_eq!(page.headers["location"].to_str().expect("an address"), page.url.as_str());
        assert_eq!(page.status, 303, "the password does not travel on");
        assert!(page.url.as_str().starts_with(REDIRECT_URI));
    }

    async fn guessing_is_stopped_with_a_page_that_says_so(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let mut browser = Browser::new();
        let mut page = browser.visit(&client.authorization_url(&[])).await;
        for _ in 0..10 {
            page = browser.submit(&page, &[("email", EMAIL), ("password", "planted-wrong-password")]).await;
            assert_eq!(page.status, 422);
        }
        page = browser.submit(&page, &[("email", EMAIL), ("password", PASSWORD)]).await;
        is_a_page(&page, 429);
        let seconds: i64 = page.header("retry-after").parse().expect("seconds");
        assert!(page.words().contains("too many failed attempts") || page.words().contains("Too many failed attempts"));
        server.clock.advance(seconds);
        assert!(browser.submit(&page, &[("email", EMAIL), ("password", PASSWORD)]).await.left);
    }

    async fn a_signed_in_browser_goes_straight_into_the_next_application(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let (one, two) = (Client::public(&admin, "staging").await, Client::public(&admin, "staging").await);
        let elsewhere = Client::public(&admin, "production").await;
        let mut browser = Browser::new();
        let first = one.sign_in(&mut browser, EMAIL).await;
        let began = claims_of(&tokens(&one, &first).await["access_token"]);
        server.clock.advance(3600);
        let second = browser.visit(&two.authorization_url(&[("prompt", "none")])).await;
        let claims = claims_of(&tokens(&two, &second).await["access_token"]);
        assert_eq!((&claims["sub"], &claims["auth_time"]), (&began["sub"], &began["auth_time"]), "when the password was entered");
        assert_ne!(claims["sid"], began["sid"]);
        let page = browser.visit(&elsewhere.authorization_url(&[])).await;
        assert_eq!(page.url.path(), "/sign-in", "another environment is another issuer");
        server.clock.advance(30 * 86_400);
        let page = browser.visit(&two.authorization_url(&[])).await;
        assert_eq!(page.url.path(), "/env/staging/sign-in", "thirty days are over");
    }

    async fn an_application_may_ask_for_the_password_again(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let mut browser = Browser::new();
        client.sign_in(&mut browser, EMAIL).await.told();
        for more in [("prompt", "login"), ("prompt", "select_account"), ("max_age", "0")] {
            let page = browser.visit(&client.authorization_url(&[more])).await;
            assert_eq!((page.status, page.url.path()), (200, "/sign-in"), "{more:?}");
        }
        server.clock.advance(100);
        assert!(browser.visit(&client.authorization_url(&[("max_age", "100")])).await.told().contains_key("code"));
        let page = browser.visit(&client.authorization_url(&[("max_age", "99")])).await;
        assert_eq!(page.url.path(), "/sign-in");
        let silent = browser.visit(&client.authorization_url(&[("max_age", "99"), ("prompt", "none")])).await;
        assert_eq!(silent.told()["error"], "login_required");
        let page = browser.submit(&page, &[("email", EMAIL), ("password", PASSWORD)]).await;
        let claims = claims_of(&tokens(&client, &page).await["access_token"]);
        assert_eq!(claims["auth_time"], claims["iat"]);
    }

    async fn every_sign_in_gives_the_browser_another_cookie(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let mut browser = Browser::new();
        let key = ("127.0.0.1".to_owned(), "flagbearer-browser-production".to_owned());
        let planted = "p".repeat(43);
        browser.cookies.insert(key.clone(), planted.clone());
        let page = client.sign_in(&mut browser, EMAIL).await;
        let line = page.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text")).collect::<Vec<_>>().join("\n");
        assert!(line.contains("Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000"), "{line}");
        let first = browser.cookies[&key].clone();
        assert_ne!(first, planted, "what was planted before is worth nothing");
        let url = client.authorization_url(&[("prompt", "login")]);
        browser.sign_in(&url, EMAIL, PASSWORD).await.told();
        assert_ne!(browser.cookies[&key], first);
        for old in [planted, first] {
            let mut thief = Browser::new();
            thief.cookies.insert(key.clone(), old);
            assert_eq!(thief.visit(&client.authorization_url(&[("prompt", "none")])).await.told()["error"], "login_required");
        }
        let stored = server.database.texts("SELECT hash FROM browsers").await;
        assert!(stored.len() == 1 && !stored.contains(&browser.cookies[&key]));
    }

    async fn two_tabs_sign_in_side_by_side(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let mut browser = Browser::new();
        let one = browser.visit(&client.authorization_url(&[("state", "one")])).await;
        let two = browser.visit(&client.authorization_url(&[("state", "two")])).await;
        let answers = [("email", EMAIL), ("password", PASSWORD)];
        let one = browser.submit(&one, &answers).await;
        let two = browser.submit(&two, &answers).await;
        for (page, state) in [(one, "one"), (two, "two")] {
            assert_eq!(page.told()["state"], state);
            tokens(&client, &page).await;
        }
    }

    async fn a_form_is_taken_only_from_the_browser_that_asked(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "production").await;
        let answers = [("email", EMAIL), ("password", PASSWORD)];
        let mut thief = Browser::new();
        let page = thief.visit(&client.authorization_url(&[])).await;
        let mut victim = Browser::new();
        let forged = victim.submit(&page, &answers).await;
        is_a_page(&forged, 400);
        let mut victim = Browser::new();
        victim.visit(&client.authorization_url(&[])).await;
        let forged = victim.submit(&page, &answers).await;
        is_a_page(&forged, 400);
        assert_eq!(server.database.texts("SELECT id FROM browsers").await.len(), 0);
        // The user is not left alone with it.
        let page = victim.visit(&forged.link("Start again")).await;
        assert_eq!((page.status, page.url.path()), (200, "/sign-in"));
        let request = page.form().fields[0].1.clone();
        for tampered in ["", "x", &request[1..], &format!("{request}A")] {
            let page = victim.visit(&format!("{}/sign-in?request={tampered}", server.url)).await;
            is_a_page(&page, 400);
        }
        let url: reqwest::Url = format!("{}/sign-in", server.url).parse().expect("an address");
        let fields = [("request", request.as_str()), ("email", EMAIL), ("password", PASSWORD)];
        for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example.com")] {
            let form = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
            let forged = victim.follow(url.clone(), form.post(url.clone()).header(name, value).form(&fields)).await;
            is_a_page(&forged, 403);
        }
        for path in ["/sign-up", "/sign-in/organization", "/reset-password"] {
            let url = url.join(path).expect("an address");
            let form = reqwest::Client::new().post(url.clone()).header("sec-fetch-site", "cross-site").form(&fields);
            is_a_page(&victim.follow(url, form).await, 403);
        }
        let other = reqwest::Client::new().post(url.clone()).header("content-type", "text/plain").body("request=x");
        is_a_page(&victim.follow(url.clone(), other).await, 415);
        assert!(victim.submit(&page, &answers).await.left);
    }

    async fn a_page_that_was_open_too_long_says_so(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "staging").await;
        let mut browser = Browser::new();
        let page = browser.visit(&client.authorization_url(&[("state", "kept~*")])).await;
        server.clock.advance(3600);
        let answers = [("email", EMAIL), ("password", PASSWORD)];
        let late = browser.submit(&page, &answers).await;
        is_a_page(&late, 400);
        assert!(late.words().contains("open too long"), "{}", late.words());
        let mut without_cookie = Browser::new();
        let refused = without_cookie.submit(&page, &answers).await;
        is_a_page(&refused, 400);
        assert!(refused.words().contains("Allow cookies here"), "{}", refused.words());
        let page = browser.visit(&late.link("Start again")).await;
        let page = browser.submit(&page, &answers).await;
        assert_eq!(page.told()["state"], "kept~*");
        tokens(&client, &page).await;
    }

    async fn a_user_of_one_organization_goes_on_in_it_and_one_of_several_chooses(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &["org_a", "org_b"]).await;
        admin.account("bob", "bob@example.com", &["org_b"]).await;
        admin.account("carol", "carol@example.com", &[]).await;
        let client = Client::public(&admin, "staging").await;
        for (email, organization) in [("bob@example.com", json!("org_b")), ("carol@example.com", Value::Null)] {
            let page = client.sign_in(&mut Browser::new(), email).await;
            assert_eq!(claims_of(&tokens(&client, &page).await["access_token"])["org_id"], organization);
        }
        let mut browser = Browser::new();
        let page = client.sign_in(&mut browser, EMAIL).await;
        is_a_page(&page, 200);
        assert_eq!(page.url.path(), "/env/staging/sign-in/organization");
        let named = |id: &str| ("organization".to_owned(), id.to_owned());
        assert_eq!(page.form().buttons, [named("org_a"), named("org_b")]);
        assert!(page.words().contains("The org_a"));
        let refused = browser.submit(&page, &[("organization", "org_c")]).await;
        assert_eq!(refused.told()["error"], "access_denied");
        let page = browser.submit(&page, &[("organization", "org_b")]).await;
        assert_eq!(claims_of(&tokens(&client, &page).await["access_token"])["org_id"], "org_b");
        let silent = browser.visit(&client.authorization_url(&[("prompt", "none")])).await;
        assert_eq!(silent.told()["error"], "interaction_required");

        for (hint, organization, answer) in [
            ("organization_id", "org_a", None), ("org_code", "org_b", None), ("org_code", "org_c", Some("access_denied")),
        ] {
            let page = browser.visit(&client.authorization_url(&[(hint, organization)])).await;
            match answer {
                None => assert_eq!(claims_of(&tokens(&client, &page).await["access_token"])["org_id"], organization),
                Some(error) => assert_eq!(page.told()["error"], error),
            }
        }
        // Without a signed-in browser there is nothing to choose.
        let page = Browser::new().visit(&client.authorization_url(&[])).await;
        let mut stranger = Browser::new();
        stranger.visit(&client.authorization_url(&[])).await;
        let url = page.url.join("/env/staging/sign-in/organization").expect("an address");
        let request = page.form().fields[0].1.clone();
        let page = stranger.post(url, &[("request", &request), ("organization", "org_a")]).await;
        is_a_page(&page, 400);
    }

    async fn who_has_no_account_makes_one_where_that_is_allowed(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::public(&admin, "staging").await;
        let mut browser = Browser::new();
        let page = browser.visit(&client.authorization_url(&[("prompt", "create")])).await;
        assert!(!page.text.contains("Create an account") && page.text.contains("current-password"), "{}", page.words());
        let forged = page.url.join("/env/staging/sign-up").expect("an address");
        let request = page.form().fields[0].1.clone();
        let fields = [("request", request.as_str()), ("email", EMAIL), ("password", PASSWORD), ("name", "")];
        is_a_page(&browser.post(forged, &fields).await, 422);
        assert_eq!(admin.get("/v1/users").await.ok()["data"], json!([]));

        admin.patch("/v1/environments/staging", json!({ "sign_up": true })).await.ok();
        let page = browser.visit(&client.authorization_url(&[])).await;
        assert_eq!(browser.visit(&page.link("Create one")).await.url.path(), "/env/staging/sign-up");
        for hint in [("prompt", "create"), ("screen_hint", "sign-up"), ("start_page", "registration")] {
            let page = browser.visit(&client.authorization_url(&[hint])).await;
            is_a_page(&page, 200);
            assert_eq!(page.url.path(), "/env/staging/sign-up", "{hint:?}");
        }
        let page = browser.visit(&client.authorization_url(&[("prompt", "create"), ("login_hint", EMAIL)])).await;
        assert!(page.text.contains("autocomplete=\"new-password\""));
        let short = browser.submit(&page, &[("password", "short")]).await;
        is_a_page(&short, 422);
        assert!(short.text.contains(EMAIL), "what was entered is kept");
        let page = browser.submit(&short, &[("name", "Alice A."), ("password", PASSWORD)]).await;
        let claims = claims_of(&tokens(&client, &page).await["access_token"]);
        let user = admin.get(&format!("/v1/users/{}", claims["sub"].as_str().expect("a user"))).await.ok();
        assert_eq!((&user["email"], &user["name"], &user["email_verified"]), (&json!(EMAIL), &json!("Alice A."), &json!(false)));
        let again = browser.visit(&client.authorization_url(&[("prompt", "create")])).await;
        let taken = browser.submit(&again, &[("email", EMAIL), ("password", PASSWORD)]).await;
        is_a_page(&taken, 422);
        assert!(client.sign_in(&mut Browser::new(), EMAIL).await.left, "and signs in from then on");
    }

    async fn a_reset_link_sets_a_new_password_and_signs_out_everywhere(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "staging").await;
        let mut browser = Browser::new();
        let signed_in = client.sign_in(&mut browser, EMAIL).await;
        let held = tokens(&client, &signed_in).await;
        let link = admin.post("/v1/users/alice/password-reset", json!({ "environment": "staging" })).await.ok();
        let mut other = Browser::new();
        let page = other.visit(link["url"].as_str().expect("a link")).await;
        is_a_page(&page, 200);
        let page = other.submit(&page, &[("password", "short")]).await;
        is_a_page(&page, 422);
        let new = "another-planted-password";
        let page = other.submit(&page, &[("password", new)]).await;
        is_a_page(&page, 200);
        assert!(page.words().contains("Your password is set"), "{}", page.words());
        client.refresh(&held).await.denied(400, "invalid_grant");
        assert_eq!(browser.visit(&client.authorization_url(&[])).await.url.path(), "/env/staging/sign-in");
        let wrong = browser.sign_in(&client.authorization_url(&[]), EMAIL, PASSWORD).await;
        is_a_page(&wrong, 422);
        assert!(browser.sign_in(&client.authorization_url(&[]), EMAIL, new).await.left);
        let page = other.visit(link["url"].as_str().expect("a link")).await;
        let used = other.submit(&page, &[("password", new)]).await;
        is_a_page(&used, 422);
        assert!(used.words().contains("link was used"), "{}", used.words());
    }

    async fn a_user_signs_in_with_a_provider_and_only_in_the_browser_that_went_there(engine: Engine) {
        let allow = ["127.0.0.1".parse().expect("an address")];
        let server = TestServer::start_with(engine, |config| config.outbound_allow = allow.to_vec()).await;
        let admin = server.admin();
        let theirs = Upstream::start().await;
        let provider = json!({
            "environment": "staging", "name": "Theirs & Co", "issuer": theirs.url, "client_id": "flagbearer", "create_users": true,
        });
        admin.post("/v1/identity-providers", provider).await.ok();
        let client = Client::public(&admin, "staging").await;
        let (mut browser, mut other) = (Browser::new(), Browser::new());
        other.visit(&client.authorization_url(&[])).await;
        let page = browser.visit(&client.authorization_url(&[("state", "mine")])).await;
        let link = page.link("Continue with Theirs &#38; Co");
        let away = browser.visit(&link).await.told();
        assert_eq!(away["redirect_uri"], format!("{}/env/staging/sign-in/callback", server.url));
        let token = theirs.token(json!({ "sub": "u-1", "aud": "flagbearer", "nonce": away["nonce"] }));
        theirs.reply("/token", Reply::Json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": token })));
        let back = format!("{}?code=c&state={}", away["redirect_uri"], away["state"]);
        is_a_page(&other.visit(&back).await, 400);
        is_a_page(&browser.visit(&format!("{}?code=c&state=guessed", away["redirect_uri"])).await, 400);
        let page = browser.visit(&back).await;
        assert_eq!(page.told()["state"], "mine");
        let tokens = tokens(&client, &page).await;
        let session = admin.get(&format!("/v1/sessions/{}", tokens["session_id"].as_str().expect("an id"))).await.ok();
        assert_eq!(session["method"], "upstream");
        is_a_page(&browser.visit(&back).await, 400);

        let refused = browser.visit(&browser.clone().visit(&client.authorization_url(&[("prompt", "login")])).await.link("Continue with Theirs &#38; Co")).await.told();
        let page = browser.visit(&format!("{}?error=access_denied&state={}", refused["redirect_uri"], refused["state"])).await;
        is_a_page(&page, 422);
        assert!(page.words().contains("did not come to an end"), "{}", page.words());
        assert_eq!(server.database.texts("SELECT hash FROM sign_ins").await.len(), 0, "what came back is gone");
    }

    async fn signing_out_ends_what_began_in_the_browser_and_nothing_else(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        admin.account("bob", "bob@example.com", &[]).await;
        let after = "https://app.example.com/bye?x=1";
        let document = json!({ "public": true, "logout_uris": [after] });
        let (one, two) = (Client::register(&admin, "staging", document).await, Client::public(&admin, "staging").await);
        let (mut browser, mut elsewhere) = (Browser::new(), Browser::new());
        let bobs = browser.sign_in(&two.authorization_url(&[]), "bob@example.com", PASSWORD).await;
        let bobs = tokens(&two, &bobs).await;
        // Another user at the same browser: it is still one browser.
        let page = browser.sign_in(&one.authorization_url(&[("prompt", "login")]), EMAIL, PASSWORD).await;
        let first = tokens(&one, &page).await;
        let page = browser.visit(&two.authorization_url(&[])).await;
        let second = tokens(&two, &page).await;
        let page = two.sign_in(&mut elsewhere, EMAIL).await;
        let kept = tokens(&two, &page).await;
        let logout = format!("{}/env/staging/logout", server.url);
        let url = reqwest::Url::parse_with_params(&logout, [("post_logout_redirect_uri", after), ("state", "a b"), ("client_id", &one.id)]);
        let page = browser.visit(url.expect("an address").as_str()).await;
        assert_eq!(page.url.as_str(), "https://app.example.com/bye?x=1&state=a+b");
        page.left_no_trace();
        for (client, tokens) in [(&one, &first), (&two, &second), (&two, &bobs)] {
            client.refresh(tokens).await.denied(400, "invalid_grant");
        }
        two.refresh(&kept).await.ok();
        assert_eq!(browser.visit(&one.authorization_url(&[("prompt", "none")])).await.told()["error"], "login_required");
        assert!(elsewhere.visit(&one.authorization_url(&[("prompt", "none")])).await.told().contains_key("code"));
        let page = browser.visit(&logout).await;
        is_a_page(&page, 200);
        assert!(page.words().contains("You are signed out"));
        assert_eq!(sessions(&admin).await, 1);
    }

    async fn an_id_token_tells_whose_session_ends_and_where_the_browser_may_go(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let after = "https://app.example.com/bye";
        let document = json!({ "public": true, "logout_uris": [after] });
        let client = Client::register(&admin, "staging", document.clone()).await;
        let other = Client::public(&admin, "staging").await;
        // With an audience its access token looks most like an ID token.
        let kindes = json!({ "profile": "kinde", "audience": "https://api.example.com", "logout_uris": [after] });
        let kinde = Client::register(&admin, "staging", kindes).await;
        let elsewhere = Client::register(&admin, "production", document).await;
        let begin = async |client: &Client| {
            let url = client.authorization_url(&[("scope", "openid")]);
            tokens(client, &Browser::new().sign_in(&url, EMAIL, PASSWORD).await).await
        };
        // Without any cookie: the application's own link, opened in another browser.
        let sign_out = async |parameters: &[(&str, &str)]| {
            let url = reqwest::Url::parse_with_params(&format!("{}/env/staging/logout", server.url), parameters).expect("an address");
            let page = Browser::new().visit(url.as_str()).await;
            if !page.left {
                is_a_page(&page, 200);
            }
            page.left
        };
        let hint = |tokens: &Value| tokens["id_token"].as_str().expect("an ID token").to_owned();

        let (kept, bystander) = (begin(&client).await, begin(&other).await);
        let access = kept["access_token"].as_str().expect("a token").to_owned();
        let kindes = begin(&kinde).await;
        let kindes_access = kindes["access_token"].as_str().expect("a token").to_owned();
        let (mine, theirs) = (hint(&kept), hint(&bystander));
        let signed = mine.rsplit_once('.').expect("a JWT").0;
        let signature = theirs.rsplit_once('.').expect("a JWT").1;
        let foreign = hint(&begin(&elsewhere).await);
        for wrong in [format!("{signed}.{signature}"), format!("{signed}."), foreign, access, kindes_access, "x".to_owned()] {
            sign_out(&[("id_token_hint", &wrong)]).await;
        }
        assert!(!sign_out(&[("id_token_hint", &mine), ("client_id", &other.id), ("post_logout_redirect_uri", after)]).await);
        let kept = client.refresh(&kept).await.ok();
        let kindes = kinde.refresh(&kindes).await.ok();

        // Where it may go is the hinted application's to say.
        assert!(!sign_out(&[("id_token_hint", &hint(&bystander)), ("post_logout_redirect_uri", after)]).await);
        other.refresh(&bystander).await.denied(400, "invalid_grant");
        // However old, and with a key that signs no more.
        server.clock.advance(86_400);
        admin.post("/v1/signing-keys/rotate", json!({ "environment": "staging" })).await.ok();
        server.clock.advance(86_400);
        let kept = client.refresh(&kept).await.ok();
        assert!(sign_out(&[("id_token_hint", &mine), ("post_logout_redirect_uri", after)]).await);
        client.refresh(&kept).await.denied(400, "invalid_grant");
        assert!(sign_out(&[("id_token_hint", &hint(&kindes)), ("client_id", &kinde.id), ("redirect", after)]).await);
        kinde.refresh(&kindes).await.denied(400, "invalid_grant");
    }

    async fn an_id_token_of_a_withdrawn_key_is_no_hint(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", EMAIL, &[]).await;
        let client = Client::public(&admin, "staging").await;
        let url = client.authorization_url(&[("scope", "openid")]);
        let kept = tokens(&client, &Browser::new().sign_in(&url, EMAIL, PASSWORD).await).await;
        admin.post("/v1/signing-keys/rotate", json!({ "environment": "staging", "emergency": true })).await.ok();
        let hint = kept["id_token"].as_str().expect("an ID token");
        Browser::new().visit(&format!("{}/env/staging/logout?id_token_hint={hint}", server.url)).await;
        client.refresh(&kept).await.ok();
    }

    async fn after_signing_out_the_browser_goes_only_where_an_application_allows(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let after = "https://app.example.com/bye";
        let client = Client::register(&admin, "production", json!({ "public": true, "logout_uris": [after] })).await;
        let other = Client::public(&admin, "production").await;
        let foreign = Client::register(&admin, "staging", json!({ "public": true, "logout_uris": ["https://staging.example.com/"] })).await;
        let leads = async |parameters: &[(&str, &str)]| {
            let url = reqwest::Url::parse_with_params(&format!("{}/logout", server.url), parameters).expect("an address");
            let page = Browser::new().visit(url.as_str()).await;
            if !page.left {
                is_a_page(&page, 200);
            }
            page.left
        };
        for name in ["post_logout_redirect_uri", "redirect", "redirect_uri"] {
            assert!(leads(&[(name, after)]).await, "{name}");
            assert!(leads(&[(name, after), ("client_id", &client.id)]).await, "{name}");
            for parameters in [
                &[(name, "https://evil.example.com/bye")][..], &[(name, "https://app.example.com/bye/")], &[(name, REDIRECT_URI)],
                &[(name, "https://staging.example.com/")], &[(name, after), ("client_id", other.id.as_str())],
                &[(name, "https://staging.example.com/"), ("client_id", foreign.id.as_str())], &[(name, after), ("client_id", "x")],
            ] {
                assert!(!leads(parameters).await, "{parameters:?}");
            }
        }
    }
}
