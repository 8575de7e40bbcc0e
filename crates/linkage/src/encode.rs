//! From identifying data to sets of filters: one encoder per profile, all with the same use.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use zeroize::Zeroize as _;

use crate::bits::Bits;
use crate::clk::{EncoderError, Hash, Insertion, Kdf, Strategy, derive};
use crate::dice::Threshold;
use crate::digest::{Function, Hasher};
use crate::filters::{FilterSet, FilterSetError, Header};
use crate::idat::Idat;
use crate::profile::{German, Names, WireProfile, de_1, german};
use crate::rbf::{BloomFilterConfig, HASHES, Parameters, RecordEncoder, RecordError};
use crate::secret::SecretText;

/// Most tokens per key whose positions are kept.
const MAX_CACHED_TOKENS: usize = 1 << 16;

/// Length of the filters of `de-1` in bits.
const GERMAN_BITS: usize = 1024;

/// Threshold for filters of `de-1`, chosen on an invented German set (see docs/linkage.md).
pub const RECOMMENDED_THRESHOLD: Threshold = match Threshold::new(0.75) {
    Ok(threshold) => threshold,
    Err(_) => Threshold::HIGHMED,
};

/// Which parts of a person were there, one bit per part, in the order of [`FilterEncoder::parts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presence(pub u16);

/// The positions of the tokens seen so far for one key. Wiped when dropped: tokens are parts of names.
#[derive(Clone)]
struct CachedTokens {
    insertion: Insertion,
    positions: HashMap<String, Vec<u16>>,
}

impl CachedTokens {
    /// Shares `bits` insertions among tokens.
    fn insert(&mut self, filter: &mut Bits, tokens: &[String], bits: usize) {
        for (token, count) in tokens.iter().zip(Strategy::PerFeature(bits).counts(tokens.len())) {
            if self.positions.get(token).is_none_or(|known| known.len() < count) {
                if self.positions.len() >= MAX_CACHED_TOKENS {
                    self.wipe();
                }
                let mut positions = Vec::with_capacity(count);
                // The key was accepted when the insertion was made, and positions are below GERMAN_BITS.
                let _ = self.insertion.positions(token.as_bytes(), count, GERMAN_BITS, |position| {
                    positions.push(position as u16);
                });
                self.positions.insert(token.clone(), positions);
            }
            // The positions for fewer insertions are the first ones of those for more.
            let known = self.positions.get(token).into_iter().flatten().take(count);
            known.for_each(|position| filter.set(usize::from(*position)));
        }
    }

    fn wipe(&mut self) {
        for (mut token, mut positions) in self.positions.drain() {
            token.zeroize();
            positions.zeroize();
        }
    }
}

impl Drop for CachedTokens {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Encodes persons into filters.
#[derive(Clone)]
pub struct FilterEncoder {
    header: Header,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Wire(WireProfile, Box<RecordEncoder>),
    /// By key.
    German(Vec<CachedTokens>),
}

/// An encoder that cannot be made, or a set that is too large.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// Parameters that give no record filter.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Keys that cannot be derived.
    #[error(transparent)]
    Keys(#[from] EncoderError),
    /// Too many persons.
    #[error(transparent)]
    Set(#[from] FilterSetError),
}

/// A part of a person in `de-1`: its name, its bits and its tokens.
struct Part {
    name: &'static str,
    /// Insertions that its tokens share.
    bits: usize,
    /// Parts of one key tell the same token with the same bits. Given and family names share one, so
    /// that names in the wrong fields are found.
    key: usize,
    tokens: fn(&German) -> Vec<String>,
}

/// Keys of `de-1`.
const GERMAN_KEYS: usize = 9;

const GERMAN: [Part; 12] = [
    Part { name: "given names", bits: 130, key: 0, tokens: |person| name_grams(&person.given) },
    Part { name: "family name", bits: 150, key: 0, tokens: |person| name_grams(&person.family) },
    Part { name: "birth name", bits: 60, key: 0, tokens: |person| name_grams(&person.birth) },
    Part { name: "date of birth", bits: 130, key: 1, tokens: |person| date_grams(person) },
    Part { name: "parts of the date of birth", bits: 80, key: 2, tokens: |person| date_parts(person) },
    Part {
        name: "sex",
        bits: 12,
        key: 3,
        tokens: |person| person.sex.map(String::from).into_iter().collect(),
    },
    Part { name: "street", bits: 30, key: 4, tokens: |person| street_grams(person) },
    Part { name: "house number", bits: 10, key: 5, tokens: |person| house_number(person) },
    Part { name: "postal code", bits: 40, key: 6, tokens: |person| positional(person.zip_code.as_ref()) },
    Part { name: "place", bits: 30, key: 7, tokens: |person| grams(person.city.as_ref()) },
    Part {
        name: "insurance number",
        bits: 60,
        key: 8,
        tokens: |person| positional(person.insurance_number.as_ref()),
    },
    Part { name: "first given name", bits: 20, key: 0, tokens: |person| grams(person.given.first.as_ref()) },
];

/// Windows of two characters over the text between two blanks.
fn grams(text: Option<&SecretText>) -> Vec<String> {
    let Some(text) = text.map(SecretText::expose).filter(|text| !text.is_empty()) else { return Vec::new() };
    let padded: Vec<char> = [' '].into_iter().chain(text.chars()).chain([' ']).collect();
    padded.windows(2).map(|window| window.iter().collect()).collect()
}

/// The same with the place of each window.
fn positional(text: Option<&SecretText>) -> Vec<String> {
    grams(text).into_iter().zip(1..).map(|(gram, place)| format!("{place} {gram}")).collect()
}

fn name_grams(names: &Names) -> Vec<String> {
    let mut all: Vec<String> = names.all.iter().flat_map(|name| grams(Some(name))).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn date_grams(person: &German) -> Vec<String> {
    let Some(date) = person.birthday else { return Vec::new() };
    let two = |part: Option<u8>| part.map_or("--".to_owned(), |part| format!("{part:02}"));
    let text = format!("{}{}{:04}", two(date.day), two(date.month), date.year);
    // A window over an unknown part says nothing.
    positional(Some(&text.into())).into_iter().filter(|gram| !gram.contains('-')).collect()
}

/// Day and month look the same here, so that a date with both swapped is found.
fn date_parts(person: &German) -> Vec<String> {
    let Some(date) = person.birthday else { return Vec::new() };
    let parts = [date.day, date.month].into_iter().flatten().map(|part| format!("{part:02}"));
    parts.chain([format!("{:04}", date.year)]).collect()
}

fn street_grams(person: &German) -> Vec<String> {
    grams(person.street.as_ref().map(|street| &street.name))
}

fn house_number(person: &German) -> Vec<String> {
    let number = person.street.as_ref().map(|street| street.number.expose().to_owned());
    number.filter(|number| !number.is_empty()).into_iter().collect()
}

/// A short value that tells keys apart and nothing else about them.
fn key_check(key: &[u8]) -> Option<String> {
    let digest = Hasher::keyed(Function::Sha256, key).digest(b"linkage key check 1");
    digest.as_ref().get(..8).map(hex::encode)
}

impl FilterEncoder {
    /// An encoder for the HiGHmed wire.
    ///
    /// # Errors
    /// Never for the parameters of the wire.
    pub fn wire(profile: WireProfile, config: &BloomFilterConfig) -> Result<FilterEncoder, EncodeError> {
        let encoder = RecordEncoder::wire(config)?;
        let header = Header { key_check: key_check(&config.to_bytes()), ..wire_header(profile) };
        Ok(FilterEncoder { header, way: Way::Wire(profile, Box::new(encoder)) })
    }

    /// An encoder for our own profile `de-1`. The secret is that of one request, such as the bytes of a
    /// [`BloomFilterConfig`].
    ///
    /// # Errors
    /// Never for the parameters of the profile.
    pub fn german(secret: &[u8]) -> Result<FilterEncoder, EncodeError> {
        let kdf = Kdf { info: b"linkage de-1".to_vec(), ..Kdf::default() };
        let keys = derive(&kdf, secret, GERMAN_KEYS).map_err(EncoderError::from)?;
        let mut caches = Vec::new();
        for key in keys {
            let insertion = Insertion::new(Hash::Blake, &key, &[]).map_err(EncoderError::from)?;
            caches.push(CachedTokens { insertion, positions: HashMap::new() });
        }
        let bits: Vec<String> = GERMAN.iter().map(|part| format!("{}:{}", part.key, part.bits)).collect();
        let header = Header {
            profile: de_1(),
            encoding: format!("blake2b/{GERMAN_BITS}/{}", bits.join(",")),
            bits: GERMAN_BITS as u32,
            key_check: key_check(secret),
        };
        Ok(FilterEncoder { header, way: Way::German(caches) })
    }

    /// The header of its filters.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Names of the parts that [`Presence`] tells.
    #[must_use]
    pub fn parts(&self) -> Vec<&'static str> {
        match &self.way {
            Way::Wire(..) => vec![
                "first name",
                "last name",
                "birthday",
                "sex",
                "street",
                "zip code",
                "city",
                "country",
                "insurance number",
            ],
            Way::German(_) => GERMAN.iter().map(|part| part.name).collect(),
        }
    }

    /// The filter of one person. Depends on the person and the keys only.
    pub fn encode(&mut self, person: &Idat) -> (Bits, Presence) {
        match &mut self.way {
            Way::Wire(profile, encoder) => {
                let attributes = profile.attributes(person);
                let there = attributes.iter().map(Option::is_some);
                (encoder.encode(&attributes), presence(there))
            }
            Way::German(caches) => {
                let person = german(person);
                let mut filter = Bits::new(GERMAN_BITS);
                let there = GERMAN.iter().map(|part| {
                    let tokens = (part.tokens)(&person);
                    if let Some(cache) = caches.get_mut(part.key) {
                        cache.insert(&mut filter, &tokens, part.bits);
                    }
                    !tokens.is_empty()
                });
                let presence = presence(there);
                (filter, presence)
            }
        }
    }

    /// The filters of many persons, in their order, on several threads. The result does not depend on
    /// their number.
    ///
    /// # Errors
    /// When there are too many persons for one set.
    pub fn encode_all(
        &self,
        persons: &[Idat],
        threads: NonZeroUsize,
    ) -> Result<(FilterSet, Vec<Presence>), EncodeError> {
        let share = persons.len().div_ceil(threads.get()).max(1);
        let encode = |persons: &[Idat]| {
            let mut encoder = self.clone();
            persons.iter().map(|person| encoder.encode(person)).collect::<Vec<_>>()
        };
        let parts: Vec<Vec<(Bits, Presence)>> = if threads == NonZeroUsize::MIN {
            vec![encode(persons)]
        } else {
            std::thread::scope(|scope| {
                let handles: Vec<_> =
                    persons.chunks(share).map(|share| scope.spawn(move || encode(share))).collect();
                let results = handles.into_iter().map(|handle| match handle.join() {
                    Ok(encoded) => encoded,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
                results.collect()
            })
        };
        let mut set = FilterSet::new(self.header.clone());
        let mut presences = Vec::with_capacity(persons.len());
        for (filter, presence) in parts.into_iter().flatten() {
            set.push(&filter)?;
            presences.push(presence);
        }
        Ok((set, presences))
    }
}

impl std::fmt::Debug for FilterEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FilterEncoder({:?}, keys redacted)", self.header)
    }
}

fn presence(there: impl Iterator<Item = bool>) -> Presence {
    Presence(there.enumerate().fold(0, |mask, (place, there)| mask | u16::from(there) << place))
}

/// The header of filters that come over the HiGHmed wire, which says nothing about them: the sites have
/// agreed on the profile.
#[must_use]
pub fn wire_header(profile: WireProfile) -> Header {
    let Parameters { length, field_lengths, weights } = Parameters::WIRE;
    let lengths: Vec<String> = field_lengths.iter().map(u32::to_string).collect();
    Header {
        profile: profile.id(),
        encoding: format!("highmed-rbf/{length}/{}/{}/{HASHES}", lengths.join(","), weights[0]),
        bits: u32::try_from(length).unwrap_or_default(),
        key_check: None,
    }
}
