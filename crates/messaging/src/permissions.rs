//! Who may publish and subscribe what: one table, from which the server configuration is generated.
//!
//! Every service has a user of its own in its site's account. Subjects are exact; a wildcard stands
//! only where the last tokens are a job type that plugins bring along. Nobody gets `$JS.API.>`,
//! `$JS.ACK.>` or `_INBOX.>`: JetStream rights name the stream and consumer, and each user has an
//! inbox prefix of its own, so one service cannot read another's answers.
use std::fmt::Write;

use crate::{
    connect::inbox_prefix,
    streams::{EVENTS, consumer_name},
    subject::{self, Lane},
};

/// A user of a site's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum User {
    /// `fhir-gateway`.
    Gateway,
    /// `task-router`.
    Router,
    /// `bpmn-engine`.
    Engine,
    /// `process-worker`, and workers of other authors.
    Worker,
    /// `mpi-adapter`.
    PatientIndex,
    /// `pdp-adapter`.
    Consent,
    /// `mdat-adapter`.
    MedicalData,
    /// `rbf-worker`, the only one that may ask for persons.
    Linkage,
    /// `dsf` as an operator's tool.
    Operator,
}

/// All users, in the order of the table.
pub const USERS: [User; 9] = [
    User::Gateway,
    User::Router,
    User::Engine,
    User::Worker,
    User::PatientIndex,
    User::Consent,
    User::MedicalData,
    User::Linkage,
    User::Operator,
];

/// What one user may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects it may publish on.
    pub publish: Vec<String>,
    /// Subjects it may subscribe to.
    pub subscribe: Vec<String>,
    /// Exceptions from `publish`.
    pub publish_not: Vec<String>,
    /// Exceptions from `subscribe`.
    pub subscribe_not: Vec<String>,
    /// Whether it may answer requests on the reply subjects they carry.
    pub replies: bool,
}

impl User {
    /// Name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Router => "router",
            Self::Engine => "engine",
            Self::Worker => "worker",
            Self::PatientIndex => "mpi",
            Self::Consent => "pdp",
            Self::MedicalData => "mdat",
            Self::Linkage => "rbf",
            Self::Operator => "operator",
        }
    }

    /// Login of the user in the account of a site; logins are unique in a server.
    pub fn login(self, account: &str) -> String {
        format!("{account}-{}", self.name())
    }

    /// The user's row of the table, for the login it connects with.
    pub fn permissions(self, login: &str) -> Permissions {
        let own = |list: &[&str]| list.iter().map(|subject| (*subject).to_owned()).collect::<Vec<_>>();
        let (publish, subscribe, replies) = match self {
            Self::Gateway => {
                let mut publish = own(&[subject::EVENTS, subject::CHANGES]);
                publish.extend(stream_rights());
                (publish, own(&[subject::CHANGES]), false)
            }
            Self::Router => {
                let mut publish = own(&[
                    subject::DELIVER,
                    subject::REFUSE,
                    subject::COMPLETE_TASK,
                    subject::CLAIM,
                    subject::HEARTBEAT,
                    &subject::job_result(crate::job::SEND),
                    &subject::job_result(crate::job::WRITE_BACK),
                    &subject::job_result(crate::job::FORM),
                ]);
                publish.push(format!("$JS.API.STREAM.INFO.{EVENTS}"));
                for lane in [Lane::Keyed, Lane::New] {
                    for (resource_type, status) in
                        [("Task", "requested"), ("QuestionnaireResponse", "completed")]
                    {
                        publish.extend(consumer_rights(resource_type, status, lane));
                    }
                }
                let subscribe = own(&[
                    &subject::job_hint(crate::job::SEND),
                    &subject::job_hint(crate::job::WRITE_BACK),
                    &subject::job_hint(crate::job::FORM),
                    subject::EGRESS,
                    subject::ROUTER_SITE,
                ]);
                (publish, subscribe, true)
            }
            Self::Engine => {
                (own(&["job.>"]), own(&["engine.cmd.*", "engine.api.*.*", subject::JOB_RESULTS]), true)
            }
            Self::Worker => (
                own(&[
                    subject::CLAIM,
                    subject::HEARTBEAT,
                    subject::JOB_RESULTS,
                    subject::EGRESS,
                    subject::ROUTER_SITE,
                    subject::PDP_DECIDE,
                    subject::MDAT_COUNT,
                    subject::MDAT_IDS,
                    subject::MDAT_ROWS,
                    subject::RBF_RECIPIENT,
                    subject::RBF_ENCODE,
                    subject::RBF_START,
                    subject::RBF_RUNS,
                    subject::RBF_OPEN,
                    subject::RBF_RESULT_SET,
                    subject::RBF_DATA_SET,
                ]),
                own(&["job.>"]),
                false,
            ),
            Self::PatientIndex => (
                Vec::new(),
                own(&[
                    subject::MPI_FIND,
                    subject::MPI_MATCH,
                    subject::MPI_CROSS_REFERENCE,
                    subject::MPI_HEALTH,
                ]),
                true,
            ),
            Self::Consent => {
                (Vec::new(), own(&[subject::PDP_DECIDE, subject::PDP_REVOKED, subject::PDP_HEALTH]), true)
            }
            Self::MedicalData => (
                Vec::new(),
                own(&[subject::MDAT_COUNT, subject::MDAT_IDS, subject::MDAT_ROWS, subject::MDAT_HEALTH]),
                true,
            ),
            Self::Linkage => (
                own(&[subject::MPI_FIND, subject::MPI_MATCH, subject::MPI_CROSS_REFERENCE]),
                own(&[
                    subject::RBF_RECIPIENT,
                    subject::RBF_ENCODE,
                    subject::RBF_START,
                    subject::RBF_RUNS,
                    subject::RBF_OPEN,
                    subject::RBF_RESULT_SET,
                    subject::RBF_DATA_SET,
                    subject::RBF_HEALTH,
                ]),
                true,
            ),
            Self::Operator => {
                let mut publish = own(&subject::OPERATIONS);
                publish.extend(own(&[subject::EGRESS, subject::ROUTER_SITE, subject::PDP_REVOKED]));
                publish.extend(own(&[
                    subject::MPI_HEALTH,
                    subject::PDP_HEALTH,
                    subject::MDAT_HEALTH,
                    subject::RBF_HEALTH,
                ]));
                publish.extend(stream_rights());
                (publish, Vec::new(), false)
            }
        };
        // Hints begin with `job.`, too: the engine gives no results, and a worker neither hears those of others
        // nor gives those of the router.
        let (publish_not, subscribe_not) = match self {
            Self::Engine => (own(&[subject::JOB_RESULTS]), Vec::new()),
            Self::Worker => (own(&[subject::OWN_JOB_RESULTS]), own(&[subject::JOB_RESULTS])),
            _ => (Vec::new(), Vec::new()),
        };
        let mut subscribe = subscribe;
        subscribe.push(format!("{}.>", inbox_prefix(login)));
        Permissions { publish, subscribe, publish_not, subscribe_not, replies }
    }
}

/// Provisioning of the EVENTS stream, which whoever starts first does.
fn stream_rights() -> Vec<String> {
    ["CREATE", "UPDATE", "INFO"].iter().map(|verb| format!("$JS.API.STREAM.{verb}.{EVENTS}")).collect()
}

fn consumer_rights(resource_type: &str, status: &str, lane: Lane) -> Vec<String> {
    let consumer = consumer_name(resource_type, status, lane);
    let filter = subject::event_filter(resource_type, status, lane);
    vec![
        format!("$JS.API.CONSUMER.INFO.{EVENTS}.{consumer}"),
        format!("$JS.API.CONSUMER.CREATE.{EVENTS}.{consumer}.{filter}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{consumer}"),
        format!("$JS.ACK.{EVENTS}.{consumer}.>"),
    ]
}

/// Account block of a server configuration: one account with its users. `password` gives the text that
/// stands in the configuration: quoted, or a `$VARIABLE`.
pub fn account(name: &str, password: impl Fn(User) -> String) -> String {
    let mut text = format!("  {name}: {{\n    jetstream: enabled\n    users: [\n");
    for user in USERS {
        let login = user.login(name);
        let Permissions { publish, subscribe, publish_not, subscribe_not, replies } =
            user.permissions(&login);
        let list = |subjects: &[String]| {
            subjects.iter().map(|subject| format!("\"{subject}\"")).collect::<Vec<_>>().join(", ")
        };
        let rule = |allow: &[String], deny: &[String]| {
            if deny.is_empty() {
                format!("[{}]", list(allow))
            } else {
                format!("{{ allow: [{}], deny: [{}] }}", list(allow), list(deny))
            }
        };
        // A responder may publish once per request on the inbox it was asked from.
        let responses = if replies { ", allow_responses: { max: 1, expires: \"5m\" }" } else { "" };
        let _ = writeln!(
            text,
            "      {{ user: \"{login}\", password: {}, permissions: {{ publish: {}, subscribe: {}{responses} }} }}",
            password(user),
            rule(&publish, &publish_not),
            rule(&subscribe, &subscribe_not),
        );
    }
    text.push_str("    ]\n  }\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_has_a_wildcard_over_jetstream_or_inboxes() {
        for user in USERS {
            let Permissions { publish, subscribe, .. } = user.permissions("a");
            for subject in publish.iter().chain(&subscribe) {
                assert!(
                    !["$JS.API.>", "$JS.ACK.>", "_INBOX.>", ">", "*"].contains(&subject.as_str()),
                    "{user:?} must not have {subject}"
                );
            }
        }
    }
}
