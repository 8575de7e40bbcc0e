//! Reading a request body within a limit and a deadline.
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, StatusCode, header};
use tokio::time::timeout;

/// `Content-Length`; 0 where there is none.
pub(super) fn announced(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// Makes plain bytes of the parts of a body.
pub(super) fn plain<B: Buf>(mut part: B) -> Bytes {
    part.copy_to_bytes(part.remaining())
}

/// Reads the beginning of a body: until there are more than `enough` bytes, or all. What was read, and
/// whether that was all.
///
/// # Errors
/// 408 after `deadline`, 400 where the connection breaks.
pub(super) async fn beginning<S, B, E>(
    stream: &mut S,
    enough: usize,
    deadline: Duration,
) -> Result<(Bytes, bool), StatusCode>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    let read = async {
        let mut body = BytesMut::new();
        while body.len() <= enough {
            match stream.next().await {
                Some(part) => body.extend_from_slice(&plain(part.map_err(|_| StatusCode::BAD_REQUEST)?)),
                None => return Ok((body.freeze(), true)),
            }
        }
        Ok((body.freeze(), false))
    };
    timeout(deadline, read).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

/// Reads the whole body, with or without `Content-Length`.
///
/// # Errors
/// 413 beyond `limit` bytes, 408 after `deadline`, 400 where the connection breaks.
pub(super) async fn read<S, B, E>(
    stream: S,
    headers: &HeaderMap,
    limit: usize,
    deadline: Duration,
) -> Result<Bytes, StatusCode>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    if announced(headers) > limit as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut stream = std::pin::pin!(stream);
    let whole = async {
        let mut body = BytesMut::new();
        while let Some(part) = stream.next().await {
            let mut part = part.map_err(|_| StatusCode::BAD_REQUEST)?;
            if body.len() + part.remaining() > limit {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            while part.has_remaining() {
                let chunk = part.chunk();
                body.extend_from_slice(chunk);
                let read = chunk.len();
                part.advance(read);
            }
        }
        Ok(body.freeze())
    };
    timeout(deadline, whole).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}
