//! Reading a request body within a limit and a deadline.
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, StatusCode, header};
use tokio::time::timeout;

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
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > limit {
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
