//! Changes that wait for a second administrator: proposed instead of made, talked about, and made by whoever approves, as one
//! change of the one who proposed it.

use flagbearer::document::Node;
use flagbearer::error::ErrorCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::changes::MAX_COMMENT;
use super::effects::Outcome;
use super::{Answer, Batch, Call, Control, Success};
use crate::error::{Error, Kind, Result};
use crate::secret::random_alphanumeric;
use crate::store::{Author, PendingChange, PendingFilter, PendingState, Write, touch};
use crate::turns::Turn;
use crate::uri::canonical;

/// What whoever approves confirms when something was changed after the proposal.
const LATER_CHANGES: &str = "later-changes";

/// A proposal that is being done: its writes, and what they are done into.
#[derive(Debug)]
pub struct Begun {
    pending: PendingChange,
    /// What they are done as: allowed what the approver is, and the author's change.
    pub call: Call,
    pub batch: Batch,
    /// `[{method, path, body}]`, as a batch takes them.
    pub writes: Value,
    /// Held until it is dropped, where it is for a preview.
    _turn: Option<Turn>,
}

impl Control {
    /// Writes down what a call would have done, for others to approve. Of the write itself nothing remains.
    pub(super) async fn propose(
        &self,
        write: Write,
        call: &Call,
        answer: &Answer,
        environments: Vec<String>,
    ) -> Result<Answer> {
        if !call.request.path.starts_with("/v1/") {
            let names = environments.join("`, `");
            let detail =
                format!("what changes `{names}` waits for a second administrator, which cannot be said here; use `/v1`");
            return Err(Error::conflict("APPROVAL_REQUIRED", detail));
        }
        let touched: Vec<Option<String>> = write.noted().iter().map(|edit| edit.environment.clone()).collect();
        let first = touched.first().cloned().flatten();
        let document = json!({
            "author": actor(call),
            "request_id": call.request_id,
            "comment": call.comment,
            "writes": writes(call),
            "confirm": call.confirm,
            "urgent": call.urgent,
            "environments": environments,
            "effect": answer.body["effect"],
            "holdouts": answer.body["holdouts"],
            "touches": write.stands_on().map(touch).collect::<Vec<_>>(),
        });
        let pending = PendingChange {
            id: format!("pc_{}", random_alphanumeric(22)?),
            state: PendingState::Pending,
            author: call.actor.id.clone(),
            environment: first.filter(|first| touched.iter().all(|other| other.as_ref() == Some(first))),
            document,
            base_revision: write.revision - 1,
            created_at: write.now,
            decision: None,
            revision: None,
        };
        drop(write);
        let answer = Answer { success: Success::Accepted, body: pending.answer(), revision: None };
        let mut aside = self.store.aside().await?;
        aside.insert_pending_change(&pending).await?;
        self.settle(aside, call, answer).await
    }

    /// Pending changes, the newest first; those that were decided, too, unless a state is named.
    pub async fn pending_changes(&self, call: &Call) -> Result<Answer> {
        call.only(&["state", "environment", "author", "cursor", "limit"])?;
        let limit = call.limit()?;
        let state = call.parameter("state").map(|name| {
            PendingState::parse(name).ok_or_else(|| {
                let names = flagbearer::document::list(&PendingState::ALL.map(PendingState::as_str));
                Error::malformed("PARAMETER_INVALID", format!("`{name}` is not a state; choose from {names}"))
            })
        });
        let mut connection = self.store.read().await?;
        let environment = call.parameter("environment").map(str::to_owned);
        if let Some(environment) = &environment {
            call.may_read(environment)?;
            connection.environment(environment).await?;
        }
        let author = call.parameter("author").map(str::to_owned);
        let filter = PendingFilter { state: state.transpose()?, environment, only: call.actor.environment.clone(), author };
        let found = connection.pending_changes(&filter, call.cursor(), limit).await?;
        let data = found.iter().map(PendingChange::answer).collect();
        Ok(Answer::page(data, limit, |last| last["id"].as_str().unwrap_or_default().to_owned()))
    }

    /// A pending change, with what was said about it, and what has been changed since under it.
    pub async fn pending_change(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&["preview"])?;
        let mut connection = self.store.read().await?;
        let pending = connection.pending_change(id).await?;
        visible(call, &pending)?;
        let mut body = pending.answer();
        body["comments"] = connection.pending_comments(id).await?.into();
        body["later_changes"] = match pending.state {
            PendingState::Pending => connection.later_changes(&pending).await?.into(),
            _ => Value::Null,
        };
        Ok(Answer::done(body))
    }

    /// Says something about a pending change, decided or not.
    pub async fn comment_on_pending_change(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.no_change()?;
        call.may_comment()?;
        let mut members = Node::root(&call.body).members()?;
        let node = members.required("text")?;
        let text = node.text(MAX_COMMENT)?;
        if text.trim().is_empty() {
            return Err(node.error(ErrorCode::TextInvalid, "an empty comment says nothing").into());
        }
        members.finish()?;
        let mut aside = self.store.aside().await?;
        visible(call, &aside.pending_change(id).await?)?;
        let comment = json!({ "at": self.store.now(), "actor": actor(call), "text": text });
        aside.comment_on_pending_change(id, &comment).await?;
        self.settle(aside, call, Answer { success: Success::Created, body: comment, revision: None }).await
    }

    /// Decides that a pending change is not made.
    pub async fn reject_pending_change(&self, call: &Call, id: &str) -> Result<Answer> {
        call.may_decide()?;
        self.end_pending_change(call, id, PendingState::Rejected).await
    }

    /// Takes one's own proposal back.
    pub async fn withdraw_pending_change(&self, call: &Call, id: &str) -> Result<Answer> {
        self.end_pending_change(call, id, PendingState::Withdrawn).await
    }

    async fn end_pending_change(&self, call: &Call, id: &str, state: PendingState) -> Result<Answer> {
        call.only(&[])?;
        call.no_body()?;
        call.no_change()?;
        let mut aside = self.store.aside().await?;
        let pending = aside.pending_change(id).await?;
        visible(call, &pending)?;
        if state == PendingState::Withdrawn && pending.author != call.actor.id {
            return Err(Error::forbidden("a change is withdrawn by who proposed it; others reject it"));
        }
        let decision = json!({ "actor": actor(call), "at": self.store.now(), "comment": call.comment });
        if !aside.decide(id, state, &decision, None).await? {
            return Err(decided(&aside.pending_change(id).await?));
        }
        let answer = Answer::done(aside.pending_change(id).await?.answer());
        self.settle(aside, call, answer).await
    }

    /// Begins to do what was proposed, under the decision that it is done: both become durable together, or neither.
    pub async fn begin_approval(&self, call: &Call, id: &str) -> Result<Begun> {
        call.only(&[])?;
        call.no_body()?;
        call.may_decide()?;
        let mut write = self.store.write().await?;
        let pending = write.pending_change(id).await?;
        visible(call, &pending)?;
        if pending.author == call.actor.id {
            let detail = "who proposed a change may not approve it: another administrator has to";
            return Err(Error::new(Kind::Forbidden, "OWN_CHANGE", detail));
        }
        let decision = json!({ "actor": actor(call), "at": write.now, "comment": call.comment });
        let revision = write.revision;
        if !write.decide(id, PendingState::Applied, &decision, Some(revision)).await? {
            return Err(decided(&write.pending_change(id).await?));
        }
        let later = write.later_changes(&pending).await?;
        if !later.is_empty() && !call.confirmed(LATER_CHANGES) {
            let said = call.confirm.iter().map(String::as_str).chain([LATER_CHANGES]).collect::<Vec<_>>().join(",");
            let detail = "what this touches was changed after it was proposed, and would be overwritten";
            return Err(Error::unconfirmed(&said, detail).listing(later));
        }
        Ok(begun(call, pending, write))
    }

    /// Begins to do what was proposed, only to see what comes of it.
    pub async fn begin_rehearsal(&self, call: &Call, id: &str) -> Result<Begun> {
        let turn = Some(self.previews.take().await?);
        let mut write = self.store.write().await?;
        let pending = write.pending_change(id).await?;
        visible(call, &pending)?;
        if pending.state != PendingState::Pending {
            return Err(decided(&pending));
        }
        Ok(Begun { _turn: turn, ..begun(call, pending, write) })
    }

    /// Makes the change, of what its writes answered. Where one was refused the change stays pending.
    pub async fn end_approval(&self, begun: Begun, performed: Result<Vec<Value>>) -> Result<Answer> {
        let answers = performed.map_err(inapplicable)?;
        let (write, outcome) = begun.batch.end()?;
        let body = json!({ "pending_change": begun.pending.id, "answers": answers });
        self.conclude(write, &begun.call, outcome, Answer::done(body)).await
    }

    /// What would come of it now, beside the pending change itself.
    pub async fn end_rehearsal(&self, call: &Call, begun: Begun, performed: Result<Vec<Value>>) -> Result<Answer> {
        let id = begun.pending.id.clone();
        let preview = match performed.map_err(inapplicable) {
            Ok(_) => {
                let (write, outcome) = begun.batch.end()?;
                let mut preview = self.preview(write, &outcome).await?.body;
                preview["applies"] = true.into();
                preview
            }
            Err(error) if matches!(error.kind, Kind::Unavailable | Kind::Internal) => return Err(error),
            Err(error) => json!({ "applies": false, "code": error.code, "detail": error.detail, "listing": error.listing }),
        };
        let mut answer = self.pending_change(call, &id).await?;
        answer.body["preview"] = preview;
        Ok(answer)
    }
}

fn begun(call: &Call, pending: PendingChange, write: Write) -> Begun {
    let proposed = &pending.document;
    let text = |member: &Value| member.as_str().unwrap_or_default().to_owned();
    let author = Author {
        actor_type: "api_key",
        id: pending.author.clone(),
        name: text(&proposed["author"]["name"]),
        request_id: call.request_id.clone(),
        comment: proposed["comment"].as_str().map(str::to_owned),
        approval: Some(json!({ "pending_change": pending.id, "actor": actor(call), "comment": call.comment })),
    };
    let confirmed = proposed["confirm"].as_array().into_iter().flatten().map(text);
    let mut call = Call { approved: Some(author), ..call.clone() };
    call.confirm.extend(confirmed);
    call.urgent |= proposed["urgent"] == true;
    let batch = Batch::default();
    batch.hand_back(write, Outcome::default());
    let writes = proposed["writes"].clone();
    Begun { pending, call, batch, writes, _turn: None }
}

/// The writes that a call is made of, as a batch takes them: each path in the one way in which ids can be found in it again.
/// What they were said to match is looked at by who approves.
fn writes(call: &Call) -> Value {
    let path = call.request.path.split('?').next().unwrap_or_default();
    if path == "/v1/batch" {
        let mut writes = call.body["writes"].clone();
        for write in writes.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            write.remove("if_match");
            if let Some(path) = write.get_mut("path") {
                *path = canonical(path.as_str().unwrap_or_default()).into();
            }
        }
        return writes;
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&call.query).finish();
    json!([{ "method": call.request.method, "path": canonical(&format!("{path}?{query}")), "body": call.body }])
}

fn actor(call: &Call) -> Value {
    json!({ "type": call.actor.kind, "id": call.actor.id, "name": call.actor.name })
}

/// Refuses what is other environments', or all of them's, to a key that is bound to one.
fn visible(call: &Call, pending: &PendingChange) -> Result<()> {
    match &call.actor.environment {
        Some(bound) if pending.environment.as_ref() != Some(bound) => Err(Error::not_found("pending change", &pending.id)),
        _ => Ok(()),
    }
}

fn decided(pending: &PendingChange) -> Error {
    let by = pending.decision.as_ref().and_then(|decision| decision["actor"]["name"].as_str()).unwrap_or_default();
    let detail = format!("this change was {} by `{by}` already", pending.state.as_str());
    Error::conflict("PENDING_CHANGE_DECIDED", detail)
}

/// Why a proposal cannot be done, where that is its own fault and not that of who asks, or of the moment.
fn inapplicable(error: Error) -> Error {
    let own = matches!(error.kind, Kind::Malformed | Kind::NotFound | Kind::Conflict | Kind::Stale | Kind::Refused);
    if !own || error.code == Error::CONFIRMATION_REQUIRED {
        return error;
    }
    let detail = format!("this no longer applies ({}); reject it, or withdraw it and propose it anew", error.detail);
    Error { kind: Kind::Conflict, code: "PENDING_CHANGE_INAPPLICABLE", detail, ..error }
}
