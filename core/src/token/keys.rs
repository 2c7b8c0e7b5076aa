//! Keys that sign, and signing itself. Keys are parsed once and held: jsonwebtoken parses them on every call, which for
//! RSA costs more than the signature. Randomness is an argument everywhere in this crate but here: ECDSA needs a fresh
//! number for each signature and keys are made of nothing else, and both are safest in the library's own hands.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use jsonwebtoken::Header;
use zeroize::Zeroizing;

use super::compact::BASE64URL;
use super::jwks::Material;
use super::{Algorithm, PublicKey};
use crate::error::{Error, ErrorCode, Result};

/// A private key with the public one that belongs to it. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey(Arc<Held>);

struct Held {
    pair: Pair,
    key_id: String,
    material: Material,
}

enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

fn refused(message: &str) -> Error {
    Error::new(ErrorCode::SigningKeyInvalid, message)
}

impl SigningKey {
    /// Makes a key from the library's own randomness; RSA keys have 2048 bits.
    pub fn generate(algorithm: Algorithm) -> Result<Self> {
        let pair = match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::EdDsa),
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Es256),
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rs256),
        };
        Self::hold(pair.map_err(|_| refused("the key could not be made"))?)
    }

    /// Reads an unencrypted PKCS#8 document (RFC 5958). Errors: `SigningKeyInvalid`.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self> {
        let pair = match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(pkcs8).map(Pair::EdDsa),
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Pair::Es256),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(Pair::Rs256),
        };
        Self::hold(pair.map_err(|_| refused(&format!("this is not a private key for `{algorithm}` in PKCS#8")))?)
    }

    /// The private key as PKCS#8, erased from memory when dropped.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        let document = match &self.0.pair {
            Pair::EdDsa(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::Es256(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::Rs256(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|document| document.as_ref().to_vec()),
        };
        document.map(Zeroizing::new).map_err(|_| refused("the private key could not be written"))
    }

    fn hold(pair: Pair) -> Result<Self> {
        let material = material(&pair)?;
        let key_id = thumbprint(&material);
        // Refuses what a reader would refuse, such as an RSA key that is too short.
        PublicKey::new(&key_id, material.clone())?;
        Ok(Self(Arc::new(Held { pair, key_id, material })))
    }

    pub fn algorithm(&self) -> Algorithm {
        match self.0.pair {
            Pair::EdDsa(_) => Algorithm::EdDsa,
            Pair::Es256(_) => Algorithm::Es256,
            Pair::Rs256(_) => Algorithm::Rs256,
        }
    }

    /// `kid`: the thumbprint of the public key (RFC 7638), so that it is never used for another.
    pub fn key_id(&self) -> &str {
        &self.0.key_id
    }

    pub fn public_key(&self) -> Result<PublicKey> {
        PublicKey::new(&self.0.key_id, self.0.material.clone())
    }

    /// Signs tokens of one type, such as [`TYPE_ACCESS_TOKEN`](super::TYPE_ACCESS_TOKEN). Their header is written once, here.
    pub fn signer(&self, token_type: &str) -> Result<Signer> {
        let mut header = Header::new(self.algorithm().into());
        header.typ = Some(token_type.to_owned());
        header.kid = Some(self.0.key_id.clone());
        let header = serde_json::to_vec(&header).map_err(|_| refused("the header could not be written"))?;
        Ok(Signer { key: self.clone(), prefix: BASE64URL.encode(header) + "." })
    }

    /// Writes the JWS signature over `message`.
    fn sign(&self, message: &[u8], write: impl FnOnce(&[u8])) -> Result<()> {
        let failed = |_| refused("the library could not sign");
        match &self.0.pair {
            Pair::EdDsa(pair) => write(pair.try_sign(message).map_err(failed)?.as_ref()),
            Pair::Es256(pair) => write(pair.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
                write(&signature);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.algorithm(), self.key_id())
    }
}

fn material(pair: &Pair) -> Result<Material> {
    let material = match pair {
        Pair::EdDsa(pair) => pair.public_key().as_ref().try_into().ok().map(|x| Material::Ed25519 { x }),
        // The uncompressed point: 4, x, y (SEC 1 §2.3.3).
        Pair::Es256(pair) => match pair.public_key().as_ref() {
            [4, point @ ..] => {
                point.split_first_chunk().and_then(|(x, y)| Some(Material::P256 { x: *x, y: y.try_into().ok()? }))
            }
            _ => None,
        },
        Pair::Rs256(pair) => {
            let key = pair.public_key();
            let bytes = |number: aws_lc_rs::io::Positive<'_>| number.big_endian_without_leading_zero().to_vec();
            Some(Material::Rsa { n: bytes(key.modulus()), e: bytes(key.exponent()) })
        }
    };
    material.ok_or_else(|| refused("the public key has an unexpected form"))
}

/// RFC 7638 §3.
fn thumbprint(material: &Material) -> String {
    // Texts that stand for themselves in JSON.
    let members: Vec<String> = material.members().iter().map(|(name, text)| format!(r#""{name}":"{text}""#)).collect();
    BASE64URL.encode(digest(&SHA256, format!("{{{}}}", members.join(",")).as_bytes()))
}

/// Signs tokens of one type with one key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signer {
    key: SigningKey,
    /// The encoded header and the dot behind it.
    prefix: String,
}

impl Signer {
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// A token with these claims, given as JSON text. The text is signed as it stands, unread.
    pub fn sign(&self, claims: &str) -> Result<String> {
        // Enough for the claims and an RSA-4096 signature.
        let mut token = String::with_capacity(self.prefix.len() + claims.len() * 4 / 3 + 700);
        token.push_str(&self.prefix);
        BASE64URL.encode_string(claims, &mut token);
        let mut signature = String::new();
        self.key.sign(token.as_bytes(), |bytes| signature = BASE64URL.encode(bytes))?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }
}
