//! Addresses. Those in an application's document, where browsers may be sent and which pages may call, are kept as they were
//! written, since all comparing is by the letter (RFC 9700 §2.1); paths of our own are kept in one way alone.

use flagbearer::document::Node;
use flagbearer::error::ErrorCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Url, form_urlencoded};

use crate::error::Result;

/// The longest address.
const MAX_BYTES: usize = 2048;

/// What is not written as itself in a segment of a path (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as it stands in a canonical path.
pub fn segment(name: &str) -> String {
    utf8_percent_encode(name, RESERVED).to_string()
}

/// A path with its query, percent-encoded in one way: the same for everybody who means the same by it.
pub fn canonical(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let segments = path.split('/').map(|name| segment(&percent_decode_str(name).decode_utf8_lossy()));
    let mut canonical = segments.collect::<Vec<_>>().join("/");
    if !query.is_empty() {
        let pairs = form_urlencoded::parse(query.as_bytes());
        canonical.push('?');
        canonical.push_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish());
    }
    canonical
}

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

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn a_path_is_written_in_one_way_however_it_came() {
        for path in ["/v1/users/%61da%2F%22x", "/v1/users/ada%2f%22x", "/v1/users/%61%64%61%2F%22%78"] {
            assert_eq!(canonical(path), "/v1/users/ada%2F%22x");
        }
        assert_eq!(canonical("/v1/flags/a.b-c_d~e/"), "/v1/flags/a.b-c_d~e/");
        assert_eq!(canonical("/v1/users/%C3%A9%20+?confirm=a%2Cb&x=%61+b"), "/v1/users/%C3%A9%20%2B?confirm=a%2Cb&x=a+b");
        assert_eq!(canonical("/v1/users/ada?"), "/v1/users/ada");
    }
}
