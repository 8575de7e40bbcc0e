//! A site starts with exactly the environment and arguments that `compose/compose.yaml` gives its services.
//! Only what a container would have otherwise is replaced: paths of mounted files, addresses and names.
use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use end_to_end::{TestStand, create, curl, ended, stand_with, start_ping, wait_for};
use messaging::permissions::USERS;
use serde_json::Value;
use stand::{deploy, environment::SERVICES};

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What `scripts/setup` says where there is no Go and none can be installed.
const NO_GO: &str = "is needed to check the compose files";

/// The file as the reference loader reads it; none on a machine without Go.
fn loaded() -> Result<Option<Value>> {
    let output = std::process::Command::new(format!("{PROJECT}/scripts/check-compose")).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() && said.contains(NO_GO) {
        eprintln!("left out: {}", said.trim());
        return Ok(None);
    }
    if !output.status.success() {
        bail!("scripts/check-compose failed: {said}");
    }
    let text = std::fs::read_to_string(format!("{PROJECT}/target/compose.yaml.json"))?;
    Ok(Some(serde_json::from_str(&text)?))
}

/// What stands in the place of each value that only means something inside a container.
fn replacements(stand: &TestStand, folder: &Path) -> Result<BTreeMap<String, String>> {
    let site = &stand.sites[0];
    let path = |path: &Path| path.display().to_string();
    let secret = |name: &str, content: &str| -> Result<String> {
        let file = folder.join(name);
        std::fs::write(&file, format!("{content}\n"))?;
        Ok(path(&file))
    };
    let (fhir, engine) = (
        stand.postgres.url(&stand::postgres::fhir_database(&site.name)),
        stand.postgres.url(&stand::postgres::engine_database(&site.name)),
    );
    // `postgres://user:password@host…`: the password comes from a file, the rest stays.
    let password = fhir.split([':', '@']).nth(2).context("password")?.to_owned();
    let without_password = |url: &str| url.replace(&format!(":{password}@"), "@");
    let port = site.base_url.split([':', '/']).nth(4).context("port")?;
    let allow_list = site.logs().with_file_name("allow-list.json");
    let mut map: BTreeMap<String, String> = [
        ("https://dsf.hospital-a.example/fhir", site.base_url.clone()),
        ("hospital-a.example", site.organization.clone()),
        ("0.0.0.0:8443", format!("127.0.0.1:{port}")),
        ("nats://nats-1:4222,nats://nats-2:4222,nats://nats-3:4222", stand.nats.url()),
        ("postgres://dsf@postgres:5432/fhir", without_password(&fhir)),
        ("postgres://dsf@postgres:5432/engine", without_password(&engine)),
        ("/etc/dsf/certificate.pem", path(&site.identity.certificate)),
        ("/etc/dsf/client-ca.pem", path(&stand.authority.certificate)),
        ("/etc/dsf/server-ca.pem", path(&stand.authority.certificate)),
        ("/etc/dsf/bundle.json", path(&allow_list)),
        ("/run/secrets/site_key", path(&site.identity.key)),
        ("/run/secrets/postgres_password", secret("postgres_password", &password)?),
        // Nobody listens there; telemetry that cannot be sent must not matter.
        ("http://otel-collector:4318", "http://127.0.0.1:9".to_owned()),
        // Three copies need three servers.
        ("3", "1".to_owned()),
    ]
    .map(|(from, to)| (from.to_owned(), to))
    .into();
    for user in USERS {
        let (login, password) = stand.nats.credentials(&site.name, user);
        map.insert(user.login("site"), login);
        let name = format!("nats_{}_password", user.name());
        map.insert(format!("/run/secrets/{name}"), secret(&name, &password)?);
    }
    Ok(map)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_runs_with_what_compose_gives_it() -> Result<()> {
    let Some(compose) = loaded()? else { return Ok(()) };
    let mut stand = stand_with(1, 1, false, Vec::new()).await?;
    let folder = stand.folder.join("compose");
    std::fs::create_dir_all(&folder)?;
    let replacements = replacements(&stand, &folder)?;
    stand.sites[0].stop().await;
    stand.sites[0].release_port();
    for service in SERVICES {
        let name = service.name();
        let described = &compose["services"][name];
        let texts = |value: &Value| -> Vec<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect()
        };
        let command = texts(&described["command"]);
        assert_eq!(command.first().map(String::as_str), Some(name), "the program of {name}");
        let mounted: Vec<&str> = [&described["secrets"], &described["configs"]]
            .into_iter()
            .flat_map(|list| list.as_array().into_iter().flatten())
            .filter_map(|mount| mount["target"].as_str())
            .collect();
        let mut variables = Vec::new();
        for (variable, value) in described["environment"].as_object().context("environment")? {
            let value = value.as_str().with_context(|| format!("{name}: {variable} has no value"))?;
            if value.starts_with('/') {
                assert!(mounted.contains(&value), "{name}: {variable} names {value}, which is not mounted");
            }
            let replaced = replacements.get(value).map_or(value, String::as_str);
            let left = ["example", "/run/", "/etc/", "nats-", "@postgres"];
            assert!(
                !left.iter().any(|part| replaced.contains(part)),
                "{name}: {variable}={value} is unknown"
            );
            variables.push((variable.clone(), replaced.to_owned()));
        }
        stand.sites[0].spawn_as(service, 0, &command[1..], variables)?;
    }
    // A service that does not take its settings ends with one line.
    let url = format!("{}/Task?_summary=count", stand.sites[0].base_url);
    let client = curl(&stand, &stand.sites[0]);
    wait_for("the endpoint to answer", || async {
        Ok(client.get(&url).await.ok().filter(|answer| answer.status == 200))
    })
    .await
    .with_context(|| last_words(&stand))?;
    let source = deploy::Source::folder(&stand::environment::processes_folder().join("ping-pong"));
    deploy::plugin(&stand.sites[0].operator().await?, &source).await.with_context(|| last_words(&stand))?;
    let site = &stand.sites[0];
    let task = create(&client, &site.base_url, &start_ping(site)).await?;
    let task = ended(&client, &task).await.with_context(|| last_words(&stand))?;
    assert_eq!(task["status"], "completed", "{task:#}");
    for service in SERVICES {
        // Ends at once where the process has ended by itself.
        let process = stand.sites[0].process(service, 0)?;
        process.wait_until(Duration::from_secs(1), || true).await?;
        assert!(process.pid().is_some(), "{} has ended", service.name());
    }
    Ok(())
}

/// The last line of every service's log.
fn last_words(stand: &TestStand) -> String {
    let mut words = String::new();
    for service in SERVICES {
        let log = stand.sites[0].logs().join(format!("{}-0.log", service.name()));
        let text = std::fs::read_to_string(log).unwrap_or_default();
        words += &format!("{}: {}; ", service.name(), text.lines().last().unwrap_or_default());
    }
    words
}
