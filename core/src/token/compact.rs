//! The compact form of a JWS (RFC 7515 §3.1) taken apart, as strictly as it is written: three parts, base64url without
//! padding or stray bits, a header of strings. What is decoded here is not yet trusted.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::{Error, ErrorCode, Result};
use crate::json::Json;
use crate::token::Algorithm;

/// The longest token that is read: 64 KiB. Request headers are far smaller, so nothing legitimate is lost.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;
/// How many arrays and objects are open at once in a token, where they are no flag's of ours.
pub(crate) const MAX_DEPTH: usize = 127;
/// The longest `kid`; it is a key into a map and nothing else.
const MAX_KEY_ID_BYTES: usize = 128;

/// Base64url as RFC 7515 §2 has it: no padding, no whitespace, and no bits left over, so that one token has one spelling.
pub(crate) const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

/// A token's parts.
pub(crate) struct Compact<'t> {
    pub header: Header,
    /// What the signature is over: the first two parts with their dot.
    pub signing_input: &'t [u8],
    /// The claims as JSON text.
    pub payload: String,
    pub signature: Vec<u8>,
}

/// The header members that matter. `jku`, `x5u`, `x5c`, `jwk` are not even read: no token chooses its own key.
pub(crate) struct Header {
    /// `None` for a name that is not one of ours, `none` among them.
    pub algorithm: Option<Algorithm>,
    pub key_id: Option<String>,
    pub token_type: Option<String>,
}

pub(crate) fn malformed(message: &str) -> Error {
    Error::new(ErrorCode::TokenMalformed, message)
}

impl<'t> Compact<'t> {
    pub fn parse(token: &'t str) -> Result<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed("the token has more than 64 KiB"));
        }
        Self::parse_any_size(token)
    }

    /// The same for what does not travel in request headers, and is bounded by whoever reads it.
    pub fn parse_any_size(token: &'t str) -> Result<Self> {
        if token.is_empty() {
            return Err(malformed("there is no token"));
        }
        let parts = || malformed("a token has three parts, with a dot between them");
        let (signing_input, signature) = token.rsplit_once('.').ok_or_else(parts)?;
        let (header, payload) = signing_input.split_once('.').ok_or_else(parts)?;
        if payload.contains('.') {
            return Err(parts());
        }
        let header = text(header)?;
        let header = Header::parse(&header)?;
        Ok(Self { header, signing_input: signing_input.as_bytes(), payload: text(payload)?, signature: bytes(signature)? })
    }
}

fn bytes(part: &str) -> Result<Vec<u8>> {
    BASE64URL.decode(part).map_err(|_| malformed("a part of the token is not base64url as RFC 7515 §2 defines it"))
}

fn text(part: &str) -> Result<String> {
    String::from_utf8(bytes(part)?).map_err(|_| malformed("a part of the token is not UTF-8"))
}

impl Header {
    fn parse(text: &str) -> Result<Self> {
        let (mut algorithm, mut key_id, mut token_type, mut critical) = (None, None, None, false);
        let mut json = Json::new(text, MAX_DEPTH);
        let read = json.members(|json, name| {
            match name.as_ref() {
                "alg" => algorithm = Some(json.string()?),
                "kid" => key_id = Some(json.string()?),
                "typ" => token_type = Some(json.string()?),
                other => {
                    critical |= other == "crit";
                    json.skip()?;
                }
            }
            Ok(())
        });
        let read = read.and_then(|()| json.finish());
        read.map_err(|_| malformed("the token's header is not an object of the kind that RFC 7515 §4 describes"))?;
        // None is understood, so each is one that must be understood and is not (RFC 7515 §4.1.11).
        if critical {
            return Err(malformed("the token's header has `crit`"));
        }
        if key_id.as_ref().is_some_and(|key_id| key_id.len() > MAX_KEY_ID_BYTES) {
            return Err(malformed("the token's `kid` has more than 128 bytes"));
        }
        Ok(Self {
            algorithm: Algorithm::parse(&algorithm.ok_or_else(|| malformed("the token's header has no `alg`"))?),
            key_id: key_id.map(Cow::into_owned),
            token_type: token_type.map(Cow::into_owned),
        })
    }
}
