//! The claims of a token that came in, read once, in place: what decides over the token, and its flags. Registered claims of
//! the wrong kind make the whole token malformed; a time written as a string or `null` is never taken for absent.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::claim::{Claim, ReadClaim, malformed, read_integer};
use crate::error::{Error, ErrorCode, Result};
use crate::flag::MAX_INTEGER;
use crate::flag_set::Flags;
use crate::members::{Names, Text, Walk};

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
    pub fn parse(json: &'t str) -> Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        Claims
            .deserialize(&mut deserializer)
            .and_then(|payload| deserializer.end().map(|()| payload))
            .map_err(|error| Error::new(ErrorCode::TokenMalformed, format!("the token's claims cannot be read: {error}")))
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

struct Claims;

impl<'de> DeserializeSeed<'de> for Claims {
    type Value = Payload<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Claims {
    type Value = Payload<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut payload = Payload::default();
        let mut names = Names::with_capacity(24);
        while let Some(Text(name)) = access.next_key()? {
            match name.as_ref() {
                "iss" => payload.issuer = text(&mut access)?,
                "sub" => payload.subject = text(&mut access)?,
                "aud" => payload.audience = Some(access.next_value()?),
                "client_id" => payload.client_id = text(&mut access)?,
                "azp" => payload.authorized_party = text(&mut access)?,
                "jti" => payload.token_id = text(&mut access)?,
                "exp" => payload.expires_at = time(&name, &mut access)?,
                "nbf" => payload.not_before = time(&name, &mut access)?,
                "iat" => payload.issued_at = time(&name, &mut access)?,
                "org_id" => payload.organization = text(&mut access)?,
                "org_code" => {
                    let code = text(&mut access)?;
                    payload.organization = payload.organization.or(code);
                }
                "flags_rev" => {
                    let revision = access.next_value::<&RawValue>()?;
                    let revision = read_integer(revision.get()).filter(|revision| *revision >= 0);
                    payload.flags_revision =
                        Some(revision.ok_or_else(|| A::Error::custom("`flags_rev` is not a revision"))?);
                }
                "feature_flags" => payload.flags = Some(access.next_value_seed(ReadClaim)?),
                _ => access.next_value_seed(Walk)?,
            }
            names.push(name);
        }
        names.finish()?;
        Ok(payload)
    }
}

fn text<'de, A: MapAccess<'de>>(access: &mut A) -> Result<Member<'de>, A::Error> {
    Ok(Some(access.next_value::<Text<'de>>()?.0))
}

/// A NumericDate between 1970 and 2^53 − 1 seconds, in milliseconds.
fn time<'de, A: MapAccess<'de>>(name: &str, access: &mut A) -> Result<Option<f64>, A::Error> {
    let raw = access.next_value::<&RawValue>()?.get();
    serde_json::from_str::<f64>(raw)
        .ok()
        // A negative one is refused, zero too.
        .filter(|seconds| raw.starts_with(|c: char| c.is_ascii_digit()) && *seconds <= MAX_INTEGER as f64)
        .map(|seconds| Some(seconds * 1000.0))
        .ok_or_else(|| A::Error::custom(format!("`{name}` is not a time in seconds since 1970")))
}

/// `aud`: one string or an array of them (RFC 7519 §4.1.3).
pub(crate) struct Audience<'t>(Vec<Cow<'t, str>>);

impl Audience<'_> {
    pub fn contains(&self, audience: &str) -> bool {
        self.0.iter().any(|entry| entry == audience)
    }

    #[cfg(feature = "crypto")]
    pub fn entries(&self) -> Vec<String> {
        self.0.iter().map(|entry| entry.clone().into_owned()).collect()
    }
}

impl<'de> Deserialize<'de> for Audience<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudienceVisitor;
        impl<'de> Visitor<'de> for AudienceVisitor {
            type Value = Audience<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Audience(vec![Cow::Borrowed(text)]))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Audience(vec![Cow::Owned(text.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(Text(entry)) = access.next_element()? {
                    entries.push(entry);
                }
                Ok(Audience(entries))
            }
        }
        deserializer.deserialize_any(AudienceVisitor)
    }
}
