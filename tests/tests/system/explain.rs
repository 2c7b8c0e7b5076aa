//! From a token to the change that caused what it says, in one call.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer_tests::{Api, BEGINNING, SignedIn, TestServer, on_both_engines};
use serde_json::{Value, json};

const FLAG: &str = "snippet-synthesis";

async fn target(admin: &Api, environment: &str, targeting: Value, comment: &str) -> Value {
    let path = format!("/v1/flags/{FLAG}/environments/{environment}/targeting");
    let request = admin.request(reqwest::Method::PUT, &path).header("x-change-comment", comment).json(&targeting);
    admin.send(request).await.ok()
}

fn token(tokens: &Value) -> &Value {
    &tokens["access_token"]
}

async fn explained(admin: &Api, tokens: &Value) -> Value {
    admin.post("/v1/explain", json!({ "token": token(tokens) })).await.ok()
}

/// The causes of a flag: the name of each, with its revision where it is a change.
fn causes(explained: &Value, flag: &str) -> Vec<(String, Option<i64>)> {
    let causes = explained["flags"][flag]["causes"].as_array().expect("causes");
    causes.iter().map(|cause| (cause["cause"].as_str().expect("a cause").to_owned(), cause["revision"].as_i64())).collect()
}

fn change(answer: &Value) -> (String, Option<i64>) {
    ("change".to_owned(), answer["revision"].as_i64())
}

fn time(seconds: i64) -> String {
    BEGINNING.plus_seconds(seconds).to_string()
}

on_both_engines! {
    async fn incident_1_a_production_token_where_staging_was_meant(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag(FLAG, "boolean", json!(false)).await;
        let [production, staging] = [admin.application("production").await, admin.application("staging").await];
        let one = json!({ "audience": "some", "users": ["alice"] });
        target(&admin, "production", one, "").await;
        target(&admin, "staging", json!({ "audience": "all" }), "").await;
        let bob = admin.session(&production, "bob", Some("org_x")).await;
        let expected = json!({ "environment": "staging", "organization": "org_x", "user": "bob", "application": staging });

        let found = admin.post("/v1/explain", json!({ "token": token(&bob), "expected": expected })).await.ok();
        assert_eq!(found["mismatches"], json!([
            { "what": "environment", "expected": "staging", "actual": "production" },
            { "what": "application", "expected": staging, "actual": production },
        ]));
        assert_eq!(found["token"], json!({
            "revision": bob["flags_rev"], "issued_at": time(0), "expires_at": time(300),
            "environment": "production", "user": "bob", "organization": "org_x", "application": production,
            "session_id": bob["session_id"], "token_id": found["token"]["token_id"], "stale": false,
        }));
        let flag = &found["flags"][FLAG];
        assert_eq!((&flag["carried"], &flag["then"]["value"], &flag["then"]["reason"]), (&json!(false), &json!(false), &json!("DEFAULT")));
        assert_eq!(flag["then"], flag["now"]);
        assert_eq!(flag["causes"], json!([]));
        let rule = &flag["then"]["trace"][3];
        assert_eq!((&rule["level"], &rule["why"]), (&json!("rule"), &json!("the context is not in the audience")));
    }

    async fn incident_2_the_change_that_took_the_flag_from_the_organization(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag(FLAG, "boolean", json!(false)).await;
        admin.flag("unrelated", "boolean", json!(false)).await;
        let application = admin.application("production").await;
        target(&admin, "production", json!({ "audience": "some", "organizations": ["org_x"] }), "ours only").await;
        let mut ours = SignedIn::start(&admin, &application, "alice", Some("org_x")).await;
        let mut others = SignedIn::start(&admin, &application, "bob", Some("org_y")).await;
        let (ours_before, others_before) = (ours.tokens.clone(), others.tokens.clone());
        server.clock.advance(60);
        let widened = target(&admin, "production", json!({ "audience": "all" }), "to all organizations").await;
        server.clock.advance(60);
        let path = format!("/v1/flags/{FLAG}/organizations/org_x?environment=production");
        let request = admin.request(reqwest::Method::PUT, &path).header("x-change-comment", "cleaning up").json(&json!({ "value": false }));
        let sent = admin.send(request).await;
        let request_id = sent.header("x-request-id").to_owned();
        let taken = sent.ok();
        assert_eq!(others.refreshed_flag(FLAG).await, true);
        assert_eq!(ours.refreshed_flag(FLAG).await, false, "ours lost it while everybody else has it");

        let found = explained(&admin, &ours_before).await;
        let flag = &found["flags"][FLAG];
        assert_eq!((&flag["carried"], &flag["then"]["value"]), (&json!(true), &json!(true)));
        assert_eq!((&flag["now"]["value"], &flag["now"]["reason"]), (&json!(false), &json!("ORGANIZATION_OVERRIDE")));
        assert_eq!(flag["causes"], json!([{
            "cause": "change", "revision": taken["revision"], "at": time(120),
            "actor": { "type": "api_key", "id": "configured", "name": "configured administrator" },
            "request_id": request_id, "comment": "cleaning up",
        }]), "the widening itself took nothing from it");
        assert_eq!(found["token"]["stale"], true);
        assert_eq!(found["now"]["revision"], taken["revision"]);
        assert_eq!(found["flags"]["unrelated"]["causes"], json!([]));

        assert_eq!(causes(&explained(&admin, &others_before).await, FLAG), [change(&widened)]);
        let found = explained(&admin, &ours.tokens).await;
        assert_eq!((&found["token"]["stale"], &found["flags"][FLAG]["causes"]), (&json!(false), &json!([])));
        assert_eq!(found["flags"][FLAG]["then"]["reason"], "ORGANIZATION_OVERRIDE");
    }

    async fn time_alone_changes_flags_too(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for flag in ["scheduled", "expiring", "planned"] {
            admin.flag(flag, "boolean", json!(false)).await;
        }
        let from = |seconds| {
            let rule = json!({ "audience": { "type": "all" }, "serve": { "value": true }, "schedule": { "from": time(seconds) } });
            json!({ "enabled": true, "rules": [rule] })
        };
        admin.put("/v1/flags/scheduled/environments/production", from(100)).await.ok();
        let expiring = json!({ "value": true, "expires_at": time(50) });
        admin.put("/v1/flags/expiring/users/alice", expiring).await.ok();
        let application = admin.application("production").await;
        let tokens = admin.session(&application, "alice", Some("org_x")).await;
        server.clock.advance(10);
        let planned = admin.put("/v1/flags/planned/environments/production", from(150)).await.ok();
        server.clock.advance(190);

        let found = explained(&admin, &tokens).await;
        assert_eq!(found["flags"]["scheduled"]["causes"], json!([{ "cause": "schedule", "at": time(100) }]));
        assert_eq!(found["flags"]["expiring"]["causes"], json!([{ "cause": "override_expired", "level": "user", "at": time(50) }]));
        assert_eq!(found["flags"]["planned"]["causes"], json!([{ "cause": "schedule", "at": time(150) }]),
            "the change of {} s alone served nothing else yet", planned["revision"]);
        assert_eq!((&found["flags"]["expiring"]["then"]["value"], &found["flags"]["expiring"]["now"]["value"]), (&json!(true), &json!(false)));
    }

    async fn every_kind_of_change_is_named(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let condition = json!({ "organization": "plan", "equals": "enterprise" });
        admin.post("/v1/segments", json!({ "key": "big", "condition": condition })).await.ok();
        for flag in ["attribute", "segment", "default", "archived", "deleted", "again", "off"] {
            admin.flag(flag, "boolean", json!(false)).await;
        }
        let rule = json!({ "audience": { "type": "some", "segments": ["big"] }, "serve": { "value": true } });
        admin.put("/v1/flags/attribute/environments/production", json!({ "enabled": true, "rules": [rule] })).await.ok();
        admin.post("/v1/segments", json!({ "key": "listed" })).await.ok();
        let rule = json!({ "audience": { "type": "some", "segments": ["listed"] }, "serve": { "value": true } });
        admin.put("/v1/flags/segment/environments/production", json!({ "enabled": true, "rules": [rule] })).await.ok();
        let application = admin.application("production").await;
        let tokens = admin.session(&application, "alice", Some("org_x")).await;
        let attributes = json!({ "attributes": { "plan": "enterprise" } });
        let attribute = admin.patch("/v1/organizations/org_x", attributes).await.ok();
        let segment = admin.put("/v1/segments/listed/users/alice", json!({})).await.ok();
        admin.patch("/v1/flags/default", json!({ "description": "said better" })).await.ok();
        let default = admin.patch("/v1/flags/default", json!({ "default_value": true })).await.ok();
        let archived = admin.post("/v1/flags/archived/archive", Value::Null).await.ok();
        let deleted = admin.delete("/v1/flags/deleted?confirm=deleted").await.ok();
        let gone = admin.delete("/v1/flags/again?confirm=again").await.ok();
        let again = admin.flag("again", "integer", json!(1)).await;
        let created = admin.flag("created", "boolean", json!(true)).await;
        let off = admin.put("/v1/flags/off/environments/production", json!({ "enabled": false })).await.ok();

        let found = explained(&admin, &tokens).await;
        for (flag, expected) in [
            ("attribute", vec![change(&attribute)]),
            ("segment", vec![change(&segment)]),
            ("default", vec![change(&default)]),
            ("archived", vec![change(&archived)]),
            ("deleted", vec![change(&deleted)]),
            ("again", vec![change(&gone), change(&again)]),
            ("created", vec![change(&created)]),
            ("off", vec![change(&off)]),
        ] {
            assert_eq!(causes(&found, flag), expected, "{flag}");
        }
        assert_eq!(found["flags"]["archived"]["now"], Value::Null);
        assert_eq!(found["flags"]["created"]["then"], Value::Null);
        assert_eq!(found["flags"]["created"]["carried"], Value::Null);
        assert_eq!(found["token"]["stale"], true);
    }

    async fn what_changes_the_token_as_a_whole_is_told_beside_the_flags(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "integer", json!(0)).await;
        admin.put("/v1/flags/f/organizations/org_y?environment=production", json!({ "value": 7 })).await.ok();
        let application = admin.application("production").await;
        let mut first = SignedIn::start(&admin, &application, "alice", Some("org_x")).await;
        let before = first.tokens.clone();
        admin.session(&application, "alice", Some("org_y")).await;
        let granted = admin.put("/v1/organizations/org_x/members/alice", json!({ "roles": ["owner"] })).await.ok();
        let patched = admin.patch(&format!("/v1/applications/{application}"), json!({ "access_token_ttl": 600 })).await.ok();

        let found = explained(&admin, &before).await;
        let of_token = |found: &Value| {
            let causes = found["causes"].as_array().expect("causes").clone();
            causes.iter().map(|cause| (cause["cause"].clone(), cause["revision"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(of_token(&found), [
            (json!("membership_changed"), granted["revision"].clone()),
            (json!("application_changed"), patched["revision"].clone()),
        ]);
        assert_eq!((&found["token"]["stale"], &found["flags"]["f"]["causes"]), (&json!(true), &json!([])));
        first.refresh().await;
        assert_eq!(explained(&admin, &first.tokens).await["causes"], json!([]));

        let refresh_token = first.tokens["refresh_token"].as_str().expect("a refresh token");
        let form = [("grant_type", "refresh_token"), ("client_id", &application), ("refresh_token", refresh_token),
            ("organization_id", "org_y")];
        let switched = admin.token("", &form).await.ok();
        assert_eq!(switched["feature_flags"]["f"]["v"], 7);
        let found = explained(&admin, &first.tokens).await;
        let cause = json!({ "cause": "organization_switched", "from": "org_x", "to": "org_y" });
        assert_eq!((&found["causes"], &found["now"]["organization"]), (&json!([cause]), &json!("org_y")));
        assert_eq!(found["flags"]["f"]["causes"], json!([cause]));
        assert_eq!((&found["flags"]["f"]["then"]["value"], &found["flags"]["f"]["now"]["value"]), (&json!(0), &json!(7)));
        assert_eq!(explained(&admin, &switched).await["causes"], json!([]));
    }

    async fn a_session_and_a_time_will_do(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "integer", json!(0)).await;
        let application = admin.application("production").await;
        server.clock.advance(10);
        let tokens = admin.session(&application, "alice", Some("org_x")).await;
        server.clock.advance(10);
        let changed = admin.patch("/v1/flags/f", json!({ "default_value": 1 })).await.ok();
        server.clock.advance(10);
        let session = tokens["session_id"].clone();
        let ask = async |at: String| admin.post("/v1/explain", json!({ "session_id": session, "at": at })).await;

        let found = ask(time(19)).await.ok();
        assert_eq!((&found["token"]["revision"], &found["token"]["token_id"]), (&tokens["flags_rev"], &Value::Null));
        assert_eq!((&found["flags"]["f"]["then"]["value"], &found["flags"]["f"]["carried"]), (&json!(0), &Value::Null));
        assert_eq!(causes(&found, "f"), [change(&changed)]);
        let found = ask(time(20)).await.ok();
        assert_eq!((&found["flags"]["f"]["then"]["value"], &found["token"]["stale"]), (&json!(1), &json!(false)));
        assert_eq!(ask(time(9)).await.refused(422, "TIME_INVALID")["errors"][0]["pointer"], "/at");
        ask(time(31)).await.refused(422, "TIME_INVALID");
        let body = json!({ "session_id": "ses_nope", "at": time(20) });
        admin.post("/v1/explain", body).await.refused(404, "SESSION_NOT_FOUND");
        let bound = server.api(&admin.key("viewer", Some("staging")).await);
        let body = json!({ "session_id": session, "at": time(20) });
        bound.post("/v1/explain", body).await.refused(404, "SESSION_NOT_FOUND");
    }

    async fn tokens_are_explained_after_they_expire_and_after_their_key_is_retired(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "integer", json!(0)).await;
        let mut all = Vec::new();
        for algorithm in ["EdDSA", "ES256", "RS256"] {
            let body = json!({ "name": "app", "environment": "staging", "public": true, "algorithm": algorithm, "audience": "any" });
            let application = admin.post("/v1/applications", body).await.ok()["client_id"].as_str().expect("an id").to_owned();
            all.push(admin.session(&application, "alice", None).await);
        }
        server.clock.advance(100_000);
        server.database.execute("UPDATE signing_keys SET retired_at = 1800000001000").await;
        for tokens in &all {
            let found = explained(&admin, tokens).await;
            assert_eq!((&found["token"]["environment"], &found["token"]["organization"]), (&json!("staging"), &Value::Null));
        }
        let bound = server.api(&admin.key("viewer", Some("production")).await);
        bound.post("/v1/explain", json!({ "token": token(&all[0]) })).await.refused(403, "FORBIDDEN");
    }

    async fn tokens_that_are_not_ours_are_refused_with_the_readers_code(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let tokens = admin.session(&application, "alice", Some("org_x")).await;
        let good = token(&tokens).as_str().expect("a token");
        let parts: Vec<&str> = good.split('.').collect();
        let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url");
        let claims = String::from_utf8(claims).expect("claims").replace("alice", "mallory");
        let tampered = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims), parts[2]);
        let header = |header: Value| format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1], parts[2]);
        let other = TestServer::start(engine).await;
        let foreign = other.admin().session(&other.admin().application("production").await, "alice", None).await;
        let foreign = token(&foreign).as_str().expect("a token").to_owned();
        for (sent, code) in [
            (tampered, "SIGNATURE_INVALID"),
            (foreign, "KEY_UNKNOWN"),
            (header(json!({ "alg": "EdDSA", "typ": "at+jwt" })), "KEY_UNKNOWN"),
            (header(json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "a\0b" })), "KEY_UNKNOWN"),
            (header(json!({ "alg": "none", "typ": "at+jwt" })), "ALGORITHM_UNSUPPORTED"),
            (header(json!({ "alg": "EdDSA", "crit": ["x"] })), "TOKEN_MALFORMED"),
            (format!("{good}."), "TOKEN_MALFORMED"),
            ("garbage".to_owned(), "TOKEN_MALFORMED"),
            (String::new(), "TOKEN_MALFORMED"),
            (tokens["refresh_token"].as_str().expect("a token").to_owned(), "TOKEN_MALFORMED"),
        ] {
            let refused = admin.post("/v1/explain", json!({ "token": sent })).await.refused(422, code);
            assert_eq!(refused["errors"][0]["pointer"], "/token");
        }
    }

    async fn one_thing_is_asked_about_and_recordings_there_are_none(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (body, status, code) in [
            (json!({ "jti": "x" }), 422, "ISSUANCE_NOT_RECORDED"),
            (json!({ "request_id": "x", "expected": { "user": "alice" } }), 422, "ISSUANCE_NOT_RECORDED"),
            (json!({}), 400, "MEMBER_MISSING"),
            (json!({ "session_id": "x" }), 400, "MEMBER_MISSING"),
            (json!({ "token": "x", "jti": "x" }), 422, "VALUE_INVALID"),
            (json!({ "token": "x", "session_id": "x", "at": time(0) }), 422, "VALUE_INVALID"),
            (json!({ "token": "x", "at": time(0) }), 422, "VALUE_INVALID"),
            (json!({ "at": time(0) }), 422, "VALUE_INVALID"),
            (json!({ "token": 1 }), 400, "MEMBER_MISTYPED"),
            (json!({ "jti": 1 }), 400, "MEMBER_MISTYPED"),
            (json!({ "session_id": "x", "at": "soon" }), 422, "TIME_INVALID"),
            (json!({ "token": "x", "expected": { "team": "x" } }), 400, "MEMBER_UNKNOWN"),
            (json!({ "token": "x", "expected": { "user": 1 } }), 400, "MEMBER_MISTYPED"),
            (json!({ "tokens": "x" }), 400, "MEMBER_MISSING"),
        ] {
            admin.post("/v1/explain", body).await.refused(status, code);
        }
        admin.post("/v1/explain?at=x", json!({ "token": "x" })).await.refused(400, "PARAMETER_UNKNOWN");
    }
}
