//! Data sets between a data integration centre and a data management site in the MII layout
//! (processes.md 6.2): RSA with PKCS#1 v1.5 padding carries an AES-256 key, AES-256-GCM the content.
//!
//! ```text
//! RSA-encrypted key (as long as the RSA key, 512 bytes for 4096 bits) | IV, 12 bytes | ciphertext | tag, 16 bytes
//! ```
//!
//! PKCS#1 v1.5 tells an attacker who may ask often enough what a message was, unless every wrong message
//! ends alike. Here a key that does not unwrap is replaced by a random one, and decryption goes on to
//! fail at the tag, as it does for a changed content.

use std::ops::Range;

use aws_lc_rs::digest;
use aws_lc_rs::rsa::{
    Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

use crate::cipher::{BEFORE, BEHIND, OpenError, open_in_place, seal_in_place};
use crate::secret::Key256;

/// Length of the carried key in bytes.
const CONTENT_KEY: usize = 32;

/// A key that cannot be used. Says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RsaKeyError {
    /// Not a key in this form.
    #[error(
        "not an RSA key of 2048 to 8192 bits: PKCS#8 for the private, SubjectPublicKeyInfo for the public key"
    )]
    Form,
    /// The published hash is another one.
    #[error("the public key does not have the SHA-256 hash that was published with it")]
    Hash,
    /// The library refused.
    #[error("the data set cannot be encrypted with this key")]
    Encrypt,
}

/// The public key of a data management site.
#[derive(Debug)]
pub struct RecipientKey {
    key: Pkcs1PublicEncryptingKey,
    der: Vec<u8>,
}

impl RecipientKey {
    /// From SubjectPublicKeyInfo in DER (what the published Binary holds, in spite of its content type).
    ///
    /// # Errors
    /// When it is no RSA key.
    pub fn from_der(der: &[u8]) -> Result<RecipientKey, RsaKeyError> {
        let key = PublicEncryptingKey::from_der(der).map_err(|_| RsaKeyError::Form)?;
        let key = Pkcs1PublicEncryptingKey::new(key).map_err(|_| RsaKeyError::Form)?;
        Ok(RecipientKey { key, der: der.to_vec() })
    }

    /// The same from PEM.
    ///
    /// # Errors
    /// When it is no RSA key.
    pub fn from_pem(pem: &[u8]) -> Result<RecipientKey, RsaKeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| RsaKeyError::Form)?;
        RecipientKey::from_der(&der)
    }

    /// The same from DER, when it has the published hash (SHA-256 of the DER).
    ///
    /// # Errors
    /// When it has another hash, or is no RSA key.
    pub fn from_published(der: &[u8], hash: &[u8]) -> Result<RecipientKey, RsaKeyError> {
        let key = RecipientKey::from_der(der)?;
        if key.hash() == hash { Ok(key) } else { Err(RsaKeyError::Hash) }
    }

    /// SubjectPublicKeyInfo in DER, for publication.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the DER, for publication.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.der).as_ref().to_vec()
    }

    /// Encrypts a data set (FHIR XML of a transaction Bundle). `random` gives content key and IV, the
    /// library the padding.
    ///
    /// # Errors
    /// When the library refuses, which it does for no key that was accepted.
    pub fn encrypt(
        &self,
        parties: &Parties<'_>,
        content: &[u8],
        random: &mut dyn rand::CryptoRng,
    ) -> Result<Vec<u8>, RsaKeyError> {
        let mut message = Vec::with_capacity(self.before() + content.len() + BEHIND);
        message.resize(self.before(), 0);
        message.extend_from_slice(content);
        self.encrypt_in_place(parties, &mut message, random)?;
        Ok(message)
    }

    /// Bytes of an encrypted data set before the ciphertext: key and IV.
    #[must_use]
    pub fn before(&self) -> usize {
        self.key.ciphertext_size() + BEFORE
    }

    /// Encrypts where the content lies, for large data sets: `message` has [`RecipientKey::before`] bytes of
    /// any value, then the content; [`AFTER`] bytes are added.
    ///
    /// # Errors
    /// As [`RecipientKey::encrypt`]; `message` then holds no content any more.
    pub fn encrypt_in_place(
        &self,
        parties: &Parties<'_>,
        message: &mut Vec<u8>,
        random: &mut dyn rand::CryptoRng,
    ) -> Result<(), RsaKeyError> {
        let content_key = Key256::generate(random);
        let start = self.key.ciphertext_size();
        seal_in_place(&content_key, parties.context().as_bytes(), message, start, random);
        let wrapped = message.get_mut(..start).ok_or(RsaKeyError::Encrypt)?;
        self.key.encrypt(content_key.expose(), wrapped).map(|_| ()).map_err(|_| RsaKeyError::Encrypt)
    }
}

/// Bytes of an encrypted data set after the ciphertext.
pub const AFTER: usize = BEHIND;
/// Most bytes that an encrypted data set has more than its content: the longest key, IV and tag.
pub const OVERHEAD: usize = 1024 + BEFORE + AFTER;

/// Who sends to whom: identifier values of the organizations. Part of what is authenticated.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'a> {
    /// The data integration centre.
    pub sender: &'a str,
    /// The data management site.
    pub recipient: &'a str,
}

impl Parties<'_> {
    fn context(&self) -> String {
        format!("{}|{}", self.sender, self.recipient)
    }
}

/// The private key of a data management site. The library wipes it.
#[derive(Debug)]
pub struct OwnKey {
    key: Pkcs1PrivateDecryptingKey,
}

impl OwnKey {
    /// From PKCS#8 in DER.
    ///
    /// # Errors
    /// When it is no RSA key.
    pub fn from_der(der: &[u8]) -> Result<OwnKey, RsaKeyError> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| RsaKeyError::Form)?;
        let key = Pkcs1PrivateDecryptingKey::new(key).map_err(|_| RsaKeyError::Form)?;
        Ok(OwnKey { key })
    }

    /// From PKCS#8 in PEM, not encrypted.
    ///
    /// # Errors
    /// When it is no RSA key.
    pub fn from_pem(pem: &[u8]) -> Result<OwnKey, RsaKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| RsaKeyError::Form)?;
        OwnKey::from_der(der.secret_pkcs8_der())
    }

    /// Decrypts a data set. `random` gives the key that takes the place of one that does not unwrap.
    ///
    /// # Errors
    /// Always the same one, whatever is wrong.
    pub fn decrypt(
        &self,
        parties: &Parties<'_>,
        message: &[u8],
        random: &mut dyn rand::CryptoRng,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut message = Zeroizing::new(message.to_vec());
        let content = self.decrypt_in_place(parties, &mut message, random)?;
        let length = content.len();
        message.copy_within(content, 0);
        message.truncate(length);
        Ok(message)
    }

    /// Decrypts a data set where it lies; the answer is where the content is then. The tag is checked over
    /// all of it before that answer; where it is wrong the library wipes what it wrote.
    ///
    /// # Errors
    /// Always the same one, whatever is wrong.
    pub fn decrypt_in_place(
        &self,
        parties: &Parties<'_>,
        message: &mut [u8],
        random: &mut dyn rand::CryptoRng,
    ) -> Result<Range<usize>, OpenError> {
        // Made before anything is known of the message, and for every one.
        let mut content_key = Zeroizing::new([0; CONTENT_KEY]);
        random.fill_bytes(content_key.as_mut_slice());
        let wrapped_length = self.key.key_size_bytes();
        // A message too short for a key has no key to hide: it fails by its length, which everyone sees.
        let (wrapped, body) = message.split_at_mut_checked(wrapped_length).ok_or(OpenError)?;
        let mut unwrapped = Zeroizing::new(vec![0; self.key.min_output_size()]);
        let length = self.key.decrypt(wrapped, &mut unwrapped).map(|key| key.len());
        // All ones when the key is good. Selected without a branch, so that both ways take the same time.
        let good = 0_u8.wrapping_sub(u8::from(length == Ok(CONTENT_KEY)));
        for (byte, other) in content_key.iter_mut().zip(unwrapped.iter()) {
            *byte = (other & good) | (*byte & !good);
        }
        let key = Key256::from_bytes(content_key.as_slice()).map_err(|_| OpenError)?;
        let length = open_in_place(&key, parties.context().as_bytes(), body)?;
        let start = wrapped_length + BEFORE;
        Ok(start..start + length)
    }
}
