//! Who the claims of a provider say somebody is.

use flagbearer::subject::SubjectId;
use flagbearer::token::ForeignClaims;
use serde_json::{Map, Value};

use crate::email;
use crate::store::{Arrival, IdentityProvider};

/// The longest name that is taken over, as everywhere in the directory.
const MAX_NAME_BYTES: usize = 256;

/// Somebody, as verified claims have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    subject: SubjectId,
    user: Option<SubjectId>,
    pub organization: Option<SubjectId>,
    email: Option<String>,
    name: Option<String>,
}

impl Person {
    /// Reads the claims that the provider's document names. What decides who somebody is has to be sound; an address or a
    /// name that is not is left out, as is an address that the provider does not vouch for.
    pub fn read(provider: &IdentityProvider, claims: &ForeignClaims) -> Result<Self, String> {
        let names = &provider.claims;
        let id = |name: &Option<String>| -> Result<Option<SubjectId>, String> {
            let Some(name) = name else { return Ok(None) };
            let text = match find(&claims.all, name) {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
                Some(_) => return Err(format!("the claim `{name}` is neither text nor a whole number")),
            };
            SubjectId::parse(&text).map(Some).map_err(|error| format!("the claim `{name}` is no id: {error}"))
        };
        let text = |name: &Option<String>, standard: &str, good: &dyn Fn(&str) -> bool| {
            let text = find(&claims.all, name.as_deref().unwrap_or(standard))?.as_str()?;
            good(text).then(|| text.to_owned())
        };
        let presentable =
            |text: &str| !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control);
        let user = id(&names.user)?;
        if let (Some(name), None) = (&names.user, &user) {
            return Err(format!("the claim `{name}`, which says who the user is here, is missing"));
        }
        // Some providers write it as text.
        let verified = claims.all.get("email_verified").is_some_and(|value| *value == true || *value == "true");
        Ok(Self {
            subject: claims.subject.clone(),
            user,
            organization: id(&names.organization)?,
            email: text(&names.email, "email", &email::is_acceptable).filter(|_| verified),
            name: text(&names.name, "name", &presentable),
        })
    }

    pub fn arrival<'a>(&'a self, provider: &'a IdentityProvider) -> Arrival<'a> {
        Arrival {
            issuer: &provider.issuer,
            subject: self.subject.as_str(),
            user: self.user.as_ref().map(SubjectId::as_str),
            organization: self.organization.as_ref().map(SubjectId::as_str),
            email: self.email.as_deref(),
            name: self.name.as_deref(),
        }
    }
}

/// A claim by its name, or by a pointer into one.
fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = match pointer.split_once('/') {
        Some((first, _)) => (first, &pointer[first.len()..]),
        None => (pointer, ""),
    };
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}
