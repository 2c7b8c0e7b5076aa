//! Sessions as WorkOS's SDKs hold them: `/user_management/authenticate`, the keys, and the list of sessions.

use flagbearer_server::clock::Clock;
use flagbearer_tests::{Answer, Api, TestServer, on_both_engines};
use reqwest::Method;
use serde_json::{Value, json};

/// An application in the profile of WorkOS, with an API key of its environment.
struct Application {
    admin: Api,
    client_id: String,
    client_secret: String,
    key: String,
}

impl Application {
    async fn create(server: &TestServer, environment: &str) -> Self {
        let admin = server.admin();
        let body = json!({ "name": "app", "environment": environment, "profile": "workos" });
        let created = admin.post("/v1/applications", body).await.ok();
        let text = |name: &str| created[name].as_str().expect("text").to_owned();
        let key = admin.key("application", Some(environment)).await;
        Self { client_id: text("client_id"), client_secret: text("client_secret"), key, admin }
    }

    async fn session(&self, user: &str, organization: Option<&str>) -> Value {
        self.admin.session(&self.client_id, user, organization).await
    }

    fn refresh(&self, tokens: &Value) -> Value {
        json!({
            "grant_type": "refresh_token", "client_id": self.client_id, "client_secret": self.key,
            "refresh_token": tokens["refresh_token"],
        })
    }

    /// Sent as the SDKs do it: without a header of its own where the body holds the secret already.
    async fn authenticate(&self, body: &Value) -> Answer {
        self.authenticate_once(body, None).await
    }

    async fn authenticate_once(&self, body: &Value, idempotency_key: Option<&str>) -> Answer {
        let request = Api::new(&self.admin.url, &self.key).request(Method::POST, "/user_management/authenticate").json(body);
        self.admin.send(idempotency_key.iter().fold(request, |request, key| request.header("idempotency-key", *key))).await
    }
}

fn claims(answer: &Value) -> Value {
    use base64::Engine as _;
    let token = answer["access_token"].as_str().expect("an access token");
    let payload = token.split('.').nth(1).expect("a payload");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

on_both_engines! {
    async fn a_refresh_answers_what_the_sdks_read_and_evaluates_anew(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let admin = &application.admin;
        let user = json!({ "id": "user_ada", "email": "ada@example.org", "name": "Ada Lovelace" });
        admin.post("/v1/users", user).await.ok();
        admin.flag("beta", "boolean", json!(false)).await;
        let begun = application.session("user_ada", Some("org_x")).await;
        server.clock.advance(10);

        let answer = application.authenticate(&application.refresh(&begun)).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let first = answer.ok();
        assert_eq!((&first["user"]["object"], &first["user"]["id"]), (&json!("user"), &json!("user_ada")));
        assert_eq!((&first["user"]["first_name"], &first["user"]["last_name"]), (&json!("Ada"), &json!("Lovelace")));
        assert_eq!(first["user"], admin_user(&application, "user_ada").await, "the same as by the id");
        assert_eq!((&first["organization_id"], &first["authentication_method"]), (&json!("org_x"), &json!("ExternalAuth")));
        assert_eq!(first.get("expires_in"), None);
        assert_eq!(claims(&first)["feature_flags"], json!([]));

        admin.put("/v1/flags/beta/environments/production/targeting", json!({ "audience": "all" })).await.ok();
        let second = application.authenticate(&application.refresh(&first)).await.ok();
        assert_eq!(claims(&second)["feature_flags"], json!(["beta"]));
        for claim in ["sid", "sub", "auth_time", "org_id"] {
            assert_eq!(claims(&second)[claim], claims(&first)[claim], "{claim}");
        }
        assert_ne!(first["refresh_token"], begun["refresh_token"]);
        assert_ne!(second["refresh_token"], first["refresh_token"]);
    }

    async fn an_organization_is_switched_by_a_refresh_and_kept_by_one_that_names_none(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let admin = &application.admin;
        admin.flag("beta", "boolean", json!(false)).await;
        let some = json!({ "audience": "some", "organizations": ["org_y"] });
        admin.put("/v1/flags/beta/environments/production/targeting", some).await.ok();
        application.session("user_ada", Some("org_y")).await;
        application.session("user_bob", Some("org_z")).await;
        let begun = application.session("user_ada", Some("org_x")).await;

        let mut switch = application.refresh(&begun);
        switch["organization_id"] = json!("org_y");
        let switched = application.authenticate(&switch).await.ok();
        assert_eq!((&switched["organization_id"], &claims(&switched)["org_id"]), (&json!("org_y"), &json!("org_y")));
        assert_eq!(claims(&switched)["feature_flags"], json!(["beta"]));
        let kept = application.authenticate(&application.refresh(&switched)).await.ok();
        assert_eq!(claims(&kept)["org_id"], "org_y");

        let mut foreign = application.refresh(&kept);
        foreign["organization_id"] = json!("org_z");
        application.authenticate(&foreign).await.denied(403, "access_denied");
        // Nothing was issued, and nothing was used up.
        assert_eq!(claims(&application.authenticate(&application.refresh(&kept)).await.ok())["org_id"], "org_y");

        let alone = application.session("user_carla", None).await;
        let alone = application.authenticate(&application.refresh(&alone)).await.ok();
        assert_eq!((alone.get("organization_id"), claims(&alone).get("org_id")), (None, None));
    }

    async fn a_bad_grant_is_a_400_and_a_reused_one_ends_the_session(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let begun = application.session("user_ada", None).await;
        for token in [json!("garbage"), json!("fbr_1.ses_x.1.AAAA")] {
            application.authenticate(&application.refresh(&json!({ "refresh_token": token }))).await.denied(400, "invalid_grant");
        }
        let other = Application::create(&server, "production").await;
        other.authenticate(&other.refresh(&begun)).await.denied(400, "invalid_grant");
        let staging = Application::create(&server, "staging").await;
        staging.authenticate(&staging.refresh(&begun)).await.denied(400, "invalid_grant");

        let first = application.authenticate(&application.refresh(&begun)).await.ok();
        // Within the grace a second use gets the same successor: two requests of one browser at once.
        let again = application.authenticate(&application.refresh(&begun)).await.ok();
        assert_eq!(again["refresh_token"], first["refresh_token"]);
        let second = application.authenticate(&application.refresh(&first)).await.ok();
        server.clock.advance(60);
        application.authenticate(&application.refresh(&begun)).await.denied(400, "invalid_grant");
        let said = application.authenticate(&application.refresh(&second)).await.denied(400, "invalid_grant");
        assert!(said["error_description"].as_str().is_some_and(|text| !text.is_empty()));
    }

    async fn a_lost_answer_is_given_again_under_the_same_idempotency_key(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let begun = application.session("user_ada", None).await;
        let body = application.refresh(&begun);
        let first = application.authenticate_once(&body, Some("retry-1")).await.ok();
        server.clock.advance(120);
        assert_eq!(application.authenticate_once(&body, Some("retry-1")).await.ok(), first, "long after the grace");
        let next = application.authenticate_once(&application.refresh(&first), Some("retry-2")).await.ok();
        // Another body under the key is a mistake of the caller's, and not a use of the token in it.
        application.authenticate_once(&application.refresh(&next), Some("retry-2")).await.denied(422, "invalid_request");
        // Whoever does not know the secret is not answered from memory.
        let mut stranger = body.clone();
        stranger["client_secret"] = json!("fb_production_x_y");
        application.authenticate_once(&stranger, Some("retry-1")).await.denied(401, "invalid_client");
        server.clock.advance(181);
        application.authenticate_once(&body, Some("retry-1")).await.denied(400, "invalid_grant");
    }

    async fn a_client_shows_itself_by_its_own_secret_or_an_api_key_of_its_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let admin = &application.admin;
        let mut tokens = application.session("user_ada", None).await;
        let mut good = vec![application.client_secret.clone(), application.key.clone()];
        for role in ["editor", "administrator"] {
            good.push(admin.key(role, Some("production")).await);
        }
        for secret in good {
            let mut body = application.refresh(&tokens);
            body["client_secret"] = json!(secret);
            tokens = application.authenticate(&body).await.ok();
        }
        let header_alone = |body: &mut Value| drop(body.as_object_mut().expect("an object").remove("client_secret"));
        let mut body = application.refresh(&tokens);
        header_alone(&mut body);
        tokens = application.authenticate(&body).await.ok();

        let staging = Application::create(&server, "staging").await;
        let mut bad = vec![
            (json!("wrong"), "neither"), (json!(staging.client_secret), "neither"), (json!(staging.key), "`staging`"),
        ];
        bad.push((json!(flagbearer_tests::ADMIN_KEY), "not bound"));
        bad.push((json!(admin.key("viewer", Some("production")).await), "`viewer`"));
        for (secret, why) in bad {
            let mut body = application.refresh(&tokens);
            body["client_secret"] = secret;
            let said = application.authenticate(&body).await.denied(401, "invalid_client");
            assert!(said["error_description"].as_str().expect("words").contains(why), "{said}");
        }
        let mut body = application.refresh(&tokens);
        header_alone(&mut body);
        let bare = reqwest::Client::new().post(format!("{}/user_management/authenticate", server.url)).json(&body);
        admin.send(bare).await.denied(401, "invalid_client");
        application.authenticate(&application.refresh(&tokens)).await.ok();

        // A public application has no secret.
        let document = json!({ "name": "spa", "environment": "production", "profile": "workos", "public": true });
        let client_id = admin.post("/v1/applications", document).await.ok()["client_id"].clone();
        let tokens = admin.session(client_id.as_str().expect("a client id"), "user_ada", None).await;
        let body = json!({ "grant_type": "refresh_token", "client_id": client_id, "refresh_token": tokens["refresh_token"] });
        let bare = reqwest::Client::new().post(format!("{}/user_management/authenticate", server.url)).json(&body);
        admin.send(bare).await.ok();
    }

    async fn requests_that_cannot_be_served_say_why(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let admin = &application.admin;
        let tokens = application.session("user_ada", None).await;
        let with = |name: &str, value: Value| {
            let mut body = application.refresh(&tokens);
            body[name] = value;
            body
        };
        for (body, error) in [
            (with("client_id", json!("app_nope")), "invalid_client"),
            (with("client_id", json!("\0")), "invalid_client"),
            (with("client_id", Value::Null), "invalid_request"),
            (with("client_id", json!(1)), "invalid_request"),
            (with("refresh_token", json!("")), "invalid_request"),
            (with("grant_type", Value::Null), "invalid_request"),
            (with("grant_type", json!("client_credentials")), "unsupported_grant_type"),
            (with("grant_type", json!("urn:workos:oauth:grant-type:magic-auth:code")), "unsupported_grant_type"),
            (with("grant_type", json!("urn:workos:oauth:grant-type:email-verification:code")), "unsupported_grant_type"),
            (with("grant_type", json!("urn:workos:oauth:grant-type:mfa-totp")), "unsupported_grant_type"),
            (json!([]), "invalid_request"),
        ] {
            application.authenticate(&body).await.denied(400, error);
        }
        let post = || Api::new(&server.url, &application.key).request(Method::POST, "/user_management/authenticate");
        admin.send(post().form(&[("grant_type", "refresh_token")])).await.denied(400, "invalid_request");
        let json = |body: &'static str| post().header("content-type", "application/json").body(body);
        admin.send(json("{")).await.denied(400, "invalid_request");
        admin.send(json(r#"{"client_id":"a","client_id":"b"}"#)).await.denied(400, "invalid_request");

        // Applications of other profiles have endpoints of their own, and this one is not served at those.
        for profile in ["kinde", "flagbearer"] {
            let document = json!({ "name": "other", "environment": "production", "profile": profile, "public": true });
            let client_id = admin.post("/v1/applications", document).await.ok()["client_id"].clone();
            let other = admin.session(client_id.as_str().expect("a client id"), "user_ada", None).await;
            let mut body = with("client_id", client_id);
            body["refresh_token"] = other["refresh_token"].clone();
            application.authenticate(&body).await.denied(400, "invalid_client");
        }
        let token = tokens["refresh_token"].as_str().expect("a refresh token");
        let form = [
            ("grant_type", "refresh_token"), ("client_id", application.client_id.as_str()),
            ("client_secret", application.client_secret.as_str()), ("refresh_token", token),
        ];
        admin.token("", &form).await.denied(400, "invalid_client");
        application.authenticate(&application.refresh(&tokens)).await.ok();
    }

    async fn a_password_signs_in_and_the_application_lets_its_user_choose_an_organization(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let admin = &application.admin;
        let password = "planted horse battery staple";
        for (user, organizations) in [("user_none", vec![]), ("user_one", vec!["org_x"]), ("user_two", vec!["org_x", "org_y"])] {
            let email = format!("{user}@example.org");
            admin.post("/v1/users", json!({ "id": user, "email": email, "password": password })).await.ok();
            for organization in organizations {
                admin.post("/v1/organizations", json!({ "id": organization })).await;
                admin.put(&format!("/v1/organizations/{organization}/members/{user}"), json!({})).await.ok();
            }
        }
        let asked = |user: &str, password: &str| json!({
            "grant_type": "password", "client_id": application.client_id, "client_secret": application.key,
            "email": format!("{user}@example.org"), "password": password,
            "ip_address": "192.0.2.7", "user_agent": "a browser",
        });
        let none = application.authenticate(&asked("user_none", password)).await.ok();
        assert_eq!((&none["user"]["id"], none.get("organization_id")), (&json!("user_none"), None));
        assert_eq!(none["authentication_method"], "Password");
        let one = application.authenticate(&asked("user_one", password)).await.ok();
        assert_eq!(claims(&one)["org_id"], "org_x");
        let key = Api::new(&server.url, &application.key);
        let session = key.get("/user_management/users/user_one/sessions").await.ok()["data"][0].clone();
        assert_eq!((&session["ip_address"], &session["user_agent"]), (&json!("192.0.2.7"), &json!("a browser")));
        assert_eq!(session["auth_method"], "password");
        application.authenticate(&asked("user_one", "planted-wrong")).await.denied(400, "invalid_grant");
        application.authenticate(&asked("user_nobody", password)).await.denied(400, "invalid_grant");

        let said = application.authenticate(&asked("user_two", password)).await.denied(403, "organization_selection_required");
        assert_eq!((&said["code"], &said["user"]["id"]), (&said["error"], &json!("user_two")));
        assert_eq!(said["organizations"], json!([{ "id": "org_x", "name": "org_x" }, { "id": "org_y", "name": "org_y" }]));
        assert!(key.get("/user_management/users/user_two/sessions").await.ok()["data"] == json!([]), "nothing is issued yet");
        let chosen = |organization: &str| json!({
            "grant_type": "urn:workos:oauth:grant-type:organization-selection", "client_id": application.client_id,
            "client_secret": application.key, "pending_authentication_token": said["pending_authentication_token"],
            "organization_id": organization,
        });
        application.authenticate(&chosen("org_z")).await.denied(403, "access_denied");
        let two = application.authenticate(&chosen("org_y")).await.ok();
        assert_eq!((&claims(&two)["org_id"], &two["user"]["id"]), (&json!("org_y"), &json!("user_two")));
        let other = Application::create(&server, "production").await;
        let mut foreign = chosen("org_y");
        (foreign["client_id"], foreign["client_secret"]) = (json!(other.client_id), json!(other.key));
        other.authenticate(&foreign).await.denied(400, "invalid_grant");
        let mut garbage = chosen("org_y");
        garbage["pending_authentication_token"] = json!("garbage");
        application.authenticate(&garbage).await.denied(400, "invalid_grant");
        server.clock.advance(600);
        application.authenticate(&chosen("org_y")).await.denied(400, "invalid_grant");
    }

    async fn a_choice_of_organization_ends_with_the_password_that_it_came_by(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let (admin, password) = (&application.admin, "planted horse battery staple");
        let document = json!({ "id": "user_two", "email": "user_two@example.org", "password": password });
        admin.post("/v1/users", document).await.ok();
        for organization in ["org_x", "org_y"] {
            admin.post("/v1/organizations", json!({ "id": organization })).await.ok();
            admin.put(&format!("/v1/organizations/{organization}/members/user_two"), json!({})).await.ok();
        }
        let client = json!({ "client_id": application.client_id, "client_secret": application.key });
        let with = |others: Value| {
            let mut body = client.clone();
            body.as_object_mut().expect("an object").extend(others.as_object().expect("an object").clone());
            body
        };
        let asked = with(json!({ "grant_type": "password", "email": "user_two@example.org", "password": password }));
        let said = application.authenticate(&asked).await.denied(403, "organization_selection_required");
        let chosen = with(json!({
            "grant_type": "urn:workos:oauth:grant-type:organization-selection", "organization_id": "org_y",
            "pending_authentication_token": said["pending_authentication_token"],
        }));
        application.authenticate(&chosen).await.ok();
        admin.patch("/v1/users/user_two", json!({ "password": "another planted password" })).await.ok();
        application.authenticate(&chosen).await.denied(400, "invalid_grant");
    }

    async fn passwords_are_not_tried_through_a_public_application_nor_without_end(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let document = json!({ "name": "spa", "environment": "production", "profile": "workos", "public": true });
        let client_id = application.admin.post("/v1/applications", document).await.ok()["client_id"].clone();
        let mut asked = json!({
            "grant_type": "password", "client_id": client_id, "client_secret": application.key,
            "email": "ada@example.org", "password": "a planted wrong password",
        });
        application.authenticate(&asked).await.denied(400, "unsupported_grant_type");
        asked["client_id"] = json!(application.client_id);
        for _ in 0..10 {
            application.authenticate(&asked).await.denied(400, "invalid_grant");
        }
        let locked = application.authenticate(&asked).await;
        assert_ne!(locked.header("retry-after"), "");
        locked.denied(429, "temporarily_unavailable");
    }

    async fn the_keys_of_an_application_are_its_environments(engine: Engine) {
        let server = TestServer::start(engine).await;
        let production = Application::create(&server, "production").await;
        let staging = Application::create(&server, "staging").await;
        let anybody = Api::new(&server.url, "");
        let keys = anybody.get(&format!("/sso/jwks/{}", production.client_id)).await;
        assert_eq!(keys.header("content-type"), "application/json");
        assert_eq!(keys.body, anybody.get("/.well-known/jwks.json").await.ok());
        let algorithms: Vec<&str> =
            keys.body["keys"].as_array().expect("keys").iter().map(|key| key["alg"].as_str().expect("alg")).collect();
        assert!(algorithms.contains(&"RS256") && algorithms.contains(&"EdDSA"), "{algorithms:?}");
        let others = anybody.get(&format!("/sso/jwks/{}", staging.client_id)).await.ok();
        assert_eq!(others, anybody.get("/env/staging/.well-known/jwks.json").await.ok());
        let other = production.admin.application("production").await;
        for client_id in ["app_nope", other.as_str()] {
            let answer = anybody.get(&format!("/sso/jwks/{client_id}")).await;
            assert_eq!((answer.status, &answer.body["code"]), (404, &json!("APPLICATION_NOT_FOUND")));
            assert_eq!(answer.header("content-type"), "application/json");
        }
    }

    async fn sessions_are_listed_and_revoked_within_the_keys_environment(engine: Engine) {
        let server = TestServer::start(engine).await;
        let application = Application::create(&server, "production").await;
        let staging = Application::create(&server, "staging").await;
        let first = application.session("user_ada", Some("org_x")).await;
        server.clock.advance(5);
        let second = application.session("user_ada", None).await;
        staging.session("user_ada", None).await;
        application.session("user_bob", None).await;
        let key = Api::new(&server.url, &application.key);

        let list = key.get("/user_management/users/user_ada/sessions?order=desc").await.ok();
        let ids: Vec<&Value> = list["data"].as_array().expect("sessions").iter().map(|session| &session["id"]).collect();
        assert_eq!(ids, [&second["session_id"], &first["session_id"]]);
        assert_eq!(list["data"][1], json!({
            "object": "session", "id": first["session_id"], "user_id": "user_ada", "organization_id": "org_x",
            "ip_address": null, "user_agent": null, "auth_method": "external_auth", "status": "active",
            "expires_at": "2027-02-14T08:00:00Z", "ended_at": null,
            "created_at": "2027-01-15T08:00:00Z", "updated_at": "2027-01-15T08:00:00Z",
        }));

        let revoke = json!({ "session_id": first["session_id"] });
        let foreign = Api::new(&server.url, &staging.key).post("/user_management/sessions/revoke", revoke.clone()).await;
        assert_eq!((foreign.status, &foreign.body["code"]), (404, &json!("SESSION_NOT_FOUND")));
        let ended = key.post("/user_management/sessions/revoke", revoke).await.ok();
        assert_eq!((&ended["status"], &ended["ended_at"]), (&json!("revoked"), &json!("2027-01-15T08:00:05Z")));
        application.authenticate(&application.refresh(&first)).await.denied(400, "invalid_grant");
        application.authenticate(&application.refresh(&second)).await.ok();
        let list = key.get("/user_management/users/user_ada/sessions").await.ok();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
        let missing = key.post("/user_management/sessions/revoke", json!({})).await;
        assert_eq!((missing.status, &missing.body["code"]), (400, &json!("MEMBER_MISSING")));
        assert_eq!(missing.header("content-type"), "application/json");
        assert_eq!(key.get("/user_management/users/user_z/sessions").await.status, 404);
        assert_eq!(server.clock.now().seconds(), flagbearer_tests::BEGINNING.seconds() + 5);
    }
}

async fn admin_user(application: &Application, id: &str) -> Value {
    Api::new(&application.admin.url, &application.key).get(&format!("/user_management/users/{id}")).await.ok()
}
