//! Overrides.

use flagbearer::flag::{FlagKey, FlagValue};
use flagbearer::setting::Override;
use flagbearer::subject::{SubjectId, SubjectKind};
use serde_json::{Value, json};

use super::{Answer, Call, Control, effects};
use crate::error::{Error, Result};
use crate::store::{Level, StoredFlag, Write};

/// Whose override a call is about.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    User(&'a str),
    /// In the environment that the query names.
    Organization(&'a str),
}

impl<'a> Whose<'a> {
    fn level(self, call: &'a Call) -> Result<Level<'a>> {
        match self {
            Self::User(user) => {
                call.only(&[])?;
                SubjectId::parse(user)?;
                Ok(Level::User(user))
            }
            Self::Organization(organization) => {
                call.only(&["environment"])?;
                SubjectId::parse(organization)?;
                Ok(Level::Organization { organization, environment: call.required("environment")? })
            }
        }
    }
}

async fn may_override(write: &mut Write, call: &Call, level: Level<'_>) -> Result<()> {
    match level {
        Level::User(_) => call.may_change_shared(&write.environments().await?),
        Level::Organization { environment, .. } => call.may_change(&write.environment(environment).await?),
    }
}

impl Control {
    pub async fn put_override(&self, call: &Call, key: &str, whose: Whose<'_>) -> Result<Answer> {
        let level = whose.level(call)?;
        let mut write = self.open(call).await?;
        may_override(&mut write, call, level).await?;
        let stored = write.flag(key).await?;
        let kind = match level {
            Level::User(_) => SubjectKind::User,
            Level::Organization { .. } => SubjectKind::Organization,
        };
        let after = Override::parse(&call.body, &stored.flag, kind)?;
        let before = write.override_at(&stored.flag, level).await?;
        call.check_match(before.as_ref().map(|before| before.revision))?;
        let standing = before.as_ref().map(|before| &before.document);
        let outcome = effects::of_override(&mut write, &stored, level, standing, Some(&after)).await?;
        let written = write.put_override(&stored.flag, level, &after).await?;
        let revision = write.revision;
        let answer = Answer::done(written.answer()?).at(revision);
        self.conclude(write, call, outcome, answer).await
    }

    pub async fn delete_override(&self, call: &Call, key: &str, whose: Whose<'_>) -> Result<Answer> {
        let level = whose.level(call)?;
        let mut write = self.open(call).await?;
        may_override(&mut write, call, level).await?;
        let stored = write.flag(key).await?;
        let before = write.override_at(&stored.flag, level).await?.ok_or_else(|| {
            let detail = format!("`{key}` has no override for {} `{}` there", level.name(), level.subject());
            Error::new(crate::error::Kind::NotFound, "OVERRIDE_NOT_FOUND", detail)
        })?;
        call.check_match(before.revision)?;
        let outcome = effects::of_override(&mut write, &stored, level, Some(&before.document), None).await?;
        write.delete_override(&stored.flag, &before).await?;
        self.conclude(write, call, outcome, Answer::done(Value::Null)).await
    }

    pub async fn overrides(&self, call: &Call, key: &str) -> Result<Answer> {
        call.only(&["environment", "level", "cursor", "limit"])?;
        let (mut environment, mut level) = scope(call)?;
        // A bound key sees what holds in its environment: all users' overrides, and its own organizations'.
        if let (None, Some(bound)) = (environment, &call.actor.environment)
            && level != Some("user")
        {
            (environment, level) = (Some(bound.as_str()), Some("organization"));
        }
        let limit = call.limit()?;
        let mut after = call.cursor().splitn(3, '/');
        let after = [after.next(), after.next(), after.next()].map(Option::unwrap_or_default);
        let mut connection = self.store.read().await?;
        if let Some(environment) = environment {
            connection.environment(environment).await?;
        }
        let stored = connection.flag(key).await?;
        let found = connection.overrides_of(&stored.flag, environment, level, after.into(), limit).await?;
        let data = found.iter().map(|stored| stored.answer()).collect::<Result<Vec<_>>>()?;
        let next = found.last().filter(|_| data.len() as i64 >= limit);
        let next = next.map(|last| format!("{}/{}/{}", last.level, last.environment, last.subject));
        Ok(Answer::done(json!({ "data": data, "next_cursor": next })))
    }

    /// Removes a flag's overrides in one change, of one environment or level where said.
    pub async fn delete_overrides(&self, call: &Call, key: &str) -> Result<Answer> {
        call.only(&["environment", "level"])?;
        let (environment, level) = scope(call)?;
        let mut write = self.open(call).await?;
        match environment {
            Some(name) if level == Some("organization") => call.may_change(&write.environment(name).await?)?,
            _ => call.may_change_shared(&write.environments().await?)?,
        }
        let stored: StoredFlag = write.flag(key).await?;
        let outcome = effects::of_dropped(&mut write, &stored, environment, level).await?;
        let dropped = write.drop_overrides(&stored.flag, environment, level).await?;
        let answer = Answer::done(json!({ "removed": dropped.len() }));
        self.conclude(write, call, outcome, answer).await
    }
}

impl Control {
    /// The flags that an organization has an override of in an environment, with its value, in order of key.
    pub async fn organization_overrides(
        &self,
        call: &Call,
        organization: &str,
        environment: &str,
    ) -> Result<Vec<(FlagKey, FlagValue)>> {
        call.may_read(environment)?;
        SubjectId::parse(organization)?;
        let mut connection = self.store.read().await?;
        connection.environment(environment).await?;
        let found = connection.overrides_at(Level::Organization { organization, environment }).await?;
        Ok(found.into_iter().map(|(flag, stored)| (flag.flag.key, stored.document.value)).collect())
    }

    /// Removes all overrides of an organization in an environment, in one change.
    pub async fn delete_organization_overrides(&self, call: &Call, organization: &str, environment: &str) -> Result<Answer> {
        call.only(&[])?;
        SubjectId::parse(organization)?;
        let level = Level::Organization { organization, environment };
        let mut write = self.open(call).await?;
        may_override(&mut write, call, level).await?;
        let mut outcome = effects::Outcome::default();
        for (flag, before) in write.overrides_at(level).await? {
            outcome.merge(effects::of_override(&mut write, &flag, level, Some(&before.document), None).await?);
            write.delete_override(&flag.flag, &before).await?;
        }
        self.conclude(write, call, outcome, Answer::done(Value::Null)).await
    }
}

/// An environment has organizations' overrides alone: users' hold everywhere.
fn scope(call: &Call) -> Result<(Option<&str>, Option<&str>)> {
    let environment = call.parameter("environment");
    let level = match (call.parameter("level"), environment) {
        (Some("organization"), _) | (None, Some(_)) => Some("organization"),
        (Some("user"), None) => Some("user"),
        (None, None) => None,
        (Some("user"), Some(_)) => {
            let detail = "a user's override holds in every environment: leave `environment` out";
            return Err(Error::malformed("PARAMETER_INVALID", detail));
        }
        (Some(other), _) => {
            let detail = format!("`level` is `user` or `organization`, not `{other}`");
            return Err(Error::malformed("PARAMETER_INVALID", detail));
        }
    };
    if let Some(environment) = environment {
        call.may_read(environment)?;
    }
    Ok((environment, level))
}
