//! Applications: OAuth clients, each in exactly one environment, and how their tokens look.

use flagbearer::claim::Dialect;
use flagbearer::document::{Members, Node, list};
use flagbearer::error::ErrorCode;
use flagbearer::flag::{Flag, FlagType};
use flagbearer::projection::Projection;
use flagbearer::token::{Algorithm, MAX_TOKEN_BYTES, Profile};
use serde_json::{Value, json};

use super::engine::{Connection, Row, Sql, params};
use super::flags::stored;
use super::{Edit, Entity, Write};
use crate::error::{Error, Result};
use crate::uri;

/// An application's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    pub client_id: String,
    pub name: String,
    pub environment: String,
    /// What its tokens look like, and at which endpoints it is served.
    pub profile: Profile,
    /// Keeps no secret: a browser's or a phone's.
    pub public: bool,
    /// Where a browser may be sent with a code, to the letter.
    pub redirect_uris: Vec<String>,
    /// Where it may be sent after signing out, to the letter.
    pub logout_uris: Vec<String>,
    /// The origins of its pages that may call the token endpoints from a browser.
    pub allowed_origins: Vec<String>,
    /// What its access tokens carry of persons and attributes, beyond what all carry.
    pub claims: Vec<RequestedClaim>,
    /// What its machine tokens permit.
    pub permissions: Vec<String>,
    /// Which flags its tokens carry.
    pub projection: Projection,
    /// How many bytes `feature_flags` is to have at most in its tokens. Writes are measured by it, never tokens refused.
    pub claim_budget: i64,
    /// What the sign-in page says and looks like for it.
    pub branding: Branding,
    /// What its tokens are for; the client id where none is set.
    pub audience: Option<String>,
    pub algorithm: Algorithm,
    /// Seconds, 60 to 86 400.
    pub access_token_ttl: i64,
    /// Seconds without a refresh after which a session ends.
    pub idle_ttl: i64,
    /// Seconds after which a session ends however it is used.
    pub absolute_ttl: i64,
    /// Seconds, 0 to 60, in which a retry with the last refresh token gets the same successor.
    pub grace: i64,
}

/// A claim that an application asks for: `email`, `name`, `user:<attribute>` or `organization:<attribute>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestedClaim {
    Email,
    Name,
    User(String),
    Organization(String),
}

/// How the sign-in page is dressed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Branding {
    /// Instead of the application's own name.
    pub name: Option<String>,
    /// `#rrggbb`, in lower case.
    pub colour: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApplication {
    pub application: Application,
    pub revision: i64,
}

const DAY: i64 = 86_400;

/// The longest that an access token may live, in seconds.
pub const MAX_ACCESS_TOKEN_TTL: i64 = DAY;

/// What holds where nothing is set; `null` in a patch goes back to it.
const ALGORITHM: Algorithm = Algorithm::EdDsa;
/// What vendors' SDKs verify.
const VENDOR_ALGORITHM: Algorithm = Algorithm::Rs256;
const ACCESS_TOKEN_TTL: i64 = 300;
const IDLE_TTL: i64 = 30 * DAY;
const ABSOLUTE_TTL: i64 = 365 * DAY;
const GRACE: i64 = 30;
/// A request header with the token in it stays under 8 KiB.
const CLAIM_BUDGET: i64 = 4_000;
/// A sealed cookie with the token in it stays under 4 096 bytes, whichever algorithm signs.
const WORKOS_CLAIM_BUDGET: i64 = 1_400;

impl Application {
    /// Reads the document that creates an application.
    pub fn create(document: &Value, client_id: &str) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let name = members.required("name")?.text(256)?;
        let environment = members.required("environment")?.string()?.to_owned();
        let public = members.optional("public").map(|node| node.boolean()).transpose()?.unwrap_or(false);
        let mut application = Self {
            client_id: client_id.to_owned(),
            name,
            environment,
            profile: Profile::Flagbearer,
            public,
            redirect_uris: Vec::new(),
            logout_uris: Vec::new(),
            allowed_origins: Vec::new(),
            claims: Vec::new(),
            permissions: Vec::new(),
            projection: Projection::All,
            claim_budget: CLAIM_BUDGET,
            branding: Branding::default(),
            audience: None,
            algorithm: ALGORITHM,
            access_token_ttl: ACCESS_TOKEN_TTL,
            idle_ttl: IDLE_TTL,
            absolute_ttl: ABSOLUTE_TTL,
            grace: GRACE,
        };
        application.edit(&mut members)?;
        members.finish()?;
        application.consistent()?;
        Ok(application)
    }

    /// The application with a patch applied. Its environment, and whether it keeps a secret, cannot change.
    pub fn patched(&self, document: &Value) -> Result<Self> {
        let mut members = Node::root(document).members()?;
        let mut application = self.clone();
        if let Some(node) = members.present("name") {
            application.name = node.text(256)?;
        }
        if let Some(node) = members.present("environment")
            && node.string()? != self.environment
        {
            return Err(node.error(ErrorCode::Immutable, "an application stays in its environment; create another").into());
        }
        if let Some(node) = members.present("public")
            && node.boolean()? != self.public
        {
            return Err(node.error(ErrorCode::Immutable, "`public` cannot change; create another application").into());
        }
        application.edit(&mut members)?;
        members.finish()?;
        application.consistent()?;
        Ok(application)
    }

    fn edit(&mut self, members: &mut Members<'_>) -> Result<()> {
        if let Some(node) = members.present("profile") {
            let name = if node.is_null() { Profile::Flagbearer.as_str() } else { node.string()? };
            let profile = Profile::parse(name).ok_or_else(|| {
                let names = Profile::ALL.map(Profile::as_str);
                node.error(ErrorCode::ValueInvalid, format!("`{name}` is not a profile; choose from {}", list(&names)))
            })?;
            if profile != self.profile {
                self.profile = profile;
                self.algorithm = self.standard_algorithm();
                self.claim_budget = self.standard_claim_budget();
            }
        }
        if let Some(node) = members.present("audience") {
            self.audience = if node.is_null() { None } else { Some(node.text(512)?) };
        }
        if let Some(node) = members.present("algorithm") {
            self.algorithm = if node.is_null() { self.standard_algorithm() } else { self.algorithm_of(&node)? };
        }
        for (name, field, parse) in [
            ("redirect_uris", &mut self.redirect_uris, uri::redirect as fn(&Node<'_>) -> Result<String>),
            ("logout_uris", &mut self.logout_uris, uri::redirect),
            ("allowed_origins", &mut self.allowed_origins, uri::origin),
            ("permissions", &mut self.permissions, |node| Ok(node.text(128)?)),
        ] {
            if let Some(node) = members.present(name) {
                *field = texts(&node, parse)?;
            }
        }
        if let Some(node) = members.present("claims") {
            self.claims = texts(&node, RequestedClaim::parse)?;
        }
        if let Some(node) = members.present("projection") {
            self.projection = if node.is_null() { Projection::All } else { Projection::parse(&node)? };
        }
        if let Some(node) = members.present("claim_budget") {
            let bytes = if node.is_null() { self.standard_claim_budget() } else { node.integer()? };
            if !(2..=MAX_TOKEN_BYTES as i64).contains(&bytes) {
                let detail = format!("`claim_budget` is a number of bytes from 2 to {MAX_TOKEN_BYTES}");
                return Err(node.error(ErrorCode::ValueOutOfRange, detail).into());
            }
            self.claim_budget = bytes;
        }
        if let Some(node) = members.present("branding") {
            self.branding = if node.is_null() { Branding::default() } else { Branding::parse(&node)? };
        }
        for (name, field, standard, range) in [
            ("access_token_ttl", &mut self.access_token_ttl, ACCESS_TOKEN_TTL, 60..=MAX_ACCESS_TOKEN_TTL),
            ("idle_ttl", &mut self.idle_ttl, IDLE_TTL, 60..=3650 * DAY),
            ("absolute_ttl", &mut self.absolute_ttl, ABSOLUTE_TTL, 60..=3650 * DAY),
            ("grace", &mut self.grace, GRACE, 0..=60),
        ] {
            if let Some(node) = members.present(name) {
                let seconds = if node.is_null() { standard } else { node.integer()? };
                if !range.contains(&seconds) {
                    let detail = format!("`{name}` is a number of seconds from {} to {}", range.start(), range.end());
                    return Err(node.error(ErrorCode::ValueOutOfRange, detail).into());
                }
                *field = seconds;
            }
        }
        Ok(())
    }

    /// Whether its tokens can tell anything of this flag.
    pub fn carries(&self, flag: &Flag) -> bool {
        let told = self.profile.dialect() == Dialect::Typed || flag.flag_type == FlagType::Boolean;
        told && self.projection.carries(flag)
    }

    fn standard_algorithm(&self) -> Algorithm {
        if self.profile.accepts(ALGORITHM) { ALGORITHM } else { VENDOR_ALGORITHM }
    }

    fn standard_claim_budget(&self) -> i64 {
        if self.profile == Profile::WorkOs { WORKOS_CLAIM_BUDGET } else { CLAIM_BUDGET }
    }

    fn algorithm_of(&self, node: &Node<'_>) -> Result<Algorithm> {
        let name = node.string()?;
        let usable = Algorithm::ALL.into_iter().filter(|algorithm| self.profile.accepts(*algorithm));
        usable.clone().find(|algorithm| algorithm.as_str() == name).ok_or_else(|| {
            let names: Vec<_> = usable.map(Algorithm::as_str).collect();
            let profile = self.profile.as_str();
            let detail = format!("`{name}` is no algorithm of the profile `{profile}`; choose from {}", list(&names));
            node.error(ErrorCode::ValueInvalid, detail).into()
        })
    }

    fn consistent(&self) -> Result<()> {
        if self.idle_ttl > self.absolute_ttl {
            let detail = "`idle_ttl` is longer than `absolute_ttl`, so it would never end a session";
            return Err(flagbearer::error::Error::at(ErrorCode::ValueOutOfRange, "/idle_ttl", detail).into());
        }
        Ok(())
    }

    /// The document, as it is answered, stored and logged.
    pub fn document(&self) -> Value {
        json!({
            "client_id": self.client_id,
            "name": self.name,
            "environment": self.environment,
            "profile": self.profile.as_str(),
            "public": self.public,
            "redirect_uris": self.redirect_uris,
            "logout_uris": self.logout_uris,
            "allowed_origins": self.allowed_origins,
            "claims": self.claims.iter().map(RequestedClaim::text).collect::<Vec<_>>(),
            "permissions": self.permissions,
            "projection": self.projection,
            "claim_budget": self.claim_budget,
            "branding": { "name": self.branding.name, "colour": self.branding.colour },
            "audience": self.audience,
            "algorithm": self.algorithm.as_str(),
            "access_token_ttl": self.access_token_ttl,
            "idle_ttl": self.idle_ttl,
            "absolute_ttl": self.absolute_ttl,
            "grace": self.grace,
        })
    }

    /// Reads a document that was stored.
    pub fn from_stored(mut document: Value) -> Result<Self> {
        let client_id = match document.as_object_mut().and_then(|members| members.remove("client_id")) {
            Some(Value::String(client_id)) => client_id,
            _ => return Err(Error::internal("a stored application has no client id")),
        };
        Self::create(&document, &client_id).map_err(Error::internal)
    }
}

/// The most entries of a list in an application's document.
const MAX_ENTRIES: usize = 100;

/// A list without repetition; `null` empties it. Its order is the caller's.
fn texts<T: PartialEq>(node: &Node<'_>, parse: impl Fn(&Node<'_>) -> Result<T>) -> Result<Vec<T>> {
    if node.is_null() {
        return Ok(Vec::new());
    }
    let items = node.items()?;
    if items.len() > MAX_ENTRIES {
        return Err(node.error(ErrorCode::LimitExceeded, format!("the list has at most {MAX_ENTRIES} entries")).into());
    }
    let mut entries = Vec::with_capacity(items.len());
    for item in &items {
        let entry = parse(item)?;
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    Ok(entries)
}

impl RequestedClaim {
    fn parse(node: &Node<'_>) -> Result<Self> {
        let text = node.text(256)?;
        match text.split_once(':') {
            None if text == "email" => Ok(Self::Email),
            None if text == "name" => Ok(Self::Name),
            Some(("user", attribute)) if !attribute.is_empty() => Ok(Self::User(attribute.to_owned())),
            Some(("organization", attribute)) if !attribute.is_empty() => Ok(Self::Organization(attribute.to_owned())),
            _ => {
                let detail = "a claim is `email`, `name`, `user:<attribute>` or `organization:<attribute>`";
                Err(node.error(ErrorCode::ValueInvalid, detail).into())
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Email => "email".to_owned(),
            Self::Name => "name".to_owned(),
            Self::User(attribute) => format!("user:{attribute}"),
            Self::Organization(attribute) => format!("organization:{attribute}"),
        }
    }
}

impl Branding {
    fn parse(node: &Node<'_>) -> Result<Self> {
        let mut members = node.members()?;
        let name = members.optional("name").map(|node| node.text(64)).transpose()?;
        let colour = match members.optional("colour") {
            None => None,
            Some(node) => {
                let text = node.string()?;
                let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
                if !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
                    return Err(node.error(ErrorCode::ValueInvalid, "a colour is written like `#1a7f5a`").into());
                }
                Some(text.to_ascii_lowercase())
            }
        };
        members.finish()?;
        Ok(Self { name, colour })
    }
}

macro_rules! columns {
    () => {
        "SELECT document, revision FROM applications "
    };
}

impl TryFrom<&Row> for StoredApplication {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self { application: Application::from_stored(stored(&row.text(0)?)?)?, revision: row.integer(1)? })
    }
}

impl Connection {
    pub async fn application(&mut self, client_id: &str) -> Result<StoredApplication> {
        let row = self.row(concat!(columns!(), "WHERE client_id = $1"), params![client_id]).await?;
        row.as_ref().map(StoredApplication::try_from).transpose()?.ok_or_else(|| Error::not_found("application", client_id))
    }

    /// An application with the hash of its secret; none where no client has this id.
    pub async fn client(&mut self, client_id: &str) -> Result<Option<(Application, Option<String>)>> {
        let sql = "SELECT document, secret_hash FROM applications WHERE client_id = $1";
        let Some(row) = self.row(sql, params![client_id]).await? else { return Ok(None) };
        Ok(Some((Application::from_stored(stored(&row.text(0)?)?)?, row.maybe_text(1)?)))
    }

    /// Whether an application of an environment lists an origin.
    pub async fn allows_origin(&mut self, environment: &str, origin: &str) -> Result<bool> {
        let sql = Sql::either(
            "SELECT 1 FROM applications a, json_each(a.document, '$.allowed_origins') o \
             WHERE a.environment = $1 AND o.value = $2 LIMIT 1",
            "SELECT 1 FROM applications a WHERE a.environment = $1 \
             AND a.document::jsonb -> 'allowed_origins' ? $2 LIMIT 1",
        );
        Ok(self.row(sql, params![environment, origin]).await?.is_some())
    }

    /// In order of client id, those after `cursor`; of one environment where said.
    pub async fn applications(
        &mut self,
        environment: Option<&str>,
        cursor: &str,
        limit: i64,
    ) -> Result<Vec<StoredApplication>> {
        let sql = concat!(
            columns!(),
            "WHERE client_id > $1 AND (CAST($2 AS TEXT) IS NULL OR environment = $2) ORDER BY client_id LIMIT $3"
        );
        let rows = self.rows(sql, params![cursor, environment, limit]).await?;
        rows.iter().map(StoredApplication::try_from).collect()
    }
}

impl Write {
    /// Stores a new application; `secret_hash` is none for a public one.
    pub async fn insert_application(&mut self, application: &Application, secret_hash: Option<&str>) -> Result<()> {
        let sql = "INSERT INTO applications (client_id, environment, document, profile, idle_ttl, secret_hash, revision) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let parameters = params![
            application.client_id.as_str(),
            application.environment.as_str(),
            application.document().to_string(),
            application.profile.as_str(),
            application.idle_ttl * 1000,
            secret_hash,
            self.revision,
        ];
        self.execute(sql, parameters).await?;
        self.record(edit(None, Some(application), application));
        Ok(())
    }

    pub async fn update_application(&mut self, before: &Application, after: &Application) -> Result<()> {
        let sql = "UPDATE applications SET document = $2, profile = $3, idle_ttl = $4, revision = $5 WHERE client_id = $1";
        let (document, profile) = (after.document().to_string(), after.profile.as_str());
        let parameters = params![after.client_id.as_str(), document, profile, after.idle_ttl * 1000, self.revision];
        self.execute(sql, parameters).await?;
        self.record(edit(Some(before), Some(after), after));
        Ok(())
    }

    /// Removes an application with its sessions.
    pub async fn delete_application(&mut self, application: &Application) -> Result<()> {
        let sql = "DELETE FROM applications WHERE client_id = $1";
        self.execute(sql, params![application.client_id.as_str()]).await?;
        self.record(edit(Some(application), None, application));
        Ok(())
    }
}

fn edit(before: Option<&Application>, after: Option<&Application>, place: &Application) -> Edit {
    let document = Application::document;
    Edit::new(Entity::Application, &place.client_id, before.map(document), after.map(document))
        .environment(&place.environment)
}
