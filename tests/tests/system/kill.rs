//! Kill and revive, `min_revision` and `?urgent=true`: what they write, who may, and what takes them back. What readers make
//! of it is in `watermark`.

use flagbearer_server::clock::Clock;
use flagbearer_tests::{Api, SignedIn, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const FLAG: &str = "new_ai_model";
const KILL: &str = "/v1/flags/new_ai_model/environments/production/kill";
const SETTING: &str = "/v1/flags/new_ai_model/environments/production";

/// What the watermark says, unverified.
async fn watermark(admin: &Api, environment: &str) -> Value {
    let answer = admin.get(&format!("/v1/watermark/{environment}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let claims = answer.text.split('.').nth(1).expect("a JWT");
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).expect("base64url");
    serde_json::from_slice(&claims).expect("claims")
}

async fn kills(admin: &Api, environment: &str) -> Value {
    watermark(admin, environment).await["kills"].clone()
}

async fn with_a_flag_for_everybody(engine: flagbearer_tests::Engine) -> (TestServer, Api) {
    let server = TestServer::start(engine).await;
    let admin = server.admin();
    admin.flag(FLAG, "boolean", json!(false)).await;
    admin.put(&format!("{SETTING}/targeting"), json!({ "audience": "all" })).await.ok();
    (server, admin)
}

on_both_engines! {
    async fn a_kill_switches_off_and_is_held_against_older_tokens_until_it_is_revived(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        let killed = admin.post(KILL, json!({})).await.ok();
        assert_eq!((&killed["effect"], &killed["setting"]["enabled"]), (&json!("narrowed"), &json!(false)));
        assert_eq!(killed["holdouts"], json!([]), "a narrowing holds nobody out");
        let entry = json!({ "key": FLAG, "type": "boolean", "value": false, "revision": killed["revision"] });
        assert_eq!(kills(&admin, "production").await, json!([entry]));
        assert_eq!(kills(&admin, "staging").await, json!([]), "another environment");
        let setting = admin.get(SETTING).await.ok();
        assert_eq!((&setting["killed"], &setting["rules"][0]["audience"]["type"]), (&json!(true), &json!("all")));
        let listed = admin.get("/v1/environments/production/flags").await.ok();
        assert_eq!(listed["data"][0]["killed"], true);
        assert_eq!(admin.evaluated("production", "alice", "", FLAG).await, (json!(false), "DISABLED".to_owned()));

        let revived = admin.delete(KILL).await.ok();
        assert_eq!((&revived["effect"], &revived["setting"]["enabled"]), (&json!("widened"), &json!(true)));
        assert_eq!(kills(&admin, "production").await, json!([]));
        assert_eq!(admin.get(SETTING).await.ok()["killed"], false);
        assert_eq!(admin.value("production", "alice", "", FLAG).await, true);
        admin.delete(KILL).await.refused(404, "KILL_NOT_FOUND");
    }

    async fn both_are_in_the_change_log(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        let call = admin.request(Method::POST, KILL).header("x-change-comment", "it burns").json(&json!({}));
        admin.send(call).await.ok();
        admin.delete(KILL).await.ok();
        let log = admin.get("/v1/changes?environment=production&limit=2").await.ok();
        let edits = |change: usize| -> Vec<(Value, Value, Value)> {
            let edits = log["data"][change]["edits"].as_array().expect("edits");
            edits.iter().map(|edit| (edit["entity"].clone(), edit["before"].clone(), edit["after"].clone())).collect()
        };
        let entry = json!({ "key": FLAG, "type": "boolean", "value": false });
        assert_eq!(log["data"][1]["comment"], "it burns");
        assert_eq!(edits(1)[1], (json!("kill"), Value::Null, entry.clone()));
        assert_eq!(edits(0)[1], (json!("kill"), entry, Value::Null));
        assert_eq!((&edits(1)[0].0, &edits(1)[0].2["enabled"]), (&json!("setting"), &json!(false)));
    }

    async fn a_flag_that_was_off_already_can_be_killed_and_one_that_was_killed_again(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        admin.put(SETTING, json!({ "enabled": false })).await.ok();
        assert_eq!(kills(&admin, "production").await, json!([]), "switching off is no kill");
        let first = admin.post(KILL, json!({})).await.ok();
        assert_eq!(first["effect"], "unchanged");
        let second = admin.post(KILL, json!({})).await.ok();
        assert_eq!(second["effect"], "unchanged");
        assert_eq!(kills(&admin, "production").await[0]["revision"], second["revision"]);
    }

    async fn any_write_that_enables_the_flag_removes_the_entry_and_others_do_not(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        let killed = admin.post(KILL, json!({})).await.ok();
        admin.put(SETTING, json!({ "enabled": false, "value": true })).await.ok();
        admin.put(&format!("{SETTING}/targeting"), json!({ "audience": "none" })).await.ok();
        admin.put(&format!("/v1/flags/{FLAG}/users/alice"), json!({ "value": true })).await.ok();
        admin.put("/v1/flags/new_ai_model/environments/staging", json!({ "enabled": true })).await.ok();
        admin.patch(&format!("/v1/flags/{FLAG}"), json!({ "description": "x" })).await.ok();
        assert_eq!(kills(&admin, "production").await[0]["revision"], killed["revision"], "an entry stays until revived");
        admin.put(SETTING, json!({ "enabled": true })).await.ok();
        assert_eq!(kills(&admin, "production").await, json!([]));
    }

    async fn another_off_value_while_killed_updates_the_entry(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        admin.post(KILL, json!({})).await.ok();
        let edited = admin.patch(&format!("/v1/flags/{FLAG}"), json!({ "off_value": true })).await.ok();
        let entry = json!({ "key": FLAG, "type": "boolean", "value": true, "revision": edited["revision"] });
        assert_eq!(kills(&admin, "production").await, json!([entry]));

        // Where no off value is set, the default value is what is served.
        admin.flag("limits", "json", json!({ "b": 1, "a": [true] })).await;
        let killed = admin.post("/v1/flags/limits/environments/production/kill", json!({})).await.ok();
        let entry = kills(&admin, "production").await[0].clone();
        assert_eq!(entry, json!({ "key": "limits", "type": "json", "value": { "a": [true], "b": 1 }, "revision": killed["revision"] }));
        let edited = admin.patch("/v1/flags/limits", json!({ "default_value": "none" })).await.ok();
        let entry = kills(&admin, "production").await[0].clone();
        assert_eq!((&entry["value"], &entry["revision"]), (&json!("none"), &edited["revision"]));
        let edited = admin.patch("/v1/flags/limits", json!({ "off_value": "none" })).await.ok();
        assert_ne!(kills(&admin, "production").await[0]["revision"], edited["revision"], "it is the same value");
    }

    async fn archiving_or_deleting_the_flag_removes_the_entry_everywhere(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        let staging = "/v1/flags/new_ai_model/environments/staging/kill";
        for end in ["archive", "delete"] {
            admin.post(KILL, json!({})).await.ok();
            admin.post(staging, json!({})).await.ok();
            if end == "archive" {
                admin.post(&format!("/v1/flags/{FLAG}/archive"), json!({})).await.ok();
                admin.post(KILL, json!({})).await.refused(409, "FLAG_ARCHIVED");
                admin.post(&format!("/v1/flags/{FLAG}/restore"), json!({})).await.ok();
                assert_eq!(admin.evaluated("production", "alice", "", FLAG).await.1, "DISABLED", "it comes back as it went");
            } else {
                admin.delete(&format!("/v1/flags/{FLAG}?confirm={FLAG}")).await.ok();
            }
            for environment in ["production", "staging"] {
                assert_eq!(kills(&admin, environment).await, json!([]), "{end}, {environment}");
            }
            let log = admin.get("/v1/changes?limit=2").await.ok();
            let ended = if end == "archive" { &log["data"][1] } else { &log["data"][0] };
            let removed = ended["edits"].as_array().expect("edits").iter();
            let removed = removed.filter(|edit| edit["entity"] == "kill" && edit["after"].is_null()).count();
            assert_eq!(removed, 2, "{end}: {ended}");
        }
        // The key may be used again, and what was said of the former flag is not said of this one.
        admin.flag(FLAG, "string", json!("x")).await;
        assert_eq!(kills(&admin, "production").await, json!([]));
    }

    async fn an_environment_can_be_deleted_with_what_was_killed_there(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        admin.post("/v1/flags/new_ai_model/environments/staging/kill", json!({})).await.ok();
        admin.delete("/v1/environments/staging?confirm=staging").await.ok();
        admin.get("/v1/watermark/staging").await.refused(404, "ENVIRONMENT_NOT_FOUND");
        assert_eq!(admin.get(&format!("/v1/flags/{FLAG}")).await.status, 200);
    }

    async fn killing_is_allowed_at_every_level_of_overrides(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let flag = json!({ "key": FLAG, "type": "boolean", "default_value": true, "overrides": ["user"] });
        admin.post("/v1/flags", flag).await.ok();
        admin.put(&format!("/v1/flags/{FLAG}/users/alice"), json!({ "value": true })).await.ok();
        assert_eq!(admin.post(KILL, json!({})).await.ok()["effect"], "narrowed");
        assert_eq!(admin.value("production", "alice", "", FLAG).await, false);
    }

    async fn editors_may_kill_even_where_it_is_protected_and_revive_where_it_is_not(engine: Engine) {
        let (server, admin) = with_a_flag_for_everybody(engine).await;
        for protected in [false, true] {
            admin.patch("/v1/environments/production", json!({ "protected": protected })).await.ok();
            // Role and environment of the key; whether it may kill, whether it may revive and raise the minimum.
            for (role, bound, kill, change) in [
                ("viewer", None, false, false),
                ("application", None, false, false),
                ("application", Some("production"), false, false),
                ("editor", None, true, !protected),
                ("editor", Some("production"), true, !protected),
                ("editor", Some("staging"), false, false),
                ("administrator", None, true, true),
                ("administrator", Some("production"), true, true),
                ("administrator", Some("staging"), false, false),
            ] {
                let who = format!("{role} of {bound:?}, protected: {protected}");
                let key = server.api(&admin.key(role, bound).await);
                let expected = |allowed: bool| if allowed { 200 } else { 403 };
                assert_eq!(key.post(KILL, json!({})).await.status, expected(kill), "kill, {who}");
                admin.post(KILL, json!({})).await.ok();
                assert_eq!(key.delete(KILL).await.status, expected(change), "revive, {who}");
                let minimum = key.post("/v1/environments/production/min-revision", json!({})).await;
                assert_eq!(minimum.status, expected(change), "minimum, {who}");
            }
        }
        let nobody = server.api("nobody");
        nobody.post(KILL, json!({})).await.refused(401, "UNAUTHENTICATED");
    }

    async fn what_cannot_be_killed_is_refused(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        admin.post("/v1/flags/nothing/environments/production/kill", json!({})).await.refused(404, "FLAG_NOT_FOUND");
        admin.post("/v1/flags/new_ai_model/environments/nowhere/kill", json!({})).await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.post(KILL, json!({ "off": true })).await.refused(400, "BODY_UNEXPECTED");
        admin.post(&format!("{KILL}?now=true"), json!({})).await.refused(400, "PARAMETER_UNKNOWN");
        let stale = admin.request(Method::POST, KILL).header("if-match", "\"1\"").json(&json!({}));
        admin.send(stale).await.refused(412, "REVISION_MISMATCH");
        assert_eq!(kills(&admin, "production").await, json!([]));
        let again = async || {
            let call = admin.request(Method::POST, KILL).header("idempotency-key", "once").json(&json!({}));
            admin.send(call).await.ok()["revision"].clone()
        };
        assert_eq!(again().await, again().await, "a retry is answered, not done again");
    }

    async fn the_minimum_is_always_the_revision_of_a_change(engine: Engine) {
        let (server, admin) = with_a_flag_for_everybody(engine).await;
        assert_eq!(watermark(&admin, "production").await["min_revision"], 0);
        let raised = admin.post("/v1/environments/production/min-revision", json!({})).await.ok();
        assert_eq!((&raised["effect"], &raised["min_revision"]), (&json!("unchanged"), &raised["revision"]));
        let said = watermark(&admin, "production").await;
        assert_eq!((&said["min_revision"], &said["revision"]), (&raised["revision"], &raised["revision"]));
        assert_eq!(watermark(&admin, "staging").await["min_revision"], 0);
        assert_eq!(admin.get("/v1/environments/production").await.ok()["min_revision"], raised["revision"]);
        let change = admin.get(&format!("/v1/changes/{}", raised["revision"])).await.ok();
        assert_eq!(change["edits"][0]["entity"], "min_revision");
        assert_eq!(change["edits"][0]["before"], json!({ "min_revision": 0 }));
        // A token that is made from now on is not below it.
        let application = admin.application("production").await;
        let alice = SignedIn::start(&admin, &application, "alice", None).await;
        assert!(alice.verified(server.clock.now()).await.flags_revision() >= raised["revision"].as_i64());
        let body = json!({ "min_revision": 1 });
        admin.post("/v1/environments/production/min-revision", body).await.refused(400, "BODY_UNEXPECTED");
        admin.post("/v1/environments/nowhere/min-revision", json!({})).await.refused(404, "ENVIRONMENT_NOT_FOUND");
    }

    async fn an_urgent_change_is_the_minimum_of_the_environments_that_it_touches(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        let minimum = async |environment: &str| watermark(&admin, environment).await["min_revision"].clone();
        let here = admin.put(&format!("{SETTING}?urgent=true"), json!({ "enabled": true, "value": true })).await.ok();
        assert_eq!((minimum("production").await, minimum("staging").await), (here["revision"].clone(), json!(0)));
        let everywhere = admin.patch(&format!("/v1/flags/{FLAG}?urgent=true"), json!({ "default_value": true })).await.ok();
        for environment in ["production", "staging"] {
            assert_eq!(minimum(environment).await, everywhere["revision"], "{environment}");
        }
        let killed = admin.post(&format!("{KILL}?urgent=true"), json!({})).await.ok();
        assert_eq!(minimum("production").await, killed["revision"]);
        assert_eq!(minimum("staging").await, everywhere["revision"]);
        admin.delete(&format!("{KILL}?urgent=false")).await.ok();
        assert_eq!(minimum("production").await, killed["revision"], "not urgent");
        let user = admin.post("/v1/users?urgent=true", json!({ "id": "alice", "attributes": { "plan": "pro" } })).await.ok();
        assert_eq!(minimum("staging").await, user["revision"]);
        let change = admin.get(&format!("/v1/changes/{}", killed["revision"])).await.ok();
        let entities: Vec<_> = change["edits"].as_array().expect("edits").iter().map(|edit| edit["entity"].clone()).collect();
        assert_eq!(entities, ["setting", "kill", "min_revision"]);
    }

    async fn urgency_is_refused_where_it_means_nothing(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        let application = admin.application("production").await;
        let before = watermark(&admin, "production").await;
        admin.get(&format!("{SETTING}?urgent=true")).await.refused(400, "PARAMETER_UNKNOWN");
        admin.post("/v1/explain?urgent=true", json!({ "token": "x" })).await.refused(400, "PARAMETER_UNKNOWN");
        let session = json!({ "application": application, "user": "alice" });
        admin.post("/v1/sessions?urgent=true", session).await.refused(400, "PARAMETER_UNKNOWN");
        admin.delete("/v1/sessions?user=alice&urgent=true").await.refused(400, "PARAMETER_UNKNOWN");
        admin.put(&format!("{SETTING}?urgent=yes"), json!({ "enabled": true })).await.refused(400, "PARAMETER_INVALID");
        let key = json!({ "name": "k", "role": "viewer" });
        admin.post("/v1/api-keys?urgent=true", key).await.refused(422, "URGENCY_POINTLESS");
        let after = watermark(&admin, "production").await;
        assert_eq!((&after["revision"], &after["min_revision"]), (&before["revision"], &before["min_revision"]));
    }

    async fn explain_calls_a_kill_a_kill(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        admin.flag("other", "boolean", json!(true)).await;
        let application = admin.application("production").await;
        let alice = SignedIn::start(&admin, &application, "alice", None).await;
        let call = admin.request(Method::POST, KILL).header("x-change-comment", "it burns").json(&json!({}));
        let killed = admin.send(call).await.ok();
        admin.put("/v1/flags/other/environments/production", json!({ "enabled": false })).await.ok();
        let told = admin.post("/v1/explain", json!({ "token": alice.tokens["access_token"] })).await.ok();
        let cause = &told["flags"][FLAG]["causes"][0];
        assert_eq!((&cause["cause"], &cause["revision"]), (&json!("kill"), &killed["revision"]));
        assert_eq!(cause["comment"], "it burns");
        assert_eq!(told["flags"][FLAG]["now"]["reason"], "DISABLED");
        assert_eq!(told["flags"]["other"]["causes"][0]["cause"], "change", "switching off is no kill");
        admin.delete(KILL).await.ok();
        let told = admin.post("/v1/explain", json!({ "token": alice.tokens["access_token"] })).await.ok();
        assert_eq!(told["flags"][FLAG]["causes"], json!([]), "what it says is what she would get");
    }

    async fn the_past_is_evaluated_as_it_was_with_the_kill_in_it(engine: Engine) {
        let (_server, admin) = with_a_flag_for_everybody(engine).await;
        let killed = admin.post(KILL, json!({})).await.ok()["revision"].as_i64().expect("a revision");
        admin.delete(KILL).await.ok();
        for (revision, value, reason) in
            [(killed - 1, true, "TARGETING_MATCH"), (killed, false, "DISABLED"), (killed + 1, true, "TARGETING_MATCH")]
        {
            let path = format!("/v1/evaluate?environment=production&user=alice&revision={revision}");
            let found = admin.get(&path).await.ok()["flags"][FLAG].clone();
            assert_eq!((&found["value"], &found["reason"]), (&json!(value), &json!(reason)), "{revision}");
        }
    }
}
