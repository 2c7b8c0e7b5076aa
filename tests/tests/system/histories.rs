//! For random histories: what a token carries is what `evaluate` answers at the token's `flags_rev` and `iat`, for ever.
//!
//! Several changes fall into one second. Of those a token may have seen some: the state of that second, all its own changes
//! included, is that of the second's last change, and so the claim of tokens issued after it.

use flagbearer_tests::{Api, BEGINNING, Engine, TestServer, on_both_engines};
use serde_json::{Map, Value, json};

/// Installations, and histories in each, one going on from where the other ended.
const INSTALLATIONS: u64 = 3;
const HISTORIES: u64 = 10;
/// The most changes of one history.
const CHANGES: u64 = 60;

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

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize]
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
#[derive(Debug)]
struct Issued {
    environment: &'static str,
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

struct History {
    server: TestServer,
    admin: Api,
    dice: Dice,
    applications: [String; 2],
    /// What each application's tokens carry.
    projections: [Value; 2],
    now: i64,
    last_change: i64,
    issued: Vec<Issued>,
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
        let projections = [json!("all"), json!("all")];
        Self { server, admin, dice: Dice(seed), applications, projections, now: 0, last_change, issued: Vec::new() }
    }

    /// Some change, of any kind; it may be refused, and then it is none.
    async fn change(&mut self) {
        let (dice, admin, now) = (&mut self.dice, &self.admin, self.now);
        let (flag, flag_type) = dice.pick(&FLAGS);
        let (user, organization) = (dice.pick(&USERS), dice.pick(&ORGANIZATIONS));
        let environment = dice.pick(&ENVIRONMENTS);
        let encoded = user.replace('/', "%2F");
        let override_body = |dice: &mut Dice| {
            let expires_at = if dice.one_in(2) { dice.instant(now, 1) } else { Value::Null };
            json!({ "value": dice.value(flag_type), "expires_at": expires_at })
        };
        let of_organization = format!("/v1/flags/{flag}/organizations/{organization}?environment={environment}");
        let of_user = format!("/v1/flags/{flag}/users/{encoded}");
        let member = format!("/v1/organizations/{organization}/members/{encoded}");
        let mut projected = None;
        let answer = match dice.roll(26) {
            0..=2 => {
                let body = json!({ "key": flag, "type": flag_type, "default_value": dice.value(flag_type) });
                admin.post("/v1/flags", body).await
            }
            3 => admin.patch(&format!("/v1/flags/{flag}"), json!({ "default_value": dice.value(flag_type) })).await,
            4 => {
                let body = json!({ "overrides": dice.pick(&[&["environment", "user"][..], &["organization"], &["environment", "organization", "user"]]) });
                admin.patch(&format!("/v1/flags/{flag}?confirm=drop-overrides"), body).await
            }
            5..=9 => {
                let rules: Vec<Value> = (0..dice.roll(4)).map(|_| dice.rule(flag_type, now)).collect();
                let mut body = json!({ "enabled": !dice.one_in(6), "rules": rules });
                if dice.one_in(2) {
                    body["value"] = dice.value(flag_type);
                }
                admin.put(&format!("/v1/flags/{flag}/environments/{environment}"), body).await
            }
            10..=11 => admin.put(&of_organization, override_body(dice)).await,
            12..=13 => admin.put(&of_user, override_body(dice)).await,
            14 => admin.delete(&of_organization).await,
            15 => admin.delete(&of_user).await,
            16 => {
                let path = format!("/v1/segments/{}/users/{encoded}", dice.pick(&SEGMENTS));
                if dice.one_in(2) { admin.put(&path, json!({})).await } else { admin.delete(&path).await }
            }
            17 => {
                let kind = dice.pick(&["organization", "user"]);
                let condition = json!({ kind: "seats", "less": dice.roll(20) });
                admin.patch(&format!("/v1/segments/{}", dice.pick(&SEGMENTS)), json!({ "condition": condition })).await
            }
            18 => admin.patch(&format!("/v1/users/{encoded}"), dice.attributes()).await,
            19 => admin.patch(&format!("/v1/organizations/{organization}"), dice.attributes()).await,
            20 => {
                let verb = dice.pick(&["archive", "restore"]);
                admin.post(&format!("/v1/flags/{flag}/{verb}"), Value::Null).await
            }
            21 => admin.delete(&format!("/v1/flags/{flag}?confirm={flag}")).await,
            23 => {
                let tags = dice.pick(&[&[][..], &["web"], &["app", "web"]]);
                admin.patch(&format!("/v1/flags/{flag}"), json!({ "tags": tags })).await
            }
            24 => {
                let (place, other) = (dice.roll(2) as usize, dice.pick(&FLAGS).0);
                let projection = [json!("all"), json!({ "tags": ["web"] }), json!({ "flags": [flag, other] })]
                    [dice.roll(3) as usize]
                    .clone();
                let path = format!("/v1/applications/{}", self.applications[place]);
                let answer = admin.patch(&path, json!({ "projection": projection })).await;
                projected = Some((place, projection));
                answer
            }
            22 if dice.one_in(2) => admin.put(&member, json!({ "permissions": [format!("p:{}", dice.roll(9))] })).await,
            22 => admin.delete(&member).await,
            _ => match dice.roll(3) {
                0 => admin.delete(&format!("/v1/users/{encoded}")).await,
                1 => admin.delete(&format!("/v1/organizations/{organization}")).await,
                _ => {
                    admin
                        .patch(&format!("/v1/applications/{}", self.applications[0]), json!({ "grace": dice.roll(60) }))
                        .await
                }
            },
        };
        assert!(answer.status < 500, "{}", answer.text);
        if let Some((place, projection)) = projected {
            self.projections[place] = projection;
        }
        if let Some(revision) = answer.body["revision"].as_i64() {
            assert_eq!(revision, self.last_change + 1, "{}", answer.text);
            self.last_change = revision;
        }
    }

    async fn issue(&mut self) {
        let place = self.dice.roll(2) as usize;
        let user = self.dice.pick(&USERS);
        let organization = if self.dice.one_in(5) { None } else { Some(self.dice.pick(&ORGANIZATIONS)) };
        let application = &self.applications[place];
        let tokens = self.admin.session(application, user, organization).await;
        let carried = self.carried(place).await;
        let (environment, at, last_change) = (ENVIRONMENTS[place], self.now, self.last_change);
        self.issued.push(Issued { environment, user, organization, at, last_change, carried, tokens });
    }

    /// The keys of the flags that an application's tokens carry now; `None` for all.
    async fn carried(&self, place: usize) -> Option<Vec<String>> {
        let listed = match (&self.projections[place]["tags"], &self.projections[place]["flags"]) {
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
        for _ in 0..=self.dice.roll(CHANGES) {
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
    async fn check(&self) {
        let mut of_whole_seconds = 0;
        for issued in &self.issued {
            let claim = &issued.tokens["feature_flags"];
            let revision = issued.tokens["flags_rev"].as_i64().expect("a revision");
            let at = BEGINNING.plus_seconds(issued.at);
            let then = self.asked(issued, &format!("&revision={revision}&at={at}")).await;
            assert_eq!(then["revision"], revision);
            assert_eq!(issued.claimed(&then), *claim, "{issued:?}");
            let then = self.asked(issued, &format!("&revision={}&at={at}", issued.last_change)).await;
            assert_eq!(
                then["revision"], revision,
                "the environment's revision, whatever changed in another since: {issued:?}"
            );
            assert_eq!(issued.claimed(&then), *claim);
            let second = self.asked(issued, &format!("&at={at}")).await;
            let last_of_it = second["revision"].as_i64().expect("a revision");
            assert!(last_of_it >= revision, "{issued:?}");
            if last_of_it == revision {
                of_whole_seconds += 1;
                assert_eq!(issued.claimed(&second), *claim, "{issued:?}");
            }
        }
        let carried_now = [self.carried(0).await, self.carried(1).await];
        for issued in &self.issued {
            let place = usize::from(issued.environment != ENVIRONMENTS[0]);
            self.check_explanation(issued, carried_now[place].as_deref()).await;
        }
        assert!(of_whole_seconds * 3 > self.issued.len(), "few tokens had seen all of their second");
    }

    /// Long after, the token still says what its moment explains, and whatever is otherwise now has a cause.
    async fn check_explanation(&self, issued: &Issued, carried_now: Option<&[String]>) {
        let now = self.asked(issued, "").await;
        let found = self.admin.post("/v1/explain", json!({ "token": issued.tokens["access_token"] })).await.ok();
        assert_eq!(found["token"]["revision"], issued.tokens["flags_rev"]);
        assert_eq!(found["now"]["revision"], now["revision"]);
        let at = BEGINNING.plus_seconds(issued.at);
        let then = self.asked(issued, &format!("&revision={}&at={at}", issued.tokens["flags_rev"])).await;
        let keys = then["flags"].as_object().expect("flags").keys();
        let left_out: Vec<_> = keys.filter(|key| !is_carried(issued.carried.as_deref(), key)).collect();
        assert_eq!(found["projected_out"], json!(left_out), "{issued:?}");
        for (key, flag) in found["flags"].as_object().expect("flags") {
            assert_eq!(flag["carried"], issued.tokens["feature_flags"][key]["v"], "{issued:?}");
            assert_eq!(flag["carried"], flag["then"]["value"], "{issued:?}");
            let now = now["flags"].get(key).filter(|_| is_carried(carried_now, key));
            assert_eq!(flag["now"], now.cloned().unwrap_or_default());
            let served = |moment: &str| (flag[moment]["value"].clone(), flag[moment]["reason"].clone());
            let caused = flag["causes"] != json!([]);
            assert_eq!(caused, served("then") != served("now"), "`{key}` of {issued:?}: {flag}");
        }
    }

    async fn asked(&self, issued: &Issued, parameters: &str) -> Value {
        let Issued { environment, user, organization, .. } = issued;
        let organization = organization.map(|organization| format!("&organization={organization}")).unwrap_or_default();
        self.admin.get(&format!("/v1/evaluate?environment={environment}&user={user}{organization}{parameters}")).await.ok()
    }
}

impl Issued {
    /// The claim that an evaluation amounts to.
    fn claimed(&self, answer: &Value) -> Value {
        let flags = answer["flags"].as_object().expect("flags");
        let carried = flags.iter().filter(|(key, _)| is_carried(self.carried.as_deref(), key));
        let entry = |(key, found): (&String, &Value)| {
            let letter = found["type"].as_str().expect("a type")[..1].to_owned();
            (key.clone(), json!({ "t": letter, "v": found["value"] }))
        };
        Value::Object(carried.map(entry).collect::<Map<_, _>>())
    }
}

fn is_carried(carried: Option<&[String]>, key: &str) -> bool {
    carried.is_none_or(|carried| carried.iter().any(|carried| carried == key))
}

on_both_engines! {
    async fn every_token_is_what_evaluate_answers_at_its_moment(engine: Engine) {
        let (mut issued, mut changes) = (0, 0);
        for installation in 0..INSTALLATIONS {
            let mut history = History::start(engine, 0x431 + installation).await;
            for _ in 0..HISTORIES {
                history.run().await;
            }
            history.check().await;
            issued += history.issued.len();
            changes += history.last_change;
        }
        println!("{} histories, {changes} changes, {issued} tokens", INSTALLATIONS * HISTORIES);
    }
}
