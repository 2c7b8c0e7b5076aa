//! The server's one error: a kind that the HTTP border turns into a status, a stable code, and words that say what to do.

use flagbearer::error::ErrorKind;

/// What kind of refusal it is. The HTTP border alone knows statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not a document, or not a request, of the expected shape.
    Malformed,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodUnknown,
    /// In conflict with what is there.
    Conflict,
    /// It was there, and was taken away for good.
    Gone,
    /// `If-Match` names another revision.
    Stale,
    TooLarge,
    MediaTypeUnknown,
    /// Well formed, but not allowed.
    Refused,
    /// Too often in too short a time; good again after so many seconds.
    TooMany {
        retry_after: i64,
    },
    /// For now: the database is busy or away.
    Unavailable,
    /// Ours.
    Internal,
    /// Settings with which the server cannot start.
    Configuration,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    pub kind: Kind,
    /// Stable, in capitals.
    pub code: &'static str,
    pub detail: String,
    /// Which write of a batch was refused, counted from 0, and with which code.
    pub write: Option<Box<(u16, &'static str)>>,
    /// Places in the request's document, where it is about them.
    pub errors: Vec<flagbearer::error::Error>,
    /// What a confirmation would lose or change; shown beside the refusal.
    pub listing: Vec<serde_json::Value>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The code of a transaction that lost a race and may simply be run again.
    pub const RACED: &'static str = "RACED";

    /// The code where another account signs in by the same address.
    pub const EMAIL_IN_USE: &'static str = "EMAIL_IN_USE";

    /// The code of what is refused until the caller says that it is meant.
    pub const CONFIRMATION_REQUIRED: &'static str = "CONFIRMATION_REQUIRED";

    /// The code of a key that is missing or not known.
    pub const UNAUTHENTICATED: &'static str = "UNAUTHENTICATED";

    pub fn new(kind: Kind, code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), write: None, errors: Vec::new(), listing: Vec::new() }
    }

    pub fn configuration(detail: impl Into<String>) -> Self {
        Self::new(Kind::Configuration, "CONFIGURATION_INVALID", detail)
    }

    /// Something of ours went wrong; `detail` is for the log, the caller learns only that it did.
    pub fn internal(detail: impl std::fmt::Display) -> Self {
        tracing::error!(%detail, "internal error");
        Self::new(Kind::Internal, "INTERNAL", "something went wrong on the server; its log says what, under this request id")
    }

    /// `what` is a word of the product, such as `flag`.
    pub fn not_found(what: &str, name: &str) -> Self {
        let code = match what {
            "flag" => "FLAG_NOT_FOUND",
            "environment" => "ENVIRONMENT_NOT_FOUND",
            "organization" => "ORGANIZATION_NOT_FOUND",
            "user" => "USER_NOT_FOUND",
            "segment" => "SEGMENT_NOT_FOUND",
            "application" => "APPLICATION_NOT_FOUND",
            "session" => "SESSION_NOT_FOUND",
            "change" => "CHANGE_NOT_FOUND",
            "webhook" => "WEBHOOK_NOT_FOUND",
            "delivery" => "DELIVERY_NOT_FOUND",
            "pending change" => "PENDING_CHANGE_NOT_FOUND",
            "identity provider" => "IDENTITY_PROVIDER_NOT_FOUND",
            _ => "NOT_FOUND",
        };
        Self::new(Kind::NotFound, code, format!("there is no {what} `{name}`"))
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, "FORBIDDEN", detail)
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, code, detail)
    }

    /// Refuses a write until the caller says that it knows what it does.
    pub fn unconfirmed(confirmation: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(
            Kind::Conflict,
            Self::CONFIRMATION_REQUIRED,
            format!("{detail}; send it again with `?confirm={confirmation}` if that is meant"),
        )
    }

    pub fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, code, detail)
    }

    pub fn unavailable() -> Self {
        Self::new(Kind::Unavailable, "UNAVAILABLE", "the database is busy or away; try again in a moment")
    }

    pub fn too_many_attempts(retry_after: i64) -> Self {
        let (number, unit) = if retry_after < 120 { (retry_after, "seconds") } else { ((retry_after + 59) / 60, "minutes") };
        let detail = format!("too many failed attempts; try again in {number} {unit}");
        Self::new(Kind::TooMany { retry_after }, "TOO_MANY_ATTEMPTS", detail)
    }

    /// The same, of one write of a batch, counted from 0: the others are not made either.
    pub fn of_write(self, position: u16) -> Self {
        Self {
            detail: format!("write {position}: {}; none of the batch is written", self.detail),
            errors: self.errors.into_iter().map(|error| error.under(&format!("/writes/{position}/body"))).collect(),
            write: Some(Box::new((position, self.code))),
            ..self
        }
    }

    pub fn listing(mut self, listing: Vec<serde_json::Value>) -> Self {
        self.listing = listing;
        self
    }
}

impl From<flagbearer::error::Error> for Error {
    fn from(error: flagbearer::error::Error) -> Self {
        let kind = match error.code.kind() {
            ErrorKind::Shape => Kind::Malformed,
            _ => Kind::Refused,
        };
        Self { errors: vec![error.clone()], ..Self::new(kind, error.code.as_str(), error.message) }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(inner) = &error
            && inner.code().is_some_and(|code| code == "40001")
        {
            return Self::new(Kind::Unavailable, Self::RACED, "another request changed the same in this instant; try again");
        }
        let transient = match &error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => true,
            // SQLite: busy, locked, full, I/O. PostgreSQL: connection and resource classes, shutdown, cancelled by timeout.
            sqlx::Error::Database(inner) => inner.code().is_some_and(|code| {
                matches!(
                    &*code,
                    "5" | "6" | "10" | "13" | "261" | "517" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "40P01"
                ) || code.starts_with("08")
                    || code.starts_with("53")
            }),
            _ => false,
        };
        if transient {
            tracing::warn!(%error, "the database did not answer");
            return Self::unavailable();
        }
        Self::internal(error)
    }
}
