//! Waiting for events and what happens when they come.
use uuid::Uuid;

use super::{Outcome, Run, Work};
use crate::cron::Cron;
use crate::definition::{Catch, ElementIx, Kind, TimerForm};
use crate::effect::Effect;
use crate::expression::Template;
use crate::iso8601::{self, Cycle};
use crate::state::{NodeId, Trigger, TriggerOn, Wait};
use crate::value::Value;

impl<'d> Run<'d, '_, '_> {
    /// What an event element waits for.
    pub(super) fn catch_of(&self, event: ElementIx) -> Option<&'d Catch> {
        match &self.definition.element(event).kind {
            Kind::Start(catch, _) | Kind::Catch(catch) | Kind::Boundary { on: catch, .. } => Some(catch),
            _ => None,
        }
    }

    /// The start event of a subprocess with its trigger.
    pub(super) fn start_of(&self, subprocess: ElementIx) -> Option<(ElementIx, &'d Catch, bool)> {
        self.definition.element(subprocess).children.iter().find_map(|child| {
            match &self.definition.element(*child).kind {
                Kind::Start(catch, interrupting) => Some((*child, catch, *interrupting)),
                _ => None,
            }
        })
    }

    pub(super) fn wait_for_message(&mut self, node: NodeId, name: &Template) -> Outcome {
        let name = self.evaluate_text(node, name)?;
        let element = self.node(node).element;
        self.open(node, element, TriggerOn::Message(name));
        self.with_node(node, |node| node.wait = Wait::Event);
        Ok(())
    }

    pub(super) fn wait_for_event(&mut self, node: NodeId, catch: &Catch) -> Outcome {
        self.with_node(node, |node| node.wait = Wait::Event);
        let element = self.node(node).element;
        self.arm(node, element, catch)
    }

    /// The gateway waits for all of its events; the first one wins.
    pub(super) fn wait_at_event_gateway(&mut self, node: NodeId) -> Outcome {
        self.with_node(node, |node| node.wait = Wait::Event);
        for flow in &self.element_of(node).outgoing {
            let event = self.definition.flow(*flow).target;
            if let Some(catch) = self.catch_of(event) {
                self.arm(node, event, catch)?;
            }
        }
        Ok(())
    }

    pub(super) fn open_boundaries(&mut self, node: NodeId) -> Outcome {
        for boundary in &self.element_of(node).boundaries {
            if let Some(catch) = self.catch_of(*boundary) {
                self.arm(node, *boundary, catch)?;
            }
        }
        Ok(())
    }

    pub(super) fn open_event_subprocesses(&mut self, scope: NodeId) -> Outcome {
        for child in &self.element_of(scope).children {
            if let Kind::SubProcess { by_event: true, .. } = self.definition.element(*child).kind
                && let Some((start, catch, _)) = self.start_of(*child)
            {
                self.arm(scope, start, catch)?;
            }
        }
        Ok(())
    }

    /// Opens the wait for one event element.
    fn arm(&mut self, node: NodeId, event: ElementIx, catch: &Catch) -> Outcome {
        let on = match catch {
            Catch::Message(name) => TriggerOn::Message(self.evaluate_text(node, name)?),
            Catch::Signal(name) => TriggerOn::Signal(self.evaluate_text(node, name)?),
            Catch::Condition { .. } => TriggerOn::Condition,
            Catch::Timer(timer) => {
                let value = self.evaluate(node, &timer.value)?;
                match due(timer.form, &value, self.context.now) {
                    Some((due, Repeat { cycle, cron })) => TriggerOn::Timer { due, cycle, cron },
                    None => {
                        let id = self.definition.id_of(event);
                        return Err(
                            self.model_error(node, format!("the value of timer '{id}' is no supported time"))
                        );
                    }
                }
            }
            _ => return Ok(()),
        };
        let id = self.open(node, event, on);
        if matches!(catch, Catch::Condition { .. }) {
            self.born.insert(id, self.changes.len());
            if self.event_condition(node, catch)? {
                self.ready.push(id);
            }
        }
        Ok(())
    }

    fn open(&mut self, node: NodeId, element: ElementIx, on: TriggerOn) -> Uuid {
        let id = self.new_id();
        let activity = self.definition.id_of(element).to_owned();
        let trigger = Trigger { id, element, on };
        if let TriggerOn::Timer { due, .. } = trigger.on {
            self.effects.push(Effect::CreateTimer { id, activity, due });
        } else if let Some((kind, name)) = trigger.subscription(&activity) {
            let correlation_key = self.node(node).correlation_key();
            self.effects.push(Effect::Subscribe { id, kind, name, activity, correlation_key });
        }
        self.with_node(node, |node| node.triggers.push(trigger));
        id
    }

    /// An event happened for which this node waits.
    pub(super) fn fire(&mut self, node: NodeId, trigger: Uuid, source: Option<String>) -> Outcome {
        let Some(trigger) = self.node(node).triggers.iter().find(|t| t.id == trigger).cloned() else {
            return Ok(());
        };
        let event = trigger.element;
        match &self.definition.element(event).kind {
            Kind::Boundary { interrupting, .. } => {
                let scope = self.node(node).parent.unwrap_or(crate::state::ROOT);
                // Kept with the scope in which the boundary path ends.
                let receiver = self.message_scope(node);
                self.receive(receiver, source);
                if *interrupting {
                    self.cancel(node);
                } else {
                    self.repeat(node, &trigger);
                }
                self.work.push(Work::Enter { scope, element: event });
                Ok(())
            }
            Kind::Start(_, interrupting) => {
                let subprocess = self.definition.element(event).parent;
                if !interrupting {
                    self.repeat(node, &trigger);
                }
                self.start_event_subprocess(node, subprocess, *interrupting, source)
            }
            _ if matches!(self.element_of(node).kind, Kind::EventBased) => {
                let scope = self.parent_of(node);
                let receiver = self.message_scope(node);
                self.receive(receiver, source);
                // The gateway counts as cancelled, the event as passed.
                self.cancel(node);
                let caught = self.new_node(scope, event, false);
                self.caught(caught)
            }
            _ => {
                let receiver = self.message_scope(node);
                self.receive(receiver, source);
                self.leave(node)
            }
        }
    }

    fn receive(&mut self, scope: NodeId, source: Option<String>) {
        self.with_node(scope, |scope| scope.received.extend(source));
    }

    /// After a non-interrupting event: timers that repeat start anew, others are over; messages,
    /// signals and conditions stay.
    fn repeat(&mut self, node: NodeId, trigger: &Trigger) {
        let TriggerOn::Timer { cycle, cron, .. } = trigger.on else { return };
        self.close_trigger(node, trigger.id);
        let next = match cron {
            Some(cron) => cron.next(self.context.now),
            None => cycle.and_then(|cycle| cycle.next(cycle.start?, self.context.now)),
        };
        if let Some(due) = next {
            self.open(node, trigger.element, TriggerOn::Timer { due, cycle, cron });
        }
    }

    pub(super) fn start_event_subprocess(
        &mut self,
        scope: NodeId,
        subprocess: ElementIx,
        interrupting: bool,
        source: Option<String>,
    ) -> Outcome {
        if interrupting {
            self.cancel_children(scope);
            self.work.retain(|work| !matches!(work, Work::Enter { scope: s, .. } if *s == scope));
            self.close_event_subprocesses(scope);
        }
        let node = self.new_node(scope, subprocess, false);
        self.receive(node, source);
        self.start(node)
    }

    /// Looks at conditional events after variables changed; true when one happened.
    pub(super) fn fire_conditions(&mut self) -> Outcome<bool> {
        if let Some(id) = (!self.ready.is_empty()).then(|| self.ready.remove(0)) {
            if let Ok(node) = self.waiting(id, |on| *on == TriggerOn::Condition) {
                self.fire(node, id, None)?;
            }
            return Ok(true);
        }
        while self.changes_seen < self.changes.len() {
            let index = self.changes_seen;
            self.changes_seen += 1;
            let mut fired = Vec::new();
            for (id, node) in &self.state.nodes {
                for trigger in node.triggers.iter().filter(|trigger| trigger.on == TriggerOn::Condition) {
                    let known = self.born.get(&trigger.id).is_none_or(|born| *born <= index);
                    if known && self.concerns(*id, trigger.element, index)? {
                        fired.push((*id, trigger.id));
                    }
                }
            }
            for (node, trigger) in &fired {
                if self.state.nodes.contains_key(node) {
                    self.fire(*node, *trigger, None)?;
                }
            }
            if !fired.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn concerns(&self, node: NodeId, event: ElementIx, change: usize) -> Outcome<bool> {
        let change = &self.changes[change];
        let Some(catch @ Catch::Condition { variable, events, .. }) = self.catch_of(event) else {
            return Ok(false);
        };
        let kind = if change.created { "create" } else { "update" };
        let wanted = variable.as_ref().is_none_or(|name| *name == change.name)
            && (events.is_empty() || events.iter().any(|event| event == kind))
            && self.state.path(node).any(|id| id == change.scope);
        if wanted { self.event_condition(node, catch) } else { Ok(false) }
    }
}

/// How a timer repeats; not at all where both are absent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Repeat {
    pub(crate) cycle: Option<Cycle>,
    pub(crate) cron: Option<Cron>,
}

/// When a timer is due, and how it repeats.
pub(crate) fn due(form: TimerForm, value: &Value, now: i64) -> Option<(i64, Repeat)> {
    let text = match value {
        Value::String(text) | Value::Date(text) => text.trim(),
        _ => return None,
    };
    if form == TimerForm::Cycle {
        if let Some(cron) = Cron::parse(text) {
            return Some((cron.next(now)?, Repeat { cron: Some(cron), cycle: None }));
        }
        let cycle = iso8601::cycle(text).ok()?;
        let anchored = Cycle { start: Some(cycle.start.unwrap_or(now)), ..cycle };
        return Some((cycle.next(now, now)?, Repeat { cycle: Some(anchored), cron: None }));
    }
    let single = |text: &str, from: i64| match text.starts_with('P') {
        true => iso8601::duration(text).ok()?.after(from),
        false => iso8601::instant(text).ok(),
    };
    let due = match text.split_once('/') {
        None => single(text, now)?,
        // `start/duration` counts from the start, `duration/end` is due at the end.
        Some((start, duration)) if duration.starts_with('P') => {
            single(duration, iso8601::instant(start).ok()?)?
        }
        Some((_, end)) => iso8601::instant(end).ok()?,
    };
    Some((due, Repeat::default()))
}
