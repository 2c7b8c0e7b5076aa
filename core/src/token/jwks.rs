//! Public keys and sets of them (RFC 7517). A set is read leniently as a whole and strictly entry by entry: what is not
//! understood is passed over, what is understood but unsafe is left out, and each key is good for one algorithm only.

use std::fmt;

use base64::Engine;
use serde_json::{Map, Value};

use super::Algorithm;
use super::claims::Writer;
use super::compact::BASE64URL;
#[cfg(feature = "crypto")]
use super::verifier::forged;
use super::{ed25519, p256};
use crate::document;
use crate::error::{Error, ErrorCode, Result};

/// Members that only a private or a shared key has (RFC 7518 §6). An entry with one of them is compromised.
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// As long as the longest `kid` that a token may have.
const MAX_KEY_ID_BYTES: usize = 128;

/// A public key, for the one algorithm that it signs with.
pub struct PublicKey {
    key_id: String,
    material: Material,
    #[cfg(feature = "crypto")]
    parsed: aws_lc_rs::signature::ParsedPublicKey,
}

/// The key itself, as big-endian bytes without leading zeros or, where the RFC fixes a width, of that width.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Material {
    Ed25519 { x: [u8; 32] },
    P256 { x: [u8; 32], y: [u8; 32] },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl PublicKey {
    /// Errors: `SigningKeyInvalid`, for a point that is not on its curve or an RSA key under 2048 bits.
    pub(crate) fn new(key_id: &str, material: Material) -> Result<Self> {
        material.check()?;
        Ok(Self {
            key_id: key_id.to_owned(),
            #[cfg(feature = "crypto")]
            parsed: material.parse()?,
            material,
        })
    }

    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Ed25519 { .. } => Algorithm::EdDsa,
            Material::P256 { .. } => Algorithm::Es256,
            Material::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// The key as it is published, a JWK (RFC 7517 §4) in JSON text: `kty`, `crv` and so on, with `use`, `alg` and `kid`.
    pub fn jwk(&self) -> String {
        let mut jwk = String::new();
        let mut members = Writer::open(&mut jwk);
        for (name, text) in self.material.members() {
            members.text(name, &text);
        }
        members.text("use", "sig");
        members.text("alg", self.algorithm().as_str());
        members.text("kid", &self.key_id);
        members.close();
        jwk
    }

    /// Checks a JWS signature over `message`. Errors: `SignatureInvalid`.
    #[cfg(feature = "crypto")]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        self.parsed.verify_sig(message, signature).map_err(|_| forged())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.key_id)
    }
}

impl Material {
    fn check(&self) -> Result<()> {
        let refused = |message: &str| Err(Error::new(ErrorCode::SigningKeyInvalid, message));
        match self {
            Self::Ed25519 { x } => {
                if !ed25519::is_usable(x) {
                    return refused("the Ed25519 key is no point of the curve, or one of small order");
                }
            }
            Self::P256 { x, y } => {
                if !p256::is_on_curve(x, y) {
                    return refused("the P-256 key is no point of the curve");
                }
            }
            Self::Rsa { n, e } => {
                if n.first() == Some(&0) || e.first() == Some(&0) {
                    return refused("an RSA number starts with a zero byte, against RFC 7518 §6.3.1.1");
                }
                // The product of two odd primes, and an exponent that has an inverse (RFC 8017 §3.1).
                if [n, e].iter().any(|number| number.last().is_none_or(|last| last % 2 == 0)) {
                    return refused("an RSA number is even");
                }
                if !(256..=1024).contains(&n.len()) || (n.len() == 256 && n.first().is_none_or(|first| *first < 0x80)) {
                    return refused("an RSA key has 2048 to 8192 bits");
                }
                if e.len() < 3 || e.len() > 4 || e.as_slice() < [1, 0, 1].as_slice() && e.len() == 3 {
                    return refused("an RSA exponent is at least 65537, and fits 32 bits");
                }
            }
        }
        Ok(())
    }

    #[cfg(feature = "crypto")]
    fn parse(&self) -> Result<aws_lc_rs::signature::ParsedPublicKey> {
        use aws_lc_rs::signature::{
            ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
        };
        let parsed = match self {
            Self::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x),
            Self::P256 { x, y } => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], x.as_slice(), y].concat()),
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256),
        };
        parsed.map_err(|_| Error::new(ErrorCode::SigningKeyInvalid, "the public key is not a key of its kind"))
    }

    /// The members of a JWK that say which key it is, in the order in which RFC 7638 §3.2 has them hashed.
    pub fn members(&self) -> Vec<(&'static str, String)> {
        let text = |bytes: &[u8]| BASE64URL.encode(bytes);
        match self {
            Self::Ed25519 { x } => vec![("crv", "Ed25519".into()), ("kty", "OKP".into()), ("x", text(x))],
            Self::P256 { x, y } => vec![("crv", "P-256".into()), ("kty", "EC".into()), ("x", text(x)), ("y", text(y))],
            Self::Rsa { n, e } => vec![("e", text(e)), ("kty", "RSA".into()), ("n", text(n))],
        }
    }

    /// Reads those members. `None` for a key type or curve that is not ours.
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name)?.as_str();
        let bytes = |name: &str| BASE64URL.decode(text(name)?).ok();
        // RFC 7518 §6.2.1.2, RFC 8037 §2: coordinates have their full width.
        let wide = |name: &str| <[u8; 32]>::try_from(bytes(name)?).ok();
        match (text("kty")?, text("crv")) {
            ("OKP", Some("Ed25519")) => Some(Self::Ed25519 { x: wide("x")? }),
            ("EC", Some("P-256")) => Some(Self::P256 { x: wide("x")?, y: wide("y")? }),
            ("RSA", _) => Some(Self::Rsa { n: bytes("n")?, e: bytes("e")? }),
            _ => None,
        }
    }
}

/// An issuer's public keys, by their `kid`.
#[derive(Debug, Default)]
pub struct KeySet {
    /// Sorted by `kid`, each once.
    keys: Vec<PublicKey>,
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 §5). Entries of an unknown type or algorithm, not for signatures, with secret members, with
    /// invalid or weak keys, or without a `kid` are left out, as are all of those that share one `kid`.
    ///
    /// Errors: `DocumentMalformed`, `MemberDuplicate`, `DocumentTooDeep`, `MemberMissing`, `MemberMistyped`.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let set = document::parse(json)?;
        let entries = document::Node::root(&set).members()?.required("keys")?.items()?;
        let mut named: Vec<(&str, &Value)> =
            entries.iter().filter_map(|entry| Some((entry.value.get("kid")?.as_str()?, entry.value))).collect();
        named.sort_by_key(|(key_id, _)| *key_id);
        // An entry that is left out still claims its name.
        let alone = named.chunk_by(|(one, _), (other, _)| one == other).filter_map(|entries| match entries {
            [(key_id, entry)] => read_entry(key_id, entry),
            _ => None,
        });
        Ok(Self { keys: alone.collect() })
    }

    pub fn get(&self, key_id: &str) -> Option<&PublicKey> {
        let place = self.keys.binary_search_by(|key| key.key_id.as_str().cmp(key_id)).ok()?;
        self.keys.get(place)
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter()
    }

    /// The set as it is published, sorted by `kid`: public members alone, each with `use`, `alg` and `kid`.
    pub fn to_json(&self) -> String {
        let mut set = String::new();
        let mut members = Writer::open(&mut set);
        members.name("keys");
        members.items(self.iter(), |key, out| out.push_str(&key.jwk()));
        members.close();
        set
    }
}

/// Of several keys with one `kid` one stays; those that we make are thumbprints, and so the same key.
impl FromIterator<PublicKey> for KeySet {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        let mut keys: Vec<PublicKey> = keys.into_iter().collect();
        keys.sort_by(|one, other| one.key_id.cmp(&other.key_id));
        keys.dedup_by(|one, other| one.key_id == other.key_id);
        Self { keys }
    }
}

fn read_entry(key_id: &str, entry: &Value) -> Option<PublicKey> {
    let entry = entry.as_object()?;
    if key_id.is_empty() || key_id.len() > MAX_KEY_ID_BYTES || SECRET_MEMBERS.iter().any(|name| entry.contains_key(*name)) {
        return None;
    }
    let for_signatures = entry.get("use").is_none_or(|usage| usage == "sig");
    let may_verify = entry.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    });
    if !for_signatures || !may_verify {
        return None;
    }
    let key = PublicKey::new(key_id, Material::read(entry)?).ok()?;
    let algorithm = match entry.get("alg") {
        None => key.algorithm(),
        Some(name) => Algorithm::parse(name.as_str()?)?,
    };
    (algorithm == key.algorithm()).then_some(key)
}
