//! The framework's own definitions: profiles, code systems and value sets of the present generation
//! (`dsf.dev`) and of the first one (`highmed.org`).
//!
//! They are kept as compact text in `crates/fhir/framework`, from which the FHIR resources are built.
//! The text is a constant of the program: tests build and compile all of it.

mod profiles;
mod terminology;

use std::sync::LazyLock;

use crate::element::Element;
use crate::resource::Resource;
use crate::validation::{Change, Validator};

/// Host part of the canonicals of the present generation.
pub const HOST: &str = "http://dsf.dev";

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| Validator::new().with(resources().into_iter().map(Change::Put)));

/// All definitions of both generations: code systems, value sets, profiles. Built anew for each call:
/// who needs them, needs them rarely.
pub fn resources() -> Vec<Resource> {
    let mut resources = terminology::resources();
    resources.extend(profiles::resources());
    resources
}

/// A validator that knows R4 and the framework's definitions.
pub fn validator() -> Validator {
    VALIDATOR.clone()
}

/// What a block of definitions has in common.
#[derive(Clone, Copy)]
struct Generation<'a> {
    host: &'a str,
    version: &'a str,
    date: &'a str,
}

impl<'a> Generation<'a> {
    fn read(words: &[&'a str]) -> Generation<'a> {
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        Generation { host: word(0), version: word(1), date: word(2) }
    }

    /// A resource that everybody may read, with the given options in place of the block's.
    fn resource(&self, code: &str, name: &str, options: &[&str]) -> Resource {
        let option = |key: &str| options.iter().find_map(|option| option.strip_prefix(key));
        let tag = Element::new("tag")
            .with_text("system", &format!("{}/fhir/CodeSystem/read-access-tag", HOST))
            .with_text("code", "ALL");
        let mut resource = Resource::new(code);
        resource.push(Element::new("meta").with(tag));
        for (element, value) in [
            ("url", format!("{}/fhir/{code}/{name}", self.host).as_str()),
            ("version", option("version=").unwrap_or(self.version)),
            ("name", &pascal(name)),
            ("status", "active"),
            ("experimental", "false"),
            ("date", option("date=").unwrap_or(self.date)),
        ] {
            resource.push(Element::primitive(element, value));
        }
        resource
    }
}

/// `read-access-tag` to `ReadAccessTag`.
fn pascal(name: &str) -> String {
    name.split('-')
        .flat_map(|word| {
            let mut characters = word.chars();
            let first = characters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(characters)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::add_default_profile;

    #[test]
    fn own_definitions_are_valid_and_usable() {
        assert_eq!(resources().len(), 103);
        assert_eq!(validator().unusable(), []);
        for mut resource in resources() {
            add_default_profile(&mut resource);
            let report = validator().validate(&resource);
            assert!(report.messages.is_empty(), "{:?}: {:?}", resource.text("url"), report.messages);
            for format in [crate::Format::Json, crate::Format::Xml] {
                let read = crate::parse(&crate::write(&resource, format), format);
                assert_eq!(read.as_ref(), Ok(&resource), "{:?}", resource.text("url"));
            }
        }
    }
}
