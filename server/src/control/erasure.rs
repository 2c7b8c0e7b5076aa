//! Erasing a user for good, and what is told of the user's past after that: nothing.

use flagbearer::segment::Segment;
use flagbearer::setting::Setting;
use flagbearer::subject::{SubjectId, SubjectKind};
use serde_json::json;

use super::effects::{self, Outcome};
use super::{Answer, Call, Control};
use crate::error::{Error, Kind, Result};
use crate::store::{Connection, Write, forget_user, to_value};

impl Control {
    /// Deletes a user, where there is one, and erases whatever is known of the id: from lists of settings and segments, from
    /// the log, from sessions and recorded tokens.
    pub(super) async fn erase_user(&self, call: &Call, id: &str) -> Result<Answer> {
        SubjectId::parse(id)?;
        let mut write = self.open(call).await?;
        let user = write.find_user(id).await?;
        call.check_match(user.as_ref().map(|user| user.revision))?;
        let mut outcome = match &user {
            Some(user) => self.remove_user(&mut write, user).await?,
            None => {
                // Overrides may be of users whom the directory does not know.
                let lost = effects::of_lost_overrides(&mut write, SubjectKind::User, id).await?;
                write.drop_overrides_of_subject("user", id).await?;
                lost
            }
        };
        let listed = unlist(&mut write, id, &mut outcome).await?;
        let (edits, sessions) = write.erase_user(id, &self.key.erasure_tag(id)).await?;
        if user.is_none() && !listed && edits + sessions == 0 {
            return Err(Error::not_found("user", id));
        }
        self.conclude(write, call, outcome, Answer::done(json!({ "erased_edits": edits }))).await
    }

    /// Refuses to tell what a user was served at a revision that is not after the user's erasure.
    pub(super) async fn check_not_erased(
        &self,
        connection: &mut Connection,
        user: Option<&str>,
        revision: i64,
    ) -> Result<()> {
        let Some(user) = user else { return Ok(()) };
        match connection.erased_at(&self.key.erasure_tag(user)).await? {
            Some(erased_at) if revision < erased_at => {
                let detail =
                    format!("the user `{user}` was erased by change {erased_at}; nothing is left of what was before it");
                Err(Error::new(Kind::Gone, "ERASED", detail))
            }
            _ => Ok(()),
        }
    }
}

/// Takes a user out of every list that there is now. Answers whether any had it.
async fn unlist(write: &mut Write, id: &str, outcome: &mut Outcome) -> Result<bool> {
    let mut listed = false;
    for (key, environment) in write.settings_naming(id).await? {
        let stored = write.flag(&key).await?;
        let before = write.setting(&stored, &environment).await?.setting;
        let mut document = to_value(&before)?;
        if !forget_user(&mut document, id) {
            continue;
        }
        listed = true;
        let after = Setting::parse(&document, &stored.flag).map_err(Error::internal)?;
        let segments = write.all_segments().await?;
        outcome.merge(effects::of_setting(write, &stored, &environment, &before, &after, &segments).await?);
        write.put_setting(&stored.flag, &environment, &before, &after).await?;
    }
    for before in write.all_segments().await? {
        let mut document = to_value(&before)?;
        if !forget_user(&mut document, id) {
            continue;
        }
        listed = true;
        let after = Segment::parse(&document).map_err(Error::internal)?;
        outcome.merge(effects::of_segment(write, after.key.as_str(), Some(&after)).await?);
        write.put_segment(Some(&before), &after).await?;
    }
    Ok(listed)
}
