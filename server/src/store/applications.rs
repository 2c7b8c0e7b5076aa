//! Applications: OAuth clients, each in exactly one environment, and how their tokens look.

use flagbearer::document::{Members, Node};
use flagbearer::error::ErrorCode;
use flagbearer::token::Algorithm;
use serde_json::{Value, json};

use super::engine::{Connection, Row, params};
use super::flags::stored;
use super::signing_keys::algorithm;
use super::{Edit, Entity, Write};
use crate::error::{Error, Result};

/// An application's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    pub client_id: String,
    pub name: String,
    pub environment: String,
    /// Keeps no secret: a browser's or a phone's.
    pub public: bool,
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
const ACCESS_TOKEN_TTL: i64 = 300;
const IDLE_TTL: i64 = 30 * DAY;
const ABSOLUTE_TTL: i64 = 365 * DAY;
const GRACE: i64 = 30;

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
            public,
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
        if let Some(node) = members.optional("profile")
            && node.string()? != "flagbearer"
        {
            return Err(node.error(ErrorCode::ValueInvalid, "the profile is `flagbearer`").into());
        }
        if let Some(node) = members.present("audience") {
            self.audience = if node.is_null() { None } else { Some(node.text(512)?) };
        }
        if let Some(node) = members.present("algorithm") {
            self.algorithm = if node.is_null() { ALGORITHM } else { algorithm(&node)? };
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

    fn consistent(&self) -> Result<()> {
        if self.idle_ttl > self.absolute_ttl {
            let detail = "`idle_ttl` is longer than `absolute_ttl`, so it would never end a session";
            return Err(flagbearer::error::Error::at(ErrorCode::ValueOutOfRange, "/idle_ttl", detail).into());
        }
        Ok(())
    }

    pub fn audience(&self) -> &str {
        self.audience.as_deref().unwrap_or(&self.client_id)
    }

    /// The document, as it is answered, stored and logged.
    pub fn document(&self) -> Value {
        json!({
            "client_id": self.client_id,
            "name": self.name,
            "environment": self.environment,
            "profile": "flagbearer",
            "public": self.public,
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
        let sql = "INSERT INTO applications (client_id, environment, document, idle_ttl, secret_hash, revision) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let parameters = params![
            application.client_id.as_str(),
            application.environment.as_str(),
            application.document().to_string(),
            application.idle_ttl * 1000,
            secret_hash,
            self.revision,
        ];
        self.execute(sql, parameters).await?;
        self.record(edit(None, Some(application), application));
        Ok(())
    }

    pub async fn update_application(&mut self, before: &Application, after: &Application) -> Result<()> {
        let sql = "UPDATE applications SET document = $2, idle_ttl = $3, revision = $4 WHERE client_id = $1";
        let document = after.document().to_string();
        self.execute(sql, params![after.client_id.as_str(), document, after.idle_ttl * 1000, self.revision]).await?;
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
