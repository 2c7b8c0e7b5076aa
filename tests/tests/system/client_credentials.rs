//! Machines: what an application's own token is for, what it permits, and what it is served.

use flagbearer_server::clock::Clock;
use flagbearer_tests::{Client, Issuer, TestServer, claims_of, on_both_engines};
use serde_json::{Value, json};

on_both_engines! {
    async fn a_machine_token_is_of_the_application_and_of_no_user(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        admin.flag("f", "string", json!("default")).await;
        admin.post("/v1/organizations", json!({ "id": "org_a", "name": "A" })).await.ok();
        let document = json!({ "audience": "https://api.example.com", "permissions": ["jobs:run", "jobs:read"], "access_token_ttl": 600 });
        let client = Client::register(&admin, "production", document).await;
        // A user with the client's own id has no part in it.
        admin.post("/v1/users", json!({ "id": client.id })).await.ok();
        admin.put(&format!("/v1/flags/f/users/{}", client.id), json!({ "value": "of the user" })).await.ok();
        admin.put("/v1/flags/f/organizations/org_a?environment=production", json!({ "value": "of the organization" })).await.ok();

        let answer = client.machine(&[]).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let tokens = answer.ok();
        let issuer = Issuer::discover(&admin, "", "https://api.example.com").await;
        let claims = issuer.claims(&tokens, server.clock.now());
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(client.id), &json!(client.id)));
        assert_eq!(claims["permissions"], json!(["jobs:run", "jobs:read"]));
        for name in ["sid", "auth_time", "org_id", "scope", "roles", "email"] {
            assert_eq!(claims[name], Value::Null, "{name}");
        }
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
        assert_eq!((&tokens["feature_flags"]["f"]["v"], &tokens["flags_rev"]), (&json!("default"), &claims["flags_rev"]));
        for name in ["refresh_token", "id_token", "session_id"] {
            assert!(tokens.get(name).is_none(), "{name}");
        }
        for name in ["organization_id", "org_code"] {
            let tokens = client.machine(&[(name, "org_a")]).await.ok();
            assert_eq!(tokens["feature_flags"]["f"]["v"], "of the organization");
            assert_eq!(claims_of(&tokens["access_token"])["org_id"], "org_a");
        }
        for organization in ["org_nowhere", "org_\0"] {
            client.machine(&[("organization_id", organization)]).await.denied(400, "invalid_request");
        }

        // The next token has what the last change has made of it.
        admin.put("/v1/flags/f/organizations/org_a?environment=production", json!({ "value": "changed" })).await.ok();
        let tokens = client.machine(&[("organization_id", "org_a")]).await.ok();
        assert_eq!(tokens["feature_flags"]["f"]["v"], "changed");
        assert_eq!(tokens["flags_rev"], admin.revision("production").await);
    }

    async fn a_machine_gets_what_it_asks_for_and_never_more_than_is_its_own(engine: Engine) {
        let server = TestServer::start(engine).await;
        let admin = server.admin();
        let document = json!({ "audience": "https://api.example.com", "permissions": ["jobs:run", "jobs:read"] });
        let client = Client::register(&admin, "production", document).await;
        let bare = Client::register(&admin, "production", json!({})).await;
        let management = format!("{}/api", server.url);
        for (audiences, expected) in [
            (vec![("audience", "https://api.example.com")], "https://api.example.com"),
            (vec![("resource", "https://api.example.com"), ("audience", "https://api.example.com")], "https://api.example.com"),
            (vec![("audience", "")], "https://api.example.com"),
            (vec![("audience", management.as_str())], management.as_str()),
        ] {
            let tokens = client.machine(&audiences).await.ok();
            assert_eq!(claims_of(&tokens["access_token"])["aud"], expected);
        }
        assert_eq!(claims_of(&bare.machine(&[("audience", &bare.id)]).await.ok()["access_token"])["aud"], json!(bare.id));
        for audiences in [
            vec![("audience", "https://other.example.com")],
            vec![("audience", client.id.as_str())],
            vec![("resource", "https://api.example.com/")],
            vec![("audience", "https://api.example.com"), ("resource", management.as_str())],
        ] {
            client.machine(&audiences).await.denied(400, "invalid_target");
        }

        // Words that are about users give a machine nothing; Kinde's SDKs send them unasked.
        for (asked, scope, permissions) in [
            ("jobs:read", json!("jobs:read"), json!(["jobs:read"])),
            ("jobs:read  jobs:run jobs:read", json!("jobs:read jobs:run"), json!(["jobs:read", "jobs:run"])),
            ("openid profile email offline", Value::Null, json!(["jobs:run", "jobs:read"])),
            ("openid jobs:read", json!("jobs:read"), json!(["jobs:read"])),
        ] {
            let tokens = client.machine(&[("scope", asked)]).await.ok();
            let claims = claims_of(&tokens["access_token"]);
            assert_eq!((&tokens["scope"], &claims["scope"], &claims["permissions"]), (&scope, &scope, &permissions), "{asked}");
        }
        for scope in ["jobs:delete", "jobs:read admin", "JOBS:READ"] {
            client.machine(&[("scope", scope)]).await.denied(400, "invalid_scope");
        }
        let public = Client::public(&admin, "production").await;
        public.machine(&[]).await.denied(400, "unauthorized_client");
    }
}
