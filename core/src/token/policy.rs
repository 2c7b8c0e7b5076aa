//! Which tokens are accepted: the profiles and their rules (RFC 9068 §4, RFC 8725). Pure decisions over what a token says,
//! in the order of precedence of the codes, so that every language answers the same one when several hold.

use super::payload::{Lifetime, Payload};
use super::{Algorithm, TYPE_ACCESS_TOKEN, TYPE_JWT};
use crate::claim::Dialect;
use crate::error::{Error, ErrorCode, Result};
use crate::timestamp::Timestamp;

/// How far clocks may disagree, in seconds, unless set.
pub const DEFAULT_LEEWAY_SECONDS: f64 = 5.0;
/// The most that may be set.
pub const MAX_LEEWAY_SECONDS: f64 = 60.0;

/// What an application's tokens look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// RFC 9068 with typed flags.
    Flagbearer,
    /// As Kinde's SDKs expect them.
    Kinde,
    /// As WorkOS's SDKs expect them.
    WorkOs,
}

impl Profile {
    pub const ALL: [Profile; 3] = [Self::Flagbearer, Self::Kinde, Self::WorkOs];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flagbearer => "flagbearer",
            Self::Kinde => "kinde",
            Self::WorkOs => "workos",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == name)
    }

    /// How its claim tells the flags.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Flagbearer | Self::Kinde => Dialect::Typed,
            Self::WorkOs => Dialect::Keys,
        }
    }

    /// Vendors' SDKs know RS256 alone.
    pub fn accepts(self, algorithm: Algorithm) -> bool {
        self == Self::Flagbearer || algorithm == Algorithm::Rs256
    }

    /// RFC 9068 §2.1.
    pub(crate) fn accepts_type(self, token_type: Option<&str>) -> bool {
        match self {
            Self::Flagbearer => is_type(token_type, TYPE_ACCESS_TOKEN),
            Self::Kinde | Self::WorkOs => token_type.is_none() || is_type(token_type, TYPE_JWT),
        }
    }
}

/// Whether a header's `typ` is this one: RFC 7515 §4.1.9 lets `application/` stand before it; never case-sensitive.
pub(super) fn is_type(token_type: Option<&str>, expected: &str) -> bool {
    token_type.is_some_and(|found| {
        let prefixed = found.get(..12).is_some_and(|prefix| prefix.eq_ignore_ascii_case("application/"));
        let bare = if prefixed { &found[12..] } else { found };
        bare.eq_ignore_ascii_case(expected)
    })
}

/// What is expected of a token. `recipient` is the audience in our profile, the client id in the others.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub issuer: String,
    pub profile: Profile,
    pub recipient: String,
    pub leeway_milliseconds: f64,
    /// How long after its time a token is still good; 0 but for one that nobody could refresh.
    pub grace_milliseconds: f64,
}

impl Policy {
    /// Everything that is decided after the signature, the flags' shape excepted.
    pub fn check(&self, token_type: Option<&str>, claims: &Payload<'_>, now: Timestamp) -> Result<()> {
        if !self.profile.accepts_type(token_type) {
            return Err(Error::new(
                ErrorCode::TypeInvalid,
                "the token's `typ` is not that of an access token of this profile",
            ));
        }
        self.check_present(claims)?;
        if claims.issuer.as_deref() != Some(&self.issuer) {
            return Err(Error::new(ErrorCode::IssuerMismatch, format!("the token is not of the issuer `{}`", self.issuer)));
        }
        self.check_recipient(claims)?;
        self.check_time(claims.lifetime(), now)?;
        // No issuer says when a token begins to be good, so this alone tells of a clock that is late. By as much clocks may differ.
        let ahead = claims.issued_at.unwrap_or_default() - now.milliseconds() as f64;
        if ahead > MAX_LEEWAY_SECONDS * 1000.0 {
            let seconds = whole_seconds(ahead);
            let message = format!("the token was issued {seconds} s from now by this clock; compare the clocks");
            return Err(Error::new(ErrorCode::TokenNotYetValid, message));
        }
        Ok(())
    }

    /// Whether now is between the token's times.
    pub fn check_time(&self, lifetime: Lifetime, now: Timestamp) -> Result<()> {
        let now = now.milliseconds() as f64;
        let expires_at = lifetime.expires_at.unwrap_or_default();
        if now >= expires_at + self.leeway_milliseconds + self.grace_milliseconds {
            let seconds = whole_seconds(now - expires_at);
            let message =
                format!("the token expired {seconds} s ago by this clock; refresh it, and compare the clocks if it is new");
            return Err(Error::new(ErrorCode::TokenExpired, message));
        }
        if let Some(not_before) = lifetime.not_before.filter(|not_before| now + self.leeway_milliseconds < *not_before) {
            let seconds = whole_seconds(not_before - now);
            let message = format!("the token is valid in {seconds} s by this clock; compare the clocks");
            return Err(Error::new(ErrorCode::TokenNotYetValid, message));
        }
        Ok(())
    }

    fn check_present(&self, claims: &Payload<'_>) -> Result<()> {
        let ours = self.profile == Profile::Flagbearer;
        let required = [
            ("iss", claims.issuer.is_some()),
            ("sub", claims.subject.as_deref().is_some_and(|subject| !subject.is_empty())),
            ("aud", !ours || claims.audience.is_some()),
            ("azp", self.profile != Profile::Kinde || claims.authorized_party.is_some()),
            ("client_id", self.profile == Profile::Kinde || claims.client_id.is_some()),
            ("exp", claims.expires_at.is_some()),
            ("iat", claims.issued_at.is_some()),
            ("jti", claims.token_id.is_some()),
            // What tells a vendor profile's access token from an ID token, which never carries it.
            ("flags_rev", ours || claims.flags_revision.is_some()),
        ];
        match required.iter().find(|(_, present)| !present) {
            None => Ok(()),
            Some((name, _)) => Err(Error::new(ErrorCode::ClaimMissing, format!("the token has no `{name}`"))),
        }
    }

    fn check_recipient(&self, claims: &Payload<'_>) -> Result<()> {
        let addressed = claims.audience.as_ref().is_some_and(|audience| audience.contains(&self.recipient));
        let accepted = match self.profile {
            Profile::Flagbearer => addressed,
            // A token addressed to the client itself is an ID token.
            Profile::Kinde => claims.authorized_party.as_deref() == Some(&self.recipient) && !addressed,
            Profile::WorkOs => claims.client_id.as_deref() == Some(&self.recipient) && !addressed,
        };
        if accepted {
            return Ok(());
        }
        Err(Error::new(ErrorCode::AudienceMismatch, format!("the token is not an access token for `{}`", self.recipient)))
    }
}

/// For a message; as an integer, since printing doubles weighs more than all else that the edge's module prints.
fn whole_seconds(milliseconds: f64) -> i64 {
    (milliseconds / 1000.0).round() as i64
}
