//! Answering a QuestionnaireResponse (fhir-endpoint contract 4.6 and 9).
use access::questionnaire_response as rules;
use fhir::{Element, Resource, datetime};

use super::{
    Page, Visit,
    fields::{self, Value},
    form::{self, Form, Kind, Sent, Slot},
};
use crate::exchange::{Answer, Interaction};

/// Items of the framework: kept as they are.
const KEPT: [&str; 2] = ["user-task-id", "business-key"];
/// Beginning of answers that only say which type is wanted.
const PLACEHOLDER: &str = "Placeholder";

/// Value elements of the item types of a Questionnaire.
const TYPES: [(&str, &str); 13] = [
    ("string", "valueString"),
    ("text", "valueString"),
    ("integer", "valueInteger"),
    ("decimal", "valueDecimal"),
    ("boolean", "valueBoolean"),
    ("date", "valueDate"),
    ("dateTime", "valueDateTime"),
    ("time", "valueTime"),
    ("url", "valueUri"),
    ("choice", "valueCoding"),
    ("open-choice", "valueCoding"),
    ("reference", "valueReference"),
    ("quantity", "valueQuantity"),
];

/// Questions with the answers given, for reading.
pub(super) fn given(response: &Resource, base: &str) -> Vec<(String, Vec<Value>)> {
    let mut given = Vec::new();
    each(response.root(), &mut |item| {
        let question = item.text("text").or_else(|| item.text("linkId")).unwrap_or("question").to_owned();
        let answers = item.each("answer").filter_map(|answer| answer.choice("value"));
        given.push((question, answers.map(|value| fields::value(value, base)).collect()));
    });
    given
}

/// Items, also those below other items, in their order.
fn each<'a>(element: &'a Element, visit: &mut impl FnMut(&'a Element)) {
    for item in element.each("item") {
        visit(item);
        each(item, visit);
    }
}

fn each_mut(element: &mut Element, visit: &mut impl FnMut(&mut Element)) {
    for item in element.children_mut().iter_mut().filter(|child| child.name() == "item") {
        visit(item);
        each_mut(item, visit);
    }
}

/// The form of a response, for whom the rules let complete it.
pub(super) async fn form(visit: &Visit, response: &Resource) -> Option<Form> {
    let may = rules::may_update(&visit.identity, response, &completed(visit, response, &[])).is_allowed();
    if response.text("status") != Some("in-progress") || !may {
        return None;
    }
    let questionnaire = match response.text("questionnaire") {
        Some(canonical) => visit.canonical("Questionnaire", canonical).await,
        None => None,
    };
    Some(Form {
        action: format!("{}/form/QuestionnaireResponse/{}", visit.site.base_url, response.id()?),
        title: "Answer the form",
        button: "Complete",
        version: response.version_id().unwrap_or_default().to_owned(),
        slots: slots(response, questionnaire.as_ref()),
        problems: Vec::new(),
    })
}

fn slots(response: &Resource, questionnaire: Option<&Resource>) -> Vec<Slot> {
    let mut questions = Vec::new();
    if let Some(questionnaire) = questionnaire {
        each(questionnaire.root(), &mut |item| questions.push(item));
    }
    let (mut slots, mut at) = (Vec::new(), 0);
    each(response.root(), &mut |item| {
        let number = at;
        at += 1;
        let link = item.text("linkId").unwrap_or_default();
        if KEPT.contains(&link) {
            return;
        }
        let question = questions.iter().find(|question| question.text("linkId") == Some(link));
        let kind = question.and_then(|question| question.text("type"));
        let answer = item.child("answer").and_then(|answer| answer.choice("value"));
        let named =
            kind.and_then(|kind| TYPES.iter().find(|(known, _)| *known == kind)).map(|(_, name)| *name);
        // Without its Questionnaire the answer that is there says which type is wanted.
        let Some(element) = named.or(answer.map(Element::name)) else { return };
        let label = item.text("text").unwrap_or(link).to_owned();
        let required = question.is_some_and(|question| question.text("required") == Some("true"));
        let real = answer
            .filter(|answer| answer.name() == element)
            .filter(|answer| !answer.value().is_some_and(|value| value.starts_with(PLACEHOLDER)));
        let Some(mut slot) = Slot::new(format!("item-{number}"), label, element, real, required) else {
            return;
        };
        if kind == Some("text") {
            slot.parts.iter_mut().for_each(|part| part.kind = Kind::Text);
        }
        slot.options = question
            .into_iter()
            .flat_map(|question| question.each("answerOption"))
            .filter_map(|option| option.child("valueCoding"))
            .map(|coding| {
                let code = coding.text("code").unwrap_or_default();
                let display = coding.text("display").unwrap_or(code);
                (coding.text("system").unwrap_or_default().to_owned(), code.to_owned(), display.to_owned())
            })
            .collect();
        slots.push(slot);
    });
    slots
}

/// The response with these answers, completed by the visitor.
fn completed(visit: &Visit, response: &Resource, slots: &[Slot]) -> Resource {
    let mut completed = response.clone();
    completed.set_text("status", "completed");
    completed.remove("author");
    completed.push(form::caller(&visit.identity, "author"));
    completed.set_text("authored", &datetime::now());
    let mut at = 0;
    each_mut(completed.root_mut(), &mut |item| {
        let name = format!("item-{at}");
        at += 1;
        let Some(slot) = slots.iter().find(|slot| slot.name == name) else { return };
        item.remove("answer");
        if let Some(value) = slot.value(None) {
            item.push(Element::new("answer").with(value));
        }
    });
    completed
}

/// Completes the response as filled in.
pub(super) async fn submit(visit: &Visit, id: &str, sent: &Sent) -> Result<Page, Answer> {
    let response = visit.read("QuestionnaireResponse", id).await?;
    let Some(mut form) = form(visit, &response).await else {
        return Err(Answer::error(http::StatusCode::FORBIDDEN, "forbidden", "You may not answer this form."));
    };
    form.fill(sent);
    let completed = completed(visit, &response, &form.slots);
    let version = sent.value("version").and_then(|version| version.parse().ok());
    let update = Interaction::Update { ty: "QuestionnaireResponse", id: id.to_owned() };
    // A form without a version would overwrite what it has never shown.
    let answer = visit.write(update, &completed, version.or(Some(0))).await;
    Ok(form::written(visit, &response, form, answer).await)
}
