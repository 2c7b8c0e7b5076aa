//! What belongs to one environment is nothing to another: keys, tokens, settings, sessions, applications, the log.

use std::collections::BTreeSet;

use flagbearer_tests::{Api, BEGINNING, Issuer, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const ENVIRONMENTS: [&str; 3] = ["production", "staging", "preview"];

fn issuer_path(environment: &str) -> String {
    if environment == "production" { String::new() } else { format!("/env/{environment}") }
}

/// An application with a session, as its environment's issuer serves it.
struct Tenant {
    environment: &'static str,
    application: String,
    algorithm: &'static str,
    issuer: Issuer,
    tokens: Value,
}

/// Three environments with two applications each, which sign with different algorithms.
async fn tenants(admin: &Api) -> Vec<Tenant> {
    admin.post("/v1/environments", json!({ "name": "preview" })).await.ok();
    let mut tenants = Vec::new();
    for environment in ENVIRONMENTS {
        for algorithm in ["EdDSA", "ES256"] {
            let document = json!({ "name": "app", "environment": environment, "public": true, "algorithm": algorithm });
            let created = admin.post("/v1/applications", document).await.ok();
            let application = created["client_id"].as_str().expect("a client id").to_owned();
            let issuer = Issuer::discover(admin, &issuer_path(environment), &application).await;
            let tokens = admin.session(&application, "ada", Some("org_one")).await;
            tenants.push(Tenant { environment, application, algorithm, issuer, tokens });
        }
    }
    tenants
}

on_both_engines! {
    async fn a_token_is_accepted_by_its_own_issuer_and_application_alone(engine: Engine) {
        let server = TestServer::start(engine).await;
        let tenants = tenants(&server.admin()).await;
        for of in &tenants {
            let token = of.tokens["access_token"].as_str().expect("an access token");
            for at in &tenants {
                let same = (of.environment, &of.application) == (at.environment, &at.application);
                let verdict = at.issuer.verify(token, BEGINNING);
                assert_eq!(verdict.is_ok(), same, "{} {} at {} {}", of.environment, of.algorithm, at.environment, at.algorithm);
                // With every other environment's keys it is refused by the signature alone, before any claim is looked at.
                if of.environment != at.environment {
                    let refused = of.issuer.verify_with(token, &at.issuer.keys, BEGINNING);
                    assert_eq!(refused.expect_err("another's keys").code.as_str(), "KEY_UNKNOWN");
                }
            }
        }
    }

    async fn each_environment_signs_with_keys_of_its_own(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        tenants(&admin).await;
        let mut kids = BTreeSet::new();
        for environment in ENVIRONMENTS {
            let published = admin.get(&format!("{}/.well-known/jwks.json", issuer_path(environment))).await.ok();
            for key in published["keys"].as_array().expect("keys") {
                assert!(kids.insert(key["kid"].as_str().expect("a kid").to_owned()), "{environment} shares a key");
                for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                    assert!(key.get(private).is_none(), "a private member is published");
                }
                assert!(key["use"] == "sig" && key["alg"].is_string() && key.get("key_ops").is_none(), "{key}");
            }
        }
        assert_eq!(kids.len(), 9);
    }

    async fn a_refresh_token_is_used_at_its_own_issuer_alone(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let tenants = tenants(&admin).await;
        for of in &tenants {
            let token = of.tokens["refresh_token"].as_str().expect("a refresh token");
            for at in &tenants {
                if of.environment != at.environment {
                    let path = issuer_path(at.environment);
                    admin.refresh(&path, &of.application, token).await.denied(401, "invalid_client");
                    admin.refresh(&path, &at.application, token).await.denied(400, "invalid_grant");
                }
            }
        }
        admin.refresh("/env/nowhere", &tenants[0].application, "garbage").await.denied(404, "invalid_request");
        // The default environment has one issuer URL, not two.
        admin.refresh("/env/production", &tenants[0].application, "garbage").await.denied(404, "invalid_request");
        for of in &tenants {
            admin.refreshed(&issuer_path(of.environment), &of.application, &of.tokens).await;
        }
    }

    async fn a_key_of_one_environment_reads_and_changes_nothing_of_another(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let tenants = tenants(&admin).await;
        let foreign = &tenants[0];
        admin.post("/v1/flags", json!({ "key": "flag", "type": "boolean", "default_value": false })).await.ok();
        let setting = "/v1/flags/flag/environments/production";
        let targeting = json!({ "audience": "some", "users": ["ada"], "organizations": ["org_one"] });
        admin.put(&format!("{setting}/targeting"), targeting).await.ok();
        let organization_override = "/v1/flags/flag/organizations/org_one?environment=production";
        admin.put(organization_override, json!({ "value": true, "note": "of production" })).await.ok();
        let (application, session) = (&foreign.application, foreign.tokens["session_id"].as_str().expect("an id"));
        let change = admin.get("/v1/changes?environment=production&limit=1").await.ok()["data"][0]["revision"].clone();

        let enabled = json!({ "enabled": false });
        let routes = [
            (Method::GET, setting.to_owned(), Value::Null),
            (Method::PUT, setting.to_owned(), enabled),
            (Method::PUT, format!("{setting}/targeting"), json!({ "audience": "all" })),
            (Method::PUT, format!("{setting}/targeting/users/ben"), Value::Null),
            (Method::DELETE, format!("{setting}/targeting/users/ada"), Value::Null),
            (Method::PUT, format!("{setting}/targeting/organizations/org_two"), Value::Null),
            (Method::DELETE, format!("{setting}/targeting/organizations/org_one"), Value::Null),
            (Method::PUT, organization_override.to_owned(), json!({ "value": false })),
            (Method::DELETE, organization_override.to_owned(), Value::Null),
            (Method::GET, "/v1/flags/flag/overrides?environment=production".to_owned(), Value::Null),
            (Method::DELETE, "/v1/flags/flag/overrides?environment=production".to_owned(), Value::Null),
            (Method::DELETE, "/v1/flags/flag/overrides".to_owned(), Value::Null),
            (Method::GET, "/v1/environments/production".to_owned(), Value::Null),
            (Method::PATCH, "/v1/environments/production".to_owned(), json!({ "protected": true })),
            (Method::DELETE, "/v1/environments/production?confirm=production".to_owned(), Value::Null),
            (Method::DELETE, "/v1/environments/preview?confirm=preview".to_owned(), Value::Null),
            (Method::GET, "/v1/environments/production/flags".to_owned(), Value::Null),
            (Method::POST, "/v1/applications".to_owned(), json!({ "name": "app", "environment": "production" })),
            (Method::GET, "/v1/applications?environment=production".to_owned(), Value::Null),
            (Method::GET, format!("/v1/applications/{application}"), Value::Null),
            (Method::PATCH, format!("/v1/applications/{application}"), json!({ "grace": 0 })),
            (Method::DELETE, format!("/v1/applications/{application}"), Value::Null),
            (Method::POST, "/v1/api-keys".to_owned(), json!({ "name": "k", "role": "viewer", "environment": "production" })),
            (Method::GET, "/v1/api-keys".to_owned(), Value::Null),
            (Method::GET, "/v1/evaluate?environment=production&user=ada".to_owned(), Value::Null),
            (Method::GET, "/v1/evaluate?environment=production&user=ada&revision=1".to_owned(), Value::Null),
            (Method::GET, "/v1/users/ada/flags?environment=production".to_owned(), Value::Null),
            (Method::GET, "/v1/organizations/org_one/flags?environment=production".to_owned(), Value::Null),
            (Method::POST, "/v1/explain".to_owned(), json!({ "token": foreign.tokens["access_token"] })),
            (Method::POST, "/v1/explain".to_owned(), json!({ "session_id": session, "at": BEGINNING.to_string() })),
            (Method::POST, "/v1/sessions".to_owned(), json!({ "application": application, "user": "mallory" })),
            (Method::GET, "/v1/sessions?environment=production".to_owned(), Value::Null),
            (Method::DELETE, "/v1/sessions?environment=production&user=ada".to_owned(), Value::Null),
            (Method::GET, format!("/v1/sessions/{session}"), Value::Null),
            (Method::DELETE, format!("/v1/sessions/{session}"), Value::Null),
            (Method::GET, "/v1/changes?environment=production".to_owned(), Value::Null),
            (Method::GET, format!("/v1/changes/{change}"), Value::Null),
            // What all environments share is not an environment's to change.
            (Method::POST, "/v1/flags".to_owned(), json!({ "key": "new", "type": "boolean", "default_value": true })),
            (Method::PATCH, "/v1/flags/flag".to_owned(), json!({ "default_value": true })),
            (Method::POST, "/v1/flags/flag/archive".to_owned(), Value::Null),
            (Method::DELETE, "/v1/flags/flag?confirm=flag".to_owned(), Value::Null),
            (Method::PUT, "/v1/flags/flag/users/ada".to_owned(), json!({ "value": true })),
            (Method::POST, "/v1/segments".to_owned(), json!({ "key": "segment", "name": "segment" })),
            (Method::PATCH, "/v1/users/ada".to_owned(), json!({ "attributes": { "plan": "free" } })),
            (Method::PUT, "/v1/organizations/org_one/members/ada".to_owned(), json!({ "permissions": ["all"] })),
        ];
        let mut keys = Vec::new();
        for role in ["viewer", "application", "editor", "administrator"] {
            let key = admin.post("/v1/api-keys", json!({ "name": role, "role": role, "environment": "staging" })).await.ok();
            keys.push((role, server.api(key["key"].as_str().expect("a key"))));
        }
        let before = state(&admin).await;
        for (role, bound) in keys {
            for (method, path, body) in &routes {
                let mut request = bound.request(method.clone(), path);
                if !body.is_null() {
                    request = request.json(body);
                }
                let answer = bound.send(request).await;
                assert!(matches!(answer.status, 403 | 404), "{role}: {method} {path}: {} {}", answer.status, answer.text);
            }
        }
        assert_eq!(state(&admin).await, before);
        admin.refreshed("", application, &foreign.tokens).await;
    }

    async fn what_is_listed_to_a_key_of_one_environment_leaves_the_others_out(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        tenants(&admin).await;
        admin.post("/v1/flags", json!({ "key": "flag", "type": "boolean", "default_value": false })).await.ok();
        for environment in ENVIRONMENTS {
            let path = format!("/v1/flags/flag/organizations/org_one?environment={environment}");
            admin.put(&path, json!({ "value": true, "note": format!("of {environment}") })).await.ok();
            let path = format!("/v1/flags/flag/environments/{environment}");
            let rule = json!({ "description": format!("of {environment}"), "audience": { "type": "all" }, "serve": { "value": true } });
            admin.put(&path, json!({ "enabled": true, "rules": [rule] })).await.ok();
        }
        admin.put("/v1/flags/flag/users/ada", json!({ "value": true, "note": "of everywhere" })).await.ok();
        // One change that touches all environments: its edits there are still each environment's own.
        admin.patch("/v1/flags/flag?confirm=drop-overrides", json!({ "overrides": ["user"] })).await.ok();
        for environment in ENVIRONMENTS {
            let path = format!("/v1/flags/flag/organizations/org_one?environment={environment}");
            admin.patch("/v1/flags/flag", json!({ "overrides": ["environment", "organization", "user"] })).await.ok();
            admin.put(&path, json!({ "value": true, "note": format!("of {environment}") })).await.ok();
        }
        let key = admin.post("/v1/api-keys", json!({ "name": "k", "role": "viewer", "environment": "staging" })).await.ok();
        let bound = server.api(key["key"].as_str().expect("a key"));
        for path in ["/v1/flags/flag/overrides", "/v1/sessions", "/v1/applications", "/v1/changes", "/v1/environments"] {
            let page = bound.get(path).await;
            assert_eq!(page.status, 200, "{path}: {}", page.text);
            assert!(page.text.contains("staging"), "{path}: {}", page.text);
            for other in ["production", "preview"] {
                assert!(!page.text.contains(other), "{path} tells of {other}: {}", page.text);
            }
            // The same, one by one.
            if path == "/v1/changes" {
                for change in page.body["data"].as_array().expect("changes") {
                    let mut alone = bound.get(&format!("/v1/changes/{}", change["revision"])).await.ok();
                    // It says more there, of the same edits.
                    for edit in alone["edits"].as_array_mut().expect("edits") {
                        edit.as_object_mut().expect("an edit").remove("differences");
                    }
                    for (member, listed) in change.as_object().expect("a change") {
                        assert_eq!(&alone[member], listed, "{member}");
                    }
                }
            }
        }
        // A user's override holds in every environment, and so is a bound key's to see too.
        for (query, note) in [("", "of staging"), ("?level=user", "of everywhere")] {
            let overrides = bound.get(&format!("/v1/flags/flag/overrides{query}")).await.ok();
            let overrides = overrides["data"].as_array().expect("overrides");
            assert_eq!((overrides.len(), &overrides[0]["note"]), (1, &json!(note)));
        }
    }
}

/// Everything of the environments that a foreign key could have changed.
async fn state(admin: &Api) -> Vec<Value> {
    let mut state = Vec::new();
    for environment in ENVIRONMENTS {
        for path in [
            format!("/v1/environments/{environment}"),
            format!("/v1/environments/{environment}/flags"),
            format!("/v1/applications?environment={environment}"),
            format!("/v1/sessions?environment={environment}"),
            format!("/v1/changes?environment={environment}&limit=200"),
        ] {
            state.push(admin.get(&path).await.ok());
        }
    }
    state.push(admin.get("/v1/flags/flag/overrides").await.ok());
    state
}
