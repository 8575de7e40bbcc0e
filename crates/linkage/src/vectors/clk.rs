//! Vectors of CLK schemas and of what they are made of.

use serde_json::Value;

use super::{Members, Outcome, Tally, same};
use crate::bits::Bits;
use crate::clk::{
    Comparison, Encoder, Folds, Hash, Insertion, Kdf, KdfHash, Schema, Strategy, derive, insert, tokens,
};

/// Files of `records` and `cases`.
pub fn schemas(tally: &mut Tally<'_>, value: &Value) -> Outcome {
    let records = value.list("records")?;
    for (index, case) in value.list("cases")?.iter().enumerate() {
        let name = case.text("name").or_else(|_| case.text("schemaFile")).unwrap_or("case");
        tally.case(format!("{name} ({index})"), schema(case, records));
    }
    Ok(())
}

fn schema(case: &Value, records: &[Value]) -> Outcome {
    let schema = Schema::parse(&case.member("schema")?.to_string(), Folds::AsClkhash);
    let schema = schema.map_err(|error| error.to_string())?;
    if case.get("clkBits").is_some() || case.get("effectiveXorFolds").is_some() {
        same("length", &(schema.length as u64), &case.number("clkBits")?)?;
        same("folds", &u64::from(schema.folds), &case.number("effectiveXorFolds")?)?;
    }
    let encoder = Encoder::new(schema, case.text("secret")?.as_bytes()).map_err(|error| error.to_string())?;
    if case.get("keysHex").is_some() {
        for (feature, expected) in case.list("keysHex")?.iter().enumerate() {
            let (first, second) = encoder.keys(feature).ok_or("too few keys")?;
            let found = serde_json::json!([hex::encode(first), hex::encode(second)]);
            same(&format!("keys of feature {feature}"), &found, expected)?;
        }
    }
    let expected = case.texts("clksBase64")?;
    same("number of filters", &expected.len(), &records.len())?;
    for (row, record) in records.iter().enumerate() {
        let columns = record.as_array().ok_or("a record is no list")?;
        let columns: Option<Vec<_>> = columns.iter().map(Value::as_str).collect();
        let columns = columns.ok_or("a record holds more than texts")?;
        if case.get("tokensPerRecordAndField").is_some() {
            let found = encoder.tokens(&columns).map_err(|error| error.to_string())?;
            let expected = case.list("tokensPerRecordAndField")?.get(row).ok_or("too few lists of tokens")?;
            same(&format!("tokens of record {row}"), &serde_json::json!(found), expected)?;
        }
        let filter = encoder.encode(&columns).map_err(|error| error.to_string())?;
        same(&format!("filter of record {row}"), &filter.to_clk_text().as_str(), &expected[row])?;
        if case.get("popcounts").is_some() {
            let expected = case.numbers("popcounts")?;
            same(&format!("bits of record {row}"), &Some(&i64::from(filter.count())), &expected.get(row))?;
        }
    }
    Ok(())
}

/// `clk-primitives.json`.
pub fn primitives(tally: &mut Tally<'_>, value: &Value) -> Outcome {
    type Check = fn(&Value) -> Outcome;
    let kinds: [(&str, Check); 5] = [
        ("hkdf", hkdf),
        ("blakeTokens", blake),
        ("doubleHashTokens", double),
        ("foldXor", fold),
        ("tokenizers", tokenizer),
    ];
    for (kind, check) in kinds {
        if value.get(kind).is_some() {
            for (index, case) in value.list(kind)?.iter().enumerate() {
                tally.case(format!("{kind} {index}"), check(case));
            }
        }
    }
    Ok(())
}

fn size(case: &Value, name: &str) -> Result<usize, String> {
    usize::try_from(case.number(name)?).map_err(|error| error.to_string())
}

fn hkdf(case: &Value) -> Outcome {
    let bytes = |name: &str| match case.text_or_null(name)? {
        None => Ok(Vec::new()),
        Some(_) => case.hex(name),
    };
    let hash = match case.text("hash")? {
        "SHA256" => KdfHash::Sha256,
        "SHA512" => KdfHash::Sha512,
        other => return Err(format!("no such hash: {other}")),
    };
    let kdf =
        Kdf { hash, salt: bytes("saltHex")?, info: bytes("infoHex")?, key_size: size(case, "keySize")? };
    let keys =
        derive(&kdf, &case.hex("secretHex")?, size(case, "numKeys")?).map_err(|error| error.to_string())?;
    let found: Vec<_> = keys.iter().map(hex::encode).collect();
    same("keys", &found.iter().map(String::as_str).collect(), &case.texts("keysHex")?)
}

fn blake(case: &Value) -> Outcome {
    let insertion =
        Insertion::new(Hash::Blake, &case.hex("keyHex")?, &[]).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    let token = case.hex("tokenUtf8Hex")?;
    insertion
        .positions(&token, size(case, "k")?, size(case, "l")?, |position| found.push(position as i64))
        .map_err(|error| error.to_string())?;
    same("positions", &found, &case.numbers("indices")?)
}

fn double(case: &Value) -> Outcome {
    let hash = Hash::Double { prevent_singularity: case.flag("preventSingularity")? };
    let insertion = Insertion::new(hash, &case.hex("key1Hex")?, &case.hex("key2Hex")?);
    let insertion = insertion.map_err(|error| error.to_string())?;
    let mut filter = Bits::new(size(case, "l")?);
    let token = case.hex("tokenUtf8Hex")?;
    insert(&mut filter, &[token], Strategy::PerToken(size(case, "k")?), &insertion)
        .map_err(|error| error.to_string())?;
    same("bits", &filter.ones().map(|bit| bit as i64).collect(), &case.numbers("setBits")?)
}

fn fold(case: &Value) -> Outcome {
    let text = case.text("bits")?;
    let mut bits = Bits::new(text.len());
    text.bytes().enumerate().filter(|(_, byte)| *byte == b'1').for_each(|(index, _)| bits.set(index));
    same("text", &bits.to_clk_text().as_str(), &case.text("base64")?)?;
    let read = Bits::from_clk_text(&bits.to_clk_text(), text.len()).map_err(|error| error.to_string())?;
    same("text, read", &(read == bits), &true)?;
    for _ in 0..case.number("folds")? {
        bits = bits.fold();
    }
    let folded: String = (0..bits.length()).map(|index| if bits.get(index) { '1' } else { '0' }).collect();
    same("folded", &folded.as_str(), &case.text("folded")?)
}

fn tokenizer(case: &Value) -> Outcome {
    let text = case.text("comparison")?;
    let mut words = text.split(' ');
    let kind = words.next().unwrap_or_default();
    let words: Vec<_> = words.collect();
    let number = |name: &str| {
        let value = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<f64>().ok()).ok_or_else(|| format!("no `{name}` in `{text}`"))
    };
    let comparison = match kind {
        "exact" => Comparison::Exact,
        "ngram" => Comparison::Ngram { n: number("n")? as usize, positional: words.contains(&"positional") },
        "numeric" => Comparison::Numeric {
            distance: number("thresholdDistance")?,
            resolution: number("resolution")? as i64,
            precision: number("fractional_precision")? as u32,
        },
        other => return Err(format!("no such comparison: {other}")),
    };
    let found = tokens(&comparison, case.text("input")?).map_err(|error| error.to_string())?;
    same("tokens", &found.iter().map(String::as_str).collect(), &case.texts("tokens")?)
}
