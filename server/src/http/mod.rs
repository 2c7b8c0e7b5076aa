//! The route table, to be read as a table of contents.

mod address;
mod admin;
mod batch;
mod call;
mod connections;
mod cors;
mod error;
mod health;
mod kinde;
mod oauth;
mod path;
mod pending_changes;
mod place;
mod request_id;
mod sign_in;
mod watermark;
mod workos;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use ipnet::IpNet;

use crate::control::Control;
use crate::error::{Error, Kind};
use crate::issuer::Issuer;
use crate::store::Store;

pub use connections::serve;

/// What handlers share.
#[derive(Debug, Clone)]
pub struct App {
    pub store: Arc<Store>,
    pub control: Control,
    pub issuer: Arc<Issuer>,
    pub running: call::Running,
    pub left_out: workos::LeftOut,
    pub proxies: Arc<[IpNet]>,
}

impl App {
    /// `proxies` are those whose word on where a request came from is taken.
    pub fn new(store: Arc<Store>, control: Control, issuer: Arc<Issuer>, proxies: &[IpNet]) -> Self {
        let (running, left_out) = (call::Running::default(), workos::LeftOut::default());
        Self { store, control, issuer, running, left_out, proxies: proxies.into() }
    }
}

/// The largest body of most calls.
const SMALL: usize = 64 * 1024;
/// The largest body of settings and segments, which hold lists.
const LARGE: usize = 1024 * 1024;

/// Everything that the server answers.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(guarded(&app, small().route("/v1/pending-changes/{id}/approve", post(pending_changes::approve)), SMALL))
        .merge(guarded(&app, large().route("/v1/batch", post(batch::batch)), LARGE))
        .merge(issuers(&app))
        .merge(kinde::routes(&app))
        .merge(workos::routes(&app))
        .route("/v1/watermark/{environment}", get(watermark::watermark).options(watermark::preflight))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(nothing_here)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn_with_state(app.clone(), guarded_answer))
        .layer(from_fn(request_id::layer))
        .with_state(app)
}

/// For how long a browser that was here by TLS comes by nothing else: a year.
const TLS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What every answer says of itself. What does not say that it is public is its caller's alone, and often a secret: nobody on
/// the way keeps it (RFC 6749 §5.1). No browser takes it for something else than it says, or asks for it in the clear.
async fn guarded_answer(State(app): State<App>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if app.issuer.places.has_tls(host.as_ref().and_then(|host| host.to_str().ok())) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TLS_ALONE);
    }
    response
}

/// Said in the shape that whoever asks at such a path reads.
async fn nothing_here(uri: Uri) -> Response {
    if workos::owns(uri.path()) {
        return workos::not_covered().await;
    }
    Error::new(Kind::NotFound, "ROUTE_NOT_FOUND", "there is nothing at this path").into_response()
}

async fn unknown_method() -> Error {
    Error::new(Kind::MethodUnknown, "METHOD_NOT_ALLOWED", "this path does not take this method")
}

fn guarded(app: &App, routes: Router<App>, limit: usize) -> Router<App> {
    let routes = routes.route_layer(from_fn_with_state(app.clone(), call::layer)).route_layer(from_fn(path::layer));
    routes.layer(DefaultBodyLimit::max(limit))
}

/// The admin API.
fn small() -> Router<App> {
    Router::new()
        .route("/v1/flags", post(admin::create_flag).get(admin::flags))
        .route("/v1/flags/{flag}", get(admin::flag).patch(admin::patch_flag).delete(admin::delete_flag))
        .route("/v1/flags/{flag}/archive", post(admin::archive_flag))
        .route("/v1/flags/{flag}/restore", post(admin::restore_flag))
        .route("/v1/flags/{flag}/environments/{environment}/kill", post(admin::kill_flag).delete(admin::revive_flag))
        .route("/v1/flags/{flag}/environments/{environment}/promote", post(admin::promote_setting))
        .route("/v1/flags/{flag}/overrides", get(admin::overrides).delete(admin::delete_overrides))
        .route(
            "/v1/flags/{flag}/organizations/{organization}",
            put(admin::put_organization_override).delete(admin::delete_organization_override),
        )
        .route("/v1/flags/{flag}/users/{user}", put(admin::put_user_override).delete(admin::delete_user_override))
        .route("/v1/environments", post(admin::create_environment).get(admin::environments))
        .route(
            "/v1/environments/{environment}",
            get(admin::environment).patch(admin::patch_environment).delete(admin::delete_environment),
        )
        .route("/v1/environments/{environment}/flags", get(admin::settings))
        .route("/v1/environments/{environment}/left-out-flags", get(admin::left_out_flags))
        .route("/v1/environments/{environment}/min-revision", post(admin::raise_min_revision))
        .route("/v1/organizations", post(admin::create_organization).get(admin::organizations))
        .route(
            "/v1/organizations/{organization}",
            get(admin::organization).patch(admin::patch_organization).delete(admin::delete_organization),
        )
        .route("/v1/organizations/{organization}/flags", get(admin::organization_flags))
        .route("/v1/organizations/{organization}/members", get(admin::members))
        .route(
            "/v1/organizations/{organization}/members/{user}",
            get(admin::member).put(admin::put_member).delete(admin::delete_member),
        )
        .route("/v1/users", post(admin::create_user).get(admin::users))
        .route("/v1/users/{user}", get(admin::user).patch(admin::patch_user).delete(admin::delete_user))
        .route("/v1/users/{user}/flags", get(admin::user_flags))
        .route("/v1/users/{user}/password-reset", post(admin::create_password_reset))
        .route("/v1/applications", post(admin::create_application).get(admin::applications))
        .route(
            "/v1/applications/{application}",
            get(admin::application).patch(admin::patch_application).delete(admin::delete_application),
        )
        .route("/v1/api-keys", post(admin::create_api_key).get(admin::api_keys))
        .route("/v1/api-keys/{key}", get(admin::api_key).patch(admin::patch_api_key).delete(admin::delete_api_key))
        .route("/v1/identity-providers", post(admin::create_identity_provider).get(admin::identity_providers))
        .route(
            "/v1/identity-providers/{provider}",
            get(admin::identity_provider).patch(admin::patch_identity_provider).delete(admin::delete_identity_provider),
        )
        .route("/v1/webhooks", post(admin::create_webhook).get(admin::webhooks))
        .route("/v1/webhooks/{webhook}", get(admin::webhook).patch(admin::patch_webhook).delete(admin::delete_webhook))
        .route("/v1/webhooks/{webhook}/rotate-secret", post(admin::rotate_webhook_secret))
        .route("/v1/webhooks/{webhook}/test", post(admin::test_webhook))
        .route("/v1/webhooks/{webhook}/deliveries", get(admin::deliveries))
        .route("/v1/webhooks/{webhook}/deliveries/{delivery}", get(admin::delivery))
        .route("/v1/webhooks/{webhook}/deliveries/{delivery}/redeliver", post(admin::redeliver))
        .route("/v1/signing-keys", get(admin::signing_keys))
        .route("/v1/signing-keys/rotate", post(admin::rotate_signing_keys))
        .route("/v1/changes", get(admin::changes))
        .route("/v1/changes/{revision}", get(admin::change))
        .route("/v1/changes/{revision}/comments", post(admin::comment_on_change))
        .route("/v1/changes/{revision}/revert", post(admin::revert_change))
        .route("/v1/pending-changes", get(admin::pending_changes))
        .route("/v1/pending-changes/{id}", get(pending_changes::pending_change))
        .route("/v1/pending-changes/{id}/comments", post(admin::comment_on_pending_change))
        .route("/v1/pending-changes/{id}/reject", post(admin::reject_pending_change))
        .route("/v1/pending-changes/{id}/withdraw", post(admin::withdraw_pending_change))
        .route("/v1/evaluate", get(admin::evaluate))
        .route("/v1/explain", post(admin::explain))
        .route("/v1/sessions", post(admin::start_session).get(admin::sessions).delete(admin::end_sessions))
        .route("/v1/sessions/{session}", get(admin::session).delete(admin::end_session))
}

/// The part of the admin API whose documents hold lists.
fn large() -> Router<App> {
    Router::new()
        .route("/v1/flags/{flag}/environments/{environment}", get(admin::setting).put(admin::put_setting))
        .route("/v1/flags/{flag}/environments/{environment}/targeting", put(admin::put_targeting))
        .route(
            "/v1/flags/{flag}/environments/{environment}/targeting/users/{user}",
            put(admin::add_target_user).delete(admin::remove_target_user),
        )
        .route(
            "/v1/flags/{flag}/environments/{environment}/targeting/organizations/{organization}",
            put(admin::add_target_organization).delete(admin::remove_target_organization),
        )
        .route("/v1/segments", post(admin::create_segment).get(admin::segments))
        .route("/v1/segments/{segment}", get(admin::segment).patch(admin::patch_segment).delete(admin::delete_segment))
        .route("/v1/segments/{segment}/users/{user}", put(admin::add_segment_user).delete(admin::remove_segment_user))
        .route(
            "/v1/segments/{segment}/organizations/{organization}",
            put(admin::add_segment_organization).delete(admin::remove_segment_organization),
        )
}

/// Each environment is an issuer of its own: the default one at the root, the others below `/env/<name>`.
fn issuers(app: &App) -> Router<App> {
    Router::new()
        .merge(issuer(app))
        .nest("/env/{environment}", issuer(app))
        .merge(
            Router::new()
                .route("/user_management/authorize", get(sign_in::authorize_workos))
                .route("/user_management/sessions/logout", get(sign_in::logout_workos))
                .route_layer(from_fn(no_head)),
        )
        // This one stands before the issuer's path (RFC 8414 §3.1).
        .route("/.well-known/oauth-authorization-server", get(oauth::metadata))
        .route("/.well-known/oauth-authorization-server/env/{environment}", get(oauth::metadata))
        .route_layer(from_fn(path::layer))
        .layer(DefaultBodyLimit::max(SMALL))
}

/// What programs call, where pages of allowed origins may too, and where browsers come to.
fn issuer(app: &App) -> Router<App> {
    let called = [
        ("/oauth2/token", post(oauth::token)),
        ("/oauth2/revoke", post(oauth::revoke)),
        ("/oauth2/introspect", post(oauth::introspect)),
        ("/oauth2/userinfo", get(oauth::user_info).post(oauth::user_info)),
    ];
    let pages = Router::new()
        .route("/oauth2/auth", get(sign_in::authorize).post(sign_in::authorize_posted))
        .route("/sign-in", get(sign_in::sign_in).post(sign_in::sign_in_posted))
        .route("/sign-in/upstream", get(sign_in::upstream))
        .route("/sign-in/callback", get(sign_in::callback))
        .route("/sign-in/organization", get(sign_in::organization).post(sign_in::organization_posted))
        .route("/sign-up", get(sign_in::sign_up).post(sign_in::sign_up_posted))
        .route("/reset-password", get(sign_in::reset_password).post(sign_in::reset_password_posted))
        .route("/logout", get(sign_in::logout).post(sign_in::logout_posted))
        .route_layer(from_fn(no_head));
    cors::open(app, called)
        .route("/.well-known/jwks.json", get(oauth::jwks))
        .route("/.well-known/openid-configuration", get(oauth::metadata))
        .merge(pages)
}

/// Looking whether a page is there must not do what opening it does: a code is issued and a session ended by it.
async fn no_head(request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        return Error::new(Kind::MethodUnknown, "METHOD_NOT_ALLOWED", "this page does not take this method").into_response();
    }
    next.run(request).await
}
