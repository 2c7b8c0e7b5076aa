//! Identity providers.

use flagbearer::document::Node;
use flagbearer::error::ErrorCode;
use serde_json::Value;

use super::{Answer, Call, Control};
use crate::error::{Error, Result};
use crate::secret::{Secret, random_alphanumeric};
use crate::store::{IdentityProvider, StoredIdentityProvider, Write};

/// What a patch does to the client secret.
enum NewSecret {
    Kept,
    Removed,
    Given(Secret),
}

impl NewSecret {
    fn read(document: &Value) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        Ok(match members.present("client_secret") {
            None => Self::Kept,
            Some(node) if node.is_null() => Self::Removed,
            Some(node) => Self::Given(Secret::new(node.text(1024)?)),
        })
    }
}

impl Control {
    /// Creates an identity provider. Its client secret is kept sealed, and never shown.
    pub async fn create_identity_provider(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let provider = IdentityProvider::create(&call.body, &format!("idp_{}", random_alphanumeric(22)?))?;
        self.reachable(&provider)?;
        let sealed = match NewSecret::read(&call.body)? {
            NewSecret::Given(secret) => Some(self.issuer.seal_upstream_secret(&provider.id, &secret)?),
            NewSecret::Kept | NewSecret::Removed => None,
        };
        let mut write = self.open(call).await?;
        write.environment(&provider.environment).await?;
        only_one(&mut write, &provider).await?;
        write.insert_identity_provider(&provider, sealed.clone()).await?;
        let revision = write.revision;
        let stored = StoredIdentityProvider { provider, sealed_secret: sealed, revision };
        let answer = Answer::created(self.provider_answer(&stored).await?, revision);
        self.finish(write, call, answer).await
    }

    pub async fn identity_providers(&self, call: &Call) -> Result<Answer> {
        call.only(&["environment", "cursor", "limit"])?;
        let environment = call.parameter("environment").or(call.actor.environment.as_deref());
        if let Some(environment) = environment {
            call.may_read(environment)?;
        }
        let limit = call.limit()?;
        let mut connection = self.store.read().await?;
        if let Some(environment) = environment {
            connection.environment(environment).await?;
        }
        let providers = connection.identity_providers(environment, call.cursor(), limit).await?;
        drop(connection);
        let mut data = Vec::new();
        for stored in &providers {
            data.push(self.provider_answer(stored).await?);
        }
        Ok(Answer::page(data, limit, |last| last["id"].as_str().unwrap_or_default().to_owned()))
    }

    pub async fn identity_provider(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        let stored = self.store.read().await?.identity_provider(id).await?;
        call.may_read(&stored.provider.environment)?;
        Ok(Answer::done(self.provider_answer(&stored).await?).at(stored.revision))
    }

    /// Changes a provider, from the next sign-in on.
    pub async fn patch_identity_provider(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let before = write.identity_provider(id).await?;
        call.check_match(before.revision)?;
        let provider = before.provider.patched(&call.body)?;
        self.reachable(&provider)?;
        only_one(&mut write, &provider).await?;
        let sealed_secret = match NewSecret::read(&call.body)? {
            NewSecret::Kept => before.sealed_secret,
            NewSecret::Removed => None,
            NewSecret::Given(secret) => Some(self.issuer.seal_upstream_secret(id, &secret)?),
        };
        write.update_identity_provider(&before.provider, &provider, sealed_secret.clone()).await?;
        let revision = write.revision;
        let stored = StoredIdentityProvider { provider, sealed_secret, revision };
        let answer = Answer::done(self.provider_answer(&stored).await?).at(revision);
        self.finish(write, call, answer).await
    }

    /// Deletes a provider: nobody comes in by it any more. Sessions that it began go on.
    pub async fn delete_identity_provider(&self, call: &Call, id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let before = write.identity_provider(id).await?;
        call.check_match(before.revision)?;
        write.delete_identity_provider(&before.provider).await?;
        self.finish(write, call, Answer::gone()).await
    }

    async fn provider_answer(&self, stored: &StoredIdentityProvider) -> Result<Value> {
        self.issuer.places.hold(&stored.provider.environment).await?;
        let mut document = stored.provider.document();
        document["has_client_secret"] = stored.sealed_secret.is_some().into();
        // What the provider has to be told: where it sends users back to.
        document["callback_url"] = self.issuer.upstream_callback(&stored.provider.environment).into();
        document["revision"] = stored.revision.into();
        Ok(document)
    }

    /// Refuses addresses that would never be fetched; whoever signs in first must not be the one to find out.
    fn reachable(&self, provider: &IdentityProvider) -> Result<()> {
        let refused = |pointer: &str, detail: String| {
            Err(flagbearer::error::Error::at(ErrorCode::ValueInvalid, pointer, detail).into())
        };
        for (pointer, url) in [("/issuer", Some(&provider.issuer)), ("/jwks_uri", provider.jwks_uri.as_ref())] {
            let Some(url) = url else { continue };
            match self.issuer.outbound().check(url) {
                Err(error) => return refused(pointer, error.to_string()),
                // RFC 8414 §2.
                Ok(url) if pointer == "/issuer" && (url.query().is_some() || url.fragment().is_some()) => {
                    return refused(pointer, "an issuer is a URL without query and fragment".to_owned());
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

async fn only_one(write: &mut Write, provider: &IdentityProvider) -> Result<()> {
    match write.find_identity_provider(&provider.environment, &provider.issuer).await? {
        Some(other) if other.provider.id != provider.id => {
            let IdentityProvider { id, environment, issuer, .. } = &other.provider;
            let detail =
                format!("`{id}` is the identity provider for `{issuer}` in `{environment}` already; change that one");
            Err(Error::conflict("IDENTITY_PROVIDER_EXISTS", detail))
        }
        _ => Ok(()),
    }
}
