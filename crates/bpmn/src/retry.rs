//! When a failed attempt is made again: `failedJobRetryTimeCycle` of the model, or our own backoff.
use std::time::Duration;

use crate::iso8601;

/// Pauses between attempts where the model says nothing: six further attempts within ten minutes.
pub const DEFAULT_PAUSES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
    Duration::from_secs(180),
    Duration::from_secs(330),
];
/// Pause when an attempt failed because a part of ours is away; costs no attempt.
pub const UNAVAILABLE_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause a model can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The pause before the next attempt after `attempts` failed ones (from 1), or `None` when there is
/// no further attempt. `cycle` is `R<n>/<duration>` (n attempts) or a list of durations (one attempt
/// more than the list has entries), as in `contract/process-engine.md` 8; text that is neither counts
/// as absent.
pub fn pause(cycle: Option<&str>, attempts: u32) -> Option<Duration> {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(cycle) = cycle.and_then(|cycle| iso8601::retry_cycle(cycle).ok()) else {
        return DEFAULT_PAUSES.get(index).copied();
    };
    let delay = cycle.delays.get(index).or(cycle.delays.last()).copied().unwrap_or_default();
    let delay = Duration::from_millis(u64::try_from(delay).unwrap_or_default()).min(LONGEST_PAUSE);
    (attempts < cycle.attempts).then_some(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles() {
        let seconds = |cycle, attempts| pause(cycle, attempts).map(|pause| pause.as_secs());
        for (cycle, expected) in [
            (Some("R3/PT5S"), vec![Some(5), Some(5), None]),
            (Some("R0/PT5S"), vec![None]),
            (Some("PT1M,PT5M"), vec![Some(60), Some(300), None]),
            (Some("R3/P1M"), vec![Some(7 * 24 * 3600)]),
            (Some("nonsense"), vec![Some(1), Some(5), Some(20), Some(60), Some(180), Some(330), None]),
            (None, vec![Some(1), Some(5)]),
        ] {
            for (index, pause) in expected.into_iter().enumerate() {
                let attempts = u32::try_from(index + 1).unwrap();
                assert_eq!(seconds(cycle, attempts), pause, "{cycle:?} after {attempts} failed attempts");
            }
        }
    }
}
