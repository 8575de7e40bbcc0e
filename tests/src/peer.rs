//! A site's own HTTP client in a test: kept connections, many requests at once, creates that are
//! repeated until they are answered.
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use fhir_client::{Bounds, Client, ClientConfig, Headers};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::{Value, json};
use stand::{Site, Stand};

use crate::{PATIENCE, wait_for};

/// Naming system of the identifiers by which a create is known when it is repeated.
const CREATE_ID: &str = "https://w3id.org/dsf-rust/sid/test";
/// Pause before a create is repeated: longer than the commit of an attempt whose answer was lost.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections of a peer at most.
const CONNECTIONS: usize = 256;

/// Calls the endpoint of a site with the site's certificate. Cheap to clone.
#[derive(Clone)]
pub struct Peer {
    client: Client,
    base_url: String,
}

impl Peer {
    /// A client of the site's own endpoint.
    pub fn new(stand: &Stand, site: &Site) -> Result<Self> {
        let identity = &site.identity;
        let config = ClientConfig {
            per_host: CONNECTIONS,
            ..ClientConfig::new(
                identity.certificate.clone(),
                identity.key.clone(),
                stand.authority.certificate.clone(),
            )
        };
        Ok(Self { client: Client::new(&config)?, base_url: site.base_url.clone() })
    }

    /// Creates a Task, once, however often it takes; returns its path below the base URL.
    pub async fn create(&self, task: &Value) -> Result<String> {
        let id = uuid::Uuid::new_v4().to_string();
        let mut task = task.clone();
        task["identifier"] = json!([{"system": CREATE_ID, "value": id}]);
        let headers = Headers {
            prefer: Some("return=minimal".to_owned()),
            if_none_exist: Some(format!("identifier={CREATE_ID}|{id}")),
            if_match: None,
        };
        let (url, body) = (format!("{}/Task", self.base_url), Bytes::from(task.to_string()));
        let location = wait_for("a create to be answered", || async {
            let answer = self.client.request(Method::POST, &url, Some(body.clone()), &headers).await;
            match answer {
                Ok(answer) if answer.status.is_success() => {
                    Ok(Some(answer.location.context("a create without Location")?))
                }
                Ok(answer) if !answer.status.is_server_error() => {
                    bail!("a create was answered with {}", answer.status)
                }
                _ => {
                    tokio::time::sleep(PAUSE).await;
                    Ok(None)
                }
            }
        })
        .await?;
        let path = location.strip_prefix(&self.base_url).context("Location elsewhere")?;
        Ok(path.trim_start_matches('/').split("/_history").next().unwrap_or_default().to_owned())
    }

    /// Posts a Task once, for better or worse; the status of the answer.
    pub async fn post(&self, task: &Value) -> Result<u16> {
        let (url, body) = (format!("{}/Task", self.base_url), Bytes::from(task.to_string()));
        let bounds = Bounds { timeout: PATIENCE, ..self.client.bounds() };
        let headers = Headers { prefer: Some("return=minimal".to_owned()), ..Headers::default() };
        let answer = self.client.request_within(Method::POST, &url, Some(body), &headers, bounds).await?;
        Ok(answer.status.as_u16())
    }

    /// Creates `count` times the same Task, `at_once` at a time.
    pub async fn create_many(&self, task: &Value, count: usize, at_once: usize) -> Result<Vec<String>> {
        stream::iter(0..count).map(|_| self.create(task)).buffer_unordered(at_once).try_collect().await
    }

    /// Reads something; `None` while there is no usable answer.
    pub async fn get(&self, path: &str) -> Result<Option<Value>> {
        let url = format!("{}/{path}", self.base_url);
        match self.client.request(Method::GET, &url, None, &Headers::default()).await {
            Ok(answer) if answer.status.is_success() => Ok(Some(serde_json::from_slice(&answer.body)?)),
            Ok(answer) if !answer.status.is_server_error() => {
                bail!("GET {path} was answered with {}", answer.status)
            }
            _ => Ok(None),
        }
    }

    /// Number of matches of a search.
    pub async fn count(&self, query: &str) -> Result<u64> {
        let path = format!("{query}&_summary=count");
        let bundle = wait_for("a count to be answered", || self.get(&path)).await?;
        bundle["total"].as_u64().context("a count without total")
    }

    /// Waits, for as long as there is progress, until no Task is `requested` or `in-progress`.
    pub async fn all_ended(&self) -> Result<()> {
        let mut last = u64::MAX;
        loop {
            let left = tokio::time::timeout(PATIENCE, async {
                loop {
                    let left = self.count("Task?status=requested").await?
                        + self.count("Task?status=in-progress").await?;
                    if left == 0 || left < last {
                        return Ok::<_, anyhow::Error>(left);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            })
            .await
            .with_context(|| format!("{last} Tasks do not end"))??;
            if left == 0 {
                return Ok(());
            }
            last = left;
        }
    }

    /// All Tasks that are not templates, in the order of their last change.
    pub async fn tasks(&self) -> Result<Vec<Value>> {
        let mut tasks = Vec::new();
        let mut next = Some("Task?status:not=draft&_sort=_lastUpdated&_count=500".to_owned());
        while let Some(path) = next {
            let bundle = wait_for("a page of Tasks", || self.get(&path)).await?;
            tasks.extend(
                bundle["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()),
            );
            next = bundle["link"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|link| link["relation"] == "next")
                .and_then(|link| link["url"].as_str()?.strip_prefix(&self.base_url)?.strip_prefix('/'))
                .map(str::to_owned);
        }
        Ok(tasks)
    }
}
