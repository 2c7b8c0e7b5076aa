//! Taking a change back: its documents are written again as they were before it, as a new change like any other.
//!
//! What was there is read from the log, and the log does not hold everything: no secret, no name, no address. What it does
//! not hold is refused rather than brought back by half.

use std::collections::BTreeSet;

use flagbearer::attributes::Attributes;
use flagbearer::document::Node;
use flagbearer::segment::Segment;
use flagbearer::setting::{Override, Setting};
use flagbearer::subject::SubjectKind;
use serde_json::{Value, json};

use super::effects::{self, Outcome};
use super::{Answer, Call, Control, flags, segments};
use crate::error::{Error, Kind, Result};
use crate::store::{Application, Edit, Entity, Level, Membership, StoredFlag, Write};

/// What a caller confirms who takes back what others have built on since.
const LATER_CHANGES: &str = "later-changes";

impl Control {
    /// Takes a change back.
    pub async fn revert_change(&self, call: &Call, revision: &str) -> Result<Answer> {
        call.only(&[])?;
        call.no_body()?;
        let number = super::changes::number(revision)?;
        let mut write = self.open(call).await?;
        super::changes::visible(&mut write, call, number).await?;
        let revert = Revert { documents: documents(write.edits(number).await?), number };
        revert.check(&mut write, call).await?;
        let later = write.changes_since(number).await?;
        let last = later.first().and_then(|change| change["revision"].as_i64());
        call.check_match(last.unwrap_or(number))?;
        if !later.is_empty() && !call.confirmed(LATER_CHANGES) {
            let detail = format!("what change {number} touched was changed again since, and that would be lost");
            return Err(Error::unconfirmed(LATER_CHANGES, detail).listing(later));
        }
        let outcome = revert.write(&mut write, call).await?;
        write.revert(number);
        self.conclude(write, call, outcome, Answer::done(json!({ "reverts": number }))).await
    }
}

/// A document that the change touched.
struct Document {
    /// Its last edit, for what it is about.
    edit: Edit,
    /// What stood there before the change.
    former: Option<Value>,
}

impl Document {
    /// Whether it is a setting that had neither a value nor rules.
    fn is_emptied(&self) -> bool {
        let empty = |former: &Value| former["value"].is_null() && former["rules"].as_array().is_none_or(Vec::is_empty);
        self.former.as_ref().is_none_or(empty)
    }
}

/// What several edits of one change did to each document.
fn documents(edits: Vec<Edit>) -> Vec<Document> {
    let mut documents: Vec<Document> = Vec::new();
    let place = |edit: &Edit| {
        (edit.entity.as_str(), edit.id.clone(), edit.environment.clone(), edit.organization.clone(), edit.user.clone())
    };
    let mut places = std::collections::BTreeMap::new();
    for edit in edits {
        let at = *places.entry(place(&edit)).or_insert(documents.len());
        match documents.get_mut(at) {
            Some(document) => document.edit = edit,
            None => documents.push(Document { former: edit.before.clone(), edit }),
        }
    }
    documents
}

fn refused(code: &'static str, detail: impl Into<String>) -> Error {
    Error::conflict(code, detail)
}

/// What is written again cannot be, as things are now.
fn no_longer(what: &str) -> impl Fn(flagbearer::error::Error) -> Error {
    move |error| refused(error.code.as_str(), format!("{what} cannot be as it was: {}", error.message))
}

fn gone(what: &str, name: &str, remedy: &str) -> Error {
    refused("DOCUMENT_GONE", format!("the {what} `{name}` was deleted since; {remedy}, then revert this change"))
}

struct Revert {
    documents: Vec<Document>,
    number: i64,
}

impl Revert {
    fn of(&self, entity: Entity) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(move |document| document.edit.entity == entity)
    }

    /// Those that were there before the change, as they were.
    fn former(&self, entity: Entity) -> impl Iterator<Item = (&Edit, &Value)> {
        self.of(entity).filter_map(|document| Some((&document.edit, document.former.as_ref()?)))
    }

    /// Those that the change brought.
    fn brought(&self, entity: Entity) -> impl Iterator<Item = &Edit> {
        self.of(entity).filter(|document| document.former.is_none()).map(|document| &document.edit)
    }

    /// Refuses what may not, or can never, be taken back.
    async fn check(&self, write: &mut Write, call: &Call) -> Result<()> {
        let environments = write.environments().await?;
        for Document { edit, former } in &self.documents {
            match (edit.entity, &edit.environment) {
                (Entity::Setting | Entity::Kill, Some(name)) | (Entity::Override, Some(name)) => {
                    let place = environments.iter().find(|found| found.name == *name);
                    let remedy = "make another one of another name: this one does not come back";
                    call.may_change(place.ok_or_else(|| gone("environment", name, remedy))?)?;
                }
                (Entity::Flag | Entity::Segment | Entity::Override | Entity::Setting | Entity::Kill, _) => {
                    call.may_change_shared(&environments)?;
                }
                (Entity::MinRevision, _) => {}
                _ => call.may_administer()?,
            }
            self.reversible(edit, former.as_ref())?;
            self.check_standing(write, edit, former.as_ref()).await?;
        }
        if self.documents.iter().all(|document| document.edit.entity == Entity::MinRevision) {
            let detail = "a minimum revision only rises: tokens that were called stale have been refreshed since";
            return Err(refused("MINIMUM_IRREVERSIBLE", detail));
        }
        Ok(())
    }

    fn reversible(&self, edit: &Edit, former: Option<&Value>) -> Result<()> {
        match edit.entity {
            _ if edit.erased => {
                let detail = format!(
                    "change {} is about a user who was erased; nothing is left that could be taken back",
                    self.number
                );
                Err(Error::new(Kind::Gone, "ERASED", detail))
            }
            entity if !entity.in_tokens() => {
                let what = entity.as_str().replace('_', " ");
                let detail =
                    format!("change {} is about the {what} `{}`, which has secrets; the log has none", self.number, edit.id);
                Err(refused("SECRET_NOT_IN_LOG", detail))
            }
            Entity::Environment if former.is_none() || edit.after.is_none() => {
                let detail = "an environment does not come or go by a revert: its issuer and its keys are known to tokens";
                Err(refused("ENVIRONMENT_IRREVERSIBLE", detail))
            }
            Entity::User | Entity::Organization if former.is_some() && former == edit.after.as_ref() => {
                let detail = format!(
                    "what change {} did to the {} `{}` is not in the log, which holds attributes alone; change it by hand",
                    self.number,
                    edit.entity.as_str(),
                    edit.id
                );
                Err(refused("NOT_IN_LOG", detail))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what has lost what it stands on.
    async fn check_standing(&self, write: &mut Write, edit: &Edit, former: Option<&Value>) -> Result<()> {
        match (edit.entity, &edit.flag) {
            (Entity::Setting | Entity::Override | Entity::Kill, Some(id)) => {
                let restored = self.former(Entity::Flag).any(|(edit, _)| edit.id == *id);
                let left = self.brought(Entity::Flag).any(|edit| edit.id == *id);
                if restored || left || write.find_flag_by_id(id).await?.is_some() {
                    return Ok(());
                }
                let document = write.document_at(Entity::Flag, id, self.number).await?.unwrap_or_default();
                let key = document["key"].as_str().unwrap_or(id);
                Err(gone("flag", key, "revert its deletion first"))
            }
            (Entity::User, _) if former.is_some() && write.find_user(&edit.id).await?.is_none() => {
                Err(gone("user", &edit.id, "create it again first, since the log holds no name and no address"))
            }
            (Entity::Organization, _) if former.is_some() && write.find_organization(&edit.id).await?.is_none() => {
                Err(gone("organization", &edit.id, "create it again first, since the log does not hold its name"))
            }
            _ => Ok(()),
        }
    }

    /// Writes the documents, each kind before what stands on it.
    async fn write(&self, write: &mut Write, call: &Call) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for edit in self.brought(Entity::Override) {
            outcome.merge(delete_override(write, edit).await?);
        }
        let flags = self.documents.iter().filter_map(|document| document.edit.flag.clone()).collect();
        let segments: BTreeSet<String> = self.of(Entity::Segment).map(|document| document.edit.id.clone()).collect();
        let before = effects::Before::read(write, flags, segments).await?;
        self.write_rules(write, call).await?;
        outcome.merge(before.outcome(write).await?);
        for (edit, former) in self.former(Entity::Organization) {
            outcome.merge(put_organization(write, edit, former).await?);
        }
        for (edit, former) in self.former(Entity::User) {
            outcome.merge(put_user(write, edit, former).await?);
        }
        for (edit, former) in self.former(Entity::Override) {
            outcome.merge(put_override(write, edit, former).await?);
        }
        self.write_directory(write, &mut outcome).await?;
        Ok(outcome)
    }

    /// Segments, flags and settings.
    async fn write_rules(&self, write: &mut Write, call: &Call) -> Result<()> {
        for (edit, former) in self.former(Entity::Segment) {
            let standing = write.find_segment(&edit.id).await?.map(|standing| standing.segment);
            write.put_segment(standing.as_ref(), &Segment::parse(former).map_err(Error::internal)?).await?;
        }
        // Emptied settings go first where they can, so that a level which is taken away again finds nothing to drop.
        let mut emptied = BTreeSet::new();
        for document in self.of(Entity::Setting).filter(|document| document.is_emptied()) {
            if flag_of(write, &document.edit).await?.is_some() {
                put_setting(write, document).await?;
                emptied.insert((document.edit.id.as_str(), document.edit.environment.as_deref()));
            }
        }
        for (edit, former) in self.former(Entity::Flag) {
            put_flag(write, call, &edit.id, former).await?;
        }
        for document in self.of(Entity::Setting) {
            if !emptied.contains(&(document.edit.id.as_str(), document.edit.environment.as_deref())) {
                put_setting(write, document).await?;
            }
        }
        for document in self.of(Entity::Kill) {
            put_kill(write, document).await?;
        }
        for edit in self.brought(Entity::Flag) {
            if let Some(stored) = write.find_flag_by_id(&edit.id).await? {
                write.delete_flag(&stored).await?;
            }
        }
        for edit in self.brought(Entity::Segment) {
            if let Some(stored) = write.find_segment(&edit.id).await? {
                segments::check_unused(write, &edit.id).await?;
                write.delete_segment(&stored.segment).await?;
            }
        }
        Ok(())
    }

    /// Memberships, environments, applications, and the organizations and users that the change brought.
    async fn write_directory(&self, write: &mut Write, outcome: &mut Outcome) -> Result<()> {
        for document in self.of(Entity::Membership) {
            put_membership(write, document).await?;
        }
        for (edit, former) in self.former(Entity::Environment) {
            let before = write.environment(&edit.id).await?;
            let mut after = before.clone();
            after.protected = former["protected"].as_bool().unwrap_or(before.protected);
            after.sign_up = former["sign_up"].as_bool().unwrap_or(before.sign_up);
            write.update_environment(&before, &mut after).await?;
        }
        for document in self.of(Entity::Application) {
            outcome.merge(put_application(write, document).await?);
        }
        let none = Attributes::default();
        for edit in self.brought(Entity::Organization) {
            let Some(found) = write.find_organization(&edit.id).await? else { continue };
            let kind = SubjectKind::Organization;
            outcome.merge(effects::of_attributes(write, kind, &edit.id, &found.attributes, &none).await?);
            outcome.merge(effects::of_lost_overrides(write, kind, &edit.id).await?);
            write.delete_organization(&found).await?;
        }
        for edit in self.brought(Entity::User) {
            let Some(found) = write.find_user(&edit.id).await? else { continue };
            outcome.merge(effects::of_attributes(write, SubjectKind::User, &edit.id, &found.attributes, &none).await?);
            outcome.merge(effects::of_lost_overrides(write, SubjectKind::User, &edit.id).await?);
            write.delete_user(&found).await?;
        }
        Ok(())
    }
}

/// The flag that an edit is about.
async fn flag_of(write: &mut Write, edit: &Edit) -> Result<Option<StoredFlag>> {
    match &edit.flag {
        Some(id) => write.find_flag_by_id(id).await,
        None => Err(Error::internal("an edit of a setting or an override that is no flag's")),
    }
}

async fn put_flag(write: &mut Write, call: &Call, id: &str, former: &Value) -> Result<()> {
    let (flag, archived_at) = StoredFlag::parse_document(former)?;
    if let Some(before) = write.find_flag_by_id(id).await? {
        flags::drop_levels(write, call, &before, &flag).await?;
        let mut after = StoredFlag { flag, archived_at, ..before.clone() };
        return write.update_flag(&before, &mut after).await;
    }
    if write.find_flag(flag.key.as_str()).await?.is_some() {
        let detail = format!("there is another flag `{}` now; its key is free again once that one is deleted", flag.key);
        return Err(refused("FLAG_EXISTS", detail));
    }
    write.insert_flag(flag, archived_at).await?;
    Ok(())
}

async fn put_setting(write: &mut Write, document: &Document) -> Result<()> {
    let Some(stored) = flag_of(write, &document.edit).await? else { return Ok(()) };
    let environment = document.edit.environment.as_deref().unwrap_or_default();
    let what = format!("the setting of `{}` in `{environment}`", stored.flag.key);
    let former = document.former.as_ref().map(|former| Setting::parse(former, &stored.flag)).transpose();
    let former = former.map_err(no_longer(&what))?.unwrap_or_default();
    let segments = write.all_segments().await?;
    former.check_segments(|key| segments.iter().any(|segment| segment.key == *key)).map_err(no_longer(&what))?;
    let before = write.setting(&stored, environment).await?.setting;
    write.put_setting(&stored.flag, environment, &before, &former).await
}

/// The entry of a kill comes and goes with its flag and its setting; here it follows where they leave it open.
async fn put_kill(write: &mut Write, document: &Document) -> Result<()> {
    let Some(stored) = flag_of(write, &document.edit).await? else { return Ok(()) };
    let environment = document.edit.environment.as_deref().unwrap_or_default();
    let killed = write.is_killed(&stored.flag, environment).await?;
    match (&document.former, killed) {
        (None, true) => write.unkill(&stored.flag, Some(environment)).await,
        (Some(_), false) if stored.living().is_some() && !write.setting(&stored, environment).await?.setting.enabled => {
            write.kill(&stored.flag, environment).await
        }
        _ => Ok(()),
    }
}

fn level_of(edit: &Edit) -> Result<(Level<'_>, SubjectKind)> {
    match (&edit.user, &edit.organization, &edit.environment) {
        (Some(user), _, _) => Ok((Level::User(user), SubjectKind::User)),
        (None, Some(organization), Some(environment)) => {
            Ok((Level::Organization { organization, environment }, SubjectKind::Organization))
        }
        _ => Err(Error::internal("an override that is nobody's")),
    }
}

async fn put_override(write: &mut Write, edit: &Edit, former: &Value) -> Result<Outcome> {
    let Some(stored) = flag_of(write, edit).await? else { return Ok(Outcome::default()) };
    let (level, kind) = level_of(edit)?;
    let what = format!("the override of `{}` for {} `{}`", stored.flag.key, level.name(), level.subject());
    let after = Override::parse(former, &stored.flag, kind).map_err(no_longer(&what))?;
    let before = write.override_at(&stored.flag, level).await?.map(|before| before.document);
    let outcome = effects::of_override(write, &stored, level, before.as_ref(), Some(&after)).await?;
    write.put_override(&stored.flag, level, &after).await?;
    Ok(outcome)
}

async fn delete_override(write: &mut Write, edit: &Edit) -> Result<Outcome> {
    let Some(stored) = flag_of(write, edit).await? else { return Ok(Outcome::default()) };
    let (level, _) = level_of(edit)?;
    let Some(before) = write.override_at(&stored.flag, level).await? else { return Ok(Outcome::default()) };
    let outcome = effects::of_override(write, &stored, level, Some(&before.document), None).await?;
    write.delete_override(&stored.flag, &before).await?;
    Ok(outcome)
}

fn attributes(former: &Value) -> Result<Attributes> {
    Attributes::parse(&Node::root(&former["attributes"])).map_err(Error::internal)
}

async fn put_organization(write: &mut Write, edit: &Edit, former: &Value) -> Result<Outcome> {
    let before = write.organization(&edit.id).await?;
    let mut after = before.clone();
    after.attributes = attributes(former)?;
    let kind = SubjectKind::Organization;
    let outcome = effects::of_attributes(write, kind, &edit.id, &before.attributes, &after.attributes).await?;
    write.put_organization(Some(&before), &mut after).await?;
    Ok(outcome)
}

async fn put_user(write: &mut Write, edit: &Edit, former: &Value) -> Result<Outcome> {
    let before = write.user(&edit.id).await?;
    let mut after = before.clone();
    after.attributes = attributes(former)?;
    let kind = SubjectKind::User;
    let outcome = effects::of_attributes(write, kind, &edit.id, &before.attributes, &after.attributes).await?;
    write.put_user(Some(&before), &mut after).await?;
    Ok(outcome)
}

async fn put_membership(write: &mut Write, Document { edit, former }: &Document) -> Result<()> {
    let (Some(organization), Some(user)) = (&edit.organization, &edit.user) else {
        return Err(Error::internal("a membership that is nobody's"));
    };
    let standing = write.find_membership(organization, user).await?;
    let Some(former) = former else {
        return match standing {
            Some(standing) => write.delete_membership(&standing).await,
            None => Ok(()),
        };
    };
    if write.find_organization(organization).await?.is_none() {
        return Err(gone("organization", organization, "create it again first"));
    }
    if write.find_user(user).await?.is_none() {
        return Err(gone("user", user, "create it again first"));
    }
    write.put_membership(organization, user, Membership::parse_document(former)?).await?;
    Ok(())
}

async fn put_application(write: &mut Write, Document { edit, former }: &Document) -> Result<Outcome> {
    let standing = match write.application(&edit.id).await {
        Ok(standing) => Some(standing.application),
        Err(error) if error.kind == Kind::NotFound => None,
        Err(error) => return Err(error),
    };
    match (former, standing) {
        (None, None) => {}
        (None, Some(standing)) => write.delete_application(&standing).await?,
        (Some(former), Some(standing)) => {
            let former = Application::from_stored(former.clone())?;
            let outcome = effects::of_projection(write, &standing, &former).await?;
            write.update_application(&standing, &former).await?;
            return Ok(outcome);
        }
        (Some(former), None) => {
            let application = Application::from_stored(former.clone())?;
            if !application.public {
                let detail = format!(
                    "the secret of the application `{}` is not in the log, and its sessions are gone; create it anew",
                    application.name
                );
                return Err(refused("SECRET_NOT_IN_LOG", detail));
            }
            write.insert_application(&application, None).await?;
        }
    }
    Ok(Outcome::default())
}
