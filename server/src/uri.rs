//! The addresses in an application's document: where browsers may be sent, and which pages may call. They are kept as they
//! were written, since all comparing is by the letter (RFC 9700 §2.1).

use flagbearer::document::Node;
use flagbearer::error::ErrorCode;
use url::{Host, Url};

use crate::error::Result;

/// The longest address.
const MAX_BYTES: usize = 2048;

/// A redirect URI: `https`, `http` on this very machine, or a scheme of an app's own that has a dot in it (RFC 8252 §7.1).
/// No fragment (RFC 6749 §3.1.2), no user.
pub fn redirect(node: &Node<'_>) -> Result<String> {
    let text = node.text(MAX_BYTES)?;
    let usable = |url: &Url| match url.scheme() {
        "https" => url.has_host(),
        "http" => is_local(url),
        scheme => scheme.contains('.'),
    };
    let clean = |url: &Url| url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if !Url::parse(&text).is_ok_and(|url| usable(&url) && clean(&url)) {
        let detail = "an address is `https://…`, `http://localhost…`, or of an app's own scheme like `com.example.app:/…`, \
                      without a fragment";
        return Err(node.error(ErrorCode::ValueInvalid, detail).into());
    }
    Ok(text)
}

/// The origin of a page (RFC 6454 §6.2), as browsers send it.
pub fn origin(node: &Node<'_>) -> Result<String> {
    let text = node.text(MAX_BYTES)?;
    let is_origin = |url: &Url| {
        (url.scheme() == "https" || (url.scheme() == "http" && is_local(url))) && url.origin().ascii_serialization() == text
    };
    if !Url::parse(&text).is_ok_and(|url| is_origin(&url)) {
        let detail = "an origin is `https://app.example.com` or `http://localhost:3000`: no path, no slash at the end, and no \
                      port where it is the usual one";
        return Err(node.error(ErrorCode::ValueInvalid, detail).into());
    }
    Ok(text)
}

/// Whether an address stays on the machine that opens it.
pub fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
