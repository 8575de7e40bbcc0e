//! Data of Binaries on their way: piece by piece between client and store, in constant memory.
//!
//! A transfer holds a few pieces ([`crate::store::CHUNK`]) and no database connection while it waits for
//! its client; how many there may be at a time is limited here.
mod download;
mod embed;
mod range;
mod upload;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{MissedTickBehavior, interval},
};

use crate::store::Store;
pub use download::Blob;
pub(crate) use embed::Embedding;
pub use embed::MAX_EMBEDDED;
pub(crate) use range::{Range, range};
pub(crate) use upload::{Upload, UploadError};

/// Uploads at a time; a further one gets 503.
pub const MAX_UPLOADS: usize = 32;
/// Downloads at a time; a further one gets 503.
pub const MAX_DOWNLOADS: usize = 64;
/// Data up to this length, in bytes, stay in the resource: one row, one statement.
pub const MAX_INLINE: usize = 64 * 1024;
/// Default largest Binary, in bytes.
pub const DEFAULT_MAX_BINARY: u64 = 8 * 1024 * 1024 * 1024;
/// How long a transfer may take for one piece before it is given up.
const STALL: Duration = Duration::from_secs(60);
/// How long nothing is heard of an upload before it counts as abandoned. Far beyond [`STALL`].
const ABANDONED: Duration = Duration::from_secs(3600);
/// How often abandoned uploads are looked for.
const SWEEP: Duration = Duration::from_secs(600);

/// Places for transfers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transfers {
    uploads: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
}

/// A place that is free again when this is dropped.
#[derive(Debug, Clone)]
pub struct Place(#[allow(dead_code, reason = "held for its drop")] Arc<OwnedSemaphorePermit>);

impl Default for Transfers {
    fn default() -> Self {
        Self {
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
            downloads: Arc::new(Semaphore::new(MAX_DOWNLOADS)),
        }
    }
}

impl Transfers {
    /// A place for an upload; none where all are taken.
    pub(crate) fn upload(&self) -> Option<Place> {
        place(&self.uploads)
    }

    /// A place for a download; none where all are taken.
    pub(crate) fn download(&self) -> Option<Place> {
        place(&self.downloads)
    }
}

fn place(places: &Arc<Semaphore>) -> Option<Place> {
    Arc::clone(places).try_acquire_owned().ok().map(|permit| Place(Arc::new(permit)))
}

/// Removes what broken uploads have left. Runs until it is dropped.
pub(crate) async fn sweep(store: Store) {
    let mut look = interval(SWEEP);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let removed = async { store.session().await?.remove_abandoned(ABANDONED).await };
        match removed.await {
            Ok(0) => {}
            Ok(uploads) => tracing::info!(uploads, "abandoned uploads were removed"),
            Err(error) => tracing::debug!(%error, "abandoned uploads cannot be removed"),
        }
    }
}
