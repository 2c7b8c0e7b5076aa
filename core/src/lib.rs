//! Flagbearer's core: typed feature flags that ride in the access token.
//!
//! Values in, values out: no clock, no randomness, no files, no sockets. `now` is an argument everywhere.
//!
//! | what | where |
//! |---|---|
//! | flags, their types and values | [`flag`] |
//! | what an environment holds for a flag | [`setting`], [`audience`], [`rollout`], [`schedule`] |
//! | named audiences over attributes | [`segment`], [`condition`], [`attributes`], [`subject`] |
//! | which value, and why | [`ruleset`], [`evaluation`] |
//! | which flags a token carries | [`projection`] |
//! | what a change does to whom, and to its documents | [`effect`], [`preview`], [`difference`] |
//! | which flags have outlived their use | [`lifecycle`] |
//! | advice on how a flag is named | [`naming`] |
//! | into the token and out of it | [`claim`], [`token`], [`flag_set`] |
//! | reading tokens without doing I/O | [`reader`] |
//! | keeping them in cookies | [`sealed_session`], [`cookie`] |
//! | tokens for unit tests | [`testing`] |
//! | strict documents, times, errors | [`document`], [`timestamp`], [`error`] |
//! | one JSON document in, one out, for vectors | [`door`] |
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod attributes;
pub mod audience;
pub mod cause;
pub mod claim;
pub mod condition;
pub mod cookie;
pub mod difference;
pub mod document;
pub mod door;
pub mod effect;
pub mod error;
pub mod evaluation;
pub mod flag;
pub mod flag_set;
mod json;
pub mod lifecycle;
pub mod mismatch;
pub mod naming;
pub mod place;
pub mod preview;
pub mod projection;
pub mod reader;
pub mod rollout;
pub mod ruleset;
pub mod schedule;
#[cfg(feature = "crypto")]
pub mod sealed_session;
pub mod segment;
pub mod setting;
pub mod subject;
pub mod testing;
pub mod timestamp;
pub mod token;
