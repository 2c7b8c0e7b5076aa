//! What a client sends to an issuer's endpoints: a form, and in it or beside it who the client is.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::super::App;
use super::super::address::ClientAddress;
use super::super::call::{sent_as, too_large};
use super::super::error::Denied;
use super::super::place::Place;
use crate::error::Result;
use crate::issuer::Refused;
use crate::secret::Secret;
use crate::store::{Application, Surface};

/// A request, taken apart.
pub struct Asked<'a> {
    pub app: &'a App,
    /// The issuer's.
    pub environment: String,
    pub parts: Parts,
    pub body: Bytes,
    form: Form,
}

/// Who a client says it is.
pub struct Credentials {
    pub client_id: String,
    pub secret: Option<Secret>,
}

impl<'a> Asked<'a> {
    pub async fn read(app: &'a App, place: Result<Place>, request: Request) -> Result<Self, Denied> {
        let Place(environment) = place?;
        let (parts, body) = request.into_parts();
        let body = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await.map_err(too_large)?;
        let form = Form::parse(&parts.headers, &body)?;
        Ok(Self { app, environment, parts, body, form })
    }

    pub fn optional(&self, name: &str) -> Option<&str> {
        self.form.members.get(name).map(String::as_str)
    }

    pub fn required(&self, name: &str) -> Result<&str, Denied> {
        self.optional(name).ok_or_else(|| Denied::request(format!("`{name}` is required")))
    }

    /// What the token is to be for, under either of its names.
    pub fn targets(&self) -> &[String] {
        &self.form.targets
    }

    /// The client's id and secret: as HTTP Basic or in the form, not both (RFC 6749 §2.3).
    pub fn credentials(&self) -> Result<Credentials, Denied> {
        let in_form = self.optional("client_secret").map(Secret::new);
        let Some(value) = self.parts.headers.get(header::AUTHORIZATION) else {
            return Ok(Credentials { client_id: self.required("client_id")?.to_owned(), secret: in_form });
        };
        if in_form.is_some() {
            return Err(Denied::request("the client's secret comes in the header or in the form, not in both"));
        }
        let (client_id, secret) = value.to_str().ok().and_then(basic).ok_or(Refused::Client)?;
        if self.optional("client_id").is_some_and(|named| named != client_id) {
            return Err(Denied::request("`client_id` is not the one in the header"));
        }
        Ok(Credentials { client_id, secret: Some(secret) })
    }

    /// The client, once it has shown to be the one.
    pub async fn client(&self) -> Result<Application, Denied> {
        let Credentials { client_id, secret } = self.credentials()?;
        let issuer = &self.app.issuer;
        Ok(issuer.client(&self.environment, &client_id, secret.as_ref(), Surface::OAuth).await?)
    }
}

/// What a client is told. Wrong secrets are counted by the address that they come from.
pub async fn told(app: &App, from: ClientAddress, outcome: Result<Response, Denied>) -> Response {
    let denied = match outcome {
        Ok(response) => return response,
        Err(denied) => denied,
    };
    if denied.is_of_client()
        && let Err(error) = app.issuer.count_wrong_secret(from.0).await
    {
        return Denied::from(error).into_response();
    }
    denied.into_response()
}

/// The members of a form.
struct Form {
    /// Each once (RFC 6749 §3.2); an empty one is as if left out.
    members: HashMap<String, String>,
    targets: Vec<String>,
}

/// What may be repeated: a token may be wanted for several things (RFC 8707 §2), and Kinde's SDKs repeat `audience`.
const TARGETS: [&str; 2] = ["audience", "resource"];

impl Form {
    fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Denied> {
        if !sent_as(headers, "application/x-www-form-urlencoded") {
            return Err(Denied::request("send the body as `application/x-www-form-urlencoded`"));
        }
        let mut form = Self { members: HashMap::new(), targets: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(body) {
            if TARGETS.contains(&&*name) {
                form.targets.extend(Some(value.into_owned()).filter(|value| !value.is_empty()));
            } else if form.members.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Denied::request(format!("`{name}` stands twice")));
            }
        }
        form.members.retain(|_, value| !value.is_empty());
        Ok(form)
    }
}

/// Reads the credentials of HTTP Basic. Id and secret are form-encoded before they are joined (RFC 6749 §2.3.1).
fn basic(value: &str) -> Option<(String, Secret)> {
    let (scheme, text) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    let decode = |text: &str| Some(percent_decode_str(&text.replace('+', " ")).decode_utf8().ok()?.into_owned());
    let (client_id, secret) = text.split_once(':')?;
    Some((decode(client_id)?, Secret::new(decode(secret)?)))
}
