//! How large a claim can become, whoever it is for and whenever: what a claim budget is measured by.

use super::Dialect;
use crate::flag::{Flag, FlagKey, FlagValue};
use crate::projection::Projection;
use crate::setting::Setting;

/// A flag with the bytes of the largest entry that it can have in a claim of each dialect.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    flag: Flag,
    typed: usize,
    keys: usize,
}

impl Weighed {
    /// Weighs every value that some level could serve: the default and the off value, the environment's and its rules', and
    /// those of `overrides`. Whether the flag is enabled, a rule's schedule or rollout, or whether an override has expired
    /// plays no part: so that what is weighed changes by writes alone, and not by time.
    pub fn new<'v>(flag: Flag, setting: &Setting, overrides: impl IntoIterator<Item = &'v FlagValue>) -> Self {
        let size = |value: &FlagValue| [Dialect::Typed, Dialect::Keys].map(|dialect| dialect.entry_size(&flag.key, value));
        let larger = |[typed, keys]: [usize; 2], [others, other_keys]: [usize; 2]| [typed.max(others), keys.max(other_keys)];
        let standing = [&flag.default_value, flag.off_value()].into_iter().chain(setting.values()).map(size);
        let [typed, keys] = standing.chain(overrides.into_iter().map(size)).fold([0; 2], larger);
        Self { flag, typed, keys }
    }

    pub fn flag(&self) -> &Flag {
        &self.flag
    }

    /// Whether it can take more bytes than another state of the same flag, or is carried by other projections.
    pub fn outgrows(&self, former: &Self) -> bool {
        self.typed > former.typed || self.keys > former.keys || self.flag.tags != former.flag.tags
    }

    fn bytes(&self, dialect: Dialect) -> usize {
        match dialect {
            Dialect::Typed => self.typed,
            Dialect::Keys => self.keys,
        }
    }
}

/// The most that one application's claim can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorstCase {
    /// The whole claim's.
    pub bytes: usize,
    /// Each flag's part in it, the largest first.
    pub parts: Vec<(FlagKey, usize)>,
}

impl WorstCase {
    /// Of these flags, those that the projection carries.
    pub fn of<'w>(dialect: Dialect, projection: &Projection, flags: impl IntoIterator<Item = &'w Weighed>) -> Self {
        let carried = flags.into_iter().filter(|weighed| projection.carries(&weighed.flag));
        let mut parts: Vec<_> = carried.map(|weighed| (weighed.flag.key.clone(), weighed.bytes(dialect))).collect();
        parts.sort_by(|(one, bytes), (other, others)| others.cmp(bytes).then_with(|| one.cmp(other)));
        Self { bytes: dialect.size(parts.iter().map(|(_, bytes)| bytes).sum()), parts }
    }
}
