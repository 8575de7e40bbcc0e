//! Expressions and their values, as a table; and arbitrary text never panics.
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::{Environment, Template};
use crate::value::{Value, Variables};

struct Names(Variables);

impl Environment for Names {
    fn variable(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
    fn local_variable(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
    fn business_key(&self) -> Option<&str> {
        Some("bk")
    }
    fn instance_id(&self) -> String {
        "i".to_owned()
    }
    fn activity_id(&self) -> &str {
        "a"
    }
    fn now(&self) -> i64 {
        0
    }
}

fn names() -> Names {
    let target = json!({"correlationKey": "ck", "nothing": null});
    Names(BTreeMap::from([
        ("flag".to_owned(), Value::Boolean(true)),
        ("n".to_owned(), Value::Integer(2)),
        ("s".to_owned(), Value::from("text")),
        ("one".to_owned(), Value::from("1")),
        ("nul".to_owned(), Value::Null),
        ("target".to_owned(), Value::Json(target)),
        ("targets".to_owned(), Value::Json(json!({"entries": [{"id": 1}, {"id": 2}]}))),
        ("bundle".to_owned(), Value::Document(json!({"resourceType": "Bundle"}))),
    ]))
}

fn evaluate(text: &str) -> Result<Value, String> {
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    template.evaluate(&names()).map_err(|error| error.to_string())
}

#[test]
fn values() {
    let table = [
        ("plain", Value::from("plain")),
        ("${n}", Value::Integer(2)),
        ("a${n}b#{s}", Value::from("a2btext")),
        (r"\${n}", Value::from("${n}")),
        ("${target.correlationKey}", Value::from("ck")),
        ("${target.getCorrelationKey()}", Value::from("ck")),
        ("${target['correlationKey']}", Value::from("ck")),
        ("${target.missing.deeper}", Value::Null),
        ("${targets.entries[1].id + n * 2}", Value::Integer(6)),
        ("${targets.entries[7]}", Value::Null),
        ("${targets.entries.size()}", Value::Integer(2)),
        ("${10 - 4 - 3}", Value::Integer(3)),
        ("${7 / 2}", Value::Decimal(3.5)),
        ("${7 mod 4}", Value::Integer(3)),
        ("${one == 1}", Value::Boolean(true)),
        ("${nul == ''}", Value::Boolean(false)),
        ("${nul == false}", Value::Boolean(false)),
        ("${nul + 3}", Value::Integer(3)),
        ("${nul < 1}", Value::Boolean(false)),
        ("${!empty s and n ge 2}", Value::Boolean(true)),
        ("${flag ? 'yes' : 'no'}", Value::from("yes")),
        ("${false || flag && !flag}", Value::Boolean(false)),
        ("${execution.hasVariable('nope') && nope}", Value::Boolean(false)),
        ("${execution.getVariable(\"s\")=='text'}", Value::Boolean(true)),
        ("${execution.getVariable('nope')}", Value::Null),
        ("${execution.businessKey}", Value::from("bk")),
        ("${now()}", Value::Date("1970-01-01T00:00:00.000Z".to_owned())),
    ];
    for (text, value) in table {
        assert_eq!(evaluate(text), Ok(value), "{text}");
    }
}

#[test]
fn refused() {
    for text in [
        "${nope}",
        "${nope == null}",
        "${bundle.resourceType}",
        "${bundle == 1}",
        "${'it''s'}",
        "${s.empty}",
        "${s.unknown()}",
        "${s > flag}",
        "${'a' == 1}",
        "${system('rm')}",
        "${n.class}",
        "${''.getClass()}",
        "${5 % 0}",
        "${",
        "${a",
        "${a b}",
        "${'open}",
        "${99999999999999999999}",
        "${a ? b}",
    ] {
        assert!(evaluate(text).is_err(), "{text} must not have a value");
    }
    assert!(Template::parse(&format!("${{{}1{}}}", "(".repeat(60), ")".repeat(60))).is_err());
    assert!(Template::parse(&format!("${{1{}}}", "+1".repeat(1000))).is_err());
}

#[test]
fn only_booleans_are_conditions() {
    let condition = |text: &str| Template::parse(text).unwrap().condition(&names()).ok();
    assert_eq!(condition("${flag}"), Some(true));
    for text in ["true", "${s}", "${nul}", "${n}"] {
        assert_eq!(condition(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "[${}#!()\\[\\]a-z0-9'\"\\\\.,?:<>=&|+*/% -]{0,60}") {
        let _ = evaluate(&text);
        let _ = evaluate(&format!("${{{text}}}"));
    }

    #[test]
    fn never_panics_on_any_text(text in ".{0,40}") {
        let _ = evaluate(&format!("${{{text}}}"));
    }

    #[test]
    fn integer_sums_are_left_associative(numbers in prop::collection::vec(0i64..1000, 1..20)) {
        let text = numbers.iter().map(i64::to_string).collect::<Vec<_>>().join("-");
        let value = numbers[1..].iter().fold(numbers[0], |sum, n| sum - n);
        prop_assert_eq!(evaluate(&format!("${{{text}}}")), Ok(Value::Integer(value)));
    }
}
