//! What Kinde's SDKs ask beside the token endpoint: who the user is, the flags as they are now; and an application's own
//! tokens, with which it manages flags.

use flagbearer_tests::{Answer, Api, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const PROFILE: &str = "/oauth2/v2/user_profile";
const USERINFO: &str = "/oauth2/userinfo";
const ACCOUNT: &str = "/account_api/v1/feature_flags";
const MANAGED: &str = "/api/v1/environment/feature_flags";

/// An application with a secret, of an environment and a profile: its id and secret.
async fn application(admin: &Api, environment: &str, profile: &str, mut document: Value) -> (String, String) {
    document["name"] = "app".into();
    document["environment"] = environment.into();
    document["profile"] = profile.into();
    let created = admin.post("/v1/applications", document).await.ok();
    let text = |name: &str| created[name].as_str().expect(name).to_owned();
    (text("client_id"), text("client_secret"))
}

/// Alice, her organization, and one flag of each type.
async fn alice(admin: &Api) {
    admin.post("/v1/organizations", json!({ "id": "org_a", "name": "A" })).await.ok();
    let user = json!({ "id": "kp_alice", "email": "alice@example.com", "name": "Alice van der Berg" });
    admin.post("/v1/users", user).await.ok();
    admin.put("/v1/organizations/org_a/members/kp_alice", json!({})).await.ok();
    admin.flag("b", "boolean", json!(false)).await;
    admin.flag("i", "integer", json!(0)).await;
    admin.flag("s", "string", json!("")).await;
    admin.flag("j", "json", json!({ "a": [1] })).await;
}

fn text<'v>(tokens: &'v Value, name: &str) -> &'v str {
    tokens[name].as_str().expect(name)
}

async fn get(server: &TestServer, path: &str, token: &str) -> Answer {
    server.api(token).get(path).await
}

/// Checks that a token is not accepted, and that the answer says so to who knows RFC 6750 alone.
#[track_caller]
fn not_accepted(answer: Answer) {
    assert_eq!((answer.status, answer.body["error"].as_str()), (401, Some("invalid_token")), "{}", answer.text);
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    assert_eq!(answer.header("cache-control"), "no-store");
}

async fn machine(admin: &Api, issuer: &str, client: &(String, String), more: &[(&str, &str)]) -> Answer {
    let mut form = vec![("grant_type", "client_credentials"), ("client_id", &client.0), ("client_secret", &client.1)];
    form.extend(more);
    admin.token(issuer, &form).await
}

on_both_engines! {
    async fn the_user_is_told_by_userinfo_and_by_kindes_user_profile(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        alice(&admin).await;
        let (client_id, _) = application(&admin, "production", "kinde", json!({})).await;
        let tokens = admin.session(&client_id, "kp_alice", Some("org_a")).await;
        let token = text(&tokens, "access_token");
        let mut told = get(&server, USERINFO, token).await.ok();
        assert!(told["updated_at"].is_i64());
        let expected = json!({
            "sub": "kp_alice", "email": "alice@example.com", "email_verified": false, "name": "Alice van der Berg",
            "given_name": "Alice van der", "family_name": "Berg", "updated_at": told["updated_at"],
        });
        assert_eq!(told, expected);
        told["id"] = "kp_alice".into();
        assert_eq!(get(&server, PROFILE, token).await.ok(), told);
        let posted = server.api(token);
        assert_eq!(posted.send(posted.request(Method::POST, USERINFO)).await.ok()["sub"], "kp_alice");

        // In our own profile, only where the user's sign-in asked for it.
        let (ours, _) = application(&admin, "production", "flagbearer", json!({})).await;
        let tokens = admin.session(&ours, "kp_alice", None).await;
        let refused = get(&server, USERINFO, text(&tokens, "access_token")).await;
        assert_eq!(refused.header("www-authenticate"), "Bearer error=\"insufficient_scope\"");
        refused.denied(403, "insufficient_scope");
    }

    async fn the_account_api_tells_now_what_a_token_tells_after_a_refresh(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        alice(&admin).await;
        let (client_id, _) = application(&admin, "staging", "kinde", json!({})).await;
        let tokens = admin.session(&client_id, "kp_alice", Some("org_a")).await;
        let path = format!("/env/staging{ACCOUNT}");
        let told = get(&server, &path, text(&tokens, "access_token")).await.ok();
        assert_eq!(told["metadata"], json!({ "has_more": false, "next_page_starting_after": "" }));
        let flags = told["data"]["feature_flags"].as_array().expect("flags");
        let found: Vec<_> = flags.iter().map(|flag| json!([flag["key"], flag["name"], flag["type"], flag["value"]])).collect();
        assert_eq!(json!(found), json!([
            ["b", "b", "boolean", false], ["i", "i", "integer", 0], ["j", "j", "json", { "a": [1] }], ["s", "s", "string", ""],
        ]));
        assert!(flags.iter().all(|flag| text(flag, "id").starts_with("flag_")));
        admin.put("/v1/flags/b/organizations/org_a?environment=staging", json!({ "value": true })).await.ok();
        let told = get(&server, &path, text(&tokens, "access_token")).await.ok();
        assert_eq!(told["data"]["feature_flags"][0]["value"], true);
    }

    async fn only_a_users_living_access_token_of_this_issuer_is_accepted(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        alice(&admin).await;
        let kinde = application(&admin, "production", "kinde", json!({})).await;
        let staging = application(&admin, "staging", "kinde", json!({})).await;
        let workos = application(&admin, "production", "workos", json!({})).await;
        let tokens = admin.session(&kinde.0, "kp_alice", Some("org_a")).await;
        let token = text(&tokens, "access_token").to_owned();
        let of_machine = machine(&admin, "", &kinde, &[]).await.ok();
        let elsewhere = admin.session(&staging.0, "kp_alice", None).await;
        let other_surface = admin.session(&workos.0, "kp_alice", None).await;
        let (signed, _) = token.rsplit_once('.').expect("a signature");
        for path in [PROFILE, USERINFO, ACCOUNT] {
            get(&server, path, &token).await.ok();
            for shown in [
                "garbage",
                "eyJhbGciOiJub25lIn0.e30.",
                &format!("{signed}.{}", "A".repeat(342)),
                text(&tokens, "id_token"),
                text(&tokens, "refresh_token"),
                text(&of_machine, "access_token"),
                text(&elsewhere, "access_token"),
                text(&other_surface, "access_token"),
                flagbearer_tests::ADMIN_KEY,
            ] {
                not_accepted(get(&server, path, shown).await);
            }
            not_accepted(get(&server, &format!("/env/staging{path}"), &token).await);
        }
        let nothing = reqwest::get(format!("{}{USERINFO}", server.url)).await.expect("an answer");
        assert_eq!((nothing.status().as_u16(), &nothing.headers()["www-authenticate"]), (401, &"Bearer".parse().expect("a header")));

        // Ended sessions and expired tokens.
        server.clock.advance(299);
        get(&server, ACCOUNT, &token).await.ok();
        server.clock.advance(1);
        not_accepted(get(&server, ACCOUNT, &token).await);
        let tokens = admin.session(&kinde.0, "kp_alice", Some("org_a")).await;
        let token = text(&tokens, "access_token").to_owned();
        get(&server, ACCOUNT, &token).await.ok();
        admin.delete("/v1/sessions?user=kp_alice&environment=production").await.ok();
        not_accepted(get(&server, ACCOUNT, &token).await);
    }

    async fn a_machine_token_says_what_the_application_is_permitted_and_what_it_is_served(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        alice(&admin).await;
        admin.put("/v1/flags/i/organizations/org_a?environment=production", json!({ "value": 7 })).await.ok();
        let client = application(&admin, "production", "kinde", json!({ "permissions": ["read:reports"] })).await;
        let audience = format!("{}/api", server.url);
        let tokens = machine(&admin, "", &client, &[("audience", &audience), ("scope", "read:reports")]).await.ok();
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("bearer"), &json!(300)));
        assert!(tokens.get("refresh_token").is_none() && tokens.get("id_token").is_none());
        let explained = admin.post("/v1/explain", json!({ "token": tokens["access_token"] })).await.ok();
        let (token, flags) = (&explained["token"], &explained["flags"]);
        assert_eq!((&token["application"], &token["user"], &token["session_id"]), (&json!(client.0), &Value::Null, &Value::Null));
        assert_eq!(flags["i"]["then"]["value"], 0);
        let at_home = machine(&admin, "", &client, &[("org_code", "org_a")]).await.ok();
        let explained = admin.post("/v1/explain", json!({ "token": at_home["access_token"] })).await.ok();
        assert_eq!(explained["flags"]["i"]["then"]["value"], 7);

        machine(&admin, "", &client, &[("audience", "https://elsewhere.example")]).await.denied(400, "invalid_target");
        machine(&admin, "", &client, &[("org_code", "org_nobody")]).await.denied(400, "invalid_request");
        machine(&admin, "/env/staging", &client, &[]).await.denied(401, "invalid_client");
        machine(&admin, "", &(client.0.clone(), "x".repeat(50)), &[]).await.denied(401, "invalid_client");
        let public = admin.application("production").await;
        let form = [("grant_type", "client_credentials"), ("client_id", public.as_str())];
        admin.token("", &form).await.denied(400, "unauthorized_client");
    }

    async fn an_application_manages_flags_as_far_as_it_is_permitted(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        alice(&admin).await;
        let permissions = json!({ "permissions": ["update:environment_feature_flags", "update:feature_flags"] });
        let client = application(&admin, "production", "kinde", permissions).await;
        let audience = format!("{}/api", server.url);
        let tokens = machine(&admin, "", &client, &[("audience", &audience)]).await.ok();
        let script = server.api(text(&tokens, "access_token"));
        script.patch(&format!("{MANAGED}/b"), json!({ "value": "true" })).await.ok();
        assert_eq!(admin.value("production", "u", "o", "b").await, true);
        let change = admin.get(&format!("/v1/changes/{}", admin.revision("production").await)).await.ok();
        assert_eq!(change["actor"], json!({ "type": "application", "id": client.0, "name": "app" }));
        let refused = |answer: Answer, status: u16, code: &str| {
            assert_eq!((answer.status, answer.body["errors"][0]["code"].as_str()), (status, Some(code)), "{}", answer.text);
        };
        refused(script.get(MANAGED).await, 403, "FORBIDDEN");
        refused(script.delete("/api/v1/feature_flags/b").await, 403, "FORBIDDEN");
        // Its own environment's issuer alone; and the admin API takes keys alone.
        refused(script.patch(&format!("/env/staging{MANAGED}/b"), json!({ "value": "true" })).await, 401, "TOKEN_INVALID");
        script.get("/v1/flags").await.refused(401, "UNAUTHENTICATED");

        // What the token was asked for narrows it, and what the application may now decides.
        let narrow = [("audience", audience.as_str()), ("scope", "update:feature_flags")];
        let narrow = machine(&admin, "", &client, &narrow).await.ok();
        let narrow = server.api(text(&narrow, "access_token"));
        refused(narrow.patch(&format!("{MANAGED}/b"), json!({ "value": "true" })).await, 403, "FORBIDDEN");
        admin.patch(&format!("/v1/applications/{}", client.0), json!({ "permissions": [] })).await.ok();
        refused(script.patch(&format!("{MANAGED}/b"), json!({ "value": "true" })).await, 403, "FORBIDDEN");
        admin.delete(&format!("/v1/applications/{}", client.0)).await.ok();
        refused(script.patch(&format!("{MANAGED}/b"), json!({ "value": "true" })).await, 401, "TOKEN_INVALID");
    }

    async fn a_token_for_something_else_manages_nothing(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        alice(&admin).await;
        let permissions = json!({ "permissions": ["read:environment_feature_flags"], "audience": format!("{}/api", server.url) });
        let client = application(&admin, "production", "kinde", permissions).await;
        // Even where the application's own audience is the API's, a user's token is not the application's.
        let tokens = admin.session(&client.0, "kp_alice", None).await;
        let plain = application(&admin, "production", "kinde", json!({ "permissions": ["read:environment_feature_flags"] })).await;
        let unaddressed = machine(&admin, "", &plain, &[]).await.ok();
        for shown in [text(&tokens, "access_token"), text(&tokens, "id_token"), text(&unaddressed, "access_token")] {
            let answer = get(&server, MANAGED, shown).await;
            assert_eq!((answer.status, &answer.body["errors"][0]["code"]), (401, &json!("TOKEN_INVALID")), "{}", answer.text);
        }
        get(&server, MANAGED, text(&machine(&admin, "", &client, &[]).await.ok(), "access_token")).await.ok();
    }

    async fn an_application_that_is_permitted_cannot_touch_a_protected_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        alice(&admin).await;
        admin.patch("/v1/environments/production", json!({ "protected": true })).await.ok();
        let permissions = json!({ "permissions": ["update:environment_feature_flags", "create:feature_flags"] });
        let client = application(&admin, "production", "kinde", permissions).await;
        let audience = format!("{}/api", server.url);
        let tokens = machine(&admin, "", &client, &[("audience", &audience)]).await.ok();
        let script = server.api(text(&tokens, "access_token"));
        let created = json!({ "key": "f", "type": "bool", "default_value": "false" });
        for answer in [
            script.patch(&format!("{MANAGED}/b"), json!({ "value": "true" })).await,
            script.post("/api/v1/feature_flags", created).await,
        ] {
            assert_eq!((answer.status, &answer.body["errors"][0]["code"]), (403, &json!("FORBIDDEN")), "{}", answer.text);
        }
    }

    async fn pages_of_listed_origins_may_call_and_no_others(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let origins = json!({ "allowed_origins": ["https://app.example.com"] });
        application(&admin, "staging", "kinde", origins).await;
        let client = reqwest::Client::new();
        let ask = async |method: Method, path: &str, origin: &str| {
            let request = client.request(method, format!("{}{path}", server.url)).header("origin", origin);
            request.header("access-control-request-method", "POST").send().await.expect("an answer")
        };
        for path in ["/oauth2/token", USERINFO, PROFILE, ACCOUNT] {
            let path = format!("/env/staging{path}");
            let answer = ask(Method::OPTIONS, &path, "https://app.example.com").await;
            assert_eq!(answer.status(), 204);
            for (name, value) in [
                ("access-control-allow-origin", "https://app.example.com"),
                ("access-control-allow-credentials", "true"),
                ("access-control-allow-methods", "GET, POST"),
                ("access-control-allow-headers", "authorization, content-type, idempotency-key, kinde-sdk, x-request-id"),
                ("vary", "origin"),
            ] {
                assert_eq!(answer.headers()[name], value, "{path}");
            }
            // What is refused can be read by the page, too.
            let method = if path.ends_with("token") { Method::POST } else { Method::GET };
            let answer = ask(method.clone(), &path, "https://app.example.com").await;
            assert!(answer.status().is_client_error());
            assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example.com");
            for origin in ["https://evil.example.com", "https://app.example.com.evil.com", "http://app.example.com", "null"] {
                for method in [Method::OPTIONS, method.clone()] {
                    let answer = ask(method, &path, origin).await;
                    assert!(!answer.headers().contains_key("access-control-allow-origin"), "{origin}");
                    assert_eq!(answer.headers()["vary"], "origin");
                }
            }
        }
        // Another environment's application says nothing here, nor anything of managing.
        for path in ["/oauth2/token", "/env/staging/api/v1/feature_flags", "/v1/flags"] {
            let answer = ask(Method::OPTIONS, path, "https://app.example.com").await;
            assert!(!answer.headers().contains_key("access-control-allow-origin"), "{path}");
        }
        // Browsers are sent to these, and no page calls them.
        for path in ["/oauth2/auth", "/sign-in", "/sign-up", "/sign-in/organization", "/reset-password", "/logout"] {
            for method in [Method::OPTIONS, Method::GET, Method::POST] {
                let answer = ask(method, &format!("/env/staging{path}"), "https://app.example.com").await;
                let named = answer.headers().keys().find(|name| name.as_str().starts_with("access-control-"));
                assert_eq!(named, None, "{path}");
            }
        }
    }
}
