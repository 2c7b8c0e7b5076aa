//! The one complete path: flags are set, a session starts, its token carries them, a rule changes, the next refresh shows it.

use flagbearer_tests::{TestServer, on_both_engines};
use serde_json::json;

on_both_engines! {
    async fn a_changed_rule_is_in_the_next_refresh(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/flags", json!({ "key": "new_ai_model", "type": "boolean", "default_value": false })).await.ok();
        let application = admin.application("production").await;
        let first = admin.session(&application, "kp_abc123", Some("org_xyz789")).await;
        assert_eq!(first["feature_flags"], json!({ "new_ai_model": { "t": "b", "v": false } }));

        let targeting = json!({ "audience": "some", "organizations": ["org_xyz789"] });
        let changed = admin.put("/v1/flags/new_ai_model/environments/production/targeting", targeting).await.ok();
        assert_eq!(changed["effect"], "widened");

        let second = admin.refreshed("", &application, &first).await;
        assert_eq!(second["feature_flags"], json!({ "new_ai_model": { "t": "b", "v": true } }));
        assert_eq!(second["flags_rev"], changed["revision"]);
    }
}
