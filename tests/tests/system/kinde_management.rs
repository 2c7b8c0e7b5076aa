//! The flag calls of Kinde's management API.

use flagbearer_tests::{Answer, Api, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const FLAGS: &str = "/api/v1/feature_flags";
const ENVIRONMENT: &str = "/api/v1/environment/feature_flags";

/// A flag as Kinde's clients write it.
fn flag(key: &str, flag_type: &str, default_value: &str, level: &str) -> Value {
    json!({
        "name": "A flag", "description": "what it is for", "key": key, "type": flag_type,
        "default_value": default_value, "allow_override_level": level,
    })
}

/// Checks that it is a success as Kinde's clients read it.
#[track_caller]
fn done(answer: Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.body["code"].is_string() && answer.body["message"].is_string(), "{}", answer.text);
}

/// Checks that it is a refusal as Kinde's clients read it.
#[track_caller]
fn fault(answer: Answer, status: u16, code: &str) {
    let errors = &answer.body["errors"];
    assert_eq!((answer.status, errors[0]["code"].as_str()), (status, Some(code)), "{}", answer.text);
    assert!(errors[0]["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", answer.text);
}

/// A PATCH whose value stands in the query, as Kinde has it for organizations and users.
async fn patch_value(api: &Api, path: &str, value: &str) -> Answer {
    api.send(api.request(Method::PATCH, path).query(&[("value", value)])).await
}

on_both_engines! {
    async fn a_script_takes_a_flag_of_each_type_through_its_life(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (key, flag_type, default_value, value, expected) in [
            ("b", "bool", "false", "true", json!(true)),
            ("s", "str", "", "true", json!("true")),
            ("i", "int", "1000", "0", json!(0)),
            ("j", "json", r#"{"a":[1]}"#, r#"{"b":null}"#, json!({ "b": null })),
        ] {
            done(admin.post(FLAGS, flag(key, flag_type, default_value, "usr")).await, 201);
            let created = admin.get(&format!("/v1/flags/{key}")).await.ok();
            let members = [&created["name"], &created["description"], &created["overrides"]];
            assert_eq!(members, [&json!("A flag"), &json!("what it is for"), &json!(["environment", "organization", "user"])]);

            done(admin.patch(&format!("{ENVIRONMENT}/{key}"), json!({ "value": value })).await, 200);
            assert_eq!(admin.value("production", "u", "o", key).await, expected);
            assert_eq!(admin.value("staging", "u", "o", key).await, created["default_value"]);
            let listed = admin.get(ENVIRONMENT).await.ok();
            assert_eq!(listed["feature_flags"][key], json!({ "type": flag_type, "value": value }));
            done(admin.delete(&format!("{ENVIRONMENT}/{key}")).await, 200);

            done(patch_value(&admin, &format!("/api/v1/organizations/o/feature_flags/{key}"), value).await, 200);
            assert_eq!(admin.value("production", "u", "o", key).await, expected);
            assert_eq!(admin.value("production", "u", "other", key).await, created["default_value"]);
            assert_eq!(admin.value("staging", "u", "o", key).await, created["default_value"]);
            let listed = admin.get("/api/v1/organizations/o/feature_flags").await.ok();
            assert_eq!(listed["feature_flags"], json!({ key: { "type": flag_type, "value": value } }));
            done(admin.delete(&format!("/api/v1/organizations/o/feature_flags/{key}")).await, 200);
            fault(admin.delete(&format!("/api/v1/organizations/o/feature_flags/{key}")).await, 404, "OVERRIDE_NOT_FOUND");

            done(patch_value(&admin, &format!("/api/v1/users/u/feature_flags/{key}"), value).await, 200);
            assert_eq!(admin.value("staging", "u", "o", key).await, expected);
            done(admin.delete(&format!("/api/v1/users/u/feature_flags/{key}")).await, 200);
            assert_eq!(admin.value("production", "u", "o", key).await, created["default_value"]);

            let query = [
                ("name", "Another name"), ("description", "Another"), ("type", flag_type),
                ("allow_override_level", "org"), ("default_value", value),
            ];
            let path = format!("{FLAGS}/{key}");
            done(admin.send(admin.request(Method::PUT, &path).query(&query)).await, 200);
            let replaced = admin.get(&format!("/v1/flags/{key}")).await.ok();
            assert_eq!((&replaced["name"], &replaced["default_value"]), (&json!("Another name"), &expected));
            assert_eq!(replaced["overrides"], json!(["environment", "organization"]));
            fault(patch_value(&admin, &format!("/api/v1/users/u/feature_flags/{key}"), value).await, 422, "OVERRIDE_NOT_ALLOWED");

            done(admin.delete(&path).await, 200);
            fault(admin.delete(&path).await, 404, "FLAG_NOT_FOUND");
        }
        assert_eq!(admin.get(ENVIRONMENT).await.ok()["feature_flags"], json!({}));
    }

    async fn the_base_url_tells_the_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        done(admin.post(FLAGS, flag("f", "bool", "false", "org")).await, 201);
        done(admin.patch(&format!("/env/staging{ENVIRONMENT}/f"), json!({ "value": "true" })).await, 200);
        assert_eq!(admin.value("staging", "u", "o", "f").await, json!(true));
        assert_eq!(admin.value("production", "u", "o", "f").await, json!(false));
        assert_eq!(admin.get(ENVIRONMENT).await.ok()["feature_flags"], json!({}));
        fault(admin.get(&format!("/env/nowhere{ENVIRONMENT}")).await, 404, "ENVIRONMENT_NOT_FOUND");
    }

    async fn everything_of_an_environment_or_an_organization_goes_in_one_change(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for key in ["one", "two"] {
            done(admin.post(FLAGS, flag(key, "int", "1", "org")).await, 201);
            done(admin.patch(&format!("{ENVIRONMENT}/{key}"), json!({ "value": 2 })).await, 200);
            done(admin.patch(&format!("/env/staging{ENVIRONMENT}/{key}"), json!({ "value": "3" })).await, 200);
            done(patch_value(&admin, &format!("/api/v1/organizations/o/feature_flags/{key}"), "4").await, 200);
            done(patch_value(&admin, &format!("/api/v1/organizations/p/feature_flags/{key}"), "5").await, 200);
        }
        // What else a setting holds stays.
        let all = json!({ "audience": "some", "users": ["vip"], "value": 6 });
        admin.put("/v1/flags/two/environments/production/targeting", all).await.ok();
        let before = admin.revision("production").await;
        done(admin.delete("/api/v1/organizations/o/feature_flags").await, 200);
        assert_eq!(admin.revision("production").await, before + 1);
        assert_eq!(admin.value("production", "u", "o", "two").await, json!(2));
        assert_eq!(admin.value("production", "u", "p", "two").await, json!(5));
        done(admin.delete(ENVIRONMENT).await, 200);
        assert_eq!(admin.revision("production").await, before + 2);
        assert_eq!(admin.value("production", "u", "o", "one").await, json!(1));
        assert_eq!(admin.value("production", "vip", "o", "two").await, json!(6));
        assert_eq!(admin.value("staging", "u", "o", "two").await, json!(3));
        let edits = admin.get(&format!("/v1/changes/{}", before + 2)).await.ok()["edits"].clone();
        assert_eq!(edits.as_array().map(Vec::len), Some(2), "{edits}");
    }

    async fn a_key_may_do_here_what_it_may_do_elsewhere(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        done(admin.post(FLAGS, flag("f", "bool", "false", "usr")).await, 201);
        let viewer = server.api(&admin.key("viewer", None).await);
        viewer.get(ENVIRONMENT).await.ok();
        fault(viewer.patch(&format!("{ENVIRONMENT}/f"), json!({ "value": "true" })).await, 403, "FORBIDDEN");
        fault(viewer.delete(&format!("{FLAGS}/f")).await, 403, "FORBIDDEN");
        let staging = server.api(&admin.key("editor", Some("staging")).await);
        done(staging.patch(&format!("/env/staging{ENVIRONMENT}/f"), json!({ "value": "true" })).await, 200);
        fault(staging.get(ENVIRONMENT).await, 403, "FORBIDDEN");
        fault(staging.delete(ENVIRONMENT).await, 403, "FORBIDDEN");
        fault(staging.delete("/api/v1/organizations/o/feature_flags").await, 403, "FORBIDDEN");
        fault(staging.post(&format!("/env/staging{FLAGS}"), flag("g", "bool", "false", "usr")).await, 403, "FORBIDDEN");
        fault(patch_value(&staging, "/env/staging/api/v1/users/u/feature_flags/f", "true").await, 403, "FORBIDDEN");
        fault(server.api("nobody's").get(ENVIRONMENT).await, 401, "UNAUTHENTICATED");
    }

    async fn what_a_flag_cannot_be_is_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        done(admin.post(FLAGS, flag("f", "bool", "false", "env")).await, 201);
        done(admin.post(FLAGS, flag("j", "json", "{}", "usr")).await, 201);
        fault(admin.post(FLAGS, flag("f", "bool", "false", "env")).await, 409, "FLAG_EXISTS");
        for (document, status, code) in [
            (flag("g", "number", "1", "usr"), 422, "VALUE_INVALID"),
            (flag("g", "bool", "yes", "usr"), 422, "TYPE_MISMATCH"),
            (flag("g", "int", "1.5", "usr"), 422, "VALUE_OUT_OF_RANGE"),
            (flag("g", "json", "{", "usr"), 400, "DOCUMENT_MALFORMED"),
            (flag("g", "bool", "true", "everybody"), 422, "VALUE_INVALID"),
            (flag("9g", "bool", "true", "usr"), 422, "KEY_INVALID"),
            (json!({ "key": "g", "type": "bool" }), 400, "MEMBER_MISSING"),
            (json!({ "key": "g", "type": "bool", "default_value": "true", "colour": "red" }), 400, "MEMBER_UNKNOWN"),
        ] {
            fault(admin.post(FLAGS, document).await, status, code);
        }
        let path = format!("{ENVIRONMENT}/f");
        fault(admin.patch(&path, json!({})).await, 400, "MEMBER_MISSING");
        fault(admin.patch(&path, json!({ "value": "1" })).await, 422, "TYPE_MISMATCH");
        fault(admin.patch(&format!("{ENVIRONMENT}/nothing"), json!({ "value": "1" })).await, 404, "FLAG_NOT_FOUND");
        fault(admin.delete(&path).await, 404, "OVERRIDE_NOT_FOUND");
        let organization = "/api/v1/organizations/o/feature_flags/f";
        fault(patch_value(&admin, organization, "true").await, 422, "OVERRIDE_NOT_ALLOWED");
        fault(admin.send(admin.request(Method::PATCH, organization)).await, 400, "PARAMETER_MISSING");
        fault(admin.send(admin.request(Method::PATCH, organization).query(&[("vlaue", "1")])).await, 400, "PARAMETER_MISSING");
        let retyped = admin.request(Method::PUT, &format!("{FLAGS}/f")).query(&[("type", "str")]);
        fault(admin.send(retyped).await, 422, "IMMUTABLE");
        // A level that still has values is taken away only by who says so.
        done(patch_value(&admin, "/api/v1/users/u/feature_flags/j", "[]").await, 200);
        let query = [("type", "json"), ("allow_override_level", "org"), ("default_value", "{}")];
        let narrowed = admin.request(Method::PUT, &format!("{FLAGS}/j")).query(&query);
        fault(admin.send(narrowed.try_clone().expect("a request")).await, 409, "CONFIRMATION_REQUIRED");
        done(admin.send(narrowed.query(&[("confirm", "drop-overrides")])).await, 200);
    }
}
