//! Looks at everybody as they would be served before and after.

use std::collections::{BTreeMap, HashMap};

use flagbearer::projection::Projection;
use flagbearer::subject::SubjectKind;
use flagbearer::timestamp::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::Receiver;

use super::facts::{Asker, Facts};
use super::reading::{Portion, Subjects};
use super::tally::{Listing, Shift};
use super::{Place, Survey};
use crate::error::Result;
use crate::store::{Application, LivingSession};

/// For whom something changes.
#[derive(Default)]
pub struct Found {
    /// Users and organizations, by kind.
    subjects: [Listing; 2],
    sessions: Listing,
    /// How many sessions, by application.
    by_application: HashMap<String, u64>,
    turned_over_by: Option<Timestamp>,
}

impl Found {
    pub fn answer(self) -> Value {
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
    /// Looks at all portions, on a thread that may block.
    pub fn look(&self, mut portions: Receiver<Portion>) -> Result<Found> {
        let names = SubjectKind::BOTH.map(|kind| self.attribute_names(kind));
        let named = SubjectKind::BOTH.map(|kind| self.named(kind));
        let mut found = Found::default();
        while let Some(Portion { sessions, subjects, facts }) = portions.blocking_recv() {
            let facts = facts.read(&self.flags, &names)?;
            if let Some(page) = sessions {
                for session in page.read()? {
                    self.look_at_session(&session, &facts, &mut found);
                }
            }
            if let Some(Subjects { kind, ids, named: by_name }) = subjects {
                let met = |id: &&str| by_name || !named[kind as usize].contains(id);
                let (ids, edited) = (ids.read()?, self.edited.subjects(kind));
                for id in ids.iter().map(|id| &**id).filter(met) {
                    let concerned =
                        self.places.iter().filter(|place| place.preview.is_for_everybody() || edited.contains(id));
                    self.look_at_subject(kind, id, concerned, &facts, &mut found.subjects[kind as usize]);
                }
            }
        }
        Ok(found)
    }

    fn look_at_session(&self, session: &LivingSession<'_>, facts: &Facts<'_>, found: &mut Found) {
        // No session is without its application.
        let Some(application) = self.applications.get(&*session.application) else { return };
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
            *found.by_application.entry(application.client_id.clone()).or_default() += 1;
            found.turned_over_by = found.turned_over_by.max(self.turned_over(session, application));
        }
    }

    /// The applications whose tokens come to carry flags, or no longer carry them, each with how many of its living sessions change.
    pub fn applications(&self, found: &Found) -> Value {
        let told = |application: &Application| {
            let place = self.place(&application.environment)?;
            let remade = self.edited.remade(application)?;
            let passing = place.preview.passing([&|flag| application.carries(flag), &|flag| remade.carries(flag)]);
            let [entering, leaving] = passing;
            let any = !entering.is_empty() || !leaving.is_empty();
            let sessions = found.by_application.get(&application.client_id).copied().unwrap_or_default();
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
    fn turned_over(&self, session: &LivingSession<'_>, application: &Application) -> Option<Timestamp> {
        // Within the grace a retry is given another token, of which nothing is noted.
        let last = session.rotated_at.map_or(session.created_at, |at| at.plus_seconds(application.grace));
        let expires_at = last.min(self.now).plus_seconds(application.access_token_ttl).min(session.absolute_expires_at);
        (expires_at > self.now).then_some(expires_at)
    }

    fn look_at_subject<'s>(
        &self,
        kind: SubjectKind,
        id: &str,
        concerned: impl Iterator<Item = &'s Place>,
        facts: &Facts<'_>,
        listing: &mut Listing,
    ) {
        let only = |wanted: SubjectKind| (wanted == kind).then_some(id);
        for place in concerned {
            let (user, organization) = (only(SubjectKind::User), only(SubjectKind::Organization));
            let projections = [&Projection::All; 2];
            let asker = Asker { environment: &place.name, user, organization, projections };
            let sides = facts.sides(&self.edited, &self.overrides, asker);
            let whose = || Map::from_iter([(kind.as_str().to_owned(), Value::from(id))]);
            let shifts: Vec<Shift<'_>> = sides.shifts(&place.preview, self.now).collect();
            listing.add(id, &place.name, &shifts, whose);
        }
    }
}

fn whose(session: &LivingSession<'_>) -> Map<String, Value> {
    let LivingSession { id, user, organization, application, .. } = session;
    let members = [("session_id", Some(id)), ("user", Some(user)), ("organization", organization.as_ref())];
    let members = members.into_iter().chain([("application", Some(application))]);
    members.map(|(name, text)| (name.to_owned(), text.map(|text| &**text).into())).collect()
}
