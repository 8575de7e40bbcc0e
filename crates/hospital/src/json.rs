//! JSON as a tree that owns its texts: numbers as written, duplicate members refused, within limits.
use fhir::syntax::{Value, document};

use crate::failure::Reason;

/// Largest document, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// Most values in a document.
pub const MAX_VALUES: usize = 2_000_000;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number as written.
    Number(String),
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// Members in order.
    Object(Vec<(String, Json)>),
}

static NULL: Json = Json::Null;

impl Json {
    /// Reads a document.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] or [`Reason::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, Reason> {
        Self::read_within(bytes, MAX_BYTES)
    }

    /// As [`Json::read`] with another bound on the size.
    ///
    /// # Errors
    /// As [`Json::read`].
    pub fn read_within(bytes: &[u8], max_bytes: usize) -> Result<Self, Reason> {
        if bytes.len() > max_bytes {
            return Err(Reason::TooLarge("JSON document"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Reason::Charset)?;
        let value = document(text, MAX_DEPTH, MAX_VALUES).map_err(|_| Reason::Malformed("JSON"))?;
        Ok(value.into())
    }

    /// A member; `null` where there is none.
    pub fn get(&self, name: &str) -> &Json {
        self.find(name).unwrap_or(&NULL)
    }

    /// A member that is there.
    pub fn find(&self, name: &str) -> Option<&Json> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The members; none where this is no object.
    pub fn members(&self) -> &[(String, Json)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// The items; none where this is no array.
    pub fn items(&self) -> &[Json] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// Items of an array, or the value itself: JSON profiles of XML write one-item lists either way.
    pub fn one_or_many(&self) -> &[Json] {
        match self {
            Self::List(items) => items,
            Self::Null => &[],
            other => std::slice::from_ref(other),
        }
    }

    /// A text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text that is not empty.
    pub fn filled(&self) -> Option<String> {
        self.text().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A boolean.
    pub fn boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// A number as written.
    pub fn number(&self) -> Option<&str> {
        match self {
            Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// A number that is a whole one.
    pub fn whole(&self) -> Option<i64> {
        self.number()?.parse().ok()
    }

    /// True for `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Compact text; numbers as they were read.
    pub fn write(&self) -> String {
        let mut out = String::new();
        self.write_to(&mut out);
        out
    }

    fn write_to(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write_to(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(name));
                    out.push(':');
                    value.write_to(out);
                }
                out.push('}');
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl From<Value<'_>> for Json {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(value) => Self::Boolean(value),
            Value::Number(text) => Self::Number(text.to_owned()),
            Value::String(text) => Self::Text(text.into_owned()),
            Value::Array(items) => Self::List(items.into_iter().map(Into::into).collect()),
            Value::Object(members) => Self::Object(
                members.into_iter().map(|(name, value)| (name.into_owned(), value.into())).collect(),
            ),
        }
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Boolean(value),
            serde_json::Value::Number(number) => Self::Number(number.to_string()),
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Into::into).collect()),
            serde_json::Value::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, value.into())).collect())
            }
        }
    }
}
