//! The words of a trace. They may change; programs read the levels.

use std::fmt;

use crate::rollout::Percentage;
use crate::subject::SubjectKind;
use crate::timestamp::Timestamp;

/// Why a level holds or does not; turned into words only when somebody listens.
#[derive(Clone, Copy)]
pub(super) enum Why<'r, 'c> {
    Enabled,
    Disabled,
    NoSubject(SubjectKind),
    NoOverride(&'c str),
    Expired(&'c str, Timestamp),
    Overridden(&'c str, Option<&'r str>),
    Opens(Timestamp),
    Closed(Timestamp),
    ForNobody,
    NotInAudience,
    NotReached(Share),
    Matches(Member<'r, 'c>, Option<Share>),
    Set,
    NotSet,
    Default,
}

/// By what a context belongs to an audience.
#[derive(Clone, Copy)]
pub(super) enum Member<'r, 'c> {
    Everybody,
    Listed(SubjectKind, &'c str),
    Segment(&'r str),
}

/// A bucket beside the percentage it is compared with.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub by: SubjectKind,
    pub bucket: u32,
    pub percentage: Percentage,
}

impl fmt::Display for Why<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enabled => f.write_str("the flag is enabled in this environment"),
            Self::Disabled => f.write_str("the flag is disabled in this environment"),
            Self::NoSubject(kind) => write!(f, "the context has no {kind}"),
            Self::NoOverride(id) => write!(f, "no override for `{id}`"),
            Self::Expired(id, at) => write!(f, "the override for `{id}` expired at {at}"),
            Self::Overridden(id, None) => write!(f, "an override for `{id}`"),
            Self::Overridden(id, Some(note)) => write!(f, "an override for `{id}`: `{note}`"),
            Self::Opens(at) => write!(f, "the schedule opens at {at}"),
            Self::Closed(at) => write!(f, "the schedule closed at {at}"),
            Self::ForNobody => f.write_str("the rule is for nobody"),
            Self::NotInAudience => f.write_str("the context is not in the audience"),
            Self::NotReached(share) => write!(f, "the rollout has not reached {share}"),
            Self::Matches(member, None) => member.fmt(f),
            Self::Matches(member, Some(share)) => write!(f, "{member}, and the rollout has reached {share}"),
            Self::Set => f.write_str("the value of this environment"),
            Self::NotSet => f.write_str("this environment sets no value"),
            Self::Default => f.write_str("the default value of the flag"),
        }
    }
}

impl fmt::Display for Member<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str("the rule is for everybody"),
            Self::Listed(kind, id) => write!(f, "the {kind} `{id}` is listed"),
            Self::Segment(key) => write!(f, "the context is in the segment `{key}`"),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, bucket, percentage } = self;
        write!(f, "the {by}, whose bucket is {bucket} of 100000: it reaches {percentage}")
    }
}
