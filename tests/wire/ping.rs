//! Ping-pong between sites as peers see it: outputs field by field, and every way it can go wrong.
use anyhow::{Context, Result};
use end_to_end::{
    ENDPOINT, ORGANIZATION, TestStand, coded, create, curl, ended, search, shared, stand, stand_with,
    start_ping,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stand::{Service, Site, deploy};

const PING: &str = "http://dsf.dev/fhir/CodeSystem/ping";
const PING_STATUS: &str = "http://dsf.dev/fhir/CodeSystem/ping-status";
const EXTENSION: &str = "http://dsf.dev/fhir/StructureDefinition/extension-ping-status";

/// The outputs as (endpoint, status, has error), after checking every field against the catalogue.
fn ping_results(task: &Value) -> Result<Vec<(String, String, bool)>> {
    let mut results = Vec::new();
    for output in task["output"].as_array().into_iter().flatten() {
        let kind = &output["type"]["coding"][0];
        assert_eq!((&kind["system"], &kind["code"]), (&json!(PING), &json!("ping-status")), "{output}");
        let value = &output["valueCoding"];
        assert_eq!(value["system"], PING_STATUS, "{output}");
        assert_eq!(output["extension"][0]["url"], EXTENSION, "{output}");
        let part = |url: &str| -> Option<&Value> {
            output["extension"][0]["extension"].as_array()?.iter().find(|extension| extension["url"] == url)
        };
        let key = part("correlation-key")
            .and_then(|part| part["valueString"].as_str())
            .context("correlation key")?;
        uuid::Uuid::parse_str(key).context("the correlation key is a UUID")?;
        let organization = part("organization-identifier").context("organization identifier")?;
        assert_eq!(organization["valueIdentifier"]["system"], ORGANIZATION);
        let endpoint = part("endpoint-identifier").context("endpoint identifier")?;
        assert_eq!(endpoint["valueIdentifier"]["system"], ENDPOINT);
        let (organization, endpoint) =
            (&organization["valueIdentifier"]["value"], &endpoint["valueIdentifier"]["value"]);
        let endpoint = endpoint.as_str().context("endpoint value")?.to_owned();
        assert_eq!(endpoint, format!("fhir.{}", organization.as_str().unwrap_or_default()));
        let status = value["code"].as_str().context("status code")?.to_owned();
        results.push((endpoint, status, part("error-message").is_some()));
    }
    let mut sorted = results.clone();
    sorted.sort();
    assert_eq!(results, sorted, "outputs are sorted by endpoint identifier");
    Ok(results)
}

fn result(site: &Site, status: &str, error: bool) -> (String, String, bool) {
    (site.endpoint.clone(), status.to_owned(), error)
}

async fn ping(stand: &TestStand) -> Result<Value> {
    let first = &stand.sites[0];
    let curl = curl(stand, first);
    let url = create(&curl, &first.base_url, &start_ping(first)).await?;
    ended(&curl, &url).await
}

/// All Tasks that are not templates, of one site.
async fn tasks(stand: &TestStand, site: usize) -> Result<Vec<Value>> {
    let site = &stand.sites[site];
    search(&curl(stand, site), &format!("{}/Task?status:not=draft&_sort=_lastUpdated", site.base_url)).await
}

async fn everyone_answers(stand: &TestStand) -> Result<()> {
    let task = ping(stand).await?;
    assert_eq!(task["status"], "completed", "{task:#}");
    let expected: Vec<_> = stand.sites[1..].iter().map(|site| result(site, "pong-received", false)).collect();
    assert_eq!(ping_results(&task)?, expected);
    let keys = coded(&task["input"], "business-key");
    assert_eq!(keys.len(), 1, "the engine adds one business key: {task:#}");
    for site in 1..stand.sites.len() {
        let received = end_to_end::wait_for("the partner's Task to end", || async {
            let tasks = tasks(stand, site).await?;
            Ok(tasks
                .into_iter()
                .find(|task| task["status"] != "requested" && task["status"] != "in-progress"))
        })
        .await?;
        assert_eq!(received["status"], "completed", "{received:#}");
        assert_eq!(received["requester"]["identifier"]["value"], stand.sites[0].organization);
        assert_eq!(coded(&received["input"], "business-key")[0]["valueString"], keys[0]["valueString"]);
        let outputs = coded(&received["output"], "pong-status");
        assert_eq!(outputs.len(), 1, "{received:#}");
        assert_eq!(outputs[0]["type"]["coding"][0]["system"], PING);
        assert_eq!(outputs[0]["valueCoding"]["code"], "pong-send", "{received:#}");
        assert_eq!(outputs[0]["extension"][0]["url"], EXTENSION);
    }
    Ok(())
}

#[tokio::test]
async fn every_site_answers() -> Result<()> {
    let stand = stand(3, 1).await?;
    everyone_answers(&stand).await
}

#[tokio::test]
async fn two_replicas_of_everything_answer_alike() -> Result<()> {
    let stand = stand(3, 2).await?;
    everyone_answers(&stand).await
}

#[tokio::test]
async fn the_public_plugin_runs_as_published() -> Result<()> {
    let Some(shared) = shared() else { return Ok(()) };
    let stand = stand_with(3, 1, false, Vec::new()).await?;
    let source = deploy::Source::folder(&shared.join("plugins/ping-pong-1.0.1.0"));
    for site in &stand.sites {
        deploy::plugin(&site.operator().await?, &source).await?;
    }
    everyone_answers(&stand).await
}

#[tokio::test]
async fn a_site_that_is_down_is_not_reachable() -> Result<()> {
    let mut stand = stand(3, 1).await?;
    stand.sites[2].stop().await;
    let task = ping(&stand).await?;
    assert_eq!(task["status"], "completed", "{task:#}");
    let expected =
        [result(&stand.sites[1], "pong-received", false), result(&stand.sites[2], "not-reachable", true)];
    assert_eq!(ping_results(&task)?, expected);
    Ok(())
}

#[tokio::test]
async fn a_site_that_stays_silent_is_missing() -> Result<()> {
    let mut stand = stand(3, 1).await?;
    // It takes the message and never picks it up.
    stand.sites[2].process(Service::Router, 0)?.signal(Signal::SIGSTOP);
    let task = ping(&stand).await?;
    assert_eq!(task["status"], "completed", "{task:#}");
    let expected =
        [result(&stand.sites[1], "pong-received", false), result(&stand.sites[2], "pong-missing", false)];
    assert_eq!(ping_results(&task)?, expected);
    Ok(())
}

#[tokio::test]
async fn a_site_that_does_not_admit_the_requester_is_not_allowed() -> Result<()> {
    let stand = stand_with(3, 1, false, Vec::new()).await?;
    for (index, site) in stand.sites.iter().enumerate() {
        let mut source = deploy::Source::folder(&stand::environment::processes_folder().join("ping-pong"));
        if index == 2 {
            // This site's own pong admits only the second site.
            source = source.replacing_activity_definition(pong_only_for(&stand.sites[1].organization));
        }
        deploy::plugin(&site.operator().await?, &source).await?;
    }
    let task = ping(&stand).await?;
    assert_eq!(task["status"], "completed", "{task:#}");
    let expected =
        [result(&stand.sites[1], "pong-received", false), result(&stand.sites[2], "not-allowed", true)];
    assert_eq!(ping_results(&task)?, expected);
    assert!(tasks(&stand, 2).await?.is_empty(), "a refused message leaves no Task");
    Ok(())
}

fn pong_only_for(requester: &str) -> Value {
    let base = "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization";
    let authorization = "http://dsf.dev/fhir/CodeSystem/process-authorization";
    json!({
        "resourceType": "ActivityDefinition",
        "meta": {"tag": [{"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"}]},
        "extension": [{"url": base, "extension": [
            {"url": "message-name", "valueString": "ping"},
            {"url": "task-profile", "valueCanonical": "http://dsf.dev/fhir/StructureDefinition/task-ping|1.0"},
            {"url": "requester", "valueCoding": {
                "extension": [{"url": format!("{base}-organization"),
                    "valueIdentifier": {"system": ORGANIZATION, "value": requester}}],
                "system": authorization, "code": "REMOTE_ORGANIZATION"}},
            {"url": "recipient", "valueCoding": {"system": authorization, "code": "LOCAL_ALL"}},
        ]}],
        "url": "http://dsf.dev/bpe/Process/pong", "version": "1.0", "name": "Pong", "status": "active",
        "date": "2026-11-24", "kind": "Task",
    })
}
