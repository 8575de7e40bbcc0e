//! Keys of the features, two each, out of one secret (record-linkage.md 10.1).

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

/// Hash of the key derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KdfHash {
    /// SHA-256, the default.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// HKDF (RFC 5869) with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kdf {
    /// The hash.
    pub hash: KdfHash,
    /// The salt; empty when there is none.
    pub salt: Vec<u8>,
    /// The context; empty when there is none.
    pub info: Vec<u8>,
    /// Length of each key in bytes.
    pub key_size: usize,
}

impl Default for Kdf {
    fn default() -> Kdf {
        Kdf { hash: KdfHash::Sha256, salt: Vec::new(), info: Vec::new(), key_size: 64 }
    }
}

/// More key bytes than HKDF can give, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{count} keys of {size} bytes cannot be derived: HKDF gives up to 255 times its digest")]
pub struct KeyError {
    count: usize,
    size: usize,
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `count` keys out of a secret.
///
/// # Errors
/// When `count` times the key size is 0 or more than HKDF gives.
pub fn derive(kdf: &Kdf, secret: &[u8], count: usize) -> Result<Vec<Zeroizing<Vec<u8>>>, KeyError> {
    let error = KeyError { count, size: kdf.key_size };
    let (algorithm, digest) = match kdf.hash {
        KdfHash::Sha256 => (hkdf::HKDF_SHA256, 32),
        KdfHash::Sha512 => (hkdf::HKDF_SHA512, 64),
    };
    let length = count.checked_mul(kdf.key_size).filter(|length| (1..=255 * digest).contains(length));
    let mut bytes = Zeroizing::new(vec![0; length.ok_or(error)?]);
    let prk = hkdf::Salt::new(algorithm, &kdf.salt).extract(secret);
    let info = [kdf.info.as_slice()];
    let derived = prk.expand(&info, Length(bytes.len())).map_err(|_| error)?;
    derived.fill(&mut bytes).map_err(|_| error)?;
    Ok(bytes.chunks(kdf.key_size).map(|key| Zeroizing::new(key.to_vec())).collect())
}
