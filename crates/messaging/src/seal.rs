//! The binary envelope: two magic bytes, kind, schema version, bincode body.
//!
//! The only place that knows bincode, which is unmaintained upstream: its layout is documented
//! (little-endian varint), so that another crate can take over here without touching a caller.
use serde::{Serialize, de::DeserializeOwned};

/// First bytes of every envelope.
pub const MAGIC: [u8; 2] = [0xD5, 0xF1];
/// Largest body accepted by [`open`], in bytes. Equal to the payload limit of nats-server.
pub const MAX_BODY: usize = 1024 * 1024;

/// A type with a frozen layout. A changed layout is a new type with the next `VERSION`.
pub trait Kind: Serialize + DeserializeOwned {
    /// Number of the message kind, unique in the workspace.
    const KIND: u8;
    /// Schema version of the kind, from 1.
    const VERSION: u8;
}

/// Answers of a service travel as their content does.
impl<A: Kind> Kind for crate::engine::Reply<A> {
    const KIND: u8 = A::KIND;
    const VERSION: u8 = A::VERSION;
}

/// Why an envelope could not be written or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// Not an envelope, or one of another kind: the message can never be read here.
    #[error("not an envelope of kind {expected}")]
    Foreign {
        /// The kind the reader asked for.
        expected: u8,
    },
    /// A version this build does not know: a newer writer. The reader delays, it never guesses.
    #[error("version {version} of kind {kind} is not known to this build")]
    UnknownVersion {
        /// The kind that was read.
        kind: u8,
        /// Its version.
        version: u8,
    },
    /// The body does not decode, is too large, or has bytes left over.
    #[error("body of kind {kind} does not decode")]
    Body {
        /// The kind that was read.
        kind: u8,
    },
}

fn configuration() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_BODY>()
}

/// Writes a value into an envelope.
pub fn seal<T: Kind>(value: &T) -> Result<Vec<u8>, SealError> {
    let mut bytes = vec![MAGIC[0], MAGIC[1], T::KIND, T::VERSION];
    let body = bincode::serde::encode_to_vec(value, configuration())
        .map_err(|_| SealError::Body { kind: T::KIND })?;
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Reads an envelope. All bytes must be consumed.
pub fn open<T: Kind>(bytes: &[u8]) -> Result<T, SealError> {
    let [m0, m1, kind, version, body @ ..] = bytes else {
        return Err(SealError::Foreign { expected: T::KIND });
    };
    if [*m0, *m1] != MAGIC || *kind != T::KIND {
        return Err(SealError::Foreign { expected: T::KIND });
    }
    if *version != T::VERSION {
        return Err(SealError::UnknownVersion { kind: *kind, version: *version });
    }
    match bincode::serde::decode_from_slice(body, configuration()) {
        Ok((value, read)) if read == body.len() => Ok(value),
        _ => Err(SealError::Body { kind: T::KIND }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ResourceEvent;

    fn event() -> ResourceEvent {
        ResourceEvent {
            resource_type: "Task".into(),
            id: "0d1f9f5e-3f56-4f5b-9d55-0f0f0f0f0f0f".into(),
            version: 1,
            status: Some("requested".into()),
            deleted: false,
        }
    }

    #[test]
    fn layout_of_version_1_is_frozen() {
        let golden = include_bytes!("../golden/resource-event-1.bin");
        assert_eq!(seal(&event()).unwrap(), golden, "the layout of a published version must not change");
        assert_eq!(open::<ResourceEvent>(golden).unwrap(), event());
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let mut newer = seal(&event()).unwrap();
        newer[3] = 9;
        assert_eq!(open::<ResourceEvent>(&newer), Err(SealError::UnknownVersion { kind: 1, version: 9 }));
        let mut longer = seal(&event()).unwrap();
        longer.push(0);
        assert_eq!(open::<ResourceEvent>(&longer), Err(SealError::Body { kind: 1 }));
        assert_eq!(open::<ResourceEvent>(b"{}"), Err(SealError::Foreign { expected: 1 }));
        let hostile = [&MAGIC[..], &[1, 1, 0xfd], &[0xff; 8]].concat();
        assert_eq!(open::<ResourceEvent>(&hostile), Err(SealError::Body { kind: 1 }));
    }
}
