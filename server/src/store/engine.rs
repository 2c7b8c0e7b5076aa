//! The seam between the two databases: one connection type, one parameter type, one row type, so that every statement
//! of the store is written once and runs on both. `sqlx::Any` was rejected: it starts no `BEGIN IMMEDIATE`, and hides
//! which engine answers where a statement has to differ.

use std::str::FromStr;
use std::time::Duration;

use flagbearer::timestamp::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ColumnIndex, Database as Driver, Decode, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction, Type};

use crate::error::{Error, Kind, Result};

/// How long a statement may wait for a lock or for the server before the caller is told to try again.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open database.
#[derive(Debug, Clone)]
pub enum Engine {
    /// Embedded. SQLite allows one writer at a time: writers queue for the one connection of their pool, in order.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres {
        pool: PgPool,
    },
}

impl Engine {
    /// Opens `sqlite:<path>` (created where missing) or `postgres://…`.
    pub async fn open(url: &str) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|error| Error::configuration(format!("the database URL cannot be read: {error}")))?
                .application_name("flagbearer")
                .options([
                    ("statement_timeout", "5s"),
                    ("lock_timeout", "5s"),
                    ("idle_in_transaction_session_timeout", "10s"),
                ]);
            let pool = PgPoolOptions::new().max_connections(16).acquire_timeout(PATIENCE).connect_with(options).await?;
            return Ok(Self::Postgres { pool });
        }
        if !url.starts_with("sqlite:") {
            return Err(Error::configuration("the database URL starts with `sqlite:` or `postgres://`"));
        }
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| Error::configuration(format!("the database URL cannot be read: {error}")))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged write survives a power cut; NORMAL would lose the last ones.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .statement_cache_capacity(256);
        private(options.get_filename())?;
        let writer =
            SqlitePoolOptions::new().max_connections(1).acquire_timeout(PATIENCE * 2).connect_with(options.clone()).await?;
        let readers = SqlitePoolOptions::new().max_connections(4).acquire_timeout(PATIENCE).connect_with(options).await?;
        Ok(Self::Sqlite { writer, readers })
    }

    /// A transaction that may write. On SQLite it takes the write lock at once: a transaction that read first and wrote
    /// later would fail where another wrote in between.
    pub async fn write(&self) -> Result<Connection> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Connection::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres { pool } => Connection::Postgres(pool.begin().await?),
        })
    }

    /// A transaction that writes, and reads from one snapshot. On PostgreSQL it may lose a race ([`Error::RACED`]).
    pub async fn write_snapshot(&self) -> Result<Connection> {
        match self {
            Self::Sqlite { .. } => self.write().await,
            Self::Postgres { pool } => {
                Ok(Connection::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?))
            }
        }
    }

    /// A transaction that only reads, all of it from one snapshot.
    pub async fn read(&self) -> Result<Connection> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Connection::Sqlite(readers.begin().await?),
            Self::Postgres { pool } => {
                Connection::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        })
    }

    /// Runs one statement as a transaction of its own, in one round trip.
    pub async fn statement(&self, sql: &'static str, parameters: &[Parameter]) -> Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite { writer, .. } => {
                bind(sqlx::query(sql), parameters).fetch_all(writer).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres { pool } => {
                bind(sqlx::query(sql), parameters).fetch_all(pool).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pool } => pool.close().await,
        }
    }
}

/// Makes the file of a new database readable by its owner alone; SQLite gives its companions the same rights.
fn private(path: &std::path::Path) -> Result<()> {
    // In memory there is no file.
    if path.to_str().is_some_and(|name| name.starts_with(':') || name.starts_with("file:")) {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::configuration(format!("the database `{}` cannot be created: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// A transaction on either engine; rolled back when dropped.
#[derive(Debug)]
pub enum Connection {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A statement, where needed in two spellings.
#[derive(Debug, Clone, Copy)]
pub struct Sql {
    sqlite: &'static str,
    postgres: &'static str,
}

impl Sql {
    pub const fn either(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }
}

impl From<&'static str> for Sql {
    fn from(sql: &'static str) -> Self {
        Self::either(sql, sql)
    }
}

impl Connection {
    pub async fn rows(&mut self, sql: impl Into<Sql>, parameters: &[Parameter]) -> Result<Vec<Row>> {
        storable(parameters)?;
        let sql = sql.into();
        Ok(match self {
            Self::Sqlite(transaction) => {
                let rows = bind(sqlx::query(sql.sqlite), parameters).fetch_all(&mut **transaction).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(transaction) => {
                let rows = bind(sqlx::query(sql.postgres), parameters).fetch_all(&mut **transaction).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub async fn row(&mut self, sql: impl Into<Sql>, parameters: &[Parameter]) -> Result<Option<Row>> {
        Ok(self.rows(sql, parameters).await?.into_iter().next())
    }

    /// Runs a statement and answers how many rows it changed.
    pub async fn execute(&mut self, sql: impl Into<Sql>, parameters: &[Parameter]) -> Result<u64> {
        storable(parameters)?;
        let sql = sql.into();
        Ok(match self {
            Self::Sqlite(transaction) => {
                bind(sqlx::query(sql.sqlite), parameters).execute(&mut **transaction).await?.rows_affected()
            }
            Self::Postgres(transaction) => {
                bind(sqlx::query(sql.postgres), parameters).execute(&mut **transaction).await?.rows_affected()
            }
        })
    }

    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }

    /// Ends the transaction as if nothing had been. Dropping does so too, but lets others wait until somebody notices.
    pub async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await?,
            Self::Postgres(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }
}

/// PostgreSQL cannot hold NUL in text. Refused for both engines, so that both answer the same and neither fails.
fn storable(parameters: &[Parameter]) -> Result<()> {
    let holds_nul = |parameter: &Parameter| matches!(parameter, Parameter::Text(Some(text)) if text.contains('\0'));
    if parameters.iter().any(holds_nul) {
        return Err(Error::new(Kind::Refused, "TEXT_INVALID", "the character NUL (U+0000) is not allowed here"));
    }
    Ok(())
}

/// What may be bound: both engines know these three kinds, each with NULL.
#[derive(Debug, Clone)]
pub enum Parameter {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl From<i64> for Parameter {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<bool> for Parameter {
    fn from(value: bool) -> Self {
        Self::Integer(Some(value.into()))
    }
}

impl From<Option<i64>> for Parameter {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<Timestamp> for Parameter {
    fn from(value: Timestamp) -> Self {
        Self::Integer(Some(value.milliseconds()))
    }
}

impl From<Option<Timestamp>> for Parameter {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Integer(value.map(Timestamp::milliseconds))
    }
}

impl From<&str> for Parameter {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Parameter {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<&str>> for Parameter {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}

impl From<Option<String>> for Parameter {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<Option<Vec<u8>>> for Parameter {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}

impl From<Vec<u8>> for Parameter {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

/// Parameters in the order of `$1`, `$2`, …
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::store::engine::Parameter::from($value)),*][..] };
}
pub(crate) use params;

fn bind<'q, DB>(mut query: Query<'q, DB, DB::Arguments>, parameters: &[Parameter]) -> Query<'q, DB, DB::Arguments>
where
    DB: Driver,
    Option<i64>: sqlx::Encode<'q, DB> + Type<DB>,
    Option<String>: sqlx::Encode<'q, DB> + Type<DB>,
    Option<Vec<u8>>: sqlx::Encode<'q, DB> + Type<DB>,
{
    for parameter in parameters {
        query = match parameter {
            Parameter::Integer(value) => query.bind(*value),
            Parameter::Text(value) => query.bind(value.clone()),
            Parameter::Bytes(value) => query.bind(value.clone()),
        };
    }
    query
}

/// A row of either engine. Columns are read by position: the statement stands beside the reading code.
#[derive(Debug)]
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    fn get<T>(&self, column: usize) -> Result<T>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
        usize: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub fn integer(&self, column: usize) -> Result<i64> {
        self.get(column)
    }

    pub fn maybe_integer(&self, column: usize) -> Result<Option<i64>> {
        self.get(column)
    }

    pub fn boolean(&self, column: usize) -> Result<bool> {
        Ok(self.integer(column)? != 0)
    }

    pub fn text(&self, column: usize) -> Result<String> {
        self.get(column)
    }

    pub fn maybe_text(&self, column: usize) -> Result<Option<String>> {
        self.get(column)
    }

    pub fn bytes(&self, column: usize) -> Result<Vec<u8>> {
        self.get(column)
    }

    pub fn maybe_bytes(&self, column: usize) -> Result<Option<Vec<u8>>> {
        self.get(column)
    }

    pub fn time(&self, column: usize) -> Result<Timestamp> {
        self.integer(column).map(Timestamp::from_milliseconds)
    }

    pub fn maybe_time(&self, column: usize) -> Result<Option<Timestamp>> {
        Ok(self.maybe_integer(column)?.map(Timestamp::from_milliseconds))
    }
}
