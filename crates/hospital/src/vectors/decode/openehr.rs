//! Result sets of openEHR.
use super::{Input, failed};
use crate::{json::Json, openehr};

pub fn openehr_result(bytes: &[u8], input: &Input<'_>) -> Json {
    let set = match openehr::ResultSet::read(input.status(), bytes, crate::json::MAX_BYTES) {
        Ok(set) => set,
        Err(failure) => return failed(&failure).into(),
    };
    let text = |text: &str| Json::Text(text.to_owned());
    let number = |number: u64| Json::Number(number.to_string());
    let object = |members: Vec<(&str, Json)>| {
        Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let option = |value: &Option<String>| value.as_deref().map_or(Json::Null, text);
    let columns = set
        .columns
        .iter()
        .map(|column| object(vec![("name", text(&column.name)), ("path", option(&column.path))]));
    let rows = set.rows.iter().map(|row| {
        Json::List(
            row.iter()
                .map(|cell| {
                    let mut members = vec![("type", text(cell.kind())), ("raw", option(&cell.raw()))];
                    if let openehr::Cell::Object(json) = cell {
                        let mut texts = Vec::new();
                        number_texts("", json, &mut texts);
                        members.push(("value", json.clone()));
                        members.push(("number_texts", Json::Object(texts)));
                    }
                    object(members)
                })
                .collect(),
        )
    });
    let mut decoded = vec![
        ("q", option(&set.q)),
        ("name", option(&set.name)),
        ("columns", Json::List(columns.collect())),
        ("row_count", number(set.rows.len() as u64)),
        ("rows", Json::List(rows.collect())),
        ("meta", if set.meta.is_empty() { Json::Null } else { Json::Object(set.meta.clone()) }),
    ];
    let mut outcome = if set.rows.is_empty() { "not-found" } else { "found" };
    let mut reason = None;
    match input.context.get("purpose").text() {
        Some("count") => match set.count() {
            Ok(count) => {
                outcome = "found";
                decoded.push(("count_value", number(count)));
            }
            Err(found) => reason = Some(found),
        },
        Some("ids") => {
            let column = input.context.get("id_column");
            let (name, path) = (column.get("name").text(), column.get("path").text());
            match set.ids(name.unwrap_or_default(), path.unwrap_or_default()) {
                Ok((ids, without)) => {
                    decoded.push(("ids", Json::List(ids.into_iter().map(Json::Text).collect())));
                    decoded.push(("rows_without_id", number(without as u64)));
                }
                Err(found) => reason = Some(found),
            }
        }
        _ => {}
    }
    if let Some(reason) = reason {
        return failed(&reason.into()).into();
    }
    decoded.push(("outcome", text(outcome)));
    object(decoded)
}

/// Text of every number in a value, by JSON pointer.
fn number_texts(pointer: &str, json: &Json, texts: &mut Vec<(String, Json)>) {
    match json {
        Json::Number(number) => texts.push((pointer.to_owned(), Json::Text(number.clone()))),
        Json::List(items) => {
            for (at, item) in items.iter().enumerate() {
                number_texts(&format!("{pointer}/{at}"), item, texts);
            }
        }
        Json::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                number_texts(&format!("{pointer}/{name}"), value, texts);
            }
        }
        _ => {}
    }
}
