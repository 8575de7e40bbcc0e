//! Codes: bindings to value sets, and codes that their system does not know.

use super::super::lexical::is_absolute;
use super::super::node::{Node, Strength};
use super::super::path::Path;
use super::super::terminology::{Coded, InSystem, Membership};
use super::{Walk, is_root_child, without_parameters};
use crate::element::Element;

/// Language tags are not looked up: any well-formed one passes.
const LANGUAGES: &str = "http://hl7.org/fhir/ValueSet/languages";

impl Walk<'_> {
    /// Bound value sets, and codes of systems that are held.
    pub(super) fn binding(
        &mut self,
        node: &Node,
        element: &Element,
        code: &'static str,
        path: &Path<'_>,
        with_base: bool,
    ) {
        let binding = node.binding.as_ref().filter(|binding| with_base || !binding.base);
        match code {
            "code" | "string" | "uri" | "markdown" | "canonical" | "url" => {
                let (Some(binding), Some(text)) = (binding, element.value()) else { return };
                let strict = match binding.strength {
                    Strength::Required => true,
                    Strength::Extensible => code == "code",
                    _ => false,
                };
                if !strict || &*binding.value_set == LANGUAGES {
                    return;
                }
                let text = if self.strip_media_parameters && path.name == "contentType" && is_root_child(path)
                {
                    without_parameters(text)
                } else {
                    text
                };
                let coded = Coded { system: None, version: None, code: text };
                match self.validator.terminology().member(&binding.value_set, coded) {
                    Membership::Member => {}
                    Membership::NoMember => {
                        self.error("code-not-in-set", path, &not_in(&binding.value_set));
                    }
                    Membership::Unknown => {
                        if !binding.base {
                            self.warning("set-unknown", path, &unknown_set(&binding.value_set));
                        }
                    }
                }
            }
            "Coding" => {
                if with_base {
                    self.known_code(element, path, false);
                }
                let Some(binding) = binding.filter(|binding| binding.strength == Strength::Required) else {
                    return;
                };
                match self.coding_in(&binding.value_set, element) {
                    Some(Membership::NoMember) => {
                        self.error("code-not-in-set", path, &not_in(&binding.value_set));
                    }
                    Some(Membership::Unknown) if !binding.base => {
                        self.warning("set-unknown", path, &unknown_set(&binding.value_set));
                    }
                    _ => {}
                }
            }
            "CodeableConcept" => {
                if with_base {
                    for coding in element.each("coding") {
                        self.known_code(coding, path, true);
                    }
                }
                let Some(binding) = binding.filter(|binding| binding.strength == Strength::Required) else {
                    return;
                };
                let mut member = false;
                let mut unknown = false;
                let mut foreign = false;
                for coding in element.each("coding") {
                    match self.coding_in(&binding.value_set, coding) {
                        Some(Membership::Member) => member = true,
                        Some(Membership::Unknown) => unknown = true,
                        Some(Membership::NoMember) => {
                            let system = coding.text("system").unwrap_or_default();
                            let code = coding.text("code").unwrap_or_default();
                            foreign |= matches!(
                                self.validator.terminology().in_system(system, None, code),
                                InSystem::Unknown
                            );
                        }
                        None => {}
                    }
                }
                if foreign || !member && !unknown {
                    self.error("code-not-in-set", path, &not_in(&binding.value_set));
                } else if unknown && !member && !binding.base {
                    self.warning("set-unknown", path, &unknown_set(&binding.value_set));
                }
            }
            _ => {}
        }
    }

    /// Whether a Coding is in a set; `None` if it has no code.
    fn coding_in(&self, set: &str, coding: &Element) -> Option<Membership> {
        let code = coding.text("code")?;
        let system = coding.text("system")?;
        let coded = Coded { system: Some(system), version: coding.text("version"), code };
        Some(self.validator.terminology().member(set, coded))
    }

    /// A code that its system, which is held here, does not have is an error whatever is bound.
    fn known_code(&mut self, coding: &Element, path: &Path<'_>, concept: bool) {
        let Some(system) = coding.text("system") else { return };
        if !is_absolute(system) {
            self.error("system-relative", path, "the system of a code is not absolute");
            return;
        }
        let Some(code) = coding.text("code").filter(|code| !code.is_empty()) else {
            // A concept needs its code; a Coding alone may name only its system.
            if concept && self.validator.terminology().in_system(system, None, "") == InSystem::NoCode {
                self.error("code-unknown", path, "the code system has no such code");
            }
            return;
        };
        let version = coding.text("version");
        if self.validator.terminology().in_system(system, version, code) == InSystem::NoCode {
            self.error("code-unknown", path, "the code system has no such code");
        }
    }
}

fn not_in(set: &str) -> String {
    format!("the code is not in the value set {set}")
}

fn unknown_set(set: &str) -> String {
    format!("the value set {set} is not known here, or not what its filters let through")
}
