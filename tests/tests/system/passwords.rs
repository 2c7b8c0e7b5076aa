//! Users' addresses and passwords: what is accepted, who signs in by them, and what a change of them ends.

use std::net::{IpAddr, Ipv4Addr};

use flagbearer_server::clock::Clock;
use flagbearer_server::issuer::{ByPassword, Entrant, Issuer, Refused, ResetRefused, SignInRefused, SignUpRefused};
use flagbearer_server::password::Unfit;
use flagbearer_server::secret::Secret;
use flagbearer_server::store::{Method, Origin, Surface, User};
use flagbearer_tests::{Api, SignedIn, TestServer, on_both_engines};
use serde_json::{Value, json};

const PASSWORD: &str = "planted password one";

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

async fn sign_in(issuer: &Issuer, email: &str, password: &str) -> Result<User, SignInRefused> {
    issuer.sign_in_by_password(email, &Secret::new(password), HOME).await.map(|by| by.user)
}

async fn sign_up(issuer: &Issuer, environment: &str, email: &str, password: &str) -> Result<User, SignUpRefused> {
    issuer.sign_up(environment, email, Some(" Alice "), &Secret::new(password), HOME, "request-one").await.map(|by| by.user)
}

async fn reset(issuer: &Issuer, environment: &str, token: &str, password: &str) -> Result<User, ResetRefused> {
    issuer.reset_password(environment, &Secret::new(token), &Secret::new(password), HOME, "request-two").await
}

/// What a reset link holds, for the page that it leads to.
fn token(link: &Value, page: &str) -> String {
    let url = link["url"].as_str().expect("a URL");
    url.strip_prefix(&format!("{page}/reset-password?token=")).unwrap_or_else(|| panic!("{url} is not at {page}")).to_owned()
}

/// How many rows a table has.
async fn count(server: &TestServer, table: &str) -> String {
    server.database.texts(&format!("SELECT CAST(count(*) AS TEXT) FROM {table}")).await.remove(0)
}

/// Creates a user who signs in by this address.
async fn person(admin: &Api, id: &str, email: &str) -> Value {
    admin.post("/v1/users", json!({ "id": id, "email": email, "password": PASSWORD })).await.ok()
}

/// A browser that is signed in at an environment, put there behind the server's back.
async fn browser(server: &TestServer, user: &str, environment: &str) {
    let sql = format!(
        "INSERT INTO browsers (id, hash, environment, user_id, method, auth_time, expires_at) \
         VALUES ('{user} {environment}', '{user} {environment}', '{environment}', '{user}', 'password', 0, 9000000000000)"
    );
    server.database.execute(&sql).await;
}

on_both_engines! {
    async fn a_users_address_picture_and_verification_are_kept(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let picture = "https://pictures.example/alice.png";
        let given = json!({ "id": "alice", "email": "alice@example.com", "email_verified": true, "picture": picture });
        let created = admin.post("/v1/users", given).await.ok();
        assert_eq!((&created["email_verified"], &created["picture"]), (&json!(true), &json!(picture)));
        assert_eq!((&created["updated_at"], &created["last_sign_in_at"]), (&created["created_at"], &Value::Null));

        server.clock.advance(60);
        let patched = admin.patch("/v1/users/alice", json!({ "name": "Alice", "email": "Alice@Example.com" })).await.ok();
        assert_eq!(patched["email_verified"], true, "it is the same address");
        assert_eq!((&patched["created_at"], &patched["updated_at"]), (&json!("2027-01-15T08:00:00Z"), &json!("2027-01-15T08:01:00Z")));
        assert_eq!(admin.get("/v1/users/alice").await.ok()["updated_at"], patched["updated_at"]);
        let moved = admin.patch("/v1/users/alice", json!({ "email": "alice@example.org" })).await.ok();
        assert_eq!(moved["email_verified"], false, "nobody verified the new one");
        let said = admin.patch("/v1/users/alice", json!({ "email": "alice@example.net", "email_verified": true })).await.ok();
        assert_eq!(said["email_verified"], true);
        let bare = admin.patch("/v1/users/alice", json!({ "email": null, "picture": null })).await.ok();
        assert_eq!((&bare["email"], &bare["email_verified"], &bare["picture"]), (&Value::Null, &json!(false), &Value::Null));
        let problem = admin.patch("/v1/users/alice", json!({ "email_verified": true })).await.refused(422, "VALUE_INVALID");
        assert_eq!(problem["errors"][0]["pointer"], "/email_verified");
    }

    async fn what_cannot_be_an_address_or_a_picture_is_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let long = format!("{}@example.com", "x".repeat(243));
        for email in [
            "", "alice", "@example.com", "alice@", "alice@@example.com", "a@b@example.com", "al ice@example.com",
            "alice@exam ple.com", "alice@example.com\n", "alice\u{0}@example.com", "alice@.example.com", "alice@example.com.",
            "alice@-example.com", "<alice@example.com>", "alice@example.com,bob@example.com", &long,
        ] {
            let problem = admin.post("/v1/users", json!({ "id": "alice", "email": email })).await.refused(422, "EMAIL_INVALID");
            assert_eq!(problem["errors"][0]["pointer"], "/email", "{email}");
        }
        let longest = format!("{}@example.com", "x".repeat(242));
        for email in ["a@localhost", "ålice+tag@bücher.example", "o'brien@example.co.uk", &longest] {
            assert_eq!(admin.patch("/v1/users/bob", json!({})).await.status, 404);
            assert_eq!(admin.post("/v1/users", json!({ "id": "bob", "email": email })).await.ok()["email"], email);
            assert_eq!(admin.delete("/v1/users/bob").await.status, 200);
        }
        for picture in ["", "alice.png", "javascript:alert(1)", "data:image/png;base64,AA==", "https://"] {
            let problem = admin.post("/v1/users", json!({ "id": "alice", "picture": picture })).await.refused(422, "VALUE_INVALID");
            assert_eq!(problem["errors"][0]["pointer"], "/picture", "{picture}");
        }
    }

    async fn a_password_is_refused_for_its_length_alone(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let long = "x".repeat(1025);
        for (password, code) in [
            (json!("1234567"), "PASSWORD_TOO_SHORT"),
            (json!("äöüäöüä"), "PASSWORD_TOO_SHORT"),
            (json!(long), "PASSWORD_TOO_LONG"),
            (json!("planted\u{0}password"), "PASSWORD_INVALID"),
        ] {
            let body = json!({ "id": "alice", "email": "a@example.com", "password": password });
            let problem = admin.post("/v1/users", body).await.refused(422, code);
            assert_eq!(problem["errors"][0]["pointer"], "/password");
            assert!(!problem.to_string().contains("planted"));
        }
        let without = json!({ "id": "alice", "password": PASSWORD });
        admin.post("/v1/users", without).await.refused(422, "EMAIL_REQUIRED");
        admin.get("/v1/users/alice").await.refused(404, "USER_NOT_FOUND");
        for (number, password) in ["aaaaaaaa", "👩‍🚀👩‍🚀👩‍🚀", " spaces count ", &"x".repeat(1024)].iter().enumerate() {
            let body = json!({ "id": format!("u{number}"), "email": format!("u{number}@example.com"), "password": password });
            admin.post("/v1/users", body).await.ok();
        }
    }

    async fn one_address_is_one_accounts_whatever_its_case(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        person(&admin, "alice", "alice@example.com").await;
        let taken = json!({ "id": "bob", "email": "ALICE@Example.COM", "password": PASSWORD });
        admin.post("/v1/users", taken.clone()).await.refused(409, "EMAIL_IN_USE");
        admin.get("/v1/users/bob").await.refused(404, "USER_NOT_FOUND");
        admin.post("/v1/users", json!({ "id": "bob", "email": "ALICE@Example.COM" })).await.ok();
        admin.patch("/v1/users/bob", json!({ "password": PASSWORD })).await.refused(409, "EMAIL_IN_USE");

        person(&admin, "carol", "carol@example.com").await;
        admin.patch("/v1/users/carol", json!({ "email": "Alice@example.com" })).await.refused(409, "EMAIL_IN_USE");
        admin.patch("/v1/users/alice", json!({ "email": null })).await.refused(409, "EMAIL_REQUIRED");
        admin.patch("/v1/users/alice", json!({ "email": "alice@example.org" })).await.ok();
        admin.patch("/v1/users/bob", json!({ "password": PASSWORD })).await.ok();
        admin.patch("/v1/users/alice", json!({ "email": "alice@EXAMPLE.com" })).await.refused(409, "EMAIL_IN_USE");
        admin.patch("/v1/users/bob", json!({ "email": null, "password": null })).await.ok();
        admin.patch("/v1/users/alice", json!({ "email": "alice@EXAMPLE.com" })).await.ok();
        assert_eq!(admin.delete("/v1/users/alice").await.status, 200);
        person(&admin, "dora", "alice@example.com").await;
    }

    async fn a_new_password_ends_sessions_and_signs_browsers_out(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        person(&admin, "alice", "alice@example.com").await;
        admin.post("/v1/users", json!({ "id": "bob" })).await.ok();
        let mut other = SignedIn::start(&admin, &application, "bob", None).await;
        browser(&server, "bob", "production").await;
        for change in [json!({ "password": "another planted password" }), json!({ "password": null })] {
            let session = admin.session(&application, "alice", Some("org_a")).await;
            browser(&server, "alice", "production").await;
            admin.patch("/v1/users/alice", json!({ "name": "Alice" })).await.ok();
            assert_eq!(count(&server, "browsers").await, "2", "a name ends nothing");
            let session = admin.refreshed("", &application, &session).await;
            admin.patch("/v1/users/alice", change).await.ok();
            let token = session["refresh_token"].as_str().expect("a token");
            admin.refresh("", &application, token).await.denied(400, "invalid_grant");
            assert_eq!(server.database.texts("SELECT user_id FROM browsers").await, ["bob"]);
        }
        other.refresh().await;
        assert_eq!(count(&server, "passwords").await, "0");
    }

    async fn ending_a_users_sessions_signs_the_browsers_out(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/users", json!({ "id": "alice" })).await.ok();
        admin.post("/v1/users", json!({ "id": "bob" })).await.ok();
        for user in ["alice", "bob"] {
            browser(&server, user, "production").await;
            browser(&server, user, "staging").await;
        }
        let left = async || server.database.texts("SELECT hash FROM browsers ORDER BY hash").await;
        admin.delete("/v1/sessions?user=alice&organization=org_a").await.ok();
        assert_eq!(left().await.len(), 4, "elsewhere the user stays signed in");
        admin.delete("/v1/sessions?user=alice&environment=staging").await.ok();
        assert_eq!(left().await, ["alice production", "bob production", "bob staging"]);
        admin.delete("/v1/sessions?user=alice").await.ok();
        assert_eq!(left().await, ["bob production", "bob staging"]);
        admin.delete("/v1/users/bob").await.ok();
        assert!(left().await.is_empty());
    }

    async fn a_password_is_in_no_answer_and_not_in_the_change_log(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let created = person(&admin, "alice", "alice@example.com").await;
        let patched = admin.patch("/v1/users/alice", json!({ "password": "planted password two" })).await.ok();
        let read = admin.get("/v1/users/alice").await.text;
        let listed = admin.get("/v1/users").await.text;
        let log = admin.get("/v1/changes?limit=200&user=alice").await.ok();
        for text in [created.to_string(), patched.to_string(), read, listed, log.to_string()] {
            assert!(!text.contains("planted") && !text.contains("argon2") && !text.contains("\"password\""), "{text}");
        }
        let changes = log["data"].as_array().expect("changes");
        assert_eq!(changes.len(), 2, "who set a password, and when, is there");
        let hashes = server.database.texts("SELECT hash FROM passwords").await;
        assert!(hashes[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashes:?}");
    }

    async fn who_has_a_password_signs_in_by_it_and_by_nothing_else(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let issuer = server.issuer().await;
        person(&admin, "alice", "Alice@example.com").await;
        admin.post("/v1/users", json!({ "id": "bob", "email": "bob@example.com" })).await.ok();
        server.clock.advance(60);
        for email in ["alice@example.com", " ALICE@EXAMPLE.COM "] {
            assert_eq!(sign_in(&issuer, email, PASSWORD).await.expect("it is right").id, "alice");
        }
        assert_eq!(admin.get("/v1/users/alice").await.ok()["last_sign_in_at"], "2027-01-15T08:01:00Z");
        let long = "x".repeat(100_000);
        for (email, password) in [
            ("alice@example.com", "Planted password one"),
            ("alice@example.com", " planted password one"),
            ("alice@example.com", ""),
            ("alice@example.com", &long),
            ("alice@example.com\0", PASSWORD),
            ("alice", PASSWORD),
            ("bob@example.com", PASSWORD),
            ("nobody@example.com", PASSWORD),
        ] {
            let refused = sign_in(&issuer, email, password).await.expect_err(email);
            assert!(matches!(refused, SignInRefused::Wrong), "{email}: {refused:?}");
        }
        admin.patch("/v1/users/alice", json!({ "email": "alice@example.org", "password": "another planted password" })).await.ok();
        assert!(sign_in(&issuer, "alice@example.org", PASSWORD).await.is_err());
        assert!(sign_in(&issuer, "alice@example.com", "another planted password").await.is_err());
        assert_eq!(sign_in(&issuer, "alice@example.org", "another planted password").await.expect("it is right").id, "alice");
        admin.delete("/v1/users/alice").await.ok();
        assert!(sign_in(&issuer, "alice@example.org", "another planted password").await.is_err());
    }

    async fn a_link_sets_one_password_and_is_void(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let issuer = server.issuer().await;
        let application = admin.application("production").await;
        person(&admin, "alice", "alice@example.com").await;
        let session = admin.session(&application, "alice", None).await;
        browser(&server, "alice", "production").await;

        let path = "/v1/users/alice/password-reset";
        let link = admin.post(path, json!({})).await;
        assert_eq!((link.status, &link.body["expires_at"]), (201, &json!("2027-01-15T09:00:00Z")));
        let first = token(&link.ok(), &server.url);
        let other = token(&admin.post(path, json!({ "environment": "production" })).await.ok(), &server.url);
        assert!(first.len() >= 22 && first != other);
        let unfit = reset(&issuer, "production", &first, "short").await.expect_err("too short");
        assert!(matches!(unfit, ResetRefused::Password(Unfit::TooShort)));
        admin.refresh("", &application, session["refresh_token"].as_str().expect("a token")).await.ok();

        let user = reset(&issuer, "production", &first, "another planted password").await.expect("the link is good");
        assert_eq!((user.id.as_str(), user.email_verified), ("alice", false), "a link proves no address");
        for token in [&first, &other] {
            let refused = reset(&issuer, "production", token, "a third planted password").await.expect_err("it is void");
            assert!(matches!(refused, ResetRefused::Link));
        }
        assert!(sign_in(&issuer, "alice@example.com", PASSWORD).await.is_err());
        sign_in(&issuer, "alice@example.com", "another planted password").await.expect("it is the new one");
        assert_eq!(admin.get("/v1/sessions?user=alice").await.ok()["data"], json!([]));
        assert_eq!(count(&server, "browsers").await, "0");

        let log = admin.get("/v1/changes?limit=200&user=alice").await.ok();
        let comments: Vec<_> = log["data"].as_array().expect("changes").iter()
            .map(|change| (change["actor"]["type"].as_str(), change["comment"].as_str(), change["request_id"] == "request-two")).collect();
        assert_eq!(comments[..2], [
            (Some("system"), Some("a password was set by a link"), true),
            (Some("api_key"), Some("a link to set a password was made"), false),
        ]);
        assert!(!log.to_string().contains(&first));
    }

    async fn a_link_is_good_for_an_hour_at_its_own_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let issuer = server.issuer().await;
        let path = "/v1/users/alice/password-reset";
        admin.post(path, json!({})).await.refused(404, "USER_NOT_FOUND");
        admin.post("/v1/users", json!({ "id": "alice" })).await.ok();
        admin.post(path, json!({})).await.refused(422, "EMAIL_REQUIRED");
        admin.patch("/v1/users/alice", json!({ "email": "alice@example.com", "email_verified": true })).await.ok();
        admin.post(path, json!({ "environment": "nowhere" })).await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.post(path, json!({ "url": "https://evil.example" })).await.refused(400, "MEMBER_UNKNOWN");
        for role in ["viewer", "application", "editor"] {
            server.api(&admin.key(role, None).await).post(path, json!({})).await.refused(403, "FORBIDDEN");
        }
        server.api(&admin.key("administrator", Some("staging")).await).post(path, json!({})).await.refused(403, "FORBIDDEN");

        let staging = token(&admin.post(path, json!({ "environment": "staging" })).await.ok(), &format!("{}/env/staging", server.url));
        for (environment, token) in [("production", staging.as_str()), ("staging", ""), ("staging", "x"), ("staging", "a\0")] {
            let refused = reset(&issuer, environment, token, PASSWORD).await.expect_err(token);
            assert!(matches!(refused, ResetRefused::Link), "{refused:?}");
        }
        server.clock.advance(3599);
        let user = reset(&issuer, "staging", &staging, PASSWORD).await.expect("the link is good");
        assert!(user.email_verified, "it was before");
        let late = token(&admin.post(path, json!({})).await.ok(), &server.url);
        server.clock.advance(3600);
        assert!(matches!(reset(&issuer, "production", &late, PASSWORD).await, Err(ResetRefused::Link)));
        let parallel = token(&admin.post(path, json!({})).await.ok(), &server.url);
        let (one, two) = tokio::join!(
            reset(&issuer, "production", &parallel, "first of two at once"),
            reset(&issuer, "production", &parallel, "second of two at once"),
        );
        assert_eq!(one.is_ok() as u8 + two.is_ok() as u8, 1, "{one:?} {two:?}");
        let void = token(&admin.post(path, json!({})).await.ok(), &server.url);
        admin.patch("/v1/users/alice", json!({ "password": PASSWORD })).await.ok();
        assert!(matches!(reset(&issuer, "production", &void, PASSWORD).await, Err(ResetRefused::Link)));
    }

    async fn a_link_cannot_take_the_address_of_another_account(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let issuer = server.issuer().await;
        admin.post("/v1/users", json!({ "id": "alice", "email": "alice@example.com" })).await.ok();
        let link = token(&admin.post("/v1/users/alice/password-reset", json!({})).await.ok(), &server.url);
        person(&admin, "bob", "ALICE@example.com").await;
        let refused = reset(&issuer, "production", &link, "another planted password").await.expect_err("it is bob's");
        assert!(matches!(refused, ResetRefused::EmailTaken), "{refused:?}");
        assert_eq!(sign_in(&issuer, "alice@example.com", PASSWORD).await.expect("it is right").id, "bob");
    }

    async fn strangers_make_accounts_only_where_the_environment_lets_them(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let issuer = server.issuer().await;
        let closed = sign_up(&issuer, "staging", "alice@example.com", PASSWORD).await.expect_err("it is closed");
        assert!(matches!(closed, SignUpRefused::Closed));
        admin.patch("/v1/environments/staging", json!({ "sign_up": true })).await.ok();
        let user = sign_up(&issuer, "staging", " Alice@example.com ", PASSWORD).await.expect("it is open");
        assert!(user.id.starts_with("usr_") && user.id.len() == 26, "{}", user.id);
        let read = admin.get(&format!("/v1/users/{}", user.id)).await.ok();
        assert_eq!((&read["email"], &read["email_verified"], &read["name"]), (&json!("Alice@example.com"), &json!(false), &json!("Alice")));
        assert_eq!(read["last_sign_in_at"], "2027-01-15T08:00:00Z");
        assert_eq!(sign_in(&issuer, "alice@example.com", PASSWORD).await.expect("it is right").id, user.id);
        let log = admin.get("/v1/changes?limit=1").await.ok();
        let change = &log["data"][0];
        assert_eq!((&change["actor"]["type"], &change["actor"]["name"]), (&json!("system"), &json!("sign-up page")));
        assert_eq!((&change["request_id"], &change["edits"][0]["id"]), (&json!("request-one"), &json!(user.id)));
        assert!(!log.to_string().to_lowercase().contains("alice"));

        let taken = sign_up(&issuer, "staging", "ALICE@example.com", "another planted password").await.expect_err("it is taken");
        assert!(matches!(taken, SignUpRefused::EmailTaken), "{taken:?}");
        admin.post("/v1/users", json!({ "id": "boss", "email": "Boss@example.com" })).await.ok();
        let taken = sign_up(&issuer, "staging", "boss@Example.com", PASSWORD).await.expect_err("it is somebody else's");
        assert!(matches!(taken, SignUpRefused::EmailTaken), "{taken:?}");
        let unfit = sign_up(&issuer, "staging", "bob@example.com", "short").await.expect_err("it is short");
        assert!(matches!(unfit, SignUpRefused::Password(Unfit::TooShort)));
        assert!(matches!(sign_up(&issuer, "staging", "bob", PASSWORD).await, Err(SignUpRefused::EmailInvalid)));
        let name = issuer.sign_up("staging", "bob@example.com", Some("a\0b"), &Secret::new(PASSWORD), HOME, "").await;
        assert!(matches!(name, Err(SignUpRefused::NameInvalid)));
        assert!(matches!(sign_up(&issuer, "production", "bob@example.com", PASSWORD).await, Err(SignUpRefused::Closed)));
        assert_eq!(admin.get("/v1/users").await.ok()["data"].as_array().expect("users").len(), 2, "nothing half done");

        let at_once = tokio::join!(
            sign_up(&issuer, "staging", "carol@example.com", PASSWORD),
            sign_up(&issuer, "staging", "Carol@example.com", PASSWORD),
        );
        assert!(matches!(at_once, (Ok(_), Err(SignUpRefused::EmailTaken)) | (Err(SignUpRefused::EmailTaken), Ok(_))), "{at_once:?}");
    }

    async fn who_has_shown_a_password_comes_in_only_while_it_is_the_users(engine: Engine) {
        let server = TestServer::start(engine).await;
        let (admin, issuer) = (server.admin(), server.issuer().await);
        admin.post("/v1/users", json!({ "id": "alice", "email": "alice@example.com", "password": PASSWORD })).await.ok();
        let client_id = admin.application("production").await;
        let application = issuer.client("production", &client_id, None, Surface::OAuth).await.expect("a client");
        let now = server.clock.now();
        let browser = async |by: &ByPassword| {
            issuer.sign_in_browser("production", &by.user.id, Method::Password, Some(&by.password), None).await
        };
        let session = async |by: &ByPassword| {
            let (user, password, origin) = (by.user.id.as_str(), Some(&by.password), Origin::default());
            let entrant = Entrant { user, organization: None, method: Method::Password, password, auth_time: now, origin };
            issuer.let_in(&application, &entrant, None).await
        };
        let shown = async |password: &str| {
            issuer.sign_in_by_password("alice@example.com", &Secret::new(password), HOME).await.expect("it is right")
        };
        let by = shown(PASSWORD).await;
        browser(&by).await.expect("it is hers");
        session(&by).await.expect("it is hers");
        // Between the look at the password and what comes of it. The same words again are another password: it was set anew.
        for next in [Value::Null, json!(PASSWORD), json!("planted password two")] {
            admin.patch("/v1/users/alice", json!({ "password": next })).await.ok();
            assert!(matches!(browser(&by).await, Err(SignInRefused::Wrong)), "{next}");
            assert!(matches!(session(&by).await, Err(Refused::Grant)), "{next}");
        }
        assert_eq!(server.database.texts("SELECT id FROM browsers").await, [""; 0]);
        assert_eq!(admin.get("/v1/sessions").await.ok()["data"], json!([]));
        let by = shown("planted password two").await;
        browser(&by).await.expect("it is hers");
        session(&by).await.expect("it is hers");
    }
}
