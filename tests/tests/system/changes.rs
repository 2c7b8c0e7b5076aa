//! `/v1/changes`: who changed what, when, and from what to what.

use flagbearer_tests::{TestServer, on_both_engines};
use serde_json::{Value, json};

fn revisions(list: &Value) -> Vec<i64> {
    list["data"].as_array().expect("data").iter().map(|change| change["revision"].as_i64().expect("a revision")).collect()
}

fn revision(answer: &Value) -> i64 {
    answer["revision"].as_i64().expect("a revision")
}

on_both_engines! {
    async fn a_change_holds_the_documents_before_and_after(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = admin.flag("f", "boolean", json!(false)).await;
        server.clock.advance(90);
        let path = "/v1/flags/f/environments/staging";
        let first = admin.put(path, json!({ "enabled": true, "value": true })).await.ok();
        let second = admin.put(path, json!({ "enabled": false })).await.ok();
        let change = admin.get(&format!("/v1/changes/{}", second["revision"])).await.ok();
        assert_eq!(change["at"], "2027-01-15T08:01:30Z");
        assert_eq!(change["environments"], json!(["staging"]));
        assert_eq!(change["actor"]["type"], "api_key");
        assert_eq!(change["edits"], json!([{
            "entity": "setting", "id": flag["id"], "environment": "staging", "flag": flag["id"], "organization": null, "user": null,
            "before": first["setting"], "after": second["setting"], "differences": [
                { "pointer": "/enabled", "before": true, "after": false },
                { "pointer": "/value", "before": true, "after": null },
            ],
        }]));
        let created = admin.get(&format!("/v1/changes/{}", flag["revision"])).await.ok();
        assert_eq!(created["environments"], json!(["production", "staging"]));
        assert_eq!((&created["edits"][0]["before"], &created["edits"][0]["after"]["key"]), (&Value::Null, &json!("f")));

        admin.put("/v1/flags/f/users/alice", json!({ "value": true })).await.ok();
        let deleted = admin.delete("/v1/flags/f?confirm=f").await.ok();
        let deleted = admin.get(&format!("/v1/changes/{}", deleted["revision"])).await.ok();
        let entities: Vec<_> = deleted["edits"].as_array().expect("edits").iter().map(|edit| edit["entity"].clone()).collect();
        assert_eq!(entities, ["override", "setting", "flag"], "what goes with a flag is in the log too");
        assert!(deleted["edits"].as_array().expect("edits").iter().all(|edit| edit["after"].is_null()));
    }

    async fn every_write_takes_the_next_revision_even_where_it_changes_nothing(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let created = revision(&admin.flag("f", "boolean", json!(false)).await);
        let path = "/v1/flags/f/environments/production";
        for step in 1..=3 {
            let same = admin.put(path, json!({ "enabled": true })).await.ok();
            assert_eq!((revision(&same), &same["effect"]), (created + step, &json!("unchanged")));
        }
        admin.put(path, json!({ "enabled": "yes" })).await.refused(400, "MEMBER_MISTYPED");
        let next = admin.put(path, json!({ "enabled": false })).await.ok();
        assert_eq!(revision(&next), created + 4, "a refused write takes none");
        assert_eq!(admin.revision("production").await, created + 4);
        assert_eq!(admin.revision("staging").await, created);
    }

    async fn the_log_is_filtered_and_goes_on_from_its_cursor(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let f = revision(&admin.flag("f", "boolean", json!(false)).await);
        let g = revision(&admin.flag("g", "boolean", json!(false)).await);
        server.clock.advance(60);
        let other = admin.post("/v1/api-keys", json!({ "name": "ci", "role": "editor" })).await.ok();
        let editor = server.api(other["key"].as_str().expect("a key"));
        let put = async |path: &str, body: Value| revision(&editor.put(path, body).await.ok());
        let staging = put("/v1/flags/f/environments/staging", json!({ "enabled": false })).await;
        let user = put("/v1/flags/g/users/alice", json!({ "value": true })).await;
        server.clock.advance(60);
        let organization = put("/v1/flags/f/organizations/org_a?environment=production", json!({ "value": true })).await;

        let listed = async |filter: &str| revisions(&admin.get(&format!("/v1/changes?limit=200&{filter}")).await.ok());
        assert_eq!(listed("flag=f").await, [organization, staging, f], "the newest first");
        assert_eq!(listed("flag=g").await, [user, g]);
        assert_eq!(listed("user=alice").await, [user]);
        assert_eq!(listed("organization=org_a").await, [organization]);
        assert_eq!(listed("flag=f&environment=staging").await, [staging, f]);
        assert_eq!(listed(&format!("actor={}", other["id"].as_str().expect("an id"))).await, [organization, user, staging]);
        assert_eq!(listed("actor=nobody").await, Vec::<i64>::new());
        assert_eq!(listed("since=2027-01-15T08:02:00Z").await, [organization]);
        assert_eq!(listed("flag=g&since=2027-01-15T08:01:00Z&until=2027-01-15T08:02:00Z").await, [user]);
        assert_eq!(listed("flag=g&until=2027-01-15T08:01:00Z").await, [g], "until is exclusive");
        admin.get("/v1/changes?since=yesterday").await.refused(422, "TIME_INVALID");

        let everything = listed("").await;
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = admin.get(&format!("/v1/changes?limit=2{cursor}")).await.ok();
            found.extend(revisions(&page));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, everything);
        assert!(found.windows(2).all(|pair| pair[0] > pair[1]));
    }

    async fn what_is_said_of_a_change_afterwards_is_listed_with_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = revision(&admin.flag("f", "boolean", json!(false)).await);
        let key = json!({ "name": "staging", "role": "editor", "environment": "staging" });
        let key = admin.post("/v1/api-keys", key).await.ok();
        let staging = server.api(key["key"].as_str().expect("a key"));
        let last = async || admin.get("/v1/changes?limit=1").await.ok()["data"][0]["revision"].clone();
        let before = last().await;
        let path = format!("/v1/changes/{flag}/comments");
        let first = admin.post(&path, json!({ "text": "why\nthis?" })).await;
        assert_eq!(first.status, 201);
        server.clock.advance(60);
        let second = staging.post(&path, json!({ "text": "for the launch" })).await.ok();
        assert_eq!(second["at"], "2027-01-15T08:01:00Z");
        assert_eq!(second["actor"], json!({ "type": "api_key", "id": key["id"], "name": "staging" }));
        assert_eq!(last().await, before, "a comment changes nothing");
        let change = admin.get(&format!("/v1/changes/{flag}")).await.ok();
        assert_eq!(change["comments"], json!([first.body, second]));
        assert_eq!(change["comments"][0]["text"], "why\nthis?");

        let here = revision(&admin.put("/v1/flags/f/environments/production", json!({ "enabled": false })).await.ok());
        let elsewhere = staging.post(&format!("/v1/changes/{here}/comments"), json!({ "text": "hm" })).await;
        elsewhere.refused(404, "CHANGE_NOT_FOUND");
        let viewer = admin.post("/v1/api-keys", json!({ "name": "viewer", "role": "viewer" })).await.ok();
        let viewer = server.api(viewer["key"].as_str().expect("a key"));
        viewer.post(&path, json!({ "text": "hm" })).await.refused(403, "FORBIDDEN");
        admin.post(&path, json!({})).await.refused(400, "MEMBER_MISSING");
        for text in [json!(" \n"), json!("a\u{0}b"), json!("x".repeat(4097))] {
            admin.post(&path, json!({ "text": text })).await.refused(422, "TEXT_INVALID");
        }
        admin.post(&format!("{path}?urgent=true"), json!({ "text": "hm" })).await.refused(400, "PARAMETER_UNKNOWN");
        admin.post("/v1/changes/4711/comments", json!({ "text": "hm" })).await.refused(404, "CHANGE_NOT_FOUND");
        let batch = json!({ "writes": [{ "method": "POST", "path": path, "body": { "text": "hm" } }] });
        admin.post("/v1/batch", batch).await.refused(422, "BATCH_REFUSED");
        assert_eq!(admin.get(&format!("/v1/changes/{flag}")).await.ok()["comments"].as_array().map(Vec::len), Some(2));
    }

    async fn a_retried_comment_is_there_once_and_those_made_at_once_are_all_there(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = revision(&admin.flag("f", "boolean", json!(false)).await);
        let path = format!("/v1/changes/{flag}/comments");
        for _ in 0..2 {
            let request = admin.request(reqwest::Method::POST, &path).header("idempotency-key", "once");
            admin.send(request.json(&json!({ "text": "once" }))).await.ok();
        }
        let many: Vec<_> = (0..8).map(|number| json!({ "text": number.to_string() })).collect();
        let all = many.into_iter().map(|body| {
            let (admin, path) = (admin.clone(), path.clone());
            tokio::spawn(async move { admin.post(&path, body).await.ok() })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.expect("it is answered");
        }
        let comments = admin.get(&format!("/v1/changes/{flag}")).await.ok()["comments"].clone();
        assert_eq!(comments.as_array().map(Vec::len), Some(9), "{comments}");
    }
}
