//! A PostgreSQL, a nats-server, a CA and gateways for one test, all in one folder.
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use database::{DatabaseConfig, Pool};
use fhir::{Format, datetime, search::extract};
use fhir_gateway::{
    Config,
    store::{MIGRATIONS, NewEvent, NewVersion, Store},
};
use messaging::{
    connect::{Nats, NatsConfig},
    permissions::User,
};
use serde_json::{Value, json};
use stand::{Authority, Identity, NatsServer, Postgres, Tools};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Identifier value of the organization that runs the gateway.
pub const LOCAL: &str = "local.test";
/// Account in the nats-server.
const SITE: &str = "site";

/// Everything a test needs.
pub struct World {
    pub folder: PathBuf,
    pub postgres: Postgres,
    pub nats: NatsServer,
    pub authority: Authority,
    pub server: Identity,
    /// Certificate of the local organization.
    pub local: Identity,
    /// Certificate of another organization.
    pub remote: Identity,
    pub remote_id: Uuid,
    pub store: Store,
}

impl World {
    /// With a local and another organization.
    pub async fn start() -> Self {
        let mut world = Self::empty().await;
        world.write(&organization(LOCAL, &world.local.thumbprint, true), None, 1, Vec::new()).await;
        let remote = organization("remote.test", &world.remote.thumbprint, true);
        world.remote_id = world.write(&remote, None, 1, Vec::new()).await;
        world
    }

    /// Without any resource.
    pub async fn empty() -> Self {
        let folder = std::env::temp_dir().join(format!("gateway-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        let tools = Tools::find().unwrap();
        let postgres = Postgres::start(&tools, &folder.join("postgres")).await.unwrap();
        postgres.execute("postgres", "CREATE DATABASE fhir").await.unwrap();
        let nats = NatsServer::start(&tools, &folder.join("nats"), &[SITE.to_owned()]).await.unwrap();
        let authority = Authority::create(&folder.join("ca"), "gateway test CA").unwrap();
        let issue = |name: &str| authority.issue(&folder.join(name), name).unwrap();
        let (server, local, remote) = (issue("server"), issue("local"), issue("remote"));
        std::fs::write(folder.join("ticket.key"), [7u8; 32]).unwrap();
        let pool = Pool::new(&DatabaseConfig {
            url: postgres.url("fhir"),
            password: None,
            ca: None,
            max_connections: 4,
            allow_unsafe_durability: false,
            application: "gateway-test",
            plans: database::Plans::ByValues,
        })
        .unwrap();
        pool.prepare(MIGRATIONS).await.unwrap();
        let store = Store::new(pool);
        Self { folder, postgres, nats, authority, server, local, remote, remote_id: Uuid::nil(), store }
    }

    /// Writes a resource version past the gateway, as another replica would.
    pub async fn write(&self, json: &Value, id: Option<Uuid>, version: u64, events: Vec<NewEvent>) -> Uuid {
        let id = id.unwrap_or_else(Uuid::new_v4);
        let last_updated = datetime::now_millis();
        let mut resource = fhir::parse(json.to_string().as_bytes(), Format::Json).unwrap();
        resource.set_id(&id.to_string());
        resource.set_meta(version, &datetime::format(last_updated));
        let new = NewVersion {
            resource_type: fhir::search::search_of(resource.resource_type()).unwrap().resource_type,
            id,
            version,
            last_updated,
            content: fhir::to_json(&resource),
            index: extract(&resource),
            read_tags: access::scope::tags(&resource, &fhir_gateway::SnapshotFacts::default())
                .unwrap_or_else(|_| vec!["ALL".to_owned()]),
            context: None,
            data: None,
            keys_added: Vec::new(),
            keys_removed: Vec::new(),
            events,
        };
        self.store.session().await.unwrap().write(&new).await.unwrap();
        id
    }

    /// Settings of a gateway on a free port.
    pub fn config(&self) -> Config {
        config::load_from("DSF_GATEWAY", None, self.settings()).unwrap()
    }

    /// As [`World::config`], as variables; `https://localhost:<port>/fhir` is the base URL.
    pub fn settings(&self) -> Vec<(String, String)> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let (user, password) = self.nats.credentials(SITE, User::Gateway);
        let path = |path: &Path| path.display().to_string();
        let settings = [
            ("LISTEN", format!("127.0.0.1:{port}")),
            ("BASE_URL", format!("https://localhost:{port}/fhir")),
            ("ORGANIZATION", LOCAL.to_owned()),
            ("DATABASE_URL", self.postgres.url("fhir")),
            ("CERTIFICATE", path(&self.server.certificate)),
            ("PRIVATE_KEY", path(&self.server.key)),
            ("CLIENT_CA", path(&self.authority.certificate)),
            ("CLIENT_CRL", path(&self.authority.revocation_list)),
            ("CLIENT_CERTIFICATE", path(&self.local.certificate)),
            ("CLIENT_KEY", path(&self.local.key)),
            ("SERVER_CA", path(&self.authority.certificate)),
            ("TICKET_KEY_FILE", path(&self.folder.join("ticket.key"))),
            ("RELOAD_INTERVAL", "100ms".to_owned()),
            ("NATS_URLS", self.nats.url()),
            ("NATS_USER", user),
            ("NATS_PASSWORD", password),
            ("READY_FILE", path(&self.folder.join(format!("ready-{port}")))),
        ];
        settings.map(|(name, value)| (format!("DSF_GATEWAY_{name}"), value)).into()
    }

    /// Connects to NATS with the gateway's own rights.
    pub async fn nats(&self) -> Nats {
        let (user, password) = self.nats.credentials(SITE, User::Gateway);
        let config =
            NatsConfig { urls: vec![self.nats.url()], user: Some(user), password: Some(password), ca: None };
        Nats::connect(&config, "test").await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn organization(identifier: &str, thumbprint: &str, active: bool) -> Value {
    json!({
        "resourceType": "Organization", "active": active,
        "meta": {"tag": [{"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"}]},
        "extension": [{
            "url": "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint",
            "valueString": thumbprint,
        }],
        "identifier": [{"system": "http://dsf.dev/sid/organization-identifier", "value": identifier}],
    })
}

/// A running gateway in this process.
pub struct Replica {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), fhir_gateway::Error>>,
}

impl Replica {
    pub async fn start(config: Config) -> Self {
        let (address, ready) = (config.listen, config.ready_file.clone().unwrap());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(fhir_gateway::run(config, async {
            let _ = stopped.await;
        }));
        let mut replica = Self { address, stop: Some(stop), task };
        until_async("the gateway is ready", async || {
            if replica.task.is_finished() {
                panic!("the gateway ended at its start: {:?}", (&mut replica.task).await);
            }
            ready.exists().then_some(())
        })
        .await;
        replica
    }

    pub async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        tokio::time::timeout(PATIENCE, &mut self.task)
            .await
            .expect("the gateway stops in time")
            .unwrap()
            .unwrap();
    }
}

/// Polls until there is a value.
pub async fn until_async<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
