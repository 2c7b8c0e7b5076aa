//! Reads, portion by portion, everybody who is to be looked at.

use flagbearer::subject::SubjectKind;
use tokio::sync::mpsc::Sender;

use super::Survey;
use super::facts::PackedFacts;
use crate::error::{Error, Result};
use crate::store::{Connection, Ids, SessionCursor, SessionPage, Span, Whose};

/// Some of those who are to be looked at, with what has a part in it of what is known about them.
#[derive(Debug, Default)]
pub struct Portion {
    pub sessions: Option<SessionPage>,
    pub subjects: Option<Subjects>,
    pub facts: PackedFacts,
}

/// Users or organizations in their own right: those that are named, or some of the directory.
#[derive(Debug)]
pub struct Subjects {
    pub kind: SubjectKind,
    pub ids: Ids,
    pub named: bool,
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
        for kind in SubjectKind::BOTH {
            let named = self.survey.named(kind);
            if !named.is_empty() {
                let subjects = Subjects { kind, ids: Ids::of(named), named: true };
                self.send(None, Some(subjects), None).await?;
            }
        }
        self.users().await?;
        self.sessions_of_the_named().await?;
        self.organizations().await
    }

    /// All users, where they are reached as a whole, each beside the sessions that it has: so are its facts read once.
    async fn users(&mut self) -> Result<()> {
        let (survey, kind) = (self.survey, SubjectKind::User);
        let whole = survey.whole().next().is_some();
        if !whole && survey.reached.environments.is_empty() {
            return Ok(());
        }
        let mut after = String::new();
        while let Some(page) = self.connection.subject_ids(kind, &after).await? {
            let span = Span { after, to: page.last };
            let mut subjects = whole.then_some(Subjects { kind, ids: page.ids, named: false });
            let mut next = Some(SessionCursor::default()).filter(|_| !survey.reached.environments.is_empty());
            while subjects.is_some() || next.is_some() {
                let sessions = match next {
                    Some(cursor) => {
                        let reached = &survey.reached;
                        self.connection.sessions_of_environments(reached, survey.now, &span, &cursor).await?
                    }
                    None => None,
                };
                next = sessions.as_ref().and_then(|page| page.next.clone());
                if sessions.is_some() || subjects.is_some() {
                    self.send(sessions, subjects.take(), Some(&span)).await?;
                }
            }
            after = span.to;
        }
        Ok(())
    }

    /// The living sessions of those that are named, where nobody else is reached.
    async fn sessions_of_the_named(&mut self) -> Result<()> {
        let Survey { reached, now, .. } = self.survey;
        let mut next = Some(SessionCursor::default()).filter(|_| reached.names_somebody());
        while let Some(cursor) = next {
            let page = self.connection.sessions_of_subjects(reached, *now, &cursor).await?;
            let Some(page) = page else { break };
            next = page.next.clone();
            self.send(Some(page), None, None).await?;
        }
        Ok(())
    }

    /// All organizations, where they are reached as a whole.
    async fn organizations(&mut self) -> Result<()> {
        let kind = SubjectKind::Organization;
        let mut after = String::new();
        while self.survey.whole().next().is_some() {
            let Some(page) = self.connection.subject_ids(kind, &after).await? else { break };
            let span = Span { after, to: page.last };
            self.send(None, Some(Subjects { kind, ids: page.ids, named: false }), Some(&span)).await?;
            after = span.to;
        }
        Ok(())
    }

    /// Sends what was read, with its facts. `span` is where the subjects are, and whose the sessions are.
    async fn send(&mut self, sessions: Option<SessionPage>, subjects: Option<Subjects>, span: Option<&Span>) -> Result<()> {
        let whose = |kind: SubjectKind| {
            let of_sessions = sessions.as_ref().map(|page| match kind {
                SubjectKind::User => &page.users,
                SubjectKind::Organization => &page.organizations,
            });
            let own = subjects.as_ref().filter(|subjects| subjects.kind == kind).map(|subjects| &subjects.ids);
            let is_spanned = own.is_some() || (of_sessions.is_some() && kind == SubjectKind::User);
            match span {
                Some(span) if is_spanned => Some(Whose::In(span)),
                _ => of_sessions.or(own).map(Whose::Of),
            }
        };
        let facts = self.facts(SubjectKind::BOTH.map(whose)).await?;
        // Who took the portions has failed then, and said why.
        let sent = self.portions.send(Portion { sessions, subjects, facts }).await;
        sent.map_err(|_| Error::internal("a preview is looked at no more"))
    }

    /// Reads what has a part in it of what is known about some users and organizations.
    async fn facts(&mut self, subjects: [Option<Whose<'_>>; 2]) -> Result<PackedFacts> {
        let (survey, connection) = (self.survey, &mut self.connection);
        let mut facts = PackedFacts::default();
        for (kind, whose) in SubjectKind::BOTH.into_iter().zip(subjects) {
            if let Some(whose) = whose
                && !survey.attribute_names(kind).is_empty()
            {
                facts.attributes[kind as usize] = connection.attributes_of(kind, whose).await?;
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
