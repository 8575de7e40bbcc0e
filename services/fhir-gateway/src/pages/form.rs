//! Forms: slots for typed values, and what becomes of a form that is sent.
use bytes::Bytes;
use fhir::{Element, Resource};
use http::{HeaderMap, StatusCode};

use super::{
    Page, Visit, answer, bookmarks,
    frame::{THEME_COOKIE, THEMES},
    origin, response, show, task,
};
use crate::exchange::{Answer, TYPES};

/// A form as a page shows it.
pub(super) struct Form {
    /// Where it is sent to.
    pub(super) action: String,
    pub(super) title: &'static str,
    pub(super) button: &'static str,
    /// Version of the resource the form is of.
    pub(super) version: String,
    pub(super) slots: Vec<Slot>,
    /// Why it was not taken.
    pub(super) problems: Vec<String>,
}

/// A value to be filled in.
#[derive(Clone)]
pub(super) struct Slot {
    /// Name of its fields; the parts are told apart by a suffix.
    pub(super) name: String,
    pub(super) label: String,
    pub(super) hint: String,
    pub(super) required: bool,
    /// Name of the value element, `valueString`.
    pub(super) element: String,
    pub(super) parts: Vec<Part>,
    /// Codes to choose from, with what people call them.
    pub(super) options: Vec<(String, String, String)>,
}

/// One field of a slot: a primitive value has one, a Coding two.
#[derive(Clone)]
pub(super) struct Part {
    /// Path within the value; empty for a primitive.
    pub(super) path: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: Kind,
    pub(super) value: String,
}

/// How a field is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Line,
    Text,
    Whole,
    Decimal,
    Day,
    Choice,
}

impl Part {
    fn new(path: &'static str, label: &'static str) -> Self {
        Self { path, label, kind: Kind::Line, value: String::new() }
    }
}

/// Parts of complex values.
const COMPLEX: [(&str, &[(&str, &str)]); 4] = [
    (
        "valueReference",
        &[
            ("reference", "Reference, such as Patient/…"),
            ("identifier.system", "or identifier: system"),
            ("identifier.value", "identifier: value"),
        ],
    ),
    ("valueCoding", &[("system", "System"), ("code", "Code")]),
    ("valueIdentifier", &[("system", "System"), ("value", "Value")]),
    ("valueQuantity", &[("value", "Number"), ("unit", "Unit")]),
];

/// Primitive values with their fields and what to write in them.
const PRIMITIVE: [(&str, Kind, &str); 16] = [
    ("valueString", Kind::Line, ""),
    ("valueMarkdown", Kind::Text, ""),
    ("valueCode", Kind::Line, "a code"),
    ("valueId", Kind::Line, "an id"),
    ("valueInteger", Kind::Whole, "a whole number"),
    ("valuePositiveInt", Kind::Whole, "a whole number from 1"),
    ("valueUnsignedInt", Kind::Whole, "a whole number from 0"),
    ("valueDecimal", Kind::Decimal, "a number"),
    ("valueBoolean", Kind::Choice, ""),
    ("valueDate", Kind::Day, "a day, 2026-01-31"),
    ("valueDateTime", Kind::Line, "such as 2026-01-31T12:00:00+01:00"),
    ("valueTime", Kind::Line, "such as 12:30:00"),
    ("valueInstant", Kind::Line, "such as 2026-01-31T12:00:00+01:00"),
    ("valueUri", Kind::Line, "an address"),
    ("valueUrl", Kind::Line, "an address"),
    ("valueCanonical", Kind::Line, "an address, with |version"),
];

/// `valueString` for `string`.
pub(super) fn element_name(value_type: &str) -> String {
    let mut characters = value_type.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    format!("value{}", first.into_iter().chain(characters).collect::<String>())
}

impl Slot {
    /// A slot for a value element; none for types that forms do not know.
    pub(super) fn new(
        name: String,
        label: String,
        element: &str,
        current: Option<&Element>,
        required: bool,
    ) -> Option<Self> {
        let mut hint = "";
        let mut parts: Vec<Part> =
            if let Some((_, kind, about)) = PRIMITIVE.iter().find(|(known, ..)| *known == element) {
                hint = about;
                vec![Part { kind: *kind, ..Part::new("", "") }]
            } else {
                let (_, parts) = COMPLEX.iter().find(|(known, _)| *known == element)?;
                parts.iter().map(|(path, label)| Part::new(path, label)).collect()
            };
        for part in &mut parts {
            let value = match (current, part.path) {
                (Some(current), "") => current.value(),
                (Some(current), path) => current.text(path),
                (None, _) => None,
            };
            value.unwrap_or_default().clone_into(&mut part.value);
        }
        Some(Self {
            name,
            label,
            hint: hint.to_owned(),
            required,
            element: element.to_owned(),
            parts,
            options: Vec::new(),
        })
    }

    /// Name of a part's field.
    pub(super) fn field(&self, part: &Part) -> String {
        if part.path.is_empty() { self.name.clone() } else { format!("{}.{}", self.name, part.path) }
    }

    /// Takes over what was filled in.
    fn fill(&mut self, sent: &Sent) {
        if !self.options.is_empty() {
            let chosen = sent.value(&self.name).unwrap_or_default();
            let (system, code) = chosen.rsplit_once('|').unwrap_or(("", chosen));
            for part in &mut self.parts {
                if part.path == "system" { system } else { code }.clone_into(&mut part.value);
            }
            return;
        }
        for at in 0..self.parts.len() {
            let name = self.field(&self.parts[at]);
            if let Some(value) = sent.value(&name) {
                value.trim().clone_into(&mut self.parts[at].value);
            }
        }
    }

    /// Whether this option is the value.
    pub(super) fn is_chosen(&self, option: &(String, String, String)) -> bool {
        self.parts
            .iter()
            .all(|part| part.value == if part.path == "system" { &*option.0 } else { &*option.1 })
    }

    /// The value as an element; none where nothing was filled in. `before` keeps what the form does not
    /// show.
    pub(super) fn value(&self, before: Option<&Element>) -> Option<Element> {
        if self.parts.iter().all(|part| part.value.is_empty()) {
            return None;
        }
        let mut element = before.cloned().unwrap_or_else(|| Element::new(&self.element));
        for part in &self.parts {
            match part.path.split_once('.') {
                None if part.path.is_empty() => element.set_value(Some(&part.value)),
                None => set(&mut element, part.path, &part.value),
                Some((outer, inner)) => {
                    if element.child(outer).is_none() {
                        element.push(Element::new(outer));
                    }
                    if let Some(outer) = element.child_mut(outer) {
                        set(outer, inner, &part.value);
                    }
                }
            }
        }
        // A choice may have a display text that belongs to the code before.
        if !self.options.is_empty() {
            element.remove("display");
            let chosen = self.options.iter().find(|option| self.is_chosen(option));
            if let Some((.., display)) = chosen.filter(|(_, code, display)| display != code) {
                element.set_text("display", display);
            }
        }
        Some(element)
    }
}

fn set(element: &mut Element, name: &str, value: &str) {
    if value.is_empty() {
        element.remove(name);
    } else {
        element.set_text(name, value);
    }
}

/// Fields of a form as they were sent.
pub(super) struct Sent(Vec<(String, String)>);

impl Sent {
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Form {
    /// Takes over what was filled in.
    pub(super) fn fill(&mut self, sent: &Sent) {
        for slot in &mut self.slots {
            slot.fill(sent);
        }
    }
}

/// A form on its way in.
pub(crate) struct FormRequest<'a> {
    /// What the form is of: `theme`, `bookmark`, or a resource.
    pub(crate) target: &'a [String],
    /// Header lines.
    pub(crate) headers: &'a HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

/// Takes a form that one of our pages has sent.
pub(crate) async fn submit(visit: &Visit, request: FormRequest<'_>) -> Page {
    let foreign =
        "The form did not come from a page of this site: open the page again and send it from there.";
    if !origin::is_own(request.headers, &visit.site.base_url) {
        return response::without_answer(visit, StatusCode::FORBIDDEN, foreign);
    }
    let sent = Sent(crate::http::decode_query(&String::from_utf8_lossy(&request.body)));
    if !origin::is_token(request.headers, sent.value("token").unwrap_or_default()) {
        return response::without_answer(visit, StatusCode::FORBIDDEN, foreign);
    }
    match request.target {
        [what] if what == "theme" => theme(visit, &sent),
        [what] if what == "bookmark" => bookmarks::submit(visit, &sent),
        [ty, id] => {
            let form = async {
                match ty.as_str() {
                    "Task" => task::submit(visit, id, &sent).await,
                    "QuestionnaireResponse" => answer::submit(visit, id, &sent).await,
                    _ => Err(Answer::empty(StatusCode::NOT_FOUND)),
                }
            };
            form.await.unwrap_or_else(|answer| response::outcome(visit, &answer))
        }
        _ => response::without_answer(visit, StatusCode::NOT_FOUND, "There is no such form."),
    }
}

/// Remembers the theme and goes back.
fn theme(visit: &Visit, sent: &Sent) -> Page {
    let base = &visit.site.base_url;
    let back = visit.headers.get(http::header::REFERER).and_then(|back| back.to_str().ok());
    let own = |back: &&str| {
        back.strip_prefix(base.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    };
    let mut page = response::go(back.filter(own).unwrap_or(&format!("{base}/")));
    if let Some(theme) = THEMES.into_iter().find(|theme| sent.value("theme") == Some(theme)) {
        response::set_cookie(&mut page, THEME_COOKIE, theme, false);
    }
    page
}

/// What follows a write: the new resource, or the form again with what was wrong.
pub(super) async fn written(visit: &Visit, of: &Resource, mut form: Form, answer: Answer) -> Page {
    if answer.status.is_success()
        && let Some(location) = &answer.location
    {
        return response::go(location.split("/_history/").next().unwrap_or(location));
    }
    let outcome = super::resource(&answer);
    form.problems = outcome
        .map(|outcome| response::issues(&outcome).into_iter().map(|issue| issue.text).collect())
        .unwrap_or_else(|| vec![format!("The answer was {}.", answer.status)]);
    show::one(visit, of, Some(form), answer.status).await
}

/// The caller as a logical reference.
pub(super) fn caller(identity: &access::Identity, name: &str) -> Element {
    let (ty, system, value) = match identity {
        access::Identity::Practitioner(person) => {
            ("Practitioner", "http://dsf.dev/sid/practitioner-identifier", person.identifier.as_str())
        }
        other => (
            "Organization",
            "http://dsf.dev/sid/organization-identifier",
            other.organization().unwrap_or_default(),
        ),
    };
    debug_assert!(TYPES.contains(&ty));
    Element::new(name)
        .with_text("type", ty)
        .with(Element::new("identifier").with_text("system", system).with_text("value", value))
}
