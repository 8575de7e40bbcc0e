//! Rules of QuestionnaireResponse (contract 4.6).
use std::collections::HashMap;

use fhir::{Element, Resource, generation::MODERN};

use crate::{
    decision::Decision,
    identity::{Identity, Interaction, Practitioner},
};

const AUTHORIZATION: &str = "http://dsf.dev/fhir/StructureDefinition/extension-questionnaire-authorization";
const USER_TASK_ID: &str = "user-task-id";
const BUSINESS_KEY: &str = "business-key";

/// A response for any person of the site: it has no authorization entries.
const ANYONE: &str = "ANSWER";

/// A response for this person.
fn for_person(practitioner: &str) -> String {
    format!("ANSWER-PERSON|{practitioner}")
}

/// A response for persons with this role.
fn for_role(system: &str, code: &str) -> String {
    format!("ANSWER-ROLE|{system}|{code}")
}

/// Whom a response is for. Without any authorization entry every person of the site is; the public
/// implementation lets them read but not find it, which nobody can depend on (contract 4.6).
pub(crate) fn tags(response: &Resource) -> Vec<String> {
    let entries: Vec<&Element> =
        response.root().extensions(AUTHORIZATION).flat_map(|extension| extension.each("extension")).collect();
    if entries.is_empty() {
        return vec![ANYONE.to_owned()];
    }
    entries
        .into_iter()
        .filter_map(|entry| match entry.extension_url() {
            Some("practitioner")
                if entry.text("valueIdentifier.system") == MODERN.practitioner_identifier =>
            {
                entry.text("valueIdentifier.value").map(for_person)
            }
            Some("practitioner-role") => {
                Some(for_role(entry.text("valueCoding.system")?, entry.text("valueCoding.code")?))
            }
            _ => None,
        })
        .collect()
}

/// Tags that let a person read a response.
pub(crate) fn grants(practitioner: &Practitioner) -> Vec<String> {
    let roles = practitioner.practitioner_roles.iter().map(|role| for_role(&role.system, &role.code));
    [ANYONE.to_owned(), for_person(&practitioner.identifier)].into_iter().chain(roles).collect()
}

/// Whether a person is among those the response is for.
pub fn may_answer(identity: &Identity, response: &Resource) -> Decision {
    match identity {
        _ if identity.acts_for_local_organization() => Decision::Allow,
        Identity::Practitioner(practitioner) => {
            let tags = tags(response);
            Decision::when(
                grants(practitioner).iter().any(|grant| tags.contains(grant)),
                "the response is for other persons",
            )
        }
        _ => Decision::Deny("only this site sees its questionnaire responses"),
    }
}

/// May the caller create it?
pub fn may_create(identity: &Identity, response: &Resource) -> Decision {
    Decision::when(
        identity.may(Interaction::Create, "QuestionnaireResponse") && identity.acts_for_local_organization(),
        "only the local organization creates questionnaire responses",
    )
    .and(|| Decision::when(response.text("status") == Some("in-progress"), "status is not in-progress"))
    .and(|| {
        let items =
            response.root().each("item").filter(|item| item.text("linkId") == Some(USER_TASK_ID)).count();
        let answers = answers(response, USER_TASK_ID).len();
        Decision::when(items == 1 && answers == 1, "not exactly one user-task-id answer")
    })
    .and(|| Decision::when(response.text("questionnaire").is_some(), "no questionnaire"))
}

/// May the caller replace `old` by `new`?
pub fn may_update(identity: &Identity, old: &Resource, new: &Resource) -> Decision {
    if !identity.may(Interaction::Update, "QuestionnaireResponse") {
        return Decision::Deny("the caller's roles do not include updating questionnaire responses");
    }
    let acts = identity.acts_for_local_organization();
    match (old.text("status"), new.text("status")) {
        (Some("in-progress"), Some("completed")) => may_answer(identity, old)
            .and(|| Decision::when(is_author(identity, new), "author is not the caller"))
            .and(|| Decision::when(new.text("authored").is_some(), "no authored time"))
            .and(|| {
                let same = |part: fn(&Resource) -> Vec<String>| part(old) == part(new);
                let kept = same(|r| r.text("questionnaire").map(str::to_owned).into_iter().collect())
                    && same(|r| answers(r, USER_TASK_ID))
                    && same(|r| answers(r, BUSINESS_KEY))
                    && authorization(old) == authorization(new);
                Decision::when(kept, "questionnaire, keys or authorization were changed")
            })
            .and(|| Decision::when(acts || asks_the_same(old, new), "the text of an item was changed")),
        (Some("in-progress"), Some("stopped")) | (Some("completed"), Some("amended")) => {
            Decision::when(acts, "only the local organization stops and amends")
                .and(|| Decision::when(only_status_differs(old, new), "more than the status was changed"))
        }
        _ => Decision::Deny("no such change of status"),
    }
}

/// May the caller delete it?
pub fn may_delete(identity: &Identity) -> Decision {
    Decision::when(
        identity.may(Interaction::Delete, "QuestionnaireResponse") && identity.acts_for_local_organization(),
        "only the local organization deletes questionnaire responses",
    )
}

fn is_author(identity: &Identity, response: &Resource) -> bool {
    let (system, value) =
        (response.text("author.identifier.system"), response.text("author.identifier.value"));
    match identity {
        Identity::Organization(organization) => {
            system == Some(MODERN.organization_identifier) && value == Some(&organization.identifier)
        }
        Identity::Practitioner(practitioner) => {
            system == MODERN.practitioner_identifier && value == Some(&practitioner.identifier)
        }
        Identity::Loader => true,
    }
}

fn answers(response: &Resource, link_id: &str) -> Vec<String> {
    response
        .root()
        .each("item")
        .filter(|item| item.text("linkId") == Some(link_id))
        .flat_map(|item| item.each("answer"))
        .filter_map(|answer| answer.text("valueString"))
        .map(str::to_owned)
        .collect()
}

/// Whether no item that both have asks or says something else: a person answers what was asked. For the
/// site itself a text that differs is only a warning of the validation (contract 13.3,
/// QuestionnaireVsQuestionnaireResponse).
fn asks_the_same(old: &Resource, new: &Resource) -> bool {
    let (mut known, mut given) = (Vec::new(), Vec::new());
    texts(old.root(), &mut known);
    texts(new.root(), &mut given);
    let known: HashMap<&str, &str> = known.into_iter().collect();
    given.into_iter().all(|(link, text)| known.get(link).is_none_or(|known| *known == text))
}

/// linkId and text of all items below, also those of answers.
fn texts<'a>(element: &'a Element, found: &mut Vec<(&'a str, &'a str)>) {
    for item in element.each("item") {
        found.extend(item.text("linkId").zip(item.text("text")));
        texts(item, found);
        for answer in item.each("answer") {
            texts(answer, found);
        }
    }
}

fn authorization(response: &Resource) -> Vec<Element> {
    response.root().extensions(AUTHORIZATION).cloned().collect()
}

fn only_status_differs(old: &Resource, new: &Resource) -> bool {
    let strip = |resource: &Resource| {
        let mut resource = resource.clone();
        // `reference` beside `identifier` is ours: it says nothing about what the client sent.
        fhir::reference::clean(&mut resource);
        let mut root = resource.root().clone();
        for name in ["id", "meta", "status"] {
            root.remove(name);
        }
        root
    };
    strip(old) == strip(new)
}
