//! Joins: parallel and inclusive gateways.
use std::collections::BTreeSet;

use super::{Outcome, Run, Work};
use crate::definition::{ElementIx, Kind, Throw};
use crate::effect::HistoryKind;
use crate::state::{NodeId, Wait};

impl Run<'_, '_, '_> {
    /// Waits until as many tokens are here as flows lead here; two on one flow count as two.
    pub(super) fn join_parallel(&mut self, node: NodeId) -> Outcome {
        self.with_node(node, |node| node.wait = Wait::Join);
        let waiting = self.waiting_at(self.parent_of(node), self.node(node).element);
        if waiting.len() < self.element_of(node).incoming.len() { Ok(()) } else { self.merge(node, &waiting) }
    }

    /// Waits until no other token of the scope can arrive any more.
    pub(super) fn join_inclusive(&mut self, node: NodeId) -> Outcome {
        self.with_node(node, |node| node.wait = Wait::Join);
        let (scope, element) = (self.parent_of(node), self.node(node).element);
        let waiting = self.waiting_at(scope, element);
        let full = waiting.len() >= self.element_of(node).incoming.len();
        if full || !self.more_may_arrive(scope, element) { self.merge(node, &waiting) } else { Ok(()) }
    }

    /// Looks at waiting inclusive joins again; true when one went on.
    pub(super) fn release_inclusive_joins(&mut self) -> Outcome<bool> {
        if !self.context.options.inclusive_join_reevaluates {
            return Ok(false);
        }
        let inclusive = |node: &&NodeId| {
            self.node(**node).wait == Wait::Join && matches!(self.element_of(**node).kind, Kind::Inclusive)
        };
        let joins: Vec<NodeId> = self.state.nodes.keys().filter(inclusive).copied().collect();
        for node in joins {
            let (scope, element) = (self.parent_of(node), self.node(node).element);
            if !self.more_may_arrive(scope, element) {
                let waiting = self.waiting_at(scope, element);
                self.merge(node, &waiting)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn waiting_at(&self, scope: NodeId, element: ElementIx) -> Vec<NodeId> {
        let here = |node: &crate::state::Node| {
            node.parent == Some(scope) && node.element == element && node.wait == Wait::Join
        };
        self.state.nodes.iter().filter(|(_, node)| here(node)).map(|(id, _)| *id).collect()
    }

    /// All waiting tokens become one, which leaves.
    fn merge(&mut self, node: NodeId, waiting: &[NodeId]) -> Outcome {
        for other in waiting.iter().filter(|other| **other != node) {
            self.history(HistoryKind::End, *other);
            self.remove(*other);
        }
        self.leave(node)
    }

    /// True while a token of the scope that is not at the gateway can reach it along flows.
    fn more_may_arrive(&self, scope: NodeId, gateway: ElementIx) -> bool {
        let inside = self.state.nodes.values().filter(|node| node.parent == Some(scope));
        let elsewhere = inside.filter(|node| !(node.element == gateway && node.wait == Wait::Join));
        let moving = self.work.iter().filter_map(|work| match work {
            Work::Enter { scope: s, element } if *s == scope => Some(*element),
            _ => None,
        });
        // A token that stands before the gateway arrives, whatever flows follow.
        let mut open: Vec<ElementIx> = Vec::new();
        for element in moving {
            if element == gateway {
                return true;
            }
            open.push(element);
        }
        for node in elsewhere {
            if node.element == gateway && matches!(node.wait, Wait::AsyncBefore(_)) {
                return true;
            }
            open.push(node.element);
        }
        let mut seen: BTreeSet<ElementIx> = open.iter().copied().collect();
        while let Some(element) = open.pop() {
            let element = self.definition.element(element);
            let flows = element.outgoing.iter().map(|flow| self.definition.flow(*flow).target);
            let link = match element.kind {
                Kind::Throw(Throw::Link(target)) => Some(target),
                _ => None,
            };
            for next in flows.chain(element.boundaries.iter().copied()).chain(link) {
                if next == gateway {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }
}
