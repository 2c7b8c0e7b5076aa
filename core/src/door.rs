//! A door for tests: one JSON document in, one out, so that the shared vectors run the same way in every language, and
//! applications can try their rules without a server.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::attributes::Attributes;
use crate::claim::Dialect;
use crate::document::{Members, Node, escape};
use crate::effect::{Change, OverrideValues, StandingOverride, State};
use crate::error::{Error, ErrorCode, Result};
use crate::evaluation::{Context, Overrides, Subject};
use crate::flag::{Flag, FlagKey, FlagType, FlagValue};
use crate::projection::Projection;
#[cfg(feature = "crypto")]
use crate::reader::{Came, FollowerStep, KeySource, Poll, Reader, Response};
use crate::rollout::{rollout_bucket, split_bucket};
use crate::ruleset::Ruleset;
use crate::segment::Segment;
use crate::setting::{Override, Setting};
use crate::subject::{SubjectId, SubjectKind};
#[cfg(feature = "crypto")]
use crate::timestamp::Timestamp;
#[cfg(feature = "crypto")]
use crate::token::{Verifier, VerifierOptions};

/// Evaluates `{flags: [{flag, setting}], segments, overrides: {user, organization}, context: {user, organization}, now}`,
/// where overrides stand under the keys of their flags and a subject is `{id, attributes}`; `projection`, where there is one,
/// says which flags are answered. Answers, by flag key, `{type, value, reason, rule, variant, trace}`. All but `flags` and
/// `now` may be left out.
pub fn evaluate_json(document: &Value) -> Result<Value> {
    let mut members = Node::root(document).members()?;
    let segments = members.optional("segments").map(|node| read_segments(&node)).transpose()?.unwrap_or_default();
    let mut flags = Vec::new();
    for item in members.required("flags")?.items()? {
        let mut members = item.members()?;
        let flag = read_flag(&members.required("flag")?)?;
        let setting = read_setting(members.optional("setting"), &flag, &segments)?;
        members.finish()?;
        flags.push((flag, setting));
    }
    let overrides = members.optional("overrides").map(|node| read_overrides(&node, &flags)).transpose()?.unwrap_or_default();
    let (user, organization) = members.optional("context").map(|node| read_context(&node)).transpose()?.unwrap_or_default();
    let projection = members.optional("projection").map(|node| Projection::parse(&node)).transpose()?.unwrap_or_default();
    let now = members.required("now")?.timestamp()?;
    members.finish()?;

    let ruleset = Ruleset::compile(0, flags, segments);
    let context =
        Context { user: user.as_ref().map(Known::subject), organization: organization.as_ref().map(Known::subject) };
    let mut answers = Map::new();
    let explanations = ruleset.explain_all(&overrides, &context, now);
    for explanation in explanations.iter().filter(|found| projection.carries(found.evaluation.flag)) {
        answers.insert(explanation.evaluation.flag.key.to_string(), to_json(explanation)?);
    }
    Ok(Value::Object(answers))
}

/// A reader of `{issuer, jwks, watermarks: [{at, watermark}]}` that was told these watermarks, at these seconds, one after the
/// other; and for each the code that it was refused with.
#[cfg(feature = "crypto")]
pub fn follow(document: &Value) -> Result<(Reader, Vec<Option<ErrorCode>>)> {
    let mut members = Node::root(document).members()?;
    let issuer = members.required("issuer")?.string()?;
    let jwks = members.required("jwks")?.value.to_string();
    let watermarks = members.required("watermarks")?.items()?;
    members.finish()?;

    let endpoint = format!("{issuer}/v1/watermark/production");
    let discovery = json!({ "issuer": issuer, "watermark_endpoint": endpoint }).to_string();
    let verifier = Verifier::new(&VerifierOptions { issuer, audience: Some("api"), ..Default::default() })?;
    let reader = Reader::new(verifier, KeySource::WellKnown)?.following(0);
    let (mut outcomes, mut stream) = (Vec::new(), None);
    for item in watermarks {
        let mut members = item.members()?;
        let now = Timestamp::from_seconds(members.required("at")?.integer()?);
        let event = format!("data: {}\n\n", members.required("watermark")?.string()?);
        members.finish()?;
        let Some(follower) = reader.follower() else { continue };
        let keys = || {
            if let Poll::Fetch(fetch) = reader.poll(now) {
                reader.receive(fetch.id, Response::Body(jwks.as_bytes()), now);
            }
        };
        keys();
        while stream.is_none() {
            match follower.poll(now) {
                FollowerStep::Get { id, .. } => {
                    follower.receive(id, Came::Body { body: discovery.as_bytes(), etag: None }, now);
                }
                FollowerStep::Stream { id, .. } => stream = Some(id),
                step => {
                    return Err(Error::new(ErrorCode::ConfigurationInvalid, format!("it does not follow, but: {step:?}")));
                }
            }
        }
        follower.receive(stream.unwrap_or_default(), Came::Bytes(event.as_bytes()), now);
        if follower.poll(now) == FollowerStep::KeysNeeded {
            keys();
            follower.poll(now);
        }
        outcomes.push(follower.refusal().map(|error| error.code));
    }
    Ok((reader, outcomes))
}

/// Judges a change `{before, after, standing, dropped, override, attributes, now}`, where a side is `{flag, setting,
/// segments}`, a missing `after` is the same as before, and a missing or `null` flag is absent. `standing` lists the
/// overrides that are there, `dropped` the levels whose overrides go with the change. The edit of one subject is
/// `override: {level, subject, before, after}` or `attributes: {subject: "user" | "organization", id, before, after}`.
/// Answers `{effect, holdouts}`.
pub fn effect_json(document: &Value) -> Result<Value> {
    let mut members = Node::root(document).members()?;
    let before = Side::read(&members.required("before")?)?;
    let after = members.optional("after").map(|node| Side::read(&node)).transpose()?;
    let after = after.as_ref().unwrap_or(&before);
    let flag = before.flag.as_ref().or(after.flag.as_ref());
    let mut standing = Vec::new();
    for item in members.optional("standing").map(|node| node.items()).transpose()?.unwrap_or_default() {
        standing.push(Standing::read(&item, flag)?);
    }
    let mut dropped = Vec::new();
    for item in members.optional("dropped").map(|node| node.items()).transpose()?.unwrap_or_default() {
        dropped.push(SubjectKind::parse(&item)?);
    }
    let written = members.optional("override").map(|node| Edited::read(&node, "level", "subject")).transpose()?;
    let described = members.optional("attributes").map(|node| Edited::read(&node, "subject", "id")).transpose()?;
    let now = members.required("now")?.timestamp()?;
    members.finish()?;

    let rows = match &written {
        Some(edit) => edit.sides(|node| read_override(node, flag, edit.kind))?,
        None => [None, None],
    };
    let attributes = match &described {
        Some(edit) => edit.sides(Attributes::parse)?.map(Option::unwrap_or_default),
        None => Default::default(),
    };
    let change = match (&written, &described) {
        (Some(edit), _) => Change::of_override(before.state(), edit.kind, &edit.subject, rows[0].as_ref(), rows[1].as_ref()),
        (None, Some(edit)) => {
            Change::of_attributes(before.state(), edit.kind, &edit.subject, &attributes[0], &attributes[1])
        }
        (None, None) => Change::between(before.state(), after.state()),
    };
    let [user, organization] = SubjectKind::BOTH.map(|kind| values(&standing, kind));
    let change = change.with_overrides(OverrideValues { user: &user, organization: &organization });
    let change = dropped.into_iter().fold(change, Change::dropping);
    let candidates =
        standing.iter().map(|one| StandingOverride { level: one.level, subject: one.subject.as_str(), row: &one.row });
    Ok(json!({ "effect": to_json(&change.effect(now))?, "holdouts": to_json(&change.holdouts(now, candidates))? }))
}

/// The buckets of `{salt, subject}`: `{rollout, split}`.
pub fn buckets_json(document: &Value) -> Result<Value> {
    let mut members = Node::root(document).members()?;
    let salt = members.required("salt")?.string()?;
    let subject = read_id(&members.required("subject")?)?;
    members.finish()?;
    Ok(json!({
        "rollout": rollout_bucket(salt, subject.as_str()),
        "split": split_bucket(salt, subject.as_str()),
    }))
}

/// The `feature_flags` claim in dialect `typed` or `keys`, of an array of `{key, type, value}` that is sorted by key.
pub fn claim_text(dialect: &str, flags: &Value) -> Result<String> {
    let unknown = |name: &str| Error::new(ErrorCode::ValueInvalid, format!("`{name}` is not known"));
    let mut list = Vec::new();
    for item in Node::root(flags).items()? {
        let mut members = item.members()?;
        let name = members.required("type")?.string()?;
        let flag_type = FlagType::parse(name).ok_or_else(|| unknown(name))?;
        let key = FlagKey::parse(members.required("key")?.string()?)?;
        list.push((key, FlagValue::parse(&members.required("value")?, flag_type)?));
        members.finish()?;
    }
    let mut claim = String::new();
    let dialect = Dialect::parse(dialect).ok_or_else(|| unknown(dialect))?;
    dialect.encode(list.iter().map(|(key, value)| (key, value)), &mut claim);
    Ok(claim)
}

fn to_json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::new(ErrorCode::ValueInvalid, format!("not a JSON value: {error}")))
}

/// A subject of the context.
struct Known {
    id: SubjectId,
    attributes: Attributes,
}

impl Known {
    fn read(node: &Node<'_>) -> Result<Self> {
        let mut members = node.members()?;
        let id = read_id(&members.required("id")?)?;
        let attributes =
            members.optional("attributes").map(|node| Attributes::parse(&node)).transpose()?.unwrap_or_default();
        members.finish()?;
        Ok(Self { id, attributes })
    }

    fn subject(&self) -> Subject<'_> {
        Subject { id: self.id.as_str(), attributes: &self.attributes }
    }
}

fn read_context(node: &Node<'_>) -> Result<(Option<Known>, Option<Known>)> {
    let mut members = node.members()?;
    let user = members.optional("user").map(|node| Known::read(&node)).transpose()?;
    let organization = members.optional("organization").map(|node| Known::read(&node)).transpose()?;
    members.finish()?;
    Ok((user, organization))
}

fn read_id(node: &Node<'_>) -> Result<SubjectId> {
    SubjectId::parse(node.string()?).map_err(|error| error.under(&node.pointer))
}

fn read_flag(node: &Node<'_>) -> Result<Flag> {
    Flag::from_stored(node.value).map_err(|error| error.under(&node.pointer))
}

fn read_segments(node: &Node<'_>) -> Result<Vec<Segment>> {
    let items = node.items()?;
    items.iter().map(|item| Segment::parse(item.value).map_err(|error| error.under(&item.pointer))).collect()
}

fn read_setting(node: Option<Node<'_>>, flag: &Flag, segments: &[Segment]) -> Result<Setting> {
    let Some(node) = node else {
        return Ok(Setting::default());
    };
    let checked = Setting::parse(node.value, flag).and_then(|setting| {
        setting.check_segments(|key| segments.iter().any(|segment| segment.key == *key))?;
        Ok(setting)
    });
    checked.map_err(|error| error.under(&node.pointer))
}

fn read_override(node: &Node<'_>, flag: Option<&Flag>, level: SubjectKind) -> Result<Override> {
    let flag = flag.ok_or_else(|| node.error(ErrorCode::FlagNotFound, "there is no flag to override"))?;
    Override::parse(node.value, flag, level).map_err(|error| error.under(&node.pointer))
}

fn read_overrides(node: &Node<'_>, flags: &[(Flag, Setting)]) -> Result<Overrides> {
    let mut members = node.members()?;
    let [user, organization] = [SubjectKind::User, SubjectKind::Organization].map(|level| {
        let Some(node) = members.optional(level.as_str()) else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        for (key, value) in node.value.as_object().into_iter().flatten() {
            let row = Node { value, pointer: format!("{}/{}", node.pointer, escape(key)) };
            let flag = flags.iter().map(|(flag, _)| flag).find(|flag| flag.key.as_str() == key);
            let id = flag.map(|flag| flag.id.clone()).unwrap_or_default();
            rows.push((id, read_override(&row, flag, level)?));
        }
        Ok(rows)
    });
    members.finish()?;
    Ok(Overrides { user: user?, organization: organization? })
}

/// One side of a change.
struct Side {
    flag: Option<Flag>,
    setting: Setting,
    segments: Vec<Segment>,
}

impl Side {
    fn read(node: &Node<'_>) -> Result<Self> {
        let mut members = node.members()?;
        let flag = members.optional("flag").map(|node| read_flag(&node)).transpose()?;
        let segments = members.optional("segments").map(|node| read_segments(&node)).transpose()?.unwrap_or_default();
        let setting = members.optional("setting");
        members.finish()?;
        let setting = match &flag {
            Some(flag) => read_setting(setting, flag, &segments)?,
            None => Setting::default(),
        };
        Ok(Self { flag, setting, segments })
    }

    fn state(&self) -> State<'_> {
        State { flag: self.flag.as_ref(), setting: &self.setting, segments: &self.segments }
    }
}

/// An override that is there.
struct Standing {
    level: SubjectKind,
    subject: SubjectId,
    row: Override,
}

impl Standing {
    fn read(node: &Node<'_>, flag: Option<&Flag>) -> Result<Self> {
        let mut members = node.members()?;
        let level = SubjectKind::parse(&members.required("level")?)?;
        let subject = read_id(&members.required("subject")?)?;
        let row = read_override(&members.required("override")?, flag, level)?;
        members.finish()?;
        Ok(Self { level, subject, row })
    }
}

fn values(standing: &[Standing], kind: SubjectKind) -> Vec<FlagValue> {
    let mut values = Vec::new();
    for one in standing.iter().filter(|one| one.level == kind) {
        if !values.contains(&one.row.value) {
            values.push(one.row.value.clone());
        }
    }
    values
}

/// The edit of one subject: what was there and what is there now.
struct Edited<'v> {
    kind: SubjectKind,
    subject: String,
    before: Option<Node<'v>>,
    after: Option<Node<'v>>,
}

impl<'v> Edited<'v> {
    fn read(node: &Node<'v>, kind: &'static str, id: &'static str) -> Result<Self> {
        let mut members: Members<'v> = node.members()?;
        let kind = SubjectKind::parse(&members.required(kind)?)?;
        let subject = read_id(&members.required(id)?)?.to_string();
        let (before, after) = (members.optional("before"), members.optional("after"));
        members.finish()?;
        Ok(Self { kind, subject, before, after })
    }

    fn sides<T>(&self, read: impl Fn(&Node<'v>) -> Result<T>) -> Result<[Option<T>; 2]> {
        Ok([self.before.as_ref().map(&read).transpose()?, self.after.as_ref().map(&read).transpose()?])
    }
}
