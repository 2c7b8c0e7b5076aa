//! Whatever is wrong is refused with its own status, code and place, and nothing is changed by it.

use flagbearer_tests::{ADMIN_KEY, Answer, Api, Client, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

/// A server with a flag of each type and an override-free one, and the number of its last change.
async fn prepared(engine: flagbearer_tests::Engine) -> (TestServer, Api, i64) {
    let server = TestServer::start(engine).await;
    let admin = server.admin();
    admin.flag("b", "boolean", json!(false)).await;
    admin.flag("s", "string", json!("text")).await;
    admin.flag("i", "integer", json!(1)).await;
    admin.flag("j", "json", json!({})).await;
    let closed = json!({ "key": "closed", "type": "boolean", "default_value": false, "overrides": [] });
    let revision = admin.post("/v1/flags", closed).await.ok()["revision"].as_i64().expect("a revision");
    (server, admin, revision)
}

/// The number of the last change.
async fn last_revision(admin: &Api) -> i64 {
    admin.get("/v1/changes?limit=1").await.ok()["data"][0]["revision"].as_i64().expect("a change")
}

/// Sends a body as it is written.
async fn sent(admin: &Api, method: Method, path: &str, body: impl Into<String>) -> Answer {
    let request = admin.request(method, path).header("content-type", "application/json").body(body.into());
    admin.send(request).await
}

/// Where a problem says that the document is wrong.
fn pointer(problem: &Value) -> &str {
    problem["errors"][0]["pointer"].as_str().unwrap_or("no pointer")
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

on_both_engines! {
    async fn what_is_not_there_is_not_found(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        let value = r#"{"value":true}"#;
        let on = r#"{"enabled":true}"#;
        for (method, path, body, code) in [
            (Method::GET, "/v1/flags/nope", "", "FLAG_NOT_FOUND"),
            (Method::PATCH, "/v1/flags/nope", "{}", "FLAG_NOT_FOUND"),
            (Method::DELETE, "/v1/flags/nope?confirm=nope", "", "FLAG_NOT_FOUND"),
            (Method::POST, "/v1/flags/nope/archive", "", "FLAG_NOT_FOUND"),
            (Method::GET, "/v1/flags/nope/environments/production", "", "FLAG_NOT_FOUND"),
            (Method::PUT, "/v1/flags/nope/environments/production", on, "FLAG_NOT_FOUND"),
            (Method::PUT, "/v1/flags/b/environments/nope", on, "ENVIRONMENT_NOT_FOUND"),
            (Method::GET, "/v1/flags/b/environments/nope", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::PUT, "/v1/flags/b/environments/nope/targeting", r#"{"audience":"all"}"#, "ENVIRONMENT_NOT_FOUND"),
            (Method::PUT, "/v1/flags/b/environments/nope/targeting/users/u", "{}", "ENVIRONMENT_NOT_FOUND"),
            (Method::GET, "/v1/environments/nope/flags", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::GET, "/v1/environments/nope", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::PUT, "/v1/flags/nope/users/u", value, "FLAG_NOT_FOUND"),
            (Method::PUT, "/v1/flags/nope/organizations/o?environment=production", value, "FLAG_NOT_FOUND"),
            (Method::PUT, "/v1/flags/b/organizations/o?environment=nope", value, "ENVIRONMENT_NOT_FOUND"),
            (Method::GET, "/v1/flags/b/overrides?environment=nope", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::DELETE, "/v1/flags/b/overrides?environment=nope", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::GET, "/v1/evaluate?environment=nope", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::GET, "/v1/applications?environment=nope", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::POST, "/v1/applications", r#"{"name":"a","environment":"nope"}"#, "ENVIRONMENT_NOT_FOUND"),
            (Method::POST, "/v1/api-keys", r#"{"name":"a","role":"viewer","environment":"nope"}"#, "ENVIRONMENT_NOT_FOUND"),
            (Method::GET, "/v1/sessions?environment=nope", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::DELETE, "/v1/sessions?environment=nope&user=u", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::POST, "/v1/sessions", r#"{"application":"nope","user":"u"}"#, "APPLICATION_NOT_FOUND"),
            (Method::DELETE, "/v1/flags/b/users/nobody", "", "OVERRIDE_NOT_FOUND"),
            (Method::GET, "/v1/segments/nope", "", "SEGMENT_NOT_FOUND"),
            (Method::GET, "/v1/organizations/nope", "", "ORGANIZATION_NOT_FOUND"),
            (Method::GET, "/v1/organizations/nope/members", "", "ORGANIZATION_NOT_FOUND"),
            (Method::GET, "/v1/users/nope", "", "USER_NOT_FOUND"),
            (Method::GET, "/v1/applications/nope", "", "APPLICATION_NOT_FOUND"),
            (Method::GET, "/v1/api-keys/nope", "", "API_KEY_NOT_FOUND"),
            (Method::GET, "/v1/sessions/nope", "", "SESSION_NOT_FOUND"),
            (Method::GET, "/v1/changes/4711", "", "CHANGE_NOT_FOUND"),
            (Method::GET, "/v1/changes/yesterday", "", "CHANGE_NOT_FOUND"),
            (Method::GET, "/v1/nothing", "", "ROUTE_NOT_FOUND"),
            (Method::GET, "/elsewhere", "", "ROUTE_NOT_FOUND"),
            (Method::GET, "/env/nope/.well-known/jwks.json", "", "ENVIRONMENT_NOT_FOUND"),
            (Method::GET, "/env/production/.well-known/jwks.json", "", "ENVIRONMENT_NOT_FOUND"),
        ] {
            let answer = sent(&admin, method.clone(), path, body).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
            answer.refused(404, code);
        }
        assert_eq!(last_revision(&admin).await, revision);
    }

    async fn a_method_that_a_path_does_not_take_is_a_problem(engine: Engine) {
        let (_server, admin, _) = prepared(engine).await;
        for (method, path) in [
            (Method::PUT, "/v1/flags"),
            (Method::POST, "/v1/flags/b/environments/production"),
            (Method::DELETE, "/healthz"),
            (Method::GET, "/oauth2/token"),
            (Method::POST, "/.well-known/jwks.json"),
        ] {
            let answer = sent(&admin, method, path, "").await;
            assert!(!answer.header("allow").is_empty(), "{path}");
            answer.refused(405, "METHOD_NOT_ALLOWED");
        }
    }

    async fn a_flag_keeps_its_key_and_its_type(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        let problem = admin.patch("/v1/flags/b", json!({ "key": "c" })).await.refused(422, "IMMUTABLE");
        assert_eq!(pointer(&problem), "/key");
        let problem = admin.patch("/v1/flags/b", json!({ "type": "string" })).await.refused(422, "IMMUTABLE");
        assert_eq!(pointer(&problem), "/type");
        assert_eq!(last_revision(&admin).await, revision);
        admin.patch("/v1/flags/b", json!({ "key": "b", "type": "boolean" })).await.ok();
    }

    async fn a_value_of_another_type_is_refused_at_its_place(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        let max = 9_007_199_254_740_991_i64;
        for (flag_type, value, code) in [
            ("boolean", r#""true""#, "TYPE_MISMATCH"),
            ("boolean", "1", "TYPE_MISMATCH"),
            ("boolean", "null", "TYPE_MISMATCH"),
            ("string", "7", "TYPE_MISMATCH"),
            ("integer", r#""7""#, "TYPE_MISMATCH"),
            ("integer", "true", "TYPE_MISMATCH"),
            ("integer", "1.0", "VALUE_OUT_OF_RANGE"),
            ("integer", "1.5", "VALUE_OUT_OF_RANGE"),
            ("integer", "1e2", "VALUE_OUT_OF_RANGE"),
            ("integer", "-0", "VALUE_OUT_OF_RANGE"),
            ("integer", "9007199254740992", "VALUE_OUT_OF_RANGE"),
            ("integer", "-9007199254740992", "VALUE_OUT_OF_RANGE"),
            ("integer", "18446744073709551616", "VALUE_OUT_OF_RANGE"),
            ("json", "null", "VALUE_INVALID"),
            ("json", r#"{"a":[9007199254740992]}"#, "VALUE_OUT_OF_RANGE"),
        ] {
            let body = format!(r#"{{"key":"new","type":"{flag_type}","default_value":{value}}}"#);
            let problem = sent(&admin, Method::POST, "/v1/flags", body).await.refused(422, code);
            assert_eq!(pointer(&problem), "/default_value", "{flag_type} {value}");
        }
        for (path, body, place) in [
            ("/v1/flags/i/environments/production", r#"{"enabled":true,"value":1.0}"#, "/value"),
            (
                "/v1/flags/i/environments/production",
                r#"{"enabled":true,"rules":[{"audience":{"type":"all"},"serve":{"value":1e2}}]}"#,
                "/rules/0/serve/value",
            ),
            ("/v1/flags/i/environments/production/targeting", r#"{"audience":"all","value":1.0}"#, "/value"),
            ("/v1/flags/i/users/u", r#"{"value":9007199254740992}"#, "/value"),
            ("/v1/flags/i/organizations/o?environment=production", r#"{"value":1.0}"#, "/value"),
        ] {
            let problem = sent(&admin, Method::PUT, path, body).await.refused(422, "VALUE_OUT_OF_RANGE");
            assert_eq!(pointer(&problem), place, "{path}");
        }
        assert_eq!(last_revision(&admin).await, revision);
        for integer in [max, -max, 0] {
            admin.put("/v1/flags/i/users/u", json!({ "value": integer })).await.ok();
            assert_eq!(admin.value("production", "u", "", "i").await, integer);
        }
    }

    async fn a_document_of_another_shape_is_malformed(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        let flag = |rest: &str| format!(r#"{{"key":"n","type":"json","default_value":{{}}{rest}}}"#);
        for (body, code, place) in [
            ("{".to_owned(), "DOCUMENT_MALFORMED", ""),
            ("{} {}".to_owned(), "DOCUMENT_MALFORMED", ""),
            (String::new(), "MEMBER_MISTYPED", ""),
            ("[]".to_owned(), "MEMBER_MISTYPED", ""),
            (r#"{"type":"json","default_value":{}}"#.to_owned(), "MEMBER_MISSING", "/key"),
            (r#"{"key":"n","default_value":{}}"#.to_owned(), "MEMBER_MISSING", "/type"),
            (r#"{"key":"n","type":"json"}"#.to_owned(), "MEMBER_MISSING", "/default_value"),
            (flag(r#","colour":"red""#), "MEMBER_UNKNOWN", "/colour"),
            (flag(r#","id":"flag_1""#), "MEMBER_UNKNOWN", "/id"),
            (flag(r#","a/b~c":1"#), "MEMBER_UNKNOWN", "/a~1b~0c"),
            (flag(r#","tags":"release""#), "MEMBER_MISTYPED", "/tags"),
            (flag(r#","tags":[7]"#), "MEMBER_MISTYPED", "/tags/0"),
            (flag(r#","name":7"#), "MEMBER_MISTYPED", "/name"),
            (flag(r#","key":"n""#), "MEMBER_DUPLICATE", ""),
            (flag(r#","off_value":{"a":1,"a":1}"#), "MEMBER_DUPLICATE", ""),
            (flag(r#","off_value":{"a":1,"\u0061":2}"#), "MEMBER_DUPLICATE", ""),
        ] {
            let problem = sent(&admin, Method::POST, "/v1/flags", body.clone()).await.refused(400, code);
            assert_eq!(pointer(&problem), place, "{body}");
        }
        let request = admin.request(Method::POST, "/v1/flags").header("content-type", "application/json");
        admin.send(request.body(b"{\"key\":\"\xff\"}".to_vec())).await.refused(400, "DOCUMENT_MALFORMED");

        let missing = sent(&admin, Method::PUT, "/v1/flags/b/environments/production", "{}").await;
        assert_eq!(pointer(&missing.refused(400, "MEMBER_MISSING")), "/enabled");
        let unknown = r#"{"enabled":true,"rules":[{"audience":{"type":"all","user":[]},"serve":{"value":true}}]}"#;
        let unknown = sent(&admin, Method::PUT, "/v1/flags/b/environments/production", unknown).await;
        assert_eq!(pointer(&unknown.refused(400, "MEMBER_UNKNOWN")), "/rules/0/audience/user");
        assert_eq!(last_revision(&admin).await, revision);
    }

    async fn no_document_sets_what_is_not_its_to_set(engine: Engine) {
        let (server, admin, _) = prepared(engine).await;
        admin.post("/v1/organizations", json!({ "id": "o" })).await.ok();
        admin.post("/v1/users", json!({ "id": "u", "email": "u@example.com" })).await.ok();
        admin.post("/v1/segments", json!({ "key": "s" })).await.ok();
        let application = format!("/v1/applications/{}", admin.application("production").await);
        let id = |created: Value| created["id"].as_str().expect("an id").to_owned();
        let key = format!("/v1/api-keys/{}", id(admin.post("/v1/api-keys", json!({ "name": "k", "role": "viewer" })).await.ok()));
        let provider = json!({ "environment": "production", "name": "p", "issuer": "https://login.example.com", "client_id": "c" });
        let provider = format!("/v1/identity-providers/{}", id(admin.post("/v1/identity-providers", provider).await.ok()));
        let webhook = format!("/v1/webhooks/{}", id(admin.post("/v1/webhooks", json!({ "url": "https://example.com/hook" })).await.ok()));
        let setting = "/v1/flags/b/environments/production";
        let revision = last_revision(&admin).await;
        for (method, path, document) in [
            (Method::POST, "/v1/flags", json!({ "key": "n", "type": "boolean", "default_value": true })),
            (Method::PATCH, "/v1/flags/b", json!({})),
            (Method::PUT, setting, json!({ "enabled": true })),
            (Method::PUT, &format!("{setting}/targeting"), json!({ "audience": "all" })),
            (Method::POST, &format!("{setting}/promote"), json!({ "to": "staging" })),
            (Method::PUT, "/v1/flags/b/users/u", json!({ "value": true })),
            (Method::PUT, "/v1/flags/b/organizations/o?environment=production", json!({ "value": true })),
            (Method::POST, "/v1/environments", json!({ "name": "preview" })),
            (Method::PATCH, "/v1/environments/staging", json!({})),
            (Method::POST, "/v1/organizations", json!({ "id": "n" })),
            (Method::PATCH, "/v1/organizations/o", json!({})),
            (Method::PUT, "/v1/organizations/o/members/u", json!({})),
            (Method::POST, "/v1/users", json!({ "id": "n" })),
            (Method::PATCH, "/v1/users/u", json!({})),
            (Method::POST, "/v1/users/u/password-reset", json!({})),
            (Method::POST, "/v1/applications", json!({ "name": "n", "environment": "production" })),
            (Method::PATCH, &application, json!({})),
            (Method::POST, "/v1/api-keys", json!({ "name": "n", "role": "viewer" })),
            (Method::PATCH, &key, json!({ "name": "n" })),
            (Method::POST, "/v1/identity-providers", json!({ "environment": "production", "name": "n", "issuer": "https://n.example.com" })),
            (Method::PATCH, &provider, json!({})),
            (Method::POST, "/v1/webhooks", json!({ "url": "https://example.com/n" })),
            (Method::PATCH, &webhook, json!({})),
            (Method::POST, &format!("{webhook}/rotate-secret"), json!({})),
            (Method::POST, "/v1/segments", json!({ "key": "n" })),
            (Method::PATCH, "/v1/segments/s", json!({})),
            (Method::POST, "/v1/signing-keys/rotate", json!({ "environment": "production" })),
            (Method::POST, "/v1/changes/1/comments", json!({ "text": "n" })),
            (Method::POST, "/v1/sessions", json!({ "application": application.rsplit('/').next(), "user": "u" })),
            (Method::POST, "/v1/explain", json!({ "token": "n" })),
            (Method::POST, "/v1/batch", json!({ "writes": [] })),
        ] {
            let mut document = document;
            document["superuser"] = true.into();
            let answer = sent(&admin, method.clone(), path, document.to_string()).await;
            assert_eq!(answer.body["code"], "MEMBER_UNKNOWN", "{method} {path}: {} {}", answer.status, answer.text);
            assert_eq!(pointer(&answer.refused(400, "MEMBER_UNKNOWN")), "/superuser", "{method} {path}");
        }
        // Nor do those that take no document.
        for (method, path) in [
            (Method::POST, "/v1/flags/b/archive"), (Method::POST, "/v1/flags/b/restore"), (Method::POST, &format!("{setting}/kill")),
            (Method::DELETE, &format!("{setting}/kill")), (Method::DELETE, "/v1/users/u"), (Method::POST, &format!("{webhook}/test")),
            (Method::PUT, &format!("{setting}/targeting/users/u")), (Method::POST, "/v1/environments/production/min-revision"),
            (Method::PUT, "/v1/segments/s/users/u"), (Method::POST, "/v1/changes/1/revert"),
        ] {
            let answer = sent(&admin, method.clone(), path, r#"{"superuser":true}"#).await;
            assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text);
        }
        assert_eq!(last_revision(&admin).await, revision);
        assert_eq!(server.database.texts("SELECT id FROM sessions").await.len(), 0);
    }

    async fn nothing_that_a_stranger_sends_is_an_error_of_ours(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({})).await;
        let workos = Client::register(&admin, "production", json!({ "profile": "workos" })).await;
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let long = "x".repeat(7000);
        for text in ["%00", "a%00b", "%FF", "%F0%9F%9A%80", "%ED%A0%80", "%27%20OR%201%3D1--", "../../etc/passwd", "%zz", &long] {
            let mut requests = Vec::new();
            for path in [
                format!("/env/{text}/oauth2/auth"), format!("/env/{text}/.well-known/jwks.json"), format!("/v1/watermark/{text}"),
                format!("/.well-known/oauth-authorization-server/env/{text}"), format!("/sso/jwks/{text}"),
                format!("/oauth2/auth?client_id={text}"), format!("/user_management/authorize?client_id={text}"),
                format!("/oauth2/auth?client_id={}&redirect_uri={text}", client.id), format!("/logout?client_id={text}"),
                format!("/logout?post_logout_redirect_uri={text}"), format!("/logout?id_token_hint={text}"),
                format!("/user_management/sessions/logout?session_id={text}"), format!("/reset-password?token={text}"),
                format!("/user_management/sessions/logout?session_id=x&return_to={text}"), format!("/sign-in?request={text}"),
                format!("/sign-in/upstream?request={text}&provider={text}"), format!("/sign-in/callback?state={text}&code={text}"),
            ] {
                requests.push(http.get(format!("{}{path}", server.url)));
            }
            let form = |path: &str, form: String| {
                let request = http.post(format!("{}{path}", server.url));
                request.header("content-type", "application/x-www-form-urlencoded").body(form)
            };
            let known = format!("client_id={}&client_secret={}", client.id, client.secret.as_deref().expect("a secret"));
            for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"] {
                let grant = "grant_type=client_credentials&token=x";
                requests.push(form(path, format!("{grant}&client_id={text}&client_secret={text}")));
                requests.push(form(path, format!("{known}&grant_type={text}&token={text}")));
            }
            for members in [
                format!("grant_type=refresh_token&refresh_token={text}"), format!("grant_type=authorization_code&code={text}&redirect_uri={text}"),
                format!("grant_type=client_credentials&scope={text}&audience={text}"), format!("grant_type=client_credentials&organization_id={text}"),
                format!("grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token_type=urn:ietf:params:oauth:token-type:jwt&subject_token={text}"),
            ] {
                requests.push(form("/oauth2/token", format!("{known}&{members}")));
            }
            for path in ["/sign-in", "/sign-up", "/sign-in/organization", "/reset-password", "/oauth2/auth", "/logout"] {
                requests.push(form(path, format!("request={text}&email={text}&password={text}&token={text}&organization={text}")));
            }
            for path in ["/oauth2/userinfo", "/v1/flags", "/organizations/o", "/api/v1/feature_flags", "/account_api/v1/feature_flags"] {
                requests.push(http.get(format!("{}{path}", server.url)).bearer_auth(text).header("x-request-id", text));
            }
            for request in requests {
                let request = request.build().expect("a request");
                let asked = format!("{} {}", request.method(), request.url());
                let answer = admin.execute(request).await;
                assert!(answer.status < 500, "{asked} with `{text}`: {} {}", answer.status, answer.text);
            }
        }
        let secret = workos.secret.as_deref().expect("a secret");
        for text in ["\0", "a\0b", "🚀", "' OR 1=1--", &long] {
            for document in [
                json!({ "grant_type": "password", "email": text, "password": text }), json!({ "grant_type": text }),
                json!({ "grant_type": "authorization_code", "code": text, "client_secret": secret, "ip_address": text, "user_agent": text }),
                json!({ "grant_type": "refresh_token", "refresh_token": text, "organization_id": text }),
                json!({ "grant_type": "refresh_token", "client_id": text, "client_secret": text, "refresh_token": text }),
            ] {
                let answer = workos.authenticate(document.clone()).await;
                assert!((400..500).contains(&answer.status), "{document}: {} {}", answer.status, answer.text);
            }
        }
    }

    async fn a_json_value_nests_thirty_two_deep_and_no_deeper(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        let value = |depth| format!(r#"{{"value":{}}}"#, nested(depth));
        let problem = sent(&admin, Method::PUT, "/v1/flags/j/users/u", value(33)).await.refused(400, "DOCUMENT_TOO_DEEP");
        assert_eq!(pointer(&problem), "/value");
        sent(&admin, Method::PUT, "/v1/flags/j/users/u", value(5000)).await.refused(400, "DOCUMENT_TOO_DEEP");
        let rule = |depth| {
            let serve = nested(depth);
            format!(r#"{{"enabled":true,"rules":[{{"audience":{{"type":"all"}},"serve":{{"value":{serve}}}}}]}}"#)
        };
        let setting = "/v1/flags/j/environments/production";
        sent(&admin, Method::PUT, setting, rule(33)).await.refused(400, "DOCUMENT_TOO_DEEP");
        assert_eq!(last_revision(&admin).await, revision);

        let deepest: Value = serde_json::from_str(&nested(32)).expect("JSON");
        sent(&admin, Method::PUT, setting, rule(32)).await.ok();
        assert_eq!(admin.value("production", "u", "", "j").await, deepest);
        sent(&admin, Method::PUT, "/v1/flags/j/users/u", value(32)).await.ok();
        assert_eq!(admin.value("staging", "u", "", "j").await, deepest);
    }

    async fn a_string_has_at_most_eight_kibibytes_and_no_nul(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        let largest = "ü".repeat(4096);
        let long = json!({ "value": format!("{largest}x") });
        let problem = admin.put("/v1/flags/s/users/u", long).await.refused(422, "VALUE_TOO_LARGE");
        assert_eq!(pointer(&problem), "/value");
        let problem = admin.put("/v1/flags/s/users/u", json!({ "value": "a\0b" })).await.refused(422, "VALUE_INVALID");
        assert_eq!(pointer(&problem), "/value");
        let inside = json!({ "value": { "a": ["\0"] } });
        assert_eq!(pointer(&admin.put("/v1/flags/j/users/u", inside).await.refused(422, "VALUE_INVALID")), "/value");
        let text = json!({ "default_value": { "text": "x".repeat(8192) } });
        assert_eq!(pointer(&admin.patch("/v1/flags/j", text).await.refused(422, "VALUE_TOO_LARGE")), "/default_value");
        assert_eq!(last_revision(&admin).await, revision);
        admin.put("/v1/flags/s/users/u", json!({ "value": largest })).await.ok();
        assert_eq!(admin.value("production", "u", "", "s").await, largest);
    }

    async fn a_value_at_a_level_that_is_not_allowed_is_refused(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        let value = json!({ "value": true });
        admin.put("/v1/flags/closed/users/u", value.clone()).await.refused(422, "OVERRIDE_NOT_ALLOWED");
        let path = "/v1/flags/closed/organizations/o?environment=production";
        admin.put(path, value).await.refused(422, "OVERRIDE_NOT_ALLOWED");
        let setting = "/v1/flags/closed/environments/production";
        let problem = admin.put(setting, json!({ "enabled": true, "value": true })).await;
        assert_eq!(pointer(&problem.refused(422, "OVERRIDE_NOT_ALLOWED")), "/value");
        let rules = json!([{ "audience": { "type": "all" }, "serve": { "value": true } }]);
        let problem = admin.put(setting, json!({ "enabled": true, "rules": rules })).await;
        assert_eq!(pointer(&problem.refused(422, "OVERRIDE_NOT_ALLOWED")), "/rules");
        let targeting = json!({ "audience": "all" });
        admin.put(&format!("{setting}/targeting"), targeting).await.refused(422, "OVERRIDE_NOT_ALLOWED");
        admin.put(&format!("{setting}/targeting/users/u"), json!({})).await.refused(422, "OVERRIDE_NOT_ALLOWED");
        assert_eq!(last_revision(&admin).await, revision);
        admin.put(setting, json!({ "enabled": false })).await.ok();
    }

    async fn a_body_is_small_and_says_that_it_is_json(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        let padded = |bytes: usize| format!("{{\"description\":\"x\"{}}}", " ".repeat(bytes - 19));
        sent(&admin, Method::PATCH, "/v1/flags/b", padded(64 * 1024 + 1)).await.refused(413, "BODY_TOO_LARGE");
        let setting = "/v1/flags/b/environments/production";
        let blank = |bytes: usize| format!("{{\"enabled\":true{}}}", " ".repeat(bytes - 16));
        sent(&admin, Method::PUT, setting, blank(1024 * 1024 + 1)).await.refused(413, "BODY_TOO_LARGE");
        let segment = |bytes: usize| format!("{{\"key\":\"large\"{}}}", " ".repeat(bytes - 15));
        sent(&admin, Method::POST, "/v1/segments", segment(1024 * 1024 + 1)).await.refused(413, "BODY_TOO_LARGE");
        for media in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            let request = admin.request(Method::PATCH, "/v1/flags/b").header("content-type", media).body("{}");
            admin.send(request).await.refused(415, "MEDIA_TYPE_UNKNOWN");
        }
        admin.send(admin.request(Method::PATCH, "/v1/flags/b").body("{}")).await.refused(415, "MEDIA_TYPE_UNKNOWN");
        assert_eq!(last_revision(&admin).await, revision);

        sent(&admin, Method::PATCH, "/v1/flags/b", padded(64 * 1024)).await.ok();
        sent(&admin, Method::PUT, setting, blank(1024 * 1024)).await.ok();
        sent(&admin, Method::POST, "/v1/segments", segment(1024 * 1024)).await.ok();
        let media = "Application/JSON; charset=utf-8";
        let request = admin.request(Method::PATCH, "/v1/flags/b").header("content-type", media).body("{}");
        admin.send(request).await.ok();
    }

    async fn a_parameter_is_known_and_stands_once(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        for (method, path, code) in [
            (Method::GET, "/v1/flags?colour=red", "PARAMETER_UNKNOWN"),
            (Method::PATCH, "/v1/flags/b?dry_run=true", "PARAMETER_UNKNOWN"),
            (Method::PUT, "/v1/flags/b/environments/production?environment=staging", "PARAMETER_UNKNOWN"),
            (Method::DELETE, "/v1/flags/b?confirm=b&Confirm=b", "PARAMETER_UNKNOWN"),
            (Method::GET, "/v1/flags?limit=1&limit=2", "PARAMETER_REPEATED"),
            (Method::DELETE, "/v1/flags/b?confirm=b&confirm=b", "PARAMETER_REPEATED"),
            (Method::GET, "/v1/flags?limit=0", "PARAMETER_INVALID"),
            (Method::GET, "/v1/flags?limit=201", "PARAMETER_INVALID"),
            (Method::GET, "/v1/flags?limit=many", "PARAMETER_INVALID"),
            (Method::GET, "/v1/flags?archived=perhaps", "PARAMETER_INVALID"),
            (Method::GET, "/v1/changes?cursor=first", "PARAMETER_INVALID"),
            (Method::GET, "/v1/flags/b/overrides?level=rule", "PARAMETER_INVALID"),
            (Method::DELETE, "/v1/flags/b/overrides?level=user&environment=production", "PARAMETER_INVALID"),
            (Method::PUT, "/v1/flags/b/organizations/o", "PARAMETER_MISSING"),
            (Method::GET, "/v1/evaluate", "PARAMETER_MISSING"),
            (Method::DELETE, "/v1/sessions", "PARAMETER_MISSING"),
        ] {
            let answer = sent(&admin, method, path, "{}").await;
            assert_eq!(answer.body["code"], code, "{path}: {}", answer.text);
            answer.refused(400, code);
        }
        assert_eq!(last_revision(&admin).await, revision);
    }

    async fn text_that_no_database_keeps_is_refused_and_not_an_error_of_ours(engine: Engine) {
        let (_server, admin, revision) = prepared(engine).await;
        for (method, path, body) in [
            (Method::GET, "/v1/flags/a%00b", "{}"),
            (Method::GET, "/v1/flags/%FF", "{}"),
            (Method::PUT, "/v1/flags/b/environments/%00", r#"{"enabled":true}"#),
            (Method::PUT, "/v1/flags/b/users/%00", r#"{"value":true}"#),
            (Method::GET, "/v1/flags?query=%00", ""),
            (Method::GET, "/v1/organizations?cursor=a%00", ""),
            (Method::GET, "/v1/changes?user=%00", ""),
            (Method::POST, "/v1/sessions", r#"{"application":"a\u0000","user":"u"}"#),
            (Method::POST, "/v1/applications", r#"{"name":"a","environment":"\u0000"}"#),
            (Method::GET, "/env/%00/.well-known/jwks.json", ""),
            (Method::GET, "/env/%FF/.well-known/openid-configuration", ""),
        ] {
            let answer = sent(&admin, method, path, body).await;
            assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
            let code = answer.body["code"].as_str().unwrap_or("no code").to_owned();
            let status = answer.status;
            answer.refused(status, &code);
        }
        assert_eq!(last_revision(&admin).await, revision);
    }

    async fn a_call_without_a_known_key_is_unauthenticated(engine: Engine) {
        let (server, admin, revision) = prepared(engine).await;
        let client = reqwest::Client::new();
        let path = format!("{}/v1/flags/b", server.url);
        for header in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer nope", &format!("Token {ADMIN_KEY}")] {
            let mut request = client.patch(&path).json(&json!({ "name": "stolen" }));
            if !header.is_empty() {
                request = request.header("authorization", header);
            }
            let answer = admin.send(request).await;
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{header}");
            answer.refused(401, "UNAUTHENTICATED");
        }
        let unread = client.patch(&path).header("content-type", "text/plain").body("x".repeat(100));
        admin.send(unread).await.refused(401, "UNAUTHENTICATED");
        assert_eq!(last_revision(&admin).await, revision);
    }
}
