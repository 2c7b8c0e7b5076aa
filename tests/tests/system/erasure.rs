//! Erasing a user: nothing is left by which the user could be told again, and nobody else's past changes.

use flagbearer_tests::{Api, Asked, Client, Engine, Reply, TestServer, Upstream, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

/// An id that stands nowhere by chance.
const USER: &str = "usr_planted/\"x";
const PATH: &str = "usr_planted%2F%22x";

/// Whatever may name a user: attributes, memberships, overrides, lists, comments, sessions, codes; beside another user's.
struct Planted {
    server: TestServer,
    admin: Api,
    client: Client,
    tokens: Value,
    /// The revisions of what was done.
    revisions: Vec<i64>,
}

async fn plant(engine: Engine) -> Planted {
    let server = TestServer::start_with(engine, |config| config.record_issuance = true).await;
    let admin = server.admin();
    let client = Client::public(&admin, "production").await;
    admin.flag("f", "integer", json!(0)).await;
    admin.flag("b", "boolean", json!(false)).await;
    let mut revisions = Vec::new();
    let mut done = async |method: Method, path: &str, body: Value| {
        let request = admin.request(method, path).header("x-change-comment", format!("about {USER}")).json(&body);
        revisions.push(admin.send(request).await.ok()["revision"].as_i64().expect("a revision"));
        server.clock.advance(10);
    };
    done(Method::POST, "/v1/users", json!({ "id": USER, "attributes": { "plan": "planted-plan" } })).await;
    done(Method::POST, "/v1/users", json!({ "id": "ben", "attributes": { "plan": "free" } })).await;
    done(Method::POST, "/v1/organizations", json!({ "id": "org_a" })).await;
    for user in [PATH, "ben"] {
        done(Method::PUT, &format!("/v1/organizations/org_a/members/{user}"), json!({ "roles": ["admin"] })).await;
        done(Method::PUT, &format!("/v1/flags/f/users/{user}"), json!({ "value": 7, "note": format!("for {user}") })).await;
    }
    let targets = json!({ "audience": "some", "users": [USER, "ben"] });
    done(Method::PUT, "/v1/flags/b/environments/staging/targeting", targets.clone()).await;
    done(Method::PUT, "/v1/flags/b/environments/production/targeting", targets).await;
    done(Method::PUT, "/v1/flags/b/environments/production/targeting", json!({ "audience": "none" })).await;
    done(Method::POST, "/v1/segments", json!({ "key": "early", "users": ["ben", USER] })).await;
    done(Method::PATCH, &format!("/v1/users/{PATH}"), json!({ "attributes": { "plan": "planted-other" } })).await;
    let tokens = admin.session(&client.id, USER, Some("org_a")).await;
    client.refresh(&tokens).await.ok();
    admin.session(&client.id, "ben", Some("org_a")).await;
    Planted { server, admin, client, tokens, revisions }
}

/// What `evaluate` answers of a user at each revision.
async fn past(admin: &Api, user: &str, revisions: &[i64]) -> Vec<Value> {
    let mut past = Vec::new();
    for environment in ["production", "staging"] {
        for revision in revisions {
            let path = format!("/v1/evaluate?environment={environment}&user={user}&organization=org_a&revision={revision}");
            past.push(admin.get(&path).await.ok());
        }
    }
    past
}

async fn erase(admin: &Api) -> Value {
    let request = admin.request(Method::DELETE, &format!("/v1/users/{PATH}?erase=true"));
    admin.send(request.header("x-change-comment", format!("{USER} asked for it"))).await.ok()
}

on_both_engines! {
    async fn nothing_of_an_erased_user_is_left_in_any_table(engine: Engine) {
        let Planted { server, admin, tokens, .. } = plant(engine).await;
        let searched = [USER.to_owned(), json!(USER).to_string(), "planted".to_owned()];
        let found = |tables: &std::collections::BTreeMap<String, String>| -> Vec<String> {
            let holds = |rows: &String| searched.iter().any(|text| rows.contains(text.as_str()));
            tables.iter().filter(|(_, rows)| holds(rows)).map(|(name, _)| name.clone()).collect()
        };
        let before = found(&server.database.tables().await);
        for table in ["changes", "edits", "memberships", "overrides", "segments", "sessions", "settings", "users"] {
            assert!(before.iter().any(|name| name == table), "what is searched for is in {table} at first: {before:?}");
        }
        assert_eq!(server.database.texts("SELECT token_id FROM issuances").await.len(), 3);
        erase(&admin).await;
        let left = found(&server.database.tables().await);
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(server.database.texts("SELECT token_id FROM issuances").await.len(), 1, "that of the other user");
        let session = tokens["session_id"].as_str().expect("a session");
        admin.get(&format!("/v1/sessions/{session}")).await.refused(404, "SESSION_NOT_FOUND");
    }

    async fn nothing_is_left_of_what_waits_was_said_was_told_or_was_taken_back(engine: Engine) {
        let receiver = Upstream::start().await;
        receiver.reply("/hook", Reply::Other(204, "text/plain", String::new()));
        let server = TestServer::start_with(engine, |config| {
            config.record_issuance = true;
            config.outbound_allow = vec!["127.0.0.1".parse().expect("an address")];
        })
        .await;
        let admin = server.admin();
        let bob = server.api(&admin.key("administrator", None).await);
        let client = Client::public(&admin, "production").await;
        let hook = admin.post("/v1/webhooks", json!({ "url": format!("{}/hook", receiver.url) })).await.ok()["id"].clone();
        admin.flag("f", "integer", json!(0)).await;
        admin.flag("b", "boolean", json!(false)).await;
        let tokens = admin.session(&client.id, USER, Some("org_a")).await;
        client.refresh(&tokens).await.ok();

        // Batches, and what was taken back, of whom and with what words.
        let about = format!("for {USER}, who asked");
        let batch = json!({ "comment": about, "writes": [
            { "method": "PUT", "path": format!("/v1/flags/f/users/{PATH}"), "body": { "value": 7, "note": about } },
            { "method": "PUT", "path": format!("/v1/flags/b/environments/production/targeting/users/{PATH}"), "body": {} },
        ] });
        let batched = admin.post("/v1/batch", batch.clone()).await.ok()["revision"].clone();
        admin.post(&format!("/v1/changes/{batched}/revert"), Value::Null).await.ok();
        admin.post(&format!("/v1/changes/{batched}/comments"), json!({ "text": about })).await.ok();
        admin.post("/v1/batch", batch.clone()).await.ok();

        // What waits names users in every way in which a path and a document can be written.
        admin.patch("/v1/environments/production", json!({ "approvals": true })).await.ok();
        let override_at = |path: &str| format!("/v1/flags/f/users/{path}");
        let mut waiting = Vec::new();
        for path in [PATH, "%75sr_planted%2f%22x", "usr%5Fpl%61nted%2F%22%78", "usr_planted%2f%22x?urgent=true"] {
            waiting.push(admin.put(&override_at(path), json!({ "value": 8 })).await);
            let target = format!("/v1/flags/b/environments/production/targeting/users/{}", path.split('?').next().unwrap_or_default());
            waiting.push(admin.delete(&target).await);
            let part = json!({ "method": "DELETE", "path": override_at(path.split('?').next().unwrap_or_default()) });
            waiting.push(admin.post("/v1/batch", json!({ "writes": [part] })).await);
        }
        let escaped = r#"{"audience":"some","users":["\u0075sr_planted\/\"x"]}"#;
        let request = admin.request(Method::PUT, "/v1/flags/b/environments/production/targeting");
        waiting.push(admin.send(request.header("content-type", "application/json").body(escaped)).await);
        assert!(waiting.iter().all(|answer| answer.status == 202), "{waiting:?}");

        // What names nobody itself stays, without what was said.
        let mut kept = Vec::new();
        for decision in ["approve", "reject", "comments"] {
            let request = admin.request(Method::PUT, "/v1/flags/f/environments/production").header("x-change-comment", &about);
            let waits = admin.send(request.json(&json!({ "enabled": true, "value": kept.len() }))).await;
            assert_eq!(waits.status, 202, "{}", waits.text);
            let path = format!("/v1/pending-changes/{}", waits.body["id"].as_str().expect("an id"));
            let request = bob.request(Method::POST, &format!("{path}/{decision}")).header("x-change-comment", &about);
            let body = if decision == "comments" { json!({ "text": about }) } else { Value::Null };
            bob.send(request.json(&body)).await.ok();
            kept.push(path);
        }

        let told = |asked: Vec<Asked>| asked.iter().any(|asked| asked.body.contains("planted"));
        assert!(told(receiver.asked_times("/hook", 8).await), "it was told of before");
        let holding = |tables: &std::collections::BTreeMap<String, String>| -> Vec<String> {
            tables.iter().filter(|(_, rows)| rows.contains("planted")).map(|(name, _)| name.clone()).collect()
        };
        let before = holding(&server.database.tables().await);
        for table in ["changes", "comments", "edits", "overrides", "pending_changes", "pending_comments", "sessions"] {
            assert!(before.iter().any(|name| name == table), "{table}: {before:?}");
        }
        erase(&admin).await;
        let tables = server.database.tables().await;
        assert!(holding(&tables).is_empty(), "{:?}", holding(&tables));

        let left = admin.get("/v1/pending-changes?limit=100").await.ok()["data"].as_array().map(Vec::len);
        assert_eq!(left, Some(kept.len()), "and nothing else is gone");
        let said = "for [erased], who asked";
        let [approved, rejected, commented] = [0, 1, 2].map(|at: usize| kept[at].clone());
        let approved = admin.get(&approved).await.ok();
        assert_eq!((&approved["comment"], &approved["decision"]["comment"]), (&json!(said), &json!(said)));
        let change = admin.get(&format!("/v1/changes/{}", approved["revision"])).await.ok();
        assert_eq!((&change["comment"], &change["approval"]["comment"]), (&json!(said), &json!(said)));
        assert_eq!(admin.get(&rejected).await.ok()["decision"]["comment"], said);
        assert_eq!(admin.get(&commented).await.ok()["comments"][0]["text"], said);
        assert_eq!(admin.get(&format!("/v1/changes/{batched}")).await.ok()["comments"][0]["text"], said);
        let deliveries = format!("/v1/webhooks/{}/deliveries", hook.as_str().expect("an id"));
        for delivery in admin.get(&format!("{deliveries}?limit=200")).await.ok()["data"].as_array().expect("deliveries") {
            let shown = admin.get(&format!("{deliveries}/{}", delivery["id"].as_str().expect("an id"))).await.ok();
            assert!(!shown.to_string().contains("planted"), "{shown}");
        }
    }

    async fn the_erased_users_past_is_answered_so_and_everybody_elses_as_before(engine: Engine) {
        let Planted { server, admin, client, tokens, revisions } = plant(engine).await;
        let before = past(&admin, "ben", &revisions).await;
        let of_nobody = past(&admin, "nobody", &revisions).await;
        let erased = erase(&admin).await["revision"].as_i64().expect("a revision");
        assert_eq!(past(&admin, "ben", &revisions).await, before);
        assert_eq!(past(&admin, "nobody", &revisions).await, of_nobody);
        for revision in &revisions {
            let path = format!("/v1/evaluate?environment=production&user={PATH}&revision={revision}");
            admin.get(&path).await.refused(410, "ERASED");
        }
        let path = format!("/v1/evaluate?environment=production&user={PATH}&at=2027-01-15T08:00:40Z");
        admin.get(&path).await.refused(410, "ERASED");
        admin.post("/v1/explain", json!({ "token": tokens["access_token"] })).await.refused(410, "ERASED");
        client.refresh(&tokens).await.denied(400, "invalid_grant");

        // Now, and from then on, it is an id like any other, and nothing of before clings to it.
        let now = format!("/v1/evaluate?environment=staging&user={PATH}&organization=org_a");
        let found = admin.get(&now).await.ok();
        assert_eq!((&found["flags"]["b"]["value"], &found["flags"]["f"]["value"]), (&json!(false), &json!(0)));
        assert_eq!(admin.get(&format!("{now}&revision={erased}")).await.ok()["flags"], found["flags"]);
        let again = admin.session(&client.id, USER, Some("org_a")).await;
        server.clock.advance(10);
        let explained = admin.post("/v1/explain", json!({ "token": again["access_token"] })).await.ok();
        assert_eq!(explained["flags"]["f"]["then"]["value"], 0);
        let found = admin.get("/v1/evaluate?environment=staging&user=ben&organization=org_a").await.ok();
        assert_eq!((&found["flags"]["b"]["value"], &found["flags"]["f"]["value"]), (&json!(true), &json!(7)));
    }

    async fn the_log_stays_readable_with_tombstones_in_it(engine: Engine) {
        let Planted { server: _server, admin, revisions, .. } = plant(engine).await;
        let erased = erase(&admin).await;
        assert!(erased["erased_edits"].as_u64().is_some_and(|count| count >= 4), "{erased}");
        let created = admin.get(&format!("/v1/changes/{}", revisions[0])).await.ok();
        assert_eq!(created["edits"], json!([{
            "entity": "user", "id": null, "environment": null, "flag": null, "organization": null, "user": null,
            "before": null, "after": null, "differences": [], "erased": true,
        }]));
        let of_flag = admin.get("/v1/changes?flag=f&limit=200").await.ok();
        let entities = |change: &Value| change["edits"].as_array().expect("edits").len();
        assert!(of_flag["data"].as_array().expect("changes").iter().all(|change| entities(change) > 0));
        let of_user = [0, 3, 4, 11].map(|number: usize| revisions[number]);
        for revision in of_user {
            admin.post(&format!("/v1/changes/{revision}/revert?confirm=later-changes"), Value::Null).await.refused(410, "ERASED");
        }
        // What others have is taken back as ever.
        admin.post(&format!("/v1/changes/{}/revert", revisions[6]), Value::Null).await.ok();
        // Lists are still there, without the user.
        let targeted = admin.get(&format!("/v1/changes/{}", revisions[7])).await.ok();
        assert_eq!(targeted["edits"][0]["after"]["rules"][0]["audience"]["users"], json!(["ben"]));
        assert_eq!(admin.get("/v1/segments/early").await.ok()["users"], json!(["ben"]));
        let setting = admin.get("/v1/flags/b/environments/staging").await.ok();
        assert_eq!(setting["rules"][0]["audience"]["users"], json!(["ben"]));
        let last = admin.get(&format!("/v1/changes/{}", erased["revision"])).await.ok();
        assert_eq!((&created["comment"], &last["comment"]), (&json!("about [erased]"), &json!("[erased] asked for it")));
        assert!(last["edits"].as_array().expect("edits").iter().any(|edit| edit["erased"] == true));
        assert_eq!(admin.get(&format!("/v1/changes?user={PATH}")).await.ok()["data"], json!([]));
    }

    async fn an_erasure_can_be_previewed_and_nothing_of_it_is_done(engine: Engine) {
        let Planted { server, admin, .. } = plant(engine).await;
        let before = server.database.tables().await;
        let previewed = admin.delete(&format!("/v1/users/{PATH}?erase=true&preview=true")).await.ok();
        assert!(previewed["users"].to_string().contains("usr_planted") && previewed["base_revision"].is_i64(), "{previewed}");
        assert_eq!(server.database.tables().await, before);
    }

    async fn a_user_who_was_deleted_or_never_known_can_be_erased_once(engine: Engine) {
        let Planted { server: _server, admin, .. } = plant(engine).await;
        let path = format!("/v1/users/{PATH}?erase=true");
        admin.delete(&format!("/v1/users/{PATH}")).await.ok();
        admin.delete(&path).await.ok();
        admin.delete(&path).await.refused(404, "USER_NOT_FOUND");
        // Only overridden.
        let overridden = admin.put("/v1/flags/b/users/zoe", json!({ "value": true })).await;
        assert_eq!((overridden.status, admin.get("/v1/users/zoe").await.status), (200, 404));
        assert_eq!(admin.delete("/v1/users/zoe?erase=true").await.ok()["effect"], "narrowed");
        assert_eq!(admin.get("/v1/flags/b/overrides").await.ok()["data"], json!([]));
        // Only named in a list.
        admin.put("/v1/flags/b/environments/staging/targeting", json!({ "audience": "some", "users": ["eve"] })).await.ok();
        admin.delete("/v1/users/eve").await.refused(404, "USER_NOT_FOUND");
        assert_eq!(admin.delete("/v1/users/eve?erase=true").await.ok()["effect"], "narrowed");
        assert_eq!(admin.get("/v1/flags/b/environments/staging").await.ok()["rules"][0]["audience"]["users"], json!([]));
        admin.delete("/v1/users/ben?erase=perhaps").await.refused(400, "PARAMETER_INVALID");
        admin.delete("/v1/users/ben?erase=false").await.ok();
    }
}
