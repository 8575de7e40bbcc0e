//! The Bloom filter configuration of a request: seed and two keys in 72 bytes (record-linkage.md 1).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::field::HasherPair;
use crate::digest::Function;
use crate::secret::{Key256, SecretText, exposed};

const LENGTH: usize = 72;
const SHA2: &str = "HmacSHA256";
const SHA3: &str = "HmacSHA3-256";

/// Seed and keys of one request. Every data site gets them, the trusted third party never.
#[derive(Clone, PartialEq, Eq)]
pub struct BloomFilterConfig {
    /// Seed of the permutation. As secret as the keys.
    pub seed: i64,
    /// Key of HMAC-SHA-256.
    pub sha2_key: Key256,
    /// Key of HMAC-SHA3-256.
    pub sha3_key: Key256,
}

/// A configuration that cannot be read. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The Task input has another length.
    #[error("a Bloom filter configuration has {LENGTH} bytes, this one has {0}")]
    Length(usize),
    /// Not Base64.
    #[error("a Bloom filter configuration is standard Base64")]
    NotBase64,
    /// Not the JSON of the process variable.
    #[error("not the JSON form of a Bloom filter configuration")]
    NotJson,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Variable {
    permutation_seed: i64,
    hmac_sha2_key: VariableKey,
    hmac_sha3_key: VariableKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariableKey {
    algorithm: String,
    #[serde(with = "exposed")]
    value: SecretText,
}

impl BloomFilterConfig {
    /// A fresh configuration, for the requesting site. Never use one for two requests.
    pub fn generate(random: &mut dyn rand::CryptoRng) -> BloomFilterConfig {
        let seed = random.next_u64().cast_signed();
        BloomFilterConfig { seed, sha2_key: Key256::generate(random), sha3_key: Key256::generate(random) }
    }

    /// Reads the 72 bytes.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn from_bytes(bytes: &[u8]) -> Result<BloomFilterConfig, ConfigError> {
        let wrong = ConfigError::Length(bytes.len());
        let (seed, keys) = bytes.split_first_chunk::<8>().ok_or(wrong)?;
        if keys.len() != LENGTH - seed.len() {
            return Err(wrong);
        }
        let (sha2, sha3) = keys.split_at(32);
        Ok(BloomFilterConfig {
            seed: i64::from_be_bytes(*seed),
            sha2_key: Key256::from_bytes(sha2).map_err(|_| wrong)?,
            sha3_key: Key256::from_bytes(sha3).map_err(|_| wrong)?,
        })
    }

    /// The 72 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.extend_from_slice(&self.seed.to_be_bytes());
        bytes.extend_from_slice(self.sha2_key.expose());
        bytes.extend_from_slice(self.sha3_key.expose());
        bytes
    }

    /// Reads the Task input.
    ///
    /// # Errors
    /// When it is not Base64 of 72 bytes.
    pub fn from_task_input(text: &str) -> Result<BloomFilterConfig, ConfigError> {
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| ConfigError::NotBase64)?);
        BloomFilterConfig::from_bytes(&bytes)
    }

    /// The Task input.
    #[must_use]
    pub fn to_task_input(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.to_bytes()))
    }

    /// Reads the JSON form of the process variable.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_variable(json: &str) -> Result<BloomFilterConfig, ConfigError> {
        let variable: Variable = serde_json::from_str(json).map_err(|_| ConfigError::NotJson)?;
        let key = |key: &VariableKey, algorithm: &str| {
            let bytes =
                Zeroizing::new(STANDARD.decode(key.value.expose()).map_err(|_| ConfigError::NotJson)?);
            if key.algorithm != algorithm {
                return Err(ConfigError::NotJson);
            }
            Key256::from_bytes(&bytes).map_err(|_| ConfigError::NotJson)
        };
        Ok(BloomFilterConfig {
            seed: variable.permutation_seed,
            sha2_key: key(&variable.hmac_sha2_key, SHA2)?,
            sha3_key: key(&variable.hmac_sha3_key, SHA3)?,
        })
    }

    /// The JSON form of the process variable.
    #[must_use]
    pub fn to_variable(&self) -> Zeroizing<String> {
        let key = |key: &Key256, algorithm: &str| VariableKey {
            algorithm: algorithm.to_owned(),
            value: STANDARD.encode(key.expose()).into(),
        };
        let variable = Variable {
            permutation_seed: self.seed,
            hmac_sha2_key: key(&self.sha2_key, SHA2),
            hmac_sha3_key: key(&self.sha3_key, SHA3),
        };
        // Writing strings and a number cannot fail.
        Zeroizing::new(serde_json::to_string(&variable).unwrap_or_default())
    }

    /// The hash functions of the wire profile.
    #[must_use]
    pub fn hashers(&self) -> HasherPair {
        HasherPair::keyed(
            (Function::Sha256, self.sha2_key.expose()),
            (Function::Sha3, self.sha3_key.expose()),
        )
    }
}

impl std::fmt::Debug for BloomFilterConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BloomFilterConfig(redacted)")
    }
}
