//! One hospital system behind limits: places, retries with jitter, circuit breaker, metrics, traces.
use std::{
    collections::VecDeque,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use messaging::health::{BackendHealth, BreakerState, LastFailure};
use telemetry::metrics::{Counter, Histogram, KeyValue, meter};
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::Trouble;

/// Default of [`Limits::retries`].
pub const RETRIES: u32 = 2;
/// First pause before a retry; doubled each time, ± 50 %.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest `Retry-After` that is waited for; what asks for more gets no further try from us.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// Default of [`Limits::failures`].
pub const FAILURES: u32 = 5;
/// Tries that the breaker looks back on.
pub const WINDOW: usize = 20;
/// Default of [`Limits::share`].
pub const SHARE: u32 = 50;
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
    /// Percentage of the last [`WINDOW`] tries: more transport failures than that open it, too.
    pub share: u32,
    /// How long an open breaker refuses before one probe.
    pub pause: Duration,
}

impl Limits {
    /// The defaults, with a number of places.
    pub fn new(concurrency: usize) -> Self {
        Self { concurrency, retries: RETRIES, failures: FAILURES, share: SHARE, pause: OPEN_PAUSE }
    }
}

#[derive(Debug, Default)]
struct Breaker {
    /// Failures in a row.
    failures: u32,
    /// The last [`WINDOW`] tries; true: failed.
    window: VecDeque<bool>,
    open_until: Option<Instant>,
    probing: bool,
    success: Option<Instant>,
    failure: Option<(&'static str, Instant)>,
}

impl Breaker {
    fn state(&self) -> BreakerState {
        match self.open_until {
            None => BreakerState::Closed,
            Some(until) if self.probing || until <= Instant::now() => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }

    /// Notes a transport failure; whether the breaker is to be open.
    fn failed(&mut self, limits: &Limits) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.noted(true);
        let failed = self.window.iter().filter(|failed| **failed).count();
        let too_many = failed * 100 > WINDOW * limits.share as usize;
        self.failures >= limits.failures || (self.window.len() == WINDOW && too_many)
    }

    fn noted(&mut self, failed: bool) {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(failed);
    }
}

/// What is known of a system, for the guard itself and for those who look at it.
struct Known {
    name: &'static str,
    limits: Limits,
    places: Semaphore,
    waiting: AtomicUsize,
    breaker: Mutex<Breaker>,
}

impl Known {
    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> usize {
        self.limits.concurrency.max(1)
    }

    fn in_use(&self) -> usize {
        self.limit().saturating_sub(self.places.available_permits())
    }
}

/// Counts one that waits, also when it gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Guards one system.
pub struct Guard {
    known: Arc<Known>,
    requests: Counter<u64>,
    retries: Counter<u64>,
    seconds: Histogram<f64>,
}

impl Guard {
    /// A guard; `name` is that of the back end in metrics and traces.
    pub fn new(name: &'static str, limits: Limits) -> Self {
        let meter = meter();
        let known = Arc::new(Known {
            name,
            places: Semaphore::new(limits.concurrency.max(1)),
            limits,
            waiting: AtomicUsize::new(0),
            breaker: Mutex::default(),
        });
        let gauge = |instrument: &'static str, value: fn(&Known) -> u64| {
            let looked_at = Arc::downgrade(&known);
            // The callback lives as long as the meter; what it looks at may end before.
            let _ = meter
                .u64_observable_gauge(instrument)
                .with_callback(move |observer| {
                    if let Some(known) = looked_at.upgrade() {
                        observer.observe(value(&known), &[KeyValue::new("backend", known.name)]);
                    }
                })
                .build();
        };
        gauge("dsf.hospital.breaker.state", |known| match known.lock().state() {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
        gauge("dsf.hospital.places", |known| known.limit() as u64);
        gauge("dsf.hospital.places.used", |known| known.in_use() as u64);
        gauge("dsf.hospital.waiting", |known| known.waiting.load(Ordering::Relaxed) as u64);
        Self {
            known,
            requests: meter.u64_counter("dsf.hospital.requests").build(),
            retries: meter.u64_counter("dsf.hospital.retries").build(),
            seconds: meter.f64_histogram("dsf.hospital.request.duration").with_unit("s").build(),
        }
    }

    /// Name of the back end.
    pub fn name(&self) -> &'static str {
        self.known.name
    }

    /// True unless the breaker is open.
    pub fn is_healthy(&self) -> bool {
        self.known.lock().open_until.is_none()
    }

    /// How it is, for an operator.
    pub fn health(&self) -> BackendHealth {
        let (known, now) = (&self.known, Instant::now());
        let age = |then: Instant| millis(now.saturating_duration_since(then));
        let breaker = known.lock();
        let state = breaker.state();
        let until = breaker.open_until.filter(|_| state == BreakerState::Open);
        BackendHealth {
            name: known.name.to_owned(),
            breaker: state,
            next_try_ms: until.map(|until| millis(until.saturating_duration_since(now))),
            places: known.limit() as u64,
            in_use: known.in_use() as u64,
            waiting: known.waiting.load(Ordering::Relaxed) as u64,
            last_success_ms: breaker.success.map(age),
            last_failure: breaker
                .failure
                .map(|(kind, then)| LastFailure { kind: kind.to_owned(), age_ms: age(then) }),
        }
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
            backend = self.name(),
            outcome = tracing::field::Empty
        );
        let result = self.tries(&once).instrument(span.clone()).await;
        let outcome = result.as_ref().err().map_or("ok", Trouble::outcome);
        span.record("outcome", outcome);
        let labels = [
            KeyValue::new("backend", self.name()),
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
        let place = {
            let _waiting = Waiting::new(&self.known.waiting);
            tokio::time::timeout(PLACE_WAIT, self.known.places.acquire()).await
        };
        let Ok(Ok(_place)) = place else { return Err(Trouble::Busy) };
        let mut attempt = 0;
        loop {
            let ticket = self.enter()?;
            let result = once().await;
            ticket.leave(result.as_ref().err());
            match result {
                Err(trouble) if attempt < self.known.limits.retries && trouble.is_worth_retry() => {
                    let pause = (PAUSE * 2_u32.pow(attempt.min(6))).mul_f64(rand::random_range(0.5..1.5));
                    attempt += 1;
                    // Waiting would only end at the open breaker.
                    if let Some(until) = self.known.lock().open_until {
                        return Err(Trouble::Open(until.saturating_duration_since(Instant::now())));
                    }
                    // Nobody is asked before the time that it asked for.
                    let asked = match &trouble {
                        Trouble::Away { after, .. } => after.unwrap_or_default(),
                        _ => Duration::ZERO,
                    };
                    if asked > MAX_RETRY_AFTER {
                        return Err(trouble);
                    }
                    self.retries.add(1, &[KeyValue::new("backend", self.name())]);
                    tokio::time::sleep(asked + pause).await;
                }
                result => return result,
            }
        }
    }

    fn enter(&self) -> Result<Ticket<'_>, Trouble> {
        let mut breaker = self.known.lock();
        if let Some(until) = breaker.open_until {
            let wait = until.saturating_duration_since(Instant::now());
            if !wait.is_zero() || breaker.probing {
                return Err(Trouble::Open(wait));
            }
            breaker.probing = true;
        }
        Ok(Ticket { known: &self.known, is_probe: breaker.probing, done: false })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One try; a try that is dropped counts as neither.
struct Ticket<'a> {
    known: &'a Known,
    is_probe: bool,
    done: bool,
}

impl Ticket<'_> {
    /// Answers, even refusals, show that the system is there.
    fn leave(mut self, trouble: Option<&Trouble>) {
        self.done = true;
        let mut breaker = self.known.lock();
        match trouble {
            None => breaker.success = Some(Instant::now()),
            Some(trouble) => breaker.failure = Some((trouble.outcome(), Instant::now())),
        }
        if self.is_probe {
            breaker.probing = false;
        }
        if !matches!(trouble, Some(Trouble::Transport(_))) {
            if breaker.open_until.take().is_some() {
                tracing::info!(backend = self.known.name, "answers again");
                breaker.window.clear();
            }
            breaker.failures = 0;
            breaker.noted(false);
            return;
        }
        // A probe that fails says enough.
        if breaker.failed(&self.known.limits) || self.is_probe {
            if breaker.open_until.is_none() {
                tracing::warn!(backend = self.known.name, "fails too often, is left alone for a while");
            }
            breaker.open_until = Some(Instant::now() + self.known.limits.pause);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.done && self.is_probe {
            self.known.lock().probing = false;
        }
    }
}
