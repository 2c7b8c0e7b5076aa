//! Starting and stopping: what was begun is answered, and data is only ever opened with the key that belongs to it.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flagbearer_server::secret::InstallationKey;
use flagbearer_tests::{ADMIN_KEY, Api, Database, Engine, Process, free_port, on_both_engines};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Writes one override over and over until the server is gone, and answers the last number that was acknowledged.
async fn write_until_gone(api: Api, user: String, answers: Arc<AtomicUsize>) -> (String, i64) {
    let mut acknowledged = 0;
    loop {
        let body = json!({ "value": acknowledged + 1 });
        let request = api.request(Method::PUT, &format!("/v1/flags/flag/users/{user}")).json(&body);
        match api.try_send(request).await {
            Ok(answer) => answer.ok(),
            Err(error) => {
                assert!(!error.is_body() && !error.is_decode(), "an answer was cut short: {error:?}");
                return (user, acknowledged);
            }
        };
        acknowledged += 1;
        answers.fetch_add(1, Ordering::SeqCst);
    }
}

/// The head of a request with a body of this length.
fn head(method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

async fn connect(server: &Process) -> std::io::Result<TcpStream> {
    TcpStream::connect(server.url.strip_prefix("http://").expect("an address")).await
}

on_both_engines! {
    async fn a_stop_under_load_loses_nothing_and_answers_what_was_begun(engine: Engine) {
        let database = Database::create(engine).await;
        let port = free_port();
        let mut server = Process::start(&database, port).await;
        let admin = server.admin();
        admin.post("/v1/flags", json!({ "key": "flag", "type": "integer", "default_value": 0 })).await.ok();

        // A request that is half sent when the stop comes: begun, as its head was read and its answer is awaited.
        let body = r#"{"value":7,"note":"sent in two halves"}"#;
        let mut begun = connect(&server).await.expect("a connection");
        let half = format!("{}{}", head("PUT", "/v1/flags/flag/users/slow", body.len()), &body[..10]);
        begun.write_all(half.as_bytes()).await.expect("the first half is sent");
        // A connection that never asks for anything, and one whose answer has been read.
        let mut silent = connect(&server).await.expect("a connection");
        let mut idle = connect(&server).await.expect("a connection");
        idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it is sent");
        assert_ne!(idle.read(&mut [0; 4096]).await.expect("an answer"), 0);

        let answers = Arc::new(AtomicUsize::new(0));
        let mut writers = JoinSet::new();
        for number in 0..32 {
            writers.spawn(write_until_gone(admin.clone(), format!("user_{number}"), answers.clone()));
        }
        while answers.load(Ordering::SeqCst) < 100 {
            assert!(writers.try_join_next().is_none(), "a writer ended before the stop");
            tokio::task::yield_now().await;
        }
        let stopping = async {
            assert!(server.terminate().await, "{}", server.output());
            server
        };
        let writing = async {
            let written = writers.join_all().await;
            // No new connection is taken, but the one from before is served to its end.
            let address = admin.url.strip_prefix("http://").expect("an address");
            assert!(TcpStream::connect(address).await.is_err());
            begun.write_all(&body.as_bytes()[10..]).await.expect("the second half is sent");
            let mut answer = String::new();
            begun.read_to_string(&mut answer).await.expect("the whole answer");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains(r#""note":"sent in two halves""#), "{answer}");
            assert_eq!(silent.read(&mut [0; 16]).await.expect("the end of the connection"), 0);
            assert_eq!(idle.read(&mut [0; 16]).await.expect("the end of the connection"), 0);
            written
        };
        let (server, written) = tokio::join!(stopping, writing);
        assert!(server.output().contains("\"message\":\"stopped\""), "it says that it has stopped");

        let server = Process::start(&database, port).await;
        let admin = server.admin();
        let overrides = admin.get("/v1/flags/flag/overrides?limit=200").await.ok();
        let value = |user: &str| {
            let found = overrides["data"].as_array().expect("overrides").iter().find(|found| found["user"] == user);
            found.map_or(0, |found| found["value"].as_i64().expect("a value"))
        };
        assert_eq!(value("slow"), 7);
        for (user, acknowledged) in written {
            // The last request may have been carried out though its connection was closed before it was read.
            assert!((acknowledged..=acknowledged + 1).contains(&value(&user)), "{user}: {acknowledged}");
        }
    }

    async fn the_key_file_is_its_owners_alone_and_a_second_start_keeps_everything(engine: Engine) {
        let database = Database::create(engine).await;
        let port = free_port();
        let mut server = Process::start_with(&database, port, |command| {
            command.env_remove("FLAGBEARER_ADMIN_KEY");
        })
        .await;
        let mode = std::fs::metadata(database.key_file()).expect("the key file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let output = server.output_with("fb_all_").await;
        let keys: Vec<&str> = output.split(['=', '\n']).filter(|word| word.starts_with("fb_all_")).collect();
        let [key] = keys[..] else { panic!("one key is shown: {output}") };
        let admin = Api::new(&server.url, key);
        admin.post("/v1/flags", json!({ "key": "flag", "type": "boolean", "default_value": true })).await.ok();
        let published = admin.get("/.well-known/jwks.json").await.ok();
        assert!(server.terminate().await);

        let server = Process::start_with(&database, port, |command| {
            command.env_remove("FLAGBEARER_ADMIN_KEY");
        })
        .await;
        assert_eq!(admin.get("/v1/flags/flag").await.ok()["default_value"], true);
        assert_eq!(admin.get("/.well-known/jwks.json").await.ok(), published);
        assert!(!server.output().contains("fb_all_"), "a key is shown once");
    }

    async fn a_missing_or_wrong_key_stops_the_start_and_says_which_is_expected(engine: Engine) {
        let database = Database::create(engine).await;
        Process::start(&database, free_port()).await.terminate().await;
        let text = std::fs::read_to_string(database.key_file()).expect("the key file");
        let expected = InstallationKey::parse(&text).expect("a key");
        let aside = database.folder().join("aside.key");
        std::fs::rename(database.key_file(), &aside).expect("the key file moves");

        let missing = Process::refused(&database, |_| {}).await;
        assert!(missing.contains(&format!("sealed with the key `{}`", expected.check())), "{missing}");
        assert!(missing.contains(&format!("no key file `{}`", database.key_file().display())), "{missing}");
        assert!(!database.key_file().exists(), "no other key takes its place");

        let other = InstallationKey::generate().expect("a key");
        std::fs::write(database.key_file(), other.expose()).expect("a key file is written");
        let other_check = InstallationKey::parse(other.expose()).expect("a key");
        for wrong in [
            Process::refused(&database, |_| {}).await,
            Process::refused(&database, |command| {
                command.env("FLAGBEARER_KEY", other.expose());
            })
            .await,
        ] {
            assert!(wrong.contains(&format!("sealed with the key `{}`", expected.check())), "{wrong}");
            assert!(wrong.contains(&format!("the one given is `{}`", other_check.check())), "{wrong}");
            assert!(!wrong.contains(other.expose()) && !wrong.contains(text.trim()), "{wrong}");
        }

        let thought_up = format!("{}ZmU", "Zmxh".repeat(10));
        for (text, said) in [
            ("not a key", "32 bytes in base64url"),
            (&other.expose()[..42], "32 bytes in base64url"),
            (&"A".repeat(43), "is not random"),
            (&thought_up, "is not random"),
        ] {
            std::fs::write(database.key_file(), text).expect("a key file is written");
            let refused = Process::refused(&database, |_| {}).await;
            assert!(refused.contains(said) && !refused.contains(text), "{refused}");
        }
        std::fs::rename(&aside, database.key_file()).expect("the key file moves back");
        assert!(Process::start(&database, free_port()).await.terminate().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_finishes_does_not_keep_the_server_from_stopping() {
    let database = Database::create(Engine::Sqlite).await;
    let mut server = Process::start(&database, free_port()).await;
    let mut head_only = connect(&server).await.expect("a connection");
    head_only.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").await.expect("it is sent");
    let mut half_body = connect(&server).await.expect("a connection");
    half_body.write_all(head("PUT", "/v1/flags/flag", 100).as_bytes()).await.expect("it is sent");
    server.admin().get("/healthz").await.ok();
    assert!(server.terminate().await, "{}", server.output());
}

/// Starts two servers at once on an empty database, and checks that they are one installation.
async fn founded_once(adapt: impl Fn(&mut tokio::process::Command)) {
    let database = Database::create(Engine::Postgres).await;
    let (one, other) = tokio::join!(
        Process::start_with(&database, free_port(), &adapt),
        Process::start_with(&database, free_port(), &adapt)
    );
    let foundings = database.texts("SELECT comment FROM changes WHERE comment LIKE '%founded%'").await;
    assert_eq!(foundings.len(), 1);
    assert_eq!(database.texts("SELECT name FROM environments ORDER BY name").await, ["production", "staging"]);
    assert_eq!(database.texts("SELECT kid FROM signing_keys").await.len(), 6);
    let (here, there) = (one.admin(), other.admin());
    let application = here.application("production").await;
    let tokens = here.session(&application, "ada", None).await;
    there.refreshed("", &application, &tokens).await;
    assert_eq!(here.get("/.well-known/jwks.json").await.ok(), there.get("/.well-known/jwks.json").await.ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_start_together_with_one_key_found_one_installation() {
    let key = InstallationKey::generate().expect("a key");
    founded_once(|command| {
        command.env("FLAGBEARER_KEY", key.expose());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_start_together_with_one_key_file_found_one_installation() {
    founded_once(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_url_that_no_reader_could_use_stops_the_start() {
    let database = Database::create(Engine::Sqlite).await;
    for url in ["foo", "ftp://flags.example.com", "https://flags.example.com/?q", "https://flags.example.com/#x"] {
        let printed = Process::refused(&database, |command| {
            command.env("FLAGBEARER_PUBLIC_URL", url);
        })
        .await;
        assert!(printed.contains(url) && printed.contains("https://flags.example.com"), "{printed}");
    }
}
