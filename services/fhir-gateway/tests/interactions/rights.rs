//! Rights as a matrix of callers, types, interactions and tags (`rights.txt`), and how they follow the
//! allow list and a Binary's security context: contract 4; 13.3 CodeSystem Read…Tag…, Binary …SecurityContext….
use fhir_gateway::{exchange::TYPES, store::NewVersion};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::{
    Admin, Local, Minimal, PERSON_ROLE, PRACTITIONER, Practitioner, Remote, Site, Who, code_system, group,
    meta, process,
};

const MATRIX: &str = include_str!("rights.txt");
/// Types without any rule but that of the tag; small resources of them are easily made.
const PLAIN: [(&str, &str); 4] = [
    ("Group", r#""type":"person","actual":true"#),
    ("Patient", r#""active":true"#),
    ("Location", r#""name":"x""#),
    ("Measure", r#""status":"active""#),
];

struct Section {
    interactions: Vec<&'static str>,
    types: Vec<&'static str>,
    /// Caller, content, allowed.
    cells: Vec<(Who, &'static str, bool)>,
}

fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut columns: Vec<&str> = Vec::new();
    let lines = MATRIX.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        if let Some(title) = line.strip_prefix('[') {
            let (interactions, types) = title.trim_end_matches(']').split_once(" : ").unwrap();
            let types = match types {
                "tagged" => TYPES
                    .into_iter()
                    .filter(|ty| !["Task", "QuestionnaireResponse", "Questionnaire"].contains(ty))
                    .collect(),
                "plain" => PLAIN.iter().map(|(ty, _)| *ty).collect(),
                one => vec![one],
            };
            sections.push(Section { interactions: interactions.split(' ').collect(), types, cells: vec![] });
            continue;
        }
        let mut words = line.split_whitespace();
        let caller = match words.next().unwrap() {
            "caller" => {
                columns = words.collect();
                continue;
            }
            "local" => Local,
            "remote" => Remote,
            "practitioner" => Practitioner,
            "admin" => Admin,
            "minimal" => Minimal,
            other => panic!("{other} is no caller"),
        };
        let cells = words.zip(&columns).map(|(word, column)| (caller, *column, word == "yes"));
        sections.last_mut().unwrap().cells.extend(cells);
    }
    sections
}

/// Tags as the gateway stores them.
fn stored_tags(site: &Site, ty: &str, content: &str) -> Vec<String> {
    let role =
        |code: &str| format!("ROLE|parent.test|http://dsf.dev/fhir/CodeSystem/organization-role|{code}");
    let own = match (ty, content) {
        ("Task" | "QuestionnaireResponse", _) => {
            let resource =
                fhir::parse(resource(site, ty, content).to_string().as_bytes(), fhir::Format::Json).unwrap();
            return access::scope::tags(&resource, &fhir_gateway::SnapshotFacts::default()).unwrap();
        }
        (_, "ALL") => return vec!["ALL".to_owned()],
        (_, "LOCAL") => None,
        (_, other) => match other.split_once(':').unwrap() {
            ("ORGANIZATION", organization) => Some(format!("ORGANIZATION|{organization}")),
            (_, code) => Some(role(code)),
        },
    };
    ["LOCAL".to_owned()].into_iter().chain(own).collect()
}

/// A resource with this content.
fn resource(site: &Site, ty: &str, content: &str) -> Value {
    match (ty, content) {
        ("Task", "draft") => site.task(Local, "matrix", "draft"),
        ("Task", own) => {
            let who = match own {
                "own-local" => Local,
                "own-remote" => Remote,
                "own-practitioner" => Practitioner,
                _ => Admin,
            };
            site.task(who, "matrix", "requested")
        }
        ("QuestionnaireResponse", whom) => {
            let entry = match whom {
                "anybody" => None,
                "practitioner" => Some(json!({
                    "url": "practitioner", "valueIdentifier": {"system": PRACTITIONER, "value": site.person(Practitioner)},
                })),
                role => Some(
                    json!({"url": "practitioner-role", "valueCoding": {"system": PERSON_ROLE, "code": role}}),
                ),
            };
            let mut response =
                json!({"resourceType": ty, "status": "in-progress", "questionnaire": "http://test/q"});
            if let Some(entry) = entry {
                response["extension"] = json!([{
                    "url": "http://dsf.dev/fhir/StructureDefinition/extension-questionnaire-authorization", "extension": [entry],
                }]);
            }
            response
        }
        (ty, content) => {
            let tags: Vec<&str> = content.split('+').filter(|tag| *tag != "NONE").collect();
            let mut resource: Value = match PLAIN.iter().find(|(plain, _)| *plain == ty) {
                Some((_, members)) => serde_json::from_str(&format!("{{{members}}}")).unwrap(),
                None => json!({}),
            };
            resource["resourceType"] = json!(ty);
            if !content.contains(':') {
                resource["meta"] = meta(&tags);
            }
            resource
        }
    }
}

/// Writes past the gateway: what the rules are asked about need not have passed others.
async fn write(site: &Site, ty: &'static str, content: &str) -> Uuid {
    let id = Uuid::new_v4();
    let mut resource =
        fhir::parse(resource(site, ty, content).to_string().as_bytes(), fhir::Format::Json).unwrap();
    let now = fhir::datetime::now_millis();
    resource.set_id(&id.to_string());
    resource.set_meta(1, &fhir::datetime::format(now));
    let new = NewVersion {
        resource_type: ty,
        id,
        version: 1,
        last_updated: now,
        content: fhir::to_json(&resource),
        index: fhir::search::extract(&resource),
        read_tags: stored_tags(site, ty, content),
        context: None,
        data: None,
        keys_added: Vec::new(),
        keys_removed: Vec::new(),
        events: Vec::new(),
    };
    site.world.store.session().await.unwrap().write(&new).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn matrix() {
    let site = Site::start().await;
    let mut checked = 0;
    for Section { interactions, types, cells } in sections() {
        for ty in types {
            let mut ids: Vec<(&str, Uuid)> = Vec::new();
            for (who, content, expected) in &cells {
                for interaction in &interactions {
                    let fresh = matches!(*interaction, "update" | "delete");
                    let known = ids.iter().find(|(known, _)| known == content).map(|(_, id)| *id);
                    let id = match known {
                        Some(id) if !fresh => id,
                        _ if *interaction == "create" => Uuid::nil(),
                        _ => {
                            let id = write(&site, ty, content).await;
                            ids.push((content, id));
                            id
                        }
                    };
                    let mut body = Value::Null;
                    let line = match *interaction {
                        "read" => format!("GET {ty}/{id}"),
                        "search" => format!("GET {ty}?_id={id}"),
                        "history" => format!("GET {ty}/{id}/_history"),
                        "delete" => format!("DELETE {ty}/{id}"),
                        "create" => {
                            body = resource(&site, ty, content);
                            format!("POST {ty}")
                        }
                        _ => {
                            body = resource(&site, ty, content);
                            body["id"] = json!(id.to_string());
                            format!("PUT {ty}/{id}")
                        }
                    };
                    let answer = site.ask(*who, &line, &[], &body).await;
                    let allowed = match (*interaction, answer.status.as_u16()) {
                        (_, 403) => false,
                        ("search" | "history", 200) => answer.json()["total"] == 1,
                        (_, 200 | 201) => true,
                        (_, other) => panic!("{who:?} {line}: {other} {}", answer.body),
                    };
                    assert_eq!(
                        allowed, *expected,
                        "{who:?} {interaction} {ty} with {content}: {}",
                        answer.body
                    );
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 2000, "only {checked} cells were checked");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_follow_the_allow_list() {
    let site = Site::start().await;
    let by_role = site.create(Local, &code_system("http://test/role", &["LOCAL", "ROLE DTS"])).await;
    let by_name =
        site.create(Local, &code_system("http://test/name", &["LOCAL", "ORGANIZATION remote.test"])).await;
    let change = async |query: &str, member: &str, value: Value| {
        let mut resource = site.get(Local, query).await.json()["entry"][0]["resource"].clone();
        resource[member] = value;
        let line = format!(
            "PUT {}/{}",
            resource["resourceType"].as_str().unwrap(),
            resource["id"].as_str().unwrap()
        );
        let answer = site.ask(Local, &line, &[], &resource).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.body);
    };
    let seen = async || {
        let read = site.get(Remote, &format!("CodeSystem/{by_role}")).await.status == 200;
        let found = site.get(Remote, "CodeSystem?url=http://test/role").await.json()["total"] == 1;
        let past = site.get(Remote, &format!("CodeSystem/{by_role}/_history")).await.json()["total"] == 1;
        assert!(read == found && found == past, "read, search and history agree");
        assert_eq!(site.get(Remote, &format!("CodeSystem/{by_name}")).await.status, 200, "named itself");
        read
    };
    assert!(seen().await);
    // A second start executes the same bundle: it changes what is there and adds nothing.
    let mut config = site.world.config();
    config.init_bundle = Some(site.world.folder.join("allow-list.json"));
    let affiliations = async || site.get(Local, "OrganizationAffiliation").await.json()["total"].clone();
    assert_eq!(affiliations().await, 2);
    config.base_url = site.base.clone();
    crate::world::Replica::start(config).await.stop().await;
    assert_eq!(affiliations().await, 2);
    let affiliation = "OrganizationAffiliation?participating-organization:identifier=remote.test";
    change(affiliation, "active", json!(false)).await;
    assert!(!seen().await, "the affiliation is not active");
    change(affiliation, "active", json!(true)).await;
    assert!(seen().await, "and again");
    let codes = |codes: &[&str]| -> Value {
        codes.iter().map(|code| json!({"coding": [{"system": crate::site::ROLE, "code": code}]})).collect()
    };
    change(affiliation, "code", codes(&["TTP"])).await;
    assert!(!seen().await, "another role");
    change(affiliation, "code", codes(&["TTP", "DTS"])).await;
    change("Organization?identifier=parent.test", "active", json!(false)).await;
    assert!(!seen().await, "the parent is not active");
    change("Organization?identifier=parent.test", "active", json!(true)).await;
    assert!(seen().await);
    change("Organization?identifier=remote.test", "active", json!(false)).await;
    assert_eq!(
        site.get(Remote, "metadata").await.status,
        403,
        "an organization that is not active is nobody"
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binaries_are_readable_as_their_context_is() {
    let site = Site::start().await;
    let open = site.create(Local, &group("open", &["ALL"])).await;
    let closed = site.create(Local, &group("closed", &["LOCAL"])).await;
    site.create(Local, &process("test", &["LOCAL_ALL"], "LOCAL_ALL")).await;
    let task = site.create(Local, &site.task(Local, "test", "requested")).await;
    let binary = |context: Value, tags: &[&str]| {
        let mut binary = json!({"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="});
        if !context.is_null() {
            binary["securityContext"] = context;
        }
        if !tags.is_empty() {
            binary["meta"] = meta(tags);
        }
        binary
    };
    let to = |reference: String| json!({"reference": reference});
    let own = site.create(Local, &binary(Value::Null, &["ALL"])).await;
    let named = json!({"type": "Organization", "identifier": {"system": crate::site::ORGANIZATION, "value": "remote.test"}});
    // Context, tags, status of the create, status of the remote organization's read.
    let table = [
        ("open", to(format!("Group/{open}")), vec![], 201, 200),
        ("open, absolute", to(format!("{}/Group/{open}", site.base)), vec![], 201, 200),
        ("closed", to(format!("Group/{closed}")), vec![], 201, 403),
        ("logical", named, vec![], 201, 200),
        ("tag", Value::Null, vec!["ALL"], 201, 200),
        ("closed tag", Value::Null, vec!["LOCAL"], 201, 403),
        ("both", to(format!("Group/{open}")), vec!["ALL"], 403, 0),
        ("neither", Value::Null, vec![], 403, 0),
        ("nothing there", to(format!("Group/{}", Uuid::new_v4())), vec![], 403, 0),
        ("a Task", to(format!("Task/{task}")), vec![], 403, 0),
        ("a Binary", to(format!("Binary/{own}")), vec![], 403, 0),
        ("another site", to("https://elsewhere.example/fhir/Group/1".to_owned()), vec![], 403, 0),
    ];
    for (what, context, tags, create, read) in table {
        let answer = site.ask(Local, "POST Binary", &[], &binary(context, &tags)).await;
        assert_eq!(answer.status.as_u16(), create, "{what}: {}", answer.body);
        if create == 201 {
            if what == "logical" {
                assert!(answer.json()["securityContext"]["reference"].is_null(), "{}", answer.body);
            }
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            let seen = site.get(Remote, &format!("Binary/{id}")).await.status.as_u16();
            let found = site.get(Remote, &format!("Binary?_id={id}")).await.json()["total"] == 1;
            let past = site.get(Remote, &format!("Binary/{id}/_history")).await.json()["total"] == 1;
            assert_eq!((seen, found, past), (read, read == 200, read == 200), "{what}");
            assert_eq!(site.get(Local, &format!("Binary/{id}")).await.status, 200, "{what}");
        }
    }
    // The current version is followed, a named one is not.
    let follows = site.create(Local, &binary(to(format!("Group/{open}")), &[])).await;
    let pinned = site.create(Local, &binary(to(format!("Group/{open}/_history/1")), &[])).await;
    let mut next = group("open", &["LOCAL"]);
    next["id"] = json!(open);
    assert_eq!(site.ask(Local, &format!("PUT Group/{open}"), &[], &next).await.status, 200);
    assert_eq!(site.get(Remote, &format!("Binary/{follows}")).await.status, 403);
    assert_eq!(site.get(Remote, &format!("Binary/{pinned}")).await.status, 200);
    site.stop().await;
}
