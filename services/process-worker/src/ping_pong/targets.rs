//! Whom to ping, and whom to answer.
use fhir::generation::MODERN;
use messaging::job::{Job, Outcome, Target};
use serde_json::json;
use uuid::Uuid;

use super::{CODES, ENDPOINT_IDENTIFIER, TARGET_ENDPOINTS};
use crate::{
    endpoint::Endpoints,
    outcome::{Failure, done, object},
    target::{self, Partners, escaped},
    task::ReceivedTask,
};

/// Types whose search may lead to endpoints, by match or by include.
const SEARCHABLE: [&str; 8] = [
    "Endpoint",
    "HealthcareService",
    "ImagingStudy",
    "InsurancePlan",
    "Location",
    "Organization",
    "OrganizationAffiliation",
    "PractitionerRole",
];
/// BPMN error of a sender that the allow list does not know.
const TARGET_NOT_ALLOWED: &str = "target_not_allowed";

/// Sets `targets`: active endpoints of partners, by the search of the start Task or all of them.
pub(super) async fn select(endpoints: &Endpoints, job: &Job) -> Result<Outcome, Failure> {
    let start = ReceivedTask::start(job)?;
    let site = endpoints.site().await?;
    let query = match start.input(CODES, TARGET_ENDPOINTS, "valueString")? {
        Some(given) => query(given),
        None => Some(format!("Endpoint?status=active&identifier={}%7C", escaped(MODERN.endpoint_identifier))),
    };
    let found = match &query {
        Some(query) => endpoints.search(query).await?,
        None => Vec::new(),
    };
    let partners = Partners::find(endpoints, &MODERN, &site).await?;
    let targets = partners.targets(&found, &site, || Uuid::new_v4().to_string());
    Ok(done([("targets", object(target::entries(&targets)))]))
}

/// The search of a start Task, below the base URL. `None` if its type leads to no endpoints.
fn query(given: &str) -> Option<String> {
    let (route, parameters) = given.split_once('?').map_or((given, ""), |(route, rest)| (route, rest));
    let resource_type = route.rsplit('/').next().unwrap_or_default();
    // Characters that a URL may not hold are escaped here; what is escaped already stays.
    let parameters: String = parameters
        .chars()
        .map(|c| match c {
            '!'..='~' if !matches!(c, '#' | '\\' | '|' | '"' | '<' | '>') => c.to_string(),
            _ => escaped(&c.to_string()),
        })
        .collect();
    SEARCHABLE.contains(&resource_type).then(|| format!("{resource_type}?{parameters}"))
}

/// Sets `target`: the endpoint the ping names, if the allow list has it, else a BPMN error.
pub(super) async fn sender(endpoints: &Endpoints, job: &Job) -> Result<Outcome, Failure> {
    let start = ReceivedTask::start(job)?;
    let task = start.view()?;
    let organization = task.requester_organization().map(str::to_owned);
    let correlation_key = task.correlation_key().map(str::to_owned);
    let name = start.input(CODES, ENDPOINT_IDENTIFIER, "valueReference.identifier.value")?;
    let (Some(organization), Some(name)) = (organization, name) else {
        return Err(Failure::Bpmn(TARGET_NOT_ALLOWED));
    };
    let identifier = escaped(&format!("{}|{name}", MODERN.endpoint_identifier));
    let found = endpoints.search(&format!("Endpoint?status=active&identifier={identifier}")).await?;
    let mut addresses = found.iter().filter_map(|endpoint| endpoint.text("address"));
    // Exactly one: which of several was meant cannot be known.
    let (Some(address), None) = (addresses.next(), addresses.next()) else {
        return Err(Failure::Bpmn(TARGET_NOT_ALLOWED));
    };
    let target = Target {
        organization_identifier_value: organization,
        endpoint_identifier_value: name.to_owned(),
        endpoint_url: address.to_owned(),
        correlation_key,
    };
    Ok(done([("target", object(json!(target)))]))
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn only_searches_that_lead_to_endpoints() {
        for (given, expected) in [
            ("Endpoint?status=active", Some("Endpoint?status=active")),
            (
                "https://a.test/fhir/Endpoint?identifier=http://x/sid|v",
                Some("Endpoint?identifier=http://x/sid%7Cv"),
            ),
            ("Endpoint", Some("Endpoint?")),
            ("Organization?name=Ä b#c", Some("Organization?name=%C3%84%20b%23c")),
            ("Task?status=draft", None),
            ("", None),
        ] {
            assert_eq!(query(given).as_deref(), expected, "{given}");
        }
    }
}
