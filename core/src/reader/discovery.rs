//! Finding an issuer's endpoints (OpenID Connect Discovery §4).

use crate::document::{self, Node};
use crate::error::{ErrorCode, Result};

/// Where an issuer's discovery document is.
pub fn url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// An endpoint that a discovery document names (§4.3), which was got `from` there. Never less protected than the document.
pub fn endpoint(issuer: &str, from: &str, body: &[u8], name: &'static str) -> Result<String> {
    let document = document::parse(body)?;
    let mut members = Node::root(&document).members()?;
    let claimed = members.required("issuer")?;
    let url = members.required(name)?.string()?;
    let protected = url.starts_with("https://") || (url.starts_with("http://") && from.starts_with("http://"));
    if claimed.string()? != issuer || !protected {
        return Err(claimed.error(ErrorCode::IssuerMismatch, "the discovery document is not this issuer's"));
    }
    Ok(url.to_owned())
}
