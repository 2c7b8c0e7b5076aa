//! Flags.

use flagbearer::flag::{Flag, FlagKey, FlagType};
use flagbearer::naming;
use flagbearer::setting::Setting;
use serde_json::{Value, json};

use super::effects;
use super::lifecycle::Wanted;
use super::{Answer, Call, Control};
use crate::error::{Error, Result};
use crate::secret::random_alphanumeric;
use crate::store::{Connection, FlagFilter, StoredFlag, Write, to_value};

fn answer(stored: &StoredFlag) -> Result<Value> {
    let mut document = to_value(&stored.flag)?;
    document["revision"] = stored.revision.into();
    document["created_at"] = to_value(&stored.created_at)?;
    document["updated_at"] = to_value(&stored.updated_at)?;
    document["archived_at"] = to_value(&stored.archived_at)?;
    Ok(document)
}

/// The same with `advice` on how the flag is named. Advice is not part of the flag: it is answered, never taken, changes
/// as other flags come and go, and refuses nothing.
async fn advised(connection: &mut Connection, stored: &StoredFlag) -> Result<Value> {
    let shared = match naming::prefix(&stored.flag) {
        Some(prefix) => connection.is_prefix_shared(&stored.flag, prefix).await?,
        None => false,
    };
    let mut document = answer(stored)?;
    document["advice"] = to_value(&naming::advice(&stored.flag, shared))?;
    Ok(document)
}

impl Control {
    /// Creates a flag; the answer carries advice on its name.
    pub async fn create_flag(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        let flag = Flag::create(&call.body, &format!("flag_{}", random_alphanumeric(22)?), &random_alphanumeric(16)?)?;
        let mut write = self.open(call).await?;
        call.may_change_shared(&write.environments().await?)?;
        if write.find_flag(flag.key.as_str()).await?.is_some() {
            let detail = format!("there is a flag `{}` already; its key is free again once it is deleted", flag.key);
            return Err(Error::conflict("FLAG_EXISTS", detail));
        }
        let stored = write.insert_flag(flag, None).await?;
        let outcome = effects::of_flag(&mut write, None, Some(&stored)).await?;
        let revision = write.revision;
        let document = advised(&mut write, &stored).await?;
        self.conclude(write, call, outcome, Answer::created(document, revision)).await
    }

    /// Lists flags. With `stale` each says under `stale` why it has outlived its use.
    pub async fn flags(&self, call: &Call) -> Result<Answer> {
        call.only(&["query", "tag", "kind", "stale", "stale_after", "archived", "cursor", "limit"])?;
        let filter = FlagFilter {
            query: call.parameter("query").map(str::to_owned),
            tag: call.parameter("tag").map(str::to_owned),
            kind: call.parameter("kind").map(str::to_owned),
            archived: call.choice("archived")?.unwrap_or_default(),
        };
        let wanted = Wanted::read(call)?;
        let (cursor, limit) = (call.cursor(), call.limit()?);
        let mut connection = self.store.read().await?;
        let mut data = Vec::new();
        match wanted {
            None => {
                for stored in connection.flags(&filter, cursor, limit).await? {
                    data.push(answer(&stored)?);
                }
            }
            Some(wanted) => {
                for (stored, findings) in wanted.flags(&mut connection, &filter, cursor, limit, self.store.now()).await? {
                    let mut document = answer(&stored)?;
                    document["stale"] = to_value(&findings)?;
                    data.push(document);
                }
            }
        }
        Ok(Answer::page(data, limit, |last| last["key"].as_str().unwrap_or_default().to_owned()))
    }

    /// A flag, with advice on its name.
    pub async fn flag(&self, call: &Call, key: &str) -> Result<Answer> {
        call.only(&[])?;
        let mut connection = self.store.read().await?;
        let stored = connection.flag(key).await?;
        Ok(Answer::done(advised(&mut connection, &stored).await?).at(stored.revision))
    }

    /// The type that the values of a flag have.
    pub async fn flag_type(&self, key: &str) -> Result<FlagType> {
        Ok(self.store.read().await?.flag(key).await?.flag.flag_type)
    }

    pub async fn patch_flag(&self, call: &Call, key: &str) -> Result<Answer> {
        call.only(&[])?;
        let mut write = self.open(call).await?;
        call.may_change_shared(&write.environments().await?)?;
        let before = write.flag(key).await?;
        call.check_match(before.revision)?;
        let mut after = StoredFlag { flag: before.flag.patched(&call.body)?, ..before.clone() };
        let outcome = effects::of_flag(&mut write, Some(&before), Some(&after)).await?;
        drop_levels(&mut write, call, &before, &after.flag).await?;
        write.update_flag(&before, &mut after).await?;
        let revision = write.revision;
        let answer = Answer::done(answer(&after)?).at(revision);
        self.conclude(write, call, outcome, answer).await
    }

    /// Archives a flag, which takes it out of tokens and keeps everything it has, or restores it.
    pub async fn archive_flag(&self, call: &Call, key: &str, archive: bool) -> Result<Answer> {
        call.only(&[])?;
        call.no_body()?;
        let mut write = self.open(call).await?;
        call.may_change_shared(&write.environments().await?)?;
        let before = write.flag(key).await?;
        call.check_match(before.revision)?;
        let archived_at = if archive { before.archived_at.or(Some(write.now)) } else { None };
        let mut after = StoredFlag { archived_at, ..before.clone() };
        let outcome = effects::of_flag(&mut write, Some(&before), Some(&after)).await?;
        write.update_flag(&before, &mut after).await?;
        let revision = write.revision;
        let answer = Answer::done(answer(&after)?).at(revision);
        self.conclude(write, call, outcome, answer).await
    }

    /// Deletes a flag. The caller says its key again, and is told before what goes with it; history remains, under the
    /// flag's id.
    pub async fn delete_flag(&self, call: &Call, key: &str) -> Result<Answer> {
        call.only(&[])?;
        FlagKey::parse(key).map_err(|_| Error::not_found("flag", key))?;
        let mut write = self.open(call).await?;
        call.may_change_shared(&write.environments().await?)?;
        let stored = write.flag(key).await?;
        call.check_match(stored.revision)?;
        if !call.confirmed(key) {
            let detail = format!("deleting `{key}` removes it with its settings and overrides in every environment");
            return Err(Error::unconfirmed(key, detail).listing(held(&mut write, &stored).await?));
        }
        let outcome = effects::of_flag(&mut write, Some(&stored), None).await?;
        write.delete_flag(&stored).await?;
        self.conclude(write, call, outcome, Answer::done(Value::Null)).await
    }
}

/// Everything that goes with a flag: what each environment says of it, and how many overrides each level has.
async fn held(write: &mut Write, stored: &StoredFlag) -> Result<Vec<Value>> {
    let mut held = Vec::new();
    for environment in write.environments().await? {
        let found = write.setting(stored, &environment.name).await?.setting;
        held.push(setting_in(&environment.name, &found)?);
    }
    for (level, environment, overrides) in write.count_overrides(&stored.flag).await? {
        let mut counted = json!({ "level": level, "overrides": overrides });
        if level == "organization" {
            counted["environment"] = environment.into();
        }
        held.push(counted);
    }
    Ok(held)
}

/// A setting as listings of what would be lost show it.
fn setting_in(environment: &str, setting: &Setting) -> Result<Value> {
    let mut document = to_value(setting)?;
    document["level"] = "environment".into();
    document["environment"] = environment.into();
    Ok(document)
}

/// A level that is no longer allowed must have no values: the caller either finds none, or knows which are lost.
pub(super) async fn drop_levels(write: &mut Write, call: &Call, before: &StoredFlag, after: &Flag) -> Result<()> {
    let (was, is) = (before.flag.overrides, after.overrides);
    let mut lost = Vec::new();
    for (level, taken) in [("user", was.user && !is.user), ("organization", was.organization && !is.organization)] {
        if taken {
            for stored in write.overrides_of(&before.flag, None, Some(level), ("", "", ""), i64::MAX).await? {
                lost.push(stored.answer()?);
            }
        }
    }
    let mut cleared = Vec::new();
    if was.environment && !is.environment {
        for environment in write.environments().await? {
            let found = write.setting(before, &environment.name).await?.setting;
            if found.value.is_some() || !found.rules.is_empty() {
                lost.push(setting_in(&environment.name, &found)?);
                cleared.push((environment.name, found));
            }
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    if !call.confirmed("drop-overrides") {
        let detail = format!("what stands at levels that would no longer be allowed would be lost ({} in all)", lost.len());
        return Err(Error::unconfirmed("drop-overrides", detail).listing(lost));
    }
    for (level, taken) in [("user", was.user && !is.user), ("organization", was.organization && !is.organization)] {
        if taken {
            write.drop_overrides(&before.flag, None, Some(level)).await?;
        }
    }
    for (environment, found) in cleared {
        let bare = Setting { enabled: found.enabled, ..Default::default() };
        write.put_setting(&before.flag, &environment, &found, &bare).await?;
    }
    Ok(())
}
