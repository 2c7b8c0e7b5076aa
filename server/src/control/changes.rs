//! The change log.

use flagbearer::difference::differences;
use flagbearer::document::Node;
use flagbearer::error::ErrorCode;
use serde_json::{Value, json};

use super::{Answer, Call, Control, Success};
use crate::error::{Error, Kind, Result};
use crate::store::{ChangeFilter, Connection, MAX_COMMENTS, to_value};

/// The longest comment, in bytes.
pub(super) const MAX_COMMENT: usize = 4096;

impl Control {
    /// Changes, the newest first. `flag` is a living flag's key, or the id of one that is gone.
    pub async fn changes(&self, call: &Call) -> Result<Answer> {
        call.only(&["flag", "environment", "organization", "user", "actor", "since", "until", "cursor", "limit"])?;
        let limit = call.limit()?;
        let mut connection = self.store.read().await?;
        let text = |name: &str| call.parameter(name).map(str::to_owned);
        let flag = match call.parameter("flag") {
            None => None,
            Some(key) => Some(match connection.find_flag(key).await? {
                Some(stored) => stored.flag.id.to_string(),
                None => key.to_owned(),
            }),
        };
        let environment = text("environment").or_else(|| call.actor.environment.clone());
        if let Some(environment) = &environment {
            call.may_read(environment)?;
        }
        let before = match call.cursor() {
            "" => None,
            cursor => {
                let refused = || Error::malformed("PARAMETER_INVALID", "`cursor` is what `next_cursor` said");
                Some(cursor.parse().map_err(|_| refused())?)
            }
        };
        let filter = ChangeFilter {
            flag,
            environment,
            organization: text("organization"),
            user: text("user"),
            actor: text("actor"),
            since: call.time("since")?,
            until: call.time("until")?,
            before,
        };
        let mut changes = connection.changes(&filter, limit).await?;
        changes.iter_mut().for_each(|change| restrict(call, change));
        Ok(Answer::page(changes, limit, |last| last["revision"].to_string()))
    }

    /// A change with what it changed place by place, what was said of it since, and what took it back.
    pub async fn change(&self, call: &Call, revision: &str) -> Result<Answer> {
        call.only(&[])?;
        let number = number(revision)?;
        let mut connection = self.store.read().await?;
        let mut change = visible(&mut connection, call, number).await?;
        for edit in change["edits"].as_array_mut().into_iter().flatten() {
            let side = |name: &str| Some(&edit[name]).filter(|document| !document.is_null());
            edit["differences"] = to_value(&differences(side("before"), side("after")))?;
        }
        change["reverted_by"] = json!(connection.reverted_by(number).await?);
        change["comments"] = json!(connection.comments(number).await?);
        Ok(Answer::done(change))
    }

    /// Says something of a change that was made. It changes nothing, and so takes no revision.
    pub async fn comment_on_change(&self, call: &Call, revision: &str) -> Result<Answer> {
        call.only(&[])?;
        call.no_change()?;
        call.may_comment()?;
        let number = number(revision)?;
        let mut members = Node::root(&call.body).members()?;
        let node = members.required("text")?;
        let text = node.text(MAX_COMMENT)?;
        if text.trim().is_empty() {
            return Err(node.error(ErrorCode::TextInvalid, "an empty comment says nothing").into());
        }
        members.finish()?;
        let mut connection = self.store.aside().await?;
        visible(&mut connection, call, number).await?;
        let now = self.store.now();
        let comment = connection.add_comment(number, &call.author(), &text, now).await?.ok_or_else(|| {
            let detail = format!("a change has at most {MAX_COMMENTS} comments");
            Error::new(Kind::Refused, ErrorCode::LimitExceeded.as_str(), detail)
        })?;
        let answer = Answer { success: Success::Created, body: comment, revision: None };
        self.settle(connection, call, answer).await
    }
}

/// The number of a change, as a path names it.
pub(super) fn number(revision: &str) -> Result<i64> {
    revision.parse().map_err(|_| Error::not_found("change", revision))
}

/// A change as the caller may see it. To a key that is bound to an environment, others' changes are not there.
pub(super) async fn visible(connection: &mut Connection, call: &Call, number: i64) -> Result<Value> {
    let mut change = connection.change(number).await?;
    if let Some(bound) = &call.actor.environment
        && !change["environments"].as_array().is_some_and(|names| names.iter().any(|name| name == bound.as_str()))
    {
        return Err(Error::not_found("change", &number.to_string()));
    }
    restrict(call, &mut change);
    Ok(change)
}

/// Leaves out of a change what is other environments' alone, where the key is bound to one.
fn restrict(call: &Call, change: &mut Value) {
    let Some(bound) = &call.actor.environment else { return };
    if let Some(edits) = change["edits"].as_array_mut() {
        edits.retain(|edit| edit["environment"].is_null() || edit["environment"] == bound.as_str());
    }
    if let Some(environments) = change["environments"].as_array_mut() {
        environments.retain(|name| name == bound.as_str());
    }
}
