//! Organizations, users and memberships.

use flagbearer_tests::{SignedIn, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

on_both_engines! {
    async fn organizations_and_users_are_created_read_patched_and_listed(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (list, taken, missing, standard_name) in [
            ("/v1/organizations", "ORGANIZATION_EXISTS", "ORGANIZATION_NOT_FOUND", json!("b")),
            ("/v1/users", "USER_EXISTS", "USER_NOT_FOUND", Value::Null),
        ] {
            let answer = admin.post(list, json!({ "id": "b", "attributes": { "plan": "free", "seats": 3 } })).await;
            assert_eq!(answer.status, 201);
            let created = answer.ok();
            assert_eq!(created["effect"], "unchanged");
            admin.post(list, json!({ "id": "b" })).await.refused(409, taken);
            let path = format!("{list}/b");
            let read = admin.get(&path).await;
            assert_eq!(read.header("etag"), format!("\"{}\"", created["revision"]));
            let read = read.ok();
            assert_eq!((&read["id"], &read["name"], &read["created_at"]), (&json!("b"), &standard_name, &json!("2027-01-15T08:00:00Z")));
            assert_eq!(read["attributes"], json!({ "plan": "free", "seats": 3 }));

            let patched = admin.patch(&path, json!({ "name": "Bee", "attributes": { "plan": "pro" } })).await.ok();
            assert_eq!((&patched["name"], &patched["attributes"]), (&json!("Bee"), &json!({ "plan": "pro" })), "replaced whole");
            let reset = admin.patch(&path, json!({ "name": null, "attributes": null })).await.ok();
            assert_eq!((&reset["name"], &reset["attributes"]), (&standard_name, &json!({})));
            admin.patch(&path, json!({ "id": "c" })).await.refused(422, "IMMUTABLE");
            let stale = admin.request(Method::PATCH, &path).header("if-match", "\"1\"").json(&json!({}));
            admin.send(stale).await.refused(412, "REVISION_MISMATCH");
            for (attributes, place) in [
                (json!({ "plan": null }), "/attributes/plan"),
                (json!({ "plan": { "name": "free" } }), "/attributes/plan"),
                (json!({ "tags": ["a", 1] }), "/attributes/tags/1"),
                (json!({ "n": 9_007_199_254_740_992_i64 }), "/attributes/n"),
                (json!({ "a/b": "\0" }), "/attributes/a~1b"),
            ] {
                let problem = admin.patch(&path, json!({ "attributes": attributes })).await.refused(422, "ATTRIBUTE_INVALID");
                assert_eq!(problem["errors"][0]["pointer"], place);
            }
            for id in ["", "a\u{1}", &"x".repeat(256)] {
                let problem = admin.post(list, json!({ "id": id })).await.refused(422, "ID_INVALID");
                assert_eq!(problem["errors"][0]["pointer"], "/id");
            }

            for id in ["a/b", "ü", "C"] {
                admin.post(list, json!({ "id": id })).await.ok();
            }
            let ids = |page: &Value| page["data"].as_array().expect("data").iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
            let first = admin.get(&format!("{list}?limit=2")).await.ok();
            assert_eq!((ids(&first), &first["next_cursor"]), (vec![json!("C"), json!("a/b")], &json!("a/b")));
            let second = admin.get(&format!("{list}?limit=3&cursor=a%2Fb")).await.ok();
            assert_eq!((ids(&second), &second["next_cursor"]), (vec![json!("b"), json!("ü")], &Value::Null));
            assert_eq!(admin.get(&format!("{list}/a%2Fb")).await.ok()["id"], "a/b");
            assert_eq!(admin.delete(&format!("{list}/%C3%BC")).await.status, 200);
            admin.get(&format!("{list}/%C3%BC")).await.refused(404, missing);
        }
        let emailed = json!({ "id": "alice", "email": "alice@example.com", "name": "Alice" });
        assert_eq!(admin.post("/v1/users", emailed).await.ok()["email"], "alice@example.com");
        assert_eq!(admin.patch("/v1/users/alice", json!({ "email": null })).await.ok()["email"], Value::Null);
    }

    async fn a_membership_puts_roles_and_permissions_into_the_token(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", Some("org_a")).await;
        let path = "/v1/organizations/org_a/members/alice";
        let bare = admin.get(path).await.ok();
        assert_eq!((&bare["roles"], &bare["permissions"]), (&json!([]), &json!([])), "the session made it");
        let given = json!({ "roles": ["owner", "admin", "owner"], "permissions": ["reports:view"] });
        let written = admin.put(path, given).await.ok();
        assert_eq!((&written["roles"], &written["effect"]), (&json!(["admin", "owner"]), &json!("unchanged")));
        alice.refresh().await;
        assert_eq!(alice.tokens["flags_rev"], written["revision"]);
        let claims = |flags: flagbearer::flag_set::FlagSet| -> Value { serde_json::from_str(flags.claims()).expect("claims") };
        let found = claims(alice.verified(flagbearer_tests::BEGINNING).await);
        assert_eq!((&found["roles"], &found["permissions"]), (&json!(["admin", "owner"]), &json!(["reports:view"])));
        admin.put(path, json!({ "permissions": [] })).await.ok();
        alice.refresh().await;
        let found = claims(alice.verified(flagbearer_tests::BEGINNING).await);
        assert_eq!((found.get("roles"), found.get("permissions")), (None, None), "replaced whole");

        admin.put("/v1/organizations/org_a/members/nobody", json!({})).await.refused(404, "USER_NOT_FOUND");
        admin.put("/v1/organizations/nowhere/members/alice", json!({})).await.refused(404, "ORGANIZATION_NOT_FOUND");
        for user in ["bob", "carol"] {
            admin.post("/v1/users", json!({ "id": user })).await.ok();
            admin.send(admin.request(Method::PUT, &format!("/v1/organizations/org_a/members/{user}"))).await.ok();
        }
        let page = admin.get("/v1/organizations/org_a/members?limit=2").await.ok();
        assert_eq!((&page["data"][1]["user"], &page["next_cursor"]), (&json!("bob"), &json!("bob")));
        let rest = admin.get("/v1/organizations/org_a/members?limit=2&cursor=bob").await.ok();
        assert_eq!(rest["data"][0]["user"], "carol");
        let stale = admin.request(Method::PUT, "/v1/organizations/org_a/members/bob").header("if-match", "\"1\"");
        admin.send(stale.json(&json!({}))).await.refused(412, "REVISION_MISMATCH");
        admin.post("/v1/users", json!({ "id": "dave" })).await.ok();
        let not_there = admin.request(Method::PUT, "/v1/organizations/org_a/members/dave").header("if-match", "\"1\"");
        admin.send(not_there.json(&json!({}))).await.refused(412, "REVISION_MISMATCH");
    }

    async fn who_leaves_an_organization_loses_the_sessions_there(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let leaving = admin.session(&application, "alice", Some("org_a")).await;
        let mut elsewhere = SignedIn::start(&admin, &application, "alice", Some("org_b")).await;
        let mut other = SignedIn::start(&admin, &application, "bob", Some("org_a")).await;
        assert_eq!(admin.delete("/v1/organizations/org_a/members/alice").await.status, 200);
        admin.delete("/v1/organizations/org_a/members/alice").await.refused(404, "MEMBERSHIP_NOT_FOUND");
        let token = leaving["refresh_token"].as_str().expect("a token");
        admin.refresh("", &application, token).await.denied(400, "invalid_grant");
        elsewhere.refresh().await;
        other.refresh().await;
        let strict = json!({ "application": application, "user": "alice", "organization": "org_a", "strict": true });
        admin.post("/v1/sessions", strict).await.refused(403, "NOT_A_MEMBER");
    }

    async fn deleting_a_subject_takes_its_overrides_and_sessions_and_says_so(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let application = admin.application("production").await;
        for (subject, value, other) in [
            ("/v1/users/alice", "/v1/flags/f/users/alice", "bob"),
            ("/v1/organizations/org_a", "/v1/flags/f/organizations/org_a?environment=production", "carol"),
        ] {
            let ended = admin.session(&application, "alice", Some("org_a")).await;
            let mut stays = SignedIn::start(&admin, &application, other, Some("org_b")).await;
            admin.put(value, json!({ "value": true })).await.ok();
            assert_eq!(admin.value("production", "alice", "org_a", "f").await, true);
            let deleted = admin.delete(subject).await;
            assert_eq!(deleted.status, 200);
            assert_eq!(deleted.ok()["effect"], "narrowed", "{subject}");
            admin.delete(value).await.refused(404, "OVERRIDE_NOT_FOUND");
            let token = ended["refresh_token"].as_str().expect("a token");
            admin.refresh("", &application, token).await.denied(400, "invalid_grant");
            stays.refresh().await;
            admin.session(&application, "alice", Some("org_a")).await;
            assert_eq!(admin.value("production", "alice", "org_a", "f").await, false, "nothing comes back with the id");
        }
    }

    async fn the_log_holds_no_name_and_no_address(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/users", json!({ "id": "u1", "email": "planted@example.com", "name": "Planted Name" })).await.ok();
        admin.patch("/v1/users/u1", json!({ "email": "planted2@example.com" })).await.ok();
        admin.post("/v1/organizations", json!({ "id": "o1", "name": "Planted Inc" })).await.ok();
        admin.delete("/v1/users/u1").await.ok();
        let log = admin.get("/v1/changes?limit=200").await.text.to_lowercase();
        assert!(!log.contains("planted@") && !log.contains("planted2@") && !log.contains("planted name") && !log.contains("planted inc"));
    }
}
