//! The Kinde article (`reference/`), step by step on a running server: its claim, its cascade, its rollout, its phases.

use flagbearer::flag::{FlagType, FlagValue};
use flagbearer::rollout::rollout_bucket;
use flagbearer_server::clock::Clock;
use flagbearer_tests::{Api, SignedIn, TestServer, on_both_engines};
use serde_json::{Value, json};

/// Organizations whose buckets lie below a percentage of this flag's rollout, and others: three of each.
fn inside_and_outside(flag: &Value, percentage: u32) -> (Vec<String>, Vec<String>) {
    let salt = flag["salt"].as_str().expect("a salt");
    let names = (0..2000).map(|number| format!("org_{number}"));
    let (inside, outside): (Vec<_>, Vec<_>) = names.partition(|name| rollout_bucket(salt, name) < percentage * 1000);
    (inside.into_iter().take(3).collect(), outside.into_iter().take(3).collect())
}

async fn override_organization(admin: &Api, flag: &str, organization: &str, environment: &str, value: Value) -> Value {
    let path = format!("/v1/flags/{flag}/organizations/{organization}?environment={environment}");
    admin.put(&path, json!({ "value": value })).await.ok()
}

/// What each of these organizations' users get in production.
async fn served(admin: &Api, organizations: &[String], flag: &str) -> Vec<Value> {
    let mut values = Vec::new();
    for organization in organizations {
        values.push(admin.value("production", "somebody", organization, flag).await);
    }
    values
}

on_both_engines! {
    async fn the_printed_claim_comes_out_member_for_member(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("new_ai_model", "boolean", json!(false)).await;
        admin.flag("ai_token_limit", "integer", json!(1000)).await;
        admin.flag("prompt_variant", "string", json!("control")).await;
        admin.flag("model_config", "json", json!({ "temperature": 0.7, "max_tokens": 500 })).await;
        admin.post("/v1/organizations", json!({ "id": "org_xyz789", "name": "Acme" })).await.ok();
        admin.post("/v1/users", json!({ "id": "kp_abc123", "email": "alice@example.com" })).await.ok();
        let permissions = json!({ "permissions": ["reports:view"] });
        admin.put("/v1/organizations/org_xyz789/members/kp_abc123", permissions).await.ok();
        let application = admin.application("production").await;
        let alice = SignedIn::start(&admin, &application, "kp_abc123", Some("org_xyz789")).await;

        let flags = alice.verified(server.clock.now()).await;
        let claims: Value = serde_json::from_str(flags.claims()).expect("claims");
        assert_eq!(claims["feature_flags"], json!({
            "new_ai_model": { "t": "b", "v": false },
            "ai_token_limit": { "t": "i", "v": 1000 },
            "prompt_variant": { "t": "s", "v": "control" },
            "model_config": { "t": "j", "v": { "temperature": 0.7, "max_tokens": 500 } },
        }));
        assert_eq!(claims["sub"], "kp_abc123");
        assert_eq!(claims["permissions"], json!(["reports:view"]));
        assert_eq!(claims["org_id"], "org_xyz789");
        assert_eq!(alice.tokens["feature_flags"], claims["feature_flags"], "beside the token stands what is in it");

        assert!(!flags.get_boolean_flag("new_ai_model", true));
        assert_eq!(flags.get_integer_flag("ai_token_limit", 1), 1000);
        assert_eq!(flags.get_string_flag("prompt_variant", "none"), "control");
        let details = flags.get_flag("model_config", FlagValue::Boolean(false), FlagType::Json);
        assert_eq!(details.value.to_json(), json!({ "temperature": 0.7, "max_tokens": 500 }));
        assert_eq!(flags.get_integer_flag("not_created_yet", 7), 7, "safe to deploy before the flag exists");
    }

    async fn the_most_specific_level_wins(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("greeting", "string", json!("default")).await;
        let application = admin.application("staging").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", Some("org_a")).await;
        assert_eq!(alice.refreshed_flag("greeting").await, "default");

        let setting = json!({ "enabled": true, "value": "environment" });
        admin.put("/v1/flags/greeting/environments/staging", setting).await.ok();
        assert_eq!(alice.refreshed_flag("greeting").await, "environment");
        override_organization(&admin, "greeting", "org_a", "staging", json!("organization")).await;
        assert_eq!(alice.refreshed_flag("greeting").await, "organization");
        admin.put("/v1/flags/greeting/users/alice", json!({ "value": "user" })).await.ok();
        assert_eq!(alice.refreshed_flag("greeting").await, "user");

        admin.delete("/v1/flags/greeting/users/alice").await.ok();
        assert_eq!(alice.refreshed_flag("greeting").await, "organization");
        admin.delete("/v1/flags/greeting/organizations/org_a?environment=staging").await.ok();
        assert_eq!(alice.refreshed_flag("greeting").await, "environment");
        admin.put("/v1/flags/greeting/environments/staging", json!({ "enabled": true })).await.ok();
        assert_eq!(alice.refreshed_flag("greeting").await, "default");
    }

    async fn steps_three_to_five_override_an_environment_an_organization_and_a_user(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for flag in ["new_ai_model", "second_ai_model", "third_ai_model"] {
            admin.flag(flag, "boolean", json!(false)).await;
        }

        let staging = json!({ "enabled": true, "value": true });
        let changed = admin.put("/v1/flags/new_ai_model/environments/staging", staging).await.ok();
        assert_eq!(changed["effect"], "widened");
        assert_eq!(admin.evaluated("staging", "anybody", "", "new_ai_model").await, (json!(true), "ENVIRONMENT".into()));
        assert_eq!(admin.evaluated("production", "anybody", "", "new_ai_model").await, (json!(false), "DEFAULT".into()));

        override_organization(&admin, "second_ai_model", "org_pilot", "production", json!(true)).await;
        assert_eq!(admin.value("production", "anybody", "org_pilot", "second_ai_model").await, true);
        assert_eq!(admin.value("production", "anybody", "org_other", "second_ai_model").await, false);
        assert_eq!(admin.value("staging", "anybody", "org_pilot", "second_ai_model").await, false);

        override_organization(&admin, "third_ai_model", "org_strict", "production", json!(false)).await;
        admin.put("/v1/flags/third_ai_model/users/journalist", json!({ "value": true })).await.ok();
        for environment in ["production", "staging"] {
            for organization in ["", "org_strict", "org_other"] {
                let found = admin.evaluated(environment, "journalist", organization, "third_ai_model").await;
                assert_eq!(found, (json!(true), "USER_OVERRIDE".into()));
            }
        }
        assert_eq!(admin.value("production", "reader", "org_other", "third_ai_model").await, false);
    }

    async fn the_rollout_weeks_only_ever_add_organizations(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = admin.flag("new_ai_model", "boolean", json!(false)).await;
        let (tenth, others) = inside_and_outside(&flag, 10);
        let all = |value: bool| vec![json!(value); 3];
        let application = admin.application("production").await;
        let mut early = SignedIn::start(&admin, &application, "early", Some(&tenth[0])).await;

        let week_1 = override_organization(&admin, "new_ai_model", "org_ours", "production", json!(true)).await;
        assert_eq!(week_1["effect"], "widened");
        for partner in ["org_partner_1", "org_partner_2", "org_partner_3"] {
            let week_2 = override_organization(&admin, "new_ai_model", partner, "production", json!(true)).await;
            assert_eq!(week_2["effect"], "widened");
        }
        let pilots = ["org_ours", "org_partner_1", "org_partner_2", "org_partner_3"].map(str::to_owned);
        assert_eq!(served(&admin, &pilots, "new_ai_model").await, vec![json!(true); 4]);
        assert_eq!(served(&admin, &tenth, "new_ai_model").await, all(false));

        let week_3 = json!({ "enabled": true, "rules": [{
            "description": "broader beta",
            "audience": { "type": "all" },
            "rollout": { "by": "organization", "percentage": 10 },
            "serve": { "value": true },
        }] });
        let week_3 = admin.put("/v1/flags/new_ai_model/environments/production", week_3).await.ok();
        assert_eq!(week_3["effect"], "widened");
        assert_eq!(served(&admin, &tenth, "new_ai_model").await, all(true));
        assert_eq!(served(&admin, &others, "new_ai_model").await, all(false));
        assert_eq!(served(&admin, &pilots, "new_ai_model").await, vec![json!(true); 4]);
        assert_eq!(early.refreshed_flag("new_ai_model").await, true);

        let released = admin.patch("/v1/flags/new_ai_model", json!({ "default_value": true })).await.ok();
        assert_eq!(released["effect"], "widened");
        assert_eq!(early.refreshed_flag("new_ai_model").await, true);
        let removed = admin.delete("/v1/flags/new_ai_model/overrides?environment=production").await.ok();
        assert_eq!((&removed["removed"], &removed["effect"]), (&json!(4), &json!("unchanged")));
        assert_eq!(early.refreshed_flag("new_ai_model").await, true);
        let cleaned = admin.put("/v1/flags/new_ai_model/environments/production", json!({ "enabled": true })).await.ok();
        assert_eq!(cleaned["effect"], "unchanged");
        assert_eq!(early.refreshed_flag("new_ai_model").await, true);
        for organizations in [&tenth, &others] {
            assert_eq!(served(&admin, organizations, "new_ai_model").await, all(true));
        }
        assert_eq!(served(&admin, &pilots, "new_ai_model").await, vec![json!(true); 4]);
    }

    async fn prompts_are_compared_by_organization_overrides(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = json!({ "key": "ai_prompt_strategy", "type": "string", "default_value": "standard",
            "overrides": ["environment", "organization"] });
        admin.post("/v1/flags", flag).await.ok();
        let halves = [["org_1", "org_2"], ["org_3", "org_4"]].map(|half| half.map(str::to_owned));
        for organization in &halves[0] {
            let value = json!("chain_of_thought");
            override_organization(&admin, "ai_prompt_strategy", organization, "production", value).await;
        }
        assert_eq!(served(&admin, &halves[0], "ai_prompt_strategy").await, ["chain_of_thought", "chain_of_thought"]);
        assert_eq!(served(&admin, &halves[1], "ai_prompt_strategy").await, ["standard", "standard"]);

        admin.patch("/v1/flags/ai_prompt_strategy", json!({ "default_value": "chain_of_thought" })).await.ok();
        admin.delete("/v1/flags/ai_prompt_strategy/overrides").await.ok();
        for half in &halves {
            assert_eq!(served(&admin, half, "ai_prompt_strategy").await, ["chain_of_thought", "chain_of_thought"]);
        }
        let listed = admin.get("/v1/flags/ai_prompt_strategy/overrides").await.ok();
        assert_eq!(listed["data"], json!([]));
    }

    async fn a_token_limit_per_plan_is_an_override_of_each_organization(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("ai_token_limit", "integer", json!(1000)).await;
        for (organization, limit) in [("org_free", 500), ("org_enterprise", 5000), ("org_ours", 10_000)] {
            override_organization(&admin, "ai_token_limit", organization, "production", json!(limit)).await;
        }
        let organizations = ["org_free", "org_pro", "org_enterprise", "org_ours"].map(str::to_owned);
        assert_eq!(served(&admin, &organizations, "ai_token_limit").await, [500, 1000, 5000, 10_000]);

        let application = admin.application("production").await;
        let mut pro = SignedIn::start(&admin, &application, "paula", Some("org_pro")).await;
        admin.patch("/v1/flags/ai_token_limit", json!({ "default_value": 800 })).await.ok();
        assert_eq!(pro.refreshed_flag("ai_token_limit").await, 800, "at the next refresh, without a deployment");
        assert_eq!(served(&admin, &organizations, "ai_token_limit").await, [500, 800, 5000, 10_000]);
    }

    async fn a_token_limit_per_plan_is_a_segment_over_the_plan_attribute(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("ai_token_limit", "integer", json!(1000)).await;
        let mut rules = Vec::new();
        for (plan, limit) in [("free", 500), ("enterprise", 5000)] {
            let condition = json!({ "organization": "plan", "equals": plan });
            admin.post("/v1/segments", json!({ "key": plan, "condition": condition })).await.ok();
            let audience = json!({ "type": "some", "segments": [plan] });
            rules.push(json!({ "audience": audience, "serve": { "value": limit } }));
        }
        let setting = json!({ "enabled": true, "rules": rules });
        admin.put("/v1/flags/ai_token_limit/environments/production", setting).await.ok();
        for plan in ["free", "pro", "enterprise"] {
            let organization = json!({ "id": format!("org_{plan}"), "attributes": { "plan": plan } });
            admin.post("/v1/organizations", organization).await.ok();
        }
        let organizations = ["org_free", "org_pro", "org_enterprise"].map(str::to_owned);
        assert_eq!(served(&admin, &organizations, "ai_token_limit").await, [500, 1000, 5000]);

        let application = admin.application("production").await;
        let mut user = SignedIn::start(&admin, &application, "frida", Some("org_free")).await;
        assert_eq!(user.tokens["feature_flags"]["ai_token_limit"]["v"], 500);
        admin.patch("/v1/organizations/org_free", json!({ "attributes": { "plan": "enterprise" } })).await.ok();
        assert_eq!(user.refreshed_flag("ai_token_limit").await, 5000, "who upgrades has the new limit at the next refresh");
    }

    async fn all_members_of_a_json_flag_change_together(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let old = json!({ "model": "gpt-4o", "temperature": 0.7, "max_tokens": 500, "system_prompt": "You are helpful." });
        let new = json!({ "model": "gpt-5", "temperature": 0.2, "max_tokens": 900, "system_prompt": "Be brief." });
        let flag = json!({ "key": "ai_model_config", "type": "json", "default_value": old,
            "overrides": ["environment", "organization"] });
        admin.post("/v1/flags", flag).await.ok();
        let application = admin.application("production").await;
        let mut user = SignedIn::start(&admin, &application, "alice", Some("org_a")).await;

        let setting = json!({ "enabled": true, "value": new });
        admin.put("/v1/flags/ai_model_config/environments/staging", setting.clone()).await.ok();
        assert_eq!(admin.value("staging", "alice", "org_a", "ai_model_config").await, new);
        assert_eq!(user.refreshed_flag("ai_model_config").await, old, "production is as it was");
        admin.put("/v1/flags/ai_model_config/environments/production", setting).await.ok();
        assert_eq!(user.refreshed_flag("ai_model_config").await, new);
        admin.put("/v1/flags/ai_model_config/environments/production", json!({ "enabled": true })).await.ok();
        assert_eq!(user.refreshed_flag("ai_model_config").await, old, "all four values revert at once");
    }

    async fn the_six_phases_end_with_the_flag_gone(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = admin.flag("ai_agents", "boolean", json!(false)).await;
        let application = admin.application("production").await;
        let mut user = SignedIn::start(&admin, &application, "power_1", Some("org_pilot_1")).await;
        assert_eq!(user.refreshed_flag("ai_agents").await, false, "phase 1: nothing changes for users");

        let staging = json!({ "enabled": true, "value": true });
        admin.put("/v1/flags/ai_agents/environments/staging", staging).await.ok();
        assert_eq!(admin.value("staging", "anybody", "", "ai_agents").await, true);
        assert_eq!(user.refreshed_flag("ai_agents").await, false, "phase 2: production is unaffected");

        for number in 1..=6 {
            admin.put(&format!("/v1/flags/ai_agents/users/power_{number}"), json!({ "value": true })).await.ok();
        }
        assert_eq!(user.refreshed_flag("ai_agents").await, true, "phase 3: beta users");

        for number in 1..=3 {
            override_organization(&admin, "ai_agents", &format!("org_pilot_{number}"), "production", json!(true)).await;
        }
        let expand = json!({ "enabled": true, "rules": [{ "audience": { "type": "all" },
            "rollout": { "by": "organization", "percentage": 20 }, "serve": { "value": true } }] });
        admin.put("/v1/flags/ai_agents/environments/production", expand).await.ok();
        let (fifth, others) = inside_and_outside(&flag, 20);
        assert_eq!(served(&admin, &fifth, "ai_agents").await, [true, true, true], "phase 4: 20 % of organizations");
        assert_eq!(served(&admin, &others, "ai_agents").await, [false, false, false]);

        admin.patch("/v1/flags/ai_agents", json!({ "default_value": true })).await.ok();
        admin.delete("/v1/flags/ai_agents/overrides?level=organization").await.ok();
        assert_eq!(served(&admin, &others, "ai_agents").await, [true, true, true], "phase 5: everybody");
        assert_eq!(user.refreshed_flag("ai_agents").await, true);

        admin.delete("/v1/flags/ai_agents?confirm=ai_agents").await.ok();
        assert_eq!(user.refresh().await, &json!({}), "phase 6: the token does not carry it any more");
        admin.get("/v1/flags/ai_agents").await.refused(404, "FLAG_NOT_FOUND");
    }
}
