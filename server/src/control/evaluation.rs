//! What does this user get, and why: the issuer's own evaluation, with every level's part in it; now, or as of any moment.

use flagbearer::evaluation::{Context, Overrides};
use flagbearer::projection::Projection;
use flagbearer::ruleset::Ruleset;
use flagbearer::subject::SubjectId;
use flagbearer::timestamp::Timestamp;
use serde_json::{Map, Value, json};

use super::{Answer, Call, Control};
use crate::error::{Error, Result};
use crate::store::{Connection, Standpoint, to_value};

/// What is evaluated, and when.
struct Asked<'a> {
    standpoint: Standpoint<'a>,
    revision: i64,
    at: Timestamp,
}

impl Asked<'_> {
    fn answer(&self, flags: Map<String, Value>) -> Answer {
        let Standpoint { environment, user, organization } = self.standpoint;
        Answer::done(json!({
            "revision": self.revision,
            "at": self.at,
            "environment": environment,
            "user": user,
            "organization": organization,
            "flags": flags,
        }))
    }
}

impl Control {
    /// Without a user it is a machine's context. Users and organizations need not be known. With `revision` or `at` it is
    /// answered from the change log, exactly as the issuer would have then.
    pub async fn evaluate(&self, call: &Call) -> Result<Answer> {
        call.only(&["environment", "user", "organization", "revision", "at"])?;
        let standpoint = standpoint(call, call.parameter("user"), call.parameter("organization"))?;
        let now = self.store.now();
        let mut connection = self.store.read().await?;
        if let Some((revision, at)) = moment(call, &mut connection, now).await? {
            self.check_not_erased(&mut connection, standpoint.user, revision).await?;
            let past = connection.past(revision, standpoint).await?;
            let (ruleset, overrides) = past.place.compile(past.revision, |_| true);
            let flags = explained(&ruleset, &Projection::All, &overrides, &past.place.context(), at)?;
            return Ok(Asked { standpoint, revision: past.revision, at }.answer(flags));
        }
        let snapshot = self.store.snapshot_in(&mut connection, standpoint).await?;
        let flags = explained(&snapshot.ruleset, &Projection::All, &snapshot.overrides, &snapshot.context(), now)?;
        Ok(Asked { standpoint, revision: snapshot.facts.revision, at: now }.answer(flags))
    }

    /// Every flag's value for an organization, and the level that it comes from.
    pub async fn organization_flags(&self, call: &Call, organization: &str) -> Result<Answer> {
        call.only(&["environment"])?;
        self.flags_at(standpoint(call, None, Some(organization))?).await
    }

    /// Every flag's value for a user, in an organization where one is named, and the level that it comes from.
    pub async fn user_flags(&self, call: &Call, user: &str) -> Result<Answer> {
        call.only(&["environment", "organization"])?;
        self.flags_at(standpoint(call, Some(user), call.parameter("organization"))?).await
    }

    async fn flags_at(&self, standpoint: Standpoint<'_>) -> Result<Answer> {
        let now = self.store.now();
        let mut connection = self.store.read().await?;
        let snapshot = self.store.snapshot_in(&mut connection, standpoint).await?;
        let evaluations = snapshot.evaluations(now);
        let mut flags = Map::new();
        for found in &evaluations {
            let mut document = to_value(found)?;
            document["level"] = to_value(&found.reason.level())?;
            flags.insert(found.flag.key.to_string(), document);
        }
        Ok(Asked { standpoint, revision: snapshot.facts.revision, at: now }.answer(flags))
    }
}

/// The place that a call is about, which its key has to be allowed to read.
fn standpoint<'a>(call: &'a Call, user: Option<&'a str>, organization: Option<&'a str>) -> Result<Standpoint<'a>> {
    let environment = call.required("environment")?;
    call.may_read(environment)?;
    for id in [user, organization].into_iter().flatten() {
        SubjectId::parse(id)?;
    }
    Ok(Standpoint { environment, user, organization })
}

/// The state and the clock that a call asks for; `None` where it asks for now. `at` alone is the state of that second, its
/// own changes included. With `revision` it is the clock alone, and may lie anywhere: a token may have been asked for in
/// the second before the change that it carries.
async fn moment(call: &Call, connection: &mut Connection, now: Timestamp) -> Result<Option<(i64, Timestamp)>> {
    // The issuer's clock has whole seconds.
    let at = call.time("at")?.map(|at| Timestamp::from_seconds(at.seconds()));
    let revision = match (call.parameter("revision"), at) {
        (None, None) => return Ok(None),
        (None, Some(at)) => connection.revision_at(at).await?,
        (Some(text), _) => {
            let refused = || Error::malformed("PARAMETER_INVALID", format!("`revision` is a number, not `{text}`"));
            let revision = text.parse().map_err(|_| refused())?;
            connection.check_revision(revision).await?;
            revision
        }
    };
    Ok(Some((revision, at.unwrap_or(now))))
}

/// Every flag that is carried, by its key, with its trace.
pub(super) fn explained(
    ruleset: &Ruleset,
    projection: &Projection,
    overrides: &Overrides,
    context: &Context<'_>,
    at: Timestamp,
) -> Result<Map<String, Value>> {
    let explanations = ruleset.explain_all(overrides, context, at);
    let carried = explanations.iter().filter(|found| projection.carries(found.evaluation.flag));
    carried.map(|found| Ok((found.evaluation.flag.key.to_string(), to_value(found)?))).collect()
}
