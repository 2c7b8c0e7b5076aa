//! `?preview=true`: what a write would do to whom, and that it does not do it.

use flagbearer_tests::{ADMIN_KEY, Answer, Api, BEGINNING, Engine, TestServer, binary, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

/// What is answered to a write that is only to be previewed.
async fn asked(admin: &Api, method: Method, path: &str, body: Value) -> Answer {
    let separator = if path.contains('?') { '&' } else { '?' };
    let request = admin.request(method, &format!("{path}{separator}preview=true"));
    admin.send(if body.is_null() { request } else { request.json(&body) }).await
}

/// A preview of a write, which has to be given.
async fn preview(admin: &Api, method: Method, path: &str, body: Value) -> Value {
    asked(admin, method, path, body).await.ok()
}

/// A flag `ai` that the organization `org_a` gets; sessions of its users Ann and Ben, and of Cid in `org_b`.
async fn installed(admin: &Api) -> String {
    admin.post("/v1/flags", json!({ "key": "ai", "type": "boolean", "default_value": false })).await.ok();
    let targeting = json!({ "audience": "some", "organizations": ["org_a"] });
    admin.put("/v1/flags/ai/environments/production/targeting", targeting).await.ok();
    let application = admin.application("production").await;
    for (user, organization) in [("ann", "org_a"), ("ben", "org_a"), ("cid", "org_b")] {
        admin.session(&application, user, Some(organization)).await;
    }
    application
}

async fn last_change(admin: &Api) -> i64 {
    admin.get("/v1/changes?limit=1").await.ok()["data"][0]["revision"].as_i64().expect("a revision")
}

on_both_engines! {
    async fn a_preview_says_who_changes_from_what_to_what_and_by_when(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = installed(&admin).await;
        server.clock.advance(100);

        let path = "/v1/flags/ai/environments/production/targeting";
        let said = preview(&admin, Method::PUT, path, json!({ "audience": "none" })).await;

        assert_eq!(said["base_revision"], last_change(&admin).await);
        assert_eq!(said["at"], BEGINNING.plus_seconds(100).to_string());
        assert_eq!((&said["effect"], &said["holdouts"]), (&json!("narrowed"), &json!([])));
        let organization = json!({ "organization": "org_a", "environment": "production", "flag": "ai", "from": true, "to": false });
        assert_eq!((&said["organization_count"], &said["organizations"]), (&json!(1), &json!([organization])));
        // No user had it without the organization.
        assert_eq!((&said["user_count"], &said["users"]), (&json!(0), &json!([])));
        assert_eq!(said["sessions"]["count"], 2);
        assert_eq!(said["sessions"]["turned_over_by"], BEGINNING.plus_seconds(300).to_string());
        let mut users: Vec<&str> = Vec::new();
        for session in said["sessions"]["first"].as_array().expect("sessions") {
            users.push(session["user"].as_str().expect("a user"));
            assert_eq!((&session["organization"], &session["application"]), (&json!("org_a"), &json!(application)));
            assert_eq!((&session["flag"], &session["environment"]), (&json!("ai"), &json!("production")));
            assert_eq!((&session["from"], &session["to"]), (&json!(true), &json!(false)));
        }
        users.sort();
        assert_eq!(users, ["ann", "ben"]);
    }

    async fn a_preview_of_any_write_says_its_own_and_writes_nothing(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = installed(&admin).await;
        let staging = admin.application("staging").await;
        admin.session(&staging, "ann", Some("org_a")).await;
        admin.post("/v1/segments", json!({ "key": "early" })).await.ok();
        let targeting = json!({ "audience": "some", "organizations": ["org_a"], "segments": ["early"] });
        admin.put("/v1/flags/ai/environments/production/targeting", targeting).await.ok();
        let condition = json!({ "organization": "plan", "equals": "paid" });
        let base = last_change(&admin).await;
        let batch = json!({ "writes": [
            { "method": "PUT", "path": "/v1/flags/ai/users/cid", "body": { "value": true } },
            { "method": "PUT", "path": "/v1/flags/ai/environments/production/targeting?confirm=replace-rules", "body": { "audience": "none" } },
        ] });
        // Organizations, users and sessions that change.
        for (method, path, body, counts) in [
            (Method::PUT, "/v1/flags/ai/environments/production", json!({ "enabled": false }), [1, 0, 2]),
            (Method::PUT, "/v1/flags/ai/environments/production/targeting", json!({ "audience": "all" }), [1, 3, 1]),
            (Method::PUT, "/v1/flags/ai/environments/staging/targeting", json!({ "audience": "all" }), [2, 3, 1]),
            (Method::PUT, "/v1/flags/ai/environments/production/targeting/users/cid", Value::Null, [0, 1, 1]),
            (Method::DELETE, "/v1/flags/ai/environments/production/targeting/organizations/org_a", Value::Null, [1, 0, 2]),
            (Method::POST, "/v1/flags/ai/environments/production/kill", json!({}), [1, 0, 2]),
            // In both environments.
            (Method::PUT, "/v1/flags/ai/users/ann", json!({ "value": true }), [0, 1, 1]),
            (Method::PUT, "/v1/flags/ai/users/ann", json!({ "value": false }), [0, 0, 1]),
            (Method::PUT, "/v1/flags/ai/users/somebody_new", json!({ "value": true }), [0, 1, 0]),
            (Method::PUT, "/v1/flags/ai/organizations/org_b?environment=production", json!({ "value": true }), [1, 0, 1]),
            (Method::PATCH, "/v1/flags/ai", json!({ "default_value": true }), [2, 3, 2]),
            (Method::PATCH, "/v1/flags/ai", json!({ "description": "nobody notices" }), [0, 0, 0]),
            (Method::POST, "/v1/flags/ai/archive", json!({}), [2, 3, 4]),
            (Method::DELETE, "/v1/flags/ai", Value::Null, [2, 3, 4]),
            (Method::POST, "/v1/flags", json!({ "key": "new", "type": "boolean", "default_value": false }), [2, 3, 4]),
            (Method::PATCH, "/v1/segments/early", json!({ "organizations": ["org_b"] }), [1, 0, 1]),
            (Method::PUT, "/v1/segments/early/users/cid", Value::Null, [0, 1, 1]),
            (Method::PATCH, "/v1/segments/early", json!({ "condition": condition }), [0, 0, 0]),
            (Method::DELETE, "/v1/organizations/org_a/members/ann", Value::Null, [0, 0, 2]),
            (Method::PUT, "/v1/organizations/org_a/members/ann", json!({ "roles": ["admin"] }), [0, 0, 2]),
            (Method::DELETE, "/v1/organizations/org_a", Value::Null, [0, 0, 3]),
            (Method::DELETE, "/v1/users/cid", Value::Null, [0, 0, 1]),
            (Method::PATCH, &format!("/v1/applications/{application}"), json!({ "audience": "else" }), [0, 0, 3]),
            (Method::PATCH, &format!("/v1/applications/{application}"), json!({ "name": "else" }), [0, 0, 0]),
            (Method::DELETE, &format!("/v1/applications/{application}"), Value::Null, [0, 0, 3]),
            (Method::POST, "/v1/environments", json!({ "name": "third" }), [0, 0, 0]),
            (Method::POST, "/v1/batch", batch, [1, 1, 3]),
        ] {
            let said = preview(&admin, method.clone(), path, body.clone()).await;

            let found = [&said["organization_count"], &said["user_count"], &said["sessions"]["count"]];
            assert_eq!(found, counts.map(Value::from).each_ref(), "{method} {path} {body}: {said:#}");
            assert_eq!(said["base_revision"], base, "{method} {path} {body}");
            assert!(said["effect"].is_string() && said["holdouts"].is_array(), "{method} {path} {body}: {said:#}");
        }
        assert_eq!(last_change(&admin).await, base);
        let sessions = admin.get("/v1/sessions").await.ok();
        assert_eq!(sessions["data"].as_array().map(Vec::len), Some(4));
    }

    async fn a_preview_names_sessions_that_end_and_claims_that_change(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = installed(&admin).await;

        let path = "/v1/organizations/org_a/members/ann";
        let ends = preview(&admin, Method::DELETE, path, Value::Null).await;
        let first = &ends["sessions"]["first"][0];
        assert_eq!((&first["user"], &first["ends"], &first["flag"]), (&json!("ann"), &json!(true), &Value::Null));
        assert_eq!(ends["sessions"]["turned_over_by"], BEGINNING.plus_seconds(300).to_string());

        let roles = preview(&admin, Method::PUT, path, json!({ "roles": ["admin"] })).await;
        let first = &roles["sessions"]["first"][0];
        assert_eq!((&first["claim"], &first["from"], &first["to"]), (&json!("roles"), &json!([]), &json!(["admin"])));

        let path = format!("/v1/applications/{application}");
        let shorter = preview(&admin, Method::PATCH, &path, json!({ "audience": "api", "access_token_ttl": 60 })).await;
        let first = &shorter["sessions"]["first"][0];
        assert_eq!((&first["claim"], &first["from"], &first["to"]), (&json!("audience"), &Value::Null, &json!("api")));
        // Tokens that are out live as long as they were given.
        assert_eq!(shorter["sessions"]["turned_over_by"], BEGINNING.plus_seconds(300).to_string());
    }

    async fn tokens_turn_over_when_the_last_one_that_may_be_out_has_expired(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/flags", json!({ "key": "ai", "type": "boolean", "default_value": false })).await.ok();
        let application = admin.application("production").await;
        let tokens = admin.session(&application, "ann", None).await;
        let by = async || {
            let said = preview(&admin, Method::PATCH, "/v1/flags/ai", json!({ "default_value": true })).await;
            assert_eq!(said["sessions"]["count"], 1);
            said["sessions"]["turned_over_by"].clone()
        };
        assert_eq!(by().await, json!(BEGINNING.plus_seconds(300)));
        server.clock.advance(200);
        admin.refreshed("", &application, &tokens).await;
        assert_eq!(by().await, json!(BEGINNING.plus_seconds(500)));
        // Within the grace of 30 seconds a retry is given another token.
        server.clock.advance(20);
        assert_eq!(by().await, json!(BEGINNING.plus_seconds(520)));
        server.clock.advance(100);
        assert_eq!(by().await, json!(BEGINNING.plus_seconds(530)));
        server.clock.advance(300);
        assert_eq!(by().await, Value::Null);
    }

    async fn a_preview_that_races_writes_speaks_of_its_own_base_revision(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        installed(&admin).await;
        let path = "/v1/flags/ai/environments/production/targeting";
        let writer = {
            let admin = server.admin();
            tokio::spawn(async move {
                for audience in ["all", "none"].repeat(20) {
                    admin.put(path, json!({ "audience": audience })).await.ok();
                }
            })
        };
        let mut bases = std::collections::BTreeSet::new();
        while !writer.is_finished() {
            let said = preview(&admin, Method::PUT, path, json!({ "audience": "all" })).await;
            let base = said["base_revision"].as_i64().expect("a revision");
            bases.insert(base);
            for (organization, sessions) in [("org_a", 2), ("org_b", 1)] {
                let query = format!("/v1/evaluate?environment=production&organization={organization}&revision={base}");
                let served = admin.get(&query).await.ok()["flags"]["ai"]["value"].clone();
                let each = |name: &'static str| said[name].as_array().expect("a list").iter();
                let listed = each("organizations").filter(|one| one["organization"] == organization).count();
                let first = said["sessions"]["first"].as_array().expect("a list").iter();
                let of_sessions = first.filter(|one| one["organization"] == organization).count();
                let expected = if served == true { (0, 0) } else { (1, sessions) };
                assert_eq!((listed, of_sessions), expected, "at {base}: {said:#}");
            }
        }
        writer.await.expect("the writes succeed");
        assert!(bases.len() > 1, "no write came in between");
    }

    async fn a_preview_finds_everybody_however_ids_and_attributes_are_written(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = installed(&admin).await;
        let (user, organization) = (r#"u"{\}'[é😀,"#, r#"o\"n],null"#);
        let (name, value) = (r#"na"me\é"#, r#"va\l"ue😀"#);
        let attributes = json!({ name: value, "other": ["x", "y"], "seats": 3 });
        admin.post("/v1/users", json!({ "id": user, "attributes": attributes })).await.ok();
        let session = admin.session(&application, user, Some(organization)).await["session_id"].clone();
        let condition = json!({ "user": name, "equals": value });
        admin.post("/v1/segments", json!({ "key": "odd", "condition": condition })).await.ok();
        let targeting = json!({ "audience": "some", "segments": ["odd"] });
        admin.put("/v1/flags/ai/environments/production/targeting", targeting).await.ok();

        let condition = json!({ "user": name, "equals": "another" });
        let foreseen = preview(&admin, Method::PATCH, "/v1/segments/odd", json!({ "condition": condition })).await;

        let change = json!({ "environment": "production", "flag": "ai", "from": true, "to": false, "user": user });
        assert_eq!(foreseen["users"], json!([change]));
        let mut of_session = change;
        of_session["session_id"] = session;
        of_session["application"] = json!(application);
        of_session["organization"] = json!(organization);
        assert_eq!(foreseen["sessions"]["first"], json!([of_session]));
    }

    async fn previews_take_turns_and_each_is_answered(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        installed(&admin).await;
        let everybody = || {
            let path = "/v1/flags/ai/environments/production/targeting";
            preview(&admin, Method::PUT, path, json!({ "audience": "all" }))
        };
        let first = everybody().await;
        assert_eq!(first["sessions"]["count"], 1);
        let (a, b, c, d, e) = tokio::join!(everybody(), everybody(), everybody(), everybody(), everybody());
        assert!([a, b, c, d, e].iter().all(|foreseen| foreseen["users"] == first["users"]));
    }

    async fn long_lists_are_cut_and_counted_whole(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.post("/v1/flags", json!({ "key": "ai", "type": "boolean", "default_value": false })).await.ok();
        let organizations = (0..120).map(|n| format!("('org_{n:03}', 'O', '{{}}', 1, 0)")).collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT INTO organizations (id, name, attributes, revision, created_at) VALUES {organizations}");
        server.database.execute(&sql).await;

        let said = preview(&admin, Method::PATCH, "/v1/flags/ai", json!({ "default_value": true })).await;

        // In two environments each.
        assert_eq!((&said["organization_count"], &said["organizations_truncated"]), (&json!(120), &json!(true)));
        let listed = said["organizations"].as_array().expect("a list");
        assert_eq!(listed.len(), 100);
        let places = listed.iter().map(|one| (one["organization"].as_str(), one["environment"].as_str()));
        assert!(places.is_sorted());
        assert_eq!(listed[99]["organization"], "org_049");
        assert_eq!((&said["users"], said.get("users_truncated")), (&json!([]), None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_is_refused_where_the_write_would_be_and_where_there_is_nothing_to_foretell() {
    let server = TestServer::start(Engine::Sqlite).await;
    let admin = server.admin();
    installed(&admin).await;
    admin.patch("/v1/environments/production", json!({ "protected": true })).await.ok();
    let path = "/v1/flags/ai/environments/production/targeting";
    let none = || json!({ "audience": "none" });

    admin.put(&format!("{path}?preview=maybe"), none()).await.refused(400, "PARAMETER_INVALID");
    for path in ["/v1/flags?preview=true", "/v1/flags/ai?preview=true", "/v1/changes?preview=true"] {
        admin.get(path).await.refused(400, "PARAMETER_UNKNOWN");
    }
    let session = json!({ "application": "x", "user": "ann" });
    for (path, body) in [
        ("/v1/sessions", session),
        ("/v1/explain", json!({ "token": "x" })),
        ("/v1/api-keys", json!({ "name": "k", "role": "viewer" })),
    ] {
        asked(&admin, Method::POST, path, body).await.refused(400, "PARAMETER_UNKNOWN");
    }
    let part = json!({ "method": "PUT", "path": format!("{path}?preview=true"), "body": none() });
    admin.post("/v1/batch", json!({ "writes": [part] })).await.refused(400, "PARAMETER_UNKNOWN");
    let of_kinde = asked(&admin, Method::DELETE, "/api/v1/feature_flags/ai", Value::Null).await;
    assert_eq!((of_kinde.status, &of_kinde.body["errors"][0]["code"]), (400, &json!("PARAMETER_UNKNOWN")));

    asked(&admin, Method::PUT, "/v1/flags/nowhere/environments/production", json!({ "enabled": true }))
        .await
        .refused(404, "FLAG_NOT_FOUND");
    asked(&admin, Method::PUT, path, json!({ "audience": "some", "segments": ["nowhere"] }))
        .await
        .refused(422, "SEGMENT_UNKNOWN");
    let stale = admin.request(Method::PUT, &format!("{path}?preview=true")).header("if-match", "\"1\"").json(&none());
    admin.send(stale).await.refused(412, "REVISION_MISMATCH");
    let viewer = admin.post("/v1/api-keys", json!({ "name": "v", "role": "viewer" })).await.ok();
    let viewer = server.api(viewer["key"].as_str().expect("a key"));
    asked(&viewer, Method::PUT, path, none()).await.refused(403, "FORBIDDEN");

    // To look is no deed: nothing need be confirmed for it.
    assert_eq!(preview(&admin, Method::PUT, path, none()).await["effect"], "narrowed");
    admin.put(path, none()).await.refused(409, "CONFIRMATION_REQUIRED");
    let revision = admin.get("/v1/flags/ai/environments/production").await.ok()["revision"].as_i64().expect("a revision");
    let matching = admin.request(Method::PUT, &format!("{path}?preview=true"));
    let matching = matching.header("if-match", format!("\"{revision}\"")).json(&none());
    assert_eq!(admin.send(matching).await.ok()["sessions"]["count"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_neither_set_nor_an_account_unlocked_by_a_preview() {
    let server = TestServer::start(Engine::Sqlite).await;
    let admin = server.admin();
    admin.post("/v1/users", json!({ "id": "ann", "email": "ann@example.com" })).await.ok();

    let said = preview(&admin, Method::PATCH, "/v1/users/ann", json!({ "password": "planted-password-of-a-user" })).await;

    assert_eq!(said["effect"], "unchanged");
    assert!(server.database.texts("SELECT user_id FROM passwords").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_shows_a_preview_in_tables() {
    let server = TestServer::start(Engine::Sqlite).await;
    let admin = server.admin();
    installed(&admin).await;
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.env("FLAGBEARER_SERVER", &server.url).env("FLAGBEARER_API_KEY", ADMIN_KEY).args(arguments);
        let output = command.output().await.expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let line = ["flags", "target", "ai", "--environment", "production", "--none", "--preview"];
    let base = last_change(&admin).await;

    let shown = run(&line).await;

    assert!(shown.starts_with(&format!("Nothing was changed. On top of revision {base}, at 2027-")), "{shown}");
    assert!(shown.contains("\nnarrowed\n"), "{shown}");
    assert!(shown.contains("\nOrganizations in their own right: 1\n"), "{shown}");
    assert!(shown.lines().any(|line| words_of(line) == ["org_a", "production", "ai", "true", "false"]), "{shown}");
    assert!(shown.contains("\nUsers in their own right: 0\n"), "{shown}");
    assert!(shown.contains("\nLiving sessions: 2, whose tokens will have turned over by 2027-"), "{shown}");
    let json: Value = serde_json::from_str(&run(&[&line[..], &["--json"]].concat()).await).expect("JSON");
    assert_eq!((&json["base_revision"], &json["sessions"]["count"]), (&json!(base), &json!(2)));
    assert_eq!(last_change(&admin).await, base);
}

fn words_of(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
