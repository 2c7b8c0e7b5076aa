//! `/v1/watermark/<environment>`: the document, the stream, and what a reader that follows them answers.

use flagbearer::flag_set::FlagSet;
use flagbearer::reader::{Came, FollowerStep, KeySource, Poll, Reader, ReaderState, Response, Verdict};
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{Verifier, VerifierOptions, Watermark};
use flagbearer_server::clock::Clock;
use flagbearer_tests::{Api, Engine, Issuer, SignedIn, TestServer, WatermarkStream, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const FLAG: &str = "new_ai_model";
const KILL: &str = "/v1/flags/new_ai_model/environments/production/kill";
const DOCUMENT: &str = "/v1/watermark/production";

async fn with_a_flag(engine: Engine) -> (TestServer, Api) {
    let server = TestServer::start(engine).await;
    let admin = server.admin();
    admin.flag(FLAG, "boolean", json!(true)).await;
    (server, admin)
}

/// Another replica on PostgreSQL; on SQLite, where there is none, the server itself.
async fn other(server: &TestServer) -> Option<TestServer> {
    match server.database.engine() {
        Engine::Postgres => Some(server.replica().await),
        Engine::Sqlite => None,
    }
}

/// A reader of the core as a backend would have it, with the test in the place of the network.
struct Backend {
    reader: Reader,
    stream: WatermarkStream,
    step: u64,
}

impl Backend {
    async fn start(server: &TestServer, at: &str, application: &str) -> Self {
        let now = server.clock.now();
        let options = VerifierOptions { issuer: &server.url, audience: Some(application), ..VerifierOptions::default() };
        let verifier = Verifier::new(&options).expect("a verifier");
        let reader = Reader::new(verifier, KeySource::WellKnown).expect("a reader").following(7);
        let api = Api::new("", "");
        let get = async |url: &str| api.get(url).await.text;
        let Poll::Fetch(fetch) = reader.poll(now) else { panic!("keys are fetched first") };
        reader.receive(fetch.id, Response::Body(get(&fetch.url).await.as_bytes()), now);
        let follower = reader.follower().expect("it follows");
        let FollowerStep::Get { id, url, .. } = follower.poll(now) else { panic!("the endpoint is looked for") };
        follower.receive(id, Came::Body { body: get(&url).await.as_bytes(), etag: None }, now);
        let FollowerStep::Stream { id: step, url } = follower.poll(now) else { panic!("a stream is opened") };
        assert_eq!(url, format!("{}{DOCUMENT}", server.url));
        let stream = WatermarkStream::open(at, "production").await;
        Self { reader, stream, step }
    }

    /// Takes events until the reader knows of this revision.
    async fn knows(&mut self, revision: &Value, now: Timestamp) {
        let follower = self.reader.follower().expect("it follows");
        while follower.latest().get().is_none_or(|held| Some(held.revision) < revision.as_i64()) {
            let text = self.stream.watermark().await;
            follower.receive(self.step, Came::Bytes(format!("data: {text}\n\n").as_bytes()), now);
            assert_eq!(follower.refusal(), None);
        }
    }

    fn flags(&self, tokens: &Value, now: Timestamp) -> FlagSet {
        match self.reader.verify(tokens["access_token"].as_str().expect("a token"), now) {
            Ok(Verdict::Verified(flags)) => flags,
            other => panic!("{other:?}"),
        }
    }
}

on_both_engines! {
    async fn the_document_is_public_signed_and_found_by_discovery(engine: Engine) {
        let (server, admin) = with_a_flag(engine).await;
        for (issuer, environment) in [("", "production"), ("/env/staging", "staging")] {
            let metadata = admin.get(&format!("{issuer}/.well-known/openid-configuration")).await.ok();
            let endpoint = metadata["watermark_endpoint"].as_str().expect("an endpoint");
            assert_eq!(endpoint, format!("{}/v1/watermark/{environment}", server.url));
            let described = admin.get(&format!("/v1/environments/{environment}")).await.ok();
            assert_eq!(described["watermark"], endpoint);
            let answer = reqwest::get(endpoint).await.expect("an answer without any key");
            assert_eq!(answer.headers()["content-type"], "application/jwt");
            assert_eq!(answer.headers()["access-control-allow-origin"], "*");
            assert_eq!(answer.headers()["cache-control"], "public, no-cache");
            let text = answer.text().await.expect("text");
            let issuer = Issuer::discover(&admin, issuer, "api").await;
            let now = server.clock.now();
            let watermark = issuer.watermark(&text, now).expect("a valid watermark");
            assert_eq!(watermark.revision, described["current_revision"].as_i64().expect("a revision"));
            assert!(watermark.kills.is_empty());
            let minute = Timestamp::from_seconds(now.seconds() - now.seconds() % 60);
            assert_eq!((watermark.issued_at, watermark.expires_at), (minute, minute.plus_seconds(300)));
            assert_eq!(issuer.verify(&text, now).expect_err("no access token").code.as_str(), "TYPE_INVALID");
        }
        admin.get("/v1/watermark/nowhere").await.refused(404, "ENVIRONMENT_NOT_FOUND");
        admin.post(DOCUMENT, json!({})).await.refused(405, "METHOD_NOT_ALLOWED");
        let preflight = admin.send(admin.request(Method::OPTIONS, DOCUMENT)).await;
        assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (204, "if-none-match"));
    }

    async fn it_is_the_same_for_a_minute_and_is_signed_anew_in_the_next_or_when_something_changes(engine: Engine) {
        let (server, admin) = with_a_flag(engine).await;
        let replica = other(&server).await;
        let first = admin.get(DOCUMENT).await;
        server.clock.advance(30);
        let same = replica.as_ref().unwrap_or(&server).admin().get(DOCUMENT).await;
        assert_eq!((same.header("etag"), &same.text), (first.header("etag"), &first.text), "on every replica");
        let known = async |tag: &str| {
            let request = admin.request(Method::GET, DOCUMENT).header("if-none-match", tag);
            let answer = admin.send(request).await;
            (answer.status, answer.text.is_empty(), answer.header("etag").to_owned())
        };
        let tag = first.header("etag");
        assert!(tag.starts_with('"'), "strong");
        for said in [tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
            assert_eq!(known(said).await, (304, true, tag.to_owned()), "{said}");
        }
        assert_eq!(known("\"x\"").await.0, 200);
        server.clock.advance(30);
        let next = admin.get(DOCUMENT).await;
        assert_ne!(next.header("etag"), tag);
        admin.post(KILL, json!({})).await.ok();
        assert_ne!(admin.get(DOCUMENT).await.header("etag"), next.header("etag"));
    }

    async fn a_stream_brings_the_present_at_once_and_what_any_replica_changes(engine: Engine) {
        let (server, admin) = with_a_flag(engine).await;
        let replica = other(&server).await;
        let there = replica.as_ref().unwrap_or(&server);
        let issuer = Issuer::discover(&admin, "", "api").await;
        let mut stream = WatermarkStream::open(&there.url, "production").await;
        assert_eq!(stream.response.headers()["content-type"], "text/event-stream");
        assert_eq!(stream.response.headers()["access-control-allow-origin"], "*");
        let verified = |text: String| issuer.watermark(&text, server.clock.now()).expect("a valid watermark");
        let first: Watermark = verified(stream.watermark().await);
        assert_eq!(first.revision, admin.revision("production").await);
        let killed = admin.post(KILL, json!({})).await.ok();
        let second = verified(stream.watermark().await);
        assert_eq!(Some(second.revision), killed["revision"].as_i64());
        assert_eq!(second.kills.len(), 1);
        // What does not touch the environment is no event: the next one is the revival.
        admin.put("/v1/flags/new_ai_model/environments/staging", json!({ "enabled": true })).await.ok();
        let revived = admin.delete(KILL).await.ok();
        let third = verified(stream.watermark().await);
        assert_eq!(Some(third.revision), revived["revision"].as_i64());
        assert!(third.kills.is_empty());
        server.clock.advance(60);
        let fourth = verified(stream.watermark().await);
        assert_eq!((fourth.revision, fourth.issued_at), (third.revision, third.issued_at.plus_seconds(60)));
    }

    async fn followers_hear_that_there_is_no_news(engine: Engine) {
        let (server, _admin) = with_a_flag(engine).await;
        let mut stream = WatermarkStream::open(&server.url, "production").await;
        stream.watermark().await;
        assert_eq!(stream.block().await.as_deref(), Some(":"), "a comment, after a quarter of a minute");
    }

    async fn a_stop_ends_the_streams_and_waits_for_none_of_them(engine: Engine) {
        let (server, _admin) = with_a_flag(engine).await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = WatermarkStream::open(&server.url, "production").await;
            stream.watermark().await;
            streams.push(stream);
        }
        // A stop that waited would take eight seconds, and then break them off: that would be no end, but an error.
        server.stop().await;
        for stream in &mut streams {
            assert_eq!(stream.response.chunk().await.expect("an orderly end"), None);
        }
    }

    async fn an_environment_that_goes_takes_its_streams_with_it(engine: Engine) {
        let (server, admin) = with_a_flag(engine).await;
        let mut stream = WatermarkStream::open(&server.url, "staging").await;
        stream.watermark().await;
        admin.delete("/v1/environments/staging?confirm=staging").await.ok();
        assert_eq!(stream.block().await, None);
    }

    async fn readers_answer_the_off_value_for_every_token_older_than_the_kill(engine: Engine) {
        let (server, admin) = with_a_flag(engine).await;
        let replica = other(&server).await;
        let application = admin.application("production").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", None).await;
        let now = server.clock.now();
        let mut backend = Backend::start(&server, &replica.as_ref().unwrap_or(&server).url, &application).await;
        let older = backend.flags(&alice.tokens, now);
        assert!(older.get_boolean_flag(FLAG, false));

        let killed = admin.post(KILL, json!({})).await.ok();
        backend.knows(&killed["revision"], now).await;
        assert!(!older.get_boolean_flag(FLAG, true), "a set that is held already");
        assert!(!backend.flags(&alice.tokens, now).get_boolean_flag(FLAG, true));
        alice.refresh().await;
        let newer = backend.flags(&alice.tokens, now);
        assert!(!newer.get_boolean_flag(FLAG, true), "her next token says so itself");
        assert_eq!(backend.reader.follower().expect("it follows").state(now), ReaderState::Fresh);

        let revived = admin.delete(KILL).await.ok();
        backend.knows(&revived["revision"], now).await;
        assert!(older.get_boolean_flag(FLAG, false), "it answers what it carries again");
        assert!(!newer.get_boolean_flag(FLAG, true), "and so does this one, until it is refreshed");
    }

    async fn readers_call_tokens_below_the_minimum_stale_until_they_are_refreshed(engine: Engine) {
        let (server, admin) = with_a_flag(engine).await;
        let application = admin.application("production").await;
        let mut alice = SignedIn::start(&admin, &application, "alice", None).await;
        let now = server.clock.now();
        let mut backend = Backend::start(&server, &server.url, &application).await;
        let raised = admin.post("/v1/environments/production/min-revision", json!({})).await.ok();
        backend.knows(&raised["revision"], now).await;
        let stale = backend.flags(&alice.tokens, now);
        assert!(stale.is_stale() && stale.get_boolean_flag(FLAG, false), "it is still read");
        alice.refresh().await;
        assert!(!backend.flags(&alice.tokens, now).is_stale());
    }

    async fn after_an_emergency_it_is_signed_with_a_key_that_is_good(engine: Engine) {
        let (server, admin) = with_a_flag(engine).await;
        let before = Issuer::discover(&admin, "", "api").await;
        let mut stream = WatermarkStream::open(&server.url, "production").await;
        before.watermark(&stream.watermark().await, server.clock.now()).expect("signed with the first key");
        let emergency = json!({ "environment": "production", "emergency": true });
        admin.post("/v1/signing-keys/rotate", emergency).await.ok();
        let text = stream.watermark().await;
        let error = before.watermark(&text, server.clock.now()).expect_err("another key");
        assert_eq!(error.code.as_str(), "KEY_UNKNOWN");
        let after = Issuer::discover(&admin, "", "api").await;
        after.watermark(&text, server.clock.now()).expect("signed with the key that is published");
    }
}
