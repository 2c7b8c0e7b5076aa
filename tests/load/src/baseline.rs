//! The smallest handler that does the same work: read the token, rotate the session durably, read what the evaluation
//! needs, evaluate thirty flags, sign, answer. No errors told apart, no log, no grace, no freshness, nothing configurable.
//! Both engines work as is usual: on SQLite all that wait share a commit, on PostgreSQL each has a statement of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use axum::extract::{Form, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer::attributes::Attributes;
use flagbearer::claim::Dialect;
use flagbearer::document::Node;
use flagbearer::evaluation::{Context, Overrides, Subject};
use flagbearer::flag::{Flag, FlagValue};
use flagbearer::ruleset::Ruleset;
use flagbearer::segment::Segment;
use flagbearer::setting::{Override, Setting};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{AccessToken, Algorithm, Asked, Profile, Signer, SigningKey, TYPE_ACCESS_TOKEN};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, Row, SqlitePool};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

const SECRET: &[u8] = b"a benchmark needs no secret, but the work of one";

fn tag(signed: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes()))
}

/// A refresh token of the minimal handler's.
pub fn mint(session: &str, generation: i64) -> String {
    let signed = format!("{session}.{generation}");
    format!("{signed}.{}", tag(&signed))
}

/// User, organization, both attributes, roles, permissions, overrides as JSON, revision.
type Found = (String, String, String, String, String, String, String, i64);
type Job = (String, i64, i64, oneshot::Sender<Found>);

#[derive(Clone)]
enum Database {
    Sqlite(mpsc::Sender<Job>),
    Postgres(PgPool),
}

#[derive(Clone)]
struct App {
    database: Database,
    ruleset: Arc<Ruleset>,
    signer: Signer,
}

const READ: &str = "SELECT s.user_id, s.organization, u.attributes, o.attributes, m.roles, m.permissions, e.revision \
    FROM sessions s JOIN users u ON u.id = s.user_id JOIN organizations o ON o.id = s.organization \
    JOIN memberships m ON m.organization = s.organization AND m.user_id = s.user_id \
    JOIN environments e ON e.name = s.environment WHERE s.id = $1";
const OVERRIDES: &str = "SELECT json_group_array(json_array(level, flag, value)) FROM overrides WHERE \
    (level = 'user' AND subject = $1 AND environment = '') OR \
    (level = 'organization' AND subject = $2 AND environment = 'production')";
const POSTGRES: &str = "WITH moved AS (UPDATE sessions SET generation = generation + 1, rotated_at = $3 \
    WHERE id = $1 AND generation = $2 AND revoked_at IS NULL AND expires_at > $3 RETURNING *) \
    SELECT s.user_id, s.organization, u.attributes, o.attributes, m.roles, m.permissions, e.revision, \
    (SELECT json_agg(json_build_array(level, flag, value)) FROM overrides WHERE \
    (level = 'user' AND subject = s.user_id AND environment = '') OR \
    (level = 'organization' AND subject = s.organization AND environment = 'production'))::text \
    FROM moved s JOIN users u ON u.id = s.user_id JOIN organizations o ON o.id = s.organization \
    JOIN memberships m ON m.organization = s.organization AND m.user_id = s.user_id \
    JOIN environments e ON e.name = s.environment";

async fn write(pool: SqlitePool, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, 256).await > 0 {
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.expect("the lock");
        let mut answers = Vec::new();
        for (session, generation, now, reply) in batch.drain(..) {
            let moved = "UPDATE sessions SET generation = generation + 1, rotated_at = $3 \
                         WHERE id = $1 AND generation = $2 AND revoked_at IS NULL AND expires_at > $3";
            let moved = sqlx::query(moved).bind(&session).bind(generation).bind(now);
            let moved = moved.execute(&mut *transaction).await.expect("an update");
            assert_eq!(moved.rows_affected(), 1);
            let row = sqlx::query(READ).bind(&session).fetch_one(&mut *transaction).await.expect("the session");
            let (user, organization): (String, String) = (row.get(0), row.get(1));
            let overrides = sqlx::query(OVERRIDES).bind(&user).bind(&organization);
            let overrides = overrides.fetch_one(&mut *transaction).await.expect("the overrides").get(0);
            let found = (user, organization, row.get(2), row.get(3), row.get(4), row.get(5), overrides, row.get(6));
            answers.push((reply, found));
        }
        transaction.commit().await.expect("a commit");
        for (reply, found) in answers {
            let _ = reply.send(found);
        }
    }
}

async fn token(State(app): State<App>, Form(form): Form<HashMap<String, String>>) -> Json<Value> {
    let (signed, sent) = form["refresh_token"].rsplit_once('.').expect("a token");
    assert_eq!(tag(signed), sent);
    let (session, generation) = signed.rsplit_once('.').expect("a token");
    let generation: i64 = generation.parse().expect("a generation");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs() as i64;
    let (user, organization, user_attributes, organization_attributes, roles, permissions, overrides, revision) =
        match &app.database {
            Database::Sqlite(jobs) => {
                let (reply, answer) = oneshot::channel();
                jobs.send((session.to_owned(), generation, now * 1000, reply)).await.expect("the writer");
                answer.await.expect("an answer")
            }
            Database::Postgres(pool) => {
                let row = sqlx::query(POSTGRES).bind(session).bind(generation).bind(now * 1000);
                let row = row.fetch_one(pool).await.expect("the session");
                let get = |column: usize| row.get::<String, _>(column);
                (get(0), get(1), get(2), get(3), get(4), get(5), get(7), row.get(6))
            }
        };
    let read = |text: &str| {
        let value: Value = serde_json::from_str(text).expect("JSON");
        Attributes::parse(&Node::root(&value)).expect("attributes")
    };
    let (user_attributes, organization_attributes) = (read(&user_attributes), read(&organization_attributes));
    let mut found = Overrides::default();
    for (level, flag, value) in serde_json::from_str::<Vec<(String, String, String)>>(&overrides).expect("overrides") {
        let flag = app.ruleset.flag_by_id(&flag).expect("a flag");
        let value = FlagValue::from_text(&value, flag.flag_type).expect("a value");
        let list = if level == "user" { &mut found.user } else { &mut found.organization };
        list.push((flag.id.clone(), Override { value, note: None, expires_at: None }));
    }
    let context = Context {
        user: Some(Subject { id: &user, attributes: &user_attributes }),
        organization: Some(Subject { id: &organization, attributes: &organization_attributes }),
    };
    let now = Timestamp::from_seconds(now);
    let mut evaluations = Vec::new();
    app.ruleset.evaluate_all(&found, &context, now, &mut evaluations);
    let mut feature_flags = String::new();
    Dialect::Typed.encode(evaluations.iter().map(|found| (&found.flag.key, found.value)), &mut feature_flags);
    let (roles, permissions): (Vec<String>, Vec<String>) =
        (serde_json::from_str(&roles).expect("roles"), serde_json::from_str(&permissions).expect("permissions"));
    let mut random = [0u8; 16];
    aws_lc_rs::rand::fill(&mut random).expect("random numbers");
    let mut claims = String::new();
    AccessToken {
        issuer: "http://127.0.0.1",
        subject: &user,
        audience: Some(&form["client_id"]),
        client_id: &form["client_id"],
        issued_at: now,
        expires_at: now.plus_seconds(300),
        token_id: &URL_SAFE_NO_PAD.encode(random),
        session: Some(session),
        authenticated_at: Some(now),
        organization: Some(&organization),
        organization_name: None,
        scope: None,
        roles: &roles,
        permissions: &permissions,
        flags_revision: revision,
        feature_flags: &feature_flags,
        asked: Asked::default(),
    }
    .write(Profile::Flagbearer, &mut claims);
    Json(json!({
        "access_token": app.signer.sign(&claims).expect("a signature"),
        "refresh_token": mint(session, generation + 1),
        "token_type": "Bearer",
        "expires_in": 300,
        "feature_flags": serde_json::from_str::<Value>(&feature_flags).expect("JSON"),
        "flags_rev": revision,
        "session_id": session,
    }))
}

/// The flags as the database has them, compiled once.
fn ruleset(flags: Vec<(String, Option<String>)>, segments: Vec<String>) -> Ruleset {
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let flags = flags.into_iter().map(|(flag, setting)| {
        let flag = Flag::from_stored(&parse(&flag)).expect("a flag");
        let setting = setting.map(|text| Setting::parse(&parse(&text), &flag).expect("a setting")).unwrap_or_default();
        (flag, setting)
    });
    let segments = segments.iter().map(|text| Segment::parse(&parse(text)).expect("a segment")).collect();
    Ruleset::compile(1, flags.collect(), segments)
}

const FLAGS: &str = "SELECT f.document, s.document FROM flags f \
    LEFT JOIN settings s ON s.flag = f.id AND s.environment = 'production'";

pub async fn run(listen: SocketAddr, database_url: &str) {
    let (database, flags, segments) = if database_url.starts_with("sqlite") {
        let options: SqliteConnectOptions = database_url.parse().expect("a URL");
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.expect("the database");
        let flags = sqlx::query_as(FLAGS).fetch_all(&pool).await.expect("flags");
        let segments = sqlx::query_scalar("SELECT document FROM segments").fetch_all(&pool).await.expect("segments");
        let (sender, receiver) = mpsc::channel(8192);
        tokio::spawn(write(pool, receiver));
        (Database::Sqlite(sender), flags, segments)
    } else {
        let pool = PgPoolOptions::new().max_connections(16).connect(database_url).await.expect("the database");
        let flags = sqlx::query_as(FLAGS).fetch_all(&pool).await.expect("flags");
        let segments = sqlx::query_scalar("SELECT document FROM segments").fetch_all(&pool).await.expect("segments");
        (Database::Postgres(pool), flags, segments)
    };
    let signer = SigningKey::generate(Algorithm::EdDsa).and_then(|key| key.signer(TYPE_ACCESS_TOKEN)).expect("a key");
    let app = App { database, ruleset: Arc::new(ruleset(flags, segments)), signer };
    let router = Router::new().route("/oauth2/token", post(token)).route("/healthz", get(|| async { "alive" }));
    let listener = TcpListener::bind(listen).await.expect("the address");
    axum::serve(listener, router.with_state(app)).await.expect("the handler runs");
}
