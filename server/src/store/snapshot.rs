//! Everything that one token needs, read in one snapshot: the environment's revisions, the subjects' attributes, the
//! membership, the overrides, and a ruleset and signing keys of exactly those revisions.
//!
//! This is the freshness promise's reading half. A compiled ruleset is remembered per environment and used only when its
//! revision *equals* the snapshot's, and so are the keys; nobody has to be told of a change for it to be seen.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use flagbearer::attributes::Attributes;
use flagbearer::evaluation::{Context, Evaluation, Overrides, Subject};
use flagbearer::flag::FlagValue;
use flagbearer::ruleset::Ruleset;
use flagbearer::setting::Override;
use flagbearer::timestamp::Timestamp;

use super::applications::Application;
use super::directory::{Membership, attributes, strings};
use super::engine::{Connection, Row, Sql, params};
use super::history::Standpoint;
use super::signing_keys::SigningKeys;
use crate::error::{Error, Result};

/// Columns of the facts, to follow others in a SELECT from `place (environment, user_id, organization)` and the joins below.
/// Overrides come as one JSON array of `[level, flag, value, expires_at]`; `$listed` says whether the user's organizations
/// are wanted too, as `[id, name]` and no more than a hundred of them.
macro_rules! sqlite_facts {
    ($listed:literal) => {
        concat!(
            "e.revision, e.ruleset_revision, u.attributes, o.attributes, m.roles, m.permissions, \
             (SELECT json_group_array(json_array(v.level, v.flag, v.value, v.expires_at)) FROM overrides v \
              WHERE (v.level = 'user' AND v.subject = place.user_id AND v.environment = '') \
                 OR (v.level = 'organization' AND v.subject = place.organization AND v.environment = place.environment)), \
             u.email, u.email_verified, u.name, u.picture, u.created_at, u.updated_at, u.last_sign_in_at, \
             o.name, CASE WHEN ",
            $listed,
            " THEN (SELECT json_group_array(json_array(l.id, l.name)) FROM (SELECT w.id, w.name FROM memberships k \
              JOIN organizations w ON w.id = k.organization WHERE k.user_id = place.user_id ORDER BY w.id LIMIT 100) l) END, e.keys_revision"
        )
    };
}
macro_rules! postgres_facts {
    ($listed:literal) => {
        concat!(
            "e.revision, e.ruleset_revision, u.attributes, o.attributes, m.roles, m.permissions, \
             COALESCE((SELECT json_agg(json_build_array(v.level, v.flag, v.value, v.expires_at)) FROM overrides v \
              WHERE (v.level = 'user' AND v.subject = place.user_id AND v.environment = '') \
                 OR (v.level = 'organization' AND v.subject = place.organization AND v.environment = place.environment) \
             )::text, '[]'), \
             u.email, u.email_verified, u.name, u.picture, u.created_at, u.updated_at, u.last_sign_in_at, \
             o.name, CASE WHEN ",
            $listed,
            " THEN COALESCE((SELECT json_agg(json_build_array(l.id, l.name)) FROM (SELECT w.id, w.name FROM memberships k \
              JOIN organizations w ON w.id = k.organization WHERE k.user_id = place.user_id ORDER BY w.id LIMIT 100) l \
             )::text, '[]') END, e.keys_revision"
        )
    };
}
macro_rules! joins {
    () => {
        " LEFT JOIN environments e ON e.name = place.environment LEFT JOIN users u ON u.id = place.user_id \
         LEFT JOIN organizations o ON o.id = place.organization \
         LEFT JOIN memberships m ON m.organization = place.organization AND m.user_id = place.user_id "
    };
}
pub(super) use {joins, postgres_facts, sqlite_facts};

/// What a snapshot says of one place (environment, user, organization), before its ruleset is known.
#[derive(Debug, Clone)]
pub struct Facts {
    pub environment: String,
    pub user: Option<String>,
    pub organization: Option<String>,
    /// The environment's last change.
    pub revision: i64,
    pub ruleset_revision: i64,
    /// The last change to its signing keys.
    pub keys_revision: i64,
    pub user_attributes: Attributes,
    pub organization_attributes: Attributes,
    /// None where the user is not a member of the organization.
    pub membership: Option<Membership>,
    /// What ID tokens, and access tokens that ask for it, say of the user. No evaluation sees it.
    pub person: Person,
    pub organization_name: Option<String>,
    /// The user's organizations as (id, name), the first hundred by id, where they were asked for.
    pub organizations: Vec<(String, String)>,
    overrides: String,
}

/// A user as a person.
#[derive(Debug, Clone, Default)]
pub struct Person {
    pub email: Option<String>,
    pub email_verified: bool,
    pub name: Option<String>,
    pub picture: Option<String>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub last_sign_in_at: Option<Timestamp>,
}

impl Facts {
    /// Reads the facts that begin at a column; `None` where there is no such environment.
    pub(super) fn read(
        row: &Row,
        first: usize,
        environment: Option<String>,
        user: Option<String>,
        organization: Option<String>,
    ) -> Result<Option<Self>> {
        let (Some(environment), Some(revision)) = (environment, row.maybe_integer(first)?) else { return Ok(None) };
        let known = |text: Option<String>| match text.as_deref() {
            None | Some("{}") => Ok(Attributes::default()),
            Some(text) => attributes(text),
        };
        let membership = match (row.maybe_text(first + 4)?, row.maybe_text(first + 5)?) {
            (Some(roles), Some(permissions)) => {
                Some(Membership { roles: strings(&roles)?, permissions: strings(&permissions)? })
            }
            _ => None,
        };
        let person = Person {
            email: row.maybe_text(first + 7)?,
            email_verified: row.maybe_integer(first + 8)? == Some(1),
            name: row.maybe_text(first + 9)?,
            picture: row.maybe_text(first + 10)?,
            created_at: row.maybe_time(first + 11)?,
            updated_at: row.maybe_time(first + 12)?,
            last_sign_in_at: row.maybe_time(first + 13)?,
        };
        let organizations = match row.maybe_text(first + 15)? {
            Some(listed) => serde_json::from_str(&listed).map_err(Error::internal)?,
            None => Vec::new(),
        };
        Ok(Some(Self {
            environment,
            user,
            organization,
            revision,
            ruleset_revision: row.integer(first + 1)?,
            keys_revision: row.integer(first + 16)?,
            user_attributes: known(row.maybe_text(first + 2)?)?,
            organization_attributes: known(row.maybe_text(first + 3)?)?,
            membership,
            person,
            organization_name: row.maybe_text(first + 14)?,
            organizations,
            overrides: row.text(first + 6)?,
        }))
    }

    fn overrides(&self, ruleset: &Ruleset) -> Result<Overrides> {
        let mut overrides = Overrides::default();
        if self.overrides == "[]" {
            return Ok(overrides);
        }
        let rows: Vec<(String, String, String, Option<i64>)> =
            serde_json::from_str(&self.overrides).map_err(Error::internal)?;
        for (level, id, value, expires_at) in rows {
            // A flag that is archived keeps its overrides, but the ruleset does not have it.
            let Some(flag) = ruleset.flag_by_id(&id) else { continue };
            let value = FlagValue::from_text(&value, flag.flag_type).map_err(Error::internal)?;
            let found = Override { value, note: None, expires_at: expires_at.map(Timestamp::from_milliseconds) };
            let list = if level == "user" { &mut overrides.user } else { &mut overrides.organization };
            list.push((flag.id.clone(), found));
        }
        Ok(overrides)
    }
}

/// What belongs to the facts and is remembered, for it changes seldom: the ruleset and the signing keys, each of the very
/// revision that the facts name.
#[derive(Debug, Clone)]
pub(super) struct Companions {
    ruleset: Arc<Ruleset>,
    signing_keys: Arc<SigningKeys>,
}

/// Facts with the ruleset and the keys of the same snapshot: ready to evaluate and to sign.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub facts: Facts,
    pub ruleset: Arc<Ruleset>,
    pub signing_keys: Arc<SigningKeys>,
    pub overrides: Overrides,
}

impl Snapshot {
    pub(super) fn new(facts: Facts, companions: Companions) -> Result<Self> {
        let Companions { ruleset, signing_keys } = companions;
        let overrides = facts.overrides(&ruleset)?;
        Ok(Self { facts, ruleset, signing_keys, overrides })
    }

    pub fn context(&self) -> Context<'_> {
        let user = self.facts.user.as_deref().map(|id| Subject { id, attributes: &self.facts.user_attributes });
        let organization =
            self.facts.organization.as_deref().map(|id| Subject { id, attributes: &self.facts.organization_attributes });
        Context { user, organization }
    }

    /// Every flag's value here, at this instant.
    pub fn evaluations(&self, now: Timestamp) -> Vec<Evaluation<'_>> {
        let mut evaluations = Vec::new();
        self.ruleset.evaluate_all(&self.overrides, &self.context(), now, &mut evaluations);
        evaluations
    }

    /// The same of the flags that an application's tokens carry.
    pub fn carried(&self, application: &Application, now: Timestamp) -> Vec<Evaluation<'_>> {
        let (projection, mut evaluations) = (&application.projection, Vec::new());
        self.ruleset.evaluate_carried(projection, &self.overrides, &self.context(), now, &mut evaluations);
        evaluations
    }
}

/// The newest of each environment, with its revision.
#[derive(Debug)]
pub(super) struct Newest<T>(RwLock<HashMap<String, (i64, Arc<T>)>>);

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Newest<T> {
    /// What is remembered, whatever its revision.
    pub fn any(&self, environment: &str) -> Option<Arc<T>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.get(environment).map(|(_, held)| held.clone())
    }

    /// What is remembered, if it is of this very revision.
    fn matching(&self, environment: &str, revision: i64) -> Option<Arc<T>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.get(environment).filter(|(held, _)| *held == revision).map(|(_, held)| held.clone())
    }

    fn remember(&self, environment: &str, revision: i64, found: &Arc<T>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // A slower reader must not put an older one back; it would only cost, but it would cost everybody.
        if held.get(environment).is_none_or(|(held, _)| *held < revision) {
            held.insert(environment.to_owned(), (revision, found.clone()));
        }
    }

    /// Forgets an environment that is gone.
    pub fn forget(&self, environment: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(environment);
    }
}

const ONE: Sql = Sql::either(
    concat!(
        "SELECT ",
        sqlite_facts!("1 = 1"),
        " FROM (SELECT $1 AS environment, $2 AS user_id, $3 AS organization) place",
        joins!()
    ),
    concat!(
        "SELECT ",
        postgres_facts!("1 = 1"),
        " FROM (SELECT CAST($1 AS TEXT) COLLATE \"C\" AS environment, CAST($2 AS TEXT) COLLATE \"C\" AS user_id, \
         CAST($3 AS TEXT) COLLATE \"C\" AS organization) place",
        joins!()
    ),
);

impl super::Inner {
    /// A place as a transaction sees it.
    pub async fn snapshot_in(&self, connection: &mut Connection, standpoint: Standpoint<'_>) -> Result<Snapshot> {
        let Standpoint { environment, user, organization } = standpoint;
        let row = connection.row(ONE, params![environment, user, organization]).await?;
        let (user, organization) = (user.map(str::to_owned), organization.map(str::to_owned));
        let facts = match row {
            Some(row) => Facts::read(&row, 0, Some(environment.to_owned()), user, organization)?,
            None => None,
        };
        let facts = facts.ok_or_else(|| Error::not_found("environment", environment))?;
        let companions = self.companions(connection, &facts).await?;
        Snapshot::new(facts, companions)
    }

    /// What the facts ask for, where all of it is remembered.
    pub(super) fn held_companions(&self, facts: &Facts) -> Option<Companions> {
        let ruleset = self.rulesets.matching(&facts.environment, facts.ruleset_revision)?;
        let signing_keys = self.signing_keys.matching(&facts.environment, facts.keys_revision)?;
        Some(Companions { ruleset, signing_keys })
    }

    /// What the facts ask for: remembered, or read in the very snapshot that the facts are from.
    pub(super) async fn companions(&self, connection: &mut Connection, facts: &Facts) -> Result<Companions> {
        Ok(Companions {
            ruleset: self.ruleset_at(connection, &facts.environment, facts.ruleset_revision).await?,
            signing_keys: self.signing_keys_at(connection, &facts.environment, facts.keys_revision).await?,
        })
    }

    async fn ruleset_at(&self, connection: &mut Connection, environment: &str, revision: i64) -> Result<Arc<Ruleset>> {
        if let Some(ruleset) = self.rulesets.matching(environment, revision) {
            return Ok(ruleset);
        }
        let flags = connection.living_settings(environment).await?;
        let segments = connection.all_segments().await?;
        let ruleset = Arc::new(Ruleset::compile(revision, flags, segments));
        self.rulesets.remember(environment, revision, &ruleset);
        Ok(ruleset)
    }

    /// An environment's signing keys as of their revision, which has to be the one that the connection's snapshot has.
    pub(super) async fn signing_keys_at(
        &self,
        connection: &mut Connection,
        environment: &str,
        revision: i64,
    ) -> Result<Arc<SigningKeys>> {
        if let Some(keys) = self.signing_keys.matching(environment, revision) {
            return Ok(keys);
        }
        let keys = Arc::new(SigningKeys { revision, keys: connection.signing_keys(environment).await? });
        self.signing_keys.remember(environment, revision, &keys);
        Ok(keys)
    }

    /// An environment's signing keys as they were when they were last looked at, however long ago.
    pub fn last_signing_keys(&self, environment: &str) -> Option<Arc<SigningKeys>> {
        self.signing_keys.any(environment)
    }

    /// Forgets what is remembered of an environment that is gone.
    pub fn forget(&self, environment: &str) {
        self.rulesets.forget(environment);
        self.signing_keys.forget(environment);
    }
}
