//! Minting: what one snapshot says becomes an access token of the application's profile, with what goes beside it.

use flagbearer::attributes::Attributes;
use flagbearer::timestamp::Timestamp;
use flagbearer::token::{AccessToken, Asked, IdToken, MAX_TOKEN_BYTES, Person, Profile};
use serde_json::{Map, Value};

use super::keys::TokenType;
use super::{Issuer, refresh_token};
use crate::error::Result;
use crate::request_id;
use crate::store::{Application, Facts, Issuance, Method, RequestedClaim, Session, Snapshot, to_value};

/// What a client gets.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub profile: Profile,
    pub access_token: String,
    /// None in the answer to a machine, which asks again when it needs another.
    pub refresh_token: Option<String>,
    /// Who signed in (OpenID Connect), where that was asked for.
    pub id_token: Option<String>,
    /// Seconds.
    pub expires_in: i64,
    /// As granted, where anything was asked for.
    pub scope: Option<String>,
    /// The claim, as JSON text.
    pub feature_flags: String,
    pub flags_revision: i64,
    /// Whose session it is; none for a machine.
    pub bearer: Option<Bearer>,
}

/// The user that tokens are for, as the vendors' answers tell it.
#[derive(Debug, Clone)]
pub struct Bearer {
    pub session: String,
    pub user: String,
    pub person: crate::store::Person,
    pub organization: Option<String>,
    pub method: Method,
}

impl Tokens {
    /// The token response (RFC 6749 §5.1) as the application's profile has it. Ours has the flags beside the token: a client
    /// need not look into it.
    pub fn answer(&self) -> Value {
        self.tell(self.profile == Profile::Flagbearer)
    }

    /// What a trusted backend is told that started a session: the same for every profile, flags and session included.
    pub fn session_answer(&self) -> Value {
        self.tell(true)
    }

    fn tell(&self, everything: bool) -> Value {
        let mut answer = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                answer.insert(name.to_owned(), value);
            }
        };
        add("access_token", Some(self.access_token.as_str().into()));
        add("refresh_token", self.refresh_token.as_deref().map(Value::from));
        add("id_token", self.id_token.as_deref().map(Value::from));
        add("token_type", Some(if self.profile == Profile::Kinde { "bearer" } else { "Bearer" }.into()));
        add("expires_in", Some(self.expires_in.into()));
        // Kinde's SDKs want the member whether or not anything was asked for.
        let scope = self.scope.as_deref().or((self.profile == Profile::Kinde).then_some(""));
        add("scope", scope.map(Value::from));
        if everything {
            // The claim is JSON that this process has just written.
            add("feature_flags", serde_json::from_str(&self.feature_flags).ok());
            add("flags_rev", Some(self.flags_revision.into()));
            add("session_id", self.bearer.as_ref().map(|bearer| bearer.session.as_str().into()));
        }
        Value::Object(answer)
    }
}

/// A token to be minted for a session's user.
#[derive(Debug, Clone, Copy)]
pub struct Minting<'a> {
    pub application: &'a Application,
    pub session: &'a Session,
    /// That of the refresh token to go with it.
    pub generation: i64,
    pub snapshot: &'a Snapshot,
    /// Its `jti`.
    pub token_id: &'a str,
    /// As the authorization request had it; answered once.
    pub nonce: Option<&'a str>,
    pub now: Timestamp,
}

/// A token to be minted for an application itself (RFC 6749 §4.4).
#[derive(Debug, Clone, Copy)]
pub struct MachineMinting<'a> {
    pub application: &'a Application,
    /// What was asked to be called with it, where that is not the application's own audience.
    pub audience: Option<&'a str>,
    pub scope: Option<&'a str>,
    /// The application's, or those of them that it asked for.
    pub permissions: &'a [String],
    /// Of the application's environment, without a user.
    pub snapshot: &'a Snapshot,
    /// Its `jti`.
    pub token_id: &'a str,
    pub now: Timestamp,
}

impl Issuer {
    /// Evaluates and signs, with the rules and the keys of the snapshot.
    ///
    /// The environment has to be held already ([`Issuer::hold`]): this runs inside transactions, and must not wait.
    pub fn issue(&self, minting: &Minting<'_>) -> Result<Tokens> {
        let Minting { application, session, generation, snapshot, token_id, now, .. } = *minting;
        let facts = &snapshot.facts;
        let feature_flags = claim(application, snapshot, now);
        self.over_budget.note(application, &feature_flags, facts.revision);
        let issuer = self.url(&session.environment);
        let expires_at = now.plus_seconds(application.access_token_ttl).min(session.absolute_expires_at);
        let membership = facts.membership.clone().unwrap_or_default();
        let attributes = Requested::of(application, facts)?;
        let token = AccessToken {
            issuer: &issuer,
            subject: &session.user,
            audience: application.audience.as_deref(),
            client_id: &application.client_id,
            issued_at: now,
            expires_at,
            token_id,
            session: Some(&session.id),
            authenticated_at: Some(session.auth_time),
            organization: facts.organization.as_deref(),
            organization_name: facts.organization_name.as_deref(),
            scope: session.scope.as_deref(),
            roles: &membership.roles,
            permissions: &membership.permissions,
            flags_revision: facts.revision,
            feature_flags: &feature_flags,
            asked: attributes.asked(application, facts),
        };
        let access_token = self.sign(application, &token, snapshot)?;
        Ok(Tokens {
            profile: application.profile,
            access_token,
            refresh_token: Some(refresh_token::mint(&self.key, self.epoch, &session.id, generation)),
            id_token: self.id_token(minting, &issuer, expires_at)?,
            expires_in: expires_at.seconds() - now.seconds(),
            scope: session.scope.clone(),
            feature_flags,
            flags_revision: facts.revision,
            bearer: Some(Bearer {
                session: session.id.clone(),
                user: session.user.clone(),
                person: facts.person.clone(),
                organization: facts.organization.clone(),
                method: session.method,
            }),
        })
    }

    /// Evaluates and signs for a machine: no user, and so no user's overrides, attributes or rollouts.
    pub fn issue_to_machine(&self, minting: &MachineMinting<'_>) -> Result<Tokens> {
        let MachineMinting { application, audience, scope, permissions, snapshot, token_id, now } = *minting;
        let facts = &snapshot.facts;
        let feature_flags = claim(application, snapshot, now);
        self.over_budget.note(application, &feature_flags, facts.revision);
        let expires_at = now.plus_seconds(application.access_token_ttl);
        let attributes = Requested::of(application, facts)?;
        let token = AccessToken {
            issuer: &self.url(&application.environment),
            // An application's id is random, so that no user is mistaken for it (RFC 9068 §5).
            subject: &application.client_id,
            audience: audience.or(application.audience.as_deref()),
            client_id: &application.client_id,
            issued_at: now,
            expires_at,
            token_id,
            session: None,
            authenticated_at: None,
            organization: facts.organization.as_deref(),
            organization_name: facts.organization_name.as_deref(),
            scope,
            roles: &[],
            permissions,
            flags_revision: facts.revision,
            feature_flags: &feature_flags,
            asked: attributes.asked(application, facts),
        };
        Ok(Tokens {
            profile: application.profile,
            access_token: self.sign(application, &token, snapshot)?,
            refresh_token: None,
            id_token: None,
            expires_in: expires_at.seconds() - now.seconds(),
            scope: scope.map(str::to_owned),
            feature_flags,
            flags_revision: facts.revision,
            bearer: None,
        })
    }

    /// What is written down of a token that was issued, where that is done.
    pub(super) fn issuance(
        &self,
        token_id: &str,
        application: &Application,
        session: Option<&Session>,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Option<Issuance> {
        self.records.then(|| Issuance {
            token_id: token_id.to_owned(),
            request_id: request_id::current(),
            session: session.map(|session| session.id.clone()),
            application: application.client_id.clone(),
            environment: application.environment.clone(),
            organization: snapshot.facts.organization.clone(),
            issued_at: now,
            revision: snapshot.facts.revision,
        })
    }

    fn sign(&self, application: &Application, token: &AccessToken<'_>, snapshot: &Snapshot) -> Result<String> {
        let mut claims = String::new();
        token.write(application.profile, &mut claims);
        let token_type = match application.profile {
            Profile::Flagbearer => TokenType::AccessToken,
            Profile::Kinde | Profile::WorkOs => TokenType::Jwt,
        };
        let keys = &snapshot.signing_keys;
        let signed = self.keys.signer(keys, application.algorithm, token_type, token.issued_at)?.sign(&claims)?;
        if signed.len() > MAX_TOKEN_BYTES {
            let (bytes, client_id) = (signed.len(), &application.client_id);
            tracing::warn!(bytes, client_id, "a token is larger than readers accept: its flags are too large");
        }
        Ok(signed)
    }

    /// Kinde's SDKs want an ID token with every answer; in our profile `openid` asks for it, and it says of the user what the
    /// scope names (OpenID Connect Core §5.4).
    fn id_token(&self, minting: &Minting<'_>, issuer: &str, expires_at: Timestamp) -> Result<Option<String>> {
        let Minting { application, session, snapshot, nonce, now, .. } = *minting;
        let facts = &snapshot.facts;
        let scope = session.scope.as_deref();
        let kinde = application.profile == Profile::Kinde;
        if application.profile == Profile::WorkOs || (!kinde && !has_scope(scope, "openid")) {
            return Ok(None);
        }
        let token = IdToken {
            issuer,
            subject: &session.user,
            client_id: &application.client_id,
            issued_at: now,
            expires_at,
            session: Some(&session.id),
            authenticated_at: Some(session.auth_time),
            nonce,
            organization: facts.organization.as_deref(),
            organizations: kinde.then_some(facts.organizations.as_slice()),
            person: person(&facts.person, told_of_person(application.profile, scope)),
        };
        let mut claims = String::new();
        token.write(&mut claims);
        let signer = self.keys.signer(&snapshot.signing_keys, application.algorithm, TokenType::Jwt, now)?;
        Ok(Some(signer.sign(&claims)?))
    }
}

/// What can be granted by asking for it (OpenID Connect Core §5.4, §11; `offline` is Kinde's name). Everything else would be
/// the client's own word, and whoever reads the token would take it for ours.
const SCOPES: [&str; 5] = ["openid", "profile", "email", "offline_access", "offline"];

/// What is granted of a scope that was asked for, each word once.
pub fn granted(asked: &str) -> Option<String> {
    let mut words: Vec<&str> = Vec::new();
    for word in asked.split_ascii_whitespace().filter(|word| SCOPES.contains(word)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    (!words.is_empty()).then(|| words.join(" "))
}

/// Whether a scope names a thing.
pub fn has_scope(scope: Option<&str>, wanted: &str) -> bool {
    scope.is_some_and(|scope| scope.split_ascii_whitespace().any(|found| found == wanted))
}

/// The scope that decides what is said of a person: Kinde's SDKs expect a person where a session began without any scope.
pub(super) fn told_of_person(profile: Profile, scope: Option<&str>) -> Option<&str> {
    scope.or((profile == Profile::Kinde).then_some("profile email"))
}

/// What a scope lets be said of a person.
pub fn person<'p>(person: &'p crate::store::Person, scope: Option<&str>) -> Person<'p> {
    let mut told = Person::default();
    if has_scope(scope, "email") {
        told.email = person.email.as_deref();
        told.email_verified = told.email.map(|_| person.email_verified);
    }
    if has_scope(scope, "profile") {
        told.name = person.name.as_deref();
        told.picture = person.picture.as_deref();
    }
    told
}

/// The claim of flags: those that the application's tokens carry, in its profile's dialect.
fn claim(application: &Application, snapshot: &Snapshot, now: Timestamp) -> String {
    let evaluations = snapshot.carried(application, now);
    let mut claim = String::new();
    application.profile.dialect().encode(evaluations.iter().map(|found| (&found.flag.key, found.value)), &mut claim);
    claim
}

/// The attributes that an application asks for, as JSON objects. None where it asks for none of them.
#[derive(Default)]
struct Requested {
    user: Option<String>,
    organization: Option<String>,
}

impl Requested {
    fn of(application: &Application, facts: &Facts) -> Result<Self> {
        let pick = |attributes: &Attributes, name: fn(&RequestedClaim) -> Option<&String>| -> Result<Option<String>> {
            let mut wanted = application.claims.iter().filter_map(name).peekable();
            if wanted.peek().is_none() {
                return Ok(None);
            }
            let mut all = to_value(attributes)?;
            let found: Map<String, Value> =
                wanted.filter_map(|name| Some((name.clone(), all.get_mut(name)?.take()))).collect();
            Ok(Some(Value::Object(found).to_string()))
        };
        Ok(Self {
            user: pick(&facts.user_attributes, |claim| match claim {
                RequestedClaim::User(name) => Some(name),
                _ => None,
            })?,
            organization: pick(&facts.organization_attributes, |claim| match claim {
                RequestedClaim::Organization(name) => Some(name),
                _ => None,
            })?,
        })
    }

    fn asked<'a>(&'a self, application: &Application, facts: &'a Facts) -> Asked<'a> {
        let asks = |claim: RequestedClaim| application.claims.contains(&claim);
        Asked {
            email: facts.person.email.as_deref().filter(|_| asks(RequestedClaim::Email)),
            name: facts.person.name.as_deref().filter(|_| asks(RequestedClaim::Name)),
            user_attributes: self.user.as_deref(),
            organization_attributes: self.organization.as_deref(),
        }
    }
}
