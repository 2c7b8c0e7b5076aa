//! Reads, portion by portion, everybody who is to be looked at.

use flagbearer::subject::SubjectKind;
use tokio::sync::mpsc::Sender;

use super::Survey;
use super::facts::PackedFacts;
use crate::error::{Error, Result};
use crate::store::{Connection, Ids, SessionPage};

/// A page, with what has a part in it of what is known about its subjects.
#[derive(Debug)]
pub struct Portion {
    pub page: Page,
    pub facts: PackedFacts,
}

#[derive(Debug)]
pub enum Page {
    Sessions(SessionPage),
    /// Users or organizations in their own right: those that are named, or all of the directory.
    Subjects {
        kind: SubjectKind,
        ids: Ids,
        named: bool,
    },
}

/// A survey being read.
pub struct Reading<'s> {
    pub survey: &'s Survey,
    pub connection: &'s mut Connection,
    pub portions: Sender<Portion>,
}

impl Reading<'_> {
    /// Sends everybody.
    pub async fn all(mut self) -> Result<()> {
        self.sessions().await?;
        for kind in SubjectKind::BOTH {
            self.subjects(kind).await?;
        }
        Ok(())
    }

    /// The living sessions that are reached.
    async fn sessions(&mut self) -> Result<()> {
        let Survey { reached, now, .. } = self.survey;
        let mut cursor = String::new();
        while !reached.environments.is_empty() {
            let page = self.connection.sessions_of_environments(reached, *now, &cursor).await?;
            let Some(page) = page else { break };
            cursor.clone_from(&page.last);
            self.send_sessions(page).await?;
        }
        cursor.clear();
        while reached.names_somebody() {
            let page = self.connection.sessions_of_subjects(reached, *now, &cursor).await?;
            let Some(page) = page else { break };
            cursor.clone_from(&page.last);
            self.send_sessions(page).await?;
        }
        Ok(())
    }

    /// Users or organizations, each in its own right.
    async fn subjects(&mut self, kind: SubjectKind) -> Result<()> {
        let named = self.survey.named(kind);
        if !named.is_empty() {
            self.send_subjects(kind, Ids::of(named), true).await?;
        }
        let mut cursor = String::new();
        while self.survey.whole().next().is_some() {
            let Some(page) = self.connection.subject_ids(kind, &cursor).await? else { break };
            cursor.clone_from(&page.last);
            self.send_subjects(kind, page.ids, false).await?;
        }
        Ok(())
    }

    async fn send_sessions(&mut self, page: SessionPage) -> Result<()> {
        let facts = self.facts([Some(&page.users), Some(&page.organizations)]).await?;
        self.send(Portion { page: Page::Sessions(page), facts }).await
    }

    async fn send_subjects(&mut self, kind: SubjectKind, ids: Ids, named: bool) -> Result<()> {
        let facts = self.facts(SubjectKind::BOTH.map(|one| (one == kind).then_some(&ids))).await?;
        self.send(Portion { page: Page::Subjects { kind, ids, named }, facts }).await
    }

    async fn send(&self, portion: Portion) -> Result<()> {
        // Who took the portions has failed then, and said why.
        self.portions.send(portion).await.map_err(|_| Error::internal("a preview is looked at no more"))
    }

    /// Reads what has a part in it of what is known about some users and organizations.
    async fn facts(&mut self, subjects: [Option<&Ids>; 2]) -> Result<PackedFacts> {
        let (survey, connection) = (self.survey, &mut self.connection);
        let mut facts = PackedFacts::default();
        for (kind, ids) in SubjectKind::BOTH.into_iter().zip(subjects) {
            if let Some(ids) = ids
                && !survey.attribute_names(kind).is_empty()
            {
                facts.attributes[kind as usize] = connection.attributes_of(kind, ids).await?;
            }
        }
        let [users, organizations] = subjects;
        if let Some(users) = users
            && survey.overridden
        {
            facts.of_users = connection.overrides_among(&survey.flags, SubjectKind::User, "", users).await?;
        }
        if let Some(organizations) = organizations {
            for place in survey.places.iter().filter(|place| place.overridden) {
                let kind = SubjectKind::Organization;
                let found = connection.overrides_among(&survey.flags, kind, &place.name, organizations).await?;
                facts.of_organizations.push((place.name.clone(), found));
            }
        }
        Ok(facts)
    }
}
