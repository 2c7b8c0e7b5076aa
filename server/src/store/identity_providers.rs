//! Identity providers: OpenID providers that users sign in with, and issuers whose tokens are exchanged for ours. One document
//! serves both. Each is in one environment, which has an issuer at most once.

use flagbearer::document::{Members, Node};
use flagbearer::error::ErrorCode;
use serde_json::{Value, json};

use super::engine::{Connection, Row, params};
use super::flags::stored;
use super::{Edit, Entity, Write};
use crate::error::{Error, Result};

/// A provider's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProvider {
    pub id: String,
    pub environment: String,
    /// As users read it on the button that leads there.
    pub name: String,
    /// `iss` of its tokens, byte for byte, and where its metadata is found.
    pub issuer: String,
    /// Who we are there.
    pub client_id: Option<String>,
    /// What is asked for at sign-in; `openid` among it.
    pub scopes: Vec<String>,
    /// Where its keys are; told by its metadata where not set.
    pub jwks_uri: Option<String>,
    /// `aud` of tokens that are exchanged; ID tokens for our own client id where not set.
    pub audience: Option<String>,
    /// Whether users sign in with it.
    pub sign_in: bool,
    /// Whether its tokens are exchanged.
    pub exchange: bool,
    /// Whether users (and what `claims` says of organizations and memberships) that are not known are created.
    pub create_users: bool,
    pub claims: ClaimNames,
}

/// Which claims say what: each the name of a claim, or, with a `/` in front, a pointer (RFC 6901) to what is inside of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimNames {
    /// The user's id here. Where not set, a user is known by issuer and `sub`, and gets an id of ours.
    pub user: Option<String>,
    /// The organization that the user acts in.
    pub organization: Option<String>,
    /// `email` where not set.
    pub email: Option<String>,
    /// `name` where not set.
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredIdentityProvider {
    pub provider: IdentityProvider,
    /// Our client secret there, sealed.
    pub sealed_secret: Option<Vec<u8>>,
    pub revision: i64,
}

const MAX_URL_BYTES: usize = 2048;
const MAX_SCOPES: usize = 32;

/// What holds where nothing is set.
const SCOPES: [&str; 3] = ["openid", "email", "profile"];

/// Claims that users can change at their provider, or that it gives to another one later (OpenID Connect Core §5.7).
const NO_IDENTITY: [&str; 5] = ["email", "name", "nickname", "phone_number", "preferred_username"];

impl IdentityProvider {
    /// Reads the document that creates a provider.
    pub fn create(document: &Value, id: &str) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let environment = members.required("environment")?.string()?.to_owned();
        let name = members.required("name")?.text(128)?;
        let issuer = members.required("issuer")?.text(MAX_URL_BYTES)?;
        let mut provider = Self {
            id: id.to_owned(),
            environment,
            name,
            issuer,
            client_id: None,
            scopes: SCOPES.map(str::to_owned).to_vec(),
            jwks_uri: None,
            audience: None,
            sign_in: true,
            exchange: false,
            create_users: false,
            claims: ClaimNames::default(),
        };
        provider.edit(&mut members)?;
        members.finish()?;
        provider.consistent()?;
        Ok(provider)
    }

    /// The provider with a patch applied. It stays in its environment.
    pub fn patched(&self, document: &Value) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let mut provider = self.clone();
        if let Some(node) = members.present("environment")
            && node.string()? != self.environment
        {
            let detail = "an identity provider stays in its environment; create another";
            return Err(node.error(ErrorCode::Immutable, detail).into());
        }
        if let Some(node) = members.present("name") {
            provider.name = node.text(128)?;
        }
        if let Some(node) = members.present("issuer") {
            provider.issuer = node.text(MAX_URL_BYTES)?;
        }
        provider.edit(&mut members)?;
        members.finish()?;
        provider.consistent()?;
        Ok(provider)
    }

    fn edit(&mut self, members: &mut Members<'_>) -> Result<()> {
        // Read by whoever seals it; it is no part of the document.
        members.present("client_secret");
        for (name, field, max) in [
            ("client_id", &mut self.client_id, 512),
            ("jwks_uri", &mut self.jwks_uri, MAX_URL_BYTES),
            ("audience", &mut self.audience, 512),
        ] {
            if let Some(node) = members.present(name) {
                *field = maybe(&node, max)?;
            }
        }
        for (name, field, standard) in [
            ("sign_in", &mut self.sign_in, true),
            ("exchange", &mut self.exchange, false),
            ("create_users", &mut self.create_users, false),
        ] {
            if let Some(node) = members.present(name) {
                *field = if node.is_null() { standard } else { node.boolean()? };
            }
        }
        if let Some(node) = members.present("scopes") {
            self.scopes = if node.is_null() { SCOPES.map(str::to_owned).to_vec() } else { scopes(&node)? };
        }
        if let Some(node) = members.present("claims") {
            self.claims = if node.is_null() { ClaimNames::default() } else { ClaimNames::parse(&node)? };
        }
        Ok(())
    }

    fn consistent(&self) -> Result<()> {
        let refused =
            |pointer: &str, detail: &str| Err(flagbearer::error::Error::at(ErrorCode::ValueInvalid, pointer, detail).into());
        if self.sign_in && self.client_id.is_none() {
            return refused(
                "/client_id",
                "users sign in as those of a client: give the `client_id` that the provider gave you",
            );
        }
        if self.exchange && self.client_id.is_none() && self.audience.is_none() {
            return refused(
                "/audience",
                "tokens are exchanged that are meant for us: give their `audience`, or our `client_id`",
            );
        }
        Ok(())
    }

    /// The document, as it is answered, stored and logged.
    pub fn document(&self) -> Value {
        let ClaimNames { user, organization, email, name } = &self.claims;
        json!({
            "id": self.id,
            "environment": self.environment,
            "name": self.name,
            "issuer": self.issuer,
            "client_id": self.client_id,
            "scopes": self.scopes,
            "jwks_uri": self.jwks_uri,
            "audience": self.audience,
            "sign_in": self.sign_in,
            "exchange": self.exchange,
            "create_users": self.create_users,
            "claims": { "user": user, "organization": organization, "email": email, "name": name },
        })
    }

    /// Reads a document that was stored.
    fn from_stored(mut document: Value) -> Result<Self> {
        let id = match document.as_object_mut().and_then(|members| members.remove("id")) {
            Some(Value::String(id)) => id,
            _ => return Err(Error::internal("a stored identity provider has no id")),
        };
        Self::create(&document, &id).map_err(Error::internal)
    }
}

fn maybe(node: &Node<'_>, max: usize) -> Result<Option<String>> {
    if node.is_null() {
        return Ok(None);
    }
    let text = node.text(max)?;
    if text.is_empty() {
        return Err(node.error(ErrorCode::TextInvalid, "leave it out, or give `null`, where there is none").into());
    }
    Ok(Some(text))
}

/// RFC 6749 §3.3.
fn scopes(node: &Node<'_>) -> Result<Vec<String>> {
    let items = node.items()?;
    let legal = |byte: u8| byte == b'!' || (b'#'..=b'~').contains(&byte) && byte != b'\\';
    let mut scopes = Vec::new();
    for item in &items {
        let scope = item.text(128)?;
        if scope.is_empty() || !scope.bytes().all(legal) {
            return Err(item
                .error(ErrorCode::ValueInvalid, format!("`{scope}` is not a scope: a word of visible ASCII"))
                .into());
        }
        scopes.push(scope);
    }
    if scopes.len() > MAX_SCOPES || !scopes.iter().any(|scope| scope == "openid") {
        let detail = format!("there are at most {MAX_SCOPES} scopes, `openid` among them");
        return Err(node.error(ErrorCode::ValueInvalid, detail).into());
    }
    Ok(scopes)
}

impl ClaimNames {
    fn parse(node: &Node<'_>) -> Result<Self> {
        let mut members = node.members()?;
        let mut name = |name: &'static str| members.present(name).map_or(Ok(None), |node| maybe(&node, 256));
        let claims =
            Self { user: name("user")?, organization: name("organization")?, email: name("email")?, name: name("name")? };
        members.finish()?;
        if let Some(user) = &claims.user
            && NO_IDENTITY.contains(&user.trim_start_matches('/'))
        {
            let pointer = format!("{}/user", node.pointer);
            let detail =
                format!("`{user}` is no identity, for it may change hands: choose a claim that never does, such as `sub`");
            return Err(flagbearer::error::Error::at(ErrorCode::ValueInvalid, pointer, detail).into());
        }
        Ok(claims)
    }
}

macro_rules! columns {
    () => {
        "SELECT document, sealed_secret, revision FROM identity_providers "
    };
}

impl TryFrom<&Row> for StoredIdentityProvider {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            provider: IdentityProvider::from_stored(stored(&row.text(0)?)?)?,
            sealed_secret: row.maybe_bytes(1)?,
            revision: row.integer(2)?,
        })
    }
}

impl Connection {
    pub async fn identity_provider(&mut self, id: &str) -> Result<StoredIdentityProvider> {
        let row = self.row(concat!(columns!(), "WHERE id = $1"), params![id]).await?;
        let found = row.as_ref().map(StoredIdentityProvider::try_from).transpose()?;
        found.ok_or_else(|| Error::not_found("identity provider", id))
    }

    /// The provider of an environment whose tokens have this `iss`.
    pub async fn find_identity_provider(
        &mut self,
        environment: &str,
        issuer: &str,
    ) -> Result<Option<StoredIdentityProvider>> {
        let sql = concat!(columns!(), "WHERE environment = $1 AND issuer = $2");
        let row = self.row(sql, params![environment, issuer]).await?;
        row.as_ref().map(StoredIdentityProvider::try_from).transpose()
    }

    /// In order of id, those after `cursor`; of one environment where said.
    pub async fn identity_providers(
        &mut self,
        environment: Option<&str>,
        cursor: &str,
        limit: i64,
    ) -> Result<Vec<StoredIdentityProvider>> {
        let sql =
            concat!(columns!(), "WHERE id > $1 AND (CAST($2 AS TEXT) IS NULL OR environment = $2) ORDER BY id LIMIT $3");
        let rows = self.rows(sql, params![cursor, environment, limit]).await?;
        rows.iter().map(StoredIdentityProvider::try_from).collect()
    }
}

impl Write {
    pub async fn insert_identity_provider(
        &mut self,
        provider: &IdentityProvider,
        sealed_secret: Option<Vec<u8>>,
    ) -> Result<()> {
        let sql = "INSERT INTO identity_providers (id, environment, issuer, document, sealed_secret, revision) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let parameters = params![
            provider.id.as_str(),
            provider.environment.as_str(),
            provider.issuer.as_str(),
            provider.document().to_string(),
            sealed_secret,
            self.revision,
        ];
        self.execute(sql, parameters).await?;
        self.record(edit(None, Some(provider), provider));
        Ok(())
    }

    pub async fn update_identity_provider(
        &mut self,
        before: &IdentityProvider,
        after: &IdentityProvider,
        sealed_secret: Option<Vec<u8>>,
    ) -> Result<()> {
        let sql =
            "UPDATE identity_providers SET issuer = $2, document = $3, sealed_secret = $4, revision = $5 WHERE id = $1";
        let document = after.document().to_string();
        let parameters = params![after.id.as_str(), after.issuer.as_str(), document, sealed_secret, self.revision];
        self.execute(sql, parameters).await?;
        self.record(edit(Some(before), Some(after), after));
        Ok(())
    }

    /// Removes a provider. Who signed in with it stays known by its issuer, should it come back.
    pub async fn delete_identity_provider(&mut self, provider: &IdentityProvider) -> Result<()> {
        self.execute("DELETE FROM identity_providers WHERE id = $1", params![provider.id.as_str()]).await?;
        self.record(edit(Some(provider), None, provider));
        Ok(())
    }
}

fn edit(before: Option<&IdentityProvider>, after: Option<&IdentityProvider>, place: &IdentityProvider) -> Edit {
    let document = IdentityProvider::document;
    Edit::new(Entity::IdentityProvider, &place.id, before.map(document), after.map(document)).environment(&place.environment)
}
