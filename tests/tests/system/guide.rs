//! The WorkOS guide and the two incidents of issue 431 (`reference/`), on a running server.

use flagbearer_server::clock::Clock;
use flagbearer_tests::{Api, SignedIn, TestServer, on_both_engines};
use serde_json::{Value, json};

const FLAG: &str = "snippet-synthesis";

async fn target(admin: &Api, environment: &str, targeting: Value) -> Value {
    admin.put(&format!("/v1/flags/{FLAG}/environments/{environment}/targeting"), targeting).await.ok()
}

fn one(kind: &str, id: &str) -> String {
    format!("/v1/flags/{FLAG}/environments/production/targeting/{kind}/{id}")
}

on_both_engines! {
    async fn none_some_and_all_are_set_per_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag(FLAG, "boolean", json!(false)).await;
        let values = async |environment: &str| {
            let ours = admin.value(environment, "alice", "org_x", FLAG).await;
            (ours, admin.value(environment, "bob", "org_y", FLAG).await)
        };
        let some = json!({ "audience": "some", "organizations": ["org_x"] });
        assert_eq!(target(&admin, "staging", json!({ "audience": "all" })).await["effect"], "widened");
        assert_eq!(target(&admin, "production", some.clone()).await["effect"], "widened");
        assert_eq!(values("staging").await, (json!(true), json!(true)));
        assert_eq!(values("production").await, (json!(true), json!(false)));

        assert_eq!(target(&admin, "staging", some).await["effect"], "narrowed");
        assert_eq!(target(&admin, "production", json!({ "audience": "none" })).await["effect"], "narrowed");
        assert_eq!(values("staging").await, (json!(true), json!(false)));
        assert_eq!(values("production").await, (json!(false), json!(false)));
        assert_eq!(target(&admin, "production", json!({ "audience": "none" })).await["effect"], "unchanged");
    }

    async fn some_is_the_union_of_its_users_and_organizations(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag(FLAG, "boolean", json!(false)).await;
        let some = json!({ "audience": "some", "users": ["alice"], "organizations": ["org_x"] });
        target(&admin, "production", some).await;
        for (user, organization, expected) in [
            ("alice", "org_x", true),
            ("alice", "org_y", true),
            ("alice", "", true),
            ("bob", "org_x", true),
            ("bob", "org_y", false),
            ("", "org_x", true),
            ("", "org_y", false),
        ] {
            let value = admin.value("production", user, organization, FLAG).await;
            assert_eq!(value, expected, "`{user}` in `{organization}`");
        }
    }

    async fn single_targets_come_and_go(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag(FLAG, "boolean", json!(false)).await;
        let application = admin.application("production").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", Some("org_x")).await;

        let added = admin.put(&one("users", "alice"), json!({})).await.ok();
        assert_eq!(added["effect"], "widened");
        assert_eq!(added["setting"]["rules"][0]["audience"]["users"], json!(["alice"]));
        assert_eq!(added["setting"]["rules"][0]["serve"], json!({ "value": true }));
        assert_eq!(alice.refreshed_flag(FLAG).await, true);
        let added = admin.put(&one("organizations", "org_x"), json!({})).await.ok();
        assert_eq!(added["effect"], "widened");
        assert_eq!(admin.put(&one("users", "alice"), json!({})).await.ok()["effect"], "unchanged");

        let removed = admin.delete(&one("users", "alice")).await;
        assert_eq!(removed.status, 200, "{}", removed.text);
        assert_eq!(removed.ok()["effect"], "narrowed");
        assert_eq!(alice.refreshed_flag(FLAG).await, true, "her organization is still targeted");
        admin.delete(&one("organizations", "org_x")).await.ok();
        assert_eq!(alice.refreshed_flag(FLAG).await, false);
        assert_eq!(admin.delete(&one("organizations", "org_x")).await.ok()["effect"], "unchanged");

        target(&admin, "production", json!({ "audience": "all" })).await;
        let kept = admin.put(&one("users", "alice"), json!({})).await.ok();
        assert_eq!(kept["effect"], "unchanged");
        assert_eq!(kept["setting"]["rules"][0]["audience"], json!({ "type": "all" }), "all is more than one user");
        admin.delete(&one("users", "alice")).await.refused(422, "AUDIENCE_INVALID");
        assert_eq!(alice.refreshed_flag(FLAG).await, true);
    }

    async fn widening_from_one_organization_to_all_never_takes_the_flag_from_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag(FLAG, "boolean", json!(false)).await;
        let application = admin.application("production").await;
        let mut ours = SignedIn::start(&admin, &application, "alice", Some("org_x")).await;
        let mut others = SignedIn::start(&admin, &application, "bob", Some("org_y")).await;

        target(&admin, "production", json!({ "audience": "some", "organizations": ["org_x"] })).await;
        assert_eq!(ours.refreshed_flag(FLAG).await, true);
        assert_eq!(others.refreshed_flag(FLAG).await, false);

        let steps = [
            json!({ "audience": "some", "organizations": ["org_x", "org_z"] }),
            json!({ "audience": "some", "organizations": ["org_x", "org_y", "org_z"], "users": ["carol"] }),
            json!({ "audience": "all" }),
        ];
        for step in steps {
            let changed = target(&admin, "production", step.clone()).await;
            assert_eq!((&changed["effect"], &changed["holdouts"]), (&json!("widened"), &json!([])), "{step}");
            let flags = ours.refresh().await;
            assert_eq!(flags[FLAG]["v"], true, "{step}");
            assert_eq!(ours.tokens["flags_rev"], changed["revision"]);
        }
        assert_eq!(others.refreshed_flag(FLAG).await, true);
        let everybody = admin.get(&format!("/v1/flags/{FLAG}/environments/production")).await.ok();
        let rules = json!([{ "description": "", "audience": { "type": "all" }, "rollout": null,
            "serve": { "value": true }, "schedule": null }]);
        assert_eq!(everybody["rules"], rules, "nothing of the former lists is left behind");
    }

    async fn widening_by_whole_settings_and_rollouts_keeps_everybody_too(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag(FLAG, "boolean", json!(false)).await;
        let application = admin.application("production").await;
        let mut ours = SignedIn::start(&admin, &application, "alice", Some("org_x")).await;
        let path = format!("/v1/flags/{FLAG}/environments/production");
        let rule = |audience: Value, rollout: Value| {
            json!({ "enabled": true, "rules": [{ "audience": audience, "rollout": rollout, "serve": { "value": true } }] })
        };
        let only_us = json!({ "type": "some", "organizations": ["org_x"] });
        let changed = admin.put(&path, rule(only_us, Value::Null)).await.ok();
        assert_eq!(changed["effect"], "widened");
        let to_everybody = [
            (json!({ "type": "some", "organizations": ["org_x", "org_y"] }), Value::Null),
            (json!({ "type": "all" }), json!({ "by": "organization", "percentage": 100 })),
            (json!({ "type": "all" }), Value::Null),
        ];
        for (audience, rollout) in to_everybody {
            let changed = admin.put(&path, rule(audience.clone(), rollout)).await.ok();
            assert_ne!(changed["effect"], "narrowed", "{audience}");
            assert_eq!(ours.refreshed_flag(FLAG).await, true, "{audience}");
        }
    }

    async fn one_user_in_production_and_everybody_in_staging_do_not_meet(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag(FLAG, "boolean", json!(false)).await;
        let [production, staging] = [admin.application("production").await, admin.application("staging").await];
        let mut alice = SignedIn::start(&admin, &production, "alice", Some("org_x")).await;
        let mut bob = SignedIn::start(&admin, &production, "bob", Some("org_x")).await;
        let mut alice_in_staging = SignedIn::start(&admin, &staging, "alice", Some("org_x")).await;
        let mut bob_in_staging = SignedIn::start(&admin, &staging, "bob", Some("org_x")).await;

        target(&admin, "production", json!({ "audience": "some", "users": ["alice"] })).await;
        target(&admin, "staging", json!({ "audience": "all" })).await;
        assert_eq!(alice.refreshed_flag(FLAG).await, true);
        assert_eq!(bob.refreshed_flag(FLAG).await, false);
        assert_eq!(alice_in_staging.refreshed_flag(FLAG).await, true);
        assert_eq!(bob_in_staging.refreshed_flag(FLAG).await, true);

        target(&admin, "production", json!({ "audience": "none" })).await;
        assert_eq!(alice.refreshed_flag(FLAG).await, false);
        assert_eq!(bob_in_staging.refreshed_flag(FLAG).await, true);
    }

    async fn a_change_in_one_environment_leaves_the_claim_of_another_byte_for_byte(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag(FLAG, "boolean", json!(false)).await;
        admin.flag("limits", "json", json!({ "b": 1.5, "a": [1, "ü"] })).await;
        let application = admin.application("production").await;
        let mut user = SignedIn::start(&admin, &application, "alice", Some("org_x")).await;
        let (revision, claim) = (user.tokens["flags_rev"].clone(), user.claim_text(server.clock.now()).await);

        target(&admin, "staging", json!({ "audience": "all" })).await;
        let path = "/v1/flags/limits/organizations/org_x?environment=staging";
        admin.put(path, json!({ "value": {} })).await.ok();
        admin.application("staging").await;
        admin.patch("/v1/environments/staging", json!({ "protected": true })).await.ok();

        user.refresh().await;
        assert_eq!(user.tokens["flags_rev"], revision);
        assert_eq!(user.claim_text(server.clock.now()).await, claim);
        assert_eq!(admin.revision("production").await, revision);
    }
}
