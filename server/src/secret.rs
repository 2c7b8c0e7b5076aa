//! Secrets: the installation's key, what is derived from it, and what is shown once. None of these types can be logged.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};

/// Text that must not be seen: no `Debug`, no `Display`, wiped when dropped. `expose` marks each place where it leaves.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the secret, for secrets of at least 128 random bits alone: a password needs a slow hash.
    pub fn hash(&self) -> String {
        hash(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// SHA-256, as base64url.
pub fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}

/// The S256 challenge of a PKCE verifier (RFC 7636 §4.2).
pub fn pkce_challenge(verifier: &str) -> String {
    hash(verifier.as_bytes())
}

/// Random characters out of 62, about 5.95 bits each.
pub fn random_alphanumeric(length: usize) -> Result<String> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(length);
    let mut bytes = [0u8; 64];
    while text.len() < length {
        rand::fill(&mut bytes).map_err(|_| Error::internal("the system gave no random numbers"))?;
        // 248 = 4 × 62: the bytes above would make some characters likelier.
        let unbiased = bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        text.extend(unbiased.take(length - text.len()));
    }
    Ok(text)
}

/// A random number from 0 up to 1, to spread what would otherwise come at once.
pub fn random_fraction() -> Result<f64> {
    let mut bytes = [0u8; 4];
    rand::fill(&mut bytes).map_err(|_| Error::internal("the system gave no random numbers"))?;
    Ok(f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
}

/// The installation's key: 32 random bytes from which all others are derived (HKDF-SHA-256, RFC 5869).
pub struct InstallationKey {
    sealing: LessSafeKey,
    refresh: hmac::Key,
    retries: hmac::Key,
    erasures: hmac::Key,
    check: String,
}

impl fmt::Debug for InstallationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstallationKey({})", self.check)
    }
}

/// The fewest different bytes of a key. Of 32 random ones 30 are, on average; what a person thought up has fewer than half.
const MIN_DIFFERENT_BYTES: usize = 16;

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl InstallationKey {
    /// Reads a key as it stands in the file or the variable: 32 random bytes in base64url.
    pub fn parse(text: &str) -> Result<Self> {
        let mut bytes = URL_SAFE_NO_PAD
            .decode(text.trim())
            .ok()
            .filter(|bytes| bytes.len() == 32)
            .ok_or_else(|| Error::configuration("the installation's key must be 32 bytes in base64url"))?;
        if bytes.iter().collect::<HashSet<_>>().len() < MIN_DIFFERENT_BYTES {
            let detail = "the installation's key is not random: let the server make one, or `openssl rand 32 | basenc --base64url | tr -d =`";
            return Err(Error::configuration(detail));
        }
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"flagbearer").extract(&bytes);
        bytes.zeroize();
        let derive = |purpose: &[u8]| -> Result<[u8; 32]> {
            let mut out = [0u8; 32];
            root.expand(&[purpose], Length(32))
                .and_then(|okm| okm.fill(&mut out))
                .map_err(|_| Error::internal("a key could not be derived"))?;
            Ok(out)
        };
        let mut sealing = derive(b"sealing")?;
        let mut refresh = derive(b"refresh")?;
        let mut retries = derive(b"retries")?;
        let mut erasures = derive(b"erasures")?;
        let key = UnboundKey::new(&AES_256_GCM, &sealing).map_err(|_| Error::internal("a key could not be made"))?;
        let parsed = Self {
            sealing: LessSafeKey::new(key),
            refresh: hmac::Key::new(hmac::HMAC_SHA256, &refresh),
            retries: hmac::Key::new(hmac::HMAC_SHA256, &retries),
            erasures: hmac::Key::new(hmac::HMAC_SHA256, &erasures),
            check: URL_SAFE_NO_PAD.encode(&derive(b"check")?[..9]),
        };
        sealing.zeroize();
        refresh.zeroize();
        retries.zeroize();
        erasures.zeroize();
        Ok(parsed)
    }

    /// A new random key, as text.
    pub fn generate() -> Result<Secret> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        rand::fill(&mut *bytes).map_err(|_| Error::internal("the system gave no random numbers"))?;
        Ok(Secret::new(URL_SAFE_NO_PAD.encode(*bytes)))
    }

    /// Reads the key file; `None` where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&Zeroizing::new(text)).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::configuration(format!("the key file `{}` cannot be read: {error}", path.display()))),
        }
    }

    /// Writes a new key file, readable by its owner alone. Never replaces one.
    pub fn create(path: &Path) -> Result<Self> {
        use std::io::Write;
        let text = Self::generate()?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| {
            writeln!(file, "{}", text.expose())?;
            file.sync_all()
        });
        written.map_err(|error| {
            Error::configuration(format!("the key file `{}` cannot be written: {error}", path.display()))
        })?;
        Self::parse(text.expose())
    }

    /// Tells keys apart without telling them: safe to store and to print.
    pub fn check(&self) -> &str {
        &self.check
    }

    /// Seals bytes for the database (AES-256-GCM, random nonce in front). `purpose` binds them to their place.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::internal("sealing failed");
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce).map_err(failed)?;
        let mut sealed = plain.to_vec();
        self.sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose.as_bytes()), &mut sealed)
            .map_err(failed)?;
        sealed.splice(0..0, nonce);
        Ok(sealed)
    }

    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.try_open(purpose, sealed)
            .ok_or_else(|| Error::internal("what was sealed cannot be opened: another key, or damaged data"))
    }

    fn try_open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = Zeroizing::new(rest.to_vec());
        let length = self.sealing.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }

    /// Seals bytes that leave the server and come back, as base64url.
    pub fn seal_text(&self, purpose: &str, plain: &[u8]) -> Result<String> {
        Ok(URL_SAFE_NO_PAD.encode(self.seal(purpose, plain)?))
    }

    /// Opens what came back; none where it is not what was sealed here, which is no failure of ours.
    pub fn open_text(&self, purpose: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.try_open(purpose, &URL_SAFE_NO_PAD.decode(text).ok()?)
    }

    /// HMAC-SHA-256 of a request's body, as base64url: tells whether a retry says the same. A plain hash would let whoever
    /// reads the database guess the passwords in it.
    pub fn body_tag(&self, body: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.retries, body))
    }

    /// HMAC-SHA-256 of the id of a user who was erased, as base64url: who holds an id can ask whether it was erased, and nobody
    /// can list who was.
    pub fn erasure_tag(&self, user: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.erasures, user.as_bytes()))
    }

    /// HMAC-SHA-256 for refresh tokens.
    pub fn refresh_tag(&self, message: &[u8]) -> hmac::Tag {
        hmac::sign(&self.refresh, message)
    }

    /// Compares in constant time.
    pub fn refresh_tag_matches(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.refresh, message, tag).is_ok()
    }
}
