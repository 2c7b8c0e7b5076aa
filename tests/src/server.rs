//! The server inside the test's own process, with a clock that the test drives.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flagbearer::timestamp::Timestamp;
use flagbearer_server::clock::{Clock, ManualClock};
use flagbearer_server::config::Config;
use flagbearer_server::issuer::Issuer;
use flagbearer_server::outbound::Outbound;
use flagbearer_server::secret::{InstallationKey, Secret};
use flagbearer_server::server::Server;
use flagbearer_server::store::Store;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{Api, Database, Engine};

/// The administrator key of every test server.
pub const ADMIN_KEY: &str = "planted-administrator-key-0123456789abcdef";

/// 2027-01-15T08:00:00Z, when every test begins.
pub const BEGINNING: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct TestServer {
    /// Where it listens.
    pub url: String,
    pub clock: Arc<ManualClock>,
    pub database: Arc<Database>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

impl TestServer {
    /// A server on a new database.
    pub async fn start(engine: Engine) -> Self {
        let clock = Arc::new(ManualClock::at(BEGINNING));
        Self::on(Arc::new(Database::create(engine).await), clock).await
    }

    /// A server on a new database, with other options.
    pub async fn start_with(engine: Engine, adapt: impl FnOnce(&mut Config)) -> Self {
        let (database, clock) = (Database::create(engine).await, Arc::new(ManualClock::at(BEGINNING)));
        let mut config = config(&database);
        adapt(&mut config);
        Self::with(&config, Arc::new(database), clock).await
    }

    /// A server that was founded in the real time, in which what is not ours lives.
    pub async fn start_in_the_present(engine: Engine, adapt: impl FnOnce(&mut Config)) -> Self {
        let (database, clock) = (Database::create(engine).await, Arc::new(ManualClock::at(present())));
        let mut config = config(&database);
        adapt(&mut config);
        Self::with(&config, Arc::new(database), clock).await
    }

    /// A server on a database that there is: another replica, or the same again.
    pub async fn on(database: Arc<Database>, clock: Arc<ManualClock>) -> Self {
        let config = config(&database);
        Self::with(&config, database, clock).await
    }

    /// Another replica of this server: one more for the same issuers.
    pub async fn replica(&self) -> Self {
        self.replica_with(|_| {}).await
    }

    /// The same, with other options.
    pub async fn replica_with(&self, adapt: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { public_url: Some(self.url.clone()), ..config(&self.database) };
        adapt(&mut config);
        Self::with(&config, self.database.clone(), self.clock.clone()).await
    }

    /// A server with a configuration of the test's own.
    pub async fn with(config: &Config, database: Arc<Database>, clock: Arc<ManualClock>) -> Self {
        crate::logs::keep();
        let server = Server::open_with_clock(config, clock.clone()).await.expect("the server opens");
        let url = format!("http://{}", server.address);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.run(stopped).await.expect("the server runs");
        });
        Self { url, clock, database, stop: Some(stop), running: Some(running) }
    }

    /// Sets the clock to the real time, in which what is not ours lives.
    pub fn live_in_the_present(&self) {
        self.clock.advance(present().seconds() - self.clock.now().seconds());
    }

    /// The API as an administrator uses it.
    pub fn admin(&self) -> Api {
        self.api(ADMIN_KEY)
    }

    /// The API with another key.
    pub fn api(&self, key: &str) -> Api {
        Api::new(&self.url, key)
    }

    /// The issuing side by itself, on the same database and clock: another replica, without its HTTP.
    pub async fn issuer(&self) -> Issuer {
        let store = Store::open(&self.database.url, self.clock.clone()).await.expect("the database opens");
        let installation = store.installation().await.expect("it can be read").expect("it is founded");
        let key = InstallationKey::read(&self.database.key_file()).expect("it can be read").expect("a key file");
        let outbound = Outbound::new(&["127.0.0.1".parse().expect("an address")]).expect("a client");
        Issuer::new(Arc::new(store), Arc::new(key), outbound, installation.epoch, &self.url, "production")
    }

    /// Stops the server and waits until it has finished what it began.
    pub async fn stop(mut self) -> Arc<Database> {
        drop(self.stop.take());
        if let Some(running) = self.running.take() {
            running.await.expect("the server ends");
        }
        self.database.clone()
    }
}

fn present() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    Timestamp::from_seconds(i64::try_from(now).expect("a time"))
}

/// What test servers are started with.
pub fn config(database: &Database) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        public_url: None,
        database_url: database.url.clone(),
        key_file: database.key_file(),
        key: None,
        admin_key: Some(Secret::new(ADMIN_KEY)),
        outbound_allow: Vec::new(),
        record_issuance: false,
        trusted_proxies: Vec::new(),
        rotate_keys_every: 90,
    }
}
