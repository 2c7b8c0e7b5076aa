//! Organizations, users and memberships.

use flagbearer::attributes::Attributes;
use flagbearer::document::{Members, Node};
use flagbearer::error::ErrorCode;
use flagbearer::subject::{SubjectId, SubjectKind};
use serde_json::Value;

use super::effects::{self, Outcome};
use super::{Answer, Call, Control};
use crate::email;
use crate::error::{Error, Result};
use crate::password::Password;
use crate::store::{Membership, Organization, StoredMembership, User, Write};

/// The most roles or permissions of a membership.
const MAX_GRANTS: usize = 256;

/// The longest URL of a picture, in bytes.
const MAX_PICTURE: usize = 2048;

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

/// A refusal of one member, under a code of its own.
fn refused(node: &Node<'_>, code: &'static str, detail: impl std::fmt::Display) -> Error {
    Error { code, ..node.error(ErrorCode::ValueInvalid, detail.to_string()).into() }
}

fn email(node: &Node<'_>) -> Result<String> {
    let text = node.string()?;
    if email::is_acceptable(text) { Ok(text.to_owned()) } else { Err(refused(node, "EMAIL_INVALID", email::RULE)) }
}

fn picture(node: &Node<'_>) -> Result<String> {
    let text = node.text(MAX_PICTURE)?;
    match reqwest::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text),
        _ => Err(node.error(ErrorCode::ValueInvalid, "a picture is the URL of one: https://…").into()),
    }
}

/// What a member says: nothing where it is not there, `None` where it is `null` and what was there is to go.
fn given<T>(
    members: &mut Members<'_>,
    name: &'static str,
    read: impl Fn(&Node<'_>) -> Result<T>,
) -> Result<Option<Option<T>>> {
    let Some(node) = members.present(name) else { return Ok(None) };
    Ok(Some(if node.is_null() { None } else { Some(read(&node)?) }))
}

/// Puts what a document says of a user into that user; answers what it says of the password.
fn read_user(members: &mut Members<'_>, user: &mut User) -> Result<Option<Option<Password>>> {
    if let Some(address) = given(members, "email", email)? {
        let same = |address: &String| user.email.as_ref().is_some_and(|known| email::key(known) == email::key(address));
        // What was known of the former address says nothing of this one.
        user.email_verified &= address.as_ref().is_some_and(same);
        user.email = address;
    }
    if let Some(node) = members.optional("email_verified") {
        user.email_verified = node.boolean()?;
        if user.email_verified && user.email.is_none() {
            return Err(node.error(ErrorCode::ValueInvalid, "there is no `email` that could be verified").into());
        }
    }
    user.name = given(members, "name", |node| Ok(node.text(256)?))?.unwrap_or(user.name.take());
    user.picture = given(members, "picture", picture)?.unwrap_or(user.picture.take());
    user.attributes = attributes(members)?.unwrap_or(std::mem::take(&mut user.attributes));
    given(members, "password", |node| Password::parse(node.string()?).map_err(|unfit| refused(node, unfit.code(), unfit)))
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
        let mut write = self.open(call).await?;
        if write.find_organization(&id).await?.is_some() {
            return Err(Error::conflict("ORGANIZATION_EXISTS", format!("there is an organization `{id}` already")));
        }
        let none = Attributes::default();
        let outcome = effects::of_attributes(&mut write, SubjectKind::Organization, &id, &none, &attributes).await?;
        let mut organization = Organization { id, name, attributes, revision: 0, created_at: write.now };
        write.put_organization(None, &mut organization).await?;
        let revision = write.revision;
        let answer = Answer::created(organization.answer()?, revision);
        self.conclude(write, call, outcome, answer).await
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
        let mut write = self.open(call).await?;
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
        let answer = Answer::done(after.answer()?).at(revision);
        self.conclude(write, call, outcome, answer).await
    }

    pub async fn delete_organization(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let organization = write.organization(id).await?;
        call.check_match(organization.revision)?;
        let none = Attributes::default();
        let kind = SubjectKind::Organization;
        let mut outcome = effects::of_attributes(&mut write, kind, id, &organization.attributes, &none).await?;
        outcome.merge(effects::of_lost_overrides(&mut write, kind, id).await?);
        write.delete_organization(&organization).await?;
        self.conclude(write, call, outcome, Answer::done(Value::Null)).await
    }

    pub async fn create_user(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut members = Node::root(&call.body).members()?;
        let mut user = User::new(id(&members.required("id")?)?, self.store.now());
        let password = read_user(&mut members, &mut user)?.flatten();
        members.finish()?;
        // Before the write: whoever is to be hashed must not keep all other writers waiting.
        let hash = self.hash(password.as_ref()).await?;
        let mut write = self.open(call).await?;
        if write.find_user(&user.id).await?.is_some() {
            return Err(Error::conflict("USER_EXISTS", format!("there is a user `{}` already", user.id)));
        }
        user.created_at = write.now;
        let none = Attributes::default();
        let outcome = effects::of_attributes(&mut write, SubjectKind::User, &user.id, &none, &user.attributes).await?;
        write.put_user(None, &mut user).await?;
        if let Some(hash) = &hash {
            write.put_password(&user, hash).await?;
        }
        let revision = write.revision;
        let answer = Answer::created(user.answer()?, revision);
        self.conclude(write, call, outcome, answer).await
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

    pub async fn patch_user(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let before = self.store.read().await?.user(id).await?;
        let (_, password) = patched(call, &before)?;
        let hash = self.hash(password.as_ref().and_then(Option::as_ref)).await?;
        let mut write = self.open(call).await?;
        let before = write.user(id).await?;
        call.check_match(before.revision)?;
        let (mut after, _) = patched(call, &before)?;
        let outcome =
            effects::of_attributes(&mut write, SubjectKind::User, id, &before.attributes, &after.attributes).await?;
        if let Some(None) = password {
            write.delete_password(id).await?;
            write.remark("a password was taken away");
        }
        write.put_user(Some(&before), &mut after).await?;
        if let Some(hash) = &hash {
            write.put_password(&after, hash).await?;
            write.remark("a password was set");
        }
        let revision = write.revision;
        let answer = Answer::done(after.answer()?).at(revision);
        let answer = self.conclude(write, call, outcome, answer).await?;
        if hash.is_some() && !call.preview {
            self.issuer.unlock(&after).await;
        }
        Ok(answer)
    }

    async fn hash(&self, password: Option<&Password>) -> Result<Option<String>> {
        match password {
            Some(password) => self.issuer.passwords.hash(password).await.map(Some),
            None => Ok(None),
        }
    }

    /// Deletes a user; with `erase` everything else that is known of the id too.
    pub async fn delete_user(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&["erase"])?;
        call.may_administer()?;
        if call.choice("erase")? == Some(true) {
            return self.erase_user(call, id).await;
        }
        let mut write = self.open(call).await?;
        let user = write.user(id).await?;
        call.check_match(user.revision)?;
        let outcome = self.remove_user(&mut write, &user).await?;
        self.conclude(write, call, outcome, Answer::done(Value::Null)).await
    }

    pub(super) async fn remove_user(&self, write: &mut Write, user: &User) -> Result<Outcome> {
        let (kind, none) = (SubjectKind::User, Attributes::default());
        let mut outcome = effects::of_attributes(write, kind, &user.id, &user.attributes, &none).await?;
        outcome.merge(effects::of_lost_overrides(write, kind, &user.id).await?);
        write.delete_user(user).await?;
        Ok(outcome)
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
        let mut write = self.open(call).await?;
        write.organization(organization).await?;
        write.user(user).await?;
        let before = write.find_membership(organization, user).await?;
        call.check_match(before.map(|before| before.revision))?;
        let stored = write.put_membership(organization, user, membership).await?;
        let revision = write.revision;
        let answer = Answer::done(stored.answer()).at(revision);
        self.conclude(write, call, Outcome::default(), answer).await
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
        let mut write = self.open(call).await?;
        let before = write.find_membership(organization, user).await?.ok_or_else(|| no_member(organization, user))?;
        call.check_match(before.revision)?;
        write.delete_membership(&before).await?;
        self.conclude(write, call, Outcome::default(), Answer::done(Value::Null)).await
    }
}

/// A user as the call's document changes it, and what that says of the password.
fn patched(call: &Call, before: &User) -> Result<(User, Option<Option<Password>>)> {
    let mut members = Node::root(&call.body).members()?;
    same_id(&mut members, &before.id)?;
    let mut after = before.clone();
    let password = read_user(&mut members, &mut after)?;
    members.finish()?;
    Ok((after, password))
}

fn no_member(organization: &str, user: &str) -> Error {
    let detail = format!("user `{user}` is not a member of organization `{organization}`");
    Error::new(crate::error::Kind::NotFound, "MEMBERSHIP_NOT_FOUND", detail)
}

fn last_id(last: &Value) -> String {
    last["id"].as_str().unwrap_or_default().to_owned()
}
