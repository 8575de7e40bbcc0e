//! `dsf demo`: three hospitals, a ping from one to the two others, and how to go on.
use std::{
    io::IsTerminal,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use stand::{Curl, Options, Site, Stand};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    progress::Progress,
    stand::{pass_through, stop_signal},
};

/// How long the ping may take: twice the model's own wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the Tasks are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Settings of the demo.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Number of sites.
    #[arg(long, default_value_t = 3)]
    sites: usize,
    /// Folder; a temporary one, removed at the end, where absent.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// End after the ping also on a terminal.
    #[arg(long)]
    once: bool,
}

/// Runs the demo. Fails when any step did not end as it should.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    if arguments.sites < 2 {
        bail!("a ping needs at least two sites: use --sites 2 or more");
    }
    let temporary = arguments.dir.is_none();
    let folder = arguments
        .dir
        .unwrap_or_else(|| std::env::temp_dir().join(format!("dsf-demo-{}", std::process::id())));
    let stopped = stop_signal()?;
    let outcome = tokio::select! {
        outcome = play(&folder, arguments.sites) => outcome,
        () = stop_signal()? => Err(anyhow::anyhow!("stopped")),
    };
    let result = match outcome {
        Ok((stand, good)) => {
            if good && !arguments.once && std::io::stdout().is_terminal() {
                println!("\nThe sites keep running. Ctrl-C ends them.");
                stopped.await;
            }
            stand.stop().await;
            Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => Err(error),
    };
    if temporary {
        // Nothing is left behind; what cannot be removed is not worth hiding the result.
        let _ = std::fs::remove_dir_all(&folder);
    }
    result
}

async fn play(folder: &std::path::Path, sites: usize) -> Result<(Stand, bool)> {
    let progress = Progress::new();
    let options = Options {
        sites,
        replicas: 1,
        folder: folder.to_owned(),
        processes: true,
        environment: pass_through(),
    };
    let stand = Stand::start(&options, &|step| progress.step(step)).await?;
    progress.step("ping");
    let started = Instant::now();
    let first = stand.sites.first().context("the stand has no site")?;
    let curl = Curl::new(&stand.authority.certificate, Some(&first.identity));
    let created = curl.post(&format!("{}/Task", first.base_url), &start_ping(first)?).await?;
    if created.status != 201 {
        bail!("{} answered {} to the start Task: {}", first.name, created.status, created.text());
    }
    let location = created.header("location").context("201 without Location")?.to_owned();
    let task_url = location.split("/_history").next().unwrap_or(&location).to_owned();
    let task = wait_for_end(&curl, &task_url).await?;
    let elapsed = started.elapsed();
    progress.end();

    println!();
    let mut good = print_steps(&stand).await?;
    good &= print_results(&task, sites - 1);
    println!("\nround trip: {} ms from the POST to the completed Task", elapsed.as_millis());
    print_endpoints(&stand, first);
    Ok((stand, good))
}

fn start_ping(site: &Site) -> Result<Value> {
    let organization = json!({"type": "Organization", "identifier": {
        "system": "http://dsf.dev/sid/organization-identifier", "value": site.organization}});
    Ok(json!({
        "resourceType": "Task",
        "meta": {"profile": ["http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0"]},
        "instantiatesCanonical": "http://dsf.dev/bpe/Process/ping|1.0",
        "status": "requested", "intent": "order",
        "authoredOn": OffsetDateTime::now_utc().format(&Rfc3339)?,
        "requester": organization,
        "restriction": {"recipient": [organization]},
        "input": [{
            "type": {"coding": [{"system": "http://dsf.dev/fhir/CodeSystem/bpmn-message", "code": "message-name"}]},
            "valueString": "startPing",
        }],
    }))
}

async fn wait_for_end(curl: &Curl, url: &str) -> Result<Value> {
    let started = Instant::now();
    loop {
        let task = curl.get(url).await?.json()?;
        let status = task["status"].as_str().unwrap_or("?").to_owned();
        if status == "completed" || status == "failed" {
            return Ok(task);
        }
        if started.elapsed() > PATIENCE {
            bail!("the start Task is still {status} after {PATIENCE:?}: see the logs of the sites");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One line per Task of every site, in order of time. True if all ended well.
async fn print_steps(stand: &Stand) -> Result<bool> {
    let mut steps = Vec::new();
    for site in &stand.sites {
        let curl = Curl::new(&stand.authority.certificate, Some(&site.identity));
        let found =
            curl.get(&format!("{}/Task?status:not=draft&_sort=_lastUpdated", site.base_url)).await?.json()?;
        for entry in found["entry"].as_array().into_iter().flatten() {
            let task = &entry["resource"];
            let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
            let process = text(&task["instantiatesCanonical"]);
            steps.push((
                text(&task["meta"]["lastUpdated"]),
                site.name.clone(),
                text(&task["requester"]["identifier"]["value"]),
                process.rsplit('/').next().unwrap_or_default().to_owned(),
                message_name(task),
                text(&task["status"]),
            ));
        }
    }
    steps.sort();
    println!("{:<12} {:<8} {:<14} {:<10} {:<10} status", "time (UTC)", "at", "from", "process", "message");
    for (time, at, from, process, message, status) in &steps {
        let clock = time.split(['T', '+', 'Z']).nth(1).unwrap_or(time);
        println!("{clock:<12} {at:<8} {from:<14} {process:<10} {message:<10} {status}");
    }
    Ok(!steps.is_empty() && steps.iter().all(|step| step.5 == "completed"))
}

fn message_name(task: &Value) -> String {
    task["input"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|input| input["type"]["coding"][0]["code"] == "message-name")
        .and_then(|input| input["valueString"].as_str())
        .unwrap_or("?")
        .to_owned()
}

/// One line per pinged site. True if every target answered.
fn print_results(task: &Value, targets: usize) -> bool {
    println!("\n{:<24} result", "target");
    let mut answered = 0;
    for output in task["output"].as_array().into_iter().flatten() {
        let coding = &output["valueCoding"];
        let status = coding["code"].as_str().or_else(|| output["valueString"].as_str()).unwrap_or("?");
        let target = output["extension"][0]["extension"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|extension| extension["url"] == "endpoint-identifier")
            .and_then(|extension| extension["valueIdentifier"]["value"].as_str())
            .unwrap_or("-");
        println!("{target:<24} {status}");
        answered += usize::from(status == "pong-received");
    }
    answered == targets && task["status"] == "completed"
}

fn print_endpoints(stand: &Stand, first: &Site) {
    println!("\nEndpoints (mutual TLS):");
    for site in &stand.sites {
        println!("  {:<8} {:<12} {}", site.name, site.organization, site.base_url);
    }
    println!("\nThe next ping, by hand:");
    let value = |text: &str| {
        format!(
            "{{\"type\":\"Organization\",\"identifier\":{{\"system\":\"http://dsf.dev/sid/organization-identifier\",\"value\":\"{text}\"}}}}"
        )
    };
    let organization = value(&first.organization);
    println!(
        "  curl --cacert {} --cert {} --key {} \\\n    -H 'Content-Type: application/fhir+json' -H 'Accept: application/fhir+json' {}/Task -d '{{\"resourceType\":\"Task\",\
         \"meta\":{{\"profile\":[\"http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0\"]}},\
         \"instantiatesCanonical\":\"http://dsf.dev/bpe/Process/ping|1.0\",\"status\":\"requested\",\"intent\":\"order\",\
         \"authoredOn\":\"'$(date -u +%FT%TZ)'\",\"requester\":{organization},\"restriction\":{{\"recipient\":[{organization}]}},\
         \"input\":[{{\"type\":{{\"coding\":[{{\"system\":\"http://dsf.dev/fhir/CodeSystem/bpmn-message\",\"code\":\"message-name\"}}]}},\
         \"valueString\":\"startPing\"}}]}}'",
        stand.authority.certificate.display(),
        first.identity.certificate.display(),
        first.identity.key.display(),
        first.base_url,
    );
}
