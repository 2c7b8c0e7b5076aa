//! The one place where refusals become statuses: problems (RFC 9457) for the API, and for the token endpoint the shape that
//! OAuth clients read.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::request_id;
use crate::error::{Error, Kind};
use crate::issuer::{ExchangeRefused, Refused};

/// The status of a refusal.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodUnknown => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Gone => StatusCode::GONE,
        Kind::Stale => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::MediaTypeUnknown => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal | Kind::Configuration => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What goes with a refusal of this kind, whatever its body.
fn headers_of(kind: Kind, response: &mut Response) {
    let headers = response.headers_mut();
    if kind == Kind::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = retry_after(kind) {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let told = self.clone();
        let status = status(self.kind);
        let mut errors: Vec<Value> = self
            .errors
            .iter()
            .map(|error| json!({ "pointer": error.pointer, "code": error.code.as_str(), "detail": error.message }))
            .collect();
        if let (Some((write, code)), true) = (self.write.as_deref(), errors.is_empty()) {
            errors.push(json!({ "pointer": format!("/writes/{write}"), "code": code, "detail": self.detail }));
        }
        let mut problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "code": self.code,
            "detail": self.detail,
            "instance": request_id::current(),
            "errors": errors,
        });
        if let (false, Some(members)) = (self.listing.is_empty(), problem.as_object_mut()) {
            members.insert("listing".to_owned(), Value::Array(self.listing));
        }
        let mut response = (status, Json(problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers_of(self.kind, &mut response);
        // For the surfaces whose clients read another shape: see [`declined`].
        response.extensions_mut().insert(told);
        response
    }
}

/// A refusal as the clients of Kinde's APIs read it.
pub struct Fault(Error);

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<flagbearer::error::Error> for Fault {
    fn from(error: flagbearer::error::Error) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let body = json!({ "errors": [{ "code": error.code, "message": error.detail }] });
        let mut response = (status(error.kind), Json(body)).into_response();
        headers_of(error.kind, &mut response);
        response
    }
}

/// A refusal where a user's access token is shown (RFC 6750 §3).
pub struct TokenRefused(Error);

impl From<Error> for TokenRefused {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for TokenRefused {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = status(error.kind);
        let name = match error.kind {
            Kind::Unauthenticated => "invalid_token",
            Kind::Forbidden => "insufficient_scope",
            Kind::Unavailable => "temporarily_unavailable",
            Kind::Internal => "server_error",
            _ => "invalid_request",
        };
        let mut response = (status, Json(json!({ "error": name, "error_description": error.detail }))).into_response();
        headers_of(error.kind, &mut response);
        // Who has shown no token at all is only asked for one.
        if status == StatusCode::FORBIDDEN || error.code == "TOKEN_INVALID" {
            let challenge = HeaderValue::from_str(&format!("Bearer error=\"{name}\""));
            challenge.map(|challenge| response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge)).ok();
        }
        response
    }
}

/// When to try again, in seconds, where that may help.
pub fn retry_after(kind: Kind) -> Option<i64> {
    match kind {
        Kind::TooMany { retry_after } => Some(retry_after),
        Kind::Unavailable => Some(1),
        _ => None,
    }
}

/// A refusal as WorkOS's SDKs read it. They take a body of another media type for `null`, and fail over that.
pub fn declined(mut response: Response) -> Response {
    let Some(error) = response.extensions_mut().remove::<Error>() else { return response };
    let mut body = json!({ "message": error.detail, "code": error.code });
    // With this member a 400 becomes a `BadRequestException`; anywhere else it would hide the message.
    if response.status() == StatusCode::BAD_REQUEST {
        body["errors"] =
            error.errors.iter().map(|error| json!({ "code": error.code.as_str(), "message": error.message })).collect();
    }
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, body.to_string().into())
}

/// A refusal of the token endpoint (RFC 6749 §5.2). No problem document: OAuth clients read this shape.
pub struct Denied {
    status: StatusCode,
    error: &'static str,
    description: String,
    retry_after: Option<i64>,
    /// Members beside those of the RFC.
    more: Map<String, Value>,
}

impl Denied {
    pub fn request(description: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_request",
            description: description.into(),
            retry_after: None,
            more: Map::new(),
        }
    }

    /// Whether the client itself was refused: not known, or its secret wrong.
    pub fn is_of_client(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// A client that is not known, or not served here.
    pub fn client(description: impl Into<String>) -> Self {
        Self { error: "invalid_client", ..Self::request(description) }
    }

    /// A client that does not show who it is.
    pub fn secret(description: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::client(description) }
    }

    pub fn grant(description: impl Into<String>) -> Self {
        Self { error: "invalid_grant", ..Self::request(description) }
    }

    /// A grant that needs one step more, as WorkOS says it: `code` is what newer SDKs look at, `error` what older ones do.
    pub fn step(error: &'static str, description: &str, mut more: Map<String, Value>) -> Self {
        more.insert("code".to_owned(), error.into());
        more.insert("message".to_owned(), description.into());
        Self { status: StatusCode::FORBIDDEN, error, more, ..Self::request(description) }
    }

    pub fn grant_type(description: impl Into<String>) -> Self {
        Self { error: "unsupported_grant_type", ..Self::request(description) }
    }
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        let description = refused.to_string();
        let retry_after = match &refused {
            Refused::Failed(error) => retry_after(error.kind),
            _ => None,
        };
        let (status, error) = match refused {
            Refused::Client => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Refused::Profile => (StatusCode::BAD_REQUEST, "invalid_client"),
            Refused::Grant => (StatusCode::BAD_REQUEST, "invalid_grant"),
            Refused::NotAMember => (StatusCode::FORBIDDEN, "access_denied"),
            Refused::Public => (StatusCode::BAD_REQUEST, "unauthorized_client"),
            Refused::Audience => (StatusCode::BAD_REQUEST, "invalid_target"),
            Refused::Scope => (StatusCode::BAD_REQUEST, "invalid_scope"),
            Refused::Irrevocable => (StatusCode::BAD_REQUEST, "unsupported_token_type"),
            Refused::Organization => (StatusCode::BAD_REQUEST, "invalid_request"),
            Refused::Failed(error) if error.kind == Kind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
            // No RFC has a word for it in this place; clients that know none go by the status.
            Refused::Failed(Error { kind: Kind::TooMany { .. }, .. }) => {
                (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
            }
            Refused::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        Self { status, error, description, retry_after, more: Map::new() }
    }
}

impl From<ExchangeRefused> for Denied {
    fn from(refused: ExchangeRefused) -> Self {
        let description = refused.to_string();
        match refused {
            ExchangeRefused::Request(_) => Self::request(description),
            ExchangeRefused::Target(_) => Self { error: "invalid_target", ..Self::request(description) },
            ExchangeRefused::Public => Self { error: "unauthorized_client", ..Self::request(description) },
            ExchangeRefused::Refused(refused) => refused.into(),
        }
    }
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        match error.kind {
            Kind::Unavailable | Kind::TooMany { .. } | Kind::Internal => Refused::Failed(error).into(),
            Kind::NotFound => Self { status: StatusCode::NOT_FOUND, ..Self::request(error.detail) },
            Kind::TooLarge => Self { status: StatusCode::PAYLOAD_TOO_LARGE, ..Self::request(error.detail) },
            // Another body under a used `Idempotency-Key`, as everywhere.
            Kind::Refused => Self { status: StatusCode::UNPROCESSABLE_ENTITY, ..Self::request(error.detail) },
            _ => Self::request(error.detail),
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let mut body = self.more;
        body.insert("error".to_owned(), self.error.into());
        body.insert("error_description".to_owned(), self.description.into());
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"flagbearer\""));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The same answer, but in words where it tells a failure that passes by itself.
pub fn without_json(response: Response) -> Response {
    let status = response.status();
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Response::from_parts(parts, "no token can be given just now; try again in a moment".into())
}
