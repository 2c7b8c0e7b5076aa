//! Guessing is counted: by account and by address, on all replicas together, and by the address that is really the client's.

use std::net::IpAddr;
use std::sync::Arc;

use flagbearer_server::clock::ManualClock;
use flagbearer_server::error::{Error, Kind};
use flagbearer_server::issuer::{Issuer, SignInRefused, SignUpRefused};
use flagbearer_server::secret::Secret;
use flagbearer_server::store::Store;
use flagbearer_tests::{Answer, Api, BEGINNING, Browser, Client, Database, Engine, TestServer, config, on_both_engines};
use reqwest::Method;
use serde_json::json;

const PASSWORD: &str = "planted password one";
const HOME: &str = "198.51.100.7";

/// What became of a guess.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Guess {
    Right,
    Wrong,
    /// For so many seconds.
    Locked(i64),
}

async fn guess(issuer: &Issuer, email: &str, password: &str, address: &str) -> Guess {
    let address: IpAddr = address.parse().expect("an address");
    match issuer.sign_in_by_password(email, &Secret::new(password), address).await {
        Ok(_) => Guess::Right,
        Err(SignInRefused::Wrong) => Guess::Wrong,
        Err(SignInRefused::Failed(Error { kind: Kind::TooMany { retry_after }, .. })) => Guess::Locked(retry_after),
        Err(SignInRefused::Failed(error)) => panic!("{error}"),
    }
}

/// A server with accounts of these names at example.com, and its issuer.
async fn prepared(engine: Engine, names: &[&str]) -> (TestServer, Issuer) {
    let server = TestServer::start(engine).await;
    for name in names {
        let user = json!({ "id": name, "email": format!("{name}@example.com"), "password": PASSWORD });
        server.admin().post("/v1/users", user).await.ok();
    }
    let issuer = server.issuer().await;
    (server, issuer)
}

/// A server that believes these proxies.
async fn behind(engine: Engine, proxies: &[&str]) -> TestServer {
    let database = Arc::new(Database::create(engine).await);
    let mut config = config(&database);
    config.trusted_proxies = proxies.iter().map(|range| range.parse().expect("a range")).collect();
    TestServer::with(&config, database, Arc::new(ManualClock::at(BEGINNING))).await
}

/// Signs in at the page, as if sent on for this address; answers the status that it ends with.
async fn posted(client: &Client, email: &str, password: &str, forwarded: &str) -> u16 {
    let mut browser = Browser::new();
    let page = browser.visit(&client.authorization_url(&[])).await;
    let url = page.url.join(&page.form().action).expect("an action");
    let request = page.form().fields[0].1.clone();
    let fields = [("request", request.as_str()), ("email", email), ("password", password)];
    let form = reqwest::Client::new().post(url.clone()).header("x-forwarded-for", forwarded).form(&fields);
    let page = browser.follow(url, form).await;
    assert!(page.left == (page.status == 303), "{}: {}", page.url, page.words());
    page.status
}

/// Calls with a wrong API key, as if sent on for these.
async fn wrong_key(server: &TestServer, forwarded: &[&str]) -> Answer {
    let api = Api::new(&server.url, "fb_wrong");
    let mut request = api.request(Method::GET, "/v1/flags");
    for line in forwarded {
        request = request.header("x-forwarded-for", *line);
    }
    api.send(request).await
}

async fn counts(server: &TestServer) -> Vec<String> {
    server.database.texts("SELECT CAST(failures AS TEXT) FROM attempts WHERE failures > 0 ORDER BY attempts.failures").await
}

on_both_engines! {
    async fn an_account_is_locked_for_a_quarter_of_an_hour_after_ten_failures(engine: Engine) {
        let (server, one) = prepared(engine, &["alice", "bob"]).await;
        let two = server.issuer().await;
        for number in 0..10 {
            server.clock.advance(1);
            // From many addresses, at two replicas, in any spelling.
            let (replica, address) = (if number % 2 == 0 { &one } else { &two }, format!("203.0.113.{number}"));
            let email = ["alice@example.com", "Alice@Example.com"][number % 2];
            assert_eq!(guess(replica, email, "a planted wrong password", &address).await, Guess::Wrong, "{number}");
        }
        assert_eq!(guess(&one, "alice@example.com", PASSWORD, HOME).await, Guess::Locked(900), "even if it is right");
        assert_eq!(guess(&one, "bob@example.com", PASSWORD, HOME).await, Guess::Right, "another account is none of it");
        server.clock.advance(899);
        assert_eq!(guess(&two, "alice@example.com", PASSWORD, HOME).await, Guess::Locked(1), "guessing on prolongs nothing");
        server.clock.advance(1);
        assert_eq!(guess(&two, "alice@example.com", PASSWORD, HOME).await, Guess::Right);
    }

    async fn a_new_password_unlocks_the_account(engine: Engine) {
        let (server, issuer) = prepared(engine, &["alice"]).await;
        let lock = async || {
            for _ in 0..10 {
                assert_eq!(guess(&issuer, "alice@example.com", "a planted wrong password", HOME).await, Guess::Wrong);
            }
            assert_eq!(guess(&issuer, "alice@example.com", PASSWORD, HOME).await, Guess::Locked(900));
        };
        lock().await;
        server.admin().patch("/v1/users/alice", json!({ "name": "Alice" })).await.ok();
        assert_eq!(guess(&issuer, "alice@example.com", PASSWORD, HOME).await, Guess::Locked(900), "the password is the same");
        server.admin().patch("/v1/users/alice", json!({ "password": "planted password two" })).await.ok();
        assert_eq!(guess(&issuer, "alice@example.com", "planted password two", HOME).await, Guess::Right);

        lock().await;
        let link = server.admin().post("/v1/users/alice/password-reset", json!({})).await.ok();
        let (_, token) = link["url"].as_str().and_then(|url| url.split_once("token=")).expect("a token");
        let (token, password) = (Secret::new(token), Secret::new("planted password three"));
        let address = HOME.parse().expect("an address");
        issuer.reset_password("production", &token, &password, address, "request").await.expect("the link is good");
        assert_eq!(guess(&issuer, "alice@example.com", "planted password three", HOME).await, Guess::Right);
    }

    async fn an_account_that_is_not_there_is_locked_as_one_that_is(engine: Engine) {
        let (_server, issuer) = prepared(engine, &["alice"]).await;
        for email in ["alice@example.com", "nobody@example.com"] {
            let mut guesses = Vec::new();
            for _ in 0..12 {
                guesses.push(guess(&issuer, email, "a planted wrong password", HOME).await);
            }
            assert_eq!(guesses[..10], vec![Guess::Wrong; 10], "{email}");
            assert_eq!(guesses[10..], vec![Guess::Locked(900); 2], "{email}");
        }
    }

    async fn failures_are_forgotten_in_time_and_by_success(engine: Engine) {
        let (server, issuer) = prepared(engine, &["alice"]).await;
        for _ in 0..2 {
            for _ in 0..9 {
                assert_eq!(guess(&issuer, "alice@example.com", "a planted wrong password", HOME).await, Guess::Wrong);
            }
            assert_eq!(guess(&issuer, "alice@example.com", PASSWORD, HOME).await, Guess::Right);
        }
        assert_eq!(counts(&server).await, ["18"], "the address has its failures, and no success among them");
        for _ in 0..2 {
            for _ in 0..9 {
                assert_eq!(guess(&issuer, "alice@example.com", "a planted wrong password", HOME).await, Guess::Wrong);
            }
            server.clock.advance(900);
        }
        let store = Store::open(&server.database.url, server.clock.clone()).await.expect("the database opens");
        store.sweep().await.expect("it is swept");
        assert_eq!(counts(&server).await, Vec::<String>::new());
    }

    async fn a_hundred_guesses_at_once_are_a_hundred(engine: Engine) {
        let (server, issuer) = prepared(engine, &["alice", "bob"]).await;
        let issuer = Arc::new(issuer);
        let guesses: Vec<_> = (0..100).map(|_| {
            let issuer = issuer.clone();
            tokio::spawn(async move { guess(&issuer, "alice@example.com", "a planted wrong password", HOME).await })
        }).collect();
        let mut wrong = 0;
        for guess in guesses {
            match guess.await.expect("it ends") {
                Guess::Wrong => wrong += 1,
                other => assert_eq!(other, Guess::Locked(900)),
            }
        }
        assert_eq!(wrong, 10, "no more were judged");
        assert_eq!(counts(&server).await, ["10", "100"]);
        assert_eq!(guess(&issuer, "bob@example.com", PASSWORD, HOME).await, Guess::Locked(900), "the address is done");
        assert_eq!(guess(&issuer, "bob@example.com", PASSWORD, "198.51.100.8").await, Guess::Right, "another one is not");
        server.clock.advance(900);
        assert_eq!(guess(&issuer, "bob@example.com", PASSWORD, HOME).await, Guess::Right);
    }

    async fn a_network_of_version_six_counts_as_one_address(engine: Engine) {
        let (server, issuer) = prepared(engine, &["alice"]).await;
        for number in 0..100 {
            let address = format!("2001:db8:0:1::{number:x}");
            assert_ne!(guess(&issuer, "nobody@example.com", "a planted wrong password", &address).await, Guess::Right);
        }
        assert_eq!(guess(&issuer, "alice@example.com", PASSWORD, "2001:db8:0:1:ffff::1").await, Guess::Locked(900));
        assert_eq!(guess(&issuer, "alice@example.com", PASSWORD, "2001:db8:0:2::1").await, Guess::Right);
        guess(&issuer, "alice@example.com", "a planted wrong password", "::ffff:198.51.100.7").await;
        guess(&issuer, "alice@example.com", "a planted wrong password", "198.51.100.7").await;
        assert_eq!(counts(&server).await, ["2", "2", "10", "100"], "one address, however it is written");
    }

    async fn accounts_are_not_made_by_the_thousand(engine: Engine) {
        let (server, issuer) = prepared(engine, &[]).await;
        server.admin().patch("/v1/environments/production", json!({ "sign_up": true })).await.ok();
        let sign_up = async |email: &str| {
            issuer.sign_up("production", email, None, &Secret::new(PASSWORD), HOME.parse().expect("an address"), "").await
        };
        sign_up("first@example.com").await.expect("it is the first");
        server.database.execute("UPDATE attempts SET failures = 99").await;
        sign_up("last@example.com").await.expect("it is the hundredth");
        let refused = sign_up("one.more@example.com").await.expect_err("it is one too many");
        let SignUpRefused::Failed(error) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind, Kind::TooMany { retry_after: 900 });
    }

    async fn wrong_keys_and_client_secrets_are_counted_and_right_ones_are_not_asked(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let body = json!({ "name": "backend", "environment": "production" });
        let created = admin.post("/v1/applications", body).await.ok();
        let client = created["client_id"].as_str().expect("a client id");
        let tokens = admin.session(client, "alice", None).await;
        let refresh_token = tokens["refresh_token"].as_str().expect("a token");
        let form = async |secret: &str| {
            let form = [
                ("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", client), ("client_secret", secret),
            ];
            admin.token("", &form).await
        };
        for _ in 0..50 {
            wrong_key(&server, &[]).await.refused(401, "UNAUTHENTICATED");
            form("wrong").await.denied(401, "invalid_client");
        }
        server.clock.advance(60);
        let answer = wrong_key(&server, &[]).await;
        assert_eq!(answer.header("retry-after"), "840");
        let problem = answer.refused(429, "TOO_MANY_ATTEMPTS");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("14 minutes")));
        let answer = form("wrong").await;
        assert_eq!(answer.header("retry-after"), "840");
        answer.denied(429, "temporarily_unavailable");

        let before = counts(&server).await;
        admin.get("/v1/flags").await.ok();
        form(created["client_secret"].as_str().expect("a secret")).await.ok();
        assert_eq!(counts(&server).await, before, "nothing is written for who is right");
        server.clock.advance(840);
        wrong_key(&server, &[]).await.refused(401, "UNAUTHENTICATED");
    }

    async fn the_sign_in_page_tells_addresses_apart_by_the_word_of_a_trusted_proxy_alone(engine: Engine) {
        for (proxies, apart) in [(&["127.0.0.0/8"][..], true), (&["10.0.0.0/8"], false), (&[], false)] {
            let server = behind(engine, proxies).await;
            let admin = server.admin();
            admin.account("alice", "alice@example.com", &[]).await;
            let client = Client::public(&admin, "production").await;
            assert_eq!(posted(&client, "one@example.com", PASSWORD, HOME).await, 422);
            server.database.execute("UPDATE attempts SET failures = 99").await;
            assert_eq!(posted(&client, "two@example.com", PASSWORD, HOME).await, 422, "the hundredth");
            let good = async |forwarded: &str| posted(&client, "alice@example.com", flagbearer_tests::PASSWORD, forwarded).await;
            assert_eq!(good(HOME).await, 429);
            assert_eq!(good(&format!("203.0.113.1, {HOME}")).await, 429, "what it says of itself");
            assert_eq!(good("198.51.100.8").await, if apart { 303 } else { 429 }, "{proxies:?}");
        }
    }

    async fn a_header_of_the_clients_own_hides_no_address(engine: Engine) {
        let server = TestServer::start(engine).await;
        for number in 0..100 {
            let forged = format!("203.0.113.{number}");
            wrong_key(&server, &[&forged]).await.refused(401, "UNAUTHENTICATED");
        }
        wrong_key(&server, &["203.0.113.200"]).await.refused(429, "TOO_MANY_ATTEMPTS");

        // Behind a proxy, which appends: what the client wrote itself stands before.
        let server = behind(engine, &["127.0.0.0/8", "10.0.0.0/8"]).await;
        for number in 0..100 {
            let forged = format!("203.0.113.{number}, 198.51.100.7");
            wrong_key(&server, &[&forged]).await.refused(401, "UNAUTHENTICATED");
        }
        for same in [&["198.51.100.7"][..], &["198.51.100.7:4711, 10.1.2.3"], &["1.1.1.1", "198.51.100.7", "10.1.2.3"], &["::ffff:198.51.100.7"]] {
            wrong_key(&server, same).await.refused(429, "TOO_MANY_ATTEMPTS");
        }
        for other in [&["198.51.100.8"][..], &["198.51.100.7, 198.51.100.8"], &["198.51.100.7, garbage"], &["198.51.100.7", ""], &["[2001:db8::1]:4711"], &[]] {
            wrong_key(&server, other).await.refused(401, "UNAUTHENTICATED");
        }
    }
}
