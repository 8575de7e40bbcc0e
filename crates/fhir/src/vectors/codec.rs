//! Conversion vectors (see `shared/vectors/codec/README.md`).
//!
//! A case passes if reading its input and writing it gives the expected JSON and XML, and
//! reading either expectation gives the other one. Where a vector names a quirk of its producer, the
//! comparison leaves out what the producer loses (ids of primitives in JSON, line feeds in XML
//! attributes, comments) and the expectations are not converted into one another. In every case a
//! second round must change nothing.

use std::fs;
use std::path::Path;

use quick_xml::XmlVersion;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use crate::json::syntax::{Value, document};
use crate::{Format, parse, write};

/// Deepest JSON and most values of a vector.
const VECTOR_LIMIT: usize = 1_000_000;

/// Runs all cases of the index in `dir`. Every failure is reported as one line; the result is the numbers
/// of passed and failed cases. An unreadable index counts as one failure.
pub fn run_codec(dir: &Path, report: &mut dyn FnMut(&str)) -> (usize, usize) {
    let index = match fs::read_to_string(dir.join("index.jsonl")) {
        Ok(index) => index,
        Err(error) => {
            report(&format!("{}: {error}", dir.join("index.jsonl").display()));
            return (0, 1);
        }
    };
    let (mut passed, mut failed) = (0, 0);
    for line in index.lines().filter(|line| !line.trim().is_empty()) {
        let case = Case::read(line);
        let problems = match &case {
            Some(case) => case.run(dir),
            None => vec!["not a case of the index".to_owned()],
        };
        if problems.is_empty() {
            passed += 1;
        } else {
            failed += 1;
        }
        for problem in problems {
            report(&format!("{}: {problem}", case.as_ref().map_or("?", |case| &case.name)));
        }
    }
    (passed, failed)
}

struct Case {
    name: String,
    input: String,
    quirk: bool,
}

impl Case {
    fn read(line: &str) -> Option<Case> {
        let Ok(Value::Object(members)) = document(line, 8, 100) else { return None };
        let text = |name: &str| {
            members.iter().find(|(other, _)| other == name).and_then(|(_, value)| match value {
                Value::String(text) => Some(text.to_string()),
                _ => None,
            })
        };
        Some(Case { name: text("name")?, input: text("input")?, quirk: text("quirk").is_some() })
    }

    fn run(&self, dir: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        let mut file = |name: &str| match fs::read(dir.join(&self.name).join(name)) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                problems.push(format!("{name}: {error}"));
                None
            }
        };
        let (Some(input), Some(json), Some(xml)) =
            (file(&self.input), file("expected.json"), file("expected.xml"))
        else {
            return problems;
        };
        let format = if self.input.ends_with(".xml") { Format::Xml } else { Format::Json };
        let mut check = |from: &str, bytes: &[u8], format, to: &[(Format, &[u8])]| match parse(bytes, format)
        {
            Err(error) => problems.push(format!("{from} is refused: {error}")),
            Ok(resource) => {
                for (format, expected) in to {
                    let (expected, found) = (
                        self.canonical(expected, *format),
                        self.canonical(&write(&resource, *format), *format),
                    );
                    if expected != found {
                        problems
                            .push(format!("{from} to {format:?}\n  expected {expected}\n  found    {found}"));
                    }
                }
                for format in [Format::Json, Format::Xml] {
                    if parse(&write(&resource, format), format).as_ref() != Ok(&resource) {
                        problems.push(format!("{from}: writing as {format:?} and reading changes it"));
                    }
                }
            }
        };
        check("the input", &input, format, &[(Format::Json, &json), (Format::Xml, &xml)]);
        if !self.quirk {
            check("the expected JSON", &json, Format::Json, &[(Format::Xml, &xml)]);
            check("the expected XML", &xml, Format::Xml, &[(Format::Json, &json)]);
        }
        problems
    }

    /// A text that is equal for documents that are equal by the rules of the vectors.
    fn canonical(&self, bytes: &[u8], format: Format) -> String {
        let text = String::from_utf8_lossy(bytes);
        let mut out = String::new();
        match format {
            Format::Json => match document(&text, VECTOR_LIMIT, VECTOR_LIMIT) {
                Ok(value) => self.canonical_json("", &value, &mut out),
                Err(error) => out.push_str(&error.to_string()),
            },
            Format::Xml => self.canonical_xml(&text, &mut out),
        }
        out
    }

    fn canonical_json(&self, name: &str, value: &Value<'_>, out: &mut String) {
        match value {
            Value::Null => out.push_str("null"),
            Value::Boolean(value) => out.push_str(&value.to_string()),
            Value::Number(text) => out.push_str(text),
            Value::String(text) if name == "div" => self.canonical_xml(text, out),
            Value::String(text) => out.push_str(&format!("{text:?}")),
            Value::Array(items) => {
                out.push('[');
                for item in items {
                    self.canonical_json(name, item, out);
                    out.push(',');
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (member, value) in members {
                    // Ids of primitives are what the producer loses.
                    if self.quirk && member.starts_with('_') && only_ids(value) {
                        continue;
                    }
                    out.push_str(member);
                    out.push(':');
                    self.canonical_json(member, value, out);
                    out.push(',');
                }
                out.push('}');
            }
        }
    }

    fn canonical_xml(&self, text: &str, out: &mut String) {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut run = String::new();
        let mut open: Vec<String> = Vec::new();
        loop {
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    out.push_str(&error.to_string());
                    return;
                }
            };
            match event {
                Event::Text(text) => run.push_str(&text),
                Event::CData(text) => run.push_str(&text),
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(character)) => run.push(character),
                    _ => run.push_str(quick_xml::escape::resolve_xml_entity(&reference).unwrap_or("?")),
                },
                Event::Start(start) => {
                    flush(&mut run, &open, out);
                    open.push(start.name().as_ref().to_owned());
                    let mut attributes: Vec<String> = start
                        .attributes()
                        .flatten()
                        .map(|attribute| {
                            let value =
                                attribute.normalized_value(XmlVersion::Explicit1_0).unwrap_or_default();
                            let value = if self.quirk {
                                value.replace(['\n', '\r', '\t'], " ")
                            } else {
                                value.into_owned()
                            };
                            format!(" {}={value:?}", attribute.key.as_ref())
                        })
                        .collect();
                    attributes.sort();
                    out.push_str(&format!("<{}{}>", start.name().as_ref(), attributes.concat()));
                }
                Event::End(end) => {
                    flush(&mut run, &open, out);
                    open.pop();
                    out.push_str(&format!("</{}>", end.name().as_ref()));
                }
                Event::Eof => return,
                _ => {}
            }
        }
    }
}

/// Writes collected text with white space folded outside `pre`; blank text only counts inside `pre`.
fn flush(run: &mut String, open: &[String], out: &mut String) {
    if open.iter().any(|name| name == "pre") {
        out.push_str(run);
    } else if !run.trim_ascii().is_empty() {
        let mut blank = false;
        for character in run.chars() {
            let is_blank = character.is_ascii_whitespace();
            if !is_blank || !blank {
                out.push(if is_blank { ' ' } else { character });
            }
            blank = is_blank;
        }
    }
    run.clear();
}

fn only_ids(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.iter().all(|(name, _)| name == "id"),
        Value::Array(items) => items.iter().all(only_ids),
        _ => false,
    }
}
