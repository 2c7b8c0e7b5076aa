//! How long a preview takes over many living sessions, by a server that has answered nothing before, and once more.

use std::path::Path;
use std::time::Instant;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::data;
use crate::measure::Subject;

/// Changes of different breadth, each to be previewed.
fn changes() -> [(&'static str, Method, &'static str, Value); 6] {
    let condition =
        json!({ "all": [{ "user": "platform", "equals": "android" }, { "organization": "plan", "equals": "free" }] });
    [
        (
            "one organization more",
            Method::PUT,
            "/v1/flags/preview_probe/environments/production/targeting",
            json!({ "audience": "some", "organizations": ["org_0007"] }),
        ),
        (
            "everybody",
            Method::PUT,
            "/v1/flags/preview_probe/environments/production/targeting",
            json!({ "audience": "all" }),
        ),
        (
            "half of the users",
            Method::PUT,
            "/v1/flags/preview_probe/environments/production",
            json!({ "enabled": true, "rules": [{
                "audience": { "type": "all" }, "rollout": { "by": "user", "percentage": 50 }, "serve": { "value": true },
            }] }),
        ),
        ("another condition of a segment", Method::PATCH, "/v1/segments/preview_probe", json!({ "condition": condition })),
        (
            "off, where everybody has an override",
            Method::PUT,
            "/v1/flags/maintenance_banner/environments/production",
            json!({ "enabled": false }),
        ),
        ("one user's override", Method::PUT, "/v1/flags/preview_probe/users/user_0000042", json!({ "value": true })),
    ]
}

pub async fn run(url: &str, folder: &Path, sessions: usize) {
    let mut server = Subject::server(url, folder).await;
    let [ours, _] = data::seed(&server.url, url, sessions, 0).await;
    data::sessions(url, &ours.application, sessions).await;
    let client = Client::new();
    let condition =
        json!({ "any": [{ "user": "platform", "equals": "ios" }, { "organization": "plan", "equals": "free" }] });
    let segment = json!({ "key": "preview_probe", "condition": condition });
    data::call(&client, &server.url, Method::POST, "/v1/segments", &segment).await;
    for key in ["preview_probe", "preview_segment_probe"] {
        let flag = json!({ "key": key, "type": "boolean", "default_value": false });
        data::call(&client, &server.url, Method::POST, "/v1/flags", &flag).await;
    }
    let targeting = json!({ "audience": "some", "segments": ["preview_probe"] });
    let path = "/v1/flags/preview_segment_probe/environments/production/targeting";
    data::call(&client, &server.url, Method::PUT, path, &targeting).await;
    server.stop().await;

    println!("{sessions} living sessions of as many users; milliseconds  (goal: under 1 000, cold)");
    println!("{:<40} {:>8} {:>8} {:>10} {:>9}", "", "cold", "again", "sessions", "RSS MiB");
    for (what, method, path, body) in changes() {
        let mut server = Subject::server(url, folder).await;
        let (cold, count) = timed(&client, &server.url, &method, path, &body).await;
        let (again, _) = timed(&client, &server.url, &method, path, &body).await;
        println!("{what:<40} {cold:>8.0} {again:>8.0} {count:>10} {:>9.0}", server.resident());
        server.stop().await;
    }
}

/// Milliseconds, and how many sessions would change.
async fn timed(client: &Client, server: &str, method: &Method, path: &str, body: &Value) -> (f64, u64) {
    let started = Instant::now();
    let said = data::call(client, server, method.clone(), &format!("{path}?preview=true"), body).await;
    (started.elapsed().as_secs_f64() * 1e3, said["sessions"]["count"].as_u64().expect("a count"))
}
