//! Rules of single resource types that no table holds (validation contract 3.3, 3.10, 3.11).

use std::collections::HashMap;

use super::lexical::is_absolute;
use super::path::{Path, Suffix};
use super::profile::ProfileError;
use super::walk::Walk;
use crate::element::Element;
use crate::primitive::Primitive;
use crate::types;

impl Walk<'_> {
    /// What is special about a resource.
    pub(super) fn special(
        &mut self,
        resource: &Element,
        code: &'static str,
        path: &Path<'_>,
        container: Option<&Element>,
    ) {
        if container.is_none() {
            self.contained(resource, path);
        }
        if resource.text("url").is_some_and(|url| !is_absolute(url)) && is_canonical(code) {
            let path = path.child("url", Suffix::None);
            self.error("canonical-relative", &path, "the url of the resource is not absolute");
        }
        match code {
            "Bundle" => self.bundle(resource, path),
            "StructureDefinition" => self.structure_definition(resource, path),
            "CodeSystem" => self.code_system(resource, path),
            "ValueSet" => self.value_set(resource, path),
            "Measure" => self.measure(resource, path),
            "QuestionnaireResponse" => self.questionnaire_response(resource, path),
            _ => {}
        }
    }

    /// dom-2 to dom-5.
    fn contained(&mut self, resource: &Element, path: &Path<'_>) {
        if resource.child("contained").is_none() {
            return;
        }
        let mut fragments = HashMap::new();
        local_references(resource, &mut fragments);
        for (index, inner) in resource.each("contained").enumerate() {
            let path = path.child("contained", Suffix::Index(index));
            if inner.child("contained").is_some() {
                self.error("dom-2", &path, "a contained resource contains others");
            }
            if let Some(meta) = inner.child("meta")
                && meta
                    .children()
                    .iter()
                    .all(|child| matches!(child.name(), "versionId" | "lastUpdated" | "security"))
            {
                let path = path.child("meta", Suffix::None);
                self.error("dom-4", &path, "a contained resource has no version, time or security labels");
            }
            let referenced = inner.text("id").is_some_and(|id| fragments.contains_key(id));
            let mut own = HashMap::new();
            local_references(inner, &mut own);
            if !referenced && !own.contains_key("") {
                self.error("dom-3", &path, "nothing refers to the contained resource");
            }
        }
    }

    fn bundle(&mut self, bundle: &Element, path: &Path<'_>) {
        let kind = bundle.text("type").unwrap_or_default();
        let optional =
            matches!(kind, "transaction" | "transaction-response" | "batch" | "batch-response" | "");
        for (index, entry) in bundle.each("entry").enumerate() {
            let path = path.child("entry", Suffix::Index(index));
            let Some(full_url) = entry.text("fullUrl") else {
                if !optional {
                    self.error("full-url-missing", &path, "the entry needs a fullUrl");
                }
                continue;
            };
            let Some(resource) = entry.child("resource") else { continue };
            let (Some(code), Some(id)) = (resource.resource_type(), resource.text("id")) else { continue };
            let rest = full_url.starts_with("http://") || full_url.starts_with("https://");
            let fits = if rest {
                full_url.split("/_history/").next().unwrap_or_default().ends_with(&format!("/{code}/{id}"))
            } else {
                optional || full_url.rsplit(':').next() == Some(id.rsplit(':').next().unwrap_or(id))
            };
            if !fits {
                self.error("full-url-mismatch", &path, "the fullUrl is not that of the resource");
            }
        }
        if kind == "document" {
            for (index, entry) in bundle.each("entry").enumerate().skip(1) {
                if entry.child("resource").is_some_and(|inner| inner.resource_type() == Some("Composition"))
                    && index == 1
                    && bundle.child("entry").and_then(|first| first.child("resource")).is_none()
                {
                    let path = path.child("entry", Suffix::Index(index));
                    self.error("document-order", &path, "the Composition is the first entry");
                }
            }
        }
    }

    fn structure_definition(&mut self, definition: &Element, path: &Path<'_>) {
        if definition.text("derivation").is_none() && definition.text("baseDefinition").is_some() {
            self.error("derivation-missing", path, "a definition with a base needs a derivation");
        }
        if definition.text("derivation") != Some("constraint")
            || definition.text("kind") == Some("logical")
            || definition.text("type").is_none()
        {
            return;
        }
        match self.validator.compile(definition) {
            Ok(profile) => {
                for text in &profile.unsupported {
                    let text = format!("resources that claim this profile will be refused: {text}");
                    self.warning("profile-unsupported", path, &text);
                }
            }
            Err(error @ ProfileError::UnknownBase(_)) => {
                self.warning("snapshot-base-unknown", path, &error.to_string());
            }
            Err(error @ ProfileError::Malformed(_)) => {
                self.error("snapshot-impossible", path, &format!("no snapshot can be made: {error}"));
            }
        }
    }

    fn code_system(&mut self, system: &Element, path: &Path<'_>) {
        let content = system.text("content").unwrap_or_default();
        if content == "supplement" && system.child("supplements").is_none() {
            let path = path.child("content", Suffix::None);
            self.error("supplement-without-system", &path, "a supplement names the system it adds to");
        }
        if content == "complete"
            && let Some(count) = system.text("count").and_then(|count| count.parse::<usize>().ok())
            && count != concepts(system)
        {
            let path = path.child("count", Suffix::None);
            self.error("count-wrong", &path, "the count is not the number of concepts");
        }
    }

    fn value_set(&mut self, set: &Element, path: &Path<'_>) {
        let Some(compose) = set.child("compose") else { return };
        let compose_path = path.child("compose", Suffix::None);
        for name in ["include", "exclude"] {
            for (index, part) in compose.each(name).enumerate() {
                if part.text("system").is_some_and(|system| !is_absolute(system)) {
                    let path = compose_path.child(name, Suffix::Index(index));
                    self.error("system-relative", &path, "the system is not absolute");
                }
                if !self.validator.terminology().supports(part) {
                    let path = compose_path.child(name, Suffix::Index(index));
                    let text = "a filter is unsupported, or its code system is not held completely: no code is checked against it";
                    self.warning("filter-unsupported", &path, text);
                }
            }
        }
    }

    /// Criteria in CQL need a library.
    fn measure(&mut self, measure: &Element, path: &Path<'_>) {
        if measure.child("library").is_some() {
            return;
        }
        let is_cql = |part: &Element| {
            part.text("criteria.language").is_some_and(|language| language.starts_with("text/cql"))
        };
        for (group_index, group) in measure.each("group").enumerate() {
            let group_path = path.child("group", Suffix::Index(group_index));
            for name in ["population", "stratifier"] {
                for (index, part) in group.each(name).enumerate() {
                    if is_cql(part) {
                        let part_path = group_path.child(name, Suffix::Index(index));
                        let path = part_path.child("criteria", Suffix::None);
                        self.error("measure-without-library", &path, "criteria in CQL need a library");
                    }
                }
            }
        }
    }
}

/// Whether the type has a canonical url.
fn is_canonical(code: &str) -> bool {
    types::definition(code).is_some_and(|definition| {
        definition.member("version").is_some()
            && definition
                .member("url")
                .is_some_and(|member| member.content == types::Content::Primitive(Primitive::Uri))
    })
}

/// What is referred to as `#id`, anywhere below.
fn local_references<'r>(element: &'r Element, found: &mut HashMap<&'r str, ()>) {
    for child in element.children() {
        if let Some(id) = child.value().and_then(|value| value.strip_prefix('#'))
            && (child.name() == "reference" || is_uri(child.name()))
        {
            found.insert(id, ());
        }
        local_references(child, found);
    }
}

/// Names of elements that are not uris for sure are left out: what begins with `#` and is one of
/// these is no reference.
fn is_uri(name: &str) -> bool {
    !matches!(
        name,
        "div"
            | "text"
            | "display"
            | "description"
            | "id"
            | "code"
            | "valueString"
            | "valueCode"
            | "valueMarkdown"
    )
}

fn concepts(element: &Element) -> usize {
    element.each("concept").map(|concept| 1 + concepts(concept)).sum()
}
