//! What searches, conditions and reads cost does not depend on how much there is besides: rows and index entries
//! are counted, not time.
use fhir_gateway::store::{AccessFilter, MIGRATIONS, Store};
use uuid::Uuid;

use crate::{
    ORGANIZATION_SYSTEM, START, create, filtered, find, organization, postgres::Cluster, search, task,
    version,
};

/// Rows and index entries that the one connection of a pool has read since the server started.
async fn rows_read(store: &Store) -> i64 {
    let client = store.pool().get().await.unwrap();
    client.execute("SELECT pg_stat_force_next_flush()", &[]).await.unwrap();
    let statement = "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint \
                     + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint";
    client.query_one(statement, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn conditions_and_reads_cost_what_they_find() {
    /// Organizations, and earlier versions of each.
    const MEMBERS: usize = 200;
    const VERSIONS: u64 = 20;
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool_of(1, MIGRATIONS).await);
    let session = store.session().await.unwrap();
    let mut members = Vec::new();
    for member in 0..MEMBERS {
        let json = organization(&format!("member-{member}.test"), None);
        let id = create(&session, &json, START, &[]).await;
        for number in 2..=VERSIONS + 1 {
            session.write(&version(&json, id, number, START, &[])).await.unwrap();
        }
        members.push(id);
    }
    let affiliation = |member: Uuid| {
        format!(
            r#"{{"resourceType":"OrganizationAffiliation","active":true,
            "organization":{{"reference":"Organization/{}"}},
            "participatingOrganization":{{"reference":"Organization/{member}"}}}}"#,
            members[0]
        )
    };
    let wanted = create(&session, &affiliation(members[7]), START, &[]).await;
    drop(session);

    let identifier = |member: usize| format!("{ORGANIZATION_SYSTEM}|member-{member}.test");
    let by_identifier = format!("identifier={}&active=true", identifier(7));
    let by_both = format!(
        "primary-organization:identifier={}&participating-organization:identifier={}",
        identifier(0),
        identifier(7)
    );
    // Not those of all members: with their earlier versions these are thousands.
    let few = 5 * i64::try_from(VERSIONS).unwrap();
    for (resource_type, condition, expected) in
        [("Organization", &by_identifier, members[7]), ("OrganizationAffiliation", &by_both, wanted)]
    {
        let before = rows_read(&store).await;
        let session = store.session().await.unwrap();
        let found = find(&session, resource_type, condition).await;
        assert_eq!(found, [expected], "{resource_type}?{condition}");
        drop(session);
        let read = rows_read(&store).await - before;
        assert!(read < few, "{resource_type}?{condition} has read {read} rows");
    }
    let before = rows_read(&store).await;
    let session = store.session().await.unwrap();
    let organization = session.read("Organization", members[7]).await.unwrap().unwrap();
    assert_eq!(organization.version, VERSIONS + 1);
    drop(session);
    let read = rows_read(&store).await - before;
    assert!(read < few, "one resource, {read} rows");
}

/// Searches by shared values: all, one of several conditions, or of them that nothing fulfils.
#[tokio::test]
async fn broad_searches_cost_what_their_page_costs() {
    const TASKS: i64 = 3_000;
    const STATUS: [&str; 3] = ["requested", "completed", "failed"];
    let cluster = Cluster::start().await;
    let store = Store::new(cluster.pool_of(1, MIGRATIONS).await);
    let mut session = store.session().await.unwrap();
    for name in ["a.test", "b.test"] {
        create(&session, &organization(name, None), START, &["ALL"]).await;
    }
    let transaction = session.begin().await.unwrap();
    let mut newest = Uuid::nil();
    for number in 0..TASKS {
        // Of those from b.test none has failed.
        let status = STATUS[usize::try_from(number % 3).unwrap()];
        let requester = if number % 2 == 0 && status != "failed" { "b.test" } else { "a.test" };
        newest = Uuid::new_v4();
        let tags = ["LOCAL".to_owned(), format!("ORGANIZATION|{requester}")];
        let tags = tags.each_ref().map(String::as_str);
        transaction
            .write(&version(&task(status, requester), newest, 1, START + number, &tags))
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    drop(session);
    store.add_up_buckets().await.unwrap();

    let from = |name: &str| format!("requester:identifier={ORGANIZATION_SYSTEM}|{name}");
    let b = AccessFilter::Tags(vec!["ALL".to_owned(), "ORGANIZATION|b.test".to_owned()]);
    let local = AccessFilter::Tags(vec!["ALL".to_owned(), "LOCAL".to_owned()]);
    // Some times twenty rows of a page, from each bucket; a tenth of what matches would be more.
    let few = 250;
    for (query, filter, total) in [
        (String::new(), &local, TASKS),
        ("_sort=-_lastUpdated".to_owned(), &local, TASKS),
        ("_sort=-_lastUpdated".to_owned(), &b, TASKS / 3),
        ("_sort=_lastUpdated&status=requested".to_owned(), &AccessFilter::Everything, TASKS / 3),
        ("_sort=-_lastUpdated&status=requested,failed".to_owned(), &local, TASKS / 3 * 2),
        ("_sort=-_lastUpdated&status:not=requested".to_owned(), &local, TASKS / 3 * 2),
        (format!("_sort=-_lastUpdated&status=completed&{}", from("b.test")), &local, TASKS / 6),
        (format!("_sort=-_lastUpdated&status=failed&{}", from("b.test")), &local, 0),
        (format!("_sort=_lastUpdated&{}", from("a.test")), &b, 0),
        ("_count=0&status=completed".to_owned(), &local, TASKS / 3),
    ] {
        let before = rows_read(&store).await;
        let session = store.session().await.unwrap();
        let (found, page) = filtered(&session, "Task", &query, filter).await;
        drop(session);
        let read = rows_read(&store).await - before;
        assert_eq!(i64::try_from(found).unwrap(), total, "Task?{query}");
        let expected = if query.contains("_count=0") || total == 0 { 0 } else { 20 };
        assert_eq!(page.len(), expected, "Task?{query}");
        assert!(read < few, "Task?{query} has read {read} rows");
    }

    let session = store.session().await.unwrap();
    let (_, latest) = search(&session, "Task", "_sort=-_lastUpdated&_count=1").await;
    assert_eq!(latest, [newest]);
    drop(session);
    // Conditions that very many fulfil read no more than was asked for.
    let before = rows_read(&store).await;
    let session = store.session().await.unwrap();
    assert_eq!(find(&session, "Task", "status=completed").await.len(), 2);
    drop(session);
    let read = rows_read(&store).await - before;
    assert!(read < few, "a condition has read {read} rows");
}
