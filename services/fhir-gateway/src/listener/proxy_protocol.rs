//! PROXY protocol, versions 1 and 2: where a connection that came through a proxy began.
//!
//! Reads exactly the header, never a byte of the TLS handshake behind it.
use std::{io, net::SocketAddr};

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// First bytes of a version 2 header.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Fixed part of a version 2 header: signature, command, family, length.
const V2_FIXED: usize = 16;
/// Longest address block with extensions that is read, in bytes.
const V2_MAX_LENGTH: usize = 2048;
/// Longest version 1 line, in bytes (PROXY protocol, section 2.1).
const V1_MAX_LENGTH: usize = 107;

/// Why no header was read. The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The connection does not begin with a header.
    #[error("no PROXY header")]
    Missing,
    /// The header is longer than allowed.
    #[error("PROXY header too long")]
    TooLong,
    /// The header is not well-formed.
    #[error("malformed PROXY header")]
    Malformed,
    /// The connection ended.
    #[error("connection ended in the PROXY header")]
    Io(#[from] io::Error),
}

/// Reads the header. `None` where the proxy speaks for itself (LOCAL, UNKNOWN, unix sockets).
///
/// # Errors
/// See [`ProxyError`].
pub async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Option<SocketAddr>, ProxyError> {
    let mut header = vec![0u8; V2_SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == V2_SIGNATURE {
        return read_v2(stream, header).await;
    }
    if !header.starts_with(b"PROXY ") {
        return Err(ProxyError::Missing);
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= V1_MAX_LENGTH {
            return Err(ProxyError::TooLong);
        }
        header.push(stream.read_u8().await?);
    }
    let header = v1::Header::try_from(header.as_slice()).map_err(|_| ProxyError::Malformed)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(address) => Some((address.source_address, address.source_port).into()),
        v1::Addresses::Tcp6(address) => Some((address.source_address, address.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

async fn read_v2<R: AsyncRead + Unpin>(
    stream: &mut R,
    mut header: Vec<u8>,
) -> Result<Option<SocketAddr>, ProxyError> {
    header.resize(V2_FIXED, 0);
    stream.read_exact(&mut header[V2_SIGNATURE.len()..]).await?;
    let length = usize::from(u16::from_be_bytes([header[V2_FIXED - 2], header[V2_FIXED - 1]]));
    if length > V2_MAX_LENGTH {
        return Err(ProxyError::TooLong);
    }
    header.resize(V2_FIXED + length, 0);
    stream.read_exact(&mut header[V2_FIXED..]).await?;
    let header = v2::Header::try_from(header.as_slice()).map_err(|_| ProxyError::Malformed)?;
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(address) => Some((address.source_address, address.source_port).into()),
        v2::Addresses::IPv6(address) => Some((address.source_address, address.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What was read, and how many bytes are left for TLS.
    fn run(bytes: &[u8]) -> (Result<Option<SocketAddr>, ProxyError>, usize) {
        let mut stream = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(read(&mut stream));
        (result, stream.len())
    }

    fn v2(command: v2::Command, source: &str) -> Vec<u8> {
        let addresses: (SocketAddr, SocketAddr) = (source.parse().unwrap(), source.parse().unwrap());
        v2::Builder::with_addresses(v2::Version::Two | command, v2::Protocol::Stream, addresses)
            .build()
            .unwrap()
    }

    #[test]
    fn headers_are_read_to_their_last_byte() {
        let table: Vec<(Vec<u8>, Option<&str>)> = vec![
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n".to_vec(), Some("203.0.113.7:4711")),
            (b"PROXY TCP6 2001:db8::9 2001:db8::1 99 443\r\n".to_vec(), Some("[2001:db8::9]:99")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(v2::Command::Proxy, "203.0.113.7:4711"), Some("203.0.113.7:4711")),
            (v2(v2::Command::Proxy, "[2001:db8::9]:99"), Some("[2001:db8::9]:99")),
            (v2(v2::Command::Local, "203.0.113.7:4711"), None),
        ];
        for (mut bytes, expected) in table {
            bytes.extend_from_slice(b"\x16\x03\x01");
            let (result, left) = run(&bytes);
            assert_eq!(result.unwrap(), expected.map(|text| text.parse().unwrap()), "{bytes:?}");
            assert_eq!(left, 3, "the handshake behind the header must not be touched: {bytes:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let huge = [V2_SIGNATURE.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat();
        for bytes in [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00".as_slice(),
            &long,
            &huge,
            b"PROXY TCP4 x\r\n",
            b"PRO",
        ] {
            assert!(run(bytes).0.is_err(), "{bytes:?} must be refused");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_reads_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..3) {
            let prefix: &[u8] = match kind { 0 => b"", 1 => b"PROXY TCP4 ", _ => V2_SIGNATURE };
            let bytes = [prefix, &bytes].concat();
            let (result, left) = run(&bytes);
            let read = bytes.len() - left;
            prop_assert!(read <= V2_FIXED + V2_MAX_LENGTH);
            if result.is_ok() && prefix != V2_SIGNATURE {
                prop_assert!(bytes[..read].ends_with(b"\r\n"));
            }
        }
    }
}
