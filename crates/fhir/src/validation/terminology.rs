//! Code systems and value sets: is this code one of that set?

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::filter::{Filter, Hierarchy};
use super::node::Text;
use super::versions::Versions;
use crate::element::Element;

/// Deepest chain of value sets that import one another.
const MAX_IMPORTS: usize = 8;

/// What is known of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    Member,
    /// Not in the set.
    NoMember,
    /// The set, or what it consists of, is not known.
    Unknown,
}

/// What is known of a code in its system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InSystem {
    Code,
    NoCode,
    /// The system is held, but not in that version.
    OtherVersion,
    /// The system is not held, or not completely.
    Unknown,
}

/// A set of codes, which may still be packed.
#[derive(Clone, Debug, Default)]
pub(super) struct Codes {
    /// Separated by white space; what would be one within a code is percent-encoded.
    packed: &'static str,
    /// Unpacked in lower case.
    folded: bool,
    set: OnceLock<HashSet<Box<str>>>,
}

impl Codes {
    /// Codes of a compiled-in table, unpacked when one of them is looked up.
    pub(super) fn packed(packed: &'static str, folded: bool) -> Codes {
        Codes { packed, folded, set: OnceLock::new() }
    }

    fn set(&self) -> &HashSet<Box<str>> {
        let decode = |code: &str| {
            let code = code.replace("%20", " ").replace("%09", "\t").replace("%25", "%");
            if self.folded { code.to_lowercase().into() } else { code.into() }
        };
        self.set.get_or_init(|| self.packed.split_ascii_whitespace().map(decode).collect())
    }
}

impl FromIterator<Box<str>> for Codes {
    fn from_iter<I: IntoIterator<Item = Box<str>>>(codes: I) -> Codes {
        Codes { packed: "", folded: false, set: OnceLock::from(codes.into_iter().collect::<HashSet<_>>()) }
    }
}

/// The codes of a code system.
#[derive(Clone, Debug)]
pub(super) struct CodeSystem {
    complete: bool,
    case_sensitive: bool,
    /// In lower case where case does not matter.
    codes: Codes,
    /// What filters need. Not held of systems in compiled-in tables, nor where case does not matter.
    hierarchy: Option<Hierarchy>,
}

/// What a value set consists of.
#[derive(Clone, Debug, Default)]
pub(super) struct ValueSet {
    includes: Vec<Part>,
    excludes: Vec<Part>,
}

/// One include or exclude.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) system: Option<Box<str>>,
    pub(super) version: Option<Box<str>>,
    /// Imported value sets.
    pub(super) value_sets: Vec<Box<str>>,
    /// Filters, all of which must let a code through.
    pub(super) filters: Filters,
    /// Listed codes; without, the whole system.
    pub(super) codes: Option<Codes>,
}

/// Filters of a part.
#[derive(Clone, Debug, Default)]
pub(super) enum Filters {
    #[default]
    None,
    /// At least one of them cannot be evaluated.
    Unsupported,
    All(Vec<Filter>),
}

impl Filters {
    fn read(part: &Element) -> Filters {
        if part.child("filter").is_none() {
            return Filters::None;
        }
        part.each("filter")
            .map(Filter::read)
            .collect::<Option<_>>()
            .map_or(Filters::Unsupported, Filters::All)
    }
}

/// A coded value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coded<'a> {
    /// For a `code`, the set says which system is meant.
    pub(super) system: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    pub(super) code: &'a str,
}

/// Code systems and value sets by canonical.
#[derive(Clone, Debug, Default)]
pub(super) struct Terminology {
    systems: HashMap<Text, Versions<CodeSystem>>,
    sets: HashMap<Text, Versions<ValueSet>>,
}

/// Systems whose codes follow a rule instead of a list.
fn by_rule(system: &str) -> Option<fn(&str) -> bool> {
    Some(match system {
        "urn:ietf:bcp:47" => |_| true,
        "urn:iso:std:iso:4217" => {
            |code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
        }
        "urn:iso:std:iso:3166" => {
            |code| matches!(code.len(), 2 | 3) && code.bytes().all(|byte| byte.is_ascii_uppercase())
        }
        "http://unitsofmeasure.org" => |_| true,
        _ => return None,
    })
}

impl CodeSystem {
    /// Codes of a system where case does not matter are given in lower case.
    pub(super) fn new(complete: bool, case_sensitive: bool, codes: Codes) -> CodeSystem {
        CodeSystem { complete, case_sensitive, codes, hierarchy: None }
    }

    /// From a CodeSystem resource.
    pub(super) fn read(resource: &Element) -> CodeSystem {
        let mut codes = Vec::new();
        concepts(resource, &mut codes);
        let complete = matches!(resource.text("content"), Some("complete"));
        let case_sensitive = resource.text("caseSensitive") != Some("false");
        let hierarchy = case_sensitive.then(|| Hierarchy::read(resource));
        let codes = codes
            .into_iter()
            .map(|code| if case_sensitive { code } else { code.to_lowercase().into() })
            .collect();
        CodeSystem { hierarchy, ..CodeSystem::new(complete, case_sensitive, codes) }
    }

    /// Whether filters let one of the codes through.
    fn passes(&self, filters: &Filters, code: &str) -> Membership {
        let filters = match filters {
            Filters::None => return Membership::Member,
            Filters::Unsupported => return Membership::Unknown,
            Filters::All(filters) => filters,
        };
        let Some(hierarchy) = self.hierarchy.as_ref().filter(|_| self.complete) else {
            return Membership::Unknown;
        };
        let mut all = Membership::Member;
        for filter in filters {
            match filter.lets_through(code, hierarchy) {
                Some(true) => {}
                Some(false) => return Membership::NoMember,
                None => all = Membership::Unknown,
            }
        }
        all
    }

    fn has(&self, code: &str) -> bool {
        if self.case_sensitive {
            self.codes.set().contains(code)
        } else {
            self.codes.set().contains(&*code.to_lowercase())
        }
    }
}

fn concepts(element: &Element, codes: &mut Vec<Box<str>>) {
    for concept in element.each("concept") {
        codes.extend(concept.text("code").map(Into::into));
        concepts(concept, codes);
    }
}

impl ValueSet {
    pub(super) fn add(&mut self, include: bool, part: Part) {
        if include { self.includes.push(part) } else { self.excludes.push(part) }
    }

    /// From a ValueSet resource.
    pub(super) fn read(resource: &Element) -> ValueSet {
        let mut set = ValueSet::default();
        let Some(compose) = resource.child("compose") else {
            // Only an expansion: its codes are the set.
            if let Some(expansion) = resource.child("expansion") {
                contained(expansion, &mut set);
            }
            return set;
        };
        for (name, include) in [("include", true), ("exclude", false)] {
            for part in compose.each(name) {
                let mut concepts =
                    part.each("concept").filter_map(|concept| concept.text("code")).map(Box::from).peekable();
                set.add(
                    include,
                    Part {
                        system: part.text("system").map(Into::into),
                        version: part.text("version").map(Into::into),
                        value_sets: part
                            .each("valueSet")
                            .filter_map(Element::value)
                            .map(Into::into)
                            .collect(),
                        filters: Filters::read(part),
                        codes: concepts.peek().is_some().then(|| concepts.collect()),
                    },
                );
            }
        }
        set
    }
}

fn contained(element: &Element, set: &mut ValueSet) {
    for entry in element.each("contains") {
        if let Some(code) = entry.text("code") {
            set.add(
                true,
                Part {
                    system: entry.text("system").map(Into::into),
                    version: entry.text("version").map(Into::into),
                    value_sets: Vec::new(),
                    filters: Filters::None,
                    codes: Some([Box::from(code)].into_iter().collect()),
                },
            );
        }
        contained(entry, set);
    }
}

impl Terminology {
    pub(super) fn add_code_system(&mut self, url: &str, version: &str, system: CodeSystem) {
        self.systems.entry(url.into()).or_default().add(version, Arc::new(system));
    }

    pub(super) fn add_value_set(&mut self, url: &str, version: &str, mut set: ValueSet) {
        // Most have one part, and there are more than a thousand sets.
        set.includes.shrink_to_fit();
        set.excludes.shrink_to_fit();
        self.sets.entry(url.into()).or_default().add(version, Arc::new(set));
    }

    pub(super) fn remove_code_system(&mut self, url: &str, version: &str) {
        if let Some(versions) = self.systems.get_mut(url) {
            versions.remove(version);
        }
    }

    pub(super) fn remove_value_set(&mut self, url: &str, version: &str) {
        if let Some(versions) = self.sets.get_mut(url) {
            versions.remove(version);
        }
    }
}

/// Several terminologies, the first one first.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a>(pub(super) [&'a Terminology; 2]);

impl Layers<'_> {
    fn system(&self, url: &str, version: Option<&str>) -> Result<&CodeSystem, InSystem> {
        let mut held = false;
        for layer in self.0 {
            if let Some(versions) = layer.systems.get(url) {
                match versions.get(version) {
                    Some(system) => return Ok(system),
                    None => held |= !versions.is_empty(),
                }
            }
        }
        Err(if held { InSystem::OtherVersion } else { InSystem::Unknown })
    }

    fn set(&self, canonical: &str) -> Option<&ValueSet> {
        let (url, version) = split(canonical);
        self.0.iter().find_map(|layer| layer.sets.get(url)?.get(version).map(|set| &**set))
    }

    /// Whether a system has a code.
    pub(super) fn in_system(&self, system: &str, version: Option<&str>, code: &str) -> InSystem {
        match self.system(system, version) {
            Ok(system) if system.has(code) => InSystem::Code,
            Ok(system) if system.complete => InSystem::NoCode,
            Ok(_) => InSystem::Unknown,
            Err(InSystem::Unknown) => match by_rule(system) {
                Some(rule) if rule(code) => InSystem::Code,
                Some(_) => InSystem::NoCode,
                None => InSystem::Unknown,
            },
            Err(other) => other,
        }
    }

    /// Whether a code is in a value set.
    pub(super) fn member(&self, value_set: &str, coded: Coded<'_>) -> Membership {
        self.member_at(value_set, coded, MAX_IMPORTS)
    }

    fn member_at(&self, value_set: &str, coded: Coded<'_>, depth: usize) -> Membership {
        let (Some(set), Some(depth)) = (self.set(value_set), depth.checked_sub(1)) else {
            return Membership::Unknown;
        };
        let mut unknown = false;
        let mut included = false;
        for part in &set.includes {
            match self.part(part, coded, depth) {
                Membership::Member => {
                    included = true;
                    break;
                }
                Membership::Unknown => unknown = true,
                Membership::NoMember => {}
            }
        }
        if !included {
            return if unknown { Membership::Unknown } else { Membership::NoMember };
        }
        for part in &set.excludes {
            match self.part(part, coded, depth) {
                Membership::Member => return Membership::NoMember,
                Membership::Unknown => return Membership::Unknown,
                Membership::NoMember => {}
            }
        }
        Membership::Member
    }

    fn part(&self, part: &Part, coded: Coded<'_>, depth: usize) -> Membership {
        if let Some(system) = &part.system {
            if coded.system.is_some_and(|other| other != &**system) {
                return Membership::NoMember;
            }
            if let (Some(version), Some(other)) = (part.version.as_deref(), coded.version)
                && version != other
            {
                return Membership::NoMember;
            }
        }
        let mut result = Membership::Member;
        for set in &part.value_sets {
            match self.member_at(set, coded, depth) {
                Membership::NoMember => return Membership::NoMember,
                Membership::Unknown => result = Membership::Unknown,
                Membership::Member => {}
            }
        }
        let Some(system) = &part.system else { return result };
        match &part.codes {
            Some(codes) if codes.set().contains(coded.code) => result,
            Some(codes) => {
                let folded = matches!(self.system(system, None), Ok(system) if !system.case_sensitive);
                if folded && codes.set().iter().any(|code| code.eq_ignore_ascii_case(coded.code)) {
                    result
                } else {
                    Membership::NoMember
                }
            }
            None => match self.in_system(system, coded.version.or(part.version.as_deref()), coded.code) {
                InSystem::Code => {
                    let version = coded.version.or(part.version.as_deref());
                    self.filtered(part, system, version, coded.code, result)
                }
                InSystem::NoCode => Membership::NoMember,
                // The set may name a version that is not held while another one is.
                InSystem::OtherVersion if coded.version.is_none() => {
                    match self.in_system(system, None, coded.code) {
                        InSystem::Code => self.filtered(part, system, None, coded.code, result),
                        InSystem::NoCode => Membership::NoMember,
                        _ => Membership::Unknown,
                    }
                }
                InSystem::OtherVersion => Membership::NoMember,
                InSystem::Unknown => Membership::Unknown,
            },
        }
    }
}

impl Layers<'_> {
    /// A code of the system of a part, held against the part's filters. `result`: what is known otherwise.
    fn filtered(
        &self,
        part: &Part,
        system: &str,
        version: Option<&str>,
        code: &str,
        result: Membership,
    ) -> Membership {
        let passes = match (&part.filters, self.system(system, version)) {
            (Filters::None, _) => Membership::Member,
            (filters, Ok(system)) => system.passes(filters, code),
            (_, Err(_)) => Membership::Unknown,
        };
        if passes == Membership::Member { result } else { passes }
    }

    /// Whether the filters of a value set's part can be evaluated with what is held of its system.
    pub(super) fn supports(&self, part: &Element) -> bool {
        match Filters::read(part) {
            Filters::None => true,
            Filters::Unsupported => false,
            Filters::All(_) => part
                .text("system")
                .and_then(|url| {
                    self.system(url, part.text("version")).or_else(|_| self.system(url, None)).ok()
                })
                .is_some_and(|system| system.complete && system.hierarchy.is_some()),
        }
    }
}

/// A canonical as url and version.
pub(super) fn split(canonical: &str) -> (&str, Option<&str>) {
    match canonical.split_once('|') {
        Some((url, version)) => (url, Some(version)),
        None => (canonical, None),
    }
}
