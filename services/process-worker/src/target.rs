//! Receivers of messages: found in the allow list, kept in the variables `target` and `targets`.
use std::collections::BTreeSet;

use fhir::{Resource, generation::Generation};
use messaging::{
    egress::Site,
    job::{Job, Target},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::{endpoint::Endpoints, outcome::Failure};

/// A search value, escaped.
pub(crate) fn escaped(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// The identifier value of a resource under a naming system.
pub(crate) fn identifier<'a>(resource: &'a Resource, system: &str) -> Option<&'a str> {
    resource
        .each("identifier")
        .find(|identifier| identifier.text("system") == Some(system))
        .and_then(|identifier| identifier.text("value"))
}

/// The site itself as a receiver.
pub(crate) fn own(site: &Site) -> Target {
    Target {
        organization_identifier_value: site.organization.clone(),
        endpoint_identifier_value: site.endpoint.clone(),
        endpoint_url: site.base_url.clone(),
        correlation_key: None,
    }
}

/// The value of the variable `target`.
pub(crate) fn of(job: &Job) -> Result<Target, Failure> {
    let variable = job.variables.get("target");
    let value = variable.ok_or_else(|| Failure::Fault("variable target is not set".to_owned()))?;
    serde_json::from_value(value.value.clone())
        .map_err(|error| Failure::Fault(format!("variable target is not a target: {error}")))
}

/// The value of the variable `targets`.
pub(crate) fn all(job: &Job) -> Result<Vec<Target>, Failure> {
    let variable = job.variables.get("targets");
    let value = variable.ok_or_else(|| Failure::Fault("variable targets is not set".to_owned()))?;
    serde_json::from_value(value.value.get("entries").cloned().unwrap_or_default())
        .map_err(|error| Failure::Fault(format!("variable targets is not a list of targets: {error}")))
}

/// The value for the variable `targets`.
pub(crate) fn entries(targets: &[Target]) -> serde_json::Value {
    json!({ "entries": targets })
}

/// The active organizations of the network but the own one, by literal reference and identifier.
pub(crate) struct Partners {
    names: &'static Generation,
    organizations: Vec<Resource>,
}

impl Partners {
    /// Reads them from the own endpoint.
    pub(crate) async fn find(
        endpoints: &Endpoints,
        names: &'static Generation,
        site: &Site,
    ) -> Result<Self, Failure> {
        let own = escaped(&format!("{}|{}", names.organization_identifier, site.organization));
        let query = format!("Organization?active=true&identifier%3Anot={own}&_sort=_id");
        Ok(Self { names, organizations: endpoints.search(&query).await? })
    }

    /// The identifier of the organization that manages an endpoint, if it is a partner.
    fn manager<'a>(&'a self, endpoint: &'a Resource) -> Option<&'a str> {
        let known = |value: &&str| {
            self.organizations.iter().any(|organization| {
                identifier(organization, self.names.organization_identifier) == Some(value)
            })
        };
        if let Some(reference) = endpoint.text("managingOrganization.reference") {
            let id = reference.split("/_history").next().unwrap_or_default().rsplit('/').next()?;
            let managing = self.organizations.iter().find(|organization| organization.id() == Some(id))?;
            return identifier(managing, self.names.organization_identifier);
        }
        endpoint.text("managingOrganization.identifier.value").filter(known)
    }

    /// One receiver per active endpoint of a partner, each with a key of its own from `keys`, in
    /// order of the endpoints' identifiers; an endpoint found twice counts once.
    pub(crate) fn targets(
        &self,
        found: &[Resource],
        site: &Site,
        mut keys: impl FnMut() -> String,
    ) -> Vec<Target> {
        let mut seen = BTreeSet::new();
        let mut targets: Vec<Target> = found
            .iter()
            .filter(|resource| {
                resource.resource_type() == "Endpoint" && resource.text("status") == Some("active")
            })
            .filter_map(|endpoint| {
                let address = endpoint.text("address")?;
                let name = identifier(endpoint, self.names.endpoint_identifier)?;
                let own = address.trim_end_matches('/') == site.base_url.trim_end_matches('/');
                if own || !seen.insert(name.to_owned()) {
                    return None;
                }
                Some(Target {
                    organization_identifier_value: self.manager(endpoint)?.to_owned(),
                    endpoint_identifier_value: name.to_owned(),
                    endpoint_url: address.to_owned(),
                    correlation_key: None,
                })
            })
            .collect();
        targets.sort_by(|a, b| a.endpoint_identifier_value.cmp(&b.endpoint_identifier_value));
        for target in &mut targets {
            target.correlation_key = Some(keys());
        }
        targets
    }
}
