//! When a connection last did something: requests that run, and the end of the last one.
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::body::{Body, Frame, SizeHint};

/// Activity of one connection.
pub(super) struct Activity {
    born: Instant,
    running: AtomicUsize,
    /// Milliseconds from `born` to the end of the last request; 0 before the first.
    last: AtomicU64,
}

/// Counts as a running request until dropped.
pub(super) struct Running(Arc<Activity>);

impl Activity {
    pub(super) fn start() -> Arc<Self> {
        Arc::new(Self { born: Instant::now(), running: AtomicUsize::new(0), last: AtomicU64::new(0) })
    }

    pub(super) fn enter(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    /// No request was ever made.
    pub(super) fn is_untouched(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0 && self.last.load(Ordering::Acquire) == 0
    }

    /// Returns once nothing has run for `limit`.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let quiet_since = self.born + Duration::from_millis(self.last.load(Ordering::Acquire));
            let quiet = self.running.load(Ordering::Acquire) == 0;
            let rest = limit.saturating_sub(quiet_since.elapsed());
            if quiet && rest.is_zero() {
                return;
            }
            tokio::time::sleep(if quiet { rest } else { limit }).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let since = u64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        self.0.last.store(since, Ordering::Release);
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body that keeps its request counted as running until it is sent or dropped.
pub(super) struct Guarded<B> {
    body: B,
    _running: Running,
}

impl<B> Guarded<B> {
    pub(super) fn new(body: B, running: Running) -> Self {
        Self { body, _running: running }
    }
}

impl<B: Body + Unpin> Body for Guarded<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
