//! Multi-instance activities: a body that encloses the instances (contract 6 and 7.3).
use serde_json::Value as Json;

use super::{Outcome, Run, Work};
use crate::definition::{Loop, Multi};
use crate::effect::HistoryKind;
use crate::state::{NodeId, Wait};
use crate::value::Value;

/// Most instances of one multi-instance activity.
pub(crate) const MAX_INSTANCES: i64 = 100_000;

const TOTAL: &str = "nrOfInstances";
const COMPLETED: &str = "nrOfCompletedInstances";
const ACTIVE: &str = "nrOfActiveInstances";
const COUNTER: &str = "loopCounter";

impl<'d> Run<'d, '_, '_> {
    pub(super) fn start_body(&mut self, body: NodeId) -> Outcome {
        let Some(multi) = &self.element_of(body).multi else { return Ok(()) };
        self.with_node(body, |body| body.wait = Wait::Scope);
        self.history(HistoryKind::Start, body);
        self.open_boundaries(body)?;
        if let Some(looped) = &multi.looped {
            self.set_local(body, COMPLETED, Value::Integer(0));
            if looped.test_before && !self.goes_on(body, looped, 0)? {
                return self.leave(body);
            }
            return self.next_instance(body, multi, 0, Vec::new());
        }
        let (count, items) = self.instances(body, multi)?;
        if count == 0 {
            return self.leave(body);
        }
        self.set_local(body, TOTAL, Value::Integer(count));
        self.set_local(body, COMPLETED, Value::Integer(0));
        if multi.sequential {
            self.set_local(body, ACTIVE, Value::Integer(1));
            return self.next_instance(body, multi, 0, items);
        }
        self.set_local(body, ACTIVE, Value::Integer(count));
        let element = self.node(body).element;
        let mut started = Vec::new();
        let mut items = items.into_iter();
        for counter in 0..count {
            let node = self.new_node(body, element, false);
            self.set_local(node, COUNTER, Value::Integer(counter));
            if let (Some(name), Some(item)) = (&multi.element_variable, items.next()) {
                self.set_local(node, name, Value::from_json(item));
            }
            started.push(node);
        }
        if multi.async_before {
            for node in started {
                self.wait_before(node, multi.retry_cycle.as_ref(), multi.exclusive)?;
            }
        } else {
            self.work.extend(started.into_iter().rev().map(Work::Start));
        }
        Ok(())
    }

    /// Number of instances, and their elements where there is a collection.
    fn instances(&self, body: NodeId, multi: &Multi) -> Outcome<(i64, Vec<Json>)> {
        let (count, items) = match (&multi.cardinality, &multi.collection) {
            (Some(cardinality), _) => {
                let count = match self.evaluate(body, cardinality)? {
                    Value::Integer(count) => Some(count),
                    Value::String(text) => text.trim().parse().ok(),
                    _ => None,
                };
                (
                    count.ok_or_else(|| self.model_error(body, "loopCardinality is no whole number"))?,
                    Vec::new(),
                )
            }
            (None, Some(collection)) => match self.evaluate(body, collection)? {
                Value::Json(Json::Array(items)) => (i64::try_from(items.len()).unwrap_or(i64::MAX), items),
                other => {
                    let message = format!("the multi-instance collection is no list but {}", other.kind());
                    return Err(self.model_error(body, message));
                }
            },
            (None, None) => (0, Vec::new()),
        };
        if !(0..=MAX_INSTANCES).contains(&count) {
            return Err(self.model_error(body, format!("{count} instances are not possible")));
        }
        Ok((count, items))
    }

    fn next_instance(&mut self, body: NodeId, multi: &'d Multi, counter: i64, items: Vec<Json>) -> Outcome {
        self.set_local(body, COUNTER, Value::Integer(counter));
        let item = usize::try_from(counter).ok().and_then(|counter| items.into_iter().nth(counter));
        if let (Some(name), Some(item)) = (&multi.element_variable, item) {
            self.set_local(body, name, Value::from_json(item));
        }
        let node = self.new_node(body, self.node(body).element, false);
        if multi.async_before {
            return self.wait_before(node, multi.retry_cycle.as_ref(), multi.exclusive);
        }
        self.work.push(Work::Start(node));
        Ok(())
    }

    /// One instance has ended: counts it, then the body ends or goes on.
    pub(super) fn instance_ended(&mut self, node: NodeId) -> Outcome {
        let body = self.parent_of(node);
        let Some(multi) = &self.element_of(body).multi else { return Ok(()) };
        let completed = self.counter(body, COMPLETED) + 1;
        self.set_local(body, COMPLETED, Value::Integer(completed));
        if !multi.sequential {
            let active = self.counter(body, ACTIVE) - 1;
            self.set_local(body, ACTIVE, Value::Integer(active));
        }
        let satisfied = match &multi.completion {
            Some(completion) => self.condition(node, completion)?,
            None => false,
        };
        if let Some(looped) = &multi.looped {
            let again = self.goes_on(node, looped, completed)?;
            self.remove(node);
            return if again {
                self.next_instance(body, multi, completed, Vec::new())
            } else {
                self.leave(body)
            };
        }
        self.remove(node);
        if satisfied {
            self.cancel_children(body);
            return self.leave(body);
        }
        if multi.sequential {
            let total = self.counter(body, TOTAL);
            if completed < total {
                let (_, items) = self.instances(body, multi)?;
                return self.next_instance(body, multi, completed, items);
            }
        } else if self.state.nodes.values().any(|node| node.parent == Some(body)) {
            return Ok(());
        }
        self.leave(body)
    }

    /// True when a standard loop makes another round.
    fn goes_on(&self, node: NodeId, looped: &Loop, completed: i64) -> Outcome<bool> {
        if completed >= looped.maximum.unwrap_or(MAX_INSTANCES) {
            return Ok(false);
        }
        looped.condition.as_ref().map_or(Ok(true), |condition| self.condition(node, condition))
    }

    fn counter(&self, body: NodeId, name: &str) -> i64 {
        match self.node(body).variables.get(name) {
            Some(Value::Integer(value)) => *value,
            _ => 0,
        }
    }
}
