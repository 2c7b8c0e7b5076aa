//! A flag set that both languages hold by its handle: the core reads it, also under a watermark that came later.

use std::collections::HashMap;
use std::sync::Arc;

use flagbearer::document;
use flagbearer::flag::{FlagType, FlagValue};
use flagbearer::flag_set::FlagSet;
use flagbearer::reader::{Reader, ReaderState};
use flagbearer::testing;

use super::{Result, instant};

/// Of which type a flag is read.
#[derive(Debug, Clone, Copy, uniffi::Enum)]
pub enum NativeType {
    Boolean,
    String,
    Integer,
    Json,
}

impl From<NativeType> for FlagType {
    fn from(native: NativeType) -> Self {
        match native {
            NativeType::Boolean => Self::Boolean,
            NativeType::String => Self::String,
            NativeType::Integer => Self::Integer,
            NativeType::Json => Self::Json,
        }
    }
}

/// A flag's value; JSON as its canonical text.
#[derive(Debug, Clone, uniffi::Enum)]
pub enum NativeValue {
    Boolean { value: bool },
    Text { value: String },
    Integer { value: i64 },
    Json { text: String },
}

impl From<FlagValue> for NativeValue {
    fn from(value: FlagValue) -> Self {
        match value {
            FlagValue::Boolean(value) => Self::Boolean { value },
            FlagValue::String(value) => Self::Text { value: value.as_ref().to_owned() },
            FlagValue::Integer(value) => Self::Integer { value },
            FlagValue::Json(value) => Self::Json { text: value.as_str().to_owned() },
        }
    }
}

/// An answer with its circumstances. Without a value the caller's default is the answer, which has no need to cross the
/// border.
#[derive(Debug, uniffi::Record)]
pub struct NativeDetails {
    pub value: Option<NativeValue>,
    pub reason: String,
    pub error_code: Option<String>,
}

#[derive(Debug, uniffi::Object)]
pub struct NativeFlagSet {
    flags: FlagSet,
    reader: Option<Arc<Reader>>,
}

impl NativeFlagSet {
    pub fn of(flags: FlagSet, reader: Option<Arc<Reader>>) -> Arc<Self> {
        Arc::new(Self { flags, reader })
    }
}

#[uniffi::export]
impl NativeFlagSet {
    /// The flag set of a `feature_flags` claim, for tests.
    #[uniffi::constructor]
    pub fn of_claim(feature_flags: String) -> Result<Arc<Self>> {
        Ok(Self::of(FlagSet::of_claim(&feature_flags)?, None))
    }

    /// The flag set of flags by key, as JSON text, for tests.
    #[uniffi::constructor]
    pub fn of_flags(flags: String) -> Result<Arc<Self>> {
        Ok(Self::of(document::parse(flags.as_bytes()).and_then(|flags| testing::flag_set(&flags))?, None))
    }

    pub fn get_flag(&self, key: String, flag_type: NativeType) -> NativeDetails {
        // Any default does: it is answered where there is no value, and then left out.
        let details = self.flags.get_flag(&key, FlagValue::Boolean(false), flag_type.into());
        NativeDetails {
            value: (!details.is_default).then(|| details.value.into()),
            reason: details.reason.as_str().to_owned(),
            error_code: details.error_code.map(|code| code.as_str().to_owned()),
        }
    }

    pub fn get_all_flags(&self) -> HashMap<String, NativeValue> {
        self.flags.get_all_flags().map(|(key, value)| (key.into_owned(), value.into())).collect()
    }

    pub fn changed_from(&self, older: Arc<NativeFlagSet>) -> Vec<String> {
        self.flags.changed_from(&older.flags).into_iter().map(str::to_owned).collect()
    }

    /// A JSON text.
    pub fn claims(&self) -> String {
        self.flags.claims().to_owned()
    }

    pub fn organization(&self) -> Option<String> {
        self.flags.organization().map(str::to_owned)
    }

    pub fn flags_revision(&self) -> Option<i64> {
        self.flags.flags_revision()
    }

    pub fn is_stale(&self) -> bool {
        self.flags.is_stale()
    }

    /// What its reader knows of the time since its token was made; nothing where no watermark is followed.
    pub fn state(&self, now: i64) -> Option<NativeState> {
        let follower = self.reader.as_ref()?.follower()?;
        Some(follower.state_of(self.flags.flags_revision(), instant(now)).into())
    }
}

/// See the core's `ReaderState`.
#[derive(Debug, Clone, Copy, uniffi::Enum)]
pub enum NativeState {
    Fresh,
    Stale,
    Disconnected,
}

impl From<ReaderState> for NativeState {
    fn from(state: ReaderState) -> Self {
        match state {
            ReaderState::Fresh => Self::Fresh,
            ReaderState::Stale => Self::Stale,
            ReaderState::Disconnected => Self::Disconnected,
        }
    }
}
