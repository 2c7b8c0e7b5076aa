//! The tables' history, embedded in the binary and run at start. Forward only; replicas that start together wait for one
//! another (sqlx takes a lock).

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::engine::Engine;
use crate::error::{Error, Result};

/// Version, description, and the statements for SQLite and for PostgreSQL.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "foundation",
        include_str!("../../migrations/sqlite/0001_foundation.sql"),
        include_str!("../../migrations/postgres/0001_foundation.sql"),
    ),
    (
        2,
        "history",
        include_str!("../../migrations/sqlite/0002_history.sql"),
        include_str!("../../migrations/postgres/0002_history.sql"),
    ),
    (
        3,
        "sign in",
        include_str!("../../migrations/sqlite/0003_sign_in.sql"),
        include_str!("../../migrations/postgres/0003_sign_in.sql"),
    ),
    (
        4,
        "kills",
        include_str!("../../migrations/sqlite/0004_kills.sql"),
        include_str!("../../migrations/postgres/0004_kills.sql"),
    ),
    (5, "log", include_str!("../../migrations/sqlite/0005_log.sql"), include_str!("../../migrations/postgres/0005_log.sql")),
    (
        6,
        "projection",
        include_str!("../../migrations/sqlite/0006_projection.sql"),
        include_str!("../../migrations/postgres/0006_projection.sql"),
    ),
    (
        7,
        "webhooks approvals",
        include_str!("../../migrations/sqlite/0007_webhooks_approvals.sql"),
        include_str!("../../migrations/postgres/0007_webhooks_approvals.sql"),
    ),
];

pub async fn run(engine: &Engine) -> Result<()> {
    let migrator = |postgres: bool| {
        let migrations = MIGRATIONS.iter().map(|(version, description, sqlite, for_postgres)| {
            let sql = if postgres { for_postgres } else { sqlite };
            let sql = (*sql).into_sql_str();
            Migration::new(*version, Cow::Borrowed(*description), MigrationType::Simple, sql, false)
        });
        Migrator::with_migrations(migrations.collect())
    };
    let outcome = match engine {
        Engine::Sqlite { writer, .. } => migrator(false).run(writer).await,
        Engine::Postgres { pool } => migrator(true).run(pool).await,
    };
    outcome.map_err(|error| Error::configuration(format!("the database's tables cannot be brought up to date: {error}")))
}
