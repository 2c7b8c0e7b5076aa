//! `POST /v1/changes/{revision}/revert`: what a change touched is written again as it was before, or the refusal says why not.

use flagbearer_tests::{Api, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const SETTING: &str = "/v1/flags/f/environments/production";

fn number(answer: &Value) -> i64 {
    answer["revision"].as_i64().expect("a revision")
}

fn path(change: &Value) -> String {
    format!("/v1/changes/{}/revert", number(change))
}

async fn revert(admin: &Api, change: &Value) -> flagbearer_tests::Answer {
    admin.post(&path(change), Value::Null).await
}

/// The same, with later changes knowingly lost.
async fn revert_anyway(admin: &Api, change: &Value) -> flagbearer_tests::Answer {
    admin.post(&format!("{}?confirm=later-changes", path(change)), Value::Null).await
}

/// What anybody is served in an environment: its flags for some users and organizations.
async fn served(admin: &Api) -> Vec<Value> {
    let mut served = Vec::new();
    for environment in ["production", "staging"] {
        for who in ["user=ann", "user=ann&organization=org_a", "user=ben", "organization=org_a", "organization=org_b"] {
            let mut found = admin.get(&format!("/v1/evaluate?environment={environment}&{who}")).await.ok()["flags"].take();
            // Why a level did not win names revisions nowhere, but ids that a restored flag keeps.
            found.as_object_mut().expect("flags").values_mut().for_each(|flag| drop(flag["trace"].take()));
            served.push(found);
        }
    }
    served
}

/// A flag that is on for a segment, an organization and a user.
async fn prepare(admin: &Api) -> Value {
    let condition = json!({ "organization": "plan", "equals": "enterprise" });
    admin.post("/v1/segments", json!({ "key": "big", "users": ["ben"], "condition": condition })).await.ok();
    let organization = json!({ "id": "org_a", "name": "A", "attributes": { "plan": "enterprise" } });
    admin.post("/v1/organizations", organization).await.ok();
    let user = json!({ "id": "ann", "email": "ann@example.com", "attributes": { "seats": 3 } });
    admin.post("/v1/users", user).await.ok();
    admin.put("/v1/organizations/org_a/members/ann", json!({ "roles": ["owner"] })).await.ok();
    let flag = admin.flag("f", "boolean", json!(false)).await;
    admin.put(&format!("{SETTING}/targeting"), json!({ "audience": "some", "segments": ["big"] })).await.ok();
    admin.put("/v1/flags/f/users/ann", json!({ "value": true })).await.ok();
    admin
        .put("/v1/flags/f/organizations/org_b?environment=production", json!({ "value": true, "note": "pilot" }))
        .await
        .ok();
    flag
}

on_both_engines! {
    async fn every_kind_of_change_is_taken_back_and_the_former_answers_come_back(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin).await;
        let application = admin.application("production").await;
        let rollout = json!({ "enabled": true, "value": true, "rules": [{
            "audience": { "type": "all" }, "rollout": { "by": "user", "percentage": 50 }, "serve": { "value": false },
        }] });
        let writes = [
            (Method::PUT, SETTING.to_owned(), rollout),
            (Method::PATCH, "/v1/flags/f".to_owned(), json!({ "default_value": true, "tags": ["x"] })),
            (Method::PATCH, "/v1/flags/f?confirm=drop-overrides".to_owned(), json!({ "overrides": ["organization"] })),
            (Method::PUT, "/v1/flags/f/users/ann".to_owned(), json!({ "value": false })),
            (Method::PUT, "/v1/flags/f/users/ben".to_owned(), json!({ "value": true })),
            (Method::DELETE, "/v1/flags/f/organizations/org_b?environment=production".to_owned(), Value::Null),
            (Method::DELETE, "/v1/flags/f/overrides".to_owned(), Value::Null),
            (Method::POST, "/v1/flags/f/archive".to_owned(), Value::Null),
            (Method::DELETE, "/v1/flags/f?confirm=f".to_owned(), Value::Null),
            (Method::POST, format!("{SETTING}/kill"), Value::Null),
            (Method::PATCH, "/v1/segments/big".to_owned(), json!({ "users": [], "condition": null })),
            (Method::PATCH, "/v1/organizations/org_a".to_owned(), json!({ "attributes": { "plan": "free" } })),
            (Method::PATCH, "/v1/users/ann".to_owned(), json!({ "attributes": {} })),
            (Method::PUT, "/v1/organizations/org_a/members/ann".to_owned(), json!({ "roles": [] })),
            (Method::DELETE, "/v1/organizations/org_a/members/ann".to_owned(), Value::Null),
            (Method::PATCH, "/v1/environments/staging".to_owned(), json!({ "sign_up": true })),
            (Method::PATCH, format!("/v1/applications/{application}"), json!({ "grace": 1 })),
            (Method::DELETE, format!("/v1/applications/{application}"), Value::Null),
            (Method::POST, "/v1/flags".to_owned(), json!({ "key": "g", "type": "integer", "default_value": 1 })),
            (Method::POST, "/v1/segments".to_owned(), json!({ "key": "other" })),
            (Method::POST, "/v1/users".to_owned(), json!({ "id": "cy" })),
            (Method::POST, "/v1/organizations".to_owned(), json!({ "id": "org_c" })),
            (Method::PUT, format!("{SETTING}?urgent=true"), json!({ "enabled": false })),
        ];
        let documents = [
            "/v1/flags/f", SETTING, "/v1/flags/f/overrides", "/v1/segments", "/v1/users", "/v1/organizations",
            "/v1/organizations/org_a/members", "/v1/applications", "/v1/environments/staging", "/v1/flags",
        ];
        for (method, target, body) in writes {
            let state = async || {
                let mut state = served(&admin).await;
                for document in documents {
                    state.push(without_moments(admin.get(document).await.body));
                }
                state
            };
            let before = state().await;
            let request = admin.request(method.clone(), &target);
            let changed = admin.send(if body.is_null() { request } else { request.json(&body) }).await.ok();
            assert_ne!(state().await, before, "{method} {target} changes nothing");
            let reverted = revert(&admin, &changed).await;
            assert_eq!(reverted.status, 200, "{method} {target}: {}", reverted.text);
            assert_eq!(number(&reverted.body), number(&changed) + 1);
            assert_eq!(reverted.body["reverts"], changed["revision"]);
            assert_eq!(state().await, before, "{method} {target}");
            if changed["effect"] == "widened" && reverted.body["effect"] != "narrowed" {
                panic!("{method} {target}: what widened narrows when it is taken back: {}", reverted.text);
            }
            // And back again, and back.
            let again = revert(&admin, &reverted.body).await;
            if target.ends_with("kill") || again.status == 200 {
                revert(&admin, &again.ok()).await.ok();
                assert_eq!(state().await, before, "{method} {target}, thrice");
            } else {
                again.refused(409, "DOCUMENT_GONE");
            }
        }
    }

    async fn a_reverted_change_says_so_and_so_does_the_one_that_reverts_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let changed = admin.put(SETTING, json!({ "enabled": true, "value": true })).await.ok();
        let request = admin.request(Method::POST, &path(&changed)).header("x-change-comment", "too early");
        let reverted = admin.send(request).await.ok();
        assert_eq!(reverted["effect"], "narrowed");
        let first = admin.get(&format!("/v1/changes/{}", number(&changed))).await.ok();
        assert_eq!((&first["reverts"], &first["reverted_by"]), (&json!([]), &json!([number(&reverted)])));
        let second = admin.get(&format!("/v1/changes/{}", number(&reverted))).await.ok();
        assert_eq!((&second["reverts"], &second["comment"]), (&json!([number(&changed)]), &json!("too early")));
        let edit = |change: &Value, side: &str| change["edits"][0][side].clone();
        assert_eq!(edit(&second, "before"), edit(&first, "after"));
        assert_eq!(edit(&second, "after"), edit(&first, "before"));
        let listed = admin.get("/v1/changes?limit=1").await.ok();
        assert_eq!(listed["data"][0]["reverts"], json!([number(&changed)]));
    }

    async fn a_kill_comes_and_goes_with_what_is_taken_back(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(true)).await;
        let state = async || {
            let setting = admin.get(SETTING).await.ok();
            [&setting["enabled"], &setting["killed"]].map(|member| member.as_bool().expect("a boolean"))
        };
        let kill = format!("{SETTING}/kill");
        // Of a flag that was off already, the kill alone is taken back.
        admin.put(SETTING, json!({ "enabled": false })).await.ok();
        let killed = admin.post(&kill, Value::Null).await.ok();
        assert_eq!(state().await, [false, true]);
        let reverted = revert(&admin, &killed).await.ok();
        assert_eq!(state().await, [false, false]);
        revert(&admin, &reverted).await.ok();
        assert_eq!(state().await, [false, true]);
        let revived = admin.delete(&kill).await.ok();
        assert_eq!(state().await, [true, false]);
        revert(&admin, &revived).await.ok();
        assert_eq!(state().await, [false, true]);
    }

    async fn a_deleted_flag_comes_back_with_its_id_its_salt_and_all_it_had(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = prepare(&admin).await;
        let rollout = json!({ "enabled": true, "rules": [{
            "audience": { "type": "all" }, "rollout": { "by": "user", "percentage": 50 }, "serve": { "value": true },
        }] });
        admin.put("/v1/flags/f/environments/staging", rollout).await.ok();
        let before = served(&admin).await;
        let deleted = admin.delete("/v1/flags/f?confirm=f").await.ok();
        assert_ne!(served(&admin).await, before);
        let restored = revert(&admin, &deleted).await.ok();
        assert_eq!(restored["effect"], "widened");
        assert_eq!(served(&admin).await, before);
        let found = admin.get("/v1/flags/f").await.ok();
        assert_eq!((&found["id"], &found["salt"]), (&flag["id"], &flag["salt"]));
        assert_eq!(admin.get("/v1/flags/f/overrides").await.ok()["data"][0]["note"], "pilot");
    }

    async fn a_flag_whose_key_is_taken_and_what_stood_on_a_deleted_one_do_not_come_back(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin).await;
        let setting = admin.put(SETTING, json!({ "enabled": false })).await.ok();
        let deleted = admin.delete("/v1/flags/f?confirm=f").await.ok();
        let refused = revert_anyway(&admin, &setting).await.refused(409, "DOCUMENT_GONE");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("the flag `f` was deleted since")), "{refused}");
        let other = admin.flag("f", "string", json!("another")).await;
        let before = admin.revision("production").await;
        revert(&admin, &deleted).await.refused(409, "FLAG_EXISTS");
        assert_eq!(admin.revision("production").await, before, "nothing is written");
        assert_eq!(admin.get("/v1/flags/f").await.ok()["id"], other["id"]);
        admin.delete("/v1/flags/f?confirm=f").await.ok();
        revert(&admin, &deleted).await.ok();
        assert_eq!(admin.get("/v1/flags/f").await.ok()["type"], "boolean");
    }

    async fn what_was_changed_since_waits_for_a_confirmation_that_lists_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin).await;
        let first = admin.put(SETTING, json!({ "enabled": true, "value": true })).await.ok();
        admin.put("/v1/flags/f/environments/staging", json!({ "enabled": false })).await.ok();
        admin.put("/v1/flags/f/users/ben", json!({ "value": true })).await.ok();
        revert(&admin, &first).await.ok();
        let second = admin.put(SETTING, json!({ "enabled": true, "value": true })).await.ok();
        let third = admin.put(SETTING, json!({ "enabled": false })).await.ok();
        let refused = revert(&admin, &second).await.refused(409, "CONFIRMATION_REQUIRED");
        let listing = refused["listing"].as_array().expect("a listing");
        assert_eq!(listing.iter().map(number).collect::<Vec<_>>(), [number(&third)], "{refused}");
        assert_eq!(listing[0]["actor"]["type"], "api_key");
        let before = admin.get(&format!("/v1/changes/{}", number(&second))).await.ok()["edits"][0]["before"].clone();
        revert_anyway(&admin, &second).await.ok();
        let setting = admin.get(SETTING).await.ok();
        assert_eq!((&setting["enabled"], &setting["value"]), (&before["enabled"], &before["value"]));
    }

    async fn what_came_to_a_flag_since_its_creation_is_later_than_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = admin.flag("f", "boolean", json!(false)).await;
        let since = [
            admin.put(SETTING, json!({ "enabled": false })).await.ok(),
            admin.put("/v1/flags/f/users/ben", json!({ "value": true })).await.ok(),
        ];
        let refused = revert(&admin, &flag).await.refused(409, "CONFIRMATION_REQUIRED");
        let listed = refused["listing"].as_array().expect("a listing").iter().map(number).collect::<Vec<_>>();
        let [first, second] = since.each_ref().map(number);
        assert_eq!(listed, [second, first], "the newest first");
        revert_anyway(&admin, &flag).await.ok();
        admin.get("/v1/flags/f").await.refused(404, "FLAG_NOT_FOUND");
        let organization = admin.post("/v1/organizations", json!({ "id": "org_z" })).await.ok();
        admin.post("/v1/users", json!({ "id": "zoe" })).await.ok();
        admin.put("/v1/organizations/org_z/members/zoe", json!({})).await.ok();
        revert(&admin, &organization).await.refused(409, "CONFIRMATION_REQUIRED");
    }

    async fn if_match_says_that_nothing_came_after(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let first = admin.put(SETTING, json!({ "enabled": true, "value": true })).await.ok();
        let second = admin.put(SETTING, json!({ "enabled": false })).await.ok();
        let send = async |revision: i64| {
            let request = admin.request(Method::POST, &format!("{}?confirm=later-changes", path(&first)));
            admin.send(request.header("if-match", format!("\"{revision}\""))).await
        };
        send(number(&first)).await.refused(412, "REVISION_MISMATCH");
        send(number(&second)).await.ok();
    }

    async fn what_it_stood_on_is_gone_or_no_longer_allowed_and_the_refusal_says_which(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin).await;
        // A rule that names a segment which is there no more.
        let plain = admin.put(&format!("{SETTING}/targeting"), json!({ "audience": "all" })).await.ok();
        admin.delete("/v1/segments/big").await.ok();
        let refused = revert(&admin, &plain).await.refused(409, "SEGMENT_UNKNOWN");
        let said = "the setting of `f` in `production` cannot be as it was: there is no segment `big`";
        assert_eq!(refused["detail"], said);
        // A value at a level that is not allowed any more.
        let removed = admin.delete("/v1/flags/f/users/ann").await.ok();
        admin.patch("/v1/flags/f", json!({ "overrides": ["environment", "organization"] })).await.ok();
        revert(&admin, &removed).await.refused(409, "OVERRIDE_NOT_ALLOWED");
        // A segment that rules have come to name.
        let segment = admin.post("/v1/segments", json!({ "key": "new" })).await.ok();
        admin.put(&format!("{SETTING}/targeting"), json!({ "audience": "some", "segments": ["new"] })).await.ok();
        let refused = revert(&admin, &segment).await.refused(409, "SEGMENT_IN_USE");
        assert_eq!(refused["listing"], json!([{ "flag": "f", "environment": "production" }]));
        // A level is taken away again that has got values since.
        let levels = admin.patch("/v1/flags/f", json!({ "overrides": ["environment", "organization", "user"] })).await.ok();
        admin.put("/v1/flags/f/users/ben", json!({ "value": true })).await.ok();
        let refused = revert(&admin, &levels).await.refused(409, "CONFIRMATION_REQUIRED");
        assert_eq!(refused["listing"][0]["user"], "ben");
        admin.post(&format!("{}?confirm=drop-overrides", path(&levels)), Value::Null).await.ok();
        assert_eq!(admin.get("/v1/flags/f/overrides?level=user").await.ok()["data"], json!([]));
    }

    async fn what_the_log_does_not_hold_is_refused_rather_than_brought_back_by_half(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin).await;
        let last = async || admin.get("/v1/changes?limit=1").await.ok()["data"][0].clone();
        let key = admin.post("/v1/api-keys", json!({ "name": "ci", "role": "viewer" })).await.ok();
        revert(&admin, &last().await).await.refused(409, "SECRET_NOT_IN_LOG");
        assert_eq!(admin.get(&format!("/v1/api-keys/{}", key["id"].as_str().expect("an id"))).await.ok()["name"], "ci");
        let body = json!({ "name": "confidential", "environment": "production" });
        let application = admin.post("/v1/applications", body).await.ok();
        let deleted = admin.delete(&format!("/v1/applications/{}", application["client_id"].as_str().expect("an id"))).await.ok();
        revert(&admin, &deleted).await.refused(409, "SECRET_NOT_IN_LOG");
        let renamed = admin.patch("/v1/users/ann", json!({ "email": "other@example.com" })).await.ok();
        revert(&admin, &renamed).await.refused(409, "NOT_IN_LOG");
        assert_eq!(admin.get("/v1/users/ann").await.ok()["email"], "other@example.com");
        let environment = admin.post("/v1/environments", json!({ "name": "preview" })).await.ok();
        revert(&admin, &environment).await.refused(409, "ENVIRONMENT_IRREVERSIBLE");
        let removed = admin.delete("/v1/environments/preview?confirm=preview").await.ok();
        revert(&admin, &removed).await.refused(409, "ENVIRONMENT_IRREVERSIBLE");
        let minimum = admin.post("/v1/environments/production/min-revision", Value::Null).await.ok();
        let minimum = json!({ "revision": minimum["min_revision"] });
        revert(&admin, &minimum).await.refused(409, "MINIMUM_IRREVERSIBLE");
        admin.post("/v1/changes/4711/revert", Value::Null).await.refused(404, "CHANGE_NOT_FOUND");
        admin.post("/v1/changes/first/revert", Value::Null).await.refused(404, "CHANGE_NOT_FOUND");
        revert(&admin, &json!({ "revision": 1 })).await.refused(409, "ENVIRONMENT_IRREVERSIBLE");
    }

    async fn a_deleted_organization_gets_back_what_the_log_has_once_it_is_there_again(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin).await;
        admin.put("/v1/flags/f/organizations/org_a?environment=staging", json!({ "value": true })).await.ok();
        let before = served(&admin).await;
        let deleted = admin.delete("/v1/organizations/org_a").await.ok();
        let refused = revert(&admin, &deleted).await.refused(409, "DOCUMENT_GONE");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("create it again first")), "{refused}");
        admin.post("/v1/organizations", json!({ "id": "org_a", "name": "A" })).await.ok();
        revert(&admin, &deleted).await.refused(409, "CONFIRMATION_REQUIRED");
        revert_anyway(&admin, &deleted).await.ok();
        assert_eq!(served(&admin).await, before);
        assert_eq!(admin.get("/v1/organizations/org_a/members/ann").await.ok()["roles"], json!(["owner"]));
    }

    async fn a_batch_is_taken_back_whole_and_a_revert_can_be_part_of_one(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin).await;
        let before = served(&admin).await;
        let write = |method: &str, path: &str, body: Value| json!({ "method": method, "path": path, "body": body });
        let targeting = json!({ "audience": "some", "segments": ["early"] });
        let batch = json!({ "writes": [
            write("POST", "/v1/segments", json!({ "key": "early", "users": ["ann"] })),
            write("POST", "/v1/flags", json!({ "key": "g", "type": "boolean", "default_value": false })),
            write("PUT", "/v1/flags/g/environments/production/targeting", targeting.clone()),
            write("PUT", "/v1/flags/g/users/ben", json!({ "value": true })),
            write("PUT", &format!("{SETTING}/targeting"), targeting),
            write("PUT", &format!("{SETTING}/targeting"), json!({ "audience": "all" })),
            write("DELETE", "/v1/flags/f/users/ann", Value::Null),
        ] });
        let done = admin.post("/v1/batch", batch).await.ok();
        let widened = admin.put("/v1/flags/f/environments/staging", json!({ "enabled": true, "value": true })).await.ok();
        let reverts = json!({ "writes": [write("POST", &path(&done), Value::Null), write("POST", &path(&widened), Value::Null)] });
        let both = admin.post("/v1/batch", reverts).await.ok();
        assert_eq!(served(&admin).await, before);
        admin.get("/v1/segments/early").await.refused(404, "SEGMENT_NOT_FOUND");
        let change = admin.get(&format!("/v1/changes/{}", number(&both))).await.ok();
        assert_eq!(change["reverts"], json!([number(&done), number(&widened)]));
        revert(&admin, &both).await.ok();
        assert_eq!(admin.value("production", "ann", "", "g").await, true);
        assert_eq!(admin.value("staging", "cy", "", "f").await, true);
    }

    async fn a_revert_needs_the_rights_of_the_writes_that_it_makes(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin).await;
        let key = async |body: Value| {
            let key = admin.post("/v1/api-keys", body).await.ok()["key"].clone();
            server.api(key.as_str().expect("a key"))
        };
        let staging = key(json!({ "name": "staging", "role": "editor", "environment": "staging" })).await;
        let editor = key(json!({ "name": "editor", "role": "editor" })).await;
        let viewer = key(json!({ "name": "viewer", "role": "viewer" })).await;
        let here = admin.put("/v1/flags/f/environments/staging", json!({ "enabled": false })).await.ok();
        let there = admin.put(SETTING, json!({ "enabled": false })).await.ok();
        let everywhere = admin.patch("/v1/flags/f", json!({ "default_value": true })).await.ok();
        let of_user = admin.patch("/v1/users/ann", json!({ "attributes": {} })).await.ok();
        revert(&viewer, &here).await.refused(403, "FORBIDDEN");
        revert(&staging, &there).await.refused(404, "CHANGE_NOT_FOUND");
        revert(&staging, &everywhere).await.refused(403, "FORBIDDEN");
        revert(&editor, &of_user).await.refused(403, "FORBIDDEN");
        revert(&staging, &here).await.ok();
        revert(&editor, &everywhere).await.ok();
        admin.patch("/v1/environments/production", json!({ "protected": true })).await.ok();
        revert(&editor, &there).await.refused(403, "FORBIDDEN");
        revert(&admin, &there).await.ok();
        let wider = admin.put(SETTING, json!({ "enabled": true, "value": true })).await.ok();
        let refused = revert(&admin, &wider).await.refused(409, "CONFIRMATION_REQUIRED");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("?confirm=narrowing")), "{refused}");
        admin.post(&format!("{}?confirm=narrowing", path(&wider)), Value::Null).await.ok();
    }

    async fn a_revert_is_previewed_without_being_made(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin).await;
        let application = admin.application("production").await;
        let changed = admin.put(SETTING, json!({ "enabled": true, "value": true })).await.ok();
        admin.session(&application, "cy", None).await;
        admin.session(&application, "ann", None).await;
        let foretold = admin.post(&format!("{}?preview=true", path(&changed)), Value::Null).await.ok();
        assert_eq!(foretold["base_revision"], changed["revision"]);
        assert_eq!((&foretold["effect"], &foretold["sessions"]["count"]), (&json!("narrowed"), &json!(1)));
        assert_eq!(foretold["sessions"]["first"][0]["user"], "cy", "{foretold}");
        assert_eq!(admin.revision("production").await, number(&changed), "nothing is written");
        let done = revert(&admin, &changed).await.ok();
        assert_eq!((&done["effect"], &done["holdouts"]), (&foretold["effect"], &foretold["holdouts"]));
        // A deleted flag that would come back, with all it had.
        let deleted = admin.delete("/v1/flags/f?confirm=f").await.ok();
        let foretold = admin.post(&format!("{}?preview=true", path(&deleted)), Value::Null).await.ok();
        assert_eq!((&foretold["effect"], &foretold["sessions"]["count"]), (&json!("widened"), &json!(2)), "{foretold}");
    }

    async fn a_retried_revert_is_answered_as_before(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let changed = admin.put(SETTING, json!({ "enabled": true, "value": true })).await.ok();
        let send = async || {
            let request = admin.request(Method::POST, &path(&changed)).header("idempotency-key", "once");
            admin.send(request).await.ok()
        };
        let first = send().await;
        assert_eq!(send().await, first);
        assert_eq!(admin.revision("production").await, number(&first));
    }
}

/// A document without what every write moves.
fn without_moments(mut document: Value) -> Value {
    match &mut document {
        Value::Object(members) => {
            for name in ["revision", "created_at", "updated_at", "current_revision", "min_revision", "instance"] {
                members.remove(name);
            }
            members.values_mut().for_each(|member| *member = without_moments(member.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_moments(item.take())),
        _ => {}
    }
    document
}
