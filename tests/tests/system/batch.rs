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
        assert_eq!(refused.body["detail"], "write 3: there is no flag `nowhere`");
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
