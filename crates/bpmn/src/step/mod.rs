//! The state machine: one command, run to the next wait.
mod call;
mod cancel;
mod compensate;
mod error;
mod event;
mod flow;
mod gateway;
mod multi;
mod operate;
mod scope;

use std::collections::BTreeMap;

pub(crate) use event::due;
use uuid::Uuid;

use crate::command::{Command, Context, StartAt};
use crate::definition::{Catch, Definition, Element, ElementIx, Kind};
use crate::effect::{Effect, HistoryKind};
use crate::state::{Node, NodeId, ROOT, SCHEMA, State, Status, TriggerOn, Wait};
use crate::value::Variables;

/// Most elements entered or left in one step; a model that loops without a wait ends here.
pub const MAX_OPERATIONS: usize = 100_000;

/// Why a command could not be carried out. The old state stays valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The job, timer, subscription or task of the command is not open (any more): drop the command.
    #[error("nothing in this instance waits with this id")]
    NotWaiting,
    /// The instance has ended, or was started before.
    #[error("the instance is not in a state for this command")]
    NotActive,
    /// No start event fits.
    #[error("no start event for {0}")]
    NoStart(String),
    /// The state belongs to another definition or a newer version of this crate.
    #[error("the state does not belong to this definition")]
    WrongDefinition,
    /// The model fails at this activity (expression, no flow to take, bad timer or collection).
    #[error("{activity}: {message}")]
    Model {
        /// Element id.
        activity: String,
        /// What failed; free of variable values.
        message: String,
    },
    /// No handler in this instance catches what a called instance threw.
    #[error("not caught here")]
    NotCaught,
    /// The model did not come to a wait.
    #[error("no wait state after {0} operations")]
    Endless(usize),
}

/// Carries out one command and runs the instance to its next real wait.
///
/// # Errors
/// See [`StepError`]; nothing has happened then.
pub fn step(
    definition: &Definition,
    state: State,
    command: Command,
    context: &mut Context<'_>,
) -> Result<(State, Vec<Effect>), StepError> {
    if state.schema != SCHEMA || state.fingerprint != definition.fingerprint() {
        return Err(StepError::WrongDefinition);
    }
    let fresh = matches!(command, Command::Start { .. });
    if fresh != (state.status == Status::Fresh) || !(fresh || state.is_active()) {
        return Err(StepError::NotActive);
    }
    let mut run = Run {
        definition,
        state,
        context,
        effects: Vec::new(),
        work: Vec::new(),
        operations: 0,
        used: None,
        changes: Vec::new(),
        changes_seen: 0,
        born: BTreeMap::new(),
        ready: Vec::new(),
    };
    run.command(command)?;
    run.run_to_wait()?;
    Ok((run.state, run.effects))
}

/// One step under way.
struct Run<'d, 'c, 'i> {
    definition: &'d Definition,
    state: State,
    context: &'c mut Context<'i>,
    effects: Vec<Effect>,
    /// A stack: the newest token moves first, so branches run one after the other.
    work: Vec<Work>,
    operations: usize,
    /// What the command named: ends without a cancel effect.
    used: Option<Uuid>,
    /// Variable changes of this step, for conditional events.
    changes: Vec<Change>,
    changes_seen: usize,
    /// Conditional events opened in this step, with the number of changes before them.
    born: BTreeMap<Uuid, usize>,
    /// Conditional events whose condition held when they were opened.
    ready: Vec<Uuid>,
}

/// A move to make.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// A token arrives at an element.
    Enter { scope: NodeId, element: ElementIx },
    /// An activity instance starts (after a continuation, or as part of a multi-instance body).
    Start(NodeId),
}

struct Change {
    scope: NodeId,
    name: String,
    created: bool,
}

type Outcome<T = ()> = Result<T, StepError>;

impl<'d> Run<'d, '_, '_> {
    fn command(&mut self, command: Command) -> Outcome {
        match command {
            Command::Start { at, business_key, variables, source } => {
                self.state.business_key = business_key;
                self.state.start_source = source;
                self.start_instance(&at, variables)
            }
            Command::Message { subscription, variables, source } => {
                let node = self.waiting(subscription, |on| matches!(on, TriggerOn::Message(_)))?;
                self.set_all(node, variables);
                self.fire(node, subscription, source)
            }
            Command::Signal { subscription, variables } => {
                let node = self.waiting(subscription, |on| matches!(on, TriggerOn::Signal(_)))?;
                self.set_all(node, variables);
                self.fire(node, subscription, None)
            }
            Command::TimerFired { timer } => {
                let node = self.waiting(timer, |on| matches!(on, TriggerOn::Timer { .. }))?;
                self.used = Some(timer);
                self.fire(node, timer, None)
            }
            Command::JobDone { job, variables, local_variables } => {
                let node = self.waiting_for(job, |wait| matches!(wait, Wait::Job(_)))?;
                self.used = Some(job);
                let local = self.local_scope(node);
                for (name, value) in local_variables {
                    self.set_local(local, &name, value);
                }
                self.set_all(node, variables);
                self.job_done(node)
            }
            Command::JobBpmnError { job, code, message, variables } => {
                let node = self.waiting_for(job, |wait| matches!(wait, Wait::Job(_)))?;
                if self.error_handler(node, &code).is_none() {
                    if self.state.called {
                        self.set_all(node, variables);
                        self.throw_to_caller(node, Some((job, true)), false, code, message);
                        return Ok(());
                    }
                    if self.context.options.uncaught_errors_raise {
                        let activity = self.element_of(node).id.clone();
                        let (job, token) = (Some(job), job);
                        self.effects.push(Effect::UncaughtError { activity, job, token, code, message });
                        return Ok(());
                    }
                }
                self.used = Some(job);
                self.set_all(node, variables);
                self.throw_error(node, &code, message.as_deref())
            }
            Command::AsyncDue { job } => {
                let node = self
                    .waiting_for(job, |wait| matches!(wait, Wait::AsyncBefore(_) | Wait::AsyncAfter(..)))?;
                self.used = Some(job);
                self.continue_async(node)
            }
            Command::UserTaskCompleted { task, variables, source: _ } => {
                let node = self.waiting_for(task, |wait| matches!(wait, Wait::UserTask(_)))?;
                self.used = Some(task);
                self.set_all(node, variables);
                self.user_task_completed(node)
            }
            Command::CallDone { call, variables } => self.call_done(call, &variables),
            Command::CallThrew { call, escalation, code, message, variables } => {
                self.call_threw(call, escalation, &code, message.as_deref(), &variables)
            }
            Command::Skip { token } => self.skip(token),
            Command::Move { token, to } => self.move_token(token, &to),
            Command::Retry { token } => self.retry(token),
            Command::EditVariable { token, name, value } => self.edit_variable(token, &name, value),
            Command::SetVariables { variables } => {
                for (name, value) in variables {
                    self.set_local(ROOT, &name, value);
                }
                Ok(())
            }
            Command::Cancel { reason } => {
                self.cancel_children(ROOT);
                // A listener of the process.
                if let Wait::Job(id) = self.node(ROOT).wait {
                    self.withdraw(id, Effect::CancelJob { id });
                }
                self.close_triggers(ROOT);
                self.history(HistoryKind::Cancel, ROOT);
                self.effects.push(Effect::InstanceCancelled { reason: reason.clone() });
                self.state.status = Status::Cancelled(reason);
                Ok(())
            }
        }
    }

    fn start_instance(&mut self, at: &StartAt, variables: Variables) -> Outcome {
        let definition = self.definition;
        let process = definition.element(0);
        let fits = |ix: &&ElementIx| match (&definition.element(**ix).kind, at) {
            (Kind::Start(Catch::None, _), StartAt::None) => true,
            (Kind::Start(Catch::Message(name), _), StartAt::Message(wanted)) => name.text() == wanted,
            (Kind::Start(..), StartAt::Event(id)) => definition.id_of(**ix) == id,
            _ => false,
        };
        let start = *process.children.iter().find(fits).ok_or_else(|| {
            StepError::NoStart(match at {
                StartAt::None => "a start by key".to_owned(),
                StartAt::Message(name) => format!("message '{name}'"),
                StartAt::Event(id) => format!("event '{id}'"),
            })
        })?;
        self.state.status = Status::Active;
        let root = Node {
            parent: None,
            element: 0,
            body: false,
            wait: Wait::Scope,
            since: self.context.now,
            variables,
            received: Vec::new(),
            triggers: Vec::new(),
            completed: Vec::new(),
            compensates: None,
            listening: None,
        };
        self.state.nodes.insert(ROOT, root);
        self.history(HistoryKind::Start, ROOT);
        self.start_process(start)
    }

    /// Works until every token waits.
    fn run_to_wait(&mut self) -> Outcome {
        loop {
            while let Some(work) = self.work.pop() {
                self.operations += 1;
                if self.operations > MAX_OPERATIONS {
                    return Err(StepError::Endless(MAX_OPERATIONS));
                }
                match work {
                    // Scopes may have been cancelled since.
                    Work::Enter { scope, element } if self.state.nodes.contains_key(&scope) => {
                        self.enter(scope, element)?;
                    }
                    Work::Start(node) if self.state.nodes.contains_key(&node) => self.start(node)?,
                    _ => {}
                }
            }
            if !self.state.is_active() || !(self.fire_conditions()? || self.release_inclusive_joins()?) {
                return Ok(());
            }
        }
    }

    fn node(&self, node: NodeId) -> &Node {
        &self.state.nodes[&node]
    }

    fn element_of(&self, node: NodeId) -> &'d Element {
        self.definition.element(self.node(node).element)
    }

    fn with_node(&mut self, node: NodeId, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.state.nodes.get_mut(&node) {
            change(node);
        }
    }

    fn new_id(&mut self) -> Uuid {
        (self.context.ids)()
    }

    fn new_node(&mut self, parent: NodeId, element: ElementIx, body: bool) -> NodeId {
        let id = self.state.next;
        self.state.next += 1;
        let node = Node {
            parent: Some(parent),
            element,
            body,
            wait: Wait::Running,
            since: self.context.now,
            variables: Variables::new(),
            received: Vec::new(),
            triggers: Vec::new(),
            completed: Vec::new(),
            compensates: None,
            listening: None,
        };
        self.state.nodes.insert(id, node);
        id
    }

    fn parent_of(&self, node: NodeId) -> NodeId {
        self.node(node).parent.unwrap_or(ROOT)
    }

    fn children(&self, scope: NodeId) -> Vec<NodeId> {
        let inside = self.state.nodes.iter().filter(|(_, node)| node.parent == Some(scope));
        inside.map(|(id, _)| *id).collect()
    }

    fn waiting(&self, anchor: Uuid, kind: impl Fn(&TriggerOn) -> bool) -> Outcome<NodeId> {
        let holds =
            |node: &Node| node.triggers.iter().any(|trigger| trigger.id == anchor && kind(&trigger.on));
        let found = self.state.nodes.iter().find(|(_, node)| holds(node));
        found.map(|(id, _)| *id).ok_or(StepError::NotWaiting)
    }

    fn waiting_for(&self, anchor: Uuid, kind: impl Fn(Wait) -> bool) -> Outcome<NodeId> {
        let node = self.state.node_of(anchor).ok_or(StepError::NotWaiting)?;
        if kind(self.node(node).wait) { Ok(node) } else { Err(StepError::NotWaiting) }
    }

    fn model_error(&self, node: NodeId, message: impl ToString) -> StepError {
        StepError::Model { activity: self.element_of(node).id.clone(), message: message.to_string() }
    }

    fn history(&mut self, what: HistoryKind, node: NodeId) {
        let shown = self.node(node);
        let element = self.definition.element(shown.element);
        if matches!(&element.kind, Kind::Throw(crate::definition::Throw::Link(_)) | Kind::Catch(Catch::Link))
        {
            return;
        }
        let kind = if shown.body { "multiInstanceBody" } else { element.type_name() };
        let activity = shown.label(self.definition);
        let scope = self.state.scope_path(self.definition, node);
        let since = shown.since;
        self.effects.push(Effect::History { what, activity, kind, scope, since });
    }
}
