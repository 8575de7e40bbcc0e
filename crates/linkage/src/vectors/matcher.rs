//! Vectors of the matcher.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::{Members, Outcome, Tally, rbf, read_json, same};
use crate::bits::Bits;
use crate::dice::dice;
use crate::filters::{FilterSet, Header};
use crate::matching::{Strategy, compatible, compatible_single};
use crate::profile::ProfileId;

/// Stands for a filter without bits.
const EMPTY: &str = "<empty>";

type Records = HashMap<String, Bits>;

/// `matcher.json`. Its filters are those of a configuration of another file of the folder.
pub fn run(tally: &mut Tally<'_>, value: &Value, folder: &Path) -> Outcome {
    let records = referred_records(value.text("rbfsFrom")?, folder)?.into_iter().collect();
    type Check = fn(&Value, &Records) -> Outcome;
    let kinds: [(&str, Check); 3] =
        [("dice", pair), ("federated", federated), ("singleOrganization", single)];
    for (kind, check) in kinds {
        if value.get(kind).is_some() {
            for (index, case) in value.list(kind)?.iter().enumerate() {
                tally.case(format!("{kind} {index}"), check(case, &records));
            }
        }
    }
    Ok(())
}

/// The filters that a text such as "rbf-persons.json, configuration 'process'" refers to.
pub fn referred_records(text: &str, folder: &Path) -> Result<Vec<(String, Bits)>, String> {
    let words = || text.split([' ', ',', ';']);
    let file = words().find(|word| word.ends_with(".json")).ok_or("no file of filters is named")?;
    let configuration = text.split('\'').nth(1).ok_or("no configuration is named")?;
    rbf::records(&read_json(&folder.join(file))?, configuration)
}

fn filter<'a>(records: &'a Records, name: &str) -> Result<&'a Bits, String> {
    records.get(name).ok_or_else(|| format!("no person `{name}`"))
}

fn pair(case: &Value, records: &Records) -> Outcome {
    let empty = Bits::new(0);
    let named = |name: &str| if name == EMPTY { Ok(&empty) } else { filter(records, name) };
    let (a, b) = (named(case.text("a")?)?, named(case.text("b")?)?);
    let common = a.words().iter().zip(b.words()).map(|(x, y)| (x & y).count_ones()).sum();
    let found = dice(common, a.count(), b.count());
    // JSON has no NaN.
    if found.is_nan() {
        return same("score", &"NaN", &case.text("dice")?);
    }
    same(
        "bits of the score",
        &format!("{:016x}", found.to_bits()).as_str(),
        &case.text("diceIeee754BitsHex")?,
    )?;
    same("score", &found, &case.double("dice")?)
}

fn strategy(case: &Value) -> Result<Strategy, String> {
    Ok(match case.text("strategy")? {
        "FIRST" => Strategy::First,
        "LAST" => Strategy::Last,
        "MAX" => Strategy::Max,
        "MIN" => Strategy::Min,
        "AVG" => Strategy::Average,
        "MEDIAN" => Strategy::Median,
        "NONE" => Strategy::None,
        other => return Err(format!("no such strategy: {other}")),
    })
}

fn set(names: &[&str], records: &Records) -> Result<FilterSet, String> {
    let bits = records.values().next().map(Bits::length).unwrap_or_default();
    let header = Header {
        profile: ProfileId { name: "vectors".to_owned(), version: 1 },
        encoding: String::new(),
        bits: u32::try_from(bits).map_err(|error| error.to_string())?,
        key_check: None,
    };
    let mut set = FilterSet::new(header);
    for name in names {
        set.push(filter(records, name)?).map_err(|error| error.to_string())?;
    }
    Ok(set)
}

fn federated(case: &Value, records: &Records) -> Outcome {
    let (mut sets, mut names) = (Vec::new(), Vec::new());
    for list in case.list("inputLists")? {
        let members = list.texts("medicIds")?;
        sets.push(set(&members, records)?);
        let organization = list.text("organization")?;
        names.push(members.iter().map(|member| format!("{organization}/{member}")).collect::<Vec<_>>());
    }
    let find =
        || compatible(&sets, strategy(case)?, case.double("threshold")?).map_err(|error| error.to_string());
    let groups = find()?;
    let found = groups.iter().map(|group| group.iter().map(|r| names[r.site][r.index].clone()).collect());
    if case.flag("deterministicOver25Runs")? {
        same("number of groups", &(groups.len() as u64), &case.number("groupCount")?)?;
        return grouped(found.collect(), case);
    }
    // The original gave different results; ours gives one that holds everybody once.
    same("second run", &(find()? == groups), &true)?;
    let mut all: Vec<String> = found.flat_map(|group: Vec<String>| group).collect();
    let mut expected: Vec<String> = names.concat();
    all.sort();
    expected.sort();
    same("members", &all, &expected)
}

fn single(case: &Value, records: &Records) -> Outcome {
    let names = case.texts("inputOrder")?;
    let groups = compatible_single(&set(&names, records)?, strategy(case)?, case.double("threshold")?);
    let found =
        groups.iter().map(|group| group.iter().map(|record| names[record.index].to_owned()).collect());
    grouped(found.collect(), case)
}

fn grouped(mut found: Vec<Vec<String>>, case: &Value) -> Outcome {
    found.sort();
    let sorted = |groups: &Value| {
        let mut groups: Vec<Vec<String>> =
            serde_json::from_value(groups.clone()).map_err(|error| error.to_string())?;
        groups.sort();
        Ok::<_, String>(groups)
    };
    same("groups", &found, &sorted(case.member("groupsSorted")?)?)
}
