//! Independent parts of repositories from package registries: `make test-peers`. Left out elsewhere, with one line.
//!
//! openEHR queries go to a stand-in made of the AQL parser and the answer types of a later EHRbase than the one that
//! `ehrbase.rs` asks. FHIR searches go to HAPI's server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use mdat_adapter::{Config, PREFIX, Repository};
use messaging::hospital::{DataRequest, Query};
use stand::peers::Hospital;

fn repository(kind: &str, address: &str, more: &[(&str, &str)]) -> Repository {
    let mut all = vec![
        ("SITE", "site-a"),
        ("BACKEND", kind),
        ("ADDRESS", address),
        ("ALLOW_PLAINTEXT", "true"),
        ("IDENTIFIER_SYSTEM", "urn:oid:2.999.1.10"),
        ("NATS_URLS", "nats://nowhere"),
    ];
    all.extend(more);
    let all = all.into_iter().map(|(name, value)| (format!("{PREFIX}_{name}"), value.to_owned()));
    let config: Config = config::load_from(PREFIX, None, all).expect("settings");
    Repository::new(&config).expect("a repository")
}

fn ask(query: Query, consented: Option<&[&str]>) -> DataRequest {
    DataRequest {
        request_id: "r".into(),
        query,
        parameters: Default::default(),
        consented: consented.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()),
        offset: 0,
        limit: None,
    }
}

#[tokio::test]
async fn the_parser_of_ehrbase_takes_our_queries_and_we_its_answers() {
    let Some(peer) = Hospital::running() else { return };
    let address = format!("{}/openehr", peer.http);
    // The literal rewrite, and the parsed one that knows more.
    for (parsed, count) in [
        ("false", "SELECT COUNT(e) FROM EHR e CONTAINS COMPOSITION c[openEHR-EHR-COMPOSITION.report.v1]"),
        (
            "true",
            "SELECT COUNT(DISTINCT e) FROM EHR e CONTAINS (COMPOSITION c CONTAINS OBSERVATION o) \
             WHERE o/data[at0001]/events[at0002]/data[at0003]/items[at0004]/value/magnitude > 37.5 \
             OR c/name/value LIKE 'a*'",
        ),
    ] {
        let repository = repository("openehr", &address, &[("PARSED_REWRITE", parsed)]);
        let count = || Query::Aql(count.to_owned());
        assert_eq!(repository.count(&ask(count(), None)).await.expect("a count"), 5, "{parsed}");
        // Both ways to apply consent count the same.
        let consented = ["r0", "r3", "elsewhere"];
        let restricted = repository.count(&ask(count(), Some(&consented))).await.expect("a count");
        let filtered = repository.ids(&ask(count(), Some(&consented))).await.expect("ids");
        assert_eq!((restricted, filtered.ids.len()), (2, 2), "{parsed}");
        let all = repository.ids(&ask(count(), None)).await.expect("ids");
        assert_eq!((all.ids.join(" ").as_str(), all.without_id), ("r0 r1 r3 r4", 1), "{parsed}");
        let page = DataRequest { offset: 3, limit: Some(2), ..ask(count(), None) };
        assert_eq!(repository.ids(&page).await.expect("ids").ids, ["r3", "r4"], "{parsed}");
    }
}

#[tokio::test]
async fn hapi_fhir_answers_our_searches() {
    let Some(peer) = Hospital::running() else { return };
    let repository = repository("fhir", &format!("{}/fhir", peer.http), &[]);
    let search = |consented| ask(Query::FhirSearch("Patient?gender=female".to_owned()), consented);
    assert_eq!(repository.count(&search(None)).await.expect("a count"), 5);
    // Its pages hold two.
    let ids = repository.ids(&search(None)).await.expect("ids");
    assert_eq!((ids.ids.join(" ").as_str(), ids.without_id), ("4711 r1 r2 r3 r4", 0));
    assert_eq!(repository.count(&search(Some(&["r1", "r9"]))).await.expect("a count"), 1);
    let none = ask(Query::FhirSearch("Patient?gender=male".to_owned()), None);
    assert_eq!(repository.count(&none).await.expect("a count"), 0);
    let wrong = ask(Query::FhirSearch("Patient?shoe-size=44".to_owned()), None);
    assert!(repository.count(&wrong).await.is_err(), "an unknown parameter is no search for everybody");
}
