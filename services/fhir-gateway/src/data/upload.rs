//! From a client to the store.
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;
use uuid::Uuid;

use super::STALL;
use crate::store::{CHUNK, DataRef, Store};

/// Why an upload was given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The client has gone away.
    #[error("the connection broke")]
    Broken,
    /// The client sent nothing for a while.
    #[error("the client stands still")]
    Stalled,
    /// More than is taken.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// Largest Binary, in bytes.
        limit: u64,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Data that are written and not yet part of a version. Dropping it removes them, unless they are kept.
pub(crate) struct Upload {
    store: Store,
    data: DataRef,
    position: i32,
    kept: bool,
}

impl Upload {
    /// Nothing yet.
    pub(crate) fn new(store: Store) -> Self {
        Self { store, data: DataRef { id: Uuid::new_v4(), size: 0 }, position: 0, kept: false }
    }

    /// Writes a whole body: what was read of it before, then the rest.
    pub(crate) async fn receive<E>(
        &mut self,
        first: Bytes,
        rest: impl Stream<Item = Result<Bytes, E>>,
        limit: u64,
    ) -> Result<(), UploadError> {
        let mut rest = std::pin::pin!(rest);
        let mut waiting = BytesMut::with_capacity(CHUNK);
        let mut next = first;
        loop {
            if self.data.size + waiting.len() as u64 + next.len() as u64 > limit {
                return Err(UploadError::TooLarge { limit });
            }
            while waiting.len() + next.len() >= CHUNK {
                waiting.extend_from_slice(&next.split_to(CHUNK - waiting.len()));
                self.put(&waiting).await?;
                waiting.clear();
            }
            waiting.extend_from_slice(&next);
            next = match timeout(STALL, rest.next()).await {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(Some(Err(_))) => return Err(UploadError::Broken),
                Ok(None) => break,
                Err(_) => return Err(UploadError::Stalled),
            };
        }
        if !waiting.is_empty() {
            self.put(&waiting).await?;
        }
        Ok(())
    }

    async fn put(&mut self, piece: &[u8]) -> Result<(), database::Error> {
        self.store.session().await?.add_chunk(self.data.id, self.position, piece).await?;
        self.position += 1;
        self.data.size += piece.len() as u64;
        Ok(())
    }

    /// What was written.
    pub(crate) fn data(&self) -> DataRef {
        self.data
    }

    /// A version with these data is committed.
    pub(crate) async fn keep(mut self) {
        self.kept = true;
        let kept = async { self.store.session().await?.keep_upload(self.data.id).await };
        if let Err(error) = kept.await {
            // The sweep sees that they are in use.
            tracing::debug!(%error, "an upload is not marked as kept");
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.kept || self.position == 0 {
            return;
        }
        let (store, data) = (self.store.clone(), self.data.id);
        // Where that fails, the sweep comes later.
        tokio::spawn(async move {
            let removed: Result<(), database::Error> =
                async { store.session().await?.discard_upload(data).await }.await;
            if let Err(error) = removed {
                tracing::debug!(%error, "an upload that was given up is not removed yet");
            }
        });
    }
}
