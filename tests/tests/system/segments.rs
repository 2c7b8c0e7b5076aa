//! `/v1/segments`: audiences with a name, and what their edits do to the flags that name them.

use flagbearer_tests::{Api, SignedIn, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

/// A boolean flag that both environments serve `true` to a segment.
async fn flag_for(admin: &Api, segment: &str) {
    admin.flag("f", "boolean", json!(false)).await;
    for environment in ["production", "staging"] {
        let targeting = json!({ "audience": "some", "segments": [segment] });
        admin.put(&format!("/v1/flags/f/environments/{environment}/targeting"), targeting).await.ok();
    }
}

on_both_engines! {
    async fn a_segment_is_created_read_patched_and_deleted(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let condition = json!({ "all": [
            { "organization": "plan", "equals": "enterprise" },
            { "not": { "user": "email", "ends_with": "@example.com" } },
        ] });
        let segment = json!({ "key": "enterprise", "users": ["b", "a"], "organizations": ["org_xyz789"], "condition": condition });
        let answer = admin.post("/v1/segments", segment.clone()).await;
        assert_eq!(answer.status, 201);
        let created = answer.ok();
        assert_eq!(created["effect"], "unchanged");
        let read = admin.get("/v1/segments/enterprise").await;
        assert_eq!(read.header("etag"), format!("\"{}\"", created["revision"]));
        let expected = json!({ "key": "enterprise", "name": "enterprise", "users": ["a", "b"], "organizations": ["org_xyz789"],
            "condition": condition, "revision": created["revision"] });
        assert_eq!(read.ok(), expected);
        admin.post("/v1/segments", segment).await.refused(409, "SEGMENT_EXISTS");

        let patched = admin.patch("/v1/segments/enterprise", json!({ "name": "Enterprise", "users": ["c"] })).await.ok();
        assert_eq!((&patched["users"], &patched["condition"]), (&json!(["c"]), &condition));
        let nothing = json!({ "name": null, "users": null, "organizations": null, "condition": null });
        let reset = admin.patch("/v1/segments/enterprise", nothing).await.ok();
        assert_eq!((&reset["name"], &reset["users"], &reset["condition"]), (&json!("enterprise"), &json!([]), &Value::Null));
        admin.patch("/v1/segments/enterprise", json!({ "key": "other" })).await.refused(422, "IMMUTABLE");
        assert_eq!(admin.delete("/v1/segments/enterprise").await.ok()["effect"], "unchanged");
        admin.get("/v1/segments/enterprise").await.refused(404, "SEGMENT_NOT_FOUND");
    }

    async fn segments_are_listed_page_by_page(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for key in ["b", "a", "C"] {
            admin.post("/v1/segments", json!({ "key": key })).await.ok();
        }
        let first = admin.get("/v1/segments?limit=2").await.ok();
        let keys = |page: &Value| page["data"].as_array().expect("data").iter().map(|one| one["key"].clone()).collect::<Vec<_>>();
        assert_eq!(keys(&first), ["C", "a"]);
        let second = admin.get(&format!("/v1/segments?limit=2&cursor={}", first["next_cursor"].as_str().expect("a cursor"))).await.ok();
        assert_eq!((keys(&second), &second["next_cursor"]), (vec![json!("b")], &Value::Null));
    }

    async fn listing_and_unlisting_one_subject_reaches_the_flags_of_every_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/segments", json!({ "key": "beta" })).await.ok();
        flag_for(&admin, "beta").await;
        let application = admin.application("staging").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", Some("org_a")).await;
        for path in ["/v1/segments/beta/users/alice", "/v1/segments/beta/organizations/org_a"] {
            assert_eq!(admin.put(path, json!({})).await.ok()["effect"], "widened");
            assert_eq!(alice.refreshed_flag("f").await, true);
            assert_eq!(admin.value("production", "alice", "org_a", "f").await, true);
            assert_eq!(admin.put(path, json!({})).await.ok()["effect"], "unchanged");
            let removed = admin.delete(path).await;
            assert_eq!(removed.status, 200);
            assert_eq!(removed.ok()["effect"], "narrowed");
            assert_eq!(alice.refreshed_flag("f").await, false);
        }
        let edits = json!({ "users": ["alice"], "organizations": [] });
        assert_eq!(admin.patch("/v1/segments/beta", edits).await.ok()["effect"], "widened");
        assert_eq!(admin.patch("/v1/segments/beta", json!({ "users": ["bob"] })).await.ok()["effect"], "mixed");
    }

    async fn holdouts_of_a_segments_edit_are_answered(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/segments", json!({ "key": "beta" })).await.ok();
        flag_for(&admin, "beta").await;
        admin.put("/v1/flags/f/users/alice", json!({ "value": false, "note": "opted out" })).await.ok();
        let added = admin.put("/v1/segments/beta/organizations/org_a", json!({})).await.ok();
        assert_eq!(added["effect"], "widened");
        assert_eq!((&added["holdouts"][0]["user"], &added["holdouts"][0]["note"]), (&json!("alice"), &json!("opted out")));
    }

    async fn attributes_decide_and_their_edits_say_so(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let condition = json!({ "organization": "plan", "equals": "enterprise" });
        admin.post("/v1/segments", json!({ "key": "enterprise", "condition": condition })).await.ok();
        flag_for(&admin, "enterprise").await;
        let application = admin.application("production").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", Some("org_a")).await;
        let plan = async |plan: &str| {
            admin.patch("/v1/organizations/org_a", json!({ "attributes": { "plan": plan } })).await.ok()["effect"].clone()
        };
        assert_eq!(plan("free").await, "unchanged");
        assert_eq!(alice.refreshed_flag("f").await, false);
        let gained = plan("enterprise").await;
        assert!(gained == "widened" || gained == "mixed", "never called narrowed or unchanged: {gained}");
        assert_eq!(alice.refreshed_flag("f").await, true);
        assert_eq!(plan("enterprise").await, "unchanged");
        let lost = plan("free").await;
        assert!(lost == "narrowed" || lost == "mixed", "{lost}");
        assert_eq!(alice.refreshed_flag("f").await, false);

        let broader = json!({ "condition": { "organization": "plan", "in": ["enterprise", "free"] } });
        let answer = admin.patch("/v1/segments/enterprise", broader).await.ok();
        assert_eq!(answer["effect"], "mixed", "conditions are not compared, and never guessed");
        assert_eq!(alice.refreshed_flag("f").await, true);
    }

    async fn every_operator_tests_its_attribute(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let attributes = json!({ "email": "alice@acme.test", "seats": 7, "beta": true, "tags": ["red", "blue"],
            "version": "2.3.0", "joined": "2026-05-01T00:00:00Z" });
        admin.post("/v1/users", json!({ "id": "alice", "attributes": attributes })).await.ok();
        admin.post("/v1/segments", json!({ "key": "tested" })).await.ok();
        flag_for(&admin, "tested").await;
        for (condition, expected) in [
            (json!({ "user": "beta", "equals": true }), true),
            (json!({ "user": "beta", "equals": "true" }), false),
            (json!({ "user": "seats", "in": [1, 7] }), true),
            (json!({ "user": "tags", "in": ["red"] }), false),
            (json!({ "user": "tags", "contains": "red" }), true),
            (json!({ "user": "email", "contains": "@acme" }), true),
            (json!({ "user": "email", "starts_with": "Alice" }), false),
            (json!({ "user": "email", "ends_with": ".test" }), true),
            (json!({ "user": "email", "matches": "^[a-z]+@" }), true),
            (json!({ "user": "seats", "less": 7 }), false),
            (json!({ "user": "seats", "less_or_equal": 7 }), true),
            (json!({ "user": "seats", "greater": 6.5 }), true),
            (json!({ "user": "seats", "greater_or_equal": 8 }), false),
            (json!({ "user": "version", "semver": ">=2.1.0" }), true),
            (json!({ "user": "joined", "before": "2027-01-01T00:00:00Z" }), true),
            (json!({ "user": "joined", "after": "2027-01-01T00:00:00Z" }), false),
            (json!({ "user": "missing", "exists": false }), true),
            (json!({ "user": "missing", "equals": 1 }), false),
            (json!({ "not": { "user": "missing", "equals": 1 } }), true),
            (json!({ "any": [{ "user": "beta", "equals": false }, { "user": "seats", "equals": 7 }] }), true),
            (json!({ "all": [{ "user": "beta", "equals": false }, { "user": "seats", "equals": 7 }] }), false),
        ] {
            admin.patch("/v1/segments/tested", json!({ "condition": condition })).await.ok();
            assert_eq!(admin.value("production", "alice", "", "f").await, expected, "{condition}");
        }
    }

    async fn a_condition_that_cannot_be_is_refused_at_its_place(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (condition, status, code) in [
            (json!({ "user": "a", "resembles": "b" }), 400, "MEMBER_UNKNOWN"),
            (json!({ "user": "a", "equals": 1, "less": 2 }), 422, "CONDITION_INVALID"),
            (json!({ "user": "a", "matches": "(" }), 422, "CONDITION_INVALID"),
            (json!({ "user": "a", "matches": "x".repeat(257) }), 422, "CONDITION_INVALID"),
            (json!({ "user": "a", "semver": "^1" }), 422, "CONDITION_INVALID"),
            (json!({ "user": "a", "before": "yesterday" }), 422, "TIME_INVALID"),
        ] {
            let problem = admin.post("/v1/segments", json!({ "key": "s", "condition": condition })).await;
            let problem = problem.refused(status, code);
            assert!(problem["errors"][0]["pointer"].as_str().is_some_and(|place| place.starts_with("/condition")), "{problem}");
        }
    }

    async fn a_segment_in_use_is_not_deleted(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/segments", json!({ "key": "beta" })).await.ok();
        flag_for(&admin, "beta").await;
        let problem = admin.delete("/v1/segments/beta").await.refused(409, "SEGMENT_IN_USE");
        let listing = json!([{ "flag": "f", "environment": "production" }, { "flag": "f", "environment": "staging" }]);
        assert_eq!(problem["listing"], listing);
        admin.delete("/v1/flags/f?confirm=f").await.ok();
        admin.delete("/v1/segments/beta").await.ok();
    }

    async fn a_segment_over_another_revision_is_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/segments", json!({ "key": "beta" })).await.ok();
        let seen = admin.get("/v1/segments/beta").await.header("etag").to_owned();
        let send = async |method: Method, path: &str| {
            admin.send(admin.request(method, path).header("if-match", &seen).json(&json!({}))).await
        };
        send(Method::PUT, "/v1/segments/beta/users/alice").await.ok();
        send(Method::PATCH, "/v1/segments/beta").await.refused(412, "REVISION_MISMATCH");
        send(Method::DELETE, "/v1/segments/beta/users/alice").await.refused(412, "REVISION_MISMATCH");
        send(Method::DELETE, "/v1/segments/beta").await.refused(412, "REVISION_MISMATCH");
    }
}
