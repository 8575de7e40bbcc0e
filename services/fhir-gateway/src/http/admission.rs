//! How many requests are worked on, how many wait, and that all others are told to come again.
use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Places for requests. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    present: Arc<Semaphore>,
    running: Arc<Semaphore>,
    wait: Duration,
}

/// A request that is present: its body may be read.
pub(super) struct Present(OwnedSemaphorePermit);

/// A request that runs; its place is free again when this is dropped.
pub(super) struct Running {
    _present: Present,
    _running: OwnedSemaphorePermit,
}

impl Admission {
    /// `running` requests at a time, `waiting` more for at most `wait`.
    pub fn new(running: usize, waiting: usize, wait: Duration) -> Self {
        Self {
            present: Arc::new(Semaphore::new(running + waiting)),
            running: Arc::new(Semaphore::new(running)),
            wait,
        }
    }

    /// Lets a request in; none where all places are taken.
    pub(super) fn enter(&self) -> Option<Present> {
        Arc::clone(&self.present).try_acquire_owned().ok().map(Present)
    }

    /// Waits for a place to run; none where there is none in time. First come, first served.
    pub(super) async fn run(&self, present: Present) -> Option<Running> {
        let place = timeout(self.wait, Arc::clone(&self.running).acquire_owned()).await;
        let running = place.ok()?.ok()?;
        let Present(permit) = present;
        Some(Running { _present: Present(permit), _running: running })
    }
}
