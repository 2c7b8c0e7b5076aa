//! Webhooks: what happens to flags is told to whoever asked for it, at least once, signed, and to nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flagbearer_server::clock::Clock;
use flagbearer_server::config::Config;
use flagbearer_tests::{
    Api, Asked, Database, Engine, Process, Reply, TestServer, Upstream, free_port, on_both_engines, verified,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How long a test waits for what it expects before it fails: longer than a lease lasts.
const PATIENCE: Duration = Duration::from_secs(40);

const HOUR: i64 = 3600;

/// A server, and a receiver that it may reach.
struct Place {
    server: TestServer,
    admin: Api,
    receiver: Upstream,
}

/// A webhook as its owner knows it.
struct Hook {
    id: String,
    secret: String,
    path: &'static str,
}

fn allow(config: &mut Config) {
    config.outbound_allow = vec!["127.0.0.1".parse().expect("an address")];
}

fn ok() -> Reply {
    Reply::Other(204, "text/plain", String::new())
}

impl Place {
    async fn start(engine: Engine) -> Self {
        let server = TestServer::start_with(engine, allow).await;
        Self { admin: server.admin(), server, receiver: Upstream::start().await }
    }

    /// The same in the present, where what verifies signatures lives.
    async fn start_in_the_present(engine: Engine) -> Self {
        let server = TestServer::start_in_the_present(engine, allow).await;
        Self { admin: server.admin(), server, receiver: Upstream::start().await }
    }

    /// A webhook for a path of the receiver, which takes what comes.
    async fn hook(&self, path: &'static str, others: Value) -> Hook {
        self.receiver.reply(path, ok());
        let mut document = json!({ "url": format!("{}{path}", self.receiver.url) });
        for (name, value) in others.as_object().expect("members") {
            document[name] = value.clone();
        }
        let created = self.admin.post("/v1/webhooks", document).await.ok();
        let text = |name: &str| created[name].as_str().expect(name).to_owned();
        Hook { id: text("id"), secret: text("secret"), path }
    }

    /// What a webhook has been sent, once it is this many messages.
    async fn told(&self, hook: &Hook, times: usize) -> Vec<Asked> {
        self.receiver.asked_times(hook.path, times).await
    }

    async fn deliveries(&self, hook: &Hook) -> Vec<Value> {
        let found = self.admin.get(&format!("/v1/webhooks/{}/deliveries", hook.id)).await.ok();
        found["data"].as_array().expect("deliveries").clone()
    }

    /// The newest delivery, once it is as wanted.
    async fn delivery(&self, hook: &Hook, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(async || self.deliveries(hook).await.into_iter().next().filter(|newest| wanted(newest))).await
    }

    async fn webhook(&self, hook: &Hook) -> Value {
        self.admin.get(&format!("/v1/webhooks/{}", hook.id)).await.ok()
    }
}

/// Looks until there is something.
async fn eventually<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("what was waited for happens")
}

/// Writes one override over and over until the server is gone, and answers the revisions that were acknowledged.
async fn write_until_gone(api: Api, user: String, answers: Arc<AtomicUsize>) -> Vec<i64> {
    let mut acknowledged = Vec::new();
    loop {
        let path = format!("/v1/flags/flag/users/{user}");
        let request = api.request(Method::PUT, &path).json(&json!({ "value": acknowledged.len() }));
        let Ok(answer) = api.try_send(request).await else { return acknowledged };
        // A database that is too busy has acknowledged nothing.
        if answer.status == 503 {
            continue;
        }
        acknowledged.push(answer.ok()["revision"].as_i64().expect("a revision"));
        answers.fetch_add(1, Ordering::SeqCst);
    }
}

fn body(asked: &Asked) -> Value {
    serde_json::from_str(&asked.body).expect("JSON")
}

fn attempts(count: usize) -> impl Fn(&Value) -> bool {
    move |delivery| delivery["attempts"].as_array().is_some_and(|attempts| attempts.len() == count)
}

fn seconds(time: &Value) -> i64 {
    time.as_str().and_then(|text| text.parse::<flagbearer::timestamp::Timestamp>().ok()).expect("a time").seconds()
}

on_both_engines! {
    async fn a_receiver_learns_what_happens_to_a_flag_from_whom_and_what_was_before(engine: Engine) {
        let place = Place::start_in_the_present(engine).await;
        let hook = place.hook("/all", json!({})).await;
        let admin = &place.admin;
        let flag = admin.flag("flag", "boolean", json!(false)).await;
        let request = admin.request(Method::PATCH, "/v1/flags/flag").header("x-change-comment", "a better name");
        let updated = admin.send(request.json(&json!({ "name": "Flag" }))).await;
        let request_id = updated.header("x-request-id").to_owned();
        let updated = updated.ok();
        let rule = json!({ "audience": "some", "organizations": ["org_x"] });
        let targeted = admin.put("/v1/flags/flag/environments/production/targeting", rule).await.ok();
        admin.put("/v1/flags/flag/users/alice", json!({ "value": true })).await.ok();
        admin.post("/v1/flags/flag/environments/staging/kill", json!({})).await.ok();
        admin.delete("/v1/flags/flag?confirm=flag").await.ok();

        let told = place.told(&hook, 6).await;
        let events: Vec<Value> = told.iter().map(body).collect();
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
        let rules = "flag.rule_updated";
        assert_eq!(kinds, ["flag.created", "flag.updated", rules, rules, rules, "flag.deleted"]);
        let actor = json!({ "type": "api_key", "id": "configured", "name": "configured administrator" });
        for (asked, event) in told.iter().zip(&events) {
            assert_eq!(asked.header("content-type"), "application/json");
            assert_eq!(event["data"]["actor"], actor);
            assert_eq!(event["data"]["flag"]["id"], flag["id"]);
            assert_eq!(verified(&hook.secret, asked).await.as_ref(), Some(event), "the specification's package takes it");
        }
        let change = &events[1]["data"];
        assert_eq!((&change["comment"], &change["request_id"]), (&json!("a better name"), &json!(request_id)));
        assert_eq!((&change["revision"], &change["environment"]), (&updated["revision"], &Value::Null));
        assert_eq!((&change["edits"][0]["before"]["name"], &change["edits"][0]["after"]["name"]), (&json!("flag"), &json!("Flag")));
        assert_eq!(change["flag"]["name"], "Flag");
        let mut logged = admin.get(&format!("/v1/changes/{}", updated["revision"])).await.ok();
        let mut told_edits = change["edits"].clone();
        for edits in [&mut logged["edits"], &mut told_edits] {
            edits[0].as_object_mut().expect("an edit").remove("differences");
        }
        assert_eq!(told_edits, logged["edits"], "it is the change log's own words");
        assert_eq!(events[1]["timestamp"], logged["at"]);

        let targeting = &events[2]["data"];
        assert_eq!((&targeting["environment"], &targeting["revision"]), (&json!("production"), &targeted["revision"]));
        assert_eq!(targeting["edits"][0]["after"]["rules"][0]["audience"]["organizations"], json!(["org_x"]));
        assert_eq!(events[3]["data"]["edits"][0]["user"], "alice");
        assert_eq!(events[3]["data"]["environment"], Value::Null, "a user's override is everywhere");
        assert_eq!(events[4]["data"]["environment"], "staging");
        assert_eq!(events[5]["data"]["flag"]["name"], "Flag", "a flag that is gone is told as it was");

        // Neither of the three can be exchanged.
        let other = verified("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &told[0]).await;
        assert_eq!(other, None, "another secret");
        let swapped = Asked { body: told[1].body.clone(), ..told[0].clone() };
        assert_eq!(verified(&hook.secret, &swapped).await, None, "another body");
        let renamed = Asked { head: told[0].head.replace("webhook-id: msg_", "webhook-id: msg_0"), ..told[0].clone() };
        assert_ne!(renamed.head, told[0].head);
        assert_eq!(verified(&hook.secret, &renamed).await, None, "another id");
    }

    async fn a_webhook_is_told_what_it_asked_for_and_nothing_while_switched_off(engine: Engine) {
        let place = Place::start(engine).await;
        let deleted = place.hook("/deleted", json!({ "events": ["flag.deleted"] })).await;
        let staging = place.hook("/staging", json!({ "environment": "staging" })).await;
        let off = place.hook("/off", json!({ "enabled": false })).await;
        let all = place.hook("/all", json!({})).await;
        let admin = &place.admin;
        admin.flag("flag", "boolean", json!(false)).await;
        for environment in ["production", "staging"] {
            let setting = format!("/v1/flags/flag/environments/{environment}");
            admin.put(&setting, json!({ "enabled": false })).await.ok();
        }
        let id = &off.id;
        admin.post(&format!("/v1/webhooks/{id}/test"), Value::Null).await.refused(409, "WEBHOOK_DISABLED");
        let segment = json!({ "key": "segment", "name": "no flag", "users": [] });
        admin.post("/v1/segments", segment).await.ok();
        admin.delete("/v1/flags/flag?confirm=flag").await.ok();

        let of = async |hook: &Hook, times: usize| -> Vec<(String, Value)> {
            let events = place.told(hook, times).await;
            let kind = |event: &Value| event["type"].as_str().expect("a type").to_owned();
            events.iter().map(body).map(|event| (kind(&event), event["data"]["environment"].clone())).collect()
        };
        let event = |name: &str, environment: Value| (format!("flag.{name}"), environment);
        let (created, gone) = (event("created", Value::Null), event("deleted", Value::Null));
        let rule = |name: &str| event("rule_updated", json!(name));
        assert_eq!(of(&all, 4).await, [created.clone(), rule("production"), rule("staging"), gone.clone()]);
        assert_eq!(of(&staging, 3).await, [created, rule("staging"), gone.clone()]);
        assert_eq!(of(&deleted, 1).await, [gone]);
        assert_eq!(place.deliveries(&off).await, [Value::Null; 0]);
    }

    async fn a_secret_is_shown_once_and_two_sign_while_one_follows_the_other(engine: Engine) {
        let place = Place::start_in_the_present(engine).await;
        let hook = place.hook("/hook", json!({})).await;
        let path = format!("/v1/webhooks/{}", hook.id);
        let secret = |answer: &Value| answer["secret"].as_str().expect("a secret").to_owned();
        let test = async |times: usize| {
            place.admin.post(&format!("{path}/test"), Value::Null).await.ok();
            place.told(&hook, times).await.pop().expect("a message")
        };
        let genuine = async |asked: &Asked, secret: &str| verified(secret, asked).await.is_some();

        let first = test(1).await;
        assert!(genuine(&first, &hook.secret).await);
        let rotated = place.admin.post(&format!("{path}/rotate-secret"), Value::Null).await.ok();
        let second = secret(&rotated);
        assert_eq!(seconds(&rotated["former_secret_until"]), place.server.clock.now().seconds() + 24 * HOUR);
        let both = test(2).await;
        assert_eq!(both.header("webhook-signature").split(' ').count(), 2);
        assert!(genuine(&both, &hook.secret).await && genuine(&both, &second).await);

        let emergency = json!({ "emergency": true });
        let third = secret(&place.admin.post(&format!("{path}/rotate-secret"), emergency).await.ok());
        let one = test(3).await;
        assert!(genuine(&one, &third).await && !genuine(&one, &second).await && !genuine(&one, &hook.secret).await);

        let fourth = secret(&place.admin.post(&format!("{path}/rotate-secret"), Value::Null).await.ok());
        place.server.clock.advance(24 * HOUR);
        let after = test(4).await;
        assert_eq!(after.header("webhook-signature").split(' ').count(), 1, "the former one signs for a day");
        let now = json!({ "type": "webhook.test", "timestamp": body(&after)["timestamp"], "data": { "webhook": hook.id } });
        assert_eq!(body(&after), now);

        for secret in [&hook.secret, &second, &third, &fourth] {
            let bare = secret.strip_prefix("whsec_").expect("a prefix");
            for path in [path.as_str(), "/v1/webhooks", "/v1/changes?limit=200"] {
                assert!(!place.admin.get(path).await.text.contains(bare), "{path}");
            }
        }
    }

    async fn what_fails_is_tried_again_ever_later_under_the_same_id_until_it_arrives(engine: Engine) {
        let place = Place::start(engine).await;
        let hook = place.hook("/hook", json!({})).await;
        let broken = Reply::Other(500, "text/plain", "planted-answer".to_owned());
        place.receiver.reply(hook.path, broken);
        place.admin.flag("flag", "boolean", json!(false)).await;
        let mut failed = place.delivery(&hook, attempts(1)).await;
        let begun = place.server.clock.now().seconds();
        assert_eq!(seconds(&place.webhook(&hook).await["failing_since"]), begun);
        let mut pause = 5;
        for count in 2..=5 {
            let wait = seconds(&failed["next_attempt_at"]) - place.server.clock.now().seconds();
            assert!((pause * 3 / 4..=pause * 5 / 4 + 1).contains(&wait), "{wait} seconds after {} failures", count - 1);
            assert_eq!(failed["state"], "pending");
            place.server.clock.advance(wait);
            failed = place.delivery(&hook, attempts(count)).await;
            pause *= 3;
        }
        assert_eq!(seconds(&place.webhook(&hook).await["failing_since"]), begun, "since the first failure");
        let last = &failed["attempts"][4];
        assert_eq!((&last["status"], &last["error"]), (&json!(500), &json!("the target did not answer with a success (2xx)")));
        assert!(!failed.to_string().contains("planted-answer"), "what the target says is not kept");

        place.receiver.reply(hook.path, ok());
        place.server.clock.advance(6 * HOUR);
        let arrived = place.delivery(&hook, |delivery| delivery["state"] == "delivered").await;
        let sixth = json!({ "at": arrived["attempts"][5]["at"], "status": 204, "error": null });
        assert_eq!((&arrived["attempts"][5], &arrived["next_attempt_at"]), (&sixth, &Value::Null));
        assert_eq!(place.webhook(&hook).await["failing_since"], Value::Null);
        let told = place.receiver.asked(hook.path);
        assert!(told.iter().all(|asked| asked.header("webhook-id") == arrived["id"]), "a receiver can tell a repetition");
        assert!(told.iter().all(|asked| asked.body == told[0].body));
        let times: Vec<&str> = told.iter().map(|asked| asked.header("webhook-timestamp")).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "each attempt is signed for its own time: {times:?}");
    }

    async fn after_three_days_a_delivery_is_given_up_and_can_be_sent_again_by_hand(engine: Engine) {
        let place = Place::start(engine).await;
        let hook = place.hook("/hook", json!({})).await;
        place.receiver.reply(hook.path, Reply::Other(410, "text/plain", String::new()));
        place.admin.flag("flag", "boolean", json!(false)).await;
        let mut delivery = place.delivery(&hook, attempts(1)).await;
        let begun = place.server.clock.now().seconds();
        let mut count = 1;
        while delivery["state"] == "pending" {
            let next = seconds(&delivery["next_attempt_at"]);
            assert!(next <= begun + 72 * HOUR, "tried for three days, not longer");
            place.server.clock.advance(next - place.server.clock.now().seconds());
            count += 1;
            delivery = place.delivery(&hook, attempts(count)).await;
        }
        assert_eq!((&delivery["state"], &delivery["next_attempt_at"]), (&json!("given_up"), &Value::Null));
        assert!(place.server.clock.now().seconds() > begun + 60 * HOUR, "given up after {count} attempts");
        assert_eq!(place.webhook(&hook).await["enabled"], true, "the webhook itself is not switched off");
        let list = format!("/v1/webhooks/{}/deliveries", hook.id);
        assert_eq!(place.admin.get(&format!("{list}?state=given_up")).await.ok()["data"][0]["id"], delivery["id"]);
        assert_eq!(place.admin.get(&format!("{list}?state=pending")).await.ok()["data"], json!([]));

        place.receiver.reply(hook.path, ok());
        let path = format!("{list}/{}", delivery["id"].as_str().expect("an id"));
        let again = place.admin.post(&format!("{path}/redeliver"), Value::Null).await.ok();
        assert_eq!((&again["id"], &again["body"]["type"]), (&delivery["id"], &json!("flag.created")));
        place.delivery(&hook, |delivery| delivery["state"] == "delivered").await;
        place.admin.post(&format!("{path}/redeliver"), Value::Null).await.ok();
        let told = place.told(&hook, count + 2).await;
        assert!(told.iter().all(|asked| asked.header("webhook-id") == delivery["id"]));
    }

    async fn a_target_that_hangs_redirects_or_fails_keeps_no_other_waiting(engine: Engine) {
        let place = Place::start(engine).await;
        let hang = place.hook("/hang", json!({})).await;
        let redirect = place.hook("/redirect", json!({})).await;
        let good = place.hook("/good", json!({})).await;
        place.receiver.reply(hang.path, Reply::Silence);
        place.receiver.reply(redirect.path, Reply::Redirect(format!("{}/elsewhere", place.receiver.url)));
        for number in 0..5 {
            place.admin.flag(&format!("flag_{number}"), "boolean", json!(false)).await;
        }
        // The one that hangs has had five seconds for its first at the most when all five of this one are there.
        place.told(&good, 5).await;
        assert!(place.receiver.asked(hang.path).len() <= 1);
        let redirected = place.delivery(&redirect, attempts(1)).await;
        let first = &redirected["attempts"][0];
        assert_eq!(first["status"], 302);
        assert_eq!(first["error"], "the target answered a redirect, which is not followed");
        assert_eq!(place.receiver.asked("/elsewhere").len(), 0);
        let oldest = async || place.deliveries(&hang).await.pop().filter(attempts(1));
        let late = eventually(oldest).await;
        let attempt = json!({ "at": late["attempts"][0]["at"], "status": null,
            "error": "`127.0.0.1` did not answer within 5 seconds" });
        assert_eq!(late["attempts"][0], attempt);
        assert_eq!(late["state"], "pending");
    }

    async fn nothing_is_sent_to_private_addresses(engine: Engine) {
        let server = TestServer::start(engine).await;
        let (admin, receiver) = (server.admin(), Upstream::start().await);
        receiver.reply("/hook", ok());
        let refused = async |url: &str| {
            let problem = admin.post("/v1/webhooks", json!({ "url": url })).await.refused(422, "VALUE_INVALID");
            assert_eq!(problem["errors"][0]["pointer"], "/url", "{problem}");
            problem["detail"].as_str().expect("a detail").to_owned()
        };
        assert!(refused(&format!("{}/hook", receiver.url)).await.contains("--outbound-allow"));
        assert!(refused("https://169.254.169.254/latest/meta-data").await.contains("cloud metadata"));
        refused("http://example.com/hook").await;
        refused("ftp://example.com/hook").await;
        refused("https://user:password@example.com/hook").await;
        // A name says nothing of where it leads: that is seen when something is to be sent.
        let url = format!("https://localhost:{}/hook", receiver.url.rsplit(':').next().expect("a port"));
        let created = admin.post("/v1/webhooks", json!({ "url": url })).await.ok();
        let path = format!("/v1/webhooks/{}", created["id"].as_str().expect("an id"));
        admin.patch(&path, json!({ "url": "https://[::1]/hook" })).await.refused(422, "VALUE_INVALID");
        admin.flag("flag", "boolean", json!(false)).await;
        let list = format!("{path}/deliveries");
        let failed = eventually(async || {
            let found = admin.get(&list).await.ok()["data"][0].clone();
            Some(found).filter(attempts(1))
        }).await;
        let error = failed["attempts"][0]["error"].as_str().expect("an error");
        assert!(error.starts_with("`localhost` is at ") && error.contains("this machine"), "{error}");
        assert_eq!(receiver.asked("/hook").len(), 0);
    }

    async fn documents_are_checked_and_administrators_alone_see_them(engine: Engine) {
        let place = Place::start(engine).await;
        let hook = place.hook("/hook", json!({ "description": "ours", "events": ["flag.deleted", "flag.created", "flag.deleted"] })).await;
        let (admin, path) = (&place.admin, format!("/v1/webhooks/{}", hook.id));
        let read = admin.get(&path).await;
        let etag = read.header("etag").to_owned();
        let document = read.ok();
        let expected = json!({
            "id": hook.id, "url": format!("{}/hook", place.receiver.url), "events": ["flag.created", "flag.deleted"],
            "environment": null, "description": "ours", "enabled": true, "failing_since": null, "revision": document["revision"],
        });
        assert_eq!(document, expected);
        assert_eq!(etag, format!("\"{}\"", document["revision"]));
        let before = admin.revision("production").await;
        for (body, status, code) in [
            (json!({}), 400, "MEMBER_MISSING"),
            (json!({ "url": "https://example.com", "key": 1 }), 400, "MEMBER_UNKNOWN"),
            (json!({ "url": "https://example.com", "events": [] }), 422, "VALUE_INVALID"),
            (json!({ "url": "https://example.com", "events": ["webhook.test"] }), 422, "VALUE_INVALID"),
            (json!({ "url": "https://example.com", "environment": "nowhere" }), 404, "ENVIRONMENT_NOT_FOUND"),
        ] {
            admin.post("/v1/webhooks", body).await.refused(status, code);
        }
        admin.post("/v1/webhooks?urgent=true", json!({ "url": "https://example.com" })).await.refused(422, "URGENCY_POINTLESS");
        let patched = admin.patch(&path, json!({ "environment": "staging", "events": null, "enabled": false })).await.ok();
        assert_eq!((&patched["environment"], &patched["enabled"]), (&json!("staging"), &json!(false)));
        assert_eq!(patched["events"].as_array().map(Vec::len), Some(4));
        assert_eq!(admin.get("/v1/webhooks?environment=staging").await.ok()["data"], json!([patched]));
        assert_eq!(admin.get("/v1/webhooks?environment=production").await.ok()["data"], json!([]));
        admin.get(&format!("{path}/deliveries?state=lost")).await.refused(400, "PARAMETER_INVALID");
        admin.get(&format!("{path}/deliveries/msg_none")).await.refused(404, "DELIVERY_NOT_FOUND");
        admin.get("/v1/webhooks/wh_none/deliveries").await.refused(404, "WEBHOOK_NOT_FOUND");
        admin.post("/v1/webhooks/wh_none/test", Value::Null).await.refused(404, "WEBHOOK_NOT_FOUND");

        for (role, environment) in [("editor", None), ("viewer", None), ("application", None), ("administrator", Some("staging"))] {
            let other = place.server.api(&admin.key(role, environment).await);
            for below in ["", "/deliveries", "/deliveries/msg_none"] {
                other.get(&format!("{path}{below}")).await.refused(403, "FORBIDDEN");
            }
            other.get("/v1/webhooks").await.refused(403, "FORBIDDEN");
            other.post("/v1/webhooks", json!({ "url": "https://example.com" })).await.refused(403, "FORBIDDEN");
            other.patch(&path, json!({ "enabled": true })).await.refused(403, "FORBIDDEN");
            other.delete(&path).await.refused(403, "FORBIDDEN");
            for below in ["rotate-secret", "test", "deliveries/msg_none/redeliver"] {
                other.post(&format!("{path}/{below}"), Value::Null).await.refused(403, "FORBIDDEN");
            }
        }
        let change = admin.get(&format!("/v1/changes/{}", patched["revision"])).await.ok();
        assert_eq!((&change["edits"][0]["entity"], &change["edits"][0]["id"]), (&json!("webhook"), &json!(hook.id)));
        assert_eq!(admin.revision("production").await, before, "no token changes with a webhook");
        assert_eq!(admin.delete(&path).await.status, 204);
        admin.get(&path).await.refused(404, "WEBHOOK_NOT_FOUND");
    }

    async fn a_server_that_is_killed_loses_no_message_and_sends_none_of_what_never_happened(engine: Engine) {
        let database = Database::create(engine).await;
        let (port, receiver) = (free_port(), Upstream::start().await);
        let start = async || Process::start_with(&database, port, |command| {
            command.env("FLAGBEARER_OUTBOUND_ALLOW", "127.0.0.1");
        }).await;
        let mut server = start().await;
        receiver.reply("/hook", ok());
        let admin = server.admin();
        let created = admin.post("/v1/webhooks", json!({ "url": format!("{}/hook", receiver.url) })).await.ok();
        let webhook = format!("/v1/webhooks/{}", created["id"].as_str().expect("an id"));
        admin.flag("flag", "integer", json!(0)).await;
        let mut acknowledged = Vec::new();
        for round in 1..=5 {
            let answers = Arc::new(AtomicUsize::new(0));
            let mut writing = JoinSet::new();
            for client in 0..8 {
                let (api, answers) = (server.admin(), answers.clone());
                writing.spawn(write_until_gone(api, format!("user_{client}"), answers));
            }
            // Killed in the middle, with messages that are under way and others that were not begun.
            while answers.load(Ordering::SeqCst) < 20 * round {
                tokio::task::yield_now().await;
            }
            server.kill().await;
            acknowledged.extend(writing.join_all().await.into_iter().flatten());
            server = start().await;
        }
        let admin = server.admin();
        let none_waits = async || {
            let pending = admin.get(&format!("{webhook}/deliveries?state=pending")).await.ok();
            pending["data"].as_array().is_some_and(Vec::is_empty).then_some(())
        };
        eventually(none_waits).await;
        let happened: BTreeSet<i64> = database
            .texts("SELECT DISTINCT CAST(revision AS TEXT) FROM edits WHERE flag IS NOT NULL")
            .await
            .iter()
            .map(|revision| revision.parse().expect("a revision"))
            .collect();
        let mut told = BTreeMap::<i64, BTreeSet<String>>::new();
        for asked in receiver.asked("/hook") {
            let revision = body(&asked)["data"]["revision"].as_i64().expect("a revision");
            told.entry(revision).or_default().insert(asked.header("webhook-id").to_owned());
        }
        assert!(acknowledged.len() > 200 && acknowledged.iter().all(|revision| told.contains_key(revision)), "some are lost");
        assert!(told.keys().eq(happened.iter()), "what was told is what happened");
        assert!(told.values().all(|ids| ids.len() == 1), "a repetition bears the same id");
        println!("{engine:?}: {} changes, {} messages", happened.len(), receiver.asked("/hook").len());
    }

    async fn replicas_send_each_message_once_and_take_over_from_one_that_is_gone(engine: Engine) {
        let place = Place::start(engine).await;
        let other = place.server.replica_with(allow).await;
        let hook = place.hook("/hook", json!({})).await;
        let both = [place.admin.clone(), other.admin()];
        for number in 0..20 {
            both[number % 2].flag(&format!("flag_{number}"), "boolean", json!(false)).await;
        }
        place.told(&hook, 20).await;
        let all_arrived = async || {
            let deliveries = place.deliveries(&hook).await;
            deliveries.iter().all(|delivery| delivery["state"] == "delivered").then_some(deliveries)
        };
        let deliveries = eventually(all_arrived).await;
        let mut times = BTreeMap::<String, usize>::new();
        for asked in place.receiver.asked(hook.path) {
            *times.entry(asked.header("webhook-id").to_owned()).or_default() += 1;
        }
        assert_eq!(times.len(), 20);
        assert!(times.values().all(|times| *times == 1) && deliveries.iter().all(attempts(1)), "{times:?}");

        // Somebody took the lease and was never heard of again.
        let until = (place.server.clock.now().seconds() + 10) * 1000;
        place.server.database.execute(&format!("UPDATE webhooks SET lease = 'gone', leased_until = {until}")).await;
        place.admin.flag("after", "boolean", json!(false)).await;
        let (newest, waits) = (place.deliveries(&hook).await.remove(0), attempts(0));
        assert!(waits(&newest), "whoever has the lease sends: {newest}");
        place.server.clock.advance(10);
        place.delivery(&hook, |delivery| delivery["state"] == "delivered").await;
        assert_eq!(place.receiver.asked(hook.path).len(), 21);
    }
}
