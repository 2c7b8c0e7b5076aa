//! Sessions that a trusted backend starts, and the end of any.

use flagbearer::document::Node;
use flagbearer::subject::SubjectId;
use serde_json::json;

use super::{Answer, Call, Control, REMEMBERED, Success};
use crate::error::{Error, Result};
use crate::issuer::{Remember, Tokens};
use crate::store::{Method, Session, SessionFilter, Start};

impl Control {
    /// Starts a session of an application for a user, in an organization where one is named.
    pub async fn start_session(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.no_change()?;
        let mut members = Node::root(&call.body).members()?;
        let client_id = members.required("application")?.string()?;
        let subject = |node: &Node<'_>| -> Result<String> {
            let id = SubjectId::parse(node.string()?).map_err(|error| error.under(&node.pointer))?;
            Ok(id.as_str().to_owned())
        };
        let user = subject(&members.required("user")?)?;
        let organization = members.optional("organization").as_ref().map(subject).transpose()?;
        let strict = members.optional("strict").map(|node| node.boolean()).transpose()?.unwrap_or(false);
        members.finish()?;
        let now = self.store.now();
        let application = self.store.read().await?.application(client_id).await?.application;
        call.may_serve(&application.environment)?;
        let start = Start::told(&application, &user, organization.as_deref(), Method::Backend, strict, now);
        let answer = |tokens: &Tokens| Answer { success: Success::Created, body: tokens.session_answer(), revision: None };
        let remember = call.once.as_ref().map(|once| move |tokens: &Tokens| self.memo(once, &answer(tokens), REMEMBERED));
        let remember = remember.as_ref().map(|remember| remember as &Remember<'_>);
        match (self.issuer.start(&start, remember).await?, &call.once) {
            (Some(tokens), _) => Ok(answer(&tokens)),
            (None, Some(once)) => self.recall(once).await?.ok_or_else(Error::unavailable),
            (None, None) => Err(Error::internal("an answer was remembered for nobody")),
        }
    }

    /// Living sessions.
    pub async fn sessions(&self, call: &Call) -> Result<Answer> {
        call.only(&["user", "organization", "application", "environment", "cursor", "limit"])?;
        let limit = call.limit()?;
        let filter = self.filter(call).await?;
        let sessions = self.store.sessions(&filter, call.cursor(), limit).await?;
        let data = sessions.iter().map(Session::answer).collect();
        Ok(Answer::page(data, limit, |last| last["session_id"].as_str().unwrap_or_default().to_owned()))
    }

    /// A user's living sessions in one environment, in the order in which they began.
    pub async fn sessions_of_user(&self, call: &Call, environment: &str, user: &str) -> Result<Vec<Session>> {
        call.may_read(environment)?;
        self.store.read().await?.user(user).await?;
        let (environment, user) = (Some(environment.to_owned()), Some(user.to_owned()));
        let filter = SessionFilter { environment, user, ..SessionFilter::default() };
        let mut sessions = self.store.sessions(&filter, "", i64::MAX).await?;
        sessions.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        Ok(sessions)
    }

    pub async fn session(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        let session = self.visible_session(call, id).await?;
        Ok(Answer::done(session.answer()))
    }

    pub async fn end_session(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.no_change()?;
        let session = self.visible_session(call, id).await?;
        call.may_serve(&session.environment)?;
        self.store.revoke_session(id, self.store.now()).await?;
        Ok(Answer::gone())
    }

    /// Ends all living sessions of a user, an organization, an application, or what is common to those named.
    pub async fn end_sessions(&self, call: &Call) -> Result<Answer> {
        call.only(&["user", "organization", "application", "environment"])?;
        call.no_change()?;
        let filter = self.filter(call).await?;
        match &filter.environment {
            Some(environment) => call.may_serve(environment)?,
            None => call.may_administer()?,
        }
        if filter.user.is_none() && filter.organization.is_none() && filter.application.is_none() {
            let detail = "name a `user`, an `organization` or an `application` whose sessions are to end";
            return Err(Error::malformed("PARAMETER_MISSING", detail));
        }
        let ended = self.store.revoke_sessions(&filter).await?;
        Ok(Answer::done(json!({ "ended": ended })))
    }

    /// A session, unless it is of another environment than the key is bound to: then it is as if it were not there.
    async fn visible_session(&self, call: &Call, id: &str) -> Result<Session> {
        let session = self.store.session(id).await?;
        call.may_read(&session.environment).map_err(|_| Error::not_found("session", id))?;
        Ok(session)
    }

    /// Which sessions are meant. An environment that is not there is refused: a mistyped one must not look as if all had ended.
    async fn filter(&self, call: &Call) -> Result<SessionFilter> {
        let text = |name: &str| call.parameter(name).map(str::to_owned);
        let environment = text("environment").or_else(|| call.actor.environment.clone());
        if let Some(environment) = &environment {
            call.may_read(environment)?;
            self.store.read().await?.environment(environment).await?;
        }
        Ok(SessionFilter {
            environment,
            user: text("user"),
            organization: text("organization"),
            application: text("application"),
        })
    }
}
