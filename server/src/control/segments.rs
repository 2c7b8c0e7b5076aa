//! Segments.

use flagbearer::segment::Segment;
use flagbearer::subject::{SubjectId, SubjectKind};
use serde_json::{Value, json};

use super::{Answer, Call, Control, effects};
use crate::error::{Error, Result};
use crate::store::{StoredSegment, Write, to_value};

fn answer(stored: &StoredSegment) -> Result<Value> {
    let mut document = to_value(&stored.segment)?;
    document["revision"] = stored.revision.into();
    Ok(document)
}

impl Control {
    pub async fn create_segment(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        let segment = Segment::parse(&call.body)?;
        let mut write = self.open(call).await?;
        call.may_change_shared(&write.environments().await?)?;
        if write.find_segment(segment.key.as_str()).await?.is_some() {
            return Err(Error::conflict("SEGMENT_EXISTS", format!("there is a segment `{}` already", segment.key)));
        }
        let outcome = effects::of_segment(&mut write, segment.key.as_str(), Some(&segment)).await?;
        let stored = write.put_segment(None, &segment).await?;
        let revision = write.revision;
        let answer = Answer::created(answer(&stored)?, revision);
        self.conclude(write, call, outcome, answer).await
    }

    pub async fn segments(&self, call: &Call) -> Result<Answer> {
        call.only(&["cursor", "limit"])?;
        let limit = call.limit()?;
        let segments = self.store.read().await?.segments(call.cursor(), limit).await?;
        let data = segments.iter().map(answer).collect::<Result<Vec<_>>>()?;
        Ok(Answer::page(data, limit, |last| last["key"].as_str().unwrap_or_default().to_owned()))
    }

    pub async fn segment(&self, call: &Call, key: &str) -> Result<Answer> {
        call.only(&[])?;
        let stored = self.store.read().await?.segment(key).await?;
        Ok(Answer::done(answer(&stored)?).at(stored.revision))
    }

    pub async fn patch_segment(&self, call: &Call, key: &str) -> Result<Answer> {
        self.change_segment(call, key, |segment| Ok(segment.patched(&call.body)?)).await
    }

    /// Lists one user or organization.
    pub async fn add_to_segment(&self, call: &Call, key: &str, kind: SubjectKind, id: &str) -> Result<Answer> {
        call.no_body()?;
        let id = SubjectId::parse(id)?;
        self.change_segment(call, key, |segment| Ok(segment.with(kind, id))).await
    }

    /// Takes one user or organization off the list.
    pub async fn remove_from_segment(&self, call: &Call, key: &str, kind: SubjectKind, id: &str) -> Result<Answer> {
        let id = SubjectId::parse(id)?;
        self.change_segment(call, key, |segment| Ok(segment.without(kind, &id))).await
    }

    async fn change_segment(
        &self,
        call: &Call,
        key: &str,
        change: impl FnOnce(&Segment) -> Result<Segment>,
    ) -> Result<Answer> {
        call.only(&[])?;
        let mut write = self.open(call).await?;
        call.may_change_shared(&write.environments().await?)?;
        let before = write.segment(key).await?;
        call.check_match(before.revision)?;
        let after = change(&before.segment)?;
        let outcome = effects::of_segment(&mut write, key, Some(&after)).await?;
        let stored = write.put_segment(Some(&before.segment), &after).await?;
        let revision = write.revision;
        let answer = Answer::done(answer(&stored)?).at(revision);
        self.conclude(write, call, outcome, answer).await
    }

    /// Deletes a segment that no rule names.
    pub async fn delete_segment(&self, call: &Call, key: &str) -> Result<Answer> {
        call.only(&[])?;
        let mut write = self.open(call).await?;
        call.may_change_shared(&write.environments().await?)?;
        let before = write.segment(key).await?;
        call.check_match(before.revision)?;
        check_unused(&mut write, key).await?;
        let outcome = effects::of_segment(&mut write, key, None).await?;
        write.delete_segment(&before.segment).await?;
        self.conclude(write, call, outcome, Answer::done(Value::Null)).await
    }
}

/// Refuses to take a segment away that rules name.
pub(super) async fn check_unused(write: &mut Write, key: &str) -> Result<()> {
    let mut users = Vec::new();
    for environment in write.environments().await? {
        for (flag, setting) in write.stored_settings(&environment.name).await? {
            if setting.segments().any(|named| named.as_str() == key) {
                users.push(json!({ "flag": flag, "environment": environment.name }));
            }
        }
    }
    if users.is_empty() {
        return Ok(());
    }
    let detail = format!("rules name the segment `{key}`; take it out of them first");
    Err(Error::conflict("SEGMENT_IN_USE", detail).listing(users))
}
