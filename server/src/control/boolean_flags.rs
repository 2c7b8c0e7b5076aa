//! Boolean flags as one environment sees them: the flags that the API of WorkOS knows.

use std::collections::{BTreeMap, BTreeSet};

use flagbearer::evaluation::Evaluation;
use flagbearer::flag::{FlagKey, FlagType, FlagValue};
use flagbearer::subject::SubjectKind;
use flagbearer::timestamp::Timestamp;
use serde_json::{Value, json};

use super::{Answer, Call, Control, Roster, Unlisted, roster};
use crate::error::{Error, Kind, Result};
use crate::store::{BooleanOverride, Connection, Snapshot, Standpoint, StoredFlag, StoredSetting};

/// A living boolean flag with its setting in one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct BooleanFlag {
    pub stored: StoredFlag,
    pub setting: StoredSetting,
    /// What everybody gets there whom no rule or override names, while it is enabled.
    pub default_value: bool,
}

impl BooleanFlag {
    fn new(stored: StoredFlag, setting: StoredSetting, now: Timestamp) -> Self {
        let default_value = roster::default_value(&stored.flag, &setting.setting, now);
        Self { stored, setting, default_value }
    }
}

impl Control {
    /// All of them, in the order in which they were created.
    pub async fn boolean_flags(&self, call: &Call, environment: &str) -> Result<Vec<BooleanFlag>> {
        call.may_read(environment)?;
        self.all(&mut self.store.read().await?, environment).await
    }

    /// One of them; flags of other types are not found, and the refusal says why.
    pub async fn boolean_flag(&self, call: &Call, environment: &str, key: &str) -> Result<BooleanFlag> {
        call.may_read(environment)?;
        let mut connection = self.store.read().await?;
        let stored = connection.flag(key).await?;
        if stored.flag.flag_type != FlagType::Boolean || stored.living().is_none() {
            let what = if stored.living().is_none() {
                "archived".to_owned()
            } else {
                format!("of type `{}`", stored.flag.flag_type)
            };
            let detail = format!("`{key}` is {what}; only living boolean flags are here");
            return Err(Error::new(Kind::NotFound, "FLAG_NOT_FOUND", detail));
        }
        let setting = connection.setting(&stored, environment).await?;
        Ok(BooleanFlag::new(stored, setting, self.store.now()))
    }

    /// Those that are on for an organization, outside of any user.
    pub async fn flags_on_for_organization(
        &self,
        call: &Call,
        environment: &str,
        organization: &str,
    ) -> Result<Vec<BooleanFlag>> {
        call.may_read(environment)?;
        let mut connection = self.store.read().await?;
        connection.organization(organization).await?;
        self.on_somewhere(&mut connection, environment, None, &[Some(organization)]).await
    }

    /// Those that are on for a user: alone, or in any of the user's organizations.
    pub async fn flags_on_for_user(&self, call: &Call, environment: &str, user: &str) -> Result<Vec<BooleanFlag>> {
        call.may_read(environment)?;
        let mut connection = self.store.read().await?;
        connection.user(user).await?;
        let organizations = connection.organizations_of(user).await?;
        let theirs = organizations.iter().map(|(id, _)| Some(id.as_str()));
        let places: Vec<Option<&str>> = std::iter::once(None).chain(theirs).collect();
        self.on_somewhere(&mut connection, environment, Some(user), &places).await
    }

    async fn on_somewhere(
        &self,
        connection: &mut Connection,
        environment: &str,
        user: Option<&str>,
        organizations: &[Option<&str>],
    ) -> Result<Vec<BooleanFlag>> {
        let now = self.store.now();
        let mut keys = BTreeSet::new();
        for &organization in organizations {
            let standpoint = Standpoint { environment, user, organization };
            let snapshot: Snapshot = self.store.snapshot_in(connection, standpoint).await?;
            let mut evaluations: Vec<Evaluation<'_>> = Vec::new();
            snapshot.ruleset.evaluate_all(&snapshot.overrides, &snapshot.context(), now, &mut evaluations);
            let on = evaluations.iter().filter(|found| *found.value == FlagValue::Boolean(true));
            keys.extend(on.map(|found| found.flag.key.clone()));
        }
        let mut flags = self.all(connection, environment).await?;
        flags.retain(|flag| keys.contains(&flag.stored.flag.key));
        Ok(flags)
    }

    /// Whether an id is a user's or an organization's: by its prefix, as WorkOS gives them out, or else by who is known.
    pub async fn kind_of_subject(&self, id: &str) -> Result<SubjectKind> {
        if id.starts_with("user_") {
            return Ok(SubjectKind::User);
        }
        if id.starts_with("org_") {
            return Ok(SubjectKind::Organization);
        }
        let mut connection = self.store.read().await?;
        match (connection.find_user(id).await?, connection.find_organization(id).await?) {
            (Some(_), None) => Ok(SubjectKind::User),
            (None, Some(_)) => Ok(SubjectKind::Organization),
            (Some(_), Some(_)) => Err(Error::conflict(
                "SUBJECT_AMBIGUOUS",
                format!("there is a user and an organization `{id}`; target it by `PUT /v1/flags/…/targeting`"),
            )),
            (None, None) => Err(Error::new(
                Kind::NotFound,
                "SUBJECT_NOT_FOUND",
                format!(
                    "there is no user or organization `{id}`; only ids that begin with `user_` or `org_` may come first"
                ),
            )),
        }
    }

    /// What every living boolean flag serves now, said by names; or why it cannot be.
    pub async fn rosters(
        &self,
        call: &Call,
        environment: &str,
    ) -> Result<BTreeMap<FlagKey, std::result::Result<Roster, Unlisted>>> {
        call.may_read(environment)?;
        let now = self.store.now();
        let mut connection = self.store.read().await?;
        connection.environment(environment).await?;
        let settings = connection.living_settings(environment).await?;
        let segments = connection.all_segments().await?;
        let overrides = connection.boolean_overrides(environment).await?;
        let by_flag: BTreeMap<&str, &[BooleanOverride]> =
            overrides.chunk_by(|one, other| one.flag == other.flag).map(|chunk| (chunk[0].flag.as_str(), chunk)).collect();
        let boolean = settings.iter().filter(|(flag, _)| flag.flag_type == FlagType::Boolean);
        let rosters = boolean.map(|(flag, setting)| {
            let overrides = by_flag.get(&*flag.id).copied().unwrap_or_default();
            (flag.key.clone(), Roster::of(flag, setting, &segments, overrides, now))
        });
        Ok(rosters.collect())
    }

    /// The boolean flags that WorkOS's runtime clients are not told of, with the version of their payload, and why.
    pub async fn left_out_flags(&self, call: &Call, environment: &str) -> Result<Answer> {
        call.only(&[])?;
        let mut data: Vec<Value> = Vec::new();
        for (key, roster) in self.rosters(call, environment).await? {
            let entry = |version: i64, why: &Unlisted| json!({ "flag": key.as_str(), "payload_version": version, "reason": why.to_string() });
            match roster.as_ref().map(Roster::is_union) {
                Err(why) => data.extend([entry(1, why), entry(2, why)]),
                Ok(Err(why)) => data.push(entry(1, &why)),
                Ok(Ok(())) => {}
            }
        }
        Ok(Answer::done(json!({ "data": data })))
    }

    async fn all(&self, connection: &mut Connection, environment: &str) -> Result<Vec<BooleanFlag>> {
        let now = self.store.now();
        connection.environment(environment).await?;
        let settings = connection.settings(environment, "", i64::MAX).await?;
        let boolean = settings.into_iter().filter(|(stored, _)| stored.flag.flag_type == FlagType::Boolean);
        let mut flags: Vec<_> = boolean.map(|(stored, setting)| BooleanFlag::new(stored, setting, now)).collect();
        let order = |flag: &BooleanFlag| (flag.stored.created_revision, flag.stored.flag.id.clone());
        flags.sort_by_key(order);
        Ok(flags)
    }
}
