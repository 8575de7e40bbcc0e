//! Typed configuration from an optional TOML file and the environment.
//!
//! A service's configuration is one plain struct with public documented fields that denies unknown
//! keys. `PREFIX_FIELD=value` sets a field, `PREFIX_FIELD_FILE=path` sets it to the content of a
//! file (for secrets); the environment wins over the file. A variable with the prefix that names no
//! field is an error, so that a misspelt setting never goes unnoticed. What several services share is a
//! struct in a field of theirs: `urls` of the field `nats` is `PREFIX_NATS_URLS`, and in the file
//! `nats_urls` or `urls` below `[nats]`.
#![forbid(unsafe_code)]

mod duration;
mod fields;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub use duration::{Duration, DurationError};

/// Why a configuration cannot be used. Each is one line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("configuration file {path} cannot be read ({reason}): check the path and its permissions")]
    File {
        /// The path.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The configuration file is not TOML.
    #[error("configuration file {path} is not valid TOML: {reason}")]
    Syntax {
        /// The path.
        path: PathBuf,
        /// The parser's reason, folded to one line.
        reason: String,
    },
    /// The file that a `…_FILE` variable names cannot be read.
    #[error("{variable} names {path}, which cannot be read ({reason})")]
    SecretFile {
        /// The variable.
        variable: String,
        /// The path.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// A setting is given twice, directly and by file.
    #[error("{variable} and {variable}_FILE are both set: keep one")]
    Twice {
        /// The variable without suffix.
        variable: String,
    },
    /// A setting is missing, unknown or has a bad value.
    #[error("configuration is not usable: {reason} (settings come from {prefix}_* variables)")]
    Content {
        /// What is wrong, folded to one line; it names the setting, never its value.
        reason: String,
        /// Prefix of the variables.
        prefix: String,
    },
}

/// Reads a configuration from `file` (if given) and from this process's environment.
pub fn load<T: DeserializeOwned>(prefix: &str, file: Option<&Path>) -> Result<T, ConfigError> {
    load_from(prefix, file, std::env::vars())
}

/// As [`load`], with the environment given.
pub fn load_from<T: DeserializeOwned>(
    prefix: &str,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<T, ConfigError> {
    let settings = fields::of::<T>();
    let content =
        |reason: String| ConfigError::Content { reason: one_line(&reason), prefix: prefix.to_owned() };
    let setting = |name: &str| settings.iter().find(|setting| setting.name == name);
    let mut table = match file {
        Some(path) => read_file(path)?,
        None => Table::new(),
    };
    // Settings of groups may also stand flat in the file; absent groups are there, and say what they miss.
    for setting in settings.iter().filter(|setting| setting.group.is_some()) {
        let value = table.remove(&setting.name);
        if insert(&mut table, setting, value).is_some() {
            return Err(content(format!("{} stands twice in the file", setting.name)));
        }
    }
    let start = format!("{prefix}_");
    let mut given = Vec::new();
    for (variable, value) in environment {
        let Some(name) = variable.strip_prefix(&start) else { continue };
        let name = name.to_lowercase();
        let (name, value) = match name.strip_suffix("_file") {
            // A setting that *is* a path, such as `ready_file`, keeps its ending.
            Some(field) if setting(&name).is_none() => (field.to_owned(), read_secret(&variable, &value)?),
            _ => (name, value),
        };
        if given.contains(&name) {
            return Err(ConfigError::Twice { variable: format!("{start}{}", name.to_uppercase()) });
        }
        match setting(&name) {
            Some(setting) => _ = insert(&mut table, setting, Some(Value::String(value))),
            None if settings.is_empty() => _ = table.insert(name.clone(), Value::String(value)),
            None => {
                let known: Vec<String> =
                    settings.iter().map(|setting| format!("`{}`", setting.name)).collect();
                let known = known.join(", ");
                return Err(content(format!("unknown field `{name}`, expected one of {known}")));
            }
        }
        given.push(name);
    }
    T::deserialize(Loose(Value::Table(table))).map_err(|error| content(error.to_string()))
}

/// Puts a value where the struct has it; what stood there.
fn insert(table: &mut Table, setting: &fields::Setting, value: Option<Value>) -> Option<Value> {
    let Some(group) = setting.group else {
        return table.insert(setting.field.to_owned(), value?);
    };
    let group = table.entry(group).or_insert_with(|| Value::Table(Table::new()));
    group.as_table_mut()?.insert(setting.field.to_owned(), value?)
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::File { path: path.to_owned(), reason: error.to_string() })?;
    text.parse::<Table>()
        .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: one_line(&error.to_string()) })
}

fn read_secret(variable: &str, path: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).map_err(
        |error| ConfigError::SecretFile {
            variable: variable.to_owned(),
            path: PathBuf::from(path),
            reason: error.to_string(),
        },
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Environment values are text: a TOML value whose texts also deserialize as numbers, booleans and comma-separated lists.
struct Loose(Value);

type Error = toml::de::Error;

macro_rules! number {
    ($($method:ident $visit:ident $kind:ty),*) => {
        $(fn $method<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match &self.0 {
                Value::String(text) => match text.trim().parse::<$kind>() {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => Err(serde::de::Error::custom(concat!("expected a value of type ", stringify!($kind)))),
                },
                _ => self.0.$method(visitor),
            }
        })*
    };
}

impl<'de> serde::Deserializer<'de> for Loose {
    type Error = Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Table(table) => visitor.visit_map(LooseMap { entries: table.into_iter(), entry: None }),
            Value::Array(items) => visitor.visit_seq(LooseSeq(items.into_iter())),
            value => value.deserialize_any(visitor),
        }
    }

    number!(
        deserialize_bool visit_bool bool, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_f64 visit_f64 f64
    );

    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => {
                let items: Vec<Value> = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| Value::String(item.to_owned()))
                    .collect();
                visitor.visit_seq(LooseSeq(items.into_iter()))
            }
            other => Loose(other).deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: serde::de::Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct
        identifier ignored_any
    }
}

struct LooseMap {
    entries: toml::map::IntoIter<String, Value>,
    entry: Option<(String, Value)>,
}

impl<'de> serde::de::MapAccess<'de> for LooseMap {
    type Error = Error;

    fn next_key_seed<K: serde::de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.entry = Some((key.clone(), value));
        seed.deserialize(serde::de::value::StringDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: serde::de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        match self.entry.take() {
            // Which setting it is, before what is wrong with it.
            Some((key, value)) => seed
                .deserialize(Loose(value))
                .map_err(|error| serde::de::Error::custom(format!("{key}: {}", error.message()))),
            None => Err(serde::de::Error::custom("value asked for before its key")),
        }
    }
}

struct LooseSeq(std::vec::IntoIter<Value>);

impl<'de> serde::de::SeqAccess<'de> for LooseSeq {
    type Error = Error;

    fn next_element_seed<S: serde::de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.0.next().map(|value| seed.deserialize(Loose(value))).transpose()
    }
}

#[cfg(test)]
mod tests;
