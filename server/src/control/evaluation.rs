//! What does this user get, and why: the issuer's own evaluation, with every level's part in it.

use flagbearer::subject::SubjectId;
use serde_json::{Map, Value, json};

use super::{Answer, Call, Control};
use crate::error::Result;
use crate::store::to_value;

impl Control {
    /// Without a user it is a machine's context. Users and organizations need not be known.
    pub async fn evaluate(&self, call: &Call) -> Result<Answer> {
        call.only(&["environment", "user", "organization"])?;
        let environment = call.required("environment")?;
        call.may_read(environment)?;
        let (user, organization) = (call.parameter("user"), call.parameter("organization"));
        for id in [user, organization].into_iter().flatten() {
            SubjectId::parse(id)?;
        }
        let now = self.store.now();
        let snapshot = self.store.snapshot(environment, user, organization).await?;
        let mut flags = Map::new();
        for explained in snapshot.ruleset.explain_all(&snapshot.overrides, &snapshot.context(), now) {
            flags.insert(explained.evaluation.flag.key.to_string(), to_value(&explained)?);
        }
        Ok(Answer::done(json!({
            "revision": snapshot.facts.revision,
            "at": now,
            "environment": environment,
            "user": user,
            "organization": organization,
            "flags": Value::Object(flags),
        })))
    }
}
