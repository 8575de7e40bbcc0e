//! Taking things back: activities, triggers, jobs.
use uuid::Uuid;

use super::Run;
use crate::definition::Kind;
use crate::effect::{Effect, HistoryKind};
use crate::state::{NodeId, ROOT, TriggerOn, Wait};

impl Run<'_, '_, '_> {
    /// Interrupts an activity instance with everything inside.
    pub(super) fn cancel(&mut self, node: NodeId) {
        self.cancel_children(node);
        match self.node(node).wait {
            // Not started, or ended already.
            Wait::AsyncBefore(id) | Wait::AsyncAfter(id, _) => {
                self.withdraw(id, Effect::CancelAsyncJob { id });
            }
            wait => {
                match wait {
                    Wait::Job(id) => self.withdraw(id, Effect::CancelJob { id }),
                    Wait::UserTask(id) => self.withdraw(id, Effect::CancelUserTask { id }),
                    Wait::Call(id) => self.withdraw(id, Effect::CancelCall { id }),
                    _ => {}
                }
                self.history(HistoryKind::Cancel, node);
            }
        }
        self.remove(node);
    }

    pub(super) fn cancel_children(&mut self, scope: NodeId) {
        for child in self.children(scope) {
            self.cancel(child);
        }
    }

    /// Takes an activity instance out of the tree. Messages it received and no end event completed
    /// stay with the scope around it.
    pub(super) fn remove(&mut self, node: NodeId) {
        self.close_triggers(node);
        if let Some(removed) = self.state.nodes.remove(&node)
            && let Some(parent) = removed.parent
        {
            self.with_node(parent, |parent| parent.received.extend(removed.received));
        }
    }

    pub(super) fn close_triggers(&mut self, node: NodeId) {
        let mut triggers = Vec::new();
        self.with_node(node, |node| triggers = std::mem::take(&mut node.triggers));
        for trigger in triggers {
            self.closed(trigger.id, &trigger.on);
        }
    }

    /// Closes the start events of the event subprocesses of a scope; its boundary events stay.
    pub(super) fn close_event_subprocesses(&mut self, scope: NodeId) {
        let definition = self.definition;
        let mut closed = Vec::new();
        self.with_node(scope, |scope| {
            scope.triggers.retain(|trigger| {
                let start = matches!(definition.element(trigger.element).kind, Kind::Start(..));
                if start {
                    closed.push((trigger.id, trigger.on.clone()));
                }
                !start
            });
        });
        for (id, on) in closed {
            self.closed(id, &on);
        }
    }

    /// Closes one trigger of a node.
    pub(super) fn close_trigger(&mut self, node: NodeId, trigger: Uuid) {
        let mut found = None;
        self.with_node(node, |node| {
            if let Some(at) = node.triggers.iter().position(|t| t.id == trigger) {
                found = Some(node.triggers.remove(at));
            }
        });
        if let Some(trigger) = found {
            self.closed(trigger.id, &trigger.on);
        }
    }

    fn closed(&mut self, id: Uuid, on: &TriggerOn) {
        match on {
            TriggerOn::Timer { .. } => self.withdraw(id, Effect::CancelTimer { id }),
            _ => self.withdraw(id, Effect::Unsubscribe { id }),
        }
    }

    /// Takes back something the caller may know: nothing to tell where this step made it, or where
    /// the command used it up. A used subscription is told all the same, rows of it still exist.
    pub(super) fn withdraw(&mut self, id: Uuid, effect: Effect) {
        let makes = |effect: &Effect| match effect {
            Effect::CreateJob { id: made, .. }
            | Effect::CreateAsyncJob { id: made, .. }
            | Effect::CreateTimer { id: made, .. }
            | Effect::Subscribe { id: made, .. }
            | Effect::StartCall { id: made, .. }
            | Effect::CreateUserTask { id: made, .. } => *made == id,
            _ => false,
        };
        if let Some(at) = self.effects.iter().position(makes) {
            self.effects.remove(at);
        } else if self.used != Some(id) {
            self.effects.push(effect);
        }
    }

    /// The nearest scope around a node in which messages are kept until an end event.
    pub(super) fn message_scope(&self, node: NodeId) -> NodeId {
        let around = self.state.path(node).skip(1).find(|id| !self.node(*id).body);
        around.unwrap_or(ROOT)
    }
}
