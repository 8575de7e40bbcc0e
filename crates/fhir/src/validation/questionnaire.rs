//! A QuestionnaireResponse against its Questionnaire (validation contract 3.9).

use super::path::{Path, Suffix};
use super::walk::Walk;
use crate::element::Element;

impl Walk<'_> {
    pub(super) fn questionnaire_response(&mut self, response: &Element, path: &Path<'_>) {
        let Some(canonical) = response.text("questionnaire") else { return };
        let Some(questionnaire) = self.validator.questionnaire(canonical) else {
            let path = path.child("questionnaire", Suffix::None);
            self.warning("questionnaire-unknown", &path, "the Questionnaire is not known here");
            return;
        };
        let unfinished = matches!(response.text("status"), Some("in-progress" | "stopped"));
        self.answers(&questionnaire, response, unfinished, path);
    }

    /// Items of one level.
    fn answers(&mut self, questions: &Element, given: &Element, unfinished: bool, path: &Path<'_>) {
        let link = |element: &Element| element.text("linkId").map(str::to_owned);
        let order: Vec<(&Element, Option<String>)> =
            questions.each("item").map(|question| (question, link(question))).collect();
        let mut last = 0;
        for (index, item) in given.each("item").enumerate() {
            let own = path.child("item", Suffix::Index(index));
            let id = link(item);
            let Some(position) = order.iter().position(|(_, other)| id.is_some() && *other == id) else {
                if id.is_some() {
                    self.error("answer-unknown", path, "the Questionnaire has no item of this linkId");
                }
                continue;
            };
            if position < last {
                self.error("answer-order", path, "the items are not in the order of the Questionnaire");
            }
            last = last.max(position);
            self.answer(order[position].0, item, unfinished, &own);
        }
        for (question, id) in &order {
            let count = given.each("item").filter(|item| link(item) == *id).count();
            let required = question.text("required") == Some("true");
            let kind = question.text("type").unwrap_or_default();
            if count > 1 && (kind != "group" || question.text("repeats") != Some("true")) {
                self.error("answer-twice", path, "there is one item for each linkId");
            }
            if count == 0 && required && question.child("enableWhen").is_none() {
                let text = "a required item is missing";
                if unfinished {
                    self.warning("answer-missing", path, text);
                } else {
                    self.error("answer-missing", path, text);
                }
            }
        }
    }

    fn answer(&mut self, question: &Element, item: &Element, unfinished: bool, path: &Path<'_>) {
        if item.text("text").is_some_and(|text| question.text("text").is_some_and(|other| other != text)) {
            let path = path.child("text", Suffix::None);
            self.warning("answer-text", &path, "the text differs from that of the Questionnaire");
        }
        let kind = question.text("type").unwrap_or_default();
        let answers = item.each("answer").count();
        match kind {
            "display" => {
                if answers > 0 || item.child("item").is_some() {
                    self.error("answer-to-display", path, "an item for display has no answer");
                }
                return;
            }
            "group" => {
                if answers > 0 {
                    self.error("answer-to-group", path, "a group has no answer of its own");
                }
                self.answers(question, item, unfinished, path);
                return;
            }
            _ => {}
        }
        if item.child("item").is_some() {
            self.error("answer-without-group", path, "items below a question stand in its answers");
        }
        if answers == 0 && question.text("required") == Some("true") {
            let text = "a required answer is missing";
            if unfinished {
                self.warning("answer-missing", path, text);
            } else {
                self.error("answer-missing", path, text);
            }
        }
        if answers > 1 && question.text("repeats") != Some("true") {
            self.error("answer-twice", path, "there is one answer");
        }
        for (index, answer) in item.each("answer").enumerate() {
            let own = path.child("answer", Suffix::Index(index));
            if let Some(value) = answer.choice("value")
                && let Some(code) = super::fhirpath::type_suffix(value.name(), "value")
                && !allows(question, kind, code)
            {
                let path = own.child("value", Suffix::Type(code));
                self.error("answer-type", &path, "the answer is not of the type of the question");
            }
            self.answers(question, answer, unfinished, &own);
        }
    }
}

/// Whether a question takes an answer of a type.
fn allows(question: &Element, kind: &str, code: &str) -> bool {
    let option = || {
        question
            .each("answerOption")
            .filter_map(|option| option.choice("value"))
            .any(|value| super::fhirpath::type_suffix(value.name(), "value") == Some(code))
    };
    match kind {
        "boolean" | "decimal" | "integer" | "date" | "dateTime" | "time" => code == kind,
        "string" | "text" => code == "string",
        "url" => code == "uri",
        "attachment" => code == "Attachment",
        "reference" => code == "Reference",
        "quantity" => code == "Quantity",
        "choice" => code == "Coding" || option(),
        "open-choice" => matches!(code, "Coding" | "string") || option(),
        _ => true,
    }
}
