//! Refresh tokens: derived, not stored. `fbr_<key version>.<session>.<generation>.<tag>`, where the tag is HMAC-SHA-256
//! over what stands before it and the installation's epoch. Garbage never reaches the database, and whoever steals the
//! database can mint none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::InstallationKey;

/// Raised when the key that signs them changes.
const KEY_VERSION: &str = "1";

/// What a genuine refresh token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken<'t> {
    pub session: &'t str,
    pub generation: i64,
}

fn message(epoch: i64, signed: &str) -> Vec<u8> {
    format!("{epoch}\n{signed}").into_bytes()
}

pub fn mint(key: &InstallationKey, epoch: i64, session: &str, generation: i64) -> String {
    let signed = format!("fbr_{KEY_VERSION}.{session}.{generation}");
    let tag = key.refresh_tag(&message(epoch, &signed));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// Reads a token, or says that it is none of ours; which part is wrong is not told.
pub fn parse<'t>(key: &InstallationKey, epoch: i64, token: &'t str) -> Option<RefreshToken<'t>> {
    if token.len() > 256 {
        return None;
    }
    let (signed, tag) = token.rsplit_once('.')?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    if !key.refresh_tag_matches(&message(epoch, signed), &tag) {
        return None;
    }
    let mut parts = signed.strip_prefix("fbr_")?.split('.');
    let (version, session, generation) = (parts.next()?, parts.next()?, parts.next()?);
    if version != KEY_VERSION || parts.next().is_some() {
        return None;
    }
    Some(RefreshToken { session, generation: generation.parse().ok()? })
}
