//! The start of a session, however its user was found out.

use super::{Issuer, Minting, Remember, Tokens};
use crate::error::Result;
use crate::secret::random_alphanumeric;
use crate::store::{Beginning, Start};

impl Issuer {
    /// Starts a session and mints its first tokens, in one transaction.
    ///
    /// `Ok(None)` where the same was answered already, under the `Idempotency-Key` that `remember` is for.
    pub async fn start(&self, start: &Start<'_>, remember: Option<&Remember<'_>>) -> Result<Option<Tokens>> {
        let Start { application, now, .. } = *start;
        self.hold(&application.environment).await?;
        let mint = |beginning: &Beginning| {
            let Beginning { application, session, snapshot } = beginning;
            let tokens = self.issue(&Minting { application, session, generation: 1, snapshot, nonce: None, now })?;
            let memo = remember.map(|remember| remember(&tokens)).transpose()?;
            Ok((tokens, memo))
        };
        self.store.start_session(&format!("ses_{}", random_alphanumeric(22)?), start, mint).await
    }
}
