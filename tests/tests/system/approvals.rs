//! Approvals: where an environment asks for it, what decides who is served what waits for a second administrator, and is then
//! one change of whoever proposed it.

use flagbearer_tests::{Answer, Api, Engine, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

pub const SETTING: &str = "/v1/flags/flag/environments/production";
pub const TARGETING: &str = "/v1/flags/flag/environments/production/targeting";

/// An installation where production asks for a second administrator; a flag is there, off for everybody.
pub struct Place {
    pub server: TestServer,
    /// Who proposes.
    pub ann: Api,
    /// Who approves.
    pub bob: Api,
}

impl Place {
    pub async fn start(engine: Engine) -> Self {
        let server = TestServer::start(engine).await;
        let ann = server.admin();
        let bob = server.api(&ann.key("administrator", None).await);
        ann.flag("flag", "boolean", json!(false)).await;
        ann.patch("/v1/environments/production", json!({ "approvals": true })).await.ok();
        Self { server, ann, bob }
    }

    pub async fn value(&self) -> Value {
        self.ann.value("production", "alice", "org_x", "flag").await
    }

    pub async fn revision(&self) -> i64 {
        self.ann.get("/v1/changes?limit=1").await.ok()["data"][0]["revision"].as_i64().expect("a revision")
    }

    /// Proposes to switch the flag on for everybody.
    async fn proposed(&self) -> (String, Value) {
        waits(self.ann.put(TARGETING, json!({ "audience": "all" })).await)
    }
}

/// The path and the document of what has to wait.
#[track_caller]
pub fn waits(answer: Answer) -> (String, Value) {
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.body["state"], "pending");
    (format!("/v1/pending-changes/{}", answer.body["id"].as_str().expect("an id")), answer.body)
}

pub async fn approve(api: &Api, path: &str) -> Answer {
    api.post(&format!("{path}/approve"), Value::Null).await
}

on_both_engines! {
    async fn a_change_is_made_when_a_second_administrator_approves_it(engine: Engine) {
        let place = Place::start(engine).await;
        let before = place.revision().await;
        let request = place.ann.request(Method::PUT, TARGETING).header("x-change-comment", "launch day");
        let (path, pending) = waits(place.ann.send(request.json(&json!({ "audience": "all" }))).await);
        assert_eq!((place.value().await, place.revision().await), (json!(false), before), "nothing has happened yet");
        let ann = json!({ "type": "api_key", "id": "configured", "name": "configured administrator" });
        assert_eq!((&pending["author"], &pending["comment"]), (&ann, &json!("launch day")));
        assert_eq!((&pending["effect"], &pending["base_revision"]), (&json!("widened"), &json!(before)));
        assert_eq!(pending["environments"], json!(["production"]));
        let write = json!({ "method": "PUT", "path": TARGETING, "body": { "audience": "all" } });
        assert_eq!(pending["writes"], json!([write]));

        let said = place.bob.post(&format!("{path}/comments"), json!({ "text": "sure?" })).await;
        assert_eq!((said.status, &said.body["text"]), (201, &json!("sure?")), "{}", said.text);
        let shown = place.bob.get(&format!("{path}?preview=true")).await.ok();
        assert_eq!((&shown["comments"][0]["text"], &shown["later_changes"]), (&json!("sure?"), &json!([])));
        assert_eq!((&shown["preview"]["applies"], &shown["preview"]["effect"]), (&json!(true), &json!("widened")));
        assert_eq!((place.value().await, place.revision().await), (json!(false), before), "a preview writes nothing");

        approve(&place.ann, &path).await.refused(403, "OWN_CHANGE");
        let made = approve(&place.bob, &path).await.ok();
        assert_eq!((&made["revision"], &made["effect"]), (&json!(before + 1), &json!("widened")));
        assert_eq!((place.value().await, place.revision().await), (json!(true), before + 1));
        let change = place.ann.get(&format!("/v1/changes/{}", before + 1)).await.ok();
        assert_eq!((&change["actor"], &change["comment"]), (&ann, &json!("launch day")), "it is the author's change");
        let approval = &change["approval"];
        assert_eq!((&approval["pending_change"], &approval["actor"]["name"]), (&pending["id"], &json!("administrator")));
        let after = place.ann.get(&path).await.ok();
        assert_eq!((&after["state"], &after["revision"]), (&json!("applied"), &json!(before + 1)));
        assert_eq!(after["decision"]["actor"], approval["actor"]);
        approve(&place.bob, &path).await.refused(409, "PENDING_CHANGE_DECIDED");
        place.bob.post(&format!("{path}/reject"), Value::Null).await.refused(409, "PENDING_CHANGE_DECIDED");
    }

    async fn whatever_touches_such_an_environment_waits_and_what_does_not_is_done(engine: Engine) {
        let place = Place::start(engine).await;
        let ann = &place.ann;
        let before = place.revision().await;
        let batch = json!({ "comment": "both", "writes": [
            { "method": "PUT", "path": "/v1/flags/flag/environments/staging", "body": { "enabled": false } },
            { "method": "PUT", "path": SETTING, "body": { "enabled": false } },
        ] });
        let organization = "/v1/flags/flag/organizations/org_x?environment=production";
        for (method, path, body) in [
            (Method::PUT, SETTING, json!({ "enabled": false })),
            (Method::PUT, TARGETING, json!({ "audience": "all" })),
            (Method::PUT, organization, json!({ "value": true })),
            (Method::PUT, "/v1/flags/flag/users/alice", json!({ "value": true })),
            (Method::PATCH, "/v1/flags/flag", json!({ "default_value": true })),
            (Method::POST, "/v1/flags", json!({ "key": "other", "type": "boolean", "default_value": true })),
            (Method::POST, "/v1/segments", json!({ "key": "more", "users": [] })),
            (Method::POST, "/v1/batch", batch.clone()),
            (Method::DELETE, "/v1/flags/flag?confirm=flag", Value::Null),
            (Method::PATCH, "/v1/environments/production", json!({ "approvals": false })),
        ] {
            let request = ann.request(method, path);
            let request = if body.is_null() { request } else { request.json(&body) };
            waits(ann.send(request).await);
        }
        assert_eq!(place.revision().await, before, "none of it has happened");
        let waiting = ann.get("/v1/pending-changes?state=pending&environment=production").await.ok();
        assert_eq!(waiting["data"].as_array().map(Vec::len), Some(10));

        ann.put("/v1/flags/flag/environments/staging", json!({ "enabled": true })).await.ok();
        ann.post("/v1/users", json!({ "id": "carol", "attributes": { "plan": "free" } })).await.ok();
        ann.patch("/v1/users/carol", json!({ "attributes": { "plan": "paid" } })).await.ok();
        assert_eq!(ann.delete("/v1/users/carol").await.status, 200, "the directory is no decision of administrators");
        let killed = ann.post(&format!("{SETTING}/kill"), json!({})).await;
        assert_eq!(killed.status, 200, "a kill never waits: {}", killed.text);
        waits(ann.delete(&format!("{SETTING}/kill")).await);
    }

    async fn a_batch_is_approved_as_one_change_and_switching_approvals_off_needs_one(engine: Engine) {
        let place = Place::start(engine).await;
        let writes = json!([
            { "method": "POST", "path": "/v1/flags", "body": { "key": "new", "type": "boolean", "default_value": false } },
            { "method": "PUT", "path": "/v1/flags/new/environments/production/targeting", "body": { "audience": "all" } },
        ]);
        let (path, pending) = waits(place.ann.post("/v1/batch", json!({ "comment": "both", "writes": writes })).await);
        assert_eq!(pending["writes"], writes);
        let before = place.revision().await;
        let made = approve(&place.bob, &path).await.ok();
        assert_eq!(made["revision"], before + 1);
        let change = place.ann.get(&format!("/v1/changes/{}", before + 1)).await.ok();
        assert_eq!((change["edits"].as_array().map(Vec::len), &change["comment"]), (Some(2), &json!("both")));

        // Not even within a batch that would do without from its second write on.
        let sneaky = json!({ "writes": [
            { "method": "PATCH", "path": "/v1/environments/production", "body": { "approvals": false } },
            { "method": "PUT", "path": TARGETING, "body": { "audience": "all" } },
        ] });
        waits(place.ann.post("/v1/batch", sneaky).await);
        let (path, _) = waits(place.ann.patch("/v1/environments/production", json!({ "approvals": false })).await);
        approve(&place.bob, &path).await.ok();
        assert_eq!(place.ann.get("/v1/environments/production").await.ok()["approvals"], false);
        place.ann.put(TARGETING, json!({ "audience": "all" })).await.ok();
        assert_eq!(place.value().await, true);
    }

    async fn what_was_changed_since_is_shown_before_it_is_overwritten(engine: Engine) {
        let place = Place::start(engine).await;
        let (first, _) = place.proposed().await;
        let off = json!({ "enabled": true, "rules": [] });
        let (second, _) = waits(place.bob.put(SETTING, off).await);
        approve(&place.ann, &second).await.ok();
        let later = place.revision().await;
        assert_eq!(place.ann.get(&first).await.ok()["later_changes"][0]["revision"], later);
        let refused = approve(&place.bob, &first).await.refused(409, "CONFIRMATION_REQUIRED");
        let listing = &refused["listing"][0];
        assert_eq!((&listing["revision"], &listing["actor"]["name"]), (&json!(later), &json!("administrator")));
        assert_eq!(listing["touches"][0]["entity"], "setting");
        assert_eq!(place.ann.get(&first).await.ok()["state"], "pending");
        place.bob.post(&format!("{first}/approve?confirm=later-changes"), Value::Null).await.ok();
        assert_eq!(place.value().await, true);

        // What is about something else does not matter.
        let (third, _) = waits(place.ann.put(SETTING, json!({ "enabled": false })).await);
        place.ann.put("/v1/flags/flag/environments/staging", json!({ "enabled": false })).await.ok();
        approve(&place.bob, &third).await.ok();
        assert_eq!(place.value().await, false);
    }

    async fn what_no_longer_applies_is_refused_and_stays_pending(engine: Engine) {
        let place = Place::start(engine).await;
        let (path, _) = place.proposed().await;
        let (gone, _) = waits(place.ann.delete("/v1/flags/flag?confirm=flag").await);
        approve(&place.bob, &gone).await.ok();
        let before = place.revision().await;
        let refused = approve(&place.bob, &path).await.refused(409, "PENDING_CHANGE_INAPPLICABLE");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("there is no flag `flag`")), "{refused}");
        let preview = place.bob.get(&format!("{path}?preview=true")).await.ok()["preview"].clone();
        assert_eq!((&preview["applies"], &preview["code"]), (&json!(false), &json!("PENDING_CHANGE_INAPPLICABLE")));
        assert_eq!(place.ann.get(&path).await.ok()["state"], "pending");
        assert_eq!(place.revision().await, before);
        place.bob.post(&format!("{path}/withdraw"), Value::Null).await.refused(403, "FORBIDDEN");
        let request = place.ann.request(Method::POST, &format!("{path}/withdraw")).header("x-change-comment", "too late");
        let withdrawn = place.ann.send(request).await.ok();
        assert_eq!((&withdrawn["state"], &withdrawn["decision"]["comment"]), (&json!("withdrawn"), &json!("too late")));
    }

    async fn administrators_who_approve_and_reject_at_once_come_to_one_decision(engine: Engine) {
        let place = Place::start(engine).await;
        let other = place.server.replica().await;
        let carol = other.api(&place.ann.key("administrator", None).await);
        let mut outcomes = [0, 0];
        for round in 0..12 {
            let audience = if round % 2 == 0 { "all" } else { "none" };
            let (path, _) = waits(place.ann.put(TARGETING, json!({ "audience": audience })).await);
            let before = place.revision().await;
            let (approving, rejecting) = (format!("{path}/approve"), format!("{path}/reject"));
            let answers = tokio::join!(
                place.bob.post(&approving, Value::Null),
                carol.post(&rejecting, Value::Null),
                carol.post(&approving, Value::Null),
                place.bob.post(&rejecting, Value::Null),
            );
            let answers = [answers.0, answers.1, answers.2, answers.3];
            let won: Vec<usize> = (0..4).filter(|at| answers[*at].status == 200).collect();
            assert_eq!(won.len(), 1, "{answers:?}");
            for answer in answers.iter().filter(|answer| answer.status != 200) {
                answer.clone().refused(409, "PENDING_CHANGE_DECIDED");
            }
            let approved = won[0].is_multiple_of(2);
            outcomes[won[0] % 2] += 1;
            let after = place.ann.get(&path).await.ok();
            assert_eq!(after["state"], if approved { "applied" } else { "rejected" });
            assert_eq!(place.revision().await, before + i64::from(approved));
        }
        println!("{engine:?}: {} approved, {} rejected", outcomes[0], outcomes[1]);
    }

    async fn who_may_do_what_is_said_by_the_role(engine: Engine) {
        let place = Place::start(engine).await;
        let keyed = async |role: &str, environment: Option<&str>| place.server.api(&place.ann.key(role, environment).await);
        let editor = keyed("editor", None).await;
        let (path, _) = waits(editor.put(TARGETING, json!({ "audience": "all" })).await);
        let application = keyed("application", None).await;
        let viewer = keyed("viewer", None).await;
        for api in [&editor, &application, &viewer] {
            approve(api, &path).await.refused(403, "FORBIDDEN");
            api.post(&format!("{path}/reject"), Value::Null).await.refused(403, "FORBIDDEN");
        }
        for api in [&application, &viewer] {
            api.post(&format!("{path}/comments"), json!({ "text": "hm" })).await.refused(403, "FORBIDDEN");
        }
        assert_eq!(viewer.get(&path).await.status, 200);
        assert_eq!(editor.post(&format!("{path}/comments"), json!({ "text": "please" })).await.status, 201);
        editor.post(&format!("{path}/comments"), json!({ "text": " " })).await.refused(422, "TEXT_INVALID");
        editor.post(&format!("{path}/comments"), json!({})).await.refused(400, "MEMBER_MISSING");
        let elsewhere = keyed("administrator", Some("staging")).await;
        elsewhere.get(&path).await.refused(404, "PENDING_CHANGE_NOT_FOUND");
        approve(&elsewhere, &path).await.refused(404, "PENDING_CHANGE_NOT_FOUND");
        assert_eq!(elsewhere.get("/v1/pending-changes").await.ok()["data"], json!([]));
        approve(&place.bob, "/v1/pending-changes/pc_none").await.refused(404, "PENDING_CHANGE_NOT_FOUND");
        place.bob.get("/v1/pending-changes?state=lost").await.refused(400, "PARAMETER_INVALID");
        let here = keyed("administrator", Some("production")).await;
        approve(&here, &path).await.ok();
        assert_eq!(place.value().await, true);
        // What waits is not asked for twice by a retry.
        let body = json!({ "key": "twice", "type": "boolean", "default_value": true });
        let retry = || place.ann.request(Method::POST, "/v1/flags").header("idempotency-key", "once").json(&body);
        let first = place.ann.send(retry()).await;
        assert_eq!(place.ann.send(retry()).await.body, first.body);
        assert_eq!(waits(first).1["effect"], "widened");
        let waiting = place.ann.get("/v1/pending-changes?state=pending").await.ok();
        assert_eq!(waiting["data"].as_array().map(Vec::len), Some(1));
    }

    async fn what_others_surfaces_would_change_is_refused_since_they_cannot_wait(engine: Engine) {
        let place = Place::start(engine).await;
        let key = place.server.api(&place.ann.key("administrator", Some("production")).await);
        let refused = key.post("/feature-flags/flag/targets/org_x", json!({})).await;
        assert_eq!((refused.status, &refused.body["code"]), (409, &json!("APPROVAL_REQUIRED")), "{}", refused.text);
        assert_eq!(place.ann.get("/v1/pending-changes").await.ok()["data"], json!([]));
        assert_eq!(place.value().await, false);
    }
}
