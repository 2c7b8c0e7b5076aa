//! Users, organizations and sessions.

use axum::extract::{Path, State};
use flagbearer::document::Node;
use serde_json::Value;

use super::list::page;
use super::{App, environment, shape};
use crate::control::Answer;
use crate::error::Result;
use crate::http::call::Caller;

type Id = Path<String>;

pub async fn user(State(app): State<App>, Path(id): Id, call: Caller) -> Result<Answer> {
    call.only(&[])?;
    environment(&call)?;
    Ok(Answer::done(shape::user(&id, &app.store.read().await?.user(&id).await?.into())))
}

pub async fn organization(State(app): State<App>, Path(id): Id, call: Caller) -> Result<Answer> {
    call.only(&[])?;
    environment(&call)?;
    Ok(Answer::done(shape::organization(&app.store.read().await?.organization(&id).await?)))
}

/// The user's living sessions in the key's environment.
pub async fn sessions(State(app): State<App>, Path(id): Id, call: Caller) -> Result<Answer> {
    let sessions = app.control.sessions_of_user(&call, environment(&call)?, &id).await?;
    page(&call, sessions.iter().map(shape::session).collect())
}

pub async fn revoke_session(State(app): State<App>, call: Caller) -> Result<Answer> {
    environment(&call)?;
    let mut members = Node::root(&call.body).members()?;
    let id = members.required("session_id")?.string()?.to_owned();
    // `return_to` belongs to a browser that is sent on; here is none.
    members.optional("return_to");
    members.finish()?;
    app.control.end_session(&call, &id).await?;
    let ended = app.store.session(&id).await?;
    let answer: Value = shape::session(&ended);
    Ok(Answer::done(answer))
}
