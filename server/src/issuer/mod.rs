//! Issuing: sessions become tokens. No HTTP and no SQL here.

mod accounts;
mod keys;
mod places;
mod refresh;
mod refresh_token;
mod rotation;
mod start;
mod tokens;
mod watermarks;

use std::sync::Arc;

pub use accounts::{ResetRefused, SignInRefused, SignUpRefused};
pub use keys::Keys;
pub use places::Places;
pub use refresh::{Grant, Refused, Remember};
pub use rotation::{Manner, create as create_keys, make as make_keys, rotate as rotate_keys};
pub use start::NewSession;
pub use tokens::{Bearer, MachineMinting, Minting, Tokens, has_scope, person};
pub use watermarks::{Following, News, SignedWatermark};

use crate::error::Result;
use crate::password::Passwords;
use crate::secret::{InstallationKey, Secret};
use crate::store::{Application, Client, Store, Surface};
use watermarks::Watermarks;

/// The issuing side of the server.
#[derive(Debug)]
pub struct Issuer {
    store: Arc<Store>,
    key: Arc<InstallationKey>,
    pub keys: Keys,
    pub places: Places,
    pub passwords: Passwords,
    watermarks: Watermarks,
    /// Enters every refresh token.
    epoch: i64,
}

impl Issuer {
    pub fn new(store: Arc<Store>, key: Arc<InstallationKey>, epoch: i64, public_url: &str, standard: &str) -> Self {
        let keys = Keys::new(store.clone(), key.clone());
        let places = Places::new(store.clone(), public_url, standard);
        Self { store, key, keys, places, passwords: Passwords::default(), watermarks: Watermarks::default(), epoch }
    }

    /// Whether a refresh token was made here; what has become of its session the database alone knows.
    pub fn is_genuine(&self, refresh_token: &str) -> bool {
        refresh_token::parse(&self.key, self.epoch, refresh_token).is_some()
    }

    /// `iss` of a held environment's tokens, and where its metadata is found.
    pub fn url(&self, environment: &str) -> String {
        self.places.url(environment)
    }

    /// Makes sure that an environment's place is known, which issuing needs at hand.
    ///
    /// Errors: `NOT_FOUND`.
    pub async fn hold(&self, environment: &str) -> Result<()> {
        self.places.hold(environment).await
    }

    /// The client of an environment that a request shows itself to be.
    ///
    /// Errors: `Refused::Client`, whatever it is that does not fit; `Refused::Profile` to a client that is served elsewhere.
    pub async fn client(
        &self,
        environment: &str,
        client_id: &str,
        secret: Option<&Secret>,
        surface: Surface,
    ) -> Result<Application, Refused> {
        if client_id.contains('\0') {
            return Err(Refused::Client);
        }
        let found = self.store.read().await?.client(client_id).await?;
        let shown = Client::Secret(secret.map(Secret::hash));
        match found {
            Some((application, secret_hash))
                if application.environment == environment && shown.is(secret_hash.as_deref()) =>
            {
                if surface.serves(application.profile) { Ok(application) } else { Err(Refused::Profile) }
            }
            _ => Err(Refused::Client),
        }
    }
}
