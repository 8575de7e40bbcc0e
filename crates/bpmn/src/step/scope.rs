//! Variables by scope: who sees what, where a value goes, and expressions over them (contract 6).
use serde_json::Value as Json;

use super::{Change, Outcome, Run};
use crate::definition::{Assignment, Catch, Definition, Kind, MappedValue};
use crate::expression::{Environment, EvaluationError, Template};
use crate::state::{NodeId, ROOT, State};
use crate::value::{Value, Variables};

/// What expressions see from an activity instance.
struct View<'a> {
    definition: &'a Definition,
    state: &'a State,
    node: NodeId,
    now: i64,
}

impl Environment for View<'_> {
    fn variable(&self, name: &str) -> Option<&Value> {
        self.state.path(self.node).find_map(|id| self.state.nodes.get(&id)?.variables.get(name))
    }
    fn local_variable(&self, name: &str) -> Option<&Value> {
        self.state.nodes.get(&self.node)?.variables.get(name)
    }
    fn business_key(&self) -> Option<&str> {
        self.state.business_key()
    }
    fn instance_id(&self) -> String {
        self.state.instance.to_string()
    }
    fn activity_id(&self) -> &str {
        self.state.nodes.get(&self.node).map_or("", |node| self.definition.id_of(node.element))
    }
    fn now(&self) -> i64 {
        self.now
    }
}

impl Run<'_, '_, '_> {
    fn view(&self, node: NodeId) -> View<'_> {
        View { definition: self.definition, state: &self.state, node, now: self.context.now }
    }

    pub(super) fn evaluate(&self, node: NodeId, template: &Template) -> Outcome<Value> {
        template.evaluate(&self.view(node)).map_err(|error| self.model_error(node, error))
    }

    pub(super) fn evaluate_text(&self, node: NodeId, template: &Template) -> Outcome<String> {
        template.evaluate_text(&self.view(node)).map_err(|error| self.model_error(node, error))
    }

    pub(super) fn condition(&self, node: NodeId, condition: &Template) -> Outcome<bool> {
        condition.condition(&self.view(node)).map_err(|error| self.model_error(node, error))
    }

    /// The condition of a conditional event: an unknown variable counts as false (contract 7.2).
    pub(super) fn event_condition(&self, node: NodeId, catch: &Catch) -> Outcome<bool> {
        let Catch::Condition { expression, .. } = catch else { return Ok(false) };
        match expression.condition(&self.view(node)) {
            Ok(holds) => Ok(holds),
            Err(EvaluationError::UnknownVariable(_)) => Ok(false),
            Err(error) => Err(self.model_error(node, error)),
        }
    }

    pub(super) fn set_local(&mut self, scope: NodeId, name: &str, value: Value) {
        let mut created = false;
        self.with_node(scope, |node| created = node.variables.insert(name.to_owned(), value).is_none());
        self.changes.push(Change { scope, name: name.to_owned(), created });
    }

    /// Sets in the nearest scope that has the name, else at the instance.
    pub(super) fn set(&mut self, from: NodeId, name: &str, value: Value) {
        let has =
            |id: &NodeId| self.state.nodes.get(id).is_some_and(|node| node.variables.contains_key(name));
        let scope = self.state.path(from).find(has).unwrap_or(ROOT);
        self.set_local(scope, name, value);
    }

    pub(super) fn set_all(&mut self, from: NodeId, variables: Variables) {
        for (name, value) in variables {
            self.set(from, &name, value);
        }
    }

    /// Where local variables of an activity go: to itself if it is a scope, else around it.
    pub(super) fn local_scope(&self, node: NodeId) -> NodeId {
        let element = self.element_of(node);
        let shown = self.node(node);
        let own = match &element.kind {
            Kind::Process | Kind::SubProcess { .. } | Kind::EventBased | Kind::Receive(_) => true,
            Kind::Catch(catch) => !matches!(catch, Catch::Link),
            _ => element.job().is_some() && self.context.options.job_activities_are_scopes,
        };
        let mapped =
            !element.inputs.is_empty() || !element.outputs.is_empty() || !element.boundaries.is_empty();
        if own || mapped || element.multi.is_some() || shown.body { node } else { self.parent_of(node) }
    }

    pub(super) fn apply_inputs(&mut self, node: NodeId) -> Outcome {
        for mapping in &self.element_of(node).inputs {
            let value = self.mapped(node, &mapping.value)?;
            self.set_local(node, &mapping.name, value);
        }
        Ok(())
    }

    /// Output parameters go to the nearest scope around the activity that has the name, else to the
    /// instance.
    pub(super) fn apply_outputs(&mut self, node: NodeId) -> Outcome {
        for mapping in &self.element_of(node).outputs {
            let value = self.mapped(node, &mapping.value)?;
            let outer = self.parent_of(node);
            self.set(outer, &mapping.name, value);
        }
        Ok(())
    }

    fn mapped(&self, node: NodeId, value: &MappedValue) -> Outcome<Value> {
        Ok(match value {
            MappedValue::Template(template) => self.evaluate(node, template)?,
            MappedValue::List(values) => {
                let values: Outcome<Vec<Json>> =
                    values.iter().map(|value| Ok(self.mapped(node, value)?.to_json())).collect();
                Value::Json(Json::Array(values?))
            }
            MappedValue::Map(entries) => {
                let entries: Outcome<serde_json::Map<String, Json>> = entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.mapped(node, value)?.to_json())))
                    .collect();
                Value::Json(Json::Object(entries?))
            }
        })
    }

    /// Runs a class inside the step.
    pub(super) fn assign(&mut self, node: NodeId, assignments: &[Assignment]) -> Outcome {
        for assignment in assignments {
            let name = self.evaluate_text(node, &assignment.name)?;
            let value = self.evaluate(node, &assignment.value)?;
            if assignment.local {
                let scope = self.local_scope(node);
                self.set_local(scope, &name, value);
            } else {
                self.set(node, &name, value);
            }
        }
        Ok(())
    }
}
