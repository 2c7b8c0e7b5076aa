//! The one error of this crate: a stable code that programs match on, a message that people read, and, for documents,
//! a JSON pointer (RFC 6901) to the member at fault. Each border (HTTP, JavaScript, Python, mobile) translates it once.

use std::fmt;

/// What went wrong. `code` is stable, `message` says what to do and quotes the caller's input in backticks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub code: ErrorCode,
    pub message: String,
    /// Where in the document, as a JSON pointer; empty for the whole document and for errors that are not about one.
    pub pointer: String,
}

impl Error {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), pointer: String::new() }
    }

    pub fn at(code: ErrorCode, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), pointer: pointer.into() }
    }

    /// The same error, said of a document that stands at `prefix` inside a larger one.
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

/// Which of the three families a code belongs to; a border picks its own status or class from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not a document of the expected shape: syntax, duplicate, unknown or missing members, nesting.
    Shape,
    /// Well formed, but not allowed.
    Meaning,
    /// A token, a key or a key set that is not to be trusted or not to be read.
    Token,
    /// A session that cannot be opened, kept or continued.
    Session,
    /// A flag that could not be read as asked.
    Read,
}

macro_rules! codes {
    ($($kind:ident { $($(#[$doc:meta])* $name:ident = $text:literal,)* })*) => {
        /// Stable codes. The text of a code never changes; codes are only added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($($(#[$doc])* $name,)*)* }

        impl ErrorCode {
            /// Every code there is, in the order of this file.
            pub const ALL: &[ErrorCode] = &[$($(ErrorCode::$name,)*)*];

            /// The stable text, as it stands in JSON and in every binding.
            pub fn as_str(self) -> &'static str {
                match self { $($(ErrorCode::$name => $text,)*)* }
            }

            pub fn kind(self) -> ErrorKind {
                match self { $($(ErrorCode::$name => ErrorKind::$kind,)*)* }
            }
        }
    };
}

codes! {
    Shape {
        /// Not JSON (RFC 8259), or not UTF-8.
        DocumentMalformed = "DOCUMENT_MALFORMED",
        /// A member name stands twice in one object.
        MemberDuplicate = "MEMBER_DUPLICATE",
        /// A member that this document does not have.
        MemberUnknown = "MEMBER_UNKNOWN",
        /// A required member is missing.
        MemberMissing = "MEMBER_MISSING",
        /// A member of the wrong JSON kind, such as a string where an object belongs.
        MemberMistyped = "MEMBER_MISTYPED",
        /// Nested more deeply than is read.
        DocumentTooDeep = "DOCUMENT_TOO_DEEP",
    }
    Meaning {
        KeyInvalid = "KEY_INVALID",
        IdInvalid = "ID_INVALID",
        TextInvalid = "TEXT_INVALID",
        ValueInvalid = "VALUE_INVALID",
        ValueTooLarge = "VALUE_TOO_LARGE",
        ValueOutOfRange = "VALUE_OUT_OF_RANGE",
        Immutable = "IMMUTABLE",
        OverrideNotAllowed = "OVERRIDE_NOT_ALLOWED",
        AudienceInvalid = "AUDIENCE_INVALID",
        PercentageInvalid = "PERCENTAGE_INVALID",
        SplitInvalid = "SPLIT_INVALID",
        ScheduleInvalid = "SCHEDULE_INVALID",
        TimeInvalid = "TIME_INVALID",
        ConditionInvalid = "CONDITION_INVALID",
        AttributeInvalid = "ATTRIBUTE_INVALID",
        SegmentUnknown = "SEGMENT_UNKNOWN",
        /// More of something than one document may hold.
        LimitExceeded = "LIMIT_EXCEEDED",
        /// A shortcut that would drop rules it cannot express.
        SettingHasRules = "SETTING_HAS_RULES",
    }
    Token {
        TokenMalformed = "TOKEN_MALFORMED",
        AlgorithmUnsupported = "ALGORITHM_UNSUPPORTED",
        KeyUnknown = "KEY_UNKNOWN",
        SignatureInvalid = "SIGNATURE_INVALID",
        TypeInvalid = "TYPE_INVALID",
        ClaimMissing = "CLAIM_MISSING",
        IssuerMismatch = "ISSUER_MISMATCH",
        AudienceMismatch = "AUDIENCE_MISMATCH",
        TokenExpired = "TOKEN_EXPIRED",
        TokenNotYetValid = "TOKEN_NOT_YET_VALID",
        FlagsMalformed = "FLAGS_MALFORMED",
        /// A watermark that is older than the one held.
        WatermarkOlder = "WATERMARK_OLDER",
        /// A key that cannot be used: too short, off the curve, or of an algorithm that it is not for.
        SigningKeyInvalid = "SIGNING_KEY_INVALID",
        /// The issuer's keys could not be fetched, and none are held.
        KeysUnavailable = "KEYS_UNAVAILABLE",
        /// The verifier was given settings that cannot work.
        ConfigurationInvalid = "CONFIGURATION_INVALID",
    }
    Session {
        /// A sealed session that was not sealed with one of these passwords, or has expired.
        SealedSessionInvalid = "SEALED_SESSION_INVALID",
        /// A cookie, or all of them together, that a browser or a server on the way would drop.
        CookieTooLarge = "COOKIE_TOO_LARGE",
        /// The issuer gives no tokens for this any more: the session has ended, or the code was used.
        GrantRefused = "GRANT_REFUSED",
        /// The issuer does not take the request from this application: its settings are wrong.
        ClientRefused = "CLIENT_REFUSED",
        /// The issuer could not be asked, or is too busy to answer.
        IssuerUnavailable = "ISSUER_UNAVAILABLE",
    }
    Read {
        FlagNotFound = "FLAG_NOT_FOUND",
        /// A value of another type than the flag's, on writing and on reading alike (OpenFeature's word).
        TypeMismatch = "TYPE_MISMATCH",
        ParseError = "PARSE_ERROR",
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
