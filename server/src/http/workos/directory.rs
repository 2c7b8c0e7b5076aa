//! Users and organizations.

use axum::extract::{Path, State};

use super::{App, environment, shape};
use crate::control::Answer;
use crate::error::Result;
use crate::http::call::Caller;

pub async fn user(State(app): State<App>, Path(id): Path<String>, call: Caller) -> Result<Answer> {
    environment(&call)?;
    call.only(&[])?;
    Ok(Answer::done(shape::user(&app.store.read().await?.user(&id).await?)))
}

pub async fn organization(State(app): State<App>, Path(id): Path<String>, call: Caller) -> Result<Answer> {
    environment(&call)?;
    call.only(&[])?;
    Ok(Answer::done(shape::organization(&app.store.read().await?.organization(&id).await?)))
}
