//! Tokens of other issuers: ID tokens of the providers that users sign in with, and tokens handed in for exchange. The rules
//! are those for our own tokens (RFC 8725; OpenID Connect Core §3.1.3.7), but nothing of ours is expected in them, and what
//! they claim comes out as it stands.

use serde_json::{Map, Value};

use super::compact::{Compact, malformed};
use super::policy::{DEFAULT_LEEWAY_SECONDS, is_type};
use super::verifier::Signed;
use super::{KeySet, PublicKey, TYPE_ACCESS_TOKEN, TYPE_JWT};
use crate::document::{self, Node};
use crate::error::{Error, ErrorCode, Result};
use crate::flag::MAX_INTEGER;
use crate::subject::SubjectId;
use crate::timestamp::Timestamp;

/// What a token of another issuer has to be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Equal to its `iss`, byte for byte.
    pub issuer: &'a str,
    /// In its `aud`.
    pub audience: &'a str,
    /// Whether it may be typed as an access token (`at+jwt`), and not as an ID token alone.
    pub access_token: bool,
}

/// What a verified token of another issuer says.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignClaims {
    /// `sub`. What OpenID Connect Core §2 lets it be is what our own ids are.
    pub subject: SubjectId,
    /// `aud`, whether written as one string or as several.
    pub audience: Vec<String>,
    /// `azp`.
    pub authorized_party: Option<String>,
    pub nonce: Option<String>,
    pub issued_at: Timestamp,
    /// When the user signed in there, where it says so.
    pub auth_time: Option<Timestamp>,
    /// Every claim.
    pub all: Map<String, Value>,
}

/// A token of another issuer that awaits its key. Nothing of it is to be trusted yet.
#[derive(Debug)]
pub struct ForeignToken<'t> {
    signed: Signed<'t>,
    token_type: Option<String>,
    claims: Map<String, Value>,
}

impl<'t> ForeignToken<'t> {
    /// Takes a token apart.
    ///
    /// Errors: `TokenMalformed`, also for a member that stands twice; `AlgorithmUnsupported` for all but EdDSA, ES256 and
    /// RS256.
    pub fn parse(token: &'t str) -> Result<Self> {
        let Compact { header, signing_input, payload, signature } = Compact::parse(token)?;
        let Ok(Value::Object(claims)) = document::parse(payload.as_bytes()) else {
            return Err(malformed("the token's claims are not an object of JSON in which no member stands twice"));
        };
        let algorithm = header.algorithm.ok_or_else(|| {
            Error::new(ErrorCode::AlgorithmUnsupported, "the token's `alg` is none of EdDSA, ES256 and RS256")
        })?;
        let signed = Signed { algorithm, key_id: header.key_id, input: signing_input, signature };
        Ok(Self { signed, token_type: header.token_type, claims })
    }

    /// Who it says issued it: to find the issuer that is trusted by, and for nothing else.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// `kid`, at most 128 bytes.
    pub fn key_id(&self) -> Option<&str> {
        self.signed.key_id.as_deref()
    }

    /// The key that must have signed it. Errors: `KeyUnknown`, also without `kid`; `AlgorithmUnsupported` when that key is
    /// for another algorithm.
    pub fn key<'k>(&self, keys: &'k KeySet) -> Result<&'k PublicKey> {
        self.signed.key(keys)
    }

    /// What it says, once it is signed with one of these keys and is what was expected.
    ///
    /// Errors: `KeyUnknown` `AlgorithmUnsupported` `SignatureInvalid` `TypeInvalid` `TokenMalformed` `ClaimMissing`
    /// `IssuerMismatch` `AudienceMismatch` `TokenExpired` `TokenNotYetValid`.
    pub fn verify(self, expected: &Expected<'_>, keys: &KeySet, now: Timestamp) -> Result<ForeignClaims> {
        self.signed.check(keys)?;
        self.judge(expected, now)
    }

    /// What it says, once it is signed with one of these keys and is an ID token of this issuer: of whatever age, and for
    /// whomever. That is enough of a hint (OpenID Connect RP-Initiated Logout 1.0 §2), and of nothing else.
    ///
    /// Errors: those of [`ForeignToken::verify`], but for `AudienceMismatch` `TokenExpired` `TokenNotYetValid`.
    pub fn verify_hint(self, issuer: &str, keys: &KeySet) -> Result<ForeignClaims> {
        self.signed.check(keys)?;
        let (claims, root) = self.said(issuer, false)?;
        claims.told(root)
    }

    fn judge(self, expected: &Expected<'_>, now: Timestamp) -> Result<ForeignClaims> {
        let (claims, root) = self.said(expected.issuer, expected.access_token)?;
        if !claims.audience.iter().any(|audience| audience == expected.audience) {
            return Err(Error::new(ErrorCode::AudienceMismatch, format!("the token is not for `{}`", expected.audience)));
        }
        let now = now.milliseconds() as f64 / 1000.0;
        if now >= claims.expires_at + DEFAULT_LEEWAY_SECONDS {
            return Err(Error::new(ErrorCode::TokenExpired, "the token has expired; get a new one from its issuer"));
        }
        let earliest = claims.not_before.unwrap_or(claims.issued_at).max(claims.issued_at);
        if now + DEFAULT_LEEWAY_SECONDS < earliest {
            return Err(Error::new(ErrorCode::TokenNotYetValid, "the token is not valid yet; compare the clocks"));
        }
        claims.told(root)
    }

    /// The claims, where they are of the right type of token and of this issuer.
    fn said(self, issuer: &str, access_token: bool) -> Result<(Registered, Value)> {
        let token_type = self.token_type.as_deref();
        let typed =
            token_type.is_none() || is_type(token_type, TYPE_JWT) || access_token && is_type(token_type, TYPE_ACCESS_TOKEN);
        // Logout and other event tokens (RFC 8417 §2.2) are signed with the same keys, often without a `typ` of their own.
        if !typed || self.claims.contains_key("events") {
            return Err(Error::new(ErrorCode::TypeInvalid, "the token is not of a type that says who somebody is"));
        }
        let root = Value::Object(self.claims);
        let claims = registered(&root)?;
        if claims.issuer != issuer {
            return Err(Error::new(ErrorCode::IssuerMismatch, format!("the token is not of the issuer `{issuer}`")));
        }
        Ok((claims, root))
    }
}

/// The claims that decide; times in seconds since 1970.
struct Registered {
    issuer: String,
    subject: SubjectId,
    audience: Vec<String>,
    authorized_party: Option<String>,
    nonce: Option<String>,
    expires_at: f64,
    not_before: Option<f64>,
    issued_at: f64,
    auth_time: Option<f64>,
}

impl Registered {
    /// What is told of them, beside all claims as they stand.
    fn told(self, root: Value) -> Result<ForeignClaims> {
        let Self { subject, audience, authorized_party, nonce, issued_at, auth_time, .. } = self;
        let time = |seconds: f64| Timestamp::from_seconds(seconds as i64);
        let (issued_at, auth_time) = (time(issued_at), auth_time.map(time));
        let Value::Object(all) = root else { return Err(malformed("the token's claims are not an object")) };
        Ok(ForeignClaims { subject, audience, authorized_party, nonce, issued_at, auth_time, all })
    }
}

fn registered(claims: &Value) -> Result<Registered> {
    // What is there in the wrong kind is never taken for absent.
    let mistyped = |error: Error| malformed(&format!("the token's claims cannot be read: {error}"));
    let mut members = Node::root(claims).members()?;
    let mut text = |name: &'static str| -> Result<Option<String>> {
        members.present(name).map(|node| node.string().map(str::to_owned)).transpose().map_err(mistyped)
    };
    let (issuer, subject) = (text("iss")?, text("sub")?);
    let (authorized_party, nonce) = (text("azp")?, text("nonce")?);
    let mut time = |name: &'static str| -> Result<Option<f64>> {
        let Some(node) = members.present(name) else { return Ok(None) };
        let seconds = node.number().ok().filter(|seconds| (0.0..=MAX_INTEGER as f64).contains(seconds));
        seconds.map(Some).ok_or_else(|| malformed(&format!("`{name}` is not a time in seconds since 1970")))
    };
    let (expires_at, not_before) = (time("exp")?, time("nbf")?);
    let (issued_at, auth_time) = (time("iat")?, time("auth_time")?);
    let audience = members.present("aud").map(|node| match node.string() {
        Ok(one) => Ok(vec![one.to_owned()]),
        Err(_) => node.items()?.iter().map(|item| item.string().map(str::to_owned)).collect(),
    });
    let missing = |name: &str| Error::new(ErrorCode::ClaimMissing, format!("the token has no `{name}`"));
    let subject = subject.filter(|subject| !subject.is_empty()).ok_or_else(|| missing("sub"))?;
    Ok(Registered {
        issuer: issuer.ok_or_else(|| missing("iss"))?,
        subject: SubjectId::parse(&subject).map_err(mistyped)?,
        audience: audience.ok_or_else(|| missing("aud"))?.map_err(mistyped)?,
        authorized_party,
        nonce,
        expires_at: expires_at.ok_or_else(|| missing("exp"))?,
        not_before,
        issued_at: issued_at.ok_or_else(|| missing("iat"))?,
        auth_time,
    })
}
