//! Signing in with an account that somebody has elsewhere, by what the sign-in pages call: at a real OpenID provider
//! (`tests/oidc`), and at ones that are wrong in a single thing.

use std::collections::HashMap;

use flagbearer_server::config::Config;
use flagbearer_server::issuer::{Begun, Issuer, Returned, UpstreamRefused};
use flagbearer_server::secret::hash;
use flagbearer_server::store::User;
use flagbearer_tests::{Api, Browser, Engine, METADATA, OpenIdProvider, Reply, TestServer, Upstream, on_both_engines};
use reqwest::Url;
use serde_json::{Value, json};

const SECRET: &str = "planted-upstream-secret-0123456789";

/// A server, and beside it the part of another one that its pages call.
struct Place {
    server: TestServer,
    admin: Api,
    issuer: Issuer,
}

impl Place {
    async fn start(engine: Engine) -> Self {
        let allow = |config: &mut Config| config.outbound_allow = vec!["127.0.0.1".parse().expect("an address")];
        let server = TestServer::start_with(engine, allow).await;
        let issuer = server.issuer().await;
        Self { admin: server.admin(), server, issuer }
    }

    /// Creates a provider with more members, and answers its id.
    async fn provider(&self, issuer: &str, others: Value) -> String {
        let mut document = json!({
            "environment": "production", "name": "Theirs", "issuer": issuer, "client_id": "flagbearer",
            "client_secret": SECRET, "create_users": true,
        });
        for (name, value) in others.as_object().expect("members") {
            document[name] = value.clone();
        }
        self.admin.post("/v1/identity-providers", document).await.ok()["id"].as_str().expect("an id").to_owned()
    }

    async fn begin(&self, provider: &str) -> Begun {
        self.issuer.begin_upstream("production", provider).await.expect("the provider is there")
    }

    async fn finish(
        &self,
        provider: &str,
        begun: &Begun,
        code: &str,
        issuer: Option<&str>,
    ) -> Result<User, UpstreamRefused> {
        let (nonce, verifier) = (begun.nonce.as_str(), begun.verifier.as_str());
        let environment = "production";
        self.issuer.finish_upstream(&Returned { environment, provider, code, issuer, nonce, verifier }).await
    }
}

fn parameters(url: &str) -> HashMap<String, String> {
    Url::parse(url).expect("a URL").query_pairs().into_owned().collect()
}

on_both_engines! {
    async fn users_sign_in_at_a_real_provider(engine: Engine) {
        let place = Place::start(engine).await;
        let callback = format!("{}/sign-in/callback", place.server.url);
        for authentication in ["client_secret_basic", "client_secret_post"] {
            let theirs = OpenIdProvider::start(&callback, authentication).await;
            place.server.live_in_the_present();
            let document = json!({ "client_id": theirs.client_id, "client_secret": theirs.client_secret });
            let provider = place.provider(&theirs.issuer, document).await;
            let mut ids = Vec::new();
            for login in ["ada", "ada", "unverified-bob"] {
                let begun = place.begin(&provider).await;
                let back = parameters(&theirs.sign_in(&mut Browser::new(), &begun.url, login).await);
                assert_eq!(back["state"], begun.state);
                let user = place.finish(&provider, &begun, &back["code"], back.get("iss").map(String::as_str)).await;
                let user = user.expect("somebody is signed in");
                let verified = login == "ada";
                assert_eq!(user.email, verified.then(|| format!("{login}@example.com")));
                assert_eq!((user.email_verified, user.name), (verified, Some(format!("{login} of upstream"))));
                assert!(user.last_sign_in_at.is_some());
                // A code that comes again lets nobody in.
                let again = place.finish(&provider, &begun, &back["code"], back.get("iss").map(String::as_str)).await;
                let Err(UpstreamRefused::Provider { reason, .. }) = again else { panic!("{again:?}") };
                assert_eq!(reason, "its token endpoint answered with the status 400: invalid_grant");
                ids.push(user.id);
            }
            assert!(ids[0] == ids[1] && ids[1] != ids[2] && ids[0].starts_with("usr_"), "{ids:?}");
            // Without its issuer in the answer, where the provider says that it is there: another provider's answer.
            let begun = place.begin(&provider).await;
            let back = parameters(&theirs.sign_in(&mut Browser::new(), &begun.url, "ada").await);
            for issuer in [None, Some("https://login.example.com")] {
                let refused = place.finish(&provider, &begun, &back["code"], issuer).await;
                assert!(matches!(refused, Err(UpstreamRefused::Provider { .. })), "{refused:?}");
            }
        }
    }

    async fn a_sign_in_asks_for_what_the_provider_is_set_to(engine: Engine) {
        let place = Place::start(engine).await;
        let upstream = Upstream::start().await;
        let provider = place.provider(&upstream.url, json!({ "scopes": ["openid", "groups"] })).await;
        let (begun, other) = (place.begin(&provider).await, place.begin(&provider).await);
        assert!(begun.url.starts_with(&format!("{}/authorize?tenant=1&", upstream.url)), "{}", begun.url);
        let asked = parameters(&begun.url);
        let expected = json!({
            "tenant": "1", "response_type": "code", "client_id": "flagbearer", "scope": "openid groups", "state": begun.state,
            "redirect_uri": format!("{}/sign-in/callback", place.server.url), "nonce": begun.nonce,
            "code_challenge": hash(begun.verifier.as_bytes()), "code_challenge_method": "S256",
        });
        assert_eq!(json!(asked), expected);
        assert!((43..=128).contains(&begun.verifier.len()));
        assert!(begun.state != other.state && begun.nonce != other.nonce && begun.verifier != other.verifier);
        assert_eq!(upstream.asked(METADATA).len(), 1, "what it said of itself is remembered");

        let choices = place.issuer.upstream_choices("production").await.expect("choices");
        assert_eq!(choices.iter().map(|choice| (&choice.id, choice.name.as_str())).collect::<Vec<_>>(), [(&provider, "Theirs")]);
        assert!(place.issuer.upstream_choices("staging").await.expect("choices").is_empty());
        for (environment, id) in [("staging", provider.as_str()), ("production", "idp_unknown"), ("production", "a\0b")] {
            let refused = place.issuer.begin_upstream(environment, id).await;
            assert!(matches!(refused, Err(UpstreamRefused::Unknown)), "{environment} {id}");
        }
        place.admin.patch(&format!("/v1/identity-providers/{provider}"), json!({ "sign_in": false })).await.ok();
        assert!(matches!(place.issuer.begin_upstream("production", &provider).await, Err(UpstreamRefused::Unknown)));
        assert!(place.issuer.upstream_choices("production").await.expect("choices").is_empty());
    }

    async fn an_id_token_that_is_wrong_in_one_thing_lets_nobody_in(engine: Engine) {
        let place = Place::start(engine).await;
        let upstream = Upstream::start().await;
        let provider = place.provider(&upstream.url, json!({})).await;
        let begun = place.begin(&provider).await;
        let good = json!({ "sub": "1", "aud": "flagbearer", "nonce": begun.nonce });
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            upstream.token(claims)
        };
        let finish = async |id_token: String| {
            upstream.reply("/token", Reply::Json(json!({ "token_type": "Bearer", "access_token": "a", "id_token": id_token })));
            place.finish(&provider, &begun, "the-code", None).await
        };
        let user = finish(upstream.token(good.clone())).await.expect("a good one");
        assert_eq!(finish(with("azp", json!("flagbearer"))).await.expect("its own").id, user.id);
        let both = json!({ "sub": "1", "aud": ["flagbearer", "other"], "azp": "flagbearer", "nonce": begun.nonce });
        assert_eq!(finish(upstream.token(both)).await.expect("its own").id, user.id);
        for (id_token, fault) in [
            (with("nonce", json!("another")), "the nonce is not the one that was sent"),
            (upstream.token(json!({ "sub": "1", "aud": "flagbearer" })), "the nonce is not the one that was sent"),
            (with("aud", json!("another")), "AUDIENCE_MISMATCH"),
            (with("aud", json!(["flagbearer", "another"])), "another client (`azp`)"),
            (with("azp", json!("another")), "another client (`azp`)"),
            (with("iss", json!("https://login.example.com")), "ISSUER_MISMATCH"),
            (with("exp", json!(1)), "TOKEN_EXPIRED"),
            (upstream.typed_token("at+jwt", good.clone()), "TYPE_INVALID"),
            ("garbage".to_owned(), "TOKEN_MALFORMED"),
        ] {
            let refused = finish(id_token).await;
            let Err(UpstreamRefused::Provider { reason, .. }) = &refused else { panic!("{fault}: {refused:?}") };
            assert!(reason.contains(fault), "{reason}");
        }
        let asked = &upstream.asked("/token")[0];
        assert!(asked.body.contains("code=the-code&redirect_uri=http%3A%2F%2F127.0.0.1%3A"), "{}", asked.body);
        assert!(asked.body.contains(&format!("code_verifier={}", begun.verifier)) && !asked.body.contains(SECRET), "{}", asked.body);
    }

    async fn a_token_endpoint_that_fails_says_so_to_administrators(engine: Engine) {
        let place = Place::start(engine).await;
        let upstream = Upstream::start().await;
        let provider = place.provider(&upstream.url, json!({})).await;
        let begun = place.begin(&provider).await;
        let oauth = |status: u16, body: &str| Reply::Other(status, "application/json", body.to_owned());
        for (reply, fault) in [
            (oauth(400, r#"{"error":"invalid_client","error_description":"<script>"}"#), "the status 400: invalid_client"),
            (oauth(401, r#"{"error":"<script>alert(1)</script>"}"#), "the status 401: no OAuth error"),
            (oauth(500, "oops"), "the status 500: no OAuth error"),
            (oauth(200, "{}"), "without an ID token"),
            (oauth(200, r#"{"id_token":7}"#), "without an ID token"),
            (Reply::Redirect("http://169.254.169.254/".to_owned()), "the status 302"),
            (Reply::Endless { announced: false }, "more than 1048576 bytes"),
        ] {
            upstream.reply("/token", reply);
            let refused = place.finish(&provider, &begun, "c", None).await;
            let Err(UpstreamRefused::Provider { reason, .. }) = &refused else { panic!("{fault}: {refused:?}") };
            assert!(reason.contains(fault) && !reason.contains('<'), "{reason}");
        }
    }

    async fn metadata_is_believed_of_its_own_issuer_alone_and_kept_while_it_is_away(engine: Engine) {
        let place = Place::start(engine).await;
        let upstream = Upstream::start().await;
        let provider = place.provider(&upstream.url, json!({})).await;
        let url = upstream.url.clone();
        let good = json!({
            "issuer": url, "jwks_uri": format!("{url}/keys"), "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
        });
        for (name, value, fault) in [
            ("issuer", json!("https://login.example.com"), "of another issuer"),
            ("issuer", json!(format!("{url}/")), "of another issuer"),
            ("authorization_endpoint", json!("javascript:alert(1)"), "`authorization_endpoint`"),
            ("authorization_endpoint", json!("http://login.example.com/"), "`http` is not safe"),
            ("authorization_endpoint", json!(null), "`authorization_endpoint`"),
            ("token_endpoint", json!("https://169.254.169.254/token"), "link-local"),
            ("token_endpoint", json!(format!("{url}/token#a")), "fragment"),
            ("token_endpoint_auth_methods_supported", json!("client_secret_basic"), "must be an array"),
        ] {
            let mut metadata = good.clone();
            metadata[name] = value;
            upstream.reply(METADATA, Reply::Json(metadata));
            let refused = place.issuer.begin_upstream("production", &provider).await;
            let Err(UpstreamRefused::Provider { reason, .. }) = &refused else { panic!("{name}: {refused:?}") };
            assert!(reason.contains(fault), "{reason}");
            // Whoever comes in the next seconds is told the same at once.
            let fetches = upstream.asked(METADATA).len();
            assert!(place.issuer.begin_upstream("production", &provider).await.is_err());
            assert_eq!(upstream.asked(METADATA).len(), fetches);
            place.server.clock.advance(5);
        }
        upstream.reply(METADATA, Reply::Json(good.clone()));
        place.begin(&provider).await;
        upstream.reply(METADATA, Reply::Other(503, "text/plain", "away".to_owned()));
        place.server.clock.advance(3600);
        place.begin(&provider).await;
        place.server.clock.advance(24 * 3600);
        assert!(place.issuer.begin_upstream("production", &provider).await.is_err(), "a day is enough");
        upstream.reply(METADATA, Reply::Json(good));
        place.server.clock.advance(5);
        place.begin(&provider).await;
    }

    async fn who_is_not_known_stays_outside_unless_the_provider_makes_users(engine: Engine) {
        let place = Place::start(engine).await;
        let upstream = Upstream::start().await;
        let provider = place.provider(&upstream.url, json!({ "create_users": false })).await;
        let begun = place.begin(&provider).await;
        let claims = json!({ "sub": "1", "aud": "flagbearer", "nonce": begun.nonce, "email": "ada@example.com", "email_verified": true });
        upstream.reply("/token", Reply::Json(json!({ "id_token": upstream.token(claims) })));
        place.admin.post("/v1/users", json!({ "id": "ada", "email": "ada@example.com" })).await.ok();
        let refused = place.finish(&provider, &begun, "c", None).await;
        assert!(matches!(refused, Err(UpstreamRefused::NoAccount)), "an address let somebody in: {refused:?}");
        let path = format!("/v1/identity-providers/{provider}");
        place.admin.patch(&path, json!({ "claims": { "user": "sub" } })).await.ok();
        assert!(matches!(place.finish(&provider, &begun, "c", None).await, Err(UpstreamRefused::NoAccount)));
        place.admin.post("/v1/users", json!({ "id": "1" })).await.ok();
        assert_eq!(place.finish(&provider, &begun, "c", None).await.expect("a user").id, "1");
    }
}
