//! The authorization request (RFC 6749 §4.1.1, RFC 7636, OpenID Connect Core §3.1.2): what an application asks for when it
//! sends a browser here, read strictly; and the address that the browser is sent back to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flagbearer::timestamp::Timestamp;
use url::form_urlencoded;

use super::tokens::granted;
use crate::error::{Error, Kind, Result};
use crate::store::{Application, Surface};

/// A request that is in order.
#[derive(Debug, Clone)]
pub struct Authorization {
    pub application: Application,
    /// As it was sent: where the code goes, and what the client names again when it redeems it.
    pub redirect_uri: String,
    /// As it stood in the query, still percent-encoded: it goes back byte by byte.
    pub state: Option<String>,
    pub scope: Option<String>,
    pub nonce: Option<String>,
    /// PKCE's, always S256.
    pub challenge: Option<String>,
    /// The organization to go on in.
    pub organization: Option<String>,
    pub login_hint: Option<String>,
    /// Whoever is signed in already signs in again.
    pub again: bool,
    /// No page may be shown (`prompt=none`).
    pub silent: bool,
    /// A new account is wanted rather than an old one.
    pub sign_up: bool,
    /// A sign-in before this does not count (`max_age`, `prompt=login`).
    pub signed_in_since: Timestamp,
    pub asked_at: Timestamp,
}

/// Why a request goes no further.
#[derive(Debug)]
pub enum Stop {
    /// Only the user can be told: who asks, or where the answer would go, is not known.
    Page(Error),
    /// The application is told, by sending the browser here.
    Leave(String),
    /// The page that asked is too old, or was another browser's: the user may begin again.
    Lapsed(Box<Lapsed>),
}

/// A request whose page is worth nothing any more.
#[derive(Debug)]
pub struct Lapsed {
    pub authorization: Authorization,
    /// What asks the same again: the endpoints, and the query.
    pub surface: Surface,
    pub query: String,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Page(error)
    }
}

/// The longest query: more than any SDK sends, and little enough to be carried in a page's address.
const MAX_QUERY: usize = 8 * 1024;

/// Every parameter that is read, apart from `client_id` and `redirect_uri`. Others are ignored (RFC 6749 §3.1); Kinde's and
/// WorkOS's SDKs send many.
const READ: [&str; 17] = [
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "screen_hint",
    "start_page",
    "organization_id",
    "org_code",
    "request",
    "request_uri",
    "registration",
];

/// The query's members in their order; an empty one is as if left out (RFC 6749 §3.1).
pub(super) struct Parameters<'q> {
    query: &'q str,
    members: Vec<(String, &'q str)>,
}

impl<'q> Parameters<'q> {
    pub(super) fn read(query: &'q str) -> Self {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let members = pairs.filter(|(_, value)| !value.is_empty()).map(|(name, value)| (decoded(name), value)).collect();
        Self { query, members }
    }

    /// A member as it was written, where it stands once.
    fn raw(&self, name: &str) -> Result<Option<&'q str>, String> {
        let mut found = self.members.iter().filter(|(found, _)| found == name).map(|(_, value)| *value);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(format!("`{name}` stands twice")),
            (value, None) => Ok(value),
        }
    }

    /// A member, where it stands once and is text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        let Some(raw) = self.raw(name)? else { return Ok(None) };
        let text = decoded(raw);
        if text.chars().any(|character| character.is_control() || character == char::REPLACEMENT_CHARACTER) {
            return Err(format!("`{name}` is not text in UTF-8 without control characters"));
        }
        Ok(Some(text))
    }
}

/// Percent-decoded. As the value of a nameless pair, since a `=` of its own would end a name.
fn decoded(text: &str) -> String {
    let pair = format!("={text}");
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The client id of a request; the first thing that has to be known.
pub(super) fn client_id(parameters: &Parameters<'_>) -> Result<String> {
    match parameters.text("client_id") {
        Ok(Some(client_id)) => Ok(client_id),
        Ok(None) => Err(Error::malformed("CLIENT_MISSING", "the address that led here has no `client_id`")),
        Err(detail) => Err(Error::malformed("CLIENT_INVALID", detail)),
    }
}

/// The redirect URI of a request, where the application has it.
pub(super) fn redirect_uri(parameters: &Parameters<'_>, application: &Application) -> Result<String> {
    let named = parameters.text("redirect_uri").map_err(|detail| Error::malformed("REDIRECT_URI_INVALID", detail))?;
    let named =
        named.ok_or_else(|| Error::malformed("REDIRECT_URI_MISSING", "the address that led here has no `redirect_uri`"))?;
    if application.redirect_uris.iter().any(|registered| same_redirect(registered, &named)) {
        return Ok(named);
    }
    let named = quoted(&named).unwrap_or_else(|| "what it names".to_owned());
    let detail = format!("{named} is not a redirect URI of this application; an administrator can add it, letter by letter");
    Err(Error::new(Kind::Malformed, "REDIRECT_URI_UNKNOWN", detail))
}

/// What an address says of itself, for a page that shows it: one word, in backticks. Whole sentences would be somebody's who
/// made the link, and would read as ours.
pub(super) fn quoted(text: &str) -> Option<String> {
    let is_word = text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| format!("`{text}`"))
}

/// The same, letter by letter; only the port of a loopback address is the app's own choice each time (RFC 8252 §7.3).
fn same_redirect(registered: &str, named: &str) -> bool {
    registered == named || loopback(registered).zip(loopback(named)).is_some_and(|(registered, named)| registered == named)
}

/// A loopback address without its port: the host, and what follows the port.
fn loopback(uri: &str) -> Option<(&str, &str)> {
    let host = ["http://127.0.0.1", "http://[::1]"].into_iter().find(|host| uri.starts_with(host))?;
    let rest = &uri[host.len()..];
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (port, path) = rest.split_at(end);
    let legal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    (port.is_empty() || port.strip_prefix(':').is_some_and(legal)).then_some((host, path))
}

/// What is wrong with a request whose answer can be sent back: an error code of the RFCs, and words.
struct Fault(&'static str, String);

impl From<String> for Fault {
    fn from(detail: String) -> Self {
        Self("invalid_request", detail)
    }
}

fn fault<T>(code: &'static str, detail: impl Into<String>) -> Result<T, Fault> {
    Err(Fault(code, detail.into()))
}

/// Reads the request of a known application, whose redirect URI is registered.
pub(super) fn read(
    parameters: &Parameters<'_>,
    application: Application,
    redirect_uri: String,
    issuer: &str,
    asked_at: Timestamp,
) -> Result<Authorization, Stop> {
    let mut authorization = Authorization {
        application,
        redirect_uri,
        state: None,
        scope: None,
        nonce: None,
        challenge: None,
        organization: None,
        login_hint: None,
        again: false,
        silent: false,
        sign_up: false,
        signed_in_since: Timestamp::from_seconds(0),
        asked_at,
    };
    match authorization.fill(parameters) {
        Ok(()) => Ok(authorization),
        Err(Fault(code, detail)) => Err(Stop::Leave(authorization.refusal(issuer, code, &detail))),
    }
}

impl Authorization {
    fn fill(&mut self, parameters: &Parameters<'_>) -> Result<(), Fault> {
        // First, so that every other refusal carries it back.
        self.state = parameters.raw("state")?.map(str::to_owned);
        if parameters.query.len() > MAX_QUERY {
            return fault("invalid_request", format!("the request is longer than {MAX_QUERY} bytes"));
        }
        for name in READ {
            parameters.raw(name)?;
        }
        match parameters.text("response_type")?.as_deref() {
            Some("code") => {}
            None => return fault("invalid_request", "`response_type` is required; it is `code`"),
            Some(_) => return fault("unsupported_response_type", "the only `response_type` is `code`"),
        }
        if parameters.text("response_mode")?.is_some_and(|mode| mode != "query") {
            return fault("invalid_request", "the only `response_mode` is `query`");
        }
        // To ignore these would be to ignore what the client believes to have asked for (OpenID Connect Core §6).
        for (name, code) in [
            ("request", "request_not_supported"),
            ("request_uri", "request_uri_not_supported"),
            ("registration", "registration_not_supported"),
        ] {
            if parameters.raw(name)?.is_some() {
                return fault(code, format!("`{name}` is not supported; send the parameters themselves"));
            }
        }
        self.challenge = challenge(parameters, &self.application)?;
        self.scope = parameters.text("scope")?.map(scope).transpose()?.as_deref().and_then(granted);
        self.nonce = parameters.text("nonce")?;
        self.login_hint = parameters.text("login_hint")?;
        self.organization = match (parameters.text("organization_id")?, parameters.text("org_code")?) {
            (Some(one), Some(other)) if one != other => {
                return fault("invalid_request", "`organization_id` and `org_code` name two organizations");
            }
            (one, other) => one.or(other),
        };
        self.read_prompt(parameters)
    }

    fn read_prompt(&mut self, parameters: &Parameters<'_>) -> Result<(), Fault> {
        let prompt = parameters.text("prompt")?.unwrap_or_default();
        let prompts: Vec<&str> = prompt.split(' ').filter(|value| !value.is_empty()).collect();
        for value in &prompts {
            match *value {
                "none" => self.silent = true,
                "login" | "select_account" => self.again = true,
                "create" => (self.again, self.sign_up) = (true, true),
                // An administrator registered the application: nobody is asked.
                "consent" => {}
                _ => return fault("invalid_request", format!("`{value}` is not a `prompt`")),
            }
        }
        if self.silent && prompts.len() > 1 {
            return fault("invalid_request", "`prompt=none` goes with no other");
        }
        if parameters.text("screen_hint")?.is_some_and(|hint| hint == "sign-up")
            || parameters.text("start_page")?.is_some_and(|page| page == "registration")
        {
            self.sign_up = true;
        }
        if let Some(text) = parameters.text("max_age")? {
            let Some(seconds) = text.parse::<u32>().ok().filter(|_| !text.starts_with('+')) else {
                return fault("invalid_request", "`max_age` is a whole number of seconds");
            };
            self.again |= seconds == 0;
            self.signed_in_since = self.asked_at.plus_seconds(-i64::from(seconds));
        }
        if self.again {
            self.signed_in_since = self.asked_at;
        }
        Ok(())
    }

    /// Where the browser goes with a code.
    pub(super) fn success(&self, issuer: &str, code: &str) -> String {
        self.response(issuer, &[("code", code)])
    }

    /// Where the browser goes with a refusal (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
    pub(super) fn refusal(&self, issuer: &str, error: &str, description: &str) -> String {
        // The RFC has no `"` and no `\` in a description, and no letters beyond ASCII.
        let plain = |character: char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
        let description: String = description.chars().filter(|character| plain(*character)).collect();
        self.response(issuer, &[("error", error), ("error_description", &description)])
    }

    /// The redirect URI with an answer, `state`, and `iss`, so that a client of several issuers knows which one answers
    /// (RFC 9207).
    fn response(&self, issuer: &str, answer: &[(&str, &str)]) -> String {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(answer).append_pair("iss", issuer);
        let separator = if self.redirect_uri.contains('?') { '&' } else { '?' };
        let mut uri = format!("{}{separator}{}", self.redirect_uri, encoded.finish());
        if let Some(state) = &self.state {
            uri.push_str("&state=");
            uri.push_str(state);
        }
        uri
    }
}

/// PKCE (RFC 7636). A client that keeps no secret must use it, and nobody may use `plain` (RFC 9700 §2.1.1).
fn challenge(parameters: &Parameters<'_>, application: &Application) -> Result<Option<String>, Fault> {
    let (challenge, method) = (parameters.text("code_challenge")?, parameters.text("code_challenge_method")?);
    match (challenge, method.as_deref()) {
        (None, None) if application.public => {
            fault("invalid_request", "`code_challenge` is required: this application keeps no secret")
        }
        (None, None) => Ok(None),
        (None, Some(_)) => fault("invalid_request", "`code_challenge_method` is there, but no `code_challenge`"),
        (Some(_), None | Some("plain")) => {
            fault("invalid_request", "`code_challenge_method` is `S256`; `plain` is not taken")
        }
        (Some(challenge), Some("S256")) => {
            if URL_SAFE_NO_PAD.decode(&challenge).is_ok_and(|digest| digest.len() == 32) {
                return Ok(Some(challenge));
            }
            fault("invalid_request", "`code_challenge` is not the SHA-256 of a verifier in base64url without padding")
        }
        (Some(_), Some(_)) => fault("invalid_request", "the only `code_challenge_method` is `S256`"),
    }
}

/// A scope's tokens are visible ASCII without `"` and `\` (RFC 6749 §3.3).
fn scope(text: String) -> Result<String, Fault> {
    let legal = |byte: u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    if text.len() > 1024 || !text.bytes().all(legal) {
        return fault("invalid_scope", "`scope` is a list of words of visible ASCII, of at most 1024 bytes");
    }
    Ok(text)
}
