//! What changed after a revision, as far as it concerns one place and the flags that are asked about.

use std::collections::BTreeSet;

use flagbearer::cause::PlaceChange;
use flagbearer::place::Part;
use serde_json::json;

use super::engine::{Connection, Row, Sql, params};
use super::flags::stored;
use super::history::Standpoint;
use crate::error::{Error, Result};

/// The changes after a revision.
#[derive(Debug, Clone, Default)]
pub struct Later {
    /// To what decides the flags, in order.
    pub changes: Vec<PlaceChange>,
    /// Which flags were killed, by id, with the revision.
    pub kills: BTreeSet<(i64, String)>,
    /// The revisions of those to the user's membership in the organization.
    pub membership: Vec<i64>,
    /// The revisions of those to the application.
    pub application: Vec<i64>,
}

macro_rules! branch {
    ($condition:literal) => {
        concat!(
            "SELECT e.revision, e.position, e.entity, e.id, e.user_id, e.after FROM edits e WHERE e.revision > $1 AND ",
            $condition
        )
    };
}

/// `$1` the revision, `$2` environment, `$3` user, `$4` organization, `$5` the application's client id, `$6` the ids of the
/// flags as a JSON array. Each branch has its own index, so that the rest of the log is not read; CASE keeps planners
/// from choosing another for the first.
macro_rules! later {
    ($among:literal) => {
        concat!(
            "SELECT x.revision, (SELECT c.at FROM changes c WHERE c.revision = x.revision), x.entity, x.id, x.user_id, x.after \
             FROM (",
            "SELECT e.revision, e.position, e.entity, e.id, e.user_id, e.after FROM edits e WHERE e.revision > $1 \
             AND e.flag ",
            $among,
            " AND CASE WHEN e.entity = 'flag' THEN true WHEN e.entity IN ('setting', 'kill') THEN e.environment = $2 \
             WHEN e.entity = 'override' THEN e.user_id = $3 OR (e.organization = $4 AND e.environment = $2) \
             ELSE false END UNION ALL ",
            branch!("e.entity = 'segment'"),
            " UNION ALL ",
            branch!("e.entity = 'user' AND e.id = $3"),
            " UNION ALL ",
            branch!("e.entity = 'organization' AND e.id = $4"),
            " UNION ALL ",
            branch!("e.entity = 'membership' AND e.organization = $4 AND e.user_id = $3"),
            " UNION ALL ",
            branch!("e.entity = 'application' AND e.id = $5"),
            ") x ORDER BY x.revision, x.position"
        )
    };
}

const LATER: Sql = Sql::either(
    later!("IN (SELECT value FROM json_each($6))"),
    // As an array, since the planner takes a set for a large one and reads the whole log instead of an index.
    later!("= ANY (ARRAY(SELECT value COLLATE \"C\" FROM json_array_elements_text(CAST($6 AS JSON))))"),
);

impl Connection {
    /// What came after a revision, for these flags (by id) at this place.
    pub async fn later(
        &mut self,
        revision: i64,
        standpoint: Standpoint<'_>,
        application: &str,
        flags: &[&str],
    ) -> Result<Later> {
        let Standpoint { environment, user, organization } = standpoint;
        let parameters = params![revision, environment, user, organization, application, json!(flags).to_string()];
        let mut later = Later::default();
        for row in self.rows(LATER, parameters).await? {
            later.add(&row)?;
        }
        Ok(later)
    }
}

impl Later {
    fn add(&mut self, row: &Row) -> Result<()> {
        let (revision, entity) = (row.integer(0)?, row.text(2)?);
        let part = match entity.as_str() {
            "membership" => {
                note(&mut self.membership, revision);
                return Ok(());
            }
            "kill" => {
                if row.maybe_text(5)?.is_some() {
                    self.kills.insert((revision, row.text(3)?));
                }
                return Ok(());
            }
            "flag" => Part::Flag,
            "setting" => Part::Setting,
            "override" if row.maybe_text(4)?.is_some() => Part::UserOverride,
            "override" => Part::OrganizationOverride,
            "segment" => Part::Segment,
            "user" => Part::User,
            "organization" => Part::Organization,
            "application" => {
                note(&mut self.application, revision);
                Part::Application
            }
            other => return Err(Error::internal(format!("the log holds a `{other}`"))),
        };
        let document = row.maybe_text(5)?.map(|text| stored(&text)).transpose()?;
        let edit = (part, row.text(3)?, document);
        match self.changes.last_mut().filter(|last| last.revision == revision) {
            Some(last) => last.edits.push(edit),
            None => self.changes.push(PlaceChange { revision, at: row.time(1)?, edits: vec![edit] }),
        }
        Ok(())
    }
}

fn note(revisions: &mut Vec<i64>, revision: i64) {
    if revisions.last() != Some(&revision) {
        revisions.push(revision);
    }
}
