//! `/v1/flags`.

use flagbearer_tests::{Api, SignedIn, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

fn keys(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("data").iter().filter_map(|flag| flag["key"].as_str()).collect()
}

/// A document without what only a write answers.
fn document(mut answered: Value) -> Value {
    let members = answered.as_object_mut().expect("an object");
    members.remove("effect");
    members.remove("holdouts");
    answered
}

async fn set(admin: &Api, flag: &str, setting: Value) -> Value {
    admin.put(&format!("/v1/flags/{flag}/environments/production"), setting).await.ok()
}

on_both_engines! {
    async fn a_flag_is_created_with_what_holds_where_nothing_is_said(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let answer = admin.post("/v1/flags", json!({ "key": "new", "type": "boolean", "default_value": false })).await;
        assert_eq!(answer.status, 201);
        let tag = answer.header("etag").to_owned();
        let created = document(answer.ok());
        assert_eq!(tag, format!("\"{}\"", created["revision"]));
        let read = admin.get("/v1/flags/new").await;
        assert_eq!(read.header("etag"), tag);
        assert_eq!(read.ok(), created);
        let expected = json!({
            "id": created["id"], "salt": created["salt"], "key": "new", "type": "boolean", "name": "new",
            "description": "", "owner": null, "tags": [], "kind": "release", "remove_after": null,
            "default_value": false, "off_value": null, "overrides": ["environment", "organization", "user"],
            "revision": created["revision"], "created_at": "2027-01-15T08:00:00Z",
            "updated_at": "2027-01-15T08:00:00Z", "archived_at": null, "advice": created["advice"],
        });
        assert_eq!(created, expected);
        for environment in ["production", "staging"] {
            let setting = admin.get(&format!("/v1/flags/new/environments/{environment}")).await.ok();
            assert_eq!((&setting["enabled"], &setting["value"], &setting["rules"]), (&json!(true), &Value::Null, &json!([])));
        }
    }

    async fn a_key_is_unique_while_its_flag_lives_and_free_again_after(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let first = admin.flag("constructor", "boolean", json!(true)).await;
        let again = json!({ "key": "constructor", "type": "string", "default_value": "x" });
        admin.post("/v1/flags", again.clone()).await.refused(409, "FLAG_EXISTS");
        admin.post("/v1/flags/constructor/archive", json!({})).await.ok();
        admin.post("/v1/flags", again.clone()).await.refused(409, "FLAG_EXISTS");
        admin.put("/v1/flags/constructor/users/alice", json!({ "value": false })).await.ok();
        admin.delete("/v1/flags/constructor?confirm=constructor").await.ok();
        let second = admin.post("/v1/flags", again).await.ok();
        assert_ne!(first["id"], second["id"]);
        assert_ne!(first["salt"], second["salt"]);
        assert_eq!(admin.value("production", "alice", "", "constructor").await, "x", "nothing is inherited");

        for key in ["", "1st", "_private", "-a", "a b", "ключ", "a/b", &"x".repeat(129)] {
            let flag = json!({ "key": key, "type": "boolean", "default_value": true });
            let problem = admin.post("/v1/flags", flag).await.refused(422, "KEY_INVALID");
            assert_eq!(problem["errors"][0]["pointer"], "/key", "{key}");
        }
        for key in ["toString", "a", "A.b-c_9", &"x".repeat(128)] {
            admin.flag(key, "boolean", json!(true)).await;
        }
    }

    async fn a_list_is_filtered_and_goes_on_from_its_cursor(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (key, name, tags, kind) in [
            ("Zeta", "Zeta flag", json!(["beta"]), "release"),
            ("ai_model", "New AI model", json!(["ai", "beta"]), "experiment"),
            ("ai_limit", "Tokens", json!(["ai"]), "permanent"),
            ("b-dash", "Dashboard 100%", json!([]), "operational"),
            ("b_line", "Under_line ÄÖ", json!([]), "release"),
        ] {
            let flag = json!({ "key": key, "type": "boolean", "default_value": false, "name": name, "tags": tags, "kind": kind });
            admin.post("/v1/flags", flag).await.ok();
        }
        let all = ["Zeta", "ai_limit", "ai_model", "b-dash", "b_line"];
        assert_eq!(keys(&admin.get("/v1/flags").await.ok()), all, "in order of their bytes, on either engine");
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = admin.get(&format!("/v1/flags?limit=2&cursor={cursor}")).await.ok();
            found.extend(keys(&page).into_iter().map(str::to_owned));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(found, all);
        for (filter, expected) in [
            ("tag=ai", vec!["ai_limit", "ai_model"]),
            ("tag=AI", vec![]),
            ("kind=release", vec!["Zeta", "b_line"]),
            ("query=AI", vec!["ai_limit", "ai_model"]),
            ("query=tokens", vec!["ai_limit"]),
            ("query=%25", vec!["b-dash"]),
            ("query=r_l", vec!["b_line"]),
            ("query=LINE%20%C3%84%C3%96", vec!["b_line"]),
            ("tag=beta&kind=experiment", vec!["ai_model"]),
            ("query=nothing", vec![]),
        ] {
            assert_eq!(keys(&admin.get(&format!("/v1/flags?{filter}")).await.ok()), expected, "{filter}");
        }
        admin.post("/v1/flags/Zeta/archive", json!({})).await.ok();
        assert_eq!(keys(&admin.get("/v1/flags").await.ok()), all[1..]);
        assert_eq!(keys(&admin.get("/v1/flags?archived=true").await.ok()), ["Zeta"]);
    }

    async fn a_patch_replaces_each_member_given_and_null_resets_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let created = document(admin.flag("limit", "integer", json!(1)).await);
        let edits = json!({ "name": "Limit", "description": "how many", "owner": "team", "tags": ["b", "a", "b"],
            "kind": "permanent", "remove_after": "2027-02-28", "off_value": 7, "overrides": ["user"] });
        server.clock.advance(60);
        let patched = admin.patch("/v1/flags/limit", edits).await.ok();
        assert_eq!(patched["tags"], json!(["a", "b"]));
        assert_eq!((&patched["name"], &patched["kind"], &patched["off_value"]), (&json!("Limit"), &json!("permanent"), &json!(7)));
        assert_eq!((&patched["created_at"], &patched["updated_at"]), (&json!("2027-01-15T08:00:00Z"), &json!("2027-01-15T08:01:00Z")));
        assert_eq!(patched["effect"], "unchanged");
        let one = admin.patch("/v1/flags/limit", json!({ "tags": ["c"] })).await.ok();
        assert_eq!((&one["tags"], &one["owner"]), (&json!(["c"]), &json!("team")));

        let nothing = json!({ "name": null, "description": null, "owner": null, "tags": null, "kind": null,
            "remove_after": null, "off_value": null, "overrides": null });
        admin.patch("/v1/flags/limit", nothing).await.ok();
        let mut reset = admin.get("/v1/flags/limit").await.ok();
        for member in ["revision", "updated_at"] {
            reset[member] = created[member].clone();
        }
        assert_eq!(reset, created);
        let same = admin.patch("/v1/flags/limit", json!({})).await.ok();
        assert_eq!(same["effect"], "unchanged");
        for (edit, status, code) in [
            (json!({ "default_value": null }), 422, "TYPE_MISMATCH"),
            (json!({ "kind": "eternal" }), 422, "VALUE_INVALID"),
            (json!({ "remove_after": "2027-02-30" }), 422, "TIME_INVALID"),
            (json!({ "overrides": ["galaxy"] }), 422, "OVERRIDE_NOT_ALLOWED"),
            (json!({ "name": "a\u{7}b" }), 422, "TEXT_INVALID"),
            (json!({ "salt": "x" }), 400, "MEMBER_UNKNOWN"),
        ] {
            admin.patch("/v1/flags/limit", edit).await.refused(status, code);
        }
    }

    async fn another_default_value_says_whom_it_reaches(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("b", "boolean", json!(false)).await;
        admin.flag("s", "string", json!("a")).await;
        let default = async |key: &str, value: Value| {
            admin.patch(&format!("/v1/flags/{key}"), json!({ "default_value": value })).await.ok()
        };
        assert_eq!(default("b", json!(true)).await["effect"], "widened");
        assert_eq!(default("b", json!(true)).await["effect"], "unchanged");
        assert_eq!(default("b", json!(false)).await["effect"], "narrowed");
        assert_eq!(default("s", json!("b")).await["effect"], "widened", "only whom no rule served change value");
        set(&admin, "b", json!({ "enabled": false })).await;
        let held = default("b", json!(true)).await;
        assert_eq!(held["effect"], "widened", "in staging");
        assert_eq!(held["holdouts"][0]["level"], "disabled");
        admin.put("/v1/flags/b/environments/staging", json!({ "enabled": false })).await.ok();
        assert_eq!(default("b", json!(false)).await["effect"], "unchanged", "it is off everywhere");
    }

    async fn an_archived_flag_leaves_tokens_and_comes_back_as_it_was(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        admin.put("/v1/flags/f/users/alice", json!({ "value": true })).await.ok();
        set(&admin, "f", json!({ "enabled": true, "value": true })).await;
        let application = admin.application("production").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", Some("org_a")).await;
        server.clock.advance(5);
        let archived = admin.post("/v1/flags/f/archive", json!({})).await.ok();
        assert_eq!((&archived["archived_at"], &archived["effect"]), (&json!("2027-01-15T08:00:05Z"), &json!("narrowed")));
        assert_eq!(alice.refresh().await, &json!({}));
        server.clock.advance(5);
        let again = admin.post("/v1/flags/f/archive", json!({})).await.ok();
        assert_eq!((&again["archived_at"], &again["effect"]), (&json!("2027-01-15T08:00:05Z"), &json!("unchanged")));
        admin.get("/v1/flags/f").await.ok();

        let restored = admin.post("/v1/flags/f/restore", json!({})).await.ok();
        assert_eq!((&restored["archived_at"], &restored["effect"]), (&Value::Null, &json!("widened")));
        assert_eq!(alice.refreshed_flag("f").await, true);
        assert_eq!(admin.evaluated("production", "bob", "", "f").await, (json!(true), "ENVIRONMENT".into()));
    }

    async fn deleting_asks_for_the_key_again(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let id = admin.flag("f", "boolean", json!(true)).await["id"].clone();
        for path in ["/v1/flags/f", "/v1/flags/f?confirm=", "/v1/flags/f?confirm=g", "/v1/flags/f?confirm=true"] {
            let problem = admin.delete(path).await.refused(409, "CONFIRMATION_REQUIRED");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("?confirm=f")), "{problem}");
        }
        let deleted = admin.delete("/v1/flags/f?confirm=f").await;
        assert_eq!(deleted.status, 200);
        assert_eq!(deleted.ok()["effect"], "narrowed");
        admin.get("/v1/flags/f").await.refused(404, "FLAG_NOT_FOUND");
        let history = admin.get(&format!("/v1/changes?flag={}", id.as_str().expect("an id"))).await.ok();
        assert_eq!(history["data"].as_array().map(Vec::len), Some(2), "history remains under the id");
    }

    async fn a_disabled_flag_serves_its_off_value_before_everything_else(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("b", "boolean", json!(true)).await;
        admin.flag("s", "string", json!("default")).await;
        for (flag, value) in [("b", json!(true)), ("s", json!("mine"))] {
            admin.put(&format!("/v1/flags/{flag}/users/alice"), json!({ "value": value })).await.ok();
        }
        assert_eq!(set(&admin, "b", json!({ "enabled": false })).await["effect"], "narrowed");
        set(&admin, "s", json!({ "enabled": false, "value": "environment" })).await;
        let disabled = || "DISABLED".to_owned();
        assert_eq!(admin.evaluated("production", "alice", "", "b").await, (json!(false), disabled()));
        assert_eq!(admin.evaluated("production", "alice", "", "s").await, (json!("default"), disabled()));
        assert_eq!(admin.evaluated("staging", "alice", "", "b").await, (json!(true), "USER_OVERRIDE".into()));

        let off = admin.patch("/v1/flags/b", json!({ "off_value": true })).await.ok();
        assert_eq!(off["effect"], "widened");
        admin.patch("/v1/flags/s", json!({ "off_value": "off" })).await.ok();
        assert_eq!(admin.evaluated("production", "alice", "", "b").await, (json!(true), disabled()));
        assert_eq!(admin.evaluated("production", "alice", "", "s").await, (json!("off"), disabled()));
        admin.patch("/v1/flags/s", json!({ "off_value": 7 })).await.refused(422, "TYPE_MISMATCH");
    }

    async fn taking_a_level_away_lists_what_would_be_lost(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        admin.put("/v1/flags/f/users/alice", json!({ "value": true, "note": "beta" })).await.ok();
        let organization = "/v1/flags/f/organizations/org_a?environment=staging";
        admin.put(organization, json!({ "value": true })).await.ok();
        set(&admin, "f", json!({ "enabled": true, "value": true })).await;

        let nothing = json!({ "overrides": [] });
        let problem = admin.patch("/v1/flags/f", nothing.clone()).await.refused(409, "CONFIRMATION_REQUIRED");
        let lost = problem["listing"].as_array().expect("a listing");
        assert_eq!(lost.len(), 3, "{lost:?}");
        assert!(lost.iter().any(|one| one["user"] == "alice" && one["value"] == true && one["note"] == "beta"));
        assert!(lost.iter().any(|one| one["organization"] == "org_a" && one["environment"] == "staging"));
        assert!(lost.iter().any(|one| one["level"] == "environment" && one["environment"] == "production"));
        let problem = admin.patch("/v1/flags/f", json!({ "overrides": ["user", "environment"] })).await;
        assert_eq!(problem.refused(409, "CONFIRMATION_REQUIRED")["listing"].as_array().map(Vec::len), Some(1));
        assert_eq!(admin.value("production", "alice", "", "f").await, true, "a refusal loses nothing");

        let dropped = admin.patch("/v1/flags/f?confirm=drop-overrides", nothing).await.ok();
        assert_eq!((&dropped["effect"], &dropped["overrides"]), (&json!("narrowed"), &json!([])));
        for environment in ["production", "staging"] {
            let found = admin.evaluated(environment, "alice", "org_a", "f").await;
            assert_eq!(found, (json!(false), "DEFAULT".into()));
        }
        admin.patch("/v1/flags/f", json!({ "overrides": ["environment", "organization", "user"] })).await.ok();
        assert_eq!(admin.value("production", "alice", "org_a", "f").await, false, "what was dropped does not come back");
    }

    async fn a_write_over_another_revision_is_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let seen = admin.get("/v1/flags/f").await.header("etag").to_owned();
        let patch = |tag: &str, name: &str| {
            admin.request(Method::PATCH, "/v1/flags/f").header("if-match", tag).json(&json!({ "name": name }))
        };
        let written = admin.send(patch(&seen, "first")).await;
        let now = written.header("etag").to_owned();
        assert_ne!(now, seen);
        written.ok();
        admin.send(patch(&seen, "second")).await.refused(412, "REVISION_MISMATCH");
        for method in [Method::DELETE, Method::POST] {
            let path = if method == Method::POST { "/v1/flags/f/archive" } else { "/v1/flags/f?confirm=f" };
            admin.send(admin.request(method, path).header("if-match", &seen)).await.refused(412, "REVISION_MISMATCH");
        }
        for tag in ["42", "W/\"1\"", "\"x\"", "\"1\", \"2\""] {
            admin.send(patch(tag, "third")).await.refused(400, "HEADER_INVALID");
        }
        assert_eq!(admin.get("/v1/flags/f").await.ok()["name"], "first");
        admin.send(patch("*", "fourth")).await.ok();
        admin.put("/v1/flags/f/environments/production", json!({ "enabled": false })).await.ok();
        assert_ne!(admin.get("/v1/flags/f").await.header("etag"), now, "written by the fourth");
        let fourth = admin.get("/v1/flags/f").await.header("etag").to_owned();
        admin.put("/v1/flags/f/environments/production", json!({ "enabled": true })).await.ok();
        assert_eq!(admin.get("/v1/flags/f").await.header("etag"), fourth, "a setting is another resource");
    }
}
