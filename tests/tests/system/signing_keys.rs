//! `/v1/signing-keys`: a rotation that nobody notices, an emergency that everybody does, and who may do either.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flagbearer::error::{Error, ErrorCode};
use flagbearer::flag_set::FlagSet;
use flagbearer::reader::{KeySource, Poll, Reader, Response, Verdict};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{KeySet, Verifier, VerifierOptions};
use flagbearer_server::clock::Clock;
use flagbearer_server::config::Config;
use flagbearer_tests::{Answer, Api, BEGINNING, Engine, TestServer, config, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// For how long a key is published before it signs.
const AHEAD: i64 = 15 * 60;
/// For how long the last token that a key may have signed is good: the longest lifetime, and the largest leeway.
const AFTER: i64 = 86_400 + 60;

async fn rotate(api: &Api, more: Value) -> Answer {
    let mut body = json!({ "environment": "production" });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    api.post("/v1/signing-keys/rotate", body).await
}

/// The EdDSA keys of production, which the tests' applications use, the newest first.
async fn keys(api: &Api) -> Vec<Value> {
    let listed = api.get("/v1/signing-keys?environment=production").await.ok();
    let keys = listed["data"].as_array().expect("keys");
    keys.iter().filter(|key| key["algorithm"] == "EdDSA").cloned().collect()
}

fn states(keys: &[Value]) -> Vec<&str> {
    keys.iter().map(|key| key["state"].as_str().expect("a state")).collect()
}

fn kid(key: &Value) -> String {
    key["kid"].as_str().expect("a kid").to_owned()
}

/// The published `kid`s of an issuer, in order.
async fn published(api: &Api, issuer: &str) -> Vec<String> {
    let found = api.get(&format!("{issuer}/.well-known/jwks.json")).await.ok();
    found["keys"].as_array().expect("keys").iter().map(kid).collect()
}

fn access_token(tokens: &Value) -> &str {
    tokens["access_token"].as_str().expect("an access token")
}

/// Which key signed a token.
fn signed_by(tokens: &Value) -> String {
    use base64::Engine as _;
    let (header, _) = access_token(tokens).split_once('.').expect("a header");
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).expect("base64url");
    kid(&serde_json::from_slice(&header).expect("JSON"))
}

fn verifier(issuer: &str, application: &str) -> Verifier {
    Verifier::new(&VerifierOptions { issuer, audience: Some(application), ..VerifierOptions::default() }).expect("it")
}

/// A backend with the core's reader, which gets its keys at one of the replicas and never before it has to.
struct Backend {
    reader: Reader,
    replica: Api,
    fetches: AtomicUsize,
}

impl Backend {
    fn new(issuer: &str, application: &str, replica: Api) -> Self {
        let source = KeySource::Url(format!("{}/.well-known/jwks.json", replica.url));
        let reader = Reader::new(verifier(issuer, application), source).expect("a reader");
        Self { reader, replica, fetches: AtomicUsize::new(0) }
    }

    async fn verify(&self, token: &str, now: Timestamp) -> Result<FlagSet, Error> {
        loop {
            if let Verdict::Verified(flags) = self.reader.verify(token, now)? {
                return Ok(flags);
            }
            match self.reader.poll(now) {
                Poll::Fetch(fetch) => {
                    self.fetches.fetch_add(1, Ordering::SeqCst);
                    let keys = self.replica.get("/.well-known/jwks.json").await;
                    self.reader.receive(fetch.id, Response::Body(keys.text.as_bytes()), now);
                }
                _ => tokio::task::yield_now().await,
            }
        }
    }
}

/// Two replicas; on SQLite, which has one server, that one twice.
async fn replicas(engine: Engine) -> [Arc<TestServer>; 2] {
    let one = Arc::new(TestServer::start(engine).await);
    let other = match engine {
        Engine::Sqlite => one.clone(),
        Engine::Postgres => Arc::new(one.replica().await),
    };
    [one, other]
}

on_both_engines! {
    async fn a_key_is_published_before_it_signs_and_until_its_last_token_has_expired(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("production").await;
        let mut tokens = admin.session(&application, "alice", None).await;
        let first = signed_by(&tokens);
        assert_eq!(states(&keys(&admin).await), ["signing"]);

        let rotated = rotate(&admin, json!({ "algorithm": "EdDSA" })).await;
        assert_eq!(rotated.status, 201);
        let rotated = rotated.ok();
        let at = |seconds: i64| json!(BEGINNING.plus_seconds(seconds));
        let [new, old] = rotated["keys"].as_array().expect("keys").as_slice() else { panic!("{rotated}") };
        let expected = json!({
            "kid": new["kid"], "environment": "production", "algorithm": "EdDSA", "state": "published", "created_at": at(0),
            "signs_from": at(AHEAD), "retired_at": null, "published_until": null,
        });
        assert_eq!(*new, expected);
        let expected = json!({
            "kid": first, "environment": "production", "algorithm": "EdDSA", "state": "signing", "created_at": at(0),
            "signs_from": at(0), "retired_at": at(AHEAD), "published_until": at(AHEAD + AFTER),
        });
        assert_eq!(*old, expected);
        assert_eq!(keys(&admin).await, [new.clone(), old.clone()]);
        let second = kid(new);

        // The key that signs comes first: a reader that knows no better takes that one.
        let published_now = published(&admin, "").await;
        assert_eq!(published_now.len(), 4);
        assert!(published_now[..3].contains(&first) && published_now[3] == second, "{published_now:?}");
        assert_eq!(published(&admin, "").await, published_now);

        server.clock.advance(AHEAD - 1);
        tokens = admin.refreshed("", &application, &tokens).await;
        assert_eq!(signed_by(&tokens), first, "not a second before its time");
        server.clock.advance(1);
        let last = tokens;
        let tokens = admin.refreshed("", &application, &last).await;
        assert_eq!(signed_by(&tokens), second);
        assert_eq!(signed_by(&admin.session(&application, "bob", None).await), second);
        assert_eq!(states(&keys(&admin).await), ["signing", "retired"]);
        let published_now = published(&admin, "").await;
        assert!(published_now[..3].contains(&second) && published_now[3] == first, "{published_now:?}");

        server.clock.advance(AFTER - 1);
        assert!(published(&admin, "").await.contains(&first));
        server.clock.advance(1);
        assert_eq!(published(&admin, "").await.len(), 3);
        assert!(!published(&admin, "").await.contains(&first));
        assert_eq!(states(&keys(&admin).await), ["signing", "retired"]);
        let explained = admin.post("/v1/explain", json!({ "token": access_token(&last) })).await.ok();
        assert_eq!(explained["token"]["session_id"], last["session_id"], "its token is explained for ever");
    }

    async fn each_algorithm_and_each_environment_has_keys_of_its_own(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let application = admin.application("staging").await;
        let revisions = [admin.revision("production").await, admin.revision("staging").await];
        let staging = published(&admin, "/env/staging").await;
        let rotated = rotate(&admin, json!({})).await.ok();
        let rotated = rotated["keys"].as_array().expect("keys");
        let algorithms: BTreeSet<_> = rotated.iter().map(|key| key["algorithm"].to_string()).collect();
        assert_eq!((rotated.len(), algorithms.len()), (6, 3));
        assert_eq!(published(&admin, "").await.len(), 6);
        assert_eq!(published(&admin, "/env/staging").await, staging);
        server.clock.advance(AHEAD);
        assert!(staging.contains(&signed_by(&admin.session(&application, "alice", None).await)));
        let all = admin.get("/v1/signing-keys").await.ok();
        assert_eq!(all["data"].as_array().map(Vec::len), Some(9));

        // It is logged, and no token says anything else because of it.
        assert_eq!([admin.revision("production").await, admin.revision("staging").await], revisions);
        let change = admin.get("/v1/changes?limit=1").await.ok()["data"][0].clone();
        assert_eq!(change["environments"], json!(["production"]));
        let edits = change["edits"].as_array().expect("edits");
        assert_eq!(edits.len(), 6);
        assert!(edits.iter().all(|edit| edit["entity"] == "signing_key" && edit["environment"] == "production"));
        let place = format!("/v1/evaluate?environment=production&revision={}", change["revision"]);
        assert_eq!(admin.get(&place).await.ok()["revision"], revisions[0]);
    }

    async fn a_second_rotation_waits_for_the_first(engine: Engine) {
        let [one, other] = replicas(engine).await;
        let mut racing = JoinSet::new();
        for number in 0..8 {
            let api = [&one, &other][number % 2].admin();
            racing.spawn(async move { rotate(&api, json!({ "algorithm": "RS256" })).await });
        }
        let mut won = 0;
        while let Some(answer) = racing.join_next().await {
            let answer = answer.expect("it is answered");
            if answer.status == 201 {
                won += 1;
            } else {
                let problem = answer.refused(409, "ROTATION_PENDING");
                assert_eq!(problem["listing"][0]["signs_from"], json!(BEGINNING.plus_seconds(AHEAD)));
            }
        }
        assert_eq!(won, 1);
        let admin = one.admin();
        let listed = admin.get("/v1/signing-keys?environment=production").await.ok();
        let pending = listed["data"].as_array().expect("keys").iter().filter(|key| key["state"] == "published");
        assert_eq!(pending.count(), 1);
        rotate(&admin, json!({})).await.refused(409, "ROTATION_PENDING");
        assert_eq!(published(&admin, "").await.len(), 4, "of the other algorithms neither");
        rotate(&admin, json!({ "algorithm": "ES256" })).await.ok();
        one.clock.advance(AHEAD);
        rotate(&admin, json!({ "algorithm": "RS256" })).await.ok();
    }

    async fn three_rotations_under_load_refuse_no_token(engine: Engine) {
        const USERS: usize = 8;
        const STEP: i64 = 30;
        let servers = replicas(engine).await;
        let admin = servers[0].admin();
        let application = admin.application("production").await;
        let backends = servers.each_ref().map(|server| Arc::new(Backend::new(&servers[0].url, &application, server.admin())));
        let (clock, done) = (servers[0].clock.clone(), Arc::new(AtomicBool::new(false)));
        let rounds: Arc<[AtomicUsize; USERS]> = Arc::default();
        // A reader like those that keep keys for a while and do not look for one that they lack.
        let jwks = admin.get("/.well-known/jwks.json").await;
        let patient = Arc::new(std::sync::RwLock::new(KeySet::parse(jwks.text.as_bytes()).expect("keys")));
        let mut users = JoinSet::new();
        for number in 0..USERS {
            let apis = servers.each_ref().map(|server| server.admin());
            let (backends, application, clock) = (backends.clone(), application.clone(), clock.clone());
            let (rounds, done, patient) = (rounds.clone(), done.clone(), patient.clone());
            let verifier = verifier(&servers[0].url, &application);
            users.spawn(async move {
                let mut tokens = apis[0].session(&application, &format!("user_{number}"), None).await;
                let (mut living, mut kids, mut turn) = (VecDeque::new(), BTreeSet::new(), number);
                while !done.load(Ordering::SeqCst) {
                    turn += 1;
                    let asked = clock.now();
                    tokens = apis[turn % 2].refreshed("", &application, &tokens).await;
                    kids.insert(signed_by(&tokens));
                    living.push_back((access_token(&tokens).to_owned(), asked));
                    // A round takes two steps of the clock at most; none of these expires meanwhile.
                    while living.front().is_some_and(|(_, at)| clock.now() >= at.plus_seconds(300 - 2 * STEP)) {
                        living.pop_front();
                    }
                    for (token, _) in living.iter().step_by(4).chain(living.back()) {
                        let now = clock.now();
                        for backend in &backends {
                            backend.verify(token, now).await.expect("no token is refused");
                        }
                        let keys = patient.read().expect("not poisoned");
                        verifier.verify(token, &keys, now).expect("not even by who fetches keys seldom");
                    }
                    rounds[number].fetch_add(1, Ordering::SeqCst);
                }
                kids
            });
        }
        let mut patience = 0;
        for step in 0..3 * 40 {
            // Every 20 minutes; at the other replica every other time.
            if step % 40 == 1 {
                rotate(&servers[step / 40 % 2].admin(), json!({})).await.ok();
            }
            // The clock goes on when everybody has come round.
            let before = rounds.each_ref().map(|of_one| of_one.load(Ordering::SeqCst));
            for (of_one, before) in rounds.iter().zip(before) {
                while of_one.load(Ordering::SeqCst) == before {
                    tokio::task::yield_now().await;
                    if let Some(failed) = users.try_join_next() {
                        failed.expect("no user fails");
                    }
                }
            }
            clock.advance(STEP);
            patience += STEP;
            if patience >= AHEAD - 2 * STEP {
                let jwks = admin.get("/.well-known/jwks.json").await;
                *patient.write().expect("not poisoned") = KeySet::parse(jwks.text.as_bytes()).expect("keys");
                patience = 0;
            }
        }
        done.store(true, Ordering::SeqCst);
        while let Some(kids) = users.join_next().await {
            assert_eq!(kids.expect("no user fails").len(), 4, "each met every key");
        }
        println!("{} refreshes", rounds.iter().map(|of_one| of_one.load(Ordering::SeqCst)).sum::<usize>());
    }

    async fn after_an_emergency_no_replica_signs_with_the_former_key(engine: Engine) {
        let servers = replicas(engine).await;
        let admin = servers[0].admin();
        let application = admin.application("production").await;
        let backends = servers.each_ref().map(|server| Arc::new(Backend::new(&servers[0].url, &application, server.admin())));
        // One that retired, one that signs, one that is to sign: whoever has one may have all.
        rotate(&admin, json!({})).await.ok();
        servers[0].clock.advance(AHEAD);
        rotate(&admin, json!({})).await.ok();
        let former: BTreeSet<String> = published(&admin, "").await.into_iter().collect();
        assert_eq!(former.len(), 9);
        let stolen = admin.session(&application, "victim", None).await;
        for backend in &backends {
            backend.verify(access_token(&stolen), servers[0].clock.now()).await.expect("still good");
        }

        let (acknowledged, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let after = Arc::new(AtomicUsize::new(0));
        let mut users = JoinSet::new();
        for number in 0..8 {
            let apis = servers.each_ref().map(|server| server.admin());
            let (application, acknowledged, done) = (application.clone(), acknowledged.clone(), done.clone());
            let after = after.clone();
            users.spawn(async move {
                let user = format!("user_{number}");
                let mut tokens = apis[number % 2].session(&application, &user, None).await;
                let (mut shown, mut turn) = (Vec::new(), number);
                while !done.load(Ordering::SeqCst) {
                    turn += 1;
                    let api = &apis[turn % 2];
                    let late = acknowledged.load(Ordering::SeqCst);
                    // Each of the ways by which tokens are issued.
                    tokens = match turn % 3 {
                        0 => api.session(&application, &user, None).await,
                        1 => api.refreshed("", &application, &tokens).await,
                        _ => {
                            let token = tokens["refresh_token"].as_str().expect("a refresh token");
                            let form = [
                                ("grant_type", "refresh_token"), ("client_id", &application), ("refresh_token", token),
                            ];
                            let request = reqwest::Client::new().post(format!("{}/oauth2/token", api.url)).form(&form);
                            api.send(request.header("idempotency-key", format!("{user}-{turn}"))).await.ok()
                        }
                    };
                    shown.push((late, signed_by(&tokens)));
                    after.fetch_add(usize::from(late), Ordering::SeqCst);
                }
                (shown, tokens)
            });
        }
        let emergency = json!({ "emergency": true, "comment": "unknown" });
        rotate(&admin, emergency).await.refused(400, "MEMBER_UNKNOWN");
        let request = admin.request(Method::POST, "/v1/signing-keys/rotate").header("x-change-comment", "a stolen laptop");
        let rotated = admin.send(request.json(&json!({ "environment": "production", "emergency": true }))).await.ok();
        acknowledged.store(true, Ordering::SeqCst);
        for server in &servers {
            let keys = published(&server.admin(), "").await;
            assert_eq!(keys.len(), 3, "one of each algorithm");
            assert!(keys.iter().all(|key| !former.contains(key)));
        }
        while after.load(Ordering::SeqCst) < 200 {
            tokio::task::yield_now().await;
            if let Some(failed) = users.try_join_next() {
                failed.expect("no user fails");
            }
        }
        done.store(true, Ordering::SeqCst);
        let mut last = Vec::new();
        while let Some(of_one) = users.join_next().await {
            let (shown, tokens) = of_one.expect("the user ends");
            for (late, kid) in shown {
                assert!(!late || !former.contains(&kid), "a withdrawn key signed");
            }
            last.push(tokens);
        }
        let states: Vec<_> = rotated["keys"].as_array().expect("keys").iter().map(|key| key["state"].clone()).collect();
        assert_eq!(states.iter().filter(|state| **state == "signing").count(), 3);
        assert_eq!(states.iter().filter(|state| **state == "withdrawn").count(), 9);

        // Readers find the new key by one fetch, and with that lose the withdrawn ones.
        for backend in &backends {
            let (now, before) = (servers[0].clock.now(), backend.fetches.load(Ordering::SeqCst));
            for tokens in &last {
                backend.verify(access_token(tokens), now).await.expect("the new key is found");
            }
            assert_eq!(backend.fetches.load(Ordering::SeqCst), before + 1);
            let refused = backend.verify(access_token(&stolen), now).await.expect_err("it is withdrawn");
            assert_eq!(refused.code, ErrorCode::KeyUnknown);
        }
        // The victim is signed in all the same.
        let tokens = admin.refreshed("", &application, &stolen).await;
        backends[0].verify(access_token(&tokens), servers[0].clock.now()).await.expect("a good token");
        let explained = admin.post("/v1/explain", json!({ "token": access_token(&stolen) })).await.ok();
        assert_eq!(explained["token"]["user"], "victim");
        rotate(&admin, json!({})).await.ok();
    }

    async fn keys_of_ninety_days_are_followed_by_new_ones(engine: Engine) {
        const DAY: i64 = 86_400;
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        rotate(&admin, json!({ "algorithm": "RS256" })).await.ok();
        let clock = server.clock.clone();
        clock.advance(90 * DAY - 1);
        let server = TestServer::on(server.stop().await, clock.clone()).await;
        let counted = async |api: &Api| {
            let listed = api.get("/v1/signing-keys").await.ok();
            let mut counted: HashMap<(String, String), usize> = HashMap::new();
            for key in listed["data"].as_array().expect("keys") {
                let of = |name: &str| key[name].as_str().expect("text").to_owned();
                *counted.entry((of("environment"), of("algorithm"))).or_default() += 1;
            }
            counted
        };
        // The keys that the first start made are due a second from now, the one from the rotation later.
        let before = counted(&server.admin()).await;
        assert_eq!(before.values().sum::<usize>(), 7);
        clock.advance(1);
        let database = server.stop().await;
        let never = Config { rotate_keys_every: 0, ..config(&database) };
        TestServer::with(&never, database.clone(), clock.clone()).await.stop().await;
        let one = TestServer::on(database, clock.clone()).await;
        let others = match engine {
            Engine::Sqlite => vec![],
            Engine::Postgres => vec![one.replica().await, one.replica().await],
        };
        let admin = one.admin();
        let rotated = async {
            while counted(&admin).await.values().sum::<usize>() < 12 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), rotated).await.expect("the keys are rotated");
        for other in others {
            other.stop().await;
        }
        let counted = counted(&admin).await;
        assert_eq!(counted.values().collect::<BTreeSet<_>>(), BTreeSet::from([&2]), "each once: {counted:?}");
        let change = admin.get("/v1/changes?limit=1").await.ok()["data"][0].clone();
        assert_eq!(change["actor"], json!({ "type": "system", "id": "system", "name": "scheduled rotation" }));
        assert!(change["comment"].as_str().expect("a comment").contains("90 days"), "{change}");
        assert_eq!(states(&keys(&admin).await), ["published", "signing"]);
    }

    async fn only_administrators_rotate_and_readers_see_their_own(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (role, environment) in [("viewer", None), ("editor", None), ("application", None), ("administrator", Some("production"))] {
            let key = server.api(&admin.key(role, environment).await);
            rotate(&key, json!({})).await.refused(403, "FORBIDDEN");
            let all = key.get("/v1/signing-keys").await.ok();
            let expected = if environment.is_some() { 3 } else { 6 };
            assert_eq!(all["data"].as_array().map(Vec::len), Some(expected));
        }
        let bound = server.api(&admin.key("viewer", Some("staging")).await);
        bound.get("/v1/signing-keys?environment=production").await.refused(403, "FORBIDDEN");
        let listed = admin.get("/v1/signing-keys").await;
        for private in ["\"d\"", "sealed", "\"p\"", "\"x\"", "\"n\""] {
            assert!(!listed.text.contains(private), "{}", listed.text);
        }
        admin.get("/v1/signing-keys?environment=nowhere").await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.get("/v1/signing-keys?enviroment=production").await.refused(400, "PARAMETER_UNKNOWN");
        for (body, status, code) in [
            (json!({}), 400, "MEMBER_MISSING"),
            (json!({ "environment": 1 }), 400, "MEMBER_MISTYPED"),
            (json!({ "environment": "production", "algorithm": "HS256" }), 422, "VALUE_INVALID"),
            (json!({ "environment": "production", "emergency": "yes" }), 400, "MEMBER_MISTYPED"),
            (json!({ "environment": "nowhere" }), 404, "ENVIRONMENT_NOT_FOUND"),
            (json!({ "environment": "production", "kid": "x" }), 400, "MEMBER_UNKNOWN"),
        ] {
            admin.post("/v1/signing-keys/rotate", body).await.refused(status, code);
        }
        // A retry with the same key is the same rotation.
        let request = || {
            let request = admin.request(Method::POST, "/v1/signing-keys/rotate").header("idempotency-key", "once");
            request.json(&json!({ "environment": "production" }))
        };
        let first = admin.send(request()).await.ok();
        assert_eq!(admin.send(request()).await.ok(), first);
        let document = admin.get("/.well-known/jwks.json").await;
        assert_eq!(document.header("cache-control"), "public, max-age=60");
    }
}
