//! MLLP connections: kept, bounded, one message in flight on each, closed after any doubt.
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use adapter::{
    TransportKind, Trouble,
    tls::{Connector, SetupError, Stream},
};
use hospital::{
    failure::Failure,
    mllp::{Decoder, frame},
};
use telemetry::metrics::{Counter, KeyValue, meter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How long a connection is used at all.
const MAX_AGE: Duration = Duration::from_secs(15 * 60);
/// Bytes read at once.
const PIECE: usize = 16 * 1024;

struct Kept {
    stream: Stream,
    opened: Instant,
    used: Instant,
}

/// Connections to one address.
pub struct Connections {
    connector: Connector,
    host: String,
    port: u16,
    answer_timeout: Duration,
    max_answer: usize,
    kept: Mutex<Vec<Kept>>,
    errors: Counter<u64>,
}

impl Connections {
    /// Connections to `host:port`.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(
        connector: Connector,
        address: &str,
        answer_timeout: Duration,
        max_answer: usize,
    ) -> Result<Self, SetupError> {
        let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let Some((host, port)) = parts.filter(|(host, _)| !host.is_empty()) else {
            return Err(SetupError("the address of the index must be host:port".to_owned()));
        };
        let host = host.to_owned();
        let errors = meter().u64_counter("dsf.hospital.mllp.errors").build();
        Ok(Self { connector, host, port, answer_timeout, max_answer, kept: Mutex::default(), errors })
    }

    /// Sends a message and reads the answer. The connection is kept only if `accept` takes the
    /// answer: after a wrong one its next answer might be the one to this message.
    pub async fn exchange<T>(
        &self,
        message: &[u8],
        accept: impl FnOnce(&[u8]) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let (mut stream, opened) = match self.take() {
            Some(kept) => (kept.stream, kept.opened),
            None => {
                let stream = self.connector.open(&self.host, self.port).await.map_err(Trouble::Transport)?;
                (stream, Instant::now())
            }
        };
        let exchange = self.exchange_on(&mut stream, message);
        let answer = tokio::time::timeout(self.answer_timeout, exchange).await;
        let answer = answer.unwrap_or(Err(Trouble::Transport(TransportKind::Timeout)));
        if matches!(answer, Err(Trouble::Transport(_))) {
            // The others were opened to the same server and are not better.
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let counted = |trouble: Trouble| {
            if let Trouble::Failure(Failure::Protocol(reason)) = &trouble {
                self.count(reason.as_str());
            }
            trouble
        };
        let (answer, is_clean) = answer.map_err(counted)?;
        let accepted = accept(&answer).map_err(counted)?;
        if is_clean {
            let kept = Kept { stream, opened, used: Instant::now() };
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        }
        Ok(accepted)
    }

    /// Counts what is wrong on the wire.
    fn count(&self, kind: &'static str) {
        self.errors.add(1, &[KeyValue::new("kind", kind)]);
    }

    fn take(&self) -> Option<Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.used.elapsed() < IDLE && kept.opened.elapsed() < MAX_AGE);
        kept.pop()
    }

    /// The answer, and whether nothing else came with it.
    async fn exchange_on(&self, stream: &mut Stream, message: &[u8]) -> Result<(Vec<u8>, bool), Trouble> {
        let transport = |error: &std::io::Error| Trouble::Transport(adapter::kind_of(error));
        stream.write_all(&frame(message)).await.map_err(|error| transport(&error))?;
        stream.flush().await.map_err(|error| transport(&error))?;
        let mut decoder = Decoder::new(self.max_answer);
        let mut piece = vec![0; PIECE];
        let mut seen = false;
        loop {
            let count = stream.read(&mut piece).await.map_err(|error| transport(&error))?;
            if count == 0 {
                decoder.end()?;
                // Nothing was read: the server had closed a kept connection, or is going down.
                return Err(match seen {
                    false => Trouble::Transport(TransportKind::Closed),
                    true => hospital::failure::Reason::FrameTruncated.into(),
                });
            }
            seen = true;
            let mut frames = decoder.push(&piece[..count])?;
            if !frames.is_empty() {
                let more = frames.len() > 1 || decoder.end().is_err();
                let is_clean = !more && decoder.restarts == 0;
                for (is_so, kind) in [
                    (more, "frame-unexpected"),
                    (decoder.restarts > 0, "frame-restarted"),
                    (decoder.noise_before_first > 0, "noise-skipped"),
                ] {
                    if is_so {
                        self.count(kind);
                    }
                }
                return Ok((frames.swap_remove(0), is_clean));
            }
        }
    }
}
