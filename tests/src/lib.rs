//! What whole-system tests stand on: a real server on a real database, driven over HTTP, with a clock that the test holds.

mod api;
mod browser;
mod client;
mod database;
mod issuer;
mod logs;
mod openid_provider;
mod process;
mod server;
mod signed_in;
mod upstream;
mod watermark;
mod webhook;

pub use api::{Answer, Api};
pub use browser::{Browser, Form, Page};
pub use client::{CHALLENGE, Client, PASSWORD, REDIRECT_URI, VERIFIER, claims_of};
pub use database::{Database, Engine};
pub use issuer::Issuer;
pub use openid_provider::OpenIdProvider;
pub use process::{Process, binary, free_port};
pub use server::{ADMIN_KEY, BEGINNING, TestServer, config};
pub use signed_in::SignedIn;
pub use upstream::{Asked, METADATA, Reply, Upstream};
pub use watermark::WatermarkStream;
pub use webhook::verified;

/// Writes each test twice: once for SQLite, once for PostgreSQL. The body gets the engine.
///
/// ```text
/// on_both_engines! {
///     async fn a_change_is_seen_by_the_next_refresh(engine: Engine) { … }
/// }
/// ```
#[macro_export]
macro_rules! on_both_engines {
    ($($(#[$meta:meta])* async fn $name:ident($engine:ident: Engine) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn run($engine: $crate::Engine) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run($crate::Engine::Sqlite).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run($crate::Engine::Postgres).await;
            }
        })*
    };
}
