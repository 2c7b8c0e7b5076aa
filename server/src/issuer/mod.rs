//! Issuing: sessions become tokens. No HTTP and no SQL here.

mod accounts;
mod authorization;
mod codes;
mod entry;
mod exchange;
mod introspection;
mod keys;
mod machine;
mod over_budget;
mod places;
mod refresh;
mod refresh_token;
mod revocation;
mod rotation;
mod shown;
mod sign_in;
mod sign_out;
mod start;
mod tokens;
mod upstream;
mod watermarks;

use std::sync::Arc;

pub use accounts::{ByPassword, ResetRefused, SignInRefused, SignUpRefused};
pub use authorization::{Authorization, Lapsed, Stop};
pub use codes::CodeGrant;
pub use entry::Entrant;
pub use exchange::{Exchange, ExchangeRefused};
pub use introspection::Asker;
pub use keys::Keys;
pub use machine::MachineGrant;
pub use over_budget::OverBudget;
pub use places::Places;
pub use refresh::{Grant, Refused, Remember};
pub use rotation::{Manner, create as create_keys, make as make_keys, rotate as rotate_keys};
pub use shown::{ShownByMachine, ShownByUser};
pub use sign_in::{Away, Step, Visitor};
pub use sign_out::SignOut;
use tokens::told_of_person;
pub use tokens::{Bearer, MachineMinting, Minting, Tokens, has_scope, person};
pub use upstream::{Begun, Choice, Returned, UpstreamRefused};
pub use watermarks::{Following, News, SignedWatermark};

use self::upstream::TrustedIssuers;
use crate::error::Result;
use crate::outbound::Outbound;
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
    pub over_budget: OverBudget,
    watermarks: Watermarks,
    trusted: TrustedIssuers,
    /// Enters every refresh token.
    epoch: i64,
    /// Whether it is written down which tokens are issued.
    pub records: bool,
}

impl Issuer {
    pub fn new(
        store: Arc<Store>,
        key: Arc<InstallationKey>,
        outbound: Outbound,
        epoch: i64,
        public_url: &str,
        standard: &str,
    ) -> Self {
        let keys = Keys::new(store.clone(), key.clone());
        let places = Places::new(store.clone(), public_url, standard);
        let trusted = TrustedIssuers::new(outbound, store.clone());
        let (passwords, over_budget, watermarks) = Default::default();
        Self { store, key, keys, places, passwords, over_budget, watermarks, trusted, epoch, records: false }
    }

    /// The same, which writes down what it issues.
    pub fn recording(self, records: bool) -> Self {
        Self { records, ..self }
    }

    /// What fetches from others.
    pub fn outbound(&self) -> &Outbound {
        &self.trusted.outbound
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

    /// Whether pages of this origin may call an environment's endpoints: an application of it says so.
    pub async fn allows_origin(&self, environment: &str, origin: &str) -> Result<bool> {
        self.store.read().await?.allows_origin(environment, origin).await
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
