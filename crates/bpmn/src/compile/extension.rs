//! Extension elements: parameters, fields, listeners, multi-instance, retry cycles.
use super::Compiler;
use crate::definition::{
    Assignment, FlowIx, Listener, ListenerEvent, ListenerWork, Loop, MappedValue, Mapping, Multi, Passed,
    Returned, TaskListener,
};
use crate::expression::Template;
use crate::xml::Xml;

/// Listeners with this end of their class name are built in: they copy the correlation key of the
/// multi-instance target into a local variable of the execution (contract 6, `vectors/bpmn`).
const CORRELATION_KEY_LISTENER: &str = "SetCorrelationKeyListener";

impl<'a> Compiler<'a> {
    /// Fills in what every element may have.
    pub(super) fn extensions(&mut self, xml: &'a Xml, ix: usize) {
        self.elements[ix].retry_cycle = self.retry_cycle(xml);
        if let Some(mapping) = xml.extensions("inputOutput").next() {
            self.elements[ix].inputs = self.mappings(xml, mapping, "inputParameter");
            self.elements[ix].outputs = self.mappings(xml, mapping, "outputParameter");
        }
        let mut listeners = self.listeners(xml, None);
        for flow in self.elements[ix].outgoing.clone() {
            let source = self.flow_sources[flow as usize];
            listeners.append(&mut self.listeners(source, Some(flow)));
        }
        if xml.name == "userTask" {
            listeners.append(&mut self.hooks(xml));
        }
        self.elements[ix].listeners = listeners;
        if let Some(characteristics) = xml.child("standardLoopCharacteristics") {
            self.elements[ix].multi = self.standard_loop(xml, characteristics);
        }
        if let Some(characteristics) = xml.child("multiInstanceLoopCharacteristics") {
            self.elements[ix].multi = self.multi(xml, characteristics);
        }
    }

    fn retry_cycle(&mut self, xml: &'a Xml) -> Option<Template> {
        let cycle = xml.extensions("failedJobRetryTimeCycle").next()?;
        let text = cycle.trimmed()?;
        let template = self.template(cycle, xml, text)?;
        if template.is_literal() && crate::iso8601::retry_cycle(text).is_err() {
            self.fail(xml, &format!("'{text}' is no retry cycle; write R3/PT5S or PT1M,PT5M"));
        }
        Some(template)
    }

    fn mappings(&mut self, owner: &'a Xml, mapping: &'a Xml, kind: &'a str) -> Vec<Mapping> {
        let mut mappings = Vec::new();
        for parameter in mapping.engine_children(kind) {
            let Some(name) = parameter.attribute("name") else {
                self.fail(owner, &format!("an {kind} needs a name"));
                continue;
            };
            if let Some(value) = self.mapped_value(owner, parameter) {
                mappings.push(Mapping { name: name.to_owned(), value });
            }
        }
        mappings
    }

    /// The value of a parameter, list item or map entry. `None`: a script, which is reported.
    fn mapped_value(&mut self, owner: &'a Xml, parameter: &'a Xml) -> Option<MappedValue> {
        if parameter.engine_children("script").next().is_some() {
            if !self.options.stand_in_jobs {
                self.fail(owner, "scripts are not supported");
            }
            return None;
        }
        if let Some(list) = parameter.engine_children("list").next() {
            let values = list.engine_children("value").filter_map(|value| self.mapped_value(owner, value));
            return Some(MappedValue::List(values.collect()));
        }
        if let Some(map) = parameter.engine_children("map").next() {
            let entry = |entry: &'a Xml| {
                let key = entry.attribute("key").unwrap_or_default().to_owned();
                Some((key, self.mapped_value(owner, entry)?))
            };
            return Some(MappedValue::Map(map.engine_children("entry").filter_map(entry).collect()));
        }
        // An empty parameter is null.
        let text = parameter.trimmed().unwrap_or("${null}");
        self.template(parameter, owner, text).map(MappedValue::Template)
    }

    /// Field injections of an element or event definition.
    pub(super) fn fields(&mut self, owner: &'a Xml, holder: &'a Xml) -> Vec<(String, Template)> {
        let mut fields = Vec::new();
        for field in holder.extensions("field") {
            let Some(name) = field.attribute("name") else {
                self.fail(owner, "a field needs a name");
                continue;
            };
            let string = field.attribute("stringValue").map(str::to_owned);
            let string =
                string.or_else(|| field.engine_children("string").next().map(|s| s.text.trim().to_owned()));
            let expression = field.attribute("expression").map(str::to_owned);
            let expression = expression
                .or_else(|| field.engine_children("expression").next().map(|e| e.text.trim().to_owned()));
            let value = match (string, expression) {
                (Some(text), _) => Some(Template::literal(&text)),
                (None, Some(text)) => self.template(field, owner, &text),
                (None, None) => {
                    self.fail(owner, &format!("field '{name}' has no value"));
                    None
                }
            };
            if let Some(value) = value {
                fields.push((name.to_owned(), value));
            }
        }
        fields
    }

    /// What a class does where it runs inside the step.
    pub(super) fn inline(&mut self, owner: &Xml, class: &str) -> Option<Vec<Assignment>> {
        let inline = self.options.inline.get(class)?;
        let mut assignments = Vec::new();
        for assignment in &inline.assignments {
            let name = self.template(owner, owner, &assignment.name);
            let value = self.template(owner, owner, &assignment.value);
            if let (Some(name), Some(value)) = (name, value) {
                assignments.push(Assignment { name, value, local: assignment.local });
            }
        }
        Some(assignments)
    }

    fn listeners(&mut self, xml: &'a Xml, flow: Option<FlowIx>) -> Vec<Listener> {
        let mut listeners = Vec::new();
        for listener in xml.extensions("executionListener") {
            let on = match (listener.attribute("event"), flow) {
                (Some("start"), None) => ListenerEvent::Start,
                (Some("end"), None) => ListenerEvent::End,
                // Flows know no other event.
                (_, Some(flow)) => ListenerEvent::Take(flow),
                _ => continue,
            };
            let Some(class) = listener.attribute("class") else {
                if !self.options.stand_in_jobs {
                    self.fail(
                        xml,
                        "an execution listener needs a class; expressions and scripts are not supported",
                    );
                }
                continue;
            };
            let inline = match self.options.stand_in_jobs {
                true => None,
                false => self.inline(xml, class),
            };
            let built_in = || {
                let value = Template::parse("${target.correlationKey}").ok()?;
                let name = Template::literal("correlationKey");
                Some(vec![Assignment { name, value, local: true }])
            };
            let assignments =
                inline.or_else(|| if class.ends_with(CORRELATION_KEY_LISTENER) { built_in() } else { None });
            let work = match assignments {
                Some(assignments) => ListenerWork::Assign(assignments),
                None if self.options.stand_in_jobs => continue,
                None => {
                    ListenerWork::Job { class: class.to_owned(), fields: self.listener_fields(xml, listener) }
                }
            };
            listeners.push(Listener { on, work });
        }
        listeners
    }

    fn listener_fields(&mut self, owner: &'a Xml, listener: &'a Xml) -> Vec<(String, Template)> {
        let mut fields = Vec::new();
        for field in listener.engine_children("field") {
            let name = field.attribute("name").unwrap_or_default().to_owned();
            let string = field.engine_children("string").next();
            let expression = field.engine_children("expression").next();
            let value = match (field.attribute("stringValue").or(string.and_then(Xml::trimmed)), expression) {
                (Some(text), _) => Some(Template::literal(text)),
                (None, expression) => {
                    let text = field.attribute("expression").or(expression.and_then(Xml::trimmed));
                    text.and_then(|text| self.template(field, owner, text))
                }
            };
            fields.extend(value.map(|value| (name, value)));
        }
        fields
    }

    fn standard_loop(&mut self, owner: &'a Xml, xml: &'a Xml) -> Option<Multi> {
        let condition = xml.child("loopCondition").and_then(|c| Some((c, c.trimmed()?)));
        let condition = condition.and_then(|(c, text)| self.template(c, owner, text));
        let maximum = xml.attribute("loopMaximum").map(|text| text.trim().parse::<i64>());
        let maximum = match maximum.transpose() {
            Ok(maximum) if maximum.is_none_or(|maximum| maximum > 0) => maximum,
            _ => {
                self.fail(owner, "loopMaximum must be a number from 1");
                return None;
            }
        };
        if condition.is_none() && maximum.is_none() {
            self.fail(owner, "a loop needs a loopCondition or a loopMaximum");
            return None;
        }
        let test_before = xml.attribute("testBefore") == Some("true");
        Some(Multi {
            sequential: true,
            cardinality: None,
            collection: None,
            element_variable: None,
            completion: None,
            looped: Some(Loop { test_before, condition, maximum }),
            async_before: false,
            async_after: false,
            exclusive: true,
            retry_cycle: None,
        })
    }

    /// Task listeners for `create`: their fields say who may answer and where to note the form
    /// (contract 4), also where the class is a hook besides.
    pub(super) fn task_listeners(&mut self, xml: &'a Xml) -> Vec<TaskListener> {
        let mut listeners = Vec::new();
        if self.options.stand_in_jobs {
            return listeners;
        }
        for listener in xml.extensions("taskListener") {
            let Some(class) = listener.attribute("class") else { continue };
            if listener.attribute("event") == Some("create") {
                let fields = self.listener_fields(xml, listener);
                listeners.push(TaskListener { class: class.to_owned(), fields });
            }
        }
        listeners
    }

    /// Task listeners that are work of their own: before the task is visible, and after its completion.
    fn hooks(&mut self, xml: &'a Xml) -> Vec<Listener> {
        let mut hooks = Vec::new();
        if self.options.stand_in_jobs {
            return hooks;
        }
        for listener in xml.extensions("taskListener") {
            let event = listener.attribute("event").unwrap_or_default();
            let Some(class) = listener.attribute("class") else {
                self.fail(xml, "a task listener needs a class; expressions and scripts are not supported");
                continue;
            };
            let inline = self.inline(xml, class);
            let on = match event {
                "create" if inline.is_some() || self.options.hooks.contains(class) => ListenerEvent::Create,
                "create" => continue,
                "complete" => ListenerEvent::Complete,
                other => {
                    let message = format!(
                        "task listeners for '{other}' are not supported; those for create and complete are"
                    );
                    self.fail(xml, &message);
                    continue;
                }
            };
            let work = match inline {
                Some(assignments) => ListenerWork::Assign(assignments),
                None => {
                    ListenerWork::Job { class: class.to_owned(), fields: self.listener_fields(xml, listener) }
                }
            };
            hooks.push(Listener { on, work });
        }
        hooks
    }

    fn multi(&mut self, owner: &'a Xml, xml: &'a Xml) -> Option<Multi> {
        let cardinality = xml.child("loopCardinality").and_then(|c| Some((c, c.trimmed()?)));
        let cardinality = cardinality.and_then(|(c, text)| self.template(c, owner, text));
        let item = xml.child("loopDataInputRef").and_then(Xml::trimmed);
        let collection =
            xml.engine("collection").or(item).map(|text| match text.contains("${") || text.contains("#{") {
                true => text.to_owned(),
                // A bare name is a variable.
                false => format!("${{execution.getVariable('{}')}}", text.replace(['\'', '\\'], "")),
            });
        let collection = collection.and_then(|text| self.template(xml, owner, &text));
        if cardinality.is_none() && collection.is_none() {
            self.fail(owner, "a multi-instance activity needs a collection or a loopCardinality");
            return None;
        }
        let variable = xml.child("inputDataItem").and_then(|item| item.attribute("name"));
        let completion = xml.child("completionCondition").and_then(|c| Some((c, c.trimmed()?)));
        Some(Multi {
            sequential: xml.attribute("isSequential") == Some("true"),
            cardinality,
            collection,
            element_variable: xml.engine("elementVariable").or(variable).map(str::to_owned),
            looped: None,
            completion: completion.and_then(|(c, text)| self.template(c, owner, text)),
            async_before: xml.engine_flag("asyncBefore", false) || xml.engine_flag("async", false),
            async_after: xml.engine_flag("asyncAfter", false),
            exclusive: xml.engine_flag("exclusive", true),
            retry_cycle: self.retry_cycle(xml),
        })
    }

    /// Variables that go with a signal or into a call.
    pub(super) fn passed(&mut self, owner: &'a Xml, holder: &'a Xml) -> Vec<Passed> {
        self.mapped_variables(owner, holder, "in").into_iter().map(|mapping| mapping.what).collect()
    }

    /// Variables that come back from a call.
    pub(super) fn returned(&mut self, owner: &'a Xml, holder: &'a Xml) -> Vec<Returned> {
        self.mapped_variables(owner, holder, "out")
    }

    fn mapped_variables(&mut self, owner: &'a Xml, holder: &'a Xml, direction: &'a str) -> Vec<Returned> {
        let mut mappings = Vec::new();
        for mapping in holder.extensions(direction) {
            let local = mapping.attribute("local") == Some("true");
            if mapping.attribute("variables") == Some("all") {
                mappings.push(Returned { what: Passed::All { local }, local });
                continue;
            }
            let source = match (mapping.attribute("source"), mapping.attribute("sourceExpression")) {
                (Some(name), _) => {
                    Some(format!("${{execution.getVariable('{}')}}", name.replace(['\'', '\\'], "")))
                }
                (None, expression) => expression.map(str::to_owned),
            };
            if let (Some(source), Some(target)) = (source, mapping.attribute("target"))
                && let Some(source) = self.template(mapping, owner, &source)
            {
                mappings.push(Returned { what: Passed::One { source, target: target.to_owned() }, local });
            }
        }
        mappings
    }
}
