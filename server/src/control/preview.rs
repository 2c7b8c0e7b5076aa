//! What a write would do to whom, without doing it.
//!
//! The write is made as always and then undone, so that it is refused where the real one would be; only its edits are kept.
//! They are laid over one snapshot of everything that is there, which was taken while the write still held the counter: the
//! answer is true of one revision, and nobody waits while the many are looked at.
//!
//! Looked at are the living sessions, each as its next token would be; and organizations and users, each in its own right
//! (`GET /v1/evaluate` with that subject alone), since a change may also concern whoever is not signed in now.

mod edited;
mod facts;
mod tally;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flagbearer::flag::Flag;
use flagbearer::preview::Preview;
use flagbearer::projection::Projection;
use flagbearer::subject::SubjectKind;
use flagbearer::timestamp::Timestamp;
use serde_json::{Map, Value, json};

use self::edited::{Edited, EditedOverrides};
use self::facts::{Asker, Facts};
use self::tally::{Listing, Shift};
use super::effects::Outcome;
use super::{Answer, Control};
use crate::error::{Error, Result};
use crate::store::{Application, Connection, LivingSession, Reached, Write};

impl Control {
    /// Undoes a write, and answers what it would have done.
    pub(super) async fn preview(&self, write: Write, outcome: &Outcome) -> Result<Answer> {
        let (base, now) = (write.revision - 1, write.now);
        let mut connection = self.store.read().await?;
        // The first statement takes the snapshot.
        if connection.last_revision().await? != base {
            return Err(Error::internal("a revision was taken while a write held the counter"));
        }
        let edited = Edited::read(write.abandon().await?)?;
        let survey = Survey::open(&mut connection, edited, now).await?;
        let mut found = Found::default();
        survey.sessions(&mut connection, &mut found).await?;
        for kind in SubjectKind::BOTH {
            survey.subjects(&mut connection, kind, &mut found.subjects[kind as usize]).await?;
        }
        let applications = survey.applications(&found.by_application);
        let mut document = found.answer();
        document["applications"] = applications;
        document["base_revision"] = base.into();
        document["at"] = crate::store::to_value(&now)?;
        outcome.put(&mut document)?;
        Ok(Answer::done(document))
    }
}

/// One environment on both sides of the write.
struct Place {
    name: String,
    preview: Preview,
    /// Whether organizations have overrides of the flags in question here.
    overridden: bool,
}

/// Everything that a write is looked at with.
struct Survey {
    edited: Edited,
    now: Timestamp,
    /// Those in which some flag can be touched.
    places: Vec<Place>,
    /// The flags that can be touched anywhere, by id.
    flags: BTreeMap<Arc<str>, Flag>,
    overrides: EditedOverrides,
    /// Whether users have overrides of these flags.
    overridden: bool,
    reached: Reached,
    applications: HashMap<String, Application>,
}

/// For whom something changes.
#[derive(Default)]
struct Found {
    /// Users and organizations, by kind.
    subjects: [Listing; 2],
    sessions: Listing,
    /// How many sessions, by application.
    by_application: HashMap<String, u64>,
    turned_over_by: Option<Timestamp>,
}

impl Found {
    fn answer(self) -> Value {
        let mut document = json!({});
        for (kind, listing) in SubjectKind::BOTH.into_iter().zip(self.subjects) {
            let (count, first, truncated) = listing.finish();
            let name = kind.as_str();
            document[format!("{name}_count")] = count.into();
            document[format!("{name}s")] = first.into();
            if truncated {
                document[format!("{name}s_truncated")] = true.into();
            }
        }
        let (count, first, truncated) = self.sessions.finish();
        document["sessions"] = json!({ "count": count, "turned_over_by": self.turned_over_by, "first": first });
        if truncated {
            document["sessions"]["truncated"] = true.into();
        }
        document
    }
}

impl Survey {
    async fn open(connection: &mut Connection, edited: Edited, now: Timestamp) -> Result<Self> {
        let (only, passing) = (edited.flags(), edited.passing_environments());
        let (mut places, mut flags) = (Vec::new(), BTreeMap::new());
        for environment in connection.environments().await? {
            if passing.contains(environment.name.as_str()) {
                continue;
            }
            let name = environment.name;
            let before = connection.environment_place(&name, only.as_ref()).await?;
            let after = edited.after(&name, &before)?;
            let preview = Preview::between(&before, &after, &edited.personal(&name));
            flags.extend(preview.flags().map(|flag| (flag.id.clone(), flag.clone())));
            if !preview.is_empty() {
                places.push(Place { name, preview, overridden: false });
            }
        }
        for place in &mut places {
            place.overridden = connection.any_overrides(&flags, SubjectKind::Organization, &place.name).await?;
        }
        let overridden = connection.any_overrides(&flags, SubjectKind::User, "").await?;
        let whole = places.iter().filter(|place| place.preview.is_for_everybody());
        let reached = edited.reached(whole.map(|place| place.name.clone()).collect());
        let overrides = edited.overrides(&flags)?;
        let applications = applications(connection).await?;
        Ok(Self { edited, now, places, flags, overrides, overridden, reached, applications })
    }

    fn place(&self, name: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.name == name)
    }

    /// Goes through the living sessions that are reached.
    async fn sessions(&self, connection: &mut Connection, found: &mut Found) -> Result<()> {
        let mut cursor = String::new();
        while !self.reached.environments.is_empty() {
            let page = connection.sessions_of_environments(&self.reached, self.now, &cursor).await?;
            let Some(last) = page.last() else { break };
            cursor.clone_from(&last.id);
            self.look_at(connection, &page, found).await?;
        }
        cursor.clear();
        while self.reached.names_somebody() {
            let page = connection.sessions_of_subjects(&self.reached, self.now, &cursor).await?;
            let Some(last) = page.last() else { break };
            cursor.clone_from(&last.id);
            self.look_at(connection, &page, found).await?;
        }
        Ok(())
    }

    async fn look_at(&self, connection: &mut Connection, page: &[LivingSession], found: &mut Found) -> Result<()> {
        let users = page.iter().map(|session| session.user.as_str()).collect();
        let organizations = page.iter().filter_map(|session| session.organization.as_deref()).collect();
        let facts = self.facts(connection, users, organizations).await?;
        for session in page {
            // No session is without its application.
            let Some(application) = self.applications.get(&session.application) else { continue };
            let remade = self.edited.remade(application).unwrap_or(application);
            let asker = Asker {
                environment: &session.environment,
                user: Some(&session.user),
                organization: session.organization.as_deref(),
                projections: [&application.projection, &remade.projection],
            };
            let sides = facts.sides(&self.edited, &self.overrides, asker);
            let mut shifts = Vec::new();
            if self.edited.ends(session) {
                shifts.push(Shift::Ends);
            } else {
                let place = self.place(&session.environment);
                let of_flags = place.into_iter().flat_map(|place| sides.shifts(&place.preview, self.now));
                shifts.extend(of_flags.filter(|shift| shift.is_seen_in(application.profile.dialect())));
                shifts.extend(self.edited.shown(session).map(Shift::Claim));
            }
            if !shifts.is_empty() {
                found.sessions.add(&session.id, &session.environment, &shifts, || whose(session));
                *found.by_application.entry(session.application.clone()).or_default() += 1;
                found.turned_over_by = found.turned_over_by.max(self.turned_over(session, application));
            }
        }
        Ok(())
    }

    /// The applications whose tokens come to carry flags, or no longer carry them, each with how many of its living sessions change.
    fn applications(&self, sessions: &HashMap<String, u64>) -> Value {
        let told = |application: &Application| {
            let place = self.place(&application.environment)?;
            let remade = self.edited.remade(application)?;
            let passing = place.preview.passing([&|flag| application.carries(flag), &|flag| remade.carries(flag)]);
            let [entering, leaving] = passing;
            let any = !entering.is_empty() || !leaving.is_empty();
            let sessions = sessions.get(&application.client_id).copied().unwrap_or_default();
            any.then(|| {
                json!({
                    "application": application.client_id, "name": application.name, "environment": application.environment,
                    "entering": entering, "leaving": leaving, "sessions": sessions,
                })
            })
        };
        let ordered: BTreeMap<_, _> = self.applications.iter().collect();
        ordered.into_values().filter_map(told).collect()
    }

    /// When the last access token of a session expires that may be out; `None` where none is.
    fn turned_over(&self, session: &LivingSession, application: &Application) -> Option<Timestamp> {
        // Within the grace a retry is given another token, of which nothing is noted.
        let last = session.rotated_at.map_or(session.created_at, |at| at.plus_seconds(application.grace));
        let expires_at = last.min(self.now).plus_seconds(application.access_token_ttl).min(session.absolute_expires_at);
        (expires_at > self.now).then_some(expires_at)
    }

    /// Goes through users or organizations, each in its own right.
    async fn subjects(&self, connection: &mut Connection, kind: SubjectKind, listing: &mut Listing) -> Result<()> {
        let whole = || self.places.iter().filter(|place| place.preview.is_for_everybody());
        // Rules may name whom the directory does not know yet.
        let mut named: BTreeSet<&str> = whole().flat_map(|place| place.preview.listed(kind)).collect();
        named.extend(self.edited.subjects(kind));
        let mut cursor = String::new();
        while whole().next().is_some() {
            let page = connection.subject_ids(kind, &cursor).await?;
            let Some(last) = page.last() else { break };
            cursor.clone_from(last);
            let ids: Vec<&str> = page.iter().map(String::as_str).collect();
            self.look_at_subjects(connection, kind, &ids, listing).await?;
            named.retain(|id| ids.binary_search(id).is_err());
        }
        let named: Vec<&str> = named.into_iter().collect();
        self.look_at_subjects(connection, kind, &named, listing).await
    }

    async fn look_at_subjects(
        &self,
        connection: &mut Connection,
        kind: SubjectKind,
        ids: &[&str],
        listing: &mut Listing,
    ) -> Result<()> {
        let of = |wanted: SubjectKind| if wanted == kind { ids.iter().copied().collect() } else { BTreeSet::new() };
        let facts = self.facts(connection, of(SubjectKind::User), of(SubjectKind::Organization)).await?;
        let edited = self.edited.subjects(kind);
        for id in ids {
            let only = |wanted: SubjectKind| (wanted == kind).then_some(*id);
            let concerned = self.places.iter().filter(|place| place.preview.is_for_everybody() || edited.contains(id));
            for place in concerned {
                let (user, organization) = (only(SubjectKind::User), only(SubjectKind::Organization));
                let projections = [&Projection::All; 2];
                let asker = Asker { environment: &place.name, user, organization, projections };
                let sides = facts.sides(&self.edited, &self.overrides, asker);
                let whose = || Map::from_iter([(kind.as_str().to_owned(), Value::from(*id))]);
                let shifts: Vec<Shift<'_>> = sides.shifts(&place.preview, self.now).collect();
                listing.add(id, &place.name, &shifts, whose);
            }
        }
        Ok(())
    }

    /// Reads what has a part in it of what is known about some users and organizations.
    async fn facts(
        &self,
        connection: &mut Connection,
        users: BTreeSet<&str>,
        organizations: BTreeSet<&str>,
    ) -> Result<Facts> {
        let mut facts = Facts::default();
        for (kind, ids) in [(SubjectKind::User, &users), (SubjectKind::Organization, &organizations)] {
            if !ids.is_empty() && self.places.iter().any(|place| place.preview.looks_at(kind)) {
                facts.attributes[kind as usize] = connection.attributes_of(kind, ids).await?;
            }
        }
        if self.overridden && !users.is_empty() {
            facts.of_users = connection.overrides_among(&self.flags, SubjectKind::User, "", &users).await?;
        }
        for place in self.places.iter().filter(|place| place.overridden && !organizations.is_empty()) {
            let kind = SubjectKind::Organization;
            let found = connection.overrides_among(&self.flags, kind, &place.name, &organizations).await?;
            facts.of_organizations.insert(place.name.clone(), found);
        }
        Ok(facts)
    }
}

fn whose(session: &LivingSession) -> Map<String, Value> {
    let LivingSession { id, user, organization, application, .. } = session;
    let members = [("session_id", Some(id)), ("user", Some(user)), ("organization", organization.as_ref())];
    let members = members.into_iter().chain([("application", Some(application))]);
    members.map(|(name, text)| (name.to_owned(), text.map(String::as_str).into())).collect()
}

/// Every application, by its client id.
async fn applications(connection: &mut Connection) -> Result<HashMap<String, Application>> {
    let mut applications = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = connection.applications(None, &cursor, 200).await?;
        let Some(last) = page.last() else { return Ok(applications) };
        cursor.clone_from(&last.application.client_id);
        applications.extend(page.into_iter().map(|found| (found.application.client_id.clone(), found.application)));
    }
}
