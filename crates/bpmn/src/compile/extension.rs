//! Extension elements: parameters, fields, listeners, multi-instance, retry cycles.
use super::Compiler;
use crate::definition::{
    Assignment, Listener, ListenerEvent, MappedValue, Mapping, Multi, Passed, TaskListener,
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
        self.elements[ix].listeners = self.listeners(xml);
        if xml.child("standardLoopCharacteristics").is_some() {
            self.fail(
                xml,
                "standardLoopCharacteristics are not supported; use multi-instance or a loop of flows",
            );
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

    fn listeners(&mut self, xml: &'a Xml) -> Vec<Listener> {
        let mut listeners = Vec::new();
        for listener in xml.extensions("executionListener") {
            let on = match listener.attribute("event") {
                Some("start") => ListenerEvent::Start,
                Some("end") => ListenerEvent::End,
                _ => continue,
            };
            let Some(class) = listener.attribute("class") else { continue };
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
            if let Some(assignments) = assignments {
                listeners.push(Listener { on, assignments });
            }
        }
        listeners
    }

    /// Task listeners for `create`; the reference engine has no others.
    pub(super) fn task_listeners(&mut self, xml: &'a Xml) -> Vec<TaskListener> {
        let mut listeners = Vec::new();
        if self.options.stand_in_jobs {
            return listeners;
        }
        for listener in xml.extensions("taskListener") {
            if let (Some(class), Some("create")) = (listener.attribute("class"), listener.attribute("event"))
            {
                let mut fields = Vec::new();
                for field in listener.engine_children("field") {
                    let name = field.attribute("name").unwrap_or_default().to_owned();
                    let string = field.engine_children("string").next();
                    let expression = field.engine_children("expression").next();
                    let value = match (
                        field.attribute("stringValue").or(string.and_then(Xml::trimmed)),
                        expression,
                    ) {
                        (Some(text), _) => Some(Template::literal(text)),
                        (None, expression) => {
                            let text = field.attribute("expression").or(expression.and_then(Xml::trimmed));
                            text.and_then(|text| self.template(field, xml, text))
                        }
                    };
                    fields.extend(value.map(|value| (name, value)));
                }
                listeners.push(TaskListener { class: class.to_owned(), fields });
            }
        }
        listeners
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
            completion: completion.and_then(|(c, text)| self.template(c, owner, text)),
            async_before: xml.engine_flag("asyncBefore", false) || xml.engine_flag("async", false),
            async_after: xml.engine_flag("asyncAfter", false),
            exclusive: xml.engine_flag("exclusive", true),
            retry_cycle: self.retry_cycle(xml),
        })
    }

    /// Variables that go with a signal.
    pub(super) fn passed(&mut self, owner: &'a Xml, holder: &'a Xml) -> Vec<Passed> {
        let mut mappings = Vec::new();
        for mapping in holder.extensions("in") {
            if mapping.attribute("variables") == Some("all") {
                mappings.push(Passed::All { local: mapping.attribute("local") == Some("true") });
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
                mappings.push(Passed::One { source, target: target.to_owned() });
            }
        }
        mappings
    }
}
