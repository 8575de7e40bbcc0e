//! What each kind of element becomes.
use super::Compiler;
use crate::definition::{Binding, Call, Catch, CompileError, ElementIx, Job, Kind, Throw, Timer, TimerForm};
use crate::effect::JobKind;
use crate::expression::Template;
use crate::iso8601;
use crate::xml::{Space, Xml};

impl<'a> Compiler<'a> {
    /// Fills in one element.
    pub(super) fn element(&mut self, ix: usize) {
        let xml = self.sources[ix];
        let kind = match xml.name.as_str() {
            "process" => Some(Kind::Process),
            "subProcess" => Some(Kind::SubProcess {
                by_event: xml.attribute("triggeredByEvent") == Some("true"),
                transaction: false,
            }),
            "transaction" => Some(Kind::SubProcess { by_event: false, transaction: true }),
            "startEvent" => self.catch(xml, true).map(|catch| {
                let interrupting = xml.attribute("isInterrupting") != Some("false");
                Kind::Start(catch, interrupting || matches!(catch_code(xml), Some("errorEventDefinition")))
            }),
            "endEvent" => self.throw(xml, ix).map(Kind::End),
            "intermediateCatchEvent" => self.catch(xml, false).map(Kind::Catch),
            "intermediateThrowEvent" => self.throw(xml, ix).map(Kind::Throw),
            "boundaryEvent" => self.boundary(xml),
            "task" | "manualTask" => Some(Kind::Task),
            "serviceTask" | "businessRuleTask" => self.service(xml, JobKind::ServiceTask),
            "sendTask" => self.service(xml, JobKind::SendTask),
            "receiveTask" => self.message_name(xml, xml).map(Kind::Receive),
            "userTask" => self.user_task(xml),
            "callActivity" => self.call(xml).map(|call| Kind::Call(Box::new(call))),
            "exclusiveGateway" => Some(Kind::Exclusive),
            "parallelGateway" => Some(Kind::Parallel),
            "inclusiveGateway" => Some(Kind::Inclusive),
            "eventBasedGateway" => Some(Kind::EventBased),
            other => {
                self.fail(xml, &format!("'{other}' is not supported"));
                None
            }
        };
        let Some(kind) = kind else { return };
        self.elements[ix].kind = kind;
        self.elements[ix].async_before =
            xml.engine_flag("asyncBefore", false) || xml.engine_flag("async", false);
        self.elements[ix].async_after = xml.engine_flag("asyncAfter", false);
        self.elements[ix].exclusive = xml.engine_flag("exclusive", true);
        self.default_flow(xml, ix);
        self.extensions(xml, ix);
    }

    fn default_flow(&mut self, xml: &Xml, ix: usize) {
        let Some(default) = xml.attribute("default") else { return };
        let flow =
            self.elements[ix].outgoing.iter().copied().find(|flow| self.flows[*flow as usize].id == default);
        match flow {
            Some(flow) => self.elements[ix].default = Some(flow),
            None => self.fail(xml, &format!("default flow '{default}' does not leave this element")),
        }
    }

    fn boundary(&mut self, xml: &'a Xml) -> Option<Kind> {
        let attached = xml.attribute("attachedToRef").unwrap_or_default();
        let Some(attached_ix) = self.index.get(attached).copied() else {
            self.fail(xml, &format!("attachedToRef '{attached}' is no element of the process"));
            return None;
        };
        let own = self.index.get(xml.attribute("id").unwrap_or_default()).copied().unwrap_or(0);
        if self.elements[own as usize].parent != self.elements[attached_ix as usize].parent {
            self.fail(xml, "a boundary event must be in the scope of its activity");
            return None;
        }
        let on = self.catch(xml, false)?;
        let interrupting =
            xml.attribute("cancelActivity") != Some("false") || matches!(on, Catch::Error { .. });
        Some(Kind::Boundary { attached: attached_ix, interrupting, on })
    }

    /// The trigger of a start, catch or boundary event.
    fn catch(&mut self, xml: &'a Xml, start: bool) -> Option<Catch> {
        let Some(event) = self.event_definition(xml)? else {
            if !start {
                self.fail(xml, "the event waits for nothing: an event definition is needed");
                return None;
            }
            return Some(Catch::None);
        };
        match event.name.as_str() {
            "messageEventDefinition" => self.message_name(xml, event).map(Catch::Message),
            "signalEventDefinition" => self.signal_name(xml, event).map(Catch::Signal),
            "timerEventDefinition" => self.timer(xml, event).map(Catch::Timer),
            "conditionalEventDefinition" => {
                let condition = event.child("condition");
                let Some((condition, text)) = condition.and_then(|c| Some((c, c.trimmed()?))) else {
                    self.fail(xml, "a conditional event needs a condition");
                    return None;
                };
                let events = event.engine("variableEvents").unwrap_or_default();
                Some(Catch::Condition {
                    expression: self.template(condition, xml, text)?,
                    variable: event.engine("variableName").map(str::to_owned),
                    events: events
                        .split(',')
                        .map(|e| e.trim().to_owned())
                        .filter(|e| !e.is_empty())
                        .collect(),
                })
            }
            "errorEventDefinition" => Some(Catch::Error {
                code: self.code(event, "errorRef", "error", "errorCode"),
                code_variable: event.engine("errorCodeVariable").map(str::to_owned),
                message_variable: event.engine("errorMessageVariable").map(str::to_owned),
            }),
            "escalationEventDefinition" => Some(Catch::Escalation {
                code: self.code(event, "escalationRef", "escalation", "escalationCode"),
                code_variable: event.engine("escalationCodeVariable").map(str::to_owned),
            }),
            "linkEventDefinition" => self.link_name(xml, event).map(|_| Catch::Link),
            "compensateEventDefinition" if xml.name == "boundaryEvent" => {
                self.compensation_handler(xml).map(Catch::Compensation)
            }
            "cancelEventDefinition" if xml.name == "boundaryEvent" => Some(Catch::Cancel),
            other => self.unsupported(xml, other),
        }
    }

    /// What an end or throw event does.
    fn throw(&mut self, xml: &'a Xml, ix: usize) -> Option<Throw> {
        let Some(event) = self.event_definition(xml)? else { return Some(Throw::None) };
        let end = xml.name == "endEvent";
        match event.name.as_str() {
            "messageEventDefinition" => Some(Throw::Message(self.implementation(xml, event))),
            "signalEventDefinition" => {
                let name = self.signal_name(xml, event)?;
                let mappings = self.passed(xml, event);
                Some(Throw::Signal(name, mappings))
            }
            "terminateEventDefinition" if end => Some(Throw::Terminate),
            "errorEventDefinition" if end => {
                let reference = event.attribute("errorRef");
                let error = reference.and_then(|reference| self.model.definition("error", reference));
                // A reference that resolves to no error element is itself the code (contract 7.4).
                let code = match error {
                    Some(error) => error.attribute("errorCode"),
                    None => reference,
                };
                let message = error.and_then(|error| error.engine("errorMessage")).map(str::to_owned);
                let code = code.and_then(|code| self.template(event, xml, code));
                Some(Throw::Error { code, message })
            }
            "escalationEventDefinition" => {
                let code = self.code(event, "escalationRef", "escalation", "escalationCode");
                Some(Throw::Escalation(code.and_then(|code| self.template(event, xml, &code))))
            }
            "compensateEventDefinition" => {
                if event.attribute("waitForCompletion") == Some("false") {
                    self.fail(xml, "waitForCompletion=\"false\" is not supported");
                }
                let Some(activity) = event.attribute("activityRef") else {
                    return Some(Throw::Compensation(None));
                };
                let found = self.index.get(activity).copied();
                if found.is_none() {
                    self.fail(xml, &format!("activityRef '{activity}' is no element of the process"));
                }
                found.map(|found| Throw::Compensation(Some(found)))
            }
            "cancelEventDefinition" if end => {
                let scope = self.sources[self.elements[ix].parent as usize];
                if scope.name != "transaction" {
                    self.fail(xml, "a cancel end event is only allowed directly in a transaction");
                }
                Some(Throw::Cancel)
            }
            "linkEventDefinition" if !end => {
                let name = self.link_name(xml, event)?;
                self.link_target(xml, ix, &name).map(Throw::Link)
            }
            other => self.unsupported(xml, other),
        }
    }

    /// The activity that an association leads to from a compensation boundary event.
    fn compensation_handler(&mut self, boundary: &'a Xml) -> Option<ElementIx> {
        let own = boundary.attribute("id").unwrap_or_default();
        let scope =
            self.index.get(own).map(|ix| self.sources[self.elements[*ix as usize].parent as usize])?;
        let association =
            scope.each("association").find(|association| association.attribute("sourceRef") == Some(own));
        let target = association.and_then(|association| association.attribute("targetRef"));
        let handler = target.and_then(|target| self.index.get(target).copied());
        let handler =
            handler.filter(|ix| self.sources[*ix as usize].attribute("isForCompensation") == Some("true"));
        if handler.is_none() {
            self.fail(
                boundary,
                "an association must lead to a compensation activity (isForCompensation=\"true\")",
            );
        }
        handler
    }

    fn unsupported<T>(&mut self, xml: &Xml, definition: &str) -> Option<T> {
        self.fail(xml, &format!("'{definition}' is not supported here"));
        None
    }

    /// The event definition of an event. `None`: more than one, which is reported.
    fn event_definition(&mut self, xml: &'a Xml) -> Option<Option<&'a Xml>> {
        let is_definition = |child: &&Xml| {
            child.space == Space::Bpmn
                && (child.name.ends_with("EventDefinition") || child.name == "eventDefinitionRef")
        };
        let mut definitions = xml.children.iter().filter(is_definition);
        let first = definitions.next();
        if definitions.next().is_some() {
            self.fail(xml, "several event definitions in one event are not supported");
            return None;
        }
        match first {
            Some(reference) if reference.name == "eventDefinitionRef" => {
                self.fail(xml, "references to shared event definitions are not supported");
                None
            }
            other => Some(other),
        }
    }

    fn message_name(&mut self, owner: &Xml, event: &Xml) -> Option<Template> {
        let message = event.attribute("messageRef").and_then(|id| self.model.definition("message", id));
        match message.and_then(|message| Some((message, message.attribute("name")?))) {
            Some((message, name)) => self.template(message, owner, name),
            None => {
                self.fail(owner, "messageRef must name a message that has a name");
                None
            }
        }
    }

    fn signal_name(&mut self, owner: &Xml, event: &Xml) -> Option<Template> {
        let signal = event.attribute("signalRef").and_then(|id| self.model.definition("signal", id));
        match signal.and_then(|signal| Some((signal, signal.attribute("name")?))) {
            Some((signal, name)) => self.template(signal, owner, name),
            None => {
                self.fail(owner, "signalRef must name a signal that has a name");
                None
            }
        }
    }

    /// The code to catch. A reference without target is itself the code; no code catches all.
    fn code(&self, event: &Xml, reference: &str, kind: &str, attribute: &str) -> Option<String> {
        let reference = event.attribute(reference)?;
        match self.model.definition(kind, reference) {
            Some(definition) => definition.attribute(attribute).map(str::to_owned),
            None => Some(reference.to_owned()),
        }
    }

    fn timer(&mut self, owner: &Xml, event: &'a Xml) -> Option<Timer> {
        let forms = [
            ("timeDate", TimerForm::Date),
            ("timeDuration", TimerForm::Duration),
            ("timeCycle", TimerForm::Cycle),
        ];
        let present: Vec<(&Xml, TimerForm)> =
            forms.iter().filter_map(|(name, form)| Some((event.child(name)?, *form))).collect();
        let [(value, form)] = present.as_slice() else {
            self.fail(owner, "a timer needs one of timeDate, timeDuration and timeCycle");
            return None;
        };
        let Some(text) = value.trimmed() else {
            self.fail(owner, "the timer has no value");
            return None;
        };
        let template = self.template(value, owner, text)?;
        if template.is_literal() && !valid_timer(*form, text) {
            let message = format!(
                "'{text}' is no supported timer value (ISO 8601, or for cycles a cron expression with six fields)"
            );
            self.errors.push(CompileError { line: value.line, element: owner.label(), message });
        }
        Some(Timer { form: *form, value: template })
    }

    fn link_name(&mut self, owner: &Xml, event: &Xml) -> Option<String> {
        let name = event.attribute("name").map(str::to_owned);
        if name.is_none() {
            self.fail(owner, "a link event needs a name");
        }
        name
    }

    fn link_target(&mut self, owner: &Xml, ix: usize, name: &str) -> Option<ElementIx> {
        let scope = self.elements[ix].parent;
        let mut targets = Vec::new();
        for child in &self.elements[scope as usize].children {
            let xml = self.sources[*child as usize];
            let catches = xml.name == "intermediateCatchEvent"
                && xml.child("linkEventDefinition").is_some_and(|link| link.attribute("name") == Some(name));
            if catches {
                targets.push(*child);
            }
        }
        match targets.as_slice() {
            [target] => Some(*target),
            _ => {
                self.fail(
                    owner,
                    &format!("exactly one link catch event named '{name}' is needed in this scope"),
                );
                None
            }
        }
    }

    fn service(&mut self, xml: &'a Xml, kind: JobKind) -> Option<Kind> {
        if !self.options.stand_in_jobs
            && let Some(expression) = xml.engine("expression")
        {
            let result = xml.engine("resultVariable").map(str::to_owned);
            return self
                .template(xml, xml, expression)
                .map(|expression| Kind::Evaluate { expression, result });
        }
        match self.implementation(xml, xml) {
            Some(job) => Some(Kind::Job(kind, job)),
            None => {
                self.fail(
                    xml,
                    "an implementation is needed: camunda:class, or camunda:type=\"external\" and a topic",
                );
                None
            }
        }
    }

    /// The job behind a task or a message event; `None` where there is no implementation.
    fn implementation(&mut self, owner: &'a Xml, holder: &'a Xml) -> Option<Job> {
        let task = std::ptr::eq(owner, holder);
        let class = holder.engine("class");
        let topic = holder.engine("topic").filter(|_| holder.engine("type") == Some("external"));
        let other = holder.engine("delegateExpression").or(holder.engine("expression"));
        if self.options.stand_in_jobs {
            let own = owner.attribute("id").filter(|_| other.is_some() || task);
            let implementation = topic.or(class).or(own)?.to_owned();
            return Some(Job { implementation, fields: Vec::new(), inline: None });
        }
        if other.is_some() {
            self.fail(owner, "delegateExpression and expression are not supported here; use camunda:class");
        }
        if matches!(holder.engine("type"), Some(kind) if kind != "external") {
            self.fail(owner, "only camunda:type=\"external\" is supported");
        }
        let implementation = topic.or(class)?.to_owned();
        let inline = self.inline(owner, &implementation);
        let mut fields = self.fields(owner, holder);
        if !task {
            let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
            fields.extend(self.fields(owner, owner).into_iter().filter(|(name, _)| !names.contains(name)));
        }
        Some(Job { implementation, fields, inline })
    }

    fn call(&mut self, xml: &'a Xml) -> Option<Call> {
        for attribute in ["caseRef", "variableMappingClass", "variableMappingDelegateExpression"] {
            if xml.engine(attribute).is_some() {
                self.fail(
                    xml,
                    &format!("{attribute} is not supported; use calledElement with camunda:in and out"),
                );
            }
        }
        let Some(called) = xml.attribute("calledElement") else {
            self.fail(xml, "a call activity needs a calledElement: the id of the called process");
            return None;
        };
        let called = self.template(xml, xml, called)?;
        let version = xml.engine("calledElementVersion");
        let tag = xml.engine("calledElementVersionTag");
        let binding = match (xml.engine("calledElementBinding").unwrap_or("latest"), version, tag) {
            ("latest", ..) => Binding::Latest,
            ("deployment", ..) => Binding::Deployment,
            ("version", Some(version), _) => Binding::Version(self.template(xml, xml, version)?),
            ("versionTag", _, Some(tag)) => Binding::VersionTag(self.template(xml, xml, tag)?),
            (other, ..) => {
                self.fail(
                    xml,
                    &format!("calledElementBinding '{other}' is not latest, deployment, version or versionTag with its value"),
                );
                return None;
            }
        };
        let business_key = xml.extensions("in").find_map(|mapping| mapping.attribute("businessKey"));
        let business_key = business_key.and_then(|key| self.template(xml, xml, key));
        let (inputs, outputs) = (self.passed(xml, xml), self.returned(xml, xml));
        Some(Call { called, binding, business_key, inputs, outputs })
    }

    fn user_task(&mut self, xml: &'a Xml) -> Option<Kind> {
        let form_key = xml.engine("formKey").and_then(|key| self.template(xml, xml, key));
        let listeners = self.task_listeners(xml);
        Some(Kind::User { form_key, listeners })
    }
}

fn catch_code(xml: &Xml) -> Option<&str> {
    xml.children.iter().map(|child| child.name.as_str()).find(|name| name.ends_with("EventDefinition"))
}

/// True for what a timer of this form understands without variables.
fn valid_timer(form: TimerForm, text: &str) -> bool {
    match form {
        TimerForm::Cycle => crate::cron::Cron::parse(text).is_some() || iso8601::cycle(text).is_ok(),
        _ => {
            text.split('/').count() <= 2
                && text
                    .split('/')
                    .all(|part| iso8601::duration(part).is_ok() || iso8601::instant(part).is_ok())
        }
    }
}
