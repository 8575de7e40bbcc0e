//! What becomes of a received Task: correlated, started, queued, held or refused
//! (`contract/process-engine.md` 2.3, with improvements 3, 5 and 8 of its 12.6).
use std::sync::Arc;

use bpmn::{Command, StartAt, StepError, Variables};
use uuid::Uuid;

use crate::{
    definitions::Compiled, error::Error, instance::Instance, message::MessageState, store::Transaction,
    unit::Unit,
};

/// No active definition has the key and tag.
const PROCESS_NOT_FOUND: &str = "Process not found";
/// Nobody waits, or several branches do.
const NOT_CORRELATED: &str = "Unable to correlate Task";

enum Found {
    /// Exactly one branch waits.
    One(Uuid, Uuid),
    /// Several branches wait.
    Several,
    /// The instance is there, nobody waits.
    NobodyWaits,
    /// No instance has the key.
    NoInstance,
}

impl Unit<'_> {
    /// Decides about a message. `arriving`: it may be held or queued; otherwise its time is over.
    pub(crate) fn place(&mut self, id: Uuid, arriving: bool) {
        match self.find(id) {
            Found::One(instance, subscription) => self.correlate(id, instance, subscription),
            Found::Several => self.refuse(id, NOT_CORRELATED),
            Found::NobodyWaits if arriving => self.hold(id, NOT_CORRELATED),
            Found::NobodyWaits => self.refuse(id, NOT_CORRELATED),
            Found::NoInstance => self.place_new(id, arriving),
        }
    }

    fn place_new(&mut self, id: Uuid, arriving: bool) {
        let Some(message) = self.messages.get(&id) else { return };
        let key = (message.process_key.clone(), message.version_tag.clone());
        let Some(definition) = self.newest.get(&key).cloned() else {
            return self.refuse(id, PROCESS_NOT_FOUND);
        };
        if !definition.model.start_messages().contains(&message.name) {
            let reason = format!("Process with start message-name '{}' not found", message.name);
            return if arriving { self.hold(id, &reason) } else { self.refuse(id, &reason) };
        }
        if message.state == MessageState::Held && !arriving {
            // It waited for an instance that has ended meanwhile: two starts with one key are one instance.
            return self.refuse(id, NOT_CORRELATED);
        }
        let room = self.room.get(&message.requester).copied().unwrap_or_default();
        if arriving && (room.queued || room.fresh >= self.limits.admission_limit) {
            return self.queue(id);
        }
        self.start(id, definition);
    }

    fn find(&self, id: Uuid) -> Found {
        let Some(message) = self.messages.get(&id) else { return Found::NoInstance };
        let mut found = Found::NoInstance;
        let process = (message.process_key.as_str(), message.version_tag.as_str());
        for instance in self.instances.values() {
            let same = instance.is_open()
                && instance.process() == process
                && instance.keys().any(|key| key == message.business_key);
            if !same {
                continue;
            }
            if matches!(found, Found::NoInstance) {
                found = Found::NobodyWaits;
            }
            for subscription in instance.waiting_for(&message.name, message.correlation_key.as_deref()) {
                found = match found {
                    Found::One(..) | Found::Several => Found::Several,
                    _ => Found::One(instance.id, subscription),
                };
            }
        }
        found
    }

    fn correlate(&mut self, id: Uuid, instance: Uuid, subscription: Uuid) {
        let command =
            Command::Message { subscription, variables: Variables::new(), source: Some(id.to_string()) };
        match self.step(instance, command) {
            Ok(()) => {
                self.take(id, instance);
                if let Some(instance) = self.instances.get_mut(&instance)
                    && instance.fresh_until.take().is_some()
                {
                    self.after.freed.insert(instance.requester.clone());
                }
            }
            Err(error) => {
                let reason = error.to_string();
                self.refuse(id, &reason);
                if let StepError::Model { activity, .. } = &error {
                    self.incident(instance, None, "step", activity, reason);
                }
            }
        }
    }

    fn start(&mut self, id: Uuid, definition: Arc<Compiled>) {
        let Some(message) = self.messages.get(&id) else { return };
        let mut instance =
            Instance::new(definition, message.business_key.clone(), message.requester.clone(), self.now);
        instance.start_message = Some(id);
        instance.traceparent = telemetry::context::current().or_else(|| message.traceparent.clone());
        instance.fresh_until = Some(self.now + self.limits.admission_window);
        let command = Command::Start {
            at: StartAt::Message(message.name.clone()),
            business_key: Some(message.business_key.clone()),
            variables: Variables::new(),
            source: Some(id.to_string()),
        };
        let (requester, instance_id) = (message.requester.clone(), instance.id);
        self.instances.insert(instance_id, instance);
        match self.step(instance_id, command) {
            Ok(()) => {
                self.after.started += 1;
                self.take(id, instance_id);
                let open = self.instances.get(&instance_id).is_some_and(Instance::is_open);
                if open {
                    self.room.entry(requester).or_default().fresh += 1;
                }
            }
            Err(error) => {
                self.instances.remove(&instance_id);
                self.refuse(id, &error.to_string());
            }
        }
    }

    /// Starts an instance at a signal or timer start event. What fails there concerns nobody who waits.
    pub(crate) fn start_at_event(
        &mut self,
        definition: Arc<Compiled>,
        event: String,
        variables: Variables,
    ) -> Result<(), StepError> {
        let business_key = Uuid::new_v4().to_string();
        let instance = Instance::new(definition, business_key.clone(), String::new(), self.now);
        let id = instance.id;
        self.instances.insert(id, instance);
        let command = Command::Start {
            at: StartAt::Event(event),
            business_key: Some(business_key),
            variables,
            source: None,
        };
        let result = self.step(id, command);
        match &result {
            Ok(()) => self.after.started += 1,
            Err(error) => {
                self.instances.remove(&id);
                tracing::warn!(%error, "a definition could not be started by a signal or timer");
            }
        }
        result
    }

    fn take(&mut self, id: Uuid, instance: Uuid) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.state = MessageState::Taken;
            message.expires = None;
            message.instance = Some(instance);
            message.desired = Some("in-progress");
            message.changed = true;
        }
    }

    fn refuse(&mut self, id: Uuid, reason: &str) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.refuse(reason);
        }
    }

    fn queue(&mut self, id: Uuid) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.state = MessageState::Queued;
            message.expires = None;
            message.changed = true;
            self.room.entry(message.requester.clone()).or_default().queued = true;
            self.after.queued.insert(message.requester.clone());
        }
    }

    fn hold(&mut self, id: Uuid, otherwise: &str) {
        if self.limits.hold.is_zero() {
            return self.refuse(id, otherwise);
        }
        if let Some(message) = self.messages.get_mut(&id) {
            message.state = MessageState::Held;
            message.expires = Some(self.now + self.limits.hold);
            message.changed = true;
        }
    }

    /// Starts queued messages of a requester, oldest first, as far as there is room.
    pub(crate) fn admit(&mut self, requester: &str) {
        let queued: Vec<Uuid> = self
            .messages
            .values()
            .filter(|message| message.stored && message.state == MessageState::Queued)
            .filter(|message| message.requester == requester)
            .map(|message| message.id)
            .collect();
        for id in queued {
            let room = self.room.get(requester).copied().unwrap_or_default();
            if room.fresh >= self.limits.admission_limit {
                return;
            }
            match self.find(id) {
                // An instance with the key has come up meanwhile: no longer a start.
                Found::NobodyWaits => self.hold(id, NOT_CORRELATED),
                _ => self.place(id, false),
            }
        }
    }

    /// Ends the time of held messages.
    pub(crate) fn expire(&mut self) {
        let over: Vec<Uuid> = self
            .messages
            .values()
            .filter(|message| message.stored && message.state == MessageState::Held)
            .filter(|message| message.expires.is_some_and(|expires| expires <= self.now))
            .map(|message| message.id)
            .collect();
        for id in over {
            self.place(id, false);
        }
    }

    /// Gives held messages to instances that made progress, until nobody waits for one of them.
    pub(crate) async fn rematch(&mut self, db: &Transaction<'_>) -> Result<(), Error> {
        let mut asked: Vec<String> = Vec::new();
        loop {
            let keys: Vec<String> = self
                .instances
                .values()
                .filter(|instance| instance.changed && instance.awaits_messages())
                .flat_map(|instance| instance.keys().map(str::to_owned).collect::<Vec<_>>())
                .filter(|key| !asked.contains(key))
                .collect();
            if !keys.is_empty() {
                self.load_held(db, &keys).await?;
                asked.extend(keys);
            }
            let held: Vec<Uuid> = self
                .messages
                .values()
                .filter(|message| message.state == MessageState::Held)
                .map(|message| message.id)
                .collect();
            let mut progress = false;
            for id in held {
                match self.find(id) {
                    Found::One(instance, subscription) => {
                        self.correlate(id, instance, subscription);
                        progress = true;
                    }
                    Found::Several => self.refuse(id, NOT_CORRELATED),
                    Found::NobodyWaits | Found::NoInstance => {}
                }
            }
            if !progress {
                return Ok(());
            }
        }
    }
}
