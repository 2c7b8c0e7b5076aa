//! The start of a session, however its user was found out.

use super::keys::token_id;
use super::{Issuer, Minting, Remember, Tokens};
use crate::error::Result;
use crate::secret::random_alphanumeric;
use crate::store::{Beginning, Beside, Start};

impl Issuer {
    /// Starts a session and mints its first tokens, in one transaction.
    ///
    /// `Ok(None)` where the same was answered already, under the `Idempotency-Key` that `remember` is for.
    pub async fn start(&self, start: &Start<'_>, remember: Option<&Remember<'_>>) -> Result<Option<Tokens>> {
        let Start { application, now, .. } = *start;
        self.hold(&application.environment).await?;
        let mint = |beginning: &Beginning| {
            let Beginning { application, session, snapshot } = beginning;
            let token_id = &token_id()?;
            let minting = Minting { application, session, generation: 1, snapshot, token_id, nonce: None, now };
            let tokens = self.issue(&minting)?;
            let memo = remember.map(|remember| remember(&tokens)).transpose()?;
            let issuance = self.issuance(token_id, application, Some(session), snapshot, now);
            Ok((tokens, Beside { memo, issuance }))
        };
        self.store.start_session(&format!("ses_{}", random_alphanumeric(22)?), start, mint).await
    }
}
