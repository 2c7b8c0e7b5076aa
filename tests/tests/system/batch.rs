//! Batches: several writes as one change, or nothing at all.

use flagbearer_tests::{TestServer, on_both_engines};
use serde_json::{Value, json};

fn write(method: &str, path: &str, body: Value) -> Value {
    json!({ "method": method, "path": path, "body": body })
}

/// A flag `launch`, on for one organization, and a segment of early users: three writes of which each needs the one before.
fn launch() -> Vec<Value> {
    let targeting = json!({ "audience": "some", "organizations": ["org_a"], "segments": ["early"] });
    vec![
        write("POST", "/v1/segments", json!({ "key": "early", "users": ["ann"] })),
        write("POST", "/v1/flags", json!({ "key": "launch", "type": "boolean", "default_value": false })),
        write("PUT", "/v1/flags/launch/environments/production/targeting", targeting),
    ]
}

on_both_engines! {
    async fn a_batch_is_one_change_with_one_revision_and_one_effect(engine: Engine) {
        let server = TestServer::start(engine).await;
        let before = server.admin().get("/v1/changes?limit=1").await.ok()["data"][0]["revision"].as_i64().expect("a revision");

        let answer = server.admin().post("/v1/batch", json!({ "comment": "launch day", "writes": launch() })).await.ok();

        assert_eq!(answer["revision"], before + 1);
        assert_eq!(answer["effect"], "widened");
        let answers = answer["answers"].as_array().expect("what each write answered");
        assert_eq!(answers.len(), 3);
        assert_eq!(answers[1]["key"], "launch");
        let change = server.admin().get(&format!("/v1/changes/{}", before + 1)).await.ok();
        assert_eq!(change["comment"], "launch day");
        let entities: Vec<_> = change["edits"].as_array().expect("edits").iter().map(|edit| edit["entity"].clone()).collect();
        assert_eq!(entities, ["segment", "flag", "setting"]);
        let evaluated = server.admin().get("/v1/evaluate?environment=production&user=ann").await.ok();
        assert_eq!(evaluated["flags"]["launch"]["value"], true);
    }

    async fn one_refused_write_of_a_batch_leaves_nothing_of_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let before = server.admin().get("/v1/changes?limit=1").await.ok()["data"][0]["revision"].clone();
        let mut writes = launch();
        writes.push(write("PUT", "/v1/flags/nowhere/environments/production/targeting", json!({ "audience": "all" })));

        let refused = server.admin().post("/v1/batch", json!({ "writes": writes })).await;

        assert_eq!(refused.status, 404, "{}", refused.text);
        assert_eq!(refused.body["code"], "FLAG_NOT_FOUND");
        assert_eq!(refused.body["detail"], "write 3: there is no flag `nowhere`; none of the batch is written");
        assert_eq!(refused.body["errors"][0]["pointer"], "/writes/3");
        assert_eq!(refused.body["errors"][0]["code"], "FLAG_NOT_FOUND");
        assert_eq!(server.admin().get("/v1/flags/launch").await.status, 404);
        assert_eq!(server.admin().get("/v1/segments/early").await.status, 404);
        assert_eq!(server.admin().get("/v1/changes?limit=1").await.ok()["data"][0]["revision"], before);
    }

    async fn what_is_wrong_with_a_write_of_a_batch_says_where(engine: Engine) {
        let server = TestServer::start(engine).await;
        let mut writes = launch();
        writes[1]["body"]["default_value"] = json!("no");

        let refused = server.admin().post("/v1/batch", json!({ "writes": writes })).await;

        assert_eq!(refused.status, 422, "{}", refused.text);
        assert_eq!(refused.body["errors"][0]["pointer"], "/writes/1/body/default_value");
    }

    async fn two_writes_to_one_document_are_two_edits_and_the_last_counts(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        admin.post("/v1/users", json!({ "id": "ann" })).await.ok();
        let setting = "/v1/flags/f/environments/production";
        let writes = json!({ "writes": [
            write("PUT", setting, json!({ "enabled": true, "value": true })),
            write("PUT", &format!("{setting}/targeting"), json!({ "audience": "some", "users": ["ann"], "value": false })),
            write("POST", "/v1/users", json!({ "id": "ben" })),
            write("PATCH", "/v1/users/ben", json!({ "attributes": { "plan": "free" } })),
        ] });
        let done = admin.post("/v1/batch", writes).await.ok();
        let found = admin.get(setting).await;
        assert_eq!(found.header("etag"), format!("\"{}\"", done["revision"]));
        assert_eq!((&found.body["value"], &found.body["rules"][0]["serve"]["value"]), (&json!(true), &json!(false)));
        let change = admin.get(&format!("/v1/changes/{}", done["revision"])).await.ok();
        let edits = change["edits"].as_array().expect("edits");
        assert_eq!(edits[0]["after"], edits[1]["before"]);
        assert_eq!(admin.get("/v1/users/ben").await.ok()["attributes"], json!({ "plan": "free" }));
        let then = format!("/v1/evaluate?environment=production&user=ann&revision={}", done["revision"]);
        assert_eq!(admin.get(&then).await.ok()["flags"]["f"]["value"], false, "the past is what the last one left");
    }

    async fn each_write_has_its_own_match_and_a_batch_has_none(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = admin.flag("f", "boolean", json!(false)).await;
        let matching = |revision: &Value| {
            let mut patch = write("PATCH", "/v1/flags/f", json!({ "name": "F" }));
            patch["if_match"] = json!(format!("\"{revision}\""));
            json!({ "writes": [write("POST", "/v1/segments", json!({ "key": "s" })), patch] })
        };
        let refused = admin.post("/v1/batch", matching(&json!(1))).await.refused(412, "REVISION_MISMATCH");
        assert_eq!(refused["errors"][0]["pointer"], "/writes/1");
        admin.get("/v1/segments/s").await.refused(404, "SEGMENT_NOT_FOUND");
        let request = admin.request(reqwest::Method::POST, "/v1/batch").header("if-match", "\"1\"");
        admin.send(request.json(&matching(&flag["revision"]))).await.refused(400, "HEADER_INVALID");
        admin.post("/v1/batch", matching(&flag["revision"])).await.ok();
        assert_eq!(admin.get("/v1/flags/f").await.ok()["name"], "F");
    }

    async fn a_batch_may_do_what_each_of_its_writes_may_and_confirms_once_for_all(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(true)).await;
        let key = json!({ "name": "staging", "role": "editor", "environment": "staging" });
        let key = admin.post("/v1/api-keys", key).await.ok()["key"].clone();
        let staging = server.api(key.as_str().expect("a key"));
        let off = |environment: &str| write("PUT", &format!("/v1/flags/f/environments/{environment}"), json!({ "enabled": false }));
        let both = json!({ "writes": [off("staging"), off("production")] });
        let refused = staging.post("/v1/batch", both.clone()).await.refused(403, "FORBIDDEN");
        assert_eq!(refused["errors"][0]["pointer"], "/writes/1");
        assert_eq!(admin.get("/v1/flags/f/environments/staging").await.ok()["enabled"], true);
        admin.patch("/v1/environments/production", json!({ "protected": true })).await.ok();
        let refused = admin.post("/v1/batch", both.clone()).await.refused(409, "CONFIRMATION_REQUIRED");
        let environments: Vec<_> = refused["listing"].as_array().expect("a listing").iter().map(|held| held["environment"].clone()).collect();
        assert_eq!(environments, ["production"]);
        admin.post("/v1/batch?confirm=narrowing", both).await.ok();
        staging.post("/v1/batch", json!({ "writes": [off("staging")] })).await.ok();
    }

    async fn a_retried_batch_is_answered_as_before_secrets_and_all(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let writes = json!({ "writes": [
            write("POST", "/v1/api-keys", json!({ "name": "ci", "role": "viewer" })),
            write("POST", "/v1/applications", json!({ "name": "app", "environment": "production" })),
        ] });
        let send = async |body: &Value| {
            let request = admin.request(reqwest::Method::POST, "/v1/batch").header("idempotency-key", "once");
            admin.send(request.json(body)).await
        };
        let first = send(&writes).await.ok();
        assert_eq!(send(&writes).await.ok(), first);
        send(&json!({ "writes": launch() })).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
        let key = first["answers"][0]["key"].as_str().expect("the key, shown once");
        assert_eq!(server.api(key).get("/v1/flags").await.status, 200);
        assert!(first["answers"][1]["client_secret"].is_string());
        assert_eq!(admin.get("/v1/changes?limit=1").await.ok()["data"][0]["revision"], first["revision"]);
    }

    async fn batches_and_single_writes_at_once_come_one_after_the_other_and_each_whole(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for key in ["a", "b"] {
            admin.flag(key, "integer", json!(0)).await;
        }
        let value = |key: &str, number: i64| {
            let body = json!({ "enabled": true, "value": number });
            write("PUT", &format!("/v1/flags/{key}/environments/production"), body)
        };
        let mut writers = Vec::new();
        for number in 1..=8 {
            let (admin, both) = (admin.clone(), json!({ "writes": [value("a", number), value("b", number)] }));
            writers.push(tokio::spawn(async move { admin.post("/v1/batch", both).await.ok() }));
            let (admin, fails) = (server.admin(), json!({ "writes": [value("a", -number), value("nowhere", 0)] }));
            writers.push(tokio::spawn(async move { admin.post("/v1/batch", fails).await.refused(404, "FLAG_NOT_FOUND") }));
        }
        let reader = tokio::spawn({
            let admin = admin.clone();
            async move {
                for _ in 0..40 {
                    let flags = admin.get("/v1/evaluate?environment=production&user=ann").await.ok()["flags"].clone();
                    assert_eq!(flags["a"]["value"], flags["b"]["value"], "half a batch was seen");
                }
            }
        });
        let mut revisions = Vec::new();
        for writer in writers {
            revisions.extend(writer.await.expect("it is answered")["revision"].as_i64());
        }
        reader.await.expect("no batch was seen by half");
        revisions.sort_unstable();
        assert_eq!(revisions.len(), 8);
        assert!(revisions.windows(2).all(|pair| pair[0] + 1 == pair[1]), "refused batches take no revision: {revisions:?}");
    }

    async fn a_batch_has_at_most_a_thousand_writes_and_a_megabyte(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let user = |number: usize| write("PUT", &format!("/v1/flags/f/users/u{number}"), json!({ "value": true }));
        let many = |writes: usize| json!({ "writes": (0..writes).map(user).collect::<Vec<_>>() });
        admin.post("/v1/batch", many(1001)).await.refused(422, "BATCH_SIZE");
        let mut large = many(1);
        large["comment"] = json!("x".repeat(1024 * 1024));
        admin.post("/v1/batch", large).await.refused(413, "BODY_TOO_LARGE");
        let done = admin.post("/v1/batch", many(1000)).await.ok();
        assert_eq!(done["effect"], "widened");
        let change = admin.get(&format!("/v1/changes/{}", done["revision"])).await.ok();
        assert_eq!(change["edits"].as_array().map(Vec::len), Some(1000));
        let reverted = admin.post(&format!("/v1/changes/{}/revert", done["revision"]), Value::Null).await.ok();
        assert_eq!(reverted["effect"], "narrowed");
        assert_eq!(admin.get("/v1/flags/f/overrides").await.ok()["data"], json!([]));
    }
}

#[tokio::test]
async fn a_batch_refuses_what_is_no_write_or_makes_no_change() {
    let server = TestServer::start(flagbearer_tests::Engine::Sqlite).await;
    let session = json!({ "application": "x", "user": "ann" });
    for (status, code, write) in [
        (422, "VALUE_INVALID", write("GET", "/v1/flags", Value::Null)),
        (422, "VALUE_INVALID", write("POST", "http://elsewhere.example/v1/flags", Value::Null)),
        (422, "VALUE_INVALID", write("POST", "/oauth2/token", Value::Null)),
        (422, "BATCH_REFUSED", write("POST", "/v1/sessions", session)),
        (422, "BATCH_REFUSED", write("POST", "/v1/explain", json!({ "token": "x" }))),
        (422, "BATCH_REFUSED", write("POST", "/v1/users", json!({ "id": "ann", "password": "a good long password" }))),
        (422, "BATCH_REFUSED", write("POST", "/v1/environments", json!({ "name": "preview" }))),
        (422, "BATCH_REFUSED", write("DELETE", "/v1/environments/staging?confirm=staging", Value::Null)),
        (422, "BATCH_REFUSED", write("POST", "/v1/signing-keys/rotate", json!({ "environment": "staging" }))),
        (404, "ROUTE_NOT_FOUND", write("POST", "/v1/batch", json!({ "writes": [] }))),
        (405, "METHOD_NOT_ALLOWED", write("PUT", "/v1/flags", Value::Null)),
        (400, "PARAMETER_UNKNOWN", write("POST", "/v1/flags?urgent=true", Value::Null)),
        (400, "BODY_UNEXPECTED", write("DELETE", "/v1/flags/x", json!({ "a": 1 }))),
    ] {
        let refused = server.admin().post("/v1/batch", json!({ "writes": [write] })).await;
        assert_eq!((refused.status, refused.body["code"].as_str()), (status, Some(code)), "{write}: {}", refused.text);
    }
    let empty = server.admin().post("/v1/batch", json!({ "writes": [] })).await;
    assert_eq!((empty.status, empty.body["code"].as_str()), (422, Some("BATCH_SIZE")));
}
