//! Starting a process from a draft Task (fhir-endpoint contract 4.5 and 9).
use access::task as rules;
use fhir::{Element, Resource, datetime};

use super::{
    Page, Visit,
    form::{self, Form, Sent, Slot, element_name},
    profile::{self, Slice},
};
use crate::exchange::{Answer, Interaction};

/// System of draft identifiers: what is started has none.
const TASK_IDENTIFIER: &str = "http://dsf.dev/sid/task-identifier";
/// Inputs of this system belong to the framework and are no choice of a person.
const MESSAGE: &str = "http://dsf.dev/fhir/CodeSystem/bpmn-message";
/// Further empty fields for an input that may be repeated at will.
const SPARE: usize = 3;

/// What an input or output is called.
pub(super) fn label(parameter: &Element) -> String {
    let known = parameter
        .text("type.coding.display")
        .or_else(|| parameter.text("type.text"))
        .or_else(|| parameter.text("type.coding.code"))
        .unwrap_or("value");
    known.replace('-', " ")
}

/// Name and version of a Task's process.
pub(super) fn process(task: &Resource) -> Option<(String, String)> {
    let canonical = task.text("instantiatesCanonical").or_else(|| task.text("instantiatesUri"))?;
    let (url, version) = fhir::reference::canonical(canonical);
    let name = url.rsplit_once("/Process/").map_or(url, |(_, name)| name);
    // The generation before writes the version into the path.
    let (name, in_path) = name.split_once('/').unwrap_or((name, ""));
    Some((name.to_owned(), version.unwrap_or(in_path).to_owned()))
}

/// What tells a draft from others of its process: the message it starts with, and the version.
pub(super) fn draft_name(task: &Resource) -> Option<String> {
    let (_, version) = process(task)?;
    let message = task
        .each("input")
        .find(|input| input.text("type.coding.code") == Some("message-name"))
        .and_then(|input| input.text("valueString"))?;
    Some(format!("{message}, version {version}"))
}

/// The start form of a draft, for whom the rules let start it.
pub(super) async fn form(visit: &Visit, draft: &Resource) -> Option<Form> {
    if draft.text("status") != Some("draft") {
        return None;
    }
    let slots = slots(draft, &definition(visit, draft).await);
    let form = Form {
        action: format!("{}/form/Task/{}", visit.site.base_url, draft.id()?),
        title: "Start the process",
        button: "Start",
        version: draft.version_id().unwrap_or_default().to_owned(),
        slots: slots.iter().map(|(_, slot)| slot.clone()).collect(),
        problems: Vec::new(),
    };
    let task = started(visit, draft, slots);
    let directory = visit.site.directory();
    rules::may_create(&visit.identity, &task, &directory.facts).is_allowed().then_some(form)
}

/// Inputs that the draft's profile names.
async fn definition(visit: &Visit, draft: &Resource) -> Vec<Slice> {
    let mut slices = Vec::new();
    for profile in draft.profiles() {
        let found = visit.canonical("StructureDefinition", profile).await;
        slices.extend(found.iter().flat_map(profile::slices));
    }
    slices
}

/// Where the value of a slot goes.
enum Place {
    /// Into this input of the draft.
    Input(usize),
    /// Into a new input.
    New(Slice),
}

fn slots(draft: &Resource, slices: &[Slice]) -> Vec<(Place, Slot)> {
    let mut slots = Vec::new();
    let is = |input: &Element, slice: &Slice| {
        input.each("type").any(|ty| {
            ty.each("coding").any(|coding| {
                coding.text("system") == Some(&slice.system) && coding.text("code") == Some(&slice.code)
            })
        })
    };
    let inputs: Vec<&Element> = draft.each("input").collect();
    for (at, input) in inputs.iter().enumerate() {
        let Some(value) = input.choice("value") else { continue };
        let slice = slices.iter().find(|slice| is(input, slice));
        if input.text("type.coding.system") == Some(MESSAGE) || slice.is_some_and(|slice| slice.fixed) {
            continue;
        }
        let required = slice.is_none_or(|slice| slice.min > 0);
        let slot = Slot::new(format!("input-{at}"), label(input), value.name(), Some(value), required);
        slots.extend(slot.map(|slot| (Place::Input(at), about(slot, slice))));
    }
    for (at, slice) in slices.iter().enumerate() {
        if slice.fixed || slice.system == MESSAGE {
            continue;
        }
        let there = inputs.iter().filter(|input| is(input, slice)).count();
        let room =
            slice.max.map_or(SPARE, |max| usize::try_from(max).unwrap_or(usize::MAX).saturating_sub(there));
        for number in 0..room.min(SPARE) {
            let missing = there + number < usize::try_from(slice.min).unwrap_or(0);
            let name = format!("new-{at}-{number}");
            let element = element_name(slice.value_type.as_deref().unwrap_or("string"));
            let label = slice.code.replace('-', " ");
            let slot = Slot::new(name, label, &element, None, missing);
            slots.extend(slot.map(|slot| (Place::New(slice.clone()), about(slot, Some(slice)))));
        }
    }
    slots
}

fn about(mut slot: Slot, slice: Option<&Slice>) -> Slot {
    if let Some(about) = slice.and_then(|slice| slice.about.as_deref()) {
        slot.hint = if slot.hint.is_empty() { about.to_owned() } else { format!("{about} ({})", slot.hint) };
    }
    slot
}

/// The Task that a draft becomes.
fn started(visit: &Visit, draft: &Resource, slots: Vec<(Place, Slot)>) -> Resource {
    let mut task = draft.clone();
    let profiles: Vec<String> = draft.profiles().into_iter().map(str::to_owned).collect();
    for name in ["id", "meta", "requester", "output"] {
        task.remove(name);
    }
    let mut meta = Element::new("meta");
    for profile in profiles {
        meta.push(Element::primitive("profile", &profile));
    }
    task.push(meta);
    task.root_mut()
        .children_mut()
        .retain(|child| child.name() != "identifier" || child.text("system") != Some(TASK_IDENTIFIER));
    task.set_text("status", "requested");
    task.set_text("authoredOn", &datetime::now());
    task.push(form::caller(&visit.identity, "requester"));
    let inputs: Vec<usize> = positions(&task, "input");
    let mut emptied = Vec::new();
    let mut new = Vec::new();
    for (place, slot) in slots {
        match place {
            Place::Input(at) => {
                let Some(child) = inputs.get(at) else { continue };
                let input = &mut task.root_mut().children_mut()[*child];
                let before = input.choice("value").cloned();
                match slot.value(before.as_ref()) {
                    Some(value) => {
                        input.remove(value.name());
                        input.push(value);
                    }
                    None => emptied.push(*child),
                }
            }
            Place::New(slice) => {
                let Some(value) = slot.value(None) else { continue };
                let coding =
                    Element::new("coding").with_text("system", &slice.system).with_text("code", &slice.code);
                new.push(Element::new("input").with(Element::new("type").with(coding)).with(value));
            }
        }
    }
    let mut at = 0;
    task.root_mut().children_mut().retain(|_| {
        at += 1;
        !emptied.contains(&(at - 1))
    });
    task.root_mut().children_mut().extend(new);
    task
}

fn positions(task: &Resource, name: &str) -> Vec<usize> {
    let children = task.root().children().iter().enumerate();
    children.filter(|(_, child)| child.name() == name).map(|(at, _)| at).collect()
}

/// Starts the process as filled in.
pub(super) async fn submit(visit: &Visit, id: &str, sent: &Sent) -> Result<Page, Answer> {
    let draft = visit.read("Task", id).await?;
    let slices = definition(visit, &draft).await;
    let Some(mut form) = form(visit, &draft).await else {
        return Err(Answer::error(
            http::StatusCode::FORBIDDEN,
            "forbidden",
            "You may not start this process.",
        ));
    };
    form.fill(sent);
    if sent.value("version") != draft.version_id() {
        form.problems.push("The draft has changed meanwhile: look at the values again.".to_owned());
        return Ok(super::show::one(visit, &draft, Some(form), http::StatusCode::CONFLICT).await);
    }
    let places = slots(&draft, &slices).into_iter().map(|(place, _)| place);
    let task = started(visit, &draft, places.zip(form.slots.iter().cloned()).collect());
    let answer = visit.write(Interaction::Create { ty: "Task" }, &task, None).await;
    Ok(form::written(visit, &draft, form, answer).await)
}
