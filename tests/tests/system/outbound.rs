//! What the server fetches from others: bounded in reach, size and time, whoever answers.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flagbearer_server::outbound::{Allowed, MAX_BODY_BYTES, Outbound, Refused};
use flagbearer_server::secret::Secret;
use flagbearer_tests::{Database, Engine, Process, Reply, Upstream};
use serde_json::json;

fn outbound(allow: &[&str]) -> Outbound {
    let allow: Vec<Allowed> = allow.iter().map(|text| text.parse().expect("an exception")).collect();
    Outbound::new(&allow).expect("a client")
}

/// Gets a document of a host that may be reached.
async fn got(upstream: &Upstream) -> Result<Vec<u8>, Refused> {
    outbound(&["127.0.0.0/8"]).get(&format!("{}/document", upstream.url)).await
}

#[tokio::test]
async fn documents_are_got_without_credentials_or_cookies() {
    let upstream = Upstream::start().await;
    upstream.reply("/document", Reply::Json(json!({ "hello": 1 })));
    assert_eq!(got(&upstream).await.expect("a document"), br#"{"hello":1}"#);
    let asked = &upstream.asked("/document")[0];
    assert!(asked.header("user-agent").starts_with("flagbearer/"), "{}", asked.head);
    assert_eq!((asked.header("cookie"), asked.header("authorization"), asked.header("referer")), ("", "", ""));
}

#[tokio::test]
async fn nothing_but_public_addresses_is_reached_unless_allowed() {
    let upstream = Upstream::start().await;
    let port = upstream.url.rsplit(':').next().expect("a port").to_owned();
    upstream.reply("/document", Reply::Json(json!({})));
    let none = outbound(&[]);
    for host in ["127.0.0.1", "0x7f.1", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"] {
        let refused = none.get(&format!("https://{host}:{port}/document")).await.expect_err(host);
        assert!(matches!(refused, Refused::NotPublic { .. }), "{host}: {refused}");
    }
    // A name says nothing of where it leads: it is looked up, and judged by what is found.
    let refused = none.get(&format!("https://localhost:{port}/document")).await.expect_err("this machine");
    let Refused::NotPublic { host, rule, .. } = &refused else { panic!("{refused}") };
    assert_eq!((host.as_str(), *rule), ("localhost", "this machine"));
    assert!(refused.to_string().contains("--outbound-allow"), "{refused}");
    assert_eq!(upstream.asked("/document").len(), 0, "something was reached");

    for (allow, url, good) in [
        (["localhost"], format!("http://localhost:{port}/document"), true),
        (["localhost"], format!("http://LOCALHOST:{port}/document"), true),
        (["localhost"], format!("http://127.0.0.1:{port}/document"), false),
        (["127.0.0.1"], format!("http://127.0.0.1:{port}/document"), true),
        (["127.0.0.2"], format!("http://127.0.0.1:{port}/document"), false),
        // Its address is allowed, and still anybody on the way could answer in its name.
        (["127.0.0.0/8"], format!("http://localhost:{port}/document"), false),
    ] {
        assert_eq!(outbound(&allow).get(&url).await.is_ok(), good, "{url} with {allow:?}");
    }
}

#[tokio::test]
async fn only_https_and_whole_urls_are_taken() {
    let none = outbound(&[]);
    for url in ["http://example.com/", "http://8.8.8.8/"] {
        assert!(matches!(none.check(url), Err(Refused::NotHttps(_))), "{url}");
    }
    for url in [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://user@example.com/",
        "https://:p@example.com/",
        "data:,x",
        "gopher://127.0.0.1/",
        "https://",
    ] {
        assert!(matches!(none.check(url), Err(Refused::Url(_))), "{url}");
    }
    assert!(none.check("https://example.com/path?query").is_ok());
    let unknown = outbound(&[]).get("https://nobody.invalid/").await.expect_err("no such name");
    assert_eq!(unknown, Refused::NoAddress("nobody.invalid".to_owned()));
}

#[tokio::test]
async fn redirects_and_failures_are_answers_and_not_followed() {
    let upstream = Upstream::start().await;
    upstream.reply("/document", Reply::Redirect("http://169.254.169.254/latest/meta-data".to_owned()));
    let refused = got(&upstream).await.expect_err("a redirect");
    assert!(matches!(refused, Refused::Status(_, 302)), "{refused}");
    upstream.reply("/document", Reply::Redirect(format!("{}/elsewhere", upstream.url)));
    got(&upstream).await.expect_err("a redirect");
    assert_eq!(upstream.asked("/elsewhere").len(), 0);
    upstream.reply("/document", Reply::Other(500, "text/html", "<h1>sorry</h1>".to_owned()));
    assert!(matches!(got(&upstream).await, Err(Refused::Status(_, 500))));
}

#[tokio::test]
async fn bodies_are_read_up_to_a_mebibyte() {
    let upstream = Upstream::start().await;
    for announced in [true, false] {
        upstream.reply("/document", Reply::Endless { announced });
        assert!(matches!(got(&upstream).await, Err(Refused::TooLarge(_))), "announced: {announced}");
    }
    upstream.reply("/document", Reply::Other(200, "text/plain", "a".repeat(MAX_BODY_BYTES)));
    assert_eq!(got(&upstream).await.expect("all of it").len(), MAX_BODY_BYTES);
    upstream.reply("/document", Reply::Other(200, "text/plain", "a".repeat(MAX_BODY_BYTES + 1)));
    assert!(matches!(got(&upstream).await, Err(Refused::TooLarge(_))));
}

#[tokio::test]
async fn whoever_is_silent_or_stops_half_way_is_given_up() {
    let upstream = Upstream::start().await;
    upstream.reply("/document", Reply::Silence);
    upstream.reply("/stuck", Reply::Stuck);
    let client = outbound(&["127.0.0.0/8"]);
    let stuck = format!("{}/stuck", upstream.url);
    let started = Instant::now();
    let (silent, stuck) = tokio::join!(got(&upstream), client.get(&stuck));
    // The client's timer cannot be driven from here, and the bound is what is promised.
    let seconds = started.elapsed().as_secs_f64();
    assert!((4.9..8.0).contains(&seconds), "given up after {seconds} s");
    for refused in [silent, stuck] {
        let refused = refused.expect_err("no answer");
        assert!(matches!(refused, Refused::Late(_)), "{refused:?}");
        assert!(refused.to_string().ends_with("did not answer within 5 seconds"), "{refused}");
    }
}

#[tokio::test]
async fn a_client_shows_its_secret_as_the_rfc_writes_it() {
    let upstream = Upstream::start().await;
    upstream.reply("/token", Reply::Other(400, "application/json", "{}".to_owned()));
    let secret = Secret::new("a:b c&d");
    let url = format!("{}/token", upstream.url);
    let form = [("code", "x y"), ("grant_type", "authorization_code")];
    let answer = outbound(&["127.0.0.1"]).post_form(&url, Some(("our:client", &secret)), &form).await.expect("an answer");
    assert_eq!(answer.status, 400);
    let asked = &upstream.asked("/token")[0];
    assert_eq!(asked.body, "code=x+y&grant_type=authorization_code");
    let basic = asked.header("authorization").strip_prefix("Basic ").expect("HTTP Basic");
    assert_eq!(STANDARD.decode(basic).expect("base64"), b"our%3Aclient:a%3Ab+c%26d");
}

#[tokio::test]
async fn a_mistyped_exception_stops_the_start() {
    let database = Database::create(Engine::Sqlite).await;
    let said = Process::refused(&database, |command| {
        command.args(["--outbound-allow", "10.0.0.0/8,http://login.internal"]);
    })
    .await;
    assert!(said.contains("`http://login.internal` is neither a host name"), "{said}");
}
