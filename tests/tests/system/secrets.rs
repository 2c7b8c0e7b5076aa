//! No secret is ever in the log or, readable, in the database; an e-mail address is with its user, with what the
//! user signs in by, and nowhere else.
//!
//! A whole story is played at the most talkative log level, with requests that carry secrets where they do not belong;
//! then everything that was printed and everything that was stored is searched for each of them.

use std::collections::BTreeMap;

use flagbearer::token::{Algorithm, SigningKey};
use flagbearer_server::secret::hash;
use flagbearer_tests::{
    ADMIN_KEY, Api, Browser, Client, Database, Engine, Process, Reply, Upstream, claims_of, free_port, on_both_engines,
};
use reqwest::{Method, Url};
use serde_json::{Value, json};

const EMAIL: &str = "planted.person@secret.example";
const NAME: &str = "Planted Person";
const PASSWORD: &str = "planted-password-one";

/// Secrets by what they are.
type Secrets = BTreeMap<String, String>;

fn text(document: &Value, member: &str) -> String {
    document[member].as_str().unwrap_or_else(|| panic!("no `{member}` in {document}")).to_owned()
}

/// Notes both tokens of a response, and the parts that are as good as the whole.
fn note_tokens(secrets: &mut Secrets, what: &str, tokens: &Value) {
    for member in ["access_token", "refresh_token"] {
        let token = text(tokens, member);
        let (_, signature) = token.rsplit_once('.').expect("a signature");
        secrets.insert(format!("the signature of the {what} {member}"), signature.to_owned());
        secrets.insert(format!("the {what} {member}"), token);
    }
}

async fn once(api: &Api, path: &str, body: Value) -> Value {
    let request = |key: &str| api.request(Method::POST, path).header("idempotency-key", key).json(&body);
    let first = api.send(request("planted-idempotency-key")).await.ok();
    assert_eq!(api.send(request("planted-idempotency-key")).await.ok(), first);
    first
}

/// Plays the story; answers every secret in it.
async fn play(api: &Api) -> Secrets {
    let mut secrets = Secrets::new();
    secrets.insert("the administrator's key".into(), ADMIN_KEY.to_owned());
    api.post("/v1/flags", json!({ "key": "flag", "type": "boolean", "default_value": true })).await.ok();
    let user = json!({
        "id": "user_one", "email": EMAIL, "name": NAME, "attributes": { "plan": "free" }, "password": PASSWORD,
    });
    secrets.insert("the password".into(), PASSWORD.to_owned());
    // Whoever has it could try passwords as fast as SHA-256 goes.
    secrets.insert("a fast hash of what holds the password".into(), hash(&serde_json::to_vec(&user).expect("JSON")));
    once(api, "/v1/users", user).await;
    let patch = json!({ "email": format!("again.{EMAIL}"), "attributes": { "plan": "enterprise" } });
    api.patch("/v1/users/user_one", patch).await.ok();
    let second = "planted-password-two";
    secrets.insert("the second password".into(), second.to_owned());
    api.patch("/v1/users/user_one", json!({ "password": second })).await.ok();
    let link = once(api, "/v1/users/user_one/password-reset", json!({})).await;
    let (_, token) = link["url"].as_str().and_then(|url| url.split_once('=')).expect("a token");
    secrets.insert("what the reset link holds".into(), token.to_owned());

    let created = once(api, "/v1/applications", json!({ "name": "backend", "environment": "production" })).await;
    let (client_id, client_secret) = (text(&created, "client_id"), text(&created, "client_secret"));
    secrets.insert("the client secret".into(), client_secret.clone());
    let key = once(api, "/v1/api-keys", json!({ "name": "backend", "role": "application" })).await;
    let key = text(&key, "key");
    secrets.insert("the API key".into(), key.clone());

    let first = once(api, "/v1/sessions", json!({ "application": client_id, "user": "user_one" })).await;
    note_tokens(&mut secrets, "first", &first);
    let refresh_token = text(&first, "refresh_token");
    let grant = |token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        reqwest::Client::new()
            .post(format!("{}/oauth2/token", api.url))
            .basic_auth(&client_id, Some(&client_secret))
            .form(&form)
    };
    let second = api.send(grant(&refresh_token).header("idempotency-key", "planted-idempotency-key")).await.ok();
    note_tokens(&mut secrets, "second", &second);
    let third = api.send(grant(&text(&second, "refresh_token"))).await.ok();
    note_tokens(&mut secrets, "third", &third);

    for (environment, emergency) in [("production", false), ("staging", true)] {
        let body = json!({ "environment": environment, "emergency": emergency });
        api.post("/v1/signing-keys/rotate", body).await.ok();
    }

    // Secrets where they do not belong: each refused, and none of them repeated.
    let every: Vec<String> = secrets.values().cloned().chain([EMAIL.to_owned()]).collect();
    for secret in &every {
        for (method, path) in [
            (Method::GET, format!("/v1/flags/{secret}")),
            (Method::GET, format!("/v1/sessions/{secret}")),
            (Method::DELETE, format!("/v1/users/{secret}")),
            (Method::PUT, format!("/v1/flags/flag/environments/{secret}")),
            (Method::GET, format!("/v1/evaluate?environment={secret}")),
            (Method::GET, format!("/v1/flags?limit={secret}")),
            (Method::GET, format!("/v1/flags?{secret}=1")),
            (Method::GET, format!("/{secret}")),
            (Method::GET, format!("/env/{secret}/.well-known/jwks.json")),
            (Method::POST, format!("/env/{secret}/oauth2/token")),
        ] {
            let refused = api.send(api.request(method, &path)).await;
            assert!((400..500).contains(&refused.status), "{path}: {}", refused.text);
        }
        for body in [
            json!({ "key": secret, "type": secret, "default_value": secret }),
            json!({ secret: secret }),
            json!({ "application": secret, "user": secret }),
        ] {
            for path in ["/v1/flags", "/v1/sessions", "/v1/applications", "/v1/api-keys", "/v1/users"] {
                let refused = api.post(path, body.clone()).await;
                assert!((400..500).contains(&refused.status), "{path}: {}", refused.text);
            }
        }
        let malformed = format!("{{\"key\": \"{secret}\", ");
        for body in [malformed, secret.clone()] {
            let request = api.request(Method::POST, "/v1/flags").header("content-type", "application/json").body(body);
            assert_eq!(api.send(request).await.status, 400);
        }
        if *secret != ADMIN_KEY && *secret != key {
            Api::new(&api.url, secret).get("/v1/flags").await.refused(401, "UNAUTHENTICATED");
        }
        let forms: [&[(&str, &str)]; 4] = [
            &[("grant_type", secret), ("client_id", secret)],
            &[("grant_type", "refresh_token"), ("client_id", secret), ("refresh_token", secret)],
            &[("grant_type", "refresh_token"), ("client_id", &client_id), ("client_secret", secret)],
            &[(secret, secret), (secret, secret)],
        ];
        for form in forms {
            let refused = api.token("", form).await;
            assert!((400..500).contains(&refused.status), "{}", refused.text);
        }
    }
    // A reuse is written to the log as a warning.
    assert_eq!(api.send(grant(&refresh_token)).await.status, 400);
    secrets
}

/// Notes the cookies that a browser has been given.
fn note_cookies(secrets: &mut Secrets, whose: &str, browser: &Browser) {
    for ((_, name), value) in &browser.cookies {
        secrets.insert(format!("the cookie {name} of {whose}"), value.clone());
    }
}

/// Signs users in by the pages, as they do it and as they get it wrong; answers every secret in it.
async fn play_pages(api: &Api) -> Secrets {
    let mut secrets = Secrets::new();
    let mut note = |what: &str, secret: &str| {
        secrets.insert(what.to_owned(), secret.to_owned());
        secret.to_owned()
    };
    let (email, newcomer) = (format!("pages.{EMAIL}"), format!("newcomer.{EMAIL}"));
    let typed = note("the typed password", "planted-password-typed");
    let mistyped = note("the mistyped password", "planted-password-mistyped");
    let chosen = note("the password of a new account", "planted-password-of-a-newcomer");
    let reset = note("the password set by a link", "planted-password-by-link");
    let at_theirs = note("our secret at the provider", "planted-secret-at-the-provider-01");
    let theirs = Upstream::start().await;
    api.patch("/v1/environments/staging", json!({ "sign_up": true })).await.ok();
    api.post("/v1/users", json!({ "id": "user_pages", "email": email, "name": NAME, "password": typed })).await.ok();
    let provider = json!({
        "environment": "staging", "name": "Theirs", "issuer": theirs.url, "client_id": "flagbearer",
        "client_secret": at_theirs, "create_users": true,
    });
    api.post("/v1/identity-providers", provider).await.ok();
    let client = Client::register(api, "staging", json!({})).await;
    note("the client secret of the pages", client.secret.as_deref().expect("a secret"));
    let (plain, again) =
        (client.authorization_url(&[("scope", "openid")]), client.authorization_url(&[("prompt", "login")]));

    // Wrong, and in the wrong field; then as it is right, up to a code that is used twice.
    let mut browser = Browser::new();
    let page = browser.visit(&plain).await;
    note("the page's request", &page.form().fields[0].1);
    for answers in [[("email", email.as_str()), ("password", &mistyped)], [("email", &mistyped), ("password", &typed)]] {
        assert_eq!(browser.submit(&page, &answers).await.status, 422);
    }
    let page = browser.submit(&page, &[("email", &email), ("password", &typed)]).await;
    let code = note("the code", &page.told()["code"]);
    let tokens = client.redeem(&code).await.ok();
    client.redeem(&code).await.denied(400, "invalid_grant");
    let unused = note("the unused code", &browser.visit(&plain).await.told()["code"]);

    // A new account, and a link that sets a new password.
    let mut other = Browser::new();
    let page = other.visit(&client.authorization_url(&[("prompt", "create")])).await;
    assert!(other.submit(&page, &[("email", &newcomer), ("name", NAME), ("password", &chosen)]).await.left);
    let link = api.post("/v1/users/user_pages/password-reset", json!({ "environment": "staging" })).await.ok();
    let link = text(&link, "url");
    note("what the reset link of the pages holds", link.split_once("token=").expect("a token").1);
    let page = browser.visit(&link).await;
    assert_eq!(browser.submit(&page, &[("password", &reset)]).await.status, 200);
    // What the former password began is over, the unused code with it.
    client.redeem(&unused).await.denied(400, "invalid_grant");

    // With an account elsewhere: first answered with another sign-in's token, then as it is right.
    let mut upstream = Browser::new();
    for (right, code) in [(false, "planted-code-of-theirs-1"), (true, "planted-code-of-theirs-2")] {
        let page = upstream.visit(&again).await;
        let away = upstream.visit(&page.link("Continue with Theirs")).await.told();
        note(&format!("the state at the provider, {right}"), &away["state"]);
        let nonce = if right { away["nonce"].as_str() } else { "of-another-sign-in" };
        let now = claims_of(&tokens["access_token"])["iat"].as_i64().expect("a time");
        let claims = json!({
            "sub": "u-1", "aud": "flagbearer", "nonce": nonce, "iat": now, "exp": now + 3600, "name": NAME,
            "email": format!("upstream.{EMAIL}"), "email_verified": true,
        });
        let id_token = note(&format!("the provider's ID token, {right}"), &theirs.token(claims));
        theirs.reply("/token", Reply::Json(json!({ "access_token": "planted-access-token", "id_token": id_token })));
        let back = format!("{}?code={code}&state={}", away["redirect_uri"], away["state"]);
        assert_eq!(upstream.visit(&back).await.left, right);
        note(&format!("the provider's code, {right}"), code);
    }

    // Everything where it does not belong, at every page.
    let hint = note("the hint of who signs out", tokens["id_token"].as_str().expect("an ID token"));
    note_tokens(&mut secrets, "page's", &tokens);
    for (whose, browser) in [("a user", &browser), ("a newcomer", &other), ("a user of theirs", &upstream)] {
        note_cookies(&mut secrets, whose, browser);
    }
    let mut stranger = Browser::new();
    let page = stranger.visit(&plain).await;
    let url = |path: &str| format!("{}/env/staging{path}", api.url).parse::<Url>().expect("an address");
    for secret in secrets.values() {
        for (path, name) in [
            ("/oauth2/auth", "client_id"),
            ("/sign-in", "request"),
            ("/sign-up", "request"),
            ("/sign-in/organization", "request"),
            ("/sign-in/upstream", "request"),
            ("/sign-in/callback", "state"),
            ("/logout", "id_token_hint"),
        ] {
            let address = Url::parse_with_params(url(path).as_str(), [(name, secret)]).expect("an address");
            let shown = stranger.visit(address.as_str()).await;
            assert!(!shown.left && shown.status < 500, "{path}: {}", shown.words());
        }
        for (path, fields) in [
            ("/sign-in", [("request", secret.as_str()), ("email", secret)]),
            ("/sign-up", [("request", secret), ("email", secret)]),
            ("/sign-in/organization", [("request", secret), ("organization", secret)]),
            ("/reset-password", [("token", "x"), ("password", secret)]),
        ] {
            let shown = stranger.post(url(path), &fields).await;
            assert!((400..500).contains(&shown.status), "{path}: {}", shown.words());
        }
        let shown = stranger.visit(&client.authorization_url(&[("redirect_uri", secret)])).await;
        assert_eq!(shown.status, 400);
    }
    assert_eq!(stranger.submit(&page, &[("email", EMAIL), ("password", &mistyped)]).await.status, 422);
    browser
        .visit(Url::parse_with_params(url("/logout").as_str(), [("id_token_hint", hint)]).expect("an address").as_str())
        .await;
    secrets
}

/// Starts a server that logs at a level, and may fetch from this machine.
async fn started(database: &Database, level: &str) -> Process {
    Process::start_with(database, free_port(), |command| {
        command.args(["--outbound-allow", "127.0.0.1"]).env("FLAGBEARER_LOG", level);
    })
    .await
}

/// Checks that nothing that was printed holds one of these.
fn is_silent_about(secrets: &Secrets, output: &str) {
    for (what, secret) in secrets {
        let line = output.lines().find(|line| holds(line.as_bytes(), secret));
        assert_eq!(line, None, "{what} is in the log");
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hexadecimal[at..at + 2], 16).expect("hexadecimal digits");
    (0..hexadecimal.len()).step_by(2).map(digits).collect()
}

/// Whether bytes hold a text, plainly or as hexadecimal digits.
fn holds(haystack: &[u8], needle: &str) -> bool {
    let plain = needle.as_bytes();
    let digits = hexadecimal(plain);
    let upper = digits.to_uppercase();
    [plain, digits.as_bytes(), upper.as_bytes()]
        .iter()
        .any(|needle| haystack.windows(needle.len()).any(|window| window == *needle))
}

on_both_engines! {
    async fn no_secret_is_printed_and_none_is_stored_readable(engine: Engine) {
        let database = Database::create(engine).await;
        let mut server = started(&database, "trace").await;
        let mut secrets = play(&server.admin()).await;
        secrets.extend(play_pages(&server.admin()).await);
        for (what, secret) in secrets.iter().filter(|(_, secret)| !secret.contains("planted")) {
            // What stands before says what it is. The rest is of 62 characters or more, each at random: 128 bits are 22 of them.
            let before = if secret.starts_with("fb") && !secret.contains('.') { '_' } else { '.' };
            let random = secret.rsplit(before).next().unwrap_or_default();
            assert!(random.len() >= 22, "{what} could be guessed: {secret}");
        }
        let key = std::fs::read_to_string(database.key_file()).expect("the key file");
        secrets.insert("the installation's key".into(), key.trim().to_owned());

        // The raw file before the server stops, while the log of writes is still beside it.
        if engine == Engine::Sqlite {
            for entry in std::fs::read_dir(database.folder()).expect("the folder") {
                let path = entry.expect("an entry").path();
                if path == database.key_file() {
                    continue;
                }
                let raw = std::fs::read(&path).expect("a file");
                for (what, secret) in &secrets {
                    assert!(!holds(&raw, secret), "{what} is in {}", path.display());
                }
            }
        }
        assert!(server.terminate().await);
        let output = server.output_with("\"stopped\"").await;
        for level in ["TRACE", "DEBUG", "INFO", "WARN"] {
            assert!(output.contains(level), "the log has nothing at {level}");
        }
        // It says what happened all the same.
        for text in [
            "a used refresh token came again",
            "a used authorization code came again",
            "a sign-in with an identity provider failed",
            "\"route\":\"/v1/flags/{flag}\"",
            "\"route\":\"/env/{environment}/sign-in\"",
        ] {
            assert!(output.contains(text), "the log does not say {text}");
        }
        let hashes = database.texts("SELECT hash FROM passwords").await;
        assert_eq!(hashes.len(), 3);
        assert!(hashes.iter().all(|hash| !holds(output.as_bytes(), hash)), "a password's hash is in the log");
        secrets.insert("the e-mail address".into(), EMAIL.to_owned());
        secrets.insert("the user's name".into(), NAME.to_owned());
        is_silent_about(&secrets, &output);

        let tables = database.tables().await;
        assert!(holds(tables["users"].as_bytes(), EMAIL), "what is searched has what was stored");
        for (table, rows) in tables {
            for (what, secret) in &secrets {
                let personal = match table.as_str() {
                    "users" => secret == EMAIL || secret == NAME,
                    // What a sign-in is found by.
                    "passwords" => secret == EMAIL,
                    _ => false,
                };
                if !personal {
                    assert!(!holds(rows.as_bytes(), secret), "{what} is in the table {table}: {rows}");
                }
            }
            assert!(!rows.contains("\"d\":"), "a private key is in the table {table}");
        }
        let sealed = match engine {
            Engine::Sqlite => "SELECT algorithm || ' ' || hex(sealed) FROM signing_keys",
            Engine::Postgres => "SELECT algorithm || ' ' || encode(sealed, 'hex') FROM signing_keys",
        };
        let sealed = database.texts(sealed).await;
        assert_eq!(sealed.len(), 12);
        for row in sealed {
            let (algorithm, sealed) = row.split_once(' ').expect("two columns");
            let algorithm = Algorithm::ALL.into_iter().find(|known| known.as_str() == algorithm).expect("an algorithm");
            let sealed = bytes(sealed);
            assert!(SigningKey::from_pkcs8(algorithm, &sealed).is_err(), "a signing key is stored as it is");
            // The private key would follow the object identifier of its kind.
            for identifier in ["06032b6570", "06072a8648ce3d0201", "06092a864886f70d010101"] {
                let identifier = bytes(identifier);
                assert!(!sealed.windows(identifier.len()).any(|window| window == identifier));
            }
        }
    }

    async fn the_pages_say_nothing_at_the_levels_that_servers_run_at(engine: Engine) {
        for level in ["info", "debug"] {
            let database = Database::create(engine).await;
            let mut server = started(&database, level).await;
            let mut secrets = play_pages(&server.admin()).await;
            secrets.insert("the e-mail address".into(), EMAIL.to_owned());
            secrets.insert("the user's name".into(), NAME.to_owned());
            assert!(server.terminate().await);
            let output = server.output_with("\"stopped\"").await;
            assert!(output.contains("a used authorization code came again"), "what is searched has what happened");
            is_silent_about(&secrets, &output);
        }
    }
}
