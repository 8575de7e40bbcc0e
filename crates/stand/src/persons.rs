//! The persons of a site: certificates with a mail address, and the roles the gateway gives them.
use std::path::Path;

use anyhow::Result;

use crate::{Authority, Identity, description::write_private};

/// A person with a client certificate.
#[derive(Debug, Clone)]
pub struct Person {
    /// Certificate and key.
    pub identity: Identity,
    /// Mail address of the certificate, which is the person's practitioner identifier.
    pub identifier: String,
}

/// What a person's entry of the role file says.
struct Rights {
    name: &'static str,
    dsf_roles: &'static str,
    practitioner_role: &'static str,
}

const PRACTITIONER: Rights = Rights {
    name: "practitioner",
    dsf_roles: r#"["CREATE", "READ", "UPDATE", "DELETE", "SEARCH", "HISTORY"]"#,
    practitioner_role: "DIC_USER",
};

const ADMIN: Rights = Rights {
    name: "admin",
    dsf_roles: r#"["CREATE", "READ", "UPDATE", "DELETE", "SEARCH", "HISTORY", "PERMANENT_DELETE", "WEBSOCKET"]"#,
    practitioner_role: "DSF_ADMIN",
};

const MINIMAL: Rights = Rights {
    name: "minimal",
    dsf_roles: r#"[
  { CREATE = ["Task"] },
  { READ = ["Task", "Questionnaire", "QuestionnaireResponse"] },
  { SEARCH = ["Task", "Questionnaire", "QuestionnaireResponse"] },
  { HISTORY = ["Task", "Questionnaire", "QuestionnaireResponse"] },
  { UPDATE = ["QuestionnaireResponse"] },
]"#,
    practitioner_role: "DIC_USER",
};

/// The persons every site of a stand has.
#[derive(Debug, Clone)]
pub struct Persons {
    /// Everyday rights on all types.
    pub practitioner: Person,
    /// All rights, and `DSF_ADMIN`.
    pub admin: Person,
    /// May only start Tasks and answer questionnaires.
    pub minimal: Person,
}

impl Persons {
    /// Issues the certificates below `folder`; mail addresses end in `organization`.
    pub fn issue(authority: &Authority, folder: &Path, organization: &str) -> Result<Self> {
        let person = |rights: &Rights| -> Result<Person> {
            let identifier = format!("{}@{organization}", rights.name);
            let identity = authority.issue_person(&folder.join(rights.name), rights.name, &identifier)?;
            Ok(Person { identity, identifier })
        };
        Ok(Self { practitioner: person(&PRACTITIONER)?, admin: person(&ADMIN)?, minimal: person(&MINIMAL)? })
    }

    /// Writes the role file of the gateway (fhir-endpoint contract 3.2).
    pub fn write_roles(&self, path: &Path) -> Result<()> {
        let entry = |rights: &Rights, person: &Person| {
            format!(
                "[[role]]\nname = \"{}\"\nemail = \"{}\"\ndsf-role = {}\npractitioner-role = \
                 \"http://dsf.dev/fhir/CodeSystem/practitioner-role|{}\"\n",
                rights.name, person.identifier, rights.dsf_roles, rights.practitioner_role
            )
        };
        let text = [
            entry(&PRACTITIONER, &self.practitioner),
            entry(&ADMIN, &self.admin),
            entry(&MINIMAL, &self.minimal),
        ]
        .join("\n");
        Ok(write_private(path, text.as_bytes())?)
    }
}
