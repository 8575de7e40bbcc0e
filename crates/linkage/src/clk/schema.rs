//! Schemas of version 3; those of version 1 and 2 are brought up to it (record-linkage.md 10.1, 10.4).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::keys::{Kdf, KdfHash};
use super::value::DatePattern;

/// Longest filter before folding, in bits. Blake hashing reaches 65 536 positions.
const MAX_BITS: usize = 1 << 16;
/// Most insertions per token or feature, and most grams or neighbours of a value: bounds that keep a
/// wrong schema from running for hours.
const MAX_COUNT: usize = 1 << 14;

/// How values become filters.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Length of the filter in bits, after folding.
    pub length: usize,
    /// How often the filter is folded.
    pub folds: u32,
    /// Derivation of the keys.
    pub kdf: Kdf,
    /// The columns, in order; `None` is an ignored one.
    pub features: Vec<Option<Feature>>,
}

/// A column that is encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Name of the column.
    pub identifier: String,
    /// How the value is read.
    pub format: Format,
    /// Text encoding of the tokens.
    pub encoding: Encoding,
    /// What stands for a missing value.
    pub missing: Option<MissingValue>,
    /// How tokens are made.
    pub comparison: Comparison,
    /// How many positions they get.
    pub strategy: Strategy,
    /// How positions are made.
    pub hash: Hash,
}

/// How a value is read.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// As it is.
    Text,
    /// As whole number.
    Integer,
    /// As date in a strptime pattern.
    Date(DatePattern),
}

/// Text encoding of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// ASCII; anything else is an error.
    Ascii,
    /// UTF-8.
    Utf8,
    /// UTF-16 with byte-order mark.
    Utf16,
    /// UTF-32 with byte-order mark.
    Utf32,
}

/// What stands for a missing value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingValue {
    /// The value that says that there is none.
    pub sentinel: String,
    /// What is encoded in its place; the sentinel itself when absent.
    pub replacement: Option<String>,
}

/// How tokens are made of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// Windows of `n` code points.
    Ngram {
        /// Length of a window.
        n: usize,
        /// Whether its place is part of the token.
        positional: bool,
    },
    /// The whole value.
    Exact,
    /// Numbers that are near give tokens in common.
    Numeric {
        /// Distance from which on there is none in common.
        distance: f64,
        /// Steps within the distance.
        resolution: i64,
        /// Decimal places that count.
        precision: u32,
    },
}

/// How many positions tokens get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// The same number for every token.
    PerToken(usize),
    /// A number for the whole feature, shared among its tokens.
    PerFeature(usize),
}

impl Strategy {
    /// The number of insertions for each of `tokens` tokens: shares of a feature differ by at most one,
    /// the first ones being larger.
    pub fn counts(self, tokens: usize) -> impl Iterator<Item = usize> {
        (0..tokens).map(move |index| match self {
            Strategy::PerToken(bits) => bits,
            Strategy::PerFeature(bits) => bits / tokens + usize::from(index < bits % tokens),
        })
    }
}

/// How positions are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// BLAKE2b with independent positions; the default.
    Blake,
    /// HMAC-SHA-1 plus multiples of HMAC-MD5.
    Double {
        /// Whether a step of 0 is replaced.
        prevent_singularity: bool,
    },
}

/// What to do with `xorFolds`, which the format documents but clkhash does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folds {
    /// Refuse the schema when it asks for folds under that name.
    Strict,
    /// Ignore the name, as clkhash does.
    AsClkhash,
}

/// A schema that cannot be used. Names the place, never a value of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("CLK schema: {place}: {cause}")]
pub struct SchemaError {
    place: String,
    cause: String,
}

fn error(place: &str, cause: impl Into<String>) -> SchemaError {
    SchemaError { place: place.to_owned(), cause: cause.into() }
}

impl Schema {
    /// Reads a schema of version 1, 2 or 3.
    ///
    /// # Errors
    /// When it is no JSON or something in it is missing or out of bounds.
    pub fn parse(json: &str, folds: Folds) -> Result<Schema, SchemaError> {
        let mut schema: Value =
            serde_json::from_str(json).map_err(|cause| error("file", cause.to_string()))?;
        match schema.get("version").and_then(Value::as_u64) {
            Some(1) => {
                one_to_two(&mut schema)?;
                two_to_three(&mut schema)?;
            }
            Some(2) => two_to_three(&mut schema)?,
            Some(3) => {}
            _ => return Err(error("version", "1, 2 or 3 is needed")),
        }
        let config = object(&schema, "clkConfig")?;
        let length = count(config.get("l"), "clkConfig.l")?;
        if folds == Folds::Strict && config.get("xorFolds").and_then(Value::as_u64).unwrap_or(0) > 0 {
            return Err(error("clkConfig.xorFolds", "clkhash ignores this name; write `xor_folds`"));
        }
        let folds = match config.get("xor_folds") {
            None => 0,
            folds => u32::try_from(count_from_zero(folds, "clkConfig.xor_folds")?).unwrap_or(u32::MAX),
        };
        let working = 1_usize.checked_shl(folds).and_then(|factor| length.checked_mul(factor));
        let working = working
            .filter(|bits| (1..=MAX_BITS).contains(bits))
            .ok_or_else(|| error("clkConfig.l", format!("up to {MAX_BITS} bits before folding")))?;
        let features = schema.get("features").and_then(Value::as_array);
        let mut read = Vec::new();
        for (index, feature) in
            features.ok_or_else(|| error("features", "a list is needed"))?.iter().enumerate()
        {
            let place = format!("features[{index}]");
            let feature = read_feature(feature, &place)?;
            if feature.as_ref().is_some_and(|feature| feature.hash == Hash::Blake)
                && !working.is_power_of_two()
            {
                return Err(error(&place, "blakeHash needs a length that is a power of two"));
            }
            read.push(feature);
        }
        Ok(Schema { length, folds, kdf: read_kdf(config)?, features: read })
    }

    /// Length before folding.
    #[must_use]
    pub fn working_length(&self) -> usize {
        self.length << self.folds
    }
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, SchemaError> {
    value.get(name).and_then(Value::as_object).ok_or_else(|| error(name, "an object is needed"))
}

fn count_from_zero(value: Option<&Value>, place: &str) -> Result<usize, SchemaError> {
    let number = value.and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| error(place, "a natural number is needed"))
}

fn count(value: Option<&Value>, place: &str) -> Result<usize, SchemaError> {
    match count_from_zero(value, place)? {
        0 => Err(error(place, "a number above 0 is needed")),
        number => Ok(number),
    }
}

fn bounded(value: Option<&Value>, place: &str) -> Result<usize, SchemaError> {
    match count_from_zero(value, place)? {
        number if number <= MAX_COUNT => Ok(number),
        _ => Err(error(place, format!("up to {MAX_COUNT} is allowed"))),
    }
}

fn read_kdf(config: &Map<String, Value>) -> Result<Kdf, SchemaError> {
    let mut kdf = Kdf::default();
    let Some(given) = config.get("kdf") else { return Ok(kdf) };
    if given.get("type").is_some_and(|kind| kind != "HKDF") {
        return Err(error("clkConfig.kdf.type", "only HKDF is known"));
    }
    kdf.hash = match given.get("hash").map(|hash| hash.as_str().unwrap_or_default()) {
        None | Some("SHA256") => KdfHash::Sha256,
        Some("SHA512") => KdfHash::Sha512,
        Some(_) => return Err(error("clkConfig.kdf.hash", "SHA256 or SHA512 is needed")),
    };
    for (name, bytes) in [("salt", &mut kdf.salt), ("info", &mut kdf.info)] {
        if let Some(text) = given.get(name).filter(|text| !text.is_null()) {
            *bytes = (text.as_str().and_then(|text| STANDARD.decode(text).ok()))
                .ok_or_else(|| error(&format!("clkConfig.kdf.{name}"), "standard Base64 is needed"))?;
        }
    }
    if let Some(size) = given.get("keySize") {
        kdf.key_size = count(Some(size), "clkConfig.kdf.keySize")?;
    }
    Ok(kdf)
}

fn read_feature(feature: &Value, place: &str) -> Result<Option<Feature>, SchemaError> {
    let identifier = feature.get("identifier").and_then(Value::as_str);
    let identifier = identifier.ok_or_else(|| error(place, "`identifier` is missing"))?.to_owned();
    if feature.get("ignored") == Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let place = &format!("{place} ({identifier})");
    let at = |member: &str| format!("{place}.{member}");
    let null = Value::Null;
    let format = feature.get("format").unwrap_or(&null);
    let hashing = feature.get("hashing").unwrap_or(&null);
    let encoding = match format.get("encoding").map(|encoding| encoding.as_str().unwrap_or_default()) {
        None | Some("utf-8") => Encoding::Utf8,
        Some("ascii") => Encoding::Ascii,
        Some("utf-16") => Encoding::Utf16,
        Some("utf-32") => Encoding::Utf32,
        Some(_) => return Err(error(&at("format.encoding"), "not a known encoding")),
    };
    let format = match format.get("type").and_then(Value::as_str) {
        Some("string" | "enum") => Format::Text,
        Some("integer") => Format::Integer,
        Some("date") => {
            let pattern = format.get("format").and_then(Value::as_str).unwrap_or_default();
            Format::Date(DatePattern::parse(pattern).map_err(|cause| error(&at("format.format"), cause))?)
        }
        _ => return Err(error(&at("format.type"), "string, enum, integer or date is needed")),
    };
    let missing = match hashing.get("missingValue") {
        None => None,
        Some(missing) => Some(MissingValue {
            sentinel: (missing.get("sentinel").and_then(Value::as_str))
                .ok_or_else(|| error(&at("hashing.missingValue.sentinel"), "a text is needed"))?
                .to_owned(),
            replacement: missing.get("replaceWith").and_then(Value::as_str).map(str::to_owned),
        }),
    };
    let strategy = hashing.get("strategy").unwrap_or(&null);
    let strategy = match (strategy.get("bitsPerToken"), strategy.get("bitsPerFeature")) {
        (Some(bits), None) => Strategy::PerToken(bounded(Some(bits), &at("bitsPerToken"))?),
        (None, Some(bits)) => Strategy::PerFeature(bounded(Some(bits), &at("bitsPerFeature"))?),
        _ => return Err(error(&at("hashing.strategy"), "either bitsPerToken or bitsPerFeature is needed")),
    };
    let hash = hashing.get("hash").unwrap_or(&null);
    let hash = match hash.get("type").map(|kind| kind.as_str().unwrap_or_default()) {
        None | Some("blakeHash") => Hash::Blake,
        Some("doubleHash") => {
            Hash::Double { prevent_singularity: hash.get("prevent_singularity") == Some(&Value::Bool(true)) }
        }
        Some(_) => return Err(error(&at("hashing.hash.type"), "blakeHash or doubleHash is needed")),
    };
    let comparison = read_comparison(hashing.get("comparison").unwrap_or(&null), &at("hashing.comparison"))?;
    Ok(Some(Feature { identifier, format, encoding, missing, comparison, strategy, hash }))
}

fn read_comparison(comparison: &Value, place: &str) -> Result<Comparison, SchemaError> {
    match comparison.get("type").and_then(Value::as_str) {
        Some("ngram") => {
            let n = bounded(comparison.get("n"), place)?.max(1);
            Ok(Comparison::Ngram { n, positional: comparison.get("positional") == Some(&Value::Bool(true)) })
        }
        Some("exact") => Ok(Comparison::Exact),
        Some("numeric") => {
            let distance = comparison.get("thresholdDistance").and_then(Value::as_f64);
            let precision = match comparison.get("fractional_precision") {
                None => 0,
                precision => bounded(precision, place)?,
            };
            Ok(Comparison::Numeric {
                distance: distance.ok_or_else(|| error(place, "`thresholdDistance` is missing"))?,
                resolution: bounded(comparison.get("resolution"), place)? as i64,
                precision: u32::try_from(precision).unwrap_or(u32::MAX),
            })
        }
        _ => Err(error(place, "ngram, exact or numeric is needed")),
    }
}

fn features_of(schema: &mut Value) -> Result<&mut Vec<Value>, SchemaError> {
    schema
        .get_mut("features")
        .and_then(Value::as_array_mut)
        .ok_or_else(|| error("features", "a list is needed"))
}

/// The global `k` times the weight of the feature becomes its own; the hash moves into the features.
fn one_to_two(schema: &mut Value) -> Result<(), SchemaError> {
    let config = object(schema, "clkConfig")?;
    let k = count(config.get("k"), "clkConfig.k")? as f64;
    let hash = config.get("hash").cloned();
    for feature in features_of(schema)? {
        let Some(hashing) = feature.get_mut("hashing").and_then(Value::as_object_mut) else { continue };
        let weight = hashing.remove("weight").map_or(Some(1.0), |weight| weight.as_f64());
        let weight = weight.ok_or_else(|| error("weight", "a number is needed"))?;
        let bits = (weight * k).round_ties_even().clamp(0.0, MAX_COUNT as f64) as u64;
        hashing.insert("strategy".into(), serde_json::json!({ "k": bits }));
        if let Some(hash) = &hash {
            hashing.insert("hash".into(), hash.clone());
        }
        if weight == 0.0
            && let Some(feature) = feature.as_object_mut()
        {
            feature.insert("ignored".into(), Value::Bool(true));
        }
    }
    Ok(())
}

/// Renames the strategies and makes a comparison of `ngram` and `positional`.
fn two_to_three(schema: &mut Value) -> Result<(), SchemaError> {
    for feature in features_of(schema)? {
        let Some(hashing) = feature.get_mut("hashing").and_then(Value::as_object_mut) else { continue };
        if let Some(strategy) = hashing.get_mut("strategy").and_then(Value::as_object_mut) {
            for (old, new) in [("k", "bitsPerToken"), ("numBits", "bitsPerFeature")] {
                if let Some(bits) = strategy.remove(old) {
                    strategy.insert(new.into(), bits);
                }
            }
        }
        let n = hashing.remove("ngram").unwrap_or(Value::Null);
        let positional = hashing.remove("positional").unwrap_or(Value::Bool(false));
        let comparison = serde_json::json!({ "type": "ngram", "n": n, "positional": positional });
        hashing.insert("comparison".into(), comparison);
    }
    Ok(())
}
