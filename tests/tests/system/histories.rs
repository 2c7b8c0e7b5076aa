//! For random histories: what a token carries is what `evaluate` answers at the token's `flags_rev` and `iat`, for ever; and
//! a change that is taken back leaves the answers of before it, or is refused.
//!
//! Several changes fall into one second. Of those a token may have seen some: the state of that second, all its own changes
//! included, is that of the second's last change, and so the claim of tokens issued after it.
//!
//! `FLAGBEARER_HISTORIES` asks for another number of histories than the suite's, on each engine; `FLAGBEARER_SEED` for
//! others.

use flagbearer_tests::{Answer, Api, BEGINNING, Engine, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Histories of the suite on each engine. They go on in one installation, each from where the one before ended, until it is
/// old enough.
const HISTORIES: [(Engine, u64); 2] = [(Engine::Sqlite, 960), (Engine::Postgres, 40)];
const HISTORIES_OF_AN_INSTALLATION: u64 = 25;
/// The most changes of one history.
const CHANGES: u64 = 200;

const USERS: [&str; 3] = ["ada", "ben", "a/b"];
const ORGANIZATIONS: [&str; 3] = ["org_a", "org_b", "org"];
const ENVIRONMENTS: [&str; 2] = ["production", "staging"];
const SEGMENTS: [&str; 2] = ["big", "early"];
const FLAGS: [(&str, &str); 5] =
    [("bool", "boolean"), ("text", "string"), ("number", "integer"), ("tree", "json"), ("more", "boolean")];

/// SplitMix64: the same seed, the same history.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize].clone()
    }

    fn value(&mut self, flag_type: &str) -> Value {
        let number = self.roll(6);
        match flag_type {
            "boolean" => json!(number < 3),
            "string" => json!(format!("text \u{fc} {number}")),
            "integer" => json!(number as i64 - 3),
            _ => json!({ "n": number as f64 / 3.0, "list": [number, null, "x"] }),
        }
    }

    /// A time near `now`, in the past or in the future.
    fn instant(&mut self, now: i64, from: i64) -> Value {
        json!(BEGINNING.plus_seconds(now + from + self.roll(60) as i64).to_string())
    }

    fn audience(&mut self) -> Value {
        match self.roll(5) {
            0 => json!({ "type": "all" }),
            1 => json!({ "type": "none" }),
            2 => json!({ "type": "some", "segments": [self.pick(&SEGMENTS)] }),
            3 => json!({ "type": "some", "users": [self.pick(&USERS)] }),
            _ => json!({ "type": "some", "organizations": [self.pick(&ORGANIZATIONS)], "segments": [self.pick(&SEGMENTS)] }),
        }
    }

    fn rule(&mut self, flag_type: &str, now: i64) -> Value {
        let mut rule = json!({ "audience": self.audience(), "serve": { "value": self.value(flag_type) } });
        if self.one_in(3) {
            let by = self.pick(&["user", "organization"]);
            let variants = json!([
                { "name": "one", "value": self.value(flag_type), "weight": 1 },
                { "name": "other", "value": self.value(flag_type), "weight": 2 },
            ]);
            rule["serve"] = json!({ "split": { "by": by, "variants": variants } });
        }
        if self.one_in(2) {
            let by = self.pick(&["user", "organization"]);
            rule["rollout"] = json!({ "by": by, "percentage": self.roll(101) });
        }
        if self.one_in(2) {
            rule["schedule"] = match self.roll(3) {
                0 => json!({ "from": self.instant(now, -20) }),
                1 => json!({ "until": self.instant(now, -20) }),
                _ => json!({ "from": self.instant(now, -60), "until": self.instant(now, 1) }),
            };
            if rule["rollout"].is_object() {
                rule["schedule"]["steps"] = json!([{ "at": self.instant(now, -20), "percentage": self.roll(101) }]);
            }
        }
        rule
    }

    fn attributes(&mut self) -> Value {
        let plan = self.pick(&["free", "enterprise"]);
        json!({ "attributes": { "plan": plan, "seats": self.roll(20) } })
    }
}

/// A token, and what it was issued for.
#[derive(Debug, Clone)]
struct Issued {
    place: usize,
    user: &'static str,
    organization: Option<&'static str>,
    /// Seconds after the beginning.
    at: i64,
    /// The last change before it, of whatever environment.
    last_change: i64,
    /// The keys of the flags that its application carried, where those were not all.
    carried: Option<Vec<String>>,
    tokens: Value,
}

/// Refusals of a revert. Whatever else is answered to one is a mistake of ours.
const IRREVERSIBLE: [&str; 10] = [
    "CHANGE_NOT_FOUND",
    "CONFIRMATION_REQUIRED",
    "DOCUMENT_GONE",
    "FLAG_EXISTS",
    "MINIMUM_IRREVERSIBLE",
    "NOT_IN_LOG",
    "OVERRIDE_NOT_ALLOWED",
    "SECRET_NOT_IN_LOG",
    "SEGMENT_IN_USE",
    "SEGMENT_UNKNOWN",
];

/// A request that may change something.
struct Write {
    method: Method,
    path: String,
    body: Value,
}

fn write(method: Method, path: impl Into<String>, body: Value) -> Write {
    Write { method, path: path.into(), body }
}

/// How often something happened.
#[derive(Debug, Default)]
struct Counted {
    changes: usize,
    tokens: usize,
    reverts: usize,
    reverts_refused: usize,
    batches: usize,
}

struct History {
    server: TestServer,
    admin: Api,
    dice: Dice,
    applications: [String; 2],
    now: i64,
    /// The last change of the preparations, which are not taken back.
    prepared: i64,
    last_change: i64,
    issued: Vec<Issued>,
    counted: Counted,
}

impl History {
    async fn start(engine: Engine, seed: u64) -> Self {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let applications = [admin.application("production").await, admin.application("staging").await];
        for (segment, attribute) in SEGMENTS.into_iter().zip(["organization", "user"]) {
            let condition = json!({ attribute: "plan", "equals": "enterprise" });
            admin.post("/v1/segments", json!({ "key": segment, "condition": condition })).await.ok();
        }
        let last_change = admin.get("/v1/changes?limit=1").await.ok()["data"][0]["revision"].as_i64().expect("a revision");
        let (issued, counted) = Default::default();
        let (dice, prepared) = (Dice(seed), last_change);
        Self { server, admin, dice, applications, now: 0, prepared, last_change, issued, counted }
    }

    /// Some write of any kind but reverts and batches.
    fn write(&mut self) -> Write {
        let (now, first, last) = (self.now, self.prepared + 1, self.last_change);
        let dice = &mut self.dice;
        let (flag, flag_type) = dice.pick(&FLAGS);
        let (user, organization) = (dice.pick(&USERS).replace('/', "%2F"), dice.pick(&ORGANIZATIONS));
        let environment = dice.pick(&ENVIRONMENTS);
        let setting = format!("/v1/flags/{flag}/environments/{environment}");
        let of_organization = format!("/v1/flags/{flag}/organizations/{organization}?environment={environment}");
        let of_user = format!("/v1/flags/{flag}/users/{user}");
        let member = format!("/v1/organizations/{organization}/members/{user}");
        let override_body = |dice: &mut Dice| {
            let expires_at = if dice.one_in(2) { dice.instant(now, 1) } else { Value::Null };
            json!({ "value": dice.value(flag_type), "expires_at": expires_at })
        };
        match dice.roll(30) {
            0..=3 => {
                let body = json!({ "key": flag, "type": flag_type, "default_value": dice.value(flag_type) });
                write(Method::POST, "/v1/flags", body)
            }
            4 => {
                let body = match dice.roll(3) {
                    0 => json!({ "default_value": dice.value(flag_type) }),
                    1 => json!({ "off_value": dice.value(flag_type) }),
                    _ => json!({ "tags": dice.pick(&[&[][..], &["web"], &["app", "web"]]) }),
                };
                write(Method::PATCH, format!("/v1/flags/{flag}"), body)
            }
            5 => {
                let levels = [&["environment", "user"][..], &["organization"], &["environment", "organization", "user"]];
                let body = json!({ "overrides": dice.pick(&levels) });
                write(Method::PATCH, format!("/v1/flags/{flag}?confirm=drop-overrides"), body)
            }
            6..=11 => {
                let rules: Vec<Value> = (0..dice.roll(4)).map(|_| dice.rule(flag_type, now)).collect();
                let mut body = json!({ "enabled": !dice.one_in(6), "rules": rules });
                if dice.one_in(2) {
                    body["value"] = dice.value(flag_type);
                }
                let urgent = if dice.one_in(8) { "?urgent=true" } else { "" };
                write(Method::PUT, format!("{setting}{urgent}"), body)
            }
            12..=13 => write(Method::PUT, of_organization, override_body(dice)),
            14..=15 => write(Method::PUT, of_user, override_body(dice)),
            16 => write(Method::DELETE, of_organization, Value::Null),
            17 => write(Method::DELETE, of_user, Value::Null),
            18 => {
                let method = dice.pick(&[0, 1]);
                let method = if method == 0 { Method::PUT } else { Method::DELETE };
                write(method, format!("/v1/segments/{}/users/{user}", dice.pick(&SEGMENTS)), Value::Null)
            }
            19 => {
                let kind = dice.pick(&["organization", "user"]);
                let condition = json!({ kind: "seats", "less": dice.roll(20) });
                write(Method::PATCH, format!("/v1/segments/{}", dice.pick(&SEGMENTS)), json!({ "condition": condition }))
            }
            20 => write(Method::PATCH, format!("/v1/users/{user}"), dice.attributes()),
            21 => write(Method::PATCH, format!("/v1/organizations/{organization}"), dice.attributes()),
            22 => write(Method::POST, format!("/v1/flags/{flag}/{}", dice.pick(&["archive", "restore"])), Value::Null),
            23 => write(Method::DELETE, format!("/v1/flags/{flag}?confirm={flag}"), Value::Null),
            24 if dice.one_in(2) => write(Method::PUT, member, json!({ "permissions": [format!("p:{}", dice.roll(9))] })),
            24 => write(Method::DELETE, member, Value::Null),
            25 => {
                let to = ENVIRONMENTS.into_iter().find(|other| *other != environment);
                write(Method::POST, format!("{setting}/promote"), json!({ "to": to }))
            }
            26 => write(Method::POST, format!("{setting}/kill"), Value::Null),
            27 => write(Method::DELETE, format!("{setting}/kill"), Value::Null),
            28 => match dice.roll(5) {
                0 => write(Method::DELETE, format!("/v1/users/{user}"), Value::Null),
                1 => write(Method::DELETE, format!("/v1/organizations/{organization}"), Value::Null),
                2 => write(Method::POST, format!("/v1/environments/{environment}/min-revision"), Value::Null),
                3 => write(Method::DELETE, format!("/v1/flags/{flag}/overrides"), Value::Null),
                _ => {
                    let flags = json!({ "flags": [flag, dice.pick(&FLAGS).0] });
                    let projection = dice.pick(&[json!("all"), json!({ "tags": ["web"] }), flags]);
                    let body = json!({ "grace": dice.roll(60), "projection": projection });
                    write(Method::PATCH, format!("/v1/applications/{}", dice.pick(&self.applications)), body)
                }
            },
            _ => {
                let confirm = dice.pick(&["", "?confirm=later-changes", "?confirm=later-changes,drop-overrides"]);
                let revision = first.max(last - dice.roll(20) as i64);
                write(Method::POST, format!("/v1/changes/{revision}/revert{confirm}"), Value::Null)
            }
        }
    }

    /// Some change, of any kind; it may be refused, and then it is none.
    async fn change(&mut self) {
        match self.dice.roll(12) {
            0 if self.last_change > self.prepared => self.take_back().await,
            1 => {
                let writes: Vec<Value> = (0..=self.dice.roll(3))
                    .map(|_| self.write())
                    .filter(|write| !write.path.contains("urgent"))
                    .map(|write| json!({ "method": write.method.as_str(), "path": write.path, "body": write.body }))
                    .collect();
                let batch = write(Method::POST, "/v1/batch", json!({ "writes": writes }));
                self.counted.batches += usize::from(self.send(batch).await.status == 200);
            }
            _ => {
                let write = self.write();
                self.send(write).await;
            }
        }
    }

    async fn send(&mut self, write: Write) -> Answer {
        let request = self.admin.request(write.method, &write.path);
        let request = if write.body.is_null() { request } else { request.json(&write.body) };
        let answer = self.admin.send(request).await;
        assert!(answer.status < 500, "{}: {}", write.path, answer.text);
        if (200..300).contains(&answer.status) {
            let revision = answer.body["revision"].as_i64().expect("a revision");
            assert_eq!(revision, self.last_change + 1, "{}: {}", write.path, answer.text);
            self.last_change = revision;
            self.counted.changes += 1;
        }
        if write.path.contains("/revert") && answer.status != 200 {
            let code = answer.body["code"].as_str().expect("a code");
            assert!(IRREVERSIBLE.contains(&code), "{}", answer.text);
        }
        answer
    }

    /// Takes the last change back, after some time: now everybody gets what they would have got without it.
    async fn take_back(&mut self) {
        let (taken, before) = (self.last_change, self.last_change - 1);
        let revert = write(Method::POST, format!("/v1/changes/{taken}/revert?confirm=drop-overrides"), Value::Null);
        if self.send(revert).await.status != 200 {
            self.counted.reverts_refused += 1;
            return;
        }
        self.counted.reverts += 1;
        for _ in 0..3 {
            let place = (self.dice.pick(&ENVIRONMENTS), self.dice.pick(&USERS), self.organization());
            let (then, now) = (self.asked(place, &format!("&revision={before}")).await, self.asked(place, "").await);
            assert_eq!(served(&now), served(&then), "change {taken} was taken back, for {place:?}");
        }
    }

    fn organization(&mut self) -> Option<&'static str> {
        if self.dice.one_in(5) { None } else { Some(self.dice.pick(&ORGANIZATIONS)) }
    }

    /// Starts a session, or refreshes one.
    async fn issue(&mut self) {
        let older = self.issued.len().min(20);
        let (at, last_change) = (self.now, self.last_change);
        if older > 0 && self.dice.one_in(2) {
            let former = self.issued[self.issued.len() - 1 - self.dice.roll(older as u64) as usize].clone();
            let issuer = ["", "/env/staging"][former.place];
            let token = former.tokens["refresh_token"].as_str().expect("a refresh token");
            let answer = self.admin.refresh(issuer, &self.applications[former.place], token).await;
            assert!(answer.status < 500, "{}", answer.text);
            if answer.status == 200 {
                let carried = self.carried(former.place).await;
                self.issued.push(Issued { at, last_change, carried, tokens: answer.body, ..former });
            }
            return;
        }
        let (place, user, organization) = (self.dice.roll(2) as usize, self.dice.pick(&USERS), self.organization());
        let tokens = self.admin.session(&self.applications[place], user, organization).await;
        let carried = self.carried(place).await;
        self.issued.push(Issued { place, user, organization, at, last_change, carried, tokens });
    }

    /// The keys of the flags that an application's tokens carry now; `None` for all.
    async fn carried(&self, place: usize) -> Option<Vec<String>> {
        let application = self.admin.get(&format!("/v1/applications/{}", self.applications[place])).await.ok();
        let projection = &application["projection"];
        let listed = match (&projection["tags"], &projection["flags"]) {
            (Value::Null, Value::Null) => return None,
            (Value::Null, flags) => flags.clone(),
            _ => {
                let tagged = self.admin.get("/v1/flags?tag=web").await.ok();
                tagged["data"].as_array().expect("flags").iter().map(|flag| flag["key"].clone()).collect()
            }
        };
        Some(listed.as_array().expect("keys").iter().map(|key| key.as_str().expect("a key").to_owned()).collect())
    }

    async fn run(&mut self) {
        let most = 1 + self.dice.roll(CHANGES);
        for _ in 0..=self.dice.roll(most) {
            if self.dice.one_in(3) {
                let seconds = self.dice.roll(15) as i64;
                self.server.clock.advance(seconds);
                self.now += seconds;
            }
            self.change().await;
            if self.dice.one_in(3) {
                self.issue().await;
            }
        }
    }

    /// Every token agrees with what is answered about its moment.
    async fn check(&mut self) {
        let (mut looked_at, mut of_whole_seconds) = (0, 0);
        for issued in std::mem::take(&mut self.issued) {
            self.counted.tokens += 1;
            let claim = &issued.tokens["feature_flags"];
            let revision = issued.tokens["flags_rev"].as_i64().expect("a revision");
            let at = BEGINNING.plus_seconds(issued.at);
            let then = self.asked(issued.place(), &format!("&revision={revision}&at={at}")).await;
            assert_eq!(then["revision"], revision);
            assert_eq!(issued.claimed(&then), *claim, "{issued:?}");
            if !self.dice.one_in(4) {
                continue;
            }
            looked_at += 1;
            self.check_explanation(&issued, &then).await;
            let then = self.asked(issued.place(), &format!("&revision={}&at={at}", issued.last_change)).await;
            assert_eq!(
                then["revision"], revision,
                "the environment's revision, whatever changed in another since: {issued:?}"
            );
            assert_eq!(issued.claimed(&then), *claim);
            let second = self.asked(issued.place(), &format!("&at={at}")).await;
            let last_of_it = second["revision"].as_i64().expect("a revision");
            assert!(last_of_it >= revision, "{issued:?}");
            if last_of_it == revision {
                of_whole_seconds += 1;
                assert_eq!(issued.claimed(&second), *claim, "{issued:?}");
            }
        }
        assert!(of_whole_seconds * 4 >= looked_at, "few tokens had seen all of their second");
    }

    /// Long after, the token still says what its moment explains, and whatever is otherwise now has a cause.
    async fn check_explanation(&self, issued: &Issued, then: &Value) {
        let now = self.asked(issued.place(), "").await;
        let found = self.admin.post("/v1/explain", json!({ "token": issued.tokens["access_token"] })).await.ok();
        assert_eq!(found["token"]["revision"], issued.tokens["flags_rev"]);
        assert_eq!(found["now"]["revision"], now["revision"]);
        let left_out = then["flags"].as_object().expect("flags").keys().filter(|key| !issued.carries(key));
        assert_eq!(found["projected_out"], json!(left_out.collect::<Vec<_>>()), "{issued:?}");
        let carried_now = self.carried(issued.place).await;
        for (key, flag) in found["flags"].as_object().expect("flags") {
            assert_eq!(flag["carried"], issued.tokens["feature_flags"][key]["v"], "{issued:?}");
            assert_eq!(flag["carried"], flag["then"]["value"], "{issued:?}");
            let served_now = now["flags"].get(key).filter(|_| is_among(carried_now.as_deref(), key));
            assert_eq!(flag["now"], served_now.cloned().unwrap_or_default());
            let served = |moment: &str| (flag[moment]["value"].clone(), flag[moment]["reason"].clone());
            let caused = flag["causes"] != json!([]);
            assert_eq!(caused, served("then") != served("now"), "`{key}` of {issued:?}: {flag}");
        }
    }

    async fn asked(&self, place: (&str, &str, Option<&str>), parameters: &str) -> Value {
        let (environment, user, organization) = place;
        let organization = organization.map(|organization| format!("&organization={organization}")).unwrap_or_default();
        let user = user.replace('/', "%2F");
        self.admin.get(&format!("/v1/evaluate?environment={environment}&user={user}{organization}{parameters}")).await.ok()
    }
}

/// Whether a flag is among those carried; `None` for all.
fn is_among(carried: Option<&[String]>, key: &str) -> bool {
    carried.is_none_or(|carried| carried.iter().any(|carried| carried == key))
}

impl Issued {
    fn carries(&self, key: &str) -> bool {
        is_among(self.carried.as_deref(), key)
    }

    /// The claim that an evaluation amounts to.
    fn claimed(&self, answer: &Value) -> Value {
        let flags = answer["flags"].as_object().expect("flags").iter().filter(|(key, _)| self.carries(key));
        let entry = |(key, found): (&String, &Value)| {
            let letter = found["type"].as_str().expect("a type")[..1].to_owned();
            (key.clone(), json!({ "t": letter, "v": found["value"] }))
        };
        Value::Object(flags.map(entry).collect::<Map<_, _>>())
    }

    fn place(&self) -> (&'static str, &'static str, Option<&'static str>) {
        (ENVIRONMENTS[self.place], self.user, self.organization)
    }
}

/// What everybody gets and by which level, other than how it came to be.
fn served(answer: &Value) -> Value {
    let flags = answer["flags"].as_object().expect("flags");
    let entry = |(key, found): (&String, &Value)| (key.clone(), json!([found["type"], found["value"], found["reason"]]));
    Value::Object(flags.iter().map(entry).collect::<Map<_, _>>())
}

fn asked_for(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

on_both_engines! {
    async fn every_token_is_what_evaluate_answers_at_its_moment(engine: Engine) {
        let number = HISTORIES.into_iter().find(|(of, _)| *of == engine).expect("a number").1;
        let number = asked_for("FLAGBEARER_HISTORIES").unwrap_or(number);
        let seed = asked_for("FLAGBEARER_SEED").unwrap_or(0x431);
        let (begun, mut counted, mut left) = (std::time::Instant::now(), Counted::default(), number);
        while left > 0 {
            let mut history = History::start(engine, seed + left).await;
            for _ in 0..left.min(HISTORIES_OF_AN_INSTALLATION) {
                history.run().await;
                left -= 1;
            }
            history.check().await;
            let more = history.counted;
            counted.changes += more.changes;
            counted.tokens += more.tokens;
            counted.reverts += more.reverts;
            counted.reverts_refused += more.reverts_refused;
            counted.batches += more.batches;
        }
        println!("{number} histories in {:?}: {counted:?}", begun.elapsed());
        assert!(counted.reverts > counted.reverts_refused, "{counted:?}");
    }
}
