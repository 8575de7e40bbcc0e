//! Builds StructureDefinitions from `framework/profiles.txt`, which describes its format.

use std::collections::HashMap;

use super::Generation;
use crate::element::Element;
use crate::resource::Resource;
use crate::types::{self, Kind};

const TEXT: &str = include_str!("../../framework/profiles.txt");
/// Where the definitions of R4 live.
const R4: &str = "http://hl7.org/fhir/StructureDefinition/";
/// Deepest nesting of parts.
const MAX_PARTS: usize = 8;

pub(super) fn resources() -> Vec<Resource> {
    let mut builder = Builder {
        generation: Generation { host: "", version: "", date: "" },
        parts: HashMap::new(),
        built: Vec::new(),
    };
    let mut lines = TEXT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["generation", rest @ ..] => builder.generation = Generation::read(rest),
            ["part", name] => {
                let body = lines.by_ref().take_while(|line| *line != "end").collect();
                builder.parts.insert(name, body);
            }
            ["profile", name, code, options @ ..] => builder.profile(name, code, options),
            _ => builder.line(line, "", &[], 0),
        }
    }
    builder.built
}

struct Builder {
    generation: Generation<'static>,
    parts: HashMap<&'static str, Vec<&'static str>>,
    built: Vec<Resource>,
}

impl Builder {
    fn profile(&mut self, name: &str, code: &str, options: &[&str]) {
        let mut definition = self.generation.resource("StructureDefinition", name, options);
        let option = |key: &str| options.iter().find_map(|option| option.strip_prefix(key));
        let resource = types::definition(code).is_some_and(|definition| definition.kind() == Kind::Resource);
        let base = match option("base=") {
            Some(name) => self.canonical("StructureDefinition", name),
            None => format!("{R4}{code}"),
        };
        definition.push(Element::primitive("fhirVersion", "4.0.1"));
        definition.push(Element::primitive("kind", if resource { "resource" } else { "complex-type" }));
        let is_abstract = options.contains(&"abstract");
        definition.push(Element::primitive("abstract", if is_abstract { "true" } else { "false" }));
        for path in option("context=").into_iter().flat_map(|paths| paths.split(',')) {
            definition
                .push(Element::new("context").with_text("type", "element").with_text("expression", path));
        }
        definition.push(Element::primitive("type", code));
        definition.push(Element::primitive("baseDefinition", &base));
        definition.push(Element::primitive("derivation", "constraint"));
        definition.push(Element::new("differential"));
        self.built.push(definition);
        if option("base=").is_some() {
            // A differential has at least one element.
            self.line(".", "", &[], 0);
        }
    }

    fn canonical(&self, kind: &str, name: &str) -> String {
        match name.contains(':') {
            true => name.to_owned(),
            false => format!("{}/fhir/{kind}/{name}", self.generation.host),
        }
    }

    /// One line below `prefix`, with the arguments of the part it stands in.
    fn line(&mut self, line: &str, prefix: &str, arguments: &[String], depth: usize) {
        let mut text = line.replace("{h}", self.generation.host);
        for (index, argument) in arguments.iter().enumerate() {
            text = text.replace(&format!("${}", index + 1), argument);
        }
        if let Some(constraint) = text.strip_prefix("! ") {
            self.constraint(constraint);
            return;
        }
        if let Some(call) = text.strip_prefix('+') {
            let mut words = call.split_whitespace();
            let (name, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let arguments: Vec<String> = words.map(str::to_owned).collect();
            let prefix = join(prefix, path);
            if depth < MAX_PARTS {
                for line in self.parts.get(name).cloned().unwrap_or_default() {
                    self.line(line, &prefix, &arguments, depth + 1);
                }
            }
            return;
        }
        // A fixed value goes on to the end of the line.
        let (head, fixed) = match text.split_once(" =") {
            Some((head, fixed)) => (head, Some(fixed)),
            None => (text.as_str(), None),
        };
        let mut words = head.split_whitespace();
        let path = join(prefix, words.next().unwrap_or_default());
        let options: Vec<&str> = words.collect();
        self.element(&path, &options, fixed);
    }

    fn element(&mut self, path: &str, options: &[&str], fixed: Option<&str>) {
        let Some(code) = self.built.last().and_then(|last| last.text("type")).map(str::to_owned) else {
            return;
        };
        let full = if path.is_empty() { code } else { format!("{code}.{path}") };
        let plain: Vec<&str> =
            full.split('.').map(|segment| segment.split(':').next().unwrap_or(segment)).collect();
        let mut element = Element::new("element").with_text("path", &plain.join("."));
        element.set_id_attr(Some(&full));
        if let Some((_, slice)) = full.rsplit('.').next().and_then(|segment| segment.split_once(':')) {
            element.push(Element::primitive("sliceName", slice));
        }
        let option = |key: &str| options.iter().find_map(|option| option.strip_prefix(key));
        for (key, rules) in [("slice=", "open"), ("slice!=", "closed"), ("slice>=", "openAtEnd")] {
            if let Some(paths) = option(key) {
                element.push(slicing(paths, rules));
            }
        }
        if let Some((min, max)) = options.iter().find_map(|option| option.split_once("..")) {
            for (name, value) in [("min", min), ("max", max)] {
                if !value.is_empty() {
                    element.push(Element::primitive(name, value));
                }
            }
        }
        let list = |key: &str| option(key).into_iter().flat_map(|names| names.split(','));
        let profiles: Vec<String> =
            list("profile=").map(|name| self.canonical("StructureDefinition", name)).collect();
        let targets: Vec<String> =
            list("target=").map(|name| self.canonical("StructureDefinition", name)).collect();
        let kinds = option("type=").or(match profiles.is_empty() {
            true => None,
            false if plain.last() == Some(&"meta") => Some("Meta"),
            false => Some("Extension"),
        });
        for kind in kinds.into_iter().flat_map(|kinds| kinds.split('|')) {
            let mut node = Element::new("type").with_text("code", kind);
            for profile in &profiles {
                node.push(Element::primitive("profile", profile));
            }
            for target in &targets {
                node.push(Element::primitive("targetProfile", target));
            }
            element.push(node);
        }
        if let Some((kind, value)) = fixed.and_then(|fixed| fixed.split_once(':')) {
            let mut name = "fixed".to_owned();
            name.extend(kind.chars().next().map(|first| first.to_ascii_uppercase()));
            name.push_str(kind.get(1..).unwrap_or_default());
            element.push(Element::primitive(&name, value));
        }
        if options.contains(&"modifier") {
            element.push(Element::primitive("isModifier", "true"));
            let reason = "Whoever does not know it must not rely on the element it belongs to";
            element.push(Element::primitive("isModifierReason", reason));
        }
        if let Some((strength, set)) = option("bind=").and_then(|binding| binding.split_once(':')) {
            let set = self.canonical("ValueSet", set);
            element.push(Element::new("binding").with_text("strength", strength).with_text("valueSet", &set));
        }
        if let Some(differential) = self.built.last_mut().and_then(|last| last.child_mut("differential")) {
            differential.push(element);
        }
    }

    /// An invariant of the last element.
    fn constraint(&mut self, text: &str) {
        let Some((key, expression)) = text.split_once(' ') else { return };
        let Some(differential) = self.built.last_mut().and_then(|last| last.child_mut("differential")) else {
            return;
        };
        let Some(element) = differential.children_mut().last_mut() else { return };
        let constraint = Element::new("constraint")
            .with_text("key", key)
            .with_text("severity", "error")
            .with_text("human", &key.replace('-', " "))
            .with_text("expression", expression);
        // In the order of ElementDefinition: before isModifier and binding.
        let behind = ["isModifier", "isModifierReason", "binding"];
        let at = element.children().iter().position(|child| behind.contains(&child.name()));
        let at = at.unwrap_or(element.children().len());
        element.children_mut().insert(at, constraint);
    }
}

fn slicing(paths: &str, rules: &str) -> Element {
    let mut slicing = Element::new("slicing");
    for path in paths.split(',') {
        slicing.push(Element::new("discriminator").with_text("type", "value").with_text("path", path));
    }
    slicing.with_text("rules", rules)
}

/// A path below another one; `.` is the other one itself.
fn join(prefix: &str, path: &str) -> String {
    let path = if path == "." { "" } else { path };
    match (prefix, path) {
        ("", path) => path.trim_start_matches('.').to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, path) if path.starts_with(['.', ':']) => format!("{prefix}{path}"),
        (prefix, path) => format!("{prefix}.{path}"),
    }
}
