//! How tokens enter, start and leave elements, and how scopes end (contract 7.3).
use std::collections::BTreeMap;

use super::{Outcome, Run, Work};
use crate::definition::{Catch, ElementIx, FlowIx, Job, Kind, ListenerEvent, ListenerWork, Passed, Throw};
use crate::effect::{Effect, HistoryKind, JobKind, ListenerCall};
use crate::expression::Template;
use crate::state::{Listening, NodeId, ROOT, Stage, Status, Wait};
use crate::value::{Value, Variables};

impl<'d> Run<'d, '_, '_> {
    /// A token arrives at an element.
    pub(super) fn enter(&mut self, scope: NodeId, element: ElementIx) -> Outcome {
        let definition = self.definition;
        let entered = definition.element(element);
        let node = self.new_node(scope, element, entered.multi.is_some());
        if entered.async_before {
            return self.wait_before(node, entered.retry_cycle.as_ref(), entered.exclusive);
        }
        self.start(node)
    }

    /// Stops in front of an activity until its continuation is due.
    pub(super) fn wait_before(&mut self, node: NodeId, retry: Option<&Template>, exclusive: bool) -> Outcome {
        let id = self.create_async(node, false, retry, exclusive)?;
        self.with_node(node, |node| node.wait = Wait::AsyncBefore(id));
        Ok(())
    }

    fn create_async(
        &mut self,
        node: NodeId,
        after: bool,
        retry: Option<&Template>,
        exclusive: bool,
    ) -> Outcome<uuid::Uuid> {
        let retry_cycle = retry.map(|cycle| self.evaluate_text(node, cycle)).transpose()?;
        let id = self.new_id();
        let activity = self.element_of(node).id.clone();
        self.effects.push(Effect::CreateAsyncJob { id, activity, after, retry_cycle, exclusive });
        Ok(id)
    }

    pub(super) fn continue_async(&mut self, node: NodeId) -> Outcome {
        match self.node(node).wait {
            Wait::AsyncAfter(_, flow) => {
                let parent = self.parent_of(node);
                if self.node(parent).body {
                    return self.instance_ended(node);
                }
                self.remove(node);
                match flow {
                    Some(flow) => self.take(parent, flow),
                    None => return self.end_token(parent),
                }
            }
            _ => self.work.push(Work::Start(node)),
        }
        Ok(())
    }

    fn take(&mut self, scope: NodeId, flow: FlowIx) {
        self.work.push(Work::Enter { scope, element: self.definition.flow(flow).target });
    }

    /// An activity instance starts: parameters, listeners, boundary events, then what it is for.
    pub(super) fn start(&mut self, node: NodeId) -> Outcome {
        self.with_node(node, |node| node.wait = Wait::Running);
        if self.node(node).body {
            return self.start_body(node);
        }
        self.apply_inputs(node)?;
        self.history(HistoryKind::Start, node);
        self.listen(node, Stage::Start, 0, Vec::new())
    }

    /// Runs the listeners of a stage from a place on, then what follows the stage. A listener that
    /// is a job makes the token wait.
    fn listen(&mut self, node: NodeId, stage: Stage, from: usize, flows: Vec<FlowIx>) -> Outcome {
        let element = self.element_of(node);
        // Listeners of a multi-instance activity belong to its instances.
        let listeners = if self.node(node).body { &[] } else { element.listeners.as_slice() };
        let wanted = |on: ListenerEvent| match (stage, on) {
            (Stage::Process(_) | Stage::Start | Stage::Caught, ListenerEvent::Start)
            | (Stage::Create, ListenerEvent::Create)
            | (Stage::Complete, ListenerEvent::Complete)
            | (Stage::End, ListenerEvent::End) => true,
            (Stage::End, ListenerEvent::Take(flow)) => flows.contains(&flow),
            _ => false,
        };
        // Listeners of flows stand behind those of the element.
        for (at, listener) in listeners.iter().enumerate().skip(from) {
            if !wanted(listener.on) {
                continue;
            }
            match &listener.work {
                ListenerWork::Assign(assignments) => self.assign(node, assignments)?,
                ListenerWork::Job { class, fields } => {
                    if stage == Stage::End {
                        self.close_event_subprocesses(node);
                    }
                    let fields = self.fields(node, fields)?;
                    self.create_job(node, JobKind::Listener, class, fields)?;
                    let listening = Some(Listening { stage, at, flows: flows.clone() });
                    self.with_node(node, |node| node.listening = listening);
                    return Ok(());
                }
            }
        }
        match stage {
            Stage::Process(start) => {
                self.with_node(ROOT, |root| root.wait = Wait::Scope);
                self.open_event_subprocesses(ROOT)?;
                self.work.push(Work::Enter { scope: ROOT, element: start });
                Ok(())
            }
            Stage::Start => {
                if element.multi.is_none() {
                    self.open_boundaries(node)?;
                }
                self.execute(node)
            }
            Stage::Create => self.create_user_task(node),
            Stage::Caught | Stage::Complete => self.leave(node),
            Stage::End if node == ROOT => self.end_process(),
            Stage::End => self.left(node, &flows),
        }
    }

    /// The process itself starts: its listeners, then its event subprocesses, then the start event.
    pub(super) fn start_process(&mut self, start: ElementIx) -> Outcome {
        self.listen(ROOT, Stage::Process(start), 0, Vec::new())
    }

    /// A person has done the task.
    pub(super) fn user_task_completed(&mut self, node: NodeId) -> Outcome {
        self.with_node(node, |node| node.wait = Wait::Running);
        self.listen(node, Stage::Complete, 0, Vec::new())
    }

    fn create_user_task(&mut self, node: NodeId) -> Outcome {
        let element = self.element_of(node);
        let Kind::User { form_key, listeners } = &element.kind else { return Ok(()) };
        let form_key = form_key.as_ref().map(|key| self.evaluate_text(node, key)).transpose()?;
        let mut calls = Vec::new();
        for listener in listeners {
            let fields = self.fields(node, &listener.fields)?;
            calls.push(ListenerCall { class: listener.class.clone(), fields });
        }
        let id = self.new_id();
        let (activity, name) = (element.id.clone(), element.name.clone());
        self.effects.push(Effect::CreateUserTask { id, activity, name, form_key, listeners: calls });
        self.with_node(node, |node| node.wait = Wait::UserTask(id));
        Ok(())
    }

    /// A catch event that an event-based gateway has passed.
    pub(super) fn caught(&mut self, node: NodeId) -> Outcome {
        self.apply_inputs(node)?;
        self.history(HistoryKind::Start, node);
        self.listen(node, Stage::Caught, 0, Vec::new())
    }

    pub(super) fn execute(&mut self, node: NodeId) -> Outcome {
        let element = self.element_of(node);
        match &element.kind {
            Kind::Process => Ok(()),
            Kind::Task | Kind::Start(..) | Kind::Boundary { .. } | Kind::Catch(Catch::Link) => {
                self.leave(node)
            }
            Kind::Job(kind, job) => self.job(node, *kind, job),
            Kind::Evaluate { expression, result } => {
                let value = self.evaluate(node, expression)?;
                if let Some(name) = result {
                    self.set(node, name, value);
                }
                self.leave(node)
            }
            Kind::Receive(name) => self.wait_for_message(node, name),
            Kind::Call(call) => self.call(node, call),
            Kind::User { .. } => self.listen(node, Stage::Create, 0, Vec::new()),
            Kind::Catch(catch) => self.wait_for_event(node, catch),
            Kind::Throw(throw) => self.throw(node, throw, JobKind::ThrowEvent),
            Kind::End(throw) => self.throw(node, throw, JobKind::EndEvent),
            Kind::Exclusive => self.leave(node),
            Kind::Parallel => self.join_parallel(node),
            Kind::Inclusive => self.join_inclusive(node),
            Kind::EventBased => self.wait_at_event_gateway(node),
            Kind::SubProcess { .. } => {
                self.with_node(node, |node| node.wait = Wait::Scope);
                self.open_event_subprocesses(node)?;
                let starts = |ix: &&ElementIx| matches!(self.definition.element(**ix).kind, Kind::Start(..));
                match element.children.iter().find(starts) {
                    Some(start) => self.work.push(Work::Enter { scope: node, element: *start }),
                    None => return Err(self.model_error(node, "the subprocess has no start event")),
                }
                Ok(())
            }
        }
    }

    fn fields(&self, node: NodeId, fields: &[(String, Template)]) -> Outcome<BTreeMap<String, Value>> {
        fields.iter().map(|(name, value)| Ok((name.clone(), self.evaluate(node, value)?))).collect()
    }

    fn job(&mut self, node: NodeId, kind: JobKind, job: &'d Job) -> Outcome {
        if let Some(assignments) = &job.inline {
            self.assign(node, assignments)?;
            return self.job_done(node);
        }
        let fields = self.fields(node, &job.fields)?;
        self.create_job(node, kind, &job.implementation, fields)
    }

    fn create_job(
        &mut self,
        node: NodeId,
        kind: JobKind,
        implementation: &str,
        fields: BTreeMap<String, Value>,
    ) -> Outcome {
        let element = self.element_of(node);
        let retry_cycle =
            element.retry_cycle.as_ref().map(|cycle| self.evaluate_text(node, cycle)).transpose()?;
        let id = self.new_id();
        self.effects.push(Effect::CreateJob {
            id,
            activity: element.id.clone(),
            kind,
            implementation: implementation.to_owned(),
            fields,
            retry_cycle,
            exclusive: element.exclusive,
        });
        self.with_node(node, |node| node.wait = Wait::Job(id));
        Ok(())
    }

    /// The job of an activity or event is done.
    pub(super) fn job_done(&mut self, node: NodeId) -> Outcome {
        let mut listening = None;
        self.with_node(node, |node| listening = node.listening.take());
        if let Some(Listening { stage, at, flows }) = listening {
            self.with_node(node, |node| node.wait = Wait::Running);
            return self.listen(node, stage, at + 1, flows);
        }
        match self.element_of(node).kind {
            Kind::End(_) => self.end_event(node),
            _ => self.leave(node),
        }
    }

    fn throw(&mut self, node: NodeId, throw: &'d Throw, kind: JobKind) -> Outcome {
        let done =
            |run: &mut Self| if kind == JobKind::EndEvent { run.end_event(node) } else { run.leave(node) };
        match throw {
            Throw::None | Throw::Message(None) => done(self),
            Throw::Message(Some(job)) => self.job(node, kind, job),
            Throw::Signal(name, mappings) => {
                let name = self.evaluate_text(node, name)?;
                let variables = self.passed(node, mappings)?;
                self.effects.push(Effect::ThrowSignal { name, variables });
                done(self)
            }
            Throw::Error { code, message } => {
                let code =
                    code.as_ref().map(|code| self.evaluate_text(node, code)).transpose()?.unwrap_or_default();
                if self.error_handler(node, &code).is_none()
                    && (self.state.called || self.context.options.uncaught_errors_raise)
                {
                    let token = self.new_id();
                    self.with_node(node, |node| node.wait = Wait::Failed(token));
                    let message = message.clone();
                    if self.state.called {
                        self.throw_to_caller(node, Some((token, false)), false, code, message);
                    } else {
                        let activity = self.element_of(node).id.clone();
                        self.effects.push(Effect::UncaughtError {
                            activity,
                            job: None,
                            token,
                            code,
                            message,
                        });
                    }
                    return Ok(());
                }
                self.throw_error(node, &code, message.as_deref())
            }
            Throw::Escalation(code) => {
                let code =
                    code.as_ref().map(|code| self.evaluate_text(node, code)).transpose()?.unwrap_or_default();
                self.throw_escalation(node, &code)?;
                // An interrupting handler has taken the thrower with it.
                if self.state.nodes.contains_key(&node) { done(self) } else { Ok(()) }
            }
            Throw::Compensation(activity) => self.throw_compensation(node, *activity),
            Throw::Cancel => self.cancel_transaction(node),
            Throw::Terminate => {
                let scope = self.parent_of(node);
                for other in self.children(scope) {
                    if other != node {
                        self.cancel(other);
                    }
                }
                self.work.retain(|work| !matches!(work, Work::Enter { scope: s, .. } if *s == scope));
                self.end_event(node)
            }
            Throw::Link(target) => {
                let scope = self.parent_of(node);
                self.remove(node);
                self.work.push(Work::Enter { scope, element: *target });
                Ok(())
            }
        }
    }

    /// Variables that go with a signal.
    pub(super) fn passed(&self, node: NodeId, mappings: &[Passed]) -> Outcome<Variables> {
        let mut variables = Variables::new();
        for mapping in mappings {
            match mapping {
                Passed::All { local } => {
                    let depth = if *local { 1 } else { usize::MAX };
                    for id in self.state.path(node).take(depth) {
                        for (name, value) in &self.node(id).variables {
                            variables.entry(name.clone()).or_insert_with(|| value.clone());
                        }
                    }
                }
                Passed::One { source, target } => {
                    variables.insert(target.clone(), self.evaluate(node, source)?);
                }
            }
        }
        Ok(variables)
    }

    /// An end event has done its work: the messages of its scope are done, the token ends.
    pub(super) fn end_event(&mut self, node: NodeId) -> Outcome {
        let scope = self.parent_of(node);
        let mut sources: Vec<String> = Vec::new();
        self.with_node(scope, |scope| sources = std::mem::take(&mut scope.received));
        sources.reverse();
        if scope == ROOT {
            sources.extend(self.state.start_source.clone());
        }
        if !sources.is_empty() {
            self.effects.push(Effect::CompleteSources { sources });
        }
        self.leave(node)
    }

    /// An activity ends normally: its flows are chosen, then listeners and output parameters run.
    pub(super) fn leave(&mut self, node: NodeId) -> Outcome {
        let element = self.element_of(node);
        let instance = element.multi.is_some() && !self.node(node).body;
        let handles = self.node(node).compensates;
        let flows = if instance || handles.is_some() { Vec::new() } else { self.choose(node)? };
        self.listen(node, Stage::End, 0, flows)
    }

    /// The rest of leaving, after the listeners.
    fn left(&mut self, node: NodeId, flows: &[FlowIx]) -> Outcome {
        let element = self.element_of(node);
        let instance = element.multi.is_some() && !self.node(node).body;
        let handles = self.node(node).compensates;
        if !self.node(node).body {
            self.apply_outputs(node)?;
        }
        self.history(HistoryKind::End, node);
        self.completed(node);
        if let (true, Some(multi)) = (instance, &element.multi) {
            if multi.async_after {
                self.close_triggers(node);
                let id = self.create_async(node, true, multi.retry_cycle.as_ref(), multi.exclusive)?;
                self.with_node(node, |node| node.wait = Wait::AsyncAfter(id, None));
                return Ok(());
            }
            return self.instance_ended(node);
        }
        let scope = self.parent_of(node);
        let ix = self.node(node).element;
        self.remove(node);
        if let Some(thrower) = handles {
            return self.compensated(thrower);
        }
        self.depart(scope, ix, flows)
    }

    /// Takes flows out of an element that has ended.
    pub(super) fn depart(&mut self, scope: NodeId, element: ElementIx, flows: &[FlowIx]) -> Outcome {
        let left = self.definition.element(element);
        if left.async_after {
            let flows: Vec<Option<FlowIx>> =
                if flows.is_empty() { vec![None] } else { flows.iter().copied().map(Some).collect() };
            for flow in flows {
                let node = self.new_node(scope, element, false);
                let id = self.create_async(node, true, left.retry_cycle.as_ref(), left.exclusive)?;
                self.with_node(node, |node| node.wait = Wait::AsyncAfter(id, flow));
            }
            return Ok(());
        }
        if flows.is_empty() {
            return self.end_token(scope);
        }
        for flow in flows.iter().rev() {
            self.take(scope, *flow);
        }
        Ok(())
    }

    /// The flows a token takes out of an element.
    fn choose(&self, node: NodeId) -> Outcome<Vec<FlowIx>> {
        let element = self.element_of(node);
        if matches!(element.kind, Kind::Parallel) {
            return Ok(element.outgoing.clone());
        }
        let exclusive = matches!(element.kind, Kind::Exclusive);
        let mut chosen = Vec::new();
        for flow in element.outgoing.iter().copied().filter(|flow| Some(*flow) != element.default) {
            let holds = match &self.definition.flow(flow).condition {
                Some(condition) => self.condition(node, condition)?,
                None => true,
            };
            if holds {
                chosen.push(flow);
                if exclusive {
                    break;
                }
            }
        }
        if chosen.is_empty() {
            chosen.extend(element.default);
        }
        if chosen.is_empty() && !element.outgoing.is_empty() {
            return Err(self.model_error(node, "no outgoing sequence flow could be selected"));
        }
        Ok(chosen)
    }

    /// A token ended: the scope ends with its last one.
    pub(super) fn end_token(&mut self, scope: NodeId) -> Outcome {
        let arriving =
            self.work.iter().any(|work| matches!(work, Work::Enter { scope: s, .. } if *s == scope));
        if arriving || self.state.nodes.values().any(|node| node.parent == Some(scope)) {
            return Ok(());
        }
        if scope != ROOT {
            return self.leave(scope);
        }
        self.listen(ROOT, Stage::End, 0, Vec::new())
    }

    /// The process has ended, its listeners too.
    pub(super) fn end_process(&mut self) -> Outcome {
        self.close_triggers(ROOT);
        self.with_node(ROOT, |root| root.wait = Wait::Scope);
        self.history(HistoryKind::End, ROOT);
        self.state.status = Status::Completed;
        self.effects.push(Effect::InstanceCompleted);
        Ok(())
    }
}
