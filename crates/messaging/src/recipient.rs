//! Personal data in transit: sealed with HPKE (RFC 9180) to the key of one recipient (design 6).
//!
//! Suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. The context (site, request id,
//! profile) is bound in, so a sealed person cannot be passed off as the answer to another request.
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Length of a public or private key, in bytes.
pub const KEY_LENGTH: usize = 32;
/// Separates our use of the keys from any other.
const LABEL: &[u8] = b"dsf personal data 1";

/// What a sealed text is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// Site.
    pub site: &'a str,
    /// Request that is answered.
    pub request_id: &'a str,
    /// Normalisation profile, or the name of the request for what is sent with one.
    pub profile: &'a str,
}

impl Context<'_> {
    /// Each part with its length, so that no two contexts give the same bytes.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = LABEL.to_vec();
        for part in [self.site, self.request_id, self.profile] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// A sealed text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Encapsulated key, Base64.
    pub key: String,
    /// Ciphertext, Base64.
    pub text: String,
}

/// Sealing or opening failed. One outcome for every cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key is not [`KEY_LENGTH`] bytes in Base64.
    #[error("a key must be {KEY_LENGTH} bytes in Base64")]
    Key,
    /// The text was not sealed, or cannot be opened with this key and context.
    #[error("personal data could not be sealed or opened")]
    Closed,
}

/// Public key of a recipient.
#[derive(Debug, Clone)]
pub struct Recipient(HpkePublicKey);

impl Recipient {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn new(base64: &str) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(base64.trim()).ok().filter(|bytes| bytes.len() == KEY_LENGTH);
        bytes.map(|bytes| Self(HpkePublicKey(bytes))).ok_or(SealError::Key)
    }

    /// Seals a text to this recipient.
    ///
    /// # Errors
    /// [`SealError::Closed`].
    pub fn seal(&self, context: Context<'_>, text: &[u8]) -> Result<Sealed, SealError> {
        let sealed = DH_KEM_X25519_HKDF_SHA256_AES_256.seal(&context.bytes(), &[], text, &self.0);
        let (key, text) = sealed.map_err(|_| SealError::Closed)?;
        Ok(Sealed { key: STANDARD.encode(key.0), text: STANDARD.encode(text) })
    }
}

/// Private key of a recipient; wiped when dropped.
pub struct Opener(HpkePrivateKey);

impl Opener {
    /// Reads a private key.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn new(base64: &str) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(base64.trim()).ok().filter(|bytes| bytes.len() == KEY_LENGTH);
        bytes.map(|bytes| Self(HpkePrivateKey::from(bytes))).ok_or(SealError::Key)
    }

    /// Opens a text that was sealed in this context.
    ///
    /// # Errors
    /// [`SealError::Closed`].
    pub fn open(&self, context: Context<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| SealError::Closed);
        let (key, text) = (EncapsulatedSecret(decode(&sealed.key)?), decode(&sealed.text)?);
        let opened = DH_KEM_X25519_HKDF_SHA256_AES_256.open(&key, &context.bytes(), &[], &text, &self.0);
        opened.map(Zeroizing::new).map_err(|_| SealError::Closed)
    }
}

/// A new pair: public and private key in Base64.
///
/// # Errors
/// [`SealError::Closed`] when there is no randomness.
pub fn generate() -> Result<(String, Zeroizing<String>), SealError> {
    let pair = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().map_err(|_| SealError::Closed)?;
    Ok((STANDARD.encode(&pair.0.0), Zeroizing::new(STANDARD.encode(pair.1.secret_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_recipient_opens_and_only_in_the_context() {
        let (public, private) = generate().unwrap();
        let context = Context { site: "a", request_id: "1", profile: "de-1" };
        let sealed = Recipient::new(&public).unwrap().seal(context, b"somebody").unwrap();
        let opener = Opener::new(&private).unwrap();
        assert_eq!(opener.open(context, &sealed).unwrap().as_slice(), b"somebody");
        for other in [
            Context { site: "b", ..context },
            Context { request_id: "2", ..context },
            Context { profile: "de-2", ..context },
            Context { site: "a1", request_id: "", ..context },
        ] {
            assert_eq!(opener.open(other, &sealed), Err(SealError::Closed), "{other:?}");
        }
        let (_, stranger) = generate().unwrap();
        assert_eq!(Opener::new(&stranger).unwrap().open(context, &sealed), Err(SealError::Closed));
        let mut changed = sealed.clone();
        changed.text.replace_range(0..1, if sealed.text.starts_with('A') { "B" } else { "A" });
        assert_eq!(opener.open(context, &changed), Err(SealError::Closed));
        assert!(Recipient::new("c2hvcnQ=").is_err());
    }
}
