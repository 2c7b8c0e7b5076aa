//! A preview agrees with what then happens: for generated changes over ten thousand living sessions, every one of them is
//! evaluated before and after the write, and the answer is compared whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use flagbearer::timestamp::Timestamp;
use flagbearer_server::clock::Clock;
use flagbearer_server::store::{Connection, Membership, Standpoint, Store};
use flagbearer_tests::{Api, BEGINNING, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const SESSIONS: usize = 10_000;
const USERS: usize = 400;
const ORGANIZATIONS: usize = 30;
/// Only those with higher numbers are deleted, and no rule or override names them.
const LASTING_USERS: usize = 300;
const LASTING_ORGANIZATIONS: usize = 24;
const CHANGES: u64 = 24;
/// So many of each kind are listed.
const LISTED: usize = 100;
const ENVIRONMENTS: [&str; 2] = ["production", "staging"];
const FLAGS: [(&str, &str); 4] = [("bool", "boolean"), ("text", "string"), ("more", "boolean"), ("number", "integer")];
/// Seconds that the access tokens of each application live.
const TTL: [i64; 3] = [300, 600, 120];

/// SplitMix64: the same seed, the same changes.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }

    fn user(&mut self) -> String {
        user(self.roll(LASTING_USERS))
    }

    fn organization(&mut self) -> String {
        organization(self.roll(LASTING_ORGANIZATIONS))
    }

    fn value(&mut self, flag_type: &str) -> Value {
        match flag_type {
            "boolean" => json!(self.roll(2) == 0),
            "string" => json!(self.pick(&["red", "green", "blue"])),
            _ => json!(self.roll(4)),
        }
    }

    fn audience(&mut self) -> Value {
        match self.roll(5) {
            0 => json!({ "type": "all" }),
            1 => json!({ "type": "some", "users": [self.user(), self.user()] }),
            2 => json!({ "type": "some", "organizations": [self.organization(), self.organization()] }),
            _ => json!({ "type": "some", "segments": ["paying"] }),
        }
    }

    fn setting(&mut self, flag_type: &str) -> Value {
        let rules = (0..self.roll(3)).map(|_| {
            let mut rule = json!({ "audience": self.audience(), "serve": { "value": self.value(flag_type) } });
            if self.roll(2) == 0 {
                rule["rollout"] = json!({ "by": self.pick(&["user", "organization"]), "percentage": self.roll(101) });
            }
            rule
        });
        let rules: Vec<Value> = rules.collect();
        json!({ "enabled": self.roll(6) != 0, "rules": rules })
    }

    fn condition(&mut self) -> Value {
        let seats = json!({ "user": "seats", "greater": self.roll(20) });
        let plan = json!({ "organization": "plan", "equals": self.pick(&["free", "paid"]) });
        json!({ self.pick(&["all", "any"]): [seats, plan] })
    }

    /// A write: method, path and document.
    fn change(&mut self) -> (Method, String, Value) {
        let (key, flag_type) = self.pick(&FLAGS);
        let environment = self.pick(&ENVIRONMENTS);
        let expires_at =
            [json!(null), json!(BEGINNING.plus_seconds(self.roll(90) as i64 + 3600).to_string())][self.roll(2)].clone();
        match self.roll(16) {
            0 | 1 => (Method::PUT, format!("/v1/flags/{key}/environments/{environment}"), self.setting(flag_type)),
            2 => {
                let body = json!({ "value": self.value(flag_type), "expires_at": expires_at });
                (Method::PUT, format!("/v1/flags/{key}/users/{}", self.user()), body)
            }
            3 => {
                let path = format!("/v1/flags/{key}/organizations/{}?environment={environment}", self.organization());
                (Method::PUT, path, json!({ "value": self.value(flag_type), "expires_at": expires_at }))
            }
            4 => (Method::DELETE, format!("/v1/flags/{key}/overrides"), Value::Null),
            5 => (Method::PATCH, "/v1/segments/paying".to_owned(), json!({ "condition": self.condition() })),
            6 => (Method::PUT, format!("/v1/segments/paying/organizations/{}", self.organization()), Value::Null),
            7 => {
                let body = json!({ "attributes": { "seats": self.roll(20) } });
                (Method::PATCH, format!("/v1/users/{}", self.user()), body)
            }
            8 => {
                let body = json!({ "attributes": { "plan": self.pick(&["free", "paid"]) } });
                (Method::PATCH, format!("/v1/organizations/{}", self.organization()), body)
            }
            9 => (Method::PATCH, format!("/v1/flags/{key}"), json!({ "default_value": self.value(flag_type) })),
            10 => (Method::POST, format!("/v1/flags/{key}/{}", self.pick(&["archive", "restore"])), json!({})),
            11 => {
                let gone = user(LASTING_USERS + self.roll(USERS - LASTING_USERS));
                (Method::DELETE, format!("/v1/users/{gone}"), Value::Null)
            }
            12 => {
                let gone = organization(LASTING_ORGANIZATIONS + self.roll(ORGANIZATIONS - LASTING_ORGANIZATIONS));
                (Method::DELETE, format!("/v1/organizations/{gone}"), Value::Null)
            }
            13 => {
                let number = self.roll(USERS);
                let path = format!("/v1/organizations/{}/members/{}", organization(number % ORGANIZATIONS), user(number));
                match self.roll(2) {
                    0 => (Method::DELETE, path, Value::Null),
                    _ => (Method::PUT, path, json!({ "roles": ["admin"], "permissions": ["all"] })),
                }
            }
            14 => (Method::POST, format!("/v1/flags/{key}/environments/{environment}/kill"), json!({})),
            _ => {
                let writes: Vec<Value> = (0..3)
                    .map(|_| {
                        loop {
                            let (method, path, body) = self.change();
                            // A batch holds none; and what one write takes away the next must not miss.
                            if method != Method::DELETE && path != "/v1/batch" && !path.ends_with("/kill") {
                                return json!({ "method": method.as_str(), "path": path, "body": body });
                            }
                        }
                    })
                    .collect();
                (Method::POST, "/v1/batch".to_owned(), json!({ "writes": writes }))
            }
        }
    }
}

fn user(number: usize) -> String {
    format!("user_{number:03}")
}

fn organization(number: usize) -> String {
    format!("org_{number:02}")
}

/// A session as the test knows it.
#[derive(Debug, Clone)]
struct Session {
    id: String,
    application: usize,
    user: String,
    organization: Option<String>,
    issued_at: Timestamp,
}

impl Session {
    fn environment(&self) -> &'static str {
        ENVIRONMENTS[usize::from(self.application == 2)]
    }
}

/// What the next token of somebody shows.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    flags: BTreeMap<String, Value>,
    membership: Option<Membership>,
}

/// Everybody at one revision and one instant.
#[derive(Debug, Clone)]
struct State {
    now: Timestamp,
    /// By environment, user and organization.
    shown: BTreeMap<(&'static str, Option<String>, Option<String>), Shown>,
    living: BTreeSet<String>,
    /// Users and organizations.
    directory: [BTreeSet<String>; 2],
}

struct Installation {
    server: TestServer,
    store: Store,
    applications: Vec<String>,
    sessions: Vec<Session>,
    /// Token responses of sessions that were really started, by the session's id.
    real: BTreeMap<String, Value>,
}

impl Installation {
    async fn start(engine: flagbearer_tests::Engine) -> Self {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (key, flag_type) in FLAGS {
            let default = match flag_type {
                "boolean" => json!(false),
                "string" => json!("red"),
                _ => json!(0),
            };
            let flag = json!({ "key": key, "type": flag_type, "default_value": default });
            admin.post("/v1/flags", flag).await.ok();
        }
        let condition = json!({ "organization": "plan", "equals": "paid" });
        admin.post("/v1/segments", json!({ "key": "paying", "condition": condition })).await.ok();
        let mut applications = Vec::new();
        for (place, ttl) in TTL.into_iter().enumerate() {
            let environment = ENVIRONMENTS[usize::from(place == 2)];
            let body = json!({ "name": "app", "environment": environment, "public": true, "access_token_ttl": ttl });
            let created = admin.post("/v1/applications", body).await.ok();
            applications.push(created["client_id"].as_str().expect("a client id").to_owned());
        }
        let sessions = (0..SESSIONS).map(seeded).collect();
        let store = Store::open(&server.database.url, server.clock.clone()).await.expect("the database opens");
        let mut installation = Self { server, store, applications, sessions, real: BTreeMap::new() };
        installation.seed().await;
        installation.begin_real_sessions().await;
        installation
    }

    /// Stores the directory and the sessions at once; one by one they would take minutes.
    async fn seed(&self) {
        let now = BEGINNING.milliseconds();
        let values = |count: usize, row: &dyn Fn(usize) -> String| (0..count).map(row).collect::<Vec<_>>().join(", ");
        let mut sql = String::new();
        let organizations = values(ORGANIZATIONS, &|number| {
            let plan = ["free", "paid"][number % 2];
            format!("('{0}', '{0}', '{{\"plan\":\"{plan}\"}}', 1, {now})", organization(number))
        });
        writeln!(sql, "INSERT INTO organizations (id, name, attributes, revision, created_at) VALUES {organizations};")
            .unwrap();
        let users = values(USERS, &|number| format!("('{}', '{{\"seats\":{}}}', 1, {now})", user(number), number % 20));
        writeln!(sql, "INSERT INTO users (id, attributes, revision, created_at) VALUES {users};").unwrap();
        let members: BTreeSet<_> =
            self.sessions.iter().filter_map(|session| Some((session.organization.as_deref()?, &*session.user))).collect();
        for (organization, user) in members {
            writeln!(sql, "INSERT INTO memberships VALUES ('{organization}', '{user}', '[\"member\"]', '[]', 1);").unwrap();
        }
        let end = BEGINNING.plus_seconds(86_400).milliseconds();
        let rows = self.sessions.iter().map(|session| {
            let organization = session.organization.as_ref().map_or("NULL".to_owned(), |id| format!("'{id}'"));
            let at = session.issued_at.milliseconds();
            let application = &self.applications[session.application];
            format!(
                "('{}', '{}', '{application}', '{}', {organization}, 1, {at}, {end}, {end}, {at})",
                session.id,
                session.environment(),
                session.user
            )
        });
        writeln!(
            sql,
            "INSERT INTO sessions (id, environment, application, user_id, organization, generation, auth_time, expires_at, \
             absolute_expires_at, created_at) VALUES {};",
            rows.collect::<Vec<_>>().join(", ")
        )
        .unwrap();
        self.server.database.execute(&format!("BEGIN; {sql} COMMIT;")).await;
    }

    async fn begin_real_sessions(&mut self) {
        for number in 0..6 {
            let (user, organization) = (user(number * 50), organization(number * 50 % ORGANIZATIONS));
            let application = number % 3;
            let tokens = self.server.admin().session(&self.applications[application], &user, Some(&organization)).await;
            let id = tokens["session_id"].as_str().expect("a session").to_owned();
            self.real.insert(id.clone(), tokens);
            let organization = Some(organization);
            self.sessions.push(Session { id, application, user, organization, issued_at: BEGINNING });
        }
        self.sessions.sort_by(|one, other| one.id.cmp(&other.id));
    }

    async fn texts(&self, sql: &str) -> BTreeSet<String> {
        self.server.database.texts(sql).await.into_iter().collect()
    }

    async fn living(&self) -> BTreeSet<String> {
        self.texts("SELECT id FROM sessions WHERE revoked_at IS NULL").await
    }

    async fn state(&self) -> State {
        let now = self.server.clock.now();
        let directory = [self.texts("SELECT id FROM users").await, self.texts("SELECT id FROM organizations").await];
        let mut connection = self.store.read().await.expect("a connection");
        let mut shown = BTreeMap::new();
        let alone = |kind: usize| (0..[USERS, ORGANIZATIONS][kind]).map(move |number| [user, organization][kind](number));
        let subjects = alone(0).map(|id| (Some(id), None)).chain(alone(1).map(|id| (None, Some(id))));
        let subjects = subjects.flat_map(|(user, organization)| {
            ENVIRONMENTS.map(|environment| (environment, user.clone(), organization.clone()))
        });
        let of_sessions = self.sessions.iter();
        let of_sessions =
            of_sessions.map(|session| (session.environment(), Some(session.user.clone()), session.organization.clone()));
        for asker in subjects.chain(of_sessions).collect::<BTreeSet<_>>() {
            let found = self.shown(&mut connection, &asker, now).await;
            shown.insert(asker, found);
        }
        State { now, shown, living: self.living().await, directory }
    }

    async fn shown(
        &self,
        connection: &mut Connection,
        (environment, user, organization): &(&'static str, Option<String>, Option<String>),
        now: Timestamp,
    ) -> Shown {
        let standpoint = Standpoint { environment, user: user.as_deref(), organization: organization.as_deref() };
        let snapshot = self.store.snapshot_in(connection, standpoint).await.expect("a snapshot");
        let flags = snapshot.evaluations(now);
        let flags = flags.iter().map(|found| (found.flag.key.to_string(), found.value.to_json())).collect();
        Shown { flags, membership: snapshot.facts.membership }
    }

    /// What a preview has to say, from what was before and what is after.
    fn expected(&self, before: &State, after: &State) -> Value {
        let mut document = json!({});
        for (kind, name) in ["user", "organization"].into_iter().enumerate() {
            let (mut count, mut all) = (0, Vec::new());
            for id in &before.directory[kind] {
                let known = all.len();
                for environment in ENVIRONMENTS {
                    let asker = [(Some(id.clone()), None), (None, Some(id.clone()))][kind].clone();
                    let asker = (environment, asker.0, asker.1);
                    for mut change in flags_between(&before.shown[&asker], &after.shown[&asker]) {
                        (change[name], change["environment"]) = (json!(id), json!(environment));
                        all.push(change);
                    }
                }
                count += usize::from(all.len() > known);
            }
            document[format!("{name}_count")] = json!(count);
            if all.len() > LISTED {
                document[format!("{name}s_truncated")] = json!(true);
            }
            all.truncate(LISTED);
            document[format!("{name}s")] = json!(all);
        }
        let (mut count, mut all, mut by) = (0, Vec::new(), None);
        let mut of_applications = [0; 3];
        for session in self.sessions.iter().filter(|session| before.living.contains(&session.id)) {
            let asker = (session.environment(), Some(session.user.clone()), session.organization.clone());
            let mut changes = if after.living.contains(&session.id) {
                between(&before.shown[&asker], &after.shown[&asker])
            } else {
                vec![json!({ "ends": true })]
            };
            if changes.is_empty() {
                continue;
            }
            count += 1;
            of_applications[session.application] += 1;
            let expires_at = session.issued_at.plus_seconds(TTL[session.application]);
            by = by.max((expires_at > before.now).then_some(expires_at));
            for change in &mut changes {
                change["session_id"] = json!(session.id);
                change["application"] = json!(self.applications[session.application]);
                (change["user"], change["organization"]) = (json!(session.user), json!(session.organization));
                change["environment"] = json!(session.environment());
            }
            all.extend(changes);
        }
        document["sessions"] = json!({ "count": count, "turned_over_by": by });
        if all.len() > LISTED {
            document["sessions"]["truncated"] = json!(true);
        }
        all.truncate(LISTED);
        document["sessions"]["first"] = json!(all);
        document["applications"] = self.passing(before, after, of_applications);
        document
    }

    /// The applications whose tokens carry other flags than before: here those that were archived or restored.
    fn passing(&self, before: &State, after: &State, sessions: [usize; 3]) -> Value {
        let mut passing = BTreeMap::new();
        for (place, client_id) in self.applications.iter().enumerate() {
            let environment = ENVIRONMENTS[usize::from(place == 2)];
            let anybody = (environment, None, Some(organization(0)));
            let [was, is] = [before, after].map(|state| state.shown[&anybody].flags.keys().collect::<BTreeSet<_>>());
            let (entering, leaving): (Vec<_>, Vec<_>) = (is.difference(&was).collect(), was.difference(&is).collect());
            if was != is {
                let told = json!({
                    "application": client_id, "name": "app", "environment": environment,
                    "entering": entering, "leaving": leaving, "sessions": sessions[place],
                });
                passing.insert(client_id, told);
            }
        }
        passing.into_values().collect()
    }

    /// Refreshes what was really started, and compares with what was evaluated.
    async fn refresh(&mut self, state: &State) {
        let admin = self.server.admin();
        self.real.retain(|id, _| state.living.contains(id));
        for session in &mut self.sessions {
            let Some(tokens) = self.real.get_mut(&session.id) else { continue };
            let issuer = if session.environment() == "staging" { "/env/staging" } else { "" };
            *tokens = admin.refreshed(issuer, &self.applications[session.application], tokens).await;
            let carried = tokens["feature_flags"].as_object().expect("flags").iter();
            let carried: BTreeMap<String, Value> = carried.map(|(key, flag)| (key.clone(), flag["v"].clone())).collect();
            let asker = (session.environment(), Some(session.user.clone()), session.organization.clone());
            assert_eq!(carried, state.shown[&asker].flags);
            session.issued_at = state.now;
        }
    }
}

/// The session with this number: twenty-five of each user, in two organizations or none, of all applications.
fn seeded(number: usize) -> Session {
    let (of_user, turn) = (number % USERS, number / USERS);
    let organization = match turn % 3 {
        0 => None,
        1 => Some(organization(of_user % ORGANIZATIONS)),
        _ => Some(organization((of_user * 7 + 3) % ORGANIZATIONS)),
    };
    Session {
        // In another order than that of users.
        id: format!("{:032x}", (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
        application: turn / 3 % 3,
        user: user(of_user),
        organization,
        issued_at: BEGINNING.plus_seconds(-((number % 500) as i64)),
    }
}

fn flags_between(before: &Shown, after: &Shown) -> Vec<Value> {
    let keys: BTreeSet<&String> = before.flags.keys().chain(after.flags.keys()).collect();
    let differing = keys.into_iter().filter(|key| before.flags.get(*key) != after.flags.get(*key));
    differing.map(|key| json!({ "flag": key, "from": before.flags.get(key), "to": after.flags.get(key) })).collect()
}

fn between(before: &Shown, after: &Shown) -> Vec<Value> {
    let mut changes = flags_between(before, after);
    if let (Some(was), Some(is)) = (&before.membership, &after.membership) {
        for (claim, from, to) in [("roles", &was.roles, &is.roles), ("permissions", &was.permissions, &is.permissions)] {
            if from != to {
                changes.push(json!({ "claim": claim, "from": from, "to": to }));
            }
        }
    }
    changes
}

async fn send(admin: &Api, (method, path, body): &(Method, String, Value), preview: bool) -> flagbearer_tests::Answer {
    let mut path = path.clone();
    if preview {
        path.push_str(if path.contains('?') { "&preview=true" } else { "?preview=true" });
    }
    let request = admin.request(method.clone(), &path);
    admin.send(if body.is_null() { request } else { request.json(body) }).await
}

on_both_engines! {
    async fn a_preview_agrees_with_what_then_happens_to_ten_thousand_sessions(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let admin = installation.server.admin();
        let mut dice = Dice(7);
        let mut before = installation.state().await;
        let (mut made, mut changed) = (0, 0);
        while made < CHANGES {
            let change = dice.change();
            let foreseen = send(&admin, &change, true).await;
            if foreseen.status >= 300 {
                // Somebody or something that is gone by now: the write itself is refused for the same reason.
                let refused = send(&admin, &change, false).await;
                assert_eq!((refused.status, &refused.body["code"]), (foreseen.status, &foreseen.body["code"]), "{change:?}");
                continue;
            }
            let mut foreseen = foreseen.body;
            made += 1;
            if made % 5 == 0 {
                // An override expires, a token too.
                installation.server.clock.advance(1000);
                before = installation.state().await;
                foreseen = send(&admin, &change, true).await.ok();
            }
            assert_eq!(installation.living().await, before.living, "a preview ended sessions: {change:?}");

            let done = send(&admin, &change, false).await.ok();

            let after = installation.state().await;
            let mut expected = installation.expected(&before, &after);
            expected["base_revision"] = json!(done["revision"].as_i64().expect("a revision") - 1);
            expected["at"] = json!(before.now);
            for name in ["effect", "holdouts", "holdouts_truncated"] {
                if let Some(said) = done.get(name) {
                    expected[name] = said.clone();
                }
            }
            assert_eq!(foreseen, expected, "{change:?}");
            changed += usize::from(expected["sessions"]["count"] != 0);
            installation.refresh(&after).await;
            before = after;
        }
        assert!(changed * 3 > CHANGES as usize, "many changes are to change something: {changed}");
    }
}
