//! `POST /user_management/authenticate`: every grant, as JSON.

use std::net::IpAddr;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use flagbearer::document::parse;
use serde_json::{Value, json};

use super::{App, shape};
use crate::control::{Answer, Once};
use crate::error::{Error, Result};
use crate::http::address::ClientAddress;
use crate::http::call::{bearer, sent_as, too_large};
use crate::http::error::Denied;
use crate::http::oauth::{REMEMBERED, once, public_keys};
use crate::http::sign_in::MAX_USER_AGENT;
use crate::issuer::{CodeGrant, Entrant, Grant, Refused, Remember, SignInRefused, Tokens};
use crate::secret::Secret;
use crate::store::{Application, Client, Method, Origin, Role, Surface};

/// Grants of WorkOS that need what is not here: mail, and second factors.
const WITHOUT: [&str; 5] = [
    "urn:workos:oauth:grant-type:magic-auth:code",
    "urn:workos:oauth:grant-type:email-verification:code",
    "urn:workos:oauth:grant-type:mfa-totp",
    "urn:workos:oauth:grant-type:radar-email-challenge:code",
    "urn:workos:oauth:grant-type:radar-sms-challenge:code",
];

pub async fn authenticate(State(app): State<App>, from: ClientAddress, request: Request) -> Response {
    match answer(&app, from, request).await {
        Ok(answer) => Json(answer).into_response(),
        Err(denied) => denied.into_response(),
    }
}

/// The keys that an application's tokens are checked with.
pub async fn jwks(State(app): State<App>, Path(client_id): Path<String>) -> Result<Response> {
    let found = app.store.read().await?.client(&client_id).await?;
    let served = found.filter(|(application, _)| Surface::WorkOs.serves(application.profile));
    let (application, _) = served.ok_or_else(|| Error::not_found("application", &client_id))?;
    public_keys(&app, &application.environment).await
}

async fn answer(app: &App, from: ClientAddress, request: Request) -> Result<Value, Denied> {
    let (parts, body) = request.into_parts();
    let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await.map_err(too_large)?;
    let asked = Asked::read(&parts.headers, &bytes)?;
    let grant_type = asked.required("grant_type")?;
    let secret = asked.secret("client_secret")?.or_else(|| bearer(&parts.headers).ok());
    let application = client(app, from, asked.required("client_id")?, secret.as_ref()).await?;
    let secret_hash = secret.as_ref().map(Secret::hash);
    let once = once(app, &parts.headers, &application.client_id, secret_hash.as_deref(), parts.uri.path(), &bytes)?;
    let origin = asked.origin()?;
    match grant_type {
        "authorization_code" => {
            let grant = CodeGrant {
                surface: Surface::WorkOs,
                code: asked.required("code")?,
                redirect_uri: None,
                code_verifier: asked.text("code_verifier")?,
                origin,
            };
            let scope = once.as_ref().map(|once| once.scope.clone()).unwrap_or_default();
            let redeem = async |remember: Option<&Remember<'_>>| {
                let remember = remember.map(|remember| (scope.as_str(), remember));
                app.issuer.redeem(&application, &grant, remember).await
            };
            grant_once(app, once, redeem).await
        }
        "refresh_token" => {
            let grant = Grant {
                environment: &application.environment,
                client_id: &application.client_id,
                client: Client::Verified,
                surface: Surface::WorkOs,
                refresh_token: asked.required("refresh_token")?,
                organization: asked.text("organization_id")?,
            };
            grant_once(app, once, async |remember| app.issuer.refresh(&grant, remember).await).await
        }
        "password" => {
            // Whoever may ask this can try passwords; an application in somebody's hands must not.
            let password = asked.secret("password")?.ok_or_else(|| Denied::request("`password` is required"))?;
            let email = asked.required("email")?;
            let from = origin.ip_address.and_then(|address| address.parse().ok()).unwrap_or(from.0);
            confidential(&application)?;
            let by = app.issuer.sign_in_by_password(email, &password, from).await.map_err(not_signed_in)?;
            let (user, password) = (by.user, Some(&by.password));
            let mut organizations = app.store.read().await?.organizations_of(&user.id).await?;
            let only = if organizations.len() == 1 { organizations.pop() } else { None };
            let organization = only.as_ref().map(|(id, _)| id.as_str());
            let auth_time = app.store.now();
            let entrant = Entrant { user: &user.id, organization, method: Method::Password, password, auth_time, origin };
            if organizations.is_empty() {
                return grant_once(app, once, async |remember| app.issuer.let_in(&application, &entrant, remember).await)
                    .await;
            }
            let pending = app.issuer.await_choice(&application, &entrant)?;
            Err(choice(shape::user(&user.id, &user.clone().into()), &organizations, pending))
        }
        "urn:workos:oauth:grant-type:organization-selection" => {
            confidential(&application)?;
            let pending = asked.required("pending_authentication_token")?;
            let organization = asked.required("organization_id")?;
            let choose = async |remember: Option<&Remember<'_>>| {
                app.issuer.choose(&application, pending, organization, origin, remember).await
            };
            grant_once(app, once, choose).await
        }
        without if WITHOUT.contains(&without) => Err(Denied::grant_type(format!(
            "`{without}` is not here: Flagbearer sends no mail and asks for no second factor; sign in by the sign-in page"
        ))),
        other => Err(Denied::grant_type(format!("`{other}` is not a grant of this endpoint"))),
    }
}

/// Refuses a public application what only one that keeps a secret may do.
fn confidential(application: &Application) -> Result<(), Denied> {
    if !application.public {
        return Ok(());
    }
    Err(Denied::grant_type(
        "a public application signs its users in by the sign-in page; this grant needs one with a secret",
    ))
}

fn not_signed_in(refused: SignInRefused) -> Denied {
    match refused {
        SignInRefused::Wrong => Denied::grant(refused.to_string()),
        SignInRefused::Failed(error) => error.into(),
    }
}

/// The refusal that lets an application ask its user which organization it shall be.
fn choice(user: Value, organizations: &[(String, String)], pending: String) -> Denied {
    let organizations: Value = organizations.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect();
    let more = [("user", user), ("organizations", organizations), ("pending_authentication_token", pending.into())];
    Denied::step(
        "organization_selection_required",
        "the user has several organizations; name one, with the pending authentication token",
        more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    )
}

/// Runs a grant, or answers what the same request was answered before.
async fn grant_once(
    app: &App,
    once: Option<Once>,
    run: impl AsyncFnOnce(Option<&Remember<'_>>) -> Result<Option<Tokens>, Refused>,
) -> Result<Value, Denied> {
    let Some(once) = once else {
        let tokens = run(None).await?.ok_or_else(|| Error::internal("nothing was issued"))?;
        return Ok(shape::tokens(&tokens));
    };
    if let Some(answer) = app.control.recall(&once).await? {
        return Ok(answer.body);
    }
    let remember = |tokens: &Tokens| app.control.memo(&once, &Answer::done(shape::tokens(tokens)), REMEMBERED);
    match run(Some(&remember)).await? {
        Some(tokens) => Ok(shape::tokens(&tokens)),
        None => Ok(app.control.recall(&once).await?.ok_or_else(Error::unavailable)?.body),
    }
}

/// The application that asks. Its secret is its own, or an API key of its environment; a public one may send none.
///
/// Only a wrong secret is a 401: the SDKs take that for a wrong API key, and fail hard.
async fn client(app: &App, from: ClientAddress, client_id: &str, secret: Option<&Secret>) -> Result<Application, Denied> {
    let unknown = || Denied::client(format!("there is no application `{client_id}`"));
    if client_id.contains('\0') {
        return Err(unknown());
    }
    let found = app.store.read().await?.client(client_id).await?;
    let (application, secret_hash) = found.ok_or_else(unknown)?;
    match secret {
        None if application.public => {}
        None => return Err(Denied::secret("this application keeps a secret: send it, or an API key, as `client_secret`")),
        Some(secret) if Some(secret.hash()) == secret_hash => {}
        Some(secret) => of_environment(app, from, secret, &application.environment).await?,
    }
    if Surface::WorkOs.serves(application.profile) { Ok(application) } else { Err(Refused::Profile.into()) }
}

/// Checks that a secret is an API key which may stand for the applications of an environment.
async fn of_environment(app: &App, from: ClientAddress, secret: &Secret, environment: &str) -> Result<(), Denied> {
    let key = match app.control.authenticate(secret, from.0).await {
        Ok(key) => key,
        Err(error) if error.code == Error::UNAUTHENTICATED => {
            return Err(Denied::secret("`client_secret` is neither this application's secret nor an API key"));
        }
        Err(error) => return Err(error.into()),
    };
    match key.environment {
        Some(bound) if bound == environment => {}
        Some(bound) => {
            let description = format!("this API key is bound to `{bound}`, and the application is in `{environment}`");
            return Err(Denied::secret(description));
        }
        None => {
            let description = format!("this API key is not bound to an environment; create one that is, to `{environment}`");
            return Err(Denied::secret(description));
        }
    }
    if key.role == Role::Viewer {
        return Err(Denied::secret("a key with the role `viewer` may not sign users in; `application` may"));
    }
    Ok(())
}

/// The members of a request. Those that are not read are ignored: the SDKs send more.
struct Asked(Value);

impl Asked {
    fn read(headers: &HeaderMap, bytes: &[u8]) -> Result<Self, Denied> {
        if !sent_as(headers, "application/json") {
            return Err(Denied::request("send the body as `application/json`"));
        }
        let body = parse(bytes).map_err(|error| Denied::request(error.message))?;
        if body.is_object() { Ok(Self(body)) } else { Err(Denied::request("the body is a JSON object")) }
    }

    /// A member; empty or null is as if left out.
    fn text(&self, name: &str) -> Result<Option<&str>, Denied> {
        match &self.0[name] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            _ => Err(Denied::request(format!("`{name}` is a string"))),
        }
    }

    fn required(&self, name: &str) -> Result<&str, Denied> {
        self.text(name)?.ok_or_else(|| Denied::request(format!("`{name}` is required")))
    }

    /// Where the user is, as far as the application tells.
    fn origin<'a>(&'a self) -> Result<Origin<'a>, Denied> {
        let ip_address = self.text("ip_address")?.filter(|text| text.parse::<IpAddr>().is_ok());
        let cut = |text: &'a str| text.char_indices().nth(MAX_USER_AGENT).map_or(text, |(end, _)| &text[..end]);
        let user_agent = self.text("user_agent")?.map(cut);
        Ok(Origin { ip_address, user_agent })
    }

    fn secret(&self, name: &str) -> Result<Option<Secret>, Denied> {
        Ok(self.text(name)?.map(Secret::new))
    }
}
