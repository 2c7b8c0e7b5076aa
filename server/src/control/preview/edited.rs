//! What a write edits, sorted by what it does to a preview: documents that an environment is made of, facts about single
//! subjects, and sessions that end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use flagbearer::attributes::Attributes;
use flagbearer::document::Node;
use flagbearer::flag::Flag;
use flagbearer::place::{Part, Place};
use flagbearer::preview::Personal;
use flagbearer::setting::Override;
use flagbearer::subject::SubjectKind;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::store::{Application, Edit, Entity, LivingSession, Reached};

/// The members of an application's document that its tokens show.
const SHOWN_OF_APPLICATION: [&str; 4] = ["profile", "audience", "algorithm", "claims"];

/// The members of a membership that tokens show.
const SHOWN_OF_MEMBERSHIP: [&str; 2] = ["roles", "permissions"];

/// A write's edits.
#[derive(Debug)]
pub struct Edited {
    edits: Vec<Edit>,
    /// Of users and of organizations, before and after.
    attributes: [HashMap<String, (Attributes, Attributes)>; 2],
    gone_users: HashSet<String>,
    gone_applications: HashSet<String>,
    /// By organization and user.
    gone_members: HashSet<(String, String)>,
    /// Where each document that tokens show stands in `edits`.
    memberships: HashMap<(String, String), usize>,
    applications: HashMap<String, usize>,
    /// Those that it edits and leaves, as it leaves them.
    remade: HashMap<String, Application>,
}

/// Overrides after the write, by flag id; none where they are gone. By whose they are, and in which environment.
pub type EditedOverrides = HashMap<(SubjectKind, String, String), BTreeMap<Arc<str>, Option<Override>>>;

/// A member of a token that is another after the write.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'e> {
    pub claim: &'static str,
    pub from: &'e Value,
    pub to: &'e Value,
}

fn attributes(document: Option<&Value>) -> Result<Attributes> {
    match document.map(|document| &document["attributes"]) {
        None => Ok(Attributes::default()),
        Some(value) => Attributes::parse(&Node::root(value)).map_err(Error::internal),
    }
}

impl Edited {
    pub fn read(edits: Vec<Edit>) -> Result<Self> {
        let mut edited = Self {
            edits: Vec::new(),
            attributes: Default::default(),
            gone_users: HashSet::new(),
            gone_applications: HashSet::new(),
            gone_members: HashSet::new(),
            memberships: HashMap::new(),
            applications: HashMap::new(),
            remade: HashMap::new(),
        };
        for (position, edit) in edits.iter().enumerate() {
            edited.sort(position, edit)?;
        }
        edited.edits = edits;
        Ok(edited)
    }

    fn sort(&mut self, position: usize, edit: &Edit) -> Result<()> {
        let id = || edit.id.clone();
        let gone = edit.after.is_none();
        match edit.entity {
            Entity::User | Entity::Organization => {
                let kind = if edit.entity == Entity::User { SubjectKind::User } else { SubjectKind::Organization };
                let (was, is) = (attributes(edit.before.as_ref())?, attributes(edit.after.as_ref())?);
                self.attributes[kind as usize].entry(id()).or_insert_with(|| (was, Attributes::default())).1 = is;
                if gone && kind == SubjectKind::User {
                    self.gone_users.insert(id());
                }
            }
            Entity::Membership => {
                let member = (edit.organization.clone().unwrap_or_default(), edit.user.clone().unwrap_or_default());
                if gone {
                    self.gone_members.insert(member.clone());
                }
                self.memberships.insert(member, position);
            }
            Entity::Application => {
                if gone {
                    self.gone_applications.insert(id());
                }
                if let Some(document) = &edit.after {
                    self.remade.insert(id(), Application::from_stored(document.clone())?);
                }
                self.applications.insert(id(), position);
            }
            _ => {}
        }
        Ok(())
    }

    /// The environments that come or go with the write: nobody has tokens of them.
    pub fn passing_environments(&self) -> BTreeSet<&str> {
        let passing = |edit: &&Edit| edit.entity == Entity::Environment && (edit.before.is_none() || edit.after.is_none());
        self.edits.iter().filter(passing).map(|edit| edit.id.as_str()).collect()
    }

    /// The ids of the flags that can be touched; `None` where any can.
    pub fn flags(&self) -> Option<BTreeSet<&str>> {
        let any =
            |edit: &Edit| matches!(edit.entity, Entity::Segment | Entity::User | Entity::Organization | Entity::Application);
        if self.edits.iter().any(any) {
            return None;
        }
        Some(self.edits.iter().filter_map(|edit| edit.flag.as_deref()).collect())
    }

    /// The environment as the write would leave it.
    pub fn after(&self, environment: &str, before: &Place) -> Result<Place> {
        let mut place = before.clone();
        for edit in &self.edits {
            let part = match edit.entity {
                Entity::Flag => Part::Flag,
                Entity::Segment => Part::Segment,
                Entity::Setting if edit.environment.as_deref() == Some(environment) => Part::Setting,
                _ => continue,
            };
            place.put(part, &edit.id, edit.after.as_ref()).map_err(Error::internal)?;
        }
        Ok(place)
    }

    /// What it edits of single subjects, as far as an environment is concerned.
    pub fn personal(&self, environment: &str) -> Personal<'_> {
        let here = |edit: &&Edit| {
            edit.entity == Entity::Override && edit.environment.as_deref().is_none_or(|name| name == environment)
        };
        let of = |kind: SubjectKind| self.attributes[kind as usize].values().map(move |(was, is)| (kind, was, is));
        Personal {
            overridden: self.edits.iter().filter(here).map(|edit| edit.id.as_str()).collect(),
            attributes: SubjectKind::BOTH.into_iter().flat_map(of).collect(),
            every_flag: self.edits.iter().any(|edit| edit.environment.as_deref() == Some(environment) && edit.reprojects()),
        }
    }

    /// An application as the write leaves it; `None` where it deletes it.
    pub fn remade<'a>(&'a self, application: &'a Application) -> Option<&'a Application> {
        let id = application.client_id.as_str();
        if self.gone_applications.contains(id) { None } else { Some(self.remade.get(id).unwrap_or(application)) }
    }

    /// Overrides as the write would leave them, of flags that can be touched.
    pub fn overrides(&self, flags: &BTreeMap<Arc<str>, Flag>) -> Result<EditedOverrides> {
        let mut edited = EditedOverrides::new();
        for edit in self.edits.iter().filter(|edit| edit.entity == Entity::Override) {
            let Some(flag) = flags.get(edit.id.as_str()) else { continue };
            let (kind, subject) = match (&edit.user, &edit.organization) {
                (Some(user), _) => (SubjectKind::User, user),
                (None, Some(organization)) => (SubjectKind::Organization, organization),
                (None, None) => continue,
            };
            let after = edit.after.as_ref().map(|document| Override::parse(document, flag, kind));
            let after = after.transpose().map_err(Error::internal)?;
            let place = (kind, edit.environment.clone().unwrap_or_default(), subject.clone());
            edited.entry(place).or_default().insert(flag.id.clone(), after);
        }
        Ok(edited)
    }

    /// The attributes of a subject as the write would leave them, where it edits them.
    pub fn attributes_of(&self, kind: SubjectKind, id: &str) -> Option<&Attributes> {
        self.attributes[kind as usize].get(id).map(|(_, after)| after)
    }

    /// Whose overrides or attributes it edits.
    pub fn subjects(&self, kind: SubjectKind) -> BTreeSet<&str> {
        let of_override = |edit: &'_ Edit| edit.entity == Entity::Override;
        let named = self.edits.iter().filter(|edit| of_override(edit)).filter_map(|edit| match kind {
            SubjectKind::User => edit.user.as_deref(),
            SubjectKind::Organization => edit.organization.as_deref(),
        });
        named.chain(self.attributes[kind as usize].keys().map(String::as_str)).collect()
    }

    /// The sessions that are to be looked at, besides those of whole `environments`.
    pub fn reached(&self, environments: BTreeSet<String>) -> Reached {
        let owned = |ids: BTreeSet<&str>| ids.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        let mut users = owned(self.subjects(SubjectKind::User));
        // By the user alone: an organization may have very many members, of whom one is meant.
        users.extend(self.memberships.keys().map(|(_, user)| user.clone()));
        let organizations = owned(self.subjects(SubjectKind::Organization));
        Reached { environments, users, organizations, applications: self.applications.keys().cloned().collect() }
    }

    /// Whether the write ends a session.
    pub fn ends(&self, session: &LivingSession<'_>) -> bool {
        self.gone_users.contains(&*session.user)
            || self.gone_applications.contains(&*session.application)
            || self.member(session).is_some_and(|member| self.gone_members.contains(&member))
    }

    /// What the next token of a session shows otherwise, beside its flags.
    pub fn shown(&self, session: &LivingSession<'_>) -> impl Iterator<Item = Shown<'_>> {
        let member = self.member(session).and_then(|member| self.memberships.get(&member));
        let application = self.applications.get(&*session.application);
        self.differing(member, &SHOWN_OF_MEMBERSHIP).chain(self.differing(application, &SHOWN_OF_APPLICATION))
    }

    fn member(&self, session: &LivingSession<'_>) -> Option<(String, String)> {
        if self.memberships.is_empty() {
            return None;
        }
        Some((session.organization.as_deref()?.to_owned(), session.user.to_string()))
    }

    fn differing<'e>(&'e self, position: Option<&usize>, names: &'static [&'static str]) -> impl Iterator<Item = Shown<'e>> {
        let edit = position.and_then(|position| self.edits.get(*position));
        let documents = edit.and_then(|edit| Some((edit.before.as_ref()?, edit.after.as_ref()?)));
        let shown = documents.into_iter().flat_map(|(before, after)| {
            names.iter().map(move |name| Shown { claim: name, from: &before[*name], to: &after[*name] })
        });
        shown.filter(|shown| shown.from != shown.to)
    }
}
