//! A database of a test's own: a file in a temporary folder, or a database in the cluster that `tests/run` started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Where `tests/run` says its PostgreSQL cluster is.
const CLUSTER: &str = "FLAGBEARER_TEST_POSTGRES";

/// An empty database, and a folder for what belongs to it. The folder goes with it.
#[derive(Debug)]
pub struct Database {
    pub url: String,
    folder: PathBuf,
}

impl Database {
    pub async fn create(engine: Engine) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("flagbearer_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", folder.join("flagbearer.db").display()),
            Engine::Postgres => {
                let cluster = std::env::var(CLUSTER).unwrap_or_else(|_| {
                    panic!("{CLUSTER} is not set: run the tests by `tests/run`, which starts a PostgreSQL of its own")
                });
                let mut connection = PgConnection::connect(&format!("{cluster}/postgres"))
                    .await
                    .expect("the PostgreSQL of tests/run answers");
                sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
                    .execute(&mut connection)
                    .await
                    .expect("a database can be created");
                connection.close().await.expect("the connection closes");
                format!("{cluster}/{name}")
            }
        };
        Self { url, folder }
    }

    pub fn engine(&self) -> Engine {
        if self.url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres }
    }

    /// Runs statements behind the server's back.
    pub async fn execute(&self, sql: &str) {
        match self.engine() {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.expect("the database opens");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
                connection.close().await.expect("the connection closes");
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.expect("the database opens");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
                connection.close().await.expect("the connection closes");
            }
        }
    }

    /// The first column of each row, which has to be text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        match self.engine() {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.expect("the database opens");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("the statement runs")
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.expect("the database opens");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("the statement runs")
            }
        }
    }

    /// Every table's rows as text; bytes as hexadecimal digits.
    pub async fn tables(&self) -> BTreeMap<String, String> {
        let names = match self.engine() {
            Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
            Engine::Postgres => {
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
            }
        };
        let mut tables = BTreeMap::new();
        for name in self.texts(names).await {
            let sql = match self.engine() {
                Engine::Postgres => format!("SELECT t::text FROM \"{name}\" t"),
                Engine::Sqlite => {
                    let columns = self.texts(&format!("SELECT name FROM pragma_table_info('{name}')")).await;
                    let columns: Vec<String> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
                    format!("SELECT {} FROM \"{name}\"", columns.join(" || ' ' || "))
                }
            };
            tables.insert(name, self.texts(&sql).await.join("\n"));
        }
        assert!(tables.len() >= 13, "{:?}", tables.keys());
        tables
    }

    pub fn key_file(&self) -> PathBuf {
        self.folder.join("flagbearer.key")
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning; it must not hide the test's outcome.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
