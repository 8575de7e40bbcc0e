//! The functions that expressions may call.

/// A function with a fixed number of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    All,
    AllTrue,
    Children,
    Combine,
    Contains,
    Count,
    Descendants,
    Distinct,
    Empty,
    EndsWith,
    Exists,
    Extension,
    First,
    HasValue,
    Iif,
    IndexOf,
    Intersect,
    IsDistinct,
    Last,
    Length,
    Lower,
    Not,
    Select,
    Single,
    Skip,
    StartsWith,
    Substring,
    Tail,
    Take,
    ToInteger,
    ToStringText,
    Trace,
    Trim,
    Union,
    Upper,
    Where,
}

/// Name, fewest and most arguments.
const TABLE: &[(&str, usize, usize, Function)] = &[
    ("all", 1, 1, Function::All),
    ("allTrue", 0, 0, Function::AllTrue),
    ("children", 0, 0, Function::Children),
    ("combine", 1, 1, Function::Combine),
    ("contains", 1, 1, Function::Contains),
    ("count", 0, 0, Function::Count),
    ("descendants", 0, 0, Function::Descendants),
    ("distinct", 0, 0, Function::Distinct),
    ("empty", 0, 0, Function::Empty),
    ("endsWith", 1, 1, Function::EndsWith),
    ("exists", 0, 1, Function::Exists),
    ("extension", 1, 1, Function::Extension),
    ("first", 0, 0, Function::First),
    ("hasValue", 0, 0, Function::HasValue),
    ("iif", 2, 3, Function::Iif),
    ("indexOf", 1, 1, Function::IndexOf),
    ("intersect", 1, 1, Function::Intersect),
    ("isDistinct", 0, 0, Function::IsDistinct),
    ("last", 0, 0, Function::Last),
    ("length", 0, 0, Function::Length),
    ("lower", 0, 0, Function::Lower),
    ("not", 0, 0, Function::Not),
    ("select", 1, 1, Function::Select),
    ("single", 0, 0, Function::Single),
    ("skip", 1, 1, Function::Skip),
    ("startsWith", 1, 1, Function::StartsWith),
    ("substring", 1, 2, Function::Substring),
    ("tail", 0, 0, Function::Tail),
    ("take", 1, 1, Function::Take),
    ("toInteger", 0, 0, Function::ToInteger),
    ("toString", 0, 0, Function::ToStringText),
    ("trace", 1, 2, Function::Trace),
    ("trim", 0, 0, Function::Trim),
    ("union", 1, 1, Function::Union),
    ("upper", 0, 0, Function::Upper),
    ("where", 1, 1, Function::Where),
];

impl Function {
    pub(super) fn find(name: &str, arguments: usize) -> Option<Function> {
        TABLE
            .iter()
            .find(|(known, least, most, _)| *known == name && (*least..=*most).contains(&arguments))
            .map(|(.., function)| *function)
    }
}
