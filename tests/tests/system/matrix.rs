//! Everything that opens something, shown everywhere else. Each of the tokens, keys and secrets below is shown at each
//! endpoint, at its own environment's issuer and at another's, by its own application and by others: what is not on the
//! diagonal is refused, in the very words in which garbage is.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer_tests::{
    ADMIN_KEY, Answer, Api, Browser, Client, PASSWORD, Page, TestServer, Upstream, VERIFIER, on_both_engines,
};
use reqwest::{Method, Url};
use serde_json::{Value, json};

const EMAIL: &str = "alice@example.com";
/// Who has two organizations to choose from.
const CHOOSER: &str = "carol@example.com";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The applications of one environment.
struct Place {
    environment: &'static str,
    /// Empty, or `/env/<name>`.
    issuer: &'static str,
    ours: Client,
    /// Of the same profile and environment.
    other: Client,
    kinde: Client,
    workos: Client,
    /// Bound to the environment.
    key: String,
    /// Whose tokens are exchanged in this environment alone.
    upstream: Upstream,
}

impl Place {
    async fn create(server: &TestServer, environment: &'static str, issuer: &'static str) -> Self {
        let admin = server.admin();
        let permissions = json!({ "permissions": ["read:environment_feature_flags"] });
        let kinde = json!({ "profile": "kinde", "permissions": ["read:environment_feature_flags"] });
        let upstream = Upstream::start().await;
        let provider = json!({
            "environment": environment, "name": "Theirs", "issuer": upstream.url, "audience": "our-api", "sign_in": false,
            "exchange": true, "claims": { "user": "sub" },
        });
        admin.post("/v1/identity-providers", provider).await.ok();
        Self {
            environment,
            issuer,
            ours: Client::register(&admin, environment, permissions.clone()).await,
            other: Client::register(&admin, environment, permissions).await,
            kinde: Client::register(&admin, environment, kinde).await,
            workos: Client::register(&admin, environment, json!({ "profile": "workos" })).await,
            key: admin.key("application", Some(environment)).await,
            upstream,
        }
    }

    /// A code for Alice, who is signed in in this browser once she has been asked.
    async fn code(&self, browser: &mut Browser, client: &Client) -> String {
        let url = client.authorization_url(&[("scope", "openid profile email")]);
        let page = browser.visit(&url).await;
        let page = if page.left { page } else { browser.sign_in(&url, EMAIL, PASSWORD).await };
        page.told()["code"].clone()
    }

    /// What a link for Bob holds.
    async fn reset_token(&self, admin: &Api) -> String {
        let link = admin.post("/v1/users/bob/password-reset", json!({ "environment": self.environment })).await.ok();
        let (_, token) = link["url"].as_str().and_then(|url| url.split_once("token=")).expect("a token");
        token.to_owned()
    }

    /// What stands for Carol until she has chosen an organization.
    async fn pending(&self) -> String {
        let asked = json!({ "grant_type": "password", "email": CHOOSER, "password": PASSWORD });
        let said = self.workos.authenticate(asked).await.denied(403, "organization_selection_required");
        said["pending_authentication_token"].as_str().expect("a token").to_owned()
    }

    /// Where the cookie of a signed-in browser is kept.
    fn cookie(&self) -> (String, String) {
        ("127.0.0.1".to_owned(), format!("flagbearer-browser-{}", self.environment))
    }

    /// Something that was given out, to be shown once more; another one of what is good only once.
    async fn fresh(&self, admin: &Api, browser: &mut Browser, name: &str, given: &str) -> String {
        match name {
            "code" => self.code(browser, &self.ours).await,
            "code of another" => self.code(browser, &self.other).await,
            "code of kinde" => self.code(browser, &self.kinde).await,
            "code of workos" => self.code(browser, &self.workos).await,
            "reset token" => self.reset_token(admin).await,
            _ => given.to_owned(),
        }
    }

    /// Everything that this environment gives out, by name.
    async fn everything(&self, server: &TestServer, browser: &mut Browser) -> BTreeMap<&'static str, String> {
        let admin = server.admin();
        let text = |tokens: &Value, name: &str| tokens[name].as_str().expect(name).to_owned();
        let ours = self.ours.redeem(&self.code(browser, &self.ours).await).await.ok();
        let other = self.other.redeem(&self.code(browser, &self.other).await).await.ok();
        let kinde = self.kinde.redeem(&self.code(browser, &self.kinde).await).await.ok();
        let workos = admin.session(&self.workos.id, "alice", None).await;
        let management = format!("{}{}/api", server.url, self.issuer);
        let for_management = [("audience", management.as_str())];
        BTreeMap::from([
            ("access token", text(&ours, "access_token")),
            ("access token of another", text(&other, "access_token")),
            ("access token of kinde", text(&kinde, "access_token")),
            ("access token of workos", text(&workos, "access_token")),
            ("refresh token", text(&ours, "refresh_token")),
            ("refresh token of another", text(&other, "refresh_token")),
            ("refresh token of kinde", text(&kinde, "refresh_token")),
            ("refresh token of workos", text(&workos, "refresh_token")),
            ("id token", text(&ours, "id_token")),
            ("id token of kinde", text(&kinde, "id_token")),
            ("machine token", text(&self.ours.machine(&[]).await.ok(), "access_token")),
            ("machine token of another", text(&self.other.machine(&[]).await.ok(), "access_token")),
            ("machine token for management", text(&self.kinde.machine(&for_management).await.ok(), "access_token")),
            ("secret", self.ours.secret.clone().expect("a secret")),
            ("secret of another", self.other.secret.clone().expect("a secret")),
            ("secret of kinde", self.kinde.secret.clone().expect("a secret")),
            ("secret of workos", self.workos.secret.clone().expect("a secret")),
            ("code", self.code(browser, &self.ours).await),
            ("code of another", self.code(browser, &self.other).await),
            ("code of kinde", self.code(browser, &self.kinde).await),
            ("code of workos", self.code(browser, &self.workos).await),
            ("browser cookie", browser.cookies[&self.cookie()].clone()),
            ("pending authentication token", self.pending().await),
            ("reset token", self.reset_token(&admin).await),
            ("api key", self.key.clone()),
            ("watermark", admin.get(&format!("/v1/watermark/{}", self.environment)).await.text),
            ("token of an upstream issuer", self.upstream.token(json!({ "sub": "alice", "aud": "our-api" }))),
        ])
    }
}

/// A place where something is shown.
struct Door {
    name: &'static str,
    /// What opens it, of the same environment.
    opened_by: &'static [&'static str],
    /// What opens it wherever it is from: keys that are bound to an environment read the installation's lists.
    opened_by_any: &'static [&'static str],
}

impl Door {
    /// A door of one environment alone.
    const fn of(name: &'static str, opened_by: &'static [&'static str]) -> Self {
        Self { name, opened_by, opened_by_any: &[] }
    }
}

/// What was said at a door, and whether it opened.
struct Said {
    opened: bool,
    status: u16,
    /// Without the request's own id.
    words: Value,
    text: String,
}

impl Said {
    fn answer(answer: Answer, opened: bool) -> Self {
        let mut words = answer.body;
        if let Some(members) = words.as_object_mut() {
            members.remove("instance");
        }
        Self { opened, status: answer.status, words, text: answer.text }
    }

    fn page(page: &Page, opened: bool) -> Self {
        let text = page.words();
        Self { opened, status: page.status, words: text.clone().into(), text }
    }
}

impl From<Answer> for Said {
    fn from(answer: Answer) -> Self {
        let opened = answer.status == 200;
        Self::answer(answer, opened)
    }
}

const OF_USERS: &[&str] = &["access token", "access token of another", "access token of kinde"];

const DOORS: [Door; 24] = [
    Door::of("userinfo", OF_USERS),
    Door::of("user profile", OF_USERS),
    Door::of("account api", OF_USERS),
    Door::of("management api", &["machine token for management", "api key"]),
    Door { name: "admin api", opened_by: &[], opened_by_any: &["api key"] },
    Door { name: "workos api", opened_by: &[], opened_by_any: &["api key"] },
    Door::of("asking introspection", &["api key"]),
    Door::of("introspected", &["access token", "refresh token", "machine token"]),
    Door::of("refresh", &["refresh token"]),
    Door::of("refresh by kinde", &["refresh token of kinde"]),
    Door::of("refresh at workos", &["refresh token of workos"]),
    Door::of("code", &["code"]),
    Door::of("code by kinde", &["code of kinde"]),
    Door::of("code at workos", &["code of workos"]),
    Door::of("client secret", &["secret"]),
    Door::of("client secret in the header", &["secret"]),
    Door::of("client secret of kinde", &["secret of kinde"]),
    Door::of("client secret at workos", &["secret of workos", "api key"]),
    Door::of("exchange", &["token of an upstream issuer"]),
    Door::of("choice at workos", &["pending authentication token"]),
    Door::of("signed in silently", &["browser cookie"]),
    Door::of("reset page", &["reset token"]),
    // A machine token has no session that could end, and its own client is told so.
    Door::of("revoke", &["access token", "refresh token", "machine token"]),
    Door::of("logout", &["id token", "id token of another", "id token of kinde"]),
];

/// How many sessions live.
async fn living(server: &TestServer) -> usize {
    server.database.texts("SELECT id FROM sessions WHERE revoked_at IS NULL").await.len()
}

impl Door {
    /// Whether what opens it is worth nothing afterwards, nor what began with it.
    fn ends(&self) -> bool {
        matches!(self.name, "revoke" | "logout")
    }

    /// Shows something here, at a place.
    async fn show(&self, server: &TestServer, at: &Place, shown: &str) -> Said {
        let api = server.api(shown);
        let get = async |path: &str| Said::from(api.send(api.request(Method::GET, path)).await);
        let below = |path: &str| format!("{}{path}", at.issuer);
        let ours = &at.ours;
        let post = async |client: &Client, form: &[(&str, &str)]| Said::from(client.post("/oauth2/token", form).await);
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", shown)];
        let by_secret = async |client: &Client| {
            let secretless = Client { secret: None, ..client.clone() };
            post(&secretless, &[("grant_type", "client_credentials"), ("client_secret", shown)]).await
        };
        match self.name {
            "userinfo" => get(&below("/oauth2/userinfo")).await,
            "user profile" => get(&below("/oauth2/v2/user_profile")).await,
            "account api" => get(&below("/account_api/v1/feature_flags")).await,
            "management api" => get(&below("/api/v1/environment/feature_flags")).await,
            "admin api" => get("/v1/organizations").await,
            "workos api" => get("/user_management/users/alice").await,
            "asking introspection" => {
                let request = api.request(Method::POST, &below("/oauth2/introspect"));
                api.send(request.form(&[("token", "x")])).await.into()
            }
            "introspected" => {
                let answer = ours.post("/oauth2/introspect", &[("token", shown)]).await;
                let active = answer.body["active"] == true;
                Said::answer(answer, active)
            }
            "refresh" => post(ours, &refresh).await,
            "refresh by kinde" => post(&at.kinde, &refresh).await,
            "refresh at workos" => {
                let asked = json!({ "grant_type": "refresh_token", "refresh_token": shown });
                at.workos.authenticate(asked).await.into()
            }
            "code" => ours.redeem(shown).await.into(),
            "code by kinde" => at.kinde.redeem(shown).await.into(),
            "code at workos" => {
                let asked = json!({ "grant_type": "authorization_code", "code": shown, "code_verifier": VERIFIER });
                at.workos.authenticate(asked).await.into()
            }
            "client secret" => by_secret(ours).await,
            "client secret of kinde" => by_secret(&at.kinde).await,
            "client secret in the header" => {
                let request = reqwest::Client::new().post(format!("{}{}", server.url, below("/oauth2/token")));
                api.send(request.basic_auth(&ours.id, Some(shown)).form(&[("grant_type", "client_credentials")]))
                    .await
                    .into()
            }
            "client secret at workos" => {
                let asked = json!({ "client_secret": shown, "grant_type": "refresh_token", "refresh_token": "none" });
                let answer = at.workos.authenticate(asked).await;
                // Whoever is known is told that the grant is none.
                let known = answer.body["error"] == "invalid_grant";
                Said::answer(answer, known)
            }
            "exchange" => {
                let form = [
                    ("grant_type", EXCHANGE),
                    ("subject_token", shown),
                    ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                ];
                post(ours, &form).await
            }
            "choice at workos" => {
                let asked = json!({
                    "grant_type": "urn:workos:oauth:grant-type:organization-selection", "organization_id": "org_a",
                    "pending_authentication_token": shown,
                });
                at.workos.authenticate(asked).await.into()
            }
            "signed in silently" => {
                let mut browser = Browser::new();
                browser.cookies.insert(at.cookie(), shown.to_owned());
                let told = browser.visit(&ours.authorization_url(&[("prompt", "none")])).await.told();
                Said { opened: told.contains_key("code"), status: 303, words: json!(told), text: json!(told).to_string() }
            }
            "reset page" => {
                let url: Url = format!("{}{}", server.url, below("/reset-password")).parse().expect("an address");
                let page = Browser::new().post(url, &[("token", shown), ("password", PASSWORD)]).await;
                Said::page(&page, page.status == 200)
            }
            "revoke" => {
                let before = living(server).await;
                let answer = ours.post("/oauth2/revoke", &[("token", shown)]).await;
                let ended = living(server).await < before || answer.body["error"] == "unsupported_token_type";
                Said::answer(answer, ended)
            }
            "logout" => {
                let before = living(server).await;
                let url = Url::parse_with_params(&format!("{}{}", server.url, below("/logout")), [("id_token_hint", shown)]);
                let page = Browser::new().visit(url.expect("an address").as_str()).await;
                Said::page(&page, living(server).await < before)
            }
            unknown => panic!("there is no way to `{unknown}`"),
        }
    }
}

on_both_engines! {
    async fn whatever_is_shown_where_it_does_not_belong_is_refused_as_garbage_is(engine: Engine) {
        let allow = ["127.0.0.1".parse().expect("an address")];
        let server = TestServer::start_with(engine, |config| config.outbound_allow = allow.to_vec()).await;
        let admin = server.admin();
        for (user, email, organizations) in
            [("alice", EMAIL, &[][..]), ("bob", "bob@example.com", &[]), ("carol", CHOOSER, &["org_a", "org_b"])]
        {
            admin.account(user, email, organizations).await;
        }
        let places = [Place::create(&server, "production", "").await, Place::create(&server, "staging", "/env/staging").await];
        let mut browsers = [Browser::new(), Browser::new()];
        let mut given = Vec::new();
        for (place, browser) in places.iter().zip(&mut browsers) {
            given.push(place.everything(&server, browser).await);
        }
        let names: Vec<&str> = given[0].keys().copied().collect();
        let mut wrong = Vec::new();
        for door in &DOORS {
            for at in &places {
                // Where nothing but a wrong secret is shown all day, attempts are limited; that is not what is looked for here.
                server.database.execute("DELETE FROM attempts").await;
                let mut refusals = Vec::new();
                let under = |kid: &str| format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(json!({ "alg": "RS256", "kid": kid }).to_string()));
                for garbage in [
                    "garbage", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "eyJ", &under("a\0b"), &under("' OR '1'='1"), &under("../../etc/passwd"),
                ] {
                    let said = door.show(&server, at, garbage).await;
                    assert!(!said.opened && said.status < 500, "{}: {}", door.name, said.text);
                    refusals.push((said.status, said.words));
                }
                for ((from, given), browser) in places.iter().zip(&mut given).zip(&mut browsers) {
                    for &name in &names {
                        let shown = from.fresh(&admin, browser, name, &given[name]).await;
                        let opened_by = if at.issuer == from.issuer { door.opened_by } else { &[] };
                        let opens = opened_by.contains(&name) || door.opened_by_any.contains(&name);
                        let said = door.show(&server, at, &shown).await;
                        // Who holds a key is told what it is bound to.
                        let known = name == "api key" && [401, 403].contains(&said.status);
                        let cell = format!("{name} of `{}` at {} of `{}`", from.issuer, door.name, at.issuer);
                        if said.opened != opens {
                            wrong.push(format!("{cell}: {} {}", said.status, said.text));
                        } else if !opens && !known && !refusals.contains(&(said.status, said.words.clone())) {
                            wrong.push(format!("{cell} is told apart from garbage: {} {}", said.status, said.text));
                        }
                        let told = said.text.contains("alice") || said.text.contains(&shown);
                        if !opens && told {
                            wrong.push(format!("{cell} reveals: {}", said.text));
                        }
                        if said.opened && door.ends() {
                            *given = from.everything(&server, browser).await;
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let administrator = server.api(ADMIN_KEY);
        administrator.get("/v1/organizations").await.ok();
    }
}
