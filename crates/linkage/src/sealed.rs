//! Identifying data on the way from the mpi-adapter to the rbf-worker of a site: HPKE (RFC 9180, base
//! mode, X25519, HKDF-SHA-256, AES-256-GCM), bound to site, request and profile (design.md 6).
//!
//! The key agreement of HPKE takes its randomness from the crypto library.

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::cipher::OpenError;
use crate::idat::Idat;
use crate::profile::ProfileId;

/// Length of an encapsulated key in bytes.
const ENCAPSULATED: usize = 32;
/// Tells this use of HPKE from any other.
const PURPOSE: &str = "dsf linkage idat 1";

/// What sealed data are bound to: they open in no other context.
#[derive(Debug, Clone, Copy)]
pub struct SealContext<'a> {
    /// Identifier value of the site's organization.
    pub site: &'a str,
    /// Id of the request.
    pub request: &'a str,
    /// Profile that the persons will be normalised with.
    pub profile: &'a ProfileId,
}

impl SealContext<'_> {
    /// Length and bytes of each part, so that no two contexts give the same.
    fn info(&self) -> Vec<u8> {
        let profile = self.profile.to_string();
        let parts = [PURPOSE, self.site, self.request, &profile];
        parts
            .iter()
            .flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.bytes()))
            .collect()
    }
}

/// Data that cannot be sealed: no X25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the recipient's key is no X25519 public key of 32 bytes")]
pub struct SealError;

/// The public key of an rbf-worker.
#[derive(Debug, Clone)]
pub struct WorkerKey(HpkePublicKey);

impl WorkerKey {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn from_bytes(bytes: &[u8]) -> Result<WorkerKey, SealError> {
        if bytes.len() == ENCAPSULATED {
            Ok(WorkerKey(HpkePublicKey(bytes.to_vec())))
        } else {
            Err(SealError)
        }
    }

    /// Its bytes, for configuration.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.0.clone()
    }

    /// Seals persons: encapsulated key, ciphertext, tag. `None` stands for one that was not found, so
    /// that order tells who is who.
    ///
    /// # Errors
    /// When the key is none.
    pub fn seal(&self, context: SealContext<'_>, persons: &[Option<Idat>]) -> Result<Vec<u8>, SealError> {
        let plaintext = Zeroizing::new(serde_json::to_vec(persons).map_err(|_| SealError)?);
        let sealed = DH_KEM_X25519_HKDF_SHA256_AES_256.seal(&context.info(), &[], &plaintext, &self.0);
        let (EncapsulatedSecret(mut message), ciphertext) = sealed.map_err(|_| SealError)?;
        message.extend(ciphertext);
        Ok(message)
    }
}

/// The private key of an rbf-worker; wiped when dropped.
pub struct WorkerSecret(HpkePrivateKey);

impl WorkerSecret {
    /// A fresh pair.
    ///
    /// # Errors
    /// When the library has no randomness.
    pub fn generate() -> Result<(WorkerSecret, WorkerKey), SealError> {
        let (public, secret) =
            DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().map_err(|_| SealError)?;
        Ok((WorkerSecret(secret), WorkerKey(public)))
    }

    /// From its 32 bytes.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn from_bytes(bytes: &[u8]) -> Result<WorkerSecret, SealError> {
        if bytes.len() == ENCAPSULATED {
            Ok(WorkerSecret(HpkePrivateKey::from(bytes.to_vec())))
        } else {
            Err(SealError)
        }
    }

    /// Its bytes, for a key store.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.secret_bytes()
    }

    /// Opens what [`WorkerKey::seal`] made.
    ///
    /// # Errors
    /// Always the same one, whatever is wrong.
    pub fn open(&self, context: SealContext<'_>, message: &[u8]) -> Result<Vec<Option<Idat>>, OpenError> {
        let (encapsulated, ciphertext) = message.split_at_checked(ENCAPSULATED).ok_or(OpenError)?;
        let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
        let plaintext = DH_KEM_X25519_HKDF_SHA256_AES_256
            .open(&encapsulated, &context.info(), &[], ciphertext, &self.0)
            .map_err(|_| OpenError)?;
        serde_json::from_slice(&Zeroizing::new(plaintext)).map_err(|_| OpenError)
    }
}

impl std::fmt::Debug for WorkerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkerSecret(redacted)")
    }
}
