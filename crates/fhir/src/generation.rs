//! The names of the two generations of the framework, as data.
//!
//! A site runs processes of both side by side, so a generation belongs to a plugin or a resource,
//! never to the site. Source: contract `fhir-endpoint.md` section 11.1.

/// The names one generation uses on the wire.
#[derive(Debug, PartialEq, Eq)]
pub struct Generation {
    /// `modern` or `highmed`.
    pub name: &'static str,
    /// What all its names start with.
    pub prefix: &'static str,
    /// Naming system of organizations.
    pub organization_identifier: &'static str,
    /// Naming system of endpoints.
    pub endpoint_identifier: &'static str,
    /// Naming system of practitioners.
    pub practitioner_identifier: Option<&'static str>,
    /// Naming system of draft Tasks.
    pub task_identifier: Option<&'static str>,
    /// Code system of message-name, business-key, correlation-key and error.
    pub bpmn_message: &'static str,
    /// Code system of requester and recipient rules.
    pub process_authorization: &'static str,
    /// Code system of the read-access tag.
    pub read_access_tag: &'static str,
    /// Code system of organization roles.
    pub organization_role: &'static str,
    /// Code system of practitioner roles.
    pub practitioner_role: Option<&'static str>,
    /// System of the allow-list identifier (value `allow_list`).
    pub update_allow_list: &'static str,
    /// Profiles of a Task that all process Tasks derive from.
    pub task_base_profiles: &'static [&'static str],
    /// Thumbprint of a client certificate, on Organization (modern: also on Endpoint).
    pub certificate_thumbprint: &'static str,
    /// Organization of a read-access tag.
    pub read_access_organization: &'static str,
    /// Parent organization and role of a read-access tag.
    pub read_access_role: &'static str,
    /// Names of the two sub-extensions of [`Generation::read_access_role`] and
    /// [`Generation::process_authorization_role`]: parent organization and role.
    pub role_parts: (&'static str, &'static str),
    /// Outer extension of ActivityDefinition.
    pub process_authorization_extension: &'static str,
    /// Organization of a process-authorization coding.
    pub process_authorization_organization: &'static str,
    /// Parent organization and role of a process-authorization coding.
    pub process_authorization_role: &'static str,
    /// The element of Task that names the process: `instantiatesCanonical` or `instantiatesUri`.
    pub task_process_element: &'static str,
    /// How that element and a domain's name look.
    pub process_form: ProcessForm,
}

/// How a Task names its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessForm {
    /// `http[s]://<domain>/bpe/Process/<name>|<n.n>`
    Canonical,
    /// `http://<domain>/bpe/Process/<name>/<n.n.n>`
    Uri,
}

/// The current generation: DSF 1.x and 2.x.
pub static MODERN: Generation = Generation {
    name: "modern",
    prefix: "http://dsf.dev",
    organization_identifier: "http://dsf.dev/sid/organization-identifier",
    endpoint_identifier: "http://dsf.dev/sid/endpoint-identifier",
    practitioner_identifier: Some("http://dsf.dev/sid/practitioner-identifier"),
    task_identifier: Some("http://dsf.dev/sid/task-identifier"),
    bpmn_message: "http://dsf.dev/fhir/CodeSystem/bpmn-message",
    process_authorization: "http://dsf.dev/fhir/CodeSystem/process-authorization",
    read_access_tag: "http://dsf.dev/fhir/CodeSystem/read-access-tag",
    organization_role: "http://dsf.dev/fhir/CodeSystem/organization-role",
    practitioner_role: Some("http://dsf.dev/fhir/CodeSystem/practitioner-role"),
    update_allow_list: "http://dsf.dev/fhir/CodeSystem/update-allow-list",
    task_base_profiles: &[
        "http://dsf.dev/fhir/StructureDefinition/task",
        "http://dsf.dev/fhir/StructureDefinition/task-base",
    ],
    certificate_thumbprint: "http://dsf.dev/fhir/StructureDefinition/extension-certificate-thumbprint",
    read_access_organization: "http://dsf.dev/fhir/StructureDefinition/extension-read-access-organization",
    read_access_role: "http://dsf.dev/fhir/StructureDefinition/extension-read-access-parent-organization-role",
    role_parts: ("parent-organization", "organization-role"),
    process_authorization_extension: "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization",
    process_authorization_organization: "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-organization",
    process_authorization_role: "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization-parent-organization-role",
    task_process_element: "instantiatesCanonical",
    process_form: ProcessForm::Canonical,
};

/// The generation of HiGHmed 0.9.
pub static HIGHMED: Generation = Generation {
    name: "highmed",
    prefix: "http://highmed.org",
    organization_identifier: "http://highmed.org/sid/organization-identifier",
    endpoint_identifier: "http://highmed.org/sid/endpoint-identifier",
    practitioner_identifier: None,
    task_identifier: None,
    bpmn_message: "http://highmed.org/fhir/CodeSystem/bpmn-message",
    process_authorization: "http://highmed.org/fhir/CodeSystem/process-authorization",
    read_access_tag: "http://highmed.org/fhir/CodeSystem/read-access-tag",
    organization_role: "http://highmed.org/fhir/CodeSystem/organization-role",
    practitioner_role: None,
    update_allow_list: "http://highmed.org/fhir/CodeSystem/update-allow-list",
    task_base_profiles: &["http://highmed.org/fhir/StructureDefinition/task-base"],
    certificate_thumbprint: "http://highmed.org/fhir/StructureDefinition/extension-certificate-thumbprint",
    read_access_organization: "http://highmed.org/fhir/StructureDefinition/extension-read-access-organization",
    read_access_role: "http://highmed.org/fhir/StructureDefinition/extension-read-access-consortium-role",
    role_parts: ("consortium", "role"),
    process_authorization_extension: "http://highmed.org/fhir/StructureDefinition/extension-process-authorization",
    process_authorization_organization: "http://highmed.org/fhir/StructureDefinition/extension-process-authorization-organization",
    process_authorization_role: "http://highmed.org/fhir/StructureDefinition/extension-process-authorization-consortium-role",
    task_process_element: "instantiatesUri",
    process_form: ProcessForm::Uri,
};

/// Codes of the bpmn-message code system, the same in all generations.
pub mod message {
    /// Name of the BPMN message.
    pub const NAME: &str = "message-name";
    /// Key of the process instance.
    pub const BUSINESS_KEY: &str = "business-key";
    /// Key of one waiting branch.
    pub const CORRELATION_KEY: &str = "correlation-key";
    /// Output that tells why a Task failed.
    pub const ERROR: &str = "error";
}

/// All generations, the current one first.
pub fn all() -> [&'static Generation; 2] {
    [&MODERN, &HIGHMED]
}

/// The generation of a name (url, code system, profile, process).
pub fn of_name(name: &str) -> Option<&'static Generation> {
    all().into_iter().find(|generation| {
        name.strip_prefix(generation.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name() {
        assert_eq!(of_name("http://dsf.dev/fhir/CodeSystem/x"), Some(&MODERN));
        assert_eq!(of_name("http://highmed.org"), Some(&HIGHMED));
        assert_eq!(of_name("http://dsf.development/x"), None);
    }
}
