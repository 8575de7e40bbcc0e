//! Laws of the codec: conversion between the formats loses nothing, and no input makes it panic.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

use fhir::primitive::Primitive;
use fhir::types::{self, Content, Kind, TypeDefinition};
use fhir::{Element, Format, Limits, Resource, fragment_from_json, parse, parse_with, write};
use proptest::collection::vec;
use proptest::prelude::*;

/// Makes a resource from bytes: fewer and smaller bytes make a simpler resource, so that failures shrink.
struct Maker<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Maker<'_> {
    fn number(&mut self, below: usize) -> usize {
        usize::from(*self.bytes.next().unwrap_or(&0)) * 7 % below.max(1)
    }

    fn resource(&mut self) -> Resource {
        let all: Vec<_> = types::all().filter(|t| t.kind() == Kind::Resource && !t.is_abstract()).collect();
        let definition = all[self.number(256) * self.number(256) % all.len()];
        let mut resource = Resource::new(definition.path());
        self.fill(definition, resource.root_mut(), 0);
        resource
    }

    fn fill(&mut self, definition: &'static TypeDefinition, element: &mut Element, depth: usize) {
        for definition_element in definition.elements() {
            if definition_element.name == "id" && definition_element.attribute {
                if self.number(4) == 1 {
                    element.set_id_attr(Some("x"));
                }
                continue;
            }
            let chosen = if depth == 0 { self.number(3) == 1 } else { self.number(2 + 2 * depth) == 1 };
            if !chosen {
                continue;
            }
            let types = &definition_element.types;
            let code = types[self.number(types.len())].code;
            let name = match definition_element.name.strip_suffix("[x]") {
                Some(prefix) => format!("{prefix}{}{}", code[..1].to_uppercase(), &code[1..]),
                None => definition_element.name.to_owned(),
            };
            let Some(member) = definition.member(&name) else { panic!("no member {name}") };
            let count = if member.repeats { 1 + self.number(3) } else { 1 };
            for _ in 0..count {
                let child = match member.content {
                    Content::Primitive(primitive) => {
                        let mut child = Element::primitive(&name, &self.value(primitive, definition, &name));
                        // Extensions of primitives; not where XML has an attribute.
                        if !member.attribute && primitive != Primitive::Xhtml && self.number(6) == 1 {
                            if member.repeats && self.number(2) == 1 {
                                child.set_value(None);
                            }
                            child.push(
                                Element::new("extension").with_text("url", "u").with_text("valueCode", "c"),
                            );
                        }
                        child
                    }
                    Content::Complex(index) => {
                        let mut child = Element::new(&name);
                        self.fill(types::by_index(index), &mut child, depth + 1);
                        child
                    }
                    Content::Resource if depth < 2 => self.resource().into_element(&name),
                    Content::Resource => continue,
                };
                let ambiguous = definition.path() == "Extension"
                    && (name.starts_with("value") && element.child("extension").is_some());
                if !child.is_empty() && !ambiguous {
                    element.push(child);
                }
            }
        }
    }

    fn value(&mut self, primitive: Primitive, definition: &TypeDefinition, name: &str) -> String {
        // A closed value set: any code of the table will do, and the definitions name many of them.
        if primitive == Primitive::Code && definition.element(name).is_some_and(|e| e.binding.is_some()) {
            let json = |code: &str| format!("{{\"{name}\":\"{code}\"}}");
            let codes = [
                "active",
                "final",
                "draft",
                "usual",
                "official",
                "generated",
                "phone",
                "home",
                "a",
                "=",
                "xml",
            ];
            let known = codes.into_iter().find(|code| {
                let both = [json(code), format!("{{\"{name}\":[\"{code}\"]}}")];
                both.iter().any(|json| {
                    fragment_from_json(json.as_bytes(), definition.path())
                        .is_ok_and(|e| e.child(name).is_some())
                })
            });
            return known.map(str::to_owned).unwrap_or_default();
        }
        let choices: &[&str] = match primitive {
            Primitive::Boolean => &["true", "false"],
            Primitive::Integer => &["0", "-17", "2147483647"],
            Primitive::PositiveInt | Primitive::UnsignedInt => &["1", "42"],
            Primitive::Decimal => {
                &["1.00", "0", "-0.000000000000000000000000001", "100", "12345678901234567890.10"]
            }
            Primitive::Date => &["2024", "2024-02", "2024-02-29"],
            Primitive::DateTime | Primitive::Instant => {
                &["2024-02-29T10:11:12.123+01:00", "2024-02-29T10:11:12Z"]
            }
            Primitive::Base64Binary => &["QQ==", "QUJD"],
            Primitive::Xhtml => &[
                "<div xmlns=\"http://www.w3.org/1999/xhtml\">a <b>x</b> tail\n&lt;<br/></div>",
                "<div xmlns=\"http://www.w3.org/1999/xhtml\"/>",
            ],
            _ => {
                &["a", " b ", "ä\u{10348}\u{2028}", "a\nb\tc\rd", "<&>\"'\\/", "&amp;lt;", "]]>", "\u{fffd}"]
            }
        };
        choices[self.number(choices.len())].to_owned()
    }
}

proptest! {
    #[test]
    fn formats_agree(bytes in vec(any::<u8>(), 0..6000)) {
        let made = Maker { bytes: bytes.iter() }.resource();
        // Reading drops values that a closed value set has no code for, so start from what was read once.
        let first = parse(&write(&made, Format::Json), Format::Json).expect("our own JSON");
        let other = parse(&write(&made, Format::Xml), Format::Xml).expect("our own XML");
        prop_assert!(other == first, "formats differ: {}", String::from_utf8_lossy(&write(&made, Format::Xml)));
        let json = write(&first, Format::Json);
        let xml = write(&first, Format::Xml);
        let from_json = parse(&json, Format::Json).expect("our own JSON");
        let from_xml = parse(&xml, Format::Xml).expect("our own XML");
        prop_assert!(from_json == first, "JSON changes: {}", String::from_utf8_lossy(&json));
        prop_assert!(from_xml == first, "XML changes: {}", String::from_utf8_lossy(&xml));
        prop_assert_eq!(write(&from_xml, Format::Json), json);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, Format::Json);
        let _ = parse(&bytes, Format::Xml);
    }

    #[test]
    fn damaged_documents_are_read_or_refused(
        bytes in vec(any::<u8>(), 0..3000),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let resource = Maker { bytes: bytes.iter() }.resource();
        for format in [Format::Json, Format::Xml] {
            let mut document = write(&resource, format);
            for (index, byte) in &damage {
                let index = index.index(document.len());
                document[index] = *byte;
            }
            if let Ok(read) = parse(&document, format) {
                for format in [Format::Json, Format::Xml] {
                    let again = parse(&write(&read, format), format);
                    prop_assert!(again.as_ref() == Ok(&read), "{}", String::from_utf8_lossy(&document));
                }
            }
        }
    }
}

#[test]
fn limits_hold() {
    for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
        let json = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(parse(json.as_bytes(), Format::Json).is_err());
    }
    let item = |count: usize| {
        format!(
            "<Questionnaire xmlns=\"http://hl7.org/fhir\">{}<linkId value=\"1\"/>{}</Questionnaire>",
            "<item>".repeat(count),
            "</item>".repeat(count)
        )
    };
    assert!(parse(item(90).as_bytes(), Format::Xml).is_ok());
    assert!(parse(item(100).as_bytes(), Format::Xml).is_err());
    assert!(parse(item(100_000).as_bytes(), Format::Xml).is_err());
    let unknown = |count: usize| format!("<Task>{}{}</Task>", "<x>".repeat(count), "</x>".repeat(count));
    assert!(parse(unknown(90).as_bytes(), Format::Xml).is_ok());
    assert!(parse(unknown(100_000).as_bytes(), Format::Xml).is_err());
    // Many attributes and many elements take time in proportion to their number, or are refused.
    let attributes: String = (0..200_000).map(|i| format!(" xmlns:a{i}=\"u\"")).collect();
    assert!(parse(format!("<Task{attributes}/>").as_bytes(), Format::Xml).is_err());
    let div = format!(
        "{{\"resourceType\":\"Patient\",\"text\":{{\"div\":\"<div{}/>\"}}}}",
        attributes.replace('"', "'")
    );
    assert!(parse(div.as_bytes(), Format::Json).is_err());
    let small = Limits { max_bytes: 40, max_elements: 3, ..Limits::default() };
    for (json, accepted) in [
        ("{\"resourceType\":\"Task\",\"id\":\"1\"}", true),
        ("{\"resourceType\":\"Task\",\"id\":\"1\",\"a\":1}", false),
        ("{\"resourceType\":\"Task\"}                    ", false),
    ] {
        assert_eq!(parse_with(json.as_bytes(), Format::Json, &small).is_ok(), accepted, "{json}");
    }
}

#[test]
fn refused_and_tolerated() {
    for (document, accepted) in [
        ("{\"resourceType\":\"Task\"}", true),
        ("\u{feff}{\"resourceType\":\"Task\"}", false),
        ("{\"resourceType\":\"Task\"} 1", false),
        ("{\"resourceType\":\"Nothing\"}", false),
        ("{\"resourceType\":\"DomainResource\"}", false),
        ("{\"id\":\"1\"}", false),
        ("[]", false),
        ("{\"resourceType\":\"Task\",\"status\":\"gone\"}", false),
        ("{\"resourceType\":\"Task\",\"status\":\"\"}", true),
        ("{\"resourceType\":\"Task\",\"authoredOn\":\"yesterday\"}", false),
        (
            "{\"resourceType\":\"Task\",\"status\":[\"draft\",\"requested\"],\"input\":{\"valueInteger\":\"1\"}}",
            true,
        ),
        ("{\"resourceType\":\"Patient\",\"active\":\"yes\"}", false),
        ("{\"resourceType\":\"Binary\",\"data\":\"*\"}", false),
        ("{\"resourceType\":\"Patient\",\"contained\":[{}]}", false),
        ("{\"resourceType\":\"Patient\",\"text\":{\"div\":\"<div><p></div>\"}}", false),
        (
            "{\"resourceType\":\"Patient\",\"extension\":[{\"url\":\"a\",\"valueString\":\"x\",\"extension\":[{\"url\":\"b\"}]}]}",
            false,
        ),
        ("<Task/>", true),
        (
            "<?xml version=\"1.0\" encoding=\"uTf-8\"?><Task xmlns=\"urn:x\" xmlns:xsi=\"urn:i\" xsi:schemaLocation=\"a b\"/>",
            true,
        ),
        ("\u{feff}<Task xmlns=\"http://hl7.org/fhir\"/>", true),
        ("<!DOCTYPE Task><Task/>", false),
        ("<f:Task/>", false),
        ("<Task/><Task/>", false),
        ("<Task/>x", false),
        ("<Task>", false),
        ("<Task></Tusk>", false),
        ("<Task><status value=\"&x;\"/></Task>", false),
        ("<Task><status value=\"draft\" value=\"draft\"/></Task>", false),
        ("<Task><contained><Patient/><Patient/></contained></Task>", false),
        ("<Task><text><div>&nbsp;</div></text></Task>", false),
    ] {
        let format =
            if document.contains('<') && !document.contains('{') { Format::Xml } else { Format::Json };
        assert_eq!(parse(document.as_bytes(), format).is_ok(), accepted, "{document}");
    }
    // The last of several wins where one is allowed.
    let task = parse(b"{\"resourceType\":\"Task\",\"status\":[\"draft\",\"requested\"]}", Format::Json)
        .expect("a Task");
    assert_eq!(task.text("status"), Some("requested"));
    let task = parse(
        b"<Task><status value='draft'/><intent value='order'/><status value='ready'/></Task>",
        Format::Xml,
    );
    assert_eq!(task.expect("a Task").at("status").len(), 1);
}

#[test]
fn encodings() {
    let text =
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><Patient><language value=\"\u{e4}\"/></Patient>";
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    let utf16: Vec<u8> = [0xfeff]
        .into_iter()
        .chain(text.replace("ISO-8859-1", "UTF-16").encode_utf16())
        .flat_map(u16::to_be_bytes)
        .collect();
    for bytes in [latin, utf16] {
        let patient = parse(&bytes, Format::Xml).expect("a Patient");
        assert_eq!(patient.text("language"), Some("\u{e4}"));
    }
}

#[test]
fn fragments() {
    let json =
        br#"{"type":{"coding":[{"system":"s","code":"c"}]},"valueReference":{"reference":"Patient/1"}}"#;
    let output = fragment_from_json(json, "Task.output").expect("an output");
    assert_eq!((output.name(), output.text("type.coding.code")), ("output", Some("c")));
    assert_eq!(fhir::fragment_to_json(&output, "Task.output"), json);
    assert!(fragment_from_json(b"{}", "Task.nothing").is_err());
}
