//! Time on the wall and on processors, and memory, of this process.
use std::time::{Duration, Instant};

/// What a measurement took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds on processors, all threads together: on a busy machine the only time that means something.
    pub busy: f64,
}

/// Runs `work`.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Took) {
    let (wall, busy) = (Instant::now(), on_processors());
    let result = work();
    let busy = on_processors().saturating_sub(busy).as_secs_f64().max(1e-9);
    (result, Took { wall: wall.elapsed().as_secs_f64(), busy })
}

fn on_processors() -> Duration {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    nix::time::clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

/// Forgets the highest resident memory so far, where the system lets us.
pub fn forget_peak() {
    // Without it the peak of everything before is told, too: higher, never lower.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Highest resident memory in MiB since [`forget_peak`].
pub fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
