//! When a failed attempt is made again: `failedJobRetryTimeCycle` of the model, or our own backoff.
use std::time::Duration;

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
/// more than the list has entries), as in `contract/process-engine.md` 8.
pub fn pause(cycle: Option<&str>, attempts: u32) -> Option<Duration> {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    match cycle.and_then(pauses) {
        Some(Pauses::Repeat { attempts: allowed, pause }) => (attempts < allowed.max(1)).then_some(pause),
        Some(Pauses::List(list)) => list.get(index).copied(),
        None => DEFAULT_PAUSES.get(index).copied(),
    }
}

enum Pauses {
    Repeat { attempts: u32, pause: Duration },
    List(Vec<Duration>),
}

fn pauses(cycle: &str) -> Option<Pauses> {
    let cycle = cycle.trim();
    if let Some(rest) = cycle.strip_prefix('R') {
        let (count, pause) = rest.split_once('/')?;
        return Some(Pauses::Repeat { attempts: count.parse().ok()?, pause: duration(pause)? });
    }
    let list: Option<Vec<Duration>> = cycle.split(',').map(duration).collect();
    list.filter(|list| !list.is_empty()).map(Pauses::List)
}

fn duration(text: &str) -> Option<Duration> {
    text.trim().parse::<config::Duration>().ok().map(|duration| duration.get().min(LONGEST_PAUSE))
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
