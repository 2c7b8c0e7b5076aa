//! What waits for a second administrator, and is done by approving it: its writes go through the admin API's own routes, as
//! those of a batch do.

use axum::extract::{Path, State};
use flagbearer::document::Node;
use serde_json::Value;

use super::App;
use super::batch::{Part, perform};
use super::call::Caller;
use crate::control::{Answer, Begun};
use crate::error::Result;

/// A pending change; with `?preview=true` also what would come of it now.
pub async fn pending_change(State(app): State<App>, Path(id): Path<String>, call: Caller) -> Result<Answer> {
    if call.choice("preview")? != Some(true) {
        return app.control.pending_change(&call, &id).await;
    }
    call.only(&["preview"])?;
    let begun = app.control.begin_rehearsal(&call, &id).await?;
    let performed = performed(&app, &begun).await;
    app.control.end_rehearsal(&call, begun, performed).await
}

pub async fn approve(State(app): State<App>, Path(id): Path<String>, call: Caller) -> Result<Answer> {
    let begun = app.control.begin_approval(&call, &id).await?;
    let performed = performed(&app, &begun).await;
    app.control.end_approval(begun, performed).await
}

async fn performed(app: &App, begun: &Begun) -> Result<Vec<Value>> {
    let parts = Node::root(&begun.writes).items()?.iter().map(Part::parse).collect::<Result<Vec<_>>>()?;
    perform(app, &begun.call, &begun.batch, parts).await
}
