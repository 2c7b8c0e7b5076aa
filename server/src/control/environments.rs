//! Environments.

use flagbearer::document::Node;
use flagbearer::error::ErrorCode;
use flagbearer::token::Algorithm;
use serde_json::{Value, json};

use super::effects::Outcome;
use super::signing_keys::MAKES_KEYS;
use super::{Answer, Call, Control};
use crate::error::{Error, Result};
use crate::issuer;
use crate::store::{Environment, to_value};

/// An environment's name stands in its issuer's URL and in its keys: `^[a-z][a-z0-9-]{0,62}$`.
fn name(node: &Node<'_>) -> Result<String> {
    let name = node.string()?;
    let legal = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if legal {
        return Ok(name.to_owned());
    }
    let detail =
        "a name starts with a small letter, goes on with small letters, digits or `-`, and has at most 63 characters";
    Err(node.error(ErrorCode::KeyInvalid, detail).into())
}

/// A host of an issuer's own, as browsers name it: small letters, and a port where it is not the one of https.
fn host(node: &Node<'_>) -> Result<String> {
    let text = node.string()?;
    let (name, port) = match text.split_once(':') {
        None => (text, None),
        Some((name, port)) => (name, Some(port)),
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let port_is_good = |port: &str| !port.starts_with(['0', '+']) && port != "443" && port.parse::<u16>().is_ok();
    if name.len() <= 253 && name.split('.').all(label) && port.is_none_or(port_is_good) {
        return Ok(text.to_owned());
    }
    let detail = "a host is a name in small letters such as `login.example.com`, with a port (`:8443`) where it is not 443";
    Err(node.error(ErrorCode::ValueInvalid, detail).into())
}

impl Control {
    fn environment_answer(&self, environment: &Environment) -> Result<Value> {
        let mut document = environment.document();
        document["issuer"] = self.issuer.places.url_of(&environment.name, environment.host.as_deref()).into();
        document["current_revision"] = environment.revision.into();
        document["min_revision"] = environment.min_revision.into();
        document["watermark"] = self.issuer.places.watermark_url(&environment.name, environment.host.as_deref()).into();
        document["revision"] = environment.document_revision.into();
        document["created_at"] = to_value(&environment.created_at)?;
        Ok(document)
    }

    /// Creates an environment with its own signing keys.
    pub async fn create_environment(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        call.alone(MAKES_KEYS)?;
        let mut members = Node::root(&call.body).members()?;
        let name = name(&members.required("name")?)?;
        let mut environment = Environment::new(&name, self.store.now());
        environment.protected = members.optional("protected").map(|node| node.boolean()).transpose()?.unwrap_or(false);
        environment.approvals = members.optional("approvals").map(|node| node.boolean()).transpose()?.unwrap_or(false);
        environment.sign_up = members.optional("sign_up").map(|node| node.boolean()).transpose()?.unwrap_or(false);
        environment.host = members.optional("host").as_ref().map(host).transpose()?;
        members.finish()?;
        let keys = issuer::make_keys(Algorithm::ALL.to_vec()).await?;
        let mut write = self.open(call).await?;
        environment.created_at = write.now;
        let others = write.environments().await?;
        if let Some(host) = &environment.host
            && (self.issuer.places.is_public_host(host) || others.iter().any(|other| other.host.as_ref() == Some(host)))
        {
            return Err(Error::conflict("HOST_IN_USE", format!("another environment's issuer is at `{host}`")));
        }
        if others.iter().any(|environment| environment.name == name) {
            return Err(Error::conflict("ENVIRONMENT_EXISTS", format!("there is an environment `{name}` already")));
        }
        if write.environment_was(&name).await? {
            let detail = format!(
                "an environment `{name}` was deleted; its issuer's URL is still known to tokens: choose another name"
            );
            return Err(Error::conflict("ENVIRONMENT_NAME_USED", detail));
        }
        write.insert_environment(&mut environment).await?;
        issuer::create_keys(&mut write, &self.key, &name, &keys).await?;
        let revision = write.revision;
        let body = self.environment_answer(&environment)?;
        self.conclude(write, call, Outcome::default(), Answer::created(body, revision)).await
    }

    pub async fn environments(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        let environments = self.store.read().await?.environments().await?;
        let own = environments.iter().filter(|found| call.may_read(&found.name).is_ok());
        let data = own.map(|found| self.environment_answer(found)).collect::<Result<Vec<_>>>()?;
        Ok(Answer::done(json!({ "data": data, "next_cursor": null })))
    }

    pub async fn environment(&self, call: &Call, name: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_read(name)?;
        let environment = self.store.read().await?.environment(name).await?;
        Ok(Answer::done(self.environment_answer(&environment)?).at(environment.document_revision))
    }

    pub async fn patch_environment(&self, call: &Call, name: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let before = write.environment(name).await?;
        call.check_match(before.document_revision)?;
        let mut after = before.clone();
        let mut members = Node::root(&call.body).members()?;
        if let Some(node) = members.present("name")
            && node.string()? != name
        {
            return Err(node.error(ErrorCode::Immutable, "an environment keeps its name: its issuer's URL has it").into());
        }
        if let Some(node) = members.present("protected") {
            after.protected = node.boolean()?;
        }
        if let Some(node) = members.present("approvals") {
            after.approvals = node.boolean()?;
        }
        if let Some(node) = members.present("sign_up") {
            after.sign_up = node.boolean()?;
        }
        if let Some(node) = members.present("host")
            && node.value.as_str() != before.host.as_deref()
        {
            let detail = "an environment keeps its host: its issuer's URL is it; make another environment for another host";
            return Err(node.error(ErrorCode::Immutable, detail).into());
        }
        members.finish()?;
        write.update_environment(&before, &mut after).await?;
        after.revision = write.revision;
        let revision = write.revision;
        let body = self.environment_answer(&after)?;
        self.conclude(write, call, Outcome::default(), Answer::done(body).at(revision)).await
    }

    /// Makes every token of an environment that was issued before stale.
    pub async fn raise_min_revision(&self, call: &Call, name: &str) -> Result<Answer> {
        call.only(&[])?;
        call.no_body()?;
        let mut write = self.open(call).await?;
        let mut environment = write.environment(name).await?;
        call.may_change(&environment)?;
        call.check_match(environment.document_revision)?;
        write.raise_minimum(name).await?;
        let revision = write.revision;
        (environment.min_revision, environment.revision) = (revision, revision);
        let body = self.environment_answer(&environment)?;
        self.conclude(write, call, Outcome::default(), Answer::done(body)).await
    }

    /// Deletes an environment that no application is in. The caller says its name again.
    pub async fn delete_environment(&self, call: &Call, name: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        call.alone("an issuer ends with its environment")?;
        let mut write = self.open(call).await?;
        let environment = write.environment(name).await?;
        call.check_match(environment.document_revision)?;
        if environment.standard {
            return Err(Error::conflict("ENVIRONMENT_IN_USE", "the default environment cannot be deleted"));
        }
        let applications = write.applications(Some(name), "", 200).await?;
        if !applications.is_empty() {
            let listing = applications.iter().map(|found| found.application.document()).collect();
            let detail = format!("applications are in the environment `{name}`; delete them first");
            return Err(Error::conflict("ENVIRONMENT_IN_USE", detail).listing(listing));
        }
        if !call.confirmed(name) {
            let detail =
                format!("deleting `{name}` removes its settings, organization overrides, API keys and signing keys");
            return Err(Error::unconfirmed(name, detail));
        }
        write.delete_environment(&environment).await?;
        let answer = self.conclude(write, call, Outcome::default(), Answer::done(Value::Null)).await?;
        self.issuer.keys.forget(name);
        self.issuer.places.forget(name);
        Ok(answer)
    }
}
