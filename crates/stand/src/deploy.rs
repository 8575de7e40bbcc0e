//! Deploying a plugin to a site: its FHIR resources through the router, its models to the engine.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use fhir::Format;
use messaging::{
    connect::{Nats, RequestError},
    egress::{EgressReply, EgressRequest, Receiver, Site},
    engine::DeployReply,
    subject,
};
use serde_json::Value;

use crate::environment::processes_folder;

/// Longest wait for one answer of a service.
const ANSWER: Duration = Duration::from_secs(30);
/// How long services that are just starting are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// A plugin folder and how to read it.
#[derive(Debug, Clone)]
pub struct Source {
    folder: PathBuf,
    options: Options,
    replacement: Option<Value>,
    settings: BTreeMap<String, String>,
}

/// What a folder without `plugin.toml` cannot say itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Name of the plugin.
    pub name: Option<String>,
    /// Version of the plugin.
    pub version: Option<String>,
    /// Date of its resources, `yyyy-MM-dd`.
    pub date: Option<String>,
}

impl Source {
    /// A folder that says everything itself.
    pub fn folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            options: Options::default(),
            replacement: None,
            settings: BTreeMap::new(),
        }
    }

    /// With name, version or date given.
    pub fn with(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// With a value for a placeholder, as an environment variable would give it.
    pub fn setting(mut self, variable: &str, value: &str) -> Self {
        self.settings.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// With another ActivityDefinition for the process of the same url and version.
    pub fn replacing_activity_definition(self, definition: Value) -> Self {
        Self { replacement: Some(definition), ..self }
    }
}

/// Folders of the bundled plugins, in order of their names.
pub fn bundled() -> Result<Vec<PathBuf>> {
    let folder = processes_folder();
    let entries =
        std::fs::read_dir(&folder).with_context(|| format!("{} has no processes", folder.display()))?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("plugin.toml").is_file())
        .collect();
    folders.sort();
    Ok(folders)
}

/// Deploys a plugin to the site whose operator is connected. Doing so again changes nothing.
pub async fn plugin(operator: &Nats, source: &Source) -> Result<DeployReply> {
    let site: Site = patiently(|| operator.ask(subject::ROUTER_SITE, &(), ANSWER)).await?;
    let options = plugin::Options {
        name: source.options.name.clone(),
        version: source.options.version.clone(),
        date: source.options.date.clone(),
        organization: site.organization.clone(),
        environment: std::env::vars().chain(source.settings.clone()).collect(),
    };
    let mut plugin = plugin::load(&source.folder, &options)?;
    if let Some(definition) = &source.replacement {
        let resource = fhir::parse(definition.to_string().as_bytes(), Format::Json)?;
        plugin.replace_activity_definition(resource);
    }
    let request = EgressRequest {
        to: Receiver::Own,
        method: "POST".to_owned(),
        path: String::new(),
        prefer: Some("return=minimal".to_owned()),
        if_none_exist: None,
        if_match: None,
        body: Some(String::from_utf8(fhir::to_json(&plugin.upload_bundle()))?),
    };
    let reply: EgressReply = patiently(|| operator.request(subject::EGRESS, &request, ANSWER)).await?;
    match reply {
        EgressReply::Answer { status: 200, body, .. } => {
            let response = fhir::parse(body.as_bytes(), Format::Json)?;
            plugin.check_upload(&response)?;
        }
        EgressReply::Answer { status, body, .. } => {
            bail!("{} answered {status} to the resources of {}: {body}", site.base_url, plugin.name)
        }
        EgressReply::Refused(reason) | EgressReply::Unreachable(reason) => {
            bail!("the resources of {} were not uploaded: {reason}", plugin.name)
        }
    }
    let request = plugin.deploy_request();
    let deployed = patiently(|| operator.ask(subject::DEPLOY, &request, ANSWER)).await?;
    Ok(deployed)
}

/// Repeats a request while its service is not there yet.
async fn patiently<T, F, R>(mut request: F) -> Result<T>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, RequestError>>,
{
    let started = Instant::now();
    loop {
        match request().await {
            Ok(answer) => return Ok(answer),
            Err(error @ RequestError::Unavailable { .. }) if started.elapsed() > PATIENCE => {
                return Err(error.into());
            }
            Err(RequestError::Unavailable { .. }) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error.into()),
        }
    }
}
