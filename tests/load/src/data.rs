//! What is stored before the first refresh: the thirty flags of the fixture through the API, the many users directly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};

use crate::baseline;
use crate::drive::{Page, Sessions};
use crate::measure::ADMIN_KEY;

pub const FIXTURE: &str = include_str!("../../vectors/fixture-30.json");
const ORGANIZATIONS: usize = 1_000;

pub async fn call(client: &Client, server: &str, method: Method, path: &str, body: &Value) -> Value {
    let request = client.request(method, format!("{server}{path}")).bearer_auth(ADMIN_KEY).json(body);
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body: Value = response.json().await.expect("JSON");
    assert!(status.is_success(), "{path}: {status} {body}");
    body
}

/// Stores everything; answers the sessions for our server and those for the minimal handler.
pub async fn seed(server: &str, database_url: &str, users: usize, clients: usize) -> [Arc<Sessions>; 2] {
    let client = Client::new();
    let fixture: Value = serde_json::from_str(FIXTURE).expect("the fixture");
    let each = |name: &str| fixture[name].as_array().cloned().unwrap_or_default();
    for segment in each("segments") {
        call(&client, server, Method::POST, "/v1/segments", &segment).await;
    }
    let mut ids = HashMap::new();
    for flag in each("flags") {
        let created = call(&client, server, Method::POST, "/v1/flags", &flag).await;
        ids.insert(flag["key"].as_str().expect("a key").to_owned(), created["id"].as_str().expect("an id").to_owned());
    }
    for (key, setting) in fixture["settings"].as_object().expect("settings") {
        call(&client, server, Method::PUT, &format!("/v1/flags/{key}/environments/production"), setting).await;
    }
    store(database_url, users, &ids).await;

    let application = json!({ "name": "load", "environment": "production", "public": true });
    let application = call(&client, server, Method::POST, "/v1/applications", &application).await;
    let application = application["client_id"].as_str().expect("a client id").to_owned();
    let mut tokens = [Vec::new(), Vec::new()];
    for number in 0..clients * 2 {
        // Spread over the stored users, so that they are looked up among many.
        let user = number * users / (clients * 2);
        let start = json!({
            "application": application,
            "user": format!("user_{user:07}"),
            "organization": format!("org_{:04}", user % ORGANIZATIONS),
            "strict": true,
        });
        let started = call(&client, server, Method::POST, "/v1/sessions", &start).await;
        let session = started["session_id"].as_str().expect("a session");
        if number % 2 == 0 {
            tokens[0].push(Mutex::new(started["refresh_token"].as_str().expect("a token").to_owned()));
        } else {
            tokens[1].push(Mutex::new(baseline::mint(session, 1)));
        }
    }
    tokens.map(|tokens| Arc::new(Sessions { application: application.clone(), tokens }))
}

/// The sign-in page that an application of the server's sends a browser to.
pub async fn sign_in_page(server: &str) -> Page {
    let client = Client::builder().redirect(Policy::none()).build().expect("a client");
    let uri = "https://app.example.com/callback";
    let application = json!({ "name": "pages", "environment": "production", "redirect_uris": [uri] });
    let application = call(&client, server, Method::POST, "/v1/applications", &application).await;
    let id = application["client_id"].as_str().expect("a client id");
    let asked = [("client_id", id), ("redirect_uri", uri), ("response_type", "code")];
    let asked = Url::parse_with_params(&format!("{server}/oauth2/auth"), asked).expect("an address");
    let sent = client.get(asked.clone()).send().await.expect("an answer");
    let header = |name: &str| sent.headers().get(name).and_then(|value| value.to_str().ok()).expect(name);
    let cookie = header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    Page { url: asked.join(header("location")).expect("an address").into(), cookie }
}

/// Whole numbers from 0 as a table `numbers` with a column `n`.
fn numbers(database_url: &str, count: usize) -> String {
    match database_url.starts_with("sqlite") {
        true => format!(
            "(WITH RECURSIVE r (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n + 1 < {count}) SELECT n FROM r) numbers"
        ),
        false => format!("generate_series(0, {} ) AS numbers (n)", count - 1),
    }
}

fn padded(database_url: &str, prefix: &str, width: usize, number: &str) -> String {
    match database_url.starts_with("sqlite") {
        true => format!("printf('{prefix}%0{width}d', {number})"),
        false => format!("'{prefix}' || lpad(CAST({number} AS TEXT), {width}, '0')"),
    }
}

/// A living session of an application for each of the first users, in the user's organization.
pub async fn sessions(database_url: &str, application: &str, count: usize) {
    let (table, user) = (numbers(database_url, count), padded(database_url, "user_", 7, "n"));
    let organization = padded(database_url, "org_", 4, &format!("n % {ORGANIZATIONS}"));
    // Sessions' ids are random, so that their order is no other order.
    let id = if database_url.starts_with("sqlite") { "lower(hex(randomblob(16)))" } else { "md5(CAST(n AS TEXT))" };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_millis();
    let end = now + 86_400_000;
    let sql = format!(
        "INSERT INTO sessions (id, environment, application, user_id, organization, generation, rotated_at, auth_time, \
         expires_at, absolute_expires_at, created_at) SELECT {id}, 'production', '{application}', {user}, {organization}, 2, \
         {now}, {now}, {end}, {end}, {now} FROM {table}"
    );
    execute(database_url, vec![sql]).await;
}

/// Users with attributes, a membership and an override each; organizations with attributes and an override each.
async fn store(database_url: &str, users: usize, ids: &HashMap<String, String>) {
    let (users, organizations) = (numbers(database_url, users), numbers(database_url, ORGANIZATIONS));
    let user = padded(database_url, "user_", 7, "n");
    let organization = padded(database_url, "org_", 4, "n");
    let of_user = padded(database_url, "org_", 4, &format!("n % {ORGANIZATIONS}"));
    let attributes = r#"'{"app_version":"2.4.1","email":"ada@example.com","groups":["beta","design"],"platform":"ios","role":"member","trial":false}'"#;
    let organization_attributes = r#"'{"country":"DE","plan":"enterprise","seats":120}'"#;
    let (banner, limit) = (&ids["maintenance_banner"], &ids["export_limit"]);
    let statements = vec![
        format!(
            "INSERT INTO organizations (id, name, attributes, revision, created_at) SELECT {organization}, {organization}, {organization_attributes}, 1, 0 FROM {organizations}"
        ),
        format!("INSERT INTO users (id, attributes, revision, created_at) SELECT {user}, {attributes}, 1, 0 FROM {users}"),
        format!(
            "INSERT INTO memberships (organization, user_id, roles, permissions, revision) SELECT {of_user}, {user}, '[\"member\"]', '[\"reports:view\"]', 1 FROM {users}"
        ),
        format!(
            "INSERT INTO overrides (level, subject, environment, flag, value, revision) SELECT 'user', {user}, '', '{banner}', 'true', 1 FROM {users}"
        ),
        format!(
            "INSERT INTO overrides (level, subject, environment, flag, value, revision) SELECT 'organization', {organization}, 'production', '{limit}', '5000', 1 FROM {organizations}"
        ),
    ];
    execute(database_url, statements).await;
}

/// Runs statements behind the server's back.
async fn execute(database_url: &str, statements: Vec<String>) {
    if database_url.starts_with("sqlite") {
        let pool = SqlitePool::connect(database_url).await.expect("the database");
        for sql in statements {
            sqlx::query(AssertSqlSafe(sql)).execute(&pool).await.expect("the rows are stored");
        }
        pool.close().await;
    } else {
        let pool = PgPool::connect(database_url).await.expect("the database");
        for sql in statements {
            sqlx::query(AssertSqlSafe(sql)).execute(&pool).await.expect("the rows are stored");
        }
        // As it is after the server's own first minutes: the planner knows the tables.
        sqlx::query("ANALYZE").execute(&pool).await.expect("statistics");
        pool.close().await;
    }
}
