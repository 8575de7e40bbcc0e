//! Plugins of the public network load unchanged; the bundled ones say the same on the wire.
use std::{collections::BTreeSet, path::PathBuf};

use super::*;

fn options() -> Options {
    Options { date: Some("2026-01-02".to_owned()), organization: "a.test".to_owned(), ..Options::default() }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Published plugins, test data outside of this repository.
fn published() -> Option<PathBuf> {
    let shared = std::env::var_os("DSF_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let plugins = shared.join("plugins");
    if !plugins.is_dir() {
        println!("left out: {} is not there", plugins.display());
        return None;
    }
    Some(plugins)
}

#[test]
fn published_plugins_load() {
    let Some(plugins) = published() else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(plugins).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let plugin =
            load(&folder, &options()).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let highmed = folder.file_name().unwrap().to_str().unwrap().starts_with("highmed-");
        assert_eq!(plugin.generation.name, if highmed { "highmed" } else { "modern" }, "{}", plugin.name);
        let errors: Vec<String> = lint(&folder, &options())
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", plugin.name);
        let batch = fhir::to_json(&plugin.upload_bundle());
        assert!(!String::from_utf8(batch).unwrap().contains("#{"), "{}", plugin.name);
        count += 1;
    }
    assert_eq!(count, 12);
}

#[test]
fn upload() {
    let plugin = load(&root().join("processes/ping-pong"), &options()).unwrap();
    assert_eq!(
        (plugin.version.as_str(), plugin.resource_version.as_str(), plugin.draft),
        ("1.0.1.0", "1.0", false)
    );
    let batch = plugin.upload_bundle();
    let entries: Vec<_> = fhir::bundle::entries(&batch).collect();
    assert_eq!(entries.len(), 17);
    assert_eq!(
        (entries[0].method(), entries[0].url(), entries[0].if_none_exist()),
        (
            Some("POST"),
            Some("CodeSystem"),
            Some("url=http://dsf.dev/fhir/CodeSystem/ping-status&version=1.0")
        )
    );
    assert_eq!(entries[0].resource().unwrap().text("status"), Some("active"));
    assert_eq!(
        entries[0].resource().unwrap().text("meta.profile"),
        Some("http://dsf.dev/fhir/StructureDefinition/code-system")
    );
    let last = entries[16];
    let task = last.resource().unwrap();
    assert_eq!((last.url(), task.text("status")), (Some("Task"), Some("draft")));
    assert_eq!(task.text("requester.identifier.value"), Some("a.test"));
    assert_eq!(task.text("authoredOn"), Some("2026-01-02"));
    assert!(last.if_none_exist().unwrap().ends_with("&status=draft"));
    assert_eq!(plugin.upload_bundle(), batch, "the batch is the same every time");

    let mut response = fhir::bundle::new("batch-response");
    for (at, _) in entries.iter().enumerate() {
        let status = if at == 3 { "200 OK" } else { "201 Created" };
        let entry =
            fhir::Element::new("entry").with(fhir::Element::new("response").with_text("status", status));
        response.push(entry);
    }
    plugin.check_upload(&response).unwrap();
    response.child_mut("entry").unwrap().child_mut("response").unwrap().set_text("status", "403 Forbidden");
    let error = plugin.check_upload(&response).unwrap_err().to_string();
    assert!(error.contains("CodeSystem/ping-status|1.0") && error.contains("403"), "{error}");
}

#[test]
fn drafts_stay_drafts() {
    let with = Options { version: Some("1.0.1.0-RC2".to_owned()), ..options() };
    let plugin = load(&root().join("processes/ping-pong"), &with).unwrap();
    assert!(plugin.draft);
    assert!(plugin.resources.iter().all(|known| known.resource.text("status") == Some("draft")));
}

#[test]
fn an_activity_definition_can_be_replaced() {
    let mut plugin = load(&root().join("processes/ping-pong"), &options()).unwrap();
    let count = plugin.resources.len();
    let mut other = fhir::Resource::new("ActivityDefinition");
    other.set_text("url", "http://dsf.dev/bpe/Process/pong");
    other.set_text("version", "1.0");
    plugin.replace_activity_definition(other.clone());
    assert_eq!(plugin.resources.len(), count);
    assert!(plugin.resources.iter().any(|known| known.resource == other));
}

/// What other sites see of a plugin: canonicals, messages, authorizations, codes.
fn facts(plugin: &Plugin) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for known in &plugin.resources {
        let resource = &known.resource;
        facts.insert(known.identity.to_string());
        for rule in resource.extensions(plugin.generation.process_authorization_extension) {
            facts.insert(format!("{} {rule:?}", known.identity));
        }
        let elements = match resource.resource_type() {
            "CodeSystem" => resource.at("concept.code"),
            "ValueSet" => {
                [resource.at("compose.include.system"), resource.at("compose.include.concept.code")].concat()
            }
            "Task" => [
                resource.at("meta.profile"),
                resource.at("instantiatesCanonical"),
                resource.at("input.valueString"),
            ]
            .concat(),
            "StructureDefinition" => resource.at("differential.element.sliceName"),
            _ => Vec::new(),
        };
        for element in elements {
            facts.insert(format!("{} {:?}", known.identity, element.value()));
        }
        for element in resource.at("differential.element") {
            let name = element.text("path").unwrap_or_default();
            let slice = element.id_attr().unwrap_or(name);
            for part in ["min", "max", "binding.valueSet"] {
                if let Some(value) = element.text(part) {
                    facts.insert(format!("{} {slice} {part} {value}", known.identity));
                }
            }
            for fixed in ["fixed", "pattern"].iter().filter_map(|prefix| element.choice(prefix)) {
                facts.insert(format!("{} {slice} {:?}", known.identity, fixed.value()));
            }
        }
    }
    facts
}

#[test]
fn bundled_plugins_agree_with_the_published_ones() {
    let Some(plugins) = published() else { return };
    for (ours, theirs) in [("ping-pong", "ping-pong-1.0.1.0"), ("allow-list", "allow-list-1.0.0.1")] {
        let ours = load(&root().join("processes").join(ours), &options()).unwrap();
        let theirs = load(&plugins.join(theirs), &options()).unwrap();
        assert_eq!(ours.version, theirs.version);
        let (ours, theirs) = (facts(&ours), facts(&theirs));
        let missing: Vec<_> = theirs.difference(&ours).collect();
        let added: Vec<_> = ours.difference(&theirs).collect();
        assert!(missing.is_empty() && added.is_empty(), "missing {missing:#?}\nadded {added:#?}");
    }
}

#[test]
fn bundled_plugins_have_no_findings() {
    for folder in ["ping-pong", "allow-list"] {
        let findings = lint(&root().join("processes").join(folder), &options());
        let serious: Vec<String> =
            findings.iter().filter(|f| f.severity != Severity::Info).map(ToString::to_string).collect();
        assert_eq!(serious, Vec::<String>::new());
    }
}

#[test]
fn errors_are_one_line() {
    for (folder, version, expected) in [
        ("processes/none", None, "is no folder"),
        ("processes/ping-pong", Some("1.0"), "'1.0' is no plugin version"),
        ("processes", None, "does not say name and version"),
    ] {
        let with = Options { version: version.map(str::to_owned), ..options() };
        let error = load(&root().join(folder), &with).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn folder_names() {
    for (name, expected) in [
        ("ping-pong-1.0.1.0", Some(("ping-pong", "1.0.1.0"))),
        ("highmed-ping-0.7.0", Some(("highmed-ping", "0.7.0"))),
        ("a-1.2.3.4-SNAPSHOT", Some(("a", "1.2.3.4-SNAPSHOT"))),
        ("ping-pong", None),
        ("-1.0.0.0", None),
    ] {
        assert_eq!(version::split_folder_name(name), expected, "{name}");
    }
}
