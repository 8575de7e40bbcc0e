//! TLS session tickets that every replica with the same secret can read.
//!
//! Java peers open about one connection per request and resume nearly all of them, on whichever replica
//! they reach. Tickets are sealed with AES-256-GCM under a key that is derived from the shared
//! secret, the current period and the trust material (CAs and revocation lists). So keys roll by
//! themselves, and a changed CA or revocation list makes every old ticket worthless: the next
//! connection is a full handshake, in which the certificate is checked again.
use std::{
    sync::RwLock,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
    rand::{SecureRandom, SystemRandom},
};
use rustls::server::ProducesTickets;

/// How long one key seals new tickets, in seconds.
pub const ROTATION_SECONDS: u64 = 6 * 3600;
/// Shortest usable secret, in bytes.
pub const MIN_SECRET: usize = 32;

/// The number of the period stands before the nonce in each ticket.
const PERIOD_LEN: usize = 8;
const LABEL: &[u8] = b"dsf fhir-gateway session ticket v1";

/// Why a ticket secret cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TicketError {
    /// Too short to be a secret.
    #[error("the ticket key has {0} bytes, at least {MIN_SECRET} are needed")]
    Short(usize),
    /// The random generator or key derivation failed.
    #[error("ticket keys cannot be derived")]
    Crypto,
}

/// Seals and opens tickets.
pub struct SharedTicketer {
    secret: hkdf::Prk,
    trust: Vec<u8>,
    random: SystemRandom,
    /// Keys by period, newest last; at most three.
    keys: RwLock<Vec<(u64, LessSafeKey)>>,
}

impl std::fmt::Debug for SharedTicketer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedTicketer")
    }
}

struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        AES_256_GCM.key_len()
    }
}

impl SharedTicketer {
    /// A ticketer for a secret of at least [`MIN_SECRET`] bytes. `trust` is any text that changes when the
    /// trust material does.
    ///
    /// # Errors
    /// [`TicketError::Short`].
    pub fn new(secret: &[u8], trust: &[u8]) -> Result<Self, TicketError> {
        if secret.len() < MIN_SECRET {
            return Err(TicketError::Short(secret.len()));
        }
        Ok(Self {
            secret: hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL).extract(secret),
            trust: trust.to_vec(),
            random: SystemRandom::new(),
            keys: RwLock::new(Vec::new()),
        })
    }

    fn derive(&self, period: u64) -> Result<LessSafeKey, TicketError> {
        let number = period.to_be_bytes();
        let info = [&number[..], &self.trust];
        let okm = self.secret.expand(&info, KeyLength).map_err(|_| TicketError::Crypto)?;
        let mut bytes = [0u8; 32];
        okm.fill(&mut bytes).map_err(|_| TicketError::Crypto)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| TicketError::Crypto)?;
        Ok(LessSafeKey::new(key))
    }

    /// Runs `use_key` with the key of a period, deriving it on first use.
    fn with_key<T>(&self, period: u64, use_key: impl Fn(&LessSafeKey) -> Option<T>) -> Option<T> {
        if let Ok(keys) = self.keys.read()
            && let Some((_, key)) = keys.iter().find(|(known, _)| *known == period)
        {
            return use_key(key);
        }
        let key = self.derive(period).ok()?;
        let result = use_key(&key);
        if let Ok(mut keys) = self.keys.write()
            && !keys.iter().any(|(known, _)| *known == period)
        {
            keys.push((period, key));
            keys.sort_by_key(|(known, _)| *known);
            // Only the neighbours of the present are ever used; older keys are erased.
            let newest = keys.last().map_or(0, |(known, _)| *known);
            keys.retain(|(known, _)| known + 2 >= newest);
        }
        result
    }

    fn seal(&self, plain: &[u8], period: u64) -> Option<Vec<u8>> {
        let mut nonce = [0u8; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let number = period.to_be_bytes();
        let sealed = self.with_key(period, |key| {
            let mut body = plain.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_append_tag(nonce, Aad::from(number), &mut body).ok()?;
            Some(body)
        })?;
        Some([&number[..], &nonce, &sealed].concat())
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (number, rest) = ticket.split_first_chunk::<PERIOD_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let period = u64::from_be_bytes(*number);
        // The one before is still good; the next one comes from a replica whose clock is ahead.
        if period.abs_diff(now) > 1 {
            return None;
        }
        self.with_key(period, |key| {
            let mut body = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let plain = key.open_in_place(nonce, Aad::from(*number), &mut body).ok()?;
            Some(plain.to_vec())
        })
    }
}

/// Number of the present period. A clock before 1970 counts as the first one.
fn present() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / ROTATION_SECONDS)
}

impl ProducesTickets for SharedTicketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(ROTATION_SECONDS).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, present())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, present())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticketer(secret: u8, trust: &[u8]) -> SharedTicketer {
        SharedTicketer::new(&[secret; MIN_SECRET], trust).unwrap()
    }

    #[test]
    fn replicas_with_one_secret_read_each_others_tickets() {
        let (one, two) = (ticketer(1, b"trust"), ticketer(1, b"trust"));
        let ticket = one.seal(b"session", 10).unwrap();
        for (period, readable) in [(8, false), (9, true), (10, true), (11, true), (12, false)] {
            assert_eq!(two.open(&ticket, period).is_some(), readable, "in period {period}");
        }
        assert_eq!(two.open(&ticket, 10).unwrap(), b"session");
    }

    #[test]
    fn another_secret_or_other_trust_reads_nothing() {
        let ticket = ticketer(1, b"trust").seal(b"session", 10).unwrap();
        assert_eq!(ticketer(2, b"trust").open(&ticket, 10), None, "another secret");
        assert_eq!(ticketer(1, b"changed").open(&ticket, 10), None, "a changed revocation list");
        assert_eq!(SharedTicketer::new(b"short", b"").unwrap_err(), TicketError::Short(5));
    }

    proptest! {
        #[test]
        fn hostile_tickets_open_nothing(ticket in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(ticketer(1, b"trust").open(&ticket, 10), None);
        }
    }
}
