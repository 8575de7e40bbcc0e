//! Rules as data, on small profiles; and that no resource and no definition brings the validator down.

use proptest::prelude::*;

use super::*;
use crate::{Format, fragment_to_json, parse};

const BASE: &str = "http://example.org/fhir/StructureDefinition/";

fn json(text: &str) -> Resource {
    parse(text.as_bytes(), Format::Json).unwrap()
}

/// A profile of Patient with the given elements.
fn profile(name: &str, elements: &str) -> Change {
    Change::Put(json(&format!(
        r#"{{"resourceType":"StructureDefinition","url":"{BASE}{name}","version":"1.0","name":"P","status":"active",
            "kind":"resource","abstract":false,"type":"Patient","derivation":"constraint",
            "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{{"element":[{elements}]}}}}"#
    )))
}

fn errors(validator: &Validator, resource: &str) -> Vec<String> {
    let report = validator.validate(&json(resource));
    report
        .messages
        .iter()
        .filter(|message| message.severity >= Severity::Error)
        .map(|message| format!("{} {}", message.id, message.location))
        .collect()
}

#[test]
fn slices_patterns_and_types() {
    let slicing = r#"
        {"id":"Patient.identifier","path":"Patient.identifier",
         "slicing":{"discriminator":[{"type":"pattern","path":"type"}],"rules":"closed"}},
        {"id":"Patient.identifier:a","path":"Patient.identifier","sliceName":"a","min":1,"max":"1"},
        {"id":"Patient.identifier:a.type","path":"Patient.identifier.type",
         "patternCodeableConcept":{"coding":[{"system":"http://example.org/s","code":"a"}]}},
        {"id":"Patient.identifier:b","path":"Patient.identifier","sliceName":"b","max":"1"},
        {"id":"Patient.identifier:b.type","path":"Patient.identifier.type",
         "patternCodeableConcept":{"coding":[{"system":"http://example.org/s","code":"b"}]}},
        {"id":"Patient.contact","path":"Patient.contact",
         "slicing":{"discriminator":[{"type":"exists","path":"telecom"}],"rules":"open"}},
        {"id":"Patient.contact:with","path":"Patient.contact","sliceName":"with","max":"1"},
        {"id":"Patient.contact:with.telecom","path":"Patient.contact.telecom","min":1},
        {"id":"Patient.deceasedBoolean","path":"Patient.deceasedBoolean","fixedBoolean":false},
        {"id":"Patient.multipleBirth[x]","path":"Patient.multipleBirth[x]","type":[{"code":"integer"}]},
        {"id":"Patient.name","path":"Patient.name","maxLength":3,"min":0},
        {"id":"Patient.name.family","path":"Patient.name.family","maxLength":3}"#;
    let validator = Validator::new().with([profile("sliced", slicing)]);
    assert_eq!(validator.unusable(), []);
    let identifier = |code: &str| {
        format!(
            r#"{{"type":{{"text":"t","coding":[{{"system":"http://example.org/s","code":"{code}","display":"d"}}]}}}}"#
        )
    };
    let (a, b, c) = (identifier("a"), identifier("b"), identifier("c"));
    let named = r#"{"name":{"family":"X"},"telecom":[{"system":"phone","value":"1"}]}"#;
    for (members, expected) in [
        (format!(r#""identifier":[{b},{a}]"#), &[][..]),
        (format!(r#""identifier":[{b}]"#), &["slice-minimum Patient"]),
        (format!(r#""identifier":[{a},{a}]"#), &["slice-maximum Patient"]),
        (format!(r#""identifier":[{a},{c}]"#), &["slice-closed Patient.identifier[1]"]),
        (format!(r#""identifier":[{a}],"contact":[{named},{{"name":{{"family":"Y"}}}}]"#), &[]),
        (format!(r#""identifier":[{a}],"contact":[{named},{named}]"#), &["slice-maximum Patient"]),
        (format!(r#""identifier":[{a}],"deceasedBoolean":false,"multipleBirthInteger":2"#), &[]),
        (
            format!(r#""identifier":[{a}],"deceasedBoolean":true"#),
            &["fixed-value Patient.deceased.ofType(boolean)"],
        ),
        (format!(r#""identifier":[{a}],"deceasedDateTime":"2024""#), &[]),
        (
            format!(r#""identifier":[{a}],"multipleBirthBoolean":true"#),
            &["type-not-allowed Patient.multipleBirth.ofType(boolean)"],
        ),
        (format!(r#""identifier":[{a}],"name":[{{"family":"Long"}}]"#), &["too-long Patient.name[0].family"]),
    ] {
        let text =
            format!(r#"{{"resourceType":"Patient","meta":{{"profile":["{BASE}sliced|1.0"]}},{members}}}"#);
        assert_eq!(errors(&validator, &text), expected, "{members}");
    }
}

#[test]
fn definitions_are_followed_and_replaced() {
    let patient =
        |claimed: &str| format!(r#"{{"resourceType":"Patient","meta":{{"profile":["{claimed}"]}}}}"#);
    let derived = |name: &str, base: &str| match profile(name, r#"{"path":"Patient.active","max":"1"}"#) {
        Change::Put(mut resource) => {
            resource.set_text("baseDefinition", &format!("{BASE}{base}"));
            Change::Put(resource)
        }
        other => other,
    };
    let claimed = format!("{BASE}derived");
    let unknown = vec!["profile-unusable Patient.meta.profile[0]".to_owned()];
    let missing = vec!["minimum Patient".to_owned()];
    // Without its base it cannot be used; with it, it is; a changed base changes it; and back again.
    let alone = Validator::new().with([derived("derived", "root")]);
    assert_eq!(errors(&alone, &patient(&claimed)), unknown);
    let both = alone.with([profile("root", r#"{"path":"Patient.active","min":1}"#)]);
    assert_eq!(errors(&both, &patient(&claimed)), missing);
    let looser = both.with([profile("root", r#"{"path":"Patient.active","min":0}"#)]);
    assert_eq!(errors(&looser, &patient(&claimed)), Vec::<String>::new());
    assert_eq!(errors(&both, &patient(&claimed)), missing, "the one before is as it was");
    let gone = both.with([Change::Remove {
        resource_type: "StructureDefinition".to_owned(),
        url: format!("{BASE}root"),
        version: "1.0".to_owned(),
    }]);
    assert_eq!(errors(&gone, &patient(&claimed)), unknown);
    // The same content under another id is nothing new.
    let Change::Put(mut same) = profile("root", r#"{"path":"Patient.active","min":1}"#) else { return };
    same.set_id("x");
    assert!(both.holds(&same) && !looser.holds(&same) && !alone.holds(&same));
    // Profiles that go round in circles end.
    let circle = Validator::new().with([derived("derived", "other"), derived("other", "derived")]);
    assert_eq!(errors(&circle, &patient(&claimed)).len(), 1);
    // What cannot be checked refuses.
    let odd = r#"{"path":"Patient","constraint":[{"key":"k","severity":"error","human":"h","expression":"resolve().exists()"}]}"#;
    let validator = Validator::new().with([profile("odd", odd)]);
    assert_eq!(
        errors(&validator, &patient(&format!("{BASE}odd"))),
        ["profile-unsupported Patient.meta.profile[0]"]
    );
}

#[test]
fn snapshots_are_valid_definitions() {
    let validator = crate::framework::validator();
    for name in ["task", "organization", "extension-process-authorization", "meta", "questionnaire"] {
        let canonical = format!("{}/fhir/StructureDefinition/{name}", crate::framework::HOST);
        let definition = validator.definition(&canonical).unwrap();
        let mut with = validator.snapshot(definition).unwrap();
        add_default_profile(&mut with);
        let report = validator.validate(&with);
        assert!(report.accepted(), "{name}: {:?}", report.messages);
        let again = parse(&crate::to_json(&with), Format::Json).unwrap();
        assert_eq!(again, with, "{name}: snapshots survive the wire");
        // A profile made of the snapshot says the same as one made of the differential.
        assert!(with.at("snapshot.element").len() > definition.at("differential.element").len(), "{name}");
        assert!(
            !fragment_to_json(with.child("snapshot").unwrap(), "StructureDefinition.snapshot").is_empty()
        );
    }
}

/// Any tree of elements that the type table allows, with wild values.
fn tree(code: &'static str, depth: u32) -> BoxedStrategy<Element> {
    let definition = crate::types::definition(code).unwrap();
    let members: Vec<(&'static str, crate::types::Content)> = definition
        .elements()
        .iter()
        .flat_map(|element| {
            element.types.iter().filter_map(|kind| {
                let name = match element.name.strip_suffix("[x]") {
                    None => element.name.to_owned(),
                    Some(prefix) => {
                        let mut name = prefix.to_owned();
                        name.extend(kind.code.chars().next().map(|first| first.to_ascii_uppercase()));
                        name.push_str(&kind.code[1..]);
                        name
                    }
                };
                definition.member(&name).map(|member| (member.name, member.content))
            })
        })
        .collect();
    let text = prop_oneof![
        Just("http://dsf.dev/fhir/CodeSystem/bpmn-message".to_owned()),
        Just("message-name".to_owned()),
        Just("http://dsf.dev/fhir/StructureDefinition/task".to_owned()),
        Just("2024-01-01T10:00:00Z".to_owned()),
        Just("#a".to_owned()),
        Just("-1".to_owned()),
        Just("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p onclick=\"\">&#".to_owned()),
        any::<String>(),
    ];
    let child =
        (any::<prop::sample::Index>(), text, any::<bool>()).prop_flat_map(move |(index, text, bare)| {
            let (name, content) = members[index.index(members.len())];
            match content {
                crate::types::Content::Complex(inner) if depth > 0 && !bare => {
                    tree(crate::types::by_index(inner).path(), depth - 1)
                        .prop_map(move |mut element| {
                            element.rename(name);
                            element
                        })
                        .boxed()
                }
                _ => Just(Element::primitive(name, &text)).boxed(),
            }
        });
    prop::collection::vec(child, 0..8)
        .prop_map(|children| {
            let mut element = Element::new("x");
            *element.children_mut() = children;
            element
        })
        .boxed()
}

fn resource_of(code: &'static str) -> impl Strategy<Value = Resource> {
    tree(code, 4).prop_map(move |mut element| {
        let mut resource = Resource::new(code);
        resource.children_mut().append(element.children_mut());
        resource
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is in a resource, there is a report of bounded length.
    #[test]
    fn any_resource_gets_a_report(
        mut resource in prop_oneof![
            resource_of("Task"), resource_of("Bundle"), resource_of("StructureDefinition"),
            resource_of("Questionnaire"), resource_of("ValueSet"), resource_of("Organization"),
        ],
    ) {
        add_default_profile(&mut resource);
        let report = crate::framework::validator().validate_received(&resource);
        prop_assert!(report.messages.len() <= walk::MAX_MESSAGES);
    }

    /// Whatever is in a definition, it is compiled or refused, and so is what claims it.
    #[test]
    fn any_definition_is_compiled_or_refused(
        mut definition in resource_of("StructureDefinition"),
        paths in prop::collection::vec("(Patient|Task)(\\.(input|value\\[x\\]|valueString|type|coding|extension|code|item|meta)){0,5}", 0..8),
        slices in prop::collection::vec(prop::option::of("[a-c]"), 8),
        patient in resource_of("Patient"),
    ) {
        let mut differential = Element::new("differential");
        for (path, slice) in paths.iter().zip(slices) {
            let mut element = Element::new("element").with_text("path", path);
            if let Some(slice) = slice {
                element.push(Element::primitive("sliceName", &slice));
            }
            differential.push(element);
        }
        definition.remove("differential");
        for (name, value) in [("url", "http://example.org/any"), ("type", "Task"), ("derivation", "constraint"),
                              ("baseDefinition", "http://dsf.dev/fhir/StructureDefinition/task")] {
            definition.remove(name);
            definition.set_text(name, value);
        }
        definition.push(differential);
        let validator = crate::framework::validator().with([Change::Put(definition)]);
        let mut claiming = patient;
        claiming.remove("meta");
        claiming.push(Element::new("meta").with_text("profile", "http://example.org/any"));
        prop_assert!(!validator.validate(&claiming).accepted());
    }
}

/// Work is bounded, whatever a profile asks for.
#[test]
fn costly_invariants_end() {
    let costly = r#"{"path":"Patient","constraint":[{"key":"k","severity":"error","human":"h",
        "expression":"descendants().where(%resource.descendants().empty()).empty()"}]}"#;
    let validator = Validator::new().with([profile("costly", costly)]);
    let names = vec![
        r#"{"family":"a","extension":[{"url":"http://a","extension":[{"url":"b","valueString":"c"}]}]}"#;
        3000
    ];
    let text = format!(
        r#"{{"resourceType":"Patient","meta":{{"profile":["{BASE}costly"]}},"name":[{}]}}"#,
        names.join(",")
    );
    assert_eq!(errors(&validator, &text), [format!("{BASE}costly#k Patient")]);
}

/// Filters of value sets over a small system: shift > (day > early), night > deep; office. `level` is a property.
#[test]
fn filters_of_value_sets() {
    let system = r#"{"resourceType":"CodeSystem","url":"http://example.org/s","version":"1.0","name":"S","status":"active",
        "content":"complete","property":[{"code":"level","type":"string"},{"code":"unused","type":"code"}],
        "concept":[
            {"code":"shift","concept":[
                {"code":"day","property":[{"code":"level","valueString":"1"}],"concept":[{"code":"early","display":"Early bird"}]},
                {"code":"night","property":[{"code":"level","valueString":"2"}]}]},
            {"code":"deep","property":[{"code":"parent","valueCode":"night"}]},
            {"code":"office"}]}"#;
    const CODES: [&str; 6] = ["shift", "day", "early", "night", "deep", "office"];
    let table = [
        ("concept is-a shift", "shift day early night deep"),
        ("concept is-a night", "night deep"),
        ("concept descendent-of shift", "day early night deep"),
        ("concept is-not-a night", "shift day early office"),
        ("concept generalizes early", "shift day early"),
        ("concept = day", "day"),
        ("code in day,office", "day office"),
        ("concept not-in day,office", "shift early night deep"),
        ("code regex .*e.*", "early deep office"),
        ("level = 1", "day"),
        ("level exists true", "day night"),
        ("level exists false", "shift early deep office"),
        ("unused exists false", "shift day early night deep office"),
        ("parent = shift", "day night"),
        ("display regex Early.*", "early"),
        // Undecided: nobody is refused.
        ("other = 1", "shift day early night deep office"),
        ("level is-a 1", "shift day early night deep office"),
        ("code regex (", "shift day early night deep office"),
    ];
    for (filter, expected) in table {
        let [property, op, value] = filter.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{filter}") };
        let set = format!(
            r#"{{"resourceType":"ValueSet","url":"http://example.org/vs","version":"1.0","status":"active","compose":{{"include":[
                {{"system":"http://example.org/s","filter":[{{"property":"{property}","op":"{op}","value":"{value}"}}]}}]}}}}"#
        );
        let bound = r#"{"id":"Patient.maritalStatus","path":"Patient.maritalStatus","min":1,
            "binding":{"strength":"required","valueSet":"http://example.org/vs"}}"#;
        let validator = Validator::new().with([
            Change::Put(json(system)),
            Change::Put(json(&set)),
            profile("bound", bound),
        ]);
        let patient = |code: &str| {
            format!(
                r#"{{"resourceType":"Patient","meta":{{"profile":["{BASE}bound"]}},
                    "maritalStatus":{{"coding":[{{"system":"http://example.org/s","code":"{code}"}}]}}}}"#
            )
        };
        let accepted: Vec<&str> =
            CODES.into_iter().filter(|code| errors(&validator, &patient(code)).is_empty()).collect();
        assert_eq!(accepted.join(" "), expected, "{filter}");
    }
}
