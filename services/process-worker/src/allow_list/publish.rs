//! Publishing: all organizations, endpoints and affiliations as one Bundle of conditional updates.
use std::collections::BTreeMap;

use fhir::{
    Element, Resource, bundle,
    generation::MODERN,
    reference::{self, Target},
};
use messaging::job::{Done, Job, Outcome};
use serde_json::json;
use uuid::Uuid;

use super::{ALLOW_LIST, CODES, TYPES};
use crate::{
    endpoint::Endpoints,
    outcome::Failure,
    target::{escaped, identifier},
    task::ReceivedTask,
};

/// Reads the own allow list, stores it as the Bundle others download, and names it in the Task.
pub(super) async fn publish(endpoints: &Endpoints, job: &Job) -> Result<Outcome, Failure> {
    let start = ReceivedTask::start(job)?;
    let site = endpoints.site().await?;
    let query = format!(
        "Organization?active=true&identifier={}%7C&_include=Organization%3Aendpoint\
         &_revinclude=OrganizationAffiliation%3Aparticipating-organization&_sort=_id",
        escaped(MODERN.organization_identifier)
    );
    let found = endpoints.search(&query).await?;
    let list = allow_list(&found, &site.base_url, &mut || format!("urn:uuid:{}", Uuid::new_v4()))?;
    let path = format!("Bundle?identifier={}", escaped(&format!("{CODES}|{ALLOW_LIST}")));
    let answer = endpoints.write("PUT", &path, &list).await?;
    let location = answer.location.unwrap_or_default();
    let relative = location.rfind("/Bundle/").and_then(|start| location.get(start..));
    let relative = relative
        .ok_or_else(|| Failure::Fault("the own endpoint did not say where the Bundle is".to_owned()))?;
    let output = json!({
        "type": {"coding": [{"system": CODES, "code": ALLOW_LIST}]},
        "valueReference": {"reference": format!("{}{relative}", site.base_url), "type": "Bundle"},
    });
    Ok(Outcome::Done(Done { outputs: vec![start.output(output)], ..Done::default() }))
}

/// The Bundle of the resources found. `names` gives a temporary name per resource.
fn allow_list(
    found: &[Resource],
    base_url: &str,
    names: &mut impl FnMut() -> String,
) -> Result<Resource, Failure> {
    let mut members: BTreeMap<(String, String), Member> = BTreeMap::new();
    for resource in found.iter().filter(|resource| TYPES.contains(&resource.resource_type())) {
        let key = (resource.resource_type().to_owned(), resource.id().unwrap_or_default().to_owned());
        members.entry(key).or_insert_with(|| Member { name: names(), resource });
    }
    let mut list = bundle::new("transaction");
    let tag = Element::new("tag").with_text("system", MODERN.read_access_tag).with_text("code", "ALL");
    list.push(Element::new("meta").with(tag));
    list.push(Element::new("identifier").with_text("system", CODES).with_text("value", ALLOW_LIST));
    for member in members.values() {
        let url = conditional_url(member.resource, &members, base_url)?;
        let resource = portable(member.resource, &members, base_url);
        let request = Element::new("request").with_text("method", "PUT").with_text("url", &url);
        list.push(bundle::entry(Some(&member.name), Some(resource)).with(request));
    }
    Ok(list)
}

/// A resource of the list and its temporary name.
struct Member<'a> {
    name: String,
    resource: &'a Resource,
}

type Members<'a> = BTreeMap<(String, String), Member<'a>>;

fn member<'a>(reference: &Element, members: &'a Members<'_>, base_url: &str) -> Option<&'a Member<'a>> {
    match reference::of(reference, base_url) {
        Target::Internal(literal) => members.get(&(literal.resource_type.to_owned(), literal.id.to_owned())),
        Target::Logical { resource_type, system, value } => members.values().find(|member| {
            member.resource.resource_type() == resource_type
                && identifier(member.resource, system) == Some(value)
        }),
        _ => None,
    }
}

/// The resource without what belongs to this server, its references by temporary names. Of the
/// endpoints of an affiliation the first is kept, as the URL names only that.
fn portable(resource: &Resource, members: &Members<'_>, base_url: &str) -> Resource {
    let mut resource = resource.clone();
    resource.remove("id");
    if let Some(meta) = resource.child_mut("meta") {
        meta.remove("versionId");
        meta.remove("lastUpdated");
    }
    if resource.resource_type() == "OrganizationAffiliation" {
        let mut kept = false;
        resource
            .children_mut()
            .retain(|child| child.name() != "endpoint" || !std::mem::replace(&mut kept, true));
    }
    reference::for_each_mut(&mut resource, &mut |reference| {
        let Some(found) = member(reference, members, base_url) else { return };
        reference.remove("identifier");
        reference.set_text("reference", &found.name);
        reference.set_text("type", found.resource.resource_type());
    });
    resource
}

/// The condition that finds the resource at any site.
fn conditional_url(resource: &Resource, members: &Members<'_>, base_url: &str) -> Result<String, Failure> {
    let (organizations, endpoints) = (MODERN.organization_identifier, MODERN.endpoint_identifier);
    let incomplete = |what: &str| {
        let id = resource.id().unwrap_or("?");
        Failure::Reject(format!("{} {id} of the allow list has no {what}", resource.resource_type()))
    };
    let own = |system: &str| {
        identifier(resource, system)
            .map(|value| format!("{system}|{value}"))
            .ok_or_else(|| incomplete("identifier"))
    };
    let referenced = |element: &str, system: &str| {
        resource
            .child(element)
            .and_then(|reference| member(reference, members, base_url))
            .and_then(|member| identifier(member.resource, system))
            .map(|value| format!("{system}|{value}"))
            .ok_or_else(|| incomplete(element))
    };
    Ok(match resource.resource_type() {
        "Organization" => format!("Organization?identifier={}", own(organizations)?),
        "Endpoint" => format!("Endpoint?identifier={}", own(endpoints)?),
        _ => format!(
            "OrganizationAffiliation?primary-organization:identifier={}&participating-organization:identifier={}\
             &endpoint:identifier={}",
            referenced("organization", organizations)?,
            referenced("participatingOrganization", organizations)?,
            referenced("endpoint", endpoints)?,
        ),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use fhir::Format;

    use super::*;

    fn resource(json: serde_json::Value) -> Resource {
        fhir::parse(json.to_string().as_bytes(), Format::Json).unwrap()
    }

    #[test]
    fn a_list_that_any_site_can_take_over() {
        let (organizations, endpoints) = (MODERN.organization_identifier, MODERN.endpoint_identifier);
        let meta = json!({"versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z", "tag": [
            {"system": MODERN.read_access_tag, "code": "ALL"}]});
        let organization = |id: &str| {
            resource(json!({"resourceType": "Organization", "id": id, "meta": meta,
                "identifier": [{"system": organizations, "value": format!("{id}.test")}],
                "endpoint": [{"reference": "Endpoint/e"}]}))
        };
        let endpoint = resource(json!({"resourceType": "Endpoint", "id": "e", "meta": meta,
            "identifier": [{"system": endpoints, "value": "e.test"}],
            "managingOrganization": {"reference": "https://own.test/fhir/Organization/member"}}));
        let affiliation = |endpoint: serde_json::Value| {
            resource(json!({"resourceType": "OrganizationAffiliation", "id": "a", "meta": meta,
                "organization": {"type": "Organization",
                    "identifier": {"system": organizations, "value": "parent.test"}},
                "participatingOrganization": {"reference": "Organization/member"},
                "endpoint": endpoint}))
        };
        let mut found = vec![
            organization("parent"),
            organization("member"),
            endpoint,
            affiliation(json!([{"reference": "Endpoint/e"}, {"reference": "Endpoint/other"}])),
        ];
        // A page may bring a resource again.
        found.push(found[0].clone());
        let mut count = 0;
        let mut names = || {
            count += 1;
            format!("urn:uuid:{count}")
        };
        let list = allow_list(&found, "https://own.test/fhir", &mut names).unwrap();
        let text = String::from_utf8(fhir::to_json(&list)).unwrap();
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        let entries = list["entry"].as_array().unwrap();
        assert_eq!(entries.len(), 4);
        let of_type = |name: &str| entries.iter().find(|e| e["resource"]["resourceType"] == name).unwrap();
        let affiliation_entry = of_type("OrganizationAffiliation");
        assert_eq!(
            affiliation_entry["request"]["url"],
            format!(
                "OrganizationAffiliation?primary-organization:identifier={organizations}|parent.test\
                 &participating-organization:identifier={organizations}|member.test&endpoint:identifier={endpoints}|e.test"
            )
        );
        let endpoint_entry = of_type("Endpoint");
        assert_eq!(affiliation_entry["resource"]["endpoint"].as_array().unwrap().len(), 1);
        assert_eq!(
            affiliation_entry["resource"]["endpoint"][0],
            json!({"reference": endpoint_entry["fullUrl"], "type": "Endpoint"})
        );
        assert_eq!(endpoint_entry["resource"]["id"], serde_json::Value::Null);
        assert_eq!(
            endpoint_entry["resource"]["meta"],
            json!({"tag": [
            {"system": MODERN.read_access_tag, "code": "ALL"}]})
        );

        found[3] = affiliation(json!([]));
        let mut names = || "urn:uuid:x".to_owned();
        let refused = allow_list(&found, "https://own.test/fhir", &mut names).unwrap_err();
        assert_eq!(
            refused,
            Failure::Reject("OrganizationAffiliation a of the allow list has no endpoint".to_owned())
        );
    }
}
