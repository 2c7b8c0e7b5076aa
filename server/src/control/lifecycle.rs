//! Flags that have outlived their use: gathers what decides them and asks the core.

use std::collections::BTreeMap;

use flagbearer::effect::StandingOverride;
use flagbearer::lifecycle::{Facts, Finding, InEnvironment};
use flagbearer::setting::Setting;
use flagbearer::subject::SubjectKind;
use flagbearer::timestamp::Timestamp;

use super::Call;
use crate::error::{Error, Result};
use crate::store::{Connection, FlagFilter, StoredFlag, StoredOverride};

/// For how many days a flag has to have stood still where the caller does not say.
const STALE_AFTER: i64 = 30;

/// So many flags are looked at in one go.
const BATCH: i64 = 200;

/// Which flags a caller wants by their staleness.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The stale ones, or the others.
    stale: bool,
    days: i64,
}

impl Wanted {
    /// Reads `stale` and `stale_after`; `None` where staleness does not matter.
    pub fn read(call: &Call) -> Result<Option<Self>> {
        let Some(stale) = call.choice("stale")? else {
            if call.parameter("stale_after").is_some() {
                return Err(Error::malformed("PARAMETER_MISSING", "`stale_after` belongs to `stale=true` or `stale=false`"));
            }
            return Ok(None);
        };
        let days = call.parameter("stale_after").map_or(Ok(STALE_AFTER), |text| {
            text.parse().ok().filter(|days| (1..=3650).contains(days)).ok_or_else(|| {
                let detail = format!("`stale_after` is a whole number of days from 1 to 3650, not `{text}`");
                Error::malformed("PARAMETER_INVALID", detail)
            })
        })?;
        // What is found names overrides of every environment.
        call.may_read_everywhere()?;
        if call.choice("archived")? == Some(true) {
            let detail = "an archived flag is in no token, so that it is not stale; leave `stale` or `archived` out";
            return Err(Error::malformed("PARAMETER_INVALID", detail));
        }
        Ok(Some(Self { stale, days }))
    }

    /// The flags that are wanted, each with what was found: those after `cursor`, in order of key.
    pub async fn flags(
        self,
        connection: &mut Connection,
        filter: &FlagFilter,
        cursor: &str,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<(StoredFlag, Vec<Finding>)>> {
        let mut survey = Survey::open(connection).await?;
        let mut wanted = Vec::new();
        let mut cursor = cursor.to_owned();
        loop {
            let batch = connection.flags(filter, &cursor, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(wanted) };
            cursor = last.flag.key.to_string();
            for stored in batch {
                let findings = survey.findings(connection, &stored, self.days, now).await?;
                if findings.is_empty() != self.stale {
                    wanted.push((stored, findings));
                }
                if wanted.len() as i64 >= limit {
                    return Ok(wanted);
                }
            }
        }
    }
}

/// What is read once for all flags.
struct Survey {
    /// Each with the settings that it holds, by the flag's key.
    environments: Vec<(String, BTreeMap<String, Setting>)>,
    /// When each segment that was asked about was last edited.
    segments: BTreeMap<String, Timestamp>,
}

impl Survey {
    async fn open(connection: &mut Connection) -> Result<Self> {
        let mut environments = Vec::new();
        for environment in connection.environments().await? {
            let settings = connection.stored_settings(&environment.name).await?.into_iter().collect();
            environments.push((environment.name, settings));
        }
        Ok(Self { environments, segments: BTreeMap::new() })
    }

    async fn findings(
        &mut self,
        connection: &mut Connection,
        stored: &StoredFlag,
        days: i64,
        now: Timestamp,
    ) -> Result<Vec<Finding>> {
        let flag = &stored.flag;
        let mut touched_at = connection.flag_touched_at(&flag.id).await?;
        for segment in self.segments_of(flag.key.as_str()) {
            let of_segment = match self.segments.get(&segment) {
                Some(known) => *known,
                None => connection.segment_touched_at(&segment).await?,
            };
            self.segments.insert(segment, of_segment);
            touched_at = touched_at.max(of_segment);
        }
        let overrides = connection.overrides_of(flag, None, None, ("", "", ""), i64::MAX).await?;
        let untouched = Setting::default();
        let environments = self.environments.iter().map(|(name, settings)| InEnvironment {
            name,
            setting: settings.get(flag.key.as_str()).unwrap_or(&untouched),
            overrides: standing(&overrides, SubjectKind::Organization, name),
        });
        let environments = environments.collect();
        let facts = Facts { flag, environments, overrides: standing(&overrides, SubjectKind::User, ""), touched_at };
        // Many overrides take a while to judge; others are to be answered meanwhile.
        Ok(tokio::task::block_in_place(|| facts.findings(days, now)))
    }

    /// The segments that a flag's rules name.
    fn segments_of(&self, key: &str) -> Vec<String> {
        let settings = self.environments.iter().filter_map(|(_, settings)| settings.get(key));
        settings.flat_map(Setting::segments).map(ToString::to_string).collect()
    }
}

/// The overrides of one level; `environment` is '' for users'.
fn standing<'a>(overrides: &'a [StoredOverride], kind: SubjectKind, environment: &str) -> Vec<StandingOverride<'a>> {
    let here = overrides.iter().filter(|one| one.level == kind.as_str() && one.environment == environment);
    here.map(|one| StandingOverride { level: kind, subject: &one.subject, row: &one.document }).collect()
}
