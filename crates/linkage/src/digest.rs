//! The hash functions of both filter formats, plain and as HMAC with absorbed key blocks.
//!
//! SHA-1, SHA-256 and SHA3-256 come from aws-lc-rs; it has neither MD5 nor salted BLAKE2b, which
//! clkhash and the library default of HiGHmed demand. None of them protects anything by collision
//! resistance here: they are keyed and spread bits.

use std::fmt;

use aws_lc_rs::digest as library;
use blake2::digest::Mac as _;
use md5::Digest as _;
use zeroize::Zeroizing;

/// Longest digest of a [`Function`] in bytes.
const LONGEST: usize = 32;
/// Longest input block of a [`Function`] in bytes (SHA3-256).
const LONGEST_BLOCK: usize = 136;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// MD5, 16 bytes.
    Md5,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA3-256, 32 bytes.
    Sha3,
}

impl Function {
    /// Length of the input block, which HMAC pads keys to.
    const fn block(self) -> usize {
        match self {
            Function::Md5 | Function::Sha1 | Function::Sha256 => 64,
            Function::Sha3 => LONGEST_BLOCK,
        }
    }

    fn start(self) -> State {
        match self {
            Function::Md5 => State::Md5(Box::default()),
            Function::Sha1 => State::Library(library::Context::new(&library::SHA1_FOR_LEGACY_USE_ONLY)),
            Function::Sha256 => State::Library(library::Context::new(&library::SHA256)),
            Function::Sha3 => State::Library(library::Context::new(&library::SHA3_256)),
        }
    }
}

#[derive(Clone)]
enum State {
    Md5(Box<md5::Md5>),
    Library(library::Context),
}

impl State {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            State::Md5(state) => state.update(bytes),
            State::Library(state) => state.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        let mut digest = Digest { bytes: [0; LONGEST], length: 0 };
        let mut copy = |bytes: &[u8]| {
            digest.bytes[..bytes.len()].copy_from_slice(bytes);
            digest.length = bytes.len();
        };
        match self {
            State::Md5(state) => copy(&state.finalize()),
            State::Library(state) => copy(state.finish().as_ref()),
        }
        digest
    }
}

/// A digest of up to 32 bytes.
#[derive(Clone, Copy)]
pub struct Digest {
    bytes: [u8; LONGEST],
    length: usize,
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A hash function ready for use, with its key absorbed if it has one.
#[derive(Clone)]
pub struct Hasher {
    inner: State,
    outer: Option<State>,
}

impl Hasher {
    /// The plain function.
    #[must_use]
    pub fn plain(function: Function) -> Hasher {
        Hasher { inner: function.start(), outer: None }
    }

    /// HMAC (RFC 2104) with the function.
    #[must_use]
    pub fn keyed(function: Function, key: &[u8]) -> Hasher {
        let mut block = Zeroizing::new([0; LONGEST_BLOCK]);
        if key.len() > function.block() {
            let mut state = function.start();
            state.update(key);
            let digest = state.finish();
            block[..digest.length].copy_from_slice(digest.as_ref());
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let mut absorb = |pad: u8| {
            let mut state = function.start();
            block.iter_mut().for_each(|byte| *byte ^= pad);
            state.update(&block[..function.block()]);
            block.iter_mut().for_each(|byte| *byte ^= pad);
            state
        };
        Hasher { inner: absorb(0x36), outer: Some(absorb(0x5c)) }
    }

    /// The digest of a message.
    #[must_use]
    pub fn digest(&self, message: &[u8]) -> Digest {
        let mut inner = self.inner.clone();
        inner.update(message);
        let digest = inner.finish();
        match &self.outer {
            None => digest,
            Some(outer) => {
                let mut outer = outer.clone();
                outer.update(digest.as_ref());
                outer.finish()
            }
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(redacted)")
    }
}

/// A key that BLAKE2b cannot take (longer than 64 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("BLAKE2b takes keys of up to 64 bytes")]
pub struct BlakeKeyError;

/// BLAKE2b-512 with key and a salt that is the decimal block number, filled with zero bytes to 16
/// (record-linkage.md 10.3).
///
/// # Errors
/// When the key is longer than 64 bytes.
pub fn blake2b(key: &[u8], block: usize, message: &[u8]) -> Result<[u8; 64], BlakeKeyError> {
    let mut salt = [0; 16];
    let decimal = block.to_string();
    let digits = decimal.as_bytes();
    let length = digits.len().min(salt.len());
    salt[..length].copy_from_slice(&digits[..length]);
    let mut state = blake2::Blake2bMac512::new_with_salt_and_personal(Some(key), &salt, &[])
        .map_err(|_| BlakeKeyError)?;
    state.update(message);
    Ok(state.finalize().into_bytes().into())
}

/// A digest as **signed** big-endian integer, modulo `modulus`, not negative (record-linkage.md 2,
/// rules 6 and 7). `modulus` must not be 0.
#[must_use]
pub fn signed_modulo(digest: &[u8], modulus: u32) -> u32 {
    let modulus = u64::from(modulus.max(1));
    let negative = digest.first().is_some_and(|byte| byte & 0x80 != 0);
    // 2^(8n) mod m, taken off when the sign bit is set.
    let (mut value, mut wrap) = (0_u64, 1 % modulus);
    for byte in digest {
        value = (value * 256 + u64::from(*byte)) % modulus;
        wrap = wrap * 256 % modulus;
    }
    let value = if negative { (value + modulus - wrap) % modulus } else { value };
    u32::try_from(value).unwrap_or_default()
}

/// A digest as unsigned big-endian integer, modulo `modulus` (record-linkage.md 10.3). `modulus` must not be 0.
#[must_use]
pub fn unsigned_modulo(digest: &[u8], modulus: u32) -> u32 {
    let modulus = u64::from(modulus.max(1));
    let value = digest.iter().fold(0_u64, |value, byte| (value * 256 + u64::from(*byte)) % modulus);
    u32::try_from(value).unwrap_or_default()
}
