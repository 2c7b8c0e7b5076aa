//! An issuer without a server. Its tokens are written and signed as the server's are, by a key of its own, so that a test reads
//! nothing differently from production.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::typed;
use crate::claim::Dialect;
use crate::document::Node;
use crate::error::{Error, ErrorCode, Result};
use crate::timestamp::Timestamp;
use crate::token::{AccessToken, Algorithm, Asked, KeySet, Profile, Signer, SigningKey, TYPE_ACCESS_TOKEN, TYPE_JWT};

/// How long its tokens live unless a test says otherwise, in seconds: as long as the server's do by default.
const LIFETIME: i64 = 300;

/// An issuer of one application's tokens.
#[derive(Debug)]
pub struct TestIssuer {
    issuer: String,
    client_id: String,
    profile: Profile,
    signer: Signer,
    minted: AtomicU64,
}

impl TestIssuer {
    /// An issuer with a new key: EdDSA in our profile, RS256 in the vendors'. `issuer` becomes `iss`, `client_id` the
    /// application's, and in our profile `aud` as well; `profile` is ours where none is named.
    ///
    /// Errors: `ConfigurationInvalid`, for a profile that there is not.
    pub fn new(issuer: &str, client_id: &str, profile: Option<&str>) -> Result<Self> {
        let profile = Profile::parse(profile.unwrap_or(Profile::Flagbearer.as_str()))
            .ok_or_else(|| Error::new(ErrorCode::ConfigurationInvalid, "`profile` is `flagbearer`, `kinde` or `workos`"))?;
        let (algorithm, token_type) = match profile {
            Profile::Flagbearer => (Algorithm::EdDsa, TYPE_ACCESS_TOKEN),
            Profile::Kinde | Profile::WorkOs => (Algorithm::Rs256, TYPE_JWT),
        };
        Ok(Self {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            profile,
            signer: SigningKey::generate(algorithm)?.signer(token_type)?,
            minted: AtomicU64::new(0),
        })
    }

    /// The keys that its tokens are verified with, as a JWK set: what a reader's fetch is answered with.
    pub fn jwks(&self) -> Result<String> {
        Ok([self.signer.key().public_key()?].into_iter().collect::<KeySet>().to_json())
    }

    /// A token of these facts: `{flags, user, organization, flags_revision, expires_in}`, all of which may be left out.
    /// `flags` has a value for each key, whose type is the value's own; `expires_in` is in seconds, and a token of less than
    /// none was issued long enough ago to have expired.
    ///
    /// Errors: those of documents, keys and values, with the pointer to the member at fault.
    pub fn token(&self, facts: &Value, now: Timestamp) -> Result<String> {
        let mut members = Node::root(facts).members()?;
        let flags = members.optional("flags").map(|node| typed(&node)).transpose()?.unwrap_or_default();
        let user = members.optional("user").map(|node| node.string()).transpose()?.unwrap_or("user_1");
        let organization = members.optional("organization").map(|node| node.string()).transpose()?;
        let flags_revision = members.optional("flags_revision").map(|node| node.integer()).transpose()?.unwrap_or(1);
        let expires_in = members.optional("expires_in").map(|node| node.integer()).transpose()?.unwrap_or(LIFETIME);
        members.finish()?;

        let dialect = match self.profile {
            Profile::Flagbearer | Profile::Kinde => Dialect::Typed,
            Profile::WorkOs => Dialect::Keys,
        };
        let mut feature_flags = String::new();
        dialect.encode(flags.iter().map(|(key, value)| (key, value)), &mut feature_flags);
        let now = Timestamp::from_seconds(now.seconds());
        let issued_at = if expires_in > 0 { now } else { now.plus_seconds(expires_in.saturating_sub(LIFETIME)) };
        let number = self.minted.fetch_add(1, Ordering::Relaxed);
        let token_id = format!("{}-{number}", self.signer.key().key_id());
        let mut claims = String::new();
        AccessToken {
            issuer: &self.issuer,
            subject: user,
            audience: None,
            client_id: &self.client_id,
            issued_at,
            expires_at: now.plus_seconds(expires_in),
            token_id: &token_id,
            session: Some("session_1"),
            authenticated_at: Some(issued_at),
            organization,
            organization_name: None,
            scope: None,
            roles: &[],
            permissions: &[],
            flags_revision,
            feature_flags: &feature_flags,
            asked: Asked::default(),
        }
        .write(self.profile, &mut claims);
        self.signer.sign(&claims)
    }
}
