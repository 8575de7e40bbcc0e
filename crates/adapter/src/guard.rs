//! One hospital system behind limits: places, retries with jitter, circuit breaker, metrics, traces.
use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use telemetry::metrics::{Counter, Histogram, KeyValue, meter};
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::Trouble;

/// Default of [`Limits::retries`].
pub const RETRIES: u32 = 2;
/// First pause before a retry; doubled each time, ± 50 %.
const PAUSE: Duration = Duration::from_millis(200);
/// Default of [`Limits::failures`].
pub const FAILURES: u32 = 5;
/// Default of [`Limits::pause`].
pub const OPEN_PAUSE: Duration = Duration::from_secs(15);
/// Longest wait for a place.
const PLACE_WAIT: Duration = Duration::from_secs(30);

/// Limits of one system.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests at the same time.
    pub concurrency: usize,
    /// Further tries of a query.
    pub retries: u32,
    /// Transport failures in a row that open the breaker.
    pub failures: u32,
    /// How long an open breaker refuses before one probe.
    pub pause: Duration,
}

impl Limits {
    /// The defaults, with a number of places.
    pub fn new(concurrency: usize) -> Self {
        Self { concurrency, retries: RETRIES, failures: FAILURES, pause: OPEN_PAUSE }
    }
}

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    probing: bool,
}

/// Guards one system.
pub struct Guard {
    name: &'static str,
    limits: Limits,
    places: Semaphore,
    breaker: Mutex<Breaker>,
    requests: Counter<u64>,
    retries: Counter<u64>,
    seconds: Histogram<f64>,
}

impl Guard {
    /// A guard; `name` is that of the back end in metrics and traces.
    pub fn new(name: &'static str, limits: Limits) -> Self {
        let meter = meter();
        Self {
            name,
            places: Semaphore::new(limits.concurrency.max(1)),
            limits,
            breaker: Mutex::default(),
            requests: meter.u64_counter("dsf.hospital.requests").build(),
            retries: meter.u64_counter("dsf.hospital.retries").build(),
            seconds: meter.f64_histogram("dsf.hospital.request.duration").with_unit("s").build(),
        }
    }

    /// Name of the back end.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// True unless the breaker is open.
    pub fn is_healthy(&self) -> bool {
        self.lock().open_until.is_none()
    }

    /// Makes a query: `once` is one try on a connection of its choice.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn query<T, F>(&self, transaction: &'static str, once: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let started = Instant::now();
        let span = tracing::info_span!(
            "hospital",
            otel.name = transaction,
            otel.kind = "client",
            backend = self.name,
            outcome = tracing::field::Empty
        );
        let result = self.tries(&once).instrument(span.clone()).await;
        let outcome = result.as_ref().err().map_or("ok", Trouble::outcome);
        span.record("outcome", outcome);
        let labels = [
            KeyValue::new("backend", self.name),
            KeyValue::new("transaction", transaction),
            KeyValue::new("outcome", outcome),
        ];
        self.requests.add(1, &labels);
        self.seconds.record(started.elapsed().as_secs_f64(), &labels[..2]);
        result
    }

    async fn tries<T, F>(&self, once: &impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let place = tokio::time::timeout(PLACE_WAIT, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(Trouble::Busy) };
        let mut attempt = 0;
        loop {
            let ticket = self.enter()?;
            let result = once().await;
            ticket.leave(result.as_ref().err());
            match result {
                Err(trouble) if attempt < self.limits.retries && trouble.is_worth_retry() => {
                    let pause = PAUSE * 2_u32.pow(attempt.min(6));
                    attempt += 1;
                    self.retries.add(1, &[KeyValue::new("backend", self.name)]);
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
                }
                result => return result,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> Result<Ticket<'_>, Trouble> {
        let mut breaker = self.lock();
        if let Some(until) = breaker.open_until {
            let wait = until.saturating_duration_since(Instant::now());
            if !wait.is_zero() || breaker.probing {
                return Err(Trouble::Open(wait));
            }
            breaker.probing = true;
        }
        Ok(Ticket { guard: self, is_probe: breaker.probing, done: false })
    }
}

/// One try; a try that is dropped counts as neither.
struct Ticket<'a> {
    guard: &'a Guard,
    is_probe: bool,
    done: bool,
}

impl Ticket<'_> {
    /// Answers, even refusals, show that the system is there.
    fn leave(mut self, trouble: Option<&Trouble>) {
        self.done = true;
        let mut breaker = self.guard.lock();
        let failed = matches!(trouble, Some(Trouble::Transport(_)));
        if self.is_probe {
            breaker.probing = false;
        }
        if !failed {
            if breaker.open_until.take().is_some() {
                tracing::info!(backend = self.guard.name, "answers again");
            }
            breaker.failures = 0;
            return;
        }
        breaker.failures = breaker.failures.saturating_add(1);
        if breaker.failures >= self.guard.limits.failures {
            if breaker.open_until.is_none() {
                tracing::warn!(backend = self.guard.name, "fails too often, is left alone for a while");
            }
            breaker.open_until = Some(Instant::now() + self.guard.limits.pause);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.done && self.is_probe {
            self.guard.lock().probing = false;
        }
    }
}
