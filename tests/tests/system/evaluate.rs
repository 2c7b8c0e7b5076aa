//! `/v1/evaluate`: the value that the issuer would put into a token now, with every level's part in it.

use flagbearer_tests::{TestServer, on_both_engines};
use serde_json::{Value, json};

on_both_engines! {
    async fn the_answer_equals_the_claim_that_is_issued(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (key, flag_type, value) in [
            ("b", "boolean", json!(false)), ("i", "integer", json!(1000)), ("s", "string", json!("control")),
            ("j", "json", json!({ "z": [1, 0.5], "a": null })), ("split", "string", json!("none")), ("rolled", "boolean", json!(false)),
        ] {
            admin.flag(key, flag_type, value).await;
        }
        let condition = json!({ "user": "level", "greater": 3 });
        admin.post("/v1/segments", json!({ "key": "seniors", "condition": condition })).await.ok();
        admin.post("/v1/users", json!({ "id": "user_2", "attributes": { "level": 5 } })).await.ok();
        let set = async |key: &str, rule: Value| {
            let setting = json!({ "enabled": true, "rules": [rule] });
            admin.put(&format!("/v1/flags/{key}/environments/production"), setting).await.ok();
        };
        set("b", json!({ "audience": { "type": "some", "segments": ["seniors"] }, "serve": { "value": true } })).await;
        let variants = json!([{ "name": "a", "value": "A", "weight": 1 }, { "name": "b", "value": "B", "weight": 2 }]);
        set("split", json!({ "audience": { "type": "all" }, "serve": { "split": { "by": "user", "variants": variants } } })).await;
        let half = json!({ "by": "organization", "percentage": 50 });
        set("rolled", json!({ "audience": { "type": "all" }, "rollout": half, "serve": { "value": true } })).await;
        admin.put("/v1/flags/i/users/user_1", json!({ "value": -5, "expires_at": "2027-01-15T08:01:00Z" })).await.ok();
        admin.put("/v1/flags/s/organizations/org_0?environment=production", json!({ "value": "chain" })).await.ok();
        let application = admin.application("production").await;
        for (user, organization) in [
            ("user_0", Some("org_0")), ("user_1", Some("org_1")), ("user_2", None), ("user_3", Some("org_3")), ("user_1", Some("org_0")),
        ] {
            for _ in 0..2 {
                let path = match organization {
                    Some(organization) => format!("/v1/evaluate?environment=production&user={user}&organization={organization}"),
                    None => format!("/v1/evaluate?environment=production&user={user}"),
                };
                let evaluated = admin.get(&path).await.ok();
                let issued = admin.session(&application, user, organization).await;
                assert_eq!(evaluated["revision"], issued["flags_rev"]);
                let claim = issued["feature_flags"].as_object().expect("the claim");
                let answer = evaluated["flags"].as_object().expect("flags");
                assert_eq!(claim.len(), answer.len());
                for (key, carried) in claim {
                    assert_eq!(carried["v"], answer[key]["value"], "{key} for {user} in {organization:?}");
                    assert!(answer[key]["type"].as_str().is_some_and(|name| carried["t"] == name[..1]), "{key}");
                }
                server.clock.advance(31);
            }
        }
    }

    async fn the_trace_shows_each_levels_part(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "string", json!("default")).await;
        let rules = json!([{ "audience": { "type": "some", "users": ["alice"] }, "serve": { "value": "rule" } }]);
        admin.put("/v1/flags/f/environments/production", json!({ "enabled": true, "value": "environment", "rules": rules })).await.ok();
        let path = "/v1/flags/f/organizations/org_a?environment=production";
        admin.put(path, json!({ "value": "organization" })).await.ok();
        let answer = admin.get("/v1/evaluate?environment=production&user=alice&organization=org_a").await.ok();
        assert_eq!((&answer["environment"], &answer["at"]), (&json!("production"), &json!("2027-01-15T08:00:00Z")));
        let found = &answer["flags"]["f"];
        assert_eq!((&found["type"], &found["value"], &found["reason"]), (&json!("string"), &json!("organization"), &json!("ORGANIZATION_OVERRIDE")));
        let trace: Vec<_> = found["trace"].as_array().expect("a trace").iter()
            .map(|step| (step["level"].as_str().expect("a level"), step["value"].clone(), step["won"] == true)).collect();
        assert_eq!(trace, [
            ("disabled", json!("default"), false), ("user", Value::Null, false), ("organization", json!("organization"), true),
            ("rule", json!("rule"), false), ("environment", json!("environment"), false), ("default", json!("default"), false),
        ]);
        assert!(found["trace"].as_array().expect("a trace").iter().all(|step| step["why"].as_str().is_some_and(|why| !why.is_empty())));
        let by_rule = admin.get("/v1/evaluate?environment=production&user=alice").await.ok();
        assert_eq!((&by_rule["flags"]["f"]["reason"], &by_rule["flags"]["f"]["rule"]), (&json!("TARGETING_MATCH"), &json!(0)));
    }

    async fn without_a_user_it_is_a_machine(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let rule = json!({ "audience": { "type": "all" }, "rollout": { "by": "user", "percentage": 100 }, "serve": { "value": true } });
        admin.put("/v1/flags/f/environments/production", json!({ "enabled": true, "rules": [rule] })).await.ok();
        assert_eq!(admin.value("production", "", "", "f").await, false, "a rollout by user does not reach it");
        assert_eq!(admin.value("production", "alice", "", "f").await, true);
        admin.put("/v1/flags/f/organizations/org_a?environment=production", json!({ "value": true })).await.ok();
        assert_eq!(admin.evaluated("production", "", "org_a", "f").await, (json!(true), "ORGANIZATION_OVERRIDE".into()));
        admin.get("/v1/evaluate?environment=production&user=").await.refused(422, "ID_INVALID");
    }

    async fn evaluating_changes_nothing(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let before = admin.revision("production").await;
        admin.get("/v1/evaluate?environment=production&user=nobody&organization=nowhere").await.ok();
        assert_eq!(admin.revision("production").await, before);
        admin.get("/v1/users/nobody").await.refused(404, "USER_NOT_FOUND");
    }
}
