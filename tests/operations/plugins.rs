//! Published plugins run as they are, beside the bundled ones; allow lists go from site to site.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use end_to_end::{
    ENDPOINT, ORGANIZATION, TestStand, add_input, coded, create, curl, ended, message_input, organization,
    search, shared, stand_with,
};
use serde_json::{Value, json};
use stand::{Site, deploy, environment::processes_folder};

#[tokio::test(flavor = "multi_thread")]
async fn published_plugins_deploy_unchanged() -> Result<()> {
    let Some(shared) = shared() else { return Ok(()) };
    let stand = stand_with(1, 1, false, Vec::new()).await?;
    let site = &stand.sites[0];
    let operator = site.operator().await?;
    let mut folders: Vec<PathBuf> = std::fs::read_dir(shared.join("plugins"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        // The others are of the generation before.
        .filter(|path| path.is_dir() && !path.to_string_lossy().contains("/highmed-"))
        .collect();
    folders.sort();
    assert!(folders.len() >= 5, "{folders:?}");
    for folder in folders {
        let name = folder.display().to_string();
        let models = std::fs::read_dir(folder.join("bpe"))?.count();
        let source = deploy::Source::folder(&folder);
        let deployed = deploy::plugin(&operator, &source).await.with_context(|| name.clone())?;
        assert_eq!(deployed.definitions.len(), models, "{name}: every model is deployed");
        for definition in &deployed.definitions {
            assert!(!definition.start_messages.is_empty(), "{name}: {definition:?} can be started");
        }
        let again = deploy::plugin(&operator, &source).await?;
        assert_eq!(again, deployed, "{name}: deploying again changes nothing");
        // What peers look for: the process and its profile.
        for definition in &deployed.definitions {
            let process = definition.key.split_once('_').map_or("", |(_, process)| process);
            let url = format!("{}/ActivityDefinition?version={}", site.base_url, definition.version);
            let found = search(&curl(&stand, site), &url).await?;
            assert!(
                found.iter().any(|found| {
                    found["url"].as_str().is_some_and(|url| url.ends_with(&format!("/Process/{process}")))
                }),
                "{name}: no ActivityDefinition of {process}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allow_list_goes_from_site_to_site() -> Result<()> {
    let mut sources = vec![("bundled", processes_folder().join("allow-list"))];
    sources.extend(shared().map(|shared| ("published", shared.join("plugins/allow-list-1.0.0.1"))));
    for (name, folder) in sources {
        take_over(&folder).await.with_context(|| format!("{name} plugin"))?;
    }
    Ok(())
}

/// The Task that starts a process of the allow-list plugin at a site.
fn start(site: &Site, process: &str, profile: &str, message: &str) -> Value {
    json!({
        "resourceType": "Task",
        "meta": {"profile": [format!("http://dsf.dev/fhir/StructureDefinition/{profile}|1.0")]},
        "instantiatesCanonical": format!("http://dsf.dev/bpe/Process/{process}|1.0"),
        "status": "requested", "intent": "order", "authoredOn": "2026-11-24T12:00:00+00:00",
        "requester": organization(&site.organization),
        "restriction": {"recipient": [organization(&site.organization)]},
        "input": [message_input("message-name", message)],
    })
}

const ALLOW_LIST: &str = "http://dsf.dev/fhir/CodeSystem/allow-list";

async fn take_over(folder: &Path) -> Result<()> {
    let stand = stand_with(2, 1, false, Vec::new()).await?;
    let (publisher, taker) = (&stand.sites[0], &stand.sites[1]);
    for site in &stand.sites {
        let source = deploy::Source::folder(folder)
            .setting("DEV_DSF_BPE_ALLOW_LIST_ORGANIZATION", &publisher.organization);
        deploy::plugin(&site.operator().await?, &source).await?;
    }
    add_member(&stand, publisher).await?;
    assert_eq!(members(&stand, taker).await?, (0, 0, 0), "not known yet");

    let task = start(publisher, "updateAllowList", "task-update-allow-list", "updateAllowList");
    let published = create(&curl(&stand, publisher), &publisher.base_url, &task).await?;
    let published = ended(&curl(&stand, publisher), &published).await?;
    assert_eq!(published["status"], "completed", "{published:#}");
    let outputs = coded(&published["output"], "allow_list");
    let list = outputs.first().and_then(|output| output["valueReference"]["reference"].as_str());
    let list = list.with_context(|| format!("no allow list in {published:#}"))?;
    assert!(list.starts_with(&format!("{}/Bundle/", publisher.base_url)), "{list}");

    let mut task = start(taker, "downloadAllowList", "task-download-allow-list", "downloadAllowListMessage");
    let input = json!({"type": {"coding": [{"system": ALLOW_LIST, "code": "allow_list"}]},
        "valueReference": {"reference": list}});
    add_input(&mut task, input);
    let taken = create(&curl(&stand, taker), &taker.base_url, &task).await?;
    let taken = ended(&curl(&stand, taker), &taken).await?;
    assert_eq!(taken["status"], "completed", "{taken:#}");
    assert_eq!(members(&stand, taker).await?, (1, 1, 1), "the new member is known");
    // What was known stays one each.
    for site in &stand.sites {
        let url = format!("{}/Organization?identifier={ORGANIZATION}|{}", taker.base_url, site.organization);
        assert_eq!(search(&curl(&stand, taker), &url).await?.len(), 1, "{}", site.organization);
    }
    Ok(())
}

/// Adds an organization with endpoint and affiliation to the allow list of a site only.
async fn add_member(stand: &TestStand, site: &Site) -> Result<()> {
    let meta = json!({"tag": [{"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag", "code": "ALL"}]});
    let (member, endpoint) =
        ("urn:uuid:00000000-0000-4000-8000-000000000001", "urn:uuid:00000000-0000-4000-8000-000000000002");
    let entry = |full_url: &str, resource: Value| {
        json!({"fullUrl": full_url, "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"]}})
    };
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        entry(member, json!({
            "resourceType": "Organization", "meta": meta, "active": true, "name": "A new member",
            "extension": [{"url": "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint",
                "valueString": stand.unknown.thumbprint}],
            "identifier": [{"system": ORGANIZATION, "value": "new.test"}],
            "endpoint": [{"reference": endpoint, "type": "Endpoint"}],
        })),
        entry(endpoint, json!({
            "resourceType": "Endpoint", "meta": meta, "status": "active",
            "identifier": [{"system": ENDPOINT, "value": "fhir.new.test"}],
            "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
            "managingOrganization": {"reference": member, "type": "Organization"},
            "payloadType": [{"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Task"}]}],
            "payloadMimeType": ["application/fhir+json"], "address": "https://new.test/fhir",
        })),
        entry("urn:uuid:00000000-0000-4000-8000-000000000003", json!({
            "resourceType": "OrganizationAffiliation", "meta": meta, "active": true,
            "organization": organization(stand::site::PARENT_ORGANIZATION),
            "participatingOrganization": {"reference": member, "type": "Organization"},
            "code": [{"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/organization-role", "code": stand::site::ROLE}]}],
            "endpoint": [{"reference": endpoint, "type": "Endpoint"}],
        })),
    ]});
    let answer = curl(stand, site).post(&site.base_url, &bundle).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(())
}

/// How many organizations, endpoints and affiliations of the new member a site knows.
async fn members(stand: &TestStand, site: &Site) -> Result<(usize, usize, usize)> {
    let count = async |query: String| {
        Ok::<_, anyhow::Error>(search(&curl(stand, site), &format!("{}/{query}", site.base_url)).await?.len())
    };
    Ok((
        count(format!("Organization?active=true&identifier={ORGANIZATION}|new.test")).await?,
        count(format!("Endpoint?status=active&identifier={ENDPOINT}|fhir.new.test")).await?,
        count(format!(
            "OrganizationAffiliation?active=true&participating-organization:identifier={ORGANIZATION}|new.test"
        ))
        .await?,
    ))
}
