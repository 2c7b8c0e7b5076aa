//! Where issuers are: behind TLS, below a path, and at hosts of their own. Each is found at its own address alone.

use flagbearer_tests::{Browser, Client, Engine, PASSWORD, Page, REDIRECT_URI, TestServer, claims_of, on_both_engines};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

const EMAIL: &str = "alice@example.com";
const PUBLIC: &str = "https://auth.example.com";
const BOUND: &str = "https://login.eu.example.com:8443";

/// A server behind TLS, with one account.
async fn server(engine: Engine) -> TestServer {
    let server = TestServer::start_with(engine, |config| config.public_url = Some(PUBLIC.to_owned())).await;
    server.admin().account("alice", EMAIL, &[]).await;
    server
}

/// Where a client sends its browsers, when its issuer is at another address than the one that the test calls.
fn at(issuer: &str, client: &Client, more: &[(&str, &str)]) -> String {
    client.authorization_url(more).replace(&format!("{}{}/", client.api.url, client.issuer), &format!("{issuer}/"))
}

fn document(page: &Page) -> Value {
    assert_eq!(page.status, 200, "{}: {}", page.url, page.text);
    serde_json::from_str(&page.text).expect("JSON")
}

/// The cookies that an answer sets, each of which has to be one host's alone and sent by TLS alone.
fn guarded(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text"));
    let mut names = Vec::new();
    for line in lines {
        let mut parts = line.split("; ");
        let (name, _) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie");
        let attributes: Vec<&str> = parts.collect();
        for wanted in ["Secure", "HttpOnly", "Path=/", "SameSite=Lax"] {
            assert!(attributes.contains(&wanted), "{wanted} is not in {line}");
        }
        assert!(name.starts_with("__Host-") && !line.to_ascii_lowercase().contains("domain"), "{line}");
        names.push(name);
    }
    names
}

on_both_engines! {
    async fn cookies_of_an_https_issuer_are_its_hosts_alone_and_never_sent_in_the_clear(engine: Engine) {
        let server = server(engine).await;
        let client = Client::public(&server.admin(), "production").await;
        let key = |name: &str| ("auth.example.com".to_owned(), name.to_owned());
        let mut browser = Browser::behind_tls(&server.url);
        let page = browser.visit(&at(PUBLIC, &client, &[])).await;
        assert_eq!((page.status, page.url.as_str().split('?').next()), (200, Some("https://auth.example.com/sign-in")));
        let page_cookie = key("__Host-flagbearer-page-production");
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [&page_cookie]);
        assert_eq!(guarded(&page.redirects[0]), [page_cookie.1.as_str()]);

        let page = browser.submit(&page, &[("email", EMAIL), ("password", PASSWORD)]).await;
        assert!(page.url.as_str().starts_with(REDIRECT_URI), "{}", page.url);
        let browser_cookie = key("__Host-flagbearer-browser-production");
        assert_eq!(guarded(&page.headers), [browser_cookie.1.as_str()]);
        let silent = at(PUBLIC, &client, &[("prompt", "none")]);
        assert!(browser.visit(&silent).await.told().contains_key("code"));
        // Under a name that other hosts and plain connections may set, it stands for nobody.
        let mut planted = Browser::behind_tls(&server.url);
        planted.cookies.insert(key("flagbearer-browser-production"), browser.cookies[&browser_cookie].clone());
        assert_eq!(planted.visit(&silent).await.told()["error"], "login_required");

        // Pages, documents and refusals alike: whoever was here by TLS comes by nothing else.
        for path in ["/sign-in", "/.well-known/jwks.json", "/healthz", "/v1/flags", "/oauth2/userinfo", "/nothing"] {
            let answer = browser.visit(&format!("{PUBLIC}{path}")).await;
            assert_eq!(answer.header("strict-transport-security"), "max-age=31536000", "{path}: {}", answer.status);
        }
        let page = browser.visit(&format!("{PUBLIC}/logout")).await;
        assert_eq!((page.status, guarded(&page.headers)), (200, vec![browser_cookie.1.as_str()]));
        assert!(!browser.cookies.contains_key(&browser_cookie));
    }

    async fn an_environment_with_a_host_of_its_own_is_found_there_and_nowhere_else(engine: Engine) {
        let server = server(engine).await;
        let admin = server.admin();
        let environment = json!({ "name": "eu", "host": "login.eu.example.com:8443" });
        admin.post("/v1/environments", environment).await.ok();
        let staging = format!("{PUBLIC}/env/staging");
        let mut browser = Browser::behind_tls(&server.url);
        let mut keys = Vec::new();
        for (issuer, name) in [(PUBLIC, "production"), (&staging, "staging"), (BOUND, "eu")] {
            let metadata = document(&browser.visit(&format!("{issuer}/.well-known/openid-configuration")).await);
            assert_eq!(metadata["issuer"], issuer);
            for (name, value) in metadata.as_object().expect("members") {
                if name.ends_with("_endpoint") || name == "jwks_uri" {
                    // Watermarks are beside one another below the root, whichever environment's they are.
                    let base = if name == "watermark_endpoint" { issuer.trim_end_matches("/env/staging") } else { issuer };
                    assert!(value.as_str().expect("an address").starts_with(&format!("{base}/")), "{name}: {value}");
                }
            }
            let published = document(&browser.visit(metadata["jwks_uri"].as_str().expect("an address")).await);
            let kids: Vec<String> = published["keys"].as_array().expect("keys").iter().map(|key| key["kid"].to_string()).collect();
            let client = Client::public(&admin, name).await;
            let address = metadata["authorization_endpoint"].as_str().expect("an address");
            let url = at(issuer, &client, &[("scope", "openid")]);
            assert!(url.starts_with(&format!("{address}?")), "{url}");
            let told = browser.sign_in(&url, EMAIL, PASSWORD).await.told();
            assert_eq!(told["iss"], issuer);
            // The code is worth something at the issuer's own token endpoint alone.
            let form = client.redemption(&told["code"]);
            for other in [PUBLIC, &staging, BOUND].iter().filter(|other| **other != issuer) {
                let refused = browser.post(format!("{other}/oauth2/token").parse().expect("an address"), &form).await;
                assert!([400, 401].contains(&refused.status) && refused.text.contains("invalid_client"), "{}", refused.text);
            }
            let endpoint = metadata["token_endpoint"].as_str().expect("an address").parse().expect("an address");
            let tokens = document(&browser.post(endpoint, &form).await);
            for token in ["access_token", "id_token"] {
                assert_eq!(claims_of(&tokens[token])["iss"], issuer);
            }
            keys.push(kids);
        }
        for (at, kids) in keys.iter().enumerate() {
            assert!(keys.iter().skip(at + 1).flatten().all(|kid| !kids.contains(kid)), "two issuers have a key in common");
        }
        // By the path of an environment that has a host, by another's path at that host, and by the default one's name.
        for (issuer, name) in [(PUBLIC, "eu"), (BOUND, "eu"), (BOUND, "staging"), (BOUND, "production"), (PUBLIC, "production")] {
            for path in [".well-known/openid-configuration", ".well-known/jwks.json", "oauth2/auth"] {
                let page = browser.visit(&format!("{issuer}/env/{name}/{path}")).await;
                assert_eq!(page.status, 404, "{}: {}", page.url, page.text);
            }
        }
    }

    async fn only_what_is_reached_by_tls_asks_browsers_for_it(engine: Engine) {
        let server = TestServer::start(engine).await;
        server.admin().post("/v1/environments", json!({ "name": "eu", "host": "login.eu.example.com:8443" })).await.ok();
        let mut browser = Browser::behind_tls(&server.url);
        for (issuer, rule) in [(server.url.as_str(), ""), (BOUND, "max-age=31536000")] {
            let answer = browser.visit(&format!("{issuer}/.well-known/openid-configuration")).await;
            assert_eq!((answer.status, answer.header("strict-transport-security")), (200, rule), "{issuer}");
        }
    }

    async fn a_browser_is_signed_in_at_one_host_alone(engine: Engine) {
        let server = server(engine).await;
        let admin = server.admin();
        admin.post("/v1/environments", json!({ "name": "eu", "host": "login.eu.example.com:8443" })).await.ok();
        let client = Client::public(&admin, "eu").await;
        let mut browser = Browser::behind_tls(&server.url);
        browser.sign_in(&at(BOUND, &client, &[]), EMAIL, PASSWORD).await.told();
        let hosts: Vec<_> = browser.cookies.keys().map(|(host, name)| (host.as_str(), name.as_str())).collect();
        assert_eq!(hosts, [
            ("login.eu.example.com", "__Host-flagbearer-browser-eu"), ("login.eu.example.com", "__Host-flagbearer-page-eu"),
        ]);
        assert!(browser.visit(&at(BOUND, &client, &[("prompt", "none")])).await.told().contains_key("code"));
        // Another environment's client is not served there.
        let elsewhere = Client::public(&admin, "production").await;
        let page = browser.visit(&at(BOUND, &elsewhere, &[])).await;
        assert_eq!(page.status, 400, "{}", page.words());
        assert!(page.words().contains(&elsewhere.id), "{}", page.words());
    }
}
