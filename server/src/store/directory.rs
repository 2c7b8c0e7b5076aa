//! Organizations, users, and who belongs where. Shared by all environments.

use flagbearer::attributes::Attributes;
use flagbearer::document::Node;
use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::engine::{Connection, Row, params};
use super::flags::{stored, to_value};
use super::{Edit, Entity, Person, Write};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq)]
pub struct Organization {
    pub id: String,
    pub name: String,
    pub attributes: Attributes,
    pub revision: i64,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct User {
    pub id: String,
    pub email: Option<String>,
    /// Whether somebody trusted says that the address is the user's own.
    pub email_verified: bool,
    pub name: Option<String>,
    /// The URL of a picture.
    pub picture: Option<String>,
    pub attributes: Attributes,
    pub revision: i64,
    pub created_at: Timestamp,
    /// The last change to this document.
    pub updated_at: Timestamp,
    /// When the user was last at a sign-in page; sessions that a backend starts do not count.
    pub last_sign_in_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMembership {
    pub organization: String,
    pub user: String,
    pub membership: Membership,
    pub revision: i64,
}

/// Attributes that we stored ourselves.
pub(super) fn attributes(text: &str) -> Result<Attributes> {
    Attributes::parse(&Node::root(&stored(text)?)).map_err(Error::internal)
}

pub(super) fn strings(text: &str) -> Result<Vec<String>> {
    serde_json::from_str(text).map_err(Error::internal)
}

impl TryFrom<&Row> for Organization {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text(0)?,
            name: row.text(1)?,
            attributes: attributes(&row.text(2)?)?,
            revision: row.integer(3)?,
            created_at: row.time(4)?,
        })
    }
}

impl TryFrom<&Row> for User {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text(0)?,
            email: row.maybe_text(1)?,
            email_verified: row.boolean(2)?,
            name: row.maybe_text(3)?,
            picture: row.maybe_text(4)?,
            attributes: attributes(&row.text(5)?)?,
            revision: row.integer(6)?,
            created_at: row.time(7)?,
            updated_at: row.time(8)?,
            last_sign_in_at: row.maybe_time(9)?,
        })
    }
}

impl TryFrom<&Row> for StoredMembership {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            organization: row.text(0)?,
            user: row.text(1)?,
            membership: Membership { roles: strings(&row.text(2)?)?, permissions: strings(&row.text(3)?)? },
            revision: row.integer(4)?,
        })
    }
}

impl Organization {
    pub fn answer(&self) -> Result<Value> {
        Ok(json!({
            "id": self.id, "name": self.name, "attributes": to_value(&self.attributes)?,
            "revision": self.revision, "created_at": self.created_at,
        }))
    }
}

impl User {
    /// A user of whom nothing else is known yet.
    pub fn new(id: impl Into<String>, now: Timestamp) -> Self {
        Self {
            id: id.into(),
            email: None,
            email_verified: false,
            name: None,
            picture: None,
            attributes: Attributes::default(),
            revision: 0,
            created_at: now,
            updated_at: now,
            last_sign_in_at: None,
        }
    }

    pub fn answer(&self) -> Result<Value> {
        Ok(json!({
            "id": self.id, "email": self.email, "email_verified": self.email_verified, "name": self.name,
            "picture": self.picture, "attributes": to_value(&self.attributes)?, "revision": self.revision,
            "created_at": self.created_at, "updated_at": self.updated_at, "last_sign_in_at": self.last_sign_in_at,
        }))
    }
}

impl From<User> for Person {
    fn from(user: User) -> Self {
        Self {
            email: user.email,
            email_verified: user.email_verified,
            name: user.name,
            picture: user.picture,
            created_at: Some(user.created_at),
            updated_at: Some(user.updated_at),
            last_sign_in_at: user.last_sign_in_at,
        }
    }
}

impl Membership {
    /// What a document of the change log says.
    pub fn parse_document(document: &Value) -> Result<Self> {
        let texts = |name: &str| strings(&document[name].to_string());
        Ok(Self { roles: texts("roles")?, permissions: texts("permissions")? })
    }
}

impl StoredMembership {
    pub fn answer(&self) -> Value {
        json!({
            "organization": self.organization, "user": self.user, "roles": self.membership.roles,
            "permissions": self.membership.permissions, "revision": self.revision,
        })
    }
}

/// What the log holds of an organization or a user: what evaluation sees, and no name or address.
fn logged(id: &str, attributes: &Attributes) -> Result<Value> {
    Ok(json!({ "id": id, "attributes": to_value(attributes)? }))
}

macro_rules! organization_columns {
    () => {
        "SELECT id, name, attributes, revision, created_at FROM organizations "
    };
}

macro_rules! user_columns {
    () => {
        "SELECT id, email, email_verified, name, picture, attributes, revision, created_at, updated_at, last_sign_in_at \
         FROM users "
    };
}

macro_rules! membership_columns {
    () => {
        "SELECT organization, user_id, roles, permissions, revision FROM memberships "
    };
}

impl Connection {
    pub async fn find_organization(&mut self, id: &str) -> Result<Option<Organization>> {
        let row = self.row(concat!(organization_columns!(), "WHERE id = $1"), params![id]).await?;
        row.as_ref().map(Organization::try_from).transpose()
    }

    pub async fn organization(&mut self, id: &str) -> Result<Organization> {
        self.find_organization(id).await?.ok_or_else(|| Error::not_found("organization", id))
    }

    pub async fn organizations(&mut self, cursor: &str, limit: i64) -> Result<Vec<Organization>> {
        let sql = concat!(organization_columns!(), "WHERE id > $1 ORDER BY id LIMIT $2");
        self.rows(sql, params![cursor, limit]).await?.iter().map(Organization::try_from).collect()
    }

    pub async fn find_user(&mut self, id: &str) -> Result<Option<User>> {
        let row = self.row(concat!(user_columns!(), "WHERE id = $1"), params![id]).await?;
        row.as_ref().map(User::try_from).transpose()
    }

    /// Whether any user has this address, in whatever case its letters are.
    pub async fn is_address_of_a_user(&mut self, address: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM users WHERE lower(email) = lower($1) LIMIT 1";
        Ok(self.row(sql, params![address]).await?.is_some())
    }

    pub async fn user(&mut self, id: &str) -> Result<User> {
        self.find_user(id).await?.ok_or_else(|| Error::not_found("user", id))
    }

    pub async fn users(&mut self, cursor: &str, limit: i64) -> Result<Vec<User>> {
        let sql = concat!(user_columns!(), "WHERE id > $1 ORDER BY id LIMIT $2");
        self.rows(sql, params![cursor, limit]).await?.iter().map(User::try_from).collect()
    }

    pub async fn find_membership(&mut self, organization: &str, user: &str) -> Result<Option<StoredMembership>> {
        let sql = concat!(membership_columns!(), "WHERE organization = $1 AND user_id = $2");
        let row = self.row(sql, params![organization, user]).await?;
        row.as_ref().map(StoredMembership::try_from).transpose()
    }

    /// The organizations of a user as (id, name), by name.
    pub async fn organizations_of(&mut self, user: &str) -> Result<Vec<(String, String)>> {
        let sql = "SELECT o.id, o.name FROM memberships m JOIN organizations o ON o.id = m.organization \
                   WHERE m.user_id = $1 ORDER BY o.name, o.id";
        self.rows(sql, params![user]).await?.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// An organization's members in order of user, those after `cursor`.
    pub async fn members(&mut self, organization: &str, cursor: &str, limit: i64) -> Result<Vec<StoredMembership>> {
        let sql = concat!(membership_columns!(), "WHERE organization = $1 AND user_id > $2 ORDER BY user_id LIMIT $3");
        let rows = self.rows(sql, params![organization, cursor, limit]).await?;
        rows.iter().map(StoredMembership::try_from).collect()
    }

    async fn memberships_of(&mut self, column: Subject, id: &str) -> Result<Vec<StoredMembership>> {
        let sql = match column {
            Subject::Organization => concat!(membership_columns!(), "WHERE organization = $1"),
            Subject::User => concat!(membership_columns!(), "WHERE user_id = $1"),
        };
        self.rows(sql, params![id]).await?.iter().map(StoredMembership::try_from).collect()
    }
}

#[derive(Clone, Copy)]
enum Subject {
    Organization,
    User,
}

impl Write {
    pub async fn put_organization(&mut self, before: Option<&Organization>, after: &mut Organization) -> Result<()> {
        after.revision = self.revision;
        let sql = "INSERT INTO organizations (id, name, attributes, revision, created_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (id) DO UPDATE SET name = excluded.name, attributes = excluded.attributes, \
                   revision = excluded.revision";
        let attributes = to_value(&after.attributes)?.to_string();
        let parameters = params![after.id.as_str(), after.name.as_str(), attributes, self.revision, after.created_at];
        self.execute(sql, parameters).await?;
        let logged_before = before.map(|before| logged(&before.id, &before.attributes)).transpose()?;
        let edit = Edit::new(Entity::Organization, &after.id, logged_before, Some(logged(&after.id, &after.attributes)?));
        self.record(edit.organization(&after.id));
        Ok(())
    }

    /// Removes an organization with its memberships and overrides. Rules and segments that name it stay as written: they
    /// may name organizations that are not known.
    pub async fn delete_organization(&mut self, organization: &Organization) -> Result<()> {
        let id = organization.id.as_str();
        for membership in self.memberships_of(Subject::Organization, id).await? {
            self.delete_membership(&membership).await?;
        }
        self.drop_overrides_of_subject("organization", id).await?;
        self.execute("DELETE FROM organizations WHERE id = $1", params![id]).await?;
        let edit = Edit::new(Entity::Organization, id, Some(logged(id, &organization.attributes)?), None);
        self.record(edit.organization(id));
        Ok(())
    }

    /// Writes a user. Where the user signs in by a password, it goes on with the address of this document.
    pub async fn put_user(&mut self, before: Option<&User>, after: &mut User) -> Result<()> {
        after.revision = self.revision;
        after.updated_at = self.now;
        let sql = "INSERT INTO users (id, email, email_verified, name, picture, attributes, revision, created_at, updated_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                   ON CONFLICT (id) DO UPDATE SET email = excluded.email, email_verified = excluded.email_verified, \
                   name = excluded.name, picture = excluded.picture, attributes = excluded.attributes, \
                   revision = excluded.revision, updated_at = excluded.updated_at";
        let attributes = to_value(&after.attributes)?.to_string();
        let parameters = params![
            after.id.as_str(),
            after.email.as_deref(),
            after.email_verified,
            after.name.as_deref(),
            after.picture.as_deref(),
            attributes,
            self.revision,
            after.created_at,
            after.updated_at,
        ];
        self.execute(sql, parameters).await?;
        self.move_password(after).await?;
        let logged_before = before.map(|before| logged(&before.id, &before.attributes)).transpose()?;
        let edit = Edit::new(Entity::User, &after.id, logged_before, Some(logged(&after.id, &after.attributes)?));
        self.record(edit.user(&after.id));
        Ok(())
    }

    /// Notes in the log that something was done to a user that its document does not show.
    pub fn note_user(&mut self, user: &User) -> Result<()> {
        let logged = logged(&user.id, &user.attributes)?;
        self.record(Edit::new(Entity::User, &user.id, Some(logged.clone()), Some(logged)).user(&user.id));
        Ok(())
    }

    /// Removes a user with its memberships and overrides, and ends its sessions.
    pub async fn delete_user(&mut self, user: &User) -> Result<()> {
        let id = user.id.as_str();
        for membership in self.memberships_of(Subject::User, id).await? {
            self.delete_membership(&membership).await?;
        }
        self.drop_overrides_of_subject("user", id).await?;
        // The user first: a session that is just being started holds that row, and is there to be ended once this one is gone.
        self.execute("DELETE FROM users WHERE id = $1", params![id]).await?;
        let now = self.now;
        self.end_sessions_of(id, now).await?;
        self.record(Edit::new(Entity::User, id, Some(logged(id, &user.attributes)?), None).user(id));
        Ok(())
    }

    pub async fn put_membership(&mut self, organization: &str, user: &str, after: Membership) -> Result<StoredMembership> {
        let before = self.find_membership(organization, user).await?;
        let revision = self.revision;
        let stored =
            StoredMembership { organization: organization.to_owned(), user: user.to_owned(), membership: after, revision };
        let sql = "INSERT INTO memberships (organization, user_id, roles, permissions, revision) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (organization, user_id) DO UPDATE SET roles = excluded.roles, \
                   permissions = excluded.permissions, revision = excluded.revision";
        let roles = to_value(&stored.membership.roles)?.to_string();
        let permissions = to_value(&stored.membership.permissions)?.to_string();
        self.execute(sql, params![organization, user, roles, permissions, revision]).await?;
        self.record(membership_edit(before.as_ref(), Some(&stored), &stored));
        Ok(stored)
    }

    /// Removes a membership, and ends the user's sessions in that organization.
    pub async fn delete_membership(&mut self, membership: &StoredMembership) -> Result<()> {
        let (organization, user) = (membership.organization.as_str(), membership.user.as_str());
        let now = self.now;
        self.execute("DELETE FROM memberships WHERE organization = $1 AND user_id = $2", params![organization, user])
            .await?;
        let sql = "UPDATE sessions SET revoked_at = $3 WHERE organization = $1 AND user_id = $2 AND revoked_at IS NULL";
        self.execute(sql, params![organization, user, now]).await?;
        self.record(membership_edit(Some(membership), None, membership));
        Ok(())
    }
}

impl Connection {
    /// Makes sure that a user, an organization and a membership exist, bare: no change, as no evaluation depends on it.
    pub(super) async fn ensure_member(&mut self, user: &str, organization: Option<&str>, now: Timestamp) -> Result<()> {
        let sql = "INSERT INTO users (id, attributes, revision, created_at, updated_at) \
                   SELECT $1, '{}', revision, $2, $2 FROM installation WHERE true ON CONFLICT DO NOTHING";
        self.execute(sql, params![user, now]).await?;
        if let Some(organization) = organization {
            let sql = "INSERT INTO organizations (id, name, attributes, revision, created_at) \
                       SELECT $1, $1, '{}', revision, $2 FROM installation WHERE true ON CONFLICT DO NOTHING";
            self.execute(sql, params![organization, now]).await?;
            let sql = "INSERT INTO memberships (organization, user_id, roles, permissions, revision) \
                       SELECT $1, $2, '[]', '[]', revision FROM installation WHERE true ON CONFLICT DO NOTHING";
            self.execute(sql, params![organization, user]).await?;
        }
        Ok(())
    }

    /// Keeps a user and a membership from being removed before this transaction ends: a removal ends the sessions that it
    /// sees, and would not see one that is being started. On SQLite there is no other transaction to fear.
    pub(super) async fn hold_member(&mut self, user: &str, organization: Option<&str>) -> Result<()> {
        let Self::Postgres(_) = self else { return Ok(()) };
        let sql = "SELECT 1 FROM memberships WHERE organization = $1 AND user_id = $2 FOR KEY SHARE";
        self.rows(sql, params![organization, user]).await?;
        self.hold_user(user).await
    }

    /// The same of a user alone.
    pub(super) async fn hold_user(&mut self, user: &str) -> Result<()> {
        let Self::Postgres(_) = self else { return Ok(()) };
        self.rows("SELECT 1 FROM users WHERE id = $1 FOR KEY SHARE", params![user]).await?;
        Ok(())
    }
}

fn membership_edit(before: Option<&StoredMembership>, after: Option<&StoredMembership>, place: &StoredMembership) -> Edit {
    let logged = |stored: &StoredMembership| {
        json!({
            "organization": stored.organization, "user": stored.user,
            "roles": stored.membership.roles, "permissions": stored.membership.permissions,
        })
    };
    Edit::new(Entity::Membership, format!("{}/{}", place.organization, place.user), before.map(logged), after.map(logged))
        .organization(&place.organization)
        .user(&place.user)
}
