//! The documents of WorkOS's API. Each has every member that the Python SDK insists on.

use flagbearer::token;
use serde_json::{Value, json};

use crate::control::BooleanFlag;
use crate::issuer::Tokens;
use crate::store::{Method, Organization, Person, Session};

/// A user. Its one name is parted in two.
pub fn user(id: &str, person: &Person) -> Value {
    let (first_name, last_name) = token::Person { name: person.name.as_deref(), ..token::Person::default() }.names();
    json!({
        "object": "user",
        "id": id,
        // Never null there: applications call string functions on it.
        "email": person.email.as_deref().unwrap_or_default(),
        "email_verified": person.email_verified,
        "first_name": first_name,
        "last_name": last_name,
        "name": person.name,
        "profile_picture_url": person.picture,
        "external_id": null,
        "last_sign_in_at": person.last_sign_in_at,
        "locale": null,
        "metadata": {},
        "created_at": person.created_at,
        "updated_at": person.updated_at,
    })
}

/// What a grant is answered with.
pub fn tokens(tokens: &Tokens) -> Value {
    let mut answer = json!({ "access_token": tokens.access_token, "refresh_token": tokens.refresh_token });
    if let Some(bearer) = &tokens.bearer {
        answer["user"] = user(&bearer.user, &bearer.person);
        answer["authentication_method"] = authentication_method(bearer.method).into();
        if let Some(organization) = &bearer.organization {
            answer["organization_id"] = organization.as_str().into();
        }
    }
    answer
}

/// How a user signed in, among the ways that WorkOS has.
fn authentication_method(method: Method) -> &'static str {
    match method {
        Method::Password => "Password",
        Method::Upstream => "SSO",
        Method::Backend | Method::Exchange => "ExternalAuth",
    }
}

/// A session; `ended_at` where it has been ended.
pub fn session(session: &Session) -> Value {
    let auth_method = match session.method {
        Method::Password => "password",
        Method::Upstream => "sso",
        Method::Backend | Method::Exchange => "external_auth",
    };
    let mut answer = json!({
        "object": "session",
        "id": session.id,
        "user_id": session.user,
        "ip_address": session.ip_address,
        "user_agent": session.user_agent,
        "auth_method": auth_method,
        "status": if session.revoked_at.is_some() { "revoked" } else { "active" },
        "expires_at": session.expires_at,
        "ended_at": session.revoked_at,
        "created_at": session.created_at,
        "updated_at": session.revoked_at.or(session.rotated_at).unwrap_or(session.created_at),
    });
    if let Some(organization) = &session.organization {
        answer["organization_id"] = organization.as_str().into();
    }
    answer
}

pub fn organization(organization: &Organization) -> Value {
    json!({
        "object": "organization",
        "id": organization.id,
        "name": organization.name,
        "domains": [],
        "external_id": null,
        "metadata": {},
        "allow_profiles_outside_organization": false,
        "created_at": organization.created_at,
        "updated_at": organization.created_at,
    })
}

pub fn flag(BooleanFlag { stored, setting, default_value }: &BooleanFlag) -> Value {
    let flag = &stored.flag;
    // An owner is whatever text tells who that is; WorkOS knows people with an address.
    let owner = flag.owner.as_deref().filter(|owner| owner.contains('@'));
    json!({
        "object": "feature_flag",
        "id": &*flag.id,
        "slug": flag.key.as_str(),
        "name": flag.name,
        "description": flag.description,
        "owner": owner.map(|email| json!({ "email": email, "first_name": null, "last_name": null })),
        "tags": flag.tags,
        "enabled": setting.setting.enabled,
        "default_value": default_value,
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
    })
}
