//! The tables of the contract: who may create which Task, who reads which tag, which status follows which.
use fhir::{Format, Resource, parse};

use super::*;
use crate::process_authorization::ProcessDefinition;

const BASE: &str = "http://dsf.dev/fhir/StructureDefinition/extension-process-authorization";
const PARENT: &str = "Parent_Organization";

struct World {
    definitions: Vec<ProcessDefinition>,
    local: Vec<Membership>,
    remote: Vec<Membership>,
}

impl Facts for World {
    fn local_organization(&self) -> &str {
        "Test_Organization"
    }
    fn organization_exists(&self, identifier: &str) -> bool {
        identifier == "Former_Organization" || self.organization_is_active(identifier)
    }
    fn organization_is_active(&self, identifier: &str) -> bool {
        ["Test_Organization", "External_Test_Organization", PARENT].contains(&identifier)
    }
    fn memberships(&self, identifier: &str) -> &[Membership] {
        match identifier {
            "Test_Organization" => &self.local,
            "External_Test_Organization" => &self.remote,
            _ => &[],
        }
    }
    fn code_exists(&self, _system: &str, code: &str) -> bool {
        ["DIC", "COS", "TTP", "DTS"].contains(&code)
    }
    fn process_definitions(&self, url: &str, version: &str) -> &[ProcessDefinition] {
        if url == "http://dsf.dev/bpe/Process/test" && version == "1.0" { &self.definitions } else { &[] }
    }
}

fn membership(code: &str) -> Membership {
    let role = Role { system: "http://dsf.dev/fhir/CodeSystem/organization-role".into(), code: code.into() };
    Membership { parent: PARENT.into(), role, endpoint: None }
}

fn world(requesters: &[&str], recipient: &str) -> World {
    let requesters: String = requesters
        .iter()
        .map(|text| format!(r#",{{"url":"requester","valueCoding":{}}}"#, coding(text)))
        .collect();
    let text = format!(
        r#"{{"resourceType":"ActivityDefinition","url":"http://dsf.dev/bpe/Process/test","version":"1.0","status":"active",
        "extension":[{{"url":"{BASE}","extension":[{{"url":"message-name","valueString":"test-message"}},
        {{"url":"task-profile","valueCanonical":"http://x/test-task|1.0"}}{requesters},
        {{"url":"recipient","valueCoding":{}}}]}}]}}"#,
        coding(recipient)
    );
    World {
        definitions: vec![ProcessDefinition::of(&json(&text)).unwrap()],
        local: vec![membership("DIC"), membership("COS")],
        remote: vec![membership("TTP"), membership("DTS")],
    }
}

/// `CODE [organization or role] [practitioner role]` as a Coding.
fn coding(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let identifier = |value: &str| {
        format!(
            r#""valueIdentifier":{{"system":"http://dsf.dev/sid/organization-identifier","value":"{value}"}}"#
        )
    };
    let role = |system: &str, code: &str| {
        format!(r#""valueCoding":{{"system":"http://dsf.dev/fhir/CodeSystem/{system}","code":"{code}"}}"#)
    };
    let part = |url: &str, value: String| format!(r#"{{"url":"{url}",{value}}}"#);
    let extension = match words.as_slice() {
        [code, argument] if code.ends_with("_ALL_PRACTITIONER") => {
            format!(r#"{{"url":"{BASE}-practitioner",{}}}"#, role("practitioner-role", argument))
        }
        [code, organization] if code.ends_with("_ORGANIZATION") => {
            format!(r#"{{"url":"{BASE}-organization",{}}}"#, identifier(organization))
        }
        [code, own] if code.ends_with("_ROLE") => format!(
            r#"{{"url":"{BASE}-parent-organization-role","extension":[{},{}]}}"#,
            part("parent-organization", identifier(PARENT)),
            part("organization-role", role("organization-role", own))
        ),
        [code, organization, person] if code.ends_with("_ORGANIZATION_PRACTITIONER") => format!(
            r#"{{"url":"{BASE}-organization-practitioner","extension":[{},{}]}}"#,
            part("organization", identifier(organization)),
            part("practitioner-role", role("practitioner-role", person))
        ),
        [_, own, person] => format!(
            r#"{{"url":"{BASE}-parent-organization-role-practitioner","extension":[{},{},{}]}}"#,
            part("parent-organization", identifier(PARENT)),
            part("organization-role", role("organization-role", own)),
            part("practitioner-role", role("practitioner-role", person))
        ),
        _ => String::new(),
    };
    format!(
        r#"{{"extension":[{extension}],"system":"http://dsf.dev/fhir/CodeSystem/process-authorization","code":"{}"}}"#,
        words[0]
    )
}

fn json(text: &str) -> Resource {
    parse(text.as_bytes(), Format::Json).unwrap()
}

fn local() -> Identity {
    Identity::Organization(Organization {
        identifier: "Test_Organization".into(),
        id: "1".into(),
        local: true,
        endpoint: None,
    })
}

fn remote() -> Identity {
    Identity::Organization(Organization {
        identifier: "External_Test_Organization".into(),
        id: "2".into(),
        local: false,
        endpoint: None,
    })
}

fn person(role: &str) -> Identity {
    let mut roles = DsfRoles::default();
    for interaction in ["CREATE", "READ", "UPDATE", "DELETE", "SEARCH", "HISTORY"] {
        roles.grant(Interaction::from_role(interaction).unwrap(), []);
    }
    Identity::Practitioner(Practitioner {
        identifier: "p@test".into(),
        organization: "Test_Organization".into(),
        roles,
        practitioner_roles: vec![Role {
            system: "http://dsf.dev/fhir/CodeSystem/practitioner-role".into(),
            code: role.into(),
        }],
    })
}

fn task(identity: &Identity, status: &str) -> Resource {
    let requester = match identity {
        Identity::Practitioner(person) => {
            format!(
                r#"{{"system":"http://dsf.dev/sid/practitioner-identifier","value":"{}"}}"#,
                person.identifier
            )
        }
        other => format!(
            r#"{{"system":"http://dsf.dev/sid/organization-identifier","value":"{}"}}"#,
            other.organization().unwrap_or_default()
        ),
    };
    json(&format!(
        r#"{{"resourceType":"Task","meta":{{"profile":["http://x/test-task|1.0"]}},
        "instantiatesCanonical":"http://dsf.dev/bpe/Process/test|1.0","status":"{status}","intent":"order",
        "requester":{{"identifier":{requester}}},
        "restriction":{{"recipient":[{{"identifier":{{"system":"http://dsf.dev/sid/organization-identifier","value":"Test_Organization"}}}}]}},
        "input":[{{"type":{{"coding":[{{"system":"http://dsf.dev/fhir/CodeSystem/bpmn-message","code":"message-name"}}]}},"valueString":"test-message"}}]}}"#
    ))
}

/// fhir-endpoint contract 13.1: number, requesters, recipient, allowed for local, person (DIC_USER), remote.
#[test]
fn who_may_request_which_process() {
    let table: [(&str, &[&str], &str, [bool; 3]); 14] = [
        ("1", &["LOCAL_ALL"], "LOCAL_ALL", [true, false, false]),
        ("2", &["REMOTE_ALL"], "LOCAL_ALL", [false, false, true]),
        ("3", &["REMOTE_ORGANIZATION External_Test_Organization"], "LOCAL_ROLE DIC", [false, false, true]),
        ("4", &["REMOTE_ROLE DTS"], "LOCAL_ROLE COS", [false, false, true]),
        ("5", &["LOCAL_ALL_PRACTITIONER DIC_USER"], "LOCAL_ALL", [false, true, false]),
        ("6", &["LOCAL_ALL_PRACTITIONER UAC_USER"], "LOCAL_ALL", [false, false, false]),
        (
            "7",
            &["LOCAL_ORGANIZATION_PRACTITIONER Test_Organization DIC_USER"],
            "LOCAL_ROLE DIC",
            [false, true, false],
        ),
        (
            "8",
            &["LOCAL_ORGANIZATION_PRACTITIONER Test_Organization COS_USER"],
            "LOCAL_ROLE DIC",
            [false, false, false],
        ),
        ("9", &["LOCAL_ROLE_PRACTITIONER DIC DIC_USER"], "LOCAL_ROLE COS", [false, true, false]),
        ("10", &["LOCAL_ROLE_PRACTITIONER COS COS_USER"], "LOCAL_ROLE COS", [false, false, false]),
        ("11", &["LOCAL_ORGANIZATION Test_Organization"], "LOCAL_ALL", [true, false, false]),
        ("12", &["LOCAL_ROLE DIC"], "LOCAL_ALL", [true, false, false]),
        ("13", &["LOCAL_ALL_PRACTITIONER DIC_USER", "LOCAL_ALL"], "LOCAL_ALL", [true, true, false]),
        ("14", &["LOCAL_ALL"], "LOCAL_ROLE TTP", [false, false, false]),
    ];
    for (number, requesters, recipient, expected) in table {
        let world = world(requesters, recipient);
        let callers = [local(), person("DIC_USER"), remote()];
        let allowed =
            callers.map(|caller| task::may_create(&caller, &task(&caller, "requested"), &world).is_allowed());
        assert_eq!(allowed, expected, "process {number}: {requesters:?} → {recipient}");
    }
    let world = world(&["LOCAL_ALL"], "LOCAL_ALL");
    let admin = person("DSF_ADMIN");
    assert!(task::may_create(&admin, &task(&admin, "requested"), &world).is_allowed());
}

#[test]
fn tasks_that_nobody_may_create() {
    let world = world(&["LOCAL_ALL"], "LOCAL_ALL");
    let good = task(&local(), "requested");
    let change = |edit: fn(&mut Resource)| {
        let mut task = good.clone();
        edit(&mut task);
        task
    };
    let table: [(&str, Resource); 7] = [
        ("status in-progress", task(&local(), "in-progress")),
        ("other requester", task(&remote(), "requested")),
        (
            "no profile",
            change(|task| {
                task.remove("meta");
            }),
        ),
        (
            "unknown process",
            change(|task| task.set_text("instantiatesCanonical", "http://dsf.dev/bpe/Process/x|1.0")),
        ),
        (
            "no recipient",
            change(|task| {
                task.remove("restriction");
            }),
        ),
        (
            "no message name",
            change(|task| {
                task.remove("input");
            }),
        ),
        (
            "an output",
            change(|task| {
                task.push(fhir::Element::new("output").with_text("valueString", "x"));
            }),
        ),
    ];
    for (what, task) in table {
        assert!(!task::may_create(&local(), &task, &world).is_allowed(), "{what}");
    }
    assert!(task::may_create(&local(), &good, &world).is_allowed());
}

#[test]
fn which_status_follows_which() {
    let world = world(&["LOCAL_ALL"], "LOCAL_ALL");
    let states = ["draft", "requested", "in-progress", "completed", "failed"];
    let allowed = [
        ("requested", "in-progress"),
        ("requested", "failed"),
        ("in-progress", "in-progress"),
        ("in-progress", "completed"),
        ("in-progress", "failed"),
    ];
    for old in states {
        for new in states {
            let decision = task::may_update(&local(), &task(&local(), old), &task(&local(), new), &world);
            assert_eq!(decision.is_allowed(), allowed.contains(&(old, new)), "{old} → {new}: {decision:?}");
            assert!(
                !task::may_update(&remote(), &task(&local(), old), &task(&local(), new), &world).is_allowed()
            );
        }
    }
    let mut keyed = task(&local(), "in-progress");
    keyed.push(fhir::task::message_input(&fhir::generation::MODERN, "business-key", "k"));
    assert!(task::may_update(&local(), &task(&local(), "requested"), &keyed, &world).is_allowed());
    assert!(!task::may_update(&local(), &task(&local(), "in-progress"), &keyed, &world).is_allowed());
}

/// Read tags × callers: local organization, organization that is named, one that is not.
#[test]
fn who_reads_which_tag() {
    let world = world(&["LOCAL_ALL"], "LOCAL_ALL");
    let stranger = Identity::Organization(Organization {
        identifier: "Stranger".into(),
        id: "3".into(),
        local: false,
        endpoint: None,
    });
    let role = |code: &str| ReadTagText::role(code);
    let table: [(Vec<String>, [bool; 3]); 5] = [
        (vec!["LOCAL".into()], [true, false, false]),
        (vec!["ALL".into()], [true, true, true]),
        (vec!["LOCAL".into(), "ORGANIZATION|External_Test_Organization".into()], [true, true, false]),
        (vec!["LOCAL".into(), role("DTS")], [true, true, false]),
        (vec!["LOCAL".into(), role("DIC")], [true, false, false]),
    ];
    for (tags, expected) in table {
        let allowed = [local(), remote(), stranger.clone()]
            .map(|caller| scope::may_read(&caller, "CodeSystem", &tags, &world).is_allowed());
        assert_eq!(allowed, expected, "{tags:?}");
    }
}

struct ReadTagText;

impl ReadTagText {
    fn role(code: &str) -> String {
        format!("ROLE|{PARENT}|http://dsf.dev/fhir/CodeSystem/organization-role|{code}")
    }
}

#[test]
fn tags_must_be_one_all_or_one_local_with_others() {
    use read_access::{TagError, tags};
    let world = world(&["LOCAL_ALL"], "LOCAL_ALL");
    let resource = |codes: &[&str]| {
        let tags: Vec<String> = codes
            .iter()
            .map(|code| {
                format!(r#"{{"system":"http://dsf.dev/fhir/CodeSystem/read-access-tag","code":"{code}"}}"#)
            })
            .collect();
        json(&format!(
            r#"{{"resourceType":"CodeSystem","meta":{{"tag":[{}]}},"status":"active"}}"#,
            tags.join(",")
        ))
    };
    let table: [(&[&str], Result<usize, TagError>); 7] = [
        (&[], Err(TagError::Missing)),
        (&["ALL"], Ok(1)),
        (&["LOCAL"], Ok(1)),
        (&["ALL", "LOCAL"], Err(TagError::Combination)),
        (&["LOCAL", "LOCAL"], Err(TagError::Combination)),
        (&["ORGANIZATION"], Err(TagError::Form)),
        (&["EVERYBODY"], Err(TagError::Form)),
    ];
    for (codes, expected) in table {
        assert_eq!(tags(&resource(codes), &world).map(|tags| tags.len()), expected, "{codes:?}");
    }
}
