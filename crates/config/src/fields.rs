//! The settings of a configuration struct, learnt from its `Deserialize` implementation.
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor, value::Error};

/// One setting: its name as operators write it, and where it stands in the struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Name in the file and, in upper case, in variables.
    pub(crate) name: String,
    /// The field of the struct that is a struct itself, if the setting belongs to one.
    pub(crate) group: Option<&'static str>,
    /// Its field there.
    pub(crate) field: &'static str,
}

/// Settings of a struct, in its order; empty for anything else. A field `nats` that is a struct with a
/// field `urls` is the setting `nats_urls`.
pub(crate) fn of<T: DeserializeOwned>() -> Vec<Setting> {
    let mut settings = Vec::new();
    for field in names::<T>(None) {
        let group = names::<T>(Some(field));
        if group.is_empty() {
            settings.push(Setting { name: (*field).to_owned(), group: None, field });
        }
        settings.extend(group.iter().map(|inner| Setting {
            name: format!("{field}_{inner}"),
            group: Some(field),
            field: inner,
        }));
    }
    settings
}

/// Field names of a struct, or of the struct in one of its fields.
fn names<T: DeserializeOwned>(inside: Option<&'static str>) -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // The probe always ends in an error; only what it was asked for matters.
    let _ = T::deserialize(Probe { inside, fields: &mut fields });
    fields
}

struct Probe<'a> {
    inside: Option<&'static str>,
    fields: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("probe"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.inside {
            Some(_) => visitor.visit_map(self),
            None => {
                *self.fields = fields;
                self.deserialize_any(visitor)
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A map whose first entry is the field that is looked into.
impl<'de> MapAccess<'de> for Probe<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.inside else { return Ok(None) };
        seed.deserialize(serde::de::value::StrDeserializer::new(field)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Probe { inside: None, fields: self.fields })
    }
}
