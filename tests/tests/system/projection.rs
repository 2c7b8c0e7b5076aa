//! Which flags an application's tokens carry.

use flagbearer_tests::{Answer, Api, Client, TestServer, claims_of, on_both_engines};
use serde_json::{Value, json};

/// Flags of four kinds: for pages, for apps, for both, and for servers alone.
async fn flags(admin: &Api) {
    for (key, tags) in
        [("page", json!(["web"])), ("screen", json!(["app"])), ("both", json!(["app", "web"])), ("secret", json!([]))]
    {
        let flag = json!({ "key": key, "type": "boolean", "default_value": true, "tags": tags });
        admin.post("/v1/flags", flag).await.ok();
    }
}

async fn project(admin: &Api, application: &str, projection: Value) -> Answer {
    admin.patch(&format!("/v1/applications/{application}"), json!({ "projection": projection })).await
}

/// The keys of a claim, in either dialect.
fn keys(claim: &Value) -> Vec<String> {
    match claim {
        Value::Array(keys) => keys.iter().map(|key| key.as_str().expect("a key").to_owned()).collect(),
        claim => claim.as_object().expect("a claim").keys().cloned().collect(),
    }
}

on_both_engines! {
    async fn every_token_of_every_profile_carries_what_the_projection_says_and_nothing_else(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        flags(&admin).await;
        admin.post("/v1/organizations", json!({ "id": "org_a", "name": "A" })).await.ok();
        for profile in ["flagbearer", "kinde", "workos"] {
            let document = json!({ "profile": profile, "projection": { "tags": ["web"] } });
            let client = Client::register(&admin, "production", document).await;
            for (projection, expected, effect) in [
                (json!({ "tags": ["web"] }), &["both", "page"][..], "unchanged"),
                (json!({ "flags": ["secret", "screen", "later"] }), &["screen", "secret"], "mixed"),
                (json!({ "tags": [] }), &[], "narrowed"),
                (json!("all"), &["both", "page", "screen", "secret"], "widened"),
                (json!({ "flags": ["page"] }), &["page"], "narrowed"),
                (Value::Null, &["both", "page", "screen", "secret"], "widened"),
            ] {
                let patched = project(&admin, &client.id, projection.clone()).await.ok();
                let shown = if projection.is_null() { json!("all") } else { projection };
                assert_eq!(patched["effect"], effect, "{profile} {shown}");
                assert_eq!(admin.get(&format!("/v1/applications/{}", client.id)).await.ok()["projection"].is_string(), shown == "all");
                let started = admin.session(&client.id, "alice", Some("org_a")).await;
                let claims = claims_of(&started["access_token"]);
                assert_eq!(keys(&claims["feature_flags"]), expected, "{profile} {shown}");
                assert_eq!(started["feature_flags"], claims["feature_flags"], "what stands beside the token");
                assert_eq!(claims["flags_rev"], patched["revision"]);
                if profile != "workos" {
                    let machine = client.machine(&[]).await.ok();
                    assert_eq!(keys(&claims_of(&machine["access_token"])["feature_flags"]), expected, "{profile} {shown}");
                }
            }
        }
    }

    async fn a_projection_or_a_tag_that_changes_is_in_the_next_refresh(engine: Engine) {
        let server = TestServer::start(engine).await;
        let replica = server.replica().await;
        let (admin, other) = (server.admin(), replica.admin());
        flags(&admin).await;
        let application = admin.application("production").await;
        let mut tokens = admin.session(&application, "alice", None).await;
        assert_eq!(keys(&tokens["feature_flags"]).len(), 4);
        for _ in 0..3 {
            project(&admin, &application, json!({ "tags": ["web"] })).await.ok();
            tokens = other.refreshed("", &application, &tokens).await;
            assert_eq!(keys(&tokens["feature_flags"]), ["both", "page"]);
            admin.patch("/v1/flags/secret", json!({ "tags": ["web"] })).await.ok();
            tokens = other.refreshed("", &application, &tokens).await;
            assert_eq!(keys(&tokens["feature_flags"]), ["both", "page", "secret"]);
            admin.patch("/v1/flags/secret", json!({ "tags": [] })).await.ok();
            tokens = other.refreshed("", &application, &tokens).await;
            assert_eq!(keys(&tokens["feature_flags"]), ["both", "page"]);
            project(&admin, &application, json!({ "flags": ["secret"] })).await.ok();
            tokens = other.refreshed("", &application, &tokens).await;
            assert_eq!(keys(&tokens["feature_flags"]), ["secret"]);
        }
    }

    async fn flags_that_enter_and_leave_tokens_are_foretold_for_each_application(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        flags(&admin).await;
        admin.post("/v1/flags", json!({ "key": "limit", "type": "integer", "default_value": 1 })).await.ok();
        let register = async |environment: &str, name: &str, profile: &str, projection: Value| {
            let document = json!({ "name": name, "profile": profile, "projection": projection });
            Client::register(&admin, environment, document).await.id
        };
        let web = register("production", "web", "flagbearer", json!({ "tags": ["web"] })).await;
        let keys_alone = register("production", "keys alone", "workos", json!("all")).await;
        let elsewhere = register("staging", "elsewhere", "flagbearer", json!({ "tags": ["web"] })).await;
        for (application, users) in [(&web, &["ann", "ben"][..]), (&keys_alone, &["ann"]), (&elsewhere, &["cid"])] {
            for user in users {
                admin.session(application, user, Some("org_a")).await;
            }
        }
        let foretold = async |path: &str, document: Value| {
            let preview = admin.patch(&format!("{path}?preview=true"), document).await.ok();
            let told: std::collections::BTreeMap<String, Value> = preview["applications"].as_array().expect("applications").iter().map(|told| {
                let of = [&told["application"], &told["environment"]].map(|text| text.as_str().expect("a name"));
                assert_eq!(of[1], if of[0] == elsewhere { "staging" } else { "production" });
                (told["name"].as_str().expect("a name").to_owned(), json!([told["entering"], told["leaving"], told["sessions"]]))
            }).collect();
            (preview["effect"].clone(), json!(told), preview["sessions"]["count"].clone())
        };

        let of_web = format!("/v1/applications/{web}");
        let moved = foretold(&of_web, json!({ "projection": { "flags": ["page", "secret", "limit"] } })).await;
        assert_eq!(moved, (json!("mixed"), json!({ "web": [["limit", "secret"], ["both"], 2] }), json!(2)));
        let grown = foretold(&of_web, json!({ "projection": "all" })).await;
        assert_eq!(grown, (json!("widened"), json!({ "web": [["limit", "screen", "secret"], [], 2] }), json!(2)));
        let same = foretold(&of_web, json!({ "projection": { "flags": ["page", "both"] } })).await;
        assert_eq!(same, (json!("unchanged"), json!({}), json!(0)), "said in another way, it is the same");
        // A list of keys never told of a number.
        let of_keys = format!("/v1/applications/{keys_alone}");
        let rest = json!({ "projection": { "tags": ["app", "web"] } });
        assert_eq!(foretold(&of_keys, rest).await, (json!("narrowed"), json!({ "keys alone": [[], ["secret"], 1] }), json!(1)));
        let typed = foretold(&of_keys, json!({ "profile": "flagbearer" })).await;
        assert_eq!(typed, (json!("widened"), json!({ "keys alone": [["limit"], [], 1] }), json!(1)));

        // A tag is the projection of every application that goes by it.
        let tagged = foretold("/v1/flags/secret", json!({ "tags": ["web"] })).await;
        let both = json!({ "web": [["secret"], [], 2], "elsewhere": [["secret"], [], 1] });
        assert_eq!(tagged, (json!("widened"), both, json!(3)));
        let untagged = foretold("/v1/flags/both", json!({ "tags": ["app"] })).await;
        let both = json!({ "web": [[], ["both"], 2], "elsewhere": [[], ["both"], 1] });
        assert_eq!(untagged, (json!("narrowed"), both, json!(3)));
        let renamed = foretold("/v1/flags/both", json!({ "tags": ["web", "other"], "name": "Both" })).await;
        assert_eq!(renamed, (json!("unchanged"), json!({}), json!(0)));

        // And the writes themselves say the same.
        assert_eq!(admin.patch("/v1/flags/both", json!({ "tags": ["app"] })).await.ok()["effect"], "narrowed");
        let last = admin.get("/v1/changes?limit=1").await.ok()["data"][0]["revision"].clone();
        assert_eq!(admin.post(&format!("/v1/changes/{last}/revert"), Value::Null).await.ok()["effect"], "widened");
        let narrowed = project(&admin, &web, json!({ "tags": [] })).await.ok();
        assert_eq!(narrowed["effect"], "narrowed");
        let reverted = admin.post(&format!("/v1/changes/{}/revert", narrowed["revision"]), Value::Null).await.ok();
        assert_eq!(reverted["effect"], "widened");
    }

    async fn flags_leave_the_tokens_of_a_protected_environment_only_where_that_is_meant(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        flags(&admin).await;
        let application = admin.application("production").await;
        admin.patch("/v1/environments/production", json!({ "protected": true })).await.ok();
        let path = format!("/v1/applications/{application}");
        let refused = project(&admin, &application, json!({ "tags": ["web"] })).await.refused(409, "CONFIRMATION_REQUIRED");
        let held: Vec<_> = refused["listing"].as_array().expect("a listing").iter().map(|held| held["flag"].clone()).collect();
        assert_eq!(held, ["screen", "secret"]);
        assert_eq!(admin.get(&path).await.ok()["projection"], "all");
        let document = json!({ "projection": { "tags": ["web"] } });
        assert_eq!(admin.patch(&format!("{path}?confirm=narrowing"), document).await.ok()["effect"], "narrowed");
        assert_eq!(project(&admin, &application, json!("all")).await.ok()["effect"], "widened");
    }

    async fn kindes_account_api_tells_what_a_refresh_would_carry(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        flags(&admin).await;
        let document = json!({ "profile": "kinde", "projection": { "flags": ["screen", "page"] } });
        let client = Client::register(&admin, "production", document).await;
        let tokens = admin.session(&client.id, "alice", Some("org_a")).await;
        let told = server.api(tokens["access_token"].as_str().expect("a token")).get("/account_api/v1/feature_flags").await.ok();
        let told: Vec<_> = told["data"]["feature_flags"].as_array().expect("flags").iter().map(|flag| flag["key"].clone()).collect();
        assert_eq!(told, ["page", "screen"]);
    }

    async fn explain_names_what_was_left_out_and_the_change_that_did_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        flags(&admin).await;
        let application = admin.application("production").await;
        let narrow = project(&admin, &application, json!({ "tags": ["web"] })).await.ok();
        let tokens = admin.session(&application, "alice", None).await;
        server.clock.advance(10);
        let explain = async || admin.post("/v1/explain", json!({ "token": tokens["access_token"] })).await.ok();
        let found = explain().await;
        assert_eq!(found["projected_out"], json!(["screen", "secret"]));
        assert_eq!(keys(&found["flags"]), ["both", "page"]);
        assert_eq!((&found["token"]["stale"], &found["causes"]), (&json!(false), &json!([])));
        assert_eq!(found["token"]["revision"], narrow["revision"]);

        let tagged = admin.patch("/v1/flags/screen", json!({ "tags": ["web"] })).await.ok();
        let listed = project(&admin, &application, json!({ "flags": ["page", "screen", "secret"] })).await.ok();
        let found = explain().await;
        assert_eq!(found["projected_out"], json!(["screen", "secret"]), "as it was then");
        assert_eq!(keys(&found["flags"]), ["both", "page", "screen", "secret"]);
        assert_eq!(found["token"]["stale"], true);
        let flag = |key: &str| {
            let flag = &found["flags"][key];
            let causes: Vec<_> =
                flag["causes"].as_array().expect("causes").iter().map(|cause| json!([cause["cause"], cause["revision"]])).collect();
            json!([flag["carried"], flag["then"]["value"], flag["now"]["value"], causes])
        };
        assert_eq!(flag("page"), json!([true, true, true, []]));
        assert_eq!(flag("both"), json!([true, true, null, [["application_changed", listed["revision"]]]]));
        assert_eq!(flag("screen"), json!([null, null, true, [["change", tagged["revision"]]]]));
        assert_eq!(flag("secret"), json!([null, null, true, [["application_changed", listed["revision"]]]]));

        // A session is asked about at a time: the projection of that time counts.
        server.clock.advance(10);
        project(&admin, &application, Value::Null).await.ok();
        let of_session = json!({ "session_id": tokens["session_id"], "at": "2027-01-15T08:00:05Z" });
        assert_eq!(admin.post("/v1/explain", of_session).await.ok()["projected_out"], json!(["screen", "secret"]));
        admin.delete(&format!("/v1/applications/{application}")).await.ok();
        let found = explain().await;
        assert_eq!(keys(&found["flags"]), ["both", "page", "screen"], "with its application gone, the token's own projection counts");
        assert_eq!(found["flags"]["page"]["causes"], json!([]));
    }

    async fn a_projection_is_read_strictly(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        for (projection, status, code, pointer) in [
            (json!("web"), 422, "VALUE_INVALID", "/projection"),
            (json!({}), 422, "VALUE_INVALID", "/projection"),
            (json!({ "tags": ["a"], "flags": ["b"] }), 422, "VALUE_INVALID", "/projection"),
            (json!({ "tag": ["a"] }), 400, "MEMBER_UNKNOWN", "/projection/tag"),
            (json!({ "tags": "a" }), 400, "MEMBER_MISTYPED", "/projection/tags"),
            (json!({ "flags": ["a", "b c"] }), 422, "KEY_INVALID", "/projection/flags/1"),
        ] {
            let problem = project(&admin, &application, projection).await.refused(status, code);
            assert_eq!(problem["errors"][0]["pointer"], pointer);
        }
        let read = admin.get(&format!("/v1/applications/{application}")).await.ok();
        assert_eq!(read["projection"], "all");
        let kept = project(&admin, &application, json!({ "flags": ["b", "a", "b"] })).await.ok();
        assert_eq!(kept["projection"], json!({ "flags": ["a", "b"] }));
    }
}
