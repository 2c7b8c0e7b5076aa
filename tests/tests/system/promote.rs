//! `POST /v1/flags/{flag}/environments/{environment}/promote`: one environment's setting becomes another's.

use flagbearer_tests::{TestServer, on_both_engines};
use serde_json::{Value, json};

const STAGING: &str = "/v1/flags/f/environments/staging";
const PRODUCTION: &str = "/v1/flags/f/environments/production";

on_both_engines! {
    async fn a_promoted_setting_is_the_same_there_and_its_differences_are_told(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        admin.post("/v1/segments", json!({ "key": "early", "users": ["ann"] })).await.ok();
        let rule = json!({ "audience": { "type": "some", "segments": ["early"] }, "serve": { "value": true } });
        admin.put(STAGING, json!({ "enabled": true, "rules": [rule] })).await.ok();
        admin.put(PRODUCTION, json!({ "enabled": true, "value": false })).await.ok();

        let preview = format!("{STAGING}/promote?preview=true");
        let foretold = admin.post(&preview, json!({ "to": "production" })).await.ok();
        let promoted = admin.post(&format!("{STAGING}/promote"), json!({ "to": "production" })).await.ok();
        assert_eq!(foretold["effect"], "widened");
        assert_eq!(foretold["differences"], promoted["differences"]);

        let setting = admin.get(STAGING).await.ok();
        assert_eq!(promoted["effect"], "widened");
        assert_eq!(promoted["setting"]["rules"], setting["rules"]);
        assert_eq!(promoted["differences"], json!([
            { "pointer": "/rules/0", "after": setting["rules"][0] },
            { "pointer": "/value", "before": false, "after": null },
        ]));
        assert_eq!(admin.get(PRODUCTION).await.ok()["rules"], setting["rules"]);
        assert_eq!(admin.value("production", "ann", "", "f").await, true);
        let change = admin.get(&format!("/v1/changes/{}", promoted["revision"])).await.ok();
        assert_eq!(change["environments"], json!(["production"]));

        let foretold = admin.post(&preview, json!({ "to": "production" })).await.ok();
        assert_eq!((&foretold["differences"], &foretold["effect"]), (&json!([]), &json!("unchanged")));
        assert_eq!(foretold["sessions"]["count"], 0);
        let again = admin.post(&format!("{STAGING}/promote"), json!({ "to": "production" })).await.ok();
        assert_eq!((&again["differences"], &again["effect"]), (&json!([]), &json!("unchanged")));
    }

    async fn what_cannot_be_promoted_is_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let promote = |path: &str, body: Value| {
            let (admin, path) = (admin.clone(), format!("{path}/promote"));
            async move { admin.post(&path, body).await }
        };
        promote(STAGING, json!({})).await.refused(400, "MEMBER_MISSING");
        promote(STAGING, json!({ "to": "production", "value": 1 })).await.refused(400, "MEMBER_UNKNOWN");
        let same = promote(STAGING, json!({ "to": "staging" })).await.refused(422, "VALUE_INVALID");
        assert_eq!(same["errors"][0]["pointer"], "/to");
        promote(STAGING, json!({ "to": "nowhere" })).await.refused(404, "ENVIRONMENT_NOT_FOUND");
        promote("/v1/flags/f/environments/nowhere", json!({ "to": "staging" })).await.refused(404, "ENVIRONMENT_NOT_FOUND");
        promote("/v1/flags/g/environments/staging", json!({ "to": "production" })).await.refused(404, "FLAG_NOT_FOUND");

        let key = json!({ "name": "staging", "role": "editor", "environment": "staging" });
        let key = admin.post("/v1/api-keys", key).await.ok()["key"].clone();
        let staging = server.api(key.as_str().expect("a key"));
        staging.post(&format!("{STAGING}/promote"), json!({ "to": "production" })).await.refused(403, "FORBIDDEN");
        staging.post(&format!("{PRODUCTION}/promote"), json!({ "to": "staging" })).await.refused(403, "FORBIDDEN");

        admin.put(PRODUCTION, json!({ "enabled": true, "value": true })).await.ok();
        admin.patch("/v1/environments/production", json!({ "protected": true })).await.ok();
        let promoted = promote(STAGING, json!({ "to": "production" })).await;
        promoted.refused(409, "CONFIRMATION_REQUIRED");
        assert_eq!(admin.get(PRODUCTION).await.ok()["value"], true);
    }
}
