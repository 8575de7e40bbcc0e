//! The hash chain: each row's hash covers its number, its event and the hash before it.
//!
//! Without a key anybody who may write the table can compute a new chain from the place of a change
//! onwards; only hashes noted elsewhere ([`Fault::Anchor`]) tell. With a key that the database does
//! not hold, a change is evident by itself. That rows at the end were cut off shows the head, which is kept
//! in a table of its own, and again a hash noted elsewhere.
use aws_lc_rs::{digest, hmac};

/// Bytes of a hash.
pub const HASH: usize = 32;
/// A hash of the chain.
pub type Hash = [u8; HASH];
/// What the first row follows.
pub const GENESIS: Hash = [0; HASH];
/// Goes into every hash; a new form of the chain gets a new text.
const DOMAIN: &[u8] = b"dsf-audit-1\0";
/// Shortest key, in bytes.
pub const MIN_KEY: usize = 32;

/// How hashes are computed.
#[derive(Clone)]
pub enum Key {
    /// SHA-256.
    None,
    /// HMAC with SHA-256.
    Hmac(hmac::Key),
}

/// A key is too short to be one.
#[derive(Debug, thiserror::Error)]
#[error("an audit key has at least {MIN_KEY} bytes")]
pub struct KeyTooShort;

impl Key {
    /// A key from the bytes of a file.
    ///
    /// # Errors
    /// [`KeyTooShort`]
    pub fn new(bytes: &[u8]) -> Result<Self, KeyTooShort> {
        if bytes.len() < MIN_KEY {
            return Err(KeyTooShort);
        }
        Ok(Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The hash of a row.
    pub fn hash(&self, before: &Hash, seq: i64, event: &str) -> Hash {
        let parts = [DOMAIN, before, &seq.to_be_bytes(), event.as_bytes()];
        let mut hash = GENESIS;
        match self {
            Self::None => {
                let mut context = digest::Context::new(&digest::SHA256);
                parts.iter().for_each(|part| context.update(part));
                hash.copy_from_slice(context.finish().as_ref());
            }
            Self::Hmac(key) => {
                let mut context = hmac::Context::with_key(key);
                parts.iter().for_each(|part| context.update(part));
                hash.copy_from_slice(context.sign().as_ref());
            }
        }
        hash
    }
}

/// Where a chain is not what was written, or ends otherwise than it did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Rows are missing.
    #[error("rows {from} to {to} are missing")]
    Missing {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// A row stands where it does not belong.
    #[error("row {seq} stands where row {expected} is due")]
    Order {
        /// Its number.
        seq: i64,
        /// The number that was due.
        expected: i64,
    },
    /// A row is not the one that was written, or does not follow the one before it.
    #[error("row {seq} was changed, or is not the one that followed row {}", seq - 1)]
    Changed {
        /// Its number.
        seq: i64,
    },
    /// The chain ends before or behind its head.
    #[error("the last row is {last}, the head of the chain says {head}")]
    End {
        /// Number of the last row.
        last: i64,
        /// Number the head holds.
        head: i64,
    },
    /// The head holds another hash than the last row.
    #[error("the head of the chain holds another hash than row {seq}")]
    Head {
        /// Number of the last row.
        seq: i64,
    },
    /// A row does not have the hash that was noted elsewhere.
    #[error("row {seq} does not have the hash that was noted for it")]
    Anchor {
        /// Its number.
        seq: i64,
    },
}

/// Checks rows in their order. Goes on behind a fault with what the rows say, so that each is told once.
pub struct Verifier<'a> {
    key: &'a Key,
    before: Hash,
    next: i64,
    /// What was found so far.
    pub faults: Vec<Fault>,
    /// Rows looked at.
    pub rows: u64,
}

impl<'a> Verifier<'a> {
    /// The first row is due to have the number `first` and to follow `before`.
    pub fn new(key: &'a Key, first: i64, before: Hash) -> Self {
        Self { key, before, next: first, faults: Vec::new(), rows: 0 }
    }

    /// The next row.
    pub fn row(&mut self, seq: i64, event: &str, hash: &[u8]) {
        self.rows += 1;
        let missing = seq > self.next;
        if missing {
            self.faults.push(Fault::Missing { from: self.next, to: seq - 1 });
        } else if seq < self.next {
            self.faults.push(Fault::Order { seq, expected: self.next });
        }
        let expected = self.key.hash(&self.before, seq, event);
        // The row behind a gap cannot be checked: what it followed is gone.
        if seq == self.next && expected.as_slice() != hash {
            self.faults.push(Fault::Changed { seq });
        }
        self.before = hash.try_into().unwrap_or(expected);
        self.next = seq.saturating_add(1);
    }

    /// After the last row: compares with the head. All faults.
    pub fn end(mut self, head: i64, hash: &[u8]) -> Vec<Fault> {
        let last = self.next.saturating_sub(1);
        if last != head {
            self.faults.push(Fault::End { last, head });
        } else if self.before.as_slice() != hash {
            self.faults.push(Fault::Head { seq: last });
        }
        self.faults
    }
}
