//! Where each environment's issuer is: the default one at the public URL, one with a host of its own there, the others below
//! `/env/<name>`. An environment keeps its name and its host for ever, so what was once read stays true.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::{Error, Result};
use crate::store::Store;

#[derive(Debug)]
pub struct Places {
    store: Arc<Store>,
    public_url: String,
    /// Host and port of the public URL.
    public_host: String,
    /// The environment whose issuer is the public URL itself.
    standard: String,
    /// The hosts of the environments met so far; `None` for one without.
    hosts: RwLock<HashMap<String, Option<String>>>,
}

impl Places {
    pub fn new(store: Arc<Store>, public_url: &str, standard: &str) -> Self {
        let public_host = public_url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        Self {
            store,
            public_url: public_url.to_owned(),
            public_host: public_host.to_ascii_lowercase(),
            standard: standard.to_owned(),
            hosts: RwLock::default(),
        }
    }

    /// The environment that the public URL itself stands for.
    pub fn standard(&self) -> &str {
        &self.standard
    }

    /// Whether a host is the public URL's own, and so no environment's alone.
    pub fn is_public_host(&self, host: &str) -> bool {
        host == self.public_host
    }

    /// Makes sure that the place of an environment is known. Errors: `NOT_FOUND`.
    pub async fn hold(&self, environment: &str) -> Result<()> {
        if environment == self.standard || self.hosts().contains_key(environment) {
            return Ok(());
        }
        let host = self.store.read().await?.environment(environment).await?.host;
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).insert(environment.to_owned(), host);
        Ok(())
    }

    /// Forgets an environment that is gone.
    pub fn forget(&self, environment: &str) {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).remove(environment);
    }

    /// `iss` of an environment's tokens, and where its metadata is found. The environment is held already.
    pub fn url(&self, environment: &str) -> String {
        self.url_of(environment, self.hosts().get(environment).and_then(Option::as_deref))
    }

    /// The same for an environment whose host is at hand.
    pub fn url_of(&self, environment: &str, host: Option<&str>) -> String {
        match host {
            _ if environment == self.standard => self.public_url.clone(),
            Some(host) => format!("https://{host}"),
            None => format!("{}/env/{environment}", self.public_url),
        }
    }

    /// Whether what is asked for by this `Host` is reached by TLS alone. A host of an environment's own always is; it is known
    /// once its environment is held, which it is wherever it was asked for.
    pub fn has_tls(&self, host: Option<&str>) -> bool {
        let is_bound = |host: &str| self.hosts().values().flatten().any(|bound| bound.eq_ignore_ascii_case(host));
        self.public_url.starts_with("https://") || host.is_some_and(is_bound)
    }

    /// Where an environment's watermark is.
    pub fn watermark_url(&self, environment: &str, host: Option<&str>) -> String {
        let base = match host {
            Some(host) if environment != self.standard => format!("https://{host}"),
            _ => self.public_url.clone(),
        };
        format!("{base}/v1/watermark/{environment}")
    }

    /// `watermark_endpoint` of a held environment.
    pub fn watermark_endpoint(&self, environment: &str) -> String {
        self.watermark_url(environment, self.hosts().get(environment).and_then(Option::as_deref))
    }

    /// The environment that a request is for, by the `Host` it names and the environment in its path. Each environment is
    /// found at its own issuer's URL and nowhere else.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn find(&self, host: Option<&str>, in_path: Option<&str>) -> Result<String> {
        let host = host.map(str::to_ascii_lowercase).filter(|host| !self.is_public_host(host));
        let bound = match host {
            Some(host) => self.store.read().await?.environment_of_host(&host).await?,
            None => None,
        };
        match (bound, in_path) {
            (None, None) => Ok(self.standard.clone()),
            (Some(environment), None) => Ok(environment),
            (None, Some(name)) if name != self.standard => {
                self.hold(name).await?;
                let bound = self.hosts().get(name).is_some_and(Option::is_some);
                if bound { Err(Error::not_found("environment", name)) } else { Ok(name.to_owned()) }
            }
            (_, Some(name)) => Err(Error::not_found("environment", name)),
        }
    }

    fn hosts(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Option<String>>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner)
    }
}
