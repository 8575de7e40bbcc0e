//! Extensions: their definitions, and the places where they may stand.

use super::super::lexical::is_absolute;
use super::super::path::{Path, Suffix};
use super::super::profile::{ExtensionContext, Profile};
use super::{Frame, Walk};
use crate::element::Element;
use crate::types;

impl Walk<'_> {
    pub(super) fn extension<'r>(&mut self, element: &'r Element, path: &Path<'_>, frame: Frame<'r, '_>) {
        let Some(url) = element.extension_url() else {
            self.error("extension-without-url", &path.child("url", Suffix::None), "an extension needs a url");
            self.error("extension-without-url", path, "an extension needs a url");
            return;
        };
        let inside = path.up.is_some_and(|up| matches!(up.name, "extension" | "modifierExtension"));
        if !is_absolute(url) {
            if !inside {
                self.error("extension-url-relative", path, "the url of an extension is not absolute");
            }
            return;
        }
        let Some(profile) = self.validator.extension(url) else { return };
        if let Some(up) = path.up
            && !allowed_here(&profile, up, &|| outer_url(element, frame.context.resource))
        {
            self.error("extension-context", path, "the extension is not allowed at this place");
        }
        if let Some(first) = profile.unsupported.first() {
            let text = format!("the extension uses what cannot be checked here: {first}");
            self.error("profile-unsupported", path, &text);
        }
        if profile
            .root
            .children
            .as_ref()
            .is_some_and(|children| children.iter().any(|child| child.choice && child.max == Some(0)))
            && element.choice("value").is_some()
        {
            self.error("type-not-allowed", path, "the extension has a value, which is not allowed");
        }
        self.profile(&profile, element, path, frame);
    }
}

/// The url of the extension that holds this one.
fn outer_url<'r>(inner: &Element, within: &'r Element) -> Option<&'r str> {
    for child in within.children() {
        if matches!(child.name(), "extension" | "modifierExtension")
            && child.children().iter().any(|grandchild| std::ptr::eq(grandchild, inner))
        {
            return child.extension_url();
        }
        if let Some(url) = outer_url(inner, child) {
            return Some(url);
        }
    }
    None
}

/// Whether the definition of an extension names the place.
fn allowed_here<'r>(profile: &Profile, parent: &Path<'_>, outer: &dyn Fn() -> Option<&'r str>) -> bool {
    if profile.contexts.is_empty() {
        return true;
    }
    let path = parent.definition();
    let resource = path.split('.').next().unwrap_or_default();
    profile.contexts.iter().any(|context| match context {
        ExtensionContext::Other => true,
        ExtensionContext::Extension(url) => outer() == Some(&**url),
        ExtensionContext::Element(expression) => {
            let expression = &**expression;
            if expression == "Element" || expression == path {
                return true;
            }
            if matches!(expression, "Resource" | "DomainResource" | "CanonicalResource" | "MetadataResource")
            {
                return !path.contains('.');
            }
            // A type stands for every element of that type.
            let code = match parent.suffix {
                Suffix::Type(code) => Some(code),
                _ => element_code(&path),
            };
            let Some(code) = code else { return true };
            code == expression
                || expression == "BackboneElement" && code.contains('.')
                || expression.split_once('.').is_some_and(|(owner, rest)| {
                    // A path within a data type (`Coding.system`, `ElementDefinition.type`).
                    types::definition(owner).is_some()
                        && owner != resource
                        && path.ends_with(&format!(".{rest}"))
                })
        }
    })
}

/// The type of the element at a definition path; `None` if it cannot be told.
fn element_code(path: &str) -> Option<&'static str> {
    let mut segments = path.split('.');
    let mut definition = types::definition(segments.next()?)?;
    for segment in segments {
        let plain = segment.strip_suffix("[x]");
        if plain.is_some() {
            return None;
        }
        let element = definition.elements().iter().find(|element| element.name == segment)?;
        definition = types::definition(element.types.first()?.code)?;
    }
    Some(definition.path())
}
