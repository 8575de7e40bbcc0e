//! Subjects, and the escaping of names into subject tokens.

/// A Task arrived: request [`crate::engine::DeliverRequest`], answer `Reply<Delivered>`.
pub const DELIVER: &str = "engine.cmd.deliver";
/// A Task that cannot be translated: request [`crate::engine::RefuseRequest`], answer `Reply<Delivered>`.
pub const REFUSE: &str = "engine.cmd.refuse";
/// Request [`crate::job::ClaimRequest`], answer `Reply<ClaimReply>`.
pub const CLAIM: &str = "engine.api.job.claim";
/// Request [`crate::job::Heartbeat`], answer `Reply<Acknowledgement>`.
pub const HEARTBEAT: &str = "engine.api.job.heartbeat";
/// Request [`crate::engine::DeployRequest`], answer `Reply<DeployReply>`.
pub const DEPLOY: &str = "engine.api.plugin.deploy";
/// Request [`crate::engine::InstanceQuery`], answer `Reply<Vec<InstanceView>>`.
pub const INSTANCES: &str = "engine.api.instance.list";
/// Empty request, answer `Reply<EngineStatus>`.
pub const ENGINE_STATUS: &str = "engine.api.engine.status";
/// A completed QuestionnaireResponse: request [`crate::engine::CompleteTaskRequest`], answer `Reply<Delivered>`.
pub const COMPLETE_TASK: &str = "engine.cmd.complete-task";
/// Request [`crate::operate::IncidentQuery`], answer `Reply<Vec<IncidentView>>`.
pub const INCIDENTS: &str = "engine.api.incident.list";
/// Request [`crate::operate::Operation`], answer `Reply<()>`; so are the following ones up to resume.
pub const INCIDENT_RETRY: &str = "engine.api.incident.retry";
/// See [`crate::operate::Action::SetVariable`].
pub const INSTANCE_SET_VARIABLE: &str = "engine.api.instance.set-variable";
/// See [`crate::operate::Action::Skip`].
pub const INSTANCE_SKIP: &str = "engine.api.instance.skip";
/// See [`crate::operate::Action::Move`].
pub const INSTANCE_MOVE: &str = "engine.api.instance.move";
/// See [`crate::operate::Action::Fail`].
pub const INSTANCE_FAIL: &str = "engine.api.instance.fail";
/// See [`crate::operate::Action::Cancel`].
pub const INSTANCE_CANCEL: &str = "engine.api.instance.cancel";
/// See [`crate::operate::Action::Pause`].
pub const ENGINE_PAUSE: &str = "engine.api.engine.pause";
/// See [`crate::operate::Action::Resume`].
pub const ENGINE_RESUME: &str = "engine.api.engine.resume";
/// Request [`crate::operate::RetryAllRequest`], answer `Reply<RetryAllReply>`.
pub const INCIDENT_RETRY_ALL: &str = "engine.api.incident.retry-all";
/// Empty request, answer `Reply<Vec<Warning>>`.
pub const WARNINGS: &str = "engine.api.job.warnings";
/// Request [`crate::operate::ExportRequest`], answer `Reply<InstanceExport>`.
pub const INSTANCE_EXPORT: &str = "engine.api.instance.export";
/// What an operator may ask of the engine.
pub const OPERATIONS: [&str; 15] = [
    DEPLOY,
    INSTANCES,
    ENGINE_STATUS,
    INCIDENTS,
    INCIDENT_RETRY,
    INCIDENT_RETRY_ALL,
    INSTANCE_SET_VARIABLE,
    INSTANCE_SKIP,
    INSTANCE_MOVE,
    INSTANCE_FAIL,
    INSTANCE_CANCEL,
    INSTANCE_EXPORT,
    ENGINE_PAUSE,
    ENGINE_RESUME,
    WARNINGS,
];
/// Request [`crate::egress::EgressRequest`], answer [`crate::egress::EgressReply`].
pub const EGRESS: &str = "router.egress";
/// Any JSON (`null`) as request, answer `Reply<`[`crate::egress::Site`]`>`.
pub const ROUTER_SITE: &str = "router.site";
/// Queue group of engine replicas.
pub const ENGINE_GROUP: &str = "bpmn-engine";
/// Queue group of router replicas.
pub const ROUTER_GROUP: &str = "task-router";

/// Request [`crate::hospital::FindRequest`], answer `Reply<FindReply>`.
pub const MPI_FIND: &str = "mpi.find";
/// Request [`crate::hospital::MatchRequest`], answer `Reply<Found>`.
pub const MPI_MATCH: &str = "mpi.match";
/// Request [`crate::hospital::CrossReferenceRequest`], answer `Reply<CrossReferenceReply>`.
pub const MPI_CROSS_REFERENCE: &str = "mpi.cross-reference";
/// Request [`crate::hospital::DecideRequest`], answer `Reply<DecideReply>`.
pub const PDP_DECIDE: &str = "pdp.decide";
/// Notice [`crate::hospital::Revoked`] to every replica: cached decisions are dropped.
pub const PDP_REVOKED: &str = "pdp.revoked";
/// Request [`crate::hospital::DataRequest`], answer `Reply<CountReply>`.
pub const MDAT_COUNT: &str = "mdat.count";
/// Request [`crate::hospital::DataRequest`], answer `Reply<IdsReply>`.
pub const MDAT_IDS: &str = "mdat.ids";
/// Request [`crate::hospital::DataRequest`], answer `Reply<RowsReply>`.
pub const MDAT_ROWS: &str = "mdat.rows";
/// Any JSON (`null`) as request, answer `Reply<`[`crate::linkage::RecipientReply`]`>`.
pub const RBF_RECIPIENT: &str = "rbf.recipient";
/// Request [`crate::linkage::EncodeRequest`], answer `Reply<EncodeReply>`.
pub const RBF_ENCODE: &str = "rbf.encode";
/// Request [`crate::linkage::StartRequest`], answer `Reply<Started>`.
pub const RBF_START: &str = "rbf.start";
/// What all replicas together listen to for runs; each listens to its own [`rbf_run`] only.
pub const RBF_RUNS: &str = "rbf.run.*";
/// Request [`crate::linkage::OpenRequest`], answer `Reply<OpenReply>`.
pub const RBF_OPEN: &str = "rbf.open-pseudonyms";
/// Request [`crate::linkage::ResultSetRequest`], answer `Reply<ResultSetReply>`.
pub const RBF_RESULT_SET: &str = "rbf.result-set";
/// Request [`crate::linkage::DataSetRequest`], answer `Reply<DataSetReply>`.
pub const RBF_DATA_SET: &str = "rbf.data-set";
/// Any JSON (`null`) as request, answer `Reply<`[`crate::health::Health`]`>` by every replica; so are the
/// following three.
pub const MPI_HEALTH: &str = "mpi.health";
/// See [`MPI_HEALTH`].
pub const PDP_HEALTH: &str = "pdp.health";
/// See [`MPI_HEALTH`].
pub const MDAT_HEALTH: &str = "mdat.health";
/// See [`MPI_HEALTH`].
pub const RBF_HEALTH: &str = "rbf.health";
/// Queue group of rbf-worker replicas.
pub const RBF_GROUP: &str = "rbf-worker";
/// Queue group of mpi-adapter replicas.
pub const MPI_GROUP: &str = "mpi-adapter";
/// Queue group of pdp-adapter replicas.
pub const PDP_GROUP: &str = "pdp-adapter";
/// Queue group of mdat-adapter replicas.
pub const MDAT_GROUP: &str = "mdat-adapter";

/// Prefix of gateway events in the EVENTS stream.
pub const EVENTS: &str = "fhir.event.>";
/// Prefix of change notices between gateway replicas (core NATS, not stored).
pub const CHANGES: &str = "fhir.changed.>";

/// Escapes any text into one subject token: ASCII letters, digits, `-` and `_` stay, every other
/// byte becomes `=XX`. Reversible, so two names never share a subject.
pub fn token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            token.push(byte as char);
        } else {
            token.push_str(&format!("={byte:02X}"));
        }
    }
    if token.is_empty() { "=".to_owned() } else { token }
}

/// Subject of a gateway event: `fhir.event.<type>.<status>.<lane>`. The lane is `keyed` for a Task
/// that carries a business key (it may answer a waiting instance) and `new` for one that cannot.
pub fn event(resource_type: &str, status: Option<&str>, lane: Lane) -> String {
    format!("fhir.event.{}.{}.{}", token(resource_type), token(status.unwrap_or("none")), lane.as_str())
}

/// Lane of an event, so that answers never queue behind new starts (design 4, promise 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Cannot belong to a running instance.
    New,
    /// May belong to a running instance.
    Keyed,
}

impl Lane {
    /// The subject token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Keyed => "keyed",
        }
    }
}

/// Filter of the EVENTS consumer of one lane for one type and status.
pub fn event_filter(resource_type: &str, status: &str, lane: Lane) -> String {
    event(resource_type, Some(status), lane)
}

/// Subject of change notices for one type.
pub fn changed(resource_type: &str) -> String {
    format!("fhir.changed.{}", token(resource_type))
}

/// Subject of the runs of one rbf-worker replica: request [`crate::linkage::RunRequest`], answer
/// `Reply<RunReply>`.
pub fn rbf_run(replica: &str) -> String {
    format!("rbf.run.{}", token(replica))
}

fn job_tokens(job_type: &str) -> String {
    job_type.split('/').map(token).collect::<Vec<_>>().join(".")
}

/// Subject on which the engine says that a job of a type is ready: `job.<plugin>.<version>.<name>`,
/// or `job.<class>` for a plugin without manifest. Core NATS: a hint, never the truth.
pub fn job_hint(job_type: &str) -> String {
    format!("job.{}", job_tokens(job_type))
}

/// Subject on which a worker answers: request [`crate::job::JobResult`], answer `Reply<Acknowledgement>`.
pub fn job_result(job_type: &str) -> String {
    format!("job.result.{}", job_tokens(job_type))
}

/// What the engine subscribes to for results.
pub const JOB_RESULTS: &str = "job.result.>";
/// Results of the framework's own job types, which only the router gives.
pub const OWN_JOB_RESULTS: &str = "job.result.dsf.>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_tokens() {
        assert_eq!(job_hint("ping-pong/1.0/log"), "job.ping-pong.1=2E0.log");
        assert_eq!(job_hint("dev.dsf.bpe.X"), "job.dev=2Edsf=2Ebpe=2EX");
        assert_eq!(event("Task", Some("in-progress"), Lane::New), "fhir.event.Task.in-progress.new");
        assert_eq!(token("a>*.b"), "a=3E=2A=2Eb");
    }
}
