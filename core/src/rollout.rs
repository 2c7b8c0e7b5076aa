//! Rollouts and splits: a subject's bucket decides, so the same subject always lands in the same place, on every replica
//! and in every language, and raising a percentage only ever adds subjects. The hash and its input are frozen by
//! `tests/vectors/rollouts.json`: changing either would move everybody.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::document::Node;
use crate::error::{Error, ErrorCode, Result};
use crate::flag::{FlagType, FlagValue};
use crate::subject::SubjectKind;

/// How many buckets there are: one for each thousandth of a percent.
pub const BUCKETS: u32 = 100_000;
/// The most variants that one split has.
pub const MAX_VARIANTS: usize = 100;
/// The heaviest weight of a variant.
pub const MAX_WEIGHT: u32 = 1_000_000_000;

/// A share in thousandths of a percent, 0…100 000. In JSON a number of percent with at most three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentage(u32);

impl Percentage {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(BUCKETS);

    /// `None` above 100 000.
    pub const fn from_thousandths(thousandths: u32) -> Option<Self> {
        if thousandths <= BUCKETS { Some(Self(thousandths)) } else { None }
    }

    pub const fn thousandths(self) -> u32 {
        self.0
    }

    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        let percent = node.number()?;
        let thousandths = (percent * 1000.0).round();
        // Dividing back gives the very double that three decimals are read as; a fourth decimal would differ.
        if !(0.0..=f64::from(BUCKETS)).contains(&thousandths) || thousandths / 1000.0 != percent {
            return Err(node.error(
                ErrorCode::PercentageInvalid,
                format!("`{}` is not a percentage; write a number from 0 to 100 with at most three decimals", node.value),
            ));
        }
        Ok(Self(thousandths as u32))
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / 1000.0)
    }
}

impl Serialize for Percentage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::attributes::serialize_number(f64::from(self.0) / 1000.0, serializer)
    }
}

/// Which share of an audience a rule reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rollout {
    /// Whose bucket counts: everybody of an organization together, or each user alone.
    pub by: SubjectKind,
    pub percentage: Percentage,
}

impl Rollout {
    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        let mut members = node.members()?;
        let by = SubjectKind::parse(&members.required("by")?)?;
        let percentage = Percentage::parse(&members.required("percentage")?)?;
        members.finish()?;
        Ok(Self { by, percentage })
    }
}

/// Several values served side by side, each to its share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Split {
    pub by: SubjectKind,
    /// At least one; names are unique; the weights' sum is positive.
    pub variants: Vec<Variant>,
}

/// One value of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variant {
    /// 1–128 bytes.
    pub name: String,
    pub value: FlagValue,
    /// Its share, relative to the other variants'; 0…1 000 000 000.
    pub weight: u32,
}

impl Split {
    pub(crate) fn parse(node: &Node<'_>, flag_type: FlagType) -> Result<Self> {
        let mut members = node.members()?;
        let by = SubjectKind::parse(&members.required("by")?)?;
        let list = members.required("variants")?;
        let variants: Vec<Variant> =
            list.items()?.iter().map(|item| Variant::parse(item, flag_type)).collect::<Result<_>>()?;
        members.finish()?;
        if variants.len() > MAX_VARIANTS {
            return Err(list.error(ErrorCode::SplitInvalid, format!("a split has at most {MAX_VARIANTS} variants")));
        }
        if let Some(index) = (1..variants.len()).find(|&at| variants[..at].iter().any(|one| one.name == variants[at].name)) {
            let message = format!("two variants are named `{}`", variants[index].name);
            return Err(Error::at(ErrorCode::SplitInvalid, format!("{}/{index}/name", list.pointer), message));
        }
        let split = Self { by, variants };
        if split.total() == 0 {
            return Err(list.error(ErrorCode::SplitInvalid, "the weights of a split must add up to more than 0"));
        }
        Ok(split)
    }

    /// The sum of the weights.
    pub fn total(&self) -> u64 {
        self.variants.iter().map(|variant| u64::from(variant.weight)).sum()
    }

    /// The variant of a bucket: the first with bucket × total weight < cumulative weight × 100 000.
    pub fn variant(&self, bucket: u32) -> Option<&Variant> {
        let place = u64::from(bucket) * self.total();
        let mut cumulative = 0;
        self.variants.iter().find(|variant| {
            cumulative += u64::from(variant.weight);
            place < cumulative * u64::from(BUCKETS)
        })
    }
}

impl Variant {
    fn parse(node: &Node<'_>, flag_type: FlagType) -> Result<Self> {
        let mut members = node.members()?;
        let name = members.required("name")?;
        let text = name.text(128)?;
        if text.is_empty() {
            return Err(name.error(ErrorCode::SplitInvalid, "a variant needs a name"));
        }
        let value = FlagValue::parse(&members.required("value")?, flag_type)?;
        let weight = members.required("weight")?;
        weight.number()?;
        let allowed = weight.value.as_u64().and_then(|weight| u32::try_from(weight).ok());
        let Some(allowed) = allowed.filter(|allowed| *allowed <= MAX_WEIGHT) else {
            let message = format!("`{}` is not a weight; write a whole number from 0 to {MAX_WEIGHT}", weight.value);
            return Err(weight.error(ErrorCode::SplitInvalid, message));
        };
        members.finish()?;
        Ok(Self { name: text, value, weight: allowed })
    }
}

/// The bucket of a subject in the rollouts of the flag with this salt: 0…99 999.
pub fn rollout_bucket(salt: &str, subject: &str) -> u32 {
    Buckets::of_rollout(salt).bucket(subject)
}

/// The bucket of a subject in the splits of the flag with this salt, independent of the rollout's: 0…99 999.
pub fn split_bucket(salt: &str, subject: &str) -> u32 {
    Buckets::of_split(salt).bucket(subject)
}

/// The part of the hash that is the same for every subject of a flag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buckets(Murmur3);

impl Buckets {
    pub(crate) fn of_rollout(salt: &str) -> Self {
        Self(Murmur3::default().update(salt.as_bytes()).update(b":"))
    }

    pub(crate) fn of_split(salt: &str) -> Self {
        Self(Murmur3::default().update(salt.as_bytes()).update(b"/split:"))
    }

    pub(crate) fn bucket(&self, subject: &str) -> u32 {
        self.0.update(subject.as_bytes()).finish() % BUCKETS
    }
}

/// MurmurHash3 x86 32 with seed 0, fed piece by piece.
#[derive(Debug, Clone, Copy, Default)]
struct Murmur3 {
    hash: u32,
    /// The bytes that do not fill a word yet, lowest first.
    tail: u32,
    length: u32,
}

impl Murmur3 {
    fn update(mut self, bytes: &[u8]) -> Self {
        let shift = 8 * (self.length % 4);
        let words = bytes.chunks_exact(4);
        let rest = words.remainder();
        for word in words {
            let word = word.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            let wide = word << shift | u64::from(self.tail);
            self.hash = (self.hash ^ scramble(wide as u32)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
            self.tail = (wide >> 32) as u32;
            self.length = self.length.wrapping_add(4);
        }
        for byte in rest {
            self.tail |= u32::from(*byte) << (8 * (self.length % 4));
            self.length = self.length.wrapping_add(1);
            if self.length.is_multiple_of(4) {
                self.hash = (self.hash ^ scramble(self.tail)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
                self.tail = 0;
            }
        }
        self
    }

    fn finish(self) -> u32 {
        // An empty tail scrambles to 0.
        let mut hash = self.hash ^ scramble(self.tail) ^ self.length;
        hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
        hash ^ hash >> 16
    }
}

fn scramble(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}
