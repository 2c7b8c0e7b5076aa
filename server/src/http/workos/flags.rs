//! Feature flags: read as WorkOS shapes them, changed by the operations of the admin API.

use axum::extract::{Path, State};

use super::list::page;
use super::{App, environment, shape};
use crate::control::{Answer, BooleanFlag, Call};
use crate::error::Result;
use crate::http::call::Caller;

type Slug = Path<String>;
type Target = Path<(String, String)>;

fn listed(call: &Call, flags: &[BooleanFlag]) -> Result<Answer> {
    page(call, flags.iter().map(shape::flag).collect())
}

async fn shown(app: &App, call: &Call, slug: &str) -> Result<Answer> {
    Ok(Answer::done(shape::flag(&app.control.boolean_flag(call, environment(call)?, slug).await?)))
}

pub async fn list(State(app): State<App>, call: Caller) -> Result<Answer> {
    listed(&call, &app.control.boolean_flags(&call, environment(&call)?).await?)
}

pub async fn of_organization(State(app): State<App>, Path(id): Path<String>, call: Caller) -> Result<Answer> {
    listed(&call, &app.control.flags_on_for_organization(&call, environment(&call)?, &id).await?)
}

pub async fn of_user(State(app): State<App>, Path(id): Path<String>, call: Caller) -> Result<Answer> {
    listed(&call, &app.control.flags_on_for_user(&call, environment(&call)?, &id).await?)
}

pub async fn one(State(app): State<App>, Path(slug): Slug, call: Caller) -> Result<Answer> {
    call.only(&[])?;
    shown(&app, &call, &slug).await
}

pub async fn enable(State(app): State<App>, Path(slug): Slug, call: Caller) -> Result<Answer> {
    switch(&app, &call, &slug, true).await
}

pub async fn disable(State(app): State<App>, Path(slug): Slug, call: Caller) -> Result<Answer> {
    switch(&app, &call, &slug, false).await
}

async fn switch(app: &App, call: &Call, slug: &str, enabled: bool) -> Result<Answer> {
    let environment = environment(call)?;
    app.control.boolean_flag(call, environment, slug).await?;
    app.control.enable_flag(call, slug, environment, enabled).await?;
    shown(app, call, slug).await
}

/// Answers what the admin API does: WorkOS's SDKs read nothing of it, and people see revision and effect.
pub async fn add_target(State(app): State<App>, Path((slug, id)): Target, call: Caller) -> Result<Answer> {
    let environment = environment(&call)?;
    app.control.boolean_flag(&call, environment, &slug).await?;
    let kind = app.control.kind_of_subject(&id).await?;
    app.control.add_target(&call, &slug, environment, kind, &id).await
}

pub async fn remove_target(State(app): State<App>, Path((slug, id)): Target, call: Caller) -> Result<Answer> {
    let environment = environment(&call)?;
    app.control.boolean_flag(&call, environment, &slug).await?;
    let kind = app.control.kind_of_subject(&id).await?;
    app.control.remove_target(&call, &slug, environment, kind, &id).await
}
