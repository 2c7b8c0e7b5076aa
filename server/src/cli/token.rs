//! `flagbearer token`: what stands in a token, and whether it is genuine.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use flagbearer::document;
use flagbearer::error::Error;
use flagbearer::flag_set::FlagSet;
use flagbearer::reader::{KeySource, MAX_BODY_BYTES, Poll, Reader, Response, Verdict};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Verifier, VerifierOptions};
use serde_json::{Value, json};

use super::client::http;
use super::failure::Failure;
use super::show::{document as lines, print, print_json, table, text, value, words};
use crate::clock::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what an access token says, and verify it with its issuer's public keys.
    Inspect(Inspect),
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// The token, or `-` to read it from standard input, where it may also stand in the answer that brought it.
    token: String,
    /// Insist on this issuer. [default: the one that the token names]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Insist on this audience. [default: the one that the token names]
    #[arg(long)]
    audience: Option<String>,
    /// Ask nobody: show it unverified.
    #[arg(long)]
    offline: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(command: Command) -> Result<(), Failure> {
    let Command::Inspect(arguments) = command;
    let mut token = arguments.token.clone();
    if token == "-" {
        token.clear();
        let read = std::io::stdin().lock().take(MAX_BODY_BYTES as u64).read_to_string(&mut token);
        read.map_err(|error| Failure::new("TOKEN_MALFORMED", format!("standard input cannot be read: {error}")))?;
    }
    if let Ok(Value::Object(answer)) = serde_json::from_str(&token) {
        token = answer.get("access_token").and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    let token = token.trim();
    let (header, claims) = decode(token)?;
    let outcome = if arguments.offline { None } else { Some(verify(token, &claims, &arguments).await) };
    let (verified, said) = match &outcome {
        None => (false, "NOT verified: nobody was asked (--offline)".to_owned()),
        Some(Ok(_)) if arguments.issuer.is_some() => (true, format!("verified: signed by {}", words(&claims["iss"]))),
        Some(Ok(_)) => {
            let said = "the issuer that the token itself names; insist on yours by --issuer";
            (true, format!("verified: signed by {}, {said}", words(&claims["iss"])))
        }
        Some(Err(error)) => (false, format!("NOT verified: {error}")),
    };
    if arguments.json {
        print_json(&json!({ "verified": verified, "verification": said, "header": header, "claims": claims }));
    } else {
        let (claims, flags) = in_words(&claims);
        print(&format!("{said}\n\nHeader\n{}\nClaims\n{}\nFlags\n{flags}", lines(&header), lines(&claims)));
    }
    match outcome {
        Some(Err(failure)) => Err(failure),
        _ => Ok(()),
    }
}

fn decode(token: &str) -> Result<(Value, Value), Failure> {
    let malformed = || Failure::new("TOKEN_MALFORMED", "this is not a token: three parts in base64url, joined by dots");
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, _] = parts.as_slice() else { return Err(malformed()) };
    let part = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        document::parse(&bytes).ok().filter(Value::is_object)
    };
    Ok((part(header).ok_or_else(malformed)?, part(payload).ok_or_else(malformed)?))
}

/// Times as people write them, and the flags by themselves.
fn in_words(claims: &Value) -> (Value, String) {
    let mut claims = claims.clone();
    for name in ["iat", "exp", "nbf", "auth_time"] {
        if let Some(seconds) = claims[name].as_i64() {
            claims[name] = json!(format!("{seconds}, {}", Timestamp::from_seconds(seconds)));
        }
    }
    let flags = claims.as_object_mut().and_then(|members| members.remove("feature_flags")).unwrap_or_default();
    let rows: Vec<Value> = match &flags {
        Value::Object(flags) => flags.iter().map(|(key, flag)| json!({ "key": key, "flag": flag })).collect(),
        _ => Vec::new(),
    };
    let columns = [text("KEY", "/key"), text("TYPE", "/flag/t"), value("VALUE", "/flag/v")];
    let flags = if rows.is_empty() { format!("{}\n", words(&flags)) } else { table(&rows, &columns) };
    (claims, flags)
}

/// As every backend does it: the core decides, and says what to fetch.
async fn verify(token: &str, claims: &Value, arguments: &Inspect) -> Result<FlagSet, Failure> {
    let issuer = arguments.issuer.as_deref().or(claims["iss"].as_str()).unwrap_or_default();
    // Otherwise the answer would be that the wrong issuer does not have the key.
    if claims["iss"].as_str() != Some(issuer) {
        let detail = format!("the token names the issuer {}, not {issuer}", words(&claims["iss"]));
        return Err(Failure::new("ISSUER_MISMATCH", detail));
    }
    let named = claims["aud"].as_str().or(claims["aud"][0].as_str());
    let audience = arguments.audience.as_deref().or(named).unwrap_or_default();
    let options = VerifierOptions { issuer, audience: Some(audience), ..VerifierOptions::default() };
    let reader = Reader::new(Verifier::new(&options)?, KeySource::WellKnown)?;
    let clock = SystemClock::default();
    let http = http()?;
    loop {
        match reader.verify(token, clock.now()) {
            Ok(Verdict::Verified(flags)) => return Ok(flags),
            Ok(Verdict::KeysNeeded) => {}
            Err(error) => return Err(refused(error, issuer)),
        }
        while let Poll::Fetch(fetch) = reader.poll(clock.now()) {
            let body = get(&http, &fetch.url).await;
            let response = body.as_deref().map_or(Response::Failed, Response::Body);
            reader.receive(fetch.id, response, clock.now());
        }
    }
}

fn refused(error: Error, issuer: &str) -> Failure {
    if error.code == flagbearer::error::ErrorCode::KeysUnavailable {
        return Failure::new(error.code.as_str(), format!("the keys of {issuer} could not be fetched; is it running?"));
    }
    error.into()
}

async fn get(http: &reqwest::Client, url: &str) -> Option<Vec<u8>> {
    let mut response = http.get(url).send().await.ok().filter(|response| response.status().as_u16() == 200)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY_BYTES {
            return None;
        }
    }
    Some(body)
}
