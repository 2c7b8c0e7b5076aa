//! Links by which users set a new password. There is no mail: an administrator hands them over.

use flagbearer::document::Node;
use serde_json::json;

use super::{Answer, Call, Control};
use crate::error::{Error, Kind, Result};
use crate::secret::{Secret, random_alphanumeric};

/// How long a link is good, in seconds.
const LIFETIME: i64 = 3600;

impl Control {
    /// Makes a link by which a user sets a new password, once. The log says that it was made, and not what it holds.
    pub async fn create_password_reset(&self, call: &Call, user: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut environment = self.issuer.places.standard().to_owned();
        if !call.body.is_null() {
            let mut members = Node::root(&call.body).members()?;
            if let Some(node) = members.optional("environment") {
                environment = node.string()?.to_owned();
            }
            members.finish()?;
        }
        let token = Secret::new(random_alphanumeric(43)?);
        let mut write = self.open(call).await?;
        let place = write.environment(&environment).await?;
        let user = write.user(user).await?;
        call.check_match(user.revision)?;
        if user.email.is_none() {
            let detail = format!("user `{}` has no e-mail address to sign in by; set `email` first", user.id);
            return Err(Error::new(Kind::Refused, "EMAIL_REQUIRED", detail));
        }
        let expires_at = write.now.plus_seconds(LIFETIME);
        write.insert_password_reset(&token.hash(), &user.id, &environment, expires_at).await?;
        write.note_user(&user)?;
        write.remark("a link to set a password was made");
        let issuer = self.issuer.places.url_of(&environment, place.host.as_deref());
        let url = format!("{issuer}/reset-password?token={}", token.expose());
        let revision = write.revision;
        let body = json!({ "url": url, "expires_at": expires_at, "revision": revision });
        self.finish(write, call, Answer::created(body, revision)).await
    }
}
