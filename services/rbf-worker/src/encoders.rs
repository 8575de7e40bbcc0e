//! Encoders by profile and keys. Those used lately stay for a while: the positions of their tokens are
//! known, which makes the next request seven times as fast.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use adapter::tls::SetupError;
use linkage::{
    clk::{Encoder, Folds, Schema},
    digest::{Function, Hasher},
    encode::FilterEncoder,
    filters::Header,
    idat::{Idat, Text},
    profile::{ProfileId, WireProfile, de_1},
    rbf::BloomFilterConfig,
};
use messaging::linkage::{Encoded, FilterHeader};

/// Most encoders that are kept.
const MAX_KEPT: usize = 16;
/// How long an unused encoder, and with it the keys of its request, is kept.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(120);

/// Parts of a person as clkhash schemas name them.
const FIELDS: [&str; 9] = ["first", "last", "birth", "sex", "street", "zip", "city", "country", "insurance"];

/// Why there is no encoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoEncoder {
    #[error(
        "profile {0} is not known here: highmed-stub-1, highmed-java-pdq-1, de-1 or one of DSF_RBF_CLK_SCHEMAS"
    )]
    Profile(String),
    #[error("{0}")]
    Keys(String),
}

/// A configured clkhash schema.
struct Clk {
    id: ProfileId,
    schema: Schema,
    /// Parameters in one text: schemas that differ in a byte are not linked.
    encoding: String,
    /// For each column the field of a person; `None` for an ignored column.
    fields: Vec<Option<&'static str>>,
}

/// An encoder of either kind.
pub(crate) enum Filters {
    Record(Box<FilterEncoder>),
    Clk { encoder: Box<Encoder>, header: Header, fields: Vec<Option<&'static str>> },
}

struct Kept {
    name: [u8; 32],
    since: Instant,
    filters: Filters,
}

/// Makes and keeps encoders.
pub(crate) struct Encoders {
    clk: HashMap<String, Clk>,
    /// Names of kept encoders are hashes under it, so that they tell nothing of keys.
    mask: [u8; 32],
    kept: Mutex<Vec<Kept>>,
}

impl Encoders {
    pub(crate) fn new(schemas: &[String]) -> Result<Self, SetupError> {
        let mut clk = HashMap::new();
        for entry in schemas {
            let failed = |reason: String| SetupError(format!("clkhash schema {entry}: {reason}"));
            let (name, path) = entry.split_once('=').ok_or_else(|| {
                failed("DSF_RBF_CLK_SCHEMAS is profile=path, separated by commas".to_owned())
            })?;
            let id: ProfileId = name.parse().map_err(|error| failed(format!("{error}")))?;
            let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
            let schema = Schema::parse(&text, Folds::Strict).map_err(|error| failed(error.to_string()))?;
            let field = |feature: &Option<linkage::clk::Feature>| match feature {
                None => Ok(None),
                Some(feature) => match FIELDS.iter().find(|field| **field == feature.identifier) {
                    Some(field) => Ok(Some(*field)),
                    None => Err(failed(format!(
                        "feature {} is none of {}",
                        feature.identifier,
                        FIELDS.join(", ")
                    ))),
                },
            };
            let fields = schema.features.iter().map(field).collect::<Result<_, _>>()?;
            let digest = Hasher::plain(Function::Sha256).digest(text.as_bytes());
            let encoding = format!("clkhash/{}/{}", schema.length, hex::encode(digest.as_ref()));
            clk.insert(name.to_owned(), Clk { id, schema, encoding, fields });
        }
        Ok(Self { clk, mask: rand::random(), kept: Mutex::default() })
    }

    fn name(&self, profile: &str, keys: &[u8]) -> [u8; 32] {
        let mut message = zeroize::Zeroizing::new(Vec::new());
        message.extend_from_slice(&(profile.len() as u64).to_be_bytes());
        message.extend_from_slice(profile.as_bytes());
        message.extend_from_slice(keys);
        let digest = Hasher::keyed(Function::Sha256, &self.mask).digest(&message);
        let mut name = [0; 32];
        name.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        name
    }

    /// Lends an encoder to `work`: a kept one where there is one.
    pub(crate) fn with<T>(
        &self,
        profile: &str,
        keys: &[u8],
        work: impl FnOnce(&mut Filters) -> T,
    ) -> Result<T, NoEncoder> {
        let name = self.name(profile, keys);
        let kept = {
            let mut all = self.lock();
            all.iter().position(|kept| kept.name == name).map(|at| all.swap_remove(at).filters)
        };
        let mut filters = match kept {
            Some(filters) => filters,
            None => self.make(profile, keys)?,
        };
        let result = work(&mut filters);
        let mut all = self.lock();
        if all.len() >= MAX_KEPT {
            let oldest = all.iter().enumerate().min_by_key(|(_, kept)| kept.since).map(|(at, _)| at);
            oldest.map(|at| all.swap_remove(at));
        }
        all.push(Kept { name, since: Instant::now(), filters });
        Ok(result)
    }

    /// Forgets encoders, and with them keys, that nobody has used for a while.
    pub(crate) fn sweep(&self) {
        self.lock().retain(|kept| kept.since.elapsed() < KEPT_FOR);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, profile: &str, keys: &[u8]) -> Result<Filters, NoEncoder> {
        let wire = [WireProfile::Stub1, WireProfile::JavaPdq1];
        let wire = wire.into_iter().find(|wire| wire.id().to_string() == profile);
        let failed = |error: &dyn std::fmt::Display| NoEncoder::Keys(error.to_string());
        if let Some(wire) = wire {
            let config = BloomFilterConfig::from_bytes(keys).map_err(|error| failed(&error))?;
            let encoder = FilterEncoder::wire(wire, &config).map_err(|error| failed(&error))?;
            return Ok(Filters::Record(Box::new(encoder)));
        }
        if de_1().to_string() == profile {
            // The same 72 bytes: a shorter secret would be a weak one.
            BloomFilterConfig::from_bytes(keys).map_err(|error| failed(&error))?;
            let encoder = FilterEncoder::german(keys).map_err(|error| failed(&error))?;
            return Ok(Filters::Record(Box::new(encoder)));
        }
        let clk = self.clk.get(profile).ok_or_else(|| NoEncoder::Profile(profile.to_owned()))?;
        let encoder = Encoder::new(clk.schema.clone(), keys).map_err(|error| failed(&error))?;
        let check = Hasher::keyed(Function::Sha256, keys).digest(b"linkage key check 1");
        let header = Header {
            profile: clk.id.clone(),
            encoding: clk.encoding.clone(),
            bits: u32::try_from(clk.schema.length).unwrap_or(u32::MAX),
            key_check: check.as_ref().get(..8).map(hex::encode),
        };
        Ok(Filters::Clk { encoder: Box::new(encoder), header, fields: clk.fields.clone() })
    }
}

impl Filters {
    pub(crate) fn header(&self) -> FilterHeader {
        let header = match self {
            Filters::Record(encoder) => encoder.header(),
            Filters::Clk { header, .. } => header,
        };
        FilterHeader {
            profile: header.profile.to_string(),
            encoding: header.encoding.clone(),
            bits: header.bits,
            key_check: header.key_check.clone(),
        }
    }

    pub(crate) fn parts(&self) -> Vec<String> {
        match self {
            Filters::Record(encoder) => encoder.parts().iter().map(|part| (*part).to_owned()).collect(),
            Filters::Clk { fields, .. } => fields.iter().flatten().map(|field| (*field).to_owned()).collect(),
        }
    }

    /// The filter of a person as text.
    pub(crate) fn encode(&mut self, person: &Idat) -> Encoded {
        match self {
            Filters::Record(encoder) => {
                let (filter, presence) = encoder.encode(person);
                Encoded::Filter(filter.to_rbf_text(), presence.0)
            }
            Filters::Clk { encoder, fields, .. } => {
                let birth = person.birthday.and_then(|date| {
                    Some(Text::from(format!("{:04}-{:02}-{:02}", date.year, date.month?, date.day?).as_str()))
                });
                let value = |field: &str| match field {
                    "first" => person.first_name.as_ref(),
                    "last" => person.last_name.as_ref(),
                    "birth" => birth.as_ref(),
                    "sex" => person.sex.as_ref(),
                    "street" => person.street.as_ref(),
                    "zip" => person.zip_code.as_ref(),
                    "city" => person.city.as_ref(),
                    "country" => person.country.as_ref(),
                    _ => person.insurance_number.as_ref(),
                };
                let mut presence = 0;
                let columns = fields.iter().zip(&encoder.schema().features);
                let used = fields.iter().flatten().enumerate();
                for (place, field) in used {
                    presence |= u16::from(value(field).is_some()) << place.min(15);
                }
                let record: Vec<&str> = columns
                    .map(|(field, feature)| {
                        let (Some(field), Some(feature)) = (field, feature) else { return "" };
                        let sentinel = feature.missing.as_ref().map_or("", |missing| &missing.sentinel);
                        value(field).map_or(sentinel, Text::expose)
                    })
                    .collect();
                match encoder.encode(&record) {
                    Ok(filter) => Encoded::Filter(filter.to_clk_text(), presence),
                    // Names the column, never the value.
                    Err(error) => Encoded::Unusable(error.to_string()),
                }
            }
        }
    }
}
