//! The claims of a token that came in, read once, in place: what decides over the token, and its flags. Registered claims of
//! the wrong kind make the whole token malformed; a time written as a string or `null` is never taken for absent.

use std::borrow::Cow;

use jiter::Peek;

use super::MAX_DEPTH;
use crate::claim::{Claim, malformed, read_claim, read_integer};
use crate::error::{Error, ErrorCode, Result};
use crate::flag::MAX_INTEGER;
use crate::flag_set::Flags;
use crate::json::{Json, Read, double};

type Member<'t> = Option<Cow<'t, str>>;

/// When a token is good, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    pub expires_at: Option<f64>,
    pub not_before: Option<f64>,
}

#[derive(Default)]
pub(crate) struct Payload<'t> {
    pub issuer: Member<'t>,
    pub subject: Member<'t>,
    pub audience: Option<Audience<'t>>,
    pub client_id: Member<'t>,
    /// `azp`, in the kinde profile.
    pub authorized_party: Member<'t>,
    pub token_id: Member<'t>,
    /// NumericDates in milliseconds; RFC 7519 §2 allows fractions.
    pub expires_at: Option<f64>,
    pub not_before: Option<f64>,
    pub issued_at: Option<f64>,
    /// `org_id`, or `org_code` in the kinde profile.
    pub organization: Member<'t>,
    pub flags_revision: Option<i64>,
    /// Outer: whether the claim is there. Inner: whether it is of a known dialect.
    pub flags: Option<Option<Claim>>,
}

impl<'t> Payload<'t> {
    pub fn parse(text: &'t str) -> Result<Self> {
        let mut payload = Self::default();
        let mut json = Json::new(text, MAX_DEPTH);
        let read = json.members(|json, name| payload.read(json, name)).and_then(|()| json.finish());
        let read = read
            .and_then(|()| if json.passed_beyond() { Err(json.unexpected("a number that a double holds")) } else { Ok(()) });
        read.map_err(|fault| Error::new(ErrorCode::TokenMalformed, format!("the token's claims cannot be read: {fault}")))?;
        Ok(payload)
    }

    fn read(&mut self, json: &mut Json<'t>, name: &str) -> Read<()> {
        match name {
            "iss" => self.issuer = Some(json.string()?),
            "sub" => self.subject = Some(json.string()?),
            "aud" => self.audience = Some(Audience::read(json)?),
            "client_id" => self.client_id = Some(json.string()?),
            "azp" => self.authorized_party = Some(json.string()?),
            "jti" => self.token_id = Some(json.string()?),
            "exp" => self.expires_at = Some(time(json)?),
            "nbf" => self.not_before = Some(time(json)?),
            "iat" => self.issued_at = Some(time(json)?),
            "org_id" => self.organization = Some(json.string()?),
            "org_code" => {
                let code = json.string()?;
                self.organization.get_or_insert(code);
            }
            "flags_rev" => {
                let revision = read_integer(json.skip()?).filter(|revision| *revision >= 0);
                self.flags_revision = Some(revision.ok_or_else(|| json.unexpected("a revision"))?);
            }
            "feature_flags" => self.flags = Some(read_claim(json)?),
            _ => drop(json.skip()?),
        }
        Ok(())
    }
}

impl Payload<'_> {
    pub fn lifetime(&self) -> Lifetime {
        Lifetime { expires_at: self.expires_at, not_before: self.not_before }
    }

    /// What a flag set keeps besides the claims' text. The shape of the flags is the last thing that is decided.
    ///
    /// Errors: `FlagsMalformed`.
    pub fn into_flags(self) -> Result<Flags> {
        Ok(Flags {
            claim: self.flags.map_or_else(|| Ok(Claim::default()), |flags| flags.ok_or_else(malformed))?,
            organization: self.organization.map(Cow::into_owned),
            flags_revision: self.flags_revision,
        })
    }
}

/// A NumericDate between 1970 and 2^53 − 1 seconds, in milliseconds.
fn time(json: &mut Json<'_>) -> Read<f64> {
    let text = json.skip()?;
    double(text)
        // A negative one is refused, zero too.
        .filter(|seconds| text.starts_with(|c: char| c.is_ascii_digit()) && *seconds <= MAX_INTEGER as f64)
        .map(|seconds| seconds * 1000.0)
        .ok_or_else(|| json.unexpected("a time in seconds since 1970"))
}

/// `aud`: one string or an array of them (RFC 7519 §4.1.3).
pub(crate) struct Audience<'t>(Vec<Cow<'t, str>>);

impl<'t> Audience<'t> {
    fn read(json: &mut Json<'t>) -> Read<Self> {
        let mut entries = Vec::new();
        if json.peek()? == Peek::Array {
            json.items(|json| json.string().map(|entry| entries.push(entry)))?;
        } else {
            entries.push(json.string()?);
        }
        Ok(Self(entries))
    }

    pub fn contains(&self, audience: &str) -> bool {
        self.0.iter().any(|entry| entry == audience)
    }

    #[cfg(feature = "crypto")]
    pub fn entries(&self) -> Vec<String> {
        self.0.iter().map(|entry| entry.clone().into_owned()).collect()
    }
}
