//! Taking over: the list of another site is read, checked to hold nothing else, and inserted.
use fhir::{
    Resource, bundle,
    reference::{self, Literal, Target},
};
use messaging::{
    egress::Receiver,
    job::{Document, Job, Outcome},
};

use super::{ALLOW_LIST, CODES, TYPES};
use crate::{
    endpoint::Endpoints,
    outcome::{Failure, document, done, text},
    task::{self, ReceivedTask},
};

/// Media type of what the router hands over.
const JSON: &str = "application/fhir+json";

/// Reads the Bundle that the start Task names; sets `bundle` and `bundleUrl`.
pub(super) async fn download(endpoints: &Endpoints, job: &Job) -> Result<Outcome, Failure> {
    let start = ReceivedTask::start(job)?;
    let task = start.view()?;
    let mut references = task.inputs_of(CODES, ALLOW_LIST).into_iter();
    let (Some(input), None) = (references.next(), references.next()) else {
        return Err(Failure::Reject("the Task does not name exactly one allow list".to_owned()));
    };
    let url = input.text("valueReference.reference").unwrap_or_default().to_owned();
    let site = endpoints.site().await?;
    let (to, literal) = match reference::literal(&url, &site.base_url) {
        Target::Internal(literal) => (Receiver::Own, literal),
        Target::External { base, literal } => (Receiver::Partner(base.to_owned()), literal),
        _ => return Err(Failure::Reject("the allow list is not named by the URL of a Bundle".to_owned())),
    };
    if literal.resource_type != "Bundle" {
        return Err(Failure::Reject("the allow list is not named by the URL of a Bundle".to_owned()));
    }
    let answer = endpoints.read(to, &path(&literal)).await.map_err(|failure| match failure {
        Failure::Reject(reason) => Failure::Reject(format!("the allow list cannot be read: {reason}")),
        other => other,
    })?;
    let list = Document { media_type: JSON.to_owned(), text: answer.body };
    Ok(done([("bundle", document(&list)), ("bundleUrl", text(&url))]))
}

fn path(literal: &Literal<'_>) -> String {
    let version = literal.version.map(|version| format!("/_history/{version}")).unwrap_or_default();
    format!("{}/{}{version}", literal.resource_type, literal.id)
}

/// Refuses a Bundle that holds anything but organizations, affiliations and endpoints.
pub(super) fn check(job: &Job) -> Result<Outcome, Failure> {
    refuse_foreign(&list(job)?)?;
    Ok(done([]))
}

/// Inserts the checked list at the own endpoint.
pub(super) async fn insert(endpoints: &Endpoints, job: &Job) -> Result<Outcome, Failure> {
    let mut list = list(job)?;
    // What belongs to the other server stays there.
    list.remove("id");
    list.remove("meta");
    endpoints.write("POST", "", &list).await.map_err(|failure| match failure {
        Failure::Reject(reason) => Failure::Reject(format!("the allow list cannot be inserted: {reason}")),
        other => other,
    })?;
    Ok(done([]))
}

fn list(job: &Job) -> Result<Resource, Failure> {
    let variable = job.variables.get("bundle");
    let value =
        variable.ok_or_else(|| Failure::Fault("variable bundle is not set".to_owned()))?.value.clone();
    let document: Document = serde_json::from_value(value)
        .map_err(|error| Failure::Fault(format!("variable bundle is not a resource: {error}")))?;
    task::resource(&document)
}

fn refuse_foreign(list: &Resource) -> Result<(), Failure> {
    if list.resource_type() != "Bundle" || !matches!(list.text("type"), Some("transaction" | "batch")) {
        return Err(Failure::Reject("the allow list is not a transaction or batch Bundle".to_owned()));
    }
    for (index, entry) in bundle::entries(list).enumerate() {
        let allowed = match entry.method() {
            Some("PUT") => entry
                .resource()
                .and_then(|node| node.resource_type())
                .is_some_and(|name| TYPES.contains(&name)),
            // The type ends at a path or a query: no other type may hide behind its beginning.
            Some("DELETE") => {
                let name = entry.url().and_then(|url| url.split(['/', '?']).next());
                name.is_some_and(|name| TYPES.contains(&name))
            }
            _ => false,
        };
        if !allowed {
            return Err(Failure::Reject(format!(
                "entry {index} of the allow list is no update or deletion of Organization, \
                 OrganizationAffiliation or Endpoint"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn nothing_else_comes_in_with_an_allow_list() {
        let put = |resource_type: &str| json!({"resource": {"resourceType": resource_type}, "request": {"method": "PUT", "url": "X?identifier=y"}});
        let request = |method: &str, url: &str| json!({"request": {"method": method, "url": url}});
        for (kind, entries, allowed) in [
            ("transaction", vec![put("Organization"), put("Endpoint"), put("OrganizationAffiliation")], true),
            (
                "batch",
                vec![request("DELETE", "Endpoint?identifier=x"), request("DELETE", "Organization/1")],
                true,
            ),
            ("transaction", vec![put("Organization"), put("Task")], false),
            ("transaction", vec![request("DELETE", "Task/1")], false),
            ("transaction", vec![request("DELETE", "EndpointX/1")], false),
            ("transaction", vec![request("GET", "Endpoint")], false),
            ("transaction", vec![request("PUT", "Endpoint?identifier=x")], false),
            ("collection", vec![put("Organization")], false),
        ] {
            let list = json!({"resourceType": "Bundle", "type": kind, "entry": Value::from(entries)});
            let list = fhir::parse(list.to_string().as_bytes(), fhir::Format::Json).unwrap();
            assert_eq!(
                refuse_foreign(&list).is_ok(),
                allowed,
                "{}",
                String::from_utf8_lossy(&fhir::to_json(&list))
            );
        }
    }
}
