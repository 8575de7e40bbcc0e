//! Queries: from parameter names and values to criteria, with every problem listed.
use std::borrow::Cow;

use super::{
    extract::{split_canonical, unversioned},
    parameters::{Include, Parameter, ParameterKind, TypeSearch, search_of},
};
use crate::datetime::{self, DateTime, Precision};

/// Longest value of a parameter, in bytes.
pub(super) const MAX_VALUE: usize = 4096;
/// Most criteria, sort keys and includes of one query.
pub(super) const MAX_PARTS: usize = 100;

/// A suffix of a parameter name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modifier {
    /// No suffix.
    None,
    /// `:exact`
    Exact,
    /// `:contains`
    Contains,
    /// `:below`
    Below,
    /// `:not`
    Not,
    /// `:identifier`
    Identifier,
}

/// What a token search asks of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemTest {
    /// `code`: any system or none.
    Any,
    /// `|code`: none.
    None,
    /// `system|code`
    Is(String),
}

/// Comparison of a date parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the prefixes of FHIR search")]
pub enum Comparison {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Token or identifier; `code` absent: any value of the system.
    Token {
        /// System.
        system: SystemTest,
        /// Code.
        code: Option<String>,
    },
    /// Text.
    Text(String),
    /// URI; with a version only that one.
    Uri {
        /// Without version.
        uri: String,
        /// Version.
        version: Option<String>,
    },
    /// Any of these references: `Type/id` or absolute URL.
    References(Vec<String>),
    /// Span of milliseconds with its comparison.
    Date {
        /// How it is compared.
        comparison: Comparison,
        /// First millisecond of the value asked for.
        low: i64,
        /// Last millisecond of the value asked for.
        high: i64,
    },
    /// Logical id.
    Id(String),
    /// At least one of these: a value with commas.
    Any(Vec<Test>),
}

/// One condition. All conditions of a query must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    /// The parameter.
    pub parameter: &'static Parameter,
    /// Its modifier.
    pub modifier: Modifier,
    /// The test.
    pub test: Test,
}

/// One sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The parameter.
    pub parameter: &'static Parameter,
    /// `-`
    pub descending: bool,
}

/// `_summary`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the codes of FHIR")]
pub enum Summary {
    True,
    Text,
    Data,
    Count,
    False,
}

impl Summary {
    /// Whether elements that are no part of a summary stay.
    pub fn keeps_data(self) -> bool {
        matches!(self, Self::Data | Self::False)
    }

    /// From the parameter's value.
    pub fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "true" => Self::True,
            "text" => Self::Text,
            "data" => Self::Data,
            "count" => Self::Count,
            "false" => Self::False,
            _ => return None,
        })
    }
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// No such parameter or modifier.
    UnsupportedParameter,
    /// Given more often than it can be.
    UnsupportedNumberOfValues,
    /// The value cannot be read.
    UnparsableValue,
}

/// A parameter that was not understood: an error in strict, a warning in lenient handling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Parameter name as given.
    pub parameter: String,
    /// What is wrong.
    pub kind: ProblemKind,
    /// Why.
    pub message: String,
    /// Value as given.
    pub value: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            ProblemKind::UnsupportedParameter => "UNSUPPORTED_PARAMETER",
            ProblemKind::UnsupportedNumberOfValues => "UNSUPPORTED_NUMBER_OF_VALUES",
            ProblemKind::UnparsableValue => "UNPARSABLE_VALUE",
        };
        write!(
            f,
            "parameter: {}, error: {kind}, message: {}, value: {}",
            self.parameter, self.message, self.value
        )
    }
}

/// A search as far as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Type that is searched.
    pub resource_type: &'static str,
    /// Conditions.
    pub criteria: Vec<Criterion>,
    /// Sort keys, most significant first.
    pub sort: Vec<Sort>,
    /// Includes.
    pub includes: Vec<Include>,
    /// Reverse includes.
    pub rev_includes: Vec<Include>,
    /// `_count`; `None` where absent or not an integer.
    pub count: Option<i64>,
    /// `_page`, from 1; `None` where absent or not an integer.
    pub page: Option<i64>,
    /// `_summary`
    pub summary: Option<Summary>,
    /// What was understood, in the order links use, without `_count` and `_page`.
    pub understood: Vec<(String, String)>,
    /// What was not.
    pub problems: Vec<Problem>,
}

/// Parameters that conditional interactions ignore (fhir-endpoint contract 1.7).
const IGNORED_IN_CONDITIONS: [&str; 8] =
    ["_sort", "_include", "_revinclude", "_page", "_count", "_format", "_pretty", "_summary"];

/// Reads the criteria of a Subscription; every problem is an error there. `None` for types that are not
/// served.
pub fn parse_criteria(
    resource_type: &str,
    parameters: &[(String, String)],
) -> Option<Result<Vec<Criterion>, Vec<Problem>>> {
    criteria(resource_type, parameters, Commas::Separate)
}

/// Reads the conditions of a conditional interaction or reference, as [`parse_criteria`]. A comma is part
/// of the value there, as peers have it (fhir-endpoint contract 2): such a condition names one resource,
/// and an identifier with a comma must never mean another one.
pub fn parse_conditions(
    resource_type: &str,
    parameters: &[(String, String)],
) -> Option<Result<Vec<Criterion>, Vec<Problem>>> {
    criteria(resource_type, parameters, Commas::Belong)
}

/// What a comma in a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commas {
    /// It stands between alternatives; a backslash takes its meaning away.
    Separate,
    /// A character like others.
    Belong,
}

fn criteria(
    resource_type: &str,
    parameters: &[(String, String)],
    commas: Commas,
) -> Option<Result<Vec<Criterion>, Vec<Problem>>> {
    let kept: Vec<(String, String)> = parameters
        .iter()
        .filter(|(name, _)| !IGNORED_IN_CONDITIONS.contains(&name.as_str()))
        .cloned()
        .collect();
    let query = parse(resource_type, &kept, commas)?;
    Some(if query.problems.is_empty() { Ok(query.criteria) } else { Err(query.problems) })
}

/// Reads a query. `None` for types that are not served.
pub fn parse_query(resource_type: &str, parameters: &[(String, String)]) -> Option<Query> {
    parse(resource_type, parameters, Commas::Separate)
}

fn parse(resource_type: &str, parameters: &[(String, String)], commas: Commas) -> Option<Query> {
    let row = search_of(resource_type)?;
    let mut reader = Reader {
        row,
        commas,
        query: Query {
            resource_type: row.resource_type,
            criteria: Vec::new(),
            sort: Vec::new(),
            includes: Vec::new(),
            rev_includes: Vec::new(),
            count: None,
            page: None,
            summary: None,
            understood: Vec::new(),
            problems: Vec::new(),
        },
    };
    let mut links = Links::default();
    for (position, (name, value)) in parameters.iter().enumerate() {
        if position >= MAX_PARTS || value.len() > MAX_VALUE {
            reader.problem(name, ProblemKind::UnsupportedNumberOfValues, "too many or too long values", "");
            break;
        }
        reader.parameter(name, value, &mut links);
    }
    let mut query = reader.query;
    query.understood = links.ordered();
    Some(query)
}

/// Understood parameters in groups, because links order them (contract 1.10).
#[derive(Default)]
pub(super) struct Links {
    search: Vec<(String, String)>,
    control: [Vec<(String, String)>; 6],
}

const CONTROL: [&str; 6] = ["_sort", "_include", "_revinclude", "_format", "_pretty", "_summary"];

impl Links {
    pub(super) fn keep(&mut self, name: &str, value: &str) {
        let pair = (name.to_owned(), value.to_owned());
        match CONTROL.iter().position(|control| *control == name) {
            Some(group) => self.control[group].push(pair),
            None => self.search.push(pair),
        }
    }

    pub(super) fn ordered(mut self) -> Vec<(String, String)> {
        self.search.sort_by(|left, right| left.0.cmp(&right.0));
        self.search.extend(self.control.into_iter().flatten());
        self.search
    }
}

struct Reader {
    row: &'static TypeSearch,
    commas: Commas,
    query: Query,
}

impl Reader {
    fn problem(&mut self, parameter: &str, kind: ProblemKind, message: &str, value: &str) {
        self.query.problems.push(Problem {
            parameter: parameter.to_owned(),
            kind,
            message: message.to_owned(),
            value: value.to_owned(),
        });
    }

    fn parameter(&mut self, name: &str, value: &str, links: &mut Links) {
        let problems = self.query.problems.len();
        match name {
            "_count" => return self.query.count = value.trim().parse().ok(),
            "_page" => return self.query.page = value.trim().parse().ok(),
            "_format" | "_pretty" => {}
            "_summary" => match Summary::parse(value) {
                Some(summary) => self.query.summary = Some(summary),
                // Other values are ignored, also in strict handling (contract 1.2).
                None => return,
            },
            "_sort" if !self.query.sort.is_empty() => {
                self.problem(name, ProblemKind::UnsupportedNumberOfValues, "given more than once", value);
            }
            "_sort" => self.sort(value),
            "_include" => self.include(name, value, false),
            "_revinclude" => self.include(name, value, true),
            _ => self.criterion(name, value),
        }
        if self.query.problems.len() == problems {
            links.keep(name, value);
        }
    }

    fn sort(&mut self, value: &str) {
        for key in value.split(',').map(str::trim).filter(|key| !key.is_empty()).take(MAX_PARTS) {
            let (name, descending) = match key.strip_prefix('-') {
                Some(name) => (name, true),
                None => (key, false),
            };
            match self.row.parameter(name) {
                Some(parameter) => self.query.sort.push(Sort { parameter, descending }),
                None => self.problem("_sort", ProblemKind::UnparsableValue, "no such sort parameter", key),
            }
        }
    }

    fn include(&mut self, name: &str, value: &str, reverse: bool) {
        let offered = if reverse { self.row.rev_includes } else { self.row.includes };
        let mut parts = value.split(':');
        let (source, parameter, target) = (parts.next(), parts.next(), parts.next());
        let found = offered.iter().find(|include| {
            let target_fits = match target {
                Some(target) => include.targets.contains(&target),
                None => !include.target_required,
            };
            Some(include.source) == source && Some(include.parameter) == parameter && target_fits
        });
        match found {
            Some(include) if parts.next().is_none() => {
                if reverse {
                    self.query.rev_includes.push(*include);
                } else {
                    self.query.includes.push(*include);
                }
            }
            _ => self.problem(name, ProblemKind::UnparsableValue, "no such include", value),
        }
    }

    fn criterion(&mut self, name: &str, value: &str) {
        let (base, suffix) = match name.split_once(':') {
            Some((base, suffix)) => (base, Some(suffix)),
            None => (name, None),
        };
        let Some(parameter) = self.row.parameter(base) else {
            return self.problem(name, ProblemKind::UnsupportedParameter, "no such parameter", value);
        };
        let Some(modifier) = modifier(parameter, suffix) else {
            return self.problem(name, ProblemKind::UnsupportedParameter, "no such modifier", value);
        };
        let test = match self.commas {
            Commas::Separate if value.contains([',', '\\']) => any(parameter, modifier, value),
            _ => test(parameter, modifier, value, Escapes::No),
        };
        match test {
            Some(test) => self.query.criteria.push(Criterion { parameter, modifier, test }),
            None => self.problem(name, ProblemKind::UnparsableValue, "value cannot be read", value),
        }
    }
}

fn modifier(parameter: &Parameter, suffix: Option<&str>) -> Option<Modifier> {
    let Some(suffix) = suffix else { return Some(Modifier::None) };
    match (parameter.kind, suffix) {
        (ParameterKind::Token, "not") if parameter.name != "_id" => Some(Modifier::Not),
        (ParameterKind::String, "exact") => Some(Modifier::Exact),
        (ParameterKind::String, "contains") => Some(Modifier::Contains),
        (ParameterKind::Uri, "below") => Some(Modifier::Below),
        (ParameterKind::Reference, "identifier") => Some(Modifier::Identifier),
        _ => None,
    }
}

/// The alternatives of a value; none where one of them cannot be read, or there are too many.
fn any(parameter: &Parameter, modifier: Modifier, value: &str) -> Option<Test> {
    let choices = choices(value);
    if choices.len() > MAX_PARTS {
        return None;
    }
    let mut tests = Vec::with_capacity(choices.len() + 1);
    // Public servers take a comma as part of the value (contract 2): what is written so is found, too.
    let free = matches!(parameter.kind, ParameterKind::Token | ParameterKind::String | ParameterKind::Uri);
    if free || modifier == Modifier::Identifier {
        tests.extend(test(parameter, modifier, value, Escapes::No));
    }
    for choice in choices {
        let test = test(parameter, modifier, choice, Escapes::Yes)?;
        if !tests.contains(&test) {
            tests.push(test);
        }
    }
    match tests.len() {
        0 => None,
        1 => tests.pop(),
        _ => Some(Test::Any(tests)),
    }
}

/// Splits at commas that are not escaped; empty parts are left out.
fn choices(value: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = value;
    while let Some(at) = unescaped_at(rest, ',') {
        parts.push(&rest[..at]);
        rest = &rest[at + 1..];
    }
    parts.push(rest);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Where a separator stands without a backslash before it.
fn unescaped_at(text: &str, separator: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices()
        .find(|(_, letter)| {
            let found = !escaped && *letter == separator;
            escaped = !escaped && *letter == '\\';
            found
        })
        .map(|(at, _)| at)
}

/// Whether a backslash takes the meaning of `,`, `|`, `$` and itself away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Yes,
    No,
}

impl Escapes {
    fn plain(self, text: &str) -> Cow<'_, str> {
        if self == Self::No || !text.contains('\\') {
            return Cow::Borrowed(text);
        }
        let mut plain = String::with_capacity(text.len());
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letters.peek() {
                Some(next @ (',' | '|' | '$' | '\\')) if letter == '\\' => {
                    plain.push(*next);
                    letters.next();
                }
                _ => plain.push(letter),
            }
        }
        Cow::Owned(plain)
    }
}

fn test(parameter: &Parameter, modifier: Modifier, value: &str, escapes: Escapes) -> Option<Test> {
    // No text of a resource holds NUL, and no database takes it as one.
    if value.is_empty() || value.contains('\0') {
        return None;
    }
    match parameter.kind {
        ParameterKind::Token if parameter.name == "_id" => {
            is_uuid(value).then(|| Test::Id(value.to_lowercase()))
        }
        ParameterKind::Token if parameter.paths == ["active"] => {
            matches!(value, "true" | "false").then(|| token(value, escapes))
        }
        ParameterKind::Token => Some(token(value, escapes)),
        ParameterKind::String => Some(Test::Text(escapes.plain(value).into_owned())),
        ParameterKind::Uri => {
            let value = escapes.plain(value);
            let (uri, version) = split_canonical(&value);
            // A bare id is no canonical (contract 2, depends-on).
            let readable = parameter.name != "depends-on" || uri.contains(':');
            readable.then(|| Test::Uri { uri: uri.to_owned(), version: version.map(str::to_owned) })
        }
        ParameterKind::Reference if modifier == Modifier::Identifier => Some(token(value, escapes)),
        ParameterKind::Reference => references(parameter, &escapes.plain(value)),
        ParameterKind::Date => date(value),
    }
}

fn token(value: &str, escapes: Escapes) -> Test {
    let bar = match escapes {
        Escapes::Yes => unescaped_at(value, '|'),
        Escapes::No => value.find('|'),
    };
    let plain = |text: &str| escapes.plain(text).into_owned();
    match bar.map(|at| (&value[..at], &value[at + 1..])) {
        None => Test::Token { system: SystemTest::Any, code: Some(plain(value)) },
        Some((system, code)) => Test::Token {
            system: if system.is_empty() { SystemTest::None } else { SystemTest::Is(plain(system)) },
            code: (!code.is_empty()).then(|| plain(code)),
        },
    }
}

fn references(parameter: &Parameter, value: &str) -> Option<Test> {
    let value = unversioned(value);
    if is_uuid(value) {
        return Some(Test::References(
            parameter.targets.iter().map(|target| format!("{target}/{value}")).collect(),
        ));
    }
    let absolute = value.contains("://");
    let relative =
        value.split_once('/').is_some_and(|(ty, id)| parameter.targets.contains(&ty) && is_uuid(id));
    (absolute || relative).then(|| Test::References(vec![value.to_owned()]))
}

fn date(value: &str) -> Option<Test> {
    date_test(value).map(|(comparison, low, high)| Test::Date { comparison, low, high })
}

/// A date with its prefix: comparison, first and last millisecond of the value.
pub(super) fn date_test(value: &str) -> Option<(Comparison, i64, i64)> {
    let (comparison, text) = match value.get(..2) {
        Some("eq") => (Comparison::Eq, &value[2..]),
        Some("ne") => (Comparison::Ne, &value[2..]),
        Some("gt") => (Comparison::Gt, &value[2..]),
        Some("lt") => (Comparison::Lt, &value[2..]),
        Some("ge") => (Comparison::Ge, &value[2..]),
        Some("le") => (Comparison::Le, &value[2..]),
        _ => (Comparison::Eq, value),
    };
    // A `+` of a zone that was not escaped arrives as a blank.
    let text = text.trim().replace(' ', "+");
    let parsed = DateTime::parse(&text)?;
    let coarse = matches!(parsed.precision(), Precision::Year | Precision::Month);
    if coarse && comparison != Comparison::Eq {
        return None;
    }
    let datetime::Range { low, mut high } = parsed.range();
    // In an order a time of day is an instant: Java engines drop a fraction of zero, and even seconds
    // of zero, so `gt…:44` asks for everything after `…:44.000` (java-client-exchange contract 3).
    if !matches!(comparison, Comparison::Eq | Comparison::Ne) && parsed.precision() > Precision::Day {
        high = low;
    }
    Some((comparison, low, high))
}

/// Whether a text is a UUID in its usual form.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
