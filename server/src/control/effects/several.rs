//! What flags, settings and segments changed together do to whom. One by one each might be called `mixed` that together
//! only widen, so everything before all of them is held against everything after.

use std::collections::{BTreeMap, BTreeSet};

use flagbearer::effect::{Change, State};
use flagbearer::flag::Flag;
use flagbearer::segment::Segment;
use flagbearer::setting::Setting;
use flagbearer::subject::SubjectKind;

use super::{Concerned, Outcome, concerned, passages};
use crate::error::Result;
use crate::store::Write;

/// Everything that the changes may reach, as it stood before them.
pub struct Before {
    /// The flags that change, by id, and the segments.
    flags: BTreeSet<String>,
    segments: BTreeSet<String>,
    all_segments: Vec<Segment>,
    standing: Vec<Concerned>,
}

impl Before {
    /// Looks at everything that changes to these flags (by id), their settings, and these segments may reach.
    pub async fn read(write: &mut Write, flags: BTreeSet<String>, segments: BTreeSet<String>) -> Result<Self> {
        let standing = concerned(write, reached(&flags, &segments)).await?;
        Ok(Self { all_segments: write.all_segments().await?, flags, segments, standing })
    }

    /// Looks again after the changes. Overrides are not among them, other than those that go with a flag or a level.
    pub async fn outcome(self, write: &mut Write) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let segments = write.all_segments().await?;
        let after = concerned(write, reached(&self.flags, &self.segments)).await?;
        let place = |found: &Concerned| (found.standing.environment.clone(), found.flag.id.clone());
        let mut after: BTreeMap<_, _> = after.into_iter().map(|found| (place(&found), found)).collect();
        for before in &self.standing {
            let after = after.remove(&place(before));
            let state = State { flag: Some(&before.flag), setting: &before.setting, segments: &self.all_segments };
            let (flag, setting) =
                after.as_ref().map_or((None, &before.setting), |after| (Some(&after.flag), &after.setting));
            for [was, is] in passages(write, &before.standing.environment, [state.flag, flag]).await? {
                let masked = State { flag: state.flag.filter(|_| was), ..state };
                let mut change = Change::between(masked, State { flag: flag.filter(|_| is), setting, segments: &segments });
                for kind in SubjectKind::BOTH {
                    if flag.is_some_and(|flag| !flag.overrides.allows(kind)) {
                        change = change.dropping(kind);
                    }
                }
                outcome.merge(before.standing.outcome(change, write));
            }
        }
        for come in after.values() {
            let nothing = State { flag: None, setting: &come.setting, segments: &segments };
            let change = Change::between(nothing, State { flag: Some(&come.flag), ..nothing });
            outcome.merge(come.standing.outcome(change, write));
        }
        Ok(outcome)
    }
}

fn reached(flags: &BTreeSet<String>, segments: &BTreeSet<String>) -> impl Fn(&Flag, &Setting) -> bool {
    move |flag, setting| flags.contains(&*flag.id) || setting.segments().any(|named| segments.contains(named.as_str()))
}
