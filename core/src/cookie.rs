//! How large cookies may be. What is too large is dropped by a browser without a word, or refused by every server on the
//! way from then on, so it is measured before it is set.

use crate::error::{Error, ErrorCode, Result};

/// The most that a browser keeps of one cookie: its name and its value together, as RFC 6265bis §5.6 counts (without the
/// `=`, and without the attributes, which have limits of their own).
pub const MAX_COOKIE_BYTES: usize = 4096;

/// The most that all cookies together may add to a request, as the line that they are sent in: Node and the usual proxies
/// take 16 KiB of headers, and a browser sends other ones beside.
pub const MAX_COOKIES_BYTES: usize = 14 * 1024;

/// What names of chunks may add to the name of the whole.
const SUFFIX_BYTES: usize = ".99".len();

/// The size of a cookie in bytes.
///
/// Errors: `CookieTooLarge`, with the size.
pub fn measure(name: &str, value: &str) -> Result<usize> {
    let bytes = name.len() + value.len();
    if bytes <= MAX_COOKIE_BYTES {
        return Ok(bytes);
    }
    Err(Error::new(
        ErrorCode::CookieTooLarge,
        format!(
            "the cookie `{name}` would have {bytes} bytes (name and value), and browsers drop one of more than \
             {MAX_COOKIE_BYTES}; let the application's tokens carry fewer flags, or lower its claim budget"
        ),
    ))
}

/// A value in as many cookies as it takes: `<name>.0`, `<name>.1` and so on, to be joined in this order.
pub fn split<'v>(name: &str, value: &'v str) -> impl Iterator<Item = (String, &'v str)> {
    let room = MAX_COOKIE_BYTES.saturating_sub(name.len() + SUFFIX_BYTES).max(1);
    let mut rest = value;
    let pieces = std::iter::from_fn(move || {
        let mut end = rest.len().min(room);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    });
    pieces.enumerate().map(move |(i, piece)| (format!("{name}.{i}"), piece))
}

/// The size of all cookies of a site in bytes, as a browser sends them: `a=1; b=2`.
///
/// Errors: `CookieTooLarge`, with the size.
pub fn measure_all<'c>(cookies: impl IntoIterator<Item = (&'c str, &'c str)>) -> Result<usize> {
    let sizes = cookies.into_iter().map(|(name, value)| name.len() + value.len() + "=; ".len());
    let bytes = sizes.sum::<usize>().saturating_sub("; ".len());
    if bytes <= MAX_COOKIES_BYTES {
        return Ok(bytes);
    }
    Err(Error::new(
        ErrorCode::CookieTooLarge,
        format!(
            "the cookies of this site would have {bytes} bytes together, and with more than {MAX_COOKIES_BYTES} its requests \
             exceed the 16 KB of headers that servers take; let the application's tokens carry fewer flags, or lower its \
             claim budget"
        ),
    ))
}
