//! Rules of Task: who creates, changes and deletes one (contract 4.5).
use fhir::{
    Element, Resource,
    generation::{self, MODERN, message},
    task::{Process, Task},
};

use crate::{
    decision::Decision,
    facts::Facts,
    identity::{Identity, Interaction},
    process_authorization::Authorization,
};

/// May the caller create this Task?
pub fn may_create(identity: &Identity, task: &Resource, facts: &dyn Facts) -> Decision {
    if !identity.may(Interaction::Create, "Task") {
        return Decision::Deny("the caller's roles do not include creating Tasks");
    }
    match task.text("status") {
        Some("draft") => Decision::when(
            identity.acts_for_local_organization(),
            "only the local organization creates draft Tasks",
        )
        .and(|| draft(task, facts)),
        Some("requested") => requested(identity, task, facts),
        _ => Decision::Deny("a new Task must be draft or requested"),
    }
}

fn draft(task: &Resource, facts: &dyn Facts) -> Decision {
    let local = Some(facts.local_organization());
    Decision::when(
        matches!(draft_identifiers(task).as_slice(), [value] if !value.is_empty()),
        "not exactly one task-identifier",
    )
    .and(|| {
        Decision::when(
            organization(task.child("requester")) == local,
            "requester is not the local organization",
        )
    })
    .and(|| core(task, facts).err().unwrap_or(Decision::Allow))
}

fn requested(identity: &Identity, task: &Resource, facts: &dyn Facts) -> Decision {
    Decision::when(draft_identifiers(task).is_empty(), "a requested Task must not carry a task-identifier")
        .and(|| requester(identity, task))
        .and(|| match core(task, facts) {
            Err(denied) => denied,
            Ok((process, name)) => match rule(task, &process, &name, facts) {
                Err(denied) => denied,
                Ok(rule) => Decision::when(
                    rule.requesters.iter().any(|party| party.admits_requester(identity, facts)),
                    "the process does not admit the requester",
                )
                .and(|| recipient_admitted(rule, facts)),
            },
        })
}

/// What holds for drafts and requested Tasks: process, one message name, no output, local recipient.
fn core(task: &Resource, facts: &dyn Facts) -> Result<(Process, String), Decision> {
    let deny = |reason| Err(Decision::Deny(reason));
    let recipients: Vec<&Element> = task.root().at("restriction.recipient");
    let [recipient] = recipients.as_slice() else { return deny("not exactly one recipient") };
    if organization(Some(recipient)) != Some(facts.local_organization()) {
        return deny("the recipient is not the local organization");
    }
    if task.child("output").is_some() {
        return deny("a new Task must not have outputs");
    }
    let Some(view) = Task::of(task) else { return deny("not a Task") };
    let Some(process) = view.process() else { return deny("the process reference does not have its form") };
    match view.message_inputs(message::NAME).as_slice() {
        [input] => match input.text("valueString") {
            Some(name) if !name.trim().is_empty() => Ok((process, name.to_owned())),
            _ => deny("the message-name is blank"),
        },
        _ => deny("not exactly one message-name input"),
    }
}

fn requester(identity: &Identity, task: &Resource) -> Decision {
    let element = task.child("requester");
    match identity {
        Identity::Organization(own) => {
            Decision::when(organization(element) == Some(&own.identifier), "the requester is not the caller")
        }
        Identity::Practitioner(own) => {
            let identifier = element.and_then(|requester| requester.child("identifier"));
            let system = identifier.and_then(|identifier| identifier.text("system"));
            let value = identifier.and_then(|identifier| identifier.text("value"));
            Decision::when(
                system == MODERN.practitioner_identifier && value == Some(&own.identifier),
                "the requester is not the caller",
            )
        }
        Identity::Loader => Decision::Deny("initial data holds no requested Tasks"),
    }
}

fn rule<'a>(
    task: &Resource,
    process: &Process,
    message_name: &str,
    facts: &'a dyn Facts,
) -> Result<&'a Authorization, Decision> {
    let definitions = facts.process_definitions(&process.url, &process.version);
    if definitions.is_empty() {
        return Err(Decision::Deny("no such process"));
    }
    let profiles = task.profiles();
    definitions
        .iter()
        .find_map(|definition| definition.rule(message_name, &profiles))
        .ok_or(Decision::Deny("the process has no such message with such a profile"))
}

fn recipient_admitted(rule: &Authorization, facts: &dyn Facts) -> Decision {
    Decision::when(
        rule.recipients.iter().any(|party| party.admits_recipient(facts)),
        "the process does not admit the recipient",
    )
}

/// The engine's second check before it starts or continues an instance: the recipient must still be
/// admitted.
pub fn recipient_may_run(task: &Resource, facts: &dyn Facts) -> Decision {
    let Some(view) = Task::of(task) else { return Decision::Deny("not a Task") };
    let (Some(process), Some(name)) = (view.process(), view.message_name()) else {
        return Decision::Deny("the Task names no process or message");
    };
    match rule(task, &process, name, facts) {
        Ok(rule) => recipient_admitted(rule, facts),
        Err(denied) => denied,
    }
}

/// May the caller replace `old` by `new`?
pub fn may_update(identity: &Identity, old: &Resource, new: &Resource, facts: &dyn Facts) -> Decision {
    if !identity.may(Interaction::Update, "Task") || !identity.acts_for_local_organization() {
        return Decision::Deny("only the local organization changes Tasks");
    }
    match (old.text("status").unwrap_or_default(), new.text("status").unwrap_or_default()) {
        ("draft", "draft") => draft(new, facts).and(|| {
            Decision::when(
                draft_identifiers(old) == draft_identifiers(new),
                "the task-identifier was changed",
            )
        }),
        ("requested", "in-progress") => core_unchanged(old, new, true)
            .and(|| Decision::when(new.child("output").is_none(), "outputs come later"))
            .and(|| recipient_may_run(new, facts)),
        ("requested", "failed") => core_unchanged(old, new, true),
        ("in-progress", "in-progress" | "failed") => core_unchanged(old, new, false),
        ("in-progress", "completed") => core_unchanged(old, new, false).and(|| recipient_may_run(new, facts)),
        _ => Decision::Deny("no such change of status"),
    }
}

/// Requester, recipient, process and inputs stay; a business-key may be added where `may_add_key`.
fn core_unchanged(old: &Resource, new: &Resource, may_add_key: bool) -> Decision {
    // `reference` beside `identifier` is ours: it says nothing about what the client sent.
    let part = |task: &Resource, name: &str| -> Vec<Element> {
        task.root()
            .each(name)
            .map(|element| {
                let mut element = element.clone();
                strip(&mut element);
                element
            })
            .collect()
    };
    for name in ["requester", "restriction", "instantiatesCanonical", "instantiatesUri"] {
        if part(old, name) != part(new, name) {
            return Decision::Deny("requester, restriction or process were changed");
        }
    }
    let (old_inputs, mut new_inputs) = (part(old, "input"), part(new, "input"));
    let is_key = |input: &Element| {
        input.each("type").flat_map(|kind| kind.each("coding")).any(|coding| {
            let system = coding.text("system");
            coding.text("code") == Some(message::BUSINESS_KEY)
                && generation::all().into_iter().any(|names| Some(names.bpmn_message) == system)
        })
    };
    if may_add_key && !old_inputs.iter().any(is_key) {
        let before = new_inputs.len();
        new_inputs.retain(|input| !is_key(input));
        if before > new_inputs.len() + 1 {
            return Decision::Deny("more than one business-key was added");
        }
    }
    Decision::when(old_inputs == new_inputs, "inputs were changed")
}

fn strip(element: &mut Element) {
    if element.child("identifier").is_some() {
        element.remove("reference");
    }
    for child in element.children_mut() {
        strip(child);
    }
}

/// May the caller delete it?
pub fn may_delete(identity: &Identity, task: &Resource) -> Decision {
    Decision::when(
        identity.may(Interaction::Delete, "Task") && identity.acts_for_local_organization(),
        "only the local organization deletes Tasks",
    )
    .and(|| Decision::when(task.text("status") == Some("draft"), "only draft Tasks are deleted"))
}

/// Values of identifiers with the system of draft Tasks.
pub fn draft_identifiers(task: &Resource) -> Vec<&str> {
    task.root()
        .each("identifier")
        .filter(|identifier| identifier.text("system") == MODERN.task_identifier)
        // One without a value is one too: it is not unique and not allowed.
        .map(|identifier| identifier.text("value").unwrap_or_default())
        .collect()
}

/// Identifier value of a logical reference to an organization, in any generation.
fn organization(reference: Option<&Element>) -> Option<&str> {
    let identifier = reference?.child("identifier")?;
    let system = identifier.text("system")?;
    generation::all().into_iter().any(|names| names.organization_identifier == system).then_some(())?;
    identifier.text("value")
}
