//! `?preview=true`: what a write would do to whom, and that it does not do it.

use flagbearer_tests::{Api, BEGINNING, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

/// A preview of a write, which has to be given.
async fn preview(admin: &Api, method: Method, path: &str, body: Value) -> Value {
    let separator = if path.contains('?') { '&' } else { '?' };
    let request = admin.request(method, &format!("{path}{separator}preview=true"));
    admin.send(if body.is_null() { request } else { request.json(&body) }).await.ok()
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
}
