//! From model to [`Definition`]: numbers elements and flows, resolves references, parses expressions.
//!
//! Errors are collected, each with its element and line; the first one does not hide the others.
mod check;
mod element;
mod extension;

use std::collections::HashMap;

use crate::definition::{
    CompileError, CompileErrors, CompileOptions, Definition, Element, ElementIx, Flow, FlowIx, Kind,
};
use crate::expression::Template;
use crate::model::Model;
use crate::xml::{Space, Xml};

/// Most elements in one process.
const MAX_ELEMENTS: usize = 10_000;

/// Compiles the one process of a model.
///
/// # Errors
/// Everything that is wrong, each with its line.
pub fn compile(model: &Model, options: &CompileOptions) -> Result<Definition, CompileErrors> {
    let mut definitions = compile_all(model, options)?;
    match (definitions.pop(), definitions.is_empty()) {
        (Some(definition), true) => Ok(definition),
        _ => Err(CompileErrors(vec![CompileError {
            line: model.root.line,
            element: model.root.label(),
            message: format!("exactly one process expected, {} found", model.process_ids().len()),
        }])),
    }
}

/// Compiles every process of a model, in document order.
///
/// # Errors
/// Everything that is wrong, each with its line.
pub fn compile_all(model: &Model, options: &CompileOptions) -> Result<Vec<Definition>, CompileErrors> {
    let mut definitions = Vec::new();
    let mut errors = Vec::new();
    for process in model.processes() {
        let mut compiler = Compiler {
            model,
            options,
            errors: Vec::new(),
            elements: Vec::new(),
            flows: Vec::new(),
            index: HashMap::new(),
            sources: Vec::new(),
            flow_sources: Vec::new(),
        };
        match compiler.process(process) {
            Some(definition) if compiler.errors.is_empty() => definitions.push(definition),
            _ => errors.append(&mut compiler.errors),
        }
    }
    if errors.is_empty() { Ok(definitions) } else { Err(CompileErrors(errors)) }
}

struct Compiler<'a> {
    model: &'a Model,
    options: &'a CompileOptions,
    errors: Vec<CompileError>,
    elements: Vec<Element>,
    flows: Vec<Flow>,
    index: HashMap<String, ElementIx>,
    /// The document element behind each compiled one.
    sources: Vec<&'a Xml>,
    /// The document element behind each flow.
    flow_sources: Vec<&'a Xml>,
}

/// Elements inside a scope that have no meaning for execution.
const SILENT: [&str; 22] = [
    "documentation",
    "extensionElements",
    "incoming",
    "outgoing",
    "sequenceFlow",
    "multiInstanceLoopCharacteristics",
    "standardLoopCharacteristics",
    "laneSet",
    "textAnnotation",
    "association",
    "group",
    "dataObject",
    "dataObjectReference",
    "dataStoreReference",
    "ioSpecification",
    "property",
    "dataInputAssociation",
    "dataOutputAssociation",
    "category",
    "auditing",
    "monitoring",
    "supports",
];

impl<'a> Compiler<'a> {
    fn process(&mut self, process: &'a Xml) -> Option<Definition> {
        if process.attribute("id").is_none() {
            self.fail(process, "a process needs an id");
            return None;
        }
        self.add(process, 0);
        self.collect(process, 0);
        if self.elements.len() > MAX_ELEMENTS {
            self.fail(process, &format!("more than {MAX_ELEMENTS} elements"));
            return None;
        }
        self.connect(process);
        for ix in 0..self.sources.len() {
            self.element(ix);
        }
        self.attach();
        // Rules between elements make no sense over elements that could not be understood.
        if self.errors.is_empty() {
            self.check();
        }
        Some(Definition {
            name: process.attribute("name").map(str::to_owned),
            history_time_to_live: process.engine("historyTimeToLive").map(str::to_owned),
            version_tag: process.engine("versionTag").map(str::to_owned),
            fingerprint: fingerprint(&self.elements, &self.flows),
            elements: std::mem::take(&mut self.elements),
            flows: std::mem::take(&mut self.flows),
            index: std::mem::take(&mut self.index),
        })
    }

    fn fail(&mut self, at: &Xml, message: &str) {
        self.errors.push(CompileError { line: at.line, element: at.label(), message: message.to_owned() });
    }

    /// Adds an element with nothing but its place; what it is comes in a second pass.
    fn add(&mut self, xml: &'a Xml, parent: ElementIx) -> ElementIx {
        let ix = ElementIx::try_from(self.elements.len()).unwrap_or(ElementIx::MAX);
        let id = match xml.attribute("id") {
            Some(id) => id.to_owned(),
            None => {
                self.fail(xml, "an id is needed");
                String::new()
            }
        };
        if id.contains(['/', '#']) {
            self.fail(xml, "an id must not hold '/' or '#'");
        }
        if self.index.insert(id.clone(), ix).is_some() {
            self.fail(xml, "two elements have this id");
        }
        self.elements.push(Element {
            id,
            name: xml.attribute("name").map(str::to_owned),
            kind: Kind::Task,
            parent,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            default: None,
            boundaries: Vec::new(),
            children: Vec::new(),
            multi: None,
            async_before: false,
            async_after: false,
            exclusive: true,
            retry_cycle: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            listeners: Vec::new(),
        });
        self.sources.push(xml);
        if ix != parent {
            self.elements[parent as usize].children.push(ix);
        }
        ix
    }

    fn collect(&mut self, scope: &'a Xml, parent: ElementIx) {
        for child in scope.children.iter().filter(|child| child.space == Space::Bpmn) {
            if SILENT.contains(&child.name.as_str()) {
                continue;
            }
            if self.elements.len() > MAX_ELEMENTS {
                return;
            }
            let ix = self.add(child, parent);
            if matches!(child.name.as_str(), "subProcess" | "transaction" | "adHocSubProcess") {
                self.collect(child, ix);
            }
        }
    }

    /// Flows in document order; both ends must be in the scope of the flow.
    fn connect(&mut self, scope: &'a Xml) {
        let mut scopes = vec![scope];
        while let Some(scope) = scopes.pop() {
            for child in &scope.children {
                match (child.space, child.name.as_str()) {
                    (Space::Bpmn, "sequenceFlow") => self.flow(child),
                    (Space::Bpmn, "subProcess" | "transaction") => scopes.push(child),
                    _ => {}
                }
            }
        }
    }

    fn flow(&mut self, flow: &'a Xml) {
        let mut end = |attribute: &str| {
            let target = flow.attribute(attribute).unwrap_or_default();
            let found = self.index.get(target).copied();
            if found.is_none() {
                let message = format!("{attribute} '{target}' is no element of the process");
                self.errors.push(CompileError { line: flow.line, element: flow.label(), message });
            }
            found
        };
        let (Some(source), Some(target)) = (end("sourceRef"), end("targetRef")) else { return };
        if self.elements[source as usize].parent != self.elements[target as usize].parent {
            self.fail(flow, "a sequence flow must not cross the border of a subprocess");
            return;
        }
        let condition = flow.child("conditionExpression");
        if let Some(condition) = condition
            && (condition.attribute("language").is_some() || condition.engine("resource").is_some())
        {
            self.fail(flow, "scripts are not supported as conditions; use an expression ${…}");
        }
        let condition = condition
            .and_then(|condition| condition.trimmed().and_then(|text| self.template(condition, flow, text)));
        let ix = FlowIx::try_from(self.flows.len()).unwrap_or(FlowIx::MAX);
        self.flow_sources.push(flow);
        self.flows.push(Flow { id: flow.attribute("id").unwrap_or_default().to_owned(), target, condition });
        self.elements[source as usize].outgoing.push(ix);
        self.elements[target as usize].incoming.push(ix);
    }

    /// Parses an expression; the error names the element it belongs to and the line it stands in.
    fn template(&mut self, at: &Xml, owner: &Xml, text: &str) -> Option<Template> {
        match Template::parse(text) {
            Ok(template) => Some(template),
            Err(error) => {
                self.errors.push(CompileError {
                    line: at.line,
                    element: owner.label(),
                    message: error.to_string(),
                });
                None
            }
        }
    }

    /// Hangs boundary events on their activities, after all elements are known.
    fn attach(&mut self) {
        for ix in 0..self.elements.len() {
            if let Kind::Boundary { attached, .. } = self.elements[ix].kind {
                let boundary = ElementIx::try_from(ix).unwrap_or(ElementIx::MAX);
                self.elements[attached as usize].boundaries.push(boundary);
            }
        }
    }
}

/// FNV-1a over the ids in order: enough to notice that a state belongs to another model.
fn fingerprint(elements: &[Element], flows: &[Flow]) -> u32 {
    let ids = elements.iter().map(|element| &element.id).chain(flows.iter().map(|flow| &flow.id));
    let mut hash = 0x811c_9dc5_u32;
    for byte in ids.flat_map(|id| id.bytes().chain([0])) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash
}
