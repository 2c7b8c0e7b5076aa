//! The API of WorkOS as its SDKs see it: feature flags, runtime payloads, users and organizations.

use std::collections::BTreeMap;

use flagbearer_tests::{Answer, Api, TestServer, on_both_engines};
use serde_json::{Value, json};

/// The slugs of a list.
fn slugs(list: &Value) -> Vec<&str> {
    assert_eq!(list["object"], "list");
    list["data"].as_array().expect("items").iter().map(|flag| flag["slug"].as_str().expect("a slug")).collect()
}

/// Checks that a refusal has the shape that WorkOS's SDKs read.
#[track_caller]
fn declined(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.body["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert_eq!(answer.body["errors"].is_array(), status == 400, "{}", answer.text);
    assert_ne!(answer.header("x-request-id"), "");
}

async fn bound(server: &TestServer, role: &str, environment: &str) -> Api {
    server.api(&server.admin().key(role, Some(environment)).await)
}

/// What version 1 says, evaluated as the Node SDK does it (`evaluate` in its evaluator).
fn on_in_node(payload: &Value, slug: &str, user: &str, organization: &str) -> Option<bool> {
    let flag = payload.get(slug)?;
    let targeted = |kind: &str, id: &str| {
        let targets = flag["targets"][kind].as_array().expect("targets");
        targets.iter().any(|target| target["id"] == id && target["enabled"] == true)
    };
    let on = targeted("users", user) || targeted("organizations", organization) || flag["default_value"] == true;
    Some(flag["enabled"] == true && on)
}

/// What version 2 says, evaluated as the Python SDK does it (`_CompiledFlag.evaluate`).
fn on_in_python(payload: &Value, slug: &str, user: &str, organization: &str) -> Option<bool> {
    let flag = payload["flags"].get(slug)?;
    if flag["enabled"] == false {
        return flag["off_value"].as_bool();
    }
    let ids = BTreeMap::from([("user", user), ("organization", organization)]);
    let matches = |condition: &Value| {
        let id = ids[condition["target_type"].as_str().expect("a target type")];
        condition["operator"] == "one_of" && condition["values"].as_array().expect("values").iter().any(|value| value == id)
    };
    let rules = flag["rules"].as_array().expect("rules");
    let rule = rules.iter().find(|rule| {
        let conditions = rule["conditions"].as_array().expect("conditions");
        !conditions.is_empty() && conditions.iter().all(matches)
    });
    rule.map_or(&flag["default_value"], |rule| &rule["value"]).as_bool()
}

on_both_engines! {
    async fn a_flag_has_every_member_that_the_sdks_insist_on(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let document = json!({
            "key": "snippet-synthesis", "type": "boolean", "default_value": false, "name": "Snippets",
            "description": "writes snippets", "owner": "ada@example.org", "tags": ["ai"],
        });
        let created = admin.post("/v1/flags", document).await.ok();
        let production = bound(&server, "viewer", "production").await;
        assert_eq!(production.get("/feature-flags/snippet-synthesis").await.ok(), json!({
            "object": "feature_flag", "id": created["id"], "slug": "snippet-synthesis", "name": "Snippets",
            "description": "writes snippets", "owner": { "email": "ada@example.org", "first_name": null, "last_name": null },
            "tags": ["ai"], "enabled": true, "default_value": false,
            "created_at": "2027-01-15T08:00:00Z", "updated_at": "2027-01-15T08:00:00Z",
        }));
        let targeting = "/v1/flags/snippet-synthesis/environments/production/targeting";
        admin.put(targeting, json!({ "audience": "all" })).await.ok();
        assert_eq!(production.get("/feature-flags/snippet-synthesis").await.ok()["default_value"], true);
        let staging = bound(&server, "viewer", "staging").await;
        assert_eq!(staging.get("/feature-flags/snippet-synthesis").await.ok()["default_value"], false);
    }

    async fn lists_are_paged_in_both_orders_and_hold_boolean_flags_alone(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let key = bound(&server, "viewer", "production").await;
        assert_eq!(slugs(&key.get("/feature-flags").await.ok()), Vec::<&str>::new());
        for (name, flag_type, value) in [
            ("e", "boolean", json!(false)), ("d", "boolean", json!(true)), ("text", "string", json!("true")),
            ("c", "boolean", json!(false)), ("b", "boolean", json!(false)), ("a", "boolean", json!(false)),
        ] {
            admin.flag(name, flag_type, value).await;
        }
        admin.post("/v1/flags/b/archive", json!({})).await.ok();
        assert_eq!(slugs(&key.get("/feature-flags").await.ok()), ["a", "c", "d", "e"], "the newest first");
        assert_eq!(slugs(&key.get("/feature-flags?order=asc").await.ok()), ["e", "d", "c", "a"]);

        let first = key.get("/feature-flags?limit=3&order=desc").await.ok();
        assert_eq!((slugs(&first), &first["list_metadata"]["before"]), (vec!["a", "c", "d"], &Value::Null));
        let after = first["list_metadata"]["after"].as_str().expect("there is more").to_owned();
        let second = key.get(&format!("/feature-flags?limit=3&order=desc&after={after}")).await.ok();
        assert_eq!((slugs(&second), &second["list_metadata"]["after"]), (vec!["e"], &Value::Null));
        let before = second["list_metadata"]["before"].as_str().expect("there was more");
        let back = key.get(&format!("/feature-flags?limit=2&order=desc&before={before}")).await.ok();
        assert_eq!(slugs(&back), ["c", "d"]);
        assert_ne!(back["list_metadata"]["before"], Value::Null);

        declined(&key.get("/feature-flags?after=nope").await, 400, "PARAMETER_INVALID");
        declined(&key.get("/feature-flags?order=sideways").await, 400, "PARAMETER_INVALID");
        declined(&key.get("/feature-flags?limit=0").await, 400, "PARAMETER_INVALID");
        declined(&key.get(&format!("/feature-flags?after={after}&before={after}")).await, 400, "PARAMETER_INVALID");
        declined(&key.get("/feature-flags?colour=red").await, 400, "PARAMETER_UNKNOWN");
        declined(&key.get("/feature-flags/text").await, 404, "FLAG_NOT_FOUND");
        declined(&key.get("/feature-flags/b").await, 404, "FLAG_NOT_FOUND");
    }

    async fn switching_and_targeting_are_the_operations_of_the_admin_api(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("beta", "boolean", json!(false)).await;
        let key = bound(&server, "editor", "production").await;
        let value = async |user: &str, organization: &str| admin.value("production", user, organization, "beta").await;

        let added = key.post("/feature-flags/beta/targets/user_ada", json!({})).await.ok();
        assert_eq!(added["effect"], "widened");
        key.post("/feature-flags/beta/targets/org_x", json!({})).await.ok();
        assert_eq!(value("user_ada", "org_y").await, true);
        assert_eq!(value("user_bob", "org_x").await, true);
        assert_eq!(value("user_bob", "org_y").await, false);
        assert_eq!(admin.value("staging", "user_ada", "org_x", "beta").await, false, "environments are independent");
        key.delete("/feature-flags/beta/targets/org_x").await.ok();
        assert_eq!(value("user_bob", "org_x").await, false);

        // Without the prefix that WorkOS gives its ids, whoever is known tells what it is.
        declined(&key.post("/feature-flags/beta/targets/carla", json!({})).await, 404, "SUBJECT_NOT_FOUND");
        admin.post("/v1/users", json!({ "id": "carla" })).await.ok();
        key.post("/feature-flags/beta/targets/carla", json!({})).await.ok();
        assert_eq!(value("carla", "").await, true);
        admin.post("/v1/organizations", json!({ "id": "carla" })).await.ok();
        declined(&key.post("/feature-flags/beta/targets/carla", json!({})).await, 409, "SUBJECT_AMBIGUOUS");

        let off = key.put("/feature-flags/beta/disable", json!({})).await.ok();
        assert_eq!((&off["object"], &off["enabled"]), (&json!("feature_flag"), &json!(false)));
        assert_eq!(value("user_ada", "").await, false);
        assert_eq!(key.put("/feature-flags/beta/enable", json!({})).await.ok()["enabled"], true);
        assert_eq!(value("user_ada", "").await, true, "what it serves stayed as it was");

        let change = &admin.get("/v1/changes?flag=beta&limit=1").await.ok()["data"][0];
        assert_eq!(change["actor"]["type"], "api_key");
        assert_eq!(change["actor"]["name"], "editor");
        let setting = admin.get("/v1/flags/beta/environments/production").await.ok();
        assert_eq!(setting["revision"], change["revision"]);
    }

    async fn a_retried_target_is_answered_from_memory(engine: Engine) {
        let server = TestServer::start(engine).await;
        server.admin().flag("beta", "boolean", json!(false)).await;
        let key = bound(&server, "editor", "production").await;
        let add = || key.request("POST".parse().expect("a method"), "/feature-flags/beta/targets/org_x").json(&json!({}));
        let first = key.send(add().header("idempotency-key", "retry-1")).await.ok();
        assert_eq!(key.send(add().header("idempotency-key", "retry-1")).await.ok(), first);
        assert_ne!(key.send(add().header("idempotency-key", "retry-2")).await.ok()["revision"], first["revision"]);
    }

    async fn flags_of_an_organization_and_of_a_user_are_those_that_are_on(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for flag in ["everybody", "ours", "hers", "theirs", "nobody", "disabled"] {
            admin.flag(flag, "boolean", json!(flag == "everybody" || flag == "disabled")).await;
        }
        admin.flag("text", "string", json!("on")).await;
        for (flag, targets) in [
            ("ours", json!({ "organizations": ["org_x"] })),
            ("hers", json!({ "users": ["user_ada"] })),
            ("theirs", json!({ "organizations": ["org_y"] })),
        ] {
            let mut targeting = targets;
            targeting["audience"] = json!("some");
            admin.put(&format!("/v1/flags/{flag}/environments/production/targeting"), targeting).await.ok();
        }
        admin.put("/v1/flags/disabled/environments/production", json!({ "enabled": false })).await.ok();
        let application = admin.application("production").await;
        admin.session(&application, "user_ada", Some("org_x")).await;
        admin.session(&application, "user_bob", Some("org_y")).await;

        let key = bound(&server, "application", "production").await;
        let mut of_organization = key.get("/organizations/org_x/feature-flags?order=asc").await.ok();
        assert_eq!(slugs(&of_organization), ["everybody", "ours"]);
        of_organization = key.get("/organizations/org_x/feature-flags?limit=1").await.ok();
        assert_eq!(slugs(&of_organization), ["ours"]);
        let of_user = key.get("/user_management/users/user_ada/feature-flags?order=asc").await.ok();
        assert_eq!(slugs(&of_user), ["everybody", "ours", "hers"], "alone, or in one of her organizations");
        declined(&key.get("/organizations/org_z/feature-flags").await, 404, "ORGANIZATION_NOT_FOUND");
        declined(&key.get("/user_management/users/user_z/feature-flags").await, 404, "USER_NOT_FOUND");
    }

    async fn runtime_clients_evaluate_to_what_the_issuer_serves(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/segments", json!({ "key": "listed", "users": ["user_a"], "organizations": ["org_b"] })).await.ok();
        let condition = json!({ "organization": "plan", "equals": "pro" });
        admin.post("/v1/segments", json!({ "key": "pro", "users": ["user_a"], "condition": condition })).await.ok();
        let some = |users: Value, organizations: Value| json!({ "type": "some", "users": users, "organizations": organizations });
        let all = || json!({ "type": "all" });
        let rule = |audience: Value, value: bool| json!({ "audience": audience, "serve": { "value": value } });
        let segment = |key: &str| json!({ "type": "some", "segments": [key] });
        let with = |mut rule: Value, name: &str, document: Value| {
            rule[name] = document;
            rule
        };
        let half = || json!({ "by": "user", "percentage": 50 });
        let none = || json!({ "by": "user", "percentage": 0 });
        let split = json!({ "by": "user", "variants": [
            { "name": "a", "value": true, "weight": 1 }, { "name": "b", "value": false, "weight": 1 },
        ] });
        let past = json!({ "until": "2027-01-15T08:00:00Z" });
        let present = json!({ "from": "2027-01-15T08:00:00Z" });
        // The flag, its setting, and the payloads that it is left out of.
        let settings: Vec<(&str, Value, &[i64])> = vec![
            ("plain", json!({ "enabled": true }), &[]),
            ("none", json!({ "enabled": true, "rules": [rule(json!({ "type": "none" }), true)] }), &[]),
            ("users", json!({ "enabled": true, "rules": [rule(some(json!(["user_a"]), json!([])), true)] }), &[]),
            ("both", json!({ "enabled": true, "rules": [rule(some(json!(["user_a"]), json!(["org_b"])), true)] }), &[]),
            ("all", json!({ "enabled": true, "rules": [rule(all(), true)] }), &[]),
            ("value", json!({ "enabled": true, "value": true }), &[]),
            ("off", json!({ "enabled": false, "rules": [rule(all(), true)] }), &[]),
            ("segment", json!({ "enabled": true, "rules": [rule(segment("listed"), true)] }), &[]),
            ("shadowed", json!({ "enabled": true, "rules": [rule(all(), true), rule(segment("pro"), false)] }), &[]),
            ("needless", json!({ "enabled": true, "rules": [rule(segment("pro"), false)] }), &[]),
            ("closed", json!({ "enabled": true, "rules": [with(rule(all(), true), "schedule", past)] }), &[]),
            ("open", json!({ "enabled": true, "rules": [with(rule(all(), true), "schedule", present)] }), &[]),
            ("zero", json!({ "enabled": true, "rules": [with(rule(all(), true), "rollout", none())] }), &[]),
            ("except", json!({ "enabled": true, "rules": [rule(some(json!(["user_a"]), json!([])), false), rule(all(), true)] }), &[1]),
            ("order", json!({ "enabled": true, "rules": [
                rule(some(json!([]), json!(["org_b"])), false), rule(some(json!(["user_a"]), json!([])), true),
            ] }), &[1]),
            ("conditional", json!({ "enabled": true, "rules": [rule(segment("pro"), true)] }), &[1, 2]),
            ("rollout", json!({ "enabled": true, "rules": [with(rule(all(), true), "rollout", half())] }), &[1, 2]),
            ("split", json!({ "enabled": true, "rules": [{ "audience": all(), "serve": { "split": split } }] }), &[1, 2]),
        ];
        for (flag, setting, _) in &settings {
            admin.flag(flag, "boolean", json!(false)).await;
            admin.put(&format!("/v1/flags/{flag}/environments/production"), setting.clone()).await.ok();
        }
        // Overrides, of each kind and value, one of them over.
        for flag in ["kept", "held"] {
            admin.flag(flag, "boolean", json!(false)).await;
        }
        admin.put("/v1/flags/kept/users/user_a", json!({ "value": true })).await.ok();
        admin.put("/v1/flags/kept/users/user_b", json!({ "value": false })).await.ok();
        let expiring = json!({ "value": true, "expires_at": "2027-01-15T08:00:00Z" });
        admin.put("/v1/flags/plain/organizations/org_a?environment=production", expiring).await.ok();
        admin.put("/v1/flags/held/organizations/org_b?environment=production", json!({ "value": true })).await.ok();
        admin.put("/v1/flags/held/organizations/org_a?environment=staging", json!({ "value": true })).await.ok();
        admin.put("/v1/flags/held/users/user_a", json!({ "value": false })).await.ok();
        let on_while_off = json!({ "key": "on_while_off", "type": "boolean", "default_value": true, "off_value": true });
        admin.post("/v1/flags", on_while_off).await.ok();
        admin.put("/v1/flags/on_while_off/environments/production", json!({ "enabled": false })).await.ok();
        admin.flag("text", "string", json!("true")).await;
        let expected: Vec<(&str, &[i64])> = settings.iter().map(|(flag, _, left_out)| (*flag, *left_out))
            .chain([("kept", &[][..]), ("held", &[1]), ("on_while_off", &[1])]).collect();

        let key = bound(&server, "viewer", "production").await;
        let (one, two) = (key.get("/sdk/feature-flags").await, key.get("/sdk/feature-flags?payload_version=2").await);
        let told = admin.get("/v1/environments/production/left-out-flags").await.ok();
        for (version, answer) in [(1, &one), (2, &two)] {
            let mut left_out: Vec<&str> =
                expected.iter().filter(|(_, versions)| versions.contains(&version)).map(|(flag, _)| *flag).collect();
            left_out.sort_unstable();
            assert_eq!(answer.header("x-flagbearer-left-out"), left_out.join(","));
            let data = told["data"].as_array().expect("flags");
            let listed = data.iter().filter(|entry| entry["payload_version"] == version);
            assert_eq!(listed.map(|entry| entry["flag"].as_str().expect("a flag")).collect::<Vec<_>>(), left_out);
        }
        for (flag, left_out) in expected {
            for user in ["user_a", "user_b", ""] {
                for organization in ["org_a", "org_b", ""] {
                    let served = admin.value("production", user, organization, flag).await.as_bool();
                    let place = format!("`{flag}` for `{user}` in `{organization}`");
                    let node = on_in_node(&one.body, flag, user, organization);
                    assert_eq!(node, served.filter(|_| !left_out.contains(&1)), "{place} in Node");
                    let python = on_in_python(&two.body, flag, user, organization);
                    assert_eq!(python, served.filter(|_| !left_out.contains(&2)), "{place} in Python");
                }
            }
        }
        assert_eq!(one.body.get("text"), None);
        assert_eq!(two.body["version"], 2);
        declined(&key.get("/sdk/feature-flags?payload_version=3").await, 400, "PARAMETER_INVALID");
    }

    async fn users_and_organizations_have_every_member_that_the_sdks_insist_on(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let user = json!({ "id": "user_ada", "email": "ada@example.org", "name": "Ada King Lovelace" });
        admin.post("/v1/users", user).await.ok();
        admin.post("/v1/users", json!({ "id": "user_bare" })).await.ok();
        admin.post("/v1/organizations", json!({ "id": "org_x", "name": "Example" })).await.ok();
        let key = bound(&server, "application", "production").await;
        let found = key.get("/user_management/users/user_ada").await.ok();
        assert_eq!(found, json!({
            "object": "user", "id": "user_ada", "email": "ada@example.org", "email_verified": false,
            "first_name": "Ada King", "last_name": "Lovelace", "name": "Ada King Lovelace", "profile_picture_url": null,
            "external_id": null, "last_sign_in_at": null, "locale": null, "metadata": {},
            "created_at": "2027-01-15T08:00:00Z", "updated_at": "2027-01-15T08:00:00Z",
        }));
        let bare = key.get("/user_management/users/user_bare").await.ok();
        assert_eq!((&bare["email"], &bare["first_name"]), (&json!(""), &Value::Null));
        let organization = key.get("/organizations/org_x").await.ok();
        assert_eq!((&organization["object"], &organization["name"]), (&json!("organization"), &json!("Example")));
        for member in ["domains", "metadata", "external_id", "created_at", "updated_at"] {
            assert!(organization.get(member).is_some(), "{member}");
        }
        declined(&key.get("/user_management/users/user_z").await, 404, "USER_NOT_FOUND");
        declined(&key.get("/organizations/org_z").await, 404, "ORGANIZATION_NOT_FOUND");
    }

    async fn who_may_not_is_refused_in_the_shape_that_the_sdks_read(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("beta", "boolean", json!(false)).await;
        // 401 ends a runtime client for good: it means that the key is wrong, and nothing else.
        declined(&server.api("fb_production_wrong_key").get("/sdk/feature-flags").await, 401, "UNAUTHENTICATED");
        for path in ["/sdk/feature-flags", "/feature-flags", "/user_management/users/u", "/organizations/o"] {
            declined(&admin.get(path).await, 403, "KEY_NOT_BOUND");
        }
        for role in ["viewer", "application"] {
            let key = bound(&server, role, "production").await;
            declined(&key.put("/feature-flags/beta/disable", json!({})).await, 403, "FORBIDDEN");
            declined(&key.post("/feature-flags/beta/targets/org_x", json!({})).await, 403, "FORBIDDEN");
        }
        let key = bound(&server, "editor", "production").await;
        declined(&key.put("/feature-flags/nope/enable", json!({})).await, 404, "FLAG_NOT_FOUND");
        declined(&key.put("/feature-flags/beta/enable", json!({ "enabled": false })).await, 400, "BODY_UNEXPECTED");
        let rollout = json!({ "audience": { "type": "all" }, "rollout": { "by": "user", "percentage": 5 }, "serve": { "value": true } });
        admin.put("/v1/flags/beta/environments/production", json!({ "enabled": true, "rules": [rollout] })).await.ok();
        declined(&key.post("/feature-flags/beta/targets/org_x", json!({})).await, 409, "SETTING_HAS_RULES");
        admin.put("/v1/flags/beta/environments/production/targeting?confirm=replace-rules", json!({ "audience": "all" })).await.ok();
        declined(&key.delete("/feature-flags/beta/targets/org_x").await, 422, "AUDIENCE_INVALID");
        let text = key.request("POST".parse().expect("a method"), "/feature-flags/beta/targets/org_x").body("{}");
        declined(&key.send(text).await, 415, "MEDIA_TYPE_UNKNOWN");
        // Calls that WorkOS has and this server does not.
        for path in ["/user_management/invitations", "/sso/connections", "/organizations/o/roles", "/sdk/other"] {
            declined(&key.get(path).await, 404, "CALL_NOT_COVERED");
        }
        declined(&key.delete("/user_management/users/u").await, 404, "CALL_NOT_COVERED");
        declined(&key.delete("/feature-flags").await, 404, "CALL_NOT_COVERED");
        admin.get("/v1/nope").await.refused(404, "ROUTE_NOT_FOUND");
    }
}
