//! What is known about somebody before a write and after it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flagbearer::attributes::Attributes;
use flagbearer::evaluation::{Context, Overrides, Subject};
use flagbearer::flag::Flag;
use flagbearer::preview::{Pair, Preview, Side};
use flagbearer::projection::Projection;
use flagbearer::setting::Override;
use flagbearer::subject::SubjectKind;
use flagbearer::timestamp::Timestamp;

use super::edited::{Edited, EditedOverrides};
use super::tally::Shift;
use crate::error::Result;
use crate::store::{PackedAttributes, PackedOverrides};

/// Overrides by flag id.
type Held = Vec<(Arc<str>, Override)>;

/// What is stored about the subjects of one page, as far as it has a part in it.
#[derive(Debug, Default)]
pub struct PackedFacts {
    /// By kind.
    pub attributes: [PackedAttributes; 2],
    pub of_users: PackedOverrides,
    /// By environment.
    pub of_organizations: Vec<(String, PackedOverrides)>,
}

/// The same, read.
#[derive(Debug)]
pub struct Facts<'p> {
    attributes: [HashMap<Cow<'p, str>, Attributes>; 2],
    of_users: HashMap<Cow<'p, str>, Held>,
    of_organizations: HashMap<&'p str, HashMap<Cow<'p, str>, Held>>,
}

/// Who asks, and in which environment.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub environment: &'a str,
    pub user: Option<&'a str>,
    pub organization: Option<&'a str>,
    /// Which flags are carried, before and after.
    pub projections: [&'a Projection; 2],
}

/// Somebody on both sides.
#[derive(Debug)]
pub struct Sides<'a> {
    before: Side<'a>,
    after: Side<'a>,
}

impl<'a> Asker<'a> {
    fn id(&self, kind: SubjectKind) -> Option<&'a str> {
        match kind {
            SubjectKind::User => self.user,
            SubjectKind::Organization => self.organization,
        }
    }

    fn side(
        &self,
        projection: &'a Projection,
        overrides: [Held; 2],
        attributes: impl Fn(SubjectKind, &str) -> Option<&'a Attributes>,
    ) -> Side<'a> {
        let [user, organization] = overrides;
        let subject = |kind| {
            let id = self.id(kind)?;
            Some(Subject { id, attributes: attributes(kind, id).unwrap_or(Attributes::NONE) })
        };
        let context = Context { user: subject(SubjectKind::User), organization: subject(SubjectKind::Organization) };
        Side { context, overrides: Overrides { user, organization }, projection }
    }
}

impl PackedFacts {
    /// Reads the overrides of these flags, and the attributes with these names, by kind.
    pub fn read(&self, flags: &BTreeMap<Arc<str>, Flag>, names: &[BTreeSet<&str>; 2]) -> Result<Facts<'_>> {
        let [users, organizations] = &self.attributes;
        let [of_user, of_organization] = names;
        let of_organizations = self.of_organizations.iter();
        let of_organizations = of_organizations.map(|(environment, held)| Ok((&**environment, held.read(flags)?)));
        Ok(Facts {
            attributes: [users.read(of_user)?, organizations.read(of_organization)?],
            of_users: self.of_users.read(flags)?,
            of_organizations: of_organizations.collect::<Result<_>>()?,
        })
    }
}

impl Facts<'_> {
    /// Lays what a write edits over what is known about somebody.
    pub fn sides<'a>(&'a self, edited: &'a Edited, overrides: &EditedOverrides, asker: Asker<'a>) -> Sides<'a> {
        let known = |kind: SubjectKind, id: &str| self.attributes[kind as usize].get(id);
        let standing = SubjectKind::BOTH.map(|kind| self.held(kind, asker).to_vec());
        let left = SubjectKind::BOTH.map(|kind| left(self.held(kind, asker), overrides, kind, asker));
        let [carried, to_be_carried] = asker.projections;
        Sides {
            before: asker.side(carried, standing, known),
            after: asker.side(to_be_carried, left, |kind, id| edited.attributes_of(kind, id).or_else(|| known(kind, id))),
        }
    }

    fn held(&self, kind: SubjectKind, asker: Asker<'_>) -> &[(Arc<str>, Override)] {
        let held = asker.id(kind).and_then(|id| match kind {
            SubjectKind::User => self.of_users.get(id),
            SubjectKind::Organization => self.of_organizations.get(asker.environment)?.get(id),
        });
        held.map_or(&[], Vec::as_slice)
    }
}

impl Sides<'_> {
    /// The flags that are another value to whoever reads the next token.
    pub fn shifts<'p>(&'p self, preview: &'p Preview, now: Timestamp) -> impl Iterator<Item = Shift<'p>> {
        preview.pairs(&self.before, &self.after, now).filter_map(shift)
    }
}

fn shift<'p>((before, after): Pair<'p>) -> Option<Shift<'p>> {
    let key = &before.or(after)?.flag.key;
    let (from, to) = (before.map(|found| found.value), after.map(|found| found.value));
    (from != to).then_some(Shift::Flag { key, from, to })
}

/// Overrides as a write would leave them.
fn left(standing: &[(Arc<str>, Override)], overrides: &EditedOverrides, kind: SubjectKind, asker: Asker<'_>) -> Held {
    let edited = match asker.id(kind) {
        Some(id) if !overrides.is_empty() => {
            let environment = if kind == SubjectKind::User { "" } else { asker.environment };
            overrides.get(&(kind, environment.to_owned(), id.to_owned()))
        }
        _ => None,
    };
    let Some(edited) = edited else { return standing.to_vec() };
    let kept = standing.iter().filter(|(flag, _)| !edited.contains_key(flag)).cloned();
    kept.chain(edited.iter().filter_map(|(flag, row)| Some((flag.clone(), row.clone()?)))).collect()
}
