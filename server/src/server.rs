//! A running server: opened, founded where the database is empty, listening, stopped in order.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use flagbearer::token::Algorithm;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::control::{Control, mint_api_key};
use crate::error::{Error, Result};
use crate::http::{App, router, serve};
use crate::issuer::{Issuer, create_keys, make_keys};
use crate::outbound::Outbound;
use crate::secret::{InstallationKey, Secret, random_alphanumeric};
use crate::store::{ApiKey, Author, Environment, Role, Store};

/// How often ended sessions are cleared away, and the age of the signing keys is looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// How often the clock is compared with the database's.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);

/// The environments of a new installation; the first is the default one.
const FIRST_ENVIRONMENTS: [&str; 2] = ["production", "staging"];

/// How long a stop waits for clients that are in the middle of a request. Orchestrators kill after 10 to 30 seconds.
const FAREWELL: Duration = Duration::from_secs(8);

/// A server that is ready to run.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: App,
    /// Where it listens.
    pub address: SocketAddr,
    pub public_url: String,
    /// After how many days signing keys are rotated; 0: never.
    rotate_keys_every: u32,
    /// The first administrator's key, where this start founded the installation: to be shown once.
    pub first_key: Option<Secret>,
}

impl Server {
    /// Opens everything that the configuration names. Nothing is answered before [`Server::run`].
    pub async fn open(config: &Config) -> Result<Self> {
        let clock = Arc::new(SystemClock::default());
        let store = Arc::new(Store::open(&config.database_url, clock.clone()).await?);
        clock.correct(store.clock_offset().await?);
        tokio::spawn(follow_clock(clock, Arc::downgrade(&store)));
        Self::with_store(config, store).await
    }

    /// The same with a clock of the caller's.
    pub async fn open_with_clock(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let store = Arc::new(Store::open(&config.database_url, clock).await?);
        Self::with_store(config, store).await
    }

    async fn with_store(config: &Config, store: Arc<Store>) -> Result<Self> {
        if config.admin_key.as_ref().is_some_and(|key| key.expose().len() < 32) {
            return Err(Error::configuration("the administrator key is shorter than 32 characters; choose a longer one"));
        }
        let (key, first_key) = found(config, &store).await?;
        let installation = store.installation().await?.ok_or_else(|| Error::internal("the installation is not founded"))?;
        if installation.key_check != key.check() {
            return Err(Error::configuration(format!(
                "this database was sealed with the key `{}`, but the one given is `{}`; give the key file that belongs to it",
                installation.key_check,
                key.check()
            )));
        }
        if let Some(secret) = &config.admin_key {
            put_admin_key(&store, secret).await?;
        }
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| Error::configuration(format!("cannot listen on {}: {error}", config.listen)))?;
        let address = listener.local_addr().map_err(Error::internal)?;
        let public_url = match &config.public_url {
            Some(url) => public_url(url)?,
            None => format!("http://{address}"),
        };
        let environments = store.read().await?.environments().await?;
        let standard = environments.iter().find(|environment| environment.standard);
        let standard = standard.ok_or_else(|| Error::internal("there is no default environment"))?;
        let key = Arc::new(key);
        let outbound = Outbound::new(&config.outbound_allow)?;
        let issuer = Issuer::new(store.clone(), key.clone(), outbound, installation.epoch, &public_url, &standard.name);
        let issuer = Arc::new(issuer.recording(config.record_issuance));
        let control = Control::new(store.clone(), key, issuer.clone());
        let app = App::new(store, control, issuer, &config.trusted_proxies);
        Ok(Self { listener, app, address, public_url, rotate_keys_every: config.rotate_keys_every, first_key })
    }

    /// Answers until `stop`; then finishes what it has begun, as far as the clients let it, and closes the database.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let (stopping, stopped) = oneshot::channel::<()>();
        let issuer = self.app.issuer.clone();
        let (told, stopping_to_send) = watch::channel(false);
        let sending = tokio::spawn(self.app.control.clone().send_webhooks(stopping_to_send));
        let stop = async move {
            stop.await;
            issuer.end_following();
            told.send_replace(true);
            drop(stopping);
        };
        let impatience = async {
            let _ = stopped.await;
            tokio::time::sleep(FAREWELL).await;
        };
        let store = self.app.store.clone();
        tokio::spawn(sweep(Arc::downgrade(&store)));
        if self.rotate_keys_every > 0 {
            tokio::spawn(rotate_keys(Arc::downgrade(&self.app.issuer), self.rotate_keys_every));
        }
        let serving = serve(self.listener, router(self.app), stop);
        tokio::select! {
            () = serving => {}
            () = impatience => tracing::warn!("some clients never finished their requests; stopping without them"),
        }
        // Each message takes seconds at the most, and what has arrived is written down before the database is closed.
        sending.await.map_err(Error::internal)?;
        store.close().await;
        Ok(())
    }
}

/// Clears away what has ended, at the start and every so often.
async fn sweep(store: Weak<Store>) {
    while let Some(held) = store.upgrade() {
        match held.sweep().await {
            Ok(0) => {}
            Ok(sessions) => tracing::info!(sessions, "sessions that ended a week ago are removed"),
            Err(error) => tracing::warn!(%error, "ended sessions could not be removed; the next try is in an hour"),
        }
        drop(held);
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Lets new signing keys follow on those that have signed for long enough.
async fn rotate_keys(issuer: Weak<Issuer>, days: u32) {
    while let Some(held) = issuer.upgrade() {
        match held.rotate_due_keys(days).await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "new signing keys are published; they sign in a quarter of an hour"),
            Err(error) => tracing::warn!(%error, "signing keys could not be rotated; the next try is in an hour"),
        }
        drop(held);
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// An issuer is an http(s) URL without query and fragment (RFC 8414 §2); readers compare it byte by byte.
fn public_url(url: &str) -> Result<String> {
    let parsed = url.parse::<axum::http::Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some()
            && uri.query().is_none()
            && !url.contains('#')
    });
    let detail = || format!("the public URL `{url}` is not of the form https://flags.example.com");
    parsed.map(|_| url.trim_end_matches('/').to_owned()).ok_or_else(|| Error::configuration(detail()))
}

/// Keeps the clock with the database's, so that replicas agree although their machines drift.
async fn follow_clock(clock: Arc<SystemClock>, store: Weak<Store>) {
    loop {
        tokio::time::sleep(CLOCK_INTERVAL).await;
        let Some(store) = store.upgrade() else { return };
        match store.clock_offset().await {
            Ok(offset) => clock.correct(offset),
            Err(error) => tracing::warn!(%error, "the database's clock could not be read; the last offset stays"),
        }
    }
}

/// Finds the installation's key, and founds the installation where the database is empty.
async fn found(config: &Config, store: &Store) -> Result<(InstallationKey, Option<Secret>)> {
    let given = || match &config.key {
        Some(text) => InstallationKey::parse(text.expose()).map(Some),
        None => InstallationKey::read(&config.key_file),
    };
    // Looked for under the lock alone: who waited for another founder finds the key file that this one made.
    // A founder holds the lock from here to the commit; whoever comes meanwhile finds it founded.
    let Some(founding) = store.founding().await? else {
        let installation = store.installation().await?.ok_or_else(|| Error::internal("the installation is not founded"))?;
        return given()?.map(|key| (key, None)).ok_or_else(|| {
            Error::configuration(format!(
                "this database was sealed with the key `{}`, but there is no key file `{}`; restore it from the backup, \
                 or name it with --key-file",
                installation.key_check,
                config.key_file.display()
            ))
        });
    };
    let key = match given()? {
        Some(key) => key,
        None => InstallationKey::create(&config.key_file)?,
    };
    let mut write = founding.found(store, 1, key.check()).await?;
    for (number, name) in FIRST_ENVIRONMENTS.into_iter().enumerate() {
        let mut environment = Environment::new(name, write.now);
        environment.standard = number == 0;
        write.insert_environment(&mut environment).await?;
        create_keys(&mut write, &key, name, &make_keys(Algorithm::ALL.to_vec()).await?).await?;
    }
    let first_key = match config.admin_key {
        Some(_) => None,
        None => {
            let id = random_alphanumeric(12)?;
            let secret = mint_api_key(None, &id)?;
            let name = "first administrator".to_owned();
            let (created_at, revision) = (write.now, write.revision);
            let key = ApiKey { id, name, role: Role::Administrator, environment: None, created_at, revision };
            write.put_api_key(&key, &secret.hash()).await?;
            Some(secret)
        }
    };
    write.commit(&system("the installation is founded")).await?;
    Ok((key, first_key))
}

/// Sees to it that the configured administrator key exists, and no former one under its name.
async fn put_admin_key(store: &Store, secret: &Secret) -> Result<()> {
    let hash = secret.hash();
    if store.read().await?.api_key_by_hash(&hash).await?.is_some() {
        return Ok(());
    }
    let mut write = store.write().await?;
    let (created_at, revision) = (write.now, write.revision);
    let key = ApiKey {
        id: "configured".to_owned(),
        name: "configured administrator".to_owned(),
        role: Role::Administrator,
        environment: None,
        created_at,
        revision,
    };
    write.put_api_key(&key, &hash).await?;
    write.commit(&system("the configured administrator key is set")).await?;
    Ok(())
}

fn system(comment: &str) -> Author {
    Author::system("the server's start", comment)
}
