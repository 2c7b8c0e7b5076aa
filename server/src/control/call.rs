//! A request of the admin API, read and authenticated, and its answer. No HTTP types: what an administrator does is the
//! same from wherever it comes.

use std::collections::{BTreeMap, BTreeSet};

use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::Batch;
use crate::error::{Error, Kind, Result};
use crate::store::{ApiKey, Application, Author, Environment, Role};

/// Who calls.
#[derive(Debug, Clone)]
pub struct Actor {
    /// `api_key`, or `application` for one that shows a machine token.
    pub kind: &'static str,
    pub id: String,
    pub name: String,
    pub role: Role,
    /// The one environment that it is for; any where none is named.
    pub environment: Option<String>,
}

impl Actor {
    /// An application with a machine token. An administrator has given it the permission to do this; beyond that it may
    /// do no more than an editor. `environment` is none where the permission is for what all environments share.
    pub fn application(application: &Application, environment: Option<&str>) -> Self {
        Self {
            kind: "application",
            id: application.client_id.clone(),
            name: application.name.clone(),
            role: Role::Editor,
            environment: environment.map(str::to_owned),
        }
    }

    fn noun(&self) -> &'static str {
        if self.kind == "application" { "an application" } else { "a key" }
    }
}

impl From<ApiKey> for Actor {
    fn from(key: ApiKey) -> Self {
        Self { kind: "api_key", id: key.id, name: key.name, role: key.role, environment: key.environment }
    }
}

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct Call {
    pub actor: Actor,
    pub request_id: String,
    /// What was asked for, so that it can be written down and done again.
    pub request: Request,
    pub comment: Option<String>,
    /// The revision that the caller believes to be the last (`If-Match`).
    pub if_match: Option<IfMatch>,
    pub once: Option<Once>,
    /// What the caller knowingly accepts (`?confirm=a,b`).
    pub confirm: BTreeSet<String>,
    /// Whether all older tokens are to be stale by this change (`?urgent=true`).
    pub urgent: bool,
    /// Whether only to say what would change (`?preview=true`).
    pub preview: bool,
    /// The batch whose change it is a part of.
    pub batch: Option<Batch>,
    /// Whose proposal is made by this call, which approves it.
    pub approved: Option<Author>,
    pub query: BTreeMap<String, String>,
    /// `null` where there is none.
    pub body: Value,
}

/// A request as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
}

/// What has to be there for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: anything at all.
    Any,
    /// Just this.
    Revision(i64),
}

/// What makes a retry recognisable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    pub scope: String,
    pub body_hash: String,
}

impl Call {
    /// Whose change it is.
    pub fn author(&self) -> Author {
        if let Some(author) = &self.approved {
            return author.clone();
        }
        Author {
            actor_type: self.actor.kind,
            id: self.actor.id.clone(),
            name: self.actor.name.clone(),
            request_id: self.request_id.clone(),
            comment: self.comment.clone(),
            approval: None,
        }
    }

    /// Refuses query parameters that this call does not have: a mistyped filter must not widen what is done.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.query.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Error::malformed("PARAMETER_UNKNOWN", format!("`{name}` is not a parameter of this call"))),
        }
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub fn required(&self, name: &str) -> Result<&str> {
        self.parameter(name)
            .ok_or_else(|| Error::malformed("PARAMETER_MISSING", format!("the parameter `{name}` is required")))
    }

    /// A parameter that is `true` or `false`.
    pub fn choice(&self, name: &str) -> Result<Option<bool>> {
        match self.parameter(name) {
            None => Ok(None),
            Some("false") => Ok(Some(false)),
            Some("true") => Ok(Some(true)),
            Some(other) => {
                let detail = format!("`{name}` is `true` or `false`, not `{other}`");
                Err(Error::malformed("PARAMETER_INVALID", detail))
            }
        }
    }

    pub fn time(&self, name: &str) -> Result<Option<Timestamp>> {
        let parse = |text: &str| text.parse().map_err(|error: flagbearer::error::Error| error.under(&format!("?{name}")));
        Ok(self.parameter(name).map(parse).transpose()?)
    }

    /// How many the caller wants at once: 1 to 200, 50 where not said.
    pub fn limit(&self) -> Result<i64> {
        let Some(text) = self.parameter("limit") else { return Ok(50) };
        text.parse().ok().filter(|limit| (1..=200).contains(limit)).ok_or_else(|| {
            Error::malformed("PARAMETER_INVALID", format!("`limit` is a whole number from 1 to 200, not `{text}`"))
        })
    }

    /// Where the caller's list goes on; empty at its beginning.
    pub fn cursor(&self) -> &str {
        self.parameter("cursor").unwrap_or_default()
    }

    /// Refuses a write over another revision than the caller saw. `None`: nothing is there (RFC 9110 §13.1.1).
    pub fn check_match(&self, revision: impl Into<Option<i64>>) -> Result<()> {
        let detail = match (self.if_match, revision.into()) {
            (None, _) | (Some(IfMatch::Any), Some(_)) => return Ok(()),
            (Some(IfMatch::Revision(expected)), Some(revision)) if expected == revision => return Ok(()),
            (Some(IfMatch::Revision(expected)), Some(revision)) => {
                format!("this was changed since: it is at revision {revision}, you have {expected}; read it again")
            }
            (Some(_), None) => "there is nothing here yet that could match; leave `If-Match` out to create it".to_owned(),
        };
        Err(Error::new(Kind::Stale, "REVISION_MISMATCH", detail))
    }

    /// Refuses a body where there is nothing to say: a caller who sends one expects it to do something.
    pub fn no_body(&self) -> Result<()> {
        match &self.body {
            Value::Null => Ok(()),
            Value::Object(members) if members.is_empty() => Ok(()),
            _ => Err(Error::malformed("BODY_UNEXPECTED", "this call takes no body")),
        }
    }

    /// Refuses what only a change can be.
    pub fn no_change(&self) -> Result<()> {
        let said = [(self.urgent, "urgent"), (self.preview, "preview")].into_iter().find(|(said, _)| *said);
        match said {
            Some((_, name)) => {
                let detail = format!("`{name}` is for changes, and this call makes none");
                Err(Error::malformed("PARAMETER_UNKNOWN", detail))
            }
            None => self.alone("only changes can be in a batch, and this call makes none"),
        }
    }

    /// Refuses to be a part of a batch, and says why not.
    pub fn alone(&self, why: &str) -> Result<()> {
        if self.batch.is_some() {
            return Err(Error::new(Kind::Refused, "BATCH_REFUSED", format!("{why}; send it by itself")));
        }
        Ok(())
    }

    /// Refuses to foretell what nobody is served by.
    pub fn no_preview(&self) -> Result<()> {
        if self.preview {
            let detail = "`preview` is for what can change who is served what; this call cannot";
            return Err(Error::malformed("PARAMETER_UNKNOWN", detail));
        }
        Ok(())
    }

    /// Whether the caller knowingly accepts something. Whoever only looks has nothing to lose.
    pub fn confirmed(&self, what: &str) -> bool {
        self.preview || self.confirm.contains(what)
    }

    fn role(&self, roles: &[Role], to: &str) -> Result<()> {
        if roles.contains(&self.actor.role) {
            return Ok(());
        }
        Err(Error::forbidden(format!("{} with the role `{}` may not {to}", self.actor.noun(), self.actor.role.as_str())))
    }

    /// May read what concerns this environment.
    pub fn may_read(&self, environment: &str) -> Result<()> {
        match &self.actor.environment {
            Some(bound) if bound != environment => {
                Err(Error::forbidden(format!("this is {} that is bound to the environment `{bound}`", self.actor.noun())))
            }
            _ => Ok(()),
        }
    }

    /// May read what concerns all environments at once.
    pub fn may_read_everywhere(&self) -> Result<()> {
        self.unbound("read what concerns all environments")
    }

    /// May change settings and organization overrides of this environment.
    pub fn may_change(&self, environment: &Environment) -> Result<()> {
        self.role(&[Role::Editor, Role::Administrator], "change settings")?;
        self.may_read(&environment.name)?;
        if environment.protected {
            self.role(&[Role::Administrator], &format!("change the protected environment `{}`", environment.name))?;
        }
        Ok(())
    }

    /// May kill a flag in this environment, protected or not: whoever sees the fire may put it out.
    pub fn may_kill(&self, environment: &Environment) -> Result<()> {
        self.role(&[Role::Editor, Role::Administrator], "kill flags")?;
        self.may_read(&environment.name)
    }

    /// May change what all environments share: flags, user overrides, segments. An editor may, where none is protected.
    pub fn may_change_shared(&self, environments: &[Environment]) -> Result<()> {
        self.unbound("change what all environments share")?;
        self.role(&[Role::Editor, Role::Administrator], "change flags")?;
        match environments.iter().find(|environment| environment.protected) {
            Some(environment) => self.role(
                &[Role::Administrator],
                &format!("change what all environments share while `{}` is protected", environment.name),
            ),
            None => Ok(()),
        }
    }

    /// May do what is an administrator's alone.
    pub fn may_administer(&self) -> Result<()> {
        self.unbound("administer the installation")?;
        self.role(&[Role::Administrator], "administer the installation")
    }

    /// May approve and reject what others propose.
    pub fn may_decide(&self) -> Result<()> {
        if self.actor.kind != "api_key" {
            return Err(Error::forbidden("an application may not approve or reject changes; an administrator has to"));
        }
        self.role(&[Role::Administrator], "approve or reject changes")
    }

    /// May say something of changes that it sees.
    pub fn may_comment(&self) -> Result<()> {
        self.role(&[Role::Editor, Role::Administrator], "comment on changes")
    }

    /// May start and end sessions, and evaluate, in this environment.
    pub fn may_serve(&self, environment: &str) -> Result<()> {
        self.role(&[Role::Application, Role::Administrator], "start or end sessions")?;
        self.may_read(environment)
    }

    fn unbound(&self, to: &str) -> Result<()> {
        match &self.actor.environment {
            None => Ok(()),
            Some(bound) => {
                Err(Error::forbidden(format!("{} bound to the environment `{bound}` may not {to}", self.actor.noun())))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    Done,
    Created,
    /// Not done yet: it waits for a second administrator.
    Accepted,
    /// Done, and there is nothing to say.
    Gone,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub success: Success,
    pub body: Value,
    /// The revision of the resource, where it is one: its `ETag`.
    pub revision: Option<i64>,
}

impl Answer {
    pub fn done(body: Value) -> Self {
        Self { success: Success::Done, body, revision: None }
    }

    pub fn created(body: Value, revision: i64) -> Self {
        Self { success: Success::Created, body, revision: Some(revision) }
    }

    pub fn gone() -> Self {
        Self { success: Success::Gone, body: Value::Null, revision: None }
    }

    pub fn at(mut self, revision: i64) -> Self {
        self.revision = Some(revision);
        self
    }

    /// A page of a list. `cursor` leads on from the last item of a full page.
    pub fn page(data: Vec<Value>, limit: i64, cursor: impl FnOnce(&Value) -> String) -> Self {
        let full = i64::try_from(data.len()).is_ok_and(|length| length >= limit);
        let next = data.last().filter(|_| full).map(cursor);
        Self::done(json!({ "data": data, "next_cursor": next }))
    }

    /// As remembered for a retry.
    pub fn to_bytes(&self) -> Vec<u8> {
        let success = match self.success {
            Success::Done => "done",
            Success::Created => "created",
            Success::Accepted => "accepted",
            Success::Gone => "gone",
        };
        json!({ "success": success, "body": self.body, "revision": self.revision }).to_string().into_bytes()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut value: Value = serde_json::from_slice(bytes).map_err(Error::internal)?;
        let success = match value["success"].as_str() {
            Some("done") => Success::Done,
            Some("created") => Success::Created,
            Some("accepted") => Success::Accepted,
            _ => Success::Gone,
        };
        Ok(Self { success, body: value["body"].take(), revision: value["revision"].as_i64() })
    }
}
