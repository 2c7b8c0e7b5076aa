//! The past: a place as it was at a revision, rebuilt from the change log. For every document the last edit up to the
//! revision counts; each is found by one probe of an index, flags and segments by skipping from one id to the next.

use flagbearer::place::{Part, Place};
use flagbearer::timestamp::Timestamp;

use serde_json::Value;

use super::directory::Membership;
use super::engine::{Connection, Row, params};
use super::flags::stored;
use super::write::Entity;
use crate::error::{Error, Kind, Result};

/// Which place is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standpoint<'a> {
    pub environment: &'a str,
    pub user: Option<&'a str>,
    pub organization: Option<&'a str>,
}

/// A place as it was.
#[derive(Debug, Clone)]
pub struct Past {
    /// The last change up to then that touched the environment: the `flags_rev` of a token issued then.
    pub revision: i64,
    pub place: Place,
}

/// The last edit up to a revision, of what the condition names.
macro_rules! last {
    ($condition:literal) => {
        concat!("(SELECT e.after FROM edits e WHERE ", $condition, " ORDER BY e.revision DESC, e.position DESC LIMIT 1)")
    };
}

/// Every id that an entity ever had, each found from the one before.
macro_rules! ids {
    ($entity:literal) => {
        concat!(
            "WITH RECURSIVE ids(id) AS (SELECT min(e.id) FROM edits e WHERE e.entity = '",
            $entity,
            "' UNION ALL SELECT (SELECT min(e.id) FROM edits e WHERE e.entity = '",
            $entity,
            "' AND e.id > ids.id) FROM ids WHERE ids.id IS NOT NULL) "
        )
    };
}

/// `$1` the revision, `$2` the environment, `$3` the user, `$4` the organization.
const FLAGS: &str = concat!(
    ids!("flag"),
    "SELECT ids.id, ",
    last!("e.entity = 'flag' AND e.id = ids.id AND e.revision <= $1"),
    ", ",
    last!("e.entity = 'setting' AND e.id = ids.id AND e.environment = $2 AND e.revision <= $1"),
    ", ",
    last!("e.entity = 'override' AND e.id = ids.id AND e.user_id = $3 AND e.revision <= $1"),
    ", ",
    last!(
        "e.entity = 'override' AND e.id = ids.id AND e.organization = $4 AND e.environment = $2 \
         AND e.revision <= $1"
    ),
    " FROM ids WHERE ids.id IS NOT NULL"
);

const SEGMENTS: &str = concat!(
    ids!("segment"),
    "SELECT ids.id, ",
    last!("e.entity = 'segment' AND e.id = ids.id AND e.revision <= $1"),
    " FROM ids WHERE ids.id IS NOT NULL"
);

fn unknown(detail: String) -> Error {
    Error::new(Kind::Refused, "REVISION_UNKNOWN", detail)
}

impl Connection {
    /// The number of the last change.
    pub async fn last_revision(&mut self) -> Result<i64> {
        let row = self.row("SELECT revision FROM installation WHERE id = 1", &[]).await?;
        row.ok_or_else(|| Error::internal("the installation has no counter"))?.integer(0)
    }

    /// Refuses a number that no change has.
    pub async fn check_revision(&mut self, revision: i64) -> Result<()> {
        let last = self.last_revision().await?;
        if (1..=last).contains(&revision) {
            return Ok(());
        }
        Err(unknown(format!("there is no revision {revision}; the last change is {last}")))
    }

    /// The last change of a second or before it.
    pub async fn revision_at(&mut self, at: Timestamp) -> Result<i64> {
        let sql = "SELECT revision FROM changes WHERE at <= $1 ORDER BY at DESC, revision DESC LIMIT 1";
        let row = self.row(sql, params![at]).await?;
        row.ok_or_else(|| unknown(format!("nothing was there yet at {at}")))?.integer(0)
    }

    /// A place as it was right after a change, which has to be one.
    pub async fn past(&mut self, revision: i64, standpoint: Standpoint<'_>) -> Result<Past> {
        let Standpoint { environment, user, organization } = standpoint;
        if self.document_at(Entity::Environment, environment, revision).await?.is_none() {
            return Err(Error::not_found("environment", environment));
        }
        let mut place = Place::new(user, organization);
        for row in self.rows(FLAGS, params![revision, environment, user, organization]).await? {
            let id = row.text(0)?;
            let parts = [Part::Flag, Part::Setting, Part::UserOverride, Part::OrganizationOverride];
            for (column, part) in (1..).zip(parts) {
                put(&mut place, part, &id, &row, column)?;
            }
        }
        for row in self.rows(SEGMENTS, params![revision]).await? {
            put(&mut place, Part::Segment, &row.text(0)?, &row, 1)?;
        }
        let subjects = [(Part::User, Entity::User, user), (Part::Organization, Entity::Organization, organization)];
        for (part, entity, id) in subjects {
            let Some(id) = id else { continue };
            let document = self.document_at(entity, id, revision).await?;
            place.put(part, id, document.as_ref()).map_err(Error::internal)?;
        }
        Ok(Past { revision: self.environment_revision(environment, revision).await?, place })
    }

    /// A document of the log as it was right after a change; `None` where there was none.
    pub async fn document_at(&mut self, entity: Entity, id: &str, revision: i64) -> Result<Option<Value>> {
        let sql = "SELECT e.after FROM edits e WHERE e.entity = $1 AND e.id = $2 AND e.revision <= $3 \
                   ORDER BY e.revision DESC, e.position DESC LIMIT 1";
        let row = self.row(sql, params![entity.as_str(), id, revision]).await?;
        row.map(|row| row.maybe_text(0)).transpose()?.flatten().map(|text| stored(&text)).transpose()
    }

    /// A membership as the log had it right after a change; `None` also for one that a session had made.
    pub async fn membership_at(&mut self, organization: &str, user: &str, revision: i64) -> Result<Option<Membership>> {
        // Both ids may hold a `/`, so that the edit's id alone could be that of another membership.
        let sql = "SELECT e.after FROM edits e WHERE e.entity = 'membership' AND e.organization = $1 AND e.user_id = $2 \
                   AND e.revision <= $3 ORDER BY e.revision DESC, e.position DESC LIMIT 1";
        let row = self.row(sql, params![organization, user, revision]).await?;
        let Some(text) = row.map(|row| row.maybe_text(0)).transpose()?.flatten() else { return Ok(None) };
        Membership::parse_document(&stored(&text)?).map(Some)
    }

    /// The last change up to a revision that touched an environment.
    async fn environment_revision(&mut self, environment: &str, revision: i64) -> Result<i64> {
        let mut last = 0;
        for sql in [
            "SELECT max(revision) FROM edits WHERE environment = $1 AND in_tokens = 1 AND revision <= $2",
            "SELECT max(revision) FROM edits WHERE environment IS NULL AND CAST($1 AS TEXT) IS NOT NULL \
             AND in_tokens = 1 AND revision <= $2",
        ] {
            let row = self.row(sql, params![environment, revision]).await?;
            last = last.max(row.map(|row| row.maybe_integer(0)).transpose()?.flatten().unwrap_or_default());
        }
        Ok(last)
    }
}

fn put(place: &mut Place, part: Part, id: &str, row: &Row, column: usize) -> Result<()> {
    let Some(text) = row.maybe_text(column)? else { return Ok(()) };
    place.put(part, id, Some(&stored(&text)?)).map_err(Error::internal)
}
