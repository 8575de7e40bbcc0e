//! Builds code systems and value sets from `framework/terminology.txt`, which describes its format.

use super::Generation;
use crate::element::Element;
use crate::resource::Resource;

const TEXT: &str = include_str!("../../framework/terminology.txt");

pub(super) fn resources() -> Vec<Resource> {
    let mut built: Vec<Resource> = Vec::new();
    let mut generation = Generation { host: "", version: "", date: "" };
    for line in TEXT.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), line.starts_with(' ')) {
            (["generation", rest @ ..], false) => generation = Generation::read(rest),
            (["system", name, options @ ..], false) => {
                let mut system = generation.resource("CodeSystem", name, options);
                system.push(Element::primitive("caseSensitive", "true"));
                system.push(Element::primitive("content", "complete"));
                built.push(system);
            }
            (["set", name, options @ ..], false) => {
                let mut set = generation.resource("ValueSet", name, options);
                set.push(Element::new("compose"));
                built.push(set);
            }
            ([first, rest @ ..], true) => {
                let Some(last) = built.last_mut() else { continue };
                if let Some(compose) = last.child_mut("compose") {
                    compose.push(include(&generation, first, rest));
                } else {
                    let display = rest.join(" ");
                    last.push(
                        Element::new("concept").with_text("code", first).with_text("display", &display),
                    );
                }
            }
            _ => {}
        }
    }
    built
}

/// The system is named without its version: a set stays what it is when a code is added.
fn include(generation: &Generation<'_>, system: &str, codes: &[&str]) -> Element {
    let url = match system.contains(':') {
        true => system.to_owned(),
        false => format!("{}/fhir/CodeSystem/{system}", generation.host),
    };
    let mut include = Element::new("include").with_text("system", &url);
    for code in codes {
        include.push(Element::new("concept").with_text("code", code));
    }
    include
}
