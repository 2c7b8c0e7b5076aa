//! Whatever decides who is served what goes through the same gate: it waits, can be looked at, and is made by the approval as
//! it was proposed, or not at all.

use flagbearer_tests::{Answer, Api, Client, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

use crate::approvals::{Place, SETTING, TARGETING, approve, waits};

const STAGING: &str = "/v1/flags/flag/environments/staging";

async fn send(api: &Api, method: Method, path: &str, body: Value) -> Answer {
    let request = api.request(method, path);
    api.send(if body.is_null() { request } else { request.json(&body) }).await
}

/// Proposes as Ann, checks that nothing has happened, approves as Bob, and checks that it is one change. Answers the change.
async fn through(place: &Place, method: Method, path: &str, body: Value) -> Value {
    let before = place.revision().await;
    let (pending, _) = waits(send(&place.ann, method, path, body).await);
    assert_eq!(place.revision().await, before, "{path}: nothing has happened yet");
    let made = approve(&place.bob, &pending).await.ok();
    assert_eq!((&made["revision"], place.revision().await), (&json!(before + 1), before + 1), "{path}: it is one change");
    place.ann.get(&format!("/v1/changes/{}", before + 1)).await.ok()
}

/// What the tokens of a new session of an application carry.
async fn carried(place: &Place, application: &str) -> Vec<String> {
    let claim = place.ann.session(application, "alice", Some("org_x")).await["feature_flags"].clone();
    claim.as_object().expect("a claim").keys().cloned().collect()
}

on_both_engines! {
    async fn a_promotion_waits_and_copies_what_was_there_when_it_was_proposed(engine: Engine) {
        let place = Place::start(engine).await;
        let ann = &place.ann;
        let value = |value: bool| json!({ "enabled": true, "value": value });
        ann.put(STAGING, value(true)).await.ok();
        let promote = format!("{STAGING}/promote");
        let foretold = ann.post(&format!("{promote}?preview=true"), json!({ "to": "production" })).await.ok();
        assert_eq!((&foretold["effect"], foretold["differences"].as_array().map(Vec::len)), (&json!("widened"), Some(1)));
        let change = through(&place, Method::POST, &promote, json!({ "to": "production" })).await;
        assert_eq!((&change["environments"], place.value().await), (&json!(["production"]), json!(true)));

        // Another setting than the one that was proposed is not copied unsaid.
        ann.put(STAGING, value(false)).await.ok();
        let (path, _) = waits(ann.post(&promote, json!({ "to": "production" })).await);
        ann.put(STAGING, json!({ "enabled": false })).await.ok();
        let refused = approve(&place.bob, &path).await.refused(409, "CONFIRMATION_REQUIRED");
        let touched = &refused["listing"][0]["touches"][0];
        assert_eq!((&touched["entity"], &touched["environment"]), (&json!("setting"), &json!("staging")), "{refused}");
        assert_eq!(place.value().await, true);
        let request = place.bob.request(Method::POST, &format!("{path}/approve?confirm=later-changes"));
        place.bob.send(request).await.ok();
        assert_eq!(ann.get(SETTING).await.ok()["enabled"], false);
    }

    async fn a_revert_waits_and_is_refused_where_its_subject_was_changed_meanwhile(engine: Engine) {
        let place = Place::start(engine).await;
        let (ann, bob) = (&place.ann, &place.bob);
        let widened = through(&place, Method::PUT, TARGETING, json!({ "audience": "all" })).await["revision"].clone();
        let revert = format!("/v1/changes/{widened}/revert");
        let change = through(&place, Method::POST, &revert, Value::Null).await;
        assert_eq!((&change["reverts"], place.value().await), (&json!([widened]), json!(false)));

        let again = through(&place, Method::PUT, TARGETING, json!({ "audience": "all" })).await["revision"].clone();
        let (path, pending) = waits(ann.post(&format!("/v1/changes/{again}/revert"), Value::Null).await);
        assert_eq!(pending["effect"], "narrowed");
        assert_eq!(bob.get(&format!("{path}?preview=true")).await.ok()["preview"]["effect"], "narrowed");
        through(&place, Method::PUT, SETTING, json!({ "enabled": true, "value": true })).await;
        let refused = approve(bob, &path).await.refused(409, "CONFIRMATION_REQUIRED");
        assert_eq!(refused["listing"][0]["revision"], place.revision().await);
        assert_eq!((place.value().await, &ann.get(&path).await.ok()["state"]), (json!(true), &json!("pending")));

        through(&place, Method::DELETE, "/v1/flags/flag?confirm=flag", Value::Null).await;
        let confirmed = format!("{path}/approve?confirm=later-changes");
        let refused = bob.post(&confirmed, Value::Null).await.refused(409, "PENDING_CHANGE_INAPPLICABLE");
        assert_eq!(refused["errors"][0]["code"], "DOCUMENT_GONE", "{refused}");
        assert_eq!(ann.get(&path).await.ok()["state"], "pending");
    }

    async fn who_proposes_a_revert_over_later_changes_says_so_and_the_approval_keeps_it(engine: Engine) {
        let place = Place::start(engine).await;
        let first = through(&place, Method::PUT, TARGETING, json!({ "audience": "all" })).await["revision"].clone();
        through(&place, Method::PUT, SETTING, json!({ "enabled": false })).await;
        let revert = format!("/v1/changes/{first}/revert");
        place.ann.post(&revert, Value::Null).await.refused(409, "CONFIRMATION_REQUIRED");
        let (path, pending) = waits(place.ann.post(&format!("{revert}?confirm=later-changes"), Value::Null).await);
        assert_eq!(pending["confirm"], json!(["later-changes"]));
        let made = approve(&place.bob, &path).await.ok();
        let change = place.ann.get(&format!("/v1/changes/{}", made["revision"])).await.ok();
        assert_eq!(change["reverts"], json!([first]));
        let setting = place.ann.get(SETTING).await.ok();
        assert_eq!((&setting["enabled"], &setting["rules"]), (&json!(true), &json!([])), "as it was at first");
    }

    async fn an_approval_can_be_previewed_retried_and_urgent(engine: Engine) {
        let place = Place::start(engine).await;
        let application = place.ann.application("production").await;
        place.ann.session(&application, "alice", None).await;
        let (path, _) = waits(place.ann.put(&format!("{TARGETING}?urgent=true"), json!({ "audience": "all" })).await);
        let before = place.revision().await;
        let foretold = place.bob.post(&format!("{path}/approve?preview=true"), Value::Null).await.ok();
        assert_eq!((&foretold["effect"], &foretold["sessions"]["count"]), (&json!("widened"), &json!(1)));
        assert_eq!(foretold["base_revision"], before);
        let shown = place.ann.get(&path).await.ok();
        assert_eq!((&shown["state"], &shown["urgent"], place.revision().await), (&json!("pending"), &json!(true), before));

        let keyed = || {
            let request = place.bob.request(Method::POST, &format!("{path}/approve"));
            place.bob.send(request.header("idempotency-key", "once"))
        };
        let made = keyed().await.ok();
        assert_eq!(keyed().await.ok(), made, "a retry is answered as before");
        assert_eq!((&made["revision"], place.revision().await), (&json!(before + 1), before + 1));
        let change = place.ann.get(&format!("/v1/changes/{}", before + 1)).await.ok();
        let raised = change["edits"].as_array().expect("edits").iter().any(|edit| edit["entity"] == "min_revision");
        assert!(raised, "older tokens are stale by it: {change}");
    }

    async fn which_flags_tokens_carry_is_decided_by_two(engine: Engine) {
        let place = Place::start(engine).await;
        let ann = &place.ann;
        through(&place, Method::POST, "/v1/flags", json!({ "key": "other", "type": "boolean", "default_value": true })).await;
        let client = Client::public(ann, "production").await;
        let application = format!("/v1/applications/{}", client.id);
        let narrow = json!({ "projection": { "flags": ["flag"] } });
        let (path, pending) = waits(ann.patch(&application, narrow).await);
        assert_eq!((&pending["effect"], &pending["environments"]), (&json!("narrowed"), &json!(["production"])));
        assert_eq!(carried(&place, &client.id).await, ["flag", "other"], "it waits");
        let shown = place.bob.get(&format!("{path}?preview=true")).await.ok();
        let told = &shown["preview"]["applications"][0];
        assert_eq!((&told["leaving"], &told["sessions"]), (&json!(["other"]), &json!(1)));
        approve(&place.bob, &path).await.ok();
        assert_eq!(carried(&place, &client.id).await, ["flag"]);
        let taken = ann.get("/v1/changes?limit=1").await.ok()["data"][0]["revision"].clone();
        through(&place, Method::POST, &format!("/v1/changes/{taken}/revert"), Value::Null).await;
        assert_eq!(carried(&place, &client.id).await, ["flag", "other"]);

        // What it is called is nobody's business but its owner's.
        ann.patch(&application, json!({ "name": "other name", "grace": 20 })).await.ok();
        let elsewhere = ann.application("staging").await;
        ann.patch(&format!("/v1/applications/{elsewhere}"), json!({ "projection": { "tags": [] } })).await.ok();
    }

    async fn flags_are_archived_restored_and_deleted_by_two(engine: Engine) {
        let place = Place::start(engine).await;
        let ann = &place.ann;
        let client = Client::public(ann, "production").await;
        through(&place, Method::POST, "/v1/flags/flag/archive", Value::Null).await;
        assert_eq!(carried(&place, &client.id).await, [""; 0]);
        through(&place, Method::POST, "/v1/flags/flag/restore", Value::Null).await;
        assert_eq!(carried(&place, &client.id).await, ["flag"]);
        ann.delete("/v1/flags/flag").await.refused(409, "CONFIRMATION_REQUIRED");
        let (path, pending) = waits(ann.delete("/v1/flags/flag?confirm=flag").await);
        assert_eq!(pending["confirm"], json!(["flag"]));
        assert_eq!(ann.get("/v1/flags/flag").await.status, 200);
        approve(&place.bob, &path).await.ok();
        ann.get("/v1/flags/flag").await.refused(404, "FLAG_NOT_FOUND");
        assert_eq!(carried(&place, &client.id).await, [""; 0]);
    }

    async fn overrides_of_every_level_go_through_the_same_gate(engine: Engine) {
        let place = Place::start(engine).await;
        let organization = "/v1/flags/flag/organizations/org_x?environment=production";
        for path in [organization, "/v1/flags/flag/users/alice"] {
            through(&place, Method::PUT, path, json!({ "value": true, "note": "asked for it" })).await;
            assert_eq!(place.value().await, true);
            through(&place, Method::DELETE, path, Value::Null).await;
            assert_eq!(place.value().await, false);
        }
        through(&place, Method::PUT, organization, json!({ "value": true })).await;
        through(&place, Method::DELETE, "/v1/flags/flag/overrides", Value::Null).await;
        assert_eq!((place.value().await, place.ann.get("/v1/flags/flag/overrides").await.ok()["data"].clone()), (json!(false), json!([])));
        // Elsewhere nobody asks for a second one.
        place.ann.put("/v1/flags/flag/organizations/org_x?environment=staging", json!({ "value": true })).await.ok();
    }

    async fn a_batch_waits_as_a_whole_and_is_made_as_a_whole(engine: Engine) {
        let place = Place::start(engine).await;
        let ann = &place.ann;
        ann.patch("/v1/environments/staging", json!({ "protected": true })).await.ok();
        ann.put(STAGING, json!({ "enabled": true, "value": true })).await.ok();
        let reverted = place.revision().await;
        let application = ann.application("production").await;
        let batch = json!({ "comment": "all at once", "writes": [
            { "method": "POST", "path": "/v1/flags/flag/environments/staging/promote", "body": { "to": "production" } },
            { "method": "PUT", "path": "/v1/flags/flag/users/%61lice", "body": { "value": false } },
            { "method": "PATCH", "path": format!("/v1/applications/{application}"), "body": { "projection": { "tags": [] } } },
            { "method": "POST", "path": format!("/v1/changes/{reverted}/revert"), "body": null },
        ] });
        ann.post("/v1/batch", batch.clone()).await.refused(409, "CONFIRMATION_REQUIRED");
        let (path, pending) = waits(ann.post("/v1/batch?confirm=narrowing", batch.clone()).await);
        assert_eq!((&pending["environment"], &pending["comment"]), (&Value::Null, &json!("all at once")));
        assert_eq!(pending["writes"][1]["path"], "/v1/flags/flag/users/alice");
        let before = place.revision().await;
        let made = approve(&place.bob, &path).await.ok();
        assert_eq!((&made["revision"], made["answers"].as_array().map(Vec::len)), (&json!(before + 1), Some(4)));
        assert_eq!(place.value().await, false, "she is held out");
        assert_eq!(ann.value("production", "ben", "org_x", "flag").await, true);
        assert_eq!(ann.value("staging", "ben", "org_x", "flag").await, false);
        assert_eq!(carried(&place, &application).await, [""; 0]);
        let change = ann.get(&format!("/v1/changes/{}", before + 1)).await.ok();
        assert_eq!((&change["reverts"], change["edits"].as_array().map(Vec::len)), (&json!([reverted]), Some(4)));

        // One that cannot be made takes the others with it.
        let writes = json!([
            { "method": "PUT", "path": SETTING, "body": { "enabled": false } },
            { "method": "DELETE", "path": "/v1/flags/flag/users/alice" },
        ]);
        let (path, _) = waits(ann.post("/v1/batch", json!({ "writes": writes })).await);
        through(&place, Method::DELETE, "/v1/flags/flag/users/alice", Value::Null).await;
        let refused = place.bob.post(&format!("{path}/approve?confirm=later-changes"), Value::Null).await;
        let refused = refused.refused(409, "PENDING_CHANGE_INAPPLICABLE");
        assert_eq!(refused["errors"][0]["pointer"], "/writes/1");
        assert_eq!((place.value().await, &ann.get(&path).await.ok()["state"]), (json!(true), &json!("pending")));
    }

    async fn a_kill_waits_for_nobody_and_is_not_undone_unsaid(engine: Engine) {
        let place = Place::start(engine).await;
        let ann = &place.ann;
        through(&place, Method::PUT, TARGETING, json!({ "audience": "all" })).await;
        ann.patch("/v1/environments/staging", json!({ "protected": true })).await.ok();
        through(&place, Method::PATCH, "/v1/environments/production", json!({ "protected": true })).await;
        let (path, _) = waits(ann.put(SETTING, json!({ "enabled": true, "value": true })).await);
        let editor = place.server.api(&ann.key("editor", Some("production")).await);
        let killed = editor.post(&format!("{SETTING}/kill"), Value::Null).await;
        assert_eq!((killed.status, place.value().await), (200, json!(false)), "{}", killed.text);
        approve(&place.bob, &path).await.refused(409, "CONFIRMATION_REQUIRED");
        assert_eq!((place.value().await, &ann.get(SETTING).await.ok()["killed"]), (json!(false), &json!(true)));
        place.bob.post(&format!("{path}/approve?confirm=later-changes"), Value::Null).await.ok();
        assert_eq!((place.value().await, &ann.get(SETTING).await.ok()["killed"]), (json!(true), &json!(false)));
    }

    async fn what_ends_with_a_user_or_an_organization_waits_for_nobody(engine: Engine) {
        let place = Place::start(engine).await;
        let ann = &place.ann;
        ann.post("/v1/users", json!({ "id": "alice" })).await.ok();
        ann.post("/v1/organizations", json!({ "id": "org_x" })).await.ok();
        through(&place, Method::PUT, "/v1/flags/flag/users/alice", json!({ "value": true })).await;
        let organization = "/v1/flags/flag/organizations/org_x?environment=production";
        through(&place, Method::PUT, organization, json!({ "value": true })).await;
        for (path, left) in [("/v1/users/alice", 1), ("/v1/organizations/org_x", 0)] {
            let gone = ann.delete(path).await;
            assert_eq!((gone.status, &gone.body["effect"]), (200, &json!("narrowed")), "{}", gone.text);
            assert_eq!(ann.get("/v1/flags/flag/overrides").await.ok()["data"].as_array().map(Vec::len), Some(left));
        }
    }

    async fn what_comes_of_an_erasure_waits_for_nobody(engine: Engine) {
        let place = Place::start(engine).await;
        let targets = json!({ "audience": "some", "users": ["alice", "ben"] });
        through(&place, Method::PUT, TARGETING, targets).await;
        through(&place, Method::PUT, "/v1/flags/flag/users/alice", json!({ "value": true })).await;
        let erased = place.ann.delete("/v1/users/alice?erase=true").await;
        assert_eq!((erased.status, &erased.body["effect"]), (200, &json!("narrowed")), "{}", erased.text);
        assert_eq!(place.ann.get(SETTING).await.ok()["rules"][0]["audience"]["users"], json!(["ben"]));
        assert_eq!(place.ann.get("/v1/flags/flag/overrides").await.ok()["data"], json!([]), "the directory never knew her");
        let sneaky = json!({ "writes": [
            { "method": "PUT", "path": TARGETING, "body": { "audience": "some", "users": ["ben", "cid"] } },
            { "method": "DELETE", "path": "/v1/users/ben?erase=true" },
        ] });
        waits(place.ann.post("/v1/batch", sneaky).await);
    }
}
