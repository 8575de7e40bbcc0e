//! The environment of each service of a site, and the allow list all sites share.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Result;
use messaging::permissions::User;
use serde_json::{Value, json};

use crate::{
    Authority, NatsServer, Postgres,
    description::write_private,
    postgres::{engine_database, fhir_database},
    site::{PARENT_ORGANIZATION, Plan, ROLE},
};

/// A service of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// The FHIR endpoint.
    Gateway,
    /// The process engine.
    Engine,
    /// The FHIR edge of the inner zone.
    Router,
    /// The service tasks of the bundled processes.
    Worker,
}

/// All services, in the order they are started.
pub const SERVICES: [Service; 4] = [Service::Gateway, Service::Engine, Service::Router, Service::Worker];

impl Service {
    /// Name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "fhir-gateway",
            Self::Engine => "bpmn-engine",
            Self::Router => "task-router",
            Self::Worker => "process-worker",
        }
    }

    /// Prefix of its settings.
    fn prefix(self) -> &'static str {
        match self {
            Self::Gateway => "DSF_GATEWAY",
            Self::Engine => "DSF_ENGINE",
            Self::Router => "DSF_ROUTER",
            Self::Worker => "DSF_WORKER",
        }
    }

    fn user(self) -> User {
        match self {
            Self::Gateway => User::Gateway,
            Self::Engine => User::Engine,
            Self::Router => User::Router,
            Self::Worker => User::Worker,
        }
    }
}

/// What the services of one site are told.
pub(crate) struct Surroundings {
    pub(crate) nats_url: String,
    settings: BTreeMap<Service, Vec<(&'static str, String)>>,
    credentials: BTreeMap<&'static str, (String, String)>,
    site: String,
    extra: Vec<(String, String)>,
}

impl Surroundings {
    pub(crate) fn new(
        plan: &Plan,
        port: u16,
        authority: &Authority,
        postgres: &Postgres,
        nats: &NatsServer,
        extra: &[(String, String)],
    ) -> Result<Self> {
        let path = |path: &Path| path.display().to_string();
        let ticket_key = plan.folder.join("ticket.key");
        write_private(&ticket_key, hex::encode(rand::random::<[u8; 32]>()).as_bytes())?;
        let audit_key = plan.folder.join("audit.key");
        write_private(&audit_key, hex::encode(rand::random::<[u8; 32]>()).as_bytes())?;
        let (certificate, key) = (path(&plan.identity.certificate), path(&plan.identity.key));
        let ca = path(&authority.certificate);
        let mut settings = BTreeMap::new();
        settings.insert(
            Service::Gateway,
            vec![
                ("LISTEN", format!("127.0.0.1:{port}")),
                ("REUSE_PORT", "true".to_owned()),
                ("BASE_URL", plan.base_url.clone()),
                ("ORGANIZATION", plan.organization.clone()),
                ("DATABASE_URL", postgres.url(&fhir_database(&plan.name))),
                ("CERTIFICATE", certificate.clone()),
                ("PRIVATE_KEY", key.clone()),
                ("CLIENT_CA", ca.clone()),
                ("CLIENT_CRL", path(&authority.revocation_list)),
                ("CLIENT_CERTIFICATE", certificate.clone()),
                ("CLIENT_KEY", key.clone()),
                ("SERVER_CA", ca.clone()),
                ("TICKET_KEY_FILE", path(&ticket_key)),
                ("AUDIT_KEY_FILE", path(&audit_key)),
                ("ROLES_FILE", path(&plan.folder.join("roles.toml"))),
                ("INIT_BUNDLE", path(&plan.folder.join("allow-list.json"))),
            ],
        );
        settings.insert(Service::Engine, vec![("DATABASE_URL", postgres.url(&engine_database(&plan.name)))]);
        settings.insert(
            Service::Router,
            vec![
                ("BASE_URL", plan.base_url.clone()),
                ("CLIENT_CERTIFICATE", certificate),
                ("CLIENT_KEY", key),
                ("SERVER_CA", ca),
            ],
        );
        settings.insert(Service::Worker, Vec::new());
        let credentials = messaging::permissions::USERS
            .map(|user| (user.name(), nats.credentials(&plan.name, user)))
            .into();
        Ok(Self {
            nats_url: nats.url(),
            settings,
            credentials,
            site: plan.name.clone(),
            extra: extra.to_vec(),
        })
    }

    pub(crate) fn credentials(&self, user: User) -> (String, String) {
        self.credentials.get(user.name()).cloned().unwrap_or_default()
    }

    /// The whole environment of a service.
    pub(crate) fn variables(&self, service: Service, ready: &Path) -> Vec<(String, String)> {
        let prefix = service.prefix();
        let (user, password) = self.credentials(service.user());
        let mut variables: Vec<(String, String)> = [
            ("NATS_URLS", self.nats_url.clone()),
            ("NATS_USER", user),
            ("NATS_PASSWORD", password),
            ("READY_FILE", ready.display().to_string()),
        ]
        .into_iter()
        .chain(self.settings.get(&service).into_iter().flatten().cloned())
        .map(|(name, value)| (format!("{prefix}_{name}"), value))
        .collect();
        variables.push(("OTEL_SERVICE_NAME".to_owned(), service.name().to_owned()));
        variables.push(("OTEL_RESOURCE_ATTRIBUTES".to_owned(), format!("dsf.site={}", self.site)));
        for name in ["RUST_LOG", "DSF_LOG_FORMAT", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
            if let Ok(value) = std::env::var(name) {
                variables.push((name.to_owned(), value));
            }
        }
        // Later entries win: what the stand's owner asks for replaces what is set here.
        variables.extend(self.extra.iter().cloned());
        variables
    }
}

/// A site as others know it.
pub struct Member<'a> {
    /// Identifier value of the organization.
    pub organization: &'a str,
    /// Identifier value of its endpoint.
    pub endpoint: &'a str,
    /// Base URL.
    pub address: &'a str,
    /// Thumbprint of its certificate.
    pub thumbprint: &'a str,
}

const ORGANIZATION_SYSTEM: &str = "http://dsf.dev/sid/organization-identifier";
const ENDPOINT_SYSTEM: &str = "http://dsf.dev/sid/endpoint-identifier";
const THUMBPRINT_URL: &str = "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint";

/// The allow list as a transaction Bundle of conditional updates (fhir-endpoint contract 8.3 and 8.4).
pub fn allow_list<'a>(members: impl Iterator<Item = Member<'a>>) -> Value {
    let uuid = || format!("urn:uuid:{}", uuid::Uuid::new_v4());
    let parent = uuid();
    let meta = json!({"tag": [{"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"}]});
    // It has neither certificate nor endpoint.
    let mut parent_meta = meta.clone();
    parent_meta["profile"] = json!(["http://dsf.dev/fhir/StructureDefinition/organization-parent"]);
    let organization_query = |value: &str| format!("Organization?identifier={ORGANIZATION_SYSTEM}|{value}");
    let entry = |full_url: &str, url: String, resource: Value| json!({"fullUrl": full_url, "resource": resource, "request": {"method": "PUT", "url": url}});
    let mut entries = vec![entry(
        &parent,
        organization_query(PARENT_ORGANIZATION),
        json!({
            "resourceType": "Organization", "meta": parent_meta, "active": true,
            "identifier": [{"system": ORGANIZATION_SYSTEM, "value": PARENT_ORGANIZATION}],
            "name": "Network of the stand",
        }),
    )];
    for member in members {
        let (organization, endpoint, affiliation) = (uuid(), uuid(), uuid());
        entries.push(entry(
            &organization,
            organization_query(member.organization),
            json!({
                "resourceType": "Organization", "meta": meta, "active": true,
                "extension": [{"url": THUMBPRINT_URL, "valueString": member.thumbprint}],
                "identifier": [{"system": ORGANIZATION_SYSTEM, "value": member.organization}],
                "name": member.organization,
                "endpoint": [{"reference": endpoint, "type": "Endpoint"}],
            }),
        ));
        entries.push(entry(
            &endpoint,
            format!("Endpoint?identifier={ENDPOINT_SYSTEM}|{}", member.endpoint),
            json!({
                "resourceType": "Endpoint", "meta": meta,
                "identifier": [{"system": ENDPOINT_SYSTEM, "value": member.endpoint}],
                "status": "active",
                "connectionType": {
                    "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
                    "code": "hl7-fhir-rest",
                },
                "name": member.endpoint,
                "managingOrganization": {"reference": organization, "type": "Organization"},
                "payloadType": [{"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Task"}]}],
                "payloadMimeType": ["application/fhir+xml", "application/fhir+json"],
                "address": member.address,
            }),
        ));
        entries.push(entry(
            &affiliation,
            format!(
                "OrganizationAffiliation?primary-organization:identifier={ORGANIZATION_SYSTEM}|{PARENT_ORGANIZATION}\
                 &participating-organization:identifier={ORGANIZATION_SYSTEM}|{}",
                member.organization
            ),
            json!({
                "resourceType": "OrganizationAffiliation", "meta": meta, "active": true,
                "organization": {"reference": parent, "type": "Organization"},
                "participatingOrganization": {"reference": organization, "type": "Organization"},
                "code": [{"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/organization-role", "code": ROLE}]}],
                "endpoint": [{"reference": endpoint, "type": "Endpoint"}],
            }),
        ));
    }
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

/// Folder of the bundled processes: `DSF_PROCESSES`, else the project's own.
pub fn processes_folder() -> PathBuf {
    std::env::var_os("DSF_PROCESSES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../processes"), PathBuf::from)
}
