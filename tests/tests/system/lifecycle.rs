//! Flags that have outlived their use, advice on naming, and what a deletion would lose.

use flagbearer_tests::{Api, TestServer, on_both_engines};
use serde_json::{Value, json};

const DAY: i64 = 24 * 60 * 60;

async fn create(admin: &Api, key: &str, kind: &str, default: Value) {
    let flag_type = if default.is_boolean() { "boolean" } else { "string" };
    let flag = json!({ "key": key, "type": flag_type, "default_value": default, "kind": kind });
    admin.post("/v1/flags", flag).await.ok();
}

async fn rule(admin: &Api, key: &str, environment: &str, mut rule: Value, value: Value) {
    rule["serve"] = json!({ "value": value });
    let setting = json!({ "enabled": true, "rules": [rule] });
    admin.put(&format!("/v1/flags/{key}/environments/{environment}"), setting).await.ok();
}

async fn targeted(admin: &Api, key: &str, organization: &str) {
    let audience = json!({ "type": "some", "organizations": [organization] });
    rule(admin, key, "production", json!({ "audience": audience }), json!(true)).await;
}

async fn organization_override(admin: &Api, key: &str, organization: &str, value: Value) {
    let path = format!("/v1/flags/{key}/organizations/{organization}?environment=production");
    admin.put(&path, json!({ "value": value })).await.ok();
}

/// Every flag that is found, with the codes of why.
async fn found(admin: &Api, query: &str) -> Value {
    let list = admin.get(&format!("/v1/flags?{query}")).await.ok();
    let flags = list["data"].as_array().expect("data").iter().map(|flag| {
        let codes = flag["stale"].as_array().expect("findings").iter().map(|finding| finding["code"].clone());
        (flag["key"].as_str().expect("a key").to_owned(), codes.collect())
    });
    Value::Object(flags.collect())
}

/// One flag of each stale kind.
async fn stale_flags(admin: &Api) {
    create(admin, "same", "experiment", json!("a")).await;
    admin.put("/v1/flags/same/environments/staging", json!({ "enabled": true, "value": "a" })).await.ok();
    create(admin, "past", "release", json!(false)).await;
    targeted(admin, "past", "org_b").await;
    admin.patch("/v1/flags/past", json!({ "remove_after": "2027-01-20" })).await.ok();
    create(admin, "released", "release", json!(false)).await;
    for environment in ["production", "staging"] {
        rule(admin, "released", environment, json!({ "audience": { "type": "all" } }), json!(true)).await;
    }
    create(admin, "inert", "release", json!(false)).await;
    targeted(admin, "inert", "org_b").await;
    organization_override(admin, "inert", "org_a", json!(false)).await;
}

/// Flags that still decide something, or may, each nearly stale in another way.
async fn living_flags(admin: &Api) {
    let everybody = || json!({ "audience": { "type": "all" } });
    create(admin, "permanent", "permanent", json!("a")).await;
    create(admin, "targeted", "release", json!(false)).await;
    targeted(admin, "targeted", "org_b").await;
    organization_override(admin, "targeted", "org_a", json!(true)).await;
    create(admin, "held_out", "release", json!(true)).await;
    organization_override(admin, "held_out", "org_a", json!(false)).await;
    create(admin, "switched_off", "operational", json!(true)).await;
    admin.put("/v1/flags/switched_off/environments/staging", json!({ "enabled": false })).await.ok();
    create(admin, "to_come", "release", json!(false)).await;
    let mut scheduled = everybody();
    scheduled["schedule"] = json!({ "from": "2027-12-01T00:00:00Z" });
    rule(admin, "to_come", "production", scheduled, json!(true)).await;
    create(admin, "rolling", "release", json!(false)).await;
    let mut rolling = everybody();
    rolling["rollout"] = json!({ "by": "organization", "percentage": 50 });
    rule(admin, "rolling", "production", rolling, json!(true)).await;
    // For alice as a member of org_a it is her override that decides, against the organization's.
    create(admin, "nested", "release", json!(false)).await;
    organization_override(admin, "nested", "org_a", json!(true)).await;
    admin.put("/v1/flags/nested/users/alice", json!({ "value": false })).await.ok();
    create(admin, "archived", "release", json!(true)).await;
    admin.post("/v1/flags/archived/archive", json!({})).await.ok();
    // What happens by itself counts from when it happened, as an edit of a segment does.
    create(admin, "ended", "release", json!(false)).await;
    let mut ended = everybody();
    ended["schedule"] = json!({ "until": "2027-02-04T08:00:00Z" });
    rule(admin, "ended", "production", ended, json!(true)).await;
    admin.post("/v1/segments", json!({ "key": "beta", "users": ["alice"] })).await.ok();
    create(admin, "by_segment", "experiment", json!("a")).await;
    let audience = json!({ "audience": { "type": "some", "segments": ["beta"] } });
    rule(admin, "by_segment", "production", audience, json!("a")).await;
}

on_both_engines! {
    async fn of_an_installation_with_one_flag_of_each_stale_kind_each_is_found_and_none_other(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        stale_flags(&admin).await;
        living_flags(&admin).await;
        assert_eq!(found(&admin, "stale=true").await, json!({}), "nothing is stale at once");
        server.clock.advance(2 * DAY);
        create(&admin, "young", "release", json!(true)).await;
        server.clock.advance(23 * DAY);
        admin.patch("/v1/segments/beta", json!({ "users": [] })).await.ok();
        let past_alone = json!({ "past": ["PAST_REMOVE_AFTER"] });
        assert_eq!(found(&admin, "stale=true").await, past_alone);
        server.clock.advance(5 * DAY - 1);
        assert_eq!(found(&admin, "stale=true").await, past_alone, "a second is lacking");
        server.clock.advance(1);
        let stale = json!({ "same": ["SAME_EVERYWHERE"], "past": ["PAST_REMOVE_AFTER"],
            "released": ["PERMANENT_ANSWER"], "inert": ["INERT_OVERRIDES"] });
        assert_eq!(found(&admin, "stale=true").await, stale);

        let list = admin.get("/v1/flags?stale=true").await.ok();
        let since = list["data"].as_array().expect("data").iter().map(|flag| flag["stale"][0]["since"].clone());
        let beginning = "2027-01-15T08:00:00Z";
        assert_eq!(since.collect::<Vec<_>>(), [beginning, "2027-01-21T00:00:00Z", beginning, beginning]);
        assert!(list["data"][0]["stale"][0]["detail"].as_str().is_some_and(|why| why.contains("`org_a` in `production`")));
        assert!(admin.get("/v1/flags").await.ok()["data"][0].get("stale").is_none());

        let others = found(&admin, "stale=false").await;
        assert_eq!(others.as_object().map(serde_json::Map::len), Some(10), "{others}");
        assert_eq!(found(&admin, "stale=true&stale_after=31").await, past_alone);
        assert_eq!(found(&admin, "stale=true&stale_after=5&query=ended").await, json!({ "ended": ["SAME_EVERYWHERE"] }));
        assert_eq!(found(&admin, "stale=true&stale_after=5&query=seg").await, json!({ "by_segment": ["SAME_EVERYWHERE"] }));
        assert_eq!(found(&admin, "stale=true&kind=experiment").await, json!({ "same": ["SAME_EVERYWHERE"] }));
        let page = admin.get("/v1/flags?stale=true&limit=2").await.ok();
        assert_eq!(page["next_cursor"], "past", "in order of key, across flags that are not stale");
        assert_eq!(found(&admin, "stale=true&cursor=past").await.as_object().map(serde_json::Map::len), Some(2));
    }

    async fn overrides_that_expired_or_repeat_what_holds_anyway_are_inert(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        create(&admin, "f", "operational", json!(false)).await;
        targeted(&admin, "f", "org_a").await;
        organization_override(&admin, "f", "org_a", json!(true)).await;
        organization_override(&admin, "f", "org_b", json!(true)).await;
        let soon = json!({ "value": true, "expires_at": "2027-01-16T08:00:00Z" });
        admin.put("/v1/flags/f/users/alice", soon).await.ok();
        admin.put("/v1/flags/f/users/bob", json!({ "value": false })).await.ok();
        server.clock.advance(30 * DAY);
        assert_eq!(found(&admin, "stale=true").await, json!({}), "one expired a day later");
        server.clock.advance(DAY);
        let flag = admin.get("/v1/flags?stale=true").await.ok()["data"][0].clone();
        assert_eq!(flag["stale"][0]["since"], "2027-01-16T08:00:00Z");
        let detail = flag["stale"][0]["detail"].as_str().expect("words");
        assert!(detail.starts_with("2 of 4 "), "{detail}");
        assert!(detail.contains("(user `alice`, organization `org_a` in `production`)"), "{detail}");
    }

    async fn asking_for_stale_flags_wrongly_is_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for query in ["stale=yes", "stale=true&stale_after=0", "stale=true&stale_after=a", "stale=true&archived=true"] {
            admin.get(&format!("/v1/flags?{query}")).await.refused(400, "PARAMETER_INVALID");
        }
        admin.get("/v1/flags?stale_after=3").await.refused(400, "PARAMETER_MISSING");
        let key = json!({ "name": "bound", "role": "viewer", "environment": "staging" });
        let key = admin.post("/v1/api-keys", key).await.ok();
        let bound = server.api(key["key"].as_str().expect("a key"));
        bound.get("/v1/flags").await.ok();
        bound.get("/v1/flags?stale=true").await.refused(403, "FORBIDDEN");
    }

    async fn a_flag_carries_advice_on_its_name_that_refuses_nothing(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let codes = |flag: &Value| {
            let said = flag["advice"].as_array().expect("advice").iter();
            said.map(|one| one["code"].as_str().expect("a code").to_owned()).collect::<Vec<_>>()
        };
        let flag = json!({ "key": "hide_old_dashboard", "type": "boolean", "default_value": false });
        let created = admin.post("/v1/flags", flag).await.ok();
        assert_eq!(codes(&created), ["PREFIX_MISSING", "NEGATIVE_NAME", "DESCRIPTION_MISSING"]);
        let read = admin.get("/v1/flags/hide_old_dashboard").await.ok();
        assert_eq!(read["advice"], created["advice"]);
        let search = |key: &str| json!({ "key": key, "type": "string", "default_value": "a", "description": "how to search" });
        let first = admin.post("/v1/flags", search("search_mode")).await.ok();
        assert_eq!(codes(&first), ["PREFIX_MISSING"], "no other flag is called so");
        for near in ["searchxmode", "Search_other"] {
            admin.post("/v1/flags", search(near)).await.ok();
        }
        assert_eq!(codes(&admin.get("/v1/flags/search_mode").await.ok()), ["PREFIX_MISSING"]);
        assert_eq!(codes(&admin.post("/v1/flags", search("search_size")).await.ok()), Vec::<String>::new());
        assert_eq!(codes(&admin.get("/v1/flags/search_mode").await.ok()), Vec::<String>::new(), "they share a category now");
        let given = json!({ "advice": [] });
        admin.patch("/v1/flags/search_mode", given).await.refused(400, "MEMBER_UNKNOWN");
    }

    async fn deleting_lists_what_would_be_lost(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        create(&admin, "f", "release", json!(false)).await;
        targeted(&admin, "f", "org_a").await;
        admin.put("/v1/flags/f/environments/staging", json!({ "enabled": false, "value": true })).await.ok();
        for organization in ["org_b", "org_c"] {
            organization_override(&admin, "f", organization, json!(true)).await;
        }
        admin.put("/v1/flags/f/users/alice", json!({ "value": true })).await.ok();
        let problem = admin.delete("/v1/flags/f").await.refused(409, "CONFIRMATION_REQUIRED");
        let production = admin.get("/v1/flags/f/environments/production").await.ok();
        let lost = json!([
            { "level": "environment", "environment": "production", "enabled": true, "value": null, "rules": production["rules"] },
            { "level": "environment", "environment": "staging", "enabled": false, "value": true, "rules": [] },
            { "level": "organization", "environment": "production", "overrides": 2 },
            { "level": "user", "overrides": 1 },
        ]);
        assert_eq!(problem["listing"], lost);
        assert_eq!(admin.value("production", "alice", "", "f").await, true, "a refusal loses nothing");
        admin.delete("/v1/flags/f?confirm=f").await.ok();
    }
}
