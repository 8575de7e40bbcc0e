//! `dsf health`: how the adapters of hospital systems are, replica by replica.
use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use messaging::{
    health::{AuditHealth, BackendHealth, BreakerState, Health},
    subject,
};

use crate::plugin::{self, Target};

/// Longest `--wait`, in seconds.
const MAX_WAIT: f64 = 60.0;

/// Which sites and services.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Services that must be there.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = SERVICES)]
    services: Vec<Service>,
    /// Seconds to wait for answers; nobody knows how many replicas there are.
    #[arg(long, default_value_t = 1.0, value_parser = wait)]
    wait: f64,
    #[command(flatten)]
    target: Target,
}

/// A service that tells how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Service {
    MpiAdapter,
    PdpAdapter,
    MdatAdapter,
    RbfWorker,
}

const SERVICES: [Service; 4] =
    [Service::MpiAdapter, Service::PdpAdapter, Service::MdatAdapter, Service::RbfWorker];

impl Service {
    /// Name and subject.
    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::MpiAdapter => ("mpi-adapter", subject::MPI_HEALTH),
            Self::PdpAdapter => ("pdp-adapter", subject::PDP_HEALTH),
            Self::MdatAdapter => ("mdat-adapter", subject::MDAT_HEALTH),
            Self::RbfWorker => ("rbf-worker", subject::RBF_HEALTH),
        }
    }
}

fn wait(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=MAX_WAIT).contains(seconds));
    seconds.ok_or_else(|| format!("expected seconds, at most {MAX_WAIT}"))
}

/// Prints a line for each system and for the audit records of each replica. Fails when something is open,
/// does not answer or waits for a repository that takes nothing; those lines begin with `!`.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    let wait = Duration::from_secs_f64(arguments.wait);
    let mut wrong = 0;
    for (site, operator) in plugin::operators(arguments.target).await? {
        let asked = arguments.services.iter().map(|service| {
            let (operator, (name, subject)) = (&operator, service.row());
            async move {
                let answers = operator.ask_all::<_, Health>(subject, &serde_json::Value::Null, wait).await;
                answers.map(|answers| (name, answers))
            }
        });
        let answers = futures_util::future::try_join_all(asked).await.with_context(|| site.clone())?;
        for (name, mut replicas) in answers {
            if replicas.is_empty() {
                wrong += 1;
                println!("! {site}: {name}: no answer");
            }
            replicas.sort_by(|one, other| one.replica.cmp(&other.replica));
            for replica in replicas {
                for (is_well, text) in lines(&replica) {
                    wrong += usize::from(!is_well);
                    let mark = if is_well { ' ' } else { '!' };
                    println!("{mark} {site}: {name} {}: {text}", replica.replica);
                }
            }
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether all is well, and what there is to say, per system and for the audit records.
fn lines(health: &Health) -> Vec<(bool, String)> {
    let mut lines: Vec<_> = health.backends.iter().map(backend).collect();
    lines.push(audit(&health.audit));
    lines
}

fn backend(backend: &BackendHealth) -> (bool, String) {
    let breaker = match (backend.breaker, backend.next_try_ms) {
        (BreakerState::Closed, _) => "closed".to_owned(),
        (BreakerState::HalfOpen, _) => "half open".to_owned(),
        (BreakerState::Open, None) => "open".to_owned(),
        (BreakerState::Open, Some(wait)) => format!("open, next try in {}", age(wait)),
    };
    let success = backend.last_success_ms.map_or_else(|| "none yet".to_owned(), |then| age(then) + " ago");
    let failure = backend.last_failure.as_ref();
    let failure = failure
        .map_or_else(|| "none".to_owned(), |failure| format!("{} {} ago", failure.kind, age(failure.age_ms)));
    let text = format!(
        "{} {breaker}; {} of {} places in use, {} waiting; last success {success}, last failure {failure}",
        backend.name, backend.in_use, backend.places, backend.waiting
    );
    (backend.breaker == BreakerState::Closed, text)
}

fn audit(audit: &AuditHealth) -> (bool, String) {
    let target =
        audit.target.as_deref().map_or_else(|| "in their file".to_owned(), |name| format!("to {name}"));
    let mut text = format!("audit records {target}; {} bytes wait", audit.waiting_bytes);
    if let Some(failing) = &audit.failing {
        text.push_str(&format!(", not taken for {} ({})", age(failing.age_ms), failing.kind));
    }
    text.push_str(&format!("; {} refused, {} lost", audit.refused, audit.lost));
    (audit.failing.is_none() && audit.lost == 0, text)
}

/// A time that people read.
fn age(millis: u64) -> String {
    match millis / 1000 {
        0 => format!("{millis} ms"),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use messaging::health::LastFailure;

    use super::*;

    #[test]
    fn lines_say_what_is_wrong() {
        let well = BackendHealth {
            name: "mpi-hl7-v2".into(),
            breaker: BreakerState::Closed,
            next_try_ms: None,
            places: 4,
            in_use: 1,
            waiting: 0,
            last_success_ms: Some(900),
            last_failure: None,
        };
        let open = BackendHealth {
            breaker: BreakerState::Open,
            next_try_ms: Some(14_000),
            last_success_ms: None,
            last_failure: Some(LastFailure { kind: "timeout".into(), age_ms: 300_000 }),
            ..well.clone()
        };
        let half = BackendHealth { breaker: BreakerState::HalfOpen, ..well.clone() };
        let kept = AuditHealth::default();
        let failing = AuditHealth {
            target: Some("syslog+tls".into()),
            waiting_bytes: 7,
            failing: Some(LastFailure { kind: "refused".into(), age_ms: 8_000_000 }),
            ..AuditHealth::default()
        };
        let cases = [
            (
                backend(&well),
                true,
                "closed; 1 of 4 places in use, 0 waiting; last success 900 ms ago, last failure none",
            ),
            (
                backend(&open),
                false,
                "open, next try in 14 s; 1 of 4 places in use, 0 waiting; last success none yet, last failure timeout 5 min ago",
            ),
            (backend(&half), false, "half open;"),
            (audit(&kept), true, "audit records in their file; 0 bytes wait; 0 refused, 0 lost"),
            (
                audit(&failing),
                false,
                "to syslog+tls; 7 bytes wait, not taken for 2 h (refused); 0 refused, 0 lost",
            ),
            (audit(&AuditHealth { lost: 1, ..kept.clone() }), false, "1 lost"),
        ];
        for ((is_well, text), expected, part) in cases {
            assert!(is_well == expected && text.contains(part), "{text}");
        }
        let health = Health {
            service: "mpi-adapter".into(),
            replica: "host/1".into(),
            backends: vec![well, open],
            audit: kept,
        };
        assert_eq!(
            lines(&health).iter().map(|(is_well, _)| *is_well).collect::<Vec<_>>(),
            [true, false, true]
        );
    }
}
