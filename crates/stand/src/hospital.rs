//! The hospital systems of a site, and the services that ask them: a table of invented persons, their
//! consents behind FHIR search, an openEHR repository, and the record linkage.
//!
//! Consents and repository are stand-ins of ours: they answer what our adapters ask and are no FHIR or
//! openEHR servers. They live as long as [`Hospital`].
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::Result;
use messaging::{
    connect::{Nats, NatsConfig},
    permissions::User,
    recipient,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    NatsServer, Postgres, ServiceProcess, Stand,
    description::write_private,
    peer::{Act, Peer, Protocol, http},
    replica, site,
};

/// System of the local ids of persons.
pub const PERSON_SYSTEM: &str = "urn:oid:2.999.1.10";
/// Codes of the MII Broad Consent that persons permit: storage, use inside and outside, linkage, and what
/// was recorded before.
const POLICIES: [u32; 5] = [6, 7, 8, 9, 45];
const POLICY_SYSTEM: &str = "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3";
const ID_PATH: &str = "/ehr_status/subject/external_ref/id/value";

/// A service in front of a hospital system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// `mpi-adapter`.
    PatientIndex,
    /// `pdp-adapter`.
    Consent,
    /// `mdat-adapter`.
    MedicalData,
    /// `rbf-worker`.
    Linkage,
}

/// All of them, in the order they are started.
pub const SERVICES: [Service; 4] =
    [Service::PatientIndex, Service::Consent, Service::MedicalData, Service::Linkage];

impl Service {
    /// Name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::PatientIndex => "mpi-adapter",
            Self::Consent => "pdp-adapter",
            Self::MedicalData => "mdat-adapter",
            Self::Linkage => "rbf-worker",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::PatientIndex => "DSF_MPI",
            Self::Consent => "DSF_PDP",
            Self::MedicalData => "DSF_MDAT",
            Self::Linkage => "DSF_RBF",
        }
    }

    fn user(self) -> User {
        match self {
            Self::PatientIndex => User::PatientIndex,
            Self::Consent => User::Consent,
            Self::MedicalData => User::MedicalData,
            Self::Linkage => User::Linkage,
        }
    }
}

/// An invented person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patient {
    /// Local id.
    pub id: String,
    /// Surname, given name, ISO date of birth, `F` or `M`, street, postal code, place, insurance number.
    pub fields: [String; 8],
    /// Whether the person consented to everything.
    pub consented: bool,
}

const LAST: [&str; 12] = [
    "Müller",
    "Schmidt",
    "Grünwald",
    "Özdemir",
    "Nowak",
    "Groß",
    "Weiß",
    "Krüger",
    "Vogt",
    "Albers",
    "Yıldız",
    "Brandt",
];
const FIRST: [(&str, &str); 10] = [
    ("Anna", "F"),
    ("Liselotte", "F"),
    ("Ayşe", "F"),
    ("Jörg", "M"),
    ("Karl", "M"),
    ("Mia", "F"),
    ("Lukas", "M"),
    ("Emre", "M"),
    ("Zoë", "F"),
    ("Günter", "M"),
];
const PLACES: [(&str, &str); 5] = [
    ("37073", "Göttingen"),
    ("69120", "Heidelberg"),
    ("04103", "Leipzig"),
    ("80331", "München"),
    ("10115", "Berlin"),
];

/// Invented persons; persons of equal number are the same at every site. Four of five have consented.
pub fn patients(numbers: impl IntoIterator<Item = u64>) -> Vec<Patient> {
    let person = |number: u64| {
        // Spreads neighbours over all values.
        let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let pick = |bits: u32, of: usize| (mixed.rotate_left(bits) % of as u64) as usize;
        let (first, sex) = FIRST[pick(7, FIRST.len())];
        let (zip, city) = PLACES[pick(13, PLACES.len())];
        let birth = format!("{}-{:02}-{:02}", 1930 + pick(19, 80), 1 + pick(23, 12), 1 + pick(29, 28));
        Patient {
            id: format!("P{number}"),
            fields: [
                format!("{}{}", LAST[pick(3, LAST.len())], number % 97),
                first.to_owned(),
                birth,
                sex.to_owned(),
                format!("Straße {} {}", pick(31, 400), pick(37, 90)),
                zip.to_owned(),
                city.to_owned(),
                String::new(),
            ],
            consented: number % 5 != 4,
        }
    };
    numbers.into_iter().map(person).collect()
}

/// The hospital systems of one site; dropping it ends them.
pub struct Hospital {
    /// Folder with settings, logs and audit records.
    pub folder: PathBuf,
    settings: BTreeMap<Service, Vec<(&'static str, String)>>,
    processes: BTreeMap<(Service, usize), ServiceProcess>,
    environment: Vec<(String, String)>,
    worker: NatsConfig,
    _consents: Peer,
    _repository: Peer,
}

impl Stand {
    /// Starts the hospital systems of a site.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn hospital(
        &self,
        site: usize,
        patients: &[Patient],
        replicas: usize,
        environment: &[(String, String)],
    ) -> Result<Hospital> {
        let site = self.sites.get(site).ok_or_else(|| anyhow::anyhow!("there is no site {site}"))?;
        let folder = self.folder.join(&site.name).join("hospital");
        let place = Place { site: &site.name, organization: &site.organization, folder };
        Hospital::start(place, &self.nats, &self.postgres, patients, replicas, environment).await
    }
}

/// Which site, and where its files go.
struct Place<'a> {
    site: &'a str,
    organization: &'a str,
    folder: PathBuf,
}

impl Hospital {
    async fn start(
        place: Place<'_>,
        nats: &NatsServer,
        postgres: &Postgres,
        patients: &[Patient],
        replicas: usize,
        environment: &[(String, String)],
    ) -> Result<Self> {
        let folder = place.folder;
        std::fs::create_dir_all(&folder)?;
        let database = format!("{}_mpi", place.site.replace('-', "_"));
        postgres.execute("postgres", &format!("CREATE DATABASE {database}")).await?;
        let table = folder.join("persons.csv");
        write_private(&table, csv(patients).as_bytes())?;
        let consented: HashMap<String, bool> =
            patients.iter().map(|patient| (patient.id.clone(), patient.consented)).collect();
        let consents = consent_server(consented).await?;
        let repository = repository(patients.iter().map(|patient| patient.id.clone()).collect()).await?;
        let (public, private) = recipient::generate()?;
        let secret = |name: &str, text: &str| -> Result<String> {
            let path = folder.join(name);
            write_private(&path, text.as_bytes())?;
            Ok(path.display().to_string())
        };
        let random = || {
            use base64::{Engine, engine::general_purpose::STANDARD};
            STANDARD.encode(rand::random::<[u8; 32]>())
        };
        let mut settings = BTreeMap::new();
        let table_settings = vec![
            ("BACKEND", "table".to_owned()),
            ("RECIPIENTS", format!("rbf={public}")),
            ("DATABASE_URL", postgres.url(&database)),
            ("TABLE_CSV", table.display().to_string()),
            ("AUTHORITY_SYSTEM", PERSON_SYSTEM.to_owned()),
        ];
        settings.insert(Service::PatientIndex, table_settings);
        let system = |backend: &str, address: String| {
            vec![
                ("BACKEND", backend.to_owned()),
                ("ADDRESS", address),
                ("ALLOW_PLAINTEXT", "true".to_owned()),
                ("IDENTIFIER_SYSTEM", PERSON_SYSTEM.to_owned()),
            ]
        };
        settings
            .insert(Service::Consent, system("fhir-consent", format!("http://{}/fhir", consents.address)));
        settings.insert(
            Service::MedicalData,
            system("openehr", format!("http://{}/rest/openehr/v1", repository.address)),
        );
        let linkage = vec![
            ("ORGANIZATION", place.organization.to_owned()),
            ("PUBLIC_KEY", public),
            ("PRIVATE_KEY_FILE", secret("rbf.key", &private)?),
            ("ORGANIZATION_SECRET_FILE", secret("organization.secret", &random())?),
            ("STUDY_SECRETS_FILE", secret("study.secrets", &format!("first={}", random()))?),
        ];
        settings.insert(Service::Linkage, linkage);
        for (service, settings) in &mut settings {
            let (user, password) = nats.credentials(place.site, service.user());
            settings.extend([
                ("SITE", place.site.to_owned()),
                ("NATS_URLS", nats.url()),
                ("NATS_USER", user),
                ("NATS_PASSWORD", password),
            ]);
        }
        let (user, password) = nats.credentials(place.site, User::Worker);
        let worker =
            NatsConfig { urls: vec![nats.url()], user: Some(user), password: Some(password), ca: None };
        let mut environment = environment.to_vec();
        environment.push(("OTEL_RESOURCE_ATTRIBUTES".to_owned(), format!("dsf.site={}", place.site)));
        let mut hospital = Self {
            folder,
            settings,
            processes: BTreeMap::new(),
            environment,
            worker,
            _consents: consents,
            _repository: repository,
        };
        for service in SERVICES {
            for replica in 0..replicas {
                hospital.restart(service, replica).await?;
            }
        }
        Ok(hospital)
    }

    /// Starts a replica and waits for it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self, service: Service, number: usize) -> Result<()> {
        let name = format!("{}-{number}", service.name());
        let mut settings = self.settings.get(&service).cloned().unwrap_or_default();
        settings.push(("AUDIT_FILE", self.audit_file(service, number).display().to_string()));
        let mut environment = self.environment.clone();
        environment.push(("OTEL_SERVICE_NAME".to_owned(), service.name().to_owned()));
        let program = site::program(service.name())?;
        let process =
            replica::start_with(&program, service.prefix(), &settings, &environment, &self.folder, &name)
                .await?;
        self.processes.insert((service, number), process);
        Ok(())
    }

    /// Ends a replica as a crash would.
    pub async fn kill(&mut self, service: Service, number: usize) {
        if let Some(mut process) = self.processes.remove(&(service, number)) {
            process.kill().await;
        }
    }

    /// Where a replica writes its audit records.
    pub fn audit_file(&self, service: Service, number: usize) -> PathBuf {
        self.folder.join(format!("{}-{number}.audit.ndjson", service.name()))
    }

    /// Connects as a worker of the site, who may ask for consent, data and linkage.
    ///
    /// # Errors
    /// When NATS is not there.
    pub async fn worker(&self) -> Result<Nats> {
        Nats::try_connect(&self.worker, "worker").await.map_err(|reason| anyhow::anyhow!("NATS: {reason}"))
    }

    /// Asks all services to end and waits for them.
    pub async fn stop(mut self) {
        for process in self.processes.values_mut() {
            process.stop(Signal::SIGTERM).await;
        }
    }
}

fn csv(patients: &[Patient]) -> String {
    let mut text = "id,last,first,birth,sex,street,zip,city,insurance\n".to_owned();
    for patient in patients {
        let quoted = patient.fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
        let _ = writeln!(text, "{},{}", patient.id, quoted.collect::<Vec<_>>().join(","));
    }
    text
}

fn body(bytes: &[u8]) -> &[u8] {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(&[], |at| &bytes[at + 4..])
}

/// A stand-in for a FHIR server with consents: which persons it knows, and whether they have consented.
///
/// # Errors
/// When it cannot listen.
pub async fn consent_server(consented: HashMap<String, bool>) -> Result<Peer> {
    Peer::start(Protocol::Http, None, move |bytes, _| consents(bytes, &consented)).await
}

/// A stand-in for an openEHR repository with one row for each of these ids.
///
/// # Errors
/// When it cannot listen.
pub async fn repository(ids: Vec<String>) -> Result<Peer> {
    Peer::start(Protocol::Http, None, move |bytes, _| openehr(bytes, &ids)).await
}

/// The consents of the one person that a search is about.
fn consents(bytes: &[u8], consented: &HashMap<String, bool>) -> Act {
    // `patient.identifier=<system>|<id>`, percent-encoded: ids here are of letters and digits.
    let form = String::from_utf8_lossy(body(bytes)).replace("%2E", ".");
    let identifier = form.split('&').find_map(|field| field.strip_prefix("patient.identifier="));
    let id = identifier.and_then(|text| text.rsplit_once("%7C").or_else(|| text.rsplit_once('|')));
    let entries: Vec<Value> = match id.and_then(|(_, id)| Some((id, consented.get(id)?))) {
        Some((id, true)) => {
            let code = |code: &u32| json!({"coding": [{"system": POLICY_SYSTEM, "code": format!("{}.{code}", &POLICY_SYSTEM[8..])}]});
            vec![json!({"resource": {
                "resourceType": "Consent", "status": "active", "dateTime": "2023-01-15",
                "patient": {"identifier": {"system": PERSON_SYSTEM, "value": id}},
                "provision": {
                    "type": "permit", "period": {"start": "2020-01-01", "end": "2099-12-31"},
                    "code": POLICIES.iter().map(code).collect::<Vec<_>>(),
                },
            }})]
        }
        _ => Vec::new(),
    };
    let bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": entries});
    Act::Send(http(200, "application/fhir+json", &bundle.to_string()))
}

/// Counts and pages over one row per person.
fn openehr(bytes: &[u8], ids: &[String]) -> Act {
    let Ok(request) = serde_json::from_slice::<Value>(body(bytes)) else {
        return Act::Send(http(400, "application/json", "{}"));
    };
    let query = request["q"].as_str().unwrap_or_default();
    let parameters = request["query_parameters"].as_object();
    let consented: Vec<&str> = parameters
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("consented"))
        .filter_map(|(_, value)| value.as_str())
        .collect();
    let clause = query.contains("matches");
    let rows: Vec<&String> = ids.iter().filter(|id| !clause || consented.contains(&id.as_str())).collect();
    let answer = if query.trim_start().to_ascii_uppercase().starts_with("SELECT COUNT") {
        json!({"columns": [{"name": "#0"}], "rows": [[rows.len()]]})
    } else {
        let number = |name: &str, default: usize| {
            request[name].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
        };
        let page = rows.iter().skip(number("offset", 0)).take(number("fetch", 1000));
        let rows: Vec<Value> = page.map(|id| json!([id, 37.5])).collect();
        json!({"columns": [{"name": "EHRID", "path": ID_PATH}, {"name": "temperature", "path": "/t"}], "rows": rows})
    };
    Act::Send(http(200, "application/json", &answer.to_string()))
}

/// What nobody may read outside of the table of persons: each value of a person that tells who it is.
pub fn canaries(patients: &[Patient]) -> impl Iterator<Item = &str> {
    patients
        .iter()
        .flat_map(|patient| patient.fields.iter())
        .map(String::as_str)
        .filter(|text| text.len() > 6)
}

/// All files below a folder, but for those that `left_out` names.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path, left_out: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if left_out(&path) {
                continue;
            }
            // Servers delete files while we look.
            match std::fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => folders.push(path),
                Ok(found) if found.is_file() => files.push(path),
                _ => {}
            }
        }
    }
    Ok(files)
}
