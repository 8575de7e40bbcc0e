//! Vectors of encryption, pseudonyms and result sets.

use std::path::Path;

use rand::SeedableRng as _;
use serde_json::Value;

use super::matcher::referred_records;
use super::{Members, Outcome, Tally, same};
use crate::cipher::{decrypt, encrypt, seal_for_vector};
use crate::matching::Record;
use crate::pseudonym::{MedicId, StudyKeys, plaintext, read, unpadded_length};
use crate::result_set::{Cell, Encryption, MEDIC_ID_COLUMN, ResultSet, SiteResult};
use crate::secret::Key256;

/// Randomness for comparisons that do not depend on it; the same in every run.
fn random() -> rand::rngs::StdRng {
    rand::rngs::StdRng::seed_from_u64(0)
}

fn key(value: &Value, name: &str) -> Result<Key256, String> {
    Key256::from_bytes(&value.hex(name)?).map_err(|error| error.to_string())
}

fn text<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

/// Members of [`crypto`] files.
pub const CRYPTO: [&str; 3] = ["aesGcmFixedIv", "aesGcmDecryptOnly", "pseudonyms"];

/// `crypto.json`.
pub fn crypto(tally: &mut Tally<'_>, value: &Value) -> Outcome {
    let checks: [fn(&Value) -> Outcome; 3] = [fixed_iv, decrypt_only, pseudonyms];
    for (kind, check) in CRYPTO.iter().zip(checks) {
        if value.get(kind).is_some() {
            for (index, case) in value.list(kind)?.iter().enumerate() {
                tally.case(format!("{kind} {index}"), check(case));
            }
        }
    }
    Ok(())
}

fn fixed_iv(case: &Value) -> Outcome {
    let (key, context, plaintext) =
        (key(case, "keyHex")?, case.text("aadUtf8")?, case.text("plaintextUtf8")?);
    let iv: [u8; 12] = case.hex("ivHex")?.try_into().map_err(|_| "`ivHex` has not 12 bytes")?;
    let sealed = seal_for_vector(&key, context, iv, plaintext);
    same("ciphertext and tag", &hex::encode(&sealed[12..]).as_str(), &case.text("ciphertextAndTagHex")?)?;
    let opened = crate::cipher::open(&key, context.as_bytes(), &sealed).map_err(text)?;
    same("opened", &opened.as_slice(), &plaintext.as_bytes())
}

fn decrypt_only(case: &Value) -> Outcome {
    let (key, context) = (key(case, "keyHex")?, case.text("aadUtf8")?);
    let sealed = case.text("base64IvCiphertextTag")?;
    let expected = case.text("plaintextUtf8")?;
    same("opened", &decrypt(&key, context, sealed).map_err(text)?.as_str(), &expected)?;
    let own = encrypt(&key, context, expected, &mut random());
    same("our own, opened", &decrypt(&key, context, &own).map_err(text)?.as_str(), &expected)?;
    same("length", &own.len(), &sealed.len())?;
    same("refused in another context", &decrypt(&key, &format!("{context}."), sealed).is_err(), &true)
}

/// `pseudonyms-deployed-mapper.json`.
pub fn pseudonym_sets(tally: &mut Tally<'_>, value: &Value) -> Outcome {
    for (index, set) in value.list("sets")?.iter().enumerate() {
        tally.case(format!("pseudonyms {index}"), pseudonyms(set));
    }
    Ok(())
}

fn pseudonyms(set: &Value) -> Outcome {
    let (key, study) = (key(set, "studyKeyHex")?, set.text("researchStudyIdentifierAad")?);
    let keys = StudyKeys::new(study, "vector", key.clone());
    let mut persons = Vec::new();
    for person in set.list("matchedPersonsInput")? {
        let mut ids = Vec::new();
        for id in person.as_array().ok_or("a person is no list")? {
            let value = id.get("value").and_then(Value::as_str).map(str::to_owned);
            ids.push(MedicId { organization: id.text("organization")?.to_owned(), value });
        }
        persons.push(ids);
    }
    let mut left = persons.clone();
    let recorded = set.list("pseudonymsShuffled")?;
    for pseudonym in recorded {
        let opened = decrypt(&key, study, pseudonym.text("pseudonym")?).map_err(text)?;
        let expected = pseudonym.text("plaintextJson")?;
        same("plaintext", &opened.as_str(), &expected)?;
        let length = pseudonym.number("plaintextLength")? as usize;
        if length != expected.len() && length != expected.encode_utf16().count() {
            return Err("`plaintextLength` is another length".to_owned());
        }
        let ids = read(&opened).map_err(text)?;
        same("ids", &keys.open(pseudonym.text("pseudonym")?).map_err(text)?.1, &ids)?;
        // Written again with the tag and the padding of that mapper, it is the same text.
        let tag = if expected.contains("\"MedicIdImpl\"") { "MedicIdImpl" } else { "MedicId" };
        let longest = persons.iter().map(|ids| unpadded_length(ids, tag)).max().unwrap_or(0);
        let blanks = Some(longest - unpadded_length(&ids, tag)).filter(|_| expected.contains("\"padding\""));
        same("written again", &plaintext(&ids, tag, blanks).as_str(), &expected)?;
        let person = left.iter().position(|person| *person == ids).ok_or("a person that was not given")?;
        left.remove(person);
    }
    same("persons without pseudonym", &left.len(), &0)?;
    let own = keys.create(&persons, &mut random()).map_err(text)?;
    let mut lengths = std::collections::BTreeSet::new();
    for (person, pseudonym) in &own {
        lengths.insert(pseudonym.len());
        same("our own, opened", &keys.open(pseudonym).map_err(text)?.1, &persons[*person])?;
    }
    same("different lengths of our own", &lengths.len(), &1)
}

/// `resultset-pipeline.json`.
pub fn pipeline(tally: &mut Tally<'_>, value: &Value, folder: &Path) -> Outcome {
    let steps: [(&str, Step); 7] = [
        ("reading and writing", Pipeline::written),
        ("filters appended", Pipeline::with_filters),
        ("filters only", Pipeline::filters_only),
        ("the original's result set for the third party, opened", Pipeline::opened),
        ("encrypted for the third party", Pipeline::encrypted),
        ("pseudonymised", Pipeline::pseudonymised),
        ("decrypted", Pipeline::decrypted),
    ];
    let records = referred_records(value.text("rbfConfiguration")?, folder)?;
    let input = ResultSet::parse(value.text("inputSerialized")?).map_err(text)?;
    // "ehr-N is the N-th person there".
    let mut filters = Vec::new();
    for id in input.ehr_ids(value.text("ehrIdColumnPath")?).map_err(text)? {
        let number = id.rsplit('-').next().and_then(|number| number.parse::<usize>().ok());
        let record = number.and_then(|number| records.get(number)).ok_or("a person that is not there")?;
        filters.push(record.1.clone());
    }
    let pipeline = Pipeline { value: value.clone(), input, filters };
    for (name, step) in steps {
        tally.case(name, step(&pipeline));
    }
    Ok(())
}

type Step = fn(&Pipeline) -> Outcome;

struct Pipeline {
    value: Value,
    input: ResultSet,
    filters: Vec<crate::bits::Bits>,
}

/// Compares as JSON values: the vector was read from JSON as well.
fn same_json(what: &str, found: &ResultSet, expected: &Value) -> Outcome {
    let found = found.to_value().map_err(text)?;
    for member in ["meta", "name", "q", "columns", "rows"] {
        same(&format!("{what}, {member}"), &found.get(member), &expected.get(member))?;
    }
    Ok(())
}

impl Pipeline {
    fn parsed(&self, name: &str) -> Result<ResultSet, String> {
        ResultSet::parse(&self.value.member(name)?.to_string()).map_err(text)
    }

    fn study(&self) -> Result<(Key256, &str), String> {
        Ok((key(&self.value, "mdatKeyHex")?, self.value.text("researchStudyIdentifier")?))
    }

    fn written(&self) -> Outcome {
        same("text", &self.input.to_json().as_str(), &self.value.text("inputSerialized")?)?;
        same_json("input", &self.input, self.value.member("input")?)
    }

    fn with_filters(&self) -> Outcome {
        let found = self.input.clone().with_filters(&self.filters).map_err(text)?;
        same_json("with filters", &found, self.value.member("withRbfColumn")?)
    }

    fn filters_only(&self) -> Outcome {
        let filters: Vec<_> = self.filters.iter().cloned().map(Some).collect();
        let found = self.input.clone().filters_only(&filters).map_err(text)?;
        same_json("filters only", &found, self.value.member("rbfOnly")?)
    }

    /// Opens what a site sent; gives the plain rows without filter, the id last.
    fn open_site(&self, sent: &ResultSet) -> Result<Vec<Vec<Cell>>, String> {
        let (data_key, study) = self.study()?;
        let organization_key = key(&self.value, "organizationKeyHex")?;
        let organization = self.value.text("organizationIdentifier")?;
        let mut columns = sent.columns.clone();
        same("last column", &columns.pop().map(|column| column.name).as_deref(), &Some(MEDIC_ID_COLUMN.0))?;
        let mut rows = Vec::new();
        for row in &sent.rows {
            let mut plain = Vec::new();
            for (column, cell) in columns.iter().zip(row) {
                if column.name != "RBF" {
                    plain.push(cell.open(&data_key, study).map_err(text)?);
                }
            }
            let id = row.last().and_then(Cell::text).ok_or("no id")?;
            plain.push(Cell::Text(decrypt(&organization_key, organization, id).map_err(text)?.to_string()));
            rows.push(plain);
        }
        Ok(rows)
    }

    /// The rows of the input without filter, the id last.
    fn plain_rows(&self) -> Result<Vec<Vec<Cell>>, String> {
        let id = self.input.column("EHRID", self.value.text("ehrIdColumnPath")?).ok_or("no column of ids")?;
        let rows = self.input.rows.iter().cloned().map(|mut row| {
            let id = row.remove(id);
            row.push(id);
            row
        });
        Ok(rows.collect())
    }

    fn opened(&self) -> Outcome {
        same("rows", &(self.open_site(&self.parsed("encryptedForTtp")?)? == self.plain_rows()?), &true)
    }

    fn encrypted(&self) -> Outcome {
        let (data_key, study) = self.study()?;
        let encryption = Encryption {
            data_key: &data_key,
            study,
            organization_key: &key(&self.value, "organizationKeyHex")?,
            organization: self.value.text("organizationIdentifier")?,
        };
        let path = self.value.text("ehrIdColumnPath")?;
        let plain = self.input.clone().with_filters(&self.filters).map_err(text)?;
        let own = plain.encrypt_for_third_party(encryption, path, &mut random()).map_err(text)?;
        let original = self.parsed("encryptedForTtp")?;
        same("columns", &own.columns, &original.columns)?;
        same("meta", &own.meta, &original.meta)?;
        same("rows", &(self.open_site(&own)? == self.plain_rows()?), &true)?;
        // Same kinds, same lengths, same filters.
        for (found, expected) in own.rows.iter().flatten().zip(original.rows.iter().flatten()) {
            let shape = |cell: &Cell| {
                let text = cell.text().unwrap_or_default();
                (text.split(':').next().filter(|_| text.contains(':')).map(str::to_owned), text.len())
            };
            same("shape of a cell", &shape(found), &shape(expected))?;
        }
        Ok(())
    }

    fn pseudonymised(&self) -> Outcome {
        let original = self.parsed("ttpResultForMedic")?;
        let keys = StudyKeys::new(self.study()?.1, "vector", key(&self.value, "ttpStudyKeyHex")?);
        let sent = self.parsed("encryptedForTtp")?;
        // Who is in which group, and how the sites were called, is told by the original's pseudonyms.
        let pseudonyms: Vec<&str> =
            original.rows.iter().filter_map(|row| row.last().and_then(Cell::text)).collect();
        let mut persons = Vec::new();
        for pseudonym in &pseudonyms {
            let ids = keys.open(pseudonym).map_err(text)?.1;
            if !persons.contains(&ids) {
                persons.push(ids);
            }
        }
        let mut names: Vec<String> = persons.iter().flatten().map(|id| id.organization.clone()).collect();
        names.sort();
        names.dedup();
        let sites: Vec<SiteResult> = names
            .iter()
            .map(|name| SiteResult { organization: name.clone(), result: sent.clone() })
            .collect();
        let record = |id: &MedicId| {
            let site = names.iter().position(|name| *name == id.organization)?;
            let value = id.value.as_deref()?;
            let index = sent.rows.iter().position(|row| row.last().and_then(Cell::text) == Some(value))?;
            Some(Record { site, index })
        };
        let groups: Option<Vec<Vec<Record>>> =
            persons.iter().map(|ids| ids.iter().map(record).collect()).collect();
        let groups = match groups {
            Some(groups) if persons.len() == sent.rows.len() => groups,
            // Sites with the same ids under one name: a record of the set stands for each.
            _ => return Err("the pseudonyms name records that were not sent".to_owned()),
        };
        let created =
            original.meta.iter().find(|(name, _)| *name == "_created").map(|(_, time)| time.as_str());
        let own =
            ResultSet::pseudonymised(&sites, &groups, &keys, created.unwrap_or_default(), &mut random());
        let own = own.map_err(text)?;
        same("columns", &own.columns, &original.columns)?;
        same("meta", &own.meta, &original.meta)?;
        same("number of rows", &own.rows.len(), &original.rows.len())?;
        // Rows are in random order; each must be there with a pseudonym of the same ids.
        let content = |result: &ResultSet| {
            let mut rows = Vec::new();
            for row in &result.rows {
                let texts: Vec<&str> = row.iter().filter_map(Cell::text).collect();
                let (pseudonym, cells) = texts.split_last().ok_or("a row without text")?;
                let ids = keys.open(pseudonym).map_err(text)?.1;
                let ids: Vec<_> = ids.into_iter().map(|id| (id.organization, id.value)).collect();
                rows.push(format!("{cells:?} {ids:?}"));
            }
            rows.sort();
            Ok::<_, String>(rows)
        };
        same("rows", &content(&own)?, &content(&original)?)
    }

    fn decrypted(&self) -> Outcome {
        let (data_key, study) = self.study()?;
        let found = self.parsed("ttpResultForMedic")?.decrypt(&data_key, study).map_err(text)?;
        same_json("decrypted", &found, self.value.member("decryptedByMedic")?)?;
        // A research result goes the same way back.
        let again = found.clone().encrypt_research_result(&data_key, study, &mut random()).map_err(text)?;
        same("research result, opened", &(again.decrypt(&data_key, study).map_err(text)? == found), &true)
    }
}
