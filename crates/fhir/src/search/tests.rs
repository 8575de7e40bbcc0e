//! Queries of the contract, understood and refused, and what they match.
use super::{query::MAX_PARTS, *};
use crate::{Format, parse};

fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn task() -> crate::Resource {
    let text = r#"{"resourceType":"Task","id":"0d1f9f5e-3f56-4f5b-9d55-0f0f0f0f0f0f",
        "meta":{"versionId":"1","lastUpdated":"2026-11-23T04:50:54.104+00:00","profile":["http://x/task-ping|1.0"]},
        "identifier":[{"system":"http://send","value":"7"}],"status":"requested","intent":"order",
        "authoredOn":"2026-11-23T04:50:28+00:00",
        "requester":{"reference":"Organization/11111111-1111-4111-8111-111111111111","type":"Organization",
          "identifier":{"system":"http://dsf.dev/sid/organization-identifier","value":"a.test"}}}"#;
    parse(text.as_bytes(), Format::Json).unwrap()
}

#[test]
fn criteria_match_in_memory() {
    let table = [
        ("status=requested", true),
        ("status=draft", false),
        ("status:not=draft", true),
        ("status=|requested", true),
        ("identifier=http://send|7", true),
        ("identifier=http://send|", true),
        ("identifier=7", true),
        ("identifier=http://other|7", false),
        ("identifier:not=http://send|7", false),
        ("_profile=http://x/task-ping", true),
        ("_profile=http://x/task-ping|1.0", true),
        ("_profile=http://x/task-ping|2.0", false),
        ("_profile:below=http://x/", true),
        ("_lastUpdated=gt2026-11-23T04:50:54.103", true),
        ("_lastUpdated=gt2026-11-23T04:50:54.104", false),
        ("_lastUpdated=gt2026-11-23T04:50:54", true),
        ("_lastUpdated=gt2026-11-23T04:50", true),
        ("_lastUpdated=gt2026-11-23", false),
        ("authored-on=gt2026-11-23T04:50:28Z", false),
        ("authored-on=ge2026-11-23T04:50:28Z", true),
        ("_lastUpdated=ge2026-11-23T04:50:54.104Z", true),
        ("_lastUpdated=2026-11-23", true),
        ("authored-on=lt2026-11-23T04:50:28Z", false),
        ("authored-on=2026-11", true),
        ("requester=11111111-1111-4111-8111-111111111111", true),
        ("requester=Organization/11111111-1111-4111-8111-111111111111", true),
        ("requester=Organization/21111111-1111-4111-8111-111111111111", false),
        ("requester:identifier=http://dsf.dev/sid/organization-identifier|a.test", true),
        ("_id=0D1F9F5E-3F56-4F5B-9D55-0F0F0F0F0F0F", true),
        ("status=requested&identifier=8", false),
        ("status=draft,requested", true),
        ("status=draft,failed", false),
        ("status:not=draft,failed", true),
        ("status:not=draft,requested", false),
        ("status=draft\\,requested", false),
        ("status=,requested", true),
        ("identifier=http://other|7,http://send|7", true),
        ("identifier=http://send\\|7", false),
        ("_id=11111111-1111-4111-8111-111111111111,0d1f9f5e-3f56-4f5b-9d55-0f0f0f0f0f0f", true),
        ("_id=11111111-1111-4111-8111-111111111111,21111111-1111-4111-8111-111111111111", false),
        ("_lastUpdated=2026-11-22,2026-11-23", true),
        ("authored-on=lt2026-11-22,gt2026-11-24", false),
    ];
    for (query, expected) in table {
        let criteria = parse_criteria("Task", &pairs(query)).unwrap().unwrap();
        assert_eq!(matches(&criteria, &task()), expected, "{query}");
    }
}

#[test]
fn what_is_not_understood_is_listed() {
    use ProblemKind::*;
    let table = [
        ("Task", "unknown=1", UnsupportedParameter),
        ("Task", "status:text=a", UnsupportedParameter),
        ("Task", "recipient=a", UnsupportedParameter),
        ("Task", "_id=7", UnparsableValue),
        ("Task", "authored-on=soon", UnparsableValue),
        ("Task", "authored-on=gt2026", UnparsableValue),
        ("Task", "authored-on=2026,soon", UnparsableValue),
        ("Task", "_id=7,8", UnparsableValue),
        ("Task", "requester=,", UnparsableValue),
        ("Task", "_include=Task:requester", UnparsableValue),
        ("Task", "_sort=x", UnparsableValue),
        ("Task", "_sort=_id&_sort=status", UnsupportedNumberOfValues),
        ("Measure", "depends-on=7", UnparsableValue),
        ("Organization", "active=yes", UnparsableValue),
        ("Organization", "_revinclude=Endpoint:unknown", UnparsableValue),
    ];
    for (ty, query, kind) in table {
        let query_parsed = parse_query(ty, &pairs(query)).unwrap();
        let kinds: Vec<_> = query_parsed.problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [kind], "{ty}?{query}");
    }
    assert!(parse_query("Observation", &[]).is_none());
}

/// A condition names one resource: what peers write with a comma is one value.
#[test]
fn commas_of_conditions_are_part_of_the_value() {
    let of = |code: &str| Test::Token {
        system: SystemTest::Is("http://s".to_owned()),
        code: Some(code.to_owned()),
    };
    let conditions = parse_conditions("Task", &pairs("identifier=http://s|a,b")).unwrap().unwrap();
    assert_eq!(conditions[0].test, of("a,b"));
    let criteria = parse_criteria("Task", &pairs("identifier=http://s|a\\,b,http://s|c")).unwrap().unwrap();
    assert_eq!(criteria[0].test, Test::Any(vec![of("a\\,b,http://s|c"), of("a,b"), of("c")]));
    let many = format!("status={}", "a,".repeat(MAX_PARTS + 1));
    assert_eq!(parse_query("Task", &pairs(&many)).unwrap().problems.len(), 1);
}

#[test]
fn links_order_what_was_understood() {
    let query = parse_query(
        "Endpoint",
        &pairs("_include=Endpoint:organization&status=active&_count=5&address=https://a/fhir&_sort=-_id&x=1"),
    )
    .unwrap();
    let names: Vec<&str> = query.understood.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["address", "status", "_sort", "_include"]);
    assert_eq!((query.count, query.page, query.problems.len()), (Some(5), None, 1));
}

#[test]
fn every_parameter_has_a_key_of_its_own() {
    let mut keys: Vec<&str> =
        types().iter().flat_map(|row| row.parameters).map(|parameter| parameter.key).collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
    assert_eq!(types().len(), 26);
}
