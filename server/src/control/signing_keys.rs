//! Signing keys: which there are, and their rotation. Their private halves are never answered.

use flagbearer::document::{Node, list};
use flagbearer::error::ErrorCode;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::Algorithm;
use serde_json::{Value, json};

use super::{Answer, Call, Control};
use crate::error::Result;
use crate::issuer::{Manner, make_keys, rotate_keys};
use crate::store::StoredSigningKey;

fn answer(key: &StoredSigningKey, now: Timestamp) -> Value {
    let mut document = key.document();
    if let Some(members) = document.as_object_mut() {
        members.remove("withdrawn");
        members.insert("state".to_owned(), key.state(now).as_str().into());
    }
    document
}

fn algorithm(node: &Node<'_>) -> Result<Algorithm> {
    let name = node.string()?;
    Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or_else(|| {
        let names = Algorithm::ALL.map(Algorithm::as_str);
        node.error(ErrorCode::ValueInvalid, format!("`{name}` is not an algorithm; choose from {}", list(&names))).into()
    })
}

/// Why what makes signing keys is in no batch.
pub(super) const MAKES_KEYS: &str = "making keys takes long, and a batch keeps all other writers waiting";

impl Control {
    /// The keys of an environment, or of all that the caller may read; the newest of each first.
    pub async fn signing_keys(&self, call: &Call) -> Result<Answer> {
        call.only(&["environment"])?;
        let now = self.store.now();
        let mut connection = self.store.read().await?;
        let environments = match call.parameter("environment") {
            Some(name) => {
                call.may_read(name)?;
                vec![connection.environment(name).await?]
            }
            None => connection.environments().await?,
        };
        let mut data = Vec::new();
        for environment in environments.iter().filter(|found| call.may_read(&found.name).is_ok()) {
            let keys = connection.signing_keys(&environment.name).await?;
            data.extend(keys.iter().map(|key| answer(key, now)));
        }
        Ok(Answer::done(json!({ "data": data, "next_cursor": null })))
    }

    /// Lets new keys follow on an environment's: of one algorithm, or of each.
    pub async fn rotate_signing_keys(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        call.alone(MAKES_KEYS)?;
        let mut members = Node::root(&call.body).members()?;
        let environment = members.required("environment")?.string()?;
        let algorithms = match members.optional("algorithm") {
            Some(node) => vec![algorithm(&node)?],
            None => Algorithm::ALL.to_vec(),
        };
        let emergency = members.optional("emergency").map(|node| node.boolean()).transpose()?.unwrap_or(false);
        members.finish()?;
        let manner = if emergency { Manner::Emergency } else { Manner::Scheduled };
        let made = make_keys(algorithms).await?;
        let mut write = self.open(call).await?;
        write.environment(environment).await?;
        let keys = rotate_keys(&mut write, &self.key, environment, &made, manner).await?;
        let (now, revision) = (write.now, write.revision);
        let keys: Vec<Value> = keys.iter().map(|key| answer(key, now)).collect();
        self.finish(write, call, Answer::created(json!({ "revision": revision, "keys": keys }), revision)).await
    }
}
