//! Starts an engine: database, NATS subscriptions, timers and sweep.
use std::{future::Future, sync::Arc};

use database::{DatabaseConfig, Pool};
use messaging::{
    connect::Nats,
    engine::{
        CompleteTaskRequest, DeliverRequest, Delivered, DeployReply, DeployRequest, EngineStatus,
        InstanceQuery, InstanceView, RefuseRequest, Reply,
    },
    job::{Acknowledgement, ClaimReply, ClaimRequest, Heartbeat, JobResult},
    operate::{
        Action, ExportRequest, IncidentQuery, IncidentView, InstanceExport, Operation, RetryAllReply,
        RetryAllRequest, Warning,
    },
    subject::{self, ENGINE_GROUP},
};
use serde_json::Value;

use crate::{
    MIGRATIONS, claim,
    claim::JobId,
    error::Error,
    export,
    fuse::Fuse,
    hints::Hints,
    operate,
    settings::Config,
    stepper::Core,
    sweep,
    unit::{Answer, Input},
    views, warnings,
};

/// Name on NATS and PostgreSQL.
const NAME: &str = "bpmn-engine";
/// Deliveries worked on at a time; more wait in the NATS client.
const DELIVERIES: usize = 512;
/// Results worked on at a time.
const RESULTS: usize = 512;
/// Claims worked on at a time: each needs a connection.
const CLAIMS: usize = 4;
/// Other requests worked on at a time.
const OTHERS: usize = 2;

/// Runs an engine until `shutdown` ends. Waits for database and NATS as long as it takes.
///
/// # Errors
/// When the configuration cannot work (schema of another product, ready file not writable).
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let starting = async {
        let pool = Pool::new(&DatabaseConfig {
            url: config.database_url.clone(),
            password: config.database_password.clone(),
            ca: config.database_ca.clone(),
            max_connections: config.database_connections as usize,
            allow_unsafe_durability: config.allow_unsafe_durability,
            application: NAME,
            plans: database::Plans::Once,
        })?;
        pool.prepare(MIGRATIONS).await?;
        let nats = Nats::connect(&config.nats(), NAME).await;
        let hints = Hints::new(nats.clone());
        let fuse = Fuse::new(config.die_at.clone());
        let (core, steppers) = Core::start(pool, config.limits(), hints, fuse, config.steppers as usize);
        let mut tasks = Tasks(steppers);
        serve(&nats, &core, &mut tasks).await?;
        tasks.0.push(tokio::spawn(sweep::timers(Arc::clone(&core))));
        tasks.0.push(tokio::spawn(sweep::sweep(Arc::clone(&core), config.sweep.get())));
        tasks.0.push(tokio::spawn(views::report(Arc::clone(&core))));
        // Subscriptions are at the server once it has answered this.
        let _ = nats.client().flush().await;
        if let Some(path) = &config.ready_file {
            std::fs::write(path, "ready\n").map_err(|error| Error::ReadyFile {
                path: path.display().to_string(),
                reason: error.to_string(),
            })?;
        }
        tracing::info!("ready");
        Ok::<_, Error>((tasks, nats))
    };
    tokio::pin!(shutdown);
    let (tasks, nats) = tokio::select! {
        started = starting => started?,
        () = &mut shutdown => return Ok(()),
    };
    shutdown.await;
    tracing::info!("stopping");
    // What is not answered now is asked again, at another replica or after the next start.
    drop(tasks);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), nats.client().flush()).await;
    Ok(())
}

/// Tasks that end with the engine.
struct Tasks(Vec<tokio::task::JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

async fn serve(nats: &Nats, core: &Arc<Core>, tasks: &mut Tasks) -> Result<(), Error> {
    let shared = Arc::clone(core);
    let deliver = move |request: DeliverRequest| {
        let core = Arc::clone(&shared);
        async move { delivered(core.ask(Input::Deliver(Box::new(request))).await) }
    };
    tasks.0.push(nats.serve(subject::DELIVER, ENGINE_GROUP, DELIVERIES, Reply::Invalid, deliver).await?);

    let shared = Arc::clone(core);
    let refuse = move |request: RefuseRequest| {
        let core = Arc::clone(&shared);
        async move { delivered(core.ask(Input::Refuse(request)).await) }
    };
    tasks.0.push(nats.serve(subject::REFUSE, ENGINE_GROUP, DELIVERIES, Reply::Invalid, refuse).await?);

    let shared = Arc::clone(core);
    let complete = move |request: CompleteTaskRequest| {
        let core = Arc::clone(&shared);
        async move { delivered(core.ask(Input::CompleteTask(Box::new(request))).await) }
    };
    tasks
        .0
        .push(nats.serve(subject::COMPLETE_TASK, ENGINE_GROUP, DELIVERIES, Reply::Invalid, complete).await?);
    serve_operations(nats, core, tasks).await?;

    let shared = Arc::clone(core);
    let result = move |result: JobResult| {
        let core = Arc::clone(&shared);
        async move {
            let input = match JobId::parse(&result.id) {
                Some(JobId::Job(id)) => Input::Result(id, Box::new(result)),
                Some(JobId::WriteBack(id)) => Input::Written(id, Box::new(result)),
                None => return Reply::Ok(Acknowledgement::Stale),
            };
            acknowledged(core.ask(input).await)
        }
    };
    tasks.0.push(nats.serve(subject::JOB_RESULTS, ENGINE_GROUP, RESULTS, Reply::Invalid, result).await?);

    let shared = Arc::clone(core);
    let claim = move |request: ClaimRequest| {
        let core = Arc::clone(&shared);
        async move { reply::<ClaimReply>(claim::claim(&core, &request).await) }
    };
    tasks.0.push(nats.serve(subject::CLAIM, ENGINE_GROUP, CLAIMS, Reply::Invalid, claim).await?);

    let shared = Arc::clone(core);
    let heartbeat = move |request: Heartbeat| {
        let core = Arc::clone(&shared);
        async move { reply::<Acknowledgement>(claim::heartbeat(&core, &request).await) }
    };
    tasks.0.push(nats.serve(subject::HEARTBEAT, ENGINE_GROUP, CLAIMS, Reply::Invalid, heartbeat).await?);

    let shared = Arc::clone(core);
    let deploy = move |request: DeployRequest| {
        let core = Arc::clone(&shared);
        async move {
            let deployed = async {
                let mut db = core.pool.get().await?;
                let deployed = core.definitions.deploy(&mut db, request, &core.fuse).await;
                // It may start by itself.
                core.timers.notify_one();
                deployed
            };
            match deployed.await {
                Ok(Ok(deployed)) => Reply::<DeployReply>::Ok(deployed),
                Ok(Err(reason)) | Err(Error::Data(reason)) => Reply::Invalid(reason),
                Err(error) => Reply::Unavailable(error.to_string()),
            }
        }
    };
    tasks.0.push(nats.serve(subject::DEPLOY, ENGINE_GROUP, OTHERS, Reply::Invalid, deploy).await?);

    let shared = Arc::clone(core);
    let instances = move |query: InstanceQuery| {
        let core = Arc::clone(&shared);
        async move { reply::<Vec<InstanceView>>(views::instances(&core, &query).await) }
    };
    tasks.0.push(nats.serve(subject::INSTANCES, ENGINE_GROUP, OTHERS, Reply::Invalid, instances).await?);

    let shared = Arc::clone(core);
    let status = move |_: Value| {
        let core = Arc::clone(&shared);
        async move { reply::<EngineStatus>(views::status(&core).await) }
    };
    tasks.0.push(nats.serve(subject::ENGINE_STATUS, ENGINE_GROUP, OTHERS, Reply::Invalid, status).await?);
    Ok(())
}

/// What operators may ask: each action on its own subject, which permissions are given for.
async fn serve_operations(nats: &Nats, core: &Arc<Core>, tasks: &mut Tasks) -> Result<(), Error> {
    for subject in [
        subject::INCIDENT_RETRY,
        subject::INSTANCE_SET_VARIABLE,
        subject::INSTANCE_SKIP,
        subject::INSTANCE_MOVE,
        subject::INSTANCE_FAIL,
        subject::INSTANCE_CANCEL,
        subject::ENGINE_PAUSE,
        subject::ENGINE_RESUME,
    ] {
        let shared = Arc::clone(core);
        let operate = move |operation: Operation| {
            let core = Arc::clone(&shared);
            async move {
                if operation.action.subject() != subject {
                    let wanted = operation.action.subject();
                    return Reply::Invalid(format!("'{}' belongs on {wanted}", operation.action.verb()));
                }
                operated(&core, operation).await
            }
        };
        tasks.0.push(nats.serve(subject, ENGINE_GROUP, OTHERS, Reply::Invalid, operate).await?);
    }

    let shared = Arc::clone(core);
    let retry_all = move |request: RetryAllRequest| {
        let core = Arc::clone(&shared);
        async move {
            let found = match views::incidents(&core, &request.query).await {
                Ok(found) => found,
                Err(error) => return reply::<RetryAllReply>(Err(error)),
            };
            let mut done = RetryAllReply { retried: 0, left: 0 };
            for incident in found.into_iter().filter(|incident| incident.resolved.is_none()) {
                let operation = Operation {
                    actor: request.actor.clone(),
                    reason: request.reason.clone(),
                    action: Action::RetryIncident { incident: incident.id },
                };
                match operated(&core, operation).await {
                    Reply::Ok(()) => done.retried += 1,
                    Reply::Invalid(_) => done.left += 1,
                    Reply::Unavailable(reason) => return Reply::Unavailable(reason),
                }
            }
            Reply::Ok(done)
        }
    };
    tasks.0.push(
        nats.serve(subject::INCIDENT_RETRY_ALL, ENGINE_GROUP, OTHERS, Reply::Invalid, retry_all).await?,
    );

    let shared = Arc::clone(core);
    let incidents = move |query: IncidentQuery| {
        let core = Arc::clone(&shared);
        async move { reply::<Vec<IncidentView>>(views::incidents(&core, &query).await) }
    };
    tasks.0.push(nats.serve(subject::INCIDENTS, ENGINE_GROUP, OTHERS, Reply::Invalid, incidents).await?);

    let shared = Arc::clone(core);
    let warnings = move |_: Value| {
        let core = Arc::clone(&shared);
        async move { reply::<Vec<Warning>>(warnings::warnings(&core).await) }
    };
    tasks.0.push(nats.serve(subject::WARNINGS, ENGINE_GROUP, OTHERS, Reply::Invalid, warnings).await?);

    let shared = Arc::clone(core);
    let export = move |request: ExportRequest| {
        let core = Arc::clone(&shared);
        async move {
            let Ok(id) = request.instance.parse() else {
                return Reply::<InstanceExport>::Invalid(format!(
                    "'{}' is no id of an instance",
                    request.instance
                ));
            };
            match export::export(&core, id, request.variables).await {
                Ok(Some(export)) => Reply::Ok(export),
                Ok(None) => Reply::Invalid(format!("there is no instance {id}")),
                Err(error) => reply(Err(error)),
            }
        }
    };
    tasks.0.push(nats.serve(subject::INSTANCE_EXPORT, ENGINE_GROUP, OTHERS, Reply::Invalid, export).await?);
    Ok(())
}

async fn operated(core: &Arc<Core>, operation: Operation) -> Reply<()> {
    if operation.actor.trim().is_empty() {
        return Reply::Invalid("an operation needs the name of who does it".to_owned());
    }
    if matches!(operation.action, Action::Pause { .. } | Action::Resume { .. }) {
        let paused = async {
            let mut connection = core.pool.get().await?;
            let db = connection.transaction().await?;
            operate::pause(&db, &operation).await?;
            db.commit().await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = paused.await {
            return reply(Err(error));
        }
    }
    match core.ask(Input::Operate(Box::new(operation))).await {
        Reply::Ok(Answer::Operated(Ok(()))) => Reply::Ok(()),
        Reply::Ok(Answer::Operated(Err(reason))) | Reply::Invalid(reason) => Reply::Invalid(reason),
        Reply::Ok(_) => Reply::Unavailable("the engine gave no answer".to_owned()),
        Reply::Unavailable(reason) => Reply::Unavailable(reason),
    }
}

fn reply<T>(result: Result<T, Error>) -> Reply<T> {
    match result {
        Ok(answer) => Reply::Ok(answer),
        Err(Error::Data(reason)) => Reply::Invalid(reason),
        Err(error) => Reply::Unavailable(error.to_string()),
    }
}

fn delivered(reply: Reply<Answer>) -> Reply<Delivered> {
    match reply {
        Reply::Ok(Answer::Delivered(delivered)) => Reply::Ok(delivered),
        Reply::Ok(_) => Reply::Unavailable("the engine gave no answer".to_owned()),
        Reply::Invalid(reason) => Reply::Invalid(reason),
        Reply::Unavailable(reason) => Reply::Unavailable(reason),
    }
}

fn acknowledged(reply: Reply<Answer>) -> Reply<Acknowledgement> {
    match reply {
        Reply::Ok(Answer::Acknowledged(acknowledgement)) => Reply::Ok(acknowledgement),
        Reply::Ok(_) => Reply::Unavailable("the engine gave no answer".to_owned()),
        Reply::Invalid(reason) => Reply::Invalid(reason),
        Reply::Unavailable(reason) => Reply::Unavailable(reason),
    }
}
