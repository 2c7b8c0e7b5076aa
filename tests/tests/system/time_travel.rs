//! Evaluation as of any moment: what the issuer would have said then, from the change log alone.

use flagbearer_server::clock::Clock;
use flagbearer_tests::{Api, BEGINNING, TestServer, on_both_engines};
use serde_json::{Value, json};

/// What `alice` in `org_a` gets in production, with more parameters.
async fn asked(admin: &Api, parameters: &str) -> Value {
    admin.get(&format!("/v1/evaluate?environment=production&user=alice&organization=org_a{parameters}")).await.ok()
}

fn revision(answer: &Value) -> i64 {
    answer["revision"].as_i64().expect("a revision")
}

/// A time so many seconds after the test began, as a query has it.
fn after(seconds: i64) -> String {
    BEGINNING.plus_seconds(seconds).to_string()
}

on_both_engines! {
    async fn every_kind_of_document_is_as_it_was_at_a_revision(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let condition = json!({ "organization": "plan", "equals": "enterprise" });
        let mut states: Vec<(i64, Value)> = Vec::new();
        admin.post("/v1/segments", json!({ "key": "big", "condition": condition })).await.ok();
        admin.flag("limit", "json", json!({ "n": 0, "f": 31.245270191439438 })).await;
        let organization = "/v1/flags/limit/organizations/org_a?environment=production";
        let setting = "/v1/flags/limit/environments/production";
        let rule = json!({ "audience": { "type": "some", "segments": ["big"] }, "serve": { "value": 2 } });
        for (method, path, body) in [
            ("patch", "/v1/flags/limit", json!({ "default_value": 1 })),
            ("put", setting, json!({ "enabled": true, "rules": [rule] })),
            ("post", "/v1/organizations", json!({ "id": "org_a", "attributes": { "plan": "enterprise" } })),
            ("patch", "/v1/organizations/org_a", json!({ "attributes": { "plan": "free" } })),
            ("put", "/v1/segments/big/organizations/org_a", json!({})),
            ("patch", "/v1/segments/big", json!({ "organizations": [], "users": [], "condition": null })),
            ("put", organization, json!({ "value": 3 })),
            ("put", "/v1/flags/limit/users/alice", json!({ "value": { "a": [4] } })),
            ("delete", "/v1/flags/limit/users/alice", Value::Null),
            ("delete", organization, Value::Null),
            ("put", setting, json!({ "enabled": true, "value": 5 })),
            ("put", setting, json!({ "enabled": false })),
            ("post", "/v1/flags/limit/archive", Value::Null),
            ("post", "/v1/flags/limit/restore", Value::Null),
            ("delete", "/v1/flags/limit?confirm=limit", Value::Null),
            ("post", "/v1/flags", json!({ "key": "limit", "type": "boolean", "default_value": true })),
        ] {
            let answer = match method {
                "patch" => admin.patch(path, body).await,
                "put" => admin.put(path, body).await,
                "post" => admin.post(path, body).await,
                _ => admin.delete(path).await,
            };
            let now = asked(&admin, "").await;
            assert_eq!(now["revision"], answer.ok()["revision"], "{method} {path}");
            states.push((revision(&now), now));
        }
        let values: Vec<&Value> = states.iter().map(|(_, state)| &state["flags"]["limit"]["value"]).collect();
        let expected = json!([1, 1, 2, 1, 2, 1, 3, { "a": [4] }, 3, 1, 5, 1, null, 1, null, true]);
        assert_eq!(json!(values), expected);
        for (revision, state) in &states {
            assert_eq!(asked(&admin, &format!("&revision={revision}")).await, *state);
        }
    }

    async fn a_second_has_its_own_changes_and_its_own_clock(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        server.clock.advance(10);
        admin.flag("f", "integer", json!(0)).await;
        server.clock.advance(10);
        let first = revision(&admin.patch("/v1/flags/f", json!({ "default_value": 1 })).await.ok());
        let second = revision(&admin.patch("/v1/flags/f", json!({ "default_value": 2 })).await.ok());
        server.clock.advance(10);
        let schedule = json!({ "from": after(60), "until": after(90) });
        let rule = json!({ "audience": { "type": "all" }, "serve": { "value": 9 }, "schedule": schedule });
        let scheduled = admin.put("/v1/flags/f/environments/production", json!({ "enabled": true, "rules": [rule] })).await.ok();
        server.clock.advance(10);

        for (seconds, value, at_revision) in [
            (15, json!(0), first - 1),
            (20, json!(2), second),
            (29, json!(2), second),
            (30, json!(2), revision(&scheduled)),
            (60, json!(9), revision(&scheduled)),
            (89, json!(9), revision(&scheduled)),
            (90, json!(2), revision(&scheduled)),
        ] {
            let found = asked(&admin, &format!("&at={}", after(seconds))).await;
            assert_eq!((&found["flags"]["f"]["value"], &found["revision"]), (&value, &json!(at_revision)), "after {seconds} s");
            assert_eq!(found["at"], after(seconds));
        }
        assert_eq!(asked(&admin, &format!("&at={}", after(0))).await["flags"], json!({}), "before the flag was made");
        let between = asked(&admin, &format!("&revision={first}")).await;
        assert_eq!((&between["flags"]["f"]["value"], &between["at"]), (&json!(1), &json!(after(40))), "the clock is now");
        let then = asked(&admin, &format!("&revision={}&at={}", revision(&scheduled), after(75))).await;
        assert_eq!(then["flags"]["f"]["value"], 9);
        let finer = asked(&admin, "&at=2027-01-15T09:00:20.999%2B01:00").await;
        assert_eq!((&finer["flags"]["f"]["value"], &finer["at"]), (&json!(2), &json!(after(20))));
    }

    async fn the_revision_is_the_environments_own(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let made = revision(&admin.flag("f", "boolean", json!(false)).await);
        let staging = admin.put("/v1/flags/f/environments/staging", json!({ "enabled": true, "value": true })).await.ok();
        admin.key("viewer", Some("production")).await;
        admin.key("viewer", None).await;
        let key_made = made + 3;
        assert_eq!(revision(&asked(&admin, &format!("&revision={}", revision(&staging))).await), made);
        assert_eq!(revision(&asked(&admin, &format!("&revision={key_made}")).await), made);
        assert_eq!(revision(&asked(&admin, "").await), made);
        let there = admin.get(&format!("/v1/evaluate?environment=staging&revision={key_made}")).await.ok();
        assert_eq!((&there["revision"], &there["flags"]["f"]["value"]), (&staging["revision"], &json!(true)));
    }

    async fn an_environment_is_there_from_its_creation_to_its_deletion(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "integer", json!(0)).await;
        let at = |revision: i64| format!("/v1/evaluate?environment=trial&organization=org_a&revision={revision}");
        let value = async |revision: i64| admin.get(&at(revision)).await.ok()["flags"]["f"]["value"].clone();
        let made = revision(&admin.post("/v1/environments", json!({ "name": "trial" })).await.ok());
        let set = json!({ "enabled": true, "value": 1 });
        let set = revision(&admin.put("/v1/flags/f/environments/trial", set).await.ok());
        let path = "/v1/flags/f/organizations/org_a?environment=trial";
        let overridden = revision(&admin.put(path, json!({ "value": 2 })).await.ok());
        let gone = revision(&admin.delete("/v1/environments/trial?confirm=trial").await.ok());
        assert_eq!(value(made).await, 0);
        assert_eq!(value(set).await, 1);
        assert_eq!(value(overridden).await, 2);
        admin.get(&at(gone)).await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.get(&at(made - 1)).await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.get("/v1/evaluate?environment=trial").await.refused(404, "ENVIRONMENT_NOT_FOUND");
    }

    async fn moments_that_cannot_be_are_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let last = revision(&admin.flag("f", "boolean", json!(false)).await);
        let path = |parameters: &str| format!("/v1/evaluate?environment=production{parameters}");
        for (parameters, status, code) in [
            (format!("&revision={}", last + 1), 422, "REVISION_UNKNOWN"),
            ("&revision=0".to_owned(), 422, "REVISION_UNKNOWN"),
            ("&revision=-3".to_owned(), 422, "REVISION_UNKNOWN"),
            ("&revision=9223372036854775807".to_owned(), 422, "REVISION_UNKNOWN"),
            ("&revision=9223372036854775808".to_owned(), 400, "PARAMETER_INVALID"),
            ("&revision=two".to_owned(), 400, "PARAMETER_INVALID"),
            ("&revision=".to_owned(), 400, "PARAMETER_INVALID"),
            (format!("&at={}", after(-1)), 422, "REVISION_UNKNOWN"),
            ("&at=yesterday".to_owned(), 422, "TIME_INVALID"),
            (format!("&revision={last}&at=yesterday"), 422, "TIME_INVALID"),
        ] {
            admin.get(&path(&parameters)).await.refused(status, code);
        }
        admin.get("/v1/evaluate?environment=nope&revision=1").await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.get(&path(&format!("&revision={last}"))).await.ok();
        admin.get(&path("&at=2999-01-01T00:00:00Z")).await.ok();
        let bound = server.api(&admin.key("viewer", Some("staging")).await);
        bound.get(&path("&revision=1")).await.refused(403, "FORBIDDEN");
        assert_eq!(server.clock.now(), BEGINNING);
    }
}
