//! Every flag for one organization or one user, with the level that each value comes from.

use flagbearer_tests::{TestServer, on_both_engines};
use serde_json::json;

on_both_engines! {
    async fn each_flag_of_an_organization_says_the_level_it_comes_from(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for flag in ["by_default", "by_environment", "by_organization", "by_rule", "off"] {
            admin.flag(flag, "string", json!("default")).await;
        }
        let setting = |flag: &str| format!("/v1/flags/{flag}/environments/production");
        admin.put(&setting("by_environment"), json!({ "enabled": true, "value": "environment" })).await.ok();
        let rule = json!({ "audience": { "type": "some", "organizations": ["org_a"] }, "serve": { "value": "rule" } });
        admin.put(&setting("by_rule"), json!({ "enabled": true, "rules": [rule] })).await.ok();
        admin.put(&setting("off"), json!({ "enabled": false })).await.ok();
        let path = "/v1/flags/by_organization/organizations/org_a?environment=production";
        let written = admin.put(path, json!({ "value": "organization" })).await.ok();

        let found = admin.get("/v1/organizations/org_a/flags?environment=production").await.ok();
        assert_eq!(found, json!({
            "revision": written["revision"], "at": "2027-01-15T08:00:00Z", "environment": "production",
            "user": null, "organization": "org_a",
            "flags": {
                "by_default": { "type": "string", "value": "default", "reason": "DEFAULT", "level": "default" },
                "by_environment": { "type": "string", "value": "environment", "reason": "ENVIRONMENT", "level": "environment" },
                "by_organization":
                    { "type": "string", "value": "organization", "reason": "ORGANIZATION_OVERRIDE", "level": "organization" },
                "by_rule": { "type": "string", "value": "rule", "reason": "TARGETING_MATCH", "level": "rule", "rule": 0 },
                "off": { "type": "string", "value": "default", "reason": "DISABLED", "level": "disabled" },
            },
        }));
        let other = admin.get("/v1/organizations/org_a/flags?environment=staging").await.ok();
        assert_eq!(other["flags"]["by_rule"]["level"], "default", "environments are independent");
    }

    async fn the_flags_of_a_user_are_those_of_its_next_token(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("beta", "boolean", json!(false)).await;
        admin.flag("limit", "integer", json!(1)).await;
        admin.put("/v1/flags/beta/users/alice", json!({ "value": true })).await.ok();
        let path = "/v1/flags/limit/organizations/org_a?environment=production";
        admin.put(path, json!({ "value": 7 })).await.ok();
        let application = admin.application("production").await;
        let tokens = admin.session(&application, "alice", Some("org_a")).await;

        let found = admin.get("/v1/users/alice/flags?environment=production&organization=org_a").await.ok();
        assert_eq!(found["revision"], tokens["flags_rev"]);
        for (flag, level) in [("beta", "user"), ("limit", "organization")] {
            assert_eq!(found["flags"][flag]["value"], tokens["feature_flags"][flag]["v"]);
            assert_eq!(found["flags"][flag]["level"], level);
        }
        let alone = admin.get("/v1/users/alice/flags?environment=production").await.ok();
        assert_eq!(alone["flags"]["limit"]["level"], "default", "outside of any organization");
        assert_eq!(alone["flags"]["beta"]["level"], "user");
    }

    async fn what_is_missing_or_not_allowed_is_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.get("/v1/users/alice/flags").await.refused(400, "PARAMETER_MISSING");
        admin.get("/v1/users/alice/flags?environment=nope").await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.get("/v1/organizations/a/flags?environment=production&user=b").await.refused(400, "PARAMETER_UNKNOWN");
        let bound = server.api(&admin.key("viewer", Some("staging")).await);
        bound.get("/v1/users/alice/flags?environment=production").await.refused(403, "FORBIDDEN");
        bound.get("/v1/organizations/org_a/flags?environment=staging").await.ok();
    }
}
