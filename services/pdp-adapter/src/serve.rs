//! Questions over NATS: whole checks or errors, a short cache, an audit record per question.
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use adapter::{
    Trouble,
    audit::{Asked, Audit, noting},
};
use hospital::{decision::Decision, failure::Failure};
use messaging::{
    engine::Reply,
    health::BackendHealth,
    hospital::{DecideReply, DecideRequest, Decided, MAX_DECISIONS},
};
use telemetry::metrics::{Counter, KeyValue, meter};
use time::OffsetDateTime;

use crate::{Backend, Cache, Question, backend::Verdicts};

/// Longest record id, in bytes.
const MAX_ID: usize = 255;

/// Answers questions.
pub struct Service {
    backend: Backend,
    /// Decisions that are used again.
    pub cache: Cache,
    audit: Audit,
    decisions: Counter<u64>,
    dropped: Counter<u64>,
}

impl Service {
    /// A service with its decision point.
    pub fn new(backend: Backend, cache: Cache, audit: Audit) -> Self {
        let decisions = meter().u64_counter("dsf.hospital.decisions").build();
        let dropped = meter().u64_counter("dsf.hospital.consent.dropped").build();
        Self { backend, cache, audit, decisions, dropped }
    }

    /// How the decision point is, for an operator.
    pub(crate) fn health(&self) -> BackendHealth {
        self.backend.guard().health()
    }

    /// Records that questions are taken.
    pub(crate) fn started(&self) {
        self.audit.started();
    }

    /// Decides; `Unavailable` and `Invalid` say that nothing was decided.
    pub async fn decide(self: Arc<Self>, request: DecideRequest) -> Reply<DecideReply> {
        if let Err(reason) = check(&request) {
            return Reply::Invalid(reason);
        }
        let (subject, purpose, project) = (&request.subject, &request.purpose, request.project.as_deref());
        let generation = self.cache.generation();
        let mut decisions = BTreeMap::new();
        let (mut open, mut seen) = (Vec::new(), HashSet::new());
        for id in &request.records {
            if !seen.insert(id) {
                continue;
            }
            match self.cache.get(subject, purpose, project, id) {
                Some((permit, reason)) => {
                    let decision = if permit { Decision::Permit } else { Decision::Deny };
                    decisions.insert(id.clone(), decided(decision, reason));
                }
                None => open.push(id.clone()),
            }
        }
        if !open.is_empty() {
            let question = Question {
                subject: subject.clone(),
                purpose: purpose.clone(),
                project: request.project.clone(),
                records: open.clone(),
            };
            let (result, query) = noting(self.backend.decide(&question, OffsetDateTime::now_utc())).await;
            let mut asked = Asked {
                requester: Some(subject),
                query,
                ..Asked::new(self.backend.transaction(), &request.request_id, &open)
            };
            if let (Ok(verdicts), Some(query)) = (&result, &mut asked.query) {
                query.details.push(("decisions", summary(verdicts)));
            }
            self.audit.record(asked, result.as_ref().map(|_| "decided"));
            let verdicts = match result {
                Ok(verdicts) => verdicts,
                Err(Trouble::Failure(Failure::Rejected(_))) => {
                    return Reply::Invalid(
                        "the decision point refused the question: nothing was decided".to_owned(),
                    );
                }
                Err(trouble) => {
                    let text =
                        format!("consent could not be decided ({}): nothing may be used", trouble.outcome());
                    return Reply::Unavailable(text);
                }
            };
            for (id, (decision, reason)) in verdicts {
                if matches!(decision, Decision::Permit | Decision::Deny) {
                    let key = (subject.as_str(), purpose.as_str(), project, id.as_str());
                    self.cache.put(generation, key, (decision == Decision::Permit, reason));
                }
                decisions.insert(id, decided(decision, reason));
            }
        }
        for decided in decisions.values() {
            self.decisions.add(1, &[KeyValue::new("decision", decided.decision.clone())]);
        }
        let permitted =
            |id: &&String| decisions.get(*id).is_some_and(|one| one.decision == Decision::Permit.as_str());
        let kept: Vec<String> = request.records.iter().filter(permitted).cloned().collect();
        self.dropped.add((request.records.len() - kept.len()) as u64, &[]);
        Reply::Ok(DecideReply { decisions, kept })
    }
}

/// How often each decision was made.
fn summary(verdicts: &Verdicts) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (decision, _) in verdicts.values() {
        *counts.entry(decision.as_str()).or_default() += 1;
    }
    counts.iter().map(|(decision, count)| format!("{decision}={count}")).collect::<Vec<_>>().join(" ")
}

fn decided(decision: Decision, reason: &str) -> Decided {
    Decided { decision: decision.as_str().to_owned(), reason: reason.to_owned() }
}

fn check(request: &DecideRequest) -> Result<(), String> {
    if request.records.len() > MAX_DECISIONS {
        return Err(format!(
            "{} records, at most {MAX_DECISIONS} fit into one question",
            request.records.len()
        ));
    }
    if request.purpose.is_empty() || request.subject.is_empty() {
        return Err("a question needs a subject and a purpose".to_owned());
    }
    let usable = |id: &String| !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control);
    match request.records.iter().position(|id| !usable(id)) {
        Some(at) => {
            Err(format!("record {at} is empty, longer than {MAX_ID} bytes or has control characters"))
        }
        None => Ok(()),
    }
}
