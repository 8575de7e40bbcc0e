//! A whole record linkage between two sites and its canaries: persons, consent, filters, medical data,
//! matching, pseudonyms. Afterwards nothing personal and no key is anywhere but in the table of persons:
//! not in logs, audit records, traces, metrics, streams or databases.
use std::{path::Path, time::Duration};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use end_to_end::{stand_with, wait_for};
use messaging::{
    hospital::{CountReply, DataRequest, DecideReply, DecideRequest, IdsReply, Query},
    linkage::{Encoded, Matcher, RunSite, StartRequest},
    subject,
};
use rbf_worker::client::{Client, Records};
use stand::{
    Collector,
    hospital::{Hospital, Patient, Service, canaries, files, patients},
    replica::insist,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// The keys of the request; their bytes and texts are canaries too.
const KEYS: &[u8; 72] = b"Canary-Seed-Canary-Key-Of-Hmac-Sha-2-OneCanary-Key-Of-Hmac-Sha-3-Two-Cnr";
const AQL: &str = "SELECT COUNT(e) FROM EHR e CONTAINS COMPOSITION c WHERE c/x = 1";

/// What a site sends to the third party.
struct Site {
    organization: String,
    filters: Vec<String>,
    ids: Vec<String>,
}

struct Sites(Vec<Site>);

impl Records for Sites {
    fn piece(&self, site: u32, from: u64) -> (Vec<String>, Vec<String>) {
        let (site, from) = (&self.0[site as usize], from as usize);
        let to = site.filters.len().min(from + 500);
        (site.filters[from..to].to_vec(), site.ids[from..to].to_vec())
    }
}

/// Query, consent, filters: the part of a data site.
async fn data_site(hospital: &Hospital, organization: &str, patients: &[Patient]) -> Result<Site> {
    let nats = hospital.worker().await?;
    let request = |offset| DataRequest {
        request_id: "linkage".to_owned(),
        query: Query::Aql(AQL.to_owned()),
        parameters: Default::default(),
        consented: None,
        offset,
        limit: None,
    };
    let (mut ids, mut offset) = (Vec::new(), Some(0));
    while let Some(from) = offset {
        let page: IdsReply = insist(&nats, subject::MDAT_IDS, &request(from)).await?;
        ids.extend(page.ids);
        offset = page.next;
    }
    ensure!(ids.len() == patients.len(), "{} ids", ids.len());
    let question = DecideRequest {
        request_id: "linkage".to_owned(),
        subject: organization.to_owned(),
        purpose: "data-sharing+record-linkage".to_owned(),
        project: Some("study".to_owned()),
        records: ids,
    };
    let decided: DecideReply = insist(&nats, subject::PDP_DECIDE, &question).await?;
    let kept: Vec<String> =
        patients.iter().filter(|person| person.consented).map(|person| person.id.clone()).collect();
    ensure!(decided.kept == kept, "who consented is kept, nobody else");
    // Both ways to apply consent count the same.
    let restricted = DataRequest { consented: Some(kept.clone()), ..request(0) };
    let counted: CountReply = insist(&nats, subject::MDAT_COUNT, &restricted).await?;
    ensure!(counted.count == kept.len() as u64, "{counted:?}");

    let client = Client::new(nats, PATIENCE);
    let mut filters = Vec::new();
    for (piece, ids) in kept.chunks(200).enumerate() {
        let request_id = format!("{organization}-{piece}");
        let reply = client.encode(&request_id, "highmed-stub-1", KEYS, ids.to_vec()).await?;
        for encoded in reply.encoded {
            let Encoded::Filter(filter, _) = encoded else { bail!("no filter: {encoded:?}") };
            filters.push(filter);
        }
    }
    let ids = (0..filters.len()).map(|at| format!("encrypted-{organization}-{at}")).collect();
    Ok(Site { organization: organization.to_owned(), filters, ids })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linkage_leaves_nothing_personal_behind() -> Result<()> {
    let collector = Collector::start().await?;
    let mut environment = collector.environment(300);
    // Everything that our own code says.
    let own = ["adapter", "hospital", "linkage", "messaging", "mpi_adapter", "pdp_adapter", "mdat_adapter"];
    let level: Vec<String> = own.iter().chain(&["rbf_worker"]).map(|name| format!("{name}=trace")).collect();
    environment.push(("RUST_LOG".to_owned(), format!("info,{}", level.join(","))));
    let stand = stand_with(2, 1, false, environment.clone()).await?;
    // Half of the persons are at both sites.
    let persons = [patients(0..300), patients(150..450)];
    let mut hospitals = Vec::new();
    for (site, persons) in persons.iter().enumerate() {
        hospitals.push(stand.hospital(site, persons, 2, &environment).await?);
    }
    let mut sites = Vec::new();
    for ((hospital, persons), site) in hospitals.iter().zip(&persons).zip(&stand.sites) {
        sites.push(data_site(hospital, &site.organization, persons).await?);
    }
    // The first site is the third party as well.
    let sites = Sites(sites);
    let start = StartRequest {
        request_id: "linkage".to_owned(),
        profile: "highmed-stub-1".to_owned(),
        sites: sites
            .0
            .iter()
            .map(|site| RunSite {
                organization: site.organization.clone(),
                records: site.filters.len() as u64,
                header: None,
            })
            .collect(),
        matcher: Matcher::SiteUnique { threshold: 0.95, blocking: None },
        study: Some("study".to_owned()),
    };
    let client = Client::new(hospitals[0].worker().await?, PATIENCE);
    let (summary, groups) = client.link(&start, &sites, |_| true).await?;
    // 240 of 300 consented at each site; 120 of the 150 common ones.
    assert_eq!((summary.groups, groups.len()), (360, 360));
    assert_eq!(groups.iter().filter(|group| group.records.len() == 2).count(), 120);
    // One of each service dies: what comes after is answered.
    for service in stand::hospital::SERVICES {
        hospitals[0].kill(service, 0).await;
    }
    let again = data_site(&hospitals[0], &stand.sites[0].organization, &persons[0]).await?;
    assert_eq!(again.filters, sites.0[0].filters, "the same filters from the other replicas");
    // Errors must not tell anything either: an index without its table.
    stand.postgres.execute("site_a_mpi", "ALTER TABLE identifier RENAME TO gone").await?;
    let away = client.encode("away", "de-1", KEYS, vec![persons[0][0].id.clone()]).await?;
    assert!(matches!(away.encoded[..], [Encoded::Unavailable(_)]), "{:?}", away.encoded);

    let figures = wait_for("figures of all services", || async {
        let figures = collector.figures()?;
        let there = stand::hospital::SERVICES.iter().all(|service| {
            figures.keys().any(|(sender, name)| sender.service == service.name() && name.starts_with("dsf."))
        });
        Ok(there.then_some(figures))
    })
    .await?;
    for (service, name) in [
        (Service::PatientIndex, "dsf.hospital.requests"),
        (Service::PatientIndex, "dsf.hospital.places"),
        (Service::Consent, "dsf.hospital.consent.dropped"),
        (Service::MedicalData, "dsf.hospital.rows"),
        (Service::Consent, "dsf.hospital.requests"),
        (Service::MedicalData, "dsf.hospital.requests"),
        (Service::Linkage, "dsf.linkage.encoded"),
    ] {
        let known = figures.iter().any(|((sender, figure), value)| {
            sender.service == service.name() && figure == name && *value > 0.0
        });
        assert!(known, "{} reports {name}: {figures:?}", service.name());
    }
    let folders: Vec<_> = hospitals.iter().map(|hospital| hospital.folder.clone()).collect();
    for hospital in hospitals {
        hospital.stop().await;
    }
    let scan = Scan::new(&persons, &folders)?;
    let mut seen = 0;
    for (path, body) in collector.raw() {
        scan.look(&format!("telemetry {path}"), &body)?;
        seen += usize::from(path == "/v1/traces");
    }
    ensure!(seen > 0, "traces arrived");
    // Logs, audit records, the store of NATS, and the write-ahead log and tables of PostgreSQL but for
    // those of the table of persons, whose pages lie in its own database and in the log of the server.
    let own: Vec<String> =
        vec!["persons.csv".into(), "rbf.key".into(), "study.secrets".into(), "organization.secret".into()];
    let looked_at = files(&stand.folder, &|path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        own.contains(&name.to_string()) || path.ends_with("postgres")
    })?;
    let named = |part: &str| looked_at.iter().filter(|path| path.to_string_lossy().contains(part)).count();
    ensure!(named(".log") >= 12 && named("audit.ndjson") >= 8 && named("nats") > 0, "{looked_at:?}");
    for path in &looked_at {
        scan.look(&path.display().to_string(), &std::fs::read(path).unwrap_or_default())?;
    }
    for site in &stand.sites {
        for database in
            [stand::postgres::fhir_database(&site.name), stand::postgres::engine_database(&site.name)]
        {
            scan.look(&format!("database {database}"), &dump(&stand.postgres, &database).await?)?;
        }
    }
    // The scan finds what is there.
    let table = std::fs::read(folders[0].join("persons.csv"))?;
    ensure!(scan.look("the table", &table).is_err(), "the scan is blind");
    ensure!(scan.look("keys", KEYS).is_err(), "the scan is blind for keys");
    Ok(())
}

/// Every row of every table as text.
async fn dump(postgres: &stand::Postgres, database: &str) -> Result<Vec<u8>> {
    let client = postgres.client(database).await?;
    let tables = client
        .query("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')", &[])
        .await?;
    let mut text = Vec::new();
    for table in &tables {
        let table: String = table.get(0);
        for row in client.query(&format!("SELECT t::text FROM {table} t"), &[]).await? {
            text.extend_from_slice(row.get::<_, String>(0).as_bytes());
            text.push(b'\n');
        }
    }
    ensure!(!tables.is_empty(), "{database} has tables");
    Ok(text)
}

/// Looks for canaries, all at once.
struct Scan {
    words: Vec<Vec<u8>>,
    search: AhoCorasick,
}

impl Scan {
    fn new(persons: &[Vec<Patient>], folders: &[std::path::PathBuf]) -> Result<Self> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        for persons in persons {
            // Dates and streets are of one person each; names that many share are looked for as a whole.
            words.extend(canaries(persons).map(|text| text.as_bytes().to_vec()));
        }
        let mut secrets = vec![KEYS.to_vec(), KEYS[8..40].to_vec(), KEYS[40..].to_vec()];
        for folder in folders {
            let read = |name: &str| std::fs::read_to_string(folder.join(name)).context(name.to_owned());
            secrets.push(STANDARD.decode(read("rbf.key")?.trim())?);
            secrets.push(STANDARD.decode(read("organization.secret")?.trim())?);
            let study = read("study.secrets")?;
            secrets.push(STANDARD.decode(study.trim().split_once('=').context("id")?.1)?);
        }
        for secret in secrets {
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            // Base64 without its end, which depends on what follows.
            let base64 = STANDARD.encode(&secret);
            words.push(base64.as_bytes()[..base64.len().saturating_sub(4)].to_vec());
            words.extend([hex.into_bytes(), secret]);
        }
        words.sort();
        words.dedup();
        Ok(Self { search: AhoCorasick::new(&words)?, words })
    }

    fn look(&self, place: &str, bytes: &[u8]) -> Result<()> {
        if let Some(found) = self.search.find(bytes) {
            bail!("{place} holds {}", String::from_utf8_lossy(&self.words[found.pattern().as_usize()]));
        }
        Ok(())
    }
}
