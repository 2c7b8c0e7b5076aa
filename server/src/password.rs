//! Passwords: which are accepted, and how they are kept. Argon2id with the parameters that OWASP advises (19 MiB, two
//! passes, one lane), each with a salt of its own.

use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Argon2, RECOMMENDED_SALT_LEN};
use aws_lc_rs::rand;

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::turns::Turns;

/// The fewest characters of a password (NIST SP 800-63B).
const MIN_CHARACTERS: usize = 8;

/// Far above what anybody types: it only bounds the work.
const MAX_BYTES: usize = 1024;

/// The most that are hashed at once: each takes 19 MiB and a core.
const MAX_TURNS: usize = 8;

/// A password that may be set. What it is made of is nobody's business: rules of composition make passwords worse.
#[derive(Debug, Clone)]
pub struct Password(Secret);

/// Why a password cannot be set, in words for whoever chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("a password has at least {MIN_CHARACTERS} characters; choose a longer one")]
    TooShort,
    #[error("a password has at most {MAX_BYTES} bytes; choose a shorter one")]
    TooLong,
    #[error("a password cannot hold the character NUL (U+0000)")]
    HoldsNul,
}

impl Unfit {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort => "PASSWORD_TOO_SHORT",
            Self::TooLong => "PASSWORD_TOO_LONG",
            Self::HoldsNul => "PASSWORD_INVALID",
        }
    }
}

impl Password {
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        if text.len() > MAX_BYTES {
            return Err(Unfit::TooLong);
        }
        if text.chars().count() < MIN_CHARACTERS {
            return Err(Unfit::TooShort);
        }
        if text.contains('\0') {
            return Err(Unfit::HoldsNul);
        }
        Ok(Self(Secret::new(text)))
    }
}

/// Hashes passwords, a few at a time and away from the threads that answer: many guesses at once wait for each other, and
/// take neither all memory nor all cores from the rest.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Turns,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Turns::new(MAX_TURNS, "too many passwords are being checked at once") }
    }
}

impl Passwords {
    /// The hash of a new password, as PHC text.
    pub async fn hash(&self, password: &Password) -> Result<String> {
        let password = password.0.clone();
        let mut salt = [0; RECOMMENDED_SALT_LEN];
        rand::fill(&mut salt).map_err(|_| Error::internal("the system gave no random numbers"))?;
        self.work(move |argon2| {
            let hash = argon2.hash_password_with_salt(password.expose().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(Error::internal)
        })
        .await
    }

    /// Whether a guess is the password of this hash. Where there is none it never is, at the same cost: how long it took
    /// does not tell whether there is such an account.
    pub async fn matches(&self, guess: &Secret, hash: Option<String>) -> Result<bool> {
        let guess = guess.clone();
        self.work(move |argon2| {
            let guess = guess.expose().as_bytes();
            let Some(hash) = hash else {
                argon2.hash_password_with_salt(guess, &[0; RECOMMENDED_SALT_LEN]).map_err(Error::internal)?;
                return Ok(false);
            };
            match argon2.verify_password(guess, hash.as_str()) {
                Ok(()) => Ok(true),
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(Error::internal(error)),
            }
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce(Argon2<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let turn = self.turns.take().await?;
        let worked = tokio::task::spawn_blocking(move || {
            let worked = work(Argon2::default());
            // Held here, not by the caller: who hangs up does not make room for one more.
            drop(turn);
            worked
        });
        worked.await.map_err(Error::internal)?
    }
}
