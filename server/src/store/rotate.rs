//! Rotation: a refresh token is used, once, and everything that its new access token needs is read in the same statement.
//!
//! Refreshes that wait for the database together go to it together: on SQLite one commit serves all of them, on PostgreSQL
//! one round trip. A batch is closed before its snapshot is taken, so that no request is answered from a snapshot older
//! than itself.

mod batches;
mod statements;

use std::collections::HashSet;
use std::sync::Arc;

use flagbearer::timestamp::Timestamp;
use flagbearer::token::Profile;

use super::applications::Application;
use super::engine::{Connection, Engine, Sql, params};
use super::issuances::CORRECT;
use super::sessions::{ATTEMPTS, Session};
use super::snapshot::{Companions, Snapshot};
use super::{Beside, Inner, Issuance, Store};
use crate::error::{Error, Result};

pub(super) use batches::Batches;
use statements::{POSTGRES_READ, Raw, SQLITE_MOVE, SQLITE_READ, inputs, ordered, postgres_move};

/// What a refresh asks of the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rotation {
    pub session: String,
    /// The generation of the token that was sent.
    pub generation: i64,
    pub client_id: String,
    /// How the client showed that it is the one.
    pub client: Client,
    /// Where the request came to.
    pub surface: Surface,
    /// The environment at whose endpoint it was sent.
    pub environment: String,
    /// The organization to go on in; the session's own where none is named.
    pub organization: Option<String>,
    /// The request's time, in milliseconds.
    pub now: i64,
    /// What its token is recorded by, where that is done.
    pub mark: Option<Mark>,
}

/// What tells a token that is issued from all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// The `jti` that it will have.
    pub token_id: String,
    pub request_id: String,
}

/// The two sets of endpoints that tokens are asked for at. Each serves its own profiles: never is one guessed from a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Surface {
    /// `/oauth2/…` of an issuer.
    OAuth,
    /// `/user_management/…`.
    WorkOs,
}

impl Surface {
    pub fn serves(self, profile: Profile) -> bool {
        (profile == Profile::WorkOs) == (self == Self::WorkOs)
    }
}

/// How a client shows who it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// SHA-256 of the secret that was sent; a public client sends none.
    Secret(Option<String>),
    /// In a way that was verified already.
    Verified,
}

impl Client {
    /// SHA-256 of the secret that was sent.
    pub fn secret_hash(&self) -> Option<&str> {
        match self {
            Self::Secret(hash) => hash.as_deref(),
            Self::Verified => None,
        }
    }

    /// Whether it is the client with this hash of its secret.
    pub fn is(&self, secret_hash: Option<&str>) -> bool {
        *self == Self::Verified || self.secret_hash() == secret_hash
    }
}

/// What the database said.
#[derive(Debug, Clone)]
pub struct Rotated {
    /// The application that the client id names, and the hash of its secret.
    pub application: Option<(Arc<Application>, Option<String>)>,
    /// The session as it stands, before this rotation where it is not this one's doing.
    pub session: Option<Session>,
    /// Whether this very request moved the session on.
    pub moved: bool,
    /// Where the token will be for; none where the session is not there.
    pub snapshot: Option<Snapshot>,
}
impl Store {
    /// Uses a refresh token. Looks again where another request moved the session in the same instant.
    pub async fn rotate(&self, rotation: Rotation) -> Result<Rotated> {
        for _ in 0..ATTEMPTS {
            let rotated = self.batches.rotate(rotation.clone()).await?;
            if !rotated.raced(&rotation) {
                return Ok(rotated);
            }
        }
        Err(Error::unavailable())
    }

    /// Uses a refresh token whose answer is to be remembered: `mint` makes the answer inside the transaction that rotates, and
    /// says what is written beside it. A token of a session that moved is recorded already, by its mark.
    /// `None` where the same was answered already.
    pub async fn rotate_remembering<T>(
        &self,
        rotation: &Rotation,
        mint: impl Fn(&Rotated) -> Result<(T, Beside)>,
    ) -> Result<Option<T>> {
        let rotations = std::slice::from_ref(rotation);
        for _ in 0..ATTEMPTS {
            let mut connection = self.engine.write_snapshot().await?;
            let rotated = match self.rotate_in(&mut connection, rotations).await {
                Err(error) if error.code == Error::RACED => continue,
                outcomes => outcomes?.pop().ok_or_else(|| Error::internal("a rotation was not answered"))??,
            };
            let (answer, beside) = mint(&rotated)?;
            if !connection.write_beside(beside, Timestamp::from_milliseconds(rotation.now)).await? {
                return Ok(None);
            }
            match connection.commit().await {
                Err(error) if error.code == Error::RACED => continue,
                committed => committed?,
            }
            return Ok(Some(answer));
        }
        Err(Error::unavailable())
    }
}

impl Rotated {
    /// Turns this into what the same request finds right after.
    fn retry(&mut self, rotation: &Rotation) {
        if let (true, Some(session)) = (std::mem::take(&mut self.moved), &mut self.session) {
            session.generation = rotation.generation + 1;
            session.rotated_at = Some(Timestamp::from_milliseconds(rotation.now));
        }
    }

    /// On PostgreSQL the loser of a race sees the session as it was before the winner: it has to look again.
    fn raced(&self, rotation: &Rotation) -> bool {
        let unmoved = |session: &Session| {
            session.generation == rotation.generation
                && session.revoked_at.is_none()
                && session.expires_at.milliseconds() > rotation.now
                && session.application == rotation.client_id
                && session.environment == rotation.environment
        };
        let client = self.application.as_ref().is_some_and(|(application, hash)| {
            rotation.client.is(hash.as_deref()) && rotation.surface.serves(application.profile)
        });
        let admitted = rotation.organization.is_none()
            || self.snapshot.as_ref().is_some_and(|snapshot| snapshot.facts.membership.is_some());
        !self.moved && client && admitted && self.session.as_ref().is_some_and(unmoved)
    }
}

impl Inner {
    /// Runs a batch; answers in the order of the requests. One bad request never fails the others.
    async fn rotate_all(&self, rotations: &[Rotation]) -> Result<Vec<Result<Rotated>>> {
        match &self.engine {
            Engine::Sqlite { .. } => {
                let mut connection = self.engine.write().await?;
                let outcomes = self.rotate_in(&mut connection, rotations).await?;
                connection.commit().await?;
                Ok(outcomes)
            }
            Engine::Postgres { .. } => {
                let inputs = inputs(rotations);
                let rows = self.engine.statement(postgres_move(rotations), params![inputs.as_str()]).await?;
                let mut raw = ordered(&rows, rotations.len(), &HashSet::new())?;
                let held = |found: &Raw| match &found.facts {
                    Some(facts) => self.held_companions(facts).map(Some),
                    None => Some(None),
                };
                if let Some(companions) = raw.iter().map(held).collect::<Option<Vec<_>>>() {
                    return Ok(raw.into_iter().zip(companions).map(|(found, with)| found.rotated(with)).collect());
                }
                // A ruleset or keys have changed. Those that match would have to come from the statement's own snapshot,
                // which is gone: so all that is evaluated is read again, with them, from a new one.
                let mut connection = self.engine.read().await?;
                let rows = connection.rows(POSTGRES_READ, params![inputs.as_str()]).await?;
                for (found, fresh) in raw.iter_mut().zip(ordered(&rows, rotations.len(), &HashSet::new())?) {
                    found.facts = fresh.facts;
                }
                // What was recorded was of the first snapshot. Nobody has these tokens yet.
                let recorded = issuances(rotations, &raw);
                if !recorded.is_empty() {
                    self.engine.statement(CORRECT, params![Issuance::inputs(&recorded).as_str()]).await?;
                }
                self.completed(&mut connection, raw).await
            }
        }
    }

    /// Rotates inside a transaction that the caller commits.
    async fn rotate_in(&self, connection: &mut Connection, rotations: &[Rotation]) -> Result<Vec<Result<Rotated>>> {
        let (inputs, count) = (inputs(rotations), rotations.len());
        let raw = match connection {
            Connection::Sqlite(_) => {
                let rows = connection.rows(Sql::either(SQLITE_MOVE, ""), params![inputs.as_str()]).await?;
                let moved: HashSet<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?;
                let rows = connection.rows(Sql::either(SQLITE_READ, ""), params![inputs.as_str()]).await?;
                let raw = ordered(&rows, count, &moved)?;
                connection.record_issuances(&issuances(rotations, &raw)).await?;
                raw
            }
            Connection::Postgres(_) => {
                let rows = connection.rows(Sql::either("", postgres_move(rotations)), params![inputs.as_str()]).await?;
                ordered(&rows, count, &HashSet::new())?
            }
        };
        self.completed(connection, raw).await
    }

    async fn completed(&self, connection: &mut Connection, raw: Vec<Raw>) -> Result<Vec<Result<Rotated>>> {
        let mut outcomes = Vec::with_capacity(raw.len());
        for found in raw {
            let companions = match &found.facts {
                Some(facts) => Some(self.companions(connection, facts).await?),
                None => None,
            };
            outcomes.push(found.rotated(companions));
        }
        Ok(outcomes)
    }
}

/// The tokens of the sessions that moved, where they are recorded.
fn issuances(rotations: &[Rotation], raw: &[Raw]) -> Vec<Issuance> {
    let issuance = |(rotation, raw): (&Rotation, &Raw)| {
        let (mark, session, facts) = (rotation.mark.as_ref()?, raw.session.as_ref()?, raw.facts.as_ref()?);
        raw.moved.then(|| Issuance {
            token_id: mark.token_id.clone(),
            request_id: mark.request_id.clone(),
            session: Some(session.id.clone()),
            application: session.application.clone(),
            environment: session.environment.clone(),
            organization: facts.organization.clone(),
            issued_at: Timestamp::from_milliseconds(rotation.now),
            revision: facts.revision,
        })
    };
    rotations.iter().zip(raw).filter_map(issuance).collect()
}

impl Raw {
    fn rotated(self, companions: Option<Companions>) -> Result<Rotated> {
        let snapshot = self.facts.zip(companions).map(|(facts, companions)| Snapshot::new(facts, companions)).transpose()?;
        Ok(Rotated { application: self.application, session: self.session, moved: self.moved, snapshot })
    }
}
