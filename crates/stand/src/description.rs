//! `stand.json`: what others need to know of a running stand.
use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use messaging::permissions::User;
use serde::{Deserialize, Serialize};

use crate::{Person, Stand, postgres};

/// A running stand. Fields are only ever added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// CA certificate, PEM file.
    pub ca: PathBuf,
    /// Message server.
    pub nats: NatsDescription,
    /// Sites in order.
    pub sites: Vec<SiteDescription>,
    /// A certificate of the trusted CA that is in no allow list.
    pub unknown: CertificateDescription,
}

/// Where NATS is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NatsDescription {
    /// Server URL.
    pub url: String,
}

/// A certificate and its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateDescription {
    /// PEM file.
    pub cert: PathBuf,
    /// PEM file.
    pub key: PathBuf,
}

/// One site.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SiteDescription {
    /// Short name.
    pub name: String,
    /// Organization identifier value.
    pub organization: String,
    /// Endpoint identifier value.
    pub endpoint: String,
    /// FHIR base URL.
    pub base_url: String,
    /// WebSocket URL.
    pub ws_url: String,
    /// Client certificate of the site, PEM file.
    pub cert: PathBuf,
    /// Its key, PEM file.
    pub key: PathBuf,
    /// A person with everyday rights on all types.
    pub practitioner: PersonDescription,
    /// A person with all rights, and `DSF_ADMIN`.
    pub admin: PersonDescription,
    /// A person who may only start Tasks and answer questionnaires.
    pub minimal: PersonDescription,
    /// Connection URLs.
    pub database: DatabaseDescription,
    /// The operator's login in the site's NATS account.
    pub operator: OperatorDescription,
    /// Log files by service and replica.
    pub logs: PathBuf,
}

/// A person of a site.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonDescription {
    /// Client certificate, PEM file.
    pub cert: PathBuf,
    /// Its key, PEM file.
    pub key: PathBuf,
    /// Practitioner identifier: the mail address of the certificate.
    pub identifier: String,
}

impl PersonDescription {
    fn of(person: &Person) -> Self {
        Self {
            cert: person.identity.certificate.clone(),
            key: person.identity.key.clone(),
            identifier: person.identifier.clone(),
        }
    }
}

/// Databases of a site.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatabaseDescription {
    /// Behind the gateway.
    pub fhir: String,
    /// Behind the engine.
    pub engine: String,
}

/// A NATS login.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OperatorDescription {
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

impl Description {
    /// Describes a running stand.
    pub fn of(stand: &Stand) -> Self {
        let sites = stand
            .sites
            .iter()
            .map(|site| {
                let (user, password) = stand.nats.credentials(&site.name, User::Operator);
                SiteDescription {
                    name: site.name.clone(),
                    organization: site.organization.clone(),
                    endpoint: site.endpoint.clone(),
                    base_url: site.base_url.clone(),
                    ws_url: format!("{}/ws", site.base_url.replacen("https:", "wss:", 1)),
                    cert: site.identity.certificate.clone(),
                    key: site.identity.key.clone(),
                    practitioner: PersonDescription::of(&site.persons.practitioner),
                    admin: PersonDescription::of(&site.persons.admin),
                    minimal: PersonDescription::of(&site.persons.minimal),
                    database: DatabaseDescription {
                        fhir: stand.postgres.url(&postgres::fhir_database(&site.name)),
                        engine: stand.postgres.url(&postgres::engine_database(&site.name)),
                    },
                    operator: OperatorDescription { user, password },
                    logs: site.logs(),
                }
            })
            .collect();
        Self {
            ca: stand.authority.certificate.clone(),
            nats: NatsDescription { url: stand.nats.url() },
            sites,
            unknown: CertificateDescription {
                cert: stand.unknown.certificate.clone(),
                key: stand.unknown.key.clone(),
            },
        }
    }
}

/// Writes a file that only its owner can read, in one step.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let mut file =
        std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
    file.write_all(content)?;
    drop(file);
    std::fs::rename(aside, path)
}
