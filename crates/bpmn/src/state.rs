//! State of one process instance: a tree of activity instances with variables and open waits.
//!
//! Stored as JSON. Elements are numbered by their place in the model document, therefore a state is
//! only valid with the definition it was made with; `fingerprint` guards that.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::definition::{Definition, ElementIx, FlowIx, ListenerWork};
use crate::value::{Value, Variables};

/// Version of the stored form.
pub(crate) const SCHEMA: u32 = 1;

/// Number of an activity instance within its process instance.
pub(crate) type NodeId = u32;

/// The process instance itself is activity instance 0.
pub(crate) const ROOT: NodeId = 0;

/// State of one process instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) schema: u32,
    pub(crate) fingerprint: u32,
    pub(crate) instance: Uuid,
    pub(crate) status: Status,
    /// A call activity started it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) called: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) business_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start_source: Option<String>,
    pub(crate) next: NodeId,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
}

/// Where an instance is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Made, not started.
    Fresh,
    /// Running.
    Active,
    /// The last token ended.
    Completed,
    /// Cancelled, and why.
    Cancelled(String),
}

/// One activity instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Node {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<NodeId>,
    pub element: ElementIx,
    /// True for the body of a multi-instance activity, which encloses its instances.
    #[serde(default, skip_serializing_if = "is_false")]
    pub body: bool,
    pub wait: Wait,
    /// When it was entered, milliseconds since the epoch.
    #[serde(default)]
    pub since: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: Variables,
    /// Sources of messages received in this scope and not completed by an end event yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub received: Vec<String>,
    /// Open events: boundary events of the activity, or what a catch event or gateway waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    /// In a scope: what has completed inside and can be compensated, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completed: Vec<Completed>,
    /// In a compensation handler: the activity instance that waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensates: Option<NodeId>,
    /// The job is that of an execution or task listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listening: Option<Listening>,
}

/// Where an activity instance is in its execution listeners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listening {
    pub stage: Stage,
    /// Place of the listener among those of the element.
    pub at: usize,
    /// Flows that are taken afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<FlowIx>,
}

/// When listeners run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Before the process enters this start event.
    Process(ElementIx),
    /// Before the activity is carried out.
    Start,
    /// At a catch event that an event-based gateway has passed already.
    Caught,
    /// Before a user task becomes visible.
    Create,
    /// After a user task was completed.
    Complete,
    /// After the activity, then on the flows it leaves by.
    End,
}

/// A completed activity that can be compensated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Completed {
    /// The activity.
    pub element: ElementIx,
    pub by: CompensatedBy,
}

/// How a completed activity is compensated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CompensatedBy {
    /// By the handler at its compensation boundary event.
    Handler(ElementIx),
    /// A subprocess without handler: by what completed inside, with its variables as they were.
    Inside { variables: Variables, completed: Vec<Completed> },
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What an activity instance waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wait {
    /// In transit within a step; never stored.
    Running,
    /// For its children.
    Scope,
    /// For a continuation before it starts.
    AsyncBefore(Uuid),
    /// For a continuation after it ended; then the flow is taken, or the token ends.
    AsyncAfter(Uuid, Option<FlowIx>),
    /// For a job.
    Job(Uuid),
    /// For a person.
    UserTask(Uuid),
    /// For one of its triggers (catch event, receive task, event-based gateway).
    Event,
    /// For more tokens at a joining gateway.
    Join,
    /// For its compensation handlers (compensation and cancel events, completed subprocesses).
    Compensating,
    /// For an operator, after an uncaught error end event.
    Failed(Uuid),
    /// For a called instance.
    Call(Uuid),
}

/// One open event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trigger {
    pub id: Uuid,
    /// The event element: boundary or catch event, or the receive task itself.
    pub element: ElementIx,
    pub on: TriggerOn,
}

/// What an open event waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TriggerOn {
    Message(String),
    Signal(String),
    Timer {
        /// Milliseconds since the epoch.
        due: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cycle: Option<crate::iso8601::Cycle>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cron: Option<crate::cron::Cron>,
    },
    Condition,
}

/// A job that waits for a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenJob {
    /// Job id.
    pub id: Uuid,
    /// Element id.
    pub activity: String,
    /// Class or topic.
    pub implementation: String,
}

/// A continuation that waits for its transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsyncWait {
    /// Job id.
    pub id: Uuid,
    /// Element id.
    pub activity: String,
    /// After the activity instead of before it.
    pub after: bool,
}

/// A running timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTimer {
    /// Timer id.
    pub id: Uuid,
    /// Element id of the event.
    pub activity: String,
    /// Milliseconds since the epoch.
    pub due: i64,
}

/// An open subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSubscription {
    /// Subscription id.
    pub id: Uuid,
    /// Kind of event.
    pub kind: crate::effect::SubscriptionKind,
    /// Message or signal name; element id for conditional events.
    pub name: String,
    /// Element id of the event.
    pub activity: String,
    /// Local variable `correlationKey` of the waiting execution.
    pub correlation_key: Option<String>,
}

/// An open user task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUserTask {
    /// User task id.
    pub id: Uuid,
    /// Element id.
    pub activity: String,
}

/// A place where the instance waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Id for commands: of the job, continuation, user task, call, subscription or timer. None where
    /// only other tokens can end the wait (joins, compensation).
    pub id: Option<Uuid>,
    /// Element id.
    pub activity: String,
    /// Scopes around it joined by `/`.
    pub scope: String,
    /// When the activity was entered, milliseconds since the epoch.
    pub since: i64,
    /// `job`, `continuation`, `user-task`, `call`, `event`, `join`, `compensation` or `failed`.
    pub waits_for: String,
}

impl State {
    /// A fresh instance that a call activity starts; its id is the id of the call.
    pub fn called(definition: &Definition, instance: Uuid) -> State {
        State { called: true, ..State::new(definition, instance) }
    }

    /// A fresh instance of a definition, to be started with [`crate::Command::Start`].
    pub fn new(definition: &Definition, instance: Uuid) -> State {
        State {
            schema: SCHEMA,
            fingerprint: definition.fingerprint(),
            instance,
            status: Status::Fresh,
            called: false,
            business_key: None,
            start_source: None,
            next: ROOT + 1,
            nodes: BTreeMap::new(),
        }
    }

    /// Id of the instance.
    pub fn instance(&self) -> Uuid {
        self.instance
    }

    /// Where the instance is in its life.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// True while tokens are left.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// Business key.
    pub fn business_key(&self) -> Option<&str> {
        self.business_key.as_deref()
    }

    /// Source of the message that started the instance.
    pub fn start_source(&self) -> Option<&str> {
        self.start_source.as_deref()
    }

    /// Every source the state still knows: the start source, then those received and not completed
    /// by an end event.
    pub fn sources(&self) -> Vec<&str> {
        let received = self.nodes.values().flat_map(|node| node.received.iter().map(String::as_str));
        self.start_source().into_iter().chain(received).collect()
    }

    /// Variables of the instance itself, without those of inner scopes. Kept after its end.
    pub fn process_variables(&self) -> Option<&Variables> {
        self.nodes.get(&ROOT).map(|node| &node.variables)
    }

    /// Variables as the activity sees them that waits with this id (job, continuation, timer,
    /// subscription or user task); inner scopes hide outer ones. `None`: no such wait.
    pub fn visible_variables(&self, anchor: Uuid) -> Option<Variables> {
        let mut visible = Variables::new();
        for id in self.path(self.node_of(anchor)?) {
            for (name, value) in &self.nodes[&id].variables {
                visible.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        Some(visible)
    }

    /// One variable as [`State::visible_variables`] sees it.
    pub fn visible_variable(&self, anchor: Uuid, name: &str) -> Option<&Value> {
        self.path(self.node_of(anchor)?).find_map(|id| self.nodes[&id].variables.get(name))
    }

    /// Source of the message received last in the scopes around a wait, else the start source.
    pub fn latest_source(&self, anchor: Uuid) -> Option<&str> {
        let node = self.node_of(anchor)?;
        self.path(node)
            .find_map(|id| self.nodes[&id].received.last())
            .map(String::as_str)
            .or(self.start_source())
    }

    /// Ids of the scopes around a wait from outside to inside, joined by `/`.
    pub fn scope_of(&self, definition: &Definition, anchor: Uuid) -> Option<String> {
        Some(self.scope_path(definition, self.node_of(anchor)?))
    }

    /// Jobs that wait for a worker, oldest first.
    pub fn jobs(&self, definition: &Definition) -> Vec<OpenJob> {
        let open = |node: &Node| match node.wait {
            Wait::Job(id) => Some(OpenJob {
                id,
                activity: definition.id_of(node.element).to_owned(),
                implementation: node.implementation(definition).unwrap_or_default().to_owned(),
            }),
            _ => None,
        };
        self.nodes.values().filter_map(open).collect()
    }

    /// Continuations that wait for their transaction, oldest first.
    pub fn async_jobs(&self, definition: &Definition) -> Vec<AsyncWait> {
        let open = |node: &Node| {
            let (id, after) = match node.wait {
                Wait::AsyncBefore(id) => (id, false),
                Wait::AsyncAfter(id, _) => (id, true),
                _ => return None,
            };
            Some(AsyncWait { id, activity: definition.id_of(node.element).to_owned(), after })
        };
        self.nodes.values().filter_map(open).collect()
    }

    /// Running timers, oldest first.
    pub fn timers(&self, definition: &Definition) -> Vec<OpenTimer> {
        let timer = |trigger: &Trigger| match trigger.on {
            TriggerOn::Timer { due, .. } => Some(OpenTimer {
                id: trigger.id,
                activity: definition.id_of(trigger.element).to_owned(),
                due,
            }),
            _ => None,
        };
        self.nodes.values().flat_map(|node| node.triggers.iter().filter_map(timer)).collect()
    }

    /// Open subscriptions, oldest first.
    pub fn subscriptions(&self, definition: &Definition) -> Vec<OpenSubscription> {
        let mut open = Vec::new();
        for node in self.nodes.values() {
            for trigger in &node.triggers {
                let activity = definition.id_of(trigger.element).to_owned();
                let Some((kind, name)) = trigger.subscription(&activity) else { continue };
                let correlation_key = node.correlation_key();
                open.push(OpenSubscription { id: trigger.id, kind, name, activity, correlation_key });
            }
        }
        open
    }

    /// Open calls, oldest first.
    pub fn calls(&self) -> Vec<Uuid> {
        let open = |node: &Node| if let Wait::Call(id) = node.wait { Some(id) } else { None };
        self.nodes.values().filter_map(open).collect()
    }

    /// Where tokens wait, oldest first.
    pub fn tokens(&self, definition: &Definition) -> Vec<Token> {
        if !self.is_active() {
            return Vec::new();
        }
        let mut tokens = Vec::new();
        for (node_id, node) in &self.nodes {
            let trigger = node.triggers.first().map(|trigger| trigger.id);
            let (id, waits_for) = match node.wait {
                Wait::Scope => continue,
                Wait::Job(id) => (Some(id), "job"),
                Wait::AsyncBefore(id) | Wait::AsyncAfter(id, _) => (Some(id), "continuation"),
                Wait::UserTask(id) => (Some(id), "user-task"),
                Wait::Call(id) => (Some(id), "call"),
                Wait::Failed(id) => (Some(id), "failed"),
                Wait::Event => (trigger, "event"),
                Wait::Compensating => (None, "compensation"),
                Wait::Join | Wait::Running => (None, "join"),
            };
            tokens.push(Token {
                id,
                activity: definition.id_of(node.element).to_owned(),
                scope: self.scope_path(definition, *node_id),
                since: node.since,
                waits_for: waits_for.to_owned(),
            });
        }
        tokens
    }

    /// Variables by scope path, the instance itself first (empty path).
    pub fn scoped_variables(&self, definition: &Definition) -> Vec<(String, &Variables)> {
        let with = self.nodes.iter().filter(|(_, node)| !node.variables.is_empty());
        with.map(|(id, node)| match *id {
            ROOT => (String::new(), &node.variables),
            _ => (join_path(self.scope_path(definition, *id), &node.label(definition)), &node.variables),
        })
        .collect()
    }

    /// Open user tasks, oldest first.
    pub fn user_tasks(&self, definition: &Definition) -> Vec<OpenUserTask> {
        let open = |node: &Node| match node.wait {
            Wait::UserTask(id) => {
                Some(OpenUserTask { id, activity: definition.id_of(node.element).to_owned() })
            }
            _ => None,
        };
        self.nodes.values().filter_map(open).collect()
    }

    /// Element ids of the activities in which tokens wait, each with its scope path before it
    /// (`sub/task`), in order of their creation.
    pub fn waiting(&self, definition: &Definition) -> Vec<String> {
        if !self.is_active() {
            return Vec::new();
        }
        let waits = self.nodes.iter().filter(|(_, node)| node.wait != Wait::Scope);
        waits
            .map(|(id, node)| join_path(self.scope_path(definition, *id), definition.id_of(node.element)))
            .collect()
    }

    /// The node that waits with this id.
    pub(crate) fn node_of(&self, anchor: Uuid) -> Option<NodeId> {
        let holds = |node: &Node| match node.wait {
            Wait::Job(id)
            | Wait::UserTask(id)
            | Wait::Call(id)
            | Wait::Failed(id)
            | Wait::AsyncBefore(id)
            | Wait::AsyncAfter(id, _)
                if id == anchor =>
            {
                true
            }
            _ => node.triggers.iter().any(|trigger| trigger.id == anchor),
        };
        self.nodes.iter().find(|(_, node)| holds(node)).map(|(id, _)| *id)
    }

    /// The node and its ancestors, inside to outside.
    pub(crate) fn path(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(Some(node), |id| self.nodes.get(id).and_then(|node| node.parent))
    }

    /// Ids of the scopes that enclose the node, joined by `/`; empty directly in the process.
    pub(crate) fn scope_path(&self, definition: &Definition, node: NodeId) -> String {
        let mut names: Vec<String> = Vec::new();
        for id in self.path(node).skip(1) {
            if id != ROOT {
                names.push(self.nodes[&id].label(definition));
            }
        }
        names.reverse();
        names.join("/")
    }
}

impl Node {
    /// Class or topic of the job it waits for.
    pub(crate) fn implementation<'d>(&self, definition: &'d Definition) -> Option<&'d str> {
        let Some(listening) = &self.listening else { return definition.implementation_of(self.element) };
        match definition.element(self.element).listeners.get(listening.at).map(|listener| &listener.work) {
            Some(ListenerWork::Job { class, .. }) => Some(class),
            _ => None,
        }
    }

    /// Element id, marked where the node is a multi-instance body.
    pub(crate) fn label(&self, definition: &Definition) -> String {
        let id = definition.id_of(self.element);
        if self.body { format!("{id}#multiInstanceBody") } else { id.to_owned() }
    }

    /// The local variable that tells waiting branches of one instance apart (contract 2.3, 9b).
    pub(crate) fn correlation_key(&self) -> Option<String> {
        match self.variables.get("correlationKey") {
            Some(Value::String(key)) => Some(key.clone()),
            _ => None,
        }
    }
}

impl Trigger {
    /// Kind and name of the subscription; `None` for timers.
    pub(crate) fn subscription(&self, activity: &str) -> Option<(crate::effect::SubscriptionKind, String)> {
        use crate::effect::SubscriptionKind::{Conditional, Message, Signal};
        match &self.on {
            TriggerOn::Message(name) => Some((Message, name.clone())),
            TriggerOn::Signal(name) => Some((Signal, name.clone())),
            TriggerOn::Condition => Some((Conditional, activity.to_owned())),
            TriggerOn::Timer { .. } => None,
        }
    }
}

/// `scope/id`, or `id` at process level.
pub(crate) fn join_path(scope: String, id: &str) -> String {
    if scope.is_empty() { id.to_owned() } else { format!("{scope}/{id}") }
}
