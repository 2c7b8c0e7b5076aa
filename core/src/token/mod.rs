//! Signed tokens: JWT (RFC 7519) in JWS compact form (RFC 7515). `prepare` parses and decides without any cryptography, so
//! that a host without this crate's signatures (WebAssembly) takes the same decisions; `Verifier::verify` adds the check.

mod algorithm;
mod claims;
mod compact;
mod ed25519;
#[cfg(feature = "crypto")]
mod foreign;
#[cfg(feature = "crypto")]
mod issued;
mod jwks;
#[cfg(feature = "crypto")]
mod keys;
mod p256;
mod payload;
mod policy;
mod verifier;
mod watermark;

pub use algorithm::Algorithm;
pub use claims::{AccessToken, Asked, IdToken, Person};
#[cfg(feature = "crypto")]
pub(crate) use compact::BASE64URL;
pub use compact::MAX_TOKEN_BYTES;
pub(crate) use compact::{Compact, MAX_DEPTH};
#[cfg(feature = "crypto")]
pub use foreign::{Expected, ForeignClaims, ForeignToken};
#[cfg(feature = "crypto")]
pub use issued::{Issued, Presented};
pub use jwks::{KeySet, PublicKey};
#[cfg(feature = "crypto")]
pub use keys::{Signer, SigningKey};
pub(crate) use payload::{Lifetime, Payload};
pub use policy::{DEFAULT_LEEWAY_SECONDS, MAX_LEEWAY_SECONDS, Profile};
pub use verifier::{Pending, Prepared, Receipt, Verifier, VerifierOptions};
pub use watermark::{Kill, LatestWatermark, MAX_WATERMARK_BYTES, PreparedWatermark, Watermark};

/// `typ` of an access token of our profile (RFC 9068 §2.1).
pub const TYPE_ACCESS_TOKEN: &str = "at+jwt";
/// `typ` of the vendor profiles' tokens and of ID tokens (RFC 7519 §5.1).
pub const TYPE_JWT: &str = "JWT";
/// `typ` of a watermark.
pub const TYPE_WATERMARK: &str = "flagbearer-watermark+jwt";
