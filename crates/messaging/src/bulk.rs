//! Bulk between workers and the rbf-worker, in binary envelopes ([`crate::seal`]): the filters of a run,
//! and data sets. JSON would make a third more of either, and text of what is none.
//!
//! Questions go to the subject of one replica, answers are `Reply<...>` in an envelope of the kind of the
//! answer.
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};
use zeroize::Zeroizing;

use crate::{connect::MAX_PAYLOAD, linkage::DataSetAction, seal::Kind};

/// Most bytes of a data set in one message: the rest of a message is for its names and numbers.
pub const MAX_PIECE: usize = MAX_PAYLOAD - 4 * 1024;

/// Bytes that nobody should see: wiped when dropped, not shown by `Debug`. In an envelope their number, then
/// the bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Octets(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Octets({})", self.0.len())
    }
}

impl From<&[u8]> for Octets {
    fn from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl Visitor<'_> for All {
            type Value = Octets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Octets, E> {
                Ok(Octets::from(bytes))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Octets, E> {
                Ok(Octets(Zeroizing::new(bytes)))
            }
        }
        deserializer.deserialize_byte_buf(All)
    }
}

/// Records for a run. Repeating them changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecords {
    /// Id of the run.
    pub run: String,
    /// Place of the site.
    pub site: u32,
    /// Place of the first of these records; they come in order.
    pub from: u64,
    /// Their filters one after the other: bit `i` is bit `i mod 8` of byte `i div 8`, the least significant
    /// first, each filter filled up with zero bits to a multiple of 64.
    pub filters: Octets,
    /// The encrypted ids of the records, for pseudonyms; as many as filters, or none.
    pub ids: Vec<String>,
}

impl Kind for RunRecords {
    const KIND: u8 = 2;
    const VERSION: u8 = 1;
}

/// The answer to [`RunRecords`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLoaded {
    /// Records that the run has; `None` when it has ended, or was never there.
    pub records: Option<u64>,
}

impl Kind for RunLoaded {
    const KIND: u8 = 3;
    const VERSION: u8 = 1;
}

/// Begins the encryption or decryption of a data set of the MII processes: JSON, to any replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSetStart {
    /// Id of the request, a new one for every content: the same request gives the same data set.
    pub request_id: String,
    /// Identifier value of the data integration centre.
    pub sender: String,
    /// Identifier value of the data management site.
    pub recipient: String,
    /// What to do.
    pub action: DataSetAction,
    /// Bytes of the content, or of the encrypted data set.
    pub bytes: u64,
}

/// Where a data set lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSetStarted {
    /// Its id.
    pub set: String,
    /// Subject of the replica that keeps it; when nobody answers there any more, start again.
    pub subject: String,
}

/// A message to a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSetRequest {
    /// Its id.
    pub set: String,
    /// What to do.
    pub command: DataSetCommand,
}

impl Kind for DataSetRequest {
    const KIND: u8 = 4;
    const VERSION: u8 = 1;
}

/// What to do with a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataSetCommand {
    /// Adds a piece; at most [`MAX_PIECE`] bytes. Repeating it changes nothing. With the last byte the work
    /// begins.
    Put {
        /// Place of its first byte; pieces come in order.
        from: u64,
        /// Its bytes.
        content: Octets,
    },
    /// How far is it?
    Status,
    /// Reads a piece of the result.
    Get {
        /// Place of its first byte.
        from: u64,
    },
    /// Forgets the data set.
    End,
}

/// The answer of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataSetReply {
    /// Pieces are being added: so many bytes are there.
    Loading(u64),
    /// Being encrypted or decrypted.
    Working,
    /// Done; the result has so many bytes.
    Done(u64),
    /// No result. For a decryption the same text whatever the cause.
    Failed(String),
    /// The bytes of the result from the asked place on, at most [`MAX_PIECE`].
    Piece(Octets),
    /// Ended, or never there.
    Ended,
}

impl Kind for DataSetReply {
    const KIND: u8 = 5;
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Reply,
        seal::{open, seal},
    };

    /// `(layout, value)` of every kind here.
    #[test]
    fn layouts_are_frozen() {
        let octets = |bytes: &[u8]| Octets::from(bytes);
        let records = RunRecords {
            run: "run".into(),
            site: 1,
            from: 300,
            filters: octets(&[0xff; 8]),
            ids: vec!["one".into()],
        };
        golden(include_bytes!("../golden/run-records-1.bin"), &records);
        golden(include_bytes!("../golden/run-loaded-1.bin"), &Reply::Ok(RunLoaded { records: Some(301) }));
        let put = DataSetCommand::Put { from: 70_000, content: octets(b"content") };
        golden(
            include_bytes!("../golden/data-set-put-1.bin"),
            &DataSetRequest { set: "set".into(), command: put },
        );
        golden(
            include_bytes!("../golden/data-set-piece-1.bin"),
            &Reply::Ok(DataSetReply::Piece(octets(b"content"))),
        );
        golden(
            include_bytes!("../golden/data-set-invalid-1.bin"),
            &Reply::<DataSetReply>::Invalid("out of order".into()),
        );
    }

    fn golden<T: Kind + PartialEq + std::fmt::Debug>(golden: &[u8], value: &T) {
        assert_eq!(seal(value).unwrap(), golden, "the layout of a published version must not change");
        assert_eq!(open::<T>(golden).unwrap(), *value);
    }

    #[test]
    fn the_largest_piece_fits_into_a_message_and_shows_nothing() {
        let content = Octets(Zeroizing::new(vec![b'x'; MAX_PIECE]));
        let set = "0123456789abcdef0123456789abcdef".to_owned();
        let put = DataSetRequest { set, command: DataSetCommand::Put { from: u64::MAX, content } };
        assert!(seal(&put).unwrap().len() <= MAX_PAYLOAD);
        assert!(!format!("{put:?}").contains("xx"));
    }
}
