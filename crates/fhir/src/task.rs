//! A thin view of Task that knows both generations of names.

use crate::element::Element;
use crate::generation::{self, Generation, ProcessForm, message};
use crate::resource::Resource;

/// Longest label of a domain name (RFC 1035).
const MAX_LABEL: usize = 63;

/// A Task, read through the names of its generation.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    resource: &'a Resource,
    generation: &'static Generation,
}

/// The process a Task names (contract `process-engine.md` section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Key of the process definition: the domain without dots, `_`, the name.
    pub key: String,
    /// Version tag of the process definition: `1.1`, or `0.7.0` in the older generation.
    pub version: String,
    /// `ActivityDefinition.url`: the text before the version.
    pub url: String,
    /// Domain as written.
    pub domain: String,
    /// Name as written.
    pub name: String,
}

impl Process {
    /// Reads the text of `Task.instantiatesCanonical` or `instantiatesUri`; all of it must match.
    pub fn parse(text: &str, form: ProcessForm) -> Option<Process> {
        let (separator, numbers) = match form {
            ProcessForm::Canonical => ('|', 2),
            ProcessForm::Uri => ('/', 3),
        };
        let (url, version) = text.rsplit_once(separator)?;
        let rest = match (form, url.strip_prefix("https://")) {
            (ProcessForm::Canonical, Some(rest)) => rest,
            _ => url.strip_prefix("http://")?,
        };
        let (domain, name) = rest.split_once("/bpe/Process/")?;
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_version = version.split('.').count() == numbers && version.split('.').all(is_number);
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'_' && form == ProcessForm::Uri)
            });
        if !is_version || !is_name || !is_domain(domain, form) {
            return None;
        }
        Some(Process {
            key: format!("{}_{name}", domain.replace('.', "")),
            version: version.to_owned(),
            url: url.to_owned(),
            domain: domain.to_owned(),
            name: name.to_owned(),
        })
    }
}

fn is_domain(domain: &str, form: ProcessForm) -> bool {
    let is_label = |label: &str, least: usize| {
        (least..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match (form, domain.rsplit_once('.')) {
        (ProcessForm::Uri, _) => domain.split('.').all(|label| is_label(label, 1)),
        (ProcessForm::Canonical, Some((labels, top))) => {
            labels.split('.').all(|label| is_label(label, 2)) && is_label(top, 1) && !top.contains('-')
        }
        (ProcessForm::Canonical, None) => false,
    }
}

impl<'a> Task<'a> {
    /// The view of a resource, if it is a Task.
    ///
    /// The generation follows from the code system of the inputs; a Task without such inputs
    /// belongs to the older one if it has only `instantiatesUri`.
    pub fn of(resource: &'a Resource) -> Option<Task<'a>> {
        if resource.resource_type() != "Task" {
            return None;
        }
        let by_input =
            resource.at("input.type.coding.system").into_iter().filter_map(Element::value).find_map(
                |system| generation::all().into_iter().find(|generation| generation.bpmn_message == system),
            );
        let generation = by_input.unwrap_or_else(|| {
            let has = |generation: &Generation| resource.child(generation.task_process_element).is_some();
            generation::all().into_iter().find(|generation| has(generation)).unwrap_or(&generation::MODERN)
        });
        Some(Task { resource, generation })
    }

    /// The whole resource.
    pub fn resource(&self) -> &'a Resource {
        self.resource
    }

    /// The generation whose names the Task uses.
    pub fn generation(&self) -> &'static Generation {
        self.generation
    }

    /// `Task.status`
    pub fn status(&self) -> Option<&'a str> {
        self.resource.text("status")
    }

    /// `Task.intent`
    pub fn intent(&self) -> Option<&'a str> {
        self.resource.text("intent")
    }

    /// `Task.authoredOn`
    pub fn authored_on(&self) -> Option<&'a str> {
        self.resource.text("authoredOn")
    }

    /// The text that names the process: `instantiatesCanonical` or `instantiatesUri`.
    pub fn instantiates(&self) -> Option<&'a str> {
        self.resource.text(self.generation.task_process_element)
    }

    /// The process the Task names; `None` if there is none or it is not of the required form.
    pub fn process(&self) -> Option<Process> {
        Process::parse(self.instantiates()?, self.generation.process_form)
    }

    /// All inputs with a coding of the bpmn-message code system and this code.
    pub fn message_inputs(&self, code: &str) -> Vec<&'a Element> {
        parameters(self.resource, "input", self.generation.bpmn_message, code)
    }

    /// The string of the first input with the given code of the bpmn-message code system.
    fn message_text(&self, code: &str) -> Option<&'a str> {
        self.message_inputs(code).into_iter().find_map(|input| input.text("valueString"))
    }

    /// Name of the BPMN message. Rules that want exactly one look at [`Task::message_inputs`].
    pub fn message_name(&self) -> Option<&'a str> {
        self.message_text(message::NAME)
    }

    /// Key of the process instance.
    pub fn business_key(&self) -> Option<&'a str> {
        self.message_text(message::BUSINESS_KEY)
    }

    /// Key of one waiting branch.
    pub fn correlation_key(&self) -> Option<&'a str> {
        self.message_text(message::CORRELATION_KEY)
    }

    /// `Task.requester`
    pub fn requester(&self) -> Option<&'a Element> {
        self.resource.child("requester")
    }

    /// Identifier value of the requester under the organization naming system of the generation.
    pub fn requester_organization(&self) -> Option<&'a str> {
        self.requester().and_then(|reference| self.organization(reference))
    }

    /// All `Task.restriction.recipient`.
    pub fn recipients(&self) -> Vec<&'a Element> {
        self.resource.at("restriction.recipient")
    }

    /// Identifier value of the first recipient under the organization naming system of the generation.
    pub fn recipient_organization(&self) -> Option<&'a str> {
        self.recipients().into_iter().find_map(|reference| self.organization(reference))
    }

    fn organization(&self, reference: &'a Element) -> Option<&'a str> {
        let identifier = reference.child("identifier")?;
        identifier
            .text("value")
            .filter(|_| identifier.text("system") == Some(self.generation.organization_identifier))
    }

    /// All `Task.input`.
    pub fn inputs(&self) -> Vec<&'a Element> {
        self.resource.at("input")
    }

    /// All `Task.output`.
    pub fn outputs(&self) -> Vec<&'a Element> {
        self.resource.at("output")
    }

    /// Inputs whose type has this coding.
    pub fn inputs_of(&self, system: &str, code: &str) -> Vec<&'a Element> {
        parameters(self.resource, "input", system, code)
    }

    /// Outputs whose type has this coding.
    pub fn outputs_of(&self, system: &str, code: &str) -> Vec<&'a Element> {
        parameters(self.resource, "output", system, code)
    }
}

/// The inputs or outputs (`name`) of a Task whose type has this coding.
fn parameters<'a>(resource: &'a Resource, name: &str, system: &str, code: &str) -> Vec<&'a Element> {
    let mut found = resource.at(name);
    found.retain(|parameter| {
        parameter
            .at("type.coding")
            .iter()
            .any(|coding| coding.text("system") == Some(system) && coding.text("code") == Some(code))
    });
    found
}

/// An input or output (`name`) with a type of one coding; `value` is named after its type, for example
/// `valueString`.
pub fn parameter(name: &str, system: &str, version: Option<&str>, code: &str, value: Element) -> Element {
    let mut coding = Element::new("coding").with_text("system", system);
    if let Some(version) = version {
        coding.push(Element::primitive("version", version));
    }
    let coding = coding.with_text("code", code);
    Element::new(name).with(Element::new("type").with(coding)).with(value)
}

/// An input with a string of the bpmn-message code system: `code` is one of [`message`].
pub fn message_input(generation: &Generation, code: &str, value: &str) -> Element {
    parameter("input", generation.bpmn_message, None, code, Element::primitive("valueString", value))
}

/// The output that tells why a Task failed.
pub fn error_output(generation: &Generation, text: &str) -> Element {
    parameter(
        "output",
        generation.bpmn_message,
        None,
        message::ERROR,
        Element::primitive("valueString", text),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::{HIGHMED, MODERN};

    #[test]
    fn process_names() {
        use ProcessForm::{Canonical, Uri};
        let long = "a".repeat(63);
        for (form, text, expected) in [
            (Canonical, "http://dsf.dev/bpe/Process/ping|1.1", Some(("dsfdev_ping", "1.1"))),
            (Canonical, "https://a-b.c1.org/bpe/Process/x-Y9|10.20", Some(("a-bc1org_x-Y9", "10.20"))),
            (
                Canonical,
                &format!("http://{long}.{long}/bpe/Process/p|1.0"),
                Some((&*format!("{long}{long}_p"), "1.0")),
            ),
            (Canonical, &format!("http://{long}a.org/bpe/Process/p|1.0"), None),
            (Canonical, "http://a.org/bpe/Process/p|1.0", None),
            (Canonical, "http://localhost/bpe/Process/p|1.0", None),
            (Canonical, "http://ab-.org/bpe/Process/p|1.0", None),
            (Canonical, "http://ab.o-g/bpe/Process/p|1.0", None),
            (Canonical, "http://dsf.dev/bpe/Process/p_q|1.0", None),
            (Canonical, "http://dsf.dev/bpe/Process/p|1.0.0", None),
            (Canonical, "http://dsf.dev/bpe/Process/p|1.", None),
            (Canonical, "http://dsf.dev/bpe/Process/p", None),
            (Canonical, "http://dsf.dev/bpe/Process/|1.0", None),
            (Canonical, " http://dsf.dev/bpe/Process/p|1.0", None),
            (Uri, "http://highmed.org/bpe/Process/ping/0.7.0", Some(("highmedorg_ping", "0.7.0"))),
            (Uri, "http://localhost/bpe/Process/a_b/0.7.0", Some(("localhost_a_b", "0.7.0"))),
            (Uri, "https://highmed.org/bpe/Process/ping/0.7.0", None),
            (Uri, "http://highmed.org/bpe/Process/ping/0.7", None),
        ] {
            let process = Process::parse(text, form);
            let found = process.as_ref().map(|process| (&*process.key, &*process.version));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn both_generations() {
        for (generation, text, key) in [
            (&MODERN, "http://dsf.dev/bpe/Process/ping|1.0", "dsfdev_ping"),
            (&HIGHMED, "http://highmed.org/bpe/Process/ping/0.7.0", "highmedorg_ping"),
        ] {
            let organization = |value: &str| {
                Element::new("identifier")
                    .with_text("system", generation.organization_identifier)
                    .with_text("value", value)
            };
            let mut resource = Resource::new("Task");
            resource.set_text("status", "requested");
            resource.set_text(generation.task_process_element, text);
            resource.push(Element::new("requester").with(organization("a")));
            resource
                .push(Element::new("restriction").with(Element::new("recipient").with(organization("b"))));
            resource.push(message_input(generation, message::NAME, "start"));
            resource.push(message_input(generation, message::BUSINESS_KEY, "key"));
            let task = Task::of(&resource).unwrap();
            assert_eq!(task.generation(), generation);
            assert_eq!(task.process().unwrap().key, key);
            assert_eq!(
                (task.message_name(), task.business_key(), task.correlation_key()),
                (Some("start"), Some("key"), None)
            );
            assert_eq!(
                (task.requester_organization(), task.recipient_organization()),
                (Some("a"), Some("b"))
            );
        }
    }
}
