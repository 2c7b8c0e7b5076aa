//! `/v1/sessions`: what a trusted backend starts, sees and ends.

use flagbearer_server::clock::Clock;
use flagbearer_tests::{Issuer, SignedIn, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

fn ids(list: &Value) -> Vec<Value> {
    list["data"].as_array().expect("data").iter().map(|one| one["session_id"].clone()).collect()
}

on_both_engines! {
    async fn a_session_starts_with_tokens_and_flags(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "integer", json!(7)).await;
        let application = admin.application("staging").await;
        let revision = admin.revision("staging").await;
        let backend = server.api(&admin.key("application", Some("staging")).await);
        let started = backend.post("/v1/sessions", json!({ "application": application, "user": "alice", "organization": "org_a" })).await;
        assert_eq!(started.status, 201);
        let tokens = started.ok();
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(300)));
        assert_eq!(tokens["feature_flags"], json!({ "f": { "t": "i", "v": 7 } }));
        assert_eq!(tokens["flags_rev"], revision, "starting a session is no change");
        let claims = Issuer::discover(&admin, "/env/staging", &application).await.claims(&tokens, server.clock.now());
        let now = server.clock.now().seconds();
        let expected = json!({
            "iss": format!("{}/env/staging", server.url), "sub": "alice", "aud": application, "client_id": application,
            "iat": now, "exp": now + 300, "jti": claims["jti"], "sid": tokens["session_id"], "auth_time": now,
            "org_id": "org_a", "flags_rev": revision, "feature_flags": tokens["feature_flags"],
        });
        assert_eq!(claims, expected);
        for path in ["/v1/users/alice", "/v1/organizations/org_a", "/v1/organizations/org_a/members/alice"] {
            admin.get(path).await.ok();
        }
        assert_eq!(admin.revision("staging").await, revision);

        server.clock.advance(30);
        let next = backend.refreshed("/env/staging", &application, &tokens).await;
        let later = Issuer::discover(&admin, "/env/staging", &application).await.claims(&next, server.clock.now());
        assert_eq!((&later["iat"], &later["auth_time"], &later["sid"]), (&json!(now + 30), &json!(now), &claims["sid"]));
        assert_ne!(later["jti"], claims["jti"]);
    }

    async fn a_strict_session_takes_only_who_is_known(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let start = async |user: &str, organization: Option<&str>| {
            let body = json!({ "application": application, "user": user, "organization": organization, "strict": true });
            admin.post("/v1/sessions", body).await
        };
        start("alice", None).await.refused(404, "USER_NOT_FOUND");
        admin.post("/v1/users", json!({ "id": "alice" })).await.ok();
        start("alice", None).await.ok();
        start("alice", Some("org_a")).await.refused(404, "ORGANIZATION_NOT_FOUND");
        admin.post("/v1/organizations", json!({ "id": "org_a" })).await.ok();
        start("alice", Some("org_a")).await.refused(403, "NOT_A_MEMBER");
        admin.put("/v1/organizations/org_a/members/alice", json!({})).await.ok();
        start("alice", Some("org_a")).await.ok();
        for (body, status, code, place) in [
            (json!({ "user": "alice" }), 400, "MEMBER_MISSING", "/application"),
            (json!({ "application": application }), 400, "MEMBER_MISSING", "/user"),
            (json!({ "application": application, "user": "" }), 422, "ID_INVALID", "/user"),
            (json!({ "application": application, "user": "a", "organization": "\n" }), 422, "ID_INVALID", "/organization"),
            (json!({ "application": application, "user": "a", "scope": "x" }), 400, "MEMBER_UNKNOWN", "/scope"),
        ] {
            let problem = admin.post("/v1/sessions", body).await.refused(status, code);
            assert_eq!(problem["errors"][0]["pointer"], place);
        }
    }

    async fn living_sessions_are_listed_and_filtered(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let (production, staging) = (admin.application("production").await, admin.application("staging").await);
        let mut all = Vec::new();
        for (application, user, organization) in [
            (&production, "alice", Some("org_a")), (&production, "bob", Some("org_a")), (&staging, "alice", Some("org_b")),
            (&staging, "carol", None),
        ] {
            all.push(admin.session(application, user, organization).await["session_id"].clone());
        }
        let listed = async |filter: &str| ids(&admin.get(&format!("/v1/sessions?{filter}")).await.ok());
        let some = |numbers: &[usize]| {
            let mut some: Vec<_> = numbers.iter().map(|number| all[*number].clone()).collect();
            some.sort_by_key(Value::to_string);
            some
        };
        assert_eq!(listed("").await, some(&[0, 1, 2, 3]));
        assert_eq!(listed("user=alice").await, some(&[0, 2]));
        assert_eq!(listed("organization=org_a&user=bob").await, some(&[1]));
        assert_eq!(listed("environment=staging").await, some(&[2, 3]));
        assert_eq!(listed(&format!("application={production}")).await, some(&[0, 1]));
        let page = admin.get("/v1/sessions?limit=3").await.ok();
        let rest = listed(&format!("limit=3&cursor={}", page["next_cursor"].as_str().expect("a cursor"))).await;
        assert_eq!([ids(&page), rest].concat(), some(&[0, 1, 2, 3]));

        let bound = server.api(&admin.key("viewer", Some("staging")).await);
        assert_eq!(ids(&bound.get("/v1/sessions").await.ok()), some(&[2, 3]));
        let foreign = format!("/v1/sessions/{}", all[0].as_str().expect("an id"));
        bound.get(&foreign).await.refused(404, "SESSION_NOT_FOUND");
        let one = admin.get(&foreign).await.ok();
        assert_eq!((&one["user"], &one["organization"], &one["environment"]), (&json!("alice"), &json!("org_a"), &json!("production")));
        assert!(!one.to_string().contains("fbr_"), "no secret is shown");
    }

    async fn sessions_end_one_by_one_and_by_what_they_have_in_common(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let token = |tokens: &Value| tokens["refresh_token"].as_str().expect("a token").to_owned();
        let mut stays = SignedIn::start(&admin, &application, "zoe", Some("org_z")).await;
        let one = admin.session(&application, "alice", Some("org_a")).await;
        let path = format!("/v1/sessions/{}", one["session_id"].as_str().expect("an id"));
        assert_eq!(admin.delete(&path).await.status, 204);
        assert_eq!(admin.delete(&path).await.status, 204, "it has ended, which is what was asked for");
        admin.refresh("", &application, &token(&one)).await.denied(400, "invalid_grant");
        for filter in ["user=alice", "organization=org_a", "user=alice&organization=org_a&environment=production"] {
            let mine = admin.session(&application, "alice", Some("org_a")).await;
            let ended = admin.delete(&format!("/v1/sessions?{filter}")).await.ok();
            assert_eq!(ended["ended"], 1, "{filter}");
            admin.refresh("", &application, &token(&mine)).await.denied(400, "invalid_grant");
        }
        stays.refresh().await;
        let ended = admin.delete(&format!("/v1/sessions?application={application}")).await.ok();
        assert_eq!(ended["ended"], 1);
        admin.refresh("", &application, &token(&stays.tokens)).await.denied(400, "invalid_grant");
    }

    async fn a_session_ends_when_idle_and_at_last(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let body = json!({ "name": "app", "environment": "production", "public": true, "idle_ttl": 600, "absolute_ttl": 1000 });
        let application = admin.post("/v1/applications", body).await.ok()["client_id"].as_str().expect("an id").to_owned();
        let mut alice = SignedIn::start(&admin, &application, "alice", None).await;
        let idle = admin.session(&application, "bob", None).await;
        server.clock.advance(599);
        alice.refresh().await;
        server.clock.advance(1);
        admin.refresh("", &application, idle["refresh_token"].as_str().expect("a token")).await.denied(400, "invalid_grant");
        server.clock.advance(399);
        alice.refresh().await;
        assert_eq!(alice.tokens["expires_in"], 1, "no token outlives its session");
        server.clock.advance(1);
        let token = alice.tokens["refresh_token"].as_str().expect("a token").to_owned();
        admin.refresh("", &application, &token).await.denied(400, "invalid_grant");
        assert_eq!(admin.get("/v1/sessions").await.ok()["data"], json!([]));
        admin.send(admin.request(Method::GET, "/v1/sessions?user=alice")).await.ok();
    }

    async fn a_session_that_ended_a_week_ago_is_cleared_away(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let ended = admin.session(&application, "alice", None).await["session_id"].clone();
        server.clock.advance(37 * 86_400);
        let kept = admin.session(&application, "bob", None).await["session_id"].clone();
        admin.delete(&format!("/v1/sessions/{}", kept.as_str().expect("an id"))).await;
        admin.get(&format!("/v1/sessions/{}", ended.as_str().expect("an id"))).await.ok();
        let clock = server.clock.clone();
        let server = TestServer::on(server.stop().await, clock).await;
        // The start clears away; it does not wait for it.
        let cleared = async {
            while server.database.texts("SELECT id FROM sessions").await != [kept.as_str().expect("an id")] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), cleared).await.expect("the ended session goes, the other stays");
    }
}
