//! API keys.

use flagbearer::document::{Node, list};
use flagbearer::error::ErrorCode;
use serde_json::Value;

use super::{Answer, Call, Control};
use crate::error::{Error, Kind, Result};
use crate::secret::{Secret, random_alphanumeric};
use crate::store::{ApiKey, Role, to_value};

/// A new key: `fb_<environment or all>_<id>_<secret>`, so that secret scanners and people can tell what it is.
pub fn mint(environment: Option<&str>, id: &str) -> Result<Secret> {
    Ok(Secret::new(format!("fb_{}_{id}_{}", environment.unwrap_or("all"), random_alphanumeric(43)?)))
}

fn answer(key: &ApiKey) -> Result<Value> {
    let mut document = key.document();
    document["created_at"] = to_value(&key.created_at)?;
    document["revision"] = key.revision.into();
    Ok(document)
}

fn not_found(id: &str) -> Error {
    Error::new(Kind::NotFound, "API_KEY_NOT_FOUND", format!("there is no API key `{id}`"))
}

impl Control {
    /// Creates a key; the key itself is in this answer and nowhere else.
    pub async fn create_api_key(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut members = Node::root(&call.body).members()?;
        let name = members.required("name")?.text(256)?;
        let role = members.required("role")?;
        let role = Role::parse(role.string()?).ok_or_else(|| {
            let names = Role::ALL.map(Role::as_str);
            role.error(ErrorCode::ValueInvalid, format!("choose a role from {}", list(&names)))
        })?;
        let environment = members.optional("environment").map(|node| node.string().map(str::to_owned)).transpose()?;
        members.finish()?;
        let mut write = self.open(call).await?;
        if let Some(environment) = &environment {
            write.environment(environment).await?;
        }
        let id = random_alphanumeric(12)?;
        let secret = mint(environment.as_deref(), &id)?;
        let key = ApiKey { id, name, role, environment, created_at: write.now, revision: write.revision };
        write.put_api_key(&key, &secret.hash()).await?;
        let mut body = answer(&key)?;
        body["key"] = secret.expose().into();
        self.finish(write, call, Answer::created(body, key.revision)).await
    }

    pub async fn api_keys(&self, call: &Call) -> Result<Answer> {
        call.only(&["cursor", "limit"])?;
        call.may_administer()?;
        let limit = call.limit()?;
        let keys = self.store.read().await?.api_keys(call.cursor(), limit).await?;
        let data = keys.iter().map(answer).collect::<Result<Vec<_>>>()?;
        Ok(Answer::page(data, limit, |last| last["id"].as_str().unwrap_or_default().to_owned()))
    }

    pub async fn api_key(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let key = self.store.read().await?.api_key(id).await?.ok_or_else(|| not_found(id))?;
        Ok(Answer::done(answer(&key)?).at(key.revision))
    }

    /// Renames a key. What it may do cannot change: make another one.
    pub async fn patch_api_key(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let before = write.api_key(id).await?.ok_or_else(|| not_found(id))?;
        call.check_match(before.revision)?;
        let mut key = ApiKey { revision: write.revision, ..before.clone() };
        let mut members = Node::root(&call.body).members()?;
        if let Some(node) = members.present("name") {
            key.name = node.text(256)?;
        }
        members.finish()?;
        write.rename_api_key(&before, &key).await?;
        let answer = Answer::done(answer(&key)?).at(key.revision);
        self.finish(write, call, answer).await
    }

    /// Deletes a key: from the next request on it is not known.
    pub async fn delete_api_key(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let key = write.api_key(id).await?.ok_or_else(|| not_found(id))?;
        call.check_match(key.revision)?;
        if key.role == Role::Administrator && key.environment.is_none() && write.administrators().await? == 1 {
            let detail = "this is the last administrator key, and nobody could make another; create one first";
            return Err(Error::conflict("LAST_ADMINISTRATOR", detail));
        }
        write.delete_api_key(&key).await?;
        self.finish(write, call, Answer::gone()).await
    }
}
