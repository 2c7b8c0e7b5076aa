//! The refresh grant: rotate, judge, evaluate, sign.

use flagbearer::timestamp::Timestamp;

use super::keys::token_id;
use super::{Issuer, Minting, Tokens, refresh_token};
use crate::error::Error;
use crate::request_id;
use crate::store::{Application, Beside, Client, Issuance, Mark, Memo, Rotated, Rotation, Session, Surface};

/// A refresh as it was asked for.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The environment at whose endpoint it arrived.
    pub environment: &'a str,
    pub client_id: &'a str,
    pub client: Client,
    pub surface: Surface,
    pub refresh_token: &'a str,
    /// The organization to go on in.
    pub organization: Option<&'a str>,
}

/// Makes of an answer what is remembered for a retry with the same `Idempotency-Key`.
pub type Remember<'r> = dyn Fn(&Tokens) -> Result<Memo, Error> + Sync + 'r;

/// Why nothing was issued. What is told says no more than the RFC asks for; the log says the rest.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    #[error("the client is not known here, or its secret is wrong")]
    Client,
    /// A client that is known, at endpoints that do not serve its profile.
    #[error("this application is not served here: its profile has endpoints of its own")]
    Profile,
    #[error("what was sent is not valid: it was used, has expired, or is another client's; sign in again")]
    Grant,
    #[error("the user is not a member of that organization")]
    NotAMember,
    /// An application that keeps no secret asks for a token of its own.
    #[error("an application that keeps no secret has no tokens of its own")]
    Public,
    #[error(
        "the application has no such audience: ask for its own, or for the management API's, which is the issuer and `/api`"
    )]
    Audience,
    #[error("the application does not have such a permission: ask for its own, or for none to get them all")]
    Scope,
    #[error("there is no such organization")]
    Organization,
    #[error("an application's own token cannot be revoked: it has no session, and lives until it expires")]
    Irrevocable,
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What has become of the session that a refresh token names.
enum Judgement<'r> {
    /// The token was used now, or a moment ago: its successor has the next generation.
    Good {
        application: &'r Application,
        session: &'r Session,
        generation: i64,
    },
    /// An older token was used again: somebody has a copy.
    Reused {
        session: &'r str,
    },
    Bad(Refused),
}

impl Issuer {
    /// Uses a refresh token: the whole path from token to tokens.
    ///
    /// `Ok(None)` where the same was answered already, under the `Idempotency-Key` that `remember` is for.
    pub async fn refresh(&self, grant: &Grant<'_>, remember: Option<&Remember<'_>>) -> Result<Option<Tokens>, Refused> {
        let now = self.store.now();
        // No database keeps NUL, and many requests are one statement: whoever sends it must not fail the others.
        if grant.client_id.contains('\0') {
            return Err(Refused::Client);
        }
        if grant.organization.is_some_and(|organization| organization.contains('\0')) {
            return Err(Refused::NotAMember);
        }
        // Garbage is refused here, whoever sends it: it costs no look into the database and tells nothing of the client.
        let token = refresh_token::parse(&self.key, self.epoch, grant.refresh_token).ok_or(Refused::Grant)?;
        let rotation = Rotation {
            session: token.session.to_owned(),
            generation: token.generation,
            client_id: grant.client_id.to_owned(),
            client: grant.client.clone(),
            surface: grant.surface,
            environment: grant.environment.to_owned(),
            organization: grant.organization.map(str::to_owned),
            now: now.milliseconds(),
            mark: self.mark()?,
        };
        self.hold(grant.environment).await?;
        let Some(remember) = remember else {
            let rotated = self.store.rotate(rotation.clone()).await?;
            return self.conclude(&rotation, &rotated, now).await.map(Some);
        };
        let mint = |rotated: &Rotated| match judge(&rotation, rotated, now) {
            Judgement::Good { application, session, generation } => {
                let (tokens, issuance) = self.tokens(&rotation, rotated, application, session, generation)?;
                let memo = Some(remember(&tokens)?);
                Ok((Ok(tokens), Beside { memo, issuance }))
            }
            // Judged again below, outside of the transaction.
            _ => Ok((Err(rotated.clone()), Beside::default())),
        };
        match self.store.rotate_remembering(&rotation, mint).await? {
            None => Ok(None),
            Some(Ok(tokens)) => Ok(Some(tokens)),
            Some(Err(rotated)) => self.conclude(&rotation, &rotated, now).await.map(Some),
        }
    }

    async fn conclude(&self, rotation: &Rotation, rotated: &Rotated, now: Timestamp) -> Result<Tokens, Refused> {
        match judge(rotation, rotated, now) {
            Judgement::Good { application, session, generation } => {
                let (tokens, issuance) = self.tokens(rotation, rotated, application, session, generation)?;
                self.store.write_beside(Beside { memo: None, issuance }, now).await?;
                Ok(tokens)
            }
            Judgement::Reused { session } => {
                tracing::warn!(
                    session,
                    generation = rotation.generation,
                    "a used refresh token came again; the session ends"
                );
                self.store.revoke_session(session, now).await?;
                Err(Refused::Grant)
            }
            Judgement::Bad(refused) => Err(refused),
        }
    }

    /// By what a token is recorded that the rotation may bring.
    fn mark(&self) -> Result<Option<Mark>, Error> {
        match self.records {
            true => Ok(Some(Mark { token_id: token_id()?, request_id: request_id::current() })),
            false => Ok(None),
        }
    }

    /// The tokens, and what is still to be recorded of them: nothing where the rotation has done so itself.
    fn tokens(
        &self,
        rotation: &Rotation,
        rotated: &Rotated,
        application: &Application,
        session: &Session,
        generation: i64,
    ) -> Result<(Tokens, Option<Issuance>), Error> {
        let now = Timestamp::from_milliseconds(rotation.now);
        let snapshot = rotated.snapshot.as_ref().ok_or_else(|| Error::internal("a session without an environment"))?;
        let token_id = &match &rotation.mark {
            Some(mark) => mark.token_id.clone(),
            None => token_id()?,
        };
        let tokens = self.issue(&Minting { application, session, generation, snapshot, token_id, nonce: None, now })?;
        let issuance = match rotated.moved {
            true => None,
            false => self.issuance(token_id, application, Some(session), snapshot, now),
        };
        Ok((tokens, issuance))
    }
}

fn judge<'r>(rotation: &Rotation, rotated: &'r Rotated, now: Timestamp) -> Judgement<'r> {
    let client = rotated.application.as_ref().filter(|(application, secret_hash)| {
        application.environment == rotation.environment && rotation.client.is(secret_hash.as_deref())
    });
    let Some((application, _)) = client else { return Judgement::Bad(Refused::Client) };
    if !rotation.surface.serves(application.profile) {
        return Judgement::Bad(Refused::Profile);
    }
    let Some(session) = &rotated.session else { return Judgement::Bad(Refused::Grant) };
    // Another client's token tells that client nothing, and does not end the session.
    if session.application != rotation.client_id || session.environment != rotation.environment {
        return Judgement::Bad(Refused::Grant);
    }
    let generation = rotation.generation + 1;
    if rotated.moved {
        return Judgement::Good { application, session, generation };
    }
    if !session.lives(now) {
        return Judgement::Bad(Refused::Grant);
    }
    match session.generation - rotation.generation {
        // Ahead of the session: from a database that was since restored. Nobody stole anything.
        ..0 => Judgement::Bad(Refused::Grant),
        // Not moved though it could be: the organization stood in the way.
        0 => Judgement::Bad(Refused::NotAMember),
        1 if in_grace(application, session, now) => {
            let member = rotated.snapshot.as_ref().is_some_and(|snapshot| snapshot.facts.membership.is_some());
            if rotation.organization.is_some() && !member {
                return Judgement::Bad(Refused::NotAMember);
            }
            Judgement::Good { application, session, generation }
        }
        _ => Judgement::Reused { session: &session.id },
    }
}

/// Whether a refresh token of this generation would be answered with a successor.
pub(super) fn accepts(application: &Application, session: &Session, generation: i64, now: Timestamp) -> bool {
    session.lives(now)
        && match session.generation - generation {
            0 => true,
            1 => in_grace(application, session, now),
            _ => false,
        }
}

/// A retry comes before first use + grace; a grace of 0 means that none does.
fn in_grace(application: &Application, session: &Session, now: Timestamp) -> bool {
    session.rotated_at.is_some_and(|first_use| now < first_use.plus_seconds(application.grace))
}
