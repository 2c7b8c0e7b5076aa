//! The flag calls of Kinde's management API, so that scripts go on running. Each is an operation of the admin API in other
//! words: values come as text, and the environment is the issuer's.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use axum::{Extension, Json, Router};
use flagbearer::document::Node;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::App;
use super::super::address::ClientAddress;
use super::super::call::{bearer, read};
use super::super::error::Fault;
use super::super::place::Place;
use super::words::{flag_document, from_text, listed};
use crate::control::{Actor, Call, Whose};
use crate::error::{Error, Result};
use crate::issuer::ShownByMachine;

/// The calls, below the API's base.
pub fn routes(base: &str) -> Router<App> {
    Router::new()
        .route(&format!("{base}/feature_flags"), post(create_flag))
        .route(&format!("{base}/feature_flags/{{flag}}"), put(replace_flag).delete(delete_flag))
        .route(&format!("{base}/environment/feature_flags"), get(environment_values).delete(delete_environment_values))
        .route(
            &format!("{base}/environment/feature_flags/{{flag}}"),
            patch(put_environment_value).delete(delete_environment_value),
        )
        .route(
            &format!("{base}/organizations/{{subject}}/feature_flags"),
            get(organization_values).delete(delete_organization_values),
        )
        .route(
            &format!("{base}/organizations/{{subject}}/feature_flags/{{flag}}"),
            patch(put_organization_value).delete(delete_organization_value),
        )
        .route(&format!("{base}/users/{{subject}}/feature_flags/{{flag}}"), patch(put_user_value).delete(delete_user_value))
}

/// A call whose caller is known.
#[derive(Debug, Clone)]
struct Asked {
    /// The issuer's.
    environment: String,
    /// By whom: a key, whose role decides, or this application, whose permissions do.
    machine: Option<ShownByMachine>,
    call: Call,
}

impl Asked {
    /// The call, where its caller may do this in the issuer's environment.
    fn here(mut self, permission: &str) -> Result<(String, Call)> {
        if let Some(machine) = &self.machine {
            permit(machine, permission)?;
            self.call.actor = Actor::application(&machine.application, Some(&self.environment));
        }
        Ok((self.environment, self.call))
    }

    /// The call, where its caller may do this for all environments.
    fn everywhere(mut self, permission: &str) -> Result<Call> {
        if let Some(machine) = &self.machine {
            permit(machine, permission)?;
            self.call.actor = Actor::application(&machine.application, None);
        }
        Ok(self.call)
    }
}

/// An application may do what it is permitted now, as far as its token was asked for it.
fn permit(machine: &ShownByMachine, permission: &str) -> Result<()> {
    let named = |list: &[String]| list.iter().any(|entry| entry == permission);
    if !named(&machine.application.permissions) {
        let detail = format!("the application does not have the permission `{permission}`; an administrator can give it");
        return Err(Error::forbidden(detail));
    }
    if !machine.issued.scope.is_empty() && !named(&machine.issued.scope) {
        return Err(Error::forbidden(format!("the token's scope does not name `{permission}`; ask for another token")));
    }
    Ok(())
}

/// What a path names.
#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default)]
    flag: String,
    /// The user or the organization.
    #[serde(default)]
    subject: String,
}

/// What every JWT begins with, and no key of ours does: `{"` in base64url.
const TOKEN: &str = "eyJ";

type Answered = Result<Response, Fault>;

/// Finds out who calls, and for which environment.
pub async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    match ask(&app, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => Fault::from(error).into_response(),
    }
}

async fn ask(app: &App, request: Request) -> Result<Request> {
    let (mut parts, body) = request.into_parts();
    let Place(environment) = Place::from_request_parts(&mut parts, app).await?;
    let shown = bearer(&parts.headers)?;
    let (actor, machine) = if shown.expose().starts_with(TOKEN) {
        let audience = app.issuer.management_audience(&environment);
        let machine = app.issuer.shown_by_machine(&environment, &shown, &audience).await?;
        (Actor::application(&machine.application, Some(&environment)), Some(machine))
    } else {
        let ClientAddress(address) = ClientAddress::of(&parts.headers, &parts.extensions, app);
        (app.control.authenticate(&shown, address).await?.into(), None)
    };
    let (call, parts, _) = read(actor, Request::from_parts(parts, body)).await?;
    // These answers have no place for what would be.
    call.no_preview()?;
    let mut request = Request::from_parts(parts, Body::empty());
    request.extensions_mut().insert(Asked { environment, machine, call });
    Ok(request)
}

/// Says that a write is done, as Kinde's clients read it.
fn done(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "code": code, "message": message }))).into_response()
}

async fn create_flag(State(app): State<App>, Extension(asked): Extension<Asked>) -> Answered {
    let mut call = asked.everywhere("create:feature_flags")?;
    call.body = flag_document(&call.body)?;
    app.control.create_flag(&call).await?;
    Ok(done(StatusCode::CREATED, "FEATURE_FLAG_CREATED", "Feature flag successfully created"))
}

/// Kinde sends what the flag is to be in the query, its type too, which cannot change.
async fn replace_flag(State(app): State<App>, Path(named): Path<Named>, Extension(asked): Extension<Asked>) -> Answered {
    let mut call = asked.everywhere("update:feature_flags")?;
    let query = std::mem::take(&mut call.query).into_iter().map(|(name, text)| (name, Value::String(text)));
    let mut document = Value::Object(query.collect());
    document["key"] = named.flag.clone().into();
    call.body = flag_document(&document)?;
    app.control.patch_flag(&call, &named.flag).await?;
    Ok(done(StatusCode::OK, "FEATURE_FLAG_UPDATED", "Feature flag successfully updated"))
}

async fn delete_flag(State(app): State<App>, Path(named): Path<Named>, Extension(asked): Extension<Asked>) -> Answered {
    let mut call = asked.everywhere("delete:feature_flags")?;
    // Kinde asks nothing back, so naming the flag is saying that it is meant.
    call.confirm.insert(named.flag.clone());
    app.control.delete_flag(&call, &named.flag).await?;
    Ok(done(StatusCode::OK, "FEATURE_FLAG_DELETED", "Feature flag successfully deleted"))
}

async fn environment_values(State(app): State<App>, Extension(asked): Extension<Asked>) -> Answered {
    let (environment, call) = asked.here("read:environment_feature_flags")?;
    call.only(&[])?;
    Ok(Json(listed(app.control.values(&call, &environment).await?)).into_response())
}

async fn delete_environment_values(State(app): State<App>, Extension(asked): Extension<Asked>) -> Answered {
    let (environment, call) = asked.here("delete:environment_feature_flags")?;
    app.control.delete_values(&call, &environment).await?;
    Ok(done(StatusCode::OK, "OK", "Feature flag overrides deleted successfully"))
}

async fn put_environment_value(
    State(app): State<App>,
    Path(named): Path<Named>,
    Extension(asked): Extension<Asked>,
) -> Answered {
    let (environment, mut call) = asked.here("update:environment_feature_flags")?;
    let mut members = Node::root(&call.body).members()?;
    let value = members.required("value")?.value.clone();
    members.finish()?;
    call.body = value_document(&app, &named.flag, value).await?;
    app.control.put_value(&call, &named.flag, &environment).await?;
    Ok(done(StatusCode::OK, "OK", "Feature flag override successful"))
}

async fn delete_environment_value(
    State(app): State<App>,
    Path(named): Path<Named>,
    Extension(asked): Extension<Asked>,
) -> Answered {
    let (environment, call) = asked.here("delete:environment_feature_flags")?;
    app.control.delete_value(&call, &named.flag, &environment).await?;
    Ok(done(StatusCode::OK, "OK", "Feature flag override deleted successfully"))
}

async fn organization_values(
    State(app): State<App>,
    Path(named): Path<Named>,
    Extension(asked): Extension<Asked>,
) -> Answered {
    let (environment, call) = asked.here("read:organization_feature_flags")?;
    call.only(&[])?;
    Ok(Json(listed(app.control.organization_overrides(&call, &named.subject, &environment).await?)).into_response())
}

async fn delete_organization_values(
    State(app): State<App>,
    Path(named): Path<Named>,
    Extension(asked): Extension<Asked>,
) -> Answered {
    let (environment, call) = asked.here("delete:organization_feature_flags")?;
    app.control.delete_organization_overrides(&call, &named.subject, &environment).await?;
    Ok(done(StatusCode::OK, "OK", "Feature flag overrides successfully deleted"))
}

async fn put_organization_value(
    State(app): State<App>,
    Path(named): Path<Named>,
    Extension(asked): Extension<Asked>,
) -> Answered {
    let (environment, mut call) = asked.here("update:organization_feature_flags")?;
    call.body = value_document(&app, &named.flag, value_in_query(&mut call)?).await?;
    call.query.insert("environment".to_owned(), environment);
    app.control.put_override(&call, &named.flag, Whose::Organization(&named.subject)).await?;
    Ok(done(StatusCode::OK, "OK", "Feature flag override successfully updated"))
}

async fn delete_organization_value(
    State(app): State<App>,
    Path(named): Path<Named>,
    Extension(asked): Extension<Asked>,
) -> Answered {
    let (environment, mut call) = asked.here("delete:organization_feature_flags")?;
    call.only(&[])?;
    call.query.insert("environment".to_owned(), environment);
    app.control.delete_override(&call, &named.flag, Whose::Organization(&named.subject)).await?;
    Ok(done(StatusCode::OK, "OK", "Feature flag override successfully deleted"))
}

/// A user's override holds in every environment.
async fn put_user_value(State(app): State<App>, Path(named): Path<Named>, Extension(asked): Extension<Asked>) -> Answered {
    let mut call = asked.everywhere("update:user_feature_flags")?;
    call.body = value_document(&app, &named.flag, value_in_query(&mut call)?).await?;
    app.control.put_override(&call, &named.flag, Whose::User(&named.subject)).await?;
    Ok(done(StatusCode::OK, "OK", "Feature flag override successfully updated"))
}

async fn delete_user_value(
    State(app): State<App>,
    Path(named): Path<Named>,
    Extension(asked): Extension<Asked>,
) -> Answered {
    let call = asked.everywhere("update:user_feature_flags")?;
    app.control.delete_override(&call, &named.flag, Whose::User(&named.subject)).await?;
    Ok(done(StatusCode::OK, "OK", "Feature flag override successfully deleted"))
}

fn value_in_query(call: &mut Call) -> Result<Value> {
    let value = call.required("value")?.to_owned();
    call.only(&["value"])?;
    call.query = BTreeMap::new();
    Ok(Value::String(value))
}

/// The document of a value for this flag.
async fn value_document(app: &App, flag: &str, value: Value) -> Result<Value> {
    let flag_type = app.control.flag_type(flag).await?;
    Ok(json!({ "value": from_text(value, flag_type)? }))
}
