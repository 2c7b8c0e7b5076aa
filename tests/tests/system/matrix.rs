//! Everything that opens something, shown everywhere else. Each of the tokens, keys and secrets below is shown at each
//! endpoint, at its own environment's issuer and at another's, by its own application and by others: what is not on the
//! diagonal is refused, in the very words in which garbage is.

use std::collections::BTreeMap;

use flagbearer_tests::{ADMIN_KEY, Answer, Browser, Client, PASSWORD, TestServer, VERIFIER, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

const EMAIL: &str = "alice@example.com";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The applications of one environment.
struct Place {
    /// Empty, or `/env/<name>`.
    issuer: &'static str,
    ours: Client,
    /// Of the same profile and environment.
    other: Client,
    kinde: Client,
    workos: Client,
    /// Bound to the environment.
    key: String,
}

impl Place {
    async fn create(server: &TestServer, environment: &str, issuer: &'static str) -> Self {
        let admin = server.admin();
        let permissions = json!({ "permissions": ["read:environment_feature_flags"] });
        let kinde = json!({ "profile": "kinde", "permissions": ["read:environment_feature_flags"] });
        Self {
            issuer,
            ours: Client::register(&admin, environment, permissions.clone()).await,
            other: Client::register(&admin, environment, permissions).await,
            kinde: Client::register(&admin, environment, kinde).await,
            workos: Client::register(&admin, environment, json!({ "profile": "workos" })).await,
            key: admin.key("application", Some(environment)).await,
        }
    }

    /// A code for Alice, who is signed in in this browser once she has been asked.
    async fn code(&self, browser: &mut Browser, client: &Client) -> String {
        let url = client.authorization_url(&[("scope", "openid profile email")]);
        let page = browser.visit(&url).await;
        let page = if page.left { page } else { browser.sign_in(&url, EMAIL, PASSWORD).await };
        page.told()["code"].clone()
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
            ("code", self.code(browser, &self.ours).await),
            ("code of another", self.code(browser, &self.other).await),
            ("api key", self.key.clone()),
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

const DOORS: [Door; 15] = [
    Door {
        name: "userinfo",
        opened_by: &["access token", "access token of another", "access token of kinde"],
        opened_by_any: &[],
    },
    Door {
        name: "user profile",
        opened_by: &["access token", "access token of another", "access token of kinde"],
        opened_by_any: &[],
    },
    Door {
        name: "account api",
        opened_by: &["access token", "access token of another", "access token of kinde"],
        opened_by_any: &[],
    },
    Door { name: "management api", opened_by: &["machine token for management", "api key"], opened_by_any: &[] },
    Door { name: "admin api", opened_by: &[], opened_by_any: &["api key"] },
    Door { name: "workos api", opened_by: &["api key"], opened_by_any: &["api key"] },
    Door { name: "asking introspection", opened_by: &["api key"], opened_by_any: &[] },
    Door { name: "introspected", opened_by: &["access token", "refresh token", "machine token"], opened_by_any: &[] },
    Door { name: "refresh", opened_by: &["refresh token"], opened_by_any: &[] },
    Door { name: "refresh by kinde", opened_by: &["refresh token of kinde"], opened_by_any: &[] },
    Door { name: "refresh at workos", opened_by: &["refresh token of workos"], opened_by_any: &[] },
    Door { name: "code", opened_by: &["code"], opened_by_any: &[] },
    Door { name: "client secret", opened_by: &["secret"], opened_by_any: &[] },
    Door { name: "client secret in the header", opened_by: &["secret"], opened_by_any: &[] },
    Door { name: "exchange", opened_by: &[], opened_by_any: &[] },
];

impl Door {
    /// Shows something here, at a place.
    async fn show(&self, server: &TestServer, at: &Place, shown: &str) -> Answer {
        let api = server.api(shown);
        let get = async |path: &str| api.send(api.request(Method::GET, path)).await;
        let below = |path: &str| format!("{}{path}", at.issuer);
        let ours = &at.ours;
        let secretless = Client { secret: None, ..ours.clone() };
        match self.name {
            "userinfo" => get(&below("/oauth2/userinfo")).await,
            "user profile" => get(&below("/oauth2/v2/user_profile")).await,
            "account api" => get(&below("/account_api/v1/feature_flags")).await,
            "management api" => get(&below("/api/v1/environment/feature_flags")).await,
            "admin api" => get("/v1/organizations").await,
            "workos api" => get("/user_management/users/alice").await,
            "asking introspection" => {
                let request = api.request(Method::POST, &below("/oauth2/introspect"));
                api.send(request.form(&[("token", "x")])).await
            }
            "introspected" => ours.post("/oauth2/introspect", &[("token", shown)]).await,
            "refresh" => ours.post("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", shown)]).await,
            "refresh by kinde" => {
                at.kinde.post("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", shown)]).await
            }
            "refresh at workos" => {
                let body = json!({
                    "client_id": at.workos.id, "client_secret": at.workos.secret, "grant_type": "refresh_token", "refresh_token": shown,
                });
                let request = reqwest::Client::new().post(format!("{}/user_management/authenticate", server.url));
                api.send(request.json(&body)).await
            }
            "code" => ours.redeem_with(shown, &[("code_verifier", VERIFIER)]).await,
            "client secret" => {
                secretless.post("/oauth2/token", &[("grant_type", "client_credentials"), ("client_secret", shown)]).await
            }
            "client secret in the header" => {
                let request = reqwest::Client::new().post(format!("{}{}", server.url, below("/oauth2/token")));
                api.send(request.basic_auth(&ours.id, Some(shown)).form(&[("grant_type", "client_credentials")])).await
            }
            "exchange" => {
                let form = [
                    ("grant_type", EXCHANGE),
                    ("subject_token", shown),
                    ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                ];
                ours.post("/oauth2/token", &form).await
            }
            unknown => panic!("there is no way to `{unknown}`"),
        }
    }

    fn opens(&self, answer: &Answer) -> bool {
        let inactive = self.name == "introspected" && answer.body["active"] == false;
        answer.status == 200 && !inactive
    }
}

/// What a refusal says, without the request's own id.
fn words(answer: &Answer) -> (u16, Value) {
    let mut body = answer.body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("instance");
    }
    (answer.status, body)
}

on_both_engines! {
    async fn whatever_is_shown_where_it_does_not_belong_is_refused_as_garbage_is(engine: Engine) {
        let server = TestServer::start(engine).await;
        server.admin().account("alice", EMAIL, &[]).await;
        let places = [Place::create(&server, "production", "").await, Place::create(&server, "staging", "/env/staging").await];
        let mut browsers = [Browser::new(), Browser::new()];
        let mut given = Vec::new();
        for (place, browser) in places.iter().zip(&mut browsers) {
            given.push(place.everything(&server, browser).await);
        }
        let mut wrong = Vec::new();
        for door in &DOORS {
            for at in &places {
                // Where nothing but a wrong secret is shown all day, attempts are limited; that is not what is looked for here.
                server.database.execute("DELETE FROM attempts").await;
                let mut refusals = Vec::new();
                for garbage in ["garbage", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "eyJ"] {
                    let answer = door.show(&server, at, garbage).await;
                    assert!(!door.opens(&answer) && answer.status < 500, "{}: {}", door.name, answer.text);
                    refusals.push(words(&answer));
                }
                for ((from, given), browser) in places.iter().zip(&given).zip(&mut browsers) {
                    for (name, shown) in given {
                        // A code is good once; all else may be shown again.
                        let shown = match *name {
                            "code" => from.code(browser, &from.ours).await,
                            "code of another" => from.code(browser, &from.other).await,
                            _ => shown.clone(),
                        };
                        let opened_by = if at.issuer == from.issuer { door.opened_by } else { &[] };
                        let opens = opened_by.contains(name) || door.opened_by_any.contains(name);
                        let answer = door.show(&server, at, &shown).await;
                        // Who holds a key is told what it is bound to.
                        let known = *name == "api key" && answer.status == 403;
                        let cell = format!("{name} of `{}` at {} of `{}`", from.issuer, door.name, at.issuer);
                        if door.opens(&answer) != opens {
                            wrong.push(format!("{cell}: {} {}", answer.status, answer.text));
                        } else if !opens && !known && !refusals.contains(&words(&answer)) {
                            wrong.push(format!("{cell} is told apart from garbage: {} {}", answer.status, answer.text));
                        }
                        let told = answer.text.contains("alice") || answer.text.contains(&shown);
                        if !opens && told {
                            wrong.push(format!("{cell} reveals: {}", answer.text));
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
