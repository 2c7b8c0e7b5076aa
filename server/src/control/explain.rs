//! Why does this token say what it says: what decided then, what would be now, and what lies between.
//!
//! *Then* is the place that the token is for, at the token's `flags_rev` and `iat`. *Now* is the same session's next token:
//! another organization where the session has moved on to one. Both hold the flags that the application's tokens carried then
//! and carry now. All of it is read from one snapshot.

mod told;

use std::collections::{BTreeMap, BTreeSet};

use flagbearer::cause::{Cause, causes};
use flagbearer::document::Node;
use flagbearer::mismatch::Expected;
use flagbearer::place::Part;
use flagbearer::projection::Projection;
use flagbearer::ruleset::Ruleset;
use flagbearer::timestamp::Timestamp;
use serde_json::{Map, Value, json};

use super::evaluation::explained;
use super::{Answer, Call, Control};
use crate::error::{Error, Kind, Result};
use crate::store::{Connection, Entity, Later, Past, Snapshot, Standpoint, to_value};
use told::{Told, Wanted};

impl Control {
    pub async fn explain(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.no_change()?;
        let mut members = Node::root(&call.body).members()?;
        let wanted = Wanted::parse(&mut members)?;
        let expected = members.optional("expected").map(|node| Expected::parse(&node)).transpose()?.unwrap_or_default();
        members.finish()?;
        let now = self.store.now();
        let mut connection = self.store.read().await?;
        let told = wanted.find(call, &mut connection, self.issuer.records, now).await?;
        self.check_not_erased(&mut connection, told.of.user.as_deref(), told.revision).await?;
        let mut past = connection.past(told.revision, told.standpoint()).await?;
        let (application, client_id) = (Entity::Application, told.of.application.as_str());
        let document = connection.document_at(application, client_id, told.revision).await?;
        past.place.put(Part::Application, client_id, document.as_ref()).map_err(Error::internal)?;
        let client = connection.client(client_id).await?;
        // One that is gone has no tokens now; they would be what they were.
        let projection = client.map_or_else(|| past.place.projection().clone(), |(application, _)| application.projection);
        let here = self.store.snapshot_in(&mut connection, told.standpoint()).await?;
        let session = match &told.session {
            Some(id) => connection.find_session(id).await?,
            None => None,
        };
        let organization = session.map_or_else(|| told.of.organization.clone(), |session| session.organization);
        let there = match organization == told.of.organization {
            true => None,
            false => {
                let standpoint = Standpoint { organization: organization.as_deref(), ..told.standpoint() };
                Some(self.store.snapshot_in(&mut connection, standpoint).await?)
            }
        };
        let mismatches = to_value(&expected.mismatches(&told.of))?;
        let comparison = Comparison { told, here, there, projection, now };
        comparison.answer(&mut Log { connection, known: BTreeMap::new() }, past, mismatches).await
    }
}

/// Flags by key, each with its trace.
type Flags = Map<String, Value>;

/// The two moments, and what is known between them.
struct Comparison {
    told: Told,
    /// The token's own place, now.
    here: Snapshot,
    /// The place of the session's next token, where it is another.
    there: Option<Snapshot>,
    /// Which flags the application's tokens carry now.
    projection: Projection,
    now: Timestamp,
}

/// What the flags were at the token's place then, are there now, and will be in the session's next token.
struct Moments {
    then: Flags,
    here: Flags,
    next: Flags,
}

/// What altered the flags, by key, and which of the changes were kills of which, or to what the tokens carry.
struct Found<'f> {
    walked: BTreeMap<String, Vec<Cause>>,
    kills: BTreeSet<(i64, &'f str)>,
    /// The changes to the application.
    application: &'f [i64],
}

impl Comparison {
    async fn answer(self, log: &mut Log, mut past: Past, mismatches: Value) -> Result<Answer> {
        let (ruleset, overrides) = past.place.compile(past.revision, |_| true);
        let projected_out = json!(past.place.projected_out());
        let then = explained(&ruleset, past.place.projection(), &overrides, &past.place.context(), self.told.issued_at)?;
        let here = self.explained_now(&self.here)?;
        let next = self.there.as_ref().map(|there| self.explained_now(there)).transpose()?;
        let moments = Moments { next: next.unwrap_or_else(|| here.clone()), then, here };

        let moved: Vec<&str> = differing(&moments.then, &moments.here).into_iter().collect();
        let named: BTreeSet<(&str, &str)> = named(&ruleset, &moved).chain(named(&self.here.ruleset, &moved)).collect();
        let ids: Vec<&str> = named.iter().map(|(id, _)| *id).collect();
        let (standpoint, application) = (self.told.standpoint(), &self.told.of.application);
        let later = log.connection.later(self.told.revision, standpoint, application, &ids).await?;
        let walked = match moved.is_empty() {
            true => BTreeMap::new(),
            false => {
                causes(&mut past.place, self.told.issued_at, &later.changes, self.now, &moved).map_err(Error::internal)?
            }
        };
        let kills = named.iter().flat_map(|(id, key)| {
            later.kills.iter().filter(move |(_, killed)| killed == id).map(move |(revision, _)| (*revision, *key))
        });
        let found = Found { walked, kills: kills.collect(), application: &later.application };
        let flags = self.flags(log, &moments, &found).await?;
        let of_token = self.causes_of_token(log, &later).await?;
        let next = self.there.as_ref().unwrap_or(&self.here);
        // An older revision alone is none of the token's business: most changes are about others.
        let served_otherwise = flags.values().any(|flag| flag["then"]["value"] != flag["now"]["value"]);
        let stale = past.revision < next.facts.revision && (served_otherwise || !of_token.is_empty());
        Ok(Answer::done(json!({
            "token": self.told.answer(past.revision, stale),
            "now": { "revision": next.facts.revision, "at": self.now, "organization": next.facts.organization },
            "mismatches": mismatches,
            "causes": of_token,
            "projected_out": projected_out,
            "flags": flags,
        })))
    }

    fn explained_now(&self, snapshot: &Snapshot) -> Result<Flags> {
        explained(&snapshot.ruleset, &self.projection, &snapshot.overrides, &snapshot.context(), self.now)
    }

    /// Each flag then and now, what the token carried, and the causes of the difference where there is one.
    async fn flags(&self, log: &mut Log, moments: &Moments, found: &Found<'_>) -> Result<Flags> {
        let Moments { then, here, next } = moments;
        let (differing_next, differing_there) = (differing(then, next), differing(here, next));
        let carried = self.told.carried.as_ref();
        let keys: BTreeSet<&String> =
            then.keys().chain(next.keys()).chain(carried.into_iter().flat_map(Map::keys)).collect();
        let mut flags = Flags::new();
        for key in keys {
            let mut causes = Vec::new();
            if differing_next.contains(key.as_str()) {
                for cause in found.walked.get(key).into_iter().flatten() {
                    causes.push(match cause {
                        Cause::Change { revision } if found.kills.contains(&(*revision, key.as_str())) => {
                            log.authored("kill", *revision).await?
                        }
                        Cause::Change { revision } if found.application.contains(revision) => {
                            log.authored("application_changed", *revision).await?
                        }
                        other => log.cause(other).await?,
                    });
                }
                causes.extend(self.switched().filter(|_| differing_there.contains(key.as_str())));
            }
            let mut flag = json!({ "then": then.get(key), "now": next.get(key), "causes": causes });
            if let Some(carried) = carried {
                flag["carried"] = carried.get(key).cloned().unwrap_or_default();
            }
            flags.insert(key.clone(), flag);
        }
        Ok(flags)
    }

    fn switched(&self) -> Option<Value> {
        let to = &self.there.as_ref()?.facts.organization;
        Some(json!({ "cause": "organization_switched", "from": self.told.of.organization, "to": to }))
    }

    /// What makes the next token another one as a whole: it is for another organization, or what the user may do there, or
    /// how the application's tokens are made, has changed.
    async fn causes_of_token(&self, log: &mut Log, later: &Later) -> Result<Vec<Value>> {
        let mut causes: Vec<Value> = self.switched().into_iter().collect();
        let (of, revision) = (&self.told.of, self.told.revision);
        if let (Some(organization), Some(user), false) = (&of.organization, &of.user, later.membership.is_empty()) {
            // The token was issued, so the user was a member: where the log has none, one whom a session had made, bare.
            let then = log.connection.membership_at(organization, user, revision).await?.unwrap_or_default();
            if self.here.facts.membership.as_ref() != Some(&then) {
                for revision in &later.membership {
                    causes.push(log.authored("membership_changed", *revision).await?);
                }
            }
        }
        if !later.application.is_empty() {
            let last = log.connection.last_revision().await?;
            let then = log.connection.document_at(Entity::Application, &of.application, revision).await?;
            if then != log.connection.document_at(Entity::Application, &of.application, last).await? {
                for revision in &later.application {
                    causes.push(log.authored("application_changed", *revision).await?);
                }
            }
        }
        Ok(causes)
    }
}

/// The change log, and who was found in it: one change is often the cause of many flags.
struct Log {
    connection: Connection,
    known: BTreeMap<i64, Value>,
}

impl Log {
    async fn authored(&mut self, cause: &str, revision: i64) -> Result<Value> {
        let mut document = match self.known.get(&revision) {
            Some(known) => known.clone(),
            None => {
                let found = self.connection.authorship(revision).await?;
                self.known.entry(revision).or_insert(found).clone()
            }
        };
        document["cause"] = cause.into();
        Ok(document)
    }

    async fn cause(&mut self, cause: &Cause) -> Result<Value> {
        Ok(match cause {
            Cause::Change { revision } => self.authored("change", *revision).await?,
            Cause::Schedule { at } => json!({ "cause": "schedule", "at": at }),
            Cause::OverrideExpired { level, at } => json!({ "cause": "override_expired", "level": level, "at": at }),
        })
    }
}

/// The keys of the flags that are served another value, or for another reason.
fn differing<'f>(one: &'f Flags, other: &'f Flags) -> BTreeSet<&'f str> {
    let served = |flags: &'f Flags, key: &str| flags.get(key).map(|found| (&found["value"], &found["reason"]));
    let keys = one.keys().chain(other.keys()).map(String::as_str);
    keys.filter(|key| served(one, key) != served(other, key)).collect()
}

/// The flags with these keys, by id and key.
fn named<'r>(ruleset: &'r Ruleset, keys: &[&str]) -> impl Iterator<Item = (&'r str, &'r str)> {
    ruleset.flags().filter(|(flag, _)| keys.contains(&flag.key.as_str())).map(|(flag, _)| (&*flag.id, flag.key.as_str()))
}

/// Where it is not written down which tokens are issued, they are found by their own text, or by their session and a time.
fn not_recorded() -> Error {
    let detail = "issued tokens are not recorded here; send the `token` itself, or its `session_id` and the time `at`, or \
                  start the server with `--record-issuance` for those to come";
    Error::new(Kind::Refused, "ISSUANCE_NOT_RECORDED", detail)
}
