//! Users' addresses and passwords: what is accepted, and what a change of them ends.

use flagbearer_tests::{Api, SignedIn, TestServer, on_both_engines};
use serde_json::{Value, json};

const PASSWORD: &str = "planted password one";

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
        "INSERT INTO browsers (hash, environment, user_id, method, auth_time, expires_at) \
         VALUES ('{user} {environment}', '{environment}', '{user}', 'password', 0, 9000000000000)"
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
        for change in [json!({ "password": "another password" }), json!({ "password": null })] {
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
}
