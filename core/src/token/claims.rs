//! The claims of tokens on their way out. One struct holds an access token's facts, and a profile is one function that writes
//! them as JSON; another holds what an ID token says of its user. Written by hand because the claim of flags is embedded as
//! finished text and the order of members is fixed.

use std::fmt::Write;

use crate::claim::write_string;
use crate::flag::FlagValue;
use crate::timestamp::Timestamp;

use super::Profile;

/// What an access token says. Texts are borrowed from whoever issues it.
#[derive(Debug, Clone, Copy)]
pub struct AccessToken<'a> {
    /// `iss`: the environment's issuer URL.
    pub issuer: &'a str,
    /// `sub`: the user, or the application itself in a machine's token. Never empty.
    pub subject: &'a str,
    /// `aud`: the application's audience, where one is set. Without it a token of our profile is for the client itself, one
    /// of the vendors' for nobody in particular.
    pub audience: Option<&'a str>,
    pub client_id: &'a str,
    /// `iat`, in whole seconds; the instant of evaluation.
    pub issued_at: Timestamp,
    /// `exp`, in whole seconds; from then on the token is expired.
    pub expires_at: Timestamp,
    /// `jti`: never used before.
    pub token_id: &'a str,
    /// `sid`; absent in a machine's token.
    pub session: Option<&'a str>,
    /// `auth_time`: when the user signed in, unchanged by refreshes.
    pub authenticated_at: Option<Timestamp>,
    /// `org_id`.
    pub organization: Option<&'a str>,
    pub organization_name: Option<&'a str>,
    /// `scope` as granted (RFC 9068 §2.2.3), when any was asked for.
    pub scope: Option<&'a str>,
    /// Left out of our profile when empty, as are `permissions`.
    pub roles: &'a [String],
    pub permissions: &'a [String],
    /// `flags_rev`: the environment's revision that was evaluated.
    pub flags_revision: i64,
    /// `feature_flags`: finished JSON text, from [`Dialect::encode`](crate::claim::Dialect::encode) in the profile's dialect.
    pub feature_flags: &'a str,
    pub asked: Asked<'a>,
}

/// Claims that only an application which asks for them gets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    pub email: Option<&'a str>,
    pub name: Option<&'a str>,
    /// Attributes of the user, as a finished JSON object.
    pub user_attributes: Option<&'a str>,
    /// Attributes of the organization, as a finished JSON object.
    pub organization_attributes: Option<&'a str>,
}

impl AccessToken<'_> {
    /// The claims as JSON, the same bytes for the same facts.
    pub fn write(&self, profile: Profile, out: &mut String) {
        out.reserve(self.feature_flags.len() + 512);
        match profile {
            Profile::Flagbearer => self.write_flagbearer(out),
            Profile::Kinde => self.write_kinde(out),
            Profile::WorkOs => self.write_workos(out),
        }
    }

    /// RFC 9068 §2.2.
    fn write_flagbearer(&self, out: &mut String) {
        let mut claims = Writer::open(out);
        claims.text("iss", self.issuer);
        claims.text("sub", self.subject);
        claims.text("aud", self.audience.unwrap_or(self.client_id));
        claims.text("client_id", self.client_id);
        claims.number("iat", self.issued_at.seconds());
        claims.number("exp", self.expires_at.seconds());
        claims.text("jti", self.token_id);
        claims.session(self);
        claims.optional("org_id", self.organization);
        claims.optional("scope", self.scope);
        if !self.roles.is_empty() {
            claims.texts("roles", self.roles);
        }
        if !self.permissions.is_empty() {
            claims.texts("permissions", self.permissions);
        }
        claims.asked(&self.asked);
        claims.number("flags_rev", self.flags_revision);
        claims.raw("feature_flags", self.feature_flags);
        claims.close();
    }

    /// What Kinde's SDKs read. Lists are there even when they are empty, and `aud` never names the client: that is what tells
    /// an access token from an ID token.
    fn write_kinde(&self, out: &mut String) {
        let mut claims = Writer::open(out);
        claims.text("iss", self.issuer);
        claims.text("sub", self.subject);
        claims.list("aud", self.audience.iter());
        claims.text("azp", self.client_id);
        claims.number("iat", self.issued_at.seconds());
        claims.number("exp", self.expires_at.seconds());
        claims.text("jti", self.token_id);
        claims.session(self);
        claims.list("scp", self.scope.unwrap_or_default().split_ascii_whitespace());
        claims.optional("org_code", self.organization);
        claims.optional("org_name", self.organization_name);
        claims.texts("permissions", self.permissions);
        claims.name("roles");
        claims.items(self.roles.iter(), |role, out| {
            for member in [r#"{"id":"#, r#","key":"#, r#","name":"#] {
                out.push_str(member);
                write_string(role, out);
            }
            out.push('}');
        });
        claims.asked(&self.asked);
        claims.number("flags_rev", self.flags_revision);
        claims.raw("feature_flags", self.feature_flags);
        claims.close();
    }

    /// What WorkOS's SDKs read, with `client_id` beside it, by which a reader knows whom the token is for.
    fn write_workos(&self, out: &mut String) {
        let mut claims = Writer::open(out);
        claims.text("iss", self.issuer);
        claims.text("sub", self.subject);
        claims.optional("aud", self.audience);
        claims.text("client_id", self.client_id);
        claims.number("iat", self.issued_at.seconds());
        claims.number("exp", self.expires_at.seconds());
        claims.text("jti", self.token_id);
        claims.session(self);
        claims.optional("org_id", self.organization);
        claims.optional("role", self.roles.first().map(String::as_str));
        claims.texts("roles", self.roles);
        claims.texts("permissions", self.permissions);
        claims.asked(&self.asked);
        claims.number("flags_rev", self.flags_revision);
        claims.raw("feature_flags", self.feature_flags);
        claims.close();
    }
}

/// What an ID token says (OpenID Connect Core §2): who signed in, to the application alone. Never flags, and never their
/// revision, so that no reader takes one for an access token.
#[derive(Debug, Clone, Copy)]
pub struct IdToken<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    pub client_id: &'a str,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub session: Option<&'a str>,
    pub authenticated_at: Option<Timestamp>,
    /// As the application sent it.
    pub nonce: Option<&'a str>,
    pub organization: Option<&'a str>,
    /// The user's organizations as (id, name), in profile `kinde`.
    pub organizations: Option<&'a [(String, String)]>,
    pub person: Person<'a>,
}

/// What is known of a user as a person. `None` is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Person<'a> {
    pub email: Option<&'a str>,
    pub email_verified: Option<bool>,
    pub name: Option<&'a str>,
    pub picture: Option<&'a str>,
}

impl<'a> Person<'a> {
    /// The name as given and family name: the last word is the family's. A name of one word has no family name.
    pub fn names(&self) -> (Option<&'a str>, Option<&'a str>) {
        match self.name.and_then(|name| name.trim().rsplit_once(char::is_whitespace)) {
            Some((given, family)) => (Some(given.trim_end()), Some(family)),
            None => (self.name, None),
        }
    }
}

impl IdToken<'_> {
    /// The claims as JSON.
    pub fn write(&self, out: &mut String) {
        let mut claims = Writer::open(out);
        claims.text("iss", self.issuer);
        claims.text("sub", self.subject);
        claims.list("aud", [self.client_id].iter());
        claims.text("azp", self.client_id);
        claims.number("iat", self.issued_at.seconds());
        claims.number("exp", self.expires_at.seconds());
        claims.optional("sid", self.session);
        if let Some(time) = self.authenticated_at {
            claims.number("auth_time", time.seconds());
        }
        claims.optional("nonce", self.nonce);
        claims.optional("email", self.person.email);
        if let Some(verified) = self.person.email_verified {
            claims.raw("email_verified", if verified { "true" } else { "false" });
        }
        claims.optional("name", self.person.name);
        let (given, family) = self.person.names();
        claims.optional("given_name", given);
        claims.optional("family_name", family);
        claims.optional("picture", self.person.picture);
        match self.organizations {
            None => claims.optional("org_id", self.organization),
            Some(organizations) => {
                claims.optional("org_code", self.organization);
                claims.list("org_codes", organizations.iter().map(|(id, _)| id));
                claims.name("organizations");
                claims.items(organizations.iter(), |(id, name), out| {
                    out.push_str(r#"{"id":"#);
                    write_string(id, out);
                    out.push_str(r#","name":"#);
                    write_string(name, out);
                    out.push('}');
                });
            }
        }
        claims.close();
    }
}

/// One flat JSON object, member by member.
pub(super) struct Writer<'o> {
    out: &'o mut String,
    separator: char,
}

impl<'o> Writer<'o> {
    pub fn open(out: &'o mut String) -> Self {
        Self { out, separator: '{' }
    }

    /// Names are ours and hold nothing to escape.
    pub fn name(&mut self, name: &'static str) {
        self.out.push(self.separator);
        self.separator = ',';
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    pub fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        write_string(text, self.out);
    }

    fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub fn value(&mut self, name: &'static str, value: &FlagValue) {
        self.name(name);
        value.write_json(self.out);
    }

    pub fn number(&mut self, name: &'static str, number: i64) {
        self.name(name);
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{number}");
    }

    fn texts(&mut self, name: &'static str, texts: &[String]) {
        self.list(name, texts.iter());
    }

    fn list<T: AsRef<str>>(&mut self, name: &'static str, texts: impl Iterator<Item = T>) {
        self.name(name);
        self.items(texts, |text, out| write_string(text.as_ref(), out));
    }

    /// An array, item by item, after its name.
    pub fn items<T>(&mut self, items: impl Iterator<Item = T>, write: impl Fn(T, &mut String)) {
        self.out.push('[');
        for (number, item) in items.enumerate() {
            if number > 0 {
                self.out.push(',');
            }
            write(item, self.out);
        }
        self.out.push(']');
    }

    fn session(&mut self, token: &AccessToken<'_>) {
        self.optional("sid", token.session);
        if let Some(time) = token.authenticated_at {
            self.number("auth_time", time.seconds());
        }
    }

    fn asked(&mut self, asked: &Asked<'_>) {
        self.optional("email", asked.email);
        self.optional("name", asked.name);
        if let Some(attributes) = asked.user_attributes {
            self.raw("user_attributes", attributes);
        }
        if let Some(attributes) = asked.organization_attributes {
            self.raw("organization_attributes", attributes);
        }
    }

    fn raw(&mut self, name: &'static str, json: &str) {
        self.name(name);
        self.out.push_str(json);
    }

    pub fn close(self) {
        self.out.push('}');
    }
}
