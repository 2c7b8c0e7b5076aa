//! An environment's flags, settings and segments at one revision, compiled so that evaluating looks up each subject once
//! and then only compares small numbers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use crate::audience::{Audience, Targets};
use crate::condition::Condition;
use crate::flag::Flag;
use crate::rollout::Buckets;
use crate::segment::{Segment, SegmentKey};
use crate::setting::Setting;
use crate::subject::{SubjectId, SubjectKind};

/// Numbers by text. The hasher's keys are fixed, as this crate has no randomness: only administrators choose the entries.
type Numbers = HashMap<Arc<str>, u32, BuildHasherDefault<DefaultHasher>>;

/// All flags of one environment, sorted by key, ready to be evaluated.
#[derive(Debug)]
pub struct Ruleset {
    revision: i64,
    pub(crate) flags: Vec<CompiledFlag>,
    pub(crate) segments: Vec<CompiledSegment>,
    flag_numbers: Numbers,
    users: Numbers,
    organizations: Numbers,
}

#[derive(Debug)]
pub(crate) struct CompiledFlag {
    pub flag: Flag,
    pub setting: Setting,
    /// One for each rule of the setting.
    pub members: Vec<Members>,
    pub rollout: Buckets,
    pub split: Buckets,
}

#[derive(Debug)]
pub(crate) struct CompiledSegment {
    pub key: SegmentKey,
    pub members: Listed,
    pub condition: Option<Condition>,
}

/// An audience in numbers.
#[derive(Debug)]
pub(crate) enum Members {
    None,
    Some { listed: Listed, segments: Box<[u32]> },
    All,
}

/// Sorted numbers of listed subjects.
#[derive(Debug)]
pub(crate) struct Listed {
    users: Box<[u32]>,
    organizations: Box<[u32]>,
}

impl Listed {
    pub fn contains(&self, kind: SubjectKind, number: Option<u32>) -> bool {
        let list = match kind {
            SubjectKind::User => &self.users,
            SubjectKind::Organization => &self.organizations,
        };
        number.is_some_and(|number| list.binary_search(&number).is_ok())
    }
}

impl Ruleset {
    /// Compiles an environment as it is at `revision`. Archived flags are not passed; of two flags with one key the first
    /// stays. A segment that is named but not given holds nobody: it cannot be stored, and evaluation is total.
    pub fn compile(revision: i64, flags: Vec<(Flag, Setting)>, segments: Vec<Segment>) -> Self {
        let mut users = Numbers::default();
        let mut organizations = Numbers::default();
        let mut listed = |user_ids: &[SubjectId], organization_ids: &[SubjectId]| Listed {
            users: numbers(&mut users, user_ids),
            organizations: numbers(&mut organizations, organization_ids),
        };
        let mut segments: Vec<CompiledSegment> = segments
            .into_iter()
            .map(|segment| CompiledSegment {
                members: listed(&segment.users, &segment.organizations),
                key: segment.key,
                condition: segment.condition,
            })
            .collect();
        segments.sort_by(|one, other| one.key.cmp(&other.key));
        let mut flags: Vec<CompiledFlag> = flags
            .into_iter()
            .map(|(flag, setting)| CompiledFlag {
                members: setting.rules.iter().map(|rule| members(&rule.audience, &segments, &mut listed)).collect(),
                rollout: Buckets::of_rollout(&flag.salt),
                split: Buckets::of_split(&flag.salt),
                flag,
                setting,
            })
            .collect();
        flags.sort_by(|one, other| one.flag.key.cmp(&other.flag.key));
        flags.dedup_by(|one, other| one.flag.key == other.flag.key);
        let flag_numbers = (0..).zip(&flags).map(|(number, compiled)| (compiled.flag.id.clone(), number)).collect();
        Self { revision, flags, segments, flag_numbers, users, organizations }
    }

    /// The revision that was compiled.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Every flag with its setting, in the order of their keys.
    pub fn flags(&self) -> impl ExactSizeIterator<Item = (&Flag, &Setting)> {
        self.flags.iter().map(|compiled| (&compiled.flag, &compiled.setting))
    }

    pub(crate) fn flag(&self, key: &str) -> Option<&CompiledFlag> {
        let place = self.flags.binary_search_by(|compiled| compiled.flag.key.as_str().cmp(key)).ok()?;
        self.flags.get(place)
    }

    /// The flag with this id; overrides are stored under it.
    pub fn flag_by_id(&self, id: &str) -> Option<&Flag> {
        self.flags.get(self.flag_number(id)? as usize).map(|compiled| &compiled.flag)
    }

    /// The place of the flag with this id.
    pub(crate) fn flag_number(&self, id: &str) -> Option<u32> {
        self.flag_numbers.get(id).copied()
    }

    /// The names of the attributes of this kind of subject that some segment's condition looks at, as often as they occur.
    pub(crate) fn attribute_names(&self, kind: SubjectKind) -> impl Iterator<Item = &str> {
        let conditions = self.segments.iter().filter_map(|segment| segment.condition.as_ref());
        conditions.flat_map(move |condition| condition.names(kind))
    }

    /// Whom the lists of rules and segments name, in no order.
    pub(crate) fn listed(&self, kind: SubjectKind) -> impl Iterator<Item = &str> {
        match kind {
            SubjectKind::User => self.users.keys(),
            SubjectKind::Organization => self.organizations.keys(),
        }
        .map(|id| &**id)
    }

    /// The number of a subject that some list names.
    pub(crate) fn subject_number(&self, kind: SubjectKind, id: &str) -> Option<u32> {
        match kind {
            SubjectKind::User => self.users.get(id).copied(),
            SubjectKind::Organization => self.organizations.get(id).copied(),
        }
    }
}

fn numbers(known: &mut Numbers, ids: &[SubjectId]) -> Box<[u32]> {
    let mut numbers: Box<[u32]> = ids
        .iter()
        .map(|id| {
            let next = known.len() as u32;
            *known.entry(id.shared()).or_insert(next)
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

fn members(
    audience: &Audience,
    segments: &[CompiledSegment],
    listed: &mut impl FnMut(&[SubjectId], &[SubjectId]) -> Listed,
) -> Members {
    let place = |key: &SegmentKey| segments.binary_search_by(|segment| segment.key.cmp(key)).ok().map(|at| at as u32);
    match audience {
        Audience::None => Members::None,
        Audience::All => Members::All,
        Audience::Some(Targets { users, organizations, segments: keys }) => {
            Members::Some { listed: listed(users, organizations), segments: keys.iter().filter_map(place).collect() }
        }
    }
}
