//! Everything that decides what one place (a user, in an organization, in an environment) is served, kept in the parts that
//! changes replace one by one: so that the change log can rebuild a place as it was, and walk it on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::attributes::Attributes;
use crate::document::Node;
use crate::error::{Error, ErrorCode, Result};
use crate::evaluation::{Context, Level, Overrides, Subject};
use crate::flag::{Flag, FlagKey};
use crate::projection::Projection;
use crate::ruleset::Ruleset;
use crate::segment::{Segment, SegmentKey};
use crate::setting::{Override, Setting};
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

/// What a document of the change log is, seen from a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// By the flag's id, as are its setting and its overrides.
    Flag,
    Setting,
    UserOverride,
    OrganizationOverride,
    /// By its key.
    Segment,
    /// The attributes of the place's user.
    User,
    Organization,
    /// The application whose tokens are asked about: which flags these carry.
    Application,
}

/// One place at one revision.
#[derive(Debug, Clone, Default)]
pub struct Place {
    user: Option<Known>,
    organization: Option<Known>,
    flags: BTreeMap<Arc<str>, Held>,
    segments: BTreeMap<SegmentKey, Segment>,
    /// All flags, unless it is known of whose tokens the place is.
    projection: Projection,
}

#[derive(Debug, Clone)]
struct Known {
    id: String,
    attributes: Attributes,
}

/// A flag with what the place's environment, user and organization have for it.
#[derive(Debug, Clone)]
struct Held {
    flag: Flag,
    archived: bool,
    setting: Setting,
    user: Option<Override>,
    organization: Option<Override>,
}

impl Place {
    /// A place where nothing is written yet. Without a user it is a machine's.
    pub fn new(user: Option<&str>, organization: Option<&str>) -> Self {
        let known = |id: &str| Known { id: id.to_owned(), attributes: Attributes::default() };
        Self { user: user.map(known), organization: organization.map(known), ..Self::default() }
    }

    /// Replaces one part by the document that the log holds after an edit, or takes it away. A flag has to come before its
    /// setting and its overrides; what belongs to a flag that is not there is passed over.
    ///
    /// Errors: those of a document that is not one of the log's.
    pub fn put(&mut self, part: Part, id: &str, document: Option<&Value>) -> Result<()> {
        match part {
            Part::Flag => self.put_flag(id, document),
            Part::Setting | Part::UserOverride | Part::OrganizationOverride => self.put_of_flag(part, id, document),
            Part::Segment => match document {
                Some(document) => {
                    let segment = Segment::parse(document)?;
                    self.segments.insert(segment.key.clone(), segment);
                    Ok(())
                }
                None => {
                    self.segments.remove(&SegmentKey::parse(id)?);
                    Ok(())
                }
            },
            Part::User => put_attributes(&mut self.user, document),
            Part::Organization => put_attributes(&mut self.organization, document),
            Part::Application => self.put_application(document),
        }
    }

    fn put_flag(&mut self, id: &str, document: Option<&Value>) -> Result<()> {
        let Some(document) = document else {
            self.flags.remove(id);
            return Ok(());
        };
        let mut document = document.clone();
        let archived_at = document.as_object_mut().and_then(|members| members.remove("archived_at"));
        let archived = archived_at.is_some_and(|at| !at.is_null());
        let flag = Flag::from_stored(&document)?;
        match self.flags.get_mut(id) {
            Some(held) => (held.flag, held.archived) = (flag, archived),
            None => {
                let setting = Setting::default();
                self.flags.insert(flag.id.clone(), Held { flag, archived, setting, user: None, organization: None });
            }
        }
        Ok(())
    }

    fn put_of_flag(&mut self, part: Part, id: &str, document: Option<&Value>) -> Result<()> {
        let Some(held) = self.flags.get_mut(id) else { return Ok(()) };
        let row = |kind| document.map(|document| Override::parse(document, &held.flag, kind)).transpose();
        match part {
            Part::UserOverride => held.user = row(SubjectKind::User)?,
            Part::OrganizationOverride => held.organization = row(SubjectKind::Organization)?,
            _ => {
                let setting = document.map(|document| Setting::parse(document, &held.flag)).transpose()?;
                held.setting = setting.unwrap_or_default();
            }
        }
        Ok(())
    }

    /// An application that is gone leaves its last projection: its tokens are still asked about.
    fn put_application(&mut self, document: Option<&Value>) -> Result<()> {
        if let Some(document) = document {
            let named = document.get("projection");
            self.projection = named.map(|value| Projection::parse(&Node::root(value))).transpose()?.unwrap_or_default();
        }
        Ok(())
    }

    /// Which flags the application's tokens carry.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// The keys of the living flags that the application's tokens do not carry, in order.
    pub fn projected_out(&self) -> Vec<&FlagKey> {
        let left_out = |held: &&Held| !held.archived && !self.projection.carries(&held.flag);
        let mut keys: Vec<_> = self.flags.values().filter(left_out).map(|held| &held.flag.key).collect();
        keys.sort();
        keys
    }

    /// Compiles the living flags that are carried and `wanted`, with the overrides that the place has for them.
    pub fn compile(&self, revision: i64, wanted: impl Fn(&FlagKey) -> bool) -> (Ruleset, Overrides) {
        let mut overrides = Overrides::default();
        let wanted = |held: &Held| self.carries(held) && wanted(&held.flag.key);
        for held in self.flags.values().filter(|held| wanted(held)) {
            overrides.user.extend(held.user.iter().map(|row| (held.flag.id.clone(), row.clone())));
            overrides.organization.extend(held.organization.iter().map(|row| (held.flag.id.clone(), row.clone())));
        }
        (self.ruleset(revision, wanted), overrides)
    }

    /// Compiles the living flags with these ids, without what single subjects have for them.
    pub(crate) fn compile_flags(&self, revision: i64, ids: &BTreeSet<Arc<str>>) -> Ruleset {
        self.ruleset(revision, |held| !held.archived && ids.contains(&held.flag.id))
    }

    /// Compiles flags with the segments that they name.
    fn ruleset(&self, revision: i64, wanted: impl Fn(&Held) -> bool) -> Ruleset {
        let held = || self.flags.values().filter(|held| wanted(held));
        let named: BTreeSet<&SegmentKey> = held().flat_map(|held| held.setting.segments()).collect();
        let segments = named.into_iter().filter_map(|key| self.segments.get(key)).cloned().collect();
        Ruleset::compile(revision, held().map(|held| (held.flag.clone(), held.setting.clone())).collect(), segments)
    }

    /// The ids of all flags.
    pub(crate) fn flag_ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.flags.keys()
    }

    /// The ids of the flags that two sides of a change may serve differently to anybody: another value of the flag, another
    /// setting, or another segment that a rule names.
    pub(crate) fn altered<'p>(&'p self, other: &'p Self) -> impl Iterator<Item = &'p Arc<str>> {
        self.flags.keys().chain(other.flags.keys()).filter(|id| !self.serves_like(other, id))
    }

    fn serves_like(&self, other: &Self, id: &str) -> bool {
        match (self.flags.get(id), other.flags.get(id)) {
            (None, None) => true,
            (Some(one), None) => one.archived,
            (None, Some(two)) => two.archived,
            (Some(one), Some(two)) if one.archived || two.archived => one.archived == two.archived,
            (Some(one), Some(two)) => {
                one.serves_like(two) && one.setting.segments().all(|key| self.segments.get(key) == other.segments.get(key))
            }
        }
    }

    /// The ids of the flags that look at an attribute which differs between the two.
    pub(crate) fn looking_at<'p>(
        &'p self,
        kind: SubjectKind,
        before: &'p Attributes,
        after: &'p Attributes,
    ) -> impl Iterator<Item = &'p Arc<str>> {
        let looks = move |key: &SegmentKey| {
            let condition = self.segments.get(key).and_then(|segment| segment.condition.as_ref());
            condition.is_some_and(|condition| condition.mentions_edited(kind, before, after))
        };
        self.flags.iter().filter(move |(_, held)| held.setting.segments().any(looks)).map(|(id, _)| id)
    }

    /// Who asks here.
    pub fn context(&self) -> Context<'_> {
        Context {
            user: self.user.as_ref().map(Known::subject),
            organization: self.organization.as_ref().map(Known::subject),
        }
    }

    /// When the override that stands for a flag at this level expires.
    pub(crate) fn expiry(&self, key: &str, level: Level) -> Option<Timestamp> {
        let held = self.living(key)?;
        match level {
            Level::User => held.user.as_ref()?.expires_at,
            Level::Organization => held.organization.as_ref()?.expires_at,
            _ => None,
        }
    }

    /// The last instant, after `from` and not after `until`, at which some rule of a flag opened, closed or took a step.
    pub(crate) fn last_step(&self, key: &str, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let schedules = self.living(key)?.setting.rules.iter().filter_map(|rule| rule.schedule.as_ref());
        schedules.flat_map(|schedule| schedule.instants()).filter(|at| from < *at && *at <= until).max()
    }

    fn carries(&self, held: &Held) -> bool {
        !held.archived && self.projection.carries(&held.flag)
    }

    fn living(&self, key: &str) -> Option<&Held> {
        self.flags.values().find(|held| !held.archived && held.flag.key.as_str() == key)
    }
}

impl Held {
    /// Tags count, since projections go by them.
    fn serves_like(&self, other: &Self) -> bool {
        let (one, two) = (&self.flag, &other.flag);
        let value = one.default_value == two.default_value && one.off_value() == two.off_value();
        value && one.tags == two.tags && self.setting == other.setting
    }
}

impl Known {
    fn subject(&self) -> Subject<'_> {
        Subject { id: &self.id, attributes: &self.attributes }
    }
}

fn put_attributes(known: &mut Option<Known>, document: Option<&Value>) -> Result<()> {
    let Some(known) = known else { return Ok(()) };
    known.attributes = match document {
        None => Attributes::default(),
        Some(document) => {
            let missing = || Error::new(ErrorCode::MemberMissing, "a logged user or organization has no attributes");
            Attributes::parse(&Node::root(document.get("attributes").ok_or_else(missing)?))?
        }
    };
    Ok(())
}
