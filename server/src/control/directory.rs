//! Organizations, users and memberships.

use flagbearer::attributes::Attributes;
use flagbearer::document::{Members, Node};
use flagbearer::error::ErrorCode;
use flagbearer::subject::{SubjectId, SubjectKind};
use serde_json::Value;

use super::effects::{self, Outcome};
use super::{Answer, Call, Control};
use crate::error::{Error, Result};
use crate::store::{Membership, Organization, Person, Standpoint, StoredMembership, User};

/// The most roles or permissions of a membership.
const MAX_GRANTS: usize = 256;

fn id(node: &Node<'_>) -> Result<String> {
    let id = SubjectId::parse(node.string()?).map_err(|error| error.under(&node.pointer))?;
    Ok(id.as_str().to_owned())
}

fn attributes(members: &mut Members<'_>) -> Result<Option<Attributes>> {
    let Some(node) = members.present("attributes") else { return Ok(None) };
    if node.is_null() {
        return Ok(Some(Attributes::default()));
    }
    Ok(Some(Attributes::parse(&node)?))
}

fn maybe_text(node: &Node<'_>) -> Result<Option<String>> {
    Ok(if node.is_null() { None } else { Some(node.text(320)?) })
}

fn grants(members: &mut Members<'_>, name: &'static str) -> Result<Vec<String>> {
    let Some(node) = members.optional(name) else { return Ok(Vec::new()) };
    let mut grants = node.items()?.iter().map(|item| item.text(128)).collect::<flagbearer::error::Result<Vec<_>>>()?;
    if grants.len() > MAX_GRANTS {
        let detail = format!("a membership has at most {MAX_GRANTS} {name}");
        return Err(node.error(ErrorCode::LimitExceeded, detail).into());
    }
    grants.sort();
    grants.dedup();
    Ok(grants)
}

/// Refuses another id than the one in the path.
fn same_id(members: &mut Members<'_>, id: &str) -> Result<()> {
    match members.present("id") {
        Some(node) if node.string()? != id => Err(node.error(ErrorCode::Immutable, "an id cannot change").into()),
        _ => Ok(()),
    }
}

impl Control {
    pub async fn create_organization(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut members = Node::root(&call.body).members()?;
        let id = id(&members.required("id")?)?;
        let name = members.optional("name").map(|node| node.text(256)).transpose()?.unwrap_or_else(|| id.clone());
        let attributes = attributes(&mut members)?.unwrap_or_default();
        members.finish()?;
        let mut write = self.store.write().await?;
        if write.find_organization(&id).await?.is_some() {
            return Err(Error::conflict("ORGANIZATION_EXISTS", format!("there is an organization `{id}` already")));
        }
        let none = Attributes::default();
        let outcome = effects::of_attributes(&mut write, SubjectKind::Organization, &id, &none, &attributes).await?;
        let mut organization = Organization { id, name, attributes, revision: 0, created_at: write.now };
        write.put_organization(None, &mut organization).await?;
        let revision = write.revision;
        let answer = Answer::created(outcome.answer(revision, organization.answer()?)?, revision);
        self.finish(write, call, answer).await
    }

    pub async fn organizations(&self, call: &Call) -> Result<Answer> {
        call.only(&["cursor", "limit"])?;
        let limit = call.limit()?;
        let organizations = self.store.read().await?.organizations(call.cursor(), limit).await?;
        let data = organizations.iter().map(Organization::answer).collect::<Result<Vec<_>>>()?;
        Ok(Answer::page(data, limit, last_id))
    }

    pub async fn organization(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        let organization = self.store.read().await?.organization(id).await?;
        Ok(Answer::done(organization.answer()?).at(organization.revision))
    }

    pub async fn patch_organization(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.store.write().await?;
        let before = write.organization(id).await?;
        call.check_match(before.revision)?;
        let mut after = before.clone();
        let mut members = Node::root(&call.body).members()?;
        same_id(&mut members, id)?;
        if let Some(node) = members.present("name") {
            after.name = if node.is_null() { id.to_owned() } else { node.text(256)? };
        }
        after.attributes = attributes(&mut members)?.unwrap_or(after.attributes);
        members.finish()?;
        let kind = SubjectKind::Organization;
        let outcome = effects::of_attributes(&mut write, kind, id, &before.attributes, &after.attributes).await?;
        write.put_organization(Some(&before), &mut after).await?;
        let revision = write.revision;
        let answer = Answer::done(outcome.answer(revision, after.answer()?)?).at(revision);
        self.finish(write, call, answer).await
    }

    pub async fn delete_organization(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.store.write().await?;
        let organization = write.organization(id).await?;
        call.check_match(organization.revision)?;
        let none = Attributes::default();
        let kind = SubjectKind::Organization;
        let mut outcome = effects::of_attributes(&mut write, kind, id, &organization.attributes, &none).await?;
        outcome.merge(effects::of_lost_overrides(&mut write, kind, id).await?);
        write.delete_organization(&organization).await?;
        let answer = Answer::done(outcome.answer(write.revision, Value::Null)?);
        self.finish(write, call, answer).await
    }

    pub async fn create_user(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut members = Node::root(&call.body).members()?;
        let id = id(&members.required("id")?)?;
        let email = members.optional("email").map(|node| node.text(320)).transpose()?;
        let name = members.optional("name").map(|node| node.text(256)).transpose()?;
        let attributes = attributes(&mut members)?.unwrap_or_default();
        members.finish()?;
        let mut write = self.store.write().await?;
        if write.find_user(&id).await?.is_some() {
            return Err(Error::conflict("USER_EXISTS", format!("there is a user `{id}` already")));
        }
        let none = Attributes::default();
        let outcome = effects::of_attributes(&mut write, SubjectKind::User, &id, &none, &attributes).await?;
        let mut user = User { id, email, name, attributes, revision: 0, created_at: write.now };
        write.put_user(None, &mut user).await?;
        let revision = write.revision;
        let answer = Answer::created(outcome.answer(revision, user.answer()?)?, revision);
        self.finish(write, call, answer).await
    }

    pub async fn users(&self, call: &Call) -> Result<Answer> {
        call.only(&["cursor", "limit"])?;
        let limit = call.limit()?;
        let users = self.store.read().await?.users(call.cursor(), limit).await?;
        let data = users.iter().map(User::answer).collect::<Result<Vec<_>>>()?;
        Ok(Answer::page(data, limit, last_id))
    }

    pub async fn user(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        let user = self.store.read().await?.user(id).await?;
        Ok(Answer::done(user.answer()?).at(user.revision))
    }

    /// A user as a person, without what evaluation sees.
    pub async fn person(&self, call: &Call, environment: &str, id: &str) -> Result<Person> {
        call.may_read(environment)?;
        let mut connection = self.store.read().await?;
        connection.user(id).await?;
        let standpoint = Standpoint { environment, user: Some(id), organization: None };
        Ok(self.store.snapshot_in(&mut connection, standpoint).await?.facts.person)
    }

    pub async fn patch_user(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.store.write().await?;
        let before = write.user(id).await?;
        call.check_match(before.revision)?;
        let mut after = before.clone();
        let mut members = Node::root(&call.body).members()?;
        same_id(&mut members, id)?;
        if let Some(node) = members.present("email") {
            after.email = maybe_text(&node)?;
        }
        if let Some(node) = members.present("name") {
            after.name = maybe_text(&node)?;
        }
        after.attributes = attributes(&mut members)?.unwrap_or(after.attributes);
        members.finish()?;
        let outcome =
            effects::of_attributes(&mut write, SubjectKind::User, id, &before.attributes, &after.attributes).await?;
        write.put_user(Some(&before), &mut after).await?;
        let revision = write.revision;
        let answer = Answer::done(outcome.answer(revision, after.answer()?)?).at(revision);
        self.finish(write, call, answer).await
    }

    pub async fn delete_user(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.store.write().await?;
        let user = write.user(id).await?;
        call.check_match(user.revision)?;
        let none = Attributes::default();
        let mut outcome = effects::of_attributes(&mut write, SubjectKind::User, id, &user.attributes, &none).await?;
        outcome.merge(effects::of_lost_overrides(&mut write, SubjectKind::User, id).await?);
        write.delete_user(&user).await?;
        let answer = Answer::done(outcome.answer(write.revision, Value::Null)?);
        self.finish(write, call, answer).await
    }

    pub async fn put_member(&self, call: &Call, organization: &str, user: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let membership = if call.body.is_null() {
            Membership::default()
        } else {
            let mut members = Node::root(&call.body).members()?;
            let (roles, permissions) = (grants(&mut members, "roles")?, grants(&mut members, "permissions")?);
            members.finish()?;
            Membership { roles, permissions }
        };
        let mut write = self.store.write().await?;
        write.organization(organization).await?;
        write.user(user).await?;
        let before = write.find_membership(organization, user).await?;
        call.check_match(before.map(|before| before.revision))?;
        let stored = write.put_membership(organization, user, membership).await?;
        let revision = write.revision;
        let answer = Answer::done(Outcome::default().answer(revision, stored.answer())?).at(revision);
        self.finish(write, call, answer).await
    }

    pub async fn members(&self, call: &Call, organization: &str) -> Result<Answer> {
        call.only(&["cursor", "limit"])?;
        let limit = call.limit()?;
        let mut connection = self.store.read().await?;
        connection.organization(organization).await?;
        let members = connection.members(organization, call.cursor(), limit).await?;
        let data = members.iter().map(StoredMembership::answer).collect();
        Ok(Answer::page(data, limit, |last| last["user"].as_str().unwrap_or_default().to_owned()))
    }

    pub async fn member(&self, call: &Call, organization: &str, user: &str) -> Result<Answer> {
        call.only(&[])?;
        let found = self.store.read().await?.find_membership(organization, user).await?;
        let stored = found.ok_or_else(|| no_member(organization, user))?;
        Ok(Answer::done(stored.answer()).at(stored.revision))
    }

    /// Removes a membership; the user's sessions in that organization end.
    pub async fn delete_member(&self, call: &Call, organization: &str, user: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.store.write().await?;
        let before = write.find_membership(organization, user).await?.ok_or_else(|| no_member(organization, user))?;
        call.check_match(before.revision)?;
        write.delete_membership(&before).await?;
        let answer = Answer::done(Outcome::default().answer(write.revision, Value::Null)?);
        self.finish(write, call, answer).await
    }
}

fn no_member(organization: &str, user: &str) -> Error {
    let detail = format!("user `{user}` is not a member of organization `{organization}`");
    Error::new(crate::error::Kind::NotFound, "MEMBERSHIP_NOT_FOUND", detail)
}

fn last_id(last: &Value) -> String {
    last["id"].as_str().unwrap_or_default().to_owned()
}
