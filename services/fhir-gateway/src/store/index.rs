//! What the search index holds of a version: values of its own, and those that its bucket has for it.
use std::{borrow::Cow, collections::HashSet};

use fhir::search::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::NewVersion;

/// Index rows as columns, for `unnest`.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) parameter: Vec<String>,
    pub(super) value: Vec<Option<String>>,
    pub(super) extra: Vec<Option<String>>,
    pub(super) low: Vec<Option<i64>>,
    pub(super) high: Vec<Option<i64>>,
}

/// Index rows of a version.
pub(super) struct Index {
    /// Of the parameters whose values are its own.
    pub(super) own: Columns,
    /// Of the parameters whose values it shares with others; dates are none.
    pub(super) shared: Columns,
    /// Its bucket: the same for all that share type, readers and those values.
    pub(super) bucket: Uuid,
}

/// Suffix of the parameter key under which identifiers of references are indexed.
pub(super) const IDENTIFIER: &str = ":identifier";

/// Longest value kept as it is, in bytes: PostgreSQL refuses index rows of more than 2704 bytes.
const KEPT: usize = 1024;

/// The form of a value in indexed columns: a longer one is cut and told apart by its hash. It is found
/// by equality and by a beginning within what is kept.
pub(super) fn kept(value: &str) -> Cow<'_, str> {
    if value.len() <= KEPT {
        return Cow::Borrowed(value);
    }
    let beginning = &value[..value.floor_char_boundary(KEPT)];
    Cow::Owned(format!("{beginning}#{}", hex::encode(Sha256::digest(value))))
}

impl Index {
    pub(super) fn of(version: &NewVersion) -> Self {
        let (mut own, mut shared) = (Columns::default(), Columns::default());
        // What occurs twice in a resource is indexed once.
        let mut rows = HashSet::new();
        for found in &version.index {
            let mut key = found.parameter.key.to_owned();
            let (value, extra, low, high) = match &found.value {
                Value::Token { system, code } => (Some(code.clone()), system.clone(), None, None),
                Value::Identifier { system, code } => {
                    key.push_str(IDENTIFIER);
                    (Some(code.clone()), system.clone(), None, None)
                }
                Value::Text(text) => (Some(text.to_lowercase()), Some(text.clone()), None, None),
                Value::Uri { uri, version } => (Some(uri.clone()), version.clone(), None, None),
                Value::Reference(reference) => (Some(reference.clone()), None, None, None),
                Value::Date { low, high } => (None, None, Some(*low), Some(*high)),
            };
            let value = value.as_deref().map(|value| kept(value).into_owned());
            if !rows.insert((key.clone(), value.clone(), extra.clone(), low, high)) {
                continue;
            }
            let columns = if found.parameter.is_shared() { &mut shared } else { &mut own };
            columns.parameter.push(key);
            columns.value.push(value);
            columns.extra.push(extra);
            columns.low.push(low);
            columns.high.push(high);
        }
        let bucket = bucket(version.resource_type, &version.read_tags, &shared);
        Self { own, shared, bucket }
    }
}

/// The name of a bucket: a hash of what its resources share, whatever the order.
fn bucket(resource_type: &str, read_tags: &[String], shared: &Columns) -> Uuid {
    let mut hash = Sha256::new();
    // Absent, or the length and the text: no two lists read the same.
    let mut add = |text: Option<&str>| match text {
        Some(text) => {
            hash.update((text.len() as u64 + 1).to_be_bytes());
            hash.update(text);
        }
        None => hash.update(0_u64.to_be_bytes()),
    };
    add(Some(resource_type));
    let mut tags: Vec<&str> = read_tags.iter().map(String::as_str).collect();
    tags.sort_unstable();
    tags.dedup();
    tags.into_iter().for_each(|tag| add(Some(tag)));
    // The end of the tags.
    add(None);
    let mut rows: Vec<_> = (shared.parameter.iter().zip(&shared.value).zip(&shared.extra))
        .map(|((parameter, value), extra)| (parameter.as_str(), value.as_deref(), extra.as_deref()))
        .collect();
    rows.sort_unstable();
    for (parameter, value, extra) in rows {
        add(Some(parameter));
        add(value);
        add(extra);
    }
    let digest = hash.finalize();
    Uuid::from_u128(digest[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
}

#[cfg(test)]
mod tests {
    use fhir::{Format, search::extract};

    use super::*;

    fn index(json: &str, read_tags: &[&str]) -> Index {
        let resource = fhir::parse(json.as_bytes(), Format::Json).unwrap();
        Index::of(&NewVersion {
            resource_type: "Task",
            id: Uuid::nil(),
            version: 1,
            last_updated: 0,
            content: Vec::new(),
            index: extract(&resource),
            read_tags: read_tags.iter().map(|tag| (*tag).to_owned()).collect(),
            context: None,
            data: None,
            keys_added: Vec::new(),
            keys_removed: Vec::new(),
            events: Vec::new(),
        })
    }

    fn task(identifier: &str, status: &str, profiles: &str) -> String {
        format!(
            r#"{{"resourceType":"Task","meta":{{"profile":[{profiles}]}},
            "identifier":[{{"system":"s","value":"{identifier}"}}],"status":"{status}","intent":"order"}}"#
        )
    }

    #[test]
    fn a_bucket_is_what_resources_share() {
        let first = index(&task("1", "requested", r#""http://a","http://b""#), &["LOCAL", "ALL"]);
        assert_eq!(first.shared.parameter, ["Task.status", "._profile", "._profile"]);
        assert_eq!(first.own.parameter, ["Task.identifier"]);
        // Other values of its own, another order.
        let same = index(&task("2", "requested", r#""http://b","http://a""#), &["ALL", "LOCAL"]);
        assert_eq!(first.bucket, same.bucket);
        for other in [
            index(&task("1", "draft", r#""http://a","http://b""#), &["LOCAL", "ALL"]),
            index(&task("1", "requested", r#""http://a""#), &["LOCAL", "ALL"]),
            index(&task("1", "requested", r#""http://a","http://b|1""#), &["LOCAL", "ALL"]),
            index(&task("1", "requested", r#""http://a","http://b""#), &["LOCAL"]),
        ] {
            assert_ne!(first.bucket, other.bucket);
        }
    }

    #[test]
    fn long_values_are_cut_and_told_apart() {
        let (one, other) = ("ä".repeat(KEPT) + "1", "ä".repeat(KEPT) + "2");
        assert!(kept(&one).len() < KEPT + 80);
        assert_ne!(kept(&one), kept(&other));
        assert_eq!(kept("short"), "short");
    }
}
