//! Pseudonyms of the trusted third party (record-linkage.md 7.2 and 7.3).
//!
//! A pseudonym is the encrypted list of the ids that a person has at the sites. All plaintexts of a
//! cohort are padded to one length. Outside the third party it is opaque.

use std::collections::BTreeMap;

use rand::seq::SliceRandom as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::cipher::{OpenError, decrypt, encrypt};
use crate::secret::Key256;

/// Type tag that the deployed HiGHmed engine writes.
const TAG: &str = "MedicIdImpl";
/// Tags that are read.
const TAGS: [&str; 2] = ["MedicId", TAG];

/// The id of a person at one site.
#[derive(Clone, PartialEq, Eq)]
pub struct MedicId {
    /// Identifier of the site's organization.
    pub organization: String,
    /// The id, encrypted by the site; absent when the site gave none.
    pub value: Option<String>,
}

impl std::fmt::Debug for MedicId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MedicId({}, redacted)", self.organization)
    }
}

/// The keys of one study at the third party. Older ones stay, so that pseudonyms made with them can
/// still be opened.
#[derive(Clone)]
pub struct StudyKeys {
    study: String,
    keys: BTreeMap<String, Key256>,
    current: String,
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StudyKeyError {
    /// The id is taken by another key.
    #[error("study key `{0}` exists with another value; ids are used once")]
    Taken(String),
    /// There is no key of this id.
    #[error("no study key `{0}`")]
    Unknown(String),
}

impl StudyKeys {
    /// The keys of a study, `study` being its identifier value, with a first key.
    #[must_use]
    pub fn new(study: &str, id: &str, key: Key256) -> StudyKeys {
        StudyKeys {
            study: study.to_owned(),
            keys: BTreeMap::from([(id.to_owned(), key)]),
            current: id.to_owned(),
        }
    }

    /// Adds a key and makes it the one for new pseudonyms. HiGHmed takes a new key on every execution.
    ///
    /// # Errors
    /// When another key has this id.
    pub fn rotate(&mut self, id: &str, key: Key256) -> Result<(), StudyKeyError> {
        self.keep(id, key)?;
        id.clone_into(&mut self.current);
        Ok(())
    }

    /// Adds an older key, for opening only.
    ///
    /// # Errors
    /// When another key has this id.
    pub fn keep(&mut self, id: &str, key: Key256) -> Result<(), StudyKeyError> {
        match self.keys.get(id) {
            Some(other) if *other != key => Err(StudyKeyError::Taken(id.to_owned())),
            _ => {
                self.keys.insert(id.to_owned(), key);
                Ok(())
            }
        }
    }

    /// A key by id, for the key store.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Key256> {
        self.keys.get(id)
    }

    /// Id of the key for new pseudonyms.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Identifier value of the study.
    #[must_use]
    pub fn study(&self) -> &str {
        &self.study
    }

    /// Pseudonyms of groups with the current key, in an order that tells nothing: pairs of a group's
    /// place in the input and its pseudonym.
    ///
    /// # Errors
    /// When the current key is gone, which [`StudyKeys`] does not let happen.
    pub fn create(
        &self,
        persons: &[Vec<MedicId>],
        random: &mut dyn rand::CryptoRng,
    ) -> Result<Vec<(usize, String)>, StudyKeyError> {
        let key = self.get(&self.current).ok_or_else(|| StudyKeyError::Unknown(self.current.clone()))?;
        let lengths: Vec<usize> = persons.iter().map(|ids| unpadded_length(ids, TAG)).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut pseudonyms = Vec::with_capacity(persons.len());
        for (place, (ids, length)) in persons.iter().zip(lengths).enumerate() {
            let plaintext = plaintext(ids, TAG, Some(longest - length));
            pseudonyms.push((place, encrypt(key, &self.study, &plaintext, random)));
        }
        pseudonyms.shuffle(random);
        Ok(pseudonyms)
    }

    /// Opens a pseudonym with whichever key made it, and names that key.
    ///
    /// # Errors
    /// Always the same one, whatever is wrong.
    pub fn open(&self, pseudonym: &str) -> Result<(&str, Vec<MedicId>), OpenError> {
        let current = self.keys.get_key_value(&self.current);
        for (id, key) in current.into_iter().chain(&self.keys) {
            if let Ok(plaintext) = decrypt(key, &self.study, pseudonym) {
                return Ok((id, read(&plaintext)?));
            }
        }
        Err(OpenError)
    }
}

impl std::fmt::Debug for StudyKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StudyKeys({} keys, current {}, redacted)", self.keys.len(), self.current)
    }
}

/// The JSON of a pseudonym. `padding` is the number of blanks; `None` writes no such property.
pub(crate) fn plaintext(ids: &[MedicId], tag: &str, padding: Option<usize>) -> Zeroizing<String> {
    let mut json = Zeroizing::new(String::from("{"));
    if let Some(blanks) = padding {
        json.push_str("\"padding\":\"");
        json.extend(std::iter::repeat_n(' ', blanks));
        json.push_str("\",");
    }
    json.push_str("\"medicIds\":[");
    for (place, id) in ids.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        json.push_str("{\"@type\":");
        quote(tag, &mut json);
        json.push_str(",\"organization\":");
        quote(&id.organization, &mut json);
        if let Some(value) = &id.value {
            json.push_str(",\"value\":");
            quote(value, &mut json);
        }
        json.push('}');
    }
    json.push_str("]}");
    json
}

/// Bytes of a person's JSON without padding.
pub(crate) fn unpadded_length(ids: &[MedicId], tag: &str) -> usize {
    plaintext(ids, tag, None).len()
}

/// A JSON string as Jackson writes it: only quotes, backslash and control characters are escaped.
pub(crate) fn quote(text: &str, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{8}' => json.push_str("\\b"),
            '\t' => json.push_str("\\t"),
            '\n' => json.push_str("\\n"),
            '\u{c}' => json.push_str("\\f"),
            '\r' => json.push_str("\\r"),
            control if control < ' ' => json.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => json.push(other),
        }
    }
    json.push('"');
}

/// Reads the JSON of a pseudonym; properties in any order, padding optional.
pub(crate) fn read(json: &str) -> Result<Vec<MedicId>, OpenError> {
    #[derive(Deserialize)]
    struct Plaintext {
        #[serde(rename = "medicIds")]
        medic_ids: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "@type")]
        tag: String,
        organization: String,
        value: Option<String>,
    }
    let plaintext: Plaintext = serde_json::from_str(json).map_err(|_| OpenError)?;
    if plaintext.medic_ids.iter().any(|entry| !TAGS.contains(&entry.tag.as_str())) {
        return Err(OpenError);
    }
    let id = |entry: Entry| MedicId { organization: entry.organization, value: entry.value };
    Ok(plaintext.medic_ids.into_iter().map(id).collect())
}
