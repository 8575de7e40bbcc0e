//! The language, as data.

use super::{Budget, Context, Expression, Verdict};
use crate::{Format, parse};

const TASK: &str = r#"{"resourceType":"Task","status":"requested","intent":"order",
  "authoredOn":"2024-01-01T10:00:00Z","lastModified":"2024-01-01T11:00:00+01:00",
  "identifier":[{"system":"s","value":"v"}],
  "requester":{"type":"Organization"},
  "input":[{"type":{"coding":[{"system":"a","code":"x"}]},"valueString":"one"},
           {"type":{"coding":[{"system":"a","code":"y"}]},"valueInteger":7}]}"#;

#[test]
fn truth() {
    let task = parse(TASK.as_bytes(), Format::Json).unwrap();
    let context = Context { resource: task.root(), root: task.root(), focus: task.root() };
    for (text, expected) in [
        ("status = 'requested'", Verdict::Holds),
        ("Task.status = 'requested'", Verdict::Holds),
        ("%resource.status = 'draft' implies false", Verdict::Holds),
        ("owner.exists() implies false", Verdict::Holds),
        // Nothing implies false is nothing, and nothing fails.
        ("requester.identifier.system = 'x' implies false", Verdict::Fails),
        ("requester.identifier.system = 'x' implies type.empty() or true", Verdict::Holds),
        ("{} or true", Verdict::Holds),
        ("{} and false", Verdict::Fails),
        ("(true xor false) and (true xor true).not()", Verdict::Holds),
        ("input.type.coding.where(system = 'a' and code = 'y').exists()", Verdict::Holds),
        ("input.type.coding.code = 'x'", Verdict::Fails),
        ("input.count() = 2 and (input.count() + identifier.count()) > 2", Verdict::Holds),
        ("input.value.count() = 2", Verdict::Holds),
        ("input.first().value is string and input[1].value is Integer", Verdict::Holds),
        ("input.value.as(integer) >= 7.0", Verdict::Holds),
        ("lastModified >= authoredOn and lastModified <= authoredOn", Verdict::Holds),
        ("status in ('requested' | 'ready')", Verdict::Holds),
        ("(status | intent) contains 'order'", Verdict::Holds),
        ("status.matches('^req[a-z]*$')", Verdict::Holds),
        ("status.matches('^eq')", Verdict::Fails),
        (r"'3 x'.matches('^\\d\\s\\S$') and 'a-1.'.matches('^[\\w-\\.]+$')", Verdict::Holds),
        (r"'ab cd'.matches('\\bcd\\b') and 'x'.matches('[^\\d\\s]')", Verdict::Holds),
        (r"'\u0663'.matches('\\d') or '\u00e4'.matches('\\w') or '\u00a0'.matches('\\s')", Verdict::Fails),
        ("status.substring(1).startsWith('eq')", Verdict::Holds),
        ("status.replaceMatches('e.*', '') = 'r'", Verdict::Holds),
        ("input.type.coding.select(system & code).isDistinct()", Verdict::Holds),
        ("input.type.coding.select(system).isDistinct()", Verdict::Fails),
        ("input.all(type.exists())", Verdict::Holds),
        ("descendants().code.count() = 2 and children().count() > 5", Verdict::Holds),
        ("iif(status = 'x', false, input.tail().value = 7)", Verdict::Holds),
        ("status.trace('a').hasValue() and requester.hasValue().not()", Verdict::Holds),
        ("note.text.matches('x')", Verdict::Fails),
        ("'7'.toInteger() = 7 and 'a'.toInteger().empty()", Verdict::Holds),
    ] {
        let expression = Expression::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let verdict = expression.check(task.root(), None, &context, &mut Budget::new(10_000));
        assert_eq!(verdict, expected, "{text}");
    }
}

#[test]
fn refused() {
    for text in [
        "resolve().exists()",
        "a.unknown()",
        "status.matches(code)",
        "'open",
        "a and",
        "(a",
        "a b",
        "%unknown",
        "$total",
        "a.matches('(?=x)')",
        &"(".repeat(2000),
        &format!("a{}", " or a".repeat(200)),
    ] {
        assert!(Expression::compile(text).is_err(), "{text}");
    }
}

#[test]
fn runs_out_of_steps() {
    let task = parse(TASK.as_bytes(), Format::Json).unwrap();
    let context = Context { resource: task.root(), root: task.root(), focus: task.root() };
    let text = "descendants().descendants().descendants().where(descendants().exists()).exists()";
    let expression = Expression::compile(text).unwrap();
    assert_eq!(expression.check(task.root(), None, &context, &mut Budget::new(50)), Verdict::TooLong);
}
