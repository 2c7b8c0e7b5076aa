//! People with an account here: signing in by password, making an account, setting a new password by a link. How often
//! any of it may be tried is decided here, too.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Issuer;
use crate::email;
use crate::error::Error;
use crate::password::{Password, Unfit};
use crate::secret::{Secret, random_alphanumeric};
use crate::store::{Author, Limit, PasswordMark, StoredPassword, User};

/// How many attempts at one account, known or not, are let through in a quarter of an hour.
const ATTEMPTS_PER_ACCOUNT: i64 = 10;

/// How many attempts of one kind from one address.
const ATTEMPTS_PER_ADDRESS: i64 = 100;

/// The longest name of a user, in bytes.
const MAX_NAME: usize = 256;

/// Somebody who has just shown a password, or set one. What is begun with it, is begun only while that one is the user's.
#[derive(Debug, Clone)]
pub struct ByPassword {
    pub user: User,
    pub password: PasswordMark,
}

/// Why nobody was signed in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignInRefused {
    /// Which of the two is not told.
    #[error("the e-mail address or the password is wrong")]
    Wrong,
    /// Too many attempts, too: whether the password would have been right is not told.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Why no account was made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignUpRefused {
    #[error("accounts are made by an administrator here; ask for one")]
    Closed,
    #[error("{}", email::RULE)]
    EmailInvalid,
    #[error("a name is one line of at most {MAX_NAME} bytes")]
    NameInvalid,
    #[error(transparent)]
    Password(#[from] Unfit),
    /// Without sending mail there is no honest answer that does not tell it.
    #[error("this e-mail address cannot be used; sign in with it, or ask an administrator for a link to set its password")]
    EmailTaken,
    #[error(transparent)]
    Failed(Error),
}

/// Why no new password was set.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResetRefused {
    #[error("this link was used, has expired, or is not complete; ask for a new one")]
    Link,
    #[error(transparent)]
    Password(#[from] Unfit),
    #[error("another account signs in by this e-mail address; ask an administrator")]
    EmailTaken,
    #[error(transparent)]
    Failed(Error),
}

impl From<Error> for SignUpRefused {
    fn from(error: Error) -> Self {
        if error.code == Error::EMAIL_IN_USE { Self::EmailTaken } else { Self::Failed(error) }
    }
}

impl From<Error> for ResetRefused {
    fn from(error: Error) -> Self {
        if error.code == Error::EMAIL_IN_USE { Self::EmailTaken } else { Self::Failed(error) }
    }
}

/// Attempts of one kind from one place. Whoever has one IPv6 address has all of its network's (RFC 4291 §2.5.4): those
/// count as one.
fn from_address(kind: &str, address: IpAddr) -> Limit {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { 32 } else { 64 };
    let network = IpNet::new(address, length).map_or(address, |range| range.network());
    Limit::new(&format!("{kind} from {network}"), ATTEMPTS_PER_ADDRESS)
}

/// Attempts at the account that this address belongs to, or would.
fn at_account(email: &str) -> Limit {
    Limit::new(&format!("account {}", email::key(email)), ATTEMPTS_PER_ACCOUNT)
}

impl Issuer {
    /// Who signs in by this address and password, whichever environment it is for. Each attempt is counted, by account and
    /// by where it comes from, before it is judged; a good one clears the account's count.
    pub async fn sign_in_by_password(
        &self,
        email: &str,
        password: &Secret,
        address: IpAddr,
    ) -> Result<ByPassword, SignInRefused> {
        let email = email.trim();
        let from = from_address("password", address);
        let account = at_account(email);
        let began = self.store.begin_sign_in(&from, &account).await?;
        // No database keeps NUL: there is no such account.
        let stored = if email.contains('\0') { None } else { self.store.read().await?.password(email).await? };
        let right = self.passwords.matches(password, stored.as_ref().map(|stored| stored.hash.clone())).await?;
        let Some(stored) = stored.filter(|_| right) else { return Err(SignInRefused::Wrong) };
        let user = self.store.finish_sign_in(&stored, &from, began, &account).await?;
        Ok(ByPassword { user: user.ok_or(SignInRefused::Wrong)?, password: stored.mark() })
    }

    /// Makes an account, where the environment lets strangers do so. Its address is nobody's word but theirs: it is not
    /// verified.
    pub async fn sign_up(
        &self,
        environment: &str,
        email: &str,
        name: Option<&str>,
        password: &Secret,
        address: IpAddr,
        request_id: &str,
    ) -> Result<ByPassword, SignUpRefused> {
        if !self.store.read().await?.environment(environment).await?.sign_up {
            return Err(SignUpRefused::Closed);
        }
        let email = email.trim();
        if !email::is_acceptable(email) {
            return Err(SignUpRefused::EmailInvalid);
        }
        let name = name.map(str::trim).filter(|name| !name.is_empty());
        if name.is_some_and(|name| name.len() > MAX_NAME || name.contains(char::is_control)) {
            return Err(SignUpRefused::NameInvalid);
        }
        let password = Password::parse(password.expose())?;
        // Each one counts: an account that was made cost as much as one that was not.
        self.store.count_attempt(&from_address("sign-up", address)).await?;
        // Before the address is looked for: how long it took does not tell whether it was there.
        let hash = self.passwords.hash(&password).await?;
        let mut write = self.store.write().await?;
        if !write.environment(environment).await?.sign_up {
            return Err(SignUpRefused::Closed);
        }
        // Also where nobody signs in by it: who comes first must not become, to everybody who reads addresses, somebody else.
        if write.is_address_of_a_user(email).await? {
            return Err(SignUpRefused::EmailTaken);
        }
        let mut user = User::new(format!("usr_{}", random_alphanumeric(22)?), write.now);
        user.email = Some(email.to_owned());
        user.name = name.map(str::to_owned);
        user.last_sign_in_at = Some(write.now);
        write.put_user(None, &mut user).await?;
        write.put_password(&user, &hash).await?;
        let stored = StoredPassword { user: user.id.clone(), hash };
        let now = write.now;
        write.note_password_sign_in(&stored, now).await?;
        let comment = format!("an account was made at the sign-up page of `{environment}`");
        write.commit(&Author::system("sign-up page", comment).on_request(request_id)).await?;
        Ok(ByPassword { user, password: stored.mark() })
    }

    /// Sets a password by a link that an administrator made. What a former password began ends, and every link of the user
    /// is void. It shows who has the link, not whose the address is: whether that is verified stays as it was.
    pub async fn reset_password(
        &self,
        environment: &str,
        token: &Secret,
        password: &Secret,
        address: IpAddr,
        request_id: &str,
    ) -> Result<User, ResetRefused> {
        let hash = token.hash();
        let now = self.store.now();
        if self.store.read().await?.password_reset(&hash, environment, now).await?.is_none() {
            self.count_wrong_secret(address).await?;
            return Err(ResetRefused::Link);
        }
        let password = Password::parse(password.expose())?;
        let password_hash = self.passwords.hash(&password).await?;
        let mut write = self.store.write().await?;
        let now = write.now;
        // Again, as writes are one after the other: somebody may just have used it.
        let user = write.password_reset(&hash, environment, now).await?.ok_or(ResetRefused::Link)?;
        let user = write.user(&user).await?;
        write.put_password(&user, &password_hash).await?;
        write.note_user(&user)?;
        write.commit(&Author::system("reset page", "a password was set by a link").on_request(request_id)).await?;
        self.unlock(&user).await;
        Ok(user)
    }

    /// Lets a user in whose password has just been set, and who may have been locked out for guessing at the former one. Aside
    /// from the write that set it, whose rows a sign-in takes in another order; where it fails, the lock ends by itself.
    pub async fn unlock(&self, user: &User) {
        let Some(email) = &user.email else { return };
        if let Err(error) = self.store.forget_attempts(&at_account(email)).await {
            tracing::warn!(%error, "an account could not be unlocked");
        }
    }

    /// Counts a wrong secret (an API key, a client's secret, a link) by where it came from. Refused where there were too
    /// many; whoever has a right one is not asked, and pays nothing.
    pub async fn count_wrong_secret(&self, address: IpAddr) -> Result<(), Error> {
        self.store.count_attempt(&from_address("secret", address)).await
    }
}
