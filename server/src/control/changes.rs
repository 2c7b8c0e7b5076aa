//! The change log.

use serde_json::Value;

use super::{Answer, Call, Control};
use crate::error::{Error, Result};
use crate::store::ChangeFilter;

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

    pub async fn change(&self, call: &Call, revision: &str) -> Result<Answer> {
        call.only(&[])?;
        let number = revision.parse().map_err(|_| Error::not_found("change", revision))?;
        let mut change = self.store.read().await?.change(number).await?;
        if let Some(bound) = &call.actor.environment
            && !change["environments"].as_array().is_some_and(|names| names.iter().any(|name| name == bound.as_str()))
        {
            return Err(Error::not_found("change", revision));
        }
        restrict(call, &mut change);
        Ok(Answer::done(change))
    }
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
