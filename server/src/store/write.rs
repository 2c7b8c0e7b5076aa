//! A write: one transaction that holds the counter, gathers the documents it alters, and ends as one change.
//!
//! The counter's row is locked first, so that writes are one after the other and revisions become visible in order;
//! a sequence would let revision 2 be seen before 1. The time is taken under that lock and never runs backwards.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};

use flagbearer::timestamp::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::Store;
use super::engine::{Connection, Parameter, Sql, params};
use super::erasure::unnamed;
use crate::error::{Error, Kind, Result};

/// Who writes.
#[derive(Debug, Clone)]
pub struct Author {
    /// `api_key`, `application` or `system`.
    pub actor_type: &'static str,
    pub id: String,
    pub name: String,
    pub request_id: String,
    pub comment: Option<String>,
    /// Who approved it, where that had to be: as it stands in the log.
    pub approval: Option<Value>,
}

impl Author {
    /// The server itself: what it does by itself, and why.
    pub fn system(name: &str, comment: impl Into<String>) -> Self {
        Self {
            actor_type: "system",
            id: "system".to_owned(),
            name: name.to_owned(),
            request_id: String::new(),
            comment: Some(comment.into()),
            approval: None,
        }
    }

    /// The same, in the course of a request.
    pub fn on_request(self, request_id: &str) -> Self {
        Self { request_id: request_id.to_owned(), ..self }
    }
}

/// Entities and their names in the log, each written once, so that none can be read that is not known or the other way.
macro_rules! entities {
    ($($(#[$doc:meta])* $entity:ident = $name:literal,)*) => {
        /// The kinds of document that the change log holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Entity {
            $($(#[$doc])* $entity,)*
        }

        impl Entity {
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$entity => $name,)*
                }
            }

            /// The entity of this name in the log.
            pub(super) fn parse(name: &str) -> Result<Self> {
                match name {
                    $($name => Ok(Self::$entity),)*
                    other => Err(Error::internal(format!("the log holds a `{other}`"))),
                }
            }
        }
    };
}

entities! {
    Flag = "flag",
    Setting = "setting",
    Override = "override",
    Segment = "segment",
    Organization = "organization",
    User = "user",
    Membership = "membership",
    Environment = "environment",
    Application = "application",
    ApiKey = "api_key",
    IdentityProvider = "identity_provider",
    SigningKey = "signing_key",
    Webhook = "webhook",
    /// What the watermark holds against older tokens.
    Kill = "kill",
    /// Below which revision the watermark calls tokens stale.
    MinRevision = "min_revision",
}

impl Entity {
    /// Whether an evaluation or a claim can depend on it. Keys, providers and webhooks are logged, but no token says anything
    /// else because of them.
    pub fn in_tokens(self) -> bool {
        !matches!(self, Self::ApiKey | Self::IdentityProvider | Self::SigningKey | Self::Webhook)
    }

    /// Whether a compiled ruleset holds it, so that caches must load again.
    fn in_ruleset(self) -> bool {
        matches!(self, Self::Flag | Self::Setting | Self::Segment | Self::Application)
    }
}

/// One altered document, and what it is about.
#[derive(Debug, Clone)]
pub struct Edit {
    pub entity: Entity,
    pub id: String,
    /// `None`: every environment.
    pub environment: Option<String>,
    pub flag: Option<String>,
    pub organization: Option<String>,
    pub user: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
    /// A tombstone: whose entry it was is not told any more, nor what it was.
    pub erased: bool,
}

impl Edit {
    pub fn new(entity: Entity, id: impl Into<String>, before: Option<Value>, after: Option<Value>) -> Self {
        let id = id.into();
        Self { entity, id, environment: None, flag: None, organization: None, user: None, before, after, erased: false }
    }

    pub fn environment(mut self, environment: &str) -> Self {
        self.environment = Some(environment.to_owned());
        self
    }

    pub fn flag(mut self, id: &str) -> Self {
        self.flag = Some(id.to_owned());
        self
    }

    pub fn organization(mut self, id: &str) -> Self {
        self.organization = Some(id.to_owned());
        self
    }

    pub fn user(mut self, id: &str) -> Self {
        self.user = Some(id.to_owned());
        self
    }

    /// Whether administrators decide by it who is served what, so that a second one can be asked. What backends report of their
    /// users and organizations is none of it.
    pub(super) fn is_decided_by_administrators(&self) -> bool {
        match self.entity {
            Entity::Flag | Entity::Setting | Entity::Override | Entity::Segment | Entity::Environment => true,
            Entity::Application => self.reprojects(),
            _ => false,
        }
    }

    /// Whether it may have the tokens of an application carry other flags than before.
    pub fn reprojects(&self) -> bool {
        let (Entity::Application, Some(before), Some(after)) = (self.entity, &self.before, &self.after) else {
            return false;
        };
        ["projection", "profile"].into_iter().any(|member| before[member] != after[member])
    }
}

/// An open write. Nothing of it is visible, and its revision is not taken, until [`Write::commit`].
#[derive(Debug)]
pub struct Write {
    connection: Connection,
    /// The change's time: whole seconds, not before the last change's.
    pub now: Timestamp,
    /// The change's number.
    pub revision: i64,
    edits: Vec<Edit>,
    /// Places of documents that were copied from.
    sources: Vec<Edit>,
    /// The changes that this one takes back.
    reverted: BTreeSet<i64>,
    remark: Option<&'static str>,
    urgent: bool,
    /// Users who are erased, each with how many edits were noted by then.
    forgotten: Vec<(String, usize)>,
    changes: watch::Sender<i64>,
}

impl Store {
    /// Opens a write and takes the next revision, for as long as it lasts.
    pub async fn write(&self) -> Result<Write> {
        let mut connection = self.engine.write().await?;
        let sql = "UPDATE installation SET revision = revision + 1 WHERE id = 1 RETURNING revision, changed_at";
        let row = connection.row(sql, &[]).await?.ok_or_else(|| Error::internal("the installation has no counter"))?;
        // Asked only now that the row is locked: a time taken before waiting could be older than the last change's.
        let now = self.clock.now().max(row.time(1)?);
        Ok(Write::opened(connection, now, row.integer(0)?, self.changes.clone()))
    }
}

impl Deref for Write {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Write {
    pub(super) fn opened(connection: Connection, now: Timestamp, revision: i64, changes: watch::Sender<i64>) -> Self {
        let (edits, sources, reverted, forgotten) = Default::default();
        Self { connection, now, revision, edits, sources, reverted, remark: None, urgent: false, forgotten, changes }
    }

    /// As [`Connection::execute`]; here so that parameters may be taken from the write itself.
    pub(super) async fn execute(&mut self, sql: impl Into<Sql>, parameters: &[Parameter]) -> Result<u64> {
        self.connection.execute(sql, parameters).await
    }

    /// Notes an altered document for the log.
    pub fn record(&mut self, edit: Edit) {
        self.edits.push(edit);
    }

    /// What was altered so far, in order.
    pub fn noted(&self) -> &[Edit] {
        &self.edits
    }

    /// Notes that something was copied from the document at this place, which the write itself leaves as it is.
    pub fn copied_from(&mut self, place: Edit) {
        self.sources.push(place);
    }

    /// The places of everything that decides what the write does: what it alters, and what it copied from.
    pub fn stands_on(&self) -> impl Iterator<Item = &Edit> {
        self.edits.iter().chain(&self.sources)
    }

    /// Has whatever was noted of a user until now become tombstones when it is written, and the comment not name the user.
    pub(super) fn forget(&mut self, user: &str) {
        self.forgotten.push((user.to_owned(), self.edits.len()));
    }

    /// The users who are erased by it.
    pub(super) fn forgotten(&self) -> impl Iterator<Item = &str> {
        self.forgotten.iter().map(|(user, _)| user.as_str())
    }

    /// Says that this change takes a former one back.
    pub fn revert(&mut self, revision: i64) {
        self.reverted.insert(revision);
    }

    /// Says what was done where the documents do not show it; an author's own comment goes before.
    pub fn remark(&mut self, text: &'static str) {
        self.remark = Some(text);
    }

    /// Makes every older token stale, in each environment that the change touches.
    pub fn make_urgent(&mut self) {
        self.urgent = true;
    }

    /// Writes the change and everything it describes, and makes both visible at once.
    pub async fn commit(mut self, author: &Author) -> Result<i64> {
        if self.urgent {
            self.raise_minimums().await?;
        }
        let comment = author.comment.as_deref().or(self.remark).map(str::to_owned);
        let named = |comment: String| self.forgotten.iter().fold(comment, |comment, (user, _)| unnamed(&comment, user));
        let comment = comment.map(named);
        for (user, noted) in &self.forgotten {
            self.edits.iter_mut().take(*noted).for_each(|edit| edit.erase(user));
        }
        let sql = "INSERT INTO changes (revision, at, actor_type, actor_id, actor_name, request_id, comment, approval) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let parameters = params![
            self.revision,
            self.now,
            author.actor_type,
            author.id.as_str(),
            author.name.as_str(),
            author.request_id.as_str(),
            comment,
            author.approval.as_ref().map(Value::to_string),
        ];
        self.connection.execute(sql, parameters).await?;
        self.connection.execute("UPDATE installation SET changed_at = $1 WHERE id = 1", params![self.now]).await?;
        for (position, edit) in self.edits.iter().enumerate() {
            let sql = "INSERT INTO edits (revision, position, entity, id, environment, flag, organization, user_id, before, after, \
                       in_tokens, erased) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
            let parameters = params![
                self.revision,
                position as i64,
                edit.entity.as_str(),
                edit.id.as_str(),
                edit.environment.as_deref(),
                edit.flag.as_deref(),
                edit.organization.as_deref(),
                edit.user.as_deref(),
                edit.before.as_ref().map(Value::to_string),
                edit.after.as_ref().map(Value::to_string),
                edit.entity.in_tokens(),
                edit.erased,
            ];
            self.connection.execute(sql, parameters).await?;
        }
        for reverted in &self.reverted {
            let sql = "INSERT INTO reverts (revision, reverted) VALUES ($1, $2)";
            self.connection.execute(sql, params![self.revision, *reverted]).await?;
        }
        self.mark_environments().await?;
        self.connection.enqueue_deliveries(self.revision, self.now, &self.edits).await?;
        self.connection.commit().await?;
        self.changes.send_replace(self.revision);
        Ok(self.revision)
    }

    /// Ends the write as if nothing had been; answers the documents that it would have altered, in order.
    pub async fn abandon(self) -> Result<Vec<Edit>> {
        self.connection.rollback().await?;
        Ok(self.edits)
    }

    async fn raise_minimums(&mut self) -> Result<()> {
        let edits = || self.edits.iter().filter(|edit| edit.entity.in_tokens());
        let mut touched: BTreeSet<String> = edits().filter_map(|edit| edit.environment.clone()).collect();
        if edits().any(|edit| edit.environment.is_none()) {
            touched.extend(self.connection.environments().await?.into_iter().map(|environment| environment.name));
        }
        if touched.is_empty() {
            let detail = "no token depends on this, so that none can be made stale by it; leave `urgent` out";
            return Err(Error::new(Kind::Refused, "URGENCY_POINTLESS", detail));
        }
        for environment in touched {
            self.raise_minimum(&environment).await?;
        }
        Ok(())
    }

    /// Moves the two numbers of every environment that the change touches.
    async fn mark_environments(&mut self) -> Result<()> {
        let edits = || self.edits.iter().filter(|edit| edit.entity.in_tokens());
        let everywhere = edits().any(|edit| edit.environment.is_none());
        let ruleset_everywhere = edits().any(|edit| edit.environment.is_none() && edit.entity.in_ruleset());
        let named: BTreeSet<(String, bool)> =
            edits().filter_map(|edit| edit.environment.clone().map(|name| (name, edit.entity.in_ruleset()))).collect();
        if everywhere {
            let sql = "UPDATE environments SET revision = $1, \
                       ruleset_revision = CASE WHEN $2 = 1 THEN $1 ELSE ruleset_revision END";
            self.connection.execute(sql, params![self.revision, ruleset_everywhere]).await?;
        }
        for (name, ruleset) in named {
            let sql = "UPDATE environments SET revision = $1, \
                       ruleset_revision = CASE WHEN $2 = 1 THEN $1 ELSE ruleset_revision END WHERE name = $3";
            self.connection.execute(sql, params![self.revision, ruleset, name]).await?;
        }
        Ok(())
    }
}
