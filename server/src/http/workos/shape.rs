//! The documents of WorkOS's API. Each has every member that the Python SDK insists on.

use serde_json::{Value, json};

use crate::control::BooleanFlag;
use crate::store::{Organization, User};

/// A user. Its one name is parted in two: the last word, and what comes before it.
pub fn user(user: &User) -> Value {
    let (first_name, last_name) = names(user.name.as_deref());
    json!({
        "object": "user",
        "id": user.id,
        // Never null there: applications call string functions on it.
        "email": user.email.as_deref().unwrap_or_default(),
        "email_verified": false,
        "first_name": first_name,
        "last_name": last_name,
        "name": user.name,
        "profile_picture_url": null,
        "external_id": null,
        "last_sign_in_at": null,
        "locale": null,
        "metadata": {},
        "created_at": user.created_at,
        "updated_at": user.created_at,
    })
}

fn names(name: Option<&str>) -> (Option<&str>, Option<&str>) {
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    match name.map(|name| name.rsplit_once(char::is_whitespace).ok_or(name)) {
        None => (None, None),
        Some(Err(only)) => (Some(only), None),
        Some(Ok((first, last))) => (Some(first.trim_end()), Some(last)),
    }
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

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_name_is_parted_before_its_last_word() {
        assert_eq!(names(Some("Ada Lovelace")), (Some("Ada"), Some("Lovelace")));
        assert_eq!(names(Some(" Augusta Ada  King ")), (Some("Augusta Ada"), Some("King")));
        assert_eq!(names(Some("Ada")), (Some("Ada"), None));
        assert_eq!(names(Some("  ")), (None, None));
        assert_eq!(names(None), (None, None));
    }
}
