//! Authorization codes (RFC 6749 §4.1): made when a user has signed in, redeemed once.
//!
//! A code that comes a second time ends the session that its first use began, whoever sends it and however soon: of two who
//! hold the same code one is not the client, and which one cannot be told (RFC 6749 §4.1.2). So of redemptions in parallel
//! one succeeds, and its session ends. A client that repeats a request because it got no answer says so by an
//! `Idempotency-Key`, and gets the answer again.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::authorization::Authorization;
use super::keys::token_id;
use super::{Issuer, Minting, Refused, Remember, Tokens};
use crate::error::{Kind, Result};
use crate::secret::{Secret, pkce_challenge, random_alphanumeric};
use crate::store::{Application, Beginning, Beside, Browser, Code, Origin, Redeemed, Redemption, Surface};

/// How long a code may be used, in seconds.
const LIFETIME: i64 = 60;

/// A redemption as it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct CodeGrant<'a> {
    /// The endpoints at which it arrived.
    pub surface: Surface,
    pub code: &'a str,
    /// Has to be named at an issuer's token endpoint, as it stood in the authorization request (RFC 6749 §4.1.3).
    pub redirect_uri: Option<&'a str>,
    pub code_verifier: Option<&'a str>,
    /// Where the session begins, as far as the client tells; otherwise where its user signed in.
    pub origin: Origin<'a>,
}

impl Issuer {
    /// Makes a code for whoever is signed in in a browser.
    pub(super) async fn issue_code(
        &self,
        authorization: &Authorization,
        browser: &Browser,
        organization: Option<&str>,
        origin: Origin<'_>,
    ) -> Result<Secret> {
        let secret = Secret::new(format!("fbc_{}", random_alphanumeric(43)?));
        let code = Code {
            redirect_uri: authorization.redirect_uri.clone(),
            challenge: authorization.challenge.clone(),
            scope: authorization.scope.clone(),
            nonce: authorization.nonce.clone(),
            user: browser.user.clone(),
            organization: organization.map(str::to_owned),
            browser: browser.id.clone(),
            method: browser.method,
            auth_time: browser.auth_time,
            ip_address: origin.ip_address.map(str::to_owned),
            user_agent: origin.user_agent.map(str::to_owned),
        };
        let expires_at = self.store.now().plus_seconds(LIFETIME);
        self.store.insert_code(&secret.hash(), &authorization.application.client_id, &code, expires_at).await?;
        Ok(secret)
    }

    /// Redeems a code of an application that has shown who it is: the first use, within its time, by whoever proves to have
    /// asked for it. `remember` is what a repeated request is recognised by, and how its answer is kept.
    ///
    /// `Ok(None)` where the same was answered already.
    pub async fn redeem(
        &self,
        application: &Application,
        grant: &CodeGrant<'_>,
        remember: Option<(&str, &Remember<'_>)>,
    ) -> Result<Option<Tokens>, Refused> {
        let now = self.store.now();
        self.hold(&application.environment).await?;
        let id = format!("ses_{}", random_alphanumeric(22)?);
        let hash = Secret::new(grant.code).hash();
        let redemption = Redemption {
            hash: &hash,
            application,
            session: &id,
            origin: grant.origin,
            once: remember.map(|(once, _)| once),
            now,
        };
        let redeemed = self.store.redeem_code(
            &redemption,
            |code| proven(grant, code),
            |code, beginning| {
                let Beginning { application, session, snapshot } = beginning;
                let (nonce, token_id) = (code.nonce.as_deref(), &token_id()?);
                let tokens = self.issue(&Minting { application, session, generation: 1, snapshot, token_id, nonce, now })?;
                let memo = remember.map(|(_, remember)| remember(&tokens)).transpose()?;
                let issuance = self.issuance(token_id, application, Some(session), snapshot, now);
                Ok((tokens, Beside { memo, issuance }))
            },
        );
        match redeemed.await {
            Ok(Redeemed::Good(tokens)) => Ok(Some(tokens)),
            Ok(Redeemed::Answered) => Ok(None),
            Ok(Redeemed::Reused { session }) => {
                tracing::warn!(session, "a used authorization code came again; the session that it began ends");
                Err(Refused::Grant)
            }
            Ok(Redeemed::Bad) => Err(Refused::Grant),
            // The user was removed, or left the organization, since the code was made.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Forbidden) => Err(Refused::Grant),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the client proves to be who asked for the code, and names what it was asked for with.
fn proven(grant: &CodeGrant<'_>, code: &Code) -> bool {
    let redirected = match grant.redirect_uri {
        Some(named) => named == code.redirect_uri,
        // WorkOS's clients send none; the code went to a registered address all the same.
        None => grant.surface == Surface::WorkOs,
    };
    let verified = match (&code.challenge, grant.code_verifier) {
        (Some(challenge), Some(verifier)) => is_verifier_of(verifier, challenge),
        // A verifier without a challenge: somebody took the challenge out on the way (RFC 9700 §2.1.1).
        (challenge, verifier) => challenge.is_none() && verifier.is_none(),
    };
    redirected && verified
}

/// RFC 7636 §4.6.
fn is_verifier_of(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && verify_slices_are_equal(pkce_challenge(verifier).as_bytes(), challenge.as_bytes()).is_ok()
}
