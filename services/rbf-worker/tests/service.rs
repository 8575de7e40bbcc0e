//! The worker over NATS, with a table of persons behind the mpi-adapter: filters, runs, pseudonyms,
//! steps; two replicas, one of which is killed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use linkage::{
    clk::{Encoder, Folds, Schema},
    encode::FilterEncoder,
    idat::{BirthDate, Idat},
    profile::WireProfile,
    rbf::BloomFilterConfig,
    result_set::ResultSet,
};
use messaging::{
    connect::{Nats, NatsConfig, RequestError},
    health::Health,
    linkage::*,
    permissions::User,
    recipient::{Context, Recipient, generate},
    subject,
};
use rbf_worker::client::{Client, Error, Records};
use stand::{NatsServer, Postgres, ServiceProcess, Tools, replica};

const CSV: &str = "id,last,first,birth,sex,street,zip,city,country,insurance\n\
    1,Grünwald-Özdemir,Liselotte,1980-03-07,F,Lindenstraße 12a,37073,Göttingen,DE,K123456789\n\
    2,Canary,Carl,1947-11-30,M,,,,,\n\
    twice,Same,One,,,,,,,\ntwice,Same,Two,,,,,,,\n";
const SCHEMA: &str = r#"{"version": 3,
    "clkConfig": {"l": 512, "kdf": {"type": "HKDF", "hash": "SHA256"}},
    "features": [
      {"identifier": "last", "format": {"type": "string", "encoding": "utf-8"},
       "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 100}}},
      {"identifier": "birth", "format": {"type": "date", "format": "%Y-%m-%d"},
       "hashing": {"comparison": {"type": "exact"}, "strategy": {"bitsPerToken": 20},
                   "missingValue": {"sentinel": "-"}}}]}"#;
const KEYS: [u8; 72] = [7; 72];
const PATIENCE: Duration = Duration::from_secs(40);

fn first_person() -> Idat {
    Idat {
        first_name: Some("Liselotte".into()),
        last_name: Some("Grünwald-Özdemir".into()),
        birth_name: None,
        birthday: BirthDate::parse("1980-03-07"),
        sex: Some("F".into()),
        street: Some("Lindenstraße 12a".into()),
        zip_code: Some("37073".into()),
        city: Some("Göttingen".into()),
        country: Some("DE".into()),
        insurance_number: Some("K123456789".into()),
    }
}

/// NATS, PostgreSQL, an mpi-adapter in this process, and what workers are told.
struct Hospital {
    folder: PathBuf,
    nats: NatsServer,
    postgres: Postgres,
    adapter: tokio::task::JoinHandle<Result<(), mpi_adapter::Error>>,
    settings: Vec<(&'static str, String)>,
}

impl Hospital {
    async fn start(name: &str) -> Self {
        let tools = Tools::find().expect("PostgreSQL and nats-server");
        let folder = std::env::temp_dir().join(format!("dsf-rbf-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let postgres = Postgres::start(&tools, &folder.join("postgres")).await.expect("PostgreSQL");
        postgres.execute("postgres", "CREATE DATABASE mpi").await.expect("a database");
        let nats =
            NatsServer::start(&tools, &folder.join("nats"), &["alpha".to_owned()]).await.expect("NATS");
        let file = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).expect(name);
            folder.join(name).display().to_string()
        };
        let (public, private) = generate().expect("keys");
        let (user, password) = nats.credentials("alpha", User::PatientIndex);
        let adapter = [
            ("SITE", "alpha".to_owned()),
            ("BACKEND", "table".to_owned()),
            ("RECIPIENTS", format!("rbf={public}")),
            ("DATABASE_URL", postgres.url("mpi")),
            ("TABLE_CSV", file("persons.csv", CSV)),
            ("NATS_URLS", nats.url()),
            ("NATS_USER", user),
            ("NATS_PASSWORD", password),
            ("READY_FILE", folder.join("mpi.ready").display().to_string()),
        ];
        let adapter = adapter.map(|(name, value)| (format!("{}_{name}", mpi_adapter::PREFIX), value));
        let adapter = config::load_from(mpi_adapter::PREFIX, None, adapter).expect("settings");
        let adapter = tokio::spawn(mpi_adapter::run(adapter, std::future::pending::<()>()));
        let started = std::time::Instant::now();
        while !folder.join("mpi.ready").exists() {
            assert!(started.elapsed() < PATIENCE, "the adapter is ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (user, password) = nats.credentials("alpha", User::Linkage);
        let secret = |byte: u8| STANDARD.encode([byte; 32]);
        let settings = vec![
            ("SITE", "alpha".to_owned()),
            ("ORGANIZATION", "alpha.test".to_owned()),
            ("PRIVATE_KEY", private.to_string()),
            ("PUBLIC_KEY", public),
            ("ORGANIZATION_SECRET", secret(1)),
            ("STUDY_SECRETS", format!("old={},new={}", secret(2), secret(3))),
            ("CLK_SCHEMAS", format!("clk-test-1={}", file("schema.json", SCHEMA))),
            ("MPI_TIMEOUT", "5s".to_owned()),
            ("AUDIT_FILE", folder.join("audit.ndjson").display().to_string()),
            ("NATS_URLS", nats.url()),
            ("NATS_USER", user),
            ("NATS_PASSWORD", password),
        ];
        Self { folder, nats, postgres, adapter, settings }
    }

    fn spawn(&self, name: &str) -> ServiceProcess {
        let program = Path::new(env!("CARGO_BIN_EXE_rbf-worker"));
        replica::spawn(program, rbf_worker::PREFIX, &self.settings, &self.folder, name).expect("a worker")
    }

    async fn worker(&self, name: &str) -> ServiceProcess {
        let mut process = self.spawn(name);
        replica::ready(&mut process, &self.folder, name).await.expect("a worker");
        process
    }

    async fn connect(&self, user: User) -> Nats {
        let (login, password) = self.nats.credentials("alpha", user);
        let config =
            NatsConfig { urls: vec![self.nats.url()], user: Some(login), password: Some(password), ca: None };
        Nats::connect(&config, "test").await
    }

    async fn stop(mut self) {
        self.adapter.abort();
        self.nats.stop().await;
        self.postgres.stop().await;
        std::fs::remove_dir_all(&self.folder).expect("clean");
    }
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Filters of a run, in pieces of 100.
struct Filters(Vec<Vec<String>>);

impl Records for Filters {
    fn piece(&self, site: u32, from: u64) -> (Vec<String>, Vec<String>) {
        let (from, all) = (from as usize, &self.0[site as usize]);
        let range = from..all.len().min(from + 100);
        (all[range.clone()].to_vec(), range.map(|at| format!("id-{site}-{at}")).collect())
    }
}

/// `count` persons at each of two sites, of whom every second is at both.
fn two_sites(count: usize) -> Filters {
    let config = BloomFilterConfig::from_bytes(&KEYS).unwrap();
    let mut encoder = FilterEncoder::wire(WireProfile::Stub1, &config).unwrap();
    let mut filter = |site: usize, at: usize| {
        let number = if at.is_multiple_of(2) { at } else { at + (site + 1) * 1_000_000 };
        let mut person = first_person();
        // Spread over all digits, so that different persons look different.
        let hash = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        person.last_name = Some(format!("{hash:x}").as_str().into());
        person.first_name = Some(format!("{:x}", hash.rotate_left(17)).as_str().into());
        person.street = Some(format!("{:x}", hash.wrapping_mul(31)).as_str().into());
        person.city = Some(format!("{:x}", hash.wrapping_mul(77)).as_str().into());
        person.insurance_number = Some(format!("{:x}", hash.wrapping_mul(1001)).as_str().into());
        encoder.encode(&person).0.to_rbf_text()
    };
    Filters((0..2).map(|site| (0..count).map(|at| filter(site, at)).collect()).collect())
}

fn start(id: &str, filters: &Filters, matcher: Matcher, study: Option<&str>) -> StartRequest {
    let site = |(at, all): (usize, &Vec<String>)| RunSite {
        organization: format!("site-{at}.test"),
        records: all.len() as u64,
        header: None,
    };
    StartRequest {
        request_id: id.to_owned(),
        profile: "highmed-stub-1".to_owned(),
        sites: filters.0.iter().enumerate().map(site).collect(),
        matcher,
        study: study.map(str::to_owned),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_those_of_the_persons_and_only_sealed_keys_are_taken() {
    let hospital = Hospital::start("filters").await;
    let worker = hospital.worker("one").await;
    let nats = hospital.connect(User::Worker).await;
    let client = Client::new(nats.clone(), PATIENCE);
    let person = first_person();

    let asked = ids(&["1", "nobody", "twice", "2"]);
    let reply = client.encode("r1", "highmed-stub-1", &KEYS, asked.clone()).await.expect("filters");
    let config = BloomFilterConfig::from_bytes(&KEYS).unwrap();
    let mut wire = FilterEncoder::wire(WireProfile::Stub1, &config).unwrap();
    let (filter, presence) = wire.encode(&person);
    assert_eq!(reply.encoded[0], Encoded::Filter(filter.to_rbf_text(), presence.0));
    assert_eq!(reply.encoded[1..3], [Encoded::NotFound, Encoded::Ambiguous]);
    assert!(matches!(reply.encoded[3], Encoded::Filter(_, 0b1111)), "{:?}", reply.encoded[3]);
    assert_eq!(reply.header.bits, 3000);

    let reply = client.encode("r2", "de-1", &KEYS, asked.clone()).await.expect("filters");
    let (filter, presence) = FilterEncoder::german(&KEYS).unwrap().encode(&person);
    assert_eq!(reply.encoded[0], Encoded::Filter(filter.to_rbf_text(), presence.0));
    // Again, with the encoder that was kept.
    let again = client.encode("r3", "de-1", &KEYS, asked.clone()).await.expect("filters");
    assert_eq!(again, reply);
    let other = client.encode("r4", "de-1", &[8; 72], asked.clone()).await.expect("filters");
    assert!(other.encoded[0] != reply.encoded[0] && other.header.key_check != reply.header.key_check);

    let reply = client.encode("r5", "clk-test-1", b"secret", asked).await.expect("filters");
    let clk = Encoder::new(Schema::parse(SCHEMA, Folds::Strict).unwrap(), b"secret").unwrap();
    let filter = clk.encode(&["Grünwald-Özdemir", "1980-03-07"]).unwrap();
    assert_eq!(reply.encoded[0], Encoded::Filter(filter.to_clk_text(), 0b11));

    // What cannot be done is said, and never half done.
    for (profile, keys, text) in [
        ("de-2", &KEYS[..], "profile de-2 is not known here"),
        ("highmed-stub-1", &KEYS[1..], "72 bytes, this one has 71"),
    ] {
        let refused = client.encode("r6", profile, keys, ids(&["1"])).await;
        assert!(refused.as_ref().is_err_and(|error| error.to_string().contains(text)), "{refused:?}");
    }
    let to: RecipientReply = client.ask(subject::RBF_RECIPIENT, &()).await.expect("a key");
    let context = Context { site: &to.site, request_id: "r7", profile: KEYS_CONTEXT };
    let keys = Recipient::new(&to.public_key).unwrap().seal(context, &KEYS).unwrap();
    let moved = EncodeRequest {
        request_id: "r8".into(),
        profile: "de-1".into(),
        keys,
        persons: Persons::Ids(ids(&["1"])),
    };
    let refused = nats.ask::<_, EncodeReply>(subject::RBF_ENCODE, &moved, PATIENCE).await;
    assert!(matches!(refused, Err(RequestError::Invalid(_))), "keys of another request: {refused:?}");

    // Others have no right to ask, or to listen.
    let stranger = hospital.connect(User::Consent).await;
    let refused = stranger.ask::<_, EncodeReply>(subject::RBF_ENCODE, &moved, Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(RequestError::Unavailable { .. })), "{refused:?}");
    // An index that does not answer is not one that knows nobody.
    hospital.postgres.execute("mpi", "DROP TABLE identifier").await.expect("an outage");
    let reply = client.encode("r9", "de-1", &KEYS, ids(&["1", "nobody"])).await.expect("an answer");
    assert!(reply.encoded.iter().all(|one| matches!(one, Encoded::Unavailable(_))), "{:?}", reply.encoded);
    drop(worker);
    let log = std::fs::read_to_string(hospital.folder.join("one.log")).unwrap();
    assert!(!["Canary", "Liselotte", "1980", "37073"].iter().any(|canary| log.contains(canary)), "{log}");
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_set_goes_through_the_steps_of_a_site() {
    let hospital = Hospital::start("steps").await;
    let _worker = hospital.worker("one").await;
    let client = Client::new(hospital.connect(User::Worker).await, PATIENCE);
    let to: RecipientReply = client.ask(subject::RBF_RECIPIENT, &()).await.expect("a key");
    let seal = |purpose: &str, text: &[u8]| {
        let context = Context { site: &to.site, request_id: "s", profile: purpose };
        Recipient::new(&to.public_key).unwrap().seal(context, text).unwrap()
    };
    let rows = |ids: &[&str]| {
        let rows: Vec<_> = ids.iter().map(|id| serde_json::json!([id, 37.5])).collect();
        serde_json::json!({"meta": {}, "columns": [
            {"name": "EHRID", "path": "/ehr_status/subject/external_ref/id/value"},
            {"name": "temperature", "path": "/x"}], "rows": rows})
        .to_string()
    };
    let ask = async |step: ResultSetStep, result: String| {
        let request = ResultSetRequest { request_id: "s".into(), step, result };
        client.ask::<_, ResultSetReply>(subject::RBF_RESULT_SET, &request).await
    };
    let filters = || FilterStep {
        profile: "highmed-stub-1".into(),
        keys: seal(KEYS_CONTEXT, &KEYS),
        ehr_id_path: None,
    };
    let only = ask(ResultSetStep::FiltersOnly(filters()), rows(&["1", "nobody", "2"])).await.expect("a set");
    assert_eq!((only.dropped, ResultSet::parse(&only.result).unwrap().rows.len()), (1, 2));
    // Data sharing cannot leave anybody out.
    let refused = ask(ResultSetStep::AddFilters(filters()), rows(&["1", "nobody"])).await;
    assert!(matches!(&refused, Err(RequestError::Invalid(text)) if text.contains("row 2")), "{refused:?}");
    let with = ask(ResultSetStep::AddFilters(filters()), rows(&["1", "2"])).await.expect("a set");
    let data_key = || seal(DATA_KEY_CONTEXT, &[9; 32]);
    let step = ResultSetStep::EncryptForThirdParty {
        study: "study".into(),
        ehr_id_path: None,
        data_key: data_key(),
    };
    let sealed = ask(step, with.result).await.expect("a set");
    let names: Vec<String> =
        ResultSet::parse(&sealed.result).unwrap().columns.into_iter().map(|column| column.name).collect();
    assert_eq!(names, ["temperature", "RBF", "MEDICID"]);
    assert!(!sealed.result.contains("37.5"));
    // Back at the requesting site, with a pseudonym in place of filter and id.
    let mut set = ResultSet::parse(&sealed.result).unwrap();
    set.columns = vec![
        set.columns[0].clone(),
        linkage::result_set::Column { name: "PSN".into(), path: "/psn/value".into() },
    ];
    set.rows.iter_mut().for_each(|row| row.truncate(2));
    let plain = ask(ResultSetStep::Decrypt { study: "study".into(), data_key: data_key() }, set.to_json());
    assert!(plain.await.expect("a set").result.contains("37.5"));
    let other = ResultSetStep::Decrypt { study: "other".into(), data_key: data_key() };
    assert!(ask(other, set.to_json()).await.is_err(), "another study");
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_give_groups_and_pseudonyms_and_can_be_cancelled() {
    let hospital = Hospital::start("runs").await;
    let worker = hospital.worker("one").await;
    let client = Client::new(hospital.connect(User::Worker).await, PATIENCE);
    let filters = two_sites(300);
    let unique = Matcher::SiteUnique { threshold: 0.95, blocking: None };
    let begin = start("u", &filters, unique, Some("study"));
    let (summary, groups) = client.link(&begin, &filters, |_| true).await.expect("groups");
    assert_eq!((summary.sites, summary.groups, groups.len()), (2, 450, 450));
    let pairs = groups.iter().filter(|group| group.records.len() == 2);
    assert!(pairs.clone().all(|group| group.records[0].1 == group.records[1].1), "the same person");
    assert_eq!(pairs.count(), 150);
    let texts: Vec<String> = groups.iter().filter_map(|group| group.pseudonym.clone()).collect();
    assert_eq!(texts.len(), 450);
    assert!(texts.iter().all(|text| text.len() == texts[0].len()), "lengths tell nothing");
    let open = |study: &str| OpenRequest {
        request_id: "o".into(),
        study: study.to_owned(),
        pseudonyms: texts[..10].to_vec(),
    };
    let opened: OpenReply = client.ask(subject::RBF_OPEN, &open("study")).await.expect("ids");
    for (opened, group) in opened.opened.iter().zip(&groups) {
        let expected: Vec<_> = group
            .records
            .iter()
            .map(|(site, at)| OpenedId {
                organization: format!("site-{site}.test"),
                id: Some(format!("id-{site}-{at}")),
            })
            .collect();
        assert_eq!(opened.as_ref(), Some(&expected));
    }
    let other: OpenReply = client.ask(subject::RBF_OPEN, &open("other")).await.expect("an answer");
    assert!(other.opened.iter().all(Option::is_none), "pseudonyms of another study stay closed");
    let audit = std::fs::read_to_string(hospital.folder.join("audit.ndjson")).unwrap();
    let opened = audit.lines().filter(|line| line.contains("open-pseudonyms")).count();
    assert_eq!(opened, 2, "opening is audited: {audit}");
    assert!(!texts.iter().any(|text| audit.contains(text)));

    let compatible = start("c", &filters, Matcher::Compatible { threshold: 0.95 }, None);
    let (summary, groups) = client.link(&compatible, &filters, |_| true).await.expect("groups");
    assert_eq!((summary.groups, groups.iter().all(|group| group.pseudonym.is_none())), (450, true));
    let unlinked = start("n", &filters, Matcher::Unlinked, Some("study"));
    assert_eq!(client.link(&unlinked, &filters, |_| true).await.expect("groups").0.groups, 600);

    let cancelled = client.link(&start("x", &filters, unique, None), &filters, |_| false).await;
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
    // A cancelled run is gone: the same request begins another one, empty.
    let again: Started = client.ask(subject::RBF_START, &start("x", &filters, unique, None)).await.unwrap();
    let status = RunRequest { run: again.run, command: RunCommand::Status };
    let status: RunReply = client.ask(&again.subject, &status).await.expect("a state");
    assert_eq!(status, RunReply::Status(RunStatus::Loading(0)));

    // Sets that were made in different ways are never linked.
    let mut mixed = start("m", &filters, unique, None);
    let header = FilterHeader { profile: "de-1".into(), encoding: "x".into(), bits: 1024, key_check: None };
    mixed.sites[1].header = Some(header);
    let refused = client.ask::<_, Started>(subject::RBF_START, &mixed).await;
    assert!(
        matches!(&refused, Err(RequestError::Invalid(text)) if text.contains("agree on one profile")),
        "{refused:?}"
    );
    // Nor is more begun than memory can hold.
    let mut huge = start("h", &filters, unique, None);
    huge.sites[0].records = 100_000_000;
    let refused = client.ask::<_, Started>(subject::RBF_START, &huge).await;
    assert!(matches!(&refused, Err(RequestError::Invalid(text)) if text.contains("MEMORY")), "{refused:?}");
    drop(worker);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work_and_killing_one_loses_nothing() {
    let hospital = Hospital::start("replicas").await;
    let one = hospital.worker("one").await;
    let nats = hospital.connect(User::Worker).await;
    // A short wait for each answer, so that what died with a replica is soon asked again.
    let client = Arc::new(Client::new(nats, PATIENCE));
    let filters = two_sites(2000);
    let begin = start("k", &filters, Matcher::SiteUnique { threshold: 0.95, blocking: None }, None);
    // The run begins at the only replica, which dies with half of the records.
    let mut two = None;
    let (summary, _) = client
        .link(&begin, &filters, |status| {
            if two.is_none() && matches!(status, RunStatus::Loading(loaded) if *loaded >= 2000) {
                two = Some(hospital.spawn("two"));
                one.signal(nix::sys::signal::Signal::SIGKILL);
            }
            true
        })
        .await
        .expect("groups");
    assert_eq!(summary.groups, 3000);
    let two = two.expect("the second replica was started");

    // Both answer.
    let mut one = hospital.worker("one").await;
    let mut subjects = std::collections::BTreeSet::new();
    let started = std::time::Instant::now();
    while subjects.len() < 2 {
        assert!(started.elapsed() < PATIENCE, "both replicas begin runs");
        let begin = start(&format!("s{}", subjects.len()), &two_sites(1), Matcher::Unlinked, None);
        let run: Started = client.ask(subject::RBF_START, &begin).await.expect("a run");
        let end = RunRequest { run: run.run, command: RunCommand::End };
        let _: RunReply = client.ask(&run.subject, &end).await.expect("an end");
        subjects.insert(run.subject);
    }
    // Both tell an operator how they are.
    let operator = hospital.connect(User::Operator).await;
    let health: Vec<Health> =
        operator.ask_all(subject::RBF_HEALTH, &(), Duration::from_secs(1)).await.expect("a connection");
    let names: Vec<&str> = health.iter().map(|health| health.backends[0].name.as_str()).collect();
    assert_eq!(names, ["mpi-adapter", "mpi-adapter"]);
    // Questions go on while one is killed.
    let asked = (0..200).map(|at| {
        let client = Arc::clone(&client);
        async move { client.encode(&format!("e{at}"), "de-1", &KEYS, ids(&["1", "2"])).await }
    });
    let mut answers = Vec::new();
    let all = asked.map(tokio::spawn).collect::<Vec<_>>();
    for (at, answer) in all.into_iter().enumerate() {
        if at == 20 {
            one.signal(nix::sys::signal::Signal::SIGKILL);
        }
        answers.push(answer.await.expect("no panic").expect("an answer").encoded);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.len() == 2));
    one.kill().await;
    drop(two);
    hospital.stop().await;
}
