//! What a client is still sending when its answer is ready: read and dropped, within reason.
//!
//! A connection that is closed over unread bytes is reset, and a client that is writing then loses the
//! answer that says why. Answers are often ready first: most refusals need no body.
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{sync::oneshot, time::timeout};

/// Most bytes that are read although nobody wants them.
const MAX_DROPPED: u64 = 1024 * 1024;
/// How long that may take. A client that is slower may lose its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The body of a request, lent to who answers it; comes back when dropped.
pub(super) struct Lent {
    /// Taken by `drop` only.
    body: Option<Incoming>,
    back: Option<oneshot::Sender<Incoming>>,
    /// The client waits to hear that its body is wanted.
    waits: bool,
}

/// Where a body comes back to.
pub(super) struct Unread(oneshot::Receiver<Incoming>);

/// Lends the body of a request.
pub(super) fn lend(request: Request<Incoming>) -> (Request<Lent>, Unread) {
    let (back, unread) = oneshot::channel();
    let waits = request.headers().contains_key(header::EXPECT);
    (request.map(|body| Lent { body: Some(body), back: Some(back), waits }), Unread(unread))
}

impl Unread {
    /// Reads what is left of the body, unless someone still has it, or it is too much.
    pub(super) async fn drop_rest(mut self) {
        let Ok(mut body) = self.0.try_recv() else { return };
        let mut left = MAX_DROPPED;
        let rest = async {
            while body.size_hint().lower() <= left
                && let Some(Ok(frame)) = body.frame().await
            {
                let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                let Some(rest) = left.checked_sub(length) else { return };
                left = rest;
            }
        };
        let _ = timeout(PATIENCE, rest).await;
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.waits = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take())
            && !self.waits
            && !body.is_end_stream()
        {
            // Nobody to give it back to: the connection is gone.
            let _ = back.send(body);
        }
    }
}
