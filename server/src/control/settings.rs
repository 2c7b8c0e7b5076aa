//! Settings: what one environment holds for one flag, and the short form None / Some / All.

use flagbearer::difference::differences;
use flagbearer::document::Node;
use flagbearer::error::Error as CoreError;
use flagbearer::error::ErrorCode;
use flagbearer::flag::{FlagKey, FlagValue};
use flagbearer::setting::{Setting, Targeting};
use flagbearer::subject::{SubjectId, SubjectKind};
use serde_json::{Value, json};

use super::{Answer, Call, Control, effects};
use crate::error::{Error, Kind, Result};
use crate::store::{Edit, Entity, Environment, StoredFlag, StoredSetting, Write, to_value};

/// What kind of change to a setting it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Edit,
    /// Off at once, for tokens that are out already too.
    Kill,
}

impl Manner {
    fn allowed(self, call: &Call, environment: &Environment) -> Result<()> {
        match self {
            Self::Edit => call.may_change(environment),
            Self::Kill => call.may_kill(environment),
        }
    }
}

fn answer(stored: &StoredFlag, setting: &StoredSetting) -> Result<Value> {
    let mut document = to_value(&setting.setting)?;
    document["flag"] = stored.flag.key.as_str().into();
    document["type"] = to_value(&stored.flag.flag_type)?;
    document["killed"] = setting.killed.into();
    document["revision"] = setting.revision.into();
    Ok(document)
}

impl Control {
    pub async fn setting(&self, call: &Call, key: &str, environment: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_read(environment)?;
        let mut connection = self.store.read().await?;
        connection.environment(environment).await?;
        let stored = connection.flag(key).await?;
        let setting = connection.setting(&stored, environment).await?;
        Ok(Answer::done(answer(&stored, &setting)?).at(setting.revision))
    }

    /// Every flag's setting in an environment.
    pub async fn settings(&self, call: &Call, environment: &str) -> Result<Answer> {
        call.only(&["cursor", "limit"])?;
        call.may_read(environment)?;
        let limit = call.limit()?;
        let mut connection = self.store.read().await?;
        connection.environment(environment).await?;
        let settings = connection.settings(environment, call.cursor(), limit).await?;
        let data = settings.iter().map(|(flag, setting)| answer(flag, setting)).collect::<Result<Vec<_>>>()?;
        Ok(Answer::page(data, limit, |last| last["flag"].as_str().unwrap_or_default().to_owned()))
    }

    pub async fn put_setting(&self, call: &Call, key: &str, environment: &str) -> Result<Answer> {
        self.change_setting(call, key, environment, |stored, _| Ok(Setting::parse(&call.body, &stored.flag)?)).await
    }

    /// Switches a flag on or off; what it serves while on stays as it is.
    pub async fn enable_flag(&self, call: &Call, key: &str, environment: &str, enabled: bool) -> Result<Answer> {
        call.no_body()?;
        self.change_setting(call, key, environment, |_, before| Ok(Setting { enabled, ..before.clone() })).await
    }

    /// Switches a flag off, and has its off value held against every token that is out already.
    pub async fn kill_flag(&self, call: &Call, key: &str, environment: &str) -> Result<Answer> {
        call.no_body()?;
        self.write_setting(call, key, environment, Manner::Kill, |stored, before| match stored.archived_at {
            None => Ok(Setting { enabled: false, ..before.setting.clone() }),
            Some(_) => {
                Err(Error::conflict("FLAG_ARCHIVED", format!("`{key}` is archived: no token carries it; restore it first")))
            }
        })
        .await
    }

    /// Switches a killed flag on again; older tokens are believed again.
    pub async fn revive_flag(&self, call: &Call, key: &str, environment: &str) -> Result<Answer> {
        self.write_setting(call, key, environment, Manner::Edit, |_, before| match before.killed {
            true => Ok(Setting { enabled: true, ..before.setting.clone() }),
            false => {
                let detail = format!("`{key}` is not killed in the environment `{environment}`");
                Err(Error::new(Kind::NotFound, "KILL_NOT_FOUND", detail))
            }
        })
        .await
    }

    /// Makes None / Some / All the one rule.
    pub async fn put_targeting(&self, call: &Call, key: &str, environment: &str) -> Result<Answer> {
        self.change_setting(call, key, environment, |stored, before| {
            let targeting = Targeting::parse(&call.body, &stored.flag)?;
            targeting.apply(before, call.confirmed("replace-rules")).map_err(has_rules("replace-rules"))
        })
        .await
        .map_err(said_of_targeting)
    }

    /// Sets the environment's own value (the body's `value`) and leaves everything else of the setting as it is.
    pub async fn put_value(&self, call: &Call, key: &str, environment: &str) -> Result<Answer> {
        self.change_setting(call, key, environment, |stored, before| {
            let mut members = Node::root(&call.body).members()?;
            let value = members.required("value")?;
            members.finish()?;
            Ok(before.with_value(&stored.flag, Some(FlagValue::parse(&value, stored.flag.flag_type)?))?)
        })
        .await
    }

    /// Takes the environment's own value away.
    pub async fn delete_value(&self, call: &Call, key: &str, environment: &str) -> Result<Answer> {
        self.change_setting(call, key, environment, |stored, before| match before.value {
            Some(_) => Ok(before.with_value(&stored.flag, None)?),
            None => Err(no_value(key, environment)),
        })
        .await
    }

    /// Takes every flag's own value in an environment away, in one change.
    pub async fn delete_values(&self, call: &Call, environment: &str) -> Result<Answer> {
        call.only(&[])?;
        let mut write = self.open(call).await?;
        call.may_change(&write.environment(environment).await?)?;
        let segments = write.all_segments().await?;
        let mut outcome = effects::Outcome::default();
        for (stored, found) in write.settings(environment, "", i64::MAX).await? {
            if found.setting.value.is_none() {
                continue;
            }
            let after = found.setting.with_value(&stored.flag, None)?;
            outcome.merge(effects::of_setting(&mut write, &stored, environment, &found.setting, &after, &segments).await?);
            write.put_setting(&stored.flag, environment, &found.setting, &after).await?;
        }
        self.conclude(write, call, outcome, Answer::done(Value::Null)).await
    }

    /// The flags that have a value of their own in an environment, with it, in order of key.
    pub async fn values(&self, call: &Call, environment: &str) -> Result<Vec<(FlagKey, FlagValue)>> {
        call.may_read(environment)?;
        let mut connection = self.store.read().await?;
        connection.environment(environment).await?;
        let settings = connection.settings(environment, "", i64::MAX).await?;
        let valued = |(stored, found): (StoredFlag, StoredSetting)| Some((stored.flag.key, found.setting.value?));
        Ok(settings.into_iter().filter_map(valued).collect())
    }

    /// Adds one user or organization to the one rule.
    pub async fn add_target(
        &self,
        call: &Call,
        key: &str,
        environment: &str,
        kind: SubjectKind,
        id: &str,
    ) -> Result<Answer> {
        call.no_body()?;
        let id = SubjectId::parse(id)?;
        self.change_setting(call, key, environment, |stored, before| {
            before.with_target(&stored.flag, kind, id).map_err(has_rules(""))
        })
        .await
    }

    /// Takes one user or organization out of the one rule.
    pub async fn remove_target(
        &self,
        call: &Call,
        key: &str,
        environment: &str,
        kind: SubjectKind,
        id: &str,
    ) -> Result<Answer> {
        let id = SubjectId::parse(id)?;
        self.change_setting(call, key, environment, |_, before| before.without_target(kind, &id).map_err(has_rules("")))
            .await
    }

    /// Copies the setting of one environment to another, and answers what that changes there.
    pub async fn promote_setting(&self, call: &Call, key: &str, environment: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_read(environment)?;
        let mut members = Node::root(&call.body).members()?;
        let to = members.required("to")?;
        let target = to.string()?;
        members.finish()?;
        if target == environment {
            let detail = format!("a setting is promoted to another environment than `{environment}`");
            return Err(to.error(ErrorCode::ValueInvalid, detail).into());
        }
        let mut write = self.open(call).await?;
        let (stored, before) = standing(&mut write, call, key, target, Manner::Edit).await?;
        write.environment(environment).await?;
        let after = write.setting(&stored, environment).await?.setting;
        write.copied_from(Edit::new(Entity::Setting, &*stored.flag.id, None, None).environment(environment));
        let outcome = replace(&mut write, &stored, target, &before, &after, Manner::Edit).await?;
        let (former, latter) = (to_value(&before.setting)?, to_value(&after)?);
        let differences = to_value(&differences(Some(&former), Some(&latter)))?;
        let answer = Answer::done(json!({ "setting": latter, "differences": differences.clone() })).at(write.revision);
        let mut answer = self.conclude(write, call, outcome, answer).await?;
        // A preview tells of people; of a promotion one wants to see the two settings, too.
        if call.preview {
            answer.body["differences"] = differences;
        }
        Ok(answer)
    }

    async fn change_setting(
        &self,
        call: &Call,
        key: &str,
        environment: &str,
        change: impl FnOnce(&StoredFlag, &Setting) -> Result<Setting>,
    ) -> Result<Answer> {
        let change = |stored: &StoredFlag, before: &StoredSetting| change(stored, &before.setting);
        self.write_setting(call, key, environment, Manner::Edit, change).await
    }

    async fn write_setting(
        &self,
        call: &Call,
        key: &str,
        environment: &str,
        manner: Manner,
        change: impl FnOnce(&StoredFlag, &StoredSetting) -> Result<Setting>,
    ) -> Result<Answer> {
        call.only(&[])?;
        let mut write = self.open(call).await?;
        let (stored, before) = standing(&mut write, call, key, environment, manner).await?;
        let after = change(&stored, &before)?;
        let outcome = replace(&mut write, &stored, environment, &before, &after, manner).await?;
        let answer = Answer::done(json!({ "setting": to_value(&after)? })).at(write.revision);
        self.conclude(write, call, outcome, answer).await
    }
}

/// The flag, and its setting where it is to change.
async fn standing(
    write: &mut Write,
    call: &Call,
    key: &str,
    environment: &str,
    manner: Manner,
) -> Result<(StoredFlag, StoredSetting)> {
    manner.allowed(call, &write.environment(environment).await?)?;
    let stored = write.flag(key).await?;
    let before = write.setting(&stored, environment).await?;
    call.check_match(before.revision)?;
    Ok((stored, before))
}

async fn replace(
    write: &mut Write,
    stored: &StoredFlag,
    environment: &str,
    before: &StoredSetting,
    after: &Setting,
    manner: Manner,
) -> Result<effects::Outcome> {
    let segments = write.all_segments().await?;
    after.check_segments(|key| segments.iter().any(|segment| segment.key == *key))?;
    let outcome = effects::of_setting(write, stored, environment, &before.setting, after, &segments).await?;
    write.put_setting(&stored.flag, environment, &before.setting, after).await?;
    if manner == Manner::Edit {
        return Ok(outcome);
    }
    write.kill(&stored.flag, environment).await?;
    Ok(outcome.of_kill())
}

fn no_value(key: &str, environment: &str) -> Error {
    let detail = format!("`{key}` has no value of its own in the environment `{environment}`");
    Error::new(Kind::NotFound, "OVERRIDE_NOT_FOUND", detail)
}

/// More rules than the short form can say are a conflict with what is there, not a mistake in what was sent.
fn has_rules(confirmation: &'static str) -> impl Fn(CoreError) -> Error {
    move |error| {
        if error.code != ErrorCode::SettingHasRules {
            return error.into();
        }
        let mut detail = error.message;
        if !confirmation.is_empty() {
            detail.push_str(&format!(", or send it again with `?confirm={confirmation}` to replace them"));
        }
        Error::conflict(error.code.as_str(), detail)
    }
}

/// What is wrong with the one rule is wrong with the short form that was sent.
fn said_of_targeting(mut error: Error) -> Error {
    for place in &mut error.errors {
        if let Some(pointer) = place.pointer.strip_prefix("/rules/0/audience") {
            place.pointer = pointer.to_owned();
        }
    }
    error
}
