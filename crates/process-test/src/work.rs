//! Jobs: what scripted workers do, how their answers take effect, and how messages travel.
use std::collections::BTreeMap;

use bpmn::{Command, JobKind, StartAt, State, StepError, Value, Variables, retry};
use messaging::job::{
    Done, Job as WorkerJob, MessageOutput, Outcome, ReceivedMessage, SendFailure, SendRequest, Variable,
};
use uuid::Uuid;

use crate::{
    instance::{Instance, InstanceId, Job, Stage},
    message::{self, MessageId, MessageStatus, Post},
    network::{HOLD, Network, Reach, SEND_GIVE_UP},
};

/// Nobody waits, or several branches do (contract `process-engine.md` 2.3).
const NOT_CORRELATED: &str = "Unable to correlate Task";
/// HTTP status of a site that does not know the process.
const FORBIDDEN: u16 = 403;

enum Found {
    One(InstanceId, Uuid),
    Several,
    NobodyWaits,
    NoInstance,
}

impl Network {
    /// The next job that can be done now: the oldest.
    pub(crate) fn ready_job(&self) -> Option<(InstanceId, Uuid)> {
        let mut ready: Option<(i64, Uuid, InstanceId)> = None;
        for (index, instance) in self.instances.iter().enumerate() {
            for (id, job) in &instance.jobs {
                let candidate = (job.due, *id, InstanceId(index));
                if job.due <= self.now()
                    && self.is_played(instance, job)
                    && ready.is_none_or(|known| candidate < known)
                {
                    ready = Some(candidate);
                }
            }
        }
        ready.map(|(_, id, instance)| (instance, id))
    }

    /// True when the play itself takes the job up.
    pub(crate) fn is_played(&self, instance: &Instance, job: &Job) -> bool {
        !job.stopped
            && match &job.stage {
                Stage::Worker { implementation, .. } => {
                    let kind = instance.definition.job_type(implementation);
                    self.worker_of(&instance.site, kind).is_some()
                }
                Stage::Sending { .. } | Stage::Continuation => true,
            }
    }

    /// Does one job.
    pub(crate) fn attempt(&mut self, instance: InstanceId, id: Uuid) {
        let Some(job) = self.instances[instance.0].jobs.get(&id) else { return };
        match &job.stage {
            Stage::Continuation => match self.command(instance, Command::AsyncDue { job: id }) {
                Ok(()) | Err(StepError::NotWaiting | StepError::NotActive) => {
                    self.instances[instance.0].jobs.remove(&id);
                }
                Err(error) => self.fault(instance, id, &error.to_string(), false),
            },
            Stage::Sending { request, .. } => {
                let request = request.clone();
                match self.transmit(instance, &request) {
                    Some(Err(failure)) => self.send_failed(instance, id, failure),
                    Some(Ok(())) => self.finish(instance, id, &request.then),
                    None => {
                        let failure = SendFailure { status: None, message: "not reachable".to_owned() };
                        self.send_failed(instance, id, failure);
                    }
                }
            }
            Stage::Worker { implementation, .. } => {
                let owner = &self.instances[instance.0];
                let kind = owner.definition.job_type(implementation).to_owned();
                let Some(worker) = self.worker_of(&owner.site, &kind) else { return };
                let Some(shown) = self.shown(instance, id) else { return };
                let outcome = self.ask_worker(worker, &shown);
                self.answered(instance, id, outcome);
            }
        }
    }

    /// The job as a worker sees it.
    pub(crate) fn shown(&self, instance: InstanceId, id: Uuid) -> Option<WorkerJob> {
        let owner = &self.instances[instance.0];
        let job = owner.jobs.get(&id)?;
        let Stage::Worker { implementation, fields, failure, .. } = &job.stage else { return None };
        let mapping = owner.definition.jobs.get(implementation);
        let inputs = mapping.and_then(|mapping| mapping.inputs.as_ref());
        let visible = owner.state.visible_variables(id).unwrap_or_default().into_iter();
        let variables = visible
            .filter(|(name, _)| inputs.is_none_or(|inputs| inputs.contains(name)))
            .map(|(name, value)| (name, Variable { kind: value.kind().to_owned(), value: value.to_json() }))
            .collect();
        let received = |source: Option<&str>| -> Option<ReceivedMessage> {
            let number: usize = source?.parse().ok()?;
            Some(self.messages.get(number)?.received(MessageId(number)))
        };
        let (start, latest) = (owner.state.start_source(), owner.state.latest_source(id));
        Some(WorkerJob {
            id: id.to_string(),
            kind: owner.definition.job_type(implementation).to_owned(),
            lease: String::new(),
            attempt: job.attempts + 1,
            instance: owner.state.instance().to_string(),
            process_key: owner.definition.model.key().to_owned(),
            process_version: owner.definition.tag.clone(),
            business_key: owner.business_key.clone(),
            activity: job.activity.clone(),
            fields: fields.iter().map(|(name, value)| (name.clone(), value.to_json())).collect(),
            variables,
            start_message: received(start),
            latest_message: received(latest.filter(|latest| Some(*latest) != start)),
            send_failure: failure.clone(),
            send: None,
            write_back: None,
            form: None,
            traceparent: None,
        })
    }

    /// Takes a worker's answer.
    pub(crate) fn answered(&mut self, instance: InstanceId, id: Uuid, outcome: Outcome) {
        match outcome {
            Outcome::Done(done) => self.finish(instance, id, &done),
            Outcome::Send(request) => self.send(instance, id, *request),
            Outcome::BpmnError { code, message, variables } => {
                self.bpmn_error(instance, id, code, message, &variables);
            }
            Outcome::Reject { reason, outputs } => {
                self.add_outputs(outputs);
                self.end_by_decision(instance, &reason);
            }
            Outcome::Fault { reason, unavailable } => self.fault(instance, id, &reason, unavailable),
            Outcome::SendFailed(_) | Outcome::Created { .. } | Outcome::Written { .. } => {
                self.stop(instance, id, "answered as only the router may".to_owned());
            }
        }
    }

    fn finish(&mut self, instance: InstanceId, id: Uuid, done: &Done) {
        let (variables, local_variables) =
            match (variables(&done.variables), variables(&done.local_variables)) {
                (Ok(variables), Ok(local)) => (variables, local),
                (Err(reason), _) | (_, Err(reason)) => return self.stop(instance, id, reason),
            };
        self.add_outputs(done.outputs.clone());
        match self.command(instance, Command::JobDone { job: id, variables, local_variables }) {
            Ok(()) => {
                self.instances[instance.0].jobs.remove(&id);
            }
            Err(error) => self.stop(instance, id, error.to_string()),
        }
    }

    fn bpmn_error(
        &mut self,
        instance: InstanceId,
        id: Uuid,
        code: String,
        message: Option<String>,
        given: &BTreeMap<String, Variable>,
    ) {
        let variables = match variables(given) {
            Ok(variables) => variables,
            Err(reason) => return self.stop(instance, id, reason),
        };
        match self.command(instance, Command::JobBpmnError { job: id, code, message, variables }) {
            Ok(()) => {
                let owner = &mut self.instances[instance.0];
                if owner.state.visible_variables(id).is_none() {
                    owner.jobs.remove(&id);
                } else if let Some(job) = owner.jobs.get_mut(&id) {
                    // Nobody caught it, or the caller is being asked.
                    job.stopped = true;
                }
            }
            Err(error) => self.stop(instance, id, error.to_string()),
        }
    }

    fn send(&mut self, instance: InstanceId, id: Uuid, request: SendRequest) {
        let Some(job) = self.instances[instance.0].jobs.get(&id) else { return };
        let Stage::Worker { element, implementation, fields, failure } = &job.stage else { return };
        let (element, implementation, fields) = (*element, implementation.clone(), fields.clone());
        if let Some(failure) = failure {
            // Asked for again after it failed for good (contract 3.5).
            let reason = format!("Task send failed: {}", failure.message);
            if element == JobKind::EndEvent {
                self.fail_messages(instance, &reason);
                return self.finish(instance, id, &Done::default());
            }
            return self.end_by_decision(instance, &reason);
        }
        match self.transmit(instance, &request) {
            Some(Ok(())) => self.finish(instance, id, &request.then),
            Some(Err(failure)) => self.send_failed(instance, id, failure),
            None => {
                let stage = Stage::Sending { element, implementation, fields, request: Box::new(request) };
                let due = self.now() + SEND_GIVE_UP;
                if let Some(job) = self.instances[instance.0].jobs.get_mut(&id) {
                    job.stage = stage;
                    job.due = due;
                }
            }
        }
    }

    /// Takes a message to its site. `None`: the site cannot be reached.
    fn transmit(&mut self, instance: InstanceId, request: &SendRequest) -> Option<Result<(), SendFailure>> {
        let owner = &self.instances[instance.0];
        let site = &request.target.organization_identifier_value;
        let reach = self.reach_of(site).filter(|reach| *reach != Reach::Down)?;
        let refused = SendFailure { status: Some(FORBIDDEN), message: "403 Forbidden".to_owned() };
        let Some((target, _)) = message::process(&request.instantiates) else { return Some(Err(refused)) };
        if self.newest(site, &target.key, &target.version).is_none() {
            return Some(Err(refused));
        }
        let post = Post {
            from: owner.site.clone(),
            to: site.clone(),
            process: request.instantiates.clone(),
            message_name: request.message_name.clone(),
            business_key: request.business_key.clone().unwrap_or_else(|| owner.business_key.clone()),
            correlation_key: request.target.correlation_key.clone(),
            profile: request.profile.clone(),
            inputs: request.inputs.clone(),
        };
        if let Some(id) = self.keep(post)
            && reach == Reach::Open
        {
            self.place(id, true);
        }
        Some(Ok(()))
    }

    fn send_failed(&mut self, instance: InstanceId, id: Uuid, failed: SendFailure) {
        let now = self.now();
        let Some(job) = self.instances[instance.0].jobs.get_mut(&id) else { return };
        job.due = now;
        job.attempts = 0;
        match &mut job.stage {
            Stage::Worker { failure, .. } => *failure = Some(failed),
            Stage::Sending { element, implementation, fields, .. } => {
                let (implementation, fields) = (std::mem::take(implementation), std::mem::take(fields));
                let failure = Some(failed);
                job.stage = Stage::Worker { element: *element, implementation, fields, failure };
            }
            Stage::Continuation => {}
        }
    }

    fn fault(&mut self, instance: InstanceId, id: Uuid, reason: &str, unavailable: bool) {
        let now = self.now();
        let Some(job) = self.instances[instance.0].jobs.get_mut(&id) else { return };
        let pause = if unavailable {
            Some(retry::UNAVAILABLE_PAUSE)
        } else {
            job.attempts += 1;
            retry::pause(job.retry_cycle.as_deref(), job.attempts)
        };
        match pause {
            Some(pause) => job.due = now + i64::try_from(pause.as_millis()).unwrap_or(i64::MAX / 2),
            None => self.stop(instance, id, reason.to_owned()),
        }
    }

    /// No further attempt: the instance is kept, and an incident tells why.
    fn stop(&mut self, instance: InstanceId, id: Uuid, reason: String) {
        let Some(job) = self.instances[instance.0].jobs.get_mut(&id) else { return };
        job.stopped = true;
        let activity = job.activity.clone();
        self.incident(instance, &activity, reason);
    }

    fn add_outputs(&mut self, outputs: Vec<MessageOutput>) {
        for output in outputs {
            let number =
                output.message.reference.strip_prefix("Task/").and_then(|id| id.parse::<usize>().ok());
            if let Some(message) = number.and_then(|number| self.messages.get_mut(number)) {
                message.outputs.push(output.output);
            }
        }
    }

    /// Decides about a message at its site. `arriving`: it may be held; otherwise its time is over.
    pub(crate) fn place(&mut self, id: MessageId, arriving: bool) {
        match self.find(id) {
            Found::One(instance, subscription) => self.correlate(id, instance, subscription),
            Found::NobodyWaits if arriving => self.hold(id),
            Found::NobodyWaits | Found::Several => self.refuse(id, NOT_CORRELATED.to_owned()),
            Found::NoInstance => self.place_new(id, arriving),
        }
    }

    fn place_new(&mut self, id: MessageId, arriving: bool) {
        let message = &self.messages[id.0];
        let post = message.post.clone();
        let target = &message.target;
        let Some(definition) = self.newest(&post.to, &target.key, &target.version) else {
            return self.refuse(id, "Process not found".to_owned());
        };
        if !definition.model.start_messages().contains(&post.message_name) {
            let reason = format!("Process with start message-name '{}' not found", post.message_name);
            return if arriving { self.hold(id) } else { self.refuse(id, reason) };
        }
        if !arriving {
            return self.refuse(id, NOT_CORRELATED.to_owned());
        }
        let instance_id = self.new_id();
        let state = State::new(&definition.model, instance_id);
        let instance = self.add(Instance::new(&post.to, definition, state, post.business_key.clone()));
        let start = Command::Start {
            at: StartAt::Message(post.message_name),
            business_key: Some(post.business_key),
            variables: Variables::new(),
            source: Some(id.0.to_string()),
        };
        self.take(id, instance);
        if let Err(error) = self.command(instance, start) {
            self.instances.truncate(instance.0);
            self.messages[id.0].instance = None;
            self.refuse(id, error.to_string());
        }
    }

    fn find(&self, id: MessageId) -> Found {
        let message = &self.messages[id.0];
        let (post, target) = (&message.post, &message.target);
        let mut found = Found::NoInstance;
        for (index, instance) in self.instances.iter().enumerate() {
            let same = instance.site == post.to
                && instance.state.is_active()
                && instance.definition.model.key() == target.key
                && instance.definition.tag == target.version
                && instance.has_key(&post.business_key);
            if !same {
                continue;
            }
            if matches!(found, Found::NoInstance) {
                found = Found::NobodyWaits;
            }
            for open in instance.waiting_for(&post.message_name, post.correlation_key.as_deref()) {
                found = match found {
                    Found::One(..) | Found::Several => Found::Several,
                    _ => Found::One(InstanceId(index), open),
                };
            }
        }
        found
    }

    fn correlate(&mut self, id: MessageId, instance: InstanceId, subscription: Uuid) {
        self.take(id, instance);
        let source = Some(id.0.to_string());
        let command = Command::Message { subscription, variables: Variables::new(), source };
        if let Err(error) = self.command(instance, command) {
            self.messages[id.0].end(MessageStatus::Failed(error.to_string()));
            self.note(instance, Err(error));
        }
    }

    fn take(&mut self, id: MessageId, instance: InstanceId) {
        let message = &mut self.messages[id.0];
        message.status = MessageStatus::InProgress;
        message.instance = Some(instance);
        message.expires = None;
    }

    fn hold(&mut self, id: MessageId) {
        self.messages[id.0].expires = Some(self.now() + HOLD);
    }

    fn refuse(&mut self, id: MessageId, reason: String) {
        self.messages[id.0].end(MessageStatus::Failed(reason));
    }

    /// Gives one held message to an instance that waits for it by now. False: there is none.
    pub(crate) fn rematch(&mut self) -> bool {
        for index in 0..self.messages.len() {
            if self.messages[index].expires.is_none() {
                continue;
            }
            let id = MessageId(index);
            match self.find(id) {
                Found::One(instance, subscription) => self.correlate(id, instance, subscription),
                Found::Several => self.refuse(id, NOT_CORRELATED.to_owned()),
                Found::NobodyWaits | Found::NoInstance => continue,
            }
            return true;
        }
        false
    }
}

/// Variables of the job protocol as the model sees them.
fn variables(given: &BTreeMap<String, Variable>) -> Result<Variables, String> {
    let typed = |(name, variable): (&String, &Variable)| {
        let value = Value::from_typed(&variable.kind, variable.value.clone());
        value.map(|value| (name.clone(), value)).map_err(|error| format!("variable {name}: {error}"))
    };
    given.iter().map(typed).collect()
}
