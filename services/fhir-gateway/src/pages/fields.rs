//! The main fields of each type, and values as text for people.
use fhir::{Element, Resource, reference};

/// A field of a page: what it is called, its value, and where that leads.
pub(super) struct Field {
    pub(super) label: &'static str,
    pub(super) values: Vec<Value>,
}

/// A value for people.
pub(super) struct Value {
    pub(super) text: String,
    /// Page it leads to.
    pub(super) link: Option<String>,
}

const NAMED: &[(&str, &str)] =
    &[("Name", "name"), ("Url", "url"), ("Version", "version"), ("Status", "status"), ("Date", "date")];
const OTHER: &[(&str, &str)] = &[("Identifier", "identifier"), ("Name", "name"), ("Status", "status")];

/// Label and path of the main fields by type. Tables of search results show the same.
const FIELDS: &[(&str, &[(&str, &str)])] = &[
    ("ActivityDefinition", NAMED),
    ("Binary", &[("Media type", "contentType"), ("Readable as", "securityContext")]),
    ("Bundle", &[("Identifier", "identifier"), ("Type", "type"), ("Time", "timestamp")]),
    ("CodeSystem", NAMED),
    (
        "DocumentReference",
        &[
            ("Identifier", "masterIdentifier"),
            ("Status", "status"),
            ("Date", "date"),
            ("Author", "author"),
            ("Content", "content.attachment.url"),
        ],
    ),
    (
        "Endpoint",
        &[
            ("Name", "name"),
            ("Identifier", "identifier"),
            ("Address", "address"),
            ("Status", "status"),
            ("Organization", "managingOrganization"),
        ],
    ),
    ("Library", NAMED),
    ("Measure", NAMED),
    ("MeasureReport", &[("Status", "status"), ("Type", "type"), ("Measure", "measure"), ("Date", "date")]),
    (
        "NamingSystem",
        &[("Name", "name"), ("Kind", "kind"), ("Status", "status"), ("Value", "uniqueId.value")],
    ),
    (
        "Organization",
        &[("Name", "name"), ("Identifier", "identifier"), ("Active", "active"), ("Endpoint", "endpoint")],
    ),
    (
        "OrganizationAffiliation",
        &[
            ("Parent", "organization"),
            ("Member", "participatingOrganization"),
            ("Role", "code"),
            ("Endpoint", "endpoint"),
            ("Active", "active"),
        ],
    ),
    ("Questionnaire", NAMED),
    (
        "QuestionnaireResponse",
        &[
            ("Form", "questionnaire"),
            ("Status", "status"),
            ("Answered by", "author"),
            ("Answered", "authored"),
        ],
    ),
    ("StructureDefinition", NAMED),
    (
        "Subscription",
        &[
            ("Criteria", "criteria"),
            ("Status", "status"),
            ("Channel", "channel.type"),
            ("Payload", "channel.payload"),
        ],
    ),
    (
        "Task",
        &[
            ("Process", "instantiatesCanonical"),
            ("Status", "status"),
            ("Requester", "requester"),
            ("Recipient", "restriction.recipient"),
            ("Authored", "authoredOn"),
        ],
    ),
    ("ValueSet", NAMED),
];

/// Types whose canonicals stand under these element names.
const CANONICALS: [(&str, &str); 8] = [
    ("instantiatesCanonical", "ActivityDefinition"),
    ("instantiatesUri", "ActivityDefinition"),
    ("questionnaire", "Questionnaire"),
    ("profile", "StructureDefinition"),
    ("baseDefinition", "StructureDefinition"),
    ("valueSet", "ValueSet"),
    ("system", "CodeSystem"),
    ("measure", "Measure"),
];

/// Labels of the main fields of a type.
pub(super) fn labels(ty: &str) -> Vec<&'static str> {
    rows(ty).iter().map(|(label, _)| *label).collect()
}

fn rows(ty: &str) -> &'static [(&'static str, &'static str)] {
    FIELDS.iter().find(|(known, _)| *known == ty).map_or(OTHER, |(_, rows)| rows)
}

/// The main fields of a resource.
pub(super) fn of(resource: &Resource, base: &str) -> Vec<Field> {
    rows(resource.resource_type())
        .iter()
        .map(|(label, path)| Field {
            label,
            values: resource.at(path).into_iter().map(|element| value(element, base)).collect(),
        })
        .collect()
}

/// An element as text, with its link.
pub(super) fn value(element: &Element, base: &str) -> Value {
    if let Some(text) = element.value() {
        return Value { text: when(text), link: link(element.name(), text, base) };
    }
    let reference = element.text("reference");
    Value { text: text(element), link: reference.and_then(|reference| link("reference", reference, base)) }
}

/// A moment as people read it, to the second; any other text as it is.
pub(super) fn when(text: &str) -> String {
    if text.as_bytes().get(10) != Some(&b'T') || fhir::datetime::DateTime::parse(text).is_none() {
        return text.to_owned();
    }
    // A DateTime is ASCII: date, time, perhaps a fraction, zone.
    let (date, rest) = text.split_at(10);
    let zone = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone);
    let time = time[1..].split('.').next().unwrap_or_default();
    let zone = if matches!(zone, "Z" | "+00:00") { "UTC" } else { zone };
    format!("{date} {time} {zone}").trim_end().to_owned()
}

/// A complex value in one line: what people know it by.
fn text(element: &Element) -> String {
    let joined = |parts: &[Option<&str>], between: &str| {
        let parts: Vec<&str> = parts.iter().flatten().copied().collect();
        parts.join(between)
    };
    let ready = element.text("display").or_else(|| element.text("text"));
    if let Some(ready) = ready {
        return ready.to_owned();
    }
    if let Some(identifier) = element.text("identifier.value") {
        return identifier.to_owned();
    }
    if let Some(code) = element.text("coding.display").or_else(|| element.text("coding.code")) {
        return code.to_owned();
    }
    for name in ["reference", "url", "div"] {
        if let Some(text) = element.text(name) {
            return text.to_owned();
        }
    }
    if element.child("start").is_some() || element.child("end").is_some() {
        return joined(
            &[element.text("start").map(when).as_deref(), element.text("end").map(when).as_deref()],
            " to ",
        );
    }
    if let Some(value) = element.text("value") {
        return joined(&[Some(value), element.text("unit").or_else(|| element.text("code"))], " ");
    }
    if let Some(code) = element.text("code") {
        return code.to_owned();
    }
    let given = joined(&element.each("given").map(Element::value).collect::<Vec<_>>(), " ");
    joined(&[Some(given.as_str()).filter(|given| !given.is_empty()), element.text("family")], " ")
}

/// The page a value leads to, by the name of its element.
pub(super) fn link(name: &str, value: &str, base: &str) -> Option<String> {
    if value.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')) {
        return Some(value.to_owned());
    }
    if name == "reference" {
        return match reference::literal(value, base) {
            reference::Target::Internal(literal) => {
                let version =
                    literal.version.map(|version| format!("/_history/{version}")).unwrap_or_default();
                Some(format!("{base}/{}/{}{version}", literal.resource_type, literal.id))
            }
            _ => None,
        };
    }
    let (_, ty) = CANONICALS.iter().find(|(known, _)| *known == name)?;
    if !value.starts_with("http") {
        return None;
    }
    let (url, version) = reference::canonical(value);
    let encoded = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let version = version.map(|version| format!("&version={}", encoded(version))).unwrap_or_default();
    Some(format!("{base}/{ty}?url={}{version}", encoded(url)))
}
