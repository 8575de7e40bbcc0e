//! Criteria against one resource in memory, for Subscriptions.
use super::{
    extract::{IndexValue, Value, extract},
    query::{Comparison, Criterion, Modifier, SystemTest, Test},
};
use crate::{Resource, datetime};

/// Whether a resource meets all criteria. The same rules hold for searches in the database.
pub fn matches(criteria: &[Criterion], resource: &Resource) -> bool {
    let values = extract(resource);
    criteria.iter().all(|criterion| holds(criterion, &values, resource))
}

fn holds(criterion: &Criterion, values: &[IndexValue], resource: &Resource) -> bool {
    let own_element = matches!(criterion.parameter.name, "_id" | "_lastUpdated");
    match (&criterion.test, criterion.parameter.name) {
        (Test::Any(any), _) if own_element => {
            any.iter().any(|test| holds(&Criterion { test: test.clone(), ..*criterion }, values, resource))
        }
        (Test::Id(id), _) => resource.id() == Some(id.as_str()),
        (Test::Date { comparison, low, high }, "_lastUpdated") => resource
            .last_updated()
            .and_then(datetime::instant)
            .is_some_and(|updated| compare(*comparison, updated, updated, *low, *high)),
        _ => {
            let mut own = values.iter().filter(|value| value.parameter == criterion.parameter);
            match criterion.modifier {
                // `:not` also finds resources without the element.
                Modifier::Not => !own.any(|value| meets(&criterion.test, criterion.modifier, &value.value)),
                _ => own.any(|value| meets(&criterion.test, criterion.modifier, &value.value)),
            }
        }
    }
}

fn meets(test: &Test, modifier: Modifier, value: &Value) -> bool {
    match (test, value) {
        (Test::Any(any), value) => any.iter().any(|test| meets(test, modifier, value)),
        (Test::Token { system, code }, Value::Token { system: own, code: own_code })
        | (Test::Token { system, code }, Value::Identifier { system: own, code: own_code }) => {
            let system_fits = match system {
                SystemTest::Any => true,
                SystemTest::None => own.is_none(),
                SystemTest::Is(system) => own.as_deref() == Some(system),
            };
            system_fits && code.as_ref().is_none_or(|code| code == own_code)
        }
        (Test::Text(text), Value::Text(own)) => match modifier {
            Modifier::Exact => own == text,
            Modifier::Contains => own.to_lowercase().contains(&text.to_lowercase()),
            _ => own.to_lowercase().starts_with(&text.to_lowercase()),
        },
        (Test::Uri { uri, version }, Value::Uri { uri: own, version: own_version }) => {
            let fits = match modifier {
                Modifier::Below => own.starts_with(uri.as_str()),
                _ => own == uri,
            };
            fits && version.as_ref().is_none_or(|version| own_version.as_ref() == Some(version))
        }
        (Test::References(any), Value::Reference(own)) => any.contains(own),
        (Test::Date { comparison, low, high }, Value::Date { low: own_low, high: own_high }) => {
            compare(*comparison, *own_low, *own_high, *low, *high)
        }
        _ => false,
    }
}

/// Spans: equal means that the own span lies within the one asked for; order looks at its beginning.
fn compare(comparison: Comparison, own_low: i64, own_high: i64, low: i64, high: i64) -> bool {
    match comparison {
        Comparison::Eq => own_low >= low && own_high <= high,
        Comparison::Ne => own_low < low || own_high > high,
        Comparison::Gt => own_low > high,
        Comparison::Lt => own_low < low,
        Comparison::Ge => own_low >= low,
        Comparison::Le => own_low <= high,
    }
}
