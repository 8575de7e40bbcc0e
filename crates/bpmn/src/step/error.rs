//! BPMN errors and escalations: who catches them (contract 7.4).
use super::{Outcome, Run, Work};
use crate::definition::{Catch, ElementIx, Kind};
use crate::effect::HistoryKind;
use crate::state::{NodeId, ROOT};
use crate::value::Value;

/// Where an error or escalation is caught.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handler {
    /// The scope or activity instance whose handler it is.
    at: NodeId,
    /// Boundary event, or event subprocess.
    element: ElementIx,
    /// The event that catches: the boundary event itself, or the start event inside.
    event: ElementIx,
}

impl Run<'_, '_, '_> {
    pub(super) fn error_handler(&self, from: NodeId, code: &str) -> Option<Handler> {
        self.handler(from, |catch| match catch {
            Catch::Error { code: None, .. } => Some(false),
            Catch::Error { code: Some(caught), .. } if caught == code => Some(true),
            _ => None,
        })
    }

    pub(super) fn escalation_handler(&self, from: NodeId, code: &str) -> Option<Handler> {
        self.handler(from, |catch| match catch {
            Catch::Escalation { code: None, .. } => Some(false),
            Catch::Escalation { code: Some(caught), .. } if caught == code => Some(true),
            _ => None,
        })
    }

    /// Searches from the thrower upwards. In one scope event subprocesses come before boundary
    /// events, and handlers with the code before those that catch all.
    fn handler(&self, from: NodeId, catches: impl Fn(&Catch) -> Option<bool>) -> Option<Handler> {
        let mut below: Option<NodeId> = None;
        for at in self.state.path(from) {
            let node = self.node(at);
            let element = self.element_of(at);
            // A scope that is in its listeners has not opened its event subprocesses yet, or closed them.
            if !node.body
                && node.listening.is_none()
                && matches!(element.kind, Kind::Process | Kind::SubProcess { .. })
            {
                let inside = below.map(|below| self.node(below).element);
                let starts =
                    element.children.iter().filter(|child| Some(**child) != inside).filter_map(|child| {
                        let Kind::SubProcess { by_event: true, .. } = self.definition.element(*child).kind
                        else {
                            return None;
                        };
                        let (start, catch, _) = self.start_of(*child)?;
                        Some((Handler { at, element: *child, event: start }, catches(catch)?))
                    });
                if let Some(handler) = best(starts) {
                    return Some(handler);
                }
            }
            if element.multi.is_none() || node.body {
                let boundaries = element.boundaries.iter().filter_map(|boundary| {
                    let Kind::Boundary { on, .. } = &self.definition.element(*boundary).kind else {
                        return None;
                    };
                    Some((Handler { at, element: *boundary, event: *boundary }, catches(on)?))
                });
                if let Some(handler) = best(boundaries) {
                    return Some(handler);
                }
            }
            below = Some(at);
        }
        None
    }

    /// Throws an error from an activity. Uncaught, the token ends without a trace.
    pub(super) fn throw_error(&mut self, node: NodeId, code: &str, message: Option<&str>) -> Outcome {
        let Some(handler) = self.error_handler(node, code) else {
            return self.end_silently(node);
        };
        if let Some(Catch::Error { code_variable, message_variable, .. }) = self.catch_of(handler.event) {
            if let Some(name) = code_variable {
                self.set(handler.at, name, Value::from(code));
            }
            if let Some(name) = message_variable {
                self.set(handler.at, name, message.map_or(Value::Null, Value::from));
            }
        }
        self.handle(handler, true)
    }

    /// Throws an escalation. Uncaught, nothing happens.
    pub(super) fn throw_escalation(&mut self, node: NodeId, code: &str) -> Outcome {
        let Some(handler) = self.escalation_handler(node, code) else {
            if self.state.called {
                self.throw_to_caller(node, None, true, code.to_owned(), None);
            }
            return Ok(());
        };
        if let Some(Catch::Escalation { code_variable: Some(name), .. }) = self.catch_of(handler.event) {
            self.set(handler.at, name, Value::from(code));
        }
        let interrupting = match &self.definition.element(handler.event).kind {
            Kind::Boundary { interrupting, .. } | Kind::Start(_, interrupting) => *interrupting,
            _ => true,
        };
        self.handle(handler, interrupting)
    }

    fn handle(&mut self, handler: Handler, interrupting: bool) -> Outcome {
        if handler.element != handler.event {
            return self.start_event_subprocess(handler.at, handler.element, interrupting, None);
        }
        let scope = self.state.nodes.get(&handler.at).and_then(|node| node.parent).unwrap_or(ROOT);
        if interrupting {
            self.cancel(handler.at);
        }
        self.work.push(Work::Enter { scope, element: handler.element });
        Ok(())
    }

    /// Ends a token as the reference engine does on an uncaught error: no flow, no end event.
    fn end_silently(&mut self, node: NodeId) -> Outcome {
        if node == ROOT {
            return self.end_process();
        }
        self.history(HistoryKind::End, node);
        let scope = self.parent_of(node);
        if self.node(scope).body {
            return self.instance_ended(node);
        }
        let handles = self.node(node).compensates;
        self.remove(node);
        match handles {
            Some(thrower) => self.compensated(thrower),
            None => self.end_token(scope),
        }
    }
}

/// The first that matches exactly, else the first that catches all.
fn best(handlers: impl Iterator<Item = (Handler, bool)>) -> Option<Handler> {
    let mut general = None;
    for (handler, exact) in handlers {
        if exact {
            return Some(handler);
        }
        general = general.or(Some(handler));
    }
    general
}
