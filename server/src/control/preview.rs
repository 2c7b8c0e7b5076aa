//! What a write would do to whom, without doing it.
//!
//! The write is made as always and then undone, so that it is refused where the real one would be; only its edits are kept.
//! They are laid over one snapshot of everything that is there, which was taken while the write still held the counter: the
//! answer is true of one revision, and nobody waits while the many are looked at.
//!
//! Looked at are the living sessions, each as its next token would be; and organizations and users, each in its own right
//! (`GET /v1/evaluate` with that subject alone), since a change may also concern whoever is not signed in now.
//!
//! One page is looked at while the next is read.

mod edited;
mod facts;
mod looking;
mod reading;
mod tally;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flagbearer::flag::Flag;
use flagbearer::preview::Preview;
use flagbearer::subject::SubjectKind;
use flagbearer::timestamp::Timestamp;
use tokio::sync::mpsc;

use self::edited::{Edited, EditedOverrides};
use self::reading::Reading;
use super::effects::Outcome;
use super::{Answer, Control};
use crate::error::{Error, Result};
use crate::store::{Application, Connection, Reached, Write};

/// How many portions wait for being looked at: one is enough to have either side always busy.
const AHEAD: usize = 1;

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
        let survey = Arc::new(Survey::open(&mut connection, edited, now).await?);
        let (portions, read) = mpsc::channel(AHEAD);
        let looking = tokio::task::spawn_blocking({
            let survey = survey.clone();
            move || survey.look(read)
        });
        let reading = Reading { survey: &survey, connection: &mut connection, portions }.all().await;
        let found = looking.await.map_err(Error::internal)??;
        reading?;
        let applications = survey.applications(&found);
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

    /// The environments in which the write can reach subjects that it does not name.
    fn whole(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.preview.is_for_everybody())
    }

    /// Whom the write or a rule names: some of them the directory does not know yet.
    fn named(&self, kind: SubjectKind) -> BTreeSet<&str> {
        let mut named = self.edited.subjects(kind);
        named.extend(self.whole().flat_map(|place| place.preview.listed(kind)));
        named
    }

    /// The names of the attributes that have a part in it.
    fn attribute_names(&self, kind: SubjectKind) -> BTreeSet<&str> {
        self.places.iter().flat_map(|place| place.preview.attribute_names(kind)).collect()
    }
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
