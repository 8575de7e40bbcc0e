//! Rules between elements that the reference engine checks when it reads a model.
use super::Compiler;
use crate::definition::{Catch, ElementIx, FlowIx, Kind, Throw};

impl Compiler<'_> {
    /// Runs all checks.
    pub(super) fn check(&mut self) {
        for ix in 0..self.elements.len() {
            self.check_flows(ix);
            match &self.elements[ix].kind {
                Kind::Process | Kind::SubProcess { .. } => self.check_scope(ix),
                Kind::Exclusive => self.check_exclusive(ix),
                Kind::EventBased => self.check_event_gateway(ix),
                Kind::Start(catch, _) => {
                    let in_process = self.elements[ix].parent == 0;
                    let by_event = matches!(self.parent_kind(ix), Kind::SubProcess { by_event: true, .. });
                    let problem = match catch {
                        Catch::None if by_event => {
                            Some("the start event of an event subprocess needs a trigger")
                        }
                        Catch::None => None,
                        _ if by_event => None,
                        Catch::Timer(timer) if in_process && !timer.value.is_literal() => Some(
                            "the time of a start event must not be an expression: nothing has a value yet",
                        ),
                        Catch::Timer(timer)
                            if in_process
                                && crate::step::due(timer.form, &timer.value.text().into(), 0).is_none() =>
                        {
                            Some("the value of this timer is no supported time")
                        }
                        Catch::Error { .. } | Catch::Escalation { .. } | Catch::Link => {
                            Some("this start event is only allowed in an event subprocess")
                        }
                        _ if in_process => None,
                        _ => Some("a subprocess starts with a none start event"),
                    };
                    if let Some(problem) = problem {
                        self.fail_at(ix, problem);
                    }
                }
                _ => {}
            }
        }
    }

    fn parent_kind(&self, ix: usize) -> &Kind {
        &self.elements[self.elements[ix].parent as usize].kind
    }

    fn fail_at(&mut self, ix: usize, message: &str) {
        let xml = self.sources[ix];
        self.fail(xml, message);
    }

    fn check_flows(&mut self, ix: usize) {
        let element = &self.elements[ix];
        let problem = match &element.kind {
            Kind::Start(..) | Kind::Boundary { .. } if !element.incoming.is_empty() => {
                Some("nothing may flow into this event")
            }
            Kind::Catch(Catch::Link) if !element.incoming.is_empty() => {
                Some("nothing may flow into a link catch event")
            }
            Kind::End(_) if !element.outgoing.is_empty() => Some("nothing may flow out of an end event"),
            Kind::Throw(Throw::Link(_)) if !element.outgoing.is_empty() => {
                Some("nothing may flow out of a link throw event")
            }
            Kind::SubProcess { by_event: true, .. }
                if !element.incoming.is_empty() || !element.outgoing.is_empty() =>
            {
                Some("an event subprocess has no flows")
            }
            _ => None,
        };
        if let Some(problem) = problem {
            self.fail_at(ix, problem);
        }
        let multi_allowed = matches!(
            self.elements[ix].kind,
            Kind::Task
                | Kind::Job(..)
                | Kind::Evaluate { .. }
                | Kind::Receive(_)
                | Kind::Call(_)
                | Kind::User { .. }
                | Kind::SubProcess { by_event: false, .. }
        );
        if self.elements[ix].multi.is_some() && !multi_allowed {
            self.fail_at(ix, "only activities can be multi-instance");
        }
        if self.sources[ix].attribute("isForCompensation") == Some("true") {
            let element = &self.elements[ix];
            if !element.incoming.is_empty() || !element.outgoing.is_empty() || !element.boundaries.is_empty()
            {
                self.fail_at(ix, "a compensation activity has no flows and no boundary events");
            }
        }
        if let Kind::Boundary { attached, .. } = self.elements[ix].kind {
            let activity = matches!(
                self.elements[attached as usize].kind,
                Kind::Task
                    | Kind::Job(..)
                    | Kind::Evaluate { .. }
                    | Kind::Receive(_)
                    | Kind::Call(_)
                    | Kind::User { .. }
                    | Kind::SubProcess { by_event: false, .. }
            );
            if !activity {
                self.fail_at(ix, "a boundary event must be attached to an activity");
            }
        }
    }

    /// Start events of a scope: one none start event at most, one for each message name.
    fn check_scope(&mut self, ix: usize) {
        let children: Vec<ElementIx> = self.elements[ix].children.clone();
        let mut none = 0;
        let mut starts = 0;
        let mut messages: Vec<String> = Vec::new();
        for child in children {
            let Kind::Start(catch, _) = &self.elements[child as usize].kind else { continue };
            starts += 1;
            match catch {
                Catch::None => none += 1,
                Catch::Message(name) => {
                    if !name.is_literal() {
                        self.fail_at(
                            child as usize,
                            "the message name of a start event must not be an expression",
                        );
                        continue;
                    }
                    let name = name.text().to_owned();
                    if messages.contains(&name) {
                        self.fail_at(child as usize, "two start events wait for the same message");
                    }
                    messages.push(name);
                }
                _ => {}
            }
        }
        let process = matches!(self.elements[ix].kind, Kind::Process);
        if none > 1 {
            self.fail_at(ix, "more than one none start event");
        }
        if starts == 0 {
            self.fail_at(ix, "a start event is missing");
        }
        if !process && starts > 1 {
            self.fail_at(ix, "a subprocess has exactly one start event");
        }
    }

    fn check_exclusive(&mut self, ix: usize) {
        let element = &self.elements[ix];
        let (outgoing, default) = (element.outgoing.clone(), element.default);
        let conditional: Vec<FlowIx> =
            outgoing.iter().copied().filter(|flow| self.flows[*flow as usize].condition.is_some()).collect();
        let has_condition = |flow: &FlowIx| conditional.contains(flow);
        match outgoing.as_slice() {
            [] => self.fail_at(ix, "an exclusive gateway needs an outgoing flow"),
            [only] => {
                if has_condition(only) {
                    self.fail_at(ix, "the only flow out of an exclusive gateway must not have a condition");
                }
            }
            _ => {
                if default.as_ref().is_some_and(has_condition) {
                    self.fail_at(ix, "the default flow must not have a condition");
                }
                let plain: Vec<FlowIx> = outgoing
                    .iter()
                    .copied()
                    .filter(|flow| !has_condition(flow) && Some(*flow) != default)
                    .collect();
                match (plain.as_slice(), default) {
                    ([], _) => {}
                    // The only flow without a condition is the default flow, marked or not.
                    ([flow], None) => self.elements[ix].default = Some(*flow),
                    _ => self.fail_at(ix, "a flow without condition that is not the default flow"),
                }
            }
        }
    }

    fn check_event_gateway(&mut self, ix: usize) {
        let targets: Vec<ElementIx> =
            self.elements[ix].outgoing.iter().map(|flow| self.flows[*flow as usize].target).collect();
        if targets.is_empty() {
            self.fail_at(ix, "an event-based gateway needs an outgoing flow");
        }
        for target in targets {
            let catches = matches!(
                &self.elements[target as usize].kind,
                Kind::Catch(Catch::Message(_) | Catch::Signal(_) | Catch::Timer(_) | Catch::Condition { .. })
            );
            if !catches {
                self.fail_at(ix, "an event-based gateway may only lead to intermediate catch events");
            }
        }
    }
}
