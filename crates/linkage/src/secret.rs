//! Text and bytes that must not be seen: wiped when dropped, redacted when debugged.

use std::fmt;

use zeroize::Zeroizing;

/// A personal or secret text. No `Display`, no serde; [`SecretText::expose`] is the only way to it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text itself, for encoding and encryption only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for SecretText {
    fn from(text: T) -> SecretText {
        SecretText(Zeroizing::new(text.into()))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// Serde of a [`SecretText`], for the few places that write one to where it is sealed.
pub(crate) mod exposed {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::SecretText;

    pub fn serialize<S: Serializer>(text: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        String::deserialize(deserializer).map(SecretText::from)
    }
}

/// A symmetric key of 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key256(Zeroizing<[u8; 32]>);

/// A key of the wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of 32 bytes is needed, this one has {0}")]
pub struct KeyLengthError(pub usize);

impl Key256 {
    /// A fresh key from the caller's source of randomness.
    pub fn generate(random: &mut dyn rand::CryptoRng) -> Key256 {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill_bytes(bytes.as_mut_slice());
        Key256(bytes)
    }

    /// A key from its bytes.
    ///
    /// # Errors
    /// When it is not 32 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Key256, KeyLengthError> {
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(KeyLengthError(bytes.len()));
        }
        key.copy_from_slice(bytes);
        Ok(Key256(key))
    }

    /// The bytes, for a key store or a Task input.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key256(redacted)")
    }
}
