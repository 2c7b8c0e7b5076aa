//! `/v1/flags/{flag}/environments/{environment}` and what stands below it.

use flagbearer_tests::{Api, SignedIn, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const SETTING: &str = "/v1/flags/f/environments/production";

fn all(value: Value) -> Value {
    json!({ "audience": { "type": "all" }, "serve": { "value": value } })
}

async fn rules(admin: &Api, rules: Value) -> Value {
    admin.put(SETTING, json!({ "enabled": true, "rules": rules })).await.ok()
}

on_both_engines! {
    async fn a_setting_is_replaced_whole_and_answered_as_written(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        admin.post("/v1/segments", json!({ "key": "enterprise" })).await.ok();
        let rule = json!({
            "description": "ten percent of enterprise",
            "audience": { "type": "some", "users": ["b", "a", "b"], "segments": ["enterprise"] },
            "rollout": { "by": "organization", "percentage": 12.345 },
            "serve": { "value": true },
            "schedule": { "from": "2027-01-04T00:00:00Z", "until": null, "steps": [{ "at": "2027-02-11T01:00:00+01:00", "percentage": 50 }] },
        });
        let answer = admin.put(SETTING, json!({ "enabled": true, "value": false, "rules": [rule] })).await;
        let tag = answer.header("etag").to_owned();
        let written = answer.ok();
        assert_eq!(tag, format!("\"{}\"", written["revision"]));
        let expected = json!([{
            "description": "ten percent of enterprise",
            "audience": { "type": "some", "users": ["a", "b"], "organizations": [], "segments": ["enterprise"] },
            "rollout": { "by": "organization", "percentage": 12.345 },
            "serve": { "value": true },
            "schedule": { "from": "2027-01-04T00:00:00Z", "until": null, "steps": [{ "at": "2027-02-11T00:00:00Z", "percentage": 50 }] },
        }]);
        assert_eq!(written["setting"], json!({ "enabled": true, "value": false, "rules": expected }));
        let read = admin.get(SETTING).await;
        assert_eq!(read.header("etag"), tag);
        let read = read.ok();
        assert_eq!((&read["rules"], &read["value"], &read["flag"], &read["type"]), (&expected, &json!(false), &json!("f"), &json!("boolean")));
        admin.put(SETTING, json!({ "enabled": true })).await.ok();
        let read = admin.get(SETTING).await.ok();
        assert_eq!((&read["rules"], &read["value"]), (&json!([]), &Value::Null));
    }

    async fn every_flags_setting_of_an_environment_is_listed(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for key in ["c", "a", "b", "archived"] {
            admin.flag(key, "boolean", json!(false)).await;
        }
        admin.post("/v1/flags/archived/archive", json!({})).await.ok();
        admin.put("/v1/flags/b/environments/production", json!({ "enabled": false })).await.ok();
        let first = admin.get("/v1/environments/production/flags?limit=2").await.ok();
        let second = admin.get("/v1/environments/production/flags?limit=2&cursor=b").await.ok();
        assert_eq!(first["next_cursor"], "b");
        assert_eq!(second["next_cursor"], Value::Null);
        let listed: Vec<_> = [&first, &second].iter().flat_map(|page| page["data"].as_array().expect("data"))
            .map(|setting| (setting["flag"].as_str().expect("a key"), setting["enabled"] == true)).collect();
        assert_eq!(listed, [("a", true), ("b", false), ("c", true)]);
    }

    async fn the_first_rule_that_holds_wins(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "string", json!("default")).await;
        let some = |audience: Value, value: &str| json!({ "audience": audience, "serve": { "value": value } });
        rules(&admin, json!([
            some(json!({ "type": "none" }), "nobody"),
            some(json!({ "type": "some", "users": ["alice"] }), "alice"),
            some(json!({ "type": "some", "organizations": ["org_a"] }), "org_a"),
        ])).await;
        assert_eq!(admin.evaluated("production", "alice", "org_a", "f").await, (json!("alice"), "TARGETING_MATCH".into()));
        assert_eq!(admin.value("production", "bob", "org_a", "f").await, "org_a");
        assert_eq!(admin.evaluated("production", "bob", "org_b", "f").await, (json!("default"), "DEFAULT".into()));
    }

    async fn a_schedule_opens_steps_and_closes_by_the_clock(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let application = admin.application("production").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", Some("org_a")).await;
        // The tests begin at 08:00:00.
        let mut scheduled = all(json!(true));
        scheduled["rollout"] = json!({ "by": "user", "percentage": 0 });
        scheduled["schedule"] = json!({ "from": "2027-01-15T08:01:00Z", "until": "2027-01-15T08:03:00Z",
            "steps": [{ "at": "2027-01-15T08:02:00Z", "percentage": 100 }] });
        let changed = rules(&admin, json!([scheduled])).await;
        assert_eq!(changed["holdouts"][0]["level"], "schedule");
        assert_eq!(changed["holdouts"][0]["opens_at"], "2027-01-15T08:02:00Z");
        let mut seen = Vec::new();
        for seconds in [59, 1, 59, 1, 59, 1] {
            server.clock.advance(seconds);
            seen.push(alice.refreshed_flag("f").await);
        }
        assert_eq!(seen, [false, false, false, true, true, false], "from and steps are inclusive, until is not");
    }

    async fn a_split_serves_each_user_one_variant_and_keeps_to_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "string", json!("default")).await;
        let variants = json!([{ "name": "a", "value": "A", "weight": 50 }, { "name": "b", "value": "B", "weight": 50 }]);
        let serve = json!({ "split": { "by": "user", "variants": variants } });
        rules(&admin, json!([{ "audience": { "type": "all" }, "serve": serve }])).await;
        let mut found = Vec::new();
        for number in 0..24 {
            let user = format!("user_{number}");
            let one = admin.evaluated("production", &user, "", "f").await;
            assert_eq!(one.1, "SPLIT");
            assert_eq!(admin.evaluated("production", &user, "org_a", "f").await, one);
            found.push(one.0);
        }
        assert!(found.contains(&json!("A")) && found.contains(&json!("B")), "{found:?}");
        let machine = admin.evaluated("production", "", "org_a", "f").await;
        assert_eq!(machine, (json!("default"), "DEFAULT".into()), "a machine has no user to split by");
    }

    async fn a_setting_that_cannot_be_is_refused_at_its_place(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let with = |member: &str, value: Value| {
            let mut rule = all(json!(true));
            rule[member] = value;
            json!({ "enabled": true, "rules": [all(json!(true)), rule] })
        };
        let split = |variants: Value| json!({ "split": { "by": "user", "variants": variants } });
        for (setting, code, pointer) in [
            (with("audience", json!({ "type": "some", "segments": ["a", "nope"] })), "SEGMENT_UNKNOWN", "/rules/1/audience/segments"),
            (with("audience", json!({ "type": "all", "users": ["a"] })), "AUDIENCE_INVALID", "/rules/1/audience/users"),
            (with("audience", json!({ "type": "none", "organizations": [] })), "AUDIENCE_INVALID", "/rules/1/audience/organizations"),
            (with("audience", json!({ "type": "most" })), "AUDIENCE_INVALID", "/rules/1/audience/type"),
            (with("audience", json!({ "type": "some", "users": ["a", ""] })), "ID_INVALID", "/rules/1/audience/users/1"),
            (with("rollout", json!({ "by": "user", "percentage": 100.001 })), "PERCENTAGE_INVALID", "/rules/1/rollout/percentage"),
            (with("rollout", json!({ "by": "user", "percentage": 0.0001 })), "PERCENTAGE_INVALID", "/rules/1/rollout/percentage"),
            (with("rollout", json!({ "by": "session", "percentage": 1 })), "VALUE_INVALID", "/rules/1/rollout/by"),
            (with("serve", split(json!([]))), "SPLIT_INVALID", "/rules/1/serve/split/variants"),
            (with("serve", split(json!([{ "name": "a", "value": true, "weight": 0 }]))), "SPLIT_INVALID", "/rules/1/serve/split/variants"),
            (with("schedule", json!({ "from": "2027-01-02T00:00:00Z", "until": "2027-01-01T00:00:00Z" })), "SCHEDULE_INVALID", "/rules/1/schedule/until"),
            (with("schedule", json!({ "from": "tomorrow" })), "TIME_INVALID", "/rules/1/schedule/from"),
            (with("schedule", json!({ "steps": [{ "at": "2027-01-01T00:00:00Z", "percentage": 5 }] })), "SCHEDULE_INVALID", "/rules/1/schedule/steps"),
            (json!({ "enabled": true, "rules": vec![all(json!(true)); 101] }), "LIMIT_EXCEEDED", "/rules"),
        ] {
            let problem = admin.put(SETTING, setting).await.refused(422, code);
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
        let targeting = json!({ "audience": "some", "segments": ["nope"] });
        let problem = admin.put(&format!("{SETTING}/targeting"), targeting).await.refused(422, "SEGMENT_UNKNOWN");
        assert_eq!(problem["errors"][0]["pointer"], "/segments");
        assert_eq!(admin.get(SETTING).await.ok()["rules"], json!([]));
    }

    async fn targeting_leaves_enabled_and_value_alone_and_asks_before_it_replaces_rules(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "string", json!("default")).await;
        let targeting = format!("{SETTING}/targeting");
        admin.put(SETTING, json!({ "enabled": false, "value": "environment" })).await.ok();
        let problem = admin.put(&targeting, json!({ "audience": "all" })).await.refused(400, "MEMBER_MISSING");
        assert_eq!(problem["errors"][0]["pointer"], "/value", "other types than boolean say what is served");
        let written = admin.put(&targeting, json!({ "audience": "all", "value": "x" })).await.ok();
        assert_eq!((&written["setting"]["enabled"], &written["setting"]["value"]), (&json!(false), &json!("environment")));
        assert_eq!(written["effect"], "unchanged", "it is disabled");
        assert_eq!(written["holdouts"][0]["level"], "disabled");

        let mut more = Vec::new();
        for (member, value) in [
            ("rollout", json!({ "by": "user", "percentage": 5 })),
            ("schedule", json!({ "from": "2027-01-01T00:00:00Z" })),
            ("serve", json!({ "split": { "by": "user", "variants": [{ "name": "a", "value": "A", "weight": 1 }] } })),
        ] {
            let mut rule = all(json!("x"));
            rule[member] = value;
            more.push(json!([rule]));
        }
        more.push(json!([all(json!("x")), all(json!("y"))]));
        for several in more {
            rules(&admin, several.clone()).await;
            let none = json!({ "audience": "none", "value": "x" });
            let problem = admin.put(&targeting, none.clone()).await.refused(409, "SETTING_HAS_RULES");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("?confirm=replace-rules")));
            admin.put(&format!("{targeting}/users/alice"), json!({})).await.refused(409, "SETTING_HAS_RULES");
            admin.delete(&format!("{targeting}/users/alice")).await.refused(409, "SETTING_HAS_RULES");
            let replaced = admin.put(&format!("{targeting}?confirm=replace-rules"), none).await.ok();
            assert_eq!(replaced["setting"]["rules"].as_array().map(Vec::len), Some(1), "{several}");
        }
        admin.put(SETTING, json!({ "enabled": true })).await.ok();
        let problem = admin.put(&format!("{targeting}/users/alice"), json!({})).await;
        problem.refused(422, "VALUE_INVALID");
    }

    async fn who_is_held_out_is_answered_with_the_effect(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let path = "/v1/flags/f/organizations/org_a?environment=production";
        admin.put(path, json!({ "value": false, "note": "asked us to wait", "expires_at": "2027-02-01T00:00:00Z" })).await.ok();
        admin.put("/v1/flags/f/users/bob", json!({ "value": false })).await.ok();
        let widened = rules(&admin, json!([all(json!(true))])).await;
        assert_eq!(widened["effect"], "widened");
        let holdouts = widened["holdouts"].as_array().expect("holdouts");
        assert_eq!(holdouts.len(), 2, "{holdouts:?}");
        let organization = holdouts.iter().find(|one| one["level"] == "organization").expect("the organization's");
        assert_eq!(organization["organization"], "org_a");
        assert_eq!((&organization["value"], &organization["note"]), (&json!(false), &json!("asked us to wait")));
        assert_eq!(organization["expires_at"], "2027-02-01T00:00:00Z");
        assert!(holdouts.iter().any(|one| one["level"] == "user" && one["user"] == "bob"));

        let narrowed = rules(&admin, json!([])).await;
        assert_eq!((&narrowed["effect"], &narrowed["holdouts"]), (&json!("narrowed"), &json!([])));
        let nobody = json!({ "audience": { "type": "some", "users": ["carol"] }, "serve": { "value": false } });
        let mixed = rules(&admin, json!([nobody, all(json!(true))])).await;
        assert_eq!(mixed["effect"], "widened");
        assert!(mixed["holdouts"].as_array().is_some_and(|held| held.iter().any(|one| one["level"] == "rule" && one["rule"] == 0)));
        let swapped = rules(&admin, json!([{ "audience": { "type": "some", "users": ["carol"] }, "serve": { "value": true } }])).await;
        assert_eq!(swapped["effect"], "mixed", "carol gains, everybody else loses");
    }

    async fn a_setting_over_another_revision_is_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let seen = admin.get(SETTING).await.header("etag").to_owned();
        let put = |path: &str, tag: &str, body: Value| admin.request(Method::PUT, path).header("if-match", tag).json(&body);
        admin.send(put(SETTING, &seen, json!({ "enabled": true }))).await.ok();
        admin.send(put(SETTING, &seen, json!({ "enabled": false }))).await.refused(412, "REVISION_MISMATCH");
        let targeting = format!("{SETTING}/targeting");
        admin.send(put(&targeting, &seen, json!({ "audience": "all" }))).await.refused(412, "REVISION_MISMATCH");
        let one = format!("{targeting}/users/alice");
        admin.send(put(&one, &seen, json!({}))).await.refused(412, "REVISION_MISMATCH");
        let now = admin.get(SETTING).await.header("etag").to_owned();
        admin.send(put(&one, &now, json!({}))).await.ok();
        assert_eq!(admin.value("production", "alice", "", "f").await, true);
    }
}
