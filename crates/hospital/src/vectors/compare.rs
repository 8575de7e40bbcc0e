//! Comparison of what was decoded with what is expected (README of the vectors, "Comparison").
use crate::json::Json;

/// Lists whose order says nothing.
const SETS: [&str; 5] = ["identifiers", "references", "subtypes", "policies", "ignored_ids"];
/// Objects where a further member would be a further statement.
const WHOLE: [&str; 3] = ["decisions", "deny_reasons", "value"];

/// Adds the JSON pointers of all differences.
pub fn compare(pointer: &str, expected: &Json, actual: &Json, places: &mut Vec<String>) {
    let mut differs = || places.push(if pointer.is_empty() { "/".to_owned() } else { pointer.to_owned() });
    if let Some(choices) = matcher(expected, "any_of") {
        let fits = |choice: &Json| {
            let mut found = Vec::new();
            compare(pointer, choice, actual, &mut found);
            found.is_empty()
        };
        if !choices.items().iter().any(fits) {
            differs();
        }
        return;
    }
    if matcher(expected, "ignored").is_some() {
        return;
    }
    let key = pointer.rsplit('/').next().unwrap_or_default();
    match (expected, actual) {
        (Json::Null, Json::Null) => {}
        (Json::Object(members), _) => {
            let nothing = members.is_empty() && actual.is_null();
            if !nothing && !matches!(actual, Json::Object(_)) {
                return differs();
            }
            if WHOLE.contains(&key) && actual.members().iter().any(|(name, _)| expected.find(name).is_none())
            {
                differs();
            }
            for (name, value) in members {
                compare(&format!("{pointer}/{}", token(name)), value, actual.get(name), places);
            }
        }
        (Json::List(wanted), Json::List(found)) => {
            if wanted.len() != found.len() {
                return differs();
            }
            if SETS.contains(&key) {
                let mut rest: Vec<&Json> = found.iter().collect();
                for item in wanted {
                    let at = rest.iter().position(|candidate| {
                        let mut trouble = Vec::new();
                        compare(&format!("{pointer}/0"), item, candidate, &mut trouble);
                        trouble.is_empty()
                    });
                    match at {
                        Some(at) => drop(rest.swap_remove(at)),
                        None => return differs(),
                    }
                }
                return;
            }
            for (at, (item, found)) in wanted.iter().zip(found).enumerate() {
                compare(&format!("{pointer}/{at}"), item, found, places);
            }
        }
        _ if expected == actual => {}
        _ => differs(),
    }
}

fn matcher<'a>(json: &'a Json, name: &str) -> Option<&'a Json> {
    if json.members().len() == 1 { json.find(name) } else { None }
}

fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// `over` laid over `base`: objects member by member, lists of equal length item by item, all else
/// replaced.
pub fn merge(base: &Json, over: &Json) -> Json {
    let is_matcher = |json: &Json| matcher(json, "any_of").is_some() || matcher(json, "ignored").is_some();
    match (base, over) {
        (Json::Object(members), Json::Object(above)) if !is_matcher(base) && !is_matcher(over) => {
            let mut merged: Vec<(String, Json)> = members
                .iter()
                .map(|(name, value)| {
                    let value = match over.find(name) {
                        Some(Json::Null) => Json::Null,
                        Some(above) => merge(value, above),
                        None => value.clone(),
                    };
                    (name.clone(), value)
                })
                .collect();
            merged.extend(above.iter().filter(|(name, _)| base.find(name).is_none()).cloned());
            Json::Object(merged)
        }
        (Json::List(items), Json::List(above)) if items.len() == above.len() => {
            Json::List(items.iter().zip(above).map(|(item, above)| merge(item, above)).collect())
        }
        (base, Json::Null) => base.clone(),
        _ => over.clone(),
    }
}
