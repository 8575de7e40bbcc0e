//! Typed process variables.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Variables by name.
pub type Variables = BTreeMap<String, Value>;

/// A process variable. The type names are those of the job protocol and of the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
pub enum Value {
    /// No value; a variable may exist and hold nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// Text.
    String(String),
    /// A date or date-time as text, ISO 8601; may drive a timer.
    Date(String),
    /// A list or map; expressions may look inside.
    Json(Json),
    /// A FHIR resource: passed on untouched, expressions may not look inside.
    Document(Json),
}

/// A value whose JSON does not fit its type name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The type name is none of ours.
    #[error("unknown variable type '{0}'")]
    UnknownType(String),
    /// The JSON is of another type.
    #[error("value does not fit variable type '{0}'")]
    Mismatch(String),
}

impl Value {
    /// Name of the type: `null`, `boolean`, `integer`, `decimal`, `string`, `date`, `json` or `document`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Boolean(_) => "boolean",
            Value::Integer(_) => "integer",
            Value::Decimal(_) => "decimal",
            Value::String(_) => "string",
            Value::Date(_) => "date",
            Value::Json(_) => "json",
            Value::Document(_) => "document",
        }
    }

    /// The bare JSON of the value, without its type.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Boolean(value) => Json::Bool(*value),
            Value::Integer(value) => Json::from(*value),
            Value::Decimal(value) => Json::from(*value),
            Value::String(value) | Value::Date(value) => Json::from(value.as_str()),
            Value::Json(value) | Value::Document(value) => value.clone(),
        }
    }

    /// A value from a type name and bare JSON, as the job protocol carries it.
    ///
    /// # Errors
    /// When the type name is unknown or the JSON is of another type.
    pub fn from_typed(kind: &str, value: Json) -> Result<Value, ValueError> {
        let mismatch = || ValueError::Mismatch(kind.to_owned());
        Ok(match kind {
            "null" => Value::Null,
            "boolean" => Value::Boolean(value.as_bool().ok_or_else(mismatch)?),
            "integer" => Value::Integer(value.as_i64().ok_or_else(mismatch)?),
            "decimal" => Value::Decimal(value.as_f64().ok_or_else(mismatch)?),
            "string" => Value::String(value.as_str().ok_or_else(mismatch)?.to_owned()),
            "date" => Value::Date(value.as_str().ok_or_else(mismatch)?.to_owned()),
            "json" => Value::Json(value),
            "document" => Value::Document(value),
            other => return Err(ValueError::UnknownType(other.to_owned())),
        })
    }

    /// The natural type for untyped JSON: scalars become scalars, lists and maps become [`Value::Json`].
    pub fn from_json(value: Json) -> Value {
        match value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Boolean(value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Value::Integer(value),
                None => Value::Decimal(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(value) => Value::String(value),
            other => Value::Json(other),
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Integer(value)
    }
}
