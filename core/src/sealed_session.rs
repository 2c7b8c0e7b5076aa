//! The sealed cookie: tokens that only the application can read, in the form that iron (`Fe26.2`) and with it WorkOS's SDK
//! and iron-session write, so that either side reads what the other has sealed. AES-256-CBC, then HMAC-SHA-256 over all of
//! it; both keys from the password by PBKDF2 with a single iteration, which only a random password can bear.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine as _;
use zeroize::Zeroizing;

use crate::document::{self, Node};
use crate::error::{Error, ErrorCode, Result};
use crate::timestamp::Timestamp;
use crate::token::BASE64URL;

/// The fewest characters of a password, as iron has it.
pub const MIN_PASSWORD_CHARACTERS: usize = 32;
/// The fewest different ones. 32 random hexadecimal digits have 14 on average, and fewer than eight once in a million times.
pub const MIN_DIFFERENT_CHARACTERS: usize = 8;
/// How many random bytes go into a seal.
pub const RANDOM_BYTES: usize = 2 * SALT_BYTES + IV_BYTES;
/// The longest seal that is opened: 64 KiB, far beyond any cookie.
pub const MAX_SEALED_BYTES: usize = 64 * 1024;
/// How long an expired seal is still opened, in milliseconds: clocks disagree. Iron's.
pub const SKEW_MILLISECONDS: i64 = 60_000;

const PREFIX: &str = "Fe26.2";
/// What WorkOS's SDK puts behind a seal, and iron-session before it: the version of what is inside.
const VERSION: &str = "~2";
const SALT_BYTES: usize = 32;
const IV_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// What sessions are sealed with, by id. Several, so that what was sealed with an older one can still be opened.
pub struct Passwords(BTreeMap<u32, Zeroizing<String>>);

impl Passwords {
    /// Errors: `ConfigurationInvalid` for none, and for one that is too short or too simple.
    pub fn new<'p>(passwords: impl IntoIterator<Item = (u32, &'p str)>) -> Result<Self> {
        let mut map = BTreeMap::new();
        for (id, password) in passwords {
            check(id, password)?;
            map.insert(id, Zeroizing::new(password.to_owned()));
        }
        if map.is_empty() {
            return Err(invalid("a cookie password is required"));
        }
        Ok(Self(map))
    }
}

fn check(id: u32, password: &str) -> Result<()> {
    let mut characters: Vec<char> = password.chars().collect();
    let count = characters.len();
    characters.sort_unstable();
    characters.dedup();
    if count >= MIN_PASSWORD_CHARACTERS && characters.len() >= MIN_DIFFERENT_CHARACTERS {
        return Ok(());
    }
    Err(invalid(format!(
        "cookie password {id} has {count} characters, {} of them different; it needs {MIN_PASSWORD_CHARACTERS} random ones: make \
         it with `openssl rand -hex 32`",
        characters.len()
    )))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::ConfigurationInvalid, message)
}

/// One error for everything: whoever tries seals out learns nothing.
fn unopened() -> Error {
    Error::new(
        ErrorCode::SealedSessionInvalid,
        "the session was not sealed with this password, was altered or has expired; sign in again",
    )
}

/// Seals a text, with the password of the highest id. The random bytes must never be used again.
///
/// Errors: `SealedSessionInvalid` for what would be too long to be opened.
pub fn seal(text: &str, passwords: &Passwords, random: &[u8; RANDOM_BYTES]) -> Result<String> {
    let (salts, iv) = random.split_at(2 * SALT_BYTES);
    let (salt, integrity_salt) = salts.split_at(SALT_BYTES);
    let (id, password) = passwords.0.last_key_value().ok_or_else(unopened)?;
    let salt = hexadecimal(salt);
    let encrypted = encrypt(text, &*key(password, &salt), iv).map_err(|Unspecified| unopened())?;
    let iv = BASE64URL.encode(iv);
    let signed = format!("{PREFIX}*{id}*{salt}*{iv}*{}*", BASE64URL.encode(encrypted));
    let integrity_salt = hexadecimal(integrity_salt);
    let signature = hmac::sign(&integrity_key(password, &integrity_salt), signed.as_bytes());
    let sealed = format!("{signed}*{integrity_salt}*{}{VERSION}", BASE64URL.encode(signature));
    if sealed.len() > MAX_SEALED_BYTES {
        return Err(Error::new(
            ErrorCode::SealedSessionInvalid,
            format!("a seal of {} bytes cannot be opened", sealed.len()),
        ));
    }
    Ok(sealed)
}

/// What a seal holds.
///
/// Errors: `SealedSessionInvalid`.
pub fn unseal(sealed: &str, passwords: &Passwords, now: Timestamp) -> Result<String> {
    open(sealed, passwords, now).ok_or_else(unopened)
}

fn open(sealed: &str, passwords: &Passwords, now: Timestamp) -> Option<String> {
    if sealed.len() > MAX_SEALED_BYTES {
        return None;
    }
    let sealed = sealed.strip_suffix(VERSION).unwrap_or(sealed);
    let (signed, rest) = {
        let mut from_behind = sealed.rmatch_indices('*').map(|(at, _)| at);
        let (signature, salt) = (from_behind.next()?, from_behind.next()?);
        (&sealed[..salt], (&sealed[salt + 1..signature], &sealed[signature + 1..]))
    };
    let mut parts = signed.split('*');
    let mut part = || parts.next();
    let (prefix, id, salt, iv, encrypted, expires_at) = (part()?, part()?, part()?, part()?, part()?, part()?);
    if prefix != PREFIX || parts.next().is_some() {
        return None;
    }
    let password = passwords.0.get(&id.parse().ok()?)?;
    let (integrity_salt, signature) = rest;
    // Compares in constant time. Nothing is decrypted that was not sealed with this password: no padding can be tried out.
    let signature = BASE64URL.decode(signature).ok()?;
    hmac::verify(&integrity_key(password, integrity_salt), signed.as_bytes(), &signature).ok()?;
    if !expires_at.is_empty() && expires_at.parse::<i64>().ok()?.saturating_add(SKEW_MILLISECONDS) <= now.milliseconds() {
        return None;
    }
    let (iv, encrypted) = (BASE64URL.decode(iv).ok()?, BASE64URL.decode(encrypted).ok()?);
    String::from_utf8(decrypt(encrypted, &*key(password, salt), &iv).ok()?).ok()
}

fn encrypt(text: &str, key: &[u8], iv: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key)?)?;
    let mut bytes = text.as_bytes().to_vec();
    key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(FixedLength::try_from(iv)?))?;
    Ok(bytes)
}

fn decrypt(mut bytes: Vec<u8>, key: &[u8], iv: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key)?)?;
    let length = key.decrypt(&mut bytes, DecryptionContext::Iv128(FixedLength::try_from(iv)?))?.len();
    bytes.truncate(length);
    Ok(bytes)
}

/// Iron takes the salt as the text that it stands as.
fn key(password: &str, salt: &str) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, NonZeroU32::MIN, salt.as_bytes(), password.as_bytes(), &mut *key);
    key
}

fn integrity_key(password: &str, salt: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*key(password, salt))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The tokens in what an application seals: `{accessToken, refreshToken, …}`, as WorkOS's SDK has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTokens {
    pub access_token: String,
    pub refresh_token: String,
}

impl SessionTokens {
    /// Errors: `SealedSessionInvalid` for a text that is no such object.
    pub fn parse(text: &str) -> Result<Self> {
        let read = || {
            let document = document::parse(text.as_bytes())?;
            let mut members = Node::root(&document).members()?;
            let mut token = |name| members.required(name).and_then(|node| node.string().map(str::to_owned));
            Ok(Self { access_token: token("accessToken")?, refresh_token: token("refreshToken")? })
        };
        read().map_err(|error: Error| {
            let message = format!("a session has the members `accessToken` and `refreshToken`: {}", error.message);
            Error::new(ErrorCode::SealedSessionInvalid, message)
        })
    }
}
