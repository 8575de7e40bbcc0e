//! What goes between the instances of one site: signals and calls. Each crossing is a piece of work of
//! its own, as in the engine.
use std::sync::Arc;

use bpmn::{CallBinding, Command, StartAt, StartTrigger, State, StepError, Variables};
use uuid::Uuid;

use crate::{
    instance::{Called, Crossing, Deployed, Instance, InstanceId, Thrown},
    message::MessageStatus,
    network::Network,
};

/// Work for another instance, or for a definition.
#[derive(Debug)]
pub(crate) enum Work {
    Signal { instance: InstanceId, subscription: Uuid, variables: Variables },
    StartAt { site: String, definition: Arc<Deployed>, event: String, variables: Variables },
    Start { caller: InstanceId, called: Called },
    CallDone { call: Uuid, called: InstanceId },
    CallThrew { thrower: InstanceId, called: InstanceId, thrown: Thrown },
    CallRejected { caller: InstanceId, reason: String },
    CancelCalled(Uuid),
}

impl Network {
    /// Takes up what a step of an instance leads to elsewhere.
    pub(crate) fn cross(&mut self, id: InstanceId, crossing: Crossing) {
        match crossing {
            Crossing::Signal { name, variables, own } => self.throw_signal(id, &name, &variables, own),
            Crossing::Start(called) => self.work.push_back(Work::Start { caller: id, called }),
            Crossing::CancelCall(call) => self.work.push_back(Work::CancelCalled(call)),
            Crossing::Threw(thrown) => {
                self.work.push_back(Work::CallThrew { thrower: id, called: id, thrown });
            }
            Crossing::Completed => {
                if self.instances[id.0].caller.is_some() {
                    let call = self.instances[id.0].state.instance();
                    self.work.push_back(Work::CallDone { call, called: id });
                }
            }
            Crossing::Sources(sources) => {
                for source in sources {
                    if let Some(message) = source.parse().ok().and_then(|n: usize| self.messages.get_mut(n)) {
                        message.end(MessageStatus::Completed);
                    }
                }
            }
            Crossing::Uncaught { activity, job, reason } => {
                if let Some(job) = job.and_then(|job| self.instances[id.0].jobs.get_mut(&job)) {
                    job.stopped = true;
                }
                self.incident(id, &activity, reason);
            }
        }
    }

    /// Reaches who waits at the site at this moment, and the definitions that start with the signal.
    fn throw_signal(&mut self, thrower: InstanceId, name: &str, variables: &Variables, own: Vec<Uuid>) {
        let site = self.instances[thrower.0].site.clone();
        let mut targets: Vec<(InstanceId, Uuid)> = own.into_iter().map(|open| (thrower, open)).collect();
        for (index, instance) in self.instances.iter().enumerate() {
            if index != thrower.0 && instance.site == site {
                let open = instance.signals.iter().filter(|(_, open)| *open == name);
                targets.extend(open.map(|(id, _)| (InstanceId(index), *id)));
            }
        }
        for (instance, subscription) in targets {
            self.work.push_back(Work::Signal { instance, subscription, variables: variables.clone() });
        }
        for definition in self.newest_of_all(&site) {
            for start in definition.model.start_events() {
                if start.trigger == StartTrigger::Signal(name.to_owned()) {
                    let (definition, variables) = (Arc::clone(&definition), variables.clone());
                    let site = site.clone();
                    self.work.push_back(Work::StartAt { site, definition, event: start.id, variables });
                }
            }
        }
    }

    /// Does one piece of work.
    pub(crate) fn perform(&mut self, work: Work) {
        match work {
            Work::Signal { instance, subscription, variables } => {
                let result = self.command(instance, Command::Signal { subscription, variables });
                self.note(instance, result);
            }
            Work::StartAt { site, definition, event, variables } => {
                let id = self.new_id();
                let state = State::new(&definition.model, id);
                let instance = self.add(Instance::new(&site, definition, state, format!("key-{id}")));
                let business_key = Some(self.instances[instance.0].business_key.clone());
                let start =
                    Command::Start { at: StartAt::Event(event), business_key, variables, source: None };
                let result = self.command(instance, start);
                self.note(instance, result);
            }
            Work::Start { caller, called } => self.start_call(caller, called),
            Work::CallDone { call, called } => {
                let variables = self.variables_at_end(called);
                if let Some(caller) = self.instances[called.0].caller {
                    let result = self.command(caller, Command::CallDone { call, variables });
                    self.note(caller, result);
                }
            }
            Work::CallThrew { thrower, called, thrown } => self.call_threw(thrower, called, thrown),
            Work::CallRejected { caller, reason } => self.end_by_decision(caller, &reason),
            Work::CancelCalled(call) => {
                let called = self.instances.iter().position(|instance| instance.state.instance() == call);
                if let Some(called) = called.map(InstanceId) {
                    // Ended meanwhile: nothing to cancel.
                    let _ =
                        self.command(called, Command::Cancel { reason: "its call was cancelled".to_owned() });
                }
            }
        }
    }

    fn start_call(&mut self, caller: InstanceId, called: Called) {
        let from = &self.instances[caller.0];
        if !from.state.calls().contains(&called.call) {
            return;
        }
        let site = from.site.clone();
        let known: Vec<Arc<Deployed>> =
            self.deployed(&site).iter().filter(|known| known.model.key() == called.key).cloned().collect();
        let found = match &called.binding {
            CallBinding::Latest | CallBinding::Deployment => known.last(),
            CallBinding::VersionTag(tag) => known.iter().rev().find(|known| known.tag == *tag),
            CallBinding::Version(number) => {
                number.trim().parse::<usize>().ok().and_then(|number| known.get(number.checked_sub(1)?))
            }
        };
        let Some(definition) = found.cloned() else {
            let reason = format!("process '{}' is not deployed at {site} in the wanted version", called.key);
            return self.incident(caller, "", reason);
        };
        let state = State::called(&definition.model, called.call);
        let key = called.business_key.clone().unwrap_or_default();
        let mut instance = Instance::new(&site, definition, state, key);
        instance.caller = Some(caller);
        let id = self.add(instance);
        let start = Command::Start {
            at: StartAt::None,
            business_key: called.business_key,
            variables: called.variables,
            source: None,
        };
        let result = self.command(id, start);
        self.note(id, result);
    }

    fn call_threw(&mut self, thrower: InstanceId, called: InstanceId, thrown: Thrown) {
        let Some(caller) = self.instances[called.0].caller else {
            if !thrown.escalation {
                let reason = format!("BPMN error '{}' is not caught, nor by a caller", thrown.code);
                if let Some(job) = thrown.job.and_then(|job| self.instances[thrower.0].jobs.get_mut(&job)) {
                    job.stopped = true;
                }
                self.incident(thrower, &thrown.activity, reason);
            }
            return;
        };
        let command = Command::CallThrew {
            call: self.instances[called.0].state.instance(),
            escalation: thrown.escalation,
            code: thrown.code.clone(),
            message: thrown.message.clone(),
            variables: self.variables_at_end(called),
        };
        match self.command(caller, command) {
            Err(StepError::NotCaught) => {
                self.work.push_back(Work::CallThrew { thrower, called: caller, thrown });
            }
            result => self.note(caller, result),
        }
    }

    fn variables_at_end(&self, instance: InstanceId) -> Variables {
        self.instances[instance.0].state.process_variables().cloned().unwrap_or_default()
    }

    /// Ends an instance, its messages failed, and its callers with it.
    pub(crate) fn end_by_decision(&mut self, id: InstanceId, reason: &str) {
        if self.command(id, Command::Cancel { reason: reason.to_owned() }).is_err() {
            return;
        }
        self.fail_messages(id, reason);
        if let Some(caller) = self.instances[id.0].caller {
            self.work.push_back(Work::CallRejected { caller, reason: reason.to_owned() });
        }
    }

    /// Every message of the instance that is in progress fails.
    pub(crate) fn fail_messages(&mut self, id: InstanceId, reason: &str) {
        for message in self.messages.iter_mut().filter(|message| message.instance == Some(id)) {
            message.end(MessageStatus::Failed(reason.to_owned()));
        }
    }
}
