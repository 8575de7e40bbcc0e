//! Compensation: what has completed is undone by its handlers; transactions (contract 7.3).
//!
//! All handlers of one throw are started at once, the last completed activity first, as the
//! reference engine does; BPMN 2.0 would have them one after the other.
use super::{Outcome, Run, Work};
use crate::definition::{Catch, ElementIx, Kind, Throw};
use crate::effect::HistoryKind;
use crate::state::{CompensatedBy, Completed, NodeId, Wait};

impl Run<'_, '_, '_> {
    /// Remembers an activity instance that ends normally, if it can be compensated.
    pub(super) fn completed(&mut self, node: NodeId) {
        let element = self.element_of(node);
        let shown = self.node(node);
        if shown.body || shown.compensates.is_some() {
            return;
        }
        let handler = element.boundaries.iter().find_map(|boundary| match self.catch_of(*boundary) {
            Some(Catch::Compensation(handler)) => Some(*handler),
            _ => None,
        });
        let by = match handler {
            Some(handler) => CompensatedBy::Handler(handler),
            None if shown.completed.is_empty() => return,
            None => CompensatedBy::Inside {
                variables: shown.variables.clone(),
                completed: shown.completed.clone(),
            },
        };
        let entry = Completed { element: shown.element, by };
        let scope = self.message_scope(node);
        self.with_node(scope, |scope| scope.completed.push(entry));
    }

    /// A compensation throw or end event: starts the handlers and waits for them.
    pub(super) fn throw_compensation(&mut self, node: NodeId, activity: Option<ElementIx>) -> Outcome {
        let mut scope = self.parent_of(node);
        // Inside an event subprocess the scope around it is meant.
        if matches!(self.element_of(scope).kind, Kind::SubProcess { by_event: true, .. }) {
            scope = self.message_scope(scope);
        }
        let mut chosen = Vec::new();
        self.with_node(scope, |scope| {
            let all = std::mem::take(&mut scope.completed);
            let (wanted, kept) = all.into_iter().partition(|c| activity.is_none_or(|only| c.element == only));
            scope.completed = kept;
            chosen = wanted;
        });
        self.compensate(node, scope, chosen)
    }

    /// Starts handlers for which `waiting` waits; goes on at once where there are none.
    fn compensate(&mut self, waiting: NodeId, scope: NodeId, chosen: Vec<Completed>) -> Outcome {
        if chosen.is_empty() {
            return self.compensated(waiting);
        }
        self.with_node(waiting, |node| node.wait = Wait::Compensating);
        // The work is a stack: what completed last starts first.
        for entry in chosen {
            match entry.by {
                CompensatedBy::Handler(handler) => {
                    let multi = self.definition.element(handler).multi.is_some();
                    let node = self.new_node(scope, handler, multi);
                    self.with_node(node, |node| node.compensates = Some(waiting));
                    self.work.push(Work::Start(node));
                }
                CompensatedBy::Inside { variables, completed } => {
                    let node = self.new_node(scope, entry.element, false);
                    self.with_node(node, |node| {
                        node.compensates = Some(waiting);
                        node.variables = variables;
                    });
                    self.history(HistoryKind::Start, node);
                    self.compensate(node, node, completed)?;
                }
            }
        }
        Ok(())
    }

    /// A handler is done, or there was none: with the last one the thrower goes on.
    pub(super) fn compensated(&mut self, waiting: NodeId) -> Outcome {
        if self.state.nodes.values().any(|node| node.compensates == Some(waiting)) {
            return Ok(());
        }
        if !self.state.nodes.contains_key(&waiting) {
            return Ok(());
        }
        match &self.element_of(waiting).kind {
            Kind::End(Throw::Cancel) => self.leave_transaction(waiting),
            Kind::End(_) => self.end_event(waiting),
            _ => self.leave(waiting),
        }
    }

    /// A cancel end event: everything else in the transaction stops, then what completed is undone.
    pub(super) fn cancel_transaction(&mut self, node: NodeId) -> Outcome {
        let scope = self.parent_of(node);
        for other in self.children(scope) {
            if other != node {
                self.cancel(other);
            }
        }
        self.work.retain(|work| !matches!(work, Work::Enter { scope: s, .. } if *s == scope));
        self.throw_compensation(node, None)
    }

    fn leave_transaction(&mut self, node: NodeId) -> Outcome {
        let transaction = self.parent_of(node);
        let boundaries = &self.element_of(transaction).boundaries;
        let boundary =
            boundaries.iter().find(|boundary| matches!(self.catch_of(**boundary), Some(Catch::Cancel)));
        let Some(boundary) = boundary.copied() else {
            return Err(self.model_error(node, "the transaction has no cancel boundary event"));
        };
        // With multi-instance the boundary belongs to the body.
        let outer = match self.element_of(transaction).multi {
            Some(_) => self.parent_of(transaction),
            None => transaction,
        };
        let scope = self.parent_of(outer);
        self.cancel(outer);
        self.work.push(Work::Enter { scope, element: boundary });
        Ok(())
    }
}
