//! The claims of an access token, on their way out. One struct holds the facts; a profile is one function that writes them
//! as JSON. Written by hand because the claim of flags is embedded as finished text and the order of members is fixed.

use std::fmt::Write;

use crate::claim::write_string;
use crate::timestamp::Timestamp;

/// What an access token says. Texts are borrowed from whoever issues it.
#[derive(Debug, Clone, Copy)]
pub struct AccessToken<'a> {
    /// `iss`: the environment's issuer URL.
    pub issuer: &'a str,
    /// `sub`: the user, or the application itself in a machine's token. Never empty.
    pub subject: &'a str,
    /// `aud`: the application's audience, its client id when none is set.
    pub audience: &'a str,
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
    /// `scope` as granted (RFC 9068 §2.2.3), when any was asked for.
    pub scope: Option<&'a str>,
    /// Left out when empty, as are `permissions`.
    pub roles: &'a [String],
    pub permissions: &'a [String],
    /// `flags_rev`: the environment's revision that was evaluated.
    pub flags_revision: i64,
    /// `feature_flags`: finished JSON text, from [`Dialect::encode`](crate::claim::Dialect::encode).
    pub feature_flags: &'a str,
}

impl AccessToken<'_> {
    /// The claims of profile `flagbearer` as JSON (RFC 9068 §2.2), the same bytes for the same facts.
    pub fn write_flagbearer(&self, out: &mut String) {
        out.reserve(self.feature_flags.len() + 512);
        let mut claims = Writer::open(out);
        claims.text("iss", self.issuer);
        claims.text("sub", self.subject);
        claims.text("aud", self.audience);
        claims.text("client_id", self.client_id);
        claims.number("iat", self.issued_at.seconds());
        claims.number("exp", self.expires_at.seconds());
        claims.text("jti", self.token_id);
        claims.optional("sid", self.session);
        if let Some(time) = self.authenticated_at {
            claims.number("auth_time", time.seconds());
        }
        claims.optional("org_id", self.organization);
        claims.optional("scope", self.scope);
        claims.texts("roles", self.roles);
        claims.texts("permissions", self.permissions);
        claims.number("flags_rev", self.flags_revision);
        claims.raw("feature_flags", self.feature_flags);
        claims.close();
    }
}

/// One flat JSON object, member by member.
struct Writer<'o> {
    out: &'o mut String,
    separator: char,
}

impl<'o> Writer<'o> {
    fn open(out: &'o mut String) -> Self {
        Self { out, separator: '{' }
    }

    /// Names are ours and hold nothing to escape.
    fn name(&mut self, name: &'static str) {
        self.out.push(self.separator);
        self.separator = ',';
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        write_string(text, self.out);
    }

    fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn number(&mut self, name: &'static str, number: i64) {
        self.name(name);
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{number}");
    }

    fn texts(&mut self, name: &'static str, texts: &[String]) {
        if texts.is_empty() {
            return;
        }
        self.name(name);
        let mut separator = '[';
        for text in texts {
            self.out.push(separator);
            separator = ',';
            write_string(text, self.out);
        }
        self.out.push(']');
    }

    fn raw(&mut self, name: &'static str, json: &str) {
        self.name(name);
        self.out.push_str(json);
    }

    fn close(self) {
        self.out.push('}');
    }
}
