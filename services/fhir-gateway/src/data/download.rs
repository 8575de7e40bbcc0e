//! From the store to a client.
use std::{fmt, ops::Range};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::Stream;
use tokio::{sync::mpsc, time::timeout};

use super::{Place, STALL};
use crate::store::{CHUNK, DataRef, Store};

/// Pieces that are read ahead of what the client has taken.
const AHEAD: usize = 1;

/// A body that is sent piece by piece.
#[derive(Clone)]
pub struct Blob {
    /// Where the data lie.
    pub store: Store,
    /// Which data.
    pub data: DataRef,
    /// Which bytes of them; everything for the base64 form.
    pub range: Range<u64>,
    /// Text around base64 data; none for the bytes themselves.
    pub around: Option<(Bytes, Bytes)>,
    /// Taken for the time of the transfer; none where only the length is told.
    pub place: Option<Place>,
}

impl fmt::Debug for Blob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Blob").field("data", &self.data).field("range", &self.range).finish()
    }
}

/// Why a download ends early. The client sees a broken body.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The version was removed, or a piece of it is not what it should be.
    #[error("the data are not there any more")]
    Gone,
}

impl Blob {
    /// Length of the body in bytes.
    pub fn length(&self) -> u64 {
        match &self.around {
            None => self.range.end.saturating_sub(self.range.start),
            Some((before, after)) => {
                before.len() as u64 + self.data.size.div_ceil(3) * 4 + after.len() as u64
            }
        }
    }

    /// The body. It ends with an error where a piece is missing or the client takes nothing for a while.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, DownloadError>> + Send + Sync + 'static {
        // A task of its own: only so is a client noticed that has stopped reading.
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            if let Err(error) = self.send(&sender).await {
                tracing::warn!(%error, "a download ended early");
                let _ = sender.try_send(Err(error));
            }
        });
        Receiver(receiver)
    }

    async fn send(self, sender: &mpsc::Sender<Result<Bytes, DownloadError>>) -> Result<(), DownloadError> {
        let piece_length = CHUNK as u64;
        let (before, after) = match &self.around {
            Some((before, after)) => (Some(before.clone()), Some(after.clone())),
            None => (None, None),
        };
        let put = async |bytes: Bytes| {
            // The receiver goes with the client; a client that stands still is given up.
            matches!(timeout(STALL, sender.send(Ok(bytes))).await, Ok(Ok(())))
        };
        if let Some(before) = before
            && !put(before).await
        {
            return Ok(());
        }
        let mut at = self.range.start;
        while at < self.range.end {
            let position = i32::try_from(at / piece_length).map_err(|_| DownloadError::Gone)?;
            let piece = self.store.session().await?.chunk(self.data.id, position).await?;
            let piece = Bytes::from(piece.ok_or(DownloadError::Gone)?);
            let start = usize::try_from(at % piece_length).map_err(|_| DownloadError::Gone)?;
            let wanted = usize::try_from(self.range.end - at).unwrap_or(usize::MAX);
            let end = piece.len().min(start.saturating_add(wanted));
            if end <= start {
                return Err(DownloadError::Gone);
            }
            let piece = piece.slice(start..end);
            at += piece.len() as u64;
            // Pieces begin at multiples of three bytes, so their base64 forms join.
            let piece = if after.is_some() { Bytes::from(STANDARD.encode(&piece)) } else { piece };
            if !put(piece).await {
                return Ok(());
            }
        }
        if let Some(after) = after {
            put(after).await;
        }
        Ok(())
    }
}

/// The receiving end as a stream.
struct Receiver(mpsc::Receiver<Result<Bytes, DownloadError>>);

impl Stream for Receiver {
    type Item = Result<Bytes, DownloadError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
