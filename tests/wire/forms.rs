//! A user task as people meet it: a Task starts a process, a person of the site finds the form it asks
//! for and answers it, the process ends and its Task names the form.
use anyhow::{Context, Result};
use end_to_end::{
    ORGANIZATION, coded, create, curl, curl_as, ended, engine_rows, message_input, organization, search,
    stand_with, wait_for,
};
use serde_json::{Value, json};
use stand::deploy;

const JSON: &str = "application/fhir+json";
const AUTHORIZATION: &str = "http://dsf.dev/fhir/StructureDefinition/extension-questionnaire-authorization";
const FORM: &str = "http://test.example/fhir/Questionnaire/decide|1.0";

fn answer<'a>(form: &'a Value, link: &str) -> &'a Value {
    let items = form["item"].as_array().into_iter().flatten();
    items.filter(|item| item["linkId"] == link).map(|item| &item["answer"][0]).next().unwrap_or(&Value::Null)
}

fn set_answer(form: &mut Value, link: &str, value: &Value) {
    for item in form["item"].as_array_mut().into_iter().flatten().filter(|item| item["linkId"] == link) {
        item["answer"][0] = value.clone();
    }
}

#[tokio::test]
async fn a_person_answers_and_the_process_ends() -> Result<()> {
    let stand = stand_with(1, 1, false, Vec::new()).await?;
    let site = &stand.sites[0];
    let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/wire/decide");
    deploy::plugin(&site.operator().await?, &deploy::Source::folder(plugin.as_ref())).await?;
    let start = json!({
        "resourceType": "Task",
        "meta": {"profile": ["http://test.example/fhir/StructureDefinition/task-start-decide|1.0"]},
        "instantiatesCanonical": "http://test.example/bpe/Process/decide|1.0",
        "status": "requested", "intent": "order", "authoredOn": "2026-11-26T12:00:00+00:00",
        "requester": organization(&site.organization),
        "restriction": {"recipient": [organization(&site.organization)]},
        "input": [message_input("message-name", "startDecide")],
    });
    let local = curl(&stand, site);
    let task_url = create(&local, &site.base_url, &start).await?;

    // Whom the model names finds the form; it holds the keys of the process and asks what the
    // Questionnaire asks.
    let person = &site.persons.practitioner;
    let practitioner = curl_as(&stand, Some(&person.identity));
    let open = format!("{}/QuestionnaireResponse?status=in-progress", site.base_url);
    let form = wait_for("the form", || async { Ok(search(&practitioner, &open).await?.pop()) }).await?;
    assert_eq!(form["questionnaire"], FORM, "{form:#}");
    assert_eq!(form["author"]["identifier"]["value"], site.organization, "{form:#}");
    let role = &form["extension"][0]["extension"][0];
    assert_eq!(
        (&form["extension"][0]["url"], &role["url"]),
        (&json!(AUTHORIZATION), &json!("practitioner-role"))
    );
    assert_eq!(role["valueCoding"]["code"], "DIC_USER");
    let task = wait_for("the Task to be taken up", || async {
        let task = local.get(&task_url).await?.json()?;
        Ok((task["status"] == "in-progress").then_some(task))
    })
    .await?;
    assert_eq!(
        coded(&task["input"], "business-key")[0]["valueString"],
        answer(&form, "business-key")["valueString"]
    );
    assert_eq!(answer(&form, "release"), &json!({"valueBoolean": false}), "a placeholder to be replaced");

    // Answered by PUT, on the version that was read and in the person's own name.
    let url = format!("{}/QuestionnaireResponse/{}", site.base_url, form["id"].as_str().context("id")?);
    let mut filled = form.clone();
    filled["status"] = json!("completed");
    filled["authored"] = json!("2026-11-26T12:05:00+00:00");
    filled["author"] = json!({"type": "Practitioner",
        "identifier": {"system": "http://dsf.dev/sid/practitioner-identifier", "value": person.identifier}});
    set_answer(&mut filled, "release", &json!({"valueBoolean": true}));
    set_answer(&mut filled, "why", &json!({"valueString": "It is consented"}));
    let put = async |curl: &stand::Curl, body: &Value| {
        let body = body.to_string();
        let headers = [("Content-Type", JSON), ("Accept", JSON), ("If-Match", "W/\"1\"")];
        curl.send("PUT", &url, &headers, Some(body.as_bytes())).await
    };
    let mut foreign = filled.clone();
    foreign["author"] = json!({"type": "Organization",
        "identifier": {"system": ORGANIZATION, "value": site.organization}});
    let refused = put(&practitioner, &foreign).await?;
    assert_eq!(refused.status, 403, "in another's name: {}", refused.text());
    let taken = put(&practitioner, &filled).await?;
    assert_eq!(taken.status, 200, "{}", taken.text());
    let again = put(&practitioner, &filled).await?;
    assert!([403, 412].contains(&again.status), "answered once: {} {}", again.status, again.text());

    // The process ends, its Task names the form, and the form is marked as taken up.
    let task = ended(&local, &task_url).await?;
    assert_eq!(task["status"], "completed", "{task:#}");
    let outputs = coded(&task["output"], "form");
    assert_eq!(outputs.len(), 1, "{task:#}");
    let id = form["id"].as_str().unwrap_or_default();
    let reference = outputs[0]["valueReference"]["reference"].as_str().unwrap_or_default();
    assert!(reference.ends_with(&format!("QuestionnaireResponse/{id}")), "{task:#}");
    let amended = wait_for("the form to be amended", || async {
        let form = local.get(&url).await?.json()?;
        Ok((form["status"] == "amended").then_some(form))
    })
    .await?;
    assert_eq!(answer(&amended, "why"), &json!({"valueString": "It is consented"}));
    let rows = wait_for("the engine to have nothing left", || async {
        let rows = engine_rows(&stand, site).await?;
        Ok((rows.open == 0 && rows.jobs == 0 && rows.unwritten == 0).then_some(rows))
    })
    .await?;
    assert_eq!((rows.instances, rows.incidents), (1, 0));
    Ok(())
}
