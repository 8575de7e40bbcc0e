//! Calls between instances: each crossing is work of its own for its target, in a transaction of its
//! own, so that no step ever holds more than one instance (design 3.4, 4 promise 9).
use bpmn::{Command, StartAt, State, StepError};
use uuid::Uuid;

use crate::{
    definitions::Definitions,
    error::Error,
    instance::{Binding, Instance, Payload, ThrownUp},
    store::Transaction,
    unit::{Incident, JobRow, Unit},
};

/// Work for other instances that a step led to: target, activity and what.
pub fn crossing(instance: &mut Instance) -> Vec<(Uuid, String, Payload)> {
    let mut work = Vec::new();
    for call in instance.cancelled_calls.drain(..) {
        work.push((call, String::new(), Payload::CancelCalled));
    }
    let variables = || instance.state.process_variables().cloned().unwrap_or_default();
    let Some(parent) = instance.parent else { return work };
    if instance.status == "completed" {
        work.push((parent, String::new(), Payload::CallDone { call: instance.id, variables: variables() }));
    }
    let thrown = std::mem::take(&mut instance.thrown_up);
    for thrown in thrown {
        let payload =
            Payload::CallThrew { call: instance.id, thrown, origin: instance.id, variables: variables() };
        work.push((parent, String::new(), payload));
    }
    work
}

impl Unit<'_> {
    /// Finds the definitions that calls of this batch start.
    pub(crate) async fn load_called(
        &mut self,
        db: &Transaction<'_>,
        definitions: &Definitions,
    ) -> Result<(), Error> {
        let calls: Vec<(Uuid, Uuid, String, Binding)> = self
            .jobs
            .values()
            .filter_map(|job| match &job.payload {
                Payload::StartCall { called, binding, .. } => {
                    Some((job.id, job.instance, called.clone(), binding.clone()))
                }
                _ => None,
            })
            .collect();
        for (call, caller, key, binding) in calls {
            let caller = self.instances.get(&caller).map(|caller| caller.definition.hash.clone());
            let (tag, place, plugin_of) = match &binding {
                Binding::Latest => (None, 0, None),
                Binding::Deployment => (None, 0, caller),
                Binding::VersionTag(tag) => (Some(tag.as_str()), 0, None),
                // A version that is no number from 1 is found nowhere.
                Binding::Version(version) => {
                    (None, version.trim().parse::<i64>().unwrap_or(i64::MAX).max(1), None)
                }
            };
            let statement = db
                .prepare_cached(
                    "select hash from (
                         select d.hash, d.seq, row_number() over (order by d.seq) place from definition d
                         where d.process_key = $1 and d.state = 'active' and ($2::text is null or d.version_tag = $2)
                           and ($4::text is null or exists (
                               select from definition c where c.hash = $4 and c.plugin = d.plugin
                               and c.plugin_version = d.plugin_version))) f
                     where $3::bigint = 0 or f.place = $3::bigint order by f.seq desc limit 1",
                )
                .await?;
            if let Some(row) = db.query_opt(&statement, &[&key, &tag, &place, &plugin_of]).await? {
                let hash: String = row.get(0);
                if let Some(compiled) = definitions.load(db, [hash.clone()]).await?.remove(&hash) {
                    self.called.insert(call, compiled);
                }
            }
        }
        Ok(())
    }

    /// Starts the instance of a call activity, unless the call is no longer wanted.
    pub(crate) fn start_call(&mut self, job: &JobRow) -> Result<(), StepError> {
        let Payload::StartCall { called, business_key, variables, .. } = &job.payload else { return Ok(()) };
        let Some(caller) = self.instances.get(&job.instance) else { return Err(StepError::NotActive) };
        if !caller.state.calls().contains(&job.id) {
            return Err(StepError::NotWaiting);
        }
        let Some(definition) = self.called.get(&job.id).cloned() else {
            return Err(StepError::NoStart(format!(
                "process '{called}', which is not deployed in the wanted version"
            )));
        };
        let state = State::called(&definition.model, job.id);
        let mut instance = Instance::stored(job.id, definition, state, self.now);
        instance.parent = Some(job.instance);
        instance.business_key = business_key.clone().unwrap_or_default();
        instance.requester.clone_from(&caller.requester);
        instance.start_message = caller.start_message;
        instance.traceparent.clone_from(&caller.traceparent);
        instance.changed = true;
        self.instances.insert(job.id, instance);
        let start = Command::Start {
            at: StartAt::None,
            business_key: business_key.clone(),
            variables: variables.clone(),
            source: None,
        };
        match self.step(job.id, start) {
            Ok(()) => {
                self.after.started += 1;
                Ok(())
            }
            Err(error) => {
                self.instances.remove(&job.id);
                Err(error)
            }
        }
    }

    /// A called instance threw something: this instance catches it, or its own caller is asked, or
    /// nobody does and the thrower becomes an incident.
    pub(crate) fn call_threw(&mut self, job: &JobRow) -> Result<(), StepError> {
        let Payload::CallThrew { call, thrown, origin, variables } = job.payload.clone() else {
            return Ok(());
        };
        let command = Command::CallThrew {
            call,
            escalation: thrown.escalation,
            code: thrown.code.clone(),
            message: thrown.message.clone(),
            variables,
        };
        match self.step(job.instance, command) {
            Err(StepError::NotCaught) => {
                let instance = self.instances.get(&job.instance);
                let parent = instance.and_then(|instance| instance.parent);
                let variables =
                    instance.and_then(|i| i.state.process_variables().cloned()).unwrap_or_default();
                match parent {
                    Some(parent) => {
                        let payload = Payload::CallThrew { call: job.instance, thrown, origin, variables };
                        self.own_work(parent, String::new(), payload);
                    }
                    // An escalation that nobody catches is nothing.
                    None if thrown.escalation => {}
                    None => self.own_work(origin, thrown.activity.clone(), Payload::NotCaught(thrown)),
                }
                Ok(())
            }
            other => other,
        }
    }

    /// No caller caught it: the thrower waits for an operator.
    pub(crate) fn not_caught(&mut self, instance: Uuid, thrown: &ThrownUp) {
        let Some(found) = self.instances.get_mut(&instance).filter(|found| found.is_open()) else { return };
        if thrown.token.is_none_or(|token| found.state.visible_variables(token).is_none()) {
            return;
        }
        found.status = "incident";
        found.changed = true;
        self.incidents.push(Incident {
            instance: Some(instance),
            job: thrown.token.filter(|_| thrown.job),
            message: None,
            token: thrown.token,
            class: "bpmn-error",
            activity: Some(thrown.activity.clone()),
            reason: format!("BPMN error '{}' is not caught, nor by a caller", thrown.code),
        });
    }

    /// Ends an instance by a decision, its Tasks failed, and its callers with it.
    pub(crate) fn end_by_decision(
        &mut self,
        instance: Uuid,
        reason: &str,
        status: &'static str,
    ) -> Result<(), StepError> {
        let parent = self.instances.get(&instance).and_then(|instance| instance.parent);
        self.step(instance, Command::Cancel { reason: reason.to_owned() })?;
        self.fail_tasks(instance, reason);
        if let Some(ended) = self.instances.get_mut(&instance) {
            ended.status = status;
        }
        if let Some(parent) = parent {
            let payload = Payload::CallRejected { call: instance, reason: reason.to_owned() };
            self.own_work(parent, String::new(), payload);
        }
        Ok(())
    }

    /// As its called instance, so the caller: ended by a decision.
    pub(crate) fn call_rejected(
        &mut self,
        instance: Uuid,
        call: Uuid,
        reason: &str,
    ) -> Result<(), StepError> {
        if !self.instances.get(&instance).is_some_and(|instance| instance.state.calls().contains(&call)) {
            return Err(StepError::NotWaiting);
        }
        self.end_by_decision(instance, reason, "failed")
    }

    /// The caller no longer wants this instance.
    pub(crate) fn cancel_called(&mut self, instance: Uuid) -> Result<(), StepError> {
        self.step(instance, Command::Cancel { reason: "its call was cancelled".to_owned() })?;
        if let Some(ended) = self.instances.get_mut(&instance) {
            ended.status = "cancelled";
        }
        Ok(())
    }
}
