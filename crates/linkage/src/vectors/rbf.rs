//! Vectors of hashing, shuffle, field filters, record filters and configurations.

use serde_json::Value;

use super::{Members, Outcome, Tally, same};
use crate::bits::Bits;
use crate::digest::Function;
use crate::java_random::JavaRandom;
use crate::rbf::{
    Attributes, BloomFilterConfig, FIELD_COUNT, Field, HasherPair, Parameters, RecordEncoder, bigrams,
    compose, field_filter, sampling_length,
};
use crate::secret::SecretText;

/// Names of the attributes in the vectors, in field order.
const ATTRIBUTES: [&str; FIELD_COUNT] =
    ["firstName", "lastName", "birthday", "sex", "street", "zipCode", "city", "country", "insuranceNumber"];

/// The hash functions that a vector names, as (function, keyed).
fn functions(name: &str) -> Result<((Function, Function), bool), String> {
    let keyed = name.starts_with("HMAC-");
    let functions = match name.replace("HMAC-", "").as_str() {
        "MD5+SHA1" => (Function::Md5, Function::Sha1),
        "SHA1+SHA256" => (Function::Sha1, Function::Sha256),
        "SHA256+SHA3-256" => (Function::Sha256, Function::Sha3),
        other => return Err(format!("no such hash functions: {other}")),
    };
    Ok((functions, keyed))
}

fn hashers(value: &Value) -> Result<HasherPair, String> {
    let ((first, second), keyed) = functions(value.text("hasher")?)?;
    if keyed {
        Ok(HasherPair::keyed((first, &value.hex("key1Hex")?), (second, &value.hex("key2Hex")?)))
    } else {
        Ok(HasherPair::plain(first, second))
    }
}

/// `hashing.json`.
pub fn hashing(tally: &mut Tally<'_>, value: &Value) -> Outcome {
    for hasher in value.list("hashers")? {
        let name = hasher.text("hasher")?;
        let pair = hashers(hasher)?;
        for (index, entry) in hasher.list("entries")?.iter().enumerate() {
            tally.case(format!("{name} bigram {index}"), bigram(hasher, &pair, entry));
        }
    }
    Ok(())
}

fn bigram(hasher: &Value, pair: &HasherPair, entry: &Value) -> Outcome {
    use crate::digest::Hasher;
    let bytes = entry.hex("bigramUtf8Hex")?;
    // The bigram between two blanks gives three windows; the one in the middle is the bigram itself.
    let windows: Vec<_> =
        bigrams(Some(entry.text("bigram")?)).map(|window| window.as_ref().to_vec()).collect();
    if entry.text("bigram")?.encode_utf16().count() == 2 {
        same("bytes of the bigram", windows.get(1).unwrap_or(&Vec::new()), &bytes)?;
    }
    let ((first, second), keyed) = functions(hasher.text("hasher")?)?;
    for (function, key, hash) in [(first, "key1Hex", "hash1Hex"), (second, "key2Hex", "hash2Hex")] {
        let state = if keyed { Hasher::keyed(function, &hasher.hex(key)?) } else { Hasher::plain(function) };
        same(hash, &hex::encode(state.digest(&bytes)), &entry.text(hash)?.to_owned())?;
    }
    let by_length = entry.member("positionsByLength")?;
    let lengths = by_length.as_object().filter(|lengths| !lengths.is_empty()).ok_or("no positions")?;
    for length in lengths.keys() {
        let nominal: u32 = length.parse().map_err(|_| "a length is no number")?;
        let found = pair.positions(&bytes, nominal).map(i64::from).to_vec();
        same(&format!("positions of {length}"), &found, &by_length.numbers(length)?)?;
    }
    Ok(())
}

/// `field-bloom-filters.json`.
pub fn field_filters(tally: &mut Tally<'_>, value: &Value) -> Outcome {
    for (number, group) in value.list("groups")?.iter().enumerate() {
        let pair = hashers(group)?;
        let length = u32::try_from(group.number("length")?).map_err(|error| error.to_string())?;
        for (index, entry) in group.list("entries")?.iter().enumerate() {
            let outcome = (|| {
                let filter = field_filter(&pair, entry.text_or_null("input")?, length);
                let ones: Vec<_> = filter.ones().map(|bit| bit as i64).collect();
                same("bits", &ones, &entry.numbers("setBits")?)?;
                same("text", &filter.to_rbf_text(), &entry.text("base64")?.to_owned())?;
                same("cardinality", &u64::from(filter.count()), &entry.number("cardinality")?)?;
                same("sampling length", &(sampling_length(length) as u64), &entry.number("samplingLength")?)
            })();
            tally.case(format!("group {number} input {index}"), outcome);
        }
    }
    Ok(())
}

/// Files of `entries`: shuffle, record filters of given fields, configurations.
pub fn entries(tally: &mut Tally<'_>, value: &Value) -> Outcome {
    for (index, entry) in value.list("entries")?.iter().enumerate() {
        if entry.get("nextInt").is_some() || entry.get("shuffledIdentityList").is_some() {
            tally.case(format!("shuffle {index}"), shuffle(entry));
        } else if entry.get("taskInputBase64").is_some() {
            tally.case(format!("configuration {index}"), configuration(entry));
        } else {
            tally.case(format!("record {index}"), composed(entry));
        }
    }
    Ok(())
}

fn shuffle(entry: &Value) -> Outcome {
    let seed = entry.seed("seed")?;
    let expected = entry.numbers("nextInt")?;
    let mut random = JavaRandom::new(seed);
    let found: Vec<_> = expected.iter().map(|_| i64::from(random.next_int())).collect();
    same("nextInt()", &found, &expected)?;
    let bounded = entry.member("nextIntBounded")?;
    for bound in bounded.as_object().ok_or("no bounds")?.keys() {
        let expected = bounded.numbers(bound)?;
        let limit: u32 = bound.parse().map_err(|_| "a bound is no number")?;
        let mut random = JavaRandom::new(seed);
        let found: Vec<_> = expected.iter().map(|_| i64::from(random.next_below(limit))).collect();
        same(&format!("nextInt({bound})"), &found, &expected)?;
    }
    let lists = entry.member("shuffledIdentityList")?;
    for length in lists.as_object().ok_or("no lists")?.keys() {
        let mut found: Vec<i64> = (0..length.parse().map_err(|_| "a length is no number")?).collect();
        JavaRandom::new(seed).shuffle(&mut found);
        same(&format!("shuffle of {length}"), &found, &lists.numbers(length)?)?;
    }
    Ok(())
}

fn composed(entry: &Value) -> Outcome {
    let mut fields = Vec::new();
    for field in entry.list("fields")? {
        let length = usize::try_from(field.number("samplingLength")?).map_err(|error| error.to_string())?;
        let filter =
            Bits::from_rbf_text(field.text("fieldBase64")?, length).map_err(|error| error.to_string())?;
        fields.push(Field { filter, weight: field.double("weight")? });
    }
    let requested = entry.member("requestedLength")?.as_i64().ok_or("`requestedLength` is no number")?;
    let record = compose(&fields, requested, entry.seed("seed")?);
    if entry.get("error").is_some_and(|error| !error.is_null()) {
        return match record {
            Ok(_) => Err("was not refused".to_owned()),
            Err(_) => Ok(()),
        };
    }
    let record = record.map_err(|error| error.to_string())?;
    same("length", &(record.length() as u64), &entry.number("length")?)?;
    same("cardinality", &u64::from(record.count()), &entry.number("cardinality")?)?;
    same("text", &record.to_rbf_text(), &entry.text("base64")?.to_owned())
}

fn configuration(entry: &Value) -> Outcome {
    let task_input = entry.text("taskInputBase64")?;
    let variable = entry.text("processVariableJson")?;
    let config = BloomFilterConfig::from_task_input(task_input).map_err(|error| error.to_string())?;
    same("seed", &config.seed, &entry.seed("permutationSeed")?)?;
    same("SHA-2 key", &hex::encode(config.sha2_key.expose()), &entry.text("hmacSha2KeyHex")?.to_owned())?;
    same("SHA-3 key", &hex::encode(config.sha3_key.expose()), &entry.text("hmacSha3KeyHex")?.to_owned())?;
    same("Task input", &config.to_task_input().as_str(), &task_input)?;
    same("process variable", &config.to_variable().as_str(), &variable)?;
    let read = BloomFilterConfig::from_variable(variable).map_err(|error| error.to_string())?;
    same("process variable, read", &(read == config), &true)
}

/// Attributes of a person of the vectors.
fn attributes(person: &Value) -> Result<Attributes, String> {
    let mut attributes: Attributes = Default::default();
    for (attribute, name) in attributes.iter_mut().zip(ATTRIBUTES) {
        *attribute = person.text_or_null(name)?.map(SecretText::from);
    }
    Ok(attributes)
}

/// The encoder of a configuration of the vectors.
fn encoder(configuration: &Value) -> Result<RecordEncoder, String> {
    let mut parameters = Parameters {
        length: configuration.member("requestedLength")?.as_i64().ok_or("`requestedLength` is no number")?,
        ..Parameters::WIRE
    };
    for (index, name) in ATTRIBUTES.iter().enumerate() {
        parameters.field_lengths[index] = u32::try_from(configuration.member("fieldLengths")?.number(name)?)
            .map_err(|error| error.to_string())?;
        parameters.weights[index] = configuration.member("configuredWeights")?.double(name)?;
    }
    RecordEncoder::new(&parameters, hashers(configuration)?, configuration.seed("seed")?)
        .map_err(|error| error.to_string())
}

/// `rbf-persons.json`.
pub fn persons(tally: &mut Tally<'_>, value: &Value) -> Outcome {
    let persons = value.list("persons")?;
    for configuration in value.list("configurations")? {
        let name = configuration.text("name")?;
        let mut encoder = encoder(configuration)?;
        let results = configuration.list("results")?;
        same("number of results", &results.len(), &persons.len())?;
        for (person, result) in persons.iter().zip(results) {
            let outcome = (|| {
                same("person", &person.text("medicId")?, &result.text("medicId")?)?;
                let record = encoder.encode(&attributes(person)?);
                same("length", &(record.length() as u64), &result.number("length")?)?;
                same("cardinality", &u64::from(record.count()), &result.number("cardinality")?)?;
                same("text", &record.to_rbf_text(), &result.text("base64")?.to_owned())
            })();
            tally.case(format!("{name} {}", person.text("medicId")?), outcome);
        }
    }
    Ok(())
}

/// The record filters of all persons of a file for one of its configurations, with their names.
pub fn records(value: &Value, configuration: &str) -> Result<Vec<(String, Bits)>, String> {
    let configurations = value.list("configurations")?;
    let configuration = configurations
        .iter()
        .find(|other| other.text("name") == Ok(configuration))
        .ok_or_else(|| format!("no configuration `{configuration}`"))?;
    let mut encoder = encoder(configuration)?;
    let mut records = Vec::new();
    for person in value.list("persons")? {
        records.push((person.text("medicId")?.to_owned(), encoder.encode(&attributes(person)?)));
    }
    Ok(records)
}
