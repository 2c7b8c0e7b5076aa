//! Claim budgets: what an application's claim could become is known, and nothing makes it too large unsaid.

use flagbearer_tests::{Answer, Api, TestServer, on_both_engines};
use serde_json::{Value, json};

/// An application of a profile, and its claim budget.
async fn application(admin: &Api, environment: &str, profile: &str, claim_budget: i64) -> String {
    let document = json!({
        "name": "app", "environment": environment, "profile": profile, "public": true, "claim_budget": claim_budget,
    });
    admin.post("/v1/applications", document).await.ok()["client_id"].as_str().expect("a client id").to_owned()
}

async fn shown(admin: &Api, application: &str) -> Value {
    admin.get(&format!("/v1/applications/{application}")).await.ok()
}

async fn worst_case(admin: &Api, application: &str) -> i64 {
    shown(admin, application).await["worst_case"].as_i64().expect("a size")
}

/// Checks that a write was refused for these sizes, and that nothing of it was done.
#[track_caller]
fn exceeded(answer: Answer, expected: Value) {
    let problem = answer.refused(422, "CLAIM_BUDGET_EXCEEDED");
    let listing = problem["listing"].as_array().expect("a listing");
    let sizes: Vec<Value> =
        listing.iter().map(|one| json!([one["former_worst_case"], one["worst_case"], one["claim_budget"]])).collect();
    assert_eq!(json!(sizes), expected, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("?confirm=claim-budget")));
}

/// The bytes of `{"text":{"t":"s","v":"…"}}` with a value of so many letters.
fn size(letters: i64) -> i64 {
    r#"{"text":{"t":"s","v":""}}"#.len() as i64 + letters
}

fn letters(count: i64) -> String {
    "x".repeat(usize::try_from(count).expect("a number"))
}

on_both_engines! {
    async fn what_raises_a_worst_case_above_the_budget_is_refused_at_every_level_unless_confirmed(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let budget = size(100);
        let client = application(&admin, "production", "flagbearer", budget).await;
        assert_eq!(worst_case(&admin, &client).await, "{}".len() as i64);
        let flag = |letters_of: i64| json!({ "key": "text", "type": "string", "default_value": letters(letters_of) });
        exceeded(admin.post("/v1/flags", flag(101)).await, json!([["{}".len(), size(101), budget]]));
        admin.get("/v1/flags/text").await.refused(404, "FLAG_NOT_FOUND");
        admin.post("/v1/flags", flag(10)).await.ok();
        assert_eq!(worst_case(&admin, &client).await, size(10));
        let over = || letters(101);
        let refused = json!([[size(10), size(101), budget]]);
        let setting = "/v1/flags/text/environments/production";
        let (organization, user) = ("/v1/flags/text/organizations/org_a?environment=production", "/v1/flags/text/users/ada");
        let rule = |serve: Value| json!({ "enabled": true, "rules": [{ "audience": { "type": "none" }, "serve": serve }] });
        let split = json!({ "split": { "by": "user", "variants": [
            { "name": "a", "value": "", "weight": 1 }, { "name": "b", "value": over(), "weight": 1 },
        ] } });
        exceeded(admin.patch("/v1/flags/text", json!({ "default_value": over() })).await, refused.clone());
        exceeded(admin.patch("/v1/flags/text", json!({ "off_value": over() })).await, refused.clone());
        exceeded(admin.put(setting, json!({ "enabled": true, "value": over() })).await, refused.clone());
        exceeded(admin.put(setting, rule(json!({ "value": over() }))).await, refused.clone());
        exceeded(admin.put(setting, rule(split)).await, refused.clone());
        exceeded(admin.put(organization, json!({ "value": over() })).await, refused.clone());
        exceeded(admin.put(user, json!({ "value": over() })).await, refused.clone());
        exceeded(admin.put(user, json!({ "value": over(), "expires_at": "2020-01-01T00:00:00Z" })).await, refused.clone());
        assert_eq!(worst_case(&admin, &client).await, size(10), "nothing of it was done");

        // Elsewhere there is room: another environment's settings are its own, a user's override is everywhere.
        let elsewhere = "/v1/flags/text/environments/staging";
        admin.put(elsewhere, json!({ "enabled": true, "value": over() })).await.ok();
        admin.put(user, json!({ "value": letters(100) })).await.ok();
        assert_eq!(worst_case(&admin, &client).await, budget);

        admin.put(&format!("{setting}?confirm=claim-budget"), json!({ "enabled": true, "value": letters(200) })).await.ok();
        assert_eq!(worst_case(&admin, &client).await, size(200));
        // Above the budget already: what raises nothing is no matter, what lowers it neither.
        admin.put(organization, json!({ "value": letters(200) })).await.ok();
        admin.put(setting, json!({ "enabled": true, "value": letters(150) })).await.ok();
        assert_eq!(worst_case(&admin, &client).await, size(200));
        admin.delete(organization).await.ok();
        assert_eq!(worst_case(&admin, &client).await, size(150));
        exceeded(admin.put(organization, json!({ "value": letters(151) })).await, json!([[size(150), size(151), budget]]));
        admin.patch(&format!("/v1/applications/{client}"), json!({ "name": "still above" })).await.ok();
    }

    async fn a_budget_is_of_one_application_in_its_own_dialect_and_projection(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let keys = application(&admin, "production", "workos", 20).await;
        let typed = application(&admin, "production", "kinde", 200).await;
        for key in ["first_key", "other_key"] {
            admin.flag(key, "boolean", json!(false)).await;
        }
        assert_eq!(worst_case(&admin, &keys).await, "[]".len() as i64, "neither can be true yet");
        admin.put("/v1/flags/first_key/users/ada", json!({ "value": true })).await.ok();
        assert_eq!(worst_case(&admin, &keys).await, r#"["first_key"]"#.len() as i64);
        admin.put("/v1/flags/other_key/users/ada", json!({ "value": false })).await.ok();
        let problem = admin.put("/v1/flags/other_key/users/ben", json!({ "value": true })).await;
        exceeded(problem, json!([[r#"["first_key"]"#.len(), r#"["first_key","other_key"]"#.len(), 20]]));
        assert_eq!(worst_case(&admin, &typed).await, r#"{"first_key":{"t":"b","v":false},"other_key":{"t":"b","v":false}}"#.len() as i64);

        // Fewer flags make room, and more take it.
        let path = format!("/v1/applications/{keys}");
        admin.patch(&path, json!({ "projection": { "flags": ["other_key"] } })).await.ok();
        admin.put("/v1/flags/other_key/users/ben", json!({ "value": true })).await.ok();
        exceeded(admin.patch(&path, json!({ "projection": "all" })).await, json!([[13, 25, 20]]));
        admin.patch(&path, json!({ "projection": "all", "claim_budget": 25 })).await.ok();
        let found = shown(&admin, &keys).await;
        assert_eq!((&found["worst_case"], &found["claim_budget"]), (&json!(25), &json!(25)));
        assert_eq!(found["largest_flags"], json!([{ "flag": "first_key", "bytes": 12 }, { "flag": "other_key", "bytes": 12 }]));
        // Another profile has another standard.
        let patched = admin.patch(&path, json!({ "profile": "flagbearer" })).await.ok();
        assert_eq!(patched["claim_budget"], 4000);
        assert_eq!(admin.patch(&path, json!({ "profile": "workos" })).await.ok()["claim_budget"], 1400);
        for claim_budget in [json!(1), json!(65_537)] {
            admin.patch(&path, json!({ "claim_budget": claim_budget })).await.refused(422, "VALUE_OUT_OF_RANGE");
        }
    }

    async fn tags_restoring_and_new_applications_count_as_raising(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("text", "string", json!(letters(50))).await;
        let document = json!({ "name": "app", "environment": "production", "public": true, "claim_budget": size(49) });
        exceeded(admin.post("/v1/applications", document.clone()).await, json!([[0, size(50), size(49)]]));
        let mut tagged = document.clone();
        tagged["projection"] = json!({ "tags": ["web"] });
        admin.post("/v1/applications", tagged).await.ok();
        let refused = json!([["{}".len(), size(50), size(49)]]);
        exceeded(admin.patch("/v1/flags/text", json!({ "tags": ["web"] })).await, refused.clone());
        admin.post("/v1/flags/text/archive", Value::Null).await.ok();
        admin.post("/v1/applications", document).await.ok();
        exceeded(admin.post("/v1/flags/text/restore", Value::Null).await, refused);
        admin.post("/v1/flags/text/restore?confirm=claim-budget", Value::Null).await.ok();
    }

    async fn a_batch_is_measured_as_one_change(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("text", "string", json!(letters(10))).await;
        let client = application(&admin, "production", "flagbearer", size(60)).await;
        for (user, length) in [("ada", 60), ("ben", 59), ("cid", 58)] {
            admin.put(&format!("/v1/flags/text/users/{user}"), json!({ "value": letters(length) })).await.ok();
        }
        let write = |method: &str, path: &str, body: Value| json!({ "method": method, "path": path, "body": body });
        let put = |user: &str, length: i64| write("PUT", &format!("/v1/flags/text/users/{user}"), json!({ "value": letters(length) }));
        let batch = async |writes: Vec<Value>, confirm: &str| {
            admin.post(&format!("/v1/batch{confirm}"), json!({ "comment": "several", "writes": writes })).await
        };
        // The longest goes, and another as long comes: nothing is raised.
        batch(vec![put("dot", 60), write("DELETE", "/v1/flags/text/users/ada", Value::Null)], "").await.ok();
        assert_eq!(worst_case(&admin, &client).await, size(60));
        // Up on the way, and down again before the end.
        batch(vec![put("ben", 99), put("cid", 1), put("ben", 60)], "").await.ok();
        exceeded(batch(vec![put("ben", 99), put("ben", 61)], "").await, json!([[size(60), size(61), size(60)]]));
        let raising = vec![put("eve", 1), write("DELETE", "/v1/flags/text/users/dot", Value::Null), put("ben", 1), put("cid", 61)];
        exceeded(batch(raising.clone(), "").await, json!([[size(60), size(61), size(60)]]));
        batch(raising, "?confirm=claim-budget").await.ok();
        assert_eq!(worst_case(&admin, &client).await, size(61));
        // One flag makes room for another.
        let other = json!({ "key": "other", "type": "string", "default_value": letters(20) });
        let swap = vec![write("POST", "/v1/flags/text/archive", Value::Null), write("POST", "/v1/flags", other)];
        batch(swap, "").await.ok();
        assert_eq!(worst_case(&admin, &client).await, size(20) + 1);
    }

    async fn issuing_never_fails_for_size_but_counts(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = application(&admin, "production", "flagbearer", size(10)).await;
        admin.flag("text", "string", json!("")).await;
        admin.put("/v1/flags/text/users/ada?confirm=claim-budget", json!({ "value": letters(11) })).await.ok();
        admin.put("/v1/flags/text/users/ben", json!({ "value": letters(10) })).await.ok();
        let mut tokens = admin.session(&client, "ada", None).await;
        for _ in 0..2 {
            tokens = admin.refreshed("", &client, &tokens).await;
            assert_eq!(tokens["feature_flags"]["text"]["v"], letters(11));
        }
        admin.session(&client, "ben", None).await;
        let found = shown(&admin, &client).await;
        assert_eq!((&found["issued_over_budget"], &found["worst_case"]), (&json!(3), &json!(size(11))));
    }
}
