//! The store against a real PostgreSQL: versions, races, searches and their cost, rights, includes, outbox.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

#[path = "store/buckets.rs"]
mod buckets;
#[path = "store/cost.rs"]
mod cost;
mod postgres;

use fhir::{
    Format, Resource, datetime,
    search::{extract, parse_criteria, parse_query, search_of},
};
use fhir_gateway::store::{
    AccessFilter, MIGRATIONS, NewEvent, NewVersion, Session, Store, WriteError, relay_batch,
};
use postgres::Cluster;
use uuid::Uuid;

/// Time of the first version of everything, with milliseconds.
const START: i64 = 1_795_000_000_104;
const ORGANIZATION_SYSTEM: &str = "http://dsf.dev/sid/organization-identifier";

type Connection = Session<database::Connection>;

/// A version as the gateway would write it.
fn version(json: &str, id: Uuid, number: u64, last_updated: i64, tags: &[&str]) -> NewVersion {
    let mut resource: Resource = fhir::parse(json.as_bytes(), Format::Json).unwrap();
    resource.set_id(&id.to_string());
    resource.set_meta(number, &datetime::format(last_updated));
    NewVersion {
        resource_type: search_of(resource.resource_type()).unwrap().resource_type,
        id,
        version: number,
        last_updated,
        content: fhir::to_json(&resource),
        index: extract(&resource),
        read_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        context: None,
        data: None,
        keys_added: Vec::new(),
        keys_removed: Vec::new(),
        events: Vec::new(),
    }
}

async fn create(session: &Connection, json: &str, last_updated: i64, tags: &[&str]) -> Uuid {
    let id = Uuid::new_v4();
    session.write(&version(json, id, 1, last_updated, tags)).await.unwrap();
    id
}

fn pairs(query: &str) -> Vec<(String, String)> {
    url_pairs(query).collect()
}

fn url_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.to_owned(), value.to_owned())
    })
}

/// Ids of what fulfils a condition, as conditional writes and references ask.
async fn find(session: &Connection, resource_type: &str, text: &str) -> Vec<Uuid> {
    let criteria = parse_criteria(resource_type, &pairs(text)).unwrap().unwrap();
    let found = session.find(resource_type, &criteria, 2).await.unwrap();
    found.into_iter().map(|(id, _)| id).collect()
}

/// Searches with everything allowed; total and ids of the first page.
async fn search(session: &Connection, resource_type: &str, text: &str) -> (u64, Vec<Uuid>) {
    filtered(session, resource_type, text, &AccessFilter::Everything).await
}

async fn filtered(
    session: &Connection,
    resource_type: &str,
    text: &str,
    filter: &AccessFilter,
) -> (u64, Vec<Uuid>) {
    let query = parse_query(resource_type, &pairs(text)).unwrap();
    assert_eq!(query.problems, [], "{resource_type}?{text}");
    let count = query.count.unwrap_or(20);
    let offset = (query.page.unwrap_or(1) - 1) * count;
    let page = session.search(&query, filter, count, offset).await.unwrap();
    (page.total, page.matches.iter().map(|found| found.id).collect())
}

fn task(status: &str, requester: &str) -> String {
    format!(
        r#"{{"resourceType":"Task",
        "meta":{{"profile":["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]}},
        "identifier":[{{"system":"http://send","value":"{requester}-{status}"}}],
        "status":"{status}","intent":"order","authoredOn":"2026-11-23T04:50:27+00:00",
        "requester":{{"type":"Organization","identifier":{{"system":"{ORGANIZATION_SYSTEM}","value":"{requester}"}}}},
        "restriction":{{"recipient":[{{"type":"Organization",
          "identifier":{{"system":"{ORGANIZATION_SYSTEM}","value":"a.test"}}}}]}}}}"#
    )
}

fn organization(identifier: &str, endpoint: Option<Uuid>) -> String {
    let endpoint =
        endpoint.map(|id| format!(r#","endpoint":[{{"reference":"Endpoint/{id}"}}]"#)).unwrap_or_default();
    format!(
        r#"{{"resourceType":"Organization","active":true,"name":"Klinikum {identifier}",
        "identifier":[{{"system":"{ORGANIZATION_SYSTEM}","value":"{identifier}"}}]{endpoint}}}"#
    )
}

fn endpoint(name: &str, organization: Uuid) -> String {
    format!(
        r#"{{"resourceType":"Endpoint","status":"active","name":"{name}","address":"https://{name}/fhir",
        "identifier":[{{"system":"http://dsf.dev/sid/endpoint-identifier","value":"{name}"}}],
        "connectionType":{{"code":"hl7-fhir-rest"}},"payloadType":[{{"text":"any"}}],
        "managingOrganization":{{"reference":"Organization/{organization}"}}}}"#
    )
}

#[tokio::test]
async fn versions() {
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool(MIGRATIONS).await);
    let mut session = store.session().await.unwrap();
    let id = create(&session, &task("requested", "b.test"), START, &[]).await;

    // An update keeps the old version; the index knows the new one only.
    let second = version(&task("in-progress", "b.test"), id, 2, START + 5, &[]);
    session.write(&second).await.unwrap();
    let read = session.read("Task", id).await.unwrap().unwrap();
    assert_eq!((read.version, read.last_updated, read.deleted), (2, START + 5, None));
    assert_eq!(read.content, second.content, "bytes come back as they were written");
    let first = session.vread("Task", id, 1).await.unwrap().unwrap();
    assert!(!first.current && String::from_utf8_lossy(&first.content).contains("requested"));
    assert_eq!(session.vread("Task", id, 3).await.unwrap(), None);
    assert_eq!(session.vread("Task", id, u64::MAX).await.unwrap(), None);
    assert_eq!(session.read("Organization", id).await.unwrap(), None, "the type is part of the address");
    assert_eq!(search(&session, "Task", "status=requested").await, (0, vec![]));
    assert_eq!(search(&session, "Task", "status=in-progress").await, (1, vec![id]));

    // A version that is not current any more cannot be replaced, whichever way it is missing.
    for lost in [second.clone(), version(&task("completed", "b.test"), id, 9, START, &[])] {
        assert!(matches!(session.write(&lost).await, Err(WriteError::Changed)));
    }
    let unknown = version(&task("completed", "b.test"), Uuid::new_v4(), 2, START, &[]);
    assert!(matches!(session.write(&unknown).await, Err(WriteError::Changed)));

    // A transaction that is not committed leaves nothing; the connection stays usable.
    let transaction = session.begin().await.unwrap();
    transaction.write(&version(&task("failed", "b.test"), id, 3, START + 9, &[])).await.unwrap();
    assert_eq!(transaction.read("Task", id).await.unwrap().unwrap().version, 3);
    drop(transaction);
    assert_eq!(session.read("Task", id).await.unwrap().unwrap().version, 2);

    // A delete under another type touches nothing; under its own it marks, once.
    assert!(!session.delete("Organization", id, START + 10).await.unwrap());
    assert_eq!(search(&session, "Task", "status=in-progress").await.0, 1, "the index is untouched");
    assert!(session.delete("Task", id, START + 10).await.unwrap());
    assert!(!session.delete("Task", id, START + 11).await.unwrap());
    let deleted = session.read("Task", id).await.unwrap().unwrap();
    assert_eq!((deleted.version, deleted.deleted), (2, Some(START + 10)));
    assert_eq!(search(&session, "Task", "").await, (0, vec![]));
    let late = version(&task("failed", "b.test"), id, 3, START + 20, &[]);
    assert!(matches!(session.write(&late).await, Err(WriteError::Changed)), "a deleted resource stays so");
}

#[tokio::test]
async fn one_of_many_concurrent_writers_wins() {
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool(MIGRATIONS).await);
    let race = async |make: fn(usize) -> NewVersion| {
        let attempts = (0..8).map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.session().await.unwrap().write(&make(number)).await })
        });
        let mut outcomes = (0, 0, 0);
        for attempt in attempts.collect::<Vec<_>>() {
            match attempt.await.unwrap() {
                Ok(()) => outcomes.0 += 1,
                Err(WriteError::Duplicate) => outcomes.1 += 1,
                Err(WriteError::Changed) => outcomes.2 += 1,
                Err(WriteError::Database(error)) => panic!("{error}"),
            }
        }
        outcomes
    };
    // The same unique key under eight ids.
    let created = race(|_| {
        let mut new = version(&organization("a.test", None), Uuid::new_v4(), 1, START, &["ALL"]);
        new.keys_added = vec!["Organization.identifier|a.test".to_owned()];
        new
    })
    .await;
    assert_eq!(created, (1, 7, 0), "exactly one create wins, the others learn that it is a duplicate");

    // The same next version of one resource.
    const ID: Uuid = Uuid::from_u128(0x0d1f_9f5e_3f56_4f5b_9d55_0f0f_0f0f_0f0f);
    let session = store.session().await.unwrap();
    session.write(&version(&organization("b.test", None), ID, 1, START, &["ALL"])).await.unwrap();
    let updated = race(|_| version(&organization("b.test", None), ID, 2, START + 1, &["ALL"])).await;
    assert_eq!(updated, (1, 0, 7), "exactly one update wins, the others learn that it has changed");

    // The key is free again with the delete, also inside one transaction.
    let mut session = store.session().await.unwrap();
    let (_, found) = search(&session, "Organization", "identifier=a.test").await;
    let transaction = session.begin().await.unwrap();
    assert!(transaction.delete("Organization", found[0], START + 2).await.unwrap());
    let mut again = version(&organization("a.test", None), Uuid::new_v4(), 1, START + 2, &["ALL"]);
    again.keys_added = vec!["Organization.identifier|a.test".to_owned()];
    transaction.write(&again).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(search(&session, "Organization", "identifier=a.test").await, (1, vec![again.id]));
}

/// What a Java engine asks for (java-client-exchange contract 2 to 5), and forms beside it.
#[tokio::test]
async fn searches() {
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool(MIGRATIONS).await);
    let session = store.session().await.unwrap();
    let own = create(&session, &organization("a.test", None), START, &["ALL"]).await;
    let other = create(&session, &organization("b.test", None), START + 1, &["ALL"]).await;
    let own_endpoint = create(&session, &endpoint("fhir.a.test", own), START, &["ALL"]).await;
    let other_endpoint = create(&session, &endpoint("fhir.b.test", other), START + 1, &["ALL"]).await;
    let first = create(&session, &task("requested", "a.test"), START, &[]).await;
    let second = create(&session, &task("requested", "b.test"), START + 40, &[]).await;
    let draft = create(&session, &task("draft", "a.test"), START + 41, &[]).await;
    let definition = r#"{"resourceType":"CodeSystem","url":"http://dsf.dev/fhir/CodeSystem/ping","version":"1.0",
        "name":"DSF_Ping","status":"active","content":"complete","date":"2026-11-23"}"#;
    let code_system = create(&session, definition, START, &["ALL"]).await;
    let subscription = r#"{"resourceType":"Subscription","status":"active","reason":"r",
        "criteria":"Task?status=requested","channel":{"type":"websocket","payload":"application/fhir+json"}}"#;
    let subscription = create(&session, subscription, START, &["LOCAL"]).await;

    // Both Tasks have the times …04.104 and …04.144: a Java engine sends the fraction as short as possible.
    let at = |millis: i64| datetime::format(START + millis).replace("+00:00", "");
    let whole_second = at(-104).replace(".000", "");
    let table: Vec<(&str, String, Vec<Uuid>)> = vec![
        (
            "Endpoint",
            "status=active&address=https://fhir.a.test/fhir&_include=Endpoint:organization".into(),
            vec![own_endpoint],
        ),
        ("CodeSystem", "url=http://dsf.dev/fhir/CodeSystem/ping&version=1.0".into(), vec![code_system]),
        ("CodeSystem", "url=http://dsf.dev/fhir/CodeSystem/ping|1.0".into(), vec![code_system]),
        ("CodeSystem", "url=http://dsf.dev/fhir/CodeSystem/ping|1.1".into(), vec![]),
        ("CodeSystem", "url:below=http://dsf.dev/".into(), vec![code_system]),
        ("CodeSystem", "date=2026-11".into(), vec![code_system]),
        ("CodeSystem", "date=gt2026-11-23".into(), vec![]),
        ("Task", "identifier=http://send|a.test-draft&status=draft".into(), vec![draft]),
        (
            "Subscription",
            "criteria:exact=Task?status=requested&status=active&type=websocket&payload=application/fhir+json"
                .into(),
            vec![subscription],
        ),
        ("Subscription", "criteria:exact=task?status=requested".into(), vec![]),
        ("Subscription", "criteria=TASK?".into(), vec![subscription]),
        ("Subscription", "criteria:contains=STATUS=req".into(), vec![subscription]),
        ("Subscription", "criteria=Task_status".into(), vec![]),
        ("Task", "_page=1&_count=20&_sort=_lastUpdated&status=requested".into(), vec![first, second]),
        (
            "Task",
            format!("_page=1&_count=20&_sort=_lastUpdated&status=requested&_lastUpdated=gt{}", at(0)),
            vec![second],
        ),
        (
            "Task",
            format!("_sort=_lastUpdated&status=requested&_lastUpdated=gt{}", at(-1)),
            vec![first, second],
        ),
        (
            "Task",
            format!("_sort=_lastUpdated&status=requested&_lastUpdated=gt{whole_second}"),
            vec![first, second],
        ),
        ("Task", format!("_sort=_lastUpdated&status=requested&_lastUpdated=ge{}", at(40)), vec![second]),
        ("Task", format!("_sort=_lastUpdated&status=requested&_lastUpdated=le{}", at(0)), vec![first]),
        ("Task", "_sort=-_lastUpdated".into(), vec![draft, second, first]),
        ("Task", "_sort=status,-_lastUpdated".into(), vec![draft, second, first]),
        (
            "Task",
            "requester:identifier=http://dsf.dev/sid/organization-identifier|b.test".into(),
            vec![second],
        ),
        ("Task", "status:not=requested".into(), vec![draft]),
        ("Task", "authored-on=gt2026-11-23T04:50:27Z".into(), vec![]),
        (
            "Task",
            "authored-on=ge2026-11-23T04:50:27Z&authored-on=lt2026-11-24&status=draft".into(),
            vec![draft],
        ),
        ("QuestionnaireResponse", "_page=1&_count=20&_sort=_lastUpdated&status=completed".into(), vec![]),
        (
            "Endpoint",
            "status=active&identifier=http://dsf.dev/sid/endpoint-identifier|&_page=1&_sort=_lastUpdated"
                .into(),
            vec![own_endpoint, other_endpoint],
        ),
        (
            "Endpoint",
            "identifier=http://dsf.dev/sid/endpoint-identifier|fhir.a.test&status=active".into(),
            vec![own_endpoint],
        ),
        (
            "Organization",
            "active=true&identifier:not=http://dsf.dev/sid/organization-identifier|a.test&_page=1&_sort=_id"
                .into(),
            vec![other],
        ),
        ("Organization", "name=klinikum B".into(), vec![other]),
        ("Endpoint", format!("organization={own}"), vec![own_endpoint]),
        ("Endpoint", format!("organization=Organization/{other}"), vec![other_endpoint]),
        ("Task", format!("_id={first}"), vec![first]),
    ];
    for (resource_type, query, expected) in &table {
        let (total, found) = search(&session, resource_type, query).await;
        assert_eq!(found, *expected, "{resource_type}?{query}");
        assert_eq!(total, expected.len() as u64, "{resource_type}?{query}");
        // A conditional interaction finds the same, whatever the order.
        let criteria = parse_criteria(resource_type, &pairs(query)).unwrap().unwrap();
        assert_eq!(
            session.find(resource_type, &criteria, 10).await.unwrap().len(),
            expected.len(),
            "{query}"
        );
        // So does a Subscription, in memory.
        let all = session.all(resource_type).await.unwrap();
        let mut matched: Vec<Uuid> = all
            .iter()
            .filter(|stored| {
                let resource = fhir::parse(&stored.content, Format::Json).unwrap();
                fhir::search::matches(&criteria, &resource)
            })
            .map(|stored| stored.id)
            .collect();
        let mut expected = expected.clone();
        matched.sort();
        expected.sort();
        assert_eq!(matched, expected, "in memory: {resource_type}?{query}");
    }

    // Pages: the total is that of all of them; a page beyond the end is empty and still has it.
    assert_eq!(search(&session, "Task", "_sort=_lastUpdated&_count=2&_page=2").await, (3, vec![draft]));
    assert_eq!(search(&session, "Task", "_count=2&_page=3").await, (3, vec![]));
    assert_eq!(search(&session, "Task", "status=requested&_count=0").await, (2, vec![]));

    let identified =
        session.find_by_identifier("Organization", ORGANIZATION_SYSTEM, "b.test", 2).await.unwrap();
    assert_eq!(identified, [other]);
}

#[tokio::test]
async fn rights_and_includes() {
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool(MIGRATIONS).await);
    let session = store.session().await.unwrap();
    let own = create(&session, &organization("a.test", None), START, &["ALL"]).await;
    let hidden = create(&session, &organization("c.test", None), START, &["LOCAL"]).await;
    let first = create(&session, &endpoint("fhir.a.test", own), START, &["ALL"]).await;
    let second = create(&session, &endpoint("second.a.test", own), START, &["ALL"]).await;
    let secret =
        create(&session, &endpoint("secret.a.test", own), START, &["LOCAL", "ORGANIZATION|d.test"]).await;
    let orphan = create(&session, &endpoint("fhir.c.test", hidden), START, &["ALL"]).await;

    let remote = |name: &str| AccessFilter::Tags(vec!["ALL".to_owned(), format!("ORGANIZATION|{name}")]);
    let local = AccessFilter::Tags(vec!["ALL".to_owned(), "LOCAL".to_owned()]);
    for (filter, total) in [
        (&AccessFilter::Everything, 4),
        (&local, 4),
        (&remote("d.test"), 4),
        (&remote("b.test"), 3),
        (&AccessFilter::Nothing, 0),
    ] {
        assert_eq!(filtered(&session, "Endpoint", "status=active", filter).await.0, total, "{filter:?}");
        let counted = filtered(&session, "Endpoint", "status=active&_count=0", filter).await;
        assert_eq!(counted, (total, vec![]), "{filter:?}");
        let page = filtered(&session, "Endpoint", "status=active&_count=1", filter).await;
        assert_eq!((page.0, page.1.len() as u64), (total, total.min(1)), "{filter:?}");
    }

    // `:identifier` also looks at the resource a literal reference points to.
    let by_organization = "organization:identifier=http://dsf.dev/sid/organization-identifier|a.test";
    assert_eq!(search(&session, "Endpoint", by_organization).await.0, 3);
    assert_eq!(search(&session, "Endpoint", "organization:identifier=c.test").await, (1, vec![orphan]));
    assert_eq!(search(&session, "Endpoint", "organization:identifier=http://other|c.test").await.0, 0);

    // Includes obey the caller's rights and repeat nothing.
    let include = search_of("Endpoint").unwrap().includes[0];
    let ids = [first, second, secret, orphan];
    let included = session.included(&include, &ids, |_| remote("b.test")).await.unwrap();
    assert_eq!(
        included.iter().map(|(ty, found)| (*ty, found.id)).collect::<Vec<_>>(),
        [("Organization", own)]
    );
    assert_eq!(session.included(&include, &ids, |_| local.clone()).await.unwrap().len(), 2);
    let reverse = search_of("Organization").unwrap().rev_includes[0];
    let referring = session.referring(&reverse, "Organization", &[own], remote("b.test")).await.unwrap();
    let mut referring: Vec<Uuid> = referring.iter().map(|found| found.id).collect();
    let mut expected = vec![first, second];
    referring.sort();
    expected.sort();
    assert_eq!(referring, expected, "an Organization with several Endpoints gets them all");

    // A Binary is readable as its security context is, and follows it.
    let json = r#"{"resourceType":"Binary","contentType":"text/plain","data":"YQ=="}"#;
    let mut binary = version(json, Uuid::new_v4(), 1, START, &[]);
    binary.context = Some((hidden, None));
    session.write(&binary).await.unwrap();
    assert_eq!(filtered(&session, "Binary", "", &remote("b.test")).await.0, 0);
    assert_eq!(filtered(&session, "Binary", "contentType=text/plain", &local).await.0, 1);
    session.write(&version(&organization("c.test", None), hidden, 2, START + 1, &["ALL"])).await.unwrap();
    assert_eq!(filtered(&session, "Binary", "", &remote("b.test")).await.0, 1);
    assert_eq!(session.read("Binary", binary.id).await.unwrap().unwrap().read_tags, ["ALL"]);
}

/// Whatever a client sends fits the index, and is found again.
#[tokio::test]
async fn long_values() {
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool(MIGRATIONS).await);
    let session = store.session().await.unwrap();
    // Incompressible and multi-byte: a compressible value would fit by luck.
    let noise: String = (0..45).map(|_| Uuid::new_v4().to_string()).collect::<Vec<_>>().join("ü");
    let long = format!(
        r#"{{"resourceType":"Organization","active":true,"name":"{noise}",
        "identifier":[{{"system":"http://{noise}","value":"{noise}"}}]}}"#
    );
    let mut new = version(&long, Uuid::new_v4(), 1, START, &["ALL"]);
    new.keys_added = vec![format!("Organization.identifier|{noise}")];
    session.write(&new).await.unwrap();
    let mut same = new.clone();
    same.id = Uuid::new_v4();
    assert!(matches!(session.write(&same).await, Err(WriteError::Duplicate)), "long keys are unique, too");
    for query in [
        format!("identifier={noise}"),
        format!("identifier=http://{noise}|{noise}"),
        format!("name:exact={noise}"),
    ] {
        assert_eq!(search(&session, "Organization", &query).await.1, [new.id]);
    }
    let wrong = format!("identifier={}x", &noise[..noise.len() - 1]);
    assert_eq!(search(&session, "Organization", &wrong).await.1, [] as [Uuid; 0]);
}

#[tokio::test]
async fn outbox() {
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool(MIGRATIONS).await);
    let mut session = store.session().await.unwrap();
    let announced = |subject: &str| {
        let mut new = version(&task("requested", "b.test"), Uuid::new_v4(), 1, START, &[]);
        new.events = vec![NewEvent {
            subject: subject.to_owned(),
            payload: vec![1],
            traceparent: Some("00-1-2-01".into()),
        }];
        new
    };
    // What is rolled back, lost or refused is never published.
    let transaction = session.begin().await.unwrap();
    transaction.write(&announced("rolled-back")).await.unwrap();
    drop(transaction);
    let mut lost = announced("lost");
    lost.version = 2;
    assert!(matches!(session.write(&lost).await, Err(WriteError::Changed)));
    assert_eq!(store.outbox_size().await.unwrap(), 0);

    for subject in ["one", "two", "three"] {
        session.write(&announced(subject)).await.unwrap();
    }
    // While one replica publishes, another gets other rows and does not wait.
    let outcome = relay_batch(&store, 2, async |rows| {
        let subjects: Vec<&str> = rows.iter().map(|row| row.subject.as_str()).collect();
        assert_eq!(subjects, ["one", "two"], "in the order of writing");
        assert_eq!(rows[0].traceparent.as_deref(), Some("00-1-2-01"));
        let others = relay_batch(&store, 10, async |others| {
            assert_eq!(others.len(), 1, "rows of another replica are left out");
            // Not acknowledged: stays.
            Vec::new()
        })
        .await;
        assert_eq!(others.unwrap(), (1, 0));
        vec![rows[1].seq]
    })
    .await;
    assert_eq!(outcome.unwrap(), (2, 1));
    let rest = relay_batch(&store, 10, async |rows| {
        let subjects: Vec<&str> = rows.iter().map(|row| row.subject.as_str()).collect();
        assert_eq!(subjects, ["one", "three"], "what was not acknowledged comes again");
        rows.iter().map(|row| row.seq).collect()
    })
    .await;
    assert_eq!(rest.unwrap(), (2, 2));
    assert_eq!(store.outbox_size().await.unwrap(), 0);
}

/// Writers of types that caches are built from are heard by all replicas, others are not.
#[tokio::test]
async fn caches_hear_of_changes() {
    let cluster = Cluster::start().await;
    let pool = cluster.pool(MIGRATIONS).await;
    let mut notifications = database::listen(&pool, &[fhir_gateway::store::CHANGED]);
    assert_eq!(notifications.recv().await, Some(database::Notification::Listening));
    let session = Store::new(pool).session().await.unwrap();
    create(&session, &task("requested", "b.test"), START, &[]).await;
    let id = create(&session, &organization("a.test", None), START, &["ALL"]).await;
    session.delete("Organization", id, START + 1).await.unwrap();
    for _ in 0..2 {
        let expected = database::Notification::Notified {
            channel: fhir_gateway::store::CHANGED.to_owned(),
            payload: "Organization".to_owned(),
        };
        assert_eq!(notifications.recv().await, Some(expected));
    }
}

/// A step of the schema may take longer than any statement of a request.
#[tokio::test]
async fn steps_of_the_schema_have_no_time_limit() {
    const LIMITED: &str = "DO $$ BEGIN ASSERT current_setting('statement_timeout') = '0', 'a limit'; END $$";
    let cluster = Cluster::start().await;
    let step = database::Migration { version: 1, name: "looks at its time limit", sql: LIMITED };
    let pool = cluster.pool_of(1, &[step]).await;
    // The same connection, afterwards.
    let client = pool.get().await.unwrap();
    let limit: String = client.query_one("SHOW statement_timeout", &[]).await.unwrap().get(0);
    assert_ne!(limit, "0");
}
