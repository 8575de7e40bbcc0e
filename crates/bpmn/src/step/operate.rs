//! What an operator can do to a token: let it go on, move it, try again, change what it sees.
use uuid::Uuid;

use super::{Outcome, Run, StepError, Work};
use crate::definition::Kind;
use crate::effect::{Effect, HistoryKind};
use crate::state::{NodeId, ROOT, Wait};
use crate::value::Value;

impl Run<'_, '_, '_> {
    /// The token that waits with this id.
    fn token(&self, token: Uuid) -> Outcome<NodeId> {
        let node = self.state.node_of(token).ok_or(StepError::NotWaiting)?;
        match self.node(node).wait {
            // Its open events are those of its boundary or of event subprocesses.
            Wait::Scope | Wait::Running => Err(StepError::NotWaiting),
            _ => Ok(node),
        }
    }

    pub(super) fn skip(&mut self, token: Uuid) -> Outcome {
        let node = self.token(token)?;
        let wait = self.node(node).wait;
        match wait {
            Wait::Job(id) => self.withdraw(id, Effect::CancelJob { id }),
            Wait::UserTask(id) => self.withdraw(id, Effect::CancelUserTask { id }),
            Wait::Call(id) => self.withdraw(id, Effect::CancelCall { id }),
            Wait::Failed(_) | Wait::Event => {}
            // These end by themselves.
            _ => return Err(StepError::NotWaiting),
        }
        if matches!(self.element_of(node).kind, Kind::EventBased) {
            let message = "an event-based gateway cannot be skipped; move the token behind one of its events";
            return Err(self.model_error(node, message));
        }
        self.job_done(node)
    }

    pub(super) fn move_token(&mut self, token: Uuid, to: &str) -> Outcome {
        let node = self.token(token)?;
        if node == ROOT {
            let message = "a listener of the process cannot be moved; retry or skip it";
            return Err(self.model_error(node, message));
        }
        let scope = self.parent_of(node);
        let target = self.definition.index.get(to).copied();
        let fits = |ix: &u32| {
            let element = self.definition.element(*ix);
            *ix != 0
                && !self.node(scope).body
                && element.parent == self.node(scope).element
                && !matches!(element.kind, Kind::Boundary { .. } | Kind::SubProcess { by_event: true, .. })
        };
        let Some(target) = target.filter(fits) else {
            return Err(
                self.model_error(node, format!("'{to}' is no element that a token of this scope can enter"))
            );
        };
        if self.node(node).compensates.is_some() {
            return Err(self.model_error(node, "a compensation handler cannot be moved"));
        }
        self.cancel(node);
        self.work.push(Work::Enter { scope, element: target });
        Ok(())
    }

    pub(super) fn retry(&mut self, token: Uuid) -> Outcome {
        let node = self.waiting_for(token, |wait| matches!(wait, Wait::Failed(_)))?;
        self.with_node(node, |node| node.wait = Wait::Running);
        self.execute(node)
    }

    pub(super) fn edit_variable(&mut self, token: Option<Uuid>, name: &str, value: Option<Value>) -> Outcome {
        let from = match token {
            Some(token) => self.state.node_of(token).ok_or(StepError::NotWaiting)?,
            None => ROOT,
        };
        match value {
            Some(value) => self.set(from, name, value),
            None => {
                let has = |id: &NodeId| self.node(*id).variables.contains_key(name);
                let scope = self.state.path(from).find(has);
                if let Some(scope) = scope {
                    self.with_node(scope, |scope| {
                        scope.variables.remove(name);
                    });
                }
            }
        }
        self.history(HistoryKind::Edit, from);
        Ok(())
    }
}
