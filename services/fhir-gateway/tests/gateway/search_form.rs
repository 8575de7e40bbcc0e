//! Searches by form (`POST /T/_search`) and with alternatives, over HTTP.
use serde_json::{Value, json};

use crate::{
    JSON,
    client::Client,
    world::{Replica, World},
};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test(flavor = "multi_thread")]
async fn a_form_searches_like_a_url() {
    let world = World::start().await;
    let gateway = Replica::start(world.config()).await;
    let local = Client::new(&world.authority, Some(&world.local));
    for identifier in ["1", "2", "3"] {
        let group = json!({"resourceType": "Group", "type": "person", "actual": true,
            "identifier": [{"system": "http://test", "value": identifier}],
            "meta": {"tag": [{"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"}]}});
        let headers = [("content-type", JSON), ("accept", JSON)];
        let answer = local
            .ask(gateway.address, "POST /fhir/Group", &headers, group.to_string().as_bytes())
            .await
            .unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    // Line, content type, preference, form, status, total.
    type Row<'a> = (&'a str, &'a str, &'a str, &'a str, u16, u64);
    let long = format!("identifier={}", "x".repeat(100_000));
    let table: [Row<'_>; 12] = [
        ("POST /fhir/Group/_search", FORM, "", "identifier=http%3A%2F%2Ftest%7C1", 200, 1),
        (
            "POST /fhir/Group/_search",
            "application/x-www-form-urlencoded; charset=UTF-8",
            "",
            "identifier=2",
            200,
            1,
        ),
        ("POST /fhir/Group/_search", FORM, "", "", 200, 3),
        ("POST /fhir/Group/_search", FORM, "", "identifier=1,3", 200, 2),
        ("POST /fhir/Group/_search?identifier=1,3", FORM, "", "identifier=3%2C2", 200, 1),
        ("POST /fhir/Group/_search", FORM, "", "identifier=1&_format=json", 200, 1),
        ("POST /fhir/Group/_search", FORM, "handling=strict", "unknown=1", 400, 0),
        ("POST /fhir/Group/_search", JSON, "", "{}", 415, 0),
        ("POST /fhir/Group/_search", FORM, "", &long, 413, 0),
        ("POST /fhir/Nothing/_search", FORM, "", "", 404, 0),
        ("GET /fhir/Group/_search", FORM, "", "", 405, 0),
        ("GET /fhir/Group?identifier=http://test|1,http://test|2,http://other|3", FORM, "", "", 200, 2),
    ];
    for (line, content_type, prefer, form, status, total) in table {
        let headers = [("content-type", content_type), ("accept", JSON), ("prefer", prefer)];
        let answer = local.ask(gateway.address, line, &headers, form.as_bytes()).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{line} {form:.80}: {}", answer.body);
        if status == 200 {
            let found: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(found["total"], total, "{line} {form}: {found}");
            let own = found["link"][0]["url"].as_str().unwrap();
            assert!(own.contains("/fhir/Group?") && !own.contains("_search"), "links are for GET: {own}");
        }
    }
    gateway.stop().await;
}
