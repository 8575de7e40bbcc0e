//! Call activities: what goes into a called instance, what comes back, what it throws (contract 7.3, 7.4).
use uuid::Uuid;

use super::{Outcome, Run, StepError};
use crate::command::Context;
use crate::definition::{Binding, Call, CallBinding, Kind, Passed};
use crate::effect::Effect;
use crate::expression::Environment;
use crate::state::{NodeId, Wait};
use crate::value::{Value, Variables};

/// What the expressions of output mappings see: the called instance.
struct Called<'a> {
    variables: &'a Variables,
    id: Uuid,
    now: i64,
}

impl Environment for Called<'_> {
    fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }
    fn local_variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }
    fn business_key(&self) -> Option<&str> {
        None
    }
    fn instance_id(&self) -> String {
        self.id.to_string()
    }
    fn activity_id(&self) -> &str {
        ""
    }
    fn now(&self) -> i64 {
        self.now
    }
}

impl<'d> Run<'d, '_, '_> {
    pub(super) fn call(&mut self, node: NodeId, call: &'d Call) -> Outcome {
        let called = self.evaluate_text(node, &call.called)?;
        let binding = match &call.binding {
            Binding::Latest => CallBinding::Latest,
            Binding::Deployment => CallBinding::Deployment,
            Binding::Version(version) => CallBinding::Version(self.evaluate_text(node, version)?),
            Binding::VersionTag(tag) => CallBinding::VersionTag(self.evaluate_text(node, tag)?),
        };
        let business_key = match &call.business_key {
            Some(key) => match self.evaluate(node, key)? {
                Value::Null => None,
                _ => Some(self.evaluate_text(node, key)?),
            },
            None => None,
        };
        let variables = self.passed(node, &call.inputs)?;
        let id = self.new_id();
        let activity = self.element_of(node).id.clone();
        self.effects.push(Effect::StartCall { id, activity, called, binding, business_key, variables });
        self.with_node(node, |node| node.wait = Wait::Call(id));
        Ok(())
    }

    pub(super) fn call_done(&mut self, call: Uuid, variables: &Variables) -> Outcome {
        let node = self.waiting_for(call, |wait| matches!(wait, Wait::Call(_)))?;
        self.used = Some(call);
        self.map_outputs(node, call, variables)?;
        self.leave(node)
    }

    /// Output mappings apply to what travels with an error or escalation, too.
    pub(super) fn call_threw(
        &mut self,
        call: Uuid,
        escalation: bool,
        code: &str,
        message: Option<&str>,
        variables: &Variables,
    ) -> Outcome {
        let node = self.waiting_for(call, |wait| matches!(wait, Wait::Call(_)))?;
        let handler =
            if escalation { self.escalation_handler(node, code) } else { self.error_handler(node, code) };
        if handler.is_none() {
            return Err(StepError::NotCaught);
        }
        self.map_outputs(node, call, variables)?;
        match escalation {
            true => self.throw_escalation(node, code),
            false => self.throw_error(node, code, message),
        }
    }

    fn map_outputs(&mut self, node: NodeId, id: Uuid, variables: &Variables) -> Outcome {
        let Kind::Call(call) = &self.element_of(node).kind else { return Ok(()) };
        let Context { now, .. } = *self.context;
        for mapping in &call.outputs {
            let returned: Variables = match &mapping.what {
                Passed::All { .. } => variables.clone(),
                Passed::One { source, target } => {
                    let value = source.evaluate(&Called { variables, id, now });
                    let value = value.map_err(|error| self.model_error(node, error))?;
                    Variables::from([(target.clone(), value)])
                }
            };
            for (name, value) in returned {
                if mapping.local { self.set_local(node, &name, value) } else { self.set(node, &name, value) }
            }
        }
        Ok(())
    }

    /// Says that the caller is to be asked. `token`: what waits meanwhile, and whether it is a job.
    pub(super) fn throw_to_caller(
        &mut self,
        node: NodeId,
        token: Option<(Uuid, bool)>,
        escalation: bool,
        code: String,
        message: Option<String>,
    ) {
        let activity = self.element_of(node).id.clone();
        let (token, job) = (token.map(|(token, _)| token), token.is_some_and(|(_, job)| job));
        self.effects.push(Effect::ThrowToCaller { activity, token, job, escalation, code, message });
    }
}
