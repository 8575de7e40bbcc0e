//! Checks of a model before it is deployed: what would not run, and what would surprise
//! (contract 5.3 and 5.4). Each finding names the element, its line and what to do.
use crate::compile::compile_all;
use crate::definition::CompileOptions;
use crate::model::Model;
use crate::xml::{Space, Xml};

/// One result of [`lint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the rule, for example `send-fields`.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Line in the document, from 1.
    pub line: u32,
    /// Element id, or its tag where it has none.
    pub element: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Will probably surprise.
    Warning,
    /// Will not run.
    Error,
}

/// Names of the fields that describe the Task of a message (contract 3.2). Generation 0.9 has them as
/// input parameters and calls the first one `instantiatesUri`.
const SEND_FIELDS: [&str; 3] = ["instantiatesCanonical", "messageName", "profile"];

/// Checks a model against the rules for process plugins, in document order.
pub fn lint(model: &Model) -> Vec<Finding> {
    let mut linter = Linter { findings: Vec::new() };
    if let Err(errors) = compile_all(model, &CompileOptions::default()) {
        for error in errors.0 {
            linter.findings.push(Finding {
                rule: "compile",
                severity: Severity::Error,
                line: error.line,
                element: error.element,
                message: error.message,
                remedy: "correct the model; it cannot be executed as it is".to_owned(),
            });
        }
    }
    let processes: Vec<&Xml> = model.processes().collect();
    if processes.len() != 1 {
        linter.report(
            "one-process",
            Severity::Error,
            &model.root,
            &format!("{} processes in one file", processes.len()),
            "keep exactly one process in each file",
        );
    }
    for process in processes {
        linter.process(process);
        linter.scope(process);
    }
    linter.findings.sort_by_key(|finding| finding.line);
    linter.findings
}

struct Linter {
    findings: Vec<Finding>,
}

impl Linter {
    fn report(&mut self, rule: &'static str, severity: Severity, at: &Xml, message: &str, remedy: &str) {
        self.findings.push(Finding {
            rule,
            severity,
            line: at.line,
            element: at.label(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    fn process(&mut self, process: &Xml) {
        if !process.attribute("id").is_some_and(valid_process_id) {
            self.report(
                "process-id",
                Severity::Error,
                process,
                "the process id does not have the form domain_name",
                "use letters, digits and '-' with one '_' in between, for example exampleorg_ping",
            );
        }
        if process.engine("versionTag").is_none() {
            self.report(
                "version-tag",
                Severity::Error,
                process,
                "the process has no version tag",
                "set camunda:versionTag=\"#{version}\"",
            );
        }
        if process.attribute("isExecutable") != Some("true") {
            self.report(
                "is-executable",
                Severity::Warning,
                process,
                "the process is not marked executable",
                "set isExecutable=\"true\"; other engines skip it otherwise",
            );
        }
        let message_start =
            process.each("startEvent").any(|start| start.child("messageEventDefinition").is_some());
        if !message_start {
            self.report(
                "message-start",
                Severity::Warning,
                process,
                "no message starts this process",
                "add a message start event; a Task cannot start it otherwise",
            );
        }
    }

    fn scope(&mut self, scope: &Xml) {
        let targets: Vec<&str> =
            scope.each("sequenceFlow").filter_map(|flow| flow.attribute("targetRef")).collect();
        let sources: Vec<&str> =
            scope.each("sequenceFlow").filter_map(|flow| flow.attribute("sourceRef")).collect();
        for element in scope.children.iter().filter(|child| child.space == Space::Bpmn) {
            let id = element.attribute("id").unwrap_or_default();
            let name = element.name.as_str();
            let outgoing = sources.iter().filter(|source| **source == id).count();
            let activity = name == "task"
                || name.ends_with("Task")
                || matches!(name, "subProcess" | "transaction" | "callActivity");
            let node = activity || name.ends_with("Event") || name.ends_with("Gateway");
            if !node {
                continue;
            }
            let by_event = element.attribute("triggeredByEvent") == Some("true");
            let link_catch =
                name == "intermediateCatchEvent" && element.child("linkEventDefinition").is_some();
            let entered = targets.contains(&id)
                || element.attribute("isForCompensation") == Some("true")
                || matches!(name, "startEvent" | "boundaryEvent")
                || by_event
                || link_catch;
            if !entered {
                self.report(
                    "unreachable",
                    Severity::Warning,
                    element,
                    "nothing leads to this element",
                    "connect it or remove it",
                );
            }
            let link_throw =
                name == "intermediateThrowEvent" && element.child("linkEventDefinition").is_some();
            let ends = matches!(name, "endEvent") || by_event || link_throw;
            if outgoing == 0 && !ends && !compensates(element) {
                self.report(
                    "no-end-event",
                    Severity::Warning,
                    element,
                    "a token ends here without an end event: received Tasks are not completed",
                    "lead it to an end event",
                );
            }
            self.element(element, outgoing);
            if matches!(name, "subProcess" | "transaction") {
                self.scope(element);
            }
        }
    }

    fn element(&mut self, element: &Xml, outgoing: usize) {
        match element.name.as_str() {
            "serviceTask" => self.named(element),
            "sendTask" => {
                self.named(element);
                self.send(element, element);
            }
            "intermediateThrowEvent" | "endEvent" => {
                if let Some(event) = element.child("messageEventDefinition") {
                    self.send(element, event);
                }
            }
            "userTask" => {
                self.named(element);
                if element.engine("formKey").is_none() {
                    self.report(
                        "form-key",
                        Severity::Warning,
                        element,
                        "the user task has no form",
                        "set camunda:formKey to the canonical of a Questionnaire, url|#{version}",
                    );
                }
            }
            "exclusiveGateway" | "inclusiveGateway" if outgoing > 1 => {
                self.named(element);
                if element.attribute("default").is_none() {
                    self.report(
                        "default-flow",
                        Severity::Info,
                        element,
                        "without a default flow the step fails when no condition holds",
                        "mark one outgoing flow as default",
                    );
                }
            }
            "intermediateCatchEvent" | "boundaryEvent" | "startEvent" => self.catch(element),
            _ => {}
        }
        for listener in element.extensions("executionListener") {
            let class = listener.attribute("class").unwrap_or_default();
            if !class.ends_with("SetCorrelationKeyListener") {
                self.report(
                    "execution-listener",
                    Severity::Info,
                    listener,
                    &format!("execution listener '{class}' is a job: the token waits for its worker"),
                    "map the class in plugin.toml with 'inline' where it only sets variables",
                );
            }
        }
    }

    fn named(&mut self, element: &Xml) {
        if element.attribute("name").is_none() {
            self.report(
                "name",
                Severity::Info,
                element,
                "the element has no name",
                "name it: operators see the name in histories and incidents",
            );
        }
    }

    /// A message needs a class and the three facts about its Task.
    fn send(&mut self, element: &Xml, holder: &Xml) {
        let class = holder.engine("class").or(holder.engine("topic"));
        if class.is_none() {
            if element.name != "sendTask" {
                self.report(
                    "message-class",
                    Severity::Warning,
                    element,
                    "the message event has no implementation and sends nothing",
                    "set camunda:class on its message event definition",
                );
            }
            return;
        }
        let inputs: Vec<&str> = element
            .extensions("inputOutput")
            .flat_map(|mapping| mapping.engine_children("inputParameter"))
            .filter_map(|parameter| parameter.attribute("name"))
            .collect();
        let mut fields: Vec<&Xml> = holder.extensions("field").collect();
        if !std::ptr::eq(element, holder) {
            fields.extend(element.extensions("field"));
        }
        for wanted in SEND_FIELDS {
            let field = fields.iter().find(|field| field.attribute("name") == Some(wanted));
            let input = inputs.contains(&wanted)
                || (wanted == "instantiatesCanonical" && inputs.contains(&"instantiatesUri"));
            if field.is_none() && !input {
                self.report(
                    "send-fields",
                    Severity::Error,
                    element,
                    &format!("the message has no field '{wanted}'"),
                    "add the fields instantiatesCanonical, messageName and profile",
                );
            }
            if let Some(field) = field
                && wanted != "messageName"
                && let Some(text) = field.engine_children("string").next().and_then(Xml::trimmed)
                && !text.contains('|')
            {
                self.report(
                    "send-version",
                    Severity::Warning,
                    element,
                    &format!("field '{wanted}' names no version"),
                    "end it with |#{version}",
                );
            }
        }
    }

    fn catch(&mut self, element: &Xml) {
        if let Some(timer) = element.child("timerEventDefinition") {
            let value = timer.children.iter().find_map(Xml::trimmed).unwrap_or_default();
            if !value.contains("${") && !value.contains("#{") {
                self.report(
                    "fixed-timer",
                    Severity::Info,
                    element,
                    "the time is fixed in the model",
                    "use a variable or a placeholder if sites should be able to change it",
                );
            }
        }
        if let Some(error) = element.child("errorEventDefinition")
            && error.attribute("errorRef").is_none()
        {
            self.report(
                "catch-all-error",
                Severity::Info,
                element,
                "every BPMN error is caught here",
                "name an error unless that is meant",
            );
        }
        if let Some(condition) = element.child("conditionalEventDefinition")
            && condition.engine("variableName").is_none()
        {
            self.report(
                "condition-variable",
                Severity::Info,
                element,
                "the condition is looked at after every variable change",
                "name the variable with camunda:variableName",
            );
        }
    }
}

/// Compensation handlers and the like end where they are.
fn compensates(element: &Xml) -> bool {
    element.attribute("isForCompensation") == Some("true")
        || element.child("compensateEventDefinition").is_some()
}

fn valid_process_id(id: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    id.split_once('_').is_some_and(|(domain, name)| part(domain) && part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://operaton.org/schema/1.0/bpmn"><message id="m" name="go"/>"#;

    /// Rules that a process body breaks with at least a warning, in document order.
    fn rules(process: &str) -> Vec<&'static str> {
        let model = crate::parse(&format!("{HEAD}{process}</definitions>")).unwrap();
        let serious = lint(&model).into_iter().filter(|finding| finding.severity > Severity::Info);
        serious.map(|finding| finding.rule).collect()
    }

    #[test]
    fn each_rule_names_what_breaks_it() {
        let start = r#"<startEvent id="s"><messageEventDefinition messageRef="m"/></startEvent><sequenceFlow id="f" sourceRef="s" targetRef="t"/>"#;
        let end = r#"<sequenceFlow id="g" sourceRef="t" targetRef="e"/><endEvent id="e"/></process>"#;
        let good = format!(
            r#"<process id="org_x" isExecutable="true" camunda:versionTag="1">{start}<serviceTask id="t" camunda:class="c"/>{end}"#
        );
        let table = [
            (good.clone(), vec![]),
            (good.replace("org_x", "x"), vec!["process-id"]),
            (good.replace(" camunda:versionTag=\"1\"", ""), vec!["version-tag"]),
            (good.replace(" isExecutable=\"true\"", ""), vec!["is-executable"]),
            (good.replace("<messageEventDefinition messageRef=\"m\"/>", ""), vec!["message-start"]),
            (good.replace("camunda:class=\"c\"", ""), vec!["compile"]),
            (good.replace("messageRef=\"m\"", "messageRef=\"nope\""), vec!["compile"]),
            (good.replace("serviceTask", "sendTask"), vec!["send-fields"; 3]),
            (
                good.replace("</process>", "<task id=\"lost\"/></process>"),
                vec!["unreachable", "no-end-event"],
            ),
            (format!("{good}{}", good.replace("org_x", "org_y")), vec!["one-process"]),
        ];
        for (process, wanted) in table {
            assert_eq!(rules(&process), wanted, "{process}");
        }
    }

    #[test]
    fn documents_that_are_no_models_are_refused() {
        let deep = "<a>".repeat(100);
        for text in ["", "<a/>", "<!DOCTYPE a><a/>", "<a", deep.as_str(), "<a>&x;</a>"] {
            assert!(crate::parse(text).is_err(), "{text}");
        }
    }
}
