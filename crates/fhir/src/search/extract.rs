//! Index values of a resource: what each of its search parameters finds in it.
use super::parameters::{COMMON, Parameter, ParameterKind, search_of};
use crate::{Element, Resource, datetime};

/// One value of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexValue {
    /// The parameter.
    pub parameter: &'static Parameter,
    /// What it found.
    pub value: Value,
}

/// A value in the form it is compared in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A code or identifier.
    Token {
        /// System; absent where there is none.
        system: Option<String>,
        /// Code or identifier value; booleans as `true` and `false`.
        code: String,
    },
    /// Text as written.
    Text(String),
    /// A URI, or a canonical without its version.
    Uri {
        /// Without `|version`.
        uri: String,
        /// Version of the canonical, or of the resource that has the url.
        version: Option<String>,
    },
    /// `Type/id` of an own resource, or an absolute URL, without version.
    Reference(String),
    /// The identifier of a logical reference (modifier `:identifier`).
    Identifier {
        /// System; absent where there is none.
        system: Option<String>,
        /// Identifier value.
        code: String,
    },
    /// Milliseconds since 1970, both ends included.
    Date {
        /// First millisecond.
        low: i64,
        /// Last millisecond.
        high: i64,
    },
}

/// All index values of a resource. References must already be resolved (`reference` beside
/// `identifier`); own absolute references must have been made relative by the caller.
pub fn extract(resource: &Resource) -> Vec<IndexValue> {
    let mut values = Vec::new();
    let Some(row) = search_of(resource.resource_type()) else { return values };
    for parameter in row.parameters.iter().chain(COMMON) {
        for path in parameter.paths {
            for element in resource.root().at(path) {
                collect(parameter, element, resource, &mut |value| {
                    values.push(IndexValue { parameter, value })
                });
            }
        }
    }
    values
}

fn collect(parameter: &Parameter, element: &Element, resource: &Resource, push: &mut dyn FnMut(Value)) {
    match parameter.kind {
        ParameterKind::Token => tokens(element, push),
        ParameterKind::String => {
            if let Some(text) = element.value() {
                push(Value::Text(text.to_owned()));
            }
        }
        ParameterKind::Uri => {
            let Some(text) = element.value() else { return };
            let (uri, version) = split_canonical(text);
            // The version of a definition belongs to its url: `url=u|v` asks for both.
            let version = match parameter.name {
                "url" => resource.text("version"),
                _ => version,
            };
            push(Value::Uri { uri: uri.to_owned(), version: version.map(str::to_owned) });
        }
        ParameterKind::Reference => {
            if let Some(reference) = element.text("reference") {
                push(Value::Reference(unversioned(reference).to_owned()));
            }
            if let Some(code) = element.text("identifier.value") {
                let system = element.text("identifier.system").map(str::to_owned);
                push(Value::Identifier { system, code: code.to_owned() });
            }
        }
        ParameterKind::Date => {
            if let Some(range) = element.value().and_then(datetime::range) {
                push(Value::Date { low: range.low, high: range.high });
            }
        }
    }
}

/// Primitive, Coding, CodeableConcept or Identifier.
fn tokens(element: &Element, push: &mut dyn FnMut(Value)) {
    if let Some(code) = element.value() {
        return push(Value::Token { system: None, code: code.to_owned() });
    }
    for coding in element.each("coding") {
        tokens(coding, push);
    }
    let code = element.text("code").or_else(|| element.text("value"));
    if let Some(code) = code {
        let system = element.text("system").map(str::to_owned);
        push(Value::Token { system, code: code.to_owned() });
    }
}

/// Splits `url|version`.
pub(super) fn split_canonical(text: &str) -> (&str, Option<&str>) {
    match text.split_once('|') {
        Some((uri, version)) => (uri, Some(version)),
        None => (text, None),
    }
}

/// A reference without `/_history/<version>`.
pub(super) fn unversioned(reference: &str) -> &str {
    reference.split("/_history/").next().unwrap_or(reference)
}
