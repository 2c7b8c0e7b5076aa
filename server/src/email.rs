//! E-mail addresses: which are accepted, and when two are the same account's.

/// The longest address that mail can be sent to (RFC 5321 §4.5.3.1.3, without the brackets).
const MAX_BYTES: usize = 254;

/// What is wrong with an address, in words for whoever typed it.
pub const RULE: &str = "an e-mail address has the form name@example.com, without spaces, and at most 254 bytes";

/// Whether this can be an address: one `@` with something on both sides, and nothing that separates addresses or hides in
/// headers. Anything stricter refuses addresses that work; whether mail arrives, sending it alone can tell.
pub fn is_acceptable(text: &str) -> bool {
    let strange = |c: char| c.is_control() || c.is_whitespace() || "<>()[],;:\\\"".contains(c);
    let Some((local, domain)) = text.split_once('@') else { return false };
    let label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    text.len() <= MAX_BYTES
        && !local.is_empty()
        && !text.contains(strange)
        && !domain.contains('@')
        && domain.split('.').all(label)
}

/// What an account is found by: addresses that differ in the case of ASCII letters alone are one person's. Beyond ASCII,
/// case is a matter of language, and the databases do not agree with each other on it.
pub fn key(address: &str) -> String {
    address.to_ascii_lowercase()
}
