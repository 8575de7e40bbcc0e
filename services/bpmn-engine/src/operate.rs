//! What operators do: each action is one audited command in the transaction of the step it leads to.
use bpmn::{Command, StepError, Value};
use messaging::operate::{Action, Operation, PauseScope};
use serde_json::json;
use uuid::Uuid;

use crate::{
    error::Error,
    store::Transaction,
    unit::{Input, Traced, Unit},
};

/// An open incident that an operation is about.
#[derive(Debug, Clone)]
pub struct OpenIncident {
    /// Its instance.
    pub instance: Option<Uuid>,
    /// Its job.
    pub job: Option<Uuid>,
    /// The message whose status could not be written.
    pub message: Option<Uuid>,
    /// The token that waits.
    pub token: Option<Uuid>,
}

fn id(text: &str, what: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| format!("'{text}' is no id of {what}"))
}

/// The instance an action names.
fn instance_of(action: &Action) -> Option<Uuid> {
    match action {
        Action::SetVariable { instance, .. }
        | Action::Skip { instance, .. }
        | Action::Move { instance, .. }
        | Action::Fail { instance }
        | Action::Cancel { instance } => instance.parse().ok(),
        Action::RetryIncident { .. } | Action::Pause { .. } | Action::Resume { .. } => None,
    }
}

impl Unit<'_> {
    /// Finds incidents and instances of operations; returns the jobs and instances to load.
    pub(crate) async fn load_operations(
        &mut self,
        db: &Transaction<'_>,
        inputs: &[Traced],
    ) -> Result<(Vec<Uuid>, Vec<Uuid>), Error> {
        let (mut jobs, mut instances, mut incidents) = (Vec::new(), Vec::new(), Vec::new());
        for (input, _) in inputs {
            let Input::Operate(operation) = input else { continue };
            instances.extend(instance_of(&operation.action));
            if let Action::RetryIncident { incident } = &operation.action {
                incidents.extend(incident.parse::<Uuid>().ok());
            }
        }
        if !incidents.is_empty() {
            let statement = db
                .prepare_cached(
                    "select id, instance, job, message, token from incident
                     where id = any($1) and resolved is null",
                )
                .await?;
            for row in db.query(&statement, &[&incidents]).await? {
                let open = OpenIncident {
                    instance: row.get(1),
                    job: row.get(2),
                    message: row.get(3),
                    token: row.get(4),
                };
                jobs.extend(open.job);
                instances.extend(open.instance);
                self.open_incidents.insert(row.get(0), open);
            }
        }
        Ok((jobs, instances))
    }

    /// Finds the instances of the user tasks that were completed.
    pub(crate) async fn load_user_tasks(
        &mut self,
        db: &Transaction<'_>,
        inputs: &[Traced],
    ) -> Result<Vec<Uuid>, Error> {
        let ids = |input: &Input| match input {
            Input::CompleteTask(request) => request.user_task.parse::<Uuid>().ok(),
            _ => None,
        };
        let tasks: Vec<Uuid> = inputs.iter().filter_map(|(input, _)| ids(input)).collect();
        if !tasks.is_empty() {
            let statement =
                db.prepare_cached("select id, instance from user_task where id = any($1)").await?;
            for row in db.query(&statement, &[&tasks]).await? {
                self.user_tasks.insert(row.get(0), row.get(1));
            }
        }
        Ok(self.user_tasks.values().copied().collect())
    }

    /// Carries out an operation.
    pub(crate) fn operate(&mut self, operation: &Operation) -> Result<(), String> {
        let object = match &operation.action {
            Action::RetryIncident { incident } => {
                let incident = id(incident, "an incident")?;
                let open = self.open_incidents.get(&incident).cloned();
                let open = open.ok_or("there is no such open incident")?;
                self.retry_incident(incident, &open)?;
                open.instance.map_or_else(|| incident.to_string(), |instance| instance.to_string())
            }
            Action::SetVariable { instance, token, name, value } => {
                let token = token.as_deref().map(|token| id(token, "a token")).transpose()?;
                let value = match value {
                    Some(value) => {
                        Some(Value::from_typed(&value.kind, value.value.clone()).map_err(|e| e.to_string())?)
                    }
                    None => None,
                };
                let edit = Command::EditVariable { token, name: name.clone(), value };
                self.operate_on(instance, edit)?
            }
            Action::Skip { instance, token } => {
                let token = id(token, "a token")?;
                let object = self.operate_on(instance, Command::Skip { token })?;
                self.settled.push(token);
                object
            }
            Action::Move { instance, token, to } => {
                let token = id(token, "a token")?;
                let object = self.operate_on(instance, Command::Move { token, to: to.clone() })?;
                self.settled.push(token);
                object
            }
            Action::Fail { instance } | Action::Cancel { instance } => {
                let (status, text) = match &operation.action {
                    Action::Fail { .. } => ("failed", "The process was ended by the operator"),
                    _ => ("cancelled", "The process was cancelled by the operator"),
                };
                let found = id(instance, "an instance")?;
                let reason = if operation.reason.is_empty() { text } else { operation.reason.as_str() };
                self.end_by_decision(found, reason, status).map_err(readable)?;
                instance.clone()
            }
            // Rows of their own, written by the service: they touch no instance.
            Action::Pause { scope } | Action::Resume { scope } => scope.to_string(),
        };
        let verb = operation.action.verb();
        if let Ok(instance) = object.parse::<Uuid>() {
            let now = self.now;
            if let Some(instance) = self.instances.get_mut(&instance) {
                instance.changed = true;
                instance.record(
                    now,
                    "operator",
                    String::new(),
                    json!({"action": verb, "actor": operation.actor}),
                );
            }
        }
        self.audit.push([operation.actor.clone(), verb.to_owned(), object, operation.reason.clone()]);
        Ok(())
    }

    fn operate_on(&mut self, instance: &str, command: Command) -> Result<String, String> {
        let found = id(instance, "an instance")?;
        self.step(found, command).map_err(readable)?;
        Ok(instance.to_owned())
    }

    fn retry_incident(&mut self, incident: Uuid, open: &OpenIncident) -> Result<(), String> {
        if let Some(mut job) = open.job.and_then(|job| self.jobs.remove(&job)) {
            if job.state == "incident" {
                job.state = "ready".to_owned();
                job.attempts = 0;
                job.due = self.now;
                job.first_attempt = None;
                job.lease = None;
                job.changed = true;
                if job.stage == "engine" {
                    self.after.due_jobs.push(job.id);
                } else {
                    *self.after.ready.entry(job.claim_kind.clone()).or_default() += 1;
                }
            }
            self.jobs.insert(job.id, job);
        } else if let (Some(instance), Some(token)) = (open.instance, open.token) {
            match self.step(instance, Command::Retry { token }) {
                Ok(()) | Err(StepError::NotWaiting | StepError::NotActive) => {}
                Err(error) => return Err(readable(error)),
            }
        }
        self.rewrites.extend(open.message);
        self.resolved.push(incident);
        if let Some(instance) = open.instance.and_then(|instance| self.instances.get_mut(&instance)) {
            instance.changed = true;
        }
        Ok(())
    }
}

fn readable(error: StepError) -> String {
    match error {
        StepError::NotActive => "the instance has ended, or there is none with this id".to_owned(),
        StepError::NotWaiting => "no token of the instance waits with this id".to_owned(),
        other => other.to_string(),
    }
}

/// Writes what is paused.
///
/// # Errors
/// When the database is away.
pub async fn pause(db: &Transaction<'_>, operation: &Operation) -> Result<(), Error> {
    let (scope, paused) = match &operation.action {
        Action::Pause { scope } => (scope, true),
        Action::Resume { scope } => (scope, false),
        _ => return Ok(()),
    };
    let (kind, name) = match scope {
        PauseScope::Engine => ("engine", String::new()),
        PauseScope::Process { key, version } => ("process", format!("{key}|{version}")),
        PauseScope::Partner { organization } => ("partner", organization.clone()),
        PauseScope::Instance { instance } => ("instance", instance.clone()),
    };
    let sql = if paused {
        "insert into pause (scope, name) values ($1, $2) on conflict do nothing"
    } else {
        "delete from pause where scope = $1 and name = $2"
    };
    let statement = db.prepare_cached(sql).await?;
    db.execute(&statement, &[&kind, &name]).await?;
    Ok(())
}

/// True for a job or timer `x` whose instance, process or partner is not paused; for SQL. `recipient`
/// is the column of the receiving organization, or `null`.
pub fn not_paused(row: &str, recipient: &str) -> String {
    format!(
        "(not exists (select from pause) or not exists (
             select from pause p left join instance pi on pi.id = {row}.instance
             where p.scope = 'engine'
                or p.scope = 'instance' and p.name = pi.id::text
                or p.scope = 'process' and p.name = pi.process_key || '|' || pi.version_tag
                or p.scope = 'partner' and p.name in (pi.requester, {recipient})))"
    )
}
