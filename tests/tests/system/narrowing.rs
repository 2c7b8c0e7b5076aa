//! `?confirm=narrowing`: what takes something away in a protected environment is said twice, whichever write it is.

use flagbearer_tests::{Api, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

/// A write that takes something away.
struct Taking {
    what: &'static str,
    method: Method,
    path: String,
    body: Value,
}

/// Those that reach every environment.
const EVERYWHERE: [&str; 6] =
    ["user override", "no user override", "no overrides", "archived flag", "deleted flag", "flag without levels"];

impl Taking {
    /// Every kind of write to what [`prepare`] made under this number.
    fn all() -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut add = |what, method, path: &dyn Fn(usize) -> String, body| {
            let path = path(all.len());
            all.push(Self { what, method, path, body });
        };
        let setting = |n| format!("/v1/flags/f{n}/environments/production");
        let of_user = |n| format!("/v1/flags/f{n}/users/overridden{n}");
        let of_organization = |n| format!("/v1/flags/f{n}/organizations/overridden{n}?environment=production");
        let flag = |n| format!("/v1/flags/f{n}");
        let no_attributes = || json!({ "attributes": {} });
        add("setting", Method::PUT, &setting, json!({ "enabled": false }));
        add("targeting", Method::PUT, &|n| format!("{}/targeting", setting(n)), json!({ "audience": "none" }));
        add("user override", Method::PUT, &of_user, json!({ "value": false }));
        add("no user override", Method::DELETE, &of_user, Value::Null);
        add("organization override", Method::PUT, &of_organization, json!({ "value": false }));
        add("no organization override", Method::DELETE, &of_organization, Value::Null);
        add("no overrides", Method::DELETE, &|n| format!("/v1/flags/f{n}/overrides"), Value::Null);
        add("segment", Method::PATCH, &|n| format!("/v1/segments/s{n}"), json!({ "condition": null }));
        add("no user in segment", Method::DELETE, &|n| format!("/v1/segments/s{n}/users/listed{n}"), Value::Null);
        add("user", Method::PATCH, &|n| format!("/v1/users/has{n}"), no_attributes());
        add("no user", Method::DELETE, &|n| format!("/v1/users/has{n}"), Value::Null);
        add("organization", Method::PATCH, &|n| format!("/v1/organizations/has{n}"), no_attributes());
        add("no organization", Method::DELETE, &|n| format!("/v1/organizations/has{n}"), Value::Null);
        add("archived flag", Method::POST, &|n| format!("/v1/flags/f{n}/archive"), json!({}));
        add("deleted flag", Method::DELETE, &|n| format!("/v1/flags/f{n}?confirm=f{n}"), Value::Null);
        let bare = json!({ "overrides": ["environment"] });
        add("flag without levels", Method::PATCH, &|n| format!("{}?confirm=drop-overrides", flag(n)), bare);
        all
    }

    /// Sent as it is, or with a confirmation added to those that it has.
    async fn send(&self, admin: &Api, confirmation: Option<&str>) -> flagbearer_tests::Answer {
        let path = match (confirmation, self.path.contains("confirm=")) {
            (None, _) => self.path.clone(),
            (Some(more), true) => format!("{},{more}", self.path),
            (Some(more), false) => format!("{}{}confirm={more}", self.path, if self.path.contains('?') { '&' } else { '?' }),
        };
        let request = admin.request(self.method.clone(), &path);
        admin.send(if self.body.is_null() { request } else { request.json(&self.body) }).await
    }
}

/// A flag that is on in production for a segment, by list and by attributes, and by overrides.
async fn prepare(admin: &Api, n: usize) {
    let flag = format!("f{n}");
    admin.flag(&flag, "boolean", json!(false)).await;
    let of = |whose: &str| json!({ whose: format!("case{n}"), "equals": true });
    let condition = json!({ "any": [of("user"), of("organization")] });
    let segment = json!({ "key": format!("s{n}"), "users": [format!("listed{n}")], "condition": condition });
    admin.post("/v1/segments", segment).await.ok();
    for kind in ["users", "organizations"] {
        let has = json!({ "id": format!("has{n}"), "attributes": { format!("case{n}"): true } });
        admin.post(&format!("/v1/{kind}"), has).await.ok();
        let place = if kind == "users" { "" } else { "?environment=production" };
        admin.put(&format!("/v1/flags/{flag}/{kind}/overridden{n}{place}"), json!({ "value": true })).await.ok();
    }
    let audience = json!({ "audience": "some", "segments": [format!("s{n}")] });
    admin.put(&format!("/v1/flags/{flag}/environments/production/targeting"), audience).await.ok();
}

async fn protect(admin: &Api, environment: &str) {
    admin.patch(&format!("/v1/environments/{environment}"), json!({ "protected": true })).await.ok();
}

on_both_engines! {
    async fn every_kind_of_write_that_takes_something_away_waits_for_the_confirmation(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let writes = Taking::all();
        for n in 0..writes.len() {
            prepare(&admin, n).await;
        }
        protect(&admin, "production").await;
        for (n, write) in writes.iter().enumerate() {
            let before = admin.revision("production").await;
            let refused = write.send(&admin, None).await.refused(409, "CONFIRMATION_REQUIRED");
            let listing = refused["listing"].as_array().unwrap_or_else(|| panic!("{}: {refused}", write.what));
            let taken = listing.iter().find(|taken| taken["flag"] == format!("f{n}"));
            let taken = taken.unwrap_or_else(|| panic!("{}: {refused}", write.what));
            assert_eq!(taken["environment"], "production", "{}", write.what);
            assert_eq!(listing.len(), 1, "{}: other flags are not concerned: {refused}", write.what);
            assert!(taken["effect"] == "narrowed" || taken["effect"] == "mixed", "{}: {taken}", write.what);
            let detail = refused["detail"].as_str().expect("a detail");
            assert!(detail.contains("narrowing`"), "{}: {detail}", write.what);
            write.send(&admin, Some("something-else")).await.refused(409, "CONFIRMATION_REQUIRED");
            assert_eq!(admin.revision("production").await, before, "{}: nothing is written", write.what);

            let done = write.send(&admin, Some("narrowing")).await.ok();
            assert!(done["effect"] == "narrowed" || done["effect"] == "mixed", "{}: {done}", write.what);
            assert_eq!(admin.revision("production").await, before + 1, "{}", write.what);
        }
    }

    async fn an_unprotected_environment_asks_for_nothing(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let writes = Taking::all();
        for n in 0..writes.len() {
            prepare(&admin, n).await;
        }
        let everywhere = |write: &&Taking| EVERYWHERE.contains(&write.what);
        for write in writes.iter().filter(everywhere) {
            let answer = write.send(&admin, None).await;
            assert_eq!(answer.status, 200, "{}: {}", write.what, answer.text);
        }
        // The others take nothing away in staging.
        protect(&admin, "staging").await;
        for write in writes.iter().filter(|write| !everywhere(write)) {
            let answer = write.send(&admin, None).await;
            assert_eq!(answer.status, 200, "{}: {}", write.what, answer.text);
        }
    }

    async fn what_gives_or_changes_nothing_and_a_kill_ask_for_nothing(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin, 0).await;
        protect(&admin, "production").await;
        let setting = "/v1/flags/f0/environments/production";
        let wider = admin.put(&format!("{setting}/targeting"), json!({ "audience": "all" })).await.ok();
        assert_eq!(wider["effect"], "widened");
        let same = admin.put(&format!("{setting}/targeting"), json!({ "audience": "all" })).await.ok();
        assert_eq!(same["effect"], "unchanged");
        assert_eq!(admin.flag("another", "boolean", json!(true)).await["effect"], "widened");
        let killed = admin.post(&format!("{setting}/kill"), json!({})).await.ok();
        assert_eq!(killed["effect"], "narrowed");
        admin.delete(&format!("{setting}/kill")).await.ok();
        admin.put(setting, json!({ "enabled": false })).await.refused(409, "CONFIRMATION_REQUIRED");
    }

    async fn the_refusal_names_every_confirmation_that_is_needed(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        prepare(&admin, 0).await;
        protect(&admin, "production").await;
        let refused = admin.delete("/v1/flags/f0?confirm=f0").await.refused(409, "CONFIRMATION_REQUIRED");
        let detail = refused["detail"].as_str().expect("a detail");
        assert!(detail.contains("`?confirm=f0,narrowing`"), "{detail}");
        admin.delete("/v1/flags/f0?confirm=f0,narrowing").await.ok();
    }
}
