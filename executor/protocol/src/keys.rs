//! The key pair behind the tokens. Pods hold only the public halves.
//!
//! Keys are made from 32 random bytes the caller brings; this crate draws none.

use std::{collections::BTreeMap, fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};

/// A key that signs tokens, with its id.
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    key: ed25519_dalek::SigningKey,
}

/// The public keys an executor accepts, by id: the current one and, during a rotation, the previous.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PublicKeys(BTreeMap<String, VerifyingKey>);

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The id is empty, too long, or has other characters than letters, digits, `.`, `_` and `-`.
    #[error("key id {0:?} must be 1 to 64 letters, digits, '.', '_' or '-'")]
    Id(String),
    /// An entry is not `id:base64`.
    #[error("public key entry {0:?} is not of the form id:base64")]
    Form(String),
    /// The text is not base64.
    #[error("key is not base64")]
    Base64(#[source] base64::DecodeError),
    /// A key has 32 bytes.
    #[error("key has {0} bytes, expected 32")]
    Length(usize),
    /// The bytes are no usable point of the curve.
    #[error("key {0:?} is not a usable ed25519 public key")]
    Point(String),
    /// An id occurs twice.
    #[error("key id {0:?} occurs twice")]
    Duplicate(String),
    /// There is no key at all.
    #[error("there is no public key")]
    None,
}

impl SigningKey {
    /// A key from its id and 32 secret random bytes.
    pub fn from_seed(id: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        check_id(id)?;
        Ok(Self { id: id.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(seed) })
    }

    /// A key from its id and the text that [`Self::seed_base64`] gave.
    pub fn from_seed_base64(id: &str, seed: &str) -> Result<Self, KeyError> {
        Self::from_seed(id, &decode(seed)?)
    }

    /// The secret half, for the Secret it is kept in.
    #[must_use]
    pub fn seed_base64(&self) -> String {
        STANDARD.encode(self.key.as_bytes())
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `id:base64` of the public half, as [`PublicKeys`] reads it.
    #[must_use]
    pub fn public(&self) -> String {
        format!("{}:{}", self.id, STANDARD.encode(self.key.verifying_key().as_bytes()))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

// The secret half must not reach a log.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PublicKeys {
    /// The ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    pub(crate) fn verify(&self, id: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.get(id).is_some_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Reads `id:base64,id2:base64`.
impl FromStr for PublicKeys {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, key) = entry.split_once(':').ok_or_else(|| KeyError::Form(entry.to_owned()))?;
            check_id(id)?;
            let point = VerifyingKey::from_bytes(&decode(key)?)
                .ok()
                .filter(|key| !key.is_weak())
                .ok_or_else(|| KeyError::Point(id.to_owned()))?;
            if keys.insert(id.to_owned(), point).is_some() {
                return Err(KeyError::Duplicate(id.to_owned()));
            }
        }
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self(keys)) }
    }
}

fn check_id(id: &str) -> Result<(), KeyError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&id.len()) && id.chars().all(allowed) {
        Ok(())
    } else {
        Err(KeyError::Id(id.to_owned()))
    }
}

fn decode(text: &str) -> Result<[u8; 32], KeyError> {
    let bytes = STANDARD.decode(text).map_err(KeyError::Base64)?;
    <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Length(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> SigningKey {
        SigningKey::from_seed(id, &[byte; 32]).unwrap()
    }

    #[test]
    fn several_public_keys_are_read_with_spaces_between() {
        let text = format!("{}, {}", key("a", 1).public(), key("b", 2).public());
        let keys: PublicKeys = text.parse().unwrap();
        assert_eq!(keys.ids().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_key_survives_its_own_text() {
        let original = key("a", 7);
        let again = SigningKey::from_seed_base64("a", &original.seed_base64()).unwrap();
        assert_eq!(again.public(), original.public());
    }

    #[test]
    fn bad_public_keys_are_refused_with_the_reason() {
        let refused = |text: &str| PublicKeys::from_str(text).unwrap_err();
        assert!(matches!(refused(""), KeyError::None));
        assert!(matches!(refused("a"), KeyError::Form(_)));
        assert!(matches!(refused("a b:AAAA"), KeyError::Id(_)));
        assert!(matches!(refused("a:!"), KeyError::Base64(_)));
        assert!(matches!(refused("a:AAAA"), KeyError::Length(3)));
        // The identity point would accept signatures anybody can make.
        let identity = STANDARD.encode([&[1u8][..], &[0u8; 31]].concat());
        assert!(matches!(refused(&format!("a:{identity}")), KeyError::Point(_)));
        let twice = format!("{},{}", key("a", 1).public(), key("a", 2).public());
        assert!(matches!(refused(&twice), KeyError::Duplicate(_)));
    }

    #[test]
    fn the_debug_text_of_a_signing_key_holds_no_secret() {
        let key = key("a", 3);
        assert_eq!(format!("{key:?}"), r#"SigningKey { id: "a", .. }"#);
    }
}
