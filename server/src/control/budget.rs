//! Claim budgets: a write that could make some application's claim larger than it may be is refused unless that is meant.
//!
//! What a write has touched is weighed before and after; everything else only where that has grown. So the cost is that of the
//! touched flags, and of all flags for the few writes that enlarge something. The state before is put together from the
//! write's own edits: a second transaction to look it up would wait for the first where connections are scarce.

use std::collections::{BTreeMap, BTreeSet};

use flagbearer::claim::{Weighed, WorstCase};
use flagbearer::document::Node;
use flagbearer::flag::{Flag, FlagValue};
use flagbearer::setting::Setting;
use serde_json::{Value, json};

use super::Call;
use crate::error::{Error, Kind, Result};
use crate::store::{Application, Edit, Entity, Level, Servable, Write};

/// How many of the largest flags are named.
const NAMED: usize = 10;

/// The worst case of an application among these flags.
pub fn worst_case(application: &Application, flags: &[Weighed]) -> WorstCase {
    WorstCase::of(application.profile.dialect(), &application.projection, flags)
}

/// The flags that take most of a claim.
pub fn largest(worst: &WorstCase) -> Value {
    worst.parts.iter().take(NAMED).map(|(key, bytes)| json!({ "flag": key, "bytes": bytes })).collect()
}

/// Refuses a write that raises a worst case above the budget, unless the caller has confirmed it.
///
/// Errors: `CLAIM_BUDGET_EXCEEDED`, with the sizes.
pub async fn hold_back(write: &mut Write, call: &Call) -> Result<()> {
    if call.confirmed("claim-budget") {
        return Ok(());
    }
    let edits: Vec<Edit> = write.noted().iter().filter(|edit| weighs(edit.entity)).cloned().collect();
    let flags: BTreeSet<&str> = edits.iter().filter_map(|edit| edit.flag.as_deref()).collect();
    let mut exceeded = Vec::new();
    for environment in concerned(write, &edits).await? {
        let of_environment = write.applications(Some(&environment), "", i64::MAX).await?;
        let applications: Vec<Application> = of_environment.into_iter().map(|stored| stored.application).collect();
        if applications.is_empty() {
            continue;
        }
        let touched = touched(write, &edits, &flags, &environment).await?;
        let remade =
            |application: &Application| edit_of(&edits, Entity::Application, &application.client_id, None).is_some();
        if !touched.values().any(Touched::has_grown) && !applications.iter().any(remade) {
            continue;
        }
        let after = write.weighed(&environment).await?;
        let untouched = after.iter().filter(|weighed| !touched.contains_key(&*weighed.flag().id));
        let former: Vec<Weighed> =
            untouched.cloned().chain(touched.values().filter_map(|touched| touched.before.clone())).collect();
        for application in &applications {
            let worst = worst_case(application, &after);
            let before = match edit_of(&edits, Entity::Application, &application.client_id, None) {
                None => worst_case(application, &former).bytes,
                Some(Edit { before: None, .. }) => 0,
                Some(Edit { before: Some(document), .. }) => {
                    worst_case(&Application::from_stored(document.clone())?, &former).bytes
                }
            };
            if worst.bytes as i64 > application.claim_budget && worst.bytes > before {
                exceeded.push(told(application, &worst, before));
            }
        }
    }
    match exceeded.first() {
        None => Ok(()),
        Some(first) => Err(Error::new(
            Kind::Refused,
            "CLAIM_BUDGET_EXCEEDED",
            format!(
                "the flags of the application `{}` could take {} bytes of a token, and its `claim_budget` is {}; make them \
                 smaller, let it carry fewer by its `projection`, or send this again with `?confirm=claim-budget`",
                first["client_id"].as_str().unwrap_or_default(),
                first["worst_case"],
                first["claim_budget"],
            ),
        )
        .listing(exceeded)),
    }
}

fn told(application: &Application, worst: &WorstCase, before: usize) -> Value {
    json!({
        "client_id": application.client_id, "name": application.name, "environment": application.environment,
        "claim_budget": application.claim_budget, "worst_case": worst.bytes, "former_worst_case": before,
        "largest_flags": largest(worst),
    })
}

/// Whether the size of claims depends on it.
fn weighs(entity: Entity) -> bool {
    matches!(entity, Entity::Flag | Entity::Setting | Entity::Override | Entity::Application)
}

/// The environments whose claims the edits can alter.
async fn concerned(write: &mut Write, edits: &[Edit]) -> Result<BTreeSet<String>> {
    if edits.iter().any(|edit| edit.environment.is_none()) {
        return Ok(write.environments().await?.into_iter().map(|environment| environment.name).collect());
    }
    Ok(edits.iter().filter_map(|edit| edit.environment.clone()).collect())
}

/// A flag that a write has touched, where it lives.
struct Touched {
    before: Option<Weighed>,
    after: Option<Weighed>,
}

impl Touched {
    fn has_grown(&self) -> bool {
        match (&self.before, &self.after) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(before), Some(after)) => after.outgrows(before),
        }
    }
}

/// The touched flags by id, as they were before the write in an environment and as they are now.
async fn touched(
    write: &mut Write,
    edits: &[Edit],
    flags: &BTreeSet<&str>,
    environment: &str,
) -> Result<BTreeMap<String, Touched>> {
    let ids: Vec<&str> = flags.iter().copied().collect();
    let found = write.servable(environment, &ids).await?;
    let mut now: BTreeMap<String, Servable> = found.into_iter().map(|one| (one.stored.flag.id.to_string(), one)).collect();
    let mut touched = BTreeMap::new();
    for id in ids {
        let now = now.remove(id);
        let before = former(write, edits, id, environment, now.as_ref()).await?;
        let after = now.filter(|now| now.stored.archived_at.is_none()).map(Servable::weigh);
        touched.insert(id.to_owned(), Touched { before, after });
    }
    Ok(touched)
}

/// A flag as it was before the edits: what they have replaced, and for the rest what is there now.
async fn former(
    write: &mut Write,
    edits: &[Edit],
    id: &str,
    environment: &str,
    now: Option<&Servable>,
) -> Result<Option<Weighed>> {
    let flag = match (edit_of(edits, Entity::Flag, id, None), now) {
        (Some(edit), _) => edit.before.as_ref().map(living).transpose()?.flatten(),
        (None, Some(now)) => now.stored.living().cloned(),
        (None, None) => None,
    };
    let Some(flag) = flag else { return Ok(None) };
    let setting = match (edit_of(edits, Entity::Setting, id, Some(environment)), now) {
        (Some(Edit { before: Some(document), .. }), _) => Setting::parse(document, &flag).map_err(Error::internal)?,
        (Some(Edit { before: None, .. }), _) | (None, None) => Setting::default(),
        (None, Some(now)) => now.setting.clone(),
    };
    let mut overrides = Vec::new();
    let levels = [Level::User(""), Level::Organization { organization: "", environment }];
    for (place, level) in levels.into_iter().enumerate() {
        let edited = edited_overrides(edits, &flag, level)?;
        if edited.is_empty() {
            overrides.extend(now.iter().flat_map(|now| now.overrides[place].iter().cloned()));
            continue;
        }
        // As many as were edited may be new, so that of one more at least one was there before.
        let standing = write.extreme_overrides(&flag, level, edited.len() + 1).await?;
        let untouched = standing.into_iter().filter(|(subject, _)| !edited.contains_key(subject.as_str()));
        overrides.extend(untouched.map(|(_, value)| value));
        overrides.extend(edited.into_values().flatten());
    }
    Ok(Some(Weighed::new(flag, &setting, &overrides)))
}

/// The first edit of a document: what was before it was before the write.
fn edit_of<'e>(edits: &'e [Edit], entity: Entity, id: &str, environment: Option<&str>) -> Option<&'e Edit> {
    let here = |edit: &&Edit| environment.is_none() || edit.environment.as_deref() == environment;
    edits.iter().filter(|edit| edit.entity == entity && edit.id == id).find(here)
}

/// The flag of a logged document, unless it was archived.
fn living(document: &Value) -> Result<Option<Flag>> {
    let mut document = document.clone();
    let archived_at = document.as_object_mut().and_then(|members| members.remove("archived_at"));
    if archived_at.is_some_and(|at| !at.is_null()) {
        return Ok(None);
    }
    Flag::from_stored(&document).map(Some).map_err(Error::internal)
}

/// The subjects of a level whose override was edited, each with the value from before.
fn edited_overrides<'e>(edits: &'e [Edit], flag: &Flag, level: Level<'_>) -> Result<BTreeMap<&'e str, Option<FlagValue>>> {
    let mut edited = BTreeMap::new();
    for edit in edits.iter().filter(|edit| edit.entity == Entity::Override && edit.id == *flag.id) {
        let subject = match level {
            Level::User(_) => edit.user.as_deref(),
            Level::Organization { environment, .. } => {
                edit.organization.as_deref().filter(|_| edit.environment.as_deref() == Some(environment))
            }
        };
        let Some(subject) = subject else { continue };
        let value = |document: &Value| FlagValue::parse(&Node::root(&document["value"]), flag.flag_type);
        let before = edit.before.as_ref().map(value).transpose().map_err(Error::internal)?;
        edited.entry(subject).or_insert(before);
    }
    Ok(edited)
}
