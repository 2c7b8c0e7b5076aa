//! A token that somebody holds up and asks about: was it issued here, and what does it say. Unlike a reader's check this
//! asks neither whether it is still valid nor whom it is for: a token is explained long after it has expired.

use serde_json::Value;

use super::compact::Compact;
use super::payload::{Audience, Payload};
use super::verifier::Signed;
use super::{KeySet, Profile};
use crate::error::{Error, ErrorCode, Result};
use crate::flag_set::FlagSet;
use crate::timestamp::Timestamp;

/// A token that awaits its key. Nothing of it is to be trusted but that it names a key.
#[derive(Debug)]
pub struct Presented<'t> {
    signed: Signed<'t>,
    claims: Result<Issued>,
}

/// What an access token of ours says, in whatever profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    /// `iss`.
    pub issuer: String,
    /// `sub`: the user, or the application itself in a machine's token.
    pub subject: String,
    /// `aud`; empty where it is for nobody in particular.
    pub audience: Vec<String>,
    /// `client_id`, or `azp` in profile `kinde`.
    pub client_id: String,
    pub token_id: String,
    /// `sid`; none in a machine's token.
    pub session: Option<String>,
    pub organization: Option<String>,
    /// What was granted: the words of `scope`, or `scp` in profile `kinde`.
    pub scope: Vec<String>,
    /// The instant of evaluation.
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// The environment's revision that was evaluated.
    pub flags_revision: i64,
    pub flags: FlagSet,
}

impl Issued {
    /// Whether it is an application's own token (client credentials), and no user's.
    pub fn is_machine(&self) -> bool {
        self.session.is_none() && self.subject == self.client_id
    }
}

impl<'t> Presented<'t> {
    /// Takes an access token of any profile apart. An ID token is none: it has no `flags_rev`.
    ///
    /// Errors: `TokenMalformed`, `AlgorithmUnsupported`. What else is wrong with it is told by [`Presented::verify`].
    pub fn parse(token: &'t str) -> Result<Self> {
        let Compact { header, signing_input, payload, signature } = Compact::parse(token)?;
        let claims = Payload::parse(&payload)?;
        let algorithm = header.algorithm.ok_or_else(|| {
            Error::new(ErrorCode::AlgorithmUnsupported, "the token's `alg` is not one that tokens are issued with")
        })?;
        let of_profile =
            |profile: &Profile| profile.accepts(algorithm) && profile.accepts_type(header.token_type.as_deref());
        let claims = match Profile::ALL.iter().any(of_profile) {
            true => issued(claims, &payload),
            false => Err(Error::new(ErrorCode::TypeInvalid, "the token's `typ` is not that of an access token")),
        };
        let signed = Signed { algorithm, key_id: header.key_id, input: signing_input, signature };
        Ok(Self { signed, claims })
    }

    /// The key that must have signed it.
    pub fn key_id(&self) -> Option<&str> {
        self.signed.key_id.as_deref()
    }

    /// What it says, once its signature is that of one of these keys.
    ///
    /// Errors: `KeyUnknown` `AlgorithmUnsupported` `SignatureInvalid` `TypeInvalid` `ClaimMissing` `FlagsMalformed`.
    pub fn verify(self, keys: &KeySet) -> Result<Issued> {
        self.signed.check(keys)?;
        self.claims
    }
}

fn issued(claims: Payload<'_>, payload: &str) -> Result<Issued> {
    let missing = |name: &str| Error::new(ErrorCode::ClaimMissing, format!("the token has no `{name}`"));
    let time = |milliseconds: Option<f64>, name: &str| {
        milliseconds.map(|milliseconds| Timestamp::from_milliseconds(milliseconds as i64)).ok_or_else(|| missing(name))
    };
    let text = |member: &Option<std::borrow::Cow<'_, str>>, name: &str| {
        member.as_deref().filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(|| missing(name))
    };
    let unread = Unread::of(payload);
    Ok(Issued {
        issuer: text(&claims.issuer, "iss")?,
        subject: text(&claims.subject, "sub")?,
        audience: claims.audience.as_ref().map(Audience::entries).unwrap_or_default(),
        client_id: text(&claims.authorized_party, "azp").or_else(|_| text(&claims.client_id, "client_id"))?,
        token_id: text(&claims.token_id, "jti")?,
        session: unread.session,
        scope: unread.scope,
        organization: claims.organization.as_deref().map(str::to_owned),
        issued_at: time(claims.issued_at, "iat")?,
        expires_at: time(claims.expires_at, "exp")?,
        flags_revision: claims.flags_revision.ok_or_else(|| missing("flags_rev"))?,
        flags: claims.into_flags()?.with_claims(payload.to_owned()),
    })
}

/// Claims that no reader of flags looks at: they are read here alone.
#[derive(Default)]
struct Unread {
    session: Option<String>,
    scope: Vec<String>,
}

impl Unread {
    fn of(payload: &str) -> Self {
        let claims: Value = serde_json::from_str(payload).unwrap_or_default();
        let scope = match (&claims["scope"], &claims["scp"]) {
            (Value::String(words), _) => words.split_ascii_whitespace().map(str::to_owned).collect(),
            (_, Value::Array(words)) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Self { session: claims["sid"].as_str().map(str::to_owned), scope }
    }
}
