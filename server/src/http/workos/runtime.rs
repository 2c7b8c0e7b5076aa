//! What runtime clients poll, and evaluate by themselves. Version 1 (Node) knows targets that are on and a default; version 2
//! (Python) knows rules, the first of which decides. A flag that cannot be said in a version is left out of it: the client then
//! answers its caller's default. Which those are stands in a header, in the log whenever it changes, and at
//! `GET /v1/environments/{environment}/left-out-flags`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use flagbearer::flag::FlagKey;
use serde_json::{Map, Value, json};

use super::{App, environment};
use crate::control::{Answer, Group, Roster, Unlisted};
use crate::error::{Error, Result};
use crate::http::call::Caller;

const HEADER: HeaderName = HeaderName::from_static("x-flagbearer-left-out");

/// The most keys that the header names.
const MAX_NAMED: usize = 50;

/// What was last left out, by environment and version, so that the log says what changes and not what stays.
pub type LeftOut = Arc<Mutex<HashMap<(String, u8), String>>>;

pub async fn payload(State(app): State<App>, call: Caller) -> Result<Response> {
    let environment = environment(&call)?;
    call.only(&["payload_version"])?;
    let rosters = app.control.rosters(&call, environment).await?;
    let (version, payload, left_out) = match call.parameter("payload_version") {
        None | Some("1") => {
            let (flags, left_out) = told(rosters, |key, roster| roster.is_union().map(|()| targets(key, roster)));
            (1, Value::Object(flags), left_out)
        }
        Some("2") => {
            let (flags, left_out) = told(rosters, |key, roster| Ok(rules(key, roster)));
            (2, json!({ "version": 2, "flags": flags }), left_out)
        }
        Some(other) => {
            let detail = format!("`payload_version` is 1 or 2, not `{other}`");
            return Err(Error::malformed("PARAMETER_INVALID", detail));
        }
    };
    let mut response = Answer::done(payload).into_response();
    let named = named(&left_out);
    note(&app.left_out, (environment.to_owned(), version), &named);
    if let (false, Ok(value)) = (named.is_empty(), HeaderValue::from_str(&named)) {
        response.headers_mut().insert(HEADER, value);
    }
    Ok(response)
}

/// The flags that can be told, by key, and the keys of the others.
fn told(
    rosters: BTreeMap<FlagKey, Result<Roster, Unlisted>>,
    tell: impl Fn(&str, &Roster) -> Result<Value, Unlisted>,
) -> (Map<String, Value>, Vec<FlagKey>) {
    let mut flags = Map::new();
    let mut left_out = Vec::new();
    for (key, roster) in rosters {
        match roster.and_then(|roster| tell(key.as_str(), &roster)) {
            Ok(flag) => drop(flags.insert(key.to_string(), flag)),
            Err(_) => left_out.push(key),
        }
    }
    (flags, left_out)
}

/// Version 1, for a roster that is a union.
fn targets(key: &str, roster: &Roster) -> Value {
    let on = |ids: fn(&Group) -> &[String]| -> Vec<Value> {
        roster.groups.iter().flat_map(ids).map(|id| json!({ "id": id, "enabled": true })).collect()
    };
    json!({
        "slug": key,
        "enabled": roster.enabled,
        "default_value": roster.default_value,
        "targets": { "users": on(|group| &group.users), "organizations": on(|group| &group.organizations) },
    })
}

/// Version 2. The conditions of a rule must all hold, so that users and organizations stand in rules of their own.
fn rules(key: &str, roster: &Roster) -> Value {
    let mut rules = Vec::new();
    for group in &roster.groups {
        for (target_type, ids) in [("user", &group.users), ("organization", &group.organizations)] {
            if !ids.is_empty() {
                rules.push(json!({
                    "id": format!("{key}/{}", rules.len()),
                    "kind": "conditions",
                    "value": group.value,
                    "conditions": [{ "target_type": target_type, "operator": "one_of", "values": ids }],
                }));
            }
        }
    }
    json!({
        "slug": key,
        "enabled": roster.enabled,
        "default_value": roster.default_value,
        "off_value": roster.off_value,
        "rules": rules,
    })
}

/// Keys in a line; three dots where there are more.
fn named(keys: &[FlagKey]) -> String {
    let mut named: Vec<&str> = keys.iter().take(MAX_NAMED).map(FlagKey::as_str).collect();
    if keys.len() > MAX_NAMED {
        named.push("...");
    }
    named.join(",")
}

fn note(left_out: &LeftOut, place: (String, u8), flags: &str) {
    let mut noted = left_out.lock().unwrap_or_else(PoisonError::into_inner);
    if noted.get(&place).map_or("", String::as_str) != flags {
        let (environment, payload_version) = &place;
        tracing::warn!(%environment, payload_version, flags, "flags that runtime clients cannot be told of, and default");
        noted.insert(place, flags.to_owned());
    }
}
