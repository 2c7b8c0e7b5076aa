//! What goes wrong inside is told as what it is, in the shape that each surface reads, and with nothing of the inside.

use flagbearer_tests::{Browser, Client, Engine, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

on_both_engines! {
    async fn what_breaks_inside_is_told_on_every_surface_with_nothing_of_the_inside(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client = Client::register(&admin, "production", json!({})).await;
        let workos = Client::register(&admin, "production", json!({ "profile": "workos" })).await;
        let bound = server.api(&admin.key("application", Some("production")).await);
        for table in ["applications", "flags"] {
            server.database.execute(&format!("ALTER TABLE {table} RENAME TO taken_away")).await;
            let mut told = Vec::new();
            if table == "applications" {
                let problem = admin.get("/v1/applications").await;
                told.push(problem.text.clone());
                problem.refused(500, "INTERNAL");
                for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"] {
                    let denied = client.post(path, &[("grant_type", "client_credentials"), ("token", "x")]).await;
                    told.push(denied.text.clone());
                    denied.denied(500, "server_error");
                }
                let page = Browser::new().visit(&client.authorization_url(&[])).await;
                assert_eq!((page.status, page.left), (500, false), "{}", page.words());
                told.push(page.words());
                let asked = json!({ "grant_type": "authorization_code", "code": "x" });
                let denied = workos.authenticate(asked).await;
                told.push(denied.text.clone());
                denied.denied(500, "server_error");
            } else {
                let problem = admin.get("/v1/flags").await;
                told.push(problem.text.clone());
                problem.refused(500, "INTERNAL");
                for path in ["/feature-flags", "/api/v1/environment/feature_flags"] {
                    let declined = bound.get(path).await;
                    assert_eq!(declined.status, 500, "{path}: {}", declined.text);
                    told.push(declined.text);
                }
            }
            for text in told {
                let inside = [table, "taken_away", "SELECT", "select", "relation", "table", "sqlx", ".rs", "panicked", "/"];
                // A problem's `type` is the one thing in it that looks like an address.
                let found = inside.into_iter().find(|inside| text.replace("application/", "").contains(inside));
                assert_eq!(found, None, "{text}");
            }
            server.database.execute(&format!("ALTER TABLE taken_away RENAME TO {table}")).await;
        }
        admin.get("/v1/flags").await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_somebody_else_holds_is_said_to_be_busy_and_when_to_come_again() {
    let server = TestServer::start(Engine::Sqlite).await;
    let admin = server.admin();
    let client = Client::public(&admin, "production").await;
    let tokens = admin.session(&client.id, "alice", None).await;
    let mut other = SqliteConnection::connect(&server.database.url).await.expect("the database opens");
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.expect("nobody else writes");
    let organization = admin.request(Method::POST, "/v1/organizations").json(&json!({ "id": "org_a" }));
    let (problem, denied) = tokio::join!(admin.send(organization), client.refresh(&tokens));
    assert_eq!((problem.header("retry-after"), denied.header("retry-after")), ("1", "1"));
    problem.refused(503, "UNAVAILABLE");
    denied.denied(503, "temporarily_unavailable");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("it is let go");
    // Nothing was done of it, and nothing used up.
    admin.get("/v1/organizations/org_a").await.refused(404, "ORGANIZATION_NOT_FOUND");
    client.refresh(&tokens).await.ok();
}
