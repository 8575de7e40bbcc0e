//! Every search parameter of the contract's table, in the database and in memory alike: contract 2; 13.3
//! ActivityDefinition, Bundle, DocumentReference, Group, Measure, Questionnaire and
//! QuestionnaireResponse searches.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

mod postgres;

use std::collections::BTreeSet;

use fhir::{
    Format, datetime,
    search::{extract, matches, parse_criteria, parse_query, search_of, types},
};
use fhir_gateway::store::{AccessFilter, MIGRATIONS, NewVersion, Session, Store};
use postgres::Cluster;
use serde_json::{Value, json};
use uuid::Uuid;

const TABLE: &str = include_str!("search/parameters.txt");

fn pairs(query: &str) -> Vec<(String, String)> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.to_owned(), value.to_owned())
    };
    query.split('&').map(pair).collect()
}

async fn write(session: &Session<database::Connection>, ty: &str, content: &Value) -> Uuid {
    let id = Uuid::new_v4();
    let mut content = content.clone();
    content["resourceType"] = json!(ty);
    let mut resource = fhir::parse(content.to_string().as_bytes(), Format::Json).unwrap();
    let now = datetime::now_millis();
    resource.set_id(&id.to_string());
    resource.set_meta(1, &datetime::format(now));
    let new = NewVersion {
        resource_type: search_of(ty).unwrap().resource_type,
        id,
        version: 1,
        last_updated: now,
        content: fhir::to_json(&resource),
        index: extract(&resource),
        read_tags: Vec::new(),
        context: None,
        data: None,
        keys_added: Vec::new(),
        keys_removed: Vec::new(),
        events: Vec::new(),
    };
    session.write(&new).await.unwrap();
    id
}

#[tokio::test]
async fn each_hits_and_misses() {
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool(MIGRATIONS).await);
    let session = store.session().await.unwrap();
    let mut current: Vec<(&str, Uuid)> = Vec::new();
    // Type, parameter, whether it was a hit.
    let mut seen: BTreeSet<(String, String, bool)> = BTreeSet::new();
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (mark, query) = line.split_at(2);
        if !matches!(mark, "+ " | "- " | "! ") {
            let (names, content) = line.split_once(" {").unwrap();
            let content: Value = serde_json::from_str(&format!("{{{content}")).unwrap();
            current.clear();
            for ty in names.split(' ') {
                current.push((ty, write(&session, ty, &content).await));
            }
            continue;
        }
        for (ty, id) in &current {
            let parsed = parse_query(ty, &pairs(query)).unwrap();
            assert_eq!(parsed.problems.is_empty(), mark != "! ", "{ty}?{query}: {:?}", parsed.problems);
            if mark == "! " {
                assert!(parsed.criteria.is_empty(), "{ty}?{query}: what is not understood is ignored");
                continue;
            }
            let expected = mark == "+ ";
            let found = session.search(&parsed, &AccessFilter::Everything, 10, 0).await.unwrap();
            assert_eq!(found.total == 1, expected, "{ty}?{query} found {}", found.total);
            let stored = session.read(ty, *id).await.unwrap().unwrap();
            let resource = fhir::parse(&stored.content, Format::Json).unwrap();
            let criteria = parse_criteria(ty, &pairs(query)).unwrap().unwrap();
            assert_eq!(matches(&criteria, &resource), expected, "in memory: {ty}?{query}");
            for criterion in criteria {
                seen.insert(((*ty).to_owned(), criterion.parameter.name.to_owned(), expected));
            }
        }
    }
    for row in types() {
        for parameter in row.parameters {
            for hit in [true, false] {
                let cell = (row.resource_type.to_owned(), parameter.name.to_owned(), hit);
                let kind = if hit { "hit" } else { "miss" };
                assert!(
                    seen.contains(&cell),
                    "{}?{} has no {kind} in the table",
                    row.resource_type,
                    parameter.name
                );
            }
        }
    }
}

/// Types, parameters and includes are those of the contract, no more and no less.
#[test]
fn parameters_are_the_contracts() {
    let metadata = "date identifier name status url version";
    let table = [
        ("ActivityDefinition", metadata, "", ""),
        ("Binary", "contentType", "", ""),
        ("Bundle", "identifier", "", ""),
        ("CodeSystem", metadata, "", ""),
        ("DocumentReference", "identifier", "", ""),
        ("Endpoint", "address identifier name organization status", "organization", "Organization:endpoint"),
        ("Group", "identifier", "", "ResearchStudy:enrollment"),
        ("HealthcareService", "active identifier name", "", ""),
        ("Library", metadata, "", ""),
        ("Location", "identifier name", "", ""),
        ("Measure", "date depends-on identifier name status url version", "depends-on", ""),
        ("MeasureReport", "identifier", "", ""),
        ("NamingSystem", "date name status", "", ""),
        (
            "Organization",
            "active endpoint identifier name type",
            "endpoint",
            "Endpoint:organization OrganizationAffiliation:primary-organization OrganizationAffiliation:participating-organization",
        ),
        (
            "OrganizationAffiliation",
            "active endpoint identifier participating-organization primary-organization role",
            "endpoint participating-organization primary-organization",
            "",
        ),
        ("Patient", "active identifier", "", ""),
        ("Practitioner", "active identifier", "", ""),
        ("PractitionerRole", "active identifier organization practitioner", "organization practitioner", ""),
        ("Provenance", "", "", ""),
        ("Questionnaire", metadata, "", ""),
        (
            "QuestionnaireResponse",
            "author authored identifier questionnaire status subject",
            "author subject questionnaire",
            "",
        ),
        (
            "ResearchStudy",
            "enrollment identifier principalinvestigator",
            "enrollment principalinvestigator",
            "",
        ),
        ("StructureDefinition", metadata, "", ""),
        ("Subscription", "criteria payload status type", "", ""),
        ("Task", "authored-on identifier modified requester status", "requester", ""),
        ("ValueSet", metadata, "", ""),
    ];
    assert_eq!(types().len(), table.len());
    for (row, (ty, parameters, includes, rev_includes)) in types().iter().zip(table) {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(row.resource_type, ty);
        let names: Vec<String> = row.parameters.iter().map(|one| one.name.to_owned()).collect();
        assert_eq!(names, words(parameters), "{ty}");
        let own: Vec<String> = row.includes.iter().map(|one| one.parameter.to_owned()).collect();
        assert_eq!(own, words(includes), "{ty}: _include");
        let reverse: Vec<String> =
            row.rev_includes.iter().map(|one| format!("{}:{}", one.source, one.parameter)).collect();
        assert_eq!(reverse, words(rev_includes), "{ty}: _revinclude");
    }
}
