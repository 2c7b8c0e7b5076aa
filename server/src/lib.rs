//! The issuing server: flags are kept, tokens are issued, questions are answered.
//!
//! `http → issuer, control → store → core`: handlers take requests apart, `issuer` and `control` decide, `store` alone
//! speaks SQL.
#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
mod email;
pub mod error;
mod http;
pub mod issuer;
mod message_key;
pub mod outbound;
pub mod password;
mod request_id;
pub mod secret;
pub mod server;
pub mod store;
mod turns;
mod uri;
