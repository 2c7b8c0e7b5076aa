//! What an application's tokens look like: the profile, and the claims of persons and attributes that it asks for.

use flagbearer::flag_set::FlagSet;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{KeySet, Profile, Verifier, VerifierOptions};
use flagbearer_server::clock::Clock;
use flagbearer_tests::{Api, TestServer, on_both_engines};
use serde_json::{Value, json};

/// A public application of a profile, with what else is said of it.
async fn application(admin: &Api, profile: &str, mut document: Value) -> String {
    document["name"] = profile.into();
    document["environment"] = "production".into();
    document["profile"] = profile.into();
    document["public"] = true.into();
    admin.post("/v1/applications", document).await.ok()["client_id"].as_str().expect("a client id").to_owned()
}

/// The article's flags, its organization and Alice, who may view reports.
async fn article(admin: &Api) {
    admin.flag("new_ai_model", "boolean", json!(false)).await;
    admin.flag("beta", "boolean", json!(true)).await;
    admin.flag("ai_token_limit", "integer", json!(1000)).await;
    admin.flag("prompt_variant", "string", json!("control")).await;
    admin.flag("model_config", "json", json!({ "max_tokens": 500, "temperature": 0.7 })).await;
    let organization = json!({ "id": "org_xyz789", "name": "Xyz", "attributes": { "plan": "pro", "region": "eu" } });
    admin.post("/v1/organizations", organization).await.ok();
    let alice = json!({ "id": "kp_abc123", "email": "alice@example.com", "name": "Alice van der Berg", "attributes": { "age": 30 } });
    admin.post("/v1/users", alice).await.ok();
    let member = json!({ "roles": ["admin"], "permissions": ["reports:view"] });
    admin.put("/v1/organizations/org_xyz789/members/kp_abc123", member).await.ok();
}

/// The header and the claims of a token that verifies in its profile.
async fn verified(admin: &Api, token: &str, client_id: &str, profile: Profile, now: Timestamp) -> (FlagSet, Value) {
    let metadata = admin.get("/.well-known/openid-configuration").await.ok();
    let keys = KeySet::parse(admin.get("/.well-known/jwks.json").await.text.as_bytes()).expect("a key set");
    let issuer = metadata["issuer"].as_str().expect("an issuer");
    let options = VerifierOptions {
        issuer,
        client_id: Some(client_id),
        profile: Some(profile.as_str()),
        ..VerifierOptions::default()
    };
    let flags = Verifier::new(&options).expect("a verifier").verify(token, &keys, now).expect("a valid token");
    let claims = serde_json::from_str(flags.claims()).expect("claims");
    (flags, claims)
}

fn part(token: &str, number: usize) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(number).expect("a part");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Checks the whole header of a token: RS256 and a key's id, the type that `hono/jwk` takes, and no `crit` nor anything else.
/// Kinde's validator decodes it as plain base64, without the two letters in which base64url differs.
#[track_caller]
fn is_read_by_every_sdk(token: &Value) {
    let token = token.as_str().expect("a token");
    let header = part(token, 0);
    let key = header["kid"].as_str().expect("a key's id");
    assert_eq!(header, json!({ "alg": "RS256", "kid": key, "typ": "JWT" }));
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    assert!(!key.is_empty() && key.chars().all(legal), "{key}");
    let (written, _) = token.split_once('.').expect("a header");
    assert!(!written.contains(['-', '_']), "{written}");
}

on_both_engines! {
    async fn a_kinde_token_is_the_articles_whole_token(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        article(&admin).await;
        let client_id = application(&admin, "kinde", json!({ "claims": ["email"] })).await;
        let tokens = admin.session(&client_id, "kp_abc123", Some("org_xyz789")).await;
        let token = tokens["access_token"].as_str().expect("a token");
        is_read_by_every_sdk(&tokens["access_token"]);
        let (flags, claims) = verified(&admin, token, &client_id, Profile::Kinde, server.clock.now()).await;
        assert_eq!(flags.get_integer_flag("ai_token_limit", 0), 1000);
        let printed = json!({
            "sub": "kp_abc123", "email": "alice@example.com", "permissions": ["reports:view"], "org_code": "org_xyz789",
            "feature_flags": {
                "new_ai_model": { "t": "b", "v": false }, "beta": { "t": "b", "v": true },
                "ai_token_limit": { "t": "i", "v": 1000 }, "prompt_variant": { "t": "s", "v": "control" },
                "model_config": { "t": "j", "v": { "temperature": 0.7, "max_tokens": 500 } },
            },
        });
        for (name, value) in printed.as_object().expect("an object") {
            assert_eq!(&claims[name], value, "{name}");
        }
        assert_eq!((&claims["aud"], &claims["azp"], &claims["scp"]), (&json!([]), &json!(client_id), &json!([])));
        assert_eq!(claims["roles"], json!([{ "id": "admin", "key": "admin", "name": "admin" }]));
        assert_eq!((&claims["org_name"], &claims["name"]), (&json!("Xyz"), &Value::Null));
        assert!(claims["flags_rev"].is_i64() && claims["sid"].is_string() && claims["auth_time"].is_i64());
    }

    async fn a_kinde_id_token_says_who_it_is_and_nothing_of_flags(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        article(&admin).await;
        admin.put("/v1/organizations/org_xyz789/members/bob", json!({})).await;
        admin.post("/v1/organizations", json!({ "id": "org_2", "name": "Second" })).await.ok();
        admin.put("/v1/organizations/org_2/members/kp_abc123", json!({})).await.ok();
        let client_id = application(&admin, "kinde", json!({})).await;
        let tokens = admin.session(&client_id, "kp_abc123", Some("org_xyz789")).await;
        let refreshed = admin.refreshed("", &client_id, &tokens).await;
        for answer in [&tokens, &refreshed] {
            assert_eq!((&answer["token_type"], &answer["scope"]), (&json!("bearer"), &json!("")));
            assert!(answer["refresh_token"].is_string() && answer["expires_in"] == 300);
            is_read_by_every_sdk(&answer["access_token"]);
            is_read_by_every_sdk(&answer["id_token"]);
            let claims = part(answer["id_token"].as_str().expect("an ID token"), 1);
            assert_eq!((&claims["aud"], &claims["sub"]), (&json!([client_id]), &json!("kp_abc123")));
            assert_eq!((&claims["email"], &claims["email_verified"]), (&json!("alice@example.com"), &json!(false)));
            assert_eq!((&claims["given_name"], &claims["family_name"]), (&json!("Alice van der"), &json!("Berg")));
            assert_eq!(claims["org_codes"], json!(["org_2", "org_xyz789"]));
            assert_eq!(claims["organizations"][0], json!({ "id": "org_2", "name": "Second" }));
            assert!(claims.get("feature_flags").is_none() && claims.get("flags_rev").is_none());
        }
        let options = VerifierOptions {
            issuer: &server.url, client_id: Some(&client_id), profile: Some("kinde"), ..VerifierOptions::default()
        };
        let keys = KeySet::parse(admin.get("/.well-known/jwks.json").await.text.as_bytes()).expect("a key set");
        let id_token = tokens["id_token"].as_str().expect("an ID token");
        let verifier = Verifier::new(&options).expect("a verifier");
        assert!(verifier.verify(id_token, &keys, server.clock.now()).is_err(), "an ID token is no access token");
    }

    async fn a_workos_token_lists_the_flags_that_are_on(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        article(&admin).await;
        let client_id = application(&admin, "workos", json!({})).await;
        let tokens = admin.session(&client_id, "kp_abc123", Some("org_xyz789")).await;
        let token = tokens["access_token"].as_str().expect("a token");
        is_read_by_every_sdk(&tokens["access_token"]);
        let (flags, claims) = verified(&admin, token, &client_id, Profile::WorkOs, server.clock.now()).await;
        assert!(flags.get_boolean_flag("beta", false) && !flags.get_boolean_flag("new_ai_model", false));
        assert_eq!(claims["feature_flags"], json!(["beta"]));
        assert_eq!((&claims["org_id"], &claims["client_id"]), (&json!("org_xyz789"), &json!(client_id)));
        assert_eq!((&claims["role"], &claims["roles"]), (&json!("admin"), &json!(["admin"])));
        assert_eq!((&claims["permissions"], &claims["email"]), (&json!(["reports:view"]), &Value::Null));
        assert!(claims["sid"].is_string() && claims["auth_time"].is_i64() && claims.get("sub_type").is_none());
        assert!(tokens.get("id_token").is_none());
    }

    async fn persons_and_attributes_are_in_a_token_only_when_the_application_asks(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        article(&admin).await;
        let client_id = application(&admin, "flagbearer", json!({})).await;
        let options = VerifierOptions { issuer: &server.url, audience: Some(&client_id), ..VerifierOptions::default() };
        let verifier = Verifier::new(&options).expect("a verifier");
        let keys = KeySet::parse(admin.get("/.well-known/jwks.json").await.text.as_bytes()).expect("a key set");
        let claims = |tokens: &Value| -> Value {
            let token = tokens["access_token"].as_str().expect("a token");
            let flags = verifier.verify(token, &keys, server.clock.now()).expect("a valid token");
            serde_json::from_str(flags.claims()).expect("claims")
        };
        let tokens = admin.session(&client_id, "kp_abc123", Some("org_xyz789")).await;
        for name in ["email", "name", "user_attributes", "organization_attributes", "org_name"] {
            assert!(claims(&tokens).get(name).is_none(), "{name}");
        }
        let path = format!("/v1/applications/{client_id}");
        let asked = json!({ "claims": ["email", "name", "user:age", "user:missing", "organization:plan"] });
        admin.patch(&path, asked).await.ok();
        let tokens = admin.refreshed("", &client_id, &tokens).await;
        let claims = claims(&tokens);
        assert_eq!((&claims["email"], &claims["name"]), (&json!("alice@example.com"), &json!("Alice van der Berg")));
        assert_eq!(claims["user_attributes"], json!({ "age": 30 }));
        assert_eq!(claims["organization_attributes"], json!({ "plan": "pro" }));
    }

    async fn an_application_of_the_workos_profile_is_refused_at_the_other_endpoints(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let client_id = application(&admin, "workos", json!({})).await;
        let tokens = admin.session(&client_id, "alice", None).await;
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &client_id),
            ("refresh_token", tokens["refresh_token"].as_str().expect("a token")),
        ];
        admin.token("", &form).await.denied(400, "invalid_client");
        let session = tokens["session_id"].as_str().expect("a session");
        let session = admin.get(&format!("/v1/sessions/{session}")).await.ok();
        assert_eq!(session["generation"], 1, "the session has not moved");
    }

    async fn what_an_application_says_of_itself_is_checked(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        for (member, value, pointer) in [
            ("profile", json!("auth0"), "/profile"),
            ("redirect_uris", json!(["http://app.example.com/cb"]), "/redirect_uris/0"),
            ("redirect_uris", json!(["https://app.example.com/cb#x"]), "/redirect_uris/0"),
            ("redirect_uris", json!(["https://user@app.example.com/"]), "/redirect_uris/0"),
            ("redirect_uris", json!(["javascript:alert(1)"]), "/redirect_uris/0"),
            ("redirect_uris", json!(["/cb"]), "/redirect_uris/0"),
            ("allowed_origins", json!(["https://app.example.com/"]), "/allowed_origins/0"),
            ("allowed_origins", json!(["*"]), "/allowed_origins/0"),
            ("claims", json!(["password"]), "/claims/0"),
            ("claims", json!(["user:"]), "/claims/0"),
            ("branding", json!({ "colour": "red" }), "/branding/colour"),
        ] {
            let mut document = json!({ "name": "app", "environment": "production" });
            document[member] = value.clone();
            let refused = admin.post("/v1/applications", document).await;
            assert_eq!(refused.status, 422, "{member} {value}");
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{member} {value}");
        }
        let vendor = json!({ "name": "app", "environment": "production", "profile": "kinde", "algorithm": "EdDSA" });
        assert_eq!(admin.post("/v1/applications", vendor).await.status, 422, "vendors' SDKs verify RS256 alone");
        let fine = json!({
            "name": "app", "environment": "production", "profile": "kinde",
            "redirect_uris": ["https://app.example.com/cb", "http://localhost:3000/cb", "http://127.0.0.1/cb", "com.example.app:/cb"],
            "allowed_origins": ["https://app.example.com", "http://localhost:3000"],
            "branding": { "name": "App", "colour": "#1A7F5A" },
        });
        let created = admin.post("/v1/applications", fine).await.ok();
        assert_eq!((&created["algorithm"], &created["branding"]["colour"]), (&json!("RS256"), &json!("#1a7f5a")));
    }
}
