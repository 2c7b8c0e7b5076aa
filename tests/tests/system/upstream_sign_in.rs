//! Signing in with an account from elsewhere, through the pages: at a real OpenID provider (`tests/oidc`), and at one that is
//! slow, broken or hostile.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flagbearer_server::clock::Clock;
use flagbearer_server::secret::pkce_challenge;
use flagbearer_tests::{
    Api, Browser, Client, Engine, Issuer, METADATA, OpenIdProvider, Page, Reply, TestServer, Upstream, claims_of,
    on_both_engines,
};
use serde_json::{Value, json};

use super::sign_in::is_a_page;

const LINK: &str = "Continue with Theirs";

/// A server that may fetch from this machine.
async fn server(engine: Engine) -> TestServer {
    TestServer::start_with(engine, |config| config.outbound_allow = vec!["127.0.0.1".parse().expect("an address")]).await
}

/// Lets users of an issuer sign in to `staging`.
async fn trust(admin: &Api, issuer: &str, client_id: &str, client_secret: &str) {
    trust_as(admin, "Theirs", issuer, client_id, client_secret).await;
}

/// The same under another name.
async fn trust_as(admin: &Api, name: &str, issuer: &str, client_id: &str, client_secret: &str) {
    let provider = json!({
        "environment": "staging", "name": name, "issuer": issuer, "client_id": client_id,
        "client_secret": client_secret, "create_users": true,
    });
    admin.post("/v1/identity-providers", provider).await.ok();
}

/// What a provider's token endpoint answers from now on.
fn signs(provider: &Upstream, id_token: &str) {
    provider.reply("/token", Reply::Json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": id_token })));
}

/// A provider of the test's own making, and a browser that signs in with it.
struct Scene {
    server: TestServer,
    theirs: Upstream,
    client: Client,
    browser: Browser,
}

impl Scene {
    async fn start(engine: Engine) -> Self {
        let (server, theirs) = (server(engine).await, Upstream::start().await);
        let admin = server.admin();
        trust(&admin, &theirs.url, "flagbearer", "planted-upstream-secret-0123456789").await;
        let client = Client::public(&admin, "staging").await;
        Self { server, theirs, client, browser: Browser::new() }
    }

    /// Presses the provider's link on the sign-in page.
    async fn press(&mut self) -> Page {
        self.press_link(LINK).await
    }

    /// The same with another provider's.
    async fn press_link(&mut self, link: &str) -> Page {
        let page = self.browser.visit(&self.client.authorization_url(&[("prompt", "login")])).await;
        self.browser.visit(&page.link(link)).await
    }

    /// Comes back with an answer of the provider's to what the browser was sent there with.
    async fn come_back(&mut self, away: &BTreeMap<String, String>, more: &str) -> Page {
        self.browser.visit(&format!("{}?code=c&state={}{more}", away["redirect_uri"], away["state"])).await
    }

    /// What its token endpoint answers from now on.
    fn sign(&self, id_token: &str) {
        signs(&self.theirs, id_token);
    }

    /// Checks that a page says what happened and how to go on.
    #[track_caller]
    fn is_stuck(page: &Page, why: &str) {
        is_a_page(page, 422);
        let words = "That sign-in is not available just now. Try again, or sign in another way.";
        assert!(page.words().contains(words), "{why}: {}", page.words());
        assert!(page.form().fields.iter().any(|(name, _)| name == "email"), "{why}: there is no other way");
    }

    /// Checks that nobody is in, nor will be by anything that was handed out.
    async fn nobody_is_in(&self) {
        for table in ["browsers", "codes", "sessions", "users", "identities"] {
            let sql = format!("SELECT '{table}' FROM {table}");
            assert_eq!(self.server.database.texts(&sql).await, [""; 0], "somebody was let in");
        }
    }

    /// Checks the same, and that trying again helps.
    async fn recovers(mut self, last: &Page) {
        self.nobody_is_in().await;
        let away = self.browser.visit(&last.link(LINK)).await.told();
        self.sign(&self.theirs.token(json!({ "sub": "u-1", "aud": "flagbearer", "nonce": away["nonce"] })));
        let page = self.come_back(&away, "").await;
        self.client.redeem(&page.told()["code"]).await.ok();
    }
}

on_both_engines! {
    async fn a_user_of_a_real_provider_signs_in_and_is_the_same_the_next_time(engine: Engine) {
        let server = server(engine).await;
        let admin = server.admin();
        let callback = format!("{}/env/staging/sign-in/callback", server.url);
        let theirs = OpenIdProvider::start(&callback, "client_secret_basic").await;
        server.live_in_the_present();
        trust(&admin, &theirs.issuer, &theirs.client_id, &theirs.client_secret).await;
        let client = Client::public(&admin, "staging").await;
        let sign_in = async |theirs: &OpenIdProvider, login: &str| -> Value {
            let mut browser = Browser::new();
            let page = browser.visit(&client.authorization_url(&[("scope", "openid email"), ("state", login)])).await;
            let away = browser.visit(&page.link(LINK)).await;
            assert!(away.url.as_str().starts_with(&theirs.issuer), "{}", away.url);
            let back = theirs.sign_in(&mut browser, away.url.as_str(), login).await;
            let told = browser.visit(&back).await.told();
            assert_eq!((told["state"].as_str(), told["iss"].as_str()), (login, format!("{}/env/staging", server.url).as_str()));
            let tokens = client.redeem(&told["code"]).await.ok();
            let now = server.clock.now();
            Issuer::discover(&admin, "/env/staging", &client.id).await.claims(&tokens, now)["sub"].clone()
        };
        let ada = sign_in(&theirs, "ada").await;
        assert_eq!(sign_in(&theirs, "ada").await, ada);
        let user = admin.get(&format!("/v1/users/{}", ada.as_str().expect("an id"))).await.ok();
        assert_eq!((&user["email"], &user["email_verified"], &user["name"]), (&json!("ada@example.com"), &json!(true), &json!("ada of upstream")));
        assert_ne!(sign_in(&theirs, "bob").await, ada);
        // All its keys are others at once.
        let theirs = theirs.restart().await;
        server.clock.advance(31);
        assert_eq!(sign_in(&theirs, "ada").await, ada);
    }

    async fn a_real_provider_that_is_slow_broken_or_hostile_lets_nobody_in_and_is_well_again_afterwards(engine: Engine) {
        let server = server(engine).await;
        let admin = server.admin();
        let callback = format!("{}/env/staging/sign-in/callback", server.url);
        let mut theirs = OpenIdProvider::start(&callback, "client_secret_basic").await;
        server.live_in_the_present();
        trust(&admin, &theirs.issuer, &theirs.client_id, &theirs.client_secret).await;
        let client = Client::public(&admin, "staging").await;
        let press = async |browser: &mut Browser| -> Page {
            let page = browser.visit(&client.authorization_url(&[])).await;
            browser.visit(&page.link(LINK)).await
        };
        // Where the provider sends somebody back to, who has signed in there.
        let signed_in = async |theirs: &OpenIdProvider, browser: &mut Browser| -> String {
            let away = press(browser).await;
            theirs.sign_in(browser, away.url.as_str(), "mallory").await
        };
        let nobody = async || {
            for table in ["browsers", "codes", "sessions", "users", "identities"] {
                let found = server.database.texts(&format!("SELECT '{table}' FROM {table}")).await;
                assert_eq!(found, [""; 0], "somebody was let in");
            }
        };

        for fault in ["no metadata", "metadata of another issuer"] {
            theirs.misbehave(fault).await;
            Scene::is_stuck(&press(&mut Browser::new()).await, fault);
            server.clock.advance(31);
        }
        theirs.misbehave("none").await;
        // Two real sign-ins that come to nothing for want of keys; the second time it has them.
        for fault in ["a page for keys", "no keys"] {
            let mut browser = Browser::new();
            let back = signed_in(&theirs, &mut browser).await;
            theirs.misbehave(fault).await;
            Scene::is_stuck(&browser.visit(&back).await, fault);
            theirs.misbehave("none").await;
            server.clock.advance(31);
        }
        for fault in [
            "no tokens",
            "a page for tokens",
            "half of the tokens",
            "tokens from elsewhere",
            "a token without a signature",
            "the signature of other claims",
            "the token of an earlier sign-in",
            "a token for another client",
            "a token of another issuer",
            "an expired token",
        ] {
            let mut browser = Browser::new();
            let back = signed_in(&theirs, &mut browser).await;
            theirs.misbehave(fault).await;
            Scene::is_stuck(&browser.visit(&back).await, fault);
            theirs.misbehave("none").await;
        }
        nobody().await;
        // All its keys are others at once, and do not come the first time that they are asked for.
        let mut theirs = theirs.restart().await;
        let mut browser = Browser::new();
        let back = signed_in(&theirs, &mut browser).await;
        theirs.misbehave("a page for keys").await;
        Scene::is_stuck(&browser.visit(&back).await, "no new keys");
        nobody().await;
        theirs.misbehave("a token signed anew").await;
        server.clock.advance(31);
        let mut browser = Browser::new();
        let back = signed_in(&theirs, &mut browser).await;
        let told = browser.visit(&back).await.told();
        client.redeem(&told["code"]).await.ok();
    }

    async fn a_provider_that_answers_nonsense_is_said_to_be_away(engine: Engine) {
        let mut scene = Scene::start(engine).await;
        let html = |status: u16| Reply::Other(status, "text/html", "<!doctype html><p>Log in".to_owned());
        let metadata = |name: &str, value: &str| {
            let url = &scene.theirs.url;
            let mut metadata = json!({
                "issuer": url, "jwks_uri": format!("{url}/keys"), "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"),
            });
            metadata[name] = json!(value);
            Reply::Json(metadata)
        };
        let (foreign, good) = (metadata("issuer", "https://login.example.com"), metadata("issuer", &scene.theirs.url));
        for (reply, why) in [(html(500), "an error"), (html(200), "a page"), (foreign, "another issuer's metadata")] {
            scene.theirs.reply(METADATA, reply);
            Scene::is_stuck(&scene.press().await, why);
            scene.server.clock.advance(5);
        }
        scene.theirs.reply(METADATA, good);
        let mut last = None;
        for (reply, why) in [(html(500), "an error"), (html(200), "a page"), (Reply::Json(json!({})), "no ID token")] {
            let away = scene.press().await.told();
            scene.theirs.reply("/token", reply);
            let page = scene.come_back(&away, "").await;
            Scene::is_stuck(&page, why);
            last = Some(page);
        }
        scene.recovers(&last.expect("a page")).await;
    }

    async fn a_provider_that_does_not_answer_is_not_waited_for(engine: Engine) {
        let mut scene = Scene::start(engine).await;
        let away = scene.press().await.told();
        // It keeps silent for a minute; what is asked is asked for at most five seconds.
        let patience = Duration::from_secs(40);
        scene.theirs.reply("/token", Reply::Silence);
        let page = tokio::time::timeout(patience, scene.come_back(&away, "")).await.expect("the user waits for ever");
        Scene::is_stuck(&page, "no answer");
        let away = scene.press().await.told();
        scene.sign(&scene.theirs.token(json!({ "sub": "u-1", "aud": "flagbearer", "nonce": away["nonce"] })));
        scene.theirs.reply_keys(Reply::Stuck);
        let page = tokio::time::timeout(patience, scene.come_back(&away, "")).await.expect("the user waits for ever");
        Scene::is_stuck(&page, "no keys");
        scene.theirs.publish(&[&scene.theirs.key()]);
        scene.server.clock.advance(31);
        scene.recovers(&page).await;
    }

    async fn every_provider_is_offered_however_many_there_are(engine: Engine) {
        let server = server(engine).await;
        let admin = server.admin();
        let mut names: Vec<String> = (0..60).map(|number| format!("Provider {number:02}")).collect();
        for (number, name) in names.iter().enumerate() {
            let sign_in = number % 10 != 0;
            let provider = json!({
                "environment": "staging", "name": name, "issuer": format!("https://{number}.example.com"), "client_id": "flagbearer",
                "sign_in": sign_in, "exchange": !sign_in,
            });
            admin.post("/v1/identity-providers", provider).await.ok();
        }
        let client = Client::public(&admin, "staging").await;
        let page = Browser::new().visit(&client.authorization_url(&[])).await;
        let offered: Vec<&str> = page.text.split("Continue with ").skip(1).filter_map(|rest| rest.split('<').next()).collect();
        names.retain(|name| !name.ends_with('0'));
        assert_eq!(offered, names, "those that users sign in with, by name");
    }

    async fn of_two_providers_neither_answers_for_the_other(engine: Engine) {
        const OTHERS: &str = "Continue with Others";
        const SECRET: &str = "planted-upstream-secret-of-others-0";
        let mut scene = Scene::start(engine).await;
        let others = Upstream::start().await;
        // We are the same client at both, as far as its name goes.
        trust_as(&scene.server.admin(), "Others", &others.url, "flagbearer", SECRET).await;
        let page = scene.browser.visit(&scene.client.authorization_url(&[])).await;
        assert_ne!(page.link(LINK), page.link(OTHERS));
        let good = |provider: &Upstream, away: &BTreeMap<String, String>| {
            provider.token(json!({ "sub": "u-1", "aud": "flagbearer", "nonce": away["nonce"] }))
        };

        // Sent to the one, and answered in the name of the other: nothing is redeemed anywhere.
        let away = scene.press().await.told();
        let (at_theirs, at_others) = (good(&scene.theirs, &away), good(&others, &away));
        scene.sign(&at_theirs);
        signs(&others, &at_others);
        let named: String = reqwest::Url::parse_with_params("http://x", [("iss", &others.url)]).expect("an address").query().expect("a query").into();
        Scene::is_stuck(&scene.come_back(&away, &format!("&{named}")).await, "the other's name");
        assert_eq!((scene.theirs.asked("/token").len(), others.asked("/token").len()), (0, 0));

        // The one's endpoint passes on what the other has signed, or signs in the other's name.
        for id_token in ["the other's", "in the other's name"] {
            let away = scene.press().await.told();
            let claims = json!({ "sub": "u-1", "aud": "flagbearer", "nonce": away["nonce"], "iss": others.url });
            let token = if id_token == "the other's" { others.token(claims) } else { scene.theirs.token(claims) };
            scene.sign(&token);
            Scene::is_stuck(&scene.come_back(&away, "").await, id_token);
        }

        // The one's code with the other's state: it goes to the other alone, with what is known to the other alone.
        let redeemed = scene.theirs.asked("/token").len();
        let (ours, away) = (scene.press().await.told(), scene.press_link(OTHERS).await.told());
        others.reply("/token", Reply::Other(400, "application/json", json!({ "error": "invalid_grant" }).to_string()));
        Scene::is_stuck(&scene.come_back(&away, "").await, "the other's state");
        assert_eq!(scene.theirs.asked("/token").len(), redeemed);
        let asked = &others.asked("/token")[0];
        let shown = asked.header("authorization").strip_prefix("Basic ").expect("HTTP Basic");
        assert_eq!(STANDARD.decode(shown).expect("base64"), format!("flagbearer:{SECRET}").as_bytes());
        let form = reqwest::Url::parse(&format!("http://x?{}", asked.body)).expect("a form");
        let verifier = form.query_pairs().find(|(name, _)| name == "code_verifier").expect("a verifier").1.into_owned();
        assert_eq!(pkce_challenge(&verifier), away["code_challenge"]);
        assert_ne!(away["code_challenge"], ours["code_challenge"]);
        scene.nobody_is_in().await;

        // Whoever has the same name at both is two users.
        let mut users = Vec::new();
        for link in [LINK, OTHERS] {
            let away = scene.press_link(link).await.told();
            let provider = if link == LINK { &scene.theirs } else { &others };
            signs(provider, &good(provider, &away));
            let page = scene.come_back(&away, "").await;
            users.push(claims_of(&scene.client.redeem(&page.told()["code"]).await.ok()["access_token"])["sub"].clone());
        }
        assert_ne!(users[0], users[1]);
    }

    async fn a_provider_that_lies_lets_nobody_in(engine: Engine) {
        let mut scene = Scene::start(engine).await;
        let stranger = Upstream::start().await;
        let mut last = None;
        for (name, value, why) in [
            ("nonce", json!("of-another-sign-in"), "another sign-in's nonce"),
            ("iss", json!(stranger.url), "another issuer"),
            ("aud", json!("another-client"), "another audience"),
            ("aud", json!(["flagbearer", "another-client"]), "another client's among several"),
            ("exp", json!(1), "expired"),
        ] {
            let away = scene.press().await.told();
            let mut claims = json!({ "sub": "u-1", "aud": "flagbearer", "nonce": away["nonce"] });
            claims[name] = value;
            scene.sign(&scene.theirs.token(claims));
            Scene::is_stuck(&scene.come_back(&away, "").await, why);
        }
        // What would be good, but for who signed it, or for whose answer it is.
        for more in ["", "&iss=https%3A%2F%2Flogin.example.com"] {
            let away = scene.press().await.told();
            let claims = json!({ "sub": "u-1", "aud": "flagbearer", "nonce": away["nonce"] });
            let token = if more.is_empty() { scene.theirs.forged(&stranger.key(), claims) } else { scene.theirs.token(claims) };
            scene.sign(&token);
            let page = scene.come_back(&away, more).await;
            Scene::is_stuck(&page, more);
            last = Some(page);
        }
        scene.recovers(&last.expect("a page")).await;
    }
}
