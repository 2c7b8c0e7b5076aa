//! The door of Kotlin and Swift to the core. It converts and never decides; the packages of both languages add the HTTP GET
//! and the classes that users see. What is exported here is theirs alone, and may change with every version.

mod flag_set;
mod reader;
mod testing;

use flagbearer::error::Error;
use flagbearer::timestamp::Timestamp;

uniffi::setup_scaffolding!();

/// The one translation of the core's errors.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum NativeError {
    /// `code` is stable; `pointer` is for documents alone.
    #[error("{code}: {detail}")]
    Refused { code: String, detail: String, pointer: String },
}

impl From<Error> for NativeError {
    fn from(Error { code, message, pointer }: Error) -> Self {
        Self::Refused { code: code.as_str().to_owned(), detail: message, pointer }
    }
}

type Result<T> = std::result::Result<T, NativeError>;

/// Milliseconds since 1970, as both languages' clocks have them.
fn instant(milliseconds: i64) -> Timestamp {
    Timestamp::from_milliseconds(milliseconds)
}
