//! Refresh tokens: they rotate on every use, a retry is forgiven for a while, and anything else ends the session.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use flagbearer_tests::{
    Answer, Api, BEGINNING, Browser, Client, Engine, Issuer, PASSWORD, TestServer, claims_of, on_both_engines,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A server with an application of grace 30 s and one session of it.
struct Place {
    server: TestServer,
    admin: Api,
    application: String,
    first: Value,
}

impl Place {
    async fn new(engine: Engine) -> Self {
        Self::with(engine, json!({})).await
    }

    /// The application has these members beside the required ones.
    async fn with(engine: Engine, members: Value) -> Self {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let mut document = json!({ "name": "app", "environment": "production", "public": true });
        document.as_object_mut().expect("members").extend(members.as_object().expect("members").clone());
        let created = admin.post("/v1/applications", document).await.ok();
        let application = created["client_id"].as_str().expect("a client id").to_owned();
        let first = admin.session(&application, "ada", Some("org_one")).await;
        Self { server, admin, application, first }
    }

    async fn use_token(&self, tokens: &Value) -> Answer {
        self.admin.refresh("", &self.application, refresh_token(tokens)).await
    }

    async fn refreshed(&self, tokens: &Value) -> Value {
        self.use_token(tokens).await.ok()
    }

    /// Refreshes into an organization.
    async fn switch(&self, tokens: &Value, organization: &str) -> Answer {
        switch(&self.admin, &self.application, tokens, organization).await
    }

    async fn session(&self) -> Value {
        let id = self.first["session_id"].as_str().expect("a session");
        self.admin.get(&format!("/v1/sessions/{id}")).await.ok()
    }

    async fn generation(&self) -> i64 {
        self.session().await["generation"].as_i64().expect("a generation")
    }

    async fn is_revoked(&self) -> bool {
        !self.session().await["revoked_at"].is_null()
    }
}

async fn switch(api: &Api, application: &str, tokens: &Value, organization: &str) -> Answer {
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", application),
        ("refresh_token", refresh_token(tokens)),
        ("organization_id", organization),
    ];
    api.token("", &form).await
}

fn refresh_token(tokens: &Value) -> &str {
    tokens["refresh_token"].as_str().expect("a refresh token")
}

/// The living sessions of a user.
async fn living(api: &Api, user: &str) -> usize {
    let sessions = api.get(&format!("/v1/sessions?user={user}")).await.ok();
    sessions["data"].as_array().expect("sessions").len()
}

/// Sends the same refresh to these replicas, in turn and all at once.
async fn rush(replicas: &[Api], application: &str, tokens: &Value, times: usize) -> Vec<Answer> {
    let mut rush = JoinSet::new();
    for api in replicas.iter().cycle().take(times) {
        let (api, application, token) = (api.clone(), application.to_owned(), refresh_token(tokens).to_owned());
        rush.spawn(async move { api.refresh("", &application, &token).await });
    }
    rush.join_all().await
}

/// Rounds of 64 refreshes of one token at once.
async fn one_successor(place: &Place, replicas: &[Api]) {
    let mut tokens = place.first.clone();
    for round in 1..=20 {
        let answers = rush(replicas, &place.application, &tokens, 64).await;
        let answers: Vec<Value> = answers.into_iter().map(Answer::ok).collect();
        let successors: BTreeSet<&str> = answers.iter().map(refresh_token).collect();
        let access_tokens: BTreeSet<&str> = answers.iter().filter_map(|tokens| tokens["access_token"].as_str()).collect();
        assert_eq!((successors.len(), access_tokens.len()), (1, 64));
        assert_eq!(living(&place.admin, "ada").await, 1);
        assert_eq!(place.generation().await, 1 + round);
        tokens = answers[0].clone();
    }
}

on_both_engines! {
    async fn refreshes_of_one_token_at_once_have_one_successor(engine: Engine) {
        let place = Place::new(engine).await;
        one_successor(&place, std::slice::from_ref(&place.admin)).await;
    }

    async fn each_refresh_mints_a_new_access_token_of_its_own_second(engine: Engine) {
        let place = Place::new(engine).await;
        let issuer = Issuer::discover(&place.admin, "", &place.application).await;
        let before = issuer.claims(&place.first, BEGINNING);
        place.server.clock.advance(7);
        let second = place.refreshed(&place.first).await;
        let after = issuer.claims(&second, BEGINNING.plus_seconds(7));
        assert_eq!(before["iat"], BEGINNING.seconds());
        assert_eq!(after["iat"], BEGINNING.seconds() + 7);
        assert_eq!(after["exp"], BEGINNING.seconds() + 7 + 300);
        assert_eq!(after["auth_time"], before["auth_time"]);
        assert_eq!(after["sid"], before["sid"]);
        assert_ne!(after["jti"], before["jti"]);
        assert_ne!(second["refresh_token"], place.first["refresh_token"]);
    }

    async fn a_retry_within_the_grace_gets_the_same_successor_freshly_evaluated(engine: Engine) {
        let place = Place::new(engine).await;
        place.admin.post("/v1/flags", json!({ "key": "flag", "type": "boolean", "default_value": false })).await.ok();
        let second = place.refreshed(&place.first).await;
        assert_eq!(second["feature_flags"]["flag"]["v"], false);
        let changed = place.admin.patch("/v1/flags/flag", json!({ "default_value": true })).await.ok();
        place.server.clock.advance(29);
        let again = place.refreshed(&place.first).await;
        assert_eq!(again["refresh_token"], second["refresh_token"]);
        assert_ne!(again["access_token"], second["access_token"]);
        assert_eq!(again["feature_flags"]["flag"]["v"], true);
        assert_eq!(again["flags_rev"], changed["revision"]);
        assert_eq!(place.generation().await, 2);
    }

    async fn a_retry_at_the_end_of_the_grace_ends_the_session(engine: Engine) {
        let place = Place::new(engine).await;
        let second = place.refreshed(&place.first).await;
        place.server.clock.advance(30);
        place.use_token(&place.first).await.denied(400, "invalid_grant");
        assert!(place.is_revoked().await);
        place.use_token(&second).await.denied(400, "invalid_grant");
    }

    async fn retries_do_not_extend_the_grace(engine: Engine) {
        let place = Place::new(engine).await;
        place.refreshed(&place.first).await;
        for _ in 0..29 {
            place.server.clock.advance(1);
            place.refreshed(&place.first).await;
        }
        place.server.clock.advance(1);
        place.use_token(&place.first).await.denied(400, "invalid_grant");
        assert!(place.is_revoked().await);
    }

    async fn a_token_two_generations_old_ends_the_session_even_within_the_grace(engine: Engine) {
        let place = Place::new(engine).await;
        let other = place.admin.session(&place.application, "ada", Some("org_one")).await;
        let second = place.refreshed(&place.first).await;
        let third = place.refreshed(&second).await;
        place.use_token(&place.first).await.denied(400, "invalid_grant");
        assert!(place.is_revoked().await);
        place.use_token(&third).await.denied(400, "invalid_grant");
        place.use_token(&second).await.denied(400, "invalid_grant");
        // The user's other session has nothing to do with it.
        place.refreshed(&other).await;
    }

    async fn a_grace_of_nothing_forgives_nothing(engine: Engine) {
        let place = Place::with(engine, json!({ "grace": 0 })).await;
        let second = place.refreshed(&place.first).await;
        place.use_token(&place.first).await.denied(400, "invalid_grant");
        place.use_token(&second).await.denied(400, "invalid_grant");
        assert!(place.is_revoked().await);
    }

    async fn a_grace_of_nothing_forgives_nothing_at_the_same_moment_either(engine: Engine) {
        let place = Place::with(engine, json!({ "grace": 0 })).await;
        for _ in 0..10 {
            // Others keep the database busy, so that the rush reaches it together.
            let mut busy = JoinSet::new();
            for number in 0..8 {
                let (admin, application) = (place.admin.clone(), place.application.clone());
                let other = admin.session(&application, &format!("other_{number}"), None).await;
                busy.spawn(async move { admin.refreshed("", &application, &other).await });
            }
            let first = place.admin.session(&place.application, "ben", None).await;
            let answers = rush(std::slice::from_ref(&place.admin), &place.application, &first, 32).await;
            let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
            assert_eq!(served.len(), 1);
            for answer in refused {
                answer.denied(400, "invalid_grant");
            }
            assert_eq!(living(&place.admin, "ben").await, 0);
            busy.join_all().await;
        }
    }

    async fn the_grace_is_the_applications_and_read_anew(engine: Engine) {
        let place = Place::with(engine, json!({ "grace": 60 })).await;
        place.refreshed(&place.first).await;
        place.server.clock.advance(59);
        place.refreshed(&place.first).await;
        let path = format!("/v1/applications/{}", place.application);
        place.admin.patch(&path, json!({ "grace": 10 })).await.ok();
        place.use_token(&place.first).await.denied(400, "invalid_grant");
    }

    async fn a_token_ahead_of_a_restored_session_is_refused_and_ends_nothing(engine: Engine) {
        let place = Place::new(engine).await;
        let second = place.refreshed(&place.first).await;
        let third = place.refreshed(&second).await;
        place.server.database.execute("UPDATE sessions SET generation = 1, rotated_at = NULL").await;
        place.use_token(&third).await.denied(400, "invalid_grant");
        place.use_token(&second).await.denied(400, "invalid_grant");
        assert!(!place.is_revoked().await);
        place.refreshed(&place.first).await;
    }

    async fn an_idle_session_ends_in_its_very_second(engine: Engine) {
        let place = Place::with(engine, json!({ "idle_ttl": 600, "absolute_ttl": 86400 })).await;
        place.server.clock.advance(599);
        let second = place.refreshed(&place.first).await;
        place.server.clock.advance(599);
        let third = place.refreshed(&second).await;
        place.server.clock.advance(600);
        place.use_token(&third).await.denied(400, "invalid_grant");
        assert_eq!(living(&place.admin, "ada").await, 0);
    }

    async fn a_session_ends_in_the_second_of_its_absolute_lifetime_however_it_is_used(engine: Engine) {
        let place = Place::with(engine, json!({ "idle_ttl": 600, "absolute_ttl": 1000 })).await;
        place.server.clock.advance(599);
        let second = place.refreshed(&place.first).await;
        assert_eq!(second["expires_in"], 300);
        place.server.clock.advance(400);
        let third = place.refreshed(&second).await;
        // No access token outlives its session.
        assert_eq!(third["expires_in"], 1);
        place.server.clock.advance(1);
        place.use_token(&third).await.denied(400, "invalid_grant");
        // Nor does a retry.
        place.use_token(&second).await.denied(400, "invalid_grant");
    }

    async fn sessions_are_revoked_one_by_one_and_by_user_organization_and_application(engine: Engine) {
        let place = Place::new(engine).await;
        let admin = &place.admin;
        let other_application = admin.application("production").await;
        let start = |application: String, user: &'static str, organization: &'static str| async move {
            (application.clone(), admin.session(&application, user, Some(organization)).await)
        };
        let ours = place.application.clone();
        for (name, path) in [
            ("session", None),
            ("user", Some("/v1/sessions?user=ben".to_owned())),
            ("organization", Some("/v1/sessions?organization=org_two".to_owned())),
            ("application", Some(format!("/v1/sessions?application={ours}"))),
        ] {
            let meant = start(ours.clone(), "ben", "org_two").await;
            let spared = start(other_application.clone(), "cid", "org_three").await;
            let path = path.unwrap_or_else(|| format!("/v1/sessions/{}", meant.1["session_id"].as_str().expect("an id")));
            admin.delete(&path).await.ok();
            let refused = admin.refresh("", &meant.0, refresh_token(&meant.1)).await;
            assert_eq!(refused.status, 400, "{name}");
            refused.denied(400, "invalid_grant");
            admin.refreshed("", &spared.0, &spared.1).await;
        }
    }

    async fn a_membership_that_goes_ends_the_sessions_in_that_organization(engine: Engine) {
        let place = Place::new(engine).await;
        let other = place.admin.session(&place.application, "ada", Some("org_two")).await;
        place.admin.delete("/v1/organizations/org_one/members/ada").await.ok();
        place.use_token(&place.first).await.denied(400, "invalid_grant");
        place.refreshed(&other).await;
    }

    async fn a_switch_of_organization_is_for_members_and_stays(engine: Engine) {
        let place = Place::new(engine).await;
        let issuer = Issuer::discover(&place.admin, "", &place.application).await;
        let organization = |tokens: &Value| issuer.claims(tokens, BEGINNING)["org_id"].clone();
        place.admin.post("/v1/organizations", json!({ "id": "org_two" })).await.ok();
        place.switch(&place.first, "org_two").await.denied(403, "access_denied");
        place.switch(&place.first, "org_unknown").await.denied(403, "access_denied");
        // Nothing rotated: the token is as good as before.
        assert_eq!(place.generation().await, 1);
        place.admin.put("/v1/organizations/org_two/members/ada", json!({ "permissions": ["read"] })).await.ok();
        let second = place.switch(&place.first, "org_two").await.ok();
        assert_eq!(organization(&second), "org_two");
        assert_eq!(issuer.claims(&second, BEGINNING)["permissions"], json!(["read"]));
        let third = place.refreshed(&second).await;
        assert_eq!(organization(&third), "org_two");
        assert_eq!(place.session().await["organization"], "org_two");
    }

    async fn a_switch_in_a_retry_is_for_that_access_token_alone(engine: Engine) {
        let place = Place::new(engine).await;
        let issuer = Issuer::discover(&place.admin, "", &place.application).await;
        let organization = |tokens: &Value| issuer.claims(tokens, BEGINNING)["org_id"].clone();
        place.admin.post("/v1/organizations", json!({ "id": "org_two" })).await.ok();
        let second = place.refreshed(&place.first).await;
        place.switch(&place.first, "org_two").await.denied(403, "access_denied");
        assert!(!place.is_revoked().await);
        place.admin.put("/v1/organizations/org_two/members/ada", json!({})).await.ok();
        let retried = place.switch(&place.first, "org_two").await.ok();
        assert_eq!(organization(&retried), "org_two");
        assert_eq!(retried["refresh_token"], second["refresh_token"]);
        assert_eq!(place.session().await["organization"], "org_one");
        assert_eq!(organization(&place.refreshed(&retried).await), "org_one");
    }

    async fn a_refresh_grants_no_more_than_the_sign_in_did(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.account("alice", "alice@example.com", &[]).await;
        let client = Client::public(&admin, "production").await;
        let url = client.authorization_url(&[("scope", "openid email")]);
        let told = Browser::new().sign_in(&url, "alice@example.com", PASSWORD).await.told();
        let mut tokens = client.redeem(&told["code"]).await.ok();
        for scope in ["openid email profile", "profile offline_access", "admin", "openid email"] {
            let token = tokens["refresh_token"].as_str().expect("a token").to_owned();
            let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", scope)];
            tokens = client.post("/oauth2/token", &form).await.ok();
            // What holds is said, whatever was asked for (RFC 6749 §3.3).
            assert_eq!((&tokens["scope"], &claims_of(&tokens["access_token"])["scope"]), (&json!("openid email"), &json!("openid email")));
            assert_eq!(claims_of(&tokens["id_token"]).get("name"), None);
        }
    }

    async fn a_refresh_token_is_worth_nothing_elsewhere_and_no_answer_tells_why(engine: Engine) {
        let place = Place::new(engine).await;
        let elsewhere = TestServer::start(engine).await;
        let admin = &place.admin;
        let sibling = admin.application("production").await;
        let staging = admin.application("staging").await;
        let token = refresh_token(&place.first);
        let parts: Vec<&str> = token.split('.').collect();
        let forged = [parts[0], parts[1], "2", parts[3]].join(".");
        let lengthened = format!("{token}A");
        let unknown_session = admin.session(&sibling, "ada", None).await;
        let mut refusals = BTreeSet::new();
        for (application, token) in [
            // Another application's, in the same environment and in another.
            (&sibling, token),
            (&place.application, refresh_token(&unknown_session)),
            // Garbage of several kinds.
            (&place.application, forged.as_str()),
            (&place.application, lengthened.as_str()),
            (&place.application, "fbr_1.ses_0.1.AAAA"),
            (&place.application, "garbage"),
            (&place.application, "\u{0}"),
        ] {
            let refused = admin.refresh("", application, token).await;
            refusals.insert(refused.text.clone());
            refused.denied(400, "invalid_grant");
        }
        let refused = admin.refresh("/env/staging", &staging, token).await;
        refusals.insert(refused.text.clone());
        refused.denied(400, "invalid_grant");
        // Another installation: its client knows nothing of ours.
        let theirs = elsewhere.admin();
        let their_application = theirs.application("production").await;
        let refused = theirs.refresh("", &their_application, token).await;
        refusals.insert(refused.text.clone());
        refused.denied(400, "invalid_grant");
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        // An application is a client of its own environment's endpoint alone. Garbage is garbage, whoever sends it.
        let wrong_place = admin.refresh("/env/staging", &place.application, token).await;
        let unknown_client = admin.refresh("/env/staging", "app_unknown", token).await;
        assert_eq!(wrong_place.text, unknown_client.text);
        unknown_client.denied(401, "invalid_client");
        admin.refresh("/env/staging", "app_unknown", "garbage").await.denied(400, "invalid_grant");
        wrong_place.denied(401, "invalid_client");
        assert_eq!(living(admin, "ada").await, 2);
        place.refreshed(&place.first).await;
    }

    async fn an_acknowledged_revocation_leaves_no_living_token(engine: Engine) {
        let place = Place::new(engine).await;
        let mut refreshes = 0;
        for _ in 0..200 {
            let first = place.admin.session(&place.application, "ben", Some("org_one")).await;
            let path = format!("/v1/sessions/{}", first["session_id"].as_str().expect("an id"));
            let acknowledged = AtomicBool::new(false);
            let revoke = async {
                assert_eq!(place.admin.delete(&path).await.status, 204);
                acknowledged.store(true, Ordering::SeqCst);
            };
            // Refreshes one after the other, until one is refused.
            let refresh = async {
                let mut newest = first.clone();
                loop {
                    let late = acknowledged.load(Ordering::SeqCst);
                    let answer = place.use_token(&newest).await;
                    if answer.status != 200 {
                        answer.denied(400, "invalid_grant");
                        return newest;
                    }
                    assert!(!late, "a refresh after the revocation was served");
                    newest = answer.ok();
                    refreshes += 1;
                }
            };
            let ((), newest) = tokio::join!(revoke, refresh);
            place.use_token(&newest).await.denied(400, "invalid_grant");
            assert_eq!(living(&place.admin, "ben").await, 0);
        }
        println!("{refreshes} refreshes came before 200 revocations");
    }

    async fn no_session_starts_in_an_organization_while_the_membership_goes(engine: Engine) {
        let place = Place::new(engine).await;
        let admin = &place.admin;
        for round in 0..100 {
            let user = format!("user_{round}");
            let membership = format!("/v1/organizations/org_one/members/{user}");
            admin.session(&place.application, &user, Some("org_one")).await;
            let (_, removed) =
                tokio::join!(admin.session(&place.application, &user, Some("org_one")), admin.delete(&membership));
            removed.ok();
            // Started before, it ended with the membership; started after, it made the membership anew.
            let member = admin.get(&membership).await.status == 200;
            assert_eq!(living(admin, &user).await > 0, member, "round {round}");
        }
    }

    async fn no_session_starts_while_its_user_goes(engine: Engine) {
        let place = Place::new(engine).await;
        let admin = &place.admin;
        for round in 0..100 {
            let user = format!("user_{round}");
            let path = format!("/v1/users/{user}");
            admin.session(&place.application, &user, None).await;
            let (_, removed) = tokio::join!(admin.session(&place.application, &user, None), admin.delete(&path));
            removed.ok();
            let there = admin.get(&path).await.status == 200;
            assert_eq!(living(admin, &user).await > 0, there, "round {round}");
        }
    }

    async fn no_session_starts_while_its_application_goes(engine: Engine) {
        let place = Place::new(engine).await;
        let admin = &place.admin;
        for _ in 0..50 {
            let application = admin.application("production").await;
            let start = json!({ "application": application, "user": "ben" });
            let path = format!("/v1/applications/{application}");
            let (started, removed) = tokio::join!(admin.post("/v1/sessions", start), admin.delete(&path));
            removed.ok();
            match started.status {
                // Started before, it went with the application.
                201 => {
                    let token = refresh_token(&started.body);
                    admin.refresh("", &application, token).await.denied(401, "invalid_client");
                }
                _ => drop(started.refused(404, "APPLICATION_NOT_FOUND")),
            }
            assert_eq!(living(admin, "ben").await, 0);
        }
    }

    async fn nobody_slips_into_an_organization_while_the_membership_goes(engine: Engine) {
        let place = Place::new(engine).await;
        let admin = &place.admin;
        admin.post("/v1/organizations", json!({ "id": "org_two" })).await.ok();
        for round in 0..100 {
            let user = format!("user_{round}");
            let tokens = admin.session(&place.application, &user, Some("org_one")).await;
            let membership = format!("/v1/organizations/org_two/members/{user}");
            admin.put(&membership, json!({})).await.ok();
            let switch = place.switch(&tokens, "org_two");
            let removal = admin.delete(&membership);
            let (switched, removed) = tokio::join!(switch, removal);
            removed.ok();
            // Before the removal the session moved there and ended with it; after it there was no moving there.
            let expected = match switched.status { 200 => 0, _ => 1 };
            assert_eq!(living(admin, &user).await, expected, "round {round}: {}", switched.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_of_one_token_at_several_replicas_have_one_successor() {
    let place = Place::new(Engine::Postgres).await;
    let other = TestServer::on(place.server.database.clone(), place.server.clock.clone()).await;
    one_successor(&place, &[place.admin.clone(), other.admin()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_at_one_replica_is_known_to_the_other() {
    let place = Place::new(Engine::Postgres).await;
    let other = TestServer::on(place.server.database.clone(), place.server.clock.clone()).await;
    let second = other.admin().refreshed("", &place.application, &place.first).await;
    let path = format!("/v1/sessions/{}", second["session_id"].as_str().expect("an id"));
    other.admin().delete(&path).await.ok();
    place.use_token(&second).await.denied(400, "invalid_grant");
}
