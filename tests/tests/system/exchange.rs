//! Token exchange (RFC 8693): tokens of issuers that an administrator trusts become sessions, and no others do.

use std::collections::BTreeSet;

use flagbearer::token::{Algorithm, KeySet, SigningKey};
use flagbearer_tests::{
    Answer, Api, BEGINNING, Client, Engine, Issuer, METADATA, Reply, TestServer, Upstream, claims_of, on_both_engines,
};
use reqwest::Method;
use serde_json::{Value, json};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A server that trusts an upstream issuer in production, and a backend of the application that exchanges its tokens.
struct Place {
    server: TestServer,
    admin: Api,
    upstream: Upstream,
    /// The provider's path in the API.
    provider: String,
    client_id: String,
    client_secret: String,
}

impl Place {
    async fn start(engine: Engine) -> Self {
        let server = TestServer::start_with(engine, |config| {
            config.outbound_allow = vec!["127.0.0.1".parse().expect("an address")];
        })
        .await;
        let (admin, upstream) = (server.admin(), Upstream::start().await);
        let provider = json!({
            "environment": "production", "name": "Theirs", "issuer": upstream.url, "audience": "our-api", "sign_in": false,
            "exchange": true, "create_users": true, "claims": { "user": "sub", "organization": "/app/org" },
        });
        let provider = admin.post("/v1/identity-providers", provider).await.ok();
        let provider = format!("/v1/identity-providers/{}", provider["id"].as_str().expect("an id"));
        let application = json!({ "name": "backend", "environment": "production" });
        let application = admin.post("/v1/applications", application).await.ok();
        let text = |name: &str| application[name].as_str().expect("text").to_owned();
        let (client_id, client_secret) = (text("client_id"), text("client_secret"));
        Self { server, admin, upstream, provider, client_id, client_secret }
    }

    /// Good claims; others are put over them.
    fn claims(&self, others: Value) -> Value {
        let mut claims = json!({ "sub": "kp_1", "aud": "our-api", "app": { "org": "org_1" } });
        for (name, value) in others.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        claims
    }

    fn token(&self, others: Value) -> String {
        self.upstream.token(self.claims(others))
    }

    async fn exchange(&self, token: &str) -> Answer {
        self.exchange_with(token, &[]).await
    }

    /// The same with other or more members of the form; an empty one is left out.
    async fn exchange_with(&self, token: &str, others: &[(&str, &str)]) -> Answer {
        self.admin.token("", &self.form(token, others)).await
    }

    fn form<'a>(&'a self, token: &'a str, others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut form = vec![
            ("grant_type", GRANT),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.as_str()),
            ("subject_token", token),
            ("subject_token_type", JWT),
        ];
        form.retain(|(name, _)| !others.iter().any(|(other, _)| other == name));
        form.extend(others);
        form
    }

    async fn refused(&self, token: &str, reason: &str) {
        let denied = self.exchange(token).await.denied(400, "invalid_request");
        let said = denied["error_description"].as_str().expect("a description");
        assert!(said.contains(reason), "{said} does not say {reason}");
    }
}

on_both_engines! {
    async fn a_token_of_theirs_becomes_a_session_of_ours(engine: Engine) {
        let place = Place::start(engine).await;
        place.admin.flag("f", "boolean", json!(true)).await;
        let token = place.token(json!({ "auth_time": BEGINNING.seconds() - 60, "email": "a@example.com", "email_verified": true, "name": "Ada" }));
        let tokens = place.exchange(&token).await;
        assert_eq!(tokens.header("cache-control"), "no-store");
        let tokens = tokens.ok();
        assert_eq!((&tokens["issued_token_type"], &tokens["token_type"]), (&json!(ACCESS_TOKEN), &json!("Bearer")));
        let issuer = Issuer::discover(&place.admin, "", &place.client_id).await;
        let claims = issuer.claims(&tokens, BEGINNING);
        assert_eq!((&claims["sub"], &claims["org_id"]), (&json!("kp_1"), &json!("org_1")));
        assert_eq!(claims["auth_time"], BEGINNING.seconds() - 60);
        assert_eq!(claims["feature_flags"]["f"]["v"], true);
        let session = format!("/v1/sessions/{}", tokens["session_id"].as_str().expect("an id"));
        assert_eq!(place.admin.get(&session).await.ok()["method"], "exchange");
        let user = place.admin.get("/v1/users/kp_1").await.ok();
        assert_eq!((&user["email"], &user["email_verified"], &user["name"]), (&json!("a@example.com"), &json!(true), &json!("Ada")));
        let refresh_token = tokens["refresh_token"].as_str().expect("a refresh token");
        let refresh = [("grant_type", "refresh_token"), ("client_id", &place.client_id), ("client_secret", &place.client_secret),
                       ("refresh_token", refresh_token)];
        place.admin.token("", &refresh).await.ok();
        let metadata = place.admin.get("/.well-known/openid-configuration").await.ok();
        assert!(metadata["grant_types_supported"].as_array().expect("grants").contains(&json!(GRANT)));
    }

    async fn only_a_token_that_says_who_it_is_for_us_is_taken(engine: Engine) {
        let place = Place::start(engine).await;
        place.exchange(&place.token(json!({ "aud": ["another", "our-api"] }))).await.ok();
        let now = BEGINNING.seconds();
        for (claims, reason) in [
            (json!({ "aud": "another-api" }), "AUDIENCE_MISMATCH"),
            (json!({ "aud": [] }), "AUDIENCE_MISMATCH"),
            (json!({ "exp": now - 6 }), "TOKEN_EXPIRED"),
            (json!({ "exp": null }), "TOKEN_MALFORMED"),
            (json!({ "exp": (now + 60).to_string() }), "TOKEN_MALFORMED"),
            (json!({ "nbf": now + 60 }), "TOKEN_NOT_YET_VALID"),
            (json!({ "iat": now + 60 }), "TOKEN_NOT_YET_VALID"),
            (json!({ "sub": "" }), "CLAIM_MISSING"),
            (json!({ "events": {} }), "TYPE_INVALID"),
            (json!({ "iss": "https://another.example.com" }), "tokens of its issuer are not exchanged here"),
            (json!({ "iss": format!("{}/", place.upstream.url) }), "tokens of its issuer are not exchanged here"),
            (json!({ "iss": "a\u{0}b" }), "tokens of its issuer are not exchanged here"),
            (json!({ "iss": 7 }), "tokens of its issuer are not exchanged here"),
            (json!({ "app": { "org": ["org_1"] } }), "`/app/org` is neither text nor a whole number"),
            (json!({ "app": { "org": "a\u{0}b" } }), "`/app/org` is no id"),
        ] {
            place.refused(&place.token(claims), reason).await;
        }
        let missing = place.upstream.token(json!({ "aud": "our-api" }));
        place.refused(&missing, "CLAIM_MISSING").await;
        for token in ["x", "a.b.c", "é", &"a".repeat(60_000)] {
            place.refused(token, "TOKEN_MALFORMED").await;
        }
        for token_type in ["logout+jwt", "secevent+jwt", "dpop+jwt"] {
            place.refused(&place.upstream.typed_token(token_type, place.claims(json!({}))), "TYPE_INVALID").await;
        }
        // One of ours is none of theirs.
        let ours = place.exchange(&place.token(json!({}))).await.ok();
        place.refused(ours["access_token"].as_str().expect("a token"), "tokens of its issuer are not exchanged here").await;
    }

    async fn no_key_but_the_issuers_own_is_believed(engine: Engine) {
        let place = Place::start(engine).await;
        place.exchange(&place.token(json!({}))).await.ok();
        let stranger = SigningKey::generate(Algorithm::Es256).expect("a key");
        place.refused(&place.upstream.forged(&stranger, place.claims(json!({}))), "KEY_UNKNOWN").await;
        // Another provider's key, in the name of this issuer.
        let other = Upstream::start().await;
        let provider = json!({
            "environment": "production", "name": "Other", "issuer": other.url, "audience": "our-api", "sign_in": false,
            "exchange": true, "create_users": true,
        });
        place.admin.post("/v1/identity-providers", provider).await.ok();
        place.exchange(&other.token(place.claims(json!({})))).await.ok();
        place.refused(&place.upstream.forged(&other.key(), place.claims(json!({}))), "KEY_UNKNOWN").await;
        // A signature that is cut off, and one by no algorithm at all.
        let good = place.token(json!({}));
        let (signed, _) = good.rsplit_once('.').expect("a signature");
        place.refused(&format!("{signed}."), "SIGNATURE_INVALID").await;
        let payload = signed.split_once('.').expect("a payload").1;
        place.refused(&format!("eyJhbGciOiJub25lIn0.{payload}."), "ALGORITHM_UNSUPPORTED").await;
        place.refused(&format!("eyJhbGciOiJIUzI1NiJ9.{payload}.AAAA"), "ALGORITHM_UNSUPPORTED").await;
    }

    async fn each_type_of_token_is_what_it_says(engine: Engine) {
        let place = Place::start(engine).await;
        let (id_token, access_token) = (place.token(json!({})), place.upstream.typed_token("at+jwt", place.claims(json!({}))));
        for (token, token_type, good) in [
            (&id_token, JWT, true), (&id_token, ID_TOKEN, true), (&id_token, ACCESS_TOKEN, true),
            (&access_token, JWT, true), (&access_token, ID_TOKEN, false), (&access_token, ACCESS_TOKEN, true),
        ] {
            let answer = place.exchange_with(token, &[("subject_token_type", token_type)]).await;
            assert_eq!(answer.status, if good { 200 } else { 400 }, "{token_type}: {}", answer.text);
        }
        // Without an audience, there is our client id: in ID tokens, and in nothing else.
        place.admin.patch(&place.provider, json!({ "audience": null, "client_id": "our-client" })).await.ok();
        let id_token = place.token(json!({ "aud": "our-client" }));
        let access_token = place.upstream.typed_token("at+jwt", place.claims(json!({ "aud": "our-client" })));
        for (token, token_type, good) in [
            (&id_token, JWT, true), (&id_token, ID_TOKEN, true), (&id_token, ACCESS_TOKEN, false),
            (&access_token, JWT, false), (&access_token, ID_TOKEN, false), (&access_token, ACCESS_TOKEN, false),
        ] {
            let answer = place.exchange_with(token, &[("subject_token_type", token_type)]).await;
            assert_eq!(answer.status, if good { 200 } else { 400 }, "{token_type}: {}", answer.text);
        }
    }

    async fn a_request_for_anything_else_is_refused(engine: Engine) {
        let place = Place::start(engine).await;
        let token = place.token(json!({}));
        for (others, error) in [
            (vec![("subject_token", "")], "invalid_request"),
            (vec![("subject_token_type", "")], "invalid_request"),
            (vec![("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")], "invalid_request"),
            (vec![("actor_token", token.as_str()), ("actor_token_type", JWT)], "invalid_request"),
            (vec![("actor_token_type", JWT)], "invalid_request"),
            (vec![("requested_token_type", ID_TOKEN)], "invalid_request"),
            (vec![("audience", "another-api")], "invalid_target"),
            (vec![("resource", "https://api.example.com")], "invalid_target"),
            (vec![("audience", "a"), ("audience", "b")], "invalid_target"),
        ] {
            place.exchange_with(&token, &others).await.denied(400, error);
        }
        let fine = [("audience", place.client_id.as_str()), ("requested_token_type", ACCESS_TOKEN), ("scope", "openid admin openid")];
        let tokens = place.exchange_with(&token, &fine).await.ok();
        assert_eq!(tokens["scope"], "openid", "nothing is granted that only its client says");
        assert!(tokens["id_token"].is_string());
        assert!(place.admin.get("/v1/sessions?limit=10").await.ok()["data"].as_array().is_some_and(|all| all.len() == 1));
    }

    async fn only_a_client_that_keeps_a_secret_exchanges(engine: Engine) {
        let place = Place::start(engine).await;
        let token = place.token(json!({}));
        place.exchange_with(&token, &[("client_secret", "")]).await.denied(401, "invalid_client");
        place.exchange_with(&token, &[("client_secret", "wrong")]).await.denied(401, "invalid_client");
        let public = place.admin.application("production").await;
        place.exchange_with(&token, &[("client_id", &public), ("client_secret", "")]).await.denied(400, "unauthorized_client");
        let vendor = json!({ "name": "w", "environment": "production", "profile": "workos" });
        let vendor = place.admin.post("/v1/applications", vendor).await.ok();
        let (id, secret) = (vendor["client_id"].as_str().expect("an id"), vendor["client_secret"].as_str().expect("a secret"));
        place.exchange_with(&token, &[("client_id", id), ("client_secret", secret)]).await.denied(400, "invalid_client");
        assert_eq!(place.upstream.key_fetches(), 0, "strangers have nothing fetched");
        // The client and the provider are production's.
        let form = place.form(&token, &[]);
        place.admin.token("/env/staging", &form).await.denied(401, "invalid_client");
    }

    async fn who_is_not_known_is_created_or_refused(engine: Engine) {
        let place = Place::start(engine).await;
        place.admin.patch(&place.provider, json!({ "create_users": false })).await.ok();
        place.refused(&place.token(json!({})), "the user is not known here").await;
        place.admin.get("/v1/users/kp_1").await.refused(404, "USER_NOT_FOUND");
        place.admin.post("/v1/users", json!({ "id": "kp_1", "email": "mine@example.com" })).await.ok();
        place.exchange(&place.token(json!({}))).await.denied(403, "access_denied");
        place.admin.get("/v1/organizations/org_1").await.refused(404, "ORGANIZATION_NOT_FOUND");
        place.exchange(&place.token(json!({ "app": {} }))).await.ok();
        place.admin.post("/v1/organizations", json!({ "id": "org_1" })).await.ok();
        place.exchange(&place.token(json!({}))).await.denied(403, "access_denied");
        place.admin.put("/v1/organizations/org_1/members/kp_1", json!({ "roles": ["owner"] })).await.ok();
        let tokens = place.exchange(&place.token(json!({ "email": "theirs@example.com", "email_verified": true }))).await.ok();
        let issuer = Issuer::discover(&place.admin, "", &place.client_id).await;
        assert_eq!(issuer.claims(&tokens, BEGINNING)["roles"], json!(["owner"]));
        assert_eq!(place.admin.get("/v1/users/kp_1").await.ok()["email"], "mine@example.com", "what is known here stays");

        place.admin.patch(&place.provider, json!({ "create_users": true })).await.ok();
        let before = place.admin.revision("production").await;
        place.exchange(&place.token(json!({ "sub": "kp_2", "app": { "org": "org_2" } }))).await.ok();
        place.admin.get("/v1/organizations/org_2/members/kp_2").await.ok();
        assert_eq!(place.admin.revision("production").await, before, "what is bare is no change");
    }

    async fn without_a_mapping_users_are_known_by_issuer_and_sub(engine: Engine) {
        let place = Place::start(engine).await;
        place.admin.patch(&place.provider, json!({ "claims": null })).await.ok();
        place.admin.post("/v1/users", json!({ "id": "kp_1", "email": "a@example.com", "password": "planted horse battery" })).await.ok();
        let issuer = Issuer::discover(&place.admin, "", &place.client_id).await;
        let mut users = BTreeSet::new();
        for email in ["a@example.com", "A@Example.com", "b@example.com"] {
            let claims = json!({ "email": email, "email_verified": true });
            let tokens = place.exchange(&place.token(claims)).await.ok();
            users.insert(issuer.claims(&tokens, BEGINNING)["sub"].as_str().expect("a user").to_owned());
        }
        let users: Vec<String> = users.into_iter().collect();
        let [user] = users.as_slice() else { panic!("one identity has several users: {users:?}") };
        assert!(user.starts_with("usr_"), "an address or a `sub` made somebody another's user: {user}");
        let stored = place.admin.get(&format!("/v1/users/{user}")).await.ok();
        assert_eq!(stored["email"], Value::Null, "an address that somebody signs in with is theirs alone");
        let other = place.exchange(&place.token(json!({ "sub": "kp_2", "email": "c@example.com", "email_verified": false }))).await.ok();
        let other = issuer.claims(&other, BEGINNING)["sub"].as_str().expect("a user").to_owned();
        assert_ne!(&other, user);
        assert_eq!(place.admin.get(&format!("/v1/users/{other}")).await.ok()["email"], Value::Null, "nobody vouches for it");
        // Deleted here, the account is not there any more; whoever comes again is new.
        place.admin.delete(&format!("/v1/users/{user}")).await.ok();
        let again = place.exchange(&place.token(json!({}))).await.ok();
        assert_ne!(issuer.claims(&again, BEGINNING)["sub"], json!(user));
    }

    async fn first_sign_ins_at_once_make_one_user(engine: Engine) {
        let place = Place::start(engine).await;
        place.admin.patch(&place.provider, json!({ "claims": { "organization": "/app/org" } })).await.ok();
        let token = place.token(json!({}));
        let issuer = Issuer::discover(&place.admin, "", &place.client_id).await;
        let mut under_way = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (admin, form) = (place.admin.clone(), place.form(&token, &[]));
            let form: Vec<(String, String)> = form.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            under_way.spawn(async move {
                let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                admin.token("", &form).await.ok()
            });
        }
        let answers = under_way.join_all().await;
        let users: BTreeSet<String> = answers.iter().map(|tokens| issuer.claims(tokens, BEGINNING)["sub"].to_string()).collect();
        assert_eq!(users.len(), 1, "{users:?}");
        let made = place.admin.get("/v1/users").await.ok();
        assert_eq!(made["data"].as_array().map(Vec::len), Some(1), "{made}");
    }

    async fn unknown_keys_have_the_issuers_fetched_once(engine: Engine) {
        let place = Place::start(engine).await;
        place.exchange(&place.token(json!({}))).await.ok();
        assert_eq!(place.upstream.key_fetches(), 1);
        place.upstream.rotate();
        let token = place.token(json!({}));
        let mut under_way = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (admin, form) = (place.admin.clone(), place.form(&token, &[]));
            let form: Vec<(String, String)> = form.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            under_way.spawn(async move {
                let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                admin.token("", &form).await.ok()
            });
        }
        under_way.join_all().await;
        assert_eq!(place.upstream.key_fetches(), 2, "a hundred who waited for one new key");
        // Whoever makes keys up has none fetched before half a minute has passed.
        let stranger = SigningKey::generate(Algorithm::Es256).expect("a key");
        let forged = place.upstream.forged(&stranger, place.claims(json!({})));
        place.refused(&forged, "KEY_UNKNOWN").await;
        place.server.clock.advance(29);
        place.refused(&forged, "KEY_UNKNOWN").await;
        assert_eq!(place.upstream.key_fetches(), 2);
        place.server.clock.advance(1);
        place.refused(&forged, "KEY_UNKNOWN").await;
        assert_eq!(place.upstream.key_fetches(), 3);
        place.exchange(&token).await.ok();
    }

    async fn keys_serve_for_a_day_while_their_issuer_is_away(engine: Engine) {
        let place = Place::start(engine).await;
        let later = |seconds: i64| json!({ "iat": BEGINNING.seconds() + seconds, "exp": BEGINNING.seconds() + seconds + 60 });
        place.exchange(&place.token(json!({}))).await.ok();
        place.upstream.reply_keys(Reply::Other(503, "text/plain", "away".to_owned()));
        place.server.clock.advance(3600);
        place.exchange(&place.token(later(3600))).await.ok();
        let day = 24 * 3600;
        place.server.clock.advance(day - 3600);
        place.exchange(&place.token(later(day))).await.denied(503, "temporarily_unavailable");
        place.upstream.publish(&[&place.upstream.key()]);
        place.server.clock.advance(60);
        place.exchange(&place.token(later(day + 60))).await.ok();
    }

    async fn keys_whose_place_is_named_are_fetched_there_and_nothing_else_is(engine: Engine) {
        let place = Place::start(engine).await;
        let named = json!({ "jwks_uri": format!("{}/named", place.upstream.url) });
        place.admin.patch(&place.provider, named).await.ok();
        let publish = |key: &SigningKey| {
            let keys: KeySet = std::iter::once(key.public_key().expect("a public key")).collect();
            place.upstream.reply("/named", Reply::Json(serde_json::from_str(&keys.to_json()).expect("a key set")));
        };
        publish(&place.upstream.key());
        place.exchange(&place.token(json!({}))).await.ok();
        // Other keys, and another hour: nothing sends the server back to the metadata.
        place.upstream.rotate();
        publish(&place.upstream.key());
        place.server.clock.advance(3600);
        let now = BEGINNING.seconds() + 3600;
        place.exchange(&place.token(json!({ "iat": now, "exp": now + 60 }))).await.ok();
        assert_eq!(place.upstream.asked("/named").len(), 2);
        assert_eq!((place.upstream.asked(METADATA).len(), place.upstream.key_fetches()), (0, 0));
    }

    async fn an_application_of_kindes_profile_gets_all_three_tokens(engine: Engine) {
        let place = Place::start(engine).await;
        let kinde = Client::register(&place.admin, "production", json!({ "profile": "kinde" })).await;
        let client = [("client_id", kinde.id.as_str()), ("client_secret", kinde.secret.as_deref().expect("a secret"))];
        let mut tokens = place.exchange_with(&place.token(json!({})), &client).await.ok();
        assert_eq!(tokens["issued_token_type"], ACCESS_TOKEN);
        for _ in 0..2 {
            assert!(tokens["refresh_token"].is_string(), "{tokens}");
            let (access, id) = (claims_of(&tokens["access_token"]), claims_of(&tokens["id_token"]));
            assert_eq!((&access["sub"], &access["org_code"], &access["azp"]), (&json!("kp_1"), &json!("org_1"), &json!(kinde.id)));
            assert_eq!((&id["sub"], &id["aud"], &id["org_codes"]), (&json!("kp_1"), &json!([kinde.id]), &json!(["org_1"])));
            tokens = kinde.refresh(&tokens).await.ok();
        }
    }

    async fn a_hostile_issuer_costs_seconds_and_nothing_else(engine: Engine) {
        let place = Place::start(engine).await;
        let token = place.token(json!({ "exp": BEGINNING.seconds() + 100_000 }));
        let metadata = json!({ "issuer": place.upstream.url, "jwks_uri": format!("{}/keys", place.upstream.url) });
        let lie = |name: &str, value: &str| {
            let mut metadata = metadata.clone();
            metadata[name] = json!(value);
            Reply::Json(metadata)
        };
        let html = || Reply::Other(200, "text/html", "<!doctype html><p>Log in".to_owned());
        for (path, reply) in [
            ("/keys", Reply::Endless { announced: true }),
            ("/keys", Reply::Endless { announced: false }),
            ("/keys", Reply::Redirect("http://169.254.169.254/latest/meta-data/".to_owned())),
            ("/keys", Reply::Redirect(format!("{}/elsewhere", place.upstream.url))),
            ("/keys", html()),
            ("/keys", Reply::Json(json!({ "keys": [] }))),
            ("/keys", Reply::Stuck),
            (METADATA, html()),
            (METADATA, Reply::Other(500, "text/plain", "no".to_owned())),
            (METADATA, lie("issuer", "https://login.example.com")),
            (METADATA, lie("jwks_uri", "http://169.254.169.254/keys")),
            (METADATA, lie("jwks_uri", "http://10.0.0.1/keys")),
            (METADATA, lie("jwks_uri", "file:///etc/passwd")),
        ] {
            let fetches = place.upstream.asked("/elsewhere").len();
            place.upstream.publish(&[&place.upstream.key()]);
            place.upstream.reply(METADATA, Reply::Json(metadata.clone()));
            place.upstream.reply(path, reply.clone());
            let answer = place.exchange(&token).await;
            assert_eq!((answer.status, &answer.body["error"]), (503, &json!("temporarily_unavailable")), "{path} {reply:?}");
            assert_eq!(answer.header("retry-after"), "1");
            assert_eq!(place.upstream.asked("/elsewhere").len(), fetches, "a redirect was followed");
            place.server.clock.advance(31);
        }
        place.upstream.publish(&[&place.upstream.key()]);
        place.upstream.reply(METADATA, Reply::Json(metadata));
        place.exchange(&token).await.ok();
    }

    async fn a_retry_with_its_key_is_answered_the_same(engine: Engine) {
        let place = Place::start(engine).await;
        let token = place.token(json!({}));
        let send = async |token: &str| {
            let form = place.form(token, &[]);
            let request = place.admin.request(Method::POST, "/oauth2/token").header("idempotency-key", "once");
            let mut request = request.form(&form).build().expect("a request");
            request.headers_mut().remove("authorization");
            place.admin.execute(request).await
        };
        let first = send(&token).await.ok();
        assert_eq!(send(&token).await.ok(), first);
        assert_eq!(send(&place.token(json!({ "sub": "kp_2" }))).await.status, 422);
        assert_eq!(place.admin.get("/v1/sessions").await.ok()["data"].as_array().map(Vec::len), Some(1));
    }

    async fn a_provider_that_is_switched_off_lets_nobody_in(engine: Engine) {
        let place = Place::start(engine).await;
        let token = place.token(json!({}));
        place.exchange(&token).await.ok();
        place.admin.patch(&place.provider, json!({ "exchange": false })).await.ok();
        place.refused(&token, "tokens of its issuer are not exchanged here").await;
        place.admin.patch(&place.provider, json!({ "exchange": true, "audience": "another" })).await.ok();
        place.refused(&token, "AUDIENCE_MISMATCH").await;
        place.admin.delete(&place.provider).await;
        place.refused(&token, "tokens of its issuer are not exchanged here").await;
    }
}
