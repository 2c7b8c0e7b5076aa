//! All SQL. Rows become domain types here, and nothing above knows which database answers.

mod api_keys;
mod applications;
mod attempts;
mod browsers;
mod changes;
mod codes;
mod comments;
mod deliveries;
mod directory;
mod engine;
mod environments;
mod erasure;
mod events;
mod flags;
mod history;
mod idempotency;
mod identities;
mod identity_providers;
mod installation;
mod issuances;
mod kills;
mod later;
mod migrations;
mod overrides;
mod passwords;
mod pending_changes;
mod population;
mod reverts;
mod rotate;
mod segments;
mod servable;
mod sessions;
mod sign_ins;
mod signing_keys;
mod snapshot;
mod webhooks;
mod write;

use std::ops::Deref;
use std::sync::Arc;

use flagbearer::ruleset::Ruleset;
use flagbearer::timestamp::Timestamp;
use tokio::sync::watch;

pub use api_keys::{ApiKey, Role};
pub use applications::{Application, Branding, MAX_ACCESS_TOKEN_TTL, RequestedClaim, StoredApplication};
pub use attempts::Limit;
pub use browsers::Browser;
pub use changes::ChangeFilter;
pub use codes::{Code, Redeemed, Redemption};
pub use comments::MAX_COMMENTS;
pub use deliveries::{Attempt, Delivery, DeliveryState, Due, Lease};
pub use directory::{Membership, Organization, StoredMembership, User};
pub use engine::Connection;
pub use environments::Environment;
pub use erasure::forget_user;
pub use events::Event;
pub(crate) use flags::to_value;
pub use flags::{FlagFilter, StoredFlag, StoredSetting};
pub use history::{Past, Standpoint};
pub use idempotency::{Memo, Remembered};
pub use identities::Arrival;
pub use identity_providers::{IdentityProvider, StoredIdentityProvider};
pub use installation::{Founding, Installation};
pub use issuances::{Beside, Issuance};
pub use kills::{Tide, WatermarkFacts};
pub use later::Later;
pub use overrides::{BooleanOverride, Level, StoredOverride};
pub use passwords::{PasswordMark, StoredPassword};
pub use pending_changes::{PendingChange, PendingFilter, PendingState, touch};
pub use population::{
    Ids, LivingSession, PackedAttributes, PackedOverrides, Reached, SessionCursor, SessionPage, Span, Whose,
};
pub use rotate::{Client, Mark, Rotated, Rotation, Surface};
pub use segments::StoredSegment;
pub use servable::Servable;
pub use sessions::{Beginning, Method, Origin, Session, SessionFilter, Start};
pub use signing_keys::{KeyState, SigningKeys, StoredSigningKey};
pub use snapshot::{Facts, Person, Snapshot};
pub use webhooks::{Secrets, StoredWebhook, Webhook};
pub use write::{Author, Edit, Entity, Write};

use crate::clock::Clock;
use crate::error::Result;
use engine::Engine;

/// The database, what is remembered of it, and the queue of refreshes in front of it.
#[derive(Debug)]
pub struct Store {
    inner: Arc<Inner>,
    batches: rotate::Batches,
}

#[derive(Debug)]
pub struct Inner {
    engine: Engine,
    clock: Arc<dyn Clock>,
    rulesets: snapshot::Newest<Ruleset>,
    signing_keys: snapshot::Newest<SigningKeys>,
    /// Told of every change that this process makes.
    changes: watch::Sender<i64>,
}

impl Deref for Store {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl Store {
    /// Opens the database and brings its tables up to date.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let engine = Engine::open(url).await?;
        migrations::run(&engine).await?;
        let (rulesets, signing_keys) = Default::default();
        let inner = Arc::new(Inner { engine, clock, rulesets, signing_keys, changes: watch::Sender::new(0) });
        Ok(Self { batches: rotate::Batches::start(inner.clone()), inner })
    }

    /// A transaction that only reads, all of it from one snapshot.
    pub async fn read(&self) -> Result<Connection> {
        self.engine.read().await
    }

    /// Closes the database; what was acknowledged is in it.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

impl Inner {
    /// The time of a request that begins now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
