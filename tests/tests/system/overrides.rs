//! Overrides: of users, of organizations in an environment, and all of a flag.

use flagbearer_tests::{SignedIn, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const USER: &str = "/v1/flags/f/users/alice";
const ORGANIZATION: &str = "/v1/flags/f/organizations/org_a?environment=production";

on_both_engines! {
    async fn an_override_is_set_replaced_and_removed(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let set = admin.put(USER, json!({ "value": true, "note": "beta" })).await;
        let tag = set.header("etag").to_owned();
        let set = set.ok();
        assert_eq!(tag, format!("\"{}\"", set["revision"]));
        assert_eq!((&set["effect"], &set["holdouts"]), (&json!("widened"), &json!([])));
        assert_eq!((&set["level"], &set["user"], &set["value"]), (&json!("user"), &json!("alice"), &json!(true)));
        assert_eq!((&set["note"], &set["expires_at"]), (&json!("beta"), &Value::Null));
        let again = admin.put(USER, json!({ "value": true })).await.ok();
        assert_eq!((&again["effect"], &again["note"]), (&json!("unchanged"), &Value::Null), "replaced whole");
        assert_eq!(admin.put(USER, json!({ "value": false })).await.ok()["effect"], "narrowed");
        admin.put(USER, json!({ "value": true })).await.ok();
        let removed = admin.delete(USER).await;
        assert_eq!(removed.status, 200);
        assert_eq!(removed.ok()["effect"], "narrowed");
        admin.delete(USER).await.refused(404, "OVERRIDE_NOT_FOUND");

        let set = admin.put(ORGANIZATION, json!({ "value": true })).await.ok();
        assert_eq!((&set["level"], &set["organization"], &set["environment"]), (&json!("organization"), &json!("org_a"), &json!("production")));
        admin.delete("/v1/flags/f/organizations/org_a?environment=staging").await.refused(404, "OVERRIDE_NOT_FOUND");
        assert_eq!(admin.delete(ORGANIZATION).await.ok()["effect"], "narrowed");
    }

    async fn an_expired_override_is_not_there(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "string", json!("default")).await;
        let application = admin.application("production").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", Some("org_a")).await;
        admin.put(ORGANIZATION, json!({ "value": "organization", "expires_at": "2027-01-15T08:02:00Z" })).await.ok();
        admin.put(USER, json!({ "value": "user", "expires_at": "2027-01-15T08:01:00Z" })).await.ok();
        let mut seen = Vec::new();
        for seconds in [59, 1, 59, 1] {
            server.clock.advance(seconds);
            seen.push(alice.refreshed_flag("f").await);
        }
        assert_eq!(seen, ["user", "organization", "organization", "default"]);
        let removed = admin.delete(USER).await.ok();
        assert_eq!(removed["effect"], "unchanged");
        for wrong in ["soon", "2027-01-15", "2027-01-15T08:01:00"] {
            let problem = admin.put(USER, json!({ "value": "x", "expires_at": wrong })).await.refused(422, "TIME_INVALID");
            assert_eq!(problem["errors"][0]["pointer"], "/expires_at");
        }
    }

    async fn a_flags_overrides_are_listed_by_level_and_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let yes = json!({ "value": true });
        for user in ["b", "a/1", "ü"] {
            let user = user.replace('/', "%2F").replace('ü', "%C3%BC");
            admin.put(&format!("/v1/flags/f/users/{user}"), yes.clone()).await.ok();
        }
        for (organization, environment) in [("org_b", "production"), ("org_a", "production"), ("org_a", "staging")] {
            let path = format!("/v1/flags/f/organizations/{organization}?environment={environment}");
            admin.put(&path, yes.clone()).await.ok();
        }
        let subjects = |list: &Value| -> Vec<String> {
            let name = |one: &Value| one[one["level"].as_str().expect("a level")].as_str().expect("a subject").to_owned();
            list["data"].as_array().expect("data").iter().map(name).collect()
        };
        let all = ["org_a", "org_b", "org_a", "a/1", "b", "ü"];
        assert_eq!(subjects(&admin.get("/v1/flags/f/overrides").await.ok()), all);
        for (filter, expected) in [
            ("level=user", &all[3..]),
            ("level=organization", &all[..3]),
            ("environment=production", &all[..2]),
            ("environment=staging&level=organization", &all[2..3]),
        ] {
            assert_eq!(subjects(&admin.get(&format!("/v1/flags/f/overrides?{filter}")).await.ok()), expected, "{filter}");
        }
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let request = admin.request(Method::GET, "/v1/flags/f/overrides?limit=2").query(&[("cursor", &cursor)]);
            let page = admin.send(request).await.ok();
            found.extend(subjects(&page));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = next.to_owned();
        }
        assert_eq!(found, all);
    }

    async fn overrides_are_removed_together_in_one_change(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let fill = async || {
            admin.put(USER, json!({ "value": true })).await.ok();
            for environment in ["production", "staging"] {
                let path = format!("/v1/flags/f/organizations/org_a?environment={environment}");
                admin.put(&path, json!({ "value": true })).await.ok();
            }
        };
        for (scope, removed) in [("", 3), ("?level=user", 1), ("?level=organization", 2), ("?environment=staging", 1)] {
            fill().await;
            let answer = admin.delete(&format!("/v1/flags/f/overrides{scope}")).await.ok();
            assert_eq!((&answer["removed"], &answer["effect"]), (&json!(removed), &json!("narrowed")), "{scope}");
            let change = admin.get(&format!("/v1/changes/{}", answer["revision"])).await.ok();
            assert_eq!(change["edits"].as_array().map(Vec::len), Some(removed), "{scope}");
        }
        admin.delete("/v1/flags/f/overrides").await.ok();
        let nothing = admin.delete("/v1/flags/f/overrides").await.ok();
        assert_eq!((&nothing["removed"], &nothing["effect"]), (&json!(0), &json!("unchanged")));
    }

    async fn an_override_over_another_revision_is_refused(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        let send = async |method: Method, tag: &str| {
            let request = admin.request(method.clone(), USER).header("if-match", tag);
            let put = method == Method::PUT;
            admin.send(if put { request.json(&json!({ "value": true })) } else { request }).await
        };
        send(Method::PUT, "\"1\"").await.refused(412, "REVISION_MISMATCH");
        send(Method::PUT, "*").await.refused(412, "REVISION_MISMATCH");
        let tag = admin.put(USER, json!({ "value": false })).await.header("etag").to_owned();
        let next = send(Method::PUT, &tag).await.header("etag").to_owned();
        send(Method::PUT, &tag).await.refused(412, "REVISION_MISMATCH");
        send(Method::DELETE, &tag).await.refused(412, "REVISION_MISMATCH");
        send(Method::DELETE, &next).await.ok();
    }

    async fn whoever_is_held_out_is_found_among_many_who_are_not(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "boolean", json!(false)).await;
        admin.flag("n", "integer", json!(0)).await;
        for (flag, users, value) in [("f", 1300, "true"), ("n", 150, "7")] {
            let id = admin.get(&format!("/v1/flags/{flag}")).await.ok()["id"].as_str().expect("an id").to_owned();
            let rows: Vec<_> = (0..users).map(|user| format!("('user', 'u{user}', '', '{id}', '{value}', 1)")).collect();
            let sql = format!("INSERT INTO overrides (level, subject, environment, flag, value, revision) VALUES {}", rows.join(", "));
            server.database.execute(&sql).await;
        }
        admin.put("/v1/flags/f/users/zzz", json!({ "value": false })).await.ok();
        let targeting = |flag: &str| format!("/v1/flags/{flag}/environments/production/targeting");
        let all = admin.put(&targeting("f"), json!({ "audience": "all" })).await.ok();
        let held_out: Vec<_> = all["holdouts"].as_array().expect("holdouts").iter().map(|holdout| &holdout["user"]).collect();
        assert_eq!((held_out, all.get("holdouts_truncated")), (vec![&json!("zzz")], None));
        let some = admin.put(&targeting("n"), json!({ "audience": "all", "value": 9 })).await.ok();
        let listed = some["holdouts"].as_array().expect("holdouts").len();
        assert_eq!((listed, &some["holdouts_truncated"]), (100, &json!(true)), "and says that there are more");
    }
}
