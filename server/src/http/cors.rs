//! Pages of other origins at the endpoints that clients call (Fetch §3.2): those that an application of the environment
//! lists, to the letter, and with what a browser keeps for us. Never at the authorization endpoint, which is visited and not
//! called.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;

use super::App;
use super::place::Place;

/// How long a browser may remember that it may call, in seconds. Short: an origin can be taken off the list.
const REMEMBERED: HeaderValue = HeaderValue::from_static("300");

const HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, idempotency-key, kinde-sdk, x-request-id");

/// Routes that pages of allowed origins may call.
pub fn open<P: AsRef<str>, const N: usize>(app: &App, routes: [(P, MethodRouter<App>); N]) -> Router<App> {
    let preflight = || async { StatusCode::NO_CONTENT };
    let router = routes
        .into_iter()
        .fold(Router::new(), |router, (path, route)| router.route(path.as_ref(), route.options(preflight)));
    router.route_layer(from_fn_with_state(app.clone(), layer))
}

async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let origin = match parts.headers.get(header::ORIGIN).cloned() {
        Some(origin) if allowed(&app, &mut parts, &origin).await => Some(origin),
        _ => None,
    };
    let preflight = parts.method == Method::OPTIONS;
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin else { return response };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-request-id"));
    }
    response
}

/// Where it cannot be found out, the page is not let in; the request itself then says what is wrong.
async fn allowed(app: &App, parts: &mut Parts, origin: &HeaderValue) -> bool {
    let Ok(Place(environment)) = Place::from_request_parts(parts, app).await else { return false };
    let Ok(origin) = origin.to_str() else { return false };
    app.issuer.allows_origin(&environment, origin).await.unwrap_or(false)
}
