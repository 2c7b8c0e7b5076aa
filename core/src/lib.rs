//! Flagbearer's core: typed feature flags that ride in the access token.
//!
//! Values in, values out: no clock, no randomness, no files, no sockets. `now` is an argument everywhere.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod claim;
pub mod document;
pub mod error;
pub mod flag;
pub mod flag_set;
mod members;
pub mod reader;
pub mod timestamp;
pub mod token;
